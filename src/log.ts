import { type DestinationStream, type LevelWithSilent, pino } from "pino";
import type { DeviceId } from "./core/ids.ts";
import type { Clock } from "./core/time.ts";

/** How loud an event is. A gateway at rest writes nothing at `info` or above. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/**
 * One thing that happened to the equipment, never to a patient: a code, the device it concerns, and facts by name.
 *
 * The type keeps patients out: there is no field for one, `device` takes a `DeviceId`, which a `PatientId` is not, and a fact refuses
 * every branded identifier. It also has no field for an observation or any other object, so a measured value cannot be passed along by
 * carelessness; that nobody writes one into a fact by its own name is left to review.
 */
export interface LogEvent {
  /** From `core/errors.ts`, or another word in kebab-case such as `gateway-started`. */
  readonly code: string;
  readonly level?: LogLevel;
  readonly device?: DeviceId;
  readonly facts?: LogFacts;
}

/** Facts of an event: numbers and plain words. A branded identifier of a person does not fit, because it is not a plain word. */
export type LogFacts = Readonly<Record<string, number | PlainWord>>;

/** A string that is not an identifier of a patient, bed, user or alert. */
export type PlainWord = string & { readonly __id?: never };

/** Where events of the equipment are written, one JSON line each. */
export interface Log {
  readonly report: (event: LogEvent) => void;
}

/**
 * Makes a log of JSON lines with `time` (ISO 8601, UTC), `level` and `code`.
 *
 * @param options.level   Events below it are not written.
 * @param options.stream  Where the lines go, usually standard error; written at once, so that a crash loses none.
 * @param options.clock   Tells the time of each line.
 */
export function createLog(options: {
  readonly level: LogLevel | "silent";
  readonly stream: DestinationStream;
  readonly clock: Clock;
}): Log {
  const level: LevelWithSilent = options.level;
  const settings = {
    level,
    base: null,
    messageKey: "text",
    timestamp: () => `,"time":"${new Date(options.clock.wall()).toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const lines = pino(settings, options.stream);
  return {
    report: ({ code, level: loudness = "info", device, facts }) => {
      lines[loudness]({ code, ...(device === undefined ? {} : { device }), ...(facts === undefined ? {} : { facts }) });
    },
  };
}
