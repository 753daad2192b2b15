import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNudgeDesk } from "../../simulator/devices/nudge-desk.ts";
import { createSystemClock } from "../../src/clock.ts";
import type { NudgeChoice, NudgeName } from "../../src/core/demonstration.ts";
import { succeed } from "../../src/core/result.ts";
import type { PictureView } from "../../src/core/stream.ts";
import { openControlSocket } from "../../src/gateway/control-socket.ts";
import { createDemonstrationDesk, nudgeHandler } from "../../src/gateway/demonstration-desk.ts";

/** What each simulated device of a test offers; the first choice holds at first. */
export type OfferedNudges = Readonly<Record<string, Readonly<Partial<Record<NudgeName, readonly NudgeChoice[]>>>>>;

/** The desk of a gateway that is a demonstration, with its socket; the world behind it changes nothing and keeps what it was told. */
export async function openScriptedDemonstration(offered: OfferedNudges, picture: () => PictureView) {
  const clock = createSystemClock();
  const folder = await mkdtemp(join(tmpdir(), "vigil-nudges-"));
  const socketFile = join(folder, "nudge.sock");
  const applied: string[] = [];
  const world = createNudgeDesk(
    Object.entries(offered).map(([name, choices]) => ({
      name,
      nudgeables: Object.entries(choices).map(([what, some]) => ({
        name: what as NudgeName,
        choices: some,
        apply: async (choice: NudgeChoice) => {
          applied.push(`${name} ${what} ${choice}`);
          return succeed(undefined);
        },
      })),
    })),
    clock,
  );
  const open = async () => {
    const opened = await openControlSocket(socketFile, nudgeHandler(world));
    if (!opened.ok) throw new Error(JSON.stringify(opened.error));
    return opened.value;
  };
  let socket = await open();
  return {
    source: createDemonstrationDesk({ socketFile, clock, picture }),
    socketFile,
    /** What the world was told, as `clip-3 fingerClip off`. */
    applied,
    /** The world dies. */
    die: () => socket.close(),
    /** And is there again. */
    revive: async () => {
      socket = await open();
    },
    close: async () => {
      await socket.close();
      await rm(folder, { recursive: true });
    },
  };
}
