import { PRIORITY_RANK, type Priority } from "../core/alert.ts";
import type { Clock } from "../core/time.ts";
import type { ProgramOutcome, ProgramTrouble } from "./short-program.ts";
import { runShortProgram } from "./short-program.ts";
import type { SoundReason, SupervisorEvent } from "./supervisor-event.ts";

/** What a failing sounder was last found to lack, or null while it works. */
export type SounderState = { readonly why: ProgramTrouble; readonly detail: string } | null;

/** The local sounder: one run at a time, repeated while the gateway does not answer. */
export interface Sounder {
  /** Sounds again and again until `quieten`. */
  readonly alarm: () => void;
  /** Ends the alarm, the run in progress included. */
  readonly quieten: () => void;
  /** Asks for one run. While one is in progress only the most urgent wish waits. */
  readonly sound: (priority: Priority) => void;
  readonly state: () => SounderState;
  /** Ends everything; no sound afterwards. */
  readonly close: () => Promise<void>;
}

/** How the sounder is run. The environment variable `VIGIL_SOUND` tells the program why. */
export interface SounderOptions {
  /** Program and arguments, or null: then only the terminal's bell rings, which nobody hears on a board without a terminal. */
  readonly command: readonly string[] | null;
  readonly env: NodeJS.ProcessEnv;
  readonly sounderMsMax: number;
  readonly sounderPauseMs: number;
}

/** Makes a quiet sounder. `report` is called once for each alarm and each wish that sounds, and on each change between failing and working. */
export function createSounder(
  options: SounderOptions,
  parts: { readonly clock: Clock; readonly report: (event: SupervisorEvent) => void },
): Sounder {
  let alarming = false;
  let alarmTold = false;
  let wish: Priority | null = null;
  let state: SounderState = null;
  let run = new AbortController();
  let work: Promise<void> | null = null;
  const closing = new AbortController();

  const note = (outcome: ProgramOutcome) => {
    if (outcome.kind === "stopped") return;
    if (outcome.kind === "worked") {
      if (state !== null) parts.report({ kind: "sounder-works" });
      state = null;
      return;
    }
    ringBell();
    if (state?.why !== outcome.why) parts.report({ kind: "sounder-failed", why: outcome.why, detail: outcome.detail });
    state = { why: outcome.why, detail: outcome.detail };
  };
  const soundOnce = async (why: SoundReason, stop: AbortSignal) => {
    const told = why === "gateway-not-answering" && alarmTold;
    if (!told) parts.report({ kind: "sound-started", by: options.command === null ? "terminal-bell" : "command", why });
    alarmTold = why === "gateway-not-answering";
    if (options.command === null) return ringBell();
    const env = { ...options.env, VIGIL_SOUND: why };
    note(await runShortProgram({ command: options.command, env, msMax: options.sounderMsMax }, { clock: parts.clock, stop }));
  };
  const soundWhileWanted = async () => {
    while (!closing.signal.aborted && (alarming || wish !== null)) {
      const why: SoundReason = alarming ? "gateway-not-answering" : (wish ?? "low");
      // A patient's wish outlives the alarm for the gateway, which ends with the next heartbeat, perhaps at once.
      if (!alarming) wish = null;
      run = new AbortController();
      await soundOnce(why, run.signal);
      if (alarming) await parts.clock.sleep(options.sounderPauseMs, run.signal);
    }
    work = null;
  };
  const begin = () => {
    work ??= soundWhileWanted();
  };
  return {
    alarm: () => {
      if (!alarming) run.abort();
      alarming = true;
      begin();
    },
    quieten: () => {
      if (alarming) run.abort();
      alarming = false;
      alarmTold = false;
    },
    sound: (priority) => {
      if (wish === null || PRIORITY_RANK[priority] > PRIORITY_RANK[wish]) wish = priority;
      begin();
    },
    state: () => state,
    close: async () => {
      closing.abort();
      run.abort();
      await work;
    },
  };
}

/** The bell character on a line of its own, so that lines of JSON around it stay readable. */
function ringBell(): void {
  process.stderr.write("\u0007\n");
}
