import type { Seq } from "../core/ids.ts";
import type { ReaderProgress } from "./reader-progress.ts";

/** One connection's time, from the sink's yes to the first failure or the stop. */
export class Session {
  /** The last number on disk when it began: what comes after is new. */
  readonly headSeq: Seq;
  readonly #progress: ReaderProgress;
  readonly #over = new AbortController();
  readonly #giveUp = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  readonly #waiters = new Set<() => void>();

  constructor(of: { readonly headSeq: Seq; readonly progress: ReaderProgress }) {
    this.headSeq = of.headSeq;
    this.#progress = of.progress;
  }

  /** True from the first failure or the stop on: nothing new begins. */
  get ended(): boolean {
    return this.#over.signal.aborted;
  }

  /** Aborted when the session ends, for sleeps. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Aborted some time after the end, for deliveries that are still under way. */
  get giveUp(): AbortSignal {
    return this.#giveUp.signal;
  }

  /** Ends the session; what is under way may still be confirmed. */
  end(): void {
    this.#over.abort();
    this.wake();
  }

  /** Begins work that belongs to this session. Whatever ends may have moved the reader, and makes room for the next. */
  start(work: () => Promise<void>): Promise<void> {
    const running = work().finally(() => {
      this.#underWay.delete(running);
      this.#progress.touch();
      this.wake();
    });
    this.#underWay.add(running);
    return running;
  }

  /** Waits for what is under way, and gives up what has not ended when `patience` resolves. */
  async finish(patience: Promise<void>): Promise<void> {
    await Promise.race([Promise.all(this.#underWay), patience]);
    this.#giveUp.abort();
    await Promise.all(this.#underWay);
  }

  /** Resolves at the next commit, confirmation, released alert or end. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  /** Says that something changed that a lane may wait for. */
  wake(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter();
  }
}
