import { LIMITS } from "../core/limits.ts";
import type { Clock, MonotonicMs } from "../core/time.ts";
import { GatewayLife, type LifeEnd, type LifeListener } from "./gateway-life.ts";
import { SUPERVISOR_VARIABLES } from "./messages.ts";
import { createSounder, type Sounder } from "./sounder.ts";
import type { RestartReason, SupervisorEvent } from "./supervisor-event.ts";
import { createSystemd, type Systemd } from "./systemd.ts";

/** Every wait of the supervisor in milliseconds, and how many crashes within `crashWindowMs` lead to safe mode. */
export interface SupervisorLimits {
  readonly readyMsMax: number;
  readonly heartbeatSilenceMsMax: number;
  readonly graceMs: number;
  readonly stopMsMax: number;
  readonly restartBackoffMsMin: number;
  readonly restartBackoffMsMax: number;
  readonly crashWindowMs: number;
  readonly crashesBeforeSafeModeMax: number;
  readonly sounderMsMax: number;
  readonly sounderPauseMs: number;
  readonly systemdNotifyMsMax: number;
}

/** The supervisor's bounds from the one table. */
export const SUPERVISOR_LIMITS: SupervisorLimits = {
  readyMsMax: LIMITS.gatewayReadyMsMax.value,
  heartbeatSilenceMsMax: LIMITS.heartbeatSilenceMsMax.value,
  graceMs: LIMITS.gatewayGraceMs.value,
  stopMsMax: LIMITS.stopMsMax.value + LIMITS.gatewayStopMarginMs.value,
  restartBackoffMsMin: LIMITS.restartBackoffMsMin.value,
  restartBackoffMsMax: LIMITS.restartBackoffMsMax.value,
  crashWindowMs: LIMITS.crashWindowMs.value,
  crashesBeforeSafeModeMax: LIMITS.crashesBeforeSafeModeMax.value,
  sounderMsMax: LIMITS.sounderMsMax.value,
  sounderPauseMs: LIMITS.sounderPauseMs.value,
  systemdNotifyMsMax: LIMITS.systemdNotifyMsMax.value,
};

/** What is supervised and how. */
export interface SupervisorOptions {
  /** Arguments for this same Node: the gateway's file and its arguments. It gets an IPC channel. */
  readonly command: readonly string[];
  /**
   * Program and arguments of the local sounder, or null. Without one only the terminal's bell character is written to standard error:
   * on a board without a terminal nobody hears that, so every installation beside a bed needs a sounder.
   */
  readonly sounderCommand: readonly string[] | null;
  /** The supervisor's own environment. systemd's variables are kept from the gateway; `VIGIL_SAFE_MODE=1` starts in safe mode. */
  readonly env: NodeJS.ProcessEnv;
  readonly limits: SupervisorLimits;
  /**
   * Puts a configuration of before back in its place, after the gateway did not start with the one that a person had changed; returns what
   * went wrong, or null. Left out: the gateway is started with what is there.
   */
  readonly putBack?: (previousConfig: string) => Promise<string | null>;
}

/** What the supervisor needs of its caller. */
export interface SupervisorParts {
  readonly clock: Clock;
  /** Aborted by the caller on SIGTERM and SIGINT. */
  readonly stop: AbortSignal;
  readonly report: (event: SupervisorEvent) => void;
}

/**
 * Runs the gateway as a child process for as long as nobody asks to stop: hears its heartbeats, sounds and restarts it when they stay
 * away, restarts it when it ends unasked, and starts it in safe mode after three such ends in five minutes. A gateway that does not get ready
 * with settings that a person has written meanwhile is started with those of before. Never rejects.
 *
 * @returns  The exit code for this process: the gateway's own after `stop`, 0 when it was between two lives, or the code of a gateway
 *           that refused its very first start (`refused`), because restarting would only hide that from the person who is there.
 */
export function superviseGateway(options: SupervisorOptions, parts: SupervisorParts): Promise<number> {
  return new Supervision(options, parts).run();
}

class Supervision {
  readonly #options: SupervisorOptions;
  readonly #parts: SupervisorParts;
  readonly #sounder: Sounder;
  readonly #systemd: Systemd;
  /** When the gateway ended unasked, within the last `crashWindowMs`. The backoff keeps it to a few dozen. */
  #crashesAt: readonly MonotonicMs[] = [];
  #notAnsweringSince: MonotonicMs | null = null;
  #heardAt: MonotonicMs | null = null;
  #everReady = false;
  #safeMode: boolean;
  #life: GatewayLife | null = null;

  constructor(options: SupervisorOptions, parts: SupervisorParts) {
    const { clock } = parts;
    const { limits, env } = options;
    const report = (event: SupervisorEvent) => this.#report(event);
    this.#options = options;
    this.#parts = parts;
    this.#safeMode = env[SUPERVISOR_VARIABLES.safeMode] === "1";
    this.#sounder = createSounder({ command: options.sounderCommand, env, ...limits }, { clock, report });
    const isAlive = () => this.#heardAt !== null && clock.monotonic() - this.#heardAt <= limits.heartbeatSilenceMsMax;
    this.#systemd = createSystemd({ env, notifyMsMax: limits.systemdNotifyMsMax, isAlive }, { clock, report });
  }

  async run(): Promise<number> {
    const { stop } = this.#parts;
    const onStop = () => this.#stop();
    stop.addEventListener("abort", onStop, { once: true });
    let because: RestartReason | null = null;
    let exitCode = 0;
    /** The configuration of before, while nobody knows yet whether the gateway starts with the one that is there. */
    let previousConfig: string | null = null;
    while (!stop.aborted) {
      const end = await this.#live(because);
      exitCode = end.exitCode;
      if (stop.aborted || (end.refused && !this.#everReady)) break;
      exitCode = 0;
      because = end.because;
      if (end.wasReady) ({ previousConfig } = end);
      if (!end.wasReady && previousConfig !== null) {
        because = "settings-failed";
        await this.#putBack(previousConfig);
        previousConfig = null;
      } else if (because !== "asked") {
        await this.#mourn(because);
      }
    }
    stop.removeEventListener("abort", onStop);
    await this.#sounder.close();
    await this.#systemd.close();
    return exitCode;
  }

  /** Nobody is watched: the sounder starts, and the next start is at once. */
  async #putBack(previousConfig: string): Promise<void> {
    this.#loseAnswer();
    const trouble = (await this.#options.putBack?.(previousConfig)) ?? null;
    this.#report({ kind: "settings-put-back", previousConfig, trouble });
  }

  async #live(because: RestartReason | null): Promise<LifeEnd> {
    const { command, env, limits } = this.#options;
    const { clock } = this.#parts;
    this.#systemd.status(because === null ? "starting" : `restarting: ${because}`);
    const lifeOptions = { command, env, because, safeMode: this.#safeMode, limits };
    try {
      this.#life = new GatewayLife(lifeOptions, { clock, listener: this.#listener() });
    } catch (error) {
      this.#report({ kind: "gateway-not-started", detail: String(error) });
      return { because: "crashed", exitCode: 1, refused: false, wasReady: false, previousConfig: null };
    }
    if (this.#parts.stop.aborted) this.#life.stop();
    const end = await this.#life.ended;
    this.#life = null;
    return end;
  }

  #listener(): LifeListener {
    return {
      report: (event) => this.#report(event),
      onReady: () => {
        this.#everReady = true;
        this.#systemd.ready();
        this.#systemd.status(this.#safeMode ? "watching in safe mode: limits and alerts only" : "watching");
        const trouble = this.#sounder.state();
        if (trouble !== null) this.#life?.tell({ kind: "sounder-failed", ...trouble });
      },
      onHeartbeat: () => this.#hear(),
      onStalled: () => this.#loseAnswer(),
      onSound: (message) => this.#sounder.sound(message.priority),
    };
  }

  #hear(): void {
    const now = this.#parts.clock.monotonic();
    const wasSilent = this.#notAnsweringSince !== null || this.#heardAt === null;
    this.#heardAt = now;
    if (wasSilent) this.#systemd.alive();
    if (this.#notAnsweringSince === null) return;
    this.#report({ kind: "gateway-answers-again", notAnsweringMs: Math.round(now - this.#notAnsweringSince) });
    this.#notAnsweringSince = null;
    this.#sounder.quieten();
  }

  #loseAnswer(): void {
    this.#notAnsweringSince ??= this.#parts.clock.monotonic();
    this.#sounder.alarm();
    this.#systemd.status("the gateway does not answer; sounding");
  }

  /** After an end nobody asked for: sound, count, perhaps choose safe mode, and wait before the next start. */
  async #mourn(because: RestartReason): Promise<void> {
    const { limits } = this.#options;
    const { clock, stop } = this.#parts;
    const now = clock.monotonic();
    this.#loseAnswer();
    this.#crashesAt = [...this.#crashesAt.filter((at) => now - at <= limits.crashWindowMs), now];
    const crashesCount = this.#crashesAt.length;
    if (!this.#safeMode && crashesCount >= limits.crashesBeforeSafeModeMax) {
      this.#safeMode = true;
      this.#report({ kind: "safe-mode", crashesCount });
    }
    const delayMs = backoffMs(crashesCount, limits);
    this.#report({ kind: "restart-planned", because, delayMs, crashesCount });
    if (delayMs > 0) await clock.sleep(delayMs, stop);
  }

  #stop(): void {
    this.#report({ kind: "stopping" });
    this.#systemd.stopping();
    this.#sounder.quieten();
    this.#life?.stop();
  }

  #report(event: SupervisorEvent): void {
    this.#parts.report(event);
    if (event.kind === "sounder-failed") this.#life?.tell({ kind: "sounder-failed", why: event.why, detail: event.detail });
    if (event.kind === "sounder-works") this.#life?.tell({ kind: "sounder-works" });
  }
}

/** The first two restarts within the window are at once: who lies there is watched again soon; then the least wait, doubled each time, up to the longest. */
function backoffMs(crashesCount: number, limits: SupervisorLimits): number {
  if (crashesCount <= 2) return 0;
  return Math.min(limits.restartBackoffMsMax, limits.restartBackoffMsMin * 2 ** (crashesCount - 3));
}
