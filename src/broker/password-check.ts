import { createHmac, timingSafeEqual } from "node:crypto";
import { hashPassword, SALT_BYTES } from "../accounts/password-hash.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, MonotonicMs } from "../core/time.ts";
import { BROKER_PASSWORD_COST, type PasswordHash } from "./broker-accounts.ts";

/** What came of a password. `locked`: not looked at, after too many wrong ones. `busy`: not looked at, because too many wait. */
export type PasswordAnswer = "right" | "wrong" | "locked" | "busy";

/** One attempt to sign in. */
export interface PasswordAttempt {
  /** As the client says it; of no account where `kept` is null. */
  readonly name: string;
  readonly password: Buffer;
  readonly kept: PasswordHash | null;
  readonly address: string;
}

/** What the check is made of. */
export interface PasswordCheckParts {
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

const MINUTE_MS = 60_000;

/**
 * Checks passwords, one at a time. One that was right is known again by a keyed hash in memory, so that hundreds of devices that come back
 * together do not wait for one another, nor behind somebody who tries.
 */
export class PasswordCheck {
  readonly #parts: PasswordCheckParts;
  readonly #key: Buffer;
  readonly #strangerSalt: Buffer;
  readonly #underWay = new Map<string, Promise<boolean>>();
  readonly #known = new Map<string, Buffer>();
  readonly #wrong = new Map<string, { count: number; readonly sinceMs: MonotonicMs }>();
  #turn: Promise<unknown> = Promise.resolve();
  #waitingCount = 0;

  constructor(parts: PasswordCheckParts) {
    this.#parts = parts;
    this.#key = parts.random(32);
    this.#strangerSalt = parts.random(SALT_BYTES);
  }

  async check(attempt: PasswordAttempt): Promise<PasswordAnswer> {
    const mark = this.#markOf(attempt);
    const known = this.#known.get(attempt.name);
    if (known !== undefined && attempt.kept !== null && timingSafeEqual(known, mark)) return "right";
    // Clients of one account that come together share one check.
    const same = this.#underWay.get(mark.toString("base64"));
    if (same !== undefined) return (await same) ? "right" : "wrong";
    if (this.#waitingCount >= LIMITS.brokerPasswordsWaitingMax.value) return "busy";
    // Counted before it is known to be wrong, so that nobody tries many at once.
    const who = attempt.kept === null ? `? ${attempt.address}` : `${attempt.name} ${attempt.address}`;
    const attempts = this.#countOf(who);
    if (attempts.count >= LIMITS.brokerWrongPasswordsPerMinuteMax.value) return "locked";
    attempts.count += 1;
    const isRight = await this.#shared(mark.toString("base64"), this.#inTurn(attempt));
    if (!isRight) return "wrong";
    attempts.count -= 1;
    this.#known.set(attempt.name, mark);
    return "right";
  }

  /** The account is gone: what was right for it is not any more. */
  forget(name: string): void {
    this.#known.delete(name);
  }

  /** Under the kept hash too: a renewed password makes the former one unknown. */
  #markOf({ name, password, kept }: PasswordAttempt): Buffer {
    const hmac = createHmac("sha256", this.#key).update(`${name}\0${kept?.hashBase64 ?? ""}\0`);
    return hmac.update(password).digest();
  }

  #countOf(who: string): { count: number } {
    const nowMs = this.#parts.clock.monotonic();
    const former = this.#wrong.get(who);
    if (former !== undefined && nowMs - former.sinceMs < MINUTE_MS) return former;
    this.#wrong.delete(who);
    const begun = { count: 0, sinceMs: nowMs };
    this.#wrong.set(who, begun);
    if (this.#wrong.size > LIMITS.brokerWrongPasswordsKnownMax.value) {
      const oldest = this.#wrong.keys().next();
      if (oldest.done !== true) this.#wrong.delete(oldest.value);
    }
    return begun;
  }

  async #shared(mark: string, check: Promise<boolean>): Promise<boolean> {
    this.#underWay.set(mark, check);
    try {
      return await check;
    } finally {
      this.#underWay.delete(mark);
    }
  }

  async #inTurn({ password, kept }: PasswordAttempt): Promise<boolean> {
    this.#waitingCount += 1;
    // A name that no account has takes as long.
    const cost = kept ?? BROKER_PASSWORD_COST;
    const salt = kept === null ? this.#strangerSalt : Buffer.from(kept.saltBase64, "base64");
    const mine = this.#turn.then(() => hashPassword(password.toString("utf8"), salt, cost));
    this.#turn = mine.catch(() => undefined);
    try {
      const given = await mine;
      return kept !== null && timingSafeEqual(given, Buffer.from(kept.hashBase64, "base64"));
    } finally {
      this.#waitingCount -= 1;
    }
  }
}
