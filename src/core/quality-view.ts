import type { DeviceId } from "./ids.ts";
import type { QuantityName } from "./quantities.ts";

/** The four sides of data quality (准确性 完整性 逻辑性 及时性), in the order in which they are shown. */
export const QUALITY_ASPECTS = ["accuracy", "completeness", "logic", "timeliness"] as const;

/** One side of data quality. */
export type QualityAspect = (typeof QUALITY_ASPECTS)[number];

/** What was counted of one quantity of one device, or of a device as a whole. */
export interface QualityCounts {
  /** Readings that came, values and absences. */
  readonly readings: number;
  /** Of them those with a value. */
  readonly present: number;
  /** Of those the ones that nothing lowers trust in. */
  readonly sound: number;
  /** Minutes in which a value had to come (continuous quantities), or readings (episodic ones). */
  readonly expected: number;
  /** Of them those that brought one. */
  readonly filled: number;
  /** Readings that cannot be true. */
  readonly illogical: number;
  /** Readings that came late or with an unknown time. */
  readonly untimely: number;
  /** Whole messages of the device, and stretches of its bytes that were refused. */
  readonly messages: number;
  readonly refused: number;
}

/** Counts and the rules that lowered the scores, by `aspect.rule`, with how often each did. */
export interface QualityTally {
  readonly counts: QualityCounts;
  readonly rules: Readonly<Record<string, number>>;
}

/** One row of a day: a quantity of a device, or with `null` the device as a whole. */
export interface QualityRow extends QualityTally {
  readonly deviceId: DeviceId;
  readonly quantity: QuantityName | null;
  readonly scores: QualityScores;
}

/** 0 to 100 each; null where nothing was counted that could say. */
export type QualityScores = Readonly<Record<QualityAspect, number | null>>;

/** The data quality of a time. */
export interface QualityDay {
  readonly rows: readonly QualityRow[];
}

/** Nothing counted. */
export const NO_QUALITY: QualityTally = {
  counts: {
    readings: 0,
    present: 0,
    sound: 0,
    expected: 0,
    filled: 0,
    illogical: 0,
    untimely: 0,
    messages: 0,
    refused: 0,
  },
  rules: {},
};

/** Two counts as one. */
export function addQuality(one: QualityTally, other: QualityTally): QualityTally {
  const [a, b] = [one.counts, other.counts];
  const rules = { ...one.rules };
  for (const [rule, count] of Object.entries(other.rules)) rules[rule] = (rules[rule] ?? 0) + count;
  return {
    counts: {
      readings: a.readings + b.readings,
      present: a.present + b.present,
      sound: a.sound + b.sound,
      expected: a.expected + b.expected,
      filled: a.filled + b.filled,
      illogical: a.illogical + b.illogical,
      untimely: a.untimely + b.untimely,
      messages: a.messages + b.messages,
      refused: a.refused + b.refused,
    },
    rules,
  };
}

/**
 * The four scores of what was counted, 0 to 100, rounded down so that 100 means every one.
 *
 * - accuracy: values that nothing lowers trust in, of all values, times the share of the device's messages that could be read. A value
 *   is doubted for each flag of `QUESTIONABLE_FLAGS` (motion, low perfusion, weak or lost signal, irregular pulse, early estimate, the
 *   device's own doubt, after a gap); rule `refused` counts what could not be read.
 * - completeness: of a continuous quantity the minutes with a value, of those in which one had to come: the device was on a patient or was
 *   heard, and the quantity is expected of it (`expected` of the device or its driver) or brought a value within the hour before: a sensor
 *   that is not plugged in is not missed. A minute without is told by the last reason the device gave, or as `silent`. What came late fills
 *   no minute. Of an episodic quantity (a cuff, a thermometer) nobody can say when it had to come: there the readings with a value, of all
 *   readings of a quantity that is expected or in use in the same sense.
 * - logic: readings that can be true, of all. Rules: `impossible` (intake: outside what can occur, or the driver says so), `out-of-range`
 *   (the device says that it cannot express it), `pressure-order` (a message whose systolic pressure is not over its diastolic one, or
 *   whose mean does not lie between them), `stuck` (values while the watch calls the quantity stuck).
 * - timeliness: readings that came in time with a time that is known, of all. Rules: `late` (out of the device's memory), `delay` (over
 *   `qualityDelayMsMax` after it was measured), `device-clock-unset`, `measured-time-unknown`, `clock-frozen` (while the watch says that
 *   the device's clock stands still).
 *
 * @param frames  The device's messages and refusals; of a device as a whole its own counts.
 */
export function qualityScores(
  counts: QualityCounts,
  frames: Pick<QualityCounts, "messages" | "refused"> = counts,
): QualityScores {
  const readable = shareOf(frames.messages, frames.messages + frames.refused);
  const sound = shareOf(counts.sound, counts.present);
  return {
    accuracy: hundred(sound === null ? (readable === 0 ? 0 : null) : sound * (readable ?? 1)),
    completeness: hundred(shareOf(counts.filled, counts.expected)),
    logic: hundred(shareOf(counts.readings - counts.illogical, counts.readings)),
    timeliness: hundred(shareOf(counts.readings - counts.untimely, counts.readings)),
  };
}

/** The least of the four that are known; null where none is. */
export function leastScore(scores: QualityScores): number | null {
  const known = QUALITY_ASPECTS.map((aspect) => scores[aspect]).filter((score) => score !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** The rules that lowered one side, the most frequent first. */
export function rulesOf(
  tally: QualityTally,
  aspect: QualityAspect,
): readonly { readonly rule: string; readonly count: number }[] {
  return Object.entries(tally.rules)
    .filter(([key]) => key.startsWith(`${aspect}.`))
    .map(([key, count]) => ({ rule: key.slice(aspect.length + 1), count }))
    .sort((one, other) => other.count - one.count || (one.rule < other.rule ? -1 : 1));
}

function shareOf(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}

/** A share a hair under a whole number because of its division is not lowered by one. */
function hundred(share: number | null): number | null {
  return share === null ? null : Math.floor(share * 100 + 1e-9);
}
