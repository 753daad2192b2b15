import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compilerIsMissing, openPowerDisk, type PowerDisk } from "../support/power-disk.ts";
import { type SeededRandom, seededRandom } from "../support/seeded-random.ts";
import { openStage, type Stage } from "../support/stage.ts";

const SEED = 20261122;
const SQLITE = createRequire(import.meta.url).resolve("better-sqlite3");

let stage: Stage;
let disk: PowerDisk;

beforeEach(async () => {
  stage = await openStage();
  mkdirSync(join(stage.folder, "data"));
  if (!compilerIsMissing) disk = openPowerDisk(stage, join(stage.folder, "data"));
});

afterEach(() => stage.close());

/** Runs a program of Node on the disk, which ends by kill -9 so that nothing is tidied up. */
function onDisk(script: string): void {
  const program = `const fs = require("node:fs"); const path = require("node:path");
    const folder = ${JSON.stringify(disk.folder)}; process.chdir(folder);
    const syncFolder = (name) => { const fd = fs.openSync(name, "r"); fs.fsyncSync(fd); fs.closeSync(fd); };
    const put = (name, text, sync) => { const fd = fs.openSync(name, "w"); fs.writeSync(fd, text); if (sync) fs.fsyncSync(fd); fs.closeSync(fd); };
    (async () => { ${script} })().then(() => process.kill(process.pid, "SIGKILL"), (error) => { console.error(error); process.exit(1); });`;
  try {
    execFileSync(process.execPath, ["-e", program], {
      env: { ...process.env, ...disk.env },
      stdio: ["ignore", "inherit", "pipe"],
    });
  } catch (error) {
    if ((error as { signal?: string }).signal !== "SIGKILL") throw error;
  }
}

/** A cut at which nothing reaches the disk that was not fsynced, or everything does. */
const scripted = (fractions: { readonly share: number; readonly names: boolean }): SeededRandom => ({
  ...seededRandom(SEED),
  whole: ({ min, max }) => (max === 3 && min === 0 ? fractions.share : min),
  fraction: () => (fractions.names ? 0 : 0.99),
});
const STRICT = scripted({ share: 0, names: false });

const read = (name: string) => {
  const path = join(disk.folder, name);
  return existsSync(path) ? readFileSync(path, "latin1") : null;
};

describe.skipIf(compilerIsMissing)("the disk that forgets what was not fsynced", () => {
  test("a write without fsync is gone, with fsync and the folder's fsync it stays", () => {
    onDisk(`put("synced", "one", true); put("unsynced", "two", false); syncFolder(".");`);
    expect([read("synced"), read("unsynced")]).toEqual(["one", "two"]);
    disk.cut(STRICT);
    expect([read("synced"), read("unsynced")]).toEqual(["one", ""]);
  });

  test("a file whose folder was not fsynced has no name; of a longer write only what came before the fsync is there", () => {
    onDisk(`put("kept", "a", true); syncFolder("."); put("nameless", "b", true);
      const fd = fs.openSync("kept", "r+"); fs.writeSync(fd, "xy", 1); fs.fsyncSync(fd); fs.writeSync(fd, "z", 3); fs.writeSync(fd, "A", 0);`);
    expect(read("kept")).toBe("Axyz");
    const { namesLost } = disk.cut(STRICT);
    expect([read("kept"), read("nameless")]).toEqual(["axy", null]);
    expect(namesLost).toEqual(["nameless"]);
  });

  test("renaming and removing are forgotten without the folder's fsync, and kept with it", () => {
    const make = `put("old", "old content", true); put("gone", "removed", true); syncFolder("."); put("new", "new content", true);`;
    onDisk(`${make} fs.renameSync("new", "old"); fs.unlinkSync("gone");`);
    disk.cut(STRICT);
    expect([read("old"), read("new"), read("gone")]).toEqual(["old content", null, "removed"]);
    onDisk(`${make} fs.renameSync("new", "old"); fs.unlinkSync("gone"); syncFolder(".");`);
    disk.cut(STRICT);
    expect([read("old"), read("new"), read("gone")]).toEqual(["new content", null, null]);
  });

  test("a rename over a file before the new one was fsynced leaves an empty file where names reach the disk first", () => {
    onDisk(`put("state", "good", true); syncFolder("."); put("next", "better", false); fs.renameSync("next", "state");`);
    disk.cut(scripted({ share: 0, names: true }));
    expect(read("state")).toBe("");
  });

  test("folders: one that its parent does not know of is gone with all that is in it", () => {
    onDisk(`fs.mkdirSync("in"); put("in/file", "deep", true); syncFolder("in");`);
    disk.cut(STRICT);
    expect(readdirSync(disk.folder)).toEqual([]);
    onDisk(`fs.mkdirSync("in"); put("in/file", "deep", true); syncFolder("in"); syncFolder(".");`);
    disk.cut(STRICT);
    expect(read("in/file")).toBe("deep");
  });

  test("a new file under the inode number of a removed one has nothing of its bytes", () => {
    onDisk(`put("first", "secret", true); syncFolder("."); const before = fs.statSync("first").ino;
      for (let turn = 0; turn < 200; turn++) { fs.unlinkSync(turn === 0 ? "first" : "next"); fs.writeFileSync("next", "unsynced"); if (fs.statSync("next").ino === before) break; }
      if (fs.statSync("next").ino !== before) throw new Error("the number was not used again"); syncFolder(".");`);
    disk.cut(STRICT);
    expect([read("first"), read("next")]).toEqual([null, ""]);
  });

  test("shortening reaches the disk with the fsync, and what is written behind it is not what was there", () => {
    onDisk(`put("file", "A".repeat(9000), true); syncFolder("."); const fd = fs.openSync("file", "r+");
      fs.ftruncateSync(fd, 10); fs.ftruncateSync(fd, 6000); fs.fsyncSync(fd); fs.ftruncateSync(fd, 3);`);
    disk.cut(STRICT);
    expect(read("file")).toBe("A".repeat(10) + "\0".repeat(5990));
  });

  test("a write of a killed process is still in the machine's memory: another process's fsync brings it to the disk", () => {
    onDisk(`put("file", "before", true); syncFolder(".");`);
    onDisk(`const fd = fs.openSync("file", "r+"); fs.writeSync(fd, "BEFORE");`);
    onDisk(`const fd = fs.openSync("file", "r+"); fs.fsyncSync(fd);`);
    disk.cut(STRICT);
    expect(read("file")).toBe("BEFORE");
  });

  test("after an fsync that failed the bytes are clean, and the next fsync, which succeeds, does not bring them", () => {
    onDisk(`put("file", "A".repeat(8192), true); put("other", "old", true); syncFolder(".");`);
    disk.failSyncs({ pattern: "f*" });
    onDisk(`const fd = fs.openSync("file", "r+"); fs.writeSync(fd, "B".repeat(8192));
      let code = ""; try { fs.fsyncSync(fd); } catch (error) { code = error.code; } if (code !== "EIO") throw new Error("no EIO: " + code);
      put("other", "new", true);`);
    disk.healSyncs();
    onDisk(`const fd = fs.openSync("file", "r+"); fs.fsyncSync(fd); fs.writeSync(fd, "C", 4096); fs.fsyncSync(fd);`);
    expect(disk.counts()).toMatchObject({ syncsFailed: 1 });
    disk.cut(scripted({ share: 3, names: false }));
    // The page that was written again came whole; the other one never.
    expect(read("file")).toBe(`${"A".repeat(4096)}C${"B".repeat(4095)}`);
    expect(read("other")).toBe("new");
  });

  test("a bad stretch cannot be read, whatever its file is called, comes short before it, and is good again once it is written", () => {
    onDisk(`put("file", "A".repeat(12288), true); put("next", "other", true); syncFolder(".");`);
    disk.spoil({ file: "file", fromByte: 4096, bytes: 4096 });
    const attempts = `const found = []; const tell = (what, work) => { try { found.push(what + "=" + work()); } catch (error) { found.push(what + "=" + error.code); } };
      const at = (file, from, length) => { const fd = fs.openSync(file, "r"); try { return fs.readSync(fd, Buffer.alloc(length), 0, length, from); } finally { fs.closeSync(fd); } };`;
    onDisk(`${attempts} tell("before", () => at("file", 0, 4096)); tell("short", () => at("file", 0, 12288)); tell("bad", () => at("file", 5000, 10));
      tell("behind", () => at("file", 8192, 4096)); tell("whole", () => fs.readFileSync("file").length);
      tell("other", () => fs.readFileSync("next").length); fs.renameSync("file", "moved"); tell("moved", () => at("moved", 4096, 1));
      const fd = fs.openSync("moved", "r+"); fs.writeSync(fd, "B".repeat(1024), 5120); tell("written", () => at("moved", 5120, 1024));
      tell("beside", () => at("moved", 4096, 1)); tell("behind it", () => at("moved", 6144, 1)); fs.writeFileSync("said", found.join(" "));`);
    expect(read("said")).toBe(
      "before=4096 short=4096 bad=EIO behind=4096 whole=EIO other=5 moved=EIO written=1024 beside=EIO behind it=EIO",
    );
    expect(disk.readsFailed()).toBeGreaterThanOrEqual(5);
    onDisk(
      `fs.unlinkSync("moved"); fs.writeFileSync("moved", "C".repeat(9000)); fs.writeFileSync("said", String(fs.readFileSync("moved").length));`,
    );
    expect(read("said")).toBe("9000");
  });

  test("SQLite calls what it cannot read damaged, by the same code as bytes that were changed", () => {
    onDisk(`const Database = require(${JSON.stringify(SQLITE)}); const db = new Database("db"); db.exec("CREATE TABLE t (n INTEGER PRIMARY KEY, filler BLOB)");
      for (let n = 0; n < 20; n++) db.exec("INSERT INTO t VALUES (" + n + ", randomblob(3000))"); db.close();`);
    disk.spoil({ file: "db", fromByte: 40_960, bytes: 4096 });
    onDisk(`const Database = require(${JSON.stringify(SQLITE)}); const db = new Database("db"); let code = "";
      try { db.prepare("SELECT sum(length(filler)) FROM t WHERE hex(filler) <> ''").get(); } catch (error) { code = error.code; }
      fs.writeFileSync("said", code);`);
    expect(read("said")).toBe("SQLITE_CORRUPT");
  });

  test("a disk that is away fails each read or each write, and is as it was when it comes back", () => {
    onDisk(`put("file", "A".repeat(5000), true); syncFolder(".");`);
    const attempt = `const found = []; const tell = (work) => { try { work(); found.push("done"); } catch (error) { found.push(error.code); } };
      tell(() => fs.readFileSync("file")); const fd = fs.openSync("file", "r+"); tell(() => fs.writeSync(fd, "B")); tell(() => fs.fsyncSync(fd));`;
    const said = (reads: boolean, writes: boolean) => {
      disk.takeAway({ reads, writes });
      onDisk(`${attempt} require("node:fs").writeFileSync(${JSON.stringify(join(stage.folder, "said"))}, found.join(" "));`);
      return readFileSync(join(stage.folder, "said"), "utf8");
    };
    expect(said(true, true)).toBe("EIO EIO EIO");
    expect(said(false, true)).toBe("done EIO EIO");
    expect(said(true, false)).toBe("EIO done done");
    expect(said(false, false)).toBe("done done done");
  });

  test("of several writes any part may have come, in any order, and a sector may be torn: over seeds each happens", () => {
    const found = new Set<string>();
    for (let seed = SEED; seed < SEED + 24; seed++) {
      writeFileSync(join(disk.folder, "file"), "a".repeat(8 * 512));
      disk.adopt();
      onDisk(
        `const fd = fs.openSync("file", "r+"); for (let sector = 0; sector < 8; sector++) fs.writeSync(fd, "b".repeat(512), sector * 512);`,
      );
      disk.cut(seededRandom(seed));
      const text = read("file") ?? "";
      expect(text, `seed ${seed}`).toMatch(/^[ab]{4096}$/);
      const sectors = Array.from({ length: 8 }, (_, index) => new Set(text.slice(index * 512, (index + 1) * 512)));
      const pattern = sectors.map((letters) => (letters.size > 1 ? "torn" : [...letters].join("")));
      if (pattern.includes("torn")) found.add("torn");
      if (pattern.every((each) => each === "a" || each === "torn")) found.add("nothing");
      if (pattern.every((each) => each === "b" || each === "torn")) found.add("everything");
      if (/a.*b/.test(pattern.join(""))) found.add("a later one before an earlier one");
    }
    expect([...found].sort()).toEqual(["a later one before an earlier one", "everything", "nothing", "torn"]);
  });

  test("SQLite keeps each commit through cuts, with two threads on one file; and loses them when the disk lies", () => {
    const commit = (from: number, count: number) => `
      const { Worker } = require("node:worker_threads");
      const work = (base) => \`const Database = require(${JSON.stringify(SQLITE)}); const db = new Database("db", { timeout: 5000 });
        db.pragma("journal_mode = WAL"); db.pragma("synchronous = FULL"); db.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, filler BLOB)");
        const insert = db.prepare("INSERT INTO t VALUES (?, randomblob(3000))");
        for (let n = 0; n < ${count}; n++) { insert.run(\${base} + n); if (n % 50 === 49) db.pragma("wal_checkpoint(PASSIVE)"); }\`;
      await Promise.all([${from}, ${from} + 100000].map((base) => new Promise((resolve, reject) => {
        const worker = new Worker(work(base), { eval: true }); worker.on("exit", resolve); worker.on("error", reject); })));`;
    const count = () => {
      const script = `const Database = require(${JSON.stringify(SQLITE)}); const db = new Database("db", { fileMustExist: true });
        console.log(db.pragma("integrity_check", { simple: true }), db.prepare("SELECT count(*) FROM t").pluck().get());`;
      return execFileSync(process.execPath, ["-e", script], { cwd: disk.folder, encoding: "utf8" }).trim();
    };
    let from = 0;
    for (let seed = SEED; seed < SEED + 6; seed++, from += 120) {
      onDisk(commit(from, 120));
      disk.cut(seededRandom(seed));
      expect(count(), `seed ${seed}`).toBe(`ok ${2 * (from + 120)}`);
      disk.adopt();
    }
    disk.lie(true);
    onDisk(commit(from, 120));
    expect(disk.counts().syncsLied).toBeGreaterThan(200);
    disk.cut(STRICT);
    expect(count()).toBe(`ok ${2 * from}`);
  });
});
