import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { startReceiver } from "../simulator/receiver.ts";
import { createMemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { type DemoBroker, startDemoBroker } from "../src/broker/demo-broker.ts";
import { createSystemClock } from "../src/clock.ts";
import { succeed } from "../src/core/result.ts";
import { connectMqtt } from "../src/mqtt/connection.ts";
import { until } from "./support/until.ts";
import { startReceiving, startSending } from "./support/upstream-ends.ts";
import { alertAt, observationAt } from "./support/upstream-records.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function broker(connectionsMax = 5): Promise<DemoBroker> {
  const accounts = [{ username: "demo", password: "pa55" }];
  const started = await startDemoBroker({ port: 0, accounts, connectionsMax });
  if (!started.ok) throw new Error(started.error.code);
  cleanups.push(started.value.close);
  return started.value;
}

async function secret(password: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "vigil-demo-"));
  cleanups.push(() => rm(folder, { recursive: true }));
  const file = join(folder, "password");
  await writeFile(file, password);
  return file;
}

test("the demonstration's broker carries an alert there and its confirmation back", async () => {
  const { port } = await broker();
  const passwordFile = await secret("pa55");
  const server = { url: `mqtt://127.0.0.1:${port}`, protocolVersion: 4, username: "demo", passwordFile } as const;
  const receiving = startReceiving({ server });
  cleanups.push(receiving.receiver.close);
  await until("the receiver is connected", () => receiving.receiver.view().connected);
  const journal = createMemoryJournal();
  const sending = startSending({ server, journal });
  cleanups.push(sending.stop);
  await until("the outbox is connected", () => sending.outbox.view().state === "connected");
  journal.append([observationAt(1), alertAt(2)]);
  sending.outbox.urgent(alertAt(2));
  await until("the alert is confirmed", () => sending.receipts.some(({ state }) => state === "accepted"));
  const key = `ward-3/${journal.epoch}/2`;
  await until("the confirmation is shown", () => receiving.lines.some((line) => line.startsWith(`alert accepted   ${key}`)));
  const shown = receiving.lines.find((line) => line.startsWith(`alert received ${key}`));
  expect(shown).toContain("Oxygen saturation low 2");
  expect(shown).toContain("血氧低 2");
});

test("nobody gets into the demonstration's broker without the right name and password", async () => {
  const { port } = await broker();
  const parts = { clock: createSystemClock(), onMessage: () => {}, stop: new AbortController().signal };
  const session = { clientId: "somebody", sessionExpirySeconds: 0, will: null };
  const server = { url: `mqtt://127.0.0.1:${port}`, protocolVersion: 4 } as const;
  const answer = async (more: { username?: string; passwordFile?: string }) => {
    const opened = await connectMqtt({ ...server, ...more }, session, parts);
    if (opened.ok) await opened.value.close();
    return opened.ok ? "connected" : opened.error.code;
  };
  expect(await answer({})).toBe("upstream-denied");
  expect(await answer({ username: "demo", passwordFile: await secret("pa56") })).toBe("upstream-denied");
  expect(await answer({ username: "Demo", passwordFile: await secret("pa55") })).toBe("upstream-denied");
  expect(await answer({ username: "demo", passwordFile: await secret("pa55") })).toBe("connected");
});

test("a port that is taken is said, not thrown; the port is free again after the end", async () => {
  const first = await broker();
  const accounts = [{ username: "demo", password: "pa55" }];
  const second = await startDemoBroker({ port: first.port, accounts, connectionsMax: 5 });
  expect(second).toEqual({
    ok: false,
    error: { code: "upstream-unreachable", facts: { reason: "EADDRINUSE", port: first.port } },
  });
  await first.close();
  const third = await startDemoBroker({ port: first.port, accounts, connectionsMax: 5 });
  expect(third.ok).toBe(true);
  if (third.ok) await third.value.close();
});

test("the receiver alarms after 30 s without a heartbeat, not before, once, and says when it is heard again", async () => {
  const clock = createSimulatedClock();
  const lines: string[] = [];
  let say: (topic: string, body: object) => void = () => {};
  const never = new Promise<never>(() => {});
  const receiver = startReceiver(
    { name: "nurse-station", topicPrefix: "vigil", acceptAfterMs: null, recordFile: null },
    {
      connect: async (onMessage) => {
        say = (topic, body) =>
          onMessage({ topic, payload: Buffer.from(JSON.stringify(body)), retained: false, responseTopic: null });
        const done = async () => succeed(undefined);
        return succeed({ subscribe: done, publish: done, ended: never, close: async () => {} });
      },
      clock,
      random: () => 0.5,
      print: (line) => void lines.push(line),
    },
  );
  await clock.advance(0);
  say("vigil/ward-3/heartbeat", { format: "vigil.heartbeat/1" });
  await clock.advance(30_000);
  expect(lines).toEqual([]);
  await clock.advance(1_000);
  expect(lines).toEqual(["ALARM gateway ward-3 has been silent for 31 s | 报警：网关 31 秒无心跳"]);
  expect(receiver.view().silentGateways).toEqual(["ward-3"]);
  await clock.advance(60_000);
  expect(lines).toHaveLength(1);
  say("vigil/ward-3/heartbeat", { format: "vigil.heartbeat/1" });
  expect(lines[1]).toBe("gateway ward-3 is heard again | 网关已恢复心跳");
  expect(receiver.view().silentGateways).toEqual([]);
  await receiver.close();
});
