import { readdirSync, readFileSync } from "node:fs";
import { basename, join, posix, relative } from "node:path";

/** The project's own folder. */
export const PROJECT_FOLDER = join(import.meta.dirname, "..", "..");

/** One TypeScript file, read without a compiler: TypeScript 7 has no classic API, and these rules need none. */
export interface SourceFile {
  /** From the project's folder, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /**
   * The text with comments, and what is inside strings, templates and regular expressions, replaced by spaces; same length, same lines.
   * Limits: in TSX a quote in running text is taken for the start of a string until the end of its line; what stands in `${}` of a
   * template is blanked with the template.
   */
  readonly bare: string;
  /** Everything named in `import` and `export from`, dynamic imports included, as written. */
  readonly specifiers: readonly string[];
  /** String literals outside of imports that end in `.ts` or `.tsx`: workers and child programs are named so. */
  readonly namedFiles: readonly string[];
}

const SOURCE_FOLDERS = ["src", "drivers", "config", "simulator", "models", "test"];
const NOT_READ = new Set(["node_modules", "dist", "captures"]);

/** Every `.ts` and `.tsx` file of the project, in order of path. */
export function readSourceFiles(): readonly SourceFile[] {
  return SOURCE_FOLDERS.flatMap((folder) => listFolder(join(PROJECT_FOLDER, folder))).map(readSourceFile);
}

function listFolder(folder: string): readonly string[] {
  const entries = readEntries(folder).filter((entry) => !NOT_READ.has(entry.name));
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return listFolder(path);
    return /\.tsx?$/.test(entry.name) ? [path] : [];
  });
}

function readEntries(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => a.name.localeCompare(b.name));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

function readSourceFile(file: string): SourceFile {
  const text = readFileSync(file, "utf8");
  const bare = blankOut(text);
  const path = relative(PROJECT_FOLDER, file).replaceAll("\\", "/");
  return { path, text, bare, specifiers: findSpecifiers(text, bare), namedFiles: findNamedFiles(text, bare) };
}

/** Resolves what a file names to a path from the project's folder, or null for a package or a part of Node. */
export function resolveSpecifier(from: string, specifier: string): string | null {
  return specifier.startsWith(".") ? posix.normalize(posix.join(posix.dirname(from), specifier)) : null;
}

/** The package of an import, `@scope/name` or `name`; null for relative paths and parts of Node. */
export function packageOf(specifier: string): string | null {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return null;
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

/** A name without its folder and endings. */
export function stemOf(path: string): string {
  return basename(path).replace(/(\.test|\.config|\.d)?\.tsx?$/, "");
}

const REGEX_MAY_FOLLOW = /(^|[(,=:[!&|?{};+\-*%~^<>])\s*$|\b(return|typeof|case|in|of|delete|void|throw|await|yield)\s*$/;

/** Replaces comments and what is quoted by spaces, and keeps the quotes. */
export function blankOut(text: string): string {
  let bare = "";
  let at = 0;
  const skipTo = (end: number) => {
    bare += text.slice(at, end).replace(/[^\n]/g, " ");
    at = end;
  };
  const keep = (count: number) => {
    bare += text.slice(at, at + count);
    at += count;
  };
  while (at < text.length) {
    const two = text.slice(at, at + 2);
    const one = text[at] ?? "";
    if (two === "//" || (at === 0 && two === "#!")) skipTo(endOf(text, "\n", at));
    else if (two === "/*") skipTo(endOf(text, "*/", at) + 2);
    else if (one === '"' || one === "'" || one === "`") {
      const end = endOfQuoted(text, at, one);
      keep(1);
      skipTo(end);
      if (text[at] === one) keep(1);
    } else if (one === "/" && REGEX_MAY_FOLLOW.test(bare.slice(-40)) && endOfRegex(text, at) !== null) {
      const end = endOfRegex(text, at) ?? at + 1;
      keep(1);
      skipTo(end);
      keep(1);
    } else keep(1);
  }
  return bare.slice(0, text.length);
}

function endOf(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from);
  return end < 0 ? text.length : end;
}

/** The index of the closing quote; of the line's end where a plain quote is not closed on its line. */
function endOfQuoted(text: string, start: number, quote: string): number {
  let depth = 0;
  for (let at = start + 1; at < text.length; at++) {
    const one = text[at];
    if (one === "\\") at++;
    else if (quote === "`" && text.startsWith("${", at)) depth++;
    else if (quote === "`" && one === "}" && depth > 0) depth--;
    else if (one === quote && depth === 0) return at;
    else if (one === "\n" && quote !== "`") return at;
  }
  return text.length;
}

function endOfRegex(text: string, start: number): number | null {
  let inClass = false;
  for (let at = start + 1; at < text.length; at++) {
    const one = text[at];
    if (one === "\n") return null;
    if (one === "\\") at++;
    else if (one === "[") inClass = true;
    else if (one === "]") inClass = false;
    else if (one === "/" && !inClass) return at;
  }
  return null;
}

const STATIC_IMPORT =
  /^(?:import|export)\b[^;"']*?\bfrom\s*(["'])|^import\s*(["'])|\bimport\s*\(\s*(["'])|\bimport\.meta\.resolve\(\s*(["'])/gm;

function findSpecifiers(text: string, bare: string): readonly string[] {
  return specifierIndices(bare).map((index) => quotedAt(text, index));
}

function specifierIndices(bare: string): readonly number[] {
  return [...bare.matchAll(STATIC_IMPORT)].map((match) => match.index + match[0].length - 1);
}

function findNamedFiles(text: string, bare: string): readonly string[] {
  const imported = new Set(specifierIndices(bare));
  const quotes = [...bare.matchAll(/"/g)].map((match) => match.index).filter((index) => !imported.has(index));
  return quotes.map((index) => quotedAt(text, index)).filter((quoted) => /^[\w./-]+\.tsx?$/.test(quoted));
}

function quotedAt(text: string, index: number): string {
  return text.slice(index + 1, endOfQuoted(text, index, text[index] ?? '"'));
}
