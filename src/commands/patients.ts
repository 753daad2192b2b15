import { parseArgs } from "node:util";
import { bedId, patientId } from "../core/ids.ts";
import { performThroughSocket, pictureThroughSocket } from "./ask.ts";
import type { Command } from "./command.ts";

const USAGE = `usage: vigil patients list --config FILE
       vigil patients admit PATIENT --bed BED [--label TEXT] [--spo2-scale 1|2] [--demonstration] --config FILE
       vigil patients discharge PATIENT --config FILE
Acts on the running gateway through its control socket. A demonstration patient may be alarmed for by data that is not measured.`;

/** `vigil patients`: who lies where. */
export const patientsCommand: Command = {
  name: "patients",
  usage: USAGE,
  run: async (args, io) => {
    const parsed = parse(args);
    if (parsed === null) {
      io.stderr(USAGE);
      return 2;
    }
    const { verb, patient, values } = parsed;
    if (verb === "list") {
      const picture = await pictureThroughSocket(parsed.config, io);
      if (picture === null) return 1;
      for (const bed of picture.beds) if (bed.patient !== null) io.stdout(JSON.stringify({ bedId: bed.bedId, ...bed.patient }));
      return 0;
    }
    if (verb === "discharge" && patient !== undefined)
      return performThroughSocket(parsed.config, { kind: "discharge", patientId: patientId(patient) }, io);
    const scale = values["spo2-scale"] ?? "1";
    if (verb !== "admit" || patient === undefined || values.bed === undefined || (scale !== "1" && scale !== "2")) {
      io.stderr(USAGE);
      return 2;
    }
    return performThroughSocket(
      parsed.config,
      {
        kind: "admit",
        patientId: patientId(patient),
        bedId: bedId(values.bed),
        label: values.label ?? patient,
        profile: { kind: "adult", spo2Scale: scale === "2" ? 2 : 1 },
        demonstration: values.demonstration === true,
      },
      io,
    );
  },
};

function parse(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: "string" },
        bed: { type: "string" },
        label: { type: "string" },
        "spo2-scale": { type: "string" },
        demonstration: { type: "boolean" },
      },
    });
    const [verb, patient] = positionals;
    return verb === undefined || values.config === undefined ? null : { verb, patient, values, config: values.config };
  } catch {
    return null;
  }
}
