import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import { deviceId, patientId } from "../../src/core/ids.ts";
import { wallMs } from "../../src/core/time.ts";
import { violationsOf } from "../support/axe.ts";
import { chromiumIsThere, expectNoSidewaysScroll, pictures, type Stage, stageInChromium, text } from "../support/page-stage.ts";
import { limitAlert } from "../support/scripted-ward.ts";

const ANNA = patientId("patient-of-bed-1");
const BERTA = patientId("patient-of-bed-2");
const MONITOR = deviceId("monitor-1");
const PHONE = { width: 390, height: 844 };

/** The question whether the first bed's monitor is still on its patient. */
function question(nowMs: number, more: Partial<Alert> = {}): Alert {
  return {
    ...limitAlert("asked", nowMs, { priority: "medium" }),
    key: "still-on-patient/monitor-1",
    rule: "still-on-patient",
    nature: "technical",
    evidence: { kind: "still-on-patient", why: "gap", gapSeconds: 2860, limitSeconds: 1800, sinceMs: wallMs(nowMs) },
    ...more,
  };
}

/** The first bed's monitor is on its patient. */
function wear({ ward }: Stage): void {
  const bed = ward.bed("bed-1");
  ward.setBed({ ...bed, devices: bed.devices.map((device) => ({ ...device, patientId: ANNA })) });
}

describe.skipIf(!chromiumIsThere)("is the device still on its patient?", () => {
  const openStage = stageInChromium();

  test("the question stands beside the bed with three answers; yes is one press, and what is unconfirmed says so", async () => {
    const stage = await openStage(onTestFinished);
    const nowMs = Date.now();
    stage.ward.setAlert(question(nowMs));
    const bed = stage.ward.bed("bed-1");
    const numbers = bed.numbers.map((number) => ({
      ...number,
      quality: { ...number.quality, flags: ["patient-unconfirmed"] as const },
    }));
    stage.ward.setBed({ ...bed, numbers });
    const page = await stage.open("/#/alerts");
    const row = "[data-alert=asked]";
    await page.waitForSelector(row);
    expect(await text(page, row)).toContain("Is monitor-1 still on this patient? It measures again after 47 min");
    expect(await page.locator(`${row} .answers button`).allInnerTexts()).toEqual([
      "Yes, still on W. L.",
      "On another patient …",
      "On nobody: take off …",
    ]);
    await page.click("[data-testid=still-yes]");
    await expect
      .poll(() => stage.ward.acts.map(({ deed }) => deed))
      .toEqual([{ kind: "confirm-assignment", deviceId: MONITOR, patientId: ANNA }]);
    await page.goto(`${stage.url()}/#/bed/bed-1`.replace("//#", "/#"));
    await page.waitForSelector(".number__doubt");
    expect(await text(page, ".number__doubt")).toBe("? patient not confirmed");
  });

  test("another patient: it is taken off the one and put on the other, in this order", async () => {
    const stage = await openStage(onTestFinished);
    stage.ward.setAlert(question(Date.now(), { state: "acknowledged" }));
    wear(stage);
    const page = await stage.open("/#/alerts");
    await page.click("[data-testid=still-another]");
    await page.selectOption("dialog select", BERTA);
    await page.click("dialog button[type=submit]");
    await expect
      .poll(() => stage.ward.acts.map(({ deed }) => deed))
      .toEqual([
        { kind: "release", deviceId: MONITOR },
        { kind: "assign", deviceId: MONITOR, patientId: BERTA },
      ]);
  });

  test("where there is more than one ward an alert says which", async () => {
    const stage = await openStage(onTestFinished);
    stage.ward.setAlert(question(Date.now()));
    stage.ward.setBed({ ...stage.ward.bed("bed-1"), ward: "3 East", room: "301" });
    const page = await stage.open("/#/alerts");
    await expect.poll(() => text(page, ".alert__place")).toBe("Bed 1 · W. L.");
    stage.ward.setBed({ ...stage.ward.bed("bed-2"), ward: "4 West" });
    await expect.poll(() => text(page, ".alert__place")).toBe("3 East · Bed 1 · W. L.");
  });

  test("nobody: it is taken off, after one more word", async () => {
    const stage = await openStage(onTestFinished);
    stage.ward.setAlert(question(Date.now()));
    wear(stage);
    const page = await stage.open("/#/alerts");
    await page.click("[data-testid=still-nobody]");
    expect(stage.ward.acts).toEqual([]);
    await page.click("dialog button[type=submit]");
    await expect.poll(() => stage.ward.acts.map(({ deed }) => deed)).toEqual([{ kind: "release", deviceId: MONITOR }]);
  });

  test("who may not say whom a device is on is not asked", async () => {
    const stage = await openStage(onTestFinished, { signIn: true });
    stage.ward.setAlert(question(Date.now()));
    const engineer = await stage.openAs("engineer", "/#/alerts");
    await engineer.waitForSelector("[data-alert=asked]");
    expect(await engineer.locator(".answers").count()).toBe(0);
    expect(await engineer.locator("[data-alert=asked] .button--acknowledge").count()).toBe(1);
    const nurse = await stage.openAs("nurse", "/#/alerts");
    await nurse.waitForSelector(".answers");
  });

  test("in Chinese on a phone nothing is cut off, and each answer can be hit", async () => {
    const stage = await openStage(onTestFinished);
    stage.ward.setAlert(question(Date.now()));
    const page = await stage.open("/#/alerts", { locale: "zh-CN", ...PHONE });
    await page.waitForSelector(".answers");
    expect(await text(page, "[data-alert=asked]")).toContain("monitor-1 仍在该患者身上吗？中断 47 分钟后又开始测量");
    await expectNoSidewaysScroll(page);
    expect(await violationsOf(page)).toEqual([]);
    for (const box of await page.locator(".answers button").all()) {
      const size = await box.boundingBox();
      expect(size?.height).toBeGreaterThanOrEqual(44);
      expect((size?.x ?? 0) + (size?.width ?? 0)).toBeLessThanOrEqual(PHONE.width);
    }
    if (pictures === undefined) return;
    await page.screenshot({ path: join(pictures, "guard-zh-phone.png") });
    const wall = await stage.open("/", { width: 1280, height: 800 });
    await wall.waitForSelector(".answers");
    await wall.screenshot({ path: join(pictures, "guard-en-wall.png") });
  });
});
