import * as z from "zod";
import { DRIVERS } from "../../drivers/index.ts";
import { QUANTITY_NAMES } from "../../src/core/quantities.ts";
import { ROOMS } from "../body/day.ts";
import { PROFILES } from "../body/profile.ts";
import { RHYTHMS } from "../body/rhythm.ts";
import { STRAIN_NAMES, STRAINS } from "../body/strain.ts";
import { FITS, SITES } from "../devices/worn.ts";
import { secondsOf } from "./duration.ts";

/** The document that says what belongs into a scenario. */
export const SCENARIO_GUIDE = "simulator/README.md";

const oneOf = <Name extends string>(names: readonly Name[]) => z.enum(names as readonly [Name, ...Name[]]);

const NO_TIME =
  "this is no time; write a number and a unit, such as 90 s, 20 min, 1 h 30 min or 3 d | 不是时间；请写数字和单位，如 90 s、20 min、1 h 30 min、3 d";

/** A time, in seconds: `90 s`, `20 min`, `1 h 30 min`, `3 d`. */
const duration = z.string({ error: ({ input }) => (input === undefined ? undefined : NO_TIME) }).transform((text, context) => {
  const seconds = secondsOf(text);
  if (seconds !== null) return seconds;
  context.addIssue({ code: "custom", message: NO_TIME });
  return z.NEVER;
});

const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    "this name has other characters; use 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit | 名称含有不允许的字符；请用 1 至 63 个 a-z、0-9 或 -，以字母或数字开头",
  );

const text = z.strictObject({ en: z.string().min(1), zh: z.string().min(1) });
const quantity = oneOf(QUANTITY_NAMES);
const priority = z.enum(["low", "medium", "high"]);
const nature = z.enum(["physiological", "technical"]);

/** What befalls a patient, from a moment on; between two entries that name a strain it changes evenly. */
const courseEntry = z.strictObject({
  at: duration,
  rhythm: oneOf(RHYTHMS).optional(),
  ...Object.fromEntries(
    STRAIN_NAMES.map((strain) => [strain, z.number().min(STRAINS[strain].min).max(STRAINS[strain].max).optional()]),
  ),
} as {
  readonly at: typeof duration;
  readonly rhythm: z.ZodOptional<ReturnType<typeof oneOf<(typeof RHYTHMS)[number]>>>;
} & Readonly<Record<(typeof STRAIN_NAMES)[number], z.ZodOptional<z.ZodNumber>>>);

const patient = z.strictObject({
  id: name,
  /** Shown on the wall; the id where left out. */
  label: z.string().min(1).max(40).optional(),
  profile: z
    .union([oneOf(Object.keys(PROFILES) as (keyof typeof PROFILES)[]), z.strictObject({ childYears: z.number().min(0).max(17) })])
    .default("adult"),
  /** The bed; the patient's place in the list where left out. */
  bed: name.optional(),
  spo2Scale: z.union([z.literal(1), z.literal(2)]).default(1),
  /** True: admitted as a person and not as a demonstration, so that data which is not measured must not alarm for them. */
  real: z.boolean().default(false),
  arterialLine: z.boolean().default(false),
  /** Lives at home by day and night: rooms, sleep, meals, walks, each with its bodily work. */
  atHome: z.boolean().default(false),
  course: z.array(courseEntry).default([]),
});

const everyBytes = z.number().positive().nullable().default(null);

/** How bad a link is; see `links/link-faults.ts`. Means are in bytes; what is left out never happens. */
const faults = z.strictObject({
  delayMsMax: z.number().min(0).max(60_000).default(0),
  splitEveryBytes: everyBytes,
  mergeEveryBytes: everyBytes,
  flipEveryBytes: everyBytes,
  burstEveryBytes: everyBytes,
  wrongParity: z.boolean().default(false),
  duplicateEveryBytes: everyBytes,
  reorderEveryBytes: everyBytes,
  truncateEveryBytes: everyBytes,
  dropEveryBytes: everyBytes,
  halfOpenEveryBytes: everyBytes,
  slowBytesPerSecond: z.number().min(1).nullable().default(null),
  flapEveryMs: z.number().min(1000).nullable().default(null),
  flapForMs: z.number().min(1).max(3_600_000).nullable().default(null),
});

/** What happens to a device. `cable: out` and `power: off` last until they are undone. */
const lifeEntry = z.strictObject({
  at: duration,
  power: z.enum(["on", "off"]).optional(),
  cable: z.enum(["in", "out"]).optional(),
  /** Sends on, and every value stays as it is. */
  frozen: z.boolean().optional(),
  /** Sensors that age are replaced. */
  newSensors: z.literal(true).optional(),
  /** From here on it is on another body, whoever it is assigned to. */
  on: name.optional(),
  ...Object.fromEntries(SITES.map((site) => [site, oneOf(FITS).optional()])),
} as {
  readonly at: typeof duration;
  readonly power: z.ZodOptional<z.ZodEnum<{ on: "on"; off: "off" }>>;
  readonly cable: z.ZodOptional<z.ZodEnum<{ in: "in"; out: "out" }>>;
  readonly frozen: z.ZodOptional<z.ZodBoolean>;
  readonly newSensors: z.ZodOptional<z.ZodLiteral<true>>;
  readonly on: z.ZodOptional<typeof name>;
} & Readonly<Record<(typeof SITES)[number], z.ZodOptional<ReturnType<typeof oneOf<(typeof FITS)[number]>>>>>);

const device = z.strictObject({
  id: name,
  driver: z.enum(DRIVERS.map((driver) => driver.id) as [string, ...string[]]),
  /** Whose body it is on; left out: it lies on a table. */
  on: name.optional(),
  /** A room of the home of whoever it is `on`: a sensor there, worn by nobody. */
  room: oneOf(ROOMS).optional(),
  /** Whom the gateway is told it is on; the same where left out, null: nobody tells it. */
  assigned: name.nullable().optional(),
  bed: name.optional(),
  /** What it plays in place of a body: a recording of `vigil capture`, a raw one, or the header (`.hea`) of a WFDB record; beside the scenario's file. */
  plays: z.string().min(1).optional(),
  /** How often it says something; its kind's own pace where left out. */
  every: duration.optional(),
  options: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.record(z.string(), z.json()), z.array(z.json())]))
    .default({}),
  origin: z.enum(["measured", "test", "simulated", "replayed"]).default("simulated"),
  silenceSeconds: z.number().min(1).max(86_400).optional(),
  quantitySilenceSeconds: z.number().min(5).max(86_400).optional(),
  expected: z.array(quantity).optional(),
  personal: z.boolean().optional(),
  /** How its own clock is wrong, where it has one; right where nothing is said. */
  clockAhead: duration.optional(),
  clockBehind: duration.optional(),
  clockDriftPpm: z.number().min(-1000).max(1000).optional(),
  /** Nobody ever set it: each time it is switched on it begins at this day. */
  clockUnset: z.iso
    .date({ error: "this is no day; write one such as 2000-01-01 | 不是日期；请按 2000-01-01 的格式填写" })
    .optional(),
  /** Firmware or settings other than the usual, of those its driver knows. */
  variant: z.string().min(1).optional(),
  /** What this one cannot measure: a module that is missing, a model or firmware without it. */
  lacks: z.array(quantity).default([]),
  /** How its sensors grow old from the beginning, and from where its life says `newSensors`. Each day the value is `gainPerDay` times itself and `driftPerDay` (in its unit) away from the truth, and wanders about by `spreadPerDay` more. */
  ageing: z
    .array(
      z.strictObject({
        quantity,
        driftPerDay: z.number().default(0),
        gainPerDay: z.number().min(-1).max(1).default(0),
        spreadPerDay: z.number().min(0).default(0),
      }),
    )
    .default([]),
  /** Full at the start, empty after so long, and then off. */
  batteryLasts: duration.optional(),
  badLink: faults.optional(),
  /** Messages that it keeps while its cable is out, and sends when it is in again; beyond that it forgets the oldest. */
  keepsMessages: z.int().min(1).max(100_000).optional(),
  life: z.array(lifeEntry).default([]),
});

const limitSide = z.strictObject({ value: z.number(), priority }).nullable();

/** What people do at the bedside. Exactly one deed an entry. */
const deedEntry = z
  .strictObject({
    at: duration,
    of: name.optional(),
    /** Acknowledges every open alert whose rule fits. */
    acknowledge: z.string().optional(),
    consciousness: z.enum(["A", "C", "V", "P", "U"]).optional(),
    oxygen: z.boolean().optional(),
    assign: name.optional(),
    release: name.optional(),
    confirm: name.optional(),
    discharge: z.boolean().optional(),
    transfer: name.optional(),
    limit: z.strictObject({ quantity, low: limitSide, high: limitSide }).optional(),
  })
  .refine((entry) => Object.keys(entry).filter((key) => key !== "at" && key !== "of").length === 1, {
    message:
      "an entry is one deed; write one of acknowledge, consciousness, oxygen, assign, release, confirm, discharge, transfer, limit | 每项只写一个操作；请写 acknowledge、consciousness、oxygen、assign、release、confirm、discharge、transfer、limit 之一",
  });

/** What happens to the gateway and its board. */
const gatewayEntry = z
  .strictObject({
    at: duration,
    /** Killed without a good-bye and started again after so long. */
    killedFor: duration.optional(),
    /** Stands still for so long: no timer runs, no byte is read. */
    standsStillFor: duration.optional(),
    /** Somebody, or nobody's time server, moves the wall clock. */
    clockForward: duration.optional(),
    clockBack: duration.optional(),
    /** The disk takes nothing more, or again. */
    disk: z.enum(["full", "well"]).optional(),
  })
  .refine((entry) => Object.keys(entry).length === 2, {
    message:
      "an entry is one event; write one of killedFor, standsStillFor, clockForward, clockBack, disk | 每项只写一个事件；请写 killedFor、standsStillFor、clockForward、clockBack、disk 之一",
  });

/** Which alerts are meant. `alert` is a rule such as `limit.oxygenSaturation.low`; `*` stands for anything. */
const meant = {
  alert: z.string().min(1),
  /** Of this patient, device or bed; of anybody where left out. */
  of: name.optional(),
  nature: nature.optional(),
  /** At least so urgent. */
  priority: priority.optional(),
};

/** What a good gateway must do, and by when. */
const expectation = z.union([
  z
    .strictObject({
      ...meant,
      after: duration.default(0),
      within: duration.optional(),
      by: duration.optional(),
      lasting: z.boolean().optional(),
      /** True: one that was open before `after` does not count. */
      begins: z.boolean().optional(),
    })
    .refine((entry) => (entry.within === undefined) !== (entry.by === undefined), {
      message:
        "an alert is due; write `within` (after `after`) or `by` (after the beginning), not both | 报警须有时限；请写 within（自 after 起）或 by（自开始起）之一",
    }),
  z.strictObject({
    never: z.string().min(1),
    of: name.optional(),
    nature: nature.optional(),
    priority: priority.optional(),
    from: duration.default(0),
    until: duration.optional(),
  }),
  z.strictObject({
    atMost: z.int().min(0),
    per: duration.optional(),
    alerts: z.string().min(1).default("*"),
    of: name.optional(),
    nature: nature.optional(),
    priority: priority.optional(),
  }),
  z.strictObject({ ends: z.string().min(1), of: name.optional(), after: duration, within: duration }),
  z.strictObject({ raisedAgain: z.string().min(1), of: name.optional(), after: duration, within: duration }),
  z.strictObject({ score: name, of: name, points: z.int().min(0).optional(), complete: z.boolean().optional(), by: duration }),
  z.strictObject({ heartbeat: z.enum(["missed", "back"]), after: duration, within: duration }),
]);

/** A scenario as people write it. */
export const scenarioSchema = z.strictObject({
  title: text,
  about: text,
  /** Rows of `src/SAFETY.md` that it provokes. */
  safety: z.array(z.int().min(1)).default([]),
  lasts: duration,
  /** Time of day at which it begins. */
  startsAt: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d$/, "this is no time of day; write 00:00 to 23:59 | 不是时刻；请写 00:00 至 23:59")
    .default("10:00"),
  /** How coarsely time may jump; nothing is noticed sooner than within it. */
  grain: duration.default(1),
  patients: z.array(patient).max(400).default([]),
  devices: z.array(device).min(1).max(800),
  people: z.array(deedEntry).default([]),
  gateway: z.array(gatewayEntry).default([]),
  /** The hospital's system, which says who lies where where a target of its own is given (`mllp://`). */
  hospital: z.strictObject({ badLink: faults }).optional(),
  /** The ward's own limits, as in a configuration. */
  limits: z.record(z.string(), z.json()).default({}),
  expect: z.array(expectation).min(1),
});

/** A scenario. Times are in seconds from its beginning. */
export type Scenario = z.output<typeof scenarioSchema>;
/** One patient of a scenario. */
export type ScenarioPatient = Scenario["patients"][number];
/** One device of a scenario. */
export type ScenarioDevice = Scenario["devices"][number];
/** One thing that a good gateway must do. */
export type Expectation = Scenario["expect"][number];
