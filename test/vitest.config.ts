import { defineConfig } from "vitest/config";
import { shareCompiled } from "./support/compile-cache.ts";

shareCompiled();

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/*.test.ts"],
    testTimeout: 20_000,
    // A busy machine takes its time; what never comes to be costs a test that fails anyway so much.
    expect: { poll: { timeout: 15_000 } },
    hookTimeout: 30_000,
    pool: "forks",
    maxWorkers: 4,
    reporters: process.env["CI"] === undefined ? ["default"] : ["default", "json"],
    outputFile: { json: "node_modules/.vigil/test-report.json" },
  },
});
