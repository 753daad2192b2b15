import type { Clock } from "../../src/core/time.ts";
import { type BadLinkStats, type BadSender, createBadSender } from "../links/bad-sender.ts";
import { AWAY_MS, type LinkFaults } from "../links/link-faults.ts";
import type { CastDevice } from "./cast.ts";
import type { Wire } from "./world.ts";

/** The way of one device with its own memory and its link's faults. */
export interface DeviceWire extends Wire {
  /** The device was off and is on again: its connection is a new one, and what was half-open is so no more. */
  readonly switchOn: () => void;
  /** What its faults did so far; null where it has none. */
  readonly stats: () => BadLinkStats | null;
  /** Ends what the faults do by the clock. */
  readonly stop: () => void;
}

/** Puts a device's memory and its bad link, where it has them, before the wire of a world. */
export function deviceWire(wire: Wire, { device, linkSeed }: CastDevice, clock: Clock): DeviceWire {
  const messagesMax = device.keepsMessages ?? 0;
  if (device.badLink === undefined)
    return { ...keeping(wire, messagesMax), switchOn: () => {}, stats: () => null, stop: () => {} };
  return badly(wire, { messagesMax, faults: device.badLink, seed: linkSeed, clock });
}

/**
 * A wire that fails: a drop pulls it out and puts it in again after `AWAY_MS`; half-open, nothing passes either way until the device is
 * switched on again, its cable is put in anew, or the gateway opens its end anew. The device's memory knows of a drop, and not of what is half-open.
 */
function badly(
  wire: Wire,
  given: { readonly messagesMax: number; readonly faults: LinkFaults; readonly seed: number; readonly clock: Clock },
): DeviceWire {
  let cableIn = false;
  const sender: BadSender = createBadSender({
    ...given,
    backAfterMs: AWAY_MS,
    carrier: {
      send: wire.send,
      drop: () => kept.unplug(),
      restore: () => {
        if (cableIn) kept.plug();
      },
    },
  });
  const onReceive: Wire["onReceive"] = (listener) =>
    wire.onReceive((bytes, channel) => {
      if (!sender.isHalfOpen()) listener(bytes, channel);
    });
  const kept = keeping({ ...wire, send: sender.send, onReceive }, given.messagesMax);
  const plug = () => {
    cableIn = true;
    if (!sender.isThere()) return;
    sender.begin();
    kept.plug();
  };
  const plugAnew = () => {
    if (!cableIn || !sender.isHalfOpen()) return;
    kept.unplug();
    plug();
  };
  wire.onOpened(() => {
    if (cableIn && sender.isHalfOpen()) sender.begin();
  });
  return {
    ...kept,
    plug,
    unplug: () => {
      cableIn = false;
      kept.unplug();
    },
    switchOn: plugAnew,
    stats: sender.stats,
    stop: sender.stop,
  };
}

/** A wire of a device with a memory: what it says while the cable is out it says again when it is in, up to so many messages. */
function keeping(wire: Wire, messagesMax: number): Wire {
  if (messagesMax === 0) return wire;
  const kept: { readonly bytes: Uint8Array; readonly channel: string }[] = [];
  let out = false;
  return {
    ...wire,
    send: (bytes, channel) => {
      if (!out) return wire.send(bytes, channel);
      kept.push({ bytes, channel });
      if (kept.length > messagesMax) kept.shift();
    },
    plug: () => {
      out = false;
      wire.plug();
      for (const { bytes, channel } of kept.splice(0)) wire.send(bytes, channel);
    },
    unplug: () => {
      out = true;
      wire.unplug();
    },
  };
}
