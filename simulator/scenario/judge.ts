import { type Alert, type AlertNature, PRIORITY_RANK, type Priority } from "../../src/core/alert.ts";
import type { Prediction } from "../../src/core/prediction.ts";
import type { Text } from "../../src/core/quantities.ts";
import { durationText } from "./duration.ts";
import type { Expectation, Scenario } from "./schema.ts";

/** Everything a gateway said during a scenario, in order; seconds since its beginning. */
export interface Witness {
  readonly alerts: readonly { readonly atSeconds: number; readonly alert: Alert }[];
  readonly predictions: readonly { readonly atSeconds: number; readonly prediction: Prediction }[];
  /** When the gateway's heartbeat was found missing, and when it was there again. */
  readonly heartbeats: readonly { readonly atSeconds: number; readonly what: "missed" | "back" }[];
  /** Whether a gateway was heard at all. Where none was, its silence is no proof of anything. */
  readonly heard: boolean;
}

/** What became of one expectation. */
export interface Finding {
  readonly expectation: Expectation;
  /** What was expected, in words. */
  readonly expected: Text;
  readonly met: boolean;
  /** What happened instead, or when it was met. */
  readonly said: Text;
  readonly atSeconds: number | null;
}

/** Which alerts an expectation means. */
interface Meant {
  readonly alert: string;
  readonly of?: string | undefined;
  readonly nature?: AlertNature | undefined;
  readonly priority?: Priority | undefined;
}

/** A time at which an alert was open with at least the wanted priority. */
interface Stretch {
  readonly id: string;
  readonly rule: string;
  readonly fromSeconds: number;
  readonly toSeconds: number;
}

/** Holds what was said against what must be. One finding for each expectation, in their order. */
export function judge(scenario: Scenario, witness: Witness): readonly Finding[] {
  return scenario.expect.map((expectation) => {
    const { met, said, atSeconds } = judgeOne(expectation, { scenario, witness });
    return { expectation, expected: inWords(expectation), met, said, atSeconds };
  });
}

/** Reminded of, or worse: either takes the acknowledgement back. */
const AGAIN: ReadonlySet<Alert["phase"]> = new Set(["continue", "escalate"]);

type Judged = Pick<Finding, "met" | "said" | "atSeconds">;

function judgeOne(expectation: Expectation, given: { readonly scenario: Scenario; readonly witness: Witness }): Judged {
  const { scenario, witness } = given;
  if (!witness.heard) return missed({ en: "no gateway was heard at all", zh: "完全未听到网关" });
  if ("alert" in expectation) {
    const toSeconds = expectation.by ?? expectation.after + (expectation.within ?? 0);
    const open = stretchesOf(witness, expectation).filter(
      ({ fromSeconds, toSeconds: endsSeconds }) =>
        fromSeconds <= toSeconds && (expectation.begins === true ? fromSeconds : endsSeconds) >= expectation.after,
    );
    const lasting = expectation.lasting === true ? open.filter((each) => each.toSeconds >= toSeconds) : open;
    const first = earliest(lasting);
    return first === null
      ? missed(nearest(witness, expectation))
      : held(Math.max(first.fromSeconds, expectation.after), { en: "raised", zh: "已报警" });
  }
  if ("never" in expectation) {
    const meant = { ...expectation, alert: expectation.never };
    const untilSeconds = expectation.until ?? scenario.lasts;
    const first = earliest(
      stretchesOf(witness, meant).filter((each) => each.fromSeconds >= expectation.from && each.fromSeconds < untilSeconds),
    );
    return first === null
      ? { met: true, atSeconds: null, said: { en: "none came", zh: "未出现" } }
      : {
          met: false,
          atSeconds: first.fromSeconds,
          said: {
            en: `${first.rule} came at ${durationText(first.fromSeconds)}`,
            zh: `${durationText(first.fromSeconds)} 出现 ${first.rule}`,
          },
        };
  }
  if ("atMost" in expectation)
    return judgeCount(expectation, stretchesOf(witness, { ...expectation, alert: expectation.alerts }));
  if ("ends" in expectation) {
    const toSeconds = expectation.after + expectation.within;
    const all = stretchesOf(witness, { ...expectation, alert: expectation.ends });
    const open = all.filter((each) => each.fromSeconds <= toSeconds && each.toSeconds >= toSeconds);
    const ended = all.filter((each) => each.toSeconds >= expectation.after && each.toSeconds < toSeconds);
    const last = ended.at(-1);
    if (open.length > 0) return missed({ en: "it is still open", zh: "仍未结束" });
    return last === undefined
      ? missed({ en: "nothing ended in that time", zh: "该时段无报警结束" })
      : held(last.toSeconds, { en: "ended", zh: "已结束" });
  }
  if ("raisedAgain" in expectation) {
    const fits = matcher({ alert: expectation.raisedAgain, of: expectation.of });
    const toSeconds = expectation.after + expectation.within;
    const again = witness.alerts.find(
      ({ atSeconds, alert }) => atSeconds >= expectation.after && atSeconds <= toSeconds && AGAIN.has(alert.phase) && fits(alert),
    );
    return again === undefined
      ? missed({ en: "it was not raised again", zh: "未再次报警" })
      : held(again.atSeconds, { en: "raised again", zh: "再次报警" });
  }
  if ("score" in expectation) return judgeScore(expectation, witness);
  const toSeconds = expectation.after + expectation.within;
  const beat = witness.heartbeats.find(
    ({ atSeconds, what }) => what === expectation.heartbeat && atSeconds >= expectation.after && atSeconds <= toSeconds,
  );
  return beat === undefined
    ? missed({ en: "it was not noticed", zh: "未察觉" })
    : held(beat.atSeconds, { en: "noticed", zh: "已察觉" });
}

function judgeCount(expectation: Extract<Expectation, { atMost: number }>, stretches: readonly Stretch[]): Judged {
  const counts = new Map<number, number>();
  for (const { fromSeconds } of stretches) {
    const part = expectation.per === undefined ? 0 : Math.floor(fromSeconds / expectation.per);
    counts.set(part, (counts.get(part) ?? 0) + 1);
  }
  const most = Math.max(0, ...counts.values());
  const said = { en: `${most} at most, ${stretches.length} in all`, zh: `最多 ${most} 次，共 ${stretches.length} 次` };
  return { met: most <= expectation.atMost, atSeconds: null, said };
}

function judgeScore(expectation: Extract<Expectation, { score: string }>, witness: Witness): Judged {
  const fitting = witness.predictions.find(({ atSeconds, prediction }) => {
    if (atSeconds > expectation.by || prediction.patientId !== expectation.of || prediction.modelId !== expectation.score)
      return false;
    const { answer } = prediction;
    if (answer.kind !== "score") return false;
    return answer.points >= (expectation.points ?? 0) && (expectation.complete !== true || answer.missing.length === 0);
  });
  return fitting === undefined
    ? missed({ en: "it did not come to that", zh: "未达到" })
    : held(fitting.atSeconds, { en: "reached", zh: "已达到" });
}

function held(atSeconds: number, word: Text): Judged {
  const at = durationText(atSeconds);
  return { met: true, atSeconds, said: { en: `${word.en} at ${at}`, zh: `${at} ${word.zh}` } };
}

function missed(said: Text): Judged {
  return { met: false, atSeconds: null, said };
}

/** What came instead of an alert that was due. */
function nearest(witness: Witness, meant: Meant): Text {
  const [first] = stretchesOf(witness, meant);
  if (first !== undefined) {
    const at = durationText(first.fromSeconds);
    return { en: `it came at ${at}`, zh: `于 ${at} 才出现` };
  }
  const rules = [...new Set(witness.alerts.map(({ alert }) => alert.rule))];
  const heard = rules.length === 0 ? "-" : rules.join(", ");
  return { en: `it never came; there were: ${heard}`, zh: `从未出现；已有：${heard}` };
}

function earliest(stretches: readonly Stretch[]): Stretch | null {
  return stretches.reduce<Stretch | null>(
    (first, each) => (first === null || each.fromSeconds < first.fromSeconds ? each : first),
    null,
  );
}

/** When alerts that are meant were open, from the moment at which they were as urgent as is wanted. */
function stretchesOf(witness: Witness, meant: Meant): readonly Stretch[] {
  const fits = matcher(meant);
  const open = new Map<string, Stretch>();
  const done: Stretch[] = [];
  for (const { atSeconds, alert } of witness.alerts) {
    const before = open.get(alert.id);
    const holds = alert.state !== "ended" && fits(alert);
    if (holds && before === undefined)
      open.set(alert.id, { id: alert.id, rule: alert.rule, fromSeconds: atSeconds, toSeconds: Number.POSITIVE_INFINITY });
    if (!holds && before !== undefined && alert.state === "ended") {
      done.push({ ...before, toSeconds: atSeconds });
      open.delete(alert.id);
    }
  }
  return [...done, ...open.values()].sort((first, second) => first.fromSeconds - second.fromSeconds);
}

function matcher(meant: Meant): (alert: Alert) => boolean {
  const pattern = rulePattern(meant.alert);
  const rank = meant.priority === undefined ? 0 : PRIORITY_RANK[meant.priority];
  return ({ rule, subject, nature, priority }) => {
    if (!pattern.test(rule) || PRIORITY_RANK[priority] < rank) return false;
    if (meant.nature !== undefined && nature !== meant.nature) return false;
    if (meant.of === undefined) return true;
    if (meant.of === "gateway") return subject.patientId === null && subject.deviceId === null;
    return [subject.patientId, subject.deviceId, subject.bedId].some((each) => each === meant.of);
  };
}

/** A rule with `*` for anything, as a pattern. */
export function rulePattern(rule: string): RegExp {
  return new RegExp(
    `^${rule
      .split("*")
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
      .join(".*")}$`,
  );
}

/** Of which nature and how urgent at least, where either is said. */
function kindInWords({ nature, priority }: Pick<Meant, "nature" | "priority">): Text {
  const natured = nature === undefined ? "" : ` ${nature}`;
  const urgent = priority === undefined || priority === "low" ? { en: "", zh: "" } : URGENT[priority];
  return { en: `${natured}${urgent.en}`, zh: `${natured}${urgent.zh}` };
}

const URGENT = {
  medium: { en: ", medium or high", zh: "（中级或高级）" },
  high: { en: ", high", zh: "（高级）" },
} as const;

/** An expectation in words. */
function inWords(expectation: Expectation): Text {
  const of = "of" in expectation && expectation.of !== undefined ? ` (${expectation.of})` : "";
  if ("alert" in expectation) {
    const en =
      expectation.by === undefined
        ? `within ${durationText(expectation.within ?? 0)} of ${durationText(expectation.after)}`
        : `by ${durationText(expectation.by)}`;
    const zh =
      expectation.by === undefined
        ? `在 ${durationText(expectation.after)} 后 ${durationText(expectation.within ?? 0)} 内`
        : `在 ${durationText(expectation.by)} 前`;
    const isNew = expectation.begins === true;
    const what = isNew
      ? { en: `new ${expectation.alert}${of}`, zh: `新的 ${expectation.alert}${of}` }
      : { en: `${expectation.alert}${of}`, zh: `${expectation.alert}${of}` };
    const kind = kindInWords(expectation);
    return { en: `${what.en}${kind.en} ${en}`, zh: `${zh}报警 ${what.zh}${kind.zh}` };
  }
  if ("never" in expectation) {
    const what = `${expectation.never}${of}`;
    const kind = kindInWords(expectation);
    const until = expectation.until === undefined ? "" : durationText(expectation.until);
    return {
      en: `no ${what}${kind.en} from ${durationText(expectation.from)}${until === "" ? " on" : ` to ${until}`}`,
      zh: `${durationText(expectation.from)}${until === "" ? " 起" : ` 至 ${until} `}不得出现 ${what}${kind.zh}`,
    };
  }
  if ("atMost" in expectation) {
    const per =
      expectation.per === undefined
        ? { en: "", zh: "" }
        : { en: ` in each ${durationText(expectation.per)}`, zh: `每 ${durationText(expectation.per)}` };
    const what = `${expectation.alerts}${of}`;
    const kind = kindInWords(expectation);
    return {
      en: `at most ${expectation.atMost} of ${what}${kind.en}${per.en}`,
      zh: `${per.zh} ${what}${kind.zh} 至多 ${expectation.atMost} 次`.trim(),
    };
  }
  const after = "after" in expectation ? durationText(expectation.after) : "";
  const within = "within" in expectation ? durationText(expectation.within) : "";
  if ("ends" in expectation)
    return {
      en: `${expectation.ends}${of} ends within ${within} of ${after}`,
      zh: `${expectation.ends}${of} 在 ${after} 后 ${within} 内结束`,
    };
  if ("raisedAgain" in expectation)
    return {
      en: `${expectation.raisedAgain}${of} raised again within ${within} of ${after}`,
      zh: `${expectation.raisedAgain}${of} 在 ${after} 后 ${within} 内再次报警`,
    };
  if ("score" in expectation) {
    const points = expectation.points === undefined ? "" : ` >= ${expectation.points}`;
    const by = durationText(expectation.by);
    return { en: `${expectation.score}${points}${of} by ${by}`, zh: `${by} 前 ${expectation.score}${points}${of}` };
  }
  const word = expectation.heartbeat === "missed" ? { en: "missing", zh: "缺失" } : { en: "back", zh: "恢复" };
  return { en: `heartbeat ${word.en} noticed within ${within} of ${after}`, zh: `在 ${after} 后 ${within} 内察觉心跳${word.zh}` };
}
