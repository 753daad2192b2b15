import { absent, present, type Reading } from "../../src/core/observation.ts";
import type { PatientBody } from "../../src/core/ports.ts";
import type { QuantityName, WaveformName } from "../../src/core/quantities.ts";
import { evenAt } from "../body/noise.ts";
import { seedOfPart } from "../random.ts";

/** Where a sensor sits. */
export const SITES = ["finger", "chest", "cuff", "airway", "artery", "probe"] as const;

/** The name of such a place. */
export type Site = (typeof SITES)[number];

/** How a sensor sits: `loose` gives values that the movement makes, marked where the device can, and now and then none. */
export const FITS = ["on", "loose", "off"] as const;

/** How a sensor sits. */
export type Fit = (typeof FITS)[number];

/** How the sensors of one device sit at any time. The past must not change. */
export type FitAt = (site: Site, seconds: number) => Fit;

/** How long an oximeter looks for the pulse after the clip is back. */
const PULSE_SEARCH_SECONDS = 6;
/** Of a loose clip's seconds this share gives no value at all. */
const LOOSE_LOST_SHARE = 0.25;
/** Movement makes a saturation seem lower by up to so much, and adds as many beats. */
const LOOSE_PERCENT_MAX = 9;
const LOOSE_BEATS_MAX = 35;

const SITE_OF_QUANTITY: Readonly<Partial<Record<QuantityName, Site>>> = {
  heartRate: "chest",
  rrInterval: "chest",
  respiratoryRate: "chest",
  pulseRate: "finger",
  oxygenSaturation: "finger",
  perfusionIndex: "finger",
  systolicPressure: "cuff",
  diastolicPressure: "cuff",
  meanPressure: "cuff",
  cuffPulseRate: "cuff",
  arterialSystolicPressure: "artery",
  arterialDiastolicPressure: "artery",
  arterialMeanPressure: "artery",
  bodyTemperature: "probe",
  endTidalCarbonDioxide: "airway",
};

/** Where a quantity is measured; null where no sensor that can come off does. */
export function siteOf(quantity: QuantityName): Site | null {
  return SITE_OF_QUANTITY[quantity] ?? null;
}

const SITE_OF_WAVE: Readonly<Record<WaveformName, Site>> = {
  ecgLeadI: "chest",
  ecgLeadII: "chest",
  ecgUnknownLead: "chest",
  respiration: "chest",
  plethysmogram: "finger",
  arterialPressure: "artery",
  bloodPressure2: "artery",
};

/** A body as the sensors of one device see it: what is off sees nothing, what is loose sees movement too. */
export function wornBody(body: PatientBody, fitAt: FitAt, seed: number): PatientBody {
  return {
    quantity: (name, atMs) => {
      const site = SITE_OF_QUANTITY[name];
      const seconds = atMs / 1000;
      if (site === undefined) return body.quantity(name, atMs);
      const fit = fitAt(site, seconds);
      if (fit === "off") return absent(name, "sensor-off");
      if (site === "finger" && fitAt(site, seconds - PULSE_SEARCH_SECONDS) === "off") return absent(name, "searching");
      const reading = body.quantity(name, atMs);
      return fit === "loose" ? shaken(reading, seedOfPart(seed, Math.floor(seconds))) : reading;
    },
    wave: (name, atMs) => {
      const fit = fitAt(SITE_OF_WAVE[name], atMs / 1000);
      if (fit === "off") return 0;
      const value = body.wave(name, atMs);
      if (fit === "on") return value;
      const shake = 0.3 * (Math.sin(atMs / 61) + Math.sin(atMs / 37 + 1));
      return name === "plethysmogram" || name === "respiration" ? Math.min(1, Math.max(0, value + shake)) : value + shake;
    },
  };
}

/** What movement makes of a value, for one second. */
function shaken(reading: Reading, seed: number): Reading {
  if (reading.kind === "absent") return reading;
  const { quantity, value, unit, held } = reading;
  if (evenAt(seed, 1) < LOOSE_LOST_SHARE) return absent(quantity, "no-signal");
  const moved = {
    oxygenSaturation: Math.max(1, value - LOOSE_PERCENT_MAX * evenAt(seed, 2)),
    pulseRate: value + LOOSE_BEATS_MAX * (evenAt(seed, 3) - 0.2),
    heartRate: value + LOOSE_BEATS_MAX * (evenAt(seed, 4) - 0.2),
  }[quantity as string];
  return present(quantity, moved ?? value, unit, { flags: ["motion"], held });
}

/** Something that happens to a sensor and not to the patient. */
export interface FitChange {
  readonly atSeconds: number;
  readonly site: Site;
  readonly fit: Fit;
}

/**
 * How sensors sit by a plan; `on` before the first change.
 *
 * @param repeatSeconds  After this time the plan begins anew; null: never.
 */
export function fitPlan(changes: readonly FitChange[], repeatSeconds: number | null): FitAt {
  if (changes.length === 0) return () => "on";
  return (site, seconds) => {
    const inPlan = repeatSeconds === null || seconds < 0 ? seconds : seconds % repeatSeconds;
    return changes.findLast((change) => change.site === site && change.atSeconds <= inPlan)?.fit ?? "on";
  };
}
