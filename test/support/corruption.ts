import { EventEmitter } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import type { Worker } from "node:worker_threads";
import { createSystemClock } from "../../src/clock.ts";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { alertId, deviceId, type Seq, seq } from "../../src/core/ids.ts";
import type { WaveformChunk } from "../../src/core/observation.ts";
import type { Journal, ReaderCursor } from "../../src/core/ports.ts";
import type { JournalRecord, SeqSpan } from "../../src/core/record.ts";
import { type Clock, wallMs } from "../../src/core/time.ts";
import { type JournalOptions, type JournalThreads, openJournal, openJournalOn } from "../../src/journal/journal.ts";
import type { FromReader, FromWriter, ToReader, ToWriter } from "../../src/journal/messages.ts";
import { JournalReader } from "../../src/journal/reader.ts";
import { WAVE_DEFAULTS, type WaveSettings } from "../../src/journal/waves/wave-settings.ts";
import { JournalWriter } from "../../src/journal/worker.ts";
import { committed, openOrFail, readAll, sealKept, sealNewest } from "./journal-folder.ts";
import { actOf, alertOf, BASE_MS, observationOf } from "./journal-records.ts";
import { isKept, RecordHasher } from "./record-ledger.ts";
import { type SeededRandom, seededRandom } from "./seeded-random.ts";
import { until } from "./until.ts";
import { hurry } from "./upstream-records.ts";
import { chunkOf, patientAlertOf } from "./wave-records.ts";

const READER = "upstream:hospital";
const CURSOR: ReaderCursor = { epoch: "", upTo: seq(0), open: [] };
/** A case that has not ended within so many turns of a timer has hung. Turns and not time, so that the process may be halted for a while. */
const CASE_TURNS_MAX = 200;
/** A damage met while reading is told within so many turns. */
const TURNS_TO_TELL = 20;
const TURN_MS = 25;
/** Threads of their own may wait for a core while this one turns. */
const THREADED_TURNS_MAX = 2400;
const GATEWAY_ID = "gateway-1";

/** A small but whole journal: a sealed segment and one in use, the same of the kept file, alerts open and ended, acts, a loss, starts, a cursor. */
export interface Pattern {
  /** Files as they lie on disk, by name; those of a journal that closed or of one that was cut off, with its logs. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly records: ReadonlyMap<Seq, JournalRecord>;
  readonly hashes: ReadonlyMap<Seq, number>;
  readonly epoch: string;
  readonly cursor: ReaderCursor;
  readonly lastSeq: number;
  /** Each chunk of waves in the ring, as text; the strip of the one alert has some of them. */
  readonly chunks: ReadonlySet<string>;
  readonly stripChunks: ReadonlySet<string>;
}

/** Room that the journal keeps free: it holds nothing. */
const RESERVE_FILE = "reserve.bin";
const SEGMENT_RECORDS = 60;
const SEGMENTS = 2;
/** The ring holds for ever, so that a pattern stays the same for as long as the cases take; strips are a second long. */
const WAVES: WaveSettings = { ...WAVE_DEFAULTS, ringMs: 1e13, stripBeforeMs: 500, stripAfterMs: 500 };
const WAVE_ALERT = "waves";
const CHUNKS = 12;
const CHUNK_MS = 100;
/** A device's waves wait so long for the disk at most, and a strip for the waves after its alert. */
const WAVES_ON_DISK_MS = 6500;

/** Makes both patterns in a folder of their own: one that closed and one that was cut off. */
async function makePatterns(): Promise<{ readonly closed: Pattern; readonly cutOff: Pattern }> {
  const parent = mkdtempSync(join(tmpdir(), "vigil-corruption-pattern-"));
  const folder = join(parent, "journal");
  const records = new Map<Seq, JournalRecord>();
  let next = 1;
  let cutOff: ReadonlyMap<string, Buffer> = new Map();
  let epoch = "";
  let cursor = CURSOR;
  let waves: Pick<Pattern, "chunks" | "stripChunks"> = { chunks: new Set(), stripChunks: new Set() };
  try {
    for (let segment = 0; segment < SEGMENTS; segment++) {
      const journal = await openOrFail(folder, { waves: WAVES });
      epoch = journal.epoch;
      for (let count = 0; count < SEGMENT_RECORDS; count++) {
        const record = recordAt(next, count === 0 ? "start" : null);
        records.set(record.seq, record);
        journal.append([record]);
        if (count % 12 === 11) await committed(journal, next);
        next += 1;
      }
      await committed(journal, next - 1);
      cursor = { epoch, upTo: seq(next - 20), open: [{ from: seq(next - 40), to: seq(next - 30) }] };
      journal.release(READER, cursor);
      // Cursors go to the disk by their own timer; the next commit carries them along.
      await new Promise((resolve) => setTimeout(resolve, 1300));
      const last = recordAt(next, null);
      records.set(last.seq, last);
      journal.append([last]);
      await committed(journal, next);
      next += 1;
      if (segment === SEGMENTS - 1) {
        const alert = patientAlertOf({ seq: next, id: WAVE_ALERT });
        next += 1;
        records.set(alert.seq, alert);
        waves = await recordWaves(journal, folder, () => journal.append([alert]));
      }
      if (segment === SEGMENTS - 1) cutOff = filesOf(folder);
      await journal.close();
      if (segment < SEGMENTS - 1) {
        sealNewest(folder);
        sealKept(folder);
      }
    }
    const hasher = new RecordHasher();
    const hashes = new Map([...records].map(([number, record]) => [number, hasher.of(record)]));
    const common = { records, hashes, epoch, cursor, lastSeq: next - 1, ...waves };
    return { closed: { ...common, files: filesOf(folder) }, cutOff: { ...common, files: cutOff } };
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** Waves of one device around an alert, until they and its strip are on disk. */
async function recordWaves(
  journal: Journal,
  folder: string,
  alarm: () => void,
): Promise<Pick<Pattern, "chunks" | "stripChunks">> {
  for (let index = 0; index < CHUNKS; index++) {
    if (index === CHUNKS / 2) alarm();
    journal.recordWaves([chunkOf({ index, samples: 25 })]);
    await new Promise((resolve) => setTimeout(resolve, CHUNK_MS));
  }
  await new Promise((resolve) => setTimeout(resolve, WAVES_ON_DISK_MS));
  await until("the strip is written", () => readdirSync(join(folder, "strips")).some((name) => name.endsWith(".bin")));
  const { ring, strip } = await readWaves(journal);
  return { chunks: new Set(ring), stripChunks: new Set(strip) };
}

async function readWaves(journal: Journal): Promise<{ readonly ring: readonly string[]; readonly strip: readonly string[] }> {
  const all = { deviceId: deviceId("monitor-1"), fromMs: wallMs(0), toMs: wallMs(Number.MAX_SAFE_INTEGER) };
  const [ring, strip] = [await journal.waves(all), await journal.strip(alertId(WAVE_ALERT))];
  return { ring: ring.map(chunkText), strip: strip.map(chunkText) };
}

function chunkText(chunk: WaveformChunk): string {
  return canonicalJson({ ...chunk, raw: [...chunk.raw] });
}

/** Everything but locks, shared memory and room kept free, which no start reads. */
function filesOf(folder: string): ReadonlyMap<string, Buffer> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const names = entries.map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  const read = names.filter((name) => !name.startsWith("lock") && !name.endsWith("-shm") && name !== RESERVE_FILE);
  return new Map(read.sort().map((name) => [name, readFileSync(join(folder, name))]));
}

function recordAt(number: number, kind: "start" | null): JournalRecord {
  if (kind === "start") {
    const { times } = observationOf({ seq: number });
    const at = { atMs: times.receivedAtMs, atMonotonicMs: times.receivedMonotonicMs };
    return { kind: "start", seq: seq(number), ...at, version: "0.1.0", before: "closed", leftOut: null };
  }
  if (number % 9 === 0) return alertOf({ seq: number, id: `a${number % 5}`, state: number % 2 === 0 ? "active" : "ended" });
  if (number % 25 === 0) return actOf({ seq: number });
  if (number % 40 === 0) {
    const lost = { fromSeq: seq(number - 3), toSeq: seq(number - 3), count: 1, why: "queue-full", what: "waveforms" } as const;
    return { kind: "loss", seq: seq(number), atMs: wallMs(BASE_MS + number), ...lost, reader: null };
  }
  if (number % 17 === 0)
    return {
      kind: "event",
      seq: seq(number),
      atMs: wallMs(BASE_MS),
      deviceId: deviceId("monitor-1"),
      code: "link-up",
      facts: { number },
    };
  return observationOf({ seq: number, value: number % 13 === 0 ? null : 40 + (number % 90) });
}

// -------------------------------------------------------------------------------------------------- threads without threads

/**
 * The journal's threads in this thread, by the same classes: a message arrives in a later turn, as it would. What is not the same: a thread
 * that is ended closes its files in good order, and buffers are not taken away from their sender.
 */
function threadsInProcess(clock: Clock): JournalThreads {
  return {
    startWriter: () => {
      const ends = new InProcessEnds<ToWriter>();
      let open = false;
      const writer = new JournalWriter(clock, (message: FromWriter) => {
        if (message.kind === "opened") open = true;
        if (message.kind === "closed") open = false;
        ends.say(message);
      });
      ends.begin(
        (message) => writer.take(message),
        () => {
          if (open) writer.take({ kind: "close", cleanUpToSeq: null });
        },
      );
      return ends as unknown as Worker;
    },
    startReader: () => {
      const ends = new InProcessEnds<ToReader>();
      const reader = new JournalReader(clock, (message: FromReader) => ends.say(message));
      ends.begin(
        (message) => void reader.take(message).catch((error: unknown) => ends.fail(error)),
        () =>
          void reader.take({ kind: "segments", folder: "", segments: [], sealedKept: [], generation: Number.MAX_SAFE_INTEGER }),
      );
      return ends as unknown as Worker;
    },
  };
}

/** What the main side sees of a thread. */
class InProcessEnds<Message extends { readonly kind: string }> extends EventEmitter {
  #take: (message: Message) => void = () => {};
  #end: () => void = () => {};
  #ended = false;

  begin(take: (message: Message) => void, end: () => void): void {
    this.#take = take;
    this.#end = end;
  }

  get threadId(): number {
    return this.#ended ? -1 : 1;
  }

  postMessage(message: Message): void {
    queueMicrotask(() => {
      if (this.#ended) return;
      if (message.kind === "end") {
        void this.terminate();
        return;
      }
      try {
        this.#take(message);
      } catch (error) {
        this.fail(error);
      }
    });
  }

  /** What a thread throws ends it. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.emit("error", error);
    this.emit("exit", 1);
  }

  say(message: unknown): void {
    queueMicrotask(() => {
      if (!this.#ended) this.emit("message", message);
    });
  }

  async terminate(): Promise<number> {
    if (this.#ended) return 0;
    this.#end();
    this.#ended = true;
    this.emit("exit", 0);
    return 0;
  }
}

// -------------------------------------------------------------------------------------------------------------------- cases

/** Which byte becomes what. Follows from the seed and the case's number alone. */
export interface Damage {
  readonly file: string;
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** What came of one damage. */
export interface CaseOutcome {
  readonly outcome: "harmless" | "found-at-open" | "found-when-read";
  /** Everything that must not be, in words; must be empty. */
  readonly wrong: readonly string[];
  readonly missingCount: number;
  /** Of those, how many no range tells; the journal then says only that the file was damaged. */
  readonly missingWithoutRange: number;
}

/** Chooses the damage of a case: any file, any byte of it; half of them one bit, half of them any other value. */
function damageOf(pattern: Pattern, random: SeededRandom): Damage {
  const names = [...pattern.files.keys()].filter((name) => (pattern.files.get(name)?.length ?? 0) > 0);
  const file = names[random.whole({ min: 0, max: names.length - 1 })] ?? "";
  const bytes = pattern.files.get(file) ?? Buffer.alloc(1);
  const at = random.whole({ min: 0, max: bytes.length - 1 });
  const before = bytes[at] ?? 0;
  const flipped = before ^ (1 << random.whole({ min: 0, max: 7 }));
  const other = (before + random.whole({ min: 1, max: 255 })) % 256;
  return { file, at, before, after: random.fraction() < 0.5 ? flipped : other };
}

/** What is tried beside opening and reading every record. */
export interface CaseDepth {
  /** Appends and reads back what it appended. */
  readonly append: boolean;
  /** Asks for open alerts, newest values, a trend and a cursor. */
  readonly views: boolean;
  /** Reads all waves and the strip. */
  readonly waves: boolean;
}

/** A folder on which cases are run one after another. */
export interface CorruptionBench {
  readonly run: (pattern: Pattern, damage: Damage, more: CaseDepth & { readonly threads: boolean }) => Promise<CaseOutcome>;
  readonly close: () => void;
}

/** Opens the bench, in memory where the system has a file system there. */
function openCorruptionBench(parentFolder = "/dev/shm"): CorruptionBench {
  const parent = mkdtempSync(join(parentFolder, "vigil-corruption-"));
  const folder = join(parent, "journal");
  const clock = hurry(createSystemClock(), 200);
  const hasher = new RecordHasher();
  return {
    run: async (pattern, damage, { append, views, waves, threads }) => {
      lay(folder, pattern, damage);
      const hung = Promise.withResolvers<CaseOutcome>();
      let turns = 0;
      const counting = setInterval(() => {
        turns += 1;
        if (turns < (threads ? THREADED_TURNS_MAX : CASE_TURNS_MAX)) return;
        const answer = { outcome: "found-when-read", missingCount: 0, missingWithoutRange: 0 } as const;
        hung.resolve({ ...answer, wrong: ["it did not end"] });
      }, TURN_MS);
      const options: JournalOptions = {
        folder,
        gatewayId: GATEWAY_ID,
        bytesMax: 1e9,
        clock: threads ? createSystemClock() : clock,
      };
      const open = threads ? () => openJournal(options) : () => openJournalOn(options, threadsInProcess(clock));
      const work = runCase(pattern, hasher, { append, views, waves, open }).catch(
        (error: unknown): CaseOutcome => ({
          outcome: "found-at-open",
          wrong: [`it threw: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`],
          missingCount: 0,
          missingWithoutRange: 0,
        }),
      );
      return await Promise.race([work, hung.promise]).finally(() => clearInterval(counting));
    },
    close: () => rmSync(parent, { recursive: true, force: true }),
  };
}

function lay(folder: string, pattern: Pattern, damage: Damage): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(folder)) if (name !== RESERVE_FILE) rmSync(join(folder, name), { recursive: true });
  for (const [name, bytes] of pattern.files) {
    if (name.includes("/")) mkdirSync(dirname(join(folder, name)), { recursive: true, mode: 0o700 });
    if (name !== damage.file) {
      writeFileSync(join(folder, name), bytes);
      continue;
    }
    const damaged = Buffer.from(bytes);
    damaged[damage.at] = damage.after;
    writeFileSync(join(folder, name), damaged);
  }
}

/** What a journal told of what it lacks. */
interface Told {
  readonly ranges: SeqSpan[];
  readonly faults: string[];
  keptFileDamaged: boolean;
  wavesLost: boolean;
}

async function runCase(
  pattern: Pattern,
  hasher: RecordHasher,
  how: CaseDepth & { readonly open: () => ReturnType<typeof openJournal> },
): Promise<CaseOutcome> {
  const wrong: string[] = [];
  const opened = await how.open();
  if (!opened.ok)
    return {
      outcome: "found-at-open",
      wrong: [`refused: ${JSON.stringify(opened.error)}`],
      missingCount: 0,
      missingWithoutRange: 0,
    };
  const journal = opened.value;
  const told = listen(journal);
  await new Promise((resolve) => setImmediate(resolve));
  const leftOutCount = journal.leftOutAtOpen === null ? 0 : 1;
  const toldAtOpen = told.ranges.length + told.faults.length - leftOutCount;
  let lacking = lackingOf(pattern, told, await readSound(journal, pattern, hasher, wrong));
  // What a reader meets is told once the writing thread has saved what can be saved; then that is there again.
  for (let turn = 0; lacking.unstated.length > 0 && turn < TURNS_TO_TELL; turn++) {
    await new Promise((resolve) => setTimeout(resolve, TURN_MS));
    lacking = lackingOf(pattern, told, await readSound(journal, pattern, hasher, wrong));
  }
  if (how.views) await judgeOthers(journal, pattern, hasher, wrong);
  if (how.waves) await judgeWaves(journal, pattern, told, wrong);
  const next = (journal.leftOutAtOpen?.to ?? journal.lastSeqAtOpen) + 1;
  if (journal.epoch === pattern.epoch && next <= pattern.lastSeq) wrong.push(`number ${next} is given again`);
  if (how.append) await judgeAppending(journal, seq(next), wrong);
  const { missing, untold, unstated } = lacking;
  if (unstated.length > 0)
    wrong.push(
      `missing and not stated: ${unstated
        .map(({ seq: number, kind }) => `${kind} ${number}`)
        .join(", ")
        .slice(0, 300)}`,
    );
  await journal.close();
  const toldCount = told.ranges.length + told.faults.length - leftOutCount + (told.wavesLost ? 1 : 0);
  return {
    outcome: toldAtOpen > 0 ? "found-at-open" : toldCount > 0 || missing.length > 0 ? "found-when-read" : "harmless",
    wrong,
    missingCount: missing.length,
    missingWithoutRange: untold.length,
  };
}

/** What is not there, what of it no range tells, and what of that nothing tells. */
function lackingOf(pattern: Pattern, told: Told, present: ReadonlySet<Seq>) {
  const missing = [...pattern.records.values()].filter((record) => !present.has(record.seq));
  const untold = missing.filter(({ seq: number }) => !told.ranges.some(({ from, to }) => from <= number && number <= to));
  return { missing, untold, unstated: untold.filter((record) => !(told.keptFileDamaged && isKept(record))) };
}

async function readSound(journal: Journal, pattern: Pattern, hasher: RecordHasher, wrong: string[]): Promise<ReadonlySet<Seq>> {
  const found = await readAll(journal);
  judgeRecords(found, pattern, hasher, wrong);
  return new Set(found.map((record) => record.seq));
}

function listen(journal: Journal): Told {
  const told: Told = { ranges: [], faults: [], keptFileDamaged: false, wavesLost: false };
  const take = (code: string, facts: Readonly<Record<string, unknown>>) => {
    told.faults.push(code);
    const { file, fromSeq, toSeq } = facts;
    if (typeof file === "string" && file.includes("kept.sqlite")) told.keptFileDamaged = true;
    if (typeof fromSeq === "number" && typeof toSeq === "number") told.ranges.push({ from: seq(fromSeq), to: seq(toSeq) });
  };
  for (const { code, facts } of journal.faultsAtOpen) take(code, facts);
  journal.onHealth((health) => {
    if (health.state === "failing") take(health.fault.code, health.fault.facts);
  });
  // Numbers whose records were not on disk when the life before was cut off: the record of this life's start tells them.
  if (journal.leftOutAtOpen !== null) told.ranges.push(journal.leftOutAtOpen);
  journal.onLoss(({ fromSeq, toSeq, what }) => {
    if (what === "waveforms") told.wavesLost = true;
    else told.ranges.push({ from: fromSeq, to: toSeq });
  });
  return told;
}

function judgeRecords(found: readonly JournalRecord[], pattern: Pattern, hasher: RecordHasher, wrong: string[]): void {
  let before = 0;
  for (const record of found) {
    if (record.seq <= before) wrong.push(`${record.seq} is shown after ${before}`);
    before = record.seq;
    if (pattern.hashes.get(record.seq) !== hasher.of(record)) wrong.push(`false record: ${JSON.stringify(record).slice(0, 300)}`);
  }
}

/** Everything else a journal shows: open alerts, the newest values, a trend, a cursor. */
async function judgeOthers(journal: Journal, pattern: Pattern, hasher: RecordHasher, wrong: string[]): Promise<void> {
  const others = [
    ...(await journal.openAlerts()),
    ...(await journal.latestObservations({ sinceMs: wallMs(0), quantities: ["heartRate"] })),
    ...(await journal.readBack({ upToSeq: seq(Number.MAX_SAFE_INTEGER), limit: 50 })),
  ];
  for (const record of others)
    if (pattern.hashes.get(record.seq) !== hasher.of(record))
      wrong.push(`falsely shown: ${JSON.stringify(record).slice(0, 300)}`);
  const points = await journal.trend({
    patientId: "patient-1",
    quantity: "heartRate",
    fromMs: wallMs(BASE_MS - 1000),
    toMs: wallMs(BASE_MS + 1e7),
    pointsMax: 4000,
  });
  for (const point of points) {
    const number = Math.round((point.atMs - BASE_MS) / 10);
    const record = pattern.records.get(seq(number));
    const value = record?.kind === "observation" && record.content.state === "present" ? record.content.value : null;
    if (record === undefined || point.value !== value) wrong.push(`a trend's false point: ${JSON.stringify(point)}`);
  }
  const cursor = await journal.cursor(READER);
  if (cursor !== null && (cursor.upTo > pattern.cursor.upTo || cursor.epoch !== pattern.epoch))
    wrong.push(`a false cursor: ${JSON.stringify(cursor)}`);
}

function isOfWaves({ file }: Damage): boolean {
  return file.includes("/");
}

/** What is shown of waves is true, and where some are missing that is told. */
async function judgeWaves(journal: Journal, pattern: Pattern, told: Told, wrong: string[]): Promise<void> {
  let missing = 0;
  for (let turn = 0; turn < TURNS_TO_TELL; turn++) {
    const { ring, strip } = await readWaves(journal);
    for (const chunk of ring) if (!pattern.chunks.has(chunk)) wrong.push(`a false chunk: ${chunk.slice(0, 300)}`);
    for (const chunk of strip)
      if (!pattern.stripChunks.has(chunk)) wrong.push(`a false chunk of a strip: ${chunk.slice(0, 300)}`);
    missing = pattern.chunks.size - new Set(ring).size + pattern.stripChunks.size - new Set(strip).size;
    if (missing === 0 || told.wavesLost || wrong.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, TURN_MS));
  }
  wrong.push(`${missing} chunks of waves are missing and not told`);
}

async function judgeAppending(journal: Journal, next: Seq, wrong: string[]): Promise<void> {
  const after = [alertOf({ seq: next, id: "after" }), observationOf({ seq: next + 1 })];
  journal.append(after);
  await committed(journal, next + 1);
  const read = await journal.read({ afterSeq: seq(next - 1), limit: 10 });
  if (JSON.stringify(read.map((record) => record.seq)) !== JSON.stringify([next, next + 1]))
    wrong.push(`appended ${next} and ${next + 1}, read ${JSON.stringify(read.map((record) => record.seq))}`);
}

// -------------------------------------------------------------------------------------------------------------------- rows

/** Many cases, counted. */
export interface CorruptionTally {
  readonly cases: number;
  readonly outcomes: Readonly<Record<CaseOutcome["outcome"], number>>;
  readonly missingRecords: number;
  readonly missingWithoutRange: number;
  readonly wrongCount: number;
  /** The first few, with what repeats them. */
  readonly wrong: readonly string[];
  readonly seconds: number;
}

/** How a row of cases is run. */
export interface CorruptionRow {
  readonly seed: number;
  readonly from: number;
  readonly count: number;
  /** Appending is tried in every so-many-th case, and the other questions in every so-many-th. */
  readonly appendEvery: number;
  readonly viewsEvery: number;
  readonly threads: boolean;
}

/** Without any damage everything is there and nothing is told; else what the cases show would mean nothing. */
async function expectSound(bench: CorruptionBench, pattern: Pattern, threads: boolean): Promise<void> {
  const [[file, bytes] = ["", Buffer.alloc(1)]] = pattern.files;
  const same = { file, at: 0, before: bytes[0] ?? 0, after: bytes[0] ?? 0 };
  const found = await bench.run(pattern, same, { append: true, views: true, waves: true, threads });
  if (found.outcome !== "harmless" || found.wrong.length > 0 || found.missingCount > 0)
    throw new Error(`the pattern itself is not sound: ${JSON.stringify(found)}`);
}

/** Runs cases `from` up to `from + count`. Each follows from the seed and its own number, so that one of them can be repeated alone. */
export async function runCorruptions(
  row: CorruptionRow,
  onProgress: (done: number) => void = () => {},
): Promise<CorruptionTally> {
  const patterns = await makePatterns();
  const bench = openCorruptionBench();
  const outcomes = { harmless: 0, "found-at-open": 0, "found-when-read": 0 };
  const sums = { missing: 0, withoutRange: 0, wrongCount: 0 };
  const wrong: string[] = [];
  const startedMs = performance.now();
  // The gateway's timers keep no process alive by themselves.
  const alive = setInterval(() => {}, 1000);
  try {
    for (const pattern of [patterns.closed, patterns.cutOff]) await expectSound(bench, pattern, row.threads);
    for (let number = row.from; number < row.from + row.count; number++) {
      const random = seededRandom(row.seed * 1_000_003 + number);
      const name = random.fraction() < 0.5 ? "closed" : "cutOff";
      const damage = damageOf(patterns[name], random);
      const append = number % row.appendEvery === 0;
      const views = number % row.viewsEvery === 0;
      const found = await bench.run(patterns[name], damage, {
        append,
        views,
        waves: views || isOfWaves(damage),
        threads: row.threads,
      });
      outcomes[found.outcome] += 1;
      sums.missing += found.missingCount;
      sums.withoutRange += found.missingWithoutRange;
      if (found.wrong.length > 0) {
        sums.wrongCount += 1;
        if (wrong.length < 40)
          wrong.push(
            `case ${number} of seed ${row.seed}, ${name}, ${JSON.stringify(damage)}: ${found.wrong.slice(0, 3).join(" | ")}`,
          );
      }
      onProgress(number - row.from + 1);
    }
  } finally {
    clearInterval(alive);
    bench.close();
  }
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    cases: row.count,
    outcomes,
    missingRecords: sums.missing,
    missingWithoutRange: sums.withoutRange,
    wrongCount: sums.wrongCount,
    wrong,
    seconds,
  };
}
