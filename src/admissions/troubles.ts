import type { Subject } from "../core/alert.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type { Fault } from "../core/errors.ts";
import type { BedId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock } from "../core/time.ts";

/** Tells a person what is wrong with admissions, each trouble at its own place, and takes it back when it is over. */
export interface Troubles {
  /** `place` tells apart what may be wrong at the same time; `bedId` is where somebody should look. False where it was too much for this minute. */
  readonly tell: (place: string, fault: Fault, bedId?: BedId | null) => boolean;
  readonly clear: (place: string) => void;
}

const MINUTE_MS = 60_000;

/** Begins without trouble. */
export function createTroubles(parts: {
  readonly clock: Clock;
  readonly setFault: (slot: string, fault: Fault | null, subject?: Subject) => void;
}): Troubles {
  /** What was told last at each place that has trouble, the one told longest ago first. */
  const told = new Map<string, string>();
  let minuteBeganMs = Number.NEGATIVE_INFINITY;
  let toldInMinute = 0;
  /** Whether one more may be told in this minute; what is merely said again costs nothing. */
  const hasRoom = () => {
    const now = parts.clock.monotonic();
    if (now - minuteBeganMs >= MINUTE_MS) {
      minuteBeganMs = now;
      toldInMinute = 0;
    }
    toldInMinute += 1;
    return toldInMinute <= LIMITS.admissionsTroublesPerMinuteMax.value;
  };
  return {
    tell: (place, fault, bedId = null) => {
      const content = canonicalJson(fault);
      if (told.get(place) !== content && !hasRoom()) return false;
      told.delete(place);
      told.set(place, content);
      const [oldest] = told.keys();
      if (told.size > LIMITS.admissionsTroublesMax.value && oldest !== undefined) told.delete(oldest);
      parts.setFault(slotOf(place), fault, { patientId: null, bedId, deviceId: null, part: "admissions" });
      return true;
    },
    clear: (place) => {
      if (told.delete(place)) parts.setFault(slotOf(place), null);
    },
  };
}

function slotOf(place: string): string {
  return `admissions:${place}`;
}
