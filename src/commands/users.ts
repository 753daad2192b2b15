import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Config } from "../../config/schema.ts";
import { createSystemClock } from "../clock.ts";
import type { AccessDeed } from "../core/act.ts";
import type { Fault } from "../core/errors.ts";
import type { Result } from "../core/result.ts";
import { ROLES } from "../core/rights.ts";
import { openAccounts } from "../dashboard/server/accounts.ts";
import { createUserDesk, parseUserRequest, type UserRequest } from "../dashboard/server/user-desk.ts";
import { askGateway } from "../gateway/control-socket.ts";
import { lockFolder } from "../journal/journal-folder.ts";
import { CONTROL_SOCKET_NAME, whoAsks } from "./ask.ts";
import type { Command, CommandIo } from "./command.ts";
import { readNewPassword } from "./password-input.ts";
import { askedOf, configOf } from "./question.ts";
import { tellFault } from "./told-fault.ts";
import { ACCOUNTS_FILE } from "./user-control.ts";

/** `vigil users`: who may sign in at the page, and as what. */
export const usersCommand: Command = {
  name: "users",
  usage: `usage: vigil users list --config FILE
       vigil users add NAME --role ROLE [--patient PATIENT] --config FILE
       vigil users passwd NAME --config FILE
       vigil users role NAME --role ROLE [--patient PATIENT] --config FILE
       vigil users remove NAME --config FILE
ROLE is one of ${ROLES.join(", ")}; a family sees the one PATIENT and changes nothing.
The password is asked for at the terminal, or is the first line of standard input; never an argument.
Acts through the running gateway, which ends the sessions of a changed account; while none runs, changes the accounts
themselves, and the next gateway records it. One JSON line per account or answer. Each change is an act in the journal.
管理登录账户；密码从终端或标准输入读取，不接受命令行参数。网关未运行时直接修改账户文件，下次启动时补记操作。`,
  run: async (args, io) => {
    const asked = questionOf(args, io);
    if (asked === null) return 2;
    const config = await configOf(asked.config, io);
    if (config === null) return 2;
    const password = asked.needsPassword ? await readNewPassword(io) : null;
    if (asked.needsPassword && password === null) return 1;
    const request = parseUserRequest({ ...asked.request, ...(password === null ? {} : { password }) });
    if (request === null) {
      io.stderr(usersCommand.usage);
      return 2;
    }
    const answer = await answerOf(config, request, io);
    if (answer === null) return 1;
    if (!answer.ok) {
      io.stdout(JSON.stringify(answer));
      tellFault(answer.error, io);
      return 1;
    }
    if (request.verb === "list") for (const user of answer.value) io.stdout(JSON.stringify(user));
    else io.stdout(JSON.stringify({ ok: true }));
    return 0;
  },
};

function questionOf(args: readonly string[], io: CommandIo) {
  return askedOf(usersCommand, io, () => {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { config: { type: "string" }, role: { type: "string" }, patient: { type: "string" } },
    });
    const [verb, name, ...more] = positionals;
    const { config, role, patient: patientId } = values;
    const named = verb === "list" ? name === undefined : name !== undefined;
    const needsRole = verb === "add" || verb === "role";
    const known = ["list", "add", "passwd", "role", "remove"].includes(verb ?? "");
    if (known && named && more.length === 0 && config !== undefined && needsRole === (role !== undefined))
      return { config, request: { verb, name, role, patientId }, needsPassword: verb === "add" || verb === "passwd" };
    return null;
  });
}

type Answer = Result<readonly unknown[], Fault>;

/** The running gateway's answer or, where none runs, that of the accounts themselves; null after it was told why there is none. */
async function answerOf(config: Config, request: UserRequest, io: CommandIo): Promise<Answer | null> {
  const clock = createSystemClock();
  const { dataFolder } = config.gateway;
  const socket = join(dataFolder, CONTROL_SOCKET_NAME);
  const from = whoAsks();
  if (existsSync(socket)) {
    const asked = await askGateway(socket, { name: "users", body: { request, ...from } }, clock);
    if (asked.ok) return asked.value as Answer;
  }
  const journal = join(dataFolder, "journal");
  await mkdir(journal, { recursive: true, mode: 0o700 });
  // While the lock is held no gateway starts: nobody else has the accounts in memory.
  const lock = lockFolder(journal);
  if (!lock.ok) {
    io.stderr(
      `A gateway runs on ${dataFolder} and does not answer; are you its user? 网关正在运行但未响应，请确认当前用户有权限。`,
    );
    tellFault(lock.error, io);
    return null;
  }
  try {
    const later = (deed: AccessDeed) => ({ atMs: clock.wall(), by: from.userId, at: from.at, deed });
    const accounts = await openAccounts(join(dataFolder, ACCOUNTS_FILE), randomBytes, later);
    if (!accounts.ok) return accounts;
    return await createUserDesk({ accounts: accounts.value, clock }).handle(request, () => {});
  } finally {
    lock.value.release();
  }
}
