import { describe, expect, onTestFinished, test } from "vitest";
import { bedId } from "../../src/core/ids.ts";
import { violationsOf } from "../support/axe.ts";
import { chromiumIsThere, expectNoSidewaysScroll, stageInChromium, text } from "../support/page-stage.ts";
import { PHONE, takePicture } from "../support/people-ward.ts";
import { openScriptedDemonstration } from "../support/scripted-demonstration.ts";
import { bedView, createScriptedWard, deviceView } from "../support/scripted-ward.ts";

const MONITOR = {
  patient: ["well", "breathing-fails", "bleeding", "heart-stops"],
  fingerClip: ["on", "loose", "off"],
  electrodes: ["on", "off"],
  power: ["on", "off"],
  cable: ["in", "out"],
} as const;

/** A simulated patient with a monitor and a patch in bed 1, a recording in bed 2. */
async function openDemonstrationWard() {
  const nowMs = Date.now();
  const bed = (id: string, devices: readonly ReturnType<typeof deviceView>[]) => {
    const view = bedView(id, nowMs, { devices });
    return { ...view, patient: view.patient === null ? null : { ...view.patient, demonstration: true } };
  };
  const device = (id: string, more: Parameters<typeof deviceView>[1]) => deviceView(id, { lastHeardAtMs: nowMs, ...more });
  const ward = createScriptedWard({
    nowMs: Date.now,
    beds: [
      bed("bed-1", [
        device("monitor-1", { origin: "simulated", title: { en: "Monitor twin", zh: "监护仪（模拟）" } }),
        device("patch-1", { origin: "simulated", title: { en: "Thermometer patch twin", zh: "体温贴（模拟）" } }),
      ]),
      bed("bed-2", [device("ivy-2", { origin: "replayed", bedId: bedId("bed-2") })]),
    ],
  });
  const offered = {
    "monitor-1": MONITOR,
    "patch-1": { probe: ["on", "off"], radio: ["in-reach", "out-of-reach"] },
    "ivy-2": { cable: ["in", "out"] },
  } as const;
  const demonstration = await openScriptedDemonstration(offered, ward.source.picture);
  onTestFinished(demonstration.close);
  return { ward, demonstration };
}

describe.skipIf(!chromiumIsThere)("a bed's page in the demonstration", () => {
  const openStage = stageInChromium();
  const SIZES = [{ width: 1280, height: 900 }, PHONE] as const;

  for (const [locale, words] of [
    ["en-GB", { mark: "DEMONSTRATION", changed: "changed 0 s ago", gone: "do not answer" }],
    ["zh-CN", { mark: "演示", changed: "0秒前更改", gone: "无应答" }],
  ] as const)
    for (const size of SIZES)
      test(`${locale}, ${size.width} px: what is chosen goes to the device, and is shown with its time`, async () => {
        const { ward, demonstration } = await openDemonstrationWard();
        const { open } = await openStage(onTestFinished, { ward, demonstration: demonstration.source });
        const page = await open("/#/bed/bed-1", { locale, ...size });
        const nudge = (of: string) => `[data-nudge="${of}"]`;
        await page.click(`${nudge("monitor-1 patient")} [data-choice=breathing-fails]`);
        await page.click(`${nudge("monitor-1 fingerClip")} [data-choice=off]`);
        await page.click(`${nudge("monitor-1 cable")} [data-choice=out]`);
        await page.click(`${nudge("patch-1 radio")} [data-choice=out-of-reach]`);
        await expect
          .poll(() => demonstration.applied.toSorted())
          .toEqual([
            "monitor-1 cable out",
            "monitor-1 fingerClip off",
            "monitor-1 patient breathing-fails",
            "patch-1 radio out-of-reach",
          ]);
        const pressed = () =>
          page.evaluate<string[]>(`[...document.querySelectorAll("[data-nudge]")].map((row) =>
            row.dataset.nudge + " " + [...row.querySelectorAll("[aria-pressed=true]")].map((one) => one.dataset.choice).join())`);
        await expect
          .poll(pressed)
          .toEqual([
            "monitor-1 patient breathing-fails",
            "monitor-1 fingerClip off",
            "monitor-1 electrodes on",
            "monitor-1 power on",
            "monitor-1 cable out",
            "patch-1 probe on",
            "patch-1 radio out-of-reach",
          ]);
        await expect.poll(() => text(page, ".nudges__head")).toContain(words.mark);
        expect(await text(page, nudge("patch-1 radio"))).toMatch(new RegExp(words.changed.replace("0", "\\d+")));
        await expectNoSidewaysScroll(page);
        expect(await violationsOf(page)).toEqual([]);
        const height = await page.evaluate<number>(
          `Math.min(...[...document.querySelectorAll(".nudges button")].map((one) => one.getBoundingClientRect().height))`,
        );
        expect(height).toBeGreaterThanOrEqual(48);
        await page.evaluate(`document.querySelector(".nudges").scrollIntoView(); scrollBy(0, -170);`);
        await takePicture(page, `nudges-${locale}-${size.width}`);
        await demonstration.die();
        await expect.poll(() => text(page, ".nudges [role=alert]")).toContain(words.gone);
        await page.click(`${nudge("monitor-1 cable")} [data-choice=in]`);
        await expect.poll(() => text(page, ".notice--bad")).toContain(words.gone);
        await takePicture(page, `nudges-gone-${locale}-${size.width}`);
        await demonstration.revive();
        await page.waitForSelector(".nudges [role=alert]", { state: "detached" });
      });

  test("a recording has its cable only, and a real patient's bed nothing", async () => {
    const { ward, demonstration } = await openDemonstrationWard();
    const { open, url } = await openStage(onTestFinished, { ward, demonstration: demonstration.source });
    const page = await open("/#/bed/bed-2");
    await page.waitForSelector("[data-nudge]");
    const rows = () => page.locator("[data-nudge]").evaluateAll((found) => found.map((row) => row.dataset["nudge"]));
    expect(await rows()).toEqual(["ivy-2 cable"]);
    const bed = ward.bed("bed-1");
    ward.setBed({ ...bed, patient: bed.patient === null ? null : { ...bed.patient, demonstration: false } });
    await page.goto(`${url()}#/bed/bed-1`);
    await page.waitForSelector("main.bed .trend");
    await page.waitForTimeout(400);
    expect(await rows()).toEqual([]);
  });

  test("outside of the demonstration nothing of it is there", async () => {
    const { ward } = await openDemonstrationWard();
    const { open } = await openStage(onTestFinished, { ward });
    const asked: string[] = [];
    const page = await open("/#/bed/bed-1");
    page.on("request", (request) => asked.push(request.url()));
    await page.waitForSelector("main.bed .trend");
    await page.waitForTimeout(2500);
    expect(await page.locator("[data-testid=nudges]").count()).toBe(0);
    expect(asked.filter((one) => one.includes("demonstration"))).toEqual([]);
  });
});
