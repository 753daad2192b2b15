import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { fitWall, type WallLayout } from "./wall-layout.ts";

/** Below the tiles, so that they do not touch the foot of the page. */
const belowPixels = 8;

/** Whether a media query holds, followed while it changes. */
export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const look = () => setHolds(media.matches);
    media.addEventListener("change", look);
    look();
    return () => media.removeEventListener("change", look);
  }, [query]);
  return holds;
}

/** Lays small tiles out in the room between the head and the foot of the page, and again when that changes. Null until it is known. */
export function useWallFit(
  place: RefObject<HTMLElement | null>,
  wanted: { readonly groups: readonly number[]; readonly titlePixels: number; readonly gapPixels: number; readonly off: boolean },
): WallLayout | null {
  const [layout, setLayout] = useState<WallLayout | null>(null);
  const { groups, titlePixels, gapPixels, off } = wanted;
  useLayoutEffect(() => {
    const element = place.current;
    const foot = document.querySelector("footer.strip");
    if (element === null || foot === null || off) return undefined;
    const look = () => {
      const top = element.getBoundingClientRect().top + scrollY;
      const heightPixels = innerHeight - 1 - foot.getBoundingClientRect().height - top - belowPixels;
      const next = fitWall({ widthPixels: element.clientWidth, heightPixels, gapPixels, titlePixels, groups });
      setLayout((before) => (JSON.stringify(before) === JSON.stringify(next) ? before : next));
    };
    look();
    const sizes = new ResizeObserver(look);
    for (const one of [element, foot, document.querySelector(".banners"), document.querySelector("header.topbar")])
      if (one !== null) sizes.observe(one);
    addEventListener("resize", look);
    return () => {
      sizes.disconnect();
      removeEventListener("resize", look);
    };
  }, [groups.join(), titlePixels, gapPixels, off]);
  return off ? null : layout;
}
