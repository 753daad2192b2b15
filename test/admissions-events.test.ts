import { afterEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { patientId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { createTextWriter } from "../src/wire/character-set.ts";
import {
  type AdmissionsWard,
  admitByHand,
  adt,
  msaOf,
  OPTIONS,
  type SaidAdt,
  startAdmissionsWard,
} from "./support/admissions-ward.ts";
import { seededRandom } from "./support/seeded-random.ts";
import { until } from "./support/until.ts";

const wards: AdmissionsWard[] = [];
afterEach(async () => {
  await Promise.all(wards.splice(0).map(({ close }) => close()));
});
async function start(more: Parameters<typeof startAdmissionsWard>[0] = {}): Promise<AdmissionsWard> {
  const ward = await startAdmissionsWard(more);
  wards.push(ward);
  return ward;
}

let controls = 0;
/** A message under a number of its own. */
const say = (of: Omit<SaidAdt, "control">): SaidAdt => {
  controls += 1;
  return { ...of, control: `C${controls}` };
};
const codes = (ward: AdmissionsWard) => [...ward.faults.values()].map(({ code }) => code);

describe("a stay from its beginning to its end", () => {
  test("admit, update, transfer within the ward, discharge", async () => {
    const ward = await start();
    expect(await ward.hear(say({ event: "A01", patient: "P7", place: "3E^301^1", name: "ZHANG^WEI", visit: "V1" }))).toBe(
      "AA admitted to bed-1",
    );
    expect([ward.beds(), ward.labels()]).toEqual([{ "bed-1": "P7" }, { "bed-1": "Z.W." }]);
    expect(await ward.hear(say({ event: "A08", patient: "P7", place: "3E^301^1", name: "CHANG^WEI", visit: "V1" }))).toBe(
      "AA label corrected",
    );
    expect(ward.labels()).toEqual({ "bed-1": "C.W." });
    expect(await ward.hear(say({ event: "A02", patient: "P7", place: "ICU^4^7^HOSP", visit: "V1" }))).toBe("AA moved to icu-7");
    expect([ward.beds(), ward.labels()]).toEqual([{ "icu-7": "P7" }, { "icu-7": "C.W." }]);
    expect(await ward.hear(say({ event: "A03", patient: "P7", place: "ICU^4^7^HOSP", visit: "V1" }))).toBe(
      "AA discharged from icu-7",
    );
    expect(ward.beds()).toEqual({});
    expect(ward.faults.size).toBe(0);
  });

  test("each act says who asked for it, from where, and by which message", async () => {
    const ward = await start();
    await ward.say({ event: "A01", patient: "P7", place: "3E^301^1", control: "MSG00001", at: "20260101075900", visit: "V1" });
    const [act] = await ward.acts();
    expect(act).toMatchObject({
      by: "HIS",
      from: "hl7",
      at: "127.0.0.1",
      deed: { kind: "admit", patientId: "P7", demonstration: false },
    });
    expect(act?.message).toMatchObject({ event: "A01", saidAt: "20260101075900", visit: "V1", part: 1, parts: 1 });
    expect(act?.message?.identity).toMatch(/^HIS\|HOSP\|MSG00001\|[0-9a-f]{16}$/);
    expect(act?.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  test("cancelled: an admission is a discharge, a discharge or transfer is where PV1-3 says now", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1" }));
    expect(await ward.hear(say({ event: "A11", patient: "P7", place: "3E^301^1" }))).toBe("AA discharged from bed-1");
    expect(await ward.hear(say({ event: "A13", patient: "P7", place: "3E^301^1" }))).toBe("AA admitted to bed-1");
    await ward.say(say({ event: "A02", patient: "P7", place: "3E^302^1" }));
    expect(await ward.hear(say({ event: "A12", patient: "P7", place: "3E^301^1" }))).toBe("AA moved to bed-1");
    expect(ward.beds()).toEqual({ "bed-1": "P7" });
  });

  test("a transfer out of these wards is a discharge, and cancelled an admission", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1" }));
    expect(await ward.hear(say({ event: "A02", patient: "P7", place: "9W^901^1" }))).toBe("AA left the beds of this gateway");
    expect(ward.beds()).toEqual({});
    expect(await ward.hear(say({ event: "A12", patient: "P7", place: "3E^301^1" }))).toBe("AA admitted to bed-1");
  });

  test("somebody who was here before the gateway is admitted by a transfer, and by an update only where that is set", async () => {
    const ward = await start();
    expect(await ward.hear(say({ event: "A08", patient: "P8", place: "3E^301^2" }))).toBe("AA is not here");
    expect(await ward.hear(say({ event: "A02", patient: "P7", place: "3E^301^1" }))).toBe("AA admitted to bed-1");
    const late = await start({ options: { admitOnUpdate: true } });
    expect(await late.hear(say({ event: "A08", patient: "P9", place: "3E^301^2", discharged: "20260101" }))).toBe(
      "AA is not here",
    );
    expect(await late.hear(say({ event: "A08", patient: "P8", place: "3E^301^2" }))).toBe("AA admitted to bed-2");
  });
});

describe("numbers that are merged", () => {
  const events = ["A18", "A34", "A39", "A40", "A47"];
  test.each(events)("%s: the patient stays in the bed under the number that stays", async (event) => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "OLD", place: "3E^301^1", name: "LI^NA" }));
    expect(await ward.hear(say({ event, patient: "NEW", former: "OLD" }))).toBe("AA numbers merged");
    expect([ward.beds(), ward.labels()]).toEqual([{ "bed-1": "NEW" }, { "bed-1": "L.N." }]);
    expect(await ward.hear(say({ event: "A03", patient: "NEW", place: "3E^301^1" }))).toBe("AA discharged from bed-1");
  });

  // Two pairs of PID and MRG in one message. Source of the pairs: HL7 v2.5.1, 3.3.40.
  test("two pairs in one message are two acts of one message", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "OLD1", place: "3E^301^1" }));
    await ward.say(say({ event: "A01", patient: "OLD2", place: "3E^301^2" }));
    const [msh] = adt(say({ event: "A40", patient: "x" })).split("\r");
    const text = `${msh}\rEVN|A40\rPID|||N1^^^HIS\rMRG|OLD1^^^HIS\rPID|||N2^^^HIS\rMRG|OLD2^^^HIS\r`;
    expect(await ward.hear(text)).toBe("AA numbers merged");
    expect(ward.beds()).toEqual({ "bed-1": "N1", "bed-2": "N2" });
    const merges = (await ward.acts()).filter(({ deed }) => deed.kind === "merge");
    expect(merges.map(({ message }) => [message?.part, message?.parts])).toEqual([
      [1, 2],
      [2, 2],
    ]);
    expect(await ward.hear(text)).toBe("AA was done before");
  });

  test("a former number that is not here changes nothing, and one person in two beds is for a person to see", async () => {
    const ward = await start();
    expect(await ward.hear(say({ event: "A40", patient: "NEW", former: "OLD" }))).toBe("AA the former number is not here");
    await ward.say(say({ event: "A01", patient: "OLD", place: "3E^301^1" }));
    await ward.say(say({ event: "A01", patient: "NEW", place: "3E^301^2" }));
    expect(await ward.hear(say({ event: "A40", patient: "NEW", former: "OLD" }))).toMatch(/^AE both numbers/);
    expect(ward.beds()).toEqual({ "bed-1": "OLD", "bed-2": "NEW" });
    expect(codes(ward)).toEqual(["admissions-refused"]);
  });

  test("a merge without the former number is refused", async () => {
    const ward = await start();
    expect(await ward.hear(`${adt(say({ event: "A40", patient: "NEW" }))}MRG|^^^HIS\r`)).toBe("AE former number missing");
  });
});

describe("what does not fit is refused, changes nothing, and a person is told", () => {
  test("a bed that is not configured: nothing is guessed", async () => {
    const ward = await start();
    const answer = await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^9", at: "20260101080000" }));
    expect(msaOf(answer)).toBe("AE the bed is not known to this gateway");
    expect(answer).toContain(
      "\rERR||PV1^1^3|204^Unknown key identifier^HL70357|E|unknown-bed^^99VIGIL|||the bed is not known to this gateway\r",
    );
    expect(ward.beds()).toEqual({});
    expect(ward.faults.get("admissions:refused:1")).toEqual({
      code: "admissions-unknown-bed",
      facts: { event: "A01", said: "20260101080000", from: "HIS", why: "unknown-bed", place: "3E^301^9" },
    });
    expect(JSON.stringify([...ward.faults])).not.toContain("P7");
  });

  test("before version 2.5 the error is told in the old way", async () => {
    const ward = await start();
    const answer = await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^9", header: { 12: "2.3.1" } }));
    expect(answer).toContain("\rERR|PV1^1^3^204&Unknown key identifier&HL70357\r");
  });

  test("a bed in which another lies; the trouble is over when the refused patient's message fits, not when the bed is free", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1" }));
    expect(await ward.hear(say({ event: "A01", patient: "P8", place: "3E^301^1" }))).toBe("AE another patient lies in this bed");
    await ward.say(say({ event: "A01", patient: "P9", place: "3E^301^2" }));
    expect(await ward.hear(say({ event: "A02", patient: "P9", place: "3E^301^1" }))).toBe("AE another patient lies in this bed");
    expect(ward.beds()).toEqual({ "bed-1": "P7", "bed-2": "P9" });
    const told = [...ward.faults.values()];
    expect(told).toMatchObject([
      { code: "admissions-refused", facts: { event: "A01", why: "bed-occupied", bed: "bed-1" } },
      { code: "admissions-refused", facts: { event: "A02", why: "bed-occupied", bed: "bed-1" } },
    ]);
    await ward.say(say({ event: "A03", patient: "P7", place: "3E^301^1" }));
    await ward.say(say({ event: "A08", patient: "P8", place: "3E^301^1" }));
    expect([...ward.faults.values()]).toEqual(told);
    expect(await ward.hear(say({ event: "A01", patient: "P8", place: "3E^301^1" }))).toBe("AA admitted to bed-1");
    expect([...ward.faults.values()]).toEqual(told.slice(1));
    expect(await ward.hear(say({ event: "A02", patient: "P9", place: "9W^1^1" }))).toBe("AA left the beds of this gateway");
    expect(ward.faults.size).toBe(0);
  });

  test("a discharge from another place than where the patient lies, but for the same stay it is one", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1", visit: "V1" }));
    expect(await ward.hear(say({ event: "A03", patient: "P7", place: "ED^^2" }))).toBe(
      "AE the patient lies in another place here",
    );
    expect(await ward.hear(say({ event: "A03", patient: "P7", place: "3E^301^2" }))).toBe(
      "AE the patient lies in another place here",
    );
    expect(await ward.hear(say({ event: "A03", patient: "P7", place: "ED^^2", visit: "V2" }))).toBe(
      "AA another stay than the one here",
    );
    expect(ward.beds()).toEqual({ "bed-1": "P7" });
    expect(await ward.hear(say({ event: "A03", patient: "P7", place: "ED^^2", visit: "V1" }))).toBe("AA discharged from bed-1");
  });

  test("another stay of the same person elsewhere changes nothing here", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1", visit: "V1" }));
    for (const event of ["A01", "A02", "A13"])
      expect(await ward.hear(say({ event, patient: "P7", place: "ED^^2", visit: "V2" }))).toBe(
        "AA another stay than the one here",
      );
    expect([ward.beds(), codes(ward)]).toEqual([{ "bed-1": "P7" }, []]);
  });

  test("a discharge that names no place, or only the ward, is one", async () => {
    const ward = await start();
    for (const place of ["", "3E"]) {
      await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1" }));
      expect(await ward.hear(say({ event: "A03", patient: "P7", place }))).toBe("AA discharged from bed-1");
    }
  });

  test("a stay that somebody began by hand has no number of a stay from before", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1", visit: "V1" }));
    await ward.byHand({ kind: "discharge", patientId: patientId("P7") });
    await ward.byHand(admitByHand("P7", "bed-1"));
    expect(await ward.hear(say({ event: "A03", patient: "P7", place: "3E^301^1", visit: "V2" }))).toBe(
      "AA discharged from bed-1",
    );
  });

  test("a transfer without a bed, a swap, and an admission elsewhere of somebody who is here", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1" }));
    expect(await ward.hear(say({ event: "A02", patient: "P7", place: "3E" }))).toBe("AE the message names no bed");
    expect(await ward.hear(say({ event: "A17", patient: "P7", place: "3E^301^2" }))).toBe(
      "AE a swap is done by hand at the beds",
    );
    expect(await ward.hear(say({ event: "A01", patient: "P7", place: "9W^901^1" }))).toBe(
      "AE the patient lies in another place here",
    );
    expect(ward.beds()).toEqual({ "bed-1": "P7" });
    expect(await ward.hear(say({ event: "A17", patient: "P8", place: "9W^901^1" }))).toBe("AA is not here");
  });

  test("a message that is older than the last move of its patient; where all is as it says it is no trouble", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1", at: "20260101080000" }));
    await ward.say(say({ event: "A02", patient: "P7", place: "3E^301^2", at: "20260101090000" }));
    const older = say({ event: "A02", patient: "P7", place: "3E^302^1", at: "20260101085959" });
    expect(await ward.hear(older)).toBe("AE older than what was done last for this patient");
    expect(await ward.hear(say({ event: "A01", patient: "P7", place: "3E^301^2", at: "20260101070000" }))).toBe(
      "AA is in bed-2 already",
    );
    expect(ward.beds()).toEqual({ "bed-2": "P7" });
    expect(await ward.hear(say({ event: "A02", patient: "P7", place: "3E^302^1", at: "20260101090000" }))).toBe(
      "AA moved to bed-3",
    );
    await ward.say(say({ event: "A03", patient: "P7", place: "3E^302^1", at: "20260101100000" }));
    expect(await ward.hear(say({ event: "A01", patient: "P7", place: "3E^301^1", at: "20260101093000" }))).toMatch(/^AE older/);
    expect(ward.beds()).toEqual({});
  });

  test("times with and without a zone are not compared, and MSH-7 stands in for EVN-2", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1", at: "20260101080000+0800" }));
    expect(await ward.hear(say({ event: "A02", patient: "P7", place: "3E^301^2", at: "20260101010000" }))).toBe(
      "AA moved to bed-2",
    );
    const older = say({ event: "A02", patient: "P7", place: "3E^302^1", header: { 7: "20260101005959" } });
    expect(await ward.hear(older)).toMatch(/^AE older/);
  });

  test("an event that lies after the making of its message is not believed, and later messages are not older", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1", at: "20990101", header: { 7: "20260101080000" } }));
    expect(await ward.hear(say({ event: "A02", patient: "P7", place: "3E^301^2", at: "20260101090000" }))).toBe(
      "AA moved to bed-2",
    );
    expect((await ward.acts()).map(({ message }) => message?.saidAt)).toEqual(["20260101080000", "20260101090000"]);
  });

  test("a message without the patient's number", async () => {
    const ward = await start();
    const answer = await ward.say(adt(say({ event: "A01", patient: "P7", place: "3E^301^1" })).replace("P7^^^HIS", "P7^^^OTHER"));
    expect(msaOf(answer)).toBe("AE patient number missing");
    expect(answer).toContain("ERR||PID^1^3|101^");
    expect(codes(ward)).toEqual(["admissions-refused"]);
  });
});

describe("an update moves nobody", () => {
  test("a place that differs is told, and over when the places agree", async () => {
    const ward = await start();
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1" }));
    expect(await ward.hear(say({ event: "A08", patient: "P7", place: "3E^301^2" }))).toBe("AA nothing to change");
    expect(ward.beds()).toEqual({ "bed-1": "P7" });
    expect(codes(ward)).toEqual(["admissions-differ"]);
    await ward.say(say({ event: "A08", patient: "P7", place: "3E^301^1" }));
    expect(codes(ward)).toEqual([]);
  });

  test("a child is admitted, and a person is told that limits and score are for adults", async () => {
    const ward = await start({ clock: createSimulatedClock() });
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1", born: "20100102" }));
    expect(codes(ward)).toEqual(["admissions-child"]);
    const grown = await start({ clock: createSimulatedClock() });
    await grown.say(say({ event: "A01", patient: "P7", place: "3E^301^1", born: "2009-12-30" }));
    expect([grown.beds(), codes(grown)]).toEqual([{ "bed-1": "P7" }, []]);
  });
});

describe("other wards and other events", () => {
  test("are answered with AA and change nothing", async () => {
    const ward = await start();
    expect(await ward.hear(say({ event: "A01", patient: "P7", place: "9W^901^1" }))).toBe("AA no bed of this gateway");
    expect(await ward.hear(say({ event: "A01", patient: "P7", place: "ICU^^7^OTHER" }))).toBe("AA no bed of this gateway");
    expect(await ward.hear(say({ event: "A03", patient: "P7", place: "3E^301^1" }))).toBe("AA is not here");
    for (const event of ["A04", "A05", "A20", "A28", "A31", "A60"])
      expect(await ward.hear(say({ event, patient: "P7", place: "3E^301^1" }))).toBe(`AA ${event} changes nothing here`);
    expect([ward.beds(), ward.faults.size, (await ward.acts()).length]).toEqual([{}, 0, 0]);
    expect(ward.admissions.view()).toMatchObject({ receivedCount: 9, acceptedCount: 9, refusedCount: 0, unreadableCount: 0 });
  });
});

describe("what is not understood is rejected", () => {
  const wrong: readonly (readonly [string, SaidAdt, string, string])[] = [
    ["another type of message", { event: "R01", patient: "P7", header: { 9: "ORU^R01" } }, "no admission message", "200"],
    ["an event of no standard", { event: "A99", patient: "P7" }, "unknown event", "201"],
    [
      "a message for training",
      { event: "A01", patient: "P7", place: "3E^301^1", header: { 11: "T" } },
      "not for production",
      "202",
    ],
    [
      "a message for debugging",
      { event: "A01", patient: "P7", place: "3E^301^1", header: { 11: "D" } },
      "not for production",
      "202",
    ],
    ["another version", { event: "A01", patient: "P7", place: "3E^301^1", header: { 12: "3.0" } }, "version not 2", "203"],
    ["no control id", { event: "A01", patient: "P7", place: "3E^301^1", control: "" }, "control id missing", "101"],
  ];
  test.each(wrong)("%s", async (_, said, text, code) => {
    const ward = await start();
    const answer = await ward.say(said);
    expect(msaOf(answer)).toBe(`AR ${text}`);
    expect(answer).toContain(`${code}`);
    expect([ward.beds(), codes(ward)]).toEqual([{}, ["admissions-unreadable"]]);
  });

  test("bytes that are no HL7 are answered, with the number of the message where there is one", async () => {
    const ward = await start();
    expect(await ward.hear("GET / HTTP/1.1\r\n")).toBe("AR not hl7");
    const answer = await ward.say(`${adt({ event: "A01", patient: "P7", control: "X9" })}not a segment\r`);
    expect(answer).toContain("MSA|AR|X9|bad segment");
    expect(ward.admissions.view()).toMatchObject({ unreadableCount: 2, acceptedCount: 0 });
  });

  test("a message without its end is told and never half done", async () => {
    const ward = await start();
    const sender = await ward.connect();
    const text = new TextEncoder().encode(adt(say({ event: "A01", patient: "P7", place: "3E^301^1" })));
    await sender.send([text], "no-end");
    sender.finish();
    await until("it is told", () => ward.faults.size > 0);
    expect([ward.beds(), codes(ward)]).toEqual([{}, ["admissions-unreadable"]]);
  });

  test("somebody from another address is told as a stranger", async () => {
    const ward = await start({ options: { mllp: { ...OPTIONS.mllp, allowFrom: ["10.0.0.1"] } } });
    const sender = await ward.connect();
    await until("the connection is ended", () => sender.isClosed());
    expect(codes(ward)).toEqual(["admissions-stranger"]);
  });

  test("a system that sends what cannot be read again and again leaves room for other troubles", async () => {
    const ward = await start({ clock: createSimulatedClock() });
    for (let count = 0; count < 2 * LIMITS.admissionsTroublesPerMinuteMax.value; count++) await ward.say("junk");
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^309^1" }));
    expect(codes(ward)).toEqual(["admissions-unreadable", "admissions-unknown-bed"]);
  });

  test("so many troubles are told in a minute and no more", async () => {
    const clock = createSimulatedClock();
    const ward = await start({ clock });
    const countMax = LIMITS.admissionsTroublesPerMinuteMax.value;
    for (let count = 0; count <= countMax; count++)
      await ward.say(say({ event: "A01", patient: `P${count}`, place: "3E^400^1" }));
    expect(ward.faults.size).toBe(countMax);
    await clock.advance(60_000);
    // What was too much then is told when it comes again.
    await ward.say({ event: "A01", patient: `P${countMax}`, place: "3E^400^1", control: `C${controls}` });
    expect(ward.faults.size).toBe(countMax + 1);
    for (let count = 1; count < 50; count++) await ward.say(say({ event: "A01", patient: `Q${count}`, place: "3E^400^1" }));
    expect(ward.faults.size).toBe(countMax + 50);
    // Of the oldest ones no message is known any more to have been refused: their alerts are for a person to end.
    const known = LIMITS.admissionsTroublesMax.value;
    await ward.say(say({ event: "A01", patient: "P0", place: "9W^1^1" }));
    expect(ward.faults.size).toBe(countMax + 50);
    await ward.say(say({ event: "A01", patient: `P${countMax + 51 - known}`, place: "9W^1^1" }));
    expect(ward.faults.size).toBe(countMax + 49);
  });
});

describe("silence", () => {
  test("for longer than set is told, and a message ends it", async () => {
    const clock = createSimulatedClock();
    const ward = await start({ clock, options: { silenceMinutesMax: 30 } });
    await clock.advance(30 * 60_000 - 1);
    expect(codes(ward)).toEqual([]);
    await clock.advance(10_001);
    expect(codes(ward)).toEqual(["admissions-silent"]);
    await ward.say(say({ event: "A04", patient: "P7" }));
    expect(codes(ward)).toEqual([]);
  });

  test("is no trouble where nothing is set", async () => {
    const clock = createSimulatedClock();
    const ward = await start({ clock });
    await clock.advance(7 * 86_400_000);
    expect(codes(ward)).toEqual([]);
  });
});

describe("answers", () => {
  test("go back to whom they came from, under the message's number, in the message's character set and delimiters", async () => {
    const ward = await start();
    const answer = await ward.say({
      event: "A01",
      patient: "P7",
      place: "3E^301^1",
      control: "MSG00001",
      header: { 18: "UNICODE UTF-8" },
    });
    const [msh = "", msa = ""] = answer.split("\r");
    expect(msh).toMatch(
      /^MSH\|\^~\\&\|VIGIL\|W3\|HIS\|HOSP\|\d{14}\.\d{3}\+0000\|\|ACK\^A01\^ACK\|V[0-9a-z]+-1\|P\|2\.5\.1\|{6}UNICODE UTF-8$/,
    );
    expect(msa).toBe("MSA|AA|MSG00001|admitted to bed-1");
    const own = "MSH#*~\\&#HIS#H#V#W#20260101##ADT*A03#N 2#P#2.4\rPID###P7***HIS\rPV1##I#3E*301*1\r";
    expect(await ward.say(own)).toContain("\rMSA#AA#N 2#discharged from bed-1\r");
  });

  // Source of the conditions: HL7 table 0155; of the order: HL7 v2.5.1, 2.9.3.
  const modes: readonly (readonly [string, string, readonly string[], readonly string[]])[] = [
    ["AL", "NE", ["CA"], ["CE"]],
    ["AL", "AL", ["CA", "AA"], ["CE"]],
    ["NE", "AL", ["AA"], ["AE"]],
    ["SU", "ER", ["CA"], ["AE"]],
    ["ER", "SU", ["AA"], ["CE"]],
    ["", "AL", ["AA"], ["AE"]],
    ["NE", "NE", [], []],
  ];
  test.each(modes)("enhanced mode %s/%s", async (accept, application, good, bad) => {
    const ward = await start();
    const sender = await ward.connect();
    const codesOf = () => sender.answers().map((answer) => /MSA\|(..)/.exec(new TextDecoder().decode(answer))?.[1]);
    const header = { 15: accept, 16: application };
    const bytes = (of: SaidAdt) => new TextEncoder().encode(adt(of));
    await sender.send([bytes(say({ event: "A01", patient: "P7", place: "3E^301^1", header }))]);
    await sender.send([bytes(say({ event: "A01", patient: "P8", place: "3E^301^1", header }))]);
    await until(
      "both are judged",
      () => ward.admissions.view().receivedCount === 2 && codesOf().length === good.length + bad.length,
    );
    expect(codesOf()).toEqual([...good, ...bad]);
  });
});

describe("names on the wall", () => {
  const rules: readonly (readonly [typeof OPTIONS.label, string, string])[] = [
    ["initials", "ZHANG^WEI", "Z.W."],
    ["initials", "张^伟", "张*"],
    ["initials", "张三丰^zhangsanfeng", "张**"],
    ["initials", "欧阳^娜娜", "欧***"],
    ["initials", "o'Neil", "O."],
    ["initials", "~MÜLLER^ÄNNE", "M.Ä."],
    ["name", "SMITH^WILLIAM", "WILLIAM SMITH"],
    ["name", "张^伟", "张伟"],
    ["number", "SMITH^WILLIAM", "P7"],
  ];
  test.each(rules)("%s of %s is %s", async (label, name, shown) => {
    const ward = await start({ options: { label } });
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1", name }));
    expect(ward.labels()).toEqual({ "bed-1": shown });
  });

  test("a pseudonym is the same for the same patient, another for another, and stands in where there is no name", async () => {
    const ward = await start({ options: { label: "pseudonym" } });
    await ward.say(say({ event: "A01", patient: "P7", place: "3E^301^1", name: "SMITH^WILLIAM" }));
    await ward.say(say({ event: "A01", patient: "P8", place: "3E^301^2", name: "SMITH^WILLIAM" }));
    const { "bed-1": first = "", "bed-2": second = "" } = ward.labels();
    expect(first).toMatch(/^P-[2-9A-HJ-NP-Z]{5}$/);
    expect(second).not.toBe(first);
    const other = await start();
    await other.say(say({ event: "A01", patient: "P7", place: "3E^301^1" }));
    expect(other.labels()).toEqual({ "bed-1": first });
  });
});

describe("messages as hospitals send them", () => {
  // HL7 v2.3.1, chapter 3, as github.com/GIG-Cymru-NHS-Wales/hl7-v2-examples and folio3.com carry it.
  test("the standard's own example", async () => {
    const ward = await start({ options: { patientNumber: { type: "MR" }, beds: [{ location: "2000^2012^01", bed: "bed-1" }] } });
    const text = [
      "MSH|^~\\&|ADT1|MCM|FINGER|MCM|198808181126|SECURITY|ADT^A01|MSG00001|P|2.3.1",
      "EVN|A01|198808181123",
      "PID|1||PATID1234^5^M11^ADT1^MR^MCM~123456789^^^USSSA^SS||SMITH^WILLIAM^A^III||19610615|M||C|1200 N ELM STREET^^JERUSALEM^TN^99999?1020",
      "NK1|1|SMITH^OREGANO^K|WI^WIFE||||NK^NEXT OF KIN",
      "PV1|1|I|2000^2012^01||||004777^CASTRO^FRANK^J.|||SUR||||ADM|A0",
    ].join("\r");
    expect(await ward.hear(text)).toBe("AA admitted to bed-1");
    expect([ward.beds(), ward.labels()]).toEqual([{ "bed-1": "PATID1234" }, { "bed-1": "S.W." }]);
    expect((await ward.acts())[0]?.by).toBe("ADT1");
  });

  // The example of bbs.miforum.net.cn/thread-1297-1-1.html (HIS to RIS), with P in MSH-11 in place of D; its address is left out.
  test("a Chinese system, in GB 2312, that names its character set in the wrong field", async () => {
    const ward = await start({ options: { patientNumber: {}, beds: [{ location: "神内^room1^bed4", bed: "bed-1" }] } });
    const text = [
      "MSH|^~\\&|HIS||DRAGONRIS||200206281130||ADT^A01|MSG00005|P|2.3|||||GB2312",
      "EVN|A01|200206281130|||0148^Addison^James|200206281130",
      "PID|||263656||张三丰^zhangsanfeng||1977-01-01|男",
      "PV1||住院|神内^room1^bed4^^^住院楼^2||||||||||||||||3",
    ].join("\r");
    expect(await ward.hear(createTextWriter("gb18030")(text))).toBe("AA admitted to bed-1");
    expect([ward.beds(), ward.labels()]).toEqual([{ "bed-1": "263656" }, { "bed-1": "张**" }]);
  });

  test("a Chinese system that names itself in GB 18030 finds its own name in the answer", async () => {
    const ward = await start();
    const said = say({
      event: "A01",
      patient: "P7",
      place: "3E^301^1",
      name: "騶^騮",
      header: { 3: "住院系统", 18: "GB 18030-2000" },
    });
    const sender = await ward.connect();
    await sender.send([createTextWriter("gb18030")(adt(said))]);
    const answer = await until("it is answered", () => sender.answers()[0]);
    expect(new TextDecoder("gb18030", { fatal: true }).decode(answer)).toMatch(
      /^MSH\|\^~\\&\|VIGIL\|W3\|住院系统\|HOSP\|.*\|GB 18030-2000\r/,
    );
    expect([ward.labels(), (await ward.acts())[0]?.by]).toEqual([{ "bed-1": "騶*" }, "住院系统"]);
  });

  test("bytes in another character set than said are rejected, unless the configuration knows better", async () => {
    const bytes = createTextWriter("gb18030")(
      adt(say({ event: "A01", patient: "P7", place: "3E^301^1", name: "李^娜", header: { 18: "UNICODE UTF-8" } })),
    );
    const ward = await start();
    expect(await ward.hear(bytes)).toBe("AR bad text");
    const knowing = await start({ options: { characterSet: "gb18030", believeDeclaredCharacterSet: false } });
    expect(await knowing.hear(bytes)).toBe("AA admitted to bed-1");
    expect(knowing.labels()).toEqual({ "bed-1": "李*" });
  });
});

describe("whatever comes", () => {
  test("every damaged message is answered once, and none breaks anything", async () => {
    const seed = 20261122;
    const random = seededRandom(seed);
    const ward = await start({ clock: createSimulatedClock() });
    const whole = ["A01", "A02", "A03", "A08", "A40", "A17"].map((event) =>
      new TextEncoder().encode(
        adt({
          event,
          patient: "P7",
          place: "3E^301^1",
          name: "ZHANG^WEI~张^伟",
          visit: "V1",
          former: "P8",
          born: "19700101",
          at: "20260101080000",
        }),
      ),
    );
    const sender = await ward.connect();
    for (let count = 1; count <= 600; count++) {
      const message = Uint8Array.from(whole[random.whole({ min: 0, max: whole.length - 1 })] ?? []);
      for (let times = random.whole({ min: 1, max: 6 }); times > 0; times--)
        message[random.whole({ min: 8, max: message.length - 1 })] =
          random.whole({ min: 0, max: 1 }) === 0 ? 0x7c : random.whole({ min: 0x20, max: 0xff });
      await sender.send([message]);
      await until(`message ${count} of seed ${seed} is judged`, () => ward.admissions.view().receivedCount === count);
    }
    // A damaged MSH-15 may ask for no answer, or for two.
    await until("the last is answered", () => sender.answers().length > 500);
    expect(ward.faults.has("admissions:broken"), `seed ${seed}`).toBe(false);
    for (const answer of sender.answers()) expect(new TextDecoder("latin1").decode(answer)).toMatch(/\rMSA./);
  });
});
