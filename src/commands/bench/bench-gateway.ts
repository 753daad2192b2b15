import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { createSystemClock } from "../../clock.ts";
import type { Deed } from "../../core/act.ts";
import { assert } from "../../core/result.ts";
import { askGateway } from "../../gateway/control-socket.ts";
import { MAIN_FILE } from "../run.ts";
import { limitToShare } from "./cgroup.ts";
import { type BenchDisk, SLOW_DISK } from "./conditions.ts";
import { PAUSES_VARIABLE } from "./pauses.ts";
import { processTree } from "./processes.ts";

/** The supervisor's process with the gateway in it, held to its share. */
export interface StartedGateway {
  readonly pid: number;
  readonly shareWasHeld: boolean;
  readonly stop: () => Promise<void>;
}

/**
 * Starts a gateway with the configuration `config.yaml` of a folder, in processes of its own, which end with this one at the latest.
 *
 * @param plan  `coreShareMax`: share of one core its processes may use together, or null for as much as there is.
 */
export function startGateway(
  folder: string,
  plan: { readonly disk: BenchDisk; readonly coreShareMax: number | null },
): StartedGateway {
  const { fsyncMs, slowFsyncMs, slowShare, seed } = SLOW_DISK;
  const disk = plan.disk === "slow" ? { VIGIL_SIMULATED_DISK: [fsyncMs, slowFsyncMs, slowShare, seed].join(",") } : {};
  const child = spawn(process.execPath, [MAIN_FILE, "run", "--config", join(folder, "config.yaml")], {
    env: { ...process.env, ...disk, [PAUSES_VARIABLE]: "1" },
    stdio: ["ignore", "ignore", "ignore"],
  });
  const { pid } = child;
  assert(pid !== undefined, "the program that runs the bench can be started again");
  const limit = plan.coreShareMax === null ? null : limitToShare(pid, plan.coreShareMax);
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  // A bench that is ended in the middle leaves no gateway behind, which would write into a folder that is gone.
  const endWithBench = () => {
    for (const each of processTree(pid)) process.kill(each, "SIGKILL");
  };
  process.once("exit", endWithBench);
  return {
    pid,
    shareWasHeld: plan.coreShareMax === null || limit !== null,
    stop: async () => {
      child.kill("SIGTERM");
      await exited;
      process.off("exit", endWithBench);
      limit?.release();
    },
  };
}

/** A port of the loopback interface that nobody uses. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Asks until the gateway is there; a bench that cannot start its gateway has nothing to say. */
export async function ask(socket: string, request: { readonly name: string; readonly body: unknown }): Promise<unknown> {
  const clock = createSystemClock();
  for (let attempt = 0; attempt < 300; attempt++) {
    const answer = await askGateway(socket, request, clock);
    if (answer.ok) return answer.value;
    await clock.sleep(100);
  }
  throw new Error("the gateway under measurement does not answer");
}

/** Has a deed done by the gateway behind a socket. */
export async function perform(socket: string, deed: Deed): Promise<void> {
  await ask(socket, { name: "perform", body: { deed, userId: "bench" } });
}
