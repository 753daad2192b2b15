import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Config } from "../../config/schema.ts";
import { type Fault, fault } from "../core/errors.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { sqliteOrSystemCode } from "../journal/journal-folder.ts";
import { type JournalView, viewJournal } from "../journal/read-only.ts";
import { FarSide } from "../verify/far-side.ts";
import { FindingBook } from "../verify/finding.ts";
import { Ledger, type LedgerReport } from "../verify/ledger.ts";
import type { TimeWindow } from "../verify/window.ts";
import type { Command, CommandIo } from "./command.ts";
import { askedOf, configOf, windowOf } from "./question.ts";
import { readRecordFile } from "./record-file.ts";
import { tellFault } from "./told-fault.ts";
import { printLines, printTable } from "./verify-report.ts";

/** What was asked for. */
interface Question {
  readonly configFile: string;
  /** A reader's name without `upstream:`, or null for the only one, with its receiver's record file. */
  readonly upstreams: readonly { readonly name: string | null; readonly file: string }[];
  readonly window: TimeWindow;
  readonly quiet: boolean;
}

/** `vigil verify`: a ledger from device frame to each reader's receipt. */
export const verifyCommand: Command = {
  name: "verify",
  usage: `usage: vigil verify --config FILE [--upstream [NAME=]FILE ...] [--from TIME] [--to TIME] [--json]
Walks the journal, also while a gateway is at work on it, and says of every number where its record is: on disk, lost by
a recorded rule, or left out; holds the journal against the gateway's own counts, per device; and says for each reader
what was delivered, what waits, and which receipts came. Changes nothing.
--upstream  The record file a receiver wrote; it is held against the reader's account. NAME where there are several upstreams.
--from, --to  Only what was made from one time to just before another, for example 2026-11-22T08:00Z.
--json      No table for people on standard error.
One JSON line each per life, device, reader, far side and finding, then a summary, on standard output.
Exit 0: every record is explained; 1: something is not; 2: wrong usage, or the configuration is not valid.
核对日志：每条记录在位、按规则丢失或被跳过；不改动任何文件。退出码 1 表示有无法解释的记录。`,
  run: async (args, io) => {
    const question = questionOf(args, io);
    if (question === null) return 2;
    const config = await configOf(question.configFile, io);
    if (config === null) return 2;
    const files = readerFiles(question, config, io);
    if (files === null) return 2;
    const report = await verifyJournal(config, { files, window: question.window });
    if (!report.ok) {
      tellFault(report.error, io);
      return 1;
    }
    printLines(report.value, io.stdout);
    if (!question.quiet) printTable(report.value, io.stderr);
    return report.value.ok ? 0 : 1;
  },
};

function questionOf(args: readonly string[], io: CommandIo): Question | null {
  return askedOf(verifyCommand, io, () => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        config: { type: "string" },
        upstream: { type: "string", multiple: true },
        from: { type: "string" },
        to: { type: "string" },
        json: { type: "boolean" },
      },
    });
    const { config, upstream, from, to, json } = values;
    if (config !== undefined) {
      const upstreams = (upstream ?? []).map((text) => {
        const named = /^([a-z0-9][a-z0-9-]{0,62})=(.+)$/.exec(text);
        return { name: named?.[1] ?? null, file: named?.[2] ?? text };
      });
      return { configFile: config, upstreams, window: windowOf(from, to), quiet: json === true };
    }
    return null;
  });
}

/** The record file of each reader, or null after it was told that one belongs to none. */
function readerFiles(question: Question, config: Config, io: CommandIo): ReadonlyMap<string, string> | null {
  const files = new Map<string, string>();
  const [only, ...others] = config.upstreams;
  for (const { name, file } of question.upstreams) {
    const found = name === null ? (others.length === 0 ? only : undefined) : config.upstreams.find((one) => one.name === name);
    if (found === undefined || files.has(`upstream:${found.name}`)) {
      const names = config.upstreams.map((one) => one.name).join(", ");
      io.stderr(`vigil verify: write --upstream NAME=${file} with one of: ${names || "(none is configured)"}; each once`);
      io.stderr(`请指定上级平台名称：--upstream 名称=文件`);
      return null;
    }
    files.set(`upstream:${found.name}`, file);
  }
  return files;
}

/** What a verification found, and where. */
export interface Verification extends LedgerReport {
  readonly gatewayId: string;
  readonly epoch: string | null;
  readonly isRunning: boolean;
  readonly window: TimeWindow;
}

/**
 * Holds the journal of a configuration against itself and against receivers' record files.
 *
 * @param files  The record file of each reader that has one, by the reader's name in the journal.
 * @returns      What was found, or why the journal or a file cannot be read.
 */
export async function verifyJournal(
  config: Config,
  asked: { readonly files: ReadonlyMap<string, string>; readonly window: TimeWindow },
): Promise<Result<Verification, Fault>> {
  const opened = viewJournal(join(config.gateway.dataFolder, "journal"));
  if (!opened.ok) return opened;
  const view = opened.value;
  try {
    return await verifyView(view, { config, ...asked });
  } catch (error) {
    const code = sqliteOrSystemCode(error);
    if (code === null) throw error;
    return fail(fault("journal-unreadable", { folder: config.gateway.dataFolder, code }));
  } finally {
    view.close();
  }
}

/** The cursors were read when the journal was opened; then the far side; then what is on disk: so nothing runs ahead of what it is held against. */
async function verifyView(
  view: JournalView,
  asked: { readonly config: Config; readonly files: ReadonlyMap<string, string>; readonly window: TimeWindow },
): Promise<Result<Verification, Fault>> {
  const { config, files, window } = asked;
  const book = new FindingBook();
  const gatewayId = config.gateway.id;
  const farSides: FarSide[] = [];
  for (const [reader, file] of files) {
    const farSide = new FarSide({ reader, gatewayId, epoch: view.epoch ?? "", window, book });
    const read = await readRecordFile(file, (text, isWhole) => farSide.takeLine(text, isWhole));
    if (!read.ok) return read;
    farSides.push(farSide);
  }
  const endSeq = view.endSeq();
  const { recorded, owed } = view.losses();
  const names = new Set([...config.upstreams.map((upstream) => `upstream:${upstream.name}`), ...view.readers.keys()]);
  const readers = [...names].sort().map((reader) => {
    return { reader, cursor: view.readers.get(reader) ?? null, losses: recorded.filter((loss) => loss.reader === reader) };
  });
  for (const [reader, cursor] of view.readers)
    if (cursor === null) book.add({ rule: "cursor-damaged", fromSeq: null, toSeq: null, count: 1, facts: { reader } });
  const owedByAll = owed.filter(({ what, reader }) => what === "records" && reader === null);
  const parts = {
    book,
    window,
    epoch: view.epoch,
    losses: recorded,
    owed: owedByAll,
    leftOut: view.leftOut(),
    readers,
    farSides,
  };
  const ledger = new Ledger(parts);
  let lastSeq = 0;
  for (const step of view.walk(endSeq)) {
    if (step.kind === "damaged") ledger.damaged(step);
    else {
      lastSeq = Math.max(lastSeq, step.record.seq);
      ledger.take(step.record);
    }
  }
  const later = view.losses();
  const laterOwed = later.owed.filter(({ what, reader }) => what === "records" && reader === null);
  const report = ledger.finish(view.endedAt(lastSeq), { losses: later.recorded, owed: laterOwed });
  return succeed({ ...report, gatewayId, epoch: view.epoch, isRunning: view.isRunning, window });
}
