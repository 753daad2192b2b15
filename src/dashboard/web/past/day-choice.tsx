import { type Language, say } from "../words/texts.ts";
import { type Day, dayOf, dayText } from "./day.ts";

/** Steps from day to day, no further than today. */
export function DayChoice(props: {
  readonly language: Language;
  readonly day: Day;
  readonly nowMs: number;
  readonly choose: (day: Day) => void;
}) {
  const { language, day, nowMs, choose } = props;
  const today = dayOf(nowMs);
  const isToday = day.fromMs >= today.fromMs;
  return (
    <div class="day-choice">
      <button
        type="button"
        class="button"
        aria-label={say(language, "dayBefore")}
        data-testid="day-before"
        onClick={() => choose(dayOf(day.fromMs, -1))}
      >
        ←
      </button>
      <b aria-live="polite" data-testid="day">
        {isToday ? `${say(language, "today")} · ` : ""}
        {dayText(language, day.fromMs)}
      </b>
      <button
        type="button"
        class="button"
        aria-label={say(language, "dayAfter")}
        disabled={isToday}
        onClick={() => choose(dayOf(day.fromMs, 1))}
      >
        →
      </button>
      {!isToday && (
        <button type="button" class="button" onClick={() => choose(today)}>
          {say(language, "today")}
        </button>
      )}
    </div>
  );
}
