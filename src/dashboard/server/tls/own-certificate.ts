import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { writePrivateFile } from "../../../accounts/private-file.ts";
import { LIMITS } from "../../../core/limits.ts";
import { assert, type Result, succeed } from "../../../core/result.ts";
import { RELEASED_AT_MS } from "../../../core/time.ts";
import { type CertificatePair, keyOf, type PairTrouble, pairOf, textOf } from "./certificate-pair.ts";
import { selfSignedCertificate } from "./self-signed.ts";

/** The files of the gateway's own key and certificate, below its data folder. */
const OWN_KEY_FILE = "page-key.pem";
export const OWN_CERTIFICATE_FILE = "page-certificate.pem";

const DAY_MS = 86_400_000;
/** P-256. */
const CURVE = "prime256v1";
/** Browsers on phones take no server's certificate that is good for longer. */
const VALID_DAYS = 825;
/** A new one is made so long before the end, so that a board that was switched off for a while still has one that is good. */
const RENEWED_BEFORE_DAYS = 30;
/** Those who look may have clocks that are behind. */
const EARLIER_MS = DAY_MS;

/** What a certificate is made with, and by which clock it is judged. */
export interface OwnCertificateParts {
  readonly folder: string;
  /** The common name. */
  readonly gatewayId: string;
  readonly wallMs: number;
  /** Whether that clock may be believed. A board whose clock begins in 1970 must not throw away what it has. */
  readonly clockTrusted: boolean;
  readonly random: (bytes: number) => Buffer;
  /** What is in use already; null at a start. */
  readonly held: OwnCertificate | null;
}

/** The certificate in use, and what could not be written of it. */
export interface OwnCertificate {
  readonly pair: CertificatePair;
  /** Null where it is on the disk. Else it holds for this life of the gateway, and the next makes another. */
  readonly unsaved: PairTrouble | null;
}

/**
 * The gateway's own certificate: what lies in the data folder, or a new one where there is none, where its time is nearly over, or where it
 * was made under a clock that was ahead. The key stays the same for ever, and so does the certificate while it is good: people have compared
 * its fingerprint. That the board has got another address is no reason for a new one.
 *
 * @returns  Where a file is there but cannot be read: that. A new one would frighten those who know the old one.
 */
export async function ownCertificate(parts: OwnCertificateParts): Promise<Result<OwnCertificate, PairTrouble>> {
  const { held, folder, clockTrusted, wallMs } = parts;
  const mayStay = (pair: CertificatePair) => !clockTrusted || isGood(pair, wallMs);
  if (held !== null && held.unsaved === null && mayStay(held.pair)) return succeed(held);
  if (held !== null && mayStay(held.pair)) return succeed(await saved(held.pair, folder));
  const keyFile = join(folder, OWN_KEY_FILE);
  const [keyText, certificateText] = await Promise.all([textOf(keyFile), textOf(join(folder, OWN_CERTIFICATE_FILE))]);
  if (!keyText.ok) return keyText;
  if (!certificateText.ok) return certificateText;
  const readKey = keyText.value === null ? null : keyOf(keyText.value);
  const keptKey = readKey?.asymmetricKeyDetails?.namedCurve === CURVE ? readKey : null;
  const kept = keptKey === null || certificateText.value === null ? null : pairOf(certificateText.value, keptKey);
  if (kept !== null && kept !== false && mayStay(kept)) return succeed({ pair: kept, unsaved: null });
  const key = keptKey ?? (held === null ? newKey() : createPrivateKey(held.pair.key));
  return succeed(await saved(newPair(key, parts), folder));
}

/** The key first: a certificate without its key is worth nothing, a key without its certificate gets one. */
async function saved(pair: CertificatePair, folder: string): Promise<OwnCertificate> {
  const files = [
    [join(folder, OWN_KEY_FILE), pair.key],
    [join(folder, OWN_CERTIFICATE_FILE), pair.certificate],
  ] as const;
  for (const [file, content] of files) {
    const written = await writePrivateFile(file, content);
    if (!written.ok) return { pair, unsaved: { file, reason: written.error } };
  }
  return { pair, unsaved: null };
}

function isGood({ fromMs, toMs }: CertificatePair, wallMs: number): boolean {
  return wallMs >= fromMs && wallMs < toMs - RENEWED_BEFORE_DAYS * DAY_MS;
}

function newKey(): KeyObject {
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: CURVE,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  return createPrivateKey(privateKey);
}

function newPair(key: KeyObject, { gatewayId, wallMs, random }: OwnCertificateParts): CertificatePair {
  // A clock that begins in 1970 would make one that is over before it is first seen.
  const fromMs = Math.max(wallMs, RELEASED_AT_MS) - EARLIER_MS;
  const content = { commonName: gatewayId, names: namesOfThisMachine(), fromMs, toMs: fromMs + VALID_DAYS * DAY_MS };
  const pair = pairOf(selfSignedCertificate(key, { ...content, serial: random(16) }), key);
  assert(pair !== null && pair !== false, "a certificate that was just made is one, and its key fits");
  return pair;
}

/** The names and addresses by which a browser may reach this machine, its own and those on the network. */
function namesOfThisMachine(): readonly string[] {
  const host = hostname().toLowerCase();
  const isName = /^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?$/.test(host);
  const hosts = isName ? [host, ...(host.includes(".") ? [] : [`${host}.local`])] : [];
  return [...new Set(["localhost", ...hosts, "127.0.0.1", "::1", ...addressesOnTheNetwork()])].slice(
    0,
    LIMITS.certificateNamesMax.value,
  );
}

/** The addresses of this machine that others may reach, those of version 4 first. One that holds on one cable only cannot be written in a browser. */
export function addressesOnTheNetwork(): readonly string[] {
  const all = Object.values(interfacesOrNone()).flatMap((addresses) => addresses ?? []);
  const outside = all.filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address));
  const ofFamily = (family: string) => outside.filter((one) => one.family === family).map(({ address }) => address);
  return [...ofFamily("IPv4"), ...ofFamily("IPv6")];
}

/** A service that may not ask the system for its addresses (no AF_NETLINK) has a page all the same. */
function interfacesOrNone(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces();
  } catch {
    return {};
  }
}
