import type { Alert, ConditionChange } from "../core/alert.ts";
import type { DeviceId } from "../core/ids.ts";
import type { Timeline } from "../core/mended-time.ts";
import type { Journal } from "../core/ports.ts";
import type { DeviceEvent, JournalRecord } from "../core/record.ts";
import { type Clock, wallMs } from "../core/time.ts";
import type { DashboardSource } from "../dashboard/server/source.ts";
import { historySource, qualitySource } from "./history-source.ts";
import type { PlantState } from "./plant.ts";
import { createQualityBook } from "./quality-book.ts";
import { createQualityCounter, type QualityJudgement } from "./quality-counter.ts";
import { createScoreKeeper } from "./score-history.ts";
import type { WatchPlan } from "./watch-plan.ts";

const MINUTE_MS = 60_000;

/** What the gateway remembers for the pages of what was, and how good the data is. */
export interface Past {
  /** Takes what came of one chunk of a device's bytes. */
  readonly judged: (id: DeviceId, judgement: QualityJudgement) => void;
  /** Takes what the watch says. */
  readonly noted: (changes: readonly ConditionChange[]) => void;
  /** Takes records as they are handed to the journal. */
  readonly recorded: (records: readonly JournalRecord[]) => void;
  readonly source: Pick<DashboardSource, "history" | "quality">;
  /** Writes down what was counted of the data's quality, once, and counts no more. */
  readonly stop: () => void;
}

/** What the past is made of. */
export interface PastParts {
  readonly clock: Clock;
  readonly journal: Pick<Journal, "read" | "committedSeq">;
  readonly timeline: () => Timeline;
  readonly plan: Pick<WatchPlan, "devices">;
  readonly plant: () => PlantState;
  readonly openAlerts: () => readonly Alert[];
  /** An alert with its times by the clock as it stands now. */
  readonly shown: (alert: Alert) => Alert;
  /** Numbers and records events `quality`. */
  readonly recordQuality: (events: readonly Pick<DeviceEvent, "deviceId" | "facts">[]) => void;
}

/** Begins to remember. */
export function createPast(parts: PastParts): Past {
  const { clock, journal, timeline, plant } = parts;
  const nowMs = () => wallMs(clock.wall() + timeline().presentCorrectionMs());
  const counter = createQualityCounter({
    monotonic: clock.monotonic,
    devices: parts.plan.devices,
    isAssigned: (id) => plant().assignments.has(id),
  });
  const book = createQualityBook({
    journal,
    timeline,
    counter,
    wall: clock.wall,
    monotonic: clock.monotonic,
    nowMs,
    record: parts.recordQuality,
  });
  const scores = createScoreKeeper({ journal, timeline, clock, nowMs });
  const minutes = clock.every(MINUTE_MS, book.minuteEnded);
  const known = { openAlerts: parts.openAlerts, plant, shown: parts.shown };
  return {
    judged: counter.judged,
    noted: counter.noted,
    recorded: (records) => {
      for (const record of records) if (record.kind === "prediction") scores.note(record);
    },
    source: {
      history: historySource({ journal, timeline, known, scores }),
      quality: qualitySource({ timeline }, book),
    },
    stop: () => {
      minutes.stop();
      scores.stop();
      book.finish();
    },
  };
}
