import { parseArgs } from "node:util";
import { type LoneLink, parseLoneLink } from "../../../config/lone-link.ts";
import { findDriver } from "../../../drivers/index.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Driver, LinkSpec, SerialLine } from "../../core/ports.ts";
import { lineOf } from "../../gateway/link-spec.ts";
import { readOptions } from "../decode.ts";

/** What makes sense of the bytes while they are recorded. */
export interface Listening {
  readonly driver: Driver;
  readonly options: Readonly<Record<string, string>>;
}

/** What a recording is asked for. */
export interface CaptureQuestion {
  readonly source:
    | { readonly kind: "device"; readonly configFile: string; readonly deviceId: string }
    /** `spec` of an MQTT server still lacks a client id of this recording. */
    | { readonly kind: "link"; readonly spec: LinkSpec; readonly listening: Listening | null };
  readonly outFile: string;
  readonly seconds: number | null;
  /** True: nothing is sent to the device. */
  readonly listenOnly: boolean;
  readonly note: string | null;
}

const OPTIONS = {
  config: { type: "string" },
  device: { type: "string" },
  serial: { type: "string" },
  baud: { type: "string" },
  "data-bits": { type: "string" },
  parity: { type: "string" },
  "stop-bits": { type: "string" },
  handshake: { type: "string" },
  tcp: { type: "string" },
  mqtt: { type: "string" },
  topic: { type: "string", multiple: true },
  username: { type: "string" },
  "password-file": { type: "string" },
  "ca-file": { type: "string" },
  driver: { type: "string" },
  option: { type: "string", multiple: true },
  out: { type: "string" },
  seconds: { type: "string" },
  "listen-only": { type: "boolean" },
  note: { type: "string" },
} as const;

type Words = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];
type Name = keyof typeof OPTIONS;

const LINE_WORDS: readonly Name[] = ["baud", "data-bits", "parity", "stop-bits", "handshake"];
const MQTT_WORDS: readonly Name[] = ["topic", "username", "password-file", "ca-file"];

/** The ways to a device, and the words that mean something on each. */
const WAYS: readonly { readonly way: Name; readonly with: readonly Name[] }[] = [
  { way: "config", with: ["device"] },
  { way: "serial", with: [...LINE_WORDS, "driver", "option"] },
  { way: "tcp", with: ["driver", "option"] },
  { way: "mqtt", with: [...MQTT_WORDS, "driver", "option"] },
];
const ANYWHERE: ReadonlySet<Name> = new Set<Name>(["out", "seconds", "listen-only", "note"]);

/** Settings of a link by the words of the command line that give them. */
const WORD_OF_SETTING: Readonly<Record<string, string>> = {
  "link.path": "--serial",
  "link.baudRate": "--baud",
  "link.dataBits": "--data-bits",
  "link.parity": "--parity",
  "link.stopBits": "--stop-bits",
  "link.handshake": "--handshake",
  "link.host": "--tcp",
  "link.port": "--tcp",
  "link.topics": "--topic",
  "server.url": "--mqtt",
  "server.passwordFile": "--password-file",
  "server.caFile": "--ca-file",
};

/** What is usual where neither a driver nor the command line says otherwise; the rate has no usual value. */
const PLAIN_LINE: Omit<SerialLine, "baudRate"> = { dataBits: 8, parity: "none", stopBits: 1, handshake: "none" };

/**
 * What the words of a command line ask for.
 *
 * @throws  An error with a text for people, where they ask for nothing that can be done.
 */
export function readCaptureQuestion(args: readonly string[]): CaptureQuestion {
  const words = parseArgs({ args: [...args], options: OPTIONS }).values;
  const ways = WAYS.filter(({ way }) => words[way] !== undefined);
  const [chosen, ...others] = ways;
  if (chosen === undefined || others.length > 0)
    throw new Error("say by exactly one of --config, --serial, --tcp and --mqtt where the device is 请只用其中一项指明设备位置");
  const given = (Object.keys(words) as Name[]).filter((name) => name !== chosen.way && !ANYWHERE.has(name));
  const strange = given.filter((name) => !chosen.with.includes(name)).map((name) => `--${name}`);
  if (strange.length > 0) throw new Error(`${strange.join(", ")} means nothing with --${chosen.way} 不能与 --${chosen.way} 同用`);
  if (words.out === undefined || words.out === "") throw new Error("--out FILE says where to record 请用 --out 指定录制文件");
  return {
    source: words.config === undefined ? linkSource(words) : deviceSource(words.config, words.device),
    outFile: words.out,
    seconds: secondsOf(words.seconds),
    listenOnly: words["listen-only"] === true,
    note: noteOf(words.note),
  };
}

function deviceSource(configFile: string, deviceId: string | undefined): CaptureQuestion["source"] {
  if (deviceId === undefined) throw new Error("--device ID says which of the configuration 请用 --device 指定配置中的设备");
  return { kind: "device", configFile, deviceId };
}

function secondsOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const secondsMax = LIMITS.captureSecondsMax.value;
  const seconds = text.trim() === "" ? Number.NaN : Number(text);
  if (seconds > 0 && seconds <= secondsMax) return seconds;
  throw new Error(`--seconds takes a number over 0, up to ${secondsMax} 秒数须大于 0 且不超过 ${secondsMax}`);
}

function noteOf(text: string | undefined): string | null {
  const charactersMax = LIMITS.noteCharactersMax.value;
  if ((text?.length ?? 0) > charactersMax)
    throw new Error(`--note takes up to ${charactersMax} characters 备注最多 ${charactersMax} 个字符`);
  return text ?? null;
}

function linkSource(words: Words): CaptureQuestion["source"] {
  const listening = listeningOf(words);
  const carried = words.mqtt === undefined ? "serial" : "mqtt";
  if (listening !== null && listening.driver.link.kind !== carried)
    throw new Error(
      `${listening.driver.id} is for devices by ${listening.driver.link.kind === "mqtt" ? "--mqtt" : "--serial or --tcp"} 该驱动与连接方式不符`,
    );
  const link = parseLoneLink(settingsOf(words));
  if (link.ok) return { kind: "link", spec: specOf(link.value, listening), listening };
  const problems = link.error.map(({ path, problem, remedy }) => {
    const word = WORD_OF_SETTING[path.replace(/\.\d+$/, "")] ?? path;
    return `${word}: ${problem.en}. ${remedy.en} ${problem.zh}。${remedy.zh}`;
  });
  throw new Error(problems.join("\n"));
}

function listeningOf({ driver: id, option: pairs = [] }: Words): Listening | null {
  if (id === undefined) {
    if (pairs.length > 0)
      throw new Error("--option is of a driver; name it by --driver --option 属于驱动，请用 --driver 指定驱动");
    return null;
  }
  const driver = findDriver(id);
  if (driver === null)
    throw new Error(`there is no driver ${id}; \`vigil drivers\` lists them 没有此驱动，请用 vigil drivers 查看`);
  const options = readOptions(driver, pairs);
  if (!options.ok) throw new Error(options.error);
  return { driver, options: options.value };
}

/** The words as a configuration would have them. */
function settingsOf(words: Words): { readonly link: unknown; readonly server: unknown } {
  const { serial, tcp, mqtt, topic } = words;
  if (mqtt !== undefined) {
    if (topic === undefined) throw new Error("--topic says which messages are the device's 请用 --topic 指定设备消息的主题");
    const access = { username: words.username, passwordFile: words["password-file"], caFile: words["ca-file"] };
    return {
      link: { kind: "mqtt", server: "server", topics: topic },
      server: { name: "server", url: mqtt, ...access },
    };
  }
  if (tcp !== undefined) {
    const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(tcp) ?? [];
    const host = bracketed ?? plain;
    if (host === undefined) throw new Error(`--tcp takes HOST:PORT, not ${tcp} 格式为 主机:端口`);
    return { link: { kind: "tcp", host, port: Number(port) }, server: null };
  }
  const line = {
    baudRate: numberOf(words.baud),
    dataBits: numberOf(words["data-bits"]),
    parity: words.parity,
    stopBits: numberOf(words["stop-bits"]),
    handshake: words.handshake,
  };
  return { link: { kind: "serial", path: serial, ...line }, server: null };
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

function specOf({ link, server }: LoneLink, listening: Listening | null): LinkSpec {
  switch (link.kind) {
    case "tcp":
      return link;
    case "mqtt":
      if (server === null) throw new Error("--mqtt names no server");
      return { kind: "mqtt", topics: link.topics ?? [], source: { kind: "server", access: server, clientId: "" } };
    case "capture":
      throw new Error("a recording is no device");
    case "serial": {
      const usual = listening?.driver.link.kind === "serial" ? listening.driver.link.line : null;
      if (usual === null && link.baudRate === undefined)
        throw new Error("without --driver say the rate by --baud 未指定 --driver 时请用 --baud 给出波特率");
      return { kind: "serial", path: link.path, line: lineOf(link, usual ?? { ...PLAIN_LINE, baudRate: link.baudRate ?? 0 }) };
    }
  }
}
