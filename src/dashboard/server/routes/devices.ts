import type { FastifyInstance } from "fastify";
import type { DeviceRowView } from "../../../core/device-view.ts";
import { fault } from "../../../core/errors.ts";
import { deviceId } from "../../../core/ids.ts";
import { LIMITS } from "../../../core/limits.ts";
import { mayKnowPatient } from "../../../core/rights.ts";
import { anybody, queryText, type Room, refuse, signedIn, textField } from "./room.ts";

/** Devices as those see them who look after them, and devices that are there and in nobody's use. The table of rights was asked before. */
export function addDevices(app: FastifyInstance, room: Room): void {
  const { devices } = room.parts.source;
  app.get("/api/devices", (request, reply) => {
    const { role } = signedIn(request, room) ?? anybody;
    const { devices: rows, unused } = devices.list();
    return reply.send({ ok: true, devices: mayKnowPatient(role) ? rows : rows.map(withoutPatient), unused });
  });

  app.get("/api/device", (request, reply) => {
    const { role } = signedIn(request, room) ?? anybody;
    const id = queryText(request, "id");
    const device = id === null ? null : devices.detail(deviceId(id));
    if (device === null) return refuse(reply, 404, fault("request-refused", { field: "id" }));
    return reply.send({ ok: true, device: mayKnowPatient(role) ? device : withoutPatient(device) });
  });

  app.get("/api/candidates", (_request, reply) => reply.send({ ok: true, candidates: devices.candidates() }));

  app.post("/api/preview", (request, reply) => {
    const driverId = textField(request.body, "driverId");
    const topic = textField(request.body, "topic");
    const options = optionsField(request.body);
    if (driverId === null || topic === null || options === null) return refuse(reply, 400, fault("request-refused"));
    return reply.send({ ok: true, preview: devices.preview({ driverId, options, topic }) });
  });
}

/** What an engineer needs not know: the bed is enough to find the device. */
function withoutPatient<Row extends DeviceRowView>(row: Row): Row {
  return { ...row, patient: null };
}

function optionsField(body: unknown): Readonly<Record<string, string>> | null {
  const options = typeof body === "object" && body !== null && "options" in body ? body.options : null;
  if (typeof options !== "object" || options === null || Array.isArray(options)) return null;
  let length = 0;
  for (const [name, value] of Object.entries(options)) {
    if (typeof value !== "string") return null;
    length += name.length + value.length;
  }
  return length > LIMITS.adoptOptionsCharactersMax.value ? null : (options as Readonly<Record<string, string>>);
}
