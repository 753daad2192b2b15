import { LIMITS } from "../../src/core/limits.ts";
import { absent, present, type QualityFlag, type Reading } from "../../src/core/observation.ts";
import type {
  DeviceAlarm,
  Driver,
  DriverEvent,
  DriverSession,
  DriverVector,
  Emission,
  PatientBody,
  Twin,
  WaveSamples,
} from "../../src/core/ports.ts";
import type { QuantityName } from "../../src/core/quantities.ts";
import type { MonotonicMs } from "../../src/core/time.ts";
import { sum8 } from "../../src/wire/checksum.ts";
import { Framer, type FrameVerdict } from "../../src/wire/framer.ts";
import { layout } from "../../src/wire/layout.ts";

/** Frames in a packet, one variable each; 75 frames a second, so three packets a second. Source: Nonin serial data format 2. */
const PACKET_FRAMES_COUNT = 25;
const SAMPLE_RATE_HZ = 75;
const PACKET_MS = (1000 * PACKET_FRAMES_COUNT) / SAMPLE_RATE_HZ;
/** Nonin's signs for "no value". Source: the format; mattjlewis/NoninPulseOx. */
const RATE_MISSING = 511;
const SATURATION_MISSING = 127;
/** A pause longer than this is a hole; shorter ones are the jitter of serial servers and USB. Our setting. */
const PAUSE_MS_MAX = 1000;
/** Bytes of the check in a frame, where `bad-checksum` points. */
const CHECK_BYTE_INDEX = 4;

// -------------------------------------------------------------------- layout

/** One frame. Source: pez-globo/pufferfish-software TestPacketReceiver.cpp (status bits), mdpnp Packet.java (order, sum). */
// biome-ignore format: one row a field, so that it reads as the table it is.
const FRAME = layout({
  lengthBytes: 5,
  fixed: [{ byte: 0, lowest: 0, count: 8, value: 1 }, { byte: 1, lowest: 7, count: 1, value: 1 }],
  fields: {
    sensorDisconnected: [{ byte: 1, lowest: 6, count: 1 }],
    artifact: [{ byte: 1, lowest: 5, count: 1 }],
    outOfTrack: [{ byte: 1, lowest: 4, count: 1 }],
    sensorAlarm: [{ byte: 1, lowest: 3, count: 1 }],
    perfusion: [{ byte: 1, lowest: 1, count: 2 }],
    sync: [{ byte: 1, lowest: 0, count: 1 }],
    pleth: [{ byte: 2, lowest: 0, count: 8 }],
    variable: [{ byte: 3, lowest: 0, count: 8 }],
    check: [{ byte: CHECK_BYTE_INDEX, lowest: 0, count: 8 }],
  },
});

/** What the two perfusion bits say; 0 says nothing. Source: as FRAME, vector V25. */
const PERFUSION = { green: 1, red: 2, yellow: 3 } as const;

/**
 * The variables of the 25 frames. Rates are 9 bits: two in the first frame, seven in the second. `Extended` averages over
 * eight beats instead of four, `Display` is the value Nonin advises for a display.
 * Source: mattjlewis/NoninPulseOx and mdpnp Packet.java (order); the 9 bits from the former, the latter is wrong from 128 /min.
 */
// biome-ignore format: one row a field, so that it reads as the table it is.
const PACKET = layout({
  lengthBytes: PACKET_FRAMES_COUNT,
  fixed: [],
  fields: {
    heartRate: [{ byte: 0, lowest: 0, count: 2 }, { byte: 1, lowest: 0, count: 7 }],
    oxygenSaturation: [{ byte: 2, lowest: 0, count: 7 }],
    firmwareRevision: [{ byte: 3, lowest: 0, count: 8 }],
    timerHigh: [{ byte: 5, lowest: 0, count: 8 }],
    timerLow: [{ byte: 6, lowest: 0, count: 8 }],
    smartPoint: [{ byte: 7, lowest: 5, count: 1 }],
    lowBattery: [{ byte: 7, lowest: 0, count: 1 }],
    oxygenSaturationDisplay: [{ byte: 8, lowest: 0, count: 7 }],
    oxygenSaturationFast: [{ byte: 9, lowest: 0, count: 7 }],
    oxygenSaturationBeatToBeat: [{ byte: 10, lowest: 0, count: 7 }],
    heartRateExtended: [{ byte: 13, lowest: 0, count: 2 }, { byte: 14, lowest: 0, count: 7 }],
    oxygenSaturationExtended: [{ byte: 15, lowest: 0, count: 7 }],
    oxygenSaturationExtendedDisplay: [{ byte: 16, lowest: 0, count: 7 }],
    heartRateDisplay: [{ byte: 19, lowest: 0, count: 2 }, { byte: 20, lowest: 0, count: 7 }],
    heartRateExtendedDisplay: [{ byte: 21, lowest: 0, count: 2 }, { byte: 22, lowest: 0, count: 7 }],
  },
});

const PACKET_BYTES = PACKET_FRAMES_COUNT * FRAME.lengthBytes;

type PacketVariables = ReturnType<typeof PACKET.decode>;

const ELSEWHERE: FrameVerdict = { kind: "elsewhere" };
const MORE: FrameVerdict = { kind: "more", neededBytes: FRAME.lengthBytes };
const WHOLE: FrameVerdict = { kind: "frame", lengthBytes: FRAME.lengthBytes };

/** Judges one frame: start byte, the bit of the status that is always set, the sum. */
function judgeFrame(bytes: Uint8Array, start: number, end: number): FrameVerdict {
  if (!FRAME.matches(bytes, { start, end })) return ELSEWHERE;
  if (end - start < FRAME.lengthBytes) return MORE;
  const expected = sum8(bytes, { start, end: start + CHECK_BYTE_INDEX });
  const given = bytes[start + CHECK_BYTE_INDEX] ?? 0;
  if (expected === given) return WHOLE;
  const error = { kind: "bad-checksum", expected, given, atByte: CHECK_BYTE_INDEX } as const;
  return { kind: "refused", error, lengthBytes: FRAME.lengthBytes };
}

// ------------------------------------------------------------------- meaning

/** What the status bytes of a packet's frames say together: a condition of any frame holds for the packet. */
interface PacketStatus {
  sensorDisconnected: boolean;
  artifact: boolean;
  outOfTrack: boolean;
  sensorAlarm: boolean;
  redPerfusion: boolean;
  yellowPerfusion: boolean;
  greenPerfusion: boolean;
}

function emptyStatus(): PacketStatus {
  return {
    sensorDisconnected: false,
    artifact: false,
    outOfTrack: false,
    sensorAlarm: false,
    redPerfusion: false,
    yellowPerfusion: false,
    greenPerfusion: false,
  };
}

function addStatus(status: PacketStatus, frame: Uint8Array): void {
  if (FRAME.get(frame, "sensorDisconnected") === 1) status.sensorDisconnected = true;
  if (FRAME.get(frame, "artifact") === 1) status.artifact = true;
  if (FRAME.get(frame, "outOfTrack") === 1) status.outOfTrack = true;
  if (FRAME.get(frame, "sensorAlarm") === 1) status.sensorAlarm = true;
  const perfusion = FRAME.get(frame, "perfusion");
  if (perfusion === PERFUSION.red) status.redPerfusion = true;
  if (perfusion === PERFUSION.yellow) status.yellowPerfusion = true;
  if (perfusion === PERFUSION.green) status.greenPerfusion = true;
}

/**
 * The two readings of a packet. A sensor that is off or unusable leaves no value, whatever number is sent beside it; an
 * artifact or a lost pulse leaves the value, questioned, because the device itself still shows it.
 */
function readingsOf(variables: PacketVariables, status: PacketStatus): readonly Reading[] {
  const flags: QualityFlag[] = [];
  if (status.artifact) flags.push("motion");
  if (status.outOfTrack) flags.push("signal-lost");
  if (status.redPerfusion) flags.push("low-perfusion");
  if (status.yellowPerfusion) flags.push("weak-signal");
  const reading = (quantity: QuantityName, value: number, missing: number, unit: string): Reading => {
    if (status.sensorDisconnected) return absent(quantity, "sensor-off");
    if (status.sensorAlarm) return absent(quantity, "no-signal");
    return value === missing ? absent(quantity, "not-available", flags) : present(quantity, value, unit, { flags });
  };
  return [
    reading("pulseRate", variables.heartRate, RATE_MISSING, "/min"),
    reading("oxygenSaturation", variables.oxygenSaturation, SATURATION_MISSING, "%"),
  ];
}

/** The alarms that hold in this packet. Priorities are ours: a sensor that measures nothing is not the least of troubles. */
function alarmsOf(variables: PacketVariables, status: PacketStatus): readonly DeviceAlarm[] {
  const technical = (code: string, priority: "medium" | "low", text: string): DeviceAlarm => ({
    code,
    nature: "technical",
    priority,
    active: true,
    text,
  });
  const alarms: DeviceAlarm[] = [];
  if (status.sensorDisconnected) alarms.push(technical("sensor-disconnected", "medium", "Sensor disconnect"));
  if (status.sensorAlarm) alarms.push(technical("sensor-alarm", "medium", "Sensor alarm"));
  if (variables.lowBattery === 1) alarms.push(technical("low-battery", "low", "Low battery"));
  return alarms;
}

/** The variables that have no quantity name of their own; one that is missing is left out. */
function stateOf(variables: PacketVariables, status: PacketStatus): DriverEvent {
  const facts: Record<string, string | number> = {
    firmwareRevision: variables.firmwareRevision,
    timerHigh: variables.timerHigh,
    timerLow: variables.timerLow,
    smartPoint: variables.smartPoint,
  };
  const rates = ["heartRateDisplay", "heartRateExtended", "heartRateExtendedDisplay"] as const;
  for (const name of rates) if (variables[name] !== RATE_MISSING) facts[`${name}PerMin`] = variables[name];
  const saturations = [
    "oxygenSaturationDisplay",
    "oxygenSaturationFast",
    "oxygenSaturationBeatToBeat",
    "oxygenSaturationExtended",
    "oxygenSaturationExtendedDisplay",
  ] as const;
  for (const name of saturations) if (variables[name] !== SATURATION_MISSING) facts[`${name}Percent`] = variables[name];
  const perfusion = status.redPerfusion ? "red" : status.yellowPerfusion ? "yellow" : status.greenPerfusion ? "green" : null;
  return { code: "device-state", facts: perfusion === null ? facts : { ...facts, perfusion } };
}

// ------------------------------------------------------------------- session

/** One conversation. A packet counts only whole: 25 frames in a row, the first and only the first with the sync bit. */
class NoninSession implements DriverSession {
  readonly #framer: Framer;
  readonly #variables = new Uint8Array(PACKET_FRAMES_COUNT);
  readonly #pleth = new Float32Array(PACKET_FRAMES_COUNT);
  #status = emptyStatus();
  /** Frames of the packet in progress, or null while waiting for a frame with the sync bit. */
  #framesCount: number | null = null;
  #strayBytes = 0;
  #skippedBytes = 0;
  /** Bytes since the last message that did not become part of one: skipped, stray, or of a packet given up. */
  #lostBytes = 0;
  #synchronised = false;
  #nextSampleIndex = 0;
  #lastPacketMs: number | null = null;
  #nowMs = 0;
  #activeAlarms = new Map<string, DeviceAlarm>();
  #emissions: Emission[] = [];

  constructor() {
    this.#framer = new Framer({
      format: judgeFrame,
      limitBytes: LIMITS.framerBytesMax.value,
      sink: {
        frame: (frame, skippedBytes) => this.#takeFrame(frame, skippedBytes),
        refused: (error) => this.#emissions.push({ kind: "refusal", error }),
      },
    });
  }

  feed(bytes: Uint8Array, _channel: string, atMonotonicMs: MonotonicMs): readonly Emission[] {
    this.#emissions = [];
    this.#nowMs = atMonotonicMs;
    this.#framer.feed(bytes);
    return this.#emissions;
  }

  due() {
    return { bytesToSend: [], nextDueMs: null };
  }

  #takeFrame(frame: Uint8Array, skippedBytes: number): void {
    if (skippedBytes > 0) {
      this.#skippedBytes += skippedBytes;
      // The framer has named these bytes; the packet they were torn from is lost with them.
      this.#lostBytes += skippedBytes + (this.#framesCount ?? 0) * FRAME.lengthBytes;
      this.#framesCount = null;
    }
    if (FRAME.get(frame, "sync") === 1) this.#beginPacket();
    if (this.#framesCount === null) {
      this.#countStrayFrame();
      return;
    }
    this.#variables[this.#framesCount] = FRAME.get(frame, "variable");
    this.#pleth[this.#framesCount] = FRAME.get(frame, "pleth");
    addStatus(this.#status, frame);
    this.#framesCount += 1;
    if (this.#framesCount === PACKET_FRAMES_COUNT) this.#finishPacket();
  }

  #beginPacket(): void {
    if (this.#framesCount !== null && this.#framesCount > 0) {
      const givenBytes = this.#framesCount * FRAME.lengthBytes;
      this.#emissions.push({ kind: "refusal", error: { kind: "truncated", neededBytes: PACKET_BYTES, givenBytes } });
      this.#lostBytes += givenBytes;
    }
    this.#nameStrayBytes();
    this.#framesCount = 0;
    this.#status = emptyStatus();
  }

  /** A good frame outside any packet: the tail of one that was given up or began before we listened, or one too many. */
  #countStrayFrame(): void {
    this.#strayBytes += FRAME.lengthBytes;
    this.#lostBytes += FRAME.lengthBytes;
    if (this.#strayBytes >= LIMITS.framerBytesMax.value) this.#nameStrayBytes();
  }

  #nameStrayBytes(): void {
    const explained = this.#skippedBytes > 0 || !this.#synchronised;
    if (!this.#synchronised) this.#skippedBytes += this.#strayBytes;
    if (this.#strayBytes >= LIMITS.framerBytesMax.value || (this.#strayBytes > 0 && !explained)) {
      this.#emissions.push({ kind: "refusal", error: { kind: "lost-sync", skippedBytes: this.#strayBytes } });
    }
    this.#strayBytes = 0;
  }

  #finishPacket(): void {
    const variables = PACKET.decode(this.#variables);
    const status = this.#status;
    const events: DriverEvent[] = [];
    if (!this.#synchronised) events.push({ code: "synchronised", facts: { skippedBytes: this.#skippedBytes } });
    events.push(stateOf(variables, status));
    this.#skipHole();
    const usable = !status.sensorDisconnected && !status.sensorAlarm;
    this.#emissions.push({
      kind: "message",
      readings: readingsOf(variables, status),
      waveforms: usable ? [this.#wave()] : [],
      alarms: this.#alarmChanges(alarmsOf(variables, status)),
      events,
      deviceClockMs: null,
      origin: "device",
    });
    this.#nextSampleIndex += PACKET_FRAMES_COUNT;
    this.#synchronised = true;
    this.#skippedBytes = 0;
    this.#lostBytes = 0;
    this.#framesCount = null;
  }

  /** Advances the index of the next sample by the packets that are missing: by the bytes that were lost, or by the time. */
  #skipHole(): void {
    const pauseMs = this.#lastPacketMs === null ? 0 : this.#nowMs - this.#lastPacketMs;
    const byBytes = Math.round(this.#lostBytes / PACKET_BYTES);
    const byTime = pauseMs > PAUSE_MS_MAX || this.#lostBytes > 0 ? Math.round(pauseMs / PACKET_MS) - 1 : 0;
    if (this.#synchronised) this.#nextSampleIndex += Math.max(byBytes, byTime, 0) * PACKET_FRAMES_COUNT;
    this.#lastPacketMs = this.#nowMs;
  }

  #wave(): WaveSamples {
    return {
      waveform: "plethysmogram",
      sampleRateHz: SAMPLE_RATE_HZ,
      firstSampleIndex: this.#nextSampleIndex,
      raw: this.#pleth.slice(),
      gain: 1,
      offset: 0,
      unit: "1",
    };
  }

  #alarmChanges(holding: readonly DeviceAlarm[]): readonly DeviceAlarm[] {
    const changes = holding.filter((alarm) => !this.#activeAlarms.has(alarm.code));
    for (const [code, alarm] of this.#activeAlarms) {
      if (!holding.some((other) => other.code === code)) changes.push({ ...alarm, active: false });
    }
    this.#activeAlarms = new Map(holding.map((alarm) => [alarm.code, alarm]));
    return changes;
  }
}

// --------------------------------------------------------------- other way

function bodyOf(readings: readonly Reading[]): Pick<PatientBody, "quantity"> {
  return { quantity: (name) => readings.find((reading) => reading.quantity === name) ?? absent(name, "not-available") };
}

/** A whole number the field can say, or the format's sign for "no value". */
function codeOf(reading: Reading, { missing, max }: { readonly missing: number; readonly max: number }): number {
  if (reading.kind === "absent") return missing;
  const value = Math.round(reading.value);
  return value >= 0 && value <= max ? value : missing;
}

/** The bytes of one packet: what these readings say, with 25 pleth samples of 0 to 255. */
function encodePacket(body: Pick<PatientBody, "quantity">, atMs: number, pleth: (frameIndex: number) => number): Uint8Array {
  const rate = body.quantity("pulseRate", atMs);
  const saturation = body.quantity("oxygenSaturation", atMs);
  const heartRate = codeOf(rate, { missing: RATE_MISSING, max: RATE_MISSING - 1 });
  const oxygenSaturation = codeOf(saturation, { missing: SATURATION_MISSING, max: 100 });
  const both = [rate, saturation];
  const says = (why: string) => (both.some((reading) => reading.kind === "absent" && reading.why === why) ? 1 : 0);
  const carries = (flag: QualityFlag) => both.some((reading) => reading.flags.includes(flag));
  const variables = PACKET.encode({
    heartRate,
    heartRateDisplay: heartRate,
    heartRateExtended: heartRate,
    heartRateExtendedDisplay: heartRate,
    oxygenSaturation,
    oxygenSaturationDisplay: oxygenSaturation,
    oxygenSaturationFast: oxygenSaturation,
    oxygenSaturationBeatToBeat: oxygenSaturation,
    oxygenSaturationExtended: oxygenSaturation,
    oxygenSaturationExtendedDisplay: oxygenSaturation,
    firmwareRevision: 48, // As in the public vector V24.
    timerHigh: 0,
    timerLow: 0,
    smartPoint: 0,
    lowBattery: 0,
  });
  const perfusion = carries("low-perfusion") ? PERFUSION.red : carries("weak-signal") ? PERFUSION.yellow : 0;
  const packet = new Uint8Array(PACKET_BYTES);
  for (let index = 0; index < PACKET_FRAMES_COUNT; index++) {
    const frame = FRAME.encode({
      sensorDisconnected: says("sensor-off"),
      artifact: carries("motion") ? 1 : 0,
      outOfTrack: carries("signal-lost") ? 1 : 0,
      sensorAlarm: says("no-signal"),
      perfusion,
      sync: index === 0 ? 1 : 0,
      pleth: pleth(index),
      variable: variables[index] ?? 0,
      check: 0,
    });
    frame[CHECK_BYTE_INDEX] = sum8(frame, { start: 0, end: CHECK_BYTE_INDEX });
    packet.set(frame, index * FRAME.lengthBytes);
  }
  return packet;
}

/** Sends a packet at the end of each third of a second. A host that did not ask for over ten seconds has lost what is older. */
function createTwin(body: PatientBody): Twin {
  let sentCount = 0;
  return {
    due: (atMs) => {
      // Counted in packets and not in milliseconds, so that thirds of a second do not add up their rounding.
      const dueCount = Math.floor((atMs * SAMPLE_RATE_HZ) / (1000 * PACKET_FRAMES_COUNT) + 1e-9);
      sentCount = Math.max(sentCount, dueCount - 30);
      const bytesToSend: { channel: string; bytes: Uint8Array }[] = [];
      for (; sentCount < dueCount; sentCount++) {
        const beginMs = sentCount * PACKET_MS;
        const pleth = (frameIndex: number) => {
          const sample = body.wave("plethysmogram", beginMs + (frameIndex * 1000) / SAMPLE_RATE_HZ);
          return Math.min(255, Math.max(0, Math.round(sample * 255)));
        };
        bytesToSend.push({ channel: "", bytes: encodePacket(body, beginMs + PACKET_MS, pleth) });
      }
      return { bytesToSend, nextDueMs: (sentCount + 1) * PACKET_MS };
    },
    receive: () => {},
  };
}

// ------------------------------------------------------------------- vectors

const PUFFERFISH =
  "pez-globo/pufferfish-software firmware/ventilator-controller-stm32/Core/Test/Pufferfish/Driver/Serial/Nonin/TestPacketReceiver.cpp (Apache-2.0)";
const REST = "01 80 01 00 82 ";
const START = "01 81 01 00 83 ";
const RATE = "01 80 01 48 CA ";
const SATURATION = "01 80 01 61 E3 ";
const REVISION = "01 80 01 30 B2 ";

/** The variables from frame 4 on, of vector V24: all saturations 97, all rates 72. */
const TAIL_FROM_8 = `${SATURATION.repeat(3)}${REST.repeat(3)}${RATE}${SATURATION.repeat(2)}${REST.repeat(3)}${RATE}${REST}${RATE}${REST.repeat(2)}`;

/** Vector V24 with the frames 0 to 7 given; a frame in place of a resting one carries a status of vector V25. */
function packetHex(frames0to7: string): readonly string[] {
  return [frames0to7 + TAIL_FROM_8];
}

// biome-ignore format: one vector a block.
const VECTORS: readonly DriverVector[] = [
  { name: "a whole packet: 72 /min, 97 %", source: `${PUFFERFISH}, lines 108-132; protocol notes V24`,
    hex: packetHex(START + RATE + SATURATION + REVISION + REST.repeat(4)),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", value: 72, flags: [] }, { quantity: "oxygenSaturation", value: 97, flags: [] }], alarms: [] }] },
  { name: "a frame with a wrong check before the packet is refused and the packet is read, not shifted by one", source: "protocol notes V27, computed from the sum rule",
    hex: ["01 80 01 61 E4", ...packetHex(START + RATE + SATURATION + REVISION + REST.repeat(4))],
    expect: [{ kind: "refusal", error: "bad-checksum" }, { kind: "message", readings: [{ quantity: "pulseRate", value: 72 }, { quantity: "oxygenSaturation", value: 97 }] }] },
  { name: "a packet whose SpO2 frame is damaged is given up, the next one is read", source: "V24 with the wrong check of V27",
    hex: [...packetHex(`${START}${RATE}01 80 01 61 E4 ${REVISION}${REST.repeat(4)}`), ...packetHex(START + RATE + SATURATION + REVISION + REST.repeat(4))],
    expect: [{ kind: "refusal", error: "bad-checksum" }, { kind: "message", readings: [{ quantity: "pulseRate", value: 72 }, { quantity: "oxygenSaturation", value: 97 }] }] },
  { name: "a packet that lacks a frame is refused as truncated", source: `${PUFFERFISH}: "Valid 58 frames with 23 Frames of first packet and 25 frames of second packet"`,
    hex: [`${START}${RATE}${SATURATION}${REVISION}${REST.repeat(4)}${TAIL_FROM_8.slice(0, -2 * REST.length)}`, ...packetHex(START + RATE + SATURATION + REVISION + REST.repeat(4))],
    expect: [{ kind: "refusal", error: "truncated" }, { kind: "message", readings: [{ quantity: "pulseRate", value: 72 }, { quantity: "oxygenSaturation", value: 97 }] }] },
  { name: "two frames too many are refused, the next packet is read", source: `${PUFFERFISH}: "28 frames with 25 Frames of first packet and 2 invalid noise"`,
    hex: [...packetHex(START + RATE + SATURATION + REVISION + REST.repeat(4)), REST.repeat(2), ...packetHex(START + RATE + SATURATION + REVISION + REST.repeat(4))],
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", value: 72 }] }, { kind: "refusal", error: "lost-sync" }, { kind: "message", readings: [{ quantity: "pulseRate", value: 72 }] }] },
  { name: "a disconnected sensor leaves no value beside the numbers it still sends", source: `${PUFFERFISH}, frame 01 C0 01 00 C2; protocol notes V25`,
    hex: packetHex(`${START}${RATE}${SATURATION}${REVISION}${REST.repeat(3)}01 C0 01 00 C2 `),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", why: "sensor-off" }, { quantity: "oxygenSaturation", why: "sensor-off" }], alarms: ["sensor-disconnected"] }] },
  { name: "a sensor alarm leaves no value", source: `${PUFFERFISH}, frame 01 88 01 00 8A; protocol notes V25`,
    hex: packetHex(`${START}${RATE}${SATURATION}${REVISION}01 88 01 00 8A ${REST.repeat(3)}`),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", why: "no-signal" }, { quantity: "oxygenSaturation", why: "no-signal" }], alarms: ["sensor-alarm"] }] },
  { name: "out of track questions the values", source: `${PUFFERFISH}, frame 01 90 01 00 92 (its sum 92 is right); protocol notes V25`,
    hex: packetHex(`${START}${RATE}${SATURATION}${REVISION}${REST}01 90 01 00 92 ${REST.repeat(2)}`),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", value: 72, flags: ["signal-lost"] }, { quantity: "oxygenSaturation", value: 97, flags: ["signal-lost"] }], alarms: [] }] },
  { name: "an artifact questions the values as motion", source: `${PUFFERFISH}, frame 01 A0 01 00 A2; protocol notes V25`,
    hex: packetHex(`${START}${RATE}${SATURATION}${REVISION}${REST.repeat(2)}01 A0 01 00 A2 ${REST}`),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", value: 72, flags: ["motion"] }, { quantity: "oxygenSaturation", value: 97, flags: ["motion"] }], alarms: [] }] },
  { name: "red and yellow perfusion lower the trust, green does not", source: `${PUFFERFISH}, frames 01 82 01 48 CC, 01 86 01 61 E9, 01 84 01 30 B6; protocol notes V25`,
    hex: packetHex(`${START}01 82 01 48 CC 01 86 01 61 E9 01 84 01 30 B6 ${REST.repeat(4)}`),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", value: 72, flags: ["low-perfusion", "weak-signal"] }, { quantity: "oxygenSaturation", value: 97, flags: ["low-perfusion", "weak-signal"] }], alarms: [] }] },
  { name: "green perfusion alone is a good signal", source: `${PUFFERFISH}, frame 01 82 01 48 CC; protocol notes V25`,
    hex: packetHex(`${START}01 82 01 48 CC ${SATURATION}${REVISION}${REST.repeat(4)}`),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", value: 72, flags: [] }, { quantity: "oxygenSaturation", value: 97, flags: [] }], alarms: [] }] },
  { name: "a rate over 127 takes its high bits from the first frame: 150 /min", source: "mattjlewis/NoninPulseOx (rate of 9 bits: MSB 1, LSB 22); check bytes computed from the sum rule",
    hex: packetHex(`01 81 01 01 84 01 80 01 16 98 ${SATURATION}${REVISION}${REST.repeat(4)}`),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", value: 150, flags: [] }, { quantity: "oxygenSaturation", value: 97, flags: [] }] }] },
  { name: "511 and 127 are the signs for no value", source: "protocol notes section 3 (mattjlewis/NoninPulseOx; mdpnp DemoNoninPulseOx MAX_HR 511); check bytes computed from the sum rule",
    hex: packetHex(`01 81 01 03 86 01 80 01 7F 01 01 80 01 7F 01 ${REVISION}${REST.repeat(4)}`),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", why: "not-available" }, { quantity: "oxygenSaturation", why: "not-available" }], alarms: [] }] },
  { name: "a low battery is a technical alarm and no more", source: "mdpnp Packet.java (frame 7, bit 0); check byte computed from the sum rule",
    hex: packetHex(`${START}${RATE}${SATURATION}${REVISION}${REST.repeat(3)}01 80 01 01 83 `),
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", value: 72, flags: [] }, { quantity: "oxygenSaturation", value: 97, flags: [] }], alarms: ["low-battery"] }] },
];

/**
 * Nonin pulse oximeters in serial data format 2: OEM III and Xpod modules, 9600 baud, no handshake, three packets a second.
 * `pulseRate` and `oxygenSaturation` are the standard four-beat averages; all other variables go out as device state.
 */
export const noninDf2: Driver = {
  id: "serial-nonin-df2",
  version: "1.0.0",
  title: { en: "Nonin pulse oximeter (data format 2)", zh: "Nonin 脉搏血氧仪（数据格式2）" },
  reference: [
    "Nonin OEM III / Xpod serial data format 2, as read in mattjlewis/NoninPulseOx and mdpnp devices/nonin Packet.java, Status.java",
    PUFFERFISH,
  ],
  link: { kind: "serial", line: { baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1, handshake: "none" } },
  quantities: ["pulseRate", "oxygenSaturation"],
  waveforms: ["plethysmogram"],
  expected: ["pulseRate", "oxygenSaturation"],
  // mdpnp's watchdog for Nonin: nine packets missing.
  silenceSeconds: 3,
  // Our settings, to be confirmed by the clinical owner: a saturation may truly stand at its ceiling for long.
  stuckSeconds: { pulseRate: 600, oxygenSaturation: 3600 },
  checksummed: true,
  optionNames: [],
  open: () => new NoninSession(),
  encode: (readings) => encodePacket(bodyOf(readings), 0, () => 1),
  twin: (body) => createTwin(body),
  vectors: VECTORS,
};
