import type { ComparedQuantity, Comparison } from "./compare.ts";
import { LAGS_ROWS, type SeriesFigures } from "./statistics.ts";
import { COMPARED } from "./stay.ts";

/** As wide as a phone, so that words stay readable there; elsewhere it is drawn larger. */
const CELL = { width: 180, height: 132 } as const;
const HEAD = 44;
const SHOWN_LARGER = 1.6;
const PLOT = { left: 12, right: 172, top: 34, bottom: 108 } as const;
/** The right pictures have numbers at their left side. */
const LAG_LEFT = 28;
const LAG_HOURS_MAX = 8.5;
const LOWEST_CORRELATION = -0.2;

/** Colours after Okabe and Ito, told apart with most kinds of colour blindness and on both grounds. */
const STYLE = `
  svg { background: #ffffff; }
  text { font: 10px system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; fill: #1d2630; }
  .title { font-weight: 600; font-size: 11px; }
  .axis { stroke: #5b6773; stroke-width: 1; fill: none; }
  .grid { stroke: #d5dbe1; stroke-width: 1; }
  .real { stroke: #0b84c4; fill: none; stroke-width: 1.5; }
  .area { fill: #0b84c4; fill-opacity: 0.3; stroke: none; }
  .real-dot { fill: #0b84c4; }
  .simulated { stroke: #d98200; fill: none; stroke-width: 1.5; }
  .simulated-dot { fill: #d98200; }
  @media (prefers-color-scheme: dark) {
    svg { background: #11161c; }
    text { fill: #e6ebf0; }
    .axis { stroke: #98a4b0; }
    .grid { stroke: #2c363f; }
  }`;

/** Draws for each quantity its distribution (left) and its autocorrelation (right), real beside simulated, in both languages. */
export function plotOf({ quantities, patients }: Comparison): string {
  const width = 2 * CELL.width;
  const height = HEAD + quantities.length * CELL.height;
  const size = `width="${width * SHOWN_LARGER}" height="${round(height * SHOWN_LARGER)}"`;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ${size} role="img">`,
    `<title>${patients} real and ${patients} simulated patients in intensive care 真实与模拟重症患者各 ${patients} 例</title>`,
    `<style>${STYLE}</style>`,
    legend(patients),
    ...quantities.flatMap((quantity, row) => [
      place({ x: 0, y: HEAD + row * CELL.height }, distributionOf(quantity)),
      place({ x: CELL.width, y: HEAD + row * CELL.height }, autocorrelationOf(quantity)),
    ]),
    "</svg>",
  ];
  return `${lines.join("\n")}\n`;
}

function legend(patients: number): string {
  return [
    '<rect class="area" x="12" y="9" width="22" height="8"/><path class="real" d="M12 9H34"/>',
    `<text x="40" y="17">${patients} real 真实</text>`,
    '<path class="simulated" d="M118 13H140"/>',
    `<text x="146" y="17">${patients} simulated 模拟</text>`,
    '<text x="12" y="36">distribution 分布</text><text x="190" y="36">autocorrelation 自相关</text>',
  ].join("\n");
}

function place(at: { readonly x: number; readonly y: number }, content: string): string {
  return `<g transform="translate(${at.x} ${at.y})">\n${content}\n</g>`;
}

function distributionOf({ name, realShares, simulatedShares, distance }: ComparedQuantity): string {
  const { title, unit, bins } = COMPARED[name];
  const highest = Math.max(...realShares, ...simulatedShares);
  const x = (value: number) => round(PLOT.left + ((value - bins.low) / (bins.width * bins.count)) * (PLOT.right - PLOT.left));
  const y = (share: number) => round(PLOT.bottom - (share / highest) * (PLOT.bottom - PLOT.top));
  const steps = (shares: readonly number[]) =>
    shares.map((share, bin) => `V${y(share)}H${x(bins.low + (bin + 1) * bins.width)}`).join("");
  const begin = `M${PLOT.left} ${PLOT.bottom}`;
  return [
    `<text class="title" x="${PLOT.left}" y="14">${title.en} ${title.zh}</text>`,
    `<text x="${PLOT.left}" y="27">${unit}</text><text x="${PLOT.right}" y="27" text-anchor="end">KS ${distance.toFixed(2)}</text>`,
    `<path class="area" d="${begin}${steps(realShares)}V${PLOT.bottom}Z"/><path class="real" d="${begin}${steps(realShares)}"/>`,
    `<path class="simulated" d="${begin}${steps(simulatedShares)}"/>`,
    `<path class="axis" d="M${PLOT.left} ${PLOT.bottom}H${PLOT.right}"/>`,
    ...ticksOf(bins).map(
      (value) =>
        `<path class="axis" d="M${x(value)} ${PLOT.bottom}v3"/><text x="${x(value)}" y="${PLOT.bottom + 14}" text-anchor="middle">${value}</text>`,
    ),
  ].join("\n");
}

function autocorrelationOf({ real, simulated }: ComparedQuantity): string {
  const x = (hours: number) => round(LAG_LEFT + (hours / LAG_HOURS_MAX) * (PLOT.right - LAG_LEFT));
  const y = (value: number) =>
    round(PLOT.bottom - ((value - LOWEST_CORRELATION) / (1 - LOWEST_CORRELATION)) * (PLOT.bottom - PLOT.top));
  const line = ({ autocorrelations }: SeriesFigures, style: string) => {
    const points = LAGS_ROWS.map((lag, index) => ({
      x: x(lag),
      y: y(Math.max(LOWEST_CORRELATION, autocorrelations[index] ?? 0)),
    }));
    const path = points.map((point, index) => `${index === 0 ? "M" : "L"}${point.x} ${point.y}`).join("");
    const dots = points.map((point) => `<circle class="${style}-dot" cx="${point.x}" cy="${point.y}" r="2.5"/>`).join("");
    return `<path class="${style}" d="${path}"/>${dots}`;
  };
  return [
    ...[0, 0.5, 1].map(
      (value) =>
        `<path class="grid" d="M${LAG_LEFT} ${y(value)}H${PLOT.right}"/><text x="${LAG_LEFT - 4}" y="${y(value) + 3.5}" text-anchor="end">${value}</text>`,
    ),
    `<path class="axis" d="M${LAG_LEFT} ${PLOT.top}V${PLOT.bottom}H${PLOT.right}"/>`,
    ...LAGS_ROWS.map(
      (lag) => `<text x="${x(lag)}" y="${PLOT.bottom + 14}" text-anchor="middle">${lag === 8 ? "8 h" : lag}</text>`,
    ),
    line(real, "real"),
    line(simulated, "simulated"),
  ].join("\n");
}

/** Three to six round numbers within the bins. */
function ticksOf({
  low,
  width,
  count,
}: {
  readonly low: number;
  readonly width: number;
  readonly count: number;
}): readonly number[] {
  const step = [1, 2, 5, 10, 20, 30, 50].find((each) => (width * count) / each <= 6) ?? 100;
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: 7 }, (_, index) => first + index * step).filter((value) => value <= low + width * count);
}

/** Two digits after the point are finer than a pixel. */
function round(value: number): number {
  return Math.round(value * 100) / 100;
}
