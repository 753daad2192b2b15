import type { WaitingChange } from "../../accounts/waiting-change.ts";
import type { AccessDeed, Role } from "../../core/act.ts";
import type { Fault } from "../../core/errors.ts";
import { type PatientId, patientId } from "../../core/ids.ts";
import type { Actor } from "../../core/ports.ts";
import { type Result, succeed } from "../../core/result.ts";
import { ROLES } from "../../core/rights.ts";
import type { Clock } from "../../core/time.ts";
import type { Accounts, AccountView } from "./accounts.ts";

/** What may be asked about accounts. */
export type UserRequest =
  | { readonly verb: "list" }
  | {
      readonly verb: "add";
      readonly name: string;
      readonly password: string;
      readonly role: Role;
      /** The one patient a family may see; null for every other role. */
      readonly patientId: PatientId | null;
    }
  | { readonly verb: "passwd"; readonly name: string; readonly password: string }
  | { readonly verb: "role"; readonly name: string; readonly role: Role; readonly patientId: PatientId | null }
  | { readonly verb: "remove"; readonly name: string };

/** Reads a request; null where it is none. Names and passwords are judged by the accounts themselves. */
export function parseUserRequest(body: unknown): UserRequest | null {
  if (typeof body !== "object" || body === null) return null;
  const { verb, name, password, role, patientId: patient } = body as Readonly<Record<string, unknown>>;
  if (verb === "list") return { verb };
  if (typeof name !== "string") return null;
  if (verb === "remove") return { verb, name };
  if (verb === "passwd") return typeof password === "string" ? { verb, name, password } : null;
  const known = ROLES.find((one) => one === role);
  const of = typeof patient === "string" && patient !== "" ? patientId(patient) : null;
  // A family without a patient would see nothing, and anybody else with one is no family.
  if (known === undefined || (known === "family") !== (of !== null)) return null;
  if (verb === "role") return { verb, name, role: known, patientId: of };
  return verb === "add" && typeof password === "string" ? { verb, name, password, role: known, patientId: of } : null;
}

/** Who made a change while no gateway ran; when that was goes with the place, since the act is made now. */
export function waitingActor({ by, at, atMs }: WaitingChange): Actor {
  return { userId: by, from: "command-line", at: `${at ?? "?"} ${new Date(atMs).toISOString()}` };
}

/** Changes accounts, and tells what was changed. */
export interface UserDesk {
  /** @returns  For `list` all accounts, else none; or why it was refused. */
  readonly handle: (
    request: UserRequest,
    onChanged: (deed: AccessDeed) => void,
  ) => Promise<Result<readonly AccountView[], Fault>>;
}

/** Makes the desk of some accounts. */
export function createUserDesk(parts: { readonly accounts: Accounts; readonly clock: Clock }): UserDesk {
  const { accounts, clock } = parts;
  const told = (changed: Result<AccessDeed, Fault>, onChanged: (deed: AccessDeed) => void) => {
    if (!changed.ok) return changed;
    onChanged(changed.value);
    return succeed([]);
  };
  return {
    handle: async (request, onChanged) => {
      switch (request.verb) {
        case "list":
          return succeed(accounts.list());
        case "add":
          return told(await accounts.add({ ...request, createdAtMs: clock.wall() }), onChanged);
        case "passwd":
          return told(await accounts.setPassword(request.name, request.password), onChanged);
        case "role":
          return told(await accounts.setRole(request.name, { role: request.role, patientId: request.patientId }), onChanged);
        case "remove":
          return told(await accounts.remove(request.name), onChanged);
      }
    },
  };
}
