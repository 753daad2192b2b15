/**
 * The same text for the same content, whatever order the fields came in: fields sorted by name (by UTF-16 code units), no spaces, fields
 * without a value left out. A receiver's record file names a record's content by the first 16 hex digits of the SHA-256 of this text in
 * UTF-8.
 *
 * @param value  What JSON can say; anything else counts as null.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "null";
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const named = value as Readonly<Record<string, unknown>>;
  let text = "{";
  for (const name of Object.keys(named).sort()) {
    const inner = named[name];
    if (inner !== undefined) text += `${text === "{" ? "" : ","}${JSON.stringify(name)}:${canonicalJson(inner)}`;
  }
  return `${text}}`;
}
