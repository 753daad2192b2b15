import type { AnnouncedDevice, CandidateTopicView, MessageFieldView } from "../core/device-view.ts";
import { LIMITS } from "../core/limits.ts";
import type { BrokerInlet, UnheardMessage } from "../core/ports.ts";
import type { Clock, MonotonicMs } from "../core/time.ts";
import { formatHex } from "../wire/hex.ts";
import { fieldsOfMessage } from "./message-fields.ts";
import { ANNOUNCEMENT_TOPICS, announcementBase, readAnnouncement } from "./zigbee-announcement.ts";

/** A page shows so many bytes of a message that is no JSON. */
const SHOWN_BYTES_MAX = 256;

/** What came on one topic that nobody listens to. */
interface KeptTopic {
  count: number;
  heardAt: MonotonicMs;
  bytesGiven: number;
  /** The whole message, or its beginning where it is longer than may be kept. */
  payload: Uint8Array;
  /** Its values, once somebody has asked for them. */
  fields: readonly MessageFieldView[] | null;
}

interface KeptAccount {
  count: number;
  /** The one heard last is the last. */
  readonly topics: Map<string, KeptTopic>;
}

/** What one account sends that nobody listens to. */
export interface UnheardAccount {
  readonly account: string;
  readonly count: number;
  readonly topics: readonly CandidateTopicView[];
}

/** A device that is announced, with what was heard of it. */
export interface AnnouncedCandidate extends AnnouncedDevice {
  readonly base: string;
  readonly topic: string;
  readonly last: CandidateTopicView | null;
}

/** Who sends to the own broker and is no device of ours yet. In memory only, and all of it bounded. */
export interface CandidateBook {
  readonly note: (message: UnheardMessage) => void;
  /**
   * What may be adopted.
   *
   * @param isHeard  Whether one of the gateway's links listens to a topic now: it may do so since it was noted.
   */
  readonly view: (isHeard: (topic: string) => boolean) => {
    readonly accounts: readonly UnheardAccount[];
    readonly moreAccounts: number;
    readonly zigbee: readonly AnnouncedCandidate[];
    readonly moreZigbee: number;
  };
  /** The whole last message of a topic; null where none is known, or it was too long to be kept. */
  readonly message: (topic: string) => Uint8Array | null;
  readonly close: () => void;
}

/** Begins to look for devices; `inlet` is null where the gateway has no broker. */
export function openCandidateBook(parts: { readonly clock: Clock; readonly inlet: BrokerInlet | null }): CandidateBook {
  const book = new Book(parts.clock);
  const stop = parts.inlet?.listen(
    { topics: ANNOUNCEMENT_TOPICS, account: null },
    {
      message: ({ topic, payload }, thank) => {
        // Nothing of it is a record: there is nothing to wait for.
        thank();
        book.announced(topic, payload);
        return true;
      },
      up: () => {},
      down: () => {},
    },
  );
  return { note: book.note, view: book.view, message: book.message, close: () => stop?.() };
}

class Book {
  readonly #clock: Clock;
  readonly #accounts = new Map<string, KeptAccount>();
  /** By the base of each Zigbee2MQTT. */
  readonly #announced = new Map<string, readonly AnnouncedDevice[]>();
  /** States of announced devices, by topic. */
  readonly #states = new Map<string, KeptTopic>();
  #moreAccounts = 0;
  #moreZigbee = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  readonly note = ({ account, topic, payload }: UnheardMessage): void => {
    const base = this.#baseOf(topic);
    if (base !== null) {
      this.#noteState(base, topic, payload);
      return;
    }
    const known = this.#accounts.get(account);
    if (known === undefined && this.#accounts.size >= LIMITS.candidateAccountsMax.value) {
      this.#moreAccounts += 1;
      return;
    }
    const kept = known ?? { count: 0, topics: new Map<string, KeptTopic>() };
    this.#accounts.set(account, kept);
    kept.count += 1;
    this.#noteTopic(kept.topics, topic, payload);
    const [quietest] = kept.topics.size > LIMITS.candidateTopicsMax.value ? kept.topics.keys() : [];
    if (quietest !== undefined) kept.topics.delete(quietest);
  };

  announced(topic: string, payload: Uint8Array): void {
    const base = announcementBase(topic);
    const devices = base === null ? null : readAnnouncement(payload);
    if (base === null || devices === null) return;
    const others = [...this.#announced].reduce((sum, [name, list]) => (name === base ? sum : sum + list.length), 0);
    const room = Math.max(0, LIMITS.candidateZigbeeMax.value - others);
    this.#moreZigbee = Math.max(0, devices.length - room);
    const taken = devices.slice(0, room);
    if (taken.length === 0) this.#announced.delete(base);
    else this.#announced.set(base, taken);
    const topics = new Set(taken.map(({ name }) => `${base}/${name}`));
    for (const known of this.#states.keys()) if (known.startsWith(`${base}/`) && !topics.has(known)) this.#states.delete(known);
  }

  readonly view: CandidateBook["view"] = (isHeard) => {
    const accounts = [...this.#accounts].flatMap(([account, { count, topics }]) => {
      const unheard = [...topics].filter(([topic]) => !isHeard(topic) && this.#baseOf(topic) === null);
      if (unheard.length === 0) return [];
      return [{ account, count, topics: unheard.map(([topic, kept]) => this.#topicView(topic, kept)).reverse() }];
    });
    const zigbee = [...this.#announced].flatMap(([base, devices]) =>
      devices.flatMap((device) => {
        const topic = `${base}/${device.name}`;
        const state = this.#states.get(topic);
        return isHeard(topic)
          ? []
          : [{ ...device, base, topic, last: state === undefined ? null : this.#topicView(topic, state) }];
      }),
    );
    return { accounts, moreAccounts: this.#moreAccounts, zigbee, moreZigbee: this.#moreZigbee };
  };

  readonly message = (topic: string): Uint8Array | null => {
    const state = this.#states.get(topic);
    const found = state ?? [...this.#accounts.values()].map(({ topics }) => topics.get(topic)).find((kept) => kept !== undefined);
    return found === undefined || found.payload.length < found.bytesGiven ? null : found.payload;
  };

  /** The Zigbee2MQTT whose topic this is; null where it is nobody's. */
  #baseOf(topic: string): string | null {
    for (const base of this.#announced.keys()) if (topic.startsWith(`${base}/`)) return base;
    return null;
  }

  #noteState(base: string, topic: string, payload: Uint8Array): void {
    const isDevice = this.#announced.get(base)?.some(({ name }) => topic === `${base}/${name}`) === true;
    if (isDevice) this.#noteTopic(this.#states, topic, payload);
  }

  /** Put at the end anew, so that the one at the beginning is the one that was quiet for longest. */
  #noteTopic(topics: Map<string, KeptTopic>, topic: string, payload: Uint8Array): void {
    const count = (topics.get(topic)?.count ?? 0) + 1;
    topics.delete(topic);
    // A copy: the payload is a window into what came from the socket.
    const kept = payload.slice(0, LIMITS.candidatePayloadBytesMax.value);
    topics.set(topic, { count, heardAt: this.#clock.monotonic(), bytesGiven: payload.length, payload: kept, fields: null });
  }

  #topicView(topic: string, kept: KeptTopic): CandidateTopicView {
    const { count, heardAt, bytesGiven, payload } = kept;
    const lastAtMs = Math.round(this.#clock.wall() - (this.#clock.monotonic() - heardAt));
    // Read once for each message: pages ask every few seconds.
    kept.fields ??= payload.length < bytesGiven ? [] : fieldsOfMessage(payload);
    return { topic, count, lastAtMs, bytesGiven, hex: formatHex(payload.subarray(0, SHOWN_BYTES_MAX)), fields: kept.fields };
  }
}
