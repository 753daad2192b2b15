import type { Page } from "playwright-core";
import type { Deed } from "../../src/core/act.ts";
import { bedId, patientId } from "../../src/core/ids.ts";
import type { BedView } from "../../src/core/stream.ts";
import { pictures, type Stage, text } from "./page-stage.ts";
import { bedView, createScriptedWard, deviceView, type ScriptedWard } from "./scripted-ward.ts";

/** The patient of the first bed. */
export const ANNA = patientId("patient-of-bed-1");
/** The size of a phone's window. */
export const PHONE = { width: 390, height: 844 } as const;

/** Anna in bed 1 with a monitor on her, nobody in bed 2 with a monitor beside it, another patient in bed 3. */
export function createPeopleWard(): ScriptedWard {
  const nowMs = Date.now();
  const at = (bed: string, id: string, on: string | null) =>
    deviceView(id, { bedId: bedId(bed), patientId: on === null ? null : patientId(on), lastHeardAtMs: nowMs });
  return createScriptedWard({
    nowMs: Date.now,
    beds: [
      bedView("bed-1", nowMs, { devices: [at("bed-1", "monitor-1", ANNA)] }),
      bedView("bed-2", nowMs, { patient: null, numbers: [], answers: [], devices: [at("bed-2", "monitor-2", null)] }),
      bedView("bed-3", nowMs, { devices: [] }),
    ],
  });
}

/** What the pages of a stage asked to be done, in order. */
export const deedsOf = (stage: Stage): readonly Deed[] => stage.ward.acts.map(({ deed }) => deed);

/** What is wrong with a field, as it stands beside it. */
export const troubleOf = (page: Page, field: string): Promise<string> => text(page, `#trouble-${field}`);

/** Changes what is known of the patient of a bed. */
export function setPatient(stage: Stage, bed: string, more: Partial<NonNullable<BedView["patient"]>>): void {
  const before = stage.ward.bed(bed);
  if (before.patient !== null) stage.ward.setBed({ ...before, patient: { ...before.patient, ...more } });
}

/** Takes a picture of the window, where somebody wants to look at it. */
export async function takePicture(page: Page, name: string): Promise<void> {
  if (pictures !== undefined) await page.screenshot({ path: `${pictures}/people-${name}.png` });
}
