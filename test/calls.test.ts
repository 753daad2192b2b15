import { describe, expect, onTestFinished, test } from "vitest";
import { optionTexts } from "../drivers/index.ts";
import { mqttJson } from "../drivers/mqtt/json.ts";
import { mqttZigbee2mqtt } from "../drivers/mqtt/zigbee2mqtt.ts";
import { deviceId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { createDeviceIntake } from "../src/intake/device-intake.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

// A pressed button is said once. Nobody may lose it, and nobody but a person may end it.

const STATE = "zigbee2mqtt/button";
const AVAILABILITY = "zigbee2mqtt/button/availability";

async function startWard(): Promise<SmallWard> {
  const ward = await startSmallWard({ driver: mqttZigbee2mqtt });
  onTestFinished(() => ward.gateway.stop());
  ward.link("monitor-1").up();
  await ward.admit(1);
  await ward.clock.advance(1000);
  return ward;
}

async function say(
  ward: SmallWard,
  message: unknown,
  more: { channel?: string; kept?: boolean; retained?: boolean } = {},
): Promise<void> {
  const { channel = STATE, ...marks } = more;
  ward.link("monitor-1").send(new TextEncoder().encode(JSON.stringify(message)), channel, marks);
  await ward.clock.advance(1000);
}

/** Open alerts of the device, as `rule state`. */
function open(ward: SmallWard): readonly string[] {
  return ward.gateway
    .openAlerts()
    .filter(({ rule }) => rule.startsWith("device-alarm."))
    .map(({ rule, state }) => `${rule.slice("device-alarm.".length)} ${state}`);
}

async function acknowledge(ward: SmallWard): Promise<void> {
  const alert = ward.gateway.openAlerts().find(({ rule }) => rule === "device-alarm.sos");
  if (alert === undefined) throw new Error("there is no call to answer");
  expect((await ward.act({ kind: "acknowledge", alertId: alert.id })).ok).toBe(true);
}

const PRESS = { action: "emergency", battery: 90 };

describe("a call for help", () => {
  test("stands over later messages, a new connection and days, until a person answers it; then it ends", async () => {
    const ward = await startWard();
    await say(ward, PRESS);
    expect(open(ward)).toEqual(["sos active"]);
    expect(ward.said.at(-1)).toMatchObject({ priority: "high", nature: "physiological", phase: "start" });
    for (const later of [{ action: "" }, { action: null }, { battery: 89 }, { sos: false }]) await say(ward, later);
    ward.link("monitor-1").down();
    ward.link("monitor-1").up();
    for (let minute = 0; minute < 5; minute++) {
      await say(ward, { battery: 88 });
      await ward.clock.advance(60_000);
    }
    expect(open(ward)).toEqual(["sos active"]);
    await acknowledge(ward);
    expect(open(ward)).toEqual(["sos acknowledged"]);
    await ward.clock.advance(7000);
    expect(open(ward)).toEqual([]);
    await ward.clock.advance(3_600_000);
    expect(open(ward), "nothing comes back of an answered call").toEqual([]);
  });

  test("made again after the answer is a new one, and right behind the answer it takes the answer back", async () => {
    const ward = await startWard();
    await say(ward, PRESS);
    const [first] = ward.gateway.openAlerts();
    await acknowledge(ward);
    await say(ward, PRESS);
    expect(open(ward)).toEqual(["sos active"]);
    expect(ward.said.at(-1)).toMatchObject({ id: first?.id, phase: "continue", raisedCount: 2, acknowledgedBy: null });
    await ward.clock.advance(60_000);
    expect(open(ward)).toEqual(["sos active"]);
    await acknowledge(ward);
    await ward.clock.advance(7000);
    await say(ward, PRESS);
    expect(open(ward)).toEqual(["sos active"]);
    expect(ward.said.at(-1)).toMatchObject({ phase: "start" });
    expect(ward.said.at(-1)?.id).not.toBe(first?.id);
  });

  test("made again before the answer is the same one, without a record more", async () => {
    const ward = await startWard();
    for (let press = 0; press < 5; press++) await say(ward, PRESS);
    expect(ward.said.filter(({ rule }) => rule === "device-alarm.sos")).toHaveLength(1);
  });

  test("outlives a crash of the gateway, whatever the device says afterwards", async () => {
    const ward = await startWard();
    await say(ward, PRESS);
    const again = await ward.crash();
    onTestFinished(() => again.gateway.stop());
    again.link("monitor-1").up();
    for (let minute = 0; minute < 10; minute++) {
      await say(again, { battery: 88 });
      await again.clock.advance(60_000);
    }
    expect(open(again)).toEqual(["sos active"]);
    await acknowledge(again);
    await again.clock.advance(7000);
    expect(open(again)).toEqual([]);
  });

  test("answered before a crash is not back after it", async () => {
    const ward = await startWard();
    await say(ward, PRESS);
    await acknowledge(ward);
    await ward.clock.advance(2000);
    const again = await ward.crash();
    onTestFinished(() => again.gateway.stop());
    again.link("monitor-1").up();
    await say(again, { battery: 88 });
    await again.clock.advance(400_000);
    expect(open(again)).toEqual([]);
  });

  test("that a server had queued, or delivers again, is one; a retained one is told and raises nothing", async () => {
    const ward = await startWard();
    await say(ward, PRESS, { kept: true, retained: true });
    expect(open(ward)).toEqual([]);
    await say(ward, PRESS, { kept: true });
    expect(open(ward)).toEqual(["sos active"]);
  });
});

describe("availability that a server keeps", () => {
  test("tells of a device that is gone also to a gateway that comes later, ends by the next word, and is no sign of life", async () => {
    const ward = await startWard();
    await say(ward, { state: "offline" }, { channel: AVAILABILITY, kept: true, retained: true });
    expect(open(ward)).toEqual(["device-offline active"]);
    expect(ward.gateway.openAlerts().some(({ rule }) => rule === "silence.device")).toBe(false);
    await say(ward, { state: "online" }, { channel: AVAILABILITY, kept: true, retained: true });
    await ward.clock.advance(7000);
    expect(open(ward)).toEqual([]);
  });

  test("does not hide that the device itself is silent", async () => {
    const ward = await startWard();
    await say(ward, { battery: 80 });
    for (let hour = 0; hour < 26; hour++) {
      await ward.clock.advance(3_600_000);
      await say(ward, { state: "online" }, { channel: AVAILABILITY });
    }
    expect(ward.gateway.openAlerts().map(({ rule }) => rule)).toContain("silence.device");
  });
});

describe("a call with its own time", () => {
  const NOW = wallMs(Date.UTC(2026, 10, 22, 8));
  const options = optionTexts({
    mapping: { batteryLevel: "$.b" },
    each: "$.list",
    time: { path: "$.t", format: "unix-milliseconds" },
    alarms: { path: "$.sos", equals: true, code: "sos", nature: "physiological", priority: "high", once: true },
  });

  function called(records: readonly object[], kept: boolean): number {
    const intake = createDeviceIntake({
      deviceId: deviceId("b"),
      driver: mqttJson,
      driverOptions: options,
      origin: "measured",
      patientOf: () => null,
    });
    const feed = (list: readonly object[], more: object, atMs: number) =>
      intake.feed({
        bytes: new TextEncoder().encode(JSON.stringify({ list })),
        channel: "devices/b/vitals",
        receivedAtMs: wallMs(NOW + atMs),
        receivedMonotonicMs: monotonicMs(atMs),
        ...more,
      });
    feed([{ b: 50, t: NOW }], {}, 0);
    return feed(records, kept ? { kept } : {}, 1000).alarms.length;
  }

  test("is one up to the bound, and older only kept as what the device said", () => {
    const bound = LIMITS.callAgeMsMax.value;
    expect(called([{ sos: true, t: NOW + 1000 }], false)).toBe(1);
    expect(called([{ sos: true, t: NOW + 1000 - bound }], false)).toBe(1);
    expect(called([{ sos: true, t: NOW - 10_000 - bound }], false)).toBe(0);
    expect(called([{ sos: true, t: NOW - 60_000 }], true)).toBe(1);
    expect(called([{ sos: true }], true), "of unknown age").toBe(1);
  });
});
