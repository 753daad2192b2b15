import { describe, expect, onTestFinished, test } from "vitest";
import { violationsOf } from "../support/axe.ts";
import { chromiumIsThere, expectNoSidewaysScroll, stageInChromium, text } from "../support/page-stage.ts";
import { ANNA, createPeopleWard, deedsOf, PHONE, setPatient, takePicture, troubleOf } from "../support/people-ward.ts";

const HOUR_MS = 3_600_000;

describe.skipIf(!chromiumIsThere)("limits and notes of one patient on the pages", () => {
  const openStage = stageInChromium();

  test("the table says the ward's own limits, and a patient's with why, by whom and until when", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
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
    await takePicture(page, "limits-en");
    const phone = await stage.open("/#/bed/bed-1", { locale: "zh-CN", ...PHONE });
    await phone.waitForSelector("[data-limit=oxygenSaturation]");
    await expectNoSidewaysScroll(phone);
    await phone.locator("[data-testid=limits]").scrollIntoViewIfNeeded();
    await takePicture(phone, "limits-zh-phone");
    expect(await violationsOf(phone)).toEqual([]);
  });

  test("a limit is set with reason and end; what cannot be is refused beside its side, on both sides of the bound", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const page = await stage.open("/#/bed/bed-1");
    await page.click("[data-limit=oxygenSaturation] button");
    await page.waitForSelector("[name=low]");
    expect(await page.inputValue("[name=low]")).toBe("90");
    expect(await page.locator("[name=high]").count()).toBe(0);
    await page.fill("[name=low]", "0.9");
    await page.click("dialog [type=submit]");
    expect(await troubleOf(page, "low")).toBe("Only 1 to 100 % can occur.");
    await page.fill("[name=low]", "101");
    await page.click("dialog [type=submit]");
    expect(await troubleOf(page, "low")).toBe("Only 1 to 100 % can occur.");
    await page.fill("[name=low]", "88");
    expect(await text(page, "dialog fieldset")).toContain("Stays besides: 85 high.");
    await page.click("dialog [type=submit]");
    expect(await troubleOf(page, "reason")).toBe("Please fill this in.");
    await page.fill("[name=reason]", "COPD");
    await page.selectOption("[name=low-priority]", "high");
    await page.selectOption("[name=expiresAtMs]", "1");
    await takePicture(page, "limit-dialog");
    const beforeMs = Date.now();
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    const [deed] = deedsOf(stage);
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
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
    const page = await stage.open("/#/bed/bed-1", { ...PHONE, locale: "zh-CN" });
    await page.click("[data-limit=heartRate] button");
    await page.uncheck("[name=low-on]");
    await page.uncheck("[name=high-on]");
    expect(await text(page, "dialog fieldset")).toContain("无论数值如何都不会报警");
    await page.fill("[name=reason]", "临终关怀");
    await page.selectOption("[name=expiresAtMs]", "never");
    await takePicture(page, "limit-dialog-zh-phone");
    await page.click("dialog [type=submit]");
    await page.waitForSelector("dialog", { state: "detached" });
    const set = { quantity: "heartRate", low: null, high: null, reason: "临终关怀", expiresAtMs: null } as const;
    expect(deedsOf(stage)).toEqual([{ kind: "set-limit", patientId: ANNA, ...set }]);
    setPatient(stage, "bed-1", { limits: [{ ...set, setBy: "li", setAtMs: Date.now(), expired: false }] });
    await expect.poll(() => text(page, "[data-limit=heartRate]")).toContain("临终关怀");
    await page.click("[data-limit=heartRate] button");
    await page.click("[data-testid=reset-limit]");
    await expect.poll(() => deedsOf(stage).at(-1)).toEqual({ kind: "reset-limit", patientId: ANNA, quantity: "heartRate" });
  });

  test("notes stand newest first with who and when and all their lines; a refused one stays in its field", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard() });
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
    await expect.poll(() => troubleOf(page, "note")).toContain("did not answer");
    expect(await page.inputValue("[name=note]")).toBe("mobilised\nto the chair");
    await page.unroute("**/api/acts");
    await page.getByRole("button", { name: "Add the note" }).click();
    await expect.poll(() => deedsOf(stage)).toEqual([{ kind: "note", patientId: ANNA, text: "mobilised\nto the chair" }]);
    await expect.poll(() => page.inputValue("[name=note]")).toBe("");
    stage.ward.setNotes(ANNA, [{ text: "mobilised\nto the chair", by: "li", atMs: Date.now() }]);
    setPatient(stage, "bed-1", { noteCount: 3, lastNote: { text: "mobilised\nto the chair", by: "li", atMs: Date.now() } });
    await expect.poll(() => page.locator(".note__text").allInnerTexts()).toEqual(["mobilised\nto the chair"]);
    await page.locator("[data-testid=notes]").scrollIntoViewIfNeeded();
    await takePicture(page, "notes");
  });
});
