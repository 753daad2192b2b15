import type { AccessDeed } from "../../core/act.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Timer } from "../../core/time.ts";

type Refused = Extract<AccessDeed, { kind: "sign-in-refused" }>;

/** Turns refused sign-ins into acts without letting whoever guesses passwords fill the journal. */
export interface RefusalBook {
  /** Notes one refusal. @param account  Null where there is no such account: the name may have been a password. */
  readonly note: (refused: Pick<Refused, "account" | "why">, at: string) => void;
  /** Tells what was gathered. */
  readonly close: () => void;
}

/**
 * Makes the book. The first refusal of an account and reason is told at once; those that follow within `signInRefusedGatherMs` are told
 * together as one, with the address of the last. There are three kinds of reasons for each account, and accounts are few.
 */
export function createRefusalBook(parts: {
  readonly clock: Clock;
  readonly tell: (refused: Refused, at: string) => void;
}): RefusalBook {
  const gathered = new Map<
    string,
    { readonly refused: Pick<Refused, "account" | "why">; count: number; at: string; readonly timer: Timer }
  >();
  const tellGathered = (key: string) => {
    const found = gathered.get(key);
    gathered.delete(key);
    if (found === undefined) return;
    found.timer.stop();
    if (found.count > 0) parts.tell({ kind: "sign-in-refused", ...found.refused, count: found.count }, found.at);
  };
  return {
    note: (refused, at) => {
      const key = JSON.stringify([refused.account, refused.why]);
      const known = gathered.get(key);
      if (known !== undefined) {
        known.count += 1;
        known.at = at;
        return;
      }
      const timer = parts.clock.after(LIMITS.signInRefusedGatherMs.value, () => tellGathered(key));
      gathered.set(key, { refused, count: 0, at, timer });
      parts.tell({ kind: "sign-in-refused", ...refused, count: 1 }, at);
    },
    close: () => {
      for (const key of [...gathered.keys()]) tellGathered(key);
    },
  };
}
