import type { Link, LinkSpec } from "../core/ports.ts";
import { captureDialler } from "./capture.ts";
import { type Dialler, type LinkParts, openReopeningLink } from "./reopening-link.ts";
import { serialDialler } from "./serial.ts";
import { tcpDialler } from "./tcp.ts";

/**
 * Opens a link to one device. It returns at once and never fails: what goes wrong is reported through `events`,
 * and the link keeps trying until `close` or `parts.stop`.
 */
export function openLink(spec: LinkSpec, parts: LinkParts): Link {
  return openReopeningLink(diallerOf(spec, parts), parts);
}

function diallerOf(spec: LinkSpec, parts: LinkParts): Dialler {
  switch (spec.kind) {
    case "serial":
      return serialDialler(spec, parts.clock);
    case "tcp":
      return tcpDialler(spec);
    case "capture":
      return captureDialler(spec, parts.clock);
  }
}
