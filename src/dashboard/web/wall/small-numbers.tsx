import type { ComponentChildren } from "preact";
import { QUANTITIES, type QuantityName } from "../../../core/quantities.ts";
import type { BedView, NumberView } from "../../../core/stream.ts";
import { arterial, better, cuff, doubtText, quantityTint } from "../bed/number-box.tsx";
import type { PageView } from "../state/page-state.ts";
import { bestNumber, freshnessOf } from "../state/ward.ts";
import { say } from "../words/texts.ts";
import { ageText, contentText, valueText } from "../words/words.ts";

interface Props {
  readonly view: PageView;
  readonly bed: BedView;
  /** What alarms on this bed, which is shown larger. */
  readonly alarming: ReadonlySet<QuantityName>;
  /** What stands behind them. */
  readonly children: ComponentChildren;
}

/** The numbers of a small tile: rate, saturation and breathing large, pressure and temperature below; each with its age where it matters. */
export function SmallNumbers({ view, bed, alarming, children }: Props) {
  const rate = better(bed, "heartRate", "pulseRate", view.nowMs);
  const hasArterial = bestNumber(bed, "arterialSystolicPressure", view.nowMs) !== null;
  const pressureName = hasArterial ? better(bed, "arterialSystolicPressure", "systolicPressure", view.nowMs) : "systolicPressure";
  return (
    <>
      <div class="small__numbers">
        {([rate, "oxygenSaturation", "respiratoryRate"] as const).map((quantity) => (
          <SmallNumber key={quantity} view={view} bed={bed} quantity={quantity} alarming={alarming.has(quantity)} />
        ))}
      </div>
      <div class="small__second">
        <SecondNumber
          view={view}
          bed={bed}
          title={say(view.language, pressureName === "systolicPressure" ? "bloodPressure" : "arterial")}
          number={bestNumber(bed, pressureName, view.nowMs)}
          words={pressureWords(view, bed, pressureName === "systolicPressure" ? cuff : arterial)}
          alarming={alarming.has(pressureName)}
        />
        <SecondNumber
          view={view}
          bed={bed}
          title={QUANTITIES.bodyTemperature.short[view.language]}
          number={bestNumber(bed, "bodyTemperature", view.nowMs)}
          words={null}
          alarming={alarming.has("bodyTemperature")}
        />
        {children}
      </div>
    </>
  );
}

function SmallNumber(props: {
  readonly view: PageView;
  readonly bed: BedView;
  readonly quantity: QuantityName;
  readonly alarming: boolean;
}) {
  const { view, bed, quantity, alarming } = props;
  const { language } = view;
  const number = bestNumber(bed, quantity, view.nowMs);
  const freshness = number === null ? "absent" : freshnessOf(number, view.nowMs);
  const doubt = number === null ? null : doubtText(language, number);
  const words = number === null ? say(language, "neverSeen") : contentText(language, quantity, number.content);
  return (
    <div
      class={`small-value small-value--${freshness} tint-${quantityTint(quantity)}${alarming ? " small-value--alarming" : ""}`}
      data-quantity={quantity}
    >
      <span class="small-value__label">{QUANTITIES[quantity].short[language]}</span>
      <span class="small-value__number">{words}</span>
      <span class="small-value__age">
        {number !== null && (freshness === "old" ? say(language, "old", { age: ageOf(view, number) }) : ageOf(view, number))}
        {doubt !== null && <b> {doubt}</b>}
      </span>
    </div>
  );
}

function SecondNumber(props: {
  readonly view: PageView;
  readonly bed: BedView;
  readonly title: string;
  readonly number: NumberView | null;
  /** What is said instead of the number alone. */
  readonly words: string | null;
  readonly alarming: boolean;
}) {
  const { view, number, alarming } = props;
  const { language } = view;
  if (number === null) {
    return (
      <span class="second-value second-value--absent">
        <span class="second-value__title">{props.title} </span>
        <b>–</b>
        <span class="unseen">{say(language, "neverSeen")}</span>
      </span>
    );
  }
  const freshness = freshnessOf(number, view.nowMs);
  const doubt = doubtText(language, number);
  return (
    <span
      class={`second-value second-value--${freshness}${alarming ? " second-value--alarming" : ""}`}
      data-quantity={number.quantity}
    >
      <span class="second-value__title">{props.title} </span>
      <b>
        {number.content.state === "present" && props.words !== null
          ? props.words
          : contentText(language, number.quantity, number.content)}
      </b>{" "}
      <small>{ageOf(view, number)}</small>
      {doubt !== null && <small class="second-value__doubt"> {doubt}</small>}
    </span>
  );
}

function ageOf(view: PageView, number: NumberView): string {
  return ageText(view.language, view.nowMs - number.measuredAtMs);
}

function pressureWords(view: PageView, bed: BedView, pressure: typeof cuff): string {
  const part = (quantity: QuantityName) => {
    const number = bestNumber(bed, quantity, view.nowMs);
    return number === null || number.content.state === "absent" ? "–" : valueText(quantity, number.content.value);
  };
  return `${part(pressure.systolic)}/${part(pressure.diastolic)}`;
}
