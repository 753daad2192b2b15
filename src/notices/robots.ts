import { createHmac } from "node:crypto";
import { cutToBytes } from "./words.ts";

/** What a robot of a group chat is asked, and how its answer is read. */
export interface RobotKind {
  /** Where such robots live; a configuration may name another place. */
  readonly usualUrl: string;
  readonly request: (of: {
    readonly url: string;
    /** The robot's key or token. */
    readonly key: string;
    /** The secret of signed robots; null where it is none. */
    readonly secret: string | null;
    readonly text: string;
    readonly wallMs: number;
  }) => { readonly url: URL; readonly body: string };
  /** What its answer means. `again`: the same may be taken later; `refused`: never. */
  readonly outcome: (
    body: string,
  ) => { readonly kind: "taken" } | { readonly kind: "again" | "refused"; readonly code: number | null };
}

function codeIn(body: string, names: readonly string[]): number | null {
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== "object" || answer === null) return null;
    for (const name of names) {
      const value = (answer as Readonly<Record<string, unknown>>)[name];
      if (typeof value === "number") return value;
    }
    return null;
  } catch {
    return null;
  }
}

function outcomeBy(names: readonly string[], later: ReadonlySet<number>): RobotKind["outcome"] {
  return (body) => {
    const code = codeIn(body, names);
    if (code === 0) return { kind: "taken" };
    // What is no answer of a robot comes from something between: it may be gone later.
    return { kind: code === null || later.has(code) ? "again" : "refused", code };
  };
}

function signature(key: string, text: string): string {
  return createHmac("sha256", key).update(text).digest("base64");
}

/** Text messages of at most 2048 bytes. Source: developer.work.weixin.qq.com/document/path/91770. */
const WECOM_BYTES_MAX = 2048;
/** Our bounds; the documents of DingTalk and Feishu name 20,000 bytes for a whole request. */
const OTHER_BYTES_MAX = 16_000;

/** A robot of WeCom (企业微信). Its key is its only secret. Too often: 45009; busy: -1. Source: its document 91770 and list of codes. */
export const WECOM: RobotKind = {
  usualUrl: "https://qyapi.weixin.qq.com/cgi-bin/webhook/send",
  request: ({ url, key, text }) => {
    const to = new URL(url);
    to.searchParams.set("key", key);
    return { url: to, body: JSON.stringify({ msgtype: "text", text: { content: cutToBytes(text, WECOM_BYTES_MAX) } }) };
  },
  outcome: outcomeBy(["errcode"], new Set([-1, 45009])),
};

/** A robot of DingTalk (钉钉), signed with milliseconds. Too often: 130101, 90030, 410100; busy: -1. Source: open.dingtalk.com, custom robot access. */
export const DINGTALK: RobotKind = {
  usualUrl: "https://oapi.dingtalk.com/robot/send",
  request: ({ url, key, secret, text, wallMs }) => {
    const to = new URL(url);
    to.searchParams.set("access_token", key);
    if (secret !== null) {
      to.searchParams.set("timestamp", String(wallMs));
      to.searchParams.set("sign", signature(secret, `${wallMs}\n${secret}`));
    }
    return { url: to, body: JSON.stringify({ msgtype: "text", text: { content: cutToBytes(text, OTHER_BYTES_MAX) } }) };
  },
  outcome: outcomeBy(["errcode"], new Set([-1, 90030, 130101, 410100])),
};

/**
 * A robot of Feishu (飞书), signed with seconds: the text that is signed is empty, and what others sign is its key. Too often: 11232, 9499.
 * Source: open.feishu.cn, custom bot usage guide.
 */
export const FEISHU: RobotKind = {
  usualUrl: "https://open.feishu.cn/open-apis/bot/v2/hook",
  request: ({ url, key, secret, text, wallMs }) => {
    const timestamp = String(Math.floor(wallMs / 1000));
    const signed = secret === null ? {} : { timestamp, sign: signature(`${timestamp}\n${secret}`, "") };
    const content = { text: cutToBytes(text, OTHER_BYTES_MAX) };
    return { url: new URL(`${url}/${encodeURIComponent(key)}`), body: JSON.stringify({ ...signed, msg_type: "text", content }) };
  },
  outcome: outcomeBy(["code", "StatusCode"], new Set([9499, 11232])),
};
