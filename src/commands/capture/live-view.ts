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
    const values = (language: keyof Text) => [...this.#newest.values()].map((reading) => shown(reading, language)).join("; ");
    return {
      en: `${bytes} bytes, ${messages} decoded, ${refused} refused. ${values("en")}`.trim(),
      zh: `${bytes} 字节，解析 ${messages} 条，拒绝 ${refused} 条。${values("zh")}`,
    };
  }
}

function shown(reading: Reading, language: keyof Text): string {
  const name = QUANTITIES[reading.quantity].short[language];
  switch (reading.kind) {
    case "present":
      return `${name} ${reading.value} ${reading.unit}`;
    case "absent":
      return `${name} -${whyText(reading.why, language)}`;
  }
}
