import type { ErrorCode, Fault } from "../../core/errors.ts";
import { ERRORS } from "../../core/errors.ts";
import type { LinkSpec } from "../../core/ports.ts";
import type { Text } from "../../core/quantities.ts";

/** What somebody who records does about a link, by the fault's code. */
// biome-ignore format: one row a line, so that it reads as the table it is.
const LINK_FAULTS: Readonly<Partial<Record<ErrorCode, Text>>> = {
  "link-down": { en: "The connection to the device is lost or does not come about. Check cable, power and address; it is tried again until Ctrl-C.", zh: "与设备的连接中断或无法建立。请检查线缆、电源与地址；将持续重试，按 Ctrl-C 结束。" },
  "link-not-found": { en: "There is no such port or host. Check its name (`ls /dev/serial/by-id`) and that the adapter is plugged in.", zh: "没有此端口或主机。请检查名称（ls /dev/serial/by-id）并确认适配器已插好。" },
  "link-busy": { en: "Another program has this port open, and two would each get half of the bytes. If it is the gateway: have somebody stay with its patients, `systemctl stop vigil`, record, start it again. If it is a terminal or ModemManager: end that.", zh: "端口被其他程序占用，同时读取会各得一半数据。若为网关：请先安排人员看护患者，再执行 systemctl stop vigil，录制后重新启动；若为终端程序或 ModemManager：请将其结束。" },
  "link-denied": { en: "This may not be opened. A serial port: run as a user of the group `dialout`. An MQTT server: check --username, --password-file and whether the account may read the topic.", zh: "无权打开。串口：请以 dialout 组用户运行。MQTT 服务器：请检查 --username、--password-file 及该账户能否读取主题。" },
};

/** Says why a link is down, with its facts. */
export function linkFaultText({ code, facts }: Fault): Text {
  const said = LINK_FAULTS[code] ?? ERRORS[code].title;
  const shown = Object.entries(facts).map(([name, value]) => `${name}: ${value}`);
  return { en: `${said.en} (${shown.join(", ")})`, zh: said.zh };
}

/** Faults of a link that no waiting mends: somebody has to do something first. */
export const NEEDS_A_PERSON: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["link-busy", "link-denied", "link-not-found"]);

/** Why a device of a configuration cannot be recorded. */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const REFUSALS = {
  "unknown-device": { en: "The configuration has no such device.", zh: "配置中没有此设备。" },
  recording: { en: "This device is a recording already; copy its file.", zh: "该设备本身就是录制文件，请直接复制该文件。" },
  embedded: { en: "This device sends to the gateway's own broker. Make an account that may listen, `vigil devices add recorder --subscribe TOPIC --config FILE`, and record beside the running gateway: vigil capture --mqtt mqtt://127.0.0.1:PORT --topic TOPIC --username recorder --password-file F --out FILE.", zh: "该设备向网关自带的 MQTT 服务发送数据。请创建可订阅的账户（vigil devices add recorder --subscribe 主题 --config 文件），然后在网关运行时录制：vigil capture --mqtt mqtt://127.0.0.1:端口 --topic 主题 --username recorder --password-file 密码文件 --out 文件。" },
  "gateway-runs": { en: "The running gateway has this device open, and two programs would each get half of its bytes. Have somebody stay with its patients (nobody is alarmed meanwhile), `systemctl stop vigil`, record, and start it again.", zh: "运行中的网关正在使用该设备，同时读取会各得一半数据。请先安排人员看护患者（期间无报警），执行 systemctl stop vigil，录制后重新启动。" },
} as const satisfies Readonly<Record<string, Text>>;

/** Why a recording's file cannot be made, by the system's code. */
// biome-ignore format: one row a line, so that it reads as the table it is.
const FILE_FAULTS: Readonly<Record<string, Text>> = {
  EEXIST: { en: "There is such a file already, and a recording is never overwritten. Give another name by --out, or move that file away.", zh: "文件已存在，录制不会覆盖。请用 --out 指定其他名称，或先移走该文件。" },
  ENOENT: { en: "The folder of this file does not exist. Make it, or give another by --out.", zh: "文件所在目录不存在。请创建该目录，或用 --out 指定其他位置。" },
  EACCES: { en: "This user may not write there. Give another folder by --out.", zh: "当前用户无权写入该位置。请用 --out 指定其他目录。" },
  EROFS: { en: "That disk is read-only. Give another folder by --out.", zh: "该磁盘为只读。请用 --out 指定其他目录。" },
  ENOSPC: { en: "The disk is full. Make room, or give a folder on another disk by --out.", zh: "磁盘已满。请清理空间，或用 --out 指定其他磁盘。" },
  EIO: { en: "The disk does not write. Give a folder on another disk by --out.", zh: "磁盘写入失败。请用 --out 指定其他磁盘。" },
};

/** Says why a file cannot be made or written on. */
export function fileFaultText(file: string, code: string): Text {
  const said = FILE_FAULTS[code] ?? { en: "The file cannot be written.", zh: "无法写入文件。" };
  return { en: `${file} (${code}): ${said.en}`, zh: said.zh };
}

/** Nothing came for a while: what it may be, by how the device is reached. */
// biome-ignore format: one row a line, so that it reads as the table it is.
const SILENT: Readonly<Record<Exclude<LinkSpec["kind"], "capture">, Text>> = {
  serial: { en: "Is the device on and its data output switched on? Is it this port? Are TX and RX crossed (null modem or not), and the plug home? Does it only answer when asked (--driver)?", zh: "设备是否开机、数据输出是否开启？端口是否正确？TX/RX 是否需交叉（是否用零调制解调线），插头是否插紧？设备是否只应答不主动发送（--driver）？" },
  tcp: { en: "The server is connected, its device says nothing: is the device on, its output switched on, its serial cable in the right socket of the server? Does another client take the bytes? Does it only answer when asked (--driver)?", zh: "已连接串口服务器，但设备无数据：设备是否开机、输出是否开启、串口线是否插在正确接口？是否有其他客户端取走数据？设备是否只应答不主动发送（--driver）？" },
  mqtt: { en: "The server is connected, nothing comes on the topic: is --topic right (upper and lower case count; # for all below)? Is the device on and connected to this server? May the account read the topic?", zh: "已连接服务器，但主题无消息：--topic 是否正确（区分大小写，# 表示其下全部）？设备是否开机并连到该服务器？账户是否有权读取？" },
};

/** Bytes come and none can be read: what it may be, by how the device is reached. */
// biome-ignore format: one row a line, so that it reads as the table it is.
const UNREADABLE: Readonly<Record<Exclude<LinkSpec["kind"], "capture">, Text>> = {
  serial: { en: "Most likely the baud rate; then parity and data bits; then the driver (another model or output format at the device); then cable and ground.", zh: "最可能是波特率；其次校验位与数据位；再次驱动（型号或设备输出格式不同）；最后线缆与接地。" },
  tcp: { en: "Most likely the baud rate set in the serial server; then its parity and data bits; then the driver (another model or output format at the device); then the cable.", zh: "最可能是串口服务器中设置的波特率；其次其校验位与数据位；再次驱动（型号或设备输出格式不同）；最后线缆。" },
  mqtt: { en: "Most likely the driver or its --option does not fit these messages, or --topic takes in others than the device's.", zh: "最可能是驱动或其 --option 与消息不符，或 --topic 包含其他设备的消息。" },
};

/** Says that nothing came, or nothing of it could be read, and what it may be. */
export function quietText(
  kind: LinkSpec["kind"],
  quiet: { readonly seconds: number; readonly bytesCount: number; readonly refusedCount: number },
): Text {
  const { seconds, bytesCount, refusedCount } = quiet;
  const likely = kind === "capture" ? { en: "", zh: "" } : bytesCount === 0 ? SILENT[kind] : UNREADABLE[kind];
  if (bytesCount === 0)
    return { en: `Nothing has come for ${seconds} s. ${likely.en}`, zh: `${seconds} 秒内没有数据。${likely.zh}` };
  return {
    en: `Nothing was decoded for ${seconds} s, though ${bytesCount} bytes came (${refusedCount} times refused). ${likely.en} All of it is recorded.`,
    zh: `${seconds} 秒内收到 ${bytesCount} 字节（拒绝 ${refusedCount} 次），但无法解析。${likely.zh}数据均已录制。`,
  };
}
