import { hash } from "node:crypto";
import { type Act, FIRST_PREVIOUS_HASH } from "../core/act.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { LIMITS } from "../core/limits.ts";
import { isInWindow, type TimeWindow } from "./window.ts";

/**
 * The hash of an act: SHA-256, hexadecimal, over the hash of the act before it, a line end, and the canonical JSON of the act itself
 * without its own hash, in UTF-8. So each hash stands for all acts before it too.
 */
function hashOfAct(act: Act, previousHash: string): string {
  const { hash: _own, ...rest } = act;
  return hash("sha256", `${previousHash}\n${canonicalJson(rest)}`, "hex");
}

/** An act as the next link of the chain. @param previousHash  The hash of the act before it, or `FIRST_PREVIOUS_HASH`. */
export function chainedAct(act: Omit<Act, "previousHash" | "hash">, previousHash: string): Act & { readonly hash: string } {
  const linked: Act = { ...act, previousHash };
  return { ...linked, hash: hashOfAct(linked, previousHash) };
}

/** What the next act's `previousHash` must be. @param acts  All acts there are, oldest first. */
export function lastHashOf(acts: readonly Act[]): string {
  return acts.findLast((act) => act.hash !== undefined)?.hash ?? FIRST_PREVIOUS_HASH;
}

/**
 * Why the chain does not hold at an act:
 * `changed` its content is not what was hashed; `not-next` it does not follow the act before it: one between them was removed or exchanged,
 * or this one was put in; `unchained` it bears no hash, and acts before it do; `out-of-order` its number is not above the one before;
 * `damaged` stored bytes that may hold acts cannot be read; `gone` a receiver has it and the journal does not: taken out, or the end
 * of the chain was cut off; `differs` a receiver has another content of it.
 */
export type ChainFault = "changed" | "not-next" | "unchained" | "out-of-order" | "damaged" | "gone" | "differs";

/** One place where the chain does not hold. */
export interface ChainBreak {
  readonly seq: number;
  /** When the act says it was done; null where there is no act to read. */
  readonly atMs: number | null;
  readonly why: ChainFault;
  /** The number of the last act before it that was read, or null. */
  readonly afterSeq: number | null;
}

/** What the walk along the chain found. */
export interface ChainReport {
  /** Acts in the window, chained and of before there was a chain. */
  readonly chainedActs: number;
  readonly olderActs: number;
  readonly firstChainedSeq: number | null;
  readonly lastSeq: number | null;
  /** The hash that stands for all acts; null where none is chained. */
  readonly lastHash: string | null;
  /** Lines of acts in receivers' record files, and acts in the window that no receiver has (yet); null where no file was given. */
  readonly receivedActs: number | null;
  readonly notReceivedActs: number | null;
  readonly breakCount: number;
  /** The first in the order of the chain, then those after it, at most `auditBreaksToldMax`. */
  readonly breaks: readonly ChainBreak[];
}

/** Hex digits of a record's content hash in a receiver's record file. Source: `canonicalJson`. */
const CONTENT_DIGITS = 16;

/** Walks along the chain, act by act, and holds it against what receivers have. */
export class ActChain {
  readonly #window: TimeWindow;
  readonly #received: ReadonlyMap<number, string | null> | null;
  readonly #seen = new Set<number>();
  readonly #breaks: ChainBreak[] = [];
  #breakCount = 0;
  #before: Act | null = null;
  #expected: string | null = null;
  #chainedActs = 0;
  #olderActs = 0;
  #notReceived = 0;
  #firstChainedSeq: number | null = null;

  /** @param received  The acts a receiver has, by number, each with its content hash or null where the file does not say; null without a file. */
  constructor(parts: { readonly window: TimeWindow; readonly received: ReadonlyMap<number, string | null> | null }) {
    this.#window = parts.window;
    this.#received = parts.received;
  }

  /** Takes the next act of the journal. */
  take(act: Act): void {
    const { previousHash, hash: own } = act;
    const inWindow = isInWindow(this.#window, act.atMs);
    const isRepeat = this.#before !== null && act.seq <= this.#before.seq;
    if (isRepeat) this.#tell(act.seq, act, "out-of-order");
    this.#seen.add(act.seq);
    if (own === undefined || previousHash === undefined) {
      if (this.#expected !== null) this.#tell(act.seq, act, "unchained");
      if (inWindow) this.#olderActs += 1;
    } else {
      if (hashOfAct(act, previousHash) !== own) this.#tell(act.seq, act, "changed");
      else if (previousHash !== (this.#expected ?? FIRST_PREVIOUS_HASH)) this.#tell(act.seq, act, "not-next");
      this.#expected = own;
      this.#firstChainedSeq ??= act.seq;
      if (inWindow) this.#chainedActs += 1;
    }
    if (!isRepeat) this.#before = act;
    this.#holdAgainstReceiver(act, inWindow);
  }

  #holdAgainstReceiver(act: Act, inWindow: boolean): void {
    if (this.#received === null) return;
    const content = this.#received.get(act.seq);
    if (content === undefined) {
      if (inWindow) this.#notReceived += 1;
      return;
    }
    if (content !== null && content !== hash("sha256", canonicalJson(act), "hex").slice(0, CONTENT_DIGITS))
      this.#tell(act.seq, act, "differs");
  }

  /** Stored bytes between two acts could not be read. */
  damaged(place: { readonly fromSeq: number }): void {
    this.#add({ seq: place.fromSeq, atMs: null, why: "damaged", afterSeq: this.#before?.seq ?? null });
  }

  finish(): ChainReport {
    const here = this.#received === null ? [] : [...this.#seen].sort((one, other) => one - other);
    const gone = [...(this.#received?.keys() ?? [])].filter((seq) => !this.#seen.has(seq)).sort((one, other) => one - other);
    let passed = 0;
    for (const seq of gone) {
      while (passed < here.length && (here[passed] ?? 0) < seq) passed += 1;
      this.#add({ seq, atMs: null, why: "gone", afterSeq: here[passed - 1] ?? null });
    }
    this.#breaks.sort((one, other) => one.seq - other.seq);
    return {
      chainedActs: this.#chainedActs,
      olderActs: this.#olderActs,
      firstChainedSeq: this.#firstChainedSeq,
      lastSeq: this.#before?.seq ?? null,
      lastHash: this.#expected,
      receivedActs: this.#received?.size ?? null,
      notReceivedActs: this.#received === null ? null : this.#notReceived,
      breakCount: this.#breakCount,
      breaks: this.#breaks.slice(0, LIMITS.auditBreaksToldMax.value),
    };
  }

  #tell(seq: number, act: Act, why: ChainFault): void {
    // A time may be what was changed: only a break whose hash holds is left to the window.
    if (why !== "changed" && why !== "differs" && !isInWindow(this.#window, act.atMs)) return;
    this.#add({ seq, atMs: act.atMs, why, afterSeq: this.#before?.seq ?? null });
  }

  #add(found: ChainBreak): void {
    this.#breakCount += 1;
    if (this.#breaks.length < LIMITS.auditBreaksToldMax.value) this.#breaks.push(found);
  }
}
