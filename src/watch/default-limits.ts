import type { Priority } from "../core/alert.ts";
import type { QuantityName } from "../core/quantities.ts";

/** A limit with its urgency: under it (low) or over it (high) the condition holds; the value itself is still inside. */
export interface LimitLevel {
  readonly value: number;
  readonly priority: Priority;
}

/** The limits of one quantity, in its canonical unit. */
export interface QuantityLimits {
  /** Levels of either side; an empty list is a side that is switched off. */
  readonly low: readonly LimitLevel[];
  readonly high: readonly LimitLevel[];
  /** How long the value must be outside before the condition is raised. */
  readonly onsetSeconds: number;
  /** How far inside the value must be, in the quantity's unit, before the condition ends. */
  readonly hysteresis: number;
  /** How long it must be that far inside. */
  readonly clearSeconds: number;
}

const level = (value: number, priority: Priority): LimitLevel => ({ value, priority });

/**
 * Limits of an adult where nobody set others. To be confirmed by the clinical owner.
 *
 * Sources: the medium limits lie at or outside the 3-point edges of NEWS2 (RCP 2017) where it has one (respiration <= 8 and >= 25,
 * pulse <= 40 and >= 131, systolic <= 90 and >= 220, temperature <= 35.0); SpO2 90 % and the delays weigh the
 * alarm burden of published wards (a 15 s delay removes 60 % of alarms, a limit of 88 instead of 90 % 63 %): 10 s keeps the deadline short.
 * Glucose: below 3.9 and 3.0 mmol/L as levels 1 and 2 of hypoglycaemia (ADA Standards of Care). Episodic values have no delay: the next one may be hours away.
 */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const ADULT_LIMITS: Readonly<Partial<Record<QuantityName, QuantityLimits>>> = {
  heartRate: { low: [level(45, "medium"), level(35, "high")], high: [level(130, "medium"), level(150, "high")], onsetSeconds: 10, hysteresis: 2, clearSeconds: 10 },
  pulseRate: { low: [level(45, "medium"), level(35, "high")], high: [level(130, "medium"), level(150, "high")], onsetSeconds: 10, hysteresis: 2, clearSeconds: 10 },
  respiratoryRate: { low: [level(8, "high")], high: [level(25, "medium"), level(30, "high")], onsetSeconds: 15, hysteresis: 1, clearSeconds: 10 },
  oxygenSaturation: { low: [level(90, "medium"), level(85, "high")], high: [], onsetSeconds: 10, hysteresis: 1, clearSeconds: 10 },
  systolicPressure: { low: [level(90, "medium"), level(80, "high")], high: [level(180, "medium"), level(220, "high")], onsetSeconds: 0, hysteresis: 2, clearSeconds: 0 },
  diastolicPressure: { low: [], high: [level(110, "medium")], onsetSeconds: 0, hysteresis: 2, clearSeconds: 0 },
  meanPressure: { low: [level(60, "medium"), level(55, "high")], high: [], onsetSeconds: 0, hysteresis: 2, clearSeconds: 0 },
  arterialSystolicPressure: { low: [level(90, "medium"), level(80, "high")], high: [level(180, "medium"), level(220, "high")], onsetSeconds: 10, hysteresis: 2, clearSeconds: 10 },
  arterialMeanPressure: { low: [level(60, "medium"), level(55, "high")], high: [], onsetSeconds: 10, hysteresis: 2, clearSeconds: 10 },
  bodyTemperature: { low: [level(35, "medium")], high: [level(39, "medium"), level(40.5, "high")], onsetSeconds: 0, hysteresis: 0.2, clearSeconds: 0 },
  endTidalCarbonDioxide: { low: [level(25, "medium")], high: [level(55, "medium")], onsetSeconds: 15, hysteresis: 2, clearSeconds: 10 },
  bloodGlucose: { low: [level(3.9, "medium"), level(3.0, "high")], high: [level(13.9, "medium"), level(16.7, "high")], onsetSeconds: 0, hysteresis: 0.2, clearSeconds: 0 },
};
