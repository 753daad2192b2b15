import { ERRORS, type Fault } from "../../core/errors.ts";
import type { Text } from "../../core/quantities.ts";
import { CHECKS, type CheckId } from "./check-names.ts";
import { FINDINGS, type FindingId, type Gravity } from "./findings.ts";

/** What a finding is about, by name: never a patient. */
export type Facts = Readonly<Record<string, string | number>>;

/** What one check of one thing came to. */
export type Outcome =
  | { readonly kind: "well"; readonly check: CheckId; readonly subject: string }
  | {
      readonly kind: "found";
      readonly check: CheckId;
      readonly subject: string;
      /** From `FINDINGS`, or the code of a fault of the gateway. */
      readonly finding: string;
      readonly gravity: Gravity;
      readonly says: Text;
      readonly remedy: Text;
      readonly facts: Facts;
    }
  | { readonly kind: "not-tried"; readonly check: CheckId; readonly subject: string; readonly why: Text };

/** Nothing is wrong with this. */
export function well(check: CheckId, subject: string): Outcome {
  return { kind: "well", check, subject };
}

/** Something is wrong with this. */
export function found(finding: FindingId, subject: string, facts: Facts = {}): Outcome {
  const { check, gravity, says, remedy } = FINDINGS[finding];
  return { kind: "found", check, subject, finding, gravity, says, remedy, facts };
}

/** A fault with words of its own, such as what a running gateway says of itself. */
export function foundFault(check: CheckId, subject: string, fault: Fault): Outcome {
  const { title, remedy } = ERRORS[fault.code];
  return { kind: "found", check, subject, finding: fault.code, gravity: "wrong", says: title, remedy, facts: fault.facts };
}

/** This could not be looked at, and why. */
export function notTried(check: CheckId, subject: string, why: Text): Outcome {
  return { kind: "not-tried", check, subject, why };
}

const GRAVITY_ORDER: Readonly<Record<Gravity, number>> = { stops: 0, wrong: 1, advice: 2 };

/** Worst first; among equals in the order in which things are looked at. */
export function worstFirst(outcomes: readonly Outcome[]): readonly Outcome[] {
  const order = Object.keys(CHECKS);
  const rank = (outcome: Outcome) =>
    outcome.kind === "found" ? GRAVITY_ORDER[outcome.gravity] : outcome.kind === "not-tried" ? 3 : 4;
  return [...outcomes].sort((one, other) => rank(one) - rank(other) || order.indexOf(one.check) - order.indexOf(other.check));
}
