import type { Alert } from "../core/alert.ts";
import { backoffMs } from "../core/backoff.ts";
import { type Fault, fault } from "../core/errors.ts";
import { recordKey, type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Delivery, DeliveryOutcome, Journal, ReaderCursor, Sink } from "../core/ports.ts";
import { type JournalRecord, KEPT_KINDS, type RecordKind } from "../core/record.ts";
import type { Clock, WallMs } from "../core/time.ts";
import { BATCH_MESSAGE_KINDS, leavesFor, RECORD_MESSAGE_KINDS } from "../core/upstream.ts";
import { BoundedDelivery } from "./bounded-delivery.ts";
import { type ReaderLoss, ReaderLosses, readLeftOut } from "./reader-losses.ts";
import { addRange, countSeqs, joinNearest, removeRange, type SeqRange, subtract, unite, upToNumber } from "./seq-ranges.ts";
import { type UrgentEntry, UrgentLane } from "./urgent-lane.ts";

/** What an outbox needs. */
export interface OutboxParts {
  /** The reader's name in the journal, for example `upstream:hospital`. */
  readonly name: string;
  readonly gatewayId: string;
  readonly journal: Journal;
  readonly sink: Sink;
  readonly clock: Clock;
  /** 0 to 1, for the jitter of retries. */
  readonly random: () => number;
  /** Ends the outbox; see `Outbox.finished`. */
  readonly stop: AbortSignal;
  /** Called when an outage begins, when its reason changes, and with null when it is over: one technical alert per outage. */
  readonly onFault: (reason: Fault | null) => void;
  /** Makes the loss a record and hands it to the journal at once; returns its number. */
  readonly stateLoss: (loss: ReaderLoss) => Seq;
  /**
   * Called for what happened once and has no end of its own: `upstream-rejected` (the receiver refused records for good; they stay in the
   * journal and are not sent again), `upstream-left-behind` (the journal gave up records before this reader had them) and
   * `upstream-begins-anew` (the journal's epoch changed: everything in it is sent again, under new keys).
   */
  readonly onIncident: (incident: Fault) => void;
}

/** How an outbox is doing. */
export interface OutboxView {
  readonly name: string;
  readonly state: "connected" | "connecting";
  /** Sequence numbers that wait, at most, 0 while the journal has not said where this reader stands; receipts, which are not sent, count as well, and numbers that were left out do not. */
  readonly backlogRecords: number;
  readonly lastConfirmedAtMs: WallMs | null;
  /** Records confirmed that went out the first time. */
  readonly sentCount: number;
  /** Records confirmed that were marked as resent. */
  readonly resentCount: number;
  readonly rejectedCount: number;
  /** Records, at most, that the journal gave up before this reader had them. */
  readonly missedCount: number;
}

/** The owner of one sink: reads the journal, retries, keeps the cursor. */
export interface Outbox {
  /** Hands over an alert the moment it is made, beside `journal.append`. Never waits. */
  readonly urgent: (alert: Alert) => void;
  readonly view: () => OutboxView;
  /** Resolves within a second after `stop`: what was under way has ended or been given up, the cursor is with the journal, the sink closed. */
  readonly finished: Promise<void>;
}

/** Starts delivering. Where the journal has no cursor for this reader it begins with the oldest record. */
export function startOutbox(parts: OutboxParts): Outbox {
  const runner = new OutboxRunner(parts);
  return { urgent: (alert) => runner.urgent(alert), view: () => runner.view(), finished: runner.run() };
}

const KEPT: readonly RecordKind[] = RECORD_MESSAGE_KINDS;
const BULK: readonly RecordKind[] = BATCH_MESSAGE_KINDS;
/** Receipts do not leave, but a page that has them shows that nothing is missing in it. */
const LIVE: readonly RecordKind[] = [...KEPT, ...BULK, "receipt"];
/** Alerts, acts or losses in one delivery: small, so that little is sent again after a failure. */
const KEPT_BATCH_RECORDS_MAX = 10;
/** Deliveries of new records under way; with those of alerts and backlog they fill `upstreamInFlightMax`. */
const LIVE_IN_FLIGHT_MAX =
  LIMITS.upstreamInFlightMax.value - LIMITS.upstreamUrgentPlaces.value - LIMITS.upstreamBacklogInFlightMax.value;
/** A batch of the backlog is made smaller when its confirmation takes longer than this, so that an alert never waits behind much. */
const BACKLOG_BATCH_MS_MAX = 500;
/** And larger when it takes less than this. */
const BACKLOG_BATCH_MS_MIN = 150;
const BACKLOG_BATCH_RECORDS_MIN = 10;
/** Records of the backlog that are read at once: the journal opens a whole commit for each read, however few are wanted. */
const BACKLOG_PAGE_RECORDS = 500;
/** A batch of the backlog is made smaller as well when the main thread works longer than this for it, in ms, and larger below half of it. */
const BACKLOG_WORK_MS_MAX = 1;
/**
 * The part of the main thread's time that making and publishing a backlog may take; for the rest it waits, so that alerts find it free.
 * It falls by a third whenever the wait was over late, because the thread or the machine has other work, and rises slowly when it was not.
 */
const BACKLOG_SHARE = { max: 0.1, min: 0.005, step: 0.002, lateMs: 4 } as const;
/** How often the cursor goes to the journal, in ms. */
const CURSOR_EVERY_MS = 250;
/** How often the journal's new losses are looked at, in ms. */
const LOSSES_EVERY_MS = 1000;
/** A hole that is no loss after so long, in ms, is none: the journal tells of a drop as soon as the file is gone. */
const HOLE_MS_MAX = 5000;
/** How many holes are told apart; beyond, the nearest are joined. */
const HOLES_MAX = 500;
const MINUTE_MS = 60_000;

/** Failures in a row of one kind of delivery, while the connection itself may be well (a forbidden topic). */
interface Lane {
  failures: number;
}

/** One connection's time, from the sink's yes to the first failure or the stop. */
interface Session {
  /** The last number on disk when it began: what comes after is new. */
  readonly headSeq: Seq;
  ended: boolean;
  readonly giveUp: AbortController;
  /** Aborted when the session ends, for sleeps. */
  readonly over: AbortController;
  readonly underWay: Set<Promise<void>>;
}

/**
 * Sequence numbers are in one of these places: confirmed; in `#openKept` (an alert, act or loss in there may be unconfirmed), in
 * `#openBulk` (the same for the rest), in `#live` (a page under way), with the urgent lane; or over `#livePosition`, not yet read.
 */
class OutboxRunner {
  readonly #parts: OutboxParts;
  readonly #lane: UrgentLane;
  readonly #kept: Lane = { failures: 0 };
  readonly #bulk: Lane = { failures: 0 };
  readonly #waiters = new Set<() => void>();
  readonly #carrier: BoundedDelivery;
  #losses: ReaderLosses;
  #leftOut: readonly SeqRange[] = [];
  #former: ReaderCursor["former"];
  /** Holes that deliveries went past lately, and in the time before. */
  #holes: readonly SeqRange[] = [];
  #olderHoles: readonly SeqRange[] = [];
  /** Losses for refused records that may be stated in this minute. */
  #refusalsLeft = LIMITS.upstreamRefusalsPerMinuteMax.value;
  #openKept: readonly SeqRange[] = [];
  #openBulk: readonly SeqRange[] = [];
  #liveKept: readonly SeqRange[] = [];
  #liveBulk: readonly SeqRange[] = [];
  #livePosition: Seq = seq(0);
  /** False until the journal has said where this reader stands. */
  #hasBegun = false;
  #beginning: Promise<boolean> = Promise.resolve(false);
  #session: Session | null = null;
  #presentFault: Fault | null = null;
  /** A reason that differs from the present one and came once. */
  #otherFault: Fault | null = null;
  #backlogBatchRecords = LIMITS.upstreamBatchRecordsMax.value / 4;
  /** Half of the last batch with which the connection was lost; grows again by a quarter each minute. */
  #backlogBatchMax: number = LIMITS.upstreamBatchRecordsMax.value;
  #backlogShare: number = BACKLOG_SHARE.max / 2;
  #cursorIsStale = false;
  #lastConfirmedAtMs: WallMs | null = null;
  #sentCount = 0;
  #resentCount = 0;
  #rejectedCount = 0;
  #missedCount = 0;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    this.#carrier = new BoundedDelivery(parts);
    this.#losses = this.#lossesAfter(seq(0));
    this.#lane = new UrgentLane({ clock: parts.clock, onReady: () => this.#wake() });
  }

  urgent(alert: Alert): void {
    if (this.#parts.stop.aborted || alert.seq <= this.#livePosition) return;
    this.#lane.hand(alert, this.#parts.journal.committedSeq());
  }

  view(): OutboxView {
    const unread = { from: seq(this.#livePosition + 1), to: this.#parts.journal.committedSeq() };
    const open = unite(this.#openKept, this.#openBulk);
    const waiting = unread.from <= unread.to ? addRange(open, unread) : open;
    return {
      name: this.#parts.name,
      state: this.#session === null ? "connecting" : "connected",
      backlogRecords: this.#hasBegun ? countSeqs(subtract(waiting, this.#leftOut)) : 0,
      lastConfirmedAtMs: this.#lastConfirmedAtMs,
      sentCount: this.#sentCount,
      resentCount: this.#resentCount,
      rejectedCount: this.#rejectedCount,
      missedCount: this.#missedCount,
    };
  }

  async run(): Promise<void> {
    const { journal, clock, name, stop } = this.#parts;
    this.#beginning = this.#begin();
    const stopListening = journal.onCommit((upTo) => this.#committed(upTo));
    const stopLosses = journal.onLoss((loss) => {
      this.#losses.hear(loss);
      this.#giveUpDropped();
    });
    const timers = [
      clock.every(CURSOR_EVERY_MS, () => this.#storeCursor()),
      clock.every(LOSSES_EVERY_MS, () => void this.#lookForLosses()),
      clock.every(HOLE_MS_MAX, () => this.#forgetHoles()),
      clock.every(MINUTE_MS, () => {
        this.#refusalsLeft = LIMITS.upstreamRefusalsPerMinuteMax.value;
        this.#backlogBatchMax = Math.min(LIMITS.upstreamBatchRecordsMax.value, Math.ceil(this.#backlogBatchMax * 1.25));
      }),
    ];
    const onStop = () => {
      if (this.#session !== null) this.#end(this.#session);
      this.#wake();
    };
    stop.addEventListener("abort", onStop);
    await this.#connectAndServe();
    stop.removeEventListener("abort", onStop);
    stopListening();
    stopLosses();
    for (const timer of timers) timer.stop();
    this.#lane.close();
    // Whoever stops in order has heard what was dropped; only a crash needs the holes.
    [this.#holes, this.#olderHoles] = [[], []];
    if (this.#hasBegun) journal.release(name, this.#cursor());
    await this.#carrier.close();
  }

  // -------------------------------------------------------------------- begin

  /**
   * Finds out where this reader stands; alerts need not wait for that. False where it was stopped before it knew: then its cursor stays
   * as it was.
   */
  async #begin(): Promise<boolean> {
    const { journal, name } = this.#parts;
    const stored = await this.#untilAnswered(() =>
      journal.cursor(name).then(
        (cursor) => ({ cursor }),
        () => null,
      ),
    );
    if (stored === null) return false;
    const known = stored.cursor !== null && stored.cursor.epoch === journal.epoch ? stored.cursor : null;
    const firstOpen = known === null ? 1 : (known.open[0]?.from ?? known.upTo + 1);
    const leftOut = await this.#untilAnswered(() => readLeftOut(journal, seq(firstOpen - 1)));
    if (leftOut === null) return false;
    this.#leftOut = leftOut;
    this.#losses = this.#lossesAfter(seq(firstOpen - 1));
    if ((await this.#untilAnswered(async () => (await this.#losses.readNew()) || null)) === null) return false;
    if (known === null) this.#beginAnew(stored.cursor);
    else this.#goOn(known);
    this.#hasBegun = true;
    // From now on this reader is known to the journal: what is given up before it has had it is its loss.
    journal.release(name, this.#cursor());
    if (this.#session === null) this.#giveUpDropped();
    else this.#takeOver(this.#session.headSeq);
    return true;
  }

  #goOn(cursor: ReaderCursor): void {
    this.#former = cursor.former;
    this.#livePosition = cursor.upTo;
    this.#openKept = cursor.open;
    this.#openBulk = cursor.open;
  }

  /**
   * Begins with the oldest record. A reader whose cursor is of another epoch gets everything again, marked and with the former key of
   * each record that it may have had: what it was sent lives under keys that nobody can look up in this journal any more.
   */
  #beginAnew(old: ReaderCursor | null): void {
    const { journal, name, onIncident } = this.#parts;
    const { droppedUpTo } = this.#losses;
    this.#livePosition = droppedUpTo;
    this.#openKept = addRange([], { from: seq(1), to: droppedUpTo });
    if (old === null) return;
    this.#former = { epoch: old.epoch, upTo: journal.lastSeqAtOpen };
    onIncident(fault("upstream-begins-anew", { reader: name, formerEpoch: old.epoch, epoch: journal.epoch }));
  }

  #lossesAfter(afterSeq: Seq): ReaderLosses {
    const { journal, name, stateLoss } = this.#parts;
    return new ReaderLosses({ journal, reader: name, state: stateLoss, afterSeq });
  }

  /** Asks the journal again and again; null where the outbox is stopped before it answers. */
  async #untilAnswered<Answer>(ask: () => Promise<Answer | null>): Promise<Answer | null> {
    const { clock, stop } = this.#parts;
    while (!stop.aborted) {
      const answer = await unlessStopped(ask(), stop);
      if (answer !== null) return answer;
      await clock.sleep(LIMITS.journalRetryMs.value, stop);
    }
    return null;
  }

  // ------------------------------------------------------------------- losses

  async #lookForLosses(): Promise<void> {
    if (!this.#hasBegun || !(await this.#losses.readNew()) || this.#parts.stop.aborted) return;
    // Without a connection what is new, or was under way, would join the backlog only at the next one; what was dropped of it is missed now.
    if (this.#session === null) this.#takeOver(this.#parts.journal.committedSeq());
    else this.#giveUpDropped();
  }

  /** What the journal gave up before this reader had it is stated as its loss, and waits no more. */
  #giveUpDropped(): void {
    const upTo = this.#losses.droppedUpTo;
    const holes = unite(this.#holes, this.#olderHoles);
    const missed = this.#losses.miss(subtract(upToNumber(unite(this.#openBulk, holes), upTo), this.#leftOut));
    const gone = { from: seq(1), to: upTo };
    this.#openBulk = removeRange(this.#openBulk, gone);
    this.#holes = removeRange(this.#holes, gone);
    this.#olderHoles = removeRange(this.#olderHoles, gone);
    const [first] = missed;
    const last = missed.at(-1);
    if (first === undefined || last === undefined) return;
    this.#cursorIsStale = true;
    this.#missedCount += countSeqs(missed);
    const { name, onIncident } = this.#parts;
    onIncident(
      fault("upstream-left-behind", { reader: name, fromSeq: first.from, toSeq: last.to, recordsAtMost: this.#missedCount }),
    );
  }

  /**
   * Notes where a page found nothing before its first observation, prediction, event or tally: the journal drops the oldest first, and a
   * page may have gone past what was dropped before the journal could say so.
   */
  #noteHole(page: Page): void {
    const firstSeq = page.records.find((record) => !KEPT_KINDS.has(record.kind))?.seq;
    const hole = { from: page.covered.from, to: firstSeq === undefined ? page.covered.to : seq(firstSeq - 1) };
    const found = page.records.map((record) => ({ from: record.seq, to: record.seq }));
    const holes = subtract(subtract(addRange([], hole), this.#leftOut), found);
    if (holes.length > 0) this.#holes = joinNearest(unite(this.#holes, holes), HOLES_MAX);
  }

  #forgetHoles(): void {
    if (this.#olderHoles.length > 0) this.#cursorIsStale = true;
    this.#olderHoles = this.#holes;
    this.#holes = [];
  }

  async #connectAndServe(): Promise<void> {
    const { clock, stop, random } = this.#parts;
    const bounds = { msMin: LIMITS.upstreamBackoffMsMin.value, msMax: LIMITS.upstreamBackoffMsMax.value };
    let failures = 0;
    while (!stop.aborted) {
      const answer = await unlessStopped(this.#deliver([], stop), stop);
      if (answer === null) break;
      if (answer.kind === "delivered") {
        failures = 0;
        await this.#serve();
      } else {
        failures += 1;
        this.#tell(answer.fault);
        await clock.sleep(backoffMs(failures, bounds, random()), stop);
      }
    }
  }

  /** Runs the lanes until one fails or the outbox stops, then waits a little for what is under way. */
  async #serve(): Promise<void> {
    const session: Session = {
      headSeq: this.#parts.journal.committedSeq(),
      ended: this.#parts.stop.aborted,
      giveUp: new AbortController(),
      over: new AbortController(),
      underWay: new Set(),
    };
    if (this.#hasBegun) this.#takeOver(session.headSeq);
    this.#otherFault = null;
    this.#session = session;
    this.#settleFault();
    await Promise.all([this.#urgentLoop(session), this.#readerLoops(session), this.#probeLoop(session)]);
    const { clock } = this.#parts;
    await Promise.race([Promise.all(session.underWay), clock.sleep(LIMITS.upstreamStopMsMax.value)]);
    session.giveUp.abort();
    await Promise.all(session.underWay);
    this.#session = null;
  }

  /** What is read from the journal leaves once it is known where this reader stands; a disk that hangs then keeps it, but no alert. */
  async #readerLoops(session: Session): Promise<void> {
    const begun = this.#hasBegun || (await unlessStopped(this.#beginning, session.over.signal)) === true;
    if (begun) await Promise.all([this.#liveLoop(session), this.#backlogLoop(session)]);
  }

  /** Everything up to a number on disk that is not confirmed becomes backlog; what comes after goes out at once. */
  #takeOver(headSeq: Seq): void {
    const head = seq(Math.max(this.#livePosition, headSeq));
    this.#giveBackUrgent();
    const unread = { from: seq(this.#livePosition + 1), to: head };
    const rangesMax = LIMITS.upstreamBacklogRangesMax.value;
    this.#openKept = joinNearest(addRange(unite(this.#openKept, this.#liveKept), unread), rangesMax, this.#leftOut);
    this.#openBulk = joinNearest(addRange(unite(this.#openBulk, this.#liveBulk), unread), rangesMax, this.#leftOut);
    this.#liveKept = [];
    this.#liveBulk = [];
    this.#livePosition = head;
    this.#giveUpDropped();
  }

  /** Without a connection alerts that are on disk need no place in memory: the journal's reader will bring them. */
  #giveBackUrgent(): void {
    if (!this.#hasBegun) return;
    for (const given of this.#lane.giveBack(this.#parts.journal.committedSeq())) {
      if (given <= this.#livePosition) this.#openKept = addRange(this.#openKept, { from: given, to: given });
    }
  }

  #committed(upTo: Seq): void {
    this.#lane.release(upTo);
    this.#losses.committed(upTo);
    if (this.#session === null) this.#giveBackUrgent();
    this.#wake();
  }

  // ---------------------------------------------------------------- lanes

  async #urgentLoop(session: Session): Promise<void> {
    await this.#laneDelay(this.#kept, LIMITS.upstreamBackoffMsMin.value, session);
    let underWayCount = 0;
    while (!session.ended) {
      const free = underWayCount < LIMITS.upstreamUrgentPlaces.value;
      const entries = free ? this.#lane.take(KEPT_BATCH_RECORDS_MAX) : [];
      if (entries.length === 0) {
        await this.#change();
        continue;
      }
      underWayCount += 1;
      void this.#start(session, async () => {
        const confirmed = await this.#send(this.#urgentBatch(entries), this.#kept, session);
        this.#lane.settle(entries, confirmed);
        underWayCount -= 1;
      });
    }
  }

  #urgentBatch(entries: readonly UrgentEntry[]): readonly Delivery[] {
    const committed = this.#parts.journal.committedSeq();
    return entries.map((entry) => this.#delivery(entry.alert, entry.tried, entry.alert.seq <= committed));
  }

  async #liveLoop(session: Session): Promise<void> {
    await this.#laneDelay(this.#bulk, LIMITS.upstreamBackoffMsMax.value, session);
    let underWayCount = 0;
    while (!session.ended) {
      const upTo = this.#parts.journal.committedSeq();
      if (underWayCount >= LIVE_IN_FLIGHT_MAX || upTo <= this.#livePosition) {
        await this.#change();
        continue;
      }
      const range = { from: seq(this.#livePosition + 1), to: upTo };
      const page = await this.#read(session, range, LIVE, LIMITS.upstreamBatchRecordsMax.value);
      if (page === null) {
        await this.#parts.clock.sleep(LIMITS.journalRetryMs.value, session.over.signal);
        continue;
      }
      underWayCount += 1;
      void this.#start(session, async () => {
        await this.#sendPage(page, session);
        underWayCount -= 1;
      });
    }
  }

  /** Sends one page of new records, what people must know first; each half that fails waits for the next session as backlog. */
  async #sendPage(page: Page, session: Session): Promise<void> {
    const { covered } = page;
    this.#noteHole(page);
    this.#livePosition = covered.to;
    this.#liveKept = addRange(this.#liveKept, covered);
    this.#liveBulk = addRange(this.#liveBulk, covered);
    const kept = page.records.filter((record) => KEPT_KINDS.has(record.kind) && !this.#lane.has(record.seq));
    const bulk = page.records.filter((record) => !KEPT_KINDS.has(record.kind));
    const sending = {
      kept: this.#send(this.#batch(kept, false), this.#kept, session),
      bulk: this.#send(this.#batch(bulk, false), this.#bulk, session),
    };
    if (await sending.kept) this.#liveKept = removeRange(this.#liveKept, covered);
    if (await sending.bulk) this.#liveBulk = removeRange(this.#liveBulk, covered);
  }

  /** First every alert, act and loss of the backlog, then the rest. */
  async #backlogLoop(session: Session): Promise<void> {
    await this.#laneDelay(this.#kept, LIMITS.upstreamBackoffMsMin.value, session);
    await this.#backlogPass(session, {
      lane: this.#kept,
      kinds: KEPT,
      ranges: this.#openKept,
      inFlightMax: 1,
      done: (covered) => {
        this.#openKept = removeRange(this.#openKept, covered);
      },
    });
    await this.#laneDelay(this.#bulk, LIMITS.upstreamBackoffMsMax.value, session);
    await this.#backlogPass(session, {
      lane: this.#bulk,
      kinds: BULK,
      ranges: this.#openBulk,
      inFlightMax: LIMITS.upstreamBacklogInFlightMax.value,
      done: (covered) => {
        this.#openBulk = removeRange(this.#openBulk, covered);
      },
    });
  }

  async #backlogPass(session: Session, pass: Pass): Promise<void> {
    const { clock } = this.#parts;
    const running = new Set<Promise<void>>();
    for (const range of pass.ranges) {
      for (let next = range.from; next <= range.to && !session.ended; ) {
        const page = await this.#read(session, { from: next, to: range.to }, pass.kinds, BACKLOG_PAGE_RECORDS);
        if (page === null) {
          await clock.sleep(LIMITS.journalRetryMs.value, session.over.signal);
          continue;
        }
        next = seq(page.covered.to + 1);
        await this.#backlogPage(session, pass, page, running);
      }
    }
    await unlessStopped(Promise.all(running), session.over.signal);
  }

  /** Starts a page's deliveries one after the other, each as large as is good at its moment. */
  async #backlogPage(session: Session, pass: Pass, page: Page, running: Set<Promise<void>>): Promise<void> {
    const { clock } = this.#parts;
    for (let rest: Page | null = page; rest !== null && !session.ended; ) {
      if (running.size >= pass.inFlightMax) {
        await unlessStopped(Promise.race(running), session.over.signal);
        continue;
      }
      const [part, others]: readonly [Page, Page | null] = splitPage(rest, this.#backlogLimit(pass.lane));
      rest = others;
      const begunMs = clock.monotonic();
      const work = this.#start(session, () => this.#sendBacklog(part, pass, session));
      running.add(work);
      void work.finally(() => running.delete(work));
      await this.#rest(clock.monotonic() - begunMs, session);
    }
  }

  /** Leaves the main thread to others after some work for the backlog, for longer where it is wanted. */
  async #rest(workMs: number, session: Session): Promise<void> {
    const { clock } = this.#parts;
    const restMs = workMs / this.#backlogShare - workMs;
    if (restMs <= 0) return;
    const begunMs = clock.monotonic();
    await clock.sleep(restMs, session.over.signal);
    const lateMs = clock.monotonic() - begunMs - restMs;
    const share = lateMs > BACKLOG_SHARE.lateMs ? (this.#backlogShare * 2) / 3 : this.#backlogShare + BACKLOG_SHARE.step;
    this.#backlogShare = Math.min(BACKLOG_SHARE.max, Math.max(BACKLOG_SHARE.min, share));
  }

  #backlogLimit(lane: Lane): number {
    return lane === this.#kept ? KEPT_BATCH_RECORDS_MAX : this.#backlogBatchRecords;
  }

  async #sendBacklog(page: Page, pass: Pass, session: Session): Promise<void> {
    const { clock } = this.#parts;
    if (pass.lane === this.#bulk) this.#noteHole(page);
    const records = page.records.filter((record) => !this.#lane.has(record.seq));
    const begunMs = clock.monotonic();
    const sending = this.#send(this.#batch(records, true), pass.lane, session);
    const workMs = clock.monotonic() - begunMs;
    if (!(await sending)) {
      // A server may cut the connection of whoever sends more than it takes, and say nothing.
      if (pass.lane === this.#bulk) this.#backlogBatchMax = Math.max(1, Math.floor(records.length / 2));
      this.#backlogBatchRecords = Math.min(this.#backlogBatchRecords, this.#backlogBatchMax);
      return;
    }
    pass.done(page.covered);
    this.#settleFault();
    if (records.length === 0 || pass.lane === this.#kept) return;
    const tookMs = clock.monotonic() - begunMs;
    if (tookMs > BACKLOG_BATCH_MS_MAX || workMs > BACKLOG_WORK_MS_MAX) {
      const least = Math.min(BACKLOG_BATCH_RECORDS_MIN, this.#backlogBatchRecords);
      this.#backlogBatchRecords = Math.max(least, Math.floor(this.#backlogBatchRecords / 2));
    } else if (tookMs < BACKLOG_BATCH_MS_MIN && workMs < BACKLOG_WORK_MS_MAX / 2) {
      this.#backlogBatchRecords = Math.min(this.#backlogBatchMax, this.#backlogBatchRecords * 2);
    }
  }

  /** Asks the sink now and then whether it still has its connection, so that an outage is known although nothing is sent. */
  async #probeLoop(session: Session): Promise<void> {
    while (!session.ended) {
      await this.#parts.clock.sleep(LIMITS.upstreamProbeMs.value, session.over.signal);
      if (session.ended) return;
      const answer = await unlessStopped(this.#deliver([], session.giveUp.signal), session.over.signal);
      if (answer === null) return;
      if (answer.kind !== "delivered") this.#lose(session, answer.fault);
      else this.#settleFault();
    }
  }

  /** The first failure may be the connection's and costs nothing; from the second in a row on the lane itself waits. */
  async #laneDelay(lane: Lane, msMax: number, session: Session): Promise<void> {
    if (lane.failures < 2) return;
    const bounds = { msMin: LIMITS.upstreamBackoffMsMin.value, msMax };
    await this.#parts.clock.sleep(backoffMs(lane.failures - 1, bounds, this.#parts.random()), session.over.signal);
  }

  // ------------------------------------------------------------ deliveries

  #start(session: Session, work: () => Promise<void>): Promise<void> {
    const running = work().finally(() => {
      session.underWay.delete(running);
      this.#cursorIsStale = true;
      this.#wake();
    });
    session.underWay.add(running);
    return running;
  }

  /** True when everything in the batch was confirmed or set aside; otherwise the session is over. */
  async #send(batch: readonly Delivery[], lane: Lane, session: Session): Promise<boolean> {
    if (batch.length === 0) return true;
    const refused: Refusal[] = [];
    const reason = await this.#deliverAll(batch, session.giveUp.signal, refused);
    this.#setAside(refused);
    if (reason === null) {
      lane.failures = 0;
      this.#settleFault();
      return true;
    }
    if (!session.ended) lane.failures += 1;
    this.#lose(session, reason);
    return false;
  }

  /** Delivers a batch; what the receiver refuses is halved until the refused record stands alone, and noted. */
  async #deliverAll(batch: readonly Delivery[], giveUp: AbortSignal, refused: Refusal[]): Promise<Fault | null> {
    const answer = await this.#deliver(batch, giveUp);
    switch (answer.kind) {
      case "delivered":
        this.#count(batch);
        return null;
      case "try-later":
        return answer.fault;
      case "rejected": {
        const named = batch.filter((delivery) => answer.keys.includes(delivery.key));
        const suspects = named.length === 0 ? batch : named;
        const innocent = marked(batch.filter((delivery) => !suspects.includes(delivery)));
        const rest = innocent.length === 0 ? null : await this.#deliverAll(innocent, giveUp, refused);
        if (rest !== null) return rest;
        const [first] = suspects;
        if (suspects.length === 1 && first !== undefined) return this.#noteRefused(first, answer.fault, refused);
        const middle = Math.ceil(suspects.length / 2);
        const left = await this.#deliverAll(marked(suspects.slice(0, middle)), giveUp, refused);
        return left ?? (await this.#deliverAll(marked(suspects.slice(middle)), giveUp, refused));
      }
    }
  }

  #deliver(batch: readonly Delivery[], giveUp: AbortSignal): Promise<DeliveryOutcome> {
    return this.#carrier.deliver(batch, giveUp);
  }

  /** A receiver that refuses all there is would fill the disk with losses: over so many runs a minute it is tried again later. */
  #noteRefused(delivery: Delivery, reason: Fault, refused: Refusal[]): Fault | null {
    const number = delivery.record.seq;
    const run = refused.at(-1);
    if (run !== undefined && run.to === number - 1) {
      run.to = number;
      return null;
    }
    if (this.#refusalsLeft <= 0) return reason;
    this.#refusalsLeft -= 1;
    refused.push({ from: number, to: number, kind: delivery.record.kind, reason });
    return null;
  }

  #setAside(refused: readonly Refusal[]): void {
    for (const { from, to, kind, reason } of refused) {
      this.#rejectedCount += to - from + 1;
      this.#losses.refuse({ from, to });
      const facts = { ...reason.facts, reader: this.#parts.name, kind, fromSeq: from, toSeq: to, count: this.#rejectedCount };
      this.#parts.onIncident(fault("upstream-rejected", facts));
    }
  }

  #count(batch: readonly Delivery[]): void {
    this.#lastConfirmedAtMs = this.#parts.clock.wall();
    const resentCount = batch.filter((delivery) => delivery.resent).length;
    this.#resentCount += resentCount;
    this.#sentCount += batch.length - resentCount;
  }

  #batch(records: readonly JournalRecord[], resent: boolean): readonly Delivery[] {
    const { name } = this.#parts;
    return records
      .filter((record) => leavesFor(record, name) && !this.#losses.isRefused(record.seq))
      .map((record) => this.#delivery(record, resent, true));
  }

  #delivery(record: JournalRecord, resent: boolean, durable: boolean): Delivery {
    const { gatewayId, journal } = this.#parts;
    const key = recordKey({ gatewayId, epoch: journal.epoch, seq: record.seq });
    const former = this.#former;
    if (former === undefined || record.seq > former.upTo) return { key, record, resent, durable };
    return { key, formerKey: recordKey({ gatewayId, epoch: former.epoch, seq: record.seq }), record, resent, durable };
  }

  // ------------------------------------------------------- journal and cursor

  /**
   * One page and what it covers: up to its last record, or the whole range where nothing is left in it. Null where the journal could
   * not answer or the session ended meanwhile. An answer after the end is no answer: a journal that closes has nothing left to say.
   */
  async #read(session: Session, range: SeqRange, kinds: readonly RecordKind[], limit: number): Promise<Page | null> {
    const { journal } = this.#parts;
    const answer = journal.read({ afterSeq: seq(range.from - 1), upToSeq: range.to, limit, kinds });
    const records = await unlessStopped(
      answer.catch(() => null),
      session.over.signal,
    );
    if (records === null || session.ended) return null;
    const last = records.at(-1);
    return { records, covered: { from: range.from, to: last === undefined ? range.to : last.seq } };
  }

  #cursor(): ReaderCursor {
    const urgent = this.#lane.waiting().filter((number) => number <= this.#livePosition);
    const lists = [this.#openKept, this.#openBulk, this.#liveKept, this.#liveBulk];
    lists.push(urgent.map((number) => ({ from: number, to: number })));
    lists.push(this.#holes, this.#olderHoles, upToNumber(this.#losses.uncommitted(), this.#livePosition));
    const open = joinNearest(
      lists.reduce((all, list) => unite(all, list), []),
      LIMITS.upstreamBacklogRangesMax.value,
      this.#leftOut,
    );
    const cursor = { epoch: this.#parts.journal.epoch, upTo: this.#livePosition, open };
    const former = this.#former;
    // The former epoch matters for as long as anything of it is open.
    const isOpen = former !== undefined && (cursor.upTo < former.upTo || (open[0]?.from ?? former.upTo + 1) <= former.upTo);
    return isOpen ? { ...cursor, former } : cursor;
  }

  #storeCursor(): void {
    if (!this.#cursorIsStale || !this.#hasBegun) return;
    this.#cursorIsStale = false;
    this.#parts.journal.release(this.#parts.name, this.#cursor());
    const unconfirmed = unite(this.#openKept, this.#liveKept)[0]?.from ?? this.#livePosition + 1;
    this.#lane.forgetConfirmedBelow(seq(unconfirmed));
  }

  // ------------------------------------------------------------------ state

  #lose(session: Session, reason: Fault): void {
    if (session.ended) return;
    this.#tell(reason);
    this.#end(session);
  }

  #end(session: Session): void {
    session.ended = true;
    session.over.abort();
    this.#wake();
  }

  /**
   * Tells the first reason of an outage. Another reason within the same outage is told when it comes twice in a row: a server that
   * forbids a topic may cut the connection as well (mosquitto 2.0.11 does), and that is no second outage.
   */
  #tell(reason: Fault): void {
    const isKnown = this.#presentFault?.code === reason.code;
    const isConfirmed = this.#presentFault === null || this.#otherFault?.code === reason.code;
    this.#otherFault = isKnown ? null : reason;
    if (isKnown || !isConfirmed) return;
    this.#otherFault = null;
    this.#presentFault = reason;
    this.#parts.onFault(reason);
  }

  /** The outage is over when the connection stands and no lane still waits for its first success after a failure. */
  #settleFault(): void {
    const session = this.#session;
    if (session === null || session.ended) return;
    if (this.#lane.idle() && this.#openKept.length + this.#liveKept.length === 0) this.#kept.failures = 0;
    if (this.#openBulk.length + this.#liveBulk.length === 0) this.#bulk.failures = 0;
    if (this.#presentFault === null || this.#kept.failures + this.#bulk.failures > 0) return;
    this.#presentFault = null;
    this.#parts.onFault(null);
  }

  /** Resolves at the next commit, confirmation, released alert or end. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  #wake(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter();
  }
}

/** A run of consecutive records that the receiver refused for good. */
interface Refusal {
  readonly from: Seq;
  to: Seq;
  readonly kind: RecordKind;
  readonly reason: Fault;
}

interface Page {
  readonly records: readonly JournalRecord[];
  readonly covered: SeqRange;
}

/** The first records of a page, and what is left of it. */
function splitPage(page: Page, count: number): readonly [Page, Page | null] {
  const last = page.records[count - 1];
  if (last === undefined || page.records.length <= count) return [page, null];
  const first = { records: page.records.slice(0, count), covered: { from: page.covered.from, to: last.seq } };
  return [first, { records: page.records.slice(count), covered: { from: seq(last.seq + 1), to: page.covered.to } }];
}

interface Pass {
  readonly lane: Lane;
  readonly kinds: readonly RecordKind[];
  readonly ranges: readonly SeqRange[];
  readonly inFlightMax: number;
  readonly done: (covered: SeqRange) => void;
}

function marked(batch: readonly Delivery[]): readonly Delivery[] {
  return batch.map((delivery) => ({ ...delivery, resent: true }));
}

/** The answer, or null where `stop` comes first. */
function unlessStopped<Value>(answer: Promise<Value>, stop: AbortSignal): Promise<Value | null> {
  return new Promise((resolve) => {
    if (stop.aborted) return resolve(null);
    const onStop = () => resolve(null);
    stop.addEventListener("abort", onStop);
    void answer.then((value) => {
      stop.removeEventListener("abort", onStop);
      resolve(value);
    });
  });
}
