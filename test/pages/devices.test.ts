import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import type { CandidatesView, DeviceDetailView } from "../../src/core/device-view.ts";
import { fault } from "../../src/core/errors.ts";
import { bedId, deviceId, seq } from "../../src/core/ids.ts";
import { violationsOf } from "../support/axe.ts";
import { chromiumIsThere, expectNoSidewaysScroll, pictures, type Stage, stageInChromium, text } from "../support/page-stage.ts";
import { deviceDetail, NO_CANDIDATES, readerView } from "../support/scripted-devices.ts";

const HEX = "24 56 31 2E 30 20 48 52 3D 37 B3 20 53 50 4F 32 3D 0D";

/** A monitor that is well, one that is cut off, a watch that was adopted, and a recording. */
function devicesAt(nowMs: number): readonly DeviceDetailView[] {
  return [
    deviceDetail("monitor-1", nowMs, {
      counts: { bytes: 918_273, frames: 3592, readings: 41_080, waves: 17_960, refused: 12 },
      refusedByKind: { "bad-checksum": 12 },
      refusals: [
        {
          ...{ atMs: nowMs - 5000, channel: "", hex: HEX, isWholeMessage: false, bytesGiven: 18, errorCount: 5 },
          errors: [{ kind: "bad-checksum", expected: 0xb2, given: 0xb3, atByte: 10 }],
        },
      ],
      events: [
        { atMs: nowMs - 60_000, code: "device-text", facts: { text: "LEADS OFF" } },
        { atMs: nowMs - 3_600_000, code: "link-up", facts: {} },
      ],
      values: [{ quantity: "heartRate", content: { state: "present", value: 83 }, flags: [], atMs: nowMs - 900 }],
      expected: [{ quantity: "heartRate", silenceSeconds: 60, lastAtMs: nowMs - 900, isMissing: false }],
    }),
    deviceDetail("monitor-2", nowMs, {
      bedId: bedId("bed-2"),
      place: { kind: "tcp", host: "10.0.0.17", port: 4001 },
      link: { state: "down", sinceMs: nowMs - 61_000, fault: fault("link-not-found", { host: "10.0.0.17", cause: "ENOTFOUND" }) },
      lastHeardAtMs: nowMs - 61_000,
      expected: [{ quantity: "oxygenSaturation", silenceSeconds: 30, lastAtMs: nowMs - 61_000, isMissing: true }],
    }),
    deviceDetail("watch-7", nowMs, {
      title: { en: "Watch of bed 2", zh: "2 床手表" },
      ...{ driverId: "mqtt-json", from: "adopted", isAssigned: false, patient: null, bedId: bedId("bed-2") },
      place: { kind: "mqtt", server: null, account: "watch-7", topics: ["devices/watch-7/vitals"] },
      battery: { content: { state: "present", value: 34 }, atMs: nowMs - 120_000 },
      signal: { linkQuality: 61, rssiDbm: null, atMs: nowMs - 120_000 },
    }),
    deviceDetail("replay-1", nowMs, {
      ...{ bedId: null, isAssigned: false, patient: null, origin: "replayed" },
      place: { kind: "capture", file: "/var/lib/vigil/captures/ivy-450c-2024-03-02-night.capture" },
    }),
  ];
}

function candidatesAt(nowMs: number): CandidatesView {
  return {
    ...NO_CANDIDATES,
    accounts: [
      {
        ...{ account: "Scale_5", deviceId: null, count: 3 },
        topics: [
          {
            ...{ topic: "devices/Scale_5/out", count: 3, lastAtMs: nowMs - 9000, bytesGiven: 41, hex: "7B 7D" },
            fields: [
              { path: "$.weight", kind: "number", sample: "154.3" },
              { path: "$.at", kind: "text", sample: "2026-11-22T08:15:00Z" },
              { path: '$["pulse rate"]', kind: "number", sample: "71" },
            ],
          },
        ],
      },
    ],
    zigbee: [
      {
        ...{ base: "zigbee2mqtt", name: "Ward door", address: "0x00158d0001", model: "MCCGQ11LM", vendor: "Aqara" },
        ...{ description: "Door and window sensor", exposes: ["contact", "battery"], last: null },
      },
    ],
  };
}

function furnish(stage: Stage): void {
  const { devices } = stage.ward;
  const nowMs = Date.now();
  devices.setDevices(devicesAt(nowMs), [
    { deviceId: deviceId("pump-1"), driverId: "mqtt-json", title: "Pump", why: "configured" },
  ]);
  devices.setCandidates(candidatesAt(nowMs));
  devices.answerPreviews(({ options }) => ({
    ...{ problems: [], hasMessage: true, alarms: [], refusals: [] },
    values:
      options["mapping"] === undefined
        ? []
        : [{ quantity: "bodyWeight", content: { state: "present", value: 69.99 }, flags: [] }],
  }));
  devices.setReaders([
    readerView("hospital", nowMs),
    readerView("history", nowMs, {
      ...{ kind: "influx", where: "https://influx.example:8086", state: "connecting", backlogRecords: 12_345 },
      ...{ position: seq(35_868), firstWaitingSeq: seq(35_869), oldestWaitingAtMs: nowMs - 3_700_000 },
      outage: { fault: fault("upstream-denied", { status: 401 }), sinceMs: nowMs - 3_700_000 },
      ...{ refusedCount: 4, refusedLastAtMs: nowMs - 86_400_000, missedCount: 900, missedLastAtMs: nowMs - 90_000_000 },
      lastRefusal: { fault: fault("upstream-rejected", { status: 400, reason: "field type conflict" }), atMs: nowMs - 1000 },
    }),
  ]);
}

async function picture(page: Page, name: string): Promise<void> {
  if (pictures !== undefined) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}

describe.skipIf(!chromiumIsThere)("the pages of devices and readers", () => {
  const openStage = stageInChromium();

  test("every device is listed, those in trouble first, with where it goes, why it is down and what can be done", async ({
    onTestFinished,
  }) => {
    const stage = await openStage(onTestFinished, { signIn: true });
    furnish(stage);
    const page = await stage.openAs("engineer", "/#/devices", { width: 1280, height: 800 });
    await page.waitForSelector("[data-device=monitor-2]");
    const order = await page.locator("[data-device]").evaluateAll((rows) => rows.map((row) => row.getAttribute("data-device")));
    expect(order).toEqual(["monitor-2", "monitor-1", "replay-1", "watch-7"]);
    const down = await text(page, "[data-device=monitor-2]");
    for (const words of ["DISCONNECTED since", "10.0.0.17:4001", "Check `path` or `host`", "missing: Oxygen saturation", "Bed 2"])
      expect(down).toContain(words);
    expect(down, "an engineer need not know whom it is on").not.toContain("W. L.");
    expect(await text(page, "[data-device=watch-7]")).toContain("34 %");
    expect(await text(page, "[data-device=watch-7]")).toContain("link quality 61 of 255");
    expect(await text(page, "[data-device=monitor-1]")).toContain("12 refused");
    expect(await page.locator(".devices__find").count(), "four are seen at once").toBe(0);
    expect(await text(page, "[data-unused=pump-1]")).toContain("The configuration has a device of this name");
    expect(await violationsOf(page)).toEqual([]);
    await picture(page, "devices-en");
    const many = Array.from({ length: 9 }, (_, at) => deviceDetail(`monitor-${at + 1}`, Date.now()));
    stage.ward.devices.setDevices([...many, ...devicesAt(Date.now()).slice(2)]);
    await page.fill(".devices__find", "watch");
    await expect.poll(() => page.locator("[data-device]").count()).toBe(1);
    await page.fill(".devices__find", "nowhere");
    await expect.poll(() => text(page, ".calm")).toContain("No device has this");

    const nurse = await stage.openAs("nurse", "/#/devices", { locale: "zh-CN", width: 390, height: 844 });
    await nurse.waitForSelector("[data-device=monitor-2]");
    expect(await text(nurse, "[data-device=monitor-1]")).toContain("W. L.");
    expect(await nurse.locator("[data-testid=adopt-link], [data-testid=forget-pump-1]").count()).toBe(0);
    await expectNoSidewaysScroll(nurse);
    await picture(nurse, "devices-zh-phone");
  }, 60_000);

  test("a device's own page shows refused bytes with the reason in words, copies them, and takes an adopted one out of use", async ({
    onTestFinished,
  }) => {
    const stage = await openStage(onTestFinished, { signIn: true });
    furnish(stage);
    const page = await stage.openAs("engineer", "/#/device/monitor-1", { width: 1280, height: 800 });
    await page.waitForSelector(".refusal");
    expect(await text(page, ".refusal__why")).toContain("The checksum is wrong: 0xB3 came, 0xB2 was right, at byte 10.");
    expect(await text(page, ".refusal__why")).toContain("and 4 more of the same piece");
    expect(await text(page, ".dump")).toContain("24 56 31 2E 30 20 48 52  $V1.0 HR");
    expect(await text(page, ".dump")).toContain("3D 37 B3 20 53 50 4F 32  =7. SPO2");
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy bytes" }).click();
    await expect.poll(() => text(page, ".refusal__copy")).toContain("Copied.");
    expect(await page.evaluate<string>("navigator.clipboard.readText()")).toBe(HEX);
    expect(await text(page, ".device-events")).toContain("LEADS OFF");
    expect(await page.locator("[data-testid=forget-monitor-1]").count(), "it stands in the configuration").toBe(0);
    expect(await violationsOf(page)).toEqual([]);
    await picture(page, "device-en");

    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(new URL("/#/device/watch-7", stage.url()).href);
    await page.click("[data-testid=forget-watch-7]");
    await picture(page, "forget-en-phone");
    stage.ward.answerNext("refused");
    await page.click("dialog [type=submit]");
    await expect.poll(() => text(page, "dialog .field-trouble")).not.toBe("");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("[data-device=monitor-2]");
    expect(stage.ward.acts.map(({ deed }) => deed)).toEqual(Array(2).fill({ kind: "forget-device", deviceId: "watch-7" }));
    await expectNoSidewaysScroll(page);

    expect(await page.locator("[data-testid=unread]").count()).toBe(0);
    const counts = { bytes: 18, frames: 0, readings: 0, waves: 0, refused: 0 };
    stage.ward.devices.setDevices([
      deviceDetail("monitor-3", Date.now(), { counts, lastBytes: { hex: HEX, atMs: Date.now() - 3000 } }),
    ]);
    await page.goto(new URL("/#/device/monitor-3", stage.url()).href);
    await expect
      .poll(() => text(page, "[data-testid=unread]"))
      .toContain("Look at driver, baud rate and parity. The last 18 bytes");

    await page.goto(new URL("/#/device/nowhere", stage.url()).href);
    await expect.poll(() => text(page, ".calm")).toContain("There is no such device");
  }, 60_000);

  test("a device that sends is adopted by saying what its values mean; nothing is lost when the gateway refuses or is away", async ({
    onTestFinished,
  }) => {
    const stage = await openStage(onTestFinished, { signIn: true });
    furnish(stage);
    const page = await stage.openAs("engineer", "/#/adopt", { width: 390, height: 844 });
    await page.waitForSelector("[data-candidate=Scale_5]");
    expect(await violationsOf(page)).toEqual([]);
    await expectNoSidewaysScroll(page);
    await picture(page, "adopt-en-phone");
    await page.click("[data-testid=adopt-Scale_5]");
    expect(await page.inputValue("[name=deviceId]"), "a name made out of the account's").toBe("scale-5");
    await expect.poll(() => text(page, ".preview")).toContain("holds no value that is mapped");
    await page.getByLabel("Meaning of $.weight", { exact: true }).selectOption("bodyWeight");
    await page.getByLabel("Unit: $.weight", { exact: true }).selectOption("[lb_av]");
    await page.getByLabel("alarm when it is missing").check();
    await page.getByLabel("Meaning of $.at", { exact: true }).selectOption("iso");
    await expect.poll(() => text(page, ".preview")).toContain("70.0 kg");
    expect(stage.ward.devices.previews.at(-1)).toEqual({
      driverId: "mqtt-json",
      topic: "devices/Scale_5/out",
      options: { mapping: '{"bodyWeight":{"path":"$.weight","unit":"[lb_av]"}}', time: '{"path":"$.at","format":"iso"}' },
    });
    await page.selectOption("[name=bedId]", "bed-2");
    expect(await page.isChecked("[name=staysConnected]")).toBe(true);
    await page.uncheck("[name=staysConnected]");
    await page.fill("[name=silenceSeconds]", "0");
    await page.fill("[name=deviceId]", "Scale 5");
    await page.click("[data-testid=adopt-do]");
    await expect.poll(() => text(page, "#trouble-deviceId")).toContain("small letters");
    await expect
      .poll(() => page.evaluate("document.activeElement.name"), { message: "the focus is where it is wrong" })
      .toBe("deviceId");
    await page.fill("[name=deviceId]", "scale-5");
    await page.click("[data-testid=adopt-do]");
    await expect.poll(() => text(page, "#trouble-silenceSeconds")).toContain("1 to 86400");
    await page.fill("[name=silenceSeconds]", "86400");
    await page.getByLabel('Meaning of $["pulse rate"]', { exact: true }).selectOption("bodyWeight");
    await page.click("[data-testid=adopt-do]");
    await expect.poll(() => text(page, ".field-trouble")).toContain("Body weight is chosen twice");
    await page.getByLabel('Meaning of $["pulse rate"]', { exact: true }).selectOption("pulseRate");
    stage.ward.answerNext("refused");
    await page.click("[data-testid=adopt-do]");
    await expect.poll(() => text(page, ".field-trouble")).toContain("does not fit");
    expect(await page.inputValue("[name=silenceSeconds]"), "what was entered is kept").toBe("86400");
    expect(await violationsOf(page)).toEqual([]);
    await page.setViewportSize({ width: 360, height: 740 });
    await expectNoSidewaysScroll(page);
    await picture(page, "adopt-form-en-phone");
    await page.click("[data-testid=adopt-do]");
    await expect.poll(() => page.url()).toContain("#/device/scale-5");
    expect(stage.ward.acts.at(-1)?.deed).toEqual({
      ...{ kind: "adopt", deviceId: "scale-5", driverId: "mqtt-json", title: "Scale_5", bedId: "bed-2", silenceSeconds: 86_400 },
      link: { kind: "mqtt", topics: ["devices/Scale_5/out"], account: null },
      options: {
        mapping: '{"bodyWeight":{"path":"$.weight","unit":"[lb_av]"},"pulseRate":"$[\\"pulse rate\\"]"}',
        time: '{"path":"$.at","format":"iso"}',
      },
      expected: ["bodyWeight"],
    });
  }, 60_000);

  test("a Zigbee sensor is adopted as one behind its bridge", async ({ onTestFinished }) => {
    const stage = await openStage(onTestFinished, { signIn: true });
    furnish(stage);
    const page = await stage.openAs("administrator", "/#/adopt", { locale: "zh-CN", width: 1280, height: 800 });
    await page.click('[data-testid="adopt-Ward door"]');
    expect(await page.inputValue("[name=deviceId]")).toBe("ward-door");
    await page.check("[name=invertContact]");
    await page.waitForSelector(".preview");
    await picture(page, "adopt-form-zh");
    await page.click("[data-testid=adopt-do]");
    await expect.poll(() => stage.ward.acts.length).toBe(1);
    expect(stage.ward.acts[0]?.deed).toEqual({
      ...{
        kind: "adopt",
        deviceId: "ward-door",
        driverId: "mqtt-zigbee2mqtt",
        title: "Ward door",
        bedId: null,
        silenceSeconds: null,
      },
      link: {
        kind: "mqtt",
        topics: ["zigbee2mqtt/Ward door", "zigbee2mqtt/Ward door/availability", "zigbee2mqtt/bridge/state"],
        account: null,
      },
      options: { base: "zigbee2mqtt", invertContact: "true" },
      expected: null,
    });
  }, 60_000);

  test("the readers say how far they have come, what waits and since when they are in trouble; a nurse has no such page", async ({
    onTestFinished,
  }) => {
    const stage = await openStage(onTestFinished, { signIn: true });
    furnish(stage);
    const page = await stage.openAs("engineer", "/#/readers", { width: 1280, height: 800 });
    await page.waitForSelector("[data-reader=history]");
    expect(await text(page, "[data-reader=hospital]")).toContain("everything up to number 48213 of 48213");
    const history = await text(page, "[data-reader=history]");
    for (const words of [
      "NOT CONNECTED",
      "12345 records at most, the oldest of 61 min ago",
      "The upstream server refuses the gateway (status: 401)",
      "Check user name, password file and certificate",
      "4 records were set aside",
      "field type conflict",
      "900 records at most went before it had them",
    ])
      expect(history).toContain(words);
    expect(await violationsOf(page)).toEqual([]);
    await picture(page, "readers-en");
    const nurse = await stage.openAs("nurse", "/#/readers", { locale: "zh-CN", width: 390, height: 844 });
    await expect.poll(() => text(nurse, ".not-renewed")).toContain("未能更新");
    expect(await nurse.locator('nav a[href="#/readers"]').count()).toBe(0);
    const auditor = await stage.openAs("auditor", "/#/readers", { locale: "zh-CN", width: 360, height: 740 });
    await auditor.waitForSelector("[data-reader=history]");
    await expectNoSidewaysScroll(auditor);
    await picture(auditor, "readers-zh-phone");
  }, 60_000);
});
