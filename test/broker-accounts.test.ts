import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { startBroker } from "../src/broker/broker.ts";
import { type BrokerAccounts, openBrokerAccounts } from "../src/broker/broker-accounts.ts";
import { PasswordCheck } from "../src/broker/password-check.ts";
import { createSystemClock } from "../src/clock.ts";
import type { AccessDeed } from "../src/core/act.ts";
import { LIMITS } from "../src/core/limits.ts";
import { wallMs } from "../src/core/time.ts";
import { type BrokerStage, clientOptions, connectClient, startStage, trySignIn } from "./support/broker-stage.ts";
import { pause, until } from "./support/until.ts";

const cleanups: (() => unknown)[] = [];
let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-accounts-"));
  file = join(folder, "broker-accounts.json");
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

async function open(path = file): Promise<BrokerAccounts> {
  const opened = await openBrokerAccounts(path, { now: () => wallMs(1_790_000_000_000), random: randomBytes });
  if (!opened.ok) throw new Error(JSON.stringify(opened.error));
  return opened.value;
}

async function startedStage(): Promise<BrokerStage> {
  const stage = await startStage();
  cleanups.push(stage.remove);
  return stage;
}

async function renewed(stage: BrokerStage, name: string): Promise<string> {
  const answer = await stage.broker.renewPassword(name);
  return answer.ok ? answer.value.password : "";
}

describe("changes that the gateway is to record", () => {
  const change = (deed: AccessDeed) => ({ atMs: 1_790_000_000_000, by: "root", at: "/dev/pts/3", deed });
  const openForCommand = async () => {
    const parts = { now: () => wallMs(1_790_000_000_000), random: randomBytes, later: change };
    const opened = await openBrokerAccounts(file, parts);
    if (!opened.ok) throw new Error(JSON.stringify(opened.error));
    return opened.value;
  };
  const told = async (accounts: BrokerAccounts) => {
    const changes: unknown[] = [];
    const outcome = await accounts.tellWaitingChanges(async (each) => changes.push(each));
    expect(outcome.ok).toBe(true);
    return changes;
  };

  test("wait with the account in one file, and are told once and in order", async () => {
    const command = await openForCommand();
    await command.add({ name: "clip-1" });
    await command.renewPassword("clip-1");
    await command.remove("clip-1");
    const gateway = await open();
    // What the gateway itself changes, it records itself.
    await gateway.add({ name: "clip-2" });
    expect(await told(gateway)).toEqual([
      change({ kind: "device-account-added", account: "clip-1" }),
      change({ kind: "device-account-changed", account: "clip-1", what: "password" }),
      change({ kind: "device-account-removed", account: "clip-1" }),
    ]);
    expect(await told(gateway)).toEqual([]);
    expect(await told(await open())).toEqual([]);
    expect((await open()).list().map(({ name }) => name)).toEqual(["clip-2"]);
  });
  test("are told again by the next, where telling was cut off; what came meanwhile is not forgotten", async () => {
    const command = await openForCommand();
    await command.add({ name: "clip-1" });
    const gateway = await open();
    await expect(gateway.tellWaitingChanges(() => Promise.reject(new Error("cut off")))).rejects.toThrow("cut off");
    const names: string[] = [];
    await gateway.tellWaitingChanges(async ({ deed }) => {
      names.push("account" in deed ? String(deed.account) : "");
      await command.add({ name: "clip-2" });
    });
    expect(names).toEqual(["clip-1"]);
    expect(await told(gateway)).toEqual([change({ kind: "device-account-added", account: "clip-2" })]);
  });
  test("no more than the bound wait; a file with one that nobody knows is damaged", async () => {
    const command = await openForCommand();
    await command.add({ name: "clip-1" });
    for (let count = 1; count < LIMITS.accountChangesWaitingMax.value; count++)
      expect((await command.renewPassword("clip-1")).ok).toBe(true);
    const before = await readFile(file, "utf8");
    const refused = await command.renewPassword("clip-1");
    expect(refused).toMatchObject({ ok: false, error: { facts: { reason: "changes-waiting" } } });
    expect(await readFile(file, "utf8")).toBe(before);
    await writeFile(file, before.replace("device-account-changed", "sign-in"));
    expect((await openBrokerAccounts(file, { now: () => wallMs(1), random: randomBytes })).ok).toBe(false);
  });
});

describe("accounts in their file", () => {
  test("an account is on disk when its password is told, the password is not, and only the gateway's user can read the file", async () => {
    const accounts = await open();
    const added = await accounts.add({ name: "monitor-1" });
    const password = added.ok ? (added.value.password ?? "") : "";
    expect(password).toMatch(/^[a-z2-9]{7}(-[a-z2-9]{7}){3}$/);
    const text = await readFile(file, "utf8");
    expect(text).toContain('"monitor-1"');
    expect(text).not.toContain(password);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await open()).find("monitor-1")).toEqual(accounts.find("monitor-1"));
    expect(accounts.find("monitor-1")).toMatchObject({
      clientIds: ["monitor-1"],
      createdAtMs: 1_790_000_000_000,
      expiresAtMs: null,
      rights: [
        { access: "publish", filter: "devices/%u/#" },
        { access: "subscribe", filter: "devices/%u/commands/#" },
      ],
    });
  });

  test("no two passwords are alike", async () => {
    const accounts = await open();
    const made = await Promise.all(["a", "b", "c", "d"].map((name) => accounts.add({ name })));
    expect(new Set(made.map((one) => (one.ok ? one.value.password : null))).size).toBe(4);
    expect(accounts.list()).toHaveLength(4);
  });

  const refused: readonly (readonly [string, Parameters<BrokerAccounts["add"]>[0], string])[] = [
    ["an empty name", { name: "" }, "name characters"],
    ["a name with a wildcard", { name: "a+" }, "name characters"],
    ["a name with a level", { name: "a/b" }, "name characters"],
    ["a name that is taken", { name: "taken" }, "name taken"],
    ["a name of 65 letters", { name: "a".repeat(65) }, "name characters"],
    ["no client id", { name: "a", clientIds: [] }, "clientIds count"],
    ["a client id with a wildcard", { name: "a", clientIds: ["#"] }, "clientIds characters"],
    ["a client id twice", { name: "a", clientIds: ["b", "b"] }, "clientIds twice"],
    ["another account's client id", { name: "a", clientIds: ["taken"] }, "clientIds taken"],
    ["a broken filter", { name: "a", rights: [{ access: "publish", filter: "a#" }] }, "rights filter"],
    ["a shared subscription", { name: "a", rights: [{ access: "subscribe", filter: "$share/g/a" }] }, "rights filter"],
    ["too many rights", { name: "a", rights: Array(33).fill({ access: "publish", filter: "a" }) }, "rights count"],
  ];
  test.each(refused)("%s is refused, and nothing is written", async (_what, wanted, problem) => {
    const accounts = await open();
    await accounts.add({ name: "taken" });
    const before = await readFile(file, "utf8");
    const answer = await accounts.add(wanted);
    const facts = answer.ok ? null : answer.error.facts;
    expect(answer.ok ? null : answer.error.code).toBe("broker-account-refused");
    expect(`${facts?.["field"]} ${facts?.["reason"]}`).toBe(problem);
    expect(await readFile(file, "utf8")).toBe(before);
  });

  test("a name of 64 letters and 32 rights are taken", async () => {
    const rights = Array(32).fill({ access: "publish", filter: "a" });
    expect((await (await open()).add({ name: "a".repeat(64), rights })).ok).toBe(true);
  });

  test("what is unknown cannot be removed or renewed", async () => {
    const accounts = await open();
    for (const answer of [await accounts.remove("x"), await accounts.renewPassword("x")]) {
      expect(answer.ok ? null : answer.error).toEqual({
        code: "broker-account-refused",
        facts: { field: "name", reason: "unknown", name: "x" },
      });
    }
  });

  test.each(["", "{", "[]", '{"version":1}', '{"version":2,"accounts":[]}', '{"version":1,"accounts":[{"name":"a"}]}'])(
    "a file that holds %j is damage, not an empty list",
    async (text) => {
      await writeFile(file, text);
      const opened = await openBrokerAccounts(file, { now: () => wallMs(0), random: randomBytes });
      expect(opened.ok ? null : opened.error).toEqual({ code: "broker-accounts-unreadable", facts: { reason: "damaged" } });
    },
  );

  test.each(["name", "clientIds"] as const)("a file in which two accounts have the same %s is damage", async (field) => {
    const accounts = await open();
    for (const name of ["a", "b"]) await accounts.add({ name });
    const [a, b] = accounts.list();
    await writeFile(file, JSON.stringify({ version: 1, accounts: [a, { ...b, [field]: a?.[field] }] }));
    expect(await accounts.refresh()).toEqual({
      ok: false,
      error: { code: "broker-accounts-unreadable", facts: { reason: "damaged" } },
    });
    expect(accounts.list()).toEqual([a, b]);
  });

  test("two that change the file in turn lose nothing of each other", async () => {
    const [one, other] = [await open(), await open()];
    await one.add({ name: "a" });
    await other.add({ name: "b" });
    await one.remove("a");
    const added = await other.add({ name: "c", clientIds: ["a"] });
    expect(added.ok).toBe(true);
    expect((await open()).list().map(({ name }) => name)).toEqual(["b", "c"]);
  });

  test("four processes that each make accounts at the same time lose none", async () => {
    const program = new URL("./support/account-maker.ts", import.meta.url).pathname;
    const run = promisify(execFile);
    await Promise.all(["a", "b", "c", "d"].map((prefix) => run(process.execPath, [program, file, prefix, "8"])));
    const names = (await open()).list().map(({ name }) => name);
    expect(names.sort()).toEqual(
      ["a", "b", "c", "d"].flatMap((prefix) => [0, 1, 2, 3, 4, 5, 6, 7].map((number) => `${prefix}${number}`)),
    );
  });

  test("a lock that a process left when it died is taken away, one that is held is waited for and then said", async () => {
    let nowMs = Date.now();
    const opened = await openBrokerAccounts(file, { now: () => wallMs(nowMs), random: randomBytes });
    if (!opened.ok) throw new Error(opened.error.code);
    const max = LIMITS.brokerAccountsLockMsMax.value;
    await writeFile(`${file}.lock`, "");
    await utimes(`${file}.lock`, new Date(), new Date(Date.now() - max - 5000));
    expect((await opened.value.add({ name: "a" })).ok).toBe(true);
    await writeFile(`${file}.lock`, "");
    const held = opened.value.add({ name: "b" });
    await pause(50);
    expect(opened.value.find("b")).toBeNull();
    await rm(`${file}.lock`);
    expect((await held).ok).toBe(true);
    await writeFile(`${file}.lock`, "");
    const never = opened.value.add({ name: "c" });
    await pause(50);
    nowMs += max + 1;
    expect(await never).toEqual({ ok: false, error: { code: "broker-accounts-unreadable", facts: { reason: "locked" } } });
  });

  test("a folder that cannot be written is said", async () => {
    const accounts = await open(join(folder, "no-folder", "\0", "x")).catch((error: Error) => error.message);
    expect(accounts).toContain("broker-accounts-unreadable");
  });
});

describe("accounts in a running broker", () => {
  test("an account that a command adds to the file opens within moments, and one that it removes closes at once", async () => {
    const stage = await startedStage();
    const offline = await open(join(stage.folder, "broker-accounts.json"));
    const added = await offline.add({ name: "pump-1" });
    const password = added.ok ? (added.value.password ?? "") : "";
    await until("the new account opens", async () => (await trySignIn(clientOptions(stage, "pump-1", password))) === "in");
    const client = await connectClient(stage, "pump-1", password);
    await offline.remove("pump-1");
    await until("its connection is ended", () => !client.connected);
    expect(await trySignIn(clientOptions(stage, "pump-1", password))).toMatch(/^out [45]$/);
  });

  test("a removed account's connections end and what is kept for it is forgotten, removed by the gateway, by a command, or while none ran", async () => {
    const stage = await startedStage();
    const file = join(stage.folder, "broker-accounts.json");
    const sender = await connectClient(
      stage,
      "sender",
      await stage.account("sender", { rights: [{ access: "publish", filter: "#" }] }),
    );
    const keep = async (name: string) => {
      const client = await connectClient(stage, name, await stage.account(name), { clean: false });
      await client.subscribeAsync(`devices/${name}/commands/x`, { qos: 1 });
      return client;
    };
    const clients = [await keep("a"), await keep("b"), await keep("c")];
    await clients[2]?.endAsync();
    for (const name of ["a", "b", "c"]) await sender.publishAsync(`devices/${name}/commands/x`, "1", { qos: 1 });
    expect((await stage.broker.removeAccount("a")).ok).toBe(true);
    await (await open(file)).remove("b");
    await until("their connections are ended", () => clients.every(({ connected }) => !connected));
    for (const name of ["a", "b", "c"]) await sender.publishAsync(`devices/${name}/commands/x`, "2", { qos: 1 });
    await until("two are forgotten", () => stage.broker.view().kept.queuedCount === 2);
    await stage.broker.close();
    await (await open(file)).remove("c");
    await stage.restart();
    expect(stage.broker.listAccounts().map(({ name }) => name)).toEqual(["sender"]);
    expect(stage.broker.view().kept.queuedCount).toBe(0);
    const again = await connectClient(stage, "sender", await renewed(stage, "sender"));
    await again.publishAsync("devices/a/commands/x", "3", { qos: 1 });
    expect(stage.broker.view().kept.queuedCount).toBe(0);
    await again.endAsync();
  });

  test("accounts that are made meanwhile keep nobody out who is signing in", async () => {
    const stage = await startedStage();
    const passwords = await Promise.all(Array.from({ length: 20 }, (_, index) => stage.account(`old-${index}`)));
    const signIns = passwords.map((password, index) => trySignIn(clientOptions(stage, `old-${index}`, password)));
    const offline = await open(join(stage.folder, "broker-accounts.json"));
    for (let number = 0; number < 10; number++) {
      await offline.add({ name: `new-${number}` });
      await stage.broker.addAccount({ name: `newer-${number}` });
    }
    expect(new Set(await Promise.all(signIns))).toEqual(new Set(["in"]));
    expect(stage.broker.listAccounts()).toHaveLength(40);
  });

  test("a renewed password opens, the former one does not, and who came in with it is out", async () => {
    const stage = await startedStage();
    const former = await stage.account("a");
    const client = await connectClient(stage, "a", former);
    const renewed = await stage.broker.renewPassword("a");
    await until("its connection is ended", () => !client.connected);
    expect(await trySignIn(clientOptions(stage, "a", former))).toBe("out 4");
    expect(await trySignIn(clientOptions(stage, "a", renewed.ok ? renewed.value.password : ""))).toBe("in");
  });

  test("an account's time ends while it is connected, to the second", async () => {
    const stage = await startedStage();
    const password = await stage.account("a", { expiresAtMs: Date.now() + 1500 });
    const client = await connectClient(stage, "a", password);
    expect(stage.broker.listAccounts()).toMatchObject([{ isExpired: false, isConnected: true }]);
    await until("its connection is ended", () => !client.connected);
    expect(stage.broker.listAccounts()).toMatchObject([{ isExpired: true, lastRefusal: { reason: "account-expired" } }]);
    expect(await trySignIn(clientOptions(stage, "a", password))).toBe("out 5");
  });

  test("a damaged file stops a broker from starting, and one that is damaged later leaves the accounts as they were and is told", async () => {
    const stage = await startedStage();
    const password = await stage.account("a");
    await writeFile(join(stage.folder, "broker-accounts.json"), "{");
    await until("the damage is told", () => stage.faults.some(({ code }) => code === "broker-accounts-unreadable"));
    expect(await trySignIn(clientOptions(stage, "a", password))).toBe("in");
    expect(stage.faults.filter(({ code }) => code === "broker-accounts-unreadable")).toHaveLength(1);
    const options = { dataFolder: stage.folder, plain: { host: "127.0.0.1", port: 0 }, tls: null, connectionsMax: 10 };
    const more = { messageBytesMax: 1000, messagesPerSecondMax: 10, reservedTopics: [] };
    const second = await startBroker(
      { ...options, ...more },
      { clock: createSystemClock(), random: randomBytes, report: () => {} },
    );
    expect(second.ok ? null : second.error.code).toBe("broker-accounts-unreadable");
  });
});

describe("passwords", () => {
  const attempt = { name: "a", kept: null, address: "10.0.0.1" } as const;
  const wrong = Buffer.from("wrong");

  async function checkWithAccount() {
    const accounts = await open();
    const added = await accounts.add({ name: "a" });
    const clock = createSimulatedClock();
    const check = new PasswordCheck({ clock, random: randomBytes });
    const right = Buffer.from(added.ok ? (added.value.password ?? "") : "");
    return { check, clock, right, kept: accounts.find("a")?.password ?? null };
  }

  test("after five wrong ones a minute's further ones are not looked at, from that address only; then they are", async () => {
    const { check, clock, right, kept } = await checkWithAccount();
    const answers = [];
    for (let number = 0; number < 6; number++) answers.push(await check.check({ ...attempt, kept, password: wrong }));
    expect(answers).toEqual(["wrong", "wrong", "wrong", "wrong", "wrong", "locked"]);
    expect(await check.check({ ...attempt, kept, password: right })).toBe("locked");
    expect(await check.check({ ...attempt, kept, password: right, address: "10.0.0.2" })).toBe("right");
    await clock.advance(60_000);
    expect(await check.check({ ...attempt, kept, password: wrong })).toBe("wrong");
  });

  test("who was right before stays right while somebody tries from the same address", async () => {
    const { check, right, kept } = await checkWithAccount();
    expect(await check.check({ ...attempt, kept, password: right })).toBe("right");
    for (let number = 0; number < 8; number++) await check.check({ ...attempt, kept, password: wrong });
    expect(await check.check({ ...attempt, kept, password: right })).toBe("right");
    check.forget("a");
    expect(await check.check({ ...attempt, kept, password: right })).toBe("locked");
  });

  test("sixteen clients of one account that come together are all let in", async () => {
    const { check, right, kept } = await checkWithAccount();
    const answers = await Promise.all(Array.from({ length: 16 }, () => check.check({ ...attempt, kept, password: right })));
    expect(new Set(answers)).toEqual(new Set(["right"]));
  });

  test("no more than the bound wait; a further one is told to come again", async () => {
    const { check } = await checkWithAccount();
    const max = LIMITS.brokerPasswordsWaitingMax.value;
    const waiting = Array.from({ length: max + 1 }, (_, number) =>
      check.check({ ...attempt, password: Buffer.from(`${number}`), address: `10.0.${number >> 8}.${number & 255}` }),
    );
    expect(await waiting.at(-1)).toBe("busy");
    expect(await waiting[0]).toBe("wrong");
  });
});
