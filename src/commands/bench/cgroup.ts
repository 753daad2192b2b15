import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The length of one accounting period, in microseconds; the kernel's usual one. */
const PERIOD_US = 100_000;

/** A group of processes that may use a share of one core. */
export interface CoreLimit {
  readonly release: () => void;
}

/**
 * Holds a process and the children it will have to a share of one core, by a control group of the kernel (version 1 or 2).
 *
 * @param share  0.25 is a quarter of one core, which is nearer to a small ARM board than a whole one.
 * @returns      Null where this machine does not let us, for example without root.
 */
export function limitToShare(pid: number, share: number): CoreLimit | null {
  const first = "/sys/fs/cgroup/cpu";
  const isFirst = existsSync(join(first, "cpu.cfs_quota_us"));
  const folder = join(isFirst ? first : "/sys/fs/cgroup", `vigil-bench-${pid}`);
  try {
    mkdirSync(folder);
    if (isFirst) {
      writeFileSync(join(folder, "cpu.cfs_period_us"), String(PERIOD_US));
      writeFileSync(join(folder, "cpu.cfs_quota_us"), String(PERIOD_US * share));
    } else {
      writeFileSync(join(folder, "cpu.max"), `${PERIOD_US * share} ${PERIOD_US}`);
    }
    writeFileSync(join(folder, "cgroup.procs"), String(pid));
    return { release: () => quietly(() => rmdirSync(folder)) };
  } catch {
    quietly(() => rmdirSync(folder));
    return null;
  }
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // The group goes with the machine's next start; nothing depends on it.
  }
}
