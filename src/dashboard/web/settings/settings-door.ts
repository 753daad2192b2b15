import { fail, type Result, succeed } from "../../../core/result.ts";
import type { SettingsCheck, SettingsProblem, SettingsSaved, SettingsView } from "../../../core/settings-view.ts";
import { ask, isFields, post, type Refusal } from "../state/gateway-door.ts";

/** The configuration and what is in effect of it. */
export async function askSettings(): Promise<Result<SettingsView, Refusal>> {
  const answer = await ask("api/settings");
  if (!answer.ok) return answer;
  return isView(answer.value) ? succeed(answer.value) : fail(null);
}

/** What the gateway's own check says of a text; nothing is written. */
export async function checkText(text: string): Promise<Result<SettingsCheck, Refusal>> {
  const answer = await ask("api/settings/check", { text });
  if (!answer.ok) return answer;
  const { problems, warnings } = answer.value;
  return succeed({ problems: problemsOf(problems), warnings: problemsOf(warnings) });
}

/** What became of a text that was to be written; `durable` says whether the record of it is on the disk. */
export type Saved = SettingsSaved & { readonly durable: boolean };

/** Writes a text in the file's place. @param baseHash  Of the text that was changed. */
export async function saveText(text: string, baseHash: string): Promise<Result<Saved, Refusal>> {
  const answer = await ask("api/settings/save", { text, baseHash });
  if (!answer.ok) return answer;
  const { kind, textHash, backupFile, problems, warnings, durable } = answer.value;
  const hash = typeof textHash === "string" ? textHash : "";
  switch (kind) {
    case "saved": {
      const file = typeof backupFile === "string" ? backupFile : "";
      const saved = { kind, textHash: hash, backupFile: file, warnings: problemsOf(warnings) } as const;
      return succeed({ ...saved, durable: durable === true });
    }
    case "refused":
      return succeed({ kind, problems: problemsOf(problems), durable: true });
    case "changed-meanwhile":
      return succeed({ kind, textHash: hash, durable: true });
  }
  return fail(null);
}

/** Has the gateway end and start anew. */
export function restartGateway(): Promise<Result<void, Refusal>> {
  return post("api/settings/restart", {});
}

function isView(value: unknown): value is SettingsView {
  if (!isFields(value)) return false;
  return typeof value["text"] === "string" && Array.isArray(value["settings"]) && Array.isArray(value["meanings"]);
}

function problemsOf(value: unknown): readonly SettingsProblem[] {
  return Array.isArray(value) ? value.filter(isProblem) : [];
}

function isProblem(value: unknown): value is SettingsProblem {
  return isFields(value) && typeof value["path"] === "string" && isFields(value["problem"]) && isFields(value["remedy"]);
}
