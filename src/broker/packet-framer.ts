/** Kinds of control packets. MQTT 3.1.1, table 2.1. */
export const PACKET = {
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  UNSUBSCRIBE: 10,
  PINGREQ: 12,
  DISCONNECT: 14,
} as const;

/** What stands in the bytes of a connection, one after the other. */
export type Framed =
  | { readonly kind: "packet"; readonly type: number; readonly flags: number; readonly bytes: Buffer; readonly bodyAt: number }
  /** A packet over its bound, whose bytes are passed over without being kept; `head` is its body's beginning, long enough for topic and identifier. */
  | { readonly kind: "oversized"; readonly type: number; readonly flags: number; readonly head: Buffer }
  | { readonly kind: "broken" };

/** Longest fixed header: one byte and a length of four. MQTT 3.1.1, 2.2.3. */
const HEADER_BYTES_MAX = 5;
const FIRST_BYTES = 4096;

/** Cuts the bytes of one connection into control packets. Keeps no more than one packet within its bound, and what it was given last. */
export class PacketFramer {
  readonly #bytesMaxOf: (type: number) => number;
  #input: Buffer = Buffer.alloc(0);
  #inputAt = 0;
  #kept: Buffer = Buffer.alloc(0);
  #keptBytes = 0;
  /** Of the packet under way: whole length and where its body begins; null until its fixed header is there. */
  #whole: { readonly bytes: number; readonly bodyAt: number } | null = null;
  #passOverBytes = 0;

  /** @param bytesMaxOf  The most that a packet of this type may have after its fixed header. */
  constructor(bytesMaxOf: (type: number) => number) {
    this.#bytesMaxOf = bytesMaxOf;
  }

  /** Gives it the next bytes. */
  push(bytes: Buffer): void {
    this.#input = this.#inputAt < this.#input.length ? Buffer.concat([this.#input.subarray(this.#inputAt), bytes]) : bytes;
    this.#inputAt = 0;
  }

  /** Whether bytes wait that were not looked at. */
  hasInput(): boolean {
    return this.#inputAt < this.#input.length;
  }

  /** The next packet, or null where more bytes are needed first. */
  next(): Framed | null {
    for (;;) {
      if (this.#passOverBytes > 0) this.#passOver();
      if (!this.hasInput()) return null;
      if (this.#whole === null) {
        const began = this.#begin();
        if (began === "broken") return { kind: "broken" };
        if (began === "more") continue;
      }
      const framed = this.#carryOn();
      if (framed !== null) return framed;
    }
  }

  #passOver(): void {
    const bytes = Math.min(this.#passOverBytes, this.#input.length - this.#inputAt);
    this.#inputAt += bytes;
    this.#passOverBytes -= bytes;
  }

  /** Takes one byte of the fixed header. */
  #begin(): "more" | "whole" | "broken" {
    this.#keep(1);
    if (this.#keptBytes < 2) return "more";
    const last = this.#kept[this.#keptBytes - 1] ?? 0;
    if (last >= 0x80) return this.#keptBytes < HEADER_BYTES_MAX ? "more" : "broken";
    let length = 0;
    for (let at = this.#keptBytes - 1; at >= 1; at--) length = length * 0x80 + ((this.#kept[at] ?? 0) & 0x7f);
    this.#whole = { bytes: this.#keptBytes + length, bodyAt: this.#keptBytes };
    return "whole";
  }

  #carryOn(): Framed | null {
    const whole = this.#whole;
    if (whole === null) return null;
    const [type, flags] = [(this.#kept[0] ?? 0) >> 4, (this.#kept[0] ?? 0) & 0x0f];
    const bodyBytes = whole.bytes - whole.bodyAt;
    const bodyBytesMax = this.#bytesMaxOf(type);
    const isOversized = bodyBytes > bodyBytesMax;
    const wantedBytes = isOversized ? whole.bodyAt + Math.min(bodyBytesMax, headBytes(this.#body(whole.bodyAt))) : whole.bytes;
    this.#keep(wantedBytes - this.#keptBytes);
    if (this.#keptBytes < wantedBytes) return null;
    // With two bytes of the body there, the length of the topic is known, and more of the head may be wanted.
    if (isOversized && wantedBytes < whole.bodyAt + Math.min(bodyBytesMax, headBytes(this.#body(whole.bodyAt)))) return null;
    const bytes = this.#kept.subarray(0, this.#keptBytes);
    this.#passOverBytes = whole.bytes - this.#keptBytes;
    this.#kept = Buffer.alloc(0);
    this.#keptBytes = 0;
    this.#whole = null;
    const { bodyAt } = whole;
    if (isOversized) return { kind: "oversized", type, flags, head: bytes.subarray(bodyAt) };
    return { kind: "packet", type, flags, bytes, bodyAt };
  }

  #body(bodyAt: number): Buffer {
    return this.#kept.subarray(bodyAt, this.#keptBytes);
  }

  /** Takes up to so many bytes of what was given. Room grows by doubling: a sender that promises much and sends little costs little. */
  #keep(bytes: number): void {
    const taken = Math.min(bytes, this.#input.length - this.#inputAt);
    if (taken <= 0) return;
    const needed = this.#keptBytes + taken;
    if (needed > this.#kept.length) {
      const room =
        this.#whole === null
          ? HEADER_BYTES_MAX
          : Math.max(needed, Math.min(FIRST_BYTES, this.#whole.bytes), 2 * this.#kept.length);
      const larger = Buffer.allocUnsafe(Math.min(Math.max(room, needed), this.#whole?.bytes ?? HEADER_BYTES_MAX));
      this.#kept.copy(larger, 0, 0, this.#keptBytes);
      this.#kept = larger;
    }
    this.#input.copy(this.#kept, this.#keptBytes, this.#inputAt, this.#inputAt + taken);
    this.#keptBytes += taken;
    this.#inputAt += taken;
  }
}

/** How much of a PUBLISH's body holds its topic and packet identifier; two bytes tell the topic's length. */
function headBytes(body: Buffer): number {
  return body.length < 2 ? 2 : 2 + body.readUInt16BE(0) + 2;
}
