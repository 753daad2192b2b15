import type { Role } from "../../core/act.ts";
import type { Fault } from "../../core/errors.ts";
import type { OperationsView } from "../../core/operations.ts";
import type { PerformAct } from "../../core/ports.ts";
import type { Clock } from "../../core/time.ts";
import type { DashboardSource, DemonstrationSource, SettingsSource } from "./source.ts";
import type { PageTls } from "./tls/page-certificate.ts";

/** Where and how the page is served. */
export interface DashboardOptions {
  /** Address to listen on; `127.0.0.1` unless the configuration says otherwise. */
  readonly host: string;
  /** TCP port; 0 takes any free one. */
  readonly port: number;
  /** Folder of `accounts.json` and `sessions.json`, made with mode 0700 when missing. */
  readonly dataFolder: string;
  /** Folder of the built pages, `dist/dashboard` of the project. */
  readonly webFolder: string;
  /** False only where everybody who reaches the port may see and act. */
  readonly signIn: boolean;
  /** How the page is encrypted; null or left out: not at all. */
  readonly tls?: PageTls | null;
  /** File of the bearer token with which others than this machine get `/metrics`; null or left out: nobody else does. */
  readonly metricsTokenFile?: string | null;
  /** How long a session of each role lasts at most, in minutes; `sessionHoursMax` where it is left out. */
  readonly sessionMinutes?: Readonly<Record<Role, number>>;
  /** After how long without use a session of each role ends, in minutes; null or left out: not for that. */
  readonly idleMinutes?: Readonly<Record<Role, number | null>>;
}

/** What the page needs of the gateway. */
export interface DashboardParts {
  readonly clock: Clock;
  readonly source: DashboardSource;
  readonly perform: PerformAct;
  /** Cryptographically strong random bytes, `randomBytes` of node:crypto. */
  readonly random: (bytes: number) => Buffer;
  /** How the gateway's process does, for `/metrics` and `/readyz`; left out: there are none. */
  readonly operations?: () => OperationsView;
  /** The configuration; left out: the pages do not show it. */
  readonly settings?: SettingsSource;
  /** The demonstration's devices; left out wherever this is none: there is no route to them then. */
  readonly demonstration?: DemonstrationSource;
  /** Begins a technical alert, or ends it with null; left out: nobody is told of a certificate's trouble. */
  readonly setFault?: (slot: string, reason: Fault | null) => void;
}
