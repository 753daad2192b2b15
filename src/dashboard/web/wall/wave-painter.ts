import { waveColours } from "../bed/wave-canvas.tsx";
import type { StripWave, WallWaves } from "./wall-waves.ts";
import { createWavePace, fullPace, type Pace } from "./wave-pace.ts";

/** Half the paper speed of bedside monitors, and a quarter for breathing, so that a narrow strip shows some beats and a breath. */
const pixelsPerSecond = 12.5 * (96 / 25.4);
const windowMsMax = 14_000;
/** Blank ahead of the cursor. */
const blankPixels = 9;
/** Below this height a wave says nothing; two want twice as much. */
const waveHeightPixelsMin = 14;
const edgeShare = 0.1;
const lineWidthPixels = 1.25;
/** So often the gain of a wave is looked at. */
const gainLookMs = 1000;
/** Who wishes for no motion sees a still picture that is drawn anew so often. */
const stillMs = 1000;

interface Trace {
  low: number;
  high: number;
  gainLookedAtMs: number;
  /** The last sample drawn, and the place up to which the strip was cleared. */
  drawnIndex: number;
  clearedToPixels: number;
}

interface Strip {
  readonly bedId: string;
  readonly canvas: HTMLCanvasElement;
  readonly context: CanvasRenderingContext2D;
  widthPixels: number;
  heightPixels: number;
  inSight: boolean;
  /** The waves that were drawn last; others begin anew. */
  drawn: readonly StripWave[];
  readonly traces: Map<StripWave, Trace>;
}

/** Draws the waves of all tiles in one loop, without touching the page beside their canvases. */
export interface WavePainter {
  /** Draws a bed's waves on a canvas, sized by its place on the page, until the returned function is called. */
  readonly add: (bedId: string, canvas: HTMLCanvasElement) => () => void;
}

/** Makes the painter; it does nothing while it has no canvas or the tab is hidden. */
export function createWavePainter(parts: {
  readonly waves: WallWaves;
  readonly nowMs: () => number;
  readonly onPace: (pace: Pace) => void;
}): WavePainter {
  const strips = new Map<Element, Strip>();
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const pace = createWavePace();
  let told = fullPace;
  let frame = 0;
  let turn = 0;
  let stillDrawnAtMs = Number.NEGATIVE_INFINITY;

  const paintAll = (atMs: number) => {
    frame = requestAnimationFrame(paintAll);
    const nowMs = parts.nowMs();
    if (still.matches) {
      if (atMs - stillDrawnAtMs < stillMs) return;
      stillDrawnAtMs = atMs;
      for (const strip of strips.values()) paint(strip, parts.waves.ofBed(strip.bedId), { nowMs, waves: 2, anew: true });
      return;
    }
    const now = pace.frame(atMs);
    if (now !== told) parts.onPace(now);
    told = now;
    turn++;
    let place = 0;
    for (const strip of strips.values()) {
      if (strip.inSight && (turn + place) % now.every === 0)
        paint(strip, parts.waves.ofBed(strip.bedId), { nowMs, waves: now.waves, anew: false });
      place++;
    }
  };

  const watched = watchCanvases((canvas) => strips.get(canvas) ?? null);

  return {
    add: (bedId, canvas) => {
      const context = canvas.getContext("2d");
      if (context === null) return () => undefined;
      strips.set(canvas, beginStrip(bedId, canvas, context));
      watched.observe(canvas);
      if (strips.size === 1) frame = requestAnimationFrame(paintAll);
      return () => {
        watched.unobserve(canvas);
        strips.delete(canvas);
        if (strips.size === 0) cancelAnimationFrame(frame);
      };
    },
  };
}

function beginStrip(bedId: string, canvas: HTMLCanvasElement, context: CanvasRenderingContext2D): Strip {
  return { bedId, canvas, context, widthPixels: 0, heightPixels: 0, inSight: true, drawn: [], traces: new Map() };
}

/** Follows the sizes of canvases and whether they are in sight, so that no frame has to ask for either. */
function watchCanvases(stripOf: (canvas: Element) => Strip | null): Pick<ResizeObserver, "observe" | "unobserve"> {
  const sizes = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const strip = stripOf(target);
      if (strip === null) continue;
      // More than two pixels for one are not seen from where a wall is read.
      const ratio = Math.min(2, devicePixelRatio);
      strip.widthPixels = contentRect.width;
      strip.heightPixels = contentRect.height;
      strip.canvas.width = Math.round(contentRect.width * ratio);
      strip.canvas.height = Math.round(contentRect.height * ratio);
      strip.context.setTransform(ratio, 0, 0, ratio, 0, 0);
      strip.traces.clear();
    }
  });
  const sights = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const strip = stripOf(target);
      if (strip === null) continue;
      strip.inSight = isIntersecting;
      strip.traces.clear();
    }
  });
  return {
    observe: (canvas) => {
      sizes.observe(canvas);
      sights.observe(canvas);
    },
    unobserve: (canvas) => {
      sizes.unobserve(canvas);
      sights.unobserve(canvas);
    },
  };
}

interface Look {
  readonly nowMs: number;
  readonly waves: number;
  /** Everything is drawn again, not only what is new. */
  readonly anew: boolean;
}

function paint(strip: Strip, all: readonly StripWave[], look: Look): void {
  const room = Math.floor(strip.heightPixels / waveHeightPixelsMin);
  const count = Math.min(all.length, look.waves, room);
  const sameAsBefore = strip.drawn.length === count && strip.drawn.every((wave, index) => wave === all[index]);
  if (!sameAsBefore) {
    strip.drawn = all.slice(0, count);
    strip.traces.clear();
    strip.context.clearRect(0, 0, strip.widthPixels, strip.heightPixels);
  }
  const heightPixels = strip.heightPixels / Math.max(1, count);
  for (const [index, wave] of strip.drawn.entries())
    paintWave(strip, wave, { ...look, topPixels: index * heightPixels, heightPixels });
}

function paintWave(
  strip: Strip,
  wave: StripWave,
  look: Look & { readonly topPixels: number; readonly heightPixels: number },
): void {
  const { context, widthPixels } = strip;
  const { nowMs, topPixels, heightPixels } = look;
  const { sweep } = wave;
  const speed = wave.waveform === "respiration" ? pixelsPerSecond / 2 : pixelsPerSecond;
  const windowMs = Math.min(windowMsMax, (widthPixels / speed) * 1000);
  if (windowMs <= 0) return;
  const known = strip.traces.get(wave);
  const trace = known ?? {
    low: Number.NaN,
    high: Number.NaN,
    gainLookedAtMs: Number.NEGATIVE_INFINITY,
    drawnIndex: -1,
    clearedToPixels: 0,
  };
  if (known === undefined) strip.traces.set(wave, trace);
  const regained = nowMs - trace.gainLookedAtMs >= gainLookMs && followGain(trace, wave, { nowMs, windowMs });
  const { first, last } = sweep.visible(nowMs, windowMs);
  const cursorPixels = sweep.cursor(nowMs, windowMs) * widthPixels;
  const anew = look.anew || known === undefined || regained || trace.drawnIndex > last + 1;
  if (anew) context.clearRect(0, topPixels, widthPixels, heightPixels);
  else clearAhead(context, { ...look, fromPixels: trace.clearedToPixels, toPixels: cursorPixels + blankPixels, widthPixels });
  trace.clearedToPixels = cursorPixels + blankPixels;
  const from = anew ? first : Math.max(first, trace.drawnIndex);
  trace.drawnIndex = Math.max(last, first - 1);
  if (last < first || last <= from) return;
  const range = trace.high - trace.low;
  const scale = range > 0 ? (heightPixels * (1 - 2 * edgeShare)) / range : 0;
  const basePixels = topPixels + heightPixels * (range > 0 ? 1 - edgeShare : 0.5);
  context.strokeStyle = waveColours[wave.waveform];
  context.lineWidth = lineWidthPixels;
  context.lineJoin = "round";
  context.beginPath();
  let beforePixels = Number.POSITIVE_INFINITY;
  for (let index = from; index <= last; index++) {
    const value = sweep.valueAt(index);
    const dueMs = sweep.dueAtMs(index) % windowMs;
    const x = ((dueMs < 0 ? dueMs + windowMs : dueMs) / windowMs) * widthPixels;
    if (Number.isNaN(value)) {
      beforePixels = Number.POSITIVE_INFINITY;
      continue;
    }
    const y = basePixels - (value - trace.low) * scale;
    // A hole stays a hole, and the sweep begins again at the left.
    if (x < beforePixels - 2) context.moveTo(x, y);
    else context.lineTo(x, y);
    beforePixels = x;
  }
  context.stroke();
}

/** Clears what the cursor has come upon since the last frame; around the right edge in two parts. */
function clearAhead(
  context: CanvasRenderingContext2D,
  at: {
    readonly fromPixels: number;
    readonly toPixels: number;
    readonly widthPixels: number;
    readonly topPixels: number;
    readonly heightPixels: number;
  },
): void {
  const { fromPixels, toPixels, widthPixels, topPixels, heightPixels } = at;
  const wrappedPixels = toPixels < fromPixels - widthPixels / 2 ? toPixels + widthPixels : toPixels;
  if (wrappedPixels <= fromPixels) return;
  context.clearRect(fromPixels, topPixels, wrappedPixels - fromPixels, heightPixels);
  if (wrappedPixels > widthPixels) context.clearRect(0, topPixels, wrappedPixels - widthPixels, heightPixels);
}

/** Follows a wave that became larger at once and one that became much smaller in a second; true where it has to be drawn anew. */
function followGain(trace: Trace, { sweep }: StripWave, at: { readonly nowMs: number; readonly windowMs: number }): boolean {
  trace.gainLookedAtMs = at.nowMs;
  const bounds = sweep.bounds(at.nowMs, at.windowMs);
  if (bounds === null) return false;
  const range = trace.high - trace.low;
  const wanted = bounds.high - bounds.low;
  const inside = bounds.low >= trace.low - range * 0.08 && bounds.high <= trace.high + range * 0.08;
  if (inside && wanted > range * 0.6) return false;
  trace.low = bounds.low;
  trace.high = bounds.high;
  return true;
}
