import type { Config, DeviceConfig } from "../../config/schema.ts";
import { type AlertBook, rebuildAlerts } from "../alerts/life-cycle.ts";
import type { Act, AdoptedDevice } from "../core/act.ts";
import type { Alert, ConditionChange } from "../core/alert.ts";
import { fault } from "../core/errors.ts";
import { bedId, type DeviceId, deviceId, type PatientId, type Seq, seq } from "../core/ids.ts";
import type { Timeline } from "../core/mended-time.ts";
import type { Observation } from "../core/observation.ts";
import type { BrokerInlet, Driver, Journal, Link, LinkSpec, PerformAct, UnheardMessage } from "../core/ports.ts";
import type { Text } from "../core/quantities.ts";
import type { ReaderState } from "../core/reader-view.ts";
import type { JournalRecord, LifeStart, Loss, Receipt } from "../core/record.ts";
import { assert } from "../core/result.ts";
import type { GatewayView } from "../core/stream.ts";
import type { Clock, ClockTrust, MonotonicMs } from "../core/time.ts";
import type { DashboardSource, TrendQuery } from "../dashboard/server/source.ts";
import { deviceEvent, deviceSubject, type Route, route } from "../gateway.ts";
import { createDeviceIntake, quarantineFault } from "../intake/device-intake.ts";
import { lastHashOf } from "../verify/act-chain.ts";
import { WATCH_DEFAULTS } from "../watch/options.ts";
import type { ScoreModel } from "../watch/score-model.ts";
import { createWatch, type Watch } from "../watch/watch.ts";
import { createActBook } from "./act-book.ts";
import { adoptionProblem } from "./adoption.ts";
import { type AlertDesk, createAlertDesk } from "./alert-desk.ts";
import { type AlertRoutes, noticeAgoMs, type OpenNotices, openAlertRoutes, readNotices } from "./alert-routes.ts";
import { type AnswerDesk, createAnswerDesk } from "./answer-desk.ts";
import { type AssignmentHistory, createAssignmentHistory } from "./assignment-history.ts";
import { type CandidateBook, openCandidateBook } from "./candidate-book.ts";
import { createClockKeeper, shownAlert } from "./clock-keeper.ts";
import { startClockwork, watchJournal } from "./clockwork.ts";
import { createDeviceDesk } from "./device-desk.ts";
import { createDeviceLine, type DeviceLine, type LineListener } from "./device-line.ts";
import { type DeviceRoster, openDeviceRoster } from "./device-roster.ts";
import { createDoor, type Door } from "./door.ts";
import { createHeartbeatProbe, type HeartbeatProbe } from "./heartbeat-probe.ts";
import { followLastWorn, tellLastWords } from "./last-worn.ts";
import { createLimitKeeper, type LimitKeeper } from "./limit-keeper.ts";
import { linkSpecOf } from "./link-spec.ts";
import { trendOfPatient } from "./mended-trend.ts";
import { createPageFeed } from "./page-feed.ts";
import { createPast, type Past } from "./past.ts";
import { createPictures, type Pictures } from "./picture.ts";
import { EMPTY_PLANT, type PlantPlan, type PlantState, whereIs } from "./plant.ts";
import { createReaderDesk } from "./reader-desk.ts";
import {
  acknowledgedAgoMs,
  agedActs,
  agedObservations,
  monotonicOfAct,
  ofPatientsHere,
  type Recovered,
  recover,
} from "./recovery.ts";
import { createRefusalMeter } from "./refusal-meter.ts";
import { stripView } from "./strip-view.ts";
import { SILENT_SYSTEM, type SystemTime } from "./system-time.ts";
import { createTallyCounter, type TallyCounter } from "./tally.ts";
import { createTrendCache } from "./trend-cache.ts";
import { createWallClock, readClockHistory, type WallClock } from "./wall-clock.ts";
import { wardLimits } from "./ward-limits.ts";
import { tellWatch, type WatchPlan, watchPlan } from "./watch-plan.ts";

/** The real or simulated parts a gateway is made of. */
export interface GatewayParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly models: readonly ScoreModel[];
  readonly drivers: (id: string) => Driver | null;
  readonly openLink: (spec: LinkSpec) => Link;
  /** The own broker's, where devices that may be adopted are looked for; left out: there is none. */
  readonly inlet?: BrokerInlet;
  /** What the readers of the journal say of themselves; left out: there are none. */
  readonly readers?: () => readonly ReaderState[];
  /** Every new state of an alert, at once: the outboxes' urgent lane and the local sounder. */
  readonly onAlert: (alert: Alert) => void;
  /** The alert path works: an injected observation has just come out of it as an alert. */
  readonly onHeartbeat: () => void;
  /** Every record, as it is handed to the journal; left out: nobody counts them. */
  readonly onRecorded?: (records: readonly JournalRecord[]) => void;
  readonly gatewayView: () => GatewayView;
  /** The gateway's version, for the record of its start. */
  readonly version: string;
  /** Brings alerts to the contacts of routes; left out where nobody can. */
  readonly openNotices?: OpenNotices;
  /** What the operating system says of time; left out: nothing. */
  readonly systemTime?: SystemTime;
}

/** A running gateway, as the parts around it see it. */
export interface Gateway {
  readonly perform: PerformAct;
  readonly source: DashboardSource;
  readonly setFault: AlertDesk["setFault"];
  /** Somebody upstream took an alert as theirs: becomes their acknowledgement. */
  readonly accepted: AnswerDesk["accepted"];
  /** Makes a receipt a record and hands it to the journal; returns its number. */
  readonly addReceipt: (receipt: Omit<Receipt, "kind" | "seq">) => Seq;
  /** The same for a reader's loss, with the present time. */
  readonly addLoss: (loss: Omit<Loss, "kind" | "seq" | "atMs">) => Seq;
  /** The last number given to any record. */
  readonly lastSeq: () => Seq;
  /** Who lies where now. */
  readonly patients: () => PlantState["patients"];
  readonly gatewayChanged: () => void;
  /** A message came to the own broker that nobody listens to: its sender may be adopted. */
  readonly noteUnheard: (message: UnheardMessage) => void;
  /** Whether an adopted device listens to a topic, or would if its link were not broken. */
  readonly isAdoptedTopic: (topic: string) => boolean;
  readonly openAlerts: () => readonly Alert[];
  /** Whether the wall clock may be believed now. */
  readonly clockTrust: () => ClockTrust;
  /** Closes the links, stops the clockwork and records the tally; the journal is closed by whoever opened it. */
  readonly stop: () => Promise<void>;
  /** Records the tally of what came after `stop` (last receipts and acts); call it right before the journal is closed. */
  readonly finish: () => void;
}

/**
 * Starts a gateway on an open journal. Resolves when its state is rebuilt and its links are being opened: from then on it watches.
 */
export async function startGateway(parts: GatewayParts): Promise<Gateway> {
  const { journal } = parts;
  const { start, wallClock } = await beginLife(parts);
  const recovered = await recover(journal, parts.clock, wallClock.timeline());
  let look = () => {};
  const joined = join(parts, { recovered, wallClock, look: () => look() });
  const { shared, door, roster } = joined;
  assert(shared.nextSeq() === start.seq, "a life begins with its start record");
  shared.record([start]);
  rebuild(joined, recovered, wallClock.timeline());
  joined.routes.resume(shared.desk.open(), await readNotices(journal, recovered.openAlerts), (notice) =>
    noticeAgoMs(notice, parts.clock, wallClock.timeline()),
  );
  let stopped = false;
  const lastWorn = readWornBefore(parts, joined, { recovered, wallClock, isStopped: () => stopped });
  look = createClockKeeper({ wallClock, shared, recovered, lastWorn, plant: door.plant });
  const stopClockwork = startClockwork(shared, {
    probe: joined.probe,
    lookAtClock: () => look(),
    tickRoutes: joined.routes.tick,
  });
  const stopJournalWatch = watchJournal(shared, journal, roster);
  tellUnused(shared, roster);
  roster.begin((line) =>
    line.run(listenerOf(shared, line)).catch((error: unknown) => {
      shared.desk.setFault(`device:${line.deviceId}`, quarantineFault(line.intake, error), deviceSubject(shared, line.deviceId));
    }),
  );
  return {
    perform: door.perform,
    source: sourceOf(joined, parts, wallClock),
    setFault: shared.desk.setFault,
    accepted: createAnswerDesk({ journal, openAlerts: shared.desk.open, perform: door.perform }).accepted,
    addReceipt: (receipt) => {
      look();
      const number = shared.nextSeq();
      shared.record([{ kind: "receipt", seq: number, ...receipt }]);
      return number;
    },
    addLoss: (loss) => {
      look();
      const number = shared.nextSeq();
      shared.record([{ kind: "loss", seq: number, atMs: parts.clock.wall(), ...loss }]);
      return number;
    },
    lastSeq: joined.lastSeq,
    patients: () => door.plant().patients,
    gatewayChanged: shared.feed.gatewayChanged,
    noteUnheard: joined.candidates.note,
    isAdoptedTopic: roster.isAdoptedTopic,
    openAlerts: shared.desk.open,
    clockTrust: wallClock.trust,
    stop: async () => {
      stopped = true;
      stopClockwork();
      joined.limits.stop();
      joined.candidates.close();
      await roster.close();
      await joined.routes.close();
      joined.past.stop();
      shared.recordTally();
      stopJournalWatch();
    },
    finish: shared.recordTally,
  };
}

/** What the pages read from. */
function sourceOf(
  joined: Joined,
  { clock, journal, drivers, readers, config }: GatewayParts,
  wallClock: WallClock,
): DashboardSource {
  const { shared, door, plan, roster, candidates } = joined;
  const { pictures, feed } = shared;
  const formerOf = (id: PatientId) => door.plant().patients.get(id)?.formerNumbers ?? new Map();
  const { timeline } = wallClock;
  const ask = (query: TrendQuery) => trendOfPatient(journal, timeline(), { ...query, formerNumbers: formerOf(query.patientId) });
  const trend = createTrendCache({ clock, timeline, ask });
  return {
    picture: pictures.whole,
    subscribe: feed.subscribe,
    wavesOf: feed.wavesOf,
    thinWavesOf: feed.thinWavesOf,
    trend: (query) => trend(query, formerOf(query.patientId).size),
    whereIs: (patient) => whereIs(door.plant(), patient),
    acts: async (query) => {
      const records = await journal.read({ ...query, kinds: ["act"] });
      return records.filter((record) => record.kind === "act");
    },
    records: createActBook({ clock, journal }).records,
    notes: (patient) => door.plant().patients.get(patient)?.notes ?? [],
    wardLimits: () => wardLimits(plan),
    strip: async (alertId) => stripView(await journal.strip(alertId)),
    devices: createDeviceDesk({ config, clock, drivers, roster, candidates, plant: door.plant, bedOf: pictures.bedOf }),
    readers: createReaderDesk({ journal, readers: readers ?? (() => []) }),
    ...(joined.routes.answer === undefined ? {} : { answer: joined.routes.answer }),
    ...joined.past.source,
  };
}

/** Everything that is joined before the first byte comes. */
interface Joined {
  readonly shared: Route;
  readonly probe: HeartbeatProbe;
  readonly door: Door;
  readonly roster: DeviceRoster;
  readonly candidates: CandidateBook;
  readonly plan: WatchPlan;
  readonly limits: LimitKeeper;
  readonly past: Past;
  readonly routes: AlertRoutes;
  readonly lastSeq: () => Seq;
}

/** What was before and how the clocks stand: what the rooms are made with. */
interface Begun {
  readonly recovered: Recovered;
  readonly wallClock: WallClock;
  /** Looks whether the wall clock was moved; call it before anything is numbered that carries a wall time. */
  readonly look: () => void;
}

/** Makes the rooms' objects and joins them; nothing runs yet. */
function join(parts: GatewayParts, begun: Begun): Joined {
  const { clock, config, journal } = parts;
  const { recovered, wallClock } = begun;
  let lastSeq: number = journal.leftOutAtOpen?.to ?? journal.lastSeqAtOpen;
  const nextSeq = () => seq(++lastSeq);
  const tally = createTallyCounter(seq(lastSeq + 1));
  const { record, recordTally } = recorderOf(parts, { tally, nextSeq, onRecorded: (records) => past.recorded(records) });
  const watch = watchOf(parts);
  const probe = createHeartbeatProbe({ watch, clock, onHeartbeat: parts.onHeartbeat });
  const desk = deskOf(parts, begun, {
    nextSeq,
    record,
    alertChanged: (alert) => feed.alertChanged(alert),
    recorded: (alerts) => routes.take(alerts),
  });
  const settle: Route["settle"] = (changes) => {
    const real = probe.withoutProbe(changes);
    past.noted(real);
    desk.settle(real);
  };
  const assignments = assignmentsBefore(clock, begun);
  const door = createDoor({
    clock,
    journal,
    record,
    nextSeq,
    plan: plantPlan(parts),
    acts: agedActs(recovered.acts, clock, wallClock.timeline()),
    lastHash: lastHashOf(recovered.acts),
    openAlerts: desk.open,
    beforeAct: begun.look,
    onAct: (act, before, after) => {
      assignments.note(act, clock.monotonic());
      actTaken(act, { before, after }, { shared, roster, plan, limits, beds: config.beds });
    },
  });
  const lastGiven = () => seq(lastSeq);
  const roster = openRoster(parts, { door, assignments, begun, lastSeq: lastGiven });
  const plan = watchPlan(config, roster.watched);
  const limits = createLimitKeeper({
    clock,
    watch,
    plan,
    plant: door.plant,
    onExpired: (...told) => limitEnded(shared, ...told),
  });
  const gatewayView = () => ({ ...parts.gatewayView(), clockTrust: wallClock.trust() });
  const pictures = picturesOf(parts, { roster, door, watch, desk, limits, wallClock, gatewayView });
  const feed = createPageFeed({ clock, bedView: pictures.bed, unassigned: pictures.unassigned, gatewayView });
  const bedOfPatient: Route["bedOfPatient"] = (id) => door.plant().patients.get(id)?.bedId ?? null;
  const { recordWaves } = journal;
  const past = pastOf(parts, { begun, plan, plant: door.plant, openAlerts: desk.open, record, nextSeq });
  const judged: Route["tally"]["judged"] = (...given) => {
    tally.judged(...given);
    past.judged(...given);
  };
  const counts = { judged };
  const shared = {
    ...{ clock, watch, desk, feed, pictures, tally: counts, record, recordTally, recordWaves, nextSeq },
    ...{ settle, bedOfPatient },
  };
  const candidates = openCandidateBook({ clock, inlet: parts.inlet ?? null });
  const routes = routesOf(parts, {
    ...{ settle, record, nextSeq },
    perform: door.perform,
    openAlerts: desk.open,
    clockTrust: wallClock.trust,
  });
  return { shared, probe, door, roster, candidates, plan, limits, past, routes, lastSeq: lastGiven };
}

/** Who raises and ends alerts, with those that were open before. */
function deskOf(
  { clock, journal, onAlert }: GatewayParts,
  begun: Begun,
  to: Pick<Route, "nextSeq" | "record"> & {
    readonly alertChanged: (alert: Alert) => void;
    readonly recorded: (alerts: readonly Alert[]) => void;
  },
): AlertDesk {
  return createAlertDesk({
    clock,
    epoch: journal.epoch,
    nextSeq: to.nextSeq,
    book: rebuiltBook(clock, begun),
    publish: (alerts) => {
      // The page and the sounder first, then the disk: nobody waits for a commit to be warned.
      for (const alert of alerts) {
        to.alertChanged(shownAlert(alert, begun.wallClock));
        onAlert(alert);
      }
      // Together: a journal that drops from its full queue numbers and appends that loss within this call.
      to.record(alerts);
      to.recorded(alerts);
    },
  });
}

/** Who is told of alerts, and who next. Without anybody to bring them there are no routes: `vigil check` has said what is missing. */
function routesOf(
  { config, clock, journal, openNotices }: GatewayParts,
  to: Pick<Route, "settle" | "record" | "nextSeq"> &
    Pick<Parameters<typeof openAlertRoutes>[1], "perform" | "openAlerts" | "clockTrust">,
): AlertRoutes {
  const routes = openNotices === undefined ? [] : config.routes;
  const nobody: OpenNotices = () => ({
    bring: () => {},
    drop: () => {},
    answer: async () => "denied",
    waiting: () => new Map(),
    close: async () => {},
  });
  return openAlertRoutes(
    { ...config, routes },
    { ...to, clock, gatewayId: config.gateway.id, epoch: journal.epoch, openNotices: openNotices ?? nobody },
  );
}

/** What the wall is drawn from. */
function picturesOf(
  { config, clock, models }: GatewayParts,
  from: Pick<Joined, "roster" | "door" | "limits"> &
    Pick<Begun, "wallClock"> &
    Pick<Route, "watch" | "desk"> & { readonly gatewayView: () => GatewayView },
): Pictures {
  const { roster, door, watch, desk, limits, wallClock, gatewayView } = from;
  return createPictures({
    beds: config.beds,
    tags: roster.tags,
    lines: roster.lines,
    plant: door.plant,
    viewOf: watch.view,
    titleOf: (modelId) => titleOf(models, modelId),
    openAlerts: () => desk.open().map((alert) => shownAlert(alert, wallClock)),
    gatewayView,
    nowMs: () => clock.wall(),
    limits,
  });
}

/** What is remembered of what was. */
function pastOf(
  { clock, journal }: GatewayParts,
  from: Pick<Route, "record" | "nextSeq"> & {
    readonly begun: Begun;
    readonly plan: WatchPlan;
    readonly plant: Door["plant"];
    readonly openAlerts: AlertDesk["open"];
  },
): Past {
  const { begun, plan, plant, openAlerts, record, nextSeq } = from;
  const { wallClock, look } = begun;
  return createPast({
    clock,
    journal,
    timeline: wallClock.timeline,
    plan,
    plant,
    openAlerts,
    shown: (alert) => shownAlert(alert, wallClock),
    recordQuality: (counted) => {
      look();
      record(counted.map(({ deviceId: id, facts }) => deviceEvent({ clock, nextSeq }, id, "quality", facts)));
    },
  });
}

/** A limit that was set for a time has gone back to the ward's own. */
function limitEnded({ settle, feed, bedOfPatient }: Route, patient: PatientId, changes: readonly ConditionChange[]): void {
  settle(changes);
  const bed = bedOfPatient(patient);
  if (bed !== null) feed.bedChanged(bed);
}

/** What follows of an act beside the plant: alerts, watch, limits and pages. */
function actTaken(
  { deed, by }: Act,
  change: { readonly before: PlantState; readonly after: PlantState },
  at: {
    readonly shared: Route;
    readonly roster: DeviceRoster;
    readonly plan: WatchPlan;
    readonly limits: LimitKeeper;
    readonly beds: Config["beds"];
  },
): void {
  const { desk, watch, settle, feed, pictures } = at.shared;
  if (deed.kind === "acknowledge") desk.acknowledge(deed.alertId, by);
  if (deed.kind === "adopt") adopted(at.shared, at.roster, deed);
  if (deed.kind === "forget-device") forgotten(at.shared, at.roster, deed.deviceId);
  const merged = deed.kind === "merge" ? { fromId: deed.formerPatientId, toId: deed.patientId } : null;
  settle(tellWatch(watch, at.plan, { ...change, merged, isOver: at.limits.isOver }));
  settle(tellLastWords(watch, at.plan.devices, { ...change, atMsOf: () => at.shared.clock.monotonic() }));
  at.limits.renew();
  desk.renewBeds(pictures.bedOf);
  // Who signed in or was refused changes nothing at the bedside.
  if (change.before === change.after && deed.kind !== "acknowledge") return;
  for (const bed of at.beds) feed.bedChanged(bedId(bed.id));
  feed.devicesChanged();
}

/** A device is in use from now on: its line is open, and it is watched as one of nobody until it is assigned. */
function adopted({ watch, settle }: Route, roster: DeviceRoster, device: AdoptedDevice): void {
  const watched = roster.adopt(device);
  if (watched !== null) settle(watch.setDevice({ ...watched, patientId: null }));
}

/** A device is in use no more: what was wrong with it is nobody's business from now on. */
function forgotten({ watch, settle, desk }: Route, roster: DeviceRoster, id: DeviceId): void {
  const wasUsed = roster.forget(id);
  desk.setFault(`adopted:${id}`, null);
  if (!wasUsed) return;
  for (const slot of ["link", "refused", "device"]) desk.setFault(`${slot}:${id}`, null);
  settle(watch.removeDevice(id));
}

/** An adopted device that cannot be used may be on somebody who believes to be watched by it. */
function tellUnused(shared: Route, { unused }: DeviceRoster): void {
  for (const [id, { problem }] of unused)
    shared.desk.setFault(
      `adopted:${id}`,
      fault("adopted-device-unused", { ...problem.facts, why: problem.why }),
      deviceSubject(shared, id),
    );
}

/** What the configuration says exists, for the door. */
function plantPlan({ config, drivers }: GatewayParts): PlantPlan {
  return {
    bedIds: new Set(config.beds.map((bed) => bed.id)),
    deviceIds: new Set(config.devices.map((device) => device.id)),
    adoptionProblem: (device) => adoptionProblem(device, { drivers, hasBroker: config.broker !== undefined }),
  };
}

/** How records reach the journal: counted for the tally and for whoever watches over the gateway. */
function recorderOf(
  { journal, clock, onRecorded }: GatewayParts,
  given: {
    readonly tally: TallyCounter;
    readonly nextSeq: () => Seq;
    readonly onRecorded: (records: readonly JournalRecord[]) => void;
  },
): Pick<Route, "record" | "recordTally"> {
  const { tally, nextSeq } = given;
  const append: Route["record"] = (records) => {
    journal.append(records);
    onRecorded?.(records);
    given.onRecorded(records);
  };
  return {
    record: (records) => {
      tally.recorded(records);
      append(records);
    },
    recordTally: () => {
      if (!tally.isEmpty()) append([tally.close({ seq: nextSeq(), atMs: clock.wall() })]);
    },
  };
}

/** The watch with the scores that are there, told of those that are not. */
function watchOf({ config, clock, models }: GatewayParts): Watch {
  const unloadedModels = config.scores.models.filter((wanted) => !models.some(({ id }) => id === wanted));
  return createWatch({ ...WATCH_DEFAULTS, stream: streamRules(config) }, { clock, models, unloadedModels });
}

/** The alerts that were open before, acknowledged ones as long ago as they were, whatever the wall clock says. */
function rebuiltBook(clock: Clock, { recovered, wallClock }: Begun): AlertBook {
  const timeline = wallClock.timeline();
  return rebuildAlerts(recovered.openAlerts, {
    wallMs: clock.wall(),
    monotonicMs: clock.monotonic(),
    acknowledgedAgoMs: (alert) => acknowledgedAgoMs(alert, clock, timeline),
  });
}

/** Who had which device before. */
function assignmentsBefore(clock: Clock, { recovered, wallClock }: Begun): AssignmentHistory {
  const timeline = wallClock.timeline();
  const assignments = createAssignmentHistory(clock.monotonic());
  for (const act of recovered.acts) assignments.note(act, monotonicOfAct(act, clock, timeline));
  return assignments;
}

/** Shows the watch what was before the restart (SAFETY.md, rule 10): who lies where, what is on whom, what was measured, which alerts are open. */
function rebuild(joined: Joined, recovered: Recovered, timeline: Timeline): void {
  const { watch, settle, clock } = joined.shared;
  for (const device of joined.plan.devices.values()) settle(watch.setDevice({ ...device, patientId: null }));
  const plant = joined.door.plant();
  settle(tellWatch(watch, joined.plan, { before: EMPTY_PLANT, after: plant, isOver: joined.limits.isOver }));
  joined.limits.renew();
  const atMsOf = (seq: Seq) => {
    const act = recovered.acts.find((each) => each.seq === seq);
    return act === undefined ? null : monotonicOfAct(act, clock, timeline);
  };
  settle(tellLastWords(watch, joined.plan.devices, { before: EMPTY_PLANT, after: plant, atMsOf }));
  const aged = agedObservations(recovered.observations, clock, timeline);
  const observations = ofPatientsHere(aged, plant);
  settle(watch.restore({ observations, lastWornFollows: true, openAlerts: recovered.openAlerts }));
  // A cuff's repeated result from before a restart must not count as a new one.
  const byDevice = Map.groupBy(recovered.observations, (observation) => observation.deviceId);
  const agedByDevice = Map.groupBy(aged, (observation) => observation.deviceId);
  for (const line of joined.roster.lines.values()) {
    line.intake.restoreHeld(byDevice.get(line.deviceId) ?? []);
    line.notebook.restore(agedByDevice.get(line.deviceId) ?? []);
  }
}

/** Shows the watch, when it is read, what devices last measured before the restart. */
function readWornBefore(
  { journal, clock, config }: GatewayParts,
  { shared, door }: Joined,
  { recovered, wallClock, isStopped }: Pick<Begun, "recovered" | "wallClock"> & { readonly isStopped: () => boolean },
): Promise<readonly Observation[]> {
  return followLastWorn(journal, {
    clock,
    timeline: wallClock.timeline(),
    acts: recovered.acts,
    recent: recovered.observations,
    backMs: config.assignment.askAfterMinutes * 60_000,
    take: (found) => {
      if (isStopped()) return;
      const aged = agedObservations(found, clock, wallClock.timeline());
      shared.settle(shared.watch.lastWornRead(ofPatientsHere(aged, door.plant())));
    },
  });
}

/** The first record of this life: how the one before ended, which numbers no record has, and how the clocks stand to each other. */
async function beginLife(parts: GatewayParts): Promise<{ readonly start: LifeStart; readonly wallClock: WallClock }> {
  const { journal, clock, version } = parts;
  const history = await readClockHistory(journal);
  const system = parts.systemTime ?? SILENT_SYSTEM;
  const wallClock = createWallClock({ clock, system, history, believe: parts.config.clock.believe });
  const { endedBefore: before, leftOutAtOpen: leftOut, lastSeqAtOpen } = journal;
  const number = seq((leftOut?.to ?? lastSeqAtOpen) + 1);
  const start: LifeStart = { kind: "start", seq: number, version, before, leftOut, ...wallClock.start };
  wallClock.recorded(start);
  return { start, wallClock };
}

/** Opens a link and a way in for each device in use. Nobody is guessed: the patient is asked for at each reading. */
function openRoster(
  parts: GatewayParts,
  given: {
    readonly door: Door;
    readonly assignments: AssignmentHistory;
    readonly begun: Begun;
    readonly lastSeq: () => Seq;
  },
): DeviceRoster {
  const { config, drivers } = parts;
  const { door, assignments, begun, lastSeq } = given;
  const stamp = (atMonotonicMs: MonotonicMs) => {
    begun.look();
    return begun.wallClock.wallAt(atMonotonicMs);
  };
  const openLine = (device: DeviceConfig, driver: Driver) => {
    const id = deviceId(device.id);
    const intake = createDeviceIntake({
      deviceId: id,
      driver,
      driverOptions: device.options,
      origin: device.origin,
      patientOf: () => door.plant().assignments.get(id) ?? null,
      patientAt: (atMonotonicMs) => assignments.patientAt(id, atMonotonicMs),
    });
    const link = parts.openLink(linkSpecOf(device, driver, config));
    return createDeviceLine({ intake, link, clock: parts.clock, lastSeq, stamp, hurry: parts.journal.hurry });
  };
  return openDeviceRoster({ config, drivers, adopted: door.plant().adopted.values(), openLine });
}

function streamRules(config: Config) {
  return { confirmSeconds: config.scores.confirmSeconds, partialAllowedSeconds: config.scores.partialMinutesMax * 60 };
}

function titleOf(models: readonly ScoreModel[], modelId: string): Text {
  return models.find((model) => model.id === modelId)?.title ?? { en: modelId, zh: modelId };
}

/** What a line's events do besides the data path: link state on the wall, refusals counted, faults raised and ended. */
function listenerOf(shared: Route, line: DeviceLine): LineListener {
  const id = line.deviceId;
  const meter = createRefusalMeter({ device: id, driver: line.intake.driver.id });
  const changed = () => {
    const bed = shared.pictures.bedOf(id);
    if (bed !== null) shared.feed.bedChanged(bed);
    shared.feed.devicesChanged();
  };
  return {
    onUp: () => {
      shared.watch.connected(id);
      shared.record([deviceEvent(shared, id, "link-up", {})]);
      shared.desk.setFault(`link:${id}`, null);
      changed();
    },
    onDown: (_, reason) => {
      shared.record([deviceEvent(shared, id, "link-down", { ...reason.facts, code: reason.code })]);
      shared.desk.setFault(`link:${id}`, reason, deviceSubject(shared, id));
      changed();
    },
    onJudgement: (_, judgement) => {
      route(shared, id, judgement);
      const refused = meter.count({ nowMs: shared.clock.monotonic(), refusals: judgement.refusals, heard: judgement.heard });
      if (refused.recorded.length > 0)
        shared.record(refused.recorded.map((error) => deviceEvent(shared, id, "refused", { ...error })));
      shared.desk.setFault(`refused:${id}`, refused.fault, deviceSubject(shared, id));
    },
  };
}
