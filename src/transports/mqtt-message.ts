import { createHash } from "node:crypto";
import type { LinkEvent } from "../core/ports.ts";

/** What a link tells of a message beside its bytes. */
type MessageMarks = Pick<Extract<LinkEvent, { readonly kind: "bytes" }>, "kept" | "retained" | "identity">;

/**
 * What is known of a message's age and of whether it came before.
 *
 * @param message  `messageId` is null where it is sent once (QoS 0).
 * @param isKept   True where it was kept for somebody who was away, or may have come before: then its age is not known.
 */
export function messageMarks(
  message: {
    readonly topic: string;
    readonly payload: Uint8Array;
    readonly messageId: number | null;
    readonly retained: boolean;
  },
  isKept: boolean,
): MessageMarks {
  const { topic, payload, messageId, retained } = message;
  const digest = () => createHash("sha1").update(topic).update("\0").update(payload).digest("base64");
  return {
    ...(isKept || retained ? { kept: true } : {}),
    ...(retained ? { retained } : {}),
    // The same for a message and for each time it is sent again.
    ...(messageId === null ? {} : { identity: `${messageId}:${digest()}` }),
  };
}

/** The thanks that are owed for messages whose records are not on disk yet, in the order of their positions. */
export class OwedThanks {
  #owed: { readonly position: number; readonly thank: () => void }[] = [];

  add(position: number, thank: () => void): void {
    this.#owed.push({ position, thank });
  }

  /** Thanks for everything up to a position, which is included. */
  pay(upToPosition: number): void {
    const unpaid = this.#owed.findIndex(({ position }) => position > upToPosition);
    for (const { thank } of this.#owed.splice(0, unpaid < 0 ? this.#owed.length : unpaid)) thank();
  }

  /** What a former connection is still owed is sent again by its sender. */
  forget(): void {
    this.#owed = [];
  }
}
