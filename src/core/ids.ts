/** A device as the configuration names it, for example `monitor-3`. */
export type DeviceId = string & { readonly __id: "device" };
/** A patient as the ward names them; a pseudonym is as good as a hospital number. Never written to a log. */
export type PatientId = string & { readonly __id: "patient" };
/** A place for a patient, as the configuration names it. */
export type BedId = string & { readonly __id: "bed" };
/** One alert from its first to its last state: `<first 8 of the epoch>-<sequence number of its first record>`. */
export type AlertId = string & { readonly __id: "alert" };
/** A person or program that may act. */
export type UserId = string & { readonly __id: "user" };
/** The order in which records were made, over all kinds, from 1; assigned on the main thread. Rises by one, but leaves numbers out at a restart. */
export type Seq = number & { readonly __id: "seq" };

export const deviceId = (text: string): DeviceId => text as DeviceId;
export const patientId = (text: string): PatientId => text as PatientId;
export const bedId = (text: string): BedId => text as BedId;
export const alertId = (text: string): AlertId => text as AlertId;
export const userId = (text: string): UserId => text as UserId;
export const seq = (number: number): Seq => number as Seq;

/** What identifies a record outside the gateway, so that a replaced journal never collides with an old one. */
export function recordKey(at: { readonly gatewayId: string; readonly epoch: string; readonly seq: Seq }): string {
  return `${at.gatewayId}/${at.epoch}/${at.seq}`;
}
