import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { listSealedKept } from "../../src/journal/journal-folder.ts";
import { openOrFail } from "../support/journal-folder.ts";
import { attackWithKills, endAppenders, expectAllSaid, type Life, startAppender } from "../support/journal-killing.ts";
import { compilerIsMissing, openPowerDisk } from "../support/power-disk.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { until } from "../support/until.ts";

const SEED = 2611;
const KILLS = 15;
const CUTS = 6;
const FAILING_SYNCS = 4;
/** The kept file is sealed after each few commits, so that most cuts come while that is done. */
const LOAD = { keptFileBytesMax: 4096 };
const PER_TURN = 25;
/** Each fsync takes so long, so that a cut finds what waits for it. */
const SYNC_MICROSECONDS = 15_000;
const PATTERNS = ["kept*", "kept.sqlite.renewing", "", "*-wal"] as const;

const stage = stageOfEachTest();
afterEach(endAppenders);

test(`nothing that was said committed is missing after ${KILLS} kills while kept records are sealed`, {
  timeout: 240_000,
}, async () => {
  const folder = join(stage().folder, "journal");
  await attackWithKills({ folder, kills: KILLS, seed: SEED, ...LOAD });
  expect(listSealedKept(folder).length).toBeGreaterThan(20);
});

describe.skipIf(compilerIsMissing)("a power cut while kept records are sealed", () => {
  test(`${CUTS} times: all that was said committed is there, and no alert that began has ended`, {
    timeout: 280_000,
  }, async () => {
    const random = seededRandom(SEED);
    const watched = join(stage().folder, "watched");
    mkdirSync(watched);
    const disk = openPowerDisk(stage(), watched);
    disk.delaySyncs(SYNC_MICROSECONDS);
    const folder = join(watched, "journal");
    const lives: Life[] = [];
    const epochs = new Set<string>();
    for (let cut = 0; cut < CUTS; cut++) {
      const about = `cut ${cut}, seed ${SEED}`;
      const appender = await startAppender(folder, PER_TURN, { env: { ...process.env, ...disk.env }, ...LOAD });
      epochs.add(appender.epoch);
      await until("something is committed", () => appender.committedSeq() >= appender.firstSeq, 20_000);
      const sealedBefore = listSealedKept(folder).length;
      // The new kept file is in the making, or a sealed one has just got its name.
      const isSealing = () =>
        listSealedKept(folder).length > sealedBefore || readdirSync(folder).some((name) => name.startsWith("kept.sqlite.renew"));
      await until(`kept records are being sealed, ${about}`, isSealing, 30_000);
      await new Promise((resolve) => setTimeout(resolve, random.whole({ min: 0, max: 700 })));
      await appender.kill();
      lives.push({ from: appender.firstSeq, said: appender.committedSeq() });
      disk.cut(random);
      await expectJournal(folder, lives, about);
      disk.adopt();
    }
    expect(epochs.size).toBe(1);
    expect(listSealedKept(folder).length).toBeGreaterThan(0);
  });

  test(`after an fsync that failed, ${FAILING_SYNCS} times: all that was said committed is there`, {
    timeout: 280_000,
  }, async () => {
    const random = seededRandom(SEED + 1);
    const watched = join(stage().folder, "watched");
    mkdirSync(watched);
    const disk = openPowerDisk(stage(), watched);
    const folder = join(watched, "journal");
    const lives: Life[] = [];
    let failedSyncs = 0;
    for (let round = 0; round < FAILING_SYNCS; round++) {
      const about = `round ${round}, seed ${SEED + 1}`;
      const appender = await startAppender(folder, PER_TURN, { env: { ...process.env, ...disk.env }, ...LOAD });
      await until("something is committed", () => appender.committedSeq() > appender.firstSeq, 20_000);
      disk.failSyncs({ pattern: PATTERNS[round % PATTERNS.length] ?? "", count: random.whole({ min: 1, max: 3 }) });
      await new Promise((resolve) => setTimeout(resolve, random.whole({ min: 300, max: 2500 })));
      failedSyncs += disk.counts().syncsFailed;
      disk.healSyncs();
      const saidBefore = appender.committedSeq();
      await until(`it commits again, ${about}`, () => appender.committedSeq() > saidBefore, 20_000);
      await new Promise((resolve) => setTimeout(resolve, random.whole({ min: 0, max: 600 })));
      await appender.kill();
      lives.push({ from: appender.firstSeq, said: appender.committedSeq() });
      disk.cut(random);
      await expectJournal(folder, lives, about);
      disk.adopt();
    }
    expect(failedSyncs).toBeGreaterThan(FAILING_SYNCS / 2);
  });
});

/** Every alert of an appender stays open, so that all of them are open alerts. */
async function expectJournal(folder: string, lives: readonly Life[], about: string): Promise<void> {
  const journal = await openOrFail(folder, LOAD);
  await expectAllSaid(journal, lives, about);
  const open = new Set((await journal.openAlerts()).map((alert) => alert.seq as number));
  const said = lives.flatMap(({ from, said }) =>
    Array.from({ length: Math.max(0, said - from + 1) }, (_, index) => from + index).filter((number) => number % 97 === 0),
  );
  expect(
    said.filter((number) => !open.has(number)),
    about,
  ).toEqual([]);
  await journal.close();
}
