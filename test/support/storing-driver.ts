import { present, type Reading } from "../../src/core/observation.ts";
import type { DeviceAlarm, Driver, DriverSession, Emission } from "../../src/core/ports.ts";
import { type WallMs, wallMs } from "../../src/core/time.ts";

/** Longest line of the device, in characters. */
const LINE_MAX = 200;

/** What the device says in one line: now, or out of its memory. Times are seconds of its own clock; null where it does not tell. */
export type StoringLine =
  | { readonly kind: "live"; readonly clockSeconds: number | null; readonly oxygenSaturation: number }
  | {
      readonly kind: "stored";
      readonly atSeconds: number | null;
      readonly nowSeconds: number | null;
      readonly oxygenSaturation: number;
      readonly alarm?: string;
    };

const text = (seconds: number | null) => (seconds === null ? "-" : String(seconds));

/** The bytes of a line. */
export function storingBytes(line: StoringLine): Uint8Array {
  const words =
    line.kind === "live"
      ? ["live", text(line.clockSeconds), String(line.oxygenSaturation)]
      : ["stored", text(line.atSeconds), text(line.nowSeconds), String(line.oxygenSaturation), line.alarm ?? ""];
  return new TextEncoder().encode(`${words.join(" ").trim()}\n`);
}

const msOf = (word: string | undefined): WallMs | null =>
  word === undefined || word === "-" ? null : wallMs(Number(word) * 1000);

function emissionOf(line: string): Emission {
  const [kind, first, second, third, alarm] = line.split(" ");
  const value = Number(kind === "live" ? second : third);
  if ((kind !== "live" && kind !== "stored") || !Number.isFinite(value))
    return { kind: "refusal", error: { kind: "bad-field", field: "line", given: line.slice(0, 20) } };
  const readings: readonly Reading[] = [present("oxygenSaturation", value, "%")];
  const alarms: readonly DeviceAlarm[] =
    alarm === undefined ? [] : [{ code: alarm, nature: "physiological", priority: "high", active: true, text: alarm }];
  const message = { kind: "message", readings, waveforms: [], alarms, events: [], origin: "device" } as const;
  if (kind === "live") return { ...message, deviceClockMs: msOf(first) };
  return { ...message, deviceClockMs: null, stored: { atDeviceMs: msOf(first), deviceNowMs: msOf(second) } };
}

function openSession(): DriverSession {
  let waiting = "";
  return {
    feed: (bytes) => {
      const lines = (waiting + new TextDecoder().decode(bytes)).split("\n");
      waiting = (lines.pop() ?? "").slice(-LINE_MAX);
      return lines.map(emissionOf);
    },
    due: () => ({ bytesToSend: [], nextDueMs: null }),
  };
}

/** An invented oximeter that keeps what it measured while nobody listened, and sends it line by line when somebody does. */
export function storingDriver(): Driver {
  return {
    id: "serial-fixture-storing",
    version: "1.0.0",
    title: { en: "Stores and sends later", zh: "存储转发" },
    reference: ["the lines at the head of this fixture"],
    link: { kind: "serial", line: { baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1, handshake: "none" } },
    quantities: ["oxygenSaturation"],
    waveforms: [],
    expected: ["oxygenSaturation"],
    silenceSeconds: 20,
    stuckSeconds: {},
    checksummed: false,
    optionNames: [],
    open: openSession,
    encode: null,
    twin: () => ({ due: () => ({ bytesToSend: [], nextDueMs: Number.MAX_SAFE_INTEGER }), receive: () => {} }),
    vectors: [],
  };
}
