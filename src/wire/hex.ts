/**
 * Reads bytes written as pairs of hexadecimal digits; blanks may stand anywhere between pairs.
 *
 * @returns The bytes, or null where a character is no digit or a pair is incomplete.
 */
export function parseHex(text: string): Uint8Array | null {
  const digits = text.replaceAll(/\s+/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) return null;
  return Uint8Array.from(Buffer.from(digits, "hex"));
}

/** Writes bytes as upper-case pairs of hexadecimal digits with a blank between, as the vectors and commands show them. */
export function formatHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(" ");
}
