import { createHmac, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { HASH_BYTES, hashPassword, SALT_BYTES } from "../../accounts/password-hash.ts";
import { writePrivateFile } from "../../accounts/private-file.ts";
import { type Fault, fault } from "../../core/errors.ts";
import { type UserId, userId } from "../../core/ids.ts";
import { fail, type Result, succeed } from "../../core/result.ts";

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
}

/** The people who may sign in at the page, kept in one file that only the gateway's user can read (mode 0600). */
export interface Accounts {
  readonly count: () => number;
  /** Whether an account of this name exists. */
  readonly has: (name: string) => boolean;
  /** Adds an account and resolves when it is on disk; refuses names that are taken or blank and passwords under ten characters. */
  readonly add: (name: string, password: string, createdAtMs: number) => Promise<Result<UserId, Fault>>;
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
 * @returns       `page-failed` where the file is there but cannot be read or understood: a damaged file must never look like "no account yet".
 */
export async function openAccounts(file: string, random: (bytes: number) => Buffer): Promise<Result<Accounts, Fault>> {
  const stored = await readAccounts(file);
  if (!stored.ok) return stored;
  const accounts = [...stored.value];
  const stranger = await hashPassword("no such account", random(SALT_BYTES), scryptCost);
  const strangerSalt = random(SALT_BYTES);
  // One hash at a time: each takes 32 MiB and a tenth of a second, and watching patients comes first.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <Value>(work: () => Promise<Value>): Promise<Value> => {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  };
  return succeed({
    count: () => accounts.length,
    has: (name) => accounts.some((account) => account.name === name),
    add: (name, password, createdAtMs) =>
      inTurn(async () => {
        const refused = refuseAccount(name, password, accounts);
        if (refused !== null) return fail(refused);
        const salt = random(SALT_BYTES);
        const hash = await hashPassword(password, salt, scryptCost);
        const account = {
          name,
          ...scryptCost,
          saltBase64: salt.toString("base64"),
          hashBase64: hash.toString("base64"),
          createdAtMs,
        };
        const written = await writeAccounts(file, [...accounts, account]);
        if (!written.ok) return written;
        accounts.push(account);
        return succeed(userId(name));
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

function refuseAccount(name: string, password: string, accounts: readonly Account[]): Fault | null {
  const nameFits = name.trim() === name && name !== "" && name.length <= nameCharactersMax && !/\p{Cc}/u.test(name);
  if (!nameFits) return fault("account-refused", { field: "name", charactersMax: nameCharactersMax });
  if (accounts.some((account) => account.name === name)) return fault("account-refused", { field: "name", taken: "yes" });
  if (password.length < passwordCharactersMin || password.length > passwordCharactersMax) {
    return fault("account-refused", {
      field: "password",
      charactersMin: passwordCharactersMin,
      charactersMax: passwordCharactersMax,
    });
  }
  return null;
}

async function readAccounts(file: string): Promise<Result<readonly Account[], Fault>> {
  let content: string;
  try {
    content = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return succeed([]);
    return fail(fault("page-failed", { reason: "accounts.json cannot be read" }));
  }
  try {
    const parsed: unknown = JSON.parse(content);
    if (isAccountsFile(parsed)) return succeed(parsed.accounts);
  } catch {
    // Falls through: text that is not JSON is as damaged as JSON of another shape.
  }
  return fail(fault("page-failed", { reason: "accounts.json is damaged" }));
}

function isAccountsFile(value: unknown): value is { readonly accounts: readonly Account[] } {
  if (typeof value !== "object" || value === null || !("accounts" in value) || !Array.isArray(value.accounts)) return false;
  return value.accounts.every(isAccount);
}

function isAccount(value: unknown): value is Account {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Readonly<Record<string, unknown>>;
  const costN = fields["costN"];
  return (
    typeof fields["name"] === "string" &&
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

async function writeAccounts(file: string, accounts: readonly Account[]): Promise<Result<void, Fault>> {
  const written = await writePrivateFile(file, `${JSON.stringify({ version: 1, accounts }, null, 2)}\n`);
  return written.ok ? written : fail(fault("page-failed", { reason: `accounts.json cannot be written (${written.error})` }));
}
