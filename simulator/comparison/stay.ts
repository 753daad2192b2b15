import type { QuantityName, Text } from "../../src/core/quantities.ts";
import type { Series } from "./statistics.ts";

/** What is known of a quantity that is compared. */
interface ComparedDefinition {
  readonly title: Text;
  readonly unit: string;
  /** Its name in the file of real patients. */
  readonly column: string;
  /** What stands for it on the simulated body. Blood pressure is the cuff's: the real file does not say whether cuff or catheter. */
  readonly quantity: QuantityName;
  /** The smallest step that a chart writes. */
  readonly step: number;
  /** The bins of the plot. */
  readonly bins: { readonly low: number; readonly width: number; readonly count: number };
}

/** All that is compared, by name. */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const COMPARED = {
  heartRate: { title: { en: "Heart rate", zh: "心率" }, unit: "/min", column: "heart_rate", quantity: "heartRate", step: 1, bins: { low: 29.5, width: 5, count: 26 } },
  respiratoryRate: { title: { en: "Respiratory rate", zh: "呼吸频率" }, unit: "/min", column: "respiratory_rate", quantity: "respiratoryRate", step: 1, bins: { low: 1.5, width: 2, count: 22 } },
  oxygenSaturation: { title: { en: "SpO2", zh: "血氧饱和度" }, unit: "%", column: "spo2", quantity: "oxygenSaturation", step: 1, bins: { low: 84.5, width: 1, count: 16 } },
  systolicPressure: { title: { en: "Systolic pressure", zh: "收缩压" }, unit: "mmHg", column: "systolic", quantity: "systolicPressure", step: 1, bins: { low: 59.5, width: 6, count: 24 } },
  meanPressure: { title: { en: "Mean pressure", zh: "平均压" }, unit: "mmHg", column: "mean_pressure", quantity: "meanPressure", step: 1, bins: { low: 39.5, width: 5, count: 20 } },
  bodyTemperature: { title: { en: "Temperature", zh: "体温" }, unit: "°C", column: "temperature", quantity: "bodyTemperature", step: 0.1, bins: { low: 33.95, width: 0.3, count: 20 } },
} as const satisfies Record<string, ComparedDefinition>;

/** The name of a quantity that is compared. */
export type ComparedName = keyof typeof COMPARED;

/** All names, in the order of the table. */
export const COMPARED_NAMES = Object.keys(COMPARED) as readonly ComparedName[];

/** Pairs that a physiology moves together. */
export const PAIRS = [
  ["heartRate", "bodyTemperature"],
  ["respiratoryRate", "oxygenSaturation"],
  ["systolicPressure", "meanPressure"],
  ["heartRate", "respiratoryRate"],
  ["heartRate", "meanPressure"],
] as const satisfies readonly (readonly [ComparedName, ComparedName])[];

/** The charted hours of one patient, real or simulated. */
export interface Stay {
  readonly patient: number;
  readonly rowsCount: number;
  readonly series: Readonly<Record<ComparedName, Series>>;
}
