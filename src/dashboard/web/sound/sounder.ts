import type { Clock } from "../../../core/time.ts";
import { burstGain, burstTones, nextBurst, SILENCE, type SoundMemory, type SoundNeed } from "./sound-plan.ts";

/** How long a person may silence this page. */
const pauseMs = 120_000;
const lookMs = 200;
/** Peak of the loudest burst; the rest of full scale is kept against clipping of its overtones. */
const peakGain = 0.5;
const rampSeconds = 0.012;

/** Whether an alarm would be heard at this page now. */
export type SoundState =
  | { readonly kind: "on" }
  /** The browser has not let this page sound yet, or stopped it. */
  | { readonly kind: "blocked" }
  | { readonly kind: "paused"; readonly secondsLeft: number }
  /** The browser plays, but nobody has said that they hear it, or somebody said that they do not. */
  | { readonly kind: "unheard" };

/** The loudspeaker of this page. */
export interface Sounder {
  readonly state: () => SoundState;
  /** What asks to be heard now. */
  readonly need: (needs: readonly SoundNeed[]) => void;
  /** Must be called from a click or key: only then does a browser let a page sound. */
  readonly unlock: () => Promise<void>;
  /** Plays one burst of each priority, one after the other. */
  readonly test: () => Promise<void>;
  readonly confirm: (heard: boolean) => void;
  readonly pause: () => void;
  readonly resume: () => void;
}

/** Makes the loudspeaker; silent until `unlock`. */
export function createSounder(clock: Clock, onChange: () => void): Sounder {
  let context: AudioContext | null = null;
  let needs: readonly SoundNeed[] = [];
  let memory: SoundMemory = SILENCE;
  let pausedUntilMs: number | null = null;
  // Until somebody says that they hear it, nobody may rely on it.
  let unheard = true;
  let moved = { contextSeconds: -1, atMs: clock.monotonic() as number };

  // A context may say "running" and stand still when the audio device is gone: then its time does not move.
  const running = () => context !== null && context.state === "running" && clock.monotonic() - moved.atMs < 2000;
  const state = (): SoundState => {
    if (pausedUntilMs !== null) return { kind: "paused", secondsLeft: Math.ceil((pausedUntilMs - clock.monotonic()) / 1000) };
    if (!running()) return { kind: "blocked" };
    return unheard ? { kind: "unheard" } : { kind: "on" };
  };
  const look = () => {
    const nowMs = clock.monotonic();
    if (context !== null && context.currentTime !== moved.contextSeconds)
      moved = { contextSeconds: context.currentTime, atMs: nowMs };
    if (pausedUntilMs !== null && nowMs >= pausedUntilMs) pausedUntilMs = null;
    if (pausedUntilMs === null && running()) {
      const next = nextBurst(needs, memory, nowMs);
      memory = next.memory;
      if (next.burst !== null && context !== null) playBurst(context, next.burst, 0);
    }
    onChange();
  };
  clock.every(lookMs, look);

  const unlock = async () => {
    if (context === null) {
      context = new AudioContext();
      context.addEventListener("statechange", onChange);
    }
    await context.resume();
    moved = { contextSeconds: context.currentTime, atMs: clock.monotonic() };
    onChange();
  };
  return {
    state,
    need: (next) => {
      needs = next;
    },
    unlock,
    test: async () => {
      await unlock();
      let afterSeconds = 0;
      for (const priority of ["high", "medium", "low"] as const) {
        if (context !== null) afterSeconds = playBurst(context, { priority, nature: "physiological" }, afterSeconds) + 0.5;
      }
    },
    confirm: (heard) => {
      unheard = !heard;
      onChange();
    },
    pause: () => {
      pausedUntilMs = clock.monotonic() + pauseMs;
      onChange();
    },
    resume: () => {
      pausedUntilMs = null;
      onChange();
    },
  };
}

/** Plays one burst that begins after so many seconds, and returns after how many it ends. */
function playBurst(context: AudioContext, need: Pick<SoundNeed, "priority" | "nature">, afterSeconds: number): number {
  const gain = burstGain(need.priority, need.nature) * peakGain;
  let endSeconds = afterSeconds;
  for (const tone of burstTones(need.priority, need.nature)) {
    const startSeconds = context.currentTime + 0.02 + afterSeconds + tone.startSeconds;
    playTone(context, { ...tone, startSeconds }, gain);
    endSeconds = Math.max(endSeconds, afterSeconds + tone.startSeconds + tone.lengthSeconds);
  }
  return endSeconds;
}

/** One tone with soft edges; the triangle's overtones make it easier to find in a room than a pure tone. */
function playTone(
  context: AudioContext,
  tone: { startSeconds: number; lengthSeconds: number; frequencyHz: number },
  gain: number,
): void {
  const oscillator = context.createOscillator();
  const envelope = context.createGain();
  const endSeconds = tone.startSeconds + tone.lengthSeconds;
  oscillator.type = "triangle";
  oscillator.frequency.value = tone.frequencyHz;
  envelope.gain.setValueAtTime(0, tone.startSeconds);
  envelope.gain.linearRampToValueAtTime(gain, tone.startSeconds + rampSeconds);
  envelope.gain.setValueAtTime(gain, endSeconds - rampSeconds);
  envelope.gain.linearRampToValueAtTime(0, endSeconds);
  oscillator.connect(envelope).connect(context.destination);
  oscillator.start(tone.startSeconds);
  oscillator.stop(endSeconds);
}
