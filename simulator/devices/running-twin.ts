import type { Twin } from "../../src/core/ports.ts";
import type { Clock } from "../../src/core/time.ts";
import type { BadLinkPlan } from "../links/bad-sender.ts";
import type { Timetable } from "./timetable.ts";

/** What a simulated device has sent and what became of it. */
export interface DeviceStats {
  readonly messagesSent: number;
  /** Bytes the twin made. */
  readonly bytesSent: number;
  /** Bytes that a client who was connected did not get because it, or a line that is slow on purpose, was too slow. */
  readonly bytesDropped: number;
  /** Bytes the host wrote to the device. */
  readonly bytesReceived: number;
}

/** Called as each message of a twin leaves, with the monotonic time. */
export type OnSent = (atMonotonicMs: number, bytes: Uint8Array) => void;

/** What every simulated device is given. */
export interface DeviceParts {
  readonly clock: Clock;
  readonly timetable: Timetable;
  readonly onSent?: OnSent | undefined;
  /** The twin is switched on this much later, so that the devices of a ward do not all speak at once; 0 where it is not said. */
  readonly startAfterMs?: number;
  /** How bad the link is, for what carries the bytes; as good as it can be where it is not said. */
  readonly badLink?: BadLinkPlan | undefined;
}

/** A twin that is switched on: its time is the time since then. */
export interface RunningTwin {
  readonly receive: (bytes: Uint8Array, channel?: string) => void;
  readonly stats: () => Omit<DeviceStats, "bytesDropped">;
  readonly stop: () => void;
}

/** A twin must not ask to be called again sooner than this. */
const STEP_MS_MIN = 1;

/** Switches a twin on and calls `send` with each of its messages when it is due. */
export function runTwin(
  twin: Twin,
  parts: DeviceParts & { readonly send: (bytes: Uint8Array, channel: string) => void },
): RunningTwin {
  const startMs = parts.clock.monotonic() + (parts.startAfterMs ?? 0);
  let messagesSent = 0;
  let bytesSent = 0;
  let bytesReceived = 0;
  let stopped = false;
  let next = { stop: () => {} };

  const step = () => {
    if (stopped) return;
    const nowMs = parts.clock.monotonic();
    if (nowMs < startMs) return;
    const due = twin.due(nowMs - startMs);
    for (const { bytes, channel } of due.bytesToSend) {
      messagesSent += 1;
      bytesSent += bytes.length;
      parts.onSent?.(nowMs, bytes);
      parts.send(bytes, channel);
    }
    next.stop();
    if (due.nextDueMs < Number.POSITIVE_INFINITY) {
      next = parts.timetable.at(Math.max(nowMs + STEP_MS_MIN, startMs + due.nextDueMs), step);
    }
  };
  next = parts.timetable.at(startMs, step);
  return {
    receive: (bytes, channel = "") => {
      bytesReceived += bytes.length;
      twin.receive(bytes, channel);
      step();
    },
    stats: () => ({ messagesSent, bytesSent, bytesReceived }),
    stop: () => {
      stopped = true;
      next.stop();
    },
  };
}
