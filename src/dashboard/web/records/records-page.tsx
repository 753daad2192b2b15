import { useEffect, useState } from "preact/hooks";
import type { Act, Deed } from "../../../core/act.ts";
import { DEED_NAMES, deedText, isDeedKind, ROLE_TEXTS } from "../../../core/act-text.ts";
import type { ActsView, ChainView } from "../../../core/records-view.ts";
import { type Day, dayOf, dayText } from "../past/day.ts";
import { DayChoice } from "../past/day-choice.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { isTextKey, type Language, say } from "../words/texts.ts";
import { timeText } from "../words/words.ts";
import { askRecords, type RecordsWish } from "./records-door.ts";

/** The newest acts are asked for again so often. */
const renewMs = 15_000;
/** While the first check of the chain is on its way. */
const renewCheckingMs = 2000;

/** Who did what, when and from where, newest first; and whether that record is whole. */
export function RecordsPage({ state, view }: { readonly state: PageState; readonly view: PageView }) {
  const { language, nowMs } = view;
  const [day, setDay] = useState<Day | null>(dayOf(nowMs));
  const [by, setBy] = useState<string | null>(null);
  const [kind, setKind] = useState<Deed["kind"] | null>(null);
  const wish: RecordsWish = { fromMs: day?.fromMs ?? null, toMs: day?.toMs ?? null, by, kind };
  const { found, failed, more } = useRecords(state, wish);
  const gateway = view.ward?.gateway.gatewayId ?? "";
  return (
    <main class="sheet sheet--past records">
      <h1>{say(language, "recordsTitle")}</h1>
      <p class="records__printed">
        {say(language, "recordsPrinted", { gateway, time: `${dayText(language, nowMs)} ${timeText(nowMs)}` })}
        {day !== null && ` · ${dayText(language, day.fromMs)}`}
        {by !== null && ` · ${by}`}
        {kind !== null && ` · ${DEED_NAMES[kind][language]}`}
      </p>
      <p class="past__note">{say(language, "recordsNote")}</p>
      {found !== null && <ChainState language={language} chain={found.chain} />}
      <fieldset class="records__span">
        <legend>{say(language, "recordsSpan")}</legend>
        <button type="button" class="button" aria-pressed={day !== null} onClick={() => setDay(day ?? dayOf(nowMs))}>
          {say(language, "recordsOneDay")}
        </button>
        <button type="button" class="button" aria-pressed={day === null} data-testid="every-day" onClick={() => setDay(null)}>
          {say(language, "recordsEveryDay")}
        </button>
        {day !== null && <DayChoice language={language} day={day} nowMs={nowMs} choose={setDay} />}
      </fieldset>
      <Choices language={language} found={found} by={by} kind={kind} chooseBy={setBy} chooseKind={setKind} />
      {failed && (
        <p class="past__failed" role="alert">
          {say(language, "recordsFailed")}
        </p>
      )}
      {found === null ? (
        <p class="past__note">{say(language, "loading")}</p>
      ) : (
        <Found language={language} found={found} withDay={day === null} more={more} />
      )}
    </main>
  );
}

/** What was found so far; older pages are put behind it when asked for, and the newest page is renewed. */
function useRecords(state: PageState, wish: RecordsWish) {
  const [found, setFound] = useState<ActsView | null>(null);
  const [failed, setFailed] = useState(false);
  const about = JSON.stringify(wish);
  useEffect(() => {
    let isOver = false;
    setFound(null);
    const renew = async () => {
      const answer = await askRecords(wish, null);
      if (isOver) return;
      setFailed(!answer.ok);
      if (answer.ok) setFound((before) => joined(answer.value, before));
      const isChecking = answer.ok && !answer.value.chain.complete;
      timer.stop();
      timer = state.clock.after(isChecking ? renewCheckingMs : renewMs, () => void renew());
    };
    let timer = state.clock.after(0, () => void renew());
    return () => {
      isOver = true;
      timer.stop();
    };
  }, [about]);
  const more = async () => {
    const before = found?.nextBeforeSeq ?? null;
    if (before === null) return;
    const answer = await askRecords(wish, before);
    setFailed(!answer.ok);
    if (answer.ok)
      setFound((newer) => (newer === null ? answer.value : { ...answer.value, acts: [...newer.acts, ...answer.value.acts] }));
  };
  return { found, failed, more: () => void more() };
}

/** A renewed first page with the older pages that were there: acts are never changed, so only new ones are added. */
function joined(first: ActsView, before: ActsView | null): ActsView {
  if (before === null || first.nextBeforeSeq === null) return first;
  const last = first.acts.at(-1)?.seq ?? 0;
  const older = before.acts.filter((act) => act.seq < last);
  return older.length === 0 ? first : { ...first, acts: [...first.acts, ...older], nextBeforeSeq: before.nextBeforeSeq };
}

function ChainState({ language, chain }: { readonly language: Language; readonly chain: ChainView }) {
  const { firstBreak, breakCount, checkedActs, olderActs, lastSeq, complete } = chain;
  const why = firstBreak === null ? "" : `chain.${firstBreak.why}`;
  const time = timeText(chain.atMs);
  if (firstBreak !== null) {
    const facts = { count: breakCount, seq: firstBreak.seq, why: isTextKey(why) ? say(language, why) : firstBreak.why };
    return (
      <div class="chain chain--broken" role="alert" data-testid="chain">
        <b>⚠ {say(language, "chainBroken", facts)}</b>
        <p>{say(language, "chainBrokenRemedy")}</p>
      </div>
    );
  }
  const text = !complete ? "chainChecking" : checkedActs === 0 ? "chainEmpty" : "chainHolds";
  return (
    <div class="chain" data-testid="chain">
      <b>
        {complete && checkedActs > 0 ? "✓ " : ""}
        {say(language, text, { count: checkedActs, seq: lastSeq ?? 0, time })}
      </b>
      {olderActs > 0 && <p>{say(language, "chainOlder", { count: olderActs })}</p>}
    </div>
  );
}

function Choices(props: {
  readonly language: Language;
  readonly found: ActsView | null;
  readonly by: string | null;
  readonly kind: Deed["kind"] | null;
  readonly chooseBy: (by: string | null) => void;
  readonly chooseKind: (kind: Deed["kind"] | null) => void;
}) {
  const { language, found, by, kind, chooseBy, chooseKind } = props;
  // Somebody who was chosen stays to be seen while the answer is on its way.
  const people = [...new Set([...(found?.people ?? []), ...(by === null ? [] : [by])])];
  const kinds = [...new Set([...(found?.kinds ?? []), ...(kind === null ? [] : [kind])])];
  return (
    <div class="records__choices">
      <label>
        {say(language, "recordsPerson")}
        <select name="by" value={by ?? ""} onChange={(event) => chooseBy(event.currentTarget.value || null)}>
          <option value="">{say(language, "recordsEverybody")}</option>
          {people.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        {say(language, "recordsKind")}
        <select
          name="kind"
          value={kind ?? ""}
          onChange={({ currentTarget: { value } }) => chooseKind(isDeedKind(value) ? value : null)}
        >
          <option value="">{say(language, "recordsEverything")}</option>
          {kinds.map((one) => (
            <option key={one} value={one}>
              {DEED_NAMES[one][language]}
            </option>
          ))}
        </select>
      </label>
      <button type="button" class="button" onClick={() => print()}>
        {say(language, "recordsPrint")}
      </button>
    </div>
  );
}

function Found(props: {
  readonly language: Language;
  readonly found: ActsView;
  readonly withDay: boolean;
  readonly more: () => void;
}) {
  const { language, found, withDay, more } = props;
  if (found.acts.length === 0)
    return (
      <p class="calm">
        <b>{say(language, "recordsNone")}</b>
      </p>
    );
  return (
    <>
      <p class="past__note" data-testid="records-count">
        {say(language, "recordsCount", { count: found.count, shown: found.acts.length })}
      </p>
      <table class="records__table">
        <thead>
          <tr>
            <th scope="col">{say(language, "recordsWhen")}</th>
            <th scope="col">{say(language, "recordsWho")}</th>
            <th scope="col">{say(language, "recordsWhat")}</th>
            <th scope="col">{say(language, "recordsWhere")}</th>
            <th scope="col">{say(language, "recordsNumber")}</th>
          </tr>
        </thead>
        <tbody>
          {found.acts.map((act) => (
            <Row key={act.seq} language={language} act={act} withDay={withDay} />
          ))}
        </tbody>
      </table>
      {found.nextBeforeSeq !== null && (
        <button type="button" class="button records__more" data-testid="records-more" onClick={more}>
          {say(language, "recordsMore")}
        </button>
      )}
    </>
  );
}

function Row({ language, act, withDay }: { readonly language: Language; readonly act: Act; readonly withDay: boolean }) {
  const { role = null, at = null } = act;
  const door = `door.${act.from}`;
  return (
    <tr data-seq={act.seq}>
      <td class="records__when">
        {withDay && <span>{dayText(language, act.atMs)} </span>}
        <time dateTime={new Date(act.atMs).toISOString()}>{timeText(act.atMs)}</time>
      </td>
      <td>
        <b>{act.by}</b>
        {role !== null && <small>{ROLE_TEXTS[role][language]}</small>}
      </td>
      <td class="records__what">{deedText(act.deed)[language]}</td>
      <td>
        {isTextKey(door) ? say(language, door) : act.from}
        {at !== null && <small>{at}</small>}
      </td>
      <td class="records__seq">{act.seq}</td>
    </tr>
  );
}
