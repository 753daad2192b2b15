import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ownCertificate } from "../../src/dashboard/server/tls/own-certificate.ts";
import { freePort } from "../support/mosquitto.ts";
import { type Files, openFaults, runSupervised, writeConfig } from "../support/real-gateway.ts";
import { makeFirstAccount } from "../support/signed-page.ts";
import { type Stage, stageOfEachTest } from "../support/stage.ts";
import { until } from "../support/until.ts";

const hashOf = (text: string) => createHash("sha256").update(text).digest("hex");
const stage = stageOfEachTest();

/** A gateway under its supervisor whose page is like this. */
async function start(at: Stage, dashboard: Readonly<Record<string, unknown>> = {}) {
  const pagePort = await freePort();
  const files: Files = await writeConfig(at, { ward: null, pagePort });
  const config = JSON.parse(await readFile(files.configFile, "utf8")) as { dashboard: object };
  await writeFile(files.configFile, JSON.stringify({ ...config, dashboard: { ...config.dashboard, ...dashboard } }, null, 2));
  const run = await runSupervised(at, files);
  const said = () => run.supervisor.stdout.join("\n");
  return { files, run, said, pagePort };
}

const linkIn = (said: string) => /https?:\S+#\/first\/\S+/.exec(said)?.[0];

describe("settings", () => {
  test.each(["a person restarts it", "it is killed before"])(
    "with which it does not start are taken back by themselves, and that is an alert: %s",
    async (how) => {
      const at = stage();
      const { files, run, said } = await start(at);
      const page = await makeFirstAccount(await until("the one-time link is printed", () => linkIn(said())));
      const text = await readFile(files.configFile, "utf8");
      // The journal of another gateway, which is at work: only the start itself can find that.
      const otherFolder = join(at.folder, "other");
      const other = {
        gateway: { id: "ward-2", dataFolder: otherFolder },
        dashboard: { enabled: false },
        supervisor: { sounderCommand: ["true"] },
      };
      await writeFile(join(at.folder, "other.yaml"), JSON.stringify(other), { mode: 0o600 });
      await runSupervised(at, { ...files, configFile: join(at.folder, "other.yaml") });
      const spoilt = text.replace(files.dataFolder, otherFolder);
      const saved = await page.post("/api/settings/save", { text: spoilt, baseHash: hashOf(text) });
      expect(saved.body).toMatchObject({ kind: "saved", warnings: [{ path: "gateway.dataFolder" }] });
      if (how === "it is killed before") process.kill(run.gatewayPid(), "SIGKILL");
      else await page.post("/api/settings/restart", {});
      await until(
        "it runs again",
        () =>
          run.events().some(({ kind }) => kind === "settings-put-back") &&
          run.events().filter(({ kind }) => kind === "gateway-ready").length === 2,
        45_000,
      );
      expect(await readFile(files.configFile, "utf8")).toBe(text);
      const failed = (await readdir(at.folder)).filter((name) => name.startsWith("config.yaml.failed-"));
      expect(failed.length).toBe(1);
      expect(await readFile(join(at.folder, failed[0] ?? ""), "utf8")).toBe(spoilt);
      await until("it is an alert", async () => (await openFaults(files, "settings-put-back")).length === 1, 15_000);
      expect(run.events().filter(({ kind }) => kind === "sound-started").length).toBeGreaterThan(0);
    },
  );
});

describe("pages for the ward's network", () => {
  const fingerprintIn = (text: string) => /([0-9A-F]{2}:){31}[0-9A-F]{2}/.exec(text)?.[0];
  const healthOf = (port: number, certificate: string) => {
    const to = ["--cacert", certificate, "--resolve", `localhost:${port}:127.0.0.1`];
    return execFileSync("curl", ["-s", "-m", "10", ...to, `https://localhost:${port}/healthz`], { encoding: "utf8" });
  };

  test("are encrypted from the first start; the fingerprint is printed, told by a command, and stays over a restart", async () => {
    const at = stage();
    const { files, said, run, pagePort } = await start(at, { host: "0.0.0.0" });
    const link = await until("the one-time link is printed", () => linkIn(said()));
    expect(link).toMatch(/^https:/);
    const fingerprint = fingerprintIn(said());
    expect(fingerprint).toBeDefined();
    expect(healthOf(pagePort, join(files.dataFolder, "page-certificate.pem"))).toBe("alive\n");
    const told = at.vigil(["certificate", "--config", files.configFile]);
    expect(await told.exited).toBe(0);
    expect(JSON.parse(told.stdout.join("\n"))).toMatchObject({ source: "own", fingerprint });
    expect(fingerprintIn(told.stderr.join("\n"))).toBe(fingerprint);
    const page = await makeFirstAccount(link);
    expect((await page.get("/api/settings")).body["certificate"]).toMatchObject({ fingerprint });
    await page.post("/api/settings/restart", {});
    await until("it is ready again", () => run.events().filter(({ kind }) => kind === "gateway-ready").length === 2, 30_000);
    await until("the same certificate is printed again", () => said().split(fingerprint ?? "-").length === 3, 15_000);
    expect(healthOf(pagePort, join(files.dataFolder, "page-certificate.pem"))).toBe("alive\n");
  });

  test("a certificate that is not there is an alert, the gateway watches on, and the page comes when it is", async () => {
    const at = stage();
    const folder = join(at.folder, "tls");
    await mkdir(folder);
    const [certFile, keyFile] = [join(folder, "page-certificate.pem"), join(folder, "page-key.pem")];
    const { files, said } = await start(at, { tls: { certFile, keyFile } });
    await until("it is an alert", async () => (await openFaults(files, "page-certificate-failed")).length === 1, 15_000);
    const parts = {
      folder,
      gatewayId: "ward-1",
      clockTrusted: true,
      random: (bytes: number) => Buffer.alloc(bytes, 7),
      held: null,
    };
    expect((await ownCertificate({ ...parts, wallMs: Date.now() })).ok).toBe(true);
    await until("the page is served", () => linkIn(said()), 20_000);
    await until("the alert is over", async () => (await openFaults(files, "page-certificate-failed")).length === 0, 15_000);
  });
});
