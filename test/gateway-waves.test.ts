import { expect, test } from "vitest";
import { findDriver } from "../drivers/index.ts";
import { deviceId } from "../src/core/ids.ts";
import { wallMs } from "../src/core/time.ts";
import { seededBody } from "./support/seeded-body.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

const SEED = 11;

/** The real bytes of a monitor with its waves, one message a second. */
async function streamTwin(ward: SmallWard, device: "monitor-1" | "monitor-2", seconds: number): Promise<void> {
  const twin = findDriver("serial-ivy-450c")?.twin(seededBody(SEED), {});
  for (let second = 1; second <= seconds; second++) {
    for (const { bytes } of twin?.due(second * 1000).bytesToSend ?? []) ward.link(device).send(bytes);
    await ward.clock.advance(1000);
  }
}

const wavesOf = (ward: SmallWard, device: string) =>
  ward.journal.waves({ deviceId: deviceId(device), fromMs: wallMs(0), toMs: wallMs(1e15) });

test("every wave a device sends is handed to the journal with the patient it measures, and counted; the bed's page gets its strip", async () => {
  const ward = await startSmallWard();
  await ward.admit(1);
  ward.link("monitor-1").up();
  ward.link("monitor-2").up();
  await streamTwin(ward, "monitor-1", 65);
  await streamTwin(ward, "monitor-2", 3);
  const mine = await wavesOf(ward, "monitor-1");
  expect(new Set(mine.map((chunk) => chunk.patientId))).toEqual(new Set(["patient-1"]));
  expect(new Set(mine.map((chunk) => chunk.origin))).toEqual(new Set(["measured"]));
  expect(mine.length).toBeGreaterThan(100);
  const nobodys = await wavesOf(ward, "monitor-2");
  expect(new Set(nobodys.map((chunk) => chunk.patientId))).toEqual(new Set([null]));
  await ward.gateway.stop();
  const tallies = (await ward.journal.read({ afterSeq: 0 as never, limit: 1000, kinds: ["tally"] })).flatMap((record) =>
    record.kind === "tally" ? record.devices : [],
  );
  const counted = (device: string) => tallies.filter((one) => one.deviceId === device).reduce((sum, one) => sum + one.waves, 0);
  expect([counted("monitor-1"), counted("monitor-2")]).toEqual([mine.length, nobodys.length]);
});

test("lost waves are a record and trouble, and no sender is made to send again for them", async () => {
  const ward = await startSmallWard();
  ward.link("monitor-1").up();
  await streamTwin(ward, "monitor-1", 2);
  const thanked = ward.link("monitor-1").thankedUpTo();
  ward.journal.sayLoss({
    fromSeq: 1 as never,
    toSeq: 1e9 as never,
    count: 7,
    why: "queue-full",
    what: "waveforms",
    reader: null,
  });
  await streamTwin(ward, "monitor-1", 2);
  expect(ward.link("monitor-1").thankedUpTo()).toBeGreaterThan(thanked);
  expect(ward.gateway.openAlerts().map((alert) => alert.rule)).toContain("fault.queue-full");
  const losses = await ward.journal.read({ afterSeq: 0 as never, limit: 1000, kinds: ["loss"] });
  expect(losses).toMatchObject([{ what: "waveforms", count: 7, why: "queue-full" }]);
  await ward.gateway.stop();
});
