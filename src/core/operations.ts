import type { AlertNature, Priority } from "./alert.ts";
import type { HistogramView } from "./histogram.ts";
import type { JournalStats } from "./ports.ts";
import type { QuantityName } from "./quantities.ts";
import type { Loss, LossReason, RecordKind } from "./record.ts";

/** What the gateway has made since it began, counted as it was made: nothing of a patient, only how many. */
export interface MadeCounts {
  readonly records: ReadonlyMap<RecordKind, number>;
  readonly observations: ReadonlyMap<QuantityName, number>;
  /** Alerts that began. */
  readonly alertsBegun: readonly { readonly nature: AlertNature; readonly priority: Priority; readonly count: number }[];
  /** Records and waves that were given up, by the loss records that say so. */
  readonly lost: readonly { readonly why: LossReason; readonly what: Loss["what"]; readonly count: number }[];
}

/** How the gateway's own process does, beside what the picture shows. */
export interface OperationsView {
  /** How long ago an injected observation last came out of the alert path as an alert; null before the first time. */
  readonly heartbeatAgeMs: number | null;
  readonly journal: JournalStats;
  readonly made: MadeCounts;
  /** How late the main thread came to a timer. */
  readonly eventLoopDelay: HistogramView;
  readonly process: {
    readonly nodeVersion: string;
    readonly architecture: string;
    readonly startedAtMs: number;
    readonly cpuSeconds: number;
    readonly residentBytes: number;
    readonly heapUsedBytes: number;
    readonly externalBytes: number;
  };
}
