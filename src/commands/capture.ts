import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { DeviceConfig } from "../../config/schema.ts";
import { findDriver } from "../../drivers/index.ts";
import { createSystemClock } from "../clock.ts";
import { LIMITS } from "../core/limits.ts";
import type { LinkSpec } from "../core/ports.ts";
import type { Text } from "../core/quantities.ts";
import type { Clock } from "../core/time.ts";
import { askGateway } from "../gateway/control-socket.ts";
import { linkSpecOf } from "../gateway/link-spec.ts";
import { openLink } from "../transports/link.ts";
import { CONTROL_SOCKET_NAME } from "./ask.ts";
import { CaptureFile } from "./capture/capture-file.ts";
import { type CaptureQuestion, type Listening, readCaptureQuestion } from "./capture/question.ts";
import { type CaptureSummary, Recorder } from "./capture/recorder.ts";
import { fileFaultText, REFUSALS } from "./capture/words.ts";
import type { Command, CommandIo } from "./command.ts";
import { holdersOf } from "./doctor/devices.ts";
import { askedOf, configOf } from "./question.ts";
import { stopOnSignal } from "./run.ts";

/** `vigil capture`: records what a device sends, with times, into a file that replays the same. */
export const captureCommand: Command = {
  name: "capture",
  usage: `usage: vigil capture --config FILE --device ID --out FILE [...]
       vigil capture --serial PATH [--baud N] [--data-bits N] [--parity none|even|odd] [--stop-bits N]
                     [--handshake none|rts-cts|xon-xoff] --out FILE [--driver ID] [...]
       vigil capture --tcp HOST:PORT --out FILE [--driver ID] [...]
       vigil capture --mqtt URL --topic T ... [--username U] [--password-file F] [--ca-file F] --out FILE [--driver ID] [...]
Records what a device sends, with times, into a new file that replays the same: by a link of kind capture, or as a simulated device.
The file is of a patient: only you can read it (mode 0600), an existing one is never overwritten, and it ends whole at ${LIMITS.captureFileBytesMax.value / 1_048_576} MiB.
Beside a running gateway use --config: then nothing is taken from what that has open. A pulled plug loses a second at most. A lost connection is opened again; the gap stays in the times.
--driver ID    What sends: shows live what it says and what is refused, gives the line's usual settings, and is written in the file.
               With --config it is the device's own. Without it everything is recorded and nothing decoded.
--option k=v   An option of the driver; may be repeated.
--seconds N    Ends after so many seconds, up to ${LIMITS.captureSecondsMax.value}; else Ctrl-C ends it.
--listen-only  Sends nothing to the device. Otherwise what the driver must ask it is sent, as the gateway does.
--note TEXT    Written in the file's first line: the device's model and settings, never a patient's name.
One JSON line with the sums on standard output at the end; everything for people on standard error.
Exit 0: recorded as asked, decoded or not; 1: nothing came, no file was made, or it ended before it was asked to (file full, disk); 2: wrong usage.
录制设备发送的数据及时间，用于原样回放。文件涉及患者，仅本人可读，不覆盖已有文件。Ctrl-C 结束。退出码 1 表示无数据、无法录制或提前结束。`,
  run: (args, io) => recordAsAsked(args, { io, clock: createSystemClock(), random: Math.random, stop: stopOnSignal() }),
};

/** What a recording gets from outside. */
export interface CaptureSurroundings {
  readonly io: CommandIo;
  readonly clock: Clock;
  readonly random: () => number;
  /** Ends the recording in good order. */
  readonly stop: AbortSignal;
}

/** What is recorded, and who makes sense of it. */
interface Target {
  readonly spec: LinkSpec;
  readonly listening: Listening | null;
}

/** Records what the words ask for, and returns the exit code. */
export async function recordAsAsked(args: readonly string[], surroundings: CaptureSurroundings): Promise<number> {
  const { io, clock } = surroundings;
  const question = askedOf(captureCommand, io, () => readCaptureQuestion(args));
  if (question === null) return 2;
  const say = sayerOf(io);
  const target = await targetOf(question, surroundings);
  if (typeof target === "number") return target;
  const file = await CaptureFile.create(question.outFile, clock);
  if (!file.ok) {
    say(fileFaultText(question.outFile, file.error));
    return 1;
  }
  const summary = await record({ question, target, file: file.value, say }, surroundings);
  if (summary.ended === "link" && target.spec.kind === "serial") await sayHolders(target.spec.path, say);
  io.stdout(JSON.stringify({ file: summary.chunks > 0 ? question.outFile : null, ...summary }));
  sayEnd(question.outFile, summary, say);
  return summary.ended === "asked" && summary.chunks > 0 ? 0 : 1;
}

function sayerOf(io: CommandIo): (text: Text) => void {
  return ({ en, zh }) => io.stderr(`${en} ${zh}`);
}

/** What the question is about; an exit code after the reason was told where it cannot be recorded. */
async function targetOf({ source }: CaptureQuestion, { io, clock }: CaptureSurroundings): Promise<Target | number> {
  if (source.kind === "link") return { spec: passingBy(source.spec), listening: source.listening };
  const config = await configOf(source.configFile, io);
  if (config === null) return 1;
  const say = sayerOf(io);
  const device = config.devices.find(({ id }) => id === source.deviceId);
  const driver = device === undefined ? null : findDriver(device.driver);
  if (device === undefined || driver === null) {
    const { en, zh } = REFUSALS["unknown-device"];
    const known = config.devices.map(({ id }) => id).join(", ");
    say({ en: `${en} It has: ${known}.`, zh });
    return 1;
  }
  const spec = linkSpecOf(device, driver, config);
  const refusal = refusalOf(device, spec) ?? (await runningGateway(spec, config.gateway.dataFolder, clock));
  if (refusal === null) return { spec: passingBy(spec), listening: { driver, options: device.options } };
  say(refusal);
  return 1;
}

function refusalOf({ link }: DeviceConfig, spec: LinkSpec): Text | null {
  if (link.kind === "capture") return REFUSALS.recording;
  return spec.kind === "mqtt" && spec.source.kind === "embedded" ? REFUSALS.embedded : null;
}

/** Of an MQTT server two clients get everything; a port, and most device servers, have one reader. */
async function runningGateway(spec: LinkSpec, dataFolder: string, clock: Clock): Promise<Text | null> {
  if (spec.kind === "mqtt") return null;
  const asked = await askGateway(join(dataFolder, CONTROL_SOCKET_NAME), { name: "picture", body: null }, clock);
  const nobody = !asked.ok && ["ENOENT", "ECONNREFUSED"].includes(String(asked.error.facts["why"]));
  return nobody ? null : REFUSALS["gateway-runs"];
}

/** A client of an MQTT server that nobody else is, and that leaves nothing behind: taking the gateway's name would throw the gateway out. */
function passingBy(spec: LinkSpec): LinkSpec {
  if (spec.kind !== "mqtt" || spec.source.kind !== "server") return spec;
  const clientId = `vigil-capture-${randomUUID().slice(0, 8)}`;
  return { ...spec, source: { ...spec.source, clientId, sessionExpirySeconds: 0 } };
}

async function record(
  parts: {
    readonly question: CaptureQuestion;
    readonly target: Target;
    readonly file: CaptureFile;
    readonly say: (text: Text) => void;
  },
  { clock, random, stop }: CaptureSurroundings,
): Promise<CaptureSummary> {
  const { question, target, file, say } = parts;
  const ending = new AbortController();
  const end = () => ending.abort();
  if (stop.aborted) end();
  stop.addEventListener("abort", end);
  if (question.seconds !== null) void clock.sleep(question.seconds * 1000, ending.signal).then(end);
  const recorder = new Recorder({
    kind: target.spec.kind,
    link: openLink(target.spec, { clock, random, stop: ending.signal }),
    listening: target.listening,
    listenOnly: question.listenOnly,
    note: question.note,
    file,
    fileName: question.outFile,
    clock,
    say,
  });
  const summary = await recorder.run();
  end();
  stop.removeEventListener("abort", end);
  return summary;
}

async function sayHolders(path: string, say: (text: Text) => void): Promise<void> {
  const holders = await holdersOf(path, "/").catch(() => []);
  if (holders.length > 0) say({ en: `It is open in: ${holders.join(", ")}.`, zh: `占用程序：${holders.join("、")}。` });
}

function sayEnd(file: string, summary: CaptureSummary, say: (text: Text) => void): void {
  const { ended, seconds, bytes, chunks, messages, refused, linkLosses, kept, leftOut } = summary;
  if (ended === "full")
    say({
      en: "The file is full: the recording ends here, whole. Record on into another file.",
      zh: "文件已达上限，录制到此完整结束。请另用文件继续录制。",
    });
  if (chunks === 0) {
    say({ en: "Nothing was recorded; no file is left.", zh: "未录到数据，未保留文件。" });
    return;
  }
  const decoded = messages === null ? "" : `, ${messages} messages decoded, ${refused} refused`;
  const decodedZh = messages === null ? "" : `，解析 ${messages} 条，拒绝 ${refused} 条`;
  say({
    en: `${file}: ${seconds} s, ${bytes} bytes in ${chunks} chunks${decoded}; connection lost ${linkLosses} times.`,
    zh: `${seconds} 秒，${bytes} 字节，${chunks} 段${decodedZh}；断线 ${linkLosses} 次。`,
  });
  if (kept > 0)
    say({
      en: `${kept} messages were kept by the server from before; a replay shows them as of now.`,
      zh: `其中 ${kept} 条为服务器保留的旧消息，回放时会显示为当前数据。`,
    });
  if (leftOut > 0) say({ en: `${leftOut} messages were too long and are not in it.`, zh: `${leftOut} 条消息过长，未录入。` });
}
