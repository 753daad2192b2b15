import { defineConfig } from "vitest/config";
import { MALLOC_ENVIRONMENT, NODE_MEMORY_FLAGS } from "../../src/commands/memory-flags.ts";
import { shareCompiled } from "../support/compile-cache.ts";

shareCompiled();

// The C library reads it when a process begins; the processes that vitest starts have it from this one.
Object.assign(process.env, MALLOC_ENVIRONMENT);

/** Runs the whole gateway in its own process and looks at its memory, so it has the bounds that the gateway has. */
const IN_ONE_PROCESS = "test/soak/fifty-beds.test.ts";

export default defineConfig({
  test: {
    root: new URL("../../", import.meta.url).pathname,
    testTimeout: 14_400_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 1,
    reporters: process.env["CI"] === undefined ? ["default"] : ["default", "json"],
    outputFile: { json: "node_modules/.vigil/soak-report.json" },
    projects: [
      { extends: true, test: { name: "ward", include: [IN_ONE_PROCESS], execArgv: [...NODE_MEMORY_FLAGS] } },
      { extends: true, test: { name: "soak", include: ["test/soak/*.test.ts"], exclude: [IN_ONE_PROCESS] } },
    ],
  },
});
