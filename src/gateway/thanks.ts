import type { Seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { LinkEvent } from "../core/ports.ts";
import type { SeqSpan } from "../core/record.ts";
import type { Clock } from "../core/time.ts";

type Chunk = Extract<LinkEvent, { kind: "bytes" }>;

/** A chunk and the numbers of the records that came of it; `from` is over `to` where nothing did. */
interface Owed extends SeqSpan {
  position: number;
}

/**
 * Which chunks a link may thank for: those whose records are all on disk (decision 4). A chunk that brought no record is thanked with the
 * one before it, so that the list is never longer than the journal's own queue.
 */
export class Thanks {
  readonly #thank: (upToPosition: number) => void;
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #hurry: () => void;
  readonly #owed: Owed[] = [];
  /** Messages that were handed over in this life, of senders that deliver again until they are thanked. */
  readonly #taken = new Set<string>();
  #committedUpTo = 0;
  #withheld = false;
  #thankedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: {
    /** Called with the position up to which everything is on disk. */
    readonly thank: (upToPosition: number) => void;
    readonly clock: Pick<Clock, "monotonic">;
    /** Called where the sender waits for our thanks before it goes on: what was kept while we were away would come at the pace of commits. */
    readonly hurry: () => void;
  }) {
    this.#thank = parts.thank;
    this.#clock = parts.clock;
    this.#hurry = parts.hurry;
  }

  /** A new connection: the sender sends again what it was not thanked for. */
  beginAnew(): void {
    this.#owed.length = 0;
    this.#withheld = false;
  }

  /** Whether a message was handed over already and brings nothing new. What came of it may still be on its way to the disk, and it is thanked for after that. */
  isRepeat({ identity, kept, position }: Chunk, lastSeq: Seq): boolean {
    if (identity === undefined) return false;
    const isKnown = this.#taken.delete(identity);
    this.#taken.add(identity);
    if (isKnown && kept === true) {
      this.owe({ position, from: lastSeq, to: lastSeq });
      return true;
    }
    if (this.#taken.size > LIMITS.linkRepeatsKnownMax.value) this.#forgetOldest();
    return false;
  }

  /** Takes note of what came of a chunk. */
  owe(chunk: Owed): void {
    if (this.#withheld) return;
    const last = this.#owed.at(-1);
    if (chunk.from <= chunk.to && chunk.to > this.#committedUpTo) {
      this.#owed.push(chunk);
      const isEager = last === undefined && this.#clock.monotonic() - this.#thankedMs <= LIMITS.linkEagerMsMax.value;
      if (isEager) this.#hurry();
    } else if (last === undefined) {
      this.#thank(chunk.position);
    } else {
      last.position = chunk.position;
    }
  }

  /** Whether nobody waits for thanks who can still get them. */
  isSettled(): boolean {
    return this.#owed.length === 0;
  }

  /** Everything up to here is on disk. */
  committed(upTo: Seq): void {
    this.#committedUpTo = upTo;
    let thankedTo: number | null = null;
    for (let first = this.#owed[0]; first !== undefined && first.to <= upTo; first = this.#owed[0]) {
      thankedTo = first.position;
      this.#owed.shift();
    }
    if (thankedTo === null) return;
    this.#thankedMs = this.#clock.monotonic();
    this.#thank(thankedTo);
  }

  /** These numbers will never be on disk: nothing after them is thanked for on this connection, and what is delivered again counts. */
  lost(numbers: SeqSpan): void {
    this.#taken.clear();
    const hit = this.#owed.findIndex(({ from, to }) => from <= numbers.to && to >= numbers.from);
    if (hit < 0) return;
    this.#owed.length = hit;
    this.#withheld = true;
  }

  #forgetOldest(): void {
    const oldest = this.#taken.values().next();
    if (oldest.done !== true) this.#taken.delete(oldest.value);
  }
}
