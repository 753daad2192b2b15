import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ERRORS } from "../src/core/errors.ts";
import { LIMITS } from "../src/core/limits.ts";
import { readSourceFiles } from "./support/source-file.ts";

/** The running gateway without the tables themselves. */
const USERS = readSourceFiles().filter(
  ({ path }) => /^(src|drivers|config|simulator)\//.test(path) && !/^src\/core\/(limits|errors)\.ts$/.test(path),
);

/** A code is used where it stands in quotes, outside of comments. */
function namesCode(code: string): boolean {
  return USERS.some(({ text, bare }) => {
    for (let at = text.indexOf(`"${code}"`); at >= 0; at = text.indexOf(`"${code}"`, at + 1)) if (bare[at] === '"') return true;
    return false;
  });
}

describe("every bound of the table is obeyed somewhere", () => {
  test.each(Object.keys(LIMITS))("%s", (name) => {
    const named = new RegExp(`\\bLIMITS\\.${name}\\b|\\{[^{}]*\\b${name}\\b[^{}]*\\} = LIMITS\\b`);
    expect(USERS.some(({ bare }) => named.test(bare))).toBe(true);
  });
});

describe("every bound says its unit and what happens there", () => {
  test.each(Object.entries(LIMITS))("%s", (name, bound) => {
    expect(bound.value, name).toBeGreaterThan(0);
    expect(bound.unit.length, name).toBeGreaterThan(0);
    expect(bound.atLimit, name).toMatch(/^[A-Z].{15,}\.$/);
  });
});

describe("every failure of the table can occur", () => {
  test.each(Object.keys(ERRORS))("%s", (code) => {
    expect(namesCode(code)).toBe(true);
  });
});

describe("every failure is told in English and Chinese, with a remedy", () => {
  test.each(Object.entries(ERRORS))("%s", (code, { title, remedy }) => {
    for (const text of [title, remedy]) {
      expect(text.en, code).toMatch(/[A-Za-z]{2}/);
      expect(text.zh, code).toMatch(/\p{Script=Han}{2}/u);
    }
  });
});

describe("every failure that becomes an alert is provoked by a test", () => {
  const tests = readdirSync(new URL(".", import.meta.url), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts") && path !== "bounds.test.ts")
    .map((path) => readFileSync(new URL(path, import.meta.url), "utf8"));
  const alerts = Object.entries(ERRORS).filter(([, { told }]) => told === "alert");
  test.each(alerts)("%s", (code) => {
    expect(tests.some((text) => text.includes(code))).toBe(true);
  });
});
