import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import { deviceId, userId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Clock } from "../src/core/time.ts";
import { type Dashboard, startDashboard } from "../src/dashboard/server/dashboard.ts";
import type { DashboardOptions } from "../src/dashboard/server/dashboard-options.ts";
import { parseDeed } from "../src/dashboard/server/deed-parser.ts";
import { hostIsAllowed } from "../src/dashboard/server/request-guard.ts";
import { openSessions } from "../src/dashboard/server/sessions.ts";
import { bedView, createScriptedWard, limitAlert, type ScriptedWard } from "./support/scripted-ward.ts";

/** A served page, by whatever process. */
type Served = Pick<Dashboard, "url" | "oneTimeLink">;

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

let folder = "";
let ward: ScriptedWard;
const open: Dashboard[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-dashboard-"));
  await writeFile(join(folder, "index.html"), "<!doctype html><title>Vigil</title>");
  ward = createScriptedWard({ nowMs: Date.now, beds: [bedView("bed-1", Date.now()), bedView("bed-2", Date.now())] });
});

afterEach(async () => {
  for (const dashboard of open.splice(0)) await dashboard.close();
  await rm(folder, { recursive: true, force: true });
});

async function start(more: Partial<DashboardOptions> & { readonly clock?: Clock } = {}): Promise<Dashboard> {
  const { clock, ...options } = more;
  const started = await startDashboard(
    { host: "127.0.0.1", port: 0, dataFolder: join(folder, "data"), webFolder: folder, signIn: true, ...options },
    { clock: clock ?? createSystemClock(), source: ward.source, perform: ward.perform, random: randomBytes },
  );
  if (!started.ok) throw new Error(JSON.stringify(started.error));
  open.push(started.value);
  return started.value;
}

function ask(
  dashboard: Served,
  path: string,
  more: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      new URL(path, dashboard.url),
      { method: more.method ?? "GET", headers: more.headers ?? {} },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => {
          const json = response.headers["content-type"]?.includes("json") === true;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: json ? JSON.parse(text) : text });
        });
      },
    );
    sent.on("error", reject);
    sent.end(more.body);
  });
}

function post(dashboard: Served, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const ours = { "content-type": "application/json", "x-vigil-page": "1", origin: dashboard.url.slice(0, -1), ...headers };
  return ask(dashboard, path, { method: "POST", headers: ours, body: JSON.stringify(body) });
}

function cookieOf(answer: Answer): string {
  return answer.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
}

function tokenOf(dashboard: Served): string {
  return dashboard.oneTimeLink?.split("/").at(-1) ?? "";
}

/** The hash under which the session of a cookie is kept. */
function hashOf(cookie: string): string {
  return createHash("sha256")
    .update(cookie.slice(cookie.indexOf("=") + 1))
    .digest("hex");
}

async function firstAccount(dashboard: Served): Promise<string> {
  const made = await post(dashboard, "/api/first-account", {
    token: tokenOf(dashboard),
    name: "nurse.li",
    password: "correct horse 9",
  });
  expect(made.status).toBe(200);
  return cookieOf(made);
}

describe("sign-in", () => {
  test("the one-time link makes the first account once, and the account then signs in", async () => {
    const dashboard = await start();
    expect(dashboard.oneTimeLink).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#\/first\/[A-Za-z0-9_-]{43}$/);
    const wrong = await post(dashboard, "/api/first-account", {
      token: `${tokenOf(dashboard)}x`,
      name: "eve",
      password: "long enough 1",
    });
    expect(wrong.status).toBe(403);
    const short = await post(dashboard, "/api/first-account", {
      token: tokenOf(dashboard),
      name: "nurse.li",
      password: "ninechars",
    });
    expect(short.status).toBe(422);
    const cookie = await firstAccount(dashboard);
    const again = await post(dashboard, "/api/first-account", {
      token: tokenOf(dashboard),
      name: "eve",
      password: "long enough 1",
    });
    expect(again).toMatchObject({ status: 403, body: { error: { code: "one-time-link-refused" } } });
    expect((await ask(dashboard, "/api/picture", { headers: { cookie } })).status).toBe(200);
    expect((await post(dashboard, "/api/sign-in", { name: "nurse.li", password: "correct horse 9" })).status).toBe(200);
    expect((await post(dashboard, "/api/sign-in", { name: "nurse.li", password: "correct horse 8" })).status).toBe(401);
    expect((await post(dashboard, "/api/sign-in", { name: "nobody", password: "correct horse 9" })).status).toBe(401);
  });

  test("two requests with the same one-time link make one account", async () => {
    const dashboard = await start();
    const token = tokenOf(dashboard);
    const answers = await Promise.all(
      ["a", "b"].map((name) => post(dashboard, "/api/first-account", { token, name, password: "long enough 1" })),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 403]);
  });

  test("accounts are kept hashed, for the gateway's user only, and a restart prints no further link", async () => {
    const first = await start();
    await firstAccount(first);
    const file = join(folder, "data", "accounts.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const text = await readFile(file, "utf8");
    expect(text).not.toContain("correct horse");
    expect(JSON.parse(text)).toMatchObject({ accounts: [{ name: "nurse.li", costN: 32768, blockSizeR: 8, parallelP: 1 }] });
    const second = await start();
    expect(second.oneTimeLink).toBeNull();
    expect((await post(second, "/api/sign-in", { name: "nurse.li", password: "correct horse 9" })).status).toBe(200);
  });

  test("a damaged account file keeps the page shut and never looks like a first start", async () => {
    await start().then(firstAccount);
    const file = join(folder, "data", "accounts.json");
    await writeFile(file, (await readFile(file, "utf8")).slice(0, -40));
    const started = await startDashboard(
      { host: "127.0.0.1", port: 0, dataFolder: join(folder, "data"), webFolder: folder, signIn: true },
      { clock: createSystemClock(), source: ward.source, perform: ward.perform, random: randomBytes },
    );
    expect(started).toMatchObject({ ok: false, error: { code: "page-failed", facts: { reason: "accounts.json is damaged" } } });
  });

  test("the one-time link and a session end with their time", async () => {
    const clock = createSimulatedClock();
    const early = await start({ clock });
    await clock.advance(LIMITS.oneTimeLinkMinutesMax.value * 60_000 - 1);
    const cookie = await firstAccount(early);
    await clock.advance(LIMITS.sessionHoursMax.value * 3_600_000 - 1);
    expect((await ask(early, "/api/picture", { headers: { cookie } })).status).toBe(200);
    await clock.advance(1);
    expect((await ask(early, "/api/picture", { headers: { cookie } })).status).toBe(401);

    const late = await start({ clock, dataFolder: join(folder, "other") });
    await clock.advance(LIMITS.oneTimeLinkMinutesMax.value * 60_000);
    const refused = await post(late, "/api/first-account", { token: tokenOf(late), name: "eve", password: "long enough 1" });
    expect(refused.status).toBe(403);
  });

  test("the sixth attempt in a minute is refused even with the right password, for known and unknown names alike", async () => {
    const clock = createSimulatedClock();
    const dashboard = await start({ clock });
    await firstAccount(dashboard);
    for (const name of ["nurse.li", "nobody"]) {
      for (let attempt = 0; attempt < 5; attempt++) {
        expect((await post(dashboard, "/api/sign-in", { name, password: "wrong wrong wrong" })).status).toBe(401);
      }
      expect((await post(dashboard, "/api/sign-in", { name, password: "correct horse 9" })).status).toBe(429);
    }
    await clock.advance(60_000);
    expect((await post(dashboard, "/api/sign-in", { name: "nurse.li", password: "correct horse 9" })).status).toBe(200);
  });

  test("signing out ends the session at the server", async () => {
    const dashboard = await start();
    const cookie = await firstAccount(dashboard);
    expect((await post(dashboard, "/api/sign-out", {}, { cookie })).status).toBe(200);
    expect((await ask(dashboard, "/api/picture", { headers: { cookie } })).status).toBe(401);
  });

  test("without a session nothing of a patient is told", async () => {
    const dashboard = await start();
    for (const path of [
      "/api/picture",
      "/api/stream",
      "/api/trend?patient=p&quantity=heartRate&from=1&to=2&points=9",
      "/api/strip?alert=a",
    ]) {
      expect(await ask(dashboard, path)).toMatchObject({ status: 401, body: { error: { code: "signed-out" } } });
    }
    expect((await post(dashboard, "/api/acts", { kind: "acknowledge", alertId: "a-1" })).status).toBe(401);
    expect(ward.acts).toEqual([]);
    expect(await ask(dashboard, "/api/healthz")).toMatchObject({ status: 200, body: { alive: true } });
  });

  test("the session cookie is out of reach of scripts and other sites", async () => {
    const dashboard = await start();
    const made = await post(dashboard, "/api/first-account", { token: tokenOf(dashboard), name: "a", password: "long enough 1" });
    expect(made.headers["set-cookie"]?.[0]).toMatch(
      /^vigil-session-\d+=[A-Za-z0-9_-]{43}; HttpOnly; SameSite=Strict; Path=\/; Max-Age=43200$/,
    );
  });
});

describe("requests from elsewhere", () => {
  test("a post without our header, with another origin or of another type is refused", async () => {
    const dashboard = await start();
    const cookie = await firstAccount(dashboard);
    const deed = { kind: "acknowledge", alertId: "a-1" };
    const foreign: Record<string, string>[] = [
      { origin: "http://evil.example" },
      { origin: "null" },
      { "x-vigil-page": "0" },
      { "content-type": "text/plain" },
    ];
    for (const headers of foreign) expect((await post(dashboard, "/api/acts", deed, { cookie, ...headers })).status).toBe(403);
    expect(ward.acts).toEqual([]);
    expect((await post(dashboard, "/api/acts", deed, { cookie })).status).toBe(200);
    expect(ward.acts).toHaveLength(1);
  });

  test("a name that was made to point here is not answered on the loopback", async () => {
    const dashboard = await start({ signIn: false });
    expect((await ask(dashboard, "/api/picture", { headers: { host: "evil.example" } })).status).toBe(421);
    expect((await ask(dashboard, "/api/picture", { headers: { host: "localhost:9999" } })).status).toBe(200);
    const open = { loopback: false, signIn: false };
    expect([
      hostIsAllowed("10.0.0.7:8080", open),
      hostIsAllowed("[fe80::1]:80", open),
      hostIsAllowed("ward.example", open),
    ]).toEqual([true, true, false]);
    expect(hostIsAllowed("ward.example", { loopback: false, signIn: true })).toBe(true);
    expect(hostIsAllowed(undefined, { loopback: false, signIn: true })).toBe(false);
  });

  test("every answer forbids foreign scripts, frames and guesses of type", async () => {
    const dashboard = await start();
    for (const path of ["/", "/api/healthz", "/api/picture", "/nothing-here"]) {
      const { headers } = await ask(dashboard, path);
      expect(headers["content-security-policy"]).toContain("default-src 'self'; script-src 'self';");
      expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
      expect(headers["content-security-policy"]).not.toContain("unsafe");
      expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
    }
  });

  test("a body over its bound is refused", async () => {
    const dashboard = await start({ signIn: false });
    const small = { kind: "acknowledge", alertId: "a-1" };
    expect((await post(dashboard, "/api/acts", { ...small, filler: "x".repeat(LIMITS.pageBodyBytesMax.value) })).status).toBe(
      413,
    );
    expect((await ask(dashboard, "/../../etc/passwd")).status).toBe(404);
    expect((await ask(dashboard, "/%2e%2e/data/accounts.json")).status).toBe(404);
  });
});

describe("acts", () => {
  test("an act reaches the gateway with who did it, and the answer tells whether it is on disk", async () => {
    const dashboard = await start();
    const cookie = await firstAccount(dashboard);
    const deed = { kind: "enter-consciousness", patientId: "patient-1", consciousness: "V" };
    expect(await post(dashboard, "/api/acts", deed, { cookie })).toMatchObject({
      status: 200,
      body: { ok: true, durable: true },
    });
    ward.answerNext("not-durable");
    expect(await post(dashboard, "/api/acts", deed, { cookie })).toMatchObject({
      status: 200,
      body: { ok: true, durable: false },
    });
    ward.answerNext("refused");
    expect(await post(dashboard, "/api/acts", deed, { cookie })).toMatchObject({
      status: 409,
      body: { error: { code: "act-refused" } },
    });
    expect(ward.acts[0]).toEqual({ deed, actor: { userId: "nurse.li", role: "administrator", from: "page", at: "127.0.0.1" } });
  });

  const profile = { kind: "adult", spo2Scale: 2 };
  const good: readonly Record<string, unknown>[] = [
    { kind: "admit", patientId: "p 1", bedId: "bed-1", label: "王 丽", profile, demonstration: false },
    { kind: "discharge", patientId: "p1" },
    { kind: "assign", deviceId: "d1", patientId: "p1" },
    { kind: "release", deviceId: "d1" },
    { kind: "set-limit", patientId: "p1", quantity: "heartRate", low: { value: 45, priority: "high" }, high: null },
    { kind: "transfer", patientId: "p1", bedId: "bed-2" },
    { kind: "merge", patientId: "p1", formerPatientId: "p2" },
    { kind: "correct-patient", patientId: "p1", label: "王 立" },
    { kind: "confirm-assignment", deviceId: "d1", patientId: "p1" },
    { kind: "note", patientId: "p1", text: "first line\nsecond line" },
    { kind: "verdict", alertId: "0f9c2d44-17", verdict: "false" },
    { kind: "acknowledge", alertId: "0f9c2d44-17" },
    { kind: "enter-consciousness", patientId: "p1", consciousness: "C" },
    { kind: "enter-oxygen", patientId: "p1", onOxygen: false },
    { kind: "set-profile", patientId: "p1", profile },
  ];
  for (const deed of good) {
    test(`${deed["kind"]}: accepted as it must be, refused without any one field, with one too many, or with another type`, () => {
      expect(parseDeed(deed)).toEqual({ ok: true, value: deed });
      for (const field of Object.keys(deed)) {
        const { [field]: _gone, ...rest } = deed;
        expect(parseDeed(rest), `without ${field}`).toMatchObject({ ok: false, error: { field } });
        expect(parseDeed({ ...deed, [field]: 17 }), `${field} as a number`).toMatchObject({ ok: false, error: { field } });
      }
      expect(parseDeed({ ...deed, extra: 1 })).toEqual({ ok: false, error: { field: "extra", problem: "unknown" } });
    });
  }

  test("a limit may say why and until when, or neither", () => {
    const limit = { kind: "set-limit", patientId: "p", quantity: "heartRate", low: null, high: null };
    for (const more of [{}, { reason: null, expiresAtMs: null }, { reason: "after the walk", expiresAtMs: 1_800_000_000_000 }])
      expect(parseDeed({ ...limit, ...more })).toEqual({ ok: true, value: { ...limit, ...more } });
  });

  test("what no deed may hold is refused", () => {
    const limit = { kind: "set-limit", patientId: "p", quantity: "heartRate", low: null, high: null };
    const bad: readonly unknown[] = [
      null,
      [],
      "acknowledge",
      { kind: "shutdown" },
      { kind: "sign-in" },
      { kind: "account-added", account: "eve", role: "administrator", patientId: null },
      { kind: "note", patientId: "p", text: "\n \n" },
      { kind: "note", patientId: "p", text: "a\rb" },
      { kind: "note", patientId: "p", text: "x".repeat(2001) },
      { kind: "verdict", alertId: "a", verdict: "maybe" },
      { ...limit, reason: "x".repeat(201) },
      { ...limit, reason: "" },
      { ...limit, reason: 7 },
      { ...limit, expiresAtMs: "tomorrow" },
      { ...limit, expiresAtMs: 1.5 },
      { ...limit, expiresAtMs: -1 },
      { kind: "acknowledge", alertId: "  " },
      { kind: "acknowledge", alertId: "x".repeat(129) },
      { kind: "acknowledge", alertId: "a\nb" },
      { kind: "enter-consciousness", patientId: "p", consciousness: "X" },
      { kind: "set-profile", patientId: "p", profile: { kind: "adult", spo2Scale: 3 } },
      { ...limit, quantity: "toString" },
      { ...limit, low: { value: 120, priority: "high" }, high: { value: 120, priority: "high" } },
      { ...limit, low: { value: 45, priority: "urgent" } },
    ];
    for (const body of bad) expect(parseDeed(body).ok, JSON.stringify(body)).toBe(false);
    expect(parseDeed({ kind: "acknowledge", alertId: "x".repeat(128) }).ok).toBe(true);
  });
});

describe("a restart of the gateway", () => {
  const hourMs = 3_600_000;
  const lifetimeMs = LIMITS.sessionHoursMax.value * hourMs;
  const sessionsFile = () => join(folder, "data", "sessions.json");
  /** Ends the page and starts it on the same folder and port, as a gateway that crashed and was started again. */
  const again = async (dashboard: Dashboard, clock?: Clock) => {
    open.splice(open.indexOf(dashboard), 1);
    await dashboard.close();
    return start({ port: Number(new URL(dashboard.url).port), ...(clock === undefined ? {} : { clock }) });
  };
  const mayLook = async (dashboard: Dashboard, cookie: string) =>
    (await ask(dashboard, "/api/picture", { headers: { cookie } })).status;
  const signIn = async (dashboard: Dashboard) => {
    const answer = await post(dashboard, "/api/sign-in", { name: "nurse.li", password: "correct horse 9" });
    expect(answer.status).toBe(200);
    return cookieOf(answer);
  };

  test("the old cookie opens the stream again and acts in the same name; one that was signed out does not", async () => {
    const first = await start();
    const wall = await firstAccount(first);
    const left = await signIn(first);
    expect((await post(first, "/api/sign-out", {}, { cookie: left })).status).toBe(200);
    const second = await again(first);
    const page = listen(second, "/api/stream", { cookie: wall });
    await expect.poll(() => page.events[0]?.kind).toBe("picture");
    page.close();
    expect((await post(second, "/api/acts", { kind: "acknowledge", alertId: "a-1" }, { cookie: wall })).status).toBe(200);
    expect(ward.acts[0]?.actor).toMatchObject({ userId: "nurse.li", role: "administrator", from: "page" });
    expect((await ask(second, "/api/stream", { headers: { cookie: left } })).status).toBe(401);
  });

  test("a session that was signed out is gone from the file before the answer, and the others stay in it", async () => {
    const dashboard = await start();
    const stays = await firstAccount(dashboard);
    const leaves = await signIn(dashboard);
    const hashesInFile = async () => (await readFile(sessionsFile(), "utf8").catch(() => "")).match(/"[0-9a-f]{64}"/g)?.length;
    await expect.poll(hashesInFile).toBe(4);
    await post(dashboard, "/api/sign-out", {}, { cookie: leaves });
    const text = await readFile(sessionsFile(), "utf8");
    expect(text).toContain(hashOf(stays));
    expect(text).not.toContain(hashOf(leaves));
  });

  test("where the disk takes no more, signing out removes the whole file rather than leave the session in it", async () => {
    const dashboard = await start();
    const cookie = await firstAccount(dashboard);
    await expect.poll(() => readFile(sessionsFile(), "utf8").catch(() => "")).toContain(hashOf(cookie));
    await mkdir(`${sessionsFile()}.new`);
    expect((await post(dashboard, "/api/sign-out", {}, { cookie })).status).toBe(200);
    await expect(stat(sessionsFile())).rejects.toThrow("ENOENT");
  });

  test("the file is for the gateway's user only and holds no session id", async () => {
    const dashboard = await start();
    const cookie = await firstAccount(dashboard);
    await dashboard.close();
    expect((await stat(sessionsFile())).mode & 0o777).toBe(0o600);
    const text = await readFile(sessionsFile(), "utf8");
    expect(text).not.toContain(cookie.split("=")[1]);
    expect(JSON.parse(text)).toMatchObject({ version: 1, sessions: [{ sessionHash: hashOf(cookie), user: "nurse.li" }] });
  });

  test("a session ends at its time whatever the restarts, counted through both lives", async () => {
    const before = createSimulatedClock();
    const first = await start({ clock: before });
    const cookie = await firstAccount(first);
    await before.advance(3 * hourMs);
    // The monotonic clock begins anew with each start of a board; only the wall clock goes on.
    const after = createSimulatedClock();
    after.stepWall(3 * hourMs);
    const second = await again(first, after);
    await after.advance(lifetimeMs - 3 * hourMs - 1);
    expect(await mayLook(second, cookie)).toBe(200);
    await after.advance(1);
    expect(await mayLook(second, cookie)).toBe(401);
  });

  const restarts: readonly { readonly byMs: number; readonly status: number; readonly what: string }[] = [
    { byMs: lifetimeMs - 1, status: 200, what: "a millisecond before its end" },
    { byMs: lifetimeMs, status: 401, what: "at its end" },
    { byMs: 0, status: 200, what: "at once" },
    { byMs: -1, status: 401, what: "with a clock that was set back, so that it would last too long" },
  ];
  for (const { byMs, status, what } of restarts) {
    test(`a restart ${what}: ${status}, and what was refused is refused for good`, async () => {
      const first = await start({ clock: createSimulatedClock() });
      const cookie = await firstAccount(first);
      const after = createSimulatedClock();
      after.stepWall(byMs);
      const second = await again(first, after);
      expect(await mayLook(second, cookie)).toBe(status);
      expect((await readFile(sessionsFile(), "utf8")).includes(hashOf(cookie))).toBe(status === 200);
    });
  }

  test("a clock that is set while the gateway runs shortens no session, before or after a restart", async () => {
    const before = createSimulatedClock();
    const first = await start({ clock: before });
    const cookie = await firstAccount(first);
    const yearMs = 365 * 24 * hourMs;
    before.stepWall(yearMs);
    await before.advance(60_000);
    expect(await mayLook(first, cookie)).toBe(200);
    const after = createSimulatedClock();
    after.stepWall(yearMs + 60_000);
    const second = await again(first, after);
    await after.advance(lifetimeMs - 60_001);
    expect(await mayLook(second, cookie)).toBe(200);
    await after.advance(1);
    expect(await mayLook(second, cookie)).toBe(401);
  });

  test("a damaged or tampered file lets nobody in and does not keep the page from starting", async () => {
    let dashboard = await start();
    const cookie = await firstAccount(dashboard);
    dashboard = await again(dashboard);
    expect(await mayLook(dashboard, cookie)).toBe(200);
    const good = await readFile(sessionsFile(), "utf8");
    const [entry] = JSON.parse(good).sessions;
    const forged = cookie.replace(/=.*/, `=${"A".repeat(43)}`);
    const withEntry = (more: Record<string, unknown>) => JSON.stringify({ version: 1, sessions: [{ ...entry, ...more }] });
    const contents: readonly string[] = [
      "",
      good.slice(0, -20),
      "null",
      "[]",
      JSON.stringify({ version: 1, sessions: [null, 7, {}] }),
      JSON.stringify({ version: 2, sessions: [entry] }),
      withEntry({ sessionHash: hashOf(forged) }),
      withEntry({ endsAtMs: entry.endsAtMs - 1 }),
      withEntry({ user: "eve" }),
      withEntry({ seal: "" }),
      withEntry({ seal: undefined }),
      `${good}${" ".repeat(LIMITS.pageSessionsMax.value * 1024)}`,
    ];
    for (const content of contents) {
      await writeFile(sessionsFile(), content);
      dashboard = await again(dashboard);
      expect([await mayLook(dashboard, cookie), await mayLook(dashboard, forged)], content.slice(0, 300)).toEqual([401, 401]);
      expect(await readFile(sessionsFile(), "utf8")).not.toContain(hashOf(cookie));
    }
    await writeFile(sessionsFile(), good);
    dashboard = await again(dashboard);
    expect(await mayLook(dashboard, cookie)).toBe(200);
    await rm(sessionsFile());
    dashboard = await again(dashboard);
    expect(await mayLook(dashboard, cookie)).toBe(401);
    expect(await mayLook(dashboard, await signIn(dashboard))).toBe(200);
  });

  test("sessions of a removed account are over, also for an account made anew under its name with its password", async () => {
    const first = await start();
    const cookie = await firstAccount(first);
    const good = await first.close().then(() => readFile(sessionsFile(), "utf8"));
    await rm(join(folder, "data", "accounts.json"));
    const second = await again(first);
    expect(await readFile(sessionsFile(), "utf8")).not.toContain(hashOf(cookie));
    await firstAccount(second);
    expect(await mayLook(second, cookie)).toBe(401);
    await second.close();
    await writeFile(sessionsFile(), good);
    expect(await mayLook(await again(second), cookie)).toBe(401);
  });

  test("no more sessions than the bound are kept, and the newest ones are", async () => {
    const folderPath = join(folder, "data");
    const seal = (_user: string, text: string) => createHash("sha256").update(text).digest("hex");
    const parts = { clock: createSimulatedClock(), random: randomBytes, seal };
    const first = await openSessions(join(folderPath, "sessions.json"), parts);
    const ids = Array.from({ length: LIMITS.pageSessionsMax.value + 1 }, () => first.begin(userId("nurse.li")));
    await first.close();
    expect(JSON.parse(await readFile(sessionsFile(), "utf8")).sessions).toHaveLength(LIMITS.pageSessionsMax.value);
    const second = await openSessions(join(folderPath, "sessions.json"), parts);
    expect(ids.map((id) => second.userOf(id))).toEqual([null, ...ids.slice(1).map(() => "nurse.li")]);
    second.begin(userId("nurse.li"));
    expect([second.userOf(ids[1] ?? ""), second.userOf(ids[2] ?? "")]).toEqual([null, "nurse.li"]);
    await second.close();
  });
});

describe("the gateway's own process", () => {
  const children: ChildProcess[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) await kill(child);
  });
  /** As the power going, or the kernel: nothing is written any more. */
  const kill = async (child: ChildProcess) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  };
  /** Starts the gateway and waits for the line that tells how to sign in. */
  const startProcess = async (file: string) => {
    const main = join(import.meta.dirname, "..", "src", "main.ts");
    const child = spawn(process.execPath, [main, "gateway", "--config", file], { stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
    }
    await expect.poll(() => text, { timeout: 20_000 }).toMatch(/^sign in .*\n/m);
    const url = /^page (\S+)$/m.exec(text)?.[1] ?? "";
    const told = /^sign in .*$/m.exec(text)?.[0] ?? "";
    return { child, told, page: { url, oneTimeLink: /\S+$/.exec(told)?.[0] ?? "", close: async () => {} } };
  };

  test("killed a moment after a sign-in and started again, it knows the wall display, and tells people how to sign in", {
    timeout: 60_000,
  }, async () => {
    const dataFolder = join(folder, "gateway-data");
    const file = join(folder, "ward.yaml");
    const port = await freePort();
    const dashboard = `dashboard: { host: 127.0.0.1, port: ${port} }`;
    await writeFile(
      file,
      `gateway: { id: g, dataFolder: ${dataFolder} }\n${dashboard}\nbeds: [{ id: b, title: "1" }]\ndevices: []\n`,
    );
    const first = await startProcess(file);
    expect(first.told).toContain("sign in once within 60 minutes 首次登录: ");
    const cookie = await firstAccount(first.page);
    await expect.poll(() => readFile(join(dataFolder, "sessions.json"), "utf8").catch(() => "")).toContain(hashOf(cookie));
    await kill(first.child);
    const second = await startProcess(file);
    expect((await ask(second.page, "/api/picture", { headers: { cookie } })).status).toBe(200);
    expect(second.told).toBe(
      "sign in with your account (lost password: `vigil users passwd NAME --config FILE`) " +
        "请用账户登录（忘记密码：vigil users passwd 用户名 --config 配置文件）",
    );
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Reads events of the live stream as they come. */
function listen(dashboard: Dashboard, path = "/api/stream", headers: Record<string, string> = {}) {
  const events: { readonly kind: string; readonly data: Record<string, unknown> }[] = [];
  let ended = false;
  const sent = request(new URL(path, dashboard.url), { headers }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const [kind, data] = text.slice(0, end).split("\ndata: ");
        events.push({ kind: (kind ?? "").slice("event: ".length), data: JSON.parse(data ?? "") });
        text = text.slice(end + 2);
      }
    });
    response.on("close", () => {
      ended = true;
    });
  });
  sent.on("error", () => {
    ended = true;
  });
  sent.end();
  return { events, hasEnded: () => ended, close: () => sent.destroy() };
}

describe("the live stream", () => {
  test("the picture comes first, then changes in order, and a pulse each second", async () => {
    const dashboard = await start({ signIn: false });
    const page = listen(dashboard);
    await expect.poll(() => page.events.length).toBe(1);
    expect(page.events[0]).toMatchObject({
      kind: "picture",
      data: { picture: { beds: [{ bedId: "bed-1" }, { bedId: "bed-2" }] } },
    });
    ward.setAlert(limitAlert("a-1", Date.now()));
    ward.setBed({ ...ward.bed("bed-2"), title: "Bed two" });
    await expect.poll(() => page.events.filter((event) => event.kind === "pulse").length, { timeout: 5000 }).toBeGreaterThan(1);
    const kinds = page.events.map((event) => event.kind).filter((kind) => kind !== "pulse");
    expect(kinds).toEqual(["picture", "alerts", "beds"]);
    expect(page.events.find((event) => event.kind === "beds")?.data).toMatchObject({ beds: [{ title: "Bed two" }] });
    page.close();
  });

  test("waves go only to a page that looks at the bed, and are not asked for when it leaves", async () => {
    const dashboard = await start({ signIn: false });
    const wall = listen(dashboard);
    const near = listen(dashboard, "/api/stream?bed=bed-2");
    await expect.poll(() => wall.events.length + near.events.length).toBe(2);
    expect(ward.bedsWatchedForWaves()).toEqual(["bed-2"]);
    ward.sendWaves("bed-2", []);
    await expect.poll(() => near.events.map((event) => event.kind)).toContain("waves");
    expect(wall.events.map((event) => event.kind)).not.toContain("waves");
    near.close();
    await expect.poll(() => ward.bedsWatchedForWaves()).toEqual([]);
    expect((await ask(dashboard, "/api/stream?bed=bed-99")).status).toBe(404);
    wall.close();
  });

  test("a page that does not read is cut off, and the others go on", async () => {
    const dashboard = await start({ signIn: false });
    const reader = listen(dashboard);
    const { hostname, port } = new URL(dashboard.url);
    const slow = connect(Number(port), hostname);
    let slowClosed = false;
    slow.on("close", () => {
      slowClosed = true;
    });
    slow.on("error", () => undefined);
    slow.write("GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    slow.pause();
    await expect.poll(() => reader.events.length).toBe(1);
    const large = { ...ward.bed("bed-1"), title: "x".repeat(400_000) };
    for (let sent = 0; sent < 60; sent++) {
      ward.setBed(large);
      await wait(10);
    }
    slow.resume();
    await expect.poll(() => slowClosed, { timeout: 5000 }).toBe(true);
    expect(reader.hasEnded()).toBe(false);
    await expect.poll(() => reader.events.filter((event) => event.kind === "beds").length, { timeout: 5000 }).toBe(60);
    reader.close();
  });

  test("one page more than the bound is told so", async () => {
    const dashboard = await start({ signIn: false });
    const pages = Array.from({ length: LIMITS.pageStreamsMax.value }, () => listen(dashboard));
    await expect.poll(() => pages.every((page) => page.events.length > 0)).toBe(true);
    expect(await ask(dashboard, "/api/stream")).toMatchObject({ status: 503, body: { error: { code: "pages-too-many" } } });
    pages[0]?.close();
    const next = () => listen(dashboard);
    await expect
      .poll(async () => {
        const page = next();
        await wait(50);
        const heard = page.events.length > 0;
        page.close();
        return heard;
      })
      .toBe(true);
    for (const page of pages) page.close();
  });

  test("a page whose session is over hears nothing more", async () => {
    const dashboard = await start();
    const cookie = await firstAccount(dashboard);
    const page = listen(dashboard, "/api/stream", { cookie });
    await expect.poll(() => page.events.length).toBeGreaterThan(0);
    await post(dashboard, "/api/sign-out", {}, { cookie });
    await expect.poll(() => page.hasEnded(), { timeout: 4000 }).toBe(true);
  });
});

describe("the rest", () => {
  test("a trend is asked of the journal with its bound", async () => {
    const dashboard = await start({ signIn: false });
    const answer = await ask(dashboard, "/api/trend?patient=p1&quantity=heartRate&from=1000&to=61000&points=999999");
    expect(answer).toMatchObject({ status: 200, body: { ok: true } });
    expect(ward.trendQueries).toEqual([{ patientId: "p1", quantity: "heartRate", fromMs: 1000, toMs: 61000, pointsMax: 2000 }]);
    for (const query of [
      "quantity=heartRate&from=1&to=2&points=9",
      "patient=p&quantity=mood&from=1&to=2&points=9",
      "patient=p&quantity=heartRate&from=2&to=2&points=9",
      "patient=p&quantity=heartRate&from=1&to=2&points=1",
    ]) {
      expect((await ask(dashboard, `/api/trend?${query}`)).status, query).toBe(400);
    }
  });

  test("the strip of an alert is asked for by its id; one without an id is refused", async () => {
    const dashboard = await start({ signIn: false });
    const wave = { deviceId: deviceId("monitor-1"), waveform: "ecgLeadII", unit: "mV", origin: "measured" } as const;
    const waves = [{ ...wave, stretches: [{ fromMs: 1000.5, sampleRateHz: 250, samples: [0.5, -0.25] }] }];
    ward.setStrip("a-1", waves);
    expect(await ask(dashboard, "/api/strip?alert=a-1")).toMatchObject({ status: 200, body: { ok: true, waves } });
    expect(await ask(dashboard, "/api/strip?alert=a-2")).toMatchObject({ status: 200, body: { ok: true, waves: [] } });
    expect((await ask(dashboard, "/api/strip")).status).toBe(400);
  });

  test("a port in use is a fault with host and port, and everything opened for it is closed again", async () => {
    const first = await start({ signIn: false });
    const port = Number(new URL(first.url).port);
    const second = await startDashboard(
      { host: "127.0.0.1", port, dataFolder: folder, webFolder: folder, signIn: false },
      { clock: createSystemClock(), source: ward.source, perform: ward.perform, random: randomBytes },
    );
    expect(second).toEqual({ ok: false, error: { code: "page-port-in-use", facts: { host: "127.0.0.1", port } } });
    const missing = await startDashboard(
      { host: "203.0.113.9", port: 0, dataFolder: folder, webFolder: folder, signIn: false },
      { clock: createSystemClock(), source: ward.source, perform: ward.perform, random: randomBytes },
    );
    expect(missing).toMatchObject({ ok: false, error: { code: "page-failed" } });
  });
});
