import { type FileHandle, open, readFile } from "node:fs/promises";
import { writePrivateFile } from "../accounts/private-file.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock, MonotonicMs } from "../core/time.ts";

/** What a durable map is made of. */
export interface DurableMapParts {
  readonly clock: Clock;
  /** Called with the operating system's code, such as `ENOSPC`, when the disk begins to refuse, and with null when it takes again. */
  readonly onTrouble: (code: string | null) => void;
}

/**
 * A small map from text to JSON, held in memory and kept in one file of lines: `["key", value]`, or `["key"]` where it was removed.
 * Changes are appended and synced together, four times a second at most; a torn last line is passed over. When much of the file no longer counts, or after a failed write,
 * the whole map is written anew beside the old file and renamed.
 */
export class DurableMap {
  readonly #file: string;
  readonly #parts: DurableMapParts;
  readonly #lines: Map<string, string>;
  #liveBytes = 0;
  #fileBytes = 0;
  /** The newest line of each key that changed and is not written. */
  #waiting = new Map<string, string>();
  #waitingBytes = 0;
  /** Keys that the file has. */
  #written: Set<string>;
  #wroteAtMs: MonotonicMs | null = null;
  /** Counts changes; all up to `#settledUpTo` are on disk. */
  #changes = 0;
  #settledUpTo = 0;
  #settling: { readonly upTo: number; readonly resolve: () => void }[] = [];
  #mustRewrite: boolean;
  #handle: FileHandle | null = null;
  #isWriting = false;
  #trouble: string | null = null;
  readonly #stop = new AbortController();
  readonly #hurry = new AbortController();

  private constructor(
    file: string,
    parts: DurableMapParts,
    found: { readonly lines: Map<string, string>; readonly isWhole: boolean },
  ) {
    this.#file = file;
    this.#parts = parts;
    this.#lines = found.lines;
    for (const line of found.lines.values()) this.#liveBytes += line.length;
    this.#mustRewrite = !found.isWhole;
    this.#written = new Set(found.lines.keys());
    this.#fileBytes = this.#liveBytes;
  }

  /** Opens the file; a missing one is an empty map. Fails with the operating system's code. */
  static async open(file: string, parts: DurableMapParts): Promise<Result<DurableMap, string>> {
    try {
      return succeed(new DurableMap(file, parts, readLines(await readFile(file, "utf8"))));
    } catch (error) {
      const code = codeOf(error);
      if (code !== "ENOENT") return fail(code);
      // Its first write makes the file, and syncs the folder that names it.
      return succeed(new DurableMap(file, parts, { lines: new Map(), isWhole: false }));
    }
  }

  /** What it held when it was opened or was put since, in the order it was first put. */
  *entries(): Iterable<readonly [key: string, value: unknown]> {
    for (const [key, line] of this.#lines) {
      const parsed: unknown = JSON.parse(line);
      yield [key, Array.isArray(parsed) ? parsed[1] : undefined];
    }
  }

  keys(): Iterable<string> {
    return this.#lines.keys();
  }

  put(key: string, value: unknown): void {
    const line = `${JSON.stringify([key, value])}\n`;
    const former = this.#lines.get(key);
    if (former === line) return;
    this.#liveBytes += line.length - (former?.length ?? 0);
    this.#lines.set(key, line);
    this.#change(key, line);
  }

  remove(key: string): void {
    const former = this.#lines.get(key);
    if (former === undefined) return;
    this.#liveBytes -= former.length;
    this.#lines.delete(key);
    this.#change(key, `${JSON.stringify([key])}\n`);
  }

  /** Counts the changes so far. */
  get changesCount(): number {
    return this.#changes;
  }

  /** Whether so many changes are on disk, or all up to now. */
  isSettled(upTo: number = this.#changes): boolean {
    return this.#settledUpTo >= upTo;
  }

  /** Resolves when so many changes are on disk, or all up to now. */
  settled(upTo: number = this.#changes): Promise<void> {
    if (this.isSettled(upTo)) return Promise.resolve();
    return new Promise((resolve) => this.#settling.push({ upTo, resolve }));
  }

  /** From now on changes are written at once: the end is near. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** Stops trying; what is not on disk by now is lost. */
  async close(): Promise<void> {
    this.#hurry.abort();
    this.#stop.abort();
    for (const one of this.#settling.splice(0)) one.resolve();
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close().catch(() => {});
  }

  #change(key: string, line: string): void {
    this.#changes += 1;
    if (!this.#mustRewrite) this.#await(key, line);
    if (this.#waitingBytes > LIMITS.brokerSessionWaitingBytesMax.value) this.#beginAnew();
    if (!this.#isWriting) void this.#write();
  }

  /** Of what changes often only the newest is written, and of what came and went meanwhile nothing: it saves the disk. */
  #await(key: string, line: string): void {
    this.#waitingBytes -= this.#waiting.get(key)?.length ?? 0;
    this.#waiting.delete(key);
    if (!this.#lines.has(key) && !this.#written.has(key)) return;
    this.#waiting.set(key, line);
    this.#waitingBytes += line.length;
  }

  #takeWaiting(): string {
    const text = [...this.#waiting.values()].join("");
    for (const key of this.#waiting.keys()) {
      if (this.#lines.has(key)) this.#written.add(key);
      else this.#written.delete(key);
    }
    this.#beginEmpty();
    return text;
  }

  #beginEmpty(): void {
    this.#waiting.clear();
    this.#waitingBytes = 0;
  }

  #beginAnew(): void {
    this.#mustRewrite = true;
    this.#beginEmpty();
  }

  /** Waits so that there are no more writes than four a second; the first after a quiet time is at once. */
  async #awaitTurn(): Promise<void> {
    const { clock } = this.#parts;
    const waitMs = this.#wroteAtMs === null ? 0 : this.#wroteAtMs + LIMITS.brokerSessionGroupMsMax.value - clock.monotonic();
    if (waitMs > 0) await clock.sleep(waitMs, this.#hurry.signal);
    this.#wroteAtMs = clock.monotonic();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    while (!this.isSettled() && !this.#stop.signal.aborted) {
      await this.#awaitTurn();
      const upTo = this.#changes;
      const code = await this.#writeOnce();
      if (this.#trouble !== code && !this.#stop.signal.aborted) this.#parts.onTrouble(code);
      this.#trouble = code;
      if (code === null) this.#settle(upTo);
      else {
        this.#beginAnew();
        await this.#parts.clock.sleep(LIMITS.brokerSessionRetryMs.value, this.#stop.signal);
      }
    }
    this.#isWriting = false;
  }

  #settle(upTo: number): void {
    this.#settledUpTo = upTo;
    const done = this.#settling.filter((one) => one.upTo <= upTo);
    this.#settling = this.#settling.filter((one) => one.upTo > upTo);
    for (const one of done) one.resolve();
  }

  /** Returns the operating system's code of what failed, or null. */
  async #writeOnce(): Promise<string | null> {
    const wornBytesMax = this.#liveBytes + LIMITS.brokerSessionLogBytesMax.value;
    if (this.#mustRewrite || this.#fileBytes + this.#waitingBytes > this.#liveBytes + wornBytesMax) return this.#rewrite();
    const text = this.#takeWaiting();
    try {
      // A line that a crash cut off ends here; what comes is a line of its own.
      if (this.#handle === null) {
        this.#handle = await open(this.#file, "a", 0o600);
        await this.#handle.chmod(0o600);
        await this.#handle.appendFile("\n");
      }
      await this.#handle.appendFile(text);
      await this.#handle.datasync();
      this.#fileBytes += text.length;
      return null;
    } catch (error) {
      return codeOf(error);
    }
  }

  async #rewrite(): Promise<string | null> {
    const text = [...this.#lines.values()].join("");
    this.#mustRewrite = false;
    this.#written = new Set(this.#lines.keys());
    this.#beginEmpty();
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close().catch(() => {});
    const written = await writePrivateFile(this.#file, text);
    if (written.ok) this.#fileBytes = text.length;
    return written.ok ? null : written.error;
  }
}

function readLines(text: string): { readonly lines: Map<string, string>; readonly isWhole: boolean } {
  const lines = new Map<string, string>();
  let isWhole = true;
  for (const line of text.split("\n")) {
    const entry = line === "" ? null : readLine(line);
    if (entry === undefined) isWhole = false;
    else if (entry !== null && entry.length === 1) lines.delete(entry[0]);
    else if (entry !== null) lines.set(entry[0], `${line}\n`);
  }
  return { lines, isWhole };
}

/** Undefined where the line is none. */
function readLine(line: string): readonly [key: string, value?: unknown] | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    if (!Array.isArray(parsed) || typeof parsed[0] !== "string" || parsed.length > 2) return undefined;
    return parsed.length === 1 ? [parsed[0]] : [parsed[0], parsed[1]];
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
