import type { Fault } from "../../src/core/errors.ts";
import type { Twin } from "../../src/core/ports.ts";
import type { Result } from "../../src/core/result.ts";
import { type DeviceParts, type DeviceStats, runTwin } from "../devices/running-twin.ts";
import type { ReceiverConnection } from "../receiver.ts";
import { badSenderOf } from "./bad-sender.ts";

/** What a device needs of an MQTT connection; it is given one, so that the library keeps its one home. */
export interface MqttDeviceConnection extends Pick<ReceiverConnection, "ended" | "close"> {
  readonly publish: (message: {
    readonly topic: string;
    readonly payload: Uint8Array;
    readonly retain: boolean;
    readonly urgent: boolean;
    readonly properties: null;
  }) => Promise<Result<void, unknown>>;
  /** Ends it without a good-bye. */
  readonly cut: () => void;
}

/** A simulated device that sends by MQTT. */
export interface MqttDevice {
  readonly stats: () => DeviceStats;
  /** Switches it off and ends its connection. */
  readonly close: () => Promise<void>;
}

/** How long it waits before it connects again, in ms. */
const RECONNECT_MS = 1000;

/**
 * Switches on a device that sends what its twin says to one topic, QoS 1, and connects again for ever. It has no memory: what it says while
 * it has no connection is lost, and counted as dropped. Where a bad link drops it, it says no good-bye and connects again when it may.
 */
export function startMqttDevice(
  options: DeviceParts & {
    readonly twin: Twin;
    readonly topic: string;
    /** Opens one connection; called again whenever the last one ended. */
    readonly connect: (stop: AbortSignal) => Promise<Result<MqttDeviceConnection, Fault>>;
  },
): MqttDevice {
  const { clock, topic, connect } = options;
  const stop = new AbortController();
  let connection: MqttDeviceConnection | null = null;
  let bytesDropped = 0;
  const send = (payload: Uint8Array) => {
    if (connection === null) bytesDropped += payload.length;
    else void connection.publish({ topic, payload, retain: false, urgent: false, properties: null });
  };
  const bad = badSenderOf(options, { send, drop: () => connection?.cut(), restore: () => {} });
  const running = runTwin(options.twin, { ...options, send: bad?.send ?? send });
  const stayConnected = async () => {
    while (!stop.signal.aborted) {
      const opened = bad?.isThere() === false ? null : await connect(stop.signal);
      if (opened?.ok === true) {
        connection = opened.value;
        bad?.begin();
        // It was taken away while it was being opened.
        if (bad?.isThere() === false) opened.value.cut();
        await opened.value.ended;
        connection = null;
      }
      await clock.sleep(RECONNECT_MS, stop.signal);
    }
  };
  const connected = stayConnected();
  return {
    stats: () => ({ ...running.stats(), bytesDropped: bytesDropped + (bad?.stats().bytesDropped ?? 0) }),
    close: async () => {
      running.stop();
      bad?.stop();
      stop.abort();
      await connection?.close();
      await connected;
    },
  };
}
