import { ByteReader, ByteWriter, DamagedBytesError } from "./block-bytes.ts";
import type { ObservationContext, ObservationNumbers } from "./packing.ts";

/** Width of one cell in time. 15 s at one value a second cost 1 to 2 bytes an observation and make a day 5,760 cells. */
export const ROLLUP_CELL_MS = 15_000;
/** Far outside any calendar; stranger times share the outermost cell, their own times stay exact. */
const CELL_INDEX_MAX = 2 ** 31;
/** 15 s at 2,000 observations a second. */
const GATHERED_OBSERVATIONS_MAX = 30_000;
const FORMAT = 1;

/** One extreme of a cell: the value, when, and whether it was questionable. */
export interface Extreme {
  readonly value: number;
  readonly atMs: number;
  readonly questionable: boolean;
}

/** What one device said of one patient and quantity within 15 s of measured time. Invalid values count as absent. */
export interface RollupCell {
  /** The first stored context with this device, patient and quantity. */
  readonly seriesId: number;
  readonly cellIndex: number;
  lowest: Extreme | null;
  highest: Extreme | null;
  firstAbsentAtMs: number | null;
  /** The newest observation that is present and valid, by measured time. */
  newestValid: { readonly seq: number; readonly atMs: number } | null;
}

/** What a trend may show of an observation: its value, or null where it is absent or invalid. */
export function shownValue(context: ObservationContext, value: number | null): number | null {
  return context.validity === "invalid" ? null : value;
}

/** Gathers observations into cells until they are stored. Holds what came since the last storing, at most some 15 s. */
export class RollupGatherer {
  #cells = new Map<number, RollupCell>();
  #fromSeq: number | null = null;
  #toSeq = 0;
  #minAtMs = Number.POSITIVE_INFINITY;
  #maxAtMs = Number.NEGATIVE_INFINITY;
  #observationCount = 0;

  /** Whether so much was gathered that it should be stored before its time, which bounds memory and the time to open after a crash. */
  isFull(): boolean {
    return this.#observationCount >= GATHERED_OBSERVATIONS_MAX;
  }

  add(seriesId: number, context: ObservationContext, numbers: ObservationNumbers): void {
    this.#observationCount += 1;
    this.#fromSeq ??= numbers.seq;
    this.#toSeq = numbers.seq;
    this.#minAtMs = Math.min(this.#minAtMs, numbers.measuredAtMs);
    this.#maxAtMs = Math.max(this.#maxAtMs, numbers.measuredAtMs);
    const cell = this.#cell(seriesId, numbers.measuredAtMs);
    const value = shownValue(context, numbers.value);
    const atMs = numbers.measuredAtMs;
    if (value === null) {
      cell.firstAbsentAtMs = Math.min(cell.firstAbsentAtMs ?? atMs, atMs);
      return;
    }
    const extreme = { value, atMs, questionable: context.validity === "questionable" };
    if (cell.lowest === null || value < cell.lowest.value) cell.lowest = extreme;
    if (cell.highest === null || value > cell.highest.value) cell.highest = extreme;
    // What a device kept and sent later is never its newest word.
    if (context.validity !== "valid" || context.flags.includes("late")) return;
    if (cell.newestValid === null || atMs >= cell.newestValid.atMs) cell.newestValid = { seq: numbers.seq, atMs };
  }

  #cell(seriesId: number, atMs: number): RollupCell {
    const index = Math.max(-CELL_INDEX_MAX, Math.min(CELL_INDEX_MAX - 1, Math.floor(atMs / ROLLUP_CELL_MS)));
    const cellIndex = Number.isNaN(index) ? 0 : index;
    const key = seriesId * CELL_INDEX_MAX * 2 + cellIndex + CELL_INDEX_MAX;
    const known = this.#cells.get(key);
    if (known !== undefined) return known;
    const cell = { seriesId, cellIndex, lowest: null, highest: null, firstAbsentAtMs: null, newestValid: null };
    this.#cells.set(key, cell);
    return cell;
  }

  /** The cells as one row, or null where nothing was gathered. */
  row(): Rollup | null {
    if (this.#fromSeq === null) return null;
    const cells = [...this.#cells.values()];
    return {
      fromSeq: this.#fromSeq,
      toSeq: this.#toSeq,
      minAtMs: this.#minAtMs,
      maxAtMs: this.#maxAtMs,
      data: encodeCells(cells, this.#toSeq),
    };
  }
}

/** One stored row: the cells of all observations from one number to another. */
export interface Rollup {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly minAtMs: number;
  readonly maxAtMs: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

function encodeCells(cells: readonly RollupCell[], toSeq: number): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  writer.varint(FORMAT);
  writer.varint(toSeq);
  writer.varint(cells.length);
  let before = 0;
  for (const cell of cells) {
    const startMs = cell.cellIndex * ROLLUP_CELL_MS;
    writer.varint(cell.seriesId);
    writer.signed(cell.cellIndex - before);
    before = cell.cellIndex;
    const same = cell.lowest === cell.highest;
    const has =
      (cell.lowest === null ? 0 : 1) +
      (same ? 2 : 0) +
      (cell.firstAbsentAtMs === null ? 0 : 4) +
      (cell.newestValid === null ? 0 : 8);
    writer.varint(has * 4 + (cell.lowest?.questionable === true ? 1 : 0) + (cell.highest?.questionable === true ? 2 : 0));
    for (const extreme of same ? [cell.lowest] : [cell.lowest, cell.highest]) {
      if (extreme === null) continue;
      writer.decimal(extreme.value);
      writer.near(extreme.atMs, startMs);
    }
    if (cell.firstAbsentAtMs !== null) writer.near(cell.firstAbsentAtMs, startMs);
    if (cell.newestValid !== null) {
      writer.varint(toSeq - cell.newestValid.seq);
      writer.near(cell.newestValid.atMs, startMs);
    }
  }
  return writer.finish();
}

/**
 * Reads the cells of one row back.
 *
 * @param wanted  Cells of other series are passed over quickly.
 * @throws DamagedBytesError  Where the bytes are not those that were written.
 */
export function visitCells(
  data: Uint8Array,
  toSeq: number,
  wanted: ReadonlySet<number>,
  visit: (cell: Readonly<RollupCell>) => void,
): void {
  const reader = new ByteReader(data);
  if (reader.varint() !== FORMAT) throw new DamagedBytesError("the rollup's format is unknown");
  if (reader.varint() !== toSeq) throw new DamagedBytesError("the rollup lies under a foreign key");
  const count = reader.varint();
  let cellIndex = 0;
  for (let index = 0; index < count; index++) {
    const seriesId = reader.varint();
    cellIndex += reader.signed();
    const cell = readCell(reader, seriesId, cellIndex, toSeq);
    if (wanted.has(seriesId)) visit(cell);
  }
  reader.end();
}

function readCell(reader: ByteReader, seriesId: number, cellIndex: number, toSeq: number): RollupCell {
  const startMs = cellIndex * ROLLUP_CELL_MS;
  const head = reader.varint();
  const extreme = (questionable: boolean): Extreme => ({ value: reader.decimal(), atMs: reader.near(startMs), questionable });
  const lowest = (head & 4) === 4 ? extreme((head & 1) === 1) : null;
  const highest = (head & 8) === 8 ? lowest : extreme((head & 2) === 2);
  const firstAbsentAtMs = (head & 16) === 16 ? reader.near(startMs) : null;
  const newestValid = (head & 32) === 32 ? { seq: toSeq - reader.varint(), atMs: reader.near(startMs) } : null;
  return { seriesId, cellIndex, lowest, highest, firstAbsentAtMs, newestValid };
}
