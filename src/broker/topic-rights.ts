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
    rights.filter((right) => right.access === access).map(({ filter }) => levels(expandFilter(filter, user)));
  const publish = levelsOf("publish");
  const subscribe = levelsOf("subscribe");
  return {
    mayPublish: (topic) => {
      const asked = levels(topic);
      return publish.some((filter) => levelsMatch(filter, asked));
    },
    maySubscribe: (filter) => {
      if (!isFilter(filter) || filter.startsWith("$share/")) return false;
      const asked = levels(filter);
      return subscribe.some((outer) => levelsContain(outer, asked));
    },
    mayReceive: (topic) => {
      const asked = levels(topic);
      return subscribe.some((filter) => levelsMatch(filter, asked));
    },
  };
}

/** Puts client id and account name into a right's filter. */
function expandFilter(filter: string, { clientId, accountName }: TopicUser): string {
  const expanded = levels(filter).map((level) => (level === "%c" ? clientId : level === "%u" ? accountName : level));
  return expanded.join("/");
}

/** Whether this may stand in a SUBSCRIBE. MQTT 3.1.1, 4.7.1: a wildcard stands for a whole level, and # only at the end. */
export function isFilter(text: string): boolean {
  if (text === "" || text.includes("\0")) return false;
  const parts = levels(text);
  return parts.every((level, index) => !/[+#]/.test(level) || level === "+" || (level === "#" && index === parts.length - 1));
}

/** Whether this may stand in a PUBLISH: no wildcards, no NUL, not empty. MQTT 3.1.1, 3.3.2.1 and 4.7.3. */
export function isTopic(text: string): boolean {
  return text !== "" && !text.includes("\0") && !/[+#]/.test(text);
}

/** Whether a message on the topic comes to a subscription of the filter. MQTT 3.1.1, 4.7. */
export function filterMatches(filter: string, topic: string): boolean {
  return levelsMatch(levels(filter), levels(topic));
}

/**
 * Whether every topic that the inner filter matches is matched by the outer one.
 * `#` is contained in `#` only, not in `+/#` that matches the same.
 */
export function filterContains(outer: string, inner: string): boolean {
  return levelsContain(levels(outer), levels(inner));
}

function levels(text: string): readonly string[] {
  return text.split("/");
}

/** Wildcards at the beginning do not match topics that begin with $. MQTT 3.1.1, 4.7.2-1. */
function isReservedFor(outerFirst: string | undefined, innerFirst: string | undefined): boolean {
  return (outerFirst === "#" || outerFirst === "+") && innerFirst?.startsWith("$") === true;
}

function levelsMatch(filter: readonly string[], topic: readonly string[]): boolean {
  if (isReservedFor(filter[0], topic[0])) return false;
  for (const [index, level] of filter.entries()) {
    // It stands for no further level too: a/# matches a. MQTT 3.1.1, 4.7.1.2.
    if (level === "#") return true;
    if (index >= topic.length || (level !== "+" && level !== topic[index])) return false;
  }
  return filter.length === topic.length;
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
