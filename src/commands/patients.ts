import { parseArgs } from "node:util";
import type { Deed } from "../core/act.ts";
import { bedId, patientId } from "../core/ids.ts";
import { performThroughSocket, pictureThroughSocket } from "./ask.ts";
import type { Command, CommandIo } from "./command.ts";
import { askedOf } from "./question.ts";

const USAGE = `usage: vigil patients list --config FILE
       vigil patients admit PATIENT --bed BED [--label TEXT] [--spo2-scale 1|2] [--demonstration] --config FILE
       vigil patients transfer PATIENT --bed BED --config FILE
       vigil patients merge PATIENT --former NUMBER --config FILE
       vigil patients correct PATIENT --label TEXT --config FILE
       vigil patients note PATIENT --text TEXT --config FILE
       vigil patients discharge PATIENT --config FILE
Acts on the running gateway through its control socket. A demonstration patient may be alarmed for by data that is not measured.
transfer keeps the devices on the patient. merge: both numbers are one person, and PATIENT is the number that stays.`;

/** `vigil patients`: who lies where. */
export const patientsCommand: Command = {
  name: "patients",
  usage: USAGE,
  run: async (args, io) => {
    const parsed = parse(args, io);
    if (parsed === null) return 2;
    const { verb, patient, values } = parsed;
    if (verb === "list") {
      const picture = await pictureThroughSocket(parsed.config, io);
      if (picture === null) return 1;
      for (const bed of picture.beds) if (bed.patient !== null) io.stdout(JSON.stringify({ bedId: bed.bedId, ...bed.patient }));
      return 0;
    }
    const change = patient === undefined ? null : changeOf(verb, patient, values);
    if (change !== null) return performThroughSocket(parsed.config, change, io);
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

/** A deed about a patient who is here; null where it is none, or lacks what it needs. */
function changeOf(verb: string, patient: string, values: NonNullable<ReturnType<typeof parse>>["values"]): Deed | null {
  const { bed, label, former, text } = values;
  const of = patientId(patient);
  if (verb === "discharge") return { kind: "discharge", patientId: of };
  if (verb === "transfer" && bed !== undefined) return { kind: "transfer", patientId: of, bedId: bedId(bed) };
  if (verb === "merge" && former !== undefined) return { kind: "merge", patientId: of, formerPatientId: patientId(former) };
  if (verb === "correct" && label !== undefined) return { kind: "correct-patient", patientId: of, label };
  return verb === "note" && text !== undefined ? { kind: "note", patientId: of, text } : null;
}

function parse(args: readonly string[], io: CommandIo) {
  return askedOf(patientsCommand, io, () => {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: "string" },
        bed: { type: "string" },
        label: { type: "string" },
        former: { type: "string" },
        text: { type: "string" },
        "spo2-scale": { type: "string" },
        demonstration: { type: "boolean" },
      },
    });
    const [verb, patient, ...others] = positionals;
    if (others.length > 0) return null;
    return verb === undefined || values.config === undefined ? null : { verb, patient, values, config: values.config };
  });
}
