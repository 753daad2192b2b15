import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterEach, describe, expect, test } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import type { PastAlert, PatientEvent } from "../../src/core/history-view.ts";
import { alertId, deviceId, patientId } from "../../src/core/ids.ts";
import { addQuality, NO_QUALITY, type QualityCounts, type QualityRow, qualityScores } from "../../src/core/quality-view.ts";
import type { QuantityName } from "../../src/core/quantities.ts";
import { wallMs } from "../../src/core/time.ts";
import { violationsOf } from "../support/axe.ts";
import { chromiumIsThere, expectNoSidewaysScroll, pictures, stageInChromium, text } from "../support/page-stage.ts";
import { bedView, createScriptedWard, limitAlert, numberView } from "../support/scripted-ward.ts";
import { until } from "../support/until.ts";

const minuteMs = 60_000;
const dayMs = 86_400_000;
const DESK = { width: 1280, height: 800 } as const;
const PHONE = { width: 390, height: 844 } as const;
const NARROW = { width: 360, height: 740 } as const;

/** An alert that was raised so many minutes ago. */
function past(
  id: string,
  minutesAgo: number,
  more: Partial<Alert> & { readonly bed?: string; readonly rest?: Partial<PastAlert>; readonly at?: number } = {},
): PastAlert {
  const { bed = "bed-1", rest = {}, at = Date.now(), ...fields } = more;
  const raisedAtMs = wallMs(Math.round(at - minutesAgo * minuteMs));
  const alert: Alert = {
    ...limitAlert(id, raisedAtMs, { bed }),
    state: "ended",
    phase: "end",
    endedAtMs: wallMs(raisedAtMs + 3 * minuteMs),
    ...fields,
  };
  return { alertId: alertId(id), alert, priorityMax: alert.priority, acknowledged: null, judged: null, ...rest };
}

function qualityRow(
  device: string,
  quantity: QuantityName | null,
  counts: Partial<QualityCounts>,
  rules: Readonly<Record<string, number>> = {},
): QualityRow {
  const tally = addQuality({ counts: { ...NO_QUALITY.counts, ...counts }, rules }, NO_QUALITY);
  return { deviceId: deviceId(device), quantity, ...tally, scores: qualityScores(tally.counts) };
}

async function picture(page: Page, name: string, part?: string): Promise<void> {
  if (pictures === undefined) return;
  await mkdir(pictures, { recursive: true });
  const path = join(pictures, `${name}.png`);
  if (part === undefined) await page.screenshot({ path, fullPage: true });
  else await page.locator(part).screenshot({ path });
}

const finished: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const work of finished.splice(0)) await work();
});

describe.skipIf(!chromiumIsThere)("what was, on the pages", () => {
  const openStage = stageInChromium();
  const stageOf = (more: Parameters<typeof openStage>[1] = {}) => openStage((work) => finished.push(work), more);

  /** Not in the first minutes of a day, where yesterday's would be today's. */
  const noon = () => {
    const date = new Date();
    return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  };

  test("a day's alerts with end, who knew and what became of them; filters and the sum follow; a verdict is an act and is shown", async () => {
    const stage = await stageOf({ signIn: true });
    const { past: was } = stage.ward;
    const nowMs = Date.now();
    // All of them lie in today, however early it is.
    const minutes = Math.max(1, (nowMs - noon()) / minuteMs);
    const ago = (share: number) => minutes * share;
    was.alerts.push(
      past("a-1", ago(0.1), {
        rest: { acknowledged: { by: "nurse.li", atMs: nowMs - ago(0.1) * minuteMs + 90_000 } },
        raisedCount: 2,
      }),
      past("a-2", ago(0.2), { priority: "medium", bed: "bed-2" }),
      past("a-3", ago(0.3), {
        priority: "low",
        nature: "technical",
        subject: { patientId: null, bedId: limitAlert("x", 0).subject.bedId, deviceId: deviceId("monitor-1"), part: null },
        evidence: { kind: "device-silent", lastHeardAtMs: null, limitSeconds: 10 },
        rest: { judged: { verdict: "false", by: "nurse.wu", atMs: nowMs - 1000 } },
      }),
      past("y-1", 0, { at: noon() - 5 * minuteMs }),
    );
    const page = await stage.openAs("nurse", "/#/alerts", DESK);
    await page.click("nav.tabs a[href='#/alerts/history']");
    await page.waitForSelector("[data-past=a-1]");
    const rows = () => page.locator("[data-past]").evaluateAll((found) => found.map((row) => row.getAttribute("data-past")));
    expect(await rows()).toEqual(["a-1", "a-2", "a-3"]);
    const first = await text(page, "[data-past=a-1]");
    for (const words of [
      "High",
      "Bed 1",
      "patient-of-bed-1",
      "lasted 3 min",
      "acknowledged by nurse.li after 90 s",
      "raised 2 times",
    ])
      expect(first).toContain(words);
    expect(await text(page, "[data-past=a-2]")).toContain("nobody acknowledged it");
    expect(await text(page, "[data-testid=sum]")).toMatch(/Alerts\s+3[\s\S]*1 \/ 1 \/ 1[\s\S]*90 s[\s\S]*False 100 %/);
    await page.selectOption("label:has-text('Priority') select", "medium");
    expect(await rows()).toEqual(["a-2"]);
    expect(await text(page, "[data-testid=sum]")).toMatch(/Alerts\s+1/);
    await page.selectOption("label:has-text('Priority') select", "");
    await page.selectOption("label:has-text('Bed') select", "bed-2");
    expect(await rows()).toEqual(["a-2"]);
    await page.selectOption("label:has-text('Bed') select", "");
    await page.selectOption("label:has-text('About') select", "technical");
    expect(await rows()).toEqual(["a-3"]);
    await page.selectOption("label:has-text('About') select", "");
    await page.selectOption("label:has-text('Verdict') select", "none");
    expect(await rows()).toEqual(["a-1", "a-2"]);
    await page.selectOption("label:has-text('Verdict') select", "");
    await picture(page, "past-en-desk");

    const index = was.alerts.findIndex(({ alertId: id }) => id === "a-2");
    const judged = was.alerts[index];
    if (judged !== undefined)
      was.alerts[index] = { ...judged, judged: { verdict: "not-actionable", by: "nurse", atMs: Date.now() } };
    await page.click("[data-past=a-2] [data-verdict=not-actionable]");
    await page.waitForSelector("[data-past=a-2] [data-verdict=not-actionable][aria-pressed=true]");
    expect(stage.ward.acts.map(({ deed, actor }) => [deed, actor.userId])).toEqual([
      [{ kind: "verdict", alertId: "a-2", verdict: "not-actionable" }, "nurse"],
    ]);
    expect(await text(page, "[data-past=a-2]")).toContain("said by nurse at");

    await page.click("[data-testid=day-before]");
    await page.waitForSelector("[data-past=y-1]");
    expect(await rows()).toEqual(["y-1"]);
    await page.click("[data-testid=day-before]");
    await page.waitForSelector("text=No alerts on this day");
    const windows = was.asked.filter(({ of }) => of === "alerts").map(({ window }) => window);
    expect(windows.at(-1)?.toMs).toBe(noon() - dayMs);
    expect(await violationsOf(page)).toEqual([]);
  });

  test("older alerts of a day come when they are asked for; a journal that cannot be read is said, and what is there stays", async () => {
    const stage = await stageOf();
    const nowMs = Date.now();
    for (let index = 0; index < 5; index++)
      stage.ward.past.alerts.push(past(`a-${index}`, ((nowMs - noon()) / minuteMs) * (0.1 + index / 10)));
    stage.ward.past.setAlertsAtOnce(2);
    const page = await stage.open("/#/alerts/history", { ...NARROW, locale: "zh-CN" });
    await page.waitForSelector("[data-past=a-1]");
    const count = () => page.locator("[data-past]").count();
    expect(await count()).toBe(2);
    await page.click("[data-testid=more]");
    await page.waitForSelector("[data-past=a-3]");
    stage.ward.past.failNext(nowMs);
    await page.click("[data-testid=more]");
    await page.waitForSelector(".past__failed");
    expect(await count()).toBe(4);
    // Today's newest are asked for again a moment after an alert; that they come does not hide what did not.
    const asked = stage.ward.past.asked.length;
    stage.ward.setAlert(limitAlert("a-9", nowMs));
    await until("the newest were asked for again", () => stage.ward.past.asked.length > asked);
    await page.waitForTimeout(200);
    expect(await page.locator(".past__failed").count()).toBe(1);
    await page.click("[data-testid=more]");
    await page.waitForSelector("[data-past=a-4]");
    expect(await page.locator(".past__failed").count()).toBe(0);
    await page.waitForSelector("[data-testid=more]", { state: "detached" });
    await expectNoSidewaysScroll(page);
    await picture(page, "past-zh-narrow");
    expect(await violationsOf(page)).toEqual([]);
    for (const box of await page.locator("main button, main select, nav.tabs a").all())
      expect((await box.boundingBox())?.height ?? 0).toBeGreaterThanOrEqual(44);
  });

  test("an auditor reads verdicts and gives none; a family sees neither the history nor the quality, but what happened to its patient", async () => {
    const stage = await stageOf({ signIn: true });
    const nowMs = Date.now();
    stage.ward.past.alerts.push(
      past("a-1", 0, { rest: { judged: { verdict: "relevant", by: "nurse.wu", atMs: nowMs } }, at: nowMs - 1000 }),
    );
    stage.ward.past.events.push(
      { kind: "raised", seq: 5, atMs: nowMs - minuteMs, alert: limitAlert("a-1", nowMs - minuteMs) },
      {
        kind: "act",
        seq: 6,
        atMs: nowMs - 30_000,
        by: "nurse.wu",
        role: "nurse",
        from: "page",
        deed: { kind: "note", patientId: patientId("patient-of-bed-1"), text: "restless" },
      },
    );
    const auditor = await stage.openAs("auditor", "/#/alerts/history", DESK);
    await auditor.waitForSelector("[data-past=a-1]");
    expect(await text(auditor, "[data-past=a-1]")).toContain("True and relevant · said by nurse.wu");
    expect(await auditor.locator("[data-verdict]").count()).toBe(0);
    const family = await stage.openAs("family", "/#/bed/bed-1", PHONE);
    await family.waitForSelector("[data-event=raised]");
    expect(await family.locator("[data-event=act]").count()).toBe(0);
    expect(await family.locator("a[href='#/quality']").count()).toBe(0);
    await family.goto(`${stage.url()}#/alerts`);
    expect(await family.locator("nav.tabs").count()).toBe(0);
  });

  test("a bed tells what happened in 24 hours, the score over time with its parts, and trends of a week in parts", async () => {
    const nowMs = Date.now();
    const at = { measuredAtMs: nowMs };
    const numbers = [numberView("heartRate", 83, at), numberView("oxygenSaturation", 96, at)];
    const ward = createScriptedWard({ nowMs: Date.now, beds: [bedView("bed-1", nowMs, { numbers })] });
    const stage = await stageOf({ ward });
    const alert = limitAlert("a-1", nowMs - 40 * minuteMs);
    const events: PatientEvent[] = [
      { kind: "raised", seq: 5, atMs: nowMs - 40 * minuteMs, alert },
      { kind: "ended", seq: 7, atMs: nowMs - 30 * minuteMs, alert },
      {
        kind: "act",
        seq: 6,
        atMs: nowMs - 35 * minuteMs,
        by: "nurse.wu",
        role: "nurse",
        from: "page",
        deed: { kind: "acknowledge", alertId: alert.id },
      },
      {
        kind: "act",
        seq: 8,
        atMs: nowMs - 20 * minuteMs,
        by: "nurse.wu",
        role: "nurse",
        from: "page",
        deed: { kind: "note", patientId: patientId("patient-of-bed-1"), text: "restless" },
      },
    ];
    for (let number = 9; number < 24; number++)
      events.push({
        kind: "act",
        seq: number,
        atMs: nowMs - 3 * 3_600_000 - number * minuteMs,
        by: "nurse.wu",
        role: "nurse",
        from: "page",
        deed: { kind: "enter-oxygen", patientId: patientId("patient-of-bed-1"), onOxygen: true },
      });
    stage.ward.past.events.push(...events);
    for (let minute = 0; minute < 50; minute++)
      stage.ward.past.scores.push({
        atMs: nowMs - (50 - minute) * minuteMs,
        low: Math.floor(minute / 10),
        high: Math.floor(minute / 10) + 1,
        parts: { respiratoryRate: Math.min(3, Math.floor(minute / 10)), pulseRate: 1 },
        missing: minute > 25 ? ["onOxygen"] : [],
      });
    const page = await stage.open("/#/bed/bed-1", DESK);
    await page.waitForSelector("[data-testid=events] [data-event=act]");
    const list = () => page.locator("[data-testid=events] li").count();
    expect(await list()).toBe(12);
    const said = await text(page, "[data-testid=events] ol");
    expect(said).toMatch(
      /noted of patient-of-bed-1: restless nurse\.wu[\s\S]*Alert over: Oxygen saturation low[\s\S]*Alert acknowledged: Oxygen saturation low[\s\S]*High[\s\S]*Alert: Oxygen/,
    );
    await page.click("[data-testid=events] button");
    expect(await list()).toBe(19);

    await page.click("[data-testid=trends] button:has-text('1 h')");
    await page.waitForSelector("[data-testid=score-said]");
    expect(await text(page, "[data-testid=score-said]")).toContain(
      "at least 5: Respiratory rate 3, Pulse rate 1 (partial, missing Oxygen)",
    );
    // By the keyboard, to the beginning: complete there.
    await page.focus(".score-chart input[type=range]");
    await page.keyboard.press("Home");
    await page.locator("[data-testid=score-said]", { hasText: /NEWS2 1: Pulse rate 1$/ }).waitFor();

    const before = stage.ward.trendQueries.length;
    await page.click("[data-testid=trends] button:has-text('7 d')");
    await page.waitForSelector(".trend__trouble", { state: "detached" });
    const asked = stage.ward.trendQueries.slice(before).filter(({ quantity }) => quantity === "heartRate");
    expect(asked.length).toBeGreaterThanOrEqual(28);
    expect(asked.every(({ fromMs, toMs }) => toMs - fromMs === 6 * 3_600_000)).toBe(true);
    // The newest first, without a gap.
    for (const [index, { fromMs }] of asked.entries())
      if (index > 0) expect(asked[index - 1]?.fromMs).toBe(fromMs + 6 * 3_600_000);
    const scores = stage.ward.past.asked.filter(({ of }) => of === "scores").at(-1)?.window;
    expect((scores?.toMs ?? 0) - (scores?.fromMs ?? 0)).toBe(7 * dayMs);
    await picture(page, "bed-trends-en-desk", "[data-testid=trends]");
    expect(await violationsOf(page)).toEqual([]);
    const phone = await stage.open("/#/bed/bed-1", { ...NARROW, locale: "zh-CN" });
    await phone.click("[data-testid=trends] button:has-text('24小时')");
    await phone.waitForSelector("[data-testid=score-said]");
    await expectNoSidewaysScroll(phone);
    await phone.waitForSelector(".trend__trouble", { state: "detached" });
    await picture(phone, "bed-trends-zh-phone", "[data-testid=trends]");
    const range = await phone.locator("[data-testid=trends] .segmented").boundingBox();
    const last = await phone.locator("[data-testid=trends] .segmented button >> nth=-1").boundingBox();
    expect((last?.x ?? 0) + (last?.width ?? 0)).toBeLessThanOrEqual((range?.x ?? 0) + (range?.width ?? 0) + 1);
  });

  test("quality: seven days of each device, the lowest of four as a number and a word, and what lowered it", async () => {
    const stage = await stageOf({ signIn: true });
    const today = noon();
    stage.ward.past.setQuality(({ fromMs }) => {
      const good = qualityRow("watch-2", null, {
        readings: 1000,
        present: 1000,
        sound: 1000,
        expected: 60,
        filled: 60,
        messages: 10,
      });
      if (fromMs !== today) return [good];
      const counts = { readings: 1000, present: 900, sound: 810, expected: 600, filled: 450, illogical: 10, untimely: 300 };
      const rules = {
        "accuracy.motion": 90,
        "completeness.sensor-off": 100,
        "completeness.silent": 50,
        "logic.pressure-order": 10,
        "timeliness.late": 300,
      };
      return [
        good,
        qualityRow("monitor-1", null, { ...counts, messages: 100, refused: 0 }, rules),
        qualityRow("monitor-1", "oxygenSaturation", counts, rules),
      ];
    });
    const page = await stage.openAs("engineer", "/#/", DESK);
    await page.click("nav a[href='#/quality']");
    await page.waitForSelector("button.heat__field--poor");
    const field = page.getByRole("button", { name: /^monitor-1, .*: 70 of 100, poor$/ });
    expect(await field.textContent()).toBe("70");
    await page.locator("[aria-label*='watch-2']").nth(6).waitFor();
    expect(await page.locator("[aria-label*='watch-2'][aria-label$='100 of 100, good']").count()).toBe(7);
    await field.focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector("[data-testid=quality-detail]");
    const detail = await text(page, "[data-testid=quality-detail]");
    expect(detail).toMatch(/Accuracy\s+90\s+810 of 900 values[\s\S]*Completeness\s+75[\s\S]*Logic\s+99[\s\S]*Timeliness\s+70/);
    expect(await text(page, "[data-quantity=oxygenSaturation]")).toMatch(
      /motion 90×[\s\S]*sensor off 100×, nothing came 50×[\s\S]*contradict each other 10×[\s\S]*late 300×/,
    );
    expect(new Set(stage.ward.past.asked.filter(({ of }) => of === "quality").map(({ window }) => window.fromMs)).size).toBe(7);
    await picture(page, "quality-en-desk");
    expect(await violationsOf(page)).toEqual([]);
    const phone = await stage.openAs("nurse", "/#/quality", { ...NARROW, locale: "zh-CN" });
    await phone.waitForSelector("button.heat__field--poor");
    await phone.click("button.heat__field--poor");
    await phone.waitForSelector("[data-testid=quality-detail]");
    await expectNoSidewaysScroll(phone);
    for (const box of await phone.locator("main button").all()) {
      const { width, height } = (await box.boundingBox()) ?? { width: 0, height: 0 };
      expect(Math.min(width, height)).toBeGreaterThanOrEqual(44);
    }
    await picture(phone, "quality-zh-narrow");
    expect(await violationsOf(phone)).toEqual([]);
  });
});
