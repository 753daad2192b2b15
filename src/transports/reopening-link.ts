import { backoffMs } from "../core/backoff.ts";
import { type ErrorCode, type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Link, LinkEvent } from "../core/ports.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import { createEventQueue, type EventQueue } from "./event-queue.ts";

/** What every link is made of beside its specification. */
export interface LinkParts {
  readonly clock: Clock;
  /** From 0 to below 1; spreads the attempts of many links. */
  readonly random: () => number;
  /** Ends the link as `close` does. */
  readonly stop: AbortSignal;
}

type LinkBytes = Extract<LinkEvent, { kind: "bytes" }>;

/** Where a connection tells what happens to it. */
export interface ConnectionListener {
  /** Returns the chunk's position, by which `Connection.thank` is called. */
  readonly bytes: (channel: string, bytes: Uint8Array, more?: Pick<LinkBytes, "kept" | "retained" | "identity">) => number;
  /** The connection is over; only the first call counts. `final`: opening it again would bring nothing. */
  readonly lost: (fault: Fault, more?: { readonly final: boolean }) => void;
}

/** One opened port, socket or recording. It is silent until the first `resume`. */
export interface Connection {
  readonly resume: () => void;
  readonly pause: () => void;
  readonly write: (channel: string, bytes: Uint8Array) => Promise<Result<void, Fault>>;
  /** Thanks the sender for everything up to a position; left out where the transport has no way to. */
  readonly thank?: (upToPosition: number) => void;
  /** Ends it without a further word to the listener that would matter. */
  readonly close: () => Promise<void>;
}

/** How one kind of connection is opened. */
export interface Dialler {
  /** Goes into the facts of every fault: the path, the host and port, the file. */
  readonly facts: Readonly<Record<string, string | number>>;
  /** Opens once. When `stop` is aborted it gives up soon; a connection that opens all the same is closed by the caller. */
  readonly connect: (listener: ConnectionListener, stop: AbortSignal) => Promise<Result<Connection, Fault>>;
}

interface Current {
  readonly connection: Connection;
  readonly lose: (loss: Loss) => void;
  /** Null where the link was closed rather than lost. */
  readonly lost: Promise<Loss | null>;
}

interface Loss {
  readonly fault: Fault;
  readonly final: boolean;
}

/**
 * A link that opens itself again after each loss, with backoff and jitter, until it is closed.
 * Each kind of fault is reported once per outage, however many attempts it costs. Nothing that was received is dropped:
 * while the consumer is slow the connection is paused, and no new one is opened while the queue is full.
 */
export function openReopeningLink(dialler: Dialler, parts: LinkParts): Link {
  const link = new ReopeningLink(dialler, parts);
  return {
    events: link.events,
    write: (channel, bytes) => link.write(channel, bytes),
    committed: (upToPosition) => link.committed(upToPosition),
    close: () => link.close(),
  };
}

class ReopeningLink {
  readonly #dialler: Dialler;
  readonly #parts: LinkParts;
  readonly #queue: EventQueue;
  readonly #ending = new AbortController();
  readonly #finished: Promise<void>;
  /** The kinds of fault already told in this outage. */
  readonly #told = new Set<ErrorCode>();
  #current: Current | null = null;
  #hasRoom: (() => void) | null = null;
  #position = 0;
  #receivedSinceUp = false;

  constructor(dialler: Dialler, parts: LinkParts) {
    this.#dialler = dialler;
    this.#parts = parts;
    this.#queue = createEventQueue({
      bytesMax: LIMITS.linkQueueBytesMax.value,
      onRoom: () => {
        this.#hasRoom?.();
        this.#current?.connection.resume();
      },
      onLeave: () => void this.close(),
    });
    const end = () => this.#ending.abort();
    if (parts.stop.aborted) end();
    parts.stop.addEventListener("abort", end);
    this.#finished = this.#run().then(
      () => this.#queue.end(),
      (error: unknown) => this.#queue.breakOff(error),
    );
    void this.#finished.then(() => parts.stop.removeEventListener("abort", end));
  }

  get events(): Link["events"] {
    return this.#queue.events;
  }

  async write(channel: string, bytes: Uint8Array): Promise<Result<void, Fault>> {
    const current = this.#current;
    if (current === null) return fail(this.#fault("link-down", "not-open"));
    const late = Promise.withResolvers<"late">();
    const timer = this.#parts.clock.after(LIMITS.linkWriteMsMax.value, () => late.resolve("late"));
    const written = await Promise.race([current.connection.write(channel, bytes), current.lost, late.promise]);
    timer.stop();
    if (written === null) return fail(this.#fault("link-down", "closed"));
    if (written === "late") {
      const loss = { fault: this.#fault("link-down", "write-timeout"), final: false };
      current.lose(loss);
      return fail(loss.fault);
    }
    return "fault" in written ? fail(written.fault) : written;
  }

  committed(upToPosition: number): void {
    this.#current?.connection.thank?.(upToPosition);
  }

  close(): Promise<void> {
    this.#ending.abort();
    return this.#finished;
  }

  async #run(): Promise<void> {
    let failedAttempts = 0;
    while (!this.#stopped()) {
      await this.#room();
      if (this.#stopped()) return;
      const openedAtMs = this.#parts.clock.monotonic();
      const outcome = await this.#connectOnce();
      if (this.#stopped()) return;
      this.#reportDown(outcome.loss.fault);
      if (outcome.loss.final) {
        await this.#untilStopped();
        return;
      }
      const lastedMs = this.#parts.clock.monotonic() - openedAtMs;
      const wasGood = outcome.wasUp && (this.#receivedSinceUp || lastedMs >= LIMITS.linkBackoffMsMax.value);
      failedAttempts = wasGood ? 0 : failedAttempts + 1;
      const bounds = { msMin: LIMITS.linkBackoffMsMin.value, msMax: LIMITS.linkBackoffMsMax.value };
      const waitMs = backoffMs(Math.max(1, failedAttempts), bounds, this.#parts.random());
      await this.#parts.clock.sleep(waitMs, this.#ending.signal);
    }
  }

  /** Opens once and stays with the connection until it is lost or the link is closed. */
  async #connectOnce(): Promise<{ readonly wasUp: boolean; readonly loss: Loss }> {
    const lost = Promise.withResolvers<Loss | null>();
    let over = false;
    const lose = (loss: Loss | null) => {
      over = true;
      lost.resolve(loss);
    };
    const opened = await this.#openWithinLimit({
      bytes: (channel, bytes, more) => (over ? this.#position : this.#receive(channel, bytes, more)),
      lost: (reason, more) => lose({ fault: reason, final: more?.final ?? false }),
    });
    if (!opened.ok) return { wasUp: false, loss: { fault: opened.error, final: false } };
    const connection = opened.value;
    const end = () => lose(null);
    this.#ending.signal.addEventListener("abort", end);
    if (this.#stopped()) end();
    else this.#comeUp({ connection, lose, lost: lost.promise });
    const loss = await lost.promise;
    this.#ending.signal.removeEventListener("abort", end);
    this.#current = null;
    await this.#closeWithinLimit(connection);
    return { wasUp: true, loss: loss ?? { fault: this.#fault("link-down", "closed"), final: true } };
  }

  #comeUp(current: Current): void {
    this.#told.clear();
    this.#receivedSinceUp = false;
    this.#current = current;
    this.#queue.push({ kind: "up", atMonotonicMs: this.#parts.clock.monotonic() });
    if (!this.#queue.isFull()) current.connection.resume();
  }

  #receive(channel: string, bytes: Uint8Array, more: Pick<LinkBytes, "kept" | "retained" | "identity"> = {}): number {
    this.#receivedSinceUp = true;
    const { clock } = this.#parts;
    this.#position += 1;
    this.#queue.push({
      kind: "bytes",
      position: this.#position,
      channel,
      bytes,
      receivedAtMs: clock.wall(),
      receivedMonotonicMs: clock.monotonic(),
      ...more,
    });
    if (this.#queue.isFull()) this.#current?.connection.pause();
    return this.#position;
  }

  #reportDown(reason: Fault): void {
    if (this.#told.has(reason.code)) return;
    this.#told.add(reason.code);
    this.#queue.push({ kind: "down", fault: reason, atMonotonicMs: this.#parts.clock.monotonic() });
  }

  async #openWithinLimit(listener: ConnectionListener): Promise<Result<Connection, Fault>> {
    const attempt = new AbortController();
    const givenUp = Promise.withResolvers<"given-up">();
    attempt.signal.addEventListener("abort", () => givenUp.resolve("given-up"));
    const abort = () => attempt.abort();
    this.#ending.signal.addEventListener("abort", abort);
    const timer = this.#parts.clock.after(LIMITS.linkOpenMsMax.value, abort);
    const opening = this.#dialler.connect(listener, attempt.signal);
    const opened = await Promise.race([opening, givenUp.promise]);
    timer.stop();
    this.#ending.signal.removeEventListener("abort", abort);
    if (opened !== "given-up") return opened;
    void opening.then((late) => (late.ok ? late.value.close() : undefined));
    return fail(this.#fault("link-down", "open-timeout"));
  }

  async #closeWithinLimit(connection: Connection): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = this.#parts.clock.after(LIMITS.linkCloseMsMax.value, () => late.resolve());
    await Promise.race([connection.close(), late.promise]);
    timer.stop();
  }

  /** Resolves when the queue has room, or when the link is closed. */
  async #room(): Promise<void> {
    if (!this.#queue.isFull()) return;
    const room = Promise.withResolvers<void>();
    this.#hasRoom = room.resolve;
    await Promise.race([room.promise, this.#untilStopped()]);
    this.#hasRoom = null;
  }

  async #untilStopped(): Promise<void> {
    if (this.#stopped()) return;
    await new Promise<void>((resolve) => this.#ending.signal.addEventListener("abort", () => resolve(), { once: true }));
  }

  #stopped(): boolean {
    return this.#ending.signal.aborted;
  }

  #fault(code: ErrorCode, cause: string): Fault {
    return fault(code, { ...this.#dialler.facts, cause });
  }
}

/** A write that went well. */
export const WRITTEN: Result<void, Fault> = succeed(undefined);
