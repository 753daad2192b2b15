import { join } from "node:path";
import { type BadLink, openBadLink } from "../../../simulator/links/bad-link.ts";
import { type ByteServer, openByteServer } from "../../../simulator/links/byte-server.ts";
import { openByteTerminal } from "../../../simulator/links/byte-terminal.ts";
import { type FeedAnswer, type Hl7Feed, openHl7Feed } from "../../../simulator/links/hl7-feed.ts";
import { openMqttWire } from "../../../simulator/links/mqtt-wire.ts";
import { admissionMessage } from "../../../simulator/scenario/admission-messages.ts";
import type { CastDevice } from "../../../simulator/scenario/cast.ts";
import type { Witness } from "../../../simulator/scenario/judge.ts";
import type { Scenario } from "../../../simulator/scenario/schema.ts";
import type { GatewayMoment, Wire, World } from "../../../simulator/scenario/world.ts";
import type { Deed } from "../../core/act.ts";
import type { Alert } from "../../core/alert.ts";
import { type Fault, fault } from "../../core/errors.ts";
import type { MqttServer } from "../../core/ports.ts";
import type { Prediction } from "../../core/prediction.ts";
import { assert, fail, type Result, succeed } from "../../core/result.ts";
import type { Clock, MonotonicMs, Timer } from "../../core/time.ts";
import { type BatchMessage, type RecordMessage, type StateMessage, upstreamTopics } from "../../core/upstream.ts";
import { connectMqtt, type MqttArrival } from "../../mqtt/connection.ts";

/** Where a scenario's devices go, when they do not go to the gateway in this process. */
export interface Targets {
  /** Where serial devices listen, each as a serial device server does: the first port, or 0 for free ones. */
  readonly tcp: { readonly host: string; readonly port: number } | null;
  /** Where serial devices appear as serial ports of this machine: a folder, in which each has its name. */
  readonly terminals: { readonly folder: string } | null;
  /** Where MQTT devices publish, and where the alerts of the gateway under test are heard. */
  readonly mqtt: { readonly server: MqttServer; readonly prefix: string } | null;
  /** Whom the hospital's system tells by HL7 who lies where. */
  readonly mllp: { readonly host: string; readonly port: number } | null;
}

/** Longest silence of a gateway's heartbeat. Source: SAFETY.md, rule 1. */
const HEARTBEAT_SILENCE_MS_MAX = 30_000;
const LISTEN_MS = 250;
const RECONNECT_MS = 1000;
/** What the hospital's system has not brought through at the end is waited for so long. */
const FEED_END_MS_MAX = 2000;
const MS_PER_SECOND = 1000;

/** A world of real links: whoever wants may be the gateway. */
export interface OpenWorld extends World {
  /** Where each device can be reached, by its id. */
  readonly addresses: ReadonlyMap<string, string>;
  /** Deeds that people must do themselves at the gateway under test. */
  readonly onDeed: (listener: (deed: Deed) => void) => void;
  /** What happens to the gateway and its board, which somebody must do to the one under test. */
  readonly onMoment: (listener: (moment: GatewayMoment) => void) => void;
  /** What the hospital's system said, and what it was answered. */
  readonly onAdmission: (listener: (admission: Admission) => void) => void;
  /** Why the MQTT server cannot be asked for what the gateway says; told once, and it is tried again. */
  readonly onDeaf: (listener: (why: Fault) => void) => void;
  /** Whether anything that the gateway says can be heard. */
  readonly hears: boolean;
}

/** A message of the hospital's system with its answer. */
export interface Admission extends FeedAnswer {
  /** Such as A01. */
  readonly event: string;
  readonly patientId: string;
}

/** Opens every device's link; null of what a device needs and no target gives is a fault with its remedy. */
export async function openOpenWorld(
  cast: readonly CastDevice[],
  given: { readonly targets: Targets; readonly clock: Clock; readonly scenario: Scenario; readonly seed: number },
): Promise<Result<OpenWorld, Fault>> {
  const { targets, clock } = given;
  const wires = new Map<string, Wire & { readonly close: () => Promise<void> }>();
  const addresses = new Map<string, string>();
  const closeAll = () => Promise.all([...wires.values()].map((wire) => wire.close()));
  for (const [index, { device, driver }] of cast.entries()) {
    const opened =
      driver.link.kind === "mqtt"
        ? openMqtt(device.id, targets, clock)
        : targets.terminals !== null
          ? await openTerminal(join(targets.terminals.folder, device.id), clock)
          : await openTcp(index, targets);
    if (!opened.ok) {
      await closeAll();
      return opened;
    }
    wires.set(device.id, opened.value.wire);
    addresses.set(device.id, opened.value.address);
  }
  const hospital = await openHospital(given);
  if (!hospital.ok) {
    await closeAll();
    return hospital;
  }
  const ear = new UpstreamEar(targets, clock);
  await ear.open();
  let tellDeed: (deed: Deed) => void = () => {};
  let tellMoment: (moment: GatewayMoment) => void = () => {};
  let passedToMs: number = clock.monotonic();
  return succeed({
    clock,
    addresses,
    hears: targets.mqtt !== null,
    // By the clock and not by the sum of many sleeps, each of which is a little too long.
    pass: (seconds) => {
      passedToMs += seconds * MS_PER_SECOND;
      return clock.sleep(Math.max(0, passedToMs - clock.monotonic()));
    },
    wire: (id) => {
      const wire = wires.get(id);
      assert(wire !== undefined, `${id} is a device of the scenario`);
      return wire;
    },
    perform: async (deed) => {
      if (hospital.value?.tell(deed) !== true) tellDeed(deed);
    },
    onAdmission: (listener) => hospital.value?.onAdmission(listener),
    onDeed: (listener) => {
      tellDeed = listener;
    },
    onDeaf: (listener) => ear.onDeaf(listener),
    openAlerts: () => ear.openAlerts(),
    happen: async (moment) => tellMoment(moment),
    onMoment: (listener) => {
      tellMoment = listener;
    },
    witness: () => ear.witness(),
    close: async () => {
      await hospital.value?.close();
      await closeAll();
      await ear.close();
    },
  });
}

/** The hospital's system of a scenario. */
interface Hospital {
  /** Whether this is something that such a system tells. */
  readonly tell: (deed: Deed) => boolean;
  readonly onAdmission: (listener: (admission: Admission) => void) => void;
  readonly close: () => Promise<void>;
}

async function openHospital(given: {
  readonly targets: Targets;
  readonly clock: Clock;
  readonly scenario: Scenario;
  readonly seed: number;
}): Promise<Result<Hospital | null, Fault>> {
  const { clock, scenario, seed } = given;
  const target = given.targets.mllp;
  if (target === null) return succeed(null);
  const faults = scenario.hospital?.badLink;
  let proxy: BadLink | null = null;
  if (faults !== undefined) {
    const opened = await openBadLink({ target, clock, faults, seed });
    if (!opened.ok) return fail(fault("simulate-port-taken", { ...opened.error }));
    proxy = opened.value;
  }
  const feed: Hl7Feed = openHl7Feed({ ...(proxy ?? target), clock });
  const labels = new Map(scenario.patients.map(({ id, label }) => [id, label ?? id]));
  const sent = new Map<string, Pick<Admission, "event" | "patientId">>();
  return succeed({
    tell: (deed) => {
      const labelOf = (patient: string) => labels.get(patient) ?? patient;
      const message = admissionMessage(deed, { wallMs: clock.wall(), number: sent.size + 1, labelOf });
      if (message === null || !("patientId" in deed) || deed.patientId === null) return false;
      sent.set(message.controlId, { event: message.event, patientId: deed.patientId });
      return feed.send(message);
    },
    onAdmission: (listener) =>
      feed.onAnswer((answer) => {
        const what = sent.get(answer.controlId);
        if (what !== undefined) listener({ ...answer, ...what });
      }),
    close: async () => {
      await feed.close(FEED_END_MS_MAX);
      await proxy?.close();
    },
  });
}

interface Opened {
  readonly wire: Wire & { readonly close: () => Promise<void> };
  readonly address: string;
}

async function openTcp(index: number, { tcp }: Targets): Promise<Result<Opened, Fault>> {
  if (tcp === null) return fail(fault("simulate-no-target", { kind: "serial", want: "--target tcp://127.0.0.1" }));
  let tellOpened = () => {};
  const port = tcp.port === 0 ? 0 : tcp.port + index;
  const opened = await openByteServer({ host: tcp.host, port, onFirstClient: () => tellOpened() });
  if (!opened.ok) return fail(fault("simulate-port-taken", { ...opened.error }));
  const onOpened: Wire["onOpened"] = (listener) => {
    tellOpened = listener;
  };
  return succeed({ wire: { ...tcpWire(opened.value), onOpened }, address: `tcp://${opened.value.host}:${opened.value.port}` });
}

async function openTerminal(path: string, clock: Clock): Promise<Result<Opened, Fault>> {
  const opened = await openByteTerminal({ clock, path });
  if (!opened.ok) return fail(fault("simulate-no-terminal", { ...opened.error }));
  const terminal = opened.value;
  let plugged = false;
  const wire: Opened["wire"] = {
    send: (bytes) => {
      if (plugged) terminal.send(bytes);
    },
    plug: () => {
      plugged = true;
    },
    unplug: () => {
      plugged = false;
    },
    onReceive: (listener) =>
      terminal.onReceive((bytes) => {
        if (plugged) listener(bytes, "");
      }),
    onOpened: () => {},
    close: terminal.close,
  };
  return succeed({ wire, address: terminal.path });
}

function tcpWire(server: ByteServer): Omit<Opened["wire"], "onOpened"> {
  return {
    send: (bytes) => server.send(bytes),
    plug: () => void server.setPlugged(true),
    unplug: () => void server.setPlugged(false),
    onReceive: (listener) => server.onReceive((bytes) => listener(bytes, "")),
    close: server.close,
  };
}

function openMqtt(id: string, { mqtt }: Targets, clock: Clock): Result<Opened, Fault> {
  if (mqtt === null) return fail(fault("simulate-no-target", { kind: "mqtt", want: "--target mqtt://127.0.0.1:1883" }));
  const session = { clientId: id, sessionExpirySeconds: 0, will: null };
  const mqttWire = openMqttWire({
    clock,
    connect: (stop) => connectMqtt(mqtt.server, session, { clock, stop, onMessage: () => {} }),
  });
  const wire: Opened["wire"] = {
    send: mqttWire.send,
    plug: () => void mqttWire.setInReach(true),
    unplug: () => void mqttWire.setInReach(false),
    onReceive: () => {},
    onOpened: () => {},
    close: mqttWire.close,
  };
  return succeed({ wire, address: `${mqtt.server.url} ${id}` });
}

/** Hears what a gateway says upstream, as a receiver does. */
class UpstreamEar {
  readonly #targets: Targets;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #alerts: { atSeconds: number; alert: Alert }[] = [];
  readonly #predictions: { atSeconds: number; prediction: Prediction }[] = [];
  readonly #heartbeats: { atSeconds: number; what: "missed" | "back" }[] = [];
  readonly #keys = new Set<string>();
  #heard = false;
  #deaf: Fault | null = null;
  #tellDeaf: (why: Fault) => void = () => {};
  readonly #startMs: MonotonicMs;
  #running: Promise<void> = Promise.resolve();
  #timer: Timer | null = null;
  #heardMs: number | null = null;
  #missing = false;

  constructor(targets: Targets, clock: Clock) {
    this.#targets = targets;
    this.#clock = clock;
    this.#startMs = clock.monotonic();
  }

  witness(): Witness {
    return { alerts: this.#alerts, predictions: this.#predictions, heartbeats: this.#heartbeats, heard: this.#heard };
  }

  /** As they were heard last. */
  openAlerts(): readonly Alert[] {
    const latest = new Map(this.#alerts.map(({ alert }) => [alert.id, alert]));
    return [...latest.values()].filter(({ state }) => state !== "ended");
  }

  onDeaf(listener: (why: Fault) => void): void {
    this.#tellDeaf = listener;
    if (this.#deaf !== null) listener(this.#deaf);
  }

  async open(): Promise<void> {
    if (this.#targets.mqtt === null) return;
    this.#timer = this.#clock.every(LISTEN_MS, () => this.#listen());
    this.#running = this.#connectAgainAndAgain();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#timer?.stop();
    await this.#running;
  }

  async #connectAgainAndAgain(): Promise<void> {
    const { mqtt } = this.#targets;
    if (mqtt === null) return;
    const topics = upstreamTopics({ prefix: mqtt.prefix, gatewayId: "+" });
    const session = { clientId: "vigil-simulate", sessionExpirySeconds: 0, will: null };
    while (!this.#stop.signal.aborted) {
      const parts = { clock: this.#clock, stop: this.#stop.signal, onMessage: (arrival: MqttArrival) => this.#take(arrival) };
      const connected = await connectMqtt(mqtt.server, session, parts);
      if (connected.ok) {
        await connected.value.subscribe([topics.alerts, topics.predictions, topics.heartbeat, topics.state]);
        await Promise.race([connected.value.ended, aborted(this.#stop.signal)]);
        await connected.value.close();
      } else if (this.#deaf === null && !this.#stop.signal.aborted) {
        this.#deaf = fault("simulate-deaf", { ...connected.error.facts, why: connected.error.code });
        this.#tellDeaf(this.#deaf);
      }
      await this.#clock.sleep(RECONNECT_MS, this.#stop.signal);
    }
  }

  #seconds(): number {
    return (this.#clock.monotonic() - this.#startMs) / MS_PER_SECOND;
  }

  #take({ topic, payload }: MqttArrival): void {
    if (topic.endsWith("/state")) {
      // Retained, and taken back by the server when the gateway is gone: the word of a gateway that is there.
      const said = parseJson(payload) as StateMessage | null;
      if (said?.format === "vigil.state/1" && said.state === "online") this.#heard = true;
      return;
    }
    if (topic.endsWith("/heartbeat")) {
      this.#heard = true;
      this.#heardMs = this.#clock.monotonic();
      if (this.#missing) this.#heartbeats.push({ atSeconds: this.#seconds(), what: "back" });
      this.#missing = false;
      return;
    }
    const message = parseJson(payload) as RecordMessage | BatchMessage | null;
    if (message === null) return;
    const records = message.format === "vigil.record/1" ? [message] : message.format === "vigil.batch/1" ? message.records : [];
    if (records.length > 0) this.#heard = true;
    for (const { key, record } of records) {
      // What comes again under its key was heard before.
      if (this.#keys.has(key)) continue;
      this.#keys.add(key);
      const atSeconds = this.#seconds();
      if (record.kind === "alert") this.#alerts.push({ atSeconds, alert: record });
      if (record.kind === "prediction") this.#predictions.push({ atSeconds, prediction: record });
    }
  }

  #listen(): void {
    if (this.#heardMs === null || this.#missing) return;
    if (this.#clock.monotonic() - this.#heardMs <= HEARTBEAT_SILENCE_MS_MAX) return;
    this.#missing = true;
    this.#heartbeats.push({ atSeconds: this.#seconds(), what: "missed" });
  }
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch {
    return null;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
