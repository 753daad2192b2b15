import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BodySize, type InfluxUnit, TakenRecords, writeUnits } from "../src/sinks/influx-bisection.ts";
import type { InfluxAnswer } from "../src/sinks/influx-client.ts";

const PROBE = "probe\n";
const TAKEN: InfluxAnswer = { kind: "taken" };
const unit = (number: number): InfluxUnit => ({ key: `k/${number}`, kind: "observation", lines: `o${number}\n`, pointsCount: 1 });
const units = (count: number) => Array.from({ length: count }, (_, index) => unit(index + 1));
const refusal = (droppedCount: number | null): InfluxAnswer => ({
  kind: "refused",
  status: 400,
  why: "unparsable",
  droppedCount,
});

function setUp(answer: (lines: readonly string[], askedCount: number) => InfluxAnswer) {
  const stored = new Set<string>();
  const asked: string[] = [];
  const taken = new TakenRecords();
  const write = async (text: string) => {
    asked.push(text);
    const lines = text.split("\n").filter((line) => line !== "");
    const said = answer(lines, asked.length);
    if (said.kind === "taken") for (const line of lines) stored.add(line);
    return said;
  };
  return { stored, asked, taken, parts: { write, probeLine: () => PROBE, taken, bodySize: new BodySize() } };
}

describe("the search for bad records", () => {
  test("whatever is bad, whether the server keeps the good ones or counts: exactly the bad are named, the others stored", async () => {
    const property = fc.asyncProperty(
      fc.uniqueArray(fc.integer({ min: 1, max: 120 }), { maxLength: 20 }),
      fc.integer({ min: 1, max: 120 }),
      fc.boolean(),
      async (bad, count, counts) => {
        const isBad = (line: string) => bad.some((number) => line === `o${number}`);
        const { stored, taken, parts } = setUp((lines) => {
          const dropped = lines.filter(isBad).length;
          return dropped === 0 ? TAKEN : refusal(counts ? dropped : null);
        });
        taken.took([{ ...unit(0), lines: "o0\n" }]);
        const outcome = await writeUnits(units(count), parts);
        const named = outcome.kind === "done" ? outcome.refused.map(({ unit: { lines } }) => lines.trim()) : ["try-later"];
        const wanted = bad.filter((number) => number <= count).sort((one, other) => one - other);
        expect(named).toEqual(wanted.map((number) => `o${number}`));
        for (const { lines } of units(count)) expect(stored.has(lines.trim())).toBe(!isBad(lines.trim()));
      },
    );
    await fc.assert(property, { numRuns: 300, seed: 20_261_122 });
  });

  test("a search that was cut short and then found nobody guilty is no delivery", async () => {
    let refusals = 0;
    const { taken, parts } = setUp(([line]) => {
      if (`${line}\n` === PROBE || line === "o0" || refusals >= 100) return TAKEN;
      refusals += 1;
      return refusal(null);
    });
    taken.took([{ ...unit(0), lines: "o0\n" }]);
    const outcome = await writeUnits(units(200), parts);
    expect(outcome.kind).toBe("try-later");
  });

  test("a server that was mended while its refusals were weighed has nobody set aside", async () => {
    let isMended = false;
    const { stored, taken, parts } = setUp(([line]) => {
      if (line === "o0") isMended = true;
      return isMended || `${line}\n` === PROBE ? TAKEN : refusal(null);
    });
    taken.took([{ ...unit(0), lines: "o0\n" }]);
    expect(await writeUnits(units(9), parts)).toEqual({ kind: "done", refused: [] });
    for (const { lines } of units(9)) expect(stored.has(lines.trim())).toBe(true);
  });

  test("of a kind that was never taken five may be refused, the sixth makes the server suspect", async () => {
    const { taken, parts } = setUp((lines) => (`${lines[0]}\n` === PROBE ? TAKEN : refusal(lines.length)));
    expect((await writeUnits(units(5), parts)).kind).toBe("done");
    expect(await writeUnits(units(1), parts)).toMatchObject({ kind: "try-later", fault: { code: "upstream-refuses-all" } });
    taken.took([unit(9)]);
    expect(taken.mayRefuseUnproven("observation", 5)).toBe(true);
  });

  test("a failure in the middle of the search ends it at once", async () => {
    const gone: InfluxAnswer = { kind: "unavailable", fault: { code: "upstream-slow", facts: {} }, waitMs: 7 };
    const { asked, parts } = setUp((_lines, askedCount) => (askedCount < 4 ? (askedCount === 2 ? TAKEN : refusal(null)) : gone));
    expect(await writeUnits(units(64), parts)).toEqual({
      kind: "try-later",
      fault: { code: "upstream-slow", facts: {} },
      waitMs: 7,
    });
    expect(asked.length).toBe(4);
  });

  test("nothing to write asks nobody", async () => {
    const { asked, parts } = setUp(() => TAKEN);
    expect(await writeUnits([], parts)).toEqual({ kind: "done", refused: [] });
    expect(asked).toEqual([]);
  });
});
