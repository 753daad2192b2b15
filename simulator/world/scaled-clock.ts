import { type Clock, monotonicMs, wallMs } from "../../src/core/time.ts";

/** A clock that runs so many times as fast as another one. */
export function createScaledClock(clock: Clock, speed: number): Clock {
  if (speed === 1) return clock;
  const wallAtStartMs = clock.wall();
  const startMs = clock.monotonic();
  const passedMs = () => (clock.monotonic() - startMs) * speed;
  return {
    wall: () => wallMs(Math.round(wallAtStartMs + passedMs())),
    monotonic: () => monotonicMs(startMs + passedMs()),
    every: (periodMs, work) => clock.every(Math.max(1, periodMs / speed), work),
    after: (delayMs, work) => clock.after(delayMs / speed, work),
    sleep: (delayMs, stop) => clock.sleep(delayMs / speed, stop),
  };
}
