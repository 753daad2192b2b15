import { randomInt } from "node:crypto";
import { Worker } from "node:worker_threads";
import type { Alert } from "../core/alert.ts";
import { type Fault, fault } from "../core/errors.ts";
import { type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Observation, WaveformChunk } from "../core/observation.ts";
import type { Journal, JournalHealth, JournalStats, ReaderCursor, TrendPoint } from "../core/ports.ts";
import type { JournalRecord } from "../core/record.ts";
import { assert, type Result, succeed } from "../core/result.ts";
import type { Clock, Timer } from "../core/time.ts";
import { CommitTimes } from "./commit-times.ts";
import { isDamageCode, notYetJudged, OTHER_JOURNAL } from "./journal-folder.ts";
import type { FromReader, LostRange, OpenedJournal, ReadQuery, SimulatedDisk, StoredCursor, WavePlace } from "./messages.ts";
import { buffersOf, packRecords, unpackRecords } from "./packing.ts";
import { ReaderThread } from "./reader-thread.ts";
import { endThread } from "./thread-end.ts";
import { WaitingRecords } from "./waiting-records.ts";
import { chunkOf, factsOf, stretchesOf } from "./waves/wave-frame.ts";
import { WaveSender } from "./waves/wave-sender.ts";
import { WAVE_DEFAULTS, type WaveSettings } from "./waves/wave-settings.ts";
import { type WriterMessage, WriterThread } from "./writer-thread.ts";

/** What a journal needs to be opened. */
export interface JournalOptions {
  /** Made with mode 0700 where it is missing. */
  readonly folder: string;
  readonly gatewayId: string;
  /** Over so many bytes in all files the oldest segments of observations are dropped; alerts, acts, receipts and losses never. */
  readonly bytesMax: number;
  /** With so many new bytes in the kept file its alerts and receipts are sealed away; `journalKeptFileBytesMax` where it is missing. */
  readonly keptFileBytesMax?: number;
  readonly clock: Clock;
  /** Makes each wait for the disk longer, for honest figures; null or missing on a real ward. */
  readonly simulatedDisk?: SimulatedDisk | null;
  /** How much of the waves is kept; `WAVE_DEFAULTS` where it is missing. */
  readonly waves?: WaveSettings;
}

/** How the journal's two threads are started. */
export interface JournalThreads {
  readonly startWriter: () => Worker;
  readonly startReader: () => Worker;
}

/**
 * Opens the journal of a folder, or makes one. Needs two worker threads; the calling thread never touches a file.
 *
 * A disk that is full, read-only or not there does not keep it from opening: it then says `failing` at once, knows what can be read, keeps
 * what is appended in memory as it does while a disk hangs, and tries for ever to open the files.
 *
 * @returns  The journal, or `journal-locked` or `journal-too-new`, or `journal-write-failed` where no thread can be started.
 */
export function openJournal(options: JournalOptions): Promise<Result<Journal, Fault>> {
  return openJournalOn(options, {
    startWriter: () =>
      new Worker(new URL("./worker.ts", import.meta.url), {
        resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 128 },
      }),
    startReader: () =>
      new Worker(new URL("./reader.ts", import.meta.url), {
        resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 128 },
      }),
  });
}

/** As `openJournal`, on threads that the caller starts, so that a test can end them. */
export async function openJournalOn(options: JournalOptions, threads: JournalThreads): Promise<Result<Journal, Fault>> {
  const writer = new WriterThread({
    start: threads.startWriter,
    clock: options.clock,
    request: {
      folder: options.folder,
      gatewayId: options.gatewayId,
      bytesMax: options.bytesMax,
      ...(options.keptFileBytesMax === undefined ? {} : { keptFileBytesMax: options.keptFileBytesMax }),
      simulatedDisk: options.simulatedDisk ?? null,
      waves: options.waves ?? WAVE_DEFAULTS,
      epochToKeep: null,
      checkAll: false,
    },
  });
  const reader = startEarly(threads.startReader, options.clock);
  const opened = await writer.open();
  if (opened.ok) return succeed(new JournalKeeper({ options, startReader: reader.take, writer, opened: opened.value }));
  await reader.end();
  return opened;
}

/** Starts a thread before it is needed: while the writer opens the files, the reader loads its code (a quarter of a second after a crash). */
function startEarly(start: () => Worker, clock: Clock): { readonly take: () => Worker; readonly end: () => Promise<unknown> } {
  let early: Worker | null = start();
  early.on("error", () => undefined);
  early.on("exit", () => {
    early = null;
  });
  return {
    take: () => {
      const worker = early ?? start();
      early = null;
      return worker;
    },
    end: async () => (early === null ? undefined : endThread(early, clock)),
  };
}

type Told = LostRange & { readonly fromSeq: Seq; readonly toSeq: Seq };
type LossListener = (loss: Told) => void;

/** A week of ranges told once a minute. */
const UNOWED_MAX = 10_080;

/** Mending reads and writes a whole file, on a slow disk for many seconds. */
const MEND_AGAIN_MS = 30_000;

/** The main thread's side: the bounded queue, the rhythm of commits, and what is told to whom. */
class JournalKeeper implements Journal {
  readonly epoch: string;
  readonly lastSeqAtOpen: Seq;
  readonly endedBefore: Journal["endedBefore"];
  readonly leftOutAtOpen: Journal["leftOutAtOpen"];
  readonly faultsAtOpen: readonly Fault[];
  readonly #clock: Clock;
  readonly #folder: string;
  readonly #writer: WriterThread;
  readonly #reader: ReaderThread;
  readonly #waiting: WaitingRecords;
  readonly #waveSender: WaveSender;
  readonly #commitListeners = new Set<(upTo: Seq) => void>();
  readonly #healthListeners = new Set<(health: JournalHealth) => void>();
  readonly #lossListeners = new Set<LossListener>();
  readonly #endListeners = new Set<(found: Fault) => void>();
  readonly #cursors = new Map<string, ReaderCursor>();
  readonly #unsentCursors = new Set<string>();
  readonly #toldRanges = new Set<string>();
  readonly #commitTimes = new CommitTimes();
  readonly #mendingSinceMs = new Map<string, number>();
  #inFlight: readonly JournalRecord[] = [];
  /** What went from the queue and is owed with the batch under way, or with the next one. */
  #inFlightDropped: readonly LostRange[] = [];
  #unowed: LostRange[] = [];
  #committedSeq: Seq;
  #oldestWaitingMs: number | null = null;
  #groupTimer: Timer | null = null;
  #isHurried = false;
  #retryTimer: Timer | null = null;
  #answerTimer: Timer | null = null;
  #cursorTimer: Timer | null = null;
  #sendIsDue = false;
  #fault: Fault | null = null;
  #otherJournal: Fault | null = null;
  /** The files could not even be read: until they come, what is asked has an empty answer at once, so that the gateway starts. */
  #nothingIsRead = false;
  #untold: LostRange[] = [];
  #droppedRange: LostRange | null = null;
  #droppedToldMs = Number.NEGATIVE_INFINITY;
  #closing: Promise<void> | null = null;
  #whenDrained: (() => void) | null = null;
  #whenClosed: (() => void) | null = null;
  #counts = { committedRecords: 0, commits: 0, bytesOnDisk: 0, droppedRecords: 0, fsyncs: 0 };

  constructor(parts: {
    readonly options: JournalOptions;
    readonly startReader: () => Worker;
    readonly writer: WriterThread;
    readonly opened: OpenedJournal;
  }) {
    const { options, opened } = parts;
    this.epoch = opened.epoch;
    this.lastSeqAtOpen = seq(opened.lastSeq);
    this.endedBefore = opened.endedBefore;
    this.leftOutAtOpen = opened.leftOut === null ? null : { from: seq(opened.leftOut.from), to: seq(opened.leftOut.to) };
    this.faultsAtOpen = opened.faults;
    this.#committedSeq = this.lastSeqAtOpen;
    this.#clock = options.clock;
    this.#folder = options.folder;
    this.#waiting = new WaitingRecords({
      recordsMax: LIMITS.journalQueueRecordsMax.value,
      keptMax: LIMITS.journalKeptRecordsMax.value,
      afterSeq: opened.lastSeq,
    });
    this.#reader = new ReaderThread({
      start: parts.startReader,
      clock: options.clock,
      folder: options.folder,
      news: { onDamage: (news) => this.#takeDamage(news), onTrouble: (code) => this.#takeReaderTrouble(code) },
    });
    this.#waveSender = new WaveSender({
      clock: options.clock,
      life: randomInt(2 ** 32),
      currentSeq: () => this.#waiting.lastSeq,
      mayGo: () => this.#writer.ready && this.#waiting.length <= LIMITS.journalBatchRecordsMax.value,
      post: (message) => this.#writer.post(message),
      tellLoss: (loss) => this.#tellLoss(loss),
    });
    this.#reader.useFiles(opened, false);
    for (const loss of opened.losses) this.#tellLoss(loss);
    this.#fault = opened.notWritable;
    this.#nothingIsRead = opened.notWritable !== null && opened.leftOut === null;
    this.#writer = parts.writer;
    this.#writer.follow({
      onMessage: (message) => this.#takeFromWriter(message),
      onTrouble: (trouble) => this.#takeTrouble(trouble),
      onOpenedAgain: (again) => this.#takeOpenedAgain(again),
    });
  }

  // ------------------------------------------------------------------- writing

  readonly append = (records: readonly JournalRecord[]): void => {
    assert(this.#closing === null, "nothing is appended to a closed journal");
    if (records.length === 0) return;
    const dropped = this.#waiting.push(records);
    if (dropped !== null) this.#countDropped(dropped);
    this.#oldestWaitingMs ??= this.#clock.monotonic();
    this.#sendSoon();
  };

  readonly recordWaves = (chunks: readonly WaveformChunk[]): void => {
    assert(this.#closing === null, "nothing is recorded in a closed journal");
    this.#waveSender.record(chunks);
  };

  readonly committedSeq = (): Seq => this.#committedSeq;

  /** Once for everything that is appended in the same turn of the event loop. */
  #sendSoon(): void {
    if (this.#sendIsDue) return;
    this.#sendIsDue = true;
    queueMicrotask(() => {
      this.#sendIsDue = false;
      this.#sendNext();
    });
  }

  /** Sends the next batch where none is under way and its time has come; else sees to it that its time comes. */
  #sendNext(): void {
    if (!this.#writer.ready || this.#inFlight.length > 0 || this.#oldestWaitingMs === null) return;
    const waitedMs = this.#clock.monotonic() - this.#oldestWaitingMs;
    const restMs = this.#groupMs() - waitedMs;
    const full = this.#waiting.length >= LIMITS.journalBatchRecordsMax.value;
    if (restMs > 0 && !full && !this.#waiting.urgent && this.#closing === null) {
      this.#groupTimer?.stop();
      this.#groupTimer = this.#clock.after(restMs, () => {
        this.#groupTimer = null;
        this.#sendNext();
      });
      return;
    }
    this.#groupTimer?.stop();
    this.#groupTimer = null;
    this.#tellDropped();
    this.#inFlight = this.#waiting.take(LIMITS.journalBatchRecordsMax.value);
    this.#isHurried &&= this.#waiting.length > 0;
    this.#inFlightDropped = this.#unowed;
    this.#unowed = [];
    if (this.#waiting.length === 0) this.#oldestWaitingMs = null;
    this.#sendInFlight();
  }

  readonly hurry = (): void => {
    if (this.#waiting.length === 0) return;
    this.#isHurried = true;
    this.#sendSoon();
  };

  /** Each commit writes whole pages whatever it holds, so few records wait longer for company. */
  #groupMs(): number {
    if (this.#isHurried) return LIMITS.journalHurriedGroupMsMax.value;
    const isSmall = this.#waiting.length < LIMITS.journalSmallGroupRecordsMax.value;
    return isSmall ? LIMITS.journalSmallGroupCommitMsMax.value : LIMITS.journalGroupCommitMsMax.value;
  }

  #sendInFlight(): void {
    const last = this.#inFlight.at(-1);
    if (last === undefined) return;
    this.#answerTimer ??= this.#clock.after(LIMITS.journalCommitMsMax.value, () => this.#takeNoAnswer());
    const batch = packRecords(this.#inFlight);
    this.#writer.post({ kind: "commit", upToSeq: last.seq, batch, dropped: this.#inFlightDropped }, buffersOf(batch));
  }

  #takeFromWriter(message: WriterMessage): void {
    switch (message.kind) {
      case "committed":
        this.#takeCommitted(message.upToSeq, message.commitMs);
        return;
      case "failed":
        this.#takeFailed(message.fault);
        return;
      case "segments":
        if (message.renewed) this.#mendingSinceMs.clear();
        this.#reader.useFiles(message, message.renewed);
        return;
      case "lost":
        this.#takeLost(message.loss, message.fault);
        return;
      case "figures":
        this.#counts.bytesOnDisk = message.bytesOnDisk;
        this.#counts.fsyncs = message.fsyncs;
        return;
      case "waves-taken":
        this.#waveSender.taken(message.lastNumber, message.bytesOnDisk);
        return;
      case "closed":
        this.#whenClosed?.();
        return;
    }
  }

  #takeCommitted(upToSeq: number, commitMs: number): void {
    if (this.#inFlight.at(-1)?.seq !== upToSeq) return;
    this.#counts.commits += 1;
    this.#counts.committedRecords += this.#inFlight.length;
    this.#commitTimes.add(commitMs);
    this.#inFlight = [];
    this.#inFlightDropped = [];
    this.#answerTimer?.stop();
    this.#answerTimer = null;
    this.#setFault(null);
    this.#sendNext();
    this.#tellDropped();
    this.#committedSeq = seq(upToSeq);
    for (const listener of [...this.#commitListeners]) listener(this.#committedSeq);
    if (this.#inFlight.length === 0 && this.#waiting.length === 0) this.#whenDrained?.();
  }

  /** A disk that hangs says nothing at all; what it keeps meanwhile is in memory alone. */
  #takeNoAnswer(): void {
    if (this.#fault === null) this.#setFault(fault("journal-write-failed", { folder: this.#folder, code: "NO_ANSWER" }));
  }

  #takeTrouble(trouble: Fault): void {
    this.#setFault(trouble);
    if (trouble.facts["code"] === OTHER_JOURNAL) this.#takeOtherJournal(trouble);
  }

  /** The batch is kept and tried again. Where a file is damaged all are checked first. */
  #takeFailed(trouble: Fault): void {
    // Whether a file is damaged, or the disk was away for a moment, is found out by the check, which tells it.
    this.#takeTrouble(notYetJudged(trouble));
    if (trouble.code === "journal-damaged") {
      void this.#writer.checkFiles();
      return;
    }
    this.#retryTimer ??= this.#clock.after(LIMITS.journalRetryMs.value, () => {
      this.#retryTimer = null;
      this.#sendInFlight();
    });
  }

  #takeOpenedAgain(opened: OpenedJournal): void {
    this.#nothingIsRead = false;
    this.#reader.useFiles(opened, true);
    // What went from the queue was told when it went.
    for (const loss of opened.losses) if (loss.why !== "queue-full") this.#tellLoss(loss);
    for (const found of opened.faults) this.#setFault(found);
    this.#waveSender.openedAgain();
    if (this.#inFlight.length > 0) {
      this.#sendInFlight();
      return;
    }
    this.#setFault(null);
    this.#sendNext();
  }

  // -------------------------------------------------------------------- telling

  #setFault(trouble: Fault | null): void {
    if (trouble?.code === this.#fault?.code) return;
    this.#fault = trouble;
    const health = this.#health();
    for (const listener of [...this.#healthListeners]) listener(health);
  }

  #health(): JournalHealth {
    if (this.#fault === null) return { state: "working" };
    return { state: "failing", fault: this.#fault, waitingRecords: this.#waiting.length + this.#inFlight.length };
  }

  /** Drops of one row are told together: the first at once, what follows before the next commit is told or after a minute. */
  #countDropped(dropped: LostRange): void {
    this.#counts.droppedRecords += dropped.count;
    const before = this.#droppedRange;
    this.#droppedRange = before === null ? dropped : { ...dropped, fromSeq: before.fromSeq, count: before.count + dropped.count };
    if (this.#clock.monotonic() - this.#droppedToldMs >= LIMITS.journalLossReportMs.value) this.#tellDropped();
  }

  #tellDropped(): void {
    const dropped = this.#droppedRange;
    if (dropped === null) return;
    this.#droppedRange = null;
    this.#droppedToldMs = this.#clock.monotonic();
    this.#oweLater(dropped);
    this.#tellLoss(dropped);
  }

  /** While the disk is dead for days, one range a minute is told; they are owed as one where there are too many. */
  #oweLater(dropped: LostRange): void {
    const last = this.#unowed.at(-1);
    if (last === undefined || this.#unowed.length < UNOWED_MAX) this.#unowed.push(dropped);
    else this.#unowed[UNOWED_MAX - 1] = { ...last, toSeq: dropped.toSeq, count: last.count + dropped.count };
  }

  /** Each range is told once, however often the threads find it; of ranges told long ago, the oldest are forgotten. */
  #tellLoss(loss: LostRange): void {
    const key = `${loss.what}/${loss.why}/${loss.fromSeq}/${loss.toSeq}/${loss.what === "waveforms" ? loss.count : ""}`;
    if (loss.why !== "queue-full") {
      if (this.#toldRanges.has(key)) return;
      this.#toldRanges.add(key);
      const [oldest] = this.#toldRanges;
      if (oldest !== undefined && this.#toldRanges.size > LIMITS.journalQueueRecordsMax.value) this.#toldRanges.delete(oldest);
    }
    if (this.#lossListeners.size === 0) this.#untold.push(loss);
    for (const listener of [...this.#lossListeners]) listener(toldLoss(loss));
  }

  #takeLost(loss: LostRange, found: Fault | null): void {
    if (loss.what === "waveforms") this.#waveSender.countLost(loss);
    this.#tellLoss(loss);
    if (found === null || this.#fault !== null) return;
    this.#setFault(found);
    this.#setFault(null);
  }

  #takeDamage(news: Exclude<FromReader, { readonly kind: "answer" }>): void {
    if (news.kind === "damaged-waves") {
      this.#writer.post({ kind: "mend-waves", file: news.file });
      return;
    }
    if (news.kind === "damaged-file") {
      this.#mend(news.file);
      return;
    }
    this.#tellLoss({
      fromSeq: news.fromSeq,
      toSeq: news.toSeq,
      count: news.count,
      why: "journal-damaged",
      what: "records",
      reader: null,
    });
  }

  /** A file is told as damaged by each question that meets it. The writing thread hears it once, and again where nothing came of it. */
  #mend(file: string): void {
    const nowMs = this.#clock.monotonic();
    if (nowMs - (this.#mendingSinceMs.get(file) ?? Number.NEGATIVE_INFINITY) < MEND_AGAIN_MS) return;
    this.#mendingSinceMs.set(file, nowMs);
    this.#writer.post({ kind: "set-aside", file });
  }

  #takeReaderTrouble(sqliteCode: string): void {
    if (isDamageCode(sqliteCode)) void this.#writer.checkFiles();
  }

  /** The files that came back are those of another journal: nothing is written to them, and this journal cannot go on. */
  #takeOtherJournal(found: Fault): void {
    this.#otherJournal = found;
    for (const listener of [...this.#endListeners]) listener(found);
  }

  readonly onOtherJournal = (listener: (found: Fault) => void) => {
    if (this.#otherJournal !== null) listener(this.#otherJournal);
    return subscribe(this.#endListeners, listener);
  };

  readonly onCommit = (listener: (upTo: Seq) => void) => subscribe(this.#commitListeners, listener);

  readonly onHealth = (listener: (health: JournalHealth) => void) => {
    if (this.#fault !== null) listener(this.#health());
    return subscribe(this.#healthListeners, listener);
  };

  readonly onLoss = (listener: LossListener) => {
    const stop = subscribe(this.#lossListeners, listener);
    const untold = this.#untold;
    this.#untold = [];
    for (const loss of untold) listener(toldLoss(loss));
    return stop;
  };

  // -------------------------------------------------------------------- reading

  readonly read: Journal["read"] = async ({ afterSeq, upToSeq, limit, kinds }) => {
    const committed = this.#committedSeq;
    const last = Math.min(upToSeq ?? committed, committed);
    if (afterSeq >= last || limit <= 0) return [];
    const pageLimit = Math.min(limit, LIMITS.journalReadRecordsMax.value);
    const answer = await this.#reader.ask({ kind: "records", afterSeq, upToSeq: last, limit: pageLimit, kinds: kinds ?? null });
    return answer.kind === "records" ? unpackRecords(answer.batch) : [];
  };

  readonly readBack: Journal["readBack"] = async ({ upToSeq, limit }) => {
    const last = Math.min(upToSeq, this.#committedSeq);
    const pageLimit = Math.min(limit, LIMITS.journalReadRecordsMax.value);
    if (last <= 0 || pageLimit <= 0) return [];
    const answer = await this.#reader.ask({ kind: "observations-back", upToSeq: last, limit: pageLimit });
    return answer.kind === "records" ? unpackRecords(answer.batch).filter((record) => record.kind === "observation") : [];
  };

  readonly openAlerts = async (): Promise<readonly Alert[]> => {
    if (this.#nothingIsRead) return [];
    const answer = await this.#reader.ask({ kind: "open-alerts" });
    const records = answer.kind === "records" ? unpackRecords(answer.batch) : [];
    return records.filter((record) => record.kind === "alert");
  };

  readonly latestObservations: Journal["latestObservations"] = async (query): Promise<readonly Observation[]> => {
    if (this.#nothingIsRead) return [];
    const answer = await this.#reader.ask({ kind: "latest", ...query });
    const records = answer.kind === "records" ? unpackRecords(answer.batch) : [];
    return records.filter((record) => record.kind === "observation");
  };

  readonly trend: Journal["trend"] = async (query): Promise<readonly TrendPoint[]> => {
    if (!(query.fromMs < query.toMs) || this.#nothingIsRead) return [];
    const pointsMax = Math.max(2, Math.min(Math.floor(query.pointsMax), LIMITS.journalTrendPointsMax.value));
    const answer = await this.#reader.ask({ kind: "trend", ...query, pointsMax });
    return answer.kind === "trend" ? answer.points : [];
  };

  readonly waves: Journal["waves"] = ({ deviceId, fromMs, toMs }) => this.#wavesOf({ kind: "ring", deviceId, fromMs, toMs });

  readonly strip: Journal["strip"] = (alertId) => this.#wavesOf({ kind: "strip", alertId });

  /** Page by page, so that the main thread never unpacks for long. A chunk that is there twice (a thread that ended after writing it, two strips) is read once. */
  async #wavesOf(source: (ReadQuery & { readonly kind: "waves" })["source"]): Promise<readonly WaveformChunk[]> {
    const chunks = new Map<string, WaveformChunk>();
    let at: WavePlace | null = null;
    do {
      const answer = await this.#reader.ask({ kind: "waves", source, at, limit: LIMITS.journalReadWavesMax.value });
      if (answer.kind !== "waves") break;
      for (const stretch of stretchesOf(Buffer.from(answer.frames.buffer))) {
        if (stretch.kind === "damage") continue;
        const { life, number } = factsOf(stretch.content);
        chunks.set(`${life}/${number}`, chunkOf(stretch.content));
      }
      at = answer.next;
    } while (at !== null && chunks.size < LIMITS.journalWavesAnswerMax.value);
    return [...chunks.values()];
  }

  // -------------------------------------------------------------------- cursors

  readonly cursor = async (reader: string): Promise<ReaderCursor | null> => {
    const released = this.#cursors.get(reader);
    if (released !== undefined) return released;
    if (this.#nothingIsRead) return null;
    const answer = await this.#reader.ask({ kind: "cursor", reader });
    return answer.kind === "cursor" && answer.json !== null ? (JSON.parse(answer.json) as ReaderCursor) : null;
  };

  readonly release = (reader: string, cursor: ReaderCursor): void => {
    this.#cursors.set(reader, cursor);
    this.#unsentCursors.add(reader);
    if (this.#closing !== null) return;
    this.#cursorTimer ??= this.#clock.after(LIMITS.journalCursorMsMax.value, () => {
      this.#cursorTimer = null;
      this.#sendCursors();
    });
  };

  #sendCursors(): void {
    if (!this.#writer.ready || this.#unsentCursors.size === 0) return;
    const cursors = [...this.#unsentCursors].map((reader): StoredCursor => [reader, JSON.stringify(this.#cursors.get(reader))]);
    this.#unsentCursors.clear();
    this.#writer.post({ kind: "cursors", cursors });
  }

  // ---------------------------------------------------------------- stats, close

  readonly stats = (): JournalStats => ({
    ...this.#counts,
    waitingRecords: this.#waiting.length + this.#inFlight.length,
    ...this.#commitTimes.figures(),
    ...this.#waveSender.figures(),
  });

  readonly close = (): Promise<void> => {
    this.#closing ??= this.#close();
    return this.#closing;
  };

  async #close(): Promise<void> {
    const stopMs = this.#clock.monotonic() + LIMITS.stopMsMax.value;
    // `#closing` is set once this function has given back its promise; then what waits is due.
    await Promise.resolve();
    this.#sendNext();
    const drained = () => this.#inFlight.length === 0 && this.#waiting.length === 0;
    if (!drained()) await this.#within(stopMs, (done) => (this.#whenDrained = done));
    this.#sendCursors();
    if (this.#writer.ready) {
      await this.#within(stopMs, (done) => this.#waveSender.finish(done));
      await this.#within(stopMs, (done) => {
        this.#whenClosed = done;
        this.#writer.post({ kind: "close", cleanUpToSeq: drained() && this.#knowsLastNumber() ? this.#waiting.lastSeq : null });
      });
    }
    for (const timer of [this.#groupTimer, this.#retryTimer, this.#answerTimer, this.#cursorTimer]) timer?.stop();
    this.#waveSender.stop();
    await Promise.all([this.#writer.end(), this.#reader.close()]);
  }

  /** Whether the last number on disk is the last that any life gave: a life that ends before it gave one itself does not undo the crash before it. */
  #knowsLastNumber(): boolean {
    return this.leftOutAtOpen === null || this.#waiting.lastSeq > this.leftOutAtOpen.to;
  }

  /** Waits until `begin`'s callback is called, but not past `stopMs`. */
  #within(stopMs: number, begin: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(Math.max(0, stopMs - this.#clock.monotonic()), resolve);
      begin(() => {
        timer.stop();
        resolve();
      });
    });
  }
}

function toldLoss(loss: LostRange): Told {
  return { ...loss, fromSeq: seq(loss.fromSeq), toSeq: seq(loss.toSeq) };
}

function subscribe<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
