import { get } from "node:http";
import { createSystemClock } from "../../clock.ts";
import { assert } from "../../core/result.ts";
import type { BedView, PictureView } from "../../core/stream.ts";
import { type BatchMessage, type RecordMessage, upstreamTopics } from "../../core/upstream.ts";
import { connectMqtt } from "../../mqtt/connection.ts";
import type { Latencies, TracedWard } from "./load.ts";
import type { BenchStage } from "./stage.ts";

const TOPICS = { prefix: "vigil", gatewayId: "bench" } as const;
const ECHO_TOPIC = "bench/echo";
const ECHO_EVERY_MS = 100;

/** Reads the page's live stream as a page does, and notes when each traced heart rate arrives for the first time. Returns how to stop. */
export function watchPage(port: number, ward: TracedWard, latencies: Latencies): () => void {
  const clock = createSystemClock();
  const counted = new Map<string, number>();
  const takeBeds = (beds: readonly BedView[]) => {
    const now = clock.monotonic();
    for (const bed of beds) {
      for (const number of bed.numbers) {
        if (
          number.quantity !== "heartRate" ||
          number.content.state !== "present" ||
          counted.get(number.deviceId) === number.content.value
        )
          continue;
        counted.set(number.deviceId, number.content.value);
        const ms = ward.latencyMs(number.deviceId, number.content.value, now);
        if (ms !== null) latencies.add(ms);
      }
    }
  };
  const request = get({ host: "127.0.0.1", port, path: "/api/stream" }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = text.slice(0, end);
        text = text.slice(end + 2);
        const data = /^data: ?(.*)$/m.exec(event)?.[1];
        if (data === undefined) continue;
        if (/^event: ?beds$/m.test(event)) takeBeds((JSON.parse(data) as { readonly beds: readonly BedView[] }).beds);
        if (/^event: ?picture$/m.test(event)) takeBeds((JSON.parse(data) as { readonly picture: PictureView }).picture.beds);
      }
    });
  });
  // A gateway under test may close its page at any time.
  request.on("error", () => {});
  return () => request.destroy();
}

/** What a receiver in the bench wants to hear; null: it does not subscribe to that. */
export interface FarSide {
  /** Each batch of observations as it arrives. */
  readonly onObservations: ((batch: BatchMessage, atMonotonicMs: number) => void) | null;
  /** Each alert as it arrives. */
  readonly onAlert: ((message: RecordMessage, atMonotonicMs: number) => void) | null;
  /** The way of a bare small message through the same broker and back, in ms, ten times a second: the null path. */
  readonly onEcho: (latencyMs: number) => void;
  readonly stop: AbortSignal;
}

/** Subscribes at the stage's broker. Resolves when the subscriptions stand. */
export async function watchUpstream(stage: BenchStage, farSide: FarSide): Promise<void> {
  const clock = createSystemClock();
  const topics = upstreamTopics(TOPICS);
  const connected = await connectMqtt(
    stage.upstream,
    { clientId: "bench-receiver", sessionExpirySeconds: 0, will: null },
    {
      clock,
      stop: farSide.stop,
      onMessage: ({ topic, payload }) => {
        const now = clock.monotonic();
        const text = Buffer.from(payload).toString("utf8");
        if (topic === ECHO_TOPIC) farSide.onEcho(now - Number(text));
        else if (topic === topics.alerts) farSide.onAlert?.(JSON.parse(text) as RecordMessage, now);
        else farSide.onObservations?.(JSON.parse(text) as BatchMessage, now);
      },
    },
  );
  assert(connected.ok, "the bench's own broker lets the bench in");
  await connected.value.subscribe([
    ECHO_TOPIC,
    ...(farSide.onObservations === null ? [] : [topics.observations]),
    ...(farSide.onAlert === null ? [] : [topics.alerts]),
  ]);
  const timer = clock.every(
    ECHO_EVERY_MS,
    () =>
      void connected.value.publish({
        topic: ECHO_TOPIC,
        payload: String(clock.monotonic()),
        retain: false,
        urgent: false,
        properties: null,
      }),
  );
  farSide.stop.addEventListener("abort", () => {
    timer.stop();
    void connected.value.close();
  });
}
