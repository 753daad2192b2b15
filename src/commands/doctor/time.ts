import { readlink, stat } from "node:fs/promises";
import { FAR_AHEAD_MS, RELEASED_AT_MS } from "../../core/time.ts";
import type { Probes } from "./examined.ts";
import { found, notTried, type Outcome, well } from "./outcome.ts";

/** The clock and the time zone. `believe` is null where the configuration cannot be read. */
export async function examineTime(probes: Probes, believe: "system" | "always" | null): Promise<readonly Outcome[]> {
  return [await examineClock(probes, believe), await examineZone(probes)];
}

async function examineClock(probes: Probes, believe: "system" | "always" | null): Promise<Outcome> {
  const nowMs = probes.clock.wall();
  const subject = new Date(nowMs).toISOString();
  if (nowMs < RELEASED_AT_MS) return found("clock-unset", subject);
  if (nowMs >= FAR_AHEAD_MS) return found("clock-far-ahead", subject);
  if (believe === "always") return well("clock", subject);
  switch (probes.systemTime.word()) {
    case "synchronised":
      return well("clock", subject);
    case "not-synchronised":
      return found("clock-not-synchronised", subject);
    case "unknown":
      return await examineUnkept(probes, subject);
  }
}

/** Without systemd's own time service another may be at work (chrony, ntpd); the kernel knows. */
async function examineUnkept(probes: Probes, subject: string): Promise<Outcome> {
  const word = await probes.timedatectl();
  if (word === "yes") return well("clock", subject);
  if (word === "no") return found("clock-unkept", subject);
  return notTried("clock", subject, { en: "nothing here says whether the clock is kept right", zh: "本机未给出时钟是否已校准" });
}

async function examineZone({ root, env }: Probes): Promise<Outcome> {
  const named = env["TZ"];
  if (named !== undefined && named !== "") return well("time-zone", named);
  const path = `${root}etc/localtime`;
  const target = await readlink(path).catch(() => null);
  if (target !== null) {
    const zone = target.replace(/^.*zoneinfo\//, "");
    return /(^|\/)(UTC|UCT|Universal|Zulu)$/.test(zone) ? found("time-zone-unset", zone) : well("time-zone", zone);
  }
  // A copy of a zone's file, as some images have it, does not say its name.
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  return isThere ? well("time-zone", path) : found("time-zone-unset", path);
}
