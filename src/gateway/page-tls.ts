import type { Config } from "../../config/schema.ts";
import { isLoopback } from "../dashboard/server/request-guard.ts";
import type { PageTls } from "../dashboard/server/tls/page-certificate.ts";

/** How the page is encrypted by this configuration; null: it is not. Where nothing is said, whatever others may reach is. */
export function pageTlsOf({ dashboard, gateway }: Pick<Config, "dashboard" | "gateway">): PageTls | null {
  const { tls = isLoopback(dashboard.host) ? "none" : "own" } = dashboard;
  if (tls === "none") return null;
  return tls === "own" ? { kind: "own", gatewayId: gateway.id } : { kind: "files", ...tls };
}
