import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { deviceId, patientId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { ThinWaveView } from "../src/core/stream.ts";
import { type Dashboard, startDashboard } from "../src/dashboard/server/dashboard.ts";
import { bedView, createScriptedWard, type ScriptedWard } from "./support/scripted-ward.ts";

const PASSWORD = "correct horse 9";
const closing: (() => Promise<void> | void)[] = [];
let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-wall-"));
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(folder, { recursive: true, force: true });
});

async function start(ward: ScriptedWard, signIn = false): Promise<Dashboard> {
  const started = await startDashboard(
    { host: "127.0.0.1", port: 0, dataFolder: folder, webFolder: folder, signIn },
    { clock: createSystemClock(), source: ward.source, perform: ward.perform, random: randomBytes },
  );
  if (!started.ok) throw new Error(started.error.code);
  closing.push(() => started.value.close());
  return started.value;
}

/** Beds 1 to n; the odd ones in ward East. */
function wardOf(count: number): ScriptedWard {
  const nowMs = Date.now();
  const beds = Array.from({ length: count }, (_, index) =>
    bedView(`bed-${index + 1}`, nowMs, { ward: index % 2 === 0 ? "East" : "West" }),
  );
  return createScriptedWard({ nowMs: Date.now, beds });
}

function thinWave(bed: string, firstSampleIndex = 0): ThinWaveView {
  return {
    bedId: bed as ThinWaveView["bedId"],
    deviceId: deviceId("monitor-1"),
    waveform: "ecgLeadII",
    origin: "measured",
    sampleRateHz: 50,
    firstSampleIndex,
    low: -1,
    step: 0.01,
    samples: [0, 7, 200, 31],
  };
}

/** Reads the live stream as it comes. */
function listen(dashboard: Dashboard, path: string, cookie = "") {
  const events: { readonly kind: string; readonly data: Record<string, unknown> }[] = [];
  let status = 0;
  let bytes = 0;
  const sent = request(new URL(path, dashboard.url), { headers: cookie === "" ? {} : { cookie } }, (response) => {
    status = response.statusCode ?? 0;
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      bytes += chunk.length;
      text += chunk;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const [kind, data] = text.slice(0, end).split("\ndata: ");
        events.push({ kind: (kind ?? "").slice("event: ".length), data: JSON.parse(data ?? "") });
        text = text.slice(end + 2);
      }
    });
  });
  sent.on("error", () => undefined);
  sent.end();
  closing.push(() => void sent.destroy());
  const waves = () =>
    events.filter(({ kind }) => kind === "thin-waves").flatMap(({ data }) => data["waves"] as readonly ThinWaveView[]);
  return { events, waves, status: () => status, byteCount: () => bytes, close: () => sent.destroy() };
}

async function signIn(
  dashboard: Dashboard,
  name: string,
  role: "administrator" | "family",
  patient: string | null,
): Promise<string> {
  const account = {
    verb: "add",
    name,
    password: PASSWORD,
    role,
    patientId: patient === null ? null : patientId(patient),
  } as const;
  expect(await dashboard.users(account, { userId: "test", role: null, from: "command-line" })).toMatchObject({ ok: true });
  const answer = await fetch(new URL("/api/sign-in", dashboard.url), {
    method: "POST",
    headers: { "content-type": "application/json", "x-vigil-page": "1", origin: dashboard.url.slice(0, -1) },
    body: JSON.stringify({ name, password: PASSWORD }),
  });
  expect(answer.status, await answer.text()).toBe(200);
  return (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
}

test("a wall hears the thinned waves of the beds it asked for, in few messages; a page that did not ask hears none", async () => {
  const ward = wardOf(4);
  const dashboard = await start(ward);
  const plain = listen(dashboard, "/api/stream");
  const whole = listen(dashboard, "/api/stream?waves=all");
  const east = listen(dashboard, "/api/stream?waves=ward&ward=East");
  await expect.poll(() => [plain, whole, east].every((page) => page.events.length > 0)).toBe(true);
  expect(ward.bedsWatchedForThinWaves().toSorted()).toEqual(["bed-1", "bed-2", "bed-3", "bed-4"]);
  for (const bed of ["bed-1", "bed-2", "bed-3", "bed-4"]) ward.sendThinWaves(bed, [thinWave(bed), thinWave(bed, 4)]);
  await expect.poll(() => whole.waves().length).toBe(8);
  await expect.poll(() => east.waves().map((wave) => wave.bedId)).toEqual(["bed-1", "bed-1", "bed-3", "bed-3"]);
  expect(whole.waves()[1]).toEqual(thinWave("bed-1", 4));
  expect(whole.events.filter(({ kind }) => kind === "thin-waves")).toHaveLength(1);
  expect(plain.waves()).toEqual([]);
  whole.close();
  await expect.poll(() => ward.bedsWatchedForThinWaves()).toEqual(["bed-1", "bed-3"]);
  east.close();
  await expect.poll(() => ward.bedsWatchedForThinWaves()).toEqual([]);
});

test("a wall of as many beds as the bound gets its waves; one with more goes on without; a word that means nothing is refused", async () => {
  const most = LIMITS.pageThinBedsMax.value;
  const ward = wardOf(most);
  const few = await start(ward);
  const page = listen(few, "/api/stream?waves=all");
  await expect.poll(() => page.status()).toBe(200);
  expect(ward.bedsWatchedForThinWaves()).toHaveLength(most);
  expect((await fetch(new URL("/api/stream?waves=some", few.url))).status).toBe(400);
  await few.close();
  const large = wardOf(most + 1);
  const many = await start(large);
  const whole = listen(many, "/api/stream?waves=all");
  await expect.poll(() => whole.events.map(({ kind }) => kind)).toContain("picture");
  expect(large.bedsWatchedForThinWaves()).toEqual([]);
  const half = listen(many, "/api/stream?waves=ward&ward=East");
  await expect.poll(() => half.status()).toBe(200);
  expect(large.bedsWatchedForThinWaves()).toHaveLength((most + 2) / 2);
});

test("a family hears the waves of its own patient's bed and of no other, and of none once the patient lies elsewhere", async () => {
  const ward = wardOf(3);
  const dashboard = await start(ward, true);
  const staff = listen(dashboard, "/api/stream?waves=all", await signIn(dashboard, "li", "administrator", null));
  const family = listen(dashboard, "/api/stream?waves=all", await signIn(dashboard, "son", "family", "patient-of-bed-2"));
  await expect.poll(() => staff.events.length > 0 && family.events.length > 0).toBe(true);
  const send = () => {
    for (const bed of ["bed-1", "bed-2", "bed-3"]) ward.sendThinWaves(bed, [thinWave(bed)]);
  };
  send();
  await expect.poll(() => staff.waves().length).toBe(3);
  await expect.poll(() => family.waves().map((wave) => wave.bedId)).toEqual(["bed-2"]);
  const { patient } = ward.bed("bed-2");
  ward.setBed({ ...ward.bed("bed-2"), patient: null });
  ward.setBed({ ...ward.bed("bed-3"), patient });
  send();
  await expect.poll(() => staff.waves().length).toBe(6);
  expect(family.waves().map((wave) => wave.bedId)).toEqual(["bed-2"]);
});

test("a page that does not read loses waves before numbers, and is cut off as ever; the others go on", async () => {
  const ward = wardOf(2);
  const dashboard = await start(ward);
  const reader = listen(dashboard, "/api/stream?waves=all");
  const { hostname, port } = new URL(dashboard.url);
  const slow = connect(Number(port), hostname);
  closing.push(() => void slow.destroy());
  let closed = false;
  let heard = "";
  slow.setEncoding("utf8").on("data", (text: string) => {
    heard += text;
  });
  slow.on("close", () => {
    closed = true;
  });
  slow.on("error", () => undefined);
  slow.write("GET /api/stream?waves=all HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await expect.poll(() => heard.includes("event: picture") && reader.events.length > 0).toBe(true);
  slow.pause();
  // Waves of 8 MB: more than the sockets hold, and than a page may leave unread.
  const samples = Array.from({ length: 100_000 }, (_, index) => index % 250);
  for (let sent = 0; sent < 20; sent++) {
    ward.sendThinWaves("bed-1", [{ ...thinWave("bed-1", sent * 100_000), samples }]);
    await expect.poll(() => reader.waves().length, { interval: 20 }).toBe(sent + 1);
  }
  expect(closed).toBe(false);
  ward.setBed({ ...ward.bed("bed-2"), title: "Bed two" });
  slow.resume();
  await expect.poll(() => heard.includes("Bed two"), { timeout: 5000 }).toBe(true);
  const heardWaves = heard.split("event: thin-waves").length - 1;
  expect(heardWaves).toBeLessThan(20);
  slow.pause();
  const large = { ...ward.bed("bed-1"), title: "x".repeat(400_000) };
  for (let sent = 0; sent < 60; sent++) {
    ward.setBed(large);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  slow.resume();
  await expect.poll(() => closed, { timeout: 5000 }).toBe(true);
});
