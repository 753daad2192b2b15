import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Server, Socket } from "node:net";
import { gunzipSync } from "node:zlib";
import { type ParsedField, type ParsedLine, parseLine, pointIdentity } from "./influx-line-parser.ts";

/** What the server says to one request. `stores`: what of it is stored before; left out: nothing. */
export type InfluxReply =
  /** As InfluxDB 1.6 does: what is not poison is stored, and 204 where nothing was, else 400 and a partial write. */
  | { readonly kind: "normal" }
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly stores?: "all" | "good";
    }
  /** Resets the connection instead of an answer. */
  | { readonly kind: "reset"; readonly stores?: "all" }
  /** Writes these bytes and then resets, or keeps silent. */
  | { readonly kind: "raw"; readonly bytes: string; readonly after: "reset" | "silence" | "endless"; readonly stores?: "all" }
  | { readonly kind: "silence"; readonly stores?: "all" };

/** One request as it came. */
export interface InfluxRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytesCount: number;
  readonly wasPacked: boolean;
  readonly lines: readonly string[];
  /** True where all its lines are heartbeats. */
  readonly isHeartbeat: boolean;
  readonly atMs: number;
}

/** A server that answers as a test wants, and keeps an account of what it stored. */
export interface InfluxServer {
  readonly url: string;
  readonly port: number;
  /** Answers requests from now on; it is asked for each. */
  readonly script: (answer: (request: InfluxRequest, number: number) => InfluxReply) => void;
  /** Lines that a server refuses, under `normal`. */
  readonly poison: (isPoison: (line: ParsedLine) => string | null) => void;
  readonly requests: InfluxRequest[];
  /** Requests without heartbeats. */
  readonly writes: () => readonly InfluxRequest[];
  /** Points by identity, heartbeats left out: how often each was stored, and with which fields. */
  readonly stored: ReadonlyMap<string, StoredPoint>;
  /** Lines that a strict server cannot read; must be empty. */
  readonly unreadable: string[];
  readonly close: () => Promise<void>;
}

/** One stored point. */
export interface StoredPoint {
  readonly line: ParsedLine;
  readonly times: number;
  /** Whether it came again with other fields than before. */
  readonly hasChanged: boolean;
}

/** Starts one on a free port of 127.0.0.1. */
export async function startInfluxServer(secure?: {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  readonly ca?: Buffer;
}): Promise<InfluxServer> {
  const state = new ServerState();
  const sockets = new Set<Socket>();
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on("data", (bytes: Buffer) => chunks.push(bytes));
    request.on("error", () => {});
    request.on("end", () => state.answer(request, response, Buffer.concat(chunks)));
  };
  const server: Server =
    secure === undefined
      ? createServer(onRequest)
      : createSecureServer(
          { ...secure, requestCert: secure.ca !== undefined, rejectUnauthorized: secure.ca !== undefined },
          onRequest,
        );
  for (const event of ["connection", "secureConnection"])
    server.on(event, (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port for the server");
  return {
    url: `${secure === undefined ? "http" : "https"}://127.0.0.1:${address.port}`,
    port: address.port,
    script: (answer) => {
      state.reply = answer;
    },
    poison: (isPoison) => {
      state.poisonOf = isPoison;
    },
    requests: state.requests,
    writes: () => state.requests.filter(({ isHeartbeat }) => !isHeartbeat),
    stored: state.stored,
    unreadable: state.unreadable,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

class ServerState {
  reply: (request: InfluxRequest, number: number) => InfluxReply = () => ({ kind: "normal" });
  poisonOf: (line: ParsedLine) => string | null = () => null;
  readonly requests: InfluxRequest[] = [];
  readonly stored = new Map<string, StoredPoint>();
  readonly unreadable: string[] = [];

  answer(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
    const wasPacked = request.headers["content-encoding"] === "gzip";
    const text = (wasPacked ? gunzipSync(bytes) : bytes).toString("utf8");
    const lines = text.split("\n").filter((line) => line !== "");
    const isHeartbeat = lines.every((line) => line.startsWith("gateway_heartbeat,"));
    const { url: path = "", headers } = request;
    const came: InfluxRequest = {
      path,
      headers,
      bytesCount: bytes.length,
      wasPacked,
      lines,
      isHeartbeat,
      atMs: performance.now(),
    };
    this.requests.push(came);
    const reply = this.reply(came, this.requests.length);
    const parsed = lines.flatMap((line) => this.#parse(line) ?? []);
    switch (reply.kind) {
      case "normal":
        this.#normal(parsed, response);
        return;
      case "status":
        this.#store(parsed, reply.stores ?? "none");
        response.writeHead(reply.status, reply.headers ?? {});
        response.end(reply.body ?? "");
        return;
      case "reset":
        this.#store(parsed, reply.stores ?? "none");
        request.socket.resetAndDestroy();
        return;
      case "silence":
        this.#store(parsed, reply.stores ?? "none");
        return;
      case "raw":
        this.#store(parsed, reply.stores ?? "none");
        writeRaw(request.socket, reply);
    }
  }

  #normal(parsed: readonly ParsedLine[], response: ServerResponse): void {
    const reasons = parsed.flatMap((line) => this.poisonOf(line) ?? []);
    this.#store(parsed, "good");
    response.writeHead(reasons.length === 0 ? 204 : 400, { "content-type": "application/json" });
    const error = `partial write: ${reasons[0]} dropped=${reasons.length}`;
    response.end(reasons.length === 0 ? "" : JSON.stringify({ error }));
  }

  #parse(line: string): ParsedLine | null {
    try {
      return parseLine(line);
    } catch (error) {
      this.unreadable.push(`${line}: ${String(error)}`);
      return null;
    }
  }

  #store(lines: readonly ParsedLine[], which: "all" | "good" | "none"): void {
    if (which === "none") return;
    for (const line of lines) {
      if (line.measurement === "gateway_heartbeat" || (which === "good" && this.poisonOf(line) !== null)) continue;
      const identity = pointIdentity(line);
      const before = this.stored.get(identity);
      const hasChanged = before !== undefined && (before.hasChanged || fieldsText(before.line) !== fieldsText(line));
      this.stored.set(identity, { line, times: (before?.times ?? 0) + 1, hasChanged });
    }
  }
}

function fieldsText(line: ParsedLine): string {
  return JSON.stringify([...line.fields].map(([name, field]): [string, ParsedField] => [name, field]));
}

function writeRaw(socket: Socket, reply: Extract<InfluxReply, { kind: "raw" }>): void {
  socket.write(reply.bytes, () => {
    if (reply.after === "reset") socket.resetAndDestroy();
    if (reply.after !== "endless") return;
    const more = Buffer.alloc(16_384, "x");
    const pour = () => {
      while (!socket.destroyed && socket.write(more));
    };
    socket.on("drain", pour);
    pour();
  });
}
