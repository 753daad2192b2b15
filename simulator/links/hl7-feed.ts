import type { Clock } from "../../src/core/time.ts";
import { type Hl7Sender, openHl7Sender } from "./hl7-sender.ts";

/** One message of a hospital's system, as it goes into its MLLP frame. */
export interface FeedMessage {
  /** MSH-10, by which its answer is known. */
  readonly controlId: string;
  readonly text: string;
}

/** What became of a message. */
export interface FeedAnswer {
  readonly controlId: string;
  /** MSA-1: AA, AE, AR, or their CA, CE, CR. */
  readonly code: string;
  /** MSA-3: why. */
  readonly text: string;
  /** How often it was sent before it was answered. */
  readonly sentCount: number;
}

/** A hospital's system that sends one message after the other and repeats each until it is answered, as interface engines do. */
export interface Hl7Feed {
  /** False where `WAITING_MAX` wait already: it is not sent. */
  readonly send: (message: FeedMessage) => boolean;
  readonly onAnswer: (listener: (answer: FeedAnswer) => void) => void;
  readonly waitingCount: () => number;
  /** Waits at most so long for what is not answered yet, and ends. */
  readonly close: (waitMs: number) => Promise<void>;
}

/** Further messages are not taken. */
const WAITING_MAX = 10_000;
/** A message that is not answered by then is sent again, on a new connection. */
const ANSWER_MS_MAX = 5000;
const RECONNECT_MS = 500;
const LOOK_MS = 10;

/** Begins to send; whoever is not there yet is tried again. */
export function openHl7Feed(parts: { readonly host: string; readonly port: number; readonly clock: Clock }): Hl7Feed {
  const { host, port, clock } = parts;
  const stop = new AbortController();
  const waiting: FeedMessage[] = [];
  let tell: (answer: FeedAnswer) => void = () => {};
  let sender: Hl7Sender | null = null;

  const connected = async (): Promise<Hl7Sender | null> => {
    if (sender !== null && !sender.isClosed()) return sender;
    const opened = await openHl7Sender({ host, port });
    sender = opened.ok ? opened.value : null;
    return sender;
  };
  const answerTo = async (message: FeedMessage, to: Hl7Sender): Promise<Omit<FeedAnswer, "sentCount"> | null> => {
    const untilMs = clock.monotonic() + ANSWER_MS_MAX;
    for (let read = 0; clock.monotonic() < untilMs && !stop.signal.aborted; await clock.sleep(LOOK_MS, stop.signal)) {
      const answers = to.answers();
      for (; read < answers.length; read++) {
        const answer = parseAnswer(answers[read]);
        if (answer?.controlId === message.controlId) return answer;
      }
      if (to.isClosed()) return null;
    }
    return null;
  };
  const deliver = async (message: FeedMessage): Promise<void> => {
    for (let sentCount = 0; !stop.signal.aborted; ) {
      const to = await connected();
      if (to !== null) {
        sentCount += 1;
        await to.send([new TextEncoder().encode(message.text)]);
        const answer = await answerTo(message, to);
        if (answer !== null) return tell({ ...answer, sentCount });
        await to.close();
      }
      await clock.sleep(RECONNECT_MS, stop.signal);
    }
  };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const [message] = waiting;
      if (message === undefined) await clock.sleep(LOOK_MS, stop.signal);
      else {
        await deliver(message);
        waiting.shift();
      }
    }
  };
  const running = run();
  return {
    send: (message) => {
      if (waiting.length >= WAITING_MAX) return false;
      waiting.push(message);
      return true;
    },
    onAnswer: (listener) => {
      tell = listener;
    },
    waitingCount: () => waiting.length,
    close: async (waitMs) => {
      const untilMs = clock.monotonic() + waitMs;
      while (waiting.length > 0 && clock.monotonic() < untilMs) await clock.sleep(LOOK_MS);
      stop.abort();
      await running;
      await sender?.close();
    },
  };
}

function parseAnswer(bytes: Uint8Array | undefined): Omit<FeedAnswer, "sentCount"> | null {
  const text = new TextDecoder().decode(bytes);
  const [, code = "", controlId = "", why = ""] = /^MSA\|(.*)$/m.exec(text.replaceAll("\r", "\n"))?.[0].split("|") ?? [];
  return code === "" ? null : { code, controlId, text: why };
}
