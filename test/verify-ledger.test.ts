import { describe, expect, test } from "vitest";
import { deviceId, seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { JournalRecord, Loss, Tally } from "../src/core/record.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { leavesFor } from "../src/core/upstream.ts";
import { farBeyond } from "../src/journal/read-folder.ts";
import { FINDINGS, type FindingRule } from "../src/verify/finding.ts";
import { alertOf, BASE_MS } from "./support/journal-records.ts";
import { seededRandom } from "./support/seeded-random.ts";
import { farLine, type History, makeHistory, pick, type Random, READER, verifyHistory } from "./support/verify-ward.ts";

const SEEDS = Array.from({ length: 8 }, (_, index) => 7_001 + index * 13);

const copy = (history: History): History => ({ ...history, disk: [...history.disk], lines: [...history.lines] });
const losses = (history: History) => history.disk.filter((record): record is Loss => record.kind === "loss");
const tallies = (history: History) => history.disk.filter((record): record is Tally => record.kind === "tally");
const inLoss = (history: History, record: JournalRecord) =>
  losses(history).some((loss) => record.seq >= loss.fromSeq && record.seq <= loss.toSeq);
const replace = (history: History, old: JournalRecord, ...by: readonly JournalRecord[]) => {
  history.disk = history.disk.flatMap((record) => (record === old ? by : [record]));
};
const remove = (history: History, gone: JournalRecord) => replace(history, gone);
const fieldsOf = (line: string) =>
  JSON.parse(line) as { seq: number; kind: string; resent: boolean; again?: boolean; content: string };
/** Covered by a tally and outside every loss, so that nothing else is touched. */
const inTheMiddle = (history: History, kinds: readonly JournalRecord["kind"][]) => {
  const spans = tallies(history).map(({ fromSeq, toSeq }) => ({ fromSeq, toSeq }));
  const isCounted = ({ seq: number }: JournalRecord) => spans.some(({ fromSeq, toSeq }) => number >= fromSeq && number < toSeq);
  return history.disk.filter((record) => kinds.includes(record.kind) && isCounted(record) && !inLoss(history, record));
};
/** Tallies of minutes in which nothing was lost: there every count must be exact. */
const exactTallies = (history: History) =>
  tallies(history).filter(
    ({ fromSeq, toSeq }) => !losses(history).some((loss) => loss.fromSeq <= toSeq && loss.toSeq >= fromSeq),
  );
/** Tallies that another one of the same life follows. */
const firstTallies = (history: History) =>
  tallies(history).filter(({ toSeq }) => tallies(history).some(({ fromSeq }) => fromSeq === toSeq + 1));
/** Lines whose number came once. */
const single = (history: History) => {
  const counts = new Map<number, number>();
  for (const line of history.lines) counts.set(fieldsOf(line).seq, (counts.get(fieldsOf(line).seq) ?? 0) + 1);
  return history.lines.filter((line) => counts.get(fieldsOf(line).seq) === 1 && fieldsOf(line).content !== undefined);
};
const kept = (history: History, line: string) => history.disk.some((record) => record.seq === fieldsOf(line).seq);
const swapLine = (history: History, line: string, by: string | null) => {
  history.lines = history.lines.flatMap((each) => (each === line ? (by === null ? [] : [by]) : [each]));
};

interface Sabotage {
  readonly does: string;
  readonly to: (history: History, random: Random) => void;
  /** What must be found, besides what else follows from it. */
  readonly finds: FindingRule;
}

const SABOTAGES: readonly Sabotage[] = [
  {
    does: "an observation is taken out",
    to: (history, random) => remove(history, pick(random, inTheMiddle(history, ["observation"]))),
    finds: "hole",
  },
  {
    does: "an alert is taken out",
    to: (history, random) => remove(history, pick(random, inTheMiddle(history, ["alert"]))),
    finds: "hole",
  },
  { does: "a loss record is taken out", to: (history, random) => remove(history, pick(random, losses(history))), finds: "hole" },
  { does: "a tally is taken out", to: (history, random) => remove(history, pick(random, firstTallies(history))), finds: "hole" },
  {
    does: "a start is taken out",
    to: (history, random) =>
      remove(
        history,
        pick(
          random,
          history.disk.filter(({ kind }) => kind === "start"),
        ),
      ),
    finds: "hole",
  },
  {
    does: "a record is there twice",
    to: (history, random) => {
      const record = pick(random, inTheMiddle(history, ["observation", "alert", "event", "act"]));
      replace(history, record, record, record);
    },
    finds: "double",
  },
  {
    does: "a record has the number of one long before",
    to: (history, random) => {
      const record = pick(random, inTheMiddle(history, ["observation", "event"]).slice(10));
      replace(history, record, { ...record, seq: seq(2) });
    },
    finds: "not-rising",
  },
  {
    does: "a record has a number that is one too high",
    to: (history, random) => {
      const record = pick(random, inTheMiddle(history, ["observation"]));
      replace(history, record, { ...record, seq: seq(record.seq + 1) });
    },
    finds: "hole",
  },
  {
    does: "an alert within a lost range is taken out",
    to: (history, random) => {
      const candidates = history.disk.filter((record) => record.kind === "alert" && inLoss(history, record));
      remove(history, pick(random, candidates));
    },
    finds: "loss-count",
  },
  {
    does: "a loss says one record less",
    to: (history, random) => {
      const loss = pick(random, losses(history));
      replace(history, loss, { ...loss, count: loss.count - 1 });
    },
    finds: "loss-count",
  },
  {
    does: "a loss begins one number later",
    to: (history, random) => {
      const loss = pick(random, losses(history));
      replace(history, loss, { ...loss, fromSeq: seq(loss.fromSeq + 1) });
    },
    finds: "hole",
  },
  {
    does: "a loss ends one number earlier",
    to: (history, random) => {
      const loss = pick(random, losses(history));
      replace(history, loss, { ...loss, toSeq: seq(loss.toSeq - 1) });
    },
    finds: "hole",
  },
  ...(["given", "more"] as const).map(
    (side): Sabotage => ({
      does: `a tally counts one observation ${side === "given" ? "more" : "less"}`,
      to: (history, random) => {
        const tally = pick(
          random,
          tallies(history).filter(({ given }) => (given.observation ?? 0) > 0),
        );
        const by = side === "given" ? 1 : -1;
        replace(history, tally, { ...tally, given: { ...tally.given, observation: (tally.given.observation ?? 0) + by } });
      },
      finds: "tally-total",
    }),
  ),
  {
    does: "a tally counts an event as an act",
    to: (history, random) => {
      const clean = exactTallies(history).filter(({ given }) => (given.event ?? 0) > 0);
      const tally = pick(random, clean);
      const { given } = tally;
      const forged = { ...given, event: (given.event ?? 0) - 1, act: (given.act ?? 0) + 1 };
      replace(history, tally, { ...tally, given: forged });
    },
    finds: "tally-kind",
  },
  {
    does: "a tally counts a device's observation for another",
    to: (history, random) => {
      const tally = pick(
        random,
        exactTallies(history).filter(({ devices }) => devices.length > 1),
      );
      const devices = tally.devices.map((device, index) => {
        const by = index === 0 ? 1 : index === 1 ? -1 : 0;
        return { ...device, observations: device.observations + by, readings: device.readings + by };
      });
      replace(history, tally, { ...tally, devices });
    },
    finds: "tally-device",
  },
  {
    does: "a tally counts one reading more",
    to: (history, random) => {
      const tally = pick(
        random,
        tallies(history).filter(({ devices }) => devices.length > 0),
      );
      const [first, ...others] = tally.devices;
      if (first !== undefined)
        replace(history, tally, { ...tally, devices: [{ ...first, readings: first.readings + 1 }, ...others] });
    },
    finds: "tally-readings",
  },
  {
    does: "a tally begins one number later",
    to: (history, random) => {
      const tally = pick(random, exactTallies(history));
      replace(history, tally, { ...tally, fromSeq: seq(tally.fromSeq + 1) });
    },
    finds: "tally-gap",
  },
  {
    does: "an observation is another device's",
    to: (history, random) => {
      const spans = exactTallies(history);
      const record = pick(
        random,
        inTheMiddle(history, ["observation"]).filter(({ seq: number }) =>
          spans.some(({ fromSeq, toSeq }) => number >= fromSeq && number < toSeq),
        ),
      );
      if (record.kind === "observation") replace(history, record, { ...record, deviceId: deviceId("monitor-9") });
    },
    finds: "tally-device",
  },
  {
    does: "left-out numbers end one too early",
    to: (history, random) => changeStart(history, random, (leftOut) => ({ ...leftOut, to: seq(leftOut.to - 1) })),
    finds: "left-out-not-empty",
  },
  {
    does: "left-out numbers begin one too early",
    to: (history, random) => changeStart(history, random, (leftOut) => ({ ...leftOut, from: seq(leftOut.from - 1) })),
    finds: "left-out-not-empty",
  },
  {
    does: "left-out numbers begin one too late",
    to: (history, random) => changeStart(history, random, (leftOut) => ({ ...leftOut, from: seq(leftOut.from + 1) })),
    finds: "hole",
  },
  {
    does: "a start says the life before was cut off though no numbers were left out",
    to: (history, random) => {
      const start = pick(
        random,
        history.disk.filter((record) => record.kind === "start" && record.before === "closed"),
      );
      if (start.kind === "start") replace(history, start, { ...start, before: "cut-off" });
    },
    finds: "start-without-end",
  },
  {
    does: "a start says the life before was closed though numbers were left out",
    to: (history, random) => {
      const start = pick(
        random,
        history.disk.filter((record) => record.kind === "start" && record.leftOut !== null),
      );
      if (start.kind === "start") replace(history, start, { ...start, before: "closed" });
    },
    finds: "left-out-after-end",
  },
  {
    does: "a second first start",
    to: (history, random) => {
      const start = pick(
        random,
        history.disk.filter((record) => record.kind === "start" && record.before === "closed"),
      );
      if (start.kind === "start") replace(history, start, { ...start, before: "first" });
    },
    finds: "start-without-end",
  },
  {
    does: "the reader is one number further than the journal",
    to: (history) => {
      history.cursor = { ...history.cursor, upTo: seq((history.disk.at(-1)?.seq ?? 0) + 1) };
    },
    finds: "cursor-ahead",
  },
  {
    does: "a delivered record is not at the far side",
    to: (history, random) =>
      swapLine(
        history,
        pick(
          random,
          single(history).filter((line) => kept(history, line)),
        ),
        null,
      ),
    finds: "far-missing",
  },
  {
    does: "the reader says that the record after its cursor was delivered too",
    to: (history) => {
      const next = history.disk.find((record) => record.seq > history.cursor.upTo && leavesFor(record, READER));
      if (next === undefined) history.lines.splice(0, 1);
      else history.cursor = { ...history.cursor, upTo: next.seq };
    },
    finds: "far-missing",
  },
  {
    does: "the first arrival of what came twice is not in the file",
    to: (history, random) => {
      const again = pick(
        random,
        history.lines.filter((line) => fieldsOf(line).again === true),
      );
      const first = history.lines.find((line) => fieldsOf(line).seq === fieldsOf(again).seq && fieldsOf(line).again !== true);
      if (first !== undefined) swapLine(history, first, null);
    },
    finds: "far-first-missing",
  },
  {
    does: "a content differs by one bit",
    to: (history, random) => {
      const line = pick(
        random,
        single(history).filter((each) => kept(history, each)),
      );
      const { content } = fieldsOf(line);
      const flipped = (Number.parseInt(content[7] ?? "0", 16) ^ 1).toString(16);
      swapLine(history, line, line.replace(content, `${content.slice(0, 7)}${flipped}${content.slice(8)}`));
    },
    finds: "far-changed",
  },
  {
    does: "a record on disk differs from what was delivered",
    to: (history, random) => {
      const arrived = new Set(history.lines.map((line) => fieldsOf(line).seq));
      const record = pick(
        random,
        inTheMiddle(history, ["observation"]).filter((each) => arrived.has(each.seq)),
      );
      if (record.kind === "observation") replace(history, record, { ...record, content: { state: "present", value: 1.25 } });
    },
    finds: "far-changed",
  },
  {
    does: "a duplicate is not marked",
    to: (history, random) => {
      const again = pick(
        random,
        history.lines.filter((line) => fieldsOf(line).again === true),
      );
      swapLine(history, again, again.replace('"resent":true', '"resent":false'));
    },
    finds: "far-unmarked-duplicate",
  },
  {
    does: "one number carries two contents",
    to: (history, random) => {
      const again = pick(
        random,
        history.lines.filter((line) => fieldsOf(line).again === true),
      );
      swapLine(history, again, again.replace(fieldsOf(again).content, "0123456789abcdef"));
    },
    finds: "far-two-contents",
  },
  {
    does: "backlog is not marked",
    to: (history, random) => {
      const newest = Math.max(
        ...history.lines
          .map(fieldsOf)
          .filter(({ kind, resent }) => kind === "observation" && !resent)
          .map((line) => line.seq),
      );
      const late = single(history).filter(
        (line) => fieldsOf(line).resent && fieldsOf(line).kind === "observation" && fieldsOf(line).seq < newest,
      );
      const line = pick(random, late);
      swapLine(history, line, line.replace('"resent":true', '"resent":false'));
    },
    finds: "far-out-of-order",
  },
  {
    does: "the far side has a record that the journal never had",
    to: (history) => {
      const hole = history.disk.find(({ kind }) => kind === "receipt");
      if (hole !== undefined) history.lines.push(farLine(alertOf({ seq: hole.seq, id: "x" }), { resent: true }));
    },
    finds: "far-changed",
  },
  {
    does: "the far side has as durable what a cut-off took back",
    to: (history) => {
      const line = history.lines.find((each) => each.includes('"durable":false'));
      if (line !== undefined) swapLine(history, line, line.replace('"durable":false', '"durable":true'));
    },
    finds: "far-not-kept",
  },
  {
    does: "a line cannot be read",
    to: (history, random) => {
      const line = pick(random, history.lines);
      history.lines.splice(history.lines.indexOf(line), 0, "no json at all");
    },
    finds: "far-unreadable",
  },
];

type StartRecord = Extract<JournalRecord, { kind: "start" }>;

function startAt(number: number, before: StartRecord["before"], leftOut: StartRecord["leftOut"]): StartRecord {
  return {
    kind: "start",
    seq: seq(number),
    atMs: wallMs(BASE_MS),
    atMonotonicMs: monotonicMs(1),
    version: "1.0.0",
    before,
    leftOut,
  };
}

/** Lives that did nothing but start, each after an orderly end; their numbers go up to the one given. */
function makeStarts(upTo: number): JournalRecord[] {
  return Array.from({ length: upTo }, (_, index) => startAt(index + 1, index === 0 ? "first" : "closed", null));
}

function changeStart(
  history: History,
  random: Random,
  change: (leftOut: {
    readonly from: ReturnType<typeof seq>;
    readonly to: ReturnType<typeof seq>;
  }) => NonNullable<StartRecord["leftOut"]>,
): void {
  const start = pick(
    random,
    history.disk.filter((record) => record.kind === "start" && record.leftOut !== null),
  );
  if (start.kind === "start" && start.leftOut !== null) replace(history, start, { ...start, leftOut: change(start.leftOut) });
}

describe("the ledger over seeded lives of a gateway", () => {
  test("finds nothing wrong where nothing is wrong", () => {
    for (const seed of SEEDS) {
      const report = verifyHistory(makeHistory(seededRandom(seed).fraction));
      expect(report.wrong, `seed ${seed}: ${JSON.stringify(report.findings)}`).toEqual({});
      expect(report.ok).toBe(true);
    }
  });

  for (const { does, to, finds } of SABOTAGES) {
    test(`${does}: ${finds}`, () => {
      for (const seed of SEEDS) {
        const random = seededRandom(seed).fraction;
        const history = copy(makeHistory(random));
        to(history, random);
        const report = verifyHistory(history);
        expect(Object.keys(report.wrong), `seed ${seed}: ${JSON.stringify(report.findings)}`).toContain(finds);
        expect(report.ok, `seed ${seed}`).toBe(false);
      }
    });
  }

  test("after an orderly end, and before a first life, so many numbers are left out as a start can that cannot write, and no fewer or more", () => {
    const upTo = 41;
    const reserved = LIMITS.journalNumbersReserved.value;
    const fewest = farBeyond(upTo, () => 0) ?? 0;
    const most = farBeyond(upTo + reserved, (places) => places - 1) ?? 0;
    const wrongWith = (before: "first" | "closed" | "cut-off", to: number) => {
      const cursor = { epoch: "none", upTo: seq(0), open: [] };
      const disk = before === "first" ? [] : makeStarts(upTo);
      disk.push(startAt(to + 1, before, { from: seq(disk.length + 1), to: seq(to) }));
      return verifyHistory({ disk, ended: "cut-off", cursor, lines: [], torn: "" }).wrong;
    };
    expect(wrongWith("closed", fewest)).toEqual({});
    expect(wrongWith("closed", fewest - 1)).toEqual({ "left-out-after-end": fewest - 1 - upTo });
    expect(wrongWith("closed", most)).toEqual({});
    expect(wrongWith("closed", most + 1)).toEqual({ "left-out-after-end": most + 1 - upTo });
    expect(wrongWith("first", fewest)).toEqual({});
    expect(wrongWith("first", fewest - upTo - 1)).toEqual({ "left-out-after-end": fewest - upTo - 1 });
    expect(wrongWith("cut-off", fewest - 1), "what a cut-off had in reserve").toEqual({});
    expect(wrongWith("cut-off", most + 1), "one cut-off after another").toEqual({});
  });

  test("lives whose files could not be written begin at numbers drawn by lot, in any order; within such a life order counts", () => {
    const history = makeHistory(seededRandom(3).fraction);
    const alert = (seq: number) => farLine(alertOf({ seq, id: `far-${seq}` }), { resent: false, durable: false });
    const place = Math.floor(history.lines.length / 2);
    const judged = (seqs: readonly number[]) => {
      const lines = [...history.lines.slice(0, place), ...seqs.map(alert), ...history.lines.slice(place)];
      return verifyHistory({ ...history, lines }).wrong;
    };
    expect(judged([198_100_000_000_116, 198_100_000_000_117, 83_254_000_000_123, 83_254_000_000_351])).toEqual({});
    expect(judged([198_100_000_000_117, 198_100_000_000_116])).toEqual({ "far-out-of-order": 1 });
  });

  test("every wrong rule but those of the files is provoked above", () => {
    const provoked = new Set<string>(SABOTAGES.map(({ finds }) => finds));
    const ofFiles = ["damaged", "cursor-damaged", "far-unknown", "far-scattered"];
    const wrong = Object.entries(FINDINGS).filter(([, { wrong: isWrong }]) => isWrong);
    expect(wrong.map(([rule]) => rule).filter((rule) => !provoked.has(rule) && !ofFiles.includes(rule))).toEqual([]);
  });
});

describe("what each account says", () => {
  test("counts add up: what a device gave is kept or lost by its rule, and every kept record has one state for the reader", () => {
    for (const seed of SEEDS) {
      const history = makeHistory(seededRandom(seed).fraction);
      const report = verifyHistory(history);
      for (const device of report.devices) {
        const lost = Object.values(device.lost).reduce((sum, count) => sum + count, 0);
        expect(device.received.observations, `seed ${seed} ${device.deviceId}`).toBe(device.keptCounted + lost);
        expect(device.received.readings).toBe(device.received.observations + device.received.repeats);
        const states = Object.values(device.readers[READER] ?? {}).reduce((sum, count) => sum + count, 0);
        expect(states, `seed ${seed}`).toBe(device.kept);
        expect(Object.keys(device.lost).filter((why) => why !== "queue-full")).toEqual([]);
      }
      const [reader] = report.readers;
      const sent = history.disk.filter((record) => leavesFor(record, READER)).length;
      expect(
        Object.values(reader?.records ?? {}).reduce((sum, count) => sum + count, 0),
        `seed ${seed}`,
      ).toBe(sent);
      expect(reader?.records.delivered).toBe(
        report.farSides[0]?.records === undefined ? -1 : report.farSides[0].records - report.farSides[0].notDurable,
      );
      expect(report.recordCount).toBe(history.disk.length);
      const droppable = report.lives.reduce((sum, life) => sum + (life.lost["queue-full"] ?? 0), 0);
      expect(droppable).toBe(losses(history).reduce((sum, loss) => sum + loss.count, 0));
    }
  });

  test("an observation that is there twice is its device's", () => {
    const history = makeHistory(seededRandom(9).fraction);
    const twice = inTheMiddle(history, ["observation"])[3];
    if (twice?.kind !== "observation") throw new Error("there is an observation");
    replace(history, twice, twice, twice);
    const counts = verifyHistory(history).devices.map(({ deviceId: id, duplicated }) => [id, duplicated]);
    expect(counts).toEqual(["monitor-1", "monitor-2", "monitor-3"].map((id) => [id, id === twice.deviceId ? 1 : 0]));
  });

  test("an interrupted commit is said and not wrong, until an observation follows in the same life", () => {
    const seed = 5;
    const history = makeHistory(seededRandom(seed).fraction);
    expect(verifyHistory(history).said["interrupted-commit"]).toBeGreaterThan(0);
    const cutOff = copy(history);
    const place = cutOff.disk.findIndex((record, index) => {
      const before = cutOff.disk[index - 1];
      return record.kind === "start" && record.before === "cut-off" && before?.kind === "alert";
    });
    const start = cutOff.disk[place];
    const alert = cutOff.disk[place - 1];
    if (start?.kind !== "start" || start.leftOut === null || alert === undefined) throw new Error("there is such a life");
    const event = cutOff.disk.find(({ kind }) => kind === "event");
    if (event?.kind !== "event") throw new Error("there is an event");
    const follows = { ...event, seq: seq(alert.seq + 1) };
    cutOff.disk.splice(place, 1, follows, { ...start, leftOut: { ...start.leftOut, from: seq(alert.seq + 2) } });
    expect(verifyHistory(cutOff).wrong.hole).toBeGreaterThan(0);
  });

  test("the same hole is an interrupted commit after a cut-off and wrong after an orderly end", () => {
    const seed = SEEDS.find((each) => makeHistory(seededRandom(each).fraction).ended === "closed") ?? 0;
    const history = makeHistory(seededRandom(seed).fraction);
    history.disk.push(alertOf({ seq: (history.disk.at(-1)?.seq ?? 0) + 3, id: "late" }));
    history.ended = "cut-off";
    const before = verifyHistory(history);
    expect(before.wrong, `seed ${seed}`).toEqual({});
    history.ended = "closed";
    expect(verifyHistory(history).wrong, `seed ${seed}`).toEqual({ hole: 2 });
  });

  test("a torn last line is said; a line that was torn and glued to the next is read from there", () => {
    const history = makeHistory(seededRandom(3).fraction);
    history.torn = '{"key":"ward-1/1111';
    const glued = history.lines[4] ?? "";
    history.lines[4] = `${glued.slice(0, 20)}${glued}`;
    const report = verifyHistory(history);
    expect(report.wrong).toEqual({});
    expect(report.said["torn-line"]).toBe(2);
  });

  test("lines of another gateway or epoch are counted and not compared; numbers over the end are said", () => {
    const history = makeHistory(seededRandom(4).fraction);
    const line = history.lines[0] ?? "";
    const end = history.disk.at(-1)?.seq ?? 0;
    history.lines.push(line.replace("ward-1/", "ward-2/"), line.replace("/1111", "/2222"));
    history.lines.push(farLine(alertOf({ seq: end + 50, id: "next" }), { resent: false, durable: false }));
    const ahead = verifyHistory(history);
    expect(ahead.wrong).toEqual({});
    expect(ahead.said["far-other"]).toBe(2);
    expect(ahead.said["far-ahead"]).toBeGreaterThan(0);
    history.lines.push(farLine(alertOf({ seq: end + 51, id: "next" }), { resent: false }));
    expect(verifyHistory(history).wrong, "as durable it would be on disk").toEqual({ "far-not-kept": 1 });
  });

  test("what the receiver has and nobody can place is wrong", () => {
    const history = makeHistory(seededRandom(4).fraction);
    const gone = history.disk.find(({ kind }) => kind === "event");
    if (gone === undefined) throw new Error("there is an event");
    remove(history, gone);
    expect(Object.keys(verifyHistory(history).wrong)).toContain("far-unknown");
  });

  test("a record that the reader's far side refused is refused, and not missing; without the loss record it is missing", () => {
    const history = makeHistory(seededRandom(6).fraction);
    const end = history.disk.at(-1)?.seq ?? 0;
    const line = single(history).find((each) => fieldsOf(each).kind === "observation") ?? "";
    const number = seq(fieldsOf(line).seq);
    swapLine(history, line, null);
    expect(Object.keys(verifyHistory(history).wrong)).toEqual(["far-missing"]);
    const at = { atMs: (history.disk.at(-1) as { atMs?: number }).atMs ?? 0 } as Pick<Loss, "atMs">;
    const refused = { count: 1, why: "receiver-refused", what: "records", reader: READER } as const;
    history.disk.push({ kind: "loss", seq: seq(end + 1), ...at, fromSeq: number, toSeq: number, ...refused });
    history.ended = "cut-off";
    const report = verifyHistory(history);
    expect(report.wrong).toEqual({});
    expect(report.readers[0]?.records.refused).toBe(1);
  });

  test("an hour of its life: what is wrong outside it is not its answer", () => {
    const history = makeHistory(seededRandom(8).fraction);
    const record = pick(seededRandom(8).fraction, inTheMiddle(history, ["observation"]).slice(0, 10));
    const atMs = record.kind === "observation" ? record.times.receivedAtMs : 0;
    const index = history.disk.indexOf(record);
    const later = history.disk[index + 30];
    const laterMs =
      later?.kind === "observation" ? later.times.receivedAtMs : ((later as { atMs?: number })?.atMs ?? atMs + 9000);
    remove(history, record);
    const arrived = history.lines.filter((line) => fieldsOf(line).seq === record.seq);
    for (const line of arrived) swapLine(history, line, null);
    expect(verifyHistory(history).ok).toBe(false);
    const after = verifyHistory(history, { fromMs: laterMs, toMs: Number.POSITIVE_INFINITY, isWhole: false });
    expect(after.wrong.hole).toBeUndefined();
    const around = verifyHistory(history, { fromMs: atMs - 5000, toMs: atMs + 5000, isWhole: false });
    expect(around.wrong.hole).toBe(1);
  });
});
