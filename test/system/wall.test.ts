import { readFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { loadavg } from "node:os";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { chromiumIsThere, PAGE_PASSWORD, stageInChromium, text, turnSoundOn } from "../support/page-stage.ts";
import { admitWard, runSupervised, writeConfig } from "../support/real-gateway.ts";
import { openSettableWard } from "../support/settable-ward.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { until } from "../support/until.ts";
import { createWallWard } from "../support/wall-ward.ts";

const BEDS = 50;
const MEASURED_MS = 10_000;

/** What a person says of a figure, with how busy the machine was. */
function tell(what: string): void {
  const load = loadavg()
    .map((one) => one.toFixed(1))
    .join(" ");
  process.stdout.write(`wall: ${what}; load of the machine ${load} on 2 cores, pages drawn without a graphics card\n`);
}

/** Frames of ten seconds, the longest time between two, and the longest task of the page's main thread. */
function frames(
  page: Page,
): Promise<{ readonly perSecond: number; readonly longestGapMs: number; readonly longestTaskMs: number }> {
  return page.evaluate(`new Promise((done) => {
    let longestTaskMs = 0;
    const tasks = new PerformanceObserver((list) => { for (const task of list.getEntries()) longestTaskMs = Math.max(longestTaskMs, task.duration); });
    tasks.observe({ entryTypes: ["longtask"] });
    let count = 0, longestGapMs = 0, begin = 0, last = 0;
    const frame = (atMs) => {
      if (begin === 0) begin = atMs;
      else { count++; longestGapMs = Math.max(longestGapMs, atMs - last); }
      last = atMs;
      if (atMs - begin < ${MEASURED_MS}) requestAnimationFrame(frame);
      else { tasks.disconnect(); done({ perSecond: (count * 1000) / (atMs - begin), longestGapMs, longestTaskMs }); }
    };
    requestAnimationFrame(frame); })`);
}

/** Strips of waves in which something is drawn. */
const drawnStrips = `[...document.querySelectorAll(".strips canvas")].filter((c) => c.width > 0 && c.height > 0 &&
  c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((byte) => byte > 0)).length`;

/** Bytes of the live stream in some seconds. */
async function bytesOf(url: string, path: string, more: { readonly cookie: string; readonly forMs: number }): Promise<number> {
  let bytes = 0;
  let pictureBytes = 0;
  const sent = request(new URL(path, url), { headers: more.cookie === "" ? {} : { cookie: more.cookie } }, (response) => {
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
  });
  sent.on("error", () => undefined);
  sent.end();
  // The picture is the beginning, not the stream.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  pictureBytes = bytes;
  await new Promise((resolve) => setTimeout(resolve, more.forMs));
  sent.destroy();
  return bytes - pictureBytes;
}

/** Seconds of processor that a process has used. Source: proc(5), stat, fields 14 and 15 in hundredths. */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

describe.skipIf(!chromiumIsThere)("the wall of fifty beds", () => {
  const openStage = stageInChromium();

  test("fifty beds with a hundred waves show over 30 frames a second, or the page says that it draws less", async ({
    onTestFinished,
  }) => {
    const { ward, begin } = createWallWard({ beds: BEDS });
    const { open } = await openStage(onTestFinished, { ward });
    onTestFinished(begin());
    const page = await open("/", { width: 1920, height: 1080 });
    await turnSoundOn(page);
    await until("all strips are drawn", async () => (await page.evaluate<number>(drawnStrips)) === BEDS, 20_000);
    const { perSecond, longestGapMs, longestTaskMs } = await frames(page);
    const paceNotes = await page.locator("[data-testid=pace]").allInnerTexts();
    tell(
      `${perSecond.toFixed(1)} frames a second with ${BEDS} beds and ${2 * BEDS} waves, longest time between two ${Math.round(longestGapMs)} ms, ` +
        `longest task ${Math.round(longestTaskMs)} ms${paceNotes.length > 0 ? `; the page says: ${paceNotes.join()}` : ""}`,
    );
    expect(perSecond > 30 || paceNotes.length > 0, `${perSecond} frames a second, and nothing is said`).toBe(true);
    // Numbers go on whatever becomes of the waves.
    const numbers = () =>
      page.evaluate<string>(`[...document.querySelectorAll(".small-value__number")].map((one) => one.textContent).join()`);
    const before = await numbers();
    await expect.poll(numbers, { timeout: 5000 }).not.toBe(before);
  }, 120_000);

  describe("of a whole gateway", () => {
    const stage = stageOfEachTest();

    test("its waves cost little, and when it hangs both the wall and a bed's page say so within five seconds", async ({
      onTestFinished,
    }) => {
      const ward = await openSettableWard(BEDS);
      stage().defer(() => ward.close());
      const port = await freePort();
      const files = await writeConfig(stage(), { ward, pagePort: port });
      const gateway = await runSupervised(stage(), files);
      await admitWard(files, ward);
      const { open } = await openStage(onTestFinished);
      const said = () => [...gateway.supervisor.stdout, ...gateway.supervisor.stderr].join("\n");
      const link = await until("the link to the first account", () => /http\S+#\/first\/\S+/.exec(said())?.[0], 10_000);
      const wall = await open(link.replace(/[".,]+$/, ""), { width: 1920, height: 1080 });
      for (const [name, value] of [
        ["name", "administrator"],
        ["password", PAGE_PASSWORD],
        ["again", PAGE_PASSWORD],
      ] as const)
        await wall.fill(`[name=${name}]`, value);
      await wall.click("[type=submit]");
      await wall.click("[data-testid=heard]");
      await until("all strips are drawn", async () => (await wall.evaluate<number>(drawnStrips)) === BEDS, 40_000);
      const { perSecond, longestTaskMs } = await frames(wall);
      tell(
        `${perSecond.toFixed(1)} frames a second, longest task ${Math.round(longestTaskMs)} ms with ${BEDS} monitors of a whole gateway`,
      );

      const bed = await wall.context().newPage();
      await wall.goto(`http://127.0.0.1:${port}/#/alerts`);
      const cookies = await wall.context().cookies();
      const cookie = cookies.map((one) => `${one.name}=${one.value}`).join("; ");
      const cost = async (path: string) => {
        const pid = gateway.gatewayPid();
        const beforeSeconds = processorSeconds(pid);
        const beforeMs = performance.now();
        const bytes = await bytesOf(`http://127.0.0.1:${port}/`, path, { cookie, forMs: MEASURED_MS });
        return {
          bytesPerSecond: bytes / (MEASURED_MS / 1000),
          share: ((processorSeconds(pid) - beforeSeconds) * 1000) / (performance.now() - beforeMs),
        };
      };
      const without = await cost("/api/stream");
      const withWaves = await cost("/api/stream?waves=all");
      const wavesBytes = withWaves.bytesPerSecond - without.bytesPerSecond;
      tell(
        `a page with ${2 * BEDS} waves gets ${Math.round(withWaves.bytesPerSecond / 1000)} kB/s, ${Math.round(wavesBytes / 1000)} of them waves; the gateway takes ` +
          `${withWaves.share.toFixed(3)} of a core, ${without.share.toFixed(3)} without waves`,
      );
      expect(wavesBytes).toBeGreaterThan(5000);
      expect(wavesBytes).toBeLessThan(80_000);

      await wall.goto(`http://127.0.0.1:${port}/#/`);
      await bed.goto(`http://127.0.0.1:${port}/#/bed/bed-7`);
      await wall.waitForSelector("[data-bed=bed-50]");
      await bed.waitForSelector("main[data-bed=bed-7]");
      for (const page of [wall, bed]) expect(await page.locator("[data-testid=stale]").count()).toBe(0);
      const pid = gateway.gatewayPid();
      process.kill(pid, "SIGSTOP");
      const frozenAtMs = Date.now();
      const staleMs = async (page: Page) => {
        await page.waitForSelector("[data-testid=stale]", { timeout: 9000 });
        return Date.now() - frozenAtMs;
      };
      const told = await Promise.all([wall, bed].map(staleMs));
      process.kill(pid, "SIGCONT");
      tell(`a gateway that hangs is told after ${told.map((ms) => `${(ms / 1000).toFixed(1)} s`).join(" (wall) and ")} (bed)`);
      for (const ms of told) expect(ms).toBeLessThan(5000);
      expect(await text(wall, "[data-testid=stale]")).toContain("Look at the bedside.");
      for (const page of [wall, bed]) await page.waitForSelector("[data-testid=stale]", { state: "detached", timeout: 20_000 });
    }, 200_000);
  });
});
