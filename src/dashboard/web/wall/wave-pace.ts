/** How much of the waves is drawn. */
export interface Pace {
  /** Each strip is drawn in one frame of so many; the strips take turns. */
  readonly every: number;
  /** Waves of a bed that are drawn: two, one or none. */
  readonly waves: number;
}

/** From everything to nothing; each step takes about half of the work away. */
const steps: readonly Pace[] = [
  { every: 1, waves: 2 },
  { every: 2, waves: 2 },
  { every: 4, waves: 2 },
  { every: 4, waves: 1 },
  { every: 8, waves: 1 },
  { every: 1, waves: 0 },
];

/** The pace of a screen whose computer has time enough. */
export const fullPace: Pace = { every: 1, waves: 2 };

const windowMs = 2000;
/** A frame that comes this much later than the one before: the tab was hidden or the machine slept. */
const pauseMsMin = 1000;
/** Fewer frames than this stutter; a screen of 30 Hz has more. */
const framesPerSecondMin = 24;
const framesPerSecondGood = 28;
/** A better pace is tried again after this long, and after twice as long each time it did not hold. */
const tryAgainMsMin = 20_000;
const tryAgainMsMax = 320_000;

/** Watches how many frames a screen shows, and takes work away before it stutters: numbers and alerts are drawn by the same computer. */
export interface WavePace {
  /** Tells of a frame, by the time of its beginning, and returns the pace for it. */
  readonly frame: (atMs: number) => Pace;
}

/** Makes the pace of a wall that begins. */
export function createWavePace(): WavePace {
  let step = 0;
  let lastAtMs = Number.NEGATIVE_INFINITY;
  let windowFromMs = 0;
  let frames = 0;
  let goodSinceMs = 0;
  let tryAgainMs = tryAgainMsMin / 2;
  const pace = () => steps[step] ?? fullPace;
  return {
    frame: (atMs) => {
      if (atMs - lastAtMs > pauseMsMin) {
        windowFromMs = atMs;
        goodSinceMs = atMs;
        frames = 0;
      }
      lastAtMs = atMs;
      if (atMs - windowFromMs < windowMs) {
        frames++;
        return pace();
      }
      const framesPerSecond = (frames * 1000) / (atMs - windowFromMs);
      windowFromMs = atMs;
      frames = 1;
      if (framesPerSecond < framesPerSecondGood) goodSinceMs = atMs;
      if (framesPerSecond < framesPerSecondMin && step < steps.length - 1) {
        step++;
        tryAgainMs = Math.min(tryAgainMsMax, tryAgainMs * 2);
      } else if (step > 0 && atMs - goodSinceMs >= tryAgainMs) {
        step--;
        goodSinceMs = atMs;
      } else if (step === 0 && atMs - goodSinceMs >= tryAgainMsMax) tryAgainMs = tryAgainMsMin / 2;
      return pace();
    },
  };
}
