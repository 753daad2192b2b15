import { existsSync, readFileSync } from "node:fs";

/** What the operating system says of time, besides the two clocks. */
export interface SystemTime {
  /** Whether the system's own time service has set the clock since the board was switched on. */
  readonly word: () => "synchronised" | "not-synchronised" | "unknown";
  /** Which run of the board this is and how long ago it was switched on, sleep included; null where that is not said. */
  readonly boot: () => { readonly id: string; readonly atMs: number } | null;
}

/** A system that says nothing: then a plausible clock is believed. */
export const SILENT_SYSTEM: SystemTime = { word: () => "unknown", boot: () => null };

/**
 * Reads what Linux says, from files in memory only.
 *
 * systemd-timesyncd makes its folder when it starts and the file `synchronized` when it has set the clock; Debian starts it by default.
 * A machine without that folder (chrony, ntpd, a container, no network time at all) says nothing: doubting it for ever would help nobody.
 *
 * @param root  The root of the file system; tests bring their own.
 */
export function createSystemTime(root = "/"): SystemTime {
  const folder = `${root}run/systemd/timesync`;
  return {
    word: () => {
      if (existsSync(`${folder}/synchronized`)) return "synchronised";
      return existsSync(folder) ? "not-synchronised" : "unknown";
    },
    boot: () => {
      try {
        const id = readFileSync(`${root}proc/sys/kernel/random/boot_id`, "utf8").trim();
        // CLOCK_BOOTTIME in seconds, to a hundredth.
        const seconds = Number(readFileSync(`${root}proc/uptime`, "utf8").split(" ")[0]);
        return id !== "" && Number.isFinite(seconds) && seconds > 0 ? { id, atMs: seconds * 1000 } : null;
      } catch {
        return null;
      }
    },
  };
}
