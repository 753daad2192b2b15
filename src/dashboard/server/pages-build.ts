import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Fault, fault } from "../../core/errors.ts";
import { fail, type Result, succeed } from "../../core/result.ts";

/** What the pages are made from, relative to the project. */
const sourceFolders = ["src/dashboard/web", "src/core"] as const;
const sourceFiles = ["package-lock.json", "src/dashboard/server/pages-build.ts"] as const;
const stampName = ".made-from";
const buildMsMax = 120_000;
const keptOutputCharacters = 2000;

/** The folder the pages are built into. */
export function pagesFolder(projectRoot: string): string {
  return join(projectRoot, "dist", "dashboard");
}

/** Whether the built pages are missing or were made from other sources than those that are there now. */
export async function pagesAreStale(projectRoot: string): Promise<boolean> {
  try {
    await readFile(join(pagesFolder(projectRoot), "index.html"));
    const stamp = await readFile(join(pagesFolder(projectRoot), stampName), "utf8");
    return stamp !== (await hashPagesSource(projectRoot));
  } catch {
    return true;
  }
}

/** One hash over every file the pages are made from. */
async function hashPagesSource(projectRoot: string): Promise<string> {
  const files: string[] = [...sourceFiles];
  for (const folder of sourceFolders) {
    for (const entry of await readdir(join(projectRoot, folder), { recursive: true, withFileTypes: true })) {
      if (entry.isFile())
        files.push(
          join(entry.parentPath, entry.name)
            .slice(projectRoot.length)
            .replace(/^[\\/]/, ""),
        );
    }
  }
  const hash = createHash("sha256");
  for (const file of files.sort()) hash.update(`${file}\0`).update(await readFile(join(projectRoot, file)));
  return hash.digest("hex");
}

/** Notes in the built pages what they were made from; called by the build itself when it has written them. */
export async function stampPages(projectRoot: string): Promise<void> {
  await mkdir(pagesFolder(projectRoot), { recursive: true });
  await writeFile(join(pagesFolder(projectRoot), stampName), await hashPagesSource(projectRoot));
}

/**
 * Builds the pages in a process of their own.
 *
 * @returns  `page-failed` with the end of what the build said, where it fails or takes over two minutes.
 */
export function buildPages(projectRoot: string): Promise<Result<void, Fault>> {
  const vite = join(projectRoot, "node_modules", "vite", "bin", "vite.js");
  const child = spawn(process.execPath, [vite, "build", "src/dashboard/web", "--configLoader", "native", "--logLevel", "warn"], {
    cwd: projectRoot,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: buildMsMax,
  });
  let output = "";
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString("utf8")).slice(-keptOutputCharacters);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  return new Promise((resolve) => {
    child.on("error", (error) => resolve(fail(fault("page-failed", { reason: error.message }))));
    child.on("close", (code) => resolve(code === 0 ? succeed(undefined) : fail(fault("page-failed", { reason: output.trim() }))));
  });
}
