import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Deed } from "../../src/core/act.ts";
import { freePort, mosquittoIsMissing, prepareMosquitto } from "../support/mosquitto.ts";
import { perform, runSupervised, verify, writeConfig } from "../support/real-gateway.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { until } from "../support/until.ts";

const stage = stageOfEachTest();

const SCENARIO = `
title: { en: An arrest, zh: 心脏骤停 }
about: { en: A short one for a gateway on the desk., zh: 供真实网关使用的短情景。 }
lasts: 45 s
patients: [{ id: li, label: 李, course: [{ at: 20 s, rhythm: asystole }] }]
devices: [{ id: monitor, driver: serial-ivy-450c, on: li }]
expect:
  - { never: "*", nature: physiological, until: 20 s }
  - { alert: device-alarm.asystole, of: monitor, priority: high, after: 20 s, within: 12 s }
  - { never: silence.device }
`;

/** What a hospital does before it takes a gateway into use: everything is real but the patient. */
test.skipIf(mosquittoIsMissing)(
  "a gateway of its own is accepted by a scenario: serial bytes by TCP, admission by HL7, its alerts by MQTT",
  async () => {
    const server = await prepareMosquitto(["allow_anonymous true"]);
    stage().defer(() => server.remove());
    await server.start();
    const [monitorPort, mllpPort] = [await freePort(), await freePort()];
    const link = { kind: "tcp", host: "127.0.0.1", port: monitorPort };
    const files = await writeConfig(stage(), {
      ward: null,
      brokerPort: server.port,
      moreBeds: [{ id: "bed-1", title: "301" }],
      moreDevices: [{ id: "monitor", driver: "serial-ivy-450c", link }],
    });
    const config = JSON.parse(await readFile(files.configFile, "utf8")) as object;
    const admissions = {
      mllp: { port: mllpPort },
      patientNumber: { authority: "SIM" },
      beds: [{ location: "SIM^^bed-1", bed: "bed-1" }],
    };
    await writeFile(files.configFile, JSON.stringify({ ...config, admissions }));
    await runSupervised(stage(), files);
    const scenario = join(stage().folder, "arrest.yaml");
    await writeFile(scenario, SCENARIO);
    const targets = [`tcp://127.0.0.1:${monitorPort}`, `mllp://127.0.0.1:${mllpPort}`, `mqtt://127.0.0.1:${server.port}`];
    const simulator = stage().vigil([
      ...["simulate", scenario, "--seed", "4", "--json"],
      ...targets.flatMap((target) => ["--target", target]),
    ]);
    const said = () => simulator.stdout.map((line) => JSON.parse(line) as Record<string, unknown>);
    await until("the patient is admitted", () => said().some(({ kind, code }) => kind === "admission" && code === "AA"), 20_000);
    for (const { deed } of said().filter(({ kind }) => kind === "deed"))
      expect(await perform(files, deed as Deed)).toMatchObject({ ok: true });
    expect(await simulator.exited, simulator.stdout.join("\n")).toBe(0);
    expect(said().at(-1)).toMatchObject({ kind: "summary", met: 3, of: 3, ok: true });
    expect((await verify(stage(), files)).exitCode).toBe(0);
  },
  150_000,
);
