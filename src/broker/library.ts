import { Aedes, type Client } from "aedes";
import { LIMITS } from "../core/limits.ts";
import type { Connection } from "./connection.ts";
import type { Persistence, StoredPacket } from "./session-store.ts";

/** What a client says when it comes. */
export interface ConnectRequest {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
  readonly will: StoredPacket | null;
}

/** What the library is told to do with a client that came: let it in, or answer with this code. MQTT 3.1.1, table 3.1. */
export type ConnectAnswer = { readonly kind: "in" } | { readonly kind: "out"; readonly returnCode: 2 | 3 | 4 | 5 };

/** A message that the library has done its part for. */
export interface RoutedMessage {
  readonly qos: 1 | 2;
  readonly messageId: number;
  /** Null where only its identifier is known. */
  readonly payload: Buffer | null;
}

/** What the library asks and tells. */
export interface LibraryOwner {
  readonly onConnect: (from: Connection, request: ConnectRequest) => Promise<ConnectAnswer>;
  /** It speaks another version of the protocol than 3.1.1, and is turned away. */
  readonly onOtherVersion: (from: Connection) => void;
  /** A client's connection ended without a goodbye; false: its last will is not published. */
  readonly onWill: (from: Connection, will: StoredPacket) => boolean;
  readonly maySubscribe: (from: Connection, filter: string) => boolean;
  readonly onUnsubscribed: (from: Connection, filters: readonly string[]) => void;
  readonly mayReceive: (from: Connection, topic: string) => boolean;
  /** A message of this client has been handed to all subscribers and kept in memory for those that are away. */
  readonly onRouted: (from: Connection, message: RoutedMessage) => void;
  /** The library found bytes it cannot read, and ended the connection. */
  readonly onBreach: (from: Connection) => void;
  /** The library cannot go on with something of its own. */
  readonly onFailure: () => void;
}

/** The library that speaks MQTT with clients and hands messages from one to the others. */
export interface Library {
  readonly persistence: Persistence;
  readonly take: (connection: Connection) => void;
  readonly publish: (packet: StoredPacket) => void;
  readonly close: () => Promise<void>;
}

/** What a client's CONNECT holds, until it is asked whether it may come in. */
type Packets = WeakMap<Client, { readonly connection: Connection; will: StoredPacket | null }>;

/** Starts the library; it opens no port by itself. */
export async function startLibrary(owner: LibraryOwner): Promise<Library> {
  const clients: Packets = new WeakMap();
  const aedes = new Aedes({
    // Nobody waits for another's message; each client is bounded by itself.
    concurrency: 0,
    connectTimeout: LIMITS.brokerSignInMsMax.value,
    maxClientsIdLength: LIMITS.brokerTopicBytesMax.value,
    maxTopicLevels: LIMITS.brokerTopicLevelsMax.value,
    maxInflightInbound: LIMITS.brokerQos2InFlightMax.value,
  });
  judgeConnects(aedes, clients, owner);
  judgeTopics(aedes, clients, owner);
  const tellBreach = (client: Client, error: Error) => {
    const known = clients.get(client);
    if (known !== undefined && !("errorCode" in error)) owner.onBreach(known.connection);
  };
  aedes.on("clientError", tellBreach);
  aedes.on("connectionError", tellBreach);
  aedes.on("unsubscribe", (filters, client) => {
    const known = clients.get(client);
    if (known !== undefined) owner.onUnsubscribed(known.connection, filters);
  });
  // The library's own event for what its memory fails at; its types do not name it.
  (aedes as unknown as { on(event: "error", listener: () => void): unknown }).on("error", () => owner.onFailure());
  await aedes.listen();
  return {
    persistence: (aedes as unknown as { readonly persistence: Persistence }).persistence,
    take: (connection) => void clients.set(aedes.handle(connection.stream), { connection, will: null }),
    publish: ({ topic, payload, qos, retain }) =>
      aedes.publish({ cmd: "publish", topic, payload, qos, retain, dup: false }, () => {}),
    close: () => new Promise((resolve) => aedes.close(() => resolve())),
  };
}

function judgeConnects(aedes: Aedes, clients: Packets, owner: LibraryOwner): void {
  aedes.preConnect = (client, packet, done) => {
    const known = clients.get(client);
    if (known === undefined) return done(null, false);
    if (packet.protocolVersion === 5) owner.onOtherVersion(known.connection);
    known.connection.keepAlive(packet.keepalive ?? 0);
    // The connection itself watches over it: what we do not read is not the client's silence.
    packet.keepalive = 0;
    known.will = packet.will === undefined ? null : (packet.will as unknown as StoredPacket);
    done(null, true);
  };
  aedes.authenticate = (client, username, password, done) => {
    const known = clients.get(client);
    if (known === undefined) return done(null, false);
    const request = { clientId: client.id, username, password, will: known.will };
    const answer = (returnCode: number | null) =>
      returnCode === null ? done(null, true) : done(Object.assign(new Error("refused"), { returnCode }), false);
    void owner.onConnect(known.connection, request).then(
      (decided) => answer(decided.kind === "in" ? null : decided.returnCode),
      // What fails inside of us is no reason to let anybody in.
      () => answer(SERVER_UNAVAILABLE),
    );
  };
}

function judgeTopics(aedes: Aedes, clients: Packets, owner: LibraryOwner): void {
  aedes.authorizePublish = (client, packet, done) => {
    const known = client === null ? undefined : clients.get(client);
    // Messages were judged on their way in; a last will is judged when its time has come.
    if (known === undefined) done(new Error("nobody's"));
    else if (packet !== (known.will as unknown)) done(null);
    else done(owner.onWill(known.connection, known.will as StoredPacket) ? null : new Error("refused"));
  };
  aedes.authorizeSubscribe = (client, subscription, done) => {
    const known = clients.get(client);
    done(null, known !== undefined && owner.maySubscribe(known.connection, subscription.topic) ? subscription : null);
  };
  aedes.authorizeForward = (client, packet) => {
    const known = clients.get(client);
    return known !== undefined && owner.mayReceive(known.connection, packet.topic) ? packet : null;
  };
  aedes.published = (packet, client, done) => {
    done(null);
    const known = client === null ? undefined : clients.get(client);
    const { qos, messageId } = packet;
    const payload = Buffer.isBuffer(packet.payload) ? packet.payload : null;
    if (known !== undefined && qos === 1 && messageId !== undefined)
      owner.onRouted(known.connection, { qos, messageId, payload });
  };
}

const SERVER_UNAVAILABLE = 3;
