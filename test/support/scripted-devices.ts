import type {
  AdoptPreview,
  CandidatesView,
  DeviceDetailView,
  DeviceRowView,
  UnusedDeviceView,
} from "../../src/core/device-view.ts";
import { bedId, deviceId, patientId, seq } from "../../src/core/ids.ts";
import type { ReaderView } from "../../src/core/reader-view.ts";
import type { DeviceSource, ReaderSource } from "../../src/dashboard/server/source.ts";

/** Devices, candidates and readers that a test sets; the dashboard reads them through its real contract. */
export interface ScriptedDevices {
  readonly source: DeviceSource;
  readonly readerSource: ReaderSource;
  readonly setDevices: (devices: readonly DeviceDetailView[], unused?: readonly UnusedDeviceView[]) => void;
  readonly setCandidates: (candidates: CandidatesView) => void;
  readonly setReaders: (readers: readonly ReaderView[]) => void;
  /** What each following preview is answered with. */
  readonly answerPreviews: (answer: (wanted: Parameters<DeviceSource["preview"]>[0]) => AdoptPreview) => void;
  readonly previews: readonly Parameters<DeviceSource["preview"]>[0][];
}

/** Nothing to be adopted. */
export const NO_CANDIDATES: CandidatesView = { hasBroker: true, accounts: [], moreAccounts: 0, zigbee: [], moreZigbee: 0 };

/** Makes them; at first there are none. */
export function createScriptedDevices(): ScriptedDevices {
  let devices: readonly DeviceDetailView[] = [];
  let unused: readonly UnusedDeviceView[] = [];
  let candidates = NO_CANDIDATES;
  let readers: readonly ReaderView[] = [];
  let preview = (_: Parameters<DeviceSource["preview"]>[0]): AdoptPreview => ({
    problems: [],
    hasMessage: false,
    values: [],
    alarms: [],
    refusals: [],
  });
  const previews: Parameters<DeviceSource["preview"]>[0][] = [];
  return {
    source: {
      list: () => ({ devices: devices.map(rowOf), unused }),
      detail: (id) => devices.find((device) => device.deviceId === id) ?? null,
      candidates: () => candidates,
      preview: (wanted) => {
        previews.push(wanted);
        return preview(wanted);
      },
    },
    readerSource: { list: async () => readers },
    setDevices: (next, nextUnused = []) => {
      devices = next;
      unused = nextUnused;
    },
    setCandidates: (next) => {
      candidates = next;
    },
    setReaders: (next) => {
      readers = next;
    },
    answerPreviews: (answer) => {
      preview = answer;
    },
    previews,
  };
}

function rowOf({
  reference: _,
  refusedByKind: _1,
  refusals: _2,
  lastBytes: _6,
  events: _3,
  values: _4,
  state: _5,
  ...row
}: DeviceDetailView): DeviceRowView {
  return row;
}

/** A monitor that is up, on the patient of bed 1. */
export function deviceDetail(id: string, nowMs: number, more: Partial<DeviceDetailView> = {}): DeviceDetailView {
  return {
    deviceId: deviceId(id),
    title: { en: "Ivy 450C bedside monitor", zh: "Ivy 450C 床旁监护仪" },
    driverId: "serial-ivy-450c",
    driverVersion: "1.0.0",
    driverTitle: { en: "Ivy 450C bedside monitor", zh: "Ivy 450C 床旁监护仪" },
    from: "configuration",
    place: { kind: "serial", path: "/dev/serial/by-id/usb-FTDI-if00", baudRate: 9600, format: "8N1" },
    link: { state: "up", sinceMs: nowMs - 3_600_000, fault: null },
    lastHeardAtMs: nowMs - 400,
    counts: { bytes: 918_273, frames: 3592, readings: 41_080, waves: 17_960, refused: 0 },
    quarantined: false,
    origin: "measured",
    bedId: bedId("bed-1"),
    isAssigned: true,
    patient: { patientId: patientId("patient-of-bed-1"), label: "W. L." },
    battery: null,
    signal: null,
    expected: [],
    silenceSeconds: 10,
    reference: ["mdpnp, Ivy 450C"],
    refusedByKind: {},
    lastBytes: null,
    refusals: [],
    events: [],
    values: [],
    state: {},
    ...more,
  };
}

/** A reader that keeps up. */
export function readerView(name: string, nowMs: number, more: Partial<ReaderView> = {}): ReaderView {
  return {
    name: `upstream:${name}`,
    kind: "mqtt",
    where: "mqtts://hospital.example:8883",
    state: "connected",
    position: seq(48_213),
    backlogRecords: 0,
    firstWaitingSeq: null,
    livePosition: seq(48_213),
    urgentWaiting: 0,
    lastConfirmedAtMs: nowMs - 800,
    sentCount: 48_000,
    resentCount: 213,
    outage: null,
    lastRefusal: null,
    newestSeq: seq(48_213),
    oldestWaitingAtMs: null,
    refusedCount: 0,
    refusedLastAtMs: null,
    missedCount: 0,
    missedLastAtMs: null,
    lossesKnown: true,
    ...more,
  };
}
