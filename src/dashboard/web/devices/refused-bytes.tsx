import { useState } from "preact/hooks";
import { decodeErrorText } from "../../../core/decode-error-text.ts";
import type { DeviceDetailView, RefusedBytesView } from "../../../core/device-view.ts";
import type { PageView } from "../state/page-state.ts";
import { type Language, say } from "../words/texts.ts";
import { ageText, timeText } from "../words/words.ts";
import { heardText } from "./device-words.ts";

/** Bytes on one line of the dump: two lines of eight fit a phone. */
const BYTES_PER_LINE = 8;

/** What a driver could not read, with the reasons, for whoever looks for a wrong cable or setting. */
export function RefusedBytes({ view, device }: { readonly view: PageView; readonly device: DeviceDetailView }) {
  const { language } = view;
  const { refusals } = device;
  return (
    <section class="panel" aria-label={say(language, "deviceRefusals")}>
      <h2>
        {say(language, "deviceRefusals")} <span class="count">{device.counts.refused}</span>
      </h2>
      {refusals.length === 0 ? (
        <p class="panel__note">{say(language, "deviceRefusalsNone")}</p>
      ) : (
        <p class="panel__note">{say(language, "deviceRefusalsNote", { n: refusals.length })}</p>
      )}
      {refusals.map((refusal) => (
        <Refusal key={`${refusal.atMs} ${refusal.hex.length} ${refusal.hex.slice(-24)}`} view={view} refusal={refusal} />
      ))}
    </section>
  );
}

/** Bytes that came and of which nothing was understood: a driver that waits for a beginning refuses nothing for a long time. */
export function UnreadBytes({ view, device }: { readonly view: PageView; readonly device: DeviceDetailView }) {
  const { language, nowMs } = view;
  const { lastBytes, counts } = device;
  if (lastBytes === null || counts.frames > 0) return null;
  const age = ageText(language, Math.max(0, nowMs - lastBytes.atMs));
  const note = say(language, "bytesUnreadNote", { kept: lastBytes.hex.split(" ").length, age });
  return (
    <section class="panel panel--trouble" aria-label={say(language, "bytesUnread")} data-testid="unread">
      <h2>{say(language, "bytesUnread")}</h2>
      <p class="panel__note">{note}</p>
      <HexDump hex={lastBytes.hex} label={say(language, "bytesUnread")} />
      <CopyButton language={language} text={lastBytes.hex} />
    </section>
  );
}

function Refusal({ view, refusal }: { readonly view: PageView; readonly refusal: RefusedBytesView }) {
  const { language, nowMs } = view;
  const { atMs, channel, errors, errorCount, hex } = refusal;
  const more = errorCount - errors.length;
  return (
    <article class="refusal">
      <p class="refusal__when">
        <b>{timeText(atMs)}</b> {heardText(language, atMs, nowMs)} {channel !== "" && say(language, "bytesChannel", { channel })}
      </p>
      <ul class="refusal__why">
        {errors.map((error) => (
          <li key={JSON.stringify(error)}>{decodeErrorText(error)[language]}</li>
        ))}
        {more > 0 && <li>{say(language, "bytesMoreReasons", { n: more })}</li>}
      </ul>
      <p class="panel__note">{bytesNote(language, refusal)}</p>
      <HexDump hex={hex} label={bytesNote(language, refusal)} />
      <CopyButton language={language} text={hex} />
    </article>
  );
}

function bytesNote(language: Language, { hex, isWholeMessage, bytesGiven }: RefusedBytesView): string {
  const kept = hex === "" ? 0 : hex.split(" ").length;
  if (!isWholeMessage) return say(language, "bytesStream", { kept });
  return kept < bytesGiven
    ? say(language, "bytesWholeCut", { kept, n: bytesGiven })
    : say(language, "bytesWhole", { n: bytesGiven });
}

/** Bytes as pairs of digits with the characters beside them; what cannot be shown is a point. */
export function HexDump({ hex, label }: { readonly hex: string; readonly label: string }) {
  const bytes = hex === "" ? [] : hex.split(" ");
  const lines = Array.from({ length: Math.ceil(bytes.length / BYTES_PER_LINE) }, (_, line) => {
    const part = bytes.slice(line * BYTES_PER_LINE, (line + 1) * BYTES_PER_LINE);
    return `${part.join(" ").padEnd(BYTES_PER_LINE * 3)} ${part.map(characterOf).join("")}`;
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard.
    <section class="dump" tabIndex={0} aria-label={label}>
      <pre>{lines.join("\n")}</pre>
    </section>
  );
}

function characterOf(pair: string): string {
  const code = Number.parseInt(pair, 16);
  return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : ".";
}

/** Puts a text where it can be pasted from, and says whether that worked. */
function CopyButton({ language, text }: { readonly language: Language; readonly text: string }) {
  const [said, setSaid] = useState<"bytesCopied" | "bytesNotCopied" | null>(null);
  const copy = async () => {
    // Only a page over HTTPS, or of this machine itself, is given a clipboard.
    const done = await (navigator.clipboard?.writeText(text).then(
      () => true,
      () => false,
    ) ?? false);
    setSaid(done ? "bytesCopied" : "bytesNotCopied");
  };
  return (
    <p class="refusal__copy">
      <button type="button" class="button" onClick={() => void copy()}>
        {say(language, "bytesCopy")}
      </button>
      <span role="status">{said === null ? "" : say(language, said)}</span>
    </p>
  );
}
