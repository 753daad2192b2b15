import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import type { LimitSide } from "../src/core/act.ts";
import { ERRORS } from "../src/core/errors.ts";
import { bedId, deviceId, patientId } from "../src/core/ids.ts";
import { isOutside, levelsOfSide } from "../src/core/limit-levels.ts";
import { LIMITS } from "../src/core/limits.ts";
import { QUANTITIES } from "../src/core/quantities.ts";
import type { PictureView } from "../src/core/stream.ts";
import { createScanReader } from "../src/dashboard/web/frame/scan-reader.ts";
import {
  furtherLevels,
  holdEndMs,
  levelsText,
  minuteText,
  readSides,
  sideOf,
  typedNumber,
} from "../src/dashboard/web/people/limit-words.ts";
import { scanMeaning, withoutSymbology } from "../src/dashboard/web/people/scan-meaning.ts";
import { placeOf } from "../src/dashboard/web/state/place.ts";
import { refusalWords } from "../src/dashboard/web/words/refusal.ts";
import { isTextKey } from "../src/dashboard/web/words/texts.ts";
import { bedView, deviceView, gatewayView } from "./support/scripted-ward.ts";

/** Keys with the milliseconds since the one before; says what each was taken for. */
function typed(keys: readonly (readonly [key: string, gapMs: number])[]): readonly string[] {
  const reader = createScanReader();
  let atMs = 1000;
  return keys.map(([key, gapMs]) => {
    atMs += gapMs;
    const step = reader.take(key, atMs);
    return step.kind === "scan" ? `scan ${step.code}` : step.kind;
  });
}

const code = (text: string, gapMs: number) => [...text].map((key) => [key, gapMs] as const);

describe("what a scanner types", () => {
  test("characters within 50 ms and Enter are a code, and no key of it has an effect but the first, which waits", () => {
    expect(typed([...code("P-17", 50), ["Enter", 50]])).toEqual(["alone", "gathered", "gathered", "gathered", "scan P-17"]);
    expect(typed([...code("P-17", 51), ["Enter", 51]])).toEqual(["alone", "alone", "alone", "alone", "other"]);
  });

  test("four characters are a code and three are none; neither acts", () => {
    expect(LIMITS.scanCharactersMin.value).toBe(4);
    expect(typed([...code("1a2", 10), ["Enter", 10]])).toEqual(["alone", "gathered", "gathered", "ignored"]);
    expect(typed([...code("1a2b", 10), ["Enter", 10]]).at(-1)).toBe("scan 1a2b");
  });

  test("Enter that comes too late for a code presses nothing either, for half a second", () => {
    expect(typed([...code("P-17", 10), ["Enter", 51]]).at(-1)).toBe("ignored");
    expect(typed([...code("P-17", 10), ["Enter", 500]]).at(-1)).toBe("ignored");
    expect(typed([...code("P-17", 10), ["Enter", 501]]).at(-1)).toBe("other");
  });

  test("the rest of a code that was cut short acts as little as its beginning", () => {
    expect(typed([...code("P-1", 10), ["7", 60], ["w", 500]]).slice(3)).toEqual(["gathered", "alone"]);
    expect(typed([...code("P-1", 10), ["7", 500]]).at(-1)).toBe("gathered");
    expect(typed([...code("P-1", 10), ["7", 501]]).at(-1)).toBe("alone");
    expect(
      typed([
        ["w", 0],
        ["a", 51],
        ["Enter", 200],
      ]),
    ).toEqual(["alone", "alone", "other"]);
  });

  test("a capital letter's Shift is no break, an arrow is one, and what is typed into a field is forgotten", () => {
    expect(
      typed([
        ["P", 10],
        ["Shift", 10],
        ["X", 10],
        ["1", 10],
        ["2", 10],
        ["Enter", 10],
      ]).at(-1),
    ).toBe("scan PX12");
    expect(typed([...code("P17", 10), ["ArrowDown", 10], ["1", 10], ["Enter", 10]]).at(-1)).toBe("ignored");
    const reader = createScanReader();
    for (const [index, key] of [..."P-17"].entries()) reader.take(key, 1000 + index);
    reader.forget();
    expect(reader.take("Enter", 1005).kind).toBe("other");
  });

  test("a code without an end is cut and still one", () => {
    const long = typed([...code("7".repeat(5000), 1), ["Enter", 1]]).at(-1) ?? "";
    expect(long.length).toBe("scan ".length + 2 * LIMITS.patientNumberCharactersMax.value);
  });
});

const nowMs = Date.UTC(2026, 10, 22, 3, 0);
const anna = bedView("bed-1", nowMs);
const theirs = anna.patient === null ? null : { ...anna.patient, formerNumbers: [patientId("P-OLD")] };
const ward: PictureView = {
  nowMs,
  gateway: gatewayView(nowMs),
  beds: [
    { ...anna, patient: theirs, devices: [deviceView("monitor-1", { patientId: patientId("patient-of-bed-1") })] },
    { ...bedView("bed-2", nowMs, { patient: null }), title: "12 A", devices: [] },
    { ...bedView("bed-3", nowMs), devices: [] },
  ],
  unassigned: [deviceView("monitor-9", { bedId: bedId("bed-2"), patientId: null })],
  alerts: [],
};
const everything = { admit: true, assign: true };
const scannedAt = (bed: string | null, scanned: string, may = everything) => scanMeaning(scanned, { ward, bedId: bed }, may);

describe("what was scanned", () => {
  test("a symbology identifier is cut off, and nothing else that begins with a bracket", () => {
    expect(["]C1P-17", "]d2P-17", "]Q3P-17", "P-17"].map(withoutSymbology)).toEqual(["P-17", "P-17", "P-17", "P-17"]);
    expect(["]P-17", "]C-7", "x]C1P-17", "[C1P-17"].map(withoutSymbology)).toEqual(["]P-17", "]C-7", "x]C1P-17", "[C1P-17"]);
  });

  test("a patient's number, also a former one, opens their bed; so does a bed's id or title", () => {
    for (const scanned of ["patient-of-bed-1", "]C1patient-of-bed-1", "P-OLD", "bed-1", "bed 1", " bed-1 "])
      expect(scannedAt(null, scanned), scanned).toEqual({ kind: "open-bed", bedId: "bed-1" });
    expect(scannedAt("bed-1", "12 a")).toEqual({ kind: "open-bed", bedId: "bed-2" });
  });

  test("a number nobody here has is admitted: to the free bed that is shown, else it is asked to which", () => {
    expect(scannedAt("bed-2", "]C1P-99")).toEqual({ kind: "admit", bedId: "bed-2", patientId: "P-99" });
    expect(scannedAt("bed-1", "P-99")).toEqual({ kind: "admit", bedId: null, patientId: "P-99" });
    expect(scannedAt(null, "P-99")).toEqual({ kind: "admit", bedId: null, patientId: "P-99" });
    expect(scannedAt("bed-2", "P-99", { admit: false, assign: false })).toEqual({ kind: "unknown" });
  });

  test("a device goes to the patient whose bed is shown; on nobody's page it is asked to whom", () => {
    expect(scannedAt("bed-3", "monitor-9")).toEqual({ kind: "assign", deviceId: "monitor-9", patientId: "patient-of-bed-3" });
    expect(scannedAt("bed-3", "monitor-1")).toEqual({ kind: "assign", deviceId: "monitor-1", patientId: "patient-of-bed-3" });
    expect(scannedAt("bed-1", "monitor-1")).toMatchObject({ kind: "already-on", label: "W. L." });
    expect(scannedAt(null, "monitor-9")).toEqual({ kind: "assign", deviceId: deviceId("monitor-9"), patientId: null });
    expect(scannedAt("bed-2", "monitor-1")).toEqual({ kind: "open-bed", bedId: "bed-1" });
    expect(scannedAt("bed-3", "monitor-9", { admit: true, assign: false })).toEqual({ kind: "open-bed", bedId: "bed-2" });
  });

  test("a code at the bound of a number may be one, a longer one is none", () => {
    const longest = "7".repeat(LIMITS.patientNumberCharactersMax.value);
    expect(scannedAt(null, longest).kind).toBe("admit");
    expect(scannedAt(null, `${longest}7`).kind).toBe("too-long");
    expect(scannedAt(null, "]C1").kind).toBe("unknown");
  });
});

const side = (value: string, more: { readonly isOn?: boolean; readonly priority?: "high" | "medium" | "low" } = {}) =>
  ({ isOn: true, value, priority: "medium", ...more }) as const;
const off = side("", { isOn: false });

describe("limits as they are typed", () => {
  test("a number is one with a comma and in wide digits too, and a word is none", () => {
    expect(["88", " 37,5 ", "８８", ".5", "-3"].map(typedNumber)).toEqual([88, 37.5, 88, 0.5, -3]);
    expect(["", "8 8", "1e3", "NaN", "0x10", "88%", "1,2,3"].map(typedNumber)).toEqual(Array(7).fill(null));
  });

  test("what can occur may be a limit, to the last value on both sides; what cannot is refused", () => {
    for (const quantity of ["oxygenSaturation", "bodyTemperature", "arterialMeanPressure"] as const) {
      const { min, max } = QUANTITIES[quantity].possible;
      for (const value of [min, max]) expect(sideOf(side(String(value)), quantity)).toEqual({ value, priority: "medium" });
      for (const value of [min - 0.1, max + 0.1]) expect(sideOf(side(value.toFixed(1)), quantity)).toBe("impossible");
    }
    expect(sideOf(side("x"), "heartRate")).toBe("no-number");
    expect(sideOf(side("500", { isOn: false }), "heartRate")).toBeNull();
  });

  test("the low limit lies below the high one, and what is wrong is said beside its side", () => {
    expect(readSides("en", "heartRate", { low: side("50"), high: side("50.1") })).toEqual({
      low: { value: 50, priority: "medium" },
      high: { value: 50.1, priority: "medium" },
    });
    expect(readSides("en", "heartRate", { low: side("50"), high: side("50") })).toMatchObject({ field: "low" });
    expect(readSides("en", "heartRate", { low: off, high: off })).toEqual({ low: null, high: null });
    expect(readSides("en", "heartRate", { low: side("9"), high: side("500") })).toEqual({
      field: "low",
      text: "Only 10 to 350 /min can occur.",
    });
    expect(readSides("zh", "heartRate", { low: off, high: side("351") })).toEqual({
      field: "high",
      text: "只可能在 10 至 350 次/分 之间。",
    });
  });

  test("more urgent defaults further out stay behind a limit, on it and inside of it they do not", () => {
    const defaults: readonly LimitSide[] = [
      { value: 90, priority: "medium" },
      { value: 85, priority: "high" },
    ];
    const set = (value: number, priority: "high" | "medium" | "low") => ({ value, priority });
    expect(furtherLevels("low", set(88, "medium"), defaults)).toEqual([{ value: 85, priority: "high" }]);
    expect(furtherLevels("low", set(85, "medium"), defaults)).toEqual([]);
    expect(furtherLevels("low", set(88, "high"), defaults)).toEqual([]);
    expect(furtherLevels("low", set(95, "low"), defaults)).toEqual(defaults);
    expect(furtherLevels("low", null, defaults)).toEqual([]);
    expect(levelsOfSide("low", null, defaults)).toEqual([]);
    expect(levelsText("en", "oxygenSaturation", levelsOfSide("low", set(88, "medium"), defaults))).toBe("88 medium, 85 high");
    expect(levelsText("zh", "bodyTemperature", [set(38.25, "low")])).toBe("38.25（低）");
    expect(levelsText("en", "oxygenSaturation", [])).toBe("off");
    expect([
      isOutside("low", 88, 88),
      isOutside("low", 88, 87.9),
      isOutside("high", 88, 88),
      isOutside("high", 88, 88.1),
    ]).toEqual([false, true, false, true]);
  });

  test("a limit holds for an hour, to the end of a shift or without end; a shift that ends just now is the next day's", () => {
    const at = (hour: number, minute: number, second = 0) => new Date(2026, 10, 22, hour, minute, second).getTime();
    expect(holdEndMs("1", at(3, 0))).toBe(at(4, 0));
    expect(holdEndMs("4", at(22, 30))).toBe(at(26, 30));
    expect(holdEndMs("never", at(3, 0))).toBeNull();
    expect(holdEndMs("night", at(7, 59, 59))).toBe(at(8, 0));
    expect(holdEndMs("night", at(8, 0))).toBe(at(32, 0));
    expect(holdEndMs("day", at(19, 59, 59))).toBe(at(20, 0));
    expect(holdEndMs("day", at(20, 0))).toBe(at(44, 0));
    expect(minuteText("en", at(8, 0), at(7, 0))).toBe("08:00");
    expect(minuteText("en", at(32, 0), at(23, 59))).toBe("tomorrow 08:00");
    expect(minuteText("zh", at(32, 0), at(23, 59))).toBe("明天 08:00");
    expect(minuteText("en", at(56, 0), at(23, 59))).toBe("24 Nov 08:00");
    expect(minuteText("en", new Date(2025, 11, 31, 8).getTime(), at(8, 0))).toBe("31 Dec 2025 08:00");
  });
});

describe("why something was refused", () => {
  const refused = (facts: Readonly<Record<string, unknown>>, errorCode: keyof typeof ERRORS = "act-refused") =>
    refusalWords("en", { code: errorCode, facts, ...ERRORS[errorCode] });

  test("every reason of the gateway has its words, in the field it is about", async () => {
    const sources = await Promise.all(
      ["src/gateway/plant.ts", "src/gateway/door.ts", "src/dashboard/server/accounts.ts"].map((file) => readFile(file, "utf8")),
    );
    const reasons = sources.flatMap((source) =>
      [...source.matchAll(/(?:refuse\(|why: )"([a-z-]+)"/g)].map(([, why]) => why ?? ""),
    );
    expect(reasons.length).toBeGreaterThan(20);
    expect([...new Set(reasons)].filter((why) => !isTextKey(`because.${why}`))).toEqual([]);
  });

  test("a known reason is told with its facts and its field, an unknown one by its code", () => {
    expect(refused({ why: "bed-occupied", bed: "bed-1" })).toEqual({
      field: "bedId",
      text: "Somebody lies in this bed. Choose a free one.",
    });
    expect(refused({ why: "expiry-far", hoursMax: "168" }).text).toContain("168 hours");
    expect(refused({ why: "never-heard-of" })).toEqual({
      field: null,
      text: "The act does not fit the present state. Look at the bed again: it may have changed.",
    });
    expect(refused({}, "not-allowed").text).toBe("This account may not do that. Ask an administrator.");
    expect(refused({ field: "label", problem: "not-allowed" }, "request-refused").field).toBe("label");
  });

  test("a name that is taken, one that cannot be and a short password are told apart", () => {
    expect(refused({ field: "name", taken: "yes" }, "account-refused").text).toBe(
      "There is an account of this name. Choose another.",
    );
    expect(refused({ field: "name", charactersMax: 64 }, "account-refused").text).toContain("1 to 64");
    expect(refused({ field: "password", charactersMin: 10, charactersMax: 256 }, "account-refused")).toEqual({
      field: "password",
      text: "A password has 10 to 256 characters.",
    });
    expect(refused({ why: "last-administrator" }, "account-refused").text).toContain("last administrator");
  });

  test("where the gateway did not answer nobody says that nothing was done", () => {
    expect(refusalWords("en", null)).toMatchObject({ field: null });
    expect(refusalWords("en", null).text).toContain("nobody knows whether this was done");
  });
});

test("the address of the accounts is a place", () => {
  expect(placeOf("#/users")).toEqual({ kind: "users" });
  expect(placeOf("#/userss")).toEqual({ kind: "wall" });
});
