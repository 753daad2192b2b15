import type * as z from "zod";
import type { Text } from "../src/core/quantities.ts";

/** The document that says what belongs into a configuration. */
export const CONFIG_GUIDE = "config/README.md";

/** One thing that is wrong, where it is, and what to do. */
export interface ConfigProblem {
  readonly path: string;
  /** The line of the file, from 1; null where it has none, as a file that cannot be read. */
  readonly line: number | null;
  readonly problem: Text;
  readonly remedy: Text;
}

/** A text of a library, which speaks one language. */
export function inBoth(text: string): Text {
  return { en: text, zh: text };
}

/** A problem of our own: `problem; remedy | 问题；处理`. */
function ownProblem(path: string, message: string): ConfigProblem {
  const [en = message, zh = en] = message.split(" | ");
  const [problem = en, remedy = "mend it"] = en.split("; ");
  const [problemZh = zh, remedyZh = "请修正"] = zh.split("；");
  const sentence = `${remedy.replace(/^./, (letter) => letter.toUpperCase()).replace(/\.?$/, ".")}`;
  return { path, line: null, problem: { en: problem, zh: problemZh }, remedy: { en: sentence, zh: `${remedyZh}。` } };
}

/** What the problems of an issue are told with. @param chinese  The same issue in the library's Chinese words. */
interface Telling {
  readonly chinese: z.core.$ZodIssue;
  readonly guide: string;
}

/** The problems of one issue of the schema. */
export function problemsOf(issue: z.core.$ZodIssue, telling: Telling): readonly ConfigProblem[] {
  const path = pathOf(issue);
  if (issue.message.includes(" | ")) return [ownProblem(path, issue.message)];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({
        path: path === TOP ? key : `${path}.${key}`,
        line: null,
        problem: { en: "is not a setting", zh: "不是设置项" },
        remedy: {
          en: `Take it out or mend its spelling; ${telling.guide} lists all settings.`,
          zh: `请删除或修正拼写；全部设置见 ${telling.guide}。`,
        },
      }));
    case "invalid_union":
      return ofLikeliestShape(issue, telling) ?? [plainProblem(issue, telling)];
    default:
      return [plainProblem(issue, telling)];
  }
}

const TOP = "(top)";

function pathOf({ path }: z.core.$ZodIssue): string {
  return path.map(String).join(".") || TOP;
}

function plainProblem(issue: z.core.$ZodIssue, { chinese, guide }: Telling): ConfigProblem {
  // The library's own words for a setting that is simply not there would puzzle anybody.
  const missing = issue.code === "invalid_type" && issue.message.endsWith("received undefined");
  const problem = missing ? { en: "is missing", zh: "缺少" } : { en: issue.message, zh: chinese.message };
  const remedy = (missing ? null : remedyOf(issue)) ?? {
    en: `See ${guide} for what belongs here.`,
    zh: `应填内容见 ${guide}。`,
  };
  return { path: pathOf(issue), line: null, problem, remedy };
}

/** What to write instead, where the issue itself says it; else null. */
function remedyOf(issue: z.core.$ZodIssue): Text | null {
  switch (issue.code) {
    case "invalid_value": {
      const values = issue.values.map(String);
      return { en: `Use one of: ${values.join(", ")}.`, zh: `请使用其中之一：${values.join("、")}。` };
    }
    case "invalid_type":
      if (issue.expected === "boolean") return { en: "Write true or false.", zh: "请写 true 或 false。" };
      if (issue.expected === "number")
        return { en: "Write a number alone, without a unit or quotes.", zh: "请只写数字，不带单位或引号。" };
      return null;
    default:
      return null;
  }
}

/** How far what was written is from a shape that it has not: a wrong kind, a word that is none of those allowed, anything else. */
const FAR = { kind: 4, word: 3, other: 1 } as const;

/** Where one of several shapes is allowed and none fits: the problems of the one that is nearest to what was written. */
function ofLikeliestShape(
  issue: Extract<z.core.$ZodIssue, { code: "invalid_union" }>,
  { chinese, guide }: Telling,
): readonly ConfigProblem[] | null {
  const shapes = issue.errors.map((issues, index) => ({
    issues,
    index,
    far: issues.reduce((sum, each) => sum + farOf(each), 0),
  }));
  const nearest = shapes.toSorted((first, second) => first.far - second.far)[0];
  if (nearest === undefined) return null;
  const inChinese = chinese.code === "invalid_union" ? chinese.errors[nearest.index] : undefined;
  const placed = (part: z.core.$ZodIssue) => ({ ...part, path: [...issue.path, ...part.path] });
  return nearest.issues.flatMap((part, index) => problemsOf(placed(part), { chinese: inChinese?.[index] ?? part, guide }));
}

function farOf(issue: z.core.$ZodIssue): number {
  if (issue.code === "unrecognized_keys") return issue.keys.length;
  if (issue.path.length > 0) return FAR.other;
  if (issue.code === "invalid_type") return FAR.kind;
  return issue.code === "invalid_value" ? FAR.word : FAR.other;
}

/** A text without the signs that part a problem from its remedy and one language from the other; it may quote what somebody wrote. */
export function inOnePart(text: string): string {
  return text.replaceAll("; ", ", ").replaceAll("；", "，").replaceAll(" | ", " / ");
}
