import type { ConfigProblem } from "../../config/problems.ts";
import { ERRORS, type Fault } from "../core/errors.ts";
import type { Text } from "../core/quantities.ts";
import type { CommandIo } from "./command.ts";

/** What somebody at a command line does about a refusal, by its `why` fact. */
// biome-ignore format: one row a line, so that it reads as the table it is.
const REFUSALS: Readonly<Record<string, Text>> = {
  "unknown-bed": { en: "The configuration has no such bed; its beds are listed there under beds.", zh: "配置中没有此床位，请查看配置的 beds。" },
  "unknown-device": { en: "The configuration has no such device; `vigil devices list` shows them.", zh: "配置中没有此设备，请用 vigil devices list 查看。" },
  "unknown-patient": { en: "No such patient is admitted; admit first, `vigil patients list` shows who is.", zh: "该患者未入床，请先入床；可用 vigil patients list 查看。" },
  "already-admitted": { en: "This patient is admitted already; `vigil patients list` shows in which bed.", zh: "该患者已入床，可用 vigil patients list 查看床位。" },
  "device-in-use": { en: "This device is on another patient; release it first with `vigil devices release`.", zh: "该设备正用于其他患者，请先用 vigil devices release 解除。" },
  "device-not-assigned": { en: "This device is on nobody; `vigil devices list` shows what is.", zh: "该设备未分配给任何患者，可用 vigil devices list 查看。" },
  "impossible-limit": { en: "No living person reaches this limit; check the value.", zh: "限值超出人体可能范围，请核对数值。" },
  "already-there": { en: "The patient lies in this bed already; nothing was changed.", zh: "该患者已在此床，未做更改。" },
  "same-patient": { en: "Both numbers are the same; give the number that stays and the former one.", zh: "两个编号相同；请分别给出保留的编号和原编号。" },
  "demonstration-differs": { en: "One of the two is a demonstration, the other a real patient; they are never one.", zh: "其中一个是演示患者，另一个是真实患者，不能合并。" },
  "device-on-another": { en: "This device is on another patient; release it and assign it anew.", zh: "该设备分配给了其他患者；请解除后重新分配。" },
  "unknown-alert": { en: "There is no such alert in the journal; check its id.", zh: "日志中没有此报警，请核对编号。" },
  "alert-ended": { en: "This alert has ended; nothing is left to acknowledge.", zh: "该报警已结束，无需确认。" },
  "already-acknowledged": { en: "Somebody has acknowledged this alert already.", zh: "该报警已被确认。" },
  "expiry-past": { en: "The limit would end before now; give a later time, and check the clock.", zh: "限值的到期时间已过；请给出更晚的时间，并检查时钟。" },
  "expiry-far": { en: "The limit would last for more than a week; give an earlier end, or none.", zh: "限值有效期超过一周；请给出更早的到期时间，或不设到期。" },
  "bed-occupied": { en: "Another patient lies in this bed; discharge them first if they have left it.", zh: "此床已有其他患者；若已离床，请先办理出床。" },
  "no-account": { en: "There is no such account; `vigil users list` shows them.", zh: "没有此账户；可用 vigil users list 查看。" },
  "last-administrator": { en: "Somebody must stay administrator; make another one first.", zh: "至少须有一名管理员；请先添加其他管理员。" },
  "changes-waiting": { en: "Too many changes wait to be recorded; start the gateway once.", zh: "待补记的更改过多；请先启动一次网关。" },
};

/** The codes of answers that say why in a word of the table. */
const REFUSAL_CODES: ReadonlySet<string> = new Set(["act-refused", "account-refused"]);

/** Tells a person a fault with its facts and what to do, in both languages. */
export function tellFault({ code, facts }: Fault, io: CommandIo): void {
  const why = String(facts["why"]);
  const known = REFUSAL_CODES.has(code) && Object.hasOwn(REFUSALS, why) ? REFUSALS[why] : undefined;
  const { title, remedy } = ERRORS[code];
  if (known !== undefined) io.stderr(`${known.en} ${known.zh}`);
  else io.stderr(`${title.en} (${JSON.stringify(facts)}). ${remedy.en} ${title.zh}。${remedy.zh}`);
}

/** Tells every problem of a configuration, or of a scenario, with its place and remedy. */
export function tellProblems(
  problems: readonly ConfigProblem[],
  io: CommandIo,
  of: "config-invalid" | "scenario-invalid" = "config-invalid",
): void {
  const { title, remedy } = ERRORS[of];
  io.stderr(`${title.en}. ${remedy.en} ${title.zh}。${remedy.zh}`);
  for (const { path, line, problem, remedy: mend } of problems) {
    const at = line === null || path.startsWith("line ") ? path : `${path} (line ${line})`;
    io.stderr(`  ${at}: ${problem.en}. ${mend.en}`);
    io.stderr(`    ${problem.zh}。${mend.zh}`);
  }
}
