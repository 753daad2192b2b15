import { describe, expect, test } from "vitest";
import { canonicalJson } from "../src/core/canonical-json.ts";

describe("the canonical text of a record", () => {
  test("is the same whatever order the fields came in", () => {
    const one = { b: 1, a: { d: [1, { z: null, y: "x" }], c: true } };
    const other = { a: { c: true, d: [1, { y: "x", z: null }] }, b: 1 };
    expect(canonicalJson(one)).toBe('{"a":{"c":true,"d":[1,{"y":"x","z":null}]},"b":1}');
    expect(canonicalJson(other)).toBe(canonicalJson(one));
    expect(canonicalJson({ a: [1, 2] })).not.toBe(canonicalJson({ a: [2, 1] }));
  });

  test("is the same before and after the wire", () => {
    const values = [
      0,
      -0,
      1e21,
      1.5e-7,
      0.1 + 0.2,
      Number.MAX_SAFE_INTEGER,
      '5 \u2028"\\ 血氧',
      "",
      null,
      false,
      [],
      {},
      { x: undefined, y: 1 },
    ];
    for (const value of values) expect(canonicalJson(JSON.parse(JSON.stringify(value)))).toBe(canonicalJson(value));
    expect(canonicalJson({ a: Number.NaN })).toBe(canonicalJson(JSON.parse(JSON.stringify({ a: Number.NaN }))));
  });

  test("sorts names by UTF-16 code units and quotes them", () => {
    expect(canonicalJson({ b: 1, B: 2, "a-b": 3, 'q"': 4, 10: 5, 9: 6 })).toBe('{"10":5,"9":6,"B":2,"a-b":3,"b":1,"q\\"":4}');
  });
});
