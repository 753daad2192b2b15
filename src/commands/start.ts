import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../config/load.ts";
import type { Config } from "../../config/schema.ts";
import { BROKER_ACCOUNTS_FILE } from "../broker/broker.ts";
import { openBrokerAccounts } from "../broker/broker-accounts.ts";
import { createSystemClock } from "../clock.ts";
import type { Deed } from "../core/act.ts";
import { bedId, deviceId, patientId } from "../core/ids.ts";
import { buildPages, pagesAreStale } from "../dashboard/server/pages-build.ts";
import { askGateway } from "../gateway/control-socket.ts";
import type { SupervisorEvent } from "../supervisor/supervisor-event.ts";
import { CONTROL_SOCKET_NAME } from "./ask.ts";
import type { Command, CommandIo } from "./command.ts";
import { type GatewayBroker, MQTT_DEVICES } from "./demo-devices.ts";
import type { WorldOpened } from "./demo-world.ts";
import { MAIN_FILE, runSupervised, stopOnSignal } from "./run.ts";
import { tellFault } from "./told-fault.ts";

const PROJECT_ROOT = join(import.meta.dirname, "..", "..");
/** How many ports after the configured one are tried for the page. */
const PAGE_PORTS_MAX = 20;
/** How long the demonstration waits for its gateway before it gives up admitting patients. */
const ADMISSION_MS_MAX = 30_000;
const ADMISSION_RETRY_MS = 200;

/** Who lies in the demonstration's beds. None of them is a person. */
const PATIENTS = [
  { bed: "bed-1", patient: "demo-recorded", label: "录制 Recorded", devices: ["ivy-recorded"] },
  { bed: "bed-2", patient: "demo-worse", label: "恶化 Worsening", devices: ["monitor-2"] },
  { bed: "bed-3", patient: "demo-clip", label: "指夹 Finger clip", devices: ["clip-3", "patch-3"] },
  { bed: "bed-4", patient: "demo-stable", label: "平稳 Stable", devices: ["monitor-4"] },
] as const;

/** `npm start`: the main job on embedded defaults, with nothing to set up. */
export const startCommand: Command = {
  name: "start",
  usage: `usage: vigil start
The demonstration: gateway, page, journal, and recorded and simulated devices sending real bytes over real links.
Everything it writes lies below $VIGIL_DEMO_FOLDER, else $XDG_STATE_HOME/vigil-demo or ~/.local/state/vigil-demo.`,
  run: async (_args, io) => {
    const stop = stopOnSignal();
    io.stdout(
      "Vigil demonstration. Not a registered medical device; no live patient is here. 演示，非注册医疗器械，无真实患者。",
    );
    if (await pagesAreStale(PROJECT_ROOT)) {
      const built = await buildPages(PROJECT_ROOT);
      if (!built.ok)
        io.stderr(
          `The pages could not be built; everything else runs. 页面构建失败，其余照常运行。 ${JSON.stringify(built.error.facts)}`,
        );
    }
    const folder = demoFolder(process.env);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const password = randomBytes(18).toString("base64url");
    const world = await openWorld(password, io);
    if (world === null) return 1;
    const config = await writeConfig(folder, password, world.opened);
    if (config === null) {
      world.child.kill("SIGTERM");
      return 1;
    }
    const passwords = await makeAccounts(folder, io);
    if (config.value.broker?.port != null && passwords !== null)
      world.child.send({ port: config.value.broker.port, passwords } satisfies GatewayBroker);
    io.stdout(`data ${folder}`);
    const admitted = admitPatients(config.value, stop);
    const code = await runSupervised({
      configFile: config.file,
      sounderCommand: null,
      io,
      stop,
      sayInWords: (event) => sayInWords(event, io),
    });
    world.child.kill("SIGTERM");
    await admitted;
    return code;
  },
};

/** The ordinary course in words; whatever is out of the ordinary keeps its full line. */
function sayInWords(event: SupervisorEvent, io: CommandIo): boolean {
  if (event.kind === "gateway-started") return event.because === null;
  if (event.kind === "gateway-ready") return true;
  if (event.kind === "sound-started") {
    if (event.why === "gateway-not-answering") return false;
    io.stdout(`bell: ${event.why} alert 响铃：${{ high: "高", medium: "中", low: "低" }[event.why]}级报警`);
    return true;
  }
  if (event.kind === "stopping") {
    io.stdout("stopping 正在停止");
    return true;
  }
  if (event.kind !== "gateway-ended" || !event.asked || event.exitCode !== 0) return false;
  io.stdout("stopped; the next start goes on from here 已停止，下次启动从此处继续");
  return true;
}

function demoFolder(env: NodeJS.ProcessEnv): string {
  return env["VIGIL_DEMO_FOLDER"] ?? join(env["XDG_STATE_HOME"] ?? join(homedir(), ".local", "state"), "vigil-demo");
}

/** Starts the devices, the broker and the receiver in a process of their own, as in life. */
function openWorld(
  password: string,
  io: CommandIo,
): Promise<{ readonly child: ChildProcess; readonly opened: WorldOpened } | null> {
  const child = fork(MAIN_FILE, ["demo-world"], {
    env: { ...process.env, VIGIL_DEMO_PASSWORD: password },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  return new Promise((resolve) => {
    child.once("message", (opened) => resolve({ child, opened: opened as WorldOpened }));
    child.once("exit", (code) => {
      if (code !== 0) io.stderr(`The demonstration's devices ended with code ${code}. 演示设备进程已退出。`);
      resolve(null);
    });
  });
}

/** The configuration as it really is this time: with the ports that were free. */
async function writeConfig(
  folder: string,
  password: string,
  opened: WorldOpened,
): Promise<{ readonly file: string; readonly value: Config } | null> {
  const loaded = await loadConfig(join(PROJECT_ROOT, "config", "demo.yaml"));
  if (!loaded.ok) return null;
  const { broker } = loaded.value;
  const passwordFile = join(folder, "upstream.password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  const value: Config = {
    ...loaded.value,
    gateway: { ...loaded.value.gateway, dataFolder: folder },
    dashboard: { ...loaded.value.dashboard, port: await freePort(loaded.value.dashboard.port) },
    ...(broker === undefined ? {} : { broker: { ...broker, port: await freePort(broker.port ?? 0) } }),
    devices: loaded.value.devices.map((device) => ({
      ...device,
      link:
        device.link.kind === "tcp" ? { kind: "tcp", host: "127.0.0.1", port: opened.devicePorts[device.id] ?? 1 } : device.link,
    })),
    demonstration: { socketFile: opened.socketFile },
    upstreams: loaded.value.upstreams.map((upstream) =>
      upstream.kind === "mqtt" ? { ...upstream, url: `mqtt://127.0.0.1:${opened.brokerPort}`, passwordFile } : upstream,
    ),
  };
  const file = join(folder, "config.yaml");
  // JSON is YAML.
  await writeFile(file, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  return { file, value };
}

/** An account for each device that sends by MQTT, with a new password at each start: nobody keeps the former one. */
async function makeAccounts(folder: string, io: CommandIo): Promise<Readonly<Record<string, string>> | null> {
  const parts = { now: createSystemClock().wall, random: randomBytes };
  const accounts = await openBrokerAccounts(join(folder, BROKER_ACCOUNTS_FILE), parts);
  if (!accounts.ok) {
    tellFault(accounts.error, io);
    return null;
  }
  const passwords: Record<string, string> = {};
  for (const { name } of MQTT_DEVICES) {
    const isThere = accounts.value.find(name) !== null;
    const made = isThere ? await accounts.value.renewPassword(name) : await accounts.value.add({ name });
    if (!made.ok) tellFault(made.error, io);
    else if (made.value.password !== null) passwords[name] = made.value.password;
  }
  return passwords;
}

async function freePort(wanted: number): Promise<number> {
  for (let port = wanted; port < wanted + PAGE_PORTS_MAX; port++) {
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once("error", () => resolve(false));
      server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
  return wanted;
}

/** Admits the patients once; at a second start they are there already, and the refusals say so. */
async function admitPatients(config: Config, stop: AbortSignal): Promise<void> {
  const clock = createSystemClock();
  const socket = join(config.gateway.dataFolder, CONTROL_SOCKET_NAME);
  const deeds = PATIENTS.flatMap(({ bed, patient, label, devices }): readonly Deed[] => [
    {
      kind: "admit",
      patientId: patientId(patient),
      bedId: bedId(bed),
      label,
      profile: { kind: "adult", spo2Scale: 1 },
      demonstration: true,
    },
    ...devices.map((device) => ({ kind: "assign", deviceId: deviceId(device), patientId: patientId(patient) }) as const),
  ]);
  const giveUpAt = clock.monotonic() + ADMISSION_MS_MAX;
  for (const deed of deeds) {
    while (!stop.aborted && clock.monotonic() < giveUpAt) {
      const answer = await askGateway(socket, { name: "perform", body: { deed, userId: "demonstration" } }, clock);
      if (answer.ok) break;
      await clock.sleep(ADMISSION_RETRY_MS, stop);
    }
  }
}
