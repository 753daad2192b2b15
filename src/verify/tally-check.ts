import { type DeviceTally, type JournalRecord, madeAtMs, type RecordKind, type Tally } from "../core/record.ts";
import type { FindingBook, FindingRule } from "./finding.ts";
import { isInWindow, type NumberRange, type TimeWindow } from "./window.ts";

/** One device within one tally, as counted by the gateway and as found on disk. */
export interface CountedDevice {
  readonly tally: DeviceTally;
  /** Its observations on disk. */
  readonly keptCount: number;
  /** The rules by which numbers of this tally went, joined by `+`; null where none is missing. */
  readonly lostBy: string | null;
}

/** What the check of tallies tells as it goes. */
export interface TallyListener {
  readonly onCounted: (device: CountedDevice) => void;
}

/** Numbers that no tally covers, and how long that was. */
export interface Uncounted {
  readonly numbers: number;
  readonly lastedMs: number;
}

/** Holds the gateway's own counts against the records that are there, tally by tally. */
export class TallyCheck {
  readonly #book: FindingBook;
  readonly #window: TimeWindow;
  readonly #listener: TallyListener;
  #kept: Partial<Record<RecordKind, number>> = {};
  #observations = new Map<string, number>();
  #missing = new Map<string, number>();
  #fromSeq = 1;
  #lastSeq = 0;
  #beganMs = 0;
  #lastAtMs = 0;

  constructor(parts: { readonly book: FindingBook; readonly window: TimeWindow; readonly listener: TallyListener }) {
    this.#book = parts.book;
    this.#window = parts.window;
    this.#listener = parts.listener;
  }

  /** A life begins with this record, which is then taken like any other. */
  begin(first: JournalRecord): void {
    this.#startWindow(first.seq, madeAtMs(first));
  }

  #startWindow(fromSeq: number, atMs: number): void {
    this.#kept = {};
    this.#observations = new Map();
    this.#missing = new Map();
    this.#fromSeq = fromSeq;
    this.#lastSeq = fromSeq - 1;
    this.#beganMs = atMs;
    this.#lastAtMs = atMs;
  }

  missing({ fromSeq, toSeq, why }: NumberRange & { readonly why: string }): void {
    this.#missing.set(why, (this.#missing.get(why) ?? 0) + toSeq - fromSeq + 1);
  }

  take(record: JournalRecord): void {
    this.#kept[record.kind] = (this.#kept[record.kind] ?? 0) + 1;
    this.#lastSeq = record.seq;
    this.#lastAtMs = madeAtMs(record);
    if (record.kind === "observation")
      this.#observations.set(record.deviceId, (this.#observations.get(record.deviceId) ?? 0) + 1);
    if (record.kind !== "tally") return;
    if (isInWindow(this.#window, record.atMs)) this.#check(record);
    this.#startWindow(record.seq + 1, record.atMs);
  }

  /** The life ends; what came after its last tally is not counted. */
  end(): Uncounted {
    return { numbers: this.#lastSeq - this.#fromSeq + 1, lastedMs: Math.max(0, this.#lastAtMs - this.#beganMs) };
  }

  #check(tally: Tally): void {
    if (tally.toSeq !== tally.seq || tally.fromSeq !== this.#fromSeq) {
      this.#checkMeeting(tally);
      return;
    }
    const missingCount = [...this.#missing.values()].reduce((sum, count) => sum + count, 0);
    const lostBy = missingCount === 0 ? null : [...this.#missing.keys()].sort().join("+");
    const total = Object.values(tally.given).reduce((sum, count) => sum + count, 0);
    const leftOutCount = this.#missing.get("left-out") ?? 0;
    if (total !== tally.toSeq - tally.fromSeq + 1 - leftOutCount) this.#tell("tally-total", tally, { counted: total });
    this.#checkKinds(tally, missingCount);
    this.#checkDevices(tally, missingCount, lostBy);
  }

  /** A tally before this one is gone: with a recorded loss nobody knows what it said, else it is wrong. */
  #checkMeeting(tally: Tally): void {
    const lostWithIt = tally.toSeq === tally.seq && tally.fromSeq > this.#fromSeq && this.#missing.size > 0;
    const range = { seq: tally.seq, fromSeq: this.#fromSeq, toSeq: tally.toSeq };
    this.#tell(lostWithIt ? "not-counted" : "tally-gap", range, { said: tally.fromSeq, expected: this.#fromSeq });
  }

  #checkKinds(tally: Tally, missingCount: number): void {
    const kinds = new Set([...Object.keys(tally.given), ...Object.keys(this.#kept)] as RecordKind[]);
    for (const kind of kinds) {
      const [given, kept] = [tally.given[kind] ?? 0, this.#kept[kind] ?? 0];
      if (kept > given || (missingCount === 0 && kept !== given)) this.#tell("tally-kind", tally, { kind, given, kept });
    }
  }

  #checkDevices(tally: Tally, missingCount: number, lostBy: string | null): void {
    let sum = 0;
    const unnamed = new Map(this.#observations);
    for (const device of tally.devices) {
      const keptCount = this.#observations.get(device.deviceId) ?? 0;
      const facts = { device: device.deviceId, given: device.observations, kept: keptCount };
      unnamed.delete(device.deviceId);
      sum += device.observations;
      if (keptCount > device.observations || (missingCount === 0 && keptCount !== device.observations))
        this.#tell("tally-device", tally, facts);
      if (device.readings !== device.observations + device.repeats)
        this.#tell("tally-readings", tally, { ...facts, readings: device.readings, repeats: device.repeats });
      this.#listener.onCounted({ tally: device, keptCount, lostBy });
    }
    for (const [device, kept] of unnamed) this.#tell("tally-device", tally, { device, given: 0, kept });
    const given = tally.given.observation ?? 0;
    if (sum !== given) this.#tell("tally-device", tally, { device: "all", given: sum, kept: given });
  }

  #tell(
    rule: FindingRule,
    at: { readonly seq: number; readonly fromSeq: number; readonly toSeq: number },
    facts: Readonly<Record<string, string | number>>,
  ): void {
    this.#book.add({ rule, fromSeq: at.fromSeq, toSeq: at.toSeq, count: 1, facts: { tally: at.seq, ...facts } });
  }
}
