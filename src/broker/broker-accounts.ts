import { readFile, stat } from "node:fs/promises";
import { withFileLock } from "../accounts/file-lock.ts";
import { HASH_BYTES, hashPassword, type PasswordCost, SALT_BYTES } from "../accounts/password-hash.ts";
import { writePrivateFile } from "../accounts/private-file.ts";
import { isWaitingChange, type WaitingChange } from "../accounts/waiting-change.ts";
import type { AccessDeed } from "../core/act.ts";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { WallMs } from "../core/time.ts";
import { isTopicFilter } from "../core/topic-filter.ts";
import { DEVICE_RIGHTS, type TopicRight } from "./topic-rights.ts";

/**
 * The cost of one hash: 1 MiB and about 3 ms on a desk computer. The passwords are drawn by lot with 140 bits: nobody guesses them whatever a
 * guess costs, and 500 devices that come back together after a restart are not to wait for one another.
 */
export const BROKER_PASSWORD_COST: PasswordCost = { costN: 2 ** 10, blockSizeR: 8, parallelP: 1 };
/** Letters and digits that nobody takes for another; 32 of them carry five bits each. */
const PASSWORD_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789";
const PASSWORD_GROUPS = 4;
const PASSWORD_GROUP_LETTERS = 7;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** A password as it is kept. */
export interface PasswordHash extends PasswordCost {
  readonly saltBase64: string;
  readonly hashBase64: string;
}

/** One client of the broker, or a few that belong together. The password itself is nowhere. */
export interface BrokerAccount {
  /** The user name. */
  readonly name: string;
  /** With which client ids it may come; no other account has them. */
  readonly clientIds: readonly string[];
  readonly rights: readonly TopicRight[];
  /** Null where only a certificate opens it, whose common name is the client id. */
  readonly password: PasswordHash | null;
  readonly createdAtMs: number;
  /** From then on it opens nothing; null: never. */
  readonly expiresAtMs: number | null;
}

/** An account that is wished for. */
export interface NewBrokerAccount {
  readonly name: string;
  /** `DEVICE_RIGHTS` where left out. */
  readonly rights?: readonly TopicRight[] | undefined;
  /** The name where left out. */
  readonly clientIds?: readonly string[] | undefined;
  readonly expiresAtMs?: number | null | undefined;
  /** True: it has no password and opens for a certificate only. */
  readonly certificateOnly?: boolean | undefined;
}

/** The accounts of the broker, in one file that only the gateway's user can read. Every change is on disk when it resolves. */
export interface BrokerAccounts {
  readonly list: () => readonly BrokerAccount[];
  readonly find: (name: string) => BrokerAccount | null;
  readonly findByClientId: (clientId: string) => BrokerAccount | null;
  /** The password is told this once; null where the account has none. Fails with `broker-account-refused` or `broker-accounts-unreadable`. */
  readonly add: (account: NewBrokerAccount) => Promise<Result<{ readonly password: string | null }, Fault>>;
  readonly remove: (name: string) => Promise<Result<void, Fault>>;
  /** The former password opens nothing any more, and connections that it opened are ended. */
  readonly renewPassword: (name: string) => Promise<Result<{ readonly password: string }, Fault>>;
  /** Takes over what another process has written; the accounts stay as they were where the file cannot be read. */
  readonly refresh: () => Promise<Result<void, Fault>>;
  /**
   * Tells the changes that were made with `later` and that nobody has told yet, in order, and forgets them when all are told. Cut off before
   * that, or on a full disk, they are told by the next as well: twice is better than never. One at a time.
   */
  readonly tellWaitingChanges: (tell: (change: WaitingChange) => Promise<unknown>) => Promise<Result<void, Fault>>;
  /** Calls back with each account as it was before it was changed or removed, and returns how to stop that. */
  readonly onChanged: (listener: (former: BrokerAccount) => void) => () => void;
}

/** What the accounts are made of. */
export interface BrokerAccountsParts {
  readonly now: () => WallMs;
  /** Unpredictable bytes. */
  readonly random: (bytes: number) => Buffer;
  /** For a command: what the gateway is to record of a change. It is written with the change, so that neither is without the other. */
  readonly later?: (deed: AccessDeed) => WaitingChange;
}

/**
 * Opens the accounts of a gateway's broker, in the running gateway or for a command. Each change reads the file again before, so that a
 * command and the gateway may both change it.
 *
 * @param file  Full path of `broker-accounts.json`; a missing file means that there are no accounts yet.
 * @returns     `broker-accounts-unreadable` where it is there and cannot be read or understood.
 */
export async function openBrokerAccounts(file: string, parts: BrokerAccountsParts): Promise<Result<BrokerAccounts, Fault>> {
  const accounts = new AccountsFile(file, parts);
  const read = await accounts.refresh();
  if (!read.ok) return read;
  return succeed({
    list: () => [...accounts.byName.values()],
    find: (name) => accounts.byName.get(name) ?? null,
    findByClientId: (clientId) => accounts.byClientId.get(clientId) ?? null,
    add: (account) => accounts.add(account),
    remove: (name) => accounts.remove(name),
    renewPassword: (name) => accounts.renewPassword(name),
    refresh: () => accounts.refresh(),
    tellWaitingChanges: (tell) => accounts.tellWaitingChanges(tell),
    onChanged: (listener) => accounts.onChanged(listener),
  });
}

class AccountsFile {
  byName: ReadonlyMap<string, BrokerAccount> = new Map();
  byClientId: ReadonlyMap<string, BrokerAccount> = new Map();
  readonly #file: string;
  readonly #parts: BrokerAccountsParts;
  readonly #listeners = new Set<(former: BrokerAccount) => void>();
  #changes: readonly WaitingChange[] = [];
  #stamp = "unread";
  #turn: Promise<unknown> = Promise.resolve();

  constructor(file: string, parts: BrokerAccountsParts) {
    this.#file = file;
    this.#parts = parts;
  }

  onChanged(listener: (former: BrokerAccount) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  refresh(): Promise<Result<void, Fault>> {
    return this.#inTurn(() => this.#read());
  }

  add(wanted: NewBrokerAccount): Promise<Result<{ readonly password: string | null }, Fault>> {
    return this.#change(async () => {
      const { name, clientIds = [name], rights = DEVICE_RIGHTS, expiresAtMs = null, certificateOnly = false } = wanted;
      const problem = this.#problemOf({ name, clientIds, rights, expiresAtMs });
      if (problem !== null) return fail(problem);
      const made = certificateOnly ? null : await this.#makePassword();
      const createdAtMs = this.#parts.now();
      const account = { name, clientIds, rights, password: made?.hash ?? null, createdAtMs, expiresAtMs };
      const written = await this.#write([...this.byName.values(), account], { kind: "device-account-added", account: name });
      return written.ok ? succeed({ password: made?.password ?? null }) : written;
    });
  }

  remove(name: string): Promise<Result<void, Fault>> {
    return this.#change(async () => {
      if (!this.byName.has(name)) return fail(fault("broker-account-refused", { field: "name", reason: "unknown", name }));
      const left = [...this.byName.values()].filter((account) => account.name !== name);
      return this.#write(left, { kind: "device-account-removed", account: name });
    });
  }

  renewPassword(name: string): Promise<Result<{ readonly password: string }, Fault>> {
    return this.#change(async () => {
      if (!this.byName.has(name)) return fail(fault("broker-account-refused", { field: "name", reason: "unknown", name }));
      const made = await this.#makePassword();
      const renewed = [...this.byName.values()].map((one) => (one.name === name ? { ...one, password: made.hash } : one));
      const written = await this.#write(renewed, { kind: "device-account-changed", account: name, what: "password" });
      return written.ok ? succeed({ password: made.password }) : written;
    });
  }

  async tellWaitingChanges(tell: (change: WaitingChange) => Promise<unknown>): Promise<Result<void, Fault>> {
    const read = await this.refresh();
    const waiting = this.#changes;
    if (!read.ok || waiting.length === 0) return read;
    // Not under the lock: telling waits for a disk. Others add theirs behind these meanwhile.
    for (const change of waiting) await tell(change);
    return this.#change(() => this.#keep([...this.byName.values()], this.#changes.slice(waiting.length)));
  }

  /** Changes what is on disk now, while no other process does. */
  #change<Value>(work: () => Promise<Result<Value, Fault>>): Promise<Result<Value, Fault>> {
    return this.#inTurn(async () => {
      const lockParts = { now: this.#parts.now, ageMsMax: LIMITS.brokerAccountsLockMsMax.value };
      const done = await withFileLock(this.#file, lockParts, async () => {
        const read = await this.#read();
        return read.ok ? work() : read;
      });
      return done.ok ? done.value : fail(fault("broker-accounts-unreadable", { reason: done.error }));
    });
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  #problemOf(wanted: Pick<BrokerAccount, "name" | "clientIds" | "rights" | "expiresAtMs">): Fault | null {
    const { name, clientIds, rights, expiresAtMs } = wanted;
    const refuse = (field: string, reason: string) => fault("broker-account-refused", { field, reason });
    if (!NAME.test(name)) return refuse("name", "characters");
    if (this.byName.has(name)) return refuse("name", "taken");
    if (this.byName.size >= LIMITS.brokerAccountsMax.value) return refuse("name", "too-many-accounts");
    if (clientIds.length === 0 || clientIds.length > LIMITS.brokerClientIdsPerAccountMax.value)
      return refuse("clientIds", "count");
    if (!clientIds.every((id) => NAME.test(id))) return refuse("clientIds", "characters");
    if (new Set(clientIds).size < clientIds.length) return refuse("clientIds", "twice");
    if (clientIds.some((id) => this.byClientId.has(id))) return refuse("clientIds", "taken");
    if (rights.length > LIMITS.brokerRightsPerAccountMax.value) return refuse("rights", "count");
    if (!rights.every(isRight)) return refuse("rights", "filter");
    if (expiresAtMs !== null && !Number.isFinite(expiresAtMs)) return refuse("expiresAtMs", "no-time");
    return null;
  }

  async #makePassword(): Promise<{ readonly password: string; readonly hash: PasswordHash }> {
    const { random } = this.#parts;
    const letters = [...random(PASSWORD_GROUPS * PASSWORD_GROUP_LETTERS)].map((byte) => PASSWORD_ALPHABET[byte % 32] ?? "");
    const groups = Array.from({ length: PASSWORD_GROUPS }, (_, index) =>
      letters.slice(index * PASSWORD_GROUP_LETTERS, (index + 1) * PASSWORD_GROUP_LETTERS).join(""),
    );
    const password = groups.join("-");
    const salt = random(SALT_BYTES);
    const hash = await hashPassword(password, salt, BROKER_PASSWORD_COST);
    return {
      password,
      hash: { ...BROKER_PASSWORD_COST, saltBase64: salt.toString("base64"), hashBase64: hash.toString("base64") },
    };
  }

  async #read(): Promise<Result<void, Fault>> {
    try {
      const stamp = await stampOf(this.#file);
      if (stamp === this.#stamp) return succeed(undefined);
      const text = stamp === MISSING ? null : await readFile(this.#file, "utf8");
      const accounts = text === null ? { accounts: [], changes: [] } : fileOf(text);
      if (accounts === null) return fail(fault("broker-accounts-unreadable", { reason: "damaged" }));
      this.#take(accounts.accounts);
      this.#changes = accounts.changes;
      this.#stamp = stamp;
      return succeed(undefined);
    } catch (error) {
      return fail(fault("broker-accounts-unreadable", { reason: codeOf(error) }));
    }
  }

  async #write(accounts: readonly BrokerAccount[], deed: AccessDeed): Promise<Result<void, Fault>> {
    const { later } = this.#parts;
    const changes = later === undefined ? this.#changes : [...this.#changes, later(deed)];
    if (changes.length > LIMITS.accountChangesWaitingMax.value)
      return fail(fault("broker-account-refused", { field: "changes", reason: "changes-waiting" }));
    return this.#keep(accounts, changes);
  }

  async #keep(accounts: readonly BrokerAccount[], changes: readonly WaitingChange[]): Promise<Result<void, Fault>> {
    const content = { version: 1, accounts, ...(changes.length === 0 ? {} : { changes }) };
    const written = await writePrivateFile(this.#file, `${JSON.stringify(content, null, 2)}\n`);
    if (!written.ok) return fail(fault("broker-accounts-unreadable", { reason: written.error }));
    this.#take(accounts);
    this.#changes = changes;
    this.#stamp = await stampOf(this.#file).catch(() => "unread");
    return succeed(undefined);
  }

  #take(accounts: readonly BrokerAccount[]): void {
    const former = this.byName;
    this.byName = new Map(accounts.map((account) => [account.name, account]));
    this.byClientId = new Map(accounts.flatMap((account) => account.clientIds.map((id) => [id, account] as const)));
    for (const [name, account] of former) {
      const present = this.byName.get(name);
      if (present !== undefined && JSON.stringify(present) === JSON.stringify(account)) continue;
      for (const listener of this.#listeners) listener(account);
    }
  }
}

const MISSING = "missing";

/** Changes whenever the file was written anew. */
async function stampOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(file, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return MISSING;
    throw error;
  }
}

function isRight(right: TopicRight): boolean {
  const { access, filter } = right;
  const isKnown = access === "publish" || access === "subscribe";
  return isKnown && isTopicFilter(filter) && !filter.startsWith("$share/") && filter.length <= LIMITS.brokerTopicBytesMax.value;
}

const CHANGE_KINDS = ["device-account-added", "device-account-changed", "device-account-removed"] as const;

/** Null where the text is not a file of accounts. */
function fileOf(
  text: string,
): { readonly accounts: readonly BrokerAccount[]; readonly changes: readonly WaitingChange[] } | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null || !("accounts" in parsed) || !Array.isArray(parsed.accounts)) return null;
    if (!("version" in parsed) || parsed.version !== 1) return null;
    const accounts: readonly unknown[] = parsed.accounts;
    const changes: unknown = "changes" in parsed ? parsed.changes : [];
    if (!Array.isArray(changes) || !changes.every((change) => isWaitingChange(change, CHANGE_KINDS))) return null;
    return accounts.every(isAccount) && isEachOnce(accounts) ? { accounts, changes } : null;
  } catch {
    return null;
  }
}

/** Two accounts of one name or client id would take each other's connections. */
function isEachOnce(accounts: readonly BrokerAccount[]): boolean {
  const clientIds = accounts.flatMap((account) => account.clientIds);
  return new Set(accounts.map(({ name }) => name)).size === accounts.length && new Set(clientIds).size === clientIds.length;
}

function isAccount(value: unknown): value is BrokerAccount {
  if (typeof value !== "object" || value === null) return false;
  const { name, clientIds, rights, password, createdAtMs, expiresAtMs } = value as Readonly<Record<string, unknown>>;
  return (
    isName(name) &&
    Array.isArray(clientIds) &&
    clientIds.every(isName) &&
    Array.isArray(rights) &&
    rights.every((right: unknown) => typeof right === "object" && right !== null && isRight(textsOf(right))) &&
    (password === null || isPasswordHash(password)) &&
    typeof createdAtMs === "number" &&
    (expiresAtMs === null || typeof expiresAtMs === "number")
  );
}

function isName(value: unknown): value is string {
  return typeof value === "string" && NAME.test(value);
}

/** What stands there, as texts: a right of the wrong type is no right. */
function textsOf(right: object): TopicRight {
  const { access, filter } = right as Readonly<Record<string, unknown>>;
  return { access: String(access) as TopicRight["access"], filter: typeof filter === "string" ? filter : "" };
}

function isPasswordHash(value: unknown): value is PasswordHash {
  if (typeof value !== "object" || value === null) return false;
  const { costN, blockSizeR, parallelP, saltBase64, hashBase64 } = value as Readonly<Record<string, unknown>>;
  return (
    typeof costN === "number" &&
    Number.isInteger(Math.log2(costN)) &&
    costN >= 2 ** 10 &&
    costN <= 2 ** 17 &&
    blockSizeR === 8 &&
    parallelP === 1 &&
    typeof saltBase64 === "string" &&
    typeof hashBase64 === "string" &&
    Buffer.from(hashBase64, "base64").length === HASH_BYTES
  );
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
