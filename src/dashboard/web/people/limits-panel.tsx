import { useEffect, useState } from "preact/hooks";
import type { LimitSide } from "../../../core/act.ts";
import { type LimitSideName, levelsOfSide, type WardLimitView } from "../../../core/limit-levels.ts";
import { QUANTITIES } from "../../../core/quantities.ts";
import type { BedView, LimitView } from "../../../core/stream.ts";
import { may, maySee } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { type Language, say } from "../words/texts.ts";
import { quantityUnitText } from "../words/words.ts";
import { levelsText, minuteText } from "./limit-words.ts";
import { askLimits } from "./people-door.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly patient: NonNullable<BedView["patient"]>;
}

/** The limits of one patient, those of what is measured and of what was set first: the ward's own, those that were set in their place with why, by whom and until when, and the way to change them. */
export function LimitsPanel({ state, view, patient, bed }: Props & { readonly bed: BedView }) {
  const { language } = view;
  const [ward, setWard] = useState<readonly WardLimitView[] | "failed" | null>(null);
  const maySeeThem = maySee(view.session, "GET /api/limits");
  // A gateway that was away may come back with other limits.
  useEffect(() => {
    if (maySeeThem && !view.feed.stale) void askLimits().then((answer) => setWard(answer.ok ? answer.value : "failed"));
  }, [maySeeThem, view.feed.stale, view.ward?.gateway.startedAtMs]);
  if (!maySeeThem) return null;
  const limits = ward === null || ward === "failed" ? [] : ward;
  const named = new Set([...bed.numbers, ...patient.limits].map(({ quantity }) => quantity));
  const known = limits.filter(({ quantity }) => named.has(quantity));
  const rest = limits.filter(({ quantity }) => !named.has(quantity));
  const rows = (shown: readonly WardLimitView[]) => <LimitTable state={state} view={view} patient={patient} limits={shown} />;
  return (
    <section class="panel limits" data-testid="limits">
      <h2>{say(language, "limits")}</h2>
      {ward === null && <p>{say(language, "loading")}</p>}
      {ward === "failed" && <p class="field__trouble">{say(language, "limitsFailed")}</p>}
      {known.length > 0 && rows(known)}
      {rest.length > 0 && (
        <details>
          <summary>{say(language, "limitMore")}</summary>
          {rows(rest)}
        </details>
      )}
    </section>
  );
}

function LimitTable({ state, view, patient, limits }: Props & { readonly limits: readonly WardLimitView[] }) {
  const { language } = view;
  const mayChange = may(view.session, "set-limit");
  return (
    <table class="limit-table">
      <thead>
        <tr>
          <th scope="col">{say(language, "limitQuantity")}</th>
          <th scope="col">{say(language, "limitWard")}</th>
          <th scope="col">{say(language, "limitOwn")}</th>
          {mayChange && (
            <th scope="col">
              <span class="unseen">{say(language, "limitChange")}</span>
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {limits.map((limit) => {
          const own = patient.limits.find(({ quantity }) => quantity === limit.quantity);
          const { title } = QUANTITIES[limit.quantity];
          return (
            <tr key={limit.quantity} data-limit={limit.quantity} class={own !== undefined && !own.expired ? "limit--own" : ""}>
              <th scope="row">
                {title[language]} <small>{quantityUnitText(language, limit.quantity)}</small>
              </th>
              <td data-label={say(language, "limitWard")}>
                <Levels language={language} limit={limit} levels={limit.ward} />
              </td>
              <td data-label={say(language, "limitOwn")}>
                {own === undefined ? (
                  <span class="limit__none">{say(language, "limitAsWard")}</span>
                ) : (
                  <OwnLimit view={view} limit={limit} own={own} />
                )}
              </td>
              {mayChange && (
                <td class="limit__change">
                  <button
                    type="button"
                    class="button"
                    aria-label={say(language, "limitChangeOf", { quantity: title[language] })}
                    onClick={() => state.openDialog({ kind: "limit", patientId: patient.patientId, quantity: limit.quantity })}
                  >
                    {say(language, "limitChange")}
                  </button>
                </td>
              )}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** Both sides, as they alarm. */
function Levels(props: {
  readonly language: Language;
  readonly limit: WardLimitView;
  readonly levels: { readonly low: readonly LimitSide[]; readonly high: readonly LimitSide[] };
}) {
  const { language, limit, levels } = props;
  if (levels.low.length + levels.high.length === 0) return <span class="limit__none">{say(language, "limitNone")}</span>;
  return (
    <>
      {(["low", "high"] as const).map((side) => (
        <span key={side} class="limit__side">
          <span class="limit__name">{say(language, side === "low" ? "limitLow" : "limitHigh")}</span>{" "}
          {levelsText(language, limit.quantity, levels[side])}
        </span>
      ))}
    </>
  );
}

function OwnLimit({ view, limit, own }: { readonly view: PageView; readonly limit: WardLimitView; readonly own: LimitView }) {
  const { language, nowMs } = view;
  const levels = (side: LimitSideName) => levelsOfSide(side, own[side], limit.defaults[side]);
  const facts = [
    own.reason ?? say(language, "limitNoReason"),
    say(language, "limitBy", { who: own.setBy, time: minuteText(language, own.setAtMs, nowMs) }),
  ];
  const endMs = own.expiresAtMs;
  if (own.expired)
    return (
      <span class="limit__over">
        {say(language, "limitOver", { time: endMs === null ? "" : minuteText(language, endMs, nowMs) })}
      </span>
    );
  return (
    <>
      <Levels language={language} limit={limit} levels={{ low: levels("low"), high: levels("high") }} />
      <span class="limit__facts">{facts.join(" · ")}</span>
      <span class="limit__facts">
        {endMs === null ? say(language, "limitNoEnd") : say(language, "limitUntil", { time: minuteText(language, endMs, nowMs) })}
      </span>
    </>
  );
}
