import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../../src/clock.ts";
import type { Outcome } from "../../src/commands/doctor/outcome.ts";
import { diagnose, systemProbes } from "../../src/commands/doctor.ts";
import { askGateway } from "../../src/gateway/control-socket.ts";
import type { StartView } from "../../src/gateway/starts.ts";
import { findingOf, findings } from "../support/doctor-bench.ts";
import { freePort } from "../support/mosquitto.ts";
import { admitWard, type Files, runSupervised, writeConfig } from "../support/real-gateway.ts";
import { openSettableWard } from "../support/settable-ward.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { until } from "../support/until.ts";

const stage = stageOfEachTest();
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A TCP server that says nothing, and how many connections it ever had. */
async function listen(): Promise<{ readonly port: number; readonly connections: () => number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on("error", () => {});
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, connections: () => connections };
}

function look(configFile: string): Promise<readonly Outcome[]> {
  return diagnose({ configFile, mayHear: false }, systemProbes());
}

async function cutOffStarts(files: Files): Promise<number> {
  const path = join(files.dataFolder, "control.sock");
  const answer = await askGateway(path, { name: "starts", body: null }, createSystemClock());
  const starts = answer.ok ? (answer.value as readonly StartView[]) : [];
  return starts.filter(({ before }) => before === "cut-off").length;
}

describe("vigil doctor beside a running gateway", () => {
  test("asks it what is wrong and disturbs nothing; names another gateway, many restarts, safe mode, a full disk", async () => {
    const on = stage();
    const ward = await openSettableWard(1);
    on.defer(() => ward.close());
    const [mute, page] = [await listen(), await listen()];
    const silent = {
      id: "silent-1",
      driver: "serial-ivy-450c",
      bed: "bed-1",
      silenceSeconds: 1,
      link: { kind: "tcp", host: "127.0.0.1", port: mute.port },
    };
    const disk = mountSmallDisk(on, 64);
    if (typeof disk === "string")
      process.stderr.write("SKIPPED: a disk that fills under the doctor's eyes (only root may mount one)\n");
    const place = typeof disk === "string" ? {} : { dataFolder: join(disk.folder, "data"), journalMegabytes: 16 };
    const plan = { ward, brokerPort: await freePort(), pagePort: page.port, moreDevices: [silent], ...place };
    const files = await writeConfig(on, plan);
    const gateway = await runSupervised(on, files);
    await admitWard(files, ward);

    const wanted = [
      "upstream-unreachable upstream:hospital",
      "page-port-in-use gateway",
      "backlog-grows hospital",
      "device-silent silent-1",
    ];
    let outcomes: readonly Outcome[] = [];
    await until(
      "the doctor has found all of it",
      async () => {
        outcomes = await look(files.configFile);
        return wanted.every((finding) => findings(outcomes).includes(finding));
      },
      25_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${findings(outcomes).join("; ")}`);
    });
    expect(outcomes).toContainEqual({ kind: "well", check: "gateway", subject: "ward-1" });
    expect(outcomes).toContainEqual({ kind: "well", check: "device", subject: "monitor-1" });
    expect(findings(outcomes).join()).not.toContain("device-silent monitor-1");
    const untried = outcomes.flatMap(({ kind, check }) => (kind === "not-tried" ? [check] : []));
    expect(untried).toEqual(expect.arrayContaining(["device-server", "server", "page-port"]));
    expect(mute.connections(), "the gateway's own connection").toBe(1);
    expect(findingOf(outcomes, "gateway-restarts")).toBeNull();

    const other = join(on.folder, "other.yaml");
    await writeFile(other, (await readFile(files.configFile, "utf8")).replace('"id": "ward-1"', '"id": "ward-2"'), {
      mode: 0o600,
    });
    const ofOther = await look(other);
    expect(findings(ofOther)).toContain("gateway-other ward-2");
    expect(findingOf(ofOther, "gateway-other")?.facts).toEqual({ runs: "ward-1" });

    for (let kills = 1; kills <= 3; kills++) {
      process.kill(gateway.gatewayPid(), "SIGKILL");
      const isReady = () => gateway.events().filter(({ kind }) => kind === "gateway-ready").length > kills;
      await until("the gateway is there again", isReady, 30_000);
      // A life that is cut off before its first commit leaves no record of itself.
      await until("its start is on disk", async () => (await cutOffStarts(files)) === kills);
    }
    const restarted = await look(files.configFile);
    expect(findings(restarted)).toEqual(
      expect.arrayContaining(["gateway-restarts ward-1", "safe-mode ward-1", "gateway-restarted gateway", "safe-mode gateway"]),
    );
    expect(findingOf(restarted, "gateway-restarts")?.facts).toEqual({ times: 3 });

    if (typeof disk === "string") return;
    disk.fill();
    const full = await until(
      "the doctor has seen the full disk",
      async () => {
        const seen = await look(files.configFile);
        return findings(seen).some((finding) => finding.startsWith("journal-disk-full")) && seen;
      },
      20_000,
    );
    expect(findings(full).join()).toContain("disk-nearly-full");
  }, 90_000);
});
