import type { CastDevice } from "../../../simulator/scenario/cast.ts";
import { durationText } from "../../../simulator/scenario/duration.ts";
import type { World } from "../../../simulator/scenario/world.ts";
import { QUANTITIES, type QuantityName } from "../../core/quantities.ts";

/** What is shown of each body, as its devices see it now. */
const COLUMNS: readonly QuantityName[] = [
  "heartRate",
  "pulseRate",
  "respiratoryRate",
  "oxygenSaturation",
  "systolicPressure",
  "bodyTemperature",
];
/** More devices than these would not fit a terminal. */
const ROWS_MAX = 30;
const CELL = 8;

/** A table in a terminal that is drawn over itself. */
export interface LiveTable {
  readonly draw: (seconds: number) => void;
}

/** Makes the table: a row a device with what it sees, and what the gateway under test has open. */
export function createLiveTable(given: {
  readonly cast: readonly CastDevice[];
  readonly world: Pick<World, "witness">;
  readonly write: (text: string) => void;
}): LiveTable {
  let lineCount = 0;
  return {
    draw: (seconds) => {
      const lines = [head(seconds), ...rows(given.cast, seconds), ...openAlerts(given.world)];
      const back = lineCount === 0 ? "" : `\u001b[${lineCount}A\u001b[J`;
      lineCount = lines.length;
      given.write(`${back}${lines.join("\n")}\n`);
    },
  };
}

function head(seconds: number): string {
  return `${durationText(seconds).padEnd(20)}${COLUMNS.map((name) => QUANTITIES[name].short.en.padStart(CELL)).join("")}`;
}

function rows(cast: readonly CastDevice[], seconds: number): readonly string[] {
  const shown = cast.slice(0, ROWS_MAX).map(({ device, body }) => {
    const cells = COLUMNS.map((name) => {
      const reading = body.quantity(name, seconds * 1000);
      if (reading.kind === "absent") return "-".padStart(CELL);
      return reading.value.toFixed(QUANTITIES[name].resolution < 1 ? 1 : 0).padStart(CELL);
    });
    return `${device.id.slice(0, 19).padEnd(20)}${cells.join("")}`;
  });
  return cast.length > ROWS_MAX ? [...shown, `+ ${cast.length - ROWS_MAX}`] : shown;
}

function openAlerts({ witness }: Pick<World, "witness">): readonly string[] {
  const latest = new Map(witness().alerts.map(({ alert }) => [alert.id, alert] as const));
  const open = [...latest.values()].filter(({ state }) => state !== "ended");
  return open
    .slice(-5)
    .map(({ priority, rule, subject }) => `  ${priority.padEnd(7)}${rule} ${subject.patientId ?? subject.deviceId ?? ""}`);
}
