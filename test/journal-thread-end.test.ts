import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { LIMITS } from "../src/core/limits.ts";
import { endThread } from "../src/journal/thread-end.ts";

/** What a thread that was ended from outside exits with; one that ends itself exits with 0. */
const ENDED_FROM_OUTSIDE = 1;

const exitOf = async (worker: Worker) => (await once(worker, "exit"))[0] as number;

test.each(["reader.ts", "worker.ts"])("%s ends itself when it is asked to, also while it loads its code", async (file) => {
  for (const afterMs of [0, 20, 60, 150, 400]) {
    const worker = new Worker(new URL(`../src/journal/${file}`, import.meta.url));
    const exit = exitOf(worker);
    await sleep(afterMs);
    await endThread(worker, createSystemClock());
    expect(await exit, `after ${afterMs} ms`).toBe(0);
    await endThread(worker, createSystemClock());
  }
});

test("a thread that does not follow is ended from outside, soon", async () => {
  const worker = new Worker("for (;;);", { eval: true });
  const exit = exitOf(worker);
  const begun = performance.now();
  await endThread(worker, createSystemClock());
  expect(await exit).toBe(ENDED_FROM_OUTSIDE);
  expect(performance.now() - begun).toBeLessThan(LIMITS.journalThreadEndMsMax.value + 5000);
});
