import { defineConfig } from "vite";
import { stampPages } from "../server/pages-build.ts";

const projectRoot = new URL("../../../", import.meta.url).pathname.replace(/\/$/, "");

/** Builds the pages into `dist/dashboard` and notes there what they were made from. */
export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: `${projectRoot}/dist/dashboard`,
    emptyOutDir: true,
    target: "es2022",
    // Nothing inline: the page's content security policy forbids it.
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
  },
  plugins: [{ name: "vigil-stamp", closeBundle: () => stampPages(projectRoot) }],
});
