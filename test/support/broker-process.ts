import { randomBytes } from "node:crypto";
import { startBroker } from "../../src/broker/broker.ts";
import { createSystemClock } from "../../src/clock.ts";

/**
 * A broker in a process of its own, to be killed. Arguments: data folder, port (0: any). Says `port <port>` when it lets clients in,
 * `fault <code>` for what it reports, and runs until it is killed.
 */
const [, , dataFolder = "", port = "0"] = process.argv;
const say = (line: string) => void process.stdout.write(`${line}\n`);
const bounds = { connectionsMax: 1000, messageBytesMax: 65_536, messagesPerSecondMax: 5000 };
const started = await startBroker(
  { dataFolder, plain: { host: "127.0.0.1", port: Number(port) }, tls: null, reservedTopics: [], ...bounds },
  { clock: createSystemClock(), random: randomBytes, report: ({ code }) => say(`fault ${code}`) },
);
if (!started.ok) throw new Error(JSON.stringify(started.error));
started.value.admit();
say(`port ${started.value.ports.plain}`);
setInterval(() => {}, 1000);
