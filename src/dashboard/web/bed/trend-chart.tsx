import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { TrendPoint } from "../../../core/ports.ts";
import { QUANTITIES, type QuantityName } from "../../../core/quantities.ts";
import type { BedView } from "../../../core/stream.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { type Language, say, type TextKey } from "../words/texts.ts";
import { unitText } from "../words/words.ts";
import { quantityTint } from "./number-box.tsx";

const msPerHour = 3_600_000;
const ranges = [
  { hours: 1 / 6, key: "rangeShort" },
  { hours: 1, key: "range1" },
  { hours: 6, key: "range6" },
  { hours: 24, key: "range24" },
] as const satisfies readonly { hours: number; key: TextKey }[];
const refreshMs = 30_000;
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

/** Trends of everything a bed has measured, over one, six or twenty-four hours. */
export function Trends({ state, view, bed }: { readonly state: PageState; readonly view: PageView; readonly bed: BedView }) {
  const ageMs = view.nowMs - (view.ward?.gateway.startedAtMs ?? 0);
  const [hours, setHours] = useState<number>(ageMs < youngHours * msPerHour ? 1 / 6 : 1);
  const patientId = bed.patient?.patientId ?? null;
  const present = new Set(bed.numbers.map((number) => number.quantity));
  const quantities = [...present].filter((name) => name !== "batteryLevel" && name !== "rrInterval");
  return (
    <section class="panel trends" data-testid="trends">
      <header class="panel__head">
        <h2>{say(view.language, "trends")}</h2>
        <fieldset class="segmented" aria-label={say(view.language, "trends")}>
          {ranges.map((range) => (
            <button key={range.key} type="button" aria-pressed={hours === range.hours} onClick={() => setHours(range.hours)}>
              {say(view.language, range.key)}
            </button>
          ))}
        </fieldset>
      </header>
      <div class="trends__charts">
        {patientId !== null &&
          quantities.map((quantity) => (
            <Trend
              key={`${quantity} ${hours}`}
              state={state}
              language={view.language}
              patientId={patientId}
              quantity={quantity}
              hours={hours}
            />
          ))}
      </div>
    </section>
  );
}

function Trend(props: {
  readonly state: PageState;
  readonly language: Language;
  readonly patientId: string;
  readonly quantity: QuantityName;
  readonly hours: number;
}) {
  const { state, language, patientId, quantity, hours } = props;
  const place = useRef<HTMLDivElement>(null);
  const [trouble, setTrouble] = useState<TextKey | null>(null);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    let chart: uPlot | null = null;
    let gone = false;
    const load = async () => {
      const toMs = state.view().nowMs;
      const fromMs = toMs - hours * msPerHour;
      const points = Math.max(100, Math.min(1000, element.clientWidth));
      const answer = await state.door.trend({ patientId, quantity, fromMs, toMs, points });
      if (gone) return;
      setTrouble(answer.ok ? (answer.value.length === 0 ? "trendEmpty" : null) : "trendFailed");
      const found = answer.ok ? answer.value : [];
      const data = alignedData(found, { fromMs, toMs, joined: QUANTITIES[quantity].rhythm === "continuous" });
      chart?.destroy();
      chart = new uPlot(chartOptions(quantity, element.clientWidth, { fromMs, toMs }), data, element);
    };
    const reload = () => void load().catch(() => setTrouble("trendFailed"));
    reload();
    const timer = state.clock.every(refreshMs, reload);
    const resized = new ResizeObserver(() => chart?.setSize({ width: element.clientWidth, height: heightPixels }));
    resized.observe(element);
    return () => {
      gone = true;
      timer.stop();
      resized.disconnect();
      chart?.destroy();
    };
  }, [patientId, quantity, hours]);
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
      { ...axis, size: 24, values: "{HH}:{mm}" },
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
