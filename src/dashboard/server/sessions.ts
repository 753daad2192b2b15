import { createHash, timingSafeEqual } from "node:crypto";
import type { UserId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock } from "../../core/time.ts";

const tokenBytes = 32;
const msPerMinute = 60_000;
const strangerBuckets = 64;

/** Who is signed in. Only hashes of the session ids are kept, in memory: a restart signs everybody out. */
export interface Sessions {
  /** Begins a session and returns its id, 256 random bits, base64url. */
  readonly begin: (user: UserId) => string;
  /** The user of a session id, or null where it is unknown or over. */
  readonly userOf: (sessionId: string) => UserId | null;
  readonly end: (sessionId: string) => void;
}

/** Makes an empty set of sessions; at `pageSessionsMax` the oldest one ends. */
export function createSessions(parts: { readonly clock: Clock; readonly random: (bytes: number) => Buffer }): Sessions {
  const sessions = new Map<string, { readonly user: UserId; readonly endsAtMs: number }>();
  const lifetimeMs = LIMITS.sessionHoursMax.value * 60 * msPerMinute;
  return {
    begin: (user) => {
      const sessionId = parts.random(tokenBytes).toString("base64url");
      const oldest = sessions.size >= LIMITS.pageSessionsMax.value ? sessions.keys().next().value : undefined;
      if (oldest !== undefined) sessions.delete(oldest);
      sessions.set(digest(sessionId).toString("hex"), { user, endsAtMs: parts.clock.monotonic() + lifetimeMs });
      return sessionId;
    },
    userOf: (sessionId) => {
      const key = digest(sessionId).toString("hex");
      const session = sessions.get(key);
      if (session === undefined) return null;
      if (parts.clock.monotonic() < session.endsAtMs) return session.user;
      sessions.delete(key);
      return null;
    },
    end: (sessionId) => void sessions.delete(digest(sessionId).toString("hex")),
  };
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
  /** Forgets the attempts under a name, after the right password. */
  readonly forgive: (name: string) => void;
}

/**
 * Makes a gate. Names without an account share a fixed number of counters, so that guessing names fills no memory
 * and is refused in the same way as guessing passwords.
 */
export function createSignInGate(parts: { readonly clock: Clock; readonly known: (name: string) => boolean }): SignInGate {
  const attempts = new Map<string, number[]>();
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
    forgive: (name) => void attempts.delete(keyOf(name)),
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
