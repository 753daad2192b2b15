import type { Alert } from "../core/alert.ts";
import { LIMITS } from "../core/limits.ts";
import type { Delivery } from "../core/ports.ts";
import { QUANTITIES, type QuantityName } from "../core/quantities.ts";
import type { JournalRecord } from "../core/record.ts";
import {
  type AlertWords,
  BATCH_MESSAGE_KINDS,
  type BatchMessage,
  type PlaceOfBed,
  type QuantityCodes,
  type RecordMessage,
  type UpstreamTopics,
} from "../core/upstream.ts";

/** One publish on its way out, with the keys it carries. */
export interface OutgoingMessage {
  readonly topic: string;
  readonly payload: string;
  /** True for an alert that is not resent. */
  readonly urgent: boolean;
  readonly resent: boolean;
  readonly kind: JournalRecord["kind"];
  readonly keys: readonly string[];
}

/** What the payloads are made with. */
export interface PayloadParts {
  readonly topics: UpstreamTopics;
  readonly textOf: AlertWords;
  /** Left out: nobody says how beds are called. */
  readonly placeOf?: PlaceOfBed;
}

/**
 * Turns a batch into publishes: the kinds of `RECORD_MESSAGE_KINDS` one each and in order; those of `BATCH_MESSAGE_KINDS` together by
 * kind, each kind in order, at most `upstreamBatchRecordsMax` a publish. Receipts stay inside; they came from where this goes.
 */
export function toMessages(batch: readonly Delivery[], parts: PayloadParts): readonly OutgoingMessage[] {
  const messages: OutgoingMessage[] = [];
  const runs = new Map<string, Delivery[]>();
  for (const delivery of batch) {
    const kind = delivery.record.kind;
    switch (kind) {
      case "observation":
      case "prediction":
      case "event":
      case "tally": {
        const run = runs.get(`${kind} ${delivery.resent}`) ?? [];
        run.push(delivery);
        const full = run.length >= LIMITS.upstreamBatchRecordsMax.value;
        if (full) messages.push(batchMessage(run, kind, parts.topics));
        runs.set(`${kind} ${delivery.resent}`, full ? [] : run);
        break;
      }
      case "alert":
      case "act":
      case "loss":
      case "start":
      case "clock":
        messages.push(recordMessage(delivery, kind, parts));
        break;
      case "receipt":
        break;
    }
  }
  for (const run of runs.values()) {
    const kind = BATCH_MESSAGE_KINDS.find((one) => one === run[0]?.record.kind);
    if (kind !== undefined) messages.push(batchMessage(run, kind, parts.topics));
  }
  return messages;
}

function recordMessage(delivery: Delivery, kind: RecordMessage["kind"], parts: PayloadParts): OutgoingMessage {
  const { key, formerKey, record, resent, durable } = delivery;
  const { topics } = parts;
  const alert = record.kind === "alert" ? record : null;
  const quantity = alert === null ? null : alertQuantity(alert);
  const message: RecordMessage = {
    format: "vigil.record/1",
    key,
    ...(formerKey === undefined ? {} : { formerKey }),
    kind,
    resent,
    durable,
    record,
    codes: quantity === null ? null : codesOf(quantity),
    text: alert === null ? null : parts.textOf(alert),
    place: alert === null || alert.subject.bedId === null ? null : (parts.placeOf?.(alert.subject.bedId) ?? null),
    receipts: topics.receipts,
  };
  const { alerts, acts, losses, gateway } = topics;
  const topic = { alert: alerts, act: acts, loss: losses, start: gateway, clock: gateway }[kind];
  return { topic, payload: JSON.stringify(message), urgent: alert !== null && !resent, resent, kind, keys: [key] };
}

function batchMessage(run: readonly Delivery[], kind: BatchMessage["kind"], topics: UpstreamTopics): OutgoingMessage {
  const resent = run.some((delivery) => delivery.resent);
  const message: BatchMessage = {
    format: "vigil.batch/1",
    kind,
    resent,
    records: run.map(({ key, formerKey, record }) => ({
      key,
      ...(formerKey === undefined ? {} : { formerKey }),
      record,
      codes: record.kind === "observation" ? codesOf(record.quantity) : null,
    })),
  };
  const { observations, predictions, events, tallies } = topics;
  const topic = { observation: observations, prediction: predictions, event: events, tally: tallies }[kind];
  const keys = run.map((delivery) => delivery.key);
  return { topic, payload: JSON.stringify(message), urgent: false, resent, kind, keys };
}

function codesOf(quantity: QuantityName): QuantityCodes {
  const { mdc, loinc, unit } = QUANTITIES[quantity];
  return { mdc, loinc, unit };
}

function alertQuantity(alert: Alert): QuantityName | null {
  switch (alert.evidence.kind) {
    case "limit":
    case "quantity-missing":
    case "stuck":
      return alert.evidence.quantity;
    case "score":
    case "score-partial":
    case "device-silent":
    case "unassigned":
    case "not-measured":
    case "still-on-patient":
    case "device-alarm":
    case "fault":
      return null;
  }
}
