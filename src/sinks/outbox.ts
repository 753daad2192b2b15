import type { Alert } from "../core/alert.ts";
import { backoffMs } from "../core/backoff.ts";
import { type Fault, fault } from "../core/errors.ts";
import { type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal, ReaderCursor, Sink } from "../core/ports.ts";
import type { Clock, WallMs } from "../core/time.ts";
import { BacklogPace } from "./backlog-pace.ts";
import { BacklogPass, type BacklogPassParts } from "./backlog-pass.ts";
import { BoundedDelivery } from "./bounded-delivery.ts";
import { type ConnectionProbeParts, probeConnection } from "./connection-probe.ts";
import { type LivePassParts, runLivePass } from "./live-pass.ts";
import { Outage } from "./outage.ts";
import { type ReaderLoss, ReaderLosses } from "./reader-losses.ts";
import { ReaderProgress } from "./reader-progress.ts";
import { readStart } from "./reader-start.ts";
import { RecordSender } from "./record-sender.ts";
import { Refusals } from "./refusals.ts";
import { countSeqs, type SeqRange, unite } from "./seq-ranges.ts";
import { Session } from "./session.ts";
import { unlessStopped } from "./stoppable-answer.ts";
import { UrgentLane } from "./urgent-lane.ts";
import { runUrgentPass } from "./urgent-pass.ts";

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
  /** Everything up to this number is done; null while the journal has not said where this reader stands. */
  readonly position: Seq | null;
  /** The first number that waits; null where none does. */
  readonly firstWaitingSeq: Seq | null;
  /** New records are read up to here. */
  readonly livePosition: Seq;
  /** Alerts on the short way that are not confirmed. */
  readonly urgentWaiting: number;
  /** Why nothing is confirmed now, and since when; null where all is well. */
  readonly outage: { readonly fault: Fault; readonly sinceMs: WallMs } | null;
  /** The last record refused for good since the start. */
  readonly lastRefusal: { readonly fault: Fault; readonly atMs: WallMs } | null;
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

/** How often the cursor goes to the journal, in ms. */
const CURSOR_EVERY_MS = 250;
/** How often the journal's new losses and the rate of new records are looked at. */
const SECOND_MS = 1000;
/** A hole that is no loss after so long, in ms, is none: the journal tells of a drop as soon as the file is gone. */
const HOLE_MS_MAX = 5000;
const MINUTE_MS = 60_000;

/**
 * The whole, from the start to the stop: finds out where the reader stands, keeps a connection, and lets three passes send over it, each
 * in places of its own. The urgent pass carries alerts the moment they are made, the live pass what comes onto the disk, the backlog pass
 * what waited. All send by one `RecordSender`; `ReaderProgress` knows what was confirmed, and from it the cursor is made.
 */
class OutboxRunner {
  readonly #parts: OutboxParts;
  readonly #carrier: BoundedDelivery;
  readonly #losses: ReaderLosses;
  readonly #outage: Outage;
  readonly #pace = new BacklogPace();
  readonly #progress = new ReaderProgress();
  readonly #refusals: Refusals;
  readonly #sender: RecordSender;
  readonly #urgentLane: UrgentLane;
  readonly #passParts: BacklogPassParts & ConnectionProbeParts & LivePassParts;
  /** False until the journal has said where this reader stands. */
  #hasBegun = false;
  #beginning: Promise<boolean> = Promise.resolve(false);
  #session: Session | null = null;
  #missedCount = 0;
  #isLookingForLosses = false;
  #lastSecondSeq: number;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    this.#lastSecondSeq = parts.journal.committedSeq();
    this.#carrier = new BoundedDelivery(parts);
    this.#losses = new ReaderLosses({ journal: parts.journal, reader: parts.name, state: parts.stateLoss });
    this.#outage = new Outage(parts);
    this.#refusals = new Refusals({ ...parts, losses: this.#losses });
    this.#urgentLane = new UrgentLane({ clock: parts.clock, onReady: () => this.#session?.wake() });
    const shared = { carrier: this.#carrier, outage: this.#outage, progress: this.#progress, urgentLane: this.#urgentLane };
    this.#sender = new RecordSender({ ...parts, ...shared, losses: this.#losses, refusals: this.#refusals });
    this.#passParts = { ...shared, journal: parts.journal, clock: parts.clock, pace: this.#pace, sender: this.#sender };
  }

  urgent(alert: Alert): void {
    if (this.#parts.stop.aborted || alert.seq <= this.#progress.livePosition) return;
    this.#urgentLane.hand(alert, this.#parts.journal.committedSeq());
  }

  view(): OutboxView {
    const committedSeq = this.#parts.journal.committedSeq();
    const firstWaitingSeq = this.#hasBegun ? this.#progress.firstWaitingSeq(committedSeq) : null;
    return {
      name: this.#parts.name,
      state: this.#session === null ? "connecting" : "connected",
      backlogRecords: this.#hasBegun ? this.#progress.waitingCount(committedSeq) : 0,
      ...this.#sender.confirmed(),
      rejectedCount: this.#refusals.rejectedCount,
      missedCount: this.#missedCount,
      position: this.#hasBegun ? seq(firstWaitingSeq === null ? committedSeq : firstWaitingSeq - 1) : null,
      firstWaitingSeq,
      livePosition: this.#progress.livePosition,
      urgentWaiting: this.#urgentLane.waiting().length,
      outage: this.#outage.present,
      lastRefusal: this.#refusals.last,
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
      clock.every(SECOND_MS, () => {
        this.#noteRate();
        void this.#lookForLosses();
      }),
      clock.every(HOLE_MS_MAX, () => this.#progress.ageHoles()),
      clock.every(MINUTE_MS, () => {
        this.#refusals.allowMore();
        this.#pace.allowMore();
      }),
    ];
    const onStop = () => this.#session?.end();
    stop.addEventListener("abort", onStop);
    await this.#connectAndServe();
    stop.removeEventListener("abort", onStop);
    stopListening();
    stopLosses();
    for (const timer of timers) timer.stop();
    this.#urgentLane.close();
    this.#progress.forgetHoles();
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
    const start = await readStart({ ...this.#parts, losses: this.#losses });
    if (start === null) return false;
    if (start.kind === "goes-on") this.#progress.goOn(start.cursor, start.leftOut);
    else this.#beginAnew(start.old, start.leftOut);
    this.#hasBegun = true;
    // From now on this reader is known to the journal: what is given up before it has had it is its loss.
    journal.release(name, this.#cursor());
    if (this.#session === null) this.#giveUpDropped();
    else this.#takeOver(this.#session.headSeq);
    return true;
  }

  /**
   * Begins with the oldest record. A reader whose cursor is of another epoch gets everything again, marked and with the former key of
   * each record that it may have had: what it was sent lives under keys that nobody can look up in this journal any more.
   */
  #beginAnew(old: ReaderCursor | null, leftOut: readonly SeqRange[]): void {
    const { journal, name, onIncident } = this.#parts;
    const former = old === null ? undefined : { epoch: old.epoch, upTo: journal.lastSeqAtOpen };
    const droppedUpTo = seq(Math.min(this.#losses.droppedUpTo, journal.committedSeq()));
    this.#progress.beginAnew({ droppedUpTo, former, leftOut });
    if (old === null) return;
    onIncident(fault("upstream-begins-anew", { reader: name, formerEpoch: old.epoch, epoch: journal.epoch }));
  }

  // ------------------------------------------------------------------- connect

  async #connectAndServe(): Promise<void> {
    const { clock, stop, random } = this.#parts;
    const bounds = { msMin: LIMITS.upstreamBackoffMsMin.value, msMax: LIMITS.upstreamBackoffMsMax.value };
    let failures = 0;
    while (!stop.aborted) {
      const answer = await unlessStopped(this.#carrier.deliver([], stop), stop);
      if (answer === null) break;
      if (answer.kind === "delivered") {
        failures = 0;
        await this.#serve();
      } else {
        failures += 1;
        this.#outage.tell(answer.fault);
        await clock.sleep(backoffMs(failures, bounds, random()), stop);
      }
    }
  }

  /** Runs the passes until one fails or the outbox stops, then waits a little for what is under way. */
  async #serve(): Promise<void> {
    const { journal, clock, stop } = this.#parts;
    const session = new Session({ headSeq: journal.committedSeq(), progress: this.#progress });
    if (stop.aborted) session.end();
    if (this.#hasBegun) this.#takeOver(session.headSeq);
    this.#outage.connected();
    this.#session = session;
    this.#sender.settle(session);
    await Promise.all([
      runUrgentPass(this.#passParts, session),
      this.#readerPasses(session),
      probeConnection(this.#passParts, session),
    ]);
    await session.finish(clock.sleep(LIMITS.upstreamStopMsMax.value));
    this.#session = null;
  }

  /** What is read from the journal leaves once it is known where this reader stands; a disk that hangs then keeps it, but no alert. */
  async #readerPasses(session: Session): Promise<void> {
    const begun = this.#hasBegun || (await unlessStopped(this.#beginning, session.over)) === true;
    if (begun) await Promise.all([runLivePass(this.#passParts, session), new BacklogPass(this.#passParts, session).run()]);
  }

  // ------------------------------------------------------------------- journal

  #committed(upTo: Seq): void {
    this.#urgentLane.release(upTo);
    this.#losses.committed(upTo);
    if (this.#session === null) this.#giveBackUrgent();
    else this.#session.wake();
  }

  /** Everything up to a number on disk that is not confirmed becomes backlog; what comes after goes out at once. */
  #takeOver(headSeq: Seq): void {
    this.#giveBackUrgent();
    this.#progress.takeOver(headSeq);
    this.#giveUpDropped();
  }

  /** Without a connection alerts that are on disk need no place in memory: the journal's reader will bring them. */
  #giveBackUrgent(): void {
    if (!this.#hasBegun) return;
    for (const given of this.#urgentLane.giveBack(this.#parts.journal.committedSeq())) this.#progress.giveBack(given);
  }

  #noteRate(): void {
    const committedSeq = this.#parts.journal.committedSeq();
    this.#pace.heard(committedSeq - this.#lastSecondSeq);
    this.#lastSecondSeq = committedSeq;
  }

  /** One look at a time: a disk that hangs would otherwise gather a question a second, until none had a place any more. */
  async #lookForLosses(): Promise<void> {
    if (!this.#hasBegun || this.#isLookingForLosses) return;
    this.#isLookingForLosses = true;
    const hasRead = await this.#losses.readNew().finally(() => {
      this.#isLookingForLosses = false;
    });
    if (!hasRead || this.#parts.stop.aborted) return;
    // Without a connection what is new, or was under way, would join the backlog only at the next one; what was dropped of it is missed now.
    if (this.#session === null) this.#takeOver(this.#parts.journal.committedSeq());
    else this.#giveUpDropped();
  }

  /** What the journal gave up before this reader had it is stated as its loss, and waits no more. */
  #giveUpDropped(): void {
    const missed = this.#losses.miss(this.#progress.drop(this.#losses.droppedUpTo));
    const [first] = missed;
    const last = missed.at(-1);
    if (first === undefined || last === undefined) return;
    this.#progress.touch();
    this.#missedCount += countSeqs(missed);
    const { name, onIncident } = this.#parts;
    onIncident(
      fault("upstream-left-behind", { reader: name, fromSeq: first.from, toSeq: last.to, recordsAtMost: this.#missedCount }),
    );
  }

  /** What the urgent lane and losses that are not on disk answer for stays open, should this life end now. */
  #cursor(): ReaderCursor {
    const urgent = this.#urgentLane.waiting().map((number) => ({ from: number, to: number }));
    return this.#progress.cursor(this.#parts.journal.epoch, unite(this.#losses.uncommitted(), urgent));
  }

  #storeCursor(): void {
    if (!this.#hasBegun || !this.#progress.takeTouched()) return;
    this.#parts.journal.release(this.#parts.name, this.#cursor());
    this.#urgentLane.forgetConfirmedBelow(this.#progress.firstUnconfirmedSeq());
  }
}
