/** One line with a number. */
export interface ParsedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric with everything under its name. */
export interface ParsedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly ParsedSample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)|NaN|[+-]Inf)$/i;

/**
 * Reads Prometheus' text format 0.0.4 and takes nothing that is doubtful: each metric has its HELP, its TYPE and its samples in this order and in
 * one place, no series twice, only known escapes, counters that end in `_total` and never below zero, histograms whose stretches only grow and
 * end in `+Inf`. Source: prometheus.io, "Exposition formats" and "Metric and label naming".
 *
 * @throws  An error that names the line.
 */
export function parseExposition(text: string): ReadonlyMap<string, ParsedMetric> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  if (/\r|\n\n/.test(text)) throw new Error("an empty line or a carriage return");
  const metrics = new Map<string, { name: string; help: string; type: ParsedMetric["type"]; samples: ParsedSample[] }>();
  const lines = text.slice(0, -1).split("\n");
  let current: { name: string; help: string; type: ParsedMetric["type"]; samples: ParsedSample[] } | null = null;
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? "";
    const refuse = (why: string): never => {
      throw new Error(`line ${index + 1}: ${why}: ${line}`);
    };
    if (line.startsWith("#")) {
      const help = /^# HELP (\S+) (\S.*)$/.exec(line) ?? refuse("no HELP");
      const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(lines[++index] ?? "") ?? refuse("no TYPE after HELP");
      const name = String(help[1]);
      if (!NAME.test(name) || type[1] !== name || metrics.has(name)) refuse("a name that is none, another's or twice");
      current = { name, help: String(help[2]), type: type[2] as ParsedMetric["type"], samples: [] };
      metrics.set(name, current);
      continue;
    }
    const sample = parseSample(line) ?? refuse("no sample");
    if (current === null) return refuse("a sample without a metric");
    const wanted =
      current.type === "histogram" ? ["_bucket", "_sum", "_count"].map((end) => current?.name + end) : [current.name];
    if (!wanted.includes(sample.name)) refuse(`a sample under ${current.name}`);
    if (current.samples.some((other) => sameSeries(other, sample))) refuse("a series twice");
    current.samples.push(sample);
  }
  for (const metric of metrics.values()) checkMetric(metric);
  return metrics;
}

/** The value of one series, or undefined where it is not there. */
export function seriesValue(
  metrics: ReadonlyMap<string, ParsedMetric>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const metric = metrics.get(name) ?? metrics.get(name.replace(/_(bucket|sum|count)$/, ""));
  return metric?.samples.find((sample) => sameSeries(sample, { name, labels }))?.value;
}

function sameSeries(one: Omit<ParsedSample, "value">, other: Omit<ParsedSample, "value">): boolean {
  const key = (of: Omit<ParsedSample, "value">) => JSON.stringify([of.name, Object.entries(of.labels).sort()]);
  return key(one) === key(other);
}

function parseSample(line: string): ParsedSample | null {
  const name = /^[^{ ]+/.exec(line)?.[0] ?? "";
  if (!NAME.test(name)) return null;
  const labels: Record<string, string> = {};
  let rest = line.slice(name.length);
  if (rest.startsWith("{")) {
    for (rest = rest.slice(1); !rest.startsWith("}"); ) {
      const pair = /^([^=]+)="((?:[^"\\]|\\\\|\\"|\\n)*)"(,(?!\})|(?=\}))/.exec(rest);
      const label = pair?.[1] ?? "";
      if (pair === null || !LABEL_NAME.test(label) || labels[label] !== undefined) return null;
      labels[label] = (pair[2] ?? "").replace(/\\(.)/g, (_, sign: string) => (sign === "n" ? "\n" : sign));
      rest = rest.slice(pair[0].length);
    }
    rest = rest.slice(1);
    if (Object.keys(labels).length === 0) return null;
  }
  const number = /^ (\S+)$/.exec(rest)?.[1] ?? "";
  if (!NUMBER.test(number)) return null;
  return { name, labels, value: Number(number.replace(/Inf$/i, "Infinity")) };
}

function checkMetric({ name, type, samples }: ParsedMetric): void {
  const refuse = (why: string): never => {
    throw new Error(`${name}: ${why}`);
  };
  if (samples.length === 0) refuse("no samples");
  if ((type === "counter") !== name.endsWith("_total")) refuse("a counter ends in _total, and nothing else does");
  if (/_(ms|milliseconds|minutes|hours|kilobytes|megabytes|percent)(_|$)/.test(name)) refuse("not a base unit");
  if (type === "counter" && samples.some(({ value }) => !(value >= 0) || !Number.isFinite(value))) refuse("a counter below zero");
  if (type !== "histogram") return;
  const buckets = samples.filter((sample) => sample.name === `${name}_bucket`);
  const bounds = buckets.map(({ labels }) =>
    Number((labels["le"] ?? refuse("a stretch without le")).replace("+Inf", "Infinity")),
  );
  const rises = (values: readonly number[], least: number) =>
    values.every((value, at) => at === 0 || value - (values[at - 1] ?? 0) >= least);
  if (!rises(bounds, Number.MIN_VALUE) || bounds.at(-1) !== Number.POSITIVE_INFINITY)
    refuse("stretches that do not rise to +Inf");
  if (
    !rises(
      buckets.map(({ value }) => value),
      0,
    )
  )
    refuse("a stretch with less than the one before");
  const count = samples.find((sample) => sample.name === `${name}_count`)?.value;
  const sum = samples.find((sample) => sample.name === `${name}_sum`)?.value;
  if (count === undefined || sum === undefined || count !== buckets.at(-1)?.value)
    refuse("no sum, or another count than the last stretch's");
}
