import { readdirSync, readFileSync } from "node:fs";

/** What a group of processes has used so far, as the kernel counts it. */
export interface ProcessUse {
  readonly processCount: number;
  /** Proportional set size of all of them, in MB. Source: /proc/PID/smaps_rollup. */
  readonly pssMegabytes: number;
  /** User and system time of all of them, in seconds. */
  readonly cpuSeconds: number;
  /** Bytes handed to the block layer, as far as the kernel counts it. Source: /proc/PID/io, write_bytes. */
  readonly writtenBytes: number;
}

/** Clock ticks a second in /proc on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** A process and all its descendants. */
export function processTree(rootPid: number): readonly number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = readOrEmpty(`/proc/${entry}/stat`);
    // The command's name may hold spaces and parentheses; what follows the last one is fixed.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    parents.set(Number(entry), Number(fields[1]));
  }
  const tree = [rootPid];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

/** Adds up what the processes use now. A process that has just ended counts as nothing. */
export function useOf(pids: readonly number[]): ProcessUse {
  let pssKilobytes = 0;
  let ticks = 0;
  let writtenBytes = 0;
  for (const pid of pids) {
    pssKilobytes += Number(/^Pss:\s+(\d+)/m.exec(readOrEmpty(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
    const stat = readOrEmpty(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    writtenBytes += Number(/^write_bytes: (\d+)/m.exec(readOrEmpty(`/proc/${pid}/io`))?.[1] ?? 0);
  }
  return {
    processCount: pids.length,
    pssMegabytes: Math.round(pssKilobytes / 102.4) / 10,
    cpuSeconds: ticks / TICKS_PER_SECOND,
    writtenBytes,
  };
}

/** How long the main thread of a process has waited for a core since it began, in ms. Source: /proc/PID/schedstat, second number. */
export function coreWaitMs(pid: number): number {
  return Number(readOrEmpty(`/proc/${pid}/schedstat`).split(" ")[1] ?? 0) / 1e6;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
