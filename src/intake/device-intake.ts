import { type Fault, fault } from "../core/errors.ts";
import type { DeviceId, PatientId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import {
  type Content,
  type Observation,
  type Origin,
  QUESTIONABLE_FLAGS,
  type Quality,
  type QualityFlag,
  type Reading,
  type Times,
  type WaveformChunk,
} from "../core/observation.ts";
import type {
  DecodeError,
  DeviceAlarm,
  Driver,
  DriverEvent,
  DriverSession,
  Emission,
  StoredTime,
  WaveSamples,
} from "../core/ports.ts";
import { QUANTITIES, type QuantityName } from "../core/quantities.ts";
import { assert } from "../core/result.ts";
import { type MonotonicMs, type WallMs, wallMs } from "../core/time.ts";
import { canonicalValue } from "../core/unit.ts";
import { createDeviceClock, type DeviceClock } from "./device-clock.ts";

/** A judged reading that still waits for its sequence number. */
export type UnnumberedObservation = Omit<Observation, "seq">;

/** What came of one chunk of bytes. */
export interface Judgement {
  readonly observations: readonly UnnumberedObservation[];
  readonly waveforms: readonly WaveformChunk[];
  readonly alarms: readonly { readonly alarm: DeviceAlarm; readonly origin: Origin }[];
  readonly events: readonly DriverEvent[];
  readonly refusals: readonly DecodeError[];
  /** Whether at least one whole valid message arrived: the device is alive. */
  readonly heard: boolean;
  readonly counted: IntakeCount;
  /** Set once, when the driver failed on these bytes and the device was shut off. */
  readonly quarantined: Fault | null;
}

/** What one chunk brought, counted where it is decoded: `vigil verify` holds the journal against it. */
export interface IntakeCount {
  readonly bytes: number;
  /** Whole messages. */
  readonly messages: number;
  /** Readings in those messages; each became an observation or a repeat. */
  readonly readings: number;
  /** Readings that a monitor merely repeats and that were left out. */
  readonly repeats: number;
}

/** One device's way into the gateway. Owns the driver's session and what must outlive it. */
export interface DeviceIntake {
  readonly deviceId: DeviceId;
  readonly driver: Driver;
  /** Begins a new conversation; call when the link comes up. */
  readonly begin: () => void;
  readonly feed: (chunk: {
    readonly bytes: Uint8Array;
    readonly channel: string;
    readonly receivedAtMs: WallMs;
    readonly receivedMonotonicMs: MonotonicMs;
    /** True of what was kept for an unknown time before it came; nothing in it is taken for now. */
    readonly kept?: boolean;
    /** True of what a server shows to everybody who comes. */
    readonly retained?: boolean;
  }) => Judgement;
  /** What the driver wants to send now; nothing once quarantined. A driver that fails here is quarantined like one that fails on bytes. */
  readonly due: (atMonotonicMs: MonotonicMs) => ReturnType<DriverSession["due"]> & { readonly quarantined: Fault | null };
  /** Tells what the journal last knew of this device, so that a cuff's repeated result is not taken for a new one after a restart. */
  readonly restoreHeld: (observations: readonly Observation[]) => void;
  readonly isQuarantined: () => boolean;
}

/** What the configuration says of the device, as far as intake needs it. */
export interface DeviceIntakeOptions {
  readonly deviceId: DeviceId;
  readonly driver: Driver;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly origin: Origin;
  /** Who the device measures now; null: nobody, never guessed. */
  readonly patientOf: () => PatientId | null;
  /** Who the device measured at a monotonic time; null: nobody, or nobody can know. Left out: nobody. */
  readonly patientAt?: (atMonotonicMs: number) => PatientId | null;
}

const NOTHING_COUNTED: IntakeCount = { bytes: 0, messages: 0, readings: 0, repeats: 0 };

/** What comes of bytes that complete nothing. */
export const NOTHING_JUDGED: Judgement = {
  observations: [],
  waveforms: [],
  alarms: [],
  events: [],
  refusals: [],
  heard: false,
  counted: NOTHING_COUNTED,
  quarantined: null,
};

/** Opens the way in for one device. */
export function createDeviceIntake(options: DeviceIntakeOptions): DeviceIntake {
  const held = new Map<QuantityName, number>();
  let deviceClock = createDeviceClock();
  let session = options.driver.open(options.driverOptions);
  let quarantined = false;

  const feed: DeviceIntake["feed"] = (chunk) => {
    const nothing = { ...NOTHING_JUDGED, counted: { ...NOTHING_COUNTED, bytes: chunk.bytes.length } };
    if (quarantined) return nothing;
    try {
      const emissions = session.feed(chunk.bytes, chunk.channel, chunk.receivedMonotonicMs);
      return emissions.length === 0 ? nothing : judge(emissions, chunk, options, { held, deviceClock });
    } catch (error) {
      quarantined = true;
      return { ...nothing, quarantined: quarantineFault(options, error) };
    }
  };

  return {
    deviceId: options.deviceId,
    driver: options.driver,
    begin: () => {
      deviceClock = createDeviceClock();
      if (!quarantined) session = options.driver.open(options.driverOptions);
    },
    feed,
    due: (atMonotonicMs) => {
      if (quarantined) return { bytesToSend: [], nextDueMs: null, quarantined: null };
      try {
        return { ...session.due(atMonotonicMs), quarantined: null };
      } catch (error) {
        quarantined = true;
        return { bytesToSend: [], nextDueMs: null, quarantined: quarantineFault(options, error) };
      }
    },
    restoreHeld: (observations) => {
      for (const observation of observations) {
        if (observation.content.state === "present" && !observation.quality.flags.includes("late"))
          held.set(observation.quantity, observation.content.value);
      }
    },
    isQuarantined: () => quarantined,
  };
}

/** Why a device is shut off: its driver or its link failed in a way that nobody expected. */
export function quarantineFault(of: Pick<DeviceIntakeOptions, "deviceId" | "driver">, error: unknown): Fault {
  const why = error instanceof Error ? error.message : String(error);
  return fault("device-quarantined", {
    device: of.deviceId,
    driver: of.driver.id,
    version: of.driver.version,
    why,
  });
}

interface Reception {
  readonly bytes: Uint8Array;
  readonly receivedAtMs: WallMs;
  readonly receivedMonotonicMs: MonotonicMs;
  readonly kept?: boolean;
  readonly retained?: boolean;
}

function judge(
  emissions: readonly Emission[],
  reception: Reception,
  options: DeviceIntakeOptions,
  known: { readonly held: Map<QuantityName, number>; readonly deviceClock: DeviceClock },
): Judgement {
  const observations: UnnumberedObservation[] = [];
  const waveforms: WaveformChunk[] = [];
  const alarms: { readonly alarm: DeviceAlarm; readonly origin: Origin }[] = [];
  const events: DriverEvent[] = [];
  const refusals: DecodeError[] = [];
  let [messages, readings, repeats] = [0, 0, 0];
  let heard = false;
  for (const emission of emissions) {
    if (emission.kind === "refusal") {
      refusals.push(emission.error);
      continue;
    }
    messages += 1;
    heard ||= emission.byOther !== true;
    readings += emission.readings.length;
    const origin = emission.origin === "test" ? "test" : options.origin;
    const at = { ...datedOf(emission, reception, options, known.deviceClock), origin, options };
    const freshOnes = at.late ? emission.readings.map(asStored) : freshReadings(emission.readings, known.held);
    repeats += emission.readings.length - freshOnes.length;
    for (const fresh of freshOnes) {
      observations.push(judgeReading(fresh.reading, { ...at, moreFlags: [...fresh.moreFlags, ...at.moreFlags] }));
    }
    for (const wave of emission.waveforms) waveforms.push(waveformChunk(wave, at));
    for (const alarm of emission.alarms) {
      if (at.late && !countsLate(alarm, at, reception)) events.push(storedAlarm(alarm, at.times));
      else alarms.push({ alarm, origin });
    }
    events.push(...emission.events, ...at.events);
  }
  const counted = { bytes: reception.bytes.length, messages, readings, repeats };
  return { observations, waveforms, alarms, events, refusals, heard, counted, quarantined: null };
}

/**
 * Leaves out what a monitor merely repeats. A cuff's last result comes every second until the next inflation;
 * taken as new each time it would never grow old. A held group counts as new when any of its values changes.
 */
function freshReadings(
  readings: readonly Reading[],
  held: Map<QuantityName, number>,
): readonly { readonly reading: Reading; readonly moreFlags: readonly QualityFlag[] }[] {
  const changed = readings.some(
    (reading) => reading.kind === "present" && reading.held && held.get(reading.quantity) !== heldValue(reading),
  );
  const fresh: { readonly reading: Reading; readonly moreFlags: readonly QualityFlag[] }[] = [];
  for (const reading of readings) {
    if (reading.kind === "absent" || !reading.held) {
      fresh.push({ reading, moreFlags: [] });
    } else if (changed) {
      // The first result of a session may be hours old: the device does not say when it was taken.
      fresh.push({ reading, moreFlags: held.has(reading.quantity) ? [] : ["measured-time-unknown"] });
    }
  }
  if (changed) {
    for (const reading of readings)
      if (reading.kind === "present" && reading.held) held.set(reading.quantity, heldValue(reading));
  }
  return fresh;
}

function heldValue(reading: Extract<Reading, { kind: "present" }>): number {
  return canonicalValue(reading.quantity, reading.value, reading.unit) ?? reading.value;
}

/** A message with its times and whose it is, and what its device's clock did. */
interface Dated {
  readonly times: Times;
  readonly patientId: PatientId | null;
  /** True of a record out of the device's memory. */
  readonly late: boolean;
  readonly moreFlags: readonly QualityFlag[];
  readonly events: readonly DriverEvent[];
}

/**
 * A live message was measured when it arrived, whatever the device's clock says. A stored one was measured its age before that: only
 * the difference of two times of the device's clock counts, so that a clock that is wrong by hours cancels out.
 */
function datedOf(
  emission: Extract<Emission, { kind: "message" }>,
  reception: Reception,
  options: DeviceIntakeOptions,
  deviceClock: DeviceClock,
): Dated {
  const { receivedAtMs, receivedMonotonicMs } = reception;
  const stored = storedTimeOf(emission, reception, deviceClock);
  const saysNowMs = stored === null ? emission.deviceClockMs : stored.deviceNowMs;
  const moved = saysNowMs === null ? null : deviceClock.note(saysNowMs, receivedMonotonicMs);
  const events = moved === null ? [] : [moved];
  const received = { receivedAtMs, receivedMonotonicMs };
  if (stored === null) {
    const times = { measuredAtMs: receivedAtMs, deviceClockMs: emission.deviceClockMs, ...received };
    return { times, patientId: options.patientOf(), late: false, moreFlags: [], events };
  }
  const ageMs = deviceClock.ageMs(stored, receivedMonotonicMs);
  const times = { measuredAtMs: wallMs(Math.round(receivedAtMs - (ageMs ?? 0))), deviceClockMs: stored.atDeviceMs, ...received };
  if (ageMs === null) return { times, patientId: null, late: true, moreFlags: ["late", "measured-time-unknown"], events };
  const patientId = options.patientAt?.(receivedMonotonicMs - ageMs) ?? null;
  return { times, patientId, late: true, moreFlags: ["late"], events };
}

/** The time of a record that is not of now: the device says so, who carried it kept it, or its own time tells. Null: it is of now. */
function storedTimeOf(
  emission: Extract<Emission, { kind: "message" }>,
  reception: Reception,
  deviceClock: DeviceClock,
): StoredTime | null {
  if (emission.stored != null) return emission.stored;
  const atDeviceMs = emission.deviceClockMs;
  const kept: StoredTime = { atDeviceMs, deviceNowMs: null };
  if (reception.kept === true) return kept;
  const isOld = emission.mayBeStored === true && atDeviceMs !== null && !deviceClock.isNow(atDeviceMs, reception);
  return isOld ? kept : null;
}

/** Of stored records each counts, also one that says the same as the one before. */
function asStored(reading: Reading): { readonly reading: Reading; readonly moreFlags: readonly QualityFlag[] } {
  return { reading, moreFlags: [] };
}

/**
 * Which alarms count although they come late: a state that holds until it is replaced, and a call for help that nobody can have heard yet.
 * A retained call is shown to everybody who comes, each time; and one that is long over by its own time helps nobody.
 */
function countsLate(alarm: DeviceAlarm, at: Dated, reception: Reception): boolean {
  if (alarm.standing === true) return true;
  if (alarm.once !== true || reception.retained === true) return false;
  return (
    at.moreFlags.includes("measured-time-unknown") || reception.receivedAtMs - at.times.measuredAtMs <= LIMITS.callAgeMsMax.value
  );
}

/** An alarm out of the device's memory is kept as what the device said. It is over or told already, and raises and ends nothing. */
function storedAlarm(alarm: DeviceAlarm, times: Times): DriverEvent {
  const { code, text, active } = alarm;
  return { code: "device-text", facts: { storedAlarm: code, text, active: String(active), measuredAtMs: times.measuredAtMs } };
}

interface Circumstances {
  readonly times: Times;
  readonly patientId: PatientId | null;
  readonly late: boolean;
  readonly origin: Origin;
  readonly options: DeviceIntakeOptions;
}

function judgeReading(
  reading: Reading,
  at: Circumstances & { readonly moreFlags: readonly QualityFlag[] },
): UnnumberedObservation {
  const { content, impossible } = judgeContent(reading);
  const flags: readonly QualityFlag[] = impossible
    ? [...reading.flags, ...at.moreFlags, "impossible"]
    : [...reading.flags, ...at.moreFlags];
  return {
    kind: "observation",
    deviceId: at.options.deviceId,
    patientId: at.patientId,
    quantity: reading.quantity,
    content,
    times: at.times,
    quality: { validity: validityOf(flags, impossible), flags, origin: at.origin },
    driverId: at.options.driver.id,
    driverVersion: at.options.driver.version,
  };
}

function judgeContent(reading: Reading): { readonly content: Content; readonly impossible: boolean } {
  if (reading.kind === "absent")
    return { content: { state: "absent", why: reading.why }, impossible: reading.why === "impossible" };
  const value = canonicalValue(reading.quantity, reading.value, reading.unit);
  assert(value !== null, `the unit ${reading.unit} of ${reading.quantity} has a conversion`);
  const { min, max } = QUANTITIES[reading.quantity].possible;
  // A NaN fails this comparison as well.
  if (!(value >= min && value <= max)) return { content: { state: "absent", why: "impossible" }, impossible: true };
  return { content: { state: "present", value }, impossible: false };
}

function validityOf(flags: readonly QualityFlag[], impossible: boolean): Quality["validity"] {
  if (impossible) return "invalid";
  return flags.some((flag) => QUESTIONABLE_FLAGS.has(flag)) ? "questionable" : "valid";
}

function waveformChunk(wave: WaveSamples, at: Circumstances): WaveformChunk {
  return {
    kind: "waveform",
    deviceId: at.options.deviceId,
    patientId: at.patientId,
    waveform: wave.waveform,
    sampleRateHz: wave.sampleRateHz,
    firstSampleIndex: wave.firstSampleIndex,
    raw: wave.raw,
    gain: wave.gain,
    offset: wave.offset,
    unit: wave.unit,
    times: at.times,
    origin: at.origin,
    ...(at.late ? { late: true } : {}),
  };
}
