import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../../config/schema.ts";
import { fault } from "../core/errors.ts";
import type { CertificateView } from "../core/settings-view.ts";
import { type CertificatePair, publicPart, readPair } from "../dashboard/server/tls/certificate-pair.ts";
import { OWN_CERTIFICATE_FILE } from "../dashboard/server/tls/own-certificate.ts";
import type { PageTls } from "../dashboard/server/tls/page-certificate.ts";
import { pageTlsOf } from "../gateway/page-tls.ts";
import { certificateWords } from "./certificate-words.ts";
import type { Command } from "./command.ts";
import { configArgument, configOf } from "./question.ts";
import { tellFault } from "./told-fault.ts";

/** `vigil certificate`: the fingerprint that a person compares with what the browser shows. */
export const certificateCommand: Command = {
  name: "certificate",
  usage: `usage: vigil certificate --config FILE
Prints the fingerprint of the page's certificate, for whom it is and how long it is good: one JSON line on standard output, and words for
people on standard error. Compare the fingerprint with what the browser shows. Changes nothing.
显示页面证书的指纹、适用名称与有效期，用于与浏览器显示的指纹核对；不改动任何内容。`,
  run: async (args, io) => {
    const file = configArgument(args, certificateCommand, io);
    if (file === null) return 2;
    const config = await configOf(file, io);
    if (config === null) return 2;
    const tls = pageTlsOf(config);
    if (tls === null) {
      io.stderr(
        "The page is not encrypted: it is for this machine only, or `dashboard.tls` is none. 页面未加密：仅限本机，或 dashboard.tls 为 none。",
      );
      return 1;
    }
    const certificate = await certificateOf(config, tls);
    if (certificate === null) {
      io.stderr("There is no certificate yet: the first start of the gateway makes it. 尚无证书：网关首次启动时生成。");
      return 1;
    }
    if ("code" in certificate) {
      tellFault(certificate, io);
      return 1;
    }
    io.stdout(JSON.stringify(certificate));
    for (const line of certificateWords(certificate)) io.stderr(line);
    return 0;
  },
};

/** The certificate a gateway with this configuration uses; null where its own is not made yet; or why it cannot be told. */
export async function certificateOf(config: Config, tls: PageTls) {
  if (tls.kind === "files") {
    const pair = await readPair(tls);
    return pair.ok ? viewOf(pair.value, "files") : fault("page-certificate-failed", { ...pair.error });
  }
  const file = join(config.gateway.dataFolder, OWN_CERTIFICATE_FILE);
  try {
    const own = publicPart(await readFile(file, "utf8"));
    return own === null ? fault("page-certificate-failed", { file, reason: "holds no certificate in PEM" }) : viewOf(own, "own");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    return reason === "ENOENT" ? null : fault("page-certificate-failed", { file, reason });
  }
}

function viewOf(
  { fingerprint, names, fromMs, toMs }: Omit<CertificatePair, "key">,
  source: CertificateView["source"],
): CertificateView {
  return { source, fingerprint, names, fromMs, toMs };
}
