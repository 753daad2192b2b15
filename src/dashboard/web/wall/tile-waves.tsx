import { useEffect, useRef } from "preact/hooks";
import { type QuantityName, WAVEFORMS, type WaveformName } from "../../../core/quantities.ts";
import type { BedView } from "../../../core/stream.ts";
import { doubtText } from "../bed/number-box.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { freshnessOf } from "../state/ward.ts";
import { say } from "../words/texts.ts";
import { ageText, contentText } from "../words/words.ts";
import type { StripWave } from "./wall-waves.ts";
import type { WavePainter } from "./wave-painter.ts";

/** A wave that has brought nothing for so long is said to be old: devices send each second or oftener. */
const oldMs = 4000;

/** The numbers that a device makes of a wave: where they are missing or doubted, so is the wave. */
const madeOf: Readonly<Record<WaveformName, readonly QuantityName[]>> = {
  ecgLeadI: ["heartRate"],
  ecgLeadII: ["heartRate"],
  ecgUnknownLead: ["heartRate"],
  plethysmogram: ["oxygenSaturation", "pulseRate"],
  respiration: ["respiratoryRate"],
  arterialPressure: ["arterialSystolicPressure"],
  bloodPressure2: [],
};

/** The waves of a bed on its tile, in the room that numbers and alerts leave. */
export function TileWaves(props: {
  readonly state: PageState;
  readonly view: PageView;
  readonly bed: BedView;
  readonly painter: WavePainter;
}) {
  const { state, view, bed, painter } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => (canvas.current === null ? undefined : painter.add(bed.bedId, canvas.current)), [bed.bedId, painter]);
  const waves = state.wallWaves.ofBed(bed.bedId).slice(0, 2);
  const troubles = waves.map((wave) => troubleOf(state, view, bed, wave));
  const names = waves.map(({ waveform }) => WAVEFORMS[waveform].title[view.language]).join(", ");
  return (
    <div class={`strips${troubles.length > 0 && troubles.every((trouble) => trouble !== null) ? " strips--doubted" : ""}`}>
      <canvas ref={canvas} role="img" aria-label={`${say(view.language, "waves")}: ${names === "" ? "–" : names}`} />
      {waves.map((wave, index) => {
        const trouble = troubles[index] ?? null;
        return trouble === null ? null : (
          <span
            key={wave.waveform}
            class="strips__trouble"
            style={{ top: `${(index * 100) / waves.length}%`, height: `${100 / waves.length}%` }}
            data-wave-trouble={wave.waveform}
          >
            {WAVEFORMS[wave.waveform].title[view.language]}: {trouble}
          </span>
        );
      })}
    </div>
  );
}

/** Why a wave is not to be taken for good and of now, or null. */
function troubleOf(state: PageState, view: PageView, bed: BedView, wave: StripWave): string | null {
  const { language } = view;
  const silentMs = state.clock.monotonic() - wave.lastAtMs;
  if (silentMs > oldMs) return say(language, "wall.waveOld", { age: ageText(language, silentMs) });
  const number = bed.numbers.find(
    ({ quantity, deviceId }) => deviceId === wave.deviceId && madeOf[wave.waveform].includes(quantity),
  );
  if (number === undefined || freshnessOf(number, view.nowMs) === "old") return null;
  if (number.content.state === "absent") {
    const { why } = number.content;
    return why === "sensor-off" || why === "no-signal" || why === "invalid"
      ? contentText(language, number.quantity, number.content)
      : null;
  }
  return doubtText(language, number);
}
