/** Expected failures travel as values: either the wanted value or an error that carries facts. */
export type Result<Value, Failure> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: Failure };

/** Wraps a value as the good half of a `Result`. */
export function succeed<Value>(value: Value): { readonly ok: true; readonly value: Value } {
  return { ok: true, value };
}

/** Wraps an error as the bad half of a `Result`. */
export function fail<Failure>(error: Failure): { readonly ok: false; readonly error: Failure } {
  return { ok: false, error };
}

/** Thrown when the program itself is wrong; never thrown for what a device, disk or network does. */
export class ImpossibleError extends Error {
  override readonly name = "ImpossibleError";
}

/**
 * Checks what must hold whatever the world does.
 *
 * @throws ImpossibleError  With `whatMustHold` as its message.
 */
export function assert(condition: boolean, whatMustHold: string): asserts condition {
  if (!condition) throw new ImpossibleError(whatMustHold);
}
