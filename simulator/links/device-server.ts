import type { Twin } from "../../src/core/ports.ts";
import { type Result, succeed } from "../../src/core/result.ts";
import { type DeviceParts, type DeviceStats, runTwin } from "../devices/running-twin.ts";
import { type BadSender, badSenderOf } from "./bad-sender.ts";
import { type ByteServer, openByteServer, type PortError } from "./byte-server.ts";

/** A simulated serial device server: one device, reached by TCP. */
export interface DeviceServer extends Pick<ByteServer, "host" | "port" | "setPlugged" | "clientCount" | "close"> {
  readonly stats: () => DeviceStats;
}

/**
 * Listens on a port and gives every client what the twin sends, from the moment it connects, as a serial device server does:
 * the device goes on whether somebody listens or not, and a client that is too slow loses bytes. What clients write reaches the twin.
 * With a bad link all clients share its faults: a drop resets them all, and while it is away whoever connects is closed at once. Half-open
 * is over with the next client after all have gone.
 *
 * @param port  0 takes a free one.
 */
export async function openDeviceServer(
  options: DeviceParts & { readonly twin: Twin; readonly host?: string; readonly port?: number },
): Promise<Result<DeviceServer, PortError>> {
  let bad: BadSender | null = null;
  const opened = await openByteServer({
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    mayEnter: () => bad?.isThere() !== false,
    onFirstClient: () => bad?.begin(),
  });
  if (!opened.ok) return opened;
  const server = opened.value;
  bad = badSenderOf(options, { send: server.send, drop: server.dropClients, restore: () => {} });
  const running = runTwin(options.twin, { ...options, send: bad?.send ?? server.send });
  server.onReceive((bytes) => {
    if (bad?.isHalfOpen() !== true) running.receive(bytes);
  });
  return succeed({
    ...server,
    stats: () => ({ ...running.stats(), bytesDropped: server.bytesDropped() + (bad?.stats().bytesDropped ?? 0) }),
    close: async () => {
      running.stop();
      bad?.stop();
      await server.close();
    },
  });
}
