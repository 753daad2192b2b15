import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createSimulatedClock, type SimulatedClock } from "../simulator/world/simulated-clock.ts";
import { deviceId, patientId, seq } from "../src/core/ids.ts";
import type { ClockRecord, JournalRecord } from "../src/core/record.ts";
import { FAR_AHEAD_MS, RELEASED_AT_MS, wallMs } from "../src/core/time.ts";
import { createSystemTime, SILENT_SYSTEM, type SystemTime } from "../src/gateway/system-time.ts";
import { type ClockHistory, createWallClock, type WallClock } from "../src/gateway/wall-clock.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

const HOUR_MS = 3_600_000;
const TO_1970_MS = -Date.UTC(2026, 0, 1);
const WELL = { heartRate: 72, respiratoryRate: 15, oxygenSaturation: 97 };

const saying = (word: ReturnType<SystemTime["word"]>): SystemTime => ({ word: () => word, boot: () => null });

function begin(given: {
  readonly wallMs: number;
  readonly newestMs?: number;
  readonly system?: SystemTime;
  readonly believe?: "system" | "always";
  readonly clock?: SimulatedClock;
  readonly records?: ClockHistory["records"];
}): { readonly clock: SimulatedClock; readonly wallClock: WallClock } {
  const clock = given.clock ?? createSimulatedClock();
  clock.stepWall(given.wallMs - clock.wall());
  const newestMs = given.newestMs === undefined ? null : wallMs(given.newestMs);
  const history = { records: given.records ?? [], newestMs };
  const wallClock = createWallClock({
    clock,
    system: given.system ?? SILENT_SYSTEM,
    history,
    believe: given.believe ?? "system",
  });
  return { clock, wallClock };
}
const doubtOf = (given: Parameters<typeof begin>[0]) => begin(given).wallClock.doubt()?.facts["why"] ?? null;

describe("whether a clock is believed at the start", () => {
  const JUNE = Date.UTC(2026, 5, 1);

  test("not before the release, and from that moment on", () => {
    expect(doubtOf({ wallMs: RELEASED_AT_MS - 1 })).toBe("before-release");
    expect(doubtOf({ wallMs: RELEASED_AT_MS })).toBeNull();
  });

  test("not twenty years later, and until then", () => {
    expect(doubtOf({ wallMs: FAR_AHEAD_MS })).toBe("far-ahead");
    expect(doubtOf({ wallMs: FAR_AHEAD_MS - 1 })).toBeNull();
  });

  test("not a minute and more before what the journal knows", () => {
    expect(doubtOf({ wallMs: JUNE, newestMs: JUNE + 60_001 })).toBe("before-journal");
    expect(doubtOf({ wallMs: JUNE, newestMs: JUNE + 60_000 })).toBeNull();
  });

  test("not while the system's own service has yet to set it; a system that says nothing is no reason to doubt", () => {
    expect(doubtOf({ wallMs: JUNE, system: saying("not-synchronised") })).toBe("not-synchronised");
    expect(doubtOf({ wallMs: JUNE, system: saying("unknown") })).toBeNull();
  });

  test("a clock that the system has set is believed even where the journal was once written in the future", () => {
    expect(doubtOf({ wallMs: JUNE, newestMs: Date.UTC(2099, 0), system: saying("synchronised") })).toBeNull();
  });

  test("who vouches for the clock is believed", () => {
    expect(doubtOf({ wallMs: JUNE, system: saying("not-synchronised"), believe: "always" })).toBeNull();
  });

  test("a process takes over the trust of the one before it in the same run of the board, unless the clock was set in between", () => {
    const again = (movedMs: number, id = "run-1") => {
      const clock = createSimulatedClock();
      const system: SystemTime = { word: () => "not-synchronised", boot: () => ({ id, atMs: clock.runMs() }) };
      const start = {
        kind: "start",
        seq: seq(1),
        atMs: wallMs(JUNE - 10_000 - movedMs),
        atMonotonicMs: clock.monotonic(),
        version: "0",
        before: "first",
        leftOut: null,
        boot: { id: "run-1", atMs: clock.runMs() - 10_000 },
      } as const;
      return doubtOf({ wallMs: JUNE, system, clock, records: [start] });
    };
    expect(again(0)).toBeNull();
    expect(again(59_000)).toBeNull();
    expect(again(61_000)).toBe("not-synchronised");
    expect(again(0, "run-2")).toBe("not-synchronised");
  });
});

describe("whether a clock is believed after it was set", () => {
  const JUNE = Date.UTC(2026, 5, 1);
  const look = async ({ clock, wallClock }: ReturnType<typeof begin>, stepMs: number) => {
    clock.stepWall(stepMs);
    await clock.advance(1000);
    return wallClock.look().map(({ why, movedMs, trust }) => ({ why, movedMs, trust }));
  };

  test("set from 1970 to a time that can be, it is believed", async () => {
    const begun = begin({ wallMs: 5000, newestMs: JUNE });
    expect(await look(begun, JUNE)).toEqual([{ why: "step", movedMs: JUNE, trust: "trusted" }]);
  });

  test("set from 1970 to a time before what the journal holds, or before the release, it is still doubted", async () => {
    expect(await look(begin({ wallMs: 5000, newestMs: JUNE }), JUNE - 70_000)).toMatchObject([{ trust: "untrusted" }]);
    expect(await look(begin({ wallMs: 5000 }), Date.UTC(2015, 0))).toMatchObject([{ trust: "untrusted" }]);
  });

  test("a believed clock that is set back stays believed: who sets it knows more than the board. But not before the release", async () => {
    expect(await look(begin({ wallMs: JUNE, newestMs: JUNE }), -3 * HOUR_MS)).toMatchObject([{ trust: "trusted" }]);
    expect(await look(begin({ wallMs: JUNE, newestMs: JUNE }), -JUNE)).toMatchObject([{ trust: "untrusted" }]);
  });

  test("half a second is a step, less is not", async () => {
    expect(await look(begin({ wallMs: JUNE }), 500)).toMatchObject([{ why: "step", movedMs: 500 }]);
    expect(await look(begin({ wallMs: JUNE }), -499)).toEqual([]);
    expect(await look(begin({ wallMs: JUNE }), 499)).toEqual([]);
  });

  test("several small ones are a drift, as soon as they are half a second together", async () => {
    const begun = begin({ wallMs: JUNE });
    expect(await look(begun, 300)).toEqual([]);
    expect(await look(begun, 300)).toEqual([{ why: "drift", movedMs: 600, trust: "trusted" }]);
    expect(await look(begun, -400)).toEqual([]);
  });

  test("a clock that was not set yet is believed within a second of the system's word", async () => {
    let word: ReturnType<SystemTime["word"]> = "not-synchronised";
    const begun = begin({ wallMs: JUNE, system: { word: () => word, boot: () => null } });
    expect(await look(begun, 0)).toEqual([]);
    word = "synchronised";
    expect(await look(begun, 0)).toEqual([{ why: "trust", movedMs: 0, trust: "trusted" }]);
  });

  test("sleep is told apart from a step, also when both happen at once", async () => {
    const clock = createSimulatedClock();
    const system: SystemTime = { word: () => "unknown", boot: () => ({ id: "run", atMs: clock.runMs() }) };
    const begun = begin({ wallMs: JUNE, clock, system });
    clock.suspend(8 * HOUR_MS);
    expect(await look(begun, 0)).toEqual([{ why: "suspend", movedMs: 8 * HOUR_MS, trust: "trusted" }]);
    clock.suspend(HOUR_MS);
    expect(await look(begun, -20_000)).toEqual([
      { why: "suspend", movedMs: HOUR_MS, trust: "trusted" },
      { why: "step", movedMs: -20_000, trust: "trusted" },
    ]);
  });
});

test("systemd's files are read: no folder says nothing, a folder alone says not yet, the file says set", async () => {
  const root = `${await mkdtemp(join(tmpdir(), "vigil-time-"))}/`;
  try {
    const system = createSystemTime(root);
    expect(system.word()).toBe("unknown");
    expect(system.boot()).toBeNull();
    await mkdir(join(root, "run/systemd/timesync"), { recursive: true });
    expect(system.word()).toBe("not-synchronised");
    await writeFile(join(root, "run/systemd/timesync/synchronized"), "");
    expect(system.word()).toBe("synchronised");
    await mkdir(join(root, "proc/sys/kernel/random"), { recursive: true });
    await writeFile(join(root, "proc/sys/kernel/random/boot_id"), "0f8e-11\n");
    await writeFile(join(root, "proc/uptime"), "350735.47 234388.90\n");
    expect(system.boot()).toEqual({ id: "0f8e-11", atMs: 350_735_470 });
  } finally {
    await rm(root, { recursive: true });
  }
});

test("this machine says which run it is in, and how long it runs", () => {
  const boot = createSystemTime().boot();
  expect(boot?.id).toMatch(/^[0-9a-f-]{36}$/);
  expect(boot?.atMs).toBeGreaterThan(1000);
});

// ------------------------------------------------------------------ the gateway

/** All records of a ward's journal. */
async function recordsOf(ward: SmallWard): Promise<readonly JournalRecord[]> {
  const found: JournalRecord[] = [];
  for (;;) {
    const page = await ward.journal.read({ afterSeq: found.at(-1)?.seq ?? seq(0), limit: 1000 });
    if (page.length === 0) return found;
    found.push(...page);
  }
}
const clockRecords = async (ward: SmallWard) =>
  (await recordsOf(ward)).filter((record): record is ClockRecord => record.kind === "clock");
const bedOf = (ward: SmallWard) => {
  const bed = ward.gateway.source.picture().beds[0];
  if (bed === undefined) throw new Error("the ward has a bed");
  return bed;
};
const trendOf = (ward: SmallWard, fromMs: number, toMs: number) =>
  ward.gateway.source.trend({
    patientId: patientId("patient-1"),
    quantity: "heartRate",
    fromMs: wallMs(fromMs),
    toMs: wallMs(toMs),
    pointsMax: 1000,
  });
const clockAlerts = (ward: SmallWard) =>
  ward.said.filter(({ rule }) => rule === "fault.clock-untrusted").map(({ phase }) => phase);

async function wardIn1970(system?: SystemTime): Promise<SmallWard> {
  const clock = createSimulatedClock();
  clock.stepWall(TO_1970_MS);
  return startSmallWard({ clock, ...(system === undefined ? {} : { systemTime: system }) });
}

describe("boot without a clock", () => {
  test("it is told, on the wall and as a technical alert, until the clock is set", async () => {
    const ward = await wardIn1970();
    expect(ward.gateway.source.picture().gateway.clockTrust).toBe("untrusted");
    expect(clockAlerts(ward)).toEqual(["start"]);
    expect(ward.said[0]).toMatchObject({ nature: "technical", evidence: { facts: { why: "before-release" } } });
    await ward.clock.advance(5000);
    ward.clock.stepWall(-TO_1970_MS);
    await ward.clock.advance(1000);
    expect(ward.gateway.source.picture().gateway.clockTrust).toBe("trusted");
    expect(ward.gateway.clockTrust()).toBe("trusted");
    await ward.clock.advance(6000);
    expect(clockAlerts(ward)).toEqual(["start", "end"]);
    expect(await clockRecords(ward)).toMatchObject([{ why: "step", movedMs: -TO_1970_MS, trust: "trusted" }]);
  });

  test("the start record says that the clock is not believed, and a believed one that it is", async () => {
    const doubted = await recordsOf(await wardIn1970());
    expect(doubted[0]).toMatchObject({ kind: "start", trust: "untrusted", notBeforeMs: null, boot: null });
    const believed = await recordsOf(await startSmallWard());
    expect(believed[0]).toMatchObject({ kind: "start", trust: "trusted" });
  });

  test("a trend shows what was measured in 1970 where it belongs once the clock is set, in order, none overwritten", async () => {
    const ward = await wardIn1970();
    ward.link("monitor-1").up();
    await ward.admit(1);
    for (let second = 0; second < 10; second++) await ward.stream("monitor-1", 1, { ...WELL, heartRate: 60 + second });
    const now = ward.clock.wall();
    const shown = await trendOf(ward, now - 60_000, now);
    expect(shown.map(({ value }) => value)).toEqual([60, 61, 62, 63, 64, 65, 66, 67, 68, 69]);
    ward.clock.stepWall(-TO_1970_MS);
    for (let second = 10; second < 20; second++) await ward.stream("monitor-1", 1, { ...WELL, heartRate: 60 + second });
    const later = ward.clock.wall();
    const mended = await trendOf(ward, later - 60_000, later);
    expect(mended.map(({ value }) => value)).toEqual(Array.from({ length: 20 }, (_, index) => 60 + index));
    for (const [index, point] of mended.entries()) expect(point.atMs).toBe(later - (20 - index) * 1000);
    expect(await trendOf(ward, 0, 1e9)).toEqual([]);
  });

  test("the alerts of that time are shown with their right time on the wall, and stand in the journal as written", async () => {
    const ward = await wardIn1970();
    const raisedAt = ward.clock.trueMs();
    ward.link("monitor-1").up();
    await ward.admit(1);
    await ward.stream("monitor-1", 20, { ...WELL, oxygenSaturation: 70 });
    ward.clock.stepWall(-TO_1970_MS);
    await ward.stream("monitor-1", 2, { ...WELL, oxygenSaturation: 70 });
    const shown = ward.gateway.source.picture().alerts.find(({ rule }) => rule.startsWith("limit.oxygen"));
    expect(shown?.raisedAtMs).toBeGreaterThanOrEqual(raisedAt);
    expect(shown?.raisedAtMs).toBeLessThan(raisedAt + 21_000);
    expect(ward.gateway.openAlerts().find(({ rule }) => rule.startsWith("limit.oxygen"))?.raisedAtMs).toBeLessThan(1e9);
  });
});

describe("a restart with a wrong clock", () => {
  /** A ward of which something is known; then the power goes for half an hour and the board has no clock. */
  async function afterPowerCut(system?: SystemTime): Promise<SmallWard> {
    const before = await startSmallWard(system === undefined ? {} : { systemTime: system });
    before.link("monitor-1").up();
    await before.admit(1);
    await before.act({ kind: "enter-consciousness", patientId: patientId("patient-1"), consciousness: "A" });
    await before.stream("monitor-1", 30, WELL);
    return before.crash(1_800_000, () => before.clock.stepWall(TO_1970_MS));
  }

  test("what was known before counts as old, not as new, until its age is known; then it counts as old as it is", async () => {
    const ward = await afterPowerCut();
    expect(clockAlerts(ward)).toEqual(["start"]);
    expect(bedOf(ward).patient?.consciousness).toBeNull();
    expect(bedOf(ward).numbers).toEqual([]);
    await ward.clock.advance(30_000);
    ward.clock.stepWall(-TO_1970_MS);
    await ward.clock.advance(1000);
    const entry = bedOf(ward).patient?.consciousness;
    expect(entry?.value).toBe("A");
    expect(ward.clock.wall() - (entry?.enteredAtMs ?? 0)).toBeCloseTo(1_800_000 + 30_000 + 31_000, -3);
  });

  test("an entry made since is not replaced by the older one", async () => {
    const ward = await afterPowerCut();
    await ward.act({ kind: "enter-consciousness", patientId: patientId("patient-1"), consciousness: "V" });
    ward.clock.stepWall(-TO_1970_MS);
    await ward.clock.advance(1000);
    expect(bedOf(ward).patient?.consciousness?.value).toBe("V");
  });

  test("nothing is raised or ended by what comes back when the clock is set, but the question that only the clock could decide", async () => {
    const ward = await afterPowerCut();
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 5, WELL);
    const others = () => ward.said.filter(({ rule }) => !rule.includes("clock") && rule !== "still-on-patient").length;
    const questions = () => ward.said.filter(({ rule }) => rule === "still-on-patient").length;
    const before = others();
    expect(questions()).toBe(0);
    ward.clock.stepWall(-TO_1970_MS);
    await ward.stream("monitor-1", 5, WELL);
    expect(others()).toBe(before);
    // Half an hour without power: the monitor may have been carried to another bed.
    expect(questions()).toBe(1);
  });

  test("within the same run of the board ages are known whatever the wall clock says", async () => {
    const clock = createSimulatedClock();
    const system: SystemTime = { word: () => "unknown", boot: () => ({ id: "run-1", atMs: clock.runMs() }) };
    const before = await startSmallWard({ clock, systemTime: system });
    before.link("monitor-1").up();
    await before.admit(1);
    await before.act({ kind: "enter-consciousness", patientId: patientId("patient-1"), consciousness: "A" });
    await before.stream("monitor-1", 30, WELL);
    const ward = await before.crash(2000, () => clock.stepWall(TO_1970_MS));
    expect(ward.gateway.clockTrust()).toBe("untrusted");
    expect(bedOf(ward).patient?.consciousness?.value).toBe("A");
    expect(clock.wall() - (bedOf(ward).patient?.consciousness?.enteredAtMs ?? 0)).toBe(32_000);
    const heartRate = bedOf(ward).numbers.find(({ quantity }) => quantity === "heartRate");
    expect(clock.wall() - (heartRate?.measuredAtMs ?? 0)).toBe(3000);
  });

  test("a life that never learns the time is put behind the one before it, also in the trend of the next one", async () => {
    const before = await startSmallWard();
    before.link("monitor-1").up();
    await before.admit(1);
    await before.stream("monitor-1", 3, { ...WELL, heartRate: 61 });
    const lost = await before.crash(1_800_000, () => before.clock.stepWall(TO_1970_MS));
    lost.link("monitor-1").up();
    await lost.stream("monitor-1", 3, { ...WELL, heartRate: 71 });
    const again = await lost.crash(1_800_000, () => lost.clock.stepWall(-lost.clock.wall()));
    again.link("monitor-1").up();
    await again.stream("monitor-1", 3, { ...WELL, heartRate: 81 });
    const now = again.clock.wall();
    const shown = await trendOf(again, now - HOUR_MS, now);
    expect(shown.map(({ value }) => value)).toEqual([61, 61, 61, 71, 71, 71, 81, 81, 81]);
    const times = shown.map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  test("a clock chip that said 2099 in one life does not make the right time of the next one wrong", async () => {
    const before = await startSmallWard();
    before.link("monitor-1").up();
    await before.admit(1);
    await before.stream("monitor-1", 3, { ...WELL, heartRate: 61 });
    const garbled = await before.crash(60_000, () => before.clock.stepWall(Date.UTC(2099, 0) - before.clock.wall()));
    expect(garbled.gateway.clockTrust()).toBe("untrusted");
    garbled.link("monitor-1").up();
    await garbled.stream("monitor-1", 3, { ...WELL, heartRate: 71 });
    const ward = await garbled.crash(60_000, () => garbled.clock.stepWall(garbled.clock.trueMs() - garbled.clock.wall()));
    expect(ward.gateway.clockTrust()).toBe("trusted");
    expect(bedOf(ward).numbers.find(({ quantity }) => quantity === "heartRate")?.content).toEqual({
      state: "present",
      value: 61,
    });
  });

  test("an acknowledged alert is announced again in its time, whatever the clock says after the restart", async () => {
    const clock = createSimulatedClock();
    const system: SystemTime = { word: () => "unknown", boot: () => ({ id: "run-1", atMs: clock.runMs() }) };
    for (const stepMs of [TO_1970_MS, -3 * HOUR_MS, 3 * HOUR_MS]) {
      const before = await startSmallWard({ clock, systemTime: system });
      before.link("monitor-1").up();
      await before.admit(1);
      await before.stream("monitor-1", 20, { ...WELL, oxygenSaturation: 70 });
      const low = before.gateway.openAlerts().find(({ rule }) => rule === "limit.oxygenSaturation.low");
      if (low === undefined) throw new Error("nothing was raised");
      await before.act({ kind: "acknowledge", alertId: low.id });
      await before.stream("monitor-1", 300, { ...WELL, oxygenSaturation: 70 });
      const ward = await before.crash(1000, () => clock.stepWall(stepMs));
      ward.link("monitor-1").up();
      const again = () => ward.said.filter(({ rule, phase }) => rule === low.rule && phase === "continue").length;
      await ward.stream("monitor-1", 297, { ...WELL, oxygenSaturation: 70 });
      expect(again(), `${stepMs}: too soon`).toBe(0);
      await ward.stream("monitor-1", 4, { ...WELL, oxygenSaturation: 70 });
      expect(again(), `${stepMs}: in time`).toBe(1);
      await ward.gateway.stop();
      clock.stepWall(clock.trueMs() - clock.wall());
    }
  });
});

test("a device that was assigned is shown with its right age after a step", async () => {
  const ward = await startSmallWard();
  ward.link("monitor-1").up();
  await ward.admit(1);
  await ward.stream("monitor-1", 3, WELL);
  ward.clock.stepWall(-3 * HOUR_MS);
  const view = () => bedOf(ward).devices.find((device) => device.deviceId === deviceId("monitor-1"));
  expect(ward.clock.wall() - (view()?.lastHeardAtMs ?? 0)).toBe(1000);
});
