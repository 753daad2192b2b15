import type { AdoptPreview, CandidatesView, DeviceDetailView, DevicesView } from "../../../core/device-view.ts";
import { fail, type Result, succeed } from "../../../core/result.ts";
import { ask, isFields, type Refusal } from "../state/gateway-door.ts";

// The server of these pages is built from the same types, and a page of another version loads itself anew.

/** Asks for all devices. */
export async function askDevices(): Promise<Result<DevicesView, Refusal>> {
  const answer = await ask("api/devices");
  if (!answer.ok) return answer;
  const { devices, unused } = answer.value;
  return Array.isArray(devices) && Array.isArray(unused) ? succeed({ devices, unused }) : fail(null);
}

/** Asks for one device; null where there is none of this name. */
export async function askDevice(id: string): Promise<Result<DeviceDetailView | null, Refusal>> {
  const answer = await ask(`api/device?${new URLSearchParams({ id })}`);
  if (!answer.ok) return answer.error?.facts["field"] === "id" ? succeed(null) : answer;
  const { device } = answer.value;
  return isFields(device) ? succeed(device as unknown as DeviceDetailView) : fail(null);
}

/** Asks what may be adopted. */
export async function askCandidates(): Promise<Result<CandidatesView, Refusal>> {
  const answer = await ask("api/candidates");
  if (!answer.ok) return answer;
  const { candidates } = answer.value;
  return isFields(candidates) ? succeed(candidates as unknown as CandidatesView) : fail(null);
}

/** Asks what a driver would make of the last message on a topic. */
export async function askPreview(wanted: {
  readonly driverId: string;
  readonly options: Readonly<Record<string, string>>;
  readonly topic: string;
}): Promise<Result<AdoptPreview, Refusal>> {
  const answer = await ask("api/preview", wanted);
  if (!answer.ok) return answer;
  const { preview } = answer.value;
  return isFields(preview) ? succeed(preview as unknown as AdoptPreview) : fail(null);
}
