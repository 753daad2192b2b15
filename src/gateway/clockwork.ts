import { fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal } from "../core/ports.ts";
import type { Timer } from "../core/time.ts";
import type { Route } from "../gateway.ts";
import type { DeviceRoster } from "./device-roster.ts";
import type { HeartbeatProbe } from "./heartbeat-probe.ts";
import { isProbePatient } from "./heartbeat-probe.ts";

/** Rules that depend on time alone are looked at so often; silence is noticed within its limit plus this. */
const TICK_MS = 1000;
/** What was made is counted and the count recorded so often. */
const TALLY_MS = 60_000;
/** A loss that has not happened again for so long is over. */
const LOSS_QUIET_MS = 60_000;

/** Starts everything that happens by the clock: silence, scores, reminders, the heartbeat. Returns how to stop it. */
export function startClockwork(
  shared: Route,
  {
    probe,
    lookAtClock,
    tickRoutes,
  }: { readonly probe: HeartbeatProbe; readonly lookAtClock: () => void; readonly tickRoutes: () => void },
): () => void {
  const timers: readonly Timer[] = [
    shared.clock.every(TICK_MS, () => {
      lookAtClock();
      const { changes, predictions } = shared.watch.tick();
      const kept = predictions
        .filter((prediction) => !isProbePatient(prediction.patientId))
        .map((prediction) => ({ ...prediction, seq: shared.nextSeq() }));
      if (kept.length > 0) shared.record(kept);
      shared.settle(changes);
      shared.desk.tick();
      tickRoutes();
      for (const patientId of new Set(kept.map((prediction) => prediction.patientId))) {
        const bed = shared.bedOfPatient(patientId);
        if (bed !== null) shared.feed.bedChanged(bed);
      }
      shared.feed.gatewayChanged();
    }),
    // Every second injection must come out as an alert, so two make one heartbeat.
    shared.clock.every(LIMITS.heartbeatProbeMs.value / 2, probe.inject),
    shared.clock.every(TALLY_MS, shared.recordTally),
  ];
  return () => {
    for (const timer of timers) timer.stop();
  };
}

/** Turns what the journal says of itself into technical alerts and loss records. Returns how to stop that. */
export function watchJournal(shared: Route, journal: Journal, roster: Pick<DeviceRoster, "everyLine">): () => void {
  let quiet: Timer | null = null;
  const subject = { patientId: null, bedId: null, deviceId: null, part: "journal" };
  const stopHealth = journal.onHealth((health) => {
    const trouble = health.state === "working" ? null : health.fault;
    // What is damaged is lost though the journal works again a moment later: only a person ends that alert.
    const isDamage = trouble?.code === "journal-damaged";
    if (isDamage) shared.desk.setFault("journal-damage", trouble, subject);
    shared.desk.setFault("journal", isDamage ? null : trouble, subject);
    shared.feed.gatewayChanged();
  });
  const stopLoss = journal.onLoss((loss) => {
    shared.record([{ kind: "loss", seq: shared.nextSeq(), atMs: shared.clock.wall(), ...loss }]);
    // The byte budget drops the oldest by plan; only a full queue is trouble.
    if (loss.why !== "queue-full") return;
    // A sender of waves is not made to send again: they are the first thing to go.
    if (loss.what === "records") for (const line of roster.everyLine()) line.lost({ from: loss.fromSeq, to: loss.toSeq });
    shared.desk.setFault("queue", fault("queue-full", { fromSeq: loss.fromSeq, toSeq: loss.toSeq, count: loss.count }));
    quiet?.stop();
    quiet = shared.clock.after(LOSS_QUIET_MS, () => shared.desk.setFault("queue", null));
  });
  // Decision 4: a sender is thanked after the commit of what it brought, not before.
  const stopCommit = journal.onCommit((upTo) => {
    for (const line of roster.everyLine()) line.committed(upTo);
  });
  return () => {
    stopHealth();
    stopLoss();
    stopCommit();
    quiet?.stop();
  };
}
