import { createConnection, createServer, type Socket } from "node:net";
import type { Stage } from "./stage.ts";

/** The way to a server upstream, which a test takes down and up again. */
export interface UpstreamLink {
  readonly port: number;
  /** Resets every connection, in the middle of whatever it carries, and refuses new ones. */
  readonly takeDown: () => void;
  /** Keeps every connection open and carries nothing more over it; new ones are taken and carry nothing either. */
  readonly hang: () => void;
  /** Carries again. What hung is reset. */
  readonly bringUp: () => void;
}

/** Opens a way on a free port of 127.0.0.1 to another; it is closed with the stage. */
export async function openUpstreamLink(stage: Stage, serverPort: number): Promise<UpstreamLink> {
  const sockets = new Set<Socket>();
  let state: "up" | "down" | "hanging" = "up";
  const reset = () => {
    for (const socket of sockets) socket.resetAndDestroy();
    sockets.clear();
  };
  const keep = (socket: Socket) => {
    sockets.add(socket);
    // A reset is an everyday thing here; "close" follows.
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    keep(client);
    if (state === "down") client.resetAndDestroy();
    if (state !== "up") return;
    const onwards = createConnection({ port: serverPort, host: "127.0.0.1", noDelay: true });
    keep(onwards);
    client.setNoDelay(true);
    client.pipe(onwards);
    onwards.pipe(client);
    client.on("close", () => onwards.destroy());
    onwards.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port for the way upstream");
  stage.defer(() => {
    reset();
    server.close();
  });
  return {
    port: address.port,
    takeDown: () => {
      state = "down";
      reset();
    },
    hang: () => {
      state = "hanging";
      for (const socket of sockets) socket.pause().unpipe();
    },
    bringUp: () => {
      if (state === "hanging") reset();
      state = "up";
    },
  };
}
