import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { LIMITS } from "../core/limits.ts";
import type { Clock, MonotonicMs, Timer, WallMs } from "../core/time.ts";
import { type Pace, TokenBucket } from "../core/token-bucket.ts";
import { type HeldThank, HeldThanks } from "./held-thanks.ts";
import { OutgoingFilter } from "./outgoing-filter.ts";
import { type Framed, PACKET, PacketFramer } from "./packet-framer.ts";
import { type PublishPacket, readPublish } from "./publish-packet.ts";
import type { RefusalReason } from "./refusals.ts";
import { isTopic } from "./topic-rights.ts";

/** Why a connection ended, in a word. */
export type EndCause =
  | RefusalReason
  | "disconnected"
  | "closed-by-peer"
  | "keep-alive"
  | "taken-over"
  | "account-changed"
  | "broker-stopped"
  | "refused";

/** What the broker decides about a message of a client that is in. */
export type PublishVerdict =
  | { readonly kind: "taken" }
  /** It is told, and thanked for as MQTT 3.1.1 demands in 3.3.5, so that it does not come again and again before what is good. */
  | { readonly kind: "refused"; readonly reason: RefusalReason }
  /** Nobody can take it now: the connection ends, so that its sender comes back and sends it again. */
  | { readonly kind: "not-now"; readonly reason: RefusalReason };

/** What a connection asks and tells. */
export interface ConnectionOwner {
  /** A client that is in sends a message. Who must be waited for before it is thanked stands in `thank` on return; null with QoS 0. */
  readonly onPublish: (from: Connection, packet: PublishPacket, thank: HeldThank | null) => PublishVerdict;
  /** The library has done its part for a message with QoS 2. */
  readonly onRouted: (from: Connection, message: { readonly qos: 2; readonly messageId: number }) => void;
  readonly onRefused: (from: Connection, reason: RefusalReason, topic: string | null) => void;
  /** CONNACK said yes, and the client's messages come after this. */
  readonly onIn: (connection: Connection) => void;
  /** The connection was ended; its last will may still come. */
  readonly onEnd: (connection: Connection) => void;
  /** A socket has more waiting than a quick reader leaves. */
  readonly onSlow: (connection: Connection) => void;
}

/** What a connection is made of. */
export interface ConnectionParts {
  readonly socket: Socket;
  readonly address: string;
  /** What the client's certificate says, where it has shown one that was accepted. */
  readonly certificateName: string | null;
  /** True where a certificate was shown that nobody we trust has made. */
  readonly isCertificateForeign: boolean;
  readonly isCertificateNeeded: boolean;
  readonly owner: ConnectionOwner;
  readonly clock: Clock;
  readonly messageBytesMax: number;
  readonly messagesPerSecondMax: number;
}

/** Packets a client may send once it is in. MQTT 3.1.1, table 2.1. */
const CLIENT_PACKETS: ReadonlySet<number> = new Set([
  ...[PACKET.PUBACK, PACKET.PUBREC, PACKET.PUBREL, PACKET.PUBCOMP],
  ...[PACKET.SUBSCRIBE, PACKET.UNSUBSCRIBE, PACKET.PINGREQ],
]);
/** Longest answer, ping or disconnect after its fixed header. */
const SHORT_BYTES_MAX = 2;
/** Beyond a message's payload: topic, its length and the packet identifier. */
const PUBLISH_HEAD_BYTES = 4;

/**
 * One client's connection, between its socket and the broker's library. Everything the client sends is cut into packets, bounded and paced
 * here, and its messages are judged and handed to the gateway's links before the library sees them; the library's thanks are taken out and
 * given when everybody has taken the message. So neither a disk nor another client can stop this client's messages, and it cannot stop theirs.
 */
export class Connection {
  /** The library's end. */
  readonly stream: Duplex;
  readonly address: string;
  readonly certificateName: string | null;
  readonly isCertificateForeign: boolean;
  readonly isCertificateNeeded: boolean;
  readonly held: HeldThanks;
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #messageBytesMax: number;
  readonly #clock: Clock;
  readonly #framer: PacketFramer;
  readonly #filter: OutgoingFilter;
  readonly #packets: TokenBucket;
  readonly #bytes: TokenBucket;
  readonly #refusals: TokenBucket;
  #state: "new" | "signing-in" | "in" | "ended" = "new";
  #cause: EndCause | null = null;
  #heardAtMs: WallMs;
  #packetAtMs: MonotonicMs;
  #keepAliveMs = 0;
  #timer: Timer;
  #turn: "none" | "soon" | "later" = "none";
  #socketEnded = false;
  #isClosing = false;
  #socketPaused = false;
  #left = false;
  readonly #onLeft: (() => void)[] = [];
  messagesCount = 0;
  /** Messages with QoS 0 that went to the gateway's links only. */
  leftOutCount = 0;
  deliveredCount = 0;

  constructor(parts: ConnectionParts) {
    const { clock, socket, messageBytesMax, messagesPerSecondMax } = parts;
    this.#socket = socket;
    this.#owner = parts.owner;
    this.#messageBytesMax = messageBytesMax;
    this.#clock = clock;
    this.address = parts.address;
    this.certificateName = parts.certificateName;
    this.isCertificateForeign = parts.isCertificateForeign;
    this.isCertificateNeeded = parts.isCertificateNeeded;
    const nowMs = clock.monotonic();
    const bucket = (perSecond: number) => new TokenBucket(burst(perSecond), nowMs);
    this.#packets = bucket(messagesPerSecondMax);
    this.#bytes = bucket(LIMITS.brokerBytesPerSecondMax.value);
    const refusalsMax = LIMITS.brokerRefusalsPerMinuteMax.value;
    this.#refusals = new TokenBucket({ perSecond: refusalsMax / 60, atOnce: refusalsMax }, nowMs);
    this.#heardAtMs = clock.wall();
    this.#packetAtMs = nowMs;
    this.#framer = new PacketFramer((type) => this.#bodyBytesMax(type));
    this.#filter = new OutgoingFilter({
      onConnack: (returnCode) => this.#answered(returnCode),
      onPubrec: (messageId) => this.#owner.onRouted(this, { qos: 2, messageId }),
      onPublish: () => {
        this.deliveredCount += 1;
      },
    });
    this.held = new HeldThanks((bytes) => {
      this.#send([bytes]);
      this.#goOnSoon();
    });
    this.stream = this.#makeStream();
    this.#timer = clock.after(LIMITS.brokerSignInMsMax.value, () => this.end("sign-in-late"));
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.on("end", () => this.#peerEnded());
    socket.on("error", () => this.#peerEnded());
    socket.on("close", () => this.#peerEnded());
  }

  get isIn(): boolean {
    return this.#state === "in";
  }

  get hasEnded(): boolean {
    return this.#state === "ended";
  }

  /** Null until it has ended. */
  get cause(): EndCause | null {
    return this.#cause;
  }

  get heardAtMs(): WallMs {
    return this.#heardAtMs;
  }

  /** What waits for the client to read it. */
  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  /** What the client promised in its CONNECT: a packet at least so often, in s; 0: no promise. */
  keepAlive(seconds: number): void {
    // One and a half times. MQTT 3.1.1, 3.1.2.10.
    this.#keepAliveMs = seconds * 1500;
  }

  /** Counts one refusal; too many in a minute end the connection. */
  refuse(reason: RefusalReason, topic: string | null): void {
    this.#owner.onRefused(this, reason, topic);
    const nowMs = this.#clock.monotonic();
    this.#refusals.take(1, nowMs);
    if (this.#refusals.waitMs(nowMs) === 0 || this.#state === "ended") return;
    this.#owner.onRefused(this, "refused-too-often", null);
    this.end("refused-too-often");
  }

  /** Ends the connection; what was written is still sent, for a moment. */
  end(cause: EndCause): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#cause ??= cause;
    this.#timer.stop();
    if (cause === "sign-in-late") this.#owner.onRefused(this, cause, null);
    this.stream.destroy();
    this.#socket.end();
    this.#socket.resume();
    this.#clock.after(LIMITS.brokerCloseMsMax.value, () => this.#socket.destroy());
    this.#owner.onEnd(this);
  }

  /** Calls back when the library has let go of it, its last will included; at once where it has. */
  whenLeft(work: () => void): void {
    if (this.#left) work();
    else this.#onLeft.push(work);
  }

  #bodyBytesMax(type: number): number {
    if (this.#state === "new") return type === PACKET.CONNECT ? LIMITS.brokerConnectBytesMax.value : 0;
    if (type === PACKET.PUBLISH) return this.#messageBytesMax + LIMITS.brokerTopicBytesMax.value + PUBLISH_HEAD_BYTES;
    return type === PACKET.SUBSCRIBE || type === PACKET.UNSUBSCRIBE ? LIMITS.brokerSubscribeBytesMax.value : SHORT_BYTES_MAX;
  }

  // ------------------------------------------------------------------------------- from the client

  #take(bytes: Buffer): void {
    if (this.#state === "ended" || this.#isClosing) return;
    this.#heardAtMs = this.#clock.wall();
    this.#bytes.take(bytes.length, this.#clock.monotonic());
    this.#framer.push(bytes);
    this.#goOn();
  }

  #peerEnded(): void {
    if (this.#socketEnded || this.#state === "ended") return;
    this.#socketEnded = true;
    this.#goOn();
  }

  /** Takes what may be taken now, one turn of it, and reads on or not. */
  #goOn(): void {
    for (let packets = 0; this.#mayTake() === "now"; packets++) {
      if (packets >= LIMITS.brokerTurnPacketsMax.value) {
        this.#goOnSoon();
        return;
      }
      const framed = this.#framer.next();
      if (framed === null) break;
      this.#takePacket(framed);
    }
    if (this.#state === "ended") return;
    const isEmpty = !this.#framer.hasInput();
    if (this.#socketEnded && (isEmpty || this.#mayTake() === "held")) this.#endOfPeer();
    this.#readOn(isEmpty);
  }

  /** `held`: not before something else has happened. `paced`: in a moment, for which a timer runs. */
  #mayTake(): "now" | "held" | "paced" {
    if (this.#state === "ended" || this.#isClosing || this.#state === "signing-in") return "held";
    if (this.held.count >= LIMITS.brokerHeldPerClientMax.value) return "held";
    const nowMs = this.#clock.monotonic();
    const waitMs = Math.max(this.#packets.waitMs(nowMs), this.#bytes.waitMs(nowMs));
    if (waitMs === 0) return "now";
    if (this.#turn !== "later") {
      this.#turn = "later";
      this.#clock.after(waitMs, () => this.#nextTurn());
    }
    return "paced";
  }

  #goOnSoon(): void {
    if (this.#turn !== "none") return;
    this.#turn = "soon";
    setImmediate(() => this.#nextTurn());
  }

  #nextTurn(): void {
    this.#turn = "none";
    if (this.#state !== "ended") this.#goOn();
  }

  #readOn(isEmpty: boolean): void {
    if (isEmpty === !this.#socketPaused || this.#state === "ended") return;
    this.#socketPaused = !isEmpty;
    if (isEmpty) this.#socket.resume();
    else this.#socket.pause();
  }

  #takePacket(framed: Framed): void {
    const nowMs = this.#clock.monotonic();
    this.#packets.take(1, nowMs);
    this.#packetAtMs = nowMs;
    if (framed.kind === "broken") {
      this.#breach("malformed");
      return;
    }
    if (this.#state === "new") {
      this.#takeFirst(framed);
      return;
    }
    if (framed.type === PACKET.PUBLISH) {
      this.#takePublish(framed);
      return;
    }
    if (framed.kind === "oversized") {
      this.#breach("malformed");
      return;
    }
    if (framed.type === PACKET.DISCONNECT) {
      // Without its last will: the library knows by the packet.
      this.#cause = "disconnected";
      this.stream.push(framed.bytes);
    } else if (CLIENT_PACKETS.has(framed.type)) this.stream.push(framed.bytes);
    else this.#breach("malformed");
  }

  #takeFirst(framed: Exclude<Framed, { kind: "broken" }>): void {
    if (framed.kind === "oversized" || framed.type !== PACKET.CONNECT) {
      this.#breach("malformed");
      return;
    }
    this.#state = "signing-in";
    this.stream.push(framed.bytes);
  }

  #takePublish(framed: Exclude<Framed, { kind: "broken" }>): void {
    const body = framed.kind === "packet" ? framed.bytes.subarray(framed.bodyAt) : framed.head;
    const packet = readPublish(framed.flags, body);
    if (packet === null || !isTopic(packet.topic)) {
      this.#breach("topic-malformed", packet?.topic ?? null);
      return;
    }
    this.messagesCount += 1;
    const { qos, messageId, topic, payload } = packet;
    const thank = qos === 0 || messageId === null ? null : this.held.add({ qos, messageId });
    const isTooLarge = framed.kind === "oversized" || payload.length > this.#messageBytesMax;
    const verdict = isTooLarge ? TOO_LARGE : this.#owner.onPublish(this, packet, thank);
    switch (verdict.kind) {
      case "taken":
        if (framed.kind === "packet") this.#forward(framed.bytes, packet);
        break;
      case "refused":
        if (thank !== null) thank.isKept = true;
        this.refuse(verdict.reason, topic);
        break;
      case "not-now":
        this.#breach(verdict.reason, topic);
        return;
    }
    this.held.release();
  }

  #forward(bytes: Buffer, { qos }: PublishPacket): void {
    if (this.#state === "ended") return;
    if (qos === 0 && this.stream.readableLength > LIMITS.brokerForwardBytesMax.value) this.leftOutCount += 1;
    else this.stream.push(bytes);
  }

  #breach(reason: RefusalReason, topic: string | null = null): void {
    this.#owner.onRefused(this, reason, topic);
    this.end(reason);
  }

  /** The peer said its last: the library deals with what it was given, and then lets go. */
  #endOfPeer(): void {
    if (this.#state !== "in") {
      this.end("closed-by-peer");
      return;
    }
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#cause ??= "closed-by-peer";
    this.stream.push(null);
    this.#clock.after(LIMITS.brokerCloseMsMax.value, () => this.end("closed-by-peer"));
  }

  // ------------------------------------------------------------------------------ from the library

  #makeStream(): Duplex {
    const stream = new Duplex({
      // Bounded by what waits in the socket instead: a slow reader must not hold up those who send to it.
      writableHighWaterMark: Number.MAX_SAFE_INTEGER,
      readableHighWaterMark: LIMITS.brokerForwardBytesMax.value,
      read: () => {},
      write: (bytes: Buffer, _encoding, done) => {
        this.#send(this.#filter.pass(bytes));
        done();
      },
      writev: (chunks, done) => {
        this.#send(chunks.flatMap(({ chunk }: { chunk: Buffer }) => this.#filter.pass(chunk)));
        done();
      },
      destroy: (_error, done) => {
        this.end(this.#cause ?? "refused");
        done(null);
      },
    });
    stream.on("close", () => this.#waitForLeave(LIBRARY_TURNS));
    return stream;
  }

  #waitForLeave(turns: number): void {
    if (turns > 0) {
      setImmediate(() => this.#waitForLeave(turns - 1));
      return;
    }
    this.#left = true;
    for (const work of this.#onLeft.splice(0)) work();
  }

  #send(pieces: readonly Buffer[]): void {
    if (pieces.length === 0 || this.#state === "ended" || this.#socketEnded) return;
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.uncork();
    if (this.#socket.writableLength > SLOW_BYTES) this.#owner.onSlow(this);
  }

  #answered(returnCode: number): void {
    // After any other answer the library ends the connection.
    if (this.#state !== "signing-in" || returnCode !== 0) return;
    this.#state = "in";
    this.#timer.stop();
    this.#packetAtMs = this.#clock.monotonic();
    this.#watchKeepAlive(this.#keepAliveMs);
    this.#owner.onIn(this);
    this.#goOnSoon();
  }

  /** Ends it after its promise was broken. Time in which we did not read does not count. */
  #watchKeepAlive(waitMs: number): void {
    if (this.#keepAliveMs === 0 || this.#state === "ended") return;
    this.#timer = this.#clock.after(waitMs, () => {
      if (this.#socketPaused) this.#packetAtMs = this.#clock.monotonic();
      const leftMs = this.#packetAtMs + this.#keepAliveMs - this.#clock.monotonic();
      if (leftMs <= 0) this.end("keep-alive");
      else this.#watchKeepAlive(leftMs);
    });
  }
}

const TOO_LARGE: PublishVerdict = { kind: "refused", reason: "message-too-large" };
/** Turns of the event loop that the library takes to end subscriptions and publish a last will after its stream has closed; one was measured. */
const LIBRARY_TURNS = 3;
/** From here on a reader counts as slow and is looked at. */
const SLOW_BYTES = 262_144;

function burst(perSecond: number): Pace {
  return { perSecond, atOnce: perSecond * LIMITS.brokerBurstSeconds.value };
}
