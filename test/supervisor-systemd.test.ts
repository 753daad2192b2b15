import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { SUPERVISOR_LIMITS, superviseGateway } from "../src/supervisor/supervisor.ts";
import type { SupervisorEvent } from "../src/supervisor/supervisor-event.ts";
import { until } from "./support/until.ts";

const GATEWAY = fileURLToPath(new URL("support/supervised-gateway.ts", import.meta.url));
const UNIT_FILE = fileURLToPath(new URL("../config/vigil.service", import.meta.url));
const WATCHDOG_MS = 600;

const missing = ["perl", "systemd-notify", "systemd-analyze"].filter((program) => spawnSync("which", [program]).status !== 0);
if (missing.length > 0)
  process.stderr.write(`SKIPPED: the systemd tests need ${missing.join(", ")} (Debian: perl-base, systemd)\n`);

let folder = "";

beforeEach(async ({ onTestFinished }) => {
  const made = await mkdtemp(join(tmpdir(), "vigil-systemd-"));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  folder = made;
});

/**
 * A datagram socket as systemd has one, kept by Perl (part of every Debian), which writes what arrives to a file.
 * Not by socat: it never closes the descriptor that comes with `BARRIER=1`, for whose end systemd-notify waits, as it may with systemd.
 */
const RECEIVER = `
  open(my $out, ">>", $ARGV[1]) or die; $out->autoflush(1);
  my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die;
  while (defined $socket->recv(my $message, 65536)) { print $out "$message\n" }
`;

async function listenAsSystemd() {
  const socket = join(folder, "notify");
  const file = join(folder, "received");
  const modules = ["-MIO::Handle", "-MIO::Socket::UNIX", "-MSocket"];
  const receiver = spawn("perl", [...modules, "-e", RECEIVER, socket, file], { stdio: "ignore" });
  onTestFinished(() => void receiver.kill("SIGKILL"));
  await until("the socket is there", () => existsSync(socket));
  const received = () => (existsSync(file) ? readFileSync(file, "utf8") : "");
  return { socket, received, count: (text: string) => received().split(text).length - 1 };
}

function supervise(behaviours: readonly string[], env: NodeJS.ProcessEnv) {
  const events: SupervisorEvent[] = [];
  const stop = new AbortController();
  const limits = {
    ...SUPERVISOR_LIMITS,
    readyMsMax: 3000,
    heartbeatSilenceMsMax: 1000,
    graceMs: 200,
    systemdNotifyMsMax: 1000,
    restartBackoffMsMin: 100,
  };
  const ended = superviseGateway(
    { command: [GATEWAY, folder, ...behaviours], sounderCommand: ["/bin/true"], env: { ...process.env, ...env }, limits },
    { clock: createSystemClock(), stop: stop.signal, report: (event) => void events.push(event) },
  );
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  return {
    ended,
    stop: () => stop.abort(),
    count: (kind: SupervisorEvent["kind"]) => events.filter((e) => e.kind === kind).length,
  };
}

describe.skipIf(missing.length > 0)("systemd", () => {
  test("hears READY once, signs of life while heartbeats arrive, and STOPPING", async () => {
    const systemd = await listenAsSystemd();
    const run = supervise(["beats"], { NOTIFY_SOCKET: systemd.socket, WATCHDOG_USEC: String(WATCHDOG_MS * 1000) });
    await until("three signs of life", () => systemd.count("WATCHDOG=1") >= 3);
    expect(systemd.count("READY=1")).toBe(1);
    expect(systemd.received()).toContain("STATUS=watching");
    expect(systemd.received()).toContain(`MAINPID=${process.pid}`);
    expect(systemd.count("STOPPING=1")).toBe(0);
    run.stop();
    expect(await run.ended).toBe(0);
    await until("STOPPING", () => systemd.count("STOPPING=1") === 1);
    expect(run.count("systemd-notify-failed")).toBe(0);
  });

  test("hears no sign of life from a gateway that sends no heartbeats", async () => {
    const systemd = await listenAsSystemd();
    supervise(["lives-without-heartbeats"], { NOTIFY_SOCKET: systemd.socket, WATCHDOG_USEC: String(WATCHDOG_MS * 1000) });
    await until("ready twice", () => systemd.count("READY=1") === 2);
    expect(systemd.count("WATCHDOG=1")).toBe(0);
    await until("the reason", () => systemd.received().includes("STATUS=the gateway does not answer"));
  });

  test("hears no more signs of life once heartbeats stop, and hears them again afterwards", async () => {
    const systemd = await listenAsSystemd();
    const env = { NOTIFY_SOCKET: systemd.socket, WATCHDOG_USEC: String(WATCHDOG_MS * 1000) };
    const run = supervise(["beats-then-freezes", "never-ready", "beats"], env);
    await until("the first is ended", () => run.count("gateway-ended") === 1);
    await createSystemClock().sleep(500);
    const countWhenSilent = systemd.count("WATCHDOG=1");
    expect(countWhenSilent).toBeGreaterThan(0);
    await createSystemClock().sleep(1500);
    expect(systemd.count("WATCHDOG=1")).toBe(countWhenSilent);
    await until("signs of life again", () => systemd.count("WATCHDOG=1") > countWhenSilent + 1);
    expect(run.count("gateway-answers-again")).toBe(1);
  });

  test("without a watchdog hears READY and no signs of life", async () => {
    const systemd = await listenAsSystemd();
    supervise(["beats"], { NOTIFY_SOCKET: systemd.socket, WATCHDOG_USEC: "" });
    await until("READY", () => systemd.count("READY=1") === 1);
    await createSystemClock().sleep(800);
    expect(systemd.count("WATCHDOG=1")).toBe(0);
  });

  test("that does not listen is reported once, and the gateway runs on", async () => {
    const env = { NOTIFY_SOCKET: join(folder, "nobody"), WATCHDOG_USEC: String(WATCHDOG_MS * 1000) };
    const run = supervise(["beats"], env);
    await until("reported", () => run.count("systemd-notify-failed") === 1);
    await createSystemClock().sleep(1000);
    expect(run.count("systemd-notify-failed")).toBe(1);
    expect(run.count("gateway-stalled")).toBe(0);
  });

  test("whose program is absent is reported once, and the gateway runs on", async () => {
    const env = { NOTIFY_SOCKET: join(folder, "nobody"), PATH: folder };
    const run = supervise(["beats"], env);
    await until("reported", () => run.count("systemd-notify-failed") === 1);
    await until("ready", () => run.count("gateway-ready") === 1);
    expect(run.count("systemd-notify-failed")).toBe(1);
  });

  test("keeps its socket from the gateway", async () => {
    const systemd = await listenAsSystemd();
    const run = supervise(["beats"], { NOTIFY_SOCKET: systemd.socket });
    await until("ready", () => run.count("gateway-ready") === 1);
    expect(await readFile(join(folder, "life.jsonl"), "utf8")).toContain('"notifySocket":null');
  });

  test("finds no fault with the unit file", () => {
    const unit = readFileSync(UNIT_FILE, "utf8");
    for (const line of [
      "Type=notify",
      "NotifyAccess=all",
      "Restart=always",
      "SupplementaryGroups=dialout audio",
      "StateDirectory=vigil",
    ]) {
      expect(unit).toContain(`\n${line}\n`);
    }
    const verified = spawnSync("systemd-analyze", ["verify", "--man=no", UNIT_FILE], { encoding: "utf8" });
    const complaints = verified.stderr
      .split("\n")
      .filter((line) => line.includes("vigil.service") && !line.includes("is not executable"));
    expect(complaints).toEqual([]);
  });
});
