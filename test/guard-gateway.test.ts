import { describe, expect, onTestFinished, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import type { Act } from "../src/core/act.ts";
import { bedId, deviceId, patientId, seq } from "../src/core/ids.ts";
import { createTimeline } from "../src/core/mended-time.ts";
import type { Observation } from "../src/core/observation.ts";
import type { LifeStart } from "../src/core/record.ts";
import { followLastWorn } from "../src/gateway/last-worn.ts";
import type { SystemTime } from "../src/gateway/system-time.ts";
import { committed, openOrFail, temporaryFolder } from "./support/journal-folder.ts";
import { actOf, observationOf } from "./support/journal-records.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

const WELL = { heartRate: 72, respiratoryRate: 14, oxygenSaturation: 97 };
const ILL = { heartRate: 72, respiratoryRate: 14, oxygenSaturation: 79 };
const MONITOR = deviceId("monitor-1");
const ANNA = patientId("patient-1");

/** A ward whose monitor has measured its patient for three seconds. */
async function wornWard(options: Parameters<typeof startSmallWard>[0] = {}): Promise<SmallWard> {
  const ward = await startSmallWard(options);
  await ward.admit(1);
  ward.link("monitor-1").up();
  await ward.stream("monitor-1", 3, WELL);
  return ward;
}

/** The open questions, as patient, bed, device, why and how long the gap was. */
const questions = (ward: SmallWard) =>
  ward.gateway
    .openAlerts()
    .flatMap(({ evidence, subject, nature }) =>
      evidence.kind === "still-on-patient"
        ? [[nature, subject.patientId, subject.bedId, subject.deviceId, evidence.why, evidence.gapSeconds]]
        : [],
    );

const ASKED = (gapSeconds: number | null) => [["technical", ANNA, bedId("bed-1"), MONITOR, "gap", gapSeconds]];

/** Saturations in the journal with their flags, oldest first. */
async function kept(ward: SmallWard): Promise<readonly (readonly [number | null, readonly string[]])[]> {
  const records = await ward.journal.read({ afterSeq: 0 as never, limit: 1000, kinds: ["observation"] });
  return records
    .filter((record): record is Observation => record.kind === "observation" && record.quantity === "oxygenSaturation")
    .map(({ content, quality }) => [content.state === "present" ? content.value : null, quality.flags]);
}

const answer = (ward: SmallWard) => ward.act({ kind: "confirm-assignment", deviceId: MONITOR, patientId: ANNA });

describe("a monitor that was off for half an hour asks whether it is still on its patient", () => {
  test("on both sides of the bound, by the bytes that come", async () => {
    for (const [quietSeconds, asked] of [
      [1798, []],
      [1799, ASKED(1800)],
    ] as const) {
      const ward = await wornWard();
      await ward.clock.advance(quietSeconds * 1000);
      await ward.stream("monitor-1", 1, WELL);
      expect(questions(ward), `${quietSeconds} s`).toEqual(asked);
      await ward.gateway.stop();
    }
  });
  test("a lifted finger counts as off, although the monitor goes on sending", async () => {
    const ward = await wornWard();
    await ward.stream("monitor-1", 1800, {});
    expect(questions(ward)).toEqual([]);
    await ward.stream("monitor-1", 1, WELL);
    expect(questions(ward)).toEqual(ASKED(1801));
    await ward.gateway.stop();
  });
  test("its values go on to the patient, marked, and alert; a confirmation ends mark and question, which come again after the next gap", async () => {
    const ward = await wornWard();
    await ward.clock.advance(3_000_000);
    await ward.stream("monitor-1", 15, ILL);
    expect(ward.gateway.openAlerts().map(({ rule, nature, state }) => [rule, nature, state])).toEqual(
      expect.arrayContaining([
        ["limit.oxygenSaturation.low", "physiological", "active"],
        ["still-on-patient", "technical", "active"],
      ]),
    );
    expect((await answer(ward)).ok).toBe(true);
    expect(questions(ward)).toEqual([]);
    await ward.stream("monitor-1", 2, WELL);
    const before = Array.from({ length: 3 }, () => [97, []]);
    const during = Array.from({ length: 15 }, () => [79, ["patient-unconfirmed"]]);
    expect(await kept(ward)).toEqual([...before, ...during, [97, []], [97, []]]);
    await ward.clock.advance(1_799_000);
    await ward.stream("monitor-1", 1, WELL);
    expect(questions(ward)).toEqual(ASKED(1800));
    await ward.gateway.stop();
  });
  test("release ends it, and the device asks nothing of whom it is assigned to next", async () => {
    const ward = await wornWard();
    await ward.clock.advance(1_900_000);
    await ward.stream("monitor-1", 1, WELL);
    await ward.act({ kind: "release", deviceId: MONITOR });
    expect(questions(ward)).toEqual([]);
    await ward.admit(2);
    await ward.act({ kind: "release", deviceId: deviceId("monitor-2") });
    await ward.act({ kind: "assign", deviceId: MONITOR, patientId: patientId("patient-2") });
    await ward.stream("monitor-1", 3, WELL);
    expect(questions(ward)).toEqual([]);
    expect((await kept(ward)).slice(-3)).toEqual(Array.from({ length: 3 }, () => [97, []]));
    await ward.gateway.stop();
  });
  test("acknowledging it is no answer", async () => {
    const ward = await wornWard();
    await ward.clock.advance(1_900_000);
    await ward.stream("monitor-1", 1, WELL);
    const [alert] = ward.gateway.openAlerts().filter(({ rule }) => rule === "still-on-patient");
    await ward.act({ kind: "acknowledge", alertId: alert?.id ?? ("" as never) });
    await ward.stream("monitor-1", 2, WELL);
    expect(questions(ward)).toHaveLength(1);
    expect((await kept(ward)).at(-1)).toEqual([97, ["patient-unconfirmed"]]);
    await ward.gateway.stop();
  });
  test("a board that slept half an hour asks, although its own clock stood still", async () => {
    for (const [sleptSeconds, asked] of [
      [1790, []],
      [1799, ASKED(1800)],
    ] as const) {
      const clock = createSimulatedClock();
      const systemTime: SystemTime = { word: () => "unknown", boot: () => ({ id: "run-1", atMs: clock.runMs() }) };
      const ward = await wornWard({ clock, systemTime });
      clock.suspend(sleptSeconds * 1000);
      await ward.stream("monitor-1", 1, WELL);
      expect(questions(ward), `${sleptSeconds} s`).toEqual(asked);
      await ward.gateway.stop();
    }
  });
  test("a person's own device never asks", async () => {
    const ward = await wornWard({ ofDevices: ", personal: true" });
    await ward.clock.advance(90_000_000);
    await ward.stream("monitor-1", 1, WELL);
    expect(questions(ward)).toEqual([]);
    await ward.gateway.stop();
  });
});

describe("the patient goes to another bed", () => {
  test("the monitor that stands at the old one asks with its next message, and is done with when it is taken off", async () => {
    const ward = await wornWard();
    await ward.act({ kind: "transfer", patientId: ANNA, bedId: bedId("bed-2") });
    expect(questions(ward)).toEqual([]);
    await ward.stream("monitor-1", 1, WELL);
    expect(questions(ward)).toEqual([["technical", ANNA, bedId("bed-2"), MONITOR, "moved", null]]);
    await ward.act({ kind: "release", deviceId: MONITOR });
    expect(questions(ward)).toEqual([]);
    await ward.gateway.stop();
  });
  test("a restart between the move and the next message loses nothing; nor is it asked again once somebody has answered", async () => {
    const first = await wornWard();
    await first.act({ kind: "transfer", patientId: ANNA, bedId: bedId("bed-2") });
    const ward = await first.crash();
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 1, WELL);
    expect(questions(ward)).toEqual([["technical", ANNA, bedId("bed-2"), MONITOR, "moved", null]]);
    await answer(ward);
    const again = await ward.crash();
    again.link("monitor-1").up();
    await again.stream("monitor-1", 60, WELL);
    expect(questions(again)).toEqual([]);
    // Away from its bed five minutes are enough, over a restart too.
    const later = await again.crash(300_000);
    later.link("monitor-1").up();
    await later.stream("monitor-1", 1, WELL);
    expect(questions(later)).toEqual([["technical", ANNA, bedId("bed-2"), MONITOR, "gap", 301]]);
    await later.gateway.stop();
  });
});

describe("a restart of the gateway", () => {
  test("in the gap: the time before, without and after the gateway counts together", async () => {
    for (const [afterSeconds, asked] of [
      [598, []],
      [599, ASKED(1800)],
    ] as const) {
      const first = await wornWard();
      await first.clock.advance(600_000);
      const ward = await first.crash(600_000);
      await ward.clock.advance(afterSeconds * 1000);
      ward.link("monitor-1").up();
      await ward.stream("monitor-1", 1, WELL);
      expect(questions(ward), `${afterSeconds} s`).toEqual(asked);
      await ward.gateway.stop();
    }
  });
  test("that took longer than the bound is a gap itself, and a short one is none", async () => {
    for (const [downMs, asked] of [
      [1_798_000, []],
      [1_900_000, ASKED(1901)],
    ] as const) {
      const first = await wornWard();
      const ward = await first.crash(downMs);
      ward.link("monitor-1").up();
      await ward.stream("monitor-1", 1, WELL);
      expect(questions(ward), `${downMs} ms`).toEqual(asked);
      await ward.gateway.stop();
    }
  });
  test("while it is asked: the question goes on with its marks until it is answered", async () => {
    const first = await wornWard();
    await first.clock.advance(1_900_000);
    await first.stream("monitor-1", 2, WELL);
    const ward = await first.crash();
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 2, ILL);
    expect(questions(ward)).toHaveLength(1);
    expect((await kept(ward)).at(-1)).toEqual([79, ["patient-unconfirmed"]]);
    await answer(ward);
    const again = await ward.crash();
    again.link("monitor-1").up();
    await again.stream("monitor-1", 2, WELL);
    expect(questions(again)).toEqual([]);
    expect((await kept(again)).at(-1)).toEqual([97, []]);
    await again.gateway.stop();
  });
  test("of a board without a clock asks nothing once the clock is set and tells that there was no gap", async () => {
    const clock = createSimulatedClock();
    let boot = 1;
    let word: ReturnType<SystemTime["word"]> = "synchronised";
    const systemTime: SystemTime = { word: () => word, boot: () => ({ id: `run-${boot}`, atMs: clock.runMs() }) };
    const first = await wornWard({ clock, systemTime });
    const ward = await first.crash(120_000, () => {
      boot += 1;
      word = "not-synchronised";
      clock.stepWall(-200 * 86_400_000);
    });
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 30, WELL);
    expect(questions(ward)).toEqual([]);
    expect((await kept(ward)).at(-1)).toEqual([97, ["patient-unconfirmed"]]);
    clock.stepWall(200 * 86_400_000);
    word = "synchronised";
    await ward.stream("monitor-1", 200, WELL);
    expect(questions(ward)).toEqual([]);
    expect((await kept(ward)).at(-1)).toEqual([97, []]);
    await ward.gateway.stop();
  });
});

describe("what devices last measured, out of a real journal", () => {
  const clock = createSimulatedClock();
  const START: LifeStart = {
    kind: "start",
    seq: seq(1),
    atMs: clock.wall(),
    atMonotonicMs: clock.monotonic(),
    version: "0",
    before: "first",
    leftOut: null,
    boot: null,
    trust: "trusted",
  };
  const assign = (number: number, device: string): Act => ({
    ...actOf({ seq: number }),
    atMs: clock.wall(),
    deed: { kind: "assign", deviceId: deviceId(device), patientId: ANNA },
  });

  test("the newest sound value of each within the time that is looked back, and nothing where all is known already", async () => {
    const place = temporaryFolder();
    onTestFinished(place.remove);
    const written = await openOrFail(place.folder);
    const at = (number: number, device: string, agoSeconds: number, more = {}) =>
      observationOf({ seq: number, device, atMs: clock.wall() - agoSeconds * 1000, quantity: "oxygenSaturation", ...more });
    written.append([START, assign(2, "clip-1"), assign(3, "clip-2"), assign(4, "clip-3")]);
    written.append([at(5, "clip-3", 1900), at(6, "clip-1", 1500), at(7, "clip-2", 1400), at(8, "clip-1", 900)]);
    written.append([at(9, "clip-1", 800, { validity: "questionable" }), at(10, "clip-1", 700, { value: null })]);
    await committed(written, 10);
    await written.close();
    const journal = await openOrFail(place.folder);
    const acts = [assign(2, "clip-1"), assign(3, "clip-2"), assign(4, "clip-3")];
    const timeline = createTimeline([START]);
    const told: Observation[] = [];
    const ask = (recent: readonly Observation[]) =>
      followLastWorn(journal, { clock, timeline, acts, recent, backMs: 1_800_000, take: (found) => told.push(...found) });
    const found = await ask([at(11, "clip-1", 1)]);
    expect(new Map(found.map((each) => [each.deviceId, each.seq])).get(deviceId("clip-1"))).toBe(8);
    expect(new Map(found.map((each) => [each.deviceId, each.seq])).get(deviceId("clip-2"))).toBe(7);
    expect(told).toEqual(found);
    expect(await ask(["clip-1", "clip-2", "clip-3"].map((device, index) => at(12 + index, device, 1)))).toEqual([]);
    await journal.close();
    // A journal that does not answer: nothing is known, and nobody waits for it.
    expect(await ask([])).toEqual([]);
  });
});

test("a bed's room and ward are in the picture, as the configuration says", async () => {
  const ward = await startSmallWard({ bed: ', room: "301", ward: 3 East' });
  expect(ward.gateway.source.picture().beds.map(({ title, room, ward: of }) => [title, room, of])).toEqual([
    ["1", "301", "3 East"],
    ["2", null, null],
  ]);
  await ward.gateway.stop();
});
