import { afterEach, describe, expect, test } from "vitest";
import { type Hl7Sender, openHl7Sender } from "../simulator/links/hl7-sender.ts";
import { type Admissions, startAdmissions } from "../src/admissions/admissions.ts";
import { ALERT_DEFAULTS } from "../src/alerts/life-cycle.ts";
import { deviceId, patientId } from "../src/core/ids.ts";
import { assert } from "../src/core/result.ts";
import { startMllpServer } from "../src/transports/mllp.ts";
import { messageBytes, msaOf, OPTIONS, type SaidAdt } from "./support/admissions-ward.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";
import { until } from "./support/until.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface AdmittedWard {
  readonly ward: SmallWard;
  readonly admissions: Admissions;
  readonly hear: (said: SaidAdt) => Promise<string>;
}

/** An alert whose condition is over ends so long after it, and with the next tick. */
const HOLD_MS = ALERT_DEFAULTS.endHoldSeconds * 1000 + 1000;

/** A whole gateway of two beds, and the hospital's system connected to it. */
async function start(ward: SmallWard): Promise<AdmittedWard> {
  closing.push(() => ward.gateway.stop());
  const { clock, journal, gateway } = ward;
  const beds = [
    { location: "3E^301^1", bed: "bed-1" },
    { location: "3E^301^2", bed: "bed-2" },
  ];
  const { perform, patients: stays, lastSeq, setFault } = gateway;
  const started = await startAdmissions(
    { ...OPTIONS, beds },
    { clock, journal, perform, stays, lastSeq, setFault, serve: (spec, owner) => startMllpServer(spec, { clock, owner }) },
  );
  assert(started.ok, "admissions start");
  const admissions = started.value;
  closing.push(admissions.close);
  const opened = await openHl7Sender({ host: "127.0.0.1", port: admissions.port });
  assert(opened.ok, "the sender is let in");
  const sender: Hl7Sender = opened.value;
  closing.push(sender.close);
  const hear = async (said: SaidAdt) => {
    const known = sender.answers().length;
    await sender.send([messageBytes(said)]);
    const answer = await until("the message is answered", () => sender.answers()[known]);
    return msaOf(new TextDecoder().decode(answer));
  };
  return { ward, admissions, hear };
}

const ADMIT: SaidAdt = { event: "A01", patient: "P7", place: "3E^301^1", name: "ZHANG^WEI", control: "M1" };

describe("admissions in a gateway", () => {
  test("a patient whom the hospital admits is watched, and alarms for", async () => {
    const { ward, hear } = await start(await startSmallWard());
    expect(await hear(ADMIT)).toBe("AA admitted to bed-1");
    expect(ward.gateway.source.picture().beds[0]?.patient).toMatchObject({
      patientId: "P7",
      label: "Z.W.",
      demonstration: false,
    });
    await ward.act({ kind: "assign", deviceId: deviceId("monitor-1"), patientId: patientId("P7") });
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 60, { heartRate: 80, oxygenSaturation: 70 });
    expect(
      ward.said.some(({ rule, subject }) => rule.startsWith("limit.oxygenSaturation.low") && subject.patientId === "P7"),
    ).toBe(true);
  });

  test("a bed that is not configured is a technical alert without the patient, and is over when somebody has seen it", async () => {
    const { ward, hear } = await start(await startSmallWard());
    expect(await hear({ ...ADMIT, place: "3E^309^1" })).toMatch(/^AE/);
    const alert = ward.said.find(({ rule }) => rule === "fault.admissions-unknown-bed");
    assert(alert !== undefined, "it is told");
    expect(alert).toMatchObject({ nature: "technical", priority: "medium", subject: { patientId: null, part: "admissions" } });
    expect(JSON.stringify(alert)).not.toMatch(/P7|ZHANG/);
    await ward.act({ kind: "acknowledge", alertId: alert.id });
    await ward.clock.advance(HOLD_MS);
    expect(ward.gateway.openAlerts().filter(({ rule }) => rule.includes("admissions"))).toEqual([]);
    // The same message once more tells nothing new, another one does.
    expect(await hear({ ...ADMIT, place: "3E^309^1" })).toMatch(/^AE/);
    expect(ward.gateway.openAlerts().filter(({ rule }) => rule.includes("admissions"))).toEqual([]);
    await hear({ ...ADMIT, place: "3E^309^1", control: "M2" });
    expect(ward.gateway.openAlerts().filter(({ rule }) => rule.includes("admissions"))).toHaveLength(1);
  });

  test("after a restart a refusal stays until somebody has seen it", async () => {
    const before = await start(await startSmallWard());
    await before.hear({ ...ADMIT, place: "3E^309^1" });
    await before.admissions.close();
    const { ward } = await start(await before.ward.crash());
    await ward.clock.advance(2 * ALERT_DEFAULTS.rebuiltWindowSeconds * 1000);
    const open = () => ward.gateway.openAlerts().filter(({ rule }) => rule === "fault.admissions-unknown-bed");
    const [alert] = open();
    assert(alert !== undefined, "it is still open");
    await ward.act({ kind: "acknowledge", alertId: alert.id });
    await ward.clock.advance(HOLD_MS);
    expect(open()).toEqual([]);
  });

  test("a bed in which another lies is a technical alert at that bed until the refused patient is there", async () => {
    const { ward, hear } = await start(await startSmallWard());
    await hear(ADMIT);
    expect(await hear({ ...ADMIT, patient: "P8", control: "M2" })).toMatch(/^AE/);
    const open = () => ward.gateway.openAlerts().filter(({ rule }) => rule === "fault.admissions-refused");
    expect(open().map(({ subject }) => subject.bedId)).toEqual(["bed-1"]);
    await hear({ event: "A03", patient: "P7", place: "3E^301^1", control: "M3" });
    await ward.clock.advance(HOLD_MS);
    expect(open()).toHaveLength(1);
    await hear({ ...ADMIT, patient: "P8", control: "M4" });
    await ward.clock.advance(HOLD_MS);
    expect(open()).toEqual([]);
  });
});
