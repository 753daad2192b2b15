import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../config/load.ts";
import { verifyCommand, verifyJournal } from "../src/commands/verify.ts";
import { seq } from "../src/core/ids.ts";
import type { Journal } from "../src/core/ports.ts";
import type { JournalRecord } from "../src/core/record.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { createTallyCounter } from "../src/gateway/tally.ts";
import { NOTHING_JUDGED } from "../src/intake/device-intake.ts";
import { encodeBlock } from "../src/journal/block.ts";
import { checkSum } from "../src/journal/database.ts";
import { packRecords } from "../src/journal/packing.ts";
import { viewJournal } from "../src/journal/read-only.ts";
import { ALL_TIME } from "../src/verify/window.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { committed, openOrFail } from "./support/journal-folder.ts";
import { alertOf, BASE_MS, observationOf } from "./support/journal-records.ts";
import { farLine, READER } from "./support/verify-ward.ts";

const ROOT = mkdtempSync(join(tmpdir(), "vigil-verify-test-"));
afterAll(() => rmSync(ROOT, { recursive: true, force: true }));

let folders = 0;
const emptyFolder = () => {
  folders += 1;
  return join(ROOT, `data-${folders}`);
};

/** Writes lives of two thousand records each into a real journal, the last one as it is told, and returns what is on disk. */
async function writeJournal(
  dataFolder: string,
  lives: number,
): Promise<{ readonly records: JournalRecord[]; readonly epoch: string }> {
  const records: JournalRecord[] = [];
  let epoch = "";
  for (let life = 1; life <= lives; life++) {
    const journal = await openOrFail(join(dataFolder, "journal"), { gatewayId: "ward-1" });
    epoch = journal.epoch;
    const made = lifeOf(journal);
    records.push(...made);
    // Commits of a hundred: each holds an alert and so does not wait.
    for (let index = 0; index < made.length; index += 100) {
      const batch = made.slice(index, index + 100);
      journal.append(batch);
      await committed(journal, batch.at(-1)?.seq ?? 0);
    }
    const lastSeq = made.at(-1)?.seq ?? seq(0);
    journal.release(READER, { epoch, upTo: lastSeq, open: [] });
    await journal.close();
  }
  return { records, epoch };
}

function lifeOf(journal: Journal, count = 600): JournalRecord[] {
  let lastSeq: number = journal.leftOutAtOpen?.to ?? journal.lastSeqAtOpen;
  const tally = createTallyCounter(seq(lastSeq + 1));
  const made: JournalRecord[] = [];
  const add = (record: JournalRecord) => {
    tally.recorded([record]);
    made.push(record);
  };
  const at = { atMs: wallMs(BASE_MS + lastSeq), atMonotonicMs: monotonicMs(1) };
  const { endedBefore: before, leftOutAtOpen: leftOut } = journal;
  add({ kind: "start", seq: seq(++lastSeq), ...at, version: "1.0.0", before, leftOut });
  for (let number = 1; number <= count; number++) {
    const next = ++lastSeq;
    if (number % 50 === 0) add(alertOf({ seq: next, id: `alert-${next}` }));
    else {
      const observation = observationOf({ seq: next });
      const counted = { bytes: 8, messages: 1, readings: 1, repeats: 0 };
      tally.judged(observation.deviceId, { ...NOTHING_JUDGED, counted });
      add(observation);
    }
    if (number % 200 === 0) made.push(tally.close({ seq: seq(++lastSeq), atMs: wallMs(BASE_MS + next) }));
  }
  return made;
}

const configOf = (dataFolder: string) => {
  const upstream = `{ name: hospital, kind: mqtt, url: "mqtt://127.0.0.1:1" }`;
  const parsed = parseConfig(`{ gateway: { id: ward-1, dataFolder: ${dataFolder} }, upstreams: [${upstream}] }`, "/");
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return parsed.value;
};

async function verify(dataFolder: string, farSide: string | null = null) {
  const files = new Map(farSide === null ? [] : [[READER, farSide]]);
  const found = await verifyJournal(configOf(dataFolder), { files, window: ALL_TIME });
  if (!found.ok) throw new Error(JSON.stringify(found.error));
  return found.value;
}

/** Name and content of every file below a folder. */
const hashesOf = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return `${path} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`;
    })
    .sort();

const copyOf = (dataFolder: string) => {
  const copy = emptyFolder();
  cpSync(dataFolder, copy, { recursive: true });
  return copy;
};

/** Changes the first file whose name begins so, by SQL. */
const change = (dataFolder: string, name: "kept" | "observations", work: (database: Database.Database) => void) => {
  const folder = join(dataFolder, "journal");
  const file = readdirSync(folder).find((each) => each.startsWith(name) && each.endsWith(".sqlite"));
  const database = new Database(join(folder, file ?? ""));
  work(database);
  database.close();
};

const rulesOf = (report: { readonly wrong: object }) => Object.keys(report.wrong).sort();

describe("vigil verify on files", () => {
  let clean = "";
  let records: readonly JournalRecord[] = [];
  let epoch = "";
  const farFile = join(ROOT, "received.jsonl");

  beforeAll(async () => {
    clean = emptyFolder();
    const written = await writeJournal(clean, 2);
    records = written.records;
    epoch = written.epoch;
    const leaving = records.map((record) =>
      farLine(record, { resent: false }).replace("11111111-2222-4333-8444-555555555555", epoch),
    );
    writeFileSync(farFile, `${leaving.join("\n")}\n`);
  });

  test("a journal that was closed is clean, every record of it is seen, and no byte of its folder changes", async () => {
    const before = hashesOf(clean);
    const report = await verify(clean, farFile);
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ ok: true, recordCount: records.length, endSeq: records.at(-1)?.seq, isRunning: false });
    expect(report.lives.map(({ ended }) => ended)).toEqual(["closed", "closed"]);
    expect(report.readers[0]?.records).toMatchObject({ delivered: records.length, waiting: 0 });
    expect(hashesOf(clean)).toEqual(before);
  });

  test("what the walk gives is what was written, in order", () => {
    const view = viewJournal(join(clean, "journal"));
    if (!view.ok) throw new Error(JSON.stringify(view.error));
    const walked = [...view.value.walk(view.value.endSeq())].map((step) => (step.kind === "record" ? step.record : step));
    view.value.close();
    expect(walked).toEqual(records);
  });

  test("a journal as a kill leaves it is read from a copy; its folder stays as it is, and the copy goes", async () => {
    const running = await openOrFail(join(copyOf(clean), "journal"));
    const made = lifeOf(running);
    running.append(made);
    await committed(running, made.at(-1)?.seq ?? 0);
    const killed = emptyFolder();
    cpSync(join(ROOT, `data-${folders - 1}`), killed, { recursive: true });
    await running.close();
    const before = hashesOf(killed);
    expect(before.some((file) => file.includes("-wal "))).toBe(true);
    const copies = emptyFolder();
    mkdirSync(copies);
    const { mtimeMs } = statSync(copies);
    vi.stubEnv("TMPDIR", copies);
    const report = await verify(killed);
    vi.unstubAllEnvs();
    expect(report.wrong).toEqual({});
    expect(report).toMatchObject({ isRunning: false, recordCount: records.length + made.length });
    expect(report.lives.at(-1)?.ended).toBe("cut-off");
    expect(hashesOf(killed)).toEqual(before);
    expect(readdirSync(copies)).toEqual([]);
    expect(statSync(copies).mtimeMs, "the copy was made there").toBeGreaterThan(mtimeMs);
  });

  test("beside a journal that is written it goes as far as everything is on disk", async () => {
    const folder = copyOf(clean);
    const journal = await openOrFail(join(folder, "journal"));
    const made = lifeOf(journal, 3000);
    let appended = 0;
    const writing = setInterval(() => {
      journal.append(made.slice(appended, appended + 40));
      appended += 40;
    }, 4);
    try {
      let seen = 0;
      for (let round = 0; round < 12; round++) {
        const report = await verify(folder);
        expect(report.wrong, JSON.stringify(report.findings)).toEqual({});
        expect(report.isRunning).toBe(true);
        expect(report.lives.at(-1)?.ended).toBe("running");
        expect(report.recordCount).toBeGreaterThanOrEqual(seen);
        seen = report.recordCount;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(seen).toBeGreaterThan(records.length);
    } finally {
      clearInterval(writing);
      await journal.close();
    }
  });

  const mounted = join(ROOT, "mounted");
  const mayMount = process.getuid?.() === 0 && process.platform === "linux";
  if (!mayMount) process.stderr.write("SKIPPED: only root may mount a disk read-only\n");
  test.skipIf(!mayMount)("on a disk that is mounted read-only it reads a closed journal and one that a kill left", async () => {
    const running = await openOrFail(join(copyOf(clean), "journal"));
    const source = join(ROOT, `data-${folders}`);
    const made = lifeOf(running);
    running.append(made);
    await committed(running, made.at(-1)?.seq ?? 0);
    const killed = emptyFolder();
    cpSync(source, killed, { recursive: true });
    await running.close();
    for (const [folder, ended] of [
      [clean, "closed"],
      [killed, "cut-off"],
    ] as const) {
      mkdirSync(mounted, { recursive: true });
      execFileSync("/bin/mount", ["--bind", folder, mounted]);
      try {
        execFileSync("/bin/mount", ["-o", "remount,ro,bind", mounted]);
        expect(() => writeFileSync(join(mounted, "x"), "")).toThrow();
        const report = await verify(mounted);
        expect(report.wrong, JSON.stringify(report.findings)).toEqual({});
        expect(report.lives.at(-1)?.ended).toBe(ended);
      } finally {
        execFileSync("/bin/umount", ["-l", mounted]);
      }
    }
  });

  test("a folder that may not be written is read all the same", async () => {
    const folder = copyOf(clean);
    for (const entry of readdirSync(join(folder, "journal"))) chmodSync(join(folder, "journal", entry), 0o400);
    chmodSync(join(folder, "journal"), 0o500);
    const report = await verify(folder, farFile);
    chmodSync(join(folder, "journal"), 0o700);
    expect(report.findings).toEqual([]);
  });

  const sabotages: readonly (readonly [string, (folder: string) => void, readonly string[]])[] = [
    [
      "a commit is taken out of a segment",
      (folder) =>
        change(folder, "observations", (database) =>
          database.exec(
            "DELETE FROM blocks WHERE first_seq = (SELECT first_seq FROM blocks ORDER BY first_seq LIMIT 1 OFFSET 2)",
          ),
        ),
      ["far-unknown", "hole"],
    ],
    [
      "a commit lies among the numbers of another",
      (folder) =>
        change(folder, "observations", (database) => {
          const packed = packRecords([observationOf({ seq: 150 })]);
          const { firstSeq, lastSeq, recordCount, kinds, data } = encodeBlock(packed, Uint32Array.of(0), []);
          const crc = checkSum(data, firstSeq);
          database
            .prepare("INSERT INTO blocks (first_seq, last_seq, record_count, kinds, crc, data) VALUES (?, ?, ?, ?, ?, ?)")
            .run(firstSeq, lastSeq, recordCount, kinds, crc, data);
        }),
      ["not-rising"],
    ],
    [
      "a byte of a commit is flipped",
      (folder) =>
        change(folder, "observations", (database) => {
          const row = database.prepare("SELECT first_seq, data FROM blocks LIMIT 1").get() as { first_seq: number; data: Buffer };
          row.data[30] = (row.data[30] ?? 0) ^ 1;
          database.prepare("UPDATE blocks SET data = ? WHERE first_seq = ?").run(row.data, row.first_seq);
        }),
      ["damaged", "far-unknown", "hole"],
    ],
    [
      "an alert is taken out",
      (folder) =>
        change(folder, "kept", (database) => database.exec("DELETE FROM alerts WHERE seq = (SELECT min(seq) FROM alerts)")),
      ["far-unknown", "hole"],
    ],
    [
      "an alert's text is changed and its check sum is not",
      (folder) =>
        change(folder, "kept", (database) =>
          database.exec("UPDATE alerts SET json = replace(json, 'medium', 'low') WHERE seq = (SELECT min(seq) FROM alerts)"),
        ),
      ["damaged", "far-unknown", "hole"],
    ],
    [
      "an alert's text is changed with its check sum",
      (folder) =>
        change(folder, "kept", (database) => {
          const row = database.prepare("SELECT seq, json FROM alerts ORDER BY seq LIMIT 1").get() as {
            seq: number;
            json: string;
          };
          const json = row.json.replace("medium", "low");
          database.prepare("UPDATE alerts SET json = ?, crc = ? WHERE seq = ?").run(json, checkSum(json, row.seq), row.seq);
        }),
      ["far-changed"],
    ],
    [
      "an alert has the number of an observation",
      (folder) =>
        change(folder, "kept", (database) => {
          const row = database.prepare("SELECT seq, json FROM alerts ORDER BY seq LIMIT 1").get() as {
            seq: number;
            json: string;
          };
          const json = row.json.replace(`"seq":${row.seq}`, `"seq":${row.seq - 1}`);
          database
            .prepare("UPDATE alerts SET seq = ?, json = ?, crc = ? WHERE seq = ?")
            .run(row.seq - 1, json, checkSum(json, row.seq - 1), row.seq);
        }),
      ["double", "far-unknown", "hole"],
    ],
    [
      "a start is taken out",
      (folder) => change(folder, "kept", (database) => database.exec("DELETE FROM starts WHERE seq = 1")),
      ["far-unknown", "hole"],
    ],
    [
      "a reader's cursor is changed and its check sum is not",
      (folder) => change(folder, "kept", (database) => database.exec("UPDATE cursors SET json = replace(json, 'upTo', 'upto')")),
      ["cursor-damaged"],
    ],
    [
      "a segment is taken away",
      (folder) => {
        const file = readdirSync(join(folder, "journal")).find((each) => each.startsWith("observations"));
        rmSync(join(folder, "journal", file ?? ""));
      },
      ["far-unknown", "hole"],
    ],
  ];

  for (const [does, work, rules] of sabotages) {
    test(`${does}: ${rules.join(", ")}`, async () => {
      const folder = copyOf(clean);
      work(folder);
      const report = await verify(folder, farFile);
      for (const rule of rules) expect(rulesOf(report), JSON.stringify(report.findings).slice(0, 2000)).toContain(rule);
      expect(report.ok).toBe(false);
    });
  }

  test("a journal that kept to its byte budget is clean: what went is told by its rule, and a loss less is found", async () => {
    const folder = emptyFolder();
    const journal = await openOrFail(join(folder, "journal"), { gatewayId: "ward-1", bytesMax: 2_000_000 });
    let lastSeq = 1;
    const at = { atMs: wallMs(BASE_MS), atMonotonicMs: monotonicMs(1) };
    journal.append([{ kind: "start", seq: seq(1), ...at, version: "1.0.0", before: "first", leftOut: null }]);
    let lossCount = 0;
    journal.onLoss((loss) => {
      lossCount += 1;
      journal.append([{ kind: "loss", seq: seq(++lastSeq), atMs: wallMs(BASE_MS), ...loss }]);
    });
    // A device of its own for each observation takes many bytes, so that the budget is soon reached; each batch has an act.
    for (let round = 0; round < 40 && lossCount < 3; round++) {
      const batch = Array.from({ length: 1000 }, () => {
        const next = ++lastSeq;
        return next % 500 === 0
          ? alertOf({ seq: next, id: `alert-${next}` })
          : observationOf({ seq: next, device: `monitor-${next}`, value: next / 7 });
      });
      journal.append(batch);
      await committed(journal, batch.at(-1)?.seq ?? 0);
      if (round % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 1050));
    }
    await committed(journal, lastSeq);
    await journal.close();
    expect(lossCount).toBeGreaterThan(0);
    const report = await verify(folder);
    expect(report.wrong, JSON.stringify(report.findings)).toEqual({});
    expect(report.lives[0]?.lost["byte-budget"]).toBeGreaterThan(1000);
    expect(report.said["loss-still-there"]).toBeUndefined();
    change(folder, "kept", (database) => database.exec("DELETE FROM losses WHERE seq = (SELECT min(seq) FROM losses)"));
    expect((await verify(folder)).wrong.hole).toBeGreaterThan(1000);
  });

  test("a folder without a journal is told and nothing is made there", async () => {
    const folder = emptyFolder();
    const found = await verifyJournal(configOf(folder), { files: new Map(), window: ALL_TIME });
    expect(found).toMatchObject({ ok: false, error: { code: "journal-unreadable", facts: { code: "NO_JOURNAL" } } });
  });
});

describe("the command", () => {
  const run = async (args: readonly string[]) => {
    const io = collectingIo();
    const code = await verifyCommand.run(args, io);
    return { code, lines: io.out.map((line) => JSON.parse(line)), err: io.err };
  };
  const configFile = join(ROOT, "ward.yaml");
  const upstreams = ["hospital", "registry"].map((name) => `{ name: ${name}, kind: mqtt, url: "mqtt://127.0.0.1:1" }`).join(", ");

  beforeAll(async () => {
    const dataFolder = emptyFolder();
    await writeJournal(dataFolder, 1);
    writeFileSync(configFile, `{ gateway: { id: ward-1, dataFolder: ${dataFolder} }, upstreams: [${upstreams}] }`);
  });

  test("clean is 0, with a JSON line each and a table in both languages; --json leaves the table out", async () => {
    const { code, lines, err } = await run(["--config", configFile]);
    expect(code).toBe(0);
    expect(lines.map(({ kind }) => kind)).toEqual(["life", ...Array(5).fill("device"), "reader", "reader", "summary"]);
    expect(lines.at(-1)).toMatchObject({ ok: true, gatewayId: "ward-1", running: false, lives: 1, unexplained: {} });
    expect(err.at(-1)).toContain("OK: every record is where it must be, once. 每条记录均在位且唯一。");
    expect((await run(["--config", configFile, "--json"])).err).toEqual([]);
  });

  test("what is not explained is 1, with the finding on its line", async () => {
    const file = join(ROOT, "foreign.jsonl");
    writeFileSync(file, "no json\n");
    const { code, lines, err } = await run(["--config", configFile, "--upstream", `hospital=${file}`]);
    expect(code).toBe(1);
    expect(lines.find(({ kind }) => kind === "finding")).toMatchObject({ rule: "far-unreadable", wrong: true, count: 1 });
    expect(lines.at(-1)).toMatchObject({ ok: false });
    expect(err.some((line) => line.startsWith("NOT EXPLAINED 无法解释"))).toBe(true);
  });

  const wrongUsage: readonly (readonly [string, readonly string[]])[] = [
    ["no configuration", []],
    ["an unknown option", ["--config", configFile, "--loud"]],
    ["a configuration that is not there", ["--config", join(ROOT, "none.yaml")]],
    ["a time that is none", ["--config", configFile, "--from", "yesterday"]],
    ["an end before its beginning", ["--config", configFile, "--from", "2026-03-01T01:00Z", "--to", "2026-03-01T00:00Z"]],
    ["a record file without a name where there are two upstreams", ["--config", configFile, "--upstream", "x"]],
    ["a record file of an upstream that is not configured", ["--config", configFile, "--upstream", "other=x"]],
  ];
  for (const [what, args] of wrongUsage) {
    test(`${what} is 2, and said`, async () => {
      const { code, lines, err } = await run(args);
      expect({ code, lines }).toEqual({ code: 2, lines: [] });
      expect(err.length).toBeGreaterThan(0);
    });
  }

  test("a record file that is not there is 1, and said", async () => {
    const { code, err } = await run(["--config", configFile, "--upstream", "hospital=/nowhere.jsonl"]);
    expect(code).toBe(1);
    expect(err.join(" ")).toContain("/nowhere.jsonl");
  });

  test("an hour in which nothing was made is empty and clean", async () => {
    const { code, lines } = await run(["--config", configFile, "--from", "2020-01-01T00:00Z", "--to", "2020-01-01T01:00Z"]);
    expect(code).toBe(0);
    expect(lines.map(({ kind }) => kind)).toEqual(["reader", "reader", "summary"]);
  });
});
