import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Alert } from "../../../core/alert.ts";
import { WAVEFORMS } from "../../../core/quantities.ts";
import type { StripWaveView } from "../../../core/stream.ts";
import { OriginTag } from "../bed/origin.tsx";
import { waveColours } from "../bed/wave-canvas.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { type Language, say, type TextKey } from "../words/texts.ts";
import { timeText, unitText } from "../words/words.ts";

/** A strip follows its alert by half a minute; until then the gateway is asked again so often. */
const askMs = 3000;
/** Half the paper speed of bedside monitors: a minute is then a page or two wide and can be scrolled. */
const pixelsPerSecond = 12.5 * (96 / 25.4);
const heightPixels = 84;
const edgeShare = 0.12;

/** The waves around an alert, folded until somebody asks for them. */
export function AlertStrip({
  state,
  view,
  alert,
}: {
  readonly state: PageState;
  readonly view: PageView;
  readonly alert: Alert;
}) {
  const [open, setOpen] = useState(false);
  return (
    <details class="alert-waves" data-testid="strip" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{say(view.language, "strip")}</summary>
      {open && <Strip state={state} language={view.language} alert={alert} />}
    </details>
  );
}

function Strip({ state, language, alert }: { readonly state: PageState; readonly language: Language; readonly alert: Alert }) {
  const [waves, setWaves] = useState<readonly StripWaveView[]>([]);
  const [trouble, setTrouble] = useState<TextKey | null>("stripNone");
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let gone = false;
    const load = async () => {
      const answer = await state.door.strip(alert.id);
      if (gone) return;
      setTrouble(answer.ok ? (answer.value.length === 0 ? "stripNone" : null) : "trendFailed");
      if (answer.ok) setWaves(answer.value);
    };
    void load();
    const timer = state.clock.every(askMs, () => {
      if (waves.length === 0) void load();
    });
    return () => {
      gone = true;
      timer.stop();
    };
  }, [alert.id, alert.raisedCount, waves.length === 0]);
  const span = spanOf(waves);
  useLayoutEffect(() => {
    const element = place.current;
    if (element === null || span === null) return;
    element.scrollLeft = ((alert.raisedAtMs - span.fromMs) / 1000) * pixelsPerSecond - element.clientWidth / 2;
  }, [span === null]);
  if (trouble !== null || span === null) return <p class="alert-waves__note">{say(language, trouble ?? "stripNone")}</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard.
    <section class="alert-waves__paper" ref={place} tabIndex={0} aria-label={say(language, "strip")}>
      {waves.map((wave) => (
        <figure key={`${wave.deviceId} ${wave.waveform}`} class="alert-waves__wave" data-wave={wave.waveform}>
          <figcaption>
            <b class={`wave__name wave__name--${wave.waveform}`}>{WAVEFORMS[wave.waveform].title[language]}</b>
            <span>{unitText(language, wave.unit)}</span>
            <span>
              {timeText(span.fromMs)} – {timeText(span.toMs)} · 12.5 mm/s
            </span>
            <OriginTag language={language} origin={wave.origin} />
          </figcaption>
          <StripCanvas language={language} wave={wave} span={span} alertAtMs={alert.raisedAtMs} />
        </figure>
      ))}
    </section>
  );
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

function spanOf(waves: readonly StripWaveView[]): Span | null {
  const stretches = waves.flatMap((wave) => wave.stretches);
  if (stretches.length === 0) return null;
  return {
    fromMs: Math.min(...stretches.map((stretch) => stretch.fromMs)),
    toMs: Math.max(...stretches.map((stretch) => stretch.fromMs + (stretch.samples.length / stretch.sampleRateHz) * 1000)),
  };
}

/** One wave from the strip's beginning to its end; a hole stays a hole, and a line marks the alert. */
function StripCanvas(props: {
  readonly language: Language;
  readonly wave: StripWaveView;
  readonly span: Span;
  readonly alertAtMs: number;
}) {
  const { language, wave, span, alertAtMs } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const widthPixels = Math.ceil(((span.toMs - span.fromMs) / 1000) * pixelsPerSecond);
  // Before the page shows the empty canvas.
  useLayoutEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d") ?? null;
    if (element !== null && context !== null) draw(context, { wave, span, alertAtMs, widthPixels });
  }, [wave, span.fromMs, span.toMs]);
  const label = `${say(language, "strip")}: ${WAVEFORMS[wave.waveform].title[language]}`;
  return (
    <canvas
      ref={canvas}
      role="img"
      aria-label={label}
      width={widthPixels * canvasRatio}
      height={heightPixels * canvasRatio}
      style={{ width: `${widthPixels}px`, height: `${heightPixels}px` }}
    />
  );
}

/** Sharp enough on any screen, and small enough in memory for ten minutes of paper. */
const canvasRatio = 2;

function draw(
  context: CanvasRenderingContext2D,
  strip: { readonly wave: StripWaveView; readonly span: Span; readonly alertAtMs: number; readonly widthPixels: number },
): void {
  const { wave, span, alertAtMs, widthPixels } = strip;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const stretch of wave.stretches)
    for (const sample of stretch.samples) {
      low = Math.min(low, sample);
      high = Math.max(high, sample);
    }
  const range = high > low ? high - low : 1;
  const xOf = (atMs: number) => ((atMs - span.fromMs) / 1000) * pixelsPerSecond;
  const yOf = (value: number) => heightPixels * (1 - edgeShare - ((value - low) / range) * (1 - 2 * edgeShare));
  context.setTransform(canvasRatio, 0, 0, canvasRatio, 0, 0);
  context.clearRect(0, 0, widthPixels, heightPixels);
  context.fillStyle = "rgb(255 255 255 / 85%)";
  context.fillRect(xOf(alertAtMs) - 1, 0, 2, heightPixels);
  context.strokeStyle = waveColours[wave.waveform];
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  for (const stretch of wave.stretches) {
    context.beginPath();
    for (const [index, sample] of stretch.samples.entries()) {
      const x = xOf(stretch.fromMs + (index / stretch.sampleRateHz) * 1000);
      if (index === 0) context.moveTo(x, yOf(sample));
      else context.lineTo(x, yOf(sample));
    }
    context.stroke();
  }
}
