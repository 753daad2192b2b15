import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import type { ErrorCode } from "../src/core/errors.ts";
import { patientId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { JournalRecord } from "../src/core/record.ts";
import { createInfluxSink, type InfluxSinkOptions } from "../src/sinks/influx.ts";
import { deliveryOf, type InfluxEnd, identitiesOf, influxOptions, startInfluxEnd } from "./support/influx-ends.ts";
import type { ParsedLine } from "./support/influx-line-parser.ts";
import { EACH_KIND, predictionAt } from "./support/influx-records.ts";
import { type InfluxReply, type InfluxRequest, type InfluxServer, startInfluxServer } from "./support/influx-server.ts";
import { freePort, makeAuthority } from "./support/mosquitto.ts";
import { pause, until } from "./support/until.ts";
import { actAt, alertAt, hurry, observationAt } from "./support/upstream-records.ts";

const cleanups: (() => Promise<unknown>)[] = [];
let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-influx-test-"));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function server(secure?: Parameters<typeof startInfluxServer>[0]): Promise<InfluxServer> {
  const started = await startInfluxServer(secure);
  cleanups.push(started.close);
  return started;
}

async function gateway(options: InfluxSinkOptions, factor?: number): Promise<InfluxEnd> {
  const started = await startInfluxEnd({ options, ...(factor === undefined ? {} : { factor }) });
  cleanups.push(started.stop);
  return started;
}

/** Nothing lost and nothing doubled: the points that are stored are those of the records, each with one content. */
function expectExactly(of: {
  readonly influx: InfluxServer;
  readonly records: readonly JournalRecord[];
  readonly options: InfluxSinkOptions;
  readonly without?: ReadonlySet<number>;
}): void {
  const wanted = [...identitiesOf(of.records, of.options)].filter(([, number]) => !of.without?.has(number));
  const { stored, unreadable } = of.influx;
  const lost = wanted.filter(([identity]) => !stored.has(identity)).map(([identity]) => identity);
  const known = new Set(wanted.map(([identity]) => identity));
  expect(lost.slice(0, 3), `${lost.length} lost`).toEqual([]);
  expect([...stored.keys()].filter((identity) => !known.has(identity)).slice(0, 3), "nothing that is no record").toEqual([]);
  expect([...stored.values()].filter(({ hasChanged }) => hasChanged).slice(0, 3), "the same point each time").toEqual([]);
  expect(unreadable.slice(0, 3)).toEqual([]);
}

const codes = (end: InfluxEnd) => end.faults.map((fault) => fault?.code ?? null);
const observations = (count: number) => Array.from({ length: count }, () => observationAt);
/** An alert behind them has the journal commit them at once. */
const observationsNow = (count: number) => [...observations(count), alertAt];

describe("what arrives", () => {
  test("records of every kind arrive once, receipts are passed by, and the reader is done with all of them", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options, 5);
    end.append([...observations(250), ...EACH_KIND, ...EACH_KIND]);
    await end.drained();
    expectExactly({ influx, records: end.records, options });
    expect([...influx.stored.values()].filter(({ times }) => times > 1)).toEqual([]);
    expect(end.faults).toEqual([]);
    const kinds = new Set([...influx.stored.values()].map(({ line }) => line.measurement));
    expect(kinds.size, "every measurement but the heartbeat").toBe(10);
  });

  test("InfluxDB 1 is asked at /write with name and password, 2 at /api/v2/write with a token, both in nanoseconds", async () => {
    const influx = await server();
    await writeFile(join(folder, "password"), "secret word\n");
    await writeFile(join(folder, "token"), "t0ken==\n");
    const v1 = {
      api: "v1",
      database: "ward 3&x",
      retentionPolicy: "year",
      username: "vigil",
      passwordFile: join(folder, "password"),
    } as const;
    const v2 = { api: "v2", org: "ward 3", bucket: "vigil", tokenFile: join(folder, "token") } as const;
    for (const target of [v1, v2]) {
      const end = await gateway(influxOptions({ url: `${influx.url}/influx/`, target }));
      end.append(observationsNow(2));
      await end.drained();
      await end.stop();
    }
    const asked = new Set(influx.requests.map(({ path, headers }) => `${path} ${headers["authorization"]}`));
    expect([...asked]).toEqual([
      `/influx/write?db=ward+3%26x&rp=year&precision=ns Basic ${Buffer.from("vigil:secret word").toString("base64")}`,
      "/influx/api/v2/write?org=ward+3&bucket=vigil&precision=ns Token t0ken==",
    ]);
    expect(influx.requests.every(({ headers }) => headers["content-type"] === "text/plain; charset=utf-8")).toBe(true);
  });

  test("large bodies are packed, small ones are not", async () => {
    const influx = await server();
    const end = await gateway(influxOptions({ url: influx.url }), 5);
    end.append(observationsNow(200));
    await end.drained();
    const sizes = influx.requests.map(({ wasPacked, lines }) => ({ wasPacked, bytes: lines.join("\n").length + 1 }));
    expect(sizes.filter(({ wasPacked, bytes }) => wasPacked !== bytes > 1000)).toEqual([]);
    expect(sizes.some(({ wasPacked }) => wasPacked)).toBe(true);
  });

  test("a heartbeat comes every ten seconds, and nothing but it while there is nothing to tell", async () => {
    const influx = await server();
    await gateway(influxOptions({ url: influx.url }), 20);
    await until("three heartbeats came", () => influx.requests.length >= 3);
    const [first, , third] = influx.requests;
    expect(influx.requests.every(({ isHeartbeat }) => isHeartbeat)).toBe(true);
    const betweenMs = (((third?.atMs ?? 0) - (first?.atMs ?? 0)) / 2) * 20;
    expect(betweenMs).toBeGreaterThan(8000);
    expect(betweenMs).toBeLessThan(60_000);
    expect(first?.lines[0]).toMatch(/^gateway_heartbeat,gateway=ward-3 committed_seq=\d+i,state="working" \d{19}$/);
  });
});

// --------------------------------------------------------------------------------------------------- answers and ends

interface Trouble {
  readonly name: string;
  readonly reply: InfluxReply;
  readonly code: ErrorCode;
}

const status = (number: number, more: Partial<Extract<InfluxReply, { kind: "status" }>> = {}): InfluxReply => ({
  kind: "status",
  status: number,
  ...more,
});

/** Everything a server, a proxy or a network may say instead of 204. Source: RFC 9110; InfluxDB 1.8 and 2.7, API reference of write. */
const TROUBLES: readonly Trouble[] = [
  { name: "401", reply: status(401, { body: '{"error":"authorization failed"}' }), code: "upstream-denied" },
  { name: "403", reply: status(403), code: "upstream-denied" },
  {
    name: "404, no such database",
    reply: status(404, { body: '{"error":"database not found: \\"vigil\\""}' }),
    code: "upstream-target-missing",
  },
  { name: "405", reply: status(405), code: "upstream-target-missing" },
  { name: "408", reply: status(408), code: "upstream-slow" },
  { name: "429 without a word", reply: status(429), code: "upstream-slow" },
  {
    name: "500, although all is stored",
    reply: status(500, { stores: "all", body: "x".repeat(5000) }),
    code: "upstream-failing",
  },
  { name: "502", reply: status(502, { headers: { "content-type": "text/html" }, body: "<html>" }), code: "upstream-failing" },
  { name: "503", reply: status(503), code: "upstream-slow" },
  { name: "504, although all is stored", reply: status(504, { stores: "all" }), code: "upstream-failing" },
  { name: "200 of something that is no InfluxDB", reply: status(200, { body: "welcome" }), code: "upstream-target-missing" },
  { name: "201", reply: status(201), code: "upstream-target-missing" },
  { name: "202 of a queue", reply: status(202), code: "upstream-target-missing" },
  {
    name: "a redirection for good",
    reply: status(301, { headers: { location: "http://127.0.0.1:9/write" } }),
    code: "upstream-target-missing",
  },
  {
    name: "a redirection for now",
    reply: status(307, { headers: { location: "http://127.0.0.1:9/write" } }),
    code: "upstream-target-missing",
  },
  { name: "400 to everything", reply: status(400, { body: '{"error":"invalid precision"}' }), code: "upstream-refuses-all" },
  { name: "422 to everything", reply: status(422, { body: '{"code":"unprocessable entity"}' }), code: "upstream-refuses-all" },
  { name: "413 to everything", reply: status(413), code: "upstream-refuses-all" },
  { name: "a reset instead of an answer", reply: { kind: "reset" }, code: "upstream-unreachable" },
  { name: "a reset after it was stored", reply: { kind: "reset", stores: "all" }, code: "upstream-unreachable" },
  {
    name: "half a status line",
    reply: { kind: "raw", bytes: "HTTP/1.1 20", after: "reset", stores: "all" },
    code: "upstream-unreachable",
  },
  {
    name: "half an error",
    reply: { kind: "raw", bytes: "HTTP/1.1 500 Oops\r\ncontent-length: 900\r\n\r\nhalf", after: "reset" },
    code: "upstream-unreachable",
  },
  { name: "silence", reply: { kind: "silence", stores: "all" }, code: "upstream-slow" },
  {
    name: "silence within an error",
    reply: { kind: "raw", bytes: "HTTP/1.1 400 No\r\ncontent-type: application/json\r\n\r\n{", after: "silence" },
    code: "upstream-slow",
  },
  {
    name: "an error without an end",
    reply: { kind: "raw", bytes: "HTTP/1.1 400 No\r\ncontent-type: application/json\r\n\r\n{", after: "endless" },
    code: "upstream-unreachable",
  },
  {
    name: "something else than HTTP",
    reply: { kind: "raw", bytes: "220 mail ready\r\n", after: "silence" },
    code: "upstream-failing",
  },
];

/** One server and one gateway for all tests of a group, which leave both well. */
function sharedEnds(
  factor: number,
): () => { readonly influx: InfluxServer; readonly options: InfluxSinkOptions; readonly end: InfluxEnd } {
  let ends: ReturnType<ReturnType<typeof sharedEnds>> | null = null;
  beforeAll(async () => {
    const influx = await startInfluxServer();
    const options = influxOptions({ url: influx.url });
    ends = { influx, options, end: await startInfluxEnd({ options, factor }) };
  });
  afterAll(async () => {
    await ends?.end.stop();
    await ends?.influx.close();
  });
  return () => {
    if (ends === null) throw new Error("no test is running");
    return ends;
  };
}

describe("a server that answers wrongly loses and doubles nothing, and is told about", () => {
  const shared = sharedEnds(40);
  test.each(TROUBLES)("$name", async ({ reply, code }) => {
    const { influx, options, end } = shared();
    await until("connected", () => end.outbox.view().state === "connected" && (end.faults.at(-1) ?? null) === null);
    const toldBefore = end.faults.length;
    let troubled = 0;
    influx.script((request) => {
      if (troubled >= 4 && request.isHeartbeat) return { kind: "normal" };
      troubled += 1;
      return troubled <= 4 ? reply : { kind: "normal" };
    });
    end.append([...observations(30), ...EACH_KIND]);
    await until("it was told", () => end.faults.length > toldBefore);
    end.append(observationsNow(10));
    await end.drained();
    expectExactly({ influx, records: end.records, options });
    expect(codes(end)[toldBefore]).toBe(code);
    await until("it is over", () => end.faults.at(-1) === null);
    expect(end.losses, "nothing is set aside for what the server does").toEqual([]);
    expect(end.incidents).toEqual([]);
  });

  test("a redirection is not followed: the token would go elsewhere", async () => {
    const [influx, elsewhere] = [await server(), await server()];
    influx.script(() => status(307, { headers: { location: `${elsewhere.url}/write` } }));
    const end = await gateway(influxOptions({ url: influx.url }));
    end.append(observationsNow(5));
    await until("it was told", () => codes(end).includes("upstream-target-missing"));
    expect(elsewhere.requests).toEqual([]);
  });

  test("nobody listens, then somebody does", async () => {
    const port = await freePort();
    const options = influxOptions({ url: `http://127.0.0.1:${port}` });
    const end = await gateway(options);
    end.append(observationsNow(40));
    await until("it was told", () => codes(end).includes("upstream-unreachable"));
    expect(end.outbox.view().state).toBe("connecting");
  });

  test("a name that nobody knows", async () => {
    const end = await gateway(influxOptions({ url: "http://influx.invalid:8086" }));
    await until("it was told", () => codes(end).includes("upstream-unreachable"));
    expect(end.faults[0]?.facts["reason"]).toMatch(/ENOTFOUND|EAI_AGAIN/);
  });

  test("an idle connection that the server has quietly ended is no outage", async () => {
    const closing: Server = createServer((request, response) => {
      request.resume();
      request.on("end", () => {
        response.writeHead(204);
        response.end();
        setTimeout(() => request.socket.destroy(), 1);
      });
    });
    await new Promise<void>((resolve) => closing.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => new Promise((resolve) => closing.close(resolve)));
    const address = closing.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const end = await gateway(influxOptions({ url: `http://127.0.0.1:${address.port}` }), 5);
    for (let turn = 0; turn < 40; turn++) {
      end.append(observationsNow(3));
      await pause(turn);
    }
    await end.drained();
    expect(end.faults).toEqual([]);
  });
});

describe("a server that wants to be left alone", () => {
  const cases = [
    { number: 429, name: "for seconds", headers: { "retry-after": "20" }, waitMs: 20_000 },
    {
      number: 503,
      name: "until a date by its own clock",
      headers: { "retry-after": "Fri, 02 Jan 1970 00:00:20 GMT", date: "Fri, 02 Jan 1970 00:00:00 GMT" },
      waitMs: 20_000,
    },
    { number: 429, name: "for a while that nobody can read", headers: { "retry-after": "in a moment" }, waitMs: 0 },
    { number: 503, name: "for a year", headers: { "retry-after": "31536000" }, waitMs: LIMITS.influxRetryAfterMsMax.value },
  ];
  const shared = { 40: sharedEnds(40), 200: sharedEnds(200) };
  test.each(cases)("$number $name", async ({ number, headers, waitMs }) => {
    const factor = waitMs > 100_000 ? 200 : 40;
    const { influx, options, end } = shared[factor]();
    await until("connected", () => end.outbox.view().state === "connected" && (end.faults.at(-1) ?? null) === null);
    const [asked, toldBefore] = [influx.requests.length, end.faults.length];
    influx.script((_request, count) => (count === asked + 1 ? status(number, { headers }) : { kind: "normal" }));
    end.append(observations(5));
    await end.drained();
    const [told, next] = influx.requests.slice(asked);
    const leftAloneMs = ((next?.atMs ?? 0) - (told?.atMs ?? 0)) * factor;
    expect(leftAloneMs).toBeGreaterThanOrEqual(waitMs * 0.98);
    const latestMs = waitMs + LIMITS.upstreamBackoffMsMax.value * 2 + 500 * factor;
    expect(leftAloneMs, "and no longer than a backoff more").toBeLessThan(latestMs);
    expect(codes(end)[toldBefore]).toBe("upstream-slow");
    expectExactly({ influx, records: end.records, options });
  });
});

describe("certificates", () => {
  test("a server whose authority is trusted is believed, a foreign one is not, and ours is shown to it", async () => {
    const ours = await makeAuthority(folder, "ours");
    const foreign = await makeAuthority(folder, "foreign");
    const issued = await ours.issue("influx");
    const client = await ours.issue("ward-3");
    const secure = {
      cert: await readFile(issued.certFile),
      key: await readFile(issued.keyFile),
      ca: await readFile(ours.caFile),
    };
    const influx = await server(secure);
    const options = influxOptions({ url: influx.url, caFile: ours.caFile, ...client });
    const believed = await gateway(options);
    believed.append(observationsNow(50));
    await believed.drained();
    expectExactly({ influx, records: believed.records, options });

    const stranger = await gateway(influxOptions({ url: influx.url, caFile: foreign.caFile, ...client }));
    await until("it was told", () => codes(stranger).includes("upstream-certificate"));
    const unknown = await gateway(influxOptions({ url: influx.url, caFile: ours.caFile, ...(await foreign.issue("ward-3")) }));
    await until("it was told too", () => unknown.faults.length > 0);
    expect(["upstream-denied", "upstream-unreachable"]).toContain(codes(unknown)[0]);
    const noFile = await gateway(influxOptions({ url: influx.url, caFile: issued.keyFile }));
    await until("a file that is none is told", () => codes(noFile).includes("upstream-certificate"));
    const plain = await gateway(influxOptions({ url: influx.url.replace("https", "http") }));
    await until("a secure server asked plainly is told", () => plain.faults.length > 0);
  });
});

describe("secrets", () => {
  test("a token is read anew at each connect, and a missing file is told with its name", async () => {
    const influx = await server();
    const tokenFile = join(folder, "token");
    influx.script(({ headers }) => (headers["authorization"] === "Token right" ? { kind: "normal" } : status(401)));
    const options = influxOptions({ url: influx.url, target: { api: "v2", org: "o", bucket: "b", tokenFile } });
    const end = await gateway(options);
    end.append(observationsNow(20));
    await until("the missing file is told", () => codes(end).includes("upstream-denied"));
    expect(end.faults[0]).toEqual({ code: "upstream-denied", facts: { file: tokenFile, reason: "ENOENT" } });
    expect(influx.requests).toEqual([]);
    await writeFile(tokenFile, "wrong\n");
    await until("the server says no", () => influx.requests.length > 0);
    await writeFile(tokenFile, "right\n");
    await end.drained();
    expectExactly({ influx, records: end.records, options });
    await until("it is over", () => end.faults.at(-1) === null);
  });

  test("a token that no header can carry is told, and ends nothing", async () => {
    const tokenFile = join(folder, "token");
    await writeFile(tokenFile, "first\nsecond 血");
    const influx = await server();
    const end = await gateway(influxOptions({ url: influx.url, target: { api: "v2", org: "o", bucket: "b", tokenFile } }));
    await until("it was told", () => codes(end).includes("upstream-denied"));
    expect(end.faults[0]?.facts["reason"]).toBe("not-a-token");
  });
});

describe("patients", () => {
  const named = [observationAt, alertAt, actAt, predictionAt];
  const told = (requests: readonly InfluxRequest[]) => requests.flatMap(({ lines, path }) => [path, ...lines]).join("\n");
  const patientsIn = (influx: InfluxServer) =>
    new Set(
      [...influx.stored.values()]
        .map(({ line }) => line.tags.get("patient"))
        .filter((tag) => tag !== undefined && tag !== "none"),
    );

  test("by default a pseudonym leaves and the id nowhere, the same after a restart, with a key only the gateway can read", async () => {
    const influx = await server();
    const keyFile = join(folder, "keys", "patient-pseudonym.key");
    const options = influxOptions({ url: influx.url, patientTag: { kind: "pseudonym", keyFile, makesKey: true } });
    for (let life = 0; life < 2; life++) {
      const end = await gateway(options);
      end.append(named);
      await end.drained();
      await end.stop();
    }
    expect(told(influx.requests)).not.toContain("p-17");
    expect([...patientsIn(influx)]).toEqual([expect.stringMatching(/^[0-9a-f]{16}$/)]);
    expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
    const other = await server();
    const elsewhere = join(folder, "other.key");
    const end = await gateway(
      influxOptions({ url: other.url, patientTag: { kind: "pseudonym", keyFile: elsewhere, makesKey: true } }),
    );
    end.append(named);
    await end.drained();
    expect([...patientsIn(other)], "another key, another pseudonym").not.toEqual([...patientsIn(influx)]);
  });

  test("two sinks that make the key at the same moment use the same one", async () => {
    const influx = await server();
    const patientTag = { kind: "pseudonym", keyFile: join(folder, "one.key"), makesKey: true } as const;
    const clock = hurry(createSystemClock(), 20);
    const parts = {
      clock,
      textOf: () => ({ en: "-", zh: "-" }),
      heartbeat: () => ({ committedSeq: 1, state: "working" }),
      onFault: () => {},
    };
    const sinks = Array.from({ length: 8 }, () => createInfluxSink(influxOptions({ url: influx.url, patientTag }), parts));
    cleanups.push(() => Promise.all(sinks.map((sink) => sink.close())));
    const stop = new AbortController().signal;
    const outcomes = await Promise.all(sinks.map((sink, index) => sink.deliver([deliveryOf(observationAt(index + 1))], stop)));
    expect(outcomes.map(({ kind }) => kind)).toEqual(sinks.map(() => "delivered"));
    expect(patientsIn(influx).size).toBe(1);
  });

  test("without a key nothing leaves: neither where the file must be there, nor where it is too short", async () => {
    const influx = await server();
    const keyFile = join(folder, "missing.key");
    const options = influxOptions({ url: influx.url, patientTag: { kind: "pseudonym", keyFile, makesKey: false } });
    const end = await gateway(options);
    end.append(named);
    await until("it was told", () => codes(end).includes("upstream-denied"));
    await writeFile(keyFile, "x".repeat(31));
    await pause(300);
    expect(influx.requests).toEqual([]);
    await writeFile(keyFile, "x".repeat(32));
    await end.drained();
    expect(patientsIn(influx).size).toBe(1);
  });

  test("with none all patients are one, and a device without a patient still stands apart", async () => {
    const influx = await server();
    const end = await gateway(influxOptions({ url: influx.url, patientTag: { kind: "none" } }));
    const other = (number: number) => ({ ...observationAt(number), patientId: patientId("p-99") });
    const nobody = (number: number) => ({ ...observationAt(number), patientId: null });
    end.append([...named, other, nobody]);
    await end.drained();
    expect(told(influx.requests)).not.toMatch(/p-17|p-99/);
    expect([...patientsIn(influx)].sort()).toEqual(["assigned", "unassigned"]);
  });
});

// --------------------------------------------------------------------------------------------------------- poison

const seqOf = (line: ParsedLine) => line.fields.get("seq")?.value;
const PARSE = "unable to parse 'observation,patient=p-17 secret': invalid number";
const CONFLICT =
  'field type conflict: input field "value" on measurement "observation" is type float, already exists as type string';
const RETENTION = "points beyond retention policy";

describe("records that a server refuses for good", () => {
  const setAside = (end: InfluxEnd) =>
    end.losses.flatMap(({ fromSeq, toSeq }) => Array.from({ length: toSeq - fromSeq + 1 }, (_, index) => fromSeq + index));

  const shared = sharedEnds(5);
  test.each([
    { name: "one in the middle", poisoned: [77], reason: PARSE },
    { name: "the first", poisoned: [1], reason: CONFLICT },
    { name: "the last", poisoned: [200], reason: CONFLICT },
    { name: "two beside each other", poisoned: [30, 31], reason: PARSE },
    { name: "some far apart", poisoned: [3, 60, 61, 62, 140, 199], reason: PARSE },
  ])("$name: they are named and set aside, all others are stored, in few requests", async ({ poisoned: places, reason }) => {
    const { influx, options, end } = shared();
    const before = { asked: influx.writes().length, setAside: setAside(end), incidents: end.incidents.length };
    const made = end.append(observationsNow(200));
    const poisoned = places.map((place) => Number(made[place - 1]?.seq));
    influx.poison((line) => (line.measurement === "observation" && poisoned.includes(Number(seqOf(line))) ? reason : null));
    await end.drained();
    const all = [...before.setAside, ...poisoned];
    expectExactly({ influx, records: end.records, options, without: new Set(all) });
    expect(setAside(end).sort((one, other) => one - other)).toEqual(all);
    expect(end.losses.every(({ why, reader }) => why === "receiver-refused" && reader === "upstream:history")).toBe(true);
    expect(end.outbox.view().rejectedCount).toBe(all.length);
    const incident = end.incidents[before.incidents];
    expect(incident?.code).toBe("upstream-rejected");
    expect(incident?.facts["reason"]).toBe(reason === PARSE ? "unparsable" : "field-type");
    expect(JSON.stringify(end.incidents), "the server's words repeat what is in the record").not.toMatch(/p-17|secret/);
    const asked = influx.writes().length - before.asked;
    expect(asked, "about twice the logarithm of the batch for each").toBeLessThanOrEqual(8 + poisoned.length * 18);
    expect(end.faults).toEqual([]);
  });

  test("what is older than the server keeps is set aside at once, without a search", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options);
    influx.poison((line) => (line.measurement === "observation" && Number(seqOf(line)) <= 150 ? RETENTION : null));
    end.append(observationsNow(150));
    await until("they are set aside", () => setAside(end).length === 150);
    end.append(observationsNow(50));
    await end.drained();
    expect(setAside(end)).toHaveLength(150);
    expect(influx.writes().length).toBeLessThan(20);
    const refused = new Set(Array.from({ length: 150 }, (_, index) => index + 1));
    expectExactly({ influx, records: end.records.filter(({ kind }) => kind !== "loss"), options, without: refused });
  });

  test("a poisoned tally is set aside whole, an alert beside it arrives", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options, 5);
    influx.poison((line) => (line.measurement === "device_tally" && line.tags.get("device") === "clip-4" ? CONFLICT : null));
    const made = end.append(EACH_KIND);
    await end.drained();
    const tally = made.find(({ kind }) => kind === "tally")?.seq ?? 0;
    expect(setAside(end)).toEqual([tally]);
    const names = [...influx.stored.values()].filter(({ line }) => line.measurement === "alert");
    expect(names).toHaveLength(1);
  });

  test("a server that refuses a whole kind is to blame, not the records: few are set aside, the rest waits and arrives later", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options, 40);
    influx.poison((line) => (line.measurement === "observation" ? CONFLICT : null));
    end.append(observationsNow(300));
    await until("it was told", () => codes(end).includes("upstream-refuses-all"));
    end.append(EACH_KIND.filter((maker) => maker !== observationAt));
    await until("everything else arrives all the same", () => {
      const measurements = new Set([...influx.stored.values()].map(({ line }) => line.measurement));
      return measurements.has("alert") && measurements.has("act") && measurements.has("loss");
    });
    expect(setAside(end).length).toBeLessThanOrEqual(LIMITS.influxUnprovenRefusalsMax.value);
    influx.poison(() => null);
    await end.drained();
    expectExactly({ influx, records: end.records, options, without: new Set(setAside(end)) });
    await until("it is over", () => end.faults.at(-1) === null);
  });

  test("a server that begins to refuse a kind it took before is to blame: none is set aside", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options, 40);
    end.append(observationsNow(10));
    await end.drained();
    influx.poison((line) => (line.measurement === "observation" ? CONFLICT : null));
    end.append(observationsNow(3));
    await until("it was told", () => codes(end).includes("upstream-refuses-all"));
    influx.poison(() => null);
    await end.drained();
    expect(end.losses).toEqual([]);
    expectExactly({ influx, records: end.records, options });
  });

  test("a server that is full of series is to blame: everything waits until it has room", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options, 40);
    influx.poison((line) =>
      line.measurement === "alert"
        ? 'max-values-per-tag limit exceeded (100000/100000): measurement="alert" tag="patient"'
        : null,
    );
    end.append([alertAt, ...observations(10)]);
    await until("it was told", () => codes(end).includes("upstream-refuses-all"));
    influx.poison(() => null);
    await end.drained();
    expect(end.losses).toEqual([]);
    expectExactly({ influx, records: end.records, options });
  });

  test("so much poison that it would take too long is set aside in several deliveries", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options, 40);
    end.append(observationsNow(5));
    await end.drained();
    const isPoison = (number: number) => number > 5 && number % 8 < 4;
    influx.poison((line) => (line.measurement === "observation" && isPoison(Number(seqOf(line))) ? PARSE : null));
    const made = end.append(observations(195));
    await end.drained();
    const poisoned = made.map(({ seq }) => seq).filter(isPoison);
    expect(setAside(end).sort((one, other) => one - other)).toEqual(poisoned);
    expectExactly({ influx, records: end.records, options, without: new Set(poisoned) });
  });
});

describe("bodies that are too large", () => {
  test.each([{ bytesMax: 4000 }, { bytesMax: 700 }])(
    "a server that takes $bytesMax bytes gets everything in parts, and learns nothing is lost",
    async ({ bytesMax }) => {
      const influx = await server();
      const options = influxOptions({ url: influx.url });
      const end = await gateway(options);
      influx.script(({ lines }) => (lines.join("\n").length > bytesMax ? status(413) : { kind: "normal" }));
      end.append([...observations(200), alertAt, predictionAt]);
      await end.drained();
      expectExactly({ influx, records: end.records, options });
      expect(end.losses).toEqual([]);
      expect(
        influx.requests.filter(({ lines }) => lines.join("\n").length > bytesMax).length,
        "the size is learned",
      ).toBeLessThan(20);
    },
  );

  test("one record that is too large alone is set aside", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options);
    influx.script(({ lines }) => (lines.some((line) => line.startsWith("prediction")) ? status(413) : { kind: "normal" }));
    const made = end.append([...observations(20), predictionAt, ...observations(20)]);
    await end.drained();
    const prediction = made.find(({ kind }) => kind === "prediction")?.seq ?? 0;
    expect(end.losses.map(({ fromSeq, toSeq }) => [fromSeq, toSeq])).toEqual([[prediction, prediction]]);
    expectExactly({ influx, records: end.records, options, without: new Set([prediction]) });
  });
});

describe("ends and beginnings", () => {
  test("a stop in the middle of a hanging write answers at once, and the next life sends what was under way", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    const journalFolder = join(folder, "data");
    const first = await startInfluxEnd({ options, folder: journalFolder, factor: 1 });
    cleanups.push(first.stop);
    await until("connected", () => first.outbox.view().state === "connected");
    influx.script(() => ({ kind: "silence", stores: "all" }));
    first.append(observations(30));
    await until("it is under way", () => influx.writes().length > 0);
    const begun = performance.now();
    await first.stop();
    expect(performance.now() - begun).toBeLessThan(5000);
    influx.script(() => ({ kind: "normal" }));
    const second = await startInfluxEnd({ options, folder: journalFolder });
    cleanups.push(second.stop);
    second.append(observations(5));
    await second.drained();
    expectExactly({ influx, records: [...first.records, ...second.records], options });
  });
});
