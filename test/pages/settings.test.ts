import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, test } from "vitest";
import { parseConfig } from "../../config/load.ts";
import { configWarnings } from "../../config/together.ts";
import { createSystemClock } from "../../src/clock.ts";
import { createSettingsDesk } from "../../src/gateway/settings-desk.ts";
import { violationsOf } from "../support/axe.ts";
import { chromiumIsThere, expectNoSidewaysScroll, pictures, type Stage, stageInChromium, text } from "../support/page-stage.ts";
import { until } from "../support/until.ts";

const CONFIG = `# Ward 3 East
gateway:
  id: ward-1
  dataFolder: /var/lib/vigil
journal:
  sizeMegabytesMax: 4096
beds:
  - { id: bed-1, title: "301-1", room: "301", ward: 3 East }
  - { id: bed-2, title: "301-2", room: "301", ward: 3 East }
upstreams:
  - name: hospital
    kind: mqtt
    url: mqtts://broker.hospital.example:8883
    username: vigil-ward-3
    passwordFile: hospital.password
`;
const hashOf = (content: string) => createHash("sha256").update(content).digest("hex");
const PHONE = { width: 390, height: 844 } as const;
const DESKTOP = { width: 1280, height: 800 } as const;

async function picture(page: Page, name: string): Promise<void> {
  if (pictures !== undefined) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}

describe.skipIf(!chromiumIsThere)("the settings and the records in Chromium", () => {
  const openStage = stageInChromium();

  /** A page over a real configuration file; its restart serves the page anew, as the supervisor does. */
  async function openSettings(
    whenFinished: (work: () => Promise<void>) => void,
    more: { readonly tls?: boolean; readonly supervised?: boolean; readonly content?: string; readonly signIn?: boolean } = {},
  ) {
    const { signIn = false } = more;
    const folder = await mkdtemp(join(tmpdir(), "vigil-settings-"));
    const configFile = join(folder, "ward.yaml");
    const content = more.content ?? CONFIG;
    await writeFile(configFile, content);
    const restarts: (string | null)[] = [];
    let runningText = content;
    let stage: Stage | null = null;
    const restart = (previousConfig: string | null) => {
      restarts.push(previousConfig);
      setTimeout(() => void startAnew(), 300);
    };
    const startAnew = async () => {
      const port = Number(new URL(stage?.url() ?? "http://127.0.0.1:0/").port);
      await stage?.stop();
      // One that fails is started with the settings of before.
      const failed = (await readFile(configFile, "utf8")).includes("fails-at-the-start");
      const previous = restarts.at(-1) ?? null;
      if (failed && previous !== null) await writeFile(configFile, await readFile(previous, "utf8"));
      runningText = await readFile(configFile, "utf8");
      await stage?.serve({ port, signIn });
    };
    const settings = () => {
      const parsed = parseConfig(runningText, folder);
      if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
      const clock = createSystemClock();
      const warnings = configWarnings(parsed.value);
      return createSettingsDesk({
        clock,
        configFile,
        runningText,
        config: parsed.value,
        warnings,
        restart: more.supervised === false ? null : restart,
      });
    };
    const tls = more.tls === true ? { tls: { kind: "own", gatewayId: "ward-1" } as const } : {};
    stage = await openStage(whenFinished, { signIn, settings, ...tls });
    whenFinished(() => rm(folder, { recursive: true, force: true }));
    // The first account must be an administrator's.
    const page = signIn ? await stage.openAs("administrator", "/#/settings", DESKTOP) : await stage.open("/#/settings", DESKTOP);
    return { stage, page, configFile, restarts };
  }

  /** Replaces the text as a person does: all of it is marked and written over. */
  async function write(page: Page, content: string): Promise<void> {
    await page.fill("#config-text", content);
  }

  test("what is in effect is shown with its meaning, its bounds and its default, in both languages and at both sizes", async ({
    expect,
    onTestFinished,
  }) => {
    const { stage, page } = await openSettings(onTestFinished, { tls: true });
    const size = "[data-place='journal.sizeMegabytesMax']";
    await page.waitForSelector(size);
    expect(await text(page, size)).toMatch(
      /4096[\s\S]+SET[\s\S]+default 2048[\s\S]+Oldest observations[\s\S]+integer 16 to 1000000/i,
    );
    expect(await page.locator("[data-place='journal.waves.ringMinutes']").count()).toBe(0);
    await page.uncheck("[name=only]");
    await page.fill("[name=find]", "ringminutes");
    await page.waitForSelector("[data-place='journal.waves.ringMinutes']");
    expect(await page.locator("[data-place]").count()).toBe(1);
    const shown = await text(page, "[data-testid=certificate]");
    expect(shown.replaceAll(/\s/g, "")).toMatch(/([0-9A-F]{2}:){31}[0-9A-F]{2}/);
    expect(await violationsOf(page)).toEqual([]);
    await picture(page, "settings-en-desktop");
    const phone = await stage.open("/#/settings", { ...PHONE, locale: "zh-CN" });
    await phone.waitForSelector(size);
    expect(await text(phone, size)).toContain("超出后舍弃最旧的观测值");
    await expectNoSidewaysScroll(phone);
    expect(await violationsOf(phone)).toEqual([]);
    await picture(phone, "settings-zh-phone");
    await phone.setViewportSize({ width: 360, height: 780 });
    await expectNoSidewaysScroll(phone);
  });

  test("a wrong text is told at its line, which a click marks; nothing is written, and what was typed stays", async ({
    expect,
    onTestFinished,
  }) => {
    const { page, configFile } = await openSettings(onTestFinished);
    await page.click("a[href='#/settings/file']");
    const wrong = CONFIG.replace("4096", "4").replace('title: "301-2"', 'titel: "301-2"');
    await write(page, wrong);
    await page.click("[data-testid=save]");
    await page.waitForSelector("[data-testid=problems]");
    const told = await text(page, "[data-testid=problems]");
    expect(told).toContain("journal.sizeMegabytesMax");
    expect(told).toContain("beds.1.titel is not a setting");
    await picture(page, "settings-wrong-en-desktop");
    await page.getByRole("button", { name: "Line 9" }).first().click();
    const marked = await page.evaluate<string>(
      "(({ value, selectionStart, selectionEnd }) => value.slice(selectionStart, selectionEnd))(document.activeElement)",
    );
    expect(marked).toBe(wrong.split("\n")[8]);
    expect(await page.locator(".editor__number--wrong").allInnerTexts()).toEqual(["● 6", "● 9"]);
    expect(await readFile(configFile, "utf8")).toBe(CONFIG);
    // Elsewhere and back: the text is still there.
    await page.click("a[href='#/']");
    await page.waitForSelector("[data-bed=bed-1]");
    await page.click("a[href='#/settings']");
    await page.click("a[href='#/settings/file']");
    expect(await page.inputValue("#config-text")).toBe(wrong);
    expect(await violationsOf(page)).toEqual([]);
    await page.click("[data-testid=discard]");
    await until("the file's text is shown", async () => (await page.inputValue("#config-text")) === CONFIG);
  });

  test("a right text is checked, saved with its record, and in effect after a restart from which the page comes back by itself", async ({
    expect,
    onTestFinished,
  }) => {
    const { stage, page, configFile, restarts } = await openSettings(onTestFinished, { signIn: true });
    await page.click("a[href='#/settings/file']");
    const right = CONFIG.replace("4096", "8192");
    await write(page, right);
    await page.click("[data-testid=check]");
    await page.waitForSelector("[data-testid=well]");
    expect(await readFile(configFile, "utf8")).toBe(CONFIG);
    await page.click("[data-testid=save]");
    await page.waitForSelector("[data-testid=saved]");
    expect(await text(page, "[data-testid=saved]")).toMatch(/ward\.yaml\.bak-\d{8}T\d{9}Z/);
    expect(await readFile(configFile, "utf8")).toBe(right);
    expect(stage.ward.accessActs.at(-1)).toMatchObject({
      deed: { kind: "settings-changed", before: hashOf(CONFIG), after: hashOf(right) },
      actor: { userId: "administrator", role: "administrator", from: "page" },
    });
    expect(await text(page, "[data-testid=differs]")).toContain("from the next start on");
    await page.click("[data-testid=restart-ask]");
    await page.keyboard.press("Escape");
    expect(restarts).toEqual([]);
    await expect.poll(() => page.evaluate("document.activeElement.dataset.testid")).toBe("restart-ask");
    await page.click("[data-testid=restart-ask]");
    await picture(page, "settings-restart-en-desktop");
    await page.click("[data-testid=restart-now]");
    await page.waitForSelector("[data-testid=restarting]");
    await page.waitForSelector("[data-testid=restarted]", { timeout: 15_000 });
    expect(await text(page, "[data-testid=restarted]")).toContain("the settings are in effect");
    expect(restarts).toEqual([expect.stringContaining("ward.yaml.bak-")]);
    expect(await page.locator("[data-testid=differs]").count()).toBe(0);
    await page.click("a[href='#/settings']");
    await until("the new value is shown", async () =>
      (await text(page, "[data-place='journal.sizeMegabytesMax']")).includes("8192"),
    );
  });

  test("a text with which the gateway does not start is taken back, and the page says so", async ({ expect, onTestFinished }) => {
    const { page, configFile } = await openSettings(onTestFinished);
    await page.click("a[href='#/settings/file']");
    await write(page, `${CONFIG}# fails-at-the-start\n`);
    await page.click("[data-testid=save]");
    await page.waitForSelector("[data-testid=saved]");
    await page.click("[data-testid=restart-ask]");
    await page.click("[data-testid=restart-now]");
    await page.waitForSelector("[data-testid=restarted]", { timeout: 15_000 });
    expect(await text(page, "[data-testid=restarted]")).toContain("those of before are in effect again");
    await until("the file of before is shown", async () => (await page.inputValue("#config-text")) === CONFIG);
    expect(await readFile(configFile, "utf8")).toBe(CONFIG);
  });

  test("a file that somebody else changed meanwhile is not written over", async ({ expect, onTestFinished }) => {
    const { page, configFile } = await openSettings(onTestFinished);
    await page.click("a[href='#/settings/file']");
    const mine = CONFIG.replace("4096", "8192");
    await write(page, mine);
    const theirs = CONFIG.replace("4096", "1024");
    await writeFile(configFile, theirs);
    await page.click("[data-testid=save]");
    await page.waitForSelector("[data-testid=changed-meanwhile]");
    expect(await readFile(configFile, "utf8")).toBe(theirs);
    expect(await page.inputValue("#config-text")).toBe(mine);
    await page.getByRole("button", { name: "Load the file anew" }).click();
    await until("their text is shown", async () => (await page.inputValue("#config-text")) === theirs);
  });

  test("what cannot be done from here is said with its reason, and is no button; an auditor finds no such page", async ({
    expect,
    onTestFinished,
  }) => {
    const { stage, page, configFile } = await openSettings(onTestFinished, {
      signIn: true,
      supervised: false,
      content: CONFIG.replace("journal:", "dashboard: { host: 0.0.0.0, tls: none }\njournal:"),
    });
    await page.waitForSelector("[data-testid=restart]");
    expect(await text(page, "[data-testid=restart]")).toContain("it runs without vigil run");
    expect(await page.locator("[data-testid=restart-ask]").count()).toBe(0);
    expect(await text(page, "[data-testid=problems]")).toContain("the pages are not encrypted");
    await rm(configFile);
    await page.reload();
    await page.click("a[href='#/settings/file']");
    expect(await text(page, "[data-testid=read-only]")).toContain("the file cannot be read (ENOENT)");
    expect(await page.locator("[data-testid=save]").count()).toBe(0);
    const engineer = await stage.openAs("engineer", "/");
    await engineer.waitForSelector("a[href='#/settings']");
    const auditor = await stage.openAs("auditor", "/");
    await auditor.waitForSelector("a[href='#/records']");
    expect(await auditor.locator("a[href='#/settings']").count()).toBe(0);
  });

  test("who did what: by day, person and kind, older ones when asked for, in both languages and at both sizes", async ({
    expect,
    onTestFinished,
  }) => {
    const stage = await openStage(onTestFinished);
    const page = await stage.open("/#/records", DESKTOP);
    await page.waitForSelector("[data-seq='139']");
    expect(await text(page, "[data-testid=chain]")).toMatch(/whole: 40 checked, up to number 139, at \d\d:\d\d:\d\d/);
    expect(await text(page, "[data-seq='139']")).toMatch(/nurse\.(li|wang)[\s\S]+nurse/);
    await picture(page, "records-en-desktop");
    await page.click("[data-testid=every-day]");
    await page.waitForSelector("[data-testid=records-more]");
    expect(await text(page, "[data-testid=records-count]")).toBe("40 acts, 10 shown");
    for (let shown = 20; shown <= 40; shown += 10) {
      await page.click("[data-testid=records-more]");
      await until(`${shown} are shown`, async () => (await page.locator("tr[data-seq]").count()) === shown);
    }
    expect(await page.locator("[data-testid=records-more]").count()).toBe(0);
    const numbers = await page.locator(".records__table .records__seq").allInnerTexts();
    expect(numbers).toEqual(Array.from({ length: 40 }, (_, index) => String(139 - index)));
    await page.selectOption("[name=by]", "engineer.zhao");
    await until("only theirs are shown", async () => (await text(page, "[data-testid=records-count]")) === "13 acts, 10 shown");
    expect(await text(page, "tr[data-seq]")).toContain("signed in");
    await page.selectOption("[name=kind]", "note");
    await until("nothing fits", async () => (await page.locator(".calm").count()) === 1);
    await page.selectOption("[name=by]", "");
    await page.waitForSelector("tr[data-seq]");
    expect(await text(page, "tr[data-seq]")).toContain("noted of patient-of-bed-1: Turned at");
    expect(await violationsOf(page)).toEqual([]);
    await page.emulateMedia({ media: "print" });
    expect(await page.locator(".topbar").isVisible()).toBe(false);
    expect(await page.locator(".records__printed").isVisible()).toBe(true);
    await picture(page, "records-print");
    const phone = await stage.open("/#/records", { ...PHONE, locale: "zh-CN" });
    await phone.waitForSelector("[data-seq='139']");
    expect(await text(phone, "[data-testid=chain]")).toContain("记录链完整");
    await expectNoSidewaysScroll(phone);
    expect(await violationsOf(phone)).toEqual([]);
    await picture(phone, "records-zh-phone");
    await phone.setViewportSize({ width: 360, height: 780 });
    await expectNoSidewaysScroll(phone);
  });

  test("a chain that is broken is said before everything else, with its place and what to do", async ({
    expect,
    onTestFinished,
  }) => {
    const stage = await openStage(onTestFinished);
    stage.ward.setChain({ breakCount: 2, firstBreak: { seq: 117, atMs: null, why: "changed", afterSeq: 116 } });
    const page = await stage.open("/#/records", DESKTOP);
    await page.waitForSelector(".chain--broken");
    const told = await text(page, "[data-testid=chain]");
    expect(told).toContain("BROKEN 2 times, first at number 117: its content is not what was written");
    expect(told).toContain("vigil audit verify");
    await picture(page, "records-broken-en-desktop");
  });

  test("over HTTPS with the gateway's own certificate a person signs in by the one-time link, and the session is kept", async ({
    expect,
    onTestFinished,
  }) => {
    const stage = await openStage(onTestFinished, { signIn: true, tls: { kind: "own", gatewayId: "ward-1" } });
    expect(stage.oneTimeLink()).toMatch(/^https:/);
    const page = await stage.open(stage.oneTimeLink());
    await page.fill("[name=name]", "chief");
    await page.fill("[name=password]", "correct horse 9");
    await page.fill("[name=again]", "correct horse 9");
    await page.click("[type=submit]");
    await page.click("[data-testid=heard]");
    await page.waitForSelector("[data-bed=bed-1]");
    const [cookie] = await page.context().cookies();
    expect(cookie).toMatchObject({ secure: true, httpOnly: true, sameSite: "Strict" });
    await page.reload();
    await page.waitForSelector("[data-bed=bed-1]");
  });
});
