import { isUtf8 } from "node:buffer";

/** A PUBLISH as a client sent it. */
export interface PublishPacket {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  /** Null with QoS 0. */
  readonly messageId: number | null;
}

/**
 * Reads a PUBLISH.
 *
 * @param body  What comes after the fixed header; of a packet over its bound only the beginning, then the payload is cut.
 * @returns     Null where the bytes are none. MQTT 3.1.1, 3.3.
 */
export function readPublish(flags: number, body: Buffer): PublishPacket | null {
  const qos = (flags >> 1) & 3;
  if (qos === 3 || body.length < 2) return null;
  const topicEnd = 2 + body.readUInt16BE(0);
  const payloadAt = qos === 0 ? topicEnd : topicEnd + 2;
  if (body.length < payloadAt) return null;
  const topic = body.subarray(2, topicEnd);
  if (!isUtf8(topic)) return null;
  const messageId = qos === 0 ? null : body.readUInt16BE(topicEnd);
  if (messageId === 0) return null;
  return {
    topic: topic.toString("utf8"),
    payload: body.subarray(payloadAt),
    qos: qos === 0 ? 0 : qos === 1 ? 1 : 2,
    retain: (flags & 1) === 1,
    dup: (flags & 8) === 8,
    messageId,
  };
}
