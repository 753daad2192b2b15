import { useEffect, useState } from "preact/hooks";
import type { Verdict } from "../../../core/act.ts";
import type { AlertNature, Priority } from "../../../core/alert.ts";
import { alertText } from "../../../core/alert-text.ts";
import { type PastAlert, summaryOf } from "../../../core/history-view.ts";
import type { BedView, PictureView } from "../../../core/stream.ts";
import { STARS } from "../alerts/alert-row.tsx";
import { AlertStrip } from "../alerts/alert-strip.tsx";
import { OriginTag } from "../bed/origin.tsx";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { type Language, say } from "../words/texts.ts";
import { ageText, timeText } from "../words/words.ts";
import { AlertTabs } from "./alert-tabs.tsx";
import { type Day, dayOf, momentText } from "./day.ts";
import { DayChoice } from "./day-choice.tsx";
import { askAlertHistory } from "./past-door.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly ward: PictureView;
}

/** The day of today is asked for again so often. */
const renewMs = 20_000;
/** What is alarmed now is on record a moment later. */
const recordedMs = 1000;
const verdicts = ["relevant", "not-actionable", "false"] as const satisfies readonly Verdict[];

/** The alerts of a day, what became of them, and what somebody says of each. */
export function AlertHistoryPage({ state, view, ward }: Props) {
  const { language } = view;
  const [day, setDay] = useState<Day>(() => dayOf(view.nowMs));
  const [choice, setChoice] = useState<Choice>(EVERYTHING);
  const { alerts, wholeFromMs, failed, more, renew } = useDay(state, day, ward);
  const shown = alerts?.filter((past) => fits(past, choice, ward.beds)) ?? [];
  const spanMs = Math.min(view.nowMs, day.toMs) - Math.max(day.fromMs, wholeFromMs ?? day.fromMs);
  return (
    <main class="sheet sheet--past">
      <h1>{say(language, "alerts")}</h1>
      <AlertTabs view={view} tab="history" />
      <DayChoice language={language} day={day} nowMs={view.nowMs} choose={setDay} />
      {failed && (
        <p class="past__failed" role="alert">
          {say(language, "pastFailed")}
        </p>
      )}
      {alerts !== null && (
        <Summary language={language} alerts={shown} bedCount={bedCountOf(choice, ward)} spanMs={spanMs}>
          {wholeFromMs !== null && wholeFromMs > day.fromMs && say(language, "sumSoFar", { time: timeText(wholeFromMs) })}
        </Summary>
      )}
      <Filters language={language} beds={ward.beds} choice={choice} choose={setChoice} />
      {alerts === null && !failed && <p class="calm">{say(language, "loading")}</p>}
      {alerts !== null && shown.length === 0 && (
        <p class="calm">
          <b>{say(language, alerts.length === 0 ? "noPastAlerts" : "noneFits")}</b>
        </p>
      )}
      <ul class="past-alerts">
        {shown.map((past) => (
          <PastRow key={past.alertId} state={state} view={view} past={past} beds={ward.beds} renew={renew} />
        ))}
      </ul>
      {more !== null && (
        <button type="button" class="button button--wide" data-testid="more" onClick={more}>
          {say(language, "olderOfDay")}
        </button>
      )}
    </main>
  );
}

/** Which part could not be had; that the newest comes again says nothing of an older one. */
const NONE_FAILED = { newest: false, older: false };

/** The alerts of a day: the newest part at once, what is older when it is asked for; today's again and again, and when one begins, ends or is known. */
function useDay(state: PageState, day: Day, ward: PictureView) {
  const [alerts, setAlerts] = useState<readonly PastAlert[] | null>(null);
  const [wholeFromMs, setWholeFromMs] = useState<number | null>(null);
  const [failed, setFailed] = useState(NONE_FAILED);
  const [turn, setTurn] = useState(0);
  const [loader] = useState(() => ({ day, gone: false }));
  loader.day = day;
  const load = async (toMs: number) => {
    const asked = day;
    const answer = await askAlertHistory({ fromMs: asked.fromMs, toMs });
    if (loader.gone || loader.day !== asked) return;
    const part = toMs === asked.toMs ? "newest" : "older";
    setFailed((before) => ({ ...before, [part]: !answer.ok }));
    if (!answer.ok) return;
    const { alerts: found, wholeFromMs: from } = answer.value;
    const fresh = new Set(found.map(({ alertId }) => alertId));
    setAlerts((before) => [...(before ?? []).filter(({ alertId }) => !fresh.has(alertId)), ...found].sort(newestFirst));
    setWholeFromMs((before) => (before === null ? from : Math.min(before, from)));
  };
  useEffect(() => {
    loader.gone = false;
    setAlerts(null);
    setWholeFromMs(null);
    setFailed(NONE_FAILED);
    return () => {
      loader.gone = true;
    };
  }, [day.fromMs]);
  useEffect(() => {
    void load(day.toMs);
    const timer = state.clock.every(renewMs, () => {
      if (day.toMs > state.view().nowMs) void load(day.toMs);
    });
    return () => timer.stop();
  }, [day.fromMs, turn]);
  const openNow = ward.alerts.map(({ id, state: how }) => `${id} ${how}`).join();
  useEffect(() => {
    if (day.toMs <= state.view().nowMs) return undefined;
    const timer = state.clock.after(recordedMs, () => void load(day.toMs));
    return () => timer.stop();
  }, [day.fromMs, openNow]);
  const more = wholeFromMs !== null && wholeFromMs > day.fromMs ? () => void load(wholeFromMs) : null;
  return { alerts, wholeFromMs, failed: failed.newest || failed.older, more, renew: () => setTurn((before) => before + 1) };
}

function newestFirst(one: PastAlert, other: PastAlert): number {
  return other.alert.raisedAtMs - one.alert.raisedAtMs || (one.alertId < other.alertId ? 1 : -1);
}

interface Choice {
  readonly bed: string;
  readonly priority: Priority | "";
  readonly nature: AlertNature | "";
  readonly verdict: Verdict | "none" | "";
}

const EVERYTHING: Choice = { bed: "", priority: "", nature: "", verdict: "" };

function fits({ alert, priorityMax, judged }: PastAlert, choice: Choice, beds: readonly BedView[]): boolean {
  if (choice.bed !== "" && bedOf(alert, beds)?.bedId !== choice.bed) return false;
  if (choice.priority !== "" && priorityMax !== choice.priority) return false;
  if (choice.nature !== "" && alert.nature !== choice.nature) return false;
  return choice.verdict === "" || (judged?.verdict ?? "none") === choice.verdict;
}

/** Where it was: who lies there now may be somebody else. */
function bedOf({ subject }: PastAlert["alert"], beds: readonly BedView[]): BedView | null {
  return beds.find(({ bedId }) => bedId === subject.bedId) ?? null;
}

function bedCountOf(choice: Choice, ward: PictureView): number {
  return choice.bed === "" ? ward.beds.length : 1;
}

function Filters(props: {
  readonly language: Language;
  readonly beds: readonly BedView[];
  readonly choice: Choice;
  readonly choose: (choice: Choice) => void;
}) {
  const { language, beds, choice, choose } = props;
  return (
    <fieldset class="filters">
      <legend>{say(language, "filters")}</legend>
      <Select label={say(language, "bed")} value={choice.bed} choose={(bed) => choose({ ...choice, bed })}>
        {[["", say(language, "everyBed")], ...beds.map(({ bedId, title }) => [bedId, title] as const)]}
      </Select>
      <Select
        label={say(language, "priority")}
        value={choice.priority}
        choose={(priority) => choose({ ...choice, priority: priority as Choice["priority"] })}
      >
        {[
          ["", say(language, "everyPriority")],
          ...(["high", "medium", "low"] as const).map((each) => [each, say(language, `priority.${each}`)] as const),
        ]}
      </Select>
      <Select
        label={say(language, "nature")}
        value={choice.nature}
        choose={(nature) => choose({ ...choice, nature: nature as Choice["nature"] })}
      >
        {[
          ["", say(language, "everyNature")],
          ["physiological", say(language, "physiological")],
          ["technical", say(language, "technicalOnes")],
        ]}
      </Select>
      <Select
        label={say(language, "verdict")}
        value={choice.verdict}
        choose={(verdict) => choose({ ...choice, verdict: verdict as Choice["verdict"] })}
      >
        {[
          ["", say(language, "everyVerdict")],
          ["none", say(language, "notJudged")],
          ...verdicts.map((each) => [each, say(language, `verdict.${each}`)] as const),
        ]}
      </Select>
    </fieldset>
  );
}

function Select(props: {
  readonly label: string;
  readonly value: string;
  readonly choose: (value: string) => void;
  readonly children: readonly (readonly string[])[];
}) {
  return (
    <label>
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => props.choose(event.currentTarget.value)}>
        {props.children.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function Summary(props: {
  readonly language: Language;
  readonly alerts: readonly PastAlert[];
  readonly bedCount: number;
  readonly spanMs: number;
  readonly children: string | false;
}) {
  const { language } = props;
  const sum = summaryOf(props.alerts, props);
  const judgedCount = sum.count - sum.unjudgedCount;
  const share = (count: number) =>
    say(language, "percent", { n: judgedCount === 0 ? 0 : Math.round((count / judgedCount) * 100) });
  return (
    <section class="sum" data-testid="sum">
      <dl>
        <div>
          <dt>{say(language, "sumAlerts")}</dt>
          <dd>{sum.count}</dd>
        </div>
        <div>
          <dt>{say(language, "sumPriorities")}</dt>
          <dd>
            {sum.byPriority.high} / {sum.byPriority.medium} / {sum.byPriority.low}
          </dd>
        </div>
        <div>
          <dt>{say(language, "sumTechnical")}</dt>
          <dd>{sum.technicalCount}</dd>
        </div>
        <div>
          <dt>{say(language, "sumPerBedDay")}</dt>
          <dd>{sum.perBedDay === null ? "–" : sum.perBedDay.toFixed(1)}</dd>
        </div>
        <div>
          <dt>{say(language, "sumAcknowledged")}</dt>
          <dd>{sum.acknowledgedMsMedian === null ? "–" : ageText(language, sum.acknowledgedMsMedian)}</dd>
        </div>
        <div class="sum__wide">
          <dt>
            {say(language, "sumVerdicts")} ({say(language, "sumOf", { n: judgedCount, m: sum.count })})
          </dt>
          <dd class="sum__verdicts">
            {judgedCount === 0
              ? "–"
              : verdicts.map((verdict) => (
                  <span key={verdict}>
                    {say(language, `verdict.${verdict}`)} {share(sum.byVerdict[verdict])}
                  </span>
                ))}
          </dd>
        </div>
      </dl>
      {props.children !== false && <p class="past__note">{props.children}</p>}
    </section>
  );
}

function PastRow(props: {
  readonly state: PageState;
  readonly view: PageView;
  readonly past: PastAlert;
  readonly beds: readonly BedView[];
  readonly renew: () => void;
}) {
  const { state, view, past, beds } = props;
  const { language } = view;
  const { alert, priorityMax, acknowledged } = past;
  const bed = bedOf(alert, beds);
  const endMs = alert.endedAtMs ?? view.nowMs;
  const place = bed?.title ?? alert.subject.deviceId ?? alert.subject.part ?? say(language, "gatewayItself");
  return (
    <li class={`past-alert past-alert--${priorityMax}`} data-past={past.alertId}>
      <span class="past-alert__stars">
        <span aria-hidden="true">{STARS[priorityMax]}</span>
        <span class="past-alert__priority">{say(language, `priority.${priorityMax}`)}</span>
      </span>
      <div class="past-alert__body">
        <span class="alert__place">
          {place}
          {alert.subject.patientId !== null && ` · ${say(language, "patientOf", { id: alert.subject.patientId })}`}
        </span>
        <strong class="alert__text">{alertText(alert, language)}</strong>
        <span class="alert__facts">
          {alert.nature === "technical" && <span class="tag tag--technical">{say(language, "technical")}</span>}
          <OriginTag language={language} origin={alert.origin} />
          <span>{timeText(alert.raisedAtMs)}</span>
          {alert.state === "ended" ? (
            <span>
              {say(language, "endedAt", { time: timeText(endMs) })} ·{" "}
              {say(language, "lasted", { age: ageText(language, endMs - alert.raisedAtMs) })}
            </span>
          ) : (
            <b>{say(language, "stillOpen")}</b>
          )}
          {alert.raisedCount > 1 && <span>{say(language, "raisedTimes", { n: alert.raisedCount })}</span>}
          <span>
            {acknowledged === null
              ? say(language, "nobodyAcknowledged")
              : say(language, "acknowledgedAfter", {
                  who: acknowledged.by,
                  age: ageText(language, acknowledged.atMs - alert.raisedAtMs),
                })}
          </span>
        </span>
      </div>
      <VerdictChoice {...props} />
      {alert.nature === "physiological" && <AlertStrip state={state} view={view} alert={alert} />}
    </li>
  );
}

/** Three buttons for whoever may judge; for others what was said. */
function VerdictChoice(props: Pick<Parameters<typeof PastRow>[0], "state" | "view" | "past" | "renew">) {
  const { state, view, past, renew } = props;
  const { language } = view;
  const { judged, alertId, alert } = past;
  const [busy, setBusy] = useState(false);
  const said =
    judged === null ? null : say(language, "judgedBy", { who: judged.by, time: momentText(language, judged.atMs, view.nowMs) });
  if (!may(view.session, "verdict")) {
    if (judged === null) return null;
    return (
      <p class="past__note">
        {say(language, `verdict.${judged.verdict}`)} · {said}
      </p>
    );
  }
  const judge = async (verdict: Verdict) => {
    setBusy(true);
    await state.perform({ kind: "verdict", alertId, verdict });
    setBusy(false);
    renew();
  };
  return (
    <fieldset class="verdicts" aria-label={`${say(language, "askVerdict")} ${alertText(alert, language)}`} aria-busy={busy}>
      <div class="verdicts__buttons">
        {verdicts.map((verdict) => (
          <button
            key={verdict}
            type="button"
            class="choice-button"
            data-verdict={verdict}
            aria-pressed={judged?.verdict === verdict}
            onClick={() => void judge(verdict)}
          >
            {judged?.verdict === verdict && <span aria-hidden="true">✓ </span>}
            {say(language, `verdict.${verdict}`)}
          </button>
        ))}
      </div>
      {said !== null && <span class="past__note">{said}</span>}
    </fieldset>
  );
}
