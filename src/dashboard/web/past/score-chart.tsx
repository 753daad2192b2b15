import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ScoreHistory } from "../../../core/history-view.ts";
import type { AnswerView } from "../../../core/stream.ts";
import type { Timer } from "../../../core/time.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { type Language, say } from "../words/texts.ts";
import { inputText } from "../words/words.ts";
import { momentText } from "./day.ts";
import { askScores } from "./past-door.ts";
import { type ScoreColumn, scoreColumns } from "./score-columns.ts";

const msPerHour = 3_600_000;
const renewMs = 30_000;
/** While the gateway still reads what is older it is asked again so often. */
const readingMs = 2000;
const columnsMax = 300;
const height = 140;
const left = 26;
const bottom = 20;
const right = 6;
/** A NEWS2 of over 12 is rare; the chart grows with it. */
const leastTop = 10;

/** A score over time: its points, where it was a lower bound, and for each moment what earned them. */
export function ScoreChart(props: {
  readonly state: PageState;
  readonly view: PageView;
  readonly patientId: string;
  readonly answer: AnswerView;
  readonly hours: number;
}) {
  const { state, view, patientId, answer, hours } = props;
  const { language } = view;
  const [chosen, setChosen] = useState<number | null>(null);
  useEffect(() => setChosen(null), [patientId, hours]);
  const { found, failed, range } = useScores(state, { patient: patientId, model: answer.modelId }, hours);
  const columns = scoreColumns(found?.points ?? [], { ...range, columnsMax });
  const at = chosen === null ? columns.length - 1 : Math.min(chosen, columns.length - 1);
  const column = columns[at];
  const name = answer.title[language];
  return (
    <figure class="score-chart" data-testid="score-chart" data-model={answer.modelId}>
      <figcaption>
        <b>{name}</b> <small>{say(language, "scoreLegend")}</small>
        {found !== null && found.stillReadingBeforeMs !== null && <small> · {say(language, "scoreReading")}</small>}
      </figcaption>
      {failed && <p class="past__failed">{say(language, "pastFailed")}</p>}
      {column === undefined ? (
        <p class="past__note">{found === null && !failed ? say(language, "loadingOlder") : say(language, "scoreEmpty")}</p>
      ) : (
        <>
          <Drawing
            columns={columns}
            chosen={at}
            range={range}
            choose={setChosen}
            label={`${say(language, "scoreHistory")}: ${name}`}
          />
          <label class="score-chart__choose">
            <span>{say(language, "scoreChoose")}</span>
            <input
              type="range"
              min={0}
              max={columns.length - 1}
              value={at}
              aria-valuetext={columnText(language, { column, name, nowMs: view.nowMs })}
              onInput={(event) => setChosen(Number(event.currentTarget.value))}
            />
          </label>
          <p class="score-chart__said" data-testid="score-said" aria-live="polite">
            {columnText(language, { column, name, nowMs: view.nowMs })}
          </p>
        </>
      )}
    </figure>
  );
}

/** Asks for a score again and again, sooner while the gateway still reads what is older. */
function useScores(state: PageState, of: { readonly patient: string; readonly model: string }, hours: number) {
  const nowMs = state.view().nowMs;
  const [found, setFound] = useState<ScoreHistory | null>(null);
  const [failed, setFailed] = useState(false);
  const [range, setRange] = useState({ fromMs: nowMs - hours * msPerHour, toMs: nowMs });
  useEffect(() => {
    let gone = false;
    let timer: Timer | null = null;
    const load = async () => {
      const toMs = state.view().nowMs;
      const time = { fromMs: toMs - hours * msPerHour, toMs };
      const asked = await askScores(of, time);
      if (gone) return;
      setFailed(!asked.ok);
      if (asked.ok) {
        setFound(asked.value);
        setRange(time);
      }
      const reading = asked.ok && asked.value.stillReadingBeforeMs !== null;
      timer = state.clock.after(reading ? readingMs : renewMs, () => void load());
    };
    void load();
    return () => {
      gone = true;
      timer?.stop();
    };
  }, [of.patient, of.model, hours]);
  return { found, failed, range };
}

/** What a score said at a moment: its points, what earned them, and what was missing. */
function columnText(
  language: Language,
  of: { readonly column: ScoreColumn; readonly name: string; readonly nowMs: number },
): string {
  const { column, name, nowMs } = of;
  const time = momentText(language, column.atMs, nowMs);
  const comma = language === "zh" ? "、" : ", ";
  const names = column.missing.map((input) => inputText(language, input)).join(comma);
  if (column.high === null) return say(language, "scoreNone", { time, names });
  const points = column.partial ? say(language, "lowerBound", { points: column.high }) : String(column.high);
  const parts = Object.entries(column.parts)
    .filter(([, earned]) => earned > 0)
    .map(([input, earned]) => `${inputText(language, input)} ${earned}`)
    .join(comma);
  const said = say(language, "scoreAt", { time, name, points });
  const because = parts === "" ? "" : language === "zh" ? `：${parts}` : `: ${parts}`;
  if (!column.partial) return said + because;
  const partial = say(language, "scorePartial", { names });
  return language === "zh" ? `${said}${because}（${partial}）` : `${said}${because} (${partial})`;
}

function Drawing(props: {
  readonly columns: readonly ScoreColumn[];
  readonly chosen: number;
  readonly range: { readonly fromMs: number; readonly toMs: number };
  readonly choose: (index: number) => void;
  readonly label: string;
}) {
  const { columns, chosen, range, choose } = props;
  const place = useRef<SVGSVGElement>(null);
  const width = useWidth(place);
  const top = Math.max(leastTop, ...columns.map(({ high }) => high ?? 0));
  const xOf = (atMs: number) => left + ((atMs - range.fromMs) / (range.toMs - range.fromMs)) * (width - left - right);
  const yOf = (points: number) => 6 + (1 - points / top) * (height - bottom - 6);
  const onPointer = (event: PointerEvent & { readonly currentTarget: SVGSVGElement }) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    choose(
      nearestTo(
        x,
        columns.map(({ atMs }) => xOf(atMs)),
      ),
    );
  };
  const marked = columns[chosen];
  return (
    <svg
      class="score-chart__drawing"
      ref={place}
      height={height}
      role="img"
      aria-label={props.label}
      onPointerMove={onPointer}
      onPointerDown={onPointer}
    >
      {[0, 5, 7, 10, 15, 20]
        .filter((line) => line <= top)
        .map((line) => (
          <g key={line}>
            <line x1={left} x2={width} y1={yOf(line)} y2={yOf(line)} class="score-chart__line" />
            <text x={left - 6} y={yOf(line) + 4} text-anchor="end" class="score-chart__axis">
              {line}
            </text>
          </g>
        ))}
      {columns.map((column) => (
        <Column key={column.atMs} column={column} x={xOf(column.atMs)} yOf={yOf} />
      ))}
      {marked !== undefined && (
        <line x1={xOf(marked.atMs)} x2={xOf(marked.atMs)} y1={0} y2={height - bottom} class="score-chart__chosen" />
      )}
      {timeMarks(range).map(({ atMs, text }) => (
        <text key={atMs} x={xOf(atMs)} y={height - 5} text-anchor="middle" class="score-chart__axis">
          {text}
        </text>
      ))}
    </svg>
  );
}

function nearestTo(x: number, places: readonly number[]): number {
  let nearest = 0;
  for (const [index, place] of places.entries()) if (Math.abs(place - x) < Math.abs((places[nearest] ?? 0) - x)) nearest = index;
  return nearest;
}

/** The most points and the fewest of one column; a hollow point is a lower bound, a question mark no answer. */
function Column(props: { readonly column: ScoreColumn; readonly x: number; readonly yOf: (points: number) => number }) {
  const { column, x, yOf } = props;
  const { low, high, partial } = column;
  if (high === null)
    return (
      <text x={x} y={height - bottom - 2} text-anchor="middle" class="score-chart__axis">
        ?
      </text>
    );
  return (
    <g>
      {low !== null && low < high && <line x1={x} x2={x} y1={yOf(low)} y2={yOf(high)} class="score-chart__span" />}
      <circle cx={x} cy={yOf(high)} r={3} class={`score-chart__point${partial ? " score-chart__point--partial" : ""}`} />
    </g>
  );
}

/** How wide an element is shown, in pixels. */
function useWidth(place: { readonly current: Element | null }): number {
  const [width, setWidth] = useState(600);
  useLayoutEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const measure = () => setWidth(Math.max(200, element.clientWidth));
    measure();
    const resized = new ResizeObserver(measure);
    resized.observe(element);
    return () => resized.disconnect();
  }, []);
  return width;
}

/** Four moments between the ends. */
function timeMarks({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }) {
  return [1, 2, 3, 4].map((fifth) => {
    const atMs = fromMs + ((toMs - fromMs) * fifth) / 5;
    const options = { hour: "2-digit", minute: "2-digit", hour12: false } as const;
    const time = new Intl.DateTimeFormat("en-GB", options).format(atMs);
    const date = new Date(atMs);
    return { atMs, text: toMs - fromMs > 2 * 86_400_000 ? `${date.getMonth() + 1}/${date.getDate()}` : time };
  });
}
