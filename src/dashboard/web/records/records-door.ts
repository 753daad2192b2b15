import type { Act, Deed } from "../../../core/act.ts";
import { isDeedKind } from "../../../core/act-text.ts";
import type { ActsView, ChainView } from "../../../core/records-view.ts";
import { fail, type Result, succeed } from "../../../core/result.ts";
import { ask, isFields, type Refusal } from "../state/gateway-door.ts";

/** Which acts a person wants to see; null is no bound. */
export interface RecordsWish {
  readonly fromMs: number | null;
  readonly toMs: number | null;
  readonly by: string | null;
  readonly kind: Deed["kind"] | null;
}

/** Acts, newest first, with lower numbers than `before` where that is given. */
export async function askRecords(wish: RecordsWish, before: number | null): Promise<Result<ActsView, Refusal>> {
  const { fromMs: from, toMs: to, by, kind } = wish;
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ from, to, by, kind, before })) if (value !== null) query.set(name, String(value));
  const answer = await ask(`api/records?${query}`);
  if (!answer.ok) return answer;
  const { acts, count, nextBeforeSeq, people, kinds, chain } = answer.value;
  if (!Array.isArray(acts) || typeof count !== "number" || !isChain(chain)) return fail(null);
  return succeed({
    acts: acts.filter(isAct),
    count,
    nextBeforeSeq: typeof nextBeforeSeq === "number" ? nextBeforeSeq : null,
    people: Array.isArray(people) ? people.map(String) : [],
    kinds: Array.isArray(kinds) ? kinds.map(String).filter(isDeedKind) : [],
    chain,
  });
}

/** An act of a kind that a newer gateway knows and this page does not is left out; the pages are loaded anew with a new gateway. */
function isAct(act: unknown): act is Act {
  if (!isFields(act) || typeof act["seq"] !== "number" || typeof act["atMs"] !== "number" || !isFields(act["deed"])) return false;
  const { kind } = act["deed"];
  return typeof kind === "string" && isDeedKind(kind);
}

function isChain(chain: unknown): chain is ChainView {
  return isFields(chain) && typeof chain["checkedActs"] === "number" && typeof chain["breakCount"] === "number";
}
