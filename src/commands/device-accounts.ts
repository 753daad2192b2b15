import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../../config/schema.ts";
import { findDriver } from "../../drivers/index.ts";
import { BROKER_ACCOUNTS_FILE } from "../broker/broker.ts";
import { type BrokerAccount, type BrokerAccounts, openBrokerAccounts } from "../broker/broker-accounts.ts";
import type { TopicRight } from "../broker/topic-rights.ts";
import { createSystemClock } from "../clock.ts";
import type { AccessDeed } from "../core/act.ts";
import type { Fault } from "../core/errors.ts";
import { linkSpecOf } from "../gateway/link-spec.ts";
import { recordDeviceAccounts, whoAsks } from "./ask.ts";
import type { CommandIo } from "./command.ts";
import { configOf } from "./question.ts";
import { tellFault } from "./told-fault.ts";

/** What an account of the gateway's broker is to be. */
export interface AccountWish {
  readonly name: string;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly clientIds: readonly string[];
  readonly days: number | null;
  readonly certificateOnly: boolean;
}

const DAY_MS = 86_400_000;

/**
 * Makes an account and prints its password, which nobody can read again anywhere. A device of the configuration may publish on its own
 * topics where nothing else is said. A running gateway knows the account at its next connection.
 *
 * @returns  The exit code.
 */
export async function addDeviceAccount(configFile: string, wish: AccountWish, io: CommandIo): Promise<number> {
  const opened = await open(configFile, io);
  if (opened === null) return 1;
  const { config, accounts } = opened;
  const rights = rightsOf(config, wish);
  const added = await accounts.add({
    name: wish.name,
    ...(rights === null ? {} : { rights }),
    ...(wish.clientIds.length === 0 ? {} : { clientIds: wish.clientIds }),
    expiresAtMs: wish.days === null ? null : createSystemClock().wall() + wish.days * DAY_MS,
    certificateOnly: wish.certificateOnly,
  });
  if (!added.ok) return refused(added.error, io);
  await recordDeviceAccounts(config.gateway.dataFolder, io);
  const account = accounts.find(wish.name);
  io.stdout(JSON.stringify({ ...(account === null ? {} : shown(account)), password: added.value.password, ...whereOf(config) }));
  if (added.value.password !== null)
    io.stderr(
      "The password is shown this once; only its hash is kept. Lost: `vigil devices renew`. 密码仅显示这一次，只保存其散列；遗失请用 vigil devices renew。",
    );
  return 0;
}

/** Prints the accounts, a JSON line each, without anything secret. */
export async function listDeviceAccounts(configFile: string, io: CommandIo): Promise<number> {
  const opened = await open(configFile, io);
  if (opened === null) return 1;
  for (const account of opened.accounts.list()) io.stdout(JSON.stringify(shown(account)));
  return 0;
}

/** Gives an account a new password and prints it; the former one opens nothing any more. */
export async function renewDevicePassword(configFile: string, name: string, io: CommandIo): Promise<number> {
  const opened = await open(configFile, io);
  if (opened === null) return 1;
  const renewed = await opened.accounts.renewPassword(name);
  if (!renewed.ok) return refused(renewed.error, io);
  await recordDeviceAccounts(opened.config.gateway.dataFolder, io);
  io.stdout(JSON.stringify({ name, password: renewed.value.password }));
  return 0;
}

/** Removes an account. */
export async function forgetDeviceAccount(configFile: string, name: string, io: CommandIo): Promise<number> {
  const opened = await open(configFile, io);
  if (opened === null) return 1;
  const removed = await opened.accounts.remove(name);
  if (!removed.ok) return refused(removed.error, io);
  await recordDeviceAccounts(opened.config.gateway.dataFolder, io);
  io.stdout(JSON.stringify({ ok: true, name }));
  return 0;
}

async function open(
  configFile: string,
  io: CommandIo,
): Promise<{ readonly config: Config; readonly accounts: BrokerAccounts } | null> {
  const config = await configOf(configFile, io);
  if (config === null) return null;
  const { dataFolder } = config.gateway;
  await mkdir(dataFolder, { recursive: true, mode: 0o700 }).catch(() => undefined);
  const now = createSystemClock().wall;
  const { userId: by, at } = whoAsks();
  const parts = { now, random: randomBytes, later: (deed: AccessDeed) => ({ atMs: now(), by, at, deed }) };
  const accounts = await openBrokerAccounts(join(dataFolder, BROKER_ACCOUNTS_FILE), parts);
  if (accounts.ok) return { config, accounts: accounts.value };
  tellFault(accounts.error, io);
  return null;
}

/** What was asked for, else the topics of the configured device of this name, else null: what any device may. */
function rightsOf(config: Config, wish: AccountWish): readonly TopicRight[] | null {
  const asked = [
    ...wish.publish.map((filter): TopicRight => ({ access: "publish", filter })),
    ...wish.subscribe.map((filter): TopicRight => ({ access: "subscribe", filter })),
  ];
  if (asked.length > 0) return asked;
  const device = config.devices.find(({ id }) => id === wish.name);
  const driver = device === undefined ? null : findDriver(device.driver);
  if (device === undefined || driver === null || device.link.kind !== "mqtt") return null;
  const spec = linkSpecOf(device, driver, config);
  return spec.kind === "mqtt" ? spec.topics.map((filter) => ({ access: "publish", filter })) : null;
}

function shown({ name, clientIds, rights, password, createdAtMs, expiresAtMs }: BrokerAccount): object {
  const time = (atMs: number | null) => (atMs === null ? null : new Date(atMs).toISOString());
  const opensFor = password === null ? "certificate" : "password";
  return { name, clientIds, rights, opensFor, createdAt: time(createdAtMs), expiresAt: time(expiresAtMs) };
}

/** Where a device finds the broker, as far as the configuration says. */
function whereOf({ broker }: Config): object {
  if (broker === undefined) return {};
  return { port: broker.port, tlsPort: broker.tls?.port ?? null };
}

function refused(reason: Fault, io: CommandIo): 1 {
  tellFault(reason, io);
  return 1;
}
