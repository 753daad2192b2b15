import { describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import type { Alert, Priority } from "../src/core/alert.ts";
import { fault } from "../src/core/errors.ts";
import { alertId, patientId, seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { type Order, tellingKey } from "../src/core/notice.ts";
import { isSigned, parseAnswer, signed } from "../src/notices/answers.ts";
import { type NoticeOutcome, openNoticeDesk } from "../src/notices/notice-desk.ts";
import { routedAlert } from "./support/routed-alert.ts";
import { seededRandom } from "./support/seeded-random.ts";

function alert(number: number, patient: string, priority: Priority): Alert {
  const subject = { patientId: patientId(patient), bedId: null, deviceId: null, part: null };
  return routedAlert({ seq: seq(number), id: alertId(`abcdef01-${number}`), key: `k/${number}`, priority, subject });
}

function order(
  number: number,
  more: { readonly patient?: string; readonly priority?: Priority; readonly raised?: number; readonly contact?: string } = {},
): Order {
  const { patient = `p${number}`, priority = "medium", raised = 1, contact = "nurse" } = more;
  return {
    name: {
      alertId: alertId(`abcdef01-${number}`),
      raisedCount: raised,
      route: "r",
      step: 0,
      round: 0,
      contact,
      channel: "robot",
    },
    way: { channel: "robot", address: null },
    alert: alert(number, patient, priority),
  };
}

const LATER: NoticeOutcome = { kind: "try-later", fault: fault("upstream-unreachable", { reason: "ECONNREFUSED" }) };
const SECRET = "a secret";
const SENT: NoticeOutcome = { kind: "sent", by: null };

/** A desk with one channel that answers as it is told, after so many ms. */
function createStage(answers: (key: string, tries: number) => NoticeOutcome | "hangs", tookMs = 10) {
  const clock = createSimulatedClock();
  const tries = new Map<string, number>();
  const brought: string[] = [];
  const words: string[] = [];
  let most = 0;
  let underWay = 0;
  const random = seededRandom(1);
  const desk = openNoticeDesk({
    clock,
    random: random.fraction,
    channels: [
      {
        name: "robot",
        bring: async ({ key }, stop) => {
          const count = (tries.get(key) ?? 0) + 1;
          tries.set(key, count);
          brought.push(key.split("/").slice(0, 2).join("/"));
          underWay += 1;
          most = Math.max(most, underWay);
          const answer = answers(key, count);
          await clock.sleep(answer === "hangs" ? 10_000_000 : tookMs, stop);
          underWay -= 1;
          return answer === "hangs" ? LATER : answer;
        },
        answerSecret: async () => SECRET,
        close: () => void words.push("closed"),
      },
    ],
    messageOf: ({ name, alert: told }) => ({
      key: [name.alertId, name.raisedCount, name.contact].join("/"),
      alert: told,
      text: { en: "", zh: "" },
      ...{ place: null, patient: null, address: null, drill: false, gatewayId: "g" },
    }),
    word: ({ of, state, by, why }) => {
      words.push([of.alertId.slice(9), of.raisedCount, state, by, why].filter((part) => part !== null).join(" "));
      return of.alertId !== "abcdef01-9";
    },
  });
  return { clock, desk, brought, words, tries, most: () => most };
}

describe("a desk of notices", () => {
  test("says what the channel took, and what its other end says of it", async () => {
    const { clock, desk, words } = createStage((key) => (key.startsWith("abcdef01-1/") ? SENT : { kind: "sent", by: "robot 7" }));
    desk.bring([order(1), order(2)]);
    await clock.advance(50);
    expect(words).toEqual(["1 1 sent", "2 1 sent", "2 1 received robot 7"]);
    expect([...desk.waiting().values()]).toEqual([0]);
  });

  test("a channel that does not exist fails at once", () => {
    const { desk, words } = createStage(() => SENT);
    desk.bring([{ ...order(1), way: { channel: "gone", address: null } }]);
    expect(words).toEqual(["1 1 failed no-such-channel"]);
  });

  test("the most urgent first, at most so many at once, and of one patient one after the other in their order", async () => {
    const { clock, desk, brought, most } = createStage(() => SENT, 1000);
    const low = Array.from({ length: 6 }, (_, index) => order(10 + index, { priority: "low" }));
    desk.bring([
      ...low,
      order(30, { priority: "high", patient: "an" }),
      order(31, { priority: "high", patient: "an" }),
      order(32),
    ]);
    await clock.advance(10_000);
    expect(most()).toBe(LIMITS.noticePlaces.value);
    const ids = brought.map((key) => key.slice(9, -2));
    expect(ids.slice(0, 4)).toEqual(["10", "11", "12", "13"]);
    // The other urgent one waits for the first, being of the same patient.
    expect(ids.slice(4)).toEqual(["30", "32", "14", "15", "31"]);
  });

  test("who is not reached in time is told as failed, is tried on with longer and longer waits, and as sent when it goes", async () => {
    const { clock, desk, words, brought } = createStage((_, tries) => (tries < 6 ? LATER : SENT));
    desk.bring([order(1)]);
    await clock.advance(LIMITS.noticeReachMsMax.value - 100);
    expect(words).toEqual([]);
    await clock.advance(400);
    expect(words).toEqual(["1 1 failed not-reached"]);
    const before = brought.length;
    await clock.advance(120_000);
    expect(words).toEqual(["1 1 failed not-reached", "1 1 sent"]);
    expect(brought.length - before).toBeLessThanOrEqual(3);
  });

  test("a channel that hangs delays its own tellings only, and each of them is told in time", async () => {
    const { clock, desk, words } = createStage(() => "hangs");
    desk.bring([1, 2, 3, 4, 5, 6].map((number) => order(number)));
    await clock.advance(LIMITS.noticeReachMsMax.value + 300);
    expect(words).toEqual([1, 2, 3, 4, 5, 6].map((number) => `${number} 1 failed not-reached`));
  });

  test("what the channel refuses for good is told with its reason and not tried again; the rest goes on", async () => {
    const refused: NoticeOutcome = { kind: "refused", fault: fault("upstream-rejected", { code: 310000 }) };
    const { clock, desk, words, brought } = createStage((key) => (key.startsWith("abcdef01-1/") ? refused : SENT));
    desk.bring([order(1), order(2)]);
    await clock.advance(60_000);
    expect(words).toEqual(["1 1 failed upstream-rejected, code 310000", "2 1 sent"]);
    expect(brought).toHaveLength(2);
  });

  test("a case that is over is brought no more, also where it was under way; older words give way to newer ones", async () => {
    const { clock, desk, brought } = createStage(() => LATER, 100);
    desk.bring([order(1)]);
    await clock.advance(50);
    desk.drop({ alertId: alertId("abcdef01-1"), route: "r" });
    await clock.advance(60_000);
    expect(brought).toEqual(["abcdef01-1/1"]);
    desk.bring([order(2)]);
    await clock.advance(150);
    desk.bring([order(2, { raised: 2 })]);
    await clock.advance(60_000);
    expect(brought.filter((key) => key === "abcdef01-2/1")).toHaveLength(1);
    expect(brought.filter((key) => key === "abcdef01-2/2").length).toBeGreaterThan(1);
  });

  test("more than may wait fails at once, and nothing waits for ever", async () => {
    const { clock, desk, words } = createStage(() => LATER);
    const many = Array.from({ length: LIMITS.noticesWaitingMax.value + 5 }, (_, index) => order(index + 1));
    desk.bring(many);
    expect(words.filter((word) => word.endsWith("failed too-many-wait"))).toHaveLength(5);
    await clock.advance(LIMITS.noticeAgeMsMax.value + 60_000);
    expect([...desk.waiting().values()]).toEqual([0]);
  });

  test("closing gives up what is under way", async () => {
    const { clock, desk, words } = createStage(() => "hangs");
    desk.bring([order(1)]);
    await clock.advance(10);
    const closed = desk.close();
    await clock.advance(10);
    await closed;
    expect(words).toEqual(["closed"]);
  });
});

describe("answers from outside", () => {
  const bodyOf = (more: object = {}, number = 1) =>
    JSON.stringify({ key: tellingKey(order(number).name), state: "accepted", by: " Li Na ", ...more });

  test("signed with the channel's secret not long ago it is taken, with who says it", async () => {
    const { clock, desk, words } = createStage(() => SENT);
    const body = bodyOf();
    expect(await desk.answer({ body, signature: signed(body, SECRET, clock.wall() - 200_000) })).toBe("taken");
    expect(words).toEqual(["1 1 accepted Li Na"]);
  });

  test("of an alert that nobody waits for any more it is over", async () => {
    const { clock, desk } = createStage(() => SENT);
    const body = bodyOf({}, 9);
    expect(await desk.answer({ body, signature: signed(body, SECRET, clock.wall()) })).toBe("over");
  });

  test("by another secret, of another body, too old, too new, without one, or by a channel that nobody answers by: denied", async () => {
    const { clock, desk, words } = createStage(() => SENT);
    const body = bodyOf();
    const right = signed(body, SECRET, clock.wall());
    const elsewhere = bodyOf({ key: tellingKey({ ...order(1).name, channel: "other" }) });
    for (const [given, signature] of [
      [body, signed(body, "another", clock.wall())],
      [bodyOf({ by: "Mallory" }), right],
      [body, signed(body, SECRET, clock.wall() - 301_000)],
      [body, signed(body, SECRET, clock.wall() + 301_000)],
      [body, ""],
      [body, right.replace("v1=", "v0=")],
      [body, `${right.slice(0, -1)}g`],
      [elsewhere, signed(elsewhere, SECRET, clock.wall())],
    ] as const)
      expect(await desk.answer({ body: given, signature }), signature).toBe("denied");
    expect(words).toEqual([]);
    expect(isSigned(body, signed(body, "", clock.wall()), { secret: "", wallMs: clock.wall() })).toBe(false);
  });

  test("what is no answer is malformed, whoever signed it", async () => {
    const { clock, desk } = createStage(() => SENT);
    const bodies = [
      "",
      "null",
      "[]",
      "{",
      bodyOf({ key: 1 }),
      bodyOf({ key: "a/b" }),
      bodyOf({ state: "due" }),
      bodyOf({ by: "  " }),
    ];
    for (const body of [...bodies, bodyOf({ by: "x".repeat(101) }), bodyOf({ by: "a\nb" }), bodyOf({ by: undefined })])
      expect(await desk.answer({ body, signature: signed(body, SECRET, clock.wall()) }), body).toBe("malformed");
    expect(parseAnswer(bodyOf({ state: "refused" }))).toMatchObject({ state: "refused", by: "Li Na" });
  });
});
