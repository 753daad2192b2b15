import type { Fault } from "../../src/core/errors.ts";
import type { Result } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";
import type { Wire } from "../scenario/world.ts";
import type { MqttDeviceConnection } from "./mqtt-device.ts";

/** How long it waits before it connects again, in ms. */
const RECONNECT_MS = 1000;

/** The way of a simulated device to an MQTT server. */
export interface MqttWire extends Wire {
  readonly bytesDropped: () => number;
  readonly close: () => Promise<void>;
}

/**
 * Publishes what a device says, QoS 1, each message on its channel as the topic, and connects again for ever while it is plugged in.
 * What is said without a connection is lost, and counted.
 */
export function openMqttWire(parts: {
  readonly clock: Clock;
  readonly connect: (stop: AbortSignal) => Promise<Result<MqttDeviceConnection, Fault>>;
}): MqttWire {
  let connection: MqttDeviceConnection | null = null;
  let stop: AbortController | null = null;
  let running: Promise<void> = Promise.resolve();
  let bytesDropped = 0;
  const stayConnected = async (until: AbortSignal) => {
    while (!until.aborted) {
      const opened = await parts.connect(until);
      if (opened.ok) {
        connection = opened.value;
        await opened.value.ended;
        connection = null;
      }
      await parts.clock.sleep(RECONNECT_MS, until);
    }
  };
  const unplug = async () => {
    stop?.abort();
    stop = null;
    await connection?.close();
    await running;
  };
  return {
    send: (bytes, channel) => {
      if (connection === null) {
        bytesDropped += bytes.length;
        return;
      }
      void connection.publish({ topic: channel, payload: bytes, retain: false, urgent: false, properties: null });
    },
    plug: () => {
      if (stop !== null) return;
      stop = new AbortController();
      const { signal } = stop;
      running = running.then(() => stayConnected(signal));
    },
    unplug: () => void unplug(),
    onReceive: () => {},
    bytesDropped: () => bytesDropped,
    close: unplug,
  };
}
