import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openHl7Sender } from "../simulator/links/hl7-sender.ts";
import { createMemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { patientId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import {
  type AdmissionsWard,
  admitByHand,
  messageBytes,
  msaOf,
  type SaidAdt,
  startAdmissionsWard,
} from "./support/admissions-ward.ts";
import { pause, until } from "./support/until.ts";

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
async function start(more: Parameters<typeof startAdmissionsWard>[0] = {}): Promise<AdmissionsWard> {
  const ward = await startAdmissionsWard(more);
  ends.push(ward.close);
  return ward;
}

const ADMIT: SaidAdt = { event: "A01", patient: "P7", place: "3E^301^1", control: "M1", at: "20260101080000" };
const DISCHARGE: SaidAdt = { event: "A03", patient: "P7", place: "3E^301^1", control: "M2", at: "20260101090000" };
const text = (bytes: Uint8Array | undefined) => msaOf(new TextDecoder().decode(bytes));

describe("a message is answered after the commit of what it brought", () => {
  test("while the disk hangs the patient is watched and there is no AA; when it takes the act there is", async () => {
    const journal = createMemoryJournal();
    const clock = createSimulatedClock();
    const ward = await start({ journal, clock });
    journal.setCommitting(false);
    const sender = await ward.connect();
    await sender.send([messageBytes(ADMIT)]);
    await until("the patient is in the bed", () => ward.beds()["bed-1"] === "P7");
    await clock.advance(10 * LIMITS.actCommitMsMax.value);
    await pause(100);
    expect(sender.answers()).toEqual([]);
    journal.setCommitting(true);
    await until("it is answered", () => sender.answers().length === 1);
    expect(text(sender.answers()[0])).toBe("AA admitted to bed-1");
  });

  test("sent again while the disk hangs, on a new connection, it is done once and answered once there", async () => {
    const journal = createMemoryJournal();
    const clock = createSimulatedClock();
    const ward = await start({ journal, clock });
    journal.setCommitting(false);
    const first = await ward.connect();
    await first.send([messageBytes(ADMIT)]);
    await until("the patient is in the bed", () => ward.beds()["bed-1"] === "P7");
    // Once before the door has given up waiting for the disk, and once after.
    const second = await ward.connect();
    await second.send([messageBytes(ADMIT)]);
    await until("the second has come", () => ward.admissions.view().receivedCount === 2);
    first.vanish();
    await clock.advance(2 * LIMITS.actCommitMsMax.value);
    const third = await ward.connect();
    await third.send([messageBytes(ADMIT)]);
    await until("the third has come", () => ward.admissions.view().receivedCount === 3);
    await pause(50);
    expect([second.answers().length, third.answers().length]).toEqual([0, 0]);
    journal.setCommitting(true);
    await until("both are answered", () => second.answers().length === 1 && third.answers().length === 1);
    expect([text(second.answers()[0]), text(third.answers()[0])]).toEqual(["AA admitted to bed-1", "AA was done before"]);
    expect(await ward.acts()).toHaveLength(1);
  });

  test("where all is so already the answer waits until what made it so is on disk", async () => {
    const journal = createMemoryJournal();
    const ward = await start({ journal, clock: createSimulatedClock() });
    journal.setCommitting(false);
    void ward.byHand(admitByHand("P7", "bed-1"));
    const sender = await ward.connect();
    await sender.send([messageBytes(ADMIT)]);
    await until("it has come", () => ward.admissions.view().receivedCount === 1);
    await pause(100);
    expect(sender.answers()).toEqual([]);
    journal.setCommitting(true);
    await until("it is answered", () => sender.answers().length === 1);
    expect(text(sender.answers()[0])).toBe("AA is in bed-1 already");
  });

  test("a refusal and a message for another ward do not wait for a disk", async () => {
    const journal = createMemoryJournal();
    const ward = await start({ journal });
    journal.setCommitting(false);
    void ward.byHand(admitByHand("P9", "bed-1"));
    expect(await ward.hear(ADMIT)).toMatch(/^AE another patient/);
    expect(await ward.hear({ ...ADMIT, place: "9W^1^1", control: "M9" })).toBe("AA no bed of this gateway");
  });
});

describe("a message that comes again because its answer was lost", () => {
  test("is answered again and not done twice, whatever happened in between", async () => {
    const ward = await start();
    await ward.say(ADMIT);
    await ward.byHand({ kind: "discharge", patientId: patientId("P7") });
    await ward.byHand(admitByHand("P8", "bed-1"));
    expect(await ward.hear(ADMIT)).toBe("AA was done before");
    expect(ward.beds()).toEqual({ "bed-1": "P8" });
    expect(ward.admissions.view().repeatedCount).toBe(1);
  });

  test("also where it had changed nothing: a person's act since then stands", async () => {
    const ward = await start();
    expect(await ward.hear(DISCHARGE)).toBe("AA is not here");
    await ward.byHand(admitByHand("P7", "bed-1"));
    expect(await ward.hear(DISCHARGE)).toBe("AA was done before");
    expect(ward.beds()).toEqual({ "bed-1": "P7" });
  });

  test("also with a new time of sending, but another message under the same number is another message", async () => {
    const ward = await start();
    await ward.say(ADMIT);
    await ward.byHand({ kind: "discharge", patientId: patientId("P7") });
    expect(await ward.hear({ ...ADMIT, header: { 7: "20260101080500" } })).toBe("AA was done before");
    expect(await ward.hear({ ...ADMIT, header: { 3: "OTHER" } })).toBe("AA admitted to bed-1");
    expect(await ward.hear({ ...DISCHARGE, control: "M1" })).toBe("AA discharged from bed-1");
    expect(await ward.hear({ ...ADMIT, patient: "P8" })).toBe("AA admitted to bed-1");
  });

  test("a refused one is judged anew: it may fit now", async () => {
    const ward = await start();
    await ward.byHand(admitByHand("P8", "bed-1"));
    expect(await ward.hear(ADMIT)).toMatch(/^AE/);
    await ward.byHand({ kind: "discharge", patientId: patientId("P8") });
    expect(await ward.hear(ADMIT)).toBe("AA admitted to bed-1");
  });

  test("is known after a restart, and so is how old a message is", async () => {
    const journal = createMemoryJournal();
    const before = await start({ journal });
    await before.say(ADMIT);
    await before.say(DISCHARGE);
    await before.byHand(admitByHand("P9", "bed-1"));
    await before.close();
    const ward = await start({ journal: journal.reopen() });
    expect(ward.beds()).toEqual({ "bed-1": "P9" });
    expect(await ward.hear(DISCHARGE)).toBe("AA was done before");
    expect(await ward.hear(ADMIT)).toBe("AA was done before");
    const older = { ...ADMIT, control: "M5", place: "3E^301^2", at: "20260101083000" };
    expect(await ward.hear(older)).toMatch(/^AE older/);
    expect(ward.beds()).toEqual({ "bed-1": "P9" });
  });

  test("a message of two acts of which only one is on disk is finished when it comes again", async () => {
    const journal = createMemoryJournal();
    const before = await start({ journal });
    await before.say({ ...ADMIT, patient: "OLD1" });
    await before.say({ ...ADMIT, patient: "OLD2", place: "3E^301^2", control: "M2" });
    const merge =
      "MSH|^~\\&|HIS|HOSP|||20260101||ADT^A40|M3|P|2.5\rPID|||N1^^^HIS\rMRG|OLD1^^^HIS\rPID|||N2^^^HIS\rMRG|OLD2^^^HIS\r";
    await before.say(merge);
    await before.close();
    const cut = createMemoryJournal();
    const records = await journal.read({ afterSeq: journal.lastSeqAtOpen, limit: 1000 });
    cut.append(records.slice(0, -1));
    await pause(1);
    const ward = await start({ journal: cut.reopen() });
    expect(ward.beds()).toEqual({ "bed-1": "N1", "bed-2": "OLD2" });
    expect(await ward.hear(merge)).toBe("AA numbers merged");
    expect(ward.beds()).toEqual({ "bed-1": "N1", "bed-2": "N2" });
  });
});

describe("kill -9 between the commit and the answer", () => {
  interface Running {
    readonly child: ChildProcess;
    readonly lines: readonly string[];
    readonly port: number;
  }
  async function run(folder: string, mode: string): Promise<Running> {
    const program = join(import.meta.dirname, "support/admissions-program.ts");
    const child = spawn(process.execPath, [program, folder, mode], { stdio: ["ignore", "pipe", "inherit"] });
    ends.push(async () => child.kill("SIGKILL"));
    const lines: string[] = [];
    let rest = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts);
    });
    const first = await until("the program is ready", () => lines.find((line) => line.startsWith("port ")));
    return { child, lines, port: Number(first.split(" ")[1]) };
  }

  test("the message comes again, is answered, and the patient is there once", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vigil-admissions-"));
    ends.push(() => rm(folder, { recursive: true, force: true }));
    const mute = await run(folder, "mute");
    const first = await openHl7Sender({ host: "127.0.0.1", port: mute.port });
    if (!first.ok) throw new Error(first.error.cause);
    await first.value.send([messageBytes(ADMIT)]);
    await until("it is on disk", () => mute.lines.some((line) => line.startsWith("committed") && line.includes("P7")));
    await pause(100);
    expect(first.value.answers()).toEqual([]);
    const died = new Promise((resolve) => mute.child.once("exit", resolve));
    mute.child.kill("SIGKILL");
    await died;
    await first.value.close();

    const again = await run(folder, "");
    expect(again.lines[0]).toBe(`port ${again.port} {"bed-1":"P7"} 1`);
    const second = await openHl7Sender({ host: "127.0.0.1", port: again.port });
    if (!second.ok) throw new Error(second.error.cause);
    ends.push(second.value.close);
    await second.value.send([messageBytes(ADMIT), messageBytes(DISCHARGE)], "glued");
    await until("both are answered", () => second.value.answers().length === 2);
    expect(second.value.answers().map(text)).toEqual(["AA was done before", "AA discharged from bed-1"]);
    const ended = new Promise((resolve) => again.child.once("exit", resolve));
    again.child.kill("SIGTERM");
    await ended;
    const last = await run(folder, "");
    expect(last.lines[0]).toBe(`port ${last.port} {} 2`);
  });
});
