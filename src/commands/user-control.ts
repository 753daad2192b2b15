import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { BROKER_ACCOUNTS_FILE } from "../broker/broker.ts";
import { openBrokerAccounts } from "../broker/broker-accounts.ts";
import type { AccessDeed } from "../core/act.ts";
import { fault } from "../core/errors.ts";
import type { Actor, PerformAct } from "../core/ports.ts";
import { fail } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import { openAccounts } from "../dashboard/server/accounts.ts";
import type { Dashboard } from "../dashboard/server/dashboard.ts";
import { createUserDesk, parseUserRequest, waitingActor } from "../dashboard/server/user-desk.ts";

/** The file of people's accounts, below the gateway's data folder. */
export const ACCOUNTS_FILE = "accounts.json";

/** What the control socket's `users` request is answered with. */
export interface UserControlParts {
  readonly dataFolder: string;
  readonly clock: Clock;
  readonly perform: PerformAct;
  /** The page while it is served: it knows the accounts and who is signed in. Null where none is to be served. */
  readonly page: (() => Dashboard | null) | null;
}

/** Who asks through the control socket: its body says so, and only the gateway's own user and root can use the socket. */
export function commandActor(body: unknown): Actor {
  const { userId, at } = typeof body === "object" && body !== null ? (body as Readonly<Record<string, unknown>>) : {};
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? value.slice(0, 128) : null);
  return { userId: text(userId) ?? "unknown", from: "command-line", at: text(at) };
}

/**
 * Makes what records the changes that commands made in the accounts of the embedded broker: those of before the start at once, and later
 * ones when it is called. Only one at a time: what two of them read would be told twice.
 */
export function createDeviceAccountRecorder(
  parts: Pick<UserControlParts, "dataFolder" | "clock" | "perform">,
): () => Promise<unknown> {
  const { dataFolder, clock, perform } = parts;
  const record = async () => {
    const accounts = await openBrokerAccounts(join(dataFolder, BROKER_ACCOUNTS_FILE), { now: clock.wall, random: randomBytes });
    if (!accounts.ok) return accounts;
    return accounts.value.tellWaitingChanges((change) => perform(change.deed, waitingActor(change)));
  };
  let turn: Promise<unknown> = record().catch(() => undefined);
  return () => {
    const answer = turn.then(record);
    turn = answer.catch(() => undefined);
    return answer;
  };
}

/** Makes what answers `vigil users` in the running gateway. Where no page is to be served it records what was changed before. */
export function createUserControl(parts: UserControlParts): (body: unknown) => Promise<unknown> {
  // Without a page nobody else in this process knows the accounts.
  const open = () => openAccounts(join(parts.dataFolder, ACCOUNTS_FILE), randomBytes);
  const perform = (deed: AccessDeed, actor: Actor) => parts.perform(deed, actor).catch(() => undefined);
  const recordWaiting = async () => {
    const accounts = await open();
    if (accounts.ok) await accounts.value.tellWaitingChanges((change) => perform(change.deed, waitingActor(change)));
  };
  // One after the other: two who write the same file would undo each other's changes.
  let turn: Promise<unknown> = parts.page === null ? recordWaiting() : Promise.resolve();
  return async (body) => {
    const asked = typeof body === "object" && body !== null && "request" in body ? body.request : null;
    const request = parseUserRequest(asked);
    if (request === null) return fail(fault("request-refused"));
    const actor = commandActor(body);
    const page = parts.page?.() ?? null;
    if (page !== null) return page.users(request, actor);
    const answer = turn.then(async () => {
      const accounts = await open();
      if (!accounts.ok) return accounts;
      const desk = createUserDesk({ accounts: accounts.value, clock: parts.clock });
      return desk.handle(request, (deed) => void perform(deed, actor));
    });
    turn = answer.catch(() => undefined);
    return answer;
  };
}
