import { describe, expect, test } from "vitest";
import { deviceId, seq } from "../src/core/ids.ts";
import type { Journal } from "../src/core/ports.ts";
import type { JournalRecord, Tally } from "../src/core/record.ts";
import { FindingBook } from "../src/verify/finding.ts";
import { Ledger } from "../src/verify/ledger.ts";
import { ALL_TIME } from "../src/verify/window.ts";
import { type SeededRandom, seededRandom } from "./support/seeded-random.ts";
import { monitorBytes, type SmallWard, startSmallWard } from "./support/small-ward.ts";

const SEEDS = [11, 23, 37, 59, 71, 97];

async function readAll(journal: Journal): Promise<readonly JournalRecord[]> {
  const records: JournalRecord[] = [];
  for (;;) {
    const page = await journal.read({ afterSeq: records.at(-1)?.seq ?? seq(0), limit: 1000 });
    if (page.length === 0) return records;
    records.push(...page);
  }
}

/** Something happens on the ward by chance; adds up the bytes each monitor sent. */
async function happen(ward: SmallWard, random: SeededRandom, sent: Map<string, number>): Promise<void> {
  const device = random.fraction() < 0.5 ? "monitor-1" : "monitor-2";
  const send = (bytes: Uint8Array) => {
    ward.link(device).send(bytes);
    sent.set(device, (sent.get(device) ?? 0) + bytes.length);
  };
  const dice = random.fraction();
  if (dice < 0.6) {
    for (let second = random.whole({ min: 1, max: 12 }); second > 0; second--) {
      const heartRate = random.whole({ min: 30, max: 190 });
      send(monitorBytes({ heartRate, respiratoryRate: 14, oxygenSaturation: random.whole({ min: 70, max: 99 }) }));
      await ward.clock.advance(random.whole({ min: 0, max: 1000 }));
    }
  } else if (dice < 0.75) send(random.bytes(random.whole({ min: 1, max: 300 })));
  else if (dice < 0.85) await ward.admit(device === "monitor-1" ? 1 : 2);
  else if (dice < 0.95) addReceipt(ward);
  else await ward.clock.advance(random.whole({ min: 1, max: 90_000 }));
}

function addReceipt({ gateway, clock, journal }: SmallWard): void {
  gateway.addReceipt({ atMs: clock.wall(), of: `test/${journal.epoch}/1`, reader: "upstream:x", state: "seen", by: "x" });
}

function ledgerOf(records: readonly JournalRecord[], epoch: string) {
  const losses = records.filter((record) => record.kind === "loss");
  const parts = { book: new FindingBook(), window: ALL_TIME, epoch, losses, owed: [], leftOut: [], readers: [], farSides: [] };
  const ledger = new Ledger(parts);
  for (const record of records) ledger.take(record);
  return ledger.finish("closed", { losses, owed: [] });
}

describe("the gateway's own tallies", () => {
  for (const seed of SEEDS) {
    test(`cover every number and every byte of a ward by chance, over a cut-off and an orderly end (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      let ward = await startSmallWard();
      let sent = new Map<string, number>();
      for (const life of [1, 2, 3]) {
        for (const device of ["monitor-1", "monitor-2"] as const) ward.link(device).up();
        for (let step = random.whole({ min: 20, max: 60 }); step > 0; step--) await happen(ward, random, sent);
        if (life === 3) break;
        // What came last was not on disk when the power went.
        if (random.fraction() < 0.7) ward.journal.setCommitting(false);
        await ward.stream("monitor-1", random.whole({ min: 1, max: 5 }), { heartRate: 71 });
        ward = await ward.crash();
        sent = new Map();
      }
      await ward.clock.advance(0);
      await ward.gateway.stop();
      addReceipt(ward);
      ward.gateway.finish();
      await ward.journal.close();

      const records = await readAll(ward.journal);
      const report = ledgerOf(records, ward.journal.epoch);
      expect(report.wrong, `seed ${seed}: ${JSON.stringify(report.findings)}`).toEqual({});
      expect(report.lives.map(({ ended }) => ended)).toEqual(["cut-off", "cut-off", "closed"]);
      expect(report.lives.at(-1)?.notCounted, `seed ${seed}`).toMatchObject({ numbers: 0 });

      const lastStart = records.findLast(({ kind }) => kind === "start")?.seq ?? 0;
      const tallies = records.filter((record): record is Tally => record.kind === "tally" && record.seq > lastStart);
      expect(tallies.at(0)?.fromSeq).toBe(lastStart);
      expect(tallies.at(-1)?.toSeq).toBe(records.at(-1)?.seq);
      for (const [device, bytes] of sent) {
        const counted = tallies.flatMap(({ devices }) => devices.filter((each) => each.deviceId === deviceId(device)));
        expect(
          counted.reduce((sum, each) => sum + each.bytes, 0),
          `seed ${seed}: bytes of ${device}`,
        ).toBe(bytes);
      }
    });
  }

  test("come once a minute, and none comes where nothing was made", async () => {
    const ward = await startSmallWard();
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 150, { heartRate: 70 });
    const tallies = (await readAll(ward.journal)).filter((record): record is Tally => record.kind === "tally");
    expect(tallies).toHaveLength(2);
    expect(tallies.map(({ devices }) => devices.find((device) => device.deviceId === "monitor-1")?.messages)).toEqual([60, 60]);
    await ward.gateway.stop();
    await ward.clock.advance(0);
    const before = (await readAll(ward.journal)).length;
    ward.gateway.finish();
    await ward.clock.advance(0);
    expect((await readAll(ward.journal)).length).toBe(before);
  });
});
