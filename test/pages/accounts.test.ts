import { describe, expect, onTestFinished, test } from "vitest";
import { violationsOf } from "../support/axe.ts";
import { chromiumIsThere, expectNoSidewaysScroll, PAGE_PASSWORD, stageInChromium, text } from "../support/page-stage.ts";
import { ANNA, createPeopleWard, PHONE, takePicture, troubleOf } from "../support/people-ward.ts";

describe.skipIf(!chromiumIsThere)("accounts on the pages, and what each may do to a patient", () => {
  const openStage = stageInChromium();

  test("who may not change a patient sees no button for it; a family sees neither limits nor notes", async () => {
    const stage = await openStage(onTestFinished, { ward: createPeopleWard(), signIn: true });
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

  for (const locale of ["en-GB", "zh-CN"] as const) {
    test(`${locale}: an administrator adds, changes and removes accounts, and cannot remove the last administrator`, async () => {
      const stage = await openStage(onTestFinished, { ward: createPeopleWard(), signIn: true });
      const page = await stage.openAs("administrator", "/#/users", { locale, ...(locale === "zh-CN" ? PHONE : {}) });
      const say = (en: string, zh: string) => (locale === "zh-CN" ? zh : en);
      await page.waitForSelector("[data-account=administrator]");
      await page.click("[data-testid=add-user]");
      await page.fill("[name=name]", "administrator");
      await page.fill("[name=password]", PAGE_PASSWORD);
      await page.fill("[name=again]", "correct horse 8");
      await page.click("dialog [type=submit]");
      expect(await troubleOf(page, "again")).toBe(say("The two passwords differ.", "两次输入的密码不一致。"));
      await page.fill("[name=again]", PAGE_PASSWORD);
      await page.click("dialog [type=submit]");
      await expect
        .poll(() => troubleOf(page, "name"))
        .toBe(say("There is an account of this name. Choose another.", "该用户名已存在，请更换。"));
      await page.fill("[name=name]", "son");
      await page.selectOption("[name=role]", "family");
      await page.click("dialog [type=submit]");
      expect(await troubleOf(page, "patientId")).toBe(say("Please fill this in.", "请填写此项。"));
      await page.fill("[name=patientId]", ANNA);
      expect(await violationsOf(page)).toEqual([]);
      await takePicture(page, `user-add-${locale}`);
      await page.click("dialog [type=submit]");
      await page.waitForSelector("[data-account=son]");
      expect(await text(page, "[data-account=son]")).toContain(say(`Family of ${ANNA}`, `${ANNA} 的家属`));
      expect(await violationsOf(page)).toEqual([]);
      await expectNoSidewaysScroll(page);
      await takePicture(page, `users-${locale}`);
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
    const stage = await openStage(onTestFinished, { ward: createPeopleWard(), signIn: true });
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
