import type { PatientId, Seq } from "./ids.ts";
import type { Origin } from "./observation.ts";
import type { WallMs } from "./time.ts";

/** An input the model wanted and did not have, or had only too old. */
export interface MissingInput {
  readonly input: string;
  readonly why: "never-seen" | "stale" | "absent" | "not-entered" | "expired";
  /** When it was last good, or null. */
  readonly sinceMs: WallMs | null;
}

/** One input of a score: what it was and what it earned. */
export interface ScorePart {
  readonly input: string;
  readonly value: number | string;
  readonly points: number;
  /** When the value was measured or entered; null in `vigil score`, where inputs have no time. */
  readonly atMs: WallMs | null;
}

/** What a model says, or why it cannot. */
export type Answer =
  | {
      readonly kind: "score";
      /** The sum of `parts`: the score, or its lower bound when `missing` is not empty. */
      readonly points: number;
      readonly parts: readonly ScorePart[];
      readonly missing: readonly MissingInput[];
      readonly inputCount: number;
      /** The name of the response band in the model's table, such as `urgent`. */
      readonly response: string;
    }
  | { readonly kind: "risk"; readonly risk: number; readonly horizonSeconds: number; readonly missing: readonly MissingInput[] }
  | {
      readonly kind: "no-answer";
      readonly missing: readonly MissingInput[];
      readonly why: "inputs-missing" | "not-applicable" | "model-failed";
    };

/** An answer of a model for one patient at one moment, with what it rests on. */
export interface Prediction {
  readonly kind: "prediction";
  readonly seq: Seq;
  readonly patientId: PatientId;
  readonly modelId: string;
  readonly modelVersion: string;
  readonly modelSha256: string;
  readonly atMs: WallMs;
  readonly answer: Answer;
  readonly origin: Origin;
  /** Sequence numbers of the observations and acts it used. */
  readonly basedOn: readonly Seq[];
}
