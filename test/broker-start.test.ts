import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { type Broker, type BrokerOptions, startBroker } from "../src/broker/broker.ts";
import { createSystemClock } from "../src/clock.ts";
import type { Fault } from "../src/core/errors.ts";
import { connectClient, startStage } from "./support/broker-stage.ts";
import { freePort, makeAuthority } from "./support/mosquitto.ts";

const cleanups: (() => unknown)[] = [];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-start-"));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

async function start(more: Partial<BrokerOptions>): Promise<Broker | Fault> {
  const bounds = { connectionsMax: 10, messageBytesMax: 1000, messagesPerSecondMax: 10, reservedTopics: [] };
  const options = { dataFolder: folder, plain: { host: "127.0.0.1", port: 0 }, tls: null, ...bounds, ...more };
  const started = await startBroker(options, { clock: createSystemClock(), random: randomBytes, report: () => {} });
  if (!started.ok) return started.error;
  cleanups.push(started.value.close);
  return started.value;
}

describe("a broker that cannot start says why, and leaves nothing open", () => {
  test("a port that is taken", async () => {
    const port = await freePort();
    expect(await start({ plain: { host: "127.0.0.1", port } })).toHaveProperty("inlet");
    expect(await start({ plain: { host: "127.0.0.1", port } })).toEqual({
      code: "broker-failed",
      facts: { host: "127.0.0.1", port, reason: "EADDRINUSE" },
    });
  });

  test("a second port that is taken gives the first one back", async () => {
    const ours = await makeAuthority(folder, "ours");
    const { certFile, keyFile } = await ours.issue("localhost");
    const [plainPort, port] = [await freePort(), await freePort()];
    const tls = { host: "127.0.0.1", port, certFile, keyFile, clientCaFile: null, clientCertificates: "none" } as const;
    await start({ plain: { host: "127.0.0.1", port } });
    expect(await start({ plain: { host: "127.0.0.1", port: plainPort }, tls })).toMatchObject({
      facts: { port, reason: "EADDRINUSE" },
    });
    expect(await start({ plain: { host: "127.0.0.1", port: plainPort } })).toHaveProperty("inlet");
  });

  test("an address that is not this machine's", async () => {
    expect(await start({ plain: { host: "203.0.113.1", port: 0 } })).toMatchObject({
      code: "broker-failed",
      facts: { reason: "EADDRNOTAVAIL" },
    });
  });

  const tls = {
    host: "127.0.0.1",
    port: 0,
    certFile: "none.pem",
    keyFile: "none.key",
    clientCaFile: null,
    clientCertificates: "none",
  } as const;
  test("a certificate that is not there, one that is none, and an authority that is not named", async () => {
    expect(await start({ tls })).toMatchObject({ code: "broker-failed", facts: { reason: "ENOENT" } });
    const file = join(folder, "text.pem");
    await writeFile(file, "no certificate");
    expect(await start({ tls: { ...tls, certFile: file, keyFile: file } })).toMatchObject({ code: "broker-failed" });
    expect(await start({ tls: { ...tls, clientCertificates: "required" } })).toMatchObject({ facts: { reason: "no-client-ca" } });
  });

  test("a file of sessions that cannot be read", async () => {
    await mkdir(join(folder, "broker-sessions.log"));
    expect(await start({})).toEqual({ code: "broker-failed", facts: { file: "broker-sessions.log", reason: "EISDIR" } });
  });
});

describe("what is refused is told", () => {
  test("the first of a kind at once, what follows once a minute together, and nothing when it is over", async () => {
    const clock = createSimulatedClock();
    const stage = await startStage({}, { clock });
    cleanups.push(stage.remove);
    const client = await connectClient(stage, "monitor", await stage.account("monitor"), { keepalive: 0 });
    const offend = async (times: number) => {
      for (let number = 0; number < times; number++) await client.publishAsync("foreign", "x", { qos: 1 });
    };
    const told = () => stage.faults.map(({ facts }) => `${facts["reason"]} ${facts["count"]}`);
    await offend(1);
    expect(told()).toEqual(["topic-not-allowed 1"]);
    await offend(4);
    expect(told()).toHaveLength(1);
    await clock.advance(60_000);
    expect(told()).toEqual(["topic-not-allowed 1", "topic-not-allowed 4"]);
    await clock.advance(120_000);
    expect(told()).toHaveLength(2);
    await offend(1);
    expect(told()).toEqual(["topic-not-allowed 1", "topic-not-allowed 4", "topic-not-allowed 1"]);
    expect(stage.broker.listAccounts()).toMatchObject([{ refusedCount: 6, lastRefusal: { topic: "foreign" } }]);
    expect(JSON.stringify(stage.faults)).not.toContain("foreign");
    client.end(true);
  });
});
