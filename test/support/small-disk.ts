import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
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
  const frees: (() => void)[] = [];
  return {
    folder,
    fill: () => void frees.push(fillDisk(folder)),
    free: () => {
      for (const free of frees.splice(0)) free();
    },
  };
}

/** Takes all that is left of the disk a folder lies on, and returns how to free it. */
export function fillDisk(folder: string): () => void {
  const paths: string[] = [];
  for (let bytes = 1 << 20; bytes >= 4096; bytes /= 2) {
    for (let full = false; !full; ) {
      const path = join(folder, `filler-${randomUUID()}`);
      try {
        writeFileSync(path, Buffer.alloc(bytes, 1));
        paths.push(path);
      } catch {
        rmSync(path, { force: true });
        full = true;
      }
    }
  }
  return () => {
    for (const path of paths) rmSync(path, { force: true });
  };
}
