import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config, UpstreamConfig } from "../../config/schema.ts";
import { configWarnings } from "../../config/together.ts";
import { findDriver } from "../../drivers/index.ts";
import { type Admissions, startAdmissions } from "../admissions/admissions.ts";
import { createSystemClock } from "../clock.ts";
import type { Deed } from "../core/act.ts";
import type { Alert, Subject } from "../core/alert.ts";
import { alertText } from "../core/alert-text.ts";
import { type Fault, fault } from "../core/errors.ts";
import { bedId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal, Sink } from "../core/ports.ts";
import type { ReaderState } from "../core/reader-view.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { GatewayView } from "../core/stream.ts";
import type { Clock } from "../core/time.ts";
import type { PlaceOfBed } from "../core/upstream.ts";
import { type Dashboard, startDashboard } from "../dashboard/server/dashboard.ts";
import { parseDeed } from "../dashboard/server/deed-parser.ts";
import { pagesFolder } from "../dashboard/server/pages-build.ts";
import type { SettingsSource } from "../dashboard/server/source.ts";
import { type Gateway, startGateway } from "../gateway/assembly.ts";
import { type ControlSocket, openControlSocket } from "../gateway/control-socket.ts";
import { createDemonstrationDesk } from "../gateway/demonstration-desk.ts";
import { createDeviceBroker, type DeviceBroker } from "../gateway/device-broker.ts";
import { embeddedTopics } from "../gateway/link-spec.ts";
import { type OperationsMeter, startOperationsMeter } from "../gateway/operations.ts";
import { pageTlsOf } from "../gateway/page-tls.ts";
import { type RetriedStart, startWithRetries } from "../gateway/retried-start.ts";
import { createSettingsDesk } from "../gateway/settings-desk.ts";
import { startsSince } from "../gateway/starts.ts";
import { createSystemTime } from "../gateway/system-time.ts";
import { openJournal } from "../journal/journal.ts";
import type { WaveSettings } from "../journal/waves/wave-settings.ts";
import { createLog, type Log } from "../log.ts";
import { createInfluxSink } from "../sinks/influx.ts";
import { createMqttSink } from "../sinks/mqtt.ts";
import { type Outbox, startOutbox } from "../sinks/outbox.ts";
import { openReceiptBook } from "../sinks/receipt-book.ts";
import { type GatewayMessage, parseSupervisorMessage, SUPERVISOR_VARIABLES } from "../supervisor/messages.ts";
import { openLink } from "../transports/link.ts";
import { startMllpServer } from "../transports/mllp.ts";
import type { ScoreModel } from "../watch/score-model.ts";
import { loadScoreModel } from "../watch/score-table.ts";
import { CONTROL_SOCKET_NAME } from "./ask.ts";
import { PAUSES_VARIABLE, startPauseMeter } from "./bench/pauses.ts";
import { certificateWords } from "./certificate-words.ts";
import type { Command, CommandIo } from "./command.ts";
import { noticesOf } from "./notices.ts";
import { configArgument, configOf } from "./question.ts";
import { tellFault } from "./told-fault.ts";
import { commandActor, createDeviceAccountRecorder, createUserControl } from "./user-control.ts";

const PROJECT_ROOT = join(import.meta.dirname, "..", "..");
/** Told where accounts exist already: nobody can read a lost password anywhere, and this is the way out. */
const SIGN_IN_HINT =
  "sign in with your account (lost password: `vigil users passwd NAME --config FILE`) 请用账户登录（忘记密码：vigil users passwd 用户名 --config 配置文件）";
const DAY_MS = 86_400_000;
/** Between a wish for another start and its beginning: the answer to it is on its way. */
const RESTART_ANSWER_MS = 200;

/** Why and how this gateway was started, as its supervisor says. */
interface Circumstances {
  readonly safeMode: boolean;
  readonly restartedBecause: string | null;
  readonly tell: (message: GatewayMessage) => void;
  /** The same, resolved when the message has left: for the last words of a process. */
  readonly tellLast: (message: GatewayMessage) => Promise<void>;
}

/** Everything that is running, in the order it was opened. */
interface Running {
  readonly gateway: Gateway;
  readonly journal: Journal;
  readonly broker: DeviceBroker | null;
  readonly admissions: RetriedStart<Admissions> | null;
  readonly outboxes: readonly Outbox[];
  readonly stopOutboxes: AbortController;
  readonly closePage: () => Promise<void>;
  readonly socket: ControlSocket | null;
}

/** `vigil gateway`: the gateway itself, without a supervisor; `vigil run` starts it. */
export const gatewayCommand: Command = {
  name: "gateway",
  usage: `usage: vigil gateway --config FILE
The gateway without its supervisor. Use \`vigil run\`.`,
  run: async (args, io) => {
    const file = configArgument(args, gatewayCommand, io);
    if (file === null) return 2;
    const circumstances = circumstancesOf(process.env);
    const stop = stopAsked();
    // The process still ends by the exception; this only tells why. No patient's data is in an invariant's text.
    process.on("uncaughtExceptionMonitor", (error) =>
      circumstances.tell({ kind: "crashed", reason: `${error.name}: ${error.message}` }),
    );
    // Read once more for its text: what is in effect can be laid down again when another does not start.
    const runningText = await readFile(file, "utf8").catch(() => "");
    const config = await configOf(file, io);
    if (config === null) {
      await circumstances.tellLast({ kind: "refused" });
      process.exit(1);
    }
    const asked = restartAsked();
    const { tell } = circumstances;
    const settings = settingsDeskOf(config, { file, runningText, restart: asked.ask, tell });
    const running = await open(config, { circumstances, io, settings });
    if (!running.ok) {
      tellFault(running.error, io);
      await circumstances.tellLast({ kind: "refused" });
      process.exit(1);
    }
    circumstances.tell({ kind: "ready" });
    const otherJournal = await Promise.race([
      stop.then(() => null),
      asked.came.then(() => null),
      otherJournalCame(running.value.journal),
    ]);
    const previousConfig = asked.previousConfig();
    if (otherJournal === null) {
      await circumstances.tellLast(previousConfig === undefined ? { kind: "stopping" } : { kind: "restarting", previousConfig });
    } else {
      // Ending as after a crash, so that whoever started it starts it again, on what is there now.
      tellFault(otherJournal, io);
      await circumstances.tellLast({ kind: "crashed", reason: "another journal lies on the disk" });
    }
    await close(running.value, createSystemClock());
    // A link or socket that does not end by itself must not hold the process beyond its bound.
    process.exit(otherJournal === null ? 0 : 1);
  },
};

function circumstancesOf(env: NodeJS.ProcessEnv): Circumstances {
  return {
    safeMode: env[SUPERVISOR_VARIABLES.safeMode] === "1",
    restartedBecause: env[SUPERVISOR_VARIABLES.restartedBecause] ?? null,
    tell: (message) => {
      if (process.connected) process.send?.(message);
    },
    tellLast: (message) =>
      new Promise((resolve) => {
        if (process.connected && process.send !== undefined) process.send(message, undefined, undefined, () => resolve());
        else resolve();
      }),
  };
}

/** Resolves when the gateway is to end. Under a supervisor the terminal's SIGINT is the supervisor's business, and its death ours. */
function stopAsked(): Promise<void> {
  return new Promise((resolve) => {
    process.on("SIGTERM", () => resolve());
    // Under a supervisor SIGINT keeps its meaning there: a stalled gateway prints its stack before it is killed.
    if (process.send === undefined) process.on("SIGINT", () => resolve());
    process.on("disconnect", () => resolve());
  });
}

/** A person's wish on the page for another start. */
interface RestartWish {
  readonly ask: (previousConfig: string | null) => void;
  /** Resolves a moment after it was asked for, so that whoever asked gets an answer. */
  readonly came: Promise<void>;
  /** A copy of what is in effect, null where the file still holds that; undefined where nobody asked. */
  readonly previousConfig: () => string | null | undefined;
}

function restartAsked(): RestartWish {
  const { promise, resolve } = Promise.withResolvers<void>();
  const clock = createSystemClock();
  let asked: string | null | undefined;
  return {
    ask: (previousConfig) => {
      asked ??= previousConfig;
      void clock.sleep(RESTART_ANSWER_MS).then(resolve);
    },
    came: promise,
    previousConfig: () => asked,
  };
}

/** The configuration for the pages. Without a supervisor nobody would start the gateway again. */
function settingsDeskOf(
  config: Config,
  given: {
    readonly file: string;
    readonly runningText: string;
    readonly restart: RestartWish["ask"];
    readonly tell: Circumstances["tell"];
  },
): SettingsSource {
  return createSettingsDesk({
    clock: createSystemClock(),
    configFile: given.file,
    runningText: given.runningText,
    config,
    warnings: configWarnings(config),
    restart: process.send === undefined ? null : given.restart,
    onSaved: (previousConfig) => given.tell({ kind: "settings-saved", previousConfig }),
  });
}

/** Resolves when the disk has come back with another journal than the one this process began without it. */
function otherJournalCame(journal: Journal): Promise<Fault> {
  return new Promise((resolve) => journal.onOtherJournal(resolve));
}

async function open(
  config: Config,
  given: { readonly circumstances: Circumstances; readonly io: CommandIo; readonly settings: SettingsSource },
): Promise<Result<Running, Fault>> {
  const { circumstances, io, settings } = given;
  const clock = createSystemClock();
  // Where the disk does not let it be made, the journal says so and watching begins all the same.
  await mkdir(config.gateway.dataFolder, { recursive: true, mode: 0o700 }).catch(() => undefined);
  const opened = await openJournal({
    folder: join(config.gateway.dataFolder, "journal"),
    gatewayId: config.gateway.id,
    bytesMax: config.journal.sizeMegabytesMax * 1_000_000,
    clock,
    simulatedDisk: simulatedDiskOf(process.env),
    waves: waveSettings(config),
  });
  if (!opened.ok) return opened;
  const journal = opened.value;
  const { models, faults: modelFaults } = circumstances.safeMode
    ? { models: [], faults: [] }
    : await loadModels(config.scores.models);

  const log = createLog({ level: config.log.level, stream: process.stderr, clock });
  const outboxes: Outbox[] = [];
  const view = gatewayViewer({ config, journal, circumstances, outboxes, clock });
  const meter = startOperationsMeter({ clock, journal });
  const broker = ownBroker(config, clock, () => gateway);
  const inlet = broker === null ? {} : { inlet: broker.inlet };
  const linkParts = { clock, random: Math.random, stop: new AbortController().signal };
  const gateway: Gateway = await startGateway({
    config,
    clock,
    journal,
    models,
    drivers: findDriver,
    openLink: (spec) => openLink(spec, { ...linkParts, ...inlet }),
    ...inlet,
    readers: () => readerStates(config, outboxes),
    onAlert: (alert) => {
      for (const outbox of outboxes) outbox.urgent(alert);
      logTechnical(log, alert);
      if (mustSound(alert)) circumstances.tell({ kind: "sound", priority: alert.priority });
    },
    onHeartbeat: () => {
      meter.heartbeat();
      circumstances.tell({ kind: "heartbeat", atMs: clock.wall() });
    },
    onRecorded: meter.recorded,
    gatewayView: view,
    version: gatewayVersion(),
    openNotices: noticesOf(config, { clock, random: Math.random, placeOf: placesOf(config) }),
    systemTime: createSystemTime(),
  });

  const stopOutboxes = new AbortController();
  // In safe mode as well: an alert that nobody upstream gets is no alert.
  for (const upstream of config.upstreams)
    outboxes.push(openUpstream(upstream, { config, clock, journal, gateway, io, stop: stopOutboxes.signal, view }));
  broker?.open();
  const admissions = receiveAdmissions(config, { clock, journal, gateway });
  tellStartFaults(gateway, { journal, modelFaults, circumstances });
  listenToSupervisor(gateway);
  const page = config.dashboard.enabled ? servePage(config, { clock, gateway, io, meter, settings }) : null;
  const { dataFolder } = config.gateway;
  const users = createUserControl({ dataFolder, clock, perform: gateway.perform, page: page === null ? null : page.running });
  const recordDeviceAccounts = createDeviceAccountRecorder({ dataFolder, clock, perform: gateway.perform });
  const socket = await openControl(config, { gateway, journal, view, users, recordDeviceAccounts });
  const closePage = page?.close ?? (async () => {});
  return succeed({ gateway, journal, broker, admissions, outboxes, stopOutboxes, closePage, socket });
}

/** The gateway's own broker where one is configured. What it tells, it tells once it is open: the gateway is there by then. */
function ownBroker(config: Config, clock: Clock, gateway: () => Gateway): DeviceBroker | null {
  return createDeviceBroker(config, {
    clock,
    random: randomBytes,
    topics: embeddedTopics(config, findDriver),
    setFault: (slot, reason) => gateway().setFault(slot, reason),
    onUnheard: (message) => gateway().noteUnheard(message),
    isReserved: (topic) => gateway().isAdoptedTopic(topic),
  });
}

function waveSettings({ journal: { waves } }: Config): WaveSettings {
  return {
    ringMs: waves.ringMinutes * 60_000,
    ringBytesMax: waves.ringMegabytesMax * 1_000_000,
    stripBeforeMs: waves.stripSecondsBefore * 1000,
    stripAfterMs: waves.stripSecondsAfter * 1000,
    stripBytesMax: waves.stripMegabytesMax * 1_000_000,
  };
}

/** For `vigil bench`: a disk as slow as an SD card, in the journal's worker. */
function simulatedDiskOf(env: NodeJS.ProcessEnv) {
  const text = env["VIGIL_SIMULATED_DISK"];
  if (text === undefined) return null;
  const [fsyncMs = 0, slowFsyncMs = 0, slowShare = 0, seed = 1] = text.split(",").map(Number);
  return { fsyncMs, slowFsyncMs, slowShare, seed };
}

async function loadModels(
  ids: readonly string[],
): Promise<{ readonly models: readonly ScoreModel[]; readonly faults: readonly Fault[] }> {
  const models: ScoreModel[] = [];
  const faults: Fault[] = [];
  for (const id of ids) {
    const loaded = await loadScoreModel(join(PROJECT_ROOT, "models", id));
    if (loaded.ok) models.push(loaded.value);
    else faults.push(loaded.error);
  }
  return { models, faults };
}

/** Trouble of the equipment goes into the log, with its code and facts; a patient's alert never does. */
function logTechnical(log: Log, alert: Alert): void {
  if (alert.nature !== "technical" || (alert.phase !== "start" && alert.phase !== "end")) return;
  const device = alert.subject.deviceId === null ? {} : { device: alert.subject.deviceId };
  const facts = alert.evidence.kind === "fault" ? { facts: alert.evidence.facts } : {};
  log.report({
    code: alert.phase === "start" ? alert.rule : `${alert.rule}.ended`,
    level: alert.phase === "start" ? "warn" : "info",
    ...device,
    ...facts,
  });
}

function mustSound(alert: Alert): boolean {
  return (
    alert.nature === "physiological" && (alert.phase === "start" || alert.phase === "escalate" || alert.phase === "continue")
  );
}

function gatewayVersion(): string {
  return String(JSON.parse(readFileSync(join(PROJECT_ROOT, "package.json"), "utf8")).version);
}

function gatewayViewer(parts: {
  readonly config: Config;
  readonly journal: Journal;
  readonly circumstances: Circumstances;
  readonly outboxes: readonly Outbox[];
  readonly clock: Clock;
}): () => GatewayView {
  const version = gatewayVersion();
  const startedAtMs = parts.clock.wall();
  let health: GatewayView["journal"]["state"] = "working";
  parts.journal.onHealth((now) => {
    health = now.state;
  });
  return () => ({
    gatewayId: parts.config.gateway.id,
    version,
    epoch: parts.journal.epoch,
    startedAtMs,
    journal: { state: health, waitingRecords: parts.journal.stats().waitingRecords },
    upstreams: parts.outboxes.map((outbox) => {
      const { name, state, backlogRecords, lastConfirmedAtMs } = outbox.view();
      return { name: name.replace(/^upstream:/, ""), state, backlogRecords, lastConfirmedAtMs };
    }),
    safeMode: parts.circumstances.safeMode,
  });
}

/** What each outbox says of itself, with where it carries records. */
function readerStates({ upstreams }: Config, outboxes: readonly Outbox[]): readonly ReaderState[] {
  return outboxes.flatMap((outbox, index) => {
    const upstream = upstreams[index];
    // Opened in the order of the configuration, one each.
    if (upstream === undefined) return [];
    const { rejectedCount: _, missedCount: __, ...state } = outbox.view();
    return [{ ...state, kind: upstream.kind, where: upstream.url.replace(/\/\/[^/]*@/, "//") }];
  });
}

interface UpstreamParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly gateway: Gateway;
  readonly io: CommandIo;
  readonly stop: AbortSignal;
  readonly view: () => GatewayView;
}

/** Where the hospital's own system says who lies where, it is listened to. */
function receiveAdmissions(
  config: Config,
  { clock, journal, gateway }: { readonly clock: Clock; readonly journal: Journal; readonly gateway: Gateway },
): RetriedStart<Admissions> | null {
  const { admissions } = config;
  if (admissions === undefined) return null;
  const { perform, patients: stays, lastSeq, setFault } = gateway;
  return startWithRetries({
    clock,
    start: () =>
      startAdmissions(
        { ...admissions, gatewayId: config.gateway.id },
        {
          ...{ clock, journal, perform, stays, lastSeq, setFault },
          serve: (spec, owner) => startMllpServer(spec, { clock, owner }),
        },
      ),
    tell: (reason) => setFault("admissions", reason),
  });
}

function openUpstream(upstream: UpstreamConfig, parts: UpstreamParts): Outbox {
  const { config, clock, journal, gateway } = parts;
  const name = `upstream:${upstream.name}`;
  const subject = { patientId: null, bedId: null, deviceId: null, part: name };
  return startOutbox({
    name,
    gatewayId: config.gateway.id,
    journal,
    sink: openSink(upstream, parts, { name, subject }),
    clock,
    random: Math.random,
    stop: parts.stop,
    onFault: (reason) => {
      gateway.setFault(name, reason, subject);
      gateway.gatewayChanged();
    },
    stateLoss: gateway.addLoss,
    onIncident: (incident) => gateway.setFault(`${name}:${incident.code}`, incident, subject),
  });
}

function openSink(
  upstream: UpstreamConfig,
  parts: UpstreamParts,
  as: { readonly name: string; readonly subject: Subject },
): Sink {
  const { config, clock, journal, gateway } = parts;
  const { name, subject } = as;
  const shared = {
    clock,
    textOf: (alert: Alert) => ({ en: alertText(alert, "en"), zh: alertText(alert, "zh") }),
    heartbeat: () => ({ committedSeq: journal.committedSeq(), state: heartbeatState(gateway, parts.view()) }),
  };
  switch (upstream.kind) {
    case "influx": {
      const { patientTag: kind, patientKeyFile } = upstream;
      const keyFile = patientKeyFile ?? join(config.gateway.dataFolder, "patient-pseudonym.key");
      const patientTag = kind === "pseudonym" ? { kind, keyFile, makesKey: patientKeyFile === undefined } : { kind };
      return createInfluxSink(
        { ...upstream, patientTag, gatewayId: config.gateway.id },
        { ...shared, onFault: (reason) => gateway.setFault(`${name}:series`, reason, subject) },
      );
    }
    case "mqtt": {
      const receipts = openReceiptBook({
        reader: name,
        journal,
        clock,
        record: ({ key, state, by }) => {
          if (state === "accepted") parts.io.stdout(`alert confirmed ${key} by ${by} through ${upstream.name}`);
          const number = gateway.addReceipt({ atMs: clock.wall(), of: key, reader: name, state, by });
          if (state === "accepted" && upstream.mayAcknowledge) void gateway.accepted({ key, by });
          return number;
        },
        onFault: (reason) => gateway.setFault(`${name}:receipts-many`, reason, subject),
        stop: parts.stop,
      });
      return createMqttSink(
        { ...upstream, gatewayId: config.gateway.id, epoch: journal.epoch },
        {
          ...shared,
          placeOf: placesOf(config),
          lastSeq: gateway.lastSeq,
          onReceipt: receipts.take,
          onFault: (reason) => gateway.setFault(`${name}:receipts`, reason, subject),
        },
      );
    }
  }
}

/** How staff call the beds. */
function placesOf({ beds }: Config): PlaceOfBed {
  const places = new Map(beds.map(({ id, title, room = null, ward = null }) => [bedId(id), { bed: title, room, ward }]));
  return (id) => places.get(id) ?? null;
}

/** The gateway's own word for how it is; a failing journal goes before a doubted clock. */
function heartbeatState(gateway: Gateway, view: GatewayView): string {
  if (view.journal.state === "failing") return "failing";
  return gateway.clockTrust() === "untrusted" ? "clock-untrusted" : "working";
}

/** What was already wrong when the gateway started becomes technical alerts. */
function tellStartFaults(
  gateway: Gateway,
  at: { readonly journal: Journal; readonly modelFaults: readonly Fault[]; readonly circumstances: Circumstances },
): void {
  for (const [index, reason] of at.journal.faultsAtOpen.entries()) gateway.setFault(`journal-open:${index}`, reason);
  for (const [index, reason] of at.modelFaults.entries()) gateway.setFault(`model:${index}`, reason);
  if (at.circumstances.safeMode) gateway.setFault("safe-mode", fault("safe-mode"));
  const because = at.circumstances.restartedBecause;
  if (because === "settings-failed") gateway.setFault("restarted", fault("settings-put-back"));
  // What a person asked for on the page is no trouble.
  else if (because !== null && because !== "asked") gateway.setFault("restarted", fault("gateway-restarted", { because }));
}

function listenToSupervisor(gateway: Gateway): void {
  process.on("message", (given) => {
    const message = parseSupervisorMessage(given);
    if (!message.ok) return;
    gateway.setFault(
      "sounder",
      message.value.kind === "sounder-works"
        ? null
        : fault("sounder-failed", { why: message.value.why, detail: message.value.detail }),
    );
  });
}

/** Serves the page, and tries again for as long as it cannot: watching does not wait for it. */
function servePage(
  config: Config,
  parts: {
    readonly clock: Clock;
    readonly gateway: Gateway;
    readonly io: CommandIo;
    readonly meter: OperationsMeter;
    readonly settings: SettingsSource;
  },
): RetriedStart<Dashboard> {
  const { clock, gateway, io, meter, settings } = parts;
  const { host, port, signIn, sessionMinutes, idleMinutes, metricsTokenFile = null } = config.dashboard;
  const { dataFolder } = config.gateway;
  const tls = pageTlsOf(config);
  const webFolder = pagesFolder(PROJECT_ROOT);
  const options = { host, port, tls, signIn, sessionMinutes, idleMinutes, metricsTokenFile, dataFolder, webFolder };
  const { source, perform, setFault } = gateway;
  const socketFile = config.demonstration?.socketFile;
  const demonstration =
    socketFile === undefined ? {} : { demonstration: createDemonstrationDesk({ socketFile, clock, picture: source.picture }) };
  const served = { clock, source, perform, setFault, settings, random: randomBytes, operations: meter.view, ...demonstration };
  return startWithRetries({
    clock,
    start: () =>
      startDashboard(options, served).catch((error: unknown) => {
        // A page that fails in a way nobody thought of must not take the watching with it.
        const reason = error instanceof Error ? error.message : String(error);
        return fail(fault("page-failed", { host, port, reason }));
      }),
    tell: (reason) => {
      gateway.setFault("page", reason);
      if (reason !== null) tellFault(reason, io);
    },
    onRunning: (page) => {
      io.stdout(`page ${page.url}`);
      for (const url of page.otherUrls) io.stdout(`page also 也可用 ${url}`);
      const certificate = page.certificate();
      if (certificate !== null) for (const line of certificateWords(certificate)) io.stdout(line);
      if (page.oneTimeLink !== null)
        io.stdout(`sign in once within ${LIMITS.oneTimeLinkMinutesMax.value} minutes 首次登录: ${page.oneTimeLink}`);
      else if (signIn) io.stdout(SIGN_IN_HINT);
    },
  });
}

async function openControl(
  config: Config,
  parts: {
    readonly gateway: Gateway;
    readonly journal: Journal;
    readonly view: () => GatewayView;
    readonly users: (body: unknown) => Promise<unknown>;
    readonly recordDeviceAccounts: () => Promise<unknown>;
  },
): Promise<ControlSocket | null> {
  const { gateway, journal, view } = parts;
  const pauseMeter = process.env[PAUSES_VARIABLE] === "1" ? startPauseMeter(createSystemClock()) : null;
  const opened = await openControlSocket(join(config.gateway.dataFolder, CONTROL_SOCKET_NAME), async (request) => {
    if (request.name === "picture") return gateway.source.picture();
    if (request.name === "stats") return { ...journal.stats(), memory: process.memoryUsage(), upstreams: view().upstreams };
    // For `vigil doctor`: how the lives of the last day ended.
    if (request.name === "starts") return await startsSince(journal, createSystemClock().wall() - DAY_MS);
    // For `vigil bench`: the main thread's pauses since this was last asked; null where they are not measured.
    if (request.name === "pauses") return pauseMeter?.take() ?? null;
    if (request.name === "users") return await parts.users(request.body);
    if (request.name === "device-accounts") return await parts.recordDeviceAccounts();
    if (request.name !== "perform") return { ok: false, error: { kind: "bad-request" } };
    const body = request.body as { readonly deed?: unknown } | null;
    const deed: Result<Deed, unknown> = parseDeed(body?.deed);
    return deed.ok ? await gateway.perform(deed.value, commandActor(body)) : deed;
  });
  gateway.setFault("control-socket", opened.ok ? null : opened.error);
  return opened.ok ? opened.value : null;
}

/** Closes in the order that loses nothing: first what brings data in, then what carries it away, last the journal. */
async function close(running: Running, clock: Clock): Promise<void> {
  const inOrder = async () => {
    await Promise.all([running.broker?.close(), running.admissions?.close()]);
    await running.gateway.stop();
    running.stopOutboxes.abort();
    await Promise.all([running.closePage(), running.socket?.close(), ...running.outboxes.map((outbox) => outbox.finished)]);
    running.gateway.finish();
    await running.journal.close();
  };
  await Promise.race([inOrder(), clock.sleep(LIMITS.stopMsMax.value)]);
}
