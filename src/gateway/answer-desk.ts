import type { Alert } from "../core/alert.ts";
import { type Seq, seq, userId } from "../core/ids.ts";
import type { Journal, PerformAct } from "../core/ports.ts";

/** Turns "it is mine" from outside into what it is at the bed: an acknowledgement by whoever said it, through the one door. */
export interface AnswerDesk {
  /**
   * Takes an acceptance of an alert's record. Nothing comes of it where the alert is over, acknowledged already, or was raised again since
   * that record: whoever accepted has not seen that.
   *
   * @param of.key  The record's key; its number is the last part.
   * @returns       Whether it was written down as an act.
   */
  readonly accepted: (of: { readonly key: string; readonly by: string }) => Promise<boolean>;
}

/** Opens the desk. */
export function createAnswerDesk(parts: {
  readonly journal: Pick<Journal, "read">;
  readonly openAlerts: () => readonly Alert[];
  readonly perform: PerformAct;
}): AnswerDesk {
  const recordOf = async (number: Seq): Promise<Alert | null> => {
    // What is not on disk yet is known to the gateway in its latest state only.
    const latest = parts.openAlerts().find((alert) => alert.seq === number);
    if (latest !== undefined) return latest;
    const [record] = await parts.journal.read({ afterSeq: seq(number - 1), upToSeq: number, limit: 1, kinds: ["alert"] });
    return record?.kind === "alert" ? record : null;
  };
  return {
    accepted: async ({ key, by }) => {
      const number = Number(key.slice(key.lastIndexOf("/") + 1));
      if (!Number.isSafeInteger(number) || number < 1) return false;
      const accepted = await recordOf(seq(number));
      const now = parts.openAlerts().find(({ id }) => id === accepted?.id);
      if (accepted === null || now?.state !== "active" || now.raisedCount !== accepted.raisedCount) return false;
      const done = await parts.perform({ kind: "acknowledge", alertId: now.id }, { userId: userId(by), from: "upstream" });
      return done.ok;
    },
  };
}
