import { describe, expect, onTestFinished, test } from "vitest";
import { fault } from "../../src/core/errors.ts";
import { violationsOf } from "../support/axe.ts";
import { chromiumIsThere, expectNoSidewaysScroll, stageInChromium, text } from "../support/page-stage.ts";
import { ANNA, createPeopleWard, deedsOf, PHONE, takePicture, troubleOf } from "../support/people-ward.ts";
import { deviceView, limitAlert } from "../support/scripted-ward.ts";
import { startSmallWard } from "../support/small-ward.ts";

describe.skipIf(!chromiumIsThere)("patients on the pages", () => {
  const openStage = stageInChromium();

  for (const locale of ["en-GB", "zh-CN"] as const) {
    const [needed, taken] =
      locale === "en-GB"
        ? ["Please fill this in.", "Somebody lies in this bed. Choose a free one."]
        : ["请填写此项。", "该床位已有患者，请选择空床。"];
    test(`${locale}: a patient is admitted on a phone; what is missing or refused is said beside its field, and nothing typed is lost`, async () => {
      const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
      const page = await stage.open("/#/bed/bed-2", { locale, ...PHONE });
      await page.click("[data-testid=admit]");
      await page.waitForSelector("dialog[open]");
      expect(await violationsOf(page)).toEqual([]);
      await page.click("dialog [type=submit]");
      expect(await troubleOf(page, "patientId")).toBe(needed);
      await expect.poll(() => page.evaluate("document.activeElement.name")).toBe("patientId");
      await page.fill("[name=patientId]", " P-17 ");
      await page.waitForSelector("#trouble-patientId", { state: "detached" });
      await page.click("dialog [type=submit]");
      expect(await troubleOf(page, "label")).toBe(needed);
      await page.fill("[name=label]", "Z.W.");
      await page.selectOption("[name=profile]", "2");
      expect(await page.locator("[name=demonstration]").count()).toBe(0);
      await takePicture(page, `admit-${locale}`);
      await expectNoSidewaysScroll(page);
      stage.ward.answerNext(fault("act-refused", { why: "bed-occupied", bed: "bed-2" }));
      await page.click("dialog [type=submit]");
      await expect.poll(() => text(page, "dialog .field-trouble")).toBe(taken);
      expect(await page.inputValue("[name=label]")).toBe("Z.W.");
      await page.click("dialog [type=submit]");
      await page.waitForSelector("dialog", { state: "detached" });
      const admission = {
        kind: "admit",
        patientId: "P-17",
        bedId: "bed-2",
        label: "Z.W.",
        profile: { kind: "adult", spo2Scale: 2 },
        demonstration: false,
      };
      expect(deedsOf(stage)).toEqual([admission, admission]);
    });
  }

  test("an act that the gateway never answered is not said to be undone, and the form keeps what was typed", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const page = await stage.open("/#/bed/bed-2");
    await page.click("[data-testid=admit]");
    await page.fill("[name=patientId]", "P-17");
    await page.fill("[name=label]", "Z.W.");
    await page.route("**/api/acts", (route) => route.abort());
    await page.click("dialog [type=submit]");
    await expect.poll(() => text(page, "dialog .field-trouble")).toContain("nobody knows whether this was done");
    expect(await page.inputValue("[name=patientId]")).toBe("P-17");
    await page.unroute("**/api/acts");
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog", { state: "detached" });
    await expect
      .poll(() => page.evaluate("document.activeElement.dataset.testid"), { message: "the focus is back" })
      .toBe("admit");
  });

  test("only where something is not measured can a patient be a demonstration", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const bed = stage.ward.bed("bed-2");
    stage.ward.setBed({ ...bed, devices: bed.devices.map((device) => ({ ...device, origin: "simulated" })) });
    const page = await stage.open("/#/bed/bed-2");
    await page.click("[data-testid=admit]");
    await page.fill("[name=patientId]", "D-1");
    await page.fill("[name=label]", "Drill");
    await page.check("[name=demonstration]");
    await page.click("dialog [type=submit]");
    await expect.poll(() => deedsOf(stage)).toMatchObject([{ kind: "admit", demonstration: true }]);
  });

  test("a patient moves to a free bed; a device that stays behind is taken off, but only when they have moved", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const page = await stage.open("/#/bed/bed-1");
    await page.getByRole("button", { name: "Move to another bed" }).click();
    expect(await page.locator("dialog [name=bedId] option").allInnerTexts()).toEqual(["Choose …", "Bed 2"]);
    await page.click("dialog [type=submit]");
    expect(await troubleOf(page, "bedId")).toBe("Please choose.");
    await page.selectOption("[name=bedId]", "bed-2");
    await page.uncheck("[name=goes-monitor-1]");
    await takePicture(page, "transfer");
    stage.ward.answerNext(fault("act-refused", { why: "bed-occupied", bed: "bed-2" }));
    await page.click("dialog [type=submit]");
    await expect.poll(() => troubleOf(page, "bedId")).toBe("Somebody lies in this bed. Choose a free one.");
    const moved = { kind: "transfer", patientId: ANNA, bedId: "bed-2" };
    expect(deedsOf(stage), "whose move is refused keeps the monitor").toEqual([moved]);
    await page.click("dialog [type=submit]");
    await page.waitForSelector("main[data-bed=bed-2]");
    expect(deedsOf(stage)).toEqual([moved, moved, { kind: "release", deviceId: "monitor-1" }]);
  });

  test("a discharge asks once more and says which devices it takes off; Enter at the question does nothing by itself", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const page = await stage.open("/#/bed/bed-1");
    await page.getByRole("button", { name: "Discharge" }).click();
    expect(await text(page, "[data-testid=discharge-devices]")).toContain("Ivy 450C bedside monitor");
    await takePicture(page, "discharge");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    expect(deedsOf(stage)).toEqual([]);
    await page.getByRole("button", { name: "Discharge" }).click();
    await page.getByRole("button", { name: "Yes, discharge" }).click();
    await expect.poll(() => deedsOf(stage)).toEqual([{ kind: "discharge", patientId: ANNA }]);
  });

  test("the name on the wall is corrected, the scale changed, and two numbers become one person", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const page = await stage.open("/#/bed/bed-1");
    await page.getByRole("button", { name: "Correct the name" }).click();
    expect(await page.inputValue("[name=label]")).toBe("W. L.");
    await page.fill("[name=label]", "W. Lin");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.getByRole("button", { name: "SpO₂ scale" }).click();
    await page.selectOption("[name=profile]", "2");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.getByRole("button", { name: "Two numbers, one person" }).click();
    await page.fill("[name=otherPatientId]", "patient-of-bed-3");
    expect(await text(page, "[data-testid=merge-note]")).toBe(
      "patient-of-bed-1 is used no more. Everything goes on under patient-of-bed-3. This cannot be undone.",
    );
    await page.selectOption("[name=right]", "this");
    stage.ward.answerNext(fault("act-refused", { why: "demonstration-differs" }));
    await page.click("dialog [type=submit]");
    await expect.poll(() => troubleOf(page, "otherPatientId")).toContain("cannot be one person");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    const merged = { kind: "merge", patientId: ANNA, formerPatientId: "patient-of-bed-3" };
    expect(deedsOf(stage)).toEqual([
      { kind: "correct-patient", patientId: ANNA, label: "W. Lin" },
      { kind: "set-profile", patientId: ANNA, profile: { kind: "adult", spo2Scale: 2 } },
      merged,
      merged,
    ]);
  });

  test("a device is put on the patient of its bed, taken off, and a free one added", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const bed = stage.ward.bed("bed-1");
    stage.ward.setBed({ ...bed, devices: [...bed.devices, deviceView("pump-4", { patientId: null })] });
    const page = await stage.open("/#/bed/bed-1");
    await page.getByRole("button", { name: "Put on W. L." }).click();
    expect(await text(page, "dialog h2")).toBe("Assign Ivy 450C bedside monitor to W. L.?");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.getByRole("button", { name: "Take off" }).click();
    await page.getByRole("button", { name: "Yes, take off" }).click();
    await page.waitForSelector("dialog", { state: "detached" });
    await page.getByRole("button", { name: "Add a device" }).click();
    await page.selectOption("[name=deviceId]", "monitor-9");
    stage.ward.answerNext(fault("act-refused", { why: "device-in-use", device: "monitor-9" }));
    await page.click("dialog [type=submit]");
    await expect.poll(() => troubleOf(page, "deviceId")).toBe("This device is on another patient. Release it there first.");
    expect(deedsOf(stage)).toEqual([
      { kind: "assign", deviceId: "pump-4", patientId: ANNA },
      { kind: "release", deviceId: "monitor-1" },
      { kind: "assign", deviceId: "monitor-9", patientId: ANNA },
    ]);
  });

  test("a stay through the real gateway: admitted, refused a second bed, given a monitor, moved and discharged", async () => {
    const gateway = await startSmallWard();
    // Its clock is a simulated one; it goes as fast as the wall's.
    const going = setInterval(() => void gateway.clock.advance(50), 50);
    onTestFinished(async () => {
      clearInterval(going);
      await gateway.gateway.stop();
    });
    const { source, perform } = gateway.gateway;
    const stage = await openStage(onTestFinished, { ward: { ...createPeopleWard(), source, perform } });
    const page = await stage.open("/#/bed/bed-1");
    const admit = async () => {
      await page.click("[data-testid=admit]");
      await page.fill("[name=patientId]", "P-17");
      await page.fill("[name=label]", "Z.W.");
      await page.click("dialog [type=submit]");
    };
    await admit();
    await expect.poll(() => text(page, "[data-testid=patient-number]")).toBe("P-17");
    await page.getByRole("button", { name: "Put on Z.W." }).first().click();
    await page.click("dialog [type=submit]");
    await page.getByRole("button", { name: "Take off" }).waitFor();
    await page.goto(`${stage.url()}#/bed/bed-2`);
    await admit();
    await expect.poll(() => troubleOf(page, "patientId")).toContain("already in a bed here");
    await page.keyboard.press("Escape");
    await page.goto(`${stage.url()}#/bed/bed-1`);
    await page.getByRole("button", { name: "Move to another bed" }).click();
    await page.selectOption("[name=bedId]", "bed-2");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("main[data-bed=bed-2] [data-testid=patient-number]");
    await page.getByRole("button", { name: "Discharge" }).click();
    expect(await text(page, "[data-testid=discharge-devices]")).toContain("Ivy 450C");
    await page.getByRole("button", { name: "Yes, discharge" }).click();
    await page.waitForSelector("dialog", { state: "detached" });
    await page.waitForSelector("main[data-bed=bed-2] [data-testid=admit]");
    const picture = source.picture();
    expect(picture.beds.map(({ patient }) => patient)).toEqual([null, null]);
    expect(picture.unassigned.map((device) => device.deviceId)).toEqual(["monitor-1", "monitor-2"]);
  });

  test("an alert that comes while a form is open is seen and acknowledged above it", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const page = await stage.open("/#/bed/bed-2");
    await page.click("[data-testid=admit]");
    stage.ward.setAlert(limitAlert("a-1", Date.now()));
    await expect.poll(() => text(page, "dialog .alert-standing")).toContain("Bed 1");
    await takePicture(page, "alert-standing");
    await page.click("dialog .alert-standing .button--acknowledge");
    await expect.poll(() => deedsOf(stage)).toEqual([{ kind: "acknowledge", alertId: "a-1" }]);
    await page.waitForSelector("dialog .alert-standing", { state: "detached" });
    expect(await page.locator("dialog[open]").count()).toBe(1);
  });
});
