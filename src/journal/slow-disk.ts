import type { SimulatedDisk } from "./messages.ts";

/** Waits as a slower disk would; the same seed gives the same waits. */
export class SlowDisk {
  readonly #disk: SimulatedDisk;
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  #state: number;

  constructor(disk: SimulatedDisk) {
    this.#disk = disk;
    this.#state = disk.seed >>> 0;
  }

  /** Blocks this thread for one wait for the disk. */
  wait(): void {
    const waitMs = this.#random() < this.#disk.slowShare ? this.#disk.slowFsyncMs : this.#disk.fsyncMs;
    Atomics.wait(this.#cell, 0, 0, waitMs);
  }

  /** Mulberry32, a public-domain generator by Tommy Ettinger; from 0 to under 1. */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
