import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ConfigProblem } from "../../config/problems.ts";
import { readTextFile } from "../../config/text-file.ts";
import { parseYamlBy } from "../../config/yaml.ts";
import { findDriver } from "../../drivers/index.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import { unfitFaults } from "../links/link-faults.ts";
import { SCENARIO_GUIDE, type Scenario, type ScenarioDevice, scenarioSchema } from "./schema.ts";

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
  const parsed = parseYamlBy(text, scenarioSchema, { guide: SCENARIO_GUIDE });
  if (!parsed.ok) return parsed;
  const problems = [...problemsTogether(parsed.value), ...deviceProblems(parsed.value)];
  return problems.length === 0 ? succeed(parsed.value) : fail(problems);
}

/** What can only be seen of the whole: names that mean nobody, and times out of order or after the end. */
function problemsTogether(scenario: Scenario): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (path: string, en: string, zh: string) =>
    problems.push({
      path,
      line: null,
      problem: { en, zh },
      remedy: { en: `See ${SCENARIO_GUIDE}.`, zh: `见 ${SCENARIO_GUIDE}。` },
    });
  const patients = new Set(scenario.patients.map(({ id }) => id));
  const devices = new Set(scenario.devices.map(({ id }) => id));
  const known = new Set([...patients, ...devices, ...beds(scenario), "gateway"]);
  if (patients.size < scenario.patients.length) add("patients", "two patients have the same id", "两位患者的 id 相同");
  if (devices.size < scenario.devices.length) add("devices", "two devices have the same id", "两台设备的 id 相同");
  for (const [index, device] of scenario.devices.entries())
    for (const key of ["on", "assigned"] as const) {
      const who = device[key];
      if (who !== undefined && who !== null && !patients.has(who))
        add(`devices.${index}.${key}`, `there is no patient ${who}`, `没有患者 ${who}`);
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
        add(`devices.${index}.life.${entryIndex}.on`, `there is no patient ${on}`, `没有患者 ${on}`);
  for (const [index, entry] of scenario.people.entries()) {
    const device = entry.assign ?? entry.release ?? entry.confirm;
    if (device !== undefined && !devices.has(device))
      add(`people.${index}`, `there is no device ${device}`, `没有设备 ${device}`);
    if (entry.of !== undefined && !known.has(entry.of)) add(`people.${index}.of`, `there is no ${entry.of}`, `没有 ${entry.of}`);
  }
  for (const [index, entry] of scenario.expect.entries())
    if ("of" in entry && entry.of !== undefined && !known.has(entry.of))
      add(`expect.${index}.of`, `there is no patient, device or bed ${entry.of}`, `没有患者、设备或床位 ${entry.of}`);
  const lists: readonly (readonly [string, readonly { readonly at: number }[]])[] = [
    ["people", scenario.people],
    ["gateway", scenario.gateway],
    ...scenario.patients.map(({ course }, index) => [`patients.${index}.course`, course] as const),
    ...scenario.devices.map(({ life }, index) => [`devices.${index}.life`, life] as const),
  ];
  for (const [path, list] of lists)
    for (const [index, { at }] of list.entries()) {
      if (at < (list[index - 1]?.at ?? 0)) add(`${path}.${index}`, "stands after a later one", "时间早于前一项");
      if (at > scenario.lasts) add(`${path}.${index}`, "is after the end of the scenario", "晚于情景结束时间");
    }
  return problems;
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
