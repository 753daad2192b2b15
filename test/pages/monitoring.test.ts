import { rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "vitest";
import { deviceId } from "../../src/core/ids.ts";
import { wallMs } from "../../src/core/time.ts";
import { chromiumIsThere, motion, pictures, stageInChromium, text, tones, turnSoundOn } from "../support/page-stage.ts";
import { deviceView, gatewayView, limitAlert, numberView } from "../support/scripted-ward.ts";

describe.skipIf(!chromiumIsThere)("the page in Chromium", () => {
  const openStage = stageInChromium();

  test("a first start: the one-time link, an account, the sound test, then the ward; signing out shuts it again", async ({
    expect,
    onTestFinished,
  }) => {
    const { open, oneTimeLink } = await openStage(onTestFinished, { signIn: true });
    const page = await open(oneTimeLink());
    await page.fill("[name=name]", "nurse.li");
    await page.fill("[name=password]", "correct horse 9");
    await page.fill("[name=again]", "correct horse 8");
    await page.click("[type=submit]");
    await expect.poll(() => text(page, ".field-trouble")).toBe("The two passwords differ.");
    expect(await text(page, ".standing")).toBe("Not a registered medical device / 非注册医疗器械");
    await page.fill("[name=again]", "correct horse 9");
    await page.click("[type=submit]");
    await page.click("[data-testid=play]");
    await expect.poll(() => tones(page)).toBe(14);
    await page.click("[data-testid=unheard]");
    await page.keyboard.press("Escape");
    expect(await text(page, "[data-testid=sound-off]")).toContain("SOUND UNCONFIRMED");
    expect(await text(page, "[data-bed=bed-1] .tile__patient")).toBe("W. L.");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForSelector("[name=password]");
    expect(await page.locator("[data-bed]").count()).toBe(0);
  });

  test("a tile shows its numbers with their age, and nothing is marked that was measured", async ({ expect, onTestFinished }) => {
    const { ward, open } = await openStage(onTestFinished);
    const page = await open("/");
    const bed = "[data-bed=bed-1]";
    expect(await text(page, `${bed} [data-quantity=heartRate] .number__value`)).toBe("83");
    expect(await text(page, `${bed} [data-quantity=systolicPressure] .number__value`)).toBe("121/75 (92)");
    expect(await text(page, `${bed} [data-quantity=systolicPressure] .number__age`)).toBe("4 min");
    expect(await page.locator(`${bed} .tag--unreal, ${bed} [data-testid=unreal]`).count()).toBe(0);
    const [heartRate] = ward.bed("bed-1").numbers;
    if (heartRate === undefined) throw new Error("no number");
    ward.setBed({
      ...ward.bed("bed-1"),
      numbers: [{ ...heartRate, content: { state: "present", value: 141 }, measuredAtMs: Date.now() }],
    });
    await expect.poll(() => text(page, `${bed} [data-quantity=heartRate] .number__value`)).toBe("141");
  });

  test("an absence says why, an old number is grey and says how old, a number never seen is not blank", async ({
    expect,
    onTestFinished,
  }) => {
    const { ward, open } = await openStage(onTestFinished);
    const nowMs = Date.now();
    const spo2 = numberView("oxygenSaturation", 97, { measuredAtMs: nowMs });
    ward.setBed({
      ...ward.bed("bed-1"),
      numbers: [
        { ...spo2, content: { state: "absent", why: "sensor-off" } },
        numberView("heartRate", 71, { measuredAtMs: nowMs - 95_000 }),
      ],
    });
    const page = await open("/");
    const bed = "[data-bed=bed-1]";
    expect(await text(page, `${bed} [data-quantity=oxygenSaturation] .number__value`)).toBe("sensor off");
    expect(await text(page, `${bed} [data-quantity=bodyTemperature] .number__value`)).toBe("not measured yet");
    expect(await page.getAttribute(`${bed} [data-quantity=heartRate]`, "class")).toContain("number--old");
    expect(await text(page, `${bed} [data-quantity=heartRate] .number__age`)).toMatch(/^(9\d|1\d\d) s old$/);
  });

  test("a partial score says how many of how many, and names what is missing and why", async ({ expect, onTestFinished }) => {
    const { open } = await openStage(onTestFinished);
    const page = await open("/");
    const score = await text(page, "[data-bed=bed-1] .score");
    expect(score).toContain("≥6");
    expect(score).toContain("partial, 5 of 7");
    expect(score).toContain("Consciousness (not entered), Oxygen (entry expired)");
  });

  test("a bed that is not a live patient is marked on the band, at each number and on its alerts", async ({
    expect,
    onTestFinished,
  }) => {
    const { ward, open } = await openStage(onTestFinished);
    const bed = ward.bed("bed-1");
    const numbers = bed.numbers.map((number) => ({ ...number, quality: { ...number.quality, origin: "simulated" as const } }));
    ward.setBed({ ...bed, numbers });
    ward.setAlert({ ...limitAlert("a-1", Date.now()), origin: "simulated" });
    const page = await open("/");
    expect(await text(page, "[data-bed=bed-1] [data-testid=unreal]")).toBe("SIMULATED not a live patient");
    expect(await page.locator("[data-bed=bed-1] .number .tag--unreal").count()).toBe(4);
    expect(await text(page, "[data-alert=a-1] .tag--unreal")).toBe("SIM");
  });

  test("Chinese comes first in a Chinese browser, the switch is remembered", async ({ expect, onTestFinished }) => {
    const { open } = await openStage(onTestFinished);
    const page = await open("/", { locale: "zh-CN" });
    expect(await text(page, "[data-bed=bed-1] [data-quantity=oxygenSaturation] .number__label")).toContain("血氧");
    expect(await text(page, "[data-bed=bed-1] .score__partial")).toBe("部分，5/7");
    await page.click("[data-testid=language]");
    await expect.poll(() => text(page, "[data-bed=bed-1] .score__partial")).toBe("partial, 5 of 7");
    await page.reload();
    expect(await text(page, "[data-bed=bed-1] .score__partial")).toBe("partial, 5 of 7");
  });

  test("the keyboard alone finds and acknowledges an alert", async ({ expect, onTestFinished }) => {
    const { ward, open } = await openStage(onTestFinished);
    ward.setAlert(limitAlert("a-1", Date.now()));
    ward.setAlert(limitAlert("a-2", Date.now(), { priority: "medium", bed: "bed-2" }));
    const page = await open("/");
    await page.waitForSelector("[data-alert=a-2]");
    await page.keyboard.press("a");
    await page.waitForSelector(".alerts--wide");
    await page.keyboard.press("j");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await expect.poll(() => ward.acts.map((act) => act.deed)).toEqual([{ kind: "acknowledge", alertId: "a-2" }]);
    await page.keyboard.press("?");
    expect(await text(page, ".dialog")).toContain("acknowledge the marked alert");
    await page.keyboard.press("Escape");
    await page.waitForSelector(".dialog", { state: "detached" });
    await page.keyboard.press("2");
    await page.waitForSelector("main[data-bed=bed-2]");
  });

  test("one bed: live waves with their unit, trends, the score's parts; what a person enters is an act", async ({
    expect,
    onTestFinished,
  }) => {
    const { ward, open } = await openStage(onTestFinished);
    const page = await open("/#/bed/bed-1");
    await page.waitForSelector("main[data-bed=bed-1]");
    await expect.poll(() => ward.bedsWatchedForWaves()).toEqual(["bed-1"]);
    const samples = Array.from({ length: 250 }, (_, index) => Math.sin(index / 7));
    const wave = {
      deviceId: deviceId("monitor-1"),
      sampleRateHz: 125,
      firstSampleIndex: 0,
      samples,
      origin: "measured",
    } as const;
    ward.sendWaves("bed-1", [
      { ...wave, waveform: "ecgLeadII", unit: "mV" },
      { ...wave, waveform: "plethysmogram", unit: "1" },
    ]);
    await expect.poll(() => text(page, "[data-wave=ecgLeadII] .wave__unit")).toBe("mV");
    expect(await text(page, "[data-wave=plethysmogram] .wave__unit")).toBe("uncalibrated");
    const drawn = `(() => { const c = document.querySelector("[data-wave=ecgLeadII] canvas");
      return c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((byte) => byte > 0); })()`;
    await expect.poll(() => page.evaluate<boolean>(drawn)).toBe(true);
    await page.waitForSelector("[data-testid=trends] .uplot canvas");
    expect(await text(page, "[data-input=onOxygen]")).toContain("entry expired");
    expect(await text(page, "[data-input=respiratoryRate]")).toMatch(/23 \/min\s+2\s+\d+ s/);
    await page.getByRole("button", { name: "V To voice" }).click();
    ward.answerNext("not-durable");
    await expect.poll(() => ward.acts.length).toBe(1);
    await page.getByRole("button", { name: "Air" }).click();
    await expect.poll(() => ward.acts.length).toBe(2);
    const patient = { patientId: "patient-of-bed-1" };
    expect(ward.acts.map((act) => act.deed)).toEqual([
      { kind: "enter-consciousness", ...patient, consciousness: "V" },
      { kind: "enter-oxygen", ...patient, onOxygen: false },
    ]);
    await page.getByRole("button", { name: "24 h" }).click();
    const asked = () => {
      const rates = ward.trendQueries.filter(({ quantity }) => quantity === "heartRate");
      return Math.max(...rates.map(({ toMs }) => toMs)) - Math.min(...rates.map(({ fromMs }) => fromMs));
    };
    await expect.poll(asked, { timeout: 10_000 }).toBeGreaterThanOrEqual(86_400_000);
  });

  for (const [locale, note, title] of [
    ["en-GB", "They follow it by half a minute", "ECG II"],
    ["zh-CN", "约在报警半分钟后保存", "心电 II"],
  ] as const) {
    test(`${locale}: the waves around an alert come half a minute after it, are drawn with a hole where one was, and begin at the alert`, async ({
      expect,
      onTestFinished,
    }) => {
      const { ward, open } = await openStage(onTestFinished);
      const raisedAtMs = wallMs(Date.now() - 60_000);
      ward.setAlert({ ...limitAlert("a-1", Date.now()), raisedAtMs });
      ward.setAlert({ ...limitAlert("a-2", Date.now(), { priority: "medium" }), key: "other", nature: "technical" });
      const page = await open("/#/bed/bed-1", { locale, width: locale === "zh-CN" ? 360 : 1100 });
      await page.waitForSelector("[data-alert=a-2]");
      expect(await page.locator("[data-testid=strip]").count()).toBe(1);
      await page.click("[data-alert=a-1] [data-testid=strip] summary");
      await expect.poll(() => text(page, ".alert-waves__note")).toContain(note);
      const second = (fromMs: number) => ({
        fromMs,
        sampleRateHz: 250,
        samples: Array.from({ length: 7000 }, (_, index) => Math.sin(index / 20) ** 15 + 0.1 * Math.sin(index / 55)),
      });
      const stretches = [second(raisedAtMs - 30_000), second(raisedAtMs + 1000)];
      const wave = { deviceId: deviceId("monitor-1"), origin: "measured" } as const;
      ward.setStrip("a-1", [
        { ...wave, waveform: "ecgLeadII", unit: "mV", stretches },
        { ...wave, waveform: "plethysmogram", unit: "1", stretches },
      ]);
      await expect.poll(() => text(page, ".alert-waves__wave[data-wave=ecgLeadII] b"), { timeout: 8000 }).toBe(title);
      // Ink in a column: second 10 of 59 is drawn, second 29 lies in the hole, second 30 is the white line of the alert.
      const inkAt = (atSecond: number) =>
        page.evaluate<number[]>(`(() => { const c = document.querySelector(".alert-waves__wave canvas");
          const x = Math.round(${atSecond} / 59 * c.width); const pixels = c.getContext("2d").getImageData(x - 2, 0, 4, c.height).data;
          let [all, white] = [0, 0]; for (let at = 3; at < pixels.length; at += 4) if (pixels[at] > 0) { all++; if (pixels[at - 3] > 250) white++; }
          return [all, white]; })()`);
      expect((await inkAt(10))[0]).toBeGreaterThan(0);
      expect(await inkAt(29)).toEqual([0, 0]);
      expect((await inkAt(30))[1]).toBeGreaterThan(100);
      const shown = await page.evaluate<number>(`(() => { const paper = document.querySelector(".alert-waves__paper");
        return (paper.scrollLeft + paper.clientWidth / 2) / paper.scrollWidth; })()`);
      expect(Math.abs(shown - 30 / 59)).toBeLessThan(0.03);
      const widths = await page.evaluate<number[]>("[document.documentElement.scrollWidth, innerWidth]");
      expect(widths[0]).toBe(widths[1]);
      const nameIsInSight = `(() => { const name = document.querySelector(".alert-waves__wave b").getBoundingClientRect();
        return name.left >= 0 && name.right <= innerWidth; })()`;
      expect(await page.evaluate<boolean>(nameIsInSight)).toBe(true);
      if (pictures !== undefined) await page.screenshot({ path: `${pictures}/strip-${locale}.png` });
    });
  }

  test("an act that was refused or is not on disk is told", async ({ expect, onTestFinished }) => {
    const { ward, open } = await openStage(onTestFinished);
    ward.setAlert(limitAlert("a-1", Date.now()));
    ward.answerNext("refused");
    const page = await open("/");
    await page.click("[data-alert=a-1] .button--acknowledge");
    await expect
      .poll(() => text(page, ".notice"))
      .toBe("Not done: The act does not fit the present state. Look at the bed again: it may have changed.");
    ward.answerNext("not-durable");
    await page.click("[data-alert=a-1] .button--acknowledge");
    await expect.poll(() => text(page, ".notice")).toBe("Done, but not yet on disk.");
  });

  test("trouble of the gateway itself and devices without a patient stay in sight, and a device can be given a patient", async ({
    expect,
    onTestFinished,
  }) => {
    const { ward, open } = await openStage(onTestFinished);
    ward.setGateway({
      ...gatewayView(Date.now()),
      journal: { state: "failing", waitingRecords: 217 },
      upstreams: [{ name: "hospital", state: "connecting", backlogRecords: 5120, lastConfirmedAtMs: null }],
    });
    ward.setBed({
      ...ward.bed("bed-2"),
      devices: [deviceView("monitor-2", { link: "down", lastHeardAtMs: wallMs(Date.now() - 130_000) })],
    });
    const page = await open("/");
    expect(await text(page, "[data-part=Records]")).toContain("NOT BEING WRITTEN, 217 waiting");
    expect(await text(page, "[data-part=hospital]")).toContain("NOT CONNECTED · 5120 waiting");
    expect(await text(page, "[data-device=monitor-2]")).toMatch(/DISCONNECTED\s+heard 2 min ago/);
    expect(await text(page, ".unassigned")).toContain("Devices without a patient");
    await page.click(".unassigned button");
    await page.selectOption("dialog [name=patientId]", "patient-of-bed-2");
    await page.click("dialog [type=submit]");
    await expect
      .poll(() => ward.acts.map((act) => act.deed))
      .toEqual([{ kind: "assign", deviceId: "monitor-9", patientId: "patient-of-bed-2" }]);
  });

  // These wait more than they work, so they wait side by side.

  test.concurrent("a high alert flashes and sounds ten tones, again after five seconds, and is silent once acknowledged", async ({
    expect,
    onTestFinished,
  }) => {
    const { ward, open } = await openStage(onTestFinished);
    const page = await open("/");
    await turnSoundOn(page);
    const before = await tones(page);
    ward.setAlert(limitAlert("a-1", Date.now()));
    await page.waitForSelector("[data-alert=a-1]");
    expect(await motion(page, "[data-alert=a-1]")).toBe("flash-high");
    expect(await text(page, "[data-alert=a-1] .alert__stars")).toBe("***");
    expect(await page.getAttribute("[data-bed=bed-1]", "class")).toContain("tile--high");
    await expect.poll(async () => (await tones(page)) - before).toBe(10);
    await expect.poll(async () => (await tones(page)) - before, { timeout: 8000 }).toBe(20);
    await page.click("[data-alert=a-1] .button--acknowledge");
    await expect.poll(() => ward.acts.map((act) => act.deed)).toEqual([{ kind: "acknowledge", alertId: "a-1" }]);
    await expect.poll(() => text(page, "[data-alert=a-1]")).toContain("acknowledged by page");
    await page.waitForTimeout(5500);
    expect((await tones(page)) - before).toBe(20);
    expect(await motion(page, "[data-alert=a-1]")).toBe("none");
  }, 60_000);

  test.concurrent("medium flashes with three tones, low stands still with one, technical says so; reduced motion does not flash", async ({
    expect,
    onTestFinished,
  }) => {
    const { ward, open } = await openStage(onTestFinished);
    const page = await open("/");
    await turnSoundOn(page);
    const before = await tones(page);
    ward.setAlert({ ...limitAlert("low", Date.now(), { priority: "low" }), nature: "technical" });
    await expect.poll(async () => (await tones(page)) - before).toBe(1);
    expect(await motion(page, "[data-alert=low]")).toBe("none");
    expect(await text(page, "[data-alert=low] .tag--technical")).toBe("TECHNICAL");
    ward.setAlert(limitAlert("medium", Date.now(), { priority: "medium", bed: "bed-2" }));
    await expect.poll(async () => (await tones(page)) - before).toBe(4);
    expect(await motion(page, "[data-alert=medium]")).toBe("flash-medium");
    const calm = await open("/", { reduced: true });
    await calm.waitForSelector("[data-alert=medium]");
    expect(await motion(calm, "[data-alert=medium]")).toBe("none");
  }, 60_000);

  test.concurrent("sound that the browser blocks or a person paused cannot be overlooked, and a pause ends by hand", async ({
    expect,
    onTestFinished,
  }) => {
    const { ward, open } = await openStage(onTestFinished);
    const page = await open("/");
    expect(await text(page, "[data-testid=sound-off]")).toContain("SOUND IS OFF: the browser blocks it");
    expect(await text(page, "[data-part=Sound]")).toContain("SOUND OFF");
    await turnSoundOn(page);
    const before = await tones(page);
    await page.keyboard.press("m");
    await expect.poll(() => text(page, "[data-testid=sound-off]")).toMatch(/SOUND IS OFF for 1[12]\d s more/);
    ward.setAlert(limitAlert("a-1", Date.now()));
    await page.waitForSelector("[data-alert=a-1]");
    await page.waitForTimeout(600);
    expect(await tones(page)).toBe(before);
    await page.keyboard.press("m");
    await expect.poll(async () => (await tones(page)) - before).toBe(10);
  }, 60_000);

  test.concurrent("when the stream stops, a banner says since when within five seconds; it goes when data come again", async ({
    expect,
    onTestFinished,
  }) => {
    const { url, open } = await openStage(onTestFinished);
    const wire = await openFreezableWire(Number(new URL(url()).port));
    try {
      const page = await open(`http://127.0.0.1:${wire.port}/`);
      await page.waitForSelector("[data-bed=bed-1]");
      await page.waitForTimeout(1500);
      expect(await page.locator("[data-testid=stale]").count()).toBe(0);
      wire.freeze();
      const frozenAtMs = Date.now();
      await page.waitForSelector("[data-testid=stale]", { timeout: 7000 });
      expect(Date.now() - frozenAtMs).toBeLessThan(5000);
      expect(await text(page, "[data-testid=stale]")).toMatch(
        /No data from the gateway since \d\d:\d\d:\d\d\. Look at the bedside\./,
      );
      expect(await page.getAttribute(".page", "class")).toContain("page--stale");
      wire.thaw();
      await page.waitForSelector("[data-testid=stale]", { state: "detached", timeout: 12_000 });
    } finally {
      await wire.close();
    }
  }, 60_000);

  test.concurrent("a gateway that restarts is found again by itself", async ({ expect, onTestFinished }) => {
    const { ward, url, serve, stop, open } = await openStage(onTestFinished);
    const page = await open("/");
    await page.waitForSelector("[data-bed=bed-1]");
    const port = Number(new URL(url()).port);
    await stop();
    await page.waitForSelector("[data-testid=stale]", { timeout: 6000 });
    ward.setBed({ ...ward.bed("bed-1"), title: "Bed one" });
    await serve({ port });
    await page.waitForSelector("[data-testid=stale]", { state: "detached", timeout: 15_000 });
    expect(await text(page, "[data-bed=bed-1] .tile__bed")).toContain("Bed one");
  }, 60_000);

  test.concurrent("a signed-in screen goes on by itself after a restart; one whose session is over says that it watches nobody", async ({
    expect,
    onTestFinished,
  }) => {
    const { ward, folder, open, oneTimeLink, url, serve, stop } = await openStage(onTestFinished, { signIn: true });
    const port = Number(new URL(url()).port);
    const page = await open(oneTimeLink());
    for (const field of ["name", "password", "again"])
      await page.fill(`[name=${field}]`, field === "name" ? "li" : "correct horse 9");
    await page.click("[type=submit]");
    await page.click("[data-testid=heard]");
    await page.waitForSelector("[data-bed=bed-1]");
    await stop();
    ward.setBed({ ...ward.bed("bed-1"), title: "Bed one" });
    await serve({ signIn: true, port });
    await expect.poll(() => text(page, "[data-bed=bed-1] .tile__bed"), { timeout: 15_000 }).toContain("Bed one");
    await page.waitForSelector("[data-testid=stale]", { state: "detached" });
    expect(await page.locator("[data-testid=session-lost], [name=password]").count()).toBe(0);
    await stop();
    await rm(join(folder, "sessions.json"));
    await serve({ signIn: true, port });
    await page.waitForSelector("[data-testid=session-lost]", { timeout: 15_000 });
    expect(await page.locator("[data-bed]").count()).toBe(0);
  }, 60_000);

  for (const locale of ["en-GB", "zh-CN"]) {
    test(`${locale}: no screen is wider than a phone of 360 pixels, and each says that this is no registered medical device`, async ({
      expect,
      onTestFinished,
    }) => {
      const { ward, url, open } = await openStage(onTestFinished);
      ward.setAlert(limitAlert("a-1", Date.now()));
      ward.setAlert({ ...limitAlert("a-2", Date.now(), { priority: "medium", bed: "bed-2" }), nature: "technical" });
      const page = await open("/", { locale, width: 360 });
      for (const place of ["#/", "#/bed/bed-1", "#/alerts"]) {
        await page.goto(`${url()}${place}`);
        await page.waitForSelector(place === "#/" ? ".tile" : place === "#/alerts" ? ".alerts--wide" : ".trend");
        const widths = await page.evaluate<number[]>("[document.documentElement.scrollWidth, innerWidth]");
        expect(widths, place).toEqual([360, 360]);
        expect(await page.locator(".standing").isVisible()).toBe(true);
      }
    });
  }
});

/** A network that can be cut without anybody being told, as a pulled cable does. */
async function openFreezableWire(targetPort: number): Promise<{
  readonly port: number;
  readonly freeze: () => void;
  readonly thaw: () => void;
  readonly close: () => Promise<void>;
}> {
  const sockets = new Set<Socket>();
  let frozen = false;
  const server: Server = createServer((near) => {
    const far = connect(targetPort, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (bytes: Buffer) => {
        if (!frozen) to.write(bytes);
      });
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on("error", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    freeze: () => {
      frozen = true;
    },
    thaw: () => {
      frozen = false;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
