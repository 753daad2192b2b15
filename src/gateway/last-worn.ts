import type { Act } from "../core/act.ts";
import type { ConditionChange } from "../core/alert.ts";
import type { BedId, DeviceId, PatientId, Seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Timeline } from "../core/mended-time.ts";
import type { Observation } from "../core/observation.ts";
import type { Journal } from "../core/ports.ts";
import { isOfABody, QUANTITIES, QUANTITY_NAMES } from "../core/quantities.ts";
import type { Clock } from "../core/time.ts";
import type { Watch } from "../watch/watch.ts";
import { applyAct, EMPTY_PLANT, type PlantState } from "./plant.ts";
import { readLatest } from "./recovery.ts";
import type { WatchPlan } from "./watch-plan.ts";

/**
 * Tells the watch what was said of whom devices are on, and which patients were moved away from the bed a device stands at since then.
 *
 * @param change.atMsOf  The monotonic time of an act; null where nobody can know it.
 * @returns The conditions that this ended.
 */
export function tellLastWords(
  watch: Pick<Watch, "confirmAssignment" | "patientMoved">,
  devices: WatchPlan["devices"],
  change: { readonly before: PlantState; readonly after: PlantState; readonly atMsOf: (seq: Seq) => number | null },
): readonly ConditionChange[] {
  const { before, after, atMsOf } = change;
  const changes: ConditionChange[] = [];
  for (const [deviceId, { bedId }] of devices) {
    const seq = after.confirmations.get(deviceId);
    if (seq !== undefined && seq !== before.confirmations.get(deviceId))
      changes.push(...watch.confirmAssignment({ deviceId, atMs: atMsOf(seq), seq }));
    const movedSeq = movedAway(after, deviceId, bedId);
    if (movedSeq === movedAway(before, deviceId, bedId)) continue;
    watch.patientMoved({ deviceId, away: movedSeq !== null, atMs: movedSeq === null ? null : atMsOf(movedSeq) });
  }
  return changes;
}

/** The act that moved a device's patient away from the bed it stands at, where nobody has said since then whom it is on. */
function movedAway(plant: PlantState, deviceId: DeviceId, standsAt: BedId | null): Seq | null {
  const patientId: PatientId | undefined = plant.assignments.get(deviceId);
  const patient = patientId === undefined ? undefined : plant.patients.get(patientId);
  const wordSeq = plant.confirmations.get(deviceId);
  if (patient === undefined || wordSeq === undefined || standsAt === null || patient.bedId === standsAt) return null;
  return patient.inBedSeq > wordSeq ? patient.inBedSeq : null;
}

/**
 * Reads what devices last measured before a restart, while everything else runs already: in a large ward it takes seconds.
 *
 * @param parts.take  Is told what was found, once; nothing where it cannot be read.
 * @returns           The same.
 */
export function followLastWorn(
  journal: Journal,
  parts: Parameters<typeof readLastWorn>[1] &
    Parameters<typeof readLastWorn>[2] & { readonly take: (found: readonly Observation[]) => void },
): Promise<readonly Observation[]> {
  const reading = readLastWorn(journal, parts, parts).catch(() => []);
  return reading.then((found) => {
    parts.take(found);
    return found;
  });
}

/**
 * What assigned devices last measured before a restart, as far as it is not among what was read back anyway: to know whether a device that
 * measures again did so all the time. Times are as they were written.
 *
 * @param given.recent  What was read back: where it has a sound value of each assigned device, nothing more is asked for.
 * @param given.backMs  A longer gap is asked about, however long it is.
 */
async function readLastWorn(
  journal: Journal,
  times: { readonly clock: Clock; readonly timeline: Timeline },
  given: { readonly acts: readonly Act[]; readonly recent: readonly Observation[]; readonly backMs: number },
): Promise<readonly Observation[]> {
  const { assignments } = given.acts.reduce(applyAct, EMPTY_PLANT);
  const known = new Set(given.recent.filter(isSoundOfABody).map(({ deviceId }) => deviceId));
  if ([...assignments.keys()].every((deviceId) => known.has(deviceId))) return [];
  const quantities = QUANTITY_NAMES.filter((name) => QUANTITIES[name].rhythm === "continuous" && isOfABody(name));
  // The last page also where nobody knows how long ago it was: that may become known while the question waits.
  const [lastPage, latest] = await Promise.all([
    journal.readBack({ upToSeq: journal.lastSeqAtOpen, limit: LIMITS.journalReadRecordsMax.value }),
    readLatest(journal, times, { quantities, backMs: given.backMs }),
  ]);
  return [...new Map(lastPage.filter(isSoundOfABody).map((found) => [found.deviceId, found])).values(), ...latest];
}

function isSoundOfABody({ quantity, content, quality }: Observation): boolean {
  return content.state === "present" && quality.validity === "valid" && isOfABody(quantity);
}
