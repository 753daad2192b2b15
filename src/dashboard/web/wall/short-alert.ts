import type { Alert } from "../../../core/alert.ts";
import { alertText } from "../../../core/alert-text.ts";
import { QUANTITIES, type QuantityName } from "../../../core/quantities.ts";
import { type Language, say } from "../words/texts.ts";
import { valueText } from "../words/words.ts";

/** An alert in the fewest words, to be read from far away; the whole text stands in the list beside and on the bed's page. */
export function shortAlertText(alert: Alert, language: Language): string {
  const { evidence } = alert;
  const short = (quantity: QuantityName) => QUANTITIES[quantity].short[language];
  switch (evidence.kind) {
    case "limit": {
      const { quantity, side, value, limit } = evidence;
      return `${short(quantity)} ${valueText(quantity, value)} ${side === "low" ? "<" : ">"} ${limit}`;
    }
    case "score":
      return `${evidence.modelId.toUpperCase()} ${evidence.partial ? "≥" : ""}${evidence.points}`;
    case "device-silent":
      return say(language, "wall.silent");
    case "quantity-missing":
      return say(language, "wall.missing", { quantity: short(evidence.quantity) });
    case "stuck":
      return say(language, "wall.stuck", { quantity: short(evidence.quantity) });
    case "score-partial":
      return say(language, "wall.scorePartial", { model: evidence.modelId.toUpperCase() });
    case "unassigned":
    case "not-measured":
    case "still-on-patient":
    case "device-alarm":
    case "fault":
      return alertText(alert, language);
  }
}
