import { randomBytes } from "node:crypto";
import { openBrokerAccounts } from "../../src/broker/broker-accounts.ts";
import { createSystemClock } from "../../src/clock.ts";

/** Makes accounts in a file, as several commands at the same time would. Arguments: file, beginning of the names, how many. */
const [, , file = "", prefix = "", count = "1"] = process.argv;
const accounts = await openBrokerAccounts(file, { now: createSystemClock().wall, random: randomBytes });
if (!accounts.ok) throw new Error(JSON.stringify(accounts.error));
for (let number = 0; number < Number(count); number++) {
  const added = await accounts.value.add({ name: `${prefix}${number}` });
  if (!added.ok) throw new Error(JSON.stringify(added.error));
}
