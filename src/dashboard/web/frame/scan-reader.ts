import { LIMITS } from "../../../core/limits.ts";

/**
 * What one key means, where a scanner may be typing: `alone`: it stands for itself unless the next one follows at once, so its effect is
 * held until then; `gathered`: it is of a run of keys, and no key of it has an effect; `scan`: Enter ended a code; `ignored`: it ended
 * what was no code, and has no effect; `other`: it is no key of a scanner and has its effect at once.
 */
export type ScanStep =
  | { readonly kind: "alone" | "gathered" | "ignored" | "other" }
  | { readonly kind: "scan"; readonly code: string };

/** Tells a scanner's keys from a person's by their times. */
export interface ScanReader {
  /**
   * Takes the next key.
   *
   * @param key  As `KeyboardEvent.key` names it.
   * @param atMs  When it was pressed, such as `KeyboardEvent.timeStamp`; only differences count.
   */
  readonly take: (key: string, atMs: number) => ScanStep;
  /** Forgets the run that goes on, as when somebody types into a field. */
  readonly forget: () => void;
}

/** Longer codes are no numbers; what goes beyond is cut, and refused by whoever reads it. */
const CODE_CHARACTERS_MAX = 2 * LIMITS.patientNumberCharactersMax.value;
/** A scanner that types capital letters presses these between. */
const MODIFIERS: ReadonlySet<string> = new Set(["Shift", "CapsLock", "Control", "Alt", "AltGraph", "Meta"]);

/** Makes a reader. A code is at least four characters, each within 50 ms of the one before, and Enter as soon behind them. */
export function createScanReader(): ScanReader {
  let run = "";
  let lastAtMs = Number.NEGATIVE_INFINITY;
  /** Until when keys are the rest of a code that was cut short. */
  let restUntilMs = Number.NEGATIVE_INFINITY;

  const end = () => {
    run = "";
    lastAtMs = Number.NEGATIVE_INFINITY;
  };
  /** A run of two and more that ends without being a code leaves its rest. */
  const cutShort = () => {
    if (run.length > 1) restUntilMs = lastAtMs + LIMITS.scanQuietMs.value;
    end();
  };
  const character = (key: string, atMs: number): ScanStep => {
    const isNext = run !== "" && atMs - lastAtMs <= LIMITS.scanGapMsMax.value;
    if (!isNext) cutShort();
    run = (run + key).slice(0, CODE_CHARACTERS_MAX);
    lastAtMs = atMs;
    return { kind: isNext || atMs <= restUntilMs ? "gathered" : "alone" };
  };
  const enter = (atMs: number): ScanStep => {
    const isNext = run !== "" && atMs - lastAtMs <= LIMITS.scanGapMsMax.value;
    const code = run;
    if (isNext && code.length >= LIMITS.scanCharactersMin.value) {
      end();
      return { kind: "scan", code };
    }
    const isRest = atMs <= restUntilMs || (isNext && code.length > 1);
    cutShort();
    return { kind: isRest || atMs <= restUntilMs ? "ignored" : "other" };
  };
  return {
    take: (key, atMs) => {
      if (MODIFIERS.has(key)) return { kind: "other" };
      if (key === "Enter") return enter(atMs);
      if ([...key].length === 1) return character(key, atMs);
      cutShort();
      return { kind: "other" };
    },
    forget: end,
  };
}
