import type { Origin } from "../../../core/observation.ts";
import type { BedView } from "../../../core/stream.ts";
import { unrealOrigins } from "../state/ward.ts";
import { type Language, say } from "../words/texts.ts";

/** A small sign on everything that was not measured. */
export function OriginTag({ language, origin }: { readonly language: Language; readonly origin: Origin }) {
  if (origin === "measured") return null;
  return (
    <span class="tag tag--unreal" title={`${say(language, `origin.${origin}`)}: ${say(language, "notLive")}`}>
      {say(language, `originShort.${origin}`)}
    </span>
  );
}

/** The hatched band over a bed that is not, or not only, a live patient. */
export function UnrealBand({ language, bed }: { readonly language: Language; readonly bed: BedView }) {
  const origins = unrealOrigins(bed);
  const demonstration = bed.patient?.demonstration === true;
  if (origins.length === 0 && !demonstration) return null;
  const words = origins.map((origin) => say(language, `origin.${origin}`));
  if (demonstration) words.unshift(say(language, "demonstration"));
  return (
    <p class="unreal" data-testid="unreal">
      <b>{words.join(" · ")}</b> <span>{say(language, "notLive")}</span>
    </p>
  );
}
