import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { LedgerReport } from "../src/verify/ledger.ts";
import { mosquittoIsMissing, prepareMosquitto } from "./support/mosquitto.ts";
import { admitWard, type Files, runSupervised, writeConfig } from "./support/real-gateway.ts";
import { BAD_PRESSURE, openSettableWard } from "./support/settable-ward.ts";
import { type Stage, stageOfEachTest } from "./support/stage.ts";
import { until } from "./support/until.ts";
import { startReceiving } from "./support/upstream-ends.ts";

if (mosquittoIsMissing) process.stderr.write("SKIPPED: mosquitto is not there; install Debian's package mosquitto\n");

const stage = stageOfEachTest();

type Line = { readonly kind: string } & Partial<Record<string, unknown>>;

async function verify(on: Stage, files: Files, recordFile: string) {
  const program = on.vigil(["verify", "--config", files.configFile, "--upstream", recordFile]);
  const code = await program.exited;
  const lines = program.stdout.map((line) => JSON.parse(line) as Line);
  const of = (kind: string) => lines.filter((line) => line.kind === kind);
  const summary = lines.at(-1) as Line & {
    readonly unexplained: LedgerReport["wrong"];
    readonly ok: boolean;
    readonly running: boolean;
  };
  return { code, lines, of, summary, said: program.stderr.join("\n") };
}

describe.skipIf(mosquittoIsMissing)("vigil verify on a real gateway", () => {
  test("is clean beside it, after a kill and after its orderly end, from device frame to receipt; a line less at the far side is found", async () => {
    const on = stage();
    const ward = await openSettableWard(3);
    on.defer(() => ward.close());
    const mosquitto = await prepareMosquitto(["allow_anonymous true", "persistence false"]);
    on.defer(() => mosquitto.remove());
    await mosquitto.start();
    const recordFile = join(on.folder, "received.jsonl");
    const server = { url: `mqtt://127.0.0.1:${mosquitto.port}`, protocolVersion: 5 } as const;
    const { receiver } = startReceiving({ server, factor: 1, recordFile });
    const files = await writeConfig(on, { ward, brokerPort: mosquitto.port });
    const gateway = await runSupervised(on, files);
    await admitWard(files, ward);
    ward.beds[0]?.takeCuffPressure(...BAD_PRESSURE);
    await until("records and an alert arrive", () => receiver.view().recordCount > 100 && receiver.view().alertCount > 0);
    const beside = await verify(on, files, recordFile);
    expect(beside.summary, beside.said).toMatchObject({ ok: true, running: true, unexplained: {} });
    expect(beside.code).toBe(0);

    const killed = gateway.gatewayPid();
    process.kill(killed, "SIGKILL");
    await until(
      "the gateway is there again",
      () => gateway.events().filter(({ kind }) => kind === "gateway-ready").length > 1,
      30_000,
    );
    const before = receiver.view().recordCount;
    await until("more records arrive", () => receiver.view().recordCount > before + 60);
    gateway.supervisor.signal("SIGTERM");
    await gateway.supervisor.exited;
    await receiver.close();

    const after = await verify(on, files, recordFile);
    expect(after.summary, after.said).toMatchObject({ ok: true, running: false, unexplained: {} });
    expect(after.code).toBe(0);
    expect(after.of("life").map(({ ended }) => ended)).toEqual(["cut-off", "closed"]);
    expect(after.of("life")[1]).toMatchObject({ notCounted: { numbers: 0 } });
    for (const device of after.of("device")) {
      const { received, keptCounted } = device as unknown as { received: Record<string, number>; keptCounted: number };
      expect(received, after.said).toMatchObject({ observations: keptCounted });
      expect(received["messages"], after.said).toBeGreaterThan(0);
      expect((received["observations"] ?? 0) + (received["repeats"] ?? 0)).toBe(received["readings"]);
    }
    const [reader] = after.of("reader");
    expect(reader, after.said).toMatchObject({ reader: "upstream:hospital", records: { refused: 0, gone: 0 } });
    expect((reader as { receipts?: { received?: { count: number } } }).receipts?.received?.count, after.said).toBeGreaterThan(0);

    const lines = readFileSync(recordFile, "utf8").trimEnd().split("\n");
    const audited = on.vigil(["audit", "verify", "--config", files.configFile, "--upstream", recordFile]);
    const auditCode = await audited.exited;
    const chain = JSON.parse(audited.stdout.at(-1) ?? "{}");
    expect(chain, audited.stderr.join("\n")).toMatchObject({
      kind: "summary",
      ok: true,
      breakCount: 0,
      olderActs: 0,
      notReceivedActs: 0,
    });
    expect(chain.chainedActs).toBeGreaterThanOrEqual(2 * ward.beds.length);
    expect(chain.receivedActs).toBe(chain.chainedActs);
    expect(auditCode).toBe(0);

    const place = lines.findIndex(
      (line, index) => index > 20 && !lines.some((other, at) => at !== index && keyOf(other) === keyOf(line)),
    );
    const shorter = join(on.folder, "shorter.jsonl");
    writeFileSync(shorter, `${lines.filter((_, index) => index !== place).join("\n")}\n`);
    const less = await verify(on, files, shorter);
    expect(less.summary.unexplained).toEqual({ "far-missing": 1 });
    expect(less.code).toBe(1);
    expect(less.of("finding").find(({ wrong }) => wrong === true)).toMatchObject({
      rule: "far-missing",
      fromSeq: Number(
        keyOf(lines[place] ?? "")
          .split("/")
          .at(-1),
      ),
    });
  }, 60_000);
});

function keyOf(line: string): string {
  return String(JSON.parse(line).key);
}
