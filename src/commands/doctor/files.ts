import { X509Certificate } from "node:crypto";
import { open, readFile, stat } from "node:fs/promises";
import type { Examined, Family } from "./examined.ts";
import { found, type Outcome, well } from "./outcome.ts";

/** Rights of those who are neither the owner nor in the group. */
const OTHERS = 0o007;
/** As `/metrics` wants it. */
const TOKEN_CHARACTERS_MIN = 16;
const EXPIRES_SOON_MS = 30 * 86_400_000;

/** One file that the configuration names. */
interface NamedFile {
  /** Its place in the configuration, such as `upstreams.0.passwordFile`. */
  readonly place: string;
  readonly setting: string;
  readonly file: string;
}

/** The configuration's own file, and the secrets and certificates it names. */
export const examineFiles: Family = async (examined) => {
  const named = filesNamed(examined.config);
  const secrets = named.filter(({ setting }) => /(?:password|key|token)File$/i.test(setting));
  const certificates = named.filter(({ setting }) => /(?:ca|cert)File$/i.test(setting));
  return [
    await examineConfigRights(examined.configFile, secrets.length > 0),
    ...(await Promise.all(secrets.map(examineSecret))),
    ...(await Promise.all(certificates.map((named) => examineCertificate(named, examined)))),
  ];
};

/** Every setting whose name ends in `File`, wherever it is. */
function filesNamed(value: unknown, place = ""): readonly NamedFile[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([setting, inner]: [string, unknown]) => {
    const here = place === "" ? setting : `${place}.${setting}`;
    if (typeof inner === "string") return setting.endsWith("File") ? [{ place: here, setting, file: inner }] : [];
    return filesNamed(inner, here);
  });
}

async function examineConfigRights(file: string, namesSecrets: boolean): Promise<Outcome> {
  const { mode } = await stat(file);
  return namesSecrets && (mode & OTHERS) !== 0
    ? found("configuration-readable", file, { mode: modeText(mode) })
    : well("configuration-rights", file);
}

async function examineSecret({ place, setting, file }: NamedFile): Promise<Outcome> {
  try {
    const opened = await open(file, "r");
    try {
      const { mode, size } = await opened.stat();
      if ((mode & OTHERS) !== 0) return found("secret-readable", file, { place, mode: modeText(mode) });
      const text = size === 0 ? "" : (await opened.readFile("utf8")).trim();
      if (text === "") return found("secret-empty", file, { place });
      if (setting === "metricsTokenFile" && text.length < TOKEN_CHARACTERS_MIN) return found("secret-short", file, { place });
      return well("secret", file);
    } finally {
      await opened.close();
    }
  } catch (error) {
    const cause = systemCode(error);
    return found(cause === "ENOENT" || cause === "ENOTDIR" ? "secret-missing" : "secret-unreadable", file, { place, cause });
  }
}

async function examineCertificate({ place, file }: NamedFile, { probes }: Examined): Promise<Outcome> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    return found("certificate-missing", file, { place, cause: systemCode(error) });
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) return found("certificate-unreadable", file, { place });
  try {
    const nowMs = probes.clock.wall();
    // A list of authorities may hold old ones that nobody needs: it is worth as much as its newest.
    const certificates = blocks.map((block) => new X509Certificate(block));
    const judged = /caFile$/i.test(place) ? [certificates.reduce(longerValid)] : certificates;
    for (const { validFrom, validTo, subject } of judged) {
      const facts = { place, subject: subject.replaceAll("\n", ", "), from: validFrom, to: validTo };
      if (Date.parse(validTo) < nowMs || Date.parse(validFrom) > nowMs) return found("certificate-expired", file, facts);
      if (Date.parse(validTo) < nowMs + EXPIRES_SOON_MS) return found("certificate-expires", file, facts);
    }
    return well("certificate", file);
  } catch (error) {
    return found("certificate-unreadable", file, { place, cause: systemCode(error) });
  }
}

function longerValid(one: X509Certificate, other: X509Certificate): X509Certificate {
  return Date.parse(one.validTo) >= Date.parse(other.validTo) ? one : other;
}

function modeText(mode: number): string {
  return (mode & 0o777).toString(8).padStart(3, "0");
}

/** The operating system's name for what went wrong. */
export function systemCode(error: unknown): string {
  if (error instanceof Error && "code" in error) return String(error.code);
  return error instanceof Error ? error.message : String(error);
}
