/** What a text field of digits holds. `blank`: nothing or only spaces; `dashes`: the usual sign for no value. */
export type DecimalField =
  | { readonly kind: "number"; readonly value: number; readonly fraction: boolean }
  | { readonly kind: "blank" }
  | { readonly kind: "dashes" }
  | { readonly kind: "not-a-number" };

/**
 * Reads a number written in digits, strictly: an optional minus, one to four digits, at most two more behind a point,
 * spaces around. Anything else is not a number, so that a damaged digit never passes as a smaller value ("12x" is not 12).
 */
export function parseDecimal(text: string): DecimalField {
  const trimmed = text.trim();
  if (trimmed === "") return { kind: "blank" };
  if (/^-+$/.test(trimmed)) return { kind: "dashes" };
  if (!/^-?\d{1,4}(\.\d{1,2})?$/.test(trimmed)) return { kind: "not-a-number" };
  return { kind: "number", value: Number(trimmed), fraction: trimmed.includes(".") };
}
