import { seedOfPart } from "../random.ts";
import { evenAt, normalAt } from "./noise.ts";

/** How the heart beats. Rates come from the body; a rhythm says how evenly, and with which shape. */
export const RHYTHMS = ["sinus", "atrial-fibrillation", "ventricular-ectopics", "asystole", "ventricular-fibrillation"] as const;

/** The name of a rhythm. */
export type Rhythm = (typeof RHYTHMS)[number];

/** Whether blood is moved: what does not beat has no pulse. */
export function hasPulse(rhythm: Rhythm): boolean {
  return rhythm !== "asystole" && rhythm !== "ventricular-fibrillation";
}

/** One beat. */
export interface Beat {
  /** Heart beats, as the body counts them, at the R peak. */
  readonly phase: number;
  readonly kind: "normal" | "ectopic";
}

/** Beats that are laid out together; where a rhythm changes, the change shows from the next such block on. */
const BLOCK_BEATS = 16;
/** Spread of R-R intervals beside their mean that no breath and no slow swing explains. Source: short-term variability of adults at rest. */
const SINUS_SPREAD = 0.012;
/** In atrial fibrillation the spread is 0.2 to 0.25 of the mean, one interval independent of the next. Source: MIT-BIH AF records, measured. */
const FIBRILLATION_SPREAD = 0.22;
/** How early a ventricular ectopic comes, as a share of the beat it replaces; the pause after it makes up for that. */
const ECTOPIC_EARLY = 0.38;
const ECTOPIC_SHARE = 0.12;
const INTERVAL_MIN = 0.45;

/** Where the beats of a heart lie, while it beats in a rhythm. */
export interface BeatLine {
  /** The last beat at or before a phase, and the first after it. */
  readonly around: (phase: number, rhythm: Rhythm) => { readonly last: Beat; readonly next: Beat };
  /** How many beats were made up to a phase, with the share of the one that is under way. */
  readonly countAt: (phase: number, rhythm: Rhythm) => number;
}

const BLOCKS_HELD = 32;

/**
 * Lays beats over the phase that the heart rate sums up to: on the average one beat for each whole number. Blocks of sixteen are made from
 * their own seed and fit exactly, so that any moment may be asked without those before it. Where the rhythm changes within a block one
 * beat may be out of step.
 */
export function createBeatLine(seed: number): BeatLine {
  const held = new Map<Rhythm, Map<number, readonly Beat[]>>();
  const block = (index: number, rhythm: Rhythm): readonly Beat[] => {
    const ofRhythm = held.get(rhythm) ?? new Map<number, readonly Beat[]>();
    const known = ofRhythm.get(index);
    if (known !== undefined) return known;
    const made = layBlock(seedOfPart(seed, index), index * BLOCK_BEATS, rhythm);
    if (ofRhythm.size >= BLOCKS_HELD) ofRhythm.clear();
    held.set(rhythm, ofRhythm.set(index, made));
    return made;
  };
  const around = (phase: number, rhythm: Rhythm) => {
    const index = Math.floor(phase / BLOCK_BEATS);
    const beats = block(index, rhythm);
    // The last beat whose place is not after the phase; an ectopic beat of the next block's beginning does not exist.
    let place = BLOCK_BEATS - 1;
    while (place > 0 && (beats[place]?.phase ?? 0) > phase) place -= 1;
    const last = beats[place] ?? { phase: index * BLOCK_BEATS, kind: "normal" };
    const next = beats[place + 1] ?? { phase: (index + 1) * BLOCK_BEATS, kind: "normal" as const };
    return { last, next, count: index * BLOCK_BEATS + place };
  };
  return {
    around,
    countAt: (phase, rhythm) => {
      const { last, next, count } = around(phase, rhythm);
      return count + (phase - last.phase) / (next.phase - last.phase);
    },
  };
}

/** Sixteen beats whose first lies on the block's beginning. */
function layBlock(seed: number, startPhase: number, rhythm: Rhythm): readonly Beat[] {
  const spread = rhythm === "atrial-fibrillation" ? FIBRILLATION_SPREAD : SINUS_SPREAD;
  const intervals = Array.from({ length: BLOCK_BEATS }, (_, place) => Math.max(INTERVAL_MIN, 1 + spread * normalAt(seed, place)));
  const scale = BLOCK_BEATS / intervals.reduce((sum, interval) => sum + interval, 0);
  const beats: Beat[] = [];
  let phase = startPhase;
  for (const [place, interval] of intervals.entries()) {
    const ectopic =
      rhythm === "ventricular-ectopics" &&
      place > 0 &&
      evenAt(seed, 100 + place) < ECTOPIC_SHARE &&
      beats.at(-1)?.kind === "normal";
    beats.push(ectopic ? { phase: phase - ECTOPIC_EARLY, kind: "ectopic" } : { phase, kind: "normal" });
    phase += interval * scale;
  }
  return beats;
}
