import { type ErrorCode, type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Timer, WallMs } from "../core/time.ts";

/** Why somebody was not let in, something was not taken, or a connection was ended, and what a person is told about it. */
const REASONS = {
  "no-credentials": "broker-sign-in-refused",
  "unknown-account": "broker-sign-in-refused",
  "wrong-password": "broker-sign-in-refused",
  "account-expired": "broker-sign-in-refused",
  "account-removed": "broker-sign-in-refused",
  "account-needs-certificate": "broker-sign-in-refused",
  "client-id-not-allowed": "broker-sign-in-refused",
  "certificate-foreign": "broker-sign-in-refused",
  "certificate-missing": "broker-sign-in-refused",
  "certificate-name": "broker-sign-in-refused",
  "protocol-version": "broker-sign-in-refused",
  "too-many-attempts": "broker-sign-in-refused",
  "topic-not-allowed": "broker-message-refused",
  "will-not-allowed": "broker-message-refused",
  "filter-not-allowed": "broker-message-refused",
  "topic-malformed": "broker-message-refused",
  "message-too-large": "broker-message-refused",
  "not-listening": "broker-message-refused",
  malformed: "broker-message-refused",
  "refused-too-often": "broker-message-refused",
  "sign-in-busy": "broker-overloaded",
  "too-many-connections": "broker-overloaded",
  "too-many-connects": "broker-overloaded",
  "too-many-subscriptions": "broker-overloaded",
  "sign-in-late": "broker-overloaded",
  "reads-too-slowly": "broker-overloaded",
  "queue-full": "broker-overloaded",
  "retained-full": "broker-overloaded",
  "session-full": "broker-overloaded",
} as const satisfies Readonly<Record<string, ErrorCode>>;

/** A short word for what was refused. */
export type RefusalReason = keyof typeof REASONS;

/** One thing that was refused. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** Null where nobody has signed in, or under a name that no account has. */
  readonly account: string | null;
  /** Where it came from; null of what the broker itself could not keep. */
  readonly address: string | null;
  /** What it was about, where there is one. */
  readonly topic: string | null;
}

/** The last refusal of an account, for pages. */
export interface LastRefusal {
  readonly reason: RefusalReason;
  readonly topic: string | null;
  readonly atMs: WallMs;
}

interface Row {
  readonly refusal: Refusal;
  untoldCount: number;
}

/** Counts what is refused and tells it: the first of a row at once, what follows once a minute together. */
export class RefusalLedger {
  readonly #clock: Clock;
  readonly #report: (fault: Fault) => void;
  readonly #rows = new Map<string, Row>();
  readonly #counts = new Map<RefusalReason, number>();
  readonly #accounts = new Map<string, { count: number; last: LastRefusal }>();
  readonly #timer: Timer;

  constructor(parts: { readonly clock: Clock; readonly report: (fault: Fault) => void }) {
    this.#clock = parts.clock;
    this.#report = parts.report;
    this.#timer = parts.clock.every(LIMITS.brokerReportMs.value, () => this.#tellRows());
  }

  /** Takes note. */
  add(refusal: Refusal): void {
    this.#counts.set(refusal.reason, (this.#counts.get(refusal.reason) ?? 0) + 1);
    if (refusal.account !== null) this.#addToAccount(refusal.account, refusal);
    const key = `${refusal.reason} ${refusal.account ?? `from ${refusal.address}`}`;
    const row = this.#rows.get(key);
    if (row !== undefined) {
      row.untoldCount += 1;
      return;
    }
    if (this.#rows.size >= LIMITS.brokerRefusalRowsMax.value) return;
    this.#rows.set(key, { refusal, untoldCount: 0 });
    this.#tell(refusal, 1);
  }

  /** How often each was refused since the start. */
  counts(): Readonly<Partial<Record<RefusalReason, number>>> {
    return Object.fromEntries(this.#counts);
  }

  /** What was refused of one account since the start. */
  ofAccount(name: string): { readonly count: number; readonly last: LastRefusal | null } {
    return this.#accounts.get(name) ?? { count: 0, last: null };
  }

  close(): void {
    this.#timer.stop();
  }

  #addToAccount(name: string, { reason, topic }: Refusal): void {
    const count = (this.#accounts.get(name)?.count ?? 0) + 1;
    this.#accounts.set(name, { count, last: { reason, topic, atMs: this.#clock.wall() } });
  }

  #tellRows(): void {
    for (const [key, row] of this.#rows) {
      if (row.untoldCount === 0) this.#rows.delete(key);
      else this.#tell(row.refusal, row.untoldCount);
      row.untoldCount = 0;
    }
  }

  /** The topic is left out: it may name a patient, and faults are written to the log. Pages have it from the account's last refusal. */
  #tell({ reason, account, address }: Refusal, count: number): void {
    const who = account === null ? {} : { account };
    this.#report(fault(REASONS[reason], { reason, ...who, ...(address === null ? {} : { address }), count }));
  }
}
