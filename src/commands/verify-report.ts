import { FINDINGS, type Finding } from "../verify/finding.ts";
import type { Verification } from "./verify.ts";

type Print = (line: string) => void;

/** Prints what was found for programs: a JSON line each per life, device, reader, far side and finding, then the summary. */
export function printLines(found: Verification, print: Print): void {
  const line = (kind: string, fields: object) => print(JSON.stringify({ kind, ...fields }));
  for (const life of found.lives)
    line("life", { ...life, startedAt: timeText(life.startedAtMs), lastAt: timeText(life.lastAtMs) });
  for (const device of found.devices) line("device", device);
  for (const reader of found.readers) line("reader", reader);
  for (const farSide of found.farSides) line("far-side", farSide);
  for (const finding of found.findings)
    line("finding", { ...finding, wrong: FINDINGS[finding.rule].wrong, says: FINDINGS[finding.rule].says });
  line("summary", {
    ok: found.ok,
    gatewayId: found.gatewayId,
    epoch: found.epoch,
    running: found.isRunning,
    from: found.window.isWhole ? null : timeText(found.window.fromMs),
    to: found.window.isWhole ? null : timeText(found.window.toMs),
    records: found.recordCount,
    endSeq: found.endSeq,
    lives: found.lives.length,
    lost: sums(found.lives.map((life) => life.lost)),
    wavesLost: found.wavesLost,
    unexplained: found.wrong,
    said: found.said,
  });
}

/** Prints the same for people, in both languages. */
export function printTable(found: Verification, print: Print): void {
  const state = found.isRunning ? "a gateway is at work 网关运行中" : "no gateway is at work 网关未运行";
  print(`${found.gatewayId} ${found.epoch ?? "?"} (${state}): ${found.recordCount} records up to ${found.endSeq} 条记录`);
  print("life 运行期 | from 开始 | to 最后 | end 结束 | kept 保存 | lost 丢失 | left out 跳过 | not counted 未计数");
  for (const life of found.lives) {
    const kept = Object.values(life.kept).reduce((sum, count) => sum + count, 0);
    const { numbers, lastedMs } = life.notCounted;
    const uncounted = numbers === 0 ? "0" : `${numbers} in ${(lastedMs / 1000).toFixed(1)} s`;
    print(
      `  ${life.life} | ${timeText(life.startedAtMs)} | ${timeText(life.lastAtMs)} | ${life.ended} | ${kept} | ${listText(life.lost)} | ${life.leftOutCount} | ${uncounted}`,
    );
  }
  printDevices(found, print);
  printReaders(found, print);
  printFindings(found.findings, print);
  const wrong = listText(found.wrong);
  print(
    found.ok
      ? "OK: every record is where it must be, once. 每条记录均在位且唯一。"
      : `NOT EXPLAINED 无法解释: ${wrong}. Numbers and remedies are in the lines above. 详见上文。`,
  );
}

function printDevices(found: Verification, print: Print): void {
  if (found.devices.length === 0) return;
  print(
    "device 设备 | readings 读数 = observations 观测 + repeats 重复 | refused 拒收 | kept 保存 (counted 已计数) | lost 丢失 | twice 重复编号 | out of order 乱序 | late 迟到 | delivered 已送达",
  );
  for (const { deviceId, received, kept, keptCounted, lost, duplicated, outOfOrder, late, readers } of found.devices) {
    const refused = Object.values(received.refusals).reduce((sum, count) => sum + count, 0);
    const delivered = Object.entries(readers).map(([reader, counts]) => `${reader} ${counts.delivered}`);
    print(
      `  ${deviceId} | ${received.readings} = ${received.observations} + ${received.repeats} | ${refused} | ${kept} (${keptCounted}) | ${listText(lost)} | ${duplicated} | ${outOfOrder} | ${late} | ${delivered.join(", ") || "-"}`,
    );
  }
}

function printReaders(found: Verification, print: Print): void {
  for (const { reader, upTo, records, lost, receipts } of found.readers) {
    const answers = Object.entries(receipts).map(
      ([state, { count, p50Ms, p99Ms }]) => `${state} ${count} (p50 ${p50Ms} ms, p99 ${p99Ms} ms)`,
    );
    print(
      `reader 读取者 ${reader}: up to ${upTo ?? "-"}; delivered 已送达 ${records.delivered}, waiting 等待 ${records.waiting}, refused 被拒 ${records.refused}, gone 未取先失 ${records.gone}; lost 丢失 ${listText(lost)}; receipts 回执 ${answers.join(", ") || "-"}`,
    );
  }
  for (const side of found.farSides) {
    const delay = (figures: typeof side.liveDelay) =>
      figures === null ? "-" : `p50 ${figures.p50Ms} ms, p99 ${figures.p99Ms} ms`;
    print(
      `far side 对端 ${side.reader}: ${side.records} records 记录, duplicates marked 重发 ${side.duplicatesMarked}, unmarked 未标记 ${side.duplicatesUnmarked}; live 实时 ${delay(side.liveDelay)}; backlog 积压 ${delay(side.backlogDelay)}`,
    );
  }
}

function printFindings(findings: readonly Finding[], print: Print): void {
  for (const { rule, fromSeq, toSeq, count, facts } of findings) {
    const { wrong, says } = FINDINGS[rule];
    const place = fromSeq === null ? "" : fromSeq === toSeq ? ` ${fromSeq}` : ` ${fromSeq} to ${toSeq}`;
    print(`${wrong ? "WRONG 错误" : "said 说明"} ${rule}${place} (${count}): ${says.en} ${says.zh} ${JSON.stringify(facts)}`);
  }
}

function timeText(atMs: number): string | null {
  return Number.isFinite(atMs) && Math.abs(atMs) < 8.64e15 ? new Date(atMs).toISOString() : null;
}

function listText(counts: Readonly<Partial<Record<string, number>>>): string {
  const entries = Object.entries(counts);
  return entries.length === 0 ? "0" : entries.map(([name, count]) => `${name} ${count}`).join(", ");
}

function sums(lists: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const all: Record<string, number> = {};
  for (const list of lists) for (const [name, count] of Object.entries(list)) all[name] = (all[name] ?? 0) + count;
  return all;
}
