import { join } from "node:path";
import { loadConfig } from "../../config/schema.ts";
import { createSystemClock } from "../clock.ts";
import type { Deed } from "../core/act.ts";
import { ERRORS, type ErrorCode } from "../core/errors.ts";
import type { PictureView } from "../core/stream.ts";
import { askGateway } from "../gateway/control-socket.ts";
import type { CommandIo } from "./command.ts";
import { tellProblems } from "./run.ts";

/** The file name of the control socket, below the gateway's data folder. */
export const CONTROL_SOCKET_NAME = "control.sock";

/** Asks the running gateway of a configuration; null after the reason was told. */
async function ask(
  configFile: string,
  request: { readonly name: string; readonly body: unknown },
  io: CommandIo,
): Promise<unknown> {
  const config = await loadConfig(configFile);
  if (!config.ok) {
    tellProblems(config.error, io);
    return null;
  }
  const answer = await askGateway(join(config.value.gateway.dataFolder, CONTROL_SOCKET_NAME), request, createSystemClock());
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
  const answer = await ask(configFile, { name: "perform", body: { deed, userId: process.env["USER"] ?? "root" } }, io);
  if (answer === null) return 1;
  io.stdout(JSON.stringify(answer));
  if (typeof answer !== "object" || !("ok" in answer)) return 1;
  if (answer.ok === true) return 0;
  const error =
    "error" in answer ? (answer.error as { readonly code?: ErrorCode; readonly facts?: Readonly<Record<string, unknown>> }) : {};
  if (error.code !== undefined)
    io.stderr(
      `${ERRORS[error.code].title.en} (${JSON.stringify(error.facts ?? {})}). ${ERRORS[error.code].remedy.en} ${ERRORS[error.code].title.zh}。${ERRORS[error.code].remedy.zh}`,
    );
  return 1;
}

/** The running gateway's picture, or null after the reason was told. */
export async function pictureThroughSocket(configFile: string, io: CommandIo): Promise<PictureView | null> {
  return (await ask(configFile, { name: "picture", body: null }, io)) as PictureView | null;
}
