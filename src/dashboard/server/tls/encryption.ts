import type { RequestListener } from "node:http";
import type { Server } from "node:https";
import type { Fault } from "../../../core/errors.ts";
import { type Result, succeed } from "../../../core/result.ts";
import type { DashboardOptions, DashboardParts } from "../dashboard-options.ts";
import { openPageCertificate, type PageCertificate } from "./page-certificate.ts";
import { createTlsServer, type TlsServer } from "./tls-server.ts";

/** What makes the page's connections unreadable on the way. */
export interface Encryption {
  readonly certificate: PageCertificate;
  /** Makes a server for one of the addresses that are listened on. */
  readonly serve: (listener: RequestListener) => Server;
  /** Stops looking after the certificate, and ends every connection at once. */
  readonly close: () => void;
}

/**
 * Opens the certificate; null where the page is served without encryption.
 *
 * @param idleMsMax  A connection that says nothing for so long is ended.
 */
export async function openEncryption(
  { tls = null, dataFolder }: DashboardOptions,
  { clock, random, source, setFault }: DashboardParts,
  idleMsMax: number,
): Promise<Result<Encryption | null, Fault>> {
  if (tls === null) return succeed(null);
  const servers: TlsServer[] = [];
  const opened = await openPageCertificate(
    {
      tls,
      folder: dataFolder,
      onChanged: (pair) => {
        for (const server of servers) server.exchange(pair);
      },
    },
    {
      clock,
      random,
      clockTrusted: () => source.picture().gateway.clockTrust !== "untrusted",
      tell: (reason) => setFault?.("page-certificate", reason),
    },
  );
  if (!opened.ok) return opened;
  return succeed({
    certificate: opened.value,
    serve: (listener) => {
      const made = createTlsServer({ pair: opened.value.pair(), idleMsMax, clock }, listener);
      servers.push(made);
      return made.server;
    },
    close: () => {
      opened.value.close();
      for (const server of servers) server.dropAll();
    },
  });
}
