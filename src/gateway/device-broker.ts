import type { Config } from "../../config/schema.ts";
import { type Broker, type BrokerOptions, type BrokerParts, startBroker } from "../broker/broker.ts";
import type { Fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { BrokerInlet, BrokerListener, UnheardMessage } from "../core/ports.ts";
import type { Clock, Timer } from "../core/time.ts";
import { type RetriedStart, startWithRetries } from "./retried-start.ts";

/** The embedded broker, from the configuration to its end: it may fail to start, and is then tried again while everything else runs. */
export interface DeviceBroker {
  /** Links may listen from the beginning; they are down until the broker runs. */
  readonly inlet: BrokerInlet;
  /** Starts it and lets clients in. Called once, when every link listens. */
  readonly open: () => void;
  /** Null while it does not run. */
  readonly running: () => Broker | null;
  readonly close: () => Promise<void>;
}

/** What it needs of the gateway around it. */
export interface DeviceBrokerParts {
  readonly clock: Clock;
  readonly random: BrokerParts["random"];
  /** The filters of all links through the own broker. */
  readonly topics: readonly string[];
  /** Raises a fault in a slot of its own, or ends it. */
  readonly setFault: (slot: string, reason: Fault | null) => void;
  /** Told of each message that nobody listens to. */
  readonly onUnheard: (message: UnheardMessage) => void;
  /** Whether a topic is one of an adopted device. */
  readonly isReserved: (topic: string) => boolean;
}

/** The broker tells what goes on once a minute; what it has not told for so long is over. */
const PASSING_MS = 150_000;

/** Makes the broker of a configuration, or null where it has none. Nothing is opened yet. */
export function createDeviceBroker(config: Config, parts: DeviceBrokerParts): DeviceBroker | null {
  return config.broker === undefined ? null : new ConfiguredBroker(optionsOf(config, config.broker, parts.topics), parts);
}

function optionsOf(config: Config, given: NonNullable<Config["broker"]>, reservedTopics: readonly string[]): BrokerOptions {
  const { host, port, tls, connectionsMax, messageBytesMax, messagesPerSecondMax } = given;
  return {
    dataFolder: config.gateway.dataFolder,
    plain: port === null ? null : { host, port },
    tls: tls === undefined ? null : { ...tls, clientCaFile: tls.clientCaFile ?? null },
    connectionsMax,
    messageBytesMax,
    messagesPerSecondMax,
    reservedTopics,
  };
}

/** One link that listens, whether the broker runs or not. */
interface Listening {
  readonly wanted: Parameters<BrokerInlet["listen"]>[0];
  readonly listener: BrokerListener;
  stop: () => void;
}

class ConfiguredBroker implements DeviceBroker {
  readonly inlet: BrokerInlet;
  readonly #options: BrokerOptions;
  readonly #parts: DeviceBrokerParts;
  readonly #listening = new Set<Listening>();
  readonly #passing = new Map<string, Timer>();
  #start: RetriedStart<Broker> | null = null;
  #isClosing = false;

  constructor(options: BrokerOptions, parts: DeviceBrokerParts) {
    this.#options = options;
    this.#parts = parts;
    this.inlet = { listen: (wanted, listener) => this.#listen(wanted, listener) };
  }

  readonly running = (): Broker | null => this.#start?.running() ?? null;

  readonly open = (): void => {
    const { clock, random, setFault, onUnheard, isReserved } = this.#parts;
    this.#start = startWithRetries({
      clock,
      start: () => startBroker(this.#options, { clock, random, onUnheard, isReserved, report: (reason) => this.#pass(reason) }),
      tell: (reason) => setFault("broker", reason),
      onRunning: (broker) => {
        for (const one of this.#listening) one.stop = broker.inlet.listen(one.wanted, one.listener);
        broker.admit();
      },
    });
  };

  readonly close = async (): Promise<void> => {
    this.#isClosing = true;
    await this.#start?.close();
    for (const timer of this.#passing.values()) timer.stop();
  };

  #listen(wanted: Listening["wanted"], owner: BrokerListener): () => void {
    // The broker ends before its links, which would leave messages to nobody; that it ends with the gateway is no trouble of a device.
    const listener: BrokerListener = { ...owner, down: (cause) => (this.#isClosing ? undefined : owner.down(cause)) };
    const listening: Listening = { wanted, listener, stop: () => {} };
    this.#listening.add(listening);
    const broker = this.running();
    if (broker === null) listener.down("broker-not-running");
    else listening.stop = broker.inlet.listen(wanted, listener);
    return () => {
      this.#listening.delete(listening);
      listening.stop();
    };
  }

  /** Raises what the broker tells, and ends it when it is not told any more. */
  #pass(reason: Fault): void {
    const slot = `broker:${reason.code}:${reason.facts["reason"] ?? ""}:${reason.facts["account"] ?? ""}`;
    const before = this.#passing.get(slot);
    if (before === undefined && this.#passing.size >= LIMITS.brokerFaultsMax.value) return;
    before?.stop();
    this.#parts.setFault(slot, reason);
    const over = () => {
      this.#passing.delete(slot);
      this.#parts.setFault(slot, null);
    };
    this.#passing.set(slot, this.#parts.clock.after(PASSING_MS, over));
  }
}
