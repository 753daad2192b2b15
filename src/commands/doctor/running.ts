import { existsSync } from "node:fs";
import { join } from "node:path";
import { findDriver } from "../../../drivers/index.ts";
import type { Alert } from "../../core/alert.ts";
import type { DeviceView } from "../../core/stream.ts";
import { KEPT_FILE } from "../../journal/journal-folder.ts";
import type { Examined, Family, GatewayAnswer } from "./examined.ts";
import { found, foundFault, type Outcome, well } from "./outcome.ts";

const HOUR_MS = 3_600_000;
/** So many starts after a cut-off within the hour are a fault of their own. */
const CUT_OFF_STARTS_MIN = 3;
/** With a connection, a backlog below it is what is on its way at any moment. */
const BACKLOG_RECORDS_MIN = 500;
/** Beyond its own limit a device has so much longer before it counts as silent, in seconds: alerts come earlier. */
const SILENCE_GRACE_SECONDS = 10;

/** Whether the gateway runs, and what it says of itself. */
export const examineRunning: Family = async (examined) => {
  const { gateway, config } = examined;
  const id = config.gateway.id;
  switch (gateway.kind) {
    case "no-rights":
      return [found("gateway-no-rights", id)];
    case "silent":
      return [found("gateway-silent", id, gateway.pid === null ? {} : { pid: gateway.pid })];
    case "absent": {
      const ranBefore = existsSync(join(config.gateway.dataFolder, "journal", KEPT_FILE));
      return [found(ranBefore ? "gateway-not-running" : "gateway-never-ran", id)];
    }
    case "answers": {
      const { picture } = gateway.answer;
      if (picture.gateway.gatewayId !== id) return [found("gateway-other", id, { runs: picture.gateway.gatewayId })];
      return [
        well("gateway", id),
        ...examineStarts(gateway.answer, examined),
        ...examineAlerts(gateway.answer),
        ...examineBacklogs(gateway.answer),
        ...examineHeard(gateway.answer, examined),
      ];
    }
  }
};

function examineStarts({ starts, picture }: GatewayAnswer, { config, probes }: Examined): readonly Outcome[] {
  const id = config.gateway.id;
  const sinceMs = probes.clock.wall() - HOUR_MS;
  const cutOff = starts.filter(({ atMs, before }) => before === "cut-off" && atMs >= sinceMs);
  const outcomes: Outcome[] = [];
  if (cutOff.length >= CUT_OFF_STARTS_MIN) outcomes.push(found("gateway-restarts", id, { times: cutOff.length }));
  if (picture.gateway.safeMode) outcomes.push(found("safe-mode", id));
  return outcomes.length > 0 ? outcomes : [well("gateway-starts", id)];
}

/** Every technical fault that is open, by the gateway's own words. */
function examineAlerts({ picture }: GatewayAnswer): readonly Outcome[] {
  const outcomes = picture.alerts.flatMap(outcomeOfAlert);
  return outcomes.length > 0 ? outcomes : [well("gateway-alert", picture.gateway.gatewayId)];
}

function outcomeOfAlert({ evidence, state, nature, subject }: Alert): readonly Outcome[] {
  if (evidence.kind !== "fault" || nature !== "technical" || state === "ended") return [];
  const { code, facts } = evidence;
  return [foundFault("gateway-alert", subject.deviceId ?? subject.part ?? "gateway", { code, facts })];
}

function examineBacklogs({ stats, upstreamsLater }: GatewayAnswer): readonly Outcome[] {
  return upstreamsLater.map((later) => {
    const before = stats.upstreams.find(({ name }) => name === later.name)?.backlogRecords ?? later.backlogRecords;
    const waitingMin = later.state === "connected" ? BACKLOG_RECORDS_MIN : 1;
    const grows = later.backlogRecords >= waitingMin && later.backlogRecords >= before;
    return grows
      ? found("backlog-grows", later.name, { records: later.backlogRecords, grewBy: later.backlogRecords - before })
      : well("backlog", later.name);
  });
}

function examineHeard({ picture }: GatewayAnswer, examined: Examined): readonly Outcome[] {
  const views = [...picture.unassigned, ...picture.beds.flatMap((bed) => bed.devices)];
  const devices = [...new Map(views.map((view) => [view.deviceId, view])).values()];
  return devices.map((view) => {
    const limitSeconds = silenceSecondsOf(view, examined) + SILENCE_GRACE_SECONDS;
    const heardAtMs = view.lastHeardAtMs ?? picture.gateway.startedAtMs;
    const silentSeconds = Math.round((picture.nowMs - heardAtMs) / 1000);
    const facts = { silentSeconds, link: view.link, ever: view.lastHeardAtMs === null ? "no" : "yes" };
    return silentSeconds > limitSeconds ? found("device-silent", view.deviceId, facts) : well("device", view.deviceId);
  });
}

function silenceSecondsOf({ deviceId, driverId }: DeviceView, { config }: Examined): number {
  const configured = config.devices.find(({ id }) => id === deviceId)?.silenceSeconds;
  return configured ?? findDriver(driverId)?.silenceSeconds ?? 0;
}
