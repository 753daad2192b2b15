import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { chromiumIsThere, expectNoSidewaysScroll, pictures, stageInChromium, text, turnSoundOn } from "../support/page-stage.ts";
import { limitAlert } from "../support/scripted-ward.ts";
import { createWallWard, wallBed } from "../support/wall-ward.ts";

/** What of the beds is out of sight, or sticks out of its tile: empty where every bed is whole in the window. */
const outOfSight = `(() => {
  const foot = document.querySelector("footer.strip").getBoundingClientRect().top;
  const head = document.querySelector("header.topbar").getBoundingClientRect().bottom;
  const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  return [...document.querySelectorAll("[data-bed]")].flatMap((tile) => {
    const at = tile.getBoundingClientRect();
    const found = at.top < head || at.bottom > foot || at.left < 0 || at.right > innerWidth ? ["tile"] : [];
    for (const part of tile.querySelectorAll(
      ".tile__bed, .small-value__number, .small-score, .small__alert, .small__says, .second-value, .tag, .small__take"))
      if (!inside(part.getBoundingClientRect(), at) || part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display !== "inline")
        found.push(part.className + ": " + part.textContent);
    return found.map((what) => tile.dataset.bed + " " + what);
  });
})()`;

/** Lets a test hold back what the page's timers would do, as a browser does with a tab that is not looked at. */
const heldTimers = `(() => {
  let held = false;
  window.holdTimers = (hold) => { held = hold; };
  const [every, after] = [window.setInterval, window.setTimeout];
  window.setInterval = (work, ms) => every(() => { if (!held) work(); }, ms);
  window.setTimeout = (work, ms) => after(function late() { if (held) after(late, 50); else work(); }, ms);
})()`;

const fontPixels = (page: Page, selector: string) =>
  page.evaluate<number>(`parseFloat(getComputedStyle(document.querySelector(${JSON.stringify(selector)})).fontSize)`);
const order = (page: Page) =>
  page.evaluate<string[]>(`[...document.querySelectorAll("[data-bed]")].map((tile) => tile.dataset.bed)`);
/** Sum over every pixel of a bed's waves; it changes when anything is drawn. */
const ink = (page: Page, bed: string) =>
  page.evaluate<number>(`(() => { const c = document.querySelector("[data-bed=${bed}] .strips canvas");
    if (c.width === 0 || c.height === 0) return 0;
    const bytes = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    let sum = 0; for (let at = 3; at < bytes.length; at += 4) sum = (sum * 31 + bytes[at]) % 1000003; return sum; })()`);

describe.skipIf(!chromiumIsThere)("the wall of fifty beds", () => {
  const openStage = stageInChromium();

  test("at 1920x1080 every bed is whole in sight, with its numbers, score, worst alert, trouble and absence; what alarms is large", async ({
    onTestFinished,
  }) => {
    const { ward } = createWallWard({ beds: 50, wards: ["ICU", "Step-down"] });
    const { open } = await openStage(onTestFinished, { ward });
    const nowMs = Date.now();
    ward.setAlert(limitAlert("a-1", nowMs, { bed: "bed-23" }));
    ward.setAlert(limitAlert("a-2", nowMs, { bed: "bed-23", priority: "medium" }));
    ward.setAlert({ ...limitAlert("a-3", nowMs, { bed: "bed-9", priority: "low" }), nature: "technical" });
    const third = ward.bed("bed-3");
    ward.setBed({
      ...third,
      numbers: third.numbers.map((number) =>
        number.quantity === "oxygenSaturation" ? { ...number, content: { state: "absent", why: "sensor-off" } } : number,
      ),
    });
    const fourth = ward.bed("bed-4");
    ward.setBed({
      ...fourth,
      devices: fourth.devices.map((device) => ({ ...device, link: "down" })),
      numbers: fourth.numbers.map((number) => ({ ...number, measuredAtMs: nowMs - 111_000, staleAfterMs: 60_000 })),
    });
    for (const locale of ["en-GB", "zh-CN"]) {
      const page = await open("/", { width: 1920, height: 1080, locale });
      await turnSoundOn(page);
      await page.waitForSelector("[data-bed=bed-50]");
      await expect
        .poll(() => page.evaluate<number[]>("[document.documentElement.scrollHeight, innerHeight]"))
        .toEqual([1080, 1080]);
      expect((await order(page)).length).toBe(50);
      await expect.poll(() => page.evaluate<string[]>(outOfSight), { message: locale }).toEqual([]);
      await expectNoSidewaysScroll(page);
      if (pictures !== undefined) await page.screenshot({ path: `${pictures}/wall-50-${locale}.png` });
      if (locale === "zh-CN") continue;
      const bed = "[data-bed=bed-23]";
      expect(await text(page, `${bed} .small__says`)).toBe("SpO₂ 84 < 88");
      expect(await text(page, `${bed} .small__more`)).toContain("+1");
      expect(await page.getAttribute(`${bed} .small__take`, "aria-label")).toBe(
        "Acknowledge: Oxygen saturation low: 84 % (limit 88 %)",
      );
      expect(await text(page, "[data-bed=bed-9] .small__says")).toMatch(/^TECH\s+SpO₂ 84 < 88$/);
      expect(await text(page, "[data-bed=bed-3] [data-quantity=oxygenSaturation] .small-value__number")).toBe("sensor off");
      expect(await text(page, "[data-bed=bed-4] [data-quantity=heartRate] .small-value__age")).toMatch(
        /^1\d\d s old$|^2 min old$/,
      );
      expect(await text(page, "[data-bed=bed-4] .tag--trouble")).toContain("LINK");
      expect(await text(page, "[data-bed=bed-30] .small-score")).toMatch(/≥6\s*5\/7/);
      expect(await text(page, "[data-bed=bed-30] [data-quantity=systolicPressure]")).toMatch(/NIBP\s+130\/65\s+4 min/);
      // Five minutes of arc at three metres are 4.4 mm: 16 pixels of a capital letter on a screen of 24 inches, 10 on one of 43.
      expect(await fontPixels(page, `${bed} [data-quantity=oxygenSaturation] .small-value__number`)).toBeGreaterThanOrEqual(28);
      expect(await fontPixels(page, `${bed} .tile__bed`)).toBeGreaterThanOrEqual(20);
      expect(await fontPixels(page, "[data-bed=bed-30] [data-quantity=heartRate] .small-value__number")).toBeGreaterThanOrEqual(
        22,
      );
      await page.click(`${bed} .small__take`);
      await expect.poll(() => ward.acts.map((act) => act.deed)).toEqual([{ kind: "acknowledge", alertId: "a-1" }]);
    }
  }, 60_000);

  test("at 1366x768 at least 48 beds of a ward are in sight with the alerts beside them, and it is said where more are below", async ({
    onTestFinished,
  }) => {
    const { ward } = createWallWard({ beds: 50 });
    const { open } = await openStage(onTestFinished, { ward });
    const page = await open("/", { width: 1366, height: 768 });
    await turnSoundOn(page);
    await page.waitForSelector("[data-bed=bed-50]");
    const whole = `(() => { const foot = document.querySelector("footer.strip").getBoundingClientRect().top;
      return [...document.querySelectorAll("[data-bed]")].filter((tile) => tile.getBoundingClientRect().bottom <= foot + 1).length; })()`;
    await expect.poll(() => page.evaluate<number>(whole)).toBeGreaterThanOrEqual(48);
    const inSight = await page.evaluate<number>(whole);
    expect(await page.locator(".rail__note").count(), "it is said where a bed is below").toBe(inSight < 50 ? 1 : 0);
    await expectNoSidewaysScroll(page);
    if (pictures !== undefined) await page.screenshot({ path: `${pictures}/wall-1366.png` });
  });

  test("a ward that is chosen is remembered, and the alerts of the others are never silent", async ({ onTestFinished }) => {
    const { ward } = createWallWard({ beds: 20, wards: ["East", "West"] });
    const { open } = await openStage(onTestFinished, { ward });
    const page = await open("/", { width: 1280, height: 800 });
    await page.selectOption("[data-testid=wall-ward]", "West");
    await expect.poll(() => order(page)).toEqual(Array.from({ length: 10 }, (_, index) => `bed-${index + 11}`));
    expect(await page.locator("[data-testid=elsewhere]").count()).toBe(0);
    ward.setAlert(limitAlert("a-1", Date.now(), { bed: "bed-10", priority: "medium" }));
    await expect.poll(() => text(page, "[data-testid=elsewhere]")).toContain("1 alert in other wards");
    ward.setAlert(limitAlert("a-2", Date.now(), { bed: "bed-2" }));
    ward.setAlert(limitAlert("a-3", Date.now(), { bed: "bed-11" }));
    await expect.poll(() => text(page, "[data-testid=elsewhere]")).toContain("2 alerts in other wards");
    expect(await page.getAttribute("[data-testid=elsewhere]", "class")).toContain("alert--high");
    expect(await page.locator(".rail [data-alert]").count()).toBe(1);
    await page.reload();
    await expect.poll(() => order(page)).toHaveLength(10);
    await page.click("[data-testid=elsewhere] button");
    await expect.poll(() => order(page)).toHaveLength(20);
    expect(await page.locator("[data-testid=elsewhere]").count()).toBe(0);
    expect(await page.locator(".rail [data-alert]").count()).toBe(3);
  });

  test("on a phone beds stand by urgency, nothing is wider than the screen, and none moves while somebody reaches for it", async ({
    onTestFinished,
  }) => {
    const { ward } = createWallWard({ beds: 50, wards: ["East", "West"] });
    const { open } = await openStage(onTestFinished, { ward });
    ward.setAlert(limitAlert("a-1", Date.now(), { bed: "bed-31", priority: "medium" }));
    const page = await open("/", { width: 390, height: 844 });
    await expect.poll(async () => (await order(page))[0]).toBe("bed-31");
    await page.dispatchEvent("[data-bed=bed-2]", "pointerdown");
    ward.setAlert(limitAlert("a-2", Date.now(), { bed: "bed-40" }));
    await expect.poll(() => page.locator("[data-bed=bed-40].tile--high").count()).toBe(1);
    expect((await order(page))[0]).toBe("bed-31");
    await expect.poll(async () => (await order(page)).slice(0, 3), { timeout: 8000 }).toEqual(["bed-40", "bed-31", "bed-1"]);
    await expectNoSidewaysScroll(page);
    const take = await page.locator("[data-bed=bed-40] .small__take").boundingBox();
    expect(Math.min(take?.width ?? 0, take?.height ?? 0)).toBeGreaterThanOrEqual(44);
    // In the reach of a thumb: the right half.
    expect(take?.x ?? 0).toBeGreaterThan(195);
    expect(ward.bedsWatchedForThinWaves()).toEqual([]);
    await page.selectOption("[data-testid=wall-order]", "beds");
    await expect.poll(async () => (await order(page))[0]).toBe("bed-1");
    if (pictures !== undefined) await page.screenshot({ path: `${pictures}/wall-phone.png` });
  });

  test("two waves of each bed are drawn and go on; one that is old, or of which the device says that its sensor is off, says so", async ({
    onTestFinished,
  }) => {
    const { ward, begin } = createWallWard({ beds: 50 });
    const { open } = await openStage(onTestFinished, { ward });
    const stop = begin();
    onTestFinished(stop);
    const page = await open("/", { width: 1920, height: 1080 });
    await turnSoundOn(page);
    for (const number of [1, 27, 50]) await expect.poll(() => ink(page, wallBed(number)), { timeout: 8000 }).toBeGreaterThan(0);
    const before = await ink(page, "bed-27");
    await expect.poll(() => ink(page, "bed-27")).not.toBe(before);
    const bed = ward.bed("bed-5");
    ward.setBed({
      ...bed,
      numbers: bed.numbers.map((number) =>
        number.quantity === "oxygenSaturation" ? { ...number, content: { state: "absent", why: "sensor-off" } } : number,
      ),
    });
    await expect.poll(() => text(page, "[data-bed=bed-5] [data-wave-trouble=plethysmogram]")).toBe("Pleth: sensor off");
    expect(await page.locator("[data-wave-trouble]").count()).toBe(1);
    stop();
    await expect
      .poll(() => text(page, "[data-bed=bed-1] [data-wave-trouble=ecgLeadII]"), { timeout: 10_000 })
      .toMatch(/^ECG II: no wave for \d+ s$/);
  }, 60_000);

  test("who wishes for no motion sees still waves, drawn anew about once a second", async ({ onTestFinished }) => {
    const { ward, begin } = createWallWard({ beds: 18 });
    const { open } = await openStage(onTestFinished, { ward });
    onTestFinished(begin());
    const page = await open("/", { width: 1920, height: 1080, reduced: true });
    await expect.poll(() => ink(page, "bed-9"), { timeout: 8000 }).toBeGreaterThan(0);
    const looks = await page.evaluate<number>(`new Promise((done) => {
      const c = document.querySelector("[data-bed=bed-9] .strips canvas");
      let changes = 0, last = "", begin = performance.now();
      const look = () => { const now = c.toDataURL(); if (now !== last) changes++; last = now;
        if (performance.now() - begin < 4000) setTimeout(look, 30); else done(changes); };
      look(); })`);
    expect(looks).toBeGreaterThanOrEqual(2);
    expect(looks).toBeLessThanOrEqual(6);
  });

  for (const path of ["/", "/#/bed/bed-1"])
    test.concurrent(`${path}: timers that the browser held back hide nothing: the page says at once, when it is looked at again, since when it knows nothing`, async ({
      onTestFinished,
      expect: expectHere,
    }) => {
      const { ward } = createWallWard({ beds: 9 });
      const { open, url, stop, serve } = await openStage(onTestFinished, { ward });
      const port = Number(new URL(url()).port);
      const page = await open(path, { init: heldTimers });
      await page.waitForSelector("[data-bed=bed-1]");
      await page.waitForTimeout(1500);
      await page.evaluate("window.holdTimers(true)");
      await stop();
      await page.waitForTimeout(6000);
      expectHere(await page.locator("[data-testid=stale]").count(), "the test holds the timers").toBe(0);
      const lookedAtMs = Date.now();
      await page.evaluate(`document.dispatchEvent(new Event("visibilitychange"))`);
      await page.waitForSelector("[data-testid=stale]", { timeout: 4000 });
      expectHere(Date.now() - lookedAtMs).toBeLessThan(3000);
      expectHere(await text(page, "[data-testid=stale]")).toMatch(/No data from the gateway since \d\d:\d\d:\d\d/);
      expectHere(await page.getAttribute(".page", "class")).toContain("page--stale");
      await page.evaluate("window.holdTimers(false)");
      await serve({ port });
      await page.waitForSelector("[data-testid=stale]", { state: "detached", timeout: 15_000 });
    }, 60_000);

  for (const path of ["/", "/#/bed/bed-1"])
    test.concurrent(`${path}: a network that goes is told within five seconds of the last event, and its return is found`, async ({
      onTestFinished,
      expect: expectHere,
    }) => {
      const { ward } = createWallWard({ beds: 9 });
      const { open, url, stop, serve } = await openStage(onTestFinished, { ward });
      const port = Number(new URL(url()).port);
      const page = await open(path);
      await page.waitForSelector("[data-bed=bed-1]");
      await page.waitForTimeout(1500);
      await page.context().setOffline(true);
      // Chromium leaves a stream that is open alone; with the cable the gateway's end goes too.
      await stop();
      const goneAtMs = Date.now();
      await page.waitForSelector("[data-testid=stale]", { timeout: 9000 });
      expectHere(Date.now() - goneAtMs).toBeLessThan(5000);
      await serve({ port });
      await page.waitForTimeout(2000);
      expectHere(await page.locator("[data-testid=stale]").count(), "the gateway is back, the network is not").toBe(1);
      await page.context().setOffline(false);
      await page.waitForSelector("[data-testid=stale]", { state: "detached", timeout: 15_000 });
    }, 60_000);
});
