import { type Hl7Sender, openHl7Sender } from "../../simulator/links/hl7-sender.ts";
import { createMemoryJournal } from "../../simulator/world/memory-journal.ts";
import { type Admissions, startAdmissions } from "../../src/admissions/admissions.ts";
import type { AdmissionsOptions } from "../../src/admissions/options.ts";
import { createSystemClock } from "../../src/clock.ts";
import { type Act, type Deed, FIRST_PREVIOUS_HASH } from "../../src/core/act.ts";
import type { Fault } from "../../src/core/errors.ts";
import { bedId, patientId, seq } from "../../src/core/ids.ts";
import type { Journal, MllpOwner } from "../../src/core/ports.ts";
import { assert } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";
import { createDoor, type Door } from "../../src/gateway/door.ts";
import { startMllpServer } from "../../src/transports/mllp.ts";
import { until } from "./until.ts";

/** What one message says; what is left out is left out of the message. */
export interface SaidAdt {
  readonly event: string;
  readonly patient: string;
  /** PV1-3. */
  readonly place?: string;
  readonly control?: string;
  /** EVN-2. */
  readonly at?: string;
  readonly name?: string;
  readonly visit?: string;
  readonly born?: string;
  readonly former?: string;
  readonly discharged?: string;
  /** Replaces MSH from its third field on, as far as it is given. */
  readonly header?: Readonly<Record<number, string>>;
}

/** The text of a message as a hospital's system writes it. */
export function adt(of: SaidAdt): string {
  const header: Record<number, string> = {
    ...{
      3: "HIS",
      4: "HOSP",
      5: "VIGIL",
      6: "W3",
      7: of.at ?? "20260101080000",
      9: `ADT^${of.event}`,
      10: of.control ?? "M1",
      11: "P",
      12: "2.5.1",
    },
    ...of.header,
  };
  const last = Math.max(...Object.keys(header).map(Number));
  const fields = Array.from({ length: last - 2 }, (_, index) => header[index + 3] ?? "");
  const pv1 = Array.from({ length: 46 }, () => "");
  pv1[0] = "PV1";
  pv1[2] = "I";
  pv1[3] = of.place ?? "";
  pv1[19] = of.visit ?? "";
  pv1[45] = of.discharged ?? "";
  return [
    `MSH|^~\\&|${fields.join("|")}`,
    `EVN|${of.event}|${of.at ?? ""}`,
    `PID|1||${of.patient}^^^HIS^MR||${of.name ?? ""}||${of.born ?? ""}`,
    ...(of.former === undefined ? [] : [`MRG|${of.former}^^^HIS^MR`]),
    pv1.join("|").replace(/\|+$/, ""),
    "",
  ].join("\r");
}

/** Three beds of ward 3E and one of the intensive care unit, where rooms do not matter. */
const BEDS = [
  { location: "3E^301^1", bed: "bed-1" },
  { location: "3E^301^2", bed: "bed-2" },
  { location: "3E^302^1", bed: "bed-3" },
  { location: "ICU^^7^HOSP", bed: "icu-7" },
];

/** Settings as the configuration's defaults have them, for these beds. */
export const OPTIONS: AdmissionsOptions = {
  mllp: { host: "127.0.0.1", port: 0, allowFrom: ["127.0.0.1"] },
  patientNumber: { authority: "HIS" },
  label: "initials",
  beds: BEDS,
  characterSet: "utf-8",
  believeDeclaredCharacterSet: true,
  admitOnUpdate: false,
  silenceMinutesMax: null,
  gatewayId: "ward-3",
};

/** Admissions with the real door, server and sender; only the disk is simulated, where no journal is given. */
export interface AdmissionsWard {
  readonly admissions: Admissions;
  readonly door: Door;
  /** Troubles that are open, by their slot. */
  readonly faults: ReadonlyMap<string, Fault>;
  readonly connect: () => Promise<Hl7Sender>;
  /** Sends one message and returns its answer. */
  readonly say: (message: SaidAdt | string | Uint8Array) => Promise<string>;
  /** The answer's code and text: `AA admitted to bed-1`. */
  readonly hear: (message: SaidAdt | string | Uint8Array) => Promise<string>;
  /** Somebody does it on the page. */
  readonly byHand: (deed: Deed) => Promise<boolean>;
  /** Who lies where: bed to patient. */
  readonly beds: () => Readonly<Record<string, string>>;
  readonly labels: () => Readonly<Record<string, string>>;
  readonly acts: () => Promise<readonly Act[]>;
  readonly close: () => Promise<void>;
}

/** Starts it on a journal, as a gateway does. */
export async function startAdmissionsWard(
  more: {
    readonly options?: Partial<AdmissionsOptions>;
    readonly journal?: Journal;
    readonly clock?: Clock;
    /** The way back is cut: every answer is made and none is sent. */
    readonly answersNobody?: boolean;
  } = {},
): Promise<AdmissionsWard> {
  const clock = more.clock ?? createSystemClock();
  const journal: Journal = more.journal ?? createMemoryJournal();
  const faults = new Map<string, Fault>();
  const before = await actsIn(journal);
  let lastSeq: number = journal.leftOutAtOpen?.to ?? journal.lastSeqAtOpen;
  const door = createDoor({
    clock,
    journal,
    record: journal.append,
    nextSeq: () => seq(++lastSeq),
    plan: { bedIds: new Set(BEDS.map(({ bed }) => bed)), deviceIds: new Set(), adoptionProblem: () => null },
    acts: before,
    lastHash: before.findLast(({ hash }) => hash !== undefined)?.hash ?? FIRST_PREVIOUS_HASH,
    openAlerts: () => [],
    beforeAct: () => {},
    onAct: () => {},
  });
  const started = await startAdmissions(
    { ...OPTIONS, ...more.options },
    {
      clock,
      journal,
      perform: door.perform,
      stays: () => door.plant().patients,
      lastSeq: () => seq(lastSeq),
      setFault: (slot, fault) => void (fault === null ? faults.delete(slot) : faults.set(slot, fault)),
      serve: (spec, owner) => startMllpServer(spec, { clock, owner: more.answersNobody === true ? muted(owner) : owner }),
    },
  );
  assert(started.ok, "admissions start");
  const admissions = started.value;
  const senders: Hl7Sender[] = [];
  const connect = async () => {
    const opened = await openHl7Sender({ host: "127.0.0.1", port: admissions.port });
    assert(opened.ok, "the sender is let in");
    senders.push(opened.value);
    return opened.value;
  };
  const say: AdmissionsWard["say"] = async (message) => {
    const sender = senders.find((one) => !one.isClosed()) ?? (await connect());
    const known = sender.answers().length;
    await sender.send([messageBytes(message)]);
    const answer = await until("the message is answered", () => sender.answers()[known]);
    return new TextDecoder().decode(answer);
  };
  const inBeds = (value: (patient: { readonly patientId: string; readonly label: string }) => string) =>
    Object.fromEntries([...door.plant().patients.values()].map((patient) => [patient.bedId, value(patient)]));
  return {
    admissions,
    door,
    faults,
    connect,
    say,
    hear: async (message) => msaOf(await say(message)),
    byHand: async (deed) => (await door.perform(deed, { userId: "nurse", from: "page" })).ok,
    beds: () => inBeds(({ patientId: id }) => id),
    labels: () => inBeds(({ label }) => label),
    acts: () => actsIn(journal),
    close: async () => {
      await Promise.all(senders.map((sender) => sender.close()));
      await admissions.close();
    },
  };
}

function muted(owner: MllpOwner): MllpOwner {
  return {
    ...owner,
    message: async (arrival, stop) => {
      await owner.message(arrival, stop);
      return [];
    },
  };
}

/** Code and text of an answer. */
export function msaOf(answer: string): string {
  const [, code = "", , text = ""] = (/(?:^|\r)(MSA\|[^\r]*)/.exec(answer)?.[1] ?? "").split("|");
  return `${code} ${text}`.trim();
}

/** The bytes of a message, in UTF-8 where they are not given. */
export function messageBytes(message: SaidAdt | string | Uint8Array): Uint8Array {
  if (message instanceof Uint8Array) return message;
  return new TextEncoder().encode(typeof message === "string" ? message : adt(message));
}

/** A person's own admission. */
export function admitByHand(patient: string, bed: string, label = "Z.W."): Deed {
  const profile = { kind: "adult", spo2Scale: 1 } as const;
  return { kind: "admit", patientId: patientId(patient), bedId: bedId(bed), label, profile, demonstration: false };
}

async function actsIn(journal: Journal): Promise<readonly Act[]> {
  const page = await journal.read({ afterSeq: seq(0), limit: 1000, kinds: ["act"] });
  return page.filter((record) => record.kind === "act");
}
