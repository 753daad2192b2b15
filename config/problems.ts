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

/** The problems of one issue of the schema. @param words.chinese  The same issue in the library's Chinese words. */
export function problemsOf(
  issue: z.core.$ZodIssue,
  { chinese, guide }: { readonly chinese: string; readonly guide: string },
): readonly ConfigProblem[] {
  const path = issue.path.map(String).join(".") || "(top)";
  if (issue.message.includes(" | ")) return [ownProblem(path, issue.message)];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({
        path: path === "(top)" ? key : `${path}.${key}`,
        line: null,
        problem: { en: "is not a setting", zh: "不是设置项" },
        remedy: {
          en: `Take it out or mend its spelling; ${guide} lists all settings.`,
          zh: `请删除或修正拼写；全部设置见 ${guide}。`,
        },
      }));
    case "invalid_value": {
      const values = issue.values.map(String);
      return [
        {
          path,
          line: null,
          problem: { en: issue.message, zh: chinese },
          remedy: { en: `Use one of: ${values.join(", ")}.`, zh: `请使用其中之一：${values.join("、")}。` },
        },
      ];
    }
    default: {
      // The library's own words for a setting that is simply not there would puzzle anybody.
      const missing = issue.code === "invalid_type" && issue.message.endsWith("received undefined");
      const problem = missing ? { en: "is missing", zh: "缺少" } : { en: issue.message, zh: chinese };
      return [
        {
          path,
          line: null,
          problem,
          remedy: { en: `See ${guide} for what belongs here.`, zh: `应填内容见 ${guide}。` },
        },
      ];
    }
  }
}

/** A text without the signs that part a problem from its remedy and one language from the other; it may quote what somebody wrote. */
export function inOnePart(text: string): string {
  return text.replaceAll("; ", ", ").replaceAll("；", "，").replaceAll(" | ", " / ");
}
