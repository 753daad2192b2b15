import { isIP } from "node:net";
import * as z from "zod";
import { filePath, port } from "./fields.ts";

const location = z
  .string()
  .max(200)
  .refine(
    (text) => /^[^|~\\&\p{Cc}]+$/u.test(text) && piecesOf(text).length <= 4 && piecesOf(text)[0] !== "",
    "is no place; write it as in PV1-3, point of care^room^bed^facility, and leave out only pieces after the first | 不是有效位置；请按 PV1-3 写成 病区^房间^床号^院区，只有第一段之后可以省略",
  )
  .describe(
    "As in PV1-3: point of care^room^bed^facility. A piece that is left out may be anything. | 同 PV1-3：病区^房间^床号^院区。省略的部分不限。",
  );

const mllp = z.strictObject({
  host: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .describe("127.0.0.1 is this machine only; name another address on purpose. | 127.0.0.1 仅限本机；写其他地址须确有需要。"),
  port: port.default(2575),
  allowFrom: z
    .array(
      z
        .string()
        .refine(
          isNetwork,
          "is no address; write an address such as 10.20.1.5 or a network such as 10.20.1.0/24 | 不是地址；请写成 10.20.1.5 或网段 10.20.1.0/24",
        ),
    )
    .min(1)
    .default(["127.0.0.1", "::1"])
    .describe("Who may connect; nobody else is heard. | 允许连接的地址；其他来源一律不受理。"),
  tls: z
    .strictObject({
      certFile: filePath.describe("The gateway's own certificate with its chain, in PEM. | 网关自己的证书及证书链（PEM）。"),
      keyFile: filePath,
      clientCaFile: filePath
        .optional()
        .describe(
          "Who issues the senders' certificates; nobody without one is heard. | 发送方证书的签发机构；没有证书一律不受理。",
        ),
    })
    .optional()
    .describe("Encrypted, and nothing else. | 仅接受加密连接。"),
});

/** The section `admissions`: the hospital's own system says who lies where. */
export const admissions = z
  .strictObject({
    mllp: mllp.prefault({}),
    patientNumber: z
      .strictObject({
        authority: z
          .string()
          .min(1)
          .optional()
          .describe("PID-3.4, such as HIS; any where left out. | PID-3.4，如 HIS；不写则不限。"),
        type: z
          .string()
          .min(1)
          .optional()
          .describe("PID-3.5, such as MR or PI; any where left out. | PID-3.5，如 MR 或 PI；不写则不限。"),
      })
      .prefault({})
      .describe(
        "Which of the numbers in PID-3 is the patient's here; the first that matches. | PID-3 中哪个号码作为此处的患者编号；取第一个匹配的。",
      ),
    label: z
      .enum(["initials", "pseudonym", "number", "name"])
      .default("initials")
      .describe(
        "What the wall shows: Z.W. or 张*; P- and five letters; the patient's number; the full name. | 总览上显示：Z.W. 或 张*；P- 加五个字母；患者编号；全名。",
      ),
    beds: z
      .array(z.strictObject({ location, bed: z.string().min(1).describe("One of `beds`, by its id. | `beds` 中某张床的 id。") }))
      .min(1)
      .describe(
        "The hospital's place of each bed. A bed of one of these points of care that is not listed is a technical alert; other points of care are other wards. | 每张床在医院系统中的位置。所列病区中未列出的床位会引发技术报警；其他病区与本网关无关。",
      ),
    characterSet: z
      .enum(["utf-8", "gb18030", "latin-1", "ascii"])
      .default("utf-8")
      .describe(
        "Of messages that do not name theirs in MSH-18; gb18030 reads GBK and GB2312 as well. | 未在 MSH-18 中声明字符集的消息所用的字符集；gb18030 也可读 GBK 与 GB2312。",
      ),
    believeDeclaredCharacterSet: z
      .boolean()
      .default(true)
      .describe(
        "false where MSH-18 is wrong: all is read in `characterSet`. | MSH-18 有误时写 false：一律按 `characterSet` 读取。",
      ),
    admitOnUpdate: z
      .boolean()
      .default(false)
      .describe(
        "Whether an update (A08) admits who is not here: for the first days beside patients who were there before. | 更新消息（A08）是否可收治不在此处的患者：用于启用初期、患者早已在院时。",
      ),
    silenceMinutesMax: z
      .int()
      .min(1)
      .max(43_200)
      .nullable()
      .default(null)
      .describe(
        "So long without any message is a technical alert; null: never. | 这么久没有任何消息即发出技术报警；null：从不。",
      ),
  })
  .describe(
    "HL7 ADT by MLLP: the hospital's own system admits, moves and discharges. | 通过 MLLP 接收 HL7 ADT：由医院系统收治、转床与出院。",
  );

/** What `checkAdmissions` reads, whatever else is wrong. */
export const checkableAdmissions = z
  .object({
    beds: z
      .array(z.object({ location: z.string().catch(""), bed: z.string().catch("") }).catch({ location: "", bed: "" }))
      .catch([]),
  })
  .optional()
  .catch(undefined);

/** What single fields of the section cannot know: beds that must exist, and places that must not be two beds. */
export function checkAdmissions(
  section: z.infer<typeof checkableAdmissions>,
  bedIds: ReadonlySet<string>,
  complain: (path: (string | number)[], message: string) => void,
): void {
  const entries = section?.beds ?? [];
  entries.forEach(({ location: place, bed }, index) => {
    if (bed !== "" && !bedIds.has(bed))
      complain(
        ["admissions", "beds", index, "bed"],
        `there is no bed ${bed}; add it under beds or mend the name | 没有床位 ${bed}；请在 beds 中添加或修正名称`,
      );
    const other = entries.slice(0, index).find((earlier) => overlap(earlier.location, place));
    if (other !== undefined)
      complain(
        ["admissions", "beds", index, "location"],
        `the same place may be ${other.location} as well; name more pieces or take one out | 与 ${other.location} 可能是同一位置；请写得更具体或删去其一`,
      );
  });
}

/** Whether there is a place that both mean. */
function overlap(one: string, other: string): boolean {
  if (one === "" || other === "") return false;
  const [first, second] = [piecesOf(one), piecesOf(other)];
  return [0, 1, 2, 3].every((index) => {
    const [left = "", right = ""] = [first[index], second[index]];
    return left === "" || right === "" || left === right;
  });
}

function piecesOf(text: string): readonly string[] {
  return text.split("^").map((piece) => piece.trim());
}

function isNetwork(text: string): boolean {
  const [address = "", bits, ...rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
