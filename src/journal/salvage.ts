import { BLOCK_KIND_BITS, type Block, isBlockKind, visitBlock } from "./block.ts";
import { DamagedBytesError } from "./block-bytes.ts";
import { checkSum, closeWhole, inTransaction, type OpenDatabase, openForWriting } from "./database.ts";
import { type DatabaseImage, readImage } from "./database-image.ts";
import type { NumberSpan } from "./number-spans.ts";
import type { ObservationContext, ObservationNumbers } from "./packing.ts";
import { replaceDamaged } from "./replace-file.ts";
import { ROLLUP_CELL_MS, RollupGatherer } from "./rollup.ts";
import { parseContext, SEGMENT_SCHEMA, seriesKey } from "./segment-file.ts";
import { rowsOf } from "./table-rows.ts";

/** A block whose bytes are those that were written, with what its columns said, found anew from these bytes. */
interface SoundBlock extends Omit<Block, "data"> {
  readonly data: Buffer;
  readonly observations: readonly (readonly [contextId: number, numbers: ObservationNumbers])[];
}

interface StoredContext {
  readonly id: number;
  readonly json: string;
  readonly context: ObservationContext;
}

/** What could be saved of a damaged segment. */
export interface Salvaged {
  /** The damaged file under its second name. */
  readonly aside: string;
  /** The numbers from the first to the last of each block that was saved. */
  readonly spans: readonly NumberSpan[];
  readonly recordCount: number;
}

/**
 * Keeps a damaged segment aside and puts a new file in its place with every block that can still be made out and whose check sum is right.
 *
 * @throws  The disk's error; the damaged file then lies where it was.
 */
export function salvageSegment(path: string): Salvaged {
  const image = readImage(path);
  const contexts = soundContexts(image);
  let saved: Omit<Salvaged, "aside"> = { spans: [], recordCount: 0 };
  const make = (newPath: string) => {
    const database = openForWriting(newPath, SEGMENT_SCHEMA);
    try {
      inTransaction(database, () => {
        storeContexts(database, contexts);
        saved = storeBlocks(database, soundRows(image), contexts);
      });
    } finally {
      closeWhole(database);
    }
  };
  const aside = replaceDamaged(path, make, image.unread);
  return { aside, ...saved };
}

function soundContexts(image: DatabaseImage): ReadonlyMap<number, StoredContext> {
  const contexts = new Map<number, StoredContext>();
  for (const { key: id, cells } of rowsOf(image)) {
    const [idCell, crc, json] = cells;
    if (cells.length !== 3 || idCell !== null || typeof json !== "string" || checkSum(json, id) !== crc) continue;
    const context = parseContext(json);
    if (context !== null) contexts.set(id, { id, json, context });
  }
  return new Map([...contexts].sort(([one], [other]) => one - other));
}

/** The blocks' bytes by their first number, in rising order. */
function soundRows(image: DatabaseImage): ReadonlyMap<number, Buffer> {
  const rows = new Map<number, Buffer>();
  for (const { key: firstSeq, cells } of rowsOf(image)) {
    const [crc, data] = cells.slice(-2);
    if (cells.length === 8 && Buffer.isBuffer(data) && checkSum(data, firstSeq) === crc) rows.set(firstSeq, data);
  }
  return new Map([...rows].sort(([one], [other]) => one - other));
}

/** The block, or null where its bytes are not a block's or one of its contexts is gone. */
function readBlock(firstSeq: number, data: Buffer, contexts: ReadonlyMap<number, StoredContext>): SoundBlock | null {
  const observations: [number, ObservationNumbers][] = [];
  let [lastSeq, kinds, recordCount] = [firstSeq, 0, 0];
  let [minAtMs, maxAtMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  try {
    visitBlock(data, firstSeq, {
      observation: (contextId, numbers) => {
        if (!contexts.has(contextId)) throw new DamagedBytesError("an observation's context is missing");
        observations.push([contextId, numbers]);
        lastSeq = Math.max(lastSeq, numbers.seq);
        minAtMs = Math.min(minAtMs, numbers.measuredAtMs);
        maxAtMs = Math.max(maxAtMs, numbers.measuredAtMs);
      },
      rare: (record) => {
        if (isBlockKind(record.kind)) kinds |= BLOCK_KIND_BITS[record.kind];
        lastSeq = Math.max(lastSeq, record.seq);
        recordCount += 1;
      },
    });
  } catch (error) {
    if (!(error instanceof DamagedBytesError)) throw error;
    return null;
  }
  recordCount += observations.length;
  const holds = observations.length > 0;
  if (holds) kinds |= BLOCK_KIND_BITS.observation;
  const times = holds ? { minAtMs, maxAtMs } : { minAtMs: null, maxAtMs: null };
  return { firstSeq, lastSeq, recordCount, kinds, ...times, data, observations };
}

function storeContexts(database: OpenDatabase, contexts: ReadonlyMap<number, StoredContext>): void {
  const insert = database.prepare("INSERT INTO contexts (id, crc, json) VALUES (?, ?, ?)");
  for (const { id, json } of contexts.values()) insert.run(id, checkSum(json, id), json);
}

/** Stores the blocks, and the table of contents by time as the writer of a segment would have made it of them. */
function storeBlocks(
  database: OpenDatabase,
  rows: ReadonlyMap<number, Buffer>,
  contexts: ReadonlyMap<number, StoredContext>,
): Omit<Salvaged, "aside"> {
  const insert = database.prepare(
    "INSERT INTO blocks (first_seq, last_seq, record_count, kinds, min_at_ms, max_at_ms, crc, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
  );
  const contents = new ContentsWriter(database, contexts);
  const spans: NumberSpan[] = [];
  let savedCount = 0;
  for (const [firstSeq, data] of rows) {
    const block = readBlock(firstSeq, data, contexts);
    if (block === null || firstSeq <= (spans.at(-1)?.to ?? 0)) continue;
    const { lastSeq, recordCount, kinds, minAtMs, maxAtMs } = block;
    insert.run(firstSeq, lastSeq, recordCount, kinds, minAtMs, maxAtMs, checkSum(data, firstSeq), data);
    contents.add(block);
    spans.push({ from: firstSeq, to: lastSeq });
    savedCount += recordCount;
  }
  contents.end();
  return { spans, recordCount: savedCount };
}

/** Writes the rollups of blocks that come in order; none of them is cut by a rollup. */
class ContentsWriter {
  readonly #insert;
  readonly #contexts: ReadonlyMap<number, StoredContext>;
  readonly #seriesIds = new Map<string, number>();
  #gatherer = new RollupGatherer();
  #sinceMonotonicMs: number | null = null;

  constructor(database: OpenDatabase, contexts: ReadonlyMap<number, StoredContext>) {
    this.#contexts = contexts;
    for (const { id, context } of contexts.values()) {
      const key = seriesKey(context);
      if (!this.#seriesIds.has(key)) this.#seriesIds.set(key, id);
    }
    this.#insert = database.prepare(
      "INSERT INTO rollups (to_seq, from_seq, min_at_ms, max_at_ms, crc, data) VALUES (?, ?, ?, ?, ?, ?)",
    );
  }

  add(block: SoundBlock): void {
    const atMs = block.observations[0]?.[1].receivedMonotonicMs ?? this.#sinceMonotonicMs ?? 0;
    this.#sinceMonotonicMs ??= atMs;
    // Monotonic times begin anew with each life of the gateway.
    if (this.#gatherer.isFull() || Math.abs(atMs - this.#sinceMonotonicMs) >= ROLLUP_CELL_MS) {
      this.end();
      this.#sinceMonotonicMs = atMs;
    }
    for (const [contextId, numbers] of block.observations) {
      const stored = this.#contexts.get(contextId);
      if (stored === undefined) continue;
      this.#gatherer.add(this.#seriesIds.get(seriesKey(stored.context)) ?? contextId, stored.context, numbers);
    }
  }

  end(): void {
    const row = this.#gatherer.row();
    this.#gatherer = new RollupGatherer();
    if (row === null) return;
    this.#insert.run(row.toSeq, row.fromSeq, row.minAtMs, row.maxAtMs, checkSum(row.data, row.toSeq), row.data);
  }
}
