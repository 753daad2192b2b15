import { useEffect, useRef } from "preact/hooks";
import { maySee } from "../state/may.ts";
import type { PageView } from "../state/page-state.ts";
import type { Place } from "../state/place.ts";
import { say, type TextKey } from "../words/texts.ts";

/** Every page that is reached from the head of the screen, in its order, and what it needs to be told. */
const PAGES: readonly { readonly kind: Place["kind"]; readonly href: string; readonly text: TextKey; readonly route: string }[] =
  [
    { kind: "wall", href: "#/", text: "wall", route: "GET /api/picture" },
    { kind: "alerts", href: "#/alerts", text: "alerts", route: "GET /api/picture" },
    { kind: "quality", href: "#/quality", text: "quality", route: "GET /api/quality" },
    { kind: "devices", href: "#/devices", text: "devicesPage", route: "GET /api/devices" },
    { kind: "readers", href: "#/readers", text: "readersPage", route: "GET /api/readers" },
    { kind: "records", href: "#/records", text: "recordsPage", route: "GET /api/records" },
    { kind: "settings", href: "#/settings", text: "settingsPage", route: "GET /api/settings" },
    { kind: "users", href: "#/users", text: "users", route: "GET /api/users" },
  ];

/** The page in the head that a place belongs to. */
function headOf(kind: Place["kind"]): Place["kind"] {
  if (kind === "past-alerts") return "alerts";
  return kind === "device" || kind === "adopt" ? "devices" : kind;
}

/** The ways to the pages that whoever is signed in may see. */
export function Navigation({ view }: { readonly view: PageView }) {
  const { language, ward } = view;
  const active = ward?.alerts.filter((alert) => alert.state === "active").length ?? 0;
  const ways = useRef<HTMLElement>(null);
  const head = headOf(view.place.kind);
  // On a narrow screen the way to the page that is shown may lie beside it.
  useEffect(() => ways.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [head]);
  return (
    <nav ref={ways}>
      {PAGES.filter((page) => isShown(view, page)).map(({ kind, href, text }) => (
        <a key={kind} href={href} aria-current={head === kind ? "page" : undefined}>
          {say(language, text)}
          {kind === "alerts" && <span class={`count${active > 0 ? " count--active" : ""}`}>{ward?.alerts.length ?? 0}</span>}
        </a>
      ))}
    </nav>
  );
}

/** Where nobody signs in, there are no accounts. */
function isShown({ session }: PageView, { kind, route }: (typeof PAGES)[number]): boolean {
  return maySee(session, route) && (kind !== "users" || session?.signIn === true);
}
