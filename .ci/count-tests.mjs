/**
 * Adds up vitest's JSON reports, named as arguments, and prints `N passed, N failed, N skipped` as its last line.
 * A missing or broken report and a file that failed before its first test each count as one failure. Exit code 1 on any failure or skip.
 */
import { readFileSync } from "node:fs";

const total = { passed: 0, failed: 0, skipped: 0 };
for (const file of process.argv.slice(2)) {
  const count = countReport(file);
  for (const key of Object.keys(total)) total[key] += count[key];
}
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exitCode = total.failed === 0 && total.skipped === 0 && total.passed > 0 ? 0 : 1;

function countReport(file) {
  const count = { passed: 0, failed: 0, skipped: 0 };
  let report;
  try {
    report = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    process.stdout.write(`${file}: no report (${error.message})\n`);
    return { ...count, failed: 1 };
  }
  for (const suite of report.testResults) {
    const tests = suite.assertionResults;
    for (const test of tests) {
      if (test.status === "passed") count.passed++;
      else if (test.status === "failed") count.failed++;
      else count.skipped++;
      if (test.status !== "passed") process.stdout.write(`${test.status}: ${suite.name}: ${test.fullName}\n`);
    }
    if (suite.status === "failed" && !tests.some((test) => test.status === "failed")) {
      count.failed++;
      process.stdout.write(`failed: ${suite.name}: ${suite.message}\n`);
    }
  }
  if (report.success !== true && count.failed === 0) {
    count.failed++;
    process.stdout.write(`${file}: vitest calls the run a failure (an error outside of a test)\n`);
  }
  return count;
}
