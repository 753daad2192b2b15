import { createHash, createPublicKey, type KeyObject, sign } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";

/** What a certificate says. */
export interface CertificateContent {
  /** The common name of its subject, which is its issuer too. */
  readonly commonName: string;
  /** Host names and addresses of the machine, without brackets; a browser warns of every other. */
  readonly names: readonly string[];
  /** From when to when it is good; seconds are kept, the rest is cut off. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Strong random bytes, 16 of them; they make its number. */
  readonly serial: Uint8Array;
}

/**
 * Makes a certificate for a TLS server that signs for itself, in PEM: X.509 version 3 with an elliptic key, signed with ECDSA and SHA-256.
 * It is for one server and may issue no others. Source: RFC 5280; RFC 5480 and RFC 5758 for the key and the signature; DER by X.690.
 *
 * @param key  The private key, on P-256.
 */
export function selfSignedCertificate(key: KeyObject, content: CertificateContent): string {
  const signed = sequence(oid(OIDS.ecdsaWithSha256));
  const named = sequence(tagged(0x31, sequence(oid(OIDS.commonName), tagged(0x0c, Buffer.from(content.commonName, "utf8")))));
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" });
  const body = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))),
    integer(positive(content.serial)),
    signed,
    named,
    sequence(time(content.fromMs), time(content.toMs)),
    named,
    publicKey,
    tagged(0xa3, extensions(content, publicKey)),
  );
  const signature = sign("sha256", body, key);
  const whole = sequence(body, signed, tagged(0x03, Uint8Array.of(0), signature));
  const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

/** Object identifiers as DER writes them, without their tag. */
const OIDS = {
  commonName: "550403",
  ecdsaWithSha256: "2a8648ce3d040302",
  subjectKeyIdentifier: "551d0e",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  extKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
} as const;

function extensions({ names }: CertificateContent, publicKey: Uint8Array): Buffer {
  // RFC 7093, method 4, cut to 160 bits: the SHA-256 of the key as it stands in the certificate.
  const keyIdentifier = createHash("sha256").update(publicKey).digest().subarray(0, 20);
  return sequence(
    extension(OIDS.basicConstraints, "critical", sequence()),
    // The one bit that is set is digitalSignature.
    extension(OIDS.keyUsage, "critical", tagged(0x03, Uint8Array.of(7, 0x80))),
    extension(OIDS.extKeyUsage, "optional", sequence(oid(OIDS.serverAuth))),
    extension(OIDS.subjectKeyIdentifier, "optional", tagged(0x04, keyIdentifier)),
    extension(OIDS.subjectAltName, "optional", sequence(...names.map(generalName))),
  );
}

function extension(id: string, weight: "critical" | "optional", value: Uint8Array): Buffer {
  const critical = weight === "critical" ? [tagged(0x01, Uint8Array.of(0xff))] : [];
  return sequence(oid(id), ...critical, tagged(0x04, value));
}

/** A name or an address as RFC 5280, 4.2.1.6, writes it. */
function generalName(name: string): Buffer {
  if (isIPv4(name)) return tagged(0x87, Uint8Array.from(name.split(".").map(Number)));
  return isIPv6(name) ? tagged(0x87, addressBytes(name)) : tagged(0x82, Buffer.from(name, "ascii"));
}

/** The sixteen bytes of an IPv6 address. */
function addressBytes(address: string): Buffer {
  // Four numbers at the end, as in ::ffff:10.0.0.1, are two groups.
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [before = "", after] = plain.split("::");
  const groups = (text: string | undefined) => (text === undefined || text === "" ? [] : text.split(":"));
  const [head, tail] = [groups(before), groups(after)];
  const between = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  return Buffer.from([...head, ...between, ...tail].map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** RFC 5280, 4.1.2.5: two digits for the year until 2049, four from then on. */
function time(atMs: number): Buffer {
  const text = new Date(atMs).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  const isShort = new Date(atMs).getUTCFullYear() < 2050;
  return isShort ? tagged(0x17, Buffer.from(text.slice(2), "ascii")) : tagged(0x18, Buffer.from(text, "ascii"));
}

/** A number above zero that DER needs no further byte for. */
function positive(bytes: Uint8Array): Uint8Array {
  const [first = 0, ...rest] = bytes;
  return Uint8Array.of((first & 0x7f) | 0x40, ...rest);
}

function integer(bytes: Uint8Array): Buffer {
  return tagged(0x02, bytes);
}

function oid(id: string): Buffer {
  return tagged(0x06, Buffer.from(id, "hex"));
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x30, ...parts);
}

/** Tag, length and content. Source: X.690, 8.1. */
function tagged(number: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.of(number, ...size), content]);
}
