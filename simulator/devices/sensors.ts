import { absent, present } from "../../src/core/observation.ts";
import type { PatientBody } from "../../src/core/ports.ts";
import { QUANTITIES, type QuantityName } from "../../src/core/quantities.ts";
import { createWandering, type Wandering } from "../body/noise.ts";
import { seedOfPart } from "../random.ts";

/** How the sensor of one quantity grows old. A day later it shows `value * (1 + gainPerDay) + driftPerDay`, give or take `spreadPerDay`. */
export interface Ageing {
  readonly quantity: QuantityName;
  /** In the quantity's unit. */
  readonly driftPerDay: number;
  /** Share of the value: a sensor that loses its sensitivity has one below 0. */
  readonly gainPerDay: number;
  /** By how much more it wanders about the truth each day, as a standard deviation in the quantity's unit. */
  readonly spreadPerDay: number;
}

/** How long a sensor's own wandering takes. Our setting: shorter than a day, longer than what a monitor averages. */
const WANDERING_SECONDS = 1800;
const DAY_SECONDS = 86_400;

/**
 * A body as ageing sensors see it. What they cannot see at all stays absent, and no value leaves what the quantity can be.
 *
 * @param renewedAtSeconds  When they were replaced by new ones, in rising order; they are new at the beginning too.
 */
export function agedBody(
  body: PatientBody,
  {
    ageings,
    renewedAtSeconds,
    seed,
  }: { readonly ageings: readonly Ageing[]; readonly renewedAtSeconds: readonly number[]; readonly seed: number },
): PatientBody {
  if (ageings.length === 0) return body;
  const sensors = new Map(
    ageings.map((ageing, index): [QuantityName, { readonly ageing: Ageing; readonly wandering: Wandering }] => {
      const wandering = createWandering([{ deviation: 1, periodSeconds: WANDERING_SECONDS }], seedOfPart(seed, index));
      return [ageing.quantity, { ageing, wandering }];
    }),
  );
  return {
    ...body,
    quantity: (name, atMs) => {
      const reading = body.quantity(name, atMs);
      const sensor = sensors.get(name);
      if (sensor === undefined || reading.kind === "absent") return reading;
      const seconds = atMs / 1000;
      const days = Math.max(0, seconds - (renewedAtSeconds.findLast((at) => at <= seconds) ?? 0)) / DAY_SECONDS;
      const { driftPerDay, gainPerDay, spreadPerDay } = sensor.ageing;
      const shown = reading.value * (1 + gainPerDay * days) + days * (driftPerDay + spreadPerDay * sensor.wandering(seconds));
      const { min, max } = QUANTITIES[name].possible;
      return present(name, Math.min(max, Math.max(min, shown)), reading.unit, { flags: reading.flags, held: reading.held });
    },
  };
}

/** A body as a device sees it that has no means for some quantities: a module that was not bought, a model or firmware without it. */
export function lackingBody(body: PatientBody, lacks: readonly QuantityName[]): PatientBody {
  if (lacks.length === 0) return body;
  const missing = new Set(lacks);
  return { ...body, quantity: (name, atMs) => (missing.has(name) ? absent(name, "not-available") : body.quantity(name, atMs)) };
}
