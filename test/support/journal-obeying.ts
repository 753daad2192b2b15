import { createInterface } from "node:readline";
import { createSystemClock } from "../../src/clock.ts";
import { alertId, deviceId, seq } from "../../src/core/ids.ts";
import { wallMs } from "../../src/core/time.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { sqliteOrSystemCode } from "../../src/journal/journal-folder.ts";
import { type JournalView, viewJournal } from "../../src/journal/read-only.ts";
import { wardRecordOf } from "./journal-commands.ts";
import { committed, readAll } from "./journal-folder.ts";
import { RecordHasher } from "./record-ledger.ts";

/**
 * A process that opens a folder's journal and does what it is told, line by line: node journal-obeying.ts <folder>. A line is a command as
 * JSON, and so is its answer; the first answer tells how the opening went. Without a gateway, `view` looks at the journal as `vigil verify` does.
 */
const [folder = "", only] = process.argv.slice(2);
const say = (answer: unknown) => process.stdout.write(`${JSON.stringify(answer)}\n`);

function view(): unknown {
  const viewed = viewJournal(folder);
  if (!viewed.ok) return { fault: viewed.error };
  try {
    return walk(viewed.value);
  } catch (error) {
    const code = sqliteOrSystemCode(error);
    if (code === null) throw error;
    return { fault: { code: "journal-unreadable", facts: { code } } };
  } finally {
    viewed.value.close();
  }
}

function walk(view: JournalView): unknown {
  const steps = [...view.walk(view.endSeq())];
  const records = steps.flatMap((step) => (step.kind === "record" ? [step.record.seq as number] : []));
  const damaged = steps.flatMap((step) => (step.kind === "damaged" ? [[step.fromSeq, step.toSeq]] : []));
  const { recorded, owed } = view.losses();
  const losses = [...recorded, ...owed].filter(({ what }) => what === "records").map((loss) => [loss.fromSeq, loss.toSeq]);
  const leftOut = view.leftOut().map((range) => [range.fromSeq, range.toSeq]);
  return { records, damaged, losses, leftOut };
}

if (only === "view") {
  say(view());
  process.exit(0);
}

const startedMs = performance.now();
const opened = await openJournal({ folder, gatewayId: "gateway-1", bytesMax: 1e9, clock: createSystemClock() });
if (!opened.ok) {
  say({ id: 0, refused: opened.error });
  process.exit(3);
}
const journal = opened.value;
const losses: {
  readonly what: string;
  readonly from: number;
  readonly to: number;
  readonly count: number;
  readonly why: string;
}[] = [];
const faults = [...journal.faultsAtOpen];
journal.onLoss(({ what, fromSeq, toSeq, count, why }) => losses.push({ what, from: fromSeq, to: toSeq, count, why }));
journal.onHealth((health) => {
  if (health.state === "failing") faults.push(health.fault);
});
const { epoch, lastSeqAtOpen, leftOutAtOpen } = journal;
say({ id: 0, opened: { epoch, lastSeqAtOpen, leftOutAtOpen, openMs: performance.now() - startedMs } });

interface Command {
  readonly id: number;
  readonly do: string;
  readonly from?: number;
  readonly count?: number;
}

async function obey(command: Command): Promise<object> {
  const { from = 0, count = 0 } = command;
  switch (command.do) {
    case "append":
      journal.append(Array.from({ length: count }, (_, index) => wardRecordOf(from + index)));
      return {};
    case "commit":
      await committed(journal, from);
      return {};
    case "read": {
      const hasher = new RecordHasher();
      return { records: (await readAll(journal, 100)).map((record) => [record.seq, hasher.of(record)]) };
    }
    case "look": {
      const latest = await journal.latestObservations({ sinceMs: wallMs(0), quantities: ["heartRate"] });
      const trend = await journal.trend({
        ...{ patientId: "patient-1", quantity: "heartRate", pointsMax: 100 },
        ...{ fromMs: wallMs(0), toMs: wallMs(Number.MAX_SAFE_INTEGER) },
      });
      const back = await journal.readBack({ upToSeq: seq(journal.committedSeq()), limit: 50 });
      return { open: (await journal.openAlerts()).length, latest: latest.length, trend: trend.length, back: back.length };
    }
    case "waves": {
      const times = { fromMs: wallMs(0), toMs: wallMs(Number.MAX_SAFE_INTEGER) };
      const ring = await journal.waves({ deviceId: deviceId("monitor-1"), ...times });
      return { chunks: ring.length, ofStrip: (await journal.strip(alertId("alert-1"))).length };
    }
    case "told":
      return { losses, faults, committedSeq: journal.committedSeq() };
    case "close":
      await journal.close();
      setImmediate(() => process.exit(0));
      return {};
  }
  throw new Error(`unknown: ${command.do}`);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line) as Command;
  const { id } = command;
  void obey(command).then(
    (answer) => say({ id, ...answer }),
    (error: unknown) => say({ id, failed: String(error) }),
  );
});
