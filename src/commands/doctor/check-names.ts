import type { Text } from "../../core/quantities.ts";

/** Everything that is looked at, in this order. */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const CHECKS = {
  "configuration": { en: "the configuration", zh: "配置" },
  "configuration-rights": { en: "who may read the configuration", zh: "配置文件权限" },
  "secret": { en: "a secret's file", zh: "密钥文件" },
  "certificate": { en: "a certificate's file", zh: "证书文件" },
  "data-folder": { en: "the data folder", zh: "数据目录" },
  "disk-room": { en: "room on the disk", zh: "磁盘空间" },
  "disk-kind": { en: "the kind of disk", zh: "磁盘类型" },
  "journal": { en: "the journal", zh: "日志" },
  "gateway": { en: "the gateway", zh: "网关" },
  "gateway-starts": { en: "how often the gateway starts", zh: "网关重启次数" },
  "gateway-alert": { en: "what the gateway says of itself", zh: "网关自身报警" },
  "shared-port": { en: "a port of its own for each device", zh: "设备端口是否独占" },
  "serial-port": { en: "a device's serial port", zh: "设备串口" },
  "device-server": { en: "a device's network address", zh: "设备网络地址" },
  "device-account": { en: "a device's account at the broker", zh: "设备的 MQTT 账户" },
  "device": { en: "a device", zh: "设备" },
  "server": { en: "a server the gateway connects to", zh: "网关所连接的服务器" },
  "backlog": { en: "what waits for an upstream", zh: "待上传数据" },
  "broker-port": { en: "the broker's port", zh: "MQTT 服务端口" },
  "broker-exposure": { en: "who can listen to the broker", zh: "MQTT 服务的加密" },
  "page-port": { en: "the page's port", zh: "页面端口" },
  "page-exposure": { en: "who can reach the page", zh: "页面的可达范围" },
  "page-certificate": { en: "the page's certificate", zh: "页面证书" },
  "clock": { en: "the board's clock", zh: "系统时钟" },
  "time-zone": { en: "the time zone", zh: "时区" },
  "sounder": { en: "the local sounder", zh: "本地报警器" },
  "model": { en: "a score or model", zh: "评分或模型" },
  "node": { en: "Node.js", zh: "Node.js" },
  "memory": { en: "memory", zh: "内存" },
  "file-handles": { en: "how many files may be open", zh: "可打开文件数" },
  "kernel": { en: "the kernel's files", zh: "内核文件系统" },
  "service": { en: "the systemd service", zh: "systemd 服务" },
} as const satisfies Readonly<Record<string, Text>>;

/** One thing that is looked at. */
export type CheckId = keyof typeof CHECKS;
