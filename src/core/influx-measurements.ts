import type { Text } from "./quantities.ts";

/** What one column of a measurement holds. */
interface Column {
  readonly meaning: Text;
}

/** One field: its type never changes, because a server refuses a field that changes its type. */
interface Field extends Column {
  readonly type: "float" | "integer" | "string" | "boolean";
}

/** One measurement: its tags are few and bounded, because each combination of them is a series that the server keeps an index for. */
interface Measurement {
  readonly meaning: Text;
  readonly tags: Readonly<Record<string, Column>>;
  readonly fields: Readonly<Record<string, Field>>;
}

const GATEWAY = { meaning: { en: "`gateway.id`", zh: "网关编号 `gateway.id`" } } as const;
const PATIENT = {
  meaning: {
    en: "as `patientTag` says: a pseudonym, the id, or `assigned`; `unassigned` or `none` without a patient; `over-limit` beyond the bound",
    zh: "由 `patientTag` 决定：假名、原编号或 `assigned`；无患者为 `unassigned` 或 `none`；超过上限为 `over-limit`",
  },
} as const;
const DEVICE = { meaning: { en: "the device's id, or `none`", zh: "设备编号，或 `none`" } } as const;
const BED = { meaning: { en: "the bed's id, or `none`", zh: "床位编号，或 `none`" } } as const;
const ORIGIN = {
  meaning: {
    en: "`measured`, `test`, `simulated` or `replayed`",
    zh: "`measured` 实测、`test` 测试、`simulated` 模拟、`replayed` 回放",
  },
} as const;
const SEQ = {
  type: "integer",
  meaning: { en: "the record's number in the journal", zh: "日志中的记录序号" },
} as const;

function counted(en: string, zh: string) {
  return { type: "integer", meaning: { en, zh } } as const;
}

function worded(en: string, zh: string) {
  return { type: "string", meaning: { en, zh } } as const;
}

/**
 * What the gateway writes to an InfluxDB, printed by the documentation (`config/README.md`); dashboards are checked against it.
 *
 * The time of a point is the record's own (`measuredAtMs` of an observation, `changedAtMs` of an alert, `atMs` of the others) in
 * nanoseconds, `ms * 1,000,000 + number mod 1,000,000`: two records of one millisecond stay apart, and the same record sent twice is the
 * same point. No field or tag depends on when or how often it is sent. VictoriaMetrics keeps milliseconds only: there, of two records of
 * one series in one millisecond one stays, and texts become 0.
 *
 * Who acted, who signed in, how a patient is called on the wall, people's notes and reasons, and a device's own words never leave this way.
 */
// biome-ignore format: one column a line, so that it reads as the table it is.
export const INFLUX_MEASUREMENTS = {
  observation: {
    meaning: { en: "One value of one quantity, or the reason why there is none", zh: "一个参数的数值，或无数值的原因" },
    tags: {
      gateway: GATEWAY,
      device: DEVICE,
      patient: PATIENT,
      quantity: { meaning: { en: "the quantity's name, see above", zh: "参数名，见上表" } },
      unit: { meaning: { en: "its unit in UCUM, the same always", zh: "单位（UCUM），固定不变" } },
      validity: { meaning: { en: "`valid`, `questionable` or `invalid`", zh: "`valid` 有效、`questionable` 存疑、`invalid` 无效" } },
      origin: ORIGIN,
    },
    fields: {
      value: { type: "float", meaning: { en: "the value; left out where there is none, never 0 instead", zh: "数值；无数值时不写，绝不以 0 代替" } },
      why: worded("why there is no value, such as `sensor-off`", "无数值的原因，例如 `sensor-off`"),
      flags: worded("what lowers trust in it, joined by commas", "影响可信度的标记，逗号分隔"),
      delay_ms: counted("from the measurement to its arrival", "从测量到收到的毫秒数"),
      seq: SEQ,
    },
  },
  prediction: {
    meaning: { en: "A score or risk of one patient", zh: "某患者的评分或风险" },
    tags: {
      gateway: GATEWAY,
      patient: PATIENT,
      model: { meaning: { en: "its folder in `models/`", zh: "`models/` 中的文件夹名" } },
      answer: { meaning: { en: "`score`, `risk` or `no-answer`", zh: "`score` 评分、`risk` 风险、`no-answer` 无结果" } },
      origin: ORIGIN,
    },
    fields: {
      points: { type: "float", meaning: { en: "the score, or its lower bound while inputs are missing", zh: "评分；缺少输入时为下限" } },
      risk: { type: "float", meaning: { en: "0 to 1", zh: "0 至 1" } },
      horizon_seconds: { type: "float", meaning: { en: "how far ahead the risk looks", zh: "风险预测的时间范围（秒）" } },
      partial: { type: "boolean", meaning: { en: "whether an input is missing", zh: "是否缺少输入" } },
      missing: worded("the missing inputs, joined by commas", "缺少的输入，逗号分隔"),
      parts: worded("what each input earned, such as `respiratoryRate 3`", "各输入得分，例如 `respiratoryRate 3`"),
      response: worded("the band of the score, such as `urgent`", "评分对应的响应级别，例如 `urgent`"),
      why: worded("why there is no answer", "无结果的原因"),
      model_version: worded("the model's version", "模型版本"),
      seq: SEQ,
    },
  },
  alert: {
    meaning: { en: "One state of one alert, at the moment it changed", zh: "报警在某次变化时的状态" },
    tags: {
      gateway: GATEWAY,
      patient: PATIENT,
      bed: BED,
      device: DEVICE,
      nature: { meaning: { en: "`physiological` or `technical`", zh: "`physiological` 生理、`technical` 技术" } },
      priority: { meaning: { en: "`high`, `medium` or `low`", zh: "`high` 高、`medium` 中、`low` 低" } },
      rule: { meaning: { en: "such as `limit.oxygenSaturation.low`", zh: "例如 `limit.oxygenSaturation.low`" } },
      state: { meaning: { en: "`active`, `acknowledged` or `ended`", zh: "`active` 活动、`acknowledged` 已确认、`ended` 已结束" } },
      origin: ORIGIN,
    },
    fields: {
      id: worded("the same from an alert's first state to its last", "同一报警始终不变的编号"),
      open: counted("1 while it lasts, 0 once it ended", "持续中为 1，结束为 0"),
      phase: worded("`start`, `continue`, `update`, `escalate`, `deescalate` or `end`", "阶段：`start`、`continue`、`update`、`escalate`、`deescalate`、`end`"),
      text_en: worded("in words", "英文文字；设备自己的报警只写其代码"),
      text_zh: worded("in words, Chinese", "中文文字"),
      part: worded("the part of the gateway it is about", "涉及的网关部件"),
      value: { type: "float", meaning: { en: "the value or score that raised it", zh: "触发报警的数值或评分" } },
      limit: { type: "float", meaning: { en: "the limit that was passed", zh: "被越过的限值" } },
      raised_count: counted("how often it was raised", "触发次数"),
      open_ms: counted("from its raising to this state", "从触发到此状态的毫秒数"),
      seq: SEQ,
    },
  },
  act: {
    meaning: { en: "What a person did; not who", zh: "人员操作；不含操作者" },
    tags: {
      gateway: GATEWAY,
      patient: PATIENT,
      bed: BED,
      device: DEVICE,
      deed: { meaning: { en: "such as `admit`, `assign` or `set-limit`", zh: "例如 `admit`、`assign`、`set-limit`" } },
    },
    fields: {
      from: worded("through which door: `page`, `command-line`, `upstream`, `hl7` or `demonstration`", "操作途径"),
      quantity: worded("whose limit was set, or is the ward's own again", "被设置限值或恢复病区限值的参数"),
      low: { type: "float", meaning: { en: "its lower limit", zh: "下限" } },
      high: { type: "float", meaning: { en: "its upper limit", zh: "上限" } },
      alert: worded("which alert was acknowledged or judged", "被确认或评价的报警编号"),
      verdict: worded("what became of it: `relevant`, `not-actionable` or `false`", "报警评价：`relevant` 真实且有意义、`not-actionable` 真实但无需处理、`false` 误报"),
      former: worded("the number that is used no more after a merge, named as `patientTag` says", "合并后不再使用的患者编号（按 `patientTag` 命名）"),
      consciousness: worded("what was entered: A, C, V, P or U", "录入的意识水平：A、C、V、P、U"),
      on_oxygen: { type: "boolean", meaning: { en: "what was entered", zh: "录入的吸氧状态" } },
      demonstration: { type: "boolean", meaning: { en: "whether the patient is a demonstration", zh: "是否演示患者" } },
      seq: SEQ,
    },
  },
  device_event: {
    meaning: { en: "Something a device or its link did", zh: "设备或其连接的事件" },
    tags: {
      gateway: GATEWAY,
      device: DEVICE,
      code: { meaning: { en: "such as `link-down`", zh: "例如 `link-down`" } },
    },
    fields: {
      facts: worded("its facts as JSON; left out of `device-text`, the device's own words", "事实（JSON）；设备自己的文字 `device-text` 不写"),
      seq: SEQ,
    },
  },
  loss: {
    meaning: { en: "Records or waves that are gone", zh: "已丢失的记录或波形" },
    tags: {
      gateway: GATEWAY,
      what: { meaning: { en: "`records` or `waveforms`", zh: "`records` 记录、`waveforms` 波形" } },
      why: { meaning: { en: "such as `byte-budget`", zh: "例如 `byte-budget`" } },
    },
    fields: {
      count: counted("how many, at most", "最多丢失数量"),
      from_seq: counted("the first number", "起始序号"),
      to_seq: counted("the last number", "结束序号"),
      reader: worded("the reader that never gets them; left out where nobody does", "未收到的读者；全部丢失时不写"),
      seq: SEQ,
    },
  },
  gateway_start: {
    meaning: { en: "The gateway began to run", zh: "网关启动" },
    tags: { gateway: GATEWAY },
    fields: {
      version: worded("the gateway's version", "网关版本"),
      before: worded("how the run before ended: `first`, `closed` or `cut-off`", "上次运行如何结束：`first`、`closed`、`cut-off`"),
      epoch: worded("the journal's epoch: numbers are comparable within one", "日志纪元：同一纪元内序号可比"),
      left_out: counted("numbers that no record has", "没有记录的序号个数"),
      trusted: { type: "boolean", meaning: { en: "whether the clock was believed", zh: "时钟是否可信" } },
      seq: SEQ,
    },
  },
  gateway_clock: {
    meaning: { en: "What is known of the gateway's clock changed", zh: "网关时钟的变化" },
    tags: {
      gateway: GATEWAY,
      why: { meaning: { en: "`step`, `drift`, `trust` or `suspend`", zh: "`step` 跳变、`drift` 漂移、`trust` 可信度、`suspend` 休眠" } },
    },
    fields: {
      moved_ms: { type: "float", meaning: { en: "how far it was moved, forwards positive", zh: "移动的毫秒数，向前为正" } },
      trusted: { type: "boolean", meaning: { en: "whether it is believed now", zh: "现在是否可信" } },
      seq: SEQ,
    },
  },
  gateway_tally: {
    meaning: { en: "The gateway's own count of the records it made, once a minute", zh: "网关每分钟自计的记录数" },
    tags: { gateway: GATEWAY },
    fields: {
      records: counted("all of them", "全部"),
      observations: counted("of them observations", "其中观测"),
      predictions: counted("of them predictions", "其中预测"),
      alerts: counted("of them states of alerts", "其中报警状态"),
      acts: counted("of them acts", "其中操作"),
      losses: counted("of them losses", "其中丢失"),
      events: counted("of them events", "其中事件"),
      seq: SEQ,
    },
  },
  device_tally: {
    meaning: { en: "What one device sent, once a minute", zh: "每台设备每分钟的收发统计" },
    tags: { gateway: GATEWAY, device: DEVICE },
    fields: {
      bytes: counted("bytes", "字节"),
      messages: counted("messages that were decoded", "成功解析的报文"),
      refusals: counted("stretches of bytes that were refused", "拒收的数据段"),
      readings: counted("readings in those messages", "报文中的读数"),
      repeats: counted("readings that a monitor merely repeated", "监护仪仅重复的读数"),
      observations: counted("observations made of them", "生成的观测"),
      waves: counted("chunks of waves", "波形片段"),
      seq: SEQ,
    },
  },
  gateway_heartbeat: {
    meaning: { en: "The gateway reaches this server, every ten seconds", zh: "网关每十秒写入一次心跳" },
    tags: { gateway: GATEWAY },
    fields: {
      committed_seq: counted("everything up to here is on the gateway's disk", "到此序号的记录均已落盘"),
      state: worded("the gateway's own word for how it is, such as `working`", "网关自述状态，例如 `working`"),
    },
  },
} as const satisfies Readonly<Record<string, Measurement>>;

/** The measurements by name. */
export type InfluxMeasurements = typeof INFLUX_MEASUREMENTS;
/** The name of a measurement. */
export type InfluxMeasurement = keyof InfluxMeasurements;
