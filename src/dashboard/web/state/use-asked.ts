import { useEffect, useRef, useState } from "preact/hooks";
import type { Result } from "../../../core/result.ts";
import type { Clock, Timer } from "../../../core/time.ts";
import type { Refusal } from "./gateway-door.ts";

/** What was last answered, and whether the last question was. */
export interface Asked<Value> {
  /** Null before the first answer; kept when a later question is not answered. */
  readonly value: Value | null;
  /** Why the last question brought nothing; undefined where it brought an answer. */
  readonly refusal: Refusal | undefined;
  /** Asks now, without waiting for its time. */
  readonly askNow: () => void;
}

/** Asks the gateway again and again while a page is shown; `about` is what is asked for, and another one begins anew. */
export function useAsked<Value>(of: {
  readonly clock: Clock;
  readonly everyMs: number;
  readonly about: string;
  readonly ask: () => Promise<Result<Value, Refusal>>;
}): Asked<Value> {
  const [answer, setAnswer] = useState<Omit<Asked<Value>, "askNow">>({ value: null, refusal: undefined });
  const now = useRef<() => void>(() => {});
  useEffect(() => {
    let isOver = false;
    let timer: Timer | null = null;
    setAnswer({ value: null, refusal: undefined });
    const ask = async () => {
      timer?.stop();
      const answered = await of.ask();
      if (isOver) return;
      setAnswer(({ value }) =>
        answered.ok ? { value: answered.value, refusal: undefined } : { value, refusal: answered.error },
      );
      timer?.stop();
      timer = of.clock.after(of.everyMs, () => void ask());
    };
    now.current = () => void ask();
    void ask();
    return () => {
      isOver = true;
      timer?.stop();
    };
  }, [of.about]);
  return { ...answer, askNow: () => now.current() };
}
