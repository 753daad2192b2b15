import type { PatientId } from "../../core/ids.ts";
import type { BedView, PictureView, StreamMessage } from "../../core/stream.ts";
import type { Whereabouts } from "./source.ts";

/** A picture as a patient's family may see it: their bed, their alerts, nothing of anybody else and nothing staff write to each other. */
export function familyPicture(picture: PictureView, here: Whereabouts | null): PictureView {
  const beds = here === null ? [] : familyBeds(picture.beds, here);
  return {
    nowMs: picture.nowMs,
    gateway: familyGateway(picture.gateway),
    beds,
    unassigned: [],
    alerts: here === null ? [] : familyAlerts(picture.alerts, here.patientId),
  };
}

/** One message of the stream, or null where there is nothing in it for the family. */
export function familyMessage(message: StreamMessage, here: Whereabouts | null): StreamMessage | null {
  switch (message.kind) {
    case "picture":
      return { kind: "picture", picture: familyPicture(message.picture, here) };
    case "beds": {
      const beds = here === null ? [] : familyBeds(message.beds, here);
      return beds.length === 0 ? null : { kind: "beds", beds };
    }
    case "alerts": {
      const alerts = here === null ? [] : familyAlerts(message.alerts, here.patientId);
      return alerts.length === 0 ? null : { kind: "alerts", alerts };
    }
    case "gateway":
      return { kind: "gateway", gateway: familyGateway(message.gateway) };
    case "unassigned":
    case "waves":
    case "thin-waves":
      return null;
    case "pulse":
      return message;
  }
}

function familyBeds(beds: readonly BedView[], here: Whereabouts): readonly BedView[] {
  return beds.flatMap((bed) => {
    if (bed.bedId !== here.bedId || bed.patient === null || bed.patient.patientId !== here.patientId) return [];
    const limits = bed.patient.limits.map((limit) => ({ ...limit, reason: null, setBy: "" }));
    const patient = { ...bed.patient, limits, noteCount: 0, lastNote: null };
    return [{ ...bed, patient, devices: bed.devices.filter((device) => device.patientId === here.patientId) }];
  });
}

function familyAlerts(alerts: PictureView["alerts"], patientId: PatientId): PictureView["alerts"] {
  return alerts.filter((alert) => alert.subject.patientId === patientId);
}

function familyGateway(gateway: PictureView["gateway"]): PictureView["gateway"] {
  return { ...gateway, upstreams: [] };
}
