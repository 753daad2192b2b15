import type { Alert, Priority } from "../core/alert.ts";
import type { Text } from "../core/quantities.ts";
import type { BedPlace } from "../core/upstream.ts";

/** One alert as it is told to one contact. */
export interface NoticeMessage {
  /** The telling's name: a receiver that has seen it knows this one, and gives it back with its answer. */
  readonly key: string;
  readonly alert: Alert;
  /** The alert in words. */
  readonly text: Text;
  readonly place: BedPlace | null;
  /** How the patient may be called on this way; null: not at all. */
  readonly patient: string | null;
  /** Where the channel needs to know it: a number, a mail address. */
  readonly address: string | null;
  /** An exercise: nobody is ill. */
  readonly drill: boolean;
  readonly gatewayId: string;
}

const PRIORITIES: Readonly<Record<Priority, Text>> = {
  high: { en: "HIGH", zh: "高" },
  medium: { en: "MEDIUM", zh: "中" },
  low: { en: "LOW", zh: "低" },
};

/**
 * What people read: drill or not, priority, place and patient, what is wrong, since when, and that it waits for an answer. Chinese first,
 * then English, each a few short lines, so that the first line of a telephone's screen says enough.
 *
 * @param localTime  A wall time as people there write it.
 */
export function noticeText(message: NoticeMessage, localTime: (atMs: number) => string): string {
  const lines = (language: keyof Text) => {
    const { alert, text, drill } = message;
    const isChinese = language === "zh";
    const mark = drill ? (isChinese ? "【演练】" : "[DRILL] ") : "";
    const times =
      alert.raisedCount > 1 ? (isChinese ? `（第 ${alert.raisedCount} 次）` : ` (raised ${alert.raisedCount} times)`) : "";
    const priority = isChinese ? `【${PRIORITIES[alert.priority].zh}】` : `${PRIORITIES[alert.priority].en} `;
    const since = isChinese ? `始于 ${localTime(alert.raisedAtMs)}${times}` : `Since ${localTime(alert.raisedAtMs)}${times}`;
    return [`${mark}${priority}${placeText(message, isChinese)}`, text[language], since];
  };
  return [...lines("zh"), ...lines("en"), ...NOT_A_DEVICE].join("\n");
}

const NOT_A_DEVICE = ["非注册医疗器械 · not a registered medical device"];

function placeText({ place, patient, alert, gatewayId }: NoticeMessage, isChinese: boolean): string {
  const parts = place === null ? [] : [place.ward, place.room, place.bed].filter((part) => part !== null);
  const where = parts.length > 0 ? parts.join(" ") : (alert.subject.deviceId ?? alert.subject.part ?? gatewayId);
  return patient === null ? where : `${where} ${isChinese ? "患者" : "patient"} ${patient}`;
}

/** Cuts a text to so many bytes of UTF-8, between characters, with an ellipsis where something is gone. */
export function cutToBytes(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  const ellipsis = "…";
  let kept = "";
  let bytes = Buffer.byteLength(ellipsis);
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > bytesMax) break;
    kept += character;
  }
  return kept + ellipsis;
}
