import type { Deed, Role } from "../../../core/act.ts";
import { ERRORS, type ErrorCode } from "../../../core/errors.ts";
import type { TrendPoint } from "../../../core/ports.ts";
import { isWaveformName, type QuantityName, type Text } from "../../../core/quantities.ts";
import { fail, type Result, succeed } from "../../../core/result.ts";
import { ROLES } from "../../../core/rights.ts";
import type { StripWaveView } from "../../../core/stream.ts";
import type { Idle } from "./idle-watch.ts";

/** Who is signed in here, and what the gateway wants first. */
export interface Session {
  readonly user: string | null;
  /** What they are signed in as; null where nobody is, and where nobody signs in: then everybody may do everything. */
  readonly role: Role | null;
  /** False where this gateway lets everybody in. */
  readonly signIn: boolean;
  readonly firstAccountNeeded: boolean;
  /** How long it may be unused; null where it does not end for that. */
  readonly idle: Idle | null;
  /** True where devices are simulated and may be tampered with. */
  readonly demonstration: boolean;
}

/** Why a request brought nothing: the gateway's own texts with its code and facts, or null where it did not answer. */
export type Refusal = {
  readonly code: ErrorCode;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly title: Text;
  readonly remedy: Text;
} | null;

/** Longest wait for an answer: an act may wait two seconds for the disk. */
const answerMsMax = 8000;

/** What this page asks of the gateway beside the live stream. */
export interface GatewayDoor {
  readonly session: () => Promise<Result<Session, Refusal>>;
  readonly signIn: (name: string, password: string) => Promise<Result<void, Refusal>>;
  readonly makeFirstAccount: (token: string, name: string, password: string) => Promise<Result<void, Refusal>>;
  readonly signOut: () => Promise<Result<void, Refusal>>;
  /** Somebody uses this page. */
  readonly tellUse: () => Promise<Result<void, Refusal>>;
  readonly act: (deed: Deed) => Promise<Result<{ readonly durable: boolean }, Refusal>>;
  readonly trend: (query: {
    readonly patientId: string;
    readonly quantity: QuantityName;
    readonly fromMs: number;
    readonly toMs: number;
    readonly points: number;
  }) => Promise<Result<readonly TrendPoint[], Refusal>>;
  readonly strip: (alertId: string) => Promise<Result<readonly StripWaveView[], Refusal>>;
}

/** Makes the door to the gateway that served this page. */
export function createGatewayDoor(): GatewayDoor {
  return {
    session: async () => {
      const answer = await ask("api/session");
      if (!answer.ok) return answer;
      const { user, role, signIn, firstAccountNeeded, idle, demonstration } = answer.value;
      return succeed({
        user: typeof user === "string" ? user : null,
        role: ROLES.find((known) => known === role) ?? null,
        signIn: signIn === true,
        firstAccountNeeded: firstAccountNeeded === true,
        idle: isIdle(idle) ? idle : null,
        demonstration: demonstration === true,
      });
    },
    signIn: (name, password) => post("api/sign-in", { name, password }),
    makeFirstAccount: (token, name, password) => post("api/first-account", { token, name, password }),
    signOut: () => post("api/sign-out", {}),
    tellUse: () => post("api/active", {}),
    act: async (deed) => {
      const answer = await ask("api/acts", deed);
      return answer.ok ? succeed({ durable: answer.value["durable"] === true }) : answer;
    },
    trend: async ({ patientId, quantity, fromMs, toMs, points }) => {
      const query = new URLSearchParams({
        patient: patientId,
        quantity,
        from: String(Math.round(fromMs)),
        to: String(Math.round(toMs)),
        points: String(points),
      });
      const answer = await ask(`api/trend?${query}`);
      if (!answer.ok) return answer;
      const found = answer.value["points"];
      return Array.isArray(found) ? succeed(found.filter(isTrendPoint)) : fail(null);
    },
    strip: async (alertId) => {
      const answer = await ask(`api/strip?${new URLSearchParams({ alert: alertId })}`);
      if (!answer.ok) return answer;
      const found = answer.value["waves"];
      return Array.isArray(found) ? succeed(found.filter(isStripWave)) : fail(null);
    },
  };
}

/** Asks for something to be done. */
export async function post(path: string, body: unknown): Promise<Result<void, Refusal>> {
  const answer = await ask(path, body);
  return answer.ok ? succeed(undefined) : answer;
}

/** Asks for an answer with fields, by GET or, with a body, by POST; waits no longer than eight seconds. */
export async function ask(path: string, body?: unknown): Promise<Result<Readonly<Record<string, unknown>>, Refusal>> {
  try {
    const response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: body === undefined ? {} : { "content-type": "application/json", "x-vigil-page": "1" },
      body: body === undefined ? null : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(answerMsMax),
    });
    const answer: unknown = await response.json();
    if (!isFields(answer)) return fail(null);
    return response.ok && answer["ok"] === true ? succeed(answer) : fail(refusalOf(answer["error"]));
  } catch {
    return fail(null);
  }
}

function refusalOf(error: unknown): Refusal {
  if (!isFields(error)) return null;
  const { code, facts } = error;
  if (typeof code !== "string" || !isErrorCode(code)) return null;
  return { code, facts: isFields(facts) ? facts : {}, ...ERRORS[code] };
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/** Whether a value of an answer has fields. */
export function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isIdle(idle: unknown): idle is Idle {
  return isFields(idle) && typeof idle["idleMs"] === "number" && typeof idle["leftMs"] === "number";
}

function isTrendPoint(point: unknown): point is TrendPoint {
  return isFields(point) && typeof point["atMs"] === "number" && (point["value"] === null || typeof point["value"] === "number");
}

function isStripWave(wave: unknown): wave is StripWaveView {
  const isNamed = isFields(wave) && typeof wave["waveform"] === "string" && isWaveformName(wave["waveform"]);
  return isNamed && Array.isArray(wave["stretches"]) && wave["stretches"].every(isStretch);
}

function isStretch(stretch: unknown): boolean {
  if (!isFields(stretch)) return false;
  const { fromMs, sampleRateHz, samples } = stretch;
  return typeof fromMs === "number" && typeof sampleRateHz === "number" && Array.isArray(samples);
}
