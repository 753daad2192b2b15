import type { Page } from "playwright-core";
import { describe, expect, onTestFinished, test } from "vitest";
import { deviceId, patientId } from "../../src/core/ids.ts";
import { chromiumIsThere, stageInChromium, text } from "../support/page-stage.ts";
import { createPeopleWard, deedsOf, setPatient } from "../support/people-ward.ts";
import { limitAlert } from "../support/scripted-ward.ts";

/** Types as a scanner does: all at once and ending with Enter, by the browser's own keys. */
async function scan(page: Page, code: string): Promise<void> {
  const wire = await page.context().newCDPSession(page);
  const key = (character: string) =>
    character === "\r"
      ? { key: "Enter", code: "Enter", windowsVirtualKeyCode: 13, text: "\r" }
      : { key: character, text: character };
  const atSeconds = Date.now() / 1000;
  await Promise.all(
    [...code, "\r"].flatMap((character, index) =>
      (["keyDown", "keyUp"] as const).map((type) =>
        wire.send("Input.dispatchKeyEvent", { type, ...key(character), timestamp: atSeconds + index / 100 }),
      ),
    ),
  );
  await wire.detach();
}

describe.skipIf(!chromiumIsThere)("a scanner on the pages", () => {
  const openStage = stageInChromium();

  test("a wristband opens its bed from anywhere, and none of its characters is taken for a key of the page", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    setPatient(stage, "bed-3", { patientId: patientId("1wam2") });
    stage.ward.setAlert(limitAlert("a-1", Date.now()));
    const page = await stage.open("/");
    await page.waitForSelector("[data-bed=bed-3]");
    await page.focus(".button--acknowledge");
    await scan(page, "]C11wam2");
    await page.waitForSelector("main[data-bed=bed-3]");
    await page.waitForTimeout(300);
    expect(new URL(page.url()).hash).toBe("#/bed/bed-3");
    expect(deedsOf(stage), "Enter pressed no button").toEqual([]);
    expect(await page.locator("[data-testid=sound-off]").count()).toBe(1);
    await page.keyboard.press("w");
    await page.waitForSelector(".wall");
  });

  test("an unknown number is admitted to the free bed that is shown; in the form it goes into its field and on to the next", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const page = await stage.open("/#/bed/bed-2");
    await page.waitForSelector("[data-testid=admit]");
    await scan(page, "]d2P-99");
    await page.waitForSelector("dialog[open]");
    expect(await page.inputValue("[name=patientId]")).toBe("P-99");
    await page.focus("[name=patientId]");
    await scan(page, "]C1P-1007");
    await expect.poll(() => page.inputValue("[name=patientId]")).toBe("P-1007");
    await expect.poll(() => page.evaluate("document.activeElement.name")).toBe("label");
    expect(await page.locator("#trouble-label").count(), "the form was not sent").toBe(0);
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.goto(`${stage.url()}#/`);
    await page.waitForSelector(".wall");
    await scan(page, "P-1008");
    await page.waitForSelector("dialog [name=bedId]");
    expect(await page.locator("dialog [name=bedId] option").allInnerTexts()).toEqual(["Choose …", "Bed 2"]);
  });

  test("a device's code on a bed's page asks for that patient; one on somebody else is taken off there first, and that is said", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const page = await stage.open("/#/bed/bed-3");
    await page.waitForSelector("main[data-bed=bed-3]");
    await scan(page, "monitor-1");
    await expect.poll(() => text(page, "[data-testid=assigned-elsewhere]")).toContain("It is on W. L. in Bed 1 now.");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    expect(deedsOf(stage)).toEqual([
      { kind: "release", deviceId: deviceId("monitor-1") },
      { kind: "assign", deviceId: deviceId("monitor-1"), patientId: "patient-of-bed-3" },
    ]);
    await scan(page, "monitor-9");
    await expect.poll(() => text(page, "dialog h2")).toContain("Assign Ivy 450C bedside monitor to W. L.?");
    expect(await page.locator("[data-testid=assigned-elsewhere]").count()).toBe(0);
  });
});
