import type { ServerResponse } from "node:http";
import type { BedId, PatientId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { StreamMessage } from "../../core/stream.ts";
import type { Clock } from "../../core/time.ts";
import { familyMessage, familyPicture } from "./family-view.ts";
import type { DashboardSource } from "./source.ts";
import { createThinWaves } from "./thin-waves.ts";

/** A second between pulses: the page calls its stream dead after three that did not come. */
const pulseMs = 1000;

/** A wall clock that moves this much against the monotonic one between two pulses was set: pages get a picture by the new time. */
const stepMsMin = 500;

/** One page that listens. */
export interface StreamPage {
  readonly response: ServerResponse;
  /** The bed whose waves it shows, or null for the wall. */
  readonly bedId: BedId | null;
  /** The beds of the wall whose thinned waves it shows. */
  readonly thinBeds: readonly BedId[];
  /** The one patient whose family looks: they are told of nobody else. Null for everybody else. */
  readonly familyOf: PatientId | null;
  /** Asked with each pulse; a page whose session is over is cut off. */
  readonly mayListen: () => boolean;
}

/** All pages that listen to the live stream. */
export interface LiveStream {
  /** Sends the picture and then every change, until the page goes or is too slow; false where too many pages are open. */
  readonly open: (page: StreamPage) => boolean;
  readonly pageCount: () => number;
  readonly close: () => void;
}

/**
 * Makes the live stream. Each message becomes bytes once, whatever the number of pages.
 * A page that holds more than `pageStreamBytesMax` unread bytes is cut off; it comes again and gets a fresh picture.
 */
export function createLiveStream(parts: { readonly clock: Clock; readonly source: DashboardSource }): LiveStream {
  /** The number is the size of a page's picture while it may still wait to be read: a large ward is not a slow page. */
  const pages = new Map<StreamPage, number>();
  let stopListening: (() => void) | null = null;

  const leave = (page: StreamPage) => {
    if (!pages.delete(page)) return;
    if (pages.size === 0) {
      stopListening?.();
      stopListening = null;
    }
    waves.leave(page);
  };
  const cutOff = (page: StreamPage) => {
    leave(page);
    page.response.destroy();
  };
  const send = (page: StreamPage, bytes: Buffer) => {
    const unreadBytes = page.response.writableLength;
    const pictureBytes = pages.get(page) ?? 0;
    if (unreadBytes + bytes.length > LIMITS.pageStreamBytesMax.value + pictureBytes) return cutOff(page);
    if (pictureBytes > 0 && unreadBytes === 0) pages.set(page, 0);
    page.response.write(bytes);
  };
  const end = (page: StreamPage) => {
    leave(page);
    page.response.end();
  };
  const families = followFamilies(parts.source);
  const sendAll = (message: StreamMessage) => {
    let bytes: Buffer | null = null;
    for (const page of [...pages.keys()]) {
      const theirs = families.messageFor(page, message);
      if (theirs === message) bytes ??= eventBytes(message);
      if (theirs === "begin-anew") end(page);
      else if (theirs !== null) send(page, theirs === message && bytes !== null ? bytes : eventBytes(theirs));
    }
  };
  const waves = wavesOfPages(parts, { pages: () => [...pages.keys()], send, families });
  const wasSet = watchSteps(parts.clock);
  const pulse = parts.clock.every(pulseMs, () => {
    for (const page of [...pages.keys()]) if (!page.mayListen()) end(page);
    // A page reads ages off the pulse. One that goes back would look long on its way, and the page would call the gateway dead.
    if (wasSet()) sendAll({ kind: "picture", picture: parts.source.picture() });
    else sendAll({ kind: "pulse", nowMs: parts.clock.wall() });
  });

  return {
    open: (page) => {
      if (pages.size >= LIMITS.pageStreamsMax.value) return false;
      page.response.on("close", () => leave(page));
      page.response.on("error", () => leave(page));
      // Only while somebody looks: a ward without pages costs nothing here.
      stopListening ??= parts.source.subscribe(sendAll);
      const picture = eventBytes(families.begin(page));
      page.response.write(picture);
      pages.set(page, picture.length);
      waves.follow(page);
      return true;
    },
    pageCount: () => pages.size,
    close: () => {
      pulse.stop();
      waves.close();
      for (const page of [...pages.keys()]) end(page);
    },
  };
}

/** The waves of the beds that pages look at: whole for a bed's page, thinned for a wall. */
function wavesOfPages(
  parts: { readonly clock: Clock; readonly source: DashboardSource },
  to: {
    readonly pages: () => readonly StreamPage[];
    readonly send: (page: StreamPage, bytes: Buffer) => void;
    readonly families: ReturnType<typeof followFamilies>;
  },
) {
  const { pages, send, families } = to;
  const whole = followWaves(parts.source, (bedId, message) => {
    const bytes = eventBytes(message);
    for (const page of pages()) if (page.bedId === bedId && families.mayHear(page)) send(page, bytes);
  });
  const thin = createThinWaves({
    ...parts,
    onGathered: (pick) => {
      for (const page of pages()) {
        // Numbers and alerts go before waves: a page that has not read what came before gets no waves until it has.
        if (page.thinBeds.length === 0 || page.response.writableLength > LIMITS.pageThinUnreadBytesMax.value) continue;
        const bytes = pick(families.mayHearOf(page, page.thinBeds));
        if (bytes !== null) send(page, bytes);
      }
    },
  });
  return {
    follow: (page: StreamPage) => {
      if (page.bedId !== null) whole.follow(page.bedId);
      thin.follow(page.thinBeds);
    },
    /** The page has left the others already. */
    leave: (page: StreamPage) => {
      if (page.bedId !== null && !pages().some((other) => other.bedId === page.bedId)) whole.leave(page.bedId);
      thin.leave(page.thinBeds);
    },
    close: thin.close,
  };
}

/** What each page may hear: everything, or as a family what is told of its patient. Where its patient is moved, leaves or gets another number, its page begins anew. */
function followFamilies(source: DashboardSource) {
  const placeOf = (page: StreamPage) => {
    const here = page.familyOf === null ? null : source.whereIs(page.familyOf);
    return { here, place: JSON.stringify(here) };
  };
  const places = new WeakMap<StreamPage, string>();
  return {
    begin: (page: StreamPage): StreamMessage => {
      if (page.familyOf === null) return { kind: "picture", picture: source.picture() };
      const { here, place } = placeOf(page);
      places.set(page, place);
      return { kind: "picture", picture: familyPicture(source.picture(), here) };
    },
    messageFor: (page: StreamPage, message: StreamMessage): StreamMessage | "begin-anew" | null => {
      if (page.familyOf === null) return message;
      const { here, place } = placeOf(page);
      return places.get(page) === place ? familyMessage(message, here) : "begin-anew";
    },
    mayHear: (page: StreamPage): boolean => page.familyOf === null || placeOf(page).here?.bedId === page.bedId,
    mayHearOf: (page: StreamPage, beds: readonly BedId[]): readonly BedId[] => {
      if (page.familyOf === null) return beds;
      const { here } = placeOf(page);
      return beds.filter((bed) => bed === here?.bedId);
    },
  };
}

/** Tells whether the wall clock was set since it was last asked. */
function watchSteps(clock: Clock): () => boolean {
  const apart = () => clock.wall() - clock.monotonic();
  let beforeMs = apart();
  return () => {
    const movedMs = apart() - beforeMs;
    beforeMs += movedMs;
    return Math.abs(movedMs) >= stepMsMin;
  };
}

/** Asks the source for the waves of those beds that a page looks at, once for each. */
function followWaves(source: DashboardSource, onWaves: (bedId: BedId, message: StreamMessage) => void) {
  const stops = new Map<BedId, () => void>();
  return {
    follow: (bedId: BedId) => {
      if (!stops.has(bedId))
        stops.set(
          bedId,
          source.wavesOf(bedId, (waves) => onWaves(bedId, { kind: "waves", waves })),
        );
    },
    leave: (bedId: BedId) => {
      stops.get(bedId)?.();
      stops.delete(bedId);
    },
  };
}

/** One server-sent event: `event` is the kind, `data` the JSON of the rest (JSON holds no line ends). */
function eventBytes(message: StreamMessage): Buffer {
  const { kind, ...rest } = message;
  return Buffer.from(`event: ${kind}\ndata: ${JSON.stringify(rest)}\n\n`, "utf8");
}
