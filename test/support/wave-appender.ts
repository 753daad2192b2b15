import { createSystemClock } from "../../src/clock.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { WAVE_DEFAULTS } from "../../src/journal/waves/wave-settings.ts";
import { chunkOf, patientAlertOf } from "./wave-records.ts";

/**
 * A process that records a wave until it is killed: node wave-appender.ts <folder> <strip after ms>. Once a second of it is in the ring it appends one alert
 * and says `alert <id>` when that is committed; says `recorded <index>` after each chunk.
 */
const [folder = "", after = "3000"] = process.argv.slice(2);
const opened = await openJournal({
  folder,
  gatewayId: "gateway-1",
  bytesMax: 1e9,
  clock: createSystemClock(),
  waves: { ...WAVE_DEFAULTS, stripBeforeMs: 1000, stripAfterMs: Number(after) },
});
if (!opened.ok) process.exit(3);
const journal = opened.value;
let index = 0;
setInterval(() => {
  journal.recordWaves([chunkOf({ index, samples: 25 })]);
  process.stdout.write(`recorded ${index++}\n`);
}, 100);
setTimeout(() => journal.append([patientAlertOf({ seq: journal.lastSeqAtOpen + 1, id: "alert-1" })]), 1500);
journal.onCommit(() => process.stdout.write("alert alert-1\n"));
