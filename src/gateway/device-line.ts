import type { Fault } from "../core/errors.ts";
import { type DeviceId, type Seq, seq } from "../core/ids.ts";
import type { Link, LinkEvent } from "../core/ports.ts";
import type { SeqSpan } from "../core/record.ts";
import { type Clock, type MonotonicMs, type Timer, type WallMs, wallMs } from "../core/time.ts";
import { type DeviceIntake, type Judgement, NOTHING_JUDGED } from "../intake/device-intake.ts";
import { type DeviceNotebook, openDeviceNotebook } from "./device-notebook.ts";
import { Thanks } from "./thanks.ts";

/** What the line tells the gateway, in the order it happened. */
export interface LineListener {
  readonly onUp: (deviceId: DeviceId) => void;
  readonly onDown: (deviceId: DeviceId, fault: Fault) => void;
  readonly onJudgement: (deviceId: DeviceId, judgement: Judgement) => void;
}

/** One device with its link and its way in. */
export interface DeviceLine {
  readonly deviceId: DeviceId;
  readonly intake: DeviceIntake;
  readonly isUp: () => boolean;
  readonly lastHeardAtMs: () => WallMs | null;
  readonly refusedCount: () => number;
  /** What it did lately. */
  readonly notebook: DeviceNotebook;
  /** Everything up to `seq` is on disk: the link may thank its sender for what it brought of that. */
  readonly committed: (seq: Seq) => void;
  /** These numbers never reached the disk: their sender is not thanked, nor for anything after it, before the link is opened anew and it sends again. */
  readonly lost: (numbers: SeqSpan) => void;
  /** Runs until the link is closed. */
  readonly run: (listener: LineListener) => Promise<void>;
  readonly close: () => Promise<void>;
  /**
   * The device is in use no more: nothing it sends counts from now on. What it sent before is still thanked for after its commit, and then
   * the link is closed; resolves at that.
   */
  readonly leave: () => Promise<void>;
}

/** What a line is made of. */
export interface DeviceLineParts {
  readonly intake: DeviceIntake;
  readonly link: Link;
  readonly clock: Clock;
  /** The last number that was given to any record. */
  readonly lastSeq: () => Seq;
  /** Asks the journal not to wait for company; left out: it is never asked. */
  readonly hurry?: () => void;
  /** The wall time of a reception as the clock stands when its records are numbered; the link's own where this is left out. */
  readonly stamp?: (receivedMonotonicMs: MonotonicMs) => WallMs;
}

/** Joins a link to a device's intake: bytes in, judgements out, and the driver's own bytes back when they are due. */
export function createDeviceLine(parts: DeviceLineParts): DeviceLine {
  return new Line(parts);
}

class Line implements DeviceLine {
  readonly deviceId: DeviceId;
  readonly intake: DeviceIntake;
  readonly notebook: DeviceNotebook;
  readonly #parts: DeviceLineParts;
  readonly #thanks: Thanks;
  #isUp = false;
  #lastHeardMs: MonotonicMs | null = null;
  #refusedCount = 0;
  #dueTimer: Timer | null = null;
  /** Called when everything is thanked for; null while the device is in use. */
  #left: (() => void) | null = null;

  constructor(parts: DeviceLineParts) {
    const { intake, link, clock, hurry = () => {} } = parts;
    this.#parts = parts;
    this.deviceId = intake.deviceId;
    this.intake = intake;
    this.notebook = openDeviceNotebook({ clock, hasWholeMessages: intake.driver.link.kind === "mqtt" });
    this.#thanks = new Thanks({ clock, hurry, thank: (upToPosition) => link.committed(upToPosition) });
  }

  readonly isUp = (): boolean => this.#isUp;

  /** By the clock as it stands now: it may have been set since. */
  readonly lastHeardAtMs = (): WallMs | null => {
    const { clock } = this.#parts;
    return this.#lastHeardMs === null ? null : wallMs(Math.round(clock.wall() - (clock.monotonic() - this.#lastHeardMs)));
  };

  readonly refusedCount = (): number => this.#refusedCount;

  readonly run = async (listener: LineListener): Promise<void> => {
    for await (const event of this.#parts.link.events) this.#take(event, listener);
    this.#dueTimer?.stop();
  };

  readonly committed = (upTo: Seq): void => {
    this.#thanks.committed(upTo);
    if (this.#left !== null && this.#thanks.isSettled()) this.#left();
  };

  readonly lost = (numbers: SeqSpan): void => this.#thanks.lost(numbers);

  readonly close = (): Promise<void> => this.#parts.link.close();

  readonly leave = async (): Promise<void> => {
    this.#dueTimer?.stop();
    await new Promise<void>((resolve) => {
      this.#left = resolve;
      if (this.#thanks.isSettled()) resolve();
    });
    await this.close();
  };

  #take(event: LinkEvent, listener: LineListener): void {
    if (this.#left !== null) {
      // Nobody wants it any more, and its sender must not wait for ever.
      if (event.kind === "bytes") this.#thanks.owe({ position: event.position, from: seq(1), to: seq(0) });
      return;
    }
    switch (event.kind) {
      case "up":
        this.#isUp = true;
        this.#thanks.beginAnew();
        this.intake.begin();
        this.notebook.up(event.atMonotonicMs);
        listener.onUp(this.deviceId);
        this.#serveDue(listener);
        return;
      case "down":
        this.#isUp = false;
        this.#dueTimer?.stop();
        this.notebook.down(event.fault, event.atMonotonicMs);
        listener.onDown(this.deviceId, event.fault);
        return;
      case "bytes":
        this.#takeBytes(event, listener);
        return;
    }
  }

  #takeBytes(event: Extract<LinkEvent, { kind: "bytes" }>, listener: LineListener): void {
    const { lastSeq, stamp } = this.#parts;
    if (this.#thanks.isRepeat(event, lastSeq())) return;
    const receivedAtMs = stamp?.(event.receivedMonotonicMs) ?? event.receivedAtMs;
    const before = lastSeq();
    const judgement = this.intake.feed({ ...event, receivedAtMs });
    this.#refusedCount += judgement.refusals.length;
    this.notebook.judged(event, judgement);
    if (judgement.heard) this.#lastHeardMs = event.receivedMonotonicMs;
    listener.onJudgement(this.deviceId, judgement);
    this.#thanks.owe({ position: event.position, from: seq(before + 1), to: lastSeq() });
    this.#serveDue(listener);
  }

  /** Sends what the driver wants to send and comes back when it wants to be asked again. */
  #serveDue(listener: LineListener): void {
    const { clock, link } = this.#parts;
    this.#dueTimer?.stop();
    this.#dueTimer = null;
    if (!this.#isUp) return;
    const now = clock.monotonic();
    const due = this.intake.due(now);
    if (due.quarantined !== null) listener.onJudgement(this.deviceId, { ...NOTHING_JUDGED, quarantined: due.quarantined });
    // A failed write shows as `down` on the link itself.
    for (const { channel, bytes } of due.bytesToSend) void link.write(channel, bytes);
    if (due.nextDueMs !== null) this.#dueTimer = clock.after(Math.max(1, due.nextDueMs - now), () => this.#serveDue(listener));
  }
}
