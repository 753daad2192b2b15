import { type FileHandle, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { LIMITS } from "../../core/limits.ts";
import { fail, type Result, succeed } from "../../core/result.ts";
import type { Clock, MonotonicMs, Timer } from "../../core/time.ts";

/** Why a line is not in the file. `cause` is the system's name of it. */
export type CaptureFileError =
  | { readonly kind: "full"; readonly limitBytes: number }
  | { readonly kind: "line-too-long"; readonly givenBytes: number }
  | { readonly kind: "failed"; readonly cause: string };

/** A new recording; only its maker can read it (mode 0600), because it is of a patient. */
export class CaptureFile {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #clock: Clock;
  #writtenBytes = 0;
  #syncedAtMs: MonotonicMs | null = null;
  #timer: Timer | null = null;
  /** What went wrong while nobody waited for it. */
  #failure: string | null = null;
  #syncing: Promise<void> = Promise.resolve();

  /** Makes the file, and fails with the system's code where there is one already or none can be made. */
  static async create(path: string, clock: Clock): Promise<Result<CaptureFile, string>> {
    try {
      const handle = await open(path, "ax", 0o600);
      await syncFolder(dirname(path));
      return succeed(new CaptureFile(handle, path, clock));
    } catch (error) {
      return fail(codeOf(error));
    }
  }

  private constructor(handle: FileHandle, path: string, clock: Clock) {
    this.#handle = handle;
    this.#path = path;
    this.#clock = clock;
  }

  /** Appends one line with its line end; it is on the disk within `captureSyncMsMax`. */
  async append(line: string): Promise<Result<void, CaptureFileError>> {
    const bytes = Buffer.from(line);
    const limitBytes = LIMITS.captureFileBytesMax.value;
    if (this.#failure !== null) return fail({ kind: "failed", cause: this.#failure });
    if (bytes.length > LIMITS.captureLineBytesMax.value) return fail({ kind: "line-too-long", givenBytes: bytes.length });
    if (this.#writtenBytes + bytes.length > limitBytes) return fail({ kind: "full", limitBytes });
    try {
      await this.#handle.appendFile(bytes);
    } catch (error) {
      return fail({ kind: "failed", cause: codeOf(error) });
    }
    this.#writtenBytes += bytes.length;
    this.#syncSoon();
    return succeed(undefined);
  }

  /** Closes it with everything on the disk; `keep: false` takes it away again. */
  async close({ keep }: { readonly keep: boolean }): Promise<Result<void, CaptureFileError>> {
    this.#timer?.stop();
    await this.#syncing;
    await this.#sync();
    try {
      await this.#handle.close();
      if (!keep) await rm(this.#path, { force: true });
    } catch (error) {
      this.#failure ??= codeOf(error);
    }
    return this.#failure === null ? succeed(undefined) : fail({ kind: "failed", cause: this.#failure });
  }

  #syncSoon(): void {
    if (this.#timer !== null) return;
    const waitedMs = this.#syncedAtMs === null ? Number.POSITIVE_INFINITY : this.#clock.monotonic() - this.#syncedAtMs;
    this.#timer = this.#clock.after(Math.max(0, LIMITS.captureSyncMsMax.value - waitedMs), () => {
      this.#timer = null;
      this.#syncedAtMs = this.#clock.monotonic();
      this.#syncing = this.#syncing.then(() => this.#sync());
    });
  }

  async #sync(): Promise<void> {
    try {
      await this.#handle.datasync();
    } catch (error) {
      this.#failure ??= codeOf(error);
    }
  }
}

/** The name must outlive a pulled plug as well. A folder that may not be read or synced is left to the file system, which does it with the file. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => null);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}

/** The system's name of a failure. */
function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
