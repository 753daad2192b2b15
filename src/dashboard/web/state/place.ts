/** Where in the pages a person is; told by the part of the address behind `#`. */
export type Place =
  | { readonly kind: "wall" }
  | { readonly kind: "alerts" }
  | { readonly kind: "past-alerts" }
  | { readonly kind: "quality" }
  | { readonly kind: "users" }
  | { readonly kind: "devices" }
  | { readonly kind: "device"; readonly deviceId: string }
  | { readonly kind: "adopt" }
  | { readonly kind: "readers" }
  | { readonly kind: "records" }
  | { readonly kind: "settings"; readonly part: "list" | "file" }
  | { readonly kind: "bed"; readonly bedId: string }
  | { readonly kind: "first"; readonly token: string };

/** The place that an address means; the wall where it means none. */
export function placeOf(hash: string): Place {
  const [, kind, rest] =
    /^#\/(bed|first|alerts|users|quality|devices|device|adopt|readers|records|settings)(?:\/(.+))?$/.exec(hash) ?? [];
  if (kind === "alerts" && rest === "history") return { kind: "past-alerts" };
  if (kind === "quality") return { kind };
  if (kind === "alerts" || kind === "users") return { kind };
  if (kind === "devices" || kind === "adopt" || kind === "readers") return { kind };
  if (kind === "records") return { kind };
  if (kind === "settings") return { kind, part: rest === "file" ? "file" : "list" };
  if (kind === "device" && rest !== undefined) return { kind, deviceId: decoded(rest) };
  if (kind === "first" && rest !== undefined) return { kind, token: rest };
  if (kind === "bed" && rest !== undefined) return { kind, bedId: decoded(rest) };
  return { kind: "wall" };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
