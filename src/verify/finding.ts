import { LIMITS } from "../core/limits.ts";
import type { Text } from "../core/quantities.ts";

/** What a rule means, and whether it makes the answer no. */
interface FindingDefinition {
  /** True where something is not where it must be, or nobody can say where it is. */
  readonly wrong: boolean;
  readonly says: Text;
}

/** Everything `vigil verify` can find, in one table. */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const FINDINGS = {
  "hole": { wrong: true, says: { en: "numbers are missing and nothing says why", zh: "编号缺失且无任何说明" } },
  "double": { wrong: true, says: { en: "two records have one number", zh: "两条记录使用同一编号" } },
  "not-rising": { wrong: true, says: { en: "a number lies behind a higher one", zh: "编号未按升序排列" } },
  "start-without-end": { wrong: true, says: { en: "a life begins and the one before neither ended nor was cut off", zh: "新的运行开始，但上一次运行既未结束也未中断" } },
  "left-out-not-empty": { wrong: true, says: { en: "numbers that were left out have records, or do not reach to the start they belong to", zh: "标为跳过的编号存在记录，或未接至其启动记录" } },
  "left-out-after-end": { wrong: true, says: { en: "numbers were left out after an orderly end, and not as many as a start leaves out whose files cannot be written", zh: "上一次运行正常结束后仍有编号被跳过，且数量与文件不可写时的启动不符" } },
  "loss-count": { wrong: true, says: { en: "more records are gone than the loss records say", zh: "实际缺失多于丢失记录所述" } },
  "damaged": { wrong: true, says: { en: "stored bytes have a wrong check sum, and their loss is not recorded yet", zh: "存储数据校验和错误，且其丢失尚未记录" } },
  "tally-total": { wrong: true, says: { en: "a tally's kinds do not add up to its numbers", zh: "计数记录各类之和与编号数不符" } },
  "tally-kind": { wrong: true, says: { en: "the records on disk are not those the gateway counted", zh: "磁盘记录与网关计数不符" } },
  "tally-device": { wrong: true, says: { en: "a device's observations on disk are not those the gateway counted", zh: "设备的观测记录与网关计数不符" } },
  "tally-readings": { wrong: true, says: { en: "a device's readings became neither observations nor repeats", zh: "设备读数既未成为观测也未计为重复" } },
  "tally-gap": { wrong: true, says: { en: "two tallies of one life do not meet", zh: "同一次运行的相邻计数不连续" } },
  "cursor-ahead": { wrong: true, says: { en: "a reader says it is done with records that are not there", zh: "读取者的进度超出已有记录" } },
  "cursor-damaged": { wrong: true, says: { en: "a reader's cursor has a wrong check sum; it begins anew", zh: "读取者进度校验和错误，将从头开始" } },
  "far-missing": { wrong: true, says: { en: "delivered by the reader's account, and not at the far side", zh: "读取者称已送达，但对端没有" } },
  "far-unknown": { wrong: true, says: { en: "at the far side, and nowhere in the journal", zh: "对端存在，而日志中没有" } },
  "far-not-kept": { wrong: true, says: { en: "at the far side as durable, and not on disk after a cut-off or at the end", zh: "对端标为已落盘，但中断后或末尾的磁盘上没有" } },
  "far-changed": { wrong: true, says: { en: "the far side has another content under this number", zh: "对端同一编号的内容不同" } },
  "far-two-contents": { wrong: true, says: { en: "the far side got two contents under one number", zh: "对端同一编号收到两种内容" } },
  "far-unmarked-duplicate": { wrong: true, says: { en: "came again without being marked as resent", zh: "重复到达但未标记为重发" } },
  "far-out-of-order": { wrong: true, says: { en: "came behind a later record without being marked as resent", zh: "未标记重发而乱序到达" } },
  "far-first-missing": { wrong: true, says: { en: "came again, and its first arrival is not in the file", zh: "记录为再次到达，但文件中没有首次到达" } },
  "far-unreadable": { wrong: true, says: { en: "a line of the receiver's file cannot be read", zh: "接收端文件有无法解析的行" } },
  "far-scattered": { wrong: true, says: { en: "the receiver's file holds too many or too scattered numbers to be compared", zh: "接收端文件编号过多或过于分散，无法比对" } },
  "loss-still-there": { wrong: false, says: { en: "fewer records are gone than the loss records say", zh: "实际缺失少于丢失记录所述" } },
  "loss-owed": { wrong: false, says: { en: "a loss is noted on disk and becomes a record when the gateway runs", zh: "丢失已登记，网关运行后写为记录" } },
  "interrupted-commit": { wrong: false, says: { en: "not on disk yet when the life was cut off, while alerts of the same commit were", zh: "中断时尚未落盘，同批报警已落盘" } },
  "not-counted": { wrong: false, says: { en: "no tally covers these numbers", zh: "这些编号没有计数记录覆盖" } },
  "life-without-start": { wrong: false, says: { en: "the first records belong to a version that wrote no start", zh: "最早的记录来自不写启动记录的版本" } },
  "torn-line": { wrong: false, says: { en: "the receiver was cut off while it wrote a line of its file", zh: "接收端在写入一行时被中断" } },
  "far-other": { wrong: false, says: { en: "lines of another gateway or another epoch of the journal; not compared", zh: "其他网关或其他日志纪元的行，未比对" } },
  "far-ahead": { wrong: false, says: { en: "came while this check was running, or before their commit", zh: "检查期间到达，或先于落盘到达" } },
  "far-no-content": { wrong: false, says: { en: "the receiver's file does not tell the content; only the numbers were compared", zh: "接收端文件未给出内容，仅比对编号" } },
} as const satisfies Record<string, FindingDefinition>;

/** The name of something that can be found. */
export type FindingRule = keyof typeof FINDINGS;

/** One thing that was found: how many records it is about, and between which numbers where there are any. */
export interface Finding {
  readonly rule: FindingRule;
  readonly fromSeq: number | null;
  readonly toSeq: number | null;
  readonly count: number;
  readonly facts: Readonly<Record<string, string | number>>;
}

/** Gathers findings. Keeps at most `verifyFindingsMax` of each rule and counts all. */
export class FindingBook {
  readonly #kept: Finding[] = [];
  readonly #places = new Map<FindingRule, number>();
  readonly #counts = new Map<FindingRule, number>();

  add(finding: Finding): void {
    const places = this.#places.get(finding.rule) ?? 0;
    this.#places.set(finding.rule, places + 1);
    this.#counts.set(finding.rule, (this.#counts.get(finding.rule) ?? 0) + finding.count);
    if (places < LIMITS.verifyFindingsMax.value) this.#kept.push(finding);
  }

  /** In the order they were found, at most `verifyFindingsMax` of each rule. */
  list(): readonly Finding[] {
    return this.#kept;
  }

  /** Records concerned, by rule, of rules that are wrong or of the others. */
  counts(wrong: boolean): Readonly<Partial<Record<FindingRule, number>>> {
    return Object.fromEntries([...this.#counts].filter(([rule]) => FINDINGS[rule].wrong === wrong));
  }

  /** Whether nothing wrong was found. */
  isClean(): boolean {
    return ![...this.#counts.keys()].some((rule) => FINDINGS[rule].wrong);
  }
}
