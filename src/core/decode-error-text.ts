import type { DecodeError } from "./ports.ts";
import type { Text } from "./quantities.ts";

/** Why bytes were refused, in both languages. Quotes what was given, so it belongs in no log. */
export function decodeErrorText(error: DecodeError): Text {
  switch (error.kind) {
    case "bad-checksum":
      return both(
        `The checksum is wrong: ${hex(error.given)} came, ${hex(error.expected)} was right, at byte ${error.atByte}.`,
        `校验和错误：收到 ${hex(error.given)}，应为 ${hex(error.expected)}，位于第 ${error.atByte} 字节。`,
      );
    case "too-long":
      return both(`Longer than ${error.limitBytes} bytes, which is the most it may be.`, `超过上限 ${error.limitBytes} 字节。`);
    case "truncated":
      return both(
        `Cut short: ${error.givenBytes} bytes came, ${error.neededBytes} were needed.`,
        `数据被截断：收到 ${error.givenBytes} 字节，需要 ${error.neededBytes} 字节。`,
      );
    case "lost-sync":
      return both(
        `No beginning of a message in ${error.skippedBytes} bytes. Baud rate, parity or driver may be wrong.`,
        `${error.skippedBytes} 字节中没有报文起点，可能是波特率、校验位或驱动不符。`,
      );
    case "bad-field":
      return both(`The field ${error.field} cannot be read: ${error.given}`, `字段 ${error.field} 无法识别：${error.given}`);
    case "no-frame":
      return both(`${error.givenBytes} bytes that are no message.`, `${error.givenBytes} 字节不构成报文。`);
  }
}

function hex(number: number): string {
  return `0x${number.toString(16).toUpperCase().padStart(2, "0")}`;
}

function both(en: string, zh: string): Text {
  return { en, zh };
}
