import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { ReadQuery, WavePlace } from "../messages.ts";
import { readableFacts, readBytes } from "./wave-file.ts";
import { type FrameFacts, stretchesOf } from "./wave-frame.ts";
import { RING_FOLDER, ringNumberOf, STRIP_FOLDER, stripFileName, stripSeqOf } from "./wave-settings.ts";

/** What was asked about waves. */
export type WaveQuery = ReadQuery & { readonly kind: "waves" };

/** One page of an answer: whole frames, and where the next page begins (null: there is none). */
export interface WavePage {
  readonly frames: Uint8Array<ArrayBuffer>;
  readonly next: WavePlace | null;
}

/**
 * Reads one page of waves from the files as they are now.
 *
 * @param tellDamage  Called with the name of each file that is not as it was written; what is sound in it is read.
 * @param turn        Awaited now and then, so that other questions have their turn.
 */
export async function readWaves(
  folder: string,
  query: WaveQuery,
  { tellDamage, turn }: { readonly tellDamage: (file: string) => void; readonly turn: () => Promise<void> },
): Promise<WavePage> {
  const { source, at, limit } = query;
  const place = join(folder, source.kind === "ring" ? RING_FOLDER : STRIP_FOLDER);
  const all = source.kind === "ring" ? ringFiles(place) : stripFiles(place, source.alertId);
  const files = at === null ? all : all.slice(Math.max(0, all.indexOf(at.file)));
  const found: Buffer[] = [];
  for (const file of files) {
    const fromByte = file === at?.file ? at.atByte : 0;
    const bytes = await readBytes(join(place, file), fromByte);
    if (bytes === null) continue;
    let count = 0;
    for (const stretch of stretchesOf(bytes)) {
      count += 1;
      if (count % 64 === 0) await turn();
      const facts = stretch.kind === "frame" ? readableFacts(stretch.content) : null;
      // The end of the newest file may be on its way to the disk.
      if (facts === null && !(source.kind === "ring" && file === all.at(-1))) tellDamage(file);
      if (facts === null || !isWanted(facts, source)) continue;
      if (found.length === limit) return { frames: joined(found), next: { file, atByte: fromByte + stretch.at } };
      found.push(bytes.subarray(stretch.at, stretch.end));
    }
  }
  return { frames: joined(found), next: null };
}

function ringFiles(place: string): readonly string[] {
  if (!existsSync(place)) return [];
  return readdirSync(place)
    .filter((file) => ringNumberOf(file) !== null)
    .sort();
}

function stripFiles(place: string, alertId: string): readonly string[] {
  if (!existsSync(place)) return [];
  return readdirSync(place)
    .flatMap((file) => {
      const seq = stripSeqOf(file);
      return seq !== null && file === stripFileName(alertId, seq) ? [{ file, seq }] : [];
    })
    .sort((one, other) => one.seq - other.seq)
    .map(({ file }) => file);
}

/** A chunk is wanted where any of its samples was measured in the time asked for. */
function isWanted(facts: FrameFacts, source: WaveQuery["source"]): boolean {
  if (source.kind === "strip") return true;
  const lengthMs = facts.sampleRateHz > 0 ? (facts.sampleCount / facts.sampleRateHz) * 1000 : 0;
  const inTime = facts.measuredAtMs >= source.fromMs && facts.measuredAtMs - lengthMs <= source.toMs;
  return facts.deviceId === source.deviceId && inTime;
}

function joined(frames: readonly Buffer[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  let at = 0;
  for (const frame of frames) {
    all.set(frame, at);
    at += frame.length;
  }
  return all;
}
