import type { Deed } from "../../src/core/act.ts";
import type { Alert } from "../../src/core/alert.ts";
import type { Clock } from "../../src/core/time.ts";
import type { Witness } from "./judge.ts";
import type { Scenario } from "./schema.ts";

/** Something that happens to the gateway or its board. */
export type GatewayMoment = Scenario["gateway"][number];

/** The way from one device to the gateway. */
export interface Wire {
  /** Nothing arrives while the cable is out. */
  readonly send: (bytes: Uint8Array, channel: string) => void;
  readonly plug: () => void;
  readonly unplug: () => void;
  /** Called with what the gateway writes to the device. */
  readonly onReceive: (listener: (bytes: Uint8Array, channel: string) => void) => void;
  /** Called when the gateway opens its end, at the beginning and after it was gone. Never, where nobody can tell. */
  readonly onOpened: (listener: () => void) => void;
}

/** What a scenario is played against: a gateway with its time, its links and the people beside it. */
export interface World {
  /** The devices' time. */
  readonly clock: Clock;
  /** Lets time pass, in seconds. */
  readonly pass: (seconds: number) => Promise<void>;
  readonly wire: (deviceId: string) => Wire;
  /** What a person does; what the gateway refuses is counted and goes no further. */
  readonly perform: (deed: Deed) => Promise<void>;
  readonly openAlerts: () => readonly Alert[];
  readonly happen: (moment: GatewayMoment) => Promise<void>;
  /** All that was said so far. */
  readonly witness: () => Witness;
  readonly close: () => Promise<void>;
}
