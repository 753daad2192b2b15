import { PACKET } from "./packet-framer.ts";

/** What the filter saw and kept to itself, or let pass. */
export interface OutgoingWatcher {
  /** A CONNACK passes; 0: the client is in. MQTT 3.1.1, table 3.1. */
  readonly onConnack: (returnCode: number) => void;
  /** A PUBREC was taken out. */
  readonly onPubrec: (messageId: number) => void;
  readonly onPublish: () => void;
}

/** Longest CONNACK, PUBACK or PUBREC after its fixed header. MQTT 3.1.1, 3.2, 3.4 and 3.5. */
const ANSWER_BYTES = 2;

/**
 * Stands between the broker's library and a socket and takes out every PUBACK and PUBREC: the library gives them before it has kept the
 * message, and whether a sender may be thanked is decided elsewhere. What the library sends to a client that comes back before it has let it
 * in passes after the CONNACK, which must be first: MQTT 3.1.1, 3.2. All other bytes pass unchanged.
 */
export class OutgoingFilter {
  readonly #watcher: OutgoingWatcher;
  /** Where in a packet we are: its fixed header's bytes, then how much of its body is to come. */
  #header: number[] = [];
  #bodyBytesLeft = 0;
  #type = 0;
  /** The body of an answer that is looked into. */
  #answer: number[] = [];
  /** What came before the CONNACK; null after it. */
  #early: Buffer[] | null = [];

  constructor(watcher: OutgoingWatcher) {
    this.#watcher = watcher;
  }

  /** What may pass of these bytes. */
  pass(bytes: Buffer): readonly Buffer[] {
    const passed: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      if (this.#bodyBytesLeft === 0) {
        at = this.#takeHeaderByte(bytes, at, passed);
        continue;
      }
      const end = Math.min(at + this.#bodyBytesLeft, bytes.length);
      const piece = bytes.subarray(at, end);
      this.#bodyBytesLeft -= piece.length;
      if (!this.#isTaken()) this.#lineFor(passed).push(piece);
      if (this.#isLookedInto()) this.#answer.push(...piece);
      if (this.#bodyBytesLeft === 0) this.#end(passed);
      at = end;
    }
    return passed;
  }

  #takeHeaderByte(bytes: Buffer, at: number, passed: Buffer[]): number {
    const byte = bytes[at] ?? 0;
    this.#header.push(byte);
    if (this.#header.length === 1 || byte >= 0x80) return at + 1;
    this.#type = (this.#header[0] ?? 0) >> 4;
    this.#bodyBytesLeft = this.#header.slice(1).reduceRight((length, part) => length * 0x80 + (part & 0x7f), 0);
    if (!this.#isTaken()) this.#lineFor(passed).push(Buffer.from(this.#header));
    this.#header = [];
    if (this.#bodyBytesLeft === 0) this.#end(passed);
    return at + 1;
  }

  #lineFor(passed: Buffer[]): Buffer[] {
    return this.#early === null || this.#type === PACKET.CONNACK ? passed : this.#early;
  }

  #isTaken(): boolean {
    return this.#type === PACKET.PUBACK || this.#type === PACKET.PUBREC;
  }

  #isLookedInto(): boolean {
    return (this.#type === PACKET.CONNACK || this.#type === PACKET.PUBREC) && this.#answer.length < ANSWER_BYTES;
  }

  #end(passed: Buffer[]): void {
    const [first = 0, second = 0] = this.#answer;
    this.#answer = [];
    if (this.#type === PACKET.CONNACK) {
      passed.push(...(this.#early ?? []));
      this.#early = null;
      this.#watcher.onConnack(second);
    }
    if (this.#type === PACKET.PUBREC) this.#watcher.onPubrec(first * 0x100 + second);
    if (this.#type === PACKET.PUBLISH) this.#watcher.onPublish();
  }
}
