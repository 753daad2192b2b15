import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ivy450c } from "../drivers/serial/ivy-450c.ts";
import type { Reading } from "../src/core/observation.ts";
import type { DriverSession, Emission } from "../src/core/ports.ts";
import { monotonicMs } from "../src/core/time.ts";

const RECORDING = new Uint8Array(readFileSync(new URL("captures/ivy-450c/Ivy450C.1.data", import.meta.url)));
/** The recording begins with the end of a message and goes on with whole ones. Source: test/captures/ivy-450c/README.md. */
const FIRST_MESSAGE = 252;
const MESSAGE_BYTES = 562;

type Message = Extract<Emission, { kind: "message" }>;

function messagesOf(emissions: readonly Emission[]): readonly Message[] {
  return emissions.filter((emission) => emission.kind === "message");
}

function recordedMessage(index: number): Uint8Array {
  return RECORDING.slice(FIRST_MESSAGE + index * MESSAGE_BYTES, FIRST_MESSAGE + (index + 1) * MESSAGE_BYTES);
}

/** The first recorded message with one piece of its text replaced. */
function changed(piece: string, by: string): Uint8Array {
  const text = Buffer.from(recordedMessage(0)).toString("latin1");
  if (!text.includes(piece)) throw new Error(`the recorded message has no ${piece}`);
  return Uint8Array.from(Buffer.from(text.replace(piece, by), "latin1"));
}

function feed(session: DriverSession, bytes: Uint8Array, atMs = 0): readonly Emission[] {
  return session.feed(bytes, "", monotonicMs(atMs));
}

function read(piece: string, by: string): Message {
  const [message] = messagesOf(feed(ivy450c.open({}), changed(piece, by)));
  if (message === undefined) throw new Error(`refused: ${by}`);
  return message;
}

function reading(message: Message | undefined, quantity: string): Reading | undefined {
  return message?.readings.find((one) => one.quantity === quantity);
}

const WANTED = {
  heartRate: 80,
  respiratoryRate: 35,
  oxygenSaturation: 100,
  pulseRate: 80,
  systolicPressure: 121,
  diastolicPressure: 75,
  meanPressure: 92,
  cuffPulseRate: 80,
  arterialDiastolicPressure: 73,
  arterialMeanPressure: 88,
};

test("the recording of a real monitor is 27 messages with its numbers, and nothing refused", () => {
  const emissions = feed(ivy450c.open({}), RECORDING);
  const messages = messagesOf(emissions);
  expect(emissions).toHaveLength(27);
  expect(messages).toHaveLength(27);
  for (const message of messages) {
    for (const [quantity, value] of Object.entries(WANTED))
      expect(reading(message, quantity)).toMatchObject({ kind: "present", value, flags: [] });
    expect(reading(message, "endTidalCarbonDioxide")).toMatchObject({ kind: "absent", why: "not-available" });
    expect(reading(message, "bodyTemperature")).toMatchObject({ kind: "absent", why: "not-available" });
    expect(message.readings).toHaveLength(13);
  }
  const systolic = messages
    .map((message) => reading(message, "arterialSystolicPressure"))
    .map((one) => (one?.kind === "present" ? one.value : null));
  expect(systolic.filter((value) => value === 111)).toHaveLength(22);
  expect(systolic.filter((value) => value === 110)).toHaveLength(5);
});

test("the limit APNEA: 20 SEC is neither an alarm nor a text, in any of the 27 messages", () => {
  for (const message of messagesOf(feed(ivy450c.open({}), RECORDING))) {
    expect(message.alarms).toEqual([]);
    expect(message.events.filter((event) => event.code === "device-text")).toEqual([]);
  }
});

test("the end of a message before the first one is named as skipped, once, and is no refusal", () => {
  const messages = messagesOf(feed(ivy450c.open({}), RECORDING));
  expect(messages[0]?.events).toContainEqual({ code: "synchronised", facts: { skippedBytes: 252 } });
  expect(messages.slice(1).flatMap((message) => message.events)).toEqual([]);
});

test("the waves have the recorded samples, their rates, and no hole between messages", () => {
  const messages = messagesOf(feed(ivy450c.open({}), RECORDING));
  for (const [index, message] of messages.entries()) {
    const shape = message.waveforms.map(({ waveform, sampleRateHz, firstSampleIndex, raw, unit }) => [
      waveform,
      sampleRateHz,
      firstSampleIndex,
      raw.length,
      unit,
    ]);
    expect(shape).toEqual([
      ["ecgLeadII", 200, index * 200, 200, "1"],
      ["respiration", 50, index * 50, 50, "1"],
      ["plethysmogram", 50, index * 50, 50, "1"],
      ["arterialPressure", 50, index * 50, 50, "mm[Hg]"],
    ]);
  }
  const pressure = messages[0]?.waveforms[3]?.raw ?? new Float32Array();
  expect([Math.min(...pressure), Math.max(...pressure)]).toEqual([73, 111]);
});

test("the second pressure without a transducer has no wave; with samples it has one", () => {
  const message = recordedMessage(0);
  message.fill(40, 9 + 350, 9 + 400);
  message[9 + 360] = 0xfb;
  const [decoded] = messagesOf(feed(ivy450c.open({}), message));
  const second = decoded?.waveforms.filter((wave) => wave.waveform === "bloodPressure2") ?? [];
  expect(second.map((wave) => [wave.firstSampleIndex, wave.raw.length])).toEqual([
    [0, 10],
    [11, 39],
  ]);
});

test("the cuff's repeated result is held, the live values are not", () => {
  const [message] = messagesOf(feed(ivy450c.open({}), RECORDING));
  for (const quantity of ["systolicPressure", "diastolicPressure", "meanPressure", "cuffPulseRate"]) {
    expect(reading(message, quantity)).toMatchObject({ held: true });
  }
  for (const quantity of ["heartRate", "arterialSystolicPressure", "pulseRate"])
    expect(reading(message, quantity)).toMatchObject({ held: false });
});

test("an empty field and a row of dashes are absences, a zero is a value", () => {
  expect(reading(read("HR=1;80;", "HR=1;;"), "heartRate")).toMatchObject({ kind: "absent", why: "not-available" });
  expect(reading(read("HR=1;80;", "HR=1;---;"), "heartRate")).toMatchObject({ kind: "absent", why: "not-available" });
  expect(reading(read("RR=1;35;", "RR=1;0;"), "respiratoryRate")).toMatchObject({ kind: "present", value: 0 });
  expect(reading(read("PR=80 ", "PR= "), "pulseRate")).toMatchObject({ kind: "absent", why: "not-available" });
});

test("a value beside the words of a sensor that is off is not believed", () => {
  expect(reading(read("HR=1;80;ECG-II-DIAG;", "HR=1;80;ECG-II-DIAG;LEADS OFF"), "heartRate")).toMatchObject({
    kind: "absent",
    why: "sensor-off",
  });
  const probe = read("SPO2=1;100;PR=80 ;", "SPO2=1;100;PR=80 ;SENSOR OFF");
  expect(reading(probe, "oxygenSaturation")).toMatchObject({ kind: "absent", why: "sensor-off" });
  expect(reading(probe, "pulseRate")).toMatchObject({ kind: "absent", why: "sensor-off" });
});

test("a pressure site that is not arterial gives no arterial value and no arterial wave", () => {
  const message = read("P1=3;111;73;88;;", "P1=3;12;4;8;CVP;");
  expect(reading(message, "arterialMeanPressure")).toMatchObject({ kind: "absent" });
  expect(message.waveforms.map((wave) => wave.waveform)).not.toContain("arterialPressure");
});

test.each([
  ["HR=1;80;ECG-II-DIAG;", "HR=1;80;ECG-II-DIAG;HR HIGH", "hr-high", "physiological", "medium"],
  ["HR=1;80;ECG-II-DIAG;", "HR=1;80;ECG-II-DIAG;V-FIB", "ventricular-fibrillation", "physiological", "high"],
  ["HR=1;80;ECG-II-DIAG;", "HR=1;80;ECG-II-DIAG;SOMETHING NEW", "hr-alarm", "physiological", "high"],
  ["HR=1;80;ECG-II-DIAG;", "HR=1;80;ECG-II-DIAG;ASYSTOLE;", "asystole", "physiological", "high"],
  ["HR=1;80;ECG-II-DIAG;", "HR=1;;LEAD FAULT;", "hr-sensor-off", "technical", "medium"],
  ["RR=1;35;APNEA: 20 SEC;", "RR=1;;APNEA;", "apnoea", "physiological", "high"],
  ["SPO2=1;100;PR=80 ;", "SPO2=1;84;PR=80 ;SPO2 LOW", "spo2-low", "physiological", "medium"],
  ["SPO2=1;100;PR=80 ;", "SPO2=1;;CHECK SENSOR;", "spo2-check-sensor", "technical", "medium"],
])("%s as %s is the alarm %s", (piece, by, code, nature, priority) => {
  expect(read(piece, by).alarms).toEqual([expect.objectContaining({ code, nature, priority, active: true })]);
});

test("an alarm is told when it begins and when its text has gone, not every second", () => {
  const session = ivy450c.open({});
  const alarming = changed("HR=1;80;ECG-II-DIAG;", "HR=1;0;ECG-II-DIAG;ASYSTOLE");
  const told = [recordedMessage(0), alarming, alarming, recordedMessage(1), recordedMessage(2)].map((bytes, second) =>
    messagesOf(feed(session, bytes, second * 1000))[0]?.alarms.map(({ code, active }) => [code, active]),
  );
  expect(told).toEqual([[], [["asystole", true]], [], [["asystole", false]], []]);
});

test("a text nobody can explain is an event when it comes, not an alarm", () => {
  const session = ivy450c.open({});
  const strange = changed("NIBP=4;121;75;92;80;;", "NIBP=4;121;75;92;80;CUFF MOVING;");
  const told = [strange, strange].map((bytes) =>
    messagesOf(feed(session, bytes))[0]?.events.filter((event) => event.code === "device-text"),
  );
  expect(told).toEqual([[{ code: "device-text", facts: { line: "NIBP", text: "CUFF MOVING" } }], []]);
});

test.each([
  ["an unknown line", "T2=1;;;\r", "T3=1;;;\r"],
  ["a line twice", "T2=1;;;\r", "T1=1;;;\r"],
  ["lines out of order", "T1=1;;;\rT2=1;;;\r", "T2=1;;;\rT1=1;;;\r"],
  ["no heart line", "HR=1;80;ECG-II-DIAG;\r", ""],
  ["a field too many", "T1=1;;;\r", "T1=1;;;;;\r"],
  ["a field too few", "T1=1;;;\r", "T1=1;;\r"],
  ["a status that is no number", "T1=1;;;\r", "T1=x;;;\r"],
  ["a heart rate with a letter", "HR=1;80;", "HR=1;12x;"],
  ["a heart rate with a fraction", "HR=1;80;", "HR=1;8.0;"],
  ["a pulse with a letter", "PR=80 ", "PR=8O "],
  ["a control character in a text", "ECG-II-DIAG", "ECG-II\u0007DIAG"],
  ["a digit damaged into a semicolon", "HR=1;80;ECG-II-DIAG;", "HR=1;8;;ECG-II-DIAG;"],
  ["a last line without its end", "T2=1;;;\r", "T2=1;;;"],
])("%s refuses the message, and the next one is read", (_name, piece, by) => {
  const emissions = [...feed(ivy450c.open({}), Uint8Array.from([...changed(piece, by), ...recordedMessage(1)]))];
  expect(emissions.map((emission) => emission.kind)).toEqual(["refusal", "message"]);
  expect(emissions[0]).toMatchObject({ error: { kind: "bad-field" } });
});

test("every flipped bit of the header, a semicolon, a line end or the end byte refuses the message", () => {
  const good = recordedMessage(0);
  for (const [at, byte] of good.entries()) {
    const structural = at < 9 || (at >= 409 && (byte === 0x0d || byte === 0x3b || byte === 0xfe));
    for (let bit = 0; structural && bit < 8; bit++) {
      const emissions = feed(
        ivy450c.open({}),
        Uint8Array.from([...recordedMessage(2), ...good.with(at, byte ^ (1 << bit)), ...recordedMessage(1)]),
      );
      expect(messagesOf(emissions), `bit ${bit} of byte ${at}`).toHaveLength(2);
      expect(
        emissions.some((emission) => emission.kind === "refusal"),
        `bit ${bit} of byte ${at}`,
      ).toBe(true);
    }
  }
});

test("a message cut short by a lost link costs itself only", () => {
  for (const length of [1, 9, 10, 300, 409, 410, 561]) {
    const emissions = feed(
      ivy450c.open({}),
      Uint8Array.from([
        ...recordedMessage(0),
        ...recordedMessage(1).slice(0, length),
        ...recordedMessage(2),
        ...recordedMessage(3),
      ]),
    );
    expect(messagesOf(emissions), `cut after ${length}`).toHaveLength(3);
    expect(
      emissions.filter((emission) => emission.kind === "refusal"),
      `cut after ${length}`,
    ).toHaveLength(1);
  }
});

test("text without an end is refused at the bound of a message", () => {
  const endless = Uint8Array.from([
    ...recordedMessage(0).slice(0, 409),
    ...Buffer.from("HR=1;80;ECG;".repeat(60)),
    ...recordedMessage(1),
  ]);
  const emissions = feed(ivy450c.open({}), endless);
  expect(emissions[0]).toMatchObject({ kind: "refusal", error: { kind: "too-long", limitBytes: 1024 } });
  expect(messagesOf(emissions)).toHaveLength(1);
});

test.each([
  [1000, 200],
  [1499, 200],
  [1600, 400],
  [2000, 400],
  [5000, 1000],
])("after a pause of %i ms the ECG goes on at sample %i", (pauseMs, firstSampleIndex) => {
  const session = ivy450c.open({});
  feed(session, recordedMessage(0), 10_000);
  const [message] = messagesOf(feed(session, recordedMessage(1), 10_000 + pauseMs));
  expect(message?.waveforms[0]?.firstSampleIndex).toBe(firstSampleIndex);
});

test("a refused message leaves a hole of its length in the waves even when no time passes", () => {
  const emissions = feed(
    ivy450c.open({}),
    Uint8Array.from([...recordedMessage(0), ...changed("HR=1;80;", "HR=1;8x;"), ...recordedMessage(1)]),
  );
  expect(messagesOf(emissions).map((message) => message.waveforms[0]?.firstSampleIndex)).toEqual([0, 400]);
});
