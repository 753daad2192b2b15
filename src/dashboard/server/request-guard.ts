import { isIP } from "node:net";

/** Sent with every answer: nothing from elsewhere, nothing inline, never inside another site's frame. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=()",
};

/** The header a page adds to each POST; a form of another site cannot. */
const pageHeader = "x-vigil-page";

/** Whether a host name of the listening socket reaches this machine only. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127\./.test(host);
}

/**
 * Whether a request's Host header may be answered.
 *
 * A page of another site whose name was made to point here (DNS rebinding) sends that name. On the loopback only its own
 * names are answered, on any port, so that a tunnel works. Elsewhere any name is, but without sign-in only addresses.
 */
export function hostIsAllowed(
  header: string | undefined,
  page: { readonly loopback: boolean; readonly signIn: boolean },
): boolean {
  const name = hostName(header);
  if (name === null) return false;
  if (page.loopback) return isLoopback(name);
  return page.signIn || isLoopback(name) || isIP(name.replace(/^\[|\]$/g, "")) !== 0;
}

function hostName(header: string | undefined): string | null {
  if (header === undefined) return null;
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?$/i.exec(header);
  return match?.[1]?.toLowerCase() ?? null;
}

/**
 * Whether a POST comes from a page of this very server: custom header, JSON, and an Origin equal to the Host.
 *
 * @param encrypted  Whether this server itself speaks TLS; where it does not, a proxy before it may.
 */
export function postIsOurs(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  encrypted: boolean,
): boolean {
  const origin = headers["origin"];
  const host = headers["host"];
  if (typeof origin !== "string" || typeof host !== "string" || headers[pageHeader] !== "1") return false;
  const type = headers["content-type"];
  if (typeof type !== "string" || type.split(";")[0]?.trim().toLowerCase() !== "application/json") return false;
  return origin === `https://${host}` || (!encrypted && origin === `http://${host}`);
}

/** The value of one cookie, or null. */
export function cookieValue(header: string | undefined, name: string): string | null {
  for (const pair of (header ?? "").split(";")) {
    const at = pair.indexOf("=");
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return null;
}
