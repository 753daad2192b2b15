/** Narrower than this, three numbers do not stand beside each other. */
const tileWidthPixelsMin = 128;
/** Lower than this, a bed, its numbers and its alert do not stand below each other. */
const tileHeightPixelsMin = 88;
/** What a tile would be if it could choose: two waves fit below the numbers. */
const tileWanted = { widthPixels: 190, heightPixels: 150 } as const;

/** The place for tiles, and how many beds each of its groups has. */
export interface WallPlace {
  readonly widthPixels: number;
  readonly heightPixels: number;
  readonly gapPixels: number;
  /** Height of the title over each group; 0 where groups have none. */
  readonly titlePixels: number;
  readonly groups: readonly number[];
}

/** How the tiles are laid out. */
export interface WallLayout {
  readonly columns: number;
  readonly tileHeightPixels: number;
  /** False where tiles as small as can be read do not all fit: then the wall has to be scrolled. */
  readonly fits: boolean;
  /** True where the groups stand together without titles, because with titles they would not all be in sight. */
  readonly joined: boolean;
}

/** The number of columns with which the tiles are nearest to the size they want, all in sight; with too many beds the most that can be read. */
export function fitWall(place: WallPlace): WallLayout {
  const apart = fitGroups(place);
  if (apart.fits || place.groups.length < 2) return apart;
  const joined = fitGroups({ ...place, titlePixels: 0, groups: [place.groups.reduce((sum, count) => sum + count, 0)] });
  return joined.fits ? { ...joined, joined: true } : apart;
}

function fitGroups(place: WallPlace): WallLayout {
  const { widthPixels, gapPixels } = place;
  const columnsMax = Math.max(1, Math.floor((widthPixels + gapPixels) / (tileWidthPixelsMin + gapPixels)));
  let best: { readonly columns: number; readonly heightPixels: number; readonly worth: number } | null = null;
  for (let columns = 1; columns <= columnsMax; columns++) {
    const heightPixels = tileHeightOf(place, columns);
    if (heightPixels < tileHeightPixelsMin) continue;
    const columnPixels = (widthPixels - gapPixels * (columns - 1)) / columns;
    const worth = Math.min(columnPixels / tileWanted.widthPixels, heightPixels / tileWanted.heightPixels);
    if (best === null || worth > best.worth) best = { columns, heightPixels, worth };
  }
  if (best === null) return { columns: columnsMax, tileHeightPixels: tileHeightPixelsMin, fits: false, joined: false };
  return { columns: best.columns, tileHeightPixels: Math.floor(best.heightPixels), fits: true, joined: false };
}

function tileHeightOf({ heightPixels, gapPixels, titlePixels, groups }: WallPlace, columns: number): number {
  const rows = groups.reduce((sum, count) => sum + Math.ceil(count / columns), 0);
  const titles = titlePixels > 0 ? groups.length * (titlePixels + gapPixels) : 0;
  return (heightPixels - titles - gapPixels * Math.max(0, rows - 1)) / Math.max(1, rows);
}
