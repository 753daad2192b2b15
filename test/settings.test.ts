import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseConfig } from "../config/load.ts";
import { settingMeanings, settingViews } from "../config/setting-meanings.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import { checkCommand } from "../src/commands/check.ts";
import type { Act } from "../src/core/act.ts";
import { FIRST_PREVIOUS_HASH } from "../src/core/act.ts";
import { seq, userId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { JournalRecord } from "../src/core/record.ts";
import { wallMs } from "../src/core/time.ts";
import { createActBook } from "../src/gateway/act-book.ts";
import { checkConfigText } from "../src/gateway/config-check.ts";
import { putBack, replaceConfigFile, writeHindrance } from "../src/gateway/config-file.ts";
import { chainedAct } from "../src/verify/act-chain.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { freePort } from "./support/mosquitto.ts";
import { type Files, openFaults, runSupervised, writeConfig } from "./support/real-gateway.ts";
import { makeFirstAccount, type SignedPage } from "./support/signed-page.ts";
import { type Stage, stageOfEachTest } from "./support/stage.ts";
import { until } from "./support/until.ts";

/** Root may write whatever the rights say. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : null;
const CONFIG_FILE_MODULE = new URL("../src/gateway/config-file.ts", import.meta.url).href;

/** What keeps a user without privileges from writing a file, asked by a process of theirs. */
async function hindranceForUser(path: string): Promise<unknown> {
  const script = `import(${JSON.stringify(CONFIG_FILE_MODULE)})
    .then(({ writeHindrance }) => writeHindrance(${JSON.stringify(path)})).then((found) => console.log(JSON.stringify(found)));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["-e", script], { cwd: "/", ...NOBODY });
  return JSON.parse(stdout);
}

const hashOf = (text: string) => createHash("sha256").update(text).digest("hex");

describe("what settings mean", () => {
  test("every one says it in English and in Chinese", () => {
    const rows = settingMeanings();
    expect(rows.length).toBeGreaterThan(100);
    const silent = rows.filter(({ meaning, kind }) => {
      const says = [meaning.en, meaning.zh, kind?.en ?? "-", kind?.zh ?? "-"];
      return (
        says.some((text) => text.trim() === "") ||
        !/\p{Script=Han}/u.test(meaning.zh) ||
        /\p{Script=Han}/u.test(meaning.en.replace("张*", ""))
      );
    });
    expect(silent.map(({ path }) => path)).toEqual([]);
    expect(new Set(rows.map(({ path }) => path)).size).toBe(rows.length);
  });

  test("bounds and defaults are those of the checks", () => {
    const size = settingMeanings().find(({ path }) => path === "journal.sizeMegabytesMax");
    expect(size).toMatchObject({
      kind: { en: "integer 16 to 1000000", zh: "整数 16 至 1000000" },
      fallback: "2048",
      required: false,
    });
    expect(settingMeanings().find(({ path }) => path === "gateway.id")).toMatchObject({ fallback: null, required: true });
  });

  test("what is in effect stands beside it, and what differs from the default is marked", () => {
    const text = JSON.stringify({
      gateway: { id: "ward-1", dataFolder: "data" },
      journal: { sizeMegabytesMax: 4096, waves: { ringMinutes: 10 } },
      devices: [{ id: "m-1", driver: "serial-ivy-450c", link: { kind: "tcp", host: "10.0.0.1", port: 4001 } }],
    });
    const parsed = parseConfig(text, "/etc/vigil");
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    const rows = new Map(settingViews(parsed.value).map((row) => [row.place, row]));
    expect(rows.get("gateway.dataFolder")).toMatchObject({ value: '"/etc/vigil/data"', differs: true });
    expect(rows.get("journal.sizeMegabytesMax")).toMatchObject({ value: "4096", differs: true });
    expect(rows.get("journal.waves.ringMinutes")).toMatchObject({ value: "10", differs: false });
    expect(rows.get("dashboard.metricsTokenFile")).toMatchObject({ value: null, differs: false });
    expect(rows.get("devices.0.link.port")).toMatchObject({ path: "devices[].link(tcp).port", value: "4001", differs: true });
    const known = new Set(settingMeanings().map(({ path }) => path));
    expect([...rows.values()].filter(({ path }) => !known.has(path) && !path.endsWith("[]"))).toEqual([]);
  });
});

describe("the check of a text", () => {
  const check = async (text: string) => (await checkConfigText({ text, folder: "/etc/vigil" }, createSystemClock())).check;
  const GATEWAY = "gateway:\n  id: ward-1\n  dataFolder: data\n";

  test("tells every problem at its line, as vigil check does", async () => {
    const text = `${GATEWAY}journal:\n  # large enough\n  sizeMegabytesMax: 3\nbeds:\n  - id: b1\n    title: A\n  - id: b1\n    colour: red\n    title: B\ndevices: []\nlogs: 1\n`;
    const { problems } = await check(text);
    const found = problems.map(({ path, line }) => [path, line]);
    expect(found).toEqual([
      ["journal.sizeMegabytesMax", 6],
      ["beds.1.colour", 11],
      ["logs", 14],
      ["beds.1", 10],
    ]);
    const folder = await mkdtemp(join(tmpdir(), "vigil-check-"));
    await writeFile(join(folder, "a.yaml"), text);
    const io = collectingIo();
    expect(await checkCommand.run(["--config", join(folder, "a.yaml")], io)).toBe(1);
    const told = io.out.map((line) => JSON.parse(line) as { path: string; line: number });
    expect(told.map(({ path, line }) => [path, line])).toEqual(found);
    await rm(folder, { recursive: true });
  });

  test.each([
    ["a list that is not closed", `${GATEWAY}beds: [\n  { id: b1, title: A }\n`, 6],
    ["a key that stands twice", `${GATEWAY}log: {}\nlog: {}\n`, 5],
    ["an alias that leads nowhere", `${GATEWAY}beds: *nowhere\n`, 4],
  ])("%s is told at its line", async (_what, text, line) => {
    const { problems } = await check(text);
    expect(problems.length).toBeGreaterThan(0);
    expect([line, 1]).toContain(problems[0]?.line);
  });

  test("a text made to eat memory or time is refused, and this process does not feel it", async () => {
    const laughs = [
      `a: &a [${'"x",'.repeat(9)}"x"]`,
      ...[..."bcdefghij"].map(
        (name, index) => `${name}: &${name} [${`*${"abcdefghi"[index]},`.repeat(9)}*${"abcdefghi"[index]}]`,
      ),
    ];
    for (const text of [laughs.join("\n"), "[".repeat(100_000)]) {
      let longestMs = 0;
      let lastMs = performance.now();
      const ticking = setInterval(() => {
        longestMs = Math.max(longestMs, performance.now() - lastMs);
        lastMs = performance.now();
      }, 10);
      const { problems } = await check(text);
      clearInterval(ticking);
      expect(problems.length).toBeGreaterThan(0);
      expect(longestMs).toBeLessThan(2000);
    }
  }, 60_000);

  test("pages without encryption on the network are warned of, and nothing else is", async () => {
    const at = (host: string, tls: string) => check(`${GATEWAY}dashboard:\n  host: ${host}\n${tls}`);
    expect((await at("0.0.0.0", "  tls: none\n")).warnings.map(({ path }) => path)).toEqual(["dashboard.tls"]);
    for (const [host, tls] of [
      ["0.0.0.0", ""],
      ["0.0.0.0", "  tls: own\n"],
      ["127.0.0.1", "  tls: none\n"],
    ] as const)
      expect(await at(host, tls)).toEqual({ problems: [], warnings: [] });
  });
});

describe("the configuration's file", () => {
  let folder = "";
  const file = () => join(folder, "ward.yaml");
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "vigil-file-"));
    await writeFile(file(), "one\n", { mode: 0o640 });
    await chmod(file(), 0o640);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("gets another text with its rights kept and a copy of the former beside it", async () => {
    const atMs = Date.UTC(2026, 10, 22, 8, 15, 2, 123);
    expect(await replaceConfigFile(file(), "two\n", atMs)).toEqual({ ok: true, value: `${file()}.bak-20261122T081502123Z` });
    expect(await readFile(file(), "utf8")).toBe("two\n");
    expect(await readFile(`${file()}.bak-20261122T081502123Z`, "utf8")).toBe("one\n");
    for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777, name).toBe(0o640);
    expect((await readdir(folder)).sort()).toEqual(["ward.yaml", "ward.yaml.bak-20261122T081502123Z"]);
  });

  test("of copies the newest stay, and files of other names are left alone", async () => {
    const others = ["ward.yaml.bak-mine", "ward.yaml.bak-20200101T000000000Z.txt", "other.yaml.bak-20200101T000000000Z"];
    for (const name of others) await writeFile(join(folder, name), "");
    const max = LIMITS.configBackupsMax.value;
    for (let index = 0; index <= max; index++)
      await replaceConfigFile(file(), `text ${index}\n`, 1_790_000_000_000 + index * 1000);
    const names = await readdir(folder);
    expect(names).toEqual(expect.arrayContaining(others));
    const copies = names.filter((name) => /^ward\.yaml\.bak-\d{8}T\d{9}Z$/.test(name)).sort();
    expect(copies.length).toBe(max);
    expect(await readFile(join(folder, copies[0] ?? ""), "utf8")).toBe("text 0\n");
  });

  test("a link stays a link", async () => {
    const link = join(folder, "link.yaml");
    await symlink("ward.yaml", link);
    expect((await replaceConfigFile(link, "two\n", 0)).ok).toBe(true);
    expect(await readFile(file(), "utf8")).toBe("two\n");
    expect((await stat(link)).ino).toBe((await stat(file())).ino);
  });

  test("is put back from a copy of its own, and from no other file; what failed is kept", async () => {
    await replaceConfigFile(file(), "two\n", 1000);
    const copy = `${file()}.bak-19700101T000001000Z`;
    expect(await putBack(file(), copy, 2000)).toBeNull();
    expect(await readFile(file(), "utf8")).toBe("one\n");
    expect(await readFile(`${file()}.failed-19700101T000002000Z`, "utf8")).toBe("two\n");
    expect(await putBack(file(), "/etc/passwd", 3000)).toBe("not a copy of this file");
    expect(await putBack(file(), `${file()}.bak-none`, 3000)).toBe("ENOENT");
    expect(await readFile(file(), "utf8")).toBe("one\n");
  });

  test("one that may not be written says why", async () => {
    if (NOBODY !== null) for (const path of [folder, file()]) await chown(path, NOBODY.uid, NOBODY.gid);
    expect(await hindranceForUser(file())).toBeNull();
    await chmod(folder, 0o500);
    expect(await hindranceForUser(file())).toEqual({ code: "folder-not-writable", detail: "EACCES" });
    await chmod(folder, 0o700);
    await chmod(file(), 0o400);
    expect(await hindranceForUser(file())).toEqual({ code: "file-not-writable", detail: "EACCES" });
  });

  test("one that is gone says so", async () => {
    await rm(file());
    expect(await writeHindrance(file())).toEqual({ code: "file-unreadable", detail: "ENOENT" });
  });
});

describe("who did what", () => {
  const START_MS = Date.UTC(2026, 10, 1);
  /** A chain of so many acts, one an hour, of two people in turn. */
  function chainOf(count: number): Act[] {
    const acts: Act[] = [];
    let previous = FIRST_PREVIOUS_HASH;
    for (let index = 0; index < count; index++) {
      const by = index % 2 === 0 ? "nurse.li" : "nurse.wang";
      const deed = index % 5 === 0 ? ({ kind: "sign-in" } as const) : ({ kind: "sign-out", why: "asked" } as const);
      const act = chainedAct(
        {
          kind: "act",
          seq: seq(10 * (index + 1)),
          atMs: wallMs(START_MS + index * 3_600_000),
          by: userId(by),
          role: "nurse",
          from: "page",
          at: null,
          deed,
        },
        previous,
      );
      acts.push(act);
      previous = act.hash;
    }
    return acts;
  }
  const bookOf = (acts: readonly Act[], clock = createSystemClock()) => {
    const read = async ({
      afterSeq,
      upToSeq,
      limit,
    }: {
      afterSeq: number;
      upToSeq?: number;
      limit: number;
    }): Promise<readonly JournalRecord[]> =>
      acts.filter((act) => act.seq > afterSeq && act.seq <= (upToSeq ?? Number.POSITIVE_INFINITY)).slice(0, limit);
    return createActBook({ clock, journal: { read } });
  };
  const ALL = { fromMs: null, toMs: null, by: null, kind: null, beforeSeq: null };

  test("comes newest first, by day, person and kind, page by page, none twice and none missing", async () => {
    const acts = chainOf(350);
    const book = bookOf(acts);
    const seen: number[] = [];
    for (let beforeSeq: number | null = null; ; ) {
      const view = await book.records({ ...ALL, by: "nurse.li", beforeSeq });
      expect(view.acts.length).toBeLessThanOrEqual(LIMITS.actsShownMax.value);
      expect(view.count).toBe(175);
      seen.push(...view.acts.map((act) => act.seq));
      if (view.nextBeforeSeq === null) break;
      beforeSeq = view.nextBeforeSeq;
    }
    expect(seen).toEqual(
      acts
        .filter(({ by }) => by === "nurse.li")
        .map((act) => act.seq)
        .reverse(),
    );
    const day = { ...ALL, fromMs: wallMs(START_MS + 86_400_000), toMs: wallMs(START_MS + 2 * 86_400_000) };
    const ofDay = await book.records(day);
    expect(ofDay.acts.map((act) => act.seq)).toEqual(
      acts
        .slice(24, 48)
        .map((act) => act.seq)
        .reverse(),
    );
    expect((await book.records({ ...day, kind: "sign-in" })).acts.map((act) => act.seq)).toEqual([460, 410, 360, 310, 260]);
    expect(ofDay).toMatchObject({ people: ["nurse.li", "nurse.wang"], kinds: ["sign-in", "sign-out"] });
  });

  test("its chain is checked up to the newest act, and what comes later is checked too", async () => {
    const acts = chainOf(230);
    const growing = acts.slice(0, 220);
    const book = bookOf(growing);
    expect((await book.records(ALL)).chain).toMatchObject({
      complete: true,
      checkedActs: 220,
      lastSeq: 2200,
      breakCount: 0,
      firstBreak: null,
    });
    growing.push(...acts.slice(220));
    const later = await book.records(ALL);
    expect(later.chain).toMatchObject({ checkedActs: 230, lastSeq: 2300, breakCount: 0 });
    expect(later.acts[0]?.seq).toBe(2300);
  });

  test("an act that was changed, and one that was taken out, are named; changes of old acts are found within the hour", async () => {
    const acts = chainOf(120);
    const clock = createSimulatedClock();
    const ticking = {
      ...clock,
      sleep: (delayMs: number, stop?: AbortSignal) => (delayMs < 100 ? Promise.resolve() : clock.sleep(delayMs, stop)),
    };
    const book = bookOf(acts, ticking);
    expect((await book.records(ALL)).chain.breakCount).toBe(0);
    const tenth = acts[9];
    if (tenth === undefined) throw new Error("no act");
    acts[9] = { ...tenth, by: userId("nurse.wu") };
    acts.splice(50, 1);
    expect((await book.records(ALL)).chain.breakCount).toBe(0);
    await clock.advance(LIMITS.actChainFreshMs.value);
    expect((await book.records(ALL)).chain.breakCount).toBe(0);
    await clock.advance(1);
    expect((await book.records(ALL)).chain).toMatchObject({
      breakCount: 2,
      firstBreak: { seq: 100, why: "changed", afterSeq: 90 },
    });
  });
});

describe("a running gateway's settings", () => {
  const stage = stageOfEachTest();

  async function start(
    at: Stage,
  ): Promise<{ readonly files: Files; readonly page: SignedPage; readonly run: Awaited<ReturnType<typeof runSupervised>> }> {
    const files = await writeConfig(at, { ward: null, pagePort: await freePort() });
    const run = await runSupervised(at, files);
    const link = await until(
      "the one-time link is printed",
      () => /http:\S+#\/first\/\S+/.exec(run.supervisor.stdout.join("\n"))?.[0],
    );
    return { files, page: await makeFirstAccount(link), run };
  }

  test("are shown, checked, written with an act, and taken into use by a restart that nobody is alarmed of", async () => {
    const { files, page, run } = await start(stage());
    const { body: shown } = await page.get("/api/settings");
    const text = await readFile(files.configFile, "utf8");
    expect(shown).toMatchObject({
      file: files.configFile,
      text,
      textHash: hashOf(text),
      runningHash: hashOf(text),
      readOnly: null,
      noRestart: null,
      certificate: null,
    });
    // Secrets stand in files of their own, and nothing of them is shown.
    expect(JSON.stringify(shown)).not.toContain("correct horse");

    const wrong = text.replace('"enabled": true', '"enabled": "perhaps"');
    const checked = await page.post("/api/settings/check", { text: wrong });
    const line = wrong.split("\n").findIndex((one) => one.includes("perhaps")) + 1;
    expect(checked.body).toMatchObject({ ok: true, problems: [{ path: "dashboard.enabled", line }] });
    expect((await page.post("/api/settings/save", { text: wrong, baseHash: hashOf(text) })).body).toMatchObject({
      kind: "refused",
      problems: [{ path: "dashboard.enabled", line }],
    });
    expect(await readFile(files.configFile, "utf8")).toBe(text);

    const better = text.replace('"beds": []', '"beds": [{ "id": "bed-7", "title": "Seven" }]');
    expect((await page.post("/api/settings/save", { text: better, baseHash: hashOf("another") })).body).toMatchObject({
      kind: "changed-meanwhile",
      textHash: hashOf(text),
    });
    const saved = await page.post("/api/settings/save", { text: better, baseHash: hashOf(text) });
    expect(saved.body).toMatchObject({ kind: "saved", textHash: hashOf(better), durable: true, warnings: [] });
    expect(await readFile(files.configFile, "utf8")).toBe(better);
    expect(await readFile(String(saved.body["backupFile"]), "utf8")).toBe(text);
    expect((await stat(files.configFile)).mode & 0o777).toBe(0o600);
    expect((await page.get("/api/settings")).body).toMatchObject({ textHash: hashOf(better), runningHash: hashOf(text) });

    expect(await page.post("/api/settings/restart", {})).toMatchObject({ status: 200 });
    await until(
      "the gateway is ready again",
      () => run.events().filter(({ kind }) => kind === "gateway-ready").length === 2,
      30_000,
    );
    const body = await until(
      "the page is there again",
      async () => (await page.get("/api/settings").catch(() => null))?.body ?? null,
      15_000,
    );
    expect(body).toMatchObject({ runningHash: hashOf(better), textHash: hashOf(better) });
    const { body: picture } = await page.get("/api/picture");
    expect(picture["beds"]).toMatchObject([{ bedId: "bed-7" }]);
    expect(run.events().filter(({ kind }) => kind === "sound-started" || kind === "restart-planned")).toEqual([]);
    expect(await openFaults(files, "gateway-restarted")).toEqual([]);
    const { body: records } = await page.get("/api/records");
    const acts = records["acts"] as readonly Act[];
    expect(acts.slice(0, 2).map(({ by, role, deed }) => ({ by, role, deed }))).toEqual([
      { by: "chief", role: "administrator", deed: { kind: "restart-asked" } },
      { by: "chief", role: "administrator", deed: { kind: "settings-changed", before: hashOf(text), after: hashOf(better) } },
    ]);
    expect(records["chain"]).toMatchObject({ complete: true, breakCount: 0 });
  });

  test("are refused without our header, from elsewhere, too large, or not as they must be; a place where no page could be is no setting", async () => {
    const { files, page } = await start(stage());
    const text = await readFile(files.configFile, "utf8");
    const refused = async (path: string, body: unknown, more?: readonly string[]) => (await page.post(path, body, more)).status;
    const json = ["-H", "content-type: application/json"];
    for (const path of ["check", "save", "restart"]) {
      const body = { text, baseHash: hashOf(text) };
      expect(await refused(`/api/settings/${path}`, body, json), path).toBe(403);
      const foreign = [...json, "-H", "x-vigil-page: 1", "-H", "origin: http://evil.example"];
      expect(await refused(`/api/settings/${path}`, body, foreign), path).toBe(403);
    }
    const max = LIMITS.configFileBytesMax.value;
    const padded = (bytes: number) => `${text}\n#${"x".repeat(bytes - Buffer.byteLength(text) - 2)}`;
    expect(await page.post("/api/settings/check", { text: padded(max) })).toMatchObject({ status: 200, body: { problems: [] } });
    expect(await refused("/api/settings/check", { text: padded(max + 1) })).toBe(413);
    expect(await refused("/api/settings/check", { text: "x".repeat(3 * max) })).toBe(413);
    for (const body of [{}, { text: 5 }, [], "text"]) expect(await refused("/api/settings/check", body)).toBe(400);
    for (const baseHash of [undefined, 5, "../../etc/passwd", "A".repeat(64)])
      expect(await refused("/api/settings/save", { text, baseHash })).toBe(400);
    const elsewhere = text.replace('"enabled": true', '"enabled": true, "host": "203.0.113.7"');
    expect((await page.post("/api/settings/check", { text: elsewhere })).body).toMatchObject({
      problems: [{ path: "dashboard.host" }],
      warnings: [{ path: "dashboard" }],
    });
    expect(await readFile(files.configFile, "utf8")).toBe(text);
    for (const query of ["from=x", "to=-1", "before=1.5", "kind=party"])
      expect((await page.get(`/api/records?${query}`)).status).toBe(400);
  });
});
