import type { Strains } from "./strain.ts";

/** What a person is like at rest; drawn from a profile by a seed. */
export interface Constitution {
  readonly weightKg: number;
  readonly heartRateBpm: number;
  /** The fastest that this heart can. Source: 220 minus the age. */
  readonly heartRateBpmMax: number;
  readonly respiratoryRatePerMin: number;
  readonly meanPressureMmhg: number;
  readonly pulsePressureMmhg: number;
  readonly temperatureCelsius: number;
  readonly shuntFraction: number;
  readonly carbonDioxideMmhg: number;
  readonly glucoseMmolPerL: number;
  readonly perfusionIndexPercent: number;
}

/** What moves by itself about the usual, at one moment. */
export interface Drift {
  readonly temperatureCelsius: number;
  readonly shuntFraction: number;
  /** What the whole shunt is multiplied by; 1 changes nothing. */
  readonly shuntFactor: number;
  /** Share by which the heart goes slower, as in sleep. */
  readonly heartRestShare: number;
}

/** What the body remembers from one step to the next. */
export interface BodyMemory {
  /** Metabolism as a multiple of rest. */
  metabolism: number;
  coreCelsius: number;
  /** Partial pressures in the alveoli (oxygen) and the arteries (carbon dioxide). */
  alveolarOxygenMmhg: number;
  carbonDioxideMmhg: number;
  /** Sympathetic tone, 0 to 1. */
  tone: number;
  /** Saturation of the blood that has arrived at the finger, as a share. */
  fingerSaturation: number;
  glucoseMmolPerL: number;
}

/** What follows from memory and strains at one moment. */
export interface BodyMoment {
  readonly heartRateBpm: number;
  readonly respiratoryRatePerMin: number;
  /** Depth of a breath beside one at rest. */
  readonly breathDepth: number;
  readonly saturationPercent: number;
  readonly meanPressureMmhg: number;
  readonly pulsePressureMmhg: number;
  readonly temperatureCelsius: number;
  readonly endTidalCarbonDioxideMmhg: number;
  readonly perfusionIndexPercent: number;
  readonly glucoseMmolPerL: number;
}

/** Oxygen used and carbon dioxide made at rest, ml/min for 70 kg. */
const OXYGEN_USE_ML_PER_MIN = 250;
const CARBON_DIOXIDE_ML_PER_MIN = 200;
/** Dry gas at 37 Celsius and sea level: mmHg times litres a minute per ml a minute. */
const GAS_FACTOR = 863;
const DRY_AIR_MMHG = 713;
/** The lungs hold this much gas at the end of a breath, ml for 70 kg; the blood binds this much oxygen, ml. */
const LUNG_ML = 2400;
const BLOOD_OXYGEN_ML = 900;
/** How much carbon dioxide the body takes up for each mmHg, ml for 70 kg: without breath it rises by 4 mmHg a minute. */
const CARBON_DIOXIDE_STORE_ML_PER_MMHG = 50;
const RESTING_TONE = 0.2;
/** How much the pressure's error moves the tone: the baroreflex. Half of it answers within TONE_SECONDS. */
const BAROREFLEX_GAIN = 1.7;
/** A pressure that is too high is answered with less. */
const BAROREFLEX_GAIN_HIGH = 0.7;
const TONE_SECONDS = 12;
/** How much of a change of tone the pressure gives back to it, about. */
const REFLEX_LOOP = 5;
/** Blood takes this long from the lungs to the finger. */
const FINGER_SECONDS = 14;
const METABOLISM_SECONDS = 40;
/** Body temperature follows its set point; shivering and sweating take half an hour. */
const TEMPERATURE_SECONDS = 1800;
const BEATS_PER_CELSIUS = 9;
/** Beats a minute more for a saturation that is lower by all of it. */
const BEATS_PER_WANT = 180;
const STARVED_BEATS_MAX = 22;
/** Somebody awake breathes on although carbon dioxide is low: the drive falls no further than this below the metabolism. */
const WAKEFULNESS = -0.2;
/** The most that healthy airways let through, beside rest. */
const MOST_VENTILATION = 9;
/** Least blood volume at which the heart still fills. */
const VOLUME_FRACTION_MIN = 0.4;

/** A body at rest that has been so for long. */
export function restingBody(person: Constitution): BodyMemory {
  const ventilation = restingVentilation(person);
  return {
    metabolism: 1,
    coreCelsius: person.temperatureCelsius,
    alveolarOxygenMmhg: 0.21 * DRY_AIR_MMHG - (GAS_FACTOR * oxygenUse(person, 1)) / (1000 * ventilation),
    carbonDioxideMmhg: person.carbonDioxideMmhg,
    tone: RESTING_TONE,
    fingerSaturation: 0.97,
    glucoseMmolPerL: person.glucoseMmolPerL,
  };
}

/** Saturation of haemoglobin at an oxygen pressure. Source: Severinghaus, J Appl Physiol 46:599 (1979). */
export function saturationAt(oxygenMmhg: number): number {
  const pressure = Math.max(0, oxygenMmhg);
  const cubed = pressure * pressure * pressure + 150 * pressure;
  return cubed / (cubed + 23_400);
}

function slopeOfSaturation(oxygenMmhg: number): number {
  return (saturationAt(oxygenMmhg + 0.5) - saturationAt(oxygenMmhg - 0.5)) / 1;
}

function restingVentilation(person: Constitution): number {
  return (GAS_FACTOR * carbonDioxideMade(person, 1)) / (1000 * person.carbonDioxideMmhg);
}

function sizeOf(person: Constitution): number {
  return (person.weightKg / 70) ** 0.75;
}

function oxygenUse(person: Constitution, metabolism: number): number {
  return OXYGEN_USE_ML_PER_MIN * sizeOf(person) * metabolism;
}

function carbonDioxideMade(person: Constitution, metabolism: number): number {
  return CARBON_DIOXIDE_ML_PER_MIN * sizeOf(person) * metabolism;
}

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
/** The share of a change that is done after a step. */
const done = (stepSeconds: number, seconds: number) => 1 - Math.exp(-stepSeconds / seconds);

/**
 * The body as a few stores and reflexes, each of which a physiology textbook has: metabolism follows work and temperature; breathing
 * follows metabolism, carbon dioxide and want of oxygen, as far as airways and opioids let it; gas stores of lung and blood make a
 * stopped breath show in the saturation within a minute; shunt makes blood pass without oxygen; pressure is output times resistance,
 * and the baroreflex answers with heart, vessels and strength. Every step is exact for its first-order parts, so that steps of 1 s and
 * of 10 s agree (`test/simulator-physiology`).
 */
export function createPhysiology(person: Constitution): {
  /** What is, given memory, strains and drift. */
  readonly moment: (memory: BodyMemory, strains: Strains, drift: Drift) => BodyMoment;
  /** Moves the memory on by a step. */
  readonly advance: (memory: BodyMemory, given: { strains: Strains; drift: Drift; stepSeconds: number }) => void;
} {
  const ventilationAtRest = restingVentilation(person);
  const lungMl = LUNG_ML * (person.weightKg / 70);
  const bloodOxygenMl = BLOOD_OXYGEN_ML * (person.weightKg / 70);
  const toneBeats = (person.heartRateBpmMax - person.heartRateBpm) / (1 - RESTING_TONE);
  /** A body that is used to much carbon dioxide is driven by what is more than that. */
  const drivenFromMmhg = person.carbonDioxideMmhg;

  /** Alveolar air a minute beside that at rest: what the body strives for, and what airways let through. */
  const breathingOf = (memory: BodyMemory, strains: Strains): { readonly drive: number; readonly achieved: number } => {
    const wantOfOxygen = Math.max(0, 0.92 - memory.fingerSaturation) * 4;
    const acid = 0.8 * strains.vasodilation + Math.max(0, strains.bloodLossFraction) + 0.5 * strains.pumpWeakness;
    const unrest = 0.3 * strains.pain + acid + 0.5 * strains.lungStiffness + 0.06 * (memory.coreCelsius - 37);
    // Acid and stiff lungs drive on although carbon dioxide is washed out: the body aims lower.
    const tooMuchMmhg = memory.carbonDioxideMmhg - (drivenFromMmhg - 12 * unrest);
    const wanted = Math.max(0, memory.metabolism + 0.35 * unrest + wantOfOxygen + Math.max(WAKEFULNESS, 0.09 * tooMuchMmhg));
    const drive = wanted * (1 - clamp(strains.opioidEffect, 0, 1));
    return { drive, achieved: Math.min(drive, MOST_VENTILATION * (1 - strains.airwayObstruction) ** 2) };
  };

  /** A heart without oxygen grows slow and weak. */
  const fedShare = (memory: BodyMemory) => clamp((memory.fingerSaturation - 0.15) / 0.35, 0.1, 1);

  const heartRateOf = (memory: BodyMemory, strains: Strains, drift: Drift): number => {
    const quiet = person.heartRateBpm * (1 - drift.heartRestShare) + toneBeats * (memory.tone - RESTING_TONE);
    const warm = BEATS_PER_CELSIUS * (memory.coreCelsius - person.temperatureCelsius);
    const starved = Math.min(STARVED_BEATS_MAX, BEATS_PER_WANT * Math.max(0, 0.93 - memory.fingerSaturation));
    const sinus = Math.min(quiet + warm + starved, person.heartRateBpmMax);
    return clamp((sinus + strains.heartRateShift) * fedShare(memory), 0, 260);
  };

  const circulationOf = (memory: BodyMemory, strains: Strains, drift: Drift) => {
    const heartRateBpm = heartRateOf(memory, strains, drift);
    const filled = clamp((1 - strains.bloodLossFraction - VOLUME_FRACTION_MIN) / (1 - VOLUME_FRACTION_MIN), 0, 1.3);
    const fed = fedShare(memory);
    // A heart that races has no time to fill.
    const fillingTime = Math.min(1, (1.7 * person.heartRateBpmMax - heartRateBpm) / (0.7 * person.heartRateBpmMax));
    const stroke =
      filled ** 0.8 *
      Math.max(0.1, fillingTime) *
      (1 - strains.pumpWeakness) *
      fed *
      (1 + 0.35 * (memory.tone - RESTING_TONE) + 0.12 * Math.max(0, memory.metabolism - 1));
    const output = (stroke * heartRateBpm) / person.heartRateBpm;
    const resistance =
      ((1 - 0.75 * strains.vasodilation) * (1 + 1.1 * (memory.tone - RESTING_TONE)) * (1 + strains.vasoconstriction)) /
      (1 + 0.75 * Math.max(0, memory.metabolism - 1));
    return { heartRateBpm, stroke, output, meanPressureMmhg: person.meanPressureMmhg * output * resistance };
  };

  const saturationOf = (memory: BodyMemory, strains: Strains, drift: Drift, output: number): number => {
    const shunt = clamp((person.shuntFraction + strains.shuntFraction) * drift.shuntFactor + drift.shuntFraction, 0, 0.8);
    const used = 0.25 * (memory.metabolism / Math.max(0.25, output));
    const passed = saturationAt(memory.alveolarOxygenMmhg) - (shunt / (1 - shunt)) * Math.min(used, 0.45);
    return clamp(passed, 0.25, 1);
  };

  const moment = (memory: BodyMemory, strains: Strains, drift: Drift): BodyMoment => {
    const { drive, achieved } = breathingOf(memory, strains);
    const { heartRateBpm, stroke, output, meanPressureMmhg } = circulationOf(memory, strains, drift);
    const quick = drive >= 1 ? drive ** 0.6 : drive ** 0.85;
    const ratePerMin = person.respiratoryRatePerMin * quick * shallowness(strains);
    const gapMmhg = 3 + 8 * strains.airwayObstruction + 14 * Math.max(0, 1 - output);
    return {
      heartRateBpm,
      respiratoryRatePerMin: ratePerMin < 1.5 ? 0 : Math.min(75, ratePerMin),
      breathDepth: clamp(ratePerMin <= 0 ? 0 : (achieved * person.respiratoryRatePerMin) / ratePerMin, 0, 4),
      saturationPercent: 100 * memory.fingerSaturation,
      meanPressureMmhg,
      pulsePressureMmhg: person.pulsePressureMmhg * stroke * (1 + 0.15 * strains.vasoconstriction),
      temperatureCelsius: memory.coreCelsius,
      endTidalCarbonDioxideMmhg: Math.max(0, memory.carbonDioxideMmhg - gapMmhg),
      perfusionIndexPercent:
        person.perfusionIndexPercent *
        stroke *
        clamp(1 - 1.1 * (memory.tone - RESTING_TONE), 0.06, 2) *
        (1 + 0.6 * strains.vasodilation),
      glucoseMmolPerL: memory.glucoseMmolPerL,
    };
  };

  const advance: ReturnType<typeof createPhysiology>["advance"] = (memory, { strains, drift, stepSeconds }) => {
    const minutes = stepSeconds / 60;
    const ventilation = ventilationAtRest * breathingOf(memory, strains).achieved;
    const { output, meanPressureMmhg } = circulationOf(memory, strains, drift);
    const wantedMetabolism = 1 + 4 * strains.exertion + 0.12 * (memory.coreCelsius - 37) + 0.2 * strains.pain;
    memory.metabolism += (wantedMetabolism - memory.metabolism) * done(stepSeconds, METABOLISM_SECONDS);

    const aimCelsius = person.temperatureCelsius + strains.feverCelsius + drift.temperatureCelsius + 0.9 * strains.exertion;
    memory.coreCelsius += (aimCelsius - memory.coreCelsius) * done(stepSeconds, TEMPERATURE_SECONDS);

    // Gas in the alveoli: what comes in with the breath less what the blood takes; exact for a constant breath over the step.
    const inspiredMmhg = strains.oxygenFraction * DRY_AIR_MMHG;
    const oxygenStore = lungMl / GAS_FACTOR + bloodOxygenMl * slopeOfSaturation(memory.alveolarOxygenMmhg);
    const oxygenRate = (1000 * ventilation) / (GAS_FACTOR * oxygenStore);
    const oxygenLoss = oxygenUse(person, memory.metabolism) / oxygenStore;
    memory.alveolarOxygenMmhg = Math.max(
      5,
      afterStep(memory.alveolarOxygenMmhg, { gain: oxygenRate * inspiredMmhg - oxygenLoss, ratePerMin: oxygenRate, minutes }),
    );
    const store = CARBON_DIOXIDE_STORE_ML_PER_MMHG * (person.weightKg / 70);
    const washedOut = (1000 * ventilation) / (GAS_FACTOR * store);
    memory.carbonDioxideMmhg = clamp(
      afterStep(memory.carbonDioxideMmhg, {
        gain: carbonDioxideMade(person, memory.metabolism) / store,
        ratePerMin: washedOut,
        minutes,
      }),
      5,
      150,
    );

    const saturation = saturationOf(memory, strains, drift, output);
    memory.fingerSaturation += (saturation - memory.fingerSaturation) * done(stepSeconds, FINGER_SECONDS / 2);

    // Who has had narrow vessels for weeks is used to the pressure.
    const usedToMmhg = person.meanPressureMmhg * (1 + 0.7 * strains.vasoconstriction);
    const tooLow = 1 - meanPressureMmhg / usedToMmhg;
    const breathless =
      0.6 * Math.max(0, 0.93 - saturation) + 0.005 * Math.max(0, memory.carbonDioxideMmhg - person.carbonDioxideMmhg - 6);
    const wantedTone = clamp(
      RESTING_TONE +
        (tooLow > 0 ? BAROREFLEX_GAIN : BAROREFLEX_GAIN_HIGH) * tooLow +
        0.55 * strains.exertion +
        breathless +
        0.2 * strains.pain +
        0.1 * strains.lungStiffness -
        0.1 * strains.opioidEffect,
      0,
      1,
    );
    // The reflex closes on itself: what it does to the pressure is reckoned in, so that long steps do not swing.
    const share = done(stepSeconds, TONE_SECONDS);
    memory.tone += ((wantedTone - memory.tone) * share) / (1 + REFLEX_LOOP * share);

    memory.glucoseMmolPerL = clamp(
      memory.glucoseMmolPerL +
        (stepSeconds / 3600) *
          (0.8 * (person.glucoseMmolPerL - memory.glucoseMmolPerL) - strains.insulinMmolPerLPerHour - 2 * strains.exertion),
      1,
      35,
    );
  };
  return { moment, advance };
}

/** How much quicker, and less deep, a breath is taken than the drive alone would have it. */
function shallowness(strains: Strains): number {
  const { lungStiffness, airwayObstruction, vasodilation, bloodLossFraction } = strains;
  return 1 + 0.45 * lungStiffness + 0.25 * airwayObstruction + 0.3 * vasodilation + 0.3 * Math.max(0, bloodLossFraction);
}

/** What is there after a step of something that gains evenly and loses a share of itself. */
function afterStep(
  value: number,
  given: { readonly gain: number; readonly ratePerMin: number; readonly minutes: number },
): number {
  const { gain, ratePerMin, minutes } = given;
  if (ratePerMin * minutes < 1e-6) return value + gain * minutes;
  const left = Math.exp(-ratePerMin * minutes);
  return value * left + (gain / ratePerMin) * (1 - left);
}
