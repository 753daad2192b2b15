import { type AccessDeed, type Act, type BedsideDeed, type Deed, isAccessDeed, type Role } from "./act.ts";
import { QUANTITIES, type Text } from "./quantities.ts";

/** Roles as a person reads them. */
export const ROLE_TEXTS: Readonly<Record<Role, Text>> = {
  nurse: { en: "nurse", zh: "护士" },
  engineer: { en: "engineer", zh: "工程师" },
  auditor: { en: "auditor", zh: "审计员" },
  administrator: { en: "administrator", zh: "管理员" },
  family: { en: "family", zh: "家属" },
};

const VERDICTS = {
  relevant: { en: "true and relevant", zh: "真实且需处理" },
  "not-actionable": { en: "true, nothing to be done", zh: "真实但无需处理" },
  false: { en: "false", zh: "误报" },
} as const satisfies Readonly<Record<string, Text>>;

const SIGN_OUTS = {
  asked: { en: "signed out", zh: "退出登录" },
  "time-out": { en: "was signed out after its time", zh: "会话到期" },
  "account-changed": { en: "was signed out because the account was changed", zh: "账户变更，会话结束" },
} as const satisfies Readonly<Record<string, Text>>;

const REFUSALS = {
  "wrong-password": { en: "wrong password", zh: "密码错误" },
  "no-account": { en: "no such account", zh: "无此账户" },
  locked: { en: "too many attempts", zh: "尝试次数过多" },
} as const satisfies Readonly<Record<string, Text>>;

/** What was done, in both languages, without who and when. Holds what the act holds: patients' numbers and labels too, so it belongs in no log. */
export function deedText(deed: Deed): Text {
  return isAccessDeed(deed) ? accessText(deed) : bedsideText(deed);
}

function bedsideText(deed: BedsideDeed): Text {
  switch (deed.kind) {
    case "admit":
      return both(
        `admitted ${deed.patientId} (${deed.label}) to bed ${deed.bedId}`,
        `${deed.patientId}（${deed.label}）入床 ${deed.bedId}`,
      );
    case "discharge":
      return both(`discharged ${deed.patientId}`, `${deed.patientId} 出床`);
    case "transfer":
      return both(`moved ${deed.patientId} to bed ${deed.bedId}`, `${deed.patientId} 转至 ${deed.bedId} 床`);
    case "merge":
      return both(`found ${deed.formerPatientId} to be ${deed.patientId}`, `${deed.formerPatientId} 合并为 ${deed.patientId}`);
    case "correct-patient":
      return both(`corrected the name of ${deed.patientId} to ${deed.label}`, `${deed.patientId} 的显示名更正为 ${deed.label}`);
    case "assign":
      return both(`put ${deed.deviceId} on ${deed.patientId}`, `${deed.deviceId} 分配给 ${deed.patientId}`);
    case "release":
      return both(`released ${deed.deviceId}`, `解除 ${deed.deviceId} 的分配`);
    case "confirm-assignment":
      return both(`confirmed that ${deed.deviceId} is on ${deed.patientId}`, `确认 ${deed.deviceId} 用于 ${deed.patientId}`);
    case "set-limit":
      return limitText(deed);
    case "reset-limit": {
      const { title } = QUANTITIES[deed.quantity];
      return both(
        `gave ${deed.patientId} the ward's own limits of ${title.en} again`,
        `${deed.patientId} 的${title.zh}恢复病区限值`,
      );
    }
    case "acknowledge":
      return both(`acknowledged alert ${deed.alertId}`, `确认报警 ${deed.alertId}`);
    case "verdict": {
      const { en, zh } = VERDICTS[deed.verdict];
      return both(`judged alert ${deed.alertId}: ${en}`, `评价报警 ${deed.alertId}：${zh}`);
    }
    case "note":
      return both(`noted of ${deed.patientId}: ${deed.text}`, `${deed.patientId} 备注：${deed.text}`);
    case "enter-consciousness":
      return both(
        `entered consciousness ${deed.consciousness} of ${deed.patientId}`,
        `${deed.patientId} 意识 ${deed.consciousness}`,
      );
    case "enter-oxygen":
      return deed.onOxygen
        ? both(`entered that ${deed.patientId} is on oxygen`, `${deed.patientId} 吸氧`)
        : both(`entered that ${deed.patientId} breathes air`, `${deed.patientId} 未吸氧`);
    case "set-profile":
      return both(
        `set SpO2 scale ${deed.profile.spo2Scale} for ${deed.patientId}`,
        `${deed.patientId} 使用 SpO2 量表 ${deed.profile.spo2Scale}`,
      );
    case "adopt": {
      const at = deed.bedId === null ? both("", "") : both(` at bed ${deed.bedId}`, `，床位 ${deed.bedId}`);
      const topics = deed.link.topics.join(" ");
      return both(
        `adopted the device ${deed.deviceId} (${deed.driverId}, ${topics})${at.en}`,
        `接入设备 ${deed.deviceId}（${deed.driverId}，${topics}）${at.zh}`,
      );
    }
    case "forget-device":
      return both(`took the adopted device ${deed.deviceId} out of use`, `移除接入的设备 ${deed.deviceId}`);
  }
}

function accessText(deed: AccessDeed): Text {
  switch (deed.kind) {
    case "sign-in":
      return both("signed in", "登录");
    case "sign-out":
      return SIGN_OUTS[deed.why];
    case "sign-in-refused": {
      const { en, zh } = REFUSALS[deed.why];
      const name = deed.account ?? "?";
      return both(`was refused as ${name}: ${en} (${deed.count})`, `以 ${name} 登录被拒：${zh}（${deed.count}）`);
    }
    case "account-added": {
      const of = deed.patientId === null ? "" : ` / ${deed.patientId}`;
      const { en, zh } = ROLE_TEXTS[deed.role];
      return both(`added the account ${deed.account} (${en}${of})`, `添加账户 ${deed.account}（${zh}${of}）`);
    }
    case "account-changed":
      return deed.what === "password"
        ? both(`changed the password of ${deed.account}`, `更改 ${deed.account} 的密码`)
        : both(`changed the role of ${deed.account}`, `更改 ${deed.account} 的角色`);
    case "account-removed":
      return both(`removed the account ${deed.account}`, `删除账户 ${deed.account}`);
    case "device-account-added":
      return both(`added the device account ${deed.account}`, `添加设备账户 ${deed.account}`);
    case "device-account-changed":
      return both(`renewed the password of the device account ${deed.account}`, `更换设备账户 ${deed.account} 的密码`);
    case "device-account-removed":
      return both(`removed the device account ${deed.account}`, `删除设备账户 ${deed.account}`);
    case "settings-changed": {
      const [before, after] = [deed.before.slice(0, 12), deed.after.slice(0, 12)];
      return both(`changed the configuration (${before} to ${after})`, `更改配置（${before} 改为 ${after}）`);
    }
    case "restart-asked":
      return both("restarted the gateway", "重启网关");
  }
}

function limitText(deed: Extract<Deed, { kind: "set-limit" }>): Text {
  const { title, unit } = QUANTITIES[deed.quantity];
  const sides = (["low", "high"] as const).map((side) => {
    const given = deed[side];
    const names = { low: both("low", "下限"), high: both("high", "上限") }[side];
    return given === null
      ? both(`${names.en} off`, `${names.zh}关闭`)
      : both(`${names.en} ${given.value} ${unit} ${given.priority}`, `${names.zh} ${given.value} ${unit} ${given.priority}`);
  });
  const until = typeof deed.expiresAtMs === "number" ? new Date(deed.expiresAtMs).toISOString() : null;
  const reason = deed.reason ?? null;
  const en = [
    ...sides.map((side) => side.en),
    ...(until === null ? [] : [`until ${until}`]),
    ...(reason === null ? [] : [reason]),
  ];
  const zh = [...sides.map((side) => side.zh), ...(until === null ? [] : [`至 ${until}`]), ...(reason === null ? [] : [reason])];
  return both(
    `set limits of ${deed.patientId}, ${title.en}: ${en.join(", ")}`,
    `设置 ${deed.patientId} 的${title.zh}限值：${zh.join("，")}`,
  );
}

/** One act on one line, in both languages: when (UTC, by the board's clock), who, as what, through which door, from where, and what. */
export function actText(act: Act): string {
  const { en, zh } = deedText(act.deed);
  const role = act.role === undefined || act.role === null ? [] : [`${ROLE_TEXTS[act.role].en} ${ROLE_TEXTS[act.role].zh}`];
  const who = [...role, act.from, ...(act.at === undefined || act.at === null ? [] : [act.at])].join(", ");
  const line = `${new Date(act.atMs).toISOString()} #${act.seq} ${act.by} (${who}): ${en} · ${zh}`;
  // One act is one line, whatever was written in it.
  return line.replaceAll(/\p{Cc}+/gu, " ");
}

/** Every kind of act by its name. */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const DEED_NAMES: Readonly<Record<Deed["kind"], Text>> = {
  "admit": { en: "admission", zh: "入床" },
  "discharge": { en: "discharge", zh: "出床" },
  "transfer": { en: "transfer", zh: "转床" },
  "merge": { en: "merge of numbers", zh: "编号合并" },
  "correct-patient": { en: "correction of a name", zh: "更正显示名" },
  "assign": { en: "assignment of a device", zh: "分配设备" },
  "release": { en: "release of a device", zh: "解除设备分配" },
  "confirm-assignment": { en: "confirmation of an assignment", zh: "确认设备归属" },
  "set-limit": { en: "limit", zh: "设置限值" },
  "reset-limit": { en: "limit given back", zh: "恢复限值" },
  "acknowledge": { en: "acknowledgement", zh: "确认报警" },
  "verdict": { en: "verdict on an alert", zh: "评价报警" },
  "note": { en: "note", zh: "备注" },
  "enter-consciousness": { en: "consciousness", zh: "录入意识" },
  "enter-oxygen": { en: "oxygen", zh: "录入吸氧" },
  "adopt": { en: "adoption of a device", zh: "接入设备" },
  "forget-device": { en: "adopted device forgotten", zh: "移除接入的设备" },
  "set-profile": { en: "patient's profile", zh: "患者设定" },
  "sign-in": { en: "sign-in", zh: "登录" },
  "sign-out": { en: "sign-out", zh: "退出" },
  "sign-in-refused": { en: "refused sign-in", zh: "登录被拒" },
  "account-added": { en: "account added", zh: "添加账户" },
  "account-changed": { en: "account changed", zh: "更改账户" },
  "account-removed": { en: "account removed", zh: "删除账户" },
  "device-account-added": { en: "device account added", zh: "添加设备账户" },
  "device-account-changed": { en: "device account changed", zh: "更改设备账户" },
  "device-account-removed": { en: "device account removed", zh: "删除设备账户" },
  "settings-changed": { en: "configuration", zh: "更改配置" },
  "restart-asked": { en: "restart", zh: "重启网关" },
};

/** Whether a text names a kind of act. */
export function isDeedKind(text: string): text is Deed["kind"] {
  return Object.hasOwn(DEED_NAMES, text);
}

function both(en: string, zh: string): Text {
  return { en, zh };
}
