import type { Condition, ConditionChange } from "../core/alert.ts";

/** The conditions that hold now, and what changed since it was last asked. */
export interface ConditionBoard {
  readonly holds: (key: string) => boolean;
  readonly condition: (key: string) => Condition | undefined;
  /** Says that a condition holds. A change of priority is told; new evidence only with `tellEvidence`. */
  readonly set: (condition: Condition, tellEvidence?: boolean) => void;
  /** Says that the condition under a key goes on under the key and for the subject given. */
  readonly rename: (fromKey: string, condition: Condition) => void;
  /** Says that something happened that nothing here will end: it is told as raised each time, and does not hold. */
  readonly tell: (condition: Condition) => void;
  /** Says that a condition does not hold (any more). */
  readonly end: (key: string) => void;
  /** Takes a condition over from before a restart. It is told as raised, which confirms the alert that is open for it. */
  readonly adopt: (condition: Condition) => void;
  /** Says that an alert from before a restart has nothing behind it any more. */
  readonly disown: (key: string) => void;
  /** The conditions that a test chooses, such as all those of a patient. */
  readonly where: (chosen: (condition: Condition) => boolean) => readonly Condition[];
  /** Ends every condition that a test chooses, such as all those of a patient. */
  readonly endWhere: (chosen: (condition: Condition) => boolean) => void;
  /** The changes since the last call, in order. */
  readonly drain: () => readonly ConditionChange[];
}

const NOTHING: readonly ConditionChange[] = [];

/** Makes an empty board. */
export function createConditionBoard(): ConditionBoard {
  const open = new Map<string, Condition>();
  let changes: ConditionChange[] = [];
  const end = (key: string) => {
    if (open.delete(key)) changes.push({ kind: "ended", key });
  };
  return {
    holds: (key) => open.has(key),
    condition: (key) => open.get(key),
    set: (condition, tellEvidence = false) => {
      const before = open.get(condition.key);
      if (before === undefined) changes.push({ kind: "raised", condition });
      else if (before.priority !== condition.priority || tellEvidence) changes.push({ kind: "changed", condition });
      else return;
      open.set(condition.key, condition);
    },
    rename: (fromKey, condition) => {
      if (!open.delete(fromKey)) return;
      open.set(condition.key, condition);
      changes.push({ kind: "renamed", fromKey, condition });
    },
    tell: (condition) => {
      changes.push({ kind: "raised", condition });
    },
    end,
    adopt: (condition) => {
      open.set(condition.key, condition);
      changes.push({ kind: "raised", condition });
    },
    disown: (key) => {
      open.delete(key);
      changes.push({ kind: "ended", key });
    },
    where: (chosen) => [...open.values()].filter(chosen),
    endWhere: (chosen) => {
      for (const [key, condition] of [...open]) if (chosen(condition)) end(key);
    },
    drain: () => {
      if (changes.length === 0) return NOTHING;
      const told = changes;
      changes = [];
      return told;
    },
  };
}
