import { createReadStream } from "node:fs";
import { parseArgs } from "node:util";
import { DRIVERS, findDriver, optionProblems, optionRemedy, optionTexts, unknownOptions } from "../../drivers/index.ts";
import type { Reading } from "../core/observation.ts";
import type { Driver, Emission, WaveSamples } from "../core/ports.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { monotonicMs } from "../core/time.ts";
import { parseHex } from "../wire/hex.ts";
import type { Command, CommandIo } from "./command.ts";

/** What one decoding is asked for: which driver, how, and the bytes in the order they come. */
interface Request {
  readonly driver: Driver;
  readonly channel: string;
  readonly options: Readonly<Record<string, string>>;
  readonly source:
    | { readonly kind: "chunks"; readonly chunks: readonly Uint8Array[] }
    | { readonly kind: "file"; readonly path: string }
    | { readonly kind: "stdin" };
}

const USAGE = `usage: vigil decode DRIVER [--channel C] [--option k=v] (--hex "AA BB" ... | --file F | --text LINE | --stdin)
Feeds bytes to a driver, chunk by chunk in the order given, and prints one JSON line per message or refusal.
  --hex    one chunk per string; may be repeated
  --file   the bytes of a file, as a device sent them
  --text   one whole message; the line end of a device that sends lines is added
  --stdin  one JSON object a line, {"channel":"","hex":["1E 55"],"text":"...","options":{}}, each in a session of its own;
           one line {"results":[...]} for each; options may hold lists and objects
  --option what the driver's options say; lists and objects as JSON, --option 'mapping={"heartRate":"$.hr"}'
Drivers are listed by: vigil drivers
Exit 0: something was decoded and nothing refused; 1: nothing was decoded or something was refused; 2: wrong usage.`;

/** Behind a text given by hand: the line end most serial devices use; a message by MQTT is whole as it is. */
function lineEndOf({ link }: Driver): string {
  switch (link.kind) {
    case "serial":
      return "\r\n";
    case "mqtt":
      return "";
  }
}

/** `vigil decode`: what a driver makes of some bytes, without a gateway. */
export const decodeCommand: Command = {
  name: "decode",
  usage: USAGE,
  run: async (args, io) => {
    const request = readRequest(args);
    if (!request.ok) {
      io.stderr(`vigil decode: ${request.error}`);
      io.stderr(USAGE);
      return 2;
    }
    switch (request.value.source.kind) {
      case "chunks":
        return decodeChunks(request.value, request.value.source.chunks, io);
      case "file":
        return await decodeFile(request.value, request.value.source.path, io);
      case "stdin":
        return await decodeLines(request.value, io);
    }
  },
};

/** Reads the arguments; the strings of `--hex` and those behind it are chunks in the order they stand. */
function readRequest(args: readonly string[]): Result<Request, string> {
  const hex: string[] = [];
  const positionals: string[] = [];
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  for (const token of parsed.tokens) {
    if (token.kind === "option" && token.name === "hex" && token.value !== undefined) hex.push(token.value);
    if (token.kind === "positional") (positionals.length > 0 && hex.length > 0 ? hex : positionals).push(token.value);
  }
  const [id, ...others] = positionals;
  if (id === undefined) return fail("name a driver");
  if (others.length > 0) return fail(`what is ${others.join(" ")}? Bytes stand behind --hex`);
  const driver = findDriver(id);
  if (driver === null) return fail(`there is no driver ${id}; there are ${DRIVERS.map((known) => known.id).join(", ")}`);
  const options = readOptions(driver, parsed.values.option ?? []);
  if (!options.ok) return options;
  const source = readSource(driver, parsed.values, hex);
  if (!source.ok) return source;
  return succeed({ driver, channel: parsed.values.channel ?? "", options: options.value, source: source.value });
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    tokens: true,
    options: {
      channel: { type: "string" },
      option: { type: "string", multiple: true },
      hex: { type: "string", multiple: true },
      file: { type: "string" },
      text: { type: "string" },
      stdin: { type: "boolean" },
    },
  });
}

/** Reads `k=v` pairs; an option the driver does not know is refused, because it would change nothing unseen. */
export function readOptions(driver: Driver, pairs: readonly string[]): Result<Readonly<Record<string, string>>, string> {
  const options: Record<string, string> = {};
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    if (equals < 1) return fail(`--option takes k=v, not ${pair}`);
    options[pair.slice(0, equals)] = pair.slice(equals + 1);
  }
  return complainOfOptions(driver, options) ?? succeed(options);
}

function complainOfOptions(driver: Driver, options: Readonly<Record<string, string>>): Result<never, string> | null {
  const unknown = unknownOptions(driver, Object.keys(options));
  if (unknown.length > 0) return fail(`${driver.id} does not know the option ${unknown.join(", ")}; ${optionRemedy(driver)}`);
  const problems = optionProblems(driver, options).map(
    ({ option, problem, remedy }) => `option ${option}: ${problem.en}; ${remedy.en}`,
  );
  return problems.length === 0 ? null : fail(problems.join("\n"));
}

function readSource(
  driver: Driver,
  values: { readonly file?: string; readonly text?: string; readonly stdin?: boolean },
  hex: readonly string[],
): Result<Request["source"], string> {
  const given = [hex.length > 0, values.file !== undefined, values.text !== undefined, values.stdin === true];
  if (given.filter(Boolean).length !== 1) return fail("give the bytes by exactly one of --hex, --file, --text and --stdin");
  if (values.file !== undefined) return succeed({ kind: "file", path: values.file });
  if (values.stdin === true) return succeed({ kind: "stdin" });
  const chunks = readChunks(driver, hex, values.text ?? null);
  return chunks.ok ? succeed({ kind: "chunks", chunks: chunks.value }) : chunks;
}

function readChunks(driver: Driver, hex: readonly string[], text: string | null): Result<readonly Uint8Array[], string> {
  const chunks: Uint8Array[] = [];
  for (const given of hex) {
    const bytes = parseHex(given);
    if (bytes === null) return fail(`--hex takes pairs of hexadecimal digits, not ${JSON.stringify(given)}`);
    chunks.push(bytes);
  }
  if (text !== null) chunks.push(new TextEncoder().encode(text + lineEndOf(driver)));
  return succeed(chunks);
}

/** Feeds one session and says what came out; time stands still, because bytes given by hand have none. */
class Decoding {
  readonly #request: Request;
  readonly #session;
  #givenBytes = 0;
  #decodedCount = 0;
  #refusedCount = 0;

  constructor(request: Request) {
    this.#request = request;
    this.#session = request.driver.open(request.options);
  }

  feed(bytes: Uint8Array): readonly object[] {
    this.#givenBytes += bytes.length;
    const emissions = this.#session.feed(bytes, this.#request.channel, monotonicMs(0));
    for (const emission of emissions) {
      if (emission.kind === "message") this.#decodedCount += 1;
      else this.#refusedCount += 1;
    }
    return emissions.map(describeEmission);
  }

  /** What is to be said when the bytes are over: that there was nothing in them, if nothing was said of them yet. */
  finish(): readonly object[] {
    if (this.#decodedCount + this.#refusedCount > 0) return [];
    return [{ ok: false, error: { kind: "no-frame", givenBytes: this.#givenBytes } }];
  }

  exitCode(): 0 | 1 {
    return this.#decodedCount > 0 && this.#refusedCount === 0 ? 0 : 1;
  }
}

function decodeChunks(request: Request, chunks: readonly Uint8Array[], io: CommandIo): number {
  const decoding = new Decoding(request);
  for (const chunk of chunks) for (const result of decoding.feed(chunk)) io.stdout(JSON.stringify(result));
  for (const result of decoding.finish()) io.stdout(JSON.stringify(result));
  return decoding.exitCode();
}

async function decodeFile(request: Request, path: string, io: CommandIo): Promise<number> {
  const decoding = new Decoding(request);
  try {
    for await (const chunk of createReadStream(path)) {
      for (const result of decoding.feed(chunk as Uint8Array)) io.stdout(JSON.stringify(result));
    }
  } catch (error) {
    io.stderr(`vigil decode: cannot read ${path} (${error instanceof Error ? error.message : String(error)}); check --file`);
    return 2;
  }
  for (const result of decoding.finish()) io.stdout(JSON.stringify(result));
  return decoding.exitCode();
}

/** Decodes one request a line. A line that is no request is answered as refused, so that answers stay in step with lines. */
async function decodeLines(request: Request, io: CommandIo): Promise<number> {
  let exitCode = 0;
  for await (const line of io.stdin) {
    if (line.trim() === "") continue;
    const asked = readLine(line, request);
    if (!asked.ok) {
      io.stdout(JSON.stringify({ results: [{ ok: false, error: { kind: "bad-request", problem: asked.error } }] }));
      exitCode = 1;
      continue;
    }
    const decoding = new Decoding(asked.value.request);
    const results = asked.value.chunks.flatMap((chunk) => decoding.feed(chunk));
    io.stdout(JSON.stringify({ results: [...results, ...decoding.finish()] }));
    if (decoding.exitCode() !== 0) exitCode = 1;
  }
  return exitCode;
}

function readLine(
  line: string,
  outer: Request,
): Result<{ readonly request: Request; readonly chunks: readonly Uint8Array[] }, string> {
  let given: unknown;
  try {
    given = JSON.parse(line);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  if (!isObject(given)) return fail("a line is a JSON object");
  const { channel, hex, text, options } = given as Readonly<Record<string, unknown>>;
  const hexes = hex === undefined || hex === null ? [] : typeof hex === "string" ? [hex] : hex;
  if (!isTexts(hexes)) return fail("`hex` is a list of texts");
  if (typeof (text ?? "") !== "string") return fail("`text` is a text");
  if (hexes.length === 0 && typeof text !== "string") return fail("`hex` or `text` is needed");
  if (typeof (channel ?? "") !== "string") return fail("`channel` is a text");
  if (!isObject(options ?? {})) return fail("`options` is an object");
  const all = { ...outer.options, ...optionTexts((options ?? {}) as Readonly<Record<string, unknown>>) };
  const complaint = complainOfOptions(outer.driver, all);
  if (complaint !== null) return complaint;
  const chunks = readChunks(outer.driver, hexes, typeof text === "string" ? text : null);
  if (!chunks.ok) return chunks;
  const request: Request = {
    ...outer,
    channel: typeof channel === "string" ? channel : outer.channel,
    options: all,
  };
  return succeed({ request, chunks: chunks.value });
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(list: unknown): list is readonly string[] {
  return Array.isArray(list) && list.every((entry) => typeof entry === "string");
}

/** An emission as the line prints it. */
function describeEmission(emission: Emission): object {
  switch (emission.kind) {
    case "refusal":
      return { ok: false, error: emission.error };
    case "message":
      return {
        ok: true,
        readings: emission.readings.map(describeReading),
        waveforms: emission.waveforms.map(describeWave),
        alarms: emission.alarms,
        events: emission.events,
        deviceClockMs: emission.deviceClockMs,
        ...(emission.stored == null ? {} : { stored: emission.stored }),
        ...(emission.mayBeStored === true ? { mayBeStored: true } : {}),
        ...(emission.byOther === true ? { byOther: true } : {}),
        origin: emission.origin,
      };
  }
}

function describeReading(reading: Reading): object {
  switch (reading.kind) {
    case "present": {
      const { quantity, kind, value, unit, flags, held } = reading;
      return { quantity, kind, value, unit, flags, ...(held ? { held } : {}) };
    }
    case "absent": {
      const { quantity, kind, why, flags } = reading;
      return { quantity, kind, why, ...(flags.length > 0 ? { flags } : {}) };
    }
  }
}

function describeWave(wave: WaveSamples): object {
  const { waveform, sampleRateHz, firstSampleIndex, unit, raw, gain, offset } = wave;
  return { waveform, sampleRateHz, firstSampleIndex, unit, samples: Array.from(raw, (sample) => sample * gain + offset) };
}
