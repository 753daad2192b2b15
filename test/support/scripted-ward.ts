import type { Act, Deed } from "../../src/core/act.ts";
import type { Alert, Priority } from "../../src/core/alert.ts";
import { type Fault, fault } from "../../src/core/errors.ts";
import { alertId, bedId, deviceId, patientId, seq, userId } from "../../src/core/ids.ts";
import type { Origin } from "../../src/core/observation.ts";
import type { Actor, PerformAct, TrendPoint } from "../../src/core/ports.ts";
import type { QuantityName } from "../../src/core/quantities.ts";
import type { ActQuery, ActsView, ChainView } from "../../src/core/records-view.ts";
import { fail, succeed } from "../../src/core/result.ts";
import type {
  AnswerView,
  BedView,
  DeviceView,
  GatewayView,
  NoteView,
  NumberView,
  PictureView,
  StripWaveView,
  ThinWaveView,
  WaveView,
} from "../../src/core/stream.ts";
import { wallMs } from "../../src/core/time.ts";
import type { DashboardSource, SharedMessage, TrendQuery } from "../../src/dashboard/server/source.ts";
import { wardLimits } from "../../src/gateway/ward-limits.ts";
import { createScriptedDevices, type ScriptedDevices } from "./scripted-devices.ts";
import { createScriptedPast, type ScriptedPast } from "./scripted-past.ts";

/** A ward whose every value a test sets; the dashboard reads it through its real contract. */
export interface ScriptedWard {
  readonly source: DashboardSource;
  readonly devices: ScriptedDevices;
  readonly past: ScriptedPast;
  readonly perform: PerformAct;
  /** Acts the pages sent, in order. */
  readonly acts: readonly { readonly deed: Deed; readonly actor: Actor }[];
  /** Who came in or was refused, and changes of accounts; they are told apart, and no answer is prepared for them. */
  readonly accessActs: readonly { readonly deed: Deed; readonly actor: Actor }[];
  readonly trendQueries: readonly TrendQuery[];
  readonly say: (message: SharedMessage) => void;
  readonly setBed: (bed: BedView) => void;
  readonly setAlert: (alert: Alert) => void;
  readonly setGateway: (gateway: GatewayView) => void;
  readonly sendWaves: (bed: string, waves: readonly WaveView[]) => void;
  readonly bedsWatchedForWaves: () => readonly string[];
  /** Waves for the wall, as a gateway thins them; nobody hears those of a bed that no page asked for. */
  readonly sendThinWaves: (bed: string, waves: readonly ThinWaveView[]) => void;
  readonly bedsWatchedForThinWaves: () => readonly string[];
  readonly setStrip: (alert: string, waves: readonly StripWaveView[]) => void;
  readonly bed: (id: string) => BedView;
  /** What the check of the acts' chain came to; where nothing is said it holds. */
  readonly setChain: (part: Partial<ChainView>) => void;
  /** What the next act is answered with, once. */
  readonly answerNext: (answer: "refused" | "not-durable" | Fault) => void;
  /** The notes of a patient, oldest first; their bed says nothing of them by itself. */
  readonly setNotes: (patient: string, notes: readonly NoteView[]) => void;
  readonly setUnassigned: (devices: readonly DeviceView[]) => void;
}

/** Makes a ward with the beds given. */
export function createScriptedWard(start: { readonly nowMs: () => number; readonly beds: readonly BedView[] }): ScriptedWard {
  const beds = new Map(start.beds.map((bed) => [String(bed.bedId), bed]));
  const alerts = new Map<string, Alert>();
  let gateway = gatewayView(start.nowMs());
  let unassigned: readonly DeviceView[] = [
    deviceView("monitor-9", { bedId: null, patientId: null, lastHeardAtMs: start.nowMs() - 4000 }),
  ];
  const devices = createScriptedDevices();
  const past = createScriptedPast();
  const listeners = new Set<(message: SharedMessage) => void>();
  const waveListeners = new Map<string, (waves: readonly WaveView[]) => void>();
  const thinListeners = new Map<string, (waves: readonly ThinWaveView[]) => void>();
  const acts: { readonly deed: Deed; readonly actor: Actor }[] = [];
  const accessActs: { readonly deed: Deed; readonly actor: Actor }[] = [];
  const trendQueries: TrendQuery[] = [];
  const notes = new Map<string, readonly NoteView[]>();
  const strips = new Map<string, readonly StripWaveView[]>();
  let chain: Partial<ChainView> = {};
  let nextAnswer: Parameters<ScriptedWard["answerNext"]>[0] | null = null;
  const say = (message: SharedMessage) => {
    for (const listener of [...listeners]) listener(message);
  };
  const setAlert = (alert: Alert) => {
    if (alert.state === "ended") alerts.delete(alert.id);
    else alerts.set(alert.id, alert);
    say({ kind: "alerts", alerts: [alert] });
  };
  const picture = (): PictureView => ({
    nowMs: start.nowMs(),
    gateway,
    beds: [...beds.values()],
    unassigned,
    alerts: [...alerts.values()],
  });
  const perform: PerformAct = async (deed, actor) => {
    if (/^sign-|account-|^settings-|^restart-/.test(deed.kind)) {
      accessActs.push({ deed, actor });
      return succeed({ seq: seq(2000 + accessActs.length), durable: true });
    }
    acts.push({ deed, actor });
    const answer = nextAnswer;
    nextAnswer = null;
    if (answer === "refused") return fail(fault("act-refused", {}));
    if (typeof answer === "object" && answer !== null) return fail(answer);
    const alert = deed.kind === "acknowledge" ? alerts.get(deed.alertId) : undefined;
    if (alert !== undefined) {
      const nowMs = wallMs(start.nowMs());
      setAlert({
        ...alert,
        state: "acknowledged",
        acknowledgedBy: userId(actor.userId),
        acknowledgedAtMs: nowMs,
        changedAtMs: nowMs,
      });
    }
    return succeed({ seq: seq(1000 + acts.length), durable: answer !== "not-durable" });
  };
  return {
    source: {
      picture,
      subscribe: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      wavesOf: (bed, listener) => {
        waveListeners.set(bed, listener);
        return () => void waveListeners.delete(bed);
      },
      thinWavesOf: (bed, listener) => {
        thinListeners.set(bed, listener);
        return () => void thinListeners.delete(bed);
      },
      trend: async (query) => {
        trendQueries.push(query);
        return trendOf(query);
      },
      notes: (id) => notes.get(id) ?? [],
      wardLimits: () => wardLimits({ devices: new Map(), limits: new Map() }),
      whereIs: (id) => {
        const bed = [...beds.values()].find(({ patient }) => patient?.patientId === id);
        return bed === undefined ? null : { patientId: id, bedId: bed.bedId };
      },
      acts: async () => [],
      records: async (query) => {
        const { chain: whole, ...view } = scriptedRecords(start.nowMs(), query);
        return { ...view, chain: { ...whole, ...chain } };
      },
      strip: async (id) => strips.get(id) ?? [],
      devices: devices.source,
      readers: devices.readerSource,
      history: past.history,
      quality: past.quality,
    },
    devices,
    past,
    perform,
    acts,
    accessActs,
    trendQueries,
    say,
    setBed: (bed) => {
      beds.set(bed.bedId, bed);
      say({ kind: "beds", beds: [bed] });
    },
    setAlert,
    setGateway: (next) => {
      gateway = next;
      say({ kind: "gateway", gateway });
    },
    sendWaves: (bed, waves) => waveListeners.get(bed)?.(waves),
    bedsWatchedForWaves: () => [...waveListeners.keys()],
    sendThinWaves: (bed, waves) => thinListeners.get(bed)?.(waves),
    bedsWatchedForThinWaves: () => [...thinListeners.keys()],
    setNotes: (patient, theirs) => void notes.set(patient, theirs),
    setUnassigned: (devices) => {
      unassigned = devices;
      say({ kind: "unassigned", unassigned });
    },
    setStrip: (alert, waves) => void strips.set(alert, waves),
    bed: (id) => {
      const found = beds.get(id);
      if (found === undefined) throw new Error(`no bed ${id}`);
      return found;
    },
    setChain: (part) => {
      chain = part;
    },
    answerNext: (answer) => {
      nextAnswer = answer;
    },
  };
}

/** Forty acts of three people over two days, the newest a minute old; the chain holds. */
function scriptedActs(nowMs: number): readonly Act[] {
  const people = ["nurse.li", "nurse.wang", "engineer.zhao"] as const;
  return Array.from({ length: 40 }, (_, index): Act => {
    const by = people[index % 3] ?? people[0];
    const deed: Deed =
      index % 3 === 2
        ? { kind: "sign-in" }
        : index % 2 === 0
          ? { kind: "acknowledge", alertId: alertId(`a-${index}`) }
          : { kind: "note", patientId: patientId("patient-of-bed-1"), text: `Turned at ${index}:00` };
    const atMs = wallMs(nowMs - 60_000 - (39 - index) * 3_600_000);
    return {
      kind: "act",
      seq: seq(100 + index),
      atMs,
      by: userId(by),
      role: index % 3 === 2 ? "engineer" : "nurse",
      from: "page",
      at: "192.168.1.20",
      deed,
    };
  });
}

function scriptedRecords(nowMs: number, query: ActQuery): ActsView {
  const all = scriptedActs(nowMs);
  const fitting = all.filter(
    ({ atMs, by, deed }) =>
      atMs >= (query.fromMs ?? 0) &&
      atMs < (query.toMs ?? Number.POSITIVE_INFINITY) &&
      [null, String(by)].includes(query.by) &&
      [null, deed.kind].includes(query.kind),
  );
  const below = fitting.filter((act) => act.seq < (query.beforeSeq ?? Number.POSITIVE_INFINITY));
  const acts = below.slice(-10).reverse();
  return {
    acts,
    count: fitting.length,
    nextBeforeSeq: below.length > 10 ? (acts.at(-1)?.seq ?? null) : null,
    people: [...new Set(all.map(({ by }) => String(by)))].sort(),
    kinds: [...new Set(all.map(({ deed }) => deed.kind))],
    chain: { complete: true, checkedActs: 40, olderActs: 0, lastSeq: 139, atMs: wallMs(nowMs), breakCount: 0, firstBreak: null },
  };
}

/** A gentle slope with one absent stretch in its middle. */
function trendOf(query: TrendQuery): readonly TrendPoint[] {
  const count = Math.min(120, query.pointsMax);
  return Array.from({ length: count }, (_, index) => ({
    atMs: wallMs(query.fromMs + ((query.toMs - query.fromMs) * index) / count),
    value: index > 60 && index < 66 ? null : 80 + 8 * Math.sin(index / 9),
    questionable: index > 90 && index < 94,
  }));
}

/** A gateway in good order. */
export function gatewayView(nowMs: number): GatewayView {
  return {
    gatewayId: "ward-3",
    version: "0.1.0",
    epoch: "0f9c2d44-1111-4222-8333-abcdefabcdef",
    startedAtMs: nowMs - 3_600_000,
    journal: { state: "working", waitingRecords: 0 },
    upstreams: [{ name: "hospital", state: "connected", backlogRecords: 0, lastConfirmedAtMs: nowMs - 1000 }],
    safeMode: false,
  };
}

/** A device that is up. */
export function deviceView(id: string, more: Partial<DeviceView> = {}): DeviceView {
  return {
    deviceId: deviceId(id),
    title: { en: "Ivy 450C bedside monitor", zh: "Ivy 450C 床旁监护仪" },
    driverId: "serial-ivy-450c",
    bedId: bedId("bed-1"),
    patientId: patientId("patient-1"),
    link: "up",
    lastHeardAtMs: null,
    origin: "measured",
    refusedCount: 0,
    quarantined: false,
    ...more,
  };
}

/** One number, valid and fresh. */
export function numberView(
  quantity: QuantityName,
  value: number,
  at: { readonly measuredAtMs: number; readonly origin?: Origin; readonly staleAfterMs?: number },
): NumberView {
  return {
    quantity,
    content: { state: "present", value },
    quality: { validity: "valid", flags: [], origin: at.origin ?? "measured" },
    measuredAtMs: at.measuredAtMs,
    deviceId: deviceId("monitor-1"),
    staleAfterMs: at.staleAfterMs ?? 30_000,
  };
}

/** NEWS2 of five parts without consciousness and oxygen: partial, 5 of 7. */
function partialScore(nowMs: number): AnswerView {
  const part = (input: string, value: number, points: number) => ({ input, value, points, atMs: wallMs(nowMs - 2000) });
  return {
    modelId: "news2",
    title: { en: "NEWS2", zh: "NEWS2 早期预警评分" },
    atMs: nowMs,
    answer: {
      kind: "score",
      points: 6,
      parts: [
        part("respiratoryRate", 23, 2),
        part("oxygenSaturation", 93, 2),
        part("systolicPressure", 104, 1),
        part("pulseRate", 96, 1),
        part("bodyTemperature", 37.4, 0),
      ],
      missing: [
        { input: "consciousness", why: "not-entered", sinceMs: null },
        { input: "onOxygen", why: "expired", sinceMs: wallMs(nowMs - 13 * 3_600_000) },
      ],
      inputCount: 7,
      response: "urgent",
    },
  };
}

/** A bed with an adult whose values are all there. */
export function bedView(id: string, nowMs: number, more: Partial<BedView> = {}): BedView {
  const at = { measuredAtMs: nowMs };
  return {
    bedId: bedId(id),
    title: `Bed ${id.replace(/\D/g, "")}`,
    room: null,
    ward: null,
    patient: {
      patientId: patientId(`patient-of-${id}`),
      label: "W. L.",
      profile: { kind: "adult", spo2Scale: 1 },
      demonstration: false,
      consciousness: null,
      onOxygen: null,
      limits: [],
      formerNumbers: [],
      noteCount: 0,
      lastNote: null,
    },
    numbers: [
      numberView("heartRate", 83, at),
      numberView("oxygenSaturation", 96, at),
      numberView("respiratoryRate", 17, at),
      numberView("systolicPressure", 121, { measuredAtMs: nowMs - 240_000, staleAfterMs: 43_200_000 }),
      numberView("diastolicPressure", 75, { measuredAtMs: nowMs - 240_000, staleAfterMs: 43_200_000 }),
      numberView("meanPressure", 92, { measuredAtMs: nowMs - 240_000, staleAfterMs: 43_200_000 }),
    ],
    answers: [partialScore(nowMs)],
    devices: [deviceView("monitor-1", { bedId: bedId(id), lastHeardAtMs: nowMs })],
    ...more,
  };
}

/** SpO2 under its limit on one bed. */
export function limitAlert(id: string, nowMs: number, more: { readonly priority?: Priority; readonly bed?: string } = {}): Alert {
  return {
    kind: "alert",
    seq: seq(77),
    id: alertId(id),
    key: `limit.oxygenSaturation.low ${more.bed ?? "bed-1"}`,
    rule: "limit.oxygenSaturation.low",
    nature: "physiological",
    priority: more.priority ?? "high",
    subject: {
      patientId: patientId(`patient-of-${more.bed ?? "bed-1"}`),
      bedId: bedId(more.bed ?? "bed-1"),
      deviceId: deviceId("monitor-1"),
      part: null,
    },
    origin: "measured",
    evidence: {
      kind: "limit",
      quantity: "oxygenSaturation",
      side: "low",
      value: 84,
      limit: 88,
      sinceMs: wallMs(nowMs - 12_000),
      observationSeq: seq(70),
    },
    state: "active",
    phase: "start",
    raisedAtMs: wallMs(nowMs),
    changedAtMs: wallMs(nowMs),
    acknowledgedBy: null,
    acknowledgedAtMs: null,
    endedAtMs: null,
    raisedCount: 1,
  };
}
