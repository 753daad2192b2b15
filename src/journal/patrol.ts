import type { Clock, Timer } from "../core/time.ts";

/** How often the patrol goes on, and how long at a time: a fiftieth of the thread, and nothing while somebody waits for an answer. */
const EVERY_MS = 100;
const SLICE_MS = 2;
/** A file that could not be looked through, because it is being mended or its disk is away, is tried again after so long. */
const REST_MS = 60_000;

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
  readonly #restingUntilMs = new Map<string, number>();
  #files: readonly PatrolFile[] = [];
  #doneKeys = new Set<string>();
  #under: { readonly key: string; readonly steps: AsyncGenerator<void> } | null = null;
  #timer: Timer | null = null;
  #walking = false;

  /** @param parts  `onTrouble` hears why a file could not be looked through, before it is tried again later; throws what is no trouble of the disk. */
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
    for (const key of this.#restingUntilMs.keys()) if (!keys.has(key)) this.#restingUntilMs.delete(key);
    if (this.#under !== null && !keys.has(this.#under.key)) this.#under = null;
    if (this.#isThrough()) this.#rest();
    else this.#timer ??= this.#clock.every(EVERY_MS, () => void this.#walk());
  }

  #rest(): void {
    this.#timer?.stop();
    this.#timer = null;
  }

  #isThrough(): boolean {
    return this.#files.every((file) => this.#doneKeys.has(file.key));
  }

  #next(): PatrolFile | null {
    const nowMs = this.#clock.monotonic();
    const rests = (key: string) => (this.#restingUntilMs.get(key) ?? 0) > nowMs;
    return this.#files.find(({ key }) => !this.#doneKeys.has(key) && !rests(key)) ?? null;
  }

  async #walk(): Promise<void> {
    if (this.#walking || this.#isBusy()) return;
    this.#walking = true;
    const untilMs = this.#clock.monotonic() + SLICE_MS;
    while (this.#clock.monotonic() < untilMs && (await this.#step()));
    this.#walking = false;
  }

  /** @returns  False where nothing is to be looked at now. */
  async #step(): Promise<boolean> {
    const next = this.#next();
    if (next === null) {
      if (this.#isThrough()) this.#rest();
      return false;
    }
    if (this.#under?.key !== next.key) this.#under = { key: next.key, steps: next.look() };
    const { key, steps } = this.#under;
    try {
      if ((await steps.next()).done === true) this.#doneKeys.add(key);
    } catch (error) {
      this.#under = null;
      this.#restingUntilMs.set(key, this.#clock.monotonic() + REST_MS);
      this.#onTrouble(error);
    }
    return true;
  }
}
