import { parseConfig } from "../../config/load.ts";
import type { Config } from "../../config/schema.ts";
import { findDriver } from "../../drivers/index.ts";
import { type MemoryLink, openMemoryLink } from "../../simulator/links/memory-link.ts";
import { createMemoryJournal, type MemoryJournal } from "../../simulator/world/memory-journal.ts";
import { createSimulatedClock, type SimulatedClock } from "../../simulator/world/simulated-clock.ts";
import type { Deed } from "../../src/core/act.ts";
import type { Alert } from "../../src/core/alert.ts";
import { bedId, deviceId, patientId } from "../../src/core/ids.ts";
import { present } from "../../src/core/observation.ts";
import type { Driver } from "../../src/core/ports.ts";
import { assert } from "../../src/core/result.ts";
import type { OpenNotices } from "../../src/gateway/alert-routes.ts";
import { type Gateway, startGateway } from "../../src/gateway/assembly.ts";
import type { SystemTime } from "../../src/gateway/system-time.ts";
import type { ScoreModel } from "../../src/watch/score-model.ts";
import { loadScoreModel } from "../../src/watch/score-table.ts";

/** A whole gateway of two beds with an Ivy monitor each; only clock, links and disk are simulated. */
export interface SmallWard {
  readonly clock: SimulatedClock;
  readonly journal: MemoryJournal;
  readonly gateway: Gateway;
  /** Every state of every alert, as it was said. */
  readonly said: readonly Alert[];
  readonly heartbeats: () => number;
  readonly link: (device: "monitor-1" | "monitor-2") => MemoryLink;
  readonly act: (deed: Deed) => ReturnType<Gateway["perform"]>;
  readonly admit: (bed: 1 | 2, more?: { readonly demonstration?: boolean }) => Promise<void>;
  /** Sends one message of the monitor each second for so many seconds. */
  readonly stream: (device: "monitor-1" | "monitor-2", seconds: number, values: MonitorValues | null) => Promise<void>;
  /** Ends the gateway without a good-bye and starts it on what the disk kept; `while it is down` the clock may be set. */
  readonly crash: (downMs?: number, whileDown?: () => void) => Promise<SmallWard>;
}

/** What the monitor shows; what is left out is not sent as a number. */
export interface MonitorValues {
  readonly heartRate?: number;
  readonly respiratoryRate?: number;
  readonly oxygenSaturation?: number;
}

/** The configuration of the small ward; `origin` is what its devices say of themselves, `limits` the ward's own in YAML, `ofDevices` more of each device, `ofFirstBed` of that, `sections` whole ones. */
function smallConfig(of: {
  readonly origin: string;
  readonly limits: string;
  readonly ofDevices: string;
  readonly ofFirstBed: string;
  readonly sections: string;
}): Config {
  const { origin, limits, ofDevices, ofFirstBed, sections } = of;
  const device = (number: number) =>
    `{ id: monitor-${number}, driver: serial-ivy-450c, bed: bed-${number}, origin: ${origin}, link: { kind: tcp, host: 127.0.0.1, port: ${number} }${ofDevices} }`;
  const parsed = parseConfig(
    `{ gateway: { id: test, dataFolder: /nowhere }, beds: [{ id: bed-1, title: "1"${ofFirstBed} }, { id: bed-2, title: "2" }], devices: [${device(1)}, ${device(2)}], limits: { ${limits} }${sections} }`,
    "/",
  );
  assert(parsed.ok, "the test's configuration is valid");
  return parsed.value;
}

/** Starts the small ward. */
export async function startSmallWard(
  options: {
    readonly origin?: string;
    readonly limits?: string;
    /** Further settings of each device in YAML, such as `, personal: true`. */
    readonly ofDevices?: string;
    /** Further settings of the first bed in YAML. */
    readonly bed?: string;
    /** Further sections in YAML, each with a comma before it. */
    readonly sections?: string;
    /** Who brings alerts to the contacts of routes. */
    readonly openNotices?: OpenNotices;
    readonly journal?: MemoryJournal;
    readonly clock?: SimulatedClock;
    /** What the operating system says of time; nothing where left out. */
    readonly systemTime?: SystemTime;
    /** Replaces the monitors' driver; the beds and links stay. */
    readonly driver?: Driver;
  } = {},
): Promise<SmallWard> {
  const clock = options.clock ?? createSimulatedClock();
  const journal = options.journal ?? createMemoryJournal();
  const config = smallConfig({
    origin: options.origin ?? "measured",
    limits: options.limits ?? "",
    ofDevices: options.ofDevices ?? "",
    ofFirstBed: options.bed ?? "",
    sections: options.sections ?? "",
  });
  const news2 = await loadScoreModel(new URL("../../models/news2", import.meta.url).pathname);
  assert(news2.ok, "NEWS2 loads");
  const models: readonly ScoreModel[] = [news2.value];
  const links = new Map<number, MemoryLink>();
  const said: Alert[] = [];
  let heartbeats = 0;
  const gateway = await startGateway({
    config,
    clock,
    journal,
    models,
    drivers: options.driver === undefined ? findDriver : () => options.driver ?? null,
    openLink: (spec) => {
      const link = openMemoryLink({ clock });
      if (spec.kind === "tcp") links.set(spec.port, link);
      return link.link;
    },
    onAlert: (alert) => said.push(alert),
    onHeartbeat: () => {
      heartbeats += 1;
    },
    gatewayView: () => ({
      gatewayId: "test",
      version: "0",
      epoch: journal.epoch,
      startedAtMs: 0,
      journal: { state: "working", waitingRecords: 0 },
      upstreams: [],
      safeMode: false,
    }),
    version: "0",
    ...(options.openNotices === undefined ? {} : { openNotices: options.openNotices }),
    ...(options.systemTime === undefined ? {} : { systemTime: options.systemTime }),
  });
  const link = (device: string) => {
    const found = links.get(Number(device.slice(-1)));
    assert(found !== undefined, "the device has a link");
    return found;
  };
  const act = (deed: Deed) => gateway.perform(deed, { userId: "nurse", from: "page" });
  return {
    clock,
    journal,
    gateway,
    said,
    heartbeats: () => heartbeats,
    link,
    act,
    admit: async (bed, more = {}) => {
      const patient = patientId(`patient-${bed}`);
      await act({
        kind: "admit",
        patientId: patient,
        bedId: bedId(`bed-${bed}`),
        label: `P${bed}`,
        profile: { kind: "adult", spo2Scale: 1 },
        demonstration: more.demonstration ?? false,
      });
      await act({ kind: "assign", deviceId: deviceId(`monitor-${bed}`), patientId: patient });
    },
    stream: async (device, seconds, values) => {
      for (let second = 0; second < seconds; second++) {
        if (values !== null) link(device).send(monitorBytes(values));
        await clock.advance(1000);
      }
    },
    crash: async (downMs = 500, whileDown = () => {}) => {
      await gateway.stop();
      const kept = journal.reopen();
      await clock.advance(downMs);
      clock.restartMonotonic();
      whileDown();
      return startSmallWard({ ...options, clock, journal: kept });
    },
  };
}

/** The bytes of one message of the monitor. */
export function monitorBytes(values: MonitorValues): Uint8Array {
  const driver = findDriver("serial-ivy-450c");
  assert(driver?.encode !== undefined && driver.encode !== null, "the monitor's driver can encode");
  return driver.encode([
    ...(values.heartRate === undefined ? [] : [present("heartRate", values.heartRate, "/min")]),
    ...(values.respiratoryRate === undefined ? [] : [present("respiratoryRate", values.respiratoryRate, "/min")]),
    ...(values.oxygenSaturation === undefined ? [] : [present("oxygenSaturation", values.oxygenSaturation, "%")]),
  ]);
}
