import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import type { Delivery } from "../../src/core/ports.ts";

/** Lines are gathered up to so many characters before they are written. */
const GATHERED_MAX = 1_000_000;
/** Of so many observations one line says a hash of its content; of all other kinds each. Hashing all of them would take longer than the run. */
const HASHED_EVERY = 20;

/** A receiver's record file as the demonstration's receiver writes it, for `vigil verify --upstream`. */
export interface RecordFile {
  readonly arrived: (delivery: Delivery, isFirst: boolean) => void;
  readonly close: () => void;
}

/** Begins a record file. @param wallNow  When something is received, in ms. */
export function openRecordFile(path: string, wallNow: () => number): RecordFile {
  const file = openSync(path, "w");
  let gathered: string[] = [];
  let length = 0;
  const write = () => {
    if (gathered.length > 0) writeSync(file, gathered.join(""));
    gathered = [];
    length = 0;
  };
  return {
    arrived: ({ key, record, resent, durable }, isFirst) => {
      const { kind, seq } = record;
      const hashed = kind !== "observation" || seq % HASHED_EVERY === 0;
      const content = hashed ? createHash("sha256").update(canonicalJson(record)).digest("hex") : null;
      const again = isFirst ? {} : { again: true };
      const line = `${JSON.stringify({ key, kind, seq, resent, receivedAtMs: wallNow(), madeAtMs: null, durable, content, ...again })}\n`;
      gathered.push(line);
      length += line.length;
      if (length > GATHERED_MAX) write();
    },
    close: () => {
      write();
      closeSync(file);
    },
  };
}
