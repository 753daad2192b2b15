import axe from "axe-core";
import type { Page } from "playwright-core";

/** WCAG 2.2 level A and AA, and what axe holds to be good practice beyond it. */
const ruleSets = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/**
 * What axe finds wrong with a page as it stands there now: one line for each element, `rule: selector (what to mend)`; empty where nothing is.
 * It looks at the whole page with every rule of WCAG 2.2 AA and of good practice; none is left out.
 */
export async function violationsOf(page: Page): Promise<readonly string[]> {
  // Evaluated, not added as a script: the pages' own rules forbid foreign scripts.
  if (!(await page.evaluate<boolean>("typeof window.axe === 'object'"))) await page.evaluate(axe.source);
  const options = { runOnly: { type: "tag", values: ruleSets }, resultTypes: ["violations"] };
  const found = await page.evaluate<readonly Violation[]>(
    `window.axe.run(document, ${JSON.stringify(options)}).then(({ violations }) => violations.map(({ id, nodes }) =>
      ({ id, nodes: nodes.map(({ target, failureSummary }) => ({ target: target.join(" "), summary: failureSummary })) })))`,
  );
  return found.flatMap(({ id, nodes }) =>
    nodes.map(({ target, summary }) => `${id}: ${target} (${summary.replace(/\s+/g, " ").trim()})`),
  );
}

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly target: string; readonly summary: string }[];
}
