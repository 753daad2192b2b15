import type { Alert } from "../core/alert.ts";
import type { Observation } from "../core/observation.ts";
import { type WallMs, wallMs } from "../core/time.ts";
import type { Route } from "../gateway.ts";
import { type PlantState, patientOfRecord } from "./plant.ts";
import { agedActMs, agedObservations, ofPatientsHere, type Recovered } from "./recovery.ts";
import type { UnnumberedClockRecord, WallClock } from "./wall-clock.ts";

/** What the keeper works with. */
export interface ClockKeeperParts {
  readonly wallClock: WallClock;
  readonly shared: Route;
  readonly recovered: Recovered;
  /** What devices last measured before the restart, beside what was recovered. */
  readonly lastWorn: Promise<readonly Observation[]>;
  readonly plant: () => PlantState;
}

/**
 * Turns what the wall clock does into records, a technical alert, fresh pages and, once the ages of what was read back are known, values
 * and entries that count again. Returns the look: call it each second and before anything is numbered that carries a wall time.
 */
export function createClockKeeper(parts: ClockKeeperParts): () => void {
  const { wallClock, shared, recovered } = parts;
  const { clock, watch } = shared;
  let ageless: readonly Observation[] = withoutAge(recovered.observations, shared, wallClock);
  let lastWorn: readonly Observation[] = [];
  void parts.lastWorn.then((found) => {
    lastWorn = withoutAge(found, shared, wallClock);
  });
  let entries = recovered.acts.filter((act) => isEntry(act) && agedActMs(act, clock, wallClock.timeline()) === null);

  const recall = () => {
    if (ageless.length === 0 && lastWorn.length === 0 && entries.length === 0) return;
    const timeline = wallClock.timeline();
    const plant = parts.plant();
    const aged = (observations: readonly Observation[]) => ofPatientsHere(agedObservations(observations, clock, timeline), plant);
    shared.settle(watch.recall(aged(ageless), aged(lastWorn)));
    for (const { deed, seq, atMs } of entries) {
      const agedMs = agedActMs({ seq, atMs }, clock, timeline);
      if (agedMs === null || (deed.kind !== "enter-consciousness" && deed.kind !== "enter-oxygen")) continue;
      const patient = patientOfRecord(plant, deed.patientId, seq);
      if (patient === null) continue;
      const at = { patientId: patient.patientId, atMs: wallMs(agedMs), seq };
      if (deed.kind === "enter-oxygen") watch.enter({ ...at, kind: "onOxygen", value: deed.onOxygen });
      else watch.enter({ ...at, kind: "consciousness", value: deed.consciousness });
    }
    ageless = withoutAge(ageless, shared, wallClock);
    lastWorn = withoutAge(lastWorn, shared, wallClock);
    entries = entries.filter((act) => agedActMs(act, clock, timeline) === null);
  };

  const tell = () => shared.desk.setFault("clock", wallClock.doubt());
  tell();
  return () => {
    const found = wallClock.look();
    if (found.length === 0) return;
    for (const unnumbered of found) {
      const record = { ...unnumbered, seq: shared.nextSeq() };
      wallClock.recorded(record);
      shared.record([record]);
      if (record.why === "suspend") watch.slept(record.movedMs);
    }
    tell();
    recall();
    if (found.some(isMove)) refreshPages(shared);
  };
}

function isEntry({ deed }: Recovered["acts"][number]): boolean {
  return deed.kind === "enter-consciousness" || deed.kind === "enter-oxygen";
}

function isMove({ why }: UnnumberedClockRecord): boolean {
  return why === "step" || why === "suspend";
}

function withoutAge(observations: readonly Observation[], shared: Route, wallClock: WallClock): readonly Observation[] {
  const timeline = wallClock.timeline();
  return observations.filter((observation) => agedObservations([observation], shared.clock, timeline).length === 0);
}

/** Pages read ages off wall times. After a step of the wall clock they get all of them anew, or an old number would look fresh. */
function refreshPages(shared: Route): void {
  for (const { bedId } of shared.pictures.whole().beds) shared.feed.bedChanged(bedId);
  shared.feed.devicesChanged();
  for (const alert of shared.pictures.whole().alerts) shared.feed.alertChanged(alert);
  shared.feed.gatewayChanged();
}

/** An alert with its times by the wall clock as it stands now, for the pages. The record keeps the times as they were written. */
export function shownAlert(alert: Alert, wallClock: WallClock): Alert {
  const timeline = wallClock.timeline();
  const presentMs = timeline.presentCorrectionMs();
  const shown = (atMs: WallMs): WallMs => {
    const seq = timeline.numberOf({ atMs, upToSeq: alert.seq });
    return wallMs(timeline.mended({ seq, atMs, monotonicMs: null }).atMs - presentMs);
  };
  const shownOrNull = (atMs: WallMs | null) => (atMs === null ? null : shown(atMs));
  return {
    ...alert,
    raisedAtMs: shown(alert.raisedAtMs),
    changedAtMs: shown(alert.changedAtMs),
    acknowledgedAtMs: shownOrNull(alert.acknowledgedAtMs),
    endedAtMs: shownOrNull(alert.endedAtMs),
  };
}
