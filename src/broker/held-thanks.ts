import { PACKET } from "./packet-framer.ts";

/** One message that its sender has not been thanked for. */
export interface HeldThank {
  /** Whether the broker itself still has to keep it, for subscribers and as a retained message. */
  isKept: boolean;
  /** How many of the gateway's links have taken it and not thanked for it. */
  owedCount: number;
}

interface Entry extends HeldThank {
  readonly type: number;
  readonly messageId: number;
}

/**
 * The thanks (PUBACK, PUBREC) that one connection is owed, in the order of its messages: MQTT 3.1.1, 4.6 demands that order.
 * The first that cannot be given holds back all behind it.
 */
export class HeldThanks {
  readonly #send: (bytes: Buffer) => void;
  #entries: Entry[] = [];

  constructor(send: (bytes: Buffer) => void) {
    this.#send = send;
  }

  get count(): number {
    return this.#entries.length;
  }

  /** A message came; call `release` when something about it has changed. */
  add(of: { readonly qos: 1 | 2; readonly messageId: number }): HeldThank {
    const type = of.qos === 1 ? PACKET.PUBACK : PACKET.PUBREC;
    const entry: Entry = { type, messageId: of.messageId, isKept: false, owedCount: 0 };
    this.#entries.push(entry);
    return entry;
  }

  /** The broker has done its part for the oldest message with this identifier that still waits for it. */
  kept(of: { readonly qos: 1 | 2; readonly messageId: number }): void {
    const type = of.qos === 1 ? PACKET.PUBACK : PACKET.PUBREC;
    const entry = this.#entries.find((one) => !one.isKept && one.type === type && one.messageId === of.messageId);
    if (entry === undefined) return;
    entry.isKept = true;
    this.release();
  }

  /** Gives all thanks that can be given. */
  release(): void {
    let given = 0;
    for (const entry of this.#entries) {
      if (!entry.isKept || entry.owedCount > 0) break;
      const bytes = Buffer.from([entry.type << 4, 2, entry.messageId >> 8, entry.messageId & 0xff]);
      this.#send(bytes);
      given += 1;
    }
    if (given > 0) this.#entries = this.#entries.slice(given);
  }
}
