import type { Alert } from "../core/alert.ts";
import type { BedId } from "../core/ids.ts";
import type { WaveformChunk } from "../core/observation.ts";
import type { BedView, DeviceView, GatewayView, ThinWaveView, WaveView } from "../core/stream.ts";
import type { Clock, Timer } from "../core/time.ts";
import type { DashboardSource, SharedMessage } from "../dashboard/server/source.ts";
import { type BedThinning, createBedThinning } from "./wave-thinning.ts";

/** Changed beds are gathered for so long before they are sent: below what an eye notices, and few messages at many beds. */
const GATHER_MS = 40;

/** Gathers what changed and hands it to the pages. Costs nothing while no page is open. */
export interface PageFeed {
  readonly bedChanged: (bedId: BedId) => void;
  readonly devicesChanged: () => void;
  /** Sent at once. */
  readonly alertChanged: (alert: Alert) => void;
  readonly gatewayChanged: () => void;
  readonly waves: (bedId: BedId, chunks: readonly WaveformChunk[]) => void;
  readonly subscribe: DashboardSource["subscribe"];
  readonly wavesOf: DashboardSource["wavesOf"];
  readonly thinWavesOf: DashboardSource["thinWavesOf"];
}

type ThinListener = (waves: readonly ThinWaveView[]) => void;

/** Where the feed gets its views from when it sends them. */
export interface PageFeedParts {
  readonly clock: Clock;
  readonly bedView: (bedId: BedId) => BedView | null;
  readonly unassigned: () => readonly DeviceView[];
  readonly gatewayView: () => GatewayView;
}

/** Makes the feed. */
export function createPageFeed(parts: PageFeedParts): PageFeed {
  const listeners = new Set<(message: SharedMessage) => void>();
  const dirtyBeds = new Set<BedId>();
  let dirtyDevices = false;
  let dirtyGateway = false;
  let timer: Timer | null = null;

  const send = (message: SharedMessage) => {
    for (const listener of listeners) listener(message);
  };

  const flush = () => {
    timer = null;
    if (dirtyBeds.size > 0) {
      const beds = [...dirtyBeds].map(parts.bedView).filter((bed) => bed !== null);
      dirtyBeds.clear();
      send({ kind: "beds", beds });
    }
    if (dirtyDevices) send({ kind: "unassigned", unassigned: parts.unassigned() });
    if (dirtyGateway) send({ kind: "gateway", gateway: parts.gatewayView() });
    dirtyDevices = false;
    dirtyGateway = false;
  };

  const soon = () => {
    if (listeners.size === 0) {
      dirtyBeds.clear();
      return;
    }
    if (timer === null) timer = parts.clock.after(GATHER_MS, flush);
  };

  return {
    bedChanged: (bedId) => {
      dirtyBeds.add(bedId);
      soon();
    },
    devicesChanged: () => {
      dirtyDevices = true;
      soon();
    },
    alertChanged: (alert) => send({ kind: "alerts", alerts: [alert] }),
    gatewayChanged: () => {
      dirtyGateway = true;
      soon();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    ...createWaveFeed(parts.clock),
  };
}

/** The waves, whole and thinned, to those who asked for a bed's; the others cost nothing. */
function createWaveFeed(clock: Clock): Pick<PageFeed, "waves" | "wavesOf" | "thinWavesOf"> {
  const waveListeners = new Map<BedId, Set<(waves: readonly WaveView[]) => void>>();
  const thinned = new Map<BedId, { readonly thinning: BedThinning; readonly listeners: Set<ThinListener> }>();
  return {
    waves: (bedId, chunks) => {
      if (chunks.length === 0) return;
      const ofBed = waveListeners.get(bedId);
      if (ofBed !== undefined) {
        const views = chunks.map(waveView);
        for (const listener of ofBed) listener(views);
      }
      const thin = thinned.get(bedId);
      if (thin === undefined) return;
      const thinViews = thin.thinning.take(chunks, clock.monotonic());
      if (thinViews.length > 0) for (const listener of thin.listeners) listener(thinViews);
    },
    wavesOf: (bedId, listener) => {
      const ofBed = waveListeners.get(bedId) ?? new Set();
      waveListeners.set(bedId, ofBed.add(listener));
      return () => {
        ofBed.delete(listener);
        if (ofBed.size === 0) waveListeners.delete(bedId);
      };
    },
    thinWavesOf: (bedId, listener) => {
      const ofBed = thinned.get(bedId) ?? { thinning: createBedThinning(bedId), listeners: new Set() };
      ofBed.listeners.add(listener);
      thinned.set(bedId, ofBed);
      return () => {
        ofBed.listeners.delete(listener);
        if (ofBed.listeners.size === 0) thinned.delete(bedId);
      };
    },
  };
}

function waveView(chunk: WaveformChunk): WaveView {
  return {
    deviceId: chunk.deviceId,
    waveform: chunk.waveform,
    sampleRateHz: chunk.sampleRateHz,
    firstSampleIndex: chunk.firstSampleIndex,
    samples: Array.from(chunk.raw, (raw) => Math.round((raw * chunk.gain + chunk.offset) * 1000) / 1000),
    unit: chunk.unit,
    origin: chunk.origin,
  };
}
