import { createHmac, randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { type Fault, fault } from "../core/errors.ts";
import type { PatientId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";

/** How patients are named in a database: by their id, by a pseudonym that only the key's owner can make, or not told apart. */
export type PatientTag =
  | { readonly kind: "id" }
  | { readonly kind: "none" }
  | {
      readonly kind: "pseudonym";
      /** Any text of 32 characters or more. */
      readonly keyFile: string;
      /** Makes the file where it is missing. */
      readonly makesKey: boolean;
    };

/** Every patient under `patientTag: none`. */
const SOMEBODY = "assigned";
/** Hexadecimal digits of a pseudonym: 64 bits, so that no two of a million patients ever share one. */
const PSEUDONYM_DIGITS = 16;
/** What a key must have at least, in characters: 128 bits in hexadecimal. */
const KEY_CHARACTERS_MIN = 32;
const KEY_BYTES = 32;

/**
 * Reads the key where one is needed.
 *
 * @returns  How a patient is named, or `upstream-denied` where the key cannot be read, made or is too short: then nothing may leave.
 */
export async function patientNaming(tag: PatientTag): Promise<Result<(patient: PatientId) => string, Fault>> {
  switch (tag.kind) {
    case "id":
      return succeed((patient) => patient);
    case "none":
      return succeed(() => SOMEBODY);
    case "pseudonym": {
      const key = await readKey(tag.keyFile, tag.makesKey);
      return key.ok ? succeed(pseudonyms(key.value)) : key;
    }
  }
}

function pseudonyms(key: string): (patient: PatientId) => string {
  const known = new Map<PatientId, string>();
  return (patient) => {
    const before = known.get(patient);
    if (before !== undefined) return before;
    const pseudonym = createHmac("sha256", key).update(patient).digest("hex").slice(0, PSEUDONYM_DIGITS);
    if (known.size >= LIMITS.influxPatientsKnownMax.value) known.clear();
    known.set(patient, pseudonym);
    return pseudonym;
  };
}

async function readKey(file: string, makesKey: boolean): Promise<Result<string, Fault>> {
  try {
    const key = (await readFile(file, "utf8")).trim();
    if (key.length >= KEY_CHARACTERS_MIN) return succeed(key);
    return fail(fault("upstream-denied", { file, reason: "key-too-short" }));
  } catch (error) {
    const reason = codeOf(error);
    if (reason !== "ENOENT" || !makesKey) return fail(fault("upstream-denied", { file, reason }));
    return makeKey(file);
  }
}

/** Writes beside, syncs and links, so that a power cut leaves a whole key or none, and of two that make one the first stays. */
async function makeKey(file: string): Promise<Result<string, Fault>> {
  const beside = `${file}.${randomBytes(4).toString("hex")}`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const handle = await open(beside, "wx", 0o600);
    try {
      await handle.writeFile(`${randomBytes(KEY_BYTES).toString("hex")}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(beside, file).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    });
    await syncFolder(dirname(file));
  } catch (error) {
    return fail(fault("upstream-denied", { file, reason: codeOf(error) }));
  } finally {
    await rm(beside, { force: true });
  }
  return readKey(file, false);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unreadable";
}
