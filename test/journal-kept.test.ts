import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Alert } from "../src/core/alert.ts";
import { type Seq, seq } from "../src/core/ids.ts";
import type { Journal, ReaderCursor } from "../src/core/ports.ts";
import type { JournalRecord, Receipt, RecordKind } from "../src/core/record.ts";
import { wallMs } from "../src/core/time.ts";
import { listSealedKept } from "../src/journal/journal-folder.ts";
import { KeptFile } from "../src/journal/kept-file.ts";
import { viewJournal } from "../src/journal/read-only.ts";
import { countSealable, openSealedKept, sealKeptFile } from "../src/journal/sealed-kept.ts";
import { committed, flipBytes, openOrFail, readAll, temporaryFolder } from "./support/journal-folder.ts";
import { attackWithKills, endAppenders } from "./support/journal-killing.ts";
import { actOf, alertOf, BASE_MS, observationOf } from "./support/journal-records.ts";
import { type SeededRandom, seededRandom } from "./support/seeded-random.ts";
import { until } from "./support/until.ts";

const SEED = 8123;
/** So small that a few dozen alerts fill it. */
const KEPT_BYTES = 40_000;
const READER = "upstream:hospital";
const KINDS: readonly RecordKind[] = ["alert", "act", "receipt", "loss", "start", "clock"];

let place: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  place = temporaryFolder();
});

afterEach(() => {
  endAppenders();
  place.remove();
});

function receiptOf(number: number): Receipt {
  const atMs = wallMs(BASE_MS + number);
  return { kind: "receipt", seq: seq(number), atMs, of: `epoch:${number - 1}`, reader: READER, state: "seen", by: "nurse-1" };
}

/** Records as a ward makes them: mostly observations, alerts that begin and most of which end, acts and receipts. */
function randomRecords(random: SeededRandom, from: number, count: number, open: Map<string, Alert>): JournalRecord[] {
  return Array.from({ length: count }, (_, index): JournalRecord => {
    const number = from + index;
    const lot = random.fraction();
    if (lot < 0.5) return observationOf({ seq: number });
    if (lot < 0.6) return actOf({ seq: number });
    if (lot < 0.7) return receiptOf(number);
    const oldest = [...open.keys()][random.whole({ min: 0, max: 40 })];
    const ends = oldest !== undefined && lot < 0.85;
    const alert = alertOf({
      seq: number,
      id: ends ? oldest : `alert-${number}`,
      state: ends ? "ended" : "active",
      part: `part ${number}`,
    });
    if (ends) open.delete(alert.id);
    else open.set(alert.id, alert);
    return alert;
  });
}

async function readKind(journal: Journal, kind: RecordKind, limit: number): Promise<JournalRecord[]> {
  const all: JournalRecord[] = [];
  for (let afterSeq: Seq = seq(0); ; ) {
    const page = await journal.read({ afterSeq, limit, kinds: [kind] });
    all.push(...page);
    const last = page.at(-1);
    if (last === undefined) return all;
    afterSeq = last.seq;
  }
}

/** Appends until so many files are sealed. */
async function fill(
  journal: Journal,
  records: Map<number, JournalRecord>,
  of: { readonly random: SeededRandom; readonly open: Map<string, Alert>; readonly sealedFiles: number },
): Promise<void> {
  let next = Math.max(0, ...records.keys(), journal.lastSeqAtOpen, journal.leftOutAtOpen?.to ?? 0) + 1;
  while (listSealedKept(place.folder).length < of.sealedFiles) {
    const batch = randomRecords(of.random, next, of.random.whole({ min: 1, max: 40 }), of.open);
    for (const record of batch) records.set(record.seq, record);
    journal.append(batch);
    next += batch.length;
    await committed(journal, next - 1);
  }
}

async function expectAll(
  journal: Journal,
  records: ReadonlyMap<number, JournalRecord>,
  open: ReadonlyMap<string, Alert>,
  about: string,
): Promise<void> {
  const expected = [...records.values()].sort((one, other) => one.seq - other.seq);
  expect(await readAll(journal), about).toEqual(expected);
  expect(await readAll(journal, 7), about).toEqual(expected);
  for (const kind of KINDS)
    expect(await readKind(journal, kind, 13), `${kind}, ${about}`).toEqual(expected.filter((record) => record.kind === kind));
  const byNumber = (alerts: Iterable<Alert>) => [...alerts].sort((one, other) => one.seq - other.seq);
  expect(byNumber(await journal.openAlerts()), about).toEqual(byNumber(open.values()));
}

function expectWalk(records: ReadonlyMap<number, JournalRecord>): void {
  const view = viewJournal(place.folder);
  if (!view.ok) throw new Error(JSON.stringify(view.error));
  const expected = [...records.values()].sort((one, other) => one.seq - other.seq);
  expect(view.value.endSeq()).toBe(expected.at(-1)?.seq);
  const walked = [...view.value.walk(view.value.endSeq())];
  view.value.close();
  expect(walked).toEqual(expected.map((record) => ({ kind: "record", record })));
}

const withSmallKept = { keptFileBytesMax: KEPT_BYTES };

/** Seals the kept file and goes back to how the folder is when the power goes before the last steps. */
function sealAndUndo(folder: string, undo: (files: { readonly inUse: string; readonly sealed: string }) => void): void {
  const inUse = join(folder, "kept.sqlite");
  seal(KeptFile.open(inUse));
  undo({ inUse, sealed: join(folder, listSealedKept(folder).at(-1) ?? "") });
}

const STAGES = [
  {
    stage: "a new file that is half written",
    leave: (folder: string) => writeFileSync(join(folder, "kept.sqlite.renewing"), "half"),
    sealedFiles: 1,
  },
  {
    stage: "a second name in the making",
    leave: (folder: string) =>
      sealAndUndo(folder, ({ inUse, sealed }) => {
        rmSync(inUse);
        renameSync(sealed, inUse);
        linkSync(inUse, `${sealed}.renewing`);
      }),
    sealedFiles: 1,
  },
  {
    stage: "a second name, with the new file whole and not yet counting",
    leave: (folder: string) =>
      sealAndUndo(folder, ({ inUse, sealed }) => {
        renameSync(inUse, `${inUse}.renewing`);
        linkSync(sealed, inUse);
      }),
    sealedFiles: 1,
  },
  {
    stage: "a new file that counts and has not the place of the old one",
    leave: (folder: string) =>
      sealAndUndo(folder, ({ inUse, sealed }) => {
        renameSync(inUse, `${inUse}.renewed`);
        linkSync(sealed, inUse);
      }),
    sealedFiles: 2,
  },
  {
    stage: "a second name that is a copy, on a disk without second names",
    leave: (folder: string) =>
      sealAndUndo(folder, ({ inUse, sealed }) => {
        rmSync(inUse);
        copyFileSync(sealed, inUse);
      }),
    sealedFiles: 2,
  },
] as const;

describe("the kept file", () => {
  test(`is sealed away again and again, and every record is there once and in order, seed ${SEED}`, {
    timeout: 60_000,
  }, async () => {
    const random = seededRandom(SEED);
    const records = new Map<number, JournalRecord>();
    const open = new Map<string, Alert>();
    const about = `seed ${SEED}`;
    for (let life = 1; life <= 3; life++) {
      const journal = await openOrFail(place.folder, withSmallKept);
      expect(journal.faultsAtOpen, about).toEqual([]);
      const losses: unknown[] = [];
      journal.onLoss((loss) => losses.push(loss));
      await expectAll(journal, records, open, `life ${life} at its start, ${about}`);
      await fill(journal, records, { random, open, sealedFiles: life * 3 });
      await expectAll(journal, records, open, `life ${life}, ${about}`);
      const cursor: ReaderCursor = { epoch: journal.epoch, upTo: seq(records.size - 5), open: [] };
      journal.release(READER, cursor);
      await journal.close();
      expect(losses, about).toEqual([]);
      const again = await openOrFail(place.folder, withSmallKept);
      expect(await again.cursor(READER), about).toEqual(cursor);
      expect(again.epoch, about).toBe(journal.epoch);
      expect(again.endedBefore, about).toBe("closed");
      expect(again.lastSeqAtOpen, about).toBe(records.size);
      await again.close();
      expectWalk(records);
    }
    expect(listSealedKept(place.folder)).toHaveLength(9);
    // Nothing but what must stay at hand is in the file in use: it holds no more than it grew by and what it carried over.
    const bytes = statSync(join(place.folder, "kept.sqlite")).size;
    const sealed = listSealedKept(place.folder).reduce((sum, file) => sum + statSync(join(place.folder, file)).size, 0);
    expect(bytes).toBeLessThan(sealed / 3);
  });

  test("of a journal that was never sealed goes on as one that is", { timeout: 30_000 }, async () => {
    const random = seededRandom(SEED + 1);
    const records = new Map<number, JournalRecord>();
    const open = new Map<string, Alert>();
    const before = await openOrFail(place.folder);
    for (const record of randomRecords(random, 1, 600, open)) records.set(record.seq, record);
    before.append([...records.values()]);
    await committed(before, 600);
    await before.close();
    expect(listSealedKept(place.folder)).toEqual([]);
    const journal = await openOrFail(place.folder, withSmallKept);
    expect(journal.epoch).toBe(before.epoch);
    await fill(journal, records, { random, open, sealedFiles: 2 });
    await expectAll(journal, records, open, "afterwards");
    await journal.close();
    expectWalk(records);
  });

  test("keeps what is owed through a sealing", () => {
    const kept = keptWithAlerts(50);
    const loss = { fromSeq: 3, toSeq: 9, count: 7, why: "byte-budget", what: "records", reader: null } as const;
    kept.oweLoss(loss);
    kept.setFacts({ epoch: "the-epoch", reservedUpTo: "1000", leftOut: '[{"from":60,"to":70}]' });
    expect(seal(kept)).toEqual({
      file: listSealedKept(place.folder)[0],
      firstSeq: 1,
      lastSeq: 50,
      recordCount: 50,
    });
    const after = KeptFile.open(join(place.folder, "kept.sqlite"));
    expect(after.owedLosses()).toEqual([loss]);
    expect([after.fact("epoch"), after.fact("reservedUpTo"), after.fact("account")]).toEqual(["the-epoch", "1000", null]);
    expect(after.leftOut()).toEqual([{ from: 60, to: 70 }]);
    expect(after.lastSeq()).toBe(50);
    expect(seal(after)).toBeNull();
    after.close();
  });

  test.each(STAGES)(
    "sealed as far as $stage when the power went is all there, once",
    { timeout: 20_000 },
    async ({ leave, sealedFiles }) => {
      const random = seededRandom(SEED + 3);
      const records = new Map<number, JournalRecord>();
      const open = new Map<string, Alert>();
      const journal = await openOrFail(place.folder, withSmallKept);
      await fill(journal, records, { random, open, sealedFiles: 1 });
      await journal.close();
      const kept = KeptFile.open(join(place.folder, "kept.sqlite"));
      const from = Number(kept.fact("closedAtSeq")) + 1;
      kept.append(
        Array.from({ length: 30 }, (_, index) => {
          const alert = alertOf({ seq: from + index, id: `late-${index}` });
          records.set(alert.seq, alert);
          open.set(alert.id, alert);
          return packed(alert);
        }),
      );
      kept.setFacts({ closedAtSeq: String(from + 29) });
      kept.close();
      leave(place.folder);
      const again = await openOrFail(place.folder, withSmallKept);
      expect(again.faultsAtOpen).toEqual([]);
      expect(again.endedBefore).toBe("closed");
      await expectAll(again, records, open, "after the power came back");
      await again.close();
      expect(listSealedKept(place.folder)).toHaveLength(sealedFiles);
      expect(readdirSync(place.folder).filter((name) => name.includes("renew"))).toEqual([]);
      expectWalk(records);
    },
  );
});

function packed(alert: Alert) {
  return { kind: "alert", seq: alert.seq, json: JSON.stringify(alert) } as const;
}

function seal(kept: KeptFile) {
  return sealKeptFile(kept, place.folder, countSealable(kept));
}

function keptWithAlerts(count: number): KeptFile {
  mkdirSync(place.folder, { recursive: true });
  const kept = KeptFile.open(join(place.folder, "kept.sqlite"));
  kept.append(Array.from({ length: count }, (_, index) => packed(alertOf({ seq: index + 1, id: `alert-${index + 1}` }))));
  return kept;
}

describe("a sealed file of kept records", () => {
  async function sealedJournal() {
    const random = seededRandom(SEED + 2);
    const records = new Map<number, JournalRecord>();
    const open = new Map<string, Alert>();
    const journal = await openOrFail(place.folder, withSmallKept);
    await fill(journal, records, { random, open, sealedFiles: 3 });
    return { journal, records, open };
  }

  test.each([
    { what: "that was cut short", harm: (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 20_480)) },
    {
      what: "whose first pages and others are strange",
      harm: (path: string) => {
        flipBytes(path, 0, 4096);
        flipBytes(path, 20_480, 20_480);
      },
    },
    { what: "that is gone", harm: (path: string) => rmSync(path) },
  ])("$what costs no more than it held, told with its count, and no open alert or act", { timeout: 30_000 }, async ({ harm }) => {
    const { journal, records, open } = await sealedJournal();
    await journal.close();
    const [, file = ""] = listSealedKept(place.folder);
    harm(join(place.folder, file));
    const again = await openOrFail(place.folder, withSmallKept);
    const losses: { readonly fromSeq: number; readonly toSeq: number; readonly count: number; readonly why: string }[] = [];
    again.onLoss((loss) => losses.push(loss));
    const there = new Set((await readAll(again)).map((record) => record.seq as number));
    const missing = [...records.values()].filter((record) => !there.has(record.seq));
    expect(missing.length).toBeGreaterThan(0);
    expect(new Set(missing.map((record) => record.kind))).toSatisfy(
      (kinds: Set<string>) => !kinds.has("act") && !kinds.has("observation"),
    );
    expect(losses).toHaveLength(1);
    const [loss] = losses;
    expect(loss?.why).toBe("journal-damaged");
    for (const record of missing) expect(record.seq >= (loss?.fromSeq ?? 0) && record.seq <= (loss?.toSeq ?? 0)).toBe(true);
    // Open alerts are there twice, so that fewer are missing than the file held.
    expect(loss?.count).toBeGreaterThanOrEqual(missing.length);
    expect(again.faultsAtOpen).toHaveLength(1);
    const byNumber = (alerts: Iterable<Alert>) => [...alerts].sort((one, other) => one.seq - other.seq);
    expect(byNumber(await again.openAlerts())).toEqual(byNumber(open.values()));
    await again.close();
    const third = await openOrFail(place.folder, withSmallKept);
    expect(third.faultsAtOpen).toEqual([]);
    await third.close();
  });

  test("whose first page alone is strange costs nothing: every record is found on the other pages", {
    timeout: 30_000,
  }, async () => {
    const { journal, records, open } = await sealedJournal();
    await journal.close();
    flipBytes(join(place.folder, listSealedKept(place.folder)[1] ?? ""), 0, 1024);
    const again = await openOrFail(place.folder, withSmallKept);
    const losses: unknown[] = [];
    again.onLoss((loss) => losses.push(loss));
    expect(again.faultsAtOpen.map(({ code }) => code)).toEqual(["journal-damaged"]);
    await expectAll(again, records, open, "the first page");
    expect(losses).toEqual([]);
    await again.close();
  });

  test("with a damaged page is mended while the gateway runs, and what is lost is told", { timeout: 30_000 }, async () => {
    const { journal, records } = await sealedJournal();
    await journal.close();
    const [file = ""] = listSealedKept(place.folder);
    const again = await openOrFail(place.folder, withSmallKept);
    const losses: { readonly count: number; readonly why: string }[] = [];
    again.onLoss((loss) => losses.push(loss));
    const path = join(place.folder, file);
    flipBytes(path, 10_240, statSync(path).size - 20_480);
    await readKind(again, "alert", 1000);
    await until("the damage is told", () => losses.length > 0);
    await until("the file is mended", () =>
      readdirSync(place.folder).some((name) => name.startsWith(file) && name.endsWith(".damaged")),
    );
    const there = await readAll(again);
    expect(there.length).toBeLessThan(records.size);
    expect(new Set(losses.map((loss) => loss.why))).toEqual(new Set(["journal-damaged"]));
    await again.close();
  });

  test("gives back acts and open alerts where the file in use is damaged", { timeout: 30_000 }, async () => {
    const { journal, records, open } = await sealedJournal();
    await journal.close();
    const kept = KeptFile.open(join(place.folder, "kept.sqlite"));
    const sealedUpTo = kept.sealedFiles().at(-1)?.lastSeq ?? 0;
    kept.close();
    flipBytes(join(place.folder, "kept.sqlite"), 0, statSync(join(place.folder, "kept.sqlite")).size);
    const again = await openOrFail(place.folder, withSmallKept);
    const there = new Set((await readAll(again)).map((record) => record.seq as number));
    const missing = [...records.keys()].filter((number) => number <= sealedUpTo && !there.has(number));
    expect(missing).toEqual([]);
    const openAgain = new Set((await again.openAlerts()).map((alert) => alert.id as string));
    const lost = [...open.values()].filter((alert) => alert.seq <= sealedUpTo && !openAgain.has(alert.id));
    expect(lost).toEqual([]);
    await again.close();
  });

  test("that is damaged is told by whoever only looks at the journal", { timeout: 30_000 }, async () => {
    const { journal } = await sealedJournal();
    await journal.close();
    const [file = ""] = listSealedKept(place.folder);
    flipBytes(join(place.folder, file), 2048, 20_480);
    const view = viewJournal(place.folder);
    if (!view.ok) throw new Error(JSON.stringify(view.error));
    const damaged = [...view.value.walk(view.value.endSeq())].filter((step) => step.kind === "damaged");
    view.value.close();
    expect(damaged.map((step) => step.file)).toContain(file);
  });

  test("that nothing says of is taken for what it is", () => {
    const kept = keptWithAlerts(20);
    seal(kept);
    const inUse = KeptFile.open(join(place.folder, "kept.sqlite"));
    inUse.setFacts({ sealedFiles: "[]" });
    const { sealedKept, losses } = openSealedKept(place.folder, inUse, true);
    expect(sealedKept.map(({ firstSeq, lastSeq, recordCount }) => [firstSeq, lastSeq, recordCount])).toEqual([[1, 20, 20]]);
    expect(losses).toEqual([]);
    expect(inUse.lastSeq()).toBe(20);
    inUse.close();
  });
});

test("nothing that was said committed is missing after kills while kept records are sealed", { timeout: 60_000 }, async () => {
  await attackWithKills({ folder: place.folder, kills: 4, seed: SEED, keptFileBytesMax: 4096 });
  expect(listSealedKept(place.folder).length).toBeGreaterThan(0);
});
