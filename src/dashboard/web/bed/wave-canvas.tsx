import { useEffect, useRef } from "preact/hooks";
import { WAVEFORMS } from "../../../core/quantities.ts";
import type { LiveWave, PageState, PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";
import { unitText } from "../words/words.ts";
import { OriginTag } from "./origin.tsx";

/** Paper speed of bedside monitors. */
const millimetresPerSecond = 25;
/** CSS defines a millimetre as 96/25.4 pixels; real screens differ, the speed label says what is drawn. */
const pixelsPerMillimetre = 96 / 25.4;
/** Share by which the gain follows when the wave becomes smaller; larger ones are followed at once. */
const gainFollow = 0.02;
const edgeShare = 0.12;
const lineWidthPixels = 1.75;

/** Colours of the waves, the same as of their numbers. */
export const waveColours: Readonly<Record<LiveWave["latest"]["waveform"], string>> = {
  ecgLeadI: "#63e6a4",
  ecgLeadII: "#63e6a4",
  ecgUnknownLead: "#63e6a4",
  plethysmogram: "#7db8ff",
  respiration: "#e8cf9a",
  arterialPressure: "#ff9fb2",
  bloodPressure2: "#d9b3ff",
};

/** One live wave as a sweep: new samples are drawn left to right over the old ones, a hole stays a hole. */
export function WaveCanvas({
  state,
  view,
  wave,
}: {
  readonly state: PageState;
  readonly view: PageView;
  readonly wave: LiveWave;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const scale = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d") ?? null;
    if (element === null || context === null) return undefined;
    return drawForEver({ state, wave, element, context, scale: scale.current });
  }, [wave.key]);
  const title = WAVEFORMS[wave.latest.waveform].title[view.language];
  return (
    <figure class="wave" data-wave={wave.latest.waveform}>
      <figcaption>
        <b class={`wave__name wave__name--${wave.latest.waveform}`}>{title}</b>
        <span class="wave__unit">{unitText(view.language, wave.latest.unit)}</span>
        <span class="wave__scale" ref={scale} />
        <OriginTag language={view.language} origin={wave.latest.origin} />
      </figcaption>
      <div class="wave__canvas">
        <canvas ref={canvas} role="img" aria-label={`${say(view.language, "waves")}: ${title}`} />
      </div>
    </figure>
  );
}

interface Drawing {
  readonly state: PageState;
  readonly wave: LiveWave;
  readonly element: HTMLCanvasElement;
  readonly context: CanvasRenderingContext2D;
  readonly scale: HTMLSpanElement | null;
}

/** Draws once a frame until the returned function is called. */
function drawForEver(drawing: Drawing): () => void {
  let low = Number.NaN;
  let high = Number.NaN;
  let frame = 0;
  const draw = () => {
    frame = requestAnimationFrame(draw);
    const nowMs = drawing.state.clock.monotonic();
    const windowMs = windowOf(drawing.element);
    const bounds = drawing.wave.sweep.bounds(nowMs, windowMs);
    if (bounds !== null) {
      low = Number.isNaN(low) ? bounds.low : Math.min(bounds.low, low + (bounds.low - low) * gainFollow);
      high = Number.isNaN(high) ? bounds.high : Math.max(bounds.high, high + (bounds.high - high) * gainFollow);
    }
    drawFrame(drawing, { nowMs, windowMs, low, high });
  };
  frame = requestAnimationFrame(draw);
  return () => cancelAnimationFrame(frame);
}

function windowOf(element: HTMLCanvasElement): number {
  return Math.max(2000, (element.clientWidth / (millimetresPerSecond * pixelsPerMillimetre)) * 1000);
}

function drawFrame(drawing: Drawing, at: { nowMs: number; windowMs: number; low: number; high: number }): void {
  const { element, context, wave } = drawing;
  const ratio = devicePixelRatio;
  const width = Math.round(element.clientWidth * ratio);
  const height = Math.round(element.clientHeight * ratio);
  if (element.width !== width || element.height !== height) {
    element.width = width;
    element.height = height;
  }
  context.clearRect(0, 0, width, height);
  const range = at.high - at.low;
  if (Number.isNaN(range)) return;
  const yOf = (value: number) => {
    const share = range > 0 ? (value - at.low) / range : 0.5;
    return height * (1 - edgeShare - share * (1 - 2 * edgeShare));
  };
  const colour = waveColours[wave.latest.waveform];
  context.strokeStyle = colour;
  context.lineWidth = lineWidthPixels * ratio;
  context.lineJoin = "round";
  let tip: { x: number; y: number } | null = null;
  const cursor = wave.sweep.cursor(at.nowMs, at.windowMs);
  for (const stretch of wave.sweep.stretches(at.nowMs, at.windowMs)) {
    context.beginPath();
    for (const [index, point] of stretch.entries()) {
      const x = point.x * width;
      const y = yOf(point.value);
      if (index === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
      if (Math.abs(point.x - cursor) < 0.01) tip = { x, y };
    }
    context.stroke();
  }
  if (tip !== null) {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(tip.x, tip.y, 3 * ratio, 0, 2 * Math.PI);
    context.fill();
  }
  const label = wave.latest.unit === "1" ? "25 mm/s" : `${at.low.toFixed(1)} – ${at.high.toFixed(1)} · 25 mm/s`;
  if (drawing.scale !== null && drawing.scale.textContent !== label) drawing.scale.textContent = label;
}
