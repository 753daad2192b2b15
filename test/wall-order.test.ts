import { describe, expect, test } from "vitest";
import { fitWall } from "../src/dashboard/web/wall/wall-layout.ts";
import { groupByWard, keepOrder, sortByUrgency, wardsOf } from "../src/dashboard/web/wall/wall-order.ts";
import { createWavePace } from "../src/dashboard/web/wall/wave-pace.ts";
import { bedView, deviceView, limitAlert, numberView } from "./support/scripted-ward.ts";

const NOW_MS = 1_700_000_000_000;
const calm = { answers: [], devices: [deviceView("monitor-1")] };
const bed = (id: string, more: Parameters<typeof bedView>[2] = {}) => bedView(id, NOW_MS, { ...calm, ...more });
const ids = (beds: readonly { readonly bedId: string }[]) => beds.map(({ bedId }) => String(bedId));

describe("the order of the wall", () => {
  test("beds stand by ward in the order of the configuration, those of a room together", () => {
    const beds = [
      bed("bed-1", { ward: "East", room: "2" }),
      bed("bed-2", { ward: "West", room: "1" }),
      bed("bed-3", { ward: "East", room: "1" }),
      bed("bed-4", { ward: "East", room: "2" }),
      bed("bed-5"),
    ];
    expect(wardsOf(beds)).toEqual(["East", "West"]);
    expect(groupByWard(beds).map((group) => [group.ward, ids(group.beds)])).toEqual([
      ["East", ["bed-1", "bed-4", "bed-3"]],
      ["West", ["bed-2"]],
      [null, ["bed-5"]],
    ]);
  });

  test("most urgent first: an alert nobody took, one that is known, a high score, trouble, what is old, then the rest by room", () => {
    const scored = bedView("bed-4", NOW_MS).answers.map((answer) =>
      answer.answer.kind === "score" ? { ...answer, answer: { ...answer.answer, points: 7 } } : answer,
    );
    const beds = [
      bed("bed-1", { room: "1" }),
      bed("bed-2", { room: "1", numbers: [numberView("heartRate", 70, { measuredAtMs: NOW_MS - 31_000 })] }),
      bed("bed-3", { room: "1", devices: [deviceView("monitor-3", { link: "down" })] }),
      bed("bed-4", { room: "2", answers: scored }),
      bed("bed-5", { room: "2" }),
      bed("bed-6", { room: "2" }),
      bed("bed-7", { room: "1" }),
    ];
    const alerts = [
      { ...limitAlert("a-5", NOW_MS, { bed: "bed-5" }), state: "acknowledged" as const },
      limitAlert("a-6", NOW_MS, { bed: "bed-6", priority: "low" }),
    ];
    expect(ids(sortByUrgency(beds, alerts, { nowMs: NOW_MS }))).toEqual([
      ...["bed-6", "bed-5", "bed-4", "bed-3", "bed-2"],
      ...["bed-1", "bed-7"],
    ]);
  });

  test("while it is held, beds stay, new ones stand at the end and those that are gone are left out", () => {
    const held = { bedIds: ["b", "a", "c"], tall: new Set(["b"]) };
    const wanted = { bedIds: ["d", "c", "b"], tall: new Set(["c", "d"]) };
    expect(keepOrder(held, wanted)).toEqual({ bedIds: ["b", "c", "d"], tall: new Set(["b"]) });
  });
});

describe("the layout of the wall", () => {
  const place = { widthPixels: 1600, heightPixels: 960, gapPixels: 6, titlePixels: 24 };

  test("fifty beds fit, in one ward or in three, with tiles as near to their size as can be", () => {
    for (const groups of [[50], [25, 25], [20, 18, 12]]) {
      const { columns, tileHeightPixels, fits, joined } = fitWall({ ...place, groups });
      expect([fits, joined], String(groups)).toEqual([true, false]);
      const rows = groups.reduce((sum, count) => sum + Math.ceil(count / columns), 0);
      const titlesPixels = groups.length * 30;
      expect(rows * (tileHeightPixels + 6) - 6 + titlesPixels, String(groups)).toBeLessThanOrEqual(960);
      expect(tileHeightPixels, String(groups)).toBeGreaterThan(120);
    }
  });

  test("where titles leave no room the wards stand together; where even that does not fit it is said, at a size that can be read", () => {
    const small = { ...place, widthPixels: 1076, heightPixels: 652 };
    expect(fitWall({ ...small, titlePixels: 0, groups: [56] })).toMatchObject({ columns: 8, fits: true, joined: false });
    expect(fitWall({ ...small, groups: [28, 28] })).toMatchObject({ columns: 8, fits: true, joined: true });
    expect(fitWall({ ...small, groups: [28, 29] })).toEqual({ columns: 8, tileHeightPixels: 88, fits: false, joined: false });
  });
});

describe("the pace of waves", () => {
  /** Frames of one length for so long; what the pace is at the end. */
  function run(pace: ReturnType<typeof createWavePace>, from: { atMs: number }, frameMs: number, forMs: number) {
    let last = pace.frame(from.atMs);
    for (const endMs = from.atMs + forMs; from.atMs < endMs; ) {
      from.atMs += frameMs;
      last = pace.frame(from.atMs);
    }
    return last;
  }

  test("a computer with time, and a screen of 30 Hz, draw everything; one that stutters draws less until it holds, at last nothing", () => {
    for (const frameMs of [16, 33.4]) expect(run(createWavePace(), { atMs: 0 }, frameMs, 60_000)).toEqual({ every: 1, waves: 2 });
    const pace = createWavePace();
    const at = { atMs: 0 };
    expect(run(pace, at, 60, 2100)).toEqual({ every: 2, waves: 2 });
    expect(run(pace, at, 60, 6200)).toEqual({ every: 8, waves: 1 });
    expect(run(pace, at, 60, 30_000)).toEqual({ every: 1, waves: 0 });
  });

  test("it goes back to more only after a good while, and later each time that did not hold", () => {
    const pace = createWavePace();
    const at = { atMs: 0 };
    run(pace, at, 60, 2100);
    expect(run(pace, at, 16, 15_000)).toEqual({ every: 2, waves: 2 });
    expect(run(pace, at, 16, 8000)).toEqual({ every: 1, waves: 2 });
    run(pace, at, 60, 4000);
    expect(run(pace, at, 16, 30_000)).toMatchObject({ every: 2 });
  });

  test("a tab that was hidden did not stutter", () => {
    const pace = createWavePace();
    const at = { atMs: 0 };
    run(pace, at, 16, 3000);
    at.atMs += 3_600_000;
    expect(run(pace, at, 16, 5000)).toEqual({ every: 1, waves: 2 });
  });
});
