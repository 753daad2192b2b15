import type { DeviceConfig } from "../../config/schema.ts";
import type { AdoptedDevice } from "../core/act.ts";
import type { Driver } from "../core/ports.ts";
import type { AdoptionProblem } from "./plant.ts";

/** What adopted devices need of this gateway. */
export interface AdoptionGround {
  readonly drivers: (id: string) => Driver | null;
  /** Whether there is a broker of its own, by which they come. */
  readonly hasBroker: boolean;
}

/** What keeps a device from being used as it is described, beside its name and bed; null where nothing does. Opens nothing. */
export function adoptionProblem(device: AdoptedDevice, { drivers, hasBroker }: AdoptionGround): AdoptionProblem | null {
  const facts = { device: device.deviceId };
  const driver = drivers(device.driverId);
  if (driver === null) return { why: "no-driver", facts: { ...facts, driver: device.driverId } };
  if (driver.link.kind !== device.link.kind) return { why: "bad-link", facts };
  if (!hasBroker) return { why: "no-broker", facts };
  const unknown = Object.keys(device.options).find((name) => !driver.optionNames.includes(name));
  if (unknown !== undefined) return { why: "bad-options", facts: { ...facts, option: unknown.slice(0, 40) } };
  const [problem] = driver.checkOptions?.(device.options) ?? [];
  if (problem !== undefined) {
    const { option, problem: what } = problem;
    return { why: "bad-options", facts: { ...facts, option, problem: `${what.en} / ${what.zh}` } };
  }
  const foreign = device.expected?.find((quantity) => !driver.quantities.includes(quantity));
  return foreign === undefined ? null : { why: "bad-expected", facts: { ...facts, quantity: foreign } };
}

/**
 * An adopted device as the configuration would have it, so that everything behind treats both alike.
 *
 * @param bedIds  Beds that there are now: one that is gone from the configuration is no bed any more.
 */
export function adoptedConfig(device: AdoptedDevice, bedIds: ReadonlySet<string>): DeviceConfig {
  const { deviceId, driverId, title, link, options, bedId, silenceSeconds, expected } = device;
  return {
    id: deviceId,
    driver: driverId,
    origin: "measured",
    link: { kind: "mqtt", topics: [...link.topics], account: link.account },
    options,
    personal: false,
    quantitySilenceSeconds: ADOPTED_QUANTITY_SILENCE_SECONDS,
    ...(title === null ? {} : { title }),
    ...(bedId === null || !bedIds.has(bedId) ? {} : { bed: bedId }),
    ...(silenceSeconds === null ? {} : { silenceSeconds }),
    ...(expected === null ? {} : { expected: [...expected] }),
  };
}

/** As the configuration has it where nothing is said. */
const ADOPTED_QUANTITY_SILENCE_SECONDS = 60;
