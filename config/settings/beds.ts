import * as z from "zod";
import { name } from "./fields.ts";

const shortText = z.string().trim().min(1).max(40);

/** One bed. */
export const bed = z.strictObject({
  id: name,
  title: shortText.describe("What staff call it, such as 301-2. | 医护人员的叫法，如 301-2。"),
  room: shortText
    .optional()
    .describe(
      "The room it stands in, such as 301; beds of the same room are written alike. | 所在病房，如 301；同一病房的床位写法须一致。",
    ),
  ward: shortText
    .optional()
    .describe(
      "The ward it belongs to, such as 3 East; the wall groups beds by it where there is more than one. | 所属病区，如三东；有多个病区时总览按此分组。",
    ),
});

/** When it is asked whether a device is still on its patient. */
export const assignment = z
  .strictObject({
    askAfterMinutes: z
      .number()
      .min(1)
      .max(1440)
      .default(30)
      .describe(
        "A device that measures again after so long is asked for: is it still on its patient? Its values go on to the patient, marked, and alert. A device that measures now and then, such as a thermometer, asks each time that comes later. | 设备间隔这么久后再次测量时会询问：是否仍在原患者身上？其数值仍归该患者（带标记）并照常报警。体温计等偶尔测量的设备每次间隔更久都会询问。",
      ),
    askAwayAfterMinutes: z
      .number()
      .min(1)
      .max(1440)
      .default(5)
      .describe(
        "The same while the patient lies in another bed than the one the device stands at (`devices[].bed`). | 患者所在床位与设备所在床位（`devices[].bed`）不同时，同上。",
      ),
  })
  .prefault({});
