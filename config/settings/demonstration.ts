import * as z from "zod";
import { filePath } from "./fields.ts";

/** The demonstration's own section; a gateway that watches anybody must not have it. */
export const demonstration = z
  .strictObject({
    socketFile: filePath.describe(
      "The local socket at which the simulated devices take what a person wants changed; `npm start` writes it. | 模拟设备接收更改的本地套接字；由 `npm start` 写入。",
    ),
  })
  .describe(
    "Only for the demonstration, which `npm start` sets up: on a bed's page its simulated patients can be made worse, sensors taken off and cables pulled. Refused where any device measures. | 仅供 `npm start` 的演示使用：可在床位页面上让模拟患者恶化、取下传感器、拔掉线缆。有任何实测设备时拒绝。",
  );
