import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Config } from "../../config/schema.ts";
import type { Act } from "../core/act.ts";
import { actText } from "../core/act-text.ts";
import { type Fault, fault } from "../core/errors.ts";
import type { Text } from "../core/quantities.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { sqliteOrSystemCode } from "../journal/journal-folder.ts";
import { type JournalView, viewJournal } from "../journal/read-only.ts";
import { ActChain, type ChainFault, type ChainReport } from "../verify/act-chain.ts";
import { isInWindow, type TimeWindow } from "../verify/window.ts";
import type { Command, CommandIo } from "./command.ts";
import { askedOf, configOf, windowOf } from "./question.ts";
import { readRecordFile } from "./record-file.ts";
import { tellFault } from "./told-fault.ts";

/** What was asked for. */
interface Question {
  readonly verb: "show" | "verify";
  readonly configFile: string;
  readonly files: readonly string[];
  readonly window: TimeWindow;
  readonly quiet: boolean;
}

/** `vigil audit`: who did what, and whether that record is whole. */
export const auditCommand: Command = {
  name: "audit",
  usage: `usage: vigil audit show --config FILE [--from TIME] [--to TIME] [--json]
       vigil audit verify --config FILE [--from TIME] [--to TIME] [--upstream FILE ...] [--json]
show prints every act: who did what, when, as what, from where. One JSON line each on standard output, and a line for
people on standard error, which --json leaves out. The acts hold patients' numbers: mind who reads them.
verify walks the chain of hashes along all acts, also while a gateway is at work: no act was changed, taken out, put in or
exchanged since it was written. Acts of before there was a chain are counted, and nothing is said of them.
--upstream  The record file a receiver wrote. Only it can show that the end of the chain was cut off, or that all of it
            was written anew by somebody who could change the journal: keep it where they cannot.
--from, --to  Only acts from one time to just before another, for example 2026-11-22T08:00Z; the links are followed all along.
Exit 0: the chain holds; 1: it does not, and the first broken link is named; 2: wrong usage, or an invalid configuration.
审计：show 列出全部操作；verify 核对操作的哈希链（修改、删除、插入、调换均可发现）。链尾被截断或整条链被重写，只有
结合接收方的记录文件（--upstream）才能发现。退出码 1 表示链不完整，并指出第一处断裂。`,
  run: async (args, io) => {
    const question = questionOf(args, io);
    if (question === null) return 2;
    const config = await configOf(question.configFile, io);
    if (config === null) return 2;
    if (question.verb === "show") return show(config, question, io);
    const report = await verifyActs(config, question);
    if (!report.ok) {
      tellFault(report.error, io);
      return 1;
    }
    printReport(report.value, question, io);
    return report.value.breakCount === 0 ? 0 : 1;
  },
};

function questionOf(args: readonly string[], io: CommandIo): Question | null {
  return askedOf(auditCommand, io, () => {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: "string" },
        upstream: { type: "string", multiple: true },
        from: { type: "string" },
        to: { type: "string" },
        json: { type: "boolean" },
      },
    });
    const [verb, ...others] = positionals;
    const { config, upstream = [], from, to, json } = values;
    const fits = (verb === "show" && upstream.length === 0) || verb === "verify";
    if (fits && others.length === 0 && config !== undefined)
      return { verb, configFile: config, files: upstream, window: windowOf(from, to), quiet: json === true };
    return null;
  });
}

function show(config: Config, question: Question, io: CommandIo): number {
  const visited = visitActs(config, () => ({
    act: (act) => {
      if (!isInWindow(question.window, act.atMs)) return;
      io.stdout(JSON.stringify(act));
      if (!question.quiet) io.stderr(actText(act));
    },
    damaged: ({ file, fromSeq, toSeq }) =>
      io.stderr(`${file}: ${fromSeq}..${toSeq} cannot be read; acts may be among them 无法读取，其中可能有操作记录`),
  }));
  if (visited.ok) return 0;
  tellFault(visited.error, io);
  return 1;
}

/** Who is told of what lies in the journal. */
interface ActVisitor {
  readonly act: (act: Act) => void;
  readonly damaged: (place: { readonly file: string; readonly fromSeq: number; readonly toSeq: number }) => void;
}

/** Goes along all acts of a journal, oldest first; nothing is changed, and a gateway may be at work on it. */
function visitActs(config: Config, visitorOf: (facts: JournalFacts) => ActVisitor): Result<JournalFacts, Fault> {
  const folder = join(config.gateway.dataFolder, "journal");
  const opened = viewJournal(folder);
  if (!opened.ok) return opened;
  const view = opened.value;
  try {
    const facts = { epoch: view.epoch, isRunning: view.isRunning };
    visitView(view, visitorOf(facts));
    return succeed(facts);
  } catch (error) {
    const code = sqliteOrSystemCode(error);
    if (code === null) throw error;
    return fail(fault("journal-unreadable", { folder, code }));
  } finally {
    view.close();
  }
}

interface JournalFacts {
  readonly epoch: string | null;
  readonly isRunning: boolean;
}

function visitView(view: JournalView, visitor: ActVisitor): void {
  for (const step of view.walkKept(["act"])) {
    if (step.kind === "damaged") visitor.damaged(step);
    else if (step.record.kind === "act") visitor.act(step.record);
  }
}

/** What a verification found. */
export interface ActsReport extends ChainReport, JournalFacts {
  readonly gatewayId: string;
  /** Acts in the record files that belong to a former journal of this gateway. */
  readonly otherJournalActs: number;
}

/**
 * Walks the chain of acts of a journal and holds it against receivers' record files.
 *
 * @returns  What was found, or why the journal or a file cannot be read.
 */
export async function verifyActs(
  config: Config,
  asked: { readonly files: readonly string[]; readonly window: TimeWindow },
): Promise<Result<ActsReport, Fault>> {
  // The far side first: what comes while this runs is then on disk here when it is looked for.
  const received = await receivedActs(config, asked.files);
  if (!received.ok) return received;
  let chain = new ActChain({ window: asked.window, received: null });
  const visited = visitActs(config, ({ epoch }) => {
    const ofThis = received.value === null ? null : (received.value.get(epoch ?? "") ?? new Map());
    chain = new ActChain({ window: asked.window, received: ofThis });
    return { act: (act) => chain.take(act), damaged: (place) => chain.damaged(place) };
  });
  if (!visited.ok) return visited;
  const others = [...(received.value ?? [])].filter(([epoch]) => epoch !== visited.value.epoch);
  const otherJournalActs = others.reduce((sum, [, acts]) => sum + acts.size, 0);
  return succeed({ gatewayId: config.gateway.id, ...visited.value, ...chain.finish(), otherJournalActs });
}

/** The acts a receiver has of each of the gateway's journals, by the journal's epoch and the act's number, with their content hashes. */
type ReceivedActs = ReadonlyMap<string, ReadonlyMap<number, string | null>>;

/** The acts of this gateway in record files; null without a file. */
async function receivedActs(config: Config, files: readonly string[]): Promise<Result<ReceivedActs | null, Fault>> {
  const received = new Map<string, Map<number, string | null>>();
  for (const file of files) {
    const read = await readRecordFile(file, (text) => {
      const line = actLine(text, config.gateway.id);
      if (line === null) return;
      const ofEpoch = received.get(line.epoch) ?? new Map<number, string | null>();
      received.set(line.epoch, ofEpoch.set(line.seq, line.content));
    });
    if (!read.ok) return read;
  }
  return succeed(files.length === 0 ? null : received);
}

interface ActLine {
  readonly epoch: string;
  readonly seq: number;
  readonly content: string | null;
}

/** What a line says of an act of this gateway that was on its disk when it left; null of any other line, torn ones too. */
function actLine(text: string, gatewayId: string): ActLine | null {
  if (!text.includes('"act"')) return null;
  try {
    const line = JSON.parse(text) as Readonly<Record<string, unknown>> | null;
    const key = line?.["key"];
    if (line?.["kind"] !== "act" || typeof key !== "string" || line["durable"] === false) return null;
    const [, id, epoch, seq] = /^(.+)\/([0-9a-f-]{36})\/(\d{1,15})$/.exec(key) ?? [];
    if (id !== gatewayId || epoch === undefined) return null;
    const content = line["content"];
    return { epoch, seq: Number(seq), content: typeof content === "string" ? content : null };
  } catch {
    return null;
  }
}

// biome-ignore format: one row a line, so that it reads as the table it is.
const FAULT_TEXTS: Readonly<Record<ChainFault, Text>> = {
  changed: { en: "its content is not what was written", zh: "内容与写入时不同" },
  "not-next": { en: "it does not follow the act before it: one was taken out, put in or exchanged there", zh: "与前一操作不相接：此处有操作被删除、插入或调换" },
  unchained: { en: "it bears no hash, though acts before it do", zh: "没有哈希，而之前的操作有" },
  "out-of-order": { en: "its number is not above that of the act before it", zh: "编号不大于前一操作" },
  damaged: { en: "stored bytes cannot be read, and acts may be among them", zh: "存储数据无法读取，其中可能有操作记录" },
  gone: { en: "the receiver has it, this journal does not: it was taken out, or the end of the chain was cut off", zh: "接收方有而本日志没有：被删除，或链尾被截断" },
  differs: { en: "the receiver has another content of it", zh: "与接收方的内容不同" },
};

function printReport(report: ActsReport, question: Question, io: CommandIo): void {
  const { breaks, ...summary } = report;
  for (const found of breaks) io.stdout(JSON.stringify({ kind: "broken", ...found }));
  io.stdout(JSON.stringify({ kind: "summary", ok: report.breakCount === 0, ...summary }));
  if (question.quiet) return;
  const [first] = breaks;
  const { chainedActs, olderActs, lastHash, receivedActs: received } = report;
  if (first === undefined)
    io.stderr(`The chain of ${chainedActs} acts holds, up to ${lastHash ?? "-"}. 链完整，共 ${chainedActs} 项操作。`);
  else {
    const { en, zh } = FAULT_TEXTS[first.why];
    const after = first.afterSeq === null ? "" : ` (after ${first.afterSeq})`;
    io.stderr(
      `The chain is broken ${report.breakCount} times, first at act ${first.seq}${after}: ${en}. 链在操作 ${first.seq} 处断裂：${zh}。`,
    );
  }
  if (olderActs > 0)
    io.stderr(`${olderActs} acts are older than the chain; nothing is said of them. 另有 ${olderActs} 项早于哈希链，不作核对。`);
  if (report.otherJournalActs > 0)
    io.stderr(
      `The receiver has ${report.otherJournalActs} acts of another journal of this gateway. 接收方另有 ${report.otherJournalActs} 项属于本网关的其他日志。`,
    );
  if (received === null)
    io.stderr(
      "Whether acts are missing at the end can only be seen with --upstream. 链尾是否被截断，须用 --upstream 与接收方核对。",
    );
}
