import { createCounts, type GrowingCounts } from "../core/device-counts.ts";
import type { DeviceId, Seq } from "../core/ids.ts";
import type { DeviceTally, JournalRecord, RecordKind, Tally } from "../core/record.ts";
import type { WallMs } from "../core/time.ts";
import type { Judgement } from "../intake/device-intake.ts";

/** Counts what the gateway makes, so that `vigil verify` can hold the journal against it. */
export interface TallyCounter {
  /** Counts what came of one chunk of a device's bytes. */
  readonly judged: (id: DeviceId, judgement: Judgement) => void;
  /** Counts records as they are handed to the journal, each once. */
  readonly recorded: (records: readonly JournalRecord[]) => void;
  /** Closes the count with the number of its own record, which is counted in it, and begins the next. The record itself must not be counted again. */
  readonly close: (own: { readonly seq: Seq; readonly atMs: WallMs }) => Tally;
  /** Whether anything was counted since the count was closed last. */
  readonly isEmpty: () => boolean;
}

/** Begins the first count of a life. @param firstSeq  The first number this life gives. */
export function createTallyCounter(firstSeq: Seq): TallyCounter {
  let fromSeq = firstSeq;
  let given: Partial<Record<RecordKind, number>> = {};
  let devices = new Map<DeviceId, GrowingCounts>();

  const countOf = (id: DeviceId): GrowingCounts => {
    const known = devices.get(id);
    if (known !== undefined) return known;
    const count = createCounts();
    devices.set(id, count);
    return count;
  };

  return {
    judged: (id, { counted, refusals, waveforms }) => {
      const count = countOf(id);
      count.bytes += counted.bytes;
      count.messages += counted.messages;
      count.readings += counted.readings;
      count.repeats += counted.repeats;
      count.waves += waveforms.length;
      for (const { kind } of refusals) count.refusals[kind] = (count.refusals[kind] ?? 0) + 1;
    },
    recorded: (records) => {
      for (const record of records) {
        given[record.kind] = (given[record.kind] ?? 0) + 1;
        if (record.kind === "observation") countOf(record.deviceId).observations += 1;
      }
    },
    close: ({ seq: toSeq, atMs }) => {
      const list = [...devices].map(([deviceId, count]): DeviceTally => ({ deviceId, ...count }));
      const allGiven = { ...given, tally: (given.tally ?? 0) + 1 };
      const tally: Tally = { kind: "tally", seq: toSeq, atMs, fromSeq, toSeq, given: allGiven, devices: list };
      fromSeq = (toSeq + 1) as Seq;
      given = {};
      devices = new Map();
      return tally;
    },
    isEmpty: () => devices.size === 0 && Object.keys(given).length === 0,
  };
}
