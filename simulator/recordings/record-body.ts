import { absent, present, type Reading } from "../../src/core/observation.ts";
import type { PatientBody } from "../../src/core/ports.ts";
import { QUANTITIES, type QuantityName, type WaveformName } from "../../src/core/quantities.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import { inUnits, MISSING, sampleAt, type WfdbRecord, type WfdbSignal } from "./wfdb.ts";

/** A body that does again what somebody's body once did. */
export interface RecordBody extends PatientBody {
  /** One pass: the longest of its records. */
  readonly lengthMs: number;
  /** Signals of the records that nothing of this body comes from. */
  readonly unusedSignals: readonly string[];
}

/** What is not said by the records. */
export interface RecordBodyOptions {
  /** After the longest record: from the beginning, without a mark, or nothing any more. */
  readonly atEnd: "again" | "absent";
}

/** Why records make no body. */
export type RecordBodyError =
  | {
      readonly kind: "wrong-unit";
      readonly record: string;
      readonly signal: string;
      readonly given: string;
      readonly known: readonly string[];
    }
  | { readonly kind: "nothing-known"; readonly records: readonly string[]; readonly unusedSignals: readonly string[] };

/** Signals slower than this are numbers of a monitor, others are waves; RESP is the name of both. Records have 1 Hz or less, and 62.5 Hz or more. */
const WAVE_HZ_MIN = 10;

interface NumberMeaning {
  readonly quantity: QuantityName;
  readonly units: readonly string[];
}

const PER_MINUTE = ["bpm", "/min"];
const BREATHS_PER_MINUTE = ["pm", "bpm", "rpm", "/min"];
const PRESSURE = ["mmHg"];

/**
 * Numbers by their names, in capitals and letters only. Source: the numerics of the MIMIC-III waveform database; NIBP, ART, PR and RR
 * are other usual names of the same.
 */
// biome-ignore format: one row a name, so that it reads as the table it is.
const NUMBERS: ReadonlyMap<string, NumberMeaning> = new Map<string, NumberMeaning>([
  ["HR", { quantity: "heartRate", units: PER_MINUTE }],
  ["PULSE", { quantity: "pulseRate", units: PER_MINUTE }],
  ["PR", { quantity: "pulseRate", units: PER_MINUTE }],
  ["RESP", { quantity: "respiratoryRate", units: BREATHS_PER_MINUTE }],
  ["RR", { quantity: "respiratoryRate", units: BREATHS_PER_MINUTE }],
  ["SPO2", { quantity: "oxygenSaturation", units: ["%"] }],
  ...["ABP", "ART"].flatMap((site): [string, NumberMeaning][] => [
    [`${site}SYS`, { quantity: "arterialSystolicPressure", units: PRESSURE }],
    [`${site}DIAS`, { quantity: "arterialDiastolicPressure", units: PRESSURE }],
    [`${site}MEAN`, { quantity: "arterialMeanPressure", units: PRESSURE }],
  ]),
  ...["NBP", "NIBP"].flatMap((site): [string, NumberMeaning][] => [
    [`${site}SYS`, { quantity: "systolicPressure", units: PRESSURE }],
    [`${site}DIAS`, { quantity: "diastolicPressure", units: PRESSURE }],
    [`${site}MEAN`, { quantity: "meanPressure", units: PRESSURE }],
  ]),
]);

/** Units of an ECG, and millivolts in each. */
const MILLIVOLTS: ReadonlyMap<string, number> = new Map([
  ["mV", 1],
  ["uV", 0.001],
]);

/** What a wave's name says. MLII is lead II with its electrodes on the trunk. */
const WAVES: ReadonlyMap<string, WaveformName> = new Map<string, WaveformName>([
  ["I", "ecgLeadI"],
  ["II", "ecgLeadII"],
  ["MLII", "ecgLeadII"],
  ["RESP", "respiration"],
  ["PLETH", "plethysmogram"],
  ["ABP", "arterialPressure"],
  ["ART", "arterialPressure"],
]);
const OTHER_ECG = /^(ECG\d?|III|AV[RLF]|V[1-6]?|M?CL\d?|MLI|MLIII|MV\d?)$/;

/** Waves without a unit of their own are stretched so that these shares of their samples lie under 0 and under 1, as a monitor fills its strip. */
const LOW_SHARE = 0.01;
const HIGH_SHARE = 0.99;
/** Of a long wave so many samples, evenly spread, are ranked. */
const RANKED_SAMPLES_MAX = 100_000;

interface NumberTrack {
  readonly signal: WfdbSignal;
  readonly samplesPerSecond: number;
}

/** A cuff's results, of which each replaces the last as a whole. */
interface CuffTrack {
  readonly framesPerSecond: number;
  readonly framesCount: number;
  /** Frames in which the cuff gave anything, rising. */
  readonly takenFrames: readonly number[];
  readonly signals: ReadonlyMap<QuantityName, WfdbSignal>;
}

interface WaveTrack extends NumberTrack {
  /** value = (sample - zero) * scale, in what `PatientBody.wave` speaks of. */
  readonly zero: number;
  readonly scale: number;
  readonly clampedToOne: boolean;
}

interface Tracks {
  readonly numbers: Map<QuantityName, NumberTrack>;
  /** Of the first record that has one. */
  cuff: CuffTrack | null;
  readonly waves: Map<WaveformName, WaveTrack>;
  readonly unusedSignals: string[];
}

/**
 * Makes a body of one record, or of several that were taken together, such as waves and numbers. All begin together, and of what
 * two of them have the first counts.
 *
 * A number holds until the next one of its record. Missing samples are absences, and so is zero: these monitors wrote 0 where they
 * had no value (in the record 3975656n pulse and saturation are 0 in the same 362 minutes, heart rate and respiration in the same
 * 44, the arterial line in all 1,923 before it was there). A zero that was an asystole or an apnoea cannot be told from these, and
 * becomes an absence too, never a made-up number.
 *
 * What a record has a signal for is `no-signal` where it has no value; what it has none for is `not-available`, which twins take
 * for something that their device does not measure at all.
 */
export function createRecordBody(
  records: readonly WfdbRecord[],
  options: RecordBodyOptions,
): Result<RecordBody, RecordBodyError> {
  const tracks: Tracks = { numbers: new Map(), cuff: null, waves: new Map(), unusedSignals: [] };
  for (const record of records) {
    const wrong = addRecord(tracks, record);
    if (wrong !== null) return fail(wrong);
  }
  const { numbers, cuff, waves, unusedSignals } = tracks;
  const lengthMs = Math.max(0, ...records.map((record) => (record.framesCount / record.framesPerSecond) * 1000));
  if (lengthMs === 0 || (numbers.size === 0 && cuff === null && waves.size === 0)) {
    return fail({ kind: "nothing-known", records: records.map((record) => record.name), unusedSignals });
  }
  const secondsAt = (atMs: number) => (options.atEnd === "again" && atMs >= 0 ? atMs % lengthMs : atMs) / 1000;
  return succeed({
    lengthMs,
    unusedSignals,
    quantity: (name, atMs) => {
      const number = numbers.get(name);
      if (number !== undefined) return numberAt(name, number, secondsAt(atMs));
      return cuff?.signals.has(name) ? cuffAt(name, cuff, secondsAt(atMs)) : absent(name, "not-available");
    },
    wave: (name, atMs) => {
      const wave = waves.get(name);
      return wave === undefined ? 0 : waveAt(wave, secondsAt(atMs));
    },
  });
}

function addRecord(tracks: Tracks, record: WfdbRecord): RecordBodyError | null {
  const cuffSignals = new Map<QuantityName, WfdbSignal>();
  const otherLeads: WaveTrack[] = [];
  for (const signal of record.signals) {
    const samplesPerSecond = record.framesPerSecond * signal.samplesPerFrame;
    const name = signal.name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "");
    const wrongUnit = (known: readonly string[]): RecordBodyError => {
      return { kind: "wrong-unit", record: record.name, signal: signal.name, given: signal.unit, known };
    };
    if (samplesPerSecond < WAVE_HZ_MIN) {
      const meaning = NUMBERS.get(name);
      if (meaning !== undefined && !meaning.units.includes(signal.unit)) return wrongUnit(meaning.units);
      if (!addNumber(tracks, cuffSignals, meaning, { signal, samplesPerSecond })) tracks.unusedSignals.push(signal.name);
      continue;
    }
    const wave = WAVES.get(name) ?? (OTHER_ECG.test(name) ? "ecgUnknownLead" : null);
    const known = wave === null ? null : knownUnits(wave);
    if (known !== null && !known.includes(signal.unit)) return wrongUnit(known);
    if (wave === "ecgUnknownLead") otherLeads.push(waveTrack(wave, { signal, samplesPerSecond }));
    else if (wave === null || tracks.waves.has(wave)) tracks.unusedSignals.push(signal.name);
    else tracks.waves.set(wave, waveTrack(wave, { signal, samplesPerSecond }));
  }
  if (cuffSignals.size > 0) tracks.cuff = cuffTrack(record, cuffSignals);
  // A device that does not say its lead shows lead II where there is one.
  const lead = tracks.waves.get("ecgLeadII") ?? tracks.waves.get("ecgLeadI") ?? otherLeads[0];
  if (lead !== undefined && !tracks.waves.has("ecgUnknownLead")) tracks.waves.set("ecgUnknownLead", lead);
  const unused = otherLeads.filter((track) => track !== tracks.waves.get("ecgUnknownLead"));
  tracks.unusedSignals.push(...unused.map(({ signal }) => signal.name));
  return null;
}

/** Whether anything came of it. */
function addNumber(
  tracks: Tracks,
  cuffSignals: Map<QuantityName, WfdbSignal>,
  meaning: NumberMeaning | undefined,
  track: NumberTrack,
): boolean {
  if (meaning === undefined) return false;
  const { quantity } = meaning;
  const isOfCuff = QUANTITIES[quantity].rhythm === "episodic";
  if (isOfCuff ? cuffSignals.has(quantity) || tracks.cuff !== null : tracks.numbers.has(quantity)) return false;
  if (isOfCuff) cuffSignals.set(quantity, track.signal);
  else tracks.numbers.set(quantity, track);
  return true;
}

// ------------------------------------------------------------------- numbers

function isValue(sample: number): boolean {
  return !Number.isNaN(sample) && sample !== 0;
}

function numberAt(name: QuantityName, track: NumberTrack, seconds: number): Reading {
  const sample = sampleAt(track.signal, Math.floor(seconds * track.samplesPerSecond));
  return isValue(sample) ? present(name, sample, QUANTITIES[name].unit) : absent(name, "no-signal");
}

function cuffTrack(record: WfdbRecord, signals: ReadonlyMap<QuantityName, WfdbSignal>): CuffTrack {
  const taken = new Set<number>();
  for (const signal of signals.values()) {
    for (const piece of signal.pieces) {
      for (const [index, raw] of piece.raw.entries()) {
        if (isValue(inUnits(piece, raw))) taken.add(Math.floor((piece.firstIndex + index) / signal.samplesPerFrame));
      }
    }
  }
  const { framesPerSecond, framesCount } = record;
  return { framesPerSecond, framesCount, takenFrames: [...taken].sort((a, b) => a - b), signals };
}

/** A monitor shows the cuff's last result until the next one, and with a mean alone no systolic of an earlier one. */
function cuffAt(name: QuantityName, track: CuffTrack, seconds: number): Reading {
  const frame = Math.floor(seconds * track.framesPerSecond);
  const signal = track.signals.get(name);
  const takenFrame = frame < track.framesCount ? lastUpTo(track.takenFrames, frame) : undefined;
  if (signal === undefined || takenFrame === undefined) return absent(name, "no-signal");
  for (let index = (takenFrame + 1) * signal.samplesPerFrame - 1; index >= takenFrame * signal.samplesPerFrame; index--) {
    const sample = sampleAt(signal, index);
    if (isValue(sample)) return present(name, sample, QUANTITIES[name].unit, { held: true });
  }
  return absent(name, "no-signal");
}

/** The last of rising numbers that is not over this one. */
function lastUpTo(rising: readonly number[], bound: number): number | undefined {
  let low = 0;
  for (let high = rising.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((rising[middle] ?? 0) <= bound) low = middle + 1;
    else high = middle;
  }
  return rising[low - 1];
}

// --------------------------------------------------------------------- waves

/** The units a wave may have, or null where any will do because it is stretched. */
function knownUnits(wave: WaveformName): readonly string[] | null {
  switch (wave) {
    case "ecgLeadI":
    case "ecgLeadII":
    case "ecgUnknownLead":
      return [...MILLIVOLTS.keys()];
    case "arterialPressure":
    case "bloodPressure2":
      return PRESSURE;
    case "respiration":
    case "plethysmogram":
      return null;
  }
}

function waveTrack(wave: WaveformName, track: NumberTrack): WaveTrack {
  if (knownUnits(wave) !== null) {
    return { ...track, zero: 0, scale: MILLIVOLTS.get(track.signal.unit) ?? 1, clampedToOne: false };
  }
  const ranked = rankedSamples(track.signal);
  const zero = ranked[Math.floor(LOW_SHARE * (ranked.length - 1))] ?? 0;
  const span = (ranked[Math.ceil(HIGH_SHARE * (ranked.length - 1))] ?? 0) - zero;
  return { ...track, zero, scale: span === 0 ? 0 : 1 / span, clampedToOne: true };
}

function rankedSamples(signal: WfdbSignal): Float64Array {
  const samplesCount = signal.pieces.reduce((sum, piece) => sum + piece.raw.length, 0);
  const step = Math.max(1, Math.ceil(samplesCount / RANKED_SAMPLES_MAX));
  const values: number[] = [];
  for (const piece of signal.pieces) {
    for (let index = 0; index < piece.raw.length; index += step) {
      const raw = piece.raw[index];
      if (raw !== MISSING) values.push(inUnits(piece, raw));
    }
  }
  return Float64Array.from(values).sort();
}

/** Straight between samples; where nothing was recorded a wave lies at zero, as one of a sensor that is off. */
function waveAt(track: WaveTrack, seconds: number): number {
  const position = seconds * track.samplesPerSecond;
  const index = Math.floor(position);
  const here = sampleAt(track.signal, index);
  if (Number.isNaN(here)) return 0;
  const next = sampleAt(track.signal, index + 1);
  const sample = Number.isNaN(next) ? here : here + (position - index) * (next - here);
  const value = (sample - track.zero) * track.scale;
  return track.clampedToOne ? Math.min(1, Math.max(0, value)) : value;
}
