import { createSystemClock } from "../../src/clock.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { startAdmissionsWard } from "./admissions-ward.ts";

// A process of its own, to be killed: a journal on a real disk, and admissions on it. Prints its port, each number that is on disk, and
// who lies where. With `mute` it never answers: what is committed then has been done and not been acknowledged.
const [folder = "", mode = ""] = process.argv.slice(2);
const clock = createSystemClock();
const opened = await openJournal({ folder, gatewayId: "ward-3", bytesMax: 64_000_000, clock });
if (!opened.ok) throw new Error(JSON.stringify(opened.error));
const journal = opened.value;
const ward = await startAdmissionsWard({ journal, clock, ...(mode === "mute" ? { answersNobody: true } : {}) });
journal.onCommit((upTo) => process.stdout.write(`committed ${upTo} ${JSON.stringify(ward.beds())}\n`));
process.stdout.write(`port ${ward.admissions.port} ${JSON.stringify(ward.beds())} ${(await ward.acts()).length}\n`);
process.on("SIGTERM", () => void journal.close().then(() => process.exit(0)));
