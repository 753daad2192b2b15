import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import * as z from "zod";
import type { Text } from "../src/core/quantities.ts";
import { fail, type Result, succeed } from "../src/core/result.ts";
import { type ConfigProblem, inBoth, problemsOf } from "./problems.ts";

/** One slip in YAML makes many errors further down, which nobody needs to read. */
const SYNTAX_ERRORS_TOLD_MAX = 3;

/**
 * Reads YAML that people write by a schema.
 *
 * @param settings.together  What can only be judged of the whole, beside what the schema found.
 * @param settings.whole     What can only be judged of a value in which the schema found nothing.
 * @param settings.guide     The document that says what belongs where; named in remedies.
 * @returns                  The value, or every problem at once with its path, line and remedy in both languages.
 */
export function parseYamlBy<Value>(
  text: string,
  schema: z.ZodType<Value>,
  settings: {
    readonly guide: string;
    readonly together?: (given: unknown, error: z.ZodError) => readonly ConfigProblem[];
    readonly whole?: (value: Value) => readonly ConfigProblem[];
  },
): Result<Value, readonly ConfigProblem[]> {
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true, lineCounter: lines });
  if (document.errors.length > 0) {
    return fail(
      document.errors.slice(0, SYNTAX_ERRORS_TOLD_MAX).map((error) => ({
        path: `line ${error.linePos?.[0].line ?? 1}`,
        line: error.linePos?.[0].line ?? 1,
        problem: syntaxProblem(error.message),
        remedy: { en: "Mend the YAML at this line.", zh: "请修正该行的 YAML。" },
      })),
    );
  }
  const given = plainValue(document);
  if (!given.ok) return given;
  const placed = (problems: readonly ConfigProblem[]) =>
    fail(problems.map((problem) => ({ ...problem, line: lineOf(problem.path, document, lines) })));
  const parsed = schema.safeParse(given.value);
  if (parsed.success) {
    const problems = settings.whole?.(parsed.data) ?? [];
    return problems.length === 0 ? succeed(parsed.data) : placed(problems);
  }
  // The same issues in the same order, in Chinese words.
  const chinese = schema.safeParse(given.value, { error: z.locales.zhCN().localeError });
  const problems = parsed.error.issues.flatMap((issue, index) =>
    problemsOf(issue, { chinese: chinese.error?.issues[index] ?? issue, guide: settings.guide }),
  );
  return placed([...problems, ...(settings.together?.(given.value, parsed.error) ?? [])]);
}

/** The library's first line, without the place that stands before it anyway. It speaks English only. */
function syntaxProblem(message: string): Text {
  const words = (message.split("\n")[0] ?? message)
    .trim()
    .replace(/:$/, "")
    .replace(/ at line \d+, column \d+$/, "");
  return { en: words, zh: `YAML 语法错误：${words}` };
}

/** What a document says; aliases (`*name`) that lead nowhere, or that grow beyond all bounds, are its one problem. */
function plainValue(document: Document): Result<unknown, readonly ConfigProblem[]> {
  try {
    return succeed(document.toJS() ?? {});
  } catch (error) {
    const problem = inBoth(error instanceof Error ? error.message : String(error));
    const remedy = { en: "Write out what the aliases (*name) stand for.", zh: "请将别名（*name）所指内容直接写出。" };
    return fail([{ path: "(top)", line: 1, problem, remedy }]);
  }
}

/** The line at which a setting stands, or what it would stand in. @param path  As problems name it, joined by dots. */
function lineOf(path: string, document: Document, lines: LineCounter): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const key of path.split(".")) {
    const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === key) : undefined;
    const entry = isSeq(node) ? node.items[Number(key)] : pair?.value;
    const place = pair === undefined ? entry : pair.key;
    if (!isNode(place)) break;
    offset = place.range?.[0] ?? offset;
    node = entry;
  }
  return lines.linePos(offset).line;
}
