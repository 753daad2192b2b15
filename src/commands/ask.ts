import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { createSystemClock } from "../clock.ts";
import type { Deed } from "../core/act.ts";
import type { Fault } from "../core/errors.ts";
import type { PictureView } from "../core/stream.ts";
import { askGateway } from "../gateway/control-socket.ts";
import type { CommandIo } from "./command.ts";
import { configOf } from "./question.ts";
import { tellFault } from "./told-fault.ts";

/** The file name of the control socket, below the gateway's data folder. */
export const CONTROL_SOCKET_NAME = "control.sock";

/** Who runs this command, and at which terminal, such as `/dev/pts/3`; null where it is none. */
export function whoAsks(): { readonly userId: string; readonly at: string | null } {
  const userId = process.env["SUDO_USER"] ?? process.env["USER"] ?? "root";
  try {
    return { userId, at: process.stdin.isTTY ? readlinkSync("/proc/self/fd/0") : null };
  } catch {
    return { userId, at: null };
  }
}

/** Asks the running gateway of a configuration; null after the reason was told. */
async function ask(
  configFile: string,
  request: { readonly name: string; readonly body: unknown },
  io: CommandIo,
): Promise<unknown> {
  const config = await configOf(configFile, io);
  if (config === null) return null;
  const answer = await askGateway(join(config.gateway.dataFolder, CONTROL_SOCKET_NAME), request, createSystemClock());
  if (answer.ok) return answer.value;
  io.stderr(
    `The gateway of ${configFile} does not answer (${String(answer.error.facts["why"])}): is it running, and are you its user? 网关未响应，请确认其正在运行且当前用户有权限。`,
  );
  return null;
}

/**
 * Performs a deed on the running gateway through its control socket.
 *
 * @returns The exit code: 0 done, 1 refused or nobody there. The answer is one JSON line on standard output.
 */
export async function performThroughSocket(configFile: string, deed: Deed, io: CommandIo): Promise<number> {
  const answer = await ask(configFile, { name: "perform", body: { deed, ...whoAsks() } }, io);
  if (answer === null) return 1;
  io.stdout(JSON.stringify(answer));
  if (typeof answer !== "object" || !("ok" in answer)) return 1;
  if (answer.ok === true) return 0;
  const error = "error" in answer ? (answer.error as Partial<Fault>) : {};
  if (error.code !== undefined) tellFault({ code: error.code, facts: error.facts ?? {} }, io);
  return 1;
}

/** Lets the running gateway record what was changed in the broker's accounts; where none runs, says that the next one does. */
export async function recordDeviceAccounts(dataFolder: string, io: CommandIo): Promise<void> {
  const socket = join(dataFolder, CONTROL_SOCKET_NAME);
  const answer = await askGateway(socket, { name: "device-accounts", body: null }, createSystemClock());
  if (!answer.ok) io.stderr("No gateway answers; the next one records this when it starts. 网关未响应，下次启动时补记此操作。");
}

/** The running gateway's picture, or null after the reason was told. */
export async function pictureThroughSocket(configFile: string, io: CommandIo): Promise<PictureView | null> {
  return (await ask(configFile, { name: "picture", body: null }, io)) as PictureView | null;
}
