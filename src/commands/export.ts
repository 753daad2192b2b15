import { closeSync, fchmodSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Config } from "../../config/schema.ts";
import type { Act } from "../core/act.ts";
import type { AlertId } from "../core/ids.ts";
import { createTimeline, type Timeline } from "../core/mended-time.ts";
import type { ClockRecord, JournalRecord, LifeStart, Loss } from "../core/record.ts";
import { madeAtMs } from "../core/record.ts";
import { sqliteOrSystemCode } from "../journal/journal-folder.ts";
import { type JournalView, viewJournal, type WalkStep } from "../journal/read-only.ts";
import { isInWindow, type TimeWindow } from "../verify/window.ts";
import type { Command, CommandIo } from "./command.ts";
import {
  csvLine,
  EXPORT_COLUMNS,
  EXPORT_KINDS,
  type ExportKind,
  type ExportRecord,
  exportRow,
  exportTimes,
} from "./export-row.ts";
import { askedOf, configOf, windowOf } from "./question.ts";
import { tellFault } from "./told-fault.ts";

/** What was asked for. */
interface Question {
  readonly configFile: string;
  readonly window: TimeWindow;
  readonly patient: string | null;
  readonly kinds: ReadonlySet<ExportKind>;
  readonly format: "csv" | "jsonl";
  readonly out: string | null;
}

/** `vigil export`: what the journal holds of a time, for other programs and for people with a spreadsheet. */
export const exportCommand: Command = {
  name: "export",
  usage: `usage: vigil export --config FILE --from TIME --to TIME [--patient ID] [--kinds LIST] [--format csv|jsonl] [--out FILE]
Writes what was measured, alarmed, done and scored from one time to just before another, out of the journal: also while a gateway
is at work on it, and from a disk that cannot be written. Not from a registered medical device: no basis for a diagnosis.
--from, --to  For example 2026-11-22T08:00Z. Of an observation the time it was measured counts. All times are told in UTC, mended
              where the board's clock was wrong; time_known is false where nobody can know.
--patient     Only this patient, also under numbers that were found to be theirs, with the acts about their alerts.
--kinds       observation,alert,act,prediction: these, in any choice; all where it is left out.
--format      csv (the default): a header and a row for each record. An absence has no value and says why in "absent". Text
              that a spreadsheet would take for a formula has an apostrophe before it.
              jsonl: a first line about the export, then an object for each record, with the same names.
--out         A file, which only its owner can read (0600), instead of standard output. What it held is replaced.
The rows hold patients' numbers, notes and names: mind who reads them. What was lost of that time is told on standard error.
Exit 0: all that was kept of that time; 1: some of it is lost or cannot be read, or the file cannot be written; 2: wrong usage.
导出：从日志导出一段时间内的观测值、报警、操作与评分（CSV 或 JSON Lines），网关运行中或只读磁盘均可。时间为 UTC，已按时钟
记录修正。非注册医疗器械数据，不得作为诊断依据。含患者信息，请妥善保管。退出码 1 表示该时段有数据丢失、无法读取或写入失败。`,
  run: async (args, io) => {
    const question = questionOf(args, io);
    if (question === null) return 2;
    const config = await configOf(question.configFile, io);
    if (config === null) return 2;
    return exportJournal(config, question, io);
  },
};

function questionOf(args: readonly string[], io: CommandIo): Question | null {
  return askedOf(exportCommand, io, () => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        config: { type: "string" },
        from: { type: "string" },
        to: { type: "string" },
        patient: { type: "string" },
        kinds: { type: "string", default: EXPORT_KINDS.join(",") },
        format: { type: "string", default: "csv" },
        out: { type: "string" },
      },
    });
    const { config, from, to, patient, format, out } = values;
    const kinds = values.kinds.split(",").map((kind) => kind.trim());
    const unknown = kinds.find((kind) => !EXPORT_KINDS.some((known) => known === kind));
    if (unknown !== undefined) throw new Error(`there is no kind ${unknown} 无此类别`);
    if (config !== undefined && from !== undefined && to !== undefined && (format === "csv" || format === "jsonl"))
      return {
        configFile: config,
        window: windowOf(from, to),
        patient: patient ?? null,
        kinds: new Set(EXPORT_KINDS.filter((kind) => kinds.includes(kind))),
        format,
        out: out ?? null,
      };
    return null;
  });
}

function exportJournal(config: Config, question: Question, io: CommandIo): number {
  const folder = join(config.gateway.dataFolder, "journal");
  const opened = viewJournal(folder);
  if (!opened.ok) {
    tellFault(opened.error, io);
    return 1;
  }
  const view = opened.value;
  let out: Out | null = null;
  try {
    out = question.out === null ? standardOut(io) : fileOut(question.out);
    const told = writeRows({ view, gatewayId: config.gateway.id, question }, out.line);
    out.close();
    out = null;
    tellRows(told, io);
    return told.losses.length === 0 && told.damaged.length === 0 ? 0 : 1;
  } catch (error) {
    const code = sqliteOrSystemCode(error);
    if (code === null) throw error;
    io.stderr(`vigil export: ${code} ${question.out ?? folder}: it could not be read or written to its end 读取或写入未完成`);
    return 1;
  } finally {
    out?.close();
    view.close();
  }
}

/** Where the lines go. */
interface Out {
  readonly line: (text: string) => void;
  readonly close: () => void;
}

function standardOut(io: CommandIo): Out {
  return { line: io.stdout, close: () => undefined };
}

const OUT_BUFFER_CHARACTERS = 1 << 16;

/** A file that only its owner may read, also where it was there before. */
function fileOut(file: string): Out {
  const handle = openSync(file, "w", 0o600);
  let waiting = "";
  const flush = () => {
    const bytes = Buffer.from(waiting, "utf8");
    waiting = "";
    for (let written = 0; written < bytes.length; ) written += writeSync(handle, bytes, written);
  };
  fchmodSync(handle, 0o600);
  return {
    line: (text) => {
      waiting += `${text}\n`;
      if (waiting.length >= OUT_BUFFER_CHARACTERS) flush();
    },
    close: () => {
      try {
        flush();
      } finally {
        closeSync(handle);
      }
    },
  };
}

interface Source {
  readonly view: JournalView;
  readonly gatewayId: string;
  readonly question: Question;
}

/** What was written, and what of that time is not there. */
interface Told {
  readonly rowCount: number;
  readonly losses: readonly Loss[];
  readonly damaged: readonly Extract<WalkStep, { kind: "damaged" }>[];
}

function writeRows({ view, gatewayId, question }: Source, line: (text: string) => void): Told {
  const { window, kinds, format, patient } = question;
  const kept = keptFacts(view, patient);
  const epoch = view.epoch ?? "";
  const { timeline } = kept;
  const edges = createEdges(window, timeline);
  const isWanted = patient === null ? () => true : kept.isOfPatient;
  const damaged: Extract<WalkStep, { kind: "damaged" }>[] = [];
  let rowCount = 0;
  if (format === "csv") line(csvLine(EXPORT_COLUMNS));
  else line(JSON.stringify(aboutExport({ view, gatewayId, question })));
  for (const step of stepsOf(view, kinds)) {
    if (step.kind === "damaged") {
      damaged.push(step);
      continue;
    }
    edges.take(step.record);
    if (!isExported(step.record, kinds) || !isWanted(step.record)) continue;
    if (!isInWindow(window, exportTimes(step.record, timeline).atMs)) continue;
    const row = exportRow(step.record, { gatewayId, epoch, timeline });
    line(format === "csv" ? csvLine(EXPORT_COLUMNS.map((column) => row[column])) : JSON.stringify(row));
    rowCount += 1;
  }
  const losses = view
    .losses()
    .recorded.filter(({ reader, what, fromSeq, toSeq }) => reader === null && what === "records" && edges.meets(fromSeq, toSeq));
  return { rowCount, losses, damaged: damaged.filter(({ fromSeq, toSeq }) => edges.meets(fromSeq, toSeq)) };
}

function isExported(record: JournalRecord, kinds: ReadonlySet<ExportKind>): record is ExportRecord {
  return (kinds as ReadonlySet<string>).has(record.kind);
}

/** Alerts and acts lie in a file of their own: where nothing else is asked for, the observations are not read. */
function stepsOf(view: JournalView, kinds: ReadonlySet<ExportKind>): Generator<WalkStep, void> {
  const onlyKept = !kinds.has("observation") && !kinds.has("prediction");
  return onlyKept ? view.walkKept(["alert", "act", "start", "clock"]) : view.walk(view.endSeq());
}

function aboutExport({ view, gatewayId, question }: Source) {
  const { window, patient, kinds } = question;
  return {
    kind: "export",
    gateway: gatewayId,
    epoch: view.epoch,
    from: new Date(window.fromMs).toISOString(),
    to: new Date(window.toMs).toISOString(),
    patient,
    kinds: [...kinds],
    notice: { en: "Not from a registered medical device.", zh: "非注册医疗器械数据。" },
  };
}

/** Which numbers were given in the time that is asked for: those between the last record before it and the first one after it. */
function createEdges(window: TimeWindow, timeline: Timeline) {
  let lastBefore = 0;
  let firstAfter = Number.POSITIVE_INFINITY;
  return {
    take: (record: JournalRecord) => {
      const monotonicMs =
        record.kind === "observation"
          ? record.times.receivedMonotonicMs
          : record.kind === "start" || record.kind === "clock"
            ? record.atMonotonicMs
            : null;
      const { atMs } = timeline.mended({ seq: record.seq, atMs: madeAtMs(record), monotonicMs });
      if (atMs < window.fromMs) lastBefore = Math.max(lastBefore, record.seq);
      else if (atMs >= window.toMs) firstAfter = Math.min(firstAfter, record.seq);
    },
    meets: (fromSeq: number, toSeq: number) => toSeq > lastBefore && fromSeq < firstAfter,
  };
}

/** What must be known before the first row: how the clocks stood, and which records are a patient's. */
function keptFacts(view: JournalView, patient: string | null) {
  const clocks: (LifeStart | ClockRecord)[] = [];
  const numbers = new Map<string, { fromSeq: number; toSeq: number }>();
  const alerts = new Set<AlertId>();
  const admittedSeq = new Map<string, number>();
  if (patient !== null) numbers.set(patient, { fromSeq: 0, toSeq: Number.POSITIVE_INFINITY });
  const merges: { readonly act: Act; readonly former: string; readonly staying: string; readonly admittedSeq: number }[] = [];
  for (const step of view.walkKept(["start", "clock", "act"])) {
    if (step.kind === "damaged") continue;
    const { record } = step;
    if (record.kind === "start" || record.kind === "clock") clocks.push(record);
    if (record.kind !== "act") continue;
    const { deed } = record;
    if (deed.kind === "admit") admittedSeq.set(deed.patientId, record.seq);
    if (deed.kind !== "merge") continue;
    const former = deed.formerPatientId;
    merges.push({ act: record, former, staying: deed.patientId, admittedSeq: admittedSeq.get(former) ?? 0 });
  }
  // The last first: of two merges in a row the earlier one's former number is theirs too.
  for (const { act, former, staying, admittedSeq: fromSeq } of merges.reverse())
    if (numbers.has(staying) && !numbers.has(former)) numbers.set(former, { fromSeq, toSeq: act.seq });
  const isTheirs = (id: string | null, seq: number) => {
    const span = id === null ? undefined : numbers.get(id);
    return span !== undefined && seq >= span.fromSeq && seq <= span.toSeq;
  };
  if (patient !== null)
    for (const step of view.walkKept(["alert"])) {
      if (step.kind === "record" && step.record.kind === "alert" && isTheirs(step.record.subject.patientId, step.record.seq))
        alerts.add(step.record.id);
    }
  const isOfPatient = (record: ExportRecord): boolean => {
    switch (record.kind) {
      case "observation":
      case "prediction":
        return isTheirs(record.patientId, record.seq);
      case "alert":
        return alerts.has(record.id);
      case "act": {
        const { deed } = record;
        if ("alertId" in deed) return alerts.has(deed.alertId);
        return "patientId" in deed && isTheirs(deed.patientId, record.seq);
      }
    }
  };
  return { timeline: createTimeline(clocks), isOfPatient };
}

function tellRows({ rowCount, losses, damaged }: Told, io: CommandIo): void {
  io.stderr(`${rowCount} records. 共 ${rowCount} 条。`);
  for (const { fromSeq, toSeq, count, why } of losses)
    io.stderr(
      `lost of that time: ${fromSeq}..${toSeq}, ${count} records at most, ${why} 该时段丢失 ${fromSeq}..${toSeq}，至多 ${count} 条，原因 ${why}`,
    );
  for (const { file, fromSeq, toSeq } of damaged) io.stderr(`${file}: ${fromSeq}..${toSeq} cannot be read 无法读取`);
}
