import { parseConfig } from "../../../config/load.ts";
import type { ConfigProblem } from "../../../config/problems.ts";
import type { Config } from "../../../config/schema.ts";
import { type MemoryLink, openMemoryLink } from "../../../simulator/links/memory-link.ts";
import { type CastDevice, simulatedStartMs } from "../../../simulator/scenario/cast.ts";
import type { Witness } from "../../../simulator/scenario/judge.ts";
import { beds } from "../../../simulator/scenario/load.ts";
import type { Scenario } from "../../../simulator/scenario/schema.ts";
import type { GatewayMoment, Wire, World } from "../../../simulator/scenario/world.ts";
import { createMemoryJournal, type MemoryJournal } from "../../../simulator/world/memory-journal.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../simulator/world/simulated-clock.ts";
import type { Deed } from "../../core/act.ts";
import type { Alert } from "../../core/alert.ts";
import { fault } from "../../core/errors.ts";
import { seq } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Driver, Link, LinkSpec } from "../../core/ports.ts";
import type { Prediction } from "../../core/prediction.ts";
import type { JournalRecord } from "../../core/record.ts";
import { assert, type Result } from "../../core/result.ts";
import type { Timer } from "../../core/time.ts";
import { type Gateway, startGateway } from "../../gateway/assembly.ts";
import type { ScoreModel } from "../../watch/score-model.ts";
import { createStallingClock, type StallingClock } from "./stalling-clock.ts";

/** How often the supervisor's ear listens for the heartbeat, and how long a start takes. */
const LISTEN_MS = 250;
const RESTART_MS = 1000;
const MS_PER_SECOND = 1000;
/** What the simulated gateway calls itself; records of two versions of the program stay comparable. */
const VERSION = "simulated";

/** A world whose gateway is Vigil's own, in this process, on simulated time, links and disk. */
export interface OwnWorld extends World {
  /** Everything that is on the simulated disk, in order. */
  readonly records: () => Promise<readonly JournalRecord[]>;
}

/** The configuration of a gateway that serves a scenario, or what is wrong with what the scenario says of devices and limits. */
export function configOfScenario(scenario: Scenario, cast: readonly CastDevice[]): Result<Config, readonly ConfigProblem[]> {
  const byMqtt = cast.some(({ driver }) => driver.link.kind === "mqtt");
  const text = JSON.stringify({
    gateway: { id: "simulated", dataFolder: "/nonexistent" },
    beds: beds(scenario).map((id) => ({ id, title: id })),
    ...(byMqtt ? { broker: {} } : {}),
    limits: scenario.limits,
    devices: cast.map(({ device, driver }, index) => ({
      id: device.id,
      driver: driver.id,
      ...(device.bed === undefined ? {} : { bed: device.bed }),
      origin: device.origin,
      options: device.options,
      link: driver.link.kind === "mqtt" ? { kind: "mqtt" } : { kind: "tcp", host: "127.0.0.1", port: index + 1 },
      ...Object.fromEntries(
        (["silenceSeconds", "quantitySilenceSeconds", "expected", "personal"] as const).flatMap((key) =>
          device[key] === undefined ? [] : [[key, device[key]]],
        ),
      ),
    })),
  });
  return parseConfig(text, "/");
}

/** What the world of a scenario is made of. */
interface WorldParts {
  readonly config: Config;
  readonly cast: readonly CastDevice[];
  readonly models: readonly ScoreModel[];
  readonly drivers: (id: string) => Driver | null;
}

/** Opens the world of a scenario. The same seed and scenario give the same records, byte for byte. */
export async function openOwnWorld(scenario: Scenario, parts: WorldParts): Promise<OwnWorld> {
  const world = new WorldInMemory(scenario, parts);
  await world.begin();
  return world;
}

/** Time passes in slices of so much, so that what waits for a promise gets its turn. */
const SLICE_MS = 60_000;

class WorldInMemory implements OwnWorld {
  readonly clock: SimulatedClock;
  readonly #parts: WorldParts;
  readonly #startMs: number;
  readonly #silenceMsMax: number;
  readonly #alerts: { atSeconds: number; alert: Alert }[] = [];
  readonly #predictions: { atSeconds: number; prediction: Prediction }[] = [];
  readonly #heartbeats: { atSeconds: number; what: "missed" | "back" }[] = [];
  readonly #wires: ReadonlyMap<string, OwnWire>;
  readonly #ear: Timer;
  #journal: MemoryJournal = createMemoryJournal();
  #gatewayClock: StallingClock;
  #gateway: Gateway | null = null;
  #lastBeatMs = Number.NEGATIVE_INFINITY;
  #missing = false;
  #restarting: Promise<void> = Promise.resolve();

  constructor(scenario: Scenario, parts: WorldParts) {
    const grainMs = scenario.grain > 1 ? scenario.grain * MS_PER_SECOND : 0;
    this.clock = createSimulatedClock({ wallAtStartMs: simulatedStartMs(scenario), grainMs });
    this.#parts = parts;
    this.#startMs = this.clock.runMs();
    // Where time is cut coarsely a heartbeat comes no more often than that.
    this.#silenceMsMax = Math.max(LIMITS.heartbeatSilenceMsMax.value, 3 * grainMs);
    this.#wires = new Map(parts.cast.map(({ device }) => [device.id, createOwnWire()]));
    this.#gatewayClock = createStallingClock(this.clock);
    this.#ear = this.clock.every(LISTEN_MS, () => this.#listen());
  }

  readonly begin = () => this.#start(this.#journal);

  readonly pass = async (forSeconds: number) => {
    const targetMs = this.clock.runMs() + forSeconds * MS_PER_SECOND;
    while (this.clock.runMs() < targetMs) await this.clock.advance(Math.min(SLICE_MS, targetMs - this.clock.runMs()));
  };

  readonly wire = (id: string) => {
    const wire = this.#wires.get(id);
    assert(wire !== undefined, `${id} is a device of the scenario`);
    return wire;
  };

  readonly perform = async (deed: Deed) => {
    const done = this.#gateway?.perform(deed, { userId: "simulated-nurse", from: "command-line" });
    // It resolves when the act is on disk, or after two seconds without: time must go on for that.
    await Promise.race([done, this.clock.advance(0)]);
  };

  readonly openAlerts = () => this.#gateway?.openAlerts() ?? [];

  readonly happen = async (moment: GatewayMoment) => {
    if (moment.killedFor !== undefined) await this.#restart(moment.killedFor * MS_PER_SECOND);
    if (moment.standsStillFor !== undefined) this.#gatewayClock.standStill(moment.standsStillFor * MS_PER_SECOND);
    if (moment.clockForward !== undefined) this.clock.stepWall(moment.clockForward * MS_PER_SECOND);
    if (moment.clockBack !== undefined) this.clock.stepWall(-moment.clockBack * MS_PER_SECOND);
    if (moment.disk === "full") {
      this.#journal.setCommitting(false);
      const full = fault("journal-disk-full", { freeBytes: 0 });
      this.#journal.sayHealth({ state: "failing", fault: full, waitingRecords: 0 });
    }
    if (moment.disk === "well") {
      this.#journal.setCommitting(true);
      this.#journal.sayHealth({ state: "working" });
    }
  };

  readonly witness = (): Witness => ({
    alerts: this.#alerts,
    predictions: this.#predictions,
    heartbeats: this.#heartbeats,
    heard: true,
  });

  readonly records = () => allRecords(this.#journal);

  readonly close = async () => {
    this.#ear.stop();
    await this.#restarting;
    await this.#gateway?.stop();
  };

  #seconds(): number {
    return (this.clock.runMs() - this.#startMs) / MS_PER_SECOND;
  }

  async #start(journal: MemoryJournal): Promise<void> {
    this.#journal = journal;
    this.#gatewayClock = createStallingClock(this.clock);
    this.#lastBeatMs = this.clock.runMs();
    const { config, models, drivers } = this.#parts;
    this.#gateway = await startGateway({
      config,
      clock: this.#gatewayClock,
      journal,
      models,
      drivers,
      openLink: (spec) => this.#openLink(spec),
      onAlert: (alert) => this.#alerts.push({ atSeconds: this.#seconds(), alert }),
      onHeartbeat: () => this.#beat(),
      onRecorded: (records) => {
        for (const record of records)
          if (record.kind === "prediction") this.#predictions.push({ atSeconds: this.#seconds(), prediction: record });
      },
      gatewayView: () => ({
        gatewayId: config.gateway.id,
        version: VERSION,
        epoch: journal.epoch,
        startedAtMs: 0,
        journal: { state: "working", waitingRecords: 0 },
        upstreams: [],
        safeMode: false,
      }),
      version: VERSION,
    });
  }

  #openLink(spec: LinkSpec): Link {
    const found = this.#parts.cast.find(({ device }, index) =>
      spec.kind === "tcp"
        ? spec.port === index + 1
        : spec.kind === "mqtt" && spec.source.kind === "embedded" && spec.source.account === device.id,
    );
    const wire = found === undefined ? undefined : this.#wires.get(found.device.id);
    const link = openMemoryLink({ clock: this.#gatewayClock, onWritten: (bytes, channel) => wire?.written(bytes, channel) });
    wire?.join(link, this.#gatewayClock);
    return link.link;
  }

  #beat(): void {
    this.#lastBeatMs = this.clock.runMs();
    if (this.#missing) this.#heartbeats.push({ atSeconds: this.#seconds(), what: "back" });
    this.#missing = false;
  }

  /** The supervisor's ear: sounds, ends what does not answer, and starts it anew. */
  #listen(): void {
    const heard = this.clock.runMs() - this.#lastBeatMs <= this.#silenceMsMax;
    if (heard || this.#missing || this.#gateway === null) return;
    this.#missing = true;
    this.#heartbeats.push({ atSeconds: this.#seconds(), what: "missed" });
    this.#restarting = this.#kill().then(async () => {
      await this.clock.sleep(RESTART_MS);
      await this.#start(this.#journal.reopen());
    });
  }

  /** Ends it as `kill -9` does: nothing that is not on the disk yet comes there. */
  async #kill(): Promise<void> {
    const dying = this.#gateway;
    this.#gateway = null;
    this.#journal.setCommitting(false);
    for (const wire of this.#wires.values()) wire.part();
    await dying?.stop();
  }

  async #restart(downMs: number): Promise<void> {
    await this.#kill();
    await this.clock.advance(downMs);
    await this.#start(this.#journal.reopen());
  }
}

async function allRecords(journal: MemoryJournal): Promise<readonly JournalRecord[]> {
  const all: JournalRecord[] = [];
  for (;;) {
    const last = all.at(-1);
    const page = await journal.read({ afterSeq: last?.seq ?? seq(0), limit: LIMITS.journalReadRecordsMax.value });
    if (page.length === 0) return all;
    all.push(...page);
  }
}

interface OwnWire extends Wire {
  /** The gateway has opened its end. */
  readonly join: (link: MemoryLink, clock: StallingClock) => void;
  /** The gateway wrote something to the device. */
  readonly written: (bytes: Uint8Array, channel: string) => void;
  /** The gateway is gone. */
  readonly part: () => void;
}

/** Bytes that a gateway which stands still may leave in the line; what comes beyond is lost, as in a serial port. */
const LINE_BYTES_MAX = 65_536;

function createOwnWire(): OwnWire {
  let link: MemoryLink | null = null;
  let clock: StallingClock | null = null;
  let plugged = false;
  let waiting: { bytes: Uint8Array; channel: string }[] = [];
  let waitingBytes = 0;
  let receive: (bytes: Uint8Array, channel: string) => void = () => {};
  let tellOpened = () => {};
  const flush = () => {
    for (const { bytes, channel } of waiting) if (plugged) link?.send(bytes, channel);
    waiting = [];
    waitingBytes = 0;
  };
  return {
    join: (opened, gatewayClock) => {
      link = opened;
      clock = gatewayClock;
      tellOpened();
      if (plugged) opened.up();
    },
    part: () => {
      link = null;
      waiting = [];
      waitingBytes = 0;
    },
    send: (bytes, channel) => {
      if (!plugged || link === null || clock === null) return;
      const stillMs = clock.stillForMs();
      if (stillMs === 0) {
        link.send(bytes, channel);
        return;
      }
      if (waitingBytes + bytes.length > LINE_BYTES_MAX) return;
      if (waiting.length === 0) clock.after(0, flush);
      waiting.push({ bytes, channel });
      waitingBytes += bytes.length;
    },
    plug: () => {
      if (plugged) return;
      plugged = true;
      link?.up();
    },
    unplug: () => {
      if (!plugged) return;
      plugged = false;
      link?.down();
    },
    written: (bytes, channel) => {
      if (plugged) receive(bytes, channel);
    },
    onReceive: (listener) => {
      receive = listener;
    },
    onOpened: (listener) => {
      tellOpened = listener;
    },
  };
}
