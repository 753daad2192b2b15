import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { deviceId, patientId } from "../../src/core/ids.ts";
import { readJournal } from "../support/delivery-audit.ts";
import { influxIsMissing, prepareInflux } from "../support/influx-real-servers.ts";
import { admitWard, type Files, openFaults, perform, runSupervised, writeConfig } from "../support/real-gateway.ts";
import { BAD_PRESSURE, openSettableWard } from "../support/settable-ward.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { pause, until } from "../support/until.ts";

const stage = stageOfEachTest();

async function addHistory(files: Files, port: number): Promise<void> {
  const config = JSON.parse(await readFile(files.configFile, "utf8"));
  const target = { api: "v1", database: "vigil" };
  config.upstreams.push({ name: "history", kind: "influx", url: `http://127.0.0.1:${port}`, target });
  await writeFile(files.configFile, JSON.stringify(config));
}

describe.skipIf(influxIsMissing)("a whole gateway with its history in InfluxDB", () => {
  test("what the beds say, alerts and acts are there, patients by pseudonym; the database down is an alert and loses nothing", async () => {
    const influx = await prepareInflux(stage());
    await influx.start();
    const ward = await openSettableWard(2);
    stage().defer(ward.close);
    const files = await writeConfig(stage(), { ward });
    await addHistory(files, influx.port);
    const gateway = await runSupervised(stage(), files);
    await admitWard(files, ward);
    await pause(4000);

    await influx.end("SIGKILL");
    ward.beds[0]?.takeCuffPressure(...BAD_PRESSURE);
    await until(
      "the database's absence is an alert",
      async () => (await openFaults(files, "upstream-unreachable")).length > 0,
      30_000,
    );
    await pause(3000);
    await influx.start();
    await until("it is over", async () => (await openFaults(files, "upstream-unreachable")).length === 0, 60_000);
    const release = await perform(files, { kind: "release", deviceId: deviceId("monitor-2") });
    expect(release?.ok).toBe(true);
    await until("the last act arrived", async () => (await influx.points("act")).length === 5, 30_000);
    gateway.supervisor.signal("SIGTERM");
    await gateway.supervisor.exited;

    const kept = await readJournal(files);
    const ofKind = (kind: string) => [...kept.bySeq].filter(([, record]) => record.kind === kind).map(([number]) => number);
    const stored = async (measurement: string) =>
      (await influx.points(measurement)).map(({ fields }) => Number(fields.get("seq")?.value)).sort((one, other) => one - other);
    // What came in the last moments may still have been on its way at the stop; the next start sends it.
    const observations = await stored("observation");
    expect(observations.length).toBeGreaterThan(100);
    expect(observations).toEqual(ofKind("observation").slice(0, observations.length));
    expect(await stored("act")).toEqual(ofKind("act"));
    const alerts = await stored("alert");
    expect(alerts).toEqual(ofKind("alert").slice(0, alerts.length));
    expect((await influx.points("alert")).some(({ tags }) => tags.get("rule") === "limit.systolicPressure.low")).toBe(true);

    const points = (await Promise.all(["observation", "act", "alert", "prediction"].map(influx.points))).flat();
    const patients = new Set(points.map(({ tags }) => tags.get("patient")));
    expect(JSON.stringify(points.map(({ tags, fields }) => [[...tags], [...fields]]))).not.toContain(patientId("patient-"));
    expect([...patients].filter((patient) => /^[0-9a-f]{16}$/.test(patient ?? ""))).toHaveLength(2);
  });
});
