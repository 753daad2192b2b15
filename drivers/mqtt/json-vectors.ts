import type { DriverVector } from "../../src/core/ports.ts";
import { formatHex } from "../../src/wire/hex.ts";

const OWN_FORM = "drivers/README.md, JSON by MQTT: the form of a message without a mapping";
const ATH = "athtech.io/docs/ath/mqtt_interface, Device Data Report, iot/{gw}/{device}/data";
const THEENGS = "theengs/decoder tests and theengs/gateway docs/use/use.md, home/GATEWAY/BTtoMQTT/MAC";

/** The bytes of a text, as vectors hold them. */
export function hexOfText(text: string): readonly string[] {
  return [formatHex(new TextEncoder().encode(text))];
}

function asOptions(options: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const texts = Object.entries(options).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
  return Object.fromEntries(texts) as Readonly<Record<string, string>>;
}

const ATH_OPTIONS = asOptions({
  mapping: {
    oxygenSaturation: "$.values.blood_oxygen",
    pulseRate: { path: "$.values.heart_rate", absent: [0], why: "no-signal" },
  },
  time: { path: "$.time", format: "unix-seconds" },
});

const SCALE_OPTIONS = asOptions({
  mapping: {
    bodyWeight: [
      { path: "$.weight", when: { path: "$.weighing_mode", equals: "person" }, unit: "lb", topic: "home/+/BTtoMQTT/lb" },
      { path: "$.weight", when: { path: "$.weighing_mode", equals: "person" } },
    ],
  },
});

/** Messages with their meaning. The numbers come from outside; the mappings are what an engineer would write for them. */
// biome-ignore format: one vector, one block.
export const JSON_VECTORS: readonly DriverVector[] = [
  { name: "names and units of the gateway need no mapping, null is an absence", source: OWN_FORM,
    hex: hexOfText('{"heartRate":72,"oxygenSaturation":null,"bodyTemperature":36.6,"time":"2026-11-22T08:00:00Z"}'),
    expect: [{ kind: "message", readings: [{ quantity: "heartRate", value: 72, flags: [] }, { quantity: "oxygenSaturation", why: "not-available" }, { quantity: "bodyTemperature", value: 36.6 }] }] },
  { name: "a reason and flags may be said beside a value", source: OWN_FORM,
    hex: hexOfText('{"pulseRate":{"absent":"sensor-off"},"oxygenSaturation":{"absent":"sensor-off"},"respiratoryRate":{"value":14,"flags":["motion"]}}'),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", why: "sensor-off" }, { quantity: "oxygenSaturation", why: "sensor-off" }, { quantity: "respiratoryRate", value: 14, flags: ["motion"] }] }] },
  { name: "a message cut short is refused whole", source: `RFC 8259, section 2; ${OWN_FORM}`,
    hex: hexOfText('{"heartRate":72,"oxygenSaturation":9'),
    expect: [{ kind: "refusal", error: "bad-field" }] },
  { name: "a value with its unit in the text is refused, the one beside it is read", source: `${OWN_FORM}; "72 bpm" is no number of RFC 8259`,
    hex: hexOfText('{"heartRate":"72 bpm","oxygenSaturation":97}'),
    expect: [{ kind: "message", readings: [{ quantity: "oxygenSaturation", value: 97 }] }, { kind: "refusal", error: "bad-field" }] },
  { name: "an oximeter watch behind a gateway of its maker, time in seconds", source: ATH,
    channel: "iot/112233/watch/data", options: ATH_OPTIONS,
    hex: hexOfText('{ "type":"MeasureData", "values":{ "blood_oxygen":96, "heart_rate":64 }, "time":1524448722}'),
    expect: [{ kind: "message", readings: [{ quantity: "oxygenSaturation", value: 96 }, { quantity: "pulseRate", value: 64 }], alarms: [] }] },
  { name: "its status message has nothing that is mapped and is refused", source: `${ATH.replace("Data", "Status")}`,
    channel: "iot/112233/watch/status", options: ATH_OPTIONS,
    hex: hexOfText('{ "status":"CONNECTED", "time":1524448722}'),
    expect: [{ kind: "refusal", error: "bad-field" }] },
  { name: "a thermometer of the room by a Bluetooth gateway", source: THEENGS,
    channel: "home/TheengsGateway/BTtoMQTT/A4C1385B120E",
    options: asOptions({ mapping: { ambientTemperature: { path: "$.tempc", unit: "°C" }, relativeHumidity: "$.hum", batteryLevel: "$.batt" } }),
    hex: hexOfText('{"id":"A4:C1:38:5B:12:0E","model":"LYWSD03MMC ATC","model_id":"LYWSD03MMC_ATC","tempc":21.6,"hum":48,"batt":87,"volt":2.93,"rssi":-71}'),
    expect: [{ kind: "message", readings: [{ quantity: "ambientTemperature", value: 21.6 }, { quantity: "relativeHumidity", value: 48 }, { quantity: "batteryLevel", value: 87 }] }] },
  { name: "a scale with a person on it", source: THEENGS, channel: "home/TheengsGateway/BTtoMQTT/5732A8DA27AF", options: SCALE_OPTIONS,
    hex: hexOfText('{"brand":"Xiaomi","model":"Mi Body Composition Scale","type":"SCALE","weighing_mode":"person","unit":"kg","weight":72.45,"impedance":503}'),
    expect: [{ kind: "message", readings: [{ quantity: "bodyWeight", value: 72.45 }] }] },
  { name: "the same scale with an object on it weighs nobody", source: THEENGS, channel: "home/TheengsGateway/BTtoMQTT/5732A8DA27AF", options: SCALE_OPTIONS,
    hex: hexOfText('{"brand":"Xiaomi","model":"Mi Body Composition Scale","type":"SCALE","weighing_mode":"object","unit":"kg","weight":3.15}'),
    expect: [{ kind: "message", readings: [] }] },
  { name: "a heart rate of a watch", source: THEENGS, channel: "home/TheengsGateway/BTtoMQTT/AABBCCDDEEFF",
    options: asOptions({ mapping: { heartRate: { path: "$.act_bpm", absent: [0], why: "sensor-off" } } }),
    hex: hexOfText('{"type":"BODY","act_bpm":125,"steps":9101}'),
    expect: [{ kind: "message", readings: [{ quantity: "heartRate", value: 125 }] }] },
];
