import { describe, expect, test } from "vitest";
import { parseConfig } from "../config/load.ts";

const BASE = `
gateway: { id: g, dataFolder: /tmp/g }
beds: [{ id: bed-1, title: "301", ward: 三东 }, { id: bed-2, title: "302" }]
channels:
  - { name: robot, kind: wecom, keyFile: robot.key }
  - { name: hook, kind: webhook, url: "https://hospital.example/alerts", secretFile: hook.secret }
contacts:
  - { id: nurses, title: 三东护士站, answers: person, ways: [{ channel: robot }] }
  - { id: platform, title: 平台, answers: system, ways: [{ channel: hook }] }
routes:
`;
const problemsOf = (routes: string, base = BASE) => {
  const parsed = parseConfig(base + routes, "/etc/vigil");
  return parsed.ok ? [] : parsed.error.map(({ path, problem }) => `${path}: ${problem.en}`);
};
const ALL = "  - { name: rest, steps: [{ tell: [platform], waitSeconds: 30 }, { tell: [nurses], waitSeconds: 60 }] }\n";

describe("routes in the configuration", () => {
  test("that end in a person and take every alert are right, and their files are taken from its folder", () => {
    const parsed = parseConfig(BASE + ALL, "/etc/vigil");
    expect(parsed).toMatchObject({
      ok: true,
      value: { channels: [{ keyFile: "/etc/vigil/robot.key" }, { secretFile: "/etc/vigil/hook.secret" }] },
    });
  });

  test("SAFETY.md, rule 9: a route whose last step tells systems only", () => {
    expect(
      problemsOf("  - { name: rest, steps: [{ tell: [nurses], waitSeconds: 30 }, { tell: [platform], waitSeconds: 60 }] }\n"),
    ).toEqual(["routes.0.steps.1.tell: nobody is at the end of this route but systems"]);
  });

  test.each([
    ["a ward only", "wards: [三东]", "a physiological alert of high priority at bed-2 takes no route at 00:00"],
    ["one bed", "beds: [bed-2]", "a physiological alert of high priority at bed-1 takes no route at 00:00"],
    ["one patient", 'patients: ["4711"]', "a physiological alert of high priority at bed-1 takes no route at 00:00"],
    ["the night only", 'hours: "22:00-06:00"', "a physiological alert of high priority at bed-1 takes no route at 06:00"],
    [
      "both beds and not the gateway itself",
      "beds: [bed-1, bed-2]",
      "a physiological alert of high priority about no bed takes no route at 00:00",
    ],
    ["all but low", "priorities: [high, medium]", "a physiological alert of low priority at bed-1 takes no route at 00:00"],
    ["patients only", "natures: [physiological]", "a technical alert of high priority at bed-1 takes no route at 00:00"],
  ])("SAFETY.md, rule 9: routes for %s leave somebody without one", (_, condition, wanted) => {
    const found = problemsOf(`  - { name: some, ${condition}, steps: [{ tell: [nurses], waitSeconds: 60 }] }\n`);
    expect(found[0]).toBe(`routes: ${wanted}`);
    expect(problemsOf(`  - { name: some, ${condition}, steps: [{ tell: [nurses], waitSeconds: 60 }] }\n${ALL}`)).toEqual([]);
  });

  test("day and night together take all", () => {
    const steps = "steps: [{ tell: [nurses], waitSeconds: 60 }]";
    expect(
      problemsOf(`  - { name: day, hours: "06:00-22:00", ${steps} }\n  - { name: night, hours: "22:00-06:00", ${steps} }\n`),
    ).toEqual([]);
    expect(
      problemsOf(`  - { name: day, hours: "06:01-22:00", ${steps} }\n  - { name: night, hours: "22:00-06:00", ${steps} }\n`)[0],
    ).toContain("at 06:00");
  });

  test("names that mean nobody, and one that is used twice", () => {
    expect(problemsOf("  - { name: rest, steps: [{ tell: [doctor], waitSeconds: 30 }] }\n")).toEqual([
      "routes.0.steps.0.tell: there is no contact doctor",
    ]);
    expect(problemsOf(ALL, BASE.replace("channel: hook", "channel: hooks"))).toEqual([
      "contacts.1.ways.0.channel: there is no channel hooks",
    ]);
    expect(problemsOf(ALL, BASE.replace("[{ channel: robot }]", "[{ channel: robot }, { channel: robot }]"))).toEqual([
      "contacts.0.ways.1.channel: robot is named twice",
    ]);
    expect(problemsOf(ALL + ALL)).toEqual(["routes.1: the name rest is used twice"]);
  });
});
