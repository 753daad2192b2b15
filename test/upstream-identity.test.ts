import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createMemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSystemClock } from "../src/clock.ts";
import type { MqttServer } from "../src/core/ports.ts";
import { connectMqtt } from "../src/mqtt/connection.ts";
import {
  type Authority,
  freePort,
  type Mosquitto,
  makeAuthority,
  mosquittoIsMissing,
  prepareMosquitto,
  writePasswords,
} from "./support/mosquitto.ts";
import { until } from "./support/until.ts";
import { startSending } from "./support/upstream-ends.ts";
import { hurry, observationAt } from "./support/upstream-records.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Tries one connection and says what became of it: `connected` or the code of the fault. */
async function attempt(server: MqttServer): Promise<string> {
  const clock = hurry(createSystemClock(), 10);
  const session = { clientId: "ward-3", sessionExpirySeconds: 0, will: null };
  const opened = await connectMqtt(server, session, { clock, onMessage: () => {}, stop: new AbortController().signal });
  if (!opened.ok) return opened.error.code;
  await opened.value.close();
  return "connected";
}

async function start(prepared: Mosquitto): Promise<Mosquitto> {
  cleanups.push(prepared.remove);
  await prepared.start();
  return prepared;
}

/** A host that takes every connection and never says a word. */
async function silentHost(): Promise<number> {
  const server = createServer((socket) => void socket.resume());
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  cleanups.push(() => new Promise((resolve) => void server.close(() => resolve())));
  return port;
}

describe.skipIf(mosquittoIsMissing)("who the upstream is, and who we are to it", () => {
  let folder = "";
  let hospital: Authority;
  let stranger: Authority;
  let certificate: { readonly certFile: string; readonly keyFile: string };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vigil-certificates-"));
    hospital = await makeAuthority(folder, "hospital");
    stranger = await makeAuthority(folder, "stranger");
    certificate = await hospital.issue("broker.hospital.example");
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const tls = (more: readonly string[] = []) => [
    "allow_anonymous true",
    `cafile ${hospital.caFile}`,
    `certfile ${certificate.certFile}`,
    `keyfile ${certificate.keyFile}`,
    ...more,
  ];

  test("TLS with the hospital's authority connects; with another, none, or another name it is a certificate fault", async () => {
    const { port } = await start(await prepareMosquitto(tls()));
    const server = { url: `mqtts://127.0.0.1:${port}`, protocolVersion: 5 } as const;
    expect(await attempt({ ...server, caFile: hospital.caFile })).toBe("connected");
    expect(await attempt({ ...server, caFile: stranger.caFile })).toBe("upstream-certificate");
    expect(await attempt(server)).toBe("upstream-certificate");
    expect(await attempt({ ...server, url: `mqtts://localhost:${port}`, caFile: hospital.caFile })).toBe("upstream-certificate");
    expect(await attempt({ ...server, caFile: join(folder, "nowhere.pem") })).toBe("upstream-certificate");
    await writeFile(join(folder, "nonsense.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    expect(await attempt({ ...server, caFile: join(folder, "nonsense.pem") })).toBe("upstream-certificate");
    expect(await attempt({ ...server, url: `mqtt://127.0.0.1:${port}` }), "plain MQTT to a TLS port").toBe(
      "upstream-unreachable",
    );
  });

  test("a server that wants a client certificate takes the hospital's and denies everybody else", async () => {
    const { port } = await start(await prepareMosquitto([...tls(), "require_certificate true", "use_identity_as_username true"]));
    const server = { url: `mqtts://127.0.0.1:${port}`, protocolVersion: 5, caFile: hospital.caFile } as const;
    const known = await hospital.issue("ward-3");
    const unknown = await stranger.issue("ward-3");
    expect(await attempt({ ...server, ...known })).toBe("connected");
    expect(await attempt(server)).toBe("upstream-denied");
    expect(await attempt({ ...server, ...unknown })).toBe("upstream-denied");
    expect(await attempt({ ...server, ...known, keyFile: join(folder, "nowhere.key") })).toBe("upstream-denied");
  });

  for (const version of [5, 4] as const) {
    test(`MQTT ${version}: a wrong password is one fault, and a mended password file is picked up without a restart`, async () => {
      const prepared = await prepareMosquitto(["allow_anonymous false", "password_file FOLDER/passwords"]);
      writePasswords({ file: join(prepared.folder, "passwords"), username: "ward-3", password: "sesame-7" });
      const { port } = await start(prepared);
      const passwordFile = join(prepared.folder, "ours");
      await writeFile(passwordFile, "sesame-8\n");
      const journal = createMemoryJournal();
      journal.append([observationAt(1), observationAt(2)]);
      const server = { url: `mqtt://127.0.0.1:${port}`, protocolVersion: version, username: "ward-3", passwordFile };
      const sending = startSending({ server, journal, factor: 20 });
      cleanups.push(sending.stop);
      await until("the refusal is told", () => sending.faults.length > 0);
      await new Promise((resolve) => setTimeout(resolve, 600));
      expect(sending.faults.map((reason) => reason?.code ?? null)).toEqual(["upstream-denied"]);
      expect(sending.outbox.view()).toMatchObject({ state: "connecting", backlogRecords: 2 });
      await writeFile(passwordFile, "sesame-7\n");
      await until("everything is confirmed", () => sending.outbox.view().resentCount === 2);
      expect(sending.faults.map((reason) => reason?.code ?? null)).toEqual(["upstream-denied", null]);
      await rm(passwordFile);
      expect(await attempt(server), "a password file that is gone").toBe("upstream-denied");
    });
  }

  test("a port where nobody listens is unreachable", async () => {
    expect(await attempt({ url: `mqtt://127.0.0.1:${await freePort()}`, protocolVersion: 5 })).toBe("upstream-unreachable");
  });

  test("a host that takes the connection and says nothing is slow, not silent for ever", async () => {
    const port = await silentHost();
    expect(await attempt({ url: `mqtt://127.0.0.1:${port}`, protocolVersion: 5 })).toBe("upstream-slow");
  });

  test("a stop while connecting to a host that says nothing ends within a second", async () => {
    const port = await silentHost();
    const url = `mqtt://127.0.0.1:${port}`;
    const sending = startSending({ server: { url, protocolVersion: 5 }, journal: createMemoryJournal(), factor: 1 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const begunMs = performance.now();
    await sending.stop();
    expect(performance.now() - begunMs).toBeLessThan(1000);
  });
});
