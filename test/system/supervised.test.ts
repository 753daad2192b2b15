import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { attackedWardOfEachTest } from "../support/attacked-ward.ts";
import { audit, NOTHING_WRONG, readJournal } from "../support/delivery-audit.ts";
import { mosquittoIsMissing } from "../support/mosquitto.ts";
import { admitWard, type Files, openFaults, runSupervised, writeConfig } from "../support/real-gateway.ts";
import { BAD_PRESSURE, type SettableWard } from "../support/settable-ward.ts";
import type { Stage } from "../support/stage.ts";
import { pause, until } from "../support/until.ts";
import { type Recorder, startRecorder } from "../support/upstream-recorder.ts";

const attacked = attackedWardOfEachTest(3);
let stage: Stage;
let ward: SettableWard;
let recorder: Recorder;
let files: Files;
let soundFile: string;

beforeEach(async () => {
  const { broker } = attacked();
  ({ stage, ward } = attacked());
  recorder = await startRecorder(stage, broker);
  soundFile = join(stage.folder, "sounds");
  files = await writeConfig(stage, { ward, brokerPort: broker.port, sounderCommand: [writeSounder()] });
});

/** A sounder that writes down when and why it was run. */
function writeSounder(): string {
  const script = join(stage.folder, "sounder.sh");
  writeFileSync(script, `#!/bin/sh\necho "$(date +%s%3N) $VIGIL_SOUND" >> ${soundFile}\n`);
  chmodSync(script, 0o755);
  return script;
}

/** When the sounder was first run for this reason, by the wall clock; null where it was not. */
function soundedAtMs(why: string): number | null {
  if (!existsSync(soundFile)) return null;
  const line = readFileSync(soundFile, "utf8")
    .split("\n")
    .find((each) => each.endsWith(` ${why}`));
  return line === undefined ? null : Number(line.split(" ")[0]);
}

function processIsGone(pid: number): boolean {
  return !stage.processes().some((each) => each.pid === pid);
}

describe.skipIf(mosquittoIsMissing)("the gateway under its supervisor", () => {
  test("a frozen gateway is sounded for within 10 s, killed and started again, says so, and alarms", async () => {
    const gateway = await runSupervised(stage, files);
    await admitWard(files, ward);
    const frozenPid = gateway.gatewayPid();
    // Whatever it said last, it said before this moment: the ten seconds count from the last heartbeat, which is earlier still.
    const frozenAtMs = Date.now();
    process.kill(frozenPid, "SIGSTOP");
    const soundedMs = await until("the sounder is run", () => soundedAtMs("gateway-not-answering"), 15_000);
    expect(soundedMs - frozenAtMs).toBeLessThanOrEqual(10_000);
    const stalled = gateway.events().find((event) => event.kind === "gateway-stalled");
    expect(stalled?.silentMs ?? Number.NaN).toBeLessThanOrEqual(10_000);
    // Not at the freeze either: a heartbeat every 2 s may come late without a sound.
    expect(soundedMs - frozenAtMs).toBeGreaterThan(5000);
    await until("the frozen process is gone", () => processIsGone(frozenPid), 5000);
    await until("another one is ready", () => gateway.events().filter((event) => event.kind === "gateway-ready").length === 2);
    expect(gateway.gatewayPid()).not.toBe(frozenPid);
    const [restarted] = await until("it says so", async () => {
      const open = await openFaults(files, "gateway-restarted");
      return open.length > 0 && open;
    });
    expect(restarted?.evidence).toMatchObject({ facts: { because: "stalled" } });
    await until("the upstream heard that too", () => recorder.alerts().some((alert) => alert.record.id === restarted?.id));
    ward.beds[0]?.takeCuffPressure(...BAD_PRESSURE);
    await until(
      "it alarms",
      () => recorder.alerts().some(({ record }) => record.subject.patientId === "patient-1" && record.phase === "start"),
      5000,
    );
    await until("the sounder is run for the patient", () => soundedAtMs("high"), 5000);
  });

  test("a gateway whose supervisor is killed ends by itself within 5 s, and the next start continues", async () => {
    const gateway = await runSupervised(stage, files);
    await admitWard(files, ward);
    const pid = gateway.gatewayPid();
    gateway.supervisor.signal("SIGKILL");
    await until("the gateway ends", () => processIsGone(pid), 5000);
    // The lock is free and the journal whole.
    await runSupervised(stage, files);
    ward.beds[1]?.takeCuffPressure(...BAD_PRESSURE);
    await until(
      "the next one alarms",
      () => recorder.alerts().some(({ record }) => record.subject.patientId === "patient-2"),
      5000,
    );
  });

  test("SIGTERM stops all within 3 s with everything committed, and a second start continues", async () => {
    const gateway = await runSupervised(stage, files);
    await admitWard(files, ward);
    ward.beds[2]?.takeCuffPressure(...BAD_PRESSURE);
    await until("an alert came", () => recorder.alerts().some(({ record }) => record.subject.patientId === "patient-3"));
    const heard = await until("a heartbeat that says something", () =>
      recorder.heartbeats().findLast(({ message }) => message.committedSeq > 20),
    );
    const askedMs = performance.now();
    gateway.supervisor.signal("SIGTERM");
    expect(await gateway.supervisor.exited).toBe(0);
    expect(performance.now() - askedMs).toBeLessThanOrEqual(3000);
    expect(stage.processes().filter(({ command }) => command.includes("main.ts"))).toEqual([]);
    // What the upstream was given last has arrived there.
    await pause(300);
    const first = await readJournal(files);
    expect(audit(recorder.delivered(), first)).toEqual(NOTHING_WRONG);
    expect(heard.message.committedSeq).toBeLessThanOrEqual(first.lastSeq);
    expect(heard.message.epoch).toBe(first.epoch);

    const again = await runSupervised(stage, files);
    // Patient 3 is still ill: the same alert goes on and is not raised again.
    await pause(3000);
    again.supervisor.signal("SIGTERM");
    expect(await again.supervisor.exited).toBe(0);
    await pause(300);
    const second = await readJournal(files);
    expect(second.epoch).toBe(first.epoch);
    expect(second.lastSeq).toBeGreaterThan(first.lastSeq);
    for (const [seq, record] of first.bySeq) expect(second.bySeq.get(seq)).toEqual(record);
    expect(audit(recorder.delivered(), second)).toEqual(NOTHING_WRONG);
    const raised = recorder
      .alerts()
      .filter(
        ({ record }) =>
          record.subject.patientId === "patient-3" && record.rule === "limit.systolicPressure.low" && record.phase === "start",
      );
    expect(new Set(raised.map(({ key }) => key)).size).toBe(1);
  });
});
