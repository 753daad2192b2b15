import {
  NUDGE_REFUSALS,
  type Nudge,
  type NudgedDevice,
  type NudgeRefusal,
  parseNudge,
  parseNudgedDevices,
} from "../core/demonstration.ts";
import { type Fault, fault } from "../core/errors.ts";
import type { DeviceId } from "../core/ids.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { PictureView } from "../core/stream.ts";
import type { Clock } from "../core/time.ts";
import type { DemonstrationSource } from "../dashboard/server/source.ts";
import { askGateway, type ControlHandler } from "./control-socket.ts";

/** Where the simulated devices are, in the process that runs them. */
export interface NudgedWorld {
  readonly devices: () => readonly NudgedDevice[];
  readonly nudge: (nudge: Nudge) => Promise<Result<void, NudgeRefusal>>;
}

/** Answers the desk at the world's socket. */
export function nudgeHandler(world: NudgedWorld): ControlHandler {
  return async ({ name, body }) => {
    if (name === "devices") return { ok: true, devices: world.devices() };
    const nudge = name === "nudge" ? parseNudge(body) : null;
    return nudge === null ? { ok: false, error: "bad-request" } : await world.nudge(nudge);
  };
}

/**
 * Hands on to the demonstration's devices what a person wants changed. Nothing of it goes into the gateway: it hears of a change by the
 * devices' own bytes. A device that measures somebody, or that lies with a patient who is no demonstration, is never told of nor handed on.
 */
export function createDemonstrationDesk(parts: {
  readonly socketFile: string;
  readonly clock: Clock;
  readonly picture: () => PictureView;
}): DemonstrationSource {
  const { socketFile, clock } = parts;
  const ask = async (name: string, body: unknown): Promise<Result<Readonly<Record<string, unknown>>, Fault>> => {
    const answer = await askGateway(socketFile, { name, body }, clock);
    if (!answer.ok) return fail(fault("demonstration-gone", { why: String(answer.error.facts["why"]) }));
    const { value } = answer;
    const isFields = typeof value === "object" && value !== null;
    return isFields ? succeed(value as Readonly<Record<string, unknown>>) : fail(fault("demonstration-gone", { why: "answer" }));
  };
  const bedOf = (id: DeviceId) => bedOfUnreal(parts.picture(), id);
  return {
    bedOf,
    devices: async () => {
      const answer = await ask("devices", null);
      if (!answer.ok) return answer;
      const devices = parseNudgedDevices(answer.value["devices"]);
      if (devices === null) return fail(fault("demonstration-gone", { why: "answer" }));
      return succeed(
        devices.flatMap((device) => {
          const bedId = bedOf(device.deviceId);
          return bedId === null ? [] : [{ ...device, bedId }];
        }),
      );
    },
    nudge: async (nudge) => {
      if (bedOf(nudge.deviceId) === null) return fail(fault("nudge-refused", { why: "nudge-unknown-device" }));
      const answer = await ask("nudge", nudge);
      if (!answer.ok) return answer;
      if (answer.value["ok"] === true) return succeed(undefined);
      const why = NUDGE_REFUSALS.find((one) => one === answer.value["error"]);
      return fail(why === undefined ? fault("demonstration-gone", { why: "answer" }) : fault("nudge-refused", { why }));
    },
  };
}

/** The bed of a device that measures nobody, and where no real patient lies; null for any other. */
function bedOfUnreal({ beds }: PictureView, id: DeviceId) {
  for (const { bedId, patient, devices } of beds) {
    const device = devices.find(({ deviceId }) => deviceId === id);
    if (device === undefined) continue;
    const isUnreal = device.origin === "simulated" || device.origin === "replayed";
    return isUnreal && (patient === null || patient.demonstration) ? bedId : null;
  }
  return null;
}
