import type { Clock, Timer } from "../core/time.ts";
import { runShortProgram } from "./short-program.ts";
import type { SupervisorEvent } from "./supervisor-event.ts";

/** Tells systemd how the service does; does nothing where the service was not started by systemd. */
export interface Systemd {
  readonly ready: () => void;
  /** One line for `systemctl status`. */
  readonly status: (text: string) => void;
  /** Says that the service lives, now; also called by itself at half of systemd's limit while `isAlive`. */
  readonly alive: () => void;
  readonly stopping: () => void;
  /** Sends what is left and ends. */
  readonly close: () => Promise<void>;
}

/** How systemd is told. Variables are those of sd_notify(3). */
export interface SystemdOptions {
  /** The supervisor's own environment, with `NOTIFY_SOCKET` and `WATCHDOG_USEC` where systemd set them. */
  readonly env: NodeJS.ProcessEnv;
  readonly notifyMsMax: number;
  /** Asked before each sign of life; it is sent only while true. */
  readonly isAlive: () => boolean;
}

const MICROSECONDS_PER_MS = 1000;

/**
 * Makes the link to systemd. Node has no datagram sockets of the local kind, so the program `systemd-notify` carries each message;
 * the unit therefore needs `NotifyAccess=all`. Messages wait one per variable, so that a slow socket cannot pile them up.
 */
export function createSystemd(
  options: SystemdOptions,
  parts: { readonly clock: Clock; readonly report: (event: SupervisorEvent) => void },
): Systemd {
  if ((options.env["NOTIFY_SOCKET"] ?? "") === "") return SILENT_SYSTEMD;
  const waiting = new Map<string, string>();
  const never = new AbortController();
  let failing = false;
  let work: Promise<void> | null = null;
  let watchdog: Timer | null = null;

  const send = async () => {
    while (waiting.size > 0) {
      const variables = [...waiting].map(([name, value]) => `${name}=${value}`);
      waiting.clear();
      const command = ["systemd-notify", `--pid=${process.pid}`, ...variables];
      const outcome = await runShortProgram(
        { command, env: options.env, msMax: options.notifyMsMax },
        { clock: parts.clock, stop: never.signal },
      );
      if (outcome.kind === "failed" && !failing) {
        parts.report({ kind: "systemd-notify-failed", why: outcome.why, detail: outcome.detail });
      }
      failing = outcome.kind === "failed";
    }
    work = null;
  };
  const tell = (name: string, value: string) => {
    waiting.set(name, value);
    work ??= send();
  };
  const periodMs = watchdogPeriodMs(options.env["WATCHDOG_USEC"]);
  const alive = () => {
    if (periodMs !== null && options.isAlive()) tell("WATCHDOG", "1");
  };
  if (periodMs !== null) watchdog = parts.clock.every(periodMs, alive);
  return {
    ready: () => tell("READY", "1"),
    status: (text) => tell("STATUS", text.replaceAll("\n", " ")),
    alive,
    stopping: () => tell("STOPPING", "1"),
    close: async () => {
      watchdog?.stop();
      await work;
    },
  };
}

const SILENT_SYSTEMD: Systemd = {
  ready: () => undefined,
  status: () => undefined,
  alive: () => undefined,
  stopping: () => undefined,
  close: () => Promise.resolve(),
};

/** Half of systemd's limit in ms, as sd_watchdog_enabled(3) recommends, or null where there is no watchdog. */
function watchdogPeriodMs(watchdogMicroseconds: string | undefined): number | null {
  const microseconds = Number(watchdogMicroseconds);
  return Number.isFinite(microseconds) && microseconds > 0 ? microseconds / MICROSECONDS_PER_MS / 2 : null;
}
