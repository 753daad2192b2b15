import { expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { emptyBook } from "../src/alerts/life-cycle.ts";
import type { Alert, Condition } from "../src/core/alert.ts";
import { fault } from "../src/core/errors.ts";
import { bedId, patientId, seq } from "../src/core/ids.ts";
import type { JournalRecord } from "../src/core/record.ts";
import { type AlertDesk, createAlertDesk } from "../src/gateway/alert-desk.ts";
import { WaitingRecords } from "../src/journal/waiting-records.ts";
import { observationOf } from "./support/journal-records.ts";

const falling = (patient: string): Condition => ({
  key: `limit.oxygenSaturation.low/${patient}`,
  rule: "limit.oxygenSaturation.low",
  nature: "physiological",
  priority: "high",
  subject: { patientId: patientId(patient), bedId: bedId("bed-1"), deviceId: null, part: null },
  origin: "measured",
  evidence: {
    kind: "limit",
    quantity: "oxygenSaturation",
    side: "low",
    value: 80,
    limit: 85,
    sinceMs: 0 as never,
    observationSeq: seq(1),
  },
});

test("alerts of one moment stay in order while the full queue tells of its own loss, and none is missing", async () => {
  const clock = createSimulatedClock();
  const waiting = new WaitingRecords({ recordsMax: 5, keptMax: 100, afterSeq: 0 });
  let lastSeq = 5;
  const nextSeq = () => seq(++lastSeq);
  for (let number = 1; number <= 5; number++) waiting.push([observationOf({ seq: number })]);
  const said: Alert[] = [];
  let toldLoss = false;
  // As the journal does: what is dropped is told within `append`, and becomes a record and a technical alert.
  const record = (records: readonly JournalRecord[]) => {
    const dropped = waiting.push(records);
    if (dropped === null || toldLoss || said.length < 3) return;
    toldLoss = true;
    const { fromSeq, toSeq } = dropped;
    record([
      {
        kind: "loss",
        seq: nextSeq(),
        atMs: clock.wall(),
        ...dropped,
        fromSeq: seq(fromSeq),
        toSeq: seq(toSeq),
      },
    ]);
    desk.setFault("queue", fault("queue-full", { fromSeq, toSeq, count: dropped.count }));
  };
  const desk: AlertDesk = createAlertDesk({
    clock,
    epoch: "11111111",
    nextSeq,
    book: emptyBook(),
    publish: (alerts) => {
      said.push(...alerts);
      record(alerts);
    },
  });
  desk.settle([{ kind: "raised", condition: falling("anna") }]);
  desk.settle([{ kind: "raised", condition: falling("berta") }]);
  desk.settle([
    { kind: "ended", key: falling("anna").key },
    { kind: "ended", key: falling("berta").key },
  ]);
  await clock.advance(6000);
  // Both end in the same second.
  desk.tick();
  expect(toldLoss).toBe(true);
  expect(said.map(({ rule, phase }) => `${rule} ${phase}`)).toEqual([
    "limit.oxygenSaturation.low start",
    "limit.oxygenSaturation.low start",
    "limit.oxygenSaturation.low end",
    "limit.oxygenSaturation.low end",
    "fault.queue-full start",
  ]);
  expect(waiting.take(100).filter((each) => each.kind === "alert").length).toBe(5);
});
