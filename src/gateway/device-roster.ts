import type { Config, DeviceConfig } from "../../config/schema.ts";
import type { AdoptedDevice } from "../core/act.ts";
import { bedId, type DeviceId, deviceId } from "../core/ids.ts";
import type { Driver } from "../core/ports.ts";
import { assert } from "../core/result.ts";
import { topicMatches } from "../core/topic-filter.ts";
import { adoptedConfig, adoptionProblem } from "./adoption.ts";
import type { DeviceLine } from "./device-line.ts";
import type { DeviceTag } from "./picture.ts";
import type { AdoptionProblem } from "./plant.ts";
import { type WatchedDevice, watchedDevice } from "./watch-plan.ts";

/** Why an adopted device is not in use: `configured` where the configuration has one of its name, which goes before. */
export interface UnusedDevice {
  readonly device: AdoptedDevice;
  readonly problem: { readonly why: AdoptionProblem["why"] | "configured"; readonly facts: AdoptionProblem["facts"] };
}

/** Which devices are in use: those of the configuration, and those that were adopted. All maps change with it. */
export interface DeviceRoster {
  readonly lines: ReadonlyMap<DeviceId, DeviceLine>;
  readonly tags: ReadonlyMap<DeviceId, DeviceTag>;
  /** How each is reached and what else was said of it. */
  readonly configs: ReadonlyMap<DeviceId, DeviceConfig>;
  readonly watched: ReadonlyMap<DeviceId, WatchedDevice>;
  /** Adopted devices that cannot be used. */
  readonly unused: ReadonlyMap<DeviceId, UnusedDevice>;
  /** A device is in use from now on; null where it cannot be. */
  readonly adopt: (device: AdoptedDevice) => WatchedDevice | null;
  /** It is in use no more. False where it was not. */
  readonly forget: (id: DeviceId) => boolean;
  /** Whether a topic is one of an adopted device. */
  readonly isAdoptedTopic: (topic: string) => boolean;
  /** Everybody who may still have to be thanked: lines in use and those that leave. */
  readonly everyLine: () => readonly DeviceLine[];
  /** Runs every line, those that come later too. */
  readonly begin: (run: (line: DeviceLine) => Promise<void>) => void;
  /** Closes all links; resolves when everything that came is through. */
  readonly close: () => Promise<void>;
}

/** What the roster needs. */
export interface DeviceRosterParts {
  readonly config: Config;
  readonly drivers: (id: string) => Driver | null;
  /** Those adopted so far, in their order. */
  readonly adopted: Iterable<AdoptedDevice>;
  readonly openLine: (device: DeviceConfig, driver: Driver) => DeviceLine;
}

/** Opens a line for each device of the configuration and each that was adopted. */
export function openDeviceRoster(parts: DeviceRosterParts): DeviceRoster {
  const roster = new Roster(parts);
  for (const device of parts.config.devices) roster.take(device, false);
  for (const device of parts.adopted) roster.adopt(device);
  return roster;
}

class Roster implements DeviceRoster {
  readonly lines = new Map<DeviceId, DeviceLine>();
  readonly tags = new Map<DeviceId, DeviceTag>();
  readonly configs = new Map<DeviceId, DeviceConfig>();
  readonly watched = new Map<DeviceId, WatchedDevice>();
  readonly unused = new Map<DeviceId, UnusedDevice>();
  readonly #parts: DeviceRosterParts;
  readonly #configured: ReadonlySet<string>;
  readonly #bedIds: ReadonlySet<string>;
  readonly #leaving = new Set<DeviceLine>();
  readonly #running = new Set<Promise<void>>();
  #run: ((line: DeviceLine) => Promise<void>) | null = null;

  constructor(parts: DeviceRosterParts) {
    this.#parts = parts;
    this.#configured = new Set(parts.config.devices.map(({ id }) => id));
    this.#bedIds = new Set(parts.config.beds.map(({ id }) => id));
  }

  take(device: DeviceConfig, isAdopted: boolean): WatchedDevice {
    const driver = this.#parts.drivers(device.driver);
    assert(driver !== null, `it was checked: there is a driver ${device.driver}`);
    const id = deviceId(device.id);
    const line = this.#parts.openLine(device, driver);
    const watched = watchedDevice(device, driver, this.#parts.config.assignment);
    this.lines.set(id, line);
    this.configs.set(id, device);
    this.watched.set(id, watched);
    this.tags.set(id, {
      title: device.title === undefined ? null : { en: device.title, zh: device.title },
      bedId: device.bed === undefined ? null : bedId(device.bed),
      origin: device.origin,
      isAdopted,
    });
    if (this.#run !== null) this.#begin(line, this.#run);
    return watched;
  }

  readonly adopt = (device: AdoptedDevice): WatchedDevice | null => {
    const { config, drivers } = this.#parts;
    const problem = this.#configured.has(device.deviceId)
      ? { why: "configured" as const, facts: { device: device.deviceId } }
      : adoptionProblem(device, { drivers, hasBroker: config.broker !== undefined });
    if (problem === null) return this.take(adoptedConfig(device, this.#bedIds), true);
    this.unused.set(device.deviceId, { device, problem });
    return null;
  };

  readonly forget = (id: DeviceId): boolean => {
    const line = this.lines.get(id);
    if (this.unused.delete(id) || line === undefined) return false;
    for (const map of [this.lines, this.tags, this.configs, this.watched]) map.delete(id);
    this.#leaving.add(line);
    void line.leave().then(() => this.#leaving.delete(line));
    return true;
  };

  readonly isAdoptedTopic = (topic: string): boolean =>
    [...this.configs].some(([id, { link }]) => {
      const topics = link.kind === "mqtt" && this.tags.get(id)?.isAdopted === true ? (link.topics ?? []) : [];
      return topics.some((filter) => topicMatches(filter, topic));
    });

  readonly everyLine = (): readonly DeviceLine[] => [...this.lines.values(), ...this.#leaving];

  readonly begin = (run: (line: DeviceLine) => Promise<void>): void => {
    this.#run = run;
    for (const line of this.lines.values()) this.#begin(line, run);
  };

  readonly close = async (): Promise<void> => {
    await Promise.all(this.everyLine().map((line) => line.close()));
    await Promise.all(this.#running);
  };

  #begin(line: DeviceLine, run: (line: DeviceLine) => Promise<void>): void {
    const running = run(line).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}
