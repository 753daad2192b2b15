import { CHECKS } from "./check-names.ts";
import type { Facts, Outcome } from "./outcome.ts";

type Print = (line: string) => void;

const MARKS = { stops: "STOPS 无法监测", wrong: "WRONG 有误", advice: "ADVICE 建议" } as const;

/** One JSON line an outcome, then the summary. */
export function printLines(outcomes: readonly Outcome[], print: Print): void {
  for (const outcome of outcomes) {
    switch (outcome.kind) {
      case "found": {
        const { check, finding, gravity, subject, says, remedy, facts } = outcome;
        print(
          JSON.stringify({
            state: gravity,
            check,
            finding,
            subject,
            says: says.en,
            remedy: remedy.en,
            facts,
            zh: { says: says.zh, remedy: remedy.zh },
          }),
        );
        break;
      }
      case "not-tried":
        print(
          JSON.stringify({
            state: "not-tried",
            check: outcome.check,
            subject: outcome.subject,
            why: outcome.why.en,
            zh: { why: outcome.why.zh },
          }),
        );
        break;
      case "well":
        print(JSON.stringify({ state: "well", check: outcome.check, subject: outcome.subject }));
        break;
    }
  }
  const counts = countOf(outcomes);
  print(JSON.stringify({ summary: counts, ok: counts.stops + counts.wrong === 0 }));
}

/** The same for people, in both languages; what is well is one line. */
export function printWords(outcomes: readonly Outcome[], print: Print): void {
  for (const outcome of outcomes) {
    const name = CHECKS[outcome.check];
    if (outcome.kind === "found") {
      const { gravity, subject, says, remedy, facts } = outcome;
      print(`${MARKS[gravity]}: ${subject}`);
      print(`  ${says.en}${factsText(facts)}. ${remedy.en}`);
      print(`  ${says.zh}。${remedy.zh}`);
    }
    if (outcome.kind === "not-tried")
      print(
        `not tried 未检查: ${name.en} ${name.zh}${outcome.subject === "" ? "" : ` ${outcome.subject}`}: ${outcome.why.en} ${outcome.why.zh}`,
      );
  }
  for (const outcome of outcomes)
    if (outcome.kind === "well" && outcome.check === "page-certificate")
      print(`${CHECKS[outcome.check].en} ${CHECKS[outcome.check].zh}: ${outcome.subject}`);
  const fine = [...new Set(outcomes.flatMap((outcome) => (outcome.kind === "well" ? [outcome.check] : [])))];
  print(`well 正常: ${fine.map((check) => CHECKS[check].en).join(", ")}`);
  const { stops, wrong, advice, notTried, well } = countOf(outcomes);
  print(`${stops + wrong} wrong 项有误, ${advice} advice 项建议, ${notTried} not tried 项未检查, ${well} well 项正常`);
}

function factsText(facts: Facts): string {
  const pairs = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
  return pairs.length === 0 ? "" : ` (${pairs.join(", ")})`;
}

function countOf(outcomes: readonly Outcome[]) {
  const count = (matches: (outcome: Outcome) => boolean) => outcomes.filter(matches).length;
  const graves = (gravity: string) => count((outcome) => outcome.kind === "found" && outcome.gravity === gravity);
  return {
    stops: graves("stops"),
    wrong: graves("wrong"),
    advice: graves("advice"),
    notTried: count(({ kind }) => kind === "not-tried"),
    well: count(({ kind }) => kind === "well"),
  };
}
