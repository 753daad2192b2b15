import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { askGateway, type ControlSocket, openControlSocket } from "../src/gateway/control-socket.ts";

describe("the control socket", () => {
  let folder = "";
  let path = "";
  let socket: ControlSocket | null = null;
  const clock = createSystemClock();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "vigil-control-"));
    path = join(folder, "control.sock");
  });
  afterEach(async () => {
    await socket?.close();
    socket = null;
    await rm(folder, { recursive: true });
  });
  const open = async () => {
    const opened = await openControlSocket(path, async (request) => ({ heard: request.name, body: request.body }));
    if (opened.ok) socket = opened.value;
    return opened;
  };

  test("only the gateway's own user may use it", async () => {
    await open();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("a request gets its answer, also when somebody left a file of that name behind", async () => {
    await writeFile(path, "left behind");
    await open();
    expect(await askGateway(path, { name: "picture", body: { bed: "日" } }, clock)).toEqual({
      ok: true,
      value: { heard: "picture", body: { bed: "日" } },
    });
  });

  test("an answer as long as the picture of a large ward comes whole", async () => {
    const beds = Array.from({ length: 200 }, (_, index) => ({ bed: index, title: "床".repeat(1500) }));
    const opened = await openControlSocket(path, async () => beds);
    if (opened.ok) socket = opened.value;
    expect(await askGateway(path, { name: "picture", body: null }, clock)).toEqual({ ok: true, value: beds });
  });

  test("nobody there is a fault that names the path, not an exception", async () => {
    expect(await askGateway(path, { name: "picture", body: null }, clock)).toEqual({
      ok: false,
      error: { code: "control-socket-failed", facts: { path, why: "ENOENT" } },
    });
  });

  test("a folder that does not exist is a fault", async () => {
    const opened = await openControlSocket(join(folder, "absent", "control.sock"), async () => null);
    expect(opened).toMatchObject({ ok: false, error: { code: "control-socket-failed" } });
  });

  test.each([
    ["not JSON", "hello\n"],
    ["no name", '{"body":1}\n'],
    ["an empty line", "\n"],
  ])("%s is answered as a bad request and the next one is served", async (_name, text) => {
    await open();
    const answer = await new Promise<string>((resolve) => {
      let given = "";
      const client = connect(path);
      client.setEncoding("utf8").on("data", (chunk: string) => {
        given += chunk;
      });
      client.on("close", () => resolve(given));
      client.write(text);
    });
    expect(JSON.parse(answer)).toEqual({ ok: false, error: { kind: "bad-request" } });
    expect((await askGateway(path, { name: "again", body: null }, clock)).ok).toBe(true);
  });

  test("a request without an end is cut off at its bound and the next one is served", async () => {
    await open();
    const closed = await new Promise<boolean>((resolve) => {
      const client = connect(path);
      client.on("close", () => resolve(true));
      client.on("error", () => {});
      client.write("x".repeat(70_000));
    });
    expect(closed).toBe(true);
    expect((await askGateway(path, { name: "again", body: null }, clock)).ok).toBe(true);
  });
});
