import { hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { findDriver } from "../drivers/index.ts";
import { type LinkFaults, NO_FAULTS } from "../simulator/links/link-faults.ts";
import { castOf } from "../simulator/scenario/cast.ts";
import { judge, type Witness } from "../simulator/scenario/judge.ts";
import { parseScenario, scenarioNames } from "../simulator/scenario/load.ts";
import { type Scenario, type ScenarioDevice, scenarioSchema } from "../simulator/scenario/schema.ts";
import type { Alert } from "../src/core/alert.ts";
import { missed, played, SCENARIOS_FOLDER, scenarioOf } from "./support/played-scenario.ts";

const SEEDS = [1, 2, 3];
const NAMES = await scenarioNames();

describe.each(NAMES)("%s", (name) => {
  test.each(SEEDS)("a good gateway does what is expected, seed %i", async (seed) => {
    const { findings } = await played(await scenarioOf(name), seed);
    expect(missed(findings), `vigil simulate ${name} --seed ${seed}`).toEqual([]);
  });
});

describe("the same seed", () => {
  // One of each kind: a monitor with waves and a gateway that is killed, MQTT over weeks.
  test.each(["killed-in-the-delay", "slow-decline"])(
    "%s: twice gives the same journal, another seed another one",
    async (name) => {
      const scenario = await scenarioOf(name);
      const journals = [];
      for (const seed of [7, 7, 8]) journals.push(hash("sha256", JSON.stringify((await played(scenario, seed)).records)));
      expect(journals[1]).toBe(journals[0]);
      expect(journals[2]).not.toBe(journals[0]);
    },
  );
});

function withLink(scenario: Scenario, badLink: LinkFaults, life: ScenarioDevice["life"]): Scenario {
  return { ...scenario, devices: scenario.devices.map((device) => ({ ...device, badLink, life })) };
}

describe("expectations can fail: without its rule a gateway does not pass", () => {
  /** Ends of a ward's limits that nothing reaches: the rule is there and never holds. */
  const withoutLimits = (scenario: Scenario, quantities: readonly string[]): Scenario => ({
    ...scenario,
    limits: Object.fromEntries(quantities.map((quantity) => [quantity, { low: null, high: null }])),
  });

  test("no score: sepsis is not told in time", async () => {
    const { findings } = await played(await scenarioOf("sepsis"), 1, []);
    expect(missed(findings).filter((text) => text.startsWith("score.news2")).length).toBe(2);
  });

  test("no limit of the breath: the opioid is not told in time", async () => {
    const scenario = withoutLimits(await scenarioOf("opioid-respiratory-depression"), ["respiratoryRate"]);
    expect(missed((await played(scenario, 1)).findings).some((text) => text.startsWith("limit.respiratoryRate.low"))).toBe(true);
  });

  test("nobody waits for the device: one that never comes back is not missed", async () => {
    const scenario = await scenarioOf("device-never-comes-back");
    const patient = { ...scenario, devices: scenario.devices.map((device) => ({ ...device, silenceSeconds: 86_400 })) };
    expect(missed((await played(patient, 1)).findings)).toHaveLength(1);
  });

  test("a watch that speaks each five minutes is not missed while its own alert is open; one that stops is", async () => {
    const text = `
title: { en: A, zh: 甲 }
about: { en: A, zh: 甲 }
lasts: 3 h
grain: 5 s
patients: [{ id: an, course: [{ at: 20 min, heartRateShift: 0 }, { at: 30 min, heartRateShift: 90 }] }]
devices:
  - id: watch
    driver: mqtt-json
    on: an
    every: 5 min
    silenceSeconds: 900
    quantitySilenceSeconds: 3600
    options: { mapping: { pulseRate: $.pulse, oxygenSaturation: $.spo2 } }
    expected: [pulseRate]
    life: [{ at: 100 min, finger: "off" }]
expect:
  - { alert: limit.pulseRate.high, of: an, by: 50 min }
  - { never: "silence.*", until: 100 min }
  - { alert: silence.pulseRate, of: an, after: 100 min, within: 70 min }`;
    const parsed = parseScenario(text);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    expect(missed((await played(parsed.value, 2)).findings)).toEqual([]);
  });

  test("so much noise that nothing can be read: the fall is not told, and the noise is", async () => {
    const scenario = await scenarioOf("noisy-line");
    const { findings } = await played(withLink(scenario, { ...NO_FAULTS, flipEveryBytes: 8 }, []), 1);
    expect(missed(findings).map((text) => text.split(" ")[0])).toEqual(["fault.link-down", "limit.oxygenSaturation.low"]);
  });

  test("a line that is only cut into single bytes: all is read, and the fall is told", async () => {
    const scenario = await scenarioOf("noisy-line");
    const { findings, records } = await played(withLink(scenario, { ...NO_FAULTS, splitEveryBytes: 1 }, []), 1);
    expect(missed(findings).map((text) => text.split(" ")[0])).toEqual(["fault.link-down", "fault.device-refused"]);
    // Three packets of two values a second, for half an hour; the first and the last may be cut off.
    expect(records.filter(({ kind }) => kind === "observation").length).toBeGreaterThan(3 * 2 * 1800 - 20);
  });

  test("a connection that stays half-open: nothing is heard until the device is switched on again", async () => {
    const scenario = await scenarioOf("noisy-line");
    const silent = { ...NO_FAULTS, halfOpenEveryBytes: 20_000 };
    const playedWith = async (life: ScenarioDevice["life"]) =>
      missed((await played(withLink(scenario, silent, life), 1)).findings).map((text) => text.split(" ")[0]);
    expect(await playedWith([])).toEqual(["fault.link-down", "fault.device-refused", "limit.oxygenSaturation.low"]);
    const switched: ScenarioDevice["life"] = [
      { at: 960, power: "off" },
      { at: 990, power: "on" },
    ];
    expect(await playedWith(switched)).toEqual(["fault.link-down", "fault.device-refused"]);
  });

  test("a supervisor that never listens, a clock that is believed, a disk that is not asked: each shows", async () => {
    const still = await scenarioOf("gateway-stands-still");
    const shorter = { ...still, gateway: still.gateway.map((moment) => ({ ...moment, standsStillFor: 5 })) };
    expect(missed((await played(shorter, 1)).findings).some((text) => text.startsWith("heartbeat missing"))).toBe(true);
    const clock = await scenarioOf("wrong-clock");
    expect(missed((await played({ ...clock, gateway: [] }, 1)).findings)).toHaveLength(1);
    const disk = await scenarioOf("disk-full");
    expect(missed((await played({ ...disk, gateway: [] }, 1)).findings)).toHaveLength(2);
  });
});

describe("recordings", () => {
  const playing = (file: string) => `
title: { en: t, zh: t }
about: { en: a, zh: a }
lasts: 5 min
patients: [{ id: li }]
devices: [{ id: m, driver: serial-ivy-450c, on: li, plays: ${file}, origin: replayed }]
expect: [{ never: "silence.device" }, { never: "fault.device-refused" }]`;

  test.each([
    ["a real monitor's bytes", "../../test/captures/ivy-450c/Ivy450C.1.data", 80],
    ["a WFDB record through any fitting twin", "../../test/captures/wfdb/s00001-2896-10-10-00-31n.hea", 63],
  ])("%s are played", async (_, file, heartRate) => {
    const parsed = parseScenario(playing(file));
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    const { findings, records } = await played(parsed.value, 1);
    expect(missed(findings)).toEqual([]);
    const first = records.find(
      (record) => record.kind === "observation" && record.quantity === "heartRate" && record.content.state === "present",
    );
    expect(first).toMatchObject({ content: { value: heartRate }, quality: { origin: "replayed" } });
  });

  test("one that is not there is told with its device", async () => {
    const parsed = parseScenario(playing("nowhere.hea"));
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    const made = await castOf(parsed.value, { seed: 1, folder: SCENARIOS_FOLDER, findDriver });
    expect(made).toMatchObject({ ok: false, error: { deviceId: "m", error: { kind: "unreadable" } } });
  });
});

// ------------------------------------------------------------------------- the judge

const ALERT = {
  kind: "alert",
  id: "a",
  key: "k",
  rule: "limit.heartRate.high",
  nature: "physiological",
  priority: "medium",
  state: "active",
  phase: "start",
  subject: { patientId: "li", bedId: "bed-1", deviceId: null, part: null },
} as unknown as Alert;

function judged(
  expectText: string,
  alerts: readonly (readonly [number, Partial<Alert>])[],
  more: Partial<Witness> = {},
): boolean {
  const scenario = parseScenario(`
title: { en: t, zh: t }
about: { en: a, zh: a }
lasts: 1 h
patients: [{ id: li }, { id: mo }]
devices: [{ id: m, driver: serial-ivy-450c, on: li }]
expect: [${expectText}]`);
  if (!scenario.ok) throw new Error(JSON.stringify(scenario.error));
  const witness: Witness = {
    alerts: alerts.map(([atSeconds, part]) => ({ atSeconds, alert: { ...ALERT, ...part } })),
    predictions: [],
    heartbeats: [],
    heard: true,
    ...more,
  };
  return judge(scenario.value, witness)[0]?.met ?? false;
}

const ENDED = { state: "ended", phase: "end" } as const;

describe("the judge", () => {
  test.each([
    ["in time", "{ alert: limit.heartRate.high, by: 60 s }", [[60, {}]], true],
    ["a second too late", "{ alert: limit.heartRate.high, by: 60 s }", [[61, {}]], false],
    [
      "too early, and over",
      "{ alert: limit.*, after: 50 s, within: 10 s }",
      [
        [10, {}],
        [20, ENDED],
      ],
      false,
    ],
    ["early, and still open", "{ alert: limit.*, after: 50 s, within: 10 s }", [[10, {}]], true],
    ["early, though a new one is wanted", "{ alert: limit.*, after: 50 s, within: 10 s, begins: true }", [[10, {}]], false],
    ["a new one", "{ alert: limit.*, after: 50 s, within: 10 s, begins: true }", [[55, {}]], true],
    ["a new one, by", "{ alert: limit.*, after: 50 s, by: 60 s, begins: true }", [[61, {}]], false],
    ["of somebody else", "{ alert: limit.*, of: mo, by: 60 s }", [[10, {}]], false],
    ["of the bed", "{ alert: limit.*, of: bed-1, by: 60 s }", [[10, {}]], true],
    ["not urgent enough", "{ alert: limit.*, priority: high, by: 60 s }", [[10, {}]], false],
    [
      "urgent enough later",
      "{ alert: limit.*, priority: high, by: 60 s }",
      [
        [10, {}],
        [50, { priority: "high", phase: "escalate" }],
      ],
      true,
    ],
    ["another nature", '{ alert: "*", nature: technical, by: 60 s }', [[10, {}]], false],
    ["a dot is a dot", "{ alert: limitXheartRate.high, by: 60 s }", [[10, {}]], false],
    [
      "not lasting",
      "{ alert: limit.*, by: 60 s, lasting: true }",
      [
        [10, {}],
        [40, ENDED],
      ],
      false,
    ],
    [
      "lasting",
      "{ alert: limit.*, by: 60 s, lasting: true }",
      [
        [10, {}],
        [61, ENDED],
      ],
      true,
    ],
    ["never, and it came", "{ never: limit.*, from: 5 s, until: 60 s }", [[59, {}]], false],
    ["never, and it came at the end", "{ never: limit.*, from: 5 s, until: 60 s }", [[60, {}]], true],
    ["never, and it came before", "{ never: limit.*, from: 5 s, until: 60 s }", [[4, {}]], true],
    [
      "as many as may be",
      "{ atMost: 2 }",
      [
        [1, {}],
        [2, ENDED],
        [3, { id: "b" }],
      ],
      true,
    ],
    [
      "one too many",
      "{ atMost: 1 }",
      [
        [1, {}],
        [2, ENDED],
        [3, { id: "b" }],
      ],
      false,
    ],
    [
      "one in each minute",
      "{ atMost: 1, per: 1 min }",
      [
        [1, {}],
        [61, { id: "b" }],
      ],
      true,
    ],
    [
      "it ended",
      "{ ends: limit.*, after: 50 s, within: 20 s }",
      [
        [1, {}],
        [55, ENDED],
      ],
      true,
    ],
    [
      "it ended too early",
      "{ ends: limit.*, after: 50 s, within: 20 s }",
      [
        [1, {}],
        [45, ENDED],
      ],
      false,
    ],
    [
      "it ended too late",
      "{ ends: limit.*, after: 50 s, within: 20 s }",
      [
        [1, {}],
        [71, ENDED],
      ],
      false,
    ],
    [
      "raised again",
      "{ raisedAgain: limit.*, after: 50 s, within: 20 s }",
      [
        [1, {}],
        [60, { phase: "continue" }],
      ],
      true,
    ],
    [
      "only changed",
      "{ raisedAgain: limit.*, after: 50 s, within: 20 s }",
      [
        [1, {}],
        [60, { phase: "update" }],
      ],
      false,
    ],
  ] as const)("%s", (_, expectation, alerts, met) => {
    expect(judged(expectation, alerts as readonly (readonly [number, Partial<Alert>])[])).toBe(met);
  });

  test("no gateway was heard: its silence is no proof of anything", () => {
    for (const expectation of ['{ never: "*" }', "{ atMost: 3 }", '{ never: "limit.*", until: 5 min }']) {
      expect(judged(expectation, [], { heard: true }), expectation).toBe(true);
      expect(judged(expectation, [], { heard: false }), expectation).toBe(false);
    }
  });

  test("an expectation in words says of which nature and how urgent", () => {
    const words = (expectation: string) => {
      const scenario = parseScenario(GOOD.replace('{ never: "*" }', expectation));
      const witness = { alerts: [], predictions: [], heartbeats: [], heard: true };
      return scenario.ok ? judge(scenario.value, witness)[0]?.expected : scenario.error;
    };
    expect(words('{ never: "*", nature: physiological, priority: medium }')).toEqual({
      en: "no * physiological, medium or high from 0 s on",
      zh: "0 s 起不得出现 * physiological（中级或高级）",
    });
    expect(words("{ atMost: 3, per: 1 h, of: li, priority: high }")).toEqual({
      en: "at most 3 of * (li), high in each 1 h",
      zh: "每 1 h * (li)（高级） 至多 3 次",
    });
  });

  test("a heartbeat that is missed in time, and one too late", () => {
    const heartbeats = [{ atSeconds: 13, what: "missed" }] as const;
    expect(judged("{ heartbeat: missed, after: 5 s, within: 8 s }", [], { heartbeats })).toBe(true);
    expect(judged("{ heartbeat: missed, after: 5 s, within: 7 s }", [], { heartbeats })).toBe(false);
    expect(judged("{ heartbeat: back, after: 5 s, within: 60 s }", [], { heartbeats })).toBe(false);
  });
});

// ---------------------------------------------------------------------- what is wrong

const GOOD = `
title: { en: t, zh: t }
about: { en: a, zh: a }
lasts: 1 h 30 min
patients: [{ id: li, course: [{ at: 10 min, pain: 0.5 }] }]
devices: [{ id: m, driver: serial-ivy-450c, on: li }]
expect: [{ never: "*" }]`;

/** The names of all settings in a JSON schema, at any depth. */
function settingNames(schema: unknown): ReadonlySet<string> {
  if (typeof schema !== "object" || schema === null) return new Set();
  return new Set(
    Object.entries(schema).flatMap(([key, value]) => [
      ...(key === "properties" ? Object.keys(value) : []),
      ...settingNames(value),
    ]),
  );
}

describe("a scenario that is wrong", () => {
  const problemsOf = (text: string) => {
    const parsed = parseScenario(text);
    return parsed.ok ? [] : parsed.error;
  };

  test("is taken where nothing is wrong", () => {
    const parsed = parseScenario(GOOD);
    expect(parsed.ok && parsed.value.lasts).toBe(5400);
    expect(parsed.ok && parsed.value.patients[0]?.course[0]).toEqual({ at: 600, pain: 0.5 });
    const noisy = parseScenario(GOOD.replace("on: li }", "on: li, badLink: { burstEveryBytes: 500, wrongParity: true } }"));
    expect(noisy.ok && noisy.value.devices[0]?.badLink).toEqual({ ...NO_FAULTS, burstEveryBytes: 500, wrongParity: true });
  });

  test.each([
    ["a time without a unit", GOOD.replace("at: 10 min", "at: '10'"), "patients.0.course.0.at", "this is no time"],
    ["a strain that is none", GOOD.replace("pain:", "paim:"), "patients.0.course.0.paim", "is not a setting"],
    ["a strain that cannot be", GOOD.replace("pain: 0.5", "pain: 1.5"), "patients.0.course.0.pain", ""],
    ["a driver that is none", GOOD.replace("serial-ivy-450c", "serial-ivy"), "devices.0.driver", ""],
    ["a patient that is nobody", GOOD.replace("on: li", "on: lo"), "devices.0.on", "there is no patient lo"],
    ["after the end", GOOD.replace("at: 10 min", "at: 2 h"), "patients.0.course.0", "is after the end"],
    ["an alert that is never due", GOOD.replace('{ never: "*" }', "{ alert: x }"), "expect.0", ""],
    [
      "a burst between messages",
      GOOD.replace("driver: serial-ivy-450c", "driver: mqtt-zigbee2mqtt, badLink: { burstEveryBytes: 500 }"),
      "devices.0.badLink.burstEveryBytes",
      "sends whole messages",
    ],
    [
      "away for how long, and never",
      GOOD.replace("serial-ivy-450c,", "serial-ivy-450c, badLink: { flapForMs: 500 },"),
      "devices.0.badLink.flapForMs",
      "not how often",
    ],
    [
      "two deeds in one",
      GOOD.replace("expect:", "people: [{ at: 1 s, release: m, oxygen: true }]\nexpect:"),
      "people.0",
      "an entry is one deed",
    ],
    [
      "out of order",
      GOOD.replace("{ at: 10 min, pain: 0.5 }", "{ at: 10 min, pain: 0.5 }, { at: 9 min, pain: 0 }"),
      "patients.0.course.1",
      "stands after",
    ],
    ["two of the same name", GOOD.replace("patients: [", "patients: [{ id: li }, "), "patients.1.id", "is used twice"],
    ["a tab", GOOD.replace("lasts:", "limits:\n\tx: 1\nlasts:"), "line 5", "Tabs are not allowed"],
    ["a number for a time", GOOD.replace("at: 10 min", "at: 10"), "patients.0.course.0.at", "this is no time"],
    ["a profile that is none", GOOD.replace("id: li,", "id: li, profile: COPD,"), "patients.0.profile", '"copd"'],
    [
      "a child of too many years",
      GOOD.replace("id: li,", "id: li, profile: { childYears: 40 },"),
      "patients.0.profile.childYears",
      "",
    ],
    ["due in a unit that is none", GOOD.replace('never: "*"', "alert: x, by: 5 m"), "expect.0.by", "this is no time"],
    [
      "an urgency that is none",
      GOOD.replace('never: "*"', "alert: x, by: 5 min, priority: critical"),
      "expect.0.priority",
      '"high"',
    ],
    [
      "an expectation with a misspelt word",
      GOOD.replace('never: "*"', 'never: "*", untill: 5 min'),
      "expect.0.untill",
      "is not a",
    ],
    ["due after the end", GOOD.replace('never: "*"', "alert: x, by: 91 min"), "expect.0", "beyond the end"],
    [
      "within a time after the end",
      GOOD.replace('never: "*"', "alert: x, after: 89 min, within: 61 s"),
      "expect.0",
      "beyond the end",
    ],
    ["quiet after the end only", GOOD.replace('never: "*"', 'never: "*", from: 91 min'), "expect.0", "beyond the end"],
    ["a limit of no quantity", GOOD.replace('never: "*"', 'never: "limit.respirationRate.*"'), "expect.0", "there is no rule"],
    ["silence of no quantity", GOOD.replace('never: "*"', "atMost: 3, alerts: silence.spo2"), "expect.0", "there is no rule"],
  ])("%s", (_, text, path, problem) => {
    const problems = problemsOf(text);
    expect(problems.map((each) => each.path)).toContain(path);
    const found = problems.find((each) => each.path === path);
    expect(found?.problem.en).toContain(problem);
    for (const words of [found?.problem, found?.remedy]) {
      expect(words?.en.length).toBeGreaterThan(3);
      expect(words?.zh.length).toBeGreaterThan(1);
    }
  });

  test("due at the very end, and a rule with stars, are taken", () => {
    const expectations = [
      "{ alert: x, by: 90 min }",
      "{ never: x, from: 5 min, until: 90 min }",
      '{ never: "limit.*Pressure*" }',
      "{ never: silence.device }",
      "{ never: stuck.heartRate }",
    ];
    expect(problemsOf(GOOD.replace('{ never: "*" }', expectations.join(", ")))).toEqual([]);
  });

  test("what only the whole shows has its line too, and the names that there are", () => {
    expect(problemsOf(GOOD.replace("on: li", "on: lo"))).toMatchObject([
      { path: "devices.0.on", line: 6, remedy: { en: "Use one of: li.", zh: "请使用其中之一：li。" } },
    ]);
  });

  test("every setting that a scenario may have is in the guide, which a misspelt one is sent to", async () => {
    const folder = join(SCENARIOS_FOLDER, "..");
    const guide = (await Promise.all(["README.md", "SCENARIOS.md"].map((name) => readFile(join(folder, name), "utf8")))).join("");
    const names = settingNames(z.toJSONSchema(scenarioSchema, { io: "input" }));
    expect(names.size).toBeGreaterThan(80);
    for (const name of names) expect(guide, name).toMatch(new RegExp(`\\b${name}\\b`));
  });

  test("every scenario that comes with the simulator is read, and says what it is in both languages", async () => {
    for (const name of NAMES) {
      const { title, about } = await scenarioOf(name);
      for (const words of [title, about]) {
        expect(words.zh, name).toMatch(/[\u4e00-\u9fff]/);
        expect(words.en, name).not.toMatch(/[\u4e00-\u9fff]/);
      }
    }
  });
});
