import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { scoreCommand } from "../src/commands/score.ts";
import { evaluateScore, type InputState } from "../src/watch/score.ts";
import { type ScoreModel, stepsOf } from "../src/watch/score-model.ts";
import { loadScoreModel, parseScoreModel } from "../src/watch/score-table.ts";
import { collectingIo } from "./support/collecting-io.ts";

const FOLDER = new URL("../models/news2/", import.meta.url).pathname;

interface Vector {
  readonly name: string;
  readonly input: Readonly<Record<string, number | string | boolean>>;
  readonly part: string;
  readonly partPoints: number;
  readonly points: number;
}

const { vectors } = JSON.parse(await readFile(join(FOLDER, "vectors.json"), "utf8")) as { readonly vectors: readonly Vector[] };
const loaded = await loadScoreModel(FOLDER);
if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
const news2: ScoreModel = loaded.value;

function evaluate(input: Readonly<Record<string, number | string | boolean>>) {
  const states = new Map<string, InputState>();
  for (const { name } of news2.inputs) {
    const value = input[name];
    if (value !== undefined) states.set(name, { kind: "known", value, atMs: null });
  }
  return evaluateScore(news2, states, input);
}

const WELL = {
  respiratoryRate: 16,
  oxygenSaturation: 98,
  onOxygen: false,
  systolicPressure: 125,
  heartRate: 72,
  consciousness: "A",
  bodyTemperature: 37,
} as const;

describe("NEWS2, both sides of every edge of the printed chart", () => {
  for (const vector of vectors) {
    test(vector.name, () => {
      const answer = evaluate(vector.input);
      if (answer.kind !== "score") throw new Error(JSON.stringify(answer));
      expect(answer.parts.find(({ input }) => input === vector.part)?.points).toBe(vector.partPoints);
      expect(answer.points).toBe(vector.points);
      expect(answer.missing).toEqual([]);
    });
  }
});

describe("NEWS2 response", () => {
  const cases: readonly [string, Readonly<Record<string, number | string | boolean>>, number, string][] = [
    ["0 is routine", {}, 0, "routine"],
    ["1 is low", { heartRate: 91 }, 1, "low"],
    ["4 without a 3 is low", { heartRate: 111, respiratoryRate: 21 }, 4, "low"],
    ["a single 3 is urgent", { heartRate: 131 }, 3, "urgent"],
    ["5 without a 3 is urgent", { heartRate: 111, respiratoryRate: 21, bodyTemperature: 38.5 }, 5, "urgent"],
    ["6 is urgent", { heartRate: 111, respiratoryRate: 21, bodyTemperature: 39.5 }, 6, "urgent"],
    ["7 is an emergency", { heartRate: 111, respiratoryRate: 21, bodyTemperature: 39.5, systolicPressure: 105 }, 7, "emergency"],
  ];
  for (const [name, change, points, response] of cases) {
    test(name, () => expect(evaluate({ ...WELL, ...change })).toMatchObject({ kind: "score", points, response }));
  }
});

describe("what is missing", () => {
  for (const name of Object.keys(WELL)) {
    test(`without ${name} the answer is partial and names it`, () => {
      const { [name as keyof typeof WELL]: _, ...rest } = { ...WELL, heartRate: 115 };
      const answer = evaluate(rest);
      if (answer.kind !== "score") throw new Error("no score");
      expect(answer.missing.map(({ input }) => input)).toEqual([name]);
      expect(answer.parts.map(({ input }) => input)).not.toContain(name);
      expect(answer.parts).toHaveLength(6);
      expect(answer.inputCount).toBe(7);
      expect(answer.points).toBe(name === "heartRate" ? 0 : 2);
    });
  }
  test("nothing known is no answer, not 0", () => {
    expect(evaluate({})).toMatchObject({ kind: "no-answer", why: "inputs-missing" });
  });
  test("on scale 2, 93 % cannot be scored while nobody entered oxygen, 92 % can", () => {
    const { onOxygen: _, ...rest } = { ...WELL, spo2Scale: 2 };
    const unclear = evaluate({ ...rest, oxygenSaturation: 93 });
    expect(unclear.missing.map(({ input }) => input)).toEqual(["oxygenSaturation", "onOxygen"]);
    const clear = evaluate({ ...rest, oxygenSaturation: 92 });
    expect(clear.missing.map(({ input }) => input)).toEqual(["onOxygen"]);
    expect(evaluate({ ...rest, oxygenSaturation: 85 })).toMatchObject({ points: 2 });
  });
  test("15 years is not applicable, 16 is", () => {
    expect(evaluate({ ...WELL, ageYears: 15 })).toMatchObject({ kind: "no-answer", why: "not-applicable" });
    expect(evaluate({ ...WELL, ageYears: 16 })).toMatchObject({ kind: "score" });
    expect(evaluate({ ...WELL, pregnant: true })).toMatchObject({ kind: "no-answer", why: "not-applicable" });
  });
});

test("halves round away from zero in spite of binary fractions", () => {
  expect(stepsOf(38.05, 0.1)).toBe(381);
  expect(stepsOf(38.04999, 0.1)).toBe(380);
  expect(stepsOf(-2.5, 1)).toBe(-3);
  for (let step = 0; step < 4500; step++)
    expect(stepsOf(Number(`${(step + 0.5) / 10}`), 0.1), `half of step ${step}`).toBe(step + 1);
});

describe("a score table that cannot be trusted is refused", () => {
  const read = async (file: string) => JSON.parse(await readFile(join(FOLDER, file), "utf8"));
  const parse = async (
    change: (table: {
      parts: { scales: { bands: { from?: number; to?: number; points: number }[] }[] }[];
      source?: string;
    }) => void,
  ) => {
    const manifest = await read("manifest.json");
    const table = await read("table.json");
    change(table);
    return parseScoreModel({ manifest, table, sha256: manifest.table.sha256 });
  };
  const bands = (table: { parts: { scales: { bands: { from?: number; to?: number; points: number }[] }[] }[] }) => {
    const found = table.parts[0]?.scales[0]?.bands;
    if (found === undefined) throw new Error("no bands");
    return found;
  };
  const refused: readonly [string, Parameters<typeof parse>[0], RegExp][] = [
    ["a gap", (table) => bands(table).splice(1, 1), /gap between 8 and 12/],
    ["an overlap", (table) => Object.assign(bands(table)[1] ?? {}, { from: 8 }), /overlap between 8 and 8/],
    ["a closed end above", (table) => Object.assign(bands(table)[4] ?? {}, { to: 60 }), /gap: the last band/],
    ["a closed end below", (table) => Object.assign(bands(table)[0] ?? {}, { from: 1 }), /gap: the first band/],
    ["an edge off the resolution", (table) => Object.assign(bands(table)[0] ?? {}, { to: 8.5 }), /not on the resolution/],
    ["no source", (table) => delete table.source, /table.source/],
    ["a part left out", (table) => table.parts.pop(), /bodyTemperature must be once/],
    ["an unknown key", (table) => Object.assign(table, { sauce: "x" }), /table.sauce: unknown key/],
  ];
  for (const [name, change, problem] of refused) {
    test(name, async () => {
      const model = await parse(change);
      expect(model.ok ? null : model.error.code).toBe("model-refused");
      expect(model.ok ? "" : model.error.facts["problem"]).toMatch(problem);
    });
  }
  test("the same table unchanged is accepted", async () => expect((await parse(() => undefined)).ok).toBe(true));

  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vigil-score-"));
  });
  afterAll(async () => rm(folder, { recursive: true }));
  test("one byte changed in the table is refused by its hash", async () => {
    const manifest = await readFile(join(FOLDER, "manifest.json"), "utf8");
    const table = await readFile(join(FOLDER, "table.json"), "utf8");
    await writeFile(join(folder, "manifest.json"), manifest);
    await writeFile(join(folder, "table.json"), table);
    expect((await loadScoreModel(folder)).ok).toBe(true);
    await writeFile(join(folder, "table.json"), `${table} `);
    const changed = await loadScoreModel(folder);
    expect(changed.ok ? "" : changed.error.facts["problem"]).toMatch(/hash/);
    expect((await loadScoreModel(join(folder, "absent"))).ok).toBe(false);
  });
});

describe("vigil score", () => {
  const run = async (args: readonly string[], lines: readonly string[] = []) => {
    const io = collectingIo(lines);
    const exitCode = await scoreCommand.run(args, io);
    return { exitCode, errors: io.err.join("\n"), out: io.out.map((line) => JSON.parse(line)) };
  };
  test("answers with points by part", async () => {
    const { exitCode, out } = await run([
      "news2",
      "--input",
      JSON.stringify({ ...WELL, heartRate: 120, bodyTemperature: 39.1, respiratoryRate: 25 }),
    ]);
    expect(exitCode).toBe(0);
    expect(out).toEqual([
      {
        answer: {
          kind: "score",
          points: 7,
          parts: {
            respiratoryRate: 3,
            oxygenSaturation: 0,
            onOxygen: 0,
            systolicPressure: 0,
            heartRate: 2,
            consciousness: 0,
            bodyTemperature: 2,
          },
          missing: [],
          partial: false,
          inputCount: 7,
          response: "emergency",
        },
        model: "news2",
        version: "1.0.0",
      },
    ]);
  });
  test("takes any of an input's quantities, the ECG's rate before the oximeter's", async () => {
    const { out } = await run(
      ["news2", "--stdin"],
      ['{"pulseRate":131}', '{"pulseRate":131,"heartRate":100}', '{"arterialSystolicPressure":90}'],
    );
    expect(out.map(({ answer }) => answer.parts)).toEqual([{ heartRate: 3 }, { heartRate: 1 }, { systolicPressure: 3 }]);
    expect(out[0].answer.partial).toBe(true);
    expect(out[0].answer.missing).toHaveLength(6);
  });
  test("a null input is missing, a zero is a value", async () => {
    const { out } = await run(["news2", "--stdin"], ['{"respiratoryRate":0,"heartRate":null}']);
    expect(out[0].answer.parts).toEqual({ respiratoryRate: 3 });
    expect(out[0].answer.missing).toContain("heartRate");
  });
  test("a child is not applicable", async () => {
    const { out } = await run(["news2", "--input", JSON.stringify({ ...WELL, ageYears: 12 })]);
    expect(out[0].answer).toMatchObject({ kind: "no-answer", why: "not-applicable" });
  });
  const bad: readonly [string, string, string][] = [
    ["not JSON", "{heartRate:1}", "bad-json"],
    ["a list", "[1]", "bad-json"],
    ["an unknown key", '{"heartrate":80}', "unknown-input"],
    ["a text for a number", '{"heartRate":"80"}', "bad-input"],
    ["an impossible value", '{"bodyTemperature":98.6}', "bad-input"],
    ["an unknown consciousness", '{"consciousness":"X"}', "bad-input"],
    ["a number for oxygen", '{"onOxygen":1}', "bad-input"],
    ["a third scale", '{"spo2Scale":3}', "bad-input"],
  ];
  for (const [name, line, kind] of bad) {
    test(`refuses ${name} and answers the next line`, async () => {
      const { exitCode, out } = await run(["news2", "--stdin"], [line, JSON.stringify(WELL)]);
      expect(exitCode).toBe(1);
      expect(out[0]).toMatchObject({ ok: false, error: { kind } });
      expect(out[1].answer.points).toBe(0);
    });
  }
  test("an unknown model is wrong usage and lists what there is", async () => {
    const { exitCode, errors } = await run(["../news2", "--input", "{}"]);
    expect(exitCode).toBe(2);
    expect(errors).toContain("news2");
    expect((await run(["news2"])).exitCode).toBe(2);
  });
});
