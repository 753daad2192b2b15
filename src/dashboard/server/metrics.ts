import type { AlertNature, Priority } from "../../core/alert.ts";
import type { OperationsView } from "../../core/operations.ts";
import type { DeviceView, GatewayView, PictureView } from "../../core/stream.ts";
import type { Metric, Sample } from "./exposition.ts";

/** What the metrics are made from. */
export interface MetricsState {
  readonly picture: PictureView;
  readonly operations: OperationsView;
  /** Pages that are open now. */
  readonly pages: number;
}

const MS_PER_SECOND = 1000;
const NATURES: readonly AlertNature[] = ["physiological", "technical"];
const PRIORITIES: readonly Priority[] = ["high", "medium", "low"];

/** Every metric of a gateway. Nothing of a patient is in them: no identifier, no name, no measured value. */
export function metricsOf(state: MetricsState): readonly Metric[] {
  const { picture, operations } = state;
  return [
    ...gatewayMetrics(picture, operations),
    ...recordMetrics(operations),
    ...journalMetrics(picture.gateway, operations),
    ...deviceMetrics(picture),
    ...alertMetrics(picture, operations),
    ...upstreamMetrics(picture),
    ...processMetrics(state),
  ];
}

function gauge(name: string, help: string, samples: number | readonly Sample[]): Metric {
  return { kind: "gauge", name, help, samples: typeof samples === "number" ? [{ value: samples }] : samples };
}

function counter(name: string, help: string, samples: number | readonly Sample[]): Metric {
  return { kind: "counter", name, help, samples: typeof samples === "number" ? [{ value: samples }] : samples };
}

function flag(holds: boolean): number {
  return holds ? 1 : 0;
}

function gatewayMetrics({ gateway }: PictureView, { heartbeatAgeMs, process }: OperationsView): readonly Metric[] {
  const labels = {
    gateway: gateway.gatewayId,
    version: gateway.version,
    node_version: process.nodeVersion,
    architecture: process.architecture,
  };
  return [
    gauge("vigil_build_info", "Always 1; its labels say which gateway and program this is.", [{ labels, value: 1 }]),
    gauge("vigil_start_time_seconds", "When the gateway began to watch, by its own clock.", gateway.startedAtMs / MS_PER_SECOND),
    gauge(
      "vigil_heartbeat_age_seconds",
      "How long ago an injected observation last came out of the alert path as an alert; over 10 the gateway does not watch.",
      heartbeatAgeMs === null ? [] : heartbeatAgeMs / MS_PER_SECOND,
    ),
    gauge("vigil_clock_trusted", "1 while the board's clock can be believed.", flag(gateway.clockTrust !== "untrusted")),
    gauge(
      "vigil_safe_mode",
      "1 while only limits and alerts run, because the gateway crashed too often.",
      flag(gateway.safeMode),
    ),
  ];
}

function recordMetrics({ made }: OperationsView): readonly Metric[] {
  return [
    counter(
      "vigil_records_total",
      "Records made since the start, by kind.",
      [...made.records].map(([kind, value]) => ({ labels: { kind }, value })),
    ),
    counter(
      "vigil_observations_total",
      "Observations made since the start, by quantity.",
      [...made.observations].map(([quantity, value]) => ({ labels: { quantity }, value })),
    ),
    counter(
      "vigil_lost_records_total",
      "Records or chunks of waves that were given up since the start, each told by a loss record.",
      made.lost.map(({ why, what, count }) => ({ labels: { reason: why, what }, value: count })),
    ),
  ];
}

function journalMetrics({ journal }: GatewayView, { journal: stats }: OperationsView): readonly Metric[] {
  const { commitTimes } = stats;
  return [
    gauge("vigil_journal_working", "1 while records can be written to disk.", flag(journal.state === "working")),
    counter("vigil_journal_committed_records_total", "Records that are on disk since the start.", stats.committedRecords),
    counter("vigil_journal_commits_total", "Commits since the start.", stats.commits),
    ...(commitTimes === undefined
      ? []
      : [
          {
            kind: "histogram",
            name: "vigil_journal_commit_seconds",
            help: "How long commits took in the journal's thread.",
            times: commitTimes,
          } as const,
        ]),
    counter("vigil_journal_fsyncs_total", "Waits for the disk since the start.", stats.fsyncs),
    gauge("vigil_journal_waiting_records", "Records in memory that are not yet on disk.", stats.waitingRecords),
    counter(
      "vigil_journal_dropped_records_total",
      "Records that a full queue or disk gave up since the start.",
      stats.droppedRecords,
    ),
    gauge("vigil_journal_size_bytes", "Bytes of the journal on disk, without waves.", stats.bytesOnDisk),
    gauge("vigil_journal_waves_size_bytes", "Bytes of waves on disk.", stats.waveBytesOnDisk),
    counter("vigil_journal_wave_chunks_total", "Chunks of waves taken into the ring since the start.", stats.keptWaves),
    counter(
      "vigil_journal_dropped_wave_chunks_total",
      "Chunks of waves given up before their time since the start.",
      stats.droppedWaves,
    ),
  ];
}

function deviceMetrics(picture: PictureView): readonly Metric[] {
  const views = [...picture.unassigned, ...picture.beds.flatMap((bed) => bed.devices)];
  const devices = [...new Map(views.map((view) => [view.deviceId, view])).values()];
  const each = (figureOf: (device: DeviceView) => number | null): readonly Sample[] =>
    devices.flatMap((device) => {
      const value = figureOf(device);
      return value === null ? [] : [{ labels: { device: device.deviceId }, value }];
    });
  return [
    gauge(
      "vigil_device_link_up",
      "1 while the link to the device is open.",
      each(({ link }) => flag(link === "up")),
    ),
    gauge(
      "vigil_device_last_heard_age_seconds",
      "How long ago the device last said something that could be read; absent before the first time.",
      each(({ lastHeardAtMs }) => (lastHeardAtMs === null ? null : Math.max(0, picture.nowMs - lastHeardAtMs) / MS_PER_SECOND)),
    ),
    counter(
      "vigil_device_refused_frames_total",
      "Stretches of the device's bytes that could not be read, since the start.",
      each(({ refusedCount }) => refusedCount),
    ),
    gauge(
      "vigil_device_quarantined",
      "1 where the device's driver failed and was shut off.",
      each(({ quarantined }) => flag(quarantined)),
    ),
    gauge(
      "vigil_device_assigned",
      "1 while the device measures somebody.",
      each(({ patientId }) => flag(patientId !== null)),
    ),
  ];
}

function alertMetrics({ alerts }: PictureView, { made }: OperationsView): readonly Metric[] {
  const open = NATURES.flatMap((nature) =>
    PRIORITIES.map((priority) => ({
      labels: { nature, priority },
      value: alerts.filter((alert) => alert.nature === nature && alert.priority === priority && alert.state !== "ended").length,
    })),
  );
  const waiting = NATURES.map((nature) => ({
    labels: { nature },
    value: alerts.filter((alert) => alert.nature === nature && alert.state === "active").length,
  }));
  return [
    gauge("vigil_alerts_open", "Alerts that have not ended.", open),
    gauge("vigil_alerts_unacknowledged", "Alerts that have not ended and that nobody has acknowledged.", waiting),
    counter(
      "vigil_alerts_total",
      "Alerts that began since the start.",
      made.alertsBegun.map(({ nature, priority, count }) => ({ labels: { nature, priority }, value: count })),
    ),
  ];
}

function upstreamMetrics({ gateway, nowMs }: PictureView): readonly Metric[] {
  const each = (figureOf: (upstream: GatewayView["upstreams"][number]) => number | null): readonly Sample[] =>
    gateway.upstreams.flatMap((upstream) => {
      const value = figureOf(upstream);
      return value === null ? [] : [{ labels: { upstream: upstream.name }, value }];
    });
  return [
    gauge(
      "vigil_upstream_connected",
      "1 while the upstream server takes records.",
      each(({ state }) => flag(state === "connected")),
    ),
    gauge(
      "vigil_upstream_backlog_records",
      "Records that wait for the upstream server, at most.",
      each(({ backlogRecords }) => backlogRecords),
    ),
    gauge(
      "vigil_upstream_last_confirmed_age_seconds",
      "How long ago the upstream server last confirmed a record; absent before the first time.",
      each(({ lastConfirmedAtMs }) =>
        lastConfirmedAtMs === null ? null : Math.max(0, nowMs - lastConfirmedAtMs) / MS_PER_SECOND,
      ),
    ),
  ];
}

/** The first three have the names that Prometheus' own client libraries give them. */
function processMetrics({ operations: { process, eventLoopDelay }, pages }: MetricsState): readonly Metric[] {
  return [
    counter("process_cpu_seconds_total", "Processor time of the gateway's process.", process.cpuSeconds),
    gauge("process_resident_memory_bytes", "Resident memory of the gateway's process.", process.residentBytes),
    gauge("process_start_time_seconds", "When the gateway's process was started.", process.startedAtMs / MS_PER_SECOND),
    gauge("vigil_heap_used_bytes", "Memory that JavaScript objects take.", process.heapUsedBytes),
    gauge("vigil_external_memory_bytes", "Memory outside the JavaScript heap that its objects hold.", process.externalBytes),
    {
      kind: "histogram",
      name: "vigil_event_loop_delay_seconds",
      help: "How late the main thread came to a timer.",
      times: eventLoopDelay,
    },
    gauge("vigil_pages_open", "Pages whose live stream is open.", pages),
  ];
}
