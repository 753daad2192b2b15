import type { CommandIo } from "../command.ts";
import { type BenchDisk, type Conditions, conditionsNow } from "./conditions.ts";
import { type DeviceMessagesFigures, runDeviceMessages } from "./device-messages.ts";
import { type DrainFigures, OBSERVATIONS_PER_BED, runDrain } from "./drain.ts";
import { type DurableFigures, durableRate } from "./durable.ts";
import { type JournalAloneFigures, journalAlone } from "./journal-alone.ts";
import { type PathRate, wholePathRate } from "./path.ts";
import { runTrial, type TrialFigures } from "./trial.ts";

/** What all figures have in common. */
export interface BenchSettings {
  readonly measureMs: number;
  readonly coreCount: number;
  /** Records that wait for a far side that was away. */
  readonly backlogRecords: number;
}

/** What a figure showed. */
export type FigureResult =
  | { readonly kind: "path"; readonly name: string; readonly conditions: Conditions; readonly figures: PathRate }
  | { readonly kind: "durable"; readonly name: string; readonly figures: DurableFigures }
  | { readonly kind: "journal-alone"; readonly name: string; readonly figures: JournalAloneFigures }
  | { readonly kind: "trial"; readonly name: string; readonly figures: TrialFigures }
  | { readonly kind: "drain"; readonly name: string; readonly figures: DrainFigures }
  | { readonly kind: "device-messages"; readonly name: string; readonly figures: DeviceMessagesFigures };

/** One figure of the bench, which can be run alone. */
export interface BenchFigure {
  readonly name: string;
  /** What it measures, in both languages. */
  readonly says: string;
  readonly secondsAbout: (settings: BenchSettings) => number;
  readonly run: (settings: BenchSettings, io: CommandIo) => Promise<FigureResult>;
}

/** Until compiled code, first connections and the first windows of the scores are past. */
const WARM_UP_MS = 8000;
/** A gateway's start with a patient in each bed, and its end. */
const STAGE_SECONDS = 5;
/** A drain is watched so many times as long as a trial, before and during: of ten alerts a second the slowest of a hundred must be several. */
const DRAIN_TIMES = 2;
/** How long a main thread with nothing but a journal is watched, and without one. */
const ALONE_MS = 10_000;
const DISK_WORDS: Readonly<Record<BenchDisk, string>> = {
  "as-is": "disk as it is 原有磁盘",
  slow: "slow disk 慢速磁盘",
  instant: "journal in memory 日志置于内存",
};

/** Every figure, in the order in which they are run. */
export function benchFigures(): readonly BenchFigure[] {
  const trials: readonly (readonly [number, BenchDisk, number | null])[] = [
    [10, "as-is", null],
    [50, "as-is", null],
    [200, "as-is", null],
    [200, "instant", null],
    [10, "slow", null],
    [20, "slow", null],
    [50, "slow", null],
    [200, "slow", null],
    [10, "slow", 0.25],
    [20, "slow", 0.25],
    [50, "slow", 0.25],
    [200, "slow", 0.25],
  ];
  return [
    whole,
    durable("as-is"),
    durable("slow"),
    alone,
    ...trials.map(([beds, disk, coreShareMax]) => trial(beds, disk, coreShareMax)),
    drain("as-is"),
    drain("slow"),
    deviceMessages,
  ];
}

const whole: BenchFigure = {
  name: "path",
  says: "the whole path in one process, as fast as it goes 单进程全程吞吐",
  secondsAbout: () => 8,
  run: async ({ coreCount }) => {
    const conditions = conditionsNow({ coreCount, disk: "as-is" });
    return { kind: "path", name: "path", conditions, figures: await wholePathRate() };
  },
};

const alone: BenchFigure = {
  name: "journal-alone",
  says: "what storage alone costs the main thread, slow disk 存储单独占用主线程的时间（慢速磁盘）",
  secondsAbout: () => 8 + (2 * ALONE_MS) / 1000,
  run: async ({ coreCount }) => {
    const figures = await journalAlone({ disk: "slow", coreCount, measureMs: ALONE_MS });
    return { kind: "journal-alone", name: "journal-alone", figures };
  },
};

/** A minute where the others take their usual quarter of one. */
const MESSAGES_TIMES = 4;

const deviceMessages: BenchFigure = {
  name: "devices-mqtt",
  says: "500 devices at 2 messages/s by MQTT, QoS 1, slow disk, beside mosquitto 500 台 MQTT 设备，与 mosquitto 对照",
  secondsAbout: ({ measureMs }) => 60 + (2 * MESSAGES_TIMES * measureMs) / 1000,
  run: async ({ measureMs, coreCount }) => {
    const plan = { devices: 500, messagesPerSecondEach: 2, disk: "slow", coreCount } as const;
    const figures = await runDeviceMessages({ ...plan, measureMs: MESSAGES_TIMES * measureMs });
    return { kind: "device-messages", name: "devices-mqtt", figures };
  },
};

function durable(disk: "as-is" | "slow"): BenchFigure {
  const name = disk === "slow" ? "durable-slow" : "durable";
  const work =
    disk === "slow" ? { rounds: 3, recordsMax: 120_000, commitsMax: 50 } : { rounds: 5, recordsMax: 150_000, commitsMax: 1500 };
  return {
    name,
    says: `durable observations/s beside SQLite's own rate, ${DISK_WORDS[disk]}`,
    secondsAbout: () => (disk === "slow" ? 35 : 40),
    run: async ({ coreCount }) => ({ kind: "durable", name, figures: await durableRate({ ...work, disk, coreCount }) }),
  };
}

function trial(beds: number, disk: BenchDisk, coreShareMax: number | null): BenchFigure {
  const name = `beds-${beds}${disk === "as-is" ? "" : `-${disk}`}${coreShareMax === null ? "" : "-quarter"}`;
  // The aim of the design for bytes is at 20 beds without waves; a disk that is slow is written to as much as another.
  const wavesOffToo = disk === "as-is" || (beds === 20 && coreShareMax === null);
  const share = coreShareMax === null ? "" : ", a quarter of one core 四分之一核";
  return {
    name,
    says: `${beds} beds, ${DISK_WORDS[disk]}${share}`,
    secondsAbout: ({ measureMs }) => STAGE_SECONDS + (WARM_UP_MS + measureMs) / 1000 + (wavesOffToo ? 16 : 0),
    run: async ({ measureMs, coreCount }, io) => ({
      kind: "trial",
      name,
      figures: await runTrial({ beds, disk, coreShareMax, coreCount, wavesOffToo, measureMs, warmUpMs: WARM_UP_MS }, io),
    }),
  };
}

function drain(disk: "as-is" | "slow"): BenchFigure {
  const name = disk === "slow" ? "drain-slow" : "drain";
  const beds = 200;
  return {
    name,
    says: `alerts while a backlog drains, 200 beds, ${DISK_WORDS[disk]} 积压补发期间的报警`,
    secondsAbout: ({ measureMs, backlogRecords }) =>
      STAGE_SECONDS + (WARM_UP_MS + 2 * DRAIN_TIMES * measureMs) / 1000 + backlogRecords / (beds * OBSERVATIONS_PER_BED),
    run: async ({ measureMs, coreCount, backlogRecords }, io) => {
      const watched = { beforeMs: DRAIN_TIMES * measureMs, duringMsMax: DRAIN_TIMES * measureMs };
      const figures = await runDrain({ beds, disk, coreCount, backlogRecords, warmUpMs: WARM_UP_MS, ...watched }, io);
      return { kind: "drain", name, figures };
    },
  };
}
