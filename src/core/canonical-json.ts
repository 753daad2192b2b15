/**
 * The same text for the same content, whatever order the fields came in: fields sorted by name, no spaces, fields without a value left out.
 * A receiver's record file names a record's content by the first 16 hex digits of the SHA-256 of this text in UTF-8.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const fields: string[] = [];
  for (const [name, inner] of Object.entries(value).sort(byName))
    if (inner !== undefined) fields.push(`${JSON.stringify(name)}:${canonicalJson(inner)}`);
  return `{${fields.join(",")}}`;
}

function byName(one: readonly [string, unknown], other: readonly [string, unknown]): number {
  return one[0] < other[0] ? -1 : 1;
}
