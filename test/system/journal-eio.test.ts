import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openOrFail } from "../support/journal-folder.ts";
import { endAppenders, expectAllSaid, type Life, startAppender } from "../support/journal-killing.ts";
import { compilerIsMissing, openPowerDisk } from "../support/power-disk.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { until } from "../support/until.ts";

const SEED = 5417;
const ROUNDS = 10;
/** Which files' fsync fails: any, one kind, only logs, only what logs are carried into, the folder. */
const PATTERNS = ["", "kept*", "observations*", "*-wal", "*.sqlite"] as const;

const stage = stageOfEachTest();
afterEach(endAppenders);

describe.skipIf(compilerIsMissing)("an fsync that fails", () => {
  test.each([
    { what: "in one segment", perTurn: 25, bytesMax: 1e9, seed: SEED },
    // Segments of 256 KB, so that they are closed and dropped all the time; few enough records that the queue holds a failure's time.
    { what: "while segments are closed and dropped", perTurn: 75, bytesMax: 1_500_000, seed: SEED + 1 },
  ])(
    `$what, ${ROUNDS} times, with the pages it leaves falsely clean, and then a power cut: all that was said committed is there`,
    {
      timeout: 280_000,
    },
    async (load) => {
      const random = seededRandom(load.seed);
      const watched = join(stage().folder, "watched");
      mkdirSync(watched);
      const disk = openPowerDisk(stage(), watched);
      const folder = join(watched, "journal");
      const lives: Life[] = [];
      let failedSyncs = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const pattern = PATTERNS[round % PATTERNS.length] ?? "";
        const about = `round ${round}, fsync of "${pattern}" fails, seed ${load.seed}`;
        const appender = await startAppender(folder, load.perTurn, {
          env: { ...process.env, ...disk.env },
          bytesMax: load.bytesMax,
        });
        await until("something is committed", () => appender.committedSeq() > appender.firstSeq);
        disk.failSyncs({ pattern, count: random.whole({ min: 1, max: 3 }) });
        await new Promise((resolve) => setTimeout(resolve, random.whole({ min: 300, max: 2500 })));
        failedSyncs += disk.counts().syncsFailed;
        disk.healSyncs();
        // Sometimes the process dies in the middle of it, and another goes on with what the kernel still holds.
        if (random.fraction() < 0.4) {
          await appender.kill();
          lives.push({ from: appender.firstSeq, said: appender.committedSeq() });
          const heir = await startAppender(folder, load.perTurn, {
            env: { ...process.env, ...disk.env },
            bytesMax: load.bytesMax,
          });
          await until("the heir commits", () => heir.committedSeq() >= heir.firstSeq, 20_000);
          await heir.kill();
          lives.push({ from: heir.firstSeq, said: heir.committedSeq() });
        } else {
          const saidBefore = appender.committedSeq();
          await until(`it commits again, ${about}`, () => appender.committedSeq() > saidBefore, 20_000);
          await new Promise((resolve) => setTimeout(resolve, random.whole({ min: 0, max: 600 })));
          await appender.kill();
          lives.push({ from: appender.firstSeq, said: appender.committedSeq() });
        }
        disk.cut(random);
        const journal = await openOrFail(folder);
        await expectAllSaid(journal, lives, about);
        await journal.close();
        disk.adopt();
      }
      expect(failedSyncs).toBeGreaterThan(ROUNDS / 2);
    },
  );
});
