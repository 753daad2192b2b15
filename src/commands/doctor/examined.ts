import type { Config } from "../../../config/schema.ts";
import type { JournalStats } from "../../core/ports.ts";
import type { GatewayView, PictureView } from "../../core/stream.ts";
import type { Clock } from "../../core/time.ts";
import type { StartView } from "../../gateway/starts.ts";
import type { SystemTime } from "../../gateway/system-time.ts";
import type { Outcome } from "./outcome.ts";

/** How large a disk is and how much of it is left, as statfs(2) says it. */
export interface DiskFigures {
  /** The kind of file system, by its magic number. */
  readonly type: number;
  readonly bsize: number;
  readonly blocks: number;
  readonly bavail: number;
  /** How many files it can have, 0 where there is no such bound, and how many more. */
  readonly files: number;
  readonly ffree: number;
}

/** Everything outside that the checks ask; tests plant their faults here where the machine itself cannot have them. */
export interface Probes {
  readonly clock: Clock;
  readonly systemTime: SystemTime;
  /** The root of the file system, with `/` at its end: `proc`, `etc`, `run` and `sys` are looked at below it. */
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
  /** The number of the user who asks; null where the system has none. */
  readonly userId: number | null;
  readonly node: { readonly version: string; readonly path: string };
  /** The folder of package.json and `models/`. */
  readonly projectRoot: string;
  readonly statfs: (path: string) => Promise<DiskFigures>;
  /** What `timedatectl` says of NTP: `yes`, `no`, or null where there is no such program. */
  readonly timedatectl: () => Promise<string | null>;
}

/** What the running gateway answered. */
export interface GatewayAnswer {
  readonly picture: PictureView;
  readonly stats: JournalStats & Pick<GatewayView, "upstreams">;
  /** The same a little later, to see what grows. */
  readonly upstreamsLater: GatewayView["upstreams"];
  readonly starts: readonly StartView[];
}

/** Whether a gateway is at work on the data folder. */
export type GatewayState =
  | { readonly kind: "answers"; readonly answer: GatewayAnswer }
  /** Its socket may not be opened by this user. */
  | { readonly kind: "no-rights" }
  /** Somebody holds its journal or its socket and does not answer. */
  | { readonly kind: "silent"; readonly pid: number | null }
  | { readonly kind: "absent" };

/** What is looked at: a configuration and the machine it is to run on. */
export interface Examined {
  readonly configFile: string;
  readonly config: Config;
  readonly gateway: GatewayState;
  readonly probes: Probes;
  /** Whether the sounder may sound. */
  readonly mayHear: boolean;
}

/** One family of checks. Looks, and changes nothing. */
export type Family = (examined: Examined) => Promise<readonly Outcome[]>;

/** Whether nobody's work is disturbed by opening ports and connections: a gateway that runs has them open. */
export function isIdle({ gateway }: Examined): boolean {
  return gateway.kind === "absent";
}
