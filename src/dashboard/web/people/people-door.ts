import type { Role } from "../../../core/act.ts";
import type { WardLimitView } from "../../../core/limit-levels.ts";
import { isQuantityName } from "../../../core/quantities.ts";
import { fail, type Result, succeed } from "../../../core/result.ts";
import { ROLES } from "../../../core/rights.ts";
import type { NoteView } from "../../../core/stream.ts";
import { ask, isFields, post, type Refusal } from "../state/gateway-door.ts";

/** An account as the page of accounts shows it. */
export interface AccountRow {
  readonly name: string;
  readonly role: Role;
  /** The patient of a family; null for everybody else. */
  readonly patientId: string | null;
  readonly createdAtMs: number;
  readonly fromBeforeRoles: boolean;
}

/** What may be changed about accounts. */
export type AccountChange =
  | {
      readonly verb: "add";
      readonly name: string;
      readonly password: string;
      readonly role: Role;
      readonly patientId: string | null;
    }
  | { readonly verb: "password"; readonly name: string; readonly password: string }
  | { readonly verb: "role"; readonly name: string; readonly role: Role; readonly patientId: string | null }
  | { readonly verb: "remove"; readonly name: string };

/** The newest notes about a patient, oldest first. */
export async function askNotes(patient: string): Promise<Result<readonly NoteView[], Refusal>> {
  return list(await ask(`api/notes?${new URLSearchParams({ patient })}`), "notes", isNote);
}

/** The limits that hold on this ward where nobody set others. */
export async function askLimits(): Promise<Result<readonly WardLimitView[], Refusal>> {
  return list(await ask("api/limits"), "limits", isWardLimit);
}

/** Every account. */
export async function askUsers(): Promise<Result<readonly AccountRow[], Refusal>> {
  return list(await ask("api/users"), "users", isAccount);
}

/** Changes an account. */
export function changeUsers({ verb, ...change }: AccountChange): Promise<Result<void, Refusal>> {
  return post(`api/users/${verb}`, change);
}

function list<Item>(
  answer: Result<Readonly<Record<string, unknown>>, Refusal>,
  name: string,
  isItem: (item: unknown) => item is Item,
): Result<readonly Item[], Refusal> {
  if (!answer.ok) return answer;
  const items = answer.value[name];
  return Array.isArray(items) ? succeed(items.filter(isItem)) : fail(null);
}

function isNote(note: unknown): note is NoteView {
  return isFields(note) && typeof note["text"] === "string" && typeof note["by"] === "string" && typeof note["atMs"] === "number";
}

function isWardLimit(limit: unknown): limit is WardLimitView {
  const isNamed = isFields(limit) && typeof limit["quantity"] === "string" && isQuantityName(limit["quantity"]);
  return isNamed && [limit["defaults"], limit["ward"]].every(areLevels);
}

function areLevels(levels: unknown): boolean {
  return isFields(levels) && Array.isArray(levels["low"]) && Array.isArray(levels["high"]);
}

function isAccount(account: unknown): account is AccountRow {
  if (!isFields(account) || typeof account["name"] !== "string") return false;
  return ROLES.some((role) => role === account["role"]) && typeof account["createdAtMs"] === "number";
}
