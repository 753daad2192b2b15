import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  type Hl7Sender,
  mllpWrites,
  openHl7Sender,
  SENDING_FAULTS,
  type SendingFault,
  sendHl7Files,
} from "../simulator/links/hl7-sender.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { MllpArrival, MllpRefusal, MllpServer, MllpSpec } from "../src/core/ports.ts";
import type { Clock } from "../src/core/time.ts";
import { startMllpServer } from "../src/transports/mllp.ts";
import { frameMllp, MllpFramer, type MllpPiece } from "../src/transports/mllp-framer.ts";
import { makeAuthority } from "./support/mosquitto.ts";
import { pause, until } from "./support/until.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (given: Uint8Array) => new TextDecoder().decode(given);
const MESSAGES = ["MSH|1\rPID|1\r", "MSH|2\rPID|22\r", "MSH|3\r"].map(bytes);

interface Ward {
  readonly server: MllpServer;
  readonly arrivals: MllpArrival[];
  readonly refusals: MllpRefusal[];
  readonly stops: AbortSignal[];
}

const opened: { readonly close: () => Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ close }) => close()));
});

async function startWard(
  more: {
    readonly spec?: Partial<MllpSpec>;
    readonly clock?: Clock;
    readonly answer?: (arrival: MllpArrival) => Promise<readonly Uint8Array[]>;
  } = {},
): Promise<Ward> {
  const [arrivals, refusals, stops]: [MllpArrival[], MllpRefusal[], AbortSignal[]] = [[], [], []];
  const server = await startMllpServer(
    { host: "127.0.0.1", port: 0, allowFrom: ["127.0.0.1"], ...more.spec },
    {
      clock: more.clock ?? createSystemClock(),
      owner: {
        message: (arrival, stop) => {
          arrivals.push(arrival);
          stops.push(stop);
          return more.answer?.(arrival) ?? Promise.resolve([bytes(`to ${text(arrival.bytes).slice(0, 5)}`)]);
        },
        refused: (refusal) => refusals.push(refusal),
      },
    },
  );
  if (!server.ok) throw new Error(JSON.stringify(server.error));
  opened.push(server.value);
  return { server: server.value, arrivals, refusals, stops };
}

async function sender(
  server: MllpServer,
  tls?: { readonly ca: string; readonly cert?: string; readonly key?: string },
): Promise<Hl7Sender> {
  const result = await openHl7Sender({ host: "127.0.0.1", port: server.port, tls });
  if (!result.ok) throw new Error(result.error.cause);
  opened.push(result.value);
  return result.value;
}

describe("frames", () => {
  const expected: Readonly<Record<SendingFault, { readonly messages: number; readonly refusals: readonly string[] }>> = {
    none: { messages: 3, refusals: [] },
    split: { messages: 3, refusals: [] },
    glued: { messages: 3, refusals: [] },
    "line-feeds": { messages: 3, refusals: [] },
    crlf: { messages: 3, refusals: [] },
    "end-without-cr": { messages: 3, refusals: [] },
    noise: { messages: 3, refusals: ["lost-sync", "lost-sync", "lost-sync"] },
    "no-start": { messages: 0, refusals: ["lost-sync"] },
    "no-end": { messages: 0, refusals: ["truncated", "truncated", "truncated"] },
  };
  test.each(SENDING_FAULTS)("%s: what is a whole message is answered in order, and the rest is told", async (fault) => {
    const { server, arrivals, refusals } = await startWard();
    const from = await sender(server);
    await from.send(MESSAGES, fault);
    const wanted = expected[fault];
    await until("the answers are there", () => from.answers().length === wanted.messages);
    from.finish();
    await until("the refusals are told", () => refusals.length === wanted.refusals.length);
    expect(from.answers().map(text)).toEqual(["to MSH|1", "to MSH|2", "to MSH|3"].slice(0, wanted.messages));
    expect(refusals.map((refusal) => refusal.kind === "frame" && refusal.error.kind)).toEqual(wanted.refusals);
    if (wanted.messages === 3)
      expect(arrivals.map((arrival) => text(arrival.bytes).replace(/[\r\n]+/g, "\r"))).toEqual(MESSAGES.map(text));
  });

  const cut = (chunks: readonly Uint8Array[], limitBytes = 64): readonly MllpPiece[] => {
    const framer = new MllpFramer(limitBytes);
    const pieces = chunks.flatMap((chunk) => [...framer.pieces(chunk)]);
    return [...pieces, ...[...framer.end()].map((error): MllpPiece => ({ kind: "refused", error }))];
  };

  test("the same bytes are the same messages, however they are split", () => {
    const someBytes = fc.array(fc.oneof(fc.constantFrom(0x0b, 0x1c, 0x0d, 0x0a), fc.integer({ min: 0, max: 255 })), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(someBytes, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (stream, lengths) => {
        const chunks: Uint8Array[] = [];
        for (let at = 0, index = 0; at < stream.length; index++) {
          const length = lengths[index % lengths.length] ?? 1;
          chunks.push(Uint8Array.from(stream.slice(at, at + length)));
          at += length;
        }
        expect(cut(chunks)).toEqual(cut([Uint8Array.from(stream)]));
      }),
    );
  });

  test("a message that is framed comes out as it was", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 60 }).map((given) => given.filter((byte) => byte !== 0x0b && byte !== 0x1c))),
        (given) => {
          expect(cut(given.map(frameMllp))).toEqual(given.map((message) => ({ kind: "message", bytes: message })));
        },
      ),
    );
  });

  test("a message as long as the bound is taken, one byte more is not", () => {
    const ofLength = (length: number) => frameMllp(new Uint8Array(length).fill(0x41));
    expect(cut([ofLength(64)])).toMatchObject([{ kind: "message" }]);
    expect(cut([ofLength(65)])).toMatchObject([{ kind: "refused", error: { kind: "too-long", limitBytes: 64 } }]);
    expect(cut([new Uint8Array(65)])).toMatchObject([{ kind: "refused", error: { kind: "no-frame" } }]);
  });

  test("a start inside a message gives up the first and takes the second", () => {
    expect(cut([Uint8Array.of(0x0b, 0x41, 0x42, 0x0b, 0x43, 0x1c, 0x0d)])).toEqual([
      { kind: "refused", error: { kind: "truncated", neededBytes: 3, givenBytes: 2 } },
      { kind: "message", bytes: Uint8Array.of(0x43) },
    ]);
  });
});

describe("answers", () => {
  test("the next message of a connection waits for the answer, another connection does not", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { server, arrivals } = await startWard({
      answer: async (arrival) => {
        if (text(arrival.bytes).startsWith("MSH|1")) await held;
        return [bytes(text(arrival.bytes).slice(0, 5))];
      },
    });
    const [first, second] = [await sender(server), await sender(server)];
    await first.send(MESSAGES.slice(0, 2), "glued");
    await second.send(MESSAGES.slice(2));
    await until("the other is answered", () => second.answers().length === 1);
    expect(arrivals.map((arrival) => text(arrival.bytes).slice(0, 5))).toEqual(["MSH|1", "MSH|3"]);
    expect(first.answers()).toHaveLength(0);
    release();
    await until("both are answered", () => first.answers().length === 2);
    expect(first.answers().map(text)).toEqual(["MSH|1", "MSH|2"]);
  });

  test("a message may have two answers or none", async () => {
    const answers = [[bytes("CA"), bytes("AA")], [], [bytes("AE")]];
    const { server } = await startWard({ answer: async () => answers.shift() ?? [] });
    const from = await sender(server);
    await from.send(MESSAGES);
    await until("three answers are there", () => from.answers().length === 3);
    expect(from.answers().map(text)).toEqual(["CA", "AA", "AE"]);
  });

  test("a sender that sends no more is still answered", async () => {
    const { server } = await startWard({
      answer: async () => {
        await pause(50);
        return [bytes("AA")];
      },
    });
    const from = await sender(server);
    await from.send(MESSAGES.slice(0, 1));
    from.finish();
    await until("it is answered", () => from.answers().length === 1);
    await until("the connection ends", () => from.isClosed());
  });

  test("whoever owns the message is told when its sender is gone", async () => {
    const { server, stops, refusals } = await startWard({ answer: () => new Promise(() => {}) });
    const from = await sender(server);
    await from.send(MESSAGES.slice(0, 1));
    await until("it has come", () => stops.length === 1);
    expect(stops[0]?.aborted).toBe(false);
    from.vanish();
    await until("the owner is told", () => stops[0]?.aborted);
    expect(refusals).toEqual([]);
  });

  test("a sender that does not take its answers loses its connection, and that is told", async () => {
    const clock = createSimulatedClock();
    const large = new Uint8Array(32_000_000);
    const { server, refusals } = await startWard({ clock, answer: async () => [large] });
    const from = await sender(server);
    from.setReading(false);
    await from.send(MESSAGES.slice(0, 1));
    await until("the wait is over", async () => {
      await clock.advance(LIMITS.mllpAnswerMsMax.value);
      return refusals.length > 0;
    });
    expect(refusals).toMatchObject([{ kind: "connection", why: "slow-answer" }]);
    await until("the connection is ended", () => server.connectionCount() === 0);
  });
});

describe("bounds", () => {
  test("a message that is too long ends its connection and no other", async () => {
    const { server, refusals, arrivals } = await startWard();
    const [bad, good] = [await sender(server), await sender(server)];
    await bad.send([new Uint8Array(LIMITS.mllpMessageBytesMax.value + 1).fill(0x41)]);
    await until("the connection is ended", () => bad.isClosed());
    expect(refusals).toMatchObject([{ kind: "frame", error: { kind: "too-long" }, address: "127.0.0.1" }]);
    await good.send([new Uint8Array(LIMITS.mllpMessageBytesMax.value).fill(0x41)]);
    await until("the other is answered", () => good.answers().length === 1);
    expect(arrivals).toHaveLength(1);
  });

  test("bytes that are no frame for too long end their connection", async () => {
    const { server, refusals } = await startWard();
    const bad = await sender(server);
    await bad.send([new Uint8Array(LIMITS.mllpMessageBytesMax.value + 1).fill(0x41)], "no-start");
    await until("the connection is ended", () => bad.isClosed());
    expect(refusals).toMatchObject([{ kind: "frame", error: { kind: "no-frame" } }]);
  });

  test("a message that does not end in time ends its connection, however often a byte comes", async () => {
    const clock = createSimulatedClock();
    const { server, refusals } = await startWard({ clock });
    const from = await sender(server);
    await from.send([bytes("MSH|")], "no-end");
    for (let part = 0; part < 3; part++) {
      await pause(50);
      await clock.advance(LIMITS.mllpMessageMsMax.value / 4);
      await from.sendBytes(bytes("1"));
    }
    await pause(50);
    expect(from.isClosed()).toBe(false);
    await clock.advance(LIMITS.mllpMessageMsMax.value / 4 + 1);
    await until("the connection is ended", () => from.isClosed());
    expect(refusals).toMatchObject([{ kind: "frame", error: { kind: "truncated" } }]);
  });

  test("a connection without a message may last a day and no longer", async () => {
    const clock = createSimulatedClock();
    const { server } = await startWard({ clock });
    const from = await sender(server);
    await until("it counts", () => server.connectionCount() === 1);
    await clock.advance(LIMITS.mllpIdleMsMax.value - 1);
    await from.send(MESSAGES.slice(0, 1));
    await until("it is answered", () => from.answers().length === 1);
    await clock.advance(LIMITS.mllpIdleMsMax.value + 1);
    await until("the connection is ended", () => from.isClosed());
  });

  test("one address has so many connections and no more", async () => {
    const { server, refusals } = await startWard();
    const countMax = LIMITS.mllpConnectionsPerAddressMax.value;
    const senders: Hl7Sender[] = [];
    for (let index = 0; index < countMax; index++) senders.push(await sender(server));
    await until("all count", () => server.connectionCount() === countMax);
    const further = await sender(server);
    await until("the further one is ended", () => further.isClosed());
    expect(refusals).toMatchObject([{ kind: "connection", why: "too-many", cause: "of-this-address" }]);
    await senders[0]?.close();
    await until("a place is free", () => server.connectionCount() === countMax - 1);
    const next = await sender(server);
    await next.send(MESSAGES.slice(0, 1));
    await until("the next one is answered", () => next.answers().length === 1);
  });
});

describe("who may connect", () => {
  test("an address or network of the list, and nobody else", async () => {
    const inside = await startWard({ spec: { allowFrom: ["10.1.1.1", "127.0.0.0/8"] } });
    const from = await sender(inside.server);
    await from.send(MESSAGES.slice(0, 1));
    await until("it is answered", () => from.answers().length === 1);

    const outside = await startWard({ spec: { allowFrom: ["10.1.1.1", "127.0.0.2", "::1"] } });
    const stranger = await sender(outside.server);
    await until("the stranger is ended", () => stranger.isClosed());
    expect(outside.refusals).toEqual([{ kind: "connection", why: "address", cause: "not-in-allowFrom", address: "127.0.0.1" }]);
    expect(outside.arrivals).toEqual([]);
  });

  test("an IPv4 address is itself on a socket for both kinds", async () => {
    const { server } = await startWard({ spec: { host: "::" } });
    const from = await sender(server);
    await from.send(MESSAGES.slice(0, 1));
    await until("it is answered", () => from.answers().length === 1);
  });
});

describe("TLS", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vigil-mllp-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("only a certificate of the right issuer is heard, and nothing in plain", async () => {
    const own = await makeAuthority(folder, "own");
    const foreign = await makeAuthority(folder, "foreign");
    const [server, his, stranger] = [await own.issue("localhost"), await own.issue("his"), await foreign.issue("his")];
    const read = (file: string) => readFile(file, "utf8");
    const ca = await read(own.caFile);
    const tls = { certFile: server.certFile, keyFile: server.keyFile, clientCaFile: own.caFile };
    const ward = await startWard({ spec: { tls } });

    const good = await sender(ward.server, { ca, cert: await read(his.certFile), key: await read(his.keyFile) });
    await good.send(MESSAGES);
    await until("the right one is answered", () => good.answers().length === 3);

    for (const access of [{ ca }, { ca, cert: await read(stranger.certFile), key: await read(stranger.keyFile) }]) {
      const bad = await openHl7Sender({ host: "127.0.0.1", port: ward.server.port, tls: access });
      // With TLS 1.3 a client learns only afterwards that its certificate was refused.
      if (bad.ok) {
        await bad.value.send(MESSAGES);
        await until("the wrong one is ended", () => bad.value.isClosed());
        expect(bad.value.answers()).toEqual([]);
      }
    }
    const plain = await sender(ward.server);
    await plain.send(MESSAGES);
    await until("the plain one is ended", () => plain.isClosed());
    expect(plain.answers()).toEqual([]);
    expect(ward.arrivals).toHaveLength(3);
    expect(ward.refusals.map((refusal) => refusal.kind === "connection" && refusal.why)).toEqual(Array(3).fill("certificate"));
  });

  test("a certificate that is renewed is shown within the hour, and a broken one leaves the last", async () => {
    const clock = createSimulatedClock();
    const first = await makeAuthority(folder, "first");
    const second = await makeAuthority(folder, "second");
    const [old, renewed] = [await first.issue("localhost"), await second.issue("localhost")];
    const tls = { certFile: join(folder, "live.pem"), keyFile: join(folder, "live.key") };
    const put = async (of: { readonly certFile: string; readonly keyFile: string }) => {
      await writeFile(tls.certFile, await readFile(of.certFile));
      await writeFile(tls.keyFile, await readFile(of.keyFile));
    };
    await put(old);
    const ward = await startWard({ spec: { tls }, clock });
    const isTrusted = async (caFile: string) => {
      const tried = await openHl7Sender({
        host: "127.0.0.1",
        port: ward.server.port,
        tls: { ca: await readFile(caFile, "utf8") },
      });
      if (tried.ok) await tried.value.close();
      return tried.ok;
    };
    expect([await isTrusted(first.caFile), await isTrusted(second.caFile)]).toEqual([true, false]);
    await writeFile(tls.certFile, await readFile(renewed.certFile));
    await clock.advance(LIMITS.mllpCertificatesLookMs.value);
    await pause(100);
    expect(await isTrusted(first.caFile)).toBe(true);
    await put(renewed);
    await until("the new one is shown", async () => {
      await clock.advance(LIMITS.mllpCertificatesLookMs.value);
      return isTrusted(second.caFile);
    });
    expect(await isTrusted(first.caFile)).toBe(false);
  });

  test("a handshake that is broken off leaves nothing behind, and a sender that sends no more is still answered", async () => {
    const own = await makeAuthority(folder, "half");
    const { certFile, keyFile } = await own.issue("localhost");
    const answer = async () => {
      await pause(50);
      return [bytes("AA")];
    };
    const { server, refusals } = await startWard({ spec: { tls: { certFile, keyFile } }, answer });
    const silent = await sender(server);
    await until("it counts", () => server.connectionCount() === 1);
    silent.finish();
    await until("it is gone", () => server.connectionCount() === 0);
    expect(refusals).toMatchObject([{ kind: "connection", why: "certificate" }]);
    const from = await sender(server, { ca: await readFile(own.caFile, "utf8") });
    await from.send(MESSAGES.slice(0, 1));
    from.finish();
    await until("it is answered", () => from.answers().length === 1);
    await until("all are gone", () => server.connectionCount() === 0);
    await sender(server);
    await server.close();
  });
});

describe("the server", () => {
  test("a port that is taken, and a certificate that is not there, are told as mllp-port-failed", async () => {
    const { server } = await startWard();
    const owner = { message: async () => [], refused: () => {} };
    const again = await startMllpServer(
      { host: "127.0.0.1", port: server.port, allowFrom: ["127.0.0.1"] },
      { clock: createSystemClock(), owner },
    );
    expect(again).toMatchObject({
      ok: false,
      error: { code: "mllp-port-failed", facts: { why: "EADDRINUSE", port: server.port } },
    });
    const tls = { certFile: "/nowhere/cert.pem", keyFile: "/nowhere/key.pem" };
    const bare = await startMllpServer({ host: "127.0.0.1", port: 0, allowFrom: [], tls }, { clock: createSystemClock(), owner });
    expect(bare).toMatchObject({ ok: false, error: { code: "mllp-port-failed", facts: { why: "ENOENT" } } });
  });

  test("closing it ends every connection and frees the port", async () => {
    const { server } = await startWard({ answer: () => new Promise(() => {}) });
    const from = await sender(server);
    await from.send(MESSAGES.slice(0, 1));
    await server.close();
    await until("the sender sees the end", () => from.isClosed());
    const again = await startWard({ spec: { port: server.port } });
    expect(again.server.port).toBe(server.port);
  });

  test("the sender's command sends files and prints the answers", async () => {
    const { server } = await startWard({ answer: async () => [bytes("MSH|x\rMSA|AA|7\r")] });
    const folder = await mkdtemp(join(tmpdir(), "vigil-mllp-"));
    const lines: string[] = [];
    const parts = { print: (line: string) => void lines.push(line), sleep: pause };
    await writeFile(join(folder, "a01.hl7"), MESSAGES[0] ?? "");
    expect(await sendHl7Files(["--port", String(server.port), "--fault", "split", join(folder, "a01.hl7")], parts)).toBe(0);
    expect(lines).toEqual(["MSA|AA|7"]);
    expect(
      await sendHl7Files(["--port", String(server.port), "--wait-ms", "50", "--fault", "no-end", join(folder, "a01.hl7")], parts),
    ).toBe(1);
    expect(await sendHl7Files(["--fault", "unknown"], parts)).toBe(2);
    await rm(folder, { recursive: true });
  });

  test("writes of each fault hold the same messages", () => {
    expect(mllpWrites(MESSAGES, "split").length).toBeGreaterThan(30);
    expect(mllpWrites(MESSAGES, "glued")).toHaveLength(1);
  });
});
