import type { Fault } from "./errors.ts";
import type { BedId, DeviceId, PatientId } from "./ids.ts";
import type { Content, Origin, QualityFlag } from "./observation.ts";
import type { DecodeError, OptionProblem } from "./ports.ts";
import type { QuantityName, Text } from "./quantities.ts";

/** Where a device's link goes, without anything secret. */
export type LinkPlaceView =
  | { readonly kind: "serial"; readonly path: string; readonly baudRate: number; readonly format: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | {
      readonly kind: "mqtt";
      /** Address of the server; null: the gateway's own broker. */
      readonly server: string | null;
      /** Of the own broker; null where several devices share one, or the server is another. */
      readonly account: string | null;
      readonly topics: readonly string[];
    }
  | { readonly kind: "capture"; readonly file: string };

/** How a device's link is, and since when; `opening` before it was up or missed for the first time. */
export interface LinkStateView {
  readonly state: "opening" | "up" | "down";
  readonly sinceMs: number;
  /** Why it is down. */
  readonly fault: Fault | null;
}

/** What came from a device since the gateway began to run. */
export interface DeviceCountsView {
  readonly bytes: number;
  /** Whole messages. */
  readonly frames: number;
  readonly readings: number;
  readonly waves: number;
  readonly refused: number;
}

/** A quantity that must come from a device. */
export interface ExpectedView {
  readonly quantity: QuantityName;
  readonly silenceSeconds: number;
  /** When it last had a value; null: not since the gateway knows. */
  readonly lastAtMs: number | null;
  /** Whether it has had none for longer than it may, of a device that is on somebody. */
  readonly isMissing: boolean;
}

/** One device, as the page of devices lists it. */
export interface DeviceRowView {
  readonly deviceId: DeviceId;
  readonly title: Text;
  readonly driverId: string;
  readonly driverVersion: string;
  readonly driverTitle: Text;
  /** Whether the configuration has it or somebody adopted it. */
  readonly from: "configuration" | "adopted";
  readonly place: LinkPlaceView;
  readonly link: LinkStateView;
  readonly lastHeardAtMs: number | null;
  readonly counts: DeviceCountsView;
  readonly quarantined: boolean;
  readonly origin: Origin;
  readonly bedId: BedId | null;
  /** Whether it is on somebody. */
  readonly isAssigned: boolean;
  /** Whom it is on; null also where whoever asks need not know. */
  readonly patient: { readonly patientId: PatientId; readonly label: string } | null;
  readonly battery: { readonly content: Content; readonly atMs: number } | null;
  /** What it last said of its radio: `linkQuality` from 0 to 255 of Zigbee, `rssiDbm` of others. */
  readonly signal: { readonly linkQuality: number | null; readonly rssiDbm: number | null; readonly atMs: number } | null;
  readonly expected: readonly ExpectedView[];
  readonly silenceSeconds: number;
}

/** Bytes that a driver could not read. */
export interface RefusedBytesView {
  readonly atMs: number;
  readonly channel: string;
  /** Two digits a byte. Of a stream the last bytes up to the refusal, good ones before it among them; of a message its beginning. */
  readonly hex: string;
  readonly isWholeMessage: boolean;
  /** How many bytes the message had; of a stream, how many came in the piece in which it was refused. */
  readonly bytesGiven: number;
  /** The first few reasons, and how many there were in that piece. */
  readonly errors: readonly DecodeError[];
  readonly errorCount: number;
}

/** Something a device or its link said or did. */
export interface DeviceEventView {
  readonly atMs: number;
  readonly code: string;
  readonly facts: Readonly<Record<string, string | number>>;
}

/** The last value of one quantity. */
export interface DeviceValueView {
  readonly quantity: QuantityName;
  readonly content: Content;
  readonly flags: readonly QualityFlag[];
  readonly atMs: number;
}

/** One device with all that is known of it. */
export interface DeviceDetailView extends DeviceRowView {
  readonly reference: readonly string[];
  /** How often bytes were refused, by the reason. */
  readonly refusedByKind: Readonly<Record<string, number>>;
  /** The last bytes of a stream, whatever became of them; null where messages come whole, and where nothing has come. */
  readonly lastBytes: { readonly hex: string; readonly atMs: number } | null;
  /** Newest first. */
  readonly refusals: readonly RefusedBytesView[];
  /** Newest first. */
  readonly events: readonly DeviceEventView[];
  readonly values: readonly DeviceValueView[];
  /** What it last said of itself. */
  readonly state: Readonly<Record<string, string | number>>;
}

/** A device that was adopted and cannot be used. */
export interface UnusedDeviceView {
  readonly deviceId: DeviceId;
  readonly driverId: string;
  readonly title: string | null;
  /** `configured`: the configuration has a device of this name. */
  readonly why: string;
}

/** What the page of devices shows. */
export interface DevicesView {
  readonly devices: readonly DeviceRowView[];
  readonly unused: readonly UnusedDeviceView[];
}

/** A value of a message, by the path that `mqtt-json` finds it by. */
export interface MessageFieldView {
  readonly path: string;
  readonly kind: "number" | "text" | "truth" | "nothing";
  /** Its beginning, as it was. */
  readonly sample: string;
}

/** What came last on one topic. */
export interface CandidateTopicView {
  readonly topic: string;
  readonly count: number;
  readonly lastAtMs: number;
  readonly bytesGiven: number;
  /** Two digits a byte, the beginning. */
  readonly hex: string;
  readonly fields: readonly MessageFieldView[];
}

/** An account of the own broker that sends on topics which nobody listens to. */
export interface CandidateAccountView {
  readonly account: string;
  /** The device whose link this account is, where there is one. */
  readonly deviceId: DeviceId | null;
  readonly count: number;
  /** Those heard last, the newest first. */
  readonly topics: readonly CandidateTopicView[];
}

/** A device as Zigbee2MQTT announces it. */
export interface AnnouncedDevice {
  /** The name its messages go by: the topic is the base, a slash and this. */
  readonly name: string;
  /** Its IEEE address. */
  readonly address: string;
  readonly model: string | null;
  readonly vendor: string | null;
  readonly description: string | null;
  /** What it says it can tell, such as `contact`. */
  readonly exposes: readonly string[];
}

/** A device that is announced and nobody listens to. */
export interface CandidateZigbeeView extends AnnouncedDevice {
  readonly base: string;
  readonly last: CandidateTopicView | null;
}

/** What may be adopted. */
export interface CandidatesView {
  /** False where the gateway has no broker of its own: then there is nothing to be found. */
  readonly hasBroker: boolean;
  readonly accounts: readonly CandidateAccountView[];
  /** Accounts that were not remembered. */
  readonly moreAccounts: number;
  readonly zigbee: readonly CandidateZigbeeView[];
  readonly moreZigbee: number;
}

/** What a driver would make of a message that has come. */
export interface AdoptPreview {
  readonly problems: readonly OptionProblem[];
  /** False where the message is not known (any more): then nothing is said of it. */
  readonly hasMessage: boolean;
  readonly values: readonly Omit<DeviceValueView, "atMs">[];
  readonly alarms: readonly { readonly code: string; readonly text: string; readonly active: boolean }[];
  readonly refusals: readonly DecodeError[];
}
