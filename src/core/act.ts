import type { Priority } from "./alert.ts";
import type { AlertId, BedId, DeviceId, PatientId, Seq, UserId } from "./ids.ts";
import type { QuantityName } from "./quantities.ts";
import type { WallMs } from "./time.ts";

/** ACVPU: alert, new confusion, voice, pain, unresponsive. Source: RCP NEWS2 2017. */
export type Consciousness = "A" | "C" | "V" | "P" | "U";

/** One side of a limit. `null` switches that side off, which is itself shown. */
export interface LimitSide {
  readonly value: number;
  readonly priority: Priority;
}

/** What a person says of an alert: true and relevant, true but nothing to be done, or false. */
export type Verdict = "relevant" | "not-actionable" | "false";

/** What somebody who is signed in may do; `rights.ts` says what each may. */
export type Role = "nurse" | "engineer" | "auditor" | "administrator" | "family";

/** The doors through which somebody acts. */
export type DoorName = "page" | "command-line" | "upstream" | "demonstration" | "hl7";

/** What a person may do at the bedside, and who came in and who may. Each is one record in the journal. */
export type Deed = BedsideDeed | AccessDeed;

/** What changes who lies where, what is on whom and what is watched how. */
export type BedsideDeed =
  | {
      readonly kind: "admit";
      readonly patientId: PatientId;
      readonly bedId: BedId;
      /** Shown on the wall; may be initials or a pseudonym. */
      readonly label: string;
      readonly profile: PatientProfile;
      /** True for a patient that is a demonstration, test or drill; only such a patient may have alerts from data that is not measured. */
      readonly demonstration: boolean;
    }
  | { readonly kind: "discharge"; readonly patientId: PatientId }
  /** The patient lies in another bed, which must be free; the devices stay on the patient. */
  | { readonly kind: "transfer"; readonly patientId: PatientId; readonly bedId: BedId }
  /** Two numbers were one person: `patientId` stays, `formerPatientId` is used no more. HL7 v2.5.1, ADT^A40. */
  | { readonly kind: "merge"; readonly patientId: PatientId; readonly formerPatientId: PatientId }
  /** What is shown on the wall was wrong. HL7 v2.5.1, ADT^A08. */
  | { readonly kind: "correct-patient"; readonly patientId: PatientId; readonly label: string }
  | { readonly kind: "assign"; readonly deviceId: DeviceId; readonly patientId: PatientId }
  | { readonly kind: "release"; readonly deviceId: DeviceId }
  /** Somebody looked: the device is on the patient it is assigned to. */
  | { readonly kind: "confirm-assignment"; readonly deviceId: DeviceId; readonly patientId: PatientId }
  | {
      readonly kind: "set-limit";
      readonly patientId: PatientId;
      readonly quantity: QuantityName;
      readonly low: LimitSide | null;
      readonly high: LimitSide | null;
      /** Why, in a person's words; null or left out where nobody said, as in older records. */
      readonly reason?: string | null;
      /** When the ward's own limit comes back by itself, by the wall clock of the act; null or left out: it holds until it is set anew. */
      readonly expiresAtMs?: WallMs | null;
    }
  /** The ward's own limit holds for the patient again, in place of one that was set. */
  | { readonly kind: "reset-limit"; readonly patientId: PatientId; readonly quantity: QuantityName }
  | { readonly kind: "acknowledge"; readonly alertId: AlertId }
  /** What became of an alert, open or ended; the last word counts. */
  | { readonly kind: "verdict"; readonly alertId: AlertId; readonly verdict: Verdict }
  | { readonly kind: "note"; readonly patientId: PatientId; readonly text: string }
  | { readonly kind: "enter-consciousness"; readonly patientId: PatientId; readonly consciousness: Consciousness }
  | { readonly kind: "enter-oxygen"; readonly patientId: PatientId; readonly onOxygen: boolean }
  | { readonly kind: "set-profile"; readonly patientId: PatientId; readonly profile: PatientProfile }
  | ({ readonly kind: "adopt" } & AdoptedDevice)
  /** An adopted device is in use no more. */
  | { readonly kind: "forget-device"; readonly deviceId: DeviceId };

/** A device that is there and not in the configuration, and is in use since somebody adopted it, also after a restart. */
export interface AdoptedDevice {
  readonly deviceId: DeviceId;
  readonly driverId: string;
  /** Shown on the wall; null: the driver's own title. */
  readonly title: string | null;
  /** By the gateway's own broker. `account` is the one whose connection is the device's link; null where several devices share one. */
  readonly link: { readonly kind: "mqtt"; readonly topics: readonly string[]; readonly account: string | null };
  /** Of its driver. */
  readonly options: Readonly<Record<string, string>>;
  /** Where it stands; null: nowhere in particular. */
  readonly bedId: BedId | null;
  /** Longest silence before a technical alert; null: the driver's. */
  readonly silenceSeconds: number | null;
  /** Quantities whose absence is a technical alert; null: the driver's. */
  readonly expected: readonly QuantityName[] | null;
}

/** Who came in, who was refused, and whose accounts there are. Nobody asks for these; they follow from what was done. */
export type AccessDeed =
  | { readonly kind: "sign-in" }
  | { readonly kind: "sign-out"; readonly why: "asked" | "time-out" | "account-changed" }
  | {
      readonly kind: "sign-in-refused";
      /** The account; null where there is none of the name that was given, which may have been a password. */
      readonly account: string | null;
      readonly why: "wrong-password" | "no-account" | "locked";
      /** How many this record stands for: after the first, refusals are told together. */
      readonly count: number;
    }
  | { readonly kind: "account-added"; readonly account: string; readonly role: Role; readonly patientId: PatientId | null }
  | { readonly kind: "account-changed"; readonly account: string; readonly what: "password" | "role" }
  | { readonly kind: "account-removed"; readonly account: string }
  /** An account of the embedded broker. */
  | { readonly kind: "device-account-added"; readonly account: string }
  | { readonly kind: "device-account-changed"; readonly account: string; readonly what: "password" }
  | { readonly kind: "device-account-removed"; readonly account: string }
  /** The configuration was written; SHA-256 of the text before and after, hexadecimal. It is in effect from the next start on. */
  | { readonly kind: "settings-changed"; readonly before: string; readonly after: string }
  | { readonly kind: "restart-asked" };

const ACCESS_KINDS: Readonly<Record<AccessDeed["kind"], true>> = {
  "sign-in": true,
  "sign-out": true,
  "sign-in-refused": true,
  "account-added": true,
  "account-changed": true,
  "account-removed": true,
  "device-account-added": true,
  "device-account-changed": true,
  "device-account-removed": true,
  "settings-changed": true,
  "restart-asked": true,
};

/** Whether a deed is about who came in and who may, and changes nothing at the bedside. */
export function isAccessDeed(deed: Deed): deed is AccessDeed {
  return Object.hasOwn(ACCESS_KINDS, deed.kind);
}

/** What the scores need to know of a patient. */
export interface PatientProfile {
  readonly kind: "adult";
  /** NEWS2 SpO2 scale 2 only where prescribed for a target of 88 to 92 %. */
  readonly spo2Scale: 1 | 2;
}

/** The message of another system that asked for an act: so one that comes again is known, also after a restart, and so is one that comes late. */
export interface ActMessage {
  /** The sender, its number of the message and a hash of the content: the same for a message that comes again, and for no other. */
  readonly identity: string;
  /** What kind of message, such as `A02`. */
  readonly event: string;
  /** When the sender says it was, as it wrote it; null where it does not say. */
  readonly saidAt: string | null;
  /** The sender's number of the patient's stay; null where it does not say. */
  readonly visit: string | null;
  /** Which of the message's acts this is, from 1, and how many there are: the message is done when all are there. */
  readonly part: number;
  readonly parts: number;
}

/** A deed by somebody, at a time, through a door. What is marked with a question mark is missing in records of before there was such a thing. */
export interface Act {
  readonly kind: "act";
  readonly seq: Seq;
  readonly atMs: WallMs;
  readonly by: UserId;
  /** What the one who acted was signed in as; null where nobody signs in. */
  readonly role?: Role | null;
  readonly from: DoorName;
  /** The network address or the terminal it came from; null where nobody knows. */
  readonly at?: string | null;
  /** The message of another system that it came of. */
  readonly message?: ActMessage;
  readonly deed: Deed;
  /** The hash of the act before this one; `FIRST_PREVIOUS_HASH` of the first that has one. */
  readonly previousHash?: string;
  /** SHA-256, hexadecimal, over `previousHash` and this act without its hash; src/verify/act-chain.ts says how. */
  readonly hash?: string;
}

/** What stands in the first chained act in place of the hash of the one before. */
export const FIRST_PREVIOUS_HASH = "0".repeat(64);
