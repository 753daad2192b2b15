import { LIMITS } from "../core/limits.ts";
import type { BrokerArrival, UnheardMessage } from "../core/ports.ts";
import type { Clock, WallMs } from "../core/time.ts";
import { TokenBucket } from "../core/token-bucket.ts";
import { topicMatches } from "../core/topic-filter.ts";
import type { Admission } from "./admission.ts";
import type { BrokerAccount, BrokerAccounts } from "./broker-accounts.ts";
import type { BrokerDoor, DoorOwner, Visitor } from "./broker-door.ts";
import { Connection, type ConnectionOwner, type EndCause, type PublishVerdict } from "./connection.ts";
import type { HeldThank } from "./held-thanks.ts";
import type { ConnectAnswer, ConnectRequest, Library, LibraryOwner, RoutedMessage } from "./library.ts";
import type { PublishPacket } from "./publish-packet.ts";
import type { RefusalLedger, RefusalReason } from "./refusals.ts";
import type { SessionStore, SessionStoreOwner, StoredPacket } from "./session-store.ts";
import type { Switchboard } from "./switchboard.ts";
import { type GrantedTopics, grantTopics, isTopic } from "./topic-rights.ts";

/** Messages since the start. */
export interface TrafficCounts {
  /** From clients that are in, refused ones included. */
  readonly receivedCount: number;
  readonly deliveredCount: number;
  /** With QoS 0, told to the gateway's links but not to other clients, because the broker had too much to do for their sender. */
  readonly leftOutCount: number;
  readonly connectionsCount: number;
}

/** What the room is made of, before it is furnished. */
export interface ClientRoomParts {
  readonly accounts: BrokerAccounts;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly ledger: RefusalLedger;
  readonly connectionsMax: number;
  readonly messageBytesMax: number;
  readonly messagesPerSecondMax: number;
  readonly reservedTopics: readonly string[];
  /** Told of each message that nobody listens to; the payload is good for this call only. */
  readonly onUnheard: (message: UnheardMessage) => void;
  /** Whether a topic belongs to a device that came into use since. */
  readonly isReserved: (topic: string) => boolean;
}

/** What the room works with; each of them asks the room in turn. */
export interface Furniture {
  readonly library: Library;
  readonly store: SessionStore;
  readonly switchboard: Switchboard;
}

/** One client that was let in. */
interface Session {
  readonly connection: Connection;
  readonly clientId: string;
  readonly account: BrokerAccount;
  readonly topics: GrantedTopics;
  /** Filters it is subscribed to. */
  readonly filters: Set<string>;
}

const TAKEN: PublishVerdict = { kind: "taken" };

/** The clients of the broker: who is in, and what each of them may do. */
export class ClientRoom {
  readonly #parts: ClientRoomParts;
  #furniture: Furniture | null = null;
  #doors: readonly BrokerDoor[] = [];
  readonly #connections = new Set<Connection>();
  readonly #sessions = new Map<Connection, Session>();
  /** Sessions that are in or about to be, and those whose end the library still works at. */
  readonly #byClientId = new Map<string, Session>();
  readonly #presences = new Map<string, Presence>();
  readonly #addresses = new Map<string, TokenBucket>();
  #signedInCount = 0;
  #traffic = { receivedCount: 0, deliveredCount: 0, leftOutCount: 0, connectionsCount: 0 };

  constructor(parts: ClientRoomParts) {
    this.#parts = parts;
  }

  /** Brings in what it works with, before any door is open. */
  furnish(furniture: Furniture): void {
    this.#furniture = furniture;
  }

  openDoors(doors: readonly BrokerDoor[]): void {
    this.#doors = doors;
  }

  // ---------------------------------------------------------------------------------- what others ask

  doorOwner(): DoorOwner {
    return { mayEnter: (address) => this.#mayEnter(address), onVisitor: (visitor) => this.#welcome(visitor) };
  }

  libraryOwner(): Omit<LibraryOwner, "onFailure"> {
    return {
      onConnect: (from, request) => this.#signIn(from, request),
      onOtherVersion: (from) => this.#refuse(from, "protocol-version", null),
      onWill: (from, will) => this.#takeWill(from, will),
      maySubscribe: (from, filter) => this.#maySubscribe(from, filter),
      onUnsubscribed: (from, filters) => {
        for (const filter of filters) this.#sessions.get(from)?.filters.delete(filter);
      },
      mayReceive: (from, topic) => this.#sessions.get(from)?.topics.mayReceive(topic) ?? false,
      onRouted: (from, message) => this.#routed(from, message),
      onBreach: (from) => {
        if (from.cause === "refused") this.#refuse(from, "malformed", null);
      },
    };
  }

  storeOwner(): SessionStoreOwner {
    return {
      isGranted: ({ id }, filter) => this.#byClientId.get(id)?.filters.has(filter) ?? false,
      onRefused: (reason, { clientId, topic }) => {
        const account = clientId === null ? null : (this.#parts.accounts.findByClientId(clientId)?.name ?? null);
        this.#parts.ledger.add({ reason, account, address: null, topic });
      },
    };
  }

  // --------------------------------------------------------------------------------- what is shown

  /** Why the account has no connection, or null where it has one. */
  downCause(account: string): string | null {
    const presence = this.#presences.get(account);
    return presence !== undefined && presence.connections.size > 0 ? null : (presence?.downCause ?? "not-connected");
  }

  presenceOf(account: string): {
    readonly isConnected: boolean;
    readonly addresses: readonly string[];
    readonly heardAtMs: WallMs | null;
    readonly heldCount: number;
  } {
    const presence = this.#presences.get(account);
    const connections = [...(presence?.connections ?? [])];
    const heard = connections.map(({ heardAtMs }) => heardAtMs);
    return {
      isConnected: connections.length > 0,
      addresses: connections.map(({ address }) => address),
      heardAtMs: heard.reduce(
        (latest: WallMs | null, one) => (latest === null || one > latest ? one : latest),
        presence?.heardAtMs ?? null,
      ),
      heldCount: connections.reduce((sum, { held }) => sum + held.count, 0),
    };
  }

  view(): {
    readonly connectionsCount: number;
    readonly signedInCount: number;
    readonly heldCount: number;
    readonly traffic: TrafficCounts;
  } {
    let { receivedCount, deliveredCount, leftOutCount } = this.#traffic;
    let heldCount = 0;
    for (const { messagesCount, deliveredCount: delivered, leftOutCount: leftOut, held } of this.#connections) {
      receivedCount += messagesCount;
      deliveredCount += delivered;
      leftOutCount += leftOut;
      heldCount += held.count;
    }
    const traffic = { receivedCount, deliveredCount, leftOutCount, connectionsCount: this.#traffic.connectionsCount };
    return { connectionsCount: this.#connections.size, signedInCount: this.#signedInCount, heldCount, traffic };
  }

  // ------------------------------------------------------------------------------------- who goes out

  /** Ends an account's connections. */
  endAccount(name: string, cause: EndCause): void {
    for (const session of this.#sessions.values()) if (session.account.name === name) session.connection.end(cause);
  }

  /** Ends the connections of accounts whose time is over. */
  endExpired(): void {
    const nowMs = this.#parts.clock.wall();
    for (const { account, connection } of this.#sessions.values()) {
      if (account.expiresAtMs === null || account.expiresAtMs > nowMs || connection.hasEnded) continue;
      this.#refuse(connection, "account-expired", null);
      connection.end("account-expired");
    }
  }

  close(): void {
    for (const connection of this.#connections) connection.end("broker-stopped");
  }

  /** Publishes the last wills of clients that were in when the gateway died and have not come back. */
  publishOrphanWills(): void {
    const furniture = this.#furniture;
    for (const { clientId, will } of furniture?.store.takeOrphanWills() ?? []) {
      const account = this.#parts.accounts.findByClientId(clientId);
      if (account === null || furniture === null) continue;
      const topics = grantTopics(account.rights, { clientId, accountName: account.name });
      if (!isPublishable(will.topic) || !topics.mayPublish(will.topic)) continue;
      furniture.switchboard.tell(arrivalOf(will), null, () => {});
      furniture.library.publish(will);
    }
  }

  // -------------------------------------------------------------------------------------- who comes in

  #mayEnter(address: string): boolean {
    const { clock, connectionsMax, ledger } = this.#parts;
    const nowMs = clock.monotonic();
    const refuse = (reason: RefusalReason) => {
      ledger.add({ reason, account: null, address, topic: null });
      return false;
    };
    const socketsCount = this.#doors.reduce((sum, door) => sum + door.socketsCount(), 0);
    const bucket = this.#bucketOf(address);
    if (bucket.waitMs(nowMs) > 0) return refuse("too-many-connects");
    if (socketsCount >= connectionsMax) return refuse("too-many-connections");
    if (socketsCount - this.#signedInCount >= LIMITS.brokerUnknownConnectionsMax.value) return refuse("too-many-connections");
    bucket.take(1, nowMs);
    return true;
  }

  #bucketOf(address: string): TokenBucket {
    const perMinute = LIMITS.brokerConnectsPerMinuteMax.value;
    const known = this.#addresses.get(address);
    const bucket = known ?? new TokenBucket({ perSecond: perMinute / 60, atOnce: perMinute }, this.#parts.clock.monotonic());
    // Put at the end anew, so that the one at the beginning is the one that was quiet for longest.
    this.#addresses.delete(address);
    this.#addresses.set(address, bucket);
    if (this.#addresses.size > LIMITS.brokerAddressesKnownMax.value) {
      const quietest = this.#addresses.keys().next();
      if (quietest.done !== true) this.#addresses.delete(quietest.value);
    }
    return bucket;
  }

  #welcome(visitor: Visitor): void {
    const furniture = this.#furniture;
    if (furniture === null || visitor.socket.destroyed) return;
    const { clock, messageBytesMax, messagesPerSecondMax } = this.#parts;
    const owner = this.#connectionOwner();
    const connection = new Connection({ ...visitor, owner, clock, messageBytesMax, messagesPerSecondMax });
    this.#connections.add(connection);
    this.#traffic.connectionsCount += 1;
    furniture.library.take(connection);
  }

  #connectionOwner(): ConnectionOwner {
    return {
      onPublish: (from, packet, thank) => this.#takeMessage(from, packet, thank),
      onRouted: (from, message) => this.#routed(from, { ...message, payload: null }),
      onRefused: (from, reason, topic) => this.#refuse(from, reason, topic),
      onIn: (connection) => this.#isIn(connection),
      onEnd: (connection) => this.#ended(connection),
      onSlow: (connection) => this.#endSlow(connection),
    };
  }

  async #signIn(connection: Connection, request: ConnectRequest): Promise<ConnectAnswer> {
    const { address, certificateName, isCertificateForeign, isCertificateNeeded } = connection;
    const applicant = { ...request, address, certificateName, isCertificateForeign, isCertificateNeeded };
    const decided = await this.#parts.admission.decide(applicant);
    if (!decided.ok) {
      const { reason, account, returnCode } = decided.error;
      this.#parts.ledger.add({ reason, account, address, topic: null });
      return { kind: "out", returnCode };
    }
    const account = decided.value;
    const { clientId } = request;
    await this.#takeOver(clientId);
    const topics = grantTopics(account.rights, { clientId, accountName: account.name });
    const session: Session = { connection, clientId, account, topics, filters: new Set() };
    if (connection.hasEnded) return { kind: "out", returnCode: 3 };
    this.#sessions.set(connection, session);
    this.#byClientId.set(clientId, session);
    const topic = request.will?.topic;
    if (topic !== undefined && !(isPublishable(topic) && topics.mayPublish(topic)))
      this.#refuse(connection, "will-not-allowed", topic);
    return { kind: "in" };
  }

  /** The client that was in under this id goes, and the library is done with it before the new one comes. MQTT 3.1.1, 3.1.4-2. */
  async #takeOver(clientId: string): Promise<void> {
    for (let former = this.#byClientId.get(clientId); former !== undefined; former = this.#byClientId.get(clientId)) {
      const { connection } = former;
      connection.end("taken-over");
      await new Promise<void>((resolve) => connection.whenLeft(resolve));
    }
  }

  #isIn(connection: Connection): void {
    const session = this.#sessions.get(connection);
    if (session === undefined) return;
    this.#signedInCount += 1;
    this.#addresses.get(connection.address)?.giveBack(1);
    const { name } = session.account;
    const presence = this.#presences.get(name) ?? {
      connections: new Set<Connection>(),
      downCause: "not-connected",
      heardAtMs: null,
    };
    this.#presences.set(name, presence);
    presence.connections.add(connection);
    if (presence.connections.size === 1) this.#furniture?.switchboard.up(name);
  }

  #ended(connection: Connection): void {
    const session = this.#sessions.get(connection);
    // Its last will still comes, and needs the session's rights.
    connection.whenLeft(() => {
      this.#connections.delete(connection);
      this.#traffic.receivedCount += connection.messagesCount;
      this.#traffic.deliveredCount += connection.deliveredCount;
      this.#traffic.leftOutCount += connection.leftOutCount;
      this.#sessions.delete(connection);
      if (session === undefined) return;
      if (this.#byClientId.get(session.clientId) === session) this.#byClientId.delete(session.clientId);
      this.#isOut(session);
    });
  }

  #isOut({ connection, account: { name } }: Session): void {
    const presence = this.#presences.get(name);
    if (presence?.connections.delete(connection) !== true) return;
    this.#signedInCount -= 1;
    presence.heardAtMs = connection.heardAtMs;
    if (presence.connections.size > 0) return;
    presence.downCause = connection.cause ?? "closed-by-peer";
    this.#furniture?.switchboard.down(name, presence.downCause);
    if (this.#parts.accounts.find(name) === null) this.#presences.delete(name);
  }

  // ------------------------------------------------------------------------------------ what they do

  #takeMessage(from: Connection, packet: PublishPacket, thank: HeldThank | null): PublishVerdict {
    const session = this.#sessions.get(from);
    const { topic, payload, dup, messageId } = packet;
    if (session === undefined || !isPublishable(topic) || !session.topics.mayPublish(topic)) {
      return { kind: "refused", reason: "topic-not-allowed" };
    }
    const arrival = { topic, payload, retained: false, again: dup, messageId };
    const told = this.#furniture?.switchboard.tell(arrival, thank, () => from.held.release());
    if (told === "refused") return { kind: "not-now", reason: "queue-full" };
    if (told === "taken") return TAKEN;
    const { reservedTopics, isReserved } = this.#parts;
    if (!reservedTopics.some((filter) => topicMatches(filter, topic)) && !isReserved(topic)) {
      this.#parts.onUnheard({ account: session.account.name, topic, payload });
      return TAKEN;
    }
    return { kind: messageId === null ? "refused" : "not-now", reason: "not-listening" };
  }

  #takeWill(from: Connection, will: StoredPacket): boolean {
    const session = this.#sessions.get(from);
    if (session === undefined || !isPublishable(will.topic) || !session.topics.mayPublish(will.topic)) return false;
    this.#furniture?.switchboard.tell(arrivalOf(will), null, () => {});
    return true;
  }

  /** The library has done its part; what was kept of the message must be on disk before the sender is thanked. */
  #routed(from: Connection, message: RoutedMessage): void {
    const keeping = this.#furniture?.store.kept(message.payload) ?? null;
    if (keeping === null) from.held.kept(message);
    else void keeping.then(() => from.held.kept(message));
  }

  #maySubscribe(from: Connection, filter: string): boolean {
    const session = this.#sessions.get(from);
    if (session === undefined) return false;
    if (!fitsBounds(filter) || !session.topics.maySubscribe(filter)) {
      from.refuse("filter-not-allowed", filter);
      return false;
    }
    if (!session.filters.has(filter) && session.filters.size >= LIMITS.brokerSubscriptionsPerClientMax.value) {
      from.refuse("too-many-subscriptions", filter);
      return false;
    }
    session.filters.add(filter);
    return true;
  }

  #refuse(from: Connection, reason: RefusalReason, topic: string | null): void {
    const account = this.#sessions.get(from)?.account.name ?? null;
    this.#parts.ledger.add({ reason, account, address: from.address, topic });
  }

  /** Ends a client that does not read, and where all together have too much waiting, the one with most. */
  #endSlow(connection: Connection): void {
    if (connection.waitingBytes > LIMITS.brokerSubscriberBytesMax.value) {
      this.#endReader(connection);
      return;
    }
    let [sum, slowest] = [0, connection];
    for (const one of this.#connections) {
      sum += one.waitingBytes;
      if (one.waitingBytes > slowest.waitingBytes) slowest = one;
    }
    if (sum > LIMITS.brokerSubscribersBytesMax.value) this.#endReader(slowest);
  }

  #endReader(connection: Connection): void {
    this.#refuse(connection, "reads-too-slowly", null);
    connection.end("reads-too-slowly");
  }
}

/** The connections of one account. */
interface Presence {
  readonly connections: Set<Connection>;
  downCause: string;
  heardAtMs: WallMs | null;
}

function arrivalOf({ topic, payload }: StoredPacket): BrokerArrival {
  return { topic, payload, retained: false, again: false, messageId: null };
}

/** The library speaks to itself on $SYS: nobody may speak there, whatever a right says. */
function isPublishable(topic: string): boolean {
  return isTopic(topic) && !topic.startsWith("$SYS/") && !topic.startsWith("$share/") && fitsBounds(topic);
}

function fitsBounds(topic: string): boolean {
  return (
    Buffer.byteLength(topic) <= LIMITS.brokerTopicBytesMax.value && topic.split("/").length <= LIMITS.brokerTopicLevelsMax.value
  );
}
