import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { findDriver } from "../../drivers/index.ts";
import { createSystemClock } from "../../src/clock.ts";
import { runDeviceMessages } from "../../src/commands/bench/device-messages.ts";
import { runDrain } from "../../src/commands/bench/drain.ts";
import { durableRate } from "../../src/commands/bench/durable.ts";
import { openTracedWard } from "../../src/commands/bench/load.ts";
import { runTrial } from "../../src/commands/bench/trial.ts";
import { figureLine, markdownOf } from "../../src/commands/bench/words.ts";
import type { Emission } from "../../src/core/ports.ts";
import { collectingIo } from "../support/collecting-io.ts";
import { mosquittoIsMissing } from "../support/mosquitto.ts";

describe("the figures run", () => {
  test("the journal beside SQLite, at three sizes of commits", async () => {
    const figures = await durableRate({ disk: "as-is", coreCount: 2, rounds: 1, recordsMax: 4000, commitsMax: 4 });
    expect(figures.rows.map((row) => [row.way, row.commitRecords])).toEqual([
      ["gateway", 2000],
      ["fixed", 100],
      ["fixed", 1000],
    ]);
    for (const row of figures.rows) {
      expect(row.ratio).toBeCloseTo(row.journalPerSecond.median / row.sqlitePerSecond.median, 1);
      expect(row.journalBytesEach).toBeNull();
    }
    expect(figureLine({ kind: "durable", name: "durable", figures })).toContain("2 cores");
  }, 30_000);

  test("a monitor's twentieth message is an alarm to its driver, with a text that says when it left; waves can be left out", async () => {
    const clock = createSystemClock();
    const ward = await openTracedWard(19, { clock, alarms: true });
    ward.sendWaves(false);
    const session = findDriver("serial-ivy-450c")?.open({});
    // The nineteenth bed is one message ahead of its alarm.
    const { port } = ward.ports[18] ?? { port: 0 };
    const messages: Extract<Emission, { kind: "message" }>[] = [];
    for await (const bytes of connect(port, "127.0.0.1")) {
      const emissions = session?.feed(bytes as Uint8Array, "", clock.monotonic()) ?? [];
      for (const emission of emissions) if (emission.kind === "message") messages.push(emission);
      if (messages.length >= 2) break;
    }
    await ward.close();
    expect(messages.map((message) => message.alarms.map(({ active, text }) => [active, text]))).toEqual([
      [[true, "ASYSTOLE 1"]],
      [[false, "ASYSTOLE 1"]],
    ]);
    expect(messages.flatMap((message) => message.waveforms)).toEqual([]);
    expect(messages[0]?.readings.length).toBeGreaterThan(9);
    expect(clock.monotonic() - (ward.alarmSentMs("ASYSTOLE 1") ?? Number.NaN)).toBeLessThan(5000);
    expect(ward.alarmSentMs("ASYSTOLE 99")).toBeNull();
  }, 20_000);

  test("a gateway with two beds", async () => {
    const io = collectingIo();
    const trial = {
      beds: 2,
      disk: "slow",
      coreShareMax: null,
      coreCount: 2,
      wavesOffToo: false,
      warmUpMs: 2000,
      measureMs: 3000,
    } as const;
    const figures = await runTrial(trial, io);
    expect(figures.observationsPerSecond).toBeGreaterThan(13);
    expect(figures.page.count).toBeGreaterThan(2);
    expect(figures.upstream.count).toBeGreaterThan(2);
    expect(figures.upstream.p50Ms).toBeGreaterThan(figures.broker.p50Ms);
    expect(figures.pauses.sampleCount).toBeGreaterThan(100);
    expect(figures.pssMegabytes).toBeGreaterThan(50);
    const markdown = markdownOf([{ kind: "trial", name: "beds-2-slow", figures }]);
    expect(markdown.split("\n")).toHaveLength(3);
    expect(markdown).toContain("| 2, slow disk |");
  }, 60_000);

  test("a drain: what waited leaves, and alerts of that time are counted apart", async () => {
    const plan = { beds: 20, disk: "as-is", coreCount: 2, backlogRecords: 1500, warmUpMs: 1000 } as const;
    const figures = await runDrain({ ...plan, beforeMs: 2500, duringMsMax: 4000 }, collectingIo());
    expect(figures.backlogRecords).toBeGreaterThanOrEqual(plan.backlogRecords);
    expect(figures.leftRecords).toBeLessThan(figures.backlogRecords);
    expect(figures.alertsBefore.count).toBeGreaterThanOrEqual(1);
    expect(figures.recordsPerSecond).toBeGreaterThan(0);
  }, 90_000);

  test.skipIf(mosquittoIsMissing)(
    "devices by MQTT: each message is acknowledged and kept, and mosquitto is measured beside",
    async () => {
      const plan = { devices: 20, messagesPerSecondEach: 2, disk: "slow", coreCount: 2, measureMs: 2000 } as const;
      const figures = await runDeviceMessages(plan);
      expect(figures).toMatchObject({ unthankedCount: 0, lostCount: 0, messagesPerSecond: 40 });
      expect(figures.sentCount).toBeGreaterThan(200);
      expect(figures.gateway.thanks.p50Ms).toBeGreaterThan(15);
      expect(figures.mosquitto?.thanks.count).toBeGreaterThan(50);
      const line = figureLine({ kind: "device-messages", name: "devices-mqtt", figures });
      expect(line).toContain("0 not acknowledged, 0 acknowledged and lost");
    },
    60_000,
  );
});
