import { createHash } from "node:crypto";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { alertId, deviceId, type Seq, seq, userId } from "../../src/core/ids.ts";
import type { ReaderCursor } from "../../src/core/ports.ts";
import { type JournalRecord, KEPT_KINDS, type Loss, madeAtMs } from "../../src/core/record.ts";
import { monotonicMs, wallMs } from "../../src/core/time.ts";
import { leavesFor } from "../../src/core/upstream.ts";
import { createTallyCounter, type TallyCounter } from "../../src/gateway/tally.ts";
import { NOTHING_JUDGED } from "../../src/intake/device-intake.ts";
import { FarSide } from "../../src/verify/far-side.ts";
import { FindingBook } from "../../src/verify/finding.ts";
import { Ledger, type LedgerReport } from "../../src/verify/ledger.ts";
import type { LifeEnd } from "../../src/verify/numbering.ts";
import { ALL_TIME, type TimeWindow } from "../../src/verify/window.ts";
import { alertOf, BASE_MS, observationOf } from "./journal-records.ts";

const EPOCH = "11111111-2222-4333-8444-555555555555";
const WARD_ID = "ward-1";
export const READER = "upstream:hospital";
/** Numbers a life reserves here; the real journal reserves more. */
const RESERVED = 100_000;

/** What a journal and a receiver hold after some lives of a gateway. */
export interface History {
  /** What is on disk, in the order of the files. */
  disk: JournalRecord[];
  ended: LifeEnd;
  cursor: ReaderCursor;
  /** Lines of the receiver's file, in order, without line ends. */
  lines: string[];
  /** Last line without its end. */
  torn: string;
}

/** 0 to 1. */
export type Random = () => number;

/** One of a list that is not empty. */
export function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

const upTo = (random: Random, from: number, to: number) => from + Math.floor(random() * (to - from + 1));

/** A gateway that makes records of all kinds, and a disk that loses some of them by rule. */
class Ward {
  readonly random: Random;
  disk: JournalRecord[] = [];
  lastSeq = 0;
  atMs = BASE_MS;
  tally: TallyCounter = createTallyCounter(seq(1));
  /** Records that left before they were on disk, and never came to be there. */
  readonly provisional: JournalRecord[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  next(): Seq {
    this.lastSeq += 1;
    this.atMs += upTo(this.random, 1, 400);
    return seq(this.lastSeq);
  }

  append(record: JournalRecord): void {
    this.tally.recorded([record]);
    this.disk.push(record);
  }

  start(before: "first" | "closed" | "cut-off"): void {
    const from = this.lastSeq + 1;
    if (before === "cut-off") this.lastSeq += RESERVED;
    const leftOut = before === "cut-off" ? { from: seq(from), to: seq(this.lastSeq) } : null;
    this.tally = createTallyCounter(seq(this.lastSeq + 1));
    const number = this.next();
    const at = { atMs: wallMs(this.atMs), atMonotonicMs: monotonicMs(1) };
    this.append({ kind: "start", seq: number, ...at, version: "1.0.0", before, leftOut });
  }

  observe(): void {
    const device = `monitor-${upTo(this.random, 1, 3)}`;
    const repeats = upTo(this.random, 0, 2);
    const counted = { bytes: 40, messages: 1, readings: 1 + repeats, repeats };
    this.tally.judged(deviceId(device), { ...NOTHING_JUDGED, counted });
    this.append(observationOf({ seq: this.next(), device, atMs: this.atMs, patient: "patient-1" }));
  }

  alert(): JournalRecord {
    const number = this.next();
    const record = { ...alertOf({ seq: number, id: `alert-${number}` }), changedAtMs: wallMs(this.atMs) };
    this.append(record);
    return record;
  }

  receipt(of: JournalRecord): void {
    const key = `${WARD_ID}/${EPOCH}/${of.seq}`;
    const number = this.next();
    this.append({
      kind: "receipt",
      seq: number,
      atMs: wallMs(this.atMs),
      of: key,
      reader: READER,
      state: "received",
      by: "desk",
    });
  }

  event(): void {
    const number = this.next();
    const device = deviceId("monitor-1");
    this.append({ kind: "event", seq: number, atMs: wallMs(this.atMs), deviceId: device, code: "link-up", facts: {} });
  }

  act(): void {
    const number = this.next();
    const deed = { kind: "acknowledge", alertId: alertId("alert-1") } as const;
    this.append({ kind: "act", seq: number, atMs: wallMs(this.atMs), by: userId("nurse"), from: "page", deed });
  }

  tallyNow(): void {
    this.disk.push(this.tally.close({ seq: this.next(), atMs: wallMs(this.atMs) }));
  }

  loss(range: Omit<Loss, "kind" | "seq" | "atMs">): void {
    this.append({ kind: "loss", seq: this.next(), atMs: wallMs(this.atMs), ...range });
  }

  some(count: number): void {
    for (let made = 0; made < count; made++) {
      const dice = this.random();
      if (dice < 0.7) this.observe();
      else if (dice < 0.8) this.receipt(this.alert());
      else if (dice < 0.9) this.event();
      else this.act();
    }
  }

  /** What came since a place in the list goes, as from a full queue: only what is not of a kept kind. */
  dropSince(place: number, why: Loss["why"]): void {
    const gone = this.disk.slice(place).filter((record) => !KEPT_KINDS.has(record.kind));
    const [first, last] = [gone[0], gone.at(-1)];
    if (first === undefined || last === undefined) return;
    this.disk = this.disk.filter((record) => !gone.includes(record));
    this.loss({ fromSeq: first.seq, toSeq: last.seq, count: gone.length, why, what: "records", reader: null });
  }

  /** Of the last commit only what is of a kept kind comes to be on disk. */
  cutOffInCommit(): void {
    const place = this.disk.length;
    this.some(6);
    this.alert();
    this.disk = this.disk.filter((record, index) => index < place || KEPT_KINDS.has(record.kind));
  }
}

/** Lives of a gateway by chance, from a seed's dice: clean by construction, with at least one life of each end. */
export function makeHistory(random: Random): History {
  const ward = new Ward(random);
  const ends: ("closed" | "cut-off" | "cut-off-in-commit")[] = ["closed", "cut-off-in-commit", "cut-off"];
  ends.sort(() => random() - 0.5);
  ends.push(pick(random, ["closed", "cut-off", "cut-off-in-commit"]));
  let before: "first" | "closed" | "cut-off" = "first";
  for (const end of ends) {
    ward.start(before);
    for (let minutes = upTo(random, 2, 3); minutes > 0; minutes--) {
      ward.some(upTo(random, 10, 40));
      const place = ward.disk.length;
      ward.observe();
      ward.some(upTo(random, 3, 12));
      ward.alert();
      ward.observe();
      if (minutes === 1) ward.dropSince(place, "queue-full");
      ward.some(5);
      ward.tallyNow();
    }
    if (end === "closed") ward.tallyNow();
    else ward.some(upTo(random, 0, 9));
    if (end === "cut-off-in-commit") ward.cutOffInCommit();
    // An alert left as not durable and was never on disk.
    if (end !== "closed")
      ward.provisional.push({ ...alertOf({ seq: ward.lastSeq + 3, id: "gone" }), changedAtMs: wallMs(ward.atMs) });
    before = end === "closed" ? "closed" : "cut-off";
  }
  const { cursor, lines } = deliver(ward, random);
  return { disk: ward.disk, ended: before === "first" ? "closed" : before, cursor, lines, torn: "" };
}

/** A line as the receiver writes it. */
export function farLine(
  record: JournalRecord,
  marks: { readonly resent: boolean; readonly again?: true; readonly durable?: boolean },
): string {
  return JSON.stringify({
    key: `${WARD_ID}/${EPOCH}/${record.seq}`,
    kind: record.kind,
    seq: record.seq,
    resent: marks.resent,
    receivedAtMs: madeAtMs(record) + 30,
    madeAtMs: madeAtMs(record),
    durable: marks.durable ?? true,
    content: createHash("sha256").update(canonicalJson(record)).digest("hex").slice(0, 16),
    ...(marks.again === true ? { again: true } : {}),
  });
}

/** Everything up to a cursor with one open range has arrived: most at once, some as backlog, some twice. */
function deliver(ward: Ward, random: Random): Pick<History, "cursor" | "lines"> {
  const end = ward.disk.at(-1)?.seq ?? 0;
  const waitsFrom = pick(random, ward.disk.slice(-40)).seq;
  const waits = pick(random, ward.disk.slice(20, 60)).seq;
  const cursor = { epoch: EPOCH, upTo: seq(Math.min(end, waitsFrom)), open: [{ from: waits, to: seq(waits + 3) }] };
  const live: { readonly seq: number; readonly line: string }[] = [];
  const backlog: string[] = [];
  for (const record of ward.disk) {
    const isOpen = record.seq >= waits && record.seq <= waits + 3;
    if (record.seq > cursor.upTo || isOpen || !leavesFor(record, READER)) continue;
    const isLate = random() < 0.2;
    const line = farLine(record, { resent: isLate });
    if (isLate) backlog.push(line);
    else live.push({ seq: record.seq, line });
    if (random() < 0.1) backlog.push(farLine(record, { resent: true, again: true }));
  }
  for (const record of ward.provisional) live.push({ seq: record.seq, line: farLine(record, { resent: false, durable: false }) });
  live.sort((one, other) => one.seq - other.seq);
  return { cursor, lines: [...live.map(({ line }) => line), ...backlog] };
}

/** Opens the ledger on a history. */
export function verifyHistory(history: History, window: TimeWindow = ALL_TIME): LedgerReport {
  const book = new FindingBook();
  const farSide = new FarSide({ reader: READER, gatewayId: WARD_ID, epoch: EPOCH, window, book });
  for (const line of history.lines) farSide.takeLine(line, true);
  farSide.takeLine(history.torn, false);
  const losses = history.disk.filter((record) => record.kind === "loss");
  const readers = [{ reader: READER, cursor: history.cursor, losses: losses.filter((loss) => loss.reader === READER) }];
  const ledger = new Ledger({ book, window, epoch: EPOCH, losses, owed: [], leftOut: [], readers, farSides: [farSide] });
  for (const record of history.disk) ledger.take(record);
  return ledger.finish(history.ended, { losses, owed: [] });
}
