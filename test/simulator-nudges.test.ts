import { createConnection } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { findDriver } from "../drivers/index.ts";
import { COURSES, type Course, createCourseLine } from "../simulator/body/courses.ts";
import { type CourseNudge, createNudgedCourse, PATIENT_NUDGES } from "../simulator/body/nudged-course.ts";
import { createPatient } from "../simulator/body/patient.ts";
import { createNudgeDesk } from "../simulator/devices/nudge-desk.ts";
import { createNudgedTwin, type NudgedTwin } from "../simulator/devices/nudged-device.ts";
import { createNudgedFit } from "../simulator/devices/nudged-fit.ts";
import { createTimetable } from "../simulator/devices/timetable.ts";
import { fitPlan } from "../simulator/devices/worn.ts";
import { type DeviceServer, openDeviceServer } from "../simulator/links/device-server.ts";
import { startMqttDevice } from "../simulator/links/mqtt-device.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import { NUDGES, type NudgeChoice, type NudgeName, parseNudge, parseNudgedDeviceViews } from "../src/core/demonstration.ts";
import { fault } from "../src/core/errors.ts";
import { bedId, deviceId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Driver } from "../src/core/ports.ts";
import { fail, succeed } from "../src/core/result.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";

const clock = createSystemClock();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const WORSENING: Course = COURSES.deterioration;
const SECONDS = Array.from({ length: 1400 }, (_, index) => index);

/** The nudge of a choice, which must be there. */
function nudgeOf(choice: NudgeChoice): CourseNudge {
  const nudge = PATIENT_NUDGES[choice];
  if (nudge === undefined) throw new Error(`${choice} is nothing that befalls a patient`);
  return nudge;
}

describe("a course that is left", () => {
  test("without a nudge it is the course itself", () => {
    const { line } = createNudgedCourse(WORSENING);
    const plain = createCourseLine(WORSENING);
    for (const at of SECONDS) expect(line.strainsAt(at)).toEqual(plain.strainsAt(at));
  });

  test("a strain moves evenly from what it was to what is wanted, and stays there; the rhythm changes at once", () => {
    const { line, nudge } = createNudgedCourse({ keyframes: [{ atSeconds: 0, strains: { pain: 0.2 } }], repeatSeconds: null });
    nudge(100, { strains: { pain: 0.6, exertion: 0.5 }, rhythm: "atrial-fibrillation", overSeconds: 40 });
    expect([99, 100, 110, 130, 140, 5000].map((at) => line.strainsAt(at).pain.toFixed(6))).toEqual([
      "0.200000",
      "0.200000",
      "0.300000",
      "0.500000",
      "0.600000",
      "0.600000",
    ]);
    expect(line.strainsAt(110).exertion).toBeCloseTo(0.125, 9);
    expect([99.9, 100].map(line.rhythmAt)).toEqual(["sinus", "atrial-fibrillation"]);
  });

  test("what was before a nudge stays the same, also under a second one that begins at the same moment", () => {
    const { line, nudge } = createNudgedCourse(WORSENING);
    nudge(200, nudgeOf("bleeding"));
    const before = SECONDS.slice(0, 230).map((at) => line.strainsAt(at));
    nudge(230, nudgeOf("heart-stops"));
    nudge(230, nudgeOf("well"));
    expect(SECONDS.slice(0, 230).map((at) => line.strainsAt(at))).toEqual(before);
    expect(line.strainsAt(230).bloodLossFraction).toBeCloseTo(line.strainsAt(229.999).bloodLossFraction, 4);
    expect(line.rhythmAt(231)).toBe("sinus");
    expect(line.strainsAt(240).bloodLossFraction).toBe(0);
  });

  test("made well it rests whatever its course had planned, and by itself it goes on where its course is by then", () => {
    const { line, nudge } = createNudgedCourse(WORSENING);
    const plain = createCourseLine(WORSENING);
    nudge(60, nudgeOf("well"));
    for (const at of [80, 400, 1300]) expect(line.strainsAt(at).shuntFraction).toBe(0);
    nudge(1310, nudgeOf("by-itself"));
    expect(line.strainsAt(1315).shuntFraction).toBeLessThan(plain.strainsAt(1315).shuntFraction);
    for (const at of [1330, 1400, 1700]) expect(line.strainsAt(at)).toEqual(plain.strainsAt(at));
  });

  test("a nudge before the last one is a mistake of ours", () => {
    const { nudge } = createNudgedCourse(WORSENING);
    nudge(60, nudgeOf("well"));
    expect(() => nudge(59, nudgeOf("bleeding"))).toThrow("rising order");
  });

  test("a body gives the same answers before and after a nudge that begins two seconds later", () => {
    const { line, nudge } = createNudgedCourse(COURSES.stable);
    const body = createPatient({ course: line, seed: 7 });
    const ask = () =>
      SECONDS.slice(0, 301).map((at) => [body.quantity("heartRate", at * 1000), body.wave("ecgLeadII", at * 1000)]);
    const before = ask();
    nudge(302, nudgeOf("heart-stops"));
    expect(ask()).toEqual(before);
    expect(body.quantity("heartRate", 310_000)).toMatchObject({ kind: "absent", why: "no-signal" });
    // Long enough that the steps of before are no longer kept and are reckoned anew.
    body.quantity("heartRate", 1_200_000);
    expect(ask()).toEqual(before);
  });
});

describe("sensors that are taken off", () => {
  const plan = fitPlan([{ atSeconds: 60, site: "finger", fit: "off" }], null);

  test("a nudge goes before the plan, for its own sensor, from its moment on, until it is given back", () => {
    const { fitAt, nudge } = createNudgedFit(plan);
    nudge({ atSeconds: 30, site: "finger", fit: "loose" });
    nudge({ atSeconds: 90, site: "finger", fit: null });
    expect([29, 30, 89, 90].map((at) => fitAt("finger", at))).toEqual(["on", "loose", "loose", "off"]);
    expect([29, 30, 90].map((at) => fitAt("chest", at))).toEqual(["on", "on", "on"]);
    expect(() => nudge({ atSeconds: 89, site: "finger", fit: "on" })).toThrow("rising order");
  });
});

function driverOf(id: string): Driver {
  const driver = findDriver(id);
  if (driver === null) throw new Error(`no driver ${id}`);
  return driver;
}

const monitor = driverOf("serial-ivy-450c");
const ward = { course: "stable", seed: 4, measures: monitor.quantities } as const;

/** What a twin's bytes say, read by its own driver; one line a second of what is measured. */
function player({ twin }: NudgedTwin, driver: Driver) {
  const session = driver.open({});
  let atMs = 0;
  return (untilMs: number) => {
    const said: string[] = [];
    for (; atMs <= untilMs; atMs += 250)
      for (const { bytes } of twin.due(atMs).bytesToSend)
        for (const emission of session.feed(bytes, "", monotonicMs(atMs)))
          if (emission.kind === "message")
            for (const reading of emission.readings)
              said.push(`${reading.quantity} ${reading.kind === "present" ? "present" : reading.why}`);
    return said;
  };
}

const nudgeableOf = (device: NudgedTwin, name: NudgeName) => {
  const found = device.nudgeables.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
};

describe("a device that somebody tampers with", () => {
  test("it offers the sensors it has, and a plan only where there is one", () => {
    const offered = ({ nudgeables, patient }: NudgedTwin) =>
      Object.fromEntries([patient, ...nudgeables].map(({ name, choices }) => [name, choices]));
    expect(offered(createNudgedTwin(monitor, ward))).toEqual({
      patient: ["well", "breathing-fails", "bleeding", "heart-stops"],
      fingerClip: ["on", "loose", "off"],
      electrodes: ["on", "off"],
      probe: ["on", "off"],
      power: ["on", "off"],
    });
    const clip = driverOf("serial-nonin-df2");
    const planned = { course: "deterioration", seed: 3, measures: clip.quantities, fitAt: fitPlan([], null) } as const;
    expect(offered(createNudgedTwin(clip, planned))).toEqual({
      patient: ["by-itself", "well", "breathing-fails", "bleeding", "heart-stops"],
      fingerClip: ["by-itself", "on", "loose", "off"],
      power: ["on", "off"],
    });
  });

  test("a clip or electrodes that come off are told by the device's own bytes, and nothing else is touched", () => {
    const device = createNudgedTwin(monitor, ward);
    const said = player(device, monitor);
    expect(said(10_000)).not.toContain("oxygenSaturation sensor-off");
    nudgeableOf(device, "fingerClip").apply("off");
    const off = said(20_000);
    expect(off.filter((line) => line === "oxygenSaturation present")).toHaveLength(1);
    expect(off).toContain("oxygenSaturation sensor-off");
    expect(off).toContain("heartRate present");
    nudgeableOf(device, "fingerClip").apply("on");
    nudgeableOf(device, "electrodes").apply("off");
    const later = said(40_000);
    expect(later.at(-1)).not.toBe(undefined);
    expect(later.filter((line) => line.startsWith("oxygenSaturation")).at(-1)).toBe("oxygenSaturation present");
    expect(later.filter((line) => line.startsWith("heartRate")).at(-1)).toBe("heartRate sensor-off");
  });

  test("switched off it says nothing, and switched on again it does, although nobody had asked it meanwhile when to look", () => {
    const simulated = createSimulatedClock();
    const device = createNudgedTwin(monitor, ward);
    const timetable = createTimetable(simulated);
    let messageCount = 0;
    const server = openDeviceServer({ twin: device.twin, clock: simulated, timetable, onSent: () => messageCount++ });
    cleanups.push(async () => {
      const opened = await server;
      timetable.stop();
      if (opened.ok) await opened.value.close();
    });
    return server.then(async () => {
      const sentIn = async (ms: number) => {
        const before = messageCount;
        await simulated.advance(ms);
        return messageCount - before;
      };
      expect(await sentIn(10_000)).toBeGreaterThanOrEqual(9);
      nudgeableOf(device, "power").apply("off");
      expect(await sentIn(3000)).toBeLessThanOrEqual(3);
      expect(await sentIn(60_000)).toBe(0);
      nudgeableOf(device, "power").apply("on");
      // Two seconds, five of warming up, and then one message a second.
      expect(await sentIn(20_000)).toBeGreaterThanOrEqual(11);
    });
  });
});

describe("what befalls a patient is said by the monitor's own bytes", () => {
  /** Seconds until the twin says something that fits, in at most so many; the same twin goes on from there. */
  function watcher({ twin }: NudgedTwin) {
    const session = monitor.open({});
    let atMs = 0;
    return (fits: (read: (quantity: string) => number | null, alarms: readonly string[]) => boolean, secondsMax: number) => {
      const sinceMs = atMs;
      for (; atMs - sinceMs <= secondsMax * 1000; atMs += 250)
        for (const { bytes } of twin.due(atMs).bytesToSend)
          for (const emission of session.feed(bytes, "", monotonicMs(atMs))) {
            if (emission.kind !== "message") continue;
            const read = (quantity: string) => {
              const found = emission.readings.find((reading) => reading.quantity === quantity);
              return found?.kind === "present" ? found.value : null;
            };
            const alarms = emission.alarms.filter(({ active }) => active).map(({ code }) => code);
            if (fits(read, alarms)) return (atMs - sinceMs) / 1000;
          }
      return null;
    };
  }

  test.each([
    ["breathing-fails", 60, "oxygenSaturation", 88],
    ["bleeding", 150, "arterialSystolicPressure", 90],
  ] as const)("%s within %d s, and when made well again it passes", (choice, secondsMax, quantity, low) => {
    const device = createNudgedTwin(monitor, ward);
    const until = watcher(device);
    expect(
      until((read) => (read(quantity) ?? low) < low, 60),
      "not before",
    ).toBe(null);
    device.patient.apply(choice);
    expect(until((read) => (read(quantity) ?? low) < low, secondsMax)).not.toBe(null);
    device.patient.apply("well");
    expect(until((read) => (read(quantity) ?? 0) > low + 3, 90)).not.toBe(null);
  });

  test("a heart that stops is the monitor's own alarm within 12 s, and no pulse; made well again it beats", () => {
    const device = createNudgedTwin(monitor, ward);
    const until = watcher(device);
    const isAlarm = (_: unknown, alarms: readonly string[]) => alarms.includes("ventricular-fibrillation");
    expect(until(isAlarm, 30), "not before").toBe(null);
    device.patient.apply("heart-stops");
    expect(until(isAlarm, 12)).not.toBe(null);
    expect(until((read) => read("pulseRate") === null, 5)).not.toBe(null);
    device.patient.apply("well");
    expect(until((read, alarms) => alarms.length === 0 && (read("pulseRate") ?? 0) > 40, 60)).not.toBe(null);
  });
});

describe("the desk of nudges", () => {
  const nudge = (name: NudgeName, choice: NudgeChoice, id = "clip") => ({ deviceId: deviceId(id), name, choice });
  const deskOf = () => {
    const applied: string[] = [];
    const desk = createNudgeDesk(
      [
        {
          name: "clip",
          nudgeables: [
            { name: "fingerClip", choices: ["on", "loose", "off"], apply: (choice) => succeed(void applied.push(choice)) },
            {
              name: "cable",
              choices: ["in", "out"],
              apply: async (choice) => (choice === "out" ? succeed(undefined) : fail("nudge-port-taken")),
            },
          ],
        },
      ],
      { wall: () => wallMs(5000) },
    );
    return { desk, applied };
  };

  test("it says what holds since when; what holds already is done and changes nothing", async () => {
    const { desk, applied } = deskOf();
    expect(await desk.nudge(nudge("fingerClip", "on"))).toEqual(succeed(undefined));
    expect(desk.devices()[0]?.nudges[0]).toEqual({
      name: "fingerClip",
      choices: ["on", "loose", "off"],
      now: "on",
      sinceMs: null,
    });
    expect(await desk.nudge(nudge("fingerClip", "loose"))).toEqual(succeed(undefined));
    expect(await desk.nudge(nudge("fingerClip", "loose"))).toEqual(succeed(undefined));
    expect(desk.devices()[0]?.nudges[0]).toMatchObject({ now: "loose", sinceMs: 5000 });
    expect(applied).toEqual(["loose"]);
  });

  test("an unknown device, a choice it has not, and a port that is gone are refused and change nothing", async () => {
    const { desk } = deskOf();
    expect(await desk.nudge(nudge("fingerClip", "off", "other"))).toEqual(fail("nudge-unknown-device"));
    expect(await desk.nudge(nudge("electrodes", "off"))).toEqual(fail("nudge-unknown-choice"));
    expect(await desk.nudge(nudge("fingerClip", "by-itself"))).toEqual(fail("nudge-unknown-choice"));
    expect(await desk.nudge(nudge("cable", "out"))).toEqual(succeed(undefined));
    expect(await desk.nudge(nudge("cable", "in"))).toEqual(fail("nudge-port-taken"));
    expect(desk.devices()[0]?.nudges[1]).toMatchObject({ now: "out" });
  });

  test("every choice of a real twin is taken, and holds then", async () => {
    const device = createNudgedTwin(monitor, { ...ward, course: "deterioration", fitAt: fitPlan([], null) });
    const all = [device.patient, ...device.nudgeables];
    const desk = createNudgeDesk([{ name: "monitor", nudgeables: all }], { wall: () => wallMs(7000) });
    for (const { name, choices } of all)
      for (const choice of choices.toReversed()) {
        expect(await desk.nudge(nudge(name, choice, "monitor")), `${name} ${choice}`).toEqual(succeed(undefined));
        const now = desk.devices()[0]?.nudges.find((view) => view.name === name);
        expect(now, `${name} ${choice}`).toMatchObject({ now: choice, sinceMs: 7000 });
      }
  });

  test("changes of a device are bounded, because each one is kept", async () => {
    const { desk, applied } = deskOf();
    for (let count = 0; count < LIMITS.simulatedNudgesMax.value; count++)
      expect((await desk.nudge(nudge("fingerClip", count % 2 === 0 ? "off" : "on"))).ok).toBe(true);
    expect(await desk.nudge(nudge("fingerClip", "off"))).toEqual(fail("nudge-too-many"));
    expect(applied).toHaveLength(LIMITS.simulatedNudgesMax.value);
  });
});

describe("a nudge from elsewhere", () => {
  test.each(
    Object.entries(NUDGES).flatMap(([name, choices]) => choices.map((choice) => ({ deviceId: "monitor-4", name, choice }))),
  )("$name $choice is understood", (given) => {
    expect(parseNudge({ ...given, more: 1 })).toEqual(given);
  });

  test.each([
    ["nothing", null],
    ["a text", "well"],
    ["no device", { name: "cable", choice: "out" }],
    ["an empty device", { deviceId: "", name: "cable", choice: "out" }],
    ["a device of 257 characters", { deviceId: "d".repeat(257), name: "cable", choice: "out" }],
    ["an unknown name", { deviceId: "d", name: "value", choice: "out" }],
    ["a name of every object", { deviceId: "d", name: "constructor", choice: "out" }],
    ["the choice of another", { deviceId: "d", name: "cable", choice: "off" }],
    ["a list", { deviceId: "d", name: "cable", choice: ["out"] }],
  ])("%s is not", (_what, given) => {
    expect(parseNudge(given)).toBe(null);
  });

  test("devices with what holds now are understood wholly or not at all", () => {
    const device = {
      deviceId: deviceId("clip-3"),
      bedId: bedId("bed-3"),
      nudges: [{ name: "cable", choices: ["in", "out"], now: "out", sinceMs: 12 }],
    };
    expect(parseNudgedDeviceViews([device])).toEqual([device]);
    const [cable] = device.nudges;
    for (const bad of [
      { ...device, bedId: null },
      { ...device, deviceId: 3 },
      { ...device, nudges: [{ ...cable, now: "off" }] },
      { ...device, nudges: [{ ...cable, choices: ["in", "off"] }] },
      { ...device, nudges: [{ ...cable, sinceMs: "12" }] },
      { ...device, nudges: null },
    ])
      expect(parseNudgedDeviceViews([device, bad])).toBe(null);
  });
});

describe("a cable that is pulled", () => {
  async function openServer(port = 0): Promise<DeviceServer> {
    const timetable = createTimetable(clock);
    const opened = await openDeviceServer({ twin: createNudgedTwin(monitor, ward).twin, clock, timetable, port });
    if (!opened.ok) throw new Error(JSON.stringify(opened.error));
    cleanups.push(async () => {
      timetable.stop();
      await opened.value.close();
    });
    return opened.value;
  }
  const connected = (port: number) =>
    new Promise<{ readonly how: string; readonly closed: Promise<void> }>((resolve) => {
      const socket = createConnection({ host: "127.0.0.1", port });
      cleanups.push(() => socket.destroy());
      const closed = new Promise<void>((over) => socket.on("close", () => over()));
      socket.on("connect", () => resolve({ how: "connected", closed }));
      socket.on("error", (error: NodeJS.ErrnoException) => resolve({ how: error.code ?? "error", closed }));
      socket.resume();
    });

  test("ends its connections and refuses new ones, the device goes on, and at the same port it comes back", async () => {
    const server = await openServer();
    const first = await connected(server.port);
    expect(first.how).toBe("connected");
    expect((await server.setPlugged(false)).ok).toBe(true);
    await first.closed;
    expect((await connected(server.port)).how).toBe("ECONNREFUSED");
    const sentBefore = server.stats().messagesSent;
    await expect.poll(() => server.stats().messagesSent).toBeGreaterThan(sentBefore);
    // Pulled twice and plugged in twice is pulled and plugged in.
    await Promise.all([server.setPlugged(false), server.setPlugged(true), server.setPlugged(true)]);
    expect((await connected(server.port)).how).toBe("connected");
  });

  test("whose port another program has taken stays out, and says so", async () => {
    const server = await openServer();
    await server.setPlugged(false);
    const other = await openServer(server.port);
    expect(await server.setPlugged(true)).toMatchObject({ ok: false, error: { kind: "port-unavailable", port: server.port } });
    await other.close();
    expect(await server.setPlugged(true)).toEqual(succeed(undefined));
  });

  test("a device by MQTT that is out of reach loses its connection, gets none, also one that was on its way, and comes back", async () => {
    const timetable = createTimetable(clock);
    let openCount = 0;
    let openedCount = 0;
    let held = Promise.resolve();
    const device = startMqttDevice({
      twin: createNudgedTwin(monitor, ward).twin,
      topic: "devices/monitor/vitals",
      clock,
      timetable,
      connect: async () => {
        await held;
        let end: () => void = () => {};
        const ended = new Promise<void>((resolve) => {
          end = () => {
            openCount -= 1;
            resolve();
          };
        }).then(() => fault("upstream-unreachable"));
        openCount += 1;
        openedCount += 1;
        return succeed({ publish: async () => succeed(undefined), ended, close: async () => end(), cut: end });
      },
    });
    cleanups.push(async () => {
      timetable.stop();
      await device.close();
    });
    await expect.poll(() => openCount).toBe(1);
    await device.setInReach(false);
    expect(openCount).toBe(0);
    let go: () => void = () => {};
    held = new Promise((resolve) => {
      go = resolve;
    });
    await device.setInReach(true);
    await clock.sleep(1200);
    await device.setInReach(false);
    go();
    await expect.poll(() => openedCount).toBe(2);
    await expect.poll(() => openCount).toBe(0);
    await device.setInReach(true);
    await expect.poll(() => openCount).toBe(1);
  });
});
