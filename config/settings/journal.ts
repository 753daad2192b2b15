import * as z from "zod";

/** How much the gateway keeps. */
export const journal = z
  .strictObject({
    sizeMegabytesMax: z
      .int()
      .min(16)
      .max(1_000_000)
      .default(2048)
      .describe(
        "Oldest observations are dropped beyond it; alerts, acts and receipts never. | 超出后舍弃最旧的观测值；报警、操作、回执永不舍弃。",
      ),
    waves: z
      .strictObject({
        ringMinutes: z
          .number()
          .min(1)
          .max(1440)
          .default(10)
          .describe("Waves older than this are dropped. | 更早的波形会被舍弃。"),
        ringMegabytesMax: z
          .int()
          .min(1)
          .max(1_000_000)
          .default(256)
          .describe(
            "Beyond it the oldest waves go early, and the loss is recorded. Fifty beds with four waves are 40 MB. | 超出后提前舍弃最旧的波形并记录。五十张床各四道波形约 40 MB。",
          ),
        stripSecondsBefore: z
          .number()
          .min(0)
          .max(300)
          .default(30)
          .describe("The waves so long before a patient's alert are kept with it. | 患者报警前这么久的波形随报警保存。"),
        stripSecondsAfter: z.number().min(0).max(300).default(30).describe("And so long after it. | 以及报警后这么久的波形。"),
        stripMegabytesMax: z
          .int()
          .min(1)
          .max(1_000_000)
          .default(256)
          .describe(
            "All strips together; beyond it the oldest goes, and the loss is recorded. | 全部波形片段合计；超出后舍弃最旧的并记录。",
          ),
      })
      .prefault({}),
  })
  .prefault({});
