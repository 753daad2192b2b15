import type { DeviceRowView, LinkPlaceView, LinkStateView } from "../../../core/device-view.ts";
import { ERRORS, type Fault } from "../../../core/errors.ts";
import type { PictureView } from "../../../core/stream.ts";
import { isTextKey, type Language, say } from "../words/texts.ts";
import { ageText, contentText, timeText } from "../words/words.ts";

/** Where a link goes, on one line. */
export function placeText(language: Language, place: LinkPlaceView): string {
  switch (place.kind) {
    case "serial":
      return say(language, "place.serial", { path: place.path, baudRate: place.baudRate, format: place.format });
    case "tcp":
      return say(language, "place.tcp", { host: place.host, port: place.port });
    case "mqtt":
      if (place.server !== null) return say(language, "place.server", { server: place.server });
      return place.account === null ? say(language, "place.shared") : say(language, "place.own", { account: place.account });
    case "capture":
      return say(language, "place.capture", { file: place.file });
  }
}

/** How a link is, since when and for how long: a time of day alone may be one of yesterday. */
export function linkText(language: Language, { state, sinceMs }: LinkStateView, nowMs: number): string {
  const texts = { up: "linkUpSince", down: "linkDownSince", opening: "linkOpeningSince" } as const;
  return say(language, texts[state], { time: timeText(sinceMs), age: ageText(language, Math.max(0, nowMs - sinceMs)) });
}

/** What is wrong, with the facts behind it, and what can be done. */
export function faultText(language: Language, { code, facts }: Fault): string {
  const { title, remedy } = ERRORS[code];
  const told = factsText(facts);
  const what = told === "" ? title[language] : say(language, "withFacts", { what: title[language], facts: told });
  return say(language, "twoSentences", { first: what, second: remedy[language] });
}

/** Facts as they are: a name and what it says. */
export function factsText(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .filter(([name]) => name !== "code")
    .map(([name, value]) => `${name}: ${String(value)}`)
    .join(", ");
}

/** The bed a device is at, as staff call it. */
export function bedText(language: Language, ward: PictureView, bedId: string | null): string {
  if (bedId === null) return say(language, "bedNone");
  return ward.beds.find((bed) => bed.bedId === bedId)?.title ?? bedId;
}

/** Whom a device is on, as far as whoever looks may know. */
export function patientText(language: Language, { patient, isAssigned }: DeviceRowView): string {
  if (patient !== null) return `${patient.label} (${patient.patientId})`;
  return say(language, isAssigned ? "patientSome" : "patientNone");
}

/** When something was last heard, or that it never was. */
export function heardText(language: Language, atMs: number | null, nowMs: number): string {
  return atMs === null
    ? say(language, "neverHeard")
    : say(language, "ago", { age: ageText(language, Math.max(0, nowMs - atMs)) });
}

/** The battery with its age; null where the device does not tell. */
export function batteryText(language: Language, { battery }: DeviceRowView, nowMs: number): string | null {
  if (battery === null) return null;
  const level =
    battery.content.state === "present" ? `${battery.content.value} %` : contentText(language, "batteryLevel", battery.content);
  return `${level}, ${heardText(language, battery.atMs, nowMs)}`;
}

/** What the device last said of its radio; null where it does not tell. */
export function signalText(language: Language, { signal }: DeviceRowView, nowMs: number): string | null {
  if (signal === null) return null;
  const { linkQuality, rssiDbm, atMs } = signal;
  const parts = [
    ...(linkQuality === null ? [] : [say(language, "linkQuality", { n: linkQuality })]),
    ...(rssiDbm === null ? [] : [say(language, "rssi", { n: rssiDbm })]),
  ];
  return `${parts.join(", ")}, ${heardText(language, atMs, nowMs)}`;
}

/** What an event of a device is called. */
export function eventText(language: Language, code: string): string {
  const key = `event.${code}`;
  return isTextKey(key) ? say(language, key) : code;
}
