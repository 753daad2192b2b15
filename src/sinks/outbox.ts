import type { Alert } from "../core/alert.ts";
import { type Fault, fault } from "../core/errors.ts";
import { recordKey, type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Delivery, Journal, ReaderCursor, Sink } from "../core/ports.ts";
import { type JournalRecord, KEPT_KINDS, type RecordKind } from "../core/record.ts";
import type { Clock, WallMs } from "../core/time.ts";
import { BATCH_MESSAGE_KINDS, RECORD_MESSAGE_KINDS } from "../core/upstream.ts";
import { backoffMs } from "./backoff.ts";
import { addRange, countSeqs, joinNearest, removeRange, type SeqRange, unite } from "./seq-ranges.ts";
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
  /** Numbers that were left out at this start and belong to no record, or null; they do not count as waiting. */
  readonly leftOut: SeqRange | null;
  /** Called for each record the receiver refused for good; it stays in the journal and is not sent again. */
  readonly onRejected: (rejection: Rejection) => void;
}

/** A record set aside, with `upstream-rejected`. */
export interface Rejection {
  readonly key: string;
  readonly seq: Seq;
  readonly kind: RecordKind;
  readonly fault: Fault;
}

/** How an outbox is doing. */
export interface OutboxView {
  readonly name: string;
  readonly state: "connected" | "connecting";
  /** Sequence numbers that wait, at most; receipts, which are not sent, count as well. */
  readonly backlogRecords: number;
  readonly lastConfirmedAtMs: WallMs | null;
  /** Records confirmed that went out the first time. */
  readonly sentCount: number;
  /** Records confirmed that were marked as resent. */
  readonly resentCount: number;
  readonly rejectedCount: number;
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
/** How often the cursor goes to the journal, in ms. */
const CURSOR_EVERY_MS = 250;

/** Failures in a row of one kind of delivery, while the connection itself may be well (a forbidden topic). */
interface Lane {
  failures: number;
}

/** One connection's time, from the sink's yes to the first failure or the stop. */
interface Session {
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
  #openKept: readonly SeqRange[] = [];
  #openBulk: readonly SeqRange[] = [];
  #liveKept: readonly SeqRange[] = [];
  #liveBulk: readonly SeqRange[] = [];
  #livePosition: Seq = seq(0);
  #session: Session | null = null;
  #presentFault: Fault | null = null;
  /** A reason that differs from the present one and came once. */
  #otherFault: Fault | null = null;
  #backlogBatchRecords = LIMITS.upstreamBatchRecordsMax.value / 4;
  #cursorIsStale = false;
  #lastConfirmedAtMs: WallMs | null = null;
  #sentCount = 0;
  #resentCount = 0;
  #rejectedCount = 0;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
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
    const { leftOut } = this.#parts;
    return {
      name: this.#parts.name,
      state: this.#session === null ? "connecting" : "connected",
      backlogRecords: countSeqs(leftOut === null ? waiting : removeRange(waiting, leftOut)),
      lastConfirmedAtMs: this.#lastConfirmedAtMs,
      sentCount: this.#sentCount,
      resentCount: this.#resentCount,
      rejectedCount: this.#rejectedCount,
    };
  }

  async run(): Promise<void> {
    const { journal, clock, name, sink, stop } = this.#parts;
    const cursor = await this.#readCursor();
    if (cursor !== null && cursor.epoch === journal.epoch) {
      this.#livePosition = cursor.upTo;
      this.#openKept = cursor.open;
      this.#openBulk = cursor.open;
    }
    const stopListening = journal.onCommit((upTo) => this.#committed(upTo));
    const cursorTimer = clock.every(CURSOR_EVERY_MS, () => this.#storeCursor());
    const onStop = () => {
      if (this.#session !== null) this.#end(this.#session);
      this.#wake();
    };
    stop.addEventListener("abort", onStop);
    await this.#connectAndServe();
    stop.removeEventListener("abort", onStop);
    stopListening();
    cursorTimer.stop();
    this.#lane.close();
    if (cursor !== null || this.#livePosition > 0) journal.release(name, this.#cursor());
    await sink.close();
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
      ended: this.#parts.stop.aborted,
      giveUp: new AbortController(),
      over: new AbortController(),
      underWay: new Set(),
    };
    this.#takeOver();
    this.#otherFault = null;
    this.#session = session;
    this.#settleFault();
    await Promise.all([this.#urgentLoop(session), this.#liveLoop(session), this.#backlogLoop(session), this.#probeLoop(session)]);
    const { clock } = this.#parts;
    await Promise.race([Promise.all(session.underWay), clock.sleep(LIMITS.upstreamStopMsMax.value)]);
    session.giveUp.abort();
    await Promise.all(session.underWay);
    this.#session = null;
  }

  /** Everything that is on disk now and not confirmed becomes backlog; what comes after goes out at once. */
  #takeOver(): void {
    const head = seq(Math.max(this.#livePosition, this.#parts.journal.committedSeq()));
    this.#giveBackUrgent();
    const unread = { from: seq(this.#livePosition + 1), to: head };
    const rangesMax = LIMITS.upstreamBacklogRangesMax.value;
    this.#openKept = joinNearest(addRange(unite(this.#openKept, this.#liveKept), unread), rangesMax);
    this.#openBulk = joinNearest(addRange(unite(this.#openBulk, this.#liveBulk), unread), rangesMax);
    this.#liveKept = [];
    this.#liveBulk = [];
    this.#livePosition = head;
  }

  /** Without a connection alerts that are on disk need no place in memory: the journal's reader will bring them. */
  #giveBackUrgent(): void {
    for (const given of this.#lane.giveBack(this.#parts.journal.committedSeq())) {
      if (given <= this.#livePosition) this.#openKept = addRange(this.#openKept, { from: given, to: given });
    }
  }

  #committed(upTo: Seq): void {
    this.#lane.release(upTo);
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
      const page = await this.#read(session, range, [...KEPT, ...BULK], LIMITS.upstreamBatchRecordsMax.value);
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
    const running = new Set<Promise<void>>();
    for (const range of pass.ranges) {
      let next = range.from;
      while (next <= range.to && !session.ended) {
        if (running.size >= pass.inFlightMax) {
          await Promise.race(running);
          continue;
        }
        const page = await this.#read(session, { from: next, to: range.to }, pass.kinds, this.#backlogLimit(pass.lane));
        if (page === null) {
          await this.#parts.clock.sleep(LIMITS.journalRetryMs.value, session.over.signal);
          continue;
        }
        next = seq(page.covered.to + 1);
        const work = this.#start(session, () => this.#sendBacklog(page, pass, session));
        running.add(work);
        void work.finally(() => running.delete(work));
      }
    }
    await Promise.all(running);
  }

  #backlogLimit(lane: Lane): number {
    return lane === this.#kept ? KEPT_BATCH_RECORDS_MAX : this.#backlogBatchRecords;
  }

  async #sendBacklog(page: Page, pass: Pass, session: Session): Promise<void> {
    const { clock } = this.#parts;
    const records = page.records.filter((record) => !this.#lane.has(record.seq));
    const begunMs = clock.monotonic();
    if (!(await this.#send(this.#batch(records, true), pass.lane, session))) return;
    pass.done(page.covered);
    this.#settleFault();
    if (records.length === 0 || pass.lane === this.#kept) return;
    const tookMs = clock.monotonic() - begunMs;
    if (tookMs > BACKLOG_BATCH_MS_MAX) {
      this.#backlogBatchRecords = Math.max(BACKLOG_BATCH_RECORDS_MIN, Math.floor(this.#backlogBatchRecords / 2));
    } else if (tookMs < BACKLOG_BATCH_MS_MIN) {
      this.#backlogBatchRecords = Math.min(LIMITS.upstreamBatchRecordsMax.value, this.#backlogBatchRecords * 2);
    }
  }

  /** Asks the sink now and then whether it still has its connection, so that an outage is known although nothing is sent. */
  async #probeLoop(session: Session): Promise<void> {
    while (!session.ended) {
      await this.#parts.clock.sleep(LIMITS.upstreamProbeMs.value, session.over.signal);
      if (session.ended) return;
      const answer = await this.#deliver([], session.giveUp.signal);
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
    const reason = await this.#deliverAll(batch, session.giveUp.signal);
    if (reason === null) {
      lane.failures = 0;
      this.#settleFault();
      return true;
    }
    if (!session.ended) lane.failures += 1;
    this.#lose(session, reason);
    return false;
  }

  /** Delivers a batch; what the receiver refuses is halved until the refused record stands alone, and set aside. */
  async #deliverAll(batch: readonly Delivery[], giveUp: AbortSignal): Promise<Fault | null> {
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
        const rest = innocent.length === 0 ? null : await this.#deliverAll(innocent, giveUp);
        if (rest !== null) return rest;
        const [first] = suspects;
        if (suspects.length === 1 && first !== undefined) {
          this.#setAside(first, answer.fault);
          return null;
        }
        const middle = Math.ceil(suspects.length / 2);
        const left = await this.#deliverAll(marked(suspects.slice(0, middle)), giveUp);
        return left ?? (await this.#deliverAll(marked(suspects.slice(middle)), giveUp));
      }
    }
  }

  /** A sink that throws is broken, but the others and the bedside go on: it counts as unreachable. */
  async #deliver(batch: readonly Delivery[], giveUp: AbortSignal): ReturnType<Sink["deliver"]> {
    try {
      return await this.#parts.sink.deliver(batch, giveUp);
    } catch (error) {
      const reason = error instanceof Error ? error.name : "sink-threw";
      return { kind: "try-later", fault: fault("upstream-unreachable", { reason }) };
    }
  }

  #count(batch: readonly Delivery[]): void {
    this.#lastConfirmedAtMs = this.#parts.clock.wall();
    const resentCount = batch.filter((delivery) => delivery.resent).length;
    this.#resentCount += resentCount;
    this.#sentCount += batch.length - resentCount;
  }

  #setAside(delivery: Delivery, reason: Fault): void {
    this.#rejectedCount += 1;
    const { seq: number, kind } = delivery.record;
    const rejected = fault("upstream-rejected", { ...reason.facts, seq: number, kind });
    this.#parts.onRejected({ key: delivery.key, seq: number, kind, fault: rejected });
  }

  #batch(records: readonly JournalRecord[], resent: boolean): readonly Delivery[] {
    return records.map((record) => this.#delivery(record, resent, true));
  }

  #delivery(record: JournalRecord, resent: boolean, durable: boolean): Delivery {
    const { gatewayId, journal } = this.#parts;
    return { key: recordKey({ gatewayId, epoch: journal.epoch, seq: record.seq }), record, resent, durable };
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

  async #readCursor(): Promise<ReaderCursor | null> {
    const { journal, clock, name, stop } = this.#parts;
    while (!stop.aborted) {
      const answer = journal.cursor(name).then(
        (cursor) => ({ cursor }),
        () => null,
      );
      const known = await unlessStopped(answer, stop);
      if (known !== null) return known.cursor;
      await clock.sleep(LIMITS.journalRetryMs.value, stop);
    }
    return null;
  }

  #cursor(): ReaderCursor {
    const urgent = this.#lane.waiting().filter((number) => number <= this.#livePosition);
    const lists = [this.#openKept, this.#openBulk, this.#liveKept, this.#liveBulk];
    lists.push(urgent.map((number) => ({ from: number, to: number })));
    const open = joinNearest(
      lists.reduce((all, list) => unite(all, list), []),
      LIMITS.upstreamBacklogRangesMax.value,
    );
    return { epoch: this.#parts.journal.epoch, upTo: this.#livePosition, open };
  }

  #storeCursor(): void {
    if (!this.#cursorIsStale) return;
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

interface Page {
  readonly records: readonly JournalRecord[];
  readonly covered: SeqRange;
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
