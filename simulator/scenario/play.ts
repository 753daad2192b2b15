import type { Deed } from "../../src/core/act.ts";
import { bedId, deviceId, patientId } from "../../src/core/ids.ts";
import { runTwin } from "../devices/running-twin.ts";
import { createTimetable } from "../devices/timetable.ts";
import type { BadLinkStats } from "../links/bad-sender.ts";
import type { CastDevice } from "./cast.ts";
import { type DeviceWire, deviceWire } from "./device-wire.ts";
import { type Finding, judge, rulePattern } from "./judge.ts";
import { bedOf } from "./load.ts";
import type { Scenario } from "./schema.ts";
import type { World } from "./world.ts";

/** What became of a scenario. */
export interface Outcome {
  readonly findings: readonly Finding[];
  /** What the links did that are bad on purpose. */
  readonly badLinks: readonly ({ readonly deviceId: string } & BadLinkStats)[];
}

/** Something that happens at a moment of the script. */
interface Cue {
  readonly atSeconds: number;
  readonly happen: () => void | Promise<void>;
}

/** Devices are switched on apart by the golden section of a second, which spreads any number of them evenly. */
const START_STEP_MS = 618.034;

/**
 * Plays a scenario from its beginning to its end and judges what the gateway said.
 *
 * @param given.onStep  Called at least each `stepSeconds`, for a table that lives.
 */
export async function playScenario(
  scenario: Scenario,
  given: {
    readonly cast: readonly CastDevice[];
    readonly world: World;
    readonly stop?: AbortSignal | undefined;
    readonly stepSeconds?: number;
    readonly onStep?: (seconds: number) => void;
  },
): Promise<Outcome> {
  const { cast, world, stop, stepSeconds = Number.POSITIVE_INFINITY, onStep = () => {} } = given;
  await admitAll(scenario, world);
  const timetable = createTimetable(world.clock);
  const wires = new Map<string, DeviceWire>();
  const running = cast.map((member, index) => {
    const { device, twin } = member;
    const wire = deviceWire(world.wire(device.id), member, world.clock);
    wires.set(device.id, wire);
    wire.plug();
    const started = runTwin(twin, {
      clock: world.clock,
      timetable,
      startAfterMs: (index * START_STEP_MS) % 1000,
      send: (bytes, channel) => wire.send(bytes, channel.replaceAll("%d", device.id)),
    });
    wire.onReceive(started.receive);
    return started;
  });
  let seconds = 0;
  const passTo = async (target: number) => {
    while (seconds < target && stop?.aborted !== true) {
      const step = Math.min(target - seconds, stepSeconds);
      await world.pass(step);
      seconds += step;
      onStep(seconds);
    }
  };
  for (const cue of cuesOf(scenario, { cast, world, wires })) {
    await passTo(cue.atSeconds);
    if (stop?.aborted === true) break;
    await cue.happen();
  }
  await passTo(scenario.lasts);
  timetable.stop();
  for (const each of running) each.stop();
  const badLinks = [...wires].flatMap(([id, wire]) => {
    const stats = wire.stats();
    wire.stop();
    return stats === null ? [] : [{ deviceId: id, ...stats }];
  });
  return { findings: judge(scenario, world.witness()), badLinks };
}

async function admitAll(scenario: Scenario, world: World): Promise<void> {
  for (const [index, patient] of scenario.patients.entries()) {
    await world.perform({
      kind: "admit",
      patientId: patientId(patient.id),
      bedId: bedId(bedOf(scenario, index)),
      label: patient.label ?? patient.id,
      profile: { kind: "adult", spo2Scale: patient.spo2Scale },
      demonstration: !patient.real,
    });
  }
  for (const device of scenario.devices) {
    const whom = device.assigned === undefined ? device.on : device.assigned;
    if (whom !== undefined && whom !== null)
      await world.perform({ kind: "assign", deviceId: deviceId(device.id), patientId: patientId(whom) });
  }
}

/** Everything that is to happen, in order; of the same moment cables and switches first, then the gateway, then people. */
function cuesOf(
  scenario: Scenario,
  {
    cast,
    world,
    wires,
  }: { readonly cast: readonly CastDevice[]; readonly world: World; readonly wires: ReadonlyMap<string, DeviceWire> },
): readonly Cue[] {
  const cables = cast.flatMap(({ device, cable }) =>
    cable.map(
      (change): Cue => ({
        atSeconds: change.atSeconds,
        happen: () => (change.in ? wires.get(device.id)?.plug() : wires.get(device.id)?.unplug()),
      }),
    ),
  );
  const switches = scenario.devices.flatMap(({ id, life }) =>
    life.flatMap(({ at, power }): readonly Cue[] =>
      power === "on" ? [{ atSeconds: at, happen: () => wires.get(id)?.switchOn() }] : [],
    ),
  );
  const moments = scenario.gateway.map((moment): Cue => ({ atSeconds: moment.at, happen: () => world.happen(moment) }));
  const deeds = scenario.people.map((entry): Cue => ({ atSeconds: entry.at, happen: () => doAll(deedsOf(entry, world), world) }));
  return [...cables, ...switches, ...moments, ...deeds].sort((first, second) => first.atSeconds - second.atSeconds);
}

async function doAll(deeds: readonly Deed[], world: World): Promise<void> {
  for (const deed of deeds) await world.perform(deed);
}

/** What an entry asks somebody to do. An acknowledgement is one deed for each open alert that fits. */
function deedsOf(entry: Scenario["people"][number], world: World): readonly Deed[] {
  const patient = patientId(entry.of ?? "");
  if (entry.acknowledge !== undefined) {
    const pattern = rulePattern(entry.acknowledge);
    return world
      .openAlerts()
      .filter(({ rule, state, subject }) => state === "active" && pattern.test(rule) && fits(subject, entry.of))
      .map(({ id }) => ({ kind: "acknowledge", alertId: id }));
  }
  if (entry.consciousness !== undefined)
    return [{ kind: "enter-consciousness", patientId: patient, consciousness: entry.consciousness }];
  if (entry.oxygen !== undefined) return [{ kind: "enter-oxygen", patientId: patient, onOxygen: entry.oxygen }];
  if (entry.assign !== undefined) return [{ kind: "assign", deviceId: deviceId(entry.assign), patientId: patient }];
  if (entry.release !== undefined) return [{ kind: "release", deviceId: deviceId(entry.release) }];
  if (entry.confirm !== undefined) return [{ kind: "confirm-assignment", deviceId: deviceId(entry.confirm), patientId: patient }];
  if (entry.discharge === true) return [{ kind: "discharge", patientId: patient }];
  if (entry.transfer !== undefined) return [{ kind: "transfer", patientId: patient, bedId: bedId(entry.transfer) }];
  if (entry.limit !== undefined) return [{ kind: "set-limit", patientId: patient, ...entry.limit }];
  return [];
}

function fits(
  subject: { readonly patientId: string | null; readonly deviceId: string | null; readonly bedId: string | null },
  of: string | undefined,
) {
  return of === undefined || [subject.patientId, subject.deviceId, subject.bedId].includes(of);
}
