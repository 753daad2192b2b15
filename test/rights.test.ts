import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parseConfig } from "../config/load.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import type { Deed, Role } from "../src/core/act.ts";
import { bedId, deviceId, patientId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { succeed } from "../src/core/result.ts";
import { DEED_RIGHTS, ROUTE_RIGHTS } from "../src/core/rights.ts";
import type { Clock } from "../src/core/time.ts";
import { type Dashboard, startDashboard } from "../src/dashboard/server/dashboard.ts";
import type { DashboardOptions } from "../src/dashboard/server/dashboard-options.ts";
import { createSignInGate } from "../src/dashboard/server/sessions.ts";
import type { DemonstrationSource } from "../src/dashboard/server/source.ts";
import { createSettingsDesk } from "../src/gateway/settings-desk.ts";
import { deviceDetail } from "./support/scripted-devices.ts";
import { bedView, createScriptedWard, deviceView, limitAlert, type ScriptedWard } from "./support/scripted-ward.ts";
import { until } from "./support/until.ts";

const PASSWORD = "correct horse 9";
const ROLES = ["nurse", "engineer", "auditor", "administrator", "family"] as const;
const THEIRS = patientId("patient-of-bed-1");

let folder = "";
let ward: ScriptedWard;
let page: Dashboard;
let cookies: Readonly<Record<Role | "nobody" | "forged" | "signedOut", string>>;
const open: Dashboard[] = [];

const CONFIG = "gateway: { id: ward-1, dataFolder: /var/lib/vigil }\n";

/** The desk of a real configuration file, of a gateway that nobody would start again. */
function settingsOf(configFile: string) {
  const parsed = parseConfig(CONFIG, folder);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  const parts = { clock: createSystemClock(), configFile, runningText: CONFIG, config: parsed.value, warnings: [] };
  return createSettingsDesk({ ...parts, restart: null });
}

const nudged: string[] = [];
/** A simulated device in each bed. */
const demonstration: DemonstrationSource = {
  devices: async () =>
    succeed(["1", "2"].map((n) => ({ deviceId: deviceId(`twin-${n}`), bedId: bedId(`bed-${n}`), nudges: [] }))),
  nudge: async (nudge) => {
    nudged.push(nudge.deviceId);
    return succeed(undefined);
  },
  bedOf: (id) => bedId(`bed-${id.slice("twin-".length)}`),
};

async function startPage(
  dataFolder: string,
  more: Partial<DashboardOptions> & { readonly clock?: Clock; readonly ward?: ScriptedWard } = {},
): Promise<Dashboard> {
  const { clock = createSystemClock(), ward: own = ward, ...options } = more;
  const webFolder = join(folder, "web");
  const started = await startDashboard(
    { host: "127.0.0.1", port: 0, dataFolder: join(folder, dataFolder), webFolder, signIn: true, ...options },
    {
      ...{ clock, source: own.source, perform: own.perform, random: randomBytes, demonstration },
      settings: settingsOf(join(folder, "ward.yaml")),
    },
  );
  if (!started.ok) throw new Error(JSON.stringify(started.error));
  open.push(started.value);
  return started.value;
}

/** One request of the real client; the status and the body. */
function curl(
  at: Dashboard,
  path: string,
  more: readonly string[] = [],
): Promise<{ readonly status: number; readonly body: string }> {
  const args = ["-s", "--path-as-is", "-m", "20", "-w", "\n%{http_code}", ...more, new URL("/", at.url).href.slice(0, -1) + path];
  return new Promise((resolve) => {
    execFile("curl", args, { maxBuffer: 1 << 24 }, (_error, stdout) => {
      const cut = stdout.lastIndexOf("\n");
      resolve({ status: Number(stdout.slice(cut + 1)), body: stdout.slice(0, cut) });
    });
  });
}

const ours = (at: Dashboard) => [
  "-H",
  "x-vigil-page: 1",
  "-H",
  `origin: ${at.url.slice(0, -1)}`,
  "-H",
  "content-type: application/json",
];
const post = (at: Dashboard, path: string, body: unknown, cookie = "") =>
  curl(at, path, [...ours(at), "-H", `cookie: ${cookie}`, "--data-binary", JSON.stringify(body)]);

/** Signs in and returns the cookie. */
async function signIn(at: Dashboard, name: string, cookie = "", password = PASSWORD): Promise<string> {
  const { body, status } = await curl(at, "/api/sign-in", [
    ...ours(at),
    "-i",
    "-H",
    `cookie: ${cookie}`,
    "-d",
    JSON.stringify({ name, password }),
  ]);
  expect(status, body).toBe(200);
  return /set-cookie: ([^;]+);/i.exec(body)?.[1] ?? "";
}

const by = { userId: "root", from: "command-line", at: "/dev/pts/1" } as const;

async function addUsers(at: Dashboard): Promise<void> {
  const token = at.oneTimeLink?.split("/").at(-1);
  expect((await post(at, "/api/first-account", { token, name: "administrator", password: PASSWORD })).status).toBe(200);
  for (const role of ROLES) {
    if (role === "administrator") continue;
    const of = role === "family" ? THEIRS : null;
    const added = await at.users({ verb: "add", name: role, password: PASSWORD, role, patientId: of }, by);
    expect(added.ok, JSON.stringify(added)).toBe(true);
  }
}

/** Starts a further page with the same accounts; making them anew costs a second of hashing. */
async function startWithUsers(dataFolder: string, more: Parameters<typeof startPage>[1] = {}): Promise<Dashboard> {
  await mkdir(join(folder, dataFolder));
  await copyFile(join(folder, "data", "accounts.json"), join(folder, dataFolder, "accounts.json"));
  return startPage(dataFolder, more);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-rights-"));
  await mkdir(join(folder, "web"));
  await writeFile(join(folder, "ward.yaml"), CONFIG);
  await writeFile(join(folder, "web", "index.html"), "<!doctype html><title>Vigil</title>");
  const nowMs = Date.now();
  ward = createScriptedWard({ nowMs: Date.now, beds: [bedView("bed-1", nowMs), bedView("bed-2", nowMs)] });
  page = await startPage("data");
  await addUsers(page);
  const signedOut = await signIn(page, "nurse");
  expect((await post(page, "/api/sign-out", {}, signedOut)).status).toBe(200);
  const entries = await Promise.all(ROLES.map(async (role) => [role, await signIn(page, role)] as const));
  const name = signedOut.split("=")[0];
  const forged = `${name}=${randomBytes(32).toString("base64url")}`;
  cookies = { ...(Object.fromEntries(entries) as Record<Role, string>), nobody: "", forged, signedOut };
}, 60_000);

afterAll(async () => {
  await page.close();
  await rm(folder, { recursive: true, force: true });
});

afterEach(async () => {
  for (const other of open.splice(0)) if (other !== page) await other.close();
});

// --------------------------------------------------------------------------------------------------- routes

const NOW = Date.now();
const trend = (patient: string) => `/api/trend?patient=${patient}&quantity=heartRate&from=${NOW - 60_000}&to=${NOW}&points=10`;

/** What each asks for; where it says so only the own patient is meant. */
const REQUESTS: Readonly<Record<string, string>> = {
  picture: "/api/picture",
  stream: "/api/stream",
  "stream of their bed": "/api/stream?bed=bed-1",
  "stream of another bed": "/api/stream?bed=bed-2",
  "trend of their patient": trend("patient-of-bed-1"),
  "trend of another patient": trend("patient-of-bed-2"),
  "strip of their alert": "/api/strip?alert=alert-1",
  "strip of another's alert": "/api/strip?alert=alert-2",
  notes: "/api/notes?patient=patient-of-bed-1",
  audit: "/api/audit",
  users: "/api/users",
  limits: "/api/limits",
  "past alerts": `/api/alert-history?from=${NOW - 60_000}&to=${NOW}`,
  "events of their patient": `/api/events?patient=patient-of-bed-1&from=${NOW - 60_000}&to=${NOW}`,
  "events of another patient": `/api/events?patient=patient-of-bed-2&from=${NOW - 60_000}&to=${NOW}`,
  "score of their patient": `/api/scores?patient=patient-of-bed-1&model=news2&from=${NOW - 60_000}&to=${NOW}`,
  "score of another patient": `/api/scores?patient=patient-of-bed-2&model=news2&from=${NOW - 60_000}&to=${NOW}`,
  "data quality": "/api/quality?day=2026-11-22&zone=480",
  devices: "/api/devices",
  "a device": "/api/device?id=monitor-1",
  candidates: "/api/candidates",
  readers: "/api/readers",
  records: "/api/records",
  settings: "/api/settings",
  demonstration: "/api/demonstration",
};

// biome-ignore format: one row a line, so that it reads as the table it is.
const ROUTE_TABLE: readonly (readonly [request: string, nurse: number, engineer: number, auditor: number, administrator: number, family: number])[] = [
  ["picture",                  200, 200, 200, 200, 200],
  ["stream",                   200, 200, 200, 200, 200],
  ["stream of their bed",      200, 200, 200, 200, 200],
  ["stream of another bed",    200, 200, 200, 200, 403],
  ["trend of their patient",   200, 200, 200, 200, 200],
  ["trend of another patient", 200, 200, 200, 200, 403],
  ["strip of their alert",     200, 200, 200, 200, 200],
  ["strip of another's alert", 200, 200, 200, 200, 403],
  ["notes",                    200, 403, 200, 200, 403],
  ["audit",                    403, 403, 200, 200, 403],
  ["users",                    403, 403, 200, 200, 403],
  ["limits",                   200, 200, 200, 200, 403],
  ["past alerts",              200, 200, 200, 200, 403],
  ["events of their patient",  200, 200, 200, 200, 200],
  ["events of another patient", 200, 200, 200, 200, 403],
  ["score of their patient",   200, 200, 200, 200, 200],
  ["score of another patient", 200, 200, 200, 200, 403],
  ["data quality",             200, 200, 200, 200, 403],
  ["devices",                  200, 200, 200, 200, 403],
  ["a device",                 200, 200, 200, 200, 403],
  ["candidates",               403, 200, 403, 200, 403],
  ["readers",                  403, 200, 200, 200, 403],
  ["records",                  403, 403, 200, 200, 403],
  ["settings",                 403, 200, 403, 200, 403],
  ["demonstration",            200, 200, 200, 200, 200],
];

describe("who may read what", () => {
  beforeAll(() => {
    ward.devices.setDevices([deviceDetail("monitor-1", NOW)]);
    ward.setAlert(limitAlert("alert-1", NOW, { bed: "bed-1" }));
    ward.setAlert(limitAlert("alert-2", NOW, { bed: "bed-2" }));
  });

  test.each(ROUTE_TABLE)("%s", async (request, ...expected) => {
    const path = REQUESTS[request] ?? "";
    const asked = await Promise.all(ROLES.map((role) => curl(page, path, ["-m", "1", "-H", `cookie: ${cookies[role]}`])));
    expect(Object.fromEntries(ROLES.map((role, index) => [role, asked[index]?.status]))).toEqual(
      Object.fromEntries(ROLES.map((role, index) => [role, expected[index]])),
    );
    for (const who of ["nobody", "forged", "signedOut"] as const) {
      const answer = await curl(page, path, ["-H", `cookie: ${cookies[who]}`]);
      expect(answer.status, who).toBe(401);
      expect(answer.body).not.toContain("patient-of");
    }
    for (const [index, answer] of asked.entries())
      if (answer.status === 403) expect(answer.body, ROLES[index]).toContain("not-allowed");
  });

  test("an engineer finds a device by its bed and is not told whom it is on; who is at the bedside is", async () => {
    for (const path of ["/api/devices", "/api/device?id=monitor-1"]) {
      for (const role of ["nurse", "auditor", "administrator"] as const)
        expect((await curl(page, path, ["-H", `cookie: ${cookies[role]}`])).body, role).toContain("patient-of-bed-1");
      const { body } = await curl(page, path, ["-H", `cookie: ${cookies.engineer}`]);
      expect(body).toContain("bed-1");
      expect(body).toContain('"isAssigned":true');
      expect(body).not.toContain("patient-of-bed-1");
      expect(body).not.toContain("W. L.");
    }
    expect((await curl(page, "/api/device?id=monitor-8", ["-H", `cookie: ${cookies.nurse}`])).status).toBe(404);
  });

  test("everybody changes the demonstration; a family only what is in their patient's bed, and is told of nothing else", async () => {
    const statusesOf = async (id: string) => {
      const body = { deviceId: id, name: "cable", choice: "out" };
      const path = "/api/demonstration/nudge";
      const statuses = await Promise.all(ROLES.map(async (role) => (await post(page, path, body, cookies[role])).status));
      for (const who of ["nobody", "forged", "signedOut"] as const)
        expect((await post(page, path, body, cookies[who])).status, who).toBe(401);
      return statuses;
    };
    expect(await statusesOf("twin-1")).toEqual([200, 200, 200, 200, 200]);
    expect(await statusesOf("twin-2")).toEqual([200, 200, 200, 200, 403]);
    expect(nudged.filter((id) => id === "twin-2")).toHaveLength(4);
    const { body } = await curl(page, "/api/demonstration", ["-H", `cookie: ${cookies.family}`]);
    expect(JSON.parse(body).devices.map((device: { readonly deviceId: string }) => device.deviceId)).toEqual(["twin-1"]);
  });

  test("a preview is for engineers and administrators, and asks for whole questions", async () => {
    const wanted = { driverId: "mqtt-json", topic: "devices/a", options: { mapping: '{"heartRate":"$.hr"}' } };
    const statuses = await Promise.all(
      ROLES.map(async (role) => (await post(page, "/api/preview", wanted, cookies[role])).status),
    );
    expect(statuses).toEqual([403, 200, 403, 200, 403]);
    expect((await post(page, "/api/preview", wanted)).status).toBe(401);
    expect(ward.devices.previews.at(-1)).toEqual(wanted);
    const tooLong = { mapping: "x".repeat(LIMITS.adoptOptionsCharactersMax.value) };
    for (const bad of [
      { ...wanted, options: [] },
      { ...wanted, options: { mapping: 1 } },
      { ...wanted, options: tooLong },
      { topic: "a" },
    ])
      expect((await post(page, "/api/preview", bad, cookies.engineer)).status).toBe(400);
  });

  test("the doors that need no sign-in say nothing of a patient", async () => {
    for (const path of ["/api/healthz", "/api/session", "/healthz", "/"]) {
      const answer = await curl(page, path);
      expect(answer.status, path).toBe(200);
      expect(answer.body).not.toContain("patient");
    }
  });

  test("the session says who and as what, and whose family", async () => {
    const { body } = await curl(page, "/api/session", ["-H", `cookie: ${cookies.family}`]);
    expect(JSON.parse(body)).toMatchObject({ user: "family", role: "family", familyOf: THEIRS });
  });

  test("every route of the server is in the table, and one that is not is answered to nobody", async () => {
    const files = (await readdir("src/dashboard/server/routes")).map((file) => join("src/dashboard/server/routes", file));
    const sources = await Promise.all(files.map((file) => readFile(file, "utf8")));
    const routes = sources
      .flatMap((source) => [...source.matchAll(/app\.(get|post|put|delete|patch|all|route)\("(\/api\/[^"]*)"/g)])
      .map(([, method, path]) => `${method?.toUpperCase()} ${path}`);
    expect(routes.sort()).toEqual(Object.keys(ROUTE_RIGHTS).sort());
    expect((await curl(page, "/api/secrets", ["-H", `cookie: ${cookies.administrator}`])).status).toBe(404);
    for (const method of ["PUT", "DELETE", "PATCH"])
      expect((await curl(page, "/api/acts", ["-X", method, "-H", `cookie: ${cookies.administrator}`])).status, method).toBe(404);
  });
});

// ---------------------------------------------------------------------------------------------------- deeds

const profile = { kind: "adult", spo2Scale: 1 } as const;
const DEEDS: readonly Record<string, unknown>[] = [
  { kind: "admit", patientId: "p", bedId: "bed-1", label: "A", profile, demonstration: false },
  { kind: "discharge", patientId: "p" },
  { kind: "transfer", patientId: "p", bedId: "bed-2" },
  { kind: "merge", patientId: "p", formerPatientId: "q" },
  { kind: "correct-patient", patientId: "p", label: "B" },
  { kind: "assign", deviceId: "d", patientId: "p" },
  { kind: "release", deviceId: "d" },
  { kind: "confirm-assignment", deviceId: "d", patientId: "p" },
  { kind: "set-limit", patientId: "p", quantity: "heartRate", low: null, high: null },
  { kind: "reset-limit", patientId: "p", quantity: "heartRate" },
  { kind: "set-profile", patientId: "p", profile },
  { kind: "enter-consciousness", patientId: "p", consciousness: "A" },
  { kind: "enter-oxygen", patientId: "p", onOxygen: true },
  { kind: "note", patientId: "p", text: "x" },
  { kind: "verdict", alertId: "alert-1", verdict: "relevant" },
];

/** Deeds about the equipment. */
const EQUIPMENT_DEEDS: readonly Record<string, unknown>[] = [
  {
    kind: "adopt",
    deviceId: "watch-1",
    driverId: "mqtt-json",
    title: null,
    link: { kind: "mqtt", topics: ["devices/watch-1/#"], account: "watch-1" },
    options: { mapping: '{"heartRate":"$.hr"}' },
    bedId: "bed-1",
    silenceSeconds: null,
    expected: null,
  },
  { kind: "forget-device", deviceId: "watch-1" },
];

describe("who may do what", () => {
  test("every deed that may be asked for is tried here", () => {
    expect(
      [...DEEDS, ...EQUIPMENT_DEEDS]
        .map(({ kind }) => kind)
        .concat("acknowledge")
        .sort(),
    ).toEqual(Object.keys(DEED_RIGHTS).sort());
  });

  test.each(EQUIPMENT_DEEDS)("$kind: engineers and administrators", async (deed) => {
    const statuses = await Promise.all(ROLES.map(async (role) => (await post(page, "/api/acts", deed, cookies[role])).status));
    expect(statuses).toEqual([403, 200, 403, 200, 403]);
    for (const who of ["nobody", "forged", "signedOut"] as const)
      expect((await post(page, "/api/acts", deed, cookies[who])).status, who).toBe(401);
  });

  test.each(DEEDS)("$kind: nurses and administrators", async (deed) => {
    const before = ward.acts.length;
    const statuses = await Promise.all(
      ROLES.map(async (role) => [role, (await post(page, "/api/acts", deed, cookies[role])).status]),
    );
    expect(Object.fromEntries(statuses)).toEqual({ nurse: 200, engineer: 403, auditor: 403, administrator: 200, family: 403 });
    for (const who of ["nobody", "forged", "signedOut"] as const)
      expect((await post(page, "/api/acts", deed, cookies[who])).status, who).toBe(401);
    const done = ward.acts.slice(before).map(({ actor }) => [actor.userId, actor.role, actor.from, actor.at]);
    expect(done.sort()).toEqual([
      ["administrator", "administrator", "page", "127.0.0.1"],
      ["nurse", "nurse", "page", "127.0.0.1"],
    ]);
  });

  test("acknowledge: nurses and administrators; an engineer a technical alert, and never a patient's", async () => {
    const statusesFor = async (alertId: string) =>
      Object.fromEntries(
        await Promise.all(
          ROLES.map(async (role) => [
            role,
            (await post(page, "/api/acts", { kind: "acknowledge", alertId }, cookies[role])).status,
          ]),
        ),
      );
    ward.setAlert(limitAlert("alert-3", NOW));
    ward.setAlert({ ...limitAlert("alert-4", NOW), nature: "technical" });
    expect(await statusesFor("alert-3")).toEqual({ nurse: 200, engineer: 403, auditor: 403, administrator: 200, family: 403 });
    expect(await statusesFor("alert-4")).toEqual({ nurse: 200, engineer: 200, auditor: 403, administrator: 200, family: 403 });
    expect((await post(page, "/api/acts", { kind: "acknowledge", alertId: "unknown" }, cookies.engineer)).status).toBe(403);
  });

  test("a sign-in or a change of accounts cannot be asked for as an act", async () => {
    const forgeries: readonly Deed[] = [
      { kind: "sign-in" },
      { kind: "account-added", account: "eve", role: "administrator", patientId: null },
    ];
    for (const deed of forgeries) expect((await post(page, "/api/acts", deed, cookies.administrator)).status).toBe(400);
  });
});

// --------------------------------------------------------------------------------------------------- family

/** The events of a stream until it ends. */
function listen(at: Dashboard, path: string, cookie: string) {
  const events: { readonly kind: string; readonly data: string }[] = [];
  let ended = false;
  const sent = get(new URL(path, at.url), { headers: { cookie } }, (response) => {
    let rest = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      const parts = (rest + chunk).split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) {
        const [, kind = "", data = ""] = /^event: (.*)\ndata: (.*)$/s.exec(part) ?? [];
        events.push({ kind, data });
      }
    });
    response.on("end", () => {
      ended = true;
    });
  });
  sent.on("error", () => {});
  return { events, ended: () => ended, close: () => sent.destroy() };
}

describe("a family", () => {
  test("sees its patient's bed and alerts, and nothing of anybody else, in picture and stream", async () => {
    const { body } = await curl(page, "/api/picture", ["-H", `cookie: ${cookies.family}`]);
    const picture = JSON.parse(body);
    expect(picture.beds.map((bed: { bedId: string }) => bed.bedId)).toEqual(["bed-1"]);
    expect(picture.unassigned).toEqual([]);
    expect(picture.alerts.every((alert: { subject: { patientId: string } }) => alert.subject.patientId === THEIRS)).toBe(true);
    expect(picture.alerts.length).toBeGreaterThan(0);
    const stream = listen(page, "/api/stream", cookies.family);
    await until("the picture comes", () => stream.events.length > 0);
    ward.setBed(bedView("bed-2", Date.now()));
    ward.setAlert(limitAlert("alert-9", Date.now(), { bed: "bed-2" }));
    ward.setAlert(limitAlert("alert-8", Date.now(), { bed: "bed-1" }));
    await until("their alert and a pulse come", () =>
      ["alerts", "pulse"].every((kind) => stream.events.some((event) => event.kind === kind)),
    );
    const heard = stream.events.map(({ data }) => data).join("\n");
    expect(heard).toContain("alert-8");
    for (const foreign of ["patient-of-bed-2", "bed-2", "alert-9", "monitor-9"]) expect(heard).not.toContain(foreign);
    stream.close();
  });

  test("notes and the reason of a limit stay among staff", async () => {
    const bed = bedView("bed-1", Date.now());
    const limit = {
      quantity: "heartRate",
      low: null,
      high: null,
      reason: "said in confidence",
      setBy: "dr.wu",
      setAtMs: 1,
      expiresAtMs: null,
      expired: false,
    } as const;
    const lastNote = { text: "written for staff", by: "dr.wu", atMs: 1 };
    const strange = deviceView("monitor-8", { bedId: bed.bedId, patientId: patientId("patient-of-bed-2"), lastHeardAtMs: NOW });
    const patient = bed.patient === null ? null : { ...bed.patient, limits: [limit], noteCount: 1, lastNote };
    ward.setBed({ ...bed, patient, devices: [...bed.devices, strange] });
    const { body } = await curl(page, "/api/picture", ["-H", `cookie: ${cookies.family}`]);
    for (const secret of ["said in confidence", "written for staff", "dr.wu", "monitor-8"]) expect(body).not.toContain(secret);
    const nurse = await curl(page, "/api/picture", ["-H", `cookie: ${cookies.nurse}`]);
    expect(nurse.body).toContain("said in confidence");
    ward.setBed(bed);
  });

  test("goes with its patient to another bed, and hears no wave of the one they left", async () => {
    const own = createScriptedWard({
      nowMs: Date.now,
      beds: [bedView("bed-1", NOW), bedView("bed-2", NOW), bedView("bed-3", NOW)],
    });
    const at = await startWithUsers("moved", { ward: own });
    const cookie = await signIn(at, "family");
    const stream = listen(at, "/api/stream?bed=bed-1", cookie);
    await until("the picture comes", () => stream.events.length > 0);
    const bed = bedView("bed-1", NOW);
    own.setBed({ ...bedView("bed-3", NOW), patient: bed.patient });
    own.setBed({ ...bed, patient: bedView("bed-7", NOW).patient });
    own.sendWaves("bed-1", []);
    await until("the stream ends", stream.ended);
    const heard = stream.events.map(({ data }) => data).join("\n");
    expect(heard).not.toContain("patient-of-bed-7");
    expect(stream.events.map(({ kind }) => kind)).not.toContain("waves");
    const again = await curl(at, "/api/picture", ["-H", `cookie: ${cookie}`]);
    expect(JSON.parse(again.body).beds.map((each: { bedId: string }) => each.bedId)).toEqual(["bed-3"]);
    own.setBed({ ...bedView("bed-3", NOW), patient: null });
    const gone = JSON.parse((await curl(at, "/api/picture", ["-H", `cookie: ${cookie}`])).body);
    expect([gone.beds, gone.alerts, gone.unassigned]).toEqual([[], [], []]);
    expect((await curl(at, trend(THEIRS), ["-H", `cookie: ${cookie}`])).status).toBe(403);
  });
});

// ------------------------------------------------------------------------------------------------- sessions

describe("sessions and accounts", () => {
  test("a session id that was planted before the sign-in opens nothing after it, and the former session is over", async () => {
    const name = cookies.nurse.split("=")[0];
    const planted = `${name}=${"A".repeat(43)}`;
    const cookie = await signIn(page, "nurse", planted);
    expect(cookie).not.toBe(planted);
    expect((await curl(page, "/api/picture", ["-H", `cookie: ${planted}`])).status).toBe(401);
    const next = await signIn(page, "nurse", cookie);
    expect((await curl(page, "/api/picture", ["-H", `cookie: ${cookie}`])).status).toBe(401);
    expect((await curl(page, "/api/picture", ["-H", `cookie: ${next}`])).status).toBe(200);
  });

  test("a session ends by its role's own time, and the act says so", async () => {
    const clock = createSimulatedClock();
    const own = createScriptedWard({ nowMs: () => clock.wall(), beds: [bedView("bed-1", clock.wall())] });
    const sessionMinutes = { nurse: 30, engineer: 20, auditor: 10, administrator: 5, family: 60 };
    const at = await startWithUsers("timed", { clock, ward: own, sessionMinutes });
    const own_ = { nurse: await signIn(at, "nurse"), administrator: await signIn(at, "administrator") };
    const status = async (role: "nurse" | "administrator") =>
      (await curl(at, "/api/picture", ["-H", `cookie: ${own_[role]}`])).status;
    await clock.advance(5 * 60_000 - 1);
    expect([await status("nurse"), await status("administrator")]).toEqual([200, 200]);
    await clock.advance(1);
    expect([await status("nurse"), await status("administrator")]).toEqual([200, 401]);
    await clock.advance(60_000);
    const ended = own.accessActs.filter(({ deed }) => deed.kind === "sign-out");
    expect(ended[0]).toMatchObject({ deed: { why: "time-out" }, actor: { userId: "administrator" } });
    await clock.advance(25 * 60_000);
    expect(await status("nurse")).toBe(401);
  });

  test("signing in over and over is refused at the bound, and an hour later it is not", async () => {
    const clock = createSimulatedClock();
    const gate = createSignInGate({ clock, known: () => true });
    for (let time = 0; time < LIMITS.signInsPerHourMax.value; time++)
      expect(gate.admit("nurse") && gate.enter("nurse")).toBe(true);
    expect(gate.enter("nurse")).toBe(false);
    expect(gate.enter("engineer")).toBe(true);
    await clock.advance(3_600_000 - 1);
    expect(gate.enter("nurse")).toBe(false);
    await clock.advance(1);
    expect(gate.enter("nurse")).toBe(true);
  });

  test("a new password or role, or none, holds at once for who is signed in", async () => {
    const own = createScriptedWard({ nowMs: Date.now, beds: [bedView("bed-1", NOW)] });
    const at = await startWithUsers("changed", { ward: own });
    const cookie = await signIn(at, "nurse");
    const engineer = await signIn(at, "engineer");
    await at.users({ verb: "passwd", name: "nurse", password: "another horse 9" }, by);
    expect((await curl(at, "/api/picture", ["-H", `cookie: ${cookie}`])).status).toBe(401);
    await signIn(at, "nurse", "", "another horse 9");
    await at.users({ verb: "role", name: "engineer", role: "auditor", patientId: null }, by);
    expect((await curl(at, "/api/picture", ["-H", `cookie: ${engineer}`])).status).toBe(401);
    const auditor = await signIn(at, "engineer");
    expect((await curl(at, "/api/audit", ["-H", `cookie: ${auditor}`])).status).toBe(200);
    await at.users({ verb: "remove", name: "engineer" }, by);
    expect((await curl(at, "/api/picture", ["-H", `cookie: ${auditor}`])).status).toBe(401);
    const told = own.accessActs.map(({ deed, actor }) => [deed.kind, actor.userId, actor.from]);
    expect(told).toContainEqual(["account-changed", "root", "command-line"]);
    expect(told).toContainEqual(["account-removed", "root", "command-line"]);
    expect(told.filter(([kind]) => kind === "sign-out").map(([, user]) => user)).toEqual(["nurse", "engineer", "engineer"]);
  });

  test("settings are checked, written and taken into use by engineers and administrators only", async () => {
    const statusesOf = async (path: string, body: unknown) => {
      const statuses = await Promise.all(ROLES.map(async (role) => (await post(page, path, body, cookies[role])).status));
      expect((await post(page, path, body)).status, "without a session").toBe(401);
      expect((await post(page, path, body, cookies.forged)).status, "with a forged one").toBe(401);
      return statuses;
    };
    expect(await statusesOf("/api/settings/check", { text: CONFIG })).toEqual([403, 200, 403, 200, 403]);
    // The hash of another text: whoever may, is told that the file is another; nobody writes.
    const stale = { text: CONFIG, baseHash: "0".repeat(64) };
    expect(await statusesOf("/api/settings/save", stale)).toEqual([403, 200, 403, 200, 403]);
    // Nobody would start it again, and only who may is told so.
    expect(await statusesOf("/api/settings/restart", {})).toEqual([403, 409, 403, 409, 403]);
    expect(await readFile(join(folder, "ward.yaml"), "utf8")).toBe(CONFIG);
    expect(ward.accessActs.filter(({ deed }) => deed.kind === "settings-changed" || deed.kind === "restart-asked")).toEqual([]);
  });

  describe("accounts by the page", () => {
    const name = (role: string) => `made-by-${role}`;
    const refused = { nurse: 403, engineer: 403, auditor: 403, family: 403 };

    test("an administrator adds, changes and removes accounts, nobody else does, and each change is an act of theirs", async () => {
      const own = createScriptedWard({ nowMs: Date.now, beds: [bedView("bed-1", NOW)] });
      const at = await startWithUsers("by-page", { ward: own });
      const cookieOf = Object.fromEntries(await Promise.all(ROLES.map(async (role) => [role, await signIn(at, role)] as const)));
      const statusesOf = async (path: string, bodyOf: (role: string) => unknown) => {
        const statuses: Record<string, number> = {};
        for (const role of ROLES) statuses[role] = (await post(at, path, bodyOf(role), cookieOf[role])).status;
        expect((await post(at, path, bodyOf("nobody"))).status, "without a session").toBe(401);
        return statuses;
      };
      expect(
        await statusesOf("/api/users/add", (role) => ({ name: name(role), password: PASSWORD, role: "nurse", patientId: null })),
      ).toEqual({ ...refused, administrator: 200 });
      const made = name("administrator");
      const theirs = await signIn(at, made);
      const another = "another horse 9";
      expect(await statusesOf("/api/users/password", () => ({ name: made, password: another }))).toEqual({
        ...refused,
        administrator: 200,
      });
      expect((await curl(at, "/api/picture", ["-H", `cookie: ${theirs}`])).status, "whose password was changed").toBe(401);
      const again = await signIn(at, made, "", another);
      expect(await statusesOf("/api/users/role", () => ({ name: made, role: "family", patientId: THEIRS }))).toEqual({
        ...refused,
        administrator: 200,
      });
      expect((await curl(at, "/api/picture", ["-H", `cookie: ${again}`])).status, "whose role was changed").toBe(401);
      expect(await statusesOf("/api/users/remove", () => ({ name: made }))).toEqual({ ...refused, administrator: 200 });
      const told = own.accessActs.flatMap(({ deed, actor }) =>
        deed.kind.startsWith("account-") ? [[deed.kind, actor.userId, actor.role, actor.from, actor.at]] : [],
      );
      expect(told).toEqual(
        ["account-added", "account-changed", "account-changed", "account-removed"].map((kind) => [
          kind,
          "administrator",
          "administrator",
          "page",
          "127.0.0.1",
        ]),
      );
    });

    test("what cannot be is refused with its reason, and nothing is changed", async () => {
      const at = await startWithUsers("by-page-refused");
      const cookie = await signIn(at, "administrator");
      const ask = async (path: string, body: unknown) => {
        const { status, body: answer } = await post(at, path, body, cookie);
        return [status, JSON.parse(answer).error?.code, JSON.parse(answer).error?.facts];
      };
      const nurse = { name: "new", password: PASSWORD, role: "nurse", patientId: null };
      expect(await ask("/api/users/add", { ...nurse, name: "nurse" })).toMatchObject([422, "account-refused", { taken: "yes" }]);
      expect(await ask("/api/users/add", { ...nurse, password: "nine char" })).toMatchObject([
        422,
        "account-refused",
        { field: "password" },
      ]);
      expect((await ask("/api/users/add", { ...nurse, role: "family" }))[0]).toBe(400);
      expect((await ask("/api/users/add", { ...nurse, role: "root" }))[0]).toBe(400);
      const last = [422, "account-refused", { why: "last-administrator" }];
      expect(await ask("/api/users/remove", { name: "administrator" })).toMatchObject(last);
      expect(await ask("/api/users/role", { name: "administrator", role: "nurse", patientId: null })).toMatchObject(last);
      expect(await ask("/api/users/remove", { name: "ghost" })).toMatchObject([422, "account-refused", { why: "no-account" }]);
      const { body } = await curl(at, "/api/users", ["-H", `cookie: ${cookie}`]);
      expect(JSON.parse(body).users).toHaveLength(ROLES.length);
    });

    test("where nobody signs in, nobody changes accounts", async () => {
      const at = await startPage("nobody-signs-in", { signIn: false });
      const account = { name: "eve", password: PASSWORD, role: "administrator", patientId: null };
      expect((await post(at, "/api/users/add", account)).status).toBe(403);
      expect(JSON.parse((await curl(at, "/api/users")).body).users).toEqual([]);
    });
  });

  test("the last administrator can neither be removed nor become something else", async () => {
    for (const request of [
      { verb: "remove", name: "administrator" },
      { verb: "role", name: "administrator", role: "nurse", patientId: null },
    ] as const)
      expect(await page.users(request, by)).toMatchObject({ ok: false, error: { facts: { why: "last-administrator" } } });
  });

  test("accounts of before there were roles are administrators, and stay signed in as long as a nurse", async () => {
    const data = join(folder, "data", "accounts.json");
    const stored = JSON.parse(await readFile(data, "utf8"));
    const old = stored.accounts.map(({ role: _, patientId: __, ...account }: Record<string, unknown>) => account);
    await mkdir(join(folder, "old"));
    await writeFile(join(folder, "old", "accounts.json"), JSON.stringify({ version: 1, accounts: old.slice(0, 1) }));
    const sessionMinutes = { nurse: 600, engineer: 1, auditor: 1, administrator: 1, family: 1 };
    const at = await startPage("old", { sessionMinutes });
    const { body } = await curl(at, "/api/sign-in", [
      ...ours(at),
      "-i",
      "-d",
      JSON.stringify({ name: "administrator", password: PASSWORD }),
    ]);
    expect(body).toContain('"role":"administrator"');
    expect(body).toContain("Max-Age=36000");
  });

  test("a role nobody knows makes the file a damaged one, and lets nobody in", async () => {
    const stored = JSON.parse(await readFile(join(folder, "data", "accounts.json"), "utf8"));
    for (const [index, role] of ["root", null, "family"].entries()) {
      await mkdir(join(folder, `damaged-${index}`));
      const accounts = [{ ...stored.accounts[0], role }];
      await writeFile(join(folder, `damaged-${index}`, "accounts.json"), JSON.stringify({ version: 1, accounts }));
      await expect(startPage(`damaged-${index}`)).rejects.toThrow("accounts.json is damaged");
    }
  });

  test("sign-ins, sign-outs and refusals are acts; refusals together, and never what was typed in place of a name", async () => {
    const clock = createSimulatedClock();
    const own = createScriptedWard({ nowMs: () => clock.wall(), beds: [bedView("bed-1", clock.wall())] });
    const at = await startWithUsers("told", { clock, ward: own });
    const cookie = await signIn(at, "nurse");
    await post(at, "/api/sign-out", {}, cookie);
    for (let attempt = 0; attempt < 7; attempt++) await post(at, "/api/sign-in", { name: "nurse", password: "wrong horse 9" });
    for (const secret of ["my-password-1", "my-password-2"]) await post(at, "/api/sign-in", { name: secret, password: "x" });
    const refusals = () =>
      own.accessActs.flatMap(({ deed }) => (deed.kind === "sign-in-refused" ? [[deed.account, deed.why, deed.count]] : []));
    expect(own.accessActs.filter(({ deed }) => deed.kind === "sign-in").at(-1)?.actor).toMatchObject({
      userId: "nurse",
      role: "nurse",
      at: "127.0.0.1",
    });
    expect(own.accessActs.find(({ deed }) => deed.kind === "sign-out")).toMatchObject({
      deed: { why: "asked" },
      actor: { userId: "nurse" },
    });
    expect(refusals()).toEqual([
      ["nurse", "wrong-password", 1],
      ["nurse", "locked", 1],
      [null, "no-account", 1],
    ]);
    await clock.advance(LIMITS.signInRefusedGatherMs.value);
    expect(refusals().slice(3)).toEqual([
      ["nurse", "wrong-password", 4],
      ["nurse", "locked", 1],
      [null, "no-account", 1],
    ]);
    expect(JSON.stringify(own.accessActs)).not.toContain("my-password");
  });
});

// ------------------------------------------------------------------------------------------ hostile requests

describe("hostile requests", () => {
  test("a post of another site is refused with any session, and nothing is done", async () => {
    const before = ward.acts.length;
    const deed = JSON.stringify({ kind: "discharge", patientId: "p" });
    const origin = page.url.slice(0, -1);
    const json = ["-H", "content-type: application/json"];
    const tries: readonly (readonly string[])[] = [
      ["-H", "x-vigil-page: 1", "-H", "origin: http://evil.example", ...json],
      ["-H", `origin: ${origin}`, ...json],
      ["-H", "x-vigil-page: 1", ...json],
      ["-H", "x-vigil-page: 1", "-H", `origin: ${origin}`, "-H", "content-type: text/plain"],
      ["-H", "x-vigil-page: 1", "-H", `origin: ${origin}`, "-H", "content-type: application/x-www-form-urlencoded"],
      ["-H", "x-vigil-page: 1", "-H", "origin: null", ...json],
    ];
    for (const headers of tries) {
      const answer = await curl(page, "/api/acts", [...headers, "-H", `cookie: ${cookies.nurse}`, "-d", deed]);
      expect(answer.status, headers.join(" ")).toBe(403);
    }
    const simple = await curl(page, "/api/acts?kind=discharge&patientId=p", ["-H", `cookie: ${cookies.nurse}`]);
    expect(simple.status).toBe(404);
    expect(ward.acts.length).toBe(before);
  });

  test("no path leads out of the folder of the pages", async () => {
    await writeFile(join(folder, "secret.txt"), "a secret");
    const ways = ["/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/%2e%2e%2fsecret.txt", "/..%5csecret.txt"];
    const deeper = [
      "/assets/../../secret.txt",
      "/./../data/accounts.json",
      "//../data/accounts.json",
      "/..%252fsecret.txt",
      "/..%00/secret.txt",
    ];
    for (const path of [...ways, ...deeper]) {
      const answer = await curl(page, path, ["-H", `cookie: ${cookies.administrator}`]);
      expect(answer.status, path).toBeGreaterThanOrEqual(400);
      expect(answer.body).not.toMatch(/a secret|hashBase64/);
    }
  });

  test("a body over its bound is refused, also in pieces and before anybody has signed in; the page goes on", async () => {
    const big = join(folder, "big.json");
    await writeFile(big, `{"name":"${"x".repeat(20_000_000)}"}`);
    for (const path of ["/api/sign-in", "/api/first-account", "/api/sign-out", "/api/acts"]) {
      for (const pieces of [[], ["-H", "transfer-encoding: chunked"]]) {
        const answer = await curl(page, path, [
          ...ours(page),
          ...pieces,
          "-H",
          `cookie: ${cookies.nurse}`,
          "--data-binary",
          `@${big}`,
        ]);
        // curl that is cut off while it sends may have heard no answer but "go on".
        expect([413, 100, 0], `${path} ${pieces}`).toContain(answer.status);
      }
      const stranger = await curl(page, path, [...ours(page), "--data-binary", `@${big}`]);
      expect([413, 401, 100, 0], path).toContain(stranger.status);
    }
    expect((await curl(page, "/api/picture", ["-H", `cookie: ${cookies.nurse}`])).status).toBe(200);
  });
});
