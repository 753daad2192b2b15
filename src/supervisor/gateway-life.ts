import { type ChildProcess, spawn } from "node:child_process";
import type { Clock, MonotonicMs, Timer } from "../core/time.ts";
import { type GatewayMessage, parseGatewayMessage, SUPERVISOR_VARIABLES, type SupervisorMessage } from "./messages.ts";
import { killGroup } from "./short-program.ts";
import type { RestartReason, SupervisorEvent } from "./supervisor-event.ts";

/** The waits of one life of the gateway, in milliseconds on the monotonic clock. */
export interface LifeLimits {
  readonly readyMsMax: number;
  readonly heartbeatSilenceMsMax: number;
  readonly graceMs: number;
  readonly stopMsMax: number;
}

/** How the gateway is started. */
export interface LifeOptions {
  /** Arguments for this same Node: the program's file and its arguments. */
  readonly command: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly because: RestartReason | null;
  readonly safeMode: boolean;
  readonly limits: LifeLimits;
}

/** What a life of the gateway tells while it lasts. */
export interface LifeListener {
  readonly report: (event: SupervisorEvent) => void;
  readonly onReady: () => void;
  readonly onHeartbeat: () => void;
  /** Nothing was heard for too long. The gateway is being ended; the sounder must start now. */
  readonly onStalled: () => void;
  readonly onSound: (message: Extract<GatewayMessage, { kind: "sound" }>) => void;
}

/** How a life ended. */
export interface LifeEnd {
  readonly because: RestartReason;
  /** The child's exit code, or 128 plus the signal's number as shells count it. */
  readonly exitCode: number;
  /** True where the gateway said that only a person can mend why it does not start. */
  readonly refused: boolean;
  /** Whether it ever called itself ready. */
  readonly wasReady: boolean;
  /** Where a person has written another configuration meanwhile: the file with the one of this life; null where it is the same. */
  readonly previousConfig: string | null;
}

const SIGNAL_EXIT_CODES: Readonly<Record<string, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGQUIT: 131,
  SIGABRT: 134,
  SIGKILL: 137,
  SIGSEGV: 139,
  SIGTERM: 143,
};
const OTHER_SIGNAL_EXIT_CODE = 128;
const CHECKS_PER_SILENCE = 20;
const CHECK_PERIOD_MS_MAX = 250;
const LAST_WORDS_MS_MAX = 200;

/**
 * One run of the gateway as a child process, from its start to its end.
 *
 * The child leads a process group of its own, so that a Ctrl-C at the terminal reaches the supervisor only and a stalled gateway is
 * ended with all it started. It runs with `--trace-sigint`: a gateway stuck in a loop prints where, on standard error, before it is
 * killed; for that it must not listen to SIGINT itself.
 */
export class GatewayLife {
  /** Resolves when the child is gone and its last words are read. Never rejects. */
  readonly ended: Promise<LifeEnd>;
  readonly #options: LifeOptions;
  readonly #clock: Clock;
  readonly #listener: LifeListener;
  readonly #child: ChildProcess;
  readonly #startedAt: MonotonicMs;
  readonly #timers: Timer[] = [];
  #heardAt: MonotonicMs;
  #isReady = false;
  #silentChecksCount = 0;
  #stalled = false;
  #asked = false;
  #refused = false;
  #restarting = false;
  #previousConfig: string | null = null;
  #reason: string | null = null;

  constructor(options: LifeOptions, parts: { readonly clock: Clock; readonly listener: LifeListener }) {
    this.#options = options;
    this.#clock = parts.clock;
    this.#listener = parts.listener;
    this.#startedAt = this.#clock.monotonic();
    this.#heardAt = this.#startedAt;
    this.#child = startChild(options);
    this.#child.on("message", (message) => this.#take(message));
    this.ended = this.#untilEnded();
    const { pid } = this.#child;
    if (pid === undefined) return;
    this.#listener.report({ kind: "gateway-started", pid, because: options.because, safeMode: options.safeMode });
    this.#timers.push(this.#clock.every(this.#checkPeriodMs(), () => this.#check()));
  }

  /** Tells the gateway something; lost without a word when the channel is closed, because then the gateway is ending. */
  tell(message: SupervisorMessage): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  /** Asks for a clean end by SIGTERM; kills after `stopMsMax`. May be called any number of times. */
  stop(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#child.kill("SIGTERM");
    this.#killAfter(this.#options.limits.stopMsMax);
  }

  #take(message: unknown): void {
    const parsed = parseGatewayMessage(message);
    if (parsed.ok) this.#obey(parsed.value);
    else this.#listener.report({ kind: "message-refused", given: parsed.error.given });
  }

  #obey(message: GatewayMessage): void {
    switch (message.kind) {
      case "ready":
        this.#becomeReady();
        break;
      case "heartbeat":
        this.#heardAt = this.#clock.monotonic();
        if (!this.#stalled && !this.#isEnding()) this.#listener.onHeartbeat();
        break;
      case "sound":
        this.#listener.onSound(message);
        break;
      case "refused":
        this.#refused = !this.#isReady;
        break;
      case "stopping":
        this.#killAfter(this.#options.limits.stopMsMax);
        break;
      case "restarting":
        this.#restarting = true;
        this.#previousConfig = message.previousConfig;
        this.#killAfter(this.#options.limits.stopMsMax);
        break;
      case "settings-saved":
        this.#previousConfig = message.previousConfig;
        break;
      case "crashed":
        this.#reason = message.reason;
        this.#killAfter(this.#options.limits.graceMs);
        break;
    }
  }

  #becomeReady(): void {
    const now = this.#clock.monotonic();
    this.#isReady = true;
    this.#heardAt = now;
    this.#listener.report({ kind: "gateway-ready", pid: this.#child.pid ?? 0, afterMs: Math.round(now - this.#startedAt) });
    this.#listener.onReady();
  }

  /**
   * Two silent looks in a row are needed: after this process itself was held up (a suspended board), the first look comes before the
   * channel is read and the second after. The limit is shortened by both looks, so that the sound still starts within it.
   */
  #check(): void {
    const { heartbeatSilenceMsMax, readyMsMax } = this.#options.limits;
    const silentMs = this.#clock.monotonic() - (this.#isReady ? this.#heardAt : this.#startedAt);
    const silentMsMax = (this.#isReady ? heartbeatSilenceMsMax : readyMsMax) - 2 * this.#checkPeriodMs();
    this.#silentChecksCount = silentMs > silentMsMax ? this.#silentChecksCount + 1 : 0;
    if (this.#silentChecksCount < 2 || this.#stalled || this.#isEnding()) return;
    this.#stalled = true;
    const pid = this.#child.pid ?? 0;
    this.#listener.report({ kind: "gateway-stalled", pid, silentMs: Math.round(silentMs), wasReady: this.#isReady });
    this.#listener.onStalled();
    this.#child.kill("SIGINT");
    this.#killAfter(this.#options.limits.graceMs);
  }

  /** On its way to an end that was wished for, which has a bound of its own. */
  #isEnding(): boolean {
    return this.#asked || this.#restarting;
  }

  #checkPeriodMs(): number {
    return Math.min(CHECK_PERIOD_MS_MAX, this.#options.limits.heartbeatSilenceMsMax / CHECKS_PER_SILENCE);
  }

  #killAfter(delayMs: number): void {
    const kill = () => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
      this.#listener.report({ kind: "gateway-killed", pid: this.#child.pid ?? 0, waitedMs: delayMs });
      killGroup(this.#child);
    };
    this.#timers.push(this.#clock.after(delayMs, kill));
  }

  #untilEnded(): Promise<LifeEnd> {
    return new Promise((resolve) => {
      const finish = (exitCode: number) => {
        for (const timer of this.#timers) timer.stop();
        const because = this.#restarting ? "asked" : this.#stalled ? "stalled" : "crashed";
        const [refused, wasReady, previousConfig] = [this.#refused, this.#isReady, this.#previousConfig];
        resolve({ because, exitCode, refused, wasReady, previousConfig });
      };
      this.#child.on("error", (error) => {
        if (this.#child.pid !== undefined) return;
        this.#listener.report({ kind: "gateway-not-started", detail: error.message });
        finish(1);
      });
      this.#child.once("exit", async (exitCode, signal) => {
        await this.#lastWords();
        const pid = this.#child.pid ?? 0;
        this.#listener.report({ kind: "gateway-ended", pid, exitCode, signal, asked: this.#asked, reason: this.#reason });
        finish(exitCode ?? SIGNAL_EXIT_CODES[signal ?? ""] ?? OTHER_SIGNAL_EXIT_CODE);
      });
    });
  }

  /** What the child sent just before its end may still be in the channel when its end is known. */
  async #lastWords(): Promise<void> {
    if (!this.#child.connected) return;
    const read = new AbortController();
    this.#child.once("disconnect", () => read.abort());
    await this.#clock.sleep(LAST_WORDS_MS_MAX, read.signal);
  }
}

function startChild(options: LifeOptions): ChildProcess {
  const env: NodeJS.ProcessEnv = { ...options.env };
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", ...Object.values(SUPERVISOR_VARIABLES)]) delete env[name];
  if (options.because !== null) env[SUPERVISOR_VARIABLES.restartedBecause] = options.because;
  if (options.safeMode) env[SUPERVISOR_VARIABLES.safeMode] = "1";
  return spawn(process.execPath, ["--trace-sigint", ...options.command], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    detached: true,
    env,
  });
}
