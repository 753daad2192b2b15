import { parseArgs } from "node:util";
import { deviceId, patientId } from "../core/ids.ts";
import { performThroughSocket, pictureThroughSocket } from "./ask.ts";
import type { Command } from "./command.ts";

const USAGE = `usage: vigil devices list --config FILE
       vigil devices assign DEVICE --patient PATIENT --config FILE
       vigil devices release DEVICE --config FILE
Acts on the running gateway through its control socket. One JSON line per answer.`;

/** `vigil devices`: lists devices and says whom they measure. */
export const devicesCommand: Command = {
  name: "devices",
  usage: USAGE,
  run: async (args, io) => {
    const parsed = parse(args);
    if (parsed === null) {
      io.stderr(USAGE);
      return 2;
    }
    const { verb, device, patient, config } = parsed;
    if (verb === "list") {
      const picture = await pictureThroughSocket(config, io);
      if (picture === null) return 1;
      const seen = new Set<string>();
      for (const view of [...picture.unassigned, ...picture.beds.flatMap((bed) => bed.devices)]) {
        if (seen.has(view.deviceId)) continue;
        seen.add(view.deviceId);
        io.stdout(JSON.stringify(view));
      }
      return 0;
    }
    if (verb === "assign" && device !== undefined && patient !== undefined)
      return performThroughSocket(config, { kind: "assign", deviceId: deviceId(device), patientId: patientId(patient) }, io);
    if (verb === "release" && device !== undefined)
      return performThroughSocket(config, { kind: "release", deviceId: deviceId(device) }, io);
    io.stderr(USAGE);
    return 2;
  },
};

function parse(args: readonly string[]): {
  readonly verb: string;
  readonly device: string | undefined;
  readonly patient: string | undefined;
  readonly config: string;
} | null {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { config: { type: "string" }, patient: { type: "string" } },
    });
    const [verb, device] = positionals;
    return verb === undefined || values.config === undefined
      ? null
      : { verb, device, patient: values.patient, config: values.config };
  } catch {
    return null;
  }
}
