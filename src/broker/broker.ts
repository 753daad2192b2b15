import { join } from "node:path";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { BrokerInlet, UnheardMessage } from "../core/ports.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock, Timer, WallMs } from "../core/time.ts";
import { Admission } from "./admission.ts";
import { type BrokerAccount, type BrokerAccounts, type NewBrokerAccount, openBrokerAccounts } from "./broker-accounts.ts";
import { type BrokerDoor, openDoor, type PlainDoorSpec, type TlsDoorSpec } from "./broker-door.ts";
import { ClientRoom, type TrafficCounts } from "./client-room.ts";
import { DurableMap } from "./durable-map.ts";
import { type Library, startLibrary } from "./library.ts";
import { PasswordCheck } from "./password-check.ts";
import { type LastRefusal, RefusalLedger, type RefusalReason } from "./refusals.ts";
import { SessionStore, type SessionStoreView } from "./session-store.ts";
import { Switchboard } from "./switchboard.ts";
import type { TopicRight } from "./topic-rights.ts";

/** What a broker is told. */
export interface BrokerOptions {
  /** Full path of the folder that holds `broker-accounts.json` and `broker-sessions.log`. */
  readonly dataFolder: string;
  /** Null: only with TLS. */
  readonly plain: PlainDoorSpec | null;
  readonly tls: TlsDoorSpec | null;
  readonly connectionsMax: number;
  /** Largest payload of a message. */
  readonly messageBytesMax: number;
  /** Of one client. */
  readonly messagesPerSecondMax: number;
  /**
   * Filters of the topics of all configured devices: a message on one of them that no link listens to is not acknowledged, and its sender's
   * connection is ended, so that it is sent again.
   */
  readonly reservedTopics: readonly string[];
}

/** What a broker is made of. */
export interface BrokerParts {
  readonly clock: Clock;
  /** Unpredictable bytes. */
  readonly random: (bytes: number) => Buffer;
  /** Called with what is refused or fails: the first of a kind at once, then once a minute while it goes on, with `count`. */
  readonly report: (fault: Fault) => void;
  /** Called with each message that nobody of the gateway listens to, before it is acknowledged; the payload is good for this call only. Left out: nobody is told. */
  readonly onUnheard?: (message: UnheardMessage) => void;
  /** Whether a topic belongs to a device that came into use after the start: as `reservedTopics`. Left out: none does. */
  readonly isReserved?: (topic: string) => boolean;
}

/** One account, for pages and `vigil doctor`. */
export interface BrokerAccountView {
  readonly name: string;
  readonly clientIds: readonly string[];
  readonly rights: readonly TopicRight[];
  readonly opensFor: "password" | "certificate";
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly isExpired: boolean;
  readonly isConnected: boolean;
  /** Of its present connections. */
  readonly addresses: readonly string[];
  /** When its last bytes came, or null where none have since the start. */
  readonly heardAtMs: WallMs | null;
  readonly refusedCount: number;
  readonly lastRefusal: LastRefusal | null;
  /** Messages that it has sent and not been thanked for. */
  readonly heldCount: number;
}

/** What the broker is doing. */
export interface BrokerView {
  readonly ports: { readonly plain: number | null; readonly tls: number | null };
  readonly connectionsCount: number;
  readonly signedInCount: number;
  readonly accounts: readonly BrokerAccountView[];
  readonly traffic: TrafficCounts;
  readonly heldCount: number;
  readonly kept: SessionStoreView;
  readonly refused: Readonly<Partial<Record<RefusalReason, number>>>;
}

/** A running broker. */
export interface Broker {
  /** Where the gateway's links listen. */
  readonly inlet: BrokerInlet;
  readonly ports: { readonly plain: number | null; readonly tls: number | null };
  /** Lets clients in; until then they wait at the door. Called when every link listens. */
  readonly admit: () => void;
  readonly addAccount: (account: NewBrokerAccount) => Promise<Result<{ readonly password: string | null }, Fault>>;
  /** Its connections are ended and what is kept for it is forgotten. */
  readonly removeAccount: (name: string) => Promise<Result<void, Fault>>;
  readonly renewPassword: (name: string) => Promise<Result<{ readonly password: string }, Fault>>;
  readonly listAccounts: () => readonly BrokerAccountView[];
  readonly view: () => BrokerView;
  /** Ends all connections, within a second. */
  readonly close: () => Promise<void>;
}

/** Name of the accounts' file in the data folder. */
export const BROKER_ACCOUNTS_FILE = "broker-accounts.json";
const SESSIONS_FILE = "broker-sessions.log";
/** What is not closed by itself after so many times `brokerCloseMsMax` is left to the operating system. */
const CLOSE_STEPS = 3;

/**
 * Starts the gateway's own MQTT 3.1.1 server. Nobody gets in without an account.
 *
 * @returns  `broker-failed` where a port or a file cannot be opened, `broker-accounts-unreadable` where the accounts cannot be read.
 */
export async function startBroker(options: BrokerOptions, parts: BrokerParts): Promise<Result<Broker, Fault>> {
  const { clock, random, report } = parts;
  const accountsFile = join(options.dataFolder, BROKER_ACCOUNTS_FILE);
  const accounts = await openBrokerAccounts(accountsFile, { now: clock.wall, random });
  if (!accounts.ok) return accounts;
  const map = await DurableMap.open(join(options.dataFolder, SESSIONS_FILE), {
    clock,
    onTrouble: (code) => code !== null && report(fault("broker-store-failed", { reason: code })),
  });
  if (!map.ok) return fail(fault("broker-failed", { file: SESSIONS_FILE, reason: map.error }));
  const inside = await furnish({ options, parts, accounts: accounts.value, map: map.value });
  const doors = await openDoors(options, inside.room);
  if (!doors.ok) {
    await inside.close();
    return doors;
  }
  inside.room.openDoors(doors.value.all);
  return succeed(new RunningBroker({ parts, accounts: accounts.value, inside, doors: doors.value }));
}

/** Everything behind the doors. */
interface Inside {
  readonly room: ClientRoom;
  readonly switchboard: Switchboard;
  readonly store: SessionStore;
  readonly ledger: RefusalLedger;
  readonly admission: Admission;
  readonly library: Library;
  readonly close: () => Promise<void>;
}

async function furnish(of: {
  readonly options: BrokerOptions;
  readonly parts: BrokerParts;
  readonly accounts: BrokerAccounts;
  readonly map: DurableMap;
}): Promise<Inside> {
  const { options, accounts, map } = of;
  const { clock, random, report } = of.parts;
  const ledger = new RefusalLedger({ clock, report });
  const admission = new Admission({ accounts, clock, passwords: new PasswordCheck({ clock, random }) });
  const { onUnheard = () => {}, isReserved = () => false } = of.parts;
  const room = new ClientRoom({ accounts, admission, clock, ledger, onUnheard, isReserved, ...options });
  const onFailure = () => report(fault("broker-store-failed", { reason: "library" }));
  const library = await startLibrary({ ...room.libraryOwner(), onFailure });
  const store = await SessionStore.attach(map, library.persistence, room.storeOwner());
  // Of accounts that were removed while no broker ran.
  for (const clientId of store.clientIds()) if (accounts.findByClientId(clientId) === null) await store.forget(clientId);
  const switchboard = new Switchboard({
    clock,
    retained: (filters) => store.retained(filters),
    downCause: (account) => room.downCause(account),
  });
  room.furnish({ library, store, switchboard });
  const close = async () => {
    switchboard.close();
    room.close();
    await atMost(clock, library.close());
    map.hurry();
    await atMost(clock, store.settled());
    await map.close();
    ledger.close();
  };
  return { room, switchboard, store, ledger, admission, library, close };
}

interface Doors {
  readonly plain: BrokerDoor | null;
  readonly tls: BrokerDoor | null;
  readonly all: readonly BrokerDoor[];
}

async function openDoors({ plain, tls }: BrokerOptions, room: ClientRoom): Promise<Result<Doors, Fault>> {
  const opened: (BrokerDoor | null)[] = [];
  for (const spec of [plain, tls]) {
    const door = spec === null ? succeed(null) : await openDoor(spec, room.doorOwner());
    if (!door.ok) {
      for (const other of opened) await other?.close();
      return door;
    }
    opened.push(door.value);
  }
  const [plainDoor = null, tlsDoor = null] = opened;
  return succeed({ plain: plainDoor, tls: tlsDoor, all: opened.filter((door) => door !== null) });
}

class RunningBroker implements Broker {
  readonly inlet: BrokerInlet;
  readonly ports: Broker["ports"];
  readonly #parts: BrokerParts;
  readonly #accounts: BrokerAccounts;
  readonly #inside: Inside;
  readonly #doors: Doors;
  readonly #timers: readonly Timer[];
  #accountsTrouble = false;

  constructor(of: {
    readonly parts: BrokerParts;
    readonly accounts: BrokerAccounts;
    readonly inside: Inside;
    readonly doors: Doors;
  }) {
    this.#parts = of.parts;
    this.#accounts = of.accounts;
    this.#inside = of.inside;
    this.#doors = of.doors;
    this.inlet = of.inside.switchboard.inlet;
    this.ports = { plain: of.doors.plain?.port ?? null, tls: of.doors.tls?.port ?? null };
    const { clock } = of.parts;
    this.#accounts.onChanged((former) => this.#accountChanged(former));
    this.#timers = [
      clock.every(LIMITS.brokerAccountsLookMs.value, () => void this.#lookAtAccounts()),
      clock.after(LIMITS.brokerWillGraceMs.value, () => this.#inside.room.publishOrphanWills()),
    ];
  }

  readonly admit = (): void => {
    for (const door of this.#doors.all) door.admit();
  };

  readonly addAccount: Broker["addAccount"] = (account) => this.#accounts.add(account);

  readonly removeAccount: Broker["removeAccount"] = (name) => this.#accounts.remove(name);

  readonly renewPassword: Broker["renewPassword"] = (name) => this.#accounts.renewPassword(name);

  readonly listAccounts = (): readonly BrokerAccountView[] => {
    const nowMs = this.#parts.clock.wall();
    return this.#accounts.list().map((account) => {
      const { name, clientIds, rights, password, createdAtMs, expiresAtMs } = account;
      const refused = this.#inside.ledger.ofAccount(name);
      return {
        ...{ name, clientIds, rights, createdAtMs, expiresAtMs },
        opensFor: password === null ? "certificate" : "password",
        isExpired: expiresAtMs !== null && expiresAtMs <= nowMs,
        ...this.#inside.room.presenceOf(name),
        refusedCount: refused.count,
        lastRefusal: refused.last,
      };
    });
  };

  readonly view = (): BrokerView => ({
    ports: this.ports,
    ...this.#inside.room.view(),
    accounts: this.listAccounts(),
    kept: this.#inside.store.view(),
    refused: this.#inside.ledger.counts(),
  });

  readonly close = async (): Promise<void> => {
    for (const timer of this.#timers) timer.stop();
    await this.#inside.close();
    await Promise.all(this.#doors.all.map((door) => atMost(this.#parts.clock, door.close())));
  };

  /** By us or by a command that wrote the file. */
  #accountChanged({ name, clientIds }: BrokerAccount): void {
    const isGone = this.#accounts.find(name) === null;
    this.#inside.admission.forget(name);
    this.#inside.room.endAccount(name, isGone ? "account-removed" : "account-changed");
    for (const clientId of clientIds) {
      if (this.#accounts.findByClientId(clientId) === null) void this.#inside.store.forget(clientId);
    }
  }

  async #lookAtAccounts(): Promise<void> {
    this.#inside.room.endExpired();
    const read = await this.#accounts.refresh();
    if (!read.ok && !this.#accountsTrouble) this.#parts.report(read.error);
    this.#accountsTrouble = !read.ok;
  }
}

async function atMost(clock: Clock, work: Promise<unknown>): Promise<void> {
  const stop = new AbortController();
  await Promise.race([work, clock.sleep(LIMITS.brokerCloseMsMax.value * CLOSE_STEPS, stop.signal)]);
  stop.abort();
}
