import type { Clock } from "../core/time.ts";
import type { SimulatedDisk } from "./messages.ts";

/** Waits as a slower disk would; the same seed gives the same waits. */
export class SlowDisk {
  readonly #disk: SimulatedDisk;
  readonly #clock: Clock;
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  #state: number;
  /** Until when a wait that was begun aside keeps the disk busy. */
  #busyUntilMs = Number.NEGATIVE_INFINITY;

  constructor(disk: SimulatedDisk, clock: Clock) {
    this.#disk = disk;
    this.#clock = clock;
    this.#state = disk.seed >>> 0;
  }

  /** Blocks this thread for one wait for the disk, which comes after any that was begun aside: there is one disk. */
  wait(): void {
    Atomics.wait(this.#cell, 0, 0, this.#restMs() + this.#waitMs());
  }

  /** Begins one wait that this thread does not stand still for, and resolves when it is over. */
  async waitAside(): Promise<void> {
    const waitMs = this.#restMs() + this.#waitMs();
    this.#busyUntilMs = this.#clock.monotonic() + waitMs;
    await this.#clock.sleep(waitMs);
  }

  #restMs(): number {
    return Math.max(0, this.#busyUntilMs - this.#clock.monotonic());
  }

  #waitMs(): number {
    return this.#random() < this.#disk.slowShare ? this.#disk.slowFsyncMs : this.#disk.fsyncMs;
  }

  /** Mulberry32, a public-domain generator by Tommy Ettinger; from 0 to under 1. */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
