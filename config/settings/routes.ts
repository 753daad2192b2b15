import * as z from "zod";
import { name } from "./fields.ts";

const PRIORITIES = ["high", "medium", "low"] as const;
const NATURES = ["physiological", "technical"] as const;
const MINUTES_PER_DAY = 1440;
/** `22:00-06:00`: from the first to before the second, over midnight where the second is earlier. */
const HOURS = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/;

const shortText = z.string().trim().min(1).max(60);

/** Somebody, or some system, whom alerts are brought to. */
export const contact = z
  .strictObject({
    id: name,
    title: shortText.describe(
      "What staff call them, such as: nurses of ward 3 East. Stands in records and at the bed. | 工作人员的叫法，如：三东护士站。会出现在记录和床旁提示中。",
    ),
    answers: z
      .enum(["person", "system"])
      .describe(
        "person: somebody is there who can go to the patient. system: a computer; no route may end there. | person：有人可前往患者处。system：计算机系统，路线不得以其结束。",
      ),
    ways: z
      .array(
        z.strictObject({
          channel: name.describe("One of `channels`. | channels 之一。"),
          address: z
            .string()
            .min(1)
            .max(200)
            .optional()
            .describe(
              "A telephone number or mail address, where the channel needs one. | 电话号码或邮箱地址（通道需要时填写）。",
            ),
        }),
      )
      .min(1)
      .max(5)
      .describe("All are used at once. | 同时使用全部途径。"),
  })
  .describe("Somebody who is told of alerts. | 接收报警的人员或系统。");

const step = z.strictObject({
  tell: z.array(name).min(1).max(20).describe("Contacts, all at once. | 联系人，同时通知。"),
  waitSeconds: z
    .int()
    .min(10)
    .max(3600)
    .describe(
      "When nobody has answered by then the next step begins; the last one begins again, with an alert at the bed. | 到时无人应答则进入下一级；最后一级会重复，并在床旁报警。",
    ),
});

/** A way that alerts take until somebody answers. */
export const route = z
  .strictObject({
    name,
    wards: z.array(z.string().min(1)).min(1).optional().describe("Only alerts of these wards. | 仅限这些病区。"),
    beds: z.array(name).min(1).optional().describe("Only alerts at these beds. | 仅限这些床位。"),
    patients: z.array(z.string().min(1)).min(1).optional().describe("Only alerts of these patients. | 仅限这些患者。"),
    priorities: z.array(z.enum(PRIORITIES)).min(1).optional().describe("Only alerts of these priorities. | 仅限这些优先级。"),
    natures: z
      .array(z.enum(NATURES))
      .min(1)
      .optional()
      .describe(
        "Only alerts of these natures: of the patient, or of the equipment. | 仅限患者报警（physiological）或设备报警（technical）。",
      ),
    hours: z
      .string()
      .regex(HOURS, "these are no hours; write them as 22:00-06:00 | 时段格式错误；请写成 22:00-06:00")
      .optional()
      .describe(
        "By the gateway's local time, over midnight where the second is earlier. While the clock is not believed this route is taken at any hour, and those below it too. | 网关本地时间；结束早于开始表示跨午夜。时钟不可信时，任何时刻都执行此路线及其下方路线。",
      ),
    goesOn: z
      .boolean()
      .default(false)
      .describe(
        "true: routes further down that fit are taken too. false: this one alone. | true：下方符合条件的路线也一并执行；false：仅此一条。",
      ),
    steps: z.array(step).min(1).max(10),
  })
  .describe("The first that fits is taken. | 采用第一条符合条件的路线。");

/** What the check of routes reads, whatever else is wrong. */
export const checkableRoutes = z
  .array(
    z
      .object({
        name: z.string().catch(""),
        wards: z.array(z.string()).optional().catch(undefined),
        beds: z.array(z.string()).optional().catch(undefined),
        patients: z.array(z.string()).optional().catch(undefined),
        priorities: z.array(z.string()).optional().catch(undefined),
        natures: z.array(z.string()).optional().catch(undefined),
        hours: z.string().optional().catch(undefined),
        steps: z.array(z.object({ tell: z.array(z.string()).catch([]) }).catch({ tell: [] })).catch([]),
      })
      .catch({ name: "", steps: [] }),
  )
  .catch([]);

/** As `checkableRoutes`. */
export const checkableContacts = z
  .array(
    z
      .object({
        id: z.string().catch(""),
        answers: z.string().catch(""),
        ways: z.array(z.object({ channel: z.string().catch("") }).catch({ channel: "" })).catch([]),
      })
      .catch({ id: "", answers: "", ways: [] }),
  )
  .catch([]);

type Routes = z.infer<typeof checkableRoutes>;
type Complain = (path: (string | number)[], message: string) => void;

/**
 * What single fields cannot know: contacts and channels that must exist, routes that must end in a person, and alerts that would take no
 * route at all. Source: SAFETY.md, rule 9.
 */
export function checkRoutes(
  given: {
    readonly routes: Routes;
    readonly contacts: z.infer<typeof checkableContacts>;
    readonly channels: ReadonlySet<string>;
    readonly beds: readonly { readonly id: string; readonly ward?: string | undefined }[];
  },
  complain: Complain,
): void {
  const { routes, contacts, channels, beds } = given;
  contacts.forEach(({ ways }, index) => {
    ways.forEach(({ channel }, way) => {
      if (channel !== "" && ways.findIndex((each) => each.channel === channel) !== way)
        complain(
          ["contacts", index, "ways", way, "channel"],
          `${channel} is named twice; make a contact of its own of the second | ${channel} 重复；请将第二个写成单独的联系人`,
        );
      if (channel !== "" && !channels.has(channel))
        complain(
          ["contacts", index, "ways", way, "channel"],
          `there is no channel ${channel}; add it under channels or mend the name | 没有通道 ${channel}；请在 channels 中添加或修正名称`,
        );
    });
  });
  const answers = new Map(contacts.map(({ id, answers: who }) => [id, who]));
  routes.forEach(({ steps }, index) => {
    steps.forEach(({ tell }, at) => {
      for (const id of tell)
        if (!answers.has(id))
          complain(
            ["routes", index, "steps", at, "tell"],
            `there is no contact ${id}; add it under contacts or mend the name | 没有联系人 ${id}；请在 contacts 中添加或修正名称`,
          );
    });
    const last = steps.at(-1)?.tell ?? [];
    if (last.length > 0 && last.every((id) => answers.has(id)) && !last.some((id) => answers.get(id) === "person"))
      complain(
        ["routes", index, "steps", steps.length - 1, "tell"],
        "nobody is at the end of this route but systems; add a last step that tells a person | 该路线末级只有系统而没有人；请增加通知人员的最后一级",
      );
  });
  if (routes.length > 0) checkCover(routes, beds, complain);
}

/** Every alert at every bed and hour, and of the gateway itself, must take a route that is not for single patients only. */
function checkCover(
  routes: Routes,
  beds: readonly { readonly id: string; readonly ward?: string | undefined }[],
  complain: Complain,
): void {
  const general = routes.filter(({ patients }) => patients === undefined);
  const starts = [0, ...general.flatMap(({ hours }) => Object.values(hoursOf(hours) ?? {}))].map(
    (minute) => minute % MINUTES_PER_DAY,
  );
  const places = [...beds.map(({ id, ward }) => ({ bed: id, ward: ward ?? null })), { bed: null, ward: null }];
  for (const nature of NATURES)
    for (const priority of PRIORITIES) {
      const left = places.flatMap(({ bed, ward }) =>
        [...new Set(starts)]
          .sort((one, other) => one - other)
          .flatMap((minute) => {
            const taken = general.some(
              (each) =>
                among(each.wards, ward) &&
                among(each.beds, bed) &&
                among(each.priorities, priority) &&
                among(each.natures, nature) &&
                within(hoursOf(each.hours), minute),
            );
            return taken ? [] : [{ bed, minute }];
          }),
      );
      const [first] = left;
      if (first === undefined) continue;
      const place =
        first.bed === null ? { en: "about no bed", zh: "不涉及床位" } : { en: `at ${first.bed}`, zh: `床位 ${first.bed}` };
      const time = `${String(Math.floor(first.minute / 60)).padStart(2, "0")}:${String(first.minute % 60).padStart(2, "0")}`;
      complain(
        ["routes"],
        `a ${nature} alert of ${priority} priority ${place.en} takes no route at ${time}; add a last route without conditions that ends in a person | ${place.zh}的 ${priority} 级 ${nature} 报警在 ${time} 没有路线；请在最后增加一条无条件、以人员结束的路线`,
      );
    }
}

function among(wanted: readonly string[] | undefined, given: string | null): boolean {
  return wanted === undefined || (given !== null && wanted.includes(given));
}

/** Minutes since midnight; null where any hour will do or what is written is none. */
export function hoursOf(hours: string | undefined): { readonly fromMinute: number; readonly toMinute: number } | null {
  const [, fromHour, fromMinute, toHour, toMinute] = HOURS.exec(hours ?? "") ?? [];
  if (toMinute === undefined) return null;
  return { fromMinute: Number(fromHour) * 60 + Number(fromMinute), toMinute: Number(toHour) * 60 + Number(toMinute) };
}

function within(hours: ReturnType<typeof hoursOf>, minute: number): boolean {
  if (hours === null) return true;
  const { fromMinute, toMinute } = hours;
  return fromMinute <= toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute;
}
