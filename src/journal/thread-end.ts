import type { MessagePort, Worker } from "node:worker_threads";
import { LIMITS } from "../core/limits.ts";
import type { Clock } from "../core/time.ts";

/** Asks a thread of the journal to end. */
const END = { kind: "end" } as const;

/**
 * Ends a thread: it is asked to, and ended from outside only where it does not follow. To end a thread from outside while it loads or uses
 * SQLite may end the process: of 300 threads that were ended within their first 30 ms one did (Node 24, better-sqlite3 13; 2026-11-23).
 */
export async function endThread(worker: Worker, clock: Clock): Promise<void> {
  if (worker.threadId === -1) return;
  const waiting = new AbortController();
  const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  worker.postMessage(END);
  await Promise.race([ended, clock.sleep(LIMITS.journalThreadEndMsMax.value, waiting.signal)]);
  waiting.abort();
  await worker.terminate();
}

/** Takes a thread's messages, one after the other, until it is asked to end. */
export function takeMessages<Message>(port: MessagePort, take: (message: Message) => void): void {
  port.on("message", (message: Message | typeof END) => {
    if (isEnd(message)) process.exit();
    else take(message);
  });
}

function isEnd(message: unknown): message is typeof END {
  return typeof message === "object" && message !== null && "kind" in message && message.kind === END.kind;
}
