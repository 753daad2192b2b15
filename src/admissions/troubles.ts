import type { Subject } from "../core/alert.ts";
import type { Fault } from "../core/errors.ts";
import type { BedId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock } from "../core/time.ts";

/** Tells a person what is wrong with admissions, each trouble at its own place, and takes it back when it is over. */
export interface Troubles {
  /** `place` tells apart what may be wrong at the same time; `bedId` is where somebody should look. */
  readonly tell: (place: string, fault: Fault, bedId?: BedId | null) => void;
  readonly clear: (place: string) => void;
}

const MINUTE_MS = 60_000;

/** Begins without trouble. */
export function createTroubles(parts: {
  readonly clock: Clock;
  readonly setFault: (slot: string, fault: Fault | null, subject?: Subject) => void;
}): Troubles {
  const places = new Set<string>();
  let minuteBeganMs = Number.NEGATIVE_INFINITY;
  let toldInMinute = 0;
  return {
    tell: (place, fault, bedId = null) => {
      const now = parts.clock.monotonic();
      if (now - minuteBeganMs >= MINUTE_MS) {
        minuteBeganMs = now;
        toldInMinute = 0;
      }
      toldInMinute += 1;
      if (toldInMinute > LIMITS.admissionsTroublesPerMinuteMax.value) return;
      const isKnown = places.has(place);
      if (!isKnown && places.size < LIMITS.admissionsTroublesMax.value) places.add(place);
      const slot = isKnown || places.has(place) ? place : "more";
      parts.setFault(`admissions:${slot}`, fault, { patientId: null, bedId, deviceId: null, part: "admissions" });
    },
    clear: (place) => {
      if (places.delete(place)) parts.setFault(`admissions:${place}`, null);
    },
  };
}
