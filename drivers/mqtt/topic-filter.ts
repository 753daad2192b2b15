/** Whether a text is a topic filter of MQTT: `+` stands for one level, `#` for all that follow, each alone in its level. Source: MQTT 3.1.1, 4.7.1. */
export function isTopicFilter(text: string): boolean {
  const levels = text.split("/");
  return (
    text !== "" && levels.every((level, at) => (level === "#" ? at === levels.length - 1 : level === "+" || !/[#+]/.test(level)))
  );
}

/** Whether a topic is one that a filter means. */
export function topicMatches(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const given = topic.split("/");
  // Topics of the server itself begin with $ and are meant by no wildcard. Source: MQTT 3.1.1, 4.7.2.
  if (topic.startsWith("$") && /^[#+]/.test(filter)) return false;
  for (const [at, level] of wanted.entries()) {
    if (level === "#") return true;
    if (given[at] === undefined || (level !== "+" && level !== given[at])) return false;
  }
  return given.length === wanted.length;
}
