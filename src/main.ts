#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Command, CommandIo } from "./commands/command.ts";

/** A command and one line about it; null for those that other commands start: they work alone too but nobody types them. */
interface Entry {
  readonly says: string | null;
  readonly load: () => Promise<Command>;
}

/** Every command, loaded only when it is called, so that `vigil decode` does not pay for a database. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  start: {
    says: "the demonstration, with nothing to set up  演示，无需任何设置",
    load: async () => (await import("./commands/start.ts")).startCommand,
  },
  run: {
    says: "the gateway under its supervisor  运行网关（含看护进程）",
    load: async () => (await import("./commands/run.ts")).runCommand,
  },
  check: {
    says: "validates a configuration without opening anything  检查配置，不打开任何设备",
    load: async () => (await import("./commands/check.ts")).checkCommand,
  },
  decode: {
    says: "feeds bytes to a driver and prints what they say  用驱动解析字节",
    load: async () => (await import("./commands/decode.ts")).decodeCommand,
  },
  encode: {
    says: "makes the bytes of readings  由读数生成字节",
    load: async () => (await import("./commands/encode.ts")).encodeCommand,
  },
  drivers: {
    says: "all drivers  列出全部驱动",
    load: async () => (await import("./commands/drivers.ts")).driversCommand,
  },
  score: {
    says: "one score on given inputs  按给定输入计算评分",
    load: async () => (await import("./commands/score.ts")).scoreCommand,
  },
  verify: {
    says: "whether each record is where it must be, once  核对每条记录是否在位且唯一",
    load: async () => (await import("./commands/verify.ts")).verifyCommand,
  },
  users: {
    says: "who may sign in at the page, and as what  管理登录账户",
    load: async () => (await import("./commands/users.ts")).usersCommand,
  },
  audit: {
    says: "who did what, and whether that record is whole  操作审计及哈希链核对",
    load: async () => (await import("./commands/audit.ts")).auditCommand,
  },
  export: {
    says: "what was measured, alarmed and done, as a table  导出观测值、报警与操作",
    load: async () => (await import("./commands/export.ts")).exportCommand,
  },
  doctor: {
    says: "tries every part that may be wrong, and says what to do  检查各部分并给出处理办法",
    load: async () => (await import("./commands/doctor.ts")).doctorCommand,
  },
  capture: {
    says: "records what a device sends, with times, to be replayed  录制设备数据以供回放",
    load: async () => (await import("./commands/capture.ts")).captureCommand,
  },
  certificate: {
    says: "the fingerprint of the page's certificate  页面证书的指纹",
    load: async () => (await import("./commands/certificate.ts")).certificateCommand,
  },
  devices: {
    says: "lists devices and says whom they measure  列出设备及其分配",
    load: async () => (await import("./commands/devices.ts")).devicesCommand,
  },
  patients: {
    says: "who lies where  患者与床位",
    load: async () => (await import("./commands/patients.ts")).patientsCommand,
  },
  simulate: {
    says: "patients, devices and faults by a scenario, with a verdict  按情景模拟患者、设备与故障，并给出判定",
    load: async () => (await import("./commands/simulate.ts")).simulateCommand,
  },
  compare: {
    says: "the simulator's patients beside real ones  将模拟患者与真实患者比较",
    load: async () => (await import("./commands/compare.ts")).compareCommand,
  },
  bench: {
    says: "the measured figures of the README  测量 README 中的数据",
    load: async () => (await import("./commands/bench.ts")).benchCommand,
  },
  generate: {
    says: "writes the generated documentation  生成文档",
    load: async () => (await import("./commands/generate.ts")).generateCommand,
  },
  gateway: { says: null, load: async () => (await import("./commands/gateway.ts")).gatewayCommand },
  "demo-world": { says: null, load: async () => (await import("./commands/demo-world.ts")).demoWorldCommand },
};

/**
 * Keeps what Node makes of the TypeScript files. Measured: without it each process and thread loads a compiler of its own,
 * and an idle gateway takes 119 MB instead of 85. Where the folder cannot be written everything works as before.
 */
function keepCompiled(): void {
  process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "..", "node_modules", ".vigil", "compile-cache");
  enableCompileCache(process.env["NODE_COMPILE_CACHE"]);
}

/** Prints to the real streams; a reader that has gone away (`| head`) is no error. */
function standardIo(): CommandIo {
  const quietWhenClosed = (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  };
  process.stdout.on("error", quietWhenClosed);
  process.stderr.on("error", quietWhenClosed);
  return {
    stdout: (line) => void process.stdout.write(`${line}\n`),
    stderr: (line) => void process.stderr.write(`${line}\n`),
    get stdin() {
      return createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
    },
  };
}

function usage(): string {
  const lines = Object.entries(COMMANDS).flatMap(([name, { says }]) => (says === null ? [] : [`  ${name.padEnd(12)}${says}`]));
  return `usage: vigil COMMAND [...]
${lines.join("\n")}
vigil COMMAND --help tells more. 各命令加 --help 查看说明。
Vigil is not a registered medical device. 本软件不是注册医疗器械。`;
}

async function main(args: readonly string[]): Promise<number> {
  const io = standardIo();
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "help") {
    io.stderr(usage());
    return name === undefined ? 2 : 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    io.stderr(`vigil: there is no command ${name}\n${usage()}`);
    return 2;
  }
  const command = await entry.load();
  if (rest.includes("--help")) {
    io.stdout(command.usage);
    return 0;
  }
  return await command.run(rest, io);
}

keepCompiled();
process.exitCode = await main(process.argv.slice(2));
