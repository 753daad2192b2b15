import { useEffect, useState } from "preact/hooks";
import {
  leastScore,
  QUALITY_ASPECTS,
  type QualityAspect,
  type QualityCounts,
  type QualityRow,
  rulesOf,
} from "../../../core/quality-view.ts";
import { QUANTITIES } from "../../../core/quantities.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { isTextKey, type Language, say } from "../words/texts.ts";
import { type Day, dayOf, dayText, shortDayText } from "./day.ts";
import { askQuality } from "./past-door.ts";

const daysShown = 7;
/** Today is asked for again so often. */
const renewMs = 60_000;
const goodFrom = 95;
const fairFrom = 80;

/** How good the data of each device was, day by day, and what lowered it. */
export function QualityPage({ state, view }: { readonly state: PageState; readonly view: PageView }) {
  const { language } = view;
  const today = dayOf(view.nowMs).fromMs;
  const days = Array.from({ length: daysShown }, (_, index) => dayOf(today, index + 1 - daysShown));
  const { rowsOf, failed } = useDays(state, days);
  const [chosen, setChosen] = useState<{ readonly deviceId: string; readonly fromMs: number } | null>(null);
  const devices = [
    ...new Set(days.flatMap(({ fromMs }) => (rowsOf.get(fromMs) ?? []).map(({ deviceId }) => String(deviceId)))),
  ].sort();
  const chosenDay = days.find(({ fromMs }) => fromMs === chosen?.fromMs);
  const isLoaded = rowsOf.size === daysShown;
  return (
    <main class="sheet sheet--past quality">
      <h1>{say(language, "quality")}</h1>
      <p class="past__note">{say(language, "qualityNote")}</p>
      {failed && (
        <p class="past__failed" role="alert">
          {say(language, "pastFailed")}
        </p>
      )}
      {isLoaded && devices.length === 0 ? (
        <p class="calm">
          <b>{say(language, "qualityNoDevices")}</b>
        </p>
      ) : (
        <HeatTable language={language} days={days} devices={devices} rowsOf={rowsOf} chosen={chosen} choose={setChosen} />
      )}
      <Legend language={language} />
      {chosen !== null && chosenDay !== undefined && (
        <Detail
          language={language}
          day={chosenDay}
          rows={(rowsOf.get(chosen.fromMs) ?? []).filter(({ deviceId }) => deviceId === chosen.deviceId)}
          deviceId={chosen.deviceId}
        />
      )}
    </main>
  );
}

type RowsOf = ReadonlyMap<number, readonly QualityRow[]>;

/** The days' rows, by when each begins: the newest first, one question at a time; today's again and again. */
function useDays(state: PageState, days: readonly Day[]): { readonly rowsOf: RowsOf; readonly failed: boolean } {
  const [rowsOf, setRowsOf] = useState<RowsOf>(new Map());
  const [failed, setFailed] = useState(false);
  const newest = days.at(-1)?.fromMs ?? 0;
  useEffect(() => {
    let gone = false;
    const takeAll = async () => {
      let hasFailed = false;
      for (const day of [...days].reverse()) {
        const answer = await askQuality(day);
        if (gone) return;
        if (answer.ok) setRowsOf((before) => new Map(before).set(day.fromMs, answer.value));
        hasFailed ||= !answer.ok;
        if (hasFailed) setFailed(true);
      }
      setFailed(hasFailed);
    };
    void takeAll();
    const timer = state.clock.every(renewMs, () => void takeAll());
    return () => {
      gone = true;
      timer.stop();
    };
  }, [newest]);
  return { rowsOf, failed };
}

function wordOf(score: number): "good" | "fair" | "poor" {
  return score >= goodFrom ? "good" : score >= fairFrom ? "fair" : "poor";
}

const WORDS = { good: "qualityGood", fair: "qualityFair", poor: "qualityPoor" } as const;

function HeatTable(props: {
  readonly language: Language;
  readonly days: readonly Day[];
  readonly devices: readonly string[];
  readonly rowsOf: RowsOf;
  readonly chosen: { readonly deviceId: string; readonly fromMs: number } | null;
  readonly choose: (chosen: { readonly deviceId: string; readonly fromMs: number }) => void;
}) {
  const { language, days, devices, rowsOf, chosen, choose } = props;
  return (
    <table class="heat" data-testid="heat">
      <thead>
        <tr>
          <th scope="col">{say(language, "device")}</th>
          {days.map(({ fromMs }) => (
            <th key={fromMs} scope="col">
              <abbr title={dayText(language, fromMs)}>{shortDayText(fromMs)}</abbr>
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {devices.map((deviceId) => (
          <tr key={deviceId}>
            <th scope="row">{deviceId}</th>
            {days.map(({ fromMs }) => {
              const rows = rowsOf.get(fromMs);
              const whole = rows?.find((row) => row.deviceId === deviceId && row.quantity === null);
              const score = whole === undefined ? null : leastScore(whole.scores);
              const about = { device: deviceId, day: dayText(language, fromMs) };
              if (score === null)
                return (
                  <td key={fromMs} class="heat__none">
                    <span aria-hidden="true">{rows === undefined ? say(language, "loadingDay") : "–"}</span>
                    <span class="unseen">{say(language, "qualityFieldNone", about)}</span>
                  </td>
                );
              const word = wordOf(score);
              const isChosen = chosen?.deviceId === deviceId && chosen.fromMs === fromMs;
              return (
                <td key={fromMs}>
                  <button
                    type="button"
                    class={`heat__field heat__field--${word}`}
                    aria-pressed={isChosen}
                    aria-label={say(language, "qualityField", { ...about, score, word: say(language, WORDS[word]) })}
                    onClick={() => choose({ deviceId, fromMs })}
                  >
                    {score}
                  </button>
                </td>
              );
            })}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Legend({ language }: { readonly language: Language }) {
  return (
    <ul class="heat-legend">
      {(["good", "fair", "poor"] as const).map((word) => (
        <li key={word}>
          <span class={`heat__field heat__field--${word}`} aria-hidden="true">
            {{ good: goodFrom, fair: fairFrom, poor: 0 }[word]}+
          </span>
          {say(language, WORDS[word])}
        </li>
      ))}
    </ul>
  );
}

function Detail(props: {
  readonly language: Language;
  readonly day: Day;
  readonly deviceId: string;
  readonly rows: readonly QualityRow[];
}) {
  const { language, day, deviceId, rows } = props;
  const whole = rows.find(({ quantity }) => quantity === null);
  if (whole === undefined) return null;
  return (
    <section class="panel quality__detail" data-testid="quality-detail" aria-live="polite">
      <h2>{say(language, "qualityOf", { device: deviceId, day: dayText(language, day.fromMs) })}</h2>
      <dl class="aspects">
        {QUALITY_ASPECTS.map((aspect) => (
          <div key={aspect} data-aspect={aspect}>
            <dt>{say(language, `aspect.${aspect}`)}</dt>
            <dd>
              <b>{whole.scores[aspect] ?? "–"}</b>
              <span>
                {whole.scores[aspect] === null ? say(language, "qualityNothing") : noteOf(language, aspect, whole.counts)}
              </span>
            </dd>
          </div>
        ))}
      </dl>
      <ul class="quality__rows">
        {[...rows].sort(worstFirst).map((row) => (
          <li key={row.quantity ?? ""} data-quantity={row.quantity ?? "device"}>
            <h3>{row.quantity === null ? say(language, "qualityWhole") : QUANTITIES[row.quantity].title[language]}</h3>
            {row.quantity !== null && (
              <p class="quality__scores">
                {QUALITY_ASPECTS.map((aspect) => (
                  <span key={aspect}>
                    {say(language, `aspect.${aspect}`)} <b>{row.scores[aspect] ?? "–"}</b>
                  </span>
                ))}
              </p>
            )}
            <Rules language={language} row={row} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The device as a whole first, then the quantity that is worst. */
function worstFirst(one: QualityRow, other: QualityRow): number {
  if (one.quantity === null || other.quantity === null) return one.quantity === null ? -1 : 1;
  return (leastScore(one.scores) ?? 101) - (leastScore(other.scores) ?? 101) || (one.quantity < other.quantity ? -1 : 1);
}

function noteOf(language: Language, aspect: QualityAspect, counts: QualityCounts): string {
  const facts = { ...counts, frames: counts.messages + counts.refused };
  return say(language, `aspectNote.${aspect}`, facts);
}

function Rules({ language, row }: { readonly language: Language; readonly row: QualityRow }) {
  const comma = language === "zh" ? "、" : ", ";
  const told = QUALITY_ASPECTS.flatMap((aspect) => {
    const rules = rulesOf(row, aspect);
    if (rules.length === 0) return [];
    const texts = rules.map(({ rule, count }) => say(language, "ruleCount", { rule: ruleText(language, rule), n: count }));
    return [{ aspect, text: texts.join(comma) }];
  });
  if (told.length === 0) return <p class="past__note">{say(language, "qualityNoRule")}</p>;
  return (
    <dl class="quality__rules">
      {told.map(({ aspect, text }) => (
        <div key={aspect}>
          <dt>{say(language, `aspect.${aspect}`)}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A rule by its own name, else as the flag or absence it is. */
function ruleText(language: Language, rule: string): string {
  const key = [`rule.${rule}`, `flag.${rule}`, `absence.${rule}`].find(isTextKey);
  return key === undefined || !isTextKey(key) ? rule : say(language, key);
}
