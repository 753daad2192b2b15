import type { Priority } from "../core/alert.ts";
import type { QuantityName, Text } from "../core/quantities.ts";

/** What a patient or a caller says besides the inputs: the SpO2 scale, the age and so on. */
export type ScoreContext = Readonly<Record<string, number | string | boolean>>;

/** A span of a number, both ends included; an end that is absent is open. */
export interface Span {
  readonly from?: number;
  readonly to?: number;
}

/** What a value must be for a scale or a whole model to apply: equal to it, or within the span. */
export type Demand = number | string | boolean | Span;

/** One quantity that may serve as an input, and how old its value may be, in seconds. */
export interface InputQuantity {
  readonly quantity: QuantityName;
  readonly ageSecondsMax: number;
}

/** One input of a score: measured (quantities in order of preference) or entered by a person. */
export type ScoreInput =
  | {
      readonly kind: "measured";
      readonly name: string;
      readonly quantities: readonly InputQuantity[];
      readonly snomed: string | null;
      /** Codes that replace `snomed` where the context says so, by `name=value`. */
      readonly snomedByContext: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: "entered";
      readonly name: string;
      readonly entry: string;
      readonly ageSecondsMax: number;
      readonly snomed: string | null;
    };

/** A band of rounded values and what it earns; both ends included, an absent end is open. */
export interface Band extends Span {
  readonly points: number;
}

/** Bands that hold under some demands; the first scale whose demands are met is used. */
export interface Scale {
  readonly when: Readonly<Record<string, Demand>>;
  readonly bands: readonly Band[];
}

/** How one input earns points. */
export type TablePart =
  | { readonly kind: "bands"; readonly input: string; readonly resolution: number; readonly scales: readonly Scale[] }
  | { readonly kind: "choices"; readonly input: string; readonly choices: Readonly<Record<string, number>> };

/** What a number of points asks for. The last band reached counts; a single part of `partMin` points reaches it too. */
export interface ResponseBand {
  readonly name: string;
  readonly pointsMin: number;
  readonly partMin: number | null;
  /** The priority of the alert of this band, or null for none. */
  readonly alert: Priority | null;
  /** By when the next observation is due, in seconds. */
  readonly observeSecondsMax: number;
  readonly title: Text;
}

/** How the score is used on streams. Source: SAFETY.md, scores on streams. */
export interface StreamRules {
  /** The median of this many seconds of valid values, up to the newest, is the input. */
  readonly medianSeconds: number;
  /** How long a change must last before it is announced. */
  readonly confirmSeconds: number;
  /** How long a score may lack an input before that is a technical alert. */
  readonly partialAllowedSeconds: number;
}

/** A score as loaded from its folder: manifest and table, checked, with the table's verified hash. */
export interface ScoreModel {
  readonly id: string;
  readonly version: string;
  readonly title: Text;
  readonly source: string;
  readonly sha256: string;
  readonly applicability: Readonly<Record<string, Demand>>;
  /** The context where nobody said otherwise. */
  readonly context: ScoreContext;
  readonly inputs: readonly ScoreInput[];
  readonly parts: readonly TablePart[];
  readonly responses: readonly ResponseBand[];
  readonly stream: StreamRules;
}

/** Whether a value meets a demand. */
export function meets(value: number | string | boolean, demand: Demand): boolean {
  if (typeof demand !== "object") return value === demand;
  if (typeof value !== "number") return false;
  return (demand.from === undefined || value >= demand.from) && (demand.to === undefined || value <= demand.to);
}

/**
 * The whole number of resolution steps nearest to a value, halves away from zero.
 * The billionth added undoes binary fractions: 38.05 is 38.0499999... and 380.5 steps of 0.1, which must give 381.
 */
export function stepsOf(value: number, resolution: number): number {
  const steps = Math.floor(Math.abs(value) / resolution + 0.5 + 1e-9);
  return value < 0 ? -steps : steps;
}
