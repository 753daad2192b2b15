import type { BenchDisk, Conditions } from "./conditions.ts";
import type { DeviceMessagesFigures, MessageFigures } from "./device-messages.ts";
import type { DrainFigures } from "./drain.ts";
import type { DurableFigures, Spread } from "./durable.ts";
import type { FigureResult } from "./figures.ts";
import type { LatencySummary } from "./load.ts";
import type { Pauses } from "./pauses.ts";
import type { TrialFigures } from "./trial.ts";

const SECONDS_A_DAY = 86_400;

/** A figure in one line for a person. */
export function figureLine(result: FigureResult): string {
  switch (result.kind) {
    case "path": {
      const { observationsPerSecond, ratioToDecoding, decodedPerSecond } = result.figures;
      return `${result.name}: ${thousands(observationsPerSecond)} observations/s, ${ratioToDecoding} of decoding alone (${thousands(decodedPerSecond)}/s) | ${conditionWords(result.conditions)}`;
    }
    case "durable":
      return `${result.name}: ${result.figures.rows.map(durableWords).join(" | ")} | ${result.figures.rounds} rounds, ${conditionWords(result.figures.conditions)}`;
    case "journal-alone": {
      const { recordsPerSecond, withJournal, withoutJournal, conditions } = result.figures;
      return `${result.name}: ${recordsPerSecond} records/s | main thread's pauses with the journal ${pauseWords(withJournal)} | without ${pauseWords(withoutJournal)} | ${conditionWords(conditions)}`;
    }
    case "trial":
      return `${result.name}: ${trialWords(result.figures)} | ${conditionWords(result.figures.conditions)}`;
    case "device-messages":
      return `${result.name}: ${messageWords(result.figures)} | ${conditionWords(result.figures.conditions)}`;
    case "drain":
      return `${result.name}: ${drainWords(result.figures)} | ${conditionWords(result.figures.conditions)}`;
  }
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function spreadWords({ median, min, max }: Spread): string {
  return `${thousands(median)}/s (${thousands(min)} to ${thousands(max)})`;
}

function durableWords(row: DurableFigures["rows"][number]): string {
  const size = row.way === "gateway" ? `the gateway's own commits, ${row.commitRecords} each` : `${row.commitRecords} a commit`;
  return `${size}: journal ${spreadWords(row.journalPerSecond)}, SQLite rows ${spreadWords(row.sqlitePerSecond)}, ratio ${row.ratio}${row.journalBytesEach === null ? "" : `, ${row.journalBytesEach} and ${row.sqliteBytesEach} bytes each on disk`}`;
}

function latencyWords({ p50Ms, p99Ms, maxMs, count }: LatencySummary): string {
  return `p50 ${p50Ms} ms p99 ${p99Ms} ms max ${maxMs} ms of ${count}`;
}

function pauseWords({ p99Ms, p999Ms, maxMs, sweepMsMax, workP999Ms, workMsMax }: Pauses): string {
  return `p99 ${p99Ms} ms p99.9 ${p999Ms} ms max ${maxMs} ms (its own work p99.9 ${workP999Ms} ms max ${workMsMax} ms, longest sweep of memory ${sweepMsMax} ms)`;
}

function trialWords(f: TrialFigures): string {
  const bare = f.bytesWrittenWithoutWavesEach;
  const withoutWaves = bare === null ? "" : `, without waves ${bare}, which is ${gigabytesADay(f, bare)} GB a day`;
  return [
    `${f.observationsPerSecond} observations/s`,
    `page ${latencyWords(f.page)}`,
    `upstream ${latencyWords(f.upstream)}`,
    `bare broker ${latencyWords(f.broker)}`,
    `${f.coreShare} of a core`,
    `PSS ${f.pssMegabytes} MB in ${f.processCount} processes`,
    `an observation: ${f.bytesWrittenEach} bytes written${withoutWaves}, ${f.bytesKeptEach} kept`,
    `${f.fsyncsPerThousand} fsyncs per 1,000`,
    `main thread's pauses ${pauseWords(f.pauses)}, waited for a core ${f.coreWaitMsPerSecond} ms/s`,
  ].join(" | ");
}

function gigabytesADay({ observationsPerSecond }: TrialFigures, bytesEach: number): number {
  return Math.round(((observationsPerSecond * bytesEach * SECONDS_A_DAY) / 1e9) * 100) / 100;
}

function drainWords(f: DrainFigures): string {
  const rest = f.leftRecords > f.observationsPerSecond ? `, ${thousands(f.leftRecords)} left` : "";
  return [
    `alerts before ${latencyWords(f.alertsBefore)}`,
    `during ${latencyWords(f.alertsDuring)}`,
    `ratio p50 ${f.ratioP50} p99 ${f.ratioP99}`,
    `bare broker before ${latencyWords(f.brokerBefore)} during ${latencyWords(f.brokerDuring)}`,
    `${thousands(f.backlogRecords)} records waited, ${thousands(f.recordsPerSecond)}/s left in ${f.drainSeconds} s${rest}`,
    `main thread's pauses before ${pauseWords(f.pausesBefore)} during ${pauseWords(f.pausesDuring)}`,
  ].join(" | ");
}

function messageWords(f: DeviceMessagesFigures): string {
  const one = ({ thanks, cpuMicrosEach }: MessageFigures) =>
    `PUBACK ${latencyWords(thanks)}, ${cpuMicrosEach} µs of processor a message`;
  return [
    `${f.devices} devices, ${thousands(f.messagesPerSecond)} messages/s: ${thousands(f.sentCount)} sent, ${f.unthankedCount} not acknowledged, ${f.lostCount} acknowledged and lost`,
    `gateway ${one(f.gateway)}`,
    f.mosquitto === null ? "mosquitto is not installed" : `mosquitto (acknowledges from memory) ${one(f.mosquitto)}`,
  ].join(" | ");
}

const DISKS: Readonly<Record<BenchDisk, string>> = { "as-is": "disk as it is", slow: "slow disk", instant: "journal in memory" };

/** The conditions a figure was measured under. */
function conditionWords(of: Conditions): string {
  const share =
    of.coreShareMax === null
      ? "not held"
      : of.shareWasHeld
        ? `held to ${of.coreShareMax} of one core`
        : `NOT HELD to ${of.coreShareMax} of one core`;
  return `${of.coreCount} cores, ${share}, ${DISKS[of.disk]}, load before ${of.loadBefore}`;
}

/** All figures as Markdown, for the README to take as they are. */
export function markdownOf(results: readonly FigureResult[]): string {
  const trials = results.flatMap((result) => (result.kind === "trial" ? [result.figures] : []));
  const others = results.filter((result) => result.kind !== "trial");
  const durables = results.flatMap((result) => (result.kind === "durable" ? [result.figures] : []));
  const drains = results.flatMap((result) => (result.kind === "drain" ? [result.figures] : []));
  const lines = others.filter((result) => result.kind !== "durable" && result.kind !== "drain");
  return [
    ...(trials.length === 0 ? [] : [trialTable(trials)]),
    ...(durables.length === 0 ? [] : [durableTable(durables)]),
    ...(drains.length === 0 ? [] : [drainTable(drains)]),
    ...(lines.length === 0 ? [] : [lines.map((result) => `- ${figureLine(result)}`).join("\n")]),
  ].join("\n\n");
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function trialTable(trials: readonly TrialFigures[]): string {
  const head = [
    "beds, disk, share",
    "byte to page, p50 / p99 (ms)",
    "byte to upstream, p50 / p99 / longest (ms)",
    "bare broker, p50 (ms)",
    "processor (of a core)",
    "memory (PSS, MB)",
    "bytes an observation: written / without waves (GB a day) / kept",
    "main thread's pauses, p99.9 / longest (its own work, longest) (ms)",
  ];
  const rows = trials.map((f) => [
    `${f.beds}, ${DISKS[f.conditions.disk]}${shareMark(f.conditions)}`,
    `${f.page.p50Ms} / ${f.page.p99Ms}`,
    `${f.upstream.p50Ms} / ${f.upstream.p99Ms} / ${f.upstream.maxMs}`,
    f.broker.p50Ms,
    f.coreShare,
    Math.round(f.pssMegabytes),
    `${f.bytesWrittenEach} / ${withoutWavesCell(f)} / ${f.bytesKeptEach}`,
    `${f.pauses.p999Ms} / ${f.pauses.maxMs} (${f.pauses.workMsMax})`,
  ]);
  return table(head, rows);
}

function withoutWavesCell(f: TrialFigures): string {
  const bare = f.bytesWrittenWithoutWavesEach;
  return bare === null ? "–" : `${bare} (${gigabytesADay(f, bare)})`;
}

function shareMark({ coreShareMax, shareWasHeld }: Conditions): string {
  if (coreShareMax === null) return "";
  return shareWasHeld ? `, held to ${coreShareMax} of a core` : ", NOT HELD to its share";
}

function durableTable(all: readonly DurableFigures[]): string {
  const head = [
    "commits, disk",
    "journal (observations/s: median, lowest to highest)",
    "SQLite rows (the same)",
    "ratio",
    "bytes kept, journal / rows",
  ];
  const rows = all.flatMap(({ rows: each, conditions }) =>
    each.map((row) => [
      `${row.way === "gateway" ? "the gateway's own, " : ""}${thousands(row.commitRecords)} a commit, ${DISKS[conditions.disk]}`,
      spreadWords(row.journalPerSecond),
      spreadWords(row.sqlitePerSecond),
      row.ratio,
      `${row.journalBytesEach ?? "–"} / ${row.sqliteBytesEach ?? "–"}`,
    ]),
  );
  return table(head, rows);
}

function drainTable(drains: readonly DrainFigures[]): string {
  const head = [
    "backlog, disk",
    "live alerts before, p50 / p99 (ms)",
    "during the drain, p50 / p99 (ms)",
    "ratio p50 / p99",
    "drained (records/s)",
  ];
  const rows = drains.map((f) => [
    `${thousands(f.backlogRecords)} records at ${f.beds} beds, ${DISKS[f.conditions.disk]}`,
    `${f.alertsBefore.p50Ms} / ${f.alertsBefore.p99Ms}`,
    `${f.alertsDuring.p50Ms} / ${f.alertsDuring.p99Ms} (${f.alertsDuring.count} alerts)`,
    `${f.ratioP50} / ${f.ratioP99}`,
    thousands(f.recordsPerSecond),
  ]);
  return table(head, rows);
}
