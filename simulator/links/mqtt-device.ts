import type { Fault } from "../../src/core/errors.ts";
import type { Twin } from "../../src/core/ports.ts";
import type { Result } from "../../src/core/result.ts";
import { type DeviceParts, type DeviceStats, runTwin } from "../devices/running-twin.ts";
import type { ReceiverConnection } from "../receiver.ts";

/** What a device needs of an MQTT connection; it is given one, so that the library keeps its one home. */
export type MqttDeviceConnection = Pick<ReceiverConnection, "publish" | "ended" | "close">;

/** A simulated device that sends by MQTT. */
export interface MqttDevice {
  readonly stats: () => DeviceStats;
  /** Takes it out of reach (false), so that its connection ends and it gets no new one, or back. */
  readonly setInReach: (inReach: boolean) => Promise<void>;
  /** Switches it off and ends its connection. */
  readonly close: () => Promise<void>;
}

/** How long it waits before it connects again, in ms. */
const RECONNECT_MS = 1000;

/**
 * Switches on a device that sends what its twin says to one topic, QoS 1, and connects again for ever. It has no memory: what it says while
 * it has no connection is lost, and counted as dropped.
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
  let isInReach = true;
  const running = runTwin(options.twin, {
    ...options,
    send: (bytes) => {
      if (connection === null) {
        bytesDropped += bytes.length;
        return;
      }
      const payload = Buffer.from(bytes).toString("utf8");
      void connection.publish({ topic, payload, retain: false, urgent: false, properties: null });
    },
  });
  const stayConnected = async () => {
    while (!stop.signal.aborted) {
      const opened = isInReach ? await connect(stop.signal) : null;
      if (opened?.ok === true) {
        // It may have been taken away while it connected.
        if (isInReach) connection = opened.value;
        else await opened.value.close();
        await opened.value.ended;
        connection = null;
      }
      await clock.sleep(RECONNECT_MS, stop.signal);
    }
  };
  const connected = stayConnected();
  return {
    stats: () => ({ ...running.stats(), bytesDropped }),
    setInReach: async (inReach) => {
      isInReach = inReach;
      if (!inReach) await connection?.close();
    },
    close: async () => {
      running.stop();
      stop.abort();
      await connection?.close();
      await connected;
    },
  };
}
