import type { Fault } from "../core/errors.ts";
import { type DeviceId, type Seq, seq } from "../core/ids.ts";
import type { Link, LinkEvent } from "../core/ports.ts";
import type { SeqSpan } from "../core/record.ts";
import { type Clock, type MonotonicMs, type Timer, type WallMs, wallMs } from "../core/time.ts";
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
  /** Everything up to `seq` is on disk: the link may thank its sender for what it brought of that. */
  readonly committed: (seq: Seq) => void;
  /** These numbers never reached the disk: their sender is not thanked, nor for anything after it, before the link is opened anew and it sends again. */
  readonly lost: (numbers: SeqSpan) => void;
  /** Runs until the link is closed. */
  readonly run: (listener: LineListener) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Joins a link to a device's intake: bytes in, judgements out, and the driver's own bytes back when they are due. */
export function createDeviceLine(parts: {
  readonly intake: DeviceIntake;
  readonly link: Link;
  readonly clock: Clock;
  /** The last number that was given to any record. */
  readonly lastSeq: () => Seq;
  /** The wall time of a reception as the clock stands when its records are numbered; the link's own where this is left out. */
  readonly stamp?: (receivedMonotonicMs: MonotonicMs) => WallMs;
}): DeviceLine {
  const { intake, link, clock, lastSeq, stamp } = parts;
  const thanks = new Thanks((upToPosition) => link.committed(upToPosition));
  let up = false;
  let lastHeardMs: MonotonicMs | null = null;
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
        thanks.beginAnew();
        intake.begin();
        listener.onUp(intake.deviceId);
        return serveDue(listener);
      case "down":
        up = false;
        dueTimer?.stop();
        return listener.onDown(intake.deviceId, event.fault);
      case "bytes": {
        const receivedAtMs = stamp?.(event.receivedMonotonicMs) ?? event.receivedAtMs;
        const before = lastSeq();
        const judgement = intake.feed({ ...event, receivedAtMs });
        refusedCount += judgement.refusals.length;
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
    // By the clock as it stands now: it may have been set since.
    lastHeardAtMs: () => (lastHeardMs === null ? null : wallMs(Math.round(clock.wall() - (clock.monotonic() - lastHeardMs)))),
    refusedCount: () => refusedCount,
    run: async (listener) => {
      for await (const event of link.events) take(event, listener);
      dueTimer?.stop();
    },
    committed: (upTo) => thanks.committed(upTo),
    lost: (numbers) => thanks.lost(numbers),
    close: () => link.close(),
  };
}

/** A chunk and the numbers of the records that came of it; `from` is over `to` where nothing did. */
interface Owed extends SeqSpan {
  position: number;
}

/**
 * Which chunks a link may thank for: those whose records are all on disk (decision 4). A chunk that brought no record is thanked with the
 * one before it, so that the list is never longer than the journal's own queue.
 */
class Thanks {
  readonly #thank: (upToPosition: number) => void;
  readonly #owed: Owed[] = [];
  #withheld = false;

  constructor(thank: (upToPosition: number) => void) {
    this.#thank = thank;
  }

  /** A new connection: the sender sends again what it was not thanked for. */
  beginAnew(): void {
    this.#owed.length = 0;
    this.#withheld = false;
  }

  owe(chunk: Owed): void {
    if (this.#withheld) return;
    const last = this.#owed.at(-1);
    if (chunk.from <= chunk.to) this.#owed.push(chunk);
    else if (last === undefined) this.#thank(chunk.position);
    else last.position = chunk.position;
  }

  committed(upTo: Seq): void {
    let thankedTo: number | null = null;
    for (let first = this.#owed[0]; first !== undefined && first.to <= upTo; first = this.#owed[0]) {
      thankedTo = first.position;
      this.#owed.shift();
    }
    if (thankedTo !== null) this.#thank(thankedTo);
  }

  lost(numbers: SeqSpan): void {
    const hit = this.#owed.findIndex(({ from, to }) => from <= numbers.to && to >= numbers.from);
    if (hit < 0) return;
    this.#owed.length = hit;
    this.#withheld = true;
  }
}
