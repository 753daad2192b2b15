import type { Act, Deed } from "../core/act.ts";
import type { Alert } from "../core/alert.ts";
import { type Fault, fault } from "../core/errors.ts";
import { type AlertId, type Seq, seq, userId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Actor, Journal, PerformAct } from "../core/ports.ts";
import type { JournalRecord } from "../core/record.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import { chainedAct } from "../verify/act-chain.ts";
import { applyAct, checkDeed, EMPTY_PLANT, type PlantPlan, type PlantState } from "./plant.ts";

/** The one door through which people change something, and the state that all acts together made. */
export interface Door {
  readonly perform: PerformAct;
  readonly plant: () => PlantState;
}

/** What the door needs and whom it tells. */
export interface DoorParts {
  readonly clock: Clock;
  readonly journal: Pick<Journal, "committedSeq" | "onCommit" | "read">;
  /** Counts and appends. */
  readonly record: (records: readonly JournalRecord[]) => void;
  readonly nextSeq: () => Seq;
  readonly plan: PlantPlan;
  /** The acts so far, as read from the journal at start. */
  readonly acts: readonly Act[];
  /** The hash of the newest of them that has one, `FIRST_PREVIOUS_HASH` where none has. */
  readonly lastHash: string;
  readonly openAlerts: () => readonly Alert[];
  /** Looks at the clocks before an act is numbered and timed. */
  readonly beforeAct: () => void;
  /** Called after the plant has changed, before the act is on disk: nobody waits for a disk to be watched. */
  readonly onAct: (act: Act, before: PlantState, after: PlantState) => void;
}

/** Opens the door with the state of all acts so far. */
export function createDoor(parts: DoorParts): Door {
  let plant = parts.acts.reduce(applyAct, EMPTY_PLANT);
  let lastHash = parts.lastHash;

  const perform = async (deed: Deed, actor: Actor): Promise<Result<{ readonly seq: Seq; readonly durable: boolean }, Fault>> => {
    const fits =
      deed.kind === "acknowledge"
        ? checkAcknowledgement(deed.alertId, parts.openAlerts())
        : checkDeed(plant, parts.plan, { deed, nowMs: parts.clock.wall() });
    if (!fits.ok) return fits;
    if (deed.kind === "verdict" && !(await isAlert(parts, deed.alertId)))
      return fail(fault("act-refused", { why: "unknown-alert" }));
    parts.beforeAct();
    const unchained = {
      kind: "act",
      seq: parts.nextSeq(),
      atMs: parts.clock.wall(),
      by: userId(actor.userId),
      role: actor.role ?? null,
      from: actor.from,
      at: actor.at ?? null,
      ...(actor.message === undefined ? {} : { message: actor.message }),
      deed,
    } as const;
    const act = chainedAct(unchained, lastHash);
    lastHash = act.hash;
    parts.record([act]);
    const before = plant;
    plant = applyAct(plant, act);
    parts.onAct(act, before, plant);
    return succeed({ seq: act.seq, durable: await committed(parts, act.seq) });
  };

  return { perform, plant: () => plant };
}

function checkAcknowledgement(id: string, open: readonly Alert[]): Result<void, Fault> {
  const alert = open.find((candidate) => candidate.id === id);
  if (alert === undefined) return fail(fault("act-refused", { why: "alert-ended" }));
  return alert.state === "active" ? succeed(undefined) : fail(fault("act-refused", { why: "already-acknowledged" }));
}

/** Whether there is, or was, such an alert: its id names the number of its first record, and alerts are kept. */
async function isAlert(parts: DoorParts, id: AlertId): Promise<boolean> {
  if (parts.openAlerts().some((alert) => alert.id === id)) return true;
  const number = Number(/-(\d{1,15})$/.exec(id)?.[1] ?? 0);
  if (number < 1) return false;
  const query = { afterSeq: seq(number - 1), upToSeq: seq(number), limit: 1, kinds: ["alert"] } as const;
  const found = await parts.journal.read(query).catch(() => []);
  return found.some((record) => record.kind === "alert" && record.id === id);
}

/** Waits until `number` is on disk; false after the bound, the act then counts but is not yet durable. */
async function committed(parts: DoorParts, number: Seq): Promise<boolean> {
  if (parts.journal.committedSeq() >= number) return true;
  const late = new AbortController();
  let stopListening = () => {};
  const commit = new Promise<boolean>((resolve) => {
    stopListening = parts.journal.onCommit((upTo) => {
      if (upTo >= number) resolve(true);
    });
  });
  const durable = await Promise.race([commit, parts.clock.sleep(LIMITS.actCommitMsMax.value, late.signal).then(() => false)]);
  late.abort();
  stopListening();
  return durable;
}
