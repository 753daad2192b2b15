import { QUANTITIES, type QuantityName } from "../../../core/quantities.ts";
import type { BedView, NumberView } from "../../../core/stream.ts";
import type { PageView } from "../state/page-state.ts";
import { bestNumber, freshnessOf } from "../state/ward.ts";
import { type Language, say } from "../words/texts.ts";
import { ageText, contentText, quantityUnitText, valueText } from "../words/words.ts";
import { OriginTag } from "./origin.tsx";

/** The three numbers of one way to measure blood pressure. */
export type Pressure = { readonly systolic: QuantityName; readonly diastolic: QuantityName; readonly mean: QuantityName };

/** Pressure by a cuff. */
export const cuff: Pressure = { systolic: "systolicPressure", diastolic: "diastolicPressure", mean: "meanPressure" };
/** Pressure in an artery. */
export const arterial: Pressure = {
  systolic: "arterialSystolicPressure",
  diastolic: "arterialDiastolicPressure",
  mean: "arterialMeanPressure",
};

/** Colours by what is measured, as bedside monitors do; alerts never use these. */
export function quantityTint(quantity: QuantityName): string {
  if (quantity === "heartRate" || quantity === "pulseRate" || quantity === "rrInterval") return "green";
  if (quantity === "oxygenSaturation" || quantity === "perfusionIndex") return "blue";
  if (quantity === "respiratoryRate" || quantity === "endTidalCarbonDioxide") return "sand";
  if (quantity.startsWith("arterial")) return "rose";
  return "plain";
}

/** The numbers of a tile: rate, saturation, breathing, pressure and temperature always, whatever else there is behind them. */
export function TileNumbers({ view, bed }: { readonly view: PageView; readonly bed: BedView }) {
  const rate = better(bed, "heartRate", "pulseRate", view.nowMs);
  const hasArterial = bestNumber(bed, "arterialSystolicPressure", view.nowMs) !== null;
  const pressure = hasArterial ? better(bed, "arterialSystolicPressure", "systolicPressure", view.nowMs) : "systolicPressure";
  const pressureUsed = pressure === "systolicPressure" ? cuff : arterial;
  const shown = new Set<QuantityName>([
    rate,
    "oxygenSaturation",
    "respiratoryRate",
    "bodyTemperature",
    ...Object.values(pressureUsed),
  ]);
  return (
    <>
      <div class="numbers">
        <NumberBox view={view} bed={bed} quantity={rate} size="large" />
        <NumberBox view={view} bed={bed} quantity="oxygenSaturation" size="large" />
        <NumberBox view={view} bed={bed} quantity="respiratoryRate" size="large" />
        <PressureBox view={view} bed={bed} pressure={pressureUsed} />
        <NumberBox view={view} bed={bed} quantity="bodyTemperature" size="medium" />
      </div>
      <SmallNumbers view={view} bed={bed} without={shown} />
    </>
  );
}

/** All numbers of a bed, for its own page. */
export function BedNumbers({ view, bed }: { readonly view: PageView; readonly bed: BedView }) {
  const has = (quantity: QuantityName) => bed.numbers.some((number) => number.quantity === quantity);
  const always: readonly QuantityName[] = ["heartRate", "oxygenSaturation", "respiratoryRate", "bodyTemperature"];
  const rates = has("heartRate") || !has("pulseRate") ? always : always.map((one) => (one === "heartRate" ? "pulseRate" : one));
  const shown = new Set<QuantityName>([...rates, ...Object.values(cuff), ...Object.values(arterial)]);
  return (
    <>
      <div class="numbers numbers--bed">
        {rates.slice(0, 3).map((quantity) => (
          <NumberBox key={quantity} view={view} bed={bed} quantity={quantity} size="large" />
        ))}
        {has("arterialSystolicPressure") && <PressureBox view={view} bed={bed} pressure={arterial} />}
        <PressureBox view={view} bed={bed} pressure={cuff} />
        <NumberBox view={view} bed={bed} quantity="bodyTemperature" size="medium" />
      </div>
      <SmallNumbers view={view} bed={bed} without={shown} />
    </>
  );
}

/** The one of two quantities that is better known now; the first where neither is. */
export function better(bed: BedView, first: QuantityName, second: QuantityName, nowMs: number): QuantityName {
  const rank = (name: QuantityName) => {
    const number = bestNumber(bed, name, nowMs);
    return number === null ? 0 : { absent: 1, old: 2, fresh: 3 }[freshnessOf(number, nowMs)];
  };
  return rank(second) > rank(first) ? second : first;
}

function NumberBox(props: {
  readonly view: PageView;
  readonly bed: BedView;
  readonly quantity: QuantityName;
  readonly size: "large" | "medium";
}) {
  const { view, bed, quantity, size } = props;
  const number = bestNumber(bed, quantity, view.nowMs);
  const definition = QUANTITIES[quantity];
  const unit = quantityUnitText(view.language, quantity);
  const freshness = number === null ? "absent" : freshnessOf(number, view.nowMs);
  const value = number === null ? say(view.language, "neverSeen") : contentText(view.language, quantity, number.content);
  return (
    <div
      class={`number number--${size} number--${freshness} tint-${quantityTint(quantity)}`}
      data-quantity={quantity}
      title={definition.title[view.language]}
    >
      <span class="number__label">
        {definition.short[view.language]} <small>{unit}</small>
        {number !== null && <OriginTag language={view.language} origin={number.quality.origin} />}
      </span>
      <span class="number__value">{value}</span>
      <NumberAge view={view} number={number} />
    </div>
  );
}

function PressureBox({ view, bed, pressure }: { readonly view: PageView; readonly bed: BedView; readonly pressure: Pressure }) {
  const systolic = bestNumber(bed, pressure.systolic, view.nowMs);
  const diastolic = bestNumber(bed, pressure.diastolic, view.nowMs);
  const mean = bestNumber(bed, pressure.mean, view.nowMs);
  const known = systolic ?? mean;
  const freshness = known === null ? "absent" : freshnessOf(known, view.nowMs);
  const part = (number: NumberView | null) =>
    number === null || number.content.state === "absent" ? "–" : valueText(number.quantity, number.content.value);
  const words =
    systolic === null ? say(view.language, "neverSeen") : contentText(view.language, pressure.systolic, systolic.content);
  const meanThere = mean !== null && mean.content.state === "present";
  return (
    <div
      class={`number number--medium number--${freshness} tint-${quantityTint(pressure.systolic)}`}
      data-quantity={pressure.systolic}
    >
      <span class="number__label">
        {say(view.language, pressure === arterial ? "arterial" : "bloodPressure")} <small>mmHg</small>
        {known !== null && <OriginTag language={view.language} origin={known.quality.origin} />}
      </span>
      {freshness === "absent" ? (
        <span class="number__value">{words}</span>
      ) : (
        <span class="number__value">
          {part(systolic)}/{part(diastolic)}
          {meanThere && <small> ({part(mean)})</small>}
        </span>
      )}
      <NumberAge view={view} number={known} />
    </div>
  );
}

function NumberAge({ view, number }: { readonly view: PageView; readonly number: NumberView | null }) {
  if (number === null) return <span class="number__age">&nbsp;</span>;
  const old = freshnessOf(number, view.nowMs) === "old";
  const age = ageText(view.language, view.nowMs - number.measuredAtMs);
  const doubt = doubtText(view.language, number);
  return (
    <span class="number__age">
      <span class={old ? "number__old" : ""}>{old ? say(view.language, "old", { age }) : age}</span>
      {doubt !== null && <span class="number__doubt">{doubt}</span>}
    </span>
  );
}

/** Why a number that is there is doubted, or null. */
export function doubtText(language: Language, number: NumberView): string | null {
  if (number.content.state === "absent") return null;
  if (number.quality.flags.includes("patient-unconfirmed")) return `? ${say(language, "flag.patient-unconfirmed")}`;
  if (number.quality.validity === "valid") return null;
  const flags = number.quality.flags.map((flag) => say(language, `flag.${flag}`));
  const [first = say(language, number.quality.validity === "invalid" ? "invalidValue" : "questionable")] = flags;
  return `? ${first}`;
}

/** Everything else a bed has measured, in one line; a pressure's three numbers stay together. */
function SmallNumbers({
  view,
  bed,
  without,
}: {
  readonly view: PageView;
  readonly bed: BedView;
  readonly without: ReadonlySet<QuantityName>;
}) {
  const names = [...new Set(bed.numbers.map((number) => number.quantity))].filter((name) => !without.has(name));
  const pressures = [cuff, arterial].filter((pressure) => names.includes(pressure.systolic));
  const inPressures = new Set<QuantityName>(pressures.flatMap((pressure) => Object.values(pressure)));
  const single = names.filter((name) => !inPressures.has(name));
  if (names.length === 0) return null;
  return (
    <p class="small-numbers">
      {pressures.map((pressure) => (
        <SmallNumber
          key={pressure.systolic}
          view={view}
          number={bestNumber(bed, pressure.systolic, view.nowMs)}
          title={say(view.language, pressure === arterial ? "arterial" : "bloodPressure")}
          behind={pressureBehind(view, bed, pressure)}
        />
      ))}
      {single.map((name) => (
        <SmallNumber
          key={name}
          view={view}
          number={bestNumber(bed, name, view.nowMs)}
          title={QUANTITIES[name].short[view.language]}
          behind=""
        />
      ))}
    </p>
  );
}

function pressureBehind(view: PageView, bed: BedView, pressure: Pressure): string {
  const text = (quantity: QuantityName) => {
    const number = bestNumber(bed, quantity, view.nowMs);
    return number === null || number.content.state === "absent" ? "–" : valueText(quantity, number.content.value);
  };
  return `/${text(pressure.diastolic)} (${text(pressure.mean)})`;
}

function SmallNumber(props: {
  readonly view: PageView;
  readonly number: NumberView | null;
  readonly title: string;
  readonly behind: string;
}) {
  const { view, number } = props;
  if (number === null) return null;
  const freshness = freshnessOf(number, view.nowMs);
  const { quantity, content } = number;
  const episodic = QUANTITIES[quantity].rhythm === "episodic";
  return (
    <span class={`small-number small-number--${freshness}`} data-quantity={quantity}>
      {props.title}{" "}
      <b>
        {contentText(view.language, quantity, content)}
        {content.state === "present" && props.behind}
      </b>
      {content.state === "present" && <small> {quantityUnitText(view.language, quantity)}</small>}
      {(freshness !== "fresh" || episodic) && <small> · {ageText(view.language, view.nowMs - number.measuredAtMs)}</small>}
      {number.quality.validity !== "valid" && content.state === "present" && <small class="number__doubt"> ?</small>}{" "}
      <OriginTag language={view.language} origin={number.quality.origin} />
    </span>
  );
}
