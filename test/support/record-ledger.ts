import { crc32 } from "node:zlib";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import type { Observation } from "../../src/core/observation.ts";
import type { Delivery } from "../../src/core/ports.ts";
import { type JournalRecord, KEPT_KINDS } from "../../src/core/record.ts";
import { leavesFor } from "../../src/core/upstream.ts";

/** What is known of one number. */
const FREE = 0;
const OWED = 1;
const ARRIVED = 2;
const NOT_OWED = 3;
/** The first few of everything that is wrong are kept in words. */
const FINDINGS_MAX = 20;

/** Counts of a run; all but the first four must be 0 where nothing was given up. */
export interface LedgerFigures {
  readonly made: number;
  readonly arrived: number;
  /** Arrivals of a number that had come before, marked as they must be. */
  readonly markedDuplicates: number;
  /** Arrivals that said they were not on disk. */
  readonly notDurable: number;
  /** Came again and did not say so. */
  readonly unmarkedDuplicates: number;
  /** Another content than was made under this number. */
  readonly changed: number;
  /** Never made, or made so long ago that the ledger does not know it any more. */
  readonly unknown: number;
  /** Forgotten before they had arrived. */
  readonly overrun: number;
}

/**
 * Every record's number with a hash of its content, noted when it is handed to the journal and ticked off when it arrives at the far side.
 * A ring: of the latest `capacity` numbers all is known, so that a run of days keeps five bytes a record or a bounded window.
 */
export class RecordLedger {
  readonly #mask: number;
  readonly #hashes: Uint32Array;
  readonly #states: Uint8Array;
  readonly #hasher = new RecordHasher();
  readonly #counts = {
    made: 0,
    arrived: 0,
    markedDuplicates: 0,
    notDurable: 0,
    unmarkedDuplicates: 0,
    changed: 0,
    unknown: 0,
    overrun: 0,
  };
  readonly #findings: string[] = [];
  readonly #reader: string;
  #highest = 0;
  #owedCount = 0;

  /**
   * @param reader    The upstream's name in the journal.
   * @param capacity  A power of two.
   */
  constructor(reader: string, capacity: number) {
    this.#reader = reader;
    if (capacity < 2 || !Number.isInteger(Math.log2(capacity))) throw new Error("the ledger's capacity is a power of two");
    this.#mask = capacity - 1;
    this.#hashes = new Uint32Array(capacity);
    this.#states = new Uint8Array(capacity);
  }

  /** Notes records the moment they are made. */
  made(records: readonly JournalRecord[]): void {
    for (const record of records) {
      const slot = record.seq & this.#mask;
      const leaves = leavesFor(record, this.#reader);
      if (this.#states[slot] === OWED) {
        this.#owedCount -= 1;
        this.#counts.overrun += 1;
        this.#find(`a record was forgotten in the place of ${record.seq}`);
      }
      this.#hashes[slot] = this.#hasher.of(record);
      this.#states[slot] = leaves ? OWED : NOT_OWED;
      if (leaves) this.#owedCount += 1;
      this.#counts.made += 1;
      this.#highest = Math.max(this.#highest, record.seq);
    }
  }

  /** Ticks off what arrived. @returns  Whether it is the first time. */
  arrived(delivery: Delivery): boolean {
    const { seq } = delivery.record;
    const slot = seq & this.#mask;
    if (!delivery.durable) this.#counts.notDurable += 1;
    if (this.#states[slot] === FREE || seq > this.#highest || seq <= this.#highest - this.#mask - 1) {
      this.#counts.unknown += 1;
      this.#find(`${seq} was never made`);
      return false;
    }
    if (this.#hashes[slot] !== this.#hasher.of(delivery.record)) {
      this.#counts.changed += 1;
      this.#find(`${seq} has another content: ${canonicalJson(delivery.record).slice(0, 300)}`);
    }
    if (this.#states[slot] !== ARRIVED) {
      if (this.#states[slot] === OWED) this.#owedCount -= 1;
      this.#states[slot] = ARRIVED;
      this.#counts.arrived += 1;
      return true;
    }
    if (delivery.resent) {
      this.#counts.markedDuplicates += 1;
    } else {
      this.#counts.unmarkedDuplicates += 1;
      this.#find(`${seq} came again without a mark`);
    }
    return false;
  }

  /** Numbers that must arrive and have not, as ranges of numbers that follow each other in the ledger. */
  missing(): readonly { readonly from: number; readonly to: number; readonly count: number }[] {
    const ranges: { from: number; to: number; count: number }[] = [];
    for (let seq = Math.max(1, this.#highest - this.#mask); seq <= this.#highest; seq++) {
      const state = this.#states[seq & this.#mask];
      if (state !== OWED) continue;
      const last = ranges.at(-1);
      if (last !== undefined && this.#nothingArrivedBetween(last.to, seq)) {
        last.to = seq;
        last.count += 1;
      } else {
        ranges.push({ from: seq, to: seq, count: 1 });
      }
    }
    return ranges;
  }

  #nothingArrivedBetween(from: number, to: number): boolean {
    for (let seq = from + 1; seq < to; seq++) if (this.#states[seq & this.#mask] === ARRIVED) return false;
    return true;
  }

  /** How many records between two numbers, both included, have not arrived though they must. */
  missingWithin(from: number, to: number): number {
    let count = 0;
    for (let seq = Math.max(from, this.#highest - this.#mask, 1); seq <= Math.min(to, this.#highest); seq++)
      if (this.#states[seq & this.#mask] === OWED) count += 1;
    return count;
  }

  /** How many records must arrive and have not. */
  missingCount(): number {
    return this.#owedCount;
  }

  figures(): LedgerFigures {
    return { ...this.#counts };
  }

  /** The first few things that were wrong, in words. */
  findings(): readonly string[] {
    return this.#findings;
  }

  #find(what: string): void {
    if (this.#findings.length < FINDINGS_MAX) this.#findings.push(what);
  }
}

const REAL = new Float64Array(1);
const HALVES = new Uint32Array(REAL.buffer);

/** The mixing step of MurmurHash3, 32 bit. Source: Austin Appleby, smhasher, public domain. */
class Mixer {
  #state = 0x9747b28c;

  add(number: number): void {
    let mixed = Math.imul(number | 0, 0xcc9e2d51);
    mixed = (mixed << 15) | (mixed >>> 17);
    this.#state ^= Math.imul(mixed, 0x1b873593);
    this.#state = (this.#state << 13) | (this.#state >>> 19);
    this.#state = (Math.imul(this.#state, 5) + 0xe6546b64) | 0;
  }

  addReal(number: number): void {
    REAL[0] = number;
    this.add(HALVES[0] ?? 0);
    this.add(HALVES[1] ?? 0);
  }

  end(): number {
    let mixed = this.#state ^ (this.#state >>> 16);
    mixed = Math.imul(mixed, 0x85ebca6b);
    mixed ^= mixed >>> 13;
    mixed = Math.imul(mixed, 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  }
}

/** Hashes records quickly: two contents under one hash are one in four billion. */
export class RecordHasher {
  readonly #ids = new Map<string, number>();

  /** The content as 32 bits; the same for the same content, whatever order its fields came in. */
  of(record: JournalRecord): number {
    return record.kind === "observation" ? this.#hashOfObservation(record) : crc32(canonicalJson(record)) >>> 0;
  }

  #hashOfObservation(record: Observation): number {
    const { content, times, quality } = record;
    const hash = new Mixer();
    hash.add(record.seq);
    hash.add(this.#idOf(record.quantity));
    hash.add(this.#idOf(record.deviceId));
    hash.add(record.patientId === null ? 0 : this.#idOf(record.patientId));
    if (content.state === "present") hash.addReal(content.value);
    else hash.add(-this.#idOf(content.why));
    hash.addReal(times.measuredAtMs);
    if (times.deviceClockMs !== null) hash.addReal(times.deviceClockMs);
    hash.addReal(times.receivedAtMs);
    hash.addReal(times.receivedMonotonicMs);
    hash.add(this.#idOf(quality.validity));
    for (const flag of quality.flags) hash.add(this.#idOf(flag));
    hash.add(this.#idOf(quality.origin));
    hash.add(this.#idOf(record.driverId));
    hash.add(this.#idOf(record.driverVersion));
    return hash.end();
  }

  /** A number for each of the few words of a ward. */
  #idOf(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    const id = crc32(text) | 1;
    this.#ids.set(text, id);
    return id;
  }
}

/** Whether a record is of a kind that a journal never drops. */
export function isKept(record: JournalRecord): boolean {
  return KEPT_KINDS.has(record.kind);
}
