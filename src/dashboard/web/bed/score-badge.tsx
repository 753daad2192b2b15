import type { AnswerView } from "../../../core/stream.ts";
import type { PageView } from "../state/page-state.ts";
import { scoreUrgency } from "../state/ward.ts";
import { say } from "../words/texts.ts";
import { ageText, inputText, inputValueText } from "../words/words.ts";

/** A score on a tile: its points, and in words whether something is missing. */
export function ScoreBadge({ view, answer }: { readonly view: PageView; readonly answer: AnswerView }) {
  const { language } = view;
  const said = answer.answer;
  const title = answer.title[language];
  switch (said.kind) {
    case "score": {
      const partial = said.missing.length > 0;
      const urgency = scoreUrgency(
        said.points,
        said.parts.map((part) => part.points),
      );
      return (
        <div class="score" data-model={answer.modelId}>
          <span class={`score__points score__points--${urgency}${partial ? " score__points--partial" : ""}`}>
            {partial ? `≥${said.points}` : said.points}
          </span>
          <span class="score__words">
            <b>{title}</b>{" "}
            {partial ? (
              <span class="score__partial">
                {say(language, "partial", { n: said.inputCount - said.missing.length, m: said.inputCount })}
              </span>
            ) : (
              <span class="score__complete">{say(language, "complete")}</span>
            )}
            {partial && (
              <span class="score__missing">
                {say(language, "missing")}:{" "}
                {said.missing.map((one) => `${inputText(language, one.input)} (${say(language, `why.${one.why}`)})`).join(", ")}
              </span>
            )}
          </span>
        </div>
      );
    }
    case "risk": {
      const facts = { percent: Math.round(said.risk * 100), hours: Math.round(said.horizonSeconds / 360) / 10 };
      return (
        <div class="score" data-model={answer.modelId}>
          <span class="score__words">
            <b>{title}</b> {say(language, "risk", facts)}
          </span>
        </div>
      );
    }
    case "no-answer":
      return (
        <div class="score" data-model={answer.modelId}>
          <span class="score__points score__points--unknown">?</span>
          <span class="score__words">
            <b>{title}</b> <span class="score__partial">{say(language, `noScore.${said.why}`)}</span>
          </span>
        </div>
      );
  }
}

/** A score with each part's value, points and age, and each missing part with its reason. */
export function ScoreTable({ view, answer }: { readonly view: PageView; readonly answer: AnswerView }) {
  const { language } = view;
  const said = answer.answer;
  return (
    <div>
      <ScoreBadge view={view} answer={answer} />
      <table class="score-table">
        <thead>
          <tr>
            <th>{say(language, "input")}</th>
            <th>{say(language, "value")}</th>
            <th>{say(language, "points")}</th>
            <th>{say(language, "age")}</th>
          </tr>
        </thead>
        <tbody>
          {said.kind === "score" &&
            said.parts.map((part) => (
              <tr key={part.input} data-input={part.input}>
                <td>{inputText(language, part.input)}</td>
                <td>{inputValueText(language, part.input, part.value)}</td>
                <td>
                  <span class={`part part--${Math.min(3, part.points)}`}>{part.points}</span>
                </td>
                <td>{part.atMs === null ? "–" : ageText(language, view.nowMs - part.atMs)}</td>
              </tr>
            ))}
          {said.missing.map((one) => (
            <tr key={one.input} class="score-table__missing" data-input={one.input}>
              <td>{inputText(language, one.input)}</td>
              <td>{say(language, `why.${one.why}`)}</td>
              <td>
                <span class="part part--missing">?</span>
              </td>
              <td>{one.sinceMs === null ? "–" : ageText(language, view.nowMs - one.sinceMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
