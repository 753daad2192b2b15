import { CAPTURE_FORMAT, formatCaptureChunk, formatCaptureHeader } from "../../core/capture.ts";
import { decodeErrorText } from "../../core/decode-error-text.ts";
import { LIMITS } from "../../core/limits.ts";
import type { DriverSession, Emission, Link, LinkEvent, LinkSpec } from "../../core/ports.ts";
import type { Text } from "../../core/quantities.ts";
import type { Clock, MonotonicMs, Timer } from "../../core/time.ts";
import type { CaptureFile } from "./capture-file.ts";
import { LiveView } from "./live-view.ts";
import type { Listening } from "./question.ts";
import { fileFaultText, linkFaultText, NEEDS_A_PERSON, quietText } from "./words.ts";

/** What a recording came to. */
export interface CaptureSummary {
  /** `asked`: as it was meant to; `full`: at `captureFileBytesMax`; `disk`: the file could not be written on; `link`: the device could not be reached at all. */
  readonly ended: "asked" | "full" | "disk" | "link";
  /** From the first chunk to the last. */
  readonly seconds: number;
  readonly bytes: number;
  readonly chunks: number;
  /** Messages decoded and stretches refused; null without a driver. */
  readonly messages: number | null;
  readonly refused: number | null;
  /** How often the link was lost after it had been there. */
  readonly linkLosses: number;
  /** Messages that an MQTT server had kept from before; a replay shows them as of now. */
  readonly kept: number;
  /** Messages too long for a line of a recording. */
  readonly leftOut: number;
}

/** What a recording is made with. */
export interface RecorderParts {
  readonly kind: LinkSpec["kind"];
  readonly link: Link;
  readonly listening: Listening | null;
  readonly listenOnly: boolean;
  readonly note: string | null;
  readonly file: Pick<CaptureFile, "append" | "close">;
  /** The file's name, for people. */
  readonly fileName: string;
  readonly clock: Clock;
  readonly say: (text: Text) => void;
}

type Bytes = Extract<LinkEvent, { kind: "bytes" }>;

/** Between two looks at what is shown live. */
const SHOWN_MS = 5000;

/** Writes down what a link brings until the link ends. A gap of the link is a gap in the times and nothing else. */
export class Recorder {
  readonly #parts: RecorderParts;
  readonly #view: LiveView;
  #ended: CaptureSummary["ended"] = "asked";
  /** When the first chunk came, which is the recording's `atMs` 0; null before it. */
  #startedMs: MonotonicMs | null = null;
  #lastMs = 0;
  #bytes = 0;
  #chunks = 0;
  #messages = 0;
  #refused = 0;
  #linkLosses = 0;
  #kept = 0;
  #leftOut = 0;
  #isUp = false;
  #wasUp = false;
  #session: DriverSession | null = null;
  #dueTimer: Timer | null = null;
  #quietTimer: Timer | null = null;
  /** What was said of the quiet that goes on; null where it was not long enough for a word. */
  #quietSaid: "silent" | "unreadable" | null = null;
  #quietBytes = 0;
  #quietRefused = 0;

  constructor(parts: RecorderParts) {
    this.#parts = parts;
    this.#view = new LiveView();
  }

  /** Runs until the link is closed, or until no more can be recorded. */
  async run(): Promise<CaptureSummary> {
    const { link, clock, say } = this.#parts;
    const shown = clock.every(SHOWN_MS, () => this.#show());
    for await (const event of link.events) {
      if (!(await this.#take(event))) break;
    }
    for (const timer of [shown, this.#dueTimer, this.#quietTimer]) timer?.stop();
    await link.close();
    const nothing = this.#chunks === 0;
    const closed = await this.#parts.file.close({ keep: !nothing });
    if (!closed.ok && closed.error.kind === "failed") {
      say(fileFaultText(this.#parts.fileName, closed.error.cause));
      this.#ended = "disk";
    }
    return {
      ended: this.#ended,
      seconds: this.#lastMs / 1000,
      chunks: this.#chunks,
      ...this.#counts(),
      linkLosses: this.#linkLosses,
      kept: this.#kept,
      leftOut: this.#leftOut,
    };
  }

  #counts() {
    const decodes = this.#parts.listening !== null;
    return {
      bytes: this.#bytes,
      messages: decodes ? this.#messages : null,
      refused: decodes ? this.#refused : null,
    };
  }

  /** Returns false where the recording is over. */
  async #take(event: LinkEvent): Promise<boolean> {
    switch (event.kind) {
      case "up":
        this.#up();
        return true;
      case "down":
        return this.#down(event);
      case "bytes": {
        const goesOn = await this.#write(event);
        this.#hear(event);
        this.#parts.link.committed(event.position);
        return goesOn;
      }
    }
  }

  #up(): void {
    const { say, listening } = this.#parts;
    say(
      this.#wasUp
        ? { en: "The device is connected again; the gap stays in the recording.", zh: "设备已重新连接；中断时段保留在录制中。" }
        : { en: "The device is connected. Recording; Ctrl-C ends it.", zh: "设备已连接，正在录制；按 Ctrl-C 结束。" },
    );
    this.#isUp = true;
    this.#wasUp = true;
    this.#session = listening?.driver.open(listening.options) ?? null;
    this.#awaitSense();
    this.#serveDue();
  }

  #down({ fault }: Extract<LinkEvent, { kind: "down" }>): boolean {
    if (this.#isUp) this.#linkLosses += 1;
    this.#isUp = false;
    this.#dueTimer?.stop();
    this.#quietTimer?.stop();
    this.#parts.say(linkFaultText(fault));
    // Once it was there it may come again by itself; what never was waits for somebody.
    if (this.#wasUp || !NEEDS_A_PERSON.has(fault.code)) return true;
    this.#ended = "link";
    return false;
  }

  async #write({ channel, bytes, receivedAtMs, receivedMonotonicMs, kept }: Bytes): Promise<boolean> {
    const { listening, note, file, fileName, say } = this.#parts;
    const startedMs = this.#startedMs ?? receivedMonotonicMs;
    const header = {
      format: CAPTURE_FORMAT,
      recordedAtMs: receivedAtMs,
      driverId: listening?.driver.id ?? null,
      ...(note === null ? {} : { note }),
    } as const;
    const headed = this.#startedMs === null ? await file.append(formatCaptureHeader(header)) : null;
    const atMs = Math.round(receivedMonotonicMs - startedMs);
    this.#startedMs = startedMs;
    const written = headed?.ok === false ? headed : await file.append(formatCaptureChunk({ atMs, channel, bytes }));
    if (written.ok) {
      this.#lastMs = atMs;
      this.#bytes += bytes.length;
      this.#chunks += 1;
      if (kept === true) this.#kept += 1;
      return true;
    }
    switch (written.error.kind) {
      case "line-too-long":
        this.#leftOut += 1;
        say({
          en: `A message of ${bytes.length} bytes is too long for a recording and is left out.`,
          zh: `一条 ${bytes.length} 字节的消息过长，未录制。`,
        });
        return true;
      case "full":
        this.#ended = "full";
        return false;
      case "failed":
        this.#ended = "disk";
        say(fileFaultText(fileName, written.error.cause));
        return false;
    }
  }

  /** Lets the driver make sense of it. What it makes never touches the recording, not even where it fails. */
  #hear({ channel, bytes, receivedMonotonicMs }: Bytes): void {
    this.#quietBytes += bytes.length;
    if (this.#parts.listening === null) this.#awaitSense();
    const emissions = this.#guarded((session) => session.feed(bytes, channel, receivedMonotonicMs)) ?? [];
    for (const emission of emissions) this.#count(emission);
    this.#serveDue();
  }

  #count(emission: Emission): void {
    switch (emission.kind) {
      case "message": {
        this.#messages += 1;
        this.#awaitSense();
        const isFirst = this.#messages === 1;
        this.#view.take(emission.readings);
        if (isFirst) this.#show();
        return;
      }
      case "refusal": {
        this.#refused += 1;
        this.#quietRefused += 1;
        if (this.#refused > 1) return;
        const { en, zh } = decodeErrorText(emission.error);
        this.#parts.say({ en: `Refused: ${en} Further ones are counted.`, zh: `拒绝：${zh}其余仅计数。` });
        return;
      }
    }
  }

  #show(): void {
    const said = this.#view.line(this.#counts());
    if (said !== null) this.#parts.say(said);
  }

  /** Something made sense, or the link came up: from now on the quiet is counted anew. */
  #awaitSense(): void {
    this.#quietSaid = null;
    this.#quietBytes = 0;
    this.#quietRefused = 0;
    this.#armQuiet();
  }

  #armQuiet(): void {
    this.#quietTimer?.stop();
    const quietMs = this.#quietMs();
    this.#quietTimer = this.#parts.clock.after(quietMs, () => {
      const now = this.#quietBytes === 0 ? "silent" : "unreadable";
      const quiet = { seconds: quietMs / 1000, bytesCount: this.#quietBytes, refusedCount: this.#quietRefused };
      if (now !== this.#quietSaid) this.#parts.say(quietText(this.#parts.kind, quiet));
      this.#quietSaid = now;
      this.#armQuiet();
    });
  }

  /** Until something was decoded somebody waits beside the device; from then on it has the rhythm that its driver knows. */
  #quietMs(): number {
    const quietMs = LIMITS.captureQuietMs.value;
    const { listening } = this.#parts;
    return this.#messages === 0 || listening === null ? quietMs : Math.max(quietMs, listening.driver.silenceSeconds * 1000);
  }

  /** Sends what the driver wants to send, as the gateway does, and comes back when it wants to be asked again. */
  #serveDue(): void {
    const { clock, link, listenOnly } = this.#parts;
    this.#dueTimer?.stop();
    this.#dueTimer = null;
    if (!this.#isUp || listenOnly) return;
    const nowMs = clock.monotonic();
    const due = this.#guarded((session) => session.due(nowMs));
    if (due === null) return;
    // A failed write shows as `down` on the link itself.
    for (const { channel, bytes } of due.bytesToSend) void link.write(channel, bytes);
    if (due.nextDueMs === null) return;
    this.#dueTimer = clock.after(Math.max(1, due.nextDueMs - nowMs), () => this.#serveDue());
  }

  /** Asks the driver; one that throws is asked no more, because its device's bytes are what is wanted most then. */
  #guarded<Answer>(ask: (session: DriverSession) => Answer): Answer | null {
    if (this.#session === null) return null;
    try {
      return ask(this.#session);
    } catch (error) {
      this.#session = null;
      const why = error instanceof Error ? error.message : String(error);
      this.#parts.say({
        en: `The driver failed (${why}) and is asked no more before the device is connected again. Recording goes on; report this file's first lines.`,
        zh: "驱动出错，重新连接前不再解析。录制继续；请上报该问题。",
      });
      return null;
    }
  }
}
