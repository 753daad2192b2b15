import type { Alert } from "./alert.ts";
import { ERRORS } from "./errors.ts";
import type { Absence, Origin, QualityFlag } from "./observation.ts";
import { isQuantityName, QUANTITIES, type QuantityName, type Text } from "./quantities.ts";

/** The languages of the product. */
export type Language = keyof Text;

/** What of an alert its text is made from. */
export type AlertTextSource = Pick<Alert, "rule" | "evidence" | "priority" | "subject" | "nature">;

// biome-ignore format: one row a line, so that it reads as the table it is.
const WHY: Readonly<Record<Absence | QualityFlag, Text>> = {
  "sensor-off": { en: "sensor off", zh: "传感器脱落" },
  "no-signal": { en: "no signal", zh: "无信号" },
  "not-available": { en: "device gives no value", zh: "设备无数值" },
  invalid: { en: "device calls it invalid", zh: "设备标记无效" },
  searching: { en: "device is searching", zh: "设备搜索中" },
  "out-of-range": { en: "out of the device's range", zh: "超出设备量程" },
  impossible: { en: "impossible value", zh: "数值不可能" },
  motion: { en: "motion", zh: "运动干扰" },
  "low-perfusion": { en: "low perfusion", zh: "低灌注" },
  "weak-signal": { en: "weak signal", zh: "信号弱" },
  "signal-lost": { en: "signal lost", zh: "信号丢失" },
  "contact-unknown": { en: "contact unknown", zh: "接触状态未知" },
  "irregular-pulse": { en: "irregular pulse", zh: "脉搏不规则" },
  "early-estimate": { en: "early estimate", zh: "初步估计值" },
  "device-alarm": { en: "device alarm", zh: "设备报警" },
  "device-questionable": { en: "device doubts it", zh: "设备存疑" },
  "device-clock-unset": { en: "device clock not set", zh: "设备时钟未设置" },
  "measured-time-unknown": { en: "time of measurement unknown", zh: "测量时间未知" },
  late: { en: "late", zh: "迟到数据" },
  "after-gap": { en: "after a gap", zh: "中断之后" },
  "patient-unconfirmed": { en: "patient not confirmed", zh: "患者待确认" },
};

// biome-ignore format: one row a line, so that it reads as the table it is.
const ORIGINS: Readonly<Record<Origin, Text>> = {
  measured: { en: "measured", zh: "实测" },
  test: { en: "test", zh: "测试" },
  simulated: { en: "simulated", zh: "模拟" },
  replayed: { en: "replayed", zh: "回放" },
};

/** Inputs of a score that are entered, or that several quantities can serve: then none of them is claimed. */
// biome-ignore format: one row a line, so that it reads as the table it is.
const INPUTS: Readonly<Record<string, Text>> = {
  systolicPressure: { en: "Systolic pressure", zh: "收缩压" },
  consciousness: { en: "Consciousness", zh: "意识" },
  onOxygen: { en: "Oxygen therapy", zh: "吸氧" },
};

/** How a unit of UCUM is written at the bedside. */
function unitOf(quantity: QuantityName): string {
  const { unit } = QUANTITIES[quantity];
  if (unit === "mm[Hg]") return " mmHg";
  return unit === "Cel" ? " °C" : ` ${unit}`;
}

/** A number with the decimals of its quantity: 38.0, not 38. */
function numberText(quantity: QuantityName, value: number): string {
  const { resolution } = QUANTITIES[quantity];
  const decimals = resolution >= 1 ? 0 : Math.round(-Math.log10(resolution));
  return value.toFixed(decimals);
}

function inputText(input: string, language: Language): string {
  const named = Object.hasOwn(INPUTS, input) ? INPUTS[input] : undefined;
  if (named !== undefined) return named[language];
  return isQuantityName(input) ? QUANTITIES[input].title[language] : input;
}

function listText(inputs: readonly string[], language: Language): string {
  return inputs.map((input) => inputText(input, language)).join(language === "zh" ? "、" : ", ");
}

/** Why a value is missing or doubted, in words; a word that nobody knows as it is, nothing for null. */
export function whyText(why: string | null, language: Language): string {
  if (why === null) return "";
  const known = Object.hasOwn(WHY, why) ? WHY[why as Absence | QualityFlag][language] : why;
  return language === "zh" ? `（${known}）` : ` (${known})`;
}

function limitText(evidence: Extract<Alert["evidence"], { kind: "limit" }>, language: Language): string {
  const { quantity, side, value, limit } = evidence;
  const title = QUANTITIES[quantity].title[language];
  const measured = `${numberText(quantity, value)}${unitOf(quantity)}`;
  // A limit may be set finer than the quantity is shown.
  const bound = `${Number.isInteger(limit) ? numberText(quantity, limit) : limit}${unitOf(quantity)}`;
  if (language === "zh") return `${title}过${side === "low" ? "低" : "高"}：${measured}（限值 ${bound}）`;
  return `${title} ${side}: ${measured} (limit ${bound})`;
}

function scoreText(evidence: Extract<Alert["evidence"], { kind: "score" }>, language: Language): string {
  const zh = language === "zh";
  const { modelId, points, partial, parts, missing } = evidence;
  const reasons = Object.entries(parts)
    .filter(([, earned]) => earned > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([input, earned]) => `${inputText(input, language)} ${earned}`)
    .join(zh ? "、" : ", ");
  const name = modelId.toUpperCase();
  const head = zh
    ? `${name} 评分 ${partial ? "至少 " : ""}${points} 分`
    : `${name} ${partial ? "at least " : ""}${points} points`;
  const because = reasons === "" ? "" : zh ? `：${reasons}` : `: ${reasons}`;
  if (missing.length === 0) return head + because;
  return head + because + (zh ? `（缺 ${listText(missing, language)}）` : ` (missing ${listText(missing, language)})`);
}

/** Minutes up to two hours, hours up to two days, then days; whole ones, rounded down. */
function gapText(seconds: number, language: Language): string {
  const minutes = Math.floor(seconds / 60);
  const [count, en, zh] =
    minutes < 120
      ? ([minutes, "min", "分钟"] as const)
      : minutes < 48 * 60
        ? ([Math.floor(minutes / 60), "h", "小时"] as const)
        : ([Math.floor(minutes / 1440), "days", "天"] as const);
  return `${count} ${language === "zh" ? zh : en}`;
}

function stillOnPatientText(
  { why, gapSeconds, limitSeconds }: Extract<Alert["evidence"], { kind: "still-on-patient" }>,
  device: string,
  language: Language,
): string {
  const zh = language === "zh";
  if (why === "moved")
    return zh
      ? `${device} 仍在该患者身上吗？患者已转床，设备仍在测量`
      : `Is ${device} still on this patient? They were moved to another bed, and it measures`;
  const gap = gapText(gapSeconds ?? limitSeconds, language);
  if (zh) return `${device} 仍在该患者身上吗？中断${gapSeconds === null ? "超过 " : " "}${gap}后又开始测量`;
  return `Is ${device} still on this patient? It measures again after ${gapSeconds === null ? "more than " : ""}${gap}`;
}

/**
 * What an alert says at the bedside: plain words with value, limit and unit.
 *
 * @returns  One line without the patient or the bed, which are shown beside it. Priority and nature are shown by colour and sign.
 */
export function alertText(alert: AlertTextSource, language: Language): string {
  const { evidence, subject } = alert;
  const zh = language === "zh";
  const device = subject.deviceId ?? (zh ? "设备" : "device");
  switch (evidence.kind) {
    case "limit":
      return limitText(evidence, language);
    case "score":
      return scoreText(evidence, language);
    case "score-partial": {
      const names = listText(evidence.missing, language);
      const name = evidence.modelId.toUpperCase();
      return zh ? `${name} 评分长时间不完整，缺 ${names}` : `${name} has been incomplete for long: missing ${names}`;
    }
    case "device-silent":
      return zh
        ? `${device} 超过 ${evidence.limitSeconds} 秒无数据${evidence.lastHeardAtMs === null ? "（从未收到）" : ""}`
        : `${device} silent for over ${evidence.limitSeconds} s${evidence.lastHeardAtMs === null ? " (never heard)" : ""}`;
    case "quantity-missing": {
      const title = QUANTITIES[evidence.quantity].title[language];
      const why = whyText(evidence.why, language);
      return zh
        ? `${title}超过 ${evidence.limitSeconds} 秒无可用数值${why}`
        : `${title}: no usable value for over ${evidence.limitSeconds} s${why}`;
    }
    case "stuck": {
      const { quantity, value, limitSeconds } = evidence;
      const stuck = `${numberText(quantity, value)}${unitOf(quantity)}`;
      const title = QUANTITIES[quantity].title[language];
      return zh
        ? `${title}停在 ${stuck} 超过 ${limitSeconds} 秒（${device}）`
        : `${title} stuck at ${stuck} for over ${limitSeconds} s (${device})`;
    }
    case "unassigned":
      return zh ? `${device} 正在发送数据，但未分配给任何患者` : `${device} sends data but is assigned to nobody`;
    case "not-measured": {
      const origin = ORIGINS[evidence.origin][language];
      return zh
        ? `${device} 发送的是${origin}数据，不会触发患者报警`
        : `${device} sends ${origin} data, which raises no alert on this patient`;
    }
    case "still-on-patient":
      return stillOnPatientText(evidence, device, language);
    case "device-alarm":
      return zh ? `设备报警（${device}）：${evidence.text}` : `Alarm of ${device}: ${evidence.text}`;
    case "fault": {
      const facts = Object.entries(evidence.facts).map(([name, fact]) => `${name} ${fact}`);
      const title = ERRORS[evidence.code].title[language];
      if (facts.length === 0) return title;
      return zh ? `${title}（${facts.join("，")}）` : `${title} (${facts.join(", ")})`;
    }
  }
}

// biome-ignore format: one row a line, so that it reads as the table it is.
const REMEDIES = {
  "score-partial": { en: "Measure or enter what is missing.", zh: "请测量或录入缺少的项目。" },
  "device-silent": { en: "Look at the patient. Check power, cable and link of the device.", zh: "请查看患者，检查设备电源、线缆与连接。" },
  "quantity-missing": { en: "Look at the patient. Check sensor and contact.", zh: "请查看患者，检查传感器与接触。" },
  stuck: { en: "Look at the patient. Restart the device; do not trust the number.", zh: "请查看患者，重启设备；勿信任该数值。" },
  unassigned: { en: "Assign the device to a patient or take it away.", zh: "请将设备分配给患者，或移走设备。" },
  "not-measured": { en: "Take the device out of its test or demonstration mode.", zh: "请让设备退出测试或演示模式。" },
  "still-on-patient": { en: "Look whom it is on and say so. Until then its values go on counting for this patient.", zh: "请查看设备在谁身上并作出确认；确认前其数值仍计入该患者。" },
} as const satisfies Record<string, Text>;

/** What to do about a technical alert, or null where the patient is the matter and the reader knows better. */
export function alertRemedy(alert: AlertTextSource, language: Language): string | null {
  const { evidence } = alert;
  switch (evidence.kind) {
    case "fault":
      return ERRORS[evidence.code].remedy[language];
    case "score-partial":
    case "device-silent":
    case "quantity-missing":
    case "stuck":
    case "unassigned":
    case "not-measured":
    case "still-on-patient":
      return REMEDIES[evidence.kind][language];
    case "limit":
    case "score":
    case "device-alarm":
      return null;
  }
}
