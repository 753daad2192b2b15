import { parseConfig } from "../../../config/load.ts";
import type { ConfigProblem } from "../../../config/problems.ts";
import type { Config } from "../../../config/schema.ts";
import { createMemoryLink, type MemoryLink } from "../../../simulator/links/memory-link.ts";
import type { CastDevice } from "../../../simulator/scenario/cast.ts";
import type { Witness } from "../../../simulator/scenario/judge.ts";
import { beds } from "../../../simulator/scenario/load.ts";
import type { Scenario } from "../../../simulator/scenario/schema.ts";
import type { GatewayMoment, Wire, World } from "../../../simulator/scenario/world.ts";
import { createMemoryJournal, type MemoryJournal } from "../../../simulator/world/memory-journal.ts";
import { createSimulatedClock } from "../../../simulator/world/simulated-clock.ts";
import type { Alert } from "../../core/alert.ts";
import { fault } from "../../core/errors.ts";
import { seq } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Driver, LinkSpec } from "../../core/ports.ts";
import type { Prediction } from "../../core/prediction.ts";
import type { JournalRecord } from "../../core/record.ts";
import { assert, type Result } from "../../core/result.ts";
import { RELEASED_AT_MS } from "../../core/time.ts";
import { type Gateway, startGateway } from "../../gateway/assembly.ts";
import type { ScoreModel } from "../../watch/score-model.ts";
import { createStallingClock, type StallingClock } from "./stalling-clock.ts";

/** How often the supervisor's ear listens for the heartbeat, and how long a start takes. */
const LISTEN_MS = 250;
const RESTART_MS = 1000;
const MS_PER_SECOND = 1000;

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

/** Opens the world of a scenario. The same seed and scenario give the same records, byte for byte. */
export async function openOwnWorld(
  scenario: Scenario,
  parts: {
    readonly config: Config;
    readonly cast: readonly CastDevice[];
    readonly models: readonly ScoreModel[];
    readonly drivers: (id: string) => Driver | null;
  },
): Promise<OwnWorld> {
  const [hours = 0, minutes = 0] = scenario.startsAt.split(":").map(Number);
  // The first day on which a clock may be believed, which is also what a twin's own clock says.
  const clock = createSimulatedClock({
    wallAtStartMs: RELEASED_AT_MS + (hours * 60 + minutes) * 60_000,
    grainMs: scenario.grain > 1 ? scenario.grain * MS_PER_SECOND : 0,
  });
  const startMs = clock.monotonic();
  const seconds = () => (clock.runMs() - startMs) / MS_PER_SECOND;
  const { config } = parts;
  const alerts: { atSeconds: number; alert: Alert }[] = [];
  const predictions: { atSeconds: number; prediction: Prediction }[] = [];
  const heartbeats: { atSeconds: number; what: "missed" | "back" }[] = [];
  const wires = new Map(parts.cast.map(({ device }) => [device.id, createOwnWire()]));
  let journal = createMemoryJournal();
  let gatewayClock = createStallingClock(clock);
  let gateway: Gateway | null = null;
  let lastBeatMs = Number.NEGATIVE_INFINITY;
  let missing = false;

  const openLink = (spec: LinkSpec) => {
    const device = parts.cast.find(({ device: { id } }, index) =>
      spec.kind === "tcp"
        ? spec.port === index + 1
        : spec.kind === "mqtt" && spec.source.kind === "embedded" && spec.source.account === id,
    );
    const link = createMemoryLink(gatewayClock);
    if (device !== undefined) wires.get(device.device.id)?.join(link, gatewayClock);
    return link;
  };
  const start = async (on: MemoryJournal) => {
    journal = on;
    gatewayClock = createStallingClock(clock);
    lastBeatMs = clock.runMs();
    gateway = await startGateway({
      config,
      clock: gatewayClock,
      journal,
      models: parts.models,
      drivers: parts.drivers,
      openLink,
      onAlert: (alert) => alerts.push({ atSeconds: seconds(), alert }),
      onHeartbeat: () => {
        lastBeatMs = clock.runMs();
        if (missing) heartbeats.push({ atSeconds: seconds(), what: "back" });
        missing = false;
      },
      onRecorded: (records) => {
        for (const record of records)
          if (record.kind === "prediction") predictions.push({ atSeconds: seconds(), prediction: record });
      },
      gatewayView: () => ({
        gatewayId: "simulated",
        version: "0",
        epoch: journal.epoch,
        startedAtMs: 0,
        journal: { state: "working", waitingRecords: 0 },
        upstreams: [],
        safeMode: false,
      }),
      version: "0",
    });
  };
  /** Ends it as `kill -9` does: nothing that is not on the disk yet comes there. */
  const kill = async () => {
    const dying = gateway;
    gateway = null;
    journal.setCommitting(false);
    for (const wire of wires.values()) wire.part();
    await dying?.stop();
  };
  const restart = async (downMs: number) => {
    await kill();
    await clock.advance(downMs);
    await start(journal.reopen());
  };
  let restarting: Promise<void> = Promise.resolve();
  const ear = clock.every(LISTEN_MS, () => {
    if (
      gateway === null ||
      missing ||
      clock.runMs() - lastBeatMs <= Math.max(LIMITS.heartbeatSilenceMsMax.value, 3 * scenario.grain * MS_PER_SECOND)
    )
      return;
    missing = true;
    heartbeats.push({ atSeconds: seconds(), what: "missed" });
    // The supervisor sounds, ends it and starts it anew.
    restarting = kill().then(async () => {
      await clock.sleep(RESTART_MS);
      await start(journal.reopen());
    });
  });
  await start(journal);
  return {
    clock,
    pass: async (forSeconds) => {
      const targetMs = clock.runMs() + forSeconds * MS_PER_SECOND;
      while (clock.runMs() < targetMs) await clock.advance(Math.min(SLICE_MS, targetMs - clock.runMs()));
    },
    wire: (id) => {
      const wire = wires.get(id);
      assert(wire !== undefined, `${id} is a device of the scenario`);
      return wire;
    },
    perform: async (deed) => {
      const done = gateway?.perform(deed, { userId: "simulated-nurse", from: "command-line" });
      // It resolves when the act is on disk, or after two seconds without: time must go on for that.
      await Promise.race([done, clock.advance(0)]);
    },
    openAlerts: () => gateway?.openAlerts() ?? [],
    happen: (moment) => happen(moment, { clock, gatewayClock: () => gatewayClock, journal: () => journal, restart }),
    witness: (): Witness => ({ alerts, predictions, heartbeats }),
    records: () => allRecords(journal),
    close: async () => {
      ear.stop();
      await restarting;
      await gateway?.stop();
    },
  };
}

/** Time passes in slices of so much, so that what waits for a promise gets its turn. */
const SLICE_MS = 60_000;

async function happen(
  moment: GatewayMoment,
  to: {
    readonly clock: ReturnType<typeof createSimulatedClock>;
    readonly gatewayClock: () => StallingClock;
    readonly journal: () => MemoryJournal;
    readonly restart: (downMs: number) => Promise<void>;
  },
): Promise<void> {
  if (moment.killedFor !== undefined) await to.restart(moment.killedFor * MS_PER_SECOND);
  if (moment.standsStillFor !== undefined) to.gatewayClock().standStill(moment.standsStillFor * MS_PER_SECOND);
  if (moment.clockForward !== undefined) to.clock.stepWall(moment.clockForward * MS_PER_SECOND);
  if (moment.clockBack !== undefined) to.clock.stepWall(-moment.clockBack * MS_PER_SECOND);
  if (moment.disk === "full") {
    to.journal().setCommitting(false);
    to.journal().sayHealth({ state: "failing", fault: fault("journal-disk-full", { freeBytes: 0 }), waitingRecords: 0 });
  }
  if (moment.disk === "well") {
    to.journal().setCommitting(true);
    to.journal().sayHealth({ state: "working" });
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
  const flush = () => {
    for (const { bytes, channel } of waiting) if (plugged) link?.send(bytes, { channel });
    waiting = [];
    waitingBytes = 0;
  };
  return {
    join: (opened, gatewayClock) => {
      link = opened;
      clock = gatewayClock;
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
        link.send(bytes, { channel });
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
    onReceive: () => {},
  };
}
