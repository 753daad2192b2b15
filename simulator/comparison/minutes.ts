import type { QuantityName } from "../../src/core/quantities.ts";
import { type Result, succeed } from "../../src/core/result.ts";
import { createPatient } from "../body/patient.ts";
import type { ProfileName } from "../body/profile.ts";
import { seedOfPart } from "../random.ts";
import { readWfdbRecord, sampleAt, type WfdbError } from "../recordings/wfdb.ts";
import { figuresOf, type Series, type SeriesFigures } from "./statistics.ts";

/** Lags that are told of values once a minute. */
export const LAGS_MINUTES = [1, 5, 15, 60] as const;

/** Signals of a record that are compared, and what they are here. */
const SIGNALS = [
  { signal: "HR", quantity: "heartRate" },
  { signal: "RESP", quantity: "respiratoryRate" },
  { signal: "SpO2", quantity: "oxygenSaturation" },
] as const satisfies readonly { readonly signal: string; readonly quantity: QuantityName }[];

/** Whom the recorded person is held against. */
export const MINUTE_PROFILES = ["adult", "intensive-care"] as const satisfies readonly ProfileName[];

/** One person says little, so that a simulated one is several. */
const SIMULATED_PERSONS = 8;
const STEP_SECONDS = 5;

/** One recorded person, minute by minute, beside simulated ones. */
export interface MinuteComparison {
  readonly record: string;
  readonly minutes: number;
  readonly quantities: readonly {
    readonly name: QuantityName;
    readonly real: SeriesFigures;
    readonly simulated: Readonly<Record<(typeof MINUTE_PROFILES)[number], SeriesFigures>>;
  }[];
}

/** Compares a record of numbers once a minute, in which 0 says that there was none, with simulated persons over the same minutes. */
export async function compareMinutes(from: {
  readonly headerFile: string;
  readonly seed: number;
  readonly personsCount?: number;
}): Promise<Result<MinuteComparison, WfdbError>> {
  const record = await readWfdbRecord(from.headerFile);
  if (!record.ok) return record;
  const { name, framesCount, signals } = record.value;
  const found = SIGNALS.flatMap(({ signal, quantity }) => {
    const recorded = signals.find((each) => each.name === signal);
    if (recorded === undefined) return [];
    const series = Float64Array.from({ length: framesCount }, (_, minute) => sampleAt(recorded, minute) || Number.NaN);
    return [{ quantity, series }];
  });
  const personsCount = from.personsCount ?? SIMULATED_PERSONS;
  const simulate = (profile: ProfileName) => persons(profile, { seed: from.seed, personsCount }, found);
  const simulated = { adult: simulate("adult"), "intensive-care": simulate("intensive-care") };
  const quantities = found.map(({ quantity, series }, index) => {
    const of = (profile: (typeof MINUTE_PROFILES)[number]) =>
      figuresOf(
        simulated[profile].map((person) => person[index] ?? new Float64Array()),
        LAGS_MINUTES,
      );
    return {
      name: quantity,
      real: figuresOf([series], LAGS_MINUTES),
      simulated: { adult: of("adult"), "intensive-care": of("intensive-care") },
    };
  });
  return succeed({ record: name, minutes: framesCount, quantities });
}

/** For each person the recorded quantities, where the record has them, as whole numbers like the monitor's. */
function persons(
  profile: ProfileName,
  { seed, personsCount }: { readonly seed: number; readonly personsCount: number },
  like: readonly { readonly quantity: QuantityName; readonly series: Series }[],
): readonly (readonly Series[])[] {
  return Array.from({ length: personsCount }, (_, person) => {
    const body = createPatient({
      course: { keyframes: [], repeatSeconds: null },
      seed: seedOfPart(seed, person),
      profile,
      stepSeconds: STEP_SECONDS,
    });
    const simulated = like.map(({ series }) => new Float64Array(series.length).fill(Number.NaN));
    for (let minute = 0; minute < (like[0]?.series.length ?? 0); minute++) {
      for (const [index, { quantity, series }] of like.entries()) {
        if (Number.isNaN(series[minute])) continue;
        const reading = body.quantity(quantity, (minute + 1) * 60_000);
        const values = simulated[index];
        if (values !== undefined && reading.kind === "present") values[minute] = Math.round(reading.value);
      }
    }
    return simulated;
  });
}
