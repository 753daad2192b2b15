import { type Alert, type AlertNature, PRIORITY_RANK, type Priority } from "../../../core/alert.ts";

/** How often a sound comes again while nobody has acknowledged, in ms; null: once. Within IEC 60601-1-8, table 3. */
export const REPEAT_MS: Readonly<Record<Priority, number | null>> = { high: 5000, medium: 15_000, low: null };

/** One tone of a burst. */
export interface Tone {
  readonly startSeconds: number;
  readonly lengthSeconds: number;
  readonly frequencyHz: number;
}

/** Something that may sound. */
export interface SoundNeed {
  /** Changes when the same alert is raised again. */
  readonly key: string;
  readonly priority: Priority;
  readonly nature: AlertNature;
}

/** What asks to be heard: every unacknowledged alert, loudest first, and the stream itself when it is stale or the session lost. */
export function soundNeeds(alerts: readonly Alert[], blind: boolean): readonly SoundNeed[] {
  const needs: SoundNeed[] = alerts
    .filter((alert) => alert.state === "active")
    .map((alert) => ({ key: `${alert.id} ${alert.raisedCount}`, priority: alert.priority, nature: alert.nature }));
  if (blind) needs.push({ key: "blind page", priority: "medium", nature: "technical" });
  return needs.sort((a, b) => loudness(b) - loudness(a));
}

function loudness(need: SoundNeed): number {
  return PRIORITY_RANK[need.priority] * 2 + (need.nature === "physiological" ? 1 : 0);
}

/** What has sounded so far. */
export interface SoundMemory {
  readonly heard: ReadonlySet<string>;
  readonly lastBurstMs: number | null;
  readonly lastLoudness: number;
}

/** Nothing has sounded. */
export const SILENCE: SoundMemory = { heard: new Set(), lastBurstMs: null, lastLoudness: 0 };

/**
 * Decides whether a burst begins now, and what is remembered then. A need that was never heard sounds at once unless something
 * louder sounds anyway within its repeat time; the loudest one repeats.
 */
export function nextBurst(
  needs: readonly SoundNeed[],
  memory: SoundMemory,
  nowMs: number,
): { readonly burst: SoundNeed | null; readonly memory: SoundMemory } {
  const loudest = needs[0];
  const keys = new Set(needs.map((need) => need.key));
  const heard = new Set([...memory.heard].filter((key) => keys.has(key)));
  if (loudest === undefined) return { burst: null, memory: { heard, lastBurstMs: memory.lastBurstMs, lastLoudness: 0 } };
  const elapsedMs = memory.lastBurstMs === null ? Number.POSITIVE_INFINITY : nowMs - memory.lastBurstMs;
  const repeatMs = REPEAT_MS[loudest.priority];
  const due = !heard.has(loudest.key) || (repeatMs !== null && elapsedMs >= repeatMs);
  // A louder one interrupts; an equal or quieter new one waits for the end of the burst that sounds now.
  const free = elapsedMs >= burstMs(loudest.priority) || loudness(loudest) > memory.lastLoudness;
  if (!due || !free)
    return { burst: null, memory: { heard, lastBurstMs: memory.lastBurstMs, lastLoudness: memory.lastLoudness } };
  for (const need of needs) if (loudness(need) <= loudness(loudest)) heard.add(need.key);
  return { burst: loudest, memory: { heard, lastBurstMs: nowMs, lastLoudness: loudness(loudest) } };
}

function burstMs(priority: Priority): number {
  const last = burstTones(priority, "physiological").at(-1);
  return last === undefined ? 0 : (last.startSeconds + last.lengthSeconds) * 1000;
}

/** Melody of "general" alarms in IEC 60601-1-8, annex D: c-e-g for attention, c-e-g-g-C for alarm; technical ones a fifth lower. */
const notesHz = { c: 523.25, e: 659.25, g: 783.99, highC: 1046.5 } as const;
const technicalRatio = 2 / 3;

/** The tones of one burst: high two groups of five, medium three, low one. */
export function burstTones(priority: Priority, nature: AlertNature): readonly Tone[] {
  const ratio = nature === "technical" ? technicalRatio : 1;
  const { c, e, g, highC } = notesHz;
  const lay = (notes: readonly number[], starts: readonly number[], lengthSeconds: number): readonly Tone[] =>
    notes.map((note, index) => ({ startSeconds: starts[index] ?? 0, lengthSeconds, frequencyHz: note * ratio }));
  switch (priority) {
    case "high": {
      const group = [0, 0.2, 0.4, 0.75, 0.95];
      return lay([c, e, g, g, highC, c, e, g, g, highC], [...group, ...group.map((start) => start + 1.65)], 0.14);
    }
    case "medium":
      return lay([c, e, g], [0, 0.3, 0.6], 0.2);
    case "low":
      return lay([e], [0], 0.25);
  }
}

/** Loudness of a burst, 0 to 1. A technical alert is never as loud as a high physiological one. */
export function burstGain(priority: Priority, nature: AlertNature): number {
  const gain = { high: 1, medium: 0.75, low: 0.5 }[priority];
  return nature === "technical" ? gain * 0.6 : gain;
}
