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
  const { intake, link, clock, lastSeq, stamp } = parts;
  const thanks = new Thanks({ clock, thank: (upToPosition) => link.committed(upToPosition), hurry: parts.hurry ?? (() => {}) });
  let up = false;
  let lastHeardMs: MonotonicMs | null = null;
  let refusedCount = 0;
  let dueTimer: Timer | null = null;
  const notebook = openDeviceNotebook({ clock, hasWholeMessages: intake.driver.link.kind === "mqtt" });
  /** Called when everything is thanked for; null while the device is in use. */
  let left: (() => void) | null = null;

  /** Sends what the driver wants to send and comes back when it wants to be asked again. */
  const serveDue = (listener: LineListener) => {
    dueTimer?.stop();
    dueTimer = null;
    if (!up) return;
    const now = clock.monotonic();
    const due = intake.due(now);
    if (due.quarantined !== null) listener.onJudgement(intake.deviceId, { ...NOTHING_JUDGED, quarantined: due.quarantined });
    // A failed write shows as `down` on the link itself.
    for (const { channel, bytes } of due.bytesToSend) void link.write(channel, bytes);
    if (due.nextDueMs !== null) dueTimer = clock.after(Math.max(1, due.nextDueMs - now), () => serveDue(listener));
  };

  const take = (event: LinkEvent, listener: LineListener) => {
    if (left !== null) {
      // Nobody wants it any more, and its sender must not wait for ever.
      if (event.kind === "bytes") thanks.owe({ position: event.position, from: seq(1), to: seq(0) });
      return;
    }
    switch (event.kind) {
      case "up":
        up = true;
        thanks.beginAnew();
        intake.begin();
        notebook.up(event.atMonotonicMs);
        listener.onUp(intake.deviceId);
        return serveDue(listener);
      case "down":
        up = false;
        dueTimer?.stop();
        notebook.down(event.fault, event.atMonotonicMs);
        return listener.onDown(intake.deviceId, event.fault);
      case "bytes": {
        if (thanks.isRepeat(event, lastSeq())) return;
        const receivedAtMs = stamp?.(event.receivedMonotonicMs) ?? event.receivedAtMs;
        const before = lastSeq();
        const judgement = intake.feed({ ...event, receivedAtMs });
        refusedCount += judgement.refusals.length;
        notebook.judged(event, judgement);
        if (judgement.heard) lastHeardMs = event.receivedMonotonicMs;
        listener.onJudgement(intake.deviceId, judgement);
        thanks.owe({ position: event.position, from: seq(before + 1), to: lastSeq() });
        return serveDue(listener);
      }
    }
  };

  return {
    deviceId: intake.deviceId,
    intake,
    isUp: () => up,
    lastHeardAtMs: () => (lastHeardMs === null ? null : wallTimeOf(lastHeardMs, clock)),
    refusedCount: () => refusedCount,
    notebook,
    run: async (listener) => {
      for await (const event of link.events) take(event, listener);
      dueTimer?.stop();
    },
    committed: (upTo) => {
      thanks.committed(upTo);
      if (left !== null && thanks.isSettled()) left();
    },
    lost: (numbers) => thanks.lost(numbers),
    close: () => link.close(),
    leave: async () => {
      dueTimer?.stop();
      await new Promise<void>((resolve) => {
        left = resolve;
        if (thanks.isSettled()) resolve();
      });
      await link.close();
    },
  };
}

/** By the clock as it stands now: it may have been set since. */
function wallTimeOf(atMonotonicMs: MonotonicMs, clock: Clock): WallMs {
  return wallMs(Math.round(clock.wall() - (clock.monotonic() - atMonotonicMs)));
}
