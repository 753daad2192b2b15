import { isReservedFor, isTopicFilter, levelsMatch, topicLevels } from "../core/topic-filter.ts";

/** One thing an account may do. In the filter `%c` stands for the client id and `%u` for the account's name, each as a whole level. */
export interface TopicRight {
  readonly access: "publish" | "subscribe";
  readonly filter: string;
}

/** What a device may do where nothing else is said: tell what it measures, and be told what it shall do. */
export const DEVICE_RIGHTS: readonly TopicRight[] = [
  { access: "publish", filter: "devices/%u/#" },
  { access: "subscribe", filter: "devices/%u/commands/#" },
];

/** Whose rights they are. */
export interface TopicUser {
  readonly clientId: string;
  readonly accountName: string;
}

/** The rights of one client, with its names filled in. */
export interface GrantedTopics {
  /** A topic as it stands in a PUBLISH. */
  readonly mayPublish: (topic: string) => boolean;
  /** A filter as it stands in a SUBSCRIBE: everything it can ever bring must be allowed. */
  readonly maySubscribe: (filter: string) => boolean;
  /** A message on this topic may be handed to it. */
  readonly mayReceive: (topic: string) => boolean;
}

/** Fills in the names and answers what one client may do. */
export function grantTopics(rights: readonly TopicRight[], user: TopicUser): GrantedTopics {
  const levelsOf = (access: TopicRight["access"]) =>
    rights.filter((right) => right.access === access).map(({ filter }) => topicLevels(expandFilter(filter, user)));
  const publish = levelsOf("publish");
  const subscribe = levelsOf("subscribe");
  return {
    mayPublish: (topic) => {
      const asked = topicLevels(topic);
      return publish.some((filter) => levelsMatch(filter, asked));
    },
    maySubscribe: (filter) => {
      if (!isTopicFilter(filter) || filter.startsWith("$share/")) return false;
      const asked = topicLevels(filter);
      return subscribe.some((outer) => levelsContain(outer, asked));
    },
    mayReceive: (topic) => {
      const asked = topicLevels(topic);
      return subscribe.some((filter) => levelsMatch(filter, asked));
    },
  };
}

/** Puts client id and account name into a right's filter. */
function expandFilter(filter: string, { clientId, accountName }: TopicUser): string {
  const expanded = topicLevels(filter).map((level) => (level === "%c" ? clientId : level === "%u" ? accountName : level));
  return expanded.join("/");
}

/** Whether this may stand in a PUBLISH: no wildcards, no NUL, not empty. MQTT 3.1.1, 3.3.2.1 and 4.7.3. */
export function isTopic(text: string): boolean {
  return text !== "" && !text.includes("\0") && !/[+#]/.test(text);
}

/**
 * Whether every topic that the inner filter matches is matched by the outer one.
 * `#` is contained in `#` only, not in `+/#` that matches the same.
 */
export function filterContains(outer: string, inner: string): boolean {
  return levelsContain(topicLevels(outer), topicLevels(inner));
}

function levelsContain(outer: readonly string[], inner: readonly string[]): boolean {
  if (isReservedFor(outer[0], inner[0])) return false;
  for (const [index, level] of outer.entries()) {
    if (level === "#") return true;
    const asked = inner[index];
    if (asked === undefined || asked === "#") return false;
    if (level !== "+" && level !== asked) return false;
  }
  return outer.length === inner.length;
}
