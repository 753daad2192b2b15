import type { Priority } from "../core/alert.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { ProgramTrouble } from "./short-program.ts";

/** Environment variables by which the supervisor tells the gateway why it was started. */
export const SUPERVISOR_VARIABLES = {
  /** Set to the `RestartReason` on every start that is a restart. */
  restartedBecause: "VIGIL_RESTARTED_BECAUSE",
  /** Set to `1` when the gateway is to start with limits and alerts only. A person may set it as well. */
  safeMode: "VIGIL_SAFE_MODE",
} as const;

/** What the gateway tells its supervisor, as JSON over the IPC channel of the child process. */
export type GatewayMessage =
  /** State is rebuilt and links are being opened: from now on heartbeats are expected. */
  | { readonly kind: "ready" }
  /** An injected observation came out of the alert path as an alert. `atMs` is the gateway's own clock and is not compared. */
  | { readonly kind: "heartbeat"; readonly atMs: number }
  /** Asks for one run of the local sounder. */
  | { readonly kind: "sound"; readonly priority: Priority }
  /** The gateway will not start for a reason only a person can mend (configuration, lock); restarting would not help. */
  | { readonly kind: "refused" }
  /** The gateway is on its way to a clean end. */
  | { readonly kind: "stopping" }
  /**
   * The gateway is on its way to a clean end because a person asked for another start, with the configuration as it lies there now.
   * `previousConfig` names a file with the configuration of before, which is put back if the next start does not come about; null: it is the same.
   */
  | { readonly kind: "restarting"; readonly previousConfig: string | null }
  /** A person has written another configuration; the next start uses it, whatever that start comes of. `previousConfig` as above. */
  | { readonly kind: "settings-saved"; readonly previousConfig: string | null }
  /** An invariant broke; the process ends now. `reason` holds no patient's data. */
  | { readonly kind: "crashed"; readonly reason: string };

/** What the supervisor tells the gateway, so that it becomes or ends a technical alert. */
export type SupervisorMessage =
  | { readonly kind: "sounder-failed"; readonly why: ProgramTrouble; readonly detail: string }
  | { readonly kind: "sounder-works" };

/** A message that is none of the known ones; `given` is its kind, or its type where it has none. */
export interface MessageError {
  readonly kind: "bad-message";
  readonly given: string;
}

const REASON_CHARACTERS_MAX = 500;

/** Reads what came over the channel from the gateway. */
export function parseGatewayMessage(message: unknown): Result<GatewayMessage, MessageError> {
  const fields = fieldsOf(message);
  switch (fields["kind"]) {
    case "ready":
    case "refused":
    case "stopping":
      return succeed({ kind: fields["kind"] });
    case "restarting":
    case "settings-saved": {
      const { previousConfig } = fields;
      const isFile = previousConfig === null || typeof previousConfig === "string";
      return isFile ? succeed({ kind: fields["kind"], previousConfig }) : refuse(message);
    }
    case "heartbeat":
      return typeof fields["atMs"] === "number" ? succeed({ kind: "heartbeat", atMs: fields["atMs"] }) : refuse(message);
    case "sound":
      return isPriority(fields["priority"]) ? succeed({ kind: "sound", priority: fields["priority"] }) : refuse(message);
    case "crashed":
      return succeed({ kind: "crashed", reason: String(fields["reason"] ?? "").slice(0, REASON_CHARACTERS_MAX) });
  }
  return refuse(message);
}

/** Reads, in the gateway, what came over the channel from the supervisor. */
export function parseSupervisorMessage(message: unknown): Result<SupervisorMessage, MessageError> {
  const fields = fieldsOf(message);
  if (fields["kind"] === "sounder-works") return succeed({ kind: "sounder-works" });
  if (fields["kind"] !== "sounder-failed" || !isProgramTrouble(fields["why"])) return refuse(message);
  return succeed({ kind: "sounder-failed", why: fields["why"], detail: String(fields["detail"] ?? "") });
}

function fieldsOf(message: unknown): Readonly<Record<string, unknown>> {
  return typeof message === "object" && message !== null ? { ...message } : {};
}

function refuse(message: unknown): Result<never, MessageError> {
  return fail({
    kind: "bad-message",
    given: String(fieldsOf(message)["kind"] ?? typeof message).slice(0, REASON_CHARACTERS_MAX),
  });
}

function isPriority(value: unknown): value is Priority {
  return value === "high" || value === "medium" || value === "low";
}

function isProgramTrouble(value: unknown): value is ProgramTrouble {
  return value === "not-started" || value === "exit-code" || value === "signal" || value === "too-long";
}
