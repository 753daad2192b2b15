import { join } from "node:path";
import { readableFacts, readableNumbers, readPlaces } from "./wave-file.ts";
import { type FrameFacts, stretchesOf } from "./wave-frame.ts";
import type { BytePlace, WaveIndex } from "./wave-index.ts";
import type { WaveSettings } from "./wave-settings.ts";

/** When an alert was, and whose waves belong to it. */
export interface AlertMoment {
  readonly seq: number;
  /** By the wall clock of that moment. */
  readonly atMs: number;
  readonly patientId: string | null;
  /** Decides where the alert is about no patient. */
  readonly deviceId: string | null;
}

/** A file of the ring and the lowest number its chunks came with, oldest file first. */
export interface FileSpan {
  readonly file: string;
  readonly fromSeq: number;
  /** Where its frames lie, or null: then it is read whole. */
  readonly index: WaveIndex | null;
}

interface Search {
  readonly settings: Pick<WaveSettings, "stripBeforeMs" | "stripAfterMs">;
  readonly folder: string;
  readonly files: readonly FileSpan[];
  readonly turn: () => Promise<void>;
}

interface FoundFrame {
  readonly facts: FrameFacts;
  readonly bytes: Buffer;
}

/** Enough of a file for its first frame in all but strange cases; where it is not, the file is read. */
const BEGINNING: readonly BytePlace[] = [{ at: 0, end: 16_384 }];
const WHOLE: readonly BytePlace[] = [{ at: 0, end: Number.POSITIVE_INFINITY }];

/**
 * The whole frames around an alert. Time before and after is counted on the monotonic clock of the life in which the alert was made, found
 * by the chunks that came right before and after it in number; so a wall clock that was set in that minute moves nothing. Chunks of another
 * life, where the gateway was restarted in that minute, are taken by wall time.
 *
 * @returns  The frames in the order they came. Rejects with the disk's error.
 */
export async function framesAround(moment: AlertMoment, search: Search): Promise<readonly Buffer[]> {
  const place = Math.max(
    0,
    search.files.findLastIndex((span) => span.fromSeq < moment.seq),
  );
  // The alert lies in this file, or between it and the next.
  const anchor = anchorOf(moment, await neighboursOf(moment, search.files.slice(place, place + 2), search));
  if (anchor === null) return [];
  const { stripBeforeMs, stripAfterMs } = search.settings;
  const files = await filesBetween({ fromMs: -stripBeforeMs, toMs: stripAfterMs }, { moment, anchor, search, place });
  const name = Buffer.from(moment.patientId ?? moment.deviceId ?? "", "utf8");
  const places = ({ index }: FileSpan) => index?.placesOf(moment) ?? WHOLE;
  const found = await framesOf(files, { ...search, places }, (content) => {
    // Most frames are somebody else's; looking for the name costs a tenth of reading the facts.
    if (!content.includes(name)) return null;
    const facts = readableFacts(content);
    if (facts === null) return null;
    const isMine = moment.patientId === null ? facts.deviceId === moment.deviceId : facts.patientId === moment.patientId;
    const endMs = sinceAlertMs(facts, moment, anchor);
    return isMine && endMs > -stripBeforeMs && endMs - lengthMs(facts) < stripAfterMs ? facts : null;
  });
  return found.map((frame) => frame.bytes);
}

/** The files in which chunks of a time around the alert can lie: a file ends where the next begins. */
async function filesBetween(
  time: { readonly fromMs: number; readonly toMs: number },
  around: { readonly moment: AlertMoment; readonly anchor: Anchor; readonly search: Search; readonly place: number },
): Promise<readonly FileSpan[]> {
  const { moment, anchor, search, place } = around;
  const beginsMs = async (index: number): Promise<number | null> => {
    const span = search.files[index];
    const [first] = span === undefined ? [] : await framesOf([span], { ...search, places: () => BEGINNING }, readableFacts);
    return first === undefined ? null : sinceAlertMs(first.facts, moment, anchor);
  };
  let from = place;
  while (from > 0 && ((await beginsMs(from)) ?? Number.POSITIVE_INFINITY) > time.fromMs) from -= 1;
  let to = place;
  while (to + 1 < search.files.length && ((await beginsMs(to + 1)) ?? Number.NEGATIVE_INFINITY) <= time.toMs + CHUNK_MS_MAX)
    to += 1;
  return search.files.slice(from, to + 1);
}

/** A chunk that came after the strip's end may have begun before it; none is longer. */
const CHUNK_MS_MAX = 5000;

function sinceAlertMs(facts: FrameFacts, moment: AlertMoment, anchor: Anchor): number {
  // What a device kept and sent later belongs where it was measured.
  if (facts.late === true) return facts.measuredAtMs - moment.atMs;
  return facts.life === anchor.life ? facts.receivedMonotonicMs - anchor.monotonicMs : facts.receivedAtMs - moment.atMs;
}

function lengthMs(facts: FrameFacts): number {
  return facts.sampleRateHz > 0 ? (facts.sampleCount / facts.sampleRateHz) * 1000 : 0;
}

/** The alert's moment on the monotonic clock of its life. */
interface Anchor {
  readonly life: number;
  readonly monotonicMs: number;
}

/** The last frame that came before the alert and the first after it. */
interface Neighbours {
  readonly before: FrameFacts | null;
  readonly after: FrameFacts | null;
}

async function neighboursOf(moment: AlertMoment, spans: readonly FileSpan[], search: Search): Promise<Neighbours> {
  let before: Buffer | null = null;
  let after: Buffer | null = null;
  const places = ({ index }: FileSpan) => {
    const place = index?.placeAround(moment.seq);
    return index === null ? WHOLE : place ? [place] : [];
  };
  await framesOf(spans, { ...search, places }, (content) => {
    const seq = readableNumbers(content)?.seq;
    if (seq === undefined) return null;
    if (seq < moment.seq) before = content;
    else after ??= content;
    return null;
  });
  return { before: before === null ? null : readableFacts(before), after: after === null ? null : readableFacts(after) };
}

/** Between the last chunk before the alert and the first after it; in between the wall clock's difference is believed. */
function anchorOf(moment: AlertMoment, { before, after }: Neighbours): Anchor | null {
  const near = before ?? after;
  if (near === null) return null;
  const guessMs = near.receivedMonotonicMs + (moment.atMs - near.receivedAtMs);
  const earliestMs = before === null ? Number.NEGATIVE_INFINITY : before.receivedMonotonicMs;
  const latestMs = after !== null && after.life === near.life ? after.receivedMonotonicMs : Number.POSITIVE_INFINITY;
  return { life: near.life, monotonicMs: Math.min(Math.max(guessMs, earliestMs), latestMs) };
}

/** The frames for which `wanted` gives their facts, of those that lie at some places of each file. */
async function framesOf(
  spans: readonly FileSpan[],
  search: Pick<Search, "folder" | "turn"> & { readonly places: (span: FileSpan) => readonly BytePlace[] },
  wanted: (content: Buffer) => FrameFacts | null,
): Promise<FoundFrame[]> {
  const found: FoundFrame[] = [];
  let count = 0;
  for (const span of spans) {
    for (const bytes of (await readPlaces(join(search.folder, span.file), search.places(span))) ?? []) {
      for (const stretch of stretchesOf(bytes)) {
        count += 1;
        if (count % 64 === 0) await search.turn();
        const facts = stretch.kind === "frame" ? wanted(stretch.content) : null;
        if (facts !== null) found.push({ facts, bytes: bytes.subarray(stretch.at, stretch.end) });
      }
    }
  }
  return found;
}
