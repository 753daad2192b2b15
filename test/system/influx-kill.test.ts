import { afterEach, describe, expect, test } from "vitest";
import type { JournalRecord } from "../../src/core/record.ts";
import type { InfluxSinkOptions } from "../../src/sinks/influx.ts";
import { type InfluxEnd, influxOptions, linesOf, startInfluxEnd } from "../support/influx-ends.ts";
import { type ParsedLine, pointIdentity } from "../support/influx-line-parser.ts";
import {
  influxIsMissing,
  prepareInflux,
  prepareVictoria,
  type RealServer,
  samplesOf,
  victoriaIsMissing,
} from "../support/influx-real-servers.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { pause, until } from "../support/until.ts";
import { openUpstreamLink } from "../support/upstream-link.ts";
import { alertAt, observationAt } from "../support/upstream-records.ts";

const SEED = 20_261_122;
const KILLS = 8;
const RECORDS_A_TURN = 400;
const cleanups: (() => Promise<unknown>)[] = [];
const stage = stageOfEachTest();
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function gateway(options: InfluxSinkOptions): Promise<InfluxEnd> {
  const started = await startInfluxEnd({ options, factor: 5 });
  cleanups.push(started.stop);
  return started;
}

const maker = (number: number): JournalRecord => (number % 150 === 0 ? alertAt(number) : observationAt(number));

/** Writes all the time while `between` happens, `turns` times. */
async function underLoad(end: InfluxEnd, turns: number, between: (turn: number) => Promise<void>): Promise<void> {
  let isOver = false;
  const writing = (async () => {
    while (!isOver) {
      end.append(Array.from({ length: RECORDS_A_TURN / 10 }, () => maker));
      await pause(20);
    }
  })();
  for (let turn = 0; turn < turns; turn++) await between(turn);
  isOver = true;
  await writing;
}

/** Killed in the middle of writes, hung and cut between, by a seeded lot; each time it comes back. */
async function troubles(end: InfluxEnd, server: RealServer, link: Awaited<ReturnType<typeof openUpstreamLink>>): Promise<void> {
  const random = seededRandom(SEED).fraction;
  await underLoad(end, KILLS, async (turn) => {
    await pause(200 + random() * 800);
    const lot = turn % 3;
    if (lot === 1) link.hang();
    if (lot === 2) link.takeDown();
    await pause(random() * 400);
    await server.end("SIGKILL");
    await pause(random() * 600);
    await server.start();
    link.bringUp();
    await until("it writes again", () => end.outbox.view().state === "connected", 60_000);
  });
  await end.drained(60_000);
}

const identities = (lines: readonly ParsedLine[]) => lines.map(pointIdentity).sort();

describe.skipIf(influxIsMissing)("InfluxDB killed in the middle", () => {
  test(`seed ${SEED}: everything confirmed is there, and everything is there once`, async () => {
    const influx = await prepareInflux(stage());
    await influx.start();
    const link = await openUpstreamLink(stage(), influx.port);
    const options = influxOptions({ url: `http://127.0.0.1:${link.port}` });
    const end = await gateway(options);
    await until("connected", () => end.outbox.view().state === "connected");
    await troubles(end, influx, link);
    const wanted = identities(linesOf(end.records, end.journal.epoch, options));
    const stored = identities([...(await influx.points("observation")), ...(await influx.points("alert"))]);
    expect(wanted.length).toBeGreaterThan(KILLS * RECORDS_A_TURN);
    expect(stored.length, `seed ${SEED}`).toBe(wanted.length);
    expect(stored, `seed ${SEED}`).toEqual(wanted);
    expect(end.faults.length, "it was noticed").toBeGreaterThan(0);
    expect(end.losses).toEqual([]);
  });
});

describe.skipIf(victoriaIsMissing)("VictoriaMetrics ended in the middle", () => {
  test("ended in good order it loses nothing", async () => {
    const victoria = await prepareVictoria(stage());
    await victoria.start();
    const options = influxOptions({ url: victoria.url, target: { api: "v2", org: "o", bucket: "b" } });
    const end = await gateway(options);
    await until("connected", () => end.outbox.view().state === "connected");
    await underLoad(end, 3, async () => {
      await pause(700);
      await victoria.end("SIGTERM");
      await pause(200);
      await victoria.start();
      await until("it writes again", () => end.outbox.view().state === "connected", 60_000);
    });
    await end.drained(60_000);
    const wanted = samplesOf(
      linesOf(
        end.records.filter(({ kind }) => kind === "observation"),
        end.journal.epoch,
        options,
      ),
    );
    const stored = await victoria.samples();
    expect([...wanted].filter(([key, value]) => stored.get(key) !== value).slice(0, 3)).toEqual([]);
  });

  // It says 204 before it writes to disk; its own documentation says so. What the gateway confirmed seconds before stays in the journal.
  test("killed it loses no more than it was given in the last seconds, and takes everything after", async () => {
    const victoria = await prepareVictoria(stage());
    await victoria.start();
    const options = influxOptions({ url: victoria.url, target: { api: "v2", org: "o", bucket: "b" } });
    const end = await gateway(options);
    const older = end.append(Array.from({ length: 2000 }, () => observationAt));
    await end.drained();
    await pause(15_000);
    end.append(Array.from({ length: 2000 }, () => observationAt));
    await end.drained();
    await victoria.end("SIGKILL");
    await victoria.start();
    const newer = end.append(Array.from({ length: 2000 }, () => observationAt));
    await end.drained(60_000);
    const stored = await victoria.samples();
    const missing = (records: readonly JournalRecord[]) =>
      [...samplesOf(linesOf(records, end.journal.epoch, options))].filter(([key]) => !stored.has(key)).length;
    expect(missing(older)).toBe(0);
    expect(missing(newer)).toBe(0);
  });
});
