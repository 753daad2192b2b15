import { type Nudge, type NudgedDeviceView, parseNudgedDeviceViews } from "../../../core/demonstration.ts";
import { fail, type Result, succeed } from "../../../core/result.ts";
import { ask, post, type Refusal } from "../state/gateway-door.ts";

/** The demonstration's devices with what can be changed of them. */
export async function askNudges(): Promise<Result<readonly NudgedDeviceView[], Refusal>> {
  const answer = await ask("api/demonstration");
  if (!answer.ok) return answer;
  const devices = parseNudgedDeviceViews(answer.value["devices"]);
  return devices === null ? fail(null) : succeed(devices);
}

/** Has something changed. */
export function sendNudge(nudge: Nudge): Promise<Result<void, Refusal>> {
  return post("api/demonstration/nudge", nudge);
}
