import type { Act, Role } from "../../core/act.ts";
import type { Nudge, NudgedDeviceView } from "../../core/demonstration.ts";
import type { AdoptPreview, CandidatesView, DeviceDetailView, DevicesView } from "../../core/device-view.ts";
import type { Fault } from "../../core/errors.ts";
import type { AlertHistory, PatientEvents, ScoreHistory } from "../../core/history-view.ts";
import type { AlertId, BedId, DeviceId, PatientId, Seq } from "../../core/ids.ts";
import type { WardLimitView } from "../../core/limit-levels.ts";
import type { AnswerOutcome } from "../../core/notice.ts";
import type { TrendPoint } from "../../core/ports.ts";
import type { QualityDay } from "../../core/quality-view.ts";
import type { QuantityName } from "../../core/quantities.ts";
import type { ReaderView } from "../../core/reader-view.ts";
import type { ActQuery, ActsView } from "../../core/records-view.ts";
import type { Result } from "../../core/result.ts";
import type { SettingsCheck, SettingsSaved, SettingsView } from "../../core/settings-view.ts";
import type { NoteView, PictureView, StreamMessage, StripWaveView, ThinWaveView, WaveView } from "../../core/stream.ts";
import type { WallMs } from "../../core/time.ts";

/** What a source may say to all pages: everything of the stream but the waves, which go by bed, and the pulse, which the server makes. */
export type SharedMessage = Exclude<StreamMessage, { readonly kind: "waves" | "thin-waves" | "pulse" }>;

/** Where a patient is. */
export interface Whereabouts {
  /** The number the patient has now. */
  readonly patientId: PatientId;
  readonly bedId: BedId;
}

/** One question for a trend; times are wall-clock milliseconds, both ends included. */
export interface TrendQuery {
  readonly patientId: PatientId;
  readonly quantity: QuantityName;
  readonly fromMs: WallMs;
  readonly toMs: WallMs;
  readonly pointsMax: number;
}

/** What the pages of devices read. All is as it is now, and none of it throws. */
export interface DeviceSource {
  readonly list: () => DevicesView;
  /** Null where there is no device of this name. */
  readonly detail: (deviceId: DeviceId) => DeviceDetailView | null;
  readonly candidates: () => CandidatesView;
  /** What a driver with these options would make of the last message of a topic that nobody listens to; changes nothing. */
  readonly preview: (wanted: {
    readonly driverId: string;
    readonly options: Readonly<Record<string, string>>;
    readonly topic: string;
  }) => AdoptPreview;
}

/** What the page of readers reads. */
export interface ReaderSource {
  readonly list: () => Promise<readonly ReaderView[]>;
}

/** A time that is asked for, wall-clock milliseconds, from `fromMs` to just before `toMs`. */
export interface TimeAsked {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What was, out of the journal. May reject as `trend` does. */
export interface HistorySource {
  /** The alerts that were raised in a time. */
  readonly alerts: (window: TimeAsked) => Promise<AlertHistory>;
  /** What happened to a patient who is here, as far as somebody of this role may know it; null: everything. */
  readonly events: (query: TimeAsked & { readonly patientId: PatientId; readonly role: Role | null }) => Promise<PatientEvents>;
  /** A score over a time, as far as it has been read. Quick. */
  readonly scores: (query: TimeAsked & { readonly patientId: PatientId; readonly modelId: string }) => ScoreHistory;
}

/** How good the data was. May reject as `trend` does. */
export interface QualitySource {
  readonly between: (window: TimeAsked) => Promise<QualityDay>;
}

/** The configuration, for those who may see and change it. None of them throws. */
export interface SettingsSource {
  readonly view: () => Promise<Omit<SettingsView, "certificate">>;
  /** Checks a text and writes nothing. */
  readonly check: (text: string) => Promise<SettingsCheck>;
  /** Writes a text that has no problems in the file's place. @param baseHash  Of the text that was changed. */
  readonly save: (text: string, baseHash: string) => Promise<Result<SettingsSaved, Fault>>;
  /** Has the gateway end in good order and start anew; resolves when that is on its way. */
  readonly restart: () => Promise<Result<void, Fault>>;
}

/** The simulated devices of the demonstration, which a person may tamper with. None of them throws. */
export interface DemonstrationSource {
  /** Those that can be tampered with now; the fault `demonstration-gone` where they do not answer. */
  readonly devices: () => Promise<Result<readonly NudgedDeviceView[], Fault>>;
  /** Faults `demonstration-gone` and `nudge-refused`. */
  readonly nudge: (nudge: Nudge) => Promise<Result<void, Fault>>;
  /** Where such a device is; null where there is none of that name. */
  readonly bedOf: (deviceId: DeviceId) => BedId | null;
}

/**
 * Where the pages get what they show. The gateway implements it; the dashboard only reads.
 *
 * `beds` carries whole beds and only those that changed; `alerts` carries whole alerts and only those that changed, ended ones
 * once as `ended`; `unassigned` and `gateway` replace what was before. All methods are synchronous but `trend` and `strip`, and none throws.
 */
export interface DashboardSource {
  /** Takes an answer of a program that was told of an alert; left out where none is told. */
  readonly answer?: (given: { readonly body: string; readonly signature: string }) => Promise<AnswerOutcome>;
  /** Everything as it is now; what `subscribe` says afterwards changes it. */
  readonly picture: () => PictureView;
  /** Calls back after each change, until the returned function is called. */
  readonly subscribe: (listener: (message: SharedMessage) => void) => () => void;
  /** Calls back with the new samples of one bed's waves, until the returned function is called. Only beds that a page looks at are asked for. */
  readonly wavesOf: (bedId: BedId, listener: (waves: readonly WaveView[]) => void) => () => void;
  /**
   * Calls back with the two waves of a bed that matter most, thinned for the wall, until the returned function is called. Each chunk is
   * thinned once, whoever listens; only beds that a page looks at are asked for.
   */
  readonly thinWavesOf: (bedId: BedId, listener: (waves: readonly ThinWaveView[]) => void) => () => void;
  /** Oldest first, at most `pointsMax`; may reject when the journal cannot be read, which the page is told. */
  readonly trend: (query: TrendQuery) => Promise<readonly TrendPoint[]>;
  /** Where the patient of a number is, a former number too; null where they are not here. Quick: it is asked for each message. */
  readonly whereIs: (patientId: PatientId) => Whereabouts | null;
  /** Acts with numbers over `afterSeq`, oldest first, at most `limit`; may reject as `trend` does. */
  readonly acts: (query: { readonly afterSeq: Seq; readonly limit: number }) => Promise<readonly Act[]>;
  /** Who did what: acts by day, person and kind, newest first, with what the check of their chain came to. May reject as `trend` does. */
  readonly records: (query: ActQuery) => Promise<ActsView>;
  /** The newest notes about a patient who is here, oldest first; empty where there are none. */
  readonly notes: (patientId: PatientId) => readonly NoteView[];
  /** The limits that hold where nobody set others for a patient. */
  readonly wardLimits: () => readonly WardLimitView[];
  /** The waves around an alert; empty where there are none, or not yet: they follow it by half a minute. May reject as `trend` does. */
  readonly strip: (alertId: AlertId) => Promise<readonly StripWaveView[]>;
  readonly devices: DeviceSource;
  readonly readers: ReaderSource;
  readonly history: HistorySource;
  readonly quality: QualitySource;
}
