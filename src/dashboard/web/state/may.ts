import type { BedsideDeed } from "../../../core/act.ts";
import type { AlertNature } from "../../../core/alert.ts";
import { mayDo, mayUse, ROUTE_RIGHTS } from "../../../core/rights.ts";
import type { Session } from "./gateway-door.ts";

/**
 * Whether a control is shown: the gateway asks the same table again when it is used.
 *
 * @param nature  Of the alert that the deed is about; left out where it is about none.
 */
export function may(session: Session | null, kind: BedsideDeed["kind"], nature: AlertNature | null = null): boolean {
  return session?.user != null && mayDo(session.role, kind, nature);
}

/** Whether somebody may see what a route tells, such as `GET /api/users`. */
export function maySee(session: Session | null, route: string): boolean {
  const right = ROUTE_RIGHTS[route];
  return session?.user != null && right !== undefined && (session.role === null || mayUse(session.role, right));
}
