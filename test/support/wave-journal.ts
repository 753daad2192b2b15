import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";
import { deviceId } from "../../src/core/ids.ts";
import type { WaveformChunk } from "../../src/core/observation.ts";
import type { Journal } from "../../src/core/ports.ts";
import { wallMs } from "../../src/core/time.ts";
import type { LostRange } from "../../src/journal/messages.ts";
import { temporaryFolder } from "./journal-folder.ts";
import { until } from "./until.ts";
import { chunkOf } from "./wave-records.ts";

/** Gives folders that go when all tests of the file have ended: tests that run side by side cannot clean up one by one. */
export function foldersOfTests(): () => string {
  const removals: (() => void)[] = [];
  afterAll(() => {
    for (const remove of removals) remove();
  });
  return () => {
    const place = temporaryFolder();
    removals.push(place.remove);
    return place.folder;
  };
}

/** Waits. */
export const sleep = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Everything the ring has of a device. */
export function everything(journal: Journal, device = "monitor-1"): Promise<readonly WaveformChunk[]> {
  return journal.waves({ deviceId: deviceId(device), fromMs: wallMs(0), toMs: wallMs(Date.now() + 1e6) });
}

/** The indices the chunks were made with. */
export function indicesOf(chunks: readonly WaveformChunk[]): number[] {
  return chunks.map((chunk) => chunk.firstSampleIndex / chunk.raw.length);
}

/** Listens to what is lost of waves. */
export function lossesOf(journal: Journal): LostRange[] {
  const losses: LostRange[] = [];
  journal.onLoss((loss) => {
    if (loss.what === "waveforms") losses.push(loss);
  });
  return losses;
}

/** Waits until so many chunks were taken into the ring. */
export async function taken(journal: Journal, count: number): Promise<void> {
  await until(`${count} chunks are taken`, () => journal.stats().keptWaves >= count);
}

/** The files of the ring or of the strips, in order of their names. */
export function waveFilesIn(folder: string, room: "waves" | "strips"): string[] {
  return readdirSync(join(folder, room))
    .filter((name) => name.endsWith(".bin"))
    .sort()
    .map((name) => join(folder, room, name));
}

/** Waits until there are so many strips. */
export async function stripsWritten(folder: string, count: number): Promise<void> {
  await until(`${count} strips are there`, () => waveFilesIn(folder, "strips").length === count, 15_000);
}

/** Records a chunk of two patients every 100 ms for a while. @returns  The next index. */
export async function recordFor(journal: Journal, milliseconds: number, first = 0): Promise<number> {
  let index = first;
  for (const endMs = performance.now() + milliseconds; performance.now() < endMs; index++) {
    journal.recordWaves([
      chunkOf({ index, samples: 25 }),
      chunkOf({ index, samples: 25, device: "monitor-2", patient: "patient-2" }),
    ]);
    await sleep(100);
  }
  return index;
}
