import { seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal } from "../core/ports.ts";
import type { RecordKind } from "../core/record.ts";
import type { Clock } from "../core/time.ts";
import { BATCH_MESSAGE_KINDS, RECORD_MESSAGE_KINDS } from "../core/upstream.ts";
import type { BacklogPace } from "./backlog-pace.ts";
import { type Page, readPage, splitPage } from "./journal-page.ts";
import type { Lane, ReaderProgress } from "./reader-progress.ts";
import { KEPT_BATCH_RECORDS_MAX, type RecordSender } from "./record-sender.ts";
import type { Session } from "./session.ts";
import { unlessStopped } from "./stoppable-answer.ts";
import type { UrgentLane } from "./urgent-lane.ts";

/** Records of the backlog that are read at once: the journal opens a whole commit for each read, however few are wanted. */
const PAGE_RECORDS = 500;
const KINDS: Readonly<Record<Lane, readonly RecordKind[]>> = { kept: RECORD_MESSAGE_KINDS, bulk: BATCH_MESSAGE_KINDS };
/** Deliveries under way. */
const IN_FLIGHT_MAX: Readonly<Record<Lane, number>> = { kept: 1, bulk: LIMITS.upstreamBacklogInFlightMax.value };

/** What the backlog pass needs. */
export interface BacklogPassParts {
  readonly journal: Pick<Journal, "read">;
  readonly clock: Clock;
  readonly pace: BacklogPace;
  readonly progress: ReaderProgress;
  readonly sender: RecordSender;
  readonly urgentLane: UrgentLane;
}

/** Sends once what waits when the session begins: first every alert, act and loss of the backlog, then the rest. */
export class BacklogPass {
  readonly #parts: BacklogPassParts;
  readonly #session: Session;

  constructor(parts: BacklogPassParts, session: Session) {
    this.#parts = parts;
    this.#session = session;
  }

  /** Resolves when all of it was confirmed or the session has ended. */
  async run(): Promise<void> {
    await this.#runLane("kept");
    await this.#runLane("bulk");
  }

  async #runLane(lane: Lane): Promise<void> {
    const { journal, clock, progress, sender } = this.#parts;
    await sender.pause(lane, this.#session);
    const running = new Set<Promise<void>>();
    for (const { from, to } of progress.backlog(lane)) {
      for (let next = from; next <= to && !this.#session.ended; ) {
        const query = { range: { from: next, to }, kinds: KINDS[lane], limit: PAGE_RECORDS };
        const page = await readPage(journal, this.#session, query);
        if (page === null) {
          await clock.sleep(LIMITS.journalRetryMs.value, this.#session.over);
          continue;
        }
        next = seq(page.covered.to + 1);
        await this.#sendPage(page, lane, running);
      }
    }
    await unlessStopped(Promise.all(running), this.#session.over);
  }

  /** Starts a page's deliveries one after the other, each as large as is good at its moment. */
  async #sendPage(page: Page, lane: Lane, running: Set<Promise<void>>): Promise<void> {
    const { clock, pace } = this.#parts;
    for (let rest: Page | null = page; rest !== null && !this.#session.ended; ) {
      if (running.size >= IN_FLIGHT_MAX[lane]) {
        await unlessStopped(Promise.race(running), this.#session.over);
        continue;
      }
      const recordsMax = lane === "kept" ? KEPT_BATCH_RECORDS_MAX : pace.batchRecords;
      const [part, others]: readonly [Page, Page | null] = splitPage(rest, recordsMax);
      rest = others;
      const begunMs = clock.monotonic();
      const work = this.#session.start(() => this.#sendPart(part, lane));
      running.add(work);
      void work.finally(() => running.delete(work));
      await this.#rest(clock.monotonic() - begunMs, part.records.length);
    }
  }

  async #sendPart(part: Page, lane: Lane): Promise<void> {
    const { clock, pace, progress, sender, urgentLane } = this.#parts;
    if (lane === "bulk") progress.noteHole(part);
    const records = part.records.filter((record) => !urgentLane.has(record.seq));
    const begunMs = clock.monotonic();
    const sending = sender.send(sender.batch(records, true), lane, this.#session);
    const workMs = clock.monotonic() - begunMs;
    if (!(await sending)) {
      if (lane === "bulk") pace.failed(records.length);
      return;
    }
    progress.confirmBacklog(lane, part.covered);
    sender.settle(this.#session);
    if (lane === "bulk" && records.length > 0) pace.confirmed({ tookMs: clock.monotonic() - begunMs, workMs });
  }

  /** Leaves the main thread to others after some work for the backlog, for longer where it is wanted. */
  async #rest(workMs: number, recordsCount: number): Promise<void> {
    const { clock, pace } = this.#parts;
    const restMs = pace.restMs(workMs, recordsCount);
    if (restMs <= 0) return;
    const begunMs = clock.monotonic();
    await clock.sleep(restMs, this.#session.over);
    pace.rested(clock.monotonic() - begunMs - restMs);
  }
}
