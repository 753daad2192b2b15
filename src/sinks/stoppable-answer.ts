import { LIMITS } from "../core/limits.ts";
import type { Clock } from "../core/time.ts";

/** The answer, or null where `stop` comes first. The answer must not reject. */
export function unlessStopped<Value>(answer: Promise<Value>, stop: AbortSignal): Promise<Value | null> {
  return new Promise((resolve) => {
    if (stop.aborted) return resolve(null);
    const onStop = () => resolve(null);
    stop.addEventListener("abort", onStop);
    void answer.then((value) => {
      stop.removeEventListener("abort", onStop);
      resolve(value);
    });
  });
}

/** Asks the journal again, every `journalRetryMs`, for as long as it answers null; null where `stop` comes before an answer. */
export async function untilAnswered<Answer>(
  ask: () => Promise<Answer | null>,
  until: { readonly clock: Clock; readonly stop: AbortSignal },
): Promise<Answer | null> {
  while (!until.stop.aborted) {
    const answer = await unlessStopped(ask(), until.stop);
    if (answer !== null) return answer;
    await until.clock.sleep(LIMITS.journalRetryMs.value, until.stop);
  }
  return null;
}
