import { createHash, timingSafeEqual } from "node:crypto";
import type { UserId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock } from "../../core/time.ts";
import { createSessionFile, readSessions, type Seal, type StoredSession } from "./session-file.ts";

const tokenBytes = 32;
const msPerMinute = 60_000;
const strangerBuckets = 64;

/** A minute between looks whether the file must be written again. */
const lookMs = msPerMinute;
/** Wall time that moved this much against the monotonic clock was stepped: the ends in the file are wrong. */
const steppedMsMin = msPerMinute;
/** Longest wait of a sign-out for the disk. The session is over at once in any case. */
const endWaitMsMax = 5000;

/**
 * Who is signed in. Sessions outlive the gateway: hashes of their ids are kept in `sessions.json`, so that a wall display
 * goes on by itself after a restart. The ids themselves are nowhere but in the browsers.
 */
export interface Sessions {
  /**
   * Begins a session and returns its id, 256 random bits, base64url. The file follows.
   *
   * @param lifetimeMs  How long it lasts at most; `sessionHoursMax` where it is left out, and never longer.
   * @param idleMs      After how long without use it ends earlier; null or left out: not for that.
   */
  readonly begin: (user: UserId, lifetimeMs?: number, idleMs?: number | null) => string;
  /** Somebody uses a session. The file follows within a minute: a gateway that is cut off may end an unused one so much earlier. */
  readonly use: (sessionId: string) => void;
  /** How long a session may be unused, and how much of that is left; null where it does not end for that, or is over. */
  readonly idleOf: (sessionId: string) => { readonly idleMs: number; readonly leftMs: number } | null;
  /** The user of a session id, or null where it is unknown or over. */
  readonly userOf: (sessionId: string) => UserId | null;
  /** Ends a session at once; resolves when the file no longer holds it, or after five seconds of waiting for the disk. */
  readonly end: (sessionId: string) => Promise<void>;
  /** Ends all sessions of a user at once, because their account was changed; returns how many there were. The file follows. */
  readonly endAllOf: (user: string) => number;
  /** Stops keeping the file up to date; resolves when what there is to write is written, or cannot be. */
  readonly close: () => Promise<void>;
}

/** What sessions need from outside. */
export interface SessionsParts {
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
  readonly seal: Seal;
  /** Told within a minute of each session that ended because its time was over. */
  readonly onTimeOut?: (user: UserId) => void;
}

interface Session {
  readonly user: UserId;
  readonly endsAtMonotonicMs: number;
  /** Null: it does not end for want of use. */
  readonly idle: { readonly idleMs: number; usedAtMonotonicMs: number } | null;
}

function isOverAt({ endsAtMonotonicMs, idle }: Session, nowMs: number): boolean {
  return nowMs >= endsAtMonotonicMs || (idle !== null && nowMs >= idle.usedAtMonotonicMs + idle.idleMs);
}

/**
 * Opens the sessions of a gateway; at `pageSessionsMax` the oldest one ends.
 * In one life of the gateway a session ends by the monotonic clock. Across a restart only wall time is left: an end that has
 * passed, or that lies farther ahead than a session can last (the clock was stepped), is over.
 *
 * @param file        Full path of `sessions.json`; missing or damaged means that nobody is signed in.
 * @param parts.seal  The seal of the accounts: sessions of accounts that are gone are over.
 */
export async function openSessions(file: string, parts: SessionsParts): Promise<Sessions> {
  const { clock, seal, onTimeOut = () => {} } = parts;
  const lifetimeMs = LIMITS.sessionHoursMax.value * 60 * msPerMinute;
  const read = await readSessions(file, seal);
  const sessions = sessionsLeft(read.sessions, clock, lifetimeMs);
  const aheadMs = () => clock.wall() - clock.monotonic();
  let writtenAheadMs = aheadMs();
  let usedSinceWritten = false;
  const kept = createSessionFile({
    file,
    seal,
    stored: read.sessions,
    // Ends are told anew from the monotonic clock with each write, so that a step of wall time is mended by the next one.
    current: () => {
      writtenAheadMs = aheadMs();
      usedSinceWritten = false;
      return [...sessions].map(([sessionHash, session]) => storedSession(sessionHash, session, writtenAheadMs));
    },
    wall: clock.wall,
  });
  // Before anybody can sign in: what was refused must not come back with a later account or clock.
  if (read.refusedSome || sessions.size < read.sessions.length) await kept.save();
  const catchUp = () => {
    const stepped = sessions.size > 0 && Math.abs(aheadMs() - writtenAheadMs) >= steppedMsMin;
    return stepped || usedSinceWritten || kept.hasFailed() ? kept.save() : kept.settled();
  };
  const isOver = (session: Session) => isOverAt(session, clock.monotonic());
  const find = (sessionId: string) => {
    const session = sessions.get(hashOf(sessionId));
    return session === undefined || isOver(session) ? null : session;
  };
  const take = (chosen: (session: Session) => boolean) => {
    const taken = [...sessions].filter(([, session]) => chosen(session));
    for (const [sessionHash] of taken) sessions.delete(sessionHash);
    return taken.map(([, session]) => session);
  };
  const looking = clock.every(lookMs, () => {
    for (const { user } of take(isOver)) onTimeOut(user);
    void catchUp();
  });
  return {
    begin: (user, askedMs = lifetimeMs, idleMs = null) => {
      const sessionId = parts.random(tokenBytes).toString("base64url");
      const oldest = sessions.size >= LIMITS.pageSessionsMax.value ? sessions.keys().next().value : undefined;
      if (oldest !== undefined) sessions.delete(oldest);
      sessions.set(hashOf(sessionId), newSession(user, clock.monotonic(), { lifetimeMs: Math.min(askedMs, lifetimeMs), idleMs }));
      void kept.save();
      return sessionId;
    },
    userOf: (sessionId) => find(sessionId)?.user ?? null,
    use: (sessionId) => {
      const idle = find(sessionId)?.idle;
      if (idle != null) idle.usedAtMonotonicMs = clock.monotonic();
      usedSinceWritten ||= idle != null;
    },
    idleOf: (sessionId) => idleLeft(find(sessionId), clock.monotonic()),
    end: async (sessionId) => {
      if (sessions.delete(hashOf(sessionId))) await settledOrLate(kept.save(), clock);
    },
    endAllOf: (user) => {
      const { length } = take((session) => session.user === user);
      if (length > 0) void kept.save();
      return length;
    },
    close: () => {
      looking.stop();
      return catchUp();
    },
  };
}

/** Resolves when the work is done, or when it takes too long. */
async function settledOrLate(work: Promise<void>, clock: Clock): Promise<void> {
  const settled = new AbortController();
  await Promise.race([work, clock.sleep(endWaitMsMax, settled.signal)]);
  settled.abort();
}

function newSession(
  user: UserId,
  nowMs: number,
  lasts: { readonly lifetimeMs: number; readonly idleMs: number | null },
): Session {
  const idle = lasts.idleMs === null ? null : { idleMs: lasts.idleMs, usedAtMonotonicMs: nowMs };
  return { user, endsAtMonotonicMs: nowMs + lasts.lifetimeMs, idle };
}

function idleLeft(session: Session | null, nowMs: number): ReturnType<Sessions["idleOf"]> {
  if (session === null || session.idle === null) return null;
  const { idleMs, usedAtMonotonicMs } = session.idle;
  return { idleMs, leftMs: usedAtMonotonicMs + idleMs - nowMs };
}

function storedSession(sessionHash: string, { user, endsAtMonotonicMs, idle }: Session, aheadMs: number): StoredSession {
  const session = { sessionHash, user, endsAtMs: Math.floor(endsAtMonotonicMs + aheadMs) };
  if (idle === null) return session;
  const { idleMs, usedAtMonotonicMs } = idle;
  return { ...session, idle: { idleMs, endsAtMs: Math.floor(usedAtMonotonicMs + idleMs + aheadMs) } };
}

/** What goes on of the sessions of the last life; one that would end too far ahead was written by a clock that was stepped. */
function sessionsLeft(stored: readonly StoredSession[], clock: Clock, lifetimeMs: number): Map<string, Session> {
  const sessions = new Map<string, Session>();
  for (const { sessionHash, user, endsAtMs, idle: kept } of stored) {
    const leftMs = endsAtMs - clock.wall();
    if (leftMs <= 0 || leftMs > lifetimeMs) continue;
    const unusedLeftMs = kept === undefined ? null : kept.endsAtMs - clock.wall();
    if (kept !== undefined && (unusedLeftMs === null || unusedLeftMs <= 0 || unusedLeftMs > kept.idleMs)) continue;
    const nowMs = clock.monotonic();
    const idle =
      kept === undefined || unusedLeftMs === null
        ? null
        : { idleMs: kept.idleMs, usedAtMonotonicMs: nowMs + unusedLeftMs - kept.idleMs };
    sessions.set(sessionHash, { user, endsAtMonotonicMs: nowMs + leftMs, idle });
  }
  return sessions;
}

/** The one-time link of a gateway without accounts. */
export interface OneTimeToken {
  readonly token: string;
  /** Whether this is the token and it is neither used nor too old. */
  readonly fits: (given: string) => boolean;
  /** Makes it worthless. */
  readonly use: () => void;
  /** Makes it good again, where the account it was used for could not be made. */
  readonly restore: () => void;
}

/** Makes a token of 256 bits that is good once, for `oneTimeLinkMinutesMax`. */
export function createOneTimeToken(parts: { readonly clock: Clock; readonly random: (bytes: number) => Buffer }): OneTimeToken {
  const token = parts.random(tokenBytes).toString("base64url");
  const wanted = digest(token);
  const endsAtMs = parts.clock.monotonic() + LIMITS.oneTimeLinkMinutesMax.value * msPerMinute;
  let used = false;
  return {
    token,
    fits: (given) => timingSafeEqual(digest(given), wanted) && !used && parts.clock.monotonic() < endsAtMs,
    use: () => {
      used = true;
    },
    restore: () => {
      used = false;
    },
  };
}

/** Counts attempts to sign in, per account and minute. */
export interface SignInGate {
  /** Counts one attempt under a name; false where the name has had its attempts for this minute. */
  readonly admit: (name: string) => boolean;
  /** Counts a right password, and forgets the attempts before it; false where the account has had its sign-ins for this hour. */
  readonly enter: (name: string) => boolean;
}

/**
 * Makes a gate. Names without an account share a fixed number of counters, so that guessing names fills no memory
 * and is refused in the same way as guessing passwords.
 */
export function createSignInGate(parts: { readonly clock: Clock; readonly known: (name: string) => boolean }): SignInGate {
  const attempts = new Map<string, number[]>();
  /** Only accounts have right passwords, and they are few. */
  const entries = new Map<string, number[]>();
  const keyOf = (name: string) =>
    parts.known(name) ? `known ${name}` : `stranger ${digest(name).readUInt8(0) % strangerBuckets}`;
  return {
    admit: (name) => {
      const nowMs = parts.clock.monotonic();
      const key = keyOf(name);
      const recent = (attempts.get(key) ?? []).filter((atMs) => nowMs - atMs < msPerMinute);
      const admitted = recent.length < LIMITS.signInAttemptsPerMinuteMax.value;
      if (admitted) recent.push(nowMs);
      attempts.set(key, recent);
      return admitted;
    },
    enter: (name) => {
      const nowMs = parts.clock.monotonic();
      const recent = (entries.get(name) ?? []).filter((atMs) => nowMs - atMs < 60 * msPerMinute);
      entries.set(name, recent);
      if (recent.length >= LIMITS.signInsPerHourMax.value) return false;
      recent.push(nowMs);
      attempts.delete(keyOf(name));
      return true;
    },
  };
}

function hashOf(sessionId: string): string {
  return digest(sessionId).toString("hex");
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
