import { hash } from "node:crypto";
import { canonicalJson } from "../core/canonical-json.ts";

/** Hex digits of the hash that are kept to compare. */
const KEPT_DIGITS = 8;

/** The first 32 bits of a record's content hash, as a receiver's record file says it. */
export function contentBits(record: unknown): number {
  return Number.parseInt(hash("sha256", canonicalJson(record), "hex").slice(0, KEPT_DIGITS), 16);
}

/** The same bits from the text in the file, or null where it is not a hash. */
export function contentBitsOf(text: unknown): number | null {
  return typeof text === "string" && /^[0-9a-f]{16,64}$/.test(text) ? Number.parseInt(text.slice(0, KEPT_DIGITS), 16) : null;
}
