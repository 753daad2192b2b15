import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { bedId, deviceId } from "../src/core/ids.ts";
import type { WaveView } from "../src/core/stream.ts";
import { pagesAreStale, stampPages } from "../src/dashboard/server/pages-build.ts";
import { createSweep } from "../src/dashboard/web/bed/sweep.ts";
import {
  burstGain,
  burstTones,
  nextBurst,
  REPEAT_MS,
  SILENCE,
  type SoundNeed,
  soundNeeds,
} from "../src/dashboard/web/sound/sound-plan.ts";
import {
  alertsOfBed,
  applyMessage,
  bestNumber,
  freshnessOf,
  scoreUrgency,
  sortAlerts,
  unrealOrigins,
} from "../src/dashboard/web/state/ward.ts";
import { firstLanguage, say, TEXTS, type TextKey } from "../src/dashboard/web/words/texts.ts";
import { ageText, contentText, inputValueText, valueText } from "../src/dashboard/web/words/words.ts";
import { bedView, createScriptedWard, deviceView, limitAlert, numberView } from "./support/scripted-ward.ts";

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const projectRoot = join(import.meta.dirname, "..");

describe("texts", () => {
  const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([hole]) => hole).sort();
  for (const [key, text] of Object.entries(TEXTS)) {
    test(`${key}: said in both languages, with the same facts in it`, () => {
      expect(text.en.trim()).not.toBe("");
      expect(text.zh.trim()).not.toBe("");
      expect(holes(text.zh)).toEqual(holes(text.en));
    });
  }

  test("each absence, flag and reason of core has its words", () => {
    const keys: TextKey[] = ["absence.sensor-off", "absence.impossible", "flag.after-gap", "why.expired", "origin.replayed"];
    for (const key of keys) expect(say("zh", key)).toMatch(/\p{Script=Han}/u);
  });

  test("the language chosen before wins over the browser's, whose Chinese comes first", () => {
    expect(firstLanguage(null, "zh-CN")).toBe("zh");
    expect(firstLanguage(null, "de-DE")).toBe("en");
    expect(firstLanguage("en", "zh-CN")).toBe("en");
    expect(firstLanguage("fr", "en-GB")).toBe("en");
  });

  test("an absence is words, and a zero stays a zero", () => {
    expect(contentText("en", "oxygenSaturation", { state: "absent", why: "sensor-off" })).toBe("sensor off");
    expect(contentText("zh", "oxygenSaturation", { state: "absent", why: "sensor-off" })).toBe("传感器脱落");
    expect(contentText("en", "respiratoryRate", { state: "present", value: 0 })).toBe("0");
  });

  test("numbers have the decimals they are worth, ages the unit a person thinks in", () => {
    expect([valueText("bodyTemperature", 37), valueText("perfusionIndex", 0.8), valueText("heartRate", 71.6)]).toEqual([
      "37.0",
      "0.80",
      "72",
    ]);
    expect([0, 119_400, 120_000, 7_199_000, 7_200_000, 172_800_000].map((ms) => ageText("en", ms))).toEqual([
      "0 s",
      "119 s",
      "2 min",
      "119 min",
      "2 h",
      "2 d",
    ]);
    expect([
      inputValueText("en", "onOxygen", "true"),
      inputValueText("en", "onOxygen", "false"),
      inputValueText("zh", "consciousness", "V"),
    ]).toEqual(["Oxygen", "Air", "V · 呼唤有反应"]);
  });
});

describe("the ward as the page keeps it", () => {
  const ward = createScriptedWard({ nowMs: () => nowMs, beds: [bedView("bed-1", nowMs), bedView("bed-2", nowMs)] });
  const picture = ward.source.picture();

  test("changes replace what they name and leave the rest as it is", () => {
    const changed = { ...bedView("bed-2", nowMs), title: "Two" };
    const next = applyMessage(picture, { kind: "beds", beds: [changed] });
    expect(next?.beds[0]).toBe(picture.beds[0]);
    expect(next?.beds[1]).toBe(changed);
    expect(applyMessage(picture, { kind: "pulse", nowMs })).toBe(picture);
    expect(applyMessage(null, { kind: "beds", beds: [changed] })).toBeNull();
  });

  test("an ended alert goes, a changed one is not doubled", () => {
    const alert = limitAlert("a-1", nowMs);
    const one = applyMessage(picture, { kind: "alerts", alerts: [alert] });
    const known = applyMessage(one, { kind: "alerts", alerts: [{ ...alert, state: "acknowledged" }] });
    expect(known?.alerts.map((each) => each.state)).toEqual(["acknowledged"]);
    expect(applyMessage(known, { kind: "alerts", alerts: [{ ...alert, state: "ended" }] })?.alerts).toEqual([]);
  });

  test("unacknowledged come first, then the more urgent, then the patient before the equipment, then the newer", () => {
    const at = (id: string, more: object) => ({ ...limitAlert(id, nowMs), ...more });
    const alerts = [
      at("known-high", { state: "acknowledged" }),
      at("low", { priority: "low" }),
      at("technical", { nature: "technical" }),
      at("older", { raisedAtMs: nowMs - 5000 }),
      at("newer", {}),
      at("medium", { priority: "medium" }),
    ];
    expect(sortAlerts(alerts).map((alert) => alert.id)).toEqual(["newer", "older", "technical", "medium", "low", "known-high"]);
  });

  test("an alert belongs to the bed it names, or to the bed of its device", () => {
    const bed = bedView("bed-1", nowMs, { devices: [deviceView("monitor-7")] });
    const named = limitAlert("a", nowMs);
    const subject = { patientId: null, bedId: null, deviceId: deviceId("monitor-7"), part: null };
    expect(
      alertsOfBed([named, { ...named, subject }, { ...named, subject: { ...subject, bedId: bedId("bed-2") } }], bed),
    ).toHaveLength(2);
  });

  test("a number is old past its age and not before, and a fresh one is shown before a newer absence", () => {
    const number = numberView("heartRate", 71, { measuredAtMs: nowMs - 30_000, staleAfterMs: 30_000 });
    expect(freshnessOf(number, nowMs)).toBe("fresh");
    expect(freshnessOf(number, nowMs + 1)).toBe("old");
    const absence = { ...number, content: { state: "absent", why: "sensor-off" }, measuredAtMs: nowMs } as const;
    const bed = bedView("bed-1", nowMs, { numbers: [absence, number] });
    expect(bestNumber(bed, "heartRate", nowMs)).toBe(number);
    expect(bestNumber(bed, "bodyTemperature", nowMs)).toBeNull();
  });

  test("one simulated number is enough to mark the bed", () => {
    const bed = bedView("bed-1", nowMs);
    expect(unrealOrigins(bed)).toEqual([]);
    const one = numberView("perfusionIndex", 2, { measuredAtMs: nowMs, origin: "simulated" });
    expect(unrealOrigins({ ...bed, numbers: [...bed.numbers, one] })).toEqual(["simulated"]);
    expect(unrealOrigins({ ...bed, devices: [deviceView("d", { origin: "replayed" })] })).toEqual(["replayed"]);
  });

  test("NEWS2 looks urgent from five, or with a single three, and an emergency from seven", () => {
    expect([0, 4, 5, 6, 7].map((points) => scoreUrgency(points, [Math.min(points, 2)]))).toEqual([
      "none",
      "low",
      "medium",
      "medium",
      "high",
    ]);
    expect(scoreUrgency(3, [3])).toBe("medium");
  });
});

describe("sound", () => {
  const need = (key: string, priority: SoundNeed["priority"], nature: SoundNeed["nature"] = "physiological"): SoundNeed => ({
    key,
    priority,
    nature,
  });

  test("high is two groups of five tones, medium three, low one", () => {
    expect((["high", "medium", "low"] as const).map((priority) => burstTones(priority, "physiological").length)).toEqual([
      10, 3, 1,
    ]);
    const starts = burstTones("high", "physiological").map((tone) => tone.startSeconds);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    const gap = (starts[5] ?? 0) - (starts[4] ?? 0);
    expect(gap).toBeGreaterThan(2 * ((starts[3] ?? 0) - (starts[2] ?? 0)) - 0.01);
  });

  test("a technical alert is never as loud as a high physiological one, and sounds lower", () => {
    for (const priority of ["high", "medium", "low"] as const) {
      expect(burstGain(priority, "technical")).toBeLessThan(burstGain("high", "physiological"));
      expect(burstTones(priority, "technical")[0]?.frequencyHz).toBeLessThan(
        burstTones(priority, "physiological")[0]?.frequencyHz ?? 0,
      );
    }
  });

  test("the loudest repeats in its time, low sounds once, and a louder one interrupts at once", () => {
    const low = nextBurst([need("l", "low")], SILENCE, 0);
    expect(low.burst?.key).toBe("l");
    expect(nextBurst([need("l", "low")], low.memory, 600_000).burst).toBeNull();
    const high = nextBurst([need("h", "high"), need("l", "low")], low.memory, 100);
    expect(high.burst?.key).toBe("h");
    const again = (ms: number) => nextBurst([need("h", "high")], high.memory, 100 + ms).burst;
    expect(again((REPEAT_MS.high ?? 0) - 1)).toBeNull();
    expect(again(REPEAT_MS.high ?? 0)?.key).toBe("h");
  });

  test("a second high alert is heard after the burst of the first, and an alert raised again sounds anew", () => {
    const first = nextBurst([need("a 1", "high")], SILENCE, 0);
    const both = [need("b 1", "high"), need("a 1", "high")];
    expect(nextBurst(both, first.memory, 1000).burst).toBeNull();
    expect(nextBurst(both, first.memory, 3000).burst?.key).toBe("b 1");
    const low = nextBurst([need("c 1", "low")], SILENCE, 0);
    expect(nextBurst([need("c 2", "low")], low.memory, 60_000).burst?.key).toBe("c 2");
  });

  test("acknowledged alerts are silent, and a page without data asks for attention itself", () => {
    const alert = limitAlert("a-1", nowMs);
    expect(soundNeeds([{ ...alert, state: "acknowledged" }], false)).toEqual([]);
    expect(soundNeeds([alert], true).map((each) => each.priority)).toEqual(["high", "medium"]);
  });
});

describe("sweep", () => {
  const wave = (firstSampleIndex: number, count: number): WaveView => ({
    deviceId: deviceId("m"),
    waveform: "plethysmogram",
    sampleRateHz: 100,
    firstSampleIndex,
    samples: Array.from({ length: count }, (_, index) => firstSampleIndex + index),
    unit: "1",
    origin: "simulated",
  });
  const windowMs = 8000;

  test("samples that never came are a hole at their place, not a line across it", () => {
    const sweep = createSweep(100);
    sweep.add(wave(0, 100), 1000);
    sweep.add(wave(150, 50), 2000);
    const shown = sweep.stretches(3400, windowMs);
    expect(shown).toHaveLength(2);
    const [before, after] = shown;
    expect([before?.[0]?.value, before?.at(-1)?.value, after?.[0]?.value, after?.at(-1)?.value]).toEqual([0, 99, 150, 199]);
    const holeMs = ((after?.[0]?.x ?? 0) - (before?.at(-1)?.x ?? 0)) * windowMs;
    expect(holeMs).toBeCloseTo(510, 0);
  });

  test("nothing is drawn ahead of its time, and nothing older than the window", () => {
    const sweep = createSweep(100);
    sweep.add(wave(0, 100), 1000);
    const values = (ms: number) =>
      sweep
        .stretches(ms, windowMs)
        .flat()
        .map((point) => point.value);
    expect(values(1000).length).toBeLessThan(5);
    expect(values(2400)).toHaveLength(100);
    expect(values(20_000)).toEqual([]);
    expect(sweep.bounds(2400, windowMs)).toEqual({ low: 0, high: 99 });
    expect(sweep.bounds(20_000, windowMs)).toBeNull();
  });

  test("a device that begins anew from sample 0 is drawn anew", () => {
    const sweep = createSweep(100);
    sweep.add(wave(5000, 100), 1000);
    sweep.add(wave(0, 100), 2000);
    const values = sweep
      .stretches(3400, windowMs)
      .flat()
      .map((point) => point.value);
    expect(Math.max(...values)).toBe(99);
    expect(values).toHaveLength(100);
  });
});

describe("the built pages", () => {
  test("are stale when missing and when any source has changed", async () => {
    const root = await mkdtemp(join(tmpdir(), "vigil-pages-"));
    try {
      await mkdir(join(root, "src/dashboard"), { recursive: true });
      await symlink(join(projectRoot, "src/core"), join(root, "src/core"));
      await cp(join(projectRoot, "src/dashboard"), join(root, "src/dashboard"), { recursive: true });
      await cp(join(projectRoot, "package-lock.json"), join(root, "package-lock.json"));
      expect(await pagesAreStale(root)).toBe(true);
      await stampPages(root);
      expect(await pagesAreStale(root)).toBe(true);
      await writeFile(join(root, "dist/dashboard/index.html"), "<!doctype html>");
      expect(await pagesAreStale(root)).toBe(false);
      await writeFile(join(root, "src/dashboard/web/style.css"), "body { color: red }");
      expect(await pagesAreStale(root)).toBe(true);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});
