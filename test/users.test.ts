import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { devicesCommand } from "../src/commands/devices.ts";
import { usersCommand } from "../src/commands/users.ts";
import type { Act } from "../src/core/act.ts";
import { openAccounts } from "../src/dashboard/server/accounts.ts";
import { lockFolder } from "../src/journal/journal-folder.ts";
import { viewJournal } from "../src/journal/read-only.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { until } from "./support/until.ts";

const MAIN = join(import.meta.dirname, "..", "src", "main.ts");
/** Runs a command at a terminal of its own. Source: script(1), of Debian's bsdutils. */
const TERMINAL = "/usr/bin/script";
const children: ChildProcess[] = [];
let folder = "";
let config = "";
let data = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-users-"));
  data = join(folder, "data");
  config = join(folder, "ward.yaml");
  await writeFile(
    config,
    `gateway: { id: g, dataFolder: ${data} }\nbeds: [{ id: b, title: "1" }]\ndashboard: { enabled: false }\n`,
  );
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
  await rm(folder, { recursive: true, force: true });
});

async function users(args: readonly string[], input: readonly string[] = []) {
  const io = collectingIo(input);
  const code = await usersCommand.run([...args, "--config", config], io);
  return { code, out: io.out.map((line) => JSON.parse(line) as Record<string, unknown>), err: io.err.join("\n") };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** The gateway's own process on the configuration. */
async function startGateway(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN, "gateway", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  await until("the control socket is there", () => stat(join(data, "control.sock")).catch(() => null), 20_000);
  return child;
}

async function stopGateway(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  await gone;
}

function actsInJournal(): readonly Act[] {
  const opened = viewJournal(join(data, "journal"));
  if (!opened.ok) throw new Error(JSON.stringify(opened.error));
  const acts = [...opened.value.walkKept(["act"])].flatMap((step) =>
    step.kind === "record" && step.record.kind === "act" ? [step.record] : [],
  );
  opened.value.close();
  return acts;
}

const PASSWORD = "correct horse 9";

describe("vigil users while no gateway runs", () => {
  test("adds, lists, changes and removes; the password comes from standard input and is nowhere to be read", async () => {
    expect((await users(["add", "head", "--role", "administrator"], [PASSWORD])).out).toEqual([{ ok: true }]);
    expect((await users(["add", "li", "--role", "nurse"], [PASSWORD])).code).toBe(0);
    expect((await users(["add", "son", "--role", "family", "--patient", "p-7"], [PASSWORD])).code).toBe(0);
    expect((await users(["role", "li", "--role", "engineer"])).code).toBe(0);
    expect((await users(["passwd", "li"], ["another horse 9"])).code).toBe(0);
    const listed = await users(["list"]);
    expect(listed.out.map(({ name, role, patientId }) => [name, role, patientId])).toEqual([
      ["head", "administrator", null],
      ["li", "engineer", null],
      ["son", "family", "p-7"],
    ]);
    const file = join(data, "accounts.json");
    expect(await readFile(file, "utf8")).not.toContain("horse");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const accounts = await openAccounts(file, randomBytes);
    expect(accounts.ok && (await accounts.value.check("li", "another horse 9"))).toBe("li");
    expect(accounts.ok && (await accounts.value.check("li", PASSWORD))).toBe(null);
    expect((await users(["remove", "son"])).code).toBe(0);
    expect((await users(["list"])).out).toHaveLength(2);
  });

  test("what cannot be is refused with a reason, and changes nothing", async () => {
    expect((await users(["add", "li", "--role", "nurse"], [PASSWORD])).err).toContain("administrator");
    await users(["add", "head", "--role", "administrator"], [PASSWORD]);
    expect((await users(["add", "head", "--role", "nurse"], [PASSWORD])).out[0]).toMatchObject({
      ok: false,
      error: { facts: { taken: "yes" } },
    });
    expect((await users(["add", "wu", "--role", "nurse"], ["too short"])).code).toBe(1);
    expect((await users(["add", "wu", "--role", "nurse"], [])).err).toContain("No password");
    expect((await users(["remove", "head"])).err).toContain("Somebody must stay administrator");
    expect((await users(["remove", "wu"])).err).toContain("no such account");
    expect((await users(["role", "head", "--role", "nurse"])).code).toBe(1);
    for (const wrong of [
      ["add", "wu", "--role", "king"],
      ["add", "wu", "--role", "family"],
      ["add", "wu", "--role", "nurse", "--patient", "p"],
    ])
      expect((await users(wrong, [PASSWORD])).code, wrong.join(" ")).toBe(2);
    for (const wrong of [["add", "wu"], ["passwd"], ["list", "x"], ["add", "wu", PASSWORD, "--role", "nurse"], ["paint"]])
      expect((await users(wrong, [PASSWORD])).code, wrong.join(" ")).toBe(2);
    expect((await users(["list"])).out).toHaveLength(1);
  });

  test("keeps away while somebody else holds the journal", async () => {
    await mkdir(join(data, "journal"), { recursive: true });
    const lock = lockFolder(join(data, "journal"));
    const refused = await users(["add", "head", "--role", "administrator"], [PASSWORD]);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("does not answer");
    if (lock.ok) lock.value.release();
    expect((await users(["add", "head", "--role", "administrator"], [PASSWORD])).code).toBe(0);
  });
});

describe("vigil users and a real gateway", () => {
  test("what was changed before it ran is an act of its first life, once; what is changed beside it is one at once", {
    timeout: 60_000,
  }, async () => {
    const port = await freePort();
    const served = async () => (await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null))?.ok;
    await writeFile(config, (await readFile(config, "utf8")).replace("enabled: false", `port: ${port}`));
    await users(["add", "head", "--role", "administrator"], [PASSWORD]);
    await users(["add", "li", "--role", "nurse"], [PASSWORD]);
    const first = await startGateway();
    await until("the page is served", served);
    expect((await users(["passwd", "li"], ["another horse 9"])).code).toBe(0);
    expect((await users(["list"])).out.map(({ name }) => name)).toEqual(["head", "li"]);
    await stopGateway(first);
    const acts = actsInJournal();
    expect(acts.map(({ deed }) => deed)).toEqual([
      { kind: "account-added", account: "head", role: "administrator", patientId: null },
      { kind: "account-added", account: "li", role: "nurse", patientId: null },
      { kind: "account-changed", account: "li", what: "password" },
    ]);
    expect(acts.every(({ from, hash }) => from === "command-line" && hash?.length === 64)).toBe(true);
    expect(acts[0]?.at).toMatch(/^\? \d{4}-/);
    const second = await startGateway();
    await until("the page is served", served);
    await stopGateway(second);
    expect(actsInJournal()).toHaveLength(3);
  });

  test("works too where no page is served", { timeout: 40_000 }, async () => {
    const gateway = await startGateway();
    expect((await users(["add", "head", "--role", "administrator"], [PASSWORD])).code).toBe(0);
    await stopGateway(gateway);
    expect(actsInJournal().map(({ deed }) => deed.kind)).toEqual(["account-added"]);
  });

  test("accounts of devices are acts too; of changes made while no gateway runs the next one makes acts, once", {
    timeout: 60_000,
  }, async () => {
    const devices = async (...args: readonly string[]) => {
      const io = collectingIo();
      expect(await devicesCommand.run([...args, "--config", config], io), io.err.join("\n")).toBe(0);
      return io.err.join("\n");
    };
    const kept = async () => JSON.parse(await readFile(join(data, "broker-accounts.json"), "utf8"));
    expect(await devices("add", "probe-1")).toContain("the next one records this");
    expect(await devices("renew", "probe-1")).toContain("the next one records this");
    expect((await kept()).changes).toHaveLength(2);
    const first = await startGateway();
    await until("what waited is recorded", async () => (await kept()).changes === undefined);
    expect(await devices("add", "probe-2")).not.toContain("records this");
    // A device and a patient that nobody knows: refused by the gateway, so that it was asked.
    const io = collectingIo();
    const confirm = ["confirm", "clip-1", "--patient", "p-1", "--config", config];
    expect(await devicesCommand.run(confirm, io)).toBe(1);
    expect(io.err.join("")).toContain("This device is on nobody");
    await devices("renew", "probe-2");
    await devices("forget", "probe-1");
    expect((await kept()).changes).toBeUndefined();
    await stopGateway(first);
    const second = await startGateway();
    await stopGateway(second);
    const acts = actsInJournal();
    expect(acts.map(({ deed }) => deed)).toEqual([
      { kind: "device-account-added", account: "probe-1" },
      { kind: "device-account-changed", account: "probe-1", what: "password" },
      { kind: "device-account-added", account: "probe-2" },
      { kind: "device-account-changed", account: "probe-2", what: "password" },
      { kind: "device-account-removed", account: "probe-1" },
    ]);
    expect(acts.every(({ from, hash }) => from === "command-line" && hash?.length === 64)).toBe(true);
  });
});

describe("a password at a terminal", () => {
  /** Runs the command at a terminal of its own and types what is asked for. */
  async function typed(args: readonly string[], answers: readonly string[]) {
    const command = [process.execPath, MAIN, "users", ...args, "--config", config].map((word) => `'${word}'`).join(" ");
    const child = spawn(TERMINAL, ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "pipe"] });
    children.push(child);
    let shown = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      shown += chunk;
    });
    const gone = once(child, "exit");
    for (const [index, answer] of answers.entries()) {
      const question = ["New password", "Once more"][index] ?? "";
      await until(`it asks: ${question}; ${shown}`, () => shown.includes(question), 20_000);
      child.stdin.write(answer);
    }
    const [code] = await gone;
    return { code, shown };
  }

  test("is asked for twice and shown nowhere; mistyped characters can be taken back", { timeout: 40_000 }, async () => {
    const { code, shown } = await typed(
      ["add", "head", "--role", "administrator"],
      ["correcx\u007ft horse 9\r", `${PASSWORD}\r`],
    );
    expect(code, shown).toBe(0);
    expect(shown).not.toContain("horse");
    const accounts = await openAccounts(join(data, "accounts.json"), randomBytes);
    expect(accounts.ok && (await accounts.value.check("head", PASSWORD))).toBe("head");
  });

  test("that is not the same the second time changes nothing, nor does Ctrl-C", { timeout: 40_000 }, async () => {
    const different = await typed(["add", "head", "--role", "administrator"], [`${PASSWORD}\r`, `${PASSWORD}9\r`]);
    expect(different.code).toBe(1);
    const givenUp = await typed(["add", "head", "--role", "administrator"], ["correct\u0003"]);
    expect(givenUp.code).toBe(1);
    expect(await stat(join(data, "accounts.json")).catch(() => null)).toBeNull();
  });
});
