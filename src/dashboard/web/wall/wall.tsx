import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Alert } from "../../../core/alert.ts";
import type { BedView, PictureView } from "../../../core/stream.ts";
import { AlertRow, STARS } from "../alerts/alert-row.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { alertsOfBed, bedOfAlert, sortAlerts } from "../state/ward.ts";
import { say } from "../words/texts.ts";
import { SmallTile } from "./small-tile.tsx";
import { Tile } from "./tile.tsx";
import { Unassigned } from "./unassigned.tsx";
import { keepWallChoice, readWallChoice, type WallChoice } from "./wall-choice.ts";
import { useMedia, useWallFit } from "./wall-fit.ts";
import type { WallLayout } from "./wall-layout.ts";
import { groupByWard, type HeldOrder, keepOrder, sortByUrgency, type WallGroup, type WallOrder, wardsOf } from "./wall-order.ts";
import { fullPace, type Pace } from "./wave-pace.ts";
import { createWavePainter, type WavePainter } from "./wave-painter.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
}

/** More beds than this stand in small tiles, on a phone in rows. */
const largeTilesMax = { desk: 8, phone: 6 } as const;
/** More beds than this, in large tiles, stand closer together. */
const looseTilesMax = 6;
/** The order stays as it is for so long after somebody touched the wall: a bed must not jump away under a finger. */
const heldMs = 4000;
const titlePixels = 24;
const gapPixels = 6;

/** Every bed at once, with what asks for somebody beside it. */
export function Wall({ state, view, ward }: Props & { readonly ward: PictureView }) {
  const [choice, setChoice] = useState(readWallChoice);
  const [pace, setPace] = useState(fullPace);
  const phone = useMedia("(max-width: 640px)");
  const narrow = useMedia("(max-width: 1120px)");
  const wards = wardsOf(ward.beds);
  const chosenWard = choice.ward !== null && wards.includes(choice.ward) ? choice.ward : null;
  const order = choice.order ?? (phone ? "urgency" : "beds");
  const painter = usePainter(state, { off: phone, ward: chosenWard, onPace: setPace });
  const choose = (part: Partial<WallChoice>) => {
    const next = { ...choice, ...part };
    keepWallChoice(next);
    setChoice(next);
  };
  const shown = chosenWard === null ? ward.beds : ward.beds.filter((bed) => bed.ward === chosenWard);
  const elsewhere = alertsElsewhere(ward, chosenWard);
  const small = shown.length > (phone ? largeTilesMax.phone : largeTilesMax.desk);
  const place = useRef<HTMLElement>(null);
  const { groups, tall, hold } = useGroups(state, { ward, beds: shown, view, order, phone });
  const titled = groups.length > 1;
  // Where the list of alerts stands above the beds, they are scrolled, and have the size they want.
  const off = !small || narrow;
  const fit = useWallFit(place, {
    groups: groups.map(({ beds }) => beds.length),
    titlePixels: titled ? titlePixels : 0,
    gapPixels,
    off,
  });
  const joined = fit?.joined === true;
  const shownGroups = joined ? [{ ward: null, beds: groups.flatMap((group) => group.beds) }] : groups;
  const alerts = sortAlerts(ward.alerts.filter((alert) => !elsewhere.includes(alert)));
  const unassigned = ward.unassigned.length > 0 && <Unassigned state={state} view={view} ward={ward} />;
  return (
    <main class={`wall${small ? " wall--small" : ""}`}>
      <h1 class="unseen">{say(view.language, "wall")}</h1>
      <section
        class="wall__beds"
        ref={place}
        aria-label={say(view.language, "wall.beds")}
        onPointerMove={hold}
        onPointerDown={hold}
        onTouchStart={hold}
        onKeyDown={hold}
      >
        {shownGroups.map((group) => (
          <Group
            key={group.ward ?? ""}
            {...{ state, view, ward, group, small, painter, tall }}
            bedCount={shown.length}
            titled={titled && !joined}
            severalWards={wards.length > 1 && chosenWard === null}
            layout={fit}
          />
        ))}
        {(!small || phone) && unassigned}
      </section>
      <aside class="rail" aria-label={say(view.language, "alerts")}>
        <Choices view={view} wards={wards} ward={chosenWard} order={order} bedCount={ward.beds.length} onChoose={choose} />
        <Elsewhere view={view} alerts={elsewhere} onShow={() => choose({ ward: null })} />
        {fit?.fits === false && <p class="rail__note">{say(view.language, "wall.moreBelow")}</p>}
        <PaceNote view={view} pace={pace} />
        <Alerts state={state} view={view} ward={ward} alerts={alerts} onlyOwn={small && phone} />
        {small && !phone && unassigned}
      </aside>
    </main>
  );
}

/** The painter of the waves, and the waves it needs; null where they have no room. */
function usePainter(
  state: PageState,
  wanted: { readonly off: boolean; readonly ward: string | null; readonly onPace: (pace: Pace) => void },
): WavePainter | null {
  const { off, ward, onPace } = wanted;
  useEffect(() => {
    state.askWallWaves(off ? { kind: "none" } : { kind: "wall", ward });
    return () => state.askWallWaves({ kind: "none" });
  }, [off, ward]);
  return useMemo(
    () => (off ? null : createWavePainter({ waves: state.wallWaves, nowMs: () => state.clock.monotonic(), onPace })),
    [off],
  );
}

/** The alerts of beds that a chosen ward leaves out; those of no bed belong to every ward. */
function alertsElsewhere(ward: PictureView, chosenWard: string | null): readonly Alert[] {
  if (chosenWard === null) return [];
  return ward.alerts.filter((alert) => {
    const bed = bedOfAlert(alert, ward.beds);
    return bed !== null && bed.ward !== chosenWard;
  });
}

/** The beds in their groups; the order is held while somebody reaches for one. */
function useGroups(
  state: PageState,
  wanted: {
    readonly ward: PictureView;
    readonly beds: readonly BedView[];
    readonly view: PageView;
    readonly order: WallOrder;
    readonly phone: boolean;
  },
): { readonly groups: readonly WallGroup[]; readonly tall: ReadonlySet<string>; readonly hold: () => void } {
  const { ward, beds, view, order } = wanted;
  const held = useRef<HeldOrder & { readonly order: WallOrder }>({ bedIds: [], tall: new Set(), order });
  const heldUntilMs = useRef(0);
  const hold = () => {
    heldUntilMs.current = state.clock.monotonic() + heldMs;
  };
  const inGroups = groupByWard(beds);
  const sorted = order === "beds" ? inGroups.flatMap((group) => group.beds) : sortByUrgency(beds, ward.alerts, view);
  const next: HeldOrder = {
    bedIds: sorted.map((bed) => bed.bedId),
    tall: new Set(beds.filter((bed) => alertsOfBed(ward.alerts, bed).length > 0).map((bed) => bed.bedId)),
  };
  const isHeld = state.clock.monotonic() < heldUntilMs.current && held.current.order === order;
  held.current = { ...(isHeld ? keepOrder(held.current, next) : next), order };
  const { bedIds, tall } = held.current;
  if (order === "beds") return { groups: inGroups, tall, hold };
  const byId = new Map(beds.map((bed) => [String(bed.bedId), bed]));
  return { groups: [{ ward: null, beds: bedIds.flatMap((id) => byId.get(id) ?? []) }], tall, hold };
}

/** The beds of a ward, or all of them in their order. */
function Group(
  props: Props & {
    readonly ward: PictureView;
    readonly group: WallGroup;
    readonly small: boolean;
    /** Of all groups together. */
    readonly bedCount: number;
    readonly painter: WavePainter | null;
    readonly tall: ReadonlySet<string>;
    readonly titled: boolean;
    readonly severalWards: boolean;
    readonly layout: WallLayout | null;
  },
) {
  const { state, view, ward, group, small, painter, tall, titled, layout } = props;
  const { language } = view;
  const density = small ? "tiles--small" : props.bedCount > looseTilesMax ? "tiles--compact" : "";
  const style =
    layout === null
      ? {}
      : {
          gridTemplateColumns: `repeat(${layout.columns}, minmax(0, 1fr))`,
          gridAutoRows: `${layout.tileHeightPixels}px`,
        };
  const placeOf = (bed: BedView) => {
    const room = bed.room === null ? null : say(language, "wall.room", { room: bed.room });
    const withWard = props.severalWards && !titled ? [bed.ward, room] : [room];
    return withWard.filter((part) => part !== null).join(" · ") || null;
  };
  const TileKind = small ? SmallTile : Tile;
  return (
    <>
      {titled && <h2 class="wall__ward">{group.ward ?? say(language, "wall.noWard")}</h2>}
      <div class={`tiles ${density}`} style={style}>
        {group.beds.map((bed) => (
          <TileKind
            key={bed.bedId}
            state={state}
            view={view}
            bed={bed}
            alerts={sortAlerts(alertsOfBed(ward.alerts, bed))}
            number={ward.beds.indexOf(bed) + 1}
            place={placeOf(bed)}
            painter={painter}
            roomForAlert={layout !== null || tall.has(bed.bedId)}
          />
        ))}
      </div>
    </>
  );
}

/** Which ward is shown, and in which order; kept in this browser. */
function Choices(props: {
  readonly view: PageView;
  readonly wards: readonly string[];
  readonly ward: string | null;
  readonly order: WallOrder;
  readonly bedCount: number;
  readonly onChoose: (part: Partial<WallChoice>) => void;
}) {
  const { wards, ward, order, onChoose } = props;
  const { language } = props.view;
  if (wards.length < 2 && props.bedCount <= largeTilesMax.phone) return null;
  const choiceOf = (event: Event) => (event.currentTarget instanceof HTMLSelectElement ? event.currentTarget.value : "");
  return (
    <div class="wall__choices">
      {wards.length > 1 && (
        <label>
          <span>{say(language, "wall.ward")}</span>
          <select
            class="choice"
            data-testid="wall-ward"
            value={ward ?? ""}
            onChange={(event) => onChoose({ ward: choiceOf(event) === "" ? null : choiceOf(event) })}
          >
            <option value="">{say(language, "wall.allWards")}</option>
            {wards.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
      )}
      <label>
        <span>{say(language, "wall.order")}</span>
        <select
          class="choice"
          data-testid="wall-order"
          value={order}
          onChange={(event) => onChoose({ order: choiceOf(event) === "urgency" ? "urgency" : "beds" })}
        >
          <option value="beds">{say(language, "wall.order.beds")}</option>
          <option value="urgency">{say(language, "wall.order.urgency")}</option>
        </select>
      </label>
    </div>
  );
}

/** What a chosen ward leaves out is never silent: how many alerts the other wards have, how bad, and the way to them. */
function Elsewhere(props: { readonly view: PageView; readonly alerts: readonly Alert[]; readonly onShow: () => void }) {
  const { language } = props.view;
  const [top] = sortAlerts(props.alerts);
  if (top === undefined) return null;
  const count = props.alerts.length;
  return (
    <div class={`wall__elsewhere alert alert--${top.priority} alert--${top.state}`} role="alert" data-testid="elsewhere">
      <span class="alert__stars" aria-hidden="true">
        {STARS[top.priority]}
      </span>
      <b>{count === 1 ? say(language, "wall.elsewhereOne") : say(language, "wall.elsewhereMany", { n: count })}</b>
      <button type="button" class="button button--strong" onClick={props.onShow}>
        {say(language, "wall.showAll")}
      </button>
    </div>
  );
}

function PaceNote({ view, pace }: { readonly view: PageView; readonly pace: Pace }) {
  if (pace.waves === 2 && pace.every === 1) return null;
  const text = pace.waves === 0 ? "wall.wavesNone" : pace.waves === 1 ? "wall.wavesFewer" : "wall.wavesSlow";
  return (
    <p class="rail__note" role="status" data-testid="pace">
      {say(view.language, text)}
    </p>
  );
}

/** The alerts beside the beds; `onlyOwn`: only those of no bed, because each bed's row says its own. */
function Alerts(props: Props & { readonly ward: PictureView; readonly alerts: readonly Alert[]; readonly onlyOwn: boolean }) {
  const { state, view, ward } = props;
  const { language } = view;
  const listed = props.onlyOwn ? props.alerts.filter((alert) => bedOfAlert(alert, ward.beds) === null) : props.alerts;
  if (props.onlyOwn && listed.length === 0) return null;
  return (
    <>
      <h2 class="rail__title">
        {say(language, "alerts")} <span class="count">{props.alerts.length}</span>
      </h2>
      {listed.length === 0 ? (
        <p class="calm">
          <b>{say(language, "noAlerts")}</b>
          <span>{say(language, "noAlertsNote")}</span>
        </p>
      ) : (
        <ul class="alerts">
          {listed.map((alert) => (
            <AlertRow key={alert.id} state={state} view={view} alert={alert} withBed withRemedy={false} />
          ))}
        </ul>
      )}
    </>
  );
}
