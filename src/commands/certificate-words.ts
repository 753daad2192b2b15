import type { CertificateView } from "../core/settings-view.ts";

/** What a person at the terminal is told of the page's certificate, and how to be sure of it: lines in both languages. */
export function certificateWords({ fingerprint, source, toMs }: CertificateView): readonly string[] {
  const until = new Date(toMs).toISOString().slice(0, 10);
  const lines = [`certificate SHA-256 证书指纹 ${fingerprint} (until 有效期至 ${until})`];
  if (source === "files") return lines;
  return [
    ...lines,
    "The gateway made this certificate itself, so each browser warns once: open the browser's view of the certificate and go on only if it shows this fingerprint.",
    "该证书由网关自行生成，浏览器首次会发出警告：请在浏览器中查看证书，仅当其显示的 SHA-256 指纹与此一致时才继续。",
  ];
}
