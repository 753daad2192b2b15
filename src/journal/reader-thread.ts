import type { Worker } from "node:worker_threads";
import { LIMITS } from "../core/limits.ts";
import { assert } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import type { FromReader, ListedKept, ReadAnswer, ReadQuery, SegmentEntry, ToReader } from "./messages.ts";
import { endThread } from "./thread-end.ts";

interface Question {
  readonly query: ReadQuery;
  readonly resolve: (answer: ReadAnswer) => void;
}

/** What the reading thread tells beside its answers. */
export interface ReaderNews {
  readonly onDamage: (news: Exclude<FromReader, { readonly kind: "answer" }>) => void;
  /** SQLite's code, where a question could not be answered; it is asked again. */
  readonly onTrouble: (sqliteCode: string) => void;
}

/** The main thread's side of the reading thread. A question that a disk does not answer is asked again until the journal is closed. */
export class ReaderThread {
  readonly #start: () => Worker;
  readonly #clock: Clock;
  readonly #news: ReaderNews;
  readonly #questions = new Map<number, Question>();
  #worker: Worker;
  #nextId = 1;
  #segments: ToReader & { readonly kind: "segments" };
  #closed = false;

  constructor(options: {
    readonly start: () => Worker;
    readonly clock: Clock;
    readonly news: ReaderNews;
    readonly folder: string;
  }) {
    this.#start = options.start;
    this.#clock = options.clock;
    this.#news = options.news;
    this.#segments = { kind: "segments", folder: options.folder, segments: [], sealedKept: [], generation: 0 };
    this.#worker = this.#begin();
  }

  #begin(): Worker {
    const worker = this.#start();
    worker.on("message", (message: FromReader) => this.#take(message));
    worker.on("error", () => undefined);
    worker.on("exit", () => {
      if (!this.#closed) this.#clock.after(LIMITS.journalRetryMs.value, () => this.#beginAgain());
    });
    worker.postMessage(this.#segments);
    return worker;
  }

  #beginAgain(): void {
    if (this.#closed) return;
    this.#worker = this.#begin();
    for (const [id, { query }] of this.#questions) this.#send({ kind: "ask", id, query });
  }

  #send(message: ToReader): void {
    this.#worker.postMessage(message);
  }

  /** Tells which files there are now. @param renewed  Whether some were written anew. */
  useFiles(
    files: { readonly segments: readonly SegmentEntry[]; readonly sealedKept: readonly ListedKept[] },
    renewed: boolean,
  ): void {
    const { segments, sealedKept } = files;
    const generation = this.#segments.generation + (renewed ? 1 : 0);
    this.#segments = { ...this.#segments, segments, sealedKept, generation };
    this.#send(this.#segments);
  }

  /** Resolves with the answer; after `close` with `failed`. Never rejects. */
  ask(query: ReadQuery): Promise<ReadAnswer> {
    if (this.#closed) return Promise.resolve({ kind: "failed", sqliteCode: "CLOSED" });
    assert(this.#questions.size < LIMITS.journalReadsWaitingMax.value, "no more questions wait than journalReadsWaitingMax");
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve) => {
      this.#questions.set(id, { query, resolve });
      this.#send({ kind: "ask", id, query });
    });
  }

  #take(message: FromReader): void {
    switch (message.kind) {
      case "answer":
        this.#settle(message.id, message.answer);
        return;
      case "damaged-range":
      case "damaged-waves":
      case "damaged-file":
        this.#news.onDamage(message);
        return;
    }
  }

  #settle(id: number, answer: ReadAnswer): void {
    const question = this.#questions.get(id);
    if (question === undefined) return;
    if (answer.kind === "failed" && !this.#closed) {
      this.#news.onTrouble(answer.sqliteCode);
      this.#clock.after(LIMITS.journalRetryMs.value, () => {
        if (!this.#closed && this.#questions.has(id)) this.#send({ kind: "ask", id, query: question.query });
      });
      return;
    }
    this.#questions.delete(id);
    question.resolve(answer);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const id of [...this.#questions.keys()]) this.#settle(id, { kind: "failed", sqliteCode: "CLOSED" });
    await endThread(this.#worker, this.#clock);
  }
}
