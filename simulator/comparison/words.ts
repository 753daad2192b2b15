import { QUANTITIES } from "../../src/core/quantities.ts";
import type { Comparison } from "./compare.ts";
import { LAGS_MINUTES, MINUTE_PROFILES, type MinuteComparison } from "./minutes.ts";
import { LAGS_ROWS, PERCENTS, type SeriesFigures } from "./statistics.ts";
import { COMPARED, type ComparedName } from "./stay.ts";

/** Real and simulated patients, hour by hour, as tables in Markdown, which read well on a terminal too. */
export function hoursText({ quantities, pairs }: Comparison): readonly string[] {
  const heads = [
    ...["", "", "mean 均值", ...PERCENTS.map((percent) => `${percent} %`), "between 患者间", "within 患者内"],
    ...LAGS_ROWS.map((lag) => `after ${lag} h`),
    "KS",
  ];
  const rows = quantities.flatMap(({ name, real, simulated, distance, distanceOfOthers }) => {
    const { title, unit, step } = COMPARED[name];
    const digits = step < 1 ? 2 : 1;
    return [
      [
        `${title.en} ${title.zh} (${unit})`,
        "real 真实",
        ...cellsOf(real, digits),
        `${distanceOfOthers.toFixed(3)} (others 其他真实患者)`,
      ],
      ["", "simulated 模拟", ...cellsOf(simulated, digits), distance.toFixed(3)],
    ];
  });
  const titleOf = (name: ComparedName) => COMPARED[name].title.en.toLowerCase();
  return [
    ...tableOf(heads, rows),
    "",
    ...tableOf(
      ["within patients 患者内相关", "real 真实", "other real 其他真实患者", "simulated 模拟"],
      pairs.map(({ first, second, ...of }) => [
        `${titleOf(first)} with ${titleOf(second)}`,
        ...[of.real, of.others, of.simulated].map((value) => value.toFixed(2)),
      ]),
    ),
  ];
}

/** One recorded person beside simulated ones, minute by minute. */
export function minutesText({ quantities }: MinuteComparison): readonly string[] {
  const heads = [
    "",
    "",
    "mean 均值",
    "within 个体内",
    "minute to minute 逐分钟变化",
    ...LAGS_MINUTES.map((lag) => `after ${lag} min`),
  ];
  const row = (title: string, who: string, { mean, withinSpread, autocorrelations }: SeriesFigures) => [
    ...[title, who, mean.toFixed(1), withinSpread.toFixed(1)],
    // The deviation of the difference between neighbours follows from spread and autocorrelation.
    (withinSpread * Math.sqrt(2 * (1 - (autocorrelations[0] ?? 0)))).toFixed(2),
    ...autocorrelations.map((value) => value.toFixed(2)),
  ];
  return tableOf(
    heads,
    quantities.flatMap(({ name, real, simulated }) => [
      row(`${QUANTITIES[name].title.en} ${QUANTITIES[name].title.zh}`, "real 真实", real),
      ...MINUTE_PROFILES.map((profile) => row("", profile, simulated[profile])),
    ]),
  );
}

function cellsOf(figures: SeriesFigures, digits: number): readonly string[] {
  const { mean, percentiles, betweenSpread, withinSpread, autocorrelations } = figures;
  return [
    ...[mean, ...percentiles, betweenSpread, withinSpread].map((value) => value.toFixed(digits)),
    ...autocorrelations.map((value) => value.toFixed(2)),
  ];
}

function tableOf(heads: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)];
}
