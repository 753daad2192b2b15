import { execFile, execFileSync } from "node:child_process";
import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseConfig } from "../config/load.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import type { Fault } from "../src/core/errors.ts";
import { type Clock, wallMs } from "../src/core/time.ts";
import { type Dashboard, startDashboard } from "../src/dashboard/server/dashboard.ts";
import type { DashboardOptions } from "../src/dashboard/server/dashboard-options.ts";
import { addressesOnTheNetwork } from "../src/dashboard/server/tls/own-certificate.ts";
import { pageTlsOf } from "../src/gateway/page-tls.ts";
import { createScriptedWard, gatewayView } from "./support/scripted-ward.ts";
import { until } from "./support/until.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 10, 22, 8);
const OWN = { kind: "own", gatewayId: "ward-1" } as const;

let folder = "";
const open: Dashboard[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-tls-"));
  await mkdir(join(folder, "web"));
  await writeFile(join(folder, "web", "index.html"), "<p>the page</p>");
});

afterEach(async () => {
  for (const page of open.splice(0)) await page.close();
  await rm(folder, { recursive: true, force: true });
});

interface Told {
  readonly faults: (Fault | null)[];
}

async function start(more: Partial<DashboardOptions> & { readonly clock?: Clock; readonly trusted?: boolean } = {}) {
  const { clock = createSystemClock(), trusted = true, ...options } = more;
  const ward = createScriptedWard({ nowMs: Date.now, beds: [] });
  ward.setGateway({ ...gatewayView(Date.now()), clockTrust: trusted ? "trusted" : "untrusted" });
  const told: Told = { faults: [] };
  const started = await startDashboard(
    {
      host: "127.0.0.1",
      port: 0,
      dataFolder: join(folder, "data"),
      webFolder: join(folder, "web"),
      signIn: true,
      tls: OWN,
      ...options,
    },
    {
      clock,
      source: ward.source,
      perform: ward.perform,
      random: randomBytes,
      setFault: (slot, reason) => {
        if (slot === "page-certificate") told.faults.push(reason);
      },
    },
  );
  if (started.ok) open.push(started.value);
  return { started, told };
}

async function serve(more: Parameters<typeof start>[0] = {}): Promise<Dashboard & Told> {
  const { started, told } = await start(more);
  if (!started.ok) throw new Error(JSON.stringify(started.error));
  return { ...started.value, ...told };
}

/** Closes a page before the end of its test. */
async function end(page: Dashboard): Promise<void> {
  const index = open.findIndex((one) => one.url === page.url);
  for (const one of open.splice(index, index < 0 ? 0 : 1)) await one.close();
}

/** What the real client says; its exit code is 0 only where the certificate is believed. */
function curl(args: readonly string[]): Promise<{ readonly exitCode: number; readonly said: string }> {
  return new Promise((resolve) => {
    execFile("curl", ["-s", "-m", "10", ...args], (error, stdout) => {
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? 1), said: stdout });
    });
  });
}

function openssl(args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile("openssl", args, (_error, stdout, stderr) => resolve(stdout + stderr));
    child.stdin?.end();
  });
}

/** A clock that stands at a time of its own. */
function clockAt(atMs: number): Clock {
  return { ...createSimulatedClock(), wall: () => wallMs(atMs) };
}

const certificateFile = () => join(folder, "data", "page-certificate.pem");
const keyFile = () => join(folder, "data", "page-key.pem");
const portOf = (page: Dashboard) => new URL(page.url).port;

describe("the gateway's own certificate", () => {
  test("is made at the first start, for this machine's names and addresses, and curl believes it when it is given", async () => {
    const page = await serve();
    expect(page.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/$/);
    expect(page.oneTimeLink).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/#\/first\//);
    const believed = await curl(["--cacert", certificateFile(), `${page.url}healthz`]);
    expect(believed).toEqual({ exitCode: 0, said: "alive\n" });
    // 60: the certificate is not known; nobody who was not told of it is fooled.
    expect((await curl([`${page.url}healthz`])).exitCode).toBe(60);
    const reached = await serve({ host: "0.0.0.0" });
    const port = portOf(reached);
    const asked = (name: string) => {
      const to = ["--cacert", certificateFile(), "--connect-to", `${name}:${port}:127.0.0.1:${port}`];
      return curl([...to, `https://${name}:${port}/healthz`]);
    };
    for (const name of ["localhost", hostname().toLowerCase(), ...addressesOnTheNetwork().filter((one) => !one.includes(":"))])
      expect(await asked(name), name).toEqual({ exitCode: 0, said: "alive\n" });
    expect((await asked("other.example")).exitCode).toBe(60);
  });

  test("is an elliptic one for a server, good for 825 days, and only the gateway's user can read its key", async () => {
    const page = await serve({ clock: clockAt(NOW_MS) });
    const pem = await readFile(certificateFile(), "utf8");
    const parsed = new X509Certificate(pem);
    expect(parsed.subject).toBe("CN=ward-1");
    expect(parsed.verify(parsed.publicKey)).toBe(true);
    expect(parsed.checkPrivateKey(createPrivateKey(await readFile(keyFile(), "utf8")))).toBe(true);
    expect(parsed.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    expect((Date.parse(parsed.validTo) - Date.parse(parsed.validFrom)) / DAY_MS).toBe(825);
    expect(Date.parse(parsed.validFrom)).toBe(NOW_MS - DAY_MS);
    expect(((await stat(keyFile())).mode & 0o777).toString(8)).toBe("600");
    const words = await openssl(["x509", "-in", certificateFile(), "-noout", "-text"]);
    expect(words).toContain("CA:FALSE");
    expect(words).toContain("TLS Web Server Authentication");
    expect(
      await openssl(["verify", "-x509_strict", "-no_check_time", "-CAfile", certificateFile(), certificateFile()]),
    ).toContain("OK");
    expect(page.certificate()).toMatchObject({
      source: "own",
      fingerprint: parsed.fingerprint256,
      toMs: Date.parse(parsed.validTo),
    });
  });

  test("its fingerprint is what openssl sees on the connection, and a restart keeps it", async () => {
    const page = await serve();
    const seen = async (at: Dashboard) => {
      const shown = await openssl(["s_client", "-connect", `127.0.0.1:${portOf(at)}`]);
      const pem = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/.exec(shown)?.[0] ?? "";
      return new X509Certificate(pem).fingerprint256;
    };
    const fingerprint = page.certificate()?.fingerprint;
    expect(await seen(page)).toBe(fingerprint);
    await end(page);
    const again = await serve();
    expect(again.certificate()?.fingerprint).toBe(fingerprint);
    expect(await seen(again)).toBe(fingerprint);
  });

  test.each([
    ["just before the last thirty days", 825 - 1 - 30 - 0.01, "kept"],
    ["at the last thirty days", 825 - 1 - 30, "made anew"],
    ["after its end", 900, "made anew"],
  ])("%s it is %s: %s", async (_when, days, what) => {
    const page = await serve({ clock: clockAt(NOW_MS) });
    const [before, key] = [page.certificate()?.fingerprint, await readFile(keyFile(), "utf8")];
    await end(page);
    const later = await serve({ clock: clockAt(NOW_MS + days * DAY_MS) });
    expect(later.certificate()?.fingerprint === before).toBe(what === "kept");
    // The key stays: a new certificate is for the same one.
    expect(await readFile(keyFile(), "utf8")).toBe(key);
  });

  test("ends while the gateway runs: the next look makes another, which new connections get without a restart", async () => {
    const clock = createSimulatedClock();
    let wall = NOW_MS;
    const page = await serve({ clock: { ...clock, wall: () => wallMs(wall) } });
    const before = page.certificate()?.fingerprint ?? "";
    wall += 800 * DAY_MS;
    await clock.advance(60_000);
    await until("another certificate is in use", () => page.certificate()?.fingerprint !== before);
    const shown = await openssl(["s_client", "-connect", `127.0.0.1:${portOf(page)}`]);
    const pem = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/.exec(shown)?.[0] ?? "";
    expect(new X509Certificate(pem).fingerprint256).toBe(page.certificate()?.fingerprint);
    expect(page.faults.every((reason) => reason === null)).toBe(true);
  });

  test("a first start in 1970 makes one that is good when the clock is right", async () => {
    const page = await serve({ clock: clockAt(0), trusted: false });
    const view = page.certificate();
    await end(page);
    expect(view?.fromMs).toBe(Date.UTC(2025, 11, 31));
    const right = await serve({ clock: clockAt(NOW_MS) });
    expect(right.certificate()?.fingerprint).toBe(view?.fingerprint);
  });

  test("a clock that is not believed throws nothing away; one that was ahead and is right again does", async () => {
    const page = await serve({ clock: clockAt(NOW_MS) });
    const before = page.certificate()?.fingerprint;
    await end(page);
    const in1970 = await serve({ clock: clockAt(0), trusted: false });
    expect(in1970.certificate()?.fingerprint).toBe(before);
    await end(in1970);
    await rm(certificateFile());
    const ahead = await serve({ clock: clockAt(NOW_MS + 3000 * DAY_MS) });
    const wrong = ahead.certificate()?.fingerprint;
    await end(ahead);
    const right = await serve({ clock: clockAt(NOW_MS) });
    expect(right.certificate()?.fingerprint).not.toBe(wrong);
    expect(right.certificate()?.fromMs).toBe(NOW_MS - DAY_MS);
  });

  test("damaged files are made anew; one that may not be read is told, and nothing is put in its place", async () => {
    const page = await serve();
    const before = page.certificate()?.fingerprint;
    await end(page);
    await writeFile(certificateFile(), "-----BEGIN CERTIFICATE-----\nMIIB\n");
    const mended = await serve();
    expect(mended.certificate()?.fingerprint).not.toBe(before);
    await end(mended);
    // A key of another kind, such as somebody may lay there, would make a certificate that nobody can use.
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    await writeFile(keyFile(), privateKey.export({ type: "pkcs8", format: "pem" }));
    const anew = await serve();
    expect(
      await curl([
        "--cacert",
        certificateFile(),
        "--resolve",
        `localhost:${portOf(anew)}:127.0.0.1`,
        `https://localhost:${portOf(anew)}/healthz`,
      ]),
    ).toEqual({ exitCode: 0, said: "alive\n" });
    await end(anew);
    await rm(keyFile());
    await mkdir(keyFile());
    const { started } = await start();
    expect(started).toEqual({
      ok: false,
      error: { code: "page-certificate-failed", facts: { file: keyFile(), reason: "EISDIR" } },
    });
  });

  test("where the disk takes nothing it is used all the same, and told until it is written", async () => {
    const clock = createSimulatedClock();
    await mkdir(join(folder, "data"));
    // A folder in place of the file that is written beside.
    await mkdir(`${keyFile()}.new`);
    const page = await serve({ clock });
    expect(page.faults).toEqual([{ code: "page-certificate-unsaved", facts: { file: keyFile(), reason: "EISDIR" } }]);
    const before = page.certificate()?.fingerprint;
    await clock.advance(60_000);
    await until("it is told again", () => page.faults.length >= 2);
    await rm(`${keyFile()}.new`, { recursive: true });
    await clock.advance(60_000);
    await until("nothing is wrong any more", () => page.faults.at(-1) === null);
    expect(page.certificate()?.fingerprint).toBe(before);
    expect(new X509Certificate(await readFile(certificateFile(), "utf8")).fingerprint256).toBe(before);
  });
});

describe("a certificate from files", () => {
  /** Makes a certificate as somebody else would, with openssl. */
  function made(name: string, days: number): { readonly certFile: string; readonly keyFile: string } {
    const files = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
    const asked = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", String(days)];
    const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    execFileSync("openssl", [...asked, ...names, "-keyout", files.keyFile, "-out", files.certFile], { stdio: "ignore" });
    return files;
  }

  test("is served, and exchanged ones are taken into use without a restart", async () => {
    const clock = createSimulatedClock();
    const [one, other] = [made("one", 90), made("other", 90)];
    const page = await serve({ tls: { kind: "files", ...one }, clock });
    expect(await curl(["--cacert", one.certFile, `${page.url}healthz`])).toEqual({ exitCode: 0, said: "alive\n" });
    await writeFile(one.certFile, await readFile(other.certFile));
    await clock.advance(60_000);
    // Half of it is there: the former pair stays in use, and that is told.
    await until("it is told", () => page.faults.at(-1)?.code === "page-certificate-failed");
    expect(page.faults.at(-1)?.facts).toEqual({ file: one.keyFile, reason: "is not the key of this certificate" });
    await writeFile(one.keyFile, await readFile(other.keyFile));
    await clock.advance(60_000);
    await until("nothing is wrong any more", () => page.faults.at(-1) === null);
    expect(await curl(["--cacert", other.certFile, `${page.url}healthz`])).toEqual({ exitCode: 0, said: "alive\n" });
  });

  test("that has expired is served and told; a page with a warning is better than none", async () => {
    const files = made("old", 90);
    const toMs = Date.parse(new X509Certificate(await readFile(files.certFile)).validTo);
    const before = await serve({ tls: { kind: "files", ...files }, clock: clockAt(toMs - 1) });
    expect(before.faults).toEqual([null]);
    const page = await serve({ tls: { kind: "files", ...files }, clock: clockAt(toMs) });
    const to = new Date(toMs).toISOString().slice(0, 10);
    expect(page.faults).toEqual([{ code: "page-certificate-expired", facts: { file: files.certFile, to } }]);
    expect(await curl(["-k", `${page.url}healthz`])).toEqual({ exitCode: 0, said: "alive\n" });
  });

  test.each([
    ["missing", "ENOENT", async (files: { certFile: string }) => rm(files.certFile)],
    ["no certificate", "holds no certificate in PEM", async (files: { certFile: string }) => writeFile(files.certFile, "hello")],
  ])("%s: the page is not served, and why is said", async (_what, reason, spoil) => {
    const files = made("one", 90);
    await spoil(files);
    const { started } = await start({ tls: { kind: "files", ...files } });
    expect(started).toEqual({ ok: false, error: { code: "page-certificate-failed", facts: { file: files.certFile, reason } } });
  });

  test.each([
    [
      "another's",
      "is not the key of this certificate",
      async (keyFile: string) => writeFile(keyFile, await readFile(made("other", 9).keyFile)),
    ],
    ["no key", "holds no private key in PEM without a password", async (keyFile: string) => writeFile(keyFile, "hello")],
  ])("a key that is %s: the page is not served, and why is said", async (_what, reason, spoil) => {
    const files = made("one", 90);
    await spoil(files.keyFile);
    const { started } = await start({ tls: { kind: "files", ...files } });
    expect(started).toEqual({ ok: false, error: { code: "page-certificate-failed", facts: { file: files.keyFile, reason } } });
  });
});

describe("the encrypted page", () => {
  test("speaks TLS 1.2 and 1.3, and nothing older", async () => {
    const page = await serve();
    const at = ["-k", `${page.url}healthz`];
    expect((await curl(["--tlsv1.2", "--tls-max", "1.2", ...at])).said).toBe("alive\n");
    expect((await curl(["--tlsv1.3", ...at])).said).toBe("alive\n");
    const old = await curl(["--ciphers", "DEFAULT:@SECLEVEL=0", "--tlsv1.0", "--tls-max", "1.1", ...at]);
    expect(old.exitCode).toBe(35);
  });

  test("who comes without encryption is sent to it; what they post is not taken, and no cookie is set", async () => {
    const page = await serve();
    const plainUrl = page.url.replace("https:", "http:");
    const sent = await curl(["-i", `${plainUrl}api/picture?secret=1`]);
    expect(sent.said).toContain("307 Temporary Redirect");
    expect(sent.said.toLowerCase()).toContain(`location: ${page.url}\r\n`);
    expect(sent.said).not.toContain("secret");
    expect((await curl(["-L", "-k", plainUrl])).said).toContain("the page");
    const posted = await curl([
      "-i",
      "-H",
      "content-type: application/json",
      "-H",
      "x-vigil-page: 1",
      "-d",
      '{"name":"a","password":"b"}',
      `${plainUrl}api/sign-in`,
    ]);
    expect(posted.said).toContain("400 Bad Request");
    expect(posted.said.toLowerCase()).not.toContain("set-cookie");
    const misled = await curl(["-i", "-H", "host: evil.example/x", plainUrl]);
    expect(misled.said).toContain("400 Bad Request");
    expect(misled.said.toLowerCase()).not.toContain("location:");
  });

  test("the cookie travels encrypted only, and a page of the same name without encryption cannot post", async () => {
    const page = await serve();
    await page.users(
      { verb: "add", name: "nurse.li", password: "correct horse 9", role: "administrator", patientId: null },
      { userId: "test", role: null, from: "command-line" },
    );
    const signIn = (origin: string) =>
      curl([
        ...["-k", "-i", "-H", "content-type: application/json", "-H", "x-vigil-page: 1", "-H", `origin: ${origin}`],
        "-d",
        '{"name":"nurse.li","password":"correct horse 9"}',
        `${page.url}api/sign-in`,
      ]);
    const entered = await signIn(page.url.slice(0, -1));
    expect(entered.said).toMatch(/set-cookie: vigil-session-\d+=[\w-]+; HttpOnly; SameSite=Strict; Path=\/; Secure; Max-Age=/i);
    expect((await signIn(page.url.slice(0, -1).replace("https:", "http:"))).said).toContain("403 Forbidden");
  });

  test("connections that say nothing, half a handshake, or rubbish harm nobody, and the page closes all the same", async () => {
    const page = await serve();
    const port = Number(portOf(page));
    const silent = connect(port, "127.0.0.1");
    const half = connect(port, "127.0.0.1", () => half.write(Buffer.from([22, 3, 1])));
    const rubbish = connect(port, "127.0.0.1", () => rubbish.write(Buffer.from([0, 1, 2, 3, 255])));
    const broken = connect(port, "127.0.0.1", () => broken.write("22 GET"));
    for (const socket of [silent, half, rubbish, broken]) socket.on("error", () => undefined).resume();
    await until("rubbish is ended", () => rubbish.readableEnded);
    expect((await curl(["-k", `${page.url}healthz`])).said).toBe("alive\n");
    const beganMs = Date.now();
    await end(page);
    // Far under the ten seconds that a silent one may stay.
    expect(Date.now() - beganMs).toBeLessThan(5000);
    for (const socket of [silent, half, rubbish, broken]) socket.destroy();
  });

  test("a port that another program has is told as before", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const address = other.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { started } = await start({ port });
    await new Promise((resolve) => other.close(resolve));
    expect(started.ok ? null : started.error.code).toBe("page-port-in-use");
  });
});

describe("what the configuration says", () => {
  const config = (dashboard: Readonly<Record<string, unknown>>) => {
    const text = JSON.stringify({ gateway: { id: "ward-1", dataFolder: "/var/lib/vigil" }, dashboard });
    const parsed = parseConfig(text, "/etc/vigil");
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    return parsed.value;
  };

  test.each([
    ["this machine only", {}, null],
    ["this machine only, and own", { tls: "own" }, OWN],
    ["every address", { host: "0.0.0.0" }, OWN],
    ["every address, and none", { host: "0.0.0.0", tls: "none" }, null],
    [
      "files",
      { tls: { certFile: "a.pem", keyFile: "/b.key" } },
      { kind: "files", certFile: "/etc/vigil/a.pem", keyFile: "/b.key" },
    ],
  ])("%s", (_what, dashboard, wanted) => {
    expect(pageTlsOf(config(dashboard))).toEqual(wanted);
  });
});

test("a page that others may reach tells every address, an encrypted one with its fingerprint", async () => {
  await chmod(folder, 0o700);
  const page = await serve({ host: "0.0.0.0" });
  const [first] = addressesOnTheNetwork();
  expect(new URL(page.url).hostname).toBe(first ?? "127.0.0.1");
  expect([page.url, ...page.otherUrls].map((url) => new URL(url).hostname)).toContain("127.0.0.1");
  expect(page.certificate()?.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
});
