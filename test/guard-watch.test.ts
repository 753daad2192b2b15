import { describe, expect, test } from "vitest";
import { ALERT_DEFAULTS, type AlertBook, type AlertMoment, emptyBook, stepAlerts } from "../src/alerts/life-cycle.ts";
import type { Alert } from "../src/core/alert.ts";
import { alertId, bedId, seq } from "../src/core/ids.ts";
import type { Observation } from "../src/core/observation.ts";
import type { QuantityName } from "../src/core/quantities.ts";
import type { WatchDevice } from "../src/watch/watch-state.ts";
import { ANNA, createWard, DEVICE, MONITOR, type Ward } from "./support/watched-ward.ts";

const ASKED = `still-on-patient/${MONITOR}`;
const LOW = `limit.oxygenSaturation.low/${ANNA}`;
/** A clip that asks after half an hour, or five minutes where its patient lies elsewhere. It is not expected to say anything. */
const CLIP: WatchDevice = { ...DEVICE, expected: [], silenceSeconds: 86_400, bedId: null };
const WELL = 97;

function assigned(device: Partial<WatchDevice> = {}): Ward {
  const ward = createWard();
  ward.note(ward.watch.setDevice({ ...CLIP, ...device }));
  return ward;
}

const wear = (ward: Ward) => ward.say("oxygenSaturation", WELL);

function moveTo(ward: Ward, bed: string, device: { readonly away: boolean } | null): void {
  ward.note(
    ward.watch.setPatient({
      patientId: ANNA,
      bedId: bedId(bed),
      profile: { kind: "adult", spo2Scale: 1 },
      demonstration: false,
    }),
  );
  if (device !== null) ward.watch.patientMoved({ deviceId: MONITOR, away: device.away, atMs: ward.clock.monotonic() });
}

const confirm = (ward: Ward, number = 900) =>
  ward.note(ward.watch.confirmAssignment({ deviceId: MONITOR, atMs: ward.clock.monotonic(), seq: seq(number) }));

/** What holds, of questions and limits. */
const holding = (ward: Ward) => ward.holding().filter((key) => key === ASKED || key.startsWith("limit."));

function questionOf(ward: Ward) {
  const asked = ward.log.findLast(({ change }) => change.kind === "raised" && change.condition.key === ASKED)?.change;
  return asked?.kind === "raised" ? asked.condition : null;
}

describe("a device that measures again after a gap asks whether it is still on its patient", () => {
  test("at the bound, and not a second before it", async () => {
    for (const [seconds, isAsked] of [
      [1799, false],
      [1800, true],
    ] as const) {
      const ward = assigned();
      wear(ward);
      await ward.pass(seconds);
      expect(holding(ward)).toEqual([]);
      wear(ward);
      expect(holding(ward), `after ${seconds} s`).toEqual(isAsked ? [ASKED] : []);
    }
  });
  test("as a technical alert of the patient and the device, which says how long the gap was", async () => {
    const ward = assigned();
    wear(ward);
    await ward.pass(47 * 60);
    wear(ward);
    expect(questionOf(ward)).toMatchObject({
      rule: "still-on-patient",
      nature: "technical",
      priority: "medium",
      subject: { patientId: ANNA, deviceId: MONITOR, bedId: bedId("bed-1") },
      evidence: { kind: "still-on-patient", why: "gap", gapSeconds: 2820, limitSeconds: 1800, sinceMs: ward.clock.wall() },
    });
  });
  test("a sensor that is off, a doubtful value and a battery are no measurement: they neither fill the gap nor end it", async () => {
    const ward = assigned();
    wear(ward);
    await ward.pass(1800, () => {
      ward.say("oxygenSaturation", "sensor-off");
      ward.say("oxygenSaturation", 91, { quality: { validity: "questionable", flags: ["weak-signal"] } });
      ward.say("batteryLevel" as QuantityName, 80);
    });
    expect(holding(ward)).toEqual([]);
    wear(ward);
    expect(holding(ward)).toEqual([ASKED]);
  });
  test("a second device that went on measuring answers for itself only", async () => {
    const ward = assigned();
    wear(ward);
    await ward.pass(1800, () => ward.say("heartRate", 71, { deviceId: "other" as typeof MONITOR }));
    wear(ward);
    expect(holding(ward)).toEqual([ASKED]);
  });
  test("a device that is put on long after it was assigned asks as well", async () => {
    const ward = assigned();
    await ward.pass(1800);
    wear(ward);
    expect(holding(ward)).toEqual([ASKED]);
  });
  test("a device of one person alone, or of nobody, never asks", async () => {
    for (const device of [{ asksAfter: null }, { patientId: null }]) {
      const ward = assigned(device);
      wear(ward);
      await ward.pass(86_000);
      wear(ward);
      expect(ward.raised("still-on-patient")).toEqual([]);
    }
  });
  test("a clock that is set by hours makes no gap and hides none", async () => {
    const ward = assigned();
    wear(ward);
    await ward.pass(1000);
    ward.clock.stepWall(5 * 3_600_000);
    wear(ward);
    expect(holding(ward)).toEqual([]);
    ward.clock.stepWall(-5 * 3_600_000);
    await ward.pass(1800);
    wear(ward);
    expect(holding(ward)).toEqual([ASKED]);
  });
  test("a sleep of the board counts as time without a measurement", async () => {
    for (const [sleptSeconds, isAsked] of [
      [1789, false],
      [1790, true],
    ] as const) {
      const ward = assigned();
      wear(ward);
      await ward.pass(10);
      ward.clock.suspend(sleptSeconds * 1000);
      ward.watch.slept(sleptSeconds * 1000);
      wear(ward);
      expect(holding(ward)).toEqual(isAsked ? [ASKED] : []);
    }
  });
  test("what a device kept while it was out of reach fills the gap, as far as it goes", async () => {
    const late = { validity: "valid", flags: ["late"] } as const;
    const ward = assigned();
    wear(ward);
    await ward.pass(3000);
    for (const agoMs of [2_400_000, 1_300_000]) ward.say("oxygenSaturation", WELL, { agoMs, quality: late });
    wear(ward);
    expect(holding(ward)).toEqual([]);
    const gapped = assigned();
    wear(gapped);
    await gapped.pass(3000);
    gapped.say("oxygenSaturation", WELL, { agoMs: 600_000, quality: late });
    expect(holding(gapped)).toEqual([ASKED]);
  });
});

describe("asking mutes nothing", () => {
  test("values count and alert for the patient all the while", async () => {
    const ward = assigned();
    wear(ward);
    await ward.pass(2000);
    await ward.pass(15, () => ward.say("oxygenSaturation", 80));
    expect(holding(ward)).toEqual([LOW, ASKED].sort());
    expect(ward.watch.view(ANNA)?.numbers).toMatchObject([{ content: { state: "present", value: 80 } }]);
  });
  test("they are marked from the first one after the gap to the answer, and what was kept from before it is not", async () => {
    const ward = assigned();
    wear(ward);
    await ward.pass(1800);
    expect(ward.watch.isUnconfirmed(ward.make("oxygenSaturation", "sensor-off"))).toBe(false);
    expect(ward.watch.isUnconfirmed(ward.make("oxygenSaturation", WELL))).toBe(true);
    expect(ward.watch.isUnconfirmed(ward.make("oxygenSaturation", WELL, { agoMs: 1000 }))).toBe(false);
    wear(ward);
    await ward.pass(3600, () => expect(ward.watch.isUnconfirmed(wear(ward))).toBe(true));
    expect(ward.watch.isUnconfirmed(ward.make("oxygenSaturation", WELL, { agoMs: 3_700_000 }))).toBe(false);
    expect(ward.watch.isUnconfirmed(ward.make("batteryLevel", 80))).toBe(false);
    confirm(ward);
    expect(ward.watch.isUnconfirmed(ward.make("oxygenSaturation", WELL))).toBe(false);
  });
});

describe("the answer ends it, and it is asked again after the next gap only", () => {
  const asked = async () => {
    const ward = assigned();
    wear(ward);
    await ward.pass(1800);
    wear(ward);
    expect(holding(ward)).toEqual([ASKED]);
    return ward;
  };
  test("it stands while the device goes on, and while it is off again", async () => {
    const ward = await asked();
    await ward.pass(4000, (second) => {
      if (second < 100 || second > 3900) wear(ward);
    });
    expect(holding(ward)).toEqual([ASKED]);
    expect(ward.raised("still-on-patient")).toHaveLength(1);
  });
  test("a confirmation ends it; the next gap counts from there", async () => {
    const ward = await asked();
    await ward.pass(5);
    confirm(ward);
    expect(holding(ward)).toEqual([]);
    await ward.pass(1799);
    wear(ward);
    expect(holding(ward)).toEqual([]);
    await ward.pass(1800);
    wear(ward);
    expect(holding(ward)).toEqual([ASKED]);
  });
  test("releasing it and assigning it to another end it", async () => {
    for (const patientId of [null, "berta" as typeof ANNA]) {
      const ward = await asked();
      ward.note(
        ward.watch.setPatient({
          patientId: "berta" as typeof ANNA,
          bedId: bedId("bed-9"),
          profile: { kind: "adult", spo2Scale: 1 },
          demonstration: false,
        }),
      );
      ward.note(ward.watch.setDevice({ ...CLIP, patientId }));
      expect(holding(ward)).toEqual([]);
      expect(ward.watch.isUnconfirmed(ward.make("oxygenSaturation", WELL, { patientId }))).toBe(false);
    }
  });
  test("two numbers of one patient keep the question, under the number that stays", async () => {
    const ward = await asked();
    ward.note(ward.watch.mergePatients({ fromId: ANNA, toId: "anna-2" as typeof ANNA }));
    expect(ward.log.at(-1)?.change).toMatchObject({
      kind: "renamed",
      condition: { key: ASKED, subject: { patientId: "anna-2" } },
    });
    expect(ward.watch.isUnconfirmed(ward.make("oxygenSaturation", WELL, { patientId: "anna-2" as typeof ANNA }))).toBe(true);
  });
});

describe("the patient is moved", () => {
  test("a device that stands at the bed they left asks with its next measurement; one that stands nowhere goes along", async () => {
    for (const [standsAt, isAsked] of [
      [bedId("bed-1"), true],
      [null, false],
    ] as const) {
      const ward = assigned({ bedId: standsAt });
      wear(ward);
      await ward.pass(10);
      moveTo(ward, "bed-5", standsAt === null ? null : { away: true });
      expect(holding(ward)).toEqual([]);
      await ward.pass(1);
      wear(ward);
      expect(holding(ward)).toEqual(isAsked ? [ASKED] : []);
      if (isAsked)
        expect(questionOf(ward)).toMatchObject({
          subject: { bedId: bedId("bed-5") },
          evidence: { why: "moved", gapSeconds: null },
        });
    }
  });
  test("what was measured before the move and comes after it does not ask", async () => {
    const ward = assigned({ bedId: bedId("bed-1") });
    wear(ward);
    await ward.pass(20);
    moveTo(ward, "bed-5", { away: true });
    await ward.pass(1);
    ward.say("oxygenSaturation", WELL, { agoMs: 1001, quality: { flags: ["late"] } });
    expect(holding(ward)).toEqual([]);
    ward.say("oxygenSaturation", WELL, { agoMs: 1000, quality: { flags: ["late"] } });
    expect(holding(ward)).toEqual([ASKED]);
  });
  test("moved back before it measures: nothing is asked", async () => {
    const ward = assigned({ bedId: bedId("bed-1") });
    wear(ward);
    moveTo(ward, "bed-5", { away: true });
    moveTo(ward, "bed-1", { away: false });
    await ward.pass(1);
    wear(ward);
    expect(holding(ward)).toEqual([]);
  });
  test("while it is away from its bed a short gap is enough", async () => {
    for (const [seconds, isAsked] of [
      [299, false],
      [300, true],
    ] as const) {
      const ward = assigned({ bedId: bedId("bed-1") });
      moveTo(ward, "bed-5", { away: true });
      await ward.pass(1);
      wear(ward);
      confirm(ward);
      await ward.pass(seconds);
      wear(ward);
      expect(holding(ward), `after ${seconds} s`).toEqual(isAsked ? [ASKED] : []);
    }
  });
});

describe("a restart", () => {
  function openAlertsOf(ward: Ward, firstSeq = 1): readonly Alert[] {
    let book: AlertBook = emptyBook({ ...ALERT_DEFAULTS, endHoldSeconds: 0 });
    let next = firstSeq;
    const at: AlertMoment = {
      wallMs: ward.clock.wall(),
      monotonicMs: ward.clock.monotonic(),
      nextSeq: () => seq(next++),
      alertId: (number) => alertId(`test-${number}`),
    };
    for (const { change } of ward.log) book = stepAlerts(book, change, at).book;
    return [...book.open.values()].map(({ alert }) => alert);
  }

  /** A new watch that is told of the assignment `wordAgoSeconds` ago (null: nobody knows) and of what was measured last. */
  function restarted(
    before: Ward,
    given: {
      readonly lastWorn?: readonly Observation[];
      readonly observations?: readonly Observation[];
      readonly wordAgoSeconds: number | null;
      /** What was measured last has not been read yet. */
      readonly isReading?: boolean;
      readonly wordSeq?: number;
      readonly openAlerts?: readonly Alert[];
    },
  ): Ward {
    const { lastWorn = [], observations = [], openAlerts = [], wordAgoSeconds, isReading = false } = given;
    const ward = createWard({ clock: before.clock });
    ward.note(ward.watch.setDevice(CLIP));
    const atMs = wordAgoSeconds === null ? null : ward.clock.monotonic() - wordAgoSeconds * 1000;
    ward.note(ward.watch.confirmAssignment({ deviceId: MONITOR, atMs, seq: seq(given.wordSeq ?? 1) }));
    ward.note(ward.watch.restore({ lastWornFollows: true, observations, openAlerts }));
    if (!isReading) ward.note(ward.watch.lastWornRead(lastWorn));
    return ward;
  }

  test("in a gap adds up what was before it and after it, on both sides of the bound", async () => {
    for (const field of ["lastWorn", "observations"] as const) {
      for (const [afterSeconds, isAsked] of [
        [899, false],
        [900, true],
      ] as const) {
        const before = assigned();
        const worn = wear(before);
        await before.clock.advance(900_000);
        const ward = restarted(before, { [field]: [worn], wordAgoSeconds: 90_000 });
        await ward.pass(afterSeconds);
        wear(ward);
        expect(holding(ward), `${field}, ${afterSeconds} s`).toEqual(isAsked ? [ASKED] : []);
        if (isAsked) expect(questionOf(ward)?.evidence).toMatchObject({ gapSeconds: 1800 });
      }
    }
  });
  test("that nobody measured before for longer than is looked back asks without a length", async () => {
    const before = assigned();
    const ward = restarted(before, { wordAgoSeconds: 90_000 });
    await ward.pass(1);
    wear(ward);
    expect(questionOf(ward)?.evidence).toMatchObject({ why: "gap", gapSeconds: null, limitSeconds: 1800 });
  });
  test("a word that is younger than the bound counts as a measurement does", async () => {
    const before = assigned();
    const ward = restarted(before, { wordAgoSeconds: 1700 });
    await ward.pass(99);
    wear(ward);
    expect(holding(ward)).toEqual([]);
  });
  test("where nobody knows how long it took waits for the clock, marks meanwhile, and asks when that takes too long", async () => {
    const before = assigned();
    const ward = restarted(before, { wordAgoSeconds: null });
    await ward.pass(120, () => expect(ward.watch.isUnconfirmed(wear(ward))).toBe(true));
    expect(holding(ward)).toEqual([]);
    await ward.pass(1, () => wear(ward));
    expect(holding(ward)).toEqual([ASKED]);
    expect(questionOf(ward)?.evidence).toMatchObject({ gapSeconds: null });
  });
  test("waits while the journal is read, and then asks, with its length, or does not", async () => {
    for (const [gapSeconds, asked] of [
      [1799, null],
      [1800, 1800],
      [null, null],
    ] as const) {
      const before = assigned();
      const worn = wear(before);
      await before.clock.advance((gapSeconds ?? 5000) * 1000 - 1000);
      const ward = restarted(before, { wordAgoSeconds: 90_000, isReading: true });
      await ward.pass(1, () => expect(ward.watch.isUnconfirmed(wear(ward))).toBe(true));
      await ward.pass(5, () => expect(ward.watch.isUnconfirmed(wear(ward))).toBe(true));
      expect(holding(ward)).toEqual([]);
      ward.note(ward.watch.lastWornRead(gapSeconds === null ? [] : [worn]));
      expect(holding(ward)).toEqual(gapSeconds === 1799 ? [] : [ASKED]);
      if (gapSeconds !== 1799) expect(questionOf(ward)?.evidence).toMatchObject({ gapSeconds: asked });
      expect(ward.watch.isUnconfirmed(wear(ward))).toBe(gapSeconds !== 1799);
    }
  });
  test("does not wait for a journal that is read for too long", async () => {
    const ward = restarted(assigned(), { wordAgoSeconds: 90_000, isReading: true });
    await ward.pass(120, () => wear(ward));
    expect(holding(ward)).toEqual([]);
    await ward.pass(1, () => wear(ward));
    expect(holding(ward)).toEqual([ASKED]);
  });
  test("once the clock tells that there was no gap, nothing is asked, or no more", async () => {
    for (const waitedSeconds of [20, 200]) {
      const before = assigned();
      const worn = wear(before);
      await before.clock.advance(60_000);
      const ward = restarted(before, { wordAgoSeconds: null });
      await ward.pass(waitedSeconds, () => wear(ward));
      expect(holding(ward)).toEqual(waitedSeconds > 120 ? [ASKED] : []);
      ward.note(ward.watch.recall([], [worn]));
      expect(holding(ward)).toEqual([]);
      await ward.pass(200, () => expect(ward.watch.isUnconfirmed(wear(ward))).toBe(false));
      expect(holding(ward)).toEqual([]);
    }
  });
  test("once the clock tells that there was one, it is asked all the same", async () => {
    const before = assigned();
    const worn = wear(before);
    await before.clock.advance(1_799_000);
    const ward = restarted(before, { wordAgoSeconds: null });
    await ward.pass(1, () => wear(ward));
    ward.note(ward.watch.recall([], [worn]));
    expect(holding(ward)).toEqual([ASKED]);
    expect(questionOf(ward)?.evidence).toMatchObject({ gapSeconds: 1800 });
  });
  test("a question that was open goes on, with its marks", async () => {
    const before = assigned();
    wear(before);
    await before.pass(1800);
    const worn = wear(before);
    await before.clock.advance(5000);
    const ward = restarted(before, { wordAgoSeconds: 2000, observations: [worn], openAlerts: openAlertsOf(before) });
    expect(holding(ward)).toEqual([ASKED]);
    await ward.pass(10, () => expect(ward.watch.isUnconfirmed(wear(ward))).toBe(true));
    confirm(ward);
    expect(holding(ward)).toEqual([]);
  });
  test("an answer whose end was not on disk yet is not asked for again", async () => {
    const before = assigned();
    wear(before);
    await before.pass(1800);
    const worn = wear(before);
    const openAlerts = openAlertsOf(before, 50);
    const ward = restarted(before, { wordAgoSeconds: 1, wordSeq: 51, observations: [worn], openAlerts });
    expect(holding(ward)).toEqual([]);
    const asked = restarted(before, { wordAgoSeconds: 1, wordSeq: 49, observations: [worn], openAlerts });
    expect(holding(asked)).toEqual([ASKED]);
  });
});
