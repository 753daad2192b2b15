import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BROKER_ACCOUNTS_FILE } from "../../broker/broker.ts";
import { openBrokerAccounts } from "../../broker/broker-accounts.ts";
import { createSystemClock } from "../../clock.ts";
import { bedId, deviceId, patientId } from "../../core/ids.ts";
import { assert } from "../../core/result.ts";
import { viewJournal } from "../../journal/read-only.ts";
import { connectMqtt, type MqttConnection } from "../../mqtt/connection.ts";
import { CONTROL_SOCKET_NAME } from "../ask.ts";
import { ask, freePort, perform, startGateway } from "./bench-gateway.ts";
import { type BenchDisk, type Conditions, conditionsNow } from "./conditions.ts";
import { createLatencies, type Latencies, type LatencySummary } from "./load.ts";
import { processTree, useOf } from "./processes.ts";

/** Many devices that send by MQTT with QoS 1. */
export interface DeviceMessagesPlan {
  readonly devices: number;
  readonly messagesPerSecondEach: number;
  readonly disk: BenchDisk;
  readonly coreCount: number;
  readonly measureMs: number;
}

/** What one server made of the messages. */
export interface MessageFigures {
  /** From the PUBLISH to its PUBACK, as the device sees it. */
  readonly thanks: LatencySummary;
  /** Processor time of all the server's processes, in microseconds a message. */
  readonly cpuMicrosEach: number;
}

/** What the devices saw of the gateway, and of mosquitto in the same run. */
export interface DeviceMessagesFigures {
  readonly conditions: Conditions;
  readonly devices: number;
  readonly messagesPerSecond: number;
  readonly sentCount: number;
  /** Messages that were never acknowledged. */
  readonly unthankedCount: number;
  /** Messages that were acknowledged and that the journal does not have. */
  readonly lostCount: number;
  /** The whole gateway: it decodes, judges, watches, and has each message on disk before it acknowledges it. */
  readonly gateway: MessageFigures;
  /** A server that acknowledges when it has the message in memory, with one subscriber to all of them; null where it is not installed. */
  readonly mosquitto: MessageFigures | null;
}

const MOSQUITTO = "/usr/sbin/mosquitto";
const ACCOUNT = "bench-hears-all";
const DEVICES_PER_BED = 10;
const TICK_MS = 10;
const WARM_UP_MS = 5000;
/** How long the last acknowledgements may take. */
const THANKS_MS_MAX = 20_000;
/** The number of a message travels as a quantity that has room for it. */
const MAPPING = { illuminance: "$.number", oxygenSaturation: "$.spo2" };

/** Runs both, one after the other. */
export async function runDeviceMessages(plan: DeviceMessagesPlan): Promise<DeviceMessagesFigures> {
  const conditions = conditionsNow(plan);
  const sent = await throughGateway(plan);
  return {
    conditions,
    devices: plan.devices,
    messagesPerSecond: plan.devices * plan.messagesPerSecondEach,
    sentCount: sent.sentCount,
    unthankedCount: sent.unthankedCount,
    lostCount: sent.lostCount,
    gateway: sent.figures,
    mosquitto: existsSync(MOSQUITTO) ? await throughMosquitto(plan) : null,
  };
}

const nameOf = (index: number) => `watch-${index + 1}`;
const topicOf = (name: string) => `devices/${name}/vitals`;

async function throughGateway(plan: DeviceMessagesPlan) {
  const folder = await mkdtemp(join(tmpdir(), "vigil-bench-"));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", removeFolder);
  const port = await freePort();
  const names = Array.from({ length: plan.devices }, (_, index) => nameOf(index));
  const beds = Array.from({ length: Math.ceil(plan.devices / DEVICES_PER_BED) }, (_, index) => `bed-${index + 1}`);
  const bedOf = (index: number) => beds[Math.floor(index / DEVICES_PER_BED)] ?? "";
  await writeFile(
    join(folder, "config.yaml"),
    JSON.stringify({
      gateway: { id: "bench", dataFolder: join(folder, "data") },
      dashboard: { port: await freePort(), signIn: false },
      broker: { port },
      beds: beds.map((id) => ({ id, title: id })),
      devices: names.map((id, index) => ({
        id,
        driver: "mqtt-json",
        bed: bedOf(index),
        link: { kind: "mqtt" },
        options: { mapping: MAPPING },
      })),
    }),
  );
  const socket = join(folder, "data", CONTROL_SOCKET_NAME);
  const gateway = startGateway(folder, { disk: plan.disk, coreShareMax: null });
  const stop = new AbortController();
  try {
    await ask(socket, { name: "stats", body: null });
    await admitAll(socket, { beds, names, bedOf });
    const passwordFiles = await makeAccounts(folder, names);
    const connections = await connectAll(
      names,
      (name) => ({ port, name, passwordFile: passwordFiles.get(name) ?? "" }),
      stop.signal,
    );
    const run = await send(connections, plan, () => useOf(processTree(gateway.pid)).cpuSeconds);
    stop.abort();
    await gateway.stop();
    const kept = keptNumbers(join(folder, "data", "journal"));
    return { ...run, lostCount: [...run.thanked].filter((number) => !kept.has(number)).length };
  } finally {
    stop.abort();
    await gateway.stop();
    process.off("exit", removeFolder);
    removeFolder();
  }
}

/** A patient in each bed, with all the devices that stand there. */
async function admitAll(
  socket: string,
  {
    beds,
    names,
    bedOf,
  }: { readonly beds: readonly string[]; readonly names: readonly string[]; readonly bedOf: (index: number) => string },
): Promise<void> {
  const profile = { kind: "adult", spo2Scale: 1 } as const;
  for (const id of beds)
    await perform(socket, {
      kind: "admit",
      patientId: patientId(`p-${id}`),
      bedId: bedId(id),
      label: id,
      profile,
      demonstration: false,
    });
  for (const [index, name] of names.entries())
    await perform(socket, { kind: "assign", deviceId: deviceId(name), patientId: patientId(`p-${bedOf(index)}`) });
}

async function makeAccounts(folder: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const parts = { now: createSystemClock().wall, random: randomBytes };
  const accounts = await openBrokerAccounts(join(folder, "data", BROKER_ACCOUNTS_FILE), parts);
  assert(accounts.ok, "the accounts of a gateway that was just started can be opened");
  const files = new Map<string, string>();
  for (const name of names) {
    const added = await accounts.value.add({ name });
    assert(added.ok, "an account with a new name can be added");
    const file = join(folder, `password-${name}`);
    await writeFile(file, added.value.password ?? "", { mode: 0o600 });
    files.set(name, file);
  }
  return files;
}

async function throughMosquitto(plan: DeviceMessagesPlan): Promise<MessageFigures> {
  const folder = await mkdtemp(join(tmpdir(), "vigil-bench-"));
  const port = await freePort();
  const asRoot = process.getuid?.() === 0 ? ["user root"] : [];
  const lines = [
    ...asRoot,
    "max_queued_messages 0",
    "max_inflight_messages 0",
    "allow_anonymous true",
    `listener ${port} 127.0.0.1`,
  ];
  await writeFile(join(folder, "mosquitto.conf"), `${lines.join("\n")}\n`);
  const child = spawn(MOSQUITTO, ["-c", join(folder, "mosquitto.conf")], { stdio: "ignore" });
  const { pid } = child;
  assert(pid !== undefined, "a program that is there can be started");
  const endWithBench = () => child.kill("SIGKILL");
  process.once("exit", endWithBench);
  const stop = new AbortController();
  try {
    const names = Array.from({ length: plan.devices }, (_, index) => nameOf(index));
    const [subscriber] = await connectAll([ACCOUNT], (name) => ({ port, name, passwordFile: null }), stop.signal);
    await subscriber?.subscribe(["devices/#"]);
    const connections = await connectAll(names, (name) => ({ port, name, passwordFile: null }), stop.signal);
    return (await send(connections, plan, () => useOf([pid]).cpuSeconds)).figures;
  } finally {
    stop.abort();
    process.off("exit", endWithBench);
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

async function connectAll(
  names: readonly string[],
  accessOf: (name: string) => { readonly port: number; readonly name: string; readonly passwordFile: string | null },
  stop: AbortSignal,
): Promise<readonly MqttConnection[]> {
  const clock = createSystemClock();
  const connections: MqttConnection[] = [];
  for (const each of names) {
    const { port, name, passwordFile } = accessOf(each);
    const account = passwordFile === null ? {} : { username: name, passwordFile };
    const access = { url: `mqtt://127.0.0.1:${port}`, protocolVersion: 4, ...account } as const;
    const session = { clientId: name, sessionExpirySeconds: 0, will: null };
    let opened = await connectMqtt(access, session, { clock, stop, onMessage: () => {} });
    // A server that was just started may not listen yet.
    for (let attempt = 0; !opened.ok && attempt < 50; attempt++) {
      await clock.sleep(100);
      opened = await connectMqtt(access, session, { clock, stop, onMessage: () => {} });
    }
    assert(opened.ok, `the server lets ${name} in`);
    connections.push(opened.value);
  }
  return connections;
}

/** What became of the messages of one run. */
interface Run {
  readonly figures: MessageFigures;
  readonly sentCount: number;
  readonly unthankedCount: number;
  /** The numbers of those that were acknowledged. */
  readonly thanked: ReadonlySet<number>;
}

/** Has each device send at its pace, spread evenly, first for a while that does not count; then waits for the last acknowledgement. */
async function send(connections: readonly MqttConnection[], plan: DeviceMessagesPlan, cpuSeconds: () => number): Promise<Run> {
  const clock = createSystemClock();
  const thanked = new Set<number>();
  const latencies: Latencies = createLatencies();
  let number = 0;
  const sendOne = () => {
    const mine = ++number;
    const device = mine % connections.length;
    const sentMs = clock.monotonic();
    const payload = JSON.stringify({ number: mine, spo2: 97 });
    const message = { topic: topicOf(nameOf(device)), payload, retain: false, urgent: false, properties: null };
    void connections[device]?.publish(message).then((done) => {
      if (!done.ok) return;
      thanked.add(mine);
      latencies.add(clock.monotonic() - sentMs);
    });
  };
  const perMs = (plan.devices * plan.messagesPerSecondEach) / 1000;
  const sendFor = async (lastingMs: number) => {
    const beganMs = clock.monotonic();
    for (let sent = 0; clock.monotonic() - beganMs < lastingMs; await clock.sleep(TICK_MS))
      for (const due = Math.min(lastingMs, clock.monotonic() - beganMs) * perMs; sent < due; sent++) sendOne();
  };
  await sendFor(WARM_UP_MS);
  latencies.clear();
  const before = { number, cpuSeconds: cpuSeconds() };
  await sendFor(plan.measureMs);
  const sentWatched = number - before.number;
  const used = cpuSeconds() - before.cpuSeconds;
  for (let waitedMs = 0; thanked.size < number && waitedMs < THANKS_MS_MAX; waitedMs += TICK_MS) await clock.sleep(TICK_MS);
  const cpuMicrosEach = Math.round((used / sentWatched) * 1e6);
  const figures = { thanks: latencies.summary(), cpuMicrosEach };
  return { figures, sentCount: number, unthankedCount: number - thanked.size, thanked };
}

/** The numbers of all messages that the journal has. */
function keptNumbers(journalFolder: string): ReadonlySet<number> {
  const view = viewJournal(journalFolder);
  assert(view.ok, "the journal of a gateway that has ended can be read");
  const numbers = new Set<number>();
  for (const step of view.value.walk(Number.MAX_SAFE_INTEGER)) {
    if (step.kind !== "record" || step.record.kind !== "observation" || step.record.quantity !== "illuminance") continue;
    if (step.record.content.state === "present") numbers.add(step.record.content.value);
  }
  view.value.close();
  return numbers;
}
