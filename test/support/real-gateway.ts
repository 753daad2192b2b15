import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createSystemClock } from "../../src/clock.ts";
import type { Deed } from "../../src/core/act.ts";
import type { Alert } from "../../src/core/alert.ts";
import { bedId, deviceId, patientId } from "../../src/core/ids.ts";
import type { PictureView } from "../../src/core/stream.ts";
import { askGateway } from "../../src/gateway/control-socket.ts";
import type { SupervisorEvent } from "../../src/supervisor/supervisor-event.ts";
import type { SettableWard } from "./settable-ward.ts";
import type { Program, Stage } from "./stage.ts";
import { until } from "./until.ts";

/** The gateway's name in every test here. */
export const GATEWAY_ID = "ward-1";
/** The name of the one upstream. */
export const UPSTREAM_NAME = "hospital";

/** What a test's configuration holds beside the beds and devices of its ward. */
export interface Plan {
  readonly ward: SettableWard | null;
  readonly dataFolder?: string;
  readonly brokerPort?: number;
  readonly signIn?: { readonly username: string; readonly password: string };
  readonly pagePort?: number;
  readonly sounderCommand?: readonly string[];
  readonly journalMegabytes?: number;
  readonly moreDevices?: readonly Readonly<Record<string, unknown>>[];
  readonly moreBeds?: readonly { readonly id: string; readonly title: string }[];
  /** Where the gateway's own broker listens on 127.0.0.1. */
  readonly ownBrokerPort?: number;
}

/** Files of a gateway. */
export interface Files {
  readonly configFile: string;
  readonly dataFolder: string;
  readonly passwordFile: string;
}

/** Writes a configuration with a bed for each device of the ward. */
export async function writeConfig(stage: Stage, plan: Plan): Promise<Files> {
  const configFile = join(stage.folder, "config.yaml");
  const passwordFile = join(stage.folder, "upstream.password");
  const dataFolder = plan.dataFolder ?? join(stage.folder, "data");
  const { signIn, brokerPort, pagePort } = plan;
  await writeFile(passwordFile, `${signIn?.password ?? ""}\n`, { mode: 0o600 });
  const account = signIn === undefined ? {} : { username: signIn.username, passwordFile };
  const upstream = { name: UPSTREAM_NAME, kind: "mqtt", url: `mqtt://127.0.0.1:${brokerPort}`, ...account };
  const beds = plan.ward?.beds ?? [];
  const config = {
    gateway: { id: GATEWAY_ID, dataFolder },
    journal: { sizeMegabytesMax: plan.journalMegabytes ?? 2048, waves: wavesOf(plan) },
    dashboard: pagePort === undefined ? { enabled: false } : { enabled: true, port: pagePort },
    supervisor: { sounderCommand: plan.sounderCommand ?? ["true"] },
    beds: [...beds.map((bed) => ({ id: bed.bedId, title: bed.bedId })), ...(plan.moreBeds ?? [])],
    ...(plan.ownBrokerPort === undefined ? {} : { broker: { port: plan.ownBrokerPort } }),
    devices: [
      ...beds.map((bed) => ({
        id: bed.deviceId,
        driver: "serial-ivy-450c",
        bed: bed.bedId,
        link: { kind: "tcp", host: "127.0.0.1", port: bed.port },
      })),
      ...(plan.moreDevices ?? []),
    ],
    upstreams: brokerPort === undefined ? [] : [upstream],
  };
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(config, null, 2));
  await chmod(configFile, 0o600);
  return { configFile, dataFolder, passwordFile };
}

/** Waves take no more than quarter of what the journal may have where that is said, for a small disk. */
function wavesOf({ journalMegabytes }: Plan): Readonly<Record<string, number>> {
  if (journalMegabytes === undefined) return {};
  const megabytesMax = Math.max(1, Math.floor(journalMegabytes / 8));
  return { ringMegabytesMax: megabytesMax, stripMegabytesMax: megabytesMax };
}

/** A gateway under its supervisor: `vigil run`. */
export interface SupervisedGateway {
  readonly supervisor: Program;
  /** What the supervisor said so far. */
  readonly events: () => readonly SupervisorEvent[];
  /** The gateway's process of now: the one started last. */
  readonly gatewayPid: () => number;
}

/** Starts `vigil run` and waits until the gateway calls itself ready. */
export async function runSupervised(stage: Stage, files: Files, env: NodeJS.ProcessEnv = {}): Promise<SupervisedGateway> {
  const supervisor = stage.vigil(["run", "--config", files.configFile], env);
  const events = () => supervisorEvents(supervisor);
  await until(
    `the gateway is ready (it said: ${supervisor.stderr.slice(-5).join(" ")})`,
    () => events().some((event) => event.kind === "gateway-ready"),
    30_000,
  );
  return {
    supervisor,
    events,
    gatewayPid: () => {
      const started = events().findLast((event) => event.kind === "gateway-started");
      if (started === undefined) throw new Error("no gateway was started");
      return started.pid;
    },
  };
}

/** The supervisor's lines of JSON. */
function supervisorEvents(supervisor: Program): readonly SupervisorEvent[] {
  return supervisor.stderr.flatMap((line) =>
    line.startsWith('{"supervisor":') ? [(JSON.parse(line) as { readonly supervisor: SupervisorEvent }).supervisor] : [],
  );
}

/** What the door answered to a deed; null where nobody answered. */
export type PerformAnswer =
  | { readonly ok: true; readonly value: { readonly seq: number; readonly durable: boolean } }
  | { readonly ok: false; readonly error: unknown }
  | null;

/** What `vigil verify` said. */
export interface Verified {
  /** 1 where a record is unexplained. */
  readonly exitCode: number | null;
  readonly said: string;
}

/** Runs `vigil verify` over the journal of a gateway that has ended, with what the far side received where there is a file of it. */
export async function verify(stage: Stage, of: { readonly configFile: string; readonly recordFile?: string }): Promise<Verified> {
  const upstream = of.recordFile === undefined ? [] : ["--upstream", of.recordFile];
  const program = stage.vigil(["verify", "--config", of.configFile, ...upstream]);
  const exitCode = await program.exited;
  return { exitCode, said: [...program.stdout, ...program.stderr].join("\n") };
}

/** Asks through the control socket, as the commands do. */
export async function perform(files: Files, deed: Deed): Promise<PerformAnswer> {
  const request = { name: "perform", body: { deed, userId: "system-test" } };
  const answer = await askGateway(join(files.dataFolder, "control.sock"), request, createSystemClock());
  return answer.ok ? (answer.value as PerformAnswer) : null;
}

/** The gateway's picture, or null where nobody answers. */
export async function picture(files: Files): Promise<PictureView | null> {
  const request = { name: "picture", body: null };
  const answer = await askGateway(join(files.dataFolder, "control.sock"), request, createSystemClock());
  return answer.ok ? (answer.value as PictureView) : null;
}

/** Sequence numbers that wait for the upstream, at most; null where nobody answers. */
export async function backlogOf(files: Files): Promise<number | null> {
  const request = { name: "stats", body: null };
  const answer = await askGateway(join(files.dataFolder, "control.sock"), request, createSystemClock());
  return answer.ok ? ((answer.value as Pick<PictureView["gateway"], "upstreams">).upstreams[0]?.backlogRecords ?? null) : null;
}

/** Open alerts with this fault's code, as the page shows them now. */
export async function openFaults(files: Files, code: string): Promise<readonly Alert[]> {
  return ((await picture(files))?.alerts ?? []).filter(
    (alert) => alert.evidence.kind === "fault" && alert.evidence.code === code,
  );
}

/** Admits a patient into each bed and assigns its device. */
export async function admitWard(files: Files, ward: SettableWard): Promise<void> {
  for (const bed of ward.beds) {
    const patient = patientId(bed.patientId);
    const deeds: readonly Deed[] = [
      {
        kind: "admit",
        patientId: patient,
        bedId: bedId(bed.bedId),
        label: bed.patientId,
        profile: { kind: "adult", spo2Scale: 1 },
        demonstration: false,
      },
      { kind: "assign", deviceId: deviceId(bed.deviceId), patientId: patient },
    ];
    for (const deed of deeds) {
      const answer = await perform(files, deed);
      if (answer?.ok !== true) throw new Error(`${deed.kind} ${bed.patientId}: ${JSON.stringify(answer)}`);
    }
  }
}
