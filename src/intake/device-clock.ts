import { LIMITS } from "../core/limits.ts";
import type { DriverEvent, StoredTime } from "../core/ports.ts";
import type { MonotonicMs, WallMs } from "../core/time.ts";

/** A jump of a device's clock is told at most so often. */
const TOLD_MS_MIN = 60_000;

/** A message that took longer on its way is one that was kept. */
const LATENESS_MS_MAX = 30_000;
/** Two messages closer than this say nothing of how fast the device's clock goes: a stored lot comes at once. */
const ELAPSED_MS_MIN = 500;
/** A clock that went back is believed when it has gone on as ours for so long, in so many messages, to within this share. */
const SET_BACK_MS_MIN = 30_000;
const SET_BACK_MESSAGES_MIN = 3;
const SET_BACK_SHARE_MAX = 0.1;

/** What is known of one device's own clock in one conversation. It dates stored records; live ones are dated by their reception. */
export interface DeviceClock {
  /** Takes what the clock says now. Returns the event where it was set: by a person, by daylight saving, or after a change of battery. */
  readonly note: (deviceMs: WallMs, atMonotonicMs: MonotonicMs) => DriverEvent | null;
  /**
   * Whether a message with this time is of now, where the device may send old ones without a word of it: its time is ours, or it is as far
   * from ours as that of the message before, so that the clock goes on with the world and not with the speed of the sending. A clock that
   * goes back was set, or lost its battery; until it has gone on for half a minute what it dates may as well be stored.
   *
   * @param receivedAtMs  Our wall time of the reception.
   */
  readonly isNow: (
    deviceMs: WallMs,
    reception: { readonly receivedAtMs: WallMs; readonly receivedMonotonicMs: MonotonicMs },
  ) => boolean;
  /** How long before `atMonotonicMs` a stored record was made, in ms; null where nobody can know. */
  readonly ageMs: (stored: StoredTime, atMonotonicMs: MonotonicMs) => number | null;
}

/** One comparison of the device's clock with ours: what is to be added to its time to get ours, monotonic. */
interface Comparison {
  readonly offsetMs: number;
  readonly deviceMs: number;
}

/** Watches whether a clock that went back goes on as ours does. */
interface SetBackWatch {
  /** A message of now. */
  readonly wasNow: (deviceMs: number) => void;
  /** Whether a message that seems old is of now, because the clock went back some time ago and has gone on as ours since. */
  readonly wasSetBack: (deviceMs: number, atMonotonicMs: number) => boolean;
}

function createSetBackWatch(): SetBackWatch {
  let newestDeviceMs = Number.NEGATIVE_INFINITY;
  /** Since when it goes on as ours after it went back, and how many messages ago that was. */
  let since: { readonly deviceMs: number; readonly atMonotonicMs: number; messages: number } | null = null;
  return {
    wasNow: (deviceMs) => {
      newestDeviceMs = Math.max(newestDeviceMs, deviceMs);
      since = null;
    },
    wasSetBack: (deviceMs, atMonotonicMs) => {
      if (since === null && deviceMs >= newestDeviceMs) return false;
      const elapsedMs = since === null ? 0 : atMonotonicMs - since.atMonotonicMs;
      const apartMs = since === null ? 0 : Math.abs(deviceMs - since.deviceMs - elapsedMs);
      if (since === null || apartMs > LATENESS_MS_MAX) since = { deviceMs, atMonotonicMs, messages: 0 };
      since.messages += 1;
      if (elapsedMs < SET_BACK_MS_MIN || since.messages < SET_BACK_MESSAGES_MIN) return false;
      return apartMs <= SET_BACK_SHARE_MAX * elapsedMs;
    },
  };
}

/** Begins a conversation in which the device's clock is not known yet. */
export function createDeviceClock(): DeviceClock {
  const jumpMs = LIMITS.deviceClockJumpMsMin.value;
  let compared: Comparison[] = [];
  /** One comparison that is far off; a second one like it, with a clock that goes on, makes a jump of it. */
  let strange: Comparison | null = null;
  let toldAtMs: number | null = null;
  let before: { readonly deviceMs: number; readonly atMonotonicMs: number } | null = null;
  const setBackWatch = createSetBackWatch();

  const isNow: DeviceClock["isNow"] = (deviceMs, { receivedAtMs, receivedMonotonicMs }) => {
    const last = before;
    before = { deviceMs, atMonotonicMs: receivedMonotonicMs };
    // The message that came fastest shows how far the clocks are apart.
    const leastMs = Math.min(...compared.map(({ offsetMs }) => offsetMs));
    const hasOurTime = Math.abs(receivedAtMs - deviceMs) <= LATENESS_MS_MAX;
    if (hasOurTime || (compared.length > 0 && receivedMonotonicMs - deviceMs - leastMs <= LATENESS_MS_MAX)) {
      setBackWatch.wasNow(deviceMs);
      return true;
    }
    if (compared.length > 0) return setBackWatch.wasSetBack(deviceMs, receivedMonotonicMs);
    // A clock that is wrong: believed once it has gone on for a while as ours did.
    if (last === null) return false;
    const elapsedMs = receivedMonotonicMs - last.atMonotonicMs;
    return elapsedMs >= ELAPSED_MS_MIN && Math.abs(deviceMs - last.deviceMs - elapsedMs) <= elapsedMs / 4;
  };

  const note: DeviceClock["note"] = (deviceMs, atMonotonicMs) => {
    const next = { offsetMs: atMonotonicMs - deviceMs, deviceMs };
    const usual = medianOffset(compared);
    if (usual === null || Math.abs(next.offsetMs - usual) <= jumpMs) {
      strange = null;
      compared.push(next);
      if (compared.length > LIMITS.deviceClockSamplesMax.value) compared.shift();
      return null;
    }
    const again = strange;
    strange = next;
    if (again === null || Math.abs(next.offsetMs - again.offsetMs) > jumpMs || next.deviceMs === again.deviceMs) return null;
    compared = [again, next];
    strange = null;
    if (toldAtMs !== null && atMonotonicMs - toldAtMs < TOLD_MS_MIN) return null;
    toldAtMs = atMonotonicMs;
    return { code: "device-clock", facts: { movedMs: Math.round(usual - next.offsetMs), deviceClockMs: deviceMs } };
  };

  return {
    note,
    isNow,
    ageMs: ({ atDeviceMs, deviceNowMs }, atMonotonicMs) => {
      if (atDeviceMs === null) return null;
      const offsetMs = deviceNowMs === null ? medianOffset(compared) : atMonotonicMs - deviceNowMs;
      if (offsetMs === null) return null;
      const ageMs = atMonotonicMs - (atDeviceMs + offsetMs);
      // A record of the future, or of a time without medical devices, was stamped by a clock that was set since.
      if (ageMs < -jumpMs || ageMs > LIMITS.storedAgeMsMax.value) return null;
      return Math.max(0, ageMs);
    },
  };
}

function medianOffset(compared: readonly Comparison[]): number | null {
  const sorted = compared.map(({ offsetMs }) => offsetMs).sort((one, other) => one - other);
  return sorted[sorted.length >> 1] ?? null;
}
