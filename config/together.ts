import * as z from "zod";
import { findDriver, optionProblems, optionRemedy, optionTexts, unknownOptions } from "../drivers/index.ts";
import { CONFIG_GUIDE, type ConfigProblem, inOnePart, problemsOf } from "./problems.ts";
import type { Config } from "./schema.ts";
import { checkAdmissions, checkableAdmissions } from "./settings/admissions.ts";
import { checkableContacts, checkableRoutes, checkRoutes } from "./settings/routes.ts";

const checkableAccess = z
  .object({
    name: z.string().catch(""),
    url: z.string().catch(""),
    username: z.unknown().optional(),
    passwordFile: z.unknown().optional(),
    caFile: z.unknown().optional(),
    certFile: z.unknown().optional(),
    keyFile: z.unknown().optional(),
  })
  .catch({ name: "", url: "" });

/** What `checkTogether` reads, whatever else is wrong: a field that is not as it must be counts as left out. */
const checkable = z.object({
  beds: z.array(z.object({ id: z.string().catch(""), ward: z.string().optional().catch(undefined) }).catch({ id: "" })).catch([]),
  channels: z.array(z.object({ name: z.string().catch("") }).catch({ name: "" })).catch([]),
  contacts: checkableContacts,
  routes: checkableRoutes,
  devices: z
    .array(
      z
        .object({
          id: z.string().catch(""),
          bed: z.string().optional().catch(undefined),
          driver: z.string().catch(""),
          origin: z.string().optional().catch(undefined),
          expected: z.array(z.string()).optional().catch(undefined),
          link: z.object({ kind: z.string(), server: z.string().optional().catch(undefined) }).catch({ kind: "" }),
          options: z.record(z.string(), z.unknown()).optional().catch(undefined),
        })
        .catch({ id: "", driver: "", link: { kind: "" } }),
    )
    .catch([]),
  admissions: checkableAdmissions,
  demonstration: z.object({}).loose().optional().catch({}),
  upstreams: z.array(checkableAccess).catch([]),
  mqttServers: z.array(checkableAccess).catch([]),
  broker: z.object({}).loose().optional().catch({}),
  dashboard: z
    .object({ host: z.string().catch("127.0.0.1"), signIn: z.boolean().catch(true) })
    .catch({ host: "127.0.0.1", signIn: true }),
});

interface Refinement {
  readonly addIssue: (issue: { code: "custom"; path: (string | number)[]; message: string }) => void;
}

/** What single fields cannot know: names that must be unique or must exist. */
export function checkTogether(config: Checkable, context: Refinement): void {
  const complain = (path: (string | number)[], message: string) => context.addIssue({ code: "custom", path, message });
  const lists = [
    ["beds", config.beds.map((bed) => bed.id)],
    ["devices", config.devices.map((entry) => entry.id)],
    ["upstreams", config.upstreams.map((entry) => entry.name)],
    ["mqttServers", config.mqttServers.map((entry) => entry.name)],
    ["channels", config.channels.map((entry) => entry.name)],
    ["contacts", config.contacts.map((entry) => entry.id)],
    ["routes", config.routes.map((entry) => entry.name)],
  ] as const;
  for (const [list, ids] of lists) {
    ids.forEach((id, index) => {
      if (id !== "" && ids.indexOf(id) !== index)
        complain([list, index], `the name ${id} is used twice; give each its own | 名称 ${id} 重复；请分别命名`);
    });
  }
  const bedIds = new Set(config.beds.map((bed) => bed.id));
  config.devices.forEach((entry, index) => {
    if (entry.bed !== undefined && !bedIds.has(entry.bed))
      complain(
        ["devices", index, "bed"],
        `there is no bed ${entry.bed}; add it under beds or mend the name | 没有床位 ${entry.bed}；请在 beds 中添加或修正名称`,
      );
    const driver = findDriver(entry.driver);
    for (const wanted of entry.expected ?? []) {
      if (driver !== null && !driver.quantities.some((known) => known === wanted))
        complain(
          ["devices", index, "expected"],
          `${entry.driver} never says ${wanted}; take it out | 驱动 ${entry.driver} 不提供 ${wanted}；请删除`,
        );
    }
    if (driver === null) return;
    for (const option of unknownOptions(driver, Object.keys(entry.options ?? {})))
      complain(
        ["devices", index, "options", option],
        `is not an option of ${driver.id}; ${optionRemedy(driver)} | 不是 ${driver.id} 的选项；请删除或改用：${driver.optionNames.join("、") || "（无选项）"}`,
      );
    for (const { option, problem, remedy } of optionProblems(driver, optionTexts(entry.options ?? {})))
      complain(
        ["devices", index, "options", option],
        `${inOnePart(problem.en)}; ${inOnePart(remedy.en)} | ${inOnePart(problem.zh)}；${inOnePart(remedy.zh)}`,
      );
  });
  checkLinks(config, complain);
  checkAdmissions(config.admissions, bedIds, complain);
  checkDemonstration(config, complain);
  checkRoutes({ ...config, channels: new Set(config.channels.map((entry) => entry.name)) }, complain);
  checkAccess("upstreams", config.upstreams, complain);
  checkAccess("mqttServers", config.mqttServers, complain);
  const loopback = ["127.0.0.1", "::1", "localhost"].includes(config.dashboard.host);
  if (!config.dashboard.signIn && !loopback)
    complain(
      ["dashboard", "signIn"],
      "sign-in may be off on a loopback address only; set it to true or host to 127.0.0.1 | 仅回环地址可关闭登录；请设为 true 或将 host 设为 127.0.0.1",
    );
}

type Complain = (path: (string | number)[], message: string) => void;

/** Whether anybody could be measured where devices may be tampered with; a device whose origin is left out measures. */
function checkDemonstration({ demonstration, devices }: Checkable, complain: Complain): void {
  if (demonstration === undefined) return;
  devices.forEach(({ id, origin = "measured" }, index) => {
    if (origin !== "measured") return;
    complain(
      ["devices", index, "origin"],
      `${id} measures, and a demonstration must not; set simulated or replayed where that is true, else take the section demonstration out | ${id} 为实测设备，演示中不允许；若确为模拟或回放请设为 simulated 或 replayed，否则请删除 demonstration 一节`,
    );
  });
}

/** Whether each device's link is one its driver can be reached by, and leads somewhere. */
function checkLinks(config: Checkable, complain: Complain): void {
  const servers = new Set(config.mqttServers.map(({ name: server }) => server));
  config.devices.forEach(({ driver: id, link }, index) => {
    const at = ["devices", index, "link"];
    const driver = findDriver(id);
    if (
      driver !== null &&
      link.kind !== "" &&
      link.kind !== "capture" &&
      (driver.link.kind === "mqtt") !== (link.kind === "mqtt")
    ) {
      const wanted = driver.link.kind === "mqtt" ? "mqtt" : "serial, tcp";
      complain([...at, "kind"], `${id} is not reached this way; use ${wanted} | ${id} 不能这样连接；请改用 ${wanted}`);
    }
    if (link.kind !== "mqtt") return;
    if (link.server !== undefined && !servers.has(link.server))
      complain(
        [...at, "server"],
        `there is no server ${link.server}; add it under mqttServers or mend the name | 没有服务器 ${link.server}；请在 mqttServers 中添加或修正名称`,
      );
    if (link.server === undefined && config.broker === undefined)
      complain(
        at,
        "there is no broker it could come by; add a section broker, or name one of mqttServers as server | 没有可用的代理；请添加 broker 一节，或在 server 中填写 mqttServers 之一",
      );
  });
}

/** What single settings of an access to a server cannot know of each other. */
function checkAccess(list: string, entries: Checkable["upstreams"], complain: Complain): void {
  entries.forEach((entry, index) => {
    if ((entry.certFile === undefined) !== (entry.keyFile === undefined))
      complain(
        [list, index],
        "certFile and keyFile belong together; give both or none | certFile 与 keyFile 必须成对；请同时给出或都不写",
      );
    if (entry.username !== undefined && entry.passwordFile === undefined)
      complain(
        [list, index, "passwordFile"],
        "a username needs a passwordFile; put the password into a file only the gateway may read | 有 username 就需要 passwordFile；请把密码放入仅网关可读的文件",
      );
    if (entry.url.startsWith("mqtt://") && (entry.caFile ?? entry.certFile) !== undefined)
      complain([list, index, "url"], "certificates need mqtts://; change the url | 使用证书需要 mqtts://；请修改 url");
  });
}

/** The part of the configuration that `checkTogether` reads. */
interface Checkable {
  readonly beds: readonly { readonly id: string; readonly ward?: string | undefined }[];
  readonly channels: readonly { readonly name: string }[];
  readonly contacts: Parameters<typeof checkRoutes>[0]["contacts"];
  readonly routes: Parameters<typeof checkRoutes>[0]["routes"];
  readonly devices: readonly {
    readonly id: string;
    readonly bed?: string | undefined;
    readonly driver: string;
    readonly origin?: string | undefined;
    readonly expected?: readonly string[] | undefined;
    readonly link: { readonly kind: string; readonly server?: string | undefined };
    readonly options?: Readonly<Record<string, unknown>> | undefined;
  }[];
  readonly admissions?: Parameters<typeof checkAdmissions>[0];
  readonly upstreams: readonly {
    readonly name: string;
    readonly url: string;
    readonly username?: unknown;
    readonly passwordFile?: unknown;
    readonly caFile?: unknown;
    readonly certFile?: unknown;
    readonly keyFile?: unknown;
  }[];
  readonly mqttServers: Checkable["upstreams"];
  readonly broker?: object | undefined;
  readonly demonstration?: object | undefined;
  readonly dashboard: { readonly host: string; readonly signIn: boolean };
}

/** What only the whole can know, where a mistake in a field kept the schema from asking; without it a mended file would be refused again. */
export function problemsTogether(given: unknown, told: z.ZodError): readonly ConfigProblem[] {
  const readable = checkable.safeParse(given);
  if (!readable.success || told.issues.some((issue) => issue.code === "custom")) return [];
  const problems: ConfigProblem[] = [];
  checkTogether(readable.data, {
    addIssue: (issue) => problems.push(...problemsOf({ ...issue, input: given }, { chinese: issue, guide: CONFIG_GUIDE })),
  });
  return problems;
}

/** What nobody should overlook in a configuration that is valid. */
export function configWarnings({
  dashboard,
  demonstration,
}: Pick<Config, "dashboard" | "demonstration">): readonly ConfigProblem[] {
  const warnings: ConfigProblem[] = [];
  if (demonstration !== undefined)
    warnings.push({
      path: "demonstration",
      line: null,
      problem: {
        en: "this is a demonstration: whoever is signed in may make its simulated patients worse and pull its devices' cables",
        zh: "此为演示：任何登录者都可让模拟患者恶化、拔掉设备线缆",
      },
      remedy: {
        en: "Take the section out wherever anybody is watched.",
        zh: "用于监测任何人时，请删除此节。",
      },
    });
  const isHereOnly = /^(localhost|::1|\[::1\]|127\..*)$/.test(dashboard.host);
  if (dashboard.enabled && dashboard.tls === "none" && !isHereOnly)
    warnings.push({
      path: "dashboard.tls",
      line: null,
      problem: {
        en: "the pages are not encrypted: passwords and patients' data can be read on the way",
        zh: "页面未加密：密码与患者数据可在传输中被窃听",
      },
      remedy: {
        en: "Take out `tls: none`; the gateway then makes a certificate of its own.",
        zh: "请删除 tls: none，网关会自行生成证书。",
      },
    });
  return warnings;
}
