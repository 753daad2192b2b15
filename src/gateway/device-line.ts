import type { Fault } from "../core/errors.ts";
import type { DeviceId, Seq } from "../core/ids.ts";
import type { Link, LinkEvent } from "../core/ports.ts";
import type { Clock, Timer, WallMs } from "../core/time.ts";
import { type DeviceIntake, type Judgement, NOTHING_JUDGED } from "../intake/device-intake.ts";

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
  /** Everything up to `seq` is on disk: the link may thank its sender. */
  readonly committed: (seq: Seq) => void;
  /** Runs until the link is closed. */
  readonly run: (listener: LineListener) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Joins a link to a device's intake: bytes in, judgements out, and the driver's own bytes back when they are due. */
export function createDeviceLine(parts: {
  readonly intake: DeviceIntake;
  readonly link: Link;
  readonly clock: Clock;
}): DeviceLine {
  const { intake, link, clock } = parts;
  let up = false;
  let lastHeardAtMs: WallMs | null = null;
  let refusedCount = 0;
  let dueTimer: Timer | null = null;

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
    switch (event.kind) {
      case "up":
        up = true;
        intake.begin();
        listener.onUp(intake.deviceId);
        return serveDue(listener);
      case "down":
        up = false;
        dueTimer?.stop();
        return listener.onDown(intake.deviceId, event.fault);
      case "bytes": {
        const judgement = intake.feed(event);
        refusedCount += judgement.refusals.length;
        if (judgement.heard) lastHeardAtMs = event.receivedAtMs;
        listener.onJudgement(intake.deviceId, judgement);
        return serveDue(listener);
      }
    }
  };

  return {
    deviceId: intake.deviceId,
    intake,
    isUp: () => up,
    lastHeardAtMs: () => lastHeardAtMs,
    refusedCount: () => refusedCount,
    run: async (listener) => {
      for await (const event of link.events) take(event, listener);
      dueTimer?.stop();
    },
    committed: (seq) => link.committed(seq),
    close: () => link.close(),
  };
}
