import { parseArgs } from "node:util";
import { DRIVERS } from "../../drivers/index.ts";
import type { Driver } from "../core/ports.ts";
import type { Command } from "./command.ts";
import { askedOf } from "./question.ts";

const USAGE = `usage: vigil drivers [--json]
Lists all drivers: id, title, link, quantities, waves, reference. --json prints one JSON object a line.`;

/** `vigil drivers`: what devices the gateway understands. */
export const driversCommand: Command = {
  name: "drivers",
  usage: USAGE,
  run: async (args, io) => {
    const asked = askedOf(
      driversCommand,
      io,
      () => parseArgs({ args: [...args], options: { json: { type: "boolean" } } }).values,
    );
    if (asked === null) return 2;
    for (const driver of DRIVERS)
      for (const line of asked.json === true ? [JSON.stringify(describeDriver(driver))] : printDriver(driver)) io.stdout(line);
    return 0;
  },
};

/** A driver without its code. */
function describeDriver(driver: Driver): object {
  const { id, version, title, reference, link, quantities, waveforms, expected, silenceSeconds, stuckSeconds, checksummed } =
    driver;
  const encodes = driver.encode !== null;
  return {
    id,
    version,
    title,
    link,
    quantities,
    waveforms,
    expected,
    silenceSeconds,
    stuckSeconds,
    checksummed,
    encodes,
    reference,
  };
}

function printDriver(driver: Driver): readonly string[] {
  return [
    `${driver.id}  ${driver.title.en} / ${driver.title.zh}`,
    `  link        ${printLink(driver)}`,
    `  quantities  ${driver.quantities.join(" ")}`,
    `  waves       ${driver.waveforms.join(" ")}`,
    ...driver.reference.map((source) => `  reference   ${source}`),
  ];
}

function printLink({ link, checksummed }: Driver): string {
  switch (link.kind) {
    case "mqtt":
      return `mqtt ${link.topics.join(" ")}`;
    case "serial": {
      const { baudRate, dataBits, parity, stopBits } = link.line;
      const parityLetter = parity.slice(0, 1).toUpperCase();
      return `serial ${baudRate} ${dataBits}${parityLetter}${stopBits}${checksummed ? "" : ", no checksum"}`;
    }
  }
}
