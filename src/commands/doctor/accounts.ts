import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { BROKER_ACCOUNTS_FILE } from "../../broker/broker.ts";
import { openBrokerAccounts } from "../../broker/broker-accounts.ts";
import type { Family } from "./examined.ts";
import { found, foundFault, type Outcome, well } from "./outcome.ts";

/** Whether each device that comes by the gateway's own broker has an account there: nobody else gets in. */
export const examineAccounts: Family = async ({ config, probes }) => {
  const wanted = config.devices.flatMap(({ id, link }) =>
    link.kind === "mqtt" && link.server === undefined && link.account !== null ? [{ id, account: link.account ?? id }] : [],
  );
  if (config.broker === undefined || wanted.length === 0) return [];
  const file = join(config.gateway.dataFolder, BROKER_ACCOUNTS_FILE);
  const opened = await openBrokerAccounts(file, { now: probes.clock.wall, random: randomBytes });
  if (!opened.ok) return [foundFault("device-account", file, opened.error)];
  return wanted.map(({ id, account }): Outcome => {
    const entry = opened.value.find(account);
    if (entry === null) return found("device-account-missing", id, { account });
    const { expiresAtMs } = entry;
    return expiresAtMs !== null && expiresAtMs <= probes.clock.wall()
      ? found("device-account-expired", id, { account, at: new Date(expiresAtMs).toISOString() })
      : well("device-account", id);
  });
};
