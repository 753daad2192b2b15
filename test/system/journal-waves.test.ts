import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { alertId } from "../../src/core/ids.ts";
import type { WaveformChunk } from "../../src/core/observation.ts";
import type { Journal } from "../../src/core/ports.ts";
import type { LostRange } from "../../src/journal/messages.ts";
import { WAVE_DEFAULTS } from "../../src/journal/waves/wave-settings.ts";
import { committed, openOrFail, readAll } from "../support/journal-folder.ts";
import { observationOf } from "../support/journal-records.ts";
import { compilerIsMissing, openPowerDisk } from "../support/power-disk.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { openStage } from "../support/stage.ts";
import { until } from "../support/until.ts";
import {
  everything,
  foldersOfTests,
  indicesOf,
  lossesOf,
  recordFor,
  sleep,
  stripsWritten,
  taken,
  waveFilesIn,
} from "../support/wave-journal.ts";
import { chunkOf, patientAlertOf } from "../support/wave-records.ts";

const SEED = 20_261_122;
const folderOfTest = foldersOfTests();
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("NOT TESTED: waves on a full disk, because only root may mount one\n");

describe.concurrent("waves over time", () => {
  const settings = { ...WAVE_DEFAULTS, stripBeforeMs: 1000, stripAfterMs: 1000 };
  const stripOf = (journal: Journal, id: string) => journal.strip(alertId(id));

  test("drops whole files once they are older than the ring, and nobody is told: that is the plan", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder, { waves: { ...WAVE_DEFAULTS, ringMs: 2000 } });
    const losses = lossesOf(journal);
    const startedMs = performance.now();
    let index = 0;
    while (performance.now() - startedMs < 5000) {
      journal.recordWaves([chunkOf({ index: index++ })]);
      await sleep(50);
    }
    await taken(journal, index);
    await sleep(100);
    const kept = await everything(journal);
    const indices = indicesOf(kept);
    expect(indices).toEqual(Array.from({ length: indices.length }, (_, place) => index - indices.length + place));
    const oldestMs = performance.now() - (kept[0]?.times.receivedMonotonicMs ?? 0);
    expect(oldestMs).toBeGreaterThan(1500);
    expect(oldestMs).toBeLessThan(4500);
    expect(losses).toEqual([]);
    expect(journal.stats().droppedWaves).toBe(0);
    await journal.close();
  });

  test("the waves of the patient around an alert stay when the ring has gone on, and after a restart", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder, { waves: { ...settings, ringMs: 6000 } });
    await recordFor(journal, 2500);
    const raisedMs = performance.now();
    journal.append([
      patientAlertOf({ seq: 1, id: "alert-1" }),
      patientAlertOf({ seq: 2, id: "technical", nature: "technical" }),
      patientAlertOf({ seq: 3, id: "milder", phase: "deescalate" }),
    ]);
    await recordFor(journal, 3500, 100);
    await stripsWritten(folder, 1);
    const chunks = await stripOf(journal, "alert-1");
    expect(new Set(chunks.map((chunk) => chunk.patientId))).toEqual(new Set(["patient-1"]));
    const ends = chunks.map((chunk) => chunk.times.receivedMonotonicMs - raisedMs);
    // Chunks of 100 ms, one every 100 ms and a little: none further off than the setting and one chunk.
    expect(ends[0]).toBeGreaterThan(-1050);
    expect(ends[0]).toBeLessThan(-700);
    expect(ends.at(-1)).toBeGreaterThan(800);
    expect(ends.at(-1)).toBeLessThan(1250);
    expect(await stripOf(journal, "technical")).toEqual([]);
    expect(await stripOf(journal, "milder")).toEqual([]);
    await sleep(7000);
    expect(await everything(journal)).toEqual([]);
    await journal.close();
    const again = await openOrFail(folder, { waves: settings });
    expect(await stripOf(again, "alert-1")).toEqual(chunks);
    await again.close();
  }, 40_000);

  test("a kill -9 between an alert and its strip costs nothing that was in the ring: the next life writes it", async () => {
    const folder = folderOfTest();
    const appender = new URL("../support/wave-appender.ts", import.meta.url).pathname;
    const child = spawn(process.execPath, [appender, folder], { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout });
    await new Promise<void>((resolve) => lines.on("line", (line) => line.startsWith("alert") && resolve()));
    await sleep(1200);
    const ended = once(child, "close");
    child.kill("SIGKILL");
    await ended;
    expect(waveFilesIn(folder, "strips")).toEqual([]);
    const journal = await openOrFail(folder, { waves: { ...settings, stripAfterMs: 3000 } });
    await recordFor(journal, 1000, 1000);
    await stripsWritten(folder, 1);
    const chunks = await stripOf(journal, "alert-1");
    const [alert] = await readAll(journal);
    const alertMs = alert?.kind === "alert" ? alert.changedAtMs : 0;
    const offsets = chunks.map((chunk) => chunk.times.receivedAtMs - alertMs);
    expect(offsets[0]).toBeLessThan(-700);
    expect(offsets.filter((offset) => offset > 0 && offset < 700).length).toBeGreaterThan(4);
    // Chunks of the new life belong to it as well: they came within three seconds of the alert by the wall clock, if the restart was as quick.
    const ofNewLife = indicesOf(chunks).filter((index) => index >= 1000);
    const wanted = indicesOf(
      (await everything(journal)).filter((chunk) => chunk.times.receivedAtMs - 100 < alertMs + 3000),
    ).filter((index) => index >= 1000);
    expect(ofNewLife).toEqual(wanted);
    await journal.close();
  }, 40_000);
});

describe.skipIf(!isRoot)("a full disk", () => {
  test("takes waves before any observation: all observations are there, and each chunk of waves is there or in a told loss", async () => {
    const disk = folderOfTest();
    mkdirSync(disk, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk]);
    onTestFinished(() => void execFileSync("umount", ["-l", disk]));
    const folder = join(disk, "journal");
    const journal = await openOrFail(folder, { waves: { ...WAVE_DEFAULTS, ringMs: 60_000 } });
    const losses = lossesOf(journal);
    const states: string[] = [];
    journal.onHealth((health) => states.push(health.state === "failing" ? health.fault.code : health.state));
    const filler = join(disk, "filler");
    let number = 0;
    let index = 0;
    const recordSome = async (turns: number) => {
      for (let turn = 0; turn < turns; turn++) {
        journal.append(Array.from({ length: 20 }, () => observationOf({ seq: ++number, value: number / 7 })));
        journal.recordWaves(Array.from({ length: 4 }, () => chunkOf({ index: index++, samples: 1000 })));
        await sleep(20);
      }
    };
    await recordSome(350);
    await taken(journal, index);
    // Others take all that is left, so that nothing can be written but into what is given up.
    for (let part = 0, bytes = 1 << 20; bytes >= 4096; bytes >>= 1)
      for (let fits = true; fits; part++) {
        try {
          writeFileSync(`${filler}-${part}`, Buffer.alloc(bytes, 1));
        } catch {
          rmSync(`${filler}-${part}`, { force: true });
          fits = false;
        }
      }
    await recordSome(500);
    await committed(journal, number).catch((error: unknown) => {
      throw new Error(`${String(error)}; states ${states.join(" ")}; losses ${JSON.stringify(losses)}`);
    });
    await until("the loss of waves is told", () => losses.length > 0);
    const observations = (await readAll(journal)).filter((record) => record.kind === "observation");
    expect(observations.map((record) => record.seq as number)).toEqual(Array.from({ length: number }, (_, place) => place + 1));
    expect(new Set(losses.map(({ what, why }) => `${what} ${why}`))).toEqual(new Set(["waveforms disk-full"]));
    await journal.close();
    const again = await openOrFail(folder, { waves: { ...WAVE_DEFAULTS, ringMs: 60_000 } });
    // What was told and has not become a record is told again.
    const nameOf = ({ fromSeq, toSeq, count, why }: LostRange) => `${why} ${fromSeq}-${toSeq} ${count}`;
    const told = new Set(losses.map(nameOf));
    const more = lossesOf(again);
    const kept = new Set(indicesOf(await everything(again)));
    // A note that the last life left is told once it has been owed.
    const lostCount = () =>
      [...losses, ...more.filter((loss) => !told.has(nameOf(loss)))].reduce((sum, loss) => sum + loss.count, 0);
    await until("each chunk is there or told", () => kept.size + lostCount() >= index).catch(() => undefined);
    const accounts = { kept: kept.size, losses: losses.map(nameOf), more: more.map(nameOf), states: states.slice(-5) };
    expect(kept.size + lostCount(), JSON.stringify(accounts)).toBe(index);
    await again.close();
  }, 60_000);
});

describe.skipIf(compilerIsMissing)("power cuts", () => {
  test("what came more than six seconds before the power failed is there, and so is a strip that was written", async () => {
    const stage = await openStage();
    onTestFinished(() => stage.close());
    mkdirSync(join(stage.folder, "data"));
    const disk = openPowerDisk(stage, join(stage.folder, "data"));
    const folder = join(disk.folder, "journal");
    for (let cut = 0; cut < 3; cut++) {
      const about = `cut ${cut}, seed ${SEED}`;
      const random = seededRandom(SEED + cut);
      const appender = new URL("../support/wave-appender.ts", import.meta.url).pathname;
      const child = spawn(process.execPath, [appender, folder, "500"], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, ...disk.env },
      });
      const recordedMs: number[] = [];
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line.startsWith("recorded")) recordedMs.push(performance.now());
      });
      await until(
        "a strip is there",
        () => existsSync(join(folder, "strips")) && waveFilesIn(folder, "strips").length > cut,
        30_000,
      );
      await sleep(4000 + random.whole({ min: 0, max: 4000 }));
      const stripsBefore = waveFilesIn(folder, "strips").map((path) => readFileSync(path));
      const ended = once(child, "close");
      child.kill("SIGKILL");
      const cutMs = performance.now();
      await ended;
      const promised = recordedMs.filter((atMs) => cutMs - atMs > 6500).length;
      expect(promised, about).toBeGreaterThan(10);
      disk.cut(random);
      const journal = await openOrFail(folder, { waves: { ...WAVE_DEFAULTS, stripBeforeMs: 1000, stripAfterMs: 500 } });
      const losses = lossesOf(journal);
      await sleep(500);
      const lives = livesOf(await everything(journal));
      expect(lives.length, about).toBe(cut + 1);
      const last = indicesOf(lives.at(-1) ?? []);
      expect(
        last.filter((index) => index < promised),
        about,
      ).toEqual(Array.from({ length: promised }, (_, index) => index));
      // Only the unsynced end may be torn.
      expect(
        losses.filter(({ what, why }) => what !== "waveforms" || why !== "journal-damaged"),
        about,
      ).toEqual([]);
      expect(
        waveFilesIn(folder, "strips").map((path) => readFileSync(path)),
        about,
      ).toEqual(stripsBefore);
      await journal.close();
      disk.adopt();
    }
  }, 120_000);
});

/** Chunks by the life they were recorded in: each began with the index 0. */
function livesOf(chunks: readonly WaveformChunk[]): readonly (readonly WaveformChunk[])[] {
  const lives: WaveformChunk[][] = [];
  for (const chunk of chunks) {
    if (chunk.firstSampleIndex === 0) lives.push([]);
    lives.at(-1)?.push(chunk);
  }
  return lives;
}
