import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { RecordKind } from "../core/record.ts";
import type { InfluxAnswer, RefusalReason } from "./influx-client.ts";

/** One record on its way: its lines stand or fall together. */
export interface InfluxUnit {
  readonly key: string;
  readonly kind: RecordKind;
  /** With a newline after each. */
  readonly lines: string;
  readonly pointsCount: number;
}

/** One record that the server refuses for good, and why. */
export interface RefusedUnit {
  readonly unit: InfluxUnit;
  readonly fault: Fault;
}

/** What became of units: those refused, while all others are stored; or why the whole must be tried again. */
export type WriteOutcome =
  | { readonly kind: "done"; readonly refused: readonly RefusedUnit[] }
  | { readonly kind: "try-later"; readonly fault: Fault; readonly waitMs: number };

/** What a writer needs. */
export interface InfluxWriterParts {
  readonly write: (lines: string) => Promise<InfluxAnswer>;
  /** A line that is right whatever the records are; a new one each time. */
  readonly probeLine: () => string;
  /** What the server took of each kind so far; shared by all writers of one sink. */
  readonly taken: TakenRecords;
  /** How large a body may be; shared likewise. */
  readonly bodySize: BodySize;
}

/** How large a body may be: what the server called too large is halved, for as long as this connection lasts. */
export class BodySize {
  #bytesMax: number = LIMITS.influxBodyBytesMax.value;

  /** In characters, which are bytes but for Chinese. */
  get bytesMax(): number {
    return this.#bytesMax;
  }

  tooLarge(bytes: number): void {
    this.#bytesMax = Math.max(1, Math.min(this.#bytesMax, Math.floor(bytes / 2)));
  }
}

/** Remembers, for each kind, one record that the server took, to tell a bad record from a server that takes none of its kind. */
export class TakenRecords {
  readonly #last = new Map<RecordKind, InfluxUnit>();
  readonly #unproven = new Map<RecordKind, number>();

  lastOf(kind: RecordKind): InfluxUnit | null {
    return this.#last.get(kind) ?? null;
  }

  took(units: readonly InfluxUnit[]): void {
    for (const unit of units) {
      this.#last.set(unit.kind, unit);
      this.#unproven.delete(unit.kind);
    }
  }

  /** True while a kind of which nothing was ever taken may still have records refused one by one. */
  mayRefuseUnproven(kind: RecordKind, count: number): boolean {
    const soFar = (this.#unproven.get(kind) ?? 0) + count;
    if (soFar > LIMITS.influxUnprovenRefusalsMax.value) return false;
    this.#unproven.set(kind, soFar);
    return true;
  }
}

/** The server takes nothing as things are, or nothing of a kind: no record is to blame. */
class NothingTaken {
  readonly fault: Fault;
  readonly waitMs: number;
  constructor(reason: Fault, waitMs = 0) {
    this.fault = reason;
    this.waitMs = waitMs;
  }
}

/**
 * Writes units and finds the ones the server refuses, by halving until each stands alone. No record is called bad before a probe was
 * taken: where the probe is refused as well, or a record of the same kind that the server took before, the server is to blame and
 * everything is tried again later. All requests are idempotent, so what was taken before a failure does no harm when it is sent again.
 */
export async function writeUnits(units: readonly InfluxUnit[], parts: InfluxWriterParts): Promise<WriteOutcome> {
  const bisection = new Bisection(parts);
  const stopped = (await bisection.write(units)) ?? (await bisection.doubtRefusals());
  if (stopped !== null) return { kind: "try-later", fault: stopped.fault, waitMs: stopped.waitMs };
  const { refused } = bisection;
  if (!bisection.isCutShort || refused.length > 0) return { kind: "done", refused };
  return { kind: "try-later", fault: fault("upstream-slow", { waitedFor: "bisection" }), waitMs: 0 };
}

interface Suspect extends RefusedUnit {
  readonly why: RefusalReason | "too-large";
}

class Bisection {
  readonly #refused: Suspect[] = [];
  readonly #acquitted = new Set<Suspect>();
  readonly #parts: InfluxWriterParts;
  readonly #takenKinds = new Set<RecordKind>();
  #isProbed = false;
  #refusalsCount = 0;
  /** True where so many were refused that some were not written at all. */
  isCutShort = false;

  constructor(parts: InfluxWriterParts) {
    this.#parts = parts;
  }

  /** What the server does not take, whatever is done. */
  get refused(): readonly Suspect[] {
    return this.#refused.filter((suspect) => !this.#acquitted.has(suspect));
  }

  /** In bodies of a size that the server is known to take. */
  async write(units: readonly InfluxUnit[]): Promise<NothingTaken | null> {
    for (let from = 0; from < units.length; ) {
      const to = endOfBody(units, from, this.#parts.bodySize.bytesMax);
      const stopped = await this.#writeBody(units.slice(from, to));
      if (stopped !== null) return stopped;
      from = to;
    }
    return null;
  }

  async #writeBody(units: readonly InfluxUnit[]): Promise<NothingTaken | null> {
    // What is left is sent again by the owner together with what was taken: a batch full of bad records takes several deliveries.
    if (this.#refusalsCount >= LIMITS.influxBisectionAnswersMax.value) {
      this.isCutShort = true;
      return null;
    }
    const body = units.map((unit) => unit.lines).join("");
    const answer = await this.#ask(body);
    switch (answer.kind) {
      case "taken":
        this.#parts.taken.took(units);
        for (const unit of units) this.#takenKinds.add(unit.kind);
        return null;
      case "unavailable":
        return new NothingTaken(answer.fault, answer.waitMs);
      case "too-large":
        return (await this.#probe()) ?? this.#makeSmaller(units, body.length);
      case "refused": {
        const { status, why, droppedCount } = answer;
        if (why === "server-limit") return new NothingTaken(fault("upstream-refuses-all", { status, reason: why }));
        const doubt = await this.#probe();
        if (doubt !== null) return doubt;
        const pointsCount = units.reduce((sum, unit) => sum + unit.pointsCount, 0);
        if (droppedCount === pointsCount) return this.#refuse(units, { status, why });
        return this.#divide(units, { status, why });
      }
    }
  }

  async #ask(body: string): Promise<InfluxAnswer> {
    const answer = await this.#parts.write(body);
    if (answer.kind === "refused") this.#refusalsCount += 1;
    return answer;
  }

  async #divide(
    units: readonly InfluxUnit[],
    because: { readonly status: number; readonly why: Suspect["why"] },
  ): Promise<NothingTaken | null> {
    if (units.length === 1) return this.#refuse(units, because);
    const middle = Math.ceil(units.length / 2);
    return (await this.#writeBody(units.slice(0, middle))) ?? (await this.#writeBody(units.slice(middle)));
  }

  async #makeSmaller(units: readonly InfluxUnit[], bytes: number): Promise<NothingTaken | null> {
    if (units.length === 1) return this.#refuse(units, { status: 413, why: "too-large" });
    this.#parts.bodySize.tooLarge(bytes);
    return this.write(units);
  }

  #refuse(units: readonly InfluxUnit[], because: { readonly status: number; readonly why: Suspect["why"] }): NothingTaken | null {
    const { status, why } = because;
    const reason = fault("upstream-rejected", { status, reason: why });
    this.#refused.push(...units.map((unit) => ({ unit, why, fault: reason })));
    return null;
  }

  /** Once a delivery: does the server take anything at all? */
  async #probe(): Promise<NothingTaken | null> {
    if (this.#isProbed || this.#takenKinds.size > 0) return null;
    this.#isProbed = true;
    const answer = await this.#ask(this.#parts.probeLine());
    switch (answer.kind) {
      case "taken":
        return null;
      case "unavailable":
        return new NothingTaken(answer.fault, answer.waitMs);
      case "too-large":
        return new NothingTaken(fault("upstream-refuses-all", { status: 413, reason: "too-large" }));
      case "refused":
        return new NothingTaken(fault("upstream-refuses-all", { status: answer.status, reason: answer.why }));
    }
  }

  /** Whether the refused are bad records, or of kinds of which the server takes none. Too old is too old. */
  async doubtRefusals(): Promise<NothingTaken | null> {
    const suspects = this.#refused.filter(({ why }) => why !== "retention");
    for (const kind of new Set(suspects.map(({ unit }) => unit.kind))) {
      const ofKind = suspects.filter(({ unit }) => unit.kind === kind);
      const doubt = this.#takenKinds.has(kind) ? null : await this.#doubtKind(kind, ofKind);
      const stopped = doubt ?? (await this.#askAgain(ofKind));
      if (stopped !== null) return stopped;
    }
    return null;
  }

  async #doubtKind(kind: RecordKind, suspects: readonly Suspect[]): Promise<NothingTaken | null> {
    const { taken } = this.#parts;
    const last = taken.lastOf(kind);
    const answer = last === null ? null : await this.#ask(last.lines);
    if (answer?.kind === "taken") return null;
    if (answer?.kind === "unavailable") return new NothingTaken(answer.fault, answer.waitMs);
    const isInconclusive = answer === null || (answer.kind === "refused" && answer.why === "retention");
    if (isInconclusive && taken.mayRefuseUnproven(kind, suspects.length)) return null;
    const reason = suspects[0]?.why ?? "unknown";
    return new NothingTaken(fault("upstream-refuses-all", { kind, reason }));
  }

  /** A server that was mended while its answers were weighed takes the first one now: then each is asked about again. */
  async #askAgain(suspects: readonly Suspect[]): Promise<NothingTaken | null> {
    for (const suspect of suspects) {
      const answer = await this.#ask(suspect.unit.lines);
      if (answer.kind === "unavailable") return new NothingTaken(answer.fault, answer.waitMs);
      if (answer.kind === "taken") this.#acquitted.add(suspect);
      else if (suspect === suspects[0]) return null;
    }
    return null;
  }
}

/** Where a body that begins at a unit ends; one unit is always in it. */
function endOfBody(units: readonly InfluxUnit[], from: number, bytesMax: number): number {
  let bytes = 0;
  for (let index = from; index < units.length; index++) {
    bytes += units[index]?.lines.length ?? 0;
    if (index > from && bytes > bytesMax) return index;
  }
  return units.length;
}
