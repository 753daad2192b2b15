import type { AnnouncedDevice } from "../core/device-view.ts";

/** What Zigbee2MQTT publishes its list on, behind its base of one or two levels. Source: zigbee2mqtt.io guide, MQTT Topics and Messages. */
export const ANNOUNCEMENT_TOPICS: readonly string[] = ["+/bridge/devices", "+/+/bridge/devices"];
const ANNOUNCEMENT = /^(.+)\/bridge\/devices$/;

/** Texts of a device are cut to this, so that a list of thousands of characters a field is none on the page. */
const TEXT_CHARACTERS_MAX = 100;
const EXPOSES_MAX = 40;
/** A name is a topic's part, and a longer one than this is no device's. */
const NAME_CHARACTERS_MAX = 100;

type Fields = Readonly<Record<string, unknown>>;

/** The base of a topic that a list comes on; null where it is another topic. */
export function announcementBase(topic: string): string | null {
  return ANNOUNCEMENT.exec(topic)?.[1] ?? null;
}

/** The devices of a list, without the coordinator and those switched off; null where it is no list. Anybody may have sent it. */
export function readAnnouncement(payload: Uint8Array): readonly AnnouncedDevice[] | null {
  let list: unknown;
  try {
    list = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return null;
  }
  return Array.isArray(list) ? list.flatMap(readDevice) : null;
}

function readDevice(entry: unknown): readonly AnnouncedDevice[] {
  if (!isFields(entry) || entry["type"] === "Coordinator" || entry["disabled"] === true) return [];
  const name = entry["friendly_name"];
  const address = textOf(entry["ieee_address"]);
  const isName = typeof name === "string" && name !== "" && name.length <= NAME_CHARACTERS_MAX && !/[#+\p{Cc}]/u.test(name);
  if (!isName || address === null) return [];
  const definition = isFields(entry["definition"]) ? entry["definition"] : {};
  const { model, vendor, description, exposes } = definition;
  const told = { model: textOf(model), vendor: textOf(vendor), description: textOf(description) };
  return [{ name, address, ...told, exposes: exposesOf(exposes).slice(0, EXPOSES_MAX) }];
}

/** Names of what it exposes; a group of features is told by what is in it. */
function exposesOf(exposes: unknown): readonly string[] {
  if (!Array.isArray(exposes)) return [];
  return exposes.slice(0, EXPOSES_MAX).flatMap((expose: unknown) => {
    if (!isFields(expose)) return [];
    const property = textOf(expose["property"]) ?? textOf(expose["name"]);
    return property === null ? exposesOf(expose["features"]) : [property];
  });
}

function textOf(value: unknown): string | null {
  if (typeof value !== "string" || value === "") return null;
  return value
    .toWellFormed()
    .replaceAll(/\p{Cc}+/gu, " ")
    .slice(0, TEXT_CHARACTERS_MAX);
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
