import type { Config } from "../../config/schema.ts";
import type { DeviceRowView, DevicesView, ExpectedView, LinkPlaceView } from "../core/device-view.ts";
import type { BedId, DeviceId } from "../core/ids.ts";
import { deviceId } from "../core/ids.ts";
import type { Driver, LinkSpec, OptionProblem } from "../core/ports.ts";
import { type Clock, monotonicMs, wallMs } from "../core/time.ts";
import { topicMatches } from "../core/topic-filter.ts";
import type { DeviceSource } from "../dashboard/server/source.ts";
import { createDeviceIntake } from "../intake/device-intake.ts";
import type { CandidateBook } from "./candidate-book.ts";
import type { DeviceLine } from "./device-line.ts";
import type { DeviceRoster } from "./device-roster.ts";
import { linkSpecOf } from "./link-spec.ts";
import type { PlantState } from "./plant.ts";

/** Where the pages of devices get what they show. */
export interface DeviceDeskParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly drivers: (id: string) => Driver | null;
  readonly roster: DeviceRoster;
  readonly candidates: CandidateBook;
  readonly plant: () => PlantState;
  readonly bedOf: (id: DeviceId) => BedId | null;
}

/** Makes the desk. */
export function createDeviceDesk(parts: DeviceDeskParts): DeviceSource {
  const { roster, candidates, config } = parts;
  const specs = () => [...roster.lines.values()].map((line) => ({ id: line.deviceId, spec: specOf(parts, line) }));
  return {
    list: (): DevicesView => ({
      devices: [...roster.lines.values()].map((line) => rowOf(parts, line)),
      unused: [...roster.unused].map(([id, { device, problem }]) => {
        return { deviceId: id, driverId: device.driverId, title: device.title, why: problem.why };
      }),
    }),
    detail: (id) => {
      const line = roster.lines.get(id);
      if (line === undefined) return null;
      const { notebook, intake } = line;
      return {
        ...rowOf(parts, line),
        reference: intake.driver.reference,
        refusedByKind: notebook.counts().refusals,
        lastBytes: notebook.lastBytes(),
        refusals: notebook.refusals(),
        events: notebook.events(),
        values: notebook.values(),
        state: notebook.state()?.facts ?? {},
      };
    },
    candidates: () => {
      const known = specs();
      const isHeard = (topic: string) =>
        known.some(({ spec }) => isEmbedded(spec) && spec.topics.some((filter) => topicMatches(filter, topic)));
      const { accounts, zigbee, ...more } = candidates.view(isHeard);
      return {
        hasBroker: config.broker !== undefined,
        accounts: accounts.map((one) => {
          const owner = known.find(({ spec }) => isEmbedded(spec) && spec.source.account === one.account);
          return { ...one, deviceId: owner?.id ?? null };
        }),
        zigbee: zigbee.map(({ topic: _, ...device }) => device),
        ...more,
      };
    },
    preview: ({ driverId, options, topic }) => {
      const driver = parts.drivers(driverId);
      const problems = driver === null ? [] : optionProblemsOf(driver, options);
      const payload = candidates.message(topic);
      const nothing = { problems, hasMessage: payload !== null, values: [], alarms: [], refusals: [] };
      return driver === null || payload === null || problems.length > 0
        ? nothing
        : { ...nothing, ...judged(driver, { options, topic, payload }, parts.clock) };
    },
  };
}

type EmbeddedSpec = Extract<LinkSpec, { kind: "mqtt" }> & { readonly source: { readonly kind: "embedded" } };

function isEmbedded(spec: LinkSpec): spec is EmbeddedSpec {
  return spec.kind === "mqtt" && spec.source.kind === "embedded";
}

function specOf({ roster, config }: DeviceDeskParts, line: DeviceLine): LinkSpec {
  const device = roster.configs.get(line.deviceId);
  // Both are put in and taken out together.
  if (device === undefined) throw new Error(`the line ${line.deviceId} has a description`);
  return linkSpecOf(device, line.intake.driver, config);
}

function rowOf(parts: DeviceDeskParts, line: DeviceLine): DeviceRowView {
  const { roster, plant, bedOf } = parts;
  const { driver } = line.intake;
  const { notebook, deviceId: id } = line;
  const tag = roster.tags.get(id);
  const watched = roster.watched.get(id);
  const patientId = plant().assignments.get(id);
  const patient = patientId === undefined ? undefined : plant().patients.get(patientId);
  const counts = notebook.counts();
  const battery = notebook.value("batteryLevel");
  return {
    deviceId: id,
    title: tag?.title ?? driver.title,
    driverId: driver.id,
    driverVersion: driver.version,
    driverTitle: driver.title,
    from: tag?.isAdopted === true ? "adopted" : "configuration",
    place: placeOf(specOf(parts, line)),
    link: notebook.link(),
    lastHeardAtMs: line.lastHeardAtMs(),
    counts: {
      bytes: counts.bytes,
      frames: counts.messages,
      readings: counts.readings,
      waves: counts.waves,
      refused: line.refusedCount(),
    },
    quarantined: line.intake.isQuarantined(),
    origin: tag?.origin ?? "measured",
    bedId: bedOf(id),
    isAssigned: patientId !== undefined,
    patient: patient === undefined ? null : { patientId: patient.patientId, label: patient.label },
    battery: battery === null ? null : { content: battery.content, atMs: battery.atMs },
    signal: signalOf(line),
    expected: (watched?.expected ?? []).map((each) =>
      expectedOf(each, line, { clock: parts.clock, isAssigned: patientId !== undefined }),
    ),
    silenceSeconds: watched?.silenceSeconds ?? driver.silenceSeconds,
  };
}

function signalOf({ notebook }: DeviceLine): DeviceRowView["signal"] {
  const state = notebook.state();
  const { linkQuality, rssiDbm } = state?.facts ?? {};
  const number = (value: string | number | undefined) => (typeof value === "number" ? value : null);
  if (state === null || (number(linkQuality) ?? number(rssiDbm)) === null) return null;
  return { linkQuality: number(linkQuality), rssiDbm: number(rssiDbm), atMs: state.atMs };
}

function expectedOf(
  { quantity, silenceSeconds }: Omit<ExpectedView, "lastAtMs" | "isMissing">,
  { notebook }: DeviceLine,
  now: { readonly clock: Clock; readonly isAssigned: boolean },
): ExpectedView {
  const lastAtMs = notebook.presentAtMs(quantity);
  const isOld = lastAtMs === null || now.clock.wall() - lastAtMs > silenceSeconds * 1000;
  return { quantity, silenceSeconds, lastAtMs, isMissing: now.isAssigned && isOld };
}

/** Where a link goes; of an address the name and password are left out, should somebody have written them there. */
function placeOf(spec: LinkSpec): LinkPlaceView {
  switch (spec.kind) {
    case "serial": {
      const { baudRate, dataBits, parity, stopBits } = spec.line;
      return { kind: "serial", path: spec.path, baudRate, format: `${dataBits}${parity.charAt(0).toUpperCase()}${stopBits}` };
    }
    case "tcp":
      return { kind: "tcp", host: spec.host, port: spec.port };
    case "mqtt": {
      const { source, topics } = spec;
      if (source.kind === "embedded") return { kind: "mqtt", server: null, account: source.account, topics };
      return { kind: "mqtt", server: source.access.url.replace(/\/\/[^/]*@/, "//"), account: null, topics };
    }
    case "capture":
      return { kind: "capture", file: spec.file };
  }
}

function optionProblemsOf(driver: Driver, options: Readonly<Record<string, string>>): readonly OptionProblem[] {
  const unknown = Object.keys(options).filter((name) => !driver.optionNames.includes(name));
  const names = driver.optionNames.join(", ");
  return [
    ...unknown.map((option) => ({
      option,
      problem: { en: `is not an option of ${driver.id}`, zh: `不是 ${driver.id} 的选项` },
      remedy: { en: `use ${names}`, zh: `可用：${names}` },
    })),
    ...(driver.checkOptions?.(options) ?? []),
  ];
}

/** What the gateway would make of a message, by the same way in as a device's; nothing of it is kept. */
function judged(
  driver: Driver,
  {
    options,
    topic,
    payload,
  }: { readonly options: Readonly<Record<string, string>>; readonly topic: string; readonly payload: Uint8Array },
  clock: Clock,
) {
  const intake = createDeviceIntake({
    deviceId: deviceId("preview"),
    driver,
    driverOptions: options,
    origin: "measured",
    patientOf: () => null,
  });
  const { observations, alarms, refusals } = intake.feed({
    bytes: payload,
    channel: topic,
    receivedAtMs: wallMs(clock.wall()),
    receivedMonotonicMs: monotonicMs(clock.monotonic()),
  });
  return {
    values: observations.map(({ quantity, content, quality }) => ({ quantity, content, flags: quality.flags })),
    alarms: alarms.map(({ alarm: { code, text, active } }) => ({ code, text, active })),
    refusals,
  };
}
