import type { Fault } from "../core/errors.ts";
import type { MllpOwner, MllpServer, MllpSpec } from "../core/ports.ts";
import { type Result, succeed } from "../core/result.ts";
import { AdmissionsDesk, type DeskCounts, type DeskParts } from "./admissions-desk.ts";
import { readMessageHistory } from "./message-history.ts";
import type { AdmissionsOptions } from "./options.ts";

/** What admissions need of the gateway. */
export interface AdmissionsParts extends DeskParts {
  /** Opens an MLLP server. */
  readonly serve: (spec: MllpSpec, owner: MllpOwner) => Promise<Result<MllpServer, Fault>>;
}

/** What has come so far. */
export interface AdmissionsView extends DeskCounts {
  readonly connectionCount: number;
}

/** Admissions at work. */
export interface Admissions {
  readonly port: number;
  readonly view: () => AdmissionsView;
  readonly close: () => Promise<void>;
}

/** How often silence is looked for. */
const SILENCE_LOOK_MS = 10_000;

/**
 * Receives HL7 ADT messages and lets each do at the beds what it says, through the one door. A message is answered when what it brought is
 * on disk; one that comes again is answered again and not done twice, also over a restart, because the acts carry its identity.
 *
 * @returns  The server's fault where it cannot be opened; try again later, watching does not wait for it.
 */
export async function startAdmissions(options: AdmissionsOptions, parts: AdmissionsParts): Promise<Result<Admissions, Fault>> {
  const history = await readMessageHistory(parts.journal);
  const desk = new AdmissionsDesk(options, parts, history);
  const served = await parts.serve(options.mllp, { message: desk.message, refused: desk.refused });
  if (!served.ok) return served;
  const server = served.value;
  const timer = parts.clock.every(SILENCE_LOOK_MS, desk.lookForSilence);
  return succeed({
    port: server.port,
    view: () => ({ ...desk.counts(), connectionCount: server.connectionCount() }),
    close: async () => {
      timer.stop();
      await server.close();
    },
  });
}
