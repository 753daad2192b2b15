import { createHmac, timingSafeEqual } from "node:crypto";
import { hashPassword, SALT_BYTES } from "../../accounts/password-hash.ts";
import type { WaitingChange } from "../../accounts/waiting-change.ts";
import type { AccessDeed, Role } from "../../core/act.ts";
import { type Fault, fault } from "../../core/errors.ts";
import { type PatientId, type UserId, userId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import { fail, type Result, succeed } from "../../core/result.ts";
import { type Account, readAccounts, writeAccounts } from "./accounts-file.ts";

/** The cost of one password hash. Source: OWASP password storage, scrypt with N = 2^15, r = 8. */
const scryptCost = { costN: 2 ** 15, blockSizeR: 8, parallelP: 1 } as const;
const nameCharactersMax = 64;
const passwordCharactersMin = 10;
const passwordCharactersMax = 256;

/** An account as others see it. */
export interface AccountView {
  readonly name: string;
  readonly role: Role;
  readonly patientId: PatientId | null;
  readonly createdAtMs: number;
  /** True of an account of before there were roles: its session lasts as long as a nurse's, since it may be that of a wall display. */
  readonly fromBeforeRoles: boolean;
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
  /** Tells the changes that no gateway has recorded yet, in order, and forgets them when all are told. */
  readonly tellWaitingChanges: (tell: (change: WaitingChange) => Promise<unknown>) => Promise<void>;
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
  const stranger: Secret = await secretOf("no such account", random);
  const book: Book = { file, random, later, inTurn: oneAtATime(), ...stored.value };
  const find = (name: string) => book.accounts.find((account) => account.name === name) ?? null;
  return succeed({
    count: () => book.accounts.length,
    has: (name) => find(name) !== null,
    find: (name) => {
      const account = find(name);
      return account === null ? null : viewOf(account);
    },
    list: () => book.accounts.map(viewOf),
    ...changesOf(book),
    check: (name, password) =>
      book.inTurn(async () => {
        const account = find(name);
        const secret = account ?? stranger;
        const wanted = Buffer.from(secret.hashBase64, "base64");
        const given = await hashPassword(password, Buffer.from(secret.saltBase64, "base64"), secret);
        const same = given.length === wanted.length && timingSafeEqual(given, wanted);
        return same && account !== null ? userId(account.name) : null;
      }),
    seal: (name, text) => {
      const account = find(name);
      if (account === null) return null;
      return createHmac("sha256", Buffer.from(account.hashBase64, "base64")).update(text).digest("hex");
    },
  });
}

/** The accounts as they are now, and what their changes need. */
interface Book {
  readonly file: string;
  readonly random: (bytes: number) => Buffer;
  readonly later: ((deed: AccessDeed) => WaitingChange) | null;
  readonly inTurn: <Value>(work: () => Promise<Value>) => Promise<Value>;
  accounts: readonly Account[];
  changes: readonly WaitingChange[];
}

/** One hash at a time: each takes 32 MiB and a tenth of a second, and watching patients comes first. */
function oneAtATime(): Book["inTurn"] {
  let turn: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  };
}

type Secret = Pick<Account, "costN" | "blockSizeR" | "parallelP" | "saltBase64" | "hashBase64">;

async function secretOf(password: string, random: Book["random"]): Promise<Secret> {
  const salt = random(SALT_BYTES);
  const hash = await hashPassword(password, salt, scryptCost);
  return { ...scryptCost, saltBase64: salt.toString("base64"), hashBase64: hash.toString("base64") };
}

/** Every change of accounts, one at a time; each is on disk before it counts. */
function changesOf(book: Book): Pick<Accounts, "add" | "setPassword" | "setRole" | "remove" | "tellWaitingChanges"> {
  const keep = async (next: readonly Account[], deed: AccessDeed): Promise<Result<AccessDeed, Fault>> => {
    const changes = book.later === null ? book.changes : [...book.changes, book.later(deed)];
    const changesMax = LIMITS.accountChangesWaitingMax.value;
    if (changes.length > changesMax) return fail(fault("account-refused", { why: "changes-waiting", changesMax }));
    const written = await writeAccounts(book.file, { accounts: next, changes });
    if (!written.ok) return written;
    book.accounts = next;
    book.changes = changes;
    return succeed(deed);
  };
  /** Changes the account of a name or, with null, takes it out; refused where there is none, or nobody would be administrator. */
  const change = async (name: string, to: (account: Account) => Account | null, deed: AccessDeed) => {
    if (!book.accounts.some((account) => account.name === name)) return fail(fault("account-refused", { why: "no-account" }));
    const next = book.accounts.flatMap((account) => (account.name === name ? (to(account) ?? []) : [account]));
    const leaderless = !next.some((account) => roleOf(account) === "administrator");
    return leaderless ? fail(fault("account-refused", { why: "last-administrator" })) : keep(next, deed);
  };
  return {
    add: ({ name, password, role, patientId, createdAtMs }) =>
      book.inTurn(async () => {
        const refused = refuseName(name, book.accounts) ?? refusePassword(password);
        if (refused !== null) return fail(refused);
        // Without one nobody could ever make another.
        const leaderless = book.accounts.length === 0 && role !== "administrator";
        if (leaderless) return fail(fault("account-refused", { why: "last-administrator" }));
        const account: Account = { name, ...(await secretOf(password, book.random)), createdAtMs, role, patientId };
        return keep([...book.accounts, account], { kind: "account-added", account: name, role, patientId });
      }),
    setPassword: (name, password) =>
      book.inTurn(async () => {
        const refused = refusePassword(password);
        if (refused !== null) return fail(refused);
        const secret = await secretOf(password, book.random);
        const deed = { kind: "account-changed", account: name, what: "password" } as const;
        return change(name, (account) => ({ ...account, ...secret }), deed);
      }),
    setRole: (name, to) => {
      const deed = { kind: "account-changed", account: name, what: "role" } as const;
      return book.inTurn(() => change(name, (account) => ({ ...account, ...to }), deed));
    },
    remove: (name) => book.inTurn(() => change(name, () => null, { kind: "account-removed", account: name })),
    tellWaitingChanges: (tell) =>
      book.inTurn(async () => {
        if (book.changes.length === 0) return;
        for (const waiting of book.changes) await tell(waiting);
        // Cut off before this, or on a full disk, they are told by the next start as well: twice is better than never.
        const written = await writeAccounts(book.file, { accounts: book.accounts, changes: [] });
        if (written.ok) book.changes = [];
      }),
  };
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
