import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../config/schema.ts";
import { createSystemClock } from "../clock.ts";
import type { Deed } from "../core/act.ts";
import { ERRORS, type ErrorCode } from "../core/errors.ts";
import type { Text } from "../core/quantities.ts";
import type { PictureView } from "../core/stream.ts";
import { askGateway } from "../gateway/control-socket.ts";
import type { CommandIo } from "./command.ts";
import { tellProblems } from "./run.ts";

/** The file name of the control socket, below the gateway's data folder. */
export const CONTROL_SOCKET_NAME = "control.sock";

/** What to do about a refused deed, by its `why` fact. */
// biome-ignore format: one row a line, so that it reads as the table it is.
const REFUSALS: Readonly<Record<string, Text>> = {
  "unknown-bed": { en: "The configuration has no such bed; its beds are listed there under beds.", zh: "配置中没有此床位，请查看配置的 beds。" },
  "unknown-device": { en: "The configuration has no such device; `vigil devices list` shows them.", zh: "配置中没有此设备，请用 vigil devices list 查看。" },
  "unknown-patient": { en: "No such patient is admitted; admit first, `vigil patients list` shows who is.", zh: "该患者未入床，请先入床；可用 vigil patients list 查看。" },
  "already-admitted": { en: "This patient is admitted already; `vigil patients list` shows in which bed.", zh: "该患者已入床，可用 vigil patients list 查看床位。" },
  "device-in-use": { en: "This device is on another patient; release it first with `vigil devices release`.", zh: "该设备正用于其他患者，请先用 vigil devices release 解除。" },
  "device-not-assigned": { en: "This device is on nobody; `vigil devices list` shows what is.", zh: "该设备未分配给任何患者，可用 vigil devices list 查看。" },
  "impossible-limit": { en: "No living person reaches this limit; check the value.", zh: "限值超出人体可能范围，请核对数值。" },
  "already-there": { en: "The patient lies in this bed already; nothing was changed.", zh: "该患者已在此床，未做更改。" },
  "same-patient": { en: "Both numbers are the same; give the number that stays and the former one.", zh: "两个编号相同；请分别给出保留的编号和原编号。" },
  "demonstration-differs": { en: "One of the two is a demonstration, the other a real patient; they are never one.", zh: "其中一个是演示患者，另一个是真实患者，不能合并。" },
  "device-on-another": { en: "This device is on another patient; release it and assign it anew.", zh: "该设备分配给了其他患者；请解除后重新分配。" },
  "unknown-alert": { en: "There is no such alert in the journal; check its id.", zh: "日志中没有此报警，请核对编号。" },
  "alert-ended": { en: "This alert has ended; nothing is left to acknowledge.", zh: "该报警已结束，无需确认。" },
  "already-acknowledged": { en: "Somebody has acknowledged this alert already.", zh: "该报警已被确认。" },
  "expiry-past": { en: "The limit would end before now; give a later time, and check the clock.", zh: "限值的到期时间已过；请给出更晚的时间，并检查时钟。" },
  "expiry-far": { en: "The limit would last for more than a week; give an earlier end, or none.", zh: "限值有效期超过一周；请给出更早的到期时间，或不设到期。" },
  "bed-occupied": { en: "Another patient lies in this bed; discharge them first if they have left it.", zh: "此床已有其他患者；若已离床，请先办理出床。" },
};

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
  const answer = await ask(configFile, { name: "perform", body: { deed, ...whoAsks() } }, io);
  if (answer === null) return 1;
  io.stdout(JSON.stringify(answer));
  if (typeof answer !== "object" || !("ok" in answer)) return 1;
  if (answer.ok === true) return 0;
  const error =
    "error" in answer ? (answer.error as { readonly code?: ErrorCode; readonly facts?: Readonly<Record<string, unknown>> }) : {};
  if (error.code !== undefined) io.stderr(refusalText(error.code, error.facts ?? {}));
  return 1;
}

/** Lets the running gateway record what was changed in the broker's accounts; where none runs, says that the next one does. */
export async function recordDeviceAccounts(dataFolder: string, io: CommandIo): Promise<void> {
  const socket = join(dataFolder, CONTROL_SOCKET_NAME);
  const answer = await askGateway(socket, { name: "device-accounts", body: null }, createSystemClock());
  if (!answer.ok) io.stderr("No gateway answers; the next one records this when it starts. 网关未响应，下次启动时补记此操作。");
}

function refusalText(code: ErrorCode, facts: Readonly<Record<string, unknown>>): string {
  const why = String(facts["why"]);
  const known = Object.hasOwn(REFUSALS, why) ? REFUSALS[why] : undefined;
  if (known !== undefined) return `${known.en} ${known.zh}`;
  const { title, remedy } = ERRORS[code];
  return `${title.en} (${JSON.stringify(facts)}). ${remedy.en} ${title.zh}。${remedy.zh}`;
}

/** The running gateway's picture, or null after the reason was told. */
export async function pictureThroughSocket(configFile: string, io: CommandIo): Promise<PictureView | null> {
  return (await ask(configFile, { name: "picture", body: null }, io)) as PictureView | null;
}
