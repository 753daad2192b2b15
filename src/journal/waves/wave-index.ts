import { factsOf, walkFrames } from "./wave-frame.ts";

/** A stretch of a file, from one byte up to another. */
export interface BytePlace {
  readonly at: number;
  readonly end: number;
}

/** A batch of frames that came together, and the numbers they came with. */
interface IndexedBatch extends BytePlace {
  readonly fromSeq: number;
  readonly toSeq: number;
}

/**
 * Where each patient's and each device's frames lie in one file of the ring, noted while it is written. A strip then reads its own frames
 * and not the whole ward's: at 200 beds one in four hundred. Memory only; a file of a former life has none and is read whole.
 */
export class WaveIndex {
  readonly #byPatient = new Map<string, BytePlace[]>();
  readonly #byDevice = new Map<string, BytePlace[]>();
  readonly #batches: IndexedBatch[] = [];
  #count = 0;

  /** How many frames it knows. */
  get count(): number {
    return this.#count;
  }

  /** Notes a batch of whole frames, as they were encoded, that now lies at a place of the file. */
  add(bytes: Buffer, batch: { readonly atByte: number; readonly fromSeq: number; readonly toSeq: number }): void {
    const { atByte, fromSeq, toSeq } = batch;
    this.#batches.push({ at: atByte, end: atByte + bytes.length, fromSeq, toSeq });
    for (const { at, end, content } of walkFrames(bytes)) {
      const { deviceId, patientId } = factsOf(content);
      const place = { at: atByte + at, end: atByte + end };
      note(this.#byDevice, deviceId, place);
      if (patientId !== null) note(this.#byPatient, patientId, place);
      this.#count += 1;
    }
  }

  /** The frames of a patient, or where that is null of a device, in the order they came. */
  placesOf(whose: { readonly patientId: string | null; readonly deviceId: string | null }): readonly BytePlace[] {
    const { patientId, deviceId } = whose;
    return (patientId === null ? this.#byDevice.get(deviceId ?? "") : this.#byPatient.get(patientId)) ?? [];
  }

  /** Where the last frame that came before a number and the first that came after it lie, as far as they are in this file. */
  placeAround(seq: number): BytePlace | null {
    const before = this.#batches.findLast((batch) => batch.fromSeq < seq);
    const after = this.#batches.find((batch) => batch.toSeq >= seq);
    const first = before ?? after;
    const last = after ?? before;
    return first === undefined || last === undefined ? null : { at: first.at, end: last.end };
  }
}

/** Frames that follow each other become one place, up to a length that is read at once. */
const PLACE_BYTES_MAX = 65_536;

function note(places: Map<string, BytePlace[]>, name: string, place: BytePlace): void {
  const known = places.get(name);
  if (known === undefined) {
    places.set(name, [place]);
    return;
  }
  const last = known.at(-1);
  if (last?.end === place.at && place.end - last.at <= PLACE_BYTES_MAX) known[known.length - 1] = { at: last.at, end: place.end };
  else known.push(place);
}
