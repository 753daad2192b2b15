import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generatedFiles } from "../../config/documentation.ts";
import { scenariosPage } from "../../simulator/scenario/documentation.ts";
import { ADULT_LIMITS } from "../watch/default-limits.ts";
import type { Command } from "./command.ts";

/** `vigil generate`: writes the files that are made from the code's own tables, or with `--check` says which are stale. */
export const generateCommand: Command = {
  name: "generate",
  usage: `usage: vigil generate [--check]
Writes config/schema.json, config/README.md, drivers/DEVICES.md and simulator/SCENARIOS.md; with --check only says which are stale, exit 1 if any is.`,
  run: async (args, io) => {
    const root = join(import.meta.dirname, "..", "..");
    let staleCount = 0;
    const files = [...generatedFiles(ADULT_LIMITS), ["simulator/SCENARIOS.md", await scenariosPage()] as const];
    for (const [path, wanted] of files) {
      const present = await readFile(join(root, path), "utf8").catch(() => "");
      if (present === wanted) continue;
      staleCount += 1;
      if (args.includes("--check")) io.stdout(JSON.stringify({ stale: path }));
      else await writeFile(join(root, path), wanted);
    }
    return args.includes("--check") && staleCount > 0 ? 1 : 0;
  },
};
