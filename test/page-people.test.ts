import type { Page } from "playwright-core";
import { describe, expect, onTestFinished, test } from "vitest";
import { fault } from "../src/core/errors.ts";
import { bedId, deviceId, patientId } from "../src/core/ids.ts";
import type { BedView } from "../src/core/stream.ts";
import { violationsOf } from "./support/axe.ts";
import {
  chromiumIsThere,
  expectNoSidewaysScroll,
  PAGE_PASSWORD,
  pictures,
  type Stage,
  stageInChromium,
  text,
} from "./support/page-stage.ts";
import { bedView, createScriptedWard, deviceView, limitAlert, type ScriptedWard } from "./support/scripted-ward.ts";

const ANNA = patientId("patient-of-bed-1");
const PHONE = { width: 390, height: 844 };
const HOUR_MS = 3_600_000;

/** Anna in bed 1 with a monitor on her, nobody in bed 2 with a pump beside it, Berta in bed 3. */
function smallWard(): ScriptedWard {
  const nowMs = Date.now();
  const at = (bed: string, id: string, on: string | null) =>
    deviceView(id, { bedId: bedId(bed), patientId: on === null ? null : patientId(on), lastHeardAtMs: nowMs });
  return createScriptedWard({
    nowMs: Date.now,
    beds: [
      bedView("bed-1", nowMs, { devices: [at("bed-1", "monitor-1", ANNA)] }),
      bedView("bed-2", nowMs, { patient: null, numbers: [], answers: [], devices: [at("bed-2", "monitor-2", null)] }),
      bedView("bed-3", nowMs, { devices: [] }),
    ],
  });
}

const deeds = (stage: Stage) => stage.ward.acts.map(({ deed }) => deed);

/** What is wrong with a field, as it stands beside it. */
const trouble = (page: Page, field: string) => text(page, `#trouble-${field}`);

/** Types as a scanner does: all at once and ending with Enter, by the browser's own keys. */
async function scan(page: Page, code: string): Promise<void> {
  const wire = await page.context().newCDPSession(page);
  const key = (character: string) =>
    character === "\r"
      ? { key: "Enter", code: "Enter", windowsVirtualKeyCode: 13, text: "\r" }
      : { key: character, text: character };
  const atSeconds = Date.now() / 1000;
  await Promise.all(
    [...code, "\r"].flatMap((character, index) =>
      (["keyDown", "keyUp"] as const).map((type) =>
        wire.send("Input.dispatchKeyEvent", { type, ...key(character), timestamp: atSeconds + index / 100 }),
      ),
    ),
  );
  await wire.detach();
}

async function picture(page: Page, name: string): Promise<void> {
  if (pictures !== undefined) await page.screenshot({ path: `${pictures}/people-${name}.png` });
}

const setPatient = (stage: Stage, bed: string, more: Partial<NonNullable<BedView["patient"]>>) => {
  const before = stage.ward.bed(bed);
  if (before.patient !== null) stage.ward.setBed({ ...before, patient: { ...before.patient, ...more } });
};

describe.skipIf(!chromiumIsThere)("patients on the pages", () => {
  const openStage = stageInChromium();

  for (const locale of ["en-GB", "zh-CN"] as const) {
    const [needed, taken] =
      locale === "en-GB"
        ? ["Please fill this in.", "Somebody lies in this bed. Choose a free one."]
        : ["请填写此项。", "该床位已有患者，请选择空床。"];
    test(`${locale}: a patient is admitted on a phone; what is missing or refused is said beside its field, and nothing typed is lost`, async () => {
      const stage = await openStage(onTestFinished, { ward: smallWard() });
      const page = await stage.open("/#/bed/bed-2", { locale, ...PHONE });
      await page.click("[data-testid=admit]");
      await page.waitForSelector("dialog[open]");
      expect(await violationsOf(page)).toEqual([]);
      await page.click("dialog [type=submit]");
      expect(await trouble(page, "patientId")).toBe(needed);
      expect(await page.evaluate("document.activeElement.name")).toBe("patientId");
      await page.fill("[name=patientId]", " P-17 ");
      await page.waitForSelector("#trouble-patientId", { state: "detached" });
      await page.click("dialog [type=submit]");
      expect(await trouble(page, "label")).toBe(needed);
      await page.fill("[name=label]", "Z.W.");
      await page.selectOption("[name=profile]", "2");
      expect(await page.locator("[name=demonstration]").count()).toBe(0);
      await picture(page, `admit-${locale}`);
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
      expect(deeds(stage)).toEqual([admission, admission]);
    });
  }

  test("an act that the gateway never answered is not said to be undone, and the form keeps what was typed", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
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
    expect(await page.evaluate("document.activeElement.dataset.testid"), "the focus is back").toBe("admit");
  });

  test("only where something is not measured can a patient be a demonstration", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const bed = stage.ward.bed("bed-2");
    stage.ward.setBed({ ...bed, devices: bed.devices.map((device) => ({ ...device, origin: "simulated" })) });
    const page = await stage.open("/#/bed/bed-2");
    await page.click("[data-testid=admit]");
    await page.fill("[name=patientId]", "D-1");
    await page.fill("[name=label]", "Drill");
    await page.check("[name=demonstration]");
    await page.click("dialog [type=submit]");
    await expect.poll(() => deeds(stage)).toMatchObject([{ kind: "admit", demonstration: true }]);
  });

  test("a patient moves to a free bed; a device that stays behind is taken off before", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const page = await stage.open("/#/bed/bed-1");
    await page.getByRole("button", { name: "Move to another bed" }).click();
    expect(await page.locator("dialog [name=bedId] option").allInnerTexts()).toEqual(["Choose …", "Bed 2"]);
    await page.click("dialog [type=submit]");
    expect(await trouble(page, "bedId")).toBe("Please choose.");
    await page.selectOption("[name=bedId]", "bed-2");
    await page.uncheck("[name=goes-monitor-1]");
    await picture(page, "transfer");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("main[data-bed=bed-2]");
    expect(deeds(stage)).toEqual([
      { kind: "release", deviceId: "monitor-1" },
      { kind: "transfer", patientId: ANNA, bedId: "bed-2" },
    ]);
  });

  test("a discharge asks once more and says which devices it takes off; Enter at the question does nothing by itself", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const page = await stage.open("/#/bed/bed-1");
    await page.getByRole("button", { name: "Discharge" }).click();
    expect(await text(page, "[data-testid=discharge-devices]")).toContain("Ivy 450C bedside monitor");
    await picture(page, "discharge");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    expect(deeds(stage)).toEqual([]);
    await page.getByRole("button", { name: "Discharge" }).click();
    await page.getByRole("button", { name: "Yes, discharge" }).click();
    await expect.poll(() => deeds(stage)).toEqual([{ kind: "discharge", patientId: ANNA }]);
  });

  test("the name on the wall is corrected, the scale changed, and two numbers become one person", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
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
    await expect.poll(() => trouble(page, "otherPatientId")).toContain("cannot be one person");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    const merged = { kind: "merge", patientId: ANNA, formerPatientId: "patient-of-bed-3" };
    expect(deeds(stage)).toEqual([
      { kind: "correct-patient", patientId: ANNA, label: "W. Lin" },
      { kind: "set-profile", patientId: ANNA, profile: { kind: "adult", spo2Scale: 2 } },
      merged,
      merged,
    ]);
  });

  test("a device is put on the patient of its bed, taken off, and a free one added", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
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
    await expect.poll(() => trouble(page, "deviceId")).toBe("This device is on another patient. Release it there first.");
    expect(deeds(stage)).toEqual([
      { kind: "assign", deviceId: "pump-4", patientId: ANNA },
      { kind: "release", deviceId: "monitor-1" },
      { kind: "assign", deviceId: "monitor-9", patientId: ANNA },
    ]);
  });

  test("an alert that comes while a form is open is seen and acknowledged above it", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const page = await stage.open("/#/bed/bed-2");
    await page.click("[data-testid=admit]");
    stage.ward.setAlert(limitAlert("a-1", Date.now()));
    await expect.poll(() => text(page, "dialog .alert-standing")).toContain("Bed 1");
    await picture(page, "alert-standing");
    await page.click("dialog .alert-standing .button--acknowledge");
    await expect.poll(() => deeds(stage)).toEqual([{ kind: "acknowledge", alertId: "a-1" }]);
    await page.waitForSelector("dialog .alert-standing", { state: "detached" });
    expect(await page.locator("dialog[open]").count()).toBe(1);
  });

  test("who may not change a patient sees no button for it; a family sees neither limits nor notes", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard(), signIn: true });
    const nurse = await stage.openAs("administrator", "/#/bed/bed-1");
    await nurse.waitForSelector("[data-testid=limits] table");
    expect(await nurse.locator("[data-testid=patient] button").count()).toBe(5);
    for (const [role, limits, notes] of [
      ["engineer", 1, 0],
      ["auditor", 1, 1],
      ["family", 0, 0],
    ] as const) {
      const page = await stage.openAs(role, "/#/bed/bed-1");
      await page.waitForSelector("[data-testid=patient-number]");
      const seen = await Promise.all(
        ["[data-testid=limits]", "[data-testid=notes]", "[data-testid=patient] button", ".bed-devices button", "form"].map(
          (selector) => page.locator(selector).count(),
        ),
      );
      expect(seen, role).toEqual([limits, notes, 0, 0, 0]);
    }
  });

  test("the table says the ward's own limits, and a patient's with why, by whom and until when", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const nowMs = Date.now();
    const limit = { setBy: "dr.wu", setAtMs: nowMs - HOUR_MS, expired: false, expiresAtMs: null } as const;
    setPatient(stage, "bed-1", {
      limits: [
        { ...limit, quantity: "oxygenSaturation", low: { value: 86, priority: "medium" }, high: null, reason: "COPD, target 88" },
        { ...limit, quantity: "heartRate", low: null, high: null, reason: null, expiresAtMs: nowMs - 60_000, expired: true },
      ],
    });
    const page = await stage.open("/#/bed/bed-1");
    const row = (quantity: string) => text(page, `[data-limit=${quantity}]`);
    expect(await row("oxygenSaturation")).toMatch(
      /90 medium, 85 high[\s\S]*86 medium, 85 high[\s\S]*COPD, target 88 · dr.wu[\s\S]*no end/,
    );
    expect(await row("heartRate")).toMatch(/45 medium, 35 high[\s\S]*ended .*: the ward's own holds/);
    expect(await row("respiratoryRate")).toContain("as the ward");
    await page.locator("[data-limit=meanPressure]").scrollIntoViewIfNeeded();
    await picture(page, "limits-en");
    const phone = await stage.open("/#/bed/bed-1", { locale: "zh-CN", ...PHONE });
    await phone.waitForSelector("[data-limit=oxygenSaturation]");
    await expectNoSidewaysScroll(phone);
    await phone.locator("[data-testid=limits]").scrollIntoViewIfNeeded();
    await picture(phone, "limits-zh-phone");
    expect(await violationsOf(phone)).toEqual([]);
  });

  test("a limit is set with reason and end; what cannot be is refused beside its side, on both sides of the bound", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const page = await stage.open("/#/bed/bed-1");
    await page.click("[data-limit=oxygenSaturation] button");
    await page.waitForSelector("[name=low]");
    expect(await page.inputValue("[name=low]")).toBe("90");
    expect(await page.locator("[name=high]").count()).toBe(0);
    await page.fill("[name=low]", "0.9");
    await page.click("dialog [type=submit]");
    expect(await trouble(page, "low")).toBe("Only 1 to 100 % can occur.");
    await page.fill("[name=low]", "101");
    await page.click("dialog [type=submit]");
    expect(await trouble(page, "low")).toBe("Only 1 to 100 % can occur.");
    await page.fill("[name=low]", "88");
    expect(await text(page, "dialog fieldset")).toContain("Stays besides: 85 high.");
    await page.click("dialog [type=submit]");
    expect(await trouble(page, "reason")).toBe("Please fill this in.");
    await page.fill("[name=reason]", "COPD");
    await page.selectOption("[name=low-priority]", "high");
    await page.selectOption("[name=expiresAtMs]", "1");
    await picture(page, "limit-dialog");
    const beforeMs = Date.now();
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    const [deed] = deeds(stage);
    expect(deed).toMatchObject({
      kind: "set-limit",
      patientId: ANNA,
      quantity: "oxygenSaturation",
      low: { value: 88, priority: "high" },
      high: null,
      reason: "COPD",
    });
    const endMs = deed?.kind === "set-limit" ? (deed.expiresAtMs ?? 0) : 0;
    expect(Math.abs(endMs - beforeMs - HOUR_MS)).toBeLessThan(10_000);
  });

  test("a limit without end is one, both sides may be off, and the ward's own comes back by one button", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const page = await stage.open("/#/bed/bed-1", { ...PHONE, locale: "zh-CN" });
    await page.click("[data-limit=heartRate] button");
    await page.uncheck("[name=low-on]");
    await page.uncheck("[name=high-on]");
    expect(await text(page, "dialog fieldset")).toContain("无论数值如何都不会报警");
    await page.fill("[name=reason]", "临终关怀");
    await page.selectOption("[name=expiresAtMs]", "never");
    await picture(page, "limit-dialog-zh-phone");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    const set = { quantity: "heartRate", low: null, high: null, reason: "临终关怀", expiresAtMs: null } as const;
    expect(deeds(stage)).toEqual([{ kind: "set-limit", patientId: ANNA, ...set }]);
    setPatient(stage, "bed-1", { limits: [{ ...set, setBy: "li", setAtMs: Date.now(), expired: false }] });
    await expect.poll(() => text(page, "[data-limit=heartRate]")).toContain("临终关怀");
    await page.click("[data-limit=heartRate] button");
    await page.click("[data-testid=reset-limit]");
    await expect.poll(() => deeds(stage).at(-1)).toEqual({ kind: "reset-limit", patientId: ANNA, quantity: "heartRate" });
  });

  test("notes stand newest first with who and when and all their lines; a refused one stays in its field", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const atMs = Date.now() - HOUR_MS;
    stage.ward.setNotes(ANNA, [
      { text: "slept badly", by: "li", atMs: atMs - 5000 },
      { text: "pain 4/10\nparacetamol given", by: "dr.wu", atMs },
    ]);
    const page = await stage.open("/#/bed/bed-1");
    await page.waitForSelector(".note");
    expect(await page.locator(".note__text").allInnerTexts()).toEqual(["pain 4/10\nparacetamol given", "slept badly"]);
    expect(await text(page, ".note__by")).toMatch(/^dr\.wu .*\d\d:\d\d$/);
    expect(await text(page, "#hint-note")).toBe("2000 characters left");
    await page.fill("[name=note]", "mobilised\nto the chair");
    expect(await text(page, "#hint-note")).toBe("1978 characters left");
    await page.route("**/api/acts", (route) => route.abort());
    await page.getByRole("button", { name: "Add the note" }).click();
    await expect.poll(() => trouble(page, "note")).toContain("did not answer");
    expect(await page.inputValue("[name=note]")).toBe("mobilised\nto the chair");
    await page.unroute("**/api/acts");
    await page.getByRole("button", { name: "Add the note" }).click();
    await expect.poll(() => deeds(stage)).toEqual([{ kind: "note", patientId: ANNA, text: "mobilised\nto the chair" }]);
    await expect.poll(() => page.inputValue("[name=note]")).toBe("");
    stage.ward.setNotes(ANNA, [{ text: "mobilised\nto the chair", by: "li", atMs: Date.now() }]);
    setPatient(stage, "bed-1", { noteCount: 3, lastNote: { text: "mobilised\nto the chair", by: "li", atMs: Date.now() } });
    await expect.poll(() => page.locator(".note__text").allInnerTexts()).toEqual(["mobilised\nto the chair"]);
    await page.locator("[data-testid=notes]").scrollIntoViewIfNeeded();
    await picture(page, "notes");
  });

  test("a wristband opens its bed from anywhere, and none of its characters is taken for a key of the page", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    setPatient(stage, "bed-3", { patientId: patientId("1wam2") });
    stage.ward.setAlert(limitAlert("a-1", Date.now()));
    const page = await stage.open("/");
    await page.waitForSelector("[data-bed=bed-3]");
    await page.focus(".button--acknowledge");
    await scan(page, "]C11wam2");
    await page.waitForSelector("main[data-bed=bed-3]");
    await page.waitForTimeout(300);
    expect(new URL(page.url()).hash).toBe("#/bed/bed-3");
    expect(deeds(stage), "Enter pressed no button").toEqual([]);
    expect(await page.locator("[data-testid=sound-off]").count()).toBe(1);
    await page.keyboard.press("w");
    await page.waitForSelector(".wall");
  });

  test("an unknown number is admitted to the free bed that is shown; in the form it goes into its field and on to the next", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const page = await stage.open("/#/bed/bed-2");
    await page.waitForSelector("[data-testid=admit]");
    await scan(page, "]d2P-99");
    await page.waitForSelector("dialog[open]");
    expect(await page.inputValue("[name=patientId]")).toBe("P-99");
    await page.focus("[name=patientId]");
    await scan(page, "]C1P-1007");
    await expect.poll(() => page.inputValue("[name=patientId]")).toBe("P-1007");
    expect(await page.evaluate("document.activeElement.name")).toBe("label");
    expect(await page.locator("#trouble-label").count(), "the form was not sent").toBe(0);
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.goto(`${stage.url()}#/`);
    await page.waitForSelector(".wall");
    await scan(page, "P-1008");
    await page.waitForSelector("dialog [name=bedId]");
    expect(await page.locator("dialog [name=bedId] option").allInnerTexts()).toEqual(["Choose …", "Bed 2"]);
  });

  test("a device's code on a bed's page asks for that patient; one on somebody else is taken off there first, and that is said", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard() });
    const page = await stage.open("/#/bed/bed-3");
    await page.waitForSelector("main[data-bed=bed-3]");
    await scan(page, "monitor-1");
    await expect.poll(() => text(page, "[data-testid=assigned-elsewhere]")).toContain("It is on W. L. in Bed 1 now.");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    expect(deeds(stage)).toEqual([
      { kind: "release", deviceId: deviceId("monitor-1") },
      { kind: "assign", deviceId: deviceId("monitor-1"), patientId: "patient-of-bed-3" },
    ]);
    await scan(page, "monitor-9");
    await expect.poll(() => text(page, "dialog h2")).toContain("Assign Ivy 450C bedside monitor to W. L.?");
    expect(await page.locator("[data-testid=assigned-elsewhere]").count()).toBe(0);
  });

  for (const locale of ["en-GB", "zh-CN"] as const) {
    test(`${locale}: an administrator adds, changes and removes accounts, and cannot remove the last administrator`, async () => {
      const stage = await openStage(onTestFinished, { ward: smallWard(), signIn: true });
      const page = await stage.openAs("administrator", "/#/users", { locale, ...(locale === "zh-CN" ? PHONE : {}) });
      const say = (en: string, zh: string) => (locale === "zh-CN" ? zh : en);
      await page.waitForSelector("[data-account=administrator]");
      await page.click("[data-testid=add-user]");
      await page.fill("[name=name]", "administrator");
      await page.fill("[name=password]", PAGE_PASSWORD);
      await page.fill("[name=again]", "correct horse 8");
      await page.click("dialog [type=submit]");
      expect(await trouble(page, "again")).toBe(say("The two passwords differ.", "两次输入的密码不一致。"));
      await page.fill("[name=again]", PAGE_PASSWORD);
      await page.click("dialog [type=submit]");
      await expect
        .poll(() => trouble(page, "name"))
        .toBe(say("There is an account of this name. Choose another.", "该用户名已存在，请更换。"));
      await page.fill("[name=name]", "son");
      await page.selectOption("[name=role]", "family");
      await page.click("dialog [type=submit]");
      expect(await trouble(page, "patientId")).toBe(say("Please fill this in.", "请填写此项。"));
      await page.fill("[name=patientId]", ANNA);
      expect(await violationsOf(page)).toEqual([]);
      await picture(page, `user-add-${locale}`);
      await page.click("dialog [type=submit]");
      await page.waitForSelector("[data-account=son]");
      expect(await text(page, "[data-account=son]")).toContain(say(`Family of ${ANNA}`, `${ANNA} 的家属`));
      expect(await violationsOf(page)).toEqual([]);
      await expectNoSidewaysScroll(page);
      await picture(page, `users-${locale}`);
      const button = (account: string, en: string, zh: string) =>
        page.getByRole("button", { name: `${account}: ${say(en, zh)}` }).click();
      await button("son", "Change role", "更改角色");
      await page.selectOption("[name=role]", "nurse");
      await page.click("dialog [type=submit]");
      await expect.poll(() => text(page, "[data-account=son]")).toContain(say("Nurse", "护士"));
      await button("administrator", "Remove", "删除");
      await page.click("dialog [type=submit]");
      await expect.poll(() => text(page, "dialog .field-trouble")).toContain(say("the last administrator", "最后一个管理员"));
      await page.keyboard.press("Escape");
      await page.waitForSelector("dialog", { state: "detached" });
      await button("son", "Remove", "删除");
      await page.click("dialog [type=submit]");
      await page.waitForSelector("[data-account=son]", { state: "detached" });
      const changes = stage.ward.accessActs.filter(({ actor }) => actor.from === "page").map(({ deed }) => deed.kind);
      expect(changes).toEqual(["sign-in", "account-added", "account-changed", "account-removed"]);
    });
  }

  test("an auditor reads the list and changes nothing; a nurse is not shown the way; one's own new password signs out", async () => {
    const stage = await openStage(onTestFinished, { ward: smallWard(), signIn: true });
    const administrator = await stage.openAs("administrator", "/#/users");
    const auditor = await stage.openAs("auditor", "/#/users");
    await auditor.waitForSelector("[data-account=auditor]");
    expect(await auditor.locator("main button").count()).toBe(0);
    const nurse = await stage.openAs("nurse", "/");
    await nurse.waitForSelector(".wall");
    expect(await nurse.locator('nav a[href="#/users"]').count()).toBe(0);
    expect(await auditor.locator('nav a[href="#/users"]').count()).toBe(1);
    await administrator.getByRole("button", { name: "administrator: New password" }).click();
    expect(await text(administrator, "dialog .dialog__remedy")).toContain("you will be signed out");
    await administrator.fill("[name=password]", "another horse 9");
    await administrator.fill("[name=again]", "another horse 9");
    await administrator.click("dialog [type=submit]");
    await administrator.waitForSelector("[data-testid=session-lost]", { timeout: 15_000 });
  });
});
