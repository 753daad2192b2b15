import type { BedsideDeed, Role } from "./act.ts";
import type { AlertNature } from "./alert.ts";

/** Every role, as accounts name them. */
export const ROLES = ["nurse", "engineer", "auditor", "administrator", "family"] as const satisfies readonly Role[];

const EVERYBODY: readonly Role[] = ROLES;
const STAFF: readonly Role[] = ["nurse", "engineer", "auditor", "administrator"];
const AT_THE_BEDSIDE: readonly Role[] = ["nurse", "administrator"];
const WITH_THE_EQUIPMENT: readonly Role[] = ["engineer", "administrator"];

/**
 * Who may ask what of the HTTP server: each route under `/api/` with the roles that may use it; `anyone` needs no sign-in. A route that is
 * not here is answered to nobody. What a family is told of is its own patient only, whatever the route (`family-view.ts`).
 */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const ROUTE_RIGHTS: Readonly<Record<string, "anyone" | readonly Role[]>> = {
  "GET /api/healthz": "anyone",
  "GET /api/session": "anyone",
  "POST /api/first-account": "anyone",
  "POST /api/sign-in": "anyone",
  "POST /api/sign-out": "anyone",
  "GET /api/picture": EVERYBODY,
  "GET /api/stream": EVERYBODY,
  "GET /api/trend": EVERYBODY,
  "GET /api/strip": EVERYBODY,
  "GET /api/limits": STAFF,
  "GET /api/notes": ["nurse", "auditor", "administrator"],
  "GET /api/audit": ["auditor", "administrator"],
  "GET /api/records": ["auditor", "administrator"],
  "GET /api/users": ["auditor", "administrator"],
  "POST /api/users/add": ["administrator"],
  "POST /api/users/password": ["administrator"],
  "POST /api/users/role": ["administrator"],
  "POST /api/users/remove": ["administrator"],
  "GET /api/devices": STAFF,
  "GET /api/device": STAFF,
  "GET /api/candidates": WITH_THE_EQUIPMENT,
  "POST /api/preview": WITH_THE_EQUIPMENT,
  "GET /api/readers": ["engineer", "auditor", "administrator"],
  "GET /api/alert-history": STAFF,
  "GET /api/events": EVERYBODY,
  "GET /api/scores": EVERYBODY,
  "GET /api/quality": STAFF,
  "GET /api/settings": WITH_THE_EQUIPMENT,
  "POST /api/settings/check": WITH_THE_EQUIPMENT,
  "POST /api/settings/save": WITH_THE_EQUIPMENT,
  "POST /api/settings/restart": WITH_THE_EQUIPMENT,
  "POST /api/acts": STAFF,
  "GET /api/demonstration": EVERYBODY,
  "POST /api/demonstration/nudge": EVERYBODY,
  "POST /api/active": EVERYBODY,
};

/** Who may do what through a page. */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const DEED_RIGHTS: Readonly<Record<BedsideDeed["kind"], readonly Role[]>> = {
  "admit": AT_THE_BEDSIDE,
  "discharge": AT_THE_BEDSIDE,
  "transfer": AT_THE_BEDSIDE,
  "merge": AT_THE_BEDSIDE,
  "correct-patient": AT_THE_BEDSIDE,
  "assign": AT_THE_BEDSIDE,
  "release": AT_THE_BEDSIDE,
  "confirm-assignment": AT_THE_BEDSIDE,
  "set-limit": AT_THE_BEDSIDE,
  "reset-limit": AT_THE_BEDSIDE,
  "set-profile": AT_THE_BEDSIDE,
  "enter-consciousness": AT_THE_BEDSIDE,
  "enter-oxygen": AT_THE_BEDSIDE,
  "note": AT_THE_BEDSIDE,
  "verdict": AT_THE_BEDSIDE,
  "adopt": WITH_THE_EQUIPMENT,
  "forget-device": WITH_THE_EQUIPMENT,
  // An engineer for technical alerts only: a patient's alert is known when somebody at the bedside knows it.
  "acknowledge": ["nurse", "administrator", "engineer"],
};

/**
 * Whether somebody may do a deed.
 *
 * @param role    Null where nobody signs in: then everybody who reaches the page may.
 * @param nature  Of the alert that the deed is about; null where it is about none that is open.
 */
export function mayDo(role: Role | null, kind: BedsideDeed["kind"], nature: AlertNature | null): boolean {
  if (role === null) return true;
  if (!DEED_RIGHTS[kind].includes(role)) return false;
  return role !== "engineer" || kind !== "acknowledge" || nature === "technical";
}

/** Whether somebody may use a route; `null` as role: nobody is signed in. */
export function mayUse(role: Role | null, right: "anyone" | readonly Role[]): boolean {
  return right === "anyone" || (role !== null && right.includes(role));
}

/** Who is told on the pages of devices whom a device is on; an engineer needs the bed to find it, and no name or number. */
export function mayKnowPatient(role: Role | null): boolean {
  return role === null || AT_THE_BEDSIDE.includes(role) || role === "auditor";
}
