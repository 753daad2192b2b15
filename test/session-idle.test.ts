import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock, type SimulatedClock } from "../simulator/world/simulated-clock.ts";
import { userId } from "../src/core/ids.ts";
import { type Dashboard, startDashboard } from "../src/dashboard/server/dashboard.ts";
import { openSessions, type Sessions } from "../src/dashboard/server/sessions.ts";
import { bedView, createScriptedWard, type ScriptedWard } from "./support/scripted-ward.ts";

const MINUTE_MS = 60_000;
const IDLE_MS = 30 * MINUTE_MS;
const LI = userId("li");
const PASSWORD = "correct horse 9";

let folder: string;
let clock: SimulatedClock;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-idle-"));
  clock = createSimulatedClock();
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("a session that nobody uses", () => {
  const file = () => join(folder, "sessions.json");
  const open = (onTimeOut: (user: string) => void = () => {}): Promise<Sessions> =>
    openSessions(file(), { clock, random: randomBytes, seal: (user, text) => `${user} ${text}`, onTimeOut });

  test("ends at its bound, not a moment before; one without a bound goes on", async () => {
    const sessions = await open();
    const idle = sessions.begin(LI, 600 * MINUTE_MS, IDLE_MS);
    const wall = sessions.begin(LI, 600 * MINUTE_MS);
    await clock.advance(IDLE_MS - 1);
    expect([sessions.userOf(idle), sessions.userOf(wall)]).toEqual([LI, LI]);
    await clock.advance(1);
    expect([sessions.userOf(idle), sessions.userOf(wall)]).toEqual([null, LI]);
    sessions.use(idle);
    expect(sessions.userOf(idle)).toBeNull();
    await sessions.close();
  });
  test("begins to count anew with each use, and ends at its own time all the same", async () => {
    const sessions = await open();
    const id = sessions.begin(LI, 70 * MINUTE_MS, IDLE_MS);
    await clock.advance(IDLE_MS - 1);
    sessions.use(id);
    expect(sessions.idleOf(id)).toEqual({ idleMs: IDLE_MS, leftMs: IDLE_MS });
    await clock.advance(IDLE_MS - 1);
    expect(sessions.idleOf(id)).toEqual({ idleMs: IDLE_MS, leftMs: 1 });
    sessions.use(id);
    await clock.advance(10 * MINUTE_MS + 1);
    expect(sessions.userOf(id)).toBe(LI);
    await clock.advance(1);
    expect(sessions.userOf(id)).toBeNull();
    await sessions.close();
  });
  test("is told as one whose time is over, once", async () => {
    const told: string[] = [];
    const sessions = await open((user) => told.push(user));
    sessions.begin(LI, 600 * MINUTE_MS, IDLE_MS);
    await clock.advance(IDLE_MS - 1);
    expect(told).toEqual([]);
    await clock.advance(5 * MINUTE_MS);
    expect(told).toEqual(["li"]);
    await sessions.close();
  });
  test("goes on counting while the gateway is away, from its last use", async () => {
    for (const [awayMs, user] of [
      [IDLE_MS - 1, LI],
      [IDLE_MS, null],
    ] as const) {
      const sessions = await open();
      const id = sessions.begin(LI, 600 * MINUTE_MS, IDLE_MS);
      await clock.advance(20 * MINUTE_MS);
      sessions.use(id);
      await sessions.close();
      await clock.advance(awayMs);
      clock.restartMonotonic();
      const again = await open();
      expect(again.userOf(id), `${awayMs} ms`).toBe(user);
      if (user !== null) {
        again.use(id);
        await clock.advance(IDLE_MS - 1);
        expect(again.userOf(id)).toBe(LI);
        await clock.advance(1);
        expect(again.userOf(id)).toBeNull();
      }
      await again.close();
      clock.restartMonotonic();
    }
  });
  test("is on disk within a minute of its use, so that a cut-off ends it no more than a minute early", async () => {
    const sessions = await open();
    const id = sessions.begin(LI, 600 * MINUTE_MS, IDLE_MS);
    await clock.advance(10 * MINUTE_MS + 1);
    sessions.use(id);
    await clock.advance(MINUTE_MS);
    const endsAtMs = async () => JSON.parse(await readFile(file(), "utf8")).sessions[0].idle.endsAtMs as number;
    await expect.poll(endsAtMs).toBe(clock.wall() - MINUTE_MS + IDLE_MS);
    await sessions.close();
  });
  test("is no longer for who prolongs it in the file, or takes its bound away", async () => {
    const sessions = await open();
    const id = sessions.begin(LI, 600 * MINUTE_MS, IDLE_MS);
    await sessions.close();
    const good = JSON.parse(await readFile(file(), "utf8"));
    const [entry] = good.sessions;
    const { idle, ...without } = entry;
    for (const forged of [without, { ...entry, idle: { ...idle, endsAtMs: idle.endsAtMs + 1 } }, { ...entry, idle: 7 }]) {
      await writeFile(file(), JSON.stringify({ ...good, sessions: [forged] }));
      const again = await open();
      expect(again.userOf(id)).toBeNull();
      await again.close();
    }
  });
  test("written by a clock that was ahead is over", async () => {
    const sessions = await open();
    const id = sessions.begin(LI, 600 * MINUTE_MS, IDLE_MS);
    await sessions.close();
    clock.stepWall(-MINUTE_MS);
    const again = await open();
    expect(again.userOf(id)).toBeNull();
    await again.close();
  });
});

describe("over HTTP", () => {
  const idleMinutes = { nurse: null, engineer: 30, auditor: 30, administrator: 30, family: null };

  async function serve(): Promise<{ readonly page: Dashboard; readonly ward: ScriptedWard }> {
    const ward = createScriptedWard({ nowMs: clock.wall, beds: [bedView("bed-1", clock.wall())] });
    const started = await startDashboard(
      { host: "127.0.0.1", port: 0, dataFolder: folder, webFolder: folder, signIn: true, idleMinutes },
      { clock, source: ward.source, perform: ward.perform, random: randomBytes },
    );
    if (!started.ok) throw new Error(JSON.stringify(started.error));
    return { page: started.value, ward };
  }

  const ask = (page: Dashboard, path: string, cookie: string, body?: object) =>
    fetch(new URL(path, page.url), {
      method: body === undefined ? "GET" : "POST",
      headers: {
        cookie,
        ...(body === undefined
          ? {}
          : { "content-type": "application/json", "x-vigil-page": "1", origin: new URL(page.url).origin }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  async function signIn(page: Dashboard, role: "administrator" | "nurse"): Promise<string> {
    await page.users(
      { verb: "add", name: role, password: PASSWORD, role, patientId: null },
      { userId: "root", role: null, from: "command-line" },
    );
    const answer = await ask(page, "/api/sign-in", "", { name: role, password: PASSWORD });
    return answer.headers.get("set-cookie")?.split(";")[0] ?? "";
  }

  test("reading and the live stream keep nobody signed in; what a person sends does, also over a restart", async () => {
    let { page, ward } = await serve();
    const [administrator, nurse] = [await signIn(page, "administrator"), await signIn(page, "nurse")];
    const status = async (cookie: string) => (await ask(page, "/api/picture", cookie)).status;
    const idle = async (cookie: string) =>
      ((await (await ask(page, "/api/session", cookie)).json()) as { readonly idle: unknown }).idle;
    expect(await idle(administrator)).toEqual({ idleMs: IDLE_MS, leftMs: IDLE_MS });
    expect(await idle(nurse)).toBeNull();
    const stream = await ask(page, "/api/stream", administrator);
    await clock.advance(IDLE_MS - 1);
    expect(await status(administrator)).toBe(200);
    expect((await ask(page, "/api/active", administrator, {})).status).toBe(200);
    await clock.advance(IDLE_MS - 1);
    expect(await status(administrator)).toBe(200);
    expect((await ask(page, "/api/acts", administrator, { kind: "note", patientId: "patient-of-bed-1", text: "x" })).status).toBe(
      200,
    );
    await clock.advance(IDLE_MS - 1);
    await page.close();
    clock.restartMonotonic();
    ({ page, ward } = await serve());
    // The cookie's name bears the port, which is another one now.
    const renamed = (cookie: string) => `vigil-session-${new URL(page.url).port}=${cookie.split("=")[1]}`;
    expect(await status(renamed(administrator))).toBe(200);
    await clock.advance(1);
    expect(await status(renamed(administrator))).toBe(401);
    expect((await ask(page, "/api/active", renamed(administrator), {})).status).toBe(401);
    expect(await status(renamed(nurse))).toBe(200);
    await clock.advance(MINUTE_MS);
    await expect
      .poll(() => ward.accessActs.filter(({ deed }) => deed.kind === "sign-out").map(({ deed, actor }) => [deed, actor.userId]))
      .toEqual([[{ kind: "sign-out", why: "time-out" }, "administrator"]]);
    await stream.body?.cancel();
    await page.close();
  });
});
