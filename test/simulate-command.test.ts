import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findDriver } from "../drivers/index.ts";
import { simulateCommand } from "../src/commands/simulate.ts";
import { monotonicMs } from "../src/core/time.ts";
import { OPTIONS, startAdmissionsWard } from "./support/admissions-ward.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { type Mosquitto, mosquittoIsMissing, prepareMosquitto } from "./support/mosquitto.ts";
import { type Stage, stageOfEachTest } from "./support/stage.ts";
import { until } from "./support/until.ts";

/** Debian's package `socat`. */
const socatIsMissing = !existsSync("/usr/bin/socat");
if (socatIsMissing) process.stderr.write("SKIPPED: a simulated serial port (install Debian's package `socat`)\n");

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-simulate-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function scenarioFile(text: string): Promise<string> {
  const file = join(folder, "scenario.yaml");
  await writeFile(file, `title: { en: Short, zh: 短 }\nabout: { en: Short, zh: 短 }\n${text}`);
  return file;
}

const LOW = `
lasts: 3 min
patients: [{ id: li, course: [{ at: 30 s, shuntFraction: 0 }, { at: 40 s, shuntFraction: 0.4 }] }]
devices: [{ id: clip, driver: serial-nonin-df2, on: li }]
expect: [{ alert: limit.oxygenSaturation.low, of: li, by: WHEN }]`;

async function simulate(args: readonly string[]) {
  const io = collectingIo();
  const code = await simulateCommand.run(args, io);
  const lines = io.out.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { code, lines, err: io.err.join("\n"), out: io.out };
}

describe("vigil simulate, in this process", () => {
  test("met: exit 0, a line for each alert and finding, and a summary with the seed", async () => {
    const file = await scenarioFile(LOW.replace("WHEN", "2 min 30 s"));
    const { code, lines } = await simulate([file, "--seed", "3", "--json"]);
    expect(code).toBe(0);
    expect(lines.find(({ kind }) => kind === "alert")).toMatchObject({ alert: { rule: "limit.oxygenSaturation.low" } });
    expect(lines.find(({ kind }) => kind === "finding")).toMatchObject({ met: true });
    expect(lines.at(-1)).toMatchObject({ kind: "summary", seed: 3, met: 1, of: 1, ok: true, lastsSeconds: 180 });
  });

  test("--seeds: so many patients one after the other, briefly; what is missed says with which seed", async () => {
    const file = await scenarioFile(LOW.replace("WHEN", "20 s"));
    const { code, err } = await simulate([file, "--seed", "7", "--seeds", "3"]);
    expect(code).toBe(1);
    const told = err.split("\n").filter((line) => line.startsWith(file));
    expect(told).toEqual([7, 8, 9].map((seed) => `${file} --seed ${seed}: 0 of 1 met 符合 0/1`));
    expect(err.split("\n").filter((line) => line.startsWith("  NOT MET"))).toHaveLength(3);
    const json = await simulate([file, "--seed", "7", "--seeds", "2", "--json"]);
    expect(json.lines.filter(({ kind }) => kind === "summary").map(({ seed }) => seed)).toEqual([7, 8]);
    expect((await simulate([file, "--seeds", "0"])).code).toBe(2);
    expect((await simulate([file, "--seeds", "2", "--target", "tcp://127.0.0.1"])).code).toBe(2);
  });

  test("not met: exit 1, the seed to repeat it in both languages, and JUnit says so", async () => {
    const file = await scenarioFile(LOW.replace("WHEN", "20 s"));
    const junit = join(folder, "junit.xml");
    const { code, err } = await simulate([file, "--seed", "77", "--junit", junit]);
    expect(code).toBe(1);
    expect(err).toContain(`vigil simulate ${file} --seed 77`);
    expect(err).toContain("NOT MET 不符合");
    const xml = await readFile(junit, "utf8");
    expect(xml).toContain('tests="1" failures="1"');
    expect(xml).toMatch(/<failure message="it came at [^"]+">seed 77<\/failure>/);
  });

  test("--beds: everybody again under other names, each with their own expectation; --records: what is on the disk", async () => {
    const file = await scenarioFile(LOW.replace("WHEN", "2 min 30 s"));
    const records = join(folder, "records.jsonl");
    const { code, lines } = await simulate([file, "--seed", "3", "--beds", "3", "--json", "--records", records]);
    expect(code).toBe(0);
    expect(lines.at(-1)).toMatchObject({ met: 3, of: 3 });
    const written = (await readFile(records, "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { patientId?: string });
    expect(
      new Set(written.flatMap(({ patientId }) => (patientId === undefined || patientId === null ? [] : [patientId]))),
    ).toEqual(new Set(["li", "li-2", "li-3"]));
  });

  test("--list: every scenario with its length and title in both languages", async () => {
    const io = collectingIo();
    expect(await simulateCommand.run(["--list"], io)).toBe(0);
    const sepsis = io.out.find((line) => line.startsWith("sepsis "));
    expect(sepsis).toMatch(/12 h .*Sepsis.*脓毒症/);
  });

  test.each([
    [[], 2],
    [["x", "--seed", "-1"], 2],
    [["x", "--seed", "2147483648"], 2],
    [["x", "--beds", "401"], 2],
    [["x", "--beds", "0"], 2],
    [["x", "--speed", "2"], 2],
    [["x", "--target", "http://127.0.0.1"], 2],
    [["x", "--target", "tcp://127.0.0.1", "--target", "tcp://127.0.0.1"], 2],
    [["x", "--target", "tcp://127.0.0.1", "--target", "pty:/tmp"], 2],
    [["x", "--target", "pty:"], 2],
    [["x", "--target", "tcp://127.0.0.1", "--records", "f"], 2],
    [["x", "--target", "tcp://127.0.0.1", "--speed", "101"], 2],
    [["x", "--nonsense"], 2],
    [["no-such-scenario"], 1],
  ] as const)("%j is exit %i, told in words", async (args, code) => {
    const given = await simulate(args);
    expect(given.code).toBe(code);
    expect(given.err.length).toBeGreaterThan(20);
  });

  test("a scenario whose devices cannot be configured is told with its place, not thrown", async () => {
    const file = await scenarioFile(`
lasts: 1 min
devices: [{ id: clip, driver: serial-nonin-df2, options: { colour: red } }]
expect: [{ never: "*" }]`);
    const { code, err } = await simulate([file]);
    expect(code).toBe(1);
    expect(err).toContain("devices.0.options.colour");
    expect(err).toContain("情景无效");
  });

  test("a file that cannot be written is told before anything is played, not thrown", async () => {
    const file = await scenarioFile(LOW.replace("WHEN", "2 min 30 s"));
    const { code, err } = await simulate([file, "--junit", join(folder, "not-there", "junit.xml")]);
    expect(code).toBe(1);
    expect(err).toContain("ENOENT");
    expect(err).toContain("无法写入");
    expect(err).not.toContain("符合");
  });

  test("--records: a second run leaves what that run has, not both", async () => {
    const file = await scenarioFile(LOW.replace("WHEN", "2 min 30 s"));
    const records = join(folder, "records.jsonl");
    await simulate([file, "--seed", "3", "--records", records]);
    const first = await readFile(records, "utf8");
    await simulate([file, "--seed", "3", "--records", records]);
    expect(await readFile(records, "utf8")).toBe(first);
  });

  test("a target that has no way for a device is told", async () => {
    const file = await scenarioFile(LOW.replace("WHEN", "1 min"));
    const { code, err } = await simulate([file, "--target", "mqtt://127.0.0.1:1"]);
    expect(code).toBe(1);
    expect(err).toContain("--target tcp://127.0.0.1");
  });
});

// -------------------------------------------------------- without the gateway, as a process of its own

const stage: () => Stage = stageOfEachTest();

describe("vigil simulate as a process, for any gateway", () => {
  test("a plain TCP reader gets the device's real bytes; a pulled cable ends its connection, and it may come again", async () => {
    const file = await scenarioFile(`
lasts: 12 s
patients: [{ id: li }]
devices: [{ id: clip, driver: serial-nonin-df2, on: li, life: [{ at: 4 s, cable: out }, { at: 6 s, cable: in }] }]
expect: [{ never: "*" }]`);
    const program = stage().vigil(["simulate", file, "--target", "tcp://127.0.0.1", "--speed", "3", "--seed", "5", "--json"]);
    await until("the port is told", () => program.stdout.length > 0, 15_000);
    const { address } = JSON.parse(program.stdout[0] ?? "{}") as { address: string };
    const port = Number(new URL(address).port);
    const first = await readUntilEnd(port);
    await new Promise((resolve) => setTimeout(resolve, 900));
    const second = await readUntilEnd(port);
    expect(await program.exited).toBe(0);
    expect(JSON.parse(program.stdout.at(-1) ?? "{}")).toMatchObject({ kind: "summary", of: 0, ok: null });
    for (const bytes of [first, second]) {
      const session = findDriver("serial-nonin-df2")?.open({});
      const emissions = session?.feed(bytes, "", monotonicMs(0)) ?? [];
      const values = emissions.flatMap((each) => (each.kind === "message" ? each.readings : []));
      const saturation = values.find((reading) => reading.quantity === "oxygenSaturation" && reading.kind === "present");
      expect(saturation).toMatchObject({ kind: "present" });
    }
  }, 40_000);

  test("no gateway is heard: nothing is met, however quiet it was, and the line that repeats it names the target", async () => {
    const file = await scenarioFile(`
lasts: 10 s
patients: [{ id: li }]
devices: [{ id: watch, driver: mqtt-json, on: li, options: { mapping: { heartRate: $.hr } } }]
expect: [{ never: "*" }, { atMost: 3 }]`);
    const { code, err } = await simulate([file, "--target", "mqtt://127.0.0.1:1", "--speed", "10", "--seed", "5"]);
    expect(code).toBe(1);
    expect(err).toContain("0 of 2 expectations met");
    expect(err).toContain("听不到网关");
    expect(err).toContain("ECONNREFUSED");
    expect(err).toContain(`vigil simulate ${file} --seed 5 --target mqtt://127.0.0.1:1 --speed 10`);
  });

  test.skipIf(socatIsMissing)(
    "a serial port of this machine: what a program reads there is the device's bytes; its path goes at the end",
    async () => {
      const file = await scenarioFile(`
lasts: 9 s
patients: [{ id: li }]
devices: [{ id: clip, driver: serial-nonin-df2, on: li }]
expect: [{ never: "*" }]`);
      const program = stage().vigil(["simulate", file, "--target", `pty:${folder}`, "--speed", "3", "--seed", "5", "--json"]);
      await until("the port is told", () => program.stdout.length > 0, 15_000);
      const { address } = JSON.parse(program.stdout[0] ?? "{}") as { address: string };
      expect(address).toBe(join(folder, "clip"));
      const reader = stage().program(["timeout", "2", "socat", "-u", `${address},raw,echo=0`, `CREATE:${join(folder, "read")}`]);
      await reader.exited;
      const bytes = await readFile(join(folder, "read"));
      const emissions = findDriver("serial-nonin-df2")?.open({}).feed(bytes, "", monotonicMs(0)) ?? [];
      expect(emissions.filter(({ kind }) => kind === "message").length).toBeGreaterThan(3);
      expect(await program.exited).toBe(0);
      expect(existsSync(address)).toBe(false);
    },
    40_000,
  );

  test("the hospital's system says who lies where over a bad line, again and again until it is answered", async () => {
    const beds = ["bed-1", "bed-2"].map((bed) => ({ location: `SIM^^${bed}`, bed }));
    const ward = await startAdmissionsWard({ options: { ...OPTIONS, patientNumber: { authority: "SIM" }, label: "name", beds } });
    stage().defer(ward.close);
    const file = await scenarioFile(`
lasts: 24 s
patients: [{ id: li, label: "李 | 3床" }, { id: wu }]
devices: [{ id: clip, driver: serial-nonin-df2, on: li }]
hospital: { badLink: { splitEveryBytes: 30, mergeEveryBytes: 200, delayMsMax: 50, dropEveryBytes: 400 } }
people: [{ at: 6 s, discharge: true, of: wu }, { at: 7 s, transfer: bed-2, of: li }]
expect: [{ never: "*" }]`);
    const targets = ["--target", `mllp://127.0.0.1:${ward.admissions.port}`, "--target", "tcp://127.0.0.1"];
    const { code, lines } = await simulate([file, ...targets, "--speed", "3", "--seed", "6", "--json"]);
    expect(code).toBe(0);
    const told = lines.filter(({ kind }) => kind === "admission");
    expect(told.map(({ event, patientId, code: answer }) => [event, patientId, answer])).toEqual([
      ["A01", "li", "AA"],
      ["A01", "wu", "AA"],
      ["A03", "wu", "AA"],
      ["A02", "li", "AA"],
    ]);
    expect(told.some(({ sentCount }) => Number(sentCount) > 1)).toBe(true);
    expect(ward.beds()).toEqual({ "bed-2": "li" });
    expect(ward.labels()).toEqual({ "bed-2": "李 | 3床" });
    // What no hospital's system knows is left to people, for programs in JSON.
    expect(lines.filter(({ kind }) => kind === "deed")).toMatchObject([
      { deed: { kind: "assign", deviceId: "clip", patientId: "li" } },
    ]);
  }, 40_000);

  describe.skipIf(mosquittoIsMissing)("against mosquitto", () => {
    let server: Mosquitto;
    beforeEach(async () => {
      server = await prepareMosquitto(["allow_anonymous true"]);
      await server.start();
    });
    afterEach(() => server.remove());

    test("messages come on the device's topic, and an alert that is heard upstream is judged", async () => {
      const file = await scenarioFile(`
lasts: 10 s
patients: [{ id: li }]
devices: [{ id: watch, driver: mqtt-json, on: li, options: { mapping: { heartRate: $.hr, oxygenSaturation: $.spo2 } } }]
people: [{ at: 9 s, acknowledge: "limit.*", of: li }]
gateway: [{ at: 1 s, clockBack: 1 h }]
expect: [{ alert: limit.heartRate.high, of: li, by: 10 s }, { never: limit.heartRate.low }]`);
      const url = `mqtt://127.0.0.1:${server.port}`;
      const heard = stage().program(["mosquitto_sub", "-p", String(server.port), "-t", "devices/watch/vitals"]);
      const program = stage().vigil(["simulate", file, "--target", url, "--speed", "2", "--seed", "5", "--json"]);
      await until("a message came", () => heard.stdout.length > 0, 15_000);
      const message = JSON.parse(heard.stdout[0] ?? "{}") as { hr: number; spo2: number };
      expect(message.hr).toBeGreaterThan(55);
      expect(message.spo2).toBeGreaterThan(93);
      const alert = { kind: "alert", id: "a", rule: "limit.heartRate.high", nature: "physiological", priority: "medium" };
      const subject = { patientId: "li", bedId: null, deviceId: null, part: null };
      const record = { ...alert, seq: 1, key: "k", subject, state: "active", phase: "start" };
      const sent = JSON.stringify({ format: "vigil.record/1", key: "g/e/1", kind: "alert", record });
      const topic = "vigil/other-gateway/alerts";
      const published = stage().program(["mosquitto_pub", "-p", String(server.port), "-q", "1", "-t", topic, "-m", sent]);
      expect(await published.exited).toBe(0);
      expect(await program.exited).toBe(0);
      const summary = JSON.parse(program.stdout.at(-1) ?? "{}") as Record<string, unknown>;
      expect(summary).toMatchObject({ kind: "summary", met: 2, of: 2, ok: true });
      // What must be done at the gateway under test, by whoever reads this.
      const said = program.stdout.map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(said).toContainEqual({ kind: "deed", deed: { kind: "acknowledge", alertId: "a" } });
      expect(said).toContainEqual({ kind: "gateway", moment: { at: 1, clockBack: 3600 } });
    }, 40_000);
  });
});

/** Everything that comes from a port until the connection ends. */
function readUntilEnd(port: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.on("data", (bytes: Uint8Array) => chunks.push(bytes));
    socket.once("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNRESET" ? undefined : reject(error)));
    socket.once("close", () => resolve(Buffer.concat(chunks)));
  });
}
