import { createHmac } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { alertId, seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { wallMs } from "../src/core/time.ts";
import { type RobotOptions, robotChannel, webhookChannel } from "../src/notices/http-channels.ts";
import type { Channel } from "../src/notices/notice-desk.ts";
import { cutToBytes, type NoticeMessage, noticeText } from "../src/notices/words.ts";
import { routedAlert } from "./support/routed-alert.ts";

const RAISED_MS = wallMs(Date.UTC(2026, 10, 23, 8, 5));
const ALERT = routedAlert({ seq: seq(7), id: alertId("abcdef01-7"), raisedAtMs: RAISED_MS, changedAtMs: RAISED_MS });
const MESSAGE: NoticeMessage = {
  key: "abcdef01-7/1/ward/0/0/nurse/robot",
  alert: ALERT,
  text: { en: "SpO₂ 82 % below 90", zh: "血氧 82% 低于 90" },
  place: { ward: "三东", room: "301", bed: "301-2" },
  ...{ patient: null, address: null, drill: false, gatewayId: "ward-3" },
};
const localTime = (atMs: number) => new Date(atMs).toISOString().slice(11, 16);
const PARTS = { clock: createSystemClock(), localTime };

interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

let folder = "";
let server: Server;
let port = 0;
let asked: Asked[] = [];
let answer: (
  asked: Asked,
  count: number,
) => { readonly status?: number; readonly body?: string; readonly hangs?: boolean; readonly cut?: boolean };
const channels: Channel[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-notices-"));
  await writeFile(join(folder, "key"), "the-key\n");
  await writeFile(join(folder, "secret"), "the-secret\n");
  asked = [];
  answer = () => ({ body: "{}" });
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const one = {
        method: request.method ?? "",
        url: new URL(request.url ?? "/", "http://server"),
        headers: request.headers,
        body: Buffer.concat(chunks).toString("utf8"),
      };
      asked.push(one);
      const { status = 200, body = "", hangs = false, cut = false } = answer(one, asked.length);
      if (hangs) return;
      if (cut) return void request.socket.resetAndDestroy();
      response.writeHead(status, { "content-type": "application/json" }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
afterEach(async () => {
  for (const channel of channels.splice(0)) channel.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

function robot(kind: RobotOptions["kind"], more: Partial<RobotOptions> = {}): Channel {
  const channel = robotChannel(
    { name: "robot", kind, url: `http://127.0.0.1:${port}/send`, keyFile: join(folder, "key"), ...more },
    PARTS,
  );
  channels.push(channel);
  return channel;
}
function webhook(url = `http://127.0.0.1:${port}/hook`): Channel {
  const channel = webhookChannel({ name: "hook", kind: "webhook", url, secretFile: join(folder, "secret") }, PARTS);
  channels.push(channel);
  return channel;
}
const bring = (channel: Channel, message = MESSAGE) => channel.bring(message, new AbortController().signal);
const sign = (key: string, text: string) => createHmac("sha256", key).update(text).digest("base64");

describe("what people read", () => {
  test("Chinese first, then English: priority, place, what, since when, and that this is no medical device", () => {
    expect(noticeText(MESSAGE, localTime).split("\n")).toEqual([
      ...["【高】三东 301 301-2", "血氧 82% 低于 90", "始于 08:05"],
      ...["HIGH 三东 301 301-2", "SpO₂ 82 % below 90", "Since 08:05"],
      "非注册医疗器械 · not a registered medical device",
    ]);
  });

  test("a drill says so first; a patient's name only where it is given; how often it was raised", () => {
    const text = noticeText({ ...MESSAGE, drill: true, patient: "李", alert: { ...ALERT, raisedCount: 3 } }, localTime);
    expect(text.split("\n")[0]).toBe("【演练】【高】三东 301 301-2 患者 李");
    expect(text).toContain("[DRILL] HIGH 三东 301 301-2 patient 李");
    expect(text).toContain("始于 08:05（第 3 次）");
    expect(noticeText(MESSAGE, localTime)).not.toContain("li");
  });

  test("is cut between characters, never within one", () => {
    expect(cutToBytes("abc", 3)).toBe("abc");
    for (let bytesMax = 3; bytesMax < 40; bytesMax++) {
      const cut = cutToBytes("血氧 82% 低于 90 😷 since", bytesMax);
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(bytesMax);
      expect(cut).not.toContain("\uFFFD");
    }
  });
});

describe("robots of group chats", () => {
  test("WeCom: the key in the address, a text of at most 2048 bytes", async () => {
    answer = () => ({ body: '{"errcode":0,"errmsg":"ok"}' });
    expect(await bring(robot("wecom"))).toEqual({ kind: "sent", by: `127.0.0.1:${port}` });
    const [request] = asked;
    expect(request?.url.search).toBe("?key=the-key");
    expect(request?.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(JSON.parse(request?.body ?? "")).toEqual({ msgtype: "text", text: { content: noticeText(MESSAGE, localTime) } });
    await bring(robot("wecom"), { ...MESSAGE, text: { en: "x".repeat(3000), zh: "血".repeat(1000) } });
    const { text } = JSON.parse(asked[1]?.body ?? "") as { text: { content: string } };
    expect(Buffer.byteLength(text.content)).toBeLessThanOrEqual(2048);
    expect(text.content).toContain("【高】");
  });

  test("DingTalk: signed with milliseconds by its secret, as it checks it", async () => {
    answer = ({ url }) => {
      const { timestamp, sign: given, access_token: token } = Object.fromEntries(url.searchParams);
      const right =
        token === "the-key" && given === sign("the-secret", `${timestamp}\nthe-secret`) && /^\d{13}$/.test(timestamp ?? "");
      return { body: right ? '{"errcode":0,"errmsg":"ok"}' : '{"errcode":310000,"errmsg":"sign not match"}' };
    };
    expect(await bring(robot("dingtalk", { secretFile: join(folder, "secret") }))).toMatchObject({ kind: "sent" });
    expect(await bring(robot("dingtalk"))).toMatchObject({ kind: "refused", fault: { facts: { answer: 310000 } } });
  });

  test("Feishu: signed with seconds, what others sign being its key", async () => {
    answer = ({ url, body }) => {
      const given = JSON.parse(body) as { timestamp: string; sign: string; msg_type: string; content: { text: string } };
      const right =
        url.pathname === "/send/the-key" &&
        given.sign === sign(`${given.timestamp}\nthe-secret`, "") &&
        given.msg_type === "text";
      return {
        body: right && /^\d{10}$/.test(given.timestamp) ? '{"code":0,"msg":"success"}' : '{"code":19021,"msg":"sign match fail"}',
      };
    };
    expect(await bring(robot("feishu", { secretFile: join(folder, "secret") }))).toMatchObject({ kind: "sent" });
    await writeFile(join(folder, "secret"), "another\n");
    expect(await bring(robot("feishu", { secretFile: join(folder, "secret") }))).toMatchObject({ kind: "refused" });
  });

  test.each([
    ["wecom", '{"errcode":45009,"errmsg":"api freq out of limit"}', "try-later"],
    ["wecom", '{"errcode":93000,"errmsg":"invalid webhook url"}', "refused"],
    ["dingtalk", '{"errcode":130101,"errmsg":"send too fast"}', "try-later"],
    ["feishu", '{"code":11232,"msg":"too many request"}', "try-later"],
    ["feishu", '{"StatusCode":0,"StatusMessage":"success"}', "sent"],
    ["wecom", "<html>a portal that wants a password</html>", "try-later"],
    ["wecom", "null", "try-later"],
    ["wecom", '{"errcode":"0"}', "try-later"],
  ] as const)("%s says %s: %s", async (kind, body, wanted) => {
    answer = () => ({ body });
    expect(await bring(robot(kind))).toMatchObject({ kind: wanted });
  });
});

describe("a webhook", () => {
  test("JSON that is signed, with the telling's name as the key that makes a repeat harmless", async () => {
    expect(await bring(webhook())).toEqual({ kind: "sent", by: `127.0.0.1:${port}` });
    const [request] = asked;
    const [, seconds = "", given] = /^t=(\d{10}),v1=([0-9a-f]{64})$/.exec(String(request?.headers["vigil-signature"])) ?? [];
    expect(given).toBe(createHmac("sha256", "the-secret").update(`${seconds}.${request?.body}`).digest("hex"));
    expect(request?.headers["idempotency-key"]).toBe(MESSAGE.key);
    expect(JSON.parse(request?.body ?? "")).toMatchObject({
      format: "vigil.notice/1",
      key: MESSAGE.key,
      drill: false,
      alert: { id: ALERT.id },
    });
  });

  test.each([
    [204, "sent"],
    [301, "refused"],
    [400, "refused"],
    [401, "try-later"],
    [404, "refused"],
    [429, "try-later"],
    [500, "try-later"],
    [503, "try-later"],
  ] as const)("an answer %i is %s", async (status, wanted) => {
    answer = () => ({ status });
    expect(await bring(webhook())).toMatchObject({ kind: wanted });
  });

  test("nobody there, a connection that is cut, an answer without end, one that never comes, and a stop", async () => {
    expect(await bring(webhook("http://127.0.0.1:1/hook"))).toMatchObject({
      kind: "try-later",
      fault: { code: "channel-unreachable" },
    });
    answer = () => ({ cut: true });
    expect(await bring(webhook())).toMatchObject({ kind: "try-later", fault: { facts: { reason: "ECONNRESET" } } });
    answer = () => ({ body: "x".repeat(LIMITS.noticeAnswerBytesMax.value + 1) });
    expect(await bring(webhook())).toMatchObject({ kind: "try-later", fault: { facts: { reason: "too-long" } } });
    answer = () => ({ hangs: true });
    const stop = new AbortController();
    const hanging = webhook().bring(MESSAGE, stop.signal);
    setTimeout(() => stop.abort(), 100);
    expect(await hanging).toMatchObject({ kind: "try-later", fault: { facts: { reason: "given-up" } } });
  });

  test("a connection that the server ended between two messages costs nothing, and no message comes twice for it", async () => {
    const channel = webhook();
    await bring(channel);
    server.closeIdleConnections();
    expect(await bring(channel)).toMatchObject({ kind: "sent" });
    expect(asked).toHaveLength(2);
    // The server took it, and cut the connection before it answered: whether it was read nobody knows, so it is told later, by its owner.
    answer = () => ({ cut: true });
    const count = asked.length;
    expect(await bring(webhook())).toMatchObject({ kind: "try-later" });
    expect(asked).toHaveLength(count + 1);
  });

  test("a secret that cannot be read is told by its file, and holds from the moment it can", async () => {
    const channel = webhook();
    await rm(join(folder, "secret"));
    expect(await bring(channel)).toMatchObject({
      kind: "try-later",
      fault: { code: "channel-denied", facts: { reason: "ENOENT" } },
    });
    expect(asked).toHaveLength(0);
    await writeFile(join(folder, "secret"), "the-secret\n");
    expect(await bring(channel)).toMatchObject({ kind: "sent" });
  });
});
