import type { Conditions } from "./conditions.ts";
import type { LatencySummary } from "./load.ts";

/** What the plot needs of a trial. */
export interface PlottedTrial {
  readonly beds: number;
  readonly page: Pick<LatencySummary, "p99Ms">;
  readonly upstream: Pick<LatencySummary, "p99Ms">;
  readonly coreShare: number;
  readonly pssMegabytes: number;
  readonly bytesWrittenEach: number;
  readonly conditions: Pick<Conditions, "disk" | "coreShareMax">;
}

/** One line through every panel. */
interface Series {
  readonly label: readonly [en: string, zh: string];
  readonly colour: string;
  readonly includes: (trial: PlottedTrial) => boolean;
}

/** One small picture. */
interface Panel {
  readonly title: readonly [en: string, zh: string];
  readonly value: (trial: PlottedTrial) => number;
  /** The aim of the design, drawn as a dashed line, or null. Source: SAFETY.md, when a figure is honest. */
  readonly aim: number | null;
}

const PANELS: readonly Panel[] = [
  { title: ["byte to page, p99 (ms)", "字节到页面，p99（毫秒）"], value: (trial) => trial.page.p99Ms, aim: 100 },
  { title: ["byte to upstream, p99 (ms)", "字节到上级平台，p99（毫秒）"], value: (trial) => trial.upstream.p99Ms, aim: 600 },
  { title: ["processor (share of one core)", "处理器（占单核比例）"], value: (trial) => trial.coreShare, aim: 0.5 },
  { title: ["memory (PSS, MB)", "内存（PSS，MB）"], value: (trial) => trial.pssMegabytes, aim: 280 },
  { title: ["written (bytes an observation)", "写盘（字节／观测值）"], value: (trial) => trial.bytesWrittenEach, aim: null },
];

/** Colours after Okabe and Ito, told apart with most kinds of colour blindness and on both grounds. */
const SERIES: readonly Series[] = [
  {
    label: ["disk as it is", "原有磁盘"],
    colour: "#0b84c4",
    includes: ({ conditions }) => conditions.disk === "as-is" && conditions.coreShareMax === null,
  },
  {
    label: ["slow disk", "慢速磁盘"],
    colour: "#d98200",
    includes: ({ conditions }) => conditions.disk === "slow" && conditions.coreShareMax === null,
  },
  {
    label: ["slow disk, a quarter of one core", "慢速磁盘，四分之一核"],
    colour: "#c0569a",
    includes: ({ conditions }) => conditions.disk === "slow" && conditions.coreShareMax !== null,
  },
];

const CELL = { width: 300, height: 230, columns: 3 } as const;
const PLOT = { left: 46, right: 284, top: 52, bottom: 188 } as const;
/** Over this ratio of highest to lowest an axis is logarithmic, so that small values are still told apart. */
const LINEAR_RATIO_MAX = 20;
const STYLE = `
  svg { background: #ffffff; }
  text { font: 11px system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; fill: #1d2630; }
  .title { font-weight: 600; font-size: 12px; }
  .axis { stroke: #5b6773; stroke-width: 1; fill: none; }
  .grid { stroke: #d5dbe1; stroke-width: 1; }
  .aim { stroke: #5b6773; stroke-width: 1; stroke-dasharray: 5 4; }
  .line { fill: none; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    svg { background: #11161c; }
    text { fill: #e6ebf0; }
    .axis, .aim { stroke: #98a4b0; }
    .grid { stroke: #2c363f; }
  }`;

/**
 * Draws the trials over beds as one SVG of small panels, readable on a light and on a dark ground, labelled in both languages.
 * A trial that is in no series (a journal in memory) is left out.
 */
export function plotOf(trials: readonly PlottedTrial[]): string {
  const shown = trials.filter((trial) => SERIES.some((series) => series.includes(trial)));
  const width = CELL.width * CELL.columns;
  const height = CELL.height * 2;
  const panels = PANELS.map((panel, index) => place(index, panelOf(panel, shown)));
  const box = `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" ${box} role="img">`,
    "<title>vigil bench: figures over beds 各项指标随床位数的变化</title>",
    `<style>${STYLE}</style>`,
    ...panels,
    place(PANELS.length, legend()),
    "</svg>",
  ];
  return `${lines.join("\n")}\n`;
}

function place(index: number, content: string): string {
  const left = (index % CELL.columns) * CELL.width;
  const top = Math.floor(index / CELL.columns) * CELL.height;
  return `<g transform="translate(${left} ${top})">\n${content}\n</g>`;
}

/** Where a value lies between two ends, 0 to 1. */
type Scale = (value: number) => number;

function scale(lowest: number, highest: number, logarithmic: boolean): Scale {
  if (!logarithmic) return (value) => (value - lowest) / (highest - lowest);
  return (value) => Math.log(value / lowest) / Math.log(highest / lowest);
}

function panelOf(panel: Panel, trials: readonly PlottedTrial[]): string {
  const values = trials.map(panel.value).filter((value) => Number.isFinite(value) && value > 0);
  const beds = [...new Set(trials.map((trial) => trial.beds))].toSorted((a, b) => a - b);
  const highest = Math.max(...values, panel.aim ?? 0);
  const ticks = ticksOf(Math.min(...values), highest);
  const across = scale((beds[0] ?? 1) / 1.15, (beds.at(-1) ?? 1) * 1.15, true);
  const x = (count: number) => round(PLOT.left + across(count) * (PLOT.right - PLOT.left));
  const up = scale(ticks.lowest, ticks.highest, ticks.logarithmic);
  const y = (value: number) => round(PLOT.bottom - Math.max(0, up(value)) * (PLOT.bottom - PLOT.top));
  const [en, zh] = panel.title;
  return [
    `<text class="title" x="12" y="20">${en}</text><text x="12" y="36">${zh}</text>`,
    ...ticks.at.map(
      (value) =>
        `<line class="grid" x1="${PLOT.left}" x2="${PLOT.right}" y1="${y(value)}" y2="${y(value)}"/><text x="${PLOT.left - 5}" y="${y(value) + 4}" text-anchor="end">${value}</text>`,
    ),
    ...beds.map((count) => `<text x="${x(count)}" y="${PLOT.bottom + 15}" text-anchor="middle">${count}</text>`),
    `<text x="${(PLOT.left + PLOT.right) / 2}" y="${PLOT.bottom + 31}" text-anchor="middle">beds 床位数</text>`,
    `<path class="axis" d="M${PLOT.left} ${PLOT.top}V${PLOT.bottom}H${PLOT.right}"/>`,
    ...(panel.aim === null ? [] : [aimOf(y(panel.aim))]),
    ...SERIES.map((series) => lineOf(series, trials, { x, y: (trial) => y(panel.value(trial)) })),
  ].join("\n");
}

function aimOf(y: number): string {
  return `<line class="aim" x1="${PLOT.left}" x2="${PLOT.right}" y1="${y}" y2="${y}"/><text x="${PLOT.right}" y="${y - 4}" text-anchor="end">aim 目标</text>`;
}

function lineOf(
  series: Series,
  trials: readonly PlottedTrial[],
  at: { readonly x: (beds: number) => number; readonly y: (trial: PlottedTrial) => number },
): string {
  const points = trials
    .filter((trial) => series.includes(trial) && Number.isFinite(at.y(trial)))
    .toSorted((a, b) => a.beds - b.beds)
    .map((trial) => ({ x: at.x(trial.beds), y: at.y(trial) }));
  const path = points.map(({ x, y }, index) => `${index === 0 ? "M" : "L"}${x} ${y}`).join("");
  const dots = points.map(({ x, y }) => `<circle cx="${x}" cy="${y}" r="3.5" fill="${series.colour}"/>`).join("");
  return path === "" ? "" : `<path class="line" stroke="${series.colour}" d="${path}"/>${dots}`;
}

function legend(): string {
  const rows = SERIES.map(({ label: [en, zh], colour }, index) => {
    const y = 66 + index * 40;
    return `<line x1="20" x2="48" y1="${y}" y2="${y}" stroke="${colour}" stroke-width="2"/><circle cx="34" cy="${y}" r="3.5" fill="${colour}"/><text x="58" y="${y}">${en}</text><text x="58" y="${y + 15}">${zh}</text>`;
  });
  return [
    ...rows,
    `<line class="aim" x1="20" x2="48" y1="186" y2="186"/><text x="58" y="190">aim of the design 设计目标</text>`,
  ].join("\n");
}

/** Round numbers for an axis: from 0 by equal steps, or, where the values are far apart, 1, 2 and 5 of each power of ten. */
export function ticksOf(
  lowest: number,
  highest: number,
): { readonly at: readonly number[]; readonly lowest: number; readonly highest: number; readonly logarithmic: boolean } {
  if (!(highest > 0)) return { at: [0, 1], lowest: 0, highest: 1, logarithmic: false };
  if (highest / lowest > LINEAR_RATIO_MAX) {
    const powers = Array.from({ length: 14 }, (_, index) => 10 ** (index - 4));
    const all = powers.flatMap((power) => [1, 2, 5].map((digit) => round(digit * power)));
    const first = all.findLastIndex((value) => value <= lowest);
    const last = all.findIndex((value) => value >= highest);
    const at = all.slice(Math.max(0, first), last + 1);
    return { at, lowest: at[0] ?? lowest, highest: at.at(-1) ?? highest, logarithmic: true };
  }
  const power = 10 ** Math.floor(Math.log10(highest / 4));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((each) => each * 5 >= highest) ?? 10 * power;
  const count = Math.ceil(highest / step);
  const at = Array.from({ length: count + 1 }, (_, index) => round(index * step));
  return { at, lowest: 0, highest: round(count * step), logarithmic: false };
}

/** Keeps four digits after the point, so that 0.1 + 0.2 is 0.3. */
function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
