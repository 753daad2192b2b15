import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DiskFigures, Probes } from "../../src/commands/doctor/examined.ts";
import type { FindingId } from "../../src/commands/doctor/findings.ts";
import type { Outcome } from "../../src/commands/doctor/outcome.ts";
import { diagnose, systemProbes } from "../../src/commands/doctor.ts";
import { PROJECT_FOLDER } from "./source-file.ts";

/** A configuration file and its data folder, with nothing wrong but what the test plants. */
export interface Bench {
  readonly configFile: string;
  readonly dataFolder: string;
  /** What the doctor finds, worst first. */
  readonly diagnose: (probes?: Partial<Probes>, more?: { readonly mayHear?: boolean }) => Promise<readonly Outcome[]>;
}

/** A disk of 100 GB, nearly empty, with ext4. */
export const GOOD_DISK: DiskFigures = { type: 0xef53, bsize: 4096, blocks: 25e6, bavail: 24e6, files: 6e6, ffree: 5e6 };

const PACKAGE: unknown = JSON.parse(readFileSync(join(PROJECT_FOLDER, "package.json"), "utf8"));
const PACKAGED = (PACKAGE as { readonly optionalDependencies: Readonly<Record<string, string>> }).optionalDependencies;

/** What a well machine says, whatever the one of the test is like. */
function goodProbes(): Probes {
  return {
    ...systemProbes(),
    systemTime: { word: () => "synchronised", boot: () => null },
    env: { ...process.env, TZ: "Asia/Shanghai" },
    node: { version: `v${PACKAGED[`node-linux-${process.arch}`]}`, path: process.execPath },
    userId: null,
    statfs: async () => GOOD_DISK,
  };
}

/** Writes a valid configuration with these sections in place of the usual ones. */
export function openBench(folder: string, sections: Readonly<Record<string, unknown>> = {}): Bench {
  const configFile = join(folder, "ward.yaml");
  const dataFolder = join(folder, "data");
  mkdirSync(dataFolder, { recursive: true });
  chmodSync(dataFolder, 0o700);
  const config = {
    gateway: { id: "ward-1", dataFolder },
    dashboard: { enabled: false },
    supervisor: { sounderCommand: ["true"] },
    beds: [{ id: "bed-1", title: "1" }],
    ...sections,
  };
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(config));
  chmodSync(configFile, 0o600);
  return {
    configFile,
    dataFolder,
    diagnose: (probes = {}, { mayHear = true } = {}) => diagnose({ configFile, mayHear }, { ...goodProbes(), ...probes }),
  };
}

/** Everything found, as `finding subject`, but for what a bench always has: no gateway has run on it and nothing starts it. */
export function findings(outcomes: readonly Outcome[]): readonly string[] {
  const always: readonly string[] = ["gateway-never-ran", "service-missing"] satisfies readonly FindingId[];
  return outcomes.flatMap((outcome) =>
    outcome.kind === "found" && !always.includes(outcome.finding) ? [`${outcome.finding} ${outcome.subject}`] : [],
  );
}

/** The first outcome with this finding. */
export function findingOf(outcomes: readonly Outcome[], id: FindingId): Extract<Outcome, { readonly kind: "found" }> | null {
  for (const outcome of outcomes) if (outcome.kind === "found" && outcome.finding === id) return outcome;
  return null;
}
