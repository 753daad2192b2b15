import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { parseGatewayMessage, parseSupervisorMessage } from "../src/supervisor/messages.ts";
import { SUPERVISOR_LIMITS, type SupervisorLimits, superviseGateway } from "../src/supervisor/supervisor.ts";
import type { SupervisorEvent } from "../src/supervisor/supervisor-event.ts";
import { until } from "./support/until.ts";

const GATEWAY = fileURLToPath(new URL("support/supervised-gateway.ts", import.meta.url));
const PARENT = fileURLToPath(new URL("support/supervising-parent.ts", import.meta.url));
/** Short, so that the test is; still twenty heartbeats long, because the machine may be busy. */
const LIMITS_OF_TEST: SupervisorLimits = {
  ...SUPERVISOR_LIMITS,
  heartbeatSilenceMsMax: 1000,
  graceMs: 300,
  restartBackoffMsMin: 100,
  restartBackoffMsMax: 200,
  sounderMsMax: 500,
  sounderPauseMs: 100,
};

interface LifeLine {
  readonly fact: "started" | "told" | "supervisor-gone" | "asked-to-stop";
  readonly pid: number;
  readonly because?: string | null;
  readonly safeMode?: string | null;
  readonly notifySocket?: string | null;
  readonly message?: { readonly kind: string; readonly why?: string };
}

let folder = "";

beforeEach(async ({ onTestFinished }) => {
  const made = await mkdtemp(join(tmpdir(), "vigil-supervisor-"));
  onTestFinished(async () => {
    for (const line of life()) endForSure(line.pid);
    await rm(made, { recursive: true, force: true });
  });
  folder = made;
});

/** Kills a fixture that a failed test left behind; the group is its own. */
function endForSure(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself, as it should.
  }
}

function life(): readonly LifeLine[] {
  const file = join(folder, "life.jsonl");
  if (!existsSync(file)) return [];
  const whole = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return whole.map((line): LifeLine => JSON.parse(line));
}

const starts = () => life().filter((line) => line.fact === "started");

/** Supervises the fixture in this process, and stops it when the test ends. */
function supervise(
  behaviours: readonly string[],
  more: {
    readonly sounder?: readonly string[];
    readonly env?: NodeJS.ProcessEnv;
    readonly limits?: Partial<SupervisorLimits>;
    readonly putBack?: (previousConfig: string) => Promise<string | null>;
  } = {},
) {
  const events: SupervisorEvent[] = [];
  const times: number[] = [];
  const stop = new AbortController();
  const ended = superviseGateway(
    {
      command: [GATEWAY, folder, ...behaviours],
      sounderCommand: more.sounder ?? null,
      env: { ...process.env, ...more.env },
      limits: { ...LIMITS_OF_TEST, ...more.limits },
      ...(more.putBack === undefined ? {} : { putBack: more.putBack }),
    },
    {
      clock: createSystemClock(),
      stop: stop.signal,
      report: (event) => {
        times.push(createSystemClock().monotonic());
        events.push(event);
      },
    },
  );
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  const count = (kind: SupervisorEvent["kind"]) => events.filter((event) => event.kind === kind).length;
  const timeOf = (kind: SupervisorEvent["kind"]) => times[events.findIndex((event) => event.kind === kind)] ?? Number.NaN;
  return { events, count, timeOf, ended, stop: () => stop.abort() };
}

/** A sounder that notes each run in a file. */
function notingSounder(rest = ""): readonly string[] {
  return ["/bin/sh", "-c", `echo "$VIGIL_SOUND" >> "${join(folder, "sounds")}"; ${rest}`];
}

async function sounds(): Promise<readonly string[]> {
  const text = await readFile(join(folder, "sounds"), "utf8").catch(() => "");
  return text.split("\n").slice(0, -1);
}

describe("a gateway that a person starts anew from the page", () => {
  const asked = { sounder: ["/bin/sh", "-c", "true"] } as const;

  test("is started at once, without a sound, and is no crash: not even four in a row lead to safe mode", async () => {
    const restarts = Array.from({ length: 4 }, () => "asks-for-restart");
    const run = supervise([...restarts, "beats"], asked);
    await until("the fifth gateway is ready", () => run.count("gateway-ready") === 5);
    expect(starts().map((line) => line.because)).toEqual([null, ...Array.from({ length: 4 }, () => "asked")]);
    expect([run.count("sound-started"), run.count("restart-planned"), run.count("safe-mode")]).toEqual([0, 0, 0]);
  });

  test.each(["refuses", "crashes", "never-ready"])(
    "and that then %s gets the settings of before, is sounded for, and is no crash",
    async (behaviour) => {
      const given: string[] = [];
      const run = supervise(["asks-for-restart-with-settings", behaviour, "beats"], {
        ...asked,
        limits: { readyMsMax: 1500 },
        putBack: async (previousConfig) => {
          given.push(previousConfig);
          return null;
        },
      });
      await until("the third gateway answers", () => run.count("gateway-answers-again") === 1);
      expect(given).toEqual(["/of/before"]);
      expect(starts().map((line) => line.because)).toEqual([null, "asked", "settings-failed"]);
      expect(run.count("sound-started")).toBeGreaterThan(0);
      expect([run.count("settings-put-back"), run.count("restart-planned")]).toEqual([1, 0]);
    },
  );

  test("settings that were written before a crash are taken back as well, where the gateway does not start with them", async () => {
    const given: string[] = [];
    const putBack = async (previousConfig: string) => {
      given.push(previousConfig);
      return null;
    };
    const run = supervise(["is-given-settings-and-crashes", "refuses", "beats"], { ...asked, putBack });
    await until("the third gateway is ready", () => run.count("gateway-ready") === 2);
    expect(given).toEqual(["/of/before"]);
    expect(starts().map((line) => line.because)).toEqual([null, "crashed", "settings-failed"]);
  });

  test("and that gets ready and crashes later is a crash as any other: nothing is put back", async () => {
    const given: string[] = [];
    const putBack = async (previousConfig: string) => {
      given.push(previousConfig);
      return null;
    };
    const run = supervise(["asks-for-restart-with-settings", "ends-unasked", "beats"], { ...asked, putBack });
    await until("the third gateway is ready", () => run.count("gateway-ready") === 3);
    expect(given).toEqual([]);
    expect(starts().map((line) => line.because)).toEqual([null, "asked", "crashed"]);
  });

  test("where nothing was changed a start that fails is a crash as any other", async () => {
    const run = supervise(["asks-for-restart", "crashes", "beats"], asked);
    await until("the third gateway is ready", () => run.count("gateway-ready") === 2);
    expect(starts().map((line) => line.because)).toEqual([null, "asked", "crashed"]);
    expect(run.count("settings-put-back")).toBe(0);
  });

  test("and that does not end is ended, and started all the same", async () => {
    const run = supervise(["asks-for-restart-and-never-ends", "beats"], { ...asked, limits: { stopMsMax: 400 } });
    await until("the second gateway is ready", () => run.count("gateway-ready") === 2);
    expect(run.count("gateway-killed")).toBe(1);
    expect(starts().map((line) => line.because)).toEqual([null, "asked"]);
  });
});

describe("a gateway that stops answering", () => {
  for (const behaviour of ["beats-then-loops", "beats-then-freezes", "lives-without-heartbeats"]) {
    test(`${behaviour}: sounded for within the limit, ended and started again`, async () => {
      const run = supervise([behaviour, "beats"], { sounder: notingSounder("sleep 0.2") });
      await until("the second gateway answers", () => run.count("gateway-answers-again") === 1);
      expect(starts().map((line) => line.because)).toEqual([null, "stalled"]);
      expect((await sounds())[0]).toBe("gateway-not-answering");
      // The sound starts within the limit, not after the kill.
      expect(run.timeOf("sound-started")).toBeLessThan(run.timeOf("gateway-ended"));
      const stalled = run.events.find((event) => event.kind === "gateway-stalled");
      expect(stalled).toMatchObject({ wasReady: true });
      expect(stalled?.kind === "gateway-stalled" && stalled.silentMs).toBeGreaterThan(800);
    });
  }

  test("the sound repeats until heartbeats return and then ends", async () => {
    const run = supervise(["beats-then-freezes", "never-ready", "beats"], {
      sounder: notingSounder(),
      limits: { readyMsMax: 1500 },
    });
    await until("the third gateway answers", () => run.count("gateway-answers-again") === 1);
    const heard = await sounds();
    expect(heard.length).toBeGreaterThan(3);
    expect(new Set(heard)).toEqual(new Set(["gateway-not-answering"]));
    await createSystemClock().sleep(600);
    const later = await sounds();
    expect(later.length - heard.length).toBeLessThanOrEqual(1);
    expect(run.count("gateway-stalled")).toBe(2);
  });

  test("an answering gateway is neither sounded for nor ended", async () => {
    const run = supervise(["beats"], { sounder: notingSounder() });
    await until("ready", () => run.count("gateway-ready") === 1);
    await createSystemClock().sleep(1500);
    expect(run.events.map((event) => event.kind)).toEqual(["gateway-started", "gateway-ready"]);
    expect(await sounds()).toEqual([]);
  });

  test("a slow start is allowed more time than a silence", async () => {
    const run = supervise(["never-ready"], { limits: { readyMsMax: 60_000 } });
    await until("started", () => starts().length === 1);
    await createSystemClock().sleep(1400);
    expect(run.count("gateway-stalled")).toBe(0);
  });

  test("a gateway stuck in a loop prints where before it is killed", async () => {
    const parent = startParent(["beats-then-loops", "beats"]);
    await until("the stack is printed", () => parent.stderr().includes("loopForEver"));
  }, 40_000);
});

describe("a gateway that ends unasked", () => {
  test("is started again at once and told why", async () => {
    const run = supervise(["crashes", "beats"]);
    await until("the second gateway answers", () => run.count("gateway-answers-again") === 1);
    expect(starts().map((line) => line.because)).toEqual([null, "crashed"]);
    expect(run.events.find((event) => event.kind === "gateway-ended")).toMatchObject({
      exitCode: 3,
      asked: false,
      reason: "the sequence must rise",
    });
    expect(run.events.find((event) => event.kind === "restart-planned")).toMatchObject({ delayMs: 0, crashesCount: 1 });
  });

  test("is started again even when it ends with 0", async () => {
    const run = supervise(["ends-unasked", "beats"]);
    await until("the second gateway answers", () => run.count("gateway-answers-again") === 1);
    expect(starts().length).toBe(2);
  });

  test("three times: the fourth start and every later one is in safe mode, after growing waits", async () => {
    const run = supervise(["crashes", "crashes", "crashes", "crashes", "beats"]);
    await until("the fifth gateway answers", () => run.count("gateway-answers-again") === 1);
    expect(starts().map((line) => line.safeMode)).toEqual([null, null, null, "1", "1"]);
    expect(run.events.flatMap((event) => (event.kind === "restart-planned" ? [event.delayMs] : []))).toEqual([0, 0, 100, 200]);
    expect(run.count("safe-mode")).toBe(1);
  });

  test("three times in more than the window: no safe mode", async () => {
    const run = supervise(["crashes", "crashes", "crashes", "beats"], { limits: { crashWindowMs: 1 } });
    await until("the fourth gateway answers", () => run.count("gateway-answers-again") === 1);
    expect(starts().map((line) => line.safeMode)).toEqual([null, null, null, null]);
  });

  test("is sounded for until the next one answers", async () => {
    const run = supervise(["crashes", "beats"], { sounder: notingSounder() });
    await until("the second gateway answers", () => run.count("gateway-answers-again") === 1);
    expect(await sounds()).toContain("gateway-not-answering");
  });
});

describe("stopping", () => {
  test("a clean stop ends both and gives the gateway's exit code", async () => {
    const run = supervise(["beats"], { sounder: notingSounder() });
    await until("ready", () => run.count("gateway-ready") === 1);
    run.stop();
    expect(await run.ended).toBe(0);
    expect(life().map((line) => line.fact)).toEqual(["started", "asked-to-stop"]);
    expect(await sounds()).toEqual([]);
  });

  test("a gateway that does not stop is killed after its time", async () => {
    const run = supervise(["beats-and-never-stops"], { limits: { stopMsMax: 400 } });
    await until("ready", () => run.count("gateway-ready") === 1);
    run.stop();
    expect(await run.ended).toBe(137);
    expect(run.events.slice(-2)).toMatchObject([
      { kind: "gateway-killed" },
      { kind: "gateway-ended", signal: "SIGKILL", asked: true },
    ]);
  });

  test("while the gateway is between two lives, nothing is started any more", async () => {
    const run = supervise(["crashes"], { limits: { restartBackoffMsMin: 60_000, restartBackoffMsMax: 60_000 } });
    await until("the long wait", () => run.count("restart-planned") === 3);
    run.stop();
    expect(await run.ended).toBe(0);
    expect(starts().length).toBe(3);
  });

  test("a gateway that refuses its first start is not started again", async () => {
    const run = supervise(["refuses", "beats"], { sounder: notingSounder() });
    expect(await run.ended).toBe(2);
    expect(starts().length).toBe(1);
    expect(await sounds()).toEqual([]);
  });

  test("a gateway that refuses after a crash is tried again and sounded for", async () => {
    const run = supervise(["ends-unasked", "refuses", "beats"], { sounder: notingSounder() });
    await until("the third gateway answers", () => run.count("gateway-answers-again") === 1);
    expect(await sounds()).toContain("gateway-not-answering");
  });
});

describe("the sounder", () => {
  test("runs when the gateway asks, with the priority", async () => {
    supervise(["beats-and-asks-for-sound"], { sounder: notingSounder() });
    await until(
      "two sounds",
      () => existsSync(join(folder, "sounds")) && readFileSync(join(folder, "sounds"), "utf8").includes("low"),
    );
    expect((await sounds())[0]).toBe("high");
  });

  const broken: readonly { readonly name: string; readonly sounder: () => readonly string[]; readonly why: string }[] = [
    { name: "that fails", sounder: () => ["/bin/sh", "-c", "exit 4"], why: "exit-code" },
    { name: "that hangs", sounder: () => ["/bin/sh", "-c", "sleep 60 & wait"], why: "too-long" },
    { name: "that does not exist", sounder: () => [join(folder, "no-such-program")], why: "not-started" },
    { name: "that is killed", sounder: () => ["/bin/sh", "-c", "kill -KILL $$"], why: "signal" },
  ];
  for (const { name, sounder, why } of broken) {
    test(`${name} is reported once and told to the gateway`, async () => {
      const run = supervise(["beats-and-asks-for-sound"], { sounder: sounder() });
      await until("the gateway is told", () => life().some((line) => line.fact === "told"));
      await until("a second try", () => run.count("sound-started") >= 2);
      expect(life().find((line) => line.fact === "told")?.message).toMatchObject({ kind: "sounder-failed", why });
      expect(run.count("sounder-failed")).toBe(1);
    });
  }

  test("that failed while no gateway ran is told to the next one", async () => {
    supervise(["beats-then-freezes", "beats"], { sounder: ["/bin/false"] });
    await until("the second gateway is told", () => life().some((line) => line.fact === "told"));
    const [first, second] = starts();
    expect(
      life()
        .filter((line) => line.fact === "told")
        .some((line) => line.pid === second?.pid),
    ).toBe(true);
    expect(first?.pid).not.toBe(second?.pid);
  });

  test("that works again is told as well", async () => {
    const mended = join(folder, "mended");
    const run = supervise(["beats-and-asks-for-sound"], { sounder: ["/bin/sh", "-c", `test -e "${mended}"`] });
    await until("failed", () => run.count("sounder-failed") === 1);
    await writeFile(mended, "");
    await until("told", () => life().some((line) => line.message?.kind === "sounder-works"));
    expect(run.count("sounder-works")).toBe(1);
  });

  test("that is not configured leaves the terminal's bell, and says so", async () => {
    const run = supervise(["beats-and-asks-for-sound"]);
    await until("a bell", () => run.count("sound-started") >= 1);
    expect(run.events.find((event) => event.kind === "sound-started")).toEqual({
      kind: "sound-started",
      by: "terminal-bell",
      why: "high",
    });
  });
});

describe("the supervisor as a process", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal} stops the gateway cleanly`, async () => {
      const parent = startParent(["beats"]);
      await until("ready", () => parent.stdout().includes('"gateway-ready"'));
      parent.process.kill(signal);
      expect(await parent.ended).toEqual({ exitCode: 0, signal: null });
      expect(life().map((line) => line.fact)).toEqual(["started", "asked-to-stop"]);
    });
  }

  test("killed: the gateway sees that nobody watches it any longer", async () => {
    const parent = startParent(["beats"]);
    await until("ready", () => parent.stdout().includes('"gateway-ready"'));
    parent.process.kill("SIGKILL");
    await until("the gateway knows", () => life().some((line) => line.fact === "supervisor-gone"));
  });
});

describe("messages", () => {
  test("what is no message is refused by name and harms nothing", async () => {
    const run = supervise(["talks-nonsense"]);
    await until("both refused", () => run.count("message-refused") === 2);
    expect(run.events.flatMap((event) => (event.kind === "message-refused" ? [event.given] : []))).toEqual([
      "heartbeat",
      "dance",
    ]);
  });

  const wrong: readonly unknown[] = [
    null,
    undefined,
    7,
    "ready",
    [],
    {},
    { kind: "sound", priority: "info" },
    { kind: "heartbeat" },
  ];
  test.each(wrong.map((message) => ({ message })))("$message is refused", ({ message }) => {
    expect(parseGatewayMessage(message).ok).toBe(false);
    expect(parseSupervisorMessage(message).ok).toBe(false);
  });

  test("a long reason is cut", () => {
    const parsed = parseGatewayMessage({ kind: "crashed", reason: "x".repeat(10_000) });
    expect(parsed.ok && parsed.value.kind === "crashed" && parsed.value.reason.length).toBe(500);
  });

  test("the sounder's failure survives the channel", () => {
    const message = { kind: "sounder-failed", why: "too-long", detail: "500 ms" } as const;
    expect(parseSupervisorMessage(message)).toEqual({ ok: true, value: message });
  });
});

/** Runs the supervisor in a process of its own. */
function startParent(behaviours: readonly string[]) {
  const parent: ChildProcess = spawn(process.execPath, [PARENT, GATEWAY, folder, ...behaviours], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  parent.stdout?.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  parent.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = new Promise<{ readonly exitCode: number | null; readonly signal: string | null }>((resolve) => {
    parent.on("exit", (exitCode, signal) => resolve({ exitCode, signal }));
  });
  onTestFinished(async () => {
    parent.kill("SIGKILL");
    await ended;
  });
  return { process: parent, stdout: () => stdout, stderr: () => stderr, ended };
}
