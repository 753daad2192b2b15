import { createSimulatedClock, type SimulatedClock } from "../../simulator/world/simulated-clock.ts";
import type { ConditionChange } from "../../src/core/alert.ts";
import { bedId, type DeviceId, deviceId, type PatientId, patientId, seq } from "../../src/core/ids.ts";
import type { Content, Observation, Quality } from "../../src/core/observation.ts";
import type { Prediction } from "../../src/core/prediction.ts";
import type { QuantityName } from "../../src/core/quantities.ts";
import { wallMs } from "../../src/core/time.ts";
import { WATCH_DEFAULTS, type WatchOptions } from "../../src/watch/options.ts";
import { loadScoreModel } from "../../src/watch/score-table.ts";
import { createWatch, type Watch } from "../../src/watch/watch.ts";
import type { WatchDevice } from "../../src/watch/watch-state.ts";

/** The patient of most tests. */
export const ANNA: PatientId = patientId("anna");
/** The device of most tests. */
export const MONITOR: DeviceId = deviceId("monitor-1");

const loaded = await loadScoreModel(new URL("../../models/news2/", import.meta.url).pathname);
if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
/** The score of the tests, as loaded from its folder. */
export const NEWS2 = loaded.value;

/** What a sensor says: a number, or the reason why there is none. */
export type Said = number | Extract<Content, { state: "absent" }>["why"];

/** How an observation differs from a valid, measured one of now. */
export interface Saying {
  readonly patientId?: PatientId | null;
  readonly deviceId?: DeviceId;
  readonly quality?: Partial<Quality>;
  /** How long ago it was measured. */
  readonly agoMs?: number;
  readonly deviceClockMs?: number;
}

/** A watch with its clock, and a log of every change since it began. */
export interface Ward {
  readonly clock: SimulatedClock;
  readonly watch: Watch;
  readonly log: { readonly atSeconds: number; readonly change: ConditionChange }[];
  readonly predictions: Omit<Prediction, "seq">[];
  readonly note: (changes: readonly ConditionChange[]) => void;
  readonly say: (quantity: QuantityName, said: Said, saying?: Saying) => Observation;
  readonly make: (quantity: QuantityName, said: Said, saying?: Saying) => Observation;
  /** Lets seconds pass: in each, `each` speaks and then the watch ticks. */
  readonly pass: (seconds: number, each?: (second: number) => void) => Promise<void>;
  readonly raised: (rulePrefix?: string) => readonly string[];
  /** Keys that hold now. */
  readonly holding: () => readonly string[];
}

/** A device assigned to `ANNA` that must bring saturation every 10 s and be heard every 15 s. */
export const DEVICE: WatchDevice = {
  deviceId: MONITOR,
  bedId: bedId("bed-1"),
  patientId: ANNA,
  silenceSeconds: 15,
  expected: [{ quantity: "oxygenSaturation", silenceSeconds: 10 }],
  stuckSeconds: { heartRate: 30 },
  asksAfter: { seconds: 1800, awaySeconds: 300 },
};

/** Makes a ward with a real patient `ANNA` in `bed-1`, and no device yet. */
export function createWard(
  given: {
    readonly options?: Partial<WatchOptions>;
    readonly demonstration?: boolean;
    readonly clock?: SimulatedClock;
    /** False: a gateway in safe mode, which has been told of the score but has not loaded it. */
    readonly scored?: boolean;
  } = {},
): Ward {
  const clock = given.clock ?? createSimulatedClock();
  const models = given.scored === false ? { models: [], unloadedModels: [NEWS2.id] } : { models: [NEWS2], unloadedModels: [] };
  const watch = createWatch({ ...WATCH_DEFAULTS, ...given.options }, { clock, ...models });
  const startMs = clock.monotonic();
  const log: { readonly atSeconds: number; readonly change: ConditionChange }[] = [];
  const predictions: Omit<Prediction, "seq">[] = [];
  const holding = new Set<string>();
  let nextSeq = 1;
  const note = (changes: readonly ConditionChange[]) => {
    for (const change of changes) {
      log.push({ atSeconds: (clock.monotonic() - startMs) / 1000, change });
      if (change.kind === "ended") holding.delete(change.key);
      else holding.add(change.condition.key);
    }
  };
  const make = (quantity: QuantityName, said: Said, saying: Saying = {}): Observation => ({
    kind: "observation",
    seq: seq(nextSeq++),
    deviceId: saying.deviceId ?? MONITOR,
    patientId: saying.patientId === undefined ? ANNA : saying.patientId,
    quantity,
    content: typeof said === "number" ? { state: "present", value: said } : { state: "absent", why: said },
    times: {
      measuredAtMs: wallMs(clock.wall() - (saying.agoMs ?? 0)),
      deviceClockMs: saying.deviceClockMs === undefined ? null : wallMs(saying.deviceClockMs),
      receivedAtMs: clock.wall(),
      receivedMonotonicMs: clock.monotonic(),
    },
    quality: { validity: "valid", flags: [], origin: "measured", ...saying.quality },
    driverId: "test",
    driverVersion: "1",
  });
  note(
    watch.setPatient({
      patientId: ANNA,
      bedId: bedId("bed-1"),
      profile: { kind: "adult", spo2Scale: 1 },
      demonstration: given.demonstration ?? false,
    }),
  );
  return {
    clock,
    watch,
    log,
    predictions,
    note,
    make,
    say: (quantity, said, saying) => {
      const observation = make(quantity, said, saying);
      note(watch.observe(observation));
      return observation;
    },
    pass: async (seconds, each) => {
      for (let second = 1; second <= seconds; second++) {
        await clock.advance(1000);
        each?.(second);
        const ticked = watch.tick();
        note(ticked.changes);
        predictions.push(...ticked.predictions);
      }
    },
    raised: (rulePrefix = "") =>
      log.flatMap(({ change }) =>
        change.kind === "raised" && change.condition.rule.startsWith(rulePrefix) ? [change.condition.rule] : [],
      ),
    holding: () => [...holding].sort(),
  };
}
