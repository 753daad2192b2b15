import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import { TokenBucket } from "../core/token-bucket.ts";
import type { BrokerAccount, BrokerAccounts } from "./broker-accounts.ts";
import type { PasswordAnswer, PasswordCheck } from "./password-check.ts";
import type { RefusalReason } from "./refusals.ts";

/** Somebody who wants in. */
export interface Applicant {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
  readonly address: string;
  /** Of a certificate by an authority that we trust. */
  readonly certificateName: string | null;
  readonly isCertificateForeign: boolean;
  readonly isCertificateNeeded: boolean;
}

/** Why somebody is not let in. */
export interface Rejection {
  readonly reason: RefusalReason;
  /** Where the name is an account's. */
  readonly account: string | null;
  /** For the CONNACK. MQTT 3.1.1, table 3.1. */
  readonly returnCode: 2 | 3 | 4 | 5;
}

/** What admission is made of. */
export interface AdmissionParts {
  readonly accounts: BrokerAccounts;
  readonly passwords: PasswordCheck;
  readonly clock: Clock;
}

const IDENTIFIER_REJECTED = 2;
const SERVER_UNAVAILABLE = 3;
const BAD_PASSWORD = 4;
const NOT_AUTHORISED = 5;

const PASSWORD_REJECTIONS: Readonly<Record<Exclude<PasswordAnswer, "right">, Pick<Rejection, "reason" | "returnCode">>> = {
  wrong: { reason: "wrong-password", returnCode: BAD_PASSWORD },
  locked: { reason: "too-many-attempts", returnCode: NOT_AUTHORISED },
  busy: { reason: "sign-in-busy", returnCode: SERVER_UNAVAILABLE },
};

/** Decides who gets in: with the right password of an account, with a certificate in its name, or with both where it has both. */
export class Admission {
  readonly #parts: AdmissionParts;
  readonly #signIns = new Map<string, TokenBucket>();

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  /** Decides; takes as long for a name that no account has. */
  async decide(applicant: Applicant): Promise<Result<BrokerAccount, Rejection>> {
    const byCertificate = this.#certificateRejection(applicant);
    if (byCertificate !== null) return fail(byCertificate);
    const account = this.#accountOf(applicant);
    const byPassword = await this.#passwordRejection(applicant, account);
    if (byPassword !== null) return fail(byPassword);
    if (account === null) return fail({ reason: "unknown-account", account: null, returnCode: BAD_PASSWORD });
    const { name } = account;
    const reject = (reason: RefusalReason, returnCode: Rejection["returnCode"]) => fail({ reason, account: name, returnCode });
    // The password took its time: the account may be another one by now.
    const present = this.#parts.accounts.find(name);
    if (present?.password?.hashBase64 !== account.password?.hashBase64) return reject("account-removed", NOT_AUTHORISED);
    if (present === null) return reject("account-removed", NOT_AUTHORISED);
    const { expiresAtMs, clientIds } = present;
    if (expiresAtMs !== null && this.#parts.clock.wall() >= expiresAtMs) return reject("account-expired", NOT_AUTHORISED);
    if (!clientIds.includes(applicant.clientId)) return reject("client-id-not-allowed", IDENTIFIER_REJECTED);
    if (!this.#keepsPace(applicant.clientId)) return reject("too-many-connects", SERVER_UNAVAILABLE);
    return succeed(present);
  }

  /** The account is gone or changed. */
  forget(account: string): void {
    this.#parts.passwords.forget(account);
  }

  #certificateRejection({
    certificateName,
    isCertificateForeign,
    isCertificateNeeded,
    clientId,
    username,
  }: Applicant): Rejection | null {
    const reject = (reason: RefusalReason): Rejection => ({ reason, account: null, returnCode: NOT_AUTHORISED });
    if (isCertificateForeign) return reject("certificate-foreign");
    if (certificateName === null) return isCertificateNeeded ? reject("certificate-missing") : null;
    if (certificateName !== clientId) return reject("certificate-name");
    const owner = this.#parts.accounts.findByClientId(certificateName);
    return username !== undefined && owner !== null && owner.name !== username ? reject("certificate-name") : null;
  }

  #accountOf({ certificateName, username }: Applicant): BrokerAccount | null {
    const { accounts } = this.#parts;
    if (username !== undefined) return accounts.find(username);
    return certificateName === null ? null : accounts.findByClientId(certificateName);
  }

  async #passwordRejection(applicant: Applicant, account: BrokerAccount | null): Promise<Rejection | null> {
    const { username, password, certificateName, address } = applicant;
    const name = account?.name ?? null;
    if (account !== null && account.password === null) {
      if (certificateName !== null) return null;
      return { reason: "account-needs-certificate", account: name, returnCode: NOT_AUTHORISED };
    }
    if (password === undefined || (username === undefined && certificateName === null)) {
      return { reason: "no-credentials", account: name, returnCode: BAD_PASSWORD };
    }
    const attempt = { name: name ?? "", password, kept: account?.password ?? null, address };
    const answer = await this.#parts.passwords.check(attempt);
    // The word for a name that no account has is `unknown-account`, whatever the password.
    if (answer === "right" || (answer === "wrong" && account === null)) return null;
    return { ...PASSWORD_REJECTIONS[answer], account: name };
  }

  #keepsPace(clientId: string): boolean {
    const nowMs = this.#parts.clock.monotonic();
    const perMinute = LIMITS.brokerSignInsPerMinuteMax.value;
    const bucket = this.#signIns.get(clientId) ?? new TokenBucket({ perSecond: perMinute / 60, atOnce: perMinute }, nowMs);
    this.#signIns.set(clientId, bucket);
    if (bucket.waitMs(nowMs) > 0) return false;
    bucket.take(1, nowMs);
    if (this.#signIns.size > LIMITS.brokerAddressesKnownMax.value) this.#forgetQuiet();
    return true;
  }

  #forgetQuiet(): void {
    const nowMs = this.#parts.clock.monotonic();
    for (const [clientId, bucket] of this.#signIns) if (bucket.isFull(nowMs)) this.#signIns.delete(clientId);
  }
}
