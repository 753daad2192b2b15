import { parseArgs } from "node:util";
import { DRIVERS, findDriver } from "../../drivers/index.ts";
import { type Absence, absent, present, type QualityFlag, type Reading } from "../core/observation.ts";
import type { Driver } from "../core/ports.ts";
import { isQuantityName, QUANTITIES } from "../core/quantities.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { monotonicMs } from "../core/time.ts";
import { canonicalValue } from "../core/unit.ts";
import { formatHex } from "../wire/hex.ts";
import type { Command } from "./command.ts";
import { readOptions } from "./decode.ts";

const USAGE = `usage: vigil encode DRIVER --readings JSON [--channel C] [--option k=v]
Prints the bytes of one message that says these readings, as {"ok":true,"channel":"","hex":["..."]}, which
vigil decode DRIVER --stdin takes as it is; of a driver whose messages are text as {"ok":true,"channel":"","text":"..."}.
JSON is a list of readings as decode prints them,
  [{"quantity":"heartRate","value":72},{"quantity":"oxygenSaturation","why":"sensor-off"}]
or an object of values, {"heartRate":72,"oxygenSaturation":null}. Units are the gateway's own.
Exit 0: printed; 1: the driver cannot say these readings; 2: wrong usage.`;

/** Absences a reading may be given with. */
// biome-ignore format: one row.
const ABSENCES: readonly Absence[] = ["sensor-off", "no-signal", "not-available", "invalid", "searching", "out-of-range", "impossible"];

/** Flags a reading may be given with. */
// biome-ignore format: one list.
const FLAGS: readonly QualityFlag[] = ["motion", "low-perfusion", "weak-signal", "signal-lost", "contact-unknown", "irregular-pulse",
  "early-estimate", "device-alarm", "device-questionable", "device-clock-unset", "measured-time-unknown", "impossible", "late", "after-gap"];

/** `vigil encode`: the bytes that say some readings, for drivers that can. */
export const encodeCommand: Command = {
  name: "encode",
  usage: USAGE,
  run: async (args, io) => {
    const request = readRequest(args);
    if (!request.ok) {
      io.stderr(`vigil encode: ${request.error}`);
      io.stderr(USAGE);
      return 2;
    }
    const { driver, readings, options, channel } = request.value;
    const bytes = driver.encode === null ? null : driver.encode(readings, options);
    const unsaid = bytes === null ? readings[0] : findUnsaid(request.value, bytes);
    if (bytes === null || unsaid !== undefined) {
      const error = { kind: "not-encodable", driver: driver.id, quantity: unsaid?.quantity ?? null };
      io.stdout(JSON.stringify({ ok: false, error }));
      return 1;
    }
    const said = driver.link.kind === "mqtt" ? { text: new TextDecoder().decode(bytes) } : { hex: [formatHex(bytes)] };
    io.stdout(JSON.stringify({ ok: true, channel, ...said }));
    return 0;
  },
};

/** The first reading that the bytes do not say, found by reading them back; a value out of the device's range or a flag it has no sign for is one. */
function findUnsaid({ driver, readings, options, channel }: Request, bytes: Uint8Array): Reading | undefined {
  const said = driver.open(options).feed(bytes, channel, monotonicMs(0));
  const all = said.flatMap((emission) => (emission.kind === "message" ? emission.readings : []));
  return readings.find((reading) => {
    const found = all.find((other) => other.quantity === reading.quantity);
    if (found === undefined || found.kind !== reading.kind) return true;
    if (!reading.flags.every((flag) => found.flags.includes(flag))) return true;
    if (found.kind === "absent" || reading.kind === "absent") return false;
    const back = canonicalValue(found.quantity, found.value, found.unit);
    return back === null || Math.abs(back - reading.value) > QUANTITIES[reading.quantity].resolution;
  });
}

/** What one encoding is asked for. */
interface Request {
  readonly driver: Driver;
  readonly readings: readonly Reading[];
  readonly options: Readonly<Record<string, string>>;
  readonly channel: string;
}

function readRequest(args: readonly string[]): Result<Request, string> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { readings: { type: "string" }, channel: { type: "string" }, option: { type: "string", multiple: true } },
    });
    const [id, ...others] = positionals;
    if (id === undefined || others.length > 0) return fail("name one driver");
    const driver = findDriver(id);
    if (driver === null) return fail(`there is no driver ${id}; there are ${DRIVERS.map((known) => known.id).join(", ")}`);
    if (values.readings === undefined) return fail("--readings is needed");
    const options = readOptions(driver, values.option ?? []);
    if (!options.ok) return options;
    const readings = readReadings(JSON.parse(values.readings));
    if (!readings.ok) return readings;
    return succeed({ driver, readings: readings.value, options: options.value, channel: values.channel ?? "" });
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function readReadings(given: unknown): Result<readonly Reading[], string> {
  if (typeof given !== "object" || given === null) return fail("--readings takes a list of readings or an object of values");
  const entries: readonly unknown[] = Array.isArray(given)
    ? given
    : Object.entries(given).map(([quantity, value]) =>
        value === null ? { quantity, why: "not-available" } : { quantity, value },
      );
  const readings: Reading[] = [];
  for (const entry of entries) {
    const reading = readReading(entry);
    if (!reading.ok) return reading;
    readings.push(reading.value);
  }
  return succeed(readings);
}

function readReading(given: unknown): Result<Reading, string> {
  if (typeof given !== "object" || given === null) return fail("a reading is an object");
  const { quantity, value, unit, why, flags } = given as Readonly<Record<string, unknown>>;
  if (typeof quantity !== "string" || !isQuantityName(quantity)) return fail(`there is no quantity ${JSON.stringify(quantity)}`);
  const known = FLAGS.filter((flag) => Array.isArray(flags) && flags.includes(flag));
  if (flags !== undefined && (!Array.isArray(flags) || known.length !== flags.length)) return fail(`unknown flag of ${quantity}`);
  if (value === undefined) {
    const absence = ABSENCES.find((name) => name === why);
    return absence === undefined ? fail(`${quantity} needs a value or a why`) : succeed(absent(quantity, absence, known));
  }
  if (typeof value !== "number" || !Number.isFinite(value)) return fail(`the value of ${quantity} is a number`);
  const canonical = QUANTITIES[quantity].unit;
  if (unit !== undefined && unit !== canonical) return fail(`${quantity} is given in ${canonical}`);
  return succeed(present(quantity, value, canonical, { flags: known }));
}
