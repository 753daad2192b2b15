import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { DiskFigures, Examined, Family } from "./examined.ts";
import { systemCode } from "./files.ts";
import type { FindingId } from "./findings.ts";
import { found, notTried, type Outcome, well } from "./outcome.ts";

const BYTES_PER_MEGABYTE = 1_000_000;
/** Below it a disk counts as nearly full: a commit, a new segment and the logs of an hour. */
const ROOM_MEGABYTES_MIN = 200;
/** The journal has some dozens of files; others on the disk need some too. */
const FILES_LEFT_MIN = 1000;

/** Kinds of file systems by their magic number. Source: statfs(2), linux/magic.h. */
const DISK_KINDS: ReadonlyMap<number, { readonly name: string; readonly finding: FindingId }> = new Map([
  [0x01021994, { name: "tmpfs", finding: "disk-is-memory" }],
  [0x858458f6, { name: "ramfs", finding: "disk-is-memory" }],
  [0x6969, { name: "nfs", finding: "disk-is-network" }],
  [0x517b, { name: "smb", finding: "disk-is-network" }],
  [0xff534d42, { name: "cifs", finding: "disk-is-network" }],
  [0xfe534d42, { name: "smb2", finding: "disk-is-network" }],
  [0x01021997, { name: "9p", finding: "disk-is-network" }],
  [0x00c36400, { name: "ceph", finding: "disk-is-network" }],
  [0x65735546, { name: "fuse", finding: "disk-is-network" }],
  [0x4d44, { name: "vfat", finding: "disk-is-foreign" }],
  [0x2011bab0, { name: "exfat", finding: "disk-is-foreign" }],
  [0x794c7630, { name: "overlay", finding: "disk-is-layer" }],
]);

/** Whether the data folder can be written, and what it lies on. Nothing is written. */
export const examineStorage: Family = async (examined) => {
  const folder = examined.config.gateway.dataFolder;
  const rights = [...(await examineRights(folder)), ...(await examineUser(examined))];
  const there = await nearestFolder(folder);
  try {
    const disk = await examined.probes.statfs(there);
    return [...rights, ...examineRoom(disk, examined), examineKind(disk, folder)];
  } catch (error) {
    const why = { en: `the disk does not say (${systemCode(error)})`, zh: `磁盘未给出信息（${systemCode(error)}）` };
    return [...rights, notTried("disk-room", folder, why), notTried("disk-kind", folder, why)];
  }
};

async function examineRights(folder: string): Promise<readonly Outcome[]> {
  const there = await nearestFolder(folder);
  const outcomes: Outcome[] = [];
  try {
    await access(there, constants.R_OK | constants.W_OK | constants.X_OK);
    if (!(await stat(there)).isDirectory()) outcomes.push(found("data-folder-not-writable", there, { cause: "ENOTDIR" }));
  } catch (error) {
    outcomes.push(found("data-folder-not-writable", there, { cause: systemCode(error) }));
  }
  if (there === folder && ((await stat(there)).mode & 0o007) !== 0) outcomes.push(found("data-folder-open", folder));
  return outcomes.length > 0 ? outcomes : [well("data-folder", folder)];
}

/** Root may everything: what its looking says of rights holds for nobody else. */
async function examineUser({ config, probes }: Examined): Promise<readonly Outcome[]> {
  const folder = config.gateway.dataFolder;
  if (probes.userId !== 0) return [];
  const owner = await stat(folder).then(
    ({ uid }) => uid,
    () => 0,
  );
  const why = {
    en: `rights were looked at as root, not as the gateway's user (number ${owner})`,
    zh: `权限是以 root 而非网关用户（编号 ${owner}）检查的`,
  };
  return owner === 0 ? [] : [notTried("data-folder", folder, why)];
}

/** The folder itself, or where it is not made yet the one above it that is there. */
async function nearestFolder(folder: string): Promise<string> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      await stat(path);
      return path;
    } catch (error) {
      if (systemCode(error) !== "ENOENT" || path === dirname(path)) return path;
    }
  }
}

function examineRoom(disk: DiskFigures, { config }: Examined): readonly Outcome[] {
  const folder = config.gateway.dataFolder;
  const leftMegabytes = Math.floor((disk.bavail * disk.bsize) / BYTES_PER_MEGABYTE);
  const wholeMegabytes = Math.floor((disk.blocks * disk.bsize) / BYTES_PER_MEGABYTE);
  const facts = { leftMegabytes, wholeMegabytes };
  const { sizeMegabytesMax, waves } = config.journal;
  const planMegabytes = sizeMegabytesMax + waves.ringMegabytesMax + waves.stripMegabytesMax;
  const outcomes: Outcome[] = [];
  if (leftMegabytes < ROOM_MEGABYTES_MIN) outcomes.push(found("disk-nearly-full", folder, facts));
  // What the journal has taken already is not left; a disk that is as large as the plan is large enough.
  else if (wholeMegabytes < planMegabytes + ROOM_MEGABYTES_MIN)
    outcomes.push(found("disk-smaller-than-plan", folder, { ...facts, planMegabytes }));
  if (disk.files > 0 && disk.ffree < FILES_LEFT_MIN)
    outcomes.push(found("disk-files-used-up", folder, { leftFiles: disk.ffree, wholeFiles: disk.files }));
  return outcomes.length > 0 ? outcomes : [well("disk-room", folder)];
}

function examineKind({ type }: DiskFigures, folder: string): Outcome {
  // Some systems hand the number on with its sign.
  const kind = DISK_KINDS.get(type >>> 0);
  return kind === undefined ? well("disk-kind", folder) : found(kind.finding, folder, { kind: kind.name });
}
