import type { HistogramView } from "../../core/histogram.ts";

/** Names and values that tell the samples of one metric apart. Values are bounded: names from the configuration and words of the code. */
export type Labels = Readonly<Record<string, string>>;

/** One number of a metric; one that is not known is not sent, rather than as zero. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** One metric with its samples. A counter's name ends in `_total`. */
export type Metric =
  | {
      readonly kind: "counter" | "gauge";
      readonly name: string;
      /** One sentence in English. */
      readonly help: string;
      readonly samples: readonly Sample[];
    }
  | { readonly kind: "histogram"; readonly name: string; readonly help: string; readonly times: HistogramView };

/** What the answer says of itself. Source: prometheus.io, "Exposition formats", text format 0.0.4. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const MS_PER_SECOND = 1000;

/** Writes metrics in Prometheus' text format 0.0.4. A metric without samples is left out. */
export function exposition(metrics: readonly Metric[]): string {
  const lines: string[] = [];
  for (const metric of metrics) {
    const samples = metric.kind === "histogram" ? histogramLines(metric.name, metric.times) : plainLines(metric);
    if (samples.length === 0) continue;
    lines.push(`# HELP ${metric.name} ${escapeHelp(metric.help)}`, `# TYPE ${metric.name} ${metric.kind}`, ...samples);
  }
  return `${lines.join("\n")}\n`;
}

function plainLines(metric: Extract<Metric, { readonly samples: unknown }>): readonly string[] {
  return metric.samples.map(({ labels = {}, value }) => line(metric.name, labels, value));
}

/** A histogram's stretches count everything below them too, and the last is without an end. */
function histogramLines(name: string, times: HistogramView): readonly string[] {
  const buckets = times.boundsMs.map((boundMs, index) =>
    line(`${name}_bucket`, { le: numberText(boundMs / MS_PER_SECOND) }, times.countsAtMost[index] ?? 0),
  );
  return [
    ...buckets,
    line(`${name}_bucket`, { le: "+Inf" }, times.count),
    line(`${name}_sum`, {}, times.sumMs / MS_PER_SECOND),
    line(`${name}_count`, {}, times.count),
  ];
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numberText(value)}`;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  return String(value);
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
