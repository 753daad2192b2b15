import { afterEach, describe, expect, test } from "vitest";
import { findDriver } from "../drivers/index.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { deviceId, patientId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { parseDeed } from "../src/dashboard/server/deed-parser.ts";
import { adoptionProblem } from "../src/gateway/adoption.ts";
import { openCandidateBook } from "../src/gateway/candidate-book.ts";
import { openDeviceNotebook } from "../src/gateway/device-notebook.ts";
import { type AdoptingWard, admitTo, startAdoptingWard, watchDevice } from "./support/adopting-ward.ts";
import { until } from "./support/until.ts";

let ward: AdoptingWard | null = null;

async function start(devices?: string): Promise<AdoptingWard> {
  ward = await startAdoptingWard(devices);
  return ward;
}

afterEach(async () => {
  await ward?.remove();
  ward = null;
});

const WATCH = deviceId("watch-1");

/** Publishes with QoS 1 and waits for the thanks, which come after the commit. */
async function say(client: Awaited<ReturnType<AdoptingWard["connect"]>>, topic: string, message: unknown): Promise<void> {
  await client.publishAsync(topic, JSON.stringify(message), { qos: 1 });
}

async function heartRates(of: AdoptingWard): Promise<readonly number[]> {
  return (await of.records()).flatMap((record) =>
    record.kind === "observation" && record.content.state === "present" ? [record.content.value] : [],
  );
}

const faults = (of: AdoptingWard, code: string) =>
  of.gateway.openAlerts().filter(({ evidence }) => evidence.kind === "fault" && evidence.code === code);

describe("a device that is adopted while the gateway runs", () => {
  test("is found by what it sends, is in use at once, is there again after a restart, and is gone when it is forgotten", async () => {
    const at = await start();
    let client = await at.connect("watch-1");
    await say(client, "devices/watch-1/vitals", { hr: 71, from: "wrist" });
    const [account] = at.gateway.source.devices.candidates().accounts;
    expect(account).toMatchObject({ account: "watch-1", count: 1, deviceId: null });
    expect(account?.topics[0]?.fields).toEqual([
      { path: "$.hr", kind: "number", sample: "71" },
      { path: "$.from", kind: "text", sample: "wrist" },
    ]);
    const wanted = { driverId: "mqtt-json", options: watchDevice("watch-1").options, topic: "devices/watch-1/vitals" };
    expect(at.gateway.source.devices.preview(wanted)).toEqual({
      problems: [],
      hasMessage: true,
      values: [{ quantity: "heartRate", content: { state: "present", value: 71 }, flags: [] }],
      alarms: [],
      refusals: [],
    });

    expect(await at.act(watchDevice("watch-1"))).toMatchObject({ ok: true, value: { durable: true } });
    expect(at.gateway.source.devices.candidates().accounts, "it is a device now").toEqual([]);
    const isReserved = () => ["devices/watch-1/vitals", "devices/watch-1/other"].map((topic) => at.gateway.isAdoptedTopic(topic));
    expect(isReserved(), "its messages are not taken while its link is broken").toEqual([true, false]);
    await say(client, "devices/watch-1/vitals", { hr: 72 });
    expect(await heartRates(at)).toEqual([72]);
    const bed = at.gateway.source.picture().beds[0];
    expect(bed?.devices).toMatchObject([{ deviceId: "watch-1", title: { en: "Watch" }, link: "up", adopted: true }]);

    await at.act(admitTo("bed-1", "P-1"));
    expect((await at.act({ kind: "assign", deviceId: WATCH, patientId: patientId("P-1") })).ok).toBe(true);
    await say(client, "devices/watch-1/vitals", { hr: 73 });
    expect(at.gateway.source.picture().beds[0]?.numbers).toMatchObject([{ quantity: "heartRate", content: { value: 73 } }]);

    await at.restart();
    expect(at.gateway.source.devices.list().devices).toMatchObject([
      {
        deviceId: "watch-1",
        from: "adopted",
        bedId: "bed-1",
        patient: { patientId: "P-1" },
        silenceSeconds: 90,
        expected: [{ quantity: "heartRate" }],
        place: { kind: "mqtt", server: null, account: "watch-1", topics: ["devices/watch-1/vitals"] },
      },
    ]);
    client = await at.connect("watch-1");
    await say(client, "devices/watch-1/vitals", { hr: 74 });
    expect(await heartRates(at)).toEqual([72, 73, 74]);

    const forget = { kind: "forget-device", deviceId: WATCH } as const;
    expect(await at.act(forget), "it is on somebody").toMatchObject({ ok: false, error: { facts: { why: "device-in-use" } } });
    await at.act({ kind: "release", deviceId: WATCH });
    expect((await at.act(forget)).ok).toBe(true);
    expect(at.gateway.source.devices.list().devices).toEqual([]);
    expect(isReserved().includes(true)).toBe(false);
    await say(client, "devices/watch-1/vitals", { hr: 75 });
    await until("it may be adopted again", () => at.gateway.source.devices.candidates().accounts.length === 1);
    expect(await at.act(forget)).toMatchObject({ ok: false, error: { facts: { why: "not-adopted" } } });

    await at.restart();
    expect(at.gateway.source.devices.list()).toEqual({ devices: [], unused: [] });
    expect(await heartRates(at), "what came after it was forgotten is nobody's").toEqual([72, 73, 74]);
    const deeds = (await at.records()).flatMap((record) => (record.kind === "act" ? [record.deed.kind] : []));
    expect(deeds).toEqual(["adopt", "admit", "assign", "release", "forget-device"]);
  }, 60_000);

  test("its sender is thanked for everything, also for what was on its way when it was forgotten", async () => {
    const at = await start();
    const client = await at.connect("watch-1");
    await at.act(watchDevice("watch-1"));
    const sent = Array.from({ length: 200 }, (_, number) => say(client, "devices/watch-1/vitals", { hr: 60 + (number % 40) }));
    await until("some of it has come", async () => (await heartRates(at)).length > 0);
    await at.act({ kind: "forget-device", deviceId: WATCH });
    await Promise.all(sent);
    await say(client, "devices/watch-1/vitals", { hr: 99 });
    expect((await heartRates(at)).length).toBeLessThanOrEqual(200);
  }, 30_000);

  test("silence of an adopted device on a patient is an alert, also of one that never came after a restart", async () => {
    const at = await start();
    await at.act({ ...watchDevice("watch-1"), silenceSeconds: 1 });
    await at.act(admitTo("bed-1", "P-1"));
    await at.act({ kind: "assign", deviceId: WATCH, patientId: patientId("P-1") });
    const silent = () => at.gateway.openAlerts().some(({ rule }) => rule === "silence.device");
    await until("its silence is told", silent);
    await at.restart();
    await until("its silence is told again", silent);
  }, 40_000);
});

describe("what may not be adopted", () => {
  test("a name that is taken, options that will not do, another kind of link, a bed that is not there", async () => {
    const at = await start("[{ id: fixed-1, driver: mqtt-json, link: { kind: mqtt } }]");
    const why = async (deed: Parameters<AdoptingWard["act"]>[0]) => {
      const answer = await at.act(deed);
      return answer.ok ? "done" : answer.error.facts["why"];
    };
    expect(await why(watchDevice("fixed-1"))).toBe("device-name-taken");
    expect(await why(watchDevice("watch-1", { options: { mapping: '{"heartbeat":"$.hr"}' } }))).toBe("bad-options");
    expect(await why(watchDevice("watch-1", { options: { maping: '{"heartRate":"$.hr"}' } }))).toBe("bad-options");
    expect(await why(watchDevice("watch-1", { driverId: "mqtt-jason" }))).toBe("no-driver");
    expect(await why(watchDevice("watch-1", { driverId: "serial-nonin-df2", options: {} }))).toBe("bad-link");
    expect(await why(watchDevice("watch-1", { driverId: "mqtt-zigbee2mqtt", options: {} }))).toBe("bad-expected");
    const nowhere = parseDeed({ ...watchDevice("watch-1"), bedId: "bed-9" });
    expect(nowhere.ok && (await why(nowhere.value))).toBe("unknown-bed");
    expect(await why(watchDevice("watch-1"))).toBe("done");
    expect(await why(watchDevice("watch-1"))).toBe("device-name-taken");
    expect(await why({ kind: "forget-device", deviceId: deviceId("fixed-1") })).toBe("not-adopted");
    expect((await at.records()).filter(({ kind }) => kind === "act")).toHaveLength(1);
  }, 30_000);

  test("where there is no broker nothing can come", () => {
    const problem = adoptionProblem(watchDevice("watch-1"), { drivers: findDriver, hasBroker: false });
    expect(problem?.why).toBe("no-broker");
    expect(adoptionProblem(watchDevice("watch-1"), { drivers: findDriver, hasBroker: true })).toBeNull();
  });

  test("a request with a field that is not as it must be", () => {
    const good = watchDevice("watch-1");
    expect(parseDeed(good)).toEqual({ ok: true, value: good });
    const long = "x".repeat(LIMITS.adoptOptionsCharactersMax.value - "mapping".length);
    expect(parseDeed({ ...good, options: { mapping: long } }).ok).toBe(true);
    const bad: readonly (readonly [object, string])[] = [
      [{ deviceId: "Watch 1" }, "deviceId"],
      [{ deviceId: "w".repeat(64) }, "deviceId"],
      [{ link: { ...good.link, topics: [] } }, "link.topics"],
      [{ link: { ...good.link, topics: ["devices/#/x"] } }, "link.topics"],
      [{ link: { ...good.link, topics: ["$SYS/broker"] } }, "link.topics"],
      [{ link: { ...good.link, topics: Array(LIMITS.adoptTopicsMax.value + 1).fill("a") } }, "link.topics"],
      [{ link: { ...good.link, account: "no account" } }, "link.account"],
      [{ link: { ...good.link, kind: "serial" } }, "kind"],
      [{ options: { mapping: 3 } }, "options.mapping"],
      [{ options: { mapping: `${long}x` } }, "options"],
      [{ silenceSeconds: 0 }, "silenceSeconds"],
      [{ silenceSeconds: 86_401 }, "silenceSeconds"],
      [{ expected: ["heartbeat"] }, "expected"],
      [{ title: "" }, "title"],
      [{ origin: "simulated" }, "origin"],
    ];
    for (const [more, field] of bad)
      expect(parseDeed({ ...good, ...more }), JSON.stringify(more).slice(0, 100)).toMatchObject({ ok: false, error: { field } });
  });
});

describe("a device that the configuration has as well", () => {
  test("is used as configured, the adopted one is told as an alert, and forgetting that ends it", async () => {
    const at = await start();
    await at.act(watchDevice("watch-1"));
    await at.restart("[{ id: watch-1, title: Fixed, driver: mqtt-json, link: { kind: mqtt }, bed: bed-2 }]");
    expect(faults(at, "adopted-device-unused")).toMatchObject([
      { subject: { deviceId: "watch-1" }, evidence: { facts: { why: "configured" } } },
    ]);
    const { devices, unused } = at.gateway.source.devices.list();
    expect(devices).toMatchObject([{ deviceId: "watch-1", from: "configuration", title: { en: "Fixed" }, bedId: "bed-2" }]);
    expect(unused).toMatchObject([{ deviceId: "watch-1", why: "configured" }]);
    await at.act(admitTo("bed-2", "P-2"));
    await at.act({ kind: "assign", deviceId: WATCH, patientId: patientId("P-2") });
    expect((await at.act({ kind: "forget-device", deviceId: WATCH })).ok).toBe(true);
    await until("the alert is over", () => faults(at, "adopted-device-unused").length === 0);
    const left = at.gateway.source.devices.list();
    expect(left.unused).toEqual([]);
    expect(left.devices, "the configured one goes on, on its patient").toMatchObject([{ patient: { patientId: "P-2" } }]);
  }, 40_000);

  test("a bed that is no longer there is no bed, and the device is still in use", async () => {
    const at = await start();
    await at.act(watchDevice("watch-1"));
    await at.restart("[]", '[{ id: bed-2, title: "2" }]');
    expect(at.gateway.source.devices.list().devices).toMatchObject([{ deviceId: "watch-1", bedId: null }]);
  }, 40_000);
});

describe("Zigbee2MQTT's devices", () => {
  const announced = [
    { type: "Coordinator", ieee_address: "0x00", friendly_name: "Coordinator" },
    {
      type: "EndDevice",
      ieee_address: "0x01",
      friendly_name: "ward/door",
      definition: {
        model: "MCCGQ11LM",
        vendor: "Aqara",
        description: "Door sensor",
        exposes: [{ type: "binary", name: "contact", property: "contact" }],
      },
    },
    { type: "EndDevice", ieee_address: "0x02", friendly_name: "old", disabled: true },
    { type: "EndDevice", ieee_address: "0x03", friendly_name: "sos" },
  ];

  test("are offered when they are announced, with their last state, until they are adopted; a retained list counts after a restart", async () => {
    const at = await start("[{ id: sos, driver: mqtt-zigbee2mqtt, link: { kind: mqtt, account: null } }]");
    const bridge = await at.connect("zigbee", { publish: ["zigbee2mqtt/#"] });
    await bridge.publishAsync("zigbee2mqtt/bridge/devices", JSON.stringify(announced), { qos: 1, retain: true });
    await say(bridge, "zigbee2mqtt/ward/door", { contact: false, battery: 88, linkquality: 61 });
    await say(bridge, "zigbee2mqtt/bridge/logging", { level: "info" });
    const found = at.gateway.source.devices.candidates();
    expect(found.zigbee).toMatchObject([
      { base: "zigbee2mqtt", name: "ward/door", address: "0x01", model: "MCCGQ11LM", exposes: ["contact"], last: { count: 1 } },
    ]);
    expect(found.accounts, "the bridge itself is no device").toEqual([]);
    await at.restart();
    await until("the retained list is read", () => at.gateway.source.devices.candidates().zigbee.length === 1);

    const door = watchDevice("door-1", {
      driverId: "mqtt-zigbee2mqtt",
      title: null,
      link: { kind: "mqtt", topics: ["zigbee2mqtt/ward/door", "zigbee2mqtt/ward/door/availability"], account: null },
      options: { base: "zigbee2mqtt" },
      expected: null,
    });
    expect((await at.act(door)).ok).toBe(true);
    expect(at.gateway.source.devices.candidates().zigbee).toEqual([]);
    await say(await at.connect("zigbee"), "zigbee2mqtt/ward/door", { contact: false, battery: 87, linkquality: 55 });
    const row = await until("its state has come", () =>
      at.gateway.source.devices.list().devices.find(({ deviceId: id, battery }) => id === "door-1" && battery !== null),
    );
    expect(row).toMatchObject({ battery: { content: { value: 87 } }, signal: { linkQuality: 55 } });
  }, 40_000);
});

describe("a flood of strangers", () => {
  const payload = new TextEncoder().encode('{"hr":60}');

  test("is bounded in accounts, topics and bytes, and what is left out is counted", () => {
    const book = openCandidateBook({ clock: createSimulatedClock(), inlet: null });
    const accountsMax = LIMITS.candidateAccountsMax.value;
    for (let number = 0; number < accountsMax + 7; number++) book.note({ account: `a-${number}`, topic: "t", payload });
    const topicsMax = LIMITS.candidateTopicsMax.value;
    for (let number = 0; number < 50; number++) book.note({ account: "a-0", topic: `t/${number}`, payload });
    const view = book.view(() => false);
    expect([view.accounts.length, view.moreAccounts]).toEqual([accountsMax, 7]);
    expect(view.accounts[0]?.topics.map(({ topic }) => topic)).toEqual(["t/49", "t/48", "t/47", "t/46"].slice(0, topicsMax));
    expect(view.accounts[0]?.count).toBe(51);
    const bytesMax = LIMITS.candidatePayloadBytesMax.value;
    const long = new TextEncoder().encode(`{"x":"${"y".repeat(bytesMax)}"}`);
    book.note({ account: "a-1", topic: "long", payload: long });
    expect(book.message("long"), "cut short it means nothing").toBeNull();
    const fits = new TextEncoder().encode(`"${"y".repeat(bytesMax - 2)}"`);
    book.note({ account: "a-1", topic: "fits", payload: fits });
    expect(book.message("fits")).toEqual(fits);
    expect(book.view((topic) => topic !== "fits").accounts.map(({ account }) => account)).toEqual(["a-1"]);
  });

  test("of announced devices is bounded too, and a list that is none changes nothing", () => {
    const told: { message: (topic: string, payload: unknown) => void }[] = [];
    const inlet = {
      listen: (_: unknown, listener: { message: (arrival: never, thank: () => void) => boolean }) => {
        const message = (topic: string, list: unknown) =>
          void listener.message({ topic, payload: new TextEncoder().encode(JSON.stringify(list)) } as never, () => {});
        told.push({ message });
        return () => {};
      },
    };
    const book = openCandidateBook({ clock: createSimulatedClock(), inlet });
    const most = LIMITS.candidateZigbeeMax.value;
    const list = Array.from({ length: most + 3 }, (_, at) => ({
      type: "EndDevice",
      ieee_address: `0x${at}`,
      friendly_name: `d-${at}`,
    }));
    told[0]?.message("home/zigbee2mqtt/bridge/devices", list);
    const view = book.view(() => false);
    expect([view.zigbee.length, view.moreZigbee, view.zigbee[0]?.topic]).toEqual([most, 3, "home/zigbee2mqtt/d-0"]);
    told[0]?.message("home/zigbee2mqtt/bridge/devices", { not: "a list" });
    expect(book.view(() => false).zigbee).toHaveLength(most);
  });
});

describe("what a device did lately", () => {
  const chunk = (text: string, atMs: number) => {
    const bytes = new TextEncoder().encode(text);
    const received = { receivedAtMs: wallMs(0), receivedMonotonicMs: monotonicMs(atMs) };
    return { kind: "bytes", position: 1, channel: "", bytes, ...received } as const;
  };
  const refusal = { kind: "lost-sync", skippedBytes: 3 } as const;
  const judgement = (refusals: readonly (typeof refusal)[]) => ({
    ...{ observations: [], waveforms: [], alarms: [], events: [], heard: false, quarantined: null, refusals },
    counted: { bytes: 3, messages: 0, readings: 0, repeats: 0 },
  });

  test("of a stream the bytes before the refusal are kept up to the bound, of a message its beginning", () => {
    const clock = createSimulatedClock();
    const stream = openDeviceNotebook({ clock, hasWholeMessages: false });
    const bytesMax = LIMITS.deviceRefusedBytesMax.value;
    stream.judged(chunk("a".repeat(bytesMax), 1), judgement([]));
    stream.judged(chunk("bcd", 2), judgement([refusal, refusal]));
    const [kept] = stream.refusals();
    expect(kept).toMatchObject({ isWholeMessage: false, bytesGiven: 3, errorCount: 2 });
    expect(kept?.hex.split(" ")).toHaveLength(bytesMax);
    expect(kept?.hex.endsWith("61 62 63 64")).toBe(true);
    expect(stream.lastBytes()?.hex).toBe(kept?.hex);
    const messages = openDeviceNotebook({ clock, hasWholeMessages: true });
    messages.judged(chunk("before", 1), judgement([]));
    messages.judged(chunk("bcd", 2), judgement([refusal]));
    expect(messages.lastBytes()).toBeNull();
    expect(messages.refusals()).toMatchObject([{ hex: "62 63 64", isWholeMessage: true }]);
  });

  test("only the newest refusals and events are kept, and the counters go on", () => {
    const notebook = openDeviceNotebook({ clock: createSimulatedClock(), hasWholeMessages: true });
    const keptMax = LIMITS.deviceRefusedKeptMax.value;
    for (let number = 0; number < keptMax + 5; number++) notebook.judged(chunk(String(number), number), judgement([refusal]));
    expect(notebook.refusals()).toHaveLength(keptMax);
    expect(notebook.refusals()[0]?.hex).toBe(
      Buffer.from(String(keptMax + 4))
        .toString("hex")
        .toUpperCase()
        .replace(/(..)(?=.)/g, "$1 "),
    );
    expect(notebook.counts().refusals).toEqual({ "lost-sync": keptMax + 5 });
    for (let number = 0; number < LIMITS.deviceEventsKeptMax.value + 5; number++)
      notebook.judged(chunk("x", number), { ...judgement([]), events: [{ code: "device-text", facts: { number } }] });
    expect(notebook.events()).toHaveLength(LIMITS.deviceEventsKeptMax.value);
    expect(notebook.events()[0]?.facts).toEqual({ number: LIMITS.deviceEventsKeptMax.value + 4 });
  });
});
