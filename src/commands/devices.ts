import { parseArgs } from "node:util";
import { deviceId, patientId } from "../core/ids.ts";
import { performThroughSocket, pictureThroughSocket } from "./ask.ts";
import type { Command, CommandIo } from "./command.ts";
import {
  type AccountWish,
  addDeviceAccount,
  forgetDeviceAccount,
  listDeviceAccounts,
  renewDevicePassword,
} from "./device-accounts.ts";
import { askedOf } from "./question.ts";

const USAGE = `usage: vigil devices list --config FILE
       vigil devices assign DEVICE --patient PATIENT --config FILE
       vigil devices confirm DEVICE --patient PATIENT --config FILE
       vigil devices release DEVICE --config FILE
       vigil devices add DEVICE [--publish TOPIC ...] [--subscribe TOPIC ...] [--client-id ID ...] [--days N] [--certificate] --config FILE
       vigil devices accounts | renew DEVICE | forget DEVICE --config FILE
list, assign, confirm and release act on the running gateway through its control socket; confirm answers the question whether a
device is still on its patient. The others change who the gateway's own MQTT broker lets in: add prints the password once; in topics
%u stands for the account, %c for the client id; --days ends the account; --certificate lets only a client certificate of this name
in. One JSON line per answer.`;

/** `vigil devices`: lists devices and says whom they measure. */
export const devicesCommand: Command = {
  name: "devices",
  usage: USAGE,
  run: async (args, io) => {
    const parsed = parse(args, io);
    if (parsed === null) return 2;
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
    if (verb === "confirm" && device !== undefined && patient !== undefined) {
      const deed = { kind: "confirm-assignment", deviceId: deviceId(device), patientId: patientId(patient) } as const;
      return performThroughSocket(config, deed, io);
    }
    if (verb === "release" && device !== undefined)
      return performThroughSocket(config, { kind: "release", deviceId: deviceId(device) }, io);
    const answered = await changeAccounts(parsed, io);
    if (answered !== null) return answered;
    io.stderr(USAGE);
    return 2;
  },
};

interface Parsed {
  readonly verb: string;
  readonly device: string | undefined;
  readonly patient: string | undefined;
  readonly config: string;
  readonly wish: Omit<AccountWish, "name">;
}

/** Who may come to the broker; null where the words ask for nothing of it. */
async function changeAccounts({ verb, device, config, wish }: Parsed, io: CommandIo): Promise<number | null> {
  if (verb === "accounts") return listDeviceAccounts(config, io);
  if (device === undefined) return null;
  switch (verb) {
    case "add":
      return addDeviceAccount(config, { name: device, ...wish }, io);
    case "renew":
      return renewDevicePassword(config, device, io);
    case "forget":
      return forgetDeviceAccount(config, device, io);
    default:
      return null;
  }
}

function parse(args: readonly string[], io: CommandIo): Parsed | null {
  return askedOf(devicesCommand, io, () => {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: "string" },
        patient: { type: "string" },
        publish: { type: "string", multiple: true },
        subscribe: { type: "string", multiple: true },
        "client-id": { type: "string", multiple: true },
        days: { type: "string" },
        certificate: { type: "boolean" },
      },
    });
    const [verb, device, ...others] = positionals;
    const days = values.days === undefined ? null : Number(values.days);
    if (verb === undefined || others.length > 0 || values.config === undefined || (days !== null && !(days > 0))) return null;
    const { publish = [], subscribe = [], "client-id": clientIds = [], certificate = false } = values;
    const wish = { publish, subscribe, clientIds, days, certificateOnly: certificate };
    return { verb, device, patient: values.patient, config: values.config, wish };
  });
}
