import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import type { PictureView, StreamMessage } from "../src/core/stream.ts";
import { type Dashboard, startDashboard } from "../src/dashboard/server/dashboard.ts";
import { createOneTimeToken } from "../src/dashboard/server/sessions.ts";
import { freshnessOf } from "../src/dashboard/web/state/ward.ts";
import { say } from "../src/dashboard/web/words/texts.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

const HOUR_MS = 3_600_000;
const WELL = { heartRate: 72, respiratoryRate: 15, oxygenSaturation: 97 };

let folder = "";
let dashboard: Dashboard | null = null;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-time-"));
  await writeFile(join(folder, "index.html"), "<!doctype html><title>Vigil</title>");
});
afterEach(async () => {
  await dashboard?.close();
  await rm(folder, { recursive: true, force: true });
});

async function serve(ward: SmallWard): Promise<Dashboard> {
  const started = await startDashboard(
    { host: "127.0.0.1", port: 0, dataFolder: join(folder, "data"), webFolder: folder, signIn: false },
    { clock: ward.clock, source: ward.gateway.source, perform: ward.gateway.perform, random: randomBytes },
  );
  if (!started.ok) throw new Error(JSON.stringify(started.error));
  dashboard = started.value;
  return started.value;
}

/** A page that listens; `next` waits until so many more messages have come. */
function listen(from: Dashboard) {
  const messages: StreamMessage[] = [];
  const sent = request(new URL("/api/stream", from.url), (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const [kind, data] = text.slice(0, end).split("\ndata: ");
        messages.push({ kind: (kind ?? "").slice("event: ".length), ...JSON.parse(data ?? "{}") } as StreamMessage);
        text = text.slice(end + 2);
      }
    });
  });
  sent.on("error", () => undefined);
  sent.end();
  return { messages, close: () => sent.destroy() };
}

const pictureOf = (message: StreamMessage | undefined): PictureView | null =>
  message?.kind === "picture" ? message.picture : null;

describe("an open page when the gateway's clock is set", () => {
  test.each([
    ["back by three hours", -3 * HOUR_MS],
    ["forward by an hour", HOUR_MS],
    ["by half a second", 500],
  ])("%s: a whole picture by the new time comes before any pulse of it, and what was fresh is fresh", async (_, stepMs) => {
    const ward = await startSmallWard();
    ward.link("monitor-1").up();
    await ward.admit(1);
    await ward.stream("monitor-1", 3, WELL);
    const page = listen(await serve(ward));
    await expect.poll(() => page.messages.length).toBeGreaterThan(0);
    const before = ward.clock.wall();
    ward.clock.stepWall(stepMs);
    await ward.stream("monitor-1", 2, WELL);
    await expect.poll(() => page.messages.filter(({ kind }) => kind === "pulse").length, { timeout: 5000 }).toBeGreaterThan(0);
    page.close();
    const ofTime = page.messages.filter((message) => message.kind === "pulse" || message.kind === "picture").slice(1);
    const picture = pictureOf(ofTime[0]);
    expect(picture?.nowMs).toBeGreaterThanOrEqual(before + stepMs);
    const numbers = (picture?.beds[0]?.numbers ?? []).filter(({ content }) => content.state === "present");
    expect(numbers.length).toBeGreaterThan(0);
    for (const number of numbers) {
      expect(freshnessOf(number, picture?.nowMs ?? 0), number.quantity).toBe("fresh");
      expect(Math.abs((picture?.nowMs ?? 0) - number.measuredAtMs)).toBeLessThanOrEqual(2000);
    }
  });

  test("by less than half a second: pulses go on", async () => {
    const ward = await startSmallWard();
    const page = listen(await serve(ward));
    await expect.poll(() => page.messages.length).toBeGreaterThan(0);
    ward.clock.stepWall(-499);
    await ward.clock.advance(3000);
    await expect.poll(() => page.messages.filter(({ kind }) => kind === "pulse").length, { timeout: 5000 }).toBe(3);
    page.close();
    expect(page.messages.filter(({ kind }) => kind === "picture").length).toBe(1);
  });
});

test("the wall says in both languages that the clock is not trusted", () => {
  expect(say("en", "clockUntrusted")).toContain("NOT TRUSTED");
  expect(say("zh", "clockUntrusted")).toContain("时钟不可信");
});

test("an answer's inputs keep their age when the clock is set", async () => {
  const ward = await startSmallWard();
  ward.link("monitor-1").up();
  await ward.admit(1);
  await ward.stream("monitor-1", 10, WELL);
  const ages = () => {
    const { nowMs, beds } = ward.gateway.source.picture();
    const answer = beds[0]?.answers[0]?.answer;
    if (answer?.kind !== "score") throw new Error("there is a score");
    return answer.parts.flatMap(({ atMs }) => (atMs === null ? [] : [nowMs - atMs]));
  };
  const before = ages();
  expect(before.length).toBeGreaterThan(0);
  ward.clock.stepWall(-3 * HOUR_MS);
  expect(ages()).toEqual(before);
});

test("a one-time link is good for an hour of running time, not of the wall clock", async () => {
  const clock = createSimulatedClock();
  const token = createOneTimeToken({ clock, random: randomBytes });
  clock.stepWall(50 * 365 * 24 * HOUR_MS);
  expect(token.fits(token.token)).toBe(true);
  clock.stepWall(-60 * 365 * 24 * HOUR_MS);
  await clock.advance(HOUR_MS - 1);
  expect(token.fits(token.token)).toBe(true);
  await clock.advance(1);
  expect(token.fits(token.token)).toBe(false);
});
