import type { SettingsHindrance } from "../../../core/settings-view.ts";
import { type Language, say } from "../words/texts.ts";

/** Why something cannot be done from here, in words. */
export function hindranceText(language: Language, { code, detail }: SettingsHindrance): string {
  return say(language, `hindrance.${code}`, { detail });
}
