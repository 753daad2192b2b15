import type { Priority } from "../core/alert.ts";
import type { ProgramTrouble } from "./short-program.ts";

/**
 * Why the gateway was started again: it did not answer, it ended by itself, a person asked for it, or it did not start with the settings
 * that a person had changed, so that those of before were put back.
 */
export type RestartReason = "stalled" | "crashed" | "asked" | "settings-failed";

/** What a sound is for: the gateway itself, or an alert of this priority. */
export type SoundReason = "gateway-not-answering" | Priority;

/** Everything the supervisor does, told as it happens; the caller writes one JSON line for each. */
export type SupervisorEvent =
  | { readonly kind: "gateway-started"; readonly pid: number; readonly because: RestartReason | null; readonly safeMode: boolean }
  | { readonly kind: "gateway-not-started"; readonly detail: string }
  | { readonly kind: "gateway-ready"; readonly pid: number; readonly afterMs: number }
  /** No heartbeat for too long, or not ready in time; the sounder starts and the gateway is ended. */
  | { readonly kind: "gateway-stalled"; readonly pid: number; readonly silentMs: number; readonly wasReady: boolean }
  | { readonly kind: "gateway-answers-again"; readonly notAnsweringMs: number }
  | {
      readonly kind: "gateway-ended";
      readonly pid: number;
      readonly exitCode: number | null;
      readonly signal: string | null;
      /** True where the supervisor had been asked to stop. */
      readonly asked: boolean;
      /** What the gateway itself said of its end, or null. */
      readonly reason: string | null;
    }
  /** The gateway had to be killed because it did not end within its time after being asked. */
  | { readonly kind: "gateway-killed"; readonly pid: number; readonly waitedMs: number }
  | { readonly kind: "restart-planned"; readonly because: RestartReason; readonly delayMs: number; readonly crashesCount: number }
  /** From now on the gateway is started with limits and alerts only, until a person restarts the supervisor. */
  | { readonly kind: "safe-mode"; readonly crashesCount: number }
  /** The gateway did not start with changed settings; the file of before is in its place again, or why it could not be put there. */
  | { readonly kind: "settings-put-back"; readonly previousConfig: string; readonly trouble: string | null }
  | { readonly kind: "message-refused"; readonly given: string }
  | { readonly kind: "sound-started"; readonly by: "command" | "terminal-bell"; readonly why: SoundReason }
  | { readonly kind: "sounder-failed"; readonly why: ProgramTrouble; readonly detail: string }
  | { readonly kind: "sounder-works" }
  /** systemd cannot be told; said once until it works again. */
  | { readonly kind: "systemd-notify-failed"; readonly why: ProgramTrouble; readonly detail: string }
  | { readonly kind: "stopping" };
