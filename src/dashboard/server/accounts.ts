import { createHmac, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { HASH_BYTES, hashPassword, SALT_BYTES } from "../../accounts/password-hash.ts";
import { writePrivateFile } from "../../accounts/private-file.ts";
import type { AccessDeed, Role } from "../../core/act.ts";
import { type Fault, fault } from "../../core/errors.ts";
import { type PatientId, type UserId, userId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import { fail, type Result, succeed } from "../../core/result.ts";
import { ROLES } from "./rights.ts";

/** The cost of one password hash. Source: OWASP password storage, scrypt with N = 2^15, r = 8. */
const scryptCost = { costN: 2 ** 15, blockSizeR: 8, parallelP: 1 } as const;
const nameCharactersMax = 64;
const passwordCharactersMin = 10;
const passwordCharactersMax = 256;

/** One person who may sign in, as kept in `accounts.json`. The password itself is nowhere. */
interface Account {
  readonly name: string;
  readonly costN: number;
  readonly blockSizeR: number;
  readonly parallelP: number;
  readonly saltBase64: string;
  readonly hashBase64: string;
  readonly createdAtMs: number;
  /** Left out in accounts of before there were roles: they may do everything, as they always could. */
  readonly role?: Role;
  /** The one patient a family may see; null or left out for everybody else. */
  readonly patientId?: PatientId | null;
}

/** An account as others see it. */
export interface AccountView {
  readonly name: string;
  readonly role: Role;
  readonly patientId: PatientId | null;
  readonly createdAtMs: number;
  /** True of an account of before there were roles: its session lasts as long as a nurse's, since it may be that of a wall display. */
  readonly fromBeforeRoles: boolean;
}

/** A change of accounts that was made while no gateway ran, and is to be recorded by the next one. */
export interface WaitingChange {
  readonly atMs: number;
  readonly by: string;
  readonly at: string | null;
  readonly deed: AccessDeed;
}

/** What `accounts.json` holds. */
interface AccountsFile {
  readonly accounts: readonly Account[];
  readonly changes: readonly WaitingChange[];
}

/** The people who may sign in at the page, kept in one file that only the gateway's user can read (mode 0600). */
export interface Accounts {
  readonly count: () => number;
  /** Whether an account of this name exists. */
  readonly has: (name: string) => boolean;
  /** The account of a name, as it is now; null where there is none. */
  readonly find: (name: string) => AccountView | null;
  readonly list: () => readonly AccountView[];
  /**
   * Adds an account and resolves, as all changes do, with what was done when it is on disk; refuses names that are taken or blank and
   * passwords under ten characters.
   */
  readonly add: (account: {
    readonly name: string;
    readonly password: string;
    readonly role: Role;
    readonly patientId: PatientId | null;
    readonly createdAtMs: number;
  }) => Promise<Result<AccessDeed, Fault>>;
  readonly setPassword: (name: string, password: string) => Promise<Result<AccessDeed, Fault>>;
  /** Refuses to leave nobody as administrator; so does `remove`. */
  readonly setRole: (
    name: string,
    to: { readonly role: Role; readonly patientId: PatientId | null },
  ) => Promise<Result<AccessDeed, Fault>>;
  readonly remove: (name: string) => Promise<Result<AccessDeed, Fault>>;
  /** The changes that no gateway has recorded yet; they are forgotten with this call, on disk too. */
  readonly takeWaitingChanges: () => Promise<readonly WaitingChange[]>;
  /** The user, or null where name or password is wrong; takes equally long for both. */
  readonly check: (name: string, password: string) => Promise<UserId | null>;
  /**
   * Signs a text so that nobody can who has not read `accounts.json`, and no other account does, not even a later one of the same name.
   * Hexadecimal HMAC-SHA-256 under the account's password hash; null where there is no such account.
   */
  readonly seal: (name: string, text: string) => string | null;
}

/**
 * Opens the accounts of a gateway.
 *
 * @param file    Full path of `accounts.json`; a missing file means that there are no accounts yet.
 * @param random  Source of salt bytes.
 * @param later   Given where no gateway runs: who changes the accounts, so that the next gateway can record it.
 * @returns       `page-failed` where the file is there but cannot be read or understood: a damaged file must never look like "no account yet".
 */
export async function openAccounts(
  file: string,
  random: (bytes: number) => Buffer,
  later: ((deed: AccessDeed) => WaitingChange) | null = null,
): Promise<Result<Accounts, Fault>> {
  const stored = await readAccounts(file);
  if (!stored.ok) return stored;
  let { accounts, changes } = stored.value;
  const stranger = await hashPassword("no such account", random(SALT_BYTES), scryptCost);
  const strangerSalt = random(SALT_BYTES);
  // One hash at a time: each takes 32 MiB and a tenth of a second, and watching patients comes first.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <Value>(work: () => Promise<Value>): Promise<Value> => {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  };
  const keep = async (next: readonly Account[], deed: AccessDeed): Promise<Result<AccessDeed, Fault>> => {
    const waiting = later === null ? changes : [...changes, later(deed)];
    if (waiting.length > LIMITS.accountChangesWaitingMax.value)
      return fail(fault("account-refused", { why: "changes-waiting", changesMax: LIMITS.accountChangesWaitingMax.value }));
    const written = await writeAccounts(file, { accounts: next, changes: waiting });
    if (!written.ok) return written;
    [accounts, changes] = [next, waiting];
    return succeed(deed);
  };
  const hashed = async (password: string) => {
    const salt = random(SALT_BYTES);
    const hash = await hashPassword(password, salt, scryptCost);
    return { ...scryptCost, saltBase64: salt.toString("base64"), hashBase64: hash.toString("base64") };
  };
  /** The accounts with one changed or, with null, taken out; a fault where there is none of the name, or nobody would be administrator. */
  const changed = (name: string, change: (account: Account) => Account | null): Result<readonly Account[], Fault> => {
    if (!accounts.some((account) => account.name === name)) return fail(fault("account-refused", { why: "no-account" }));
    const next = accounts.flatMap((account) => (account.name === name ? (change(account) ?? []) : [account]));
    const leaderless = !next.some((account) => roleOf(account) === "administrator");
    return leaderless ? fail(fault("account-refused", { why: "last-administrator" })) : succeed(next);
  };
  return succeed({
    count: () => accounts.length,
    has: (name) => accounts.some((account) => account.name === name),
    find: (name) => accounts.filter((account) => account.name === name).map(viewOf)[0] ?? null,
    list: () => accounts.map(viewOf),
    add: ({ name, password, role, patientId, createdAtMs }) =>
      inTurn(async () => {
        const refused = refuseName(name, accounts) ?? refusePassword(password);
        if (refused !== null) return fail(refused);
        // Without one nobody could ever make another.
        if (accounts.length === 0 && role !== "administrator")
          return fail(fault("account-refused", { why: "last-administrator" }));
        const account: Account = { name, ...(await hashed(password)), createdAtMs, role, patientId };
        return keep([...accounts, account], { kind: "account-added", account: name, role, patientId });
      }),
    setPassword: (name, password) =>
      inTurn(async () => {
        const refused = refusePassword(password);
        if (refused !== null) return fail(refused);
        const secret = await hashed(password);
        const next = changed(name, (account) => ({ ...account, ...secret }));
        return next.ok ? keep(next.value, { kind: "account-changed", account: name, what: "password" }) : next;
      }),
    setRole: (name, to) =>
      inTurn(async () => {
        const next = changed(name, (account) => ({ ...account, ...to }));
        return next.ok ? keep(next.value, { kind: "account-changed", account: name, what: "role" }) : next;
      }),
    remove: (name) =>
      inTurn(async () => {
        const next = changed(name, () => null);
        return next.ok ? keep(next.value, { kind: "account-removed", account: name }) : next;
      }),
    takeWaitingChanges: () =>
      inTurn(async () => {
        const taken = changes;
        if (taken.length === 0) return taken;
        const written = await writeAccounts(file, { accounts, changes: [] });
        // What cannot be forgotten is told by the next start as well: twice is better than never.
        if (written.ok) changes = [];
        return taken;
      }),
    check: (name, password) =>
      inTurn(async () => {
        const account = accounts.find((one) => one.name === name);
        const salt = account === undefined ? strangerSalt : Buffer.from(account.saltBase64, "base64");
        const wanted = account === undefined ? stranger : Buffer.from(account.hashBase64, "base64");
        const given = await hashPassword(password, salt, account ?? scryptCost);
        const same = given.length === wanted.length && timingSafeEqual(given, wanted);
        return same && account !== undefined ? userId(account.name) : null;
      }),
    seal: (name, text) => {
      const account = accounts.find((one) => one.name === name);
      if (account === undefined) return null;
      return createHmac("sha256", Buffer.from(account.hashBase64, "base64")).update(text).digest("hex");
    },
  });
}

function roleOf(account: Account): Role {
  return account.role ?? "administrator";
}

function viewOf(account: Account): AccountView {
  const { name, createdAtMs, patientId = null } = account;
  return { name, role: roleOf(account), patientId, createdAtMs, fromBeforeRoles: account.role === undefined };
}

function refuseName(name: string, accounts: readonly Account[]): Fault | null {
  const nameFits = name.trim() === name && name !== "" && name.length <= nameCharactersMax && !/\p{Cc}/u.test(name);
  if (!nameFits) return fault("account-refused", { field: "name", charactersMax: nameCharactersMax });
  return accounts.some((account) => account.name === name) ? fault("account-refused", { field: "name", taken: "yes" }) : null;
}

function refusePassword(password: string): Fault | null {
  if (password.length < passwordCharactersMin || password.length > passwordCharactersMax) {
    return fault("account-refused", {
      field: "password",
      charactersMin: passwordCharactersMin,
      charactersMax: passwordCharactersMax,
    });
  }
  return null;
}

async function readAccounts(file: string): Promise<Result<AccountsFile, Fault>> {
  let content: string;
  try {
    content = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return succeed({ accounts: [], changes: [] });
    return fail(fault("page-failed", { reason: "accounts.json cannot be read" }));
  }
  try {
    const parsed: unknown = JSON.parse(content);
    if (isAccountsFile(parsed)) return succeed({ accounts: parsed.accounts, changes: parsed.changes ?? [] });
  } catch {
    // Falls through: text that is not JSON is as damaged as JSON of another shape.
  }
  return fail(fault("page-failed", { reason: "accounts.json is damaged" }));
}

function isAccountsFile(
  value: unknown,
): value is { readonly accounts: readonly Account[]; readonly changes?: readonly WaitingChange[] } {
  if (typeof value !== "object" || value === null || !("accounts" in value) || !Array.isArray(value.accounts)) return false;
  const changes = "changes" in value ? value.changes : [];
  return value.accounts.every(isAccount) && Array.isArray(changes) && changes.every(isWaitingChange);
}

function isWaitingChange(value: unknown): value is WaitingChange {
  if (typeof value !== "object" || value === null) return false;
  const { atMs, by, at, deed } = value as Readonly<Record<string, unknown>>;
  const told = typeof deed === "object" && deed !== null && "kind" in deed && typeof deed.kind === "string" ? deed.kind : "";
  const known = ["account-added", "account-changed", "account-removed"].includes(told);
  return typeof atMs === "number" && typeof by === "string" && (at === null || typeof at === "string") && known;
}

/** Left out is an account of before there were roles; a role nobody knows makes the file a damaged one, never an administrator. */
function isRole(value: unknown): boolean {
  return value === undefined || ROLES.some((role) => role === value);
}

function isAccount(value: unknown): value is Account {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Readonly<Record<string, unknown>>;
  const costN = fields["costN"];
  return (
    typeof fields["name"] === "string" &&
    isRole(fields["role"]) &&
    (fields["role"] === "family") === (typeof fields["patientId"] === "string") &&
    typeof fields["saltBase64"] === "string" &&
    typeof fields["hashBase64"] === "string" &&
    Buffer.from(fields["hashBase64"], "base64").length === HASH_BYTES &&
    typeof costN === "number" &&
    Number.isInteger(Math.log2(costN)) &&
    costN >= 2 ** 14 &&
    costN <= 2 ** 20 &&
    typeof fields["blockSizeR"] === "number" &&
    typeof fields["parallelP"] === "number"
  );
}

async function writeAccounts(file: string, { accounts, changes }: AccountsFile): Promise<Result<void, Fault>> {
  const content = { version: 1, accounts, ...(changes.length === 0 ? {} : { changes }) };
  const written = await writePrivateFile(file, `${JSON.stringify(content, null, 2)}\n`);
  return written.ok ? written : fail(fault("page-failed", { reason: `accounts.json cannot be written (${written.error})` }));
}
