import type { CastDevice } from "../../../simulator/scenario/cast.ts";
import { durationText } from "../../../simulator/scenario/duration.ts";
import type { Witness } from "../../../simulator/scenario/judge.ts";
import { bedOf } from "../../../simulator/scenario/load.ts";
import type { Outcome } from "../../../simulator/scenario/play.ts";
import type { Scenario } from "../../../simulator/scenario/schema.ts";

/** A scenario with everybody in it. */
export interface Script {
  readonly name: string;
  readonly scenario: Scenario;
  readonly seed: number;
  readonly bedCount: number;
  /** What else it was played with, as on the command line; empty or with a space before it. */
  readonly alsoWith: string;
  readonly cast: readonly CastDevice[];
}

/** A scenario that was played, and what came of it. */
export interface Played extends Script, Outcome {
  readonly witness: Witness;
  /** Whether what the gateway says could be heard; else nothing was judged. */
  readonly hears: boolean;
  /** How long it took in real time. */
  readonly tookMs: number;
}

type Print = (line: string) => void;

/** Who is who, and what they wear. */
export function tellCast({ name, scenario, seed, cast }: Script, print: Print): void {
  print(`${scenario.title.en} ${scenario.title.zh} (${name}, seed ${seed}, ${durationText(scenario.lasts)})`);
  for (const [index, { id, profile }] of scenario.patients.entries()) {
    const kind = typeof profile === "string" ? profile : `child of ${profile.childYears} years`;
    const worn = cast.filter(({ device }) => device.on === id).map(({ device }) => `${device.id} (${device.driver})`);
    print(`  ${bedOf(scenario, index)}: ${id}, ${kind}${worn.length === 0 ? "" : `: ${worn.join(", ")}`}`);
  }
  for (const { device } of cast) if (device.on === undefined) print(`  ${device.id} (${device.driver}) is on nobody 未佩戴`);
}

/** Where each device can be reached. */
export function tellAddresses(
  given: { readonly scenario: Scenario; readonly addresses: ReadonlyMap<string, string>; readonly hears: boolean },
  print: Print,
  asJson: boolean,
): void {
  for (const { id, driver, on } of given.scenario.devices) {
    const address = given.addresses.get(id) ?? "";
    print(asJson ? JSON.stringify({ kind: "device", id, driver, on: on ?? null, address }) : `  ${id} (${driver}) ${address}`);
  }
  if (!given.hears && !asJson)
    print("Nothing the gateway says is heard here, so nothing is judged. 此处听不到网关的输出，因此不作判定。");
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
  for (const { deviceId, lossCount, bytesVanished, bytesDropped } of played.badLinks) {
    const vanished = bytesVanished + bytesDropped;
    print(
      `  ${deviceId}: its bad link was lost ${lossCount} times, and ${vanished} bytes vanished 不良链路中断 ${lossCount} 次，丢失 ${vanished} 字节`,
    );
  }
  for (const { met, expected, said } of findings) {
    print(`${met ? "met 符合" : "NOT MET 不符合"}: ${expected.en}: ${said.en}`);
    print(`  ${expected.zh}：${said.zh}`);
  }
  if (!played.hears) {
    print(`Played in ${(tookMs / 1000).toFixed(1)} s; nothing was judged. 已运行完毕，未作判定。`);
    return;
  }
  const count = findings.filter(({ met }) => met).length;
  print(
    `${count} of ${findings.length} expectations met in ${(tookMs / 1000).toFixed(1)} s. 共 ${findings.length} 项期望，符合 ${count} 项。`,
  );
  const beds = played.bedCount === 1 ? "" : ` --beds ${played.bedCount}`;
  if (count < findings.length) print(`Again: vigil simulate ${name} --seed ${seed}${beds}${played.alsoWith} 复现命令如左`);
}

/** One patient of many: how many expectations were met, and of those that were not what happened and how to repeat it. */
export function tellBriefly(played: Played, print: Print): void {
  const { findings, seed, name } = played;
  const met = findings.filter((finding) => finding.met).length;
  print(`${name} --seed ${seed}: ${met} of ${findings.length} met 符合 ${met}/${findings.length}`);
  for (const { expected, said } of findings.filter((finding) => !finding.met)) {
    print(`  NOT MET 不符合: ${expected.en}: ${said.en}`);
    print(`    ${expected.zh}：${said.zh}`);
  }
}

/** The same as JSON lines: every alert, every finding, and a summary. */
export function printPlayed({ name, seed, scenario, findings, badLinks, witness, hears, tookMs }: Played, print: Print): void {
  for (const { atSeconds, alert } of witness.alerts) print(JSON.stringify({ kind: "alert", scenario: name, atSeconds, alert }));
  for (const { atSeconds, what } of witness.heartbeats)
    print(JSON.stringify({ kind: "heartbeat", scenario: name, atSeconds, what }));
  for (const link of badLinks) print(JSON.stringify({ kind: "bad-link", scenario: name, ...link }));
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
  // Of what nobody judged nothing is known.
  print(JSON.stringify({ ...summary, ok: hears ? met === findings.length : null }));
}

/** The verdicts in the XML that build servers read: a suite a scenario, a case an expectation. */
export function junitText(played: readonly Played[]): string {
  const suites = played.map(({ name, seed, findings, hears, tookMs }) => {
    if (!hears) {
      const head = `  <testsuite name="${escaped(name)}" tests="1" skipped="1" time="${(tookMs / 1000).toFixed(3)}">`;
      const skipped = '<skipped message="nothing the gateway says is heard here, so nothing was judged"/>';
      return `${head}\n    <testcase classname="${escaped(name)}" name="judged">${skipped}</testcase>\n  </testsuite>`;
    }
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
