import type { Twin } from "../../src/core/ports.ts";
import { type Result, succeed } from "../../src/core/result.ts";
import { type DeviceParts, type DeviceStats, runTwin } from "../devices/running-twin.ts";
import { badSenderOf } from "./bad-sender.ts";
import { type ByteTerminal, openByteTerminal, type PseudoTerminalError } from "./byte-terminal.ts";

/** A simulated device on a serial port of this machine. */
export interface PseudoTerminal extends Pick<ByteTerminal, "path" | "processId" | "close"> {
  readonly stats: () => DeviceStats;
}

/**
 * Makes a pseudo terminal and lets the twin send into it. A serial line has no connection that could be lost: where a bad link drops it,
 * nothing comes for that time.
 *
 * @param path  Where the port shall appear; a new temporary folder where it is not said.
 */
export async function openPseudoTerminal(
  options: DeviceParts & { readonly twin: Twin; readonly path?: string },
): Promise<Result<PseudoTerminal, PseudoTerminalError>> {
  const opened = await openByteTerminal({ clock: options.clock, path: options.path });
  if (!opened.ok) return opened;
  const terminal = opened.value;
  const bad = badSenderOf(options, { send: terminal.send, drop: () => {}, restore: () => {} });
  const running = runTwin(options.twin, { ...options, send: bad?.send ?? terminal.send });
  terminal.onReceive((bytes) => {
    if (bad === null || (bad.isThere() && !bad.isHalfOpen())) running.receive(bytes);
  });
  return succeed({
    path: terminal.path,
    processId: terminal.processId,
    stats: () => ({ ...running.stats(), bytesDropped: terminal.bytesDropped() + (bad?.stats().bytesDropped ?? 0) }),
    close: async () => {
      running.stop();
      bad?.stop();
      await terminal.close();
    },
  });
}
