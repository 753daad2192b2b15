import { whyText } from "../../core/alert-text.ts";
import type { Reading } from "../../core/observation.ts";
import { QUANTITIES, type QuantityName, type Text } from "../../core/quantities.ts";

/** What was counted so far; null of what nobody decodes. */
interface Counts {
  readonly bytes: number;
  readonly messages: number | null;
  readonly refused: number | null;
}

/** The newest reading of each quantity, for somebody who watches a recording. */
export class LiveView {
  readonly #newest = new Map<QuantityName, Reading>();
  #shownBytes = 0;

  take(readings: readonly Reading[]): void {
    for (const reading of readings) this.#newest.set(reading.quantity, reading);
  }

  /** One line of it, or null where nothing came since the last. */
  line({ bytes, messages, refused }: Counts): Text | null {
    if (bytes === this.#shownBytes) return null;
    this.#shownBytes = bytes;
    if (messages === null) return { en: `${bytes} bytes.`, zh: `${bytes} 字节。` };
    const values = [...this.#newest.values()].map(shown).join("; ");
    return {
      en: `${bytes} bytes, ${messages} decoded, ${refused} refused.`,
      zh: `${bytes} 字节，解析 ${messages} 条，拒绝 ${refused} 条。 ${values}`.trim(),
    };
  }
}

/** Both languages in one, because the names are all that differs. */
function shown(reading: Reading): string {
  const { en, zh } = QUANTITIES[reading.quantity].short;
  const name = en === zh ? en : `${en} ${zh}`;
  switch (reading.kind) {
    case "present":
      return `${name} ${reading.value} ${reading.unit}`;
    case "absent":
      return `${name} -${whyText(reading.why, "en")}${whyText(reading.why, "zh")}`;
  }
}
