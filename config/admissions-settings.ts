import { isIP } from "node:net";
import * as z from "zod";

const filePath = z.string().min(1).describe("Relative paths are taken from the folder of the configuration file.");

const location = z
  .string()
  .max(200)
  .refine(
    (text) => /^[^|~\\&\p{Cc}]+$/u.test(text) && piecesOf(text).length <= 4 && piecesOf(text)[0] !== "",
    "is no place; write it as in PV1-3, point of care^room^bed^facility, and leave out only pieces after the first | 不是有效位置；请按 PV1-3 写成 病区^房间^床号^院区，只有第一段之后可以省略",
  )
  .describe("As in PV1-3: point of care^room^bed^facility. A piece that is left out may be anything.");

const mllp = z.strictObject({
  host: z.string().min(1).default("127.0.0.1").describe("127.0.0.1 is this machine only; name another address on purpose."),
  port: z.int().min(1).max(65535).default(2575),
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
    .describe("Who may connect; nobody else is heard."),
  tls: z
    .strictObject({
      certFile: filePath.describe("The gateway's own certificate with its chain, in PEM."),
      keyFile: filePath,
      clientCaFile: filePath.optional().describe("Who issues the senders' certificates; nobody without one is heard."),
    })
    .optional()
    .describe("Encrypted, and nothing else."),
});

/** The section `admissions`: the hospital's own system says who lies where. */
export const admissions = z
  .strictObject({
    mllp: mllp.prefault({}),
    patientNumber: z
      .strictObject({
        authority: z.string().min(1).optional().describe("PID-3.4, such as HIS; any where left out."),
        type: z.string().min(1).optional().describe("PID-3.5, such as MR or PI; any where left out."),
      })
      .prefault({})
      .describe("Which of the numbers in PID-3 is the patient's here; the first that matches."),
    label: z
      .enum(["initials", "pseudonym", "number", "name"])
      .default("initials")
      .describe("What the wall shows: Z.W. or 张*; P- and five letters; the patient's number; the full name."),
    beds: z
      .array(z.strictObject({ location, bed: z.string().min(1) }))
      .min(1)
      .describe(
        "The hospital's place of each bed. A bed of one of these points of care that is not listed is a technical alert; other points of care are other wards.",
      ),
    characterSet: z
      .enum(["utf-8", "gb18030", "latin-1", "ascii"])
      .default("utf-8")
      .describe("Of messages that do not name theirs in MSH-18; gb18030 reads GBK and GB2312 as well."),
    believeDeclaredCharacterSet: z
      .boolean()
      .default(true)
      .describe("false where MSH-18 is wrong: all is read in `characterSet`."),
    admitOnUpdate: z
      .boolean()
      .default(false)
      .describe("Whether an update (A08) admits who is not here: for the first days beside patients who were there before."),
    silenceMinutesMax: z
      .int()
      .min(1)
      .max(43_200)
      .nullable()
      .default(null)
      .describe("So long without any message is a technical alert; null: never."),
  })
  .describe("HL7 ADT by MLLP: the hospital's own system admits, moves and discharges.");

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
