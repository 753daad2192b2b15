import type { Consciousness, LimitSide, PatientProfile } from "./act.ts";
import type { Alert } from "./alert.ts";
import type { BedId, DeviceId, PatientId } from "./ids.ts";
import type { Content, Origin, Quality } from "./observation.ts";
import type { Answer } from "./prediction.ts";
import type { QuantityName, Text, WaveformName } from "./quantities.ts";
import type { ClockTrust } from "./time.ts";

/** One number on a tile, with what is needed to show its age and trust. */
export interface NumberView {
  readonly quantity: QuantityName;
  readonly content: Content;
  readonly quality: Quality;
  readonly measuredAtMs: number;
  readonly deviceId: DeviceId;
  /** After this age the tile shows the number as old. */
  readonly staleAfterMs: number;
}

/** What a person entered, with its expiry. */
export interface EntryView<Value> {
  readonly value: Value;
  readonly enteredAtMs: number;
  readonly expiresAtMs: number;
}

/** A model's latest answer for a patient. */
export interface AnswerView {
  readonly modelId: string;
  readonly title: Text;
  readonly answer: Answer;
  readonly atMs: number;
}

/** A device as the wall shows it. */
export interface DeviceView {
  readonly deviceId: DeviceId;
  readonly title: Text;
  readonly driverId: string;
  readonly bedId: BedId | null;
  readonly patientId: PatientId | null;
  readonly link: "up" | "down";
  readonly lastHeardAtMs: number | null;
  readonly origin: Origin;
  readonly refusedCount: number;
  readonly quarantined: boolean;
  /** True of one that somebody adopted; left out of those in the configuration. */
  readonly adopted?: boolean;
}

/** A limit that a person set for one patient. */
export interface LimitView {
  readonly quantity: QuantityName;
  readonly low: LimitSide | null;
  readonly high: LimitSide | null;
  readonly reason: string | null;
  readonly setBy: string;
  readonly setAtMs: number;
  readonly expiresAtMs: number | null;
  /** True once it has expired: the ward's own limit holds again, and that is shown until a limit is set anew. */
  readonly expired: boolean;
}

/** What a person wrote of a patient. */
export interface NoteView {
  readonly text: string;
  readonly by: string;
  readonly atMs: number;
}

/** One bed with everything a tile shows. */
export interface BedView {
  readonly bedId: BedId;
  readonly title: string;
  /** The room it stands in and the ward it belongs to, as the configuration says; null where it does not. */
  readonly room: string | null;
  readonly ward: string | null;
  readonly patient: {
    readonly patientId: PatientId;
    readonly label: string;
    readonly profile: PatientProfile;
    readonly demonstration: boolean;
    readonly consciousness: EntryView<Consciousness> | null;
    readonly onOxygen: EntryView<boolean> | null;
    /** Limits that were set for this patient; where none is, the ward's own holds. */
    readonly limits: readonly LimitView[];
    /** Numbers this patient had before. */
    readonly formerNumbers: readonly PatientId[];
    /** How many notes there are, of which the last is shown; the others are asked for. */
    readonly noteCount: number;
    readonly lastNote: NoteView | null;
  } | null;
  readonly numbers: readonly NumberView[];
  readonly answers: readonly AnswerView[];
  readonly devices: readonly DeviceView[];
}

/** The gateway's own state. */
export interface GatewayView {
  readonly gatewayId: string;
  readonly version: string;
  readonly epoch: string;
  readonly startedAtMs: number;
  readonly journal: { readonly state: "working" | "failing"; readonly waitingRecords: number };
  readonly upstreams: readonly {
    readonly name: string;
    readonly state: "connected" | "connecting";
    readonly backlogRecords: number;
    readonly lastConfirmedAtMs: number | null;
  }[];
  readonly safeMode: boolean;
  /** Whether the gateway's own clock may be believed; trusted where it is not said. */
  readonly clockTrust?: ClockTrust;
}

/** Everything a page needs when it opens its stream. */
export interface PictureView {
  readonly nowMs: number;
  readonly gateway: GatewayView;
  readonly beds: readonly BedView[];
  /** Devices without a patient. They stay on the wall until dealt with. */
  readonly unassigned: readonly DeviceView[];
  /** Alerts that have not ended. */
  readonly alerts: readonly Alert[];
}

/** Samples of one wave for the page. */
export interface WaveView {
  readonly deviceId: DeviceId;
  readonly waveform: WaveformName;
  readonly sampleRateHz: number;
  readonly firstSampleIndex: number;
  /** Already scaled: raw * gain + offset. */
  readonly samples: readonly number[];
  readonly unit: string;
  readonly origin: Origin;
}

/** Samples of one wave thinned for a small strip of the wall: their shape, with every peak, and not each of them. */
export interface ThinWaveView {
  readonly bedId: BedId;
  readonly deviceId: DeviceId;
  readonly waveform: WaveformName;
  readonly origin: Origin;
  /** Of the thinned samples, at most `pageThinSamplesPerSecondMax`. */
  readonly sampleRateHz: number;
  /** Counts thinned samples, so that a hole is a subtraction. */
  readonly firstSampleIndex: number;
  /** A sample's value is `low + step * samples[i]`. */
  readonly low: number;
  readonly step: number;
  readonly samples: readonly number[];
}

/** One wave of the strip that is kept with an alert. */
export interface StripWaveView {
  readonly deviceId: DeviceId;
  readonly waveform: WaveformName;
  readonly unit: string;
  readonly origin: Origin;
  /** Samples without a hole between them, already scaled, oldest first; `fromMs` is the wall time of the first. */
  readonly stretches: readonly { readonly fromMs: number; readonly sampleRateHz: number; readonly samples: readonly number[] }[];
}

/**
 * What the page's live stream carries, as server-sent events whose `event` is the kind and whose data is the JSON of the rest.
 * `picture` comes first and again whenever the server thinks it simpler; the others change it.
 * `beds` holds whole beds, only those that changed; `alerts` whole alerts, only those that changed, ended ones once as `ended`;
 * `unassigned` and `gateway` replace what was before; `waves` comes only for the bed that the page asked for, and `thin-waves` only for the
 * beds of the wall that it asked for: they are left out while the page has not read what came before.
 */
export type StreamMessage =
  | { readonly kind: "picture"; readonly picture: PictureView }
  | { readonly kind: "beds"; readonly beds: readonly BedView[] }
  | { readonly kind: "unassigned"; readonly unassigned: readonly DeviceView[] }
  | { readonly kind: "alerts"; readonly alerts: readonly Alert[] }
  | { readonly kind: "gateway"; readonly gateway: GatewayView }
  | { readonly kind: "waves"; readonly waves: readonly WaveView[] }
  | { readonly kind: "thin-waves"; readonly waves: readonly ThinWaveView[] }
  /** Once a second, so that the page can tell a quiet ward from a dead stream. */
  | { readonly kind: "pulse"; readonly nowMs: number };
