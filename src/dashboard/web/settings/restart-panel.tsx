import { useEffect, useState } from "preact/hooks";
import type { SettingsView } from "../../../core/settings-view.ts";
import { Dialog } from "../frame/dialogs.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { refusalWords } from "../words/refusal.ts";
import { type Language, say } from "../words/texts.ts";
import { timeText } from "../words/words.ts";
import { hindranceText } from "./hindrance-text.ts";
import { askSettings, restartGateway } from "./settings-door.ts";

const lookMs = 1500;
/** After that somebody should look at the board. */
const longMs = 60_000;

/** How far a restart has come that was asked for here. */
type Restart =
  | { readonly kind: "none" }
  | { readonly kind: "asking" }
  | { readonly kind: "under-way"; readonly sinceMs: number; readonly wantedHash: string; readonly startedAtMs: number }
  | { readonly kind: "done"; readonly startedAtMs: number; readonly worked: boolean }
  | { readonly kind: "refused"; readonly why: string };

/** A restart that is asked for here, and how far it has come. */
function useRestart(
  state: PageState,
  { language }: PageView,
  { textHash, startedAtMs, load }: Pick<SettingsView, "textHash" | "startedAtMs"> & { readonly load: () => Promise<unknown> },
) {
  const [restart, setRestart] = useState<Restart>({ kind: "none" });
  const [waitedMs, setWaitedMs] = useState(0);
  useEffect(() => {
    if (restart.kind !== "under-way") return undefined;
    let isOver = false;
    const look = async () => {
      // Quietly: that it does not answer for a while is what was asked for.
      const answer = await askSettings();
      if (isOver) return;
      if (answer.ok && answer.value.startedAtMs !== restart.startedAtMs) {
        await load();
        const { startedAtMs: atMs, runningHash: hash } = answer.value;
        return setRestart({ kind: "done", startedAtMs: atMs, worked: hash === restart.wantedHash });
      }
      setWaitedMs(state.clock.monotonic() - restart.sinceMs);
      timer = state.clock.after(lookMs, () => void look());
      return undefined;
    };
    let timer = state.clock.after(lookMs, () => void look());
    return () => {
      isOver = true;
      timer.stop();
    };
  }, [restart]);
  return {
    restart,
    waitedMs,
    ask: () => setRestart({ kind: "asking" }),
    close: () => setRestart((now) => (now.kind === "asking" ? { kind: "none" } : now)),
    begin: async () => {
      const answer = await restartGateway();
      if (!answer.ok) return setRestart({ kind: "refused", why: refusalWords(language, answer.error).text });
      setWaitedMs(0);
      return setRestart({ kind: "under-way", sinceMs: state.clock.monotonic(), wantedHash: textHash, startedAtMs });
    },
  };
}

/** Says that the file holds other settings than those in effect, and starts the gateway anew for whoever asks twice. */
export function RestartPanel(props: {
  readonly state: PageState;
  readonly view: PageView;
  readonly settings: SettingsView;
  readonly load: () => Promise<SettingsView | null>;
}) {
  const { state, view, settings, load } = props;
  const { language } = view;
  const { textHash, runningHash, noRestart } = settings;
  const { restart, waitedMs, ask, close, begin } = useRestart(state, view, { ...settings, load });
  const isUnderWay = restart.kind === "under-way";
  const differs = textHash !== runningHash;
  return (
    <section class={`settings__card restart${differs ? " restart--due" : ""}`} data-testid="restart">
      {differs && !isUnderWay && <p data-testid="differs">{say(language, "settingsDiffer")}</p>}
      <Standing language={language} restart={restart} waitedMs={waitedMs} />
      {noRestart === null ? (
        <button type="button" class="button" data-testid="restart-ask" disabled={isUnderWay} onClick={ask}>
          {say(language, "restart")}
        </button>
      ) : (
        <p class="past__note">{say(language, "restartNot", { reason: hindranceText(language, noRestart) })}</p>
      )}
      {restart.kind === "asking" && (
        <Dialog language={language} title={say(language, "restartTitle")} onClosed={close}>
          <p>{say(language, "restartNote")}</p>
          <div class="dialog__answers">
            <button type="button" class="button" onClick={close}>
              {say(language, "restartLater")}
            </button>
            <button type="button" class="button button--strong" data-testid="restart-now" onClick={() => void begin()}>
              {say(language, "restartNow")}
            </button>
          </div>
        </Dialog>
      )}
    </section>
  );
}

/** How far it has come, in words. */
function Standing(props: { readonly language: Language; readonly restart: Restart; readonly waitedMs: number }) {
  const { language, restart, waitedMs } = props;
  switch (restart.kind) {
    case "none":
    case "asking":
      return null;
    case "under-way":
      return (
        <p role="alert" data-testid="restarting">
          <b>
            {waitedMs < longMs
              ? say(language, "restarting")
              : say(language, "restartLong", { seconds: Math.round(waitedMs / 1000) })}
          </b>
        </p>
      );
    case "done":
      return (
        <p role="status" data-testid="restarted">
          {restart.worked
            ? `✓ ${say(language, "restarted", { time: timeText(restart.startedAtMs) })}`
            : `⚠ ${say(language, "restartPutBack")}`}
        </p>
      );
    case "refused":
      return (
        <p class="past__failed" role="alert">
          {restart.why}
        </p>
      );
  }
}
