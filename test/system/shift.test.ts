import { existsSync } from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Language, say, type TextKey } from "../../src/dashboard/web/words/texts.ts";
import { violationsOf } from "../support/axe.ts";
import { freePort } from "../support/mosquitto.ts";
import { type Files, picture, runSupervised, verify, writeConfig } from "../support/real-gateway.ts";
import { BAD_PRESSURE, GOOD_PRESSURE, openSettableWard } from "../support/settable-ward.ts";
import { type Program, stageOfEachTest } from "../support/stage.ts";
import { until } from "../support/until.ts";

const CHROMIUM_PATH = "/usr/bin/chromium";
const chromiumIsThere = existsSync(CHROMIUM_PATH);
if (!chromiumIsThere) process.stderr.write(`\nSKIPPED: a nurse's shift, ${CHROMIUM_PATH} is missing (apt install chromium)\n\n`);
const pictures = process.env["PICTURES"];
const PASSWORD = "a quiet night shift";
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const stage = stageOfEachTest();
let browser: Browser;

beforeAll(async () => {
  if (!chromiumIsThere) return;
  browser = await chromium.launch({ executablePath: CHROMIUM_PATH, args: ["--no-sandbox", "--disable-gpu"] });
});
afterAll(async () => {
  await browser?.close();
});

/** One person's window, with what they can do in it by the words that stand there. */
class Window {
  readonly page: Page;
  readonly #language: Language;
  readonly #name: string;
  #pictureCount = 0;

  constructor(page: Page, language: Language, name: string) {
    this.page = page;
    this.#language = language;
    this.#name = name;
  }

  say(key: TextKey, facts: Readonly<Record<string, string | number>> = {}): string {
    return say(this.#language, key, facts);
  }

  /** Presses the button that says this, in the dialog where one is open. */
  async press(key: TextKey, facts: Readonly<Record<string, string | number>> = {}): Promise<void> {
    const dialog = this.page.locator("dialog[open]");
    const within = (await dialog.count()) > 0 ? dialog : this.page;
    await within
      .getByRole("button", { name: this.say(key, facts), exact: true })
      .first()
      .click();
  }

  /** Whether a text can be seen anywhere. */
  async sees(text: string): Promise<void> {
    await this.page.getByText(text).filter({ visible: true }).first().waitFor();
  }

  /** Holds the screen as it stands now to what every screen is held to, and takes a picture of it for whoever wants one. */
  async look(what: string): Promise<void> {
    const [content, window] = await this.page.evaluate<number[]>("[document.documentElement.scrollWidth, innerWidth]");
    expect(content, `${what}: width of the page beside that of the window`).toBe(window);
    expect(await violationsOf(this.page), what).toEqual([]);
    await this.sees("Not a registered medical device / 非注册医疗器械");
    this.#pictureCount += 1;
    if (pictures !== undefined)
      await this.page.screenshot({ path: `${pictures}/shift-${this.#name}-${this.#pictureCount}-${what}.png`, fullPage: true });
  }

  async signIn(user: string): Promise<void> {
    await this.page.fill("[name=name]", user);
    await this.page.fill("[name=password]", PASSWORD);
    await this.press("signIn");
    await this.page.click("[data-testid=play]");
    await this.page.click("[data-testid=heard]");
    await this.page.waitForSelector("dialog[open]", { state: "detached" });
  }

  async signOut(): Promise<void> {
    await this.press("signOut");
    await this.page.waitForSelector("[name=password]");
  }

  async openBed(bedId: string): Promise<void> {
    await this.page.evaluate(`location.hash = ${JSON.stringify(`#/bed/${bedId}`)}`);
    await this.page.waitForSelector(`[data-bed=${bedId}]`);
  }

  /** Sends the form of the open dialog, and waits until it has done what it says. */
  async send(): Promise<void> {
    await this.page.click("dialog[open] [type=submit]");
    await this.page.waitForSelector("dialog[open]", { state: "detached" });
  }
}

async function openWindow(
  url: string,
  given: { readonly locale: string; readonly size: typeof DESKTOP; readonly troubles: string[] },
): Promise<{ readonly context: BrowserContext; readonly page: Page }> {
  const context = await browser.newContext({ locale: given.locale, viewport: given.size });
  stage().defer(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => given.troubles.push(error.message));
  page.on("request", (request) => {
    const { hostname } = new URL(request.url());
    if (hostname !== "127.0.0.1") given.troubles.push(`asked ${hostname}`);
  });
  await page.goto(url);
  return { context, page };
}

/** Makes the first account by the link that the gateway has printed, and with it those of two nurses. */
async function makeAccounts(supervisor: Program, url: string): Promise<void> {
  const link = await until("the one-time link is printed", () =>
    supervisor.stdout.map((line) => /(http:\S+#\/first\/\S+)/.exec(line)?.[1]).find((found) => found !== undefined),
  );
  const context = await browser.newContext();
  const post = async (path: string, data: object) => {
    const headers = { "x-vigil-page": "1", origin: new URL(url).origin };
    const answer = await context.request.post(new URL(path, url).href, { data, headers });
    expect(answer.status(), path).toBe(200);
  };
  await post("api/first-account", { token: link.split("/").at(-1), name: "head", password: PASSWORD });
  for (const name of ["li", "wang"]) await post("api/users/add", { name, password: PASSWORD, role: "nurse", patient: null });
  await context.close();
}

/** What `vigil audit show` tells: who did what. */
async function acts(files: Files): Promise<readonly (readonly [string, string])[]> {
  const show = stage().vigil(["audit", "show", "--config", files.configFile]);
  expect(await show.exited, show.stderr.join(" ")).toBe(0);
  return show.stdout.map((line) => {
    const act = JSON.parse(line) as { readonly by?: string; readonly deed?: { readonly kind?: string } };
    return [act.by ?? "", act.deed?.kind ?? ""] as const;
  });
}

const SHIFTS = [
  ["zh", "zh-CN", "phone", PHONE],
  ["zh", "zh-CN", "desktop", DESKTOP],
  ["en", "en-GB", "phone", PHONE],
  ["en", "en-GB", "desktop", DESKTOP],
] as const;

describe.skipIf(!chromiumIsThere)("a nurse's shift in front of a real gateway", () => {
  test.each(SHIFTS)(
    "%s, %s, on a %s: admitted, watched, alarmed, judged, moved and handed over",
    { timeout: 120_000 },
    async (language, locale, device, size) => {
      const troubles: string[] = [];
      const ward = await openSettableWard(2);
      stage().defer(() => ward.close());
      const pagePort = await freePort();
      const files = await writeConfig(stage(), { ward, pagePort, moreBeds: [{ id: "bed-3", title: "bed-3" }] });
      const { supervisor } = await runSupervised(stage(), files);
      const url = `http://127.0.0.1:${pagePort}/`;
      await makeAccounts(supervisor, url);

      const { page } = await openWindow(url, { locale, size, troubles });
      const nurse = new Window(page, language, `${language}-${device}`);
      await nurse.look("sign-in");
      await nurse.signIn("li");
      await nurse.look("wall");

      await nurse.openBed("bed-1");
      await page.click("[data-testid=admit]");
      await page.fill("[name=patientId]", "P-17");
      await page.fill("[name=label]", "Z.W.");
      await nurse.look("admit");
      await nurse.send();
      await nurse.press("assignHere", { patient: "Z.W." });
      await nurse.send();
      await page.locator(".numbers [data-quantity=heartRate]").filter({ hasText: /\d\d/ }).waitFor();
      await nurse.look("bed");

      ward.beds[0]?.takeCuffPressure(...BAD_PRESSURE);
      await page.getByRole("link", { name: nurse.say("wall"), exact: true }).click();
      const alert = page.locator("[data-alert], .tile__alert").filter({ visible: true }).first();
      await alert.waitFor();
      await nurse.look("alert");
      await nurse.press("acknowledge");
      await until("the gateway knows who has acknowledged", async () =>
        (await picture(files))?.alerts.some((one) => one.acknowledgedBy === "li"),
      );
      ward.beds[0]?.takeCuffPressure(...GOOD_PRESSURE);

      await page.evaluate("location.hash = '#/alerts/history'");
      const row = page.locator("[data-past]").filter({ hasText: "P-17" }).first();
      await row.locator("[data-verdict=relevant]").click();
      await row.locator("[data-verdict=relevant][aria-pressed=true]").waitFor();
      await row.filter({ hasText: nurse.say("endedAt", { time: "" }).trim() }).waitFor();
      await nurse.look("verdict");

      await nurse.openBed("bed-1");
      await page.fill("[name=note]", "夜间 02:10 低血压\nBP low at 02:10, doctor told");
      await nurse.press("noteAdd");
      await nurse.sees("BP low at 02:10, doctor told");
      await nurse.press("transfer");
      await page.selectOption("[name=bedId]", "bed-3");
      await nurse.look("transfer");
      await nurse.send();
      await page.waitForSelector("[data-bed=bed-3]");
      await until("the patient lies in bed 3 with the monitor", async () => {
        const bed = (await picture(files))?.beds.find(({ bedId }) => bedId === "bed-3");
        return bed?.patient?.patientId === "P-17" && bed.devices.some(({ deviceId }) => deviceId === "monitor-1");
      });
      await nurse.look("moved");
      await nurse.signOut();

      await nurse.signIn("wang");
      await nurse.openBed("bed-3");
      await nurse.sees("Z.W.");
      await nurse.sees("BP low at 02:10, doctor told");
      await nurse.look("handed-over");
      await nurse.signOut();
      expect(troubles).toEqual([]);

      supervisor.signal("SIGTERM");
      expect(await supervisor.exited).toBe(0);
      const done = await acts(files);
      for (const kind of ["sign-in", "admit", "assign", "acknowledge", "verdict", "note", "transfer", "sign-out"])
        expect(done, kind).toContainEqual(["li", kind]);
      expect(done).toContainEqual(["wang", "sign-in"]);
      expect(await verify(stage(), files)).toMatchObject({ exitCode: 0 });
    },
  );
});
