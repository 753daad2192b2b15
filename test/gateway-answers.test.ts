import { expect, test } from "vitest";
import { seq } from "../src/core/ids.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

const LOW = "limit.oxygenSaturation.low";

async function wardWithAlert(): Promise<SmallWard> {
  const ward = await startSmallWard();
  ward.link("monitor-1").up();
  await ward.admit(1);
  await low(ward, 30, 88);
  return ward;
}
const low = (ward: SmallWard, seconds: number, oxygenSaturation: number) =>
  ward.stream("monitor-1", seconds, { heartRate: 80, respiratoryRate: 16, oxygenSaturation });
const alertOf = (ward: SmallWard) => ward.gateway.openAlerts().find(({ rule }) => rule === LOW);
const keyOf = (ward: SmallWard, number: number | undefined) => `test/${ward.journal.epoch}/${number}`;

test("an acceptance of any of an alert's records is the acknowledgement of whoever is named, as an act through the one door", async () => {
  const ward = await wardWithAlert();
  const first = ward.said.find(({ rule }) => rule === LOW);
  expect(alertOf(ward)?.state).toBe("active");
  const accepted = ward.gateway.accepted({ key: keyOf(ward, first?.seq), by: "dr-wang" });
  await low(ward, 2, 88);
  expect(await accepted).toBe(true);
  expect(alertOf(ward)).toMatchObject({ state: "acknowledged", acknowledgedBy: "dr-wang" });
  const acts = await ward.journal.read({ afterSeq: seq(0), limit: 1000, kinds: ["act"] });
  expect(acts.at(-1)).toMatchObject({ by: "dr-wang", from: "upstream", deed: { kind: "acknowledge" } });
  // Once more, and by somebody else: it is acknowledged already.
  expect(await ward.gateway.accepted({ key: keyOf(ward, first?.seq), by: "dr-li" })).toBe(false);
});

test("an acceptance of the alert as it was before it grew worse answers nothing: whoever gave it has not seen that", async () => {
  const ward = await wardWithAlert();
  const before = alertOf(ward);
  await low(ward, 30, 78);
  const now = alertOf(ward);
  expect(now?.raisedCount).toBeGreaterThan(before?.raisedCount ?? 9);
  expect(await ward.gateway.accepted({ key: keyOf(ward, before?.seq), by: "dr-wang" })).toBe(false);
  expect(alertOf(ward)?.state).toBe("active");
});

test("of what is no alert, over, or nothing at all, nothing comes", async () => {
  const ward = await wardWithAlert();
  const number = alertOf(ward)?.seq;
  for (const key of [keyOf(ward, 1), keyOf(ward, 99_999), "nonsense", "a/b/x", "a/b/-1", "a/b/1.5", ""])
    expect(await ward.gateway.accepted({ key, by: "x" }), key).toBe(false);
  await low(ward, 60, 98);
  expect(alertOf(ward)).toBeUndefined();
  expect(await ward.gateway.accepted({ key: keyOf(ward, number), by: "x" })).toBe(false);
});
