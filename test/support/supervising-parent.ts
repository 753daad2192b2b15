/**
 * A program that supervises the program given by its arguments and writes each event as a JSON line, as the command line does.
 * The supervisor's tests send signals to it.
 */
import { createSystemClock } from "../../src/clock.ts";
import { SUPERVISOR_LIMITS, superviseGateway } from "../../src/supervisor/supervisor.ts";

const asked = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => asked.abort());
process.exitCode = await superviseGateway(
  {
    command: process.argv.slice(2),
    sounderCommand: null,
    env: process.env,
    limits: { ...SUPERVISOR_LIMITS, heartbeatSilenceMsMax: 1500 },
  },
  {
    clock: createSystemClock(),
    stop: asked.signal,
    report: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`),
  },
);
