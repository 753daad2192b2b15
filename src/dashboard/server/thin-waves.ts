import type { BedId } from "../../core/ids.ts";
import type { ThinWaveView } from "../../core/stream.ts";
import type { Clock, Timer } from "../../core/time.ts";
import type { DashboardSource } from "./source.ts";

/** Waves for the wall are gathered for so long: a few messages a second, however many beds. */
const GATHER_MS = 200;

/** What came of the waves of all beds that pages look at, until it is sent. */
export interface ThinWaves {
  readonly follow: (beds: readonly BedId[]) => void;
  readonly leave: (beds: readonly BedId[]) => void;
  readonly close: () => void;
}

/** Picks from what was gathered: the bytes of one message with the waves of some beds, or null where none of them brought anything. */
export type PickWaves = (beds: readonly BedId[]) => Buffer | null;

/**
 * Follows the waves of the beds that pages look at, each bed once whatever the number of pages.
 *
 * @param onGathered  Called five times a second at most, while there is anything. Pages with the same beds get the same bytes.
 */
export function createThinWaves(parts: {
  readonly clock: Clock;
  readonly source: Pick<DashboardSource, "thinWavesOf">;
  readonly onGathered: (pick: PickWaves) => void;
}): ThinWaves {
  const followed = new Map<BedId, { count: number; readonly stop: () => void }>();
  // Each wave is made text once.
  let gathered = new Map<BedId, string[]>();
  let timer: Timer | null = null;

  const flush = () => {
    timer = null;
    const waves = gathered;
    gathered = new Map();
    const made = new Map<string, Buffer | null>();
    parts.onGathered((beds) => {
      const key = beds.join("\n");
      const known = made.get(key);
      if (known !== undefined) return known;
      const texts = beds.flatMap((bed) => waves.get(bed) ?? []);
      const bytes =
        texts.length === 0 ? null : Buffer.from(`event: thin-waves\ndata: {"waves":[${texts.join(",")}]}\n\n`, "utf8");
      made.set(key, bytes);
      return bytes;
    });
  };
  const take = (bedId: BedId, waves: readonly ThinWaveView[]) => {
    const texts = gathered.get(bedId) ?? [];
    gathered.set(bedId, texts);
    for (const wave of waves) texts.push(JSON.stringify(wave));
    timer ??= parts.clock.after(GATHER_MS, flush);
  };

  return {
    follow: (beds) => {
      for (const bedId of beds) {
        const known = followed.get(bedId);
        if (known !== undefined) known.count++;
        else followed.set(bedId, { count: 1, stop: parts.source.thinWavesOf(bedId, (waves) => take(bedId, waves)) });
      }
    },
    leave: (beds) => {
      for (const bedId of beds) {
        const known = followed.get(bedId);
        if (known === undefined || --known.count > 0) continue;
        known.stop();
        followed.delete(bedId);
        gathered.delete(bedId);
      }
    },
    close: () => timer?.stop(),
  };
}
