import type { BrokerInlet, Link, LinkSpec } from "../core/ports.ts";
import { assert } from "../core/result.ts";
import { openBrokerLink } from "./broker-link.ts";
import { captureDialler } from "./capture.ts";
import { mqttDialler } from "./mqtt.ts";
import { type Dialler, type LinkParts, openReopeningLink } from "./reopening-link.ts";
import { serialDialler } from "./serial.ts";
import { tcpDialler } from "./tcp.ts";

/**
 * Opens a link to one device. It returns at once and never fails: what goes wrong is reported through `events`,
 * and the link keeps trying until `close` or `parts.stop`.
 */
export function openLink(spec: LinkSpec, parts: LinkParts & { readonly inlet?: BrokerInlet }): Link {
  if (spec.kind === "mqtt" && spec.source.kind === "embedded") {
    assert(parts.inlet !== undefined, "the configuration was checked: there is an embedded broker");
    return openBrokerLink({ topics: spec.topics, source: spec.source }, { ...parts, inlet: parts.inlet });
  }
  return openReopeningLink(diallerOf(spec, parts), parts);
}

function diallerOf(spec: LinkSpec, parts: LinkParts): Dialler {
  switch (spec.kind) {
    case "serial":
      return serialDialler(spec, parts.clock);
    case "tcp":
      return tcpDialler(spec);
    case "mqtt":
      assert(spec.source.kind === "server", "the embedded broker is no server to dial");
      return mqttDialler({ ...spec, source: spec.source }, parts.clock);
    case "capture":
      return captureDialler(spec, parts.clock);
  }
}
