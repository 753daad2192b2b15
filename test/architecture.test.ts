import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  blankOut,
  PROJECT_FOLDER,
  packageOf,
  readSourceFiles,
  resolveSpecifier,
  type SourceFile,
  stemOf,
} from "./support/source-file.ts";
import { functionSpans, lineAt, workAtImport } from "./support/source-shape.ts";

const FILES = readSourceFiles();
const PATHS = new Set(FILES.map((file) => file.path));
const PRODUCT = FILES.filter((file) => !file.path.startsWith("test/"));
const PACKAGE = JSON.parse(readFileSync(join(PROJECT_FOLDER, "package.json"), "utf8"));

// ------------------------------------------------------------------------------------------- who may import whom

const SRC_ROOMS = [
  ...["core", "wire", "transports", "intake", "watch", "inference", "alerts", "journal", "sinks", "broker"],
  ...["mqtt", "http", "notices", "verify", "accounts", "admissions"],
  ...["dashboard/server", "dashboard/web", "supervisor", "clock", "log"],
];

/** For each room the rooms it may import besides itself. Source: README, "The map". */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  clock: ["core"],
  log: ["core"],
  wire: ["core"],
  mqtt: ["core"],
  http: ["core"],
  notices: ["core", "http"],
  accounts: ["core"],
  admissions: ["core", "wire"],
  transports: ["core", "mqtt"],
  intake: ["core"],
  watch: ["core"],
  inference: ["core"],
  alerts: ["core"],
  journal: ["core"],
  sinks: ["core", "mqtt"],
  verify: ["core"],
  broker: ["core", "accounts"],
  "dashboard/server": ["core", "accounts"],
  "dashboard/web": ["core"],
  supervisor: ["core", "clock"],
  drivers: ["core", "wire"],
  config: ["core", "drivers"],
  simulator: ["core", "wire", "drivers", "config", "clock"],
  gateway: [...SRC_ROOMS, "drivers", "config"],
  commands: [...SRC_ROOMS, "gateway", "drivers", "config", "simulator", "models"],
  main: ["commands"],
  models: ["core"],
  test: [...SRC_ROOMS, "gateway", "drivers", "config", "simulator", "commands", "models"],
};

/**
 * Files that are a thread or process of their own, because another file of the product starts them by name: they do work when loaded,
 * and take the machine's clock themselves, since a clock cannot be handed to them.
 */
const STARTED = new Set(
  PRODUCT.flatMap((file) => file.namedFiles.flatMap((name) => resolveSpecifier(file.path, name) ?? [])).filter((path) =>
    PATHS.has(path),
  ),
);

/** Rooms that are pure: not even a part of Node. */
const PURE_ROOMS = new Set(["core", "wire", "drivers"]);

/** Single edges against the table, each with its reason. */
const SINGLE_EDGES: Readonly<Record<string, string>> = {
  "src/dashboard/web/vite.config.ts -> src/dashboard/server/pages-build.ts":
    "The build of the pages and the server that offers them must agree on one folder.",
};

function roomOf(path: string): string {
  const parts = path.split("/");
  if (parts[0] !== "src") return parts[0] ?? "";
  if (parts[1] === "dashboard") return `dashboard/${parts[2]}`;
  return (parts[1] ?? "").replace(/\.tsx?$/, "");
}

function mayImport(from: string, to: string): boolean {
  const [fromRoom, toRoom] = [roomOf(from), roomOf(to)];
  if (fromRoom === toRoom || SINGLE_EDGES[`${from} -> ${to}`] !== undefined) return true;
  if (toRoom === "clock" && STARTED.has(from)) return true;
  // The configuration knows the list of drivers, never one of them.
  if (fromRoom === "config" && toRoom === "drivers") return to === "drivers/index.ts";
  return (ALLOWED[fromRoom] ?? []).includes(toRoom);
}

describe("import directions", () => {
  test.each(FILES)("$path", (file) => {
    const edges = file.specifiers.flatMap((specifier) => resolveSpecifier(file.path, specifier) ?? []);
    expect(edges.filter((to) => !mayImport(file.path, to)).map((to) => `${file.path} -> ${to}`)).toEqual([]);
    const outside = file.specifiers.filter((specifier) => specifier.startsWith("node:"));
    expect(PURE_ROOMS.has(roomOf(file.path)) ? outside : []).toEqual([]);
  });

  test("every single edge is still there", () => {
    const edges = new Set(
      FILES.flatMap((file) => file.specifiers.map((name) => `${file.path} -> ${resolveSpecifier(file.path, name)}`)),
    );
    expect(Object.keys(SINGLE_EDGES).filter((edge) => !edges.has(edge))).toEqual([]);
  });

  test("every room is in the table", () => {
    expect([...new Set(FILES.map((file) => roomOf(file.path)))].filter((room) => ALLOWED[room] === undefined)).toEqual([]);
  });

  test("parts of Node are named with node:", () => {
    const bare = FILES.flatMap((file) =>
      file.specifiers.filter((name) => /^(fs|path|os|net|crypto|events|http|url|util)(\/|$)/.test(name)),
    );
    expect(bare).toEqual([]);
  });
});

// ------------------------------------------------------------------------------------------- third-party packages

/** One home for each package: a file, or a folder ending in a slash. */
const HOMES: Readonly<Record<string, string>> = {
  "@fastify/static": "src/dashboard/server/",
  "@influxdata/influxdb-client": "src/sinks/",
  aedes: "src/broker/",
  "better-sqlite3": "src/journal/",
  fastify: "src/dashboard/server/",
  mqtt: "src/mqtt/",
  pino: "src/log.ts",
  preact: "src/dashboard/web/",
  serialport: "src/transports/serial.ts",
  uplot: "src/dashboard/web/",
  vite: "src/dashboard/web/vite.config.ts",
  yaml: "config/",
  zod: "config/",
};

/** Single files outside a package's home that use it, each with its reason. */
const SINGLE_GUESTS: Readonly<Record<string, string>> = {
  "src/commands/bench/plain-rows-worker.ts uses better-sqlite3":
    "What the journal is measured against is SQLite without the journal, and nothing that a gateway runs.",
  "simulator/scenario/schema.ts uses zod": "A scenario is written by people like a configuration, and judged by the same means.",
};

describe("third-party packages", () => {
  test.each(PRODUCT)("$path uses packages only in their home", (file) => {
    const strangers = file.specifiers.flatMap((specifier) => {
      const name = packageOf(specifier);
      if (name === null || SINGLE_GUESTS[`${file.path} uses ${name}`] !== undefined) return [];
      const home = HOMES[name];
      return home !== undefined && file.path.startsWith(home) ? [] : [`${name} belongs into ${home ?? "no home yet"}`];
    });
    expect(strangers).toEqual([]);
  });

  test("every single guest is still there", () => {
    const uses = new Set(PRODUCT.flatMap((file) => file.specifiers.map((name) => `${file.path} uses ${packageOf(name)}`)));
    expect(Object.keys(SINGLE_GUESTS).filter((guest) => !uses.has(guest))).toEqual([]);
  });

  test("every dependency of the running gateway has a home", () => {
    expect(Object.keys(PACKAGE.dependencies).filter((name) => HOMES[name] === undefined)).toEqual([]);
  });

  test("every package imported is in package.json", () => {
    const known = { ...PACKAGE.dependencies, ...PACKAGE.devDependencies };
    const named = FILES.flatMap((file) => file.specifiers.flatMap((specifier) => packageOf(specifier) ?? []));
    expect([...new Set(named)].filter((name) => known[name] === undefined)).toEqual([]);
  });

  test("every version is exact", () => {
    const versions = { ...PACKAGE.dependencies, ...PACKAGE.devDependencies, ...PACKAGE.optionalDependencies };
    expect(Object.entries(versions).filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(String(version)))).toEqual([]);
  });

  test("the lock file names no registry, so that each machine uses its own", () => {
    const lock = JSON.parse(readFileSync(join(PROJECT_FOLDER, "package-lock.json"), "utf8"));
    const entries = Object.entries<{ readonly resolved?: string }>(lock.packages);
    expect(entries.filter(([, entry]) => entry.resolved !== undefined).map(([name]) => name)).toEqual([]);
  });
});

// ------------------------------------------------------------------------------------------------ files in use

/** What starts by itself. Everything else must be reached from here. */
const ENTRIES = ["src/main.ts", "src/dashboard/web/main.tsx", "src/dashboard/web/vite.config.ts"];
const TEST_ENTRY = /^test\/(.*\/)?(.*\.test|vitest\.config)\.ts$/;

function reachedFrom(entries: readonly string[]): ReadonlySet<string> {
  const byPath = new Map(FILES.map((file) => [file.path, file]));
  const reached = new Set<string>();
  const waiting = [...entries];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = byPath.get(path);
    if (file === undefined || reached.has(path)) continue;
    reached.add(path);
    waiting.push(...neighboursOf(file));
  }
  return reached;
}

/** Files that are imported, and files named in a string: workers and child programs. */
function neighboursOf(file: SourceFile): readonly string[] {
  const imported = file.specifiers.flatMap((specifier) => resolveSpecifier(file.path, specifier) ?? []);
  const named = file.namedFiles.flatMap((name) => resolveSpecifier(file.path, `./${name}`) ?? []);
  return [...imported, ...named];
}

describe("files in use", () => {
  const testEntries = [...PATHS].filter((path) => TEST_ENTRY.test(path));

  test("every file of the product is reached from a program that starts it; a test is not enough, except for the simulator", () => {
    const [reached, reachedByTests] = [reachedFrom(ENTRIES), reachedFrom(testEntries)];
    const unused = PRODUCT.map((file) => file.path).filter((path) => !reached.has(path));
    expect(unused.filter((path) => !path.startsWith("simulator/") || !reachedByTests.has(path))).toEqual([]);
  });

  test("every file that supports tests is used by one", () => {
    const reached = reachedFrom(testEntries);
    expect([...PATHS].filter((path) => path.startsWith("test/") && !reached.has(path))).toEqual([]);
  });

  test("every import leads to a file", () => {
    const lost = FILES.flatMap((file) =>
      file.specifiers
        .map((specifier) => resolveSpecifier(file.path, specifier))
        .filter((to) => to !== null && !existsSync(join(PROJECT_FOLDER, to)))
        .map((to) => `${file.path} -> ${to}`),
    );
    expect(lost).toEqual([]);
  });

  const MEANINGLESS = new Set(["utils", "util", "helpers", "helper", "common", "manager", "base", "misc"]);
  test("every file is named after its noun, in kebab-case", () => {
    const wrong = FILES.filter(({ path }) => {
      const stem = stemOf(path);
      return !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem) || stem.split("-").some((word) => MEANINGLESS.has(word));
    });
    expect(wrong.map((file) => file.path)).toEqual([]);
  });

  const TOP_LEVEL = new Set([
    ...["package.json", "tsconfig.json", "src", "drivers", "models", "config", "simulator", "test", "README.md"],
    ...["package-lock.json", "LICENSE", "CHANGELOG.md", "node_modules"],
  ]);
  test("the top level holds what the owner fixed and nothing else", () => {
    const ignored = new Set(
      readFileSync(join(PROJECT_FOLDER, ".gitignore"), "utf8")
        .split("\n")
        .map((line) => line.replaceAll("/", "")),
    );
    const names = readdirSync(PROJECT_FOLDER).filter(
      (name) => !name.startsWith(".") && !name.endsWith(".log") && !ignored.has(name),
    );
    expect(names.filter((name) => !TOP_LEVEL.has(name))).toEqual([]);
  });

  test("generated files are fresh", () => {
    const check = () =>
      execFileSync(process.execPath, ["src/main.ts", "generate", "--check"], { cwd: PROJECT_FOLDER, stdio: "pipe" });
    expect(check).not.toThrow();
  });
});

// ---------------------------------------------------------------------------------------------- inside the files

/** Files whose very purpose is to do something when loaded. */
const PROGRAMS = new Set([...ENTRIES, ...STARTED]);

/** Besides threads and processes, the only places that may ask a clock or dice of the machine, each with its reason. */
const CLOCKS: Readonly<Record<string, string>> = {
  "src/clock.ts": "It is the one real clock.",
  "src/dashboard/web/": "It runs in the browser, where the page's own clock notices a dead stream.",
};
const CLOCK_USE =
  /\b(Date\.now|performance\.now|Math\.random|setTimeout|setInterval|AbortSignal\.timeout)\b\s*\(?|new Date\(\s*\)/g;
/** Commands choose the real parts, and dice are one of them; they hand `Math.random` on as a function. */
const CHOOSES_PARTS = /^src\/commands\//;
const FUNCTION_LINES_MAX = 70;

describe("inside the files", () => {
  test.each(PRODUCT.filter((file) => !PROGRAMS.has(file.path)))(
    "$path does nothing when it is imported and keeps no state",
    (file) => {
      expect(workAtImport(file)).toEqual([]);
    },
  );

  test.each(PRODUCT)(`$path: no function is longer than ${FUNCTION_LINES_MAX} lines`, (file) => {
    const long = functionSpans(file).filter((span) => span.linesCount > FUNCTION_LINES_MAX);
    expect(long.map((span) => `${file.path}:${span.line} has ${span.linesCount} lines`)).toEqual([]);
  });

  test.each(PRODUCT.filter((file) => !STARTED.has(file.path) && !Object.keys(CLOCKS).some((home) => file.path.startsWith(home))))(
    "$path takes time and chance as arguments",
    (file) => {
      const found = [...file.bare.matchAll(CLOCK_USE)].filter(
        (use) => use[0] !== "Math.random" || !CHOOSES_PARTS.test(file.path),
      );
      const uses = found.map((use) => `${file.path}:${lineAt(file.bare, use.index)} ${use[0].trim()}`);
      expect([...uses, ...file.specifiers.filter((specifier) => /^(node:)?timers/.test(specifier))]).toEqual([]);
    },
  );

  test("every lint suppression names its rule and its reason on its line", () => {
    const lines = FILES.flatMap((file) =>
      file.text.split("\n").map((line, index) => ({ line, where: `${file.path}:${index + 1}` })),
    );
    const suppressions = lines.filter(({ line }) =>
      /^\s*(\/\/|\/\*|\{\/\*).*\b(biome-ignore|@ts-(expect-error|ignore|nocheck))/.test(line),
    );
    process.stdout.write(`${suppressions.length} lint suppressions: ${suppressions.map(({ where }) => where).join(" ")}\n`);
    const reasoned = /biome-ignore(-all|-start|-end)? [\w/]+: \S.{5,}|@ts-expect-error:? \S.{5,}/;
    expect(suppressions.filter(({ line }) => !reasoned.test(line)).map(({ where }) => where)).toEqual([]);
  });
});

// --------------------------------------------------------------------------------------- the checks themselves

describe("the checks", () => {
  const made = (text: string, path = "src/core/made.ts"): SourceFile => {
    return { path, text, bare: blankOut(text), specifiers: [], namedFiles: [] };
  };

  test("see an edge against the direction, and let one with it pass", () => {
    expect(mayImport("src/watch/score.ts", "src/journal/packing.ts")).toBe(false);
    expect(mayImport("src/watch/score.ts", "src/core/act.ts")).toBe(true);
    expect(mayImport("config/schema.ts", "drivers/serial/one.ts")).toBe(false);
    expect(mayImport("config/schema.ts", "drivers/index.ts")).toBe(true);
    expect(mayImport("src/gateway.ts", "src/commands/run.ts")).toBe(false);
    expect(mayImport("src/commands/run.ts", "test/support/any.ts")).toBe(false);
    expect(mayImport("src/sinks/mqtt.ts", "src/clock.ts")).toBe(false);
    for (const started of STARTED) expect(mayImport(started, "src/clock.ts")).toBe(true);
  });

  const work = [
    "let count = 0;",
    "export let count = 0;",
    "await prepare();",
    "register(driver);",
    "const seen = new Map<string, number>();",
    "export const list: string[] = [];",
    'const text = readFileSync("a");',
    "const at = Date.now();",
    "if (ready) start();",
  ];
  test.each(work)("see work at import: %s", (text) => {
    expect(workAtImport(made(`import { a } from "b";\n${text}\n`))).toHaveLength(1);
  });

  const pure = [
    "export const LIST = [1, 2] as const;",
    "const make = () => new Map();",
    "const NOTHING: readonly string[] = [];",
    "export const read = () => readFileSync(name);",
    'const NAMES: ReadonlySet<string> = new Set(["await", "Date.now()"]);',
    "export function now(): number {\n  return Date.now();\n}",
    "export const driver = {\n  open: (name) => {\n    return readFileSync(name);\n  },\n};",
    "// let count = 0;",
  ];
  test.each(pure)("see no work in: %s", (text) => {
    expect(workAtImport(made(`${text}\n`))).toEqual([]);
  });

  test("measure a function, a method and an arrow, and no condition", () => {
    const body = "  call();\n".repeat(3);
    expect(functionSpans(made(`function a(): number {\n${body}}\n`))).toEqual([{ line: 1, linesCount: 5 }]);
    expect(functionSpans(made(`class A {\n  b(c: string): { d: number } {\n${body}  }\n}\n`))).toEqual([
      { line: 2, linesCount: 5 },
    ]);
    expect(functionSpans(made(`const a = async (b) => {\n${body}};\n`))).toEqual([{ line: 1, linesCount: 5 }]);
    expect(functionSpans(made(`if (a(b)) {\n${body}}\n`))).toEqual([]);
  });

  test("find every form of import, and none in comments and strings", () => {
    const self = FILES.find((file) => file.path === "test/architecture.test.ts");
    expect(self?.specifiers).toEqual([
      ...["node:child_process", "node:fs", "node:path", "vitest", "./support/source-file.ts", "./support/source-shape.ts"],
    ]);
    const main = FILES.find((file) => file.path === "src/main.ts");
    expect(main?.specifiers).toContain("./commands/run.ts");
  });

  test("see through strings, templates, regular expressions and comments", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a template is the example.
    expect(blankOut('a("//", `${b("}")}`, /["/]/) // c\n/* d */ e')).toBe('a("  ", `         `, /    /)     \n        e');
  });
});
