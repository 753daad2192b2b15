import { type Receiver, startReceiver } from "../../simulator/receiver.ts";
import { createSystemClock } from "../../src/clock.ts";
import { patientId } from "../../src/core/ids.ts";
import { connectMqtt } from "../../src/mqtt/connection.ts";
import type { Kept } from "./delivery-audit.ts";
import { type Files, perform } from "./real-gateway.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { BAD_PRESSURE, GOOD_PRESSURE, type SettableBed, type SettableWard } from "./settable-ward.ts";
import type { Stage } from "./stage.ts";
import { pause } from "./until.ts";
import type { DeliveredAlert, Recorder } from "./upstream-recorder.ts";

/** The first beds, whose cuff results go bad and good again all the time, so that alerts flow at every moment. */
const UNRESTFUL_BEDS = 6;

/** A way of getting worse that alarms with the device's next second, and its end. */
interface Ailment {
  readonly rule: string;
  readonly begin: (bed: SettableBed) => void;
  readonly end: (bed: SettableBed) => void;
}

const restPressure = (bed: SettableBed) => bed.takeCuffPressure(...GOOD_PRESSURE);
const AILMENTS: readonly Ailment[] = [
  { rule: "limit.systolicPressure.low", begin: (bed) => bed.takeCuffPressure(...BAD_PRESSURE), end: restPressure },
  { rule: "limit.bodyTemperature.high", begin: (bed) => bed.takeTemperature(39.7), end: (bed) => bed.takeTemperature(36.9) },
  { rule: "limit.systolicPressure.high", begin: (bed) => bed.takeCuffPressure(228, 104), end: restPressure },
];

/** A patient who gets worse when a test says so. */
export interface Victim {
  readonly patientId: string;
  readonly worsen: () => void;
  readonly recover: () => void;
  /** The alert about it that began after a moment (`performance.now()`), or undefined. */
  readonly alertAfter: (recorder: Recorder, afterMs: number) => DeliveredAlert | undefined;
}

/** Each number another patient or another ailment: an alert ends 5 s after its cause, and many lives here are shorter. */
export function victimOf(ward: SettableWard, number: number): Victim {
  const wellBeds = ward.beds.slice(UNRESTFUL_BEDS);
  const bed = wellBeds[number % wellBeds.length];
  const ailment = AILMENTS[Math.floor(number / wellBeds.length) % AILMENTS.length];
  if (bed === undefined || ailment === undefined) throw new Error("there are patients who are well");
  return {
    patientId: bed.patientId,
    worsen: () => ailment.begin(bed),
    recover: () => ailment.end(bed),
    alertAfter: (recorder, afterMs) =>
      recorder
        .alerts()
        .find(
          ({ record, atMs }) =>
            atMs > afterMs &&
            record.rule === ailment.rule &&
            record.phase === "start" &&
            record.subject.patientId === bed.patientId,
        ),
  };
}

/** People and patients who give the gateway no rest. */
export interface BusyWard {
  /** The acts that the door called durable: the patient each was about, by its number. */
  readonly durableActs: ReadonlyMap<number, string>;
  readonly stop: () => Promise<void>;
}

/** Keeps alerts and acts coming until stopped. */
export function keepBusy(
  stage: Stage,
  of: { readonly files: Files; readonly ward: SettableWard; readonly random: SeededRandom },
): BusyWard {
  const { files, ward, random } = of;
  const durableActs = new Map<number, string>();
  let busy = true;
  const restless = setInterval(() => {
    const bed = ward.beds[Math.floor(random.fraction() * UNRESTFUL_BEDS)];
    const [systolic, diastolic] = random.fraction() < 0.5 ? BAD_PRESSURE : GOOD_PRESSURE;
    bed?.takeCuffPressure(systolic, diastolic);
  }, 150);
  const acting = (async () => {
    for (let turn = 0; busy; turn++) {
      const patient = ward.beds[turn % ward.beds.length]?.patientId ?? "";
      const answer = await perform(files, { kind: "enter-oxygen", patientId: patientId(patient), onOxygen: turn % 3 === 0 });
      if (answer?.ok === true && answer.value.durable) durableActs.set(answer.value.seq, patient);
      await pause(100);
    }
  })();
  const stop = async () => {
    busy = false;
    clearInterval(restless);
    await acting;
  };
  stage.defer(stop);
  return { durableActs, stop };
}

/** Acts that were called durable and do not lie in the journal as they were done. */
export function lostActs(durableActs: ReadonlyMap<number, string>, kept: Kept): readonly string[] {
  return [...durableActs].flatMap(([seq, patient]) => {
    const record = kept.bySeq.get(seq)?.record;
    const sound = record?.kind === "act" && record.deed.kind === "enter-oxygen" && record.deed.patientId === patient;
    return sound ? [] : [`${seq}: ${JSON.stringify(record ?? null)}`];
  });
}

/** The demonstration's receiver: it sends a receipt for every alert, which become records of the journal too. */
export function startConfirming(stage: Stage, serverPort: number): Receiver {
  const clock = createSystemClock();
  const receiver = startReceiver(
    { name: "ward-desk", topicPrefix: "vigil", acceptAfterMs: 500, recordFile: null },
    {
      clock,
      random: Math.random,
      print: () => {},
      connect: (onMessage, stop) =>
        connectMqtt(
          { url: `mqtt://127.0.0.1:${serverPort}`, protocolVersion: 5 },
          { clientId: "ward-desk", sessionExpirySeconds: 3600, will: null },
          { clock, onMessage, stop },
        ),
    },
  );
  stage.defer(() => receiver.close());
  return receiver;
}
