import type { Worker } from "node:worker_threads";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import type { FromWriter, OpenedJournal, OpenRequest, ToWriter } from "./messages.ts";
import { endThread } from "./thread-end.ts";

/** What the writing thread says once its files are open. */
export type WriterMessage = Exclude<FromWriter, { readonly kind: "opened" | "refused" }>;

/** What the main thread learns from the writing thread. */
export interface WriterNews {
  readonly onMessage: (message: WriterMessage) => void;
  /** The thread ended or could not open the files again; it is started again by itself. */
  readonly onTrouble: (fault: Fault) => void;
  /** It was started again and the files are open. */
  readonly onOpenedAgain: (opened: OpenedJournal) => void;
}

/** The main thread's side of the writing thread: starts it, and starts it again should it end. */
export class WriterThread {
  readonly #start: () => Worker;
  readonly #clock: Clock;
  #request: OpenRequest;
  #news: WriterNews | null = null;
  #worker: Worker | null = null;
  #ready = false;
  #closed = false;
  #checkAll = false;
  /** The last number that was acknowledged in this life, or null. */
  #committedSeq: number | null = null;
  /** Why the thread ends is known already, when it ends. */
  #troubleIsTold = false;
  #early: WriterMessage[] = [];
  #startedMs = Number.NEGATIVE_INFINITY;

  constructor(options: { readonly start: () => Worker; readonly clock: Clock; readonly request: OpenRequest }) {
    this.#start = options.start;
    this.#clock = options.clock;
    this.#request = options.request;
  }

  /** Opens the files for the first time. Call `follow` afterwards; what the thread says in between is kept for it. */
  open(): Promise<Result<OpenedJournal, Fault>> {
    const { folder } = this.#request;
    const worker = this.#start();
    this.#worker = worker;
    this.#startedMs = this.#clock.monotonic();
    return new Promise((resolve) => {
      const settle = (result: Result<OpenedJournal, Fault>) => {
        for (const name of ["message", "error", "exit"]) worker.removeAllListeners(name);
        if (result.ok) this.#keepLife(result.value);
        if (result.ok) this.#attend(worker);
        else void endThread(worker, this.#clock);
        this.#ready = result.ok && result.value.notWritable === null;
        if (result.ok && !this.#ready) this.#openLater(worker);
        resolve(result);
      };
      worker.once("message", (message: FromWriter) => {
        if (message.kind === "opened") settle(succeed(message.opened));
        if (message.kind === "refused") settle(fail(message.fault));
      });
      worker.once("error", (error) => settle(fail(fault("journal-write-failed", { folder, code: nameOf(error) }))));
      worker.once("exit", () => settle(fail(fault("journal-write-failed", { folder, code: "WORKER_ENDED" }))));
      this.#send(worker, { kind: "open", request: this.#request });
    });
  }

  /** From now on every opening goes on with this life's epoch. */
  #keepLife(opened: OpenedJournal): void {
    const leftOutToKeep = opened.notWritable === null ? null : opened.leftOut;
    const filesAreMade = opened.notWritable === null;
    this.#request = { ...this.#request, epochToKeep: opened.epoch, leftOutToKeep, filesAreMade };
  }

  /** The files cannot be opened: the same thread tries again for as long as it takes. */
  #openLater(worker: Worker): void {
    this.#clock.after(LIMITS.journalRetryMs.value, () => {
      if (!this.#closed && this.#worker === worker) this.#sendOpen(worker);
    });
  }

  #sendOpen(worker: Worker): void {
    const committed = this.#committedSeq === null ? {} : { committedSeq: this.#committedSeq };
    this.#send(worker, { kind: "open", request: { ...this.#request, ...committed, checkAll: this.#checkAll } });
  }

  /** From here on messages go to `news`. */
  follow(news: WriterNews): void {
    this.#news = news;
    const early = this.#early;
    this.#early = [];
    for (const message of early) news.onMessage(message);
  }

  #attend(worker: Worker): void {
    let code = "WORKER_ENDED";
    worker.on("message", (message: FromWriter) => {
      if (this.#worker === worker) this.#take(worker, message);
    });
    worker.on("error", (error) => {
      code = nameOf(error);
    });
    worker.on("exit", () => {
      if (this.#closed || this.#worker !== worker) return;
      this.#worker = null;
      this.#ready = false;
      if (!this.#troubleIsTold) this.#news?.onTrouble(fault("journal-write-failed", { folder: this.#request.folder, code }));
      this.#troubleIsTold = false;
      const restMs = LIMITS.journalRetryMs.value - (this.#clock.monotonic() - this.#startedMs);
      if (restMs <= 0) this.#startAgain();
      else this.#clock.after(restMs, () => this.#startAgain());
    });
  }

  #startAgain(): void {
    if (this.#closed) return;
    const worker = this.#start();
    this.#worker = worker;
    this.#startedMs = this.#clock.monotonic();
    this.#attend(worker);
    this.#sendOpen(worker);
  }

  #take(worker: Worker, message: FromWriter): void {
    if (message.kind === "committed") this.#committedSeq = message.upToSeq;
    if (message.kind === "opened") {
      this.#ready = true;
      this.#checkAll = false;
      this.#request = { ...this.#request, filesAreMade: true };
      this.#news?.onOpenedAgain(message.opened);
    } else if (message.kind === "refused") {
      this.#news?.onTrouble(message.fault);
      this.#openLater(worker);
    } else if (this.#news === null) {
      this.#early.push(message);
    } else {
      this.#news.onMessage(message);
    }
  }

  /** Whether the files are open and messages are taken. */
  get ready(): boolean {
    return this.#ready;
  }

  #send(worker: Worker, message: ToWriter, transfer: ArrayBuffer[] = []): void {
    worker.postMessage(message, transfer);
  }

  /** Sends where the thread is ready; else nothing happens and the message must be sent again when it is. */
  post(message: ToWriter, transfer: ArrayBuffer[] = []): void {
    if (this.#ready && this.#worker !== null) this.#send(this.#worker, message, transfer);
  }

  /** Starts the thread again and has every page of every file checked: damage was met. */
  async checkFiles(): Promise<void> {
    // Who meets the same damage meanwhile must not begin the check anew, or it would never end.
    if (this.#checkAll) return;
    this.#checkAll = true;
    this.#ready = false;
    this.#troubleIsTold = true;
    if (this.#worker !== null) await endThread(this.#worker, this.#clock);
  }

  async end(): Promise<void> {
    this.#closed = true;
    this.#ready = false;
    if (this.#worker !== null) await endThread(this.#worker, this.#clock);
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 200) : "WORKER_ENDED";
}
