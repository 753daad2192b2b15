import type { ConditionChange, Subject } from "./core/alert.ts";
import type { BedId, DeviceId, PatientId, Seq } from "./core/ids.ts";
import type { WaveformChunk } from "./core/observation.ts";
import type { DeviceEvent, JournalRecord } from "./core/record.ts";
import type { Clock } from "./core/time.ts";
import type { AlertDesk } from "./gateway/alert-desk.ts";
import type { PageFeed } from "./gateway/page-feed.ts";
import type { Pictures } from "./gateway/picture.ts";
import type { TallyCounter } from "./gateway/tally.ts";
import type { Judgement, UnnumberedObservation } from "./intake/device-intake.ts";
import type { Watch } from "./watch/watch.ts";

/** Everything that one device's events touch. */
export interface Route {
  readonly clock: Clock;
  readonly watch: Watch;
  readonly desk: AlertDesk;
  readonly feed: PageFeed;
  readonly pictures: Pictures;
  readonly tally: Pick<TallyCounter, "judged">;
  /** Hands records to the journal, counted. */
  readonly record: (records: readonly JournalRecord[]) => void;
  /** Records what was counted since the last tally, where there was anything. */
  readonly recordTally: () => void;
  /** Hands waves to the journal's ring. */
  readonly recordWaves: (chunks: readonly WaveformChunk[]) => void;
  readonly nextSeq: () => Seq;
  /** Hands conditions to the desk; every change of the watch goes this way. */
  readonly settle: (changes: readonly ConditionChange[]) => void;
  readonly bedOfPatient: (id: PatientId) => BedId | null;
}

/**
 * The data path: link -> driver -> intake -> watch + record.
 * Watching and recording start from the same observation and neither waits for the other, so that a disk never mutes an alert.
 */
export function route(parts: Route, id: DeviceId, judgement: Judgement): void {
  parts.tally.judged(id, judgement);
  const observations = judgement.observations.map((unnumbered) => ({
    ...markedWhereUnconfirmed(parts.watch, unnumbered),
    seq: parts.nextSeq(),
  }));
  if (observations.length > 0) parts.record(observations);
  if (judgement.heard) parts.settle(parts.watch.heard(id));
  for (const observation of observations) parts.settle(parts.watch.observe(observation));
  for (const { alarm, origin } of judgement.alarms) parts.settle(parts.watch.deviceAlarm(id, alarm, origin));
  for (const event of judgement.events) {
    // A device's running state changes with every message; only what happens once is a record.
    if (event.code !== "device-state") parts.record([deviceEvent(parts, id, event.code, event.facts)]);
  }
  if (judgement.quarantined !== null) {
    parts.record([deviceEvent(parts, id, "quarantined", judgement.quarantined.facts)]);
    parts.desk.setFault(`device:${id}`, judgement.quarantined, deviceSubject(parts, id));
  }
  parts.recordWaves(judgement.waveforms);
  const bed = parts.pictures.bedOf(id);
  if (bed === null) {
    parts.feed.devicesChanged();
    return;
  }
  if (observations.length > 0 || judgement.quarantined !== null) parts.feed.bedChanged(bed);
  // SAFETY.md, rule 12: a wave out of a device's memory is not now.
  parts.feed.waves(
    bed,
    judgement.waveforms.filter(({ late }) => late !== true),
  );
}

/** Kept with the value, so that a chart can be put right; it counts and alerts as before. */
function markedWhereUnconfirmed(watch: Watch, unnumbered: UnnumberedObservation): UnnumberedObservation {
  if (!watch.isUnconfirmed(unnumbered)) return unnumbered;
  const { quality } = unnumbered;
  return { ...unnumbered, quality: { ...quality, flags: [...quality.flags, "patient-unconfirmed"] } };
}

/** What trouble of a device is about: the device and the bed it is shown at. */
export function deviceSubject(parts: Pick<Route, "pictures">, id: DeviceId): Subject {
  return { patientId: null, bedId: parts.pictures.bedOf(id), deviceId: id, part: null };
}

/** Makes the record of something a device or link did. */
export function deviceEvent(
  parts: Pick<Route, "clock" | "nextSeq">,
  id: DeviceId,
  code: DeviceEvent["code"],
  facts: DeviceEvent["facts"],
): DeviceEvent {
  return { kind: "event", seq: parts.nextSeq(), atMs: parts.clock.wall(), deviceId: id, code, facts };
}
