import type { Fault } from "../../src/core/errors.ts";
import type { Result } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";

/** What a device needs of an MQTT connection; it is given one, so that the library keeps its one home. */
export interface MqttDeviceConnection {
  readonly ended: Promise<Fault>;
  readonly close: () => Promise<void>;
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

/** What a simulated device's way to an MQTT server is made of. */
export interface MqttWireParts {
  readonly clock: Clock;
  /** Opens one connection; called again whenever the last one ended. */
  readonly connect: (stop: AbortSignal) => Promise<Result<MqttDeviceConnection, Fault>>;
  /** False: it may have no connection now. It may always where it is left out. */
  readonly mayConnect?: () => boolean;
  readonly onConnected?: () => void;
}

/** The way of a simulated device to an MQTT server. */
export interface MqttWire {
  /** Publishes with QoS 1. What is said without a connection is lost, and counted. */
  readonly send: (payload: Uint8Array, topic: string) => void;
  /** Ends the connection without a good-bye; it connects again when it may. */
  readonly cut: () => void;
  /** Takes it out of reach (false), so that its connection ends and it gets no new one, or back. */
  readonly setInReach: (inReach: boolean) => Promise<void>;
  readonly bytesDropped: () => number;
  readonly close: () => Promise<void>;
}

/** How long it waits before it connects again, in ms. */
const RECONNECT_MS = 1000;

/** Connects, and again for ever until it is closed. */
export function openMqttWire(parts: MqttWireParts): MqttWire {
  const stop = new AbortController();
  let connection: MqttDeviceConnection | null = null;
  let bytesDropped = 0;
  let isInReach = true;
  const mayConnect = () => isInReach && parts.mayConnect?.() !== false;
  const stayConnected = async () => {
    while (!stop.signal.aborted) {
      const opened = mayConnect() ? await parts.connect(stop.signal) : null;
      if (opened?.ok === true) {
        connection = opened.value;
        parts.onConnected?.();
        // It may have been taken away while it connected.
        if (!isInReach) await opened.value.close();
        else if (!mayConnect()) opened.value.cut();
        await opened.value.ended;
        connection = null;
      }
      await parts.clock.sleep(RECONNECT_MS, stop.signal);
    }
  };
  const connected = stayConnected();
  return {
    send: (payload, topic) => {
      if (connection === null) bytesDropped += payload.length;
      else void connection.publish({ topic, payload, retain: false, urgent: false, properties: null });
    },
    cut: () => connection?.cut(),
    setInReach: async (inReach) => {
      isInReach = inReach;
      if (!inReach) await connection?.close();
    },
    bytesDropped: () => bytesDropped,
    close: async () => {
      stop.abort();
      await connection?.close();
      await connected;
    },
  };
}
