import type { CastDevice } from "../../../simulator/scenario/cast.ts";
import { durationText } from "../../../simulator/scenario/duration.ts";
import type { Finding, Witness } from "../../../simulator/scenario/judge.ts";
import { bedOf } from "../../../simulator/scenario/load.ts";
import type { Scenario } from "../../../simulator/scenario/schema.ts";

/** A scenario that was played, and what came of it. */
export interface Played {
  readonly name: string;
  readonly scenario: Scenario;
  readonly seed: number;
  readonly findings: readonly Finding[];
  readonly witness: Witness;
  /** How long it took in real time. */
  readonly tookMs: number;
}

type Print = (line: string) => void;

/** Who is who, and what they wear. */
export function tellCast(
  given: { readonly name: string; readonly scenario: Scenario; readonly seed: number; readonly cast: readonly CastDevice[] },
  print: Print,
): void {
  const { name, scenario, seed, cast } = given;
  print(`${scenario.title.en} ${scenario.title.zh} (${name}, seed ${seed}, ${durationText(scenario.lasts)})`);
  for (const [index, { id, profile }] of scenario.patients.entries()) {
    const kind = typeof profile === "string" ? profile : `child of ${profile.childYears} years`;
    const worn = cast.filter(({ device }) => device.on === id).map(({ device }) => `${device.id} (${device.driver})`);
    print(`  ${bedOf(scenario, index)}: ${id}, ${kind}${worn.length === 0 ? "" : `: ${worn.join(", ")}`}`);
  }
  for (const { device } of cast) if (device.on === undefined) print(`  ${device.id} (${device.driver}) is on nobody 未佩戴`);
}

/** What was said and what it was worth, for people. */
export function tellPlayed(played: Played, print: Print): void {
  const { findings, witness, seed, name, tookMs } = played;
  for (const { atSeconds, alert } of witness.alerts) {
    if (alert.phase === "update") continue;
    const whom = alert.subject.patientId ?? alert.subject.deviceId ?? alert.subject.part ?? "gateway";
    print(
      `  ${durationText(atSeconds).padStart(12)}  ${alert.phase.padEnd(10)} ${alert.priority.padEnd(6)} ${alert.rule} ${whom}`,
    );
  }
  for (const { met, expected, said } of findings) {
    print(`${met ? "met 符合" : "NOT MET 不符合"}: ${expected.en}: ${said.en}`);
    print(`  ${expected.zh}：${said.zh}`);
  }
  const count = findings.filter(({ met }) => met).length;
  print(
    `${count} of ${findings.length} expectations met in ${(tookMs / 1000).toFixed(1)} s. 共 ${findings.length} 项期望，符合 ${count} 项。`,
  );
  if (count < findings.length) print(`Again: vigil simulate ${name} --seed ${seed} 复现命令如左`);
}

/** The same as JSON lines: every alert, every finding, and a summary. */
export function printPlayed({ name, seed, scenario, findings, witness, tookMs }: Played, print: Print): void {
  for (const { atSeconds, alert } of witness.alerts) print(JSON.stringify({ kind: "alert", scenario: name, atSeconds, alert }));
  for (const { atSeconds, what } of witness.heartbeats)
    print(JSON.stringify({ kind: "heartbeat", scenario: name, atSeconds, what }));
  for (const { expectation, expected, met, said, atSeconds } of findings)
    print(
      JSON.stringify({
        kind: "finding",
        scenario: name,
        met,
        expected: expected.en,
        said: said.en,
        atSeconds,
        expectation,
        zh: { expected: expected.zh, said: said.zh },
      }),
    );
  const met = findings.filter((finding) => finding.met).length;
  const summary = {
    kind: "summary",
    scenario: name,
    seed,
    lastsSeconds: scenario.lasts,
    tookMs: Math.round(tookMs),
    met,
    of: findings.length,
  };
  print(JSON.stringify({ ...summary, ok: met === findings.length }));
}

/** The verdicts in the XML that build servers read: a suite a scenario, a case an expectation. */
export function junitText(played: readonly Played[]): string {
  const suites = played.map(({ name, seed, findings, tookMs }) => {
    const cases = findings.map(({ expected, met, said }) => {
      const open = `    <testcase classname="${escaped(name)}" name="${escaped(expected.en)}"`;
      return met ? `${open}/>` : `${open}><failure message="${escaped(said.en)}">seed ${seed}</failure></testcase>`;
    });
    const failures = findings.filter(({ met }) => !met).length;
    const head = `  <testsuite name="${escaped(name)}" tests="${findings.length}" failures="${failures}" time="${(tookMs / 1000).toFixed(3)}">`;
    return [head, ...cases, "  </testsuite>"].join("\n");
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join("\n")}\n</testsuites>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}
