import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** Debian's package `mosquitto`. Where it is missing, the tests against it are skipped, loudly, and `.ci/run` fails. */
const MOSQUITTO = "/usr/sbin/mosquitto";
export const mosquittoIsMissing = !existsSync(MOSQUITTO);
if (mosquittoIsMissing) process.stderr.write("SKIPPED: tests against mosquitto (install Debian's package `mosquitto`)\n");

/** A real MQTT server in its own folder and process. */
export interface Mosquitto {
  readonly port: number;
  readonly folder: string;
  readonly start: () => Promise<void>;
  /** Sends a signal; for SIGTERM and SIGKILL it waits for the end. */
  readonly signal: (name: NodeJS.Signals) => Promise<void>;
  /** Ends the process and removes the folder. */
  readonly remove: () => Promise<void>;
}

/** A port of 127.0.0.1 that nobody uses. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        address === null || typeof address === "string" ? reject(new Error("no port")) : resolve(address.port),
      );
    });
  });
}

/**
 * Prepares a server on a free port; `start` runs it.
 *
 * @param lines  Lines of its configuration after `listener PORT 127.0.0.1`; FOLDER stands for its folder.
 */
export async function prepareMosquitto(lines: readonly string[]): Promise<Mosquitto> {
  const folder = await mkdtemp(join(tmpdir(), "vigil-mosquitto-"));
  const port = await freePort();
  const config = join(folder, "mosquitto.conf");
  const asRoot = process.getuid?.() === 0 ? ["user root"] : [];
  const text = ["per_listener_settings false", ...asRoot, "max_queued_messages 0", `listener ${port} 127.0.0.1`, ...lines];
  await writeFile(config, `${text.join("\n").replaceAll("FOLDER", folder)}\n`);
  let child: ChildProcess | null = null;
  let log = "";
  const ended = (of: ChildProcess) =>
    of.exitCode !== null || of.signalCode !== null
      ? Promise.resolve()
      : new Promise<void>((resolve) => of.once("exit", () => resolve()));
  const signal = async (name: NodeJS.Signals) => {
    const running = child;
    if (running === null) return;
    running.kill(name);
    if (name !== "SIGTERM" && name !== "SIGKILL") return;
    await ended(running);
    child = null;
  };
  return {
    port,
    folder,
    start: async () => {
      const started = spawn(MOSQUITTO, ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
      started.stderr.on("data", (bytes: Buffer) => {
        log = (log + bytes.toString()).slice(-4000);
      });
      child = started;
      for (let attempt = 0; !(await answers(port)); attempt++) {
        if (started.exitCode !== null || attempt > 200) throw new Error(`mosquitto did not start: ${log}`);
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    },
    signal,
    remove: async () => {
      child?.kill("SIGCONT");
      await signal("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Writes a password file for mosquitto with one account, by its own tool. */
export function writePasswords(of: { readonly file: string; readonly username: string; readonly password: string }): void {
  const made = spawnSync("mosquitto_passwd", ["-b", "-c", of.file, of.username, of.password]);
  if (made.status !== 0) throw new Error(`mosquitto_passwd: ${made.stderr.toString()}`);
}

const run = promisify(execFile);

/** A certificate authority made by openssl, for one test. */
export interface Authority {
  readonly caFile: string;
  /** Issues a certificate; `name` becomes its common name and its DNS name, 127.0.0.1 its address. */
  readonly issue: (name: string) => Promise<{ readonly certFile: string; readonly keyFile: string }>;
}

/** Makes a certificate authority in a folder. */
export async function makeAuthority(folder: string, name: string): Promise<Authority> {
  const file = (end: string) => join(folder, `${name}-${end}`);
  const caFile = file("ca.pem");
  const caKey = file("ca.key");
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await run("openssl", ["req", "-x509", ...ec, "-keyout", caKey, "-out", caFile, "-days", "2", "-subj", `/CN=${name} authority`]);
  return {
    caFile,
    issue: async (subject) => {
      const [keyFile, request, certFile, extensions] = ["key", "csr", "pem", "ext"].map((end) => file(`${subject}.${end}`));
      if (keyFile === undefined || request === undefined || certFile === undefined || extensions === undefined) throw new Error();
      await writeFile(extensions, `subjectAltName=DNS:${subject},IP:127.0.0.1\n`);
      await run("openssl", ["req", ...ec, "-keyout", keyFile, "-out", request, "-subj", `/CN=${subject}`]);
      const signing = ["-CA", caFile, "-CAkey", caKey, "-CAcreateserial", "-days", "2", "-extfile", extensions];
      await run("openssl", ["x509", "-req", "-in", request, ...signing, "-out", certFile]);
      return { certFile, keyFile };
    },
  };
}
