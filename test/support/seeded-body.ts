import { absent, present, type Reading } from "../../src/core/observation.ts";
import type { PatientBody } from "../../src/core/ports.ts";
import { QUANTITIES, type QuantityName } from "../../src/core/quantities.ts";
import { seededRandom } from "./seeded-random.ts";

/** Ranges a living patient may show, distinct enough that swapped fields are seen. */
// biome-ignore format: one row a quantity.
const RANGES: Readonly<Partial<Record<QuantityName, readonly [number, number]>>> = {
  heartRate: [40, 199], pulseRate: [128, 250], respiratoryRate: [4, 39], oxygenSaturation: [51, 100],
  systolicPressure: [141, 220], diastolicPressure: [71, 99], meanPressure: [100, 140], cuffPulseRate: [31, 39],
  arterialSystolicPressure: [150, 240], arterialDiastolicPressure: [60, 70], arterialMeanPressure: [80, 95],
  endTidalCarbonDioxide: [20, 60], bodyTemperature: [34, 41],
  perfusionIndex: [0.2, 3.9], bloodGlucose: [4.1, 18], bodyWeight: [251, 340], rrInterval: [400, 1900], batteryLevel: [1, 30],
  motion: [0, 1], presence: [0, 1], opening: [0, 1], vibration: [0, 1], waterLeak: [0, 1], smoke: [0, 1], combustibleGas: [0, 1],
  carbonMonoxide: [0, 1], tampering: [0, 1], ambientTemperature: [10, 19], relativeHumidity: [42, 50], illuminance: [2000, 9000],
};

/** A body whose quantities stand still at seeded values; `lacking` names what is absent and why. */
export function seededBody(seed: number, lacking: (quantity: QuantityName) => Reading | null = () => null): PatientBody {
  const random = seededRandom(seed);
  const values = new Map<QuantityName, number>();
  for (const [name, [min, max]] of Object.entries(RANGES) as [QuantityName, readonly [number, number]][]) {
    const { resolution } = QUANTITIES[name];
    values.set(name, Math.round((min + random.fraction() * (max - min)) / resolution) * resolution);
  }
  return {
    quantity: (name) => {
      const value = values.get(name);
      return lacking(name) ?? (value === undefined ? absent(name, "not-available") : present(name, value, QUANTITIES[name].unit));
    },
    wave: (name, atMs) => {
      const swing = (1 + Math.sin((2 * Math.PI * atMs) / 800 + seed)) / 2;
      return name === "arterialPressure" || name === "bloodPressure2" ? 70 + 50 * swing : swing;
    },
  };
}
