import type { ConditionChange } from "../core/alert.ts";
import type { PatientId, Seq } from "../core/ids.ts";
import type { QuantityName } from "../core/quantities.ts";
import { type Clock, type Timer, type WallMs, wallMs } from "../core/time.ts";
import type { Watch } from "../watch/watch.ts";
import type { PlantState, SetLimit } from "./plant.ts";
import { type WatchPlan, wardSides } from "./watch-plan.ts";

/** So often the ends of limits are looked at, however far they are: no timer runs for weeks. */
const LOOK_MS_MAX = 3_600_000;

/** Lets limits that a person set for a time go back to the ward's own by themselves. */
export interface LimitKeeper {
  /** Whether a limit has expired. */
  readonly isOver: (limit: SetLimit) => boolean;
  /** When a limit expires or expired, by the wall clock as it stands now; null where it does not. */
  readonly expiresAtMs: (limit: SetLimit) => WallMs | null;
  /** Call it after each change of the plant and at the start: the next expiry is waited for. */
  readonly renew: () => void;
  readonly stop: () => void;
}

/** What the keeper works with. */
export interface LimitKeeperParts {
  readonly clock: Clock;
  readonly watch: Watch;
  readonly plan: WatchPlan;
  readonly plant: () => PlantState;
  /** Called for each limit that expires, with the conditions that the ward's own limit raised or ended. */
  readonly onExpired: (patientId: PatientId, changes: readonly ConditionChange[]) => void;
}

/**
 * Makes the keeper. A limit that is set for four hours holds for four hours, however the wall clock is moved meanwhile: its end is kept on
 * the monotonic clock from the moment it is first seen.
 */
export function createLimitKeeper(parts: LimitKeeperParts): LimitKeeper {
  const { clock } = parts;
  const ends = new Map<Seq, number>();
  const told = new Set<Seq>();
  let timer: Timer | null = null;

  const endMs = (limit: SetLimit): number | null => {
    if (limit.expiresAtMs === null) return null;
    // Where nobody knows what time it is, a limit holds for no longer than it was set for, from now.
    const leftMs = Math.min(limit.expiresAtMs - clock.wall(), limit.expiresAtMs - limit.setAtMs);
    const known = ends.get(limit.seq) ?? clock.monotonic() + leftMs;
    ends.set(limit.seq, known);
    return known;
  };
  const isOver = (limit: SetLimit) => {
    const atMs = endMs(limit);
    return atMs !== null && clock.monotonic() >= atMs;
  };
  const expire = (patientId: PatientId, quantity: QuantityName, limit: SetLimit) => {
    if (told.has(limit.seq) || !isOver(limit)) return;
    told.add(limit.seq);
    const sides = wardSides(parts.plan, quantity);
    parts.onExpired(patientId, parts.watch.setLimits({ patientId, quantity, ...sides, fromDefault: true }));
  };
  const renew = () => {
    timer?.stop();
    timer = null;
    const present = new Set<Seq>();
    let nextMs = Infinity;
    for (const { patientId, limits } of parts.plant().patients.values()) {
      for (const [quantity, limit] of limits) {
        present.add(limit.seq);
        expire(patientId, quantity, limit);
        if (!told.has(limit.seq)) nextMs = Math.min(nextMs, endMs(limit) ?? Infinity);
      }
    }
    for (const seq of [...ends.keys()]) if (!present.has(seq)) ends.delete(seq);
    for (const seq of [...told]) if (!present.has(seq)) told.delete(seq);
    const waitMs = Math.min(LOOK_MS_MAX, Math.max(1, nextMs - clock.monotonic()));
    if (nextMs < Infinity) timer = clock.after(waitMs, renew);
  };
  return {
    isOver,
    expiresAtMs: (limit) => {
      const atMs = endMs(limit);
      return atMs === null ? null : wallMs(Math.round(clock.wall() + (atMs - clock.monotonic())));
    },
    renew,
    stop: () => timer?.stop(),
  };
}
