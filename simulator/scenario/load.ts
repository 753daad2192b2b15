import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ConfigProblem } from "../../config/problems.ts";
import { readTextFile } from "../../config/text-file.ts";
import { parseYamlBy } from "../../config/yaml.ts";
import { findDriver } from "../../drivers/index.ts";
import { QUANTITY_NAMES, type Text } from "../../src/core/quantities.ts";
import type { Result } from "../../src/core/result.ts";
import { unfitFaults } from "../links/link-faults.ts";
import { rulePattern } from "./judge.ts";
import { type Expectation, SCENARIO_GUIDE, type Scenario, type ScenarioDevice, scenarioSchema } from "./schema.ts";

/** Where the scenarios lie that come with the simulator. */
const SCENARIOS_FOLDER = new URL("../scenarios/", import.meta.url).pathname;
const ENDING = ".yaml";

/** Names of the scenarios that come with the simulator, in order. */
export async function scenarioNames(): Promise<readonly string[]> {
  const files = await readdir(SCENARIOS_FOLDER);
  return files
    .filter((file) => file.endsWith(ENDING))
    .map((file) => file.slice(0, -ENDING.length))
    .sort();
}

/** Where a scenario lies: a name of those that come with the simulator, or a file. Recordings it names lie beside it. */
export function scenarioFile(nameOrFile: string): string {
  return /^[a-z0-9-]+$/.test(nameOrFile) ? join(SCENARIOS_FOLDER, `${nameOrFile}${ENDING}`) : nameOrFile;
}

/** Reads and checks a scenario. @returns  It, or every problem at once with its line and remedy. */
export async function loadScenario(nameOrFile: string): Promise<Result<Scenario, readonly ConfigProblem[]>> {
  const text = await readTextFile(scenarioFile(nameOrFile), {
    en: "Give the file's path, or a name that `vigil simulate --list` shows.",
    zh: "请给出文件路径，或 vigil simulate --list 列出的名称。",
  });
  return text.ok ? parseScenario(text.value) : text;
}

/** Checks a scenario's text. */
export function parseScenario(text: string): Result<Scenario, readonly ConfigProblem[]> {
  const whole = (scenario: Scenario) => [
    ...problemsTogether(scenario),
    ...expectationProblems(scenario),
    ...deviceProblems(scenario),
  ];
  return parseYamlBy(text, scenarioSchema, { guide: SCENARIO_GUIDE, whole });
}

/** What can only be seen of the whole: names that mean nobody, and times out of order or after the end. */
function problemsTogether(scenario: Scenario): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const seeGuide = { en: `See ${SCENARIO_GUIDE}.`, zh: `见 ${SCENARIO_GUIDE}。` };
  const add = (path: string, en: string, zh: string, remedy: Text = seeGuide) =>
    problems.push({ path, line: null, problem: { en, zh }, remedy });
  const patients = new Set(scenario.patients.map(({ id }) => id));
  const devices = new Set(scenario.devices.map(({ id }) => id));
  const known = new Set([...patients, ...devices, ...beds(scenario), "gateway"]);
  for (const list of ["patients", "devices"] as const)
    for (const [index, { id }] of scenario[list].entries())
      if (scenario[list].findIndex((each) => each.id === id) < index)
        add(`${list}.${index}.id`, `the id ${id} is used twice`, `id ${id} 重复`, {
          en: "Give each its own.",
          zh: "请分别命名。",
        });
  for (const [index, device] of scenario.devices.entries())
    for (const key of ["on", "assigned"] as const) {
      const who = device[key];
      if (who !== undefined && who !== null && !patients.has(who))
        add(`devices.${index}.${key}`, `there is no patient ${who}`, `没有患者 ${who}`, useOneOf(patients));
    }
  for (const [index, { room, on }] of scenario.devices.entries())
    if (room !== undefined && scenario.patients.find(({ id }) => id === on)?.atHome !== true)
      add(
        `devices.${index}.room`,
        "is in the home of nobody: `on` must name a patient with `atHome: true`",
        "不在任何人家中：on 须为 atHome: true 的患者",
      );
  for (const [index, { life }] of scenario.devices.entries())
    for (const [entryIndex, { on }] of life.entries())
      if (on !== undefined && !patients.has(on))
        add(`devices.${index}.life.${entryIndex}.on`, `there is no patient ${on}`, `没有患者 ${on}`, useOneOf(patients));
  for (const [index, entry] of scenario.people.entries()) {
    const device = entry.assign ?? entry.release ?? entry.confirm;
    if (device !== undefined && !devices.has(device))
      add(`people.${index}`, `there is no device ${device}`, `没有设备 ${device}`, useOneOf(devices));
    if (entry.of !== undefined && !known.has(entry.of))
      add(`people.${index}.of`, `there is no ${entry.of}`, `没有 ${entry.of}`, useOneOf(known));
  }
  for (const [index, entry] of scenario.expect.entries())
    if ("of" in entry && entry.of !== undefined && !known.has(entry.of))
      add(
        `expect.${index}.of`,
        `there is no patient, device or bed ${entry.of}`,
        `没有患者、设备或床位 ${entry.of}`,
        useOneOf(known),
      );
  const lists: readonly (readonly [string, readonly { readonly at: number }[]])[] = [
    ["people", scenario.people],
    ["gateway", scenario.gateway],
    ...scenario.patients.map(({ course }, index) => [`patients.${index}.course`, course] as const),
    ...scenario.devices.map(({ life }, index) => [`devices.${index}.life`, life] as const),
  ];
  for (const [path, list] of lists)
    for (const [index, { at }] of list.entries()) {
      if (at < (list[index - 1]?.at ?? 0)) add(`${path}.${index}`, "stands after a later one", "时间早于前一项", IN_ORDER);
      if (at > scenario.lasts) add(`${path}.${index}`, "is after the end of the scenario", "晚于情景结束时间", LONGER);
    }
  return problems;
}

const IN_ORDER = { en: "Put the entries in the order of their times.", zh: "请按时间顺序排列各项。" };
const LONGER = { en: "Make it earlier, or let the scenario last longer (lasts).", zh: "请提前，或延长情景（lasts）。" };
/** So many names are told at most. */
const NAMES_TOLD_MAX = 12;

function useOneOf(names: ReadonlySet<string>): Text {
  const told = [...names].slice(0, NAMES_TOLD_MAX);
  if (told.length === 0) return { en: "Add it, or take this out.", zh: "请添加，或删除此处。" };
  const more = names.size > told.length ? ", ..." : "";
  return { en: `Use one of: ${told.join(", ")}${more}.`, zh: `请使用其中之一：${told.join("、")}${more === "" ? "" : "……"}。` };
}

/** Expectations that could never fail or never be met, whatever a gateway does. */
function expectationProblems(scenario: Scenario): readonly ConfigProblem[] {
  const known = QUANTITY_RULES.flatMap(({ rules }) => rules);
  return scenario.expect.flatMap((expectation, index) => {
    const problems: ConfigProblem[] = [];
    if (lastSecondOf(expectation) > scenario.lasts)
      problems.push({
        path: `expect.${index}`,
        line: null,
        problem: { en: "reaches beyond the end of the scenario", zh: "超出情景结束时间" },
        remedy: LONGER,
      });
    const rule = ruleOf(expectation);
    const family = QUANTITY_RULES.find(({ begins }) => rule?.startsWith(begins));
    if (rule !== null && family !== undefined && !known.some((each) => rulePattern(rule).test(each)))
      problems.push({
        path: `expect.${index}`,
        line: null,
        problem: { en: `there is no rule ${rule}`, zh: `没有规则 ${rule}` },
        remedy: {
          en: `Write such as ${family.example}; the names of quantities are in config/README.md.`,
          zh: `请写例如 ${family.example}；参数名称见 config/README.md。`,
        },
      });
    return problems;
  });
}

/** Rules that there are for each quantity. */
const QUANTITY_RULES: readonly { readonly begins: string; readonly example: string; readonly rules: readonly string[] }[] = [
  {
    begins: "limit.",
    example: "limit.oxygenSaturation.low",
    rules: QUANTITY_NAMES.flatMap((name) => [`limit.${name}.low`, `limit.${name}.high`]),
  },
  {
    begins: "silence.",
    example: "silence.device, silence.oxygenSaturation",
    rules: ["silence.device", ...QUANTITY_NAMES.map((name) => `silence.${name}`)],
  },
  { begins: "stuck.", example: "stuck.heartRate", rules: QUANTITY_NAMES.map((name) => `stuck.${name}`) },
];

function ruleOf(expectation: Expectation): string | null {
  if ("alert" in expectation) return expectation.alert;
  if ("never" in expectation) return expectation.never;
  if ("atMost" in expectation) return expectation.alerts;
  if ("ends" in expectation) return expectation.ends;
  return "raisedAgain" in expectation ? expectation.raisedAgain : null;
}

/** The last second that an expectation looks at; 0 where it looks at the whole scenario. */
function lastSecondOf(expectation: Expectation): number {
  if ("never" in expectation) return Math.max(expectation.from, expectation.until ?? 0);
  if ("atMost" in expectation) return 0;
  if ("by" in expectation && expectation.by !== undefined) return expectation.by;
  return "after" in expectation ? expectation.after + (expectation.within ?? 0) : 0;
}

/** What a device of its kind cannot be, and faults that its link cannot have. */
function deviceProblems(scenario: Scenario): readonly ConfigProblem[] {
  return scenario.devices.flatMap((device, index): readonly ConfigProblem[] => {
    const driver = findDriver(device.driver);
    const carries = driver?.link.kind === "mqtt" ? "messages" : "bytes";
    const faults = device.badLink === undefined ? [] : unfitFaults(device.badLink, carries);
    return [
      ...faults.map(({ fault, problem, remedy }) => ({ path: `devices.${index}.badLink.${fault}`, line: null, problem, remedy })),
      ...variantProblems(device, Object.keys(driver?.variants ?? {})).map((found) => ({
        ...found,
        path: `devices.${index}.variant`,
      })),
    ];
  });
}

function variantProblems({ variant, driver }: ScenarioDevice, known: readonly string[]): readonly Omit<ConfigProblem, "path">[] {
  if (variant === undefined || known.includes(variant)) return [];
  const remedy =
    known.length === 0
      ? { en: `Leave it out: no variants of ${driver} are known.`, zh: `请删去：${driver} 没有已知变体。` }
      : { en: `Write one of ${known.join(", ")}.`, zh: `请写 ${known.join("、")} 之一。` };
  const problem = { en: `${driver} has no variant ${variant}`, zh: `${driver} 没有变体 ${variant}` };
  return [{ line: null, problem, remedy }];
}

/** The bed of each patient, in their order. */
export function bedOf(scenario: Scenario, patientIndex: number): string {
  return scenario.patients[patientIndex]?.bed ?? `bed-${patientIndex + 1}`;
}

/** All beds: the patients' and those that devices stand at. */
export function beds(scenario: Scenario): readonly string[] {
  const ofPatients = scenario.patients.map((_, index) => bedOf(scenario, index));
  const ofDevices = scenario.devices.flatMap(({ bed }) => (bed === undefined ? [] : [bed]));
  const all = [...new Set([...ofPatients, ...ofDevices])];
  return all.length === 0 ? ["bed-1"] : all;
}
