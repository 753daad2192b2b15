import type { Alert } from "../core/alert.ts";
import { LIMITS } from "../core/limits.ts";
import type { Delivery } from "../core/ports.ts";
import { QUANTITIES, type QuantityName } from "../core/quantities.ts";
import type { JournalRecord } from "../core/record.ts";
import type { AlertWords, BatchMessage, QuantityCodes, RecordMessage, UpstreamTopics } from "../core/upstream.ts";

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
}

/**
 * Turns a batch into publishes: alerts, acts and losses one each and in order; observations, predictions and events together by kind,
 * each kind in order, at most `upstreamBatchRecordsMax` a publish. Receipts stay inside; they came from where this goes.
 */
export function toMessages(batch: readonly Delivery[], parts: PayloadParts): readonly OutgoingMessage[] {
  const messages: OutgoingMessage[] = [];
  const runs = new Map<string, Delivery[]>();
  for (const delivery of batch) {
    const kind = delivery.record.kind;
    switch (kind) {
      case "observation":
      case "prediction":
      case "event": {
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
        messages.push(recordMessage(delivery, kind, parts));
        break;
      case "receipt":
        break;
    }
  }
  for (const run of runs.values()) {
    const kind = run[0]?.record.kind;
    if (kind === "observation" || kind === "prediction" || kind === "event") messages.push(batchMessage(run, kind, parts.topics));
  }
  return messages;
}

function recordMessage(delivery: Delivery, kind: RecordMessage["kind"], parts: PayloadParts): OutgoingMessage {
  const { key, record, resent, durable } = delivery;
  const alert = record.kind === "alert" ? record : null;
  const quantity = alert === null ? null : alertQuantity(alert);
  const message: RecordMessage = {
    format: "vigil.record/1",
    key,
    kind,
    resent,
    durable,
    record,
    codes: quantity === null ? null : codesOf(quantity),
    text: alert === null ? null : parts.textOf(alert),
    receipts: parts.topics.receipts,
  };
  const topic = { alert: parts.topics.alerts, act: parts.topics.acts, loss: parts.topics.losses }[kind];
  return { topic, payload: JSON.stringify(message), urgent: alert !== null && !resent, resent, kind, keys: [key] };
}

function batchMessage(run: readonly Delivery[], kind: BatchMessage["kind"], topics: UpstreamTopics): OutgoingMessage {
  const resent = run.some((delivery) => delivery.resent);
  const message: BatchMessage = {
    format: "vigil.batch/1",
    kind,
    resent,
    records: run.map(({ key, record }) => ({
      key,
      record,
      codes: record.kind === "observation" ? codesOf(record.quantity) : null,
    })),
  };
  const topic = { observation: topics.observations, prediction: topics.predictions, event: topics.events }[kind];
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
    case "device-alarm":
    case "fault":
      return null;
  }
}
