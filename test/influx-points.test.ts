import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Deed } from "../src/core/act.ts";
import { bedId, deviceId, patientId, seq, userId } from "../src/core/ids.ts";
import { INFLUX_MEASUREMENTS, type InfluxMeasurement } from "../src/core/influx-measurements.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { JournalRecord, RecordKind } from "../src/core/record.ts";
import { wallMs } from "../src/core/time.ts";
import { influxLine } from "../src/sinks/influx-lines.ts";
import { type InfluxPoint, influxPoints, nanoseconds } from "../src/sinks/influx-points.ts";
import { SeriesBound } from "../src/sinks/influx-series.ts";
import { deliveryOf } from "./support/influx-ends.ts";
import { parseLine, pointIdentity } from "./support/influx-line-parser.ts";
import { oneOfEachKind } from "./support/influx-records.ts";
import { actAt, alertAt, observationAt } from "./support/upstream-records.ts";

const PARTS = {
  gatewayId: "ward-3",
  patientTag: (patient: string) => `~${patient}`,
  textOf: () => ({ en: "Oxygen saturation low: 81 % (limit 85 %)", zh: "血氧饱和度过低：81 %（限值 85 %）" }),
};

function linesOf(record: JournalRecord, epoch?: string): readonly string[] {
  return influxPoints(deliveryOf(record, epoch), PARTS).map((point) => influxLine(point));
}

describe("each kind of record becomes the points that the table says", () => {
  test("an observation", () => {
    const [line, ...more] = linesOf(observationAt(7_000_005));
    expect(more).toEqual([]);
    expect(line).toBe(
      "observation,device=monitor-3,gateway=ward-3,origin=measured,patient=~p-17,quantity=oxygenSaturation,unit=%,validity=valid" +
        ' value=85,flags="late",delay_ms=40i,seq=7000005i 1780700000500000005',
    );
  });

  test("an absence is a reason and no value, and a device without a patient is unassigned", () => {
    const record = { ...observationAt(5), patientId: null, content: { state: "absent", why: "sensor-off" } } as const;
    const { fields, tags } = parseLine(linesOf(record)[0] ?? "");
    expect(tags.get("patient")).toBe("unassigned");
    expect(fields.get("why")).toEqual({ type: "string", value: "sensor-off" });
    expect(fields.has("value"), "no zero in place of nothing").toBe(false);
  });

  test("a value of zero is a value", () => {
    const record = { ...observationAt(5), quantity: "motion", content: { state: "present", value: 0 } } as const;
    expect(parseLine(linesOf(record)[0] ?? "").fields.get("value")).toEqual({ type: "float", value: 0 });
  });

  test("an alert, with its words in both languages and without who acknowledged it", () => {
    const acknowledged = { ...alertAt(9), state: "acknowledged", acknowledgedBy: userId("nurse-li"), raisedCount: 2 } as const;
    const changed = { ...acknowledged, changedAtMs: wallMs(1_780_000_004_800) };
    const [line = "", ...more] = linesOf(changed);
    expect(more).toEqual([]);
    const { measurement, tags, fields, ns } = parseLine(line);
    expect(measurement).toBe("alert");
    expect(Object.fromEntries(tags)).toEqual({
      ...{ gateway: "ward-3", patient: "~p-17", bed: "bed-2", device: "monitor-3", nature: "physiological" },
      ...{ priority: "high", rule: "limit.oxygenSaturation.low", state: "acknowledged", origin: "measured" },
    });
    expect(Object.fromEntries([...fields].map(([name, { value }]) => [name, value]))).toEqual({
      ...{ id: "11111111-9", open: 1, phase: "start", value: 81, limit: 85, raised_count: 2, open_ms: 4500, seq: 9 },
      ...{ text_en: "Oxygen saturation low: 81 % (limit 85 %)", text_zh: "血氧饱和度过低：81 %（限值 85 %）" },
    });
    expect(ns).toBe(1_780_000_004_800_000_009n);
    expect(line).not.toContain("nurse-li");
  });

  test("of a device's alarm its code is told, not its own words, which may name the patient", () => {
    const evidence = { kind: "device-alarm", code: "asystole", text: "ASYSTOLE Mr Wang" } as const;
    const parts = { ...PARTS, textOf: (alert: { evidence: unknown }) => ({ en: JSON.stringify(alert.evidence), zh: "-" }) };
    const [point] = influxPoints(deliveryOf({ ...alertAt(9), rule: "device-alarm.asystole", evidence }), parts);
    expect(point?.fields["text_en"]).toContain("asystole");
    expect(JSON.stringify(point)).not.toContain("Wang");
    const text = {
      kind: "event",
      seq: seq(4),
      atMs: wallMs(1_780_000_000_000),
      deviceId: deviceId("m"),
      code: "device-text",
    } as const;
    expect(linesOf({ ...text, facts: { text: "Mr Wang" } }).join()).not.toContain("Wang");
  });

  test("an admission tells bed and patient, and neither the name on the wall nor who did it", () => {
    const deed: Deed = {
      ...{ kind: "admit", patientId: patientId("p-3"), bedId: bedId("bed-4"), label: "Wang", demonstration: false },
      profile: { kind: "adult", spo2Scale: 1 },
    };
    const [line = ""] = linesOf({ ...actAt(6), deed });
    expect(line).toBe(
      "act,bed=bed-4,deed=admit,device=none,gateway=ward-3,patient=~p-3" +
        ' from="page",demonstration=F,seq=6i 1780000001006000006',
    );
  });

  test("notes, reasons and corrected names stay inside, and so does who signed in", () => {
    const deeds: readonly Deed[] = [
      { kind: "note", patientId: patientId("p-3"), text: "Wang" },
      { kind: "correct-patient", patientId: patientId("p-3"), label: "Wang" },
      { kind: "set-limit", patientId: patientId("p-3"), quantity: "heartRate", low: null, high: null, reason: "Wang" },
      { kind: "account-added", account: "Wang", role: "family", patientId: patientId("p-3") },
      { kind: "sign-in-refused", account: "Wang", why: "locked", count: 2 },
      { kind: "sign-in" },
    ];
    const lines = deeds.flatMap((deed) => linesOf({ ...actAt(6), by: userId("Wang"), at: "Wang", deed }));
    expect(lines.join("\n")).not.toContain("Wang");
    expect(lines.map((line) => parseLine(line).tags.get("deed"))).toEqual(["note", "set-limit"]);
  });

  test("of two numbers that were one person both are named alike everywhere", () => {
    const deed: Deed = { kind: "merge", patientId: patientId("p-3"), formerPatientId: patientId("p-2") };
    const { tags, fields } = parseLine(linesOf({ ...actAt(6), deed })[0] ?? "");
    expect([tags.get("patient"), fields.get("former")?.value]).toEqual(["~p-3", "~p-2"]);
  });

  test("a tally is one point for the gateway and one for each device", () => {
    const tally = oneOfEachKind(3).find((record) => record.kind === "tally");
    if (tally?.kind !== "tally") throw new Error("no tally");
    const parsed = linesOf(tally).map(parseLine);
    expect(parsed.map(({ measurement, tags }) => `${measurement} ${tags.get("device") ?? ""}`)).toEqual([
      "gateway_tally ",
      "device_tally monitor-3",
      "device_tally clip-4",
    ]);
    expect(parsed[0]?.fields.get("records")?.value).toBe(tally.toSeq - tally.fromSeq + 1);
    expect(parsed[1]?.fields.get("refusals")?.value, "all kinds of refusals together").toBe(7);
    expect(new Set(parsed.map(({ ns }) => ns)).size).toBe(1);
  });

  test("a start tells the epoch it was made in, also when it is sent again under the next", () => {
    const start = oneOfEachKind(3).find((record) => record.kind === "start");
    if (start?.kind !== "start") throw new Error("no start");
    const delivery = deliveryOf(start, "22222222-0000-4000-8000-000000000000");
    const again = { ...delivery, formerKey: `ward-3/11111111-0000-4000-8000-000000000000/${start.seq}` };
    const epochs = [delivery, again].map((each) => influxPoints(each, PARTS)[0]?.fields["epoch"]);
    expect(epochs).toEqual(["22222222-0000-4000-8000-000000000000", "11111111-0000-4000-8000-000000000000"]);
  });

  test("a receipt stays inside", () => {
    const receipt = oneOfEachKind(3).find((record) => record.kind === "receipt");
    expect(receipt).toBeDefined();
    expect(receipt === undefined ? null : linesOf(receipt)).toEqual([]);
  });

  const KINDS: Readonly<Record<RecordKind, InfluxMeasurement | null>> = {
    ...{ observation: "observation", prediction: "prediction", alert: "alert", act: "act", event: "device_event" },
    ...{ loss: "loss", start: "gateway_start", clock: "gateway_clock", tally: "gateway_tally", receipt: null },
  };
  test.each(oneOfEachKind(40))("$kind: measurement, tags, fields and their types are those of the table", (record) => {
    const lines = linesOf(record).map(parseLine);
    expect(lines[0]?.measurement ?? null).toBe(KINDS[record.kind]);
    for (const { measurement, tags, fields } of lines) {
      const table = INFLUX_MEASUREMENTS[measurement as InfluxMeasurement];
      expect([...tags.keys()]).toEqual(Object.keys(table.tags).sort());
      const types: Readonly<Record<string, { readonly type: string }>> = table.fields;
      for (const [name, field] of fields) expect(`${name} ${field.type}`).toBe(`${name} ${types[name]?.type}`);
    }
  });
});

describe("time and identity", () => {
  test("equal stamps are kept apart by the record's number, and the millisecond can be read back", () => {
    expect(nanoseconds(1_780_000_000_123, 7)).toBe("1780000000123000007");
    expect(nanoseconds(1_780_000_000_123.9, 999_999)).toBe("1780000000123999999");
    expect(nanoseconds(1_780_000_000_123, 1_000_000)).toBe("1780000000123000000");
    expect(nanoseconds(0, 5), "a board that began without a time").toBe("5");
    expect(nanoseconds(-1, 5)).toBe("-999995");
  });

  test("of a million records made in one millisecond no two share a point", () => {
    const stamps = new Set<string>();
    for (let number = 4_999_900; number < 5_000_100; number++) stamps.add(nanoseconds(1_780_000_000_123, number));
    expect(stamps.size).toBe(200);
  });

  test("the same record gives the same points, in whatever epoch, batch or order it is sent", () => {
    for (const record of oneOfEachKind(40).filter(({ kind }) => kind !== "start")) {
      const here = influxPoints(deliveryOf(record), PARTS);
      const there = influxPoints({ ...deliveryOf(record, "other"), resent: true, durable: false }, PARTS);
      expect(there).toEqual(here);
    }
  });
});

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom("\\", '"', ",", "=", " ", "\n", "\r", "\t", "a", "血", "\u0000", "\u2028", "\ud800"),
    maxLength: 12,
  }),
);
const anyNumber = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(0, -0, 1e21, 5e-324, Number.MAX_VALUE, Number.NaN, Infinity),
);

/** What must come back of a text in a field. */
function plain(text: string): string {
  const cut = text.slice(0, LIMITS.influxTextCharactersMax.value);
  return [...cut]
    .map((character) => (/[\p{Cc}\u2028\u2029]/u.test(character) ? " " : character))
    .join("")
    .toWellFormed();
}

/** And of one in a tag. */
function plainTag(text: string): string {
  const clean = plain(text).replaceAll("\\", "/").trim();
  return clean === "" ? "none" : clean;
}

describe("line protocol", () => {
  test("whatever the texts are, a strict reader gets them back, one line each", () => {
    const property = fc.property(
      anyText,
      anyText,
      anyText,
      anyNumber,
      fc.integer({ min: 1 }),
      (patient, device, flags, value, number) => {
        const point: InfluxPoint = {
          measurement: "observation",
          tags: {
            gateway: "ward-3",
            patient,
            device,
            quantity: "heartRate",
            unit: "/min",
            validity: "valid",
            origin: "measured",
          },
          fields: { value, flags, why: undefined, delay_ms: -40.6, seq: number },
          ns: nanoseconds(1_780_000_000_000, number),
        };
        const { measurement, tags, fields, ns } = parseLine(influxLine(point));
        expect(measurement).toBe("observation");
        expect(tags.get("patient")).toBe(plainTag(patient));
        expect(tags.get("device")).toBe(plainTag(device));
        expect(fields.get("flags")).toEqual({ type: "string", value: plain(flags) });
        expect(fields.get("seq")).toEqual({ type: "integer", value: number });
        expect(fields.get("delay_ms")).toEqual({ type: "integer", value: -40 });
        expect(fields.has("why")).toBe(false);
        if (Number.isFinite(value)) expect(fields.get("value")?.value).toBe(value === 0 ? 0 : value);
        else expect(fields.has("value")).toBe(false);
        expect(ns).toBe(BigInt(point.ns));
      },
    );
    fc.assert(property, { numRuns: 3000, seed: 20_261_122 });
  });

  test("two patients whose names differ in more than what cannot be written are two series", () => {
    const property = fc.property(anyText, anyText, (one, other) => {
      fc.pre(plainTag(one) !== plainTag(other));
      const identities = [one, other].map((patient) => {
        const [point] = influxPoints(deliveryOf(observationAt(5)), { ...PARTS, patientTag: () => patient });
        return point === undefined ? "" : pointIdentity(parseLine(influxLine(point)));
      });
      expect(identities[0]).not.toBe(identities[1]);
    });
    fc.assert(property, { numRuns: 1000, seed: 20_261_122 });
  });

  test("a text of exactly so many characters is whole, one more is cut", () => {
    const long = (count: number) => influxLine({ ...pointWith("x".repeat(count)) });
    const charactersMax = LIMITS.influxTextCharactersMax.value;
    expect(parseLine(long(charactersMax)).fields.get("state")?.value).toHaveLength(charactersMax);
    expect(parseLine(long(charactersMax + 1)).fields.get("state")?.value).toHaveLength(charactersMax);
  });
});

function pointWith(state: string): InfluxPoint {
  return { measurement: "gateway_heartbeat", tags: { gateway: "g" }, fields: { state, committed_seq: 1 }, ns: "1" };
}

describe("the bound on series", () => {
  const observationOf = (patient: number): InfluxPoint => {
    const [point] = influxPoints(deliveryOf(observationAt(5)), { ...PARTS, patientTag: () => `p${patient}` });
    if (point === undefined) throw new Error("no point");
    return point;
  };

  const patientIn = (head: string) => /,patient=([^,]+)/.exec(head)?.[1];

  test("the last that fits is whole, the next is written without its patient, and what is known goes on", () => {
    let told = 0;
    const bound = new SeriesBound(() => (told += 1));
    const countMax = LIMITS.influxSeriesMax.value;
    for (let patient = 1; patient <= countMax; patient++) bound.headOf(observationOf(patient));
    expect(patientIn(bound.headOf(observationOf(countMax)))).toBe(`p${countMax}`);
    expect(told).toBe(0);
    expect(patientIn(bound.headOf(observationOf(countMax + 1)))).toBe("over-limit");
    expect(patientIn(bound.headOf(observationOf(countMax + 2)))).toBe("over-limit");
    expect(patientIn(bound.headOf(observationOf(1)))).toBe("p1");
    expect(bound.headOf(pointWith("working")), "what has no patient is bounded by itself").toBe("gateway_heartbeat,gateway=g");
    expect(told).toBe(1);
  });
});

test("alerts of one rule about two patients are two series", () => {
  const other = { ...alertAt(2), subject: { ...alertAt(2).subject, patientId: patientId("p-18") } };
  const identities = [alertAt(2), other].map((record) => pointIdentity(parseLine(linesOf(record)[0] ?? "")));
  expect(new Set(identities).size).toBe(2);
});
