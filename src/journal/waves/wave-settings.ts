/** How much of the waves is kept. */
export interface WaveSettings {
  /** The ring: waves older than this are dropped by plan, file by file, without a loss record. */
  readonly ringMs: number;
  /** Over so many bytes in the ring its oldest file goes early, which is a recorded loss. */
  readonly ringBytesMax: number;
  /** How long before and after an alert its strip reaches. */
  readonly stripBeforeMs: number;
  readonly stripAfterMs: number;
  /** Over so many bytes in all strips the oldest goes, which is a recorded loss. */
  readonly stripBytesMax: number;
}

/** What is kept where nobody sets anything else: ten minutes of everything, a minute around each alert. */
export const WAVE_DEFAULTS: WaveSettings = {
  ringMs: 600_000,
  ringBytesMax: 256_000_000,
  stripBeforeMs: 30_000,
  stripAfterMs: 30_000,
  stripBytesMax: 256_000_000,
};

/** The folder of the ring inside the journal's folder: `waves-<number>.bin`, and empty files that note a loss until it is in the kept file. */
export const RING_FOLDER = "waves";
/** The folder of the strips inside the journal's folder: `<alert id>-<sequence number>.bin`. */
export const STRIP_FOLDER = "strips";

const RING_NAME = /^waves-(\d{10})\.bin$/;

/** The name of the ring's file with a number; a later file has a higher one, whatever the wall clock does. */
export function ringFileName(number: number): string {
  return `waves-${String(number).padStart(10, "0")}.bin`;
}

/** The number of a ring's file, or null where the name is not one. */
export function ringNumberOf(file: string): number | null {
  const digits = RING_NAME.exec(file)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The name of the strip of one alert record. */
export function stripFileName(alertId: string, seq: number): string {
  return `${encodeURIComponent(alertId)}-${seq}.bin`;
}

/** The sequence number of the alert record a strip belongs to, or null where the name is not one of a strip. */
export function stripSeqOf(file: string): number | null {
  const digits = /-(\d+)\.bin$/.exec(file)?.[1];
  return digits === undefined ? null : Number(digits);
}
