import type { Readable } from "node:stream";
import { LIMITS } from "../core/limits.ts";
import type { DurableMap } from "./durable-map.ts";
import type { RefusalReason } from "./refusals.ts";

/** A message as the broker's library keeps it. */
export interface StoredPacket {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly brokerId?: string;
  readonly brokerCounter?: number;
  readonly messageId?: number | undefined;
  readonly clientId?: string;
}

/** One subscription as the library keeps it. */
export interface StoredSubscription {
  readonly clientId: string;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

interface ClientName {
  readonly id: string;
}

/** What the library keeps in memory, as far as we look at it: retained messages, subscriptions and queues of clients that keep a session, last wills. */
export interface Persistence {
  storeRetained: (packet: StoredPacket) => Promise<void>;
  readonly createRetainedStreamCombi: (filters: readonly string[]) => Readable;
  addSubscriptions: (client: ClientName, subscriptions: readonly Omit<StoredSubscription, "clientId">[]) => Promise<void>;
  removeSubscriptions: (client: ClientName, topics: readonly string[]) => Promise<void>;
  readonly subscriptionsByClient: (client: ClientName) => Promise<readonly { readonly topic: string }[]>;
  cleanSubscriptions: (client: ClientName) => Promise<void>;
  readonly outgoingEnqueue: (subscription: { readonly clientId: string }, packet: StoredPacket) => Promise<void>;
  outgoingEnqueueCombi: (subscriptions: readonly StoredSubscription[], packet: StoredPacket) => Promise<void>;
  outgoingUpdate: (client: ClientName, packet: StoredPacket) => Promise<void>;
  outgoingClearMessageId: (client: ClientName, packet: { readonly messageId?: number }) => Promise<StoredPacket | undefined>;
  readonly outgoingStream: (client: ClientName) => Readable;
  incomingStorePacket: (client: ClientName, packet: { readonly messageId: number }) => Promise<void>;
  incomingDelPacket: (client: ClientName, packet: { readonly messageId: number }) => Promise<void>;
  cleanIncoming: (client: ClientName) => Promise<void>;
  putWill: (client: ClientName, will: StoredPacket) => Promise<void>;
  delWill: (client: ClientName) => Promise<StoredPacket | undefined>;
}

/** What the store asks and tells. */
export interface SessionStoreOwner {
  /** Whether this client has been granted the filter: the library hands over refused ones too. */
  readonly isGranted: (client: ClientName, filter: string) => boolean;
  readonly onRefused: (reason: RefusalReason, of: { readonly clientId: string | null; readonly topic: string }) => void;
}

/** How much is kept. */
export interface SessionStoreView {
  readonly retainedCount: number;
  readonly retainedBytes: number;
  readonly queuedCount: number;
  readonly queuedBytes: number;
}

interface Queue {
  count: number;
  bytes: number;
}

/** Bounds what the broker's library keeps for its clients, and keeps it on disk as well, so that it survives a crash. */
export class SessionStore {
  readonly #map: DurableMap;
  readonly #persistence: Persistence;
  readonly #owner: SessionStoreOwner;
  readonly #retained = new Map<string, number>();
  #retainedBytes = 0;
  readonly #queues = new Map<string, Queue>();
  #queuedBytes = 0;
  /** The same message may be queued for one client once for each subscription that matches. */
  readonly #copies = new Map<string, number>();
  /** Under which key the message with an identifier is kept; the library asks by identifier. */
  readonly #keys = new Map<string, { readonly key: string; readonly bytes: number }>();
  /** Up to which change of the map a message was kept, by its payload: the library copies all else of it. */
  readonly #changedBy = new WeakMap<Buffer, number>();
  /** Last wills of clients that were connected when the process before this one died. */
  readonly #orphans = new Map<string, StoredPacket>();

  private constructor(map: DurableMap, persistence: Persistence, owner: SessionStoreOwner) {
    this.#map = map;
    this.#persistence = persistence;
    this.#owner = owner;
  }

  /** Gives the library what was kept, and stands between it and its memory from now on. */
  static async attach(map: DurableMap, persistence: Persistence, owner: SessionStoreOwner): Promise<SessionStore> {
    const store = new SessionStore(map, persistence, owner);
    for (const [key, value] of [...map.entries()]) await store.#restore(key, value);
    store.#guardRetained();
    store.#guardSubscriptions();
    store.#guardQueues();
    store.#guardHandshakes();
    store.#guardWills();
    return store;
  }

  /** Resolves when everything up to now is on disk. */
  settled(): Promise<void> {
    return this.#map.settled();
  }

  /**
   * Resolves when what was kept of a message is on disk; null where nothing was, or it is already.
   *
   * @param payload  The message's own, as the library hands it on; null: whatever was kept up to now.
   */
  kept(payload: Buffer | null): Promise<void> | null {
    const upTo = payload === null ? this.#map.changesCount : (this.#changedBy.get(payload) ?? 0);
    return this.#map.isSettled(upTo) ? null : this.#map.settled(upTo);
  }

  view(): SessionStoreView {
    let queuedCount = 0;
    for (const { count } of this.#queues.values()) queuedCount += count;
    return {
      retainedCount: this.#retained.size,
      retainedBytes: this.#retainedBytes,
      queuedCount,
      queuedBytes: this.#queuedBytes,
    };
  }

  /** What is retained under these filters. */
  retained(filters: readonly string[]): AsyncIterable<StoredPacket> {
    return this.#persistence.createRetainedStreamCombi(filters);
  }

  /** Hands out the last wills that are still nobody's, once. */
  takeOrphanWills(): readonly { readonly clientId: string; readonly will: StoredPacket }[] {
    const wills = [...this.#orphans].map(([clientId, will]) => ({ clientId, will }));
    for (const { clientId } of wills) this.#forgetWill(clientId);
    return wills;
  }

  /** Clients of which something is kept. */
  clientIds(): readonly string[] {
    const clientKeys = [...this.#map.keys()].filter((key) => !key.startsWith("r "));
    return [...new Set(clientKeys.map((key) => key.split(" ")[1] ?? ""))];
  }

  /** Forgets everything of a client that will not come back. */
  async forget(clientId: string): Promise<void> {
    const client = { id: clientId };
    await this.#persistence.cleanSubscriptions(client);
    await this.#persistence.cleanIncoming(client);
    this.#forgetWill(clientId);
    for await (const packet of this.#persistence.outgoingStream(client)) {
      const { messageId } = packet as StoredPacket;
      await this.#persistence.outgoingClearMessageId(client, messageId === undefined ? {} : { messageId });
    }
  }

  // ------------------------------------------------------------------------------------- at the start

  async #restore(key: string, value: unknown): Promise<void> {
    const kind = key.slice(0, 2);
    if (kind === "r ") {
      const packet = packetOf(value);
      if (packet === null) return;
      await this.#persistence.storeRetained(packet);
      this.#noteRetained(packet.topic, packet.payload.length);
    } else if (kind === "s ") {
      const subscription = subscriptionOf(value);
      if (subscription !== null) await this.#persistence.addSubscriptions({ id: subscription.clientId }, [subscription]);
    } else if (kind === "q ") {
      const packet = packetOf(value);
      if (packet?.clientId === undefined) return;
      await this.#persistence.outgoingEnqueue({ clientId: packet.clientId }, packet);
      this.#noteQueued(key, packet.clientId, packet.payload.length);
    } else if (kind === "i ") {
      const packet = packetOf(value);
      if (packet?.clientId === undefined || packet.messageId === undefined) return;
      await this.#persistence.incomingStorePacket({ id: packet.clientId }, { ...packet, messageId: packet.messageId });
    } else if (kind === "w ") {
      const packet = packetOf(value);
      if (packet?.clientId !== undefined) this.#orphans.set(packet.clientId, packet);
    }
  }

  // ----------------------------------------------------------------------------------------- retained

  #guardRetained(): void {
    const persistence = this.#persistence;
    const store = persistence.storeRetained.bind(persistence);
    persistence.storeRetained = async (packet) => {
      const { topic, payload } = packet;
      const former = this.#retained.get(topic);
      if (payload.length > 0 && !this.#hasRoomToRetain(payload.length, former)) {
        this.#owner.onRefused("retained-full", { clientId: packet.clientId ?? null, topic });
        return;
      }
      await store(packet);
      this.#noteRetained(topic, payload.length);
      if (payload.length > 0) this.#map.put(`r ${topic}`, jsonOf(packet));
      else this.#map.remove(`r ${topic}`);
      this.#changedBy.set(payload, this.#map.changesCount);
    };
  }

  #hasRoomToRetain(bytes: number, former: number | undefined): boolean {
    if (former === undefined && this.#retained.size >= LIMITS.brokerRetainedMax.value) return false;
    return this.#retainedBytes - (former ?? 0) + bytes <= LIMITS.brokerRetainedBytesMax.value;
  }

  #noteRetained(topic: string, bytes: number): void {
    this.#retainedBytes += bytes - (this.#retained.get(topic) ?? 0);
    if (bytes > 0) this.#retained.set(topic, bytes);
    else this.#retained.delete(topic);
  }

  // ------------------------------------------------------------------------------------ subscriptions

  #guardSubscriptions(): void {
    const persistence = this.#persistence;
    const add = persistence.addSubscriptions.bind(persistence);
    const remove = persistence.removeSubscriptions.bind(persistence);
    const clean = persistence.cleanSubscriptions.bind(persistence);
    persistence.addSubscriptions = async (client, subscriptions) => {
      const granted = subscriptions.filter(({ topic }) => this.#owner.isGranted(client, topic));
      await add(client, granted);
      for (const { topic, qos } of granted) this.#map.put(subscriptionKey(client.id, topic), { clientId: client.id, topic, qos });
    };
    persistence.removeSubscriptions = async (client, topics) => {
      await remove(client, topics);
      for (const topic of topics) this.#map.remove(subscriptionKey(client.id, topic));
    };
    persistence.cleanSubscriptions = async (client) => {
      const topics = (await persistence.subscriptionsByClient(client)) ?? [];
      await clean(client);
      for (const { topic } of topics) this.#map.remove(subscriptionKey(client.id, topic));
    };
  }

  // ------------------------------------------------------------------------------------------- queues

  #guardQueues(): void {
    const persistence = this.#persistence;
    const update = persistence.outgoingUpdate.bind(persistence);
    const clear = persistence.outgoingClearMessageId.bind(persistence);
    persistence.outgoingEnqueueCombi = async (subscriptions, packet) => {
      const fitting = subscriptions.filter(({ clientId }) => this.#hasRoomToQueue(clientId, packet));
      for (const { clientId, qos } of fitting) {
        // As was granted: the library would send it as it came. MQTT 3.1.1, 3.8.4.
        const granted = qos < packet.qos ? { ...packet, qos } : packet;
        await persistence.outgoingEnqueue({ clientId }, granted);
        const key = queueKey(clientId, packet);
        this.#noteQueued(key, clientId, packet.payload.length);
        this.#map.put(key, { ...jsonOf(granted), clientId });
      }
      if (fitting.length > 0) this.#changedBy.set(packet.payload, this.#map.changesCount);
    };
    persistence.outgoingUpdate = async (client, packet) => {
      await update(client, packet);
      if (packet.brokerId === undefined || packet.messageId === undefined) return;
      const kept = { key: queueKey(client.id, packet), bytes: packet.payload.length };
      this.#keys.set(`${client.id} ${packet.messageId}`, kept);
    };
    persistence.outgoingClearMessageId = async (client, packet) => {
      const cleared = await clear(client, packet);
      if (cleared !== undefined) this.#noteCleared(client.id, cleared);
      return cleared;
    };
  }

  #hasRoomToQueue(clientId: string, { topic, payload }: StoredPacket): boolean {
    const queue = this.#queues.get(clientId);
    const fits =
      (queue?.count ?? 0) < LIMITS.brokerQueuedPerClientMax.value &&
      (queue?.bytes ?? 0) + payload.length <= LIMITS.brokerQueuedBytesPerClientMax.value &&
      this.#queuedBytes + payload.length <= LIMITS.brokerQueuedBytesMax.value;
    if (!fits) this.#owner.onRefused("session-full", { clientId, topic });
    return fits;
  }

  #noteQueued(key: string, clientId: string, bytes: number): void {
    const queue = this.#queues.get(clientId) ?? { count: 0, bytes: 0 };
    queue.count += 1;
    queue.bytes += bytes;
    this.#queuedBytes += bytes;
    this.#queues.set(clientId, queue);
    this.#copies.set(key, (this.#copies.get(key) ?? 0) + 1);
  }

  /** The library gives back what it had: the message, or with QoS 2 the PUBREL in its place. */
  #noteCleared(clientId: string, cleared: StoredPacket): void {
    const numbered = `${clientId} ${cleared.messageId}`;
    const known = this.#keys.get(numbered);
    this.#keys.delete(numbered);
    const kept = cleared.brokerId === undefined ? known : { key: queueKey(clientId, cleared), bytes: cleared.payload.length };
    const queue = this.#queues.get(clientId);
    if (kept === undefined || queue === undefined || !this.#copies.has(kept.key)) return;
    queue.count -= 1;
    queue.bytes -= kept.bytes;
    this.#queuedBytes -= kept.bytes;
    if (queue.count === 0) this.#queues.delete(clientId);
    const copies = (this.#copies.get(kept.key) ?? 1) - 1;
    if (copies > 0) this.#copies.set(kept.key, copies);
    else {
      this.#copies.delete(kept.key);
      this.#map.remove(kept.key);
    }
  }

  // --------------------------------------------------------------------------------------- handshakes

  /** Identifiers of messages with QoS 2 that came and were not yet released by their sender. */
  #guardHandshakes(): void {
    const persistence = this.#persistence;
    const store = persistence.incomingStorePacket.bind(persistence);
    const remove = persistence.incomingDelPacket.bind(persistence);
    const clean = persistence.cleanIncoming.bind(persistence);
    persistence.incomingStorePacket = async (client, packet) => {
      await store(client, packet);
      const { messageId } = packet;
      this.#map.put(incomingKey(client.id, messageId), { clientId: client.id, messageId, topic: "-", payload: "" });
    };
    persistence.incomingDelPacket = async (client, packet) => {
      await remove(client, packet);
      this.#map.remove(incomingKey(client.id, packet.messageId));
    };
    persistence.cleanIncoming = async (client) => {
      await clean(client);
      const prefix = incomingKey(client.id, "");
      for (const key of [...this.#map.keys()]) if (key.startsWith(prefix)) this.#map.remove(key);
    };
  }

  // -------------------------------------------------------------------------------------------- wills

  #guardWills(): void {
    const persistence = this.#persistence;
    const put = persistence.putWill.bind(persistence);
    const remove = persistence.delWill.bind(persistence);
    persistence.putWill = async (client, will) => {
      await put(client, will);
      this.#map.put(willKey(client.id), { ...jsonOf(will), clientId: client.id });
    };
    persistence.delWill = async (client) => {
      this.#forgetWill(client.id);
      return remove(client);
    };
  }

  #forgetWill(clientId: string): void {
    this.#orphans.delete(clientId);
    this.#map.remove(willKey(clientId));
  }
}

function subscriptionKey(clientId: string, topic: string): string {
  return `s ${clientId} ${topic}`;
}

function queueKey(clientId: string, { brokerId, brokerCounter }: StoredPacket): string {
  return `q ${clientId} ${brokerId} ${brokerCounter}`;
}

function incomingKey(clientId: string, messageId: number | ""): string {
  return `i ${clientId} ${messageId}`;
}

function willKey(clientId: string): string {
  return `w ${clientId}`;
}

function jsonOf({ topic, payload, qos, retain, brokerId, brokerCounter }: StoredPacket): object {
  return { topic, payload: payload.toString("base64"), qos, retain, brokerId, brokerCounter };
}

function packetOf(value: unknown): StoredPacket | null {
  if (typeof value !== "object" || value === null) return null;
  const { topic, payload, qos, retain, brokerId, brokerCounter, messageId, clientId } = value as Readonly<
    Record<string, unknown>
  >;
  if (typeof topic !== "string" || topic === "" || typeof payload !== "string") return null;
  return {
    topic,
    payload: Buffer.from(payload, "base64"),
    qos: qos === 1 || qos === 2 ? qos : 0,
    retain: retain === true,
    ...(typeof brokerId === "string" ? { brokerId } : {}),
    ...(typeof brokerCounter === "number" ? { brokerCounter } : {}),
    ...(typeof messageId === "number" ? { messageId } : {}),
    ...(typeof clientId === "string" ? { clientId } : {}),
  };
}

function subscriptionOf(value: unknown): StoredSubscription | null {
  if (typeof value !== "object" || value === null) return null;
  const { clientId, topic, qos } = value as Readonly<Record<string, unknown>>;
  if (typeof clientId !== "string" || typeof topic !== "string" || topic === "") return null;
  return { clientId, topic, qos: qos === 1 || qos === 2 ? qos : 0 };
}
