import type { Text } from "../../src/core/quantities.ts";

/** One thing that can befall a body. */
export interface StrainDefinition {
  readonly title: Text;
  /** The usual value, when nothing is wrong. */
  readonly rest: number;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
}

/**
 * All that a course may do to a body, by name; everything that is measured follows from these (`physiology.ts`).
 * A share of 1 is the most there is: `opioidEffect` 1 stops the breath, `exertion` 1 is all one can.
 */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const STRAINS = {
  exertion: { rest: 0, min: 0, max: 1, unit: "share", title: { en: "Bodily work", zh: "体力活动" } },
  feverCelsius: { rest: 0, min: -3, max: 5, unit: "Cel", title: { en: "The temperature that the body aims at, over the usual", zh: "体温调定点升高" } },
  shuntFraction: { rest: 0, min: 0, max: 0.7, unit: "share", title: { en: "Blood that passes the lungs without oxygen, beside the usual", zh: "肺内分流增加" } },
  lungStiffness: { rest: 0, min: 0, max: 1, unit: "share", title: { en: "Stiff lungs: quick and shallow breathing", zh: "肺顺应性下降" } },
  airwayObstruction: { rest: 0, min: 0, max: 1, unit: "share", title: { en: "Narrow airways: how little can be breathed", zh: "气道阻塞" } },
  opioidEffect: { rest: 0, min: 0, max: 1, unit: "share", title: { en: "How far breathing is put to sleep", zh: "阿片类呼吸抑制" } },
  bloodLossFraction: { rest: 0, min: -0.2, max: 0.6, unit: "share", title: { en: "Blood volume that is missing; below 0: too much", zh: "失血比例" } },
  vasodilation: { rest: 0, min: 0, max: 1, unit: "share", title: { en: "Wide vessels, as in sepsis", zh: "血管扩张" } },
  vasoconstriction: { rest: 0, min: 0, max: 1, unit: "share", title: { en: "Narrow vessels, as in pre-eclampsia", zh: "血管收缩" } },
  pumpWeakness: { rest: 0, min: 0, max: 0.9, unit: "share", title: { en: "Strength that the heart has lost", zh: "心肌收缩力下降" } },
  pain: { rest: 0, min: 0, max: 1, unit: "share", title: { en: "Pain or fear", zh: "疼痛或焦虑" } },
  insulinMmolPerLPerHour: { rest: 0, min: 0, max: 20, unit: "mmol/L/h", title: { en: "How fast insulin lowers the glucose", zh: "胰岛素降糖速度" } },
  oxygenFraction: { rest: 0.21, min: 0.1, max: 1, unit: "share", title: { en: "Oxygen in what is breathed", zh: "吸入氧浓度" } },
  heartRateShift: { rest: 0, min: -150, max: 150, unit: "/min", title: { en: "What the rhythm itself adds to the heart rate", zh: "心律本身引起的心率变化" } },
  fluidKg: { rest: 0, min: -10, max: 30, unit: "kg", title: { en: "Water that the body holds back", zh: "体内潴留水分" } },
} as const satisfies Record<string, StrainDefinition>;

/** The name of a strain. */
export type StrainName = keyof typeof STRAINS;

/** All names, in the order of the table. */
export const STRAIN_NAMES = Object.keys(STRAINS) as readonly StrainName[];

/** What is laid upon a body at one moment. */
export type Strains = Readonly<Record<StrainName, number>>;
