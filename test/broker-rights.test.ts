import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { filterContains, grantTopics, isTopic, type TopicRight } from "../src/broker/topic-rights.ts";
import { isTopicFilter, topicMatches } from "../src/core/topic-filter.ts";

/** All topics of one to four levels of these names: small enough to try them all. */
const NAMES = ["a", "b", "", "$s"];
const ALL_TOPICS = [1, 2, 3, 4]
  .flatMap((count) =>
    Array.from({ length: NAMES.length ** count }, (_, number) =>
      Array.from({ length: count }, (_, level) => NAMES[Math.floor(number / NAMES.length ** level) % NAMES.length]).join("/"),
    ),
  )
  .filter((topic) => topic !== "");

/** The matching rule of MQTT 3.1.1, 4.7, by a regular expression for each filter. */
function bruteMatches(filter: string, topic: string): boolean {
  if (/^[+#]/.test(filter) && topic.startsWith("$")) return false;
  const escaped = filter.replace(/[$]/g, "\\$&").replace(/\+/g, "[^/]*");
  const pattern = escaped === "#" ? ".*" : escaped.replace(/\/#$/, "(/.*)?");
  return new RegExp(`^${pattern}$`).test(topic);
}

const level = fc.constantFrom(...NAMES, "+");
const filters = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([levels, all]) => [...levels, ...(all ? ["#"] : [])].join("/"))
  .filter((filter) => filter !== "");
const anyFilter = fc.oneof(filters, fc.constant("#"));

test("a filter matches exactly what MQTT 3.1.1 says it does", () => {
  fc.assert(
    fc.property(anyFilter, (filter) => {
      for (const topic of ALL_TOPICS)
        expect(`${topic} ${topicMatches(filter, topic)}`).toBe(`${topic} ${bruteMatches(filter, topic)}`);
    }),
    { numRuns: 200, seed: 20_261_122 },
  );
});

test("a filter that is contained in another brings nothing that the other does not", () => {
  fc.assert(
    fc.property(anyFilter, anyFilter, (outer, inner) => {
      if (!filterContains(outer, inner)) return;
      const strangers = ALL_TOPICS.filter((topic) => bruteMatches(inner, topic) && !bruteMatches(outer, topic));
      expect(strangers, `${inner} in ${outer}`).toEqual([]);
    }),
    { numRuns: 1500, seed: 20_261_122 },
  );
});

test("a filter that brings nothing that the other does not is contained in it, but for # which is contained in # only", () => {
  fc.assert(
    fc.property(anyFilter, filters, (outer, inner) => {
      // What matches only topics that begin with a wildcard's forbidden $ matches nothing at all among others.
      const brought = ALL_TOPICS.filter((topic) => bruteMatches(inner, topic));
      // Where both hold a # behind wildcards only, the topics tried are too short to tell them apart.
      if (inner.split("/").length > 3 || brought.some((topic) => !bruteMatches(outer, topic))) return;
      expect(filterContains(outer, inner), `${inner} in ${outer}`).toBe(true);
    }),
    { numRuns: 1500, seed: 20_261_122 },
  );
  expect(["#", "+/#", "a/#", "+"].filter((outer) => filterContains(outer, "#"))).toEqual(["#"]);
});

describe("what a device may do where nothing else is said", () => {
  const rights: readonly TopicRight[] = [
    { access: "publish", filter: "devices/%u/#" },
    { access: "subscribe", filter: "devices/%u/commands/#" },
  ];
  const granted = grantTopics(rights, { clientId: "c-1", accountName: "monitor-1" });

  test.each(["devices/monitor-1", "devices/monitor-1/vitals", "devices/monitor-1/a/b/c", "devices/monitor-1/"])(
    "it may publish on %s",
    (topic) => expect(granted.mayPublish(topic)).toBe(true),
  );
  test.each([
    "devices/monitor-2/vitals",
    "devices/monitor-11",
    "devices",
    "Devices/monitor-1/x",
    "/devices/monitor-1/x",
    "$SYS/x",
    "devices/%u/x",
  ])("it may not publish on %s", (topic) => expect(granted.mayPublish(topic)).toBe(false));
  test.each(["devices/monitor-1/commands", "devices/monitor-1/commands/#", "devices/monitor-1/commands/+/x"])(
    "it may subscribe to %s",
    (filter) => expect(granted.maySubscribe(filter)).toBe(true),
  );
  test.each([
    ...["#", "+/#", "+/monitor-1/commands/#", "devices/+/commands/#", "devices/#", "devices/monitor-1/#", "devices/monitor-1/+"],
    ...["$SYS/#", "$share/g/devices/monitor-1/commands/#", "devices/monitor-1/commands/x#", "devices/monitor-1/commands/#/x", ""],
  ])("it may not subscribe to %s", (filter) => expect(granted.maySubscribe(filter)).toBe(false));
});

test("%c and %u stand for a level only where they are the whole level", () => {
  const right = (filter: string): readonly TopicRight[] => [{ access: "publish", filter }];
  const user = { clientId: "c-1", accountName: "u-1" };
  expect(grantTopics(right("a/%c/%u"), user).mayPublish("a/c-1/u-1")).toBe(true);
  expect(grantTopics(right("a/%c/%u"), user).mayPublish("a/u-1/c-1")).toBe(false);
  expect(grantTopics(right("a/x%c"), user).mayPublish("a/xc-1")).toBe(false);
});

test("the broker's own topics are read by nobody to whom a right does not say so", () => {
  const user = { clientId: "c", accountName: "u" };
  const all = grantTopics([{ access: "subscribe", filter: "#" }], user);
  const system = grantTopics([{ access: "subscribe", filter: "$SYS/#" }], user);
  expect([all.maySubscribe("$SYS/#"), all.mayReceive("$SYS/x"), all.maySubscribe("#"), all.mayReceive("x")]).toEqual([
    false,
    false,
    true,
    true,
  ]);
  expect([system.maySubscribe("$SYS/#"), system.mayReceive("$SYS/x/y")]).toEqual([true, true]);
  expect(grantTopics([{ access: "subscribe", filter: "$share/#" }], user).maySubscribe("$share/g/x")).toBe(false);
});

test("what is a filter and what is a topic", () => {
  expect(["a", "+", "#", "a/+/b", "a/#", "/", "//#"].filter((text) => !isTopicFilter(text))).toEqual([]);
  expect(["", "a#", "a/#/b", "+a", "a+/b", "a/b+", "a\0b"].filter(isTopicFilter)).toEqual([]);
  expect(["a", "/", "a/b", "%c"].filter((text) => !isTopic(text))).toEqual([]);
  expect(["", "a/+", "#", "a#", "a\0"].filter(isTopic)).toEqual([]);
});
