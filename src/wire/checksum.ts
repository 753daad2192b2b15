/**
 * Sum of bytes modulo 256, as Nonin (and many simple serial devices) end their frames.
 *
 * @param end  Index behind the last byte summed.
 */
export function sum8(bytes: Uint8Array, { start, end }: { readonly start: number; readonly end: number }): number {
  let sum = 0;
  for (let index = start; index < end; index++) sum += bytes[index] ?? 0;
  return sum & 0xff;
}
