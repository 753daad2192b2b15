import { loadavg } from "node:os";
import type { SimulatedDisk } from "../../journal/messages.ts";

/**
 * The disk a figure was measured on: `as-is`; `slow`, as an SD card; `instant`, a folder in memory, where a commit costs nothing.
 */
export type BenchDisk = "as-is" | "slow" | "instant";

/** An SD card: 15 ms a commit, 400 ms in 3 % of them. Source: SAFETY.md, when a figure is honest. */
export const SLOW_DISK: SimulatedDisk = { fsyncMs: 15, slowFsyncMs: 400, slowShare: 0.03, seed: 7 };

/** The machine's memory as a folder. */
export const MEMORY_FOLDER = "/dev/shm";

/** What held while a figure was measured. */
export interface Conditions {
  readonly coreCount: number;
  /** Share of one core the gateway was held to, or null where it had whatever the machine gave. */
  readonly coreShareMax: number | null;
  /** False where the machine did not let the bench hold it. */
  readonly shareWasHeld: boolean;
  readonly disk: BenchDisk;
  /** The machine's load average over a minute before the figure began; over 0.3 something else was running. */
  readonly loadBefore: number;
}

/** The conditions now, before a figure begins. */
export function conditionsNow(of: {
  readonly coreCount: number;
  readonly disk: BenchDisk;
  readonly coreShareMax?: number | null;
}): Conditions {
  return {
    coreCount: of.coreCount,
    coreShareMax: of.coreShareMax ?? null,
    shareWasHeld: true,
    disk: of.disk,
    loadBefore: Math.round((loadavg()[0] ?? Number.NaN) * 100) / 100,
  };
}

/** The journal's simulated disk for a kind of disk, as its options want it. */
export function simulatedDiskOf(disk: BenchDisk): SimulatedDisk | null {
  return disk === "slow" ? SLOW_DISK : null;
}
