import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { wallMs } from "../../src/core/time.ts";
import { violationsOf } from "../support/axe.ts";
import { chromiumIsThere, stageInChromium } from "../support/page-stage.ts";
import { deviceView, limitAlert } from "../support/scripted-ward.ts";
import { createWallWard } from "../support/wall-ward.ts";

/** Every place of the pages behind the sign-in, and what is there when it is. */
// biome-ignore format: one row a place, so that it reads as the table it is.
const PLACES: readonly (readonly [path: string, there: string])[] = [
  ["#/", "[data-bed]"],
  ["#/alerts", ".alerts--wide"],
  ["#/alerts/history", "main"],
  ["#/quality", "main"],
  ["#/users", "main"],
  ["#/devices", "main"],
  ["#/device/monitor-bed-1", "main"],
  ["#/adopt", "main"],
  ["#/readers", "main"],
  ["#/settings", "main"],
  ["#/records", "main"],
  ["#/bed/bed-1", "main.bed .trend"],
  ["#/bed/nowhere", "main"],
];

const SIZES = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
] as const;
const LOCALES = ["en-GB", "zh-CN"] as const;

/** Waits until nothing is on its way that would change what is looked at. */
const settled = (page: Page) => page.waitForTimeout(400);

describe.skipIf(!chromiumIsThere)("axe finds nothing wrong", () => {
  const openStage = stageInChromium();

  test("what is wrong is found: a picture without words, text that can hardly be seen, a second main part", async ({
    onTestFinished,
  }) => {
    const { open } = await openStage(onTestFinished);
    const page = await open("/");
    await page.waitForSelector("[data-bed]");
    await page.evaluate(`(() => { const bad = document.createElement("main"); document.body.append(bad);
      const picture = document.createElement("img"); picture.id = "wordless"; bad.append(picture);
      const pale = document.createElement("p"); pale.id = "pale"; pale.textContent = "Bed 7"; bad.append(pale);
      pale.style.setProperty("color", "#1a2530"); })()`);
    const found = (await violationsOf(page)).map((violation) => violation.split(" (")[0]);
    expect(found).toEqual(
      expect.arrayContaining([
        "image-alt: #wordless",
        "color-contrast: #pale",
        expect.stringMatching(/^landmark-no-duplicate-main/),
      ]),
    );
  });

  for (const locale of LOCALES)
    for (const size of SIZES)
      test(`${locale}, ${size.width}x${size.height}: every place, with alerts, trouble and absences`, async ({
        onTestFinished,
      }) => {
        const { ward } = createWallWard({ beds: 8, wards: ["East", "West"] });
        const { open, url } = await openStage(onTestFinished, { ward });
        const nowMs = Date.now();
        ward.setAlert(limitAlert("a-1", nowMs));
        ward.setAlert({ ...limitAlert("a-2", nowMs, { priority: "medium", bed: "bed-2" }), nature: "technical" });
        ward.setAlert({
          ...limitAlert("a-3", nowMs, { priority: "low", bed: "bed-3" }),
          state: "acknowledged",
          acknowledgedAtMs: wallMs(nowMs),
        });
        const bed = ward.bed("bed-2");
        ward.setBed({
          ...bed,
          numbers: bed.numbers.map((number) => ({ ...number, measuredAtMs: nowMs - 3_600_000, staleAfterMs: 1000 })),
          devices: [deviceView("monitor-2", { link: "down", refusedCount: 3, origin: "simulated", lastHeardAtMs: nowMs })],
        });
        ward.setBed({ ...ward.bed("bed-4"), patient: null, numbers: [], answers: [] });
        const page = await open("/", { locale, ...size });
        const found: string[] = [];
        for (const [path, there] of PLACES) {
          await page.goto(`${url()}${path}`);
          await page.waitForSelector(there);
          await settled(page);
          for (const violation of await violationsOf(page)) found.push(`${path} ${violation}`);
        }
        await page.goto(`${url()}#/`);
        for (const key of ["t", "?"]) {
          await page.waitForSelector("[data-bed]");
          await page.keyboard.press(key);
          await page.waitForSelector("dialog[open]");
          for (const violation of await violationsOf(page)) found.push(`dialog ${key} ${violation}`);
          await page.keyboard.press("Escape");
          await page.waitForSelector("dialog", { state: "detached" });
        }
        const named = await page.evaluate<string[]>(
          `[...document.querySelectorAll("nav a")].map((link) => link.getAttribute("href"))`,
        );
        const looked = PLACES.map(([path]) => path);
        expect(
          named.filter((path) => !looked.includes(path)),
          "every page of the head is looked at",
        ).toEqual([]);
        expect(found).toEqual([]);
      }, 60_000);

  for (const locale of LOCALES)
    test(`${locale}: the wall of fifty beds, on a screen and on a phone`, async ({ onTestFinished }) => {
      const { ward } = createWallWard({ beds: 50, wards: ["East", "West"] });
      const { open } = await openStage(onTestFinished, { ward });
      ward.setAlert(limitAlert("a-1", Date.now()));
      ward.setAlert(limitAlert("a-2", Date.now(), { bed: "bed-40" }));
      ward.setAlert({ ...limitAlert("a-3", Date.now(), { bed: "bed-9", priority: "low" }), nature: "technical" });
      for (const size of [{ width: 1920, height: 1080 }, SIZES[1]]) {
        const page = await open("/", { locale, ...size });
        await page.waitForSelector("[data-bed=bed-50]");
        await page.selectOption("[data-testid=wall-ward]", "West");
        await page.waitForSelector("[data-testid=elsewhere]");
        await settled(page);
        expect(await violationsOf(page), String(size.width)).toEqual([]);
      }
    }, 60_000);

  for (const locale of LOCALES)
    test(`${locale}: every dialog that a bed's page opens`, async ({ onTestFinished }) => {
      const { ward } = createWallWard({ beds: 3 });
      const { open } = await openStage(onTestFinished, { ward });
      ward.setBed({ ...ward.bed("bed-2"), patient: null, numbers: [], answers: [] });
      const seen = new Set<string>();
      for (const [size, path] of [
        [SIZES[0], "/#/bed/bed-1"],
        [SIZES[1], "/#/bed/bed-1"],
        [SIZES[1], "/#/bed/bed-2"],
      ] as const) {
        const page = await open(path, { locale, ...size });
        await page.waitForSelector("main.bed");
        await settled(page);
        const buttons = page.locator("main.bed .panel button, main.bed [data-testid=admit]");
        for (let index = 0; index < (await buttons.count()); index++) {
          const button = buttons.nth(index);
          if (!(await button.isVisible()) || (await button.getAttribute("aria-pressed")) !== null) continue;
          await button.click();
          const dialog = page.locator("dialog[open]");
          await dialog.waitFor({ timeout: 500 }).catch(() => undefined);
          const title = (await dialog.count()) > 0 ? await dialog.getAttribute("aria-label") : null;
          if (title === null) continue;
          if (!seen.has(`${size.width} ${title}`)) expect(await violationsOf(page), `${size.width} ${title}`).toEqual([]);
          seen.add(`${size.width} ${title}`);
          await page.keyboard.press("Escape");
          await dialog.waitFor({ state: "detached" });
        }
      }
      // Admit, move, discharge, correct, merge, profile, assign, release, limits.
      expect(seen.size, [...seen].join()).toBeGreaterThanOrEqual(9);
    }, 120_000);

  for (const locale of LOCALES)
    test(`${locale}: the first account and the sign-in, also with a refusal`, async ({ onTestFinished }) => {
      const { open, oneTimeLink } = await openStage(onTestFinished, { signIn: true });
      for (const size of SIZES) {
        const first = await open(oneTimeLink(), { locale, ...size });
        await first.waitForSelector("[name=again]");
        expect(await violationsOf(first), `first account, ${size.width}`).toEqual([]);
      }
      const page = await open(oneTimeLink(), { locale });
      for (const [name, value] of [
        ["name", "li"],
        ["password", "correct horse 9"],
        ["again", "correct horse 9"],
      ] as const)
        await page.fill(`[name=${name}]`, value);
      await page.click("[type=submit]");
      await page.waitForSelector("[data-bed]");
      for (const size of SIZES) {
        const door = await open("/", { locale, ...size });
        await door.fill("[name=name]", "li");
        await door.fill("[name=password]", "wrong horse 10");
        await door.click("[type=submit]");
        await door.waitForSelector(".field-trouble:not(:empty)");
        expect(await violationsOf(door), `sign-in, ${size.width}`).toEqual([]);
      }
    }, 60_000);
});
