import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { auditCommand } from "../src/commands/audit.ts";
import { type Act, type Deed, FIRST_PREVIOUS_HASH } from "../src/core/act.ts";
import { actText } from "../src/core/act-text.ts";
import { canonicalJson } from "../src/core/canonical-json.ts";
import { alertId, bedId, deviceId, patientId, seq, userId } from "../src/core/ids.ts";
import { type WallMs, wallMs } from "../src/core/time.ts";
import { checkSum } from "../src/journal/database.ts";
import { KEPT_FILE } from "../src/journal/journal-folder.ts";
import { ActChain, chainedAct, lastHashOf } from "../src/verify/act-chain.ts";
import { ALL_TIME } from "../src/verify/window.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { committed, openOrFail, sealKept } from "./support/journal-folder.ts";
import { alertOf, BASE_MS } from "./support/journal-records.ts";
import { startSmallWard } from "./support/small-ward.ts";

const ROOT = mkdtempSync(join(tmpdir(), "vigil-audit-test-"));
afterAll(() => rmSync(ROOT, { recursive: true, force: true }));

const ANNA = patientId("patient-1");
const DEEDS: readonly Deed[] = [
  {
    kind: "admit",
    patientId: ANNA,
    bedId: bedId("bed-1"),
    label: "A. 王",
    profile: { kind: "adult", spo2Scale: 1 },
    demonstration: false,
  },
  { kind: "assign", deviceId: deviceId("monitor-1"), patientId: ANNA },
  {
    kind: "set-limit",
    patientId: ANNA,
    quantity: "heartRate",
    low: { value: 45.5, priority: "high" },
    high: null,
    reason: 'says "athlete"\\',
    expiresAtMs: wallMs(BASE_MS + 99_000),
  },
  { kind: "acknowledge", alertId: alertId("11111111-7") },
  { kind: "verdict", alertId: alertId("11111111-7"), verdict: "not-actionable" },
  { kind: "sign-in-refused", account: null, why: "no-account", count: 3 },
];

const BY = { kind: "act", by: userId("nurse.li"), role: "nurse", from: "page", at: "10.1.2.3" } as const;

/** Acts numbered 10, 20, 30 ... one second apart, each the next link. */
function chainOf(deeds: readonly Deed[], first: { readonly seq: number; readonly previousHash: string }): readonly Act[] {
  let previousHash = first.previousHash;
  return deeds.map((deed, index) => {
    const act = chainedAct({ ...BY, seq: seq(first.seq + 10 * index), atMs: wallMs(BASE_MS + 1000 * index), deed }, previousHash);
    previousHash = act.hash;
    return act;
  });
}

function walk(acts: readonly Act[], received: ReadonlyMap<number, string | null> | null = null) {
  const chain = new ActChain({ window: ALL_TIME, received });
  for (const act of acts) chain.take(act);
  return chain.finish();
}

const contentOf = (act: unknown) => createHash("sha256").update(canonicalJson(act)).digest("hex").slice(0, 16);

describe("the chain of acts", () => {
  const acts = chainOf(DEEDS, { seq: 10, previousHash: FIRST_PREVIOUS_HASH });

  test("a hash is SHA-256 of the hash before, a line end, and the act's canonical JSON without its hash", () => {
    const [first, second] = acts;
    const { hash, ...rest } = second ?? {};
    expect(hash).toBe(
      createHash("sha256")
        .update(`${first?.hash}\n${canonicalJson(rest)}`)
        .digest("hex"),
    );
    expect(first?.previousHash).toBe("0".repeat(64));
  });

  test("holds where nothing was touched, also after each act went through JSON", () => {
    const read = acts.map((act) => JSON.parse(JSON.stringify(act)) as Act);
    expect(walk(read)).toMatchObject({ breakCount: 0, chainedActs: 6, olderActs: 0, lastHash: acts.at(-1)?.hash, lastSeq: 60 });
  });

  test.each(acts.map((act, index) => [DEEDS[index]?.kind, index, act] as const))(
    "any byte of a %s changed is found at that act or at the next",
    (_kind, index, act) => {
      const text = JSON.stringify(act);
      for (let at = 0; at < text.length; at++) {
        for (const other of ["0", "x", '"']) {
          if (text[at] === other) continue;
          const changed = readAct(text.slice(0, at) + other + text.slice(at + 1));
          if (changed === null) continue;
          const report = walk(acts.with(index, changed));
          const places = report.breaks.map((found) => found.seq);
          expect(report.breakCount, `byte ${at} of ${text} as ${other}`).toBeGreaterThan(0);
          expect(
            places.some((place) => place === changed.seq || place === act.seq || place === acts[index + 1]?.seq),
            `byte ${at} as ${other}: ${places}`,
          ).toBe(true);
        }
      }
    },
  );

  test.each(acts.slice(0, -1).map((act, index) => [act.seq, index] as const))(
    "act %i taken out is found at the one after it",
    (number, index) => {
      const next = acts[index + 1];
      expect(walk(acts.toSpliced(index, 1)).breaks).toEqual([
        { seq: next?.seq, atMs: next?.atMs, why: "not-next", afterSeq: index === 0 ? null : number - 10 },
      ]);
    },
  );

  test("an act put in with a hash that fits its place is found at the one after it", () => {
    const forged = chainedAct(
      { ...BY, seq: seq(35), atMs: wallMs(BASE_MS + 2500), deed: { kind: "release", deviceId: deviceId("monitor-1") } },
      acts[2]?.hash ?? "",
    );
    expect(walk(acts.toSpliced(3, 0, forged)).breaks).toMatchObject([{ seq: 40, why: "not-next", afterSeq: 35 }]);
    const { hash: _, previousHash: __, ...bare } = forged;
    expect(walk(acts.toSpliced(3, 0, bare)).breaks).toMatchObject([{ seq: 35, why: "unchained" }]);
  });

  test("two acts exchanged are found, with their numbers or with the numbers of their places", () => {
    const [a, b] = [acts[2], acts[3]] as [Act, Act];
    expect(walk(acts.with(2, b).with(3, a)).breaks.map(({ seq: number, why }) => [number, why])).toEqual([
      [30, "out-of-order"],
      [30, "not-next"],
      [40, "not-next"],
      [50, "not-next"],
    ]);
    const swapped = acts.with(2, { ...b, seq: a.seq }).with(3, { ...a, seq: b.seq });
    expect(walk(swapped).breaks.map(({ why }) => why)).toContain("changed");
  });

  test("the end cut off is seen beside what a receiver has, and only there", () => {
    const received = new Map(acts.map((act) => [act.seq as number, contentOf(act)]));
    const cut = acts.slice(0, 4);
    expect(walk(cut).breakCount).toBe(0);
    expect(walk(cut, received).breaks).toEqual([
      { seq: 50, atMs: null, why: "gone", afterSeq: 40 },
      { seq: 60, atMs: null, why: "gone", afterSeq: 40 },
    ]);
    expect(walk(acts, received)).toMatchObject({ breakCount: 0, receivedActs: 6, notReceivedActs: 0 });
    received.delete(60);
    expect(walk(acts, received)).toMatchObject({ breakCount: 0, notReceivedActs: 1 });
  });

  test("a chain written anew from one act on is whole in itself, and differs from what a receiver has", () => {
    const received = new Map(acts.map((act) => [act.seq as number, contentOf(act)]));
    const lies: readonly Deed[] = [{ kind: "discharge", patientId: ANNA }, ...DEEDS.slice(4)];
    const anew = [...acts.slice(0, 3), ...chainOf(lies, { seq: 40, previousHash: acts[2]?.hash ?? "" })];
    expect(walk(anew).breakCount).toBe(0);
    expect(walk(anew, received).breaks.map(({ seq: number, why }) => [number, why])).toEqual([
      [40, "differs"],
      [50, "differs"],
      [60, "differs"],
    ]);
  });

  test("acts of before there was a chain are counted and begin nothing", () => {
    const older = [1, 2].map(
      (number): Act => ({
        kind: "act",
        by: BY.by,
        from: "page",
        seq: seq(number),
        atMs: wallMs(BASE_MS - 5),
        deed: { kind: "sign-in" },
      }),
    );
    expect(walk([...older, ...acts])).toMatchObject({ breakCount: 0, olderActs: 2, chainedActs: 6, firstChainedSeq: 10 });
  });
});

function readAct(text: string): Act | null {
  try {
    const read: unknown = JSON.parse(text);
    return typeof read === "object" && read !== null && "seq" in read && typeof read.seq === "number" ? (read as Act) : null;
  } catch {
    return null;
  }
}

describe("a gateway", () => {
  test("goes on with the chain over a crash and an orderly end, and says who, as what and from where", async () => {
    const first = await startSmallWard();
    await first.admit(1);
    const second = await first.crash();
    await second.gateway.perform(
      { kind: "discharge", patientId: ANNA },
      { userId: "head", from: "page", at: "10.9.8.7", role: "administrator" },
    );
    const third = await second.crash();
    await third.admit(2);
    const records = await third.journal.read({ afterSeq: seq(0), limit: 1000, kinds: ["act"] });
    const acts = records.filter((record) => record.kind === "act");
    expect(acts.map(({ deed }) => deed.kind)).toEqual(["admit", "assign", "discharge", "admit", "assign"]);
    expect(walk(acts)).toMatchObject({ breakCount: 0, chainedActs: 5, olderActs: 0 });
    expect(acts[2]).toMatchObject({ by: "head", role: "administrator", at: "10.9.8.7" });
    await third.gateway.stop();
  });
});

describe("vigil audit", () => {
  const clean = join(ROOT, "clean");
  const farFile = join(ROOT, "received.jsonl");
  let acts: readonly Act[] = [];
  let folders = 0;

  beforeAll(async () => {
    const journal = await openOrFail(join(clean, "journal"), { gatewayId: "ward-1" });
    acts = chainOf(DEEDS, { seq: 10, previousHash: FIRST_PREVIOUS_HASH });
    journal.append(acts);
    await committed(journal, 60);
    const lines = acts.map((act) =>
      JSON.stringify({
        key: `ward-1/${journal.epoch}/${act.seq}`,
        kind: "act",
        seq: act.seq,
        durable: true,
        content: contentOf(act),
      }),
    );
    const foreign = JSON.stringify({
      key: `ward-1/99999999-2222-4333-8444-555555555555/70`,
      kind: "act",
      seq: 70,
      durable: true,
      content: null,
    });
    writeFileSync(farFile, `${[...lines, foreign].join("\n")}\n{"key":"ward-1/torn`);
    await journal.close();
  });

  const copied = () => {
    folders += 1;
    const copy = join(ROOT, `copy-${folders}`);
    cpSync(clean, copy, { recursive: true });
    return copy;
  };

  const sql = (dataFolder: string, work: (database: Database.Database) => void) => {
    const database = new Database(join(dataFolder, "journal", KEPT_FILE));
    work(database);
    database.close();
  };

  /** Writes an act as somebody would who knows the file's format. */
  const put = (database: Database.Database, act: Act, at: number = act.seq) => {
    const json = JSON.stringify(act);
    database.prepare("INSERT OR REPLACE INTO acts (seq, crc, json) VALUES (?, ?, ?)").run(at, checkSum(json, at), json);
  };

  async function audit(dataFolder: string, ...args: readonly string[]) {
    const io = collectingIo();
    mkdirSync(dataFolder, { recursive: true });
    const config = join(dataFolder, "config.yaml");
    writeFileSync(config, `gateway: { id: ward-1, dataFolder: ${dataFolder} }\n`);
    const code = await auditCommand.run([...args, "--config", config], io);
    const lines = io.out.map((line) => JSON.parse(line) as Record<string, unknown>);
    return { code, lines, summary: lines.at(-1), err: io.err.join("\n") };
  }

  test("verifies a whole chain, alone and beside a receiver's file, and says what it cannot know", async () => {
    const alone = await audit(clean, "verify");
    expect(alone.summary).toMatchObject({ kind: "summary", ok: true, chainedActs: 6, breakCount: 0, receivedActs: null });
    expect(alone.code).toBe(0);
    expect(alone.err).toContain("--upstream");
    const beside = await audit(clean, "verify", "--upstream", farFile);
    expect(beside.summary).toMatchObject({ ok: true, receivedActs: 6, notReceivedActs: 0, otherJournalActs: 1 });
    expect(beside.err).toContain("another journal");
  });

  test("works beside the process that writes, and changes nothing", async () => {
    const folder = copied();
    const journal = await openOrFail(join(folder, "journal"), { gatewayId: "ward-1" });
    journal.append(chainOf([{ kind: "sign-in" }], { seq: 70, previousHash: acts.at(-1)?.hash ?? "" }));
    await committed(journal, 70);
    const found = await audit(folder, "verify");
    expect(found.summary).toMatchObject({ ok: true, chainedActs: 7, lastSeq: 70 });
    await journal.close();
  });

  test("goes on over kept files that were sealed away and a new life", async () => {
    const folder = copied();
    const path = join(folder, "journal");
    const before = await openOrFail(path, { gatewayId: "ward-1" });
    const alerts = Array.from({ length: 20 }, (_, index) => alertOf({ seq: 61 + index, id: `alert-${index}`, state: "ended" }));
    before.append(alerts);
    await committed(before, 80);
    await before.close();
    sealKept(path);
    const journal = await openOrFail(path, { gatewayId: "ward-1" });
    const read = await journal.read({ afterSeq: seq(0), limit: 1000, kinds: ["act"] });
    const last = lastHashOf(read.filter((record) => record.kind === "act"));
    expect(last).toBe(acts.at(-1)?.hash);
    journal.append(chainOf([{ kind: "sign-in" }, { kind: "sign-out", why: "asked" }], { seq: 90, previousHash: last }));
    await committed(journal, 100);
    await journal.close();
    expect((await audit(folder, "verify")).summary).toMatchObject({ ok: true, chainedActs: 8, lastSeq: 100 });
    sql(folder, (database) => database.exec("DELETE FROM acts WHERE seq = 60"));
    expect((await audit(folder, "verify")).lines[0]).toMatchObject({ seq: 90, why: "not-next", afterSeq: 50 });
  });

  test("names the first broken link of an act that was changed, check sum and all", async () => {
    const folder = copied();
    sql(folder, (database) => put(database, { ...(acts[2] as Act), by: userId("nurse.wu") }));
    const found = await audit(folder, "verify");
    expect(found.code).toBe(1);
    expect(found.lines[0]).toMatchObject({ kind: "broken", seq: 30, why: "changed", afterSeq: 20 });
    expect(found.err).toContain("first at act 30");
    expect(found.err).toMatch(/操作 30/);
  });

  test("finds a byte changed without its check sum, and one that leaves no JSON", async () => {
    for (const change of ["json = replace(json, 'monitor-1', 'monitor-2')", "json = substr(json, 2)"]) {
      const folder = copied();
      sql(folder, (database) => database.exec(`UPDATE acts SET ${change} WHERE seq = 20`));
      const found = await audit(folder, "verify");
      expect(found.code).toBe(1);
      expect(found.lines[0]).toMatchObject({ kind: "broken", seq: 20, why: "damaged" });
    }
    const folder = copied();
    sql(folder, (database) => {
      database.prepare("UPDATE acts SET json = ?, crc = ? WHERE seq = 20").run("{", checkSum("{", 20));
    });
    const found = await audit(folder, "verify");
    expect(found.code).toBe(1);
  });

  test("finds an act taken out, one put in, two exchanged; the end cut off with the receiver's file only", async () => {
    const removed = copied();
    sql(removed, (database) => database.exec("DELETE FROM acts WHERE seq = 30"));
    expect((await audit(removed, "verify")).lines[0]).toMatchObject({ seq: 40, why: "not-next", afterSeq: 20 });

    const inserted = copied();
    const forged = chainedAct(
      { ...BY, seq: seq(25), atMs: wallMs(BASE_MS + 1500), deed: { kind: "sign-in" } },
      acts[1]?.hash ?? "",
    );
    sql(inserted, (database) => put(database, forged));
    expect((await audit(inserted, "verify")).lines[0]).toMatchObject({ seq: 30, why: "not-next", afterSeq: 25 });

    const exchanged = copied();
    const [a, b] = [acts[2], acts[3]] as [Act, Act];
    sql(exchanged, (database) => {
      put(database, { ...b, seq: a.seq });
      put(database, { ...a, seq: b.seq });
    });
    expect((await audit(exchanged, "verify")).lines[0]).toMatchObject({ seq: 30, why: "changed" });

    const cut = copied();
    sql(cut, (database) => database.exec("DELETE FROM acts WHERE seq >= 50"));
    expect((await audit(cut, "verify")).code).toBe(0);
    const beside = await audit(cut, "verify", "--upstream", farFile);
    expect(beside.code).toBe(1);
    expect(beside.lines[0]).toMatchObject({ kind: "broken", seq: 50, why: "gone", afterSeq: 40 });
    expect(beside.err).toContain("cut off");
  });

  test("show prints each act as JSON and as a line for people, of the time that is asked for", async () => {
    const all = await audit(clean, "show");
    expect(all.lines).toEqual(JSON.parse(JSON.stringify(acts)));
    expect(all.err.split("\n")).toHaveLength(6);
    expect(all.err).toContain("nurse.li (nurse 护士, page, 10.1.2.3)");
    expect(all.err).toContain("A. 王");
    const iso = (ms: number) => new Date(ms).toISOString();
    const some = await audit(clean, "show", "--json", "--from", iso(BASE_MS + 1000), "--to", iso(BASE_MS + 3000));
    expect(some.lines.map(({ seq: number }) => number)).toEqual([20, 30]);
    expect(some.err).toBe("");
  });

  test("wrong usage, a wrong time and a missing journal are told apart", async () => {
    expect((await audit(clean, "show", "--upstream", farFile)).code).toBe(2);
    expect((await audit(clean, "prove")).code).toBe(2);
    expect((await audit(clean, "verify", "--from", "yesterday")).code).toBe(2);
    expect((await audit(join(ROOT, "nothing"), "verify")).code).toBe(1);
    expect((await audit(clean, "verify", "--upstream", join(ROOT, "no-such-file"))).code).toBe(1);
  });
});

test("a note over several lines is one line of the audit, whatever stands in it", () => {
  const atMs: WallMs = wallMs(Date.UTC(2026, 10, 22, 8, 5, 6, 7));
  const text = actText({ ...BY, seq: seq(9), atMs, deed: { kind: "note", patientId: ANNA, text: "one\ntwo\u001b[2J" } });
  expect(text).not.toMatch(/\p{Cc}/u);
  expect(text).toContain("2026-11-22T08:05:06.007Z #9 nurse.li");
});
