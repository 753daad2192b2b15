/** Whether this may stand in a SUBSCRIBE: a wildcard stands for a whole level, and `#` only at the end. Source: MQTT 3.1.1, 4.7.1. */
export function isTopicFilter(text: string): boolean {
  if (text === "" || text.includes("\0")) return false;
  const levels = topicLevels(text);
  return levels.every((level, index) => !/[+#]/.test(level) || level === "+" || (level === "#" && index === levels.length - 1));
}

/** Whether a message on the topic comes to a subscription of the filter. Source: MQTT 3.1.1, 4.7. */
export function topicMatches(filter: string, topic: string): boolean {
  return levelsMatch(topicLevels(filter), topicLevels(topic));
}

/** The levels of a topic or filter; an empty one is one as well. */
export function topicLevels(text: string): readonly string[] {
  return text.split("/");
}

/** The same as `topicMatches`, of levels. */
export function levelsMatch(filter: readonly string[], topic: readonly string[]): boolean {
  if (isReservedFor(filter[0], topic[0])) return false;
  for (const [index, level] of filter.entries()) {
    // It stands for no further level too: a/# matches a. MQTT 3.1.1, 4.7.1.2.
    if (level === "#") return true;
    if (index >= topic.length || (level !== "+" && level !== topic[index])) return false;
  }
  return filter.length === topic.length;
}

/** Wildcards at the beginning do not match topics that begin with $. Source: MQTT 3.1.1, 4.7.2-1. */
export function isReservedFor(outerFirst: string | undefined, innerFirst: string | undefined): boolean {
  return (outerFirst === "#" || outerFirst === "+") && innerFirst?.startsWith("$") === true;
}
