import type { ActMessage, Deed, DoorName, Role } from "./act.ts";
import type { Alert } from "./alert.ts";
import type { Fault } from "./errors.ts";
import type { HistogramView } from "./histogram.ts";
import type { AlertId, DeviceId, Seq } from "./ids.ts";
import type { Observation, Reading, WaveformChunk } from "./observation.ts";
import type { QuantityName, Text, WaveformName } from "./quantities.ts";
import type { JournalRecord, LifeStart, Loss, LossReason, RecordKind, SeqSpan } from "./record.ts";
import type { Result } from "./result.ts";
import type { MonotonicMs, WallMs } from "./time.ts";

// ------------------------------------------------------------------ transports

/** What a link reports, in order. A link opens itself again after `down`; only `close` ends it. */
export type LinkEvent =
  | { readonly kind: "up"; readonly atMonotonicMs: MonotonicMs }
  | {
      readonly kind: "bytes";
      /** Counts the chunks of this link from 1; `committed` thanks by it. */
      readonly position: number;
      readonly channel: string;
      readonly bytes: Uint8Array;
      readonly receivedAtMs: WallMs;
      readonly receivedMonotonicMs: MonotonicMs;
      /** True of what somebody kept for an unknown time before it came: retained, queued while the gateway was away, or delivered again. Nothing in it is now. */
      readonly kept?: boolean;
      /** True of what a server shows to everybody who comes, each time; it is `kept` as well. */
      readonly retained?: boolean;
      /** Of a message that its sender delivers again until it is thanked: the same each time, and of no other message that is on its way. */
      readonly identity?: string;
    }
  | { readonly kind: "down"; readonly fault: Fault; readonly atMonotonicMs: MonotonicMs };

/** A connection to one device that lasts as long as the gateway runs. Knows bytes, no medicine. */
export interface Link {
  /** Everything that happened, once, for one consumer; ends after `close`. Pauses the sender when the consumer is slow. */
  readonly events: AsyncIterable<LinkEvent>;
  /** Sends bytes; fails when the link is down. Channel "" where the transport has one channel only. */
  readonly write: (channel: string, bytes: Uint8Array) => Promise<Result<void, Fault>>;
  /** Everything that came of the chunks up to this position is on disk: a transport that acknowledges (MQTT, MLLP, stored records) thanks its sender now. */
  readonly committed: (upToPosition: number) => void;
  readonly close: () => Promise<void>;
}

/** How a device is reached, as the configuration says it. */
export type LinkSpec =
  | { readonly kind: "serial"; readonly path: string; readonly line: SerialLine }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | MqttLinkSpec
  | {
      readonly kind: "capture";
      readonly file: string;
      /** 1 plays at the recording's own pace, 2 twice as fast. */
      readonly speed: number;
      readonly repeat: boolean;
      /** Pace of a raw recording, which has no times of its own; 960 (9600 baud, 8N1) where it is not said. */
      readonly bytesPerSecond?: number | undefined;
      /** Bytes of a raw recording that come together, as a device sends a message; a twentieth of a second's where it is not said. */
      readonly burstBytes?: number | undefined;
    };

/** A device whose messages come by MQTT: one chunk is one message, its channel the topic. */
export interface MqttLinkSpec {
  readonly kind: "mqtt";
  readonly source:
    | {
        /** The broker inside the gateway. */
        readonly kind: "embedded";
        /** The account whose connection is this device's link; null where several devices share one (a Zigbee bridge): then the link is as up as the broker. */
        readonly account: string | null;
      }
    | {
        /** Another server, which keeps what comes while the gateway is away. */
        readonly kind: "server";
        readonly access: MqttServer;
        /** Unlike any other client's of that server. */
        readonly clientId: string;
        /** How long the server keeps what comes while we are away, 0 for not at all; seven days where it is not said. */
        readonly sessionExpirySeconds?: number | undefined;
      };
  /** Filters of the topics its messages come on. */
  readonly topics: readonly string[];
}

/** Where an MQTT server is and what it wants to see. Secrets are files, read anew at each connect so that a changed one is picked up. */
export interface MqttServer {
  /** `mqtt://host:port` or `mqtts://host:port`. */
  readonly url: string;
  /** 5, or 4 for servers that speak MQTT 3.1.1 only. */
  readonly protocolVersion: 4 | 5;
  readonly username?: string | undefined;
  readonly passwordFile?: string | undefined;
  /** Certificates to trust, in PEM; the system's where left out. */
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** One message that came to the embedded broker for a device. */
export interface BrokerArrival {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** True of what the broker had retained from before it was listened for. */
  readonly retained: boolean;
  /** The sender marks it as sent before, because it never saw our thanks (DUP). */
  readonly again: boolean;
  /** The sender's packet identifier with QoS 1 and 2, null with QoS 0. */
  readonly messageId: number | null;
}

/** Where the embedded broker tells what happens to one device's messages. */
export interface BrokerListener {
  /**
   * `thank` lets the sender have its PUBACK, and nothing else does; with QoS 0 it does nothing.
   * Returns false where it cannot be taken now: the broker then ends the sender's connection, so that it comes again and sends it again.
   */
  readonly message: (arrival: BrokerArrival, thank: () => void) => boolean;
  /** The account has a connection; where no account is named, the broker listens. */
  readonly up: () => void;
  /** It has none; `cause` is a short word, such as `not-connected`, `keep-alive`, `closed-by-peer`, `taken-over`. */
  readonly down: (cause: string) => void;
}

/** A message of a client that is in, on a topic that none of the gateway's links listens to and no device is configured for. */
export interface UnheardMessage {
  readonly account: string;
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** What the embedded broker offers to the gateway's links. */
export interface BrokerInlet {
  /** Tells what comes on these topics, from any account that may publish there; returns how to stop that. Calls `up` or `down` within this call. */
  readonly listen: (
    wanted: { readonly topics: readonly string[]; readonly account: string | null },
    listener: BrokerListener,
  ) => () => void;
}

/** Settings of a serial line. */
export interface SerialLine {
  readonly baudRate: number;
  readonly dataBits: 5 | 6 | 7 | 8;
  readonly parity: "none" | "even" | "odd";
  readonly stopBits: 1 | 2;
  readonly handshake: "none" | "rts-cts" | "xon-xoff";
}

/** Where HL7 messages are received by MLLP, and from whom. */
export interface MllpSpec {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Addresses and networks (`10.1.2.0/24`) that may connect; nobody else is heard. */
  readonly allowFrom: readonly string[];
  /** Encrypted, and nothing else; files in PEM. With `clientCaFile` only who has a certificate of that issuer is heard. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly clientCaFile?: string | undefined } | undefined;
}

/** One whole message out of its MLLP frame. */
export interface MllpArrival {
  readonly bytes: Uint8Array;
  readonly address: string;
}

/** What an MLLP server did not take: bytes that were no frame, or somebody who may not connect. */
export type MllpRefusal =
  | { readonly kind: "frame"; readonly error: DecodeError; readonly address: string }
  | {
      readonly kind: "connection";
      readonly why: "address" | "certificate" | "too-many" | "slow-answer";
      readonly cause: string;
      readonly address: string;
    };

/** Who gets the messages of an MLLP server. */
export interface MllpOwner {
  /**
   * Takes a message and returns the answers, in order, when what it brought is on disk; of one connection one message at a time.
   * `stop` is aborted when the connection is gone or the server closes: nobody hears the answer any more. Never rejects.
   */
  readonly message: (arrival: MllpArrival, stop: AbortSignal) => Promise<readonly Uint8Array[]>;
  readonly refused: (refusal: MllpRefusal) => void;
}

/** An open MLLP server. */
export interface MllpServer {
  readonly port: number;
  readonly connectionCount: () => number;
  /** Ends all connections; what was not answered comes again. */
  readonly close: () => Promise<void>;
}

// --------------------------------------------------------------------- drivers

/** A wave as the driver found it in one message. */
export interface WaveSamples {
  readonly waveform: WaveformName;
  readonly sampleRateHz: number;
  /** Index of the first sample since the session began; after a gap it is advanced by the samples that are missing. */
  readonly firstSampleIndex: number;
  readonly raw: Float32Array;
  readonly gain: number;
  readonly offset: number;
  readonly unit: string;
}

/** An alarm the device itself raises or ends. The gateway never suppresses nor delays it. */
export interface DeviceAlarm {
  /** Stable within the driver, such as `asystole` or `leads-off`. */
  readonly code: string;
  readonly nature: "physiological" | "technical";
  readonly priority: "high" | "medium" | "low";
  readonly active: boolean;
  /** The device's own words. */
  readonly text: string;
  /** True of a call that has no end the device would tell, such as a pressed button: it is said each time it happens, and never ended by the driver. */
  readonly once?: boolean;
  /** True of a state that a server keeps for those who come later and replaces when it changes, such as a retained availability: old as it is, it holds. */
  readonly standing?: boolean;
}

/** Something else the device said or did. */
export interface DriverEvent {
  readonly code: "synchronised" | "device-text" | "device-state" | "device-clock";
  readonly facts: Readonly<Record<string, string | number>>;
}

/** The time of a record out of a device's memory. Only its age counts: so a wrong clock cancels out. */
export interface StoredTime {
  /** When it was recorded, by the device's clock; null where the record does not say or the clock was not set. */
  readonly atDeviceMs: WallMs | null;
  /** What the same clock says now, or null where the protocol does not tell. */
  readonly deviceNowMs: WallMs | null;
}

/** One message of the device, decoded, or one stretch of bytes that was refused. */
export type Emission =
  | {
      readonly kind: "message";
      readonly readings: readonly Reading[];
      readonly waveforms: readonly WaveSamples[];
      readonly alarms: readonly DeviceAlarm[];
      readonly events: readonly DriverEvent[];
      /** The device's own time of this message, or null where it has none or it is not set. */
      readonly deviceClockMs: WallMs | null;
      /** Set where the message is a record out of the device's memory; null or left out of what is measured now. */
      readonly stored?: StoredTime | null;
      /** True where the device may keep messages and send them later without a word of it: whether this one is now is judged by its `deviceClockMs`. */
      readonly mayBeStored?: boolean;
      /** True where somebody else says it of the device, such as its bridge: it does not show that the device is alive. */
      readonly byOther?: boolean;
      /** `test` where the device says it is in test or demonstration mode. */
      readonly origin: "device" | "test";
    }
  | { readonly kind: "refusal"; readonly error: DecodeError };

/** Why bytes were refused. */
export type DecodeError =
  | { readonly kind: "bad-checksum"; readonly expected: number; readonly given: number; readonly atByte: number }
  | { readonly kind: "too-long"; readonly limitBytes: number }
  | { readonly kind: "truncated"; readonly neededBytes: number; readonly givenBytes: number }
  | { readonly kind: "lost-sync"; readonly skippedBytes: number }
  | { readonly kind: "bad-field"; readonly field: string; readonly given: string }
  | { readonly kind: "no-frame"; readonly givenBytes: number };

/** One conversation with one device, from the opening of its link to its loss. Holds all its own state. */
export interface DriverSession {
  /**
   * Takes the next bytes, split anywhere, and returns what they complete.
   * Must accept any bytes at all without throwing, and keep no more than `framerBytesMax` of them.
   */
  readonly feed: (bytes: Uint8Array, channel: string, atMonotonicMs: MonotonicMs) => readonly Emission[];
  /** What must be sent now (handshakes, polls, keep-alives), and when to ask again; null: never. */
  readonly due: (atMonotonicMs: MonotonicMs) => {
    readonly bytesToSend: readonly { readonly channel: string; readonly bytes: Uint8Array }[];
    readonly nextDueMs: MonotonicMs | null;
  };
}

/** The body a twin's sensors are attached to. Sampled at any time; the same time gives the same answer. */
export interface PatientBody {
  /** The quantity's value in its canonical unit, or the absence a sensor would see. */
  readonly quantity: (name: QuantityName, atMs: number) => Reading;
  /** The wave's value: millivolts for ECG, mm[Hg] for pressures, 0 to 1 for the others. */
  readonly wave: (name: WaveformName, atMs: number) => number;
}

/** A device that is not on the desk: sends the real bytes of its kind. */
export interface Twin {
  /** The bytes the device sends between the last call and `atMs` (milliseconds since the twin was switched on), and when to ask again. */
  readonly due: (atMs: number) => {
    readonly bytesToSend: readonly { readonly channel: string; readonly bytes: Uint8Array }[];
    readonly nextDueMs: number;
  };
  /** What the host wrote to the device. */
  readonly receive: (bytes: Uint8Array, channel: string) => void;
}

/** How one simulated device differs from others of its kind. */
export interface TwinTraits {
  /** What its own clock, where it has one, shows at its zero, in milliseconds since 1970; `RELEASED_AT_MS` where left out. */
  readonly clockAtZeroMs?: number;
  /** One of its driver's `variants`; the usual device where left out. */
  readonly variant?: string;
}

/** Bytes with their meaning, from a source outside this code. */
export interface DriverVector {
  readonly name: string;
  /** A clause, a published example or a capture. */
  readonly source: string;
  readonly channel?: string;
  readonly options?: Readonly<Record<string, string>>;
  /** Hex, spaces allowed; one string per chunk. */
  readonly hex: readonly string[];
  /** What must come out, in order; a reading is compared by its fields given here. */
  readonly expect: readonly VectorExpectation[];
}

/** What one emission must contain. Readings not named are not compared. */
export type VectorExpectation =
  | {
      readonly kind: "message";
      readonly readings: readonly ({ readonly quantity: QuantityName } & (
        | { readonly value: number; readonly flags?: readonly string[] }
        | { readonly why: string }
      ))[];
      readonly alarms?: readonly string[];
    }
  | { readonly kind: "refusal"; readonly error: DecodeError["kind"] };

/** The usual way to one kind of device. */
export type DriverLink =
  /** Bytes in a stream, split anywhere, over a serial port or what carries one. */
  | { readonly kind: "serial"; readonly line: SerialLine }
  /** Whole messages by MQTT; in the topics `%d` stands for the device's id. */
  | { readonly kind: "mqtt"; readonly topics: readonly string[] };

/** An option of a driver whose value will not do. */
export interface OptionProblem {
  readonly option: string;
  readonly problem: Text;
  readonly remedy: Text;
}

/** One kind of device, whole: one file in `drivers/`. Knows no links, wall clocks or patients. */
export interface Driver {
  readonly id: string;
  readonly version: string;
  readonly title: Text;
  /** Documents and captures the layout was taken from. */
  readonly reference: readonly string[];
  /** How such devices are usually reached; the configuration may change each setting. */
  readonly link: DriverLink;
  readonly quantities: readonly QuantityName[];
  readonly waveforms: readonly WaveformName[];
  /** Quantities whose silence is alarmed by default once the device is assigned. */
  readonly expected: readonly QuantityName[];
  /** Longest silence of the device's bytes before it is technical trouble, in seconds. */
  readonly silenceSeconds: number;
  /** How long a quantity may keep its last digit before it counts as stuck, in seconds. */
  readonly stuckSeconds: Readonly<Partial<Record<QuantityName, number>>>;
  /** True where a checksum protects every frame: the shared test then demands that any flipped bit is refused. */
  readonly checksummed: boolean;
  /** Names of the options `open` and `twin` know; any other is refused with a remedy before it reaches the driver. */
  readonly optionNames: readonly string[];
  /** What is wrong with the values of options, all at once; left out where any text will do. `open` is never called with options that have a problem. */
  readonly checkOptions?: (options: Readonly<Record<string, string>>) => readonly OptionProblem[];
  readonly open: (options: Readonly<Record<string, string>>) => DriverSession;
  /** Bytes of one message that says these readings to a session with the same options, for drivers that can. */
  readonly encode: ((readings: readonly Reading[], options?: Readonly<Record<string, string>>) => Uint8Array) | null;
  /** Ways in which devices of this kind differ by firmware or settings, and which the twin can play; left out where none are known. */
  readonly variants?: Readonly<Record<string, Text>>;
  readonly twin: (body: PatientBody, options: Readonly<Record<string, string>>, traits?: TwinTraits) => Twin;
  readonly vectors: readonly DriverVector[];
}

// --------------------------------------------------------------------- journal

/** Where a reader stands: everything up to `upTo` is done except the ranges in `open`. */
export interface ReaderCursor {
  /** The journal's epoch that the numbers belong to; a reader with another epoch's cursor begins anew. */
  readonly epoch: string;
  readonly upTo: Seq;
  readonly open: readonly SeqSpan[];
  /** Where it began anew: records up to a number may have been sent under the former epoch's keys. */
  readonly former?: { readonly epoch: string; readonly upTo: Seq } | undefined;
}

/** What the journal can say of its own health. */
export type JournalHealth =
  | { readonly state: "working" }
  | { readonly state: "failing"; readonly fault: Fault; readonly waitingRecords: number };

/** Counters since the journal was opened. */
export interface JournalStats {
  readonly committedRecords: number;
  readonly commits: number;
  readonly bytesOnDisk: number;
  readonly waitingRecords: number;
  readonly droppedRecords: number;
  /** Longest and 99th percentile time of a commit in the worker, in ms, over the last 10,000 commits. */
  readonly commitMsP50: number;
  readonly commitMsP99: number;
  readonly commitMsMax: number;
  /** How long all commits took; left out where nobody counts them. */
  readonly commitTimes?: HistogramView;
  /** Commits that waited for the disk plus two for each time a write-ahead log was carried into its file. */
  readonly fsyncs: number;
  /** Chunks of waves that were taken into the ring, and those that were given up before their time. */
  readonly keptWaves: number;
  readonly droppedWaves: number;
  /** Bytes of the ring and all strips. */
  readonly waveBytesOnDisk: number;
}

/** The one durable, bounded, ordered journal. All files belong to its worker thread. */
export interface Journal {
  /** A UUID made with the journal; part of every record's key outside. */
  readonly epoch: string;
  /** The highest sequence number found on disk at start, 0 in a new journal. */
  readonly lastSeqAtOpen: Seq;
  /** How the gateway before this one left the journal. */
  readonly endedBefore: LifeStart["before"];
  /** Numbers that must not be given to any record, because a former life may have given them without a record on disk; the next record gets the number after it, or after `lastSeqAtOpen`. */
  readonly leftOutAtOpen: SeqSpan | null;
  /** Damage and losses found while opening; each becomes a technical alert. */
  readonly faultsAtOpen: readonly Fault[];
  /** Queues records in rising order of `seq`; never waits, never throws for what the disk does. */
  readonly append: (records: readonly JournalRecord[]) => void;
  /** Somebody waits for what is queued now before they go on: it waits for company no longer than `journalHurriedGroupMsMax`. */
  readonly hurry: () => void;
  /** Everything up to here is on disk. */
  readonly committedSeq: () => Seq;
  /**
   * Keeps chunks of waves in the ring; never waits, never throws for what the disk does. They are on disk within six seconds; a power cut
   * may take the last six without a record of it. Every other loss but age is told by `onLoss` as `waveforms`. An alert that is physiological
   * and begins or grows worse has the waves around it copied into a strip by itself.
   */
  readonly recordWaves: (chunks: readonly WaveformChunk[]) => void;
  /** Calls back after each commit with the new `committedSeq`, and returns how to stop that. */
  readonly onCommit: (listener: (upTo: Seq) => void) => () => void;
  readonly onHealth: (listener: (health: JournalHealth) => void) => () => void;
  /**
   * The disk came back with another journal than the one in use, for example an older one that could not be read at the start. Nothing of it
   * was changed, and nothing is written any more: the process must end in good order and begin anew on what is there. Told to late listeners too.
   */
  readonly onOtherJournal: (listener: (found: Fault) => void) => () => void;
  /**
   * Ranges the journal had to give up (full queue, byte budget, damage); the gateway turns them into `loss` records.
   * Told before `committedSeq` passes them. What was given up before a listener came, or before a crash and without a
   * `loss` record, is told to the first listener.
   */
  readonly onLoss: (
    listener: (loss: {
      readonly fromSeq: Seq;
      readonly toSeq: Seq;
      readonly count: number;
      readonly why: LossReason;
      readonly what: Loss["what"];
      readonly reader: string | null;
    }) => void,
  ) => () => void;
  /** Committed records with `seq` over `afterSeq`, in order, at most `limit` (and `journalReadRecordsMax`). */
  readonly read: (query: {
    readonly afterSeq: Seq;
    readonly upToSeq?: Seq;
    readonly limit: number;
    readonly kinds?: readonly RecordKind[];
  }) => Promise<readonly JournalRecord[]>;
  /** The last `limit` committed observations at most (and `journalReadRecordsMax`) with `seq` up to `upToSeq`, in rising order. */
  readonly readBack: (query: { readonly upToSeq: Seq; readonly limit: number }) => Promise<readonly Observation[]>;
  /** The latest version of every alert that has not ended. */
  readonly openAlerts: () => Promise<readonly Alert[]>;
  /** The latest present observation per device and quantity since a time, of those that were not stored and sent later; for rebuilding windows of episodic quantities. */
  readonly latestObservations: (query: {
    readonly sinceMs: WallMs;
    readonly quantities: readonly QuantityName[];
    /** Only what has these numbers, both included: what was written under one clock. */
    readonly fromSeq?: Seq;
    readonly toSeq?: Seq;
  }) => Promise<readonly Observation[]>;
  /**
   * Observations of one patient and quantity, oldest first, thinned to at most `pointsMax` by keeping each interval's lowest and highest.
   * Times are as they were written; `fromSeq` and `toSeq`, both included, take only what was written under one clock.
   */
  readonly trend: (query: {
    readonly patientId: string;
    readonly quantity: QuantityName;
    readonly fromMs: WallMs;
    readonly toMs: WallMs;
    readonly pointsMax: number;
    readonly fromSeq?: Seq;
    readonly toSeq?: Seq;
  }) => Promise<readonly TrendPoint[]>;
  /**
   * Chunks of one device in the ring any of whose samples was measured in this time, in the order they came, at most `journalWavesAnswerMax`.
   * What came in the last second may not be in the ring yet.
   */
  readonly waves: (query: {
    readonly deviceId: DeviceId;
    readonly fromMs: WallMs;
    readonly toMs: WallMs;
  }) => Promise<readonly WaveformChunk[]>;
  /** The waves around an alert, those of its beginning and of each time it grew worse, in the order they came; empty where there is no strip (yet). */
  readonly strip: (alertId: AlertId) => Promise<readonly WaveformChunk[]>;
  readonly cursor: (reader: string) => Promise<ReaderCursor | null>;
  /** Stores where a reader stands. Not durable at once: after a crash a reader may see records again, never miss one. */
  readonly release: (reader: string, cursor: ReaderCursor) => void;
  readonly stats: () => JournalStats;
  /** Commits what is queued and closes the files. */
  readonly close: () => Promise<void>;
}

/** One point of a trend; `value` is null where the quantity was absent. */
export interface TrendPoint {
  readonly atMs: WallMs;
  readonly value: number | null;
  readonly questionable: boolean;
}

// ----------------------------------------------------------------------- sinks

/** One record on its way out. */
export interface Delivery {
  readonly key: string;
  /** The key under which the same record may have been sent before the journal's epoch changed. */
  readonly formerKey?: string | undefined;
  readonly record: JournalRecord;
  /** True where it may have been sent before, or belongs to the backlog. */
  readonly resent: boolean;
  /** False where the record was not on disk when it left. */
  readonly durable: boolean;
}

/** What became of a batch. Retrying is the owner's work. */
export type DeliveryOutcome =
  | { readonly kind: "delivered" }
  | { readonly kind: "try-later"; readonly fault: Fault }
  | { readonly kind: "rejected"; readonly keys: readonly string[]; readonly fault: Fault };

/** Carries records away and says exactly what became of them. */
export interface Sink {
  readonly name: string;
  readonly deliver: (batch: readonly Delivery[], stop: AbortSignal) => Promise<DeliveryOutcome>;
  readonly close: () => Promise<void>;
}

// ------------------------------------------------------------------------ acts

/** Who acts and through which door. */
export interface Actor {
  readonly userId: string;
  readonly from: DoorName;
  /** The network address or the terminal; null or left out where nobody knows. */
  readonly at?: string | null;
  /** What they are signed in as; null or left out where nobody signs in. */
  readonly role?: Role | null;
  /** The message of another system that asks for it; becomes part of the act. */
  readonly message?: ActMessage;
}

/** The one door through which people change something. Resolves when the act is on disk, or after 2 s as not durable. */
export type PerformAct = (deed: Deed, actor: Actor) => Promise<Result<{ readonly seq: Seq; readonly durable: boolean }, Fault>>;
