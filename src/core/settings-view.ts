import type { Text } from "./quantities.ts";

/** What people are told of the certificate with which the pages are encrypted. */
export interface CertificateView {
  /** `own`: the gateway made it; browsers warn of it until somebody has compared the fingerprint. `files`: somebody put it there. */
  readonly source: "own" | "files";
  /** SHA-256, sixteen-base pairs with colons, as browsers show it. */
  readonly fingerprint: string;
  /** Host names and addresses it is for. */
  readonly names: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

/** One setting of the configuration: what it means and what may be written there. */
export interface SettingMeaning {
  /** Such as `devices[].link(serial).baudRate`: `[]` stands for each entry of a list, brackets for one kind of several. */
  readonly path: string;
  /** What may be written, with its bounds; null for a section, which holds others. */
  readonly kind: Text | null;
  /** What holds where it is left out, as JSON; null where nothing does. */
  readonly fallback: string | null;
  /** Whether it must be written. */
  readonly required: boolean;
  readonly meaning: Text;
}

/** One setting as it is in effect. */
export interface SettingView {
  /** As in its `SettingMeaning`. */
  readonly path: string;
  /** Its place in the configuration, such as `devices.0.link.baudRate`. */
  readonly place: string;
  /** What is in effect, as JSON; null where it is left out and nothing takes its place. */
  readonly value: string | null;
  /** Whether something else is in effect than where it is left out. */
  readonly differs: boolean;
}

/** Something wrong in a configuration, or something a person should know before it is used. */
export interface SettingsProblem {
  /** The setting, such as `devices.0.link.baudRate`. */
  readonly path: string;
  /** The line of the text, from 1; null where it has none. */
  readonly line: number | null;
  readonly problem: Text;
  readonly remedy: Text;
}

/** Why the configuration cannot be written from a page, or the gateway not be restarted from there; null where it can. */
export interface SettingsHindrance {
  readonly code: "folder-not-writable" | "file-not-writable" | "file-unreadable" | "file-too-large" | "no-supervisor";
  /** The operating system's code, such as `EACCES`, or what is named. */
  readonly detail: string;
}

/** The configuration and what is in effect of it. */
export interface SettingsView {
  /** Full path of the file. */
  readonly file: string;
  /** What the file holds now; empty where it cannot be read. */
  readonly text: string;
  /** SHA-256 of that text, hexadecimal. */
  readonly textHash: string;
  /** SHA-256 of the text that this gateway was started with. */
  readonly runningHash: string;
  readonly startedAtMs: number;
  readonly settings: readonly SettingView[];
  readonly meanings: readonly SettingMeaning[];
  /** What nobody should overlook in what is in effect. */
  readonly warnings: readonly SettingsProblem[];
  readonly readOnly: SettingsHindrance | null;
  readonly noRestart: SettingsHindrance | null;
  readonly certificate: CertificateView | null;
}

/** What a check of a text came to: the problems, none where it may be used; and what a person should know before. */
export interface SettingsCheck {
  readonly problems: readonly SettingsProblem[];
  readonly warnings: readonly SettingsProblem[];
}

/** What became of a text that was to be written. */
export type SettingsSaved =
  | {
      readonly kind: "saved";
      readonly textHash: string;
      readonly backupFile: string;
      readonly warnings: readonly SettingsProblem[];
    }
  | { readonly kind: "refused"; readonly problems: readonly SettingsProblem[] }
  /** The file holds another text than the one that was changed. */
  | { readonly kind: "changed-meanwhile"; readonly textHash: string };
