import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fail, type Result, succeed } from "../../../core/result.ts";

/** A certificate with its key, as a TLS server takes them. */
export interface CertificatePair {
  /** The private key in PEM. */
  readonly key: string;
  /** The certificate in PEM, those that vouch for it behind it. */
  readonly certificate: string;
  /** SHA-256 of the certificate, sixteen-base pairs with colons, as browsers show it. */
  readonly fingerprint: string;
  /** Host names and addresses it is for. */
  readonly names: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

/** Why a certificate and its key cannot be used: which file, and what is wrong with it in few words. */
export interface PairTrouble {
  readonly file: string;
  readonly reason: string;
}

/** What a file with an own name holds; null where there is none. */
export async function textOf(file: string): Promise<Result<string | null, PairTrouble>> {
  try {
    return succeed(await readFile(file, "utf8"));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    return code === "ENOENT" ? succeed(null) : fail({ file, reason: code });
  }
}

/** The private key of a text in PEM; null where it is none, or is locked by a password. */
export function keyOf(text: string): KeyObject | null {
  try {
    return createPrivateKey(text);
  } catch {
    return null;
  }
}

/** What everybody may know of a certificate; null where the text is none. @param certificate  In PEM. */
export function publicPart(certificate: string): Omit<CertificatePair, "key"> | null {
  const parsed = parsedOf(certificate);
  if (parsed === null) return null;
  return {
    certificate,
    fingerprint: parsed.fingerprint256,
    names: namesOf(parsed),
    fromMs: Date.parse(parsed.validFrom),
    toMs: Date.parse(parsed.validTo),
  };
}

/** Puts a certificate and its key together. @returns  Null where the text is no certificate; `false` where the key is another's. */
export function pairOf(certificate: string, key: KeyObject): CertificatePair | false | null {
  const part = publicPart(certificate);
  if (part === null) return null;
  if (parsedOf(certificate)?.checkPrivateKey(key) !== true) return false;
  return { ...part, key: key.export({ type: "pkcs8", format: "pem" }).toString() };
}

function parsedOf(certificate: string): X509Certificate | null {
  try {
    return new X509Certificate(certificate);
  } catch {
    return null;
  }
}

/** The names a certificate is for, as `subjectAltName` lists them. */
function namesOf({ subjectAltName = "" }: X509Certificate): readonly string[] {
  return [...subjectAltName.matchAll(/(?:DNS|IP Address):([^,\s]+)/g)].map(([, name = ""]) => shortest(name));
}

/** An address of version 6 as people write it. */
function shortest(name: string): string {
  return name.includes(":") ? new URL(`http://[${name}]/`).hostname.slice(1, -1) : name;
}

/** Reads a certificate and its key from files that somebody else keeps. */
export async function readPair(files: {
  readonly certFile: string;
  readonly keyFile: string;
}): Promise<Result<CertificatePair, PairTrouble>> {
  const [certificate, key] = await Promise.all([textOf(files.certFile), textOf(files.keyFile)]);
  if (!certificate.ok) return certificate;
  if (!key.ok) return key;
  if (certificate.value === null) return fail({ file: files.certFile, reason: "ENOENT" });
  if (key.value === null) return fail({ file: files.keyFile, reason: "ENOENT" });
  const parsedKey = keyOf(key.value);
  if (parsedKey === null) return fail({ file: files.keyFile, reason: "holds no private key in PEM without a password" });
  const pair = pairOf(certificate.value, parsedKey);
  if (pair === null) return fail({ file: files.certFile, reason: "holds no certificate in PEM" });
  return pair === false ? fail({ file: files.keyFile, reason: "is not the key of this certificate" }) : succeed(pair);
}
