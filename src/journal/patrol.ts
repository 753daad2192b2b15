import type { Clock, Timer } from "../core/time.ts";

/** How often the patrol goes on, and how long at a time: a fiftieth of the thread, and nothing while somebody waits for an answer. */
const EVERY_MS = 100;
const SLICE_MS = 2;

/** A file that is looked through, under a name that changes with its content. */
export interface PatrolFile {
  readonly key: string;
  /** Looks through the file; may be left off after each step. What it finds it tells itself. Rejects with the disk's error. */
  readonly look: () => AsyncGenerator<void>;
}

/**
 * Looks through files that are never written again and that nobody may ask for in years, each once in a life: what decays on a disk is found
 * within minutes of a start, and not in the moment in which it is needed.
 */
export class Patrol {
  readonly #clock: Clock;
  readonly #isBusy: () => boolean;
  readonly #onTrouble: (error: unknown) => void;
  #files: readonly PatrolFile[] = [];
  #doneKeys = new Set<string>();
  #under: { readonly key: string; readonly steps: AsyncGenerator<void> } | null = null;
  #timer: Timer | null = null;
  #walking = false;

  /** @param parts  `onTrouble` hears why a file could not be looked through; it is then left for this life, unless it throws. */
  constructor(parts: { readonly clock: Clock; readonly isBusy: () => boolean; readonly onTrouble: (error: unknown) => void }) {
    this.#clock = parts.clock;
    this.#isBusy = parts.isBusy;
    this.#onTrouble = parts.onTrouble;
  }

  /** The files there are now, in the order in which they are looked through. */
  use(files: readonly PatrolFile[]): void {
    this.#files = files;
    const keys = new Set(files.map((file) => file.key));
    this.#doneKeys = new Set([...this.#doneKeys].filter((key) => keys.has(key)));
    if (this.#under !== null && !keys.has(this.#under.key)) this.#under = null;
    if (this.#next() === null) this.#rest();
    else this.#timer ??= this.#clock.every(EVERY_MS, () => void this.#walk());
  }

  #rest(): void {
    this.#timer?.stop();
    this.#timer = null;
  }

  #next(): PatrolFile | null {
    return this.#files.find((file) => !this.#doneKeys.has(file.key)) ?? null;
  }

  async #walk(): Promise<void> {
    if (this.#walking || this.#isBusy()) return;
    this.#walking = true;
    const untilMs = this.#clock.monotonic() + SLICE_MS;
    while (this.#clock.monotonic() < untilMs && (await this.#step()));
    this.#walking = false;
  }

  /** @returns  False where nothing is left to look at. */
  async #step(): Promise<boolean> {
    const next = this.#next();
    if (next === null) {
      this.#rest();
      return false;
    }
    if (this.#under?.key !== next.key) this.#under = { key: next.key, steps: next.look() };
    const { key, steps } = this.#under;
    let isThrough = true;
    try {
      isThrough = (await steps.next()).done === true;
    } catch (error) {
      this.#onTrouble(error);
    }
    if (isThrough) this.#doneKeys.add(key);
    return true;
  }
}
