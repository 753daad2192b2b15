import { createHmac, timingSafeEqual } from "node:crypto";
import { parseTellingKey, type TellingName } from "../core/notice.ts";
import type { ReceiptState } from "../core/record.ts";

/** What somebody says of an alert that they were told of. */
export interface Answer {
  readonly of: TellingName;
  readonly state: ReceiptState;
  /** The person, as their own program names them. */
  readonly by: string;
}

/** A signature is good for so long; clocks may be apart by as much. */
const SIGNATURE_SECONDS_MAX = 300;
const NAME_CHARACTERS_MAX = 100;
const STATES: readonly ReceiptState[] = ["received", "seen", "accepted", "refused"];

/** Reads an answer: `{ "key": the telling's, "state": "received" | "seen" | "accepted" | "refused", "by": who }`; null where it is none. */
export function parseAnswer(body: string): Answer | null {
  try {
    const given: unknown = JSON.parse(body);
    if (typeof given !== "object" || given === null) return null;
    const { key, state, by } = given as Readonly<Record<string, unknown>>;
    const of = typeof key === "string" ? parseTellingKey(key) : null;
    const known = STATES.find((each) => each === state);
    if (of === null || known === undefined || typeof by !== "string") return null;
    const name = by.trim();
    return name === "" || name.length > NAME_CHARACTERS_MAX || /\p{Cc}/u.test(name) ? null : { of, state: known, by: name };
  } catch {
    return null;
  }
}

/** The header that proves who sent a body: `t=SECONDS,v1=HEX`, HEX being the HMAC-SHA256 of `SECONDS.BODY`. */
export function signed(body: string, secret: string, wallMs: number): string {
  const seconds = Math.floor(wallMs / 1000);
  return `t=${seconds},v1=${macOf(body, secret, String(seconds))}`;
}

/** Whether a body was signed with a secret, not long ago. */
export function isSigned(body: string, signature: string, by: { readonly secret: string; readonly wallMs: number }): boolean {
  const [, seconds = "", given = ""] = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
  if (given === "" || by.secret === "") return false;
  if (Math.abs(by.wallMs / 1000 - Number(seconds)) > SIGNATURE_SECONDS_MAX) return false;
  return timingSafeEqual(Buffer.from(given, "hex"), Buffer.from(macOf(body, by.secret, seconds), "hex"));
}

function macOf(body: string, secret: string, seconds: string): string {
  return createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex");
}
