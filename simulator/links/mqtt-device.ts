import type { Twin } from "../../src/core/ports.ts";
import { type DeviceParts, type DeviceStats, runTwin } from "../devices/running-twin.ts";
import { type BadSender, badSenderOf } from "./bad-sender.ts";
import { type MqttWire, type MqttWireParts, openMqttWire } from "./mqtt-wire.ts";

/** A simulated device that sends by MQTT. */
export interface MqttDevice extends Pick<MqttWire, "setInReach"> {
  readonly stats: () => DeviceStats;
  /** Switches it off and ends its connection. */
  readonly close: () => Promise<void>;
}

/**
 * Switches on a device that sends what its twin says to one topic, QoS 1, and connects again for ever. It has no memory: what it says while
 * it has no connection is lost, and counted as dropped. Where a bad link drops it, it says no good-bye and connects again when it may.
 */
export function startMqttDevice(
  options: DeviceParts & Pick<MqttWireParts, "connect"> & { readonly twin: Twin; readonly topic: string },
): MqttDevice {
  const { clock, topic, connect } = options;
  let bad: BadSender | null = null;
  const wire = openMqttWire({
    clock,
    connect,
    mayConnect: () => bad?.isThere() !== false,
    onConnected: () => bad?.begin(),
  });
  const send = (payload: Uint8Array) => wire.send(payload, topic);
  bad = badSenderOf(options, { send, drop: wire.cut, restore: () => {} });
  const running = runTwin(options.twin, { ...options, send: bad?.send ?? send });
  return {
    stats: () => ({ ...running.stats(), bytesDropped: wire.bytesDropped() + (bad?.stats().bytesDropped ?? 0) }),
    setInReach: wire.setInReach,
    close: async () => {
      running.stop();
      bad?.stop();
      await wire.close();
    },
  };
}
