import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportCommand } from "../src/commands/export.ts";
import { csvLine } from "../src/commands/export-row.ts";
import type { Deed } from "../src/core/act.ts";
import { alertId, bedId, patientId, seq, userId } from "../src/core/ids.ts";
import type { JournalRecord, Loss } from "../src/core/record.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { committed, openOrFail } from "./support/journal-folder.ts";
import { alertOf, observationOf } from "./support/journal-records.ts";

const ROOT = mkdtempSync(join(tmpdir(), "vigil-export-test-"));
const CONFIG = join(ROOT, "config.yaml");
const DATA = join(ROOT, "data");
/** 2026-03-01T00:00Z, true time. */
const T0 = Date.UTC(2026, 2, 1);
const MINUTE_MS = 60_000;
const at = (minutes: number) => T0 + minutes * MINUTE_MS;
/** The clock is 56 years behind until it is set at minute 30. */
const BEHIND_MS = T0;

afterAll(() => rmSync(ROOT, { recursive: true, force: true }));

const profile = { kind: "adult", spo2Scale: 1 } as const;
const act = (number: number, atMs: number, deed: Deed) =>
  ({ kind: "act", seq: seq(number), atMs: wallMs(atMs), by: userId("nurse"), role: "nurse", from: "page", deed }) as const;

function value(
  number: number,
  minutes: number,
  more: { readonly wrongMs?: number; readonly patient?: string | null; readonly late?: number } = {},
) {
  const { wrongMs = 0, patient = "patient-1", late = 0 } = more;
  const made = observationOf({ seq: number, patient, device: "monitor-1" });
  const receivedAtMs = wallMs(at(minutes) - wrongMs);
  return {
    ...made,
    times: {
      measuredAtMs: wallMs(receivedAtMs - late),
      deviceClockMs: null,
      receivedAtMs,
      receivedMonotonicMs: monotonicMs(minutes * MINUTE_MS),
    },
  };
}

const loss: Loss = {
  kind: "loss",
  seq: seq(30),
  atMs: wallMs(at(70)),
  fromSeq: seq(21),
  toSeq: seq(28),
  count: 8,
  why: "byte-budget",
  what: "records",
  reader: null,
};

const RECORDS: readonly JournalRecord[] = [
  {
    kind: "start",
    seq: seq(1),
    atMs: wallMs(0),
    atMonotonicMs: monotonicMs(0),
    version: "0",
    before: "first",
    leftOut: null,
    trust: "untrusted",
  },
  act(2, at(1) - BEHIND_MS, {
    kind: "admit",
    patientId: patientId("old-1"),
    bedId: bedId("bed-1"),
    label: "=1+1",
    profile,
    demonstration: false,
  }),
  value(3, 10, { wrongMs: BEHIND_MS, patient: "old-1" }),
  {
    kind: "clock",
    seq: seq(4),
    atMs: wallMs(at(30)),
    atMonotonicMs: monotonicMs(30 * MINUTE_MS),
    movedMs: BEHIND_MS,
    why: "step",
    trust: "trusted",
  },
  act(5, at(31), { kind: "merge", patientId: patientId("patient-1"), formerPatientId: patientId("old-1") }),
  value(6, 32),
  {
    ...observationOf({ seq: 7, patient: "patient-1", value: null }),
    times: value(7, 33).times,
    quality: { validity: "valid", flags: ["motion", "late"], origin: "test" },
  },
  value(8, 34, { patient: "patient-2" }),
  { ...alertOf({ seq: 9, id: "0f9c2d44-9" }), changedAtMs: wallMs(at(35)) },
  act(10, at(36), { kind: "acknowledge", alertId: alertId("0f9c2d44-9") }),
  act(11, at(37), { kind: "note", patientId: patientId("patient-2"), text: '-2 "units",\nthen more' }),
  {
    kind: "prediction",
    seq: seq(12),
    patientId: patientId("patient-1"),
    modelId: "news2",
    modelVersion: "1",
    modelSha256: "0",
    atMs: wallMs(at(38)),
    origin: "measured",
    basedOn: [],
    answer: {
      kind: "score",
      points: 3,
      parts: [{ input: "respiratoryRate", value: 25, points: 3, atMs: null }],
      missing: [{ input: "onOxygen", why: "not-entered", sinceMs: null }],
      inputCount: 7,
      response: "urgent",
    },
  },
  value(13, 40),
  // Out of the device's memory: measured at minute 20.
  value(14, 41, { late: 21 * MINUTE_MS }),
  value(20, 60),
  value(29, 65),
  loss,
  value(31, 90),
];

beforeAll(async () => {
  writeFileSync(CONFIG, JSON.stringify({ gateway: { id: "ward-1", dataFolder: DATA }, beds: [{ id: "bed-1", title: "1" }] }));
  chmodSync(CONFIG, 0o600);
  const journal = await openOrFail(join(DATA, "journal"));
  for (const record of RECORDS) {
    journal.append([record]);
    await committed(journal, record.seq);
  }
  await journal.close();
});

async function run(...args: readonly string[]) {
  const io = collectingIo();
  const code = await exportCommand.run(["--config", CONFIG, ...args], io);
  return { code, out: io.out, err: io.err.join("\n") };
}

const iso = (minutes: number) => new Date(at(minutes)).toISOString();
const between = (from: number, to: number) => ["--from", iso(from), "--to", iso(to)] as const;

async function objects(...args: readonly string[]) {
  const { code, out, err } = await run(...args, "--format", "jsonl");
  const [about, ...rows] = out.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { code, err, about, rows };
}

describe("vigil export", () => {
  test("tells every record of a time once, in mended times, with codes, units, quality and the reason of an absence", async () => {
    const { code, about, rows, err } = await objects(...between(0, 50));
    expect(err).toContain("12 records");
    expect(code).toBe(0);
    expect(about).toMatchObject({
      kind: "export",
      gateway: "ward-1",
      from: iso(0),
      to: iso(50),
      notice: { en: "Not from a registered medical device." },
    });
    expect(rows.map(({ number, time }) => [number, time])).toEqual([
      [2, iso(1)],
      [3, iso(10)],
      [5, iso(31)],
      [6, iso(32)],
      [7, iso(33)],
      [8, iso(34)],
      [9, iso(35)],
      [10, iso(36)],
      [11, iso(37)],
      [12, iso(38)],
      [13, iso(40)],
      [14, iso(20)],
    ]);
    const row = (number: number) => rows.find((each) => each["number"] === number);
    expect(row(6)).toMatchObject({
      name: "heartRate",
      mdc: 147842,
      loinc: "8867-4",
      unit: "/min",
      value: 46,
      validity: "valid",
      time_known: true,
      received: iso(32),
    });
    expect(row(6)?.["key"]).toMatch(/^ward-1\/[0-9a-f-]{36}\/6$/);
    expect(row(7)).toMatchObject({ value: null, absent: "sensor-off", flags: ["motion", "late"], origin: "test" });
    expect(row(14)).toMatchObject({ time: iso(20), received: iso(41) });
    expect(row(12)).toMatchObject({ name: "news2", value: 3, parts: ["respiratoryRate 3"], missing: ["onOxygen"] });
    expect(row(9)).toMatchObject({ alert: "0f9c2d44-9", state: "active", priority: "medium", device: "monitor-1" });
    expect(row(9)?.["text_zh"]).toMatch(/\p{Script=Han}/u);
    expect(row(10)).toMatchObject({ name: "acknowledge", by: "nurse", role: "nurse", alert: "0f9c2d44-9" });
  });

  test("both ends: the first moment belongs to it, the last does not; a value counts when it was measured, not when it came", async () => {
    expect((await objects(...between(32, 34))).rows.map(({ number }) => number)).toEqual([6, 7]);
    expect((await objects(...between(19, 21))).rows.map(({ number }) => number)).toEqual([14]);
  });

  test("one patient: also under a former number, with the acts about their alerts, and nothing of another", async () => {
    const { rows } = await objects(...between(0, 50), "--patient", "patient-1");
    expect(rows.map(({ number }) => number)).toEqual([2, 3, 5, 6, 7, 9, 10, 12, 13, 14]);
    const other = await objects(...between(0, 50), "--patient", "patient-2");
    expect(other.rows.map(({ number }) => number)).toEqual([8, 11]);
    expect((await objects(...between(0, 50), "--patient", "nobody")).rows).toEqual([]);
  });

  test("only the kinds asked for", async () => {
    const kinds = async (list: string) => (await objects(...between(0, 50), "--kinds", list)).rows.map(({ number }) => number);
    expect(await kinds("alert,act")).toEqual([2, 5, 9, 10, 11]);
    expect(await kinds("prediction")).toEqual([12]);
    expect(await kinds("alert, prediction")).toEqual([9, 12]);
  });

  test("what was lost of that time is told and is no success; what was lost of another time is neither", async () => {
    const lost = await objects(...between(50, 80));
    expect(lost.code).toBe(1);
    expect(lost.rows.map(({ number }) => number)).toEqual([20, 29]);
    expect(lost.err).toContain("21..28, 8 records at most, byte-budget");
    const beside = await objects(...between(80, 100));
    expect(beside.code).toBe(0);
    expect(beside.err).not.toContain("lost");
  });

  test("CSV: a header, a row for each record, and no cell that a spreadsheet takes for a formula", async () => {
    const { out, code } = await run(...between(36, 38));
    expect(code).toBe(0);
    expect(out.length).toBe(3);
    const [header = "", acknowledged = "", noted = ""] = out;
    expect(header.split(",").slice(0, 5)).toEqual(["kind", "number", "key", "time", "time_known"]);
    expect(acknowledged.split(",").length).toBe(header.split(",").length);
    expect(noted).toContain('"noted of patient-2: -2 ""units"",\nthen more"');
    for (const text of ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]) expect(csvLine([text])).toMatch(/^"?'/);
    expect(csvLine(["a=1", -1.5, null, true, ["x", "y"], 'a "b", c', ["=x"]])).toBe(`a=1,-1.5,,true,x;y,"a ""b"", c",'=x`);
  });

  test("a file that only its owner can read, whatever it was before", async () => {
    const file = join(ROOT, "out.csv");
    writeFileSync(file, "old\n".repeat(1000));
    chmodSync(file, 0o644);
    const { code, out } = await run(...between(0, 50), "--out", file);
    expect([code, out]).toEqual([0, []]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const lines = readFileSync(file, "utf8").split("\n");
    expect(lines[0]).toMatch(/^kind,number,/);
    expect(lines.join()).not.toContain("old\n");
    const denied = await run(...between(0, 50), "--out", join(ROOT, "no", "such", "folder.csv"));
    expect(denied.code).toBe(1);
    expect(denied.err).toContain("ENOENT");
  });

  test("a disk that cannot be written is read all the same, and one without a journal is said to have none", async () => {
    const folder = join(ROOT, "frozen");
    cpSync(join(DATA, "journal"), join(folder, "journal"), { recursive: true });
    chmodSync(join(folder, "journal"), 0o500);
    const config = join(ROOT, "frozen.yaml");
    writeFileSync(config, JSON.stringify({ gateway: { id: "ward-1", dataFolder: folder }, beds: [] }), { mode: 0o600 });
    const io = collectingIo();
    expect(await exportCommand.run(["--config", config, ...between(32, 34)], io)).toBe(0);
    expect(io.out.length).toBe(3);
    chmodSync(join(folder, "journal"), 0o700);
    rmSync(join(folder, "journal"), { recursive: true });
    expect(await exportCommand.run(["--config", config, ...between(32, 34)], io)).toBe(1);
  });

  test.each([
    ["no time", []],
    ["one end only", ["--from", iso(0)]],
    ["ends the wrong way round", ["--from", iso(2), "--to", iso(1)]],
    ["no time at all", ["--from", "yesterday", "--to", iso(1)]],
    ["an unknown kind", [...between(0, 1), "--kinds", "waves"]],
    ["an unknown format", [...between(0, 1), "--format", "xml"]],
    ["an unknown option", [...between(0, 1), "--all"]],
  ])("%s is wrong usage", async (_name, args) => {
    const { code, err, out } = await run(...args);
    expect([code, out]).toEqual([2, []]);
    expect(err).toContain("usage: vigil export");
  });
});
