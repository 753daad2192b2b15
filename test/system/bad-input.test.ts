import { open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findDriver } from "../../drivers/index.ts";
import { COURSES } from "../../simulator/body/courses.ts";
import { createPatient } from "../../simulator/body/patient.ts";
import { createTimetable } from "../../simulator/devices/timetable.ts";
import { openPseudoTerminal } from "../../simulator/links/pseudo-terminal.ts";
import { createSystemClock } from "../../src/clock.ts";
import type { Alert } from "../../src/core/alert.ts";
import { ERRORS } from "../../src/core/errors.ts";
import { audit, NOTHING_WRONG, readJournal } from "../support/delivery-audit.ts";
import { freePort, type Mosquitto, mosquittoIsMissing, prepareMosquitto, writePasswords } from "../support/mosquitto.ts";
import {
  admitWard,
  type Files,
  openFaults,
  picture,
  runSupervised,
  type SupervisedGateway,
  writeConfig,
} from "../support/real-gateway.ts";
import { BAD_PRESSURE, openSettableWard, type SettableWard } from "../support/settable-ward.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { pause, until } from "../support/until.ts";
import { type Recorder, startRecorder } from "../support/upstream-recorder.ts";

let ward: SettableWard;

beforeEach(async () => {
  ward = await openSettableWard(2);
});
afterEach(() => ward.close());

const stage = stageOfEachTest();

/** Waits until exactly one open technical alert says this, and returns it. */
function oneFault(files: Files, code: keyof typeof ERRORS, withinMs = 30_000): Promise<Alert> {
  return until(`${code} is told`, async () => (await openFaults(files, code))[0], withinMs);
}

async function faultEnds(files: Files, code: keyof typeof ERRORS, withinMs: number): Promise<void> {
  await until(`${code} is over`, async () => (await openFaults(files, code)).length === 0, withinMs);
}

async function stopCleanly(gateway: SupervisedGateway): Promise<void> {
  gateway.supervisor.signal("SIGTERM");
  expect(await gateway.supervisor.exited).toBe(0);
  await pause(300);
}

function pressureAlert(recorder: Recorder, patient: string) {
  return recorder
    .alerts()
    .find(({ record }) => record.rule === "limit.systolicPressure.low" && record.subject.patientId === patient);
}

/** How often alerts under these rules began, by what the upstream got. */
function begun(recorder: Recorder, rulePrefix: string): readonly string[] {
  const started = recorder.alerts().filter(({ record }) => record.rule.startsWith(rulePrefix) && record.phase === "start");
  return [...new Map(started.map(({ key, record }) => [key, record.rule])).values()];
}

describe("a configuration with mistakes", () => {
  const mistakes = {
    gateway: { id: "ward-1", dataFolder: "data", colour: "blue" },
    beds: [{ id: "bed-1", title: "1" }],
    devices: [
      { id: "monitor-1", driver: "serial-ivy-450d", bed: "bed-1", link: { kind: "tcp", host: "127.0.0.1", port: 70_000 } },
      // Each field is right, but there is no such bed: only the whole can know that.
      { id: "monitor-2", driver: "serial-ivy-450c", bed: "bed-9", link: { kind: "tcp", host: "127.0.0.1", port: 4001 } },
    ],
    upstreams: [{ name: "hospital", kind: "mqtt", url: "http://example", usernam: "x" }],
    alarms: {},
  };
  const paths = [
    "gateway.colour",
    "devices.0.driver",
    "devices.0.link.port",
    "devices.1.bed",
    "upstreams.0.url",
    "upstreams.0.usernam",
    "alarms",
  ] as const;

  test("vigil check names every mistake at once with its path and what to do, and exits 1", async () => {
    const file = join(stage().folder, "config.yaml");
    await writeFile(file, JSON.stringify(mistakes));
    const check = stage().vigil(["check", "--config", file]);
    expect(await check.exited).toBe(1);
    const problems = check.stdout.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    expect(problems.map((problem) => problem["path"]).sort()).toEqual([...paths].sort());
    for (const problem of problems) {
      expect(problem).toMatchObject({ ok: false });
      expect(String(problem["problem"]).length).toBeGreaterThan(8);
      expect(String(problem["remedy"])).toMatch(/^[A-Z].{8,}\.$/);
    }
  });

  test("vigil run says the same on standard error, exits 1, and makes nothing", async () => {
    const file = join(stage().folder, "config.yaml");
    await writeFile(file, JSON.stringify(mistakes));
    const run = stage().vigil(["run", "--config", file]);
    expect(await run.exited).toBe(1);
    for (const path of paths)
      expect(run.stderr.filter((line) => /^(\S+) \(line \d+\): /.exec(line.trim())?.[1] === path)).toHaveLength(1);
    expect(await readdir(stage().folder)).toEqual(["config.yaml"]);
  });

  test("names that do not fit together are told too, and a right file passes", async () => {
    const files = await writeConfig(stage(), { ward });
    const right = JSON.parse(await readFile(files.configFile, "utf8"));
    const passes = stage().vigil(["check", "--config", files.configFile]);
    expect(await passes.exited).toBe(0);
    right.devices[0].bed = "bed-9";
    right.devices[1].id = right.devices[0].id;
    await writeFile(files.configFile, JSON.stringify(right));
    const check = stage().vigil(["check", "--config", files.configFile]);
    expect(await check.exited).toBe(1);
    expect(check.stdout.map((line) => JSON.parse(line).path).sort()).toEqual(["devices.0.bed", "devices.1"]);
  });
});

describe("ports and paths", () => {
  test("a taken page port is a technical alert, the gateway runs, and the page comes when the port is free", async () => {
    const port = await freePort();
    const squatter = await listen(port);
    const files = await writeConfig(stage(), { ward, pagePort: port });
    const gateway = await runSupervised(stage(), files);
    await admitWard(files, ward);
    const told = await oneFault(files, "page-port-in-use");
    expect(told).toMatchObject({ nature: "technical", priority: "medium" });
    const { title, remedy } = ERRORS["page-port-in-use"];
    const line = gateway.supervisor.stderr.find((each) => each.startsWith(title.en)) ?? "";
    expect(line).toContain(remedy.en);
    expect(line).toContain(remedy.zh);
    await new Promise((resolve) => squatter.close(resolve));
    // It is tried every 10 s.
    const answer = await until("the page answers", () => fetch(`http://127.0.0.1:${port}/`).catch(() => null), 20_000);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toContain("text/html");
    await faultEnds(files, "page-port-in-use", 15_000);
    await stopCleanly(gateway);
  });

  test("a serial path that does not exist is told for that device only, and it is read once it is there", async () => {
    const path = join(stage().folder, "port");
    const id = "clip-1";
    const files = await writeConfig(stage(), {
      ward,
      moreDevices: [{ id, driver: "serial-nonin-df2", bed: "bed-1", link: { kind: "serial", path } }],
    });
    const gateway = await runSupervised(stage(), files);
    const told = await oneFault(files, "link-not-found");
    expect(told.subject.deviceId).toBe(id);
    expect(await openFaults(files, "link-not-found")).toHaveLength(1);
    const device = async (wanted: string) => (await picture(files))?.unassigned.find((each) => each.deviceId === wanted);
    expect((await device(id))?.link).toBe("down");
    await until("the other devices are read", async () => ((await device("monitor-1"))?.lastHeardAtMs ?? null) !== null);

    const driver = findDriver("serial-nonin-df2");
    if (driver === null) throw new Error("the clip's driver is listed");
    const clock = createSystemClock();
    const timetable = createTimetable(clock);
    const twin = driver.twin(createPatient({ course: COURSES.stable, seed: 7 }), {});
    const terminal = await openPseudoTerminal({ clock, timetable, twin, path });
    if (!terminal.ok) throw new Error(JSON.stringify(terminal.error));
    stage().defer(async () => {
      timetable.stop();
      await terminal.value.close();
    });
    // The longest wait between two attempts is 15 s, and an alert ends 5 s after its condition.
    await until("the device is heard", async () => ((await device(id))?.lastHeardAtMs ?? null) !== null, 25_000);
    await faultEnds(files, "link-not-found", 15_000);
    await stopCleanly(gateway);
  });

  test("a second gateway on the same data folder is refused with its remedy and exit code 1; the first goes on", async () => {
    const files = await writeConfig(stage(), { ward });
    const first = await runSupervised(stage(), files);
    const second = stage().vigil(["run", "--config", files.configFile]);
    expect(await second.exited).toBe(1);
    const said = second.stderr.join("\n");
    expect(said).toContain(ERRORS["journal-locked"].title.en);
    expect(said).toContain(ERRORS["journal-locked"].remedy.en);
    expect(said).toContain(ERRORS["journal-locked"].remedy.zh);
    expect(first.events().filter((event) => event.kind === "gateway-ended")).toEqual([]);
    await admitWard(files, ward);
    await stopCleanly(first);
  });
});

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => resolve(server));
  });
}

describe("a damaged journal", () => {
  test("the gateway starts all the same, says journal-damaged, and alarms", async () => {
    const files = await writeConfig(stage(), { ward });
    const before = await runSupervised(stage(), files);
    await admitWard(files, ward);
    await pause(4000);
    await stopCleanly(before);
    const folder = join(files.dataFolder, "journal");
    const segment = (await readdir(folder)).find((name) => /^observations-\d+\.sqlite$/.test(name));
    if (segment === undefined) throw new Error("there is a segment");
    await flipBytes(join(folder, segment));

    const after = await runSupervised(stage(), files);
    const told = await oneFault(files, "journal-damaged");
    expect(told.priority).toBe("medium");
    // The patients are still there: acts lie in another file.
    ward.beds[0]?.takeCuffPressure(...BAD_PRESSURE);
    await until(
      "it alarms",
      async () => (await picture(files))?.alerts.some((alert) => alert.rule === "limit.systolicPressure.low"),
      5000,
    );
    expect((await readdir(folder)).some((name) => name.includes(".damaged"))).toBe(true);
    await stopCleanly(after);
    // And once more: what was set aside does not stop the next start.
    await stopCleanly(await runSupervised(stage(), files));
  });
});

/** Turns over 64 bytes in every page but the first, as a dying card does. */
async function flipBytes(path: string): Promise<void> {
  const pageBytes = 4096;
  const { size } = await stat(path);
  const file = await open(path, "r+");
  for (let at = pageBytes + 1000; at + 64 < size; at += pageBytes) {
    const bytes = Buffer.alloc(64);
    await file.read(bytes, 0, 64, at);
    for (let index = 0; index < 64; index++) bytes[index] = (bytes[index] ?? 0) ^ 0xff;
    await file.write(bytes, 0, 64, at);
  }
  await file.close();
}

describe.skipIf(mosquittoIsMissing)("an upstream that does not work", () => {
  let broker: Mosquitto;

  afterEach(async () => {
    await broker.remove();
  });

  test("a wrong password is one alert, nothing is lost, and the mended file is enough", { timeout: 150_000 }, async () => {
    broker = await prepareMosquitto(["allow_anonymous false", "password_file FOLDER/passwords"]);
    writePasswords({ file: join(broker.folder, "passwords"), username: "gateway", password: "right" });
    await broker.start();
    const recorder = await startRecorder(stage(), { port: broker.port, username: "gateway", password: "right" });
    const signIn = { username: "gateway", password: "wrong" };
    const files = await writeConfig(stage(), { ward, brokerPort: broker.port, signIn });
    const gateway = await runSupervised(stage(), files);
    await admitWard(files, ward);
    const told = await oneFault(files, "upstream-denied");
    expect(told.subject.part).toBe("upstream:hospital");
    ward.beds[0]?.takeCuffPressure(...BAD_PRESSURE);
    await pause(8000);
    expect(await openFaults(files, "upstream-denied")).toHaveLength(1);
    expect(recorder.delivered()).toEqual([]);
    await writeFile(files.passwordFile, "right\n");
    // The longest wait between two attempts is 30 s.
    await until("the alert of before comes", () => pressureAlert(recorder, "patient-1"), 45_000);
    await faultEnds(files, "upstream-denied", 15_000);
    await pause(2000);
    await stopCleanly(gateway);
    const kept = await readJournal(files);
    expect(audit(recorder.delivered(), kept)).toEqual(NOTHING_WRONG);
    expect(recorder.delivered().length).toBeGreaterThan(150);
    expect(Math.min(...recorder.delivered().map(({ seq }) => seq))).toBe(1);
    expect(begun(recorder, "fault.upstream")).toEqual(["fault.upstream-denied"]);
  });

  test("a server that is down at boot and frozen later loses nothing; each outage is one alert", {
    timeout: 200_000,
  }, async () => {
    broker = await prepareMosquitto(["allow_anonymous true", "persistence true", "persistence_location FOLDER/"]);
    await broker.start();
    // Its session must be there before the gateway finds the server; mosquitto_sub comes back by itself.
    const recorder = await startRecorder(stage(), broker);
    await broker.signal("SIGTERM");
    const files = await writeConfig(stage(), { ward, brokerPort: broker.port });
    const gateway = await runSupervised(stage(), files);
    await admitWard(files, ward);
    await oneFault(files, "upstream-unreachable");
    ward.beds[0]?.takeCuffPressure(...BAD_PRESSURE);
    await pause(8000);
    expect(await openFaults(files, "upstream-unreachable")).toHaveLength(1);
    await broker.start();
    const late = await until("the alert of the outage comes", () => pressureAlert(recorder, "patient-1"), 45_000);
    expect(late.resent).toBe(true);
    await faultEnds(files, "upstream-unreachable", 15_000);

    await broker.signal("SIGSTOP");
    await pause(1000);
    ward.beds[1]?.takeCuffPressure(...BAD_PRESSURE);
    await oneFault(files, "upstream-slow");
    await pause(6000);
    expect(await openFaults(files, "upstream-slow")).toHaveLength(1);
    await broker.signal("SIGCONT");
    await until("the second patient's alert comes", () => pressureAlert(recorder, "patient-2"), 45_000);
    await faultEnds(files, "upstream-slow", 45_000);
    await pause(3000);
    await stopCleanly(gateway);
    const kept = await readJournal(files);
    expect(audit(recorder.delivered(), kept)).toEqual(NOTHING_WRONG);
    expect(kept.cursor?.upTo ?? 0).toBeGreaterThan(300);
    expect(begun(recorder, "fault.upstream")).toEqual(["fault.upstream-unreachable", "fault.upstream-slow"]);
  });
});
