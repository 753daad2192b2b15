import { execFileSync, spawnSync } from "node:child_process";
import { createPrivateKey, randomBytes } from "node:crypto";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { statfs } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openBrokerAccounts } from "../src/broker/broker-accounts.ts";
import { createSystemClock } from "../src/clock.ts";
import { FINDINGS } from "../src/commands/doctor/findings.ts";
import { doctorCommand, exitCodeOf } from "../src/commands/doctor.ts";
import { type Clock, wallMs } from "../src/core/time.ts";
import { addressesOnTheNetwork, ownCertificate } from "../src/dashboard/server/tls/own-certificate.ts";
import { selfSignedCertificate } from "../src/dashboard/server/tls/self-signed.ts";
import { createSystemTime } from "../src/gateway/system-time.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { type Bench, findingOf, findings, GOOD_DISK, openBench } from "./support/doctor-bench.ts";
import { startInfluxServer } from "./support/influx-server.ts";
import { openOrFail } from "./support/journal-folder.ts";
import { freePort, makeAuthority, mosquittoIsMissing, prepareMosquitto, writePasswords } from "./support/mosquitto.ts";
import { PROJECT_FOLDER } from "./support/source-file.ts";
import { stageOfEachTest } from "./support/stage.ts";
import { until } from "./support/until.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("SKIPPED: what the doctor finds as another user, and on disks of its own (only root may)\n");

const stage = stageOfEachTest();
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** The real clock, but everything that is waited for takes a quarter of its time. */
const hasty: Clock = (() => {
  const real = createSystemClock();
  return { ...real, after: (delayMs, work) => real.after(delayMs / 4, work) };
})();

/** A TCP server that takes connections and says nothing, or this. */
async function listen(answer = ""): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => void socket.write(answer));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function bench(sections: Readonly<Record<string, unknown>> = {}): Bench {
  return openBench(stage().folder, sections);
}

function file(name: string, text: string, mode = 0o600): string {
  const path = join(stage().folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

/** A monitor at this link. */
function monitor(id: string, link: Readonly<Record<string, unknown>>) {
  return { id, driver: "serial-ivy-450c", bed: "bed-1", link };
}

function upstream(name: string, url: string, more: Readonly<Record<string, unknown>> = {}) {
  return { name, kind: "mqtt", url, ...more };
}

/** A root of the file system with these files and no others. */
function root(files: Readonly<Record<string, string>>): string {
  const folder = join(stage().folder, "root");
  rmSync(folder, { recursive: true, force: true });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return `${folder}/`;
}

/** The kernel's files of a well machine. */
const PROC = {
  "proc/self/stat": "1 (node)",
  "proc/self/limits":
    "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1048576              1048576              files\n",
  "proc/self/cgroup": "0::/vigil.service\n",
  "proc/meminfo": "MemTotal:        1000000 kB\nMemAvailable:     800000 kB\n",
  "etc/localtime": "TZif2",
};

describe("a machine where everything is well", () => {
  test("has no finding, and the answer is yes", async () => {
    const outcomes = await bench().diagnose();
    expect(findings(outcomes)).toEqual([]);
    expect(findingOf(outcomes, "gateway-never-ran")).toMatchObject({ gravity: "advice" });
    expect(exitCodeOf(outcomes)).toBe(0);
    expect(outcomes.filter(({ kind }) => kind === "well").length).toBeGreaterThan(10);
  });
});

describe("what the doctor is", () => {
  test("has each finding in both languages with a remedy, and each is planted by a test", () => {
    const tests = ["doctor", "system/doctor"].map((name) =>
      readFileSync(join(PROJECT_FOLDER, "test", `${name}.test.ts`), "utf8"),
    );
    for (const [id, { says, remedy }] of Object.entries(FINDINGS)) {
      for (const text of [says, remedy]) {
        expect(text.en, id).toMatch(/^[\x20-\x7e]{20,}$/);
        expect(text.zh, id).toMatch(/[\u4e00-\u9fff].*[\u4e00-\u9fff]{2}/);
      }
      expect(new RegExp(`["\`]${id}["\` ]`).test(tests.join()), `${id} is planted`).toBe(true);
    }
  });

  test("says wrong usage by 2, something wrong by 1 and all well by 0, and JSON Lines with the worst first", async () => {
    const io = collectingIo();
    expect(await doctorCommand.run([], io)).toBe(2);
    expect(await doctorCommand.run(["--config", "x", "--loud"], io)).toBe(2);
    const { configFile } = bench({ supervisor: { sounderCommand: ["/nowhere/horn"] } });
    expect(await doctorCommand.run(["--config", configFile, "--json"], io)).toBe(1);
    const lines = io.out.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.find((line) => line["finding"] === "sounder-missing")).toMatchObject({
      state: "wrong",
      check: "sounder",
      subject: "/nowhere/horn",
      says: FINDINGS["sounder-missing"].says.en,
      remedy: FINDINGS["sounder-missing"].remedy.en,
      zh: { says: FINDINGS["sounder-missing"].says.zh, remedy: FINDINGS["sounder-missing"].remedy.zh },
    });
    const order = ["stops", "wrong", "advice", "not-tried", "well"];
    const states = lines.flatMap((line) => (typeof line["state"] === "string" ? [order.indexOf(line["state"])] : []));
    expect(states).toEqual([...states].sort());
    expect(lines.at(-1)).toMatchObject({ ok: false });

    const words = collectingIo();
    expect(await doctorCommand.run(["--config", configFile], words)).toBe(1);
    expect(words.out).toEqual([]);
    const said = words.err.join("\n");
    for (const text of [FINDINGS["sounder-missing"].remedy.en, FINDINGS["sounder-missing"].remedy.zh])
      expect(said).toContain(text);
  });
});

describe("faults of the configuration and its files", () => {
  test("an invalid setting is named with its place, and the machine is looked at all the same", async () => {
    const { diagnose } = bench({ dashboard: { host: "0.0.0.0", signIn: false } });
    const outcomes = await diagnose({ node: { version: "v20.1.0", path: "/usr/bin/node" } });
    expect(findings(outcomes)).toEqual(["configuration-invalid dashboard.signIn", "node-too-old v20.1.0"]);
    expect(findingOf(outcomes, "configuration-invalid")?.says.en).toContain("loopback");
  });

  test("a configuration that names secrets and that everybody may read; without secrets it may be read", async () => {
    const passwordFile = file("password", "secret");
    const named = bench({
      mqttServers: [{ name: "hall", url: `mqtt://127.0.0.1:${await listen()}`, username: "x", passwordFile }],
    });
    chmodSync(named.configFile, 0o644);
    const probes = {
      clock: { ...createSystemClock(), after: (_: number, work: () => void) => createSystemClock().after(1, work) },
    };
    expect(findings(await named.diagnose(probes))).toContain(`configuration-readable ${named.configFile}`);
    chmodSync(named.configFile, 0o640);
    expect(findings(await named.diagnose(probes)).join()).not.toContain("configuration-readable");
    const plain = bench();
    chmodSync(plain.configFile, 0o644);
    expect(findings(await plain.diagnose())).toEqual([]);
  });

  test("a secret that everybody may read, that is missing, that is empty, that is too short", async () => {
    const ofToken = async (metricsTokenFile: string) =>
      findings(await bench({ dashboard: { enabled: false, metricsTokenFile } }).diagnose());
    const good = file("good", "sixteen-signs-ok\n");
    expect(await ofToken(good)).toEqual([]);
    chmodSync(good, 0o604);
    expect(await ofToken(good)).toEqual([`secret-readable ${good}`]);
    expect(await ofToken("/nowhere/token")).toEqual(["secret-missing /nowhere/token"]);
    const empty = file("empty", "\n");
    expect(await ofToken(empty)).toEqual([`secret-empty ${empty}`]);
    const short = file("short", "fifteen-signs-o");
    expect(await ofToken(short)).toEqual([`secret-short ${short}`]);
  });

  test("a certificate that is missing, is none, has expired, or soon will", async () => {
    const authority = await makeAuthority(stage().folder, "own");
    const { certFile, keyFile } = await authority.issue("127.0.0.1");
    const ofCertificate = async (given: string) => {
      const tls = { host: "127.0.0.1", port: await freePort(), certFile: given, keyFile };
      return findings(await bench({ broker: { port: null, tls } }).diagnose());
    };
    expect(await ofCertificate(certFile)).toEqual([`certificate-expires ${certFile}`]);
    expect(await ofCertificate("/nowhere/cert.pem")).toEqual(["certificate-missing /nowhere/cert.pem"]);
    const none = file("none.pem", "no certificate");
    expect(await ofCertificate(none)).toEqual([`certificate-unreadable ${none}`]);
    const old = join(stage().folder, "old.pem");
    execFileSync("openssl", ["x509", "-in", certFile, "-signkey", keyFile, "-days", "-1", "-out", old], { stdio: "ignore" });
    expect(await ofCertificate(old)).toEqual([`certificate-expired ${old}`]);
  });
});

describe("faults of the disk and the journal", () => {
  test("a data folder that everybody may enter, and one that is no folder", async () => {
    const open = bench();
    chmodSync(open.dataFolder, 0o755);
    expect(findings(await open.diagnose())).toEqual([`data-folder-open ${open.dataFolder}`]);
    const dataFolder = file("not-a-folder", "");
    const none = bench({ gateway: { id: "ward-1", dataFolder } });
    expect(findings(await none.diagnose())).toContain(`data-folder-not-writable ${dataFolder}`);
  });

  test.skipIf(!isRoot)("a disk that is memory, nearly full, without inodes, smaller than the plan", async () => {
    const folder = join(stage().folder, "disk");
    mkdirSync(folder);
    const of = async (options: string) => {
      execFileSync("/bin/mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder], { stdio: "pipe" });
      try {
        chmodSync(folder, 0o700);
        return findings(await bench({ gateway: { id: "ward-1", dataFolder: folder } }).diagnose({ statfs }));
      } finally {
        execFileSync("/bin/umount", ["-l", folder]);
      }
    };
    expect(await of("size=4000m")).toEqual([`disk-is-memory ${folder}`]);
    expect(await of("size=400m")).toEqual([`disk-is-memory ${folder}`, `disk-smaller-than-plan ${folder}`]);
    expect(await of("size=8m")).toEqual([`disk-nearly-full ${folder}`, `disk-is-memory ${folder}`]);
    expect(await of("size=4000m,nr_inodes=1000")).toEqual([`disk-files-used-up ${folder}`, `disk-is-memory ${folder}`]);
  });

  test.each([
    ["disk-is-network", 0x6969],
    // As some systems hand it on, with its sign.
    ["disk-is-network", 0xff534d42 | 0],
    ["disk-is-foreign", 0x4d44],
    ["disk-is-layer", 0x794c7630],
  ])("%s is known by the number of the file system", async (id, type) => {
    const { diagnose, dataFolder } = bench();
    expect(findings(await diagnose({ statfs: async () => ({ ...GOOD_DISK, type }) }))).toEqual([`${id} ${dataFolder}`]);
  });

  test("a disk is nearly full below 200 MB, and not at 200 MB", async () => {
    const { diagnose, dataFolder } = bench();
    const left = (bavail: number) => diagnose({ statfs: async () => ({ ...GOOD_DISK, bsize: 1_000_000, blocks: 9000, bavail }) });
    expect(findings(await left(200))).toEqual([]);
    expect(findings(await left(199))).toEqual([`disk-nearly-full ${dataFolder}`]);
  });

  test("a journal that another process holds, and one whose gateway ended", async () => {
    const { diagnose, dataFolder } = bench();
    const folder = join(dataFolder, "journal");
    const journal = await openOrFail(folder);
    const held = await diagnose();
    expect(findings(held).slice(0, 2)).toEqual([`journal-locked ${folder}`, "gateway-silent ward-1"]);
    expect(findingOf(held, "journal-locked")?.facts).toEqual({ pid: process.pid });
    await journal.close();
    expect(findings(await diagnose())).toEqual(["gateway-not-running ward-1"]);
  });

  test("a journal of a later version; nothing of it is changed", async () => {
    const { diagnose, dataFolder } = bench();
    const folder = join(dataFolder, "journal");
    await (await openOrFail(folder)).close();
    const kept = join(folder, "kept.sqlite");
    // Version 99 where `PRAGMA user_version` lies, in both halves of the number. Source: sqlite.org/fileformat2.html, 1.3.
    overwrite(kept, 60, Uint8Array.of(0, 99, 0, 99));
    const before = readFileSync(kept);
    expect(findings(await diagnose())).toContain(`journal-too-new ${folder}`);
    expect(readFileSync(kept).equals(before)).toBe(true);
  });

  test("a journal whose file is no database, or is cut short, or was set aside", async () => {
    const { diagnose, dataFolder } = bench();
    const folder = join(dataFolder, "journal");
    await (await openOrFail(folder)).close();
    const kept = join(folder, "kept.sqlite");
    const whole = readFileSync(kept);
    overwrite(kept, 0, Buffer.from("no database"));
    expect(findings(await diagnose())).toContain(`journal-damaged ${kept}`);
    writeFileSync(kept, whole);
    truncateSync(kept, whole.length - 4096);
    expect(findings(await diagnose())).toContain(`journal-damaged ${kept}`);
    writeFileSync(kept, whole);
    expect(findings(await diagnose())).toEqual(["gateway-not-running ward-1"]);
    writeFileSync(join(folder, "observations-0000000000000001.sqlite.damaged"), "");
    const outcomes = await diagnose();
    expect(findings(outcomes)).toContain(`journal-was-damaged ${folder}`);
    expect(findingOf(outcomes, "journal-was-damaged")?.facts["files"]).toBe("observations-0000000000000001.sqlite.damaged");
  });
});

function overwrite(path: string, atByte: number, bytes: Uint8Array): void {
  const opened = openSync(path, "r+");
  writeSync(opened, bytes, 0, bytes.length, atByte);
}

/** A pseudo terminal whose other end nobody but its master holds; Perl is part of every Debian. Source: ioctl_tty(2), TIOCSPTLCK and TIOCGPTN. */
async function terminal(): Promise<string> {
  const code = `$| = 1; open(M, "+<", "/dev/ptmx") or die; my $zero = pack("i", 0); ioctl(M, 0x40045431, $zero) or die;
    my $number = pack("i", 0); ioctl(M, 0x80045430, $number) or die; print "/dev/pts/" . unpack("i", $number) . "\\n"; sleep 60;`;
  const program = stage().program(["perl", "-e", code]);
  return await until("a terminal is made", () => program.stdout[0]);
}

describe("faults of the devices' ports", () => {
  test("a serial port that is there and free is well; missing, held by another program, no serial port", async () => {
    const { folder } = stage();
    const [port, busy] = [await terminal(), await terminal()];
    const taken = stage().program(["sh", "-c", `exec sleep 60 < ${busy}`]);
    await until("the port is held", () => spawnSync("sh", ["-c", `ls -l /proc/${taken.pid}/fd | grep -q pts`]).status === 0);
    const serial = (path: string) => ({ kind: "serial", path });
    const devices = [
      monitor("m-1", serial(port)),
      monitor("m-2", serial("/dev/serial/by-id/nothing")),
      monitor("m-3", serial(busy)),
      monitor("m-4", serial(file("no-port", ""))),
    ];
    const outcomes = await bench({ devices }).diagnose();
    expect(findings(outcomes)).toEqual([
      "serial-port-missing m-2 (/dev/serial/by-id/nothing)",
      `serial-port-busy m-3 (${busy})`,
      `serial-port-fails m-4 (${join(folder, "no-port")})`,
    ]);
    expect(findingOf(outcomes, "serial-port-busy")?.facts).toEqual({ holders: `sleep (${taken.pid})` });
    expect(outcomes).toContainEqual({ kind: "well", check: "serial-port", subject: `m-1 (${port})` });
  });

  test("two devices on one port, also under two names of it", async () => {
    const [one, other] = [join(stage().folder, "one"), join(stage().folder, "other")];
    symlinkSync("/dev/null", one);
    symlinkSync("/dev/null", other);
    const tcp = { kind: "tcp", host: "127.0.0.1", port: await listen() };
    const devices = [
      monitor("m-1", { kind: "serial", path: one }),
      monitor("m-2", { kind: "serial", path: other }),
      monitor("m-3", tcp),
      monitor("m-4", { ...tcp, port: await listen() }),
      monitor("m-5", tcp),
    ];
    const outcomes = await bench({ devices }).diagnose();
    expect(findings(outcomes).slice(0, 2)).toEqual(["port-shared /dev/null", `port-shared 127.0.0.1:${tcp.port}`]);
    expect(findingOf(outcomes, "port-shared")?.facts).toEqual({ devices: "m-1, m-2" });
  });

  test("a device server that refuses, one whose name is unknown, one that does not answer, one that is well, a recording that is missing", async () => {
    const refusing = await freePort();
    const good = await listen();
    const full = await fullServer();
    const devices = [
      monitor("m-1", { kind: "tcp", host: "127.0.0.1", port: refusing }),
      monitor("m-2", { kind: "tcp", host: "device.invalid", port: 4001 }),
      monitor("m-3", { kind: "tcp", host: "127.0.0.1", port: full }),
      monitor("m-4", { kind: "tcp", host: "127.0.0.1", port: good }),
      monitor("m-5", { kind: "capture", file: "/nowhere/recording.vcap" }),
    ];
    const outcomes = await bench({ devices }).diagnose({ clock: hasty });
    expect(findings(outcomes)).toEqual([
      `device-server-refuses m-1 (127.0.0.1:${refusing})`,
      "device-server-unknown m-2 (device.invalid:4001)",
      `device-server-silent m-3 (127.0.0.1:${full})`,
      "recording-missing m-5",
    ]);
    expect(outcomes).toContainEqual({ kind: "well", check: "device-server", subject: `m-4 (127.0.0.1:${good})` });
  });
});

/** A server that hangs with its queue of connections full: the system answers no further one. */
async function fullServer(): Promise<number> {
  const code = `const s = require("node:net").createServer(() => {});
    s.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(s.address().port));`;
  const program = stage().program([process.execPath, "-e", code]);
  const port = Number(await until("the server listens", () => program.stdout[0]));
  program.signal("SIGSTOP");
  const fill = `const n = require("node:net"); for (let i = 0; i < 8; i++) n.connect(${port}, "127.0.0.1").on("error", () => {});
    setTimeout(() => console.log("full"), 300); setInterval(() => {}, 1000);`;
  const filler = stage().program([process.execPath, "-e", fill]);
  await until("its queue is full", () => filler.stdout[0] === "full");
  return port;
}

describe.skipIf(mosquittoIsMissing)("faults of the servers upstream", () => {
  test("each is named for what it is", async () => {
    const { folder } = stage();
    const authority = await makeAuthority(folder, "hospital");
    const other = await makeAuthority(folder, "other");
    const { certFile, keyFile } = await authority.issue("broker");
    const oldFile = join(folder, "old.pem");
    const request = join(folder, "hospital-broker.csr");
    const caKey = join(folder, "hospital-ca.key");
    const signing = [
      "-CA",
      authority.caFile,
      "-CAkey",
      caKey,
      "-CAcreateserial",
      "-extfile",
      join(folder, "hospital-broker.ext"),
    ];
    execFileSync("openssl", ["x509", "-req", "-in", request, ...signing, "-days", "-1", "-out", oldFile], { stdio: "ignore" });
    const passwords = join(folder, "passwords");
    writePasswords({ file: passwords, username: "ward", password: "right" });
    chmodSync(folder, 0o755);
    const start = async (lines: readonly string[]) => {
      const server = await prepareMosquitto(lines);
      stage().defer(() => server.remove());
      await server.start();
      return server.port;
    };
    const plain = await start(["allow_anonymous false", `password_file ${passwords}`]);
    const [secure, expired] = [
      await start(["allow_anonymous true", `certfile ${certFile}`, `keyfile ${keyFile}`]),
      await start(["allow_anonymous true", `certfile ${oldFile}`, `keyfile ${keyFile}`]),
    ];
    const nobody = await freePort();
    const mute = await listen();
    const web = await listen("HTTP/1.1 400 Bad Request\r\n\r\n");
    const account = (password: string) => ({ username: "ward", passwordFile: file(`password-${password}`, password) });
    const upstreams = [
      upstream("good", `mqtt://127.0.0.1:${plain}`, account("right")),
      upstream("good-tls", `mqtts://127.0.0.1:${secure}`, { caFile: authority.caFile }),
      upstream("password", `mqtt://127.0.0.1:${plain}`, account("wrong")),
      upstream("expired", `mqtts://127.0.0.1:${expired}`, { caFile: authority.caFile }),
      upstream("name", `mqtts://localhost:${secure}`, { caFile: authority.caFile }),
      upstream("authority", `mqtts://127.0.0.1:${secure}`, { caFile: other.caFile }),
      upstream("no-tls", `mqtts://127.0.0.1:${web}`, { caFile: authority.caFile }),
      upstream("nobody", `mqtt://127.0.0.1:${nobody}`),
      upstream("unknown", "mqtt://broker.invalid:1883"),
      upstream("mute", `mqtt://127.0.0.1:${mute}`),
    ];
    const outcomes = await bench({ upstreams }).diagnose({ clock: hasty });
    const of = (list: readonly string[]) => list.filter((text) => text.startsWith("server-"));
    expect(of(findings(outcomes)).map((text) => text.replace(/ \(.*/, ""))).toEqual([
      "server-refuses upstream password",
      "server-certificate-expired upstream expired",
      "server-certificate-name upstream name",
      "server-certificate-unknown upstream authority",
      "server-certificate-bad upstream no-tls",
      "server-unreachable upstream nobody",
      "server-unknown upstream unknown",
      "server-silent upstream mute",
    ]);
    const good = outcomes.flatMap(({ kind, check, subject }) => (kind === "well" && check === "server" ? [subject] : []));
    expect(good.map((text) => text.split(" ")[1])).toEqual(["good", "good-tls"]);
  }, 30_000);
});

describe("faults of a database upstream", () => {
  test("each is named for what it is, and nothing is written into it", async () => {
    const history = (name: string, url: string) => ({ name, kind: "influx", url, target: { api: "v1", database: "vigil" } });
    const scripted = async (status: number) => {
      const server = await startInfluxServer();
      stage().defer(() => server.close());
      server.script(() => ({ kind: "status", status, body: "{}" }));
      return server;
    };
    const [good, denied, missing, failing] = [await scripted(204), await scripted(401), await scripted(404), await scripted(500)];
    const upstreams = [
      history("good", good.url),
      history("denied", denied.url),
      history("missing", missing.url),
      history("failing", failing.url),
      history("nobody", `http://127.0.0.1:${await freePort()}`),
      history("mute", `http://127.0.0.1:${await listen()}`),
    ];
    const outcomes = await bench({ upstreams }).diagnose({ clock: hasty });
    expect(findings(outcomes).map((text) => text.replace(/ \(.*/, ""))).toEqual([
      "server-refuses upstream denied",
      "server-target-missing upstream missing",
      "server-failing upstream failing",
      "server-unreachable upstream nobody",
      "server-silent upstream mute",
    ]);
    expect(outcomes).toContainEqual({ kind: "well", check: "server", subject: `upstream good (${good.url})` });
    expect([...good.stored.keys()]).toEqual([]);
  });
});

describe("faults of the gateway's own ports", () => {
  test("the page's port and the broker's port are taken; the page's address is none of this machine's", async () => {
    const port = await listen();
    const taken = await bench({ dashboard: { port }, broker: { port } }).diagnose();
    expect(findings(taken)).toEqual([`broker-port-taken 127.0.0.1:${port}`, `page-port-taken 127.0.0.1:${port}`]);
    const free = await freePort();
    expect(findings(await bench({ dashboard: { port: free }, broker: { port: await freePort() } }).diagnose())).toEqual([]);
    // An address of documentation. Source: RFC 5737.
    const foreign = await bench({ dashboard: { host: "203.0.113.7", port: free, tls: "none" } }).diagnose();
    expect(findings(foreign)).toEqual([`page-address-foreign 203.0.113.7:${free}`, `page-not-encrypted 203.0.113.7:${free}`]);
  });
});

describe("the page's certificate", () => {
  const TWO_YEARS_MS = 2 * 365 * 86_400_000;

  test("is told whole; one for other addresses, one that is over, and one that is none are found", async () => {
    const { diagnose, dataFolder } = bench({ dashboard: { port: await freePort(), tls: "own" } });
    const ofIt = async (wall = createSystemClock().wall) => {
      const outcomes = await diagnose({ clock: { ...createSystemClock(), wall } });
      return outcomes.filter(({ check }) => check === "page-certificate");
    };
    expect(await ofIt()).toMatchObject([{ kind: "not-tried" }]);
    const parts = { folder: dataFolder, gatewayId: "ward-1", clockTrusted: true, random: randomBytes, held: null };
    const made = await ownCertificate({ ...parts, wallMs: Date.now() });
    if (!made.ok) throw new Error(JSON.stringify(made.error));
    const { key, fingerprint, toMs } = made.value.pair;
    const until = new Date(toMs).toISOString().slice(0, 10);
    expect(await ofIt()).toEqual([{ kind: "well", check: "page-certificate", subject: `SHA-256 ${fingerprint} (${until})` }]);
    const over = await ofIt(() => wallMs(toMs));
    expect(over).toMatchObject([{ kind: "found", finding: "page-certificate-over", subject: fingerprint, facts: { until } }]);
    expect(await ofIt(() => wallMs(toMs - 1))).toMatchObject([{ kind: "well" }]);
    const times = { fromMs: Date.now() - 1000, toMs: Date.now() + TWO_YEARS_MS };
    const content = { commonName: "ward-1", names: ["127.0.0.1"], ...times, serial: randomBytes(16) };
    writeFileSync(join(dataFolder, "page-certificate.pem"), selfSignedCertificate(createPrivateKey(key), content));
    if (addressesOnTheNetwork().length > 0)
      expect(await ofIt()).toMatchObject([{ kind: "found", finding: "page-certificate-short", gravity: "advice" }]);
    writeFileSync(join(dataFolder, "page-certificate.pem"), "hello");
    expect(await ofIt()).toMatchObject([{ kind: "found", finding: "page-certificate-failed" }]);
  });

  test("a key that is another's is found, and a page that others may reach is encrypted where nothing is said", async () => {
    const { dataFolder } = bench();
    const parts = { gatewayId: "ward-1", clockTrusted: true, random: randomBytes, held: null, wallMs: Date.now() };
    await ownCertificate({ ...parts, folder: join(dataFolder, "one") });
    await ownCertificate({ ...parts, folder: join(dataFolder, "other") });
    const certFile = join(dataFolder, "one", "page-certificate.pem");
    const keyFile = join(dataFolder, "other", "page-key.pem");
    const port = await freePort();
    const foreign = await bench({ dashboard: { port, tls: { certFile, keyFile } } }).diagnose();
    expect(findings(foreign)).toEqual([`page-certificate-failed 127.0.0.1:${port}`]);
    expect(foreign.find(({ check }) => check === "page-certificate")).toMatchObject({ facts: { file: keyFile } });
    const reached = await bench({ dashboard: { host: "0.0.0.0", port: await freePort() } }).diagnose();
    expect(findings(reached)).toEqual([]);
  });
});

describe("faults of the gateway's own broker", () => {
  test("a device without an account, with one that has expired, with a good one; an accounts file that cannot be read", async () => {
    const device = (id: string) => ({ id, driver: "mqtt-zigbee2mqtt", bed: "bed-1", link: { kind: "mqtt" } });
    const devices = [device("d-none"), device("d-old"), device("d-good")];
    const { diagnose, dataFolder } = bench({ devices, broker: { port: await freePort() } });
    const accountsFile = join(dataFolder, "broker-accounts.json");
    const { wall } = createSystemClock();
    const opened = await openBrokerAccounts(accountsFile, { now: wall, random: randomBytes });
    if (!opened.ok) throw new Error(JSON.stringify(opened.error));
    const nowMs = wall() + 3_600_000;
    const clock = { ...createSystemClock(), wall: () => wallMs(nowMs) };
    for (const [name, expiresAtMs] of [
      ["d-old", nowMs],
      ["d-good", nowMs + 1],
    ] as const)
      expect((await opened.value.add({ name, expiresAtMs })).ok).toBe(true);
    const outcomes = await diagnose({ clock });
    expect(findings(outcomes)).toEqual(["device-account-missing d-none", "device-account-expired d-old"]);
    expect(outcomes).toContainEqual({ kind: "well", check: "device-account", subject: "d-good" });
    writeFileSync(accountsFile, "{");
    expect(findings(await diagnose({ clock }))).toEqual([`broker-accounts-unreadable ${accountsFile}`]);
  });

  test("listens on the network without encryption, at an address that is none of this machine's", async () => {
    const port = await freePort();
    // An address of documentation. Source: RFC 5737.
    const outcomes = await bench({ broker: { host: "203.0.113.7", port } }).diagnose();
    expect(findings(outcomes)).toEqual([
      `broker-address-foreign 203.0.113.7:${port}`,
      `broker-not-encrypted 203.0.113.7:${port}`,
    ]);
  });
});

describe("faults of the clock", () => {
  const at = (nowMs: number) => ({ ...createSystemClock(), wall: () => wallMs(nowMs) });

  test.each([
    ["clock-unset", 0],
    ["clock-unset", Date.UTC(2026, 0, 1) - 1],
    ["clock-far-ahead", Date.UTC(2051, 0, 1)],
  ])("%s at %d", async (id, nowMs) => {
    expect(findings(await bench().diagnose({ clock: at(nowMs) }))).toEqual([`${id} ${new Date(nowMs).toISOString()}`]);
  });

  test("a time service that has not set the clock, that has, and none", async () => {
    const nowMs = Date.UTC(2026, 10, 22);
    const of = async (systemRoot: string, timedatectl: string | null, sections = {}) =>
      findings(
        await bench(sections).diagnose({
          clock: at(nowMs),
          systemTime: createSystemTime(systemRoot),
          timedatectl: async () => timedatectl,
        }),
      ).map((text) => text.split(" ")[0]);
    const begun = root({ "run/systemd/timesync/clock": "" });
    expect(await of(begun, "no")).toEqual(["clock-not-synchronised"]);
    expect(await of(begun, "no", { clock: { believe: "always" } })).toEqual([]);
    expect(await of(root({ "run/systemd/timesync/synchronized": "" }), "no")).toEqual([]);
    const silent = root({ "etc/hostname": "" });
    expect(await of(silent, "no")).toEqual(["clock-unkept"]);
    expect(await of(silent, "yes")).toEqual([]);
    expect(await of(silent, null)).toEqual([]);
  });

  test("a time zone that is not set, by no file or by UTC", async () => {
    const none = await bench().diagnose({ env: { PATH: process.env["PATH"] }, root: root(PROC) });
    expect(findings(none)).toEqual([]);
    const { "etc/localtime": _, ...without } = PROC;
    const unset = root(without);
    expect(findings(await bench().diagnose({ env: { PATH: process.env["PATH"] }, root: unset }))).toEqual([
      `time-zone-unset ${unset}etc/localtime`,
    ]);
    mkdirSync(`${unset}etc`, { recursive: true });
    symlinkSync("/usr/share/zoneinfo/Etc/UTC", `${unset}etc/localtime`);
    const utc = await bench().diagnose({ env: { PATH: process.env["PATH"] }, root: unset });
    expect(findings(utc)).toEqual(["time-zone-unset Etc/UTC"]);
  });
});

describe("faults of what warns", () => {
  const sounder = (sounderCommand: readonly string[] | null) => bench({ supervisor: { sounderCommand } });

  test("a sounder that is not set, is missing, may not be run, fails; it is not sounded unasked", async () => {
    expect(findings(await sounder(null).diagnose())).toEqual(["sounder-none supervisor.sounderCommand"]);
    expect(findings(await sounder(["no-such-horn"]).diagnose())).toEqual(["sounder-missing no-such-horn"]);
    const script = file("horn", "#!/bin/sh\necho $VIGIL_SOUND > sounded\n", 0o600);
    expect(findings(await sounder([script]).diagnose())).toEqual([`sounder-missing ${script}`]);
    const failing = sounder(["false"]);
    expect(findings(await failing.diagnose())).toEqual(["sounder-fails false"]);
    const quiet = await failing.diagnose({}, { mayHear: false });
    expect(findings(quiet)).toEqual([]);
    expect(quiet).toContainEqual(expect.objectContaining({ kind: "not-tried", check: "sounder" }));
  });

  test("a model whose file does not match its manifest", async () => {
    const projectRoot = join(stage().folder, "project");
    mkdirSync(projectRoot);
    cpSync(join(PROJECT_FOLDER, "package.json"), join(projectRoot, "package.json"));
    cpSync(join(PROJECT_FOLDER, "models"), join(projectRoot, "models"), { recursive: true });
    const { diagnose } = bench();
    expect(findings(await diagnose({ projectRoot }))).toEqual([]);
    const table = join(projectRoot, "models", "news2", "table.json");
    writeFileSync(table, readFileSync(table, "utf8").replace('"points": 3', '"points": 2'));
    expect(findings(await diagnose({ projectRoot }))).toEqual(["model-damaged news2"]);
  });
});

describe("faults of the machine", () => {
  const node = (version: string) => ({ node: { version, path: "/usr/bin/node" } });

  test("a Node.js that is too old, and one that is not the packaged one", async () => {
    const { diagnose } = bench();
    expect(findings(await diagnose(node("v22.17.9")))).toEqual(["node-too-old v22.17.9"]);
    expect(findings(await diagnose(node("v22.18.0")))).toEqual(["node-not-packaged v22.18.0"]);
  });

  test("too little memory, memory taken by others, a bound of the service's group", async () => {
    const { diagnose } = bench();
    const of = async (files: Readonly<Record<string, string>>) =>
      findings(await diagnose({ root: root({ ...PROC, ...files }) })).map((text) => text.split(" ")[0]);
    const memory = (whole: number, left: number) => ({ "proc/meminfo": `MemTotal: ${whole} kB\nMemAvailable: ${left} kB\n` });
    expect(await of({})).toEqual([]);
    expect(await of(memory(390_624, 300_000))).toEqual(["memory-small"]);
    expect(await of(memory(390_625, 300_000))).toEqual([]);
    expect(await of(memory(900_000, 195_312))).toEqual(["memory-taken"]);
    expect(await of(memory(900_000, 195_313))).toEqual([]);
    expect(await of({ "sys/fs/cgroup/vigil.service/memory.max": "268435456\n" })).toEqual(["memory-small"]);
    expect(await of({ "sys/fs/cgroup/vigil.service/memory.max": "max\n" })).toEqual([]);
  });

  test("a kernel without /proc, of which nothing else is guessed", async () => {
    const empty = root({ "etc/localtime": "" });
    const outcomes = await bench().diagnose({ root: empty });
    expect(findings(outcomes)).toEqual([`proc-missing ${empty}proc`]);
    const untried = outcomes.flatMap(({ kind, check }) => (kind === "not-tried" ? [check] : []));
    expect(untried).toEqual(expect.arrayContaining(["memory", "file-handles"]));
  });

  test("a service that is missing, has no watchdog, is not started again; the example of this project is well", async () => {
    const unit = readFileSync(join(PROJECT_FOLDER, "config", "vigil.service"), "utf8");
    const of = async (text: string | null) => {
      const service = text === null ? {} : { "etc/systemd/system/vigil.service": text };
      const outcomes = await bench().diagnose({ root: root({ ...PROC, "run/systemd/system/x": "", ...service }) });
      return outcomes.flatMap((outcome) =>
        outcome.check === "service" ? [outcome.kind === "found" ? outcome.finding : outcome.kind] : [],
      );
    };
    expect(await of(unit)).toEqual(["well"]);
    expect(await of(null)).toEqual(["service-missing"]);
    expect(await of(unit.replace(/^WatchdogSec=.*$/m, ""))).toEqual(["service-watchdog-missing"]);
    expect(await of(unit.replace(/^Restart=.*$/m, "Restart=no"))).toEqual(["service-restart-missing"]);
  });

  test.skipIf(!isRoot)("another user without rights, and with few file handles, is told each of them", async () => {
    const { folder } = stage();
    const port = join(folder, "port");
    stage().program(["socat", `pty,raw,echo=0,mode=600,link=${port}`, `pty,raw,echo=0,link=${port}-far`]);
    await until("socat makes a terminal", () => spawnSync("test", ["-c", port]).status === 0);
    const metricsTokenFile = file("token", "sixteen-signs-ok");
    const { configFile, dataFolder } = bench({
      dashboard: { enabled: false, metricsTokenFile },
      devices: [monitor("m-1", { kind: "serial", path: port })],
    });
    await (await openOrFail(join(dataFolder, "journal"))).close();
    chmodSync(folder, 0o755);
    chmodSync(configFile, 0o644);
    const main = join(PROJECT_FOLDER, "src", "main.ts");
    const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    if (spawnSync("setpriv", [...asNobody.slice(1), "test", "-r", main]).status !== 0)
      return void process.stderr.write("SKIPPED: the doctor as another user, who may not read this folder\n");
    const command = `ulimit -n 200; exec ${process.execPath} ${main} doctor --json --config ${configFile}`;
    const program = stage().program([...asNobody, "sh", "-c", command]);
    expect(await program.exited, program.stderr.join("\n")).toBe(1);
    const lines = program.stdout.map((line) => JSON.parse(line) as { readonly state?: string; readonly finding?: string });
    const found = lines.flatMap(({ state, finding }) => (state === "stops" || state === "wrong" ? [finding] : []));
    expect(found).toEqual(
      expect.arrayContaining([
        "configuration-readable",
        "data-folder-not-writable",
        "journal-unreadable",
        "gateway-no-rights",
        "secret-unreadable",
        "serial-port-no-rights",
        "file-handles-few",
      ]),
    );
  });
});
