import { LIMITS } from "../core/limits.ts";
import { type JournalRecord, type Loss, madeAtMs } from "../core/record.ts";
import { type DeviceAccount, DeviceAccounts } from "./device-accounts.ts";
import type { FarSide, FarSideAccount } from "./far-side.ts";
import type { Finding, FindingBook, FindingRule } from "./finding.ts";
import type { LostNumbers } from "./loss-map.ts";
import { type LifeAccount, type LifeEnd, Numbering } from "./numbering.ts";
import { type DeliveryState, type ReaderAccount, ReaderBook, type ReaderInput, RecordTimes } from "./reader-account.ts";
import { TallyCheck, type Uncounted } from "./tally-check.ts";
import { isInWindow, type NumberRange, type TimeWindow } from "./window.ts";

/** What a ledger is opened with. */
export interface LedgerParts {
  readonly book: FindingBook;
  readonly window: TimeWindow;
  /** The journal's epoch. */
  readonly epoch: string | null;
  /** Every loss record, and those that are noted and not yet a record. */
  readonly losses: readonly Loss[];
  readonly owed: readonly LostNumbers[];
  /** Numbers the journal says were left out, besides those that `start` records name. */
  readonly leftOut: readonly NumberRange[];
  readonly readers: readonly ReaderInput[];
  /** At most one for each reader. */
  readonly farSides: readonly FarSide[];
}

/** Stored bytes that are not those that were written, and the records they held at most. */
export type DamagedRange = NumberRange & { readonly count: number; readonly file: string };

/** A life with what no tally covers at its end. */
export type LifeReport = LifeAccount & { readonly notCounted: Uncounted };

/** Everything the ledger says. */
export interface LedgerReport {
  readonly ok: boolean;
  readonly lives: readonly LifeReport[];
  readonly devices: readonly DeviceAccount[];
  readonly readers: readonly ReaderAccount[];
  readonly farSides: readonly FarSideAccount[];
  readonly findings: readonly Finding[];
  /** Records concerned, by rule. */
  readonly wrong: Readonly<Partial<Record<FindingRule, number>>>;
  readonly said: Readonly<Partial<Record<FindingRule, number>>>;
  readonly recordCount: number;
  readonly endSeq: number;
  /** Chunks of waves that went, by rule. */
  readonly wavesLost: Readonly<Record<string, number>>;
}

/** The ledger from device frame to reader's receipt: takes every record of a journal once, in the order of its files. */
export class Ledger {
  readonly #parts: LedgerParts;
  readonly #book: FindingBook;
  readonly #numbering: Numbering;
  readonly #tallies: TallyCheck;
  readonly #devices = new DeviceAccounts();
  readonly #readers: readonly ReaderBook[];
  readonly #farSides: ReadonlyMap<string, FarSide>;
  readonly #times = new RecordTimes();
  readonly #lives: LifeReport[] = [];
  readonly #damaged: DamagedRange[] = [];
  #recordCount = 0;

  constructor(parts: LedgerParts) {
    this.#parts = parts;
    this.#book = parts.book;
    const { book, window, epoch } = parts;
    const losses = [...lostForAll(parts.losses), ...parts.owed];
    this.#tallies = new TallyCheck({ book, window, listener: { onCounted: (device) => this.#devices.counted(device) } });
    this.#numbering = new Numbering({
      book,
      window,
      losses,
      leftOut: parts.leftOut,
      listener: {
        onLife: (first) => this.#tallies.begin(first),
        onLifeEnd: (life) => this.#endLife(life),
        onMissing: (range) => this.#tallies.missing(range),
      },
    });
    this.#readers = parts.readers.map((reader) => new ReaderBook(reader, { epoch, window }));
    this.#farSides = new Map(parts.farSides.map((farSide) => [farSide.reader, farSide]));
    for (const { fromSeq, toSeq, count, why } of parts.owed)
      book.add({ rule: "loss-owed", fromSeq, toSeq, count, facts: { why } });
  }

  /** Takes the next record. */
  take(record: JournalRecord): void {
    const inWindow = isInWindow(this.#parts.window, madeAtMs(record));
    if (!this.#numbering.take(record)) {
      if (record.kind === "observation" && inWindow) this.#devices.takeDuplicate(record);
      return;
    }
    this.#recordCount += 1;
    this.#tallies.take(record);
    this.#times.take(record);
    const states = new Map<string, DeliveryState>();
    for (const reader of this.#readers) {
      const state = reader.take(record, this.#times);
      if (state !== null) states.set(reader.reader, state);
      this.#farSides.get(reader.reader)?.compare(record, state, inWindow);
    }
    if (record.kind === "observation") this.#devices.take(record, states, inWindow);
  }

  /** Stored bytes between these numbers have a wrong check sum; what they held does not come. */
  damaged(range: DamagedRange): void {
    if (this.#damaged.length < LIMITS.verifyHolesMax.value) this.#damaged.push(range);
  }

  /** Damage is wrong until the gateway has recorded what it lost by it. */
  #settleDamage(): void {
    for (const { fromSeq, toSeq, count, file } of this.#damaged) {
      const isRecorded = this.#numbering.whyMissing(fromSeq) !== null && this.#numbering.whyMissing(toSeq) !== null;
      if (!isRecorded) this.#book.add({ rule: "damaged", fromSeq, toSeq, count, facts: { file } });
    }
  }

  #endLife(life: LifeAccount): void {
    const notCounted = this.#tallies.end();
    const { fromMs, toMs } = this.#parts.window;
    if (life.lastAtMs < fromMs || life.startedAtMs >= toMs) return;
    this.#lives.push({ ...life, notCounted });
    if (notCounted.numbers === 0 || life.ended === "running") return;
    const fromSeq = life.lastSeq - notCounted.numbers + 1;
    const facts = { life: life.life, ended: life.ended, lastedMs: notCounted.lastedMs };
    this.#book.add({ rule: "not-counted", fromSeq, toSeq: life.lastSeq, count: notCounted.numbers, facts });
  }

  /**
   * Closes the ledger.
   *
   * @param ended  How the last life ended.
   * @param later  All losses again, read after the last record: some may have been recorded meanwhile.
   */
  finish(ended: LifeEnd, later: { readonly losses: readonly Loss[]; readonly owed: readonly LostNumbers[] }): LedgerReport {
    const numbering = this.#numbering;
    numbering.finish(ended, [...lostForAll(later.losses), ...later.owed]);
    this.#settleDamage();
    const endSeq = numbering.lastSeq;
    for (const reader of this.#readers) reader.settle(this.#book, endSeq);
    for (const farSide of this.#farSides.values()) farSide.settle((number) => numbering.whyMissing(number), endSeq);
    return {
      ok: this.#book.isClean(),
      lives: this.#lives,
      devices: this.#devices.list(),
      readers: this.#readers.map((reader) => reader.account()),
      farSides: [...this.#farSides.values()].map((farSide) => farSide.account()),
      findings: this.#book.list(),
      wrong: this.#book.counts(true),
      said: this.#book.counts(false),
      recordCount: this.#recordCount,
      endSeq,
      wavesLost: wavesLost(this.#parts),
    };
  }
}

function lostForAll(losses: readonly Loss[]): readonly LostNumbers[] {
  return losses.filter(({ what, reader }) => what === "records" && reader === null);
}

function wavesLost({ losses, window }: LedgerParts): Readonly<Record<string, number>> {
  const lost: Record<string, number> = {};
  for (const { what, why, count, atMs } of losses)
    if (what === "waveforms" && isInWindow(window, atMs)) lost[why] = (lost[why] ?? 0) + count;
  return lost;
}
