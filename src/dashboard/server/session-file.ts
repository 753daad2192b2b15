import { readFile, rm, stat } from "node:fs/promises";
import { writePrivateFile } from "../../accounts/private-file.ts";
import { type UserId, userId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";

/** More than the longest entry takes; a larger file was not written here and is not read. */
const entryBytesMax = 1024;

/** One session as kept in `sessions.json`: the hash of its id, never the id. */
export interface StoredSession {
  /** SHA-256 of the session id, hexadecimal. */
  readonly sessionHash: string;
  readonly user: UserId;
  /** Wall time of its end: nothing else is common to two lives of the gateway. */
  readonly endsAtMs: number;
  /** Ends earlier where nobody used it for so long; left out: not for that. */
  readonly idle?: StoredIdle;
}

/** After how long without use a session ends, and when that will be if it is not used, in wall time. */
export interface StoredIdle {
  readonly idleMs: number;
  readonly endsAtMs: number;
}

/** Signs a text for a user with what only `accounts.json` holds; null where there is no such account. */
export type Seal = (user: UserId, text: string) => string | null;

/** What `sessions.json` held. */
export interface SessionsRead {
  /** At most `pageSessionsMax` sessions of accounts that still are, oldest first; ended ones among them. */
  readonly sessions: readonly StoredSession[];
  /** True where the file was damaged, tampered with, or held a session of an account that is gone. */
  readonly refusedSome: boolean;
}

/**
 * Reads the sessions of the gateway's last life. A missing or damaged file means no sessions, never an error: people sign in again.
 * Each entry bears its account's seal, so that an entry invented, prolonged or given to another user opens nothing,
 * and an account made anew under an old name does not inherit the old sessions.
 *
 * @param file  Full path of `sessions.json`.
 * @param seal  The seal of the accounts as they are now.
 */
export async function readSessions(file: string, seal: Seal): Promise<SessionsRead> {
  const entries = await readEntries(file);
  if (entries === "missing") return { sessions: [], refusedSome: false };
  if (entries === "damaged") return { sessions: [], refusedSome: true };
  const fitting = entries.flatMap((entry) => {
    const session = sessionOf(entry, seal);
    return session === null ? [] : [session];
  });
  const sessions = fitting.slice(-LIMITS.pageSessionsMax.value);
  return { sessions, refusedSome: sessions.length < entries.length };
}

async function readEntries(file: string): Promise<readonly unknown[] | "missing" | "damaged"> {
  try {
    const found = await stat(file);
    if (!found.isFile() || found.size > LIMITS.pageSessionsMax.value * entryBytesMax) return "damaged";
    const parsed: unknown = JSON.parse(await readFile(file, "utf8"));
    const known = typeof parsed === "object" && parsed !== null && "version" in parsed && parsed.version === 1;
    return known && "sessions" in parsed && Array.isArray(parsed.sessions) ? parsed.sessions : "damaged";
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT" ? "missing" : "damaged";
  }
}

function sessionOf(entry: unknown, seal: Seal): StoredSession | null {
  if (typeof entry !== "object" || entry === null) return null;
  const { sessionHash, user, endsAtMs, idle, seal: given } = entry as Readonly<Record<string, unknown>>;
  if (typeof sessionHash !== "string" || typeof user !== "string" || typeof given !== "string") return null;
  if (typeof endsAtMs !== "number" || !Number.isSafeInteger(endsAtMs)) return null;
  const kept = idle === undefined ? null : idleOf(idle);
  if (kept === null && idle !== undefined) return null;
  const session = { sessionHash, user: userId(user), endsAtMs, ...(kept === null ? {} : { idle: kept }) };
  return seal(session.user, sealedText(session)) === given ? session : null;
}

function idleOf(idle: unknown): StoredIdle | null {
  if (typeof idle !== "object" || idle === null) return null;
  const { idleMs, endsAtMs } = idle as Readonly<Record<string, unknown>>;
  if (typeof idleMs !== "number" || typeof endsAtMs !== "number") return null;
  return Number.isSafeInteger(idleMs) && Number.isSafeInteger(endsAtMs) ? { idleMs, endsAtMs } : null;
}

function sealedText({ sessionHash, user, endsAtMs, idle }: StoredSession): string {
  const ofIdle = idle === undefined ? [] : [idle.idleMs, idle.endsAtMs];
  return JSON.stringify(["vigil session", sessionHash, user, endsAtMs, ...ofIdle]);
}

/** Keeps `sessions.json` as the sessions are. */
export interface SessionFile {
  /** Writes the sessions as they are now; resolves when that is done or has failed. One write at a time, at most one waits. */
  readonly save: () => Promise<void>;
  /** Resolves when no write is under way or waiting. */
  readonly settled: () => Promise<void>;
  /** Whether the last write failed. */
  readonly hasFailed: () => boolean;
}

/**
 * Makes the keeper of a file.
 *
 * @param parts.stored  What the file may hold now.
 * @param parts.current The sessions to write, oldest first, asked when a write begins.
 * @param parts.wall    Wall time in ms.
 */
export function createSessionFile(parts: {
  readonly file: string;
  readonly seal: Seal;
  readonly stored: readonly StoredSession[];
  readonly current: () => readonly StoredSession[];
  readonly wall: () => number;
}): SessionFile {
  let stored = parts.stored;
  let failed = false;
  let turn: Promise<void> = Promise.resolve();
  let waiting: Promise<void> | null = null;
  const write = async () => {
    const current = parts.current();
    const sealed = current.flatMap((session) => {
      const seal = parts.seal(session.user, sealedText(session));
      return seal === null ? [] : [{ ...session, seal }];
    });
    const written = await writePrivateFile(parts.file, `${JSON.stringify({ version: 1, sessions: sealed }, null, 2)}\n`);
    failed = !written.ok;
    if (written.ok) {
      stored = current;
      return;
    }
    // A full disk still lets go of files: better that everybody signs in again than that a signed-out screen opens by itself.
    const kept = new Set(current.map((session) => session.sessionHash));
    const holdsEnded = stored.some((session) => !kept.has(session.sessionHash) && session.endsAtMs > parts.wall());
    if (!holdsEnded) return;
    stored = await rm(parts.file, { force: true }).then(
      () => [],
      () => stored,
    );
  };
  return {
    save: () => {
      if (waiting !== null) return waiting;
      waiting = turn.then(() => {
        waiting = null;
        return write();
      });
      turn = waiting;
      return waiting;
    },
    settled: () => turn,
    hasFailed: () => failed,
  };
}
