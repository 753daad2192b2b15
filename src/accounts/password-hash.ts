import { type ScryptOptions, scrypt } from "node:crypto";

/** What one hash costs: 128 * costN * blockSizeR bytes of memory, and processor time in proportion. */
export interface PasswordCost {
  /** A power of two. */
  readonly costN: number;
  readonly blockSizeR: number;
  readonly parallelP: number;
}

/** Length of a hash. */
export const HASH_BYTES = 32;
/** Length of a salt. */
export const SALT_BYTES = 16;

/**
 * Hashes a password with scrypt, in another thread.
 *
 * @param password  In any spelling of Unicode: composed and decomposed letters are the same.
 * @returns         `HASH_BYTES` bytes.
 */
export function hashPassword(password: string, salt: Buffer, cost: PasswordCost): Promise<Buffer> {
  // scrypt needs 128 * N * r bytes; node refuses to take as much as its default bound exactly.
  const options: ScryptOptions = {
    N: cost.costN,
    r: cost.blockSizeR,
    p: cost.parallelP,
    maxmem: 2 * 128 * cost.costN * cost.blockSizeR,
  };
  return new Promise((resolve, reject) => {
    scrypt(password.normalize("NFKC"), salt, HASH_BYTES, options, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    );
  });
}
