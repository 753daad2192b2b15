import { join } from "node:path";
import { expect, test } from "vitest";
import { createSystemClock } from "../../src/clock.ts";
import type { PictureView } from "../../src/core/stream.ts";
import { askGateway } from "../../src/gateway/control-socket.ts";
import { type Program, stageOfEachTest } from "../support/stage.ts";
import { pause, until } from "../support/until.ts";

/** From the start to a page that answers; the pages are built before, as `npm ci` and the first start have done. */
const PAGE_MS_MAX = 10_000;
const CONFIRMED_MS_MAX = 120_000;
/** From Ctrl-C to the end of the last process. */
const STOP_MS_MAX = 3000;

const stage = stageOfEachTest();

function demoFolder(): string {
  return join(stage().folder, "demo");
}

/** `npm start`, as a person types it, with another folder than the one of that person. */
function npmStart(): Program {
  return stage().program(["npm", "start"], { VIGIL_DEMO_FOLDER: demoFolder() });
}

async function demoPicture(): Promise<PictureView | null> {
  const answer = await askGateway(join(demoFolder(), "control.sock"), { name: "picture", body: null }, createSystemClock());
  return answer.ok ? (answer.value as PictureView) : null;
}

/** Waits for the line with the page's address and for an answer there. */
async function pageAnswers(demo: Program, withinMs: number): Promise<string> {
  const url = await until(
    "the page's address is printed",
    () => demo.stdout.map((line) => /^page (http:\S+)/.exec(line)?.[1]).find((found) => found !== undefined),
    withinMs,
  );
  const answer = await until("the page answers", () => fetch(url).catch(() => null), 2000);
  expect(answer.status).toBe(200);
  expect(await answer.text()).toContain("<title>");
  return url;
}

/** Ctrl-C at the terminal, and nothing is left after it. */
async function controlC(demo: Program): Promise<void> {
  const askedMs = performance.now();
  demo.signalGroup("SIGINT");
  await until(
    `everything has ended; left: ${JSON.stringify(stage().processes())}`,
    () => stage().processes().length === 0,
    STOP_MS_MAX + 5000,
  );
  expect(performance.now() - askedMs).toBeLessThanOrEqual(STOP_MS_MAX);
}

/** What a person would read as trouble: everything on standard error but npm's own warnings, the supervisor's lines and the bell. */
function complaints(demo: Program): readonly string[] {
  return demo.stderr.filter(
    (line) => !/^(npm (warn|notice)|\{"supervisor":)/.test(line) && line.replaceAll("\u0007", "").trim() !== "",
  );
}

test("npm start shows a page within 10 s and a confirmed physiological alert within 120 s; Ctrl-C ends it; it goes on where it stopped", {
  timeout: 240_000,
}, async () => {
  const startedMs = performance.now();
  const demo = npmStart();
  const url = await pageAnswers(demo, PAGE_MS_MAX);
  expect(performance.now() - startedMs).toBeLessThanOrEqual(PAGE_MS_MAX);
  // Nobody has an account yet: the way in is printed.
  expect(demo.stdout.some((line) => line.includes(url.replace(/\/$/, "")) && line.startsWith("sign in once"))).toBe(true);

  const key = await until(
    "an alert is confirmed",
    () => demo.stdout.map((line) => /^alert confirmed (\S+)/.exec(line)?.[1]).find((found) => found !== undefined),
    CONFIRMED_MS_MAX - (performance.now() - startedMs),
  );
  const first = await until("the gateway answers", demoPicture);
  expect(first.alerts.filter((alert) => alert.nature === "physiological")).not.toEqual([]);
  expect(key).toMatch(new RegExp(`^demo/${first.gateway.epoch}/\\d+$`));
  expect(first.beds.map((bed) => bed.patient?.patientId)).toEqual(["demo-recorded", "demo-worse", "demo-clip", "demo-stable"]);
  // The first may be the recorded patient's, who breathes 35 times a minute; the one who gets worse alarms in that time too.
  await until(
    "the patient who gets worse alarms",
    async () =>
      (await demoPicture())?.alerts.some((alert) => alert.nature === "physiological" && alert.subject.patientId === "demo-worse"),
    CONFIRMED_MS_MAX - (performance.now() - startedMs),
  );
  expect(complaints(demo)).toEqual([]);
  await controlC(demo);

  const again = npmStart();
  await pageAnswers(again, PAGE_MS_MAX);
  const second = await until("the gateway answers again", demoPicture);
  expect(second.gateway.epoch).toBe(first.gateway.epoch);
  expect(second.beds.map((bed) => bed.patient?.patientId)).toEqual(["demo-recorded", "demo-worse", "demo-clip", "demo-stable"]);
  // The admissions have been tried again by now.
  await pause(4000);
  expect(complaints(again)).toEqual([]);
  expect(again.stdout.filter((line) => /refused|already|ok":false/.test(line))).toEqual([]);
  // The recorded patient, who cannot have changed, is being measured again.
  const measured = await until("the recording is read again", async () => {
    const bed = (await demoPicture())?.beds[0];
    return bed?.numbers.find((number) => number.quantity === "heartRate" && number.measuredAtMs > second.gateway.startedAtMs);
  });
  expect(measured.content).toEqual({ state: "present", value: 80 });
  await controlC(again);
});
