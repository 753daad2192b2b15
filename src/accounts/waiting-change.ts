import type { AccessDeed } from "../core/act.ts";

/** A change of accounts that was made by another process than the gateway, and that the gateway is to record. */
export interface WaitingChange {
  readonly atMs: number;
  readonly by: string;
  readonly at: string | null;
  readonly deed: AccessDeed;
}

/** Whether something read from a file is a change of one of these kinds. */
export function isWaitingChange(value: unknown, kinds: readonly AccessDeed["kind"][]): value is WaitingChange {
  if (typeof value !== "object" || value === null) return false;
  const { atMs, by, at, deed } = value as Readonly<Record<string, unknown>>;
  const told = typeof deed === "object" && deed !== null && "kind" in deed && typeof deed.kind === "string" ? deed.kind : "";
  const known = kinds.some((kind) => kind === told);
  return typeof atMs === "number" && typeof by === "string" && (at === null || typeof at === "string") && known;
}
