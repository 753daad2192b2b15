import { PRIORITY_RANK } from "../core/alert.ts";
import { backoffMs } from "../core/backoff.ts";
import type { Fault } from "../core/errors.ts";
import type { AlertId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import { type AnswerOutcome, type Order, type TellingName, tellingKey } from "../core/notice.ts";
import type { ReceiptState } from "../core/record.ts";
import type { Clock, MonotonicMs } from "../core/time.ts";
import { isSigned, parseAnswer } from "./answers.ts";
import type { NoticeMessage } from "./words.ts";

/** What became of one telling at its channel. */
export type NoticeOutcome =
  /** The channel took it; `by`: what of the other end said so, null where nothing more is known than that it left. */
  | { readonly kind: "sent"; readonly by: string | null }
  /** The same may be taken later. */
  | { readonly kind: "try-later"; readonly fault: Fault }
  /** This one never. */
  | { readonly kind: "refused"; readonly fault: Fault };

/** A way on which alerts are told. Retries nothing: its owner does. */
export interface Channel {
  readonly name: string;
  readonly bring: (message: NoticeMessage, stop: AbortSignal) => Promise<NoticeOutcome>;
  /** The secret with which its other end signs answers; null where it cannot be read, left out where nobody answers by it. */
  readonly answerSecret?: () => Promise<string | null>;
  readonly close: () => void;
}

/** What a desk of notices needs. */
export interface NoticeDeskParts {
  readonly clock: Clock;
  /** 0 to 1, for the jitter of retries. */
  readonly random: () => number;
  readonly channels: readonly Channel[];
  readonly messageOf: (order: Order) => NoticeMessage;
  /** Says what became of a telling. False where nothing waits for it any more. */
  readonly word: (word: {
    readonly of: TellingName;
    readonly state: "sent" | "failed" | ReceiptState;
    readonly by: string | null;
    readonly why: string | null;
  }) => boolean;
}

/** Brings alerts to contacts, each channel at its own pace. */
export interface NoticeDesk {
  readonly bring: (orders: readonly Order[]) => void;
  /** A case is over: what waits for it is brought no more. */
  readonly drop: (of: { readonly alertId: AlertId; readonly route: string }) => void;
  /** Takes an answer that came by HTTP, with the header that proves who sent it. */
  readonly answer: (given: { readonly body: string; readonly signature: string }) => Promise<AnswerOutcome>;
  /** Tellings that wait or are under way, by channel. */
  readonly waiting: () => ReadonlyMap<string, number>;
  /** Gives up what is under way and closes every channel. */
  readonly close: () => Promise<void>;
}

/** How often what waits is looked at. */
const LOOK_MS = 250;

/** Opens a desk; its channels must have different names. */
export function openNoticeDesk(parts: NoticeDeskParts): NoticeDesk {
  const lanes = new Map(parts.channels.map((channel) => [channel.name, new Lane(channel, parts)]));
  const timer = parts.clock.every(LOOK_MS, () => {
    for (const lane of lanes.values()) lane.look();
  });
  return {
    bring: (orders) => {
      for (const order of orders) {
        const lane = lanes.get(order.way.channel);
        if (lane !== undefined) lane.take(order);
        else parts.word({ of: order.name, state: "failed", by: null, why: "no-such-channel" });
      }
    },
    drop: (of) => {
      for (const lane of lanes.values()) lane.drop(of);
    },
    answer: async ({ body, signature }) => {
      const answer = parseAnswer(body);
      if (answer === null) return "malformed";
      const secret = await parts.channels.find(({ name }) => name === answer.of.channel)?.answerSecret?.();
      if (secret === undefined || secret === null) return "denied";
      if (!isSigned(body, signature, { secret, wallMs: parts.clock.wall() })) return "denied";
      return parts.word({ ...answer, why: null }) ? "taken" : "over";
    },
    waiting: () => new Map([...lanes].map(([name, lane]) => [name, lane.waitingCount])),
    close: async () => {
      timer.stop();
      await Promise.all([...lanes.values()].map((lane) => lane.close()));
    },
  };
}

interface Entry {
  readonly order: Order;
  readonly orderedAtMs: MonotonicMs;
  underWay: boolean;
  toldFailed: boolean;
  /** Of no use any more: whatever comes of it, it is not tried again. */
  dropped: boolean;
}

/** One channel's tellings: the most urgent first, of one patient one after the other. */
class Lane {
  readonly #channel: Channel;
  readonly #parts: NoticeDeskParts;
  readonly #entries = new Map<string, Entry>();
  readonly #stop = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #failures = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(channel: Channel, parts: NoticeDeskParts) {
    this.#channel = channel;
    this.#parts = parts;
  }

  get waitingCount(): number {
    return this.#entries.size;
  }

  take(order: Order): void {
    const key = tellingKey(order.name);
    if (this.#entries.has(key)) return;
    this.#supersede(order);
    if (this.#entries.size >= LIMITS.noticesWaitingMax.value) {
      this.#say(order, "failed", { why: "too-many-wait" });
      return;
    }
    const orderedAtMs = this.#parts.clock.monotonic();
    this.#entries.set(key, { order, orderedAtMs, underWay: false, toldFailed: false, dropped: false });
    this.#pump();
  }

  drop({ alertId, route }: { readonly alertId: AlertId; readonly route: string }): void {
    for (const [key, entry] of this.#entries) {
      const { name } = entry.order;
      if (name.alertId === alertId && name.route === route) this.#forget(key, entry);
    }
  }

  look(): void {
    const nowMs = this.#parts.clock.monotonic();
    for (const [key, entry] of this.#entries) {
      const waitedMs = nowMs - entry.orderedAtMs;
      if (!entry.toldFailed && waitedMs >= LIMITS.noticeReachMsMax.value) {
        entry.toldFailed = true;
        this.#say(entry.order, "failed", { why: "not-reached" });
      }
      if (waitedMs >= LIMITS.noticeAgeMsMax.value) this.#forget(key, entry);
    }
    this.#pump();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#underWay);
    this.#channel.close();
  }

  /** What tells the same alert to the same contact in older words is of no use. */
  #supersede({ name }: Order): void {
    for (const [key, entry] of this.#entries) {
      const other = entry.order.name;
      if (other.alertId === name.alertId && other.route === name.route && other.contact === name.contact)
        this.#forget(key, entry);
    }
  }

  #forget(key: string, entry: Entry): void {
    entry.dropped = true;
    if (!entry.underWay) this.#entries.delete(key);
  }

  #pump(): void {
    while (!this.#stop.signal.aborted && this.#parts.clock.monotonic() >= this.#notBeforeMs) {
      const next = this.#next();
      if (next === null) return;
      const [key, entry] = next;
      entry.underWay = true;
      const running = this.#bring(key, entry).finally(() => this.#underWay.delete(running));
      this.#underWay.add(running);
    }
  }

  #next(): readonly [string, Entry] | null {
    const entries = [...this.#entries];
    const busy = entries.filter(([, { underWay }]) => underWay);
    if (busy.length >= LIMITS.noticePlaces.value) return null;
    const busyPatients = new Set(busy.map(([, { order }]) => order.alert.subject.patientId ?? order.alert.id));
    const seen = new Set<string>();
    let best: readonly [string, Entry] | null = null;
    for (const [key, entry] of entries) {
      const { alert } = entry.order;
      const patient = alert.subject.patientId ?? alert.id;
      if (entry.underWay || busyPatients.has(patient) || seen.has(patient)) continue;
      // The first of each patient stands for those behind it.
      seen.add(patient);
      if (best === null || PRIORITY_RANK[alert.priority] > PRIORITY_RANK[best[1].order.alert.priority]) best = [key, entry];
    }
    return best;
  }

  async #bring(key: string, entry: Entry): Promise<void> {
    const { order } = entry;
    const outcome = await this.#channel.bring(this.#parts.messageOf(order), this.#stop.signal);
    entry.underWay = false;
    if (outcome.kind === "try-later") this.#tryLater(key, entry);
    else {
      this.#entries.delete(key);
      this.#failures = 0;
      if (outcome.kind === "sent") {
        this.#say(order, "sent", {});
        if (outcome.by !== null) this.#say(order, "received", { by: outcome.by });
      } else this.#say(order, "failed", { why: whyOf(outcome.fault) });
    }
    this.#pump();
  }

  #tryLater(key: string, entry: Entry): void {
    const { clock, random } = this.#parts;
    if (entry.dropped) this.#entries.delete(key);
    this.#failures += 1;
    const bounds = { msMin: LIMITS.noticeBackoffMsMin.value, msMax: LIMITS.noticeBackoffMsMax.value };
    this.#notBeforeMs = clock.monotonic() + backoffMs(this.#failures, bounds, random());
  }

  #say(
    { name }: Order,
    state: "sent" | "received" | "failed",
    { by = null, why = null }: { readonly by?: string | null; readonly why?: string | null },
  ): void {
    this.#parts.word({ of: name, state, by, why });
  }
}

function whyOf({ code, facts }: Fault): string {
  const words = Object.entries(facts).map(([key, value]) => `${key} ${value}`);
  return [code, ...words].join(", ");
}
