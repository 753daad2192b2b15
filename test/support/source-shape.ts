import type { SourceFile } from "./source-file.ts";

/** One statement outside of any function, class or block, as its text without comments and quoted parts. */
interface TopStatement {
  readonly line: number;
  readonly text: string;
}

/** The statements at the left edge. Relies on the formatter: a statement starts in column 0, and its inner lines do not or close brackets. */
function topStatements(file: SourceFile): readonly TopStatement[] {
  const statements: { line: number; text: string }[] = [];
  for (const [index, line] of file.bare.split("\n").entries()) {
    const last = statements.at(-1);
    if (/^[^\s})\]]/.test(line)) statements.push({ line: index + 1, text: line });
    else if (last !== undefined) last.text += `\n${line}`;
  }
  return statements;
}

const DECLARATION =
  /^(export\s+)?(default\s+)?(declare\s+)?(import|type|interface|abstract\s+class|class|function|async\s+function|const)\b|^export\s*(\{|\*|type\b)/;
const EMPTY_COLLECTION =
  /^(export\s+)?const\s+\w+\b(?!\s*:\s*[rR]eadonly)(\s*:[^=]*)?\s*=\s*(new\s+(Map|Set|WeakMap|WeakSet|Array)\b(<[^(]*>)?\(\s*\)|\[\s*\]|\{\s*\});?\s*$/;
const EFFECTS =
  /\b(await|spawn\w*|fork|exec\w*|fetch|read\w*Sync|write\w*Sync|mkdir\w*|rm\w*Sync|exists\w*Sync|open\w*Sync|listen|connect\w*(?=\s*\()|createServer|createSystemClock|createLog|randomUUID|randomBytes|setTimeout|setInterval|setImmediate|queueMicrotask|process\.(on|once|exit|stdout|stderr|env)|Date\.now|performance\.now|Math\.random|new\s+(Worker|Date|AbortController|EventEmitter|Database))\b/;

/** What an import of this file would do beyond declaring things: one sentence each. */
export function workAtImport(file: SourceFile): readonly string[] {
  return topStatements(file).flatMap(({ line, text }) => {
    const where = `${file.path}:${line}`;
    if (/^(export\s+)?(let|var)\b/.test(text)) return [`${where} keeps state in a module`];
    if (!DECLARATION.test(text)) return [`${where} is a statement, not a declaration`];
    if (EMPTY_COLLECTION.test(text)) return [`${where} is an empty collection: state in a module`];
    const effect = /^(export\s+)?const\b/.test(text) ? EFFECTS.exec(withoutFunctionBodies(text)) : null;
    return effect === null ? [] : [`${where} does something when imported: ${effect[0]}`];
  });
}

/** One function with its length from the line of its name to that of its closing brace. */
export interface FunctionSpan {
  readonly line: number;
  readonly linesCount: number;
}

/** Every function with a body in braces: declarations, methods and arrows. Expression bodies are not measured. */
export function functionSpans(file: SourceFile): readonly FunctionSpan[] {
  return functionBodies(file.bare).map(({ headStart, open, close }) => {
    const line = lineAt(file.bare, headStart);
    return { line, linesCount: lineAt(file.bare, close) - Math.min(line, lineAt(file.bare, open)) + 1 };
  });
}

/** The text with the inside of every function blanked, arrows with an expression included up to the end of their line. */
function withoutFunctionBodies(bare: string): string {
  let rest = bare;
  for (const { open, close } of functionBodies(bare)) {
    rest = rest.slice(0, open + 1) + rest.slice(open + 1, close).replace(/[^\n]/g, " ") + rest.slice(close);
  }
  return rest.replace(/=>\s*[^{\s][^\n]*/g, "=>");
}

interface FunctionBody {
  readonly headStart: number;
  readonly open: number;
  readonly close: number;
}

const HEAD = /(=>|\)(\s*:\s*[^;{}=]*(\{[^{}\n]*\}[^;{}=\n]*)?)?)\s*$/;
const TYPE_FOLLOWS = /[:<|,]\s*$/;
const NO_FUNCTION = /\b(if|for|while|switch|catch|with|await)\s*$/;

function functionBodies(bare: string): readonly FunctionBody[] {
  const bodies: FunctionBody[] = [];
  for (let open = bare.indexOf("{"); open >= 0; open = bare.indexOf("{", open + 1)) {
    const before = bare.slice(Math.max(0, open - 400), open);
    const head = HEAD.exec(before);
    if (head === null || TYPE_FOLLOWS.test(before)) continue;
    const isArrow = head[0].startsWith("=>");
    const headStart = isArrow ? open : matchBackwards(bare, open - head[0].length);
    if (NO_FUNCTION.test(bare.slice(Math.max(0, headStart - 20), headStart))) continue;
    const close = matchForwards(bare, open);
    bodies.push({ headStart, open, close });
  }
  return bodies;
}

function matchForwards(bare: string, open: number): number {
  let depth = 0;
  for (let at = open; at < bare.length; at++) {
    if (bare[at] === "{") depth++;
    if (bare[at] === "}" && --depth === 0) return at;
  }
  return bare.length;
}

function matchBackwards(bare: string, close: number): number {
  let depth = 0;
  for (let at = close; at >= 0; at--) {
    if (bare[at] === ")") depth++;
    if (bare[at] === "(" && --depth === 0) return at;
  }
  return 0;
}

/** The line, from 1, of a place in a text. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}
