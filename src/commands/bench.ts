import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { createSystemClock } from "../clock.ts";
import { type BenchFigure, type BenchSettings, benchFigures, type FigureResult } from "./bench/figures.ts";
import { plotOf } from "./bench/plot.ts";
import { figureLine, markdownOf } from "./bench/words.ts";
import type { Command, CommandIo } from "./command.ts";
import { askedOf } from "./question.ts";

const SECONDS_USUAL = 15;
/** A backlog that takes long enough to drain that live alerts meet it. */
const BACKLOG_USUAL = 150_000;

/** `vigil bench`: the measured figures of the README. */
export const benchCommand: Command = {
  name: "bench",
  usage: `usage: vigil bench [--only NAME ...] [--json | --markdown] [--plot FILE] [--seconds N] [--backlog N] [--list]
Starts real gateways under simulated monitors on TCP and measures byte to page, byte to upstream, processor, memory, disk, the pauses of
the main thread, the journal's rate beside SQLite's own, and alerts while a backlog drains. Takes about sixteen minutes.
Close other programs first: figures of speed are only as good as the machine is quiet; each line says the load it found.
--only NAME   one figure, or all whose names begin so; may be given more than once. --list names them.
--json        one JSON line a figure        --markdown   tables at the end, as in the README
--plot FILE   the trials over beds as an SVG
--seconds N   how long each trial is watched (${SECONDS_USUAL})        --backlog N   records that wait for the far side (${BACKLOG_USUAL})
用模拟监护仪对真实网关测量延迟、处理器、内存、磁盘、主线程停顿、日志速率及补发期间的报警；约十六分钟。请先关闭其他程序。`,
  run: async (args, io) => {
    const asked = askedOf(benchCommand, io, () => parse(args));
    if (asked === null) return 2;
    const { figures, settings } = asked;
    if (asked.list) {
      for (const { name, says, secondsAbout } of figures)
        io.stdout(`${name.padEnd(18)} ${Math.round(secondsAbout(settings))} s  ${says}`);
      return 0;
    }
    const seconds = figures.reduce((sum, figure) => sum + figure.secondsAbout(settings), 0);
    io.stderr(
      `${figures.length} figures, about ${Math.ceil(seconds / 60)} min 共 ${figures.length} 项，约 ${Math.ceil(seconds / 60)} 分钟`,
    );
    for (const [signal, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const)
      process.once(signal, () => process.exit(code));
    const results = await runAll(asked, io);
    if (asked.output === "markdown") io.stdout(markdownOf(results));
    if (asked.plotFile !== null) {
      await mkdir(dirname(asked.plotFile), { recursive: true });
      await writeFile(asked.plotFile, plotOf(results.flatMap((result) => (result.kind === "trial" ? [result.figures] : []))));
    }
    return 0;
  },
};

/** What the command line asks for. */
interface Asked {
  readonly figures: readonly BenchFigure[];
  readonly settings: BenchSettings;
  readonly output: "lines" | "json" | "markdown";
  readonly plotFile: string | null;
  readonly list: boolean;
}

/** Null where the arguments are wrong. */
function parse(args: readonly string[]): Asked | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true },
      json: { type: "boolean" },
      markdown: { type: "boolean" },
      plot: { type: "string" },
      seconds: { type: "string" },
      backlog: { type: "string" },
      list: { type: "boolean" },
    },
  });
  const seconds = Number(values.seconds ?? SECONDS_USUAL);
  const backlogRecords = Number(values.backlog ?? BACKLOG_USUAL);
  const wanted = values.only ?? [];
  const all = benchFigures();
  const exact = (name: string) => all.some((figure) => figure.name === name);
  const chosen = ({ name }: BenchFigure) => wanted.some((each) => (exact(each) ? name === each : name.startsWith(each)));
  const figures = wanted.length === 0 ? all : all.filter(chosen);
  const isWrong = !(seconds >= 1) || !(backlogRecords >= 1) || figures.length === 0 || (values.json && values.markdown);
  if (isWrong === true) return null;
  return {
    figures,
    settings: { measureMs: seconds * 1000, coreCount: availableParallelism(), backlogRecords },
    output: values.json === true ? "json" : values.markdown === true ? "markdown" : "lines",
    plotFile: values.plot ?? null,
    list: values.list === true,
  };
}

/** One after the other, so that no figure disturbs another. Each line is told as soon as it is known. */
async function runAll({ figures, settings, output }: Asked, io: CommandIo): Promise<readonly FigureResult[]> {
  const clock = createSystemClock();
  const results: FigureResult[] = [];
  for (const figure of figures) {
    const beganMs = clock.monotonic();
    const result = await figure.run(settings, io);
    results.push(result);
    if (output === "json") io.stdout(JSON.stringify(result));
    else if (output === "lines") io.stdout(figureLine(result));
    else io.stderr(figureLine(result));
    io.stderr(`${figure.name}: done in ${Math.round((clock.monotonic() - beganMs) / 1000)} s`);
  }
  return results;
}
