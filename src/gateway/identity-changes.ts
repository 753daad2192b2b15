import { createServer } from "node:net";
import type { Text } from "../core/quantities.ts";
import type { SettingsCheck, SettingsProblem } from "../core/settings-view.ts";
import { readPair } from "../dashboard/server/tls/certificate-pair.ts";
import type { ConfigIdentity } from "./config-check.ts";

/**
 * What somebody must know before a configuration is used in place of another: what would begin a new history, or shut the pages out. Where the
 * pages could not come back at all, that is a problem: from there nobody could mend it.
 */
export async function identityChanges(from: ConfigIdentity, to: ConfigIdentity): Promise<SettingsCheck> {
  const warnings: SettingsProblem[] = [];
  const warn = (path: string, problem: Text, remedy: Text) => void warnings.push({ path, line: null, problem, remedy });
  if (to.gatewayId !== from.gatewayId)
    warn(
      "gateway.id",
      {
        en: `receivers will take ${to.gatewayId} for another gateway than ${from.gatewayId}`,
        zh: `接收方会把 ${to.gatewayId} 当作与 ${from.gatewayId} 不同的网关`,
      },
      { en: "Leave it as it was, unless it never sent anything.", zh: "除非从未上传过数据，请保持原样。" },
    );
  if (to.dataFolder !== from.dataFolder)
    warn(
      "gateway.dataFolder",
      {
        en: "the gateway begins there with what lies there: other patients, accounts and acts, or none",
        zh: "网关将使用该目录中的内容：患者、账户与操作记录都不同，或全部为空",
      },
      {
        en: "Leave it as it was, or move the folder while the gateway is stopped.",
        zh: "请保持原样，或在网关停止后移动该目录。",
      },
    );
  if (from.page.enabled && !to.page.enabled)
    warn(
      "dashboard.enabled",
      {
        en: "after the next start there are no pages any more; only at the board can that be changed again",
        zh: "下次启动后将不再有页面；只能在网关主机上改回",
      },
      { en: "Take it out if pages are wanted.", zh: "如需页面，请删除此项。" },
    );
  else if (to.page.enabled && addressOf(to) !== addressOf(from))
    warn(
      "dashboard",
      {
        en: `after the next start the pages are at ${addressOf(to)}, and wall displays must be sent there`,
        zh: `下次启动后页面地址为 ${addressOf(to)}，墙上显示屏须改用该地址`,
      },
      { en: "Change it only on purpose.", zh: "请确认确有需要。" },
    );
  return { problems: to.page.enabled ? await pageProblems(from, to) : [], warnings };
}

function addressOf({ page: { host, port, tls } }: ConfigIdentity): string {
  return `${tls === null ? "http" : "https"}://${host}:${port}/`;
}

/** Why the pages could not be served with these settings. */
async function pageProblems(from: ConfigIdentity, { page }: ConfigIdentity): Promise<readonly SettingsProblem[]> {
  const problems: SettingsProblem[] = [];
  const tell = (path: string, problem: Text, remedy: Text) => void problems.push({ path, line: null, problem, remedy });
  if (page.host !== from.page.host || page.port !== from.page.port) {
    // The port in use is this gateway's own: then only the address is tried.
    const code = await troubleAt(page.host, page.port === from.page.port ? 0 : page.port);
    if (code !== null)
      tell(
        page.port === from.page.port ? "dashboard.host" : "dashboard.port",
        {
          en: `the pages cannot be served at ${page.host}:${page.port} (${code})`,
          zh: `无法在 ${page.host}:${page.port} 提供页面（${code}）`,
        },
        { en: "Use an address of this machine and a free port above 1023.", zh: "请使用本机地址及 1023 以上的空闲端口。" },
      );
  }
  const pair = page.tls?.kind === "files" ? await readPair(page.tls) : null;
  if (pair !== null && !pair.ok)
    tell(
      "dashboard.tls",
      {
        en: `the certificate cannot be used: ${pair.error.file} (${pair.error.reason})`,
        zh: `证书无法使用：${pair.error.file}（${pair.error.reason}）`,
      },
      { en: "Mend the file, or write tls: own.", zh: "请修正该文件，或改为 tls: own。" },
    );
  return problems;
}

/** Listens for a moment; null where that went well. */
function troubleAt(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
