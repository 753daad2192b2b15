/** A text a person sees, in the two languages of the product. */
export interface Text {
  readonly en: string;
  readonly zh: string;
}

/** One row of the table of quantities. */
export interface QuantityDefinition {
  /** ISO/IEEE 11073-10101 flat code (partition * 65536 + term), or null where none could be confirmed. */
  readonly mdc: number | null;
  /** LOINC code, or null where none could be confirmed. */
  readonly loinc: string | null;
  /** The one unit inside the gateway, in UCUM. */
  readonly unit: string;
  /** What can occur in a living person or a working device; outside it is impossible, not merely abnormal. */
  readonly possible: { readonly min: number; readonly max: number };
  /** Smallest step worth showing: 1 for whole numbers, 0.1 for one decimal. */
  readonly resolution: number;
  /** `continuous` values come by themselves; `episodic` ones are taken now and then. Source: SAFETY.md, scores on streams. */
  readonly rhythm: "continuous" | "episodic";
  readonly title: Text;
  readonly short: Text;
  /** Where the number is a state and not an amount: the words for 0 and for 1. */
  readonly states?: readonly [Text, Text];
}

function row(definition: QuantityDefinition): QuantityDefinition {
  return definition;
}

/**
 * The one table of what the gateway can measure.
 * Codes: ISO/IEEE 11073-10101 as listed in shared protocol notes and cross-read in two public sources; LOINC 2.7x.
 * `possible` is deliberately wider than any alarm limit: it catches broken bytes, not sick people.
 */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const QUANTITIES = {
  heartRate: row({ mdc: 147842, loinc: "8867-4", unit: "/min", possible: { min: 10, max: 350 }, resolution: 1, rhythm: "continuous", title: { en: "Heart rate", zh: "心率" }, short: { en: "HR", zh: "心率" } }),
  pulseRate: row({ mdc: 149530, loinc: "8889-8", unit: "/min", possible: { min: 10, max: 350 }, resolution: 1, rhythm: "continuous", title: { en: "Pulse rate", zh: "脉率" }, short: { en: "PR", zh: "脉率" } }),
  respiratoryRate: row({ mdc: 151562, loinc: "9279-1", unit: "/min", possible: { min: 0, max: 150 }, resolution: 1, rhythm: "continuous", title: { en: "Respiratory rate", zh: "呼吸频率" }, short: { en: "RR", zh: "呼吸" } }),
  oxygenSaturation: row({ mdc: 150456, loinc: "59408-5", unit: "%", possible: { min: 1, max: 100 }, resolution: 1, rhythm: "continuous", title: { en: "Oxygen saturation", zh: "血氧饱和度" }, short: { en: "SpO₂", zh: "血氧" } }),
  perfusionIndex: row({ mdc: 150448, loinc: "61006-3", unit: "%", possible: { min: 0, max: 30 }, resolution: 0.01, rhythm: "continuous", title: { en: "Perfusion index", zh: "灌注指数" }, short: { en: "PI", zh: "灌注" } }),
  systolicPressure: row({ mdc: 150021, loinc: "8480-6", unit: "mm[Hg]", possible: { min: 20, max: 320 }, resolution: 1, rhythm: "episodic", title: { en: "Systolic pressure (cuff)", zh: "收缩压（袖带）" }, short: { en: "SYS", zh: "收缩压" } }),
  diastolicPressure: row({ mdc: 150022, loinc: "8462-4", unit: "mm[Hg]", possible: { min: 10, max: 240 }, resolution: 1, rhythm: "episodic", title: { en: "Diastolic pressure (cuff)", zh: "舒张压（袖带）" }, short: { en: "DIA", zh: "舒张压" } }),
  meanPressure: row({ mdc: 150023, loinc: "8478-0", unit: "mm[Hg]", possible: { min: 10, max: 280 }, resolution: 1, rhythm: "episodic", title: { en: "Mean pressure (cuff)", zh: "平均压（袖带）" }, short: { en: "MAP", zh: "平均压" } }),
  cuffPulseRate: row({ mdc: 149546, loinc: null, unit: "/min", possible: { min: 10, max: 350 }, resolution: 1, rhythm: "episodic", title: { en: "Pulse rate (cuff)", zh: "脉率（袖带）" }, short: { en: "PR cuff", zh: "袖带脉率" } }),
  arterialSystolicPressure: row({ mdc: 150033, loinc: "76215-3", unit: "mm[Hg]", possible: { min: -30, max: 360 }, resolution: 1, rhythm: "continuous", title: { en: "Arterial systolic pressure", zh: "动脉收缩压" }, short: { en: "ART S", zh: "动脉收缩" } }),
  arterialDiastolicPressure: row({ mdc: 150034, loinc: "76213-8", unit: "mm[Hg]", possible: { min: -30, max: 300 }, resolution: 1, rhythm: "continuous", title: { en: "Arterial diastolic pressure", zh: "动脉舒张压" }, short: { en: "ART D", zh: "动脉舒张" } }),
  arterialMeanPressure: row({ mdc: 150035, loinc: "76214-6", unit: "mm[Hg]", possible: { min: -30, max: 320 }, resolution: 1, rhythm: "continuous", title: { en: "Arterial mean pressure", zh: "动脉平均压" }, short: { en: "ART M", zh: "动脉平均" } }),
  bodyTemperature: row({ mdc: 150364, loinc: "8310-5", unit: "Cel", possible: { min: 15, max: 45 }, resolution: 0.1, rhythm: "episodic", title: { en: "Body temperature", zh: "体温" }, short: { en: "TEMP", zh: "体温" } }),
  endTidalCarbonDioxide: row({ mdc: 151728, loinc: "19891-1", unit: "mm[Hg]", possible: { min: 0, max: 150 }, resolution: 1, rhythm: "continuous", title: { en: "End-tidal carbon dioxide", zh: "呼气末二氧化碳" }, short: { en: "EtCO₂", zh: "呼末CO₂" } }),
  bloodGlucose: row({ mdc: 160184, loinc: null, unit: "mmol/L", possible: { min: 0.3, max: 60 }, resolution: 0.1, rhythm: "episodic", title: { en: "Blood glucose", zh: "血糖" }, short: { en: "GLU", zh: "血糖" } }),
  bodyWeight: row({ mdc: 188736, loinc: "29463-7", unit: "kg", possible: { min: 0.2, max: 450 }, resolution: 0.1, rhythm: "episodic", title: { en: "Body weight", zh: "体重" }, short: { en: "WT", zh: "体重" } }),
  rrInterval: row({ mdc: 147240, loinc: "8637-1", unit: "ms", possible: { min: 150, max: 8000 }, resolution: 1, rhythm: "continuous", title: { en: "R-R interval", zh: "RR间期" }, short: { en: "R-R", zh: "RR" } }),
  batteryLevel: row({ mdc: 67996, loinc: null, unit: "%", possible: { min: 0, max: 100 }, resolution: 1, rhythm: "episodic", title: { en: "Battery", zh: "电池电量" }, short: { en: "BAT", zh: "电量" } }),
  motion: row({ mdc: null, loinc: null, unit: "1", possible: { min: 0, max: 1 }, resolution: 1, rhythm: "episodic", title: { en: "Motion", zh: "活动" }, short: { en: "Motion", zh: "活动" }, states: [{ en: "none", zh: "无" }, { en: "seen", zh: "有" }] }),
  presence: row({ mdc: null, loinc: null, unit: "1", possible: { min: 0, max: 1 }, resolution: 1, rhythm: "episodic", title: { en: "Presence", zh: "有人" }, short: { en: "Presence", zh: "有人" }, states: [{ en: "nobody", zh: "无人" }, { en: "somebody", zh: "有人" }] }),
  opening: row({ mdc: null, loinc: null, unit: "1", possible: { min: 0, max: 1 }, resolution: 1, rhythm: "episodic", title: { en: "Door, window or rail", zh: "门窗/护栏" }, short: { en: "Door", zh: "门窗" }, states: [{ en: "closed", zh: "关" }, { en: "open", zh: "开" }] }),
  vibration: row({ mdc: null, loinc: null, unit: "1", possible: { min: 0, max: 1 }, resolution: 1, rhythm: "episodic", title: { en: "Vibration", zh: "振动" }, short: { en: "Vibration", zh: "振动" }, states: [{ en: "none", zh: "无" }, { en: "felt", zh: "有" }] }),
  waterLeak: row({ mdc: null, loinc: null, unit: "1", possible: { min: 0, max: 1 }, resolution: 1, rhythm: "episodic", title: { en: "Water leak", zh: "漏水" }, short: { en: "Leak", zh: "漏水" }, states: [{ en: "dry", zh: "无" }, { en: "water", zh: "漏水" }] }),
  smoke: row({ mdc: null, loinc: null, unit: "1", possible: { min: 0, max: 1 }, resolution: 1, rhythm: "episodic", title: { en: "Smoke", zh: "烟雾" }, short: { en: "Smoke", zh: "烟雾" }, states: [{ en: "none", zh: "无" }, { en: "smoke", zh: "有烟" }] }),
  combustibleGas: row({ mdc: null, loinc: null, unit: "1", possible: { min: 0, max: 1 }, resolution: 1, rhythm: "episodic", title: { en: "Combustible gas", zh: "可燃气体" }, short: { en: "Gas", zh: "燃气" }, states: [{ en: "none", zh: "无" }, { en: "gas", zh: "泄漏" }] }),
  carbonMonoxide: row({ mdc: null, loinc: null, unit: "1", possible: { min: 0, max: 1 }, resolution: 1, rhythm: "episodic", title: { en: "Carbon monoxide", zh: "一氧化碳" }, short: { en: "CO", zh: "一氧化碳" }, states: [{ en: "none", zh: "无" }, { en: "found", zh: "超标" }] }),
  tampering: row({ mdc: null, loinc: null, unit: "1", possible: { min: 0, max: 1 }, resolution: 1, rhythm: "episodic", title: { en: "Tampering", zh: "防拆" }, short: { en: "Tamper", zh: "防拆" }, states: [{ en: "none", zh: "正常" }, { en: "opened", zh: "被拆" }] }),
  ambientTemperature: row({ mdc: null, loinc: null, unit: "Cel", possible: { min: -60, max: 100 }, resolution: 0.1, rhythm: "episodic", title: { en: "Room temperature", zh: "室温" }, short: { en: "Room", zh: "室温" } }),
  relativeHumidity: row({ mdc: null, loinc: null, unit: "%", possible: { min: 0, max: 100 }, resolution: 1, rhythm: "episodic", title: { en: "Relative humidity", zh: "相对湿度" }, short: { en: "RH", zh: "湿度" } }),
  illuminance: row({ mdc: null, loinc: null, unit: "lx", possible: { min: 0, max: 200_000 }, resolution: 1, rhythm: "episodic", title: { en: "Illuminance", zh: "光照度" }, short: { en: "Light", zh: "光照" } }),
} as const satisfies Record<string, QuantityDefinition>;

/** The name of a quantity, as in configuration, records and commands. */
export type QuantityName = keyof typeof QUANTITIES;

/** All names, in the order of the table. */
export const QUANTITY_NAMES = Object.keys(QUANTITIES) as readonly QuantityName[];

/** Quantities of a device or a room. They come whether anybody wears the device or not. */
const NOT_OF_A_BODY: ReadonlySet<QuantityName> = new Set<QuantityName>([
  "batteryLevel",
  "motion",
  "presence",
  "opening",
  "vibration",
  "waterLeak",
  "smoke",
  "combustibleGas",
  "carbonMonoxide",
  "tampering",
  "ambientTemperature",
  "relativeHumidity",
  "illuminance",
]);

/** Whether a value of this quantity can only come from somebody's body. */
export function isOfABody(quantity: QuantityName): boolean {
  return !NOT_OF_A_BODY.has(quantity);
}

/** Whether a text is the name of a quantity. */
export function isQuantityName(text: string): text is QuantityName {
  return Object.hasOwn(QUANTITIES, text);
}

/** One row of the table of waves. */
export interface WaveformDefinition {
  /** ISO/IEEE 11073-10101 flat code, or null where none could be confirmed. */
  readonly mdc: number | null;
  readonly title: Text;
}

/** The waves a driver may emit. Their unit is said by each chunk, because many devices send uncalibrated counts. */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const WAVEFORMS = {
  ecgLeadI: { mdc: 131329, title: { en: "ECG I", zh: "心电 I" } },
  ecgLeadII: { mdc: 131330, title: { en: "ECG II", zh: "心电 II" } },
  ecgUnknownLead: { mdc: 131328, title: { en: "ECG", zh: "心电" } },
  respiration: { mdc: 151552, title: { en: "Respiration", zh: "呼吸" } },
  plethysmogram: { mdc: 150452, title: { en: "Pleth", zh: "容积脉搏波" } },
  arterialPressure: { mdc: 150032, title: { en: "Arterial pressure", zh: "动脉压" } },
  bloodPressure2: { mdc: 150016, title: { en: "Pressure 2", zh: "压力2" } },
} as const satisfies Record<string, WaveformDefinition>;

/** The name of a wave. */
export type WaveformName = keyof typeof WAVEFORMS;

/** Whether a text names a wave. */
export function isWaveformName(text: string): text is WaveformName {
  return Object.hasOwn(WAVEFORMS, text);
}
