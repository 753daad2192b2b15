import type { Nudge, NudgeChoice, NudgedDevice, NudgeRefusal, NudgeView } from "../../src/core/demonstration.ts";
import { deviceId } from "../../src/core/ids.ts";
import { LIMITS } from "../../src/core/limits.ts";
import { assert, fail, type Result, succeed } from "../../src/core/result.ts";
import type { WallMs } from "../../src/core/time.ts";
import type { Nudgeable } from "./nudged-device.ts";

/** A cable or a radio, which takes its time. */
export interface NudgeableLink extends Omit<Nudgeable, "apply"> {
  readonly apply: (choice: NudgeChoice) => Promise<Result<void, NudgeRefusal>>;
}

/** Takes what people want changed, and says what is changed now. */
export interface NudgeDesk {
  readonly devices: () => readonly NudgedDevice[];
  readonly nudge: (nudge: Nudge) => Promise<Result<void, NudgeRefusal>>;
}

/** Makes the desk. */
export function createNudgeDesk(
  devices: readonly { readonly name: string; readonly nudgeables: readonly (Nudgeable | NudgeableLink)[] }[],
  { wall }: { readonly wall: () => WallMs },
): NudgeDesk {
  const standing = new Map(
    devices.map(({ name, nudgeables }) => [deviceId(name), { places: nudgeables.map(placeOf), nudgedCount: 0 }]),
  );
  return {
    devices: () => [...standing].map(([id, { places }]) => ({ deviceId: id, nudges: places.map(({ view }) => view) })),
    nudge: async ({ deviceId: id, name, choice }) => {
      const device = standing.get(id);
      if (device === undefined) return fail("nudge-unknown-device");
      const place = device.places.find(({ view }) => view.name === name);
      if (place === undefined || !place.view.choices.includes(choice)) return fail("nudge-unknown-choice");
      if (place.view.now === choice) return succeed(undefined);
      if (device.nudgedCount >= LIMITS.simulatedNudgesMax.value) return fail("nudge-too-many");
      device.nudgedCount += 1;
      const applied = await place.nudgeable.apply(choice);
      if (!applied.ok) return applied;
      place.view = { ...place.view, now: choice, sinceMs: wall() };
      return succeed(undefined);
    },
  };
}

interface Place {
  readonly nudgeable: Nudgeable | NudgeableLink;
  view: NudgeView;
}

function placeOf(nudgeable: Nudgeable | NudgeableLink): Place {
  const { name, choices } = nudgeable;
  const [first] = choices;
  assert(first !== undefined, "what can be changed has choices");
  return { nudgeable, view: { name, choices, now: first, sinceMs: null } };
}
