import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import type { NudgedDeviceView } from "../src/core/demonstration.ts";
import { bedId, deviceId, patientId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { BedView } from "../src/core/stream.ts";
import { startDashboard } from "../src/dashboard/server/dashboard.ts";
import { type ControlHandler, openControlSocket } from "../src/gateway/control-socket.ts";
import { createDemonstrationDesk } from "../src/gateway/demonstration-desk.ts";
import { type OfferedNudges, openScriptedDemonstration } from "./support/scripted-demonstration.ts";
import { bedView, createScriptedWard, deviceView, type ScriptedWard } from "./support/scripted-ward.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const OFFERED: OfferedNudges = {
  "monitor-1": { patient: ["well", "bleeding"], cable: ["in", "out"] },
  "monitor-2": { cable: ["in", "out"] },
  "monitor-3": { cable: ["in", "out"] },
  "monitor-4": { cable: ["in", "out"] },
  "nowhere-5": { cable: ["in", "out"] },
};

/** Simulated on a demonstration; measuring beside a demonstration; simulated beside a real patient; replayed beside an empty bed. */
function mixedWard(): ScriptedWard {
  const nowMs = Date.now();
  const bed = (
    number: number,
    origin: "simulated" | "measured" | "replayed",
    patient: "demonstration" | "real" | "none",
  ): BedView => {
    const id = `bed-${number}`;
    const view = bedView(id, nowMs, { devices: [deviceView(`monitor-${number}`, { bedId: bedId(id), origin })] });
    const who = view.patient === null ? null : { ...view.patient, demonstration: patient === "demonstration" };
    return { ...view, patient: patient === "none" ? null : who };
  };
  return createScriptedWard({
    nowMs: Date.now,
    beds: [
      bed(1, "simulated", "demonstration"),
      bed(2, "measured", "demonstration"),
      bed(3, "simulated", "real"),
      bed(4, "replayed", "none"),
    ],
  });
}

const nudge = (id: string, name = "cable", choice = "out") => ({ deviceId: deviceId(id), name, choice });

async function openMixed() {
  const ward = mixedWard();
  const demonstration = await openScriptedDemonstration(OFFERED, ward.source.picture);
  cleanups.push(demonstration.close);
  return { ward, ...demonstration };
}

describe("the desk between the pages and the simulated devices", () => {
  test("only what measures nobody and lies with no real patient is told of and handed on", async () => {
    const { source, applied } = await openMixed();
    const devices = await source.devices();
    expect(devices.ok && devices.value.map((device) => [device.deviceId, device.bedId])).toEqual([
      ["monitor-1", "bed-1"],
      ["monitor-4", "bed-4"],
    ]);
    const answers = await Promise.all(
      ["monitor-1", "monitor-2", "monitor-3", "monitor-4", "nowhere-5", "unknown"].map((id) =>
        source.nudge({ deviceId: deviceId(id), name: "cable", choice: "out" }),
      ),
    );
    const unknown = { ok: false, error: { code: "nudge-refused", facts: { why: "nudge-unknown-device" } } };
    expect(answers).toEqual([{ ok: true, value: undefined }, unknown, unknown, { ok: true, value: undefined }, unknown, unknown]);
    expect(applied.sort()).toEqual(["monitor-1 cable out", "monitor-4 cable out"]);
  });

  test("a patient who is admitted as a real one takes the device out of reach at once", async () => {
    const { source, ward } = await openMixed();
    expect(source.bedOf(deviceId("monitor-1"))).toBe("bed-1");
    const bed = ward.bed("bed-1");
    ward.setBed({ ...bed, patient: bed.patient === null ? null : { ...bed.patient, demonstration: false } });
    expect(source.bedOf(deviceId("monitor-1"))).toBe(null);
    expect(await source.nudge({ deviceId: deviceId("monitor-1"), name: "cable", choice: "out" })).toMatchObject({ ok: false });
  });

  test("the socket is its user's alone; what is no change is refused there, and the next one is heard", async () => {
    const { source, socketFile, applied } = await openMixed();
    expect((await stat(socketFile)).mode & 0o777).toBe(0o600);
    for (const [text, answer] of [
      ["nonsense\n", { ok: false, error: { kind: "bad-request" } }],
      ['{"name":"nudge","body":{"deviceId":"monitor-1","name":"value","choice":"99"}}\n', { ok: false, error: "bad-request" }],
      ['{"name":"picture","body":null}\n', { ok: false, error: "bad-request" }],
    ] as const) {
      const said = await new Promise<string>((resolve) => {
        let given = "";
        const client = connect(socketFile).setEncoding("utf8");
        client.on("data", (chunk: string) => {
          given += chunk;
        });
        client.on("close", () => resolve(given));
        client.write(text);
      });
      expect(JSON.parse(said)).toEqual(answer);
    }
    expect((await source.nudge({ deviceId: deviceId("monitor-1"), name: "patient", choice: "bleeding" })).ok).toBe(true);
    expect(applied).toEqual(["monitor-1 patient bleeding"]);
  });

  test("a world that is gone is a fault, and is found again when it is back", async () => {
    const { source, die, revive } = await openMixed();
    await die();
    for (const answer of [
      await source.devices(),
      await source.nudge({ deviceId: deviceId("monitor-1"), name: "cable", choice: "out" }),
    ])
      expect(answer).toMatchObject({ ok: false, error: { code: "demonstration-gone" } });
    await revive();
    expect((await source.devices()).ok).toBe(true);
  });

  test.each([
    ["a number", 7],
    ["nothing", null],
    ["no devices", { ok: true }],
    ["devices that are half understood", { ok: true, devices: [{ deviceId: "monitor-1", nudges: [{ name: "value" }] }] }],
    ["a reason nobody knows", { ok: false, error: "because" }],
  ])("a world that answers %s counts as gone", async (_what, answer) => {
    const ward = mixedWard();
    const folder = await mkdtemp(join(tmpdir(), "vigil-world-"));
    const socketFile = join(folder, "nudge.sock");
    const handle: ControlHandler = async () => answer;
    const opened = await openControlSocket(socketFile, handle);
    cleanups.push(async () => {
      if (opened.ok) await opened.value.close();
      await rm(folder, { recursive: true });
    });
    const desk = createDemonstrationDesk({ socketFile, clock: createSystemClock(), picture: ward.source.picture });
    expect(await desk.devices()).toMatchObject({ ok: false, error: { code: "demonstration-gone", facts: { why: "answer" } } });
    const nudged = await desk.nudge({ deviceId: deviceId("monitor-1"), name: "cable", choice: "out" });
    expect(nudged).toMatchObject(
      answer !== null && typeof answer === "object" && answer.ok
        ? { ok: true }
        : { ok: false, error: { code: "demonstration-gone" } },
    );
  });
});

describe("the routes", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "vigil-routes-"));
    await mkdir(join(folder, "web"));
    await writeFile(join(folder, "web", "index.html"), "<!doctype html><title>Vigil</title>");
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function servePage(ward: ScriptedWard, demonstration?: Awaited<ReturnType<typeof openMixed>>["source"]) {
    const options = { host: "127.0.0.1", port: 0, dataFolder: folder, webFolder: join(folder, "web"), signIn: false };
    const parts = { clock: createSystemClock(), source: ward.source, perform: ward.perform, random: randomBytes };
    const started = await startDashboard(options, { ...parts, ...(demonstration === undefined ? {} : { demonstration }) });
    if (!started.ok) throw new Error(JSON.stringify(started.error));
    cleanups.push(started.value.close);
    const { url } = started.value;
    const headers = { "content-type": "application/json", "x-vigil-page": "1", origin: new URL(url).origin };
    return {
      get: async (path: string) => {
        const answer = await fetch(new URL(path, url));
        return {
          status: answer.status,
          body: (await answer.json()) as { readonly demonstration?: boolean; readonly devices?: readonly NudgedDeviceView[] },
        };
      },
      post: async (body: string, more: Readonly<Record<string, string>> = headers) => {
        const answer = await fetch(new URL("/api/demonstration/nudge", url), { method: "POST", headers: more, body });
        return { status: answer.status, body: await answer.json() };
      },
      origin: headers.origin,
    };
  }

  test("a gateway that is no demonstration has none of them, and its pages are told so", async () => {
    const page = await servePage(mixedWard());
    expect((await page.get("/api/demonstration")).status).toBe(404);
    expect((await page.post(JSON.stringify(nudge("monitor-1")))).status).toBe(404);
    expect((await page.get("/api/session")).body.demonstration).toBe(false);
  });

  test("in the demonstration a change goes through, and what is none, another site's or unknown does not", async () => {
    const { ward, source, applied } = await openMixed();
    const page = await servePage(ward, source);
    expect((await page.get("/api/session")).body.demonstration).toBe(true);
    expect(await page.post(JSON.stringify(nudge("monitor-1")))).toEqual({ status: 200, body: { ok: true } });
    const shown = await page.get("/api/demonstration");
    expect(shown.body.devices?.[0]?.nudges[1]).toMatchObject({ name: "cable", now: "out" });
    for (const bad of ["null", "[]", '"out"', '{"deviceId":"monitor-1"}', JSON.stringify(nudge("monitor-1", "heartRate", "0"))])
      expect((await page.post(bad)).status, bad).toBe(400);
    expect((await page.post("{")).status).toBe(400);
    expect((await page.post(JSON.stringify(nudge("x".repeat(LIMITS.pageBodyBytesMax.value))))).status).toBe(413);
    const json = { "content-type": "application/json" };
    const own = { "x-vigil-page": "1", origin: page.origin };
    for (const headers of [json, { ...json, ...own, origin: "http://evil.example" }, { ...own, "content-type": "text/plain" }])
      expect((await page.post(JSON.stringify(nudge("monitor-1", "cable", "in")), headers)).status).toBe(403);
    for (const other of ["monitor-2", "monitor-3", "unknown"])
      expect(await page.post(JSON.stringify(nudge(other)))).toMatchObject({
        status: 409,
        body: { error: { code: "nudge-refused", facts: { why: "nudge-unknown-device" } } },
      });
    expect(await page.post(JSON.stringify(nudge("monitor-1", "power", "off")))).toMatchObject({
      status: 409,
      body: { error: { facts: { why: "nudge-unknown-choice" } } },
    });
    expect(applied).toEqual(["monitor-1 cable out"]);
  });

  test("a world that is gone is said with its remedy", async () => {
    const { ward, source, die } = await openMixed();
    const page = await servePage(ward, source);
    await die();
    for (const answer of [await page.get("/api/demonstration"), await page.post(JSON.stringify(nudge("monitor-1")))])
      expect(answer).toMatchObject({
        status: 503,
        body: { error: { code: "demonstration-gone" }, title: { zh: "演示设备无应答" } },
      });
  });
});

test("a patient is not named in what is told of the devices", async () => {
  const { source } = await openMixed();
  expect(JSON.stringify(await source.devices())).not.toContain(String(patientId("patient-of")));
});
