import { type ErrorCode, type Fault, fault } from "../core/errors.ts";
import type { LinkSpec } from "../core/ports.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock, Timer } from "../core/time.ts";
import { connectMqtt, type MqttArrival, type MqttConnection } from "../mqtt/connection.ts";
import { messageMarks, OwedThanks } from "./mqtt-message.ts";
import { type Connection, type ConnectionListener, type Dialler, WRITTEN } from "./reopening-link.ts";

type MqttSpec = Extract<LinkSpec, { kind: "mqtt" }>;
type ServerSource = Extract<MqttSpec["source"], { kind: "server" }>;

/** Seven days: how long the server keeps what comes for us while we are away, where nothing else is said. */
const SESSION_EXPIRY_SECONDS = 604_800;
/** Where the server lets us mark no end of its queue: so long without a message counts as one, in ms. */
const QUIET_MS = 1000;

/**
 * A client of an MQTT server that is not ours, with QoS 1 and a session that the server keeps. A message is thanked for when what came of it
 * is on disk. What the server queued while we were away, retained, or sends again is `kept`: its age is not known.
 */
export function mqttDialler(spec: MqttSpec & { readonly source: ServerSource }, clock: Clock): Dialler {
  const { source, topics } = spec;
  const facts = { server: source.access.url, clientId: source.clientId };
  const marker = markerTopic(source.clientId);
  let mayMark = true;
  return {
    facts,
    connect: async (listener, stop) => {
      const arrivals = new Arrivals({ listener, marker, clock });
      const { clientId, sessionExpirySeconds = SESSION_EXPIRY_SECONDS } = source;
      const session = { clientId, sessionExpirySeconds, will: null };
      const parts = { clock, onMessage: arrivals.take, thanksByHand: true, stop };
      const opened = await connectMqtt(source.access, session, parts);
      if (!opened.ok) return fail(linkFault(opened.error, facts));
      const connection = opened.value;
      void connection.ended.then((reason) => listener.lost(linkFault(reason, facts)));
      const subscribed = await connection.subscribe(topics);
      const refused = subscribed.ok ? connection.endedBy() : subscribed.error;
      if (refused !== null) {
        await connection.close();
        return fail(linkFault(refused, facts));
      }
      if (connection.sessionPresent) {
        arrivals.awaitQuiet();
        mayMark = mayMark && (await askForEndOfQueue(connection, arrivals, marker));
      } else {
        arrivals.caughtUp();
      }
      return succeed(connectionOf(connection, arrivals));
    },
  };
}

/** A topic of our own. What was queued for us leaves the server before a message to it that was sent later. */
function markerTopic(clientId: string): string {
  return `vigil/marker/${clientId}`;
}

/**
 * Asks the server for a sign that its queue is empty.
 *
 * @returns  False where it lets us have none; its silence is taken for the sign then. Asking again would be of no use and do harm: mosquitto
 *           2.0.11 ends a connection that publishes where it may not while messages wait for their PUBACK.
 */
async function askForEndOfQueue(connection: MqttConnection, arrivals: Arrivals, marker: string): Promise<boolean> {
  const subscribed = await connection.subscribe([marker]);
  if (!subscribed.ok) return connection.endedBy() !== null;
  const sent = await connection.publish({ topic: marker, payload: "", retain: false, urgent: true, properties: null });
  if (sent.ok) arrivals.awaitMarker();
  return sent.ok || sent.error.kind === "lost";
}

/** What comes over one connection: handed on with what is known of its age, and thanked for when it is said so. */
class Arrivals {
  readonly #listener: ConnectionListener;
  readonly #marker: string;
  readonly #clock: Clock;
  readonly #owed = new OwedThanks();
  /** True until what the server had queued has come. */
  #isCatchingUp = true;
  #quiet: Timer | null = null;

  constructor(parts: { readonly listener: ConnectionListener; readonly marker: string; readonly clock: Clock }) {
    this.#listener = parts.listener;
    this.#marker = parts.marker;
    this.#clock = parts.clock;
  }

  readonly take = (arrival: MqttArrival, thank: () => void): void => {
    if (arrival.topic === this.#marker) {
      thank();
      this.caughtUp();
      return;
    }
    if (this.#quiet !== null) this.awaitQuiet();
    const marks = messageMarks(arrival, this.#isCatchingUp || arrival.redelivered);
    this.#owed.add(this.#listener.bytes(arrival.topic, arrival.payload, marks), thank);
  };

  thank(upToPosition: number): void {
    this.#owed.pay(upToPosition);
  }

  awaitQuiet(): void {
    this.#quiet?.stop();
    this.#quiet = this.#clock.after(QUIET_MS, () => this.caughtUp());
  }

  awaitMarker(): void {
    this.#quiet?.stop();
    this.#quiet = null;
  }

  caughtUp(): void {
    this.#quiet?.stop();
    this.#quiet = null;
    this.#isCatchingUp = false;
  }
}

function connectionOf(connection: MqttConnection, arrivals: Arrivals): Connection {
  return {
    resume: connection.resume,
    pause: connection.pause,
    thank: (upToPosition) => arrivals.thank(upToPosition),
    write: async (channel, bytes) => {
      const payload = Buffer.from(bytes).toString("utf8");
      const sent = await connection.publish({ topic: channel, payload, retain: false, urgent: false, properties: null });
      if (sent.ok) return WRITTEN;
      return sent.error.kind === "lost" ? fail(sent.error.fault) : refusedWrite(channel, sent.error.reasonCode);
    },
    close: async () => {
      arrivals.caughtUp();
      await connection.close();
    },
  };
}

function refusedWrite(topic: string, reasonCode: number): Result<never, Fault> {
  return fail(fault("link-denied", { topic, reasonCode }));
}

/** What the client's faults mean for a device. */
const LINK_CODES: Readonly<Partial<Record<ErrorCode, ErrorCode>>> = {
  "upstream-denied": "link-denied",
  "upstream-certificate": "link-denied",
};

function linkFault(reason: Fault, facts: Fault["facts"]): Fault {
  const cause = reason.facts["reason"] ?? reason.facts["reasonCode"] ?? reason.code;
  return fault(LINK_CODES[reason.code] ?? "link-down", { ...facts, cause });
}
