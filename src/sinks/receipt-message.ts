import type { Seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { ReceiptMessage } from "../core/upstream.ts";

/** Why a receipt was refused. */
export type ReceiptProblem =
  | "too-long"
  | "not-json"
  | "bad-key"
  | "bad-state"
  | "bad-by"
  | "other-gateway"
  | "other-epoch"
  | "unknown-record";

/** Longest name of who sent a receipt, in characters. */
const BY_CHARACTERS_MAX = 200;

/**
 * Reads a receipt from the wire: `{ "key", "state", "by" }`, other fields are left aside.
 *
 * @param payload  At most `upstreamReceiptBytesMax` bytes of JSON in UTF-8.
 * @param of       Only keys of this gateway's present journal are taken, up to the last number given; one for an older journal may still
 *                 come and means nothing here.
 */
export function parseReceipt(
  payload: Uint8Array,
  of: { readonly gatewayId: string; readonly epoch: string; readonly lastSeq: Seq },
): Result<ReceiptMessage, ReceiptProblem> {
  if (payload.length > LIMITS.upstreamReceiptBytesMax.value) return fail("too-long");
  const given = parseObject(payload);
  if (given === null) return fail("not-json");
  const { key, state, by } = given;
  if (typeof key !== "string" || !/^[^/]+\/[^/]+\/[1-9][0-9]{0,15}$/.test(key)) return fail("bad-key");
  const [gatewayId, epoch, number] = key.split("/");
  if (gatewayId !== of.gatewayId) return fail("other-gateway");
  if (epoch !== of.epoch) return fail("other-epoch");
  if (Number(number) > of.lastSeq) return fail("unknown-record");
  if (state !== "received" && state !== "seen" && state !== "accepted" && state !== "refused") return fail("bad-state");
  if (typeof by !== "string" || by === "" || by.length > BY_CHARACTERS_MAX) return fail("bad-by");
  return succeed({ key, state, by });
}

interface GivenReceipt {
  readonly key?: unknown;
  readonly state?: unknown;
  readonly by?: unknown;
}

function parseObject(payload: Uint8Array): GivenReceipt | null {
  try {
    const given: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
    return typeof given === "object" && given !== null && !Array.isArray(given) ? given : null;
  } catch {
    return null;
  }
}
