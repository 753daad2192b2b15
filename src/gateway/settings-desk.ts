import { dirname, resolve } from "node:path";
import type { Config } from "../../config/schema.ts";
import { settingMeanings, settingViews } from "../../config/setting-meanings.ts";
import { type Fault, fault } from "../core/errors.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { SettingsCheck, SettingsHindrance, SettingsProblem, SettingsSaved } from "../core/settings-view.ts";
import type { Clock } from "../core/time.ts";
import type { SettingsSource } from "../dashboard/server/source.ts";
import { checkConfigText, identityOf } from "./config-check.ts";
import { backUp, configHash, readConfigFile, replaceConfigFile, writeHindrance } from "./config-file.ts";
import { identityChanges } from "./identity-changes.ts";

/** What the desk of the settings knows of the gateway it belongs to. */
export interface SettingsDeskParts {
  readonly clock: Clock;
  /** The file on the command line, and the text that was read from it at the start. */
  readonly configFile: string;
  readonly runningText: string;
  /** What is in effect. */
  readonly config: Config;
  readonly warnings: readonly SettingsProblem[];
  /**
   * Ends this gateway so that its supervisor starts it anew; `previousConfig` is a copy of what is in effect, null where the file still holds
   * that. Null where there is no supervisor.
   */
  readonly restart: ((previousConfig: string | null) => void) | null;
  /** Told after each text that was written: whatever ends this gateway, the next start uses it. `previousConfig` as above. */
  readonly onSaved?: (previousConfig: string | null) => void;
}

const NO_SUPERVISOR: SettingsHindrance = { code: "no-supervisor", detail: "vigil run" };

/** The configuration as the pages read, check and write it. Secrets are not in it: it only names their files. */
export function createSettingsDesk(parts: SettingsDeskParts): SettingsSource {
  const { clock, runningText, config, restart } = parts;
  const configFile = resolve(parts.configFile);
  const startedAtMs = clock.wall();
  const runningHash = configHash(runningText);
  const identity = identityOf(config);
  const check = async (text: string): Promise<SettingsCheck> => {
    const checked = await checkConfigText({ text, folder: dirname(configFile) }, clock);
    if (checked.identity === null) return checked.check;
    const changes = await identityChanges(identity, checked.identity);
    return {
      problems: [...checked.check.problems, ...changes.problems],
      warnings: [...checked.check.warnings, ...changes.warnings],
    };
  };
  // One after the other: of two that were made from the same text the second is refused.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <Value>(work: () => Promise<Value>): Promise<Value> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return done;
  };
  return {
    view: async () => {
      const file = await readConfigFile(configFile);
      const unread = file.ok ? null : unreadable(file.error);
      return {
        file: configFile,
        text: file.ok ? file.value.text : "",
        textHash: file.ok ? file.value.hash : "",
        runningHash,
        startedAtMs,
        settings: settingViews(config),
        meanings: settingMeanings(),
        warnings: parts.warnings,
        readOnly: unread ?? (await writeHindrance(configFile)),
        noRestart: restart === null ? NO_SUPERVISOR : null,
      };
    },
    check,
    save: (text, baseHash) =>
      inTurn(async () => {
        const saved = await save({ configFile, text, baseHash, check, clock });
        if (saved.ok && saved.value.kind === "saved")
          parts.onSaved?.(await copyOfRunning({ saved: saved.value, baseHash, configFile, runningText, runningHash, clock }));
        return saved;
      }),
    restart: () => inTurn(() => restartWith({ configFile, runningText, runningHash, clock, restart })),
  };
}

function unreadable(code: string): SettingsHindrance {
  return { code: code === "EFBIG" ? "file-too-large" : "file-unreadable", detail: code };
}

async function save(parts: {
  readonly configFile: string;
  readonly text: string;
  readonly baseHash: string;
  readonly check: (text: string) => Promise<SettingsCheck>;
  readonly clock: Clock;
}): Promise<Result<SettingsSaved, Fault>> {
  const { configFile, text, baseHash, clock } = parts;
  const checked = await parts.check(text);
  if (checked.problems.length > 0) return succeed({ kind: "refused", problems: checked.problems });
  // Read right before it is replaced: somebody at the board may have an editor open.
  const present = await readConfigFile(configFile);
  if (!present.ok) return fail(fault("settings-not-written", { file: configFile, reason: present.error }));
  if (present.value.hash !== baseHash) return succeed({ kind: "changed-meanwhile", textHash: present.value.hash });
  const written = await replaceConfigFile(configFile, text, clock.wall());
  if (!written.ok) return fail(fault("settings-not-written", { file: configFile, reason: written.error }));
  return succeed({ kind: "saved", textHash: configHash(text), backupFile: written.value, warnings: checked.warnings });
}

/** A copy of what is in effect, to be put back if need be; null where the file holds that, or no copy could be made. */
async function copyOfRunning(of: {
  readonly saved: Extract<SettingsSaved, { kind: "saved" }>;
  readonly baseHash: string;
  readonly configFile: string;
  readonly runningText: string;
  readonly runningHash: string;
  readonly clock: Clock;
}): Promise<string | null> {
  const { saved, baseHash, configFile, runningText, runningHash, clock } = of;
  if (saved.textHash === runningHash) return null;
  if (baseHash === runningHash) return saved.backupFile;
  // A millisecond later, so that it takes no other copy's name.
  const copy = await backUp(configFile, runningText, clock.wall() + 1);
  return copy.ok ? copy.value : null;
}

async function restartWith(parts: {
  readonly configFile: string;
  readonly runningText: string;
  readonly runningHash: string;
  readonly clock: Clock;
  readonly restart: SettingsDeskParts["restart"];
}): Promise<Result<void, Fault>> {
  const { configFile, runningText, runningHash, clock, restart } = parts;
  if (restart === null) return fail(fault("restart-refused", { reason: "no supervisor" }));
  const present = await readConfigFile(configFile);
  if (present.ok && present.value.hash === runningHash) {
    restart(null);
    return succeed(undefined);
  }
  // What is in effect now is laid down first: it is put back if the gateway does not start with what is in the file.
  const copy = await backUp(configFile, runningText, clock.wall());
  if (!copy.ok) return fail(fault("restart-refused", { reason: `no copy of the settings in effect: ${copy.error}` }));
  restart(copy.value);
  return succeed(undefined);
}
