import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, rmdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect } from "vitest";
import { createSystemClock } from "../../src/clock.ts";
import type { Role } from "../../src/core/act.ts";
import { patientId } from "../../src/core/ids.ts";
import { type Dashboard, startDashboard } from "../../src/dashboard/server/dashboard.ts";
import type { DashboardOptions } from "../../src/dashboard/server/dashboard-options.ts";
import { buildPages, pagesAreStale, pagesFolder } from "../../src/dashboard/server/pages-build.ts";
import type { DemonstrationSource, SettingsSource } from "../../src/dashboard/server/source.ts";
import type { PageTls } from "../../src/dashboard/server/tls/page-certificate.ts";
import { bedView, createScriptedWard, type ScriptedWard } from "./scripted-ward.ts";

const PROJECT_ROOT = join(import.meta.dirname, "..", "..");
const CHROMIUM_PATH = "/usr/bin/chromium";
const LOCK_MS_MAX = 180_000;
/** A password that every account may have; `openAs` gives it. */
export const PAGE_PASSWORD = "correct horse 9";

/** A folder for pictures of the page, for whoever wants to look at it. */
export const pictures = process.env["PICTURES"];

/** Whether pages can be tested here; where not, whoever imports this says so, once a file. */
export const chromiumIsThere = existsSync(CHROMIUM_PATH);
if (!chromiumIsThere)
  process.stderr.write(`\nSKIPPED: the page was not tested, ${CHROMIUM_PATH} is missing (apt install chromium)\n\n`);

/** Counts the tones that start, and keeps what the page asked of other hosts. */
const spies = `
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...given) { window.tones++; return start.apply(this, given); };
`;

/** How a window is opened; the language is English, the size a desktop's unless told. */
export interface WindowOptions {
  readonly locale?: string;
  readonly width?: number;
  readonly height?: number;
  /** The person wishes for no motion. */
  readonly reduced?: boolean;
  /** Run in the window before the page's own programs. */
  readonly init?: string;
}

/** A ward with its own gateway and browser window, so that tests can run side by side. */
export interface Stage {
  readonly ward: ScriptedWard;
  /** The gateway's data folder. */
  readonly folder: string;
  readonly url: () => string;
  readonly oneTimeLink: () => string;
  readonly serve: (more: { readonly port?: number; readonly signIn?: boolean }) => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Opens a window of its own, with cookies of its own, at a path such as `/#/alerts` or a whole address. */
  readonly open: (path: string, more?: WindowOptions) => Promise<Page>;
  /** As `open`, signed in as an account named after the role, which is made; a family's patient is `patient-of-bed-1`. For a stage with `signIn`. */
  readonly openAs: (role: Role, path: string, more?: WindowOptions) => Promise<Page>;
}

/** Opens a stage; what it opened is closed when the test is finished, which fails if the page had an error or asked another host. */
export type OpenStage = (
  whenFinished: (work: () => Promise<void>) => void,
  more?: {
    readonly signIn?: boolean;
    readonly ward?: ScriptedWard;
    readonly idleMinutes?: DashboardOptions["idleMinutes"];
    /** The configuration's desk, asked for at each `serve`; left out: the pages have none. */
    readonly settings?: () => SettingsSource;
    /** The demonstration's devices; left out: this is none. */
    readonly demonstration?: DemonstrationSource;
    /** How the pages are encrypted; the windows then ask nobody about the certificate. */
    readonly tls?: PageTls;
  },
) => Promise<Stage>;

/** Call it at the top of a `describe`: builds the pages where they are old, starts Chromium before the tests and ends it after them. */
export function stageInChromium(): OpenStage {
  let browser: Browser | null = null;
  let webFolder = "";
  beforeAll(async () => {
    webFolder = await mkdtemp(join(tmpdir(), "vigil-pages-"));
    await copyPages(webFolder);
    const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"];
    browser = await chromium.launch({ executablePath: CHROMIUM_PATH, args });
  }, LOCK_MS_MAX + 60_000);
  afterAll(async () => {
    await browser?.close();
    await rm(webFolder, { recursive: true, force: true });
  });
  return (whenFinished, more = {}) => {
    if (browser === null) throw new Error("Chromium has not started");
    return openStage({ browser, webFolder }, whenFinished, more);
  };
}

/** Files of tests that run side by side take turns to build; each serves a copy, so that no other build takes it away. */
async function copyPages(webFolder: string): Promise<void> {
  const lock = join(PROJECT_ROOT, "node_modules", ".vigil", "pages-lock");
  await mkdir(join(lock, ".."), { recursive: true });
  const sinceMs = Date.now();
  while (
    !(await mkdir(lock).then(
      () => true,
      () => false,
    ))
  ) {
    // One who was killed left it behind.
    const made = await stat(lock).catch(() => null);
    if (made !== null && Date.now() - made.mtimeMs > LOCK_MS_MAX) await rmdir(lock).catch(() => undefined);
    if (Date.now() - sinceMs > 2 * LOCK_MS_MAX) throw new Error(`somebody else builds the pages for ever: ${lock}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  try {
    if (await pagesAreStale(PROJECT_ROOT)) expect(await buildPages(PROJECT_ROOT)).toEqual({ ok: true, value: undefined });
    await cp(pagesFolder(PROJECT_ROOT), webFolder, { recursive: true });
  } finally {
    await rmdir(lock);
  }
}

async function openStage(
  { browser, webFolder }: { readonly browser: Browser; readonly webFolder: string },
  whenFinished: Parameters<OpenStage>[0],
  more: NonNullable<Parameters<OpenStage>[1]>,
): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "vigil-page-"));
  const nowMs = Date.now();
  const ward = more.ward ?? createScriptedWard({ nowMs: Date.now, beds: [bedView("bed-1", nowMs), bedView("bed-2", nowMs)] });
  const troubles: string[] = [];
  const contexts: BrowserContext[] = [];
  let dashboard: Dashboard | null = null;
  const stop = async () => {
    await dashboard?.close();
    dashboard = null;
  };
  const serve: Stage["serve"] = async ({ port, signIn }) => {
    const idle = more.idleMinutes === undefined ? {} : { idleMinutes: more.idleMinutes };
    const started = await startDashboard(
      {
        host: "127.0.0.1",
        port: port ?? 0,
        dataFolder: folder,
        webFolder,
        signIn: signIn ?? false,
        tls: more.tls ?? null,
        ...idle,
      },
      {
        clock: createSystemClock(),
        source: ward.source,
        perform: ward.perform,
        random: randomBytes,
        ...(more.settings === undefined ? {} : { settings: more.settings() }),
        ...(more.demonstration === undefined ? {} : { demonstration: more.demonstration }),
      },
    );
    if (!started.ok) throw new Error(JSON.stringify(started.error));
    dashboard = started.value;
  };
  whenFinished(async () => {
    for (const context of contexts) await context.close();
    await stop();
    await rm(folder, { recursive: true, force: true });
    if (troubles.length > 0) throw new Error(`the page had trouble: ${troubles.join("; ")}`);
  });
  await serve(more.signIn === undefined ? {} : { signIn: more.signIn });

  const openWindow = async ({ locale, width, height, reduced, init }: WindowOptions) => {
    const context = await browser.newContext({
      ignoreHTTPSErrors: more.tls !== undefined,
      locale: locale ?? "en-GB",
      viewport: { width: width ?? 1100, height: height ?? 700 },
      reducedMotion: reduced === true ? "reduce" : "no-preference",
    });
    contexts.push(context);
    await context.addInitScript(spies);
    if (init !== undefined) await context.addInitScript(init);
    const page = await context.newPage();
    page.setDefaultTimeout(12_000);
    page.on("pageerror", (error) => troubles.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) troubles.push(message.text());
    });
    page.on("request", (request) => {
      const { hostname } = new URL(request.url());
      if (hostname !== "127.0.0.1") troubles.push(`asked ${hostname}`);
    });
    return { context, page };
  };
  const addressOf = (path: string) => (path.startsWith("http") ? path : new URL(path, dashboard?.url).href);

  return {
    ward,
    folder,
    url: () => dashboard?.url ?? "",
    oneTimeLink: () => dashboard?.oneTimeLink ?? "",
    serve,
    stop,
    open: async (path, options = {}) => {
      const { page } = await openWindow(options);
      await page.goto(addressOf(path));
      return page;
    },
    openAs: async (role, path, options = {}) => {
      const theirs = role === "family" ? patientId("patient-of-bed-1") : null;
      const account = { verb: "add", name: role, password: PAGE_PASSWORD, role, patientId: theirs } as const;
      // The first account of a gateway is an administrator's, and a second window of the same role finds its account there already.
      const first = { ...account, name: "administrator", role: "administrator", patientId: null } as const;
      await dashboard?.users(first, { userId: "test", role: null, from: "command-line" });
      await dashboard?.users(account, { userId: "test", role: null, from: "command-line" });
      const { context, page } = await openWindow(options);
      const entered = await context.request.post(addressOf("/api/sign-in"), {
        data: { name: role, password: PAGE_PASSWORD },
        headers: { "x-vigil-page": "1", origin: new URL(addressOf("/")).origin },
      });
      expect(entered.status()).toBe(200);
      await page.goto(addressOf(path));
      return page;
    },
  };
}

/** Turns the page's sound on, as a person does after signing in. */
export async function turnSoundOn(page: Page): Promise<void> {
  await page.click("[data-testid=sound-off] button");
  await page.click("[data-testid=play]");
  await page.click("[data-testid=heard]");
  await page.waitForSelector("[data-testid=sound-off]", { state: "detached" });
}

/** How many tones have started since the page was opened. */
export const tones = (page: Page): Promise<number> => page.evaluate<number>("window.tones");

/** The name of the animation of the first element that fits; `none` where it stands still. */
export const motion = (page: Page, selector: string): Promise<string> =>
  page.evaluate<string>(`getComputedStyle(document.querySelector(${JSON.stringify(selector)})).animationName`);

/** What a person can read in the first element that fits. */
export const text = (page: Page, selector: string): Promise<string> =>
  // biome-ignore lint/performance/useDomNodeTextContent: what a person can see is asked for, and hidden text must not count.
  page.locator(selector).first().innerText();

/** Fails where the page is wider than its window, so that a person would have to scroll sideways; names what reaches beyond it. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const beyond = await page.evaluate<readonly string[]>(`(() => {
    if (document.documentElement.scrollWidth <= innerWidth) return [];
    const names = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
      .map((element) => element.tagName.toLowerCase() + (element.className === "" ? "" : "." + element.className));
    return ["page of " + document.documentElement.scrollWidth + " px", ...names];
  })()`);
  expect(beyond, "what is wider than the window").toEqual([]);
}
