import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../../config/load.ts";
import { createSystemClock } from "../../src/clock.ts";
import type { PictureView } from "../../src/core/stream.ts";
import { askGateway } from "../../src/gateway/control-socket.ts";
import { makeFirstAccount } from "../support/signed-page.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { until } from "../support/until.ts";

/** From what a person chooses to the alert: two seconds, the lungs, the monitor's average, the alert's delay; about 30 s on a quiet machine. */
const WORSE_MS_MAX = 90_000;
const WELL_MS_MAX = 120_000;
/** Until a link is known to be lost, and until the next attempt finds it again. */
const LINK_MS_MAX = 25_000;
const SATURATION = "limit.oxygenSaturation.low";

const stage = stageOfEachTest();

test("what a person changes on the page goes through the simulated body, or its link, to an alert at the bed, and back", {
  timeout: 300_000,
}, async () => {
  const folder = join(stage().folder, "demo");
  const demo = stage().program(["npm", "start"], { VIGIL_DEMO_FOLDER: folder });
  const link = await until(
    "the one-time link is printed",
    () => demo.stdout.map((line) => /^sign in once.* (http\S+)$/.exec(line)?.[1]).find((found) => found !== undefined),
    30_000,
  );
  const page = await makeFirstAccount(link);
  const picture = async (): Promise<PictureView | null> => {
    const answer = await askGateway(join(folder, "control.sock"), { name: "picture", body: null }, createSystemClock());
    return answer.ok ? (answer.value as PictureView) : null;
  };
  const linkOf = async (bed: number) => (await picture())?.beds[bed]?.devices[0]?.link;
  const hasAlert = async (rule: string, about: { readonly patientId?: string; readonly deviceId?: string }) =>
    (await picture())?.alerts.some(
      (alert) => alert.rule === rule && Object.entries(about).every(([field, id]) => alert.subject[field as "patientId"] === id),
    );
  const alarms = () => hasAlert(SATURATION, { patientId: "demo-stable" });
  const isMissed = () => hasAlert("silence.device", { deviceId: "clip-3" });
  const nudge = async (deviceId: string, name: string, choice: string) => {
    const answer = await page.post("/api/demonstration/nudge", { deviceId, name, choice });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  };
  const config = await loadConfig(join(folder, "config.yaml"));
  const socketFile = config.ok ? config.value.demonstration?.socketFile : undefined;
  expect((await stat(socketFile ?? "")).mode & 0o777).toBe(0o600);

  await until("the stable patient is measured", async () =>
    (await picture())?.beds[3]?.numbers.some(
      ({ quantity, content }) => quantity === "oxygenSaturation" && content.state === "present",
    ),
  );
  await until("the recording is read", async () => (await linkOf(0)) === "up");
  expect(await alarms()).toBe(false);
  await nudge("monitor-4", "patient", "breathing-fails");
  await nudge("ivy-recorded", "cable", "out");
  await nudge("clip-3", "power", "off");
  await until("the pulled cable is noticed", async () => (await linkOf(0)) === "down", LINK_MS_MAX);
  await until("the clip that is switched off is missed", isMissed, LINK_MS_MAX);
  await until("the patient who was well alarms", alarms, WORSE_MS_MAX);

  await nudge("monitor-4", "patient", "well");
  await nudge("ivy-recorded", "cable", "in");
  await nudge("clip-3", "power", "on");
  await until("the cable is found again", async () => (await linkOf(0)) === "up", LINK_MS_MAX);
  await until("the clip is heard again", async () => (await isMissed()) === false, LINK_MS_MAX);
  await until("the patient who is well again alarms no more", async () => (await alarms()) === false, WELL_MS_MAX);

  // Nothing but the cable can be changed of a recording.
  const { body } = await page.get("/api/demonstration");
  expect(body["devices"]).toContainEqual(
    expect.objectContaining({ deviceId: "ivy-recorded", nudges: [expect.objectContaining({ name: "cable", now: "in" })] }),
  );
  const refused = await page.post("/api/demonstration/nudge", { deviceId: "ivy-recorded", name: "patient", choice: "bleeding" });
  expect(refused.status).toBe(409);
  demo.signalGroup("SIGINT");
  await demo.exited;
});
