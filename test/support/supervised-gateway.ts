/**
 * A program that behaves towards its supervisor as a gateway does, well or badly. It is run as a child process by the supervisor's tests.
 *
 * Arguments: a folder for `life.jsonl`, and one behaviour per start; the last one is kept for all further starts.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [folder = ".", ...behaviours] = process.argv.slice(2);
const file = join(folder, "life.jsonl");
const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
const startsCount = lines.filter((line) => line.includes('"started"')).length;
const behaviour = behaviours[Math.min(startsCount, behaviours.length - 1)];
const heartbeatPeriodMs = 50;

const note = (fact: Readonly<Record<string, unknown>>) =>
  appendFileSync(file, `${JSON.stringify({ ...fact, pid: process.pid })}\n`);
const say = (message: Readonly<Record<string, unknown>>) => process.send?.(message);

function loopForEver(): void {
  for (let turn = 0; ; turn++) if (turn < 0) return;
}

function beat(): void {
  say({ kind: "ready" });
  setInterval(() => say({ kind: "heartbeat", atMs: Date.now() }), heartbeatPeriodMs);
}

/** Ends the process once what was said has been sent. */
function sayAndEnd(message: Readonly<Record<string, unknown>>, exitCode: number): void {
  process.send?.(message, () => process.exit(exitCode));
}

note({
  fact: "started",
  because: process.env["VIGIL_RESTARTED_BECAUSE"] ?? null,
  safeMode: process.env["VIGIL_SAFE_MODE"] ?? null,
  notifySocket: process.env["NOTIFY_SOCKET"] ?? null,
});
process.on("message", (message) => note({ fact: "told", message }));
process.on("disconnect", () => {
  note({ fact: "supervisor-gone" });
  process.exit(9);
});
process.on("SIGTERM", () => {
  note({ fact: "asked-to-stop" });
  if (behaviour !== "beats-and-never-stops") process.exit(0);
});

const behave: Readonly<Record<string, () => void>> = {
  beats: beat,
  "beats-and-never-stops": beat,
  "beats-then-loops": () => {
    beat();
    setTimeout(loopForEver, 400);
  },
  "beats-then-freezes": () => {
    beat();
    setTimeout(() => process.kill(process.pid, "SIGSTOP"), 400);
  },
  "beats-and-asks-for-sound": () => {
    beat();
    say({ kind: "sound", priority: "high" });
    setInterval(() => say({ kind: "sound", priority: "low" }), 300);
  },
  "lives-without-heartbeats": () => {
    say({ kind: "ready" });
    setInterval(() => undefined, 1000);
  },
  "never-ready": () => void setInterval(() => undefined, 1000),
  crashes: () => sayAndEnd({ kind: "crashed", reason: "the sequence must rise" }, 3),
  "ends-unasked": () => sayAndEnd({ kind: "ready" }, 0),
  "asks-for-restart": () => {
    beat();
    setTimeout(() => sayAndEnd({ kind: "restarting", previousConfig: null }, 0), 300);
  },
  "asks-for-restart-with-settings": () => {
    beat();
    setTimeout(() => sayAndEnd({ kind: "restarting", previousConfig: "/of/before" }, 0), 300);
  },
  "is-given-settings-and-crashes": () => {
    beat();
    say({ kind: "settings-saved", previousConfig: "/of/before" });
    setTimeout(() => sayAndEnd({ kind: "crashed", reason: "for another reason" }, 3), 300);
  },
  "asks-for-restart-and-never-ends": () => {
    beat();
    setTimeout(() => say({ kind: "restarting", previousConfig: null }), 300);
  },
  refuses: () => sayAndEnd({ kind: "refused" }, 2),
  "talks-nonsense": () => {
    beat();
    say({ kind: "heartbeat", atMs: "now" });
    say({ kind: "dance" });
  },
};
behave[behaviour ?? ""]?.();
