import { createCounts, type DeviceCounts } from "../core/device-counts.ts";
import type { DeviceDetailView, DeviceEventView, DeviceValueView, LinkStateView, RefusedBytesView } from "../core/device-view.ts";
import type { Fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Observation } from "../core/observation.ts";
import type { DecodeError, LinkEvent } from "../core/ports.ts";
import type { QuantityName } from "../core/quantities.ts";
import type { Clock, MonotonicMs } from "../core/time.ts";
import type { Judgement, UnnumberedObservation } from "../intake/device-intake.ts";
import { formatHex } from "../wire/hex.ts";

type Chunk = Extract<LinkEvent, { kind: "bytes" }>;

/** So many reasons of one refused piece are kept; the others are counted. */
const REASONS_KEPT = 3;
/** Facts a device tells of its state are few; a driver that names more is not believed. */
const STATE_FACTS_MAX = 16;
/** Alarms of a device that are told apart here; of further ones every word is noted. */
const ALARMS_TOLD_APART_MAX = 64;

/** What one device did lately, for the person who looks after it. In memory only: nothing of it is stored or sent anywhere. */
export interface DeviceNotebook {
  readonly up: (atMonotonicMs: MonotonicMs) => void;
  readonly down: (fault: Fault, atMonotonicMs: MonotonicMs) => void;
  /** A piece of bytes came, and this came of it. */
  readonly judged: (chunk: Chunk, judgement: Judgement) => void;
  /** What the journal last knew of the device, with times by the wall clock as it stands now. */
  readonly restore: (observations: readonly Observation[]) => void;
  readonly link: () => LinkStateView;
  readonly counts: () => DeviceCounts;
  readonly value: (quantity: QuantityName) => DeviceValueView | null;
  /** When a quantity last had a value, by the wall clock as it stands now; null: not that anybody knows. */
  readonly presentAtMs: (quantity: QuantityName) => number | null;
  readonly values: () => readonly DeviceValueView[];
  /** What it last said of itself, and when; null where it has said nothing. */
  readonly state: () => { readonly facts: Readonly<Record<string, string | number>>; readonly atMs: number } | null;
  /** The last bytes of a stream; null where messages come whole, and where nothing has come. */
  readonly lastBytes: () => DeviceDetailView["lastBytes"];
  /** Newest first. */
  readonly refusals: () => readonly RefusedBytesView[];
  /** Newest first. */
  readonly events: () => readonly DeviceEventView[];
}

/** One refusal as it is kept. */
interface KeptRefusal {
  readonly atMs: MonotonicMs;
  readonly channel: string;
  readonly bytes: Uint8Array;
  readonly bytesGiven: number;
  readonly errors: readonly DecodeError[];
  readonly errorCount: number;
}

/** The last value of a quantity, and when there was one at all; monotonic times of this life, also of before it. */
interface KeptValue {
  readonly quantity: QuantityName;
  readonly content: Observation["content"];
  readonly flags: Observation["quality"]["flags"];
  readonly measuredMs: number;
  readonly presentMs: number | null;
}

/**
 * Opens a notebook.
 *
 * @param parts.hasWholeMessages  Whether a piece of bytes is a whole message; else the bytes before it belong to it.
 */
export function openDeviceNotebook(parts: {
  readonly clock: Pick<Clock, "wall" | "monotonic">;
  readonly hasWholeMessages: boolean;
}): DeviceNotebook {
  const notebook = new Notebook(parts.clock, parts.hasWholeMessages);
  return {
    up: (at) => notebook.noteLink("up", null, at),
    down: (reason, at) => notebook.noteLink("down", reason, at),
    judged: (chunk, judgement) => notebook.judged(chunk, judgement),
    restore: (observations) => notebook.restore(observations),
    link: () => notebook.link(),
    counts: () => notebook.counts,
    value: (quantity) => notebook.values().find((value) => value.quantity === quantity) ?? null,
    presentAtMs: (quantity) => notebook.presentAtMs(quantity),
    values: () => notebook.values(),
    state: () => notebook.state(),
    lastBytes: () => notebook.lastBytes(),
    refusals: () => notebook.refusals(),
    events: () => notebook.events(),
  };
}

class Notebook {
  readonly counts = createCounts();
  readonly #clock: Pick<Clock, "wall" | "monotonic">;
  readonly #hasWholeMessages: boolean;
  readonly #refusals: KeptRefusal[] = [];
  readonly #events: { readonly atMs: MonotonicMs; readonly code: string; readonly facts: DeviceEventView["facts"] }[] = [];
  readonly #values = new Map<QuantityName, KeptValue>();
  readonly #activeAlarms = new Set<string>();
  #state: { readonly facts: Readonly<Record<string, string | number>>; readonly atMs: MonotonicMs } | null = null;
  #link: { readonly state: "opening" | "up" | "down"; readonly fault: Fault | null; readonly atMs: MonotonicMs };
  /** The last bytes of a stream. */
  #tail: Uint8Array = new Uint8Array();
  #tailAtMs: MonotonicMs | null = null;

  constructor(clock: Pick<Clock, "wall" | "monotonic">, hasWholeMessages: boolean) {
    this.#clock = clock;
    this.#hasWholeMessages = hasWholeMessages;
    this.#link = { state: "opening", fault: null, atMs: clock.monotonic() };
  }

  noteLink(state: "up" | "down", reason: Fault | null, atMs: MonotonicMs): void {
    // A link that cannot be opened says so at each attempt; it is down since the first.
    const since = this.#link.state === state ? this.#link.atMs : atMs;
    if (this.#link.state !== state || this.#link.fault?.code !== reason?.code)
      this.#noteEvent(`link-${state}`, reason === null ? {} : { ...reason.facts, code: reason.code }, atMs);
    this.#link = { state, fault: reason, atMs: since };
    if (state === "up") this.#tail = new Uint8Array();
  }

  judged(chunk: Chunk, judgement: Judgement): void {
    const { counted, refusals, observations, alarms, events, quarantined } = judgement;
    this.counts.bytes += counted.bytes;
    this.counts.messages += counted.messages;
    this.counts.readings += counted.readings;
    this.counts.repeats += counted.repeats;
    this.counts.observations += observations.length;
    this.counts.waves += judgement.waveforms.length;
    for (const { kind } of refusals) this.counts.refusals[kind] = (this.counts.refusals[kind] ?? 0) + 1;
    if (!this.#hasWholeMessages) {
      this.#tail = joined(this.#tail, chunk.bytes);
      this.#tailAtMs = chunk.receivedMonotonicMs;
    }
    if (refusals.length > 0) this.#noteRefusal(chunk, refusals);
    const at = chunk.receivedMonotonicMs;
    for (const observation of observations) this.#noteValue(observation, at);
    for (const { alarm } of alarms) this.#noteAlarm(alarm, at);
    for (const { code, facts } of events) {
      if (code === "device-state") this.#noteState(facts, at);
      else this.#noteEvent(code, facts, at);
    }
    if (quarantined !== null) this.#noteEvent("quarantined", quarantined.facts, at);
  }

  restore(observations: readonly Observation[]): void {
    const apartMs = this.#clock.wall() - this.#clock.monotonic();
    for (const observation of observations) this.#noteValue(observation, observation.times.receivedAtMs - apartMs);
  }

  link(): LinkStateView {
    return { state: this.#link.state, sinceMs: this.#wallOf(this.#link.atMs), fault: this.#link.fault };
  }

  values(): readonly DeviceValueView[] {
    return [...this.#values.values()].map(({ quantity, content, flags, measuredMs }) => {
      return { quantity, content, flags, atMs: this.#wallOf(measuredMs) };
    });
  }

  presentAtMs(quantity: QuantityName): number | null {
    const presentMs = this.#values.get(quantity)?.presentMs ?? null;
    return presentMs === null ? null : this.#wallOf(presentMs);
  }

  state(): ReturnType<DeviceNotebook["state"]> {
    return this.#state === null ? null : { facts: this.#state.facts, atMs: this.#wallOf(this.#state.atMs) };
  }

  lastBytes(): DeviceDetailView["lastBytes"] {
    return this.#tailAtMs === null ? null : { hex: formatHex(this.#tail), atMs: this.#wallOf(this.#tailAtMs) };
  }

  refusals(): readonly RefusedBytesView[] {
    return this.#refusals
      .map(({ atMs, bytes, ...rest }) => {
        return { ...rest, atMs: this.#wallOf(atMs), hex: formatHex(bytes), isWholeMessage: this.#hasWholeMessages };
      })
      .reverse();
  }

  events(): readonly DeviceEventView[] {
    return this.#events.map(({ atMs, code, facts }) => ({ atMs: this.#wallOf(atMs), code, facts })).reverse();
  }

  #noteValue({ quantity, content, quality, times }: UnnumberedObservation, receivedMs: number): void {
    const before = this.#values.get(quantity);
    const measuredMs = receivedMs - (times.receivedAtMs - times.measuredAtMs);
    // A stored value of before says nothing of now.
    if (before !== undefined && before.measuredMs > measuredMs) return;
    const isPresent = content.state === "present" && !quality.flags.includes("late");
    const presentMs = isPresent ? receivedMs : (before?.presentMs ?? null);
    this.#values.set(quantity, { quantity, content, flags: quality.flags, measuredMs, presentMs });
  }

  #noteRefusal({ bytes, channel, receivedMonotonicMs }: Chunk, errors: readonly DecodeError[]): void {
    const kept = this.#hasWholeMessages ? bytes.slice(0, LIMITS.deviceRefusedBytesMax.value) : this.#tail;
    const reasons = { errors: errors.slice(0, REASONS_KEPT), errorCount: errors.length };
    this.#refusals.push({ atMs: receivedMonotonicMs, channel, bytes: kept, bytesGiven: bytes.length, ...reasons });
    if (this.#refusals.length > LIMITS.deviceRefusedKeptMax.value) this.#refusals.shift();
  }

  /** Many devices say an alarm with each message for as long as it holds: its beginning and end are noted. */
  #noteAlarm(alarm: Judgement["alarms"][number]["alarm"], at: MonotonicMs): void {
    const { code, active, text, once } = alarm;
    if (once !== true && active === this.#activeAlarms.has(code)) return;
    if (!active) this.#activeAlarms.delete(code);
    else if (once !== true && this.#activeAlarms.size < ALARMS_TOLD_APART_MAX) this.#activeAlarms.add(code);
    this.#noteEvent(active ? "alarm-begins" : "alarm-ends", { alarm: code, text }, at);
  }

  #noteState(facts: Readonly<Record<string, string | number>>, atMs: MonotonicMs): void {
    const all = Object.entries({ ...this.#state?.facts, ...facts }).slice(0, STATE_FACTS_MAX);
    this.#state = { facts: Object.fromEntries(all), atMs };
  }

  #noteEvent(code: string, facts: DeviceEventView["facts"], atMs: MonotonicMs): void {
    this.#events.push({ atMs, code, facts });
    if (this.#events.length > LIMITS.deviceEventsKeptMax.value) this.#events.shift();
  }

  /** By the clock as it stands now: it may have been set since. */
  #wallOf(atMs: number): number {
    return Math.round(this.#clock.wall() - (this.#clock.monotonic() - atMs));
  }
}

/** The last bytes of both, in a piece of memory of their own: a chunk is often a window into a larger one. */
function joined(before: Uint8Array, after: Uint8Array): Uint8Array {
  const bytesMax = LIMITS.deviceRefusedBytesMax.value;
  const newest = after.subarray(-bytesMax);
  const kept = before.subarray(Math.max(0, before.length + newest.length - bytesMax));
  const all = new Uint8Array(kept.length + newest.length);
  all.set(kept);
  all.set(newest, kept.length);
  return all;
}
