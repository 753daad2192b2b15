import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Stage } from "./stage.ts";

/** A small file system of its own, and how to fill and free it. */
export interface SmallDisk {
  readonly folder: string;
  /** Takes all that is left. */
  readonly fill: () => void;
  readonly free: () => void;
}

/** Mounts a small file system in memory, or returns why that is refused. Only root may. */
export function mountSmallDisk(stage: Stage, megabytes: number): SmallDisk | string {
  const folder = join(stage.folder, "disk");
  mkdirSync(folder);
  try {
    execFileSync("/bin/mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder], { stdio: "pipe" });
  } catch (error) {
    return String(error);
  }
  // After the programs have been killed, which the stage does first for what was asked last.
  stage.defer(() => execFileSync("/bin/umount", ["-l", folder]));
  const fillers: string[] = [];
  return {
    folder,
    fill: () => {
      for (let bytes = 1 << 20; bytes >= 4096; bytes /= 2) {
        for (let full = false; !full; ) {
          const path = join(folder, `filler-${fillers.length}`);
          fillers.push(path);
          try {
            writeFileSync(path, Buffer.alloc(bytes, 1));
          } catch {
            rmSync(path, { force: true });
            full = true;
          }
        }
      }
    },
    free: () => {
      for (const path of fillers.splice(0)) rmSync(path, { force: true });
    },
  };
}
