import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { chromiumIsThere, expectNoSidewaysScroll, pictures, stageInChromium, text } from "../support/page-stage.ts";

/** Six seconds without use: the page warns in the last three and tells its use every one and a half. */
const idleMinutes = { nurse: null, engineer: null, auditor: null, administrator: 6 / 60, family: null };
const WARNING = "[data-testid=idle]";

describe.skipIf(!chromiumIsThere)("a page that nobody uses", () => {
  const openStage = stageInChromium();

  test("warns, counts down, and is signed out; the nurse's beside it stays", async () => {
    const stage = await openStage(onTestFinished, { signIn: true, idleMinutes });
    const nurse = await stage.openAs("nurse", "/");
    const page = await stage.openAs("administrator", "/", { locale: "zh-CN", width: 360, height: 740 });
    await page.waitForSelector("[data-bed=bed-1]");
    expect(await page.locator(WARNING).count()).toBe(0);
    await page.waitForSelector(WARNING);
    expect(await text(page, WARNING)).toMatch(/即将自动退出登录，触摸屏幕即可保持\s+[23] 秒后\s+保持登录/);
    await expectNoSidewaysScroll(page);
    const box = await page.locator(WARNING).boundingBox();
    expect((box?.height ?? 999) / 740).toBeLessThan(0.3);
    if (pictures !== undefined) await page.screenshot({ path: join(pictures, "idle-zh-phone.png") });
    await expect.poll(() => text(page, WARNING), { timeout: 5000 }).toContain("1 秒后");
    await page.waitForSelector("[name=password]");
    expect(await page.locator(`${WARNING}, [data-bed]`).count()).toBe(0);
    await nurse.waitForSelector("[data-bed=bed-1]");
    expect(await nurse.locator(WARNING).count()).toBe(0);
  });

  test("a key, a touch or the button keeps it; use in another window of the same session does too", {
    timeout: 40_000,
  }, async () => {
    const stage = await openStage(onTestFinished, { signIn: true, idleMinutes });
    const page = await stage.openAs("administrator", "/");
    await page.waitForSelector(WARNING);
    expect(await text(page, WARNING)).toMatch(/You will be signed out soon; touch to stay\s+in [23] s\s+Stay signed in/);
    await page.click(`${WARNING} button`);
    await page.waitForSelector(WARNING, { state: "detached" });
    await page.waitForSelector(WARNING);
    await page.keyboard.press("Shift");
    await page.waitForSelector(WARNING, { state: "detached" });
    const other = await page.context().newPage();
    await other.goto(stage.url());
    for (let time = 0; time < 5; time++) {
      await other.mouse.move(40 + time, 60);
      await other.waitForTimeout(1600);
    }
    expect(await page.locator(WARNING).count()).toBe(0);
    await page.waitForSelector("[data-bed=bed-1]");
  });
});
