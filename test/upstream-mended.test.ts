import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { seq } from "../src/core/ids.ts";
import type { Journal } from "../src/core/ports.ts";
import { type Outbox, startOutbox } from "../src/sinks/outbox.ts";
import { committed, openOrFail, readAll, temporaryFolder } from "./support/journal-folder.ts";
import { observationOf } from "./support/journal-records.ts";
import { filesOf, LAST_SEQ, makeSealedJournal } from "./support/sealed-journal.ts";
import { until } from "./support/until.ts";

const READER = "upstream:hospital";
const ALL = Array.from({ length: LAST_SEQ }, (_, index) => index + 1);
let place = temporaryFolder();

beforeEach(() => {
  place = temporaryFolder();
});

afterEach(() => place.remove());

interface Sending {
  readonly outbox: Outbox;
  /** The numbers that arrived, each once, in order. */
  readonly arrived: () => readonly number[];
  readonly stop: () => Promise<void>;
}

/** Sends everything to a receiver that takes all. */
function send(journal: Journal): Sending {
  const stop = new AbortController();
  const arrived = new Set<number>();
  const outbox = startOutbox({
    ...{ name: READER, gatewayId: "gateway-1", journal, clock: createSystemClock(), random: () => 0.5, stop: stop.signal },
    sink: {
      name: "hospital",
      deliver: async (batch) => {
        for (const { record } of batch) arrived.add(record.seq);
        return { kind: "delivered" };
      },
      close: async () => {},
    },
    onFault: () => {},
    stateLoss: () => seq(0),
    onIncident: () => {},
  });
  return {
    outbox,
    arrived: () => [...arrived].sort((one, other) => one - other),
    stop: async () => {
      stop.abort();
      await outbox.finished;
    },
  };
}

/** Waits until so much has arrived, or as long as a wrong end would take to show itself. */
async function untilArrived(sending: Sending, lastSeq: number): Promise<void> {
  const isThrough = () => sending.arrived().at(-1) === lastSeq && sending.outbox.view().backlogRecords === 0;
  await until(`${lastSeq} has arrived and nothing waits`, isThrough, 20_000);
}

/** Changes the stored count of one block by a bit; its data and check sum stay. */
function damageCount(file: string, firstSeq: number, count: number): void {
  const database = new Database(file, { readonly: true });
  const data = database.prepare<[number], Buffer>("SELECT data FROM blocks WHERE first_seq = ?").pluck().get(firstSeq);
  database.close();
  const bytes = readFileSync(file);
  const at = bytes.lastIndexOf(count, bytes.indexOf(data ?? ""));
  bytes[at] = count ^ 1;
  writeFileSync(file, bytes);
}

describe("what cannot be read for a moment goes out all the same", () => {
  test("a damaged segment that is mended while the backlog leaves: all that could be saved arrives", async () => {
    await makeSealedJournal(place.folder, { sealsKept: false });
    damageCount(filesOf(place.folder, "observations")[1] ?? "", 141, 18);
    const journal = await openOrFail(place.folder);
    const sending = send(journal);
    await untilArrived(sending, LAST_SEQ);
    expect(sending.arrived()).toEqual((await readAll(journal)).map((record) => record.seq));
    expect(sending.arrived()).toEqual(ALL);
    await sending.stop();
    expect(await journal.cursor(READER)).toMatchObject({ upTo: LAST_SEQ, open: [] });
    await journal.close();
  }, 60_000);

  for (const sealsKept of [false, true])
    test(`a disk that is away while the receiver comes, ${sealsKept ? "alerts sealed" : "alerts in use"}: all of it arrives when it is back`, async () => {
      const { folder } = place;
      await makeSealedJournal(folder, { sealsKept });
      const journal = await openOrFail(folder);
      journal.append([observationOf({ seq: LAST_SEQ + 1 })]);
      await committed(journal, LAST_SEQ + 1);
      // Somebody has read: the files in use stay open when their names go away.
      expect(await journal.read({ afterSeq: seq(LAST_SEQ - 1), limit: 5 })).toHaveLength(2);
      renameSync(folder, `${folder}.away`);
      mkdirSync(folder);
      const sending = send(journal);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect(sending.arrived().length).toBeLessThan(50);
      rmSync(folder, { recursive: true });
      renameSync(`${folder}.away`, folder);
      journal.append([observationOf({ seq: LAST_SEQ + 2 })]);
      await untilArrived(sending, LAST_SEQ + 2);
      expect(sending.arrived()).toEqual([...ALL, LAST_SEQ + 1, LAST_SEQ + 2]);
      await sending.stop();
      await journal.close();
    }, 60_000);

  test("a start on files that cannot be written, with alerts sealed away: all of it arrives, and nothing counts as damaged", async () => {
    const { folder } = place;
    await makeSealedJournal(folder, { sealsKept: true });
    rmSync(join(folder, "lock.sqlite"), { force: true });
    mkdirSync(join(folder, "lock.sqlite"));
    const journal = await openOrFail(folder);
    const losses: unknown[] = [];
    journal.onLoss((loss) => losses.push(loss));
    const sending = send(journal);
    await until("all of it arrives", () => sending.arrived().length === LAST_SEQ, 20_000);
    rmdirSync(join(folder, "lock.sqlite"));
    const next = (journal.leftOutAtOpen?.to ?? LAST_SEQ) + 1;
    journal.append([observationOf({ seq: next })]);
    await until("what is new arrives as well", () => sending.arrived().includes(next), 20_000);
    expect(sending.arrived()).toEqual([...ALL, next]);
    expect((await readAll(journal)).map((record) => record.seq)).toEqual([...ALL, next]);
    expect(losses).toEqual([]);
    await sending.stop();
    await journal.close();
  }, 60_000);
});
