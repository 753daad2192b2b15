import { createSystemClock } from "../../src/clock.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { actOf, alertOf, observationOf } from "./journal-records.ts";

/**
 * A process that appends until it is killed: node journal-appender.ts <folder> <records per 10 ms> [bytesMax] [keptFileBytesMax].
 * Says `open <epoch> <the number before its first>` first and then `committed <seq>` after each commit. Every 97th record is an
 * alert, every 101st an act. With 0 records it only holds the journal.
 */
const [folder = "", perTurn = "0", bytesMax = "1e9", keptFileBytesMax = "64e6"] = process.argv.slice(2);
const clock = createSystemClock();
const limits = { bytesMax: Number(bytesMax), keptFileBytesMax: Number(keptFileBytesMax) };
const opened = await openJournal({ folder, gatewayId: "gateway-1", ...limits, clock });
if (!opened.ok) {
  process.stdout.write(`refused ${JSON.stringify(opened.error)}\n`);
  process.exit(3);
}
const journal = opened.value;
const beforeFirst = journal.leftOutAtOpen?.to ?? journal.lastSeqAtOpen;
process.stdout.write(`open ${journal.epoch} ${beforeFirst}\n`);
journal.onHealth((health) => process.stdout.write(`${health.state}\n`));
journal.onCommit((upTo) => process.stdout.write(`committed ${upTo}\n`));
let next = beforeFirst + 1;
const turn = () => {
  const records = [];
  for (let count = 0; count < Number(perTurn); count++, next++) {
    if (next % 97 === 0) records.push(alertOf({ seq: next, id: `alert-${next}` }));
    else if (next % 101 === 0) records.push(actOf({ seq: next }));
    else records.push(observationOf({ seq: next }));
  }
  journal.append(records);
};
setInterval(turn, 10);
