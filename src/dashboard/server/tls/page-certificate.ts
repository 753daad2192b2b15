import { type Fault, fault } from "../../../core/errors.ts";
import { fail, type Result, succeed } from "../../../core/result.ts";
import type { CertificateView } from "../../../core/settings-view.ts";
import type { Clock } from "../../../core/time.ts";
import { type CertificatePair, type PairTrouble, readPair } from "./certificate-pair.ts";
import { type OwnCertificate, ownCertificate } from "./own-certificate.ts";

/** Between two looks whether the certificate is still good, or a new one was put in its place. */
const LOOK_MS = 60_000;

/** How the page is encrypted: with a certificate that the gateway makes itself, or with one that somebody keeps in files. */
export type PageTls =
  | { readonly kind: "own"; readonly gatewayId: string }
  | { readonly kind: "files"; readonly certFile: string; readonly keyFile: string };

/** The page's certificate while the page is served. */
export interface PageCertificate {
  readonly pair: () => CertificatePair;
  /** What people are told of it. */
  readonly view: () => CertificateView;
  /** Stops looking after it. */
  readonly close: () => void;
}

/** What the certificate's keeper needs of its surroundings. */
export interface PageCertificateParts {
  readonly clock: Clock;
  /** Whether the wall clock may be believed. */
  readonly clockTrusted: () => boolean;
  readonly random: (bytes: number) => Buffer;
  /** Told after each look what is wrong with the certificate while the page is served all the same; null: nothing. */
  readonly tell: (reason: Fault | null) => void;
}

/**
 * Opens the page's certificate and looks after it: the own one is made anew before it ends, and files that were exchanged are taken into use.
 * One that has expired is used and told: a page with a warning is better than none.
 *
 * @param options.folder  The gateway's data folder.
 * @returns  `page-certificate-failed` where there is none that can be used: a file is unreadable, no certificate, or the key is another's.
 */
export async function openPageCertificate(
  options: { readonly tls: PageTls; readonly folder: string; readonly onChanged: (pair: CertificatePair) => void },
  parts: PageCertificateParts,
): Promise<Result<PageCertificate, Fault>> {
  const { tls, folder } = options;
  const { clock, clockTrusted, random } = parts;
  let held: OwnCertificate | null = null;
  const read = (): Promise<Result<OwnCertificate, PairTrouble>> => {
    if (tls.kind === "files")
      return readPair(tls).then((pair) => (pair.ok ? succeed({ pair: pair.value, unsaved: null }) : pair));
    const times = { wallMs: clock.wall(), clockTrusted: clockTrusted() };
    return ownCertificate({ folder, gatewayId: tls.gatewayId, ...times, random, held });
  };
  const first = await read();
  if (!first.ok) return fail(fault("page-certificate-failed", { ...first.error }));
  let inUse: OwnCertificate = first.value;
  held = inUse;
  const judge = (trouble: PairTrouble | null): Fault | null => {
    if (trouble !== null) return fault("page-certificate-failed", { ...trouble });
    if (inUse.unsaved !== null) return fault("page-certificate-unsaved", { ...inUse.unsaved });
    const isOver = tls.kind === "files" && clockTrusted() && clock.wall() >= inUse.pair.toMs;
    return isOver ? fault("page-certificate-expired", { file: tls.certFile, to: dayOf(inUse.pair.toMs) }) : null;
  };
  const look = async () => {
    const again = await read();
    if (again.ok) {
      const isOther = again.value.pair.fingerprint !== inUse.pair.fingerprint || again.value.pair.key !== inUse.pair.key;
      inUse = again.value;
      held = inUse;
      if (isOther) options.onChanged(inUse.pair);
    }
    parts.tell(judge(again.ok ? null : again.error));
  };
  parts.tell(judge(null));
  // What nobody thought of must not take the watching with it: the certificate in use stays.
  const failed = (error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    parts.tell(fault("page-certificate-failed", { file: tls.kind === "files" ? tls.certFile : folder, reason }));
  };
  const looking = clock.every(LOOK_MS, () => void look().catch(failed));
  return succeed({
    pair: () => inUse.pair,
    view: () => {
      const { fingerprint, names, fromMs, toMs } = inUse.pair;
      return { source: tls.kind, fingerprint, names, fromMs, toMs };
    },
    close: looking.stop,
  });
}

function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}
