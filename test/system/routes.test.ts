import { createHmac } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { expect, test } from "vitest";
import { signed } from "../../src/notices/answers.ts";
import { freePort } from "../support/mosquitto.ts";
import {
  admitWard,
  type Files,
  openFaults,
  perform,
  picture,
  runSupervised,
  verify,
  writeConfig,
} from "../support/real-gateway.ts";
import { BAD_PRESSURE, openSettableWard, type SettableWard } from "../support/settable-ward.ts";
import { type Stage, stageOfEachTest } from "../support/stage.ts";
import { pause, until } from "../support/until.ts";

const stage = stageOfEachTest();
const RULE = "limit.systolicPressure.low";
const SECRET = "a secret of thirty-two characters";

/** Somebody who is told: an HTTP server that keeps what it was sent, with the time. */
interface Receiver {
  readonly port: number;
  readonly told: {
    readonly atMs: number;
    readonly body: string;
    readonly headers: NodeJS.Dict<string | string[]>;
    readonly url: string;
  }[];
  readonly close: () => Promise<void>;
}

async function openReceiver(of: Stage, port: number, answer: string): Promise<Receiver> {
  const told: Receiver["told"] = [];
  const server: Server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString("utf8");
    });
    request.on("end", () => {
      told.push({ atMs: Date.now(), body, headers: request.headers, url: request.url ?? "" });
      response.end(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  of.defer(close);
  return { port, told, close };
}

async function writeRoutedConfig(
  of: Stage,
  ward: SettableWard,
  ports: { readonly nurses: number; readonly doctor: number; readonly page?: number },
): Promise<Files> {
  const files = await writeConfig(of, { ward, ...(ports.page === undefined ? {} : { pagePort: ports.page }) });
  await writeFile(join(of.folder, "hook.secret"), SECRET);
  await writeFile(join(of.folder, "robot.key"), "token-1");
  await writeFile(join(of.folder, "robot.secret"), SECRET);
  const config = JSON.parse(await readFile(files.configFile, "utf8")) as object;
  const channels = [
    { name: "hook", kind: "webhook", url: `http://127.0.0.1:${ports.nurses}/alerts`, secretFile: "hook.secret" },
    {
      name: "robot",
      kind: "dingtalk",
      url: `http://127.0.0.1:${ports.doctor}/send`,
      keyFile: "robot.key",
      secretFile: "robot.secret",
    },
  ];
  const contacts = [
    { id: "nurses", title: "护士站", answers: "person", ways: [{ channel: "hook" }] },
    { id: "doctor", title: "医生", answers: "person", ways: [{ channel: "robot" }] },
  ];
  const steps = [
    { tell: ["nurses"], waitSeconds: 25 },
    { tell: ["doctor"], waitSeconds: 600 },
  ];
  const routes = [
    { name: "patients", natures: ["physiological"], steps },
    { name: "equipment", steps: [{ tell: ["nurses"], waitSeconds: 3600 }] },
  ];
  await writeFile(files.configFile, JSON.stringify({ ...config, channels, contacts, routes }));
  return files;
}

/** What was told of the low pressure, by the telling's name. */
const keysOf = ({ told }: Receiver) =>
  told
    .map(({ body }) => JSON.parse(body) as { key: string; alert: { rule: string } })
    .filter(({ alert }) => alert.rule === RULE)
    .map(({ key }) => key);

test("an alert comes to the first by a signed webhook, survives kill -9, climbs to the second by a signed robot, and ends with an answer", async () => {
  const ward = await openSettableWard(1);
  stage().defer(ward.close);
  const nurses = await openReceiver(stage(), await freePort(), "{}");
  const doctor = await openReceiver(stage(), await freePort(), '{"errcode":0,"errmsg":"ok"}');
  const files = await writeRoutedConfig(stage(), ward, { nurses: nurses.port, doctor: doctor.port });
  const gateway = await runSupervised(stage(), files);
  await admitWard(files, ward);
  await pause(3000);
  ward.beds[0]?.takeCuffPressure(...BAD_PRESSURE);
  const beganMs = Date.now();
  await until("the nurses are told", () => keysOf(nurses).length > 0, 10_000);
  const [first] = nurses.told.filter(({ body }) => body.includes(RULE));
  const [, seconds = "", given] = /^t=(\d+),v1=([0-9a-f]+)$/.exec(String(first?.headers["vigil-signature"])) ?? [];
  expect(given).toBe(createHmac("sha256", SECRET).update(`${seconds}.${first?.body}`).digest("hex"));
  expect(JSON.parse(first?.body ?? "{}")).toMatchObject({
    format: "vigil.notice/1",
    drill: false,
    place: { bed: "bed-1" },
    patient: null,
  });
  // Killed before its word that it was sent is on disk, it would be sent once more, under the same key.
  await pause(1500);
  process.kill(gateway.gatewayPid(), "SIGKILL");
  await until("the doctor is told", () => doctor.told.some(({ body }) => body.includes("bed-1")), 60_000);
  // The step's 25 s went on while the gateway was away; killed processes are started again within seconds.
  expect((doctor.told[0]?.atMs ?? 0) - beganMs).toBeGreaterThan(20_000);
  expect((doctor.told[0]?.atMs ?? 0) - beganMs).toBeLessThan(45_000);
  const query = new URL(doctor.told[0]?.url ?? "/", "http://x").searchParams;
  expect(query.get("sign")).toBe(
    createHmac("sha256", SECRET)
      .update(`${query.get("timestamp")}\n${SECRET}`)
      .digest("base64"),
  );
  // Nobody was told twice what was known to be sent.
  expect(new Set(keysOf(nurses)).size).toBe(keysOf(nurses).length);
  const alert = (await picture(files))?.alerts.find(({ rule }) => rule === RULE);
  if (alert === undefined) throw new Error("the alert is open");
  const before = doctor.told.length;
  expect(await perform(files, { kind: "acknowledge", alertId: alert.id })).toMatchObject({ ok: true });
  await pause(5000);
  expect(doctor.told.filter(({ body }) => body.includes("SYS") || body.includes("收缩压")).length).toBeLessThanOrEqual(before);
  expect(await verify(stage(), files)).toMatchObject({ exitCode: 0 });
}, 150_000);

test("who is away at the boot is an alert at the bed, the next one is told instead, and the first when they are there again", async () => {
  const ward = await openSettableWard(1);
  stage().defer(ward.close);
  const port = await freePort();
  const doctor = await openReceiver(stage(), await freePort(), '{"errcode":0,"errmsg":"ok"}');
  const page = await freePort();
  const files = await writeRoutedConfig(stage(), ward, { nurses: port, doctor: doctor.port, page });
  await runSupervised(stage(), files);
  await admitWard(files, ward);
  await pause(3000);
  ward.beds[0]?.takeCuffPressure(...BAD_PRESSURE);
  await until("the doctor is told", () => doctor.told.length > 0, 30_000);
  const [unreachable] = await openFaults(files, "route-unreachable");
  expect(unreachable?.subject).toMatchObject({ patientId: "patient-1", bedId: "bed-1" });
  const nurses = await openReceiver(stage(), port, "{}");
  await until("the nurses are told late", () => keysOf(nurses).length > 0, 60_000);
  await until("they are unreachable no more", async () => (await openFaults(files, "route-unreachable")).length === 0, 30_000);
  // They take it as theirs: at the bed it is acknowledged by whom they name, and nobody else can say so.
  const body = JSON.stringify({ key: keysOf(nurses)[0], state: "accepted", by: "li-na" });
  const answer = async (signature: string) => {
    const headers = { "content-type": "application/json", "vigil-signature": signature };
    return (await fetch(`http://127.0.0.1:${page}/answers`, { method: "POST", headers, body })).status;
  };
  expect(await answer(signed(body, "another secret", Date.now()))).toBe(401);
  expect(await answer(signed(body, SECRET, Date.now()))).toBe(200);
  const alert = await until("it is acknowledged", async () =>
    (await picture(files))?.alerts.find(({ rule, state }) => rule === RULE && state === "acknowledged"),
  );
  expect(alert.acknowledgedBy).toBe("li-na");
  expect(await answer(signed(body, SECRET, Date.now()))).toBe(410);
}, 180_000);
