import { LIMITS } from "../../src/core/limits.ts";
import type { Text } from "../../src/core/quantities.ts";
import { createRandom, seedOfPart } from "../random.ts";

/**
 * How bad a link is, as a scenario carries it. What is counted in bytes is the mean of an exponential distribution over the bytes that
 * pass; null: never. A send is what a device says at once, or what a proxy reads at once.
 *
 * What befalls single bytes (split, flip, burst, parity, the end of the connection) stands at the same bytes however they come in pieces.
 * What befalls a whole send (merge, duplicate, reorder, truncate) depends on where sends begin and end.
 */
export interface LinkFaults {
  /** Each send is late by an even share of this; none overtakes another. */
  readonly delayMsMax: number;
  /** From one cut into separate sends to the next; they arrive `APART_MS` apart, about the time of a byte at 9600 baud. */
  readonly splitEveryBytes: number | null;
  /** From one send that is held back and joined with the next to another. */
  readonly mergeEveryBytes: number | null;
  /** From one flipped bit to the next. */
  readonly flipEveryBytes: number | null;
  /** From one stretch of up to `BURST_BYTES_MAX` random bytes, put between, to the next. */
  readonly burstEveryBytes: number | null;
  /** True: the top bit of every byte is its even parity, as when a device speaks 7E1 and its port listens with 8N1. */
  readonly wrongParity: boolean;
  /** From one send that comes twice to the next. */
  readonly duplicateEveryBytes: number | null;
  /** From one send that changes places with the next to another. */
  readonly reorderEveryBytes: number | null;
  /** From one send whose rest is lost to the next. */
  readonly truncateEveryBytes: number | null;
  /** Until the connection is reset. */
  readonly dropEveryBytes: number | null;
  /** Until nothing comes through any more while the connection stays open. */
  readonly halfOpenEveryBytes: number | null;
  /** What the line carries at most; a send arrives when its last byte is through, so only `splitEveryBytes` makes it come in pieces. */
  readonly slowBytesPerSecond: number | null;
  /** The mean time from one loss of the connection, by the clock, to the next. */
  readonly flapEveryMs: number | null;
  /** How long it is away then; null: `AWAY_MS`. */
  readonly flapForMs: number | null;
}

/** A link that does what it should. */
export const NO_FAULTS: LinkFaults = {
  delayMsMax: 0,
  splitEveryBytes: null,
  mergeEveryBytes: null,
  flipEveryBytes: null,
  burstEveryBytes: null,
  wrongParity: false,
  duplicateEveryBytes: null,
  reorderEveryBytes: null,
  truncateEveryBytes: null,
  dropEveryBytes: null,
  halfOpenEveryBytes: null,
  slowBytesPerSecond: null,
  flapEveryMs: null,
  flapForMs: null,
};

/** How long a connection that was lost is away where nothing else is said: about what a device needs to connect again. */
export const AWAY_MS = 2000;
/** How long after one another the pieces of what was sent at once arrive at least; nearer ones would be joined again on their way. */
const APART_MS = 1;
/** The longest stretch of random bytes: 16 ms of a line at 9600 baud, a switched motor beside the cable. */
const BURST_BYTES_MAX = 16;

/** What a bad link does with a send. */
export type LinkAct =
  | {
      readonly kind: "forward";
      readonly bytes: Uint8Array;
      readonly channel: string;
      readonly delayMs: number;
      /** How long after what went before it arrives at least. */
      readonly apartMs: number;
    }
  | {
      readonly kind: "drop" | "half-open";
      /** Bytes of the send it fell into that did not come through. */
      readonly lostBytes: number;
    };

/** The faults of one connection, laid down by its seed over the bytes that pass. */
export interface FaultLine {
  /** True after `drop` or `half-open`. */
  readonly hasEnded: () => boolean;
  /** Takes a send in and says what comes out. After `drop` or `half-open` nothing more does. */
  readonly pass: (bytes: Uint8Array, channel?: string) => readonly LinkAct[];
  /** Bytes of the one send that waits for the next, to be joined with it or to change places; at most `simulatedHeldBytesMax`. */
  readonly heldBytes: () => number;
}

/** Lays the faults of one connection down. Pure but for its own position: the same seed and sends give the same acts. */
export function createFaultLine(faults: LinkFaults, seed: number): FaultLine {
  return new SeededLine(faults, seed);
}

/** Bytes that stay together. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly channel: string;
}

/** What became of one send before its neighbours were looked at. */
interface HurtSend {
  readonly pieces: readonly Piece[];
  /** Marks of whole sends that stood somewhere in it. */
  readonly befell: ReadonlySet<Mark>;
  readonly end: Exclude<LinkAct, { kind: "forward" }> | null;
}

/** What stands at one byte of a connection. */
type Mark = "flip" | "split" | "merge" | "drop" | "half-open" | "burst" | "duplicate" | "reorder" | "truncate";

class SeededLine implements FaultLine {
  readonly #faults: LinkFaults;
  readonly #marks: readonly { readonly mark: Mark; readonly isAt: (position: number) => boolean }[];
  readonly #randomBit: () => number;
  readonly #randomDelay: () => number;
  readonly #randomBurst: () => number;
  #position = 0;
  #ended = false;
  #held: { readonly how: "merge" | "reorder"; readonly pieces: readonly Piece[] } | null = null;

  constructor(faults: LinkFaults, seed: number) {
    const everyBytes: readonly (readonly [Mark, number | null])[] = [
      ["flip", faults.flipEveryBytes],
      ["split", faults.splitEveryBytes],
      ["merge", faults.mergeEveryBytes],
      ["drop", faults.dropEveryBytes],
      ["half-open", faults.halfOpenEveryBytes],
      ["burst", faults.burstEveryBytes],
      ["duplicate", faults.duplicateEveryBytes],
      ["reorder", faults.reorderEveryBytes],
      ["truncate", faults.truncateEveryBytes],
    ];
    this.#faults = faults;
    this.#marks = everyBytes.flatMap(([mark, meanBytes], index) =>
      meanBytes === null ? [] : [{ mark, isAt: marksEvery(meanBytes, seedOfPart(seed, index)) }],
    );
    this.#randomBit = createRandom(seedOfPart(seed, 100));
    this.#randomDelay = createRandom(seedOfPart(seed, 101));
    this.#randomBurst = createRandom(seedOfPart(seed, 102));
  }

  readonly pass = (bytes: Uint8Array, channel = ""): readonly LinkAct[] => {
    if (this.#ended) return [];
    const hurt = this.#hurt(bytes, channel);
    const forwarded = this.#arrange(hurt).map((piece, index): LinkAct => {
      const delayMs = this.#faults.delayMsMax * this.#randomDelay();
      return { kind: "forward", ...piece, delayMs, apartMs: index === 0 ? 0 : APART_MS };
    });
    if (hurt.end === null) return forwarded;
    this.#ended = true;
    return [...forwarded, hurt.end];
  };

  readonly hasEnded = (): boolean => this.#ended;

  readonly heldBytes = (): number => lengthOf(this.#held?.pieces ?? []);

  /** Does to a send what befalls its bytes. Every random number is drawn where its mark stands, whether the byte is lost or not. */
  #hurt(bytes: Uint8Array, channel: string): HurtSend {
    const befell = new Set<Mark>();
    const pieces: number[][] = [[]];
    let end: HurtSend["end"] = null;
    for (const [index, original] of bytes.entries()) {
      let byte = this.#faults.wrongParity ? withEvenParity(original) : original;
      let burst: readonly number[] = [];
      for (const { mark, isAt } of this.#marks) {
        if (!isAt(this.#position)) continue;
        if (mark === "flip") byte ^= 1 << Math.floor(this.#randomBit() * 8);
        else if (mark === "burst") burst = this.#burst();
        else if (mark === "split") pieces.push([]);
        else if (mark === "drop" || mark === "half-open") end ??= { kind: mark, lostBytes: bytes.length - index };
        else befell.add(mark);
      }
      this.#position += 1;
      if (end !== null) break;
      if (!befell.has("truncate")) pieces.at(-1)?.push(...burst, byte);
    }
    const whole = pieces.filter((piece) => piece.length > 0).map((piece) => ({ bytes: Uint8Array.from(piece), channel }));
    return { pieces: whole, befell, end };
  }

  /** Puts a send and the one that was held back in the order in which they go, or holds this one back. */
  #arrange({ pieces, befell, end }: HurtSend): readonly Piece[] {
    const mine = befell.has("duplicate") ? [...pieces, ...pieces] : pieces;
    const held = this.#held;
    this.#held = null;
    if (held?.how === "reorder") return [...mine, ...held.pieces];
    if (held?.how === "merge") return joined(held.pieces, mine);
    const how = befell.has("merge") ? "merge" : befell.has("reorder") ? "reorder" : null;
    if (how === null || end !== null || lengthOf(mine) > LIMITS.simulatedHeldBytesMax.value) return mine;
    this.#held = { how, pieces: mine };
    return [];
  }

  #burst(): readonly number[] {
    const count = 1 + Math.floor(this.#randomBurst() * BURST_BYTES_MAX);
    return Array.from({ length: count }, () => Math.floor(this.#randomBurst() * 256));
  }
}

/** Where marks stand whose distances have a mean; asked of rising positions. */
function marksEvery(meanBytes: number, seed: number): (position: number) => boolean {
  const random = createRandom(seed);
  const gap = () => 1 + Math.floor(exponential(random, meanBytes));
  let nextPosition = gap();
  return (position) => {
    if (position < nextPosition) return false;
    nextPosition = position + gap();
    return true;
  };
}

function exponential(random: () => number, mean: number): number {
  return -Math.log(1 - random()) * mean;
}

function withEvenParity(byte: number): number {
  let ones = 0;
  for (let bit = 0; bit < 7; bit++) ones += (byte >> bit) & 1;
  return (byte & 0x7f) | ((ones % 2) << 7);
}

/** The last piece of one send and the first of the next become one, where they go the same way. */
function joined(before: readonly Piece[], after: readonly Piece[]): readonly Piece[] {
  const [last, first] = [before.at(-1), after[0]];
  if (last === undefined || first === undefined || last.channel !== first.channel) return [...before, ...after];
  const both = { bytes: Uint8Array.from([...last.bytes, ...first.bytes]), channel: last.channel };
  return [...before.slice(0, -1), both, ...after.slice(1)];
}

function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

// ---------------------------------------------------------------------- time

/**
 * When an act is done: nothing overtakes what left before it, and a slow line carries one thing after the other. Lateness is not added
 * up, so a delay longer than the time between two sends holds back what came within it and no more.
 */
export function dueMsOf(act: {
  readonly nowMs: number;
  readonly lastDueMs: number;
  readonly delayMs: number;
  readonly apartMs: number;
  readonly lineMs: number;
}): number {
  return Math.max(act.nowMs + act.delayMs, act.lastDueMs + act.apartMs) + act.lineMs;
}

/** How long a line of that speed needs for so many bytes. */
export function lineMsOf(faults: LinkFaults, lengthBytes: number): number {
  return faults.slowBytesPerSecond === null ? 0 : (1000 * lengthBytes) / faults.slowBytesPerSecond;
}

/** How long a connection holds each time until the clock takes it away, in ms; null: for ever. */
export function flapTimes(faults: LinkFaults, seed: number): (() => number) | null {
  const { flapEveryMs } = faults;
  if (flapEveryMs === null) return null;
  const random = createRandom(seedOfPart(seed, 103));
  return () => 1 + Math.floor(exponential(random, flapEveryMs));
}

// ----------------------------------------------------------------- what fits

/** A fault that a kind of link cannot have. */
export interface UnfitFault {
  readonly fault: keyof LinkFaults;
  readonly problem: Text;
  readonly remedy: Text;
}

/** What makes no sense where whole messages go: they have no pieces, no bytes between them and no parity. */
const OF_BYTES_ONLY = ["splitEveryBytes", "mergeEveryBytes", "burstEveryBytes", "wrongParity"] as const;

/**
 * The faults among these that do not fit a link.
 *
 * @param carries  `bytes` over a serial line or a TCP connection, whole `messages` by MQTT or MLLP.
 */
export function unfitFaults(faults: LinkFaults, carries: "bytes" | "messages"): readonly UnfitFault[] {
  const unfit: UnfitFault[] = [];
  for (const fault of carries === "messages" ? OF_BYTES_ONLY : []) {
    if (faults[fault] === NO_FAULTS[fault]) continue;
    unfit.push({
      fault,
      problem: { en: "this device sends whole messages, which cannot fail so", zh: "该设备发送完整消息，不会出现此类故障" },
      remedy: {
        en: "Take it out, or write flipEveryBytes, truncateEveryBytes or dropEveryBytes.",
        zh: "请删除该项，或改写 flipEveryBytes、truncateEveryBytes 或 dropEveryBytes。",
      },
    });
  }
  if (faults.flapForMs !== null && faults.flapEveryMs === null)
    unfit.push({
      fault: "flapForMs",
      problem: { en: "says how long the connection is away, and not how often", zh: "只写了断开多久，没有写多久断开一次" },
      remedy: { en: "Write flapEveryMs as well.", zh: "请同时写 flapEveryMs。" },
    });
  return unfit;
}
