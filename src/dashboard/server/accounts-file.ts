import { readFile } from "node:fs/promises";
import { HASH_BYTES } from "../../accounts/password-hash.ts";
import { writePrivateFile } from "../../accounts/private-file.ts";
import { isWaitingChange, type WaitingChange } from "../../accounts/waiting-change.ts";
import type { Role } from "../../core/act.ts";
import { type Fault, fault } from "../../core/errors.ts";
import type { PatientId } from "../../core/ids.ts";
import { fail, type Result, succeed } from "../../core/result.ts";
import { ROLES } from "../../core/rights.ts";

/** One person who may sign in, as kept in `accounts.json`. The password itself is nowhere. */
export interface Account {
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

/** What `accounts.json` holds. */
export interface AccountsFile {
  readonly accounts: readonly Account[];
  readonly changes: readonly WaitingChange[];
}

/**
 * Reads the accounts of a gateway.
 *
 * @param file  Full path of `accounts.json`; missing: there are none.
 * @returns     `page-failed` where it cannot be read or understood.
 */
export async function readAccounts(file: string): Promise<Result<AccountsFile, Fault>> {
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

const KINDS = ["account-added", "account-changed", "account-removed"] as const;

function isAccountsFile(
  value: unknown,
): value is { readonly accounts: readonly Account[]; readonly changes?: readonly WaitingChange[] } {
  if (typeof value !== "object" || value === null || !("accounts" in value) || !Array.isArray(value.accounts)) return false;
  const changes = "changes" in value ? value.changes : [];
  return value.accounts.every(isAccount) && Array.isArray(changes) && changes.every((change) => isWaitingChange(change, KINDS));
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

/** Writes the accounts, as `writePrivateFile` does; `page-failed` where that cannot be. */
export async function writeAccounts(file: string, { accounts, changes }: AccountsFile): Promise<Result<void, Fault>> {
  const content = { version: 1, accounts, ...(changes.length === 0 ? {} : { changes }) };
  const written = await writePrivateFile(file, `${JSON.stringify(content, null, 2)}\n`);
  return written.ok ? written : fail(fault("page-failed", { reason: `accounts.json cannot be written (${written.error})` }));
}
