import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import { parseConfig } from "../../config/load.ts";
import { findDriver } from "../../drivers/index.ts";
import { createSystemClock } from "../../src/clock.ts";
import type { AdoptedDevice, Deed } from "../../src/core/act.ts";
import { bedId, deviceId, patientId, seq } from "../../src/core/ids.ts";
import type { Journal } from "../../src/core/ports.ts";
import type { JournalRecord } from "../../src/core/record.ts";
import { assert } from "../../src/core/result.ts";
import { type Gateway, startGateway } from "../../src/gateway/assembly.ts";
import { createDeviceBroker } from "../../src/gateway/device-broker.ts";
import { embeddedTopics } from "../../src/gateway/link-spec.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { openLink } from "../../src/transports/link.ts";
import { freePort } from "./mosquitto.ts";
import { until } from "./until.ts";

/** A gateway with a broker of its own and a real journal, whose devices are all still to be adopted. */
export interface AdoptingWard {
  gateway: Gateway;
  journal: Journal;
  /** Makes an account of the broker, once, and connects a client as it; the client is ended with the ward. */
  readonly connect: (account: string, more?: { readonly publish?: readonly string[] }) => Promise<MqttClient>;
  readonly act: (deed: Deed) => ReturnType<Gateway["perform"]>;
  /** Everything in the journal. */
  readonly records: () => Promise<readonly JournalRecord[]>;
  /** Ends the gateway in good order and starts it on the same folder, with these devices in its configuration. */
  readonly restart: (devices?: string, beds?: string) => Promise<void>;
  readonly remove: () => Promise<void>;
}

const BEDS = '[{ id: bed-1, title: "1" }, { id: bed-2, title: "2" }]';

/** Starts it with these devices of the configuration, in YAML. */
export async function startAdoptingWard(devices = "[]"): Promise<AdoptingWard> {
  const folder = await mkdtemp(join(tmpdir(), "vigil-adopt-"));
  const port = await freePort();
  const passwords = new Map<string, string>();
  const clients = new Set<MqttClient>();
  let life = await begin({ folder, port, devices, beds: BEDS });
  const ward: AdoptingWard = {
    gateway: life.gateway,
    journal: life.journal,
    connect: async (account, { publish = ["devices/%u/#"] } = {}) => {
      const broker = life.broker.running();
      assert(broker !== null, "the broker runs");
      const rights = publish.map((filter) => ({ access: "publish", filter }) as const);
      const added = passwords.has(account) ? null : await broker.addAccount({ name: account, rights });
      if (added !== null) {
        assert(added.ok, "the account was made");
        passwords.set(account, added.value.password ?? "");
      }
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
        ...{ protocolVersion: 4, clientId: account, username: account, password: passwords.get(account) ?? "" },
        ...{ reconnectPeriod: 0, connectTimeout: 5000 },
      });
      clients.add(client);
      return client;
    },
    act: (deed) => life.gateway.perform(deed, { userId: "engineer", from: "page", role: "engineer" }),
    records: async () => {
      const all: JournalRecord[] = [];
      for (;;) {
        const page = await life.journal.read({ afterSeq: all.at(-1)?.seq ?? seq(0), limit: 1000 });
        if (page.length === 0) return all;
        all.push(...page);
      }
    },
    restart: async (nextDevices = devices, beds = BEDS) => {
      for (const client of clients) await client.endAsync(true);
      clients.clear();
      await life.end();
      life = await begin({ folder, port, devices: nextDevices, beds });
      ward.gateway = life.gateway;
      ward.journal = life.journal;
    },
    remove: async () => {
      for (const client of clients) await client.endAsync(true);
      await life.end();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return ward;
}

async function begin(of: { readonly folder: string; readonly port: number; readonly devices: string; readonly beds: string }) {
  const dataFolder = join(of.folder, "data");
  await mkdir(dataFolder, { recursive: true });
  const parsed = parseConfig(
    `{ gateway: { id: test, dataFolder: ${dataFolder} }, broker: { port: ${of.port} }, scores: { models: [] }, beds: ${of.beds}, devices: ${of.devices} }`,
    "/",
  );
  assert(parsed.ok, `the test's configuration is valid: ${JSON.stringify(parsed)}`);
  const config = parsed.value;
  const clock = createSystemClock();
  const opened = await openJournal({ folder: join(dataFolder, "journal"), gatewayId: "test", bytesMax: 64_000_000, clock });
  assert(opened.ok, "the journal opens");
  const journal = opened.value;
  const broker = createDeviceBroker(config, {
    clock,
    random: randomBytes,
    topics: embeddedTopics(config, findDriver),
    setFault: (slot, reason) => gateway.setFault(slot, reason),
    onUnheard: (message) => gateway.noteUnheard(message),
    isReserved: (topic) => gateway.isAdoptedTopic(topic),
  });
  assert(broker !== null, "a broker is configured");
  const { inlet } = broker;
  const gateway: Gateway = await startGateway({
    ...{ config, clock, journal, models: [], drivers: findDriver, inlet, version: "0" },
    openLink: (spec) => openLink(spec, { clock, random: Math.random, stop: new AbortController().signal, inlet }),
    onAlert: () => {},
    onHeartbeat: () => {},
    gatewayView: () => ({
      ...{ gatewayId: "test", version: "0", epoch: journal.epoch, startedAtMs: 0, upstreams: [], safeMode: false },
      journal: { state: "working", waitingRecords: 0 },
    }),
  });
  broker.open();
  await until("the broker runs", () => broker.running() !== null);
  const end = async () => {
    await broker.close();
    await gateway.stop();
    gateway.finish();
    await journal.close();
  };
  return { gateway, journal, broker, end };
}

/** A watch that says its heart rate as `hr`, to be adopted. */
export function watchDevice(id: string, more: Partial<AdoptedDevice> = {}): { readonly kind: "adopt" } & AdoptedDevice {
  return {
    kind: "adopt",
    deviceId: deviceId(id),
    driverId: "mqtt-json",
    title: "Watch",
    link: { kind: "mqtt", topics: [`devices/${id}/vitals`], account: id },
    options: { mapping: '{"heartRate":"$.hr"}' },
    bedId: bedId("bed-1"),
    silenceSeconds: 90,
    expected: ["heartRate"],
    ...more,
  };
}

/** Admits somebody into a bed. */
export function admitTo(bed: string, patient: string): Deed {
  const profile = { kind: "adult", spo2Scale: 1 } as const;
  return { kind: "admit", patientId: patientId(patient), bedId: bedId(bed), label: patient, profile, demonstration: false };
}
