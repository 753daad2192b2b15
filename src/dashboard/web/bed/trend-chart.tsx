import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Priority } from "../../../core/alert.ts";
import type { TrendPoint } from "../../../core/ports.ts";
import { QUANTITIES, type QuantityName } from "../../../core/quantities.ts";
import type { BedView } from "../../../core/stream.ts";
import { askEvents } from "../past/past-door.ts";
import { ScoreChart } from "../past/score-chart.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { useAsked } from "../state/use-asked.ts";
import { type Language, say, type TextKey } from "../words/texts.ts";
import { unitText } from "../words/words.ts";
import { quantityTint } from "./number-box.tsx";
import { joined, slicesOf } from "./trend-slices.ts";

const msPerHour = 3_600_000;
const ranges = [
  { hours: 1 / 6, key: "rangeShort" },
  { hours: 1, key: "range1" },
  { hours: 6, key: "range6" },
  { hours: 24, key: "range24" },
  { hours: 168, key: "range7d" },
] as const satisfies readonly { hours: number; key: TextKey }[];
const refreshMs = 30_000;
/** What came so long before now may still change; what is older is not asked for again. */
const settledMs = 5 * 60_000;
const heightPixels = 130;
/** A gateway younger than this has little to show over an hour. */
const youngHours = 0.5;
/** The least height of a chart in the quantity's unit, so that a change of one digit does not look like a crisis. */
const leastSpans: Readonly<Record<string, number>> = { "/min": 20, "%": 10, "mm[Hg]": 20, Cel: 2 };

/** A line is not drawn over a silence longer than this share of the range. */
const silenceShare = 1 / 60;

const tintColours: Readonly<Record<string, string>> = {
  green: "#63e6a4",
  blue: "#7db8ff",
  sand: "#e8cf9a",
  rose: "#ff9fb2",
  plain: "#dfe8ef",
};

/** One alert of the patient on the charts. */
interface AlertMark {
  readonly atMs: number;
  readonly priority: Priority;
}

/** Asks one after another, so that many charts do not ask a gateway for hours of records at once. */
type TakeTurn = <Answer>(ask: () => Promise<Answer>) => Promise<Answer>;

function createTurns(): TakeTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (ask) => {
    const mine = last.then(ask);
    last = mine.catch(() => undefined);
    return mine;
  };
}

/** The score and trends of everything a bed has measured, over ten minutes to a week. */
export function Trends({ state, view, bed }: { readonly state: PageState; readonly view: PageView; readonly bed: BedView }) {
  const { language } = view;
  const ageMs = view.nowMs - (view.ward?.gateway.startedAtMs ?? 0);
  const [hours, setHours] = useState<number>(ageMs < youngHours * msPerHour ? 1 / 6 : 1);
  const [takeTurn] = useState(createTurns);
  const patientId = bed.patient?.patientId ?? null;
  const marks = useMarks(state, patientId, hours);
  const present = new Set(bed.numbers.map((number) => number.quantity));
  const quantities = [...present].filter((name) => name !== "batteryLevel" && name !== "rrInterval");
  return (
    <section class="panel trends" data-testid="trends">
      <header class="panel__head">
        <h2>{say(language, "trends")}</h2>
        <fieldset class="segmented" aria-label={say(language, "trends")}>
          {ranges.map((range) => (
            <button key={range.key} type="button" aria-pressed={hours === range.hours} onClick={() => setHours(range.hours)}>
              {say(language, range.key)}
            </button>
          ))}
        </fieldset>
      </header>
      {patientId !== null &&
        bed.answers
          .filter(({ answer }) => answer.kind !== "risk")
          .map((answer) => (
            <ScoreChart
              key={`${patientId} ${answer.modelId}`}
              state={state}
              view={view}
              patientId={patientId}
              answer={answer}
              hours={Math.max(1, hours)}
            />
          ))}
      {marks.length > 0 && <p class="past__note">{say(language, "chartMarks")}</p>}
      <div class="trends__charts">
        {patientId !== null &&
          quantities.map((quantity) => (
            <Trend key={`${quantity} ${hours}`} {...{ state, language, patientId, quantity, hours, takeTurn, marks }} />
          ))}
      </div>
    </section>
  );
}

/** When alerts about the patient's body began, in the time that is shown. */
function useMarks(state: PageState, patientId: string | null, hours: number): readonly AlertMark[] {
  const { value } = useAsked({
    clock: state.clock,
    everyMs: refreshMs,
    about: `${patientId ?? ""} ${hours}`,
    ask: async () => {
      const toMs = state.view().nowMs;
      if (patientId === null) return { ok: true, value: { events: [], wholeFromMs: toMs } };
      return askEvents(patientId, { fromMs: toMs - hours * msPerHour, toMs });
    },
  });
  return (value?.events ?? []).flatMap((event) =>
    event.kind === "raised" && event.alert.nature === "physiological"
      ? [{ atMs: event.atMs, priority: event.alert.priority }]
      : [],
  );
}

interface TrendProps {
  readonly state: PageState;
  readonly language: Language;
  readonly patientId: string;
  readonly quantity: QuantityName;
  readonly hours: number;
  readonly takeTurn: TakeTurn;
  readonly marks: readonly AlertMark[];
}

function Trend(props: TrendProps) {
  const { language, quantity } = props;
  const place = useRef<HTMLDivElement>(null);
  const trouble = useChart(props, place);
  const definition = QUANTITIES[quantity];
  return (
    <figure class="trend" data-quantity={quantity}>
      <figcaption class={`tint-${quantityTint(quantity)}`}>
        <b>{definition.title[language]}</b> <small>{unitText(language, definition.unit)}</small>
        {trouble !== null && <span class="trend__trouble">{say(language, trouble)}</span>}
      </figcaption>
      <div ref={place} class="trend__chart" />
    </figure>
  );
}

/** Fills the chart part by part, the newest first, and keeps it up to date. @returns  What is to be said beside it. */
function useChart(props: TrendProps, place: { readonly current: HTMLDivElement | null }): TextKey | null {
  const { state, patientId, quantity, hours, takeTurn, marks } = props;
  const [trouble, setTrouble] = useState<TextKey | null>("loadingOlder");
  const drawn = useRef<{ marks: readonly AlertMark[]; chart: uPlot | null }>({ marks, chart: null });
  drawn.current.marks = marks;
  useEffect(() => drawn.current.chart?.redraw(false), [marks.length]);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const parts = new Map<number, readonly TrendPoint[]>();
    let gone = false;
    let loading = false;
    const draw = (range: { readonly fromMs: number; readonly toMs: number }) => {
      const points = joined(parts.values(), range);
      const data = alignedData(points, { ...range, joined: QUANTITIES[quantity].rhythm === "continuous" });
      drawn.current.chart?.destroy();
      const options = chartOptions(quantity, element.clientWidth, range);
      const hooks = { draw: [(chart: uPlot) => drawMarks(chart, drawn.current.marks)] };
      drawn.current.chart = new uPlot({ ...options, hooks }, data, element);
      return points.length;
    };
    const load = async () => {
      const toMs = state.view().nowMs;
      const range = { fromMs: toMs - hours * msPerHour, toMs };
      const slices = slicesOf(range);
      const points = Math.max(20, Math.ceil(Math.max(100, Math.min(1000, element.clientWidth)) / slices.length));
      const keeps = new Set(slices.map(({ fromMs }) => fromMs));
      for (const fromMs of parts.keys()) if (!keeps.has(fromMs) || slices.length === 1) parts.delete(fromMs);
      for (const [index, slice] of slices.entries()) {
        if (parts.has(slice.fromMs) && slice.toMs < toMs - settledMs) continue;
        const answer = await takeTurn(async () => (gone ? null : state.door.trend({ patientId, quantity, ...slice, points })));
        if (gone || answer === null) return;
        if (!answer.ok) return setTrouble("trendFailed");
        parts.set(slice.fromMs, answer.value);
        const found = draw(range);
        setTrouble(index < slices.length - 1 ? "loadingOlder" : found === 0 ? "trendEmpty" : null);
      }
      if (draw(range) > 0) setTrouble(null);
    };
    const reload = () => {
      if (loading) return;
      loading = true;
      load()
        .catch(() => setTrouble("trendFailed"))
        .finally(() => {
          loading = false;
        });
    };
    reload();
    const timer = state.clock.every(refreshMs, reload);
    const resized = new ResizeObserver(() => drawn.current.chart?.setSize({ width: element.clientWidth, height: heightPixels }));
    resized.observe(element);
    return () => {
      gone = true;
      timer.stop();
      resized.disconnect();
      drawn.current.chart?.destroy();
      drawn.current.chart = null;
    };
  }, [patientId, quantity, hours]);
  return trouble;
}

const markColours: Readonly<Record<Priority, string>> = { high: "#ff8a92", medium: "#ffd11a", low: "#3fd9ea" };
/** The more urgent, the less broken is the line: not by colour alone. */
const markDashes: Readonly<Record<Priority, readonly number[]>> = { high: [], medium: [6, 4], low: [2, 4] };

/** A line where each alert began. */
function drawMarks(chart: uPlot, marks: readonly AlertMark[]): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.lineWidth = Math.max(1, devicePixelRatio);
  for (const { atMs, priority } of marks) {
    const x = Math.round(chart.valToPos(atMs / 1000, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = markColours[priority];
    ctx.setLineDash(markDashes[priority].map((length) => length * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** Times in seconds, trusted values, questionable values; a null breaks the line at each absence and each long silence. */
function alignedData(
  points: readonly TrendPoint[],
  range: { readonly fromMs: number; readonly toMs: number; readonly joined: boolean },
): uPlot.AlignedData {
  const silenceMs = Math.max(30_000, (range.toMs - range.fromMs) * silenceShare);
  const times: number[] = [];
  const trusted: (number | null)[] = [];
  const doubted: (number | null)[] = [];
  let lastMs: number | null = null;
  for (const point of points) {
    if (lastMs !== null && point.atMs - lastMs > silenceMs) {
      times.push((lastMs + 1) / 1000);
      trusted.push(null);
      doubted.push(null);
    }
    lastMs = point.atMs;
    times.push(point.atMs / 1000);
    trusted.push(point.questionable ? null : point.value);
    doubted.push(point.questionable ? point.value : null);
  }
  return [times, trusted, doubted];
}

/** The lowest and highest value a chart shows: what there is and a little more, and never less than the quantity's least span. */
function heightOf(quantity: QuantityName, low: number | null, high: number | null): [number, number] {
  const leastSpan = leastSpans[QUANTITIES[quantity].unit] ?? 1;
  if (low === null || high === null) return [0, leastSpan];
  const half = Math.max((high - low) * 0.6, leastSpan / 2);
  const middle = (low + high) / 2;
  return [middle - half, middle + half];
}

function chartOptions(
  quantity: QuantityName,
  widthPixels: number,
  range: { readonly fromMs: number; readonly toMs: number },
): uPlot.Options {
  const colour = tintColours[quantityTint(quantity)] ?? "#dfe8ef";
  const continuous = QUANTITIES[quantity].rhythm === "continuous";
  const axis = {
    stroke: "#8ea3b3",
    font: "11px system-ui, sans-serif",
    grid: { stroke: "#1c2935", width: 1 },
    ticks: { stroke: "#1c2935", width: 1, size: 4 },
  };
  return {
    width: widthPixels,
    height: heightPixels,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: {
      x: { time: true, min: range.fromMs / 1000, max: range.toMs / 1000, auto: false },
      y: { range: (_chart, low, high) => heightOf(quantity, low, high) },
    },
    axes: [
      { ...axis, size: 24, values: range.toMs - range.fromMs > 2 * 86_400_000 ? "{M}/{D}" : "{HH}:{mm}" },
      { ...axis, size: 40 },
    ],
    series: [
      {},
      {
        stroke: colour,
        width: 1.75,
        spanGaps: false,
        points: continuous ? { show: false } : { show: true, size: 6, fill: colour },
        ...(continuous ? {} : { paths: () => null }),
      },
      { stroke: "#ffd447", width: 1, paths: () => null, points: { show: true, size: 4, stroke: "#ffd447", fill: "#0a1016" } },
    ],
  };
}
