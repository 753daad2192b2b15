import type { ChannelConfig, Config } from "../../config/schema.ts";
import { alertText } from "../core/alert-text.ts";
import { tellingKey } from "../core/notice.ts";
import type { Clock } from "../core/time.ts";
import type { PlaceOfBed } from "../core/upstream.ts";
import type { OpenNotices } from "../gateway/alert-routes.ts";
import { type HttpChannelParts, robotChannel, webhookChannel } from "../notices/http-channels.ts";
import { type Channel, openNoticeDesk } from "../notices/notice-desk.ts";

/** Opens the channels of a configuration for its routes. */
export function noticesOf(
  { channels, gateway }: Pick<Config, "channels" | "gateway">,
  parts: { readonly clock: Clock; readonly random: () => number; readonly placeOf: PlaceOfBed },
): OpenNotices {
  const { clock, random, placeOf } = parts;
  return (word) =>
    openNoticeDesk({
      clock,
      random,
      word,
      channels: channels.map((channel) => channelOf(channel, { clock, localTime })),
      messageOf: ({ name, way, alert }) => ({
        key: tellingKey(name),
        alert,
        text: { en: alertText(alert, "en"), zh: alertText(alert, "zh") },
        place: alert.subject.bedId === null ? null : placeOf(alert.subject.bedId),
        // No name leaves by a chat group or a program unless somebody says that it may; the bed is enough to go there.
        patient: null,
        address: way.address,
        drill: false,
        gatewayId: gateway.id,
      }),
    });
}

function channelOf(channel: ChannelConfig, parts: HttpChannelParts): Channel {
  return channel.kind === "webhook" ? webhookChannel(channel, parts) : robotChannel(channel, parts);
}

/** A wall time as people at the gateway write it, such as `11-23 08:05`. */
function localTime(atMs: number): string {
  const at = new Date(atMs);
  const two = (number: number) => String(number).padStart(2, "0");
  return `${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
