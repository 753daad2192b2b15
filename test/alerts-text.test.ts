import { describe, expect, test } from "vitest";
import type { Evidence } from "../src/core/alert.ts";
import { type AlertTextSource, alertRemedy, alertText } from "../src/core/alert-text.ts";
import { ERRORS } from "../src/core/errors.ts";
import { deviceId, seq } from "../src/core/ids.ts";
import { wallMs } from "../src/core/time.ts";

function alert(evidence: Evidence): AlertTextSource {
  return {
    rule: "r",
    nature: "technical",
    priority: "medium",
    subject: { patientId: null, bedId: null, deviceId: deviceId("monitor-3"), part: null },
    evidence,
  };
}

const AT = wallMs(1);
// biome-ignore format: one row a line, so that it reads as the table it is.
const TEXTS: readonly [Evidence, string, string][] = [
  [{ kind: "limit", quantity: "oxygenSaturation", side: "low", value: 84, limit: 90, sinceMs: AT, observationSeq: seq(1) }, "Oxygen saturation low: 84 % (limit 90 %)", "血氧饱和度过低：84 %（限值 90 %）"],
  [{ kind: "limit", quantity: "bodyTemperature", side: "high", value: 40.6, limit: 40.5, sinceMs: AT, observationSeq: seq(1) }, "Body temperature high: 40.6 °C (limit 40.5 °C)", "体温过高：40.6 °C（限值 40.5 °C）"],
  [{ kind: "limit", quantity: "systolicPressure", side: "low", value: 78, limit: 80, sinceMs: AT, observationSeq: seq(1) }, "Systolic pressure (cuff) low: 78 mmHg (limit 80 mmHg)", "收缩压（袖带）过低：78 mmHg（限值 80 mmHg）"],
  [{ kind: "score", modelId: "news2", modelVersion: "1", points: 7, partial: true, parts: { heartRate: 2, respiratoryRate: 3, oxygenSaturation: 2, bodyTemperature: 0 }, missing: ["consciousness"], predictionSeq: null }, "NEWS2 at least 7 points: Respiratory rate 3, Heart rate 2, Oxygen saturation 2 (missing Consciousness)", "NEWS2 评分 至少 7 分：呼吸频率 3、心率 2、血氧饱和度 2（缺 意识）"],
  [{ kind: "score-partial", modelId: "news2", missing: ["onOxygen"], sinceMs: AT }, "NEWS2 has been incomplete for long: missing Oxygen therapy", "NEWS2 评分长时间不完整，缺 吸氧"],
  [{ kind: "device-silent", lastHeardAtMs: null, limitSeconds: 15 }, "monitor-3 silent for over 15 s (never heard)", "monitor-3 超过 15 秒无数据（从未收到）"],
  [{ kind: "quantity-missing", quantity: "heartRate", lastValidAtMs: null, limitSeconds: 10, why: "sensor-off" }, "Heart rate: no usable value for over 10 s (sensor off)", "心率超过 10 秒无可用数值（传感器脱落）"],
  [{ kind: "stuck", quantity: "heartRate", value: 72, sinceMs: AT, limitSeconds: 30 }, "Heart rate stuck at 72 /min for over 30 s (monitor-3)", "心率停在 72 /min 超过 30 秒（monitor-3）"],
  [{ kind: "unassigned", sinceMs: AT }, "monitor-3 sends data but is assigned to nobody", "monitor-3 正在发送数据，但未分配给任何患者"],
  [{ kind: "not-measured", origin: "test", sinceMs: AT }, "monitor-3 sends test data, which raises no alert on this patient", "monitor-3 发送的是测试数据，不会触发患者报警"],
  [{ kind: "still-on-patient", why: "gap", gapSeconds: 2869, limitSeconds: 1800, sinceMs: AT }, "Is monitor-3 still on this patient? It measures again after 47 min", "monitor-3 仍在该患者身上吗？中断 47 分钟后又开始测量"],
  [{ kind: "still-on-patient", why: "gap", gapSeconds: 7200, limitSeconds: 1800, sinceMs: AT }, "Is monitor-3 still on this patient? It measures again after 2 h", "monitor-3 仍在该患者身上吗？中断 2 小时后又开始测量"],
  [{ kind: "still-on-patient", why: "gap", gapSeconds: 172_800, limitSeconds: 1800, sinceMs: AT }, "Is monitor-3 still on this patient? It measures again after 2 days", "monitor-3 仍在该患者身上吗？中断 2 天后又开始测量"],
  [{ kind: "still-on-patient", why: "gap", gapSeconds: null, limitSeconds: 1800, sinceMs: AT }, "Is monitor-3 still on this patient? It measures again after more than 30 min", "monitor-3 仍在该患者身上吗？中断超过 30 分钟后又开始测量"],
  [{ kind: "still-on-patient", why: "moved", gapSeconds: null, limitSeconds: 1800, sinceMs: AT }, "Is monitor-3 still on this patient? They were moved to another bed, and it measures", "monitor-3 仍在该患者身上吗？患者已转床，设备仍在测量"],
  [{ kind: "device-alarm", code: "asystole", text: "ASYSTOLE" }, "Alarm of monitor-3: ASYSTOLE", "设备报警（monitor-3）：ASYSTOLE"],
  [{ kind: "fault", code: "journal-disk-full", facts: { folder: "/data" } }, "The disk is full (folder /data)", "磁盘已满（folder /data）"],
];

describe("what an alert says, in both languages", () => {
  for (const [evidence, en, zh] of TEXTS) {
    test(`${evidence.kind}: ${en}`, () => {
      expect(alertText(alert(evidence), "en")).toBe(en);
      expect(alertText(alert(evidence), "zh")).toBe(zh);
    });
  }
  test("a fault says what to do, a sick patient's alert does not presume to", () => {
    const fault = alert({ kind: "fault", code: "journal-disk-full", facts: {} });
    expect(alertRemedy(fault, "en")).toBe(ERRORS["journal-disk-full"].remedy.en);
    expect(alertRemedy(fault, "zh")).toBe(ERRORS["journal-disk-full"].remedy.zh);
    const [limit] = TEXTS;
    expect(limit === undefined ? "" : alertRemedy(alert(limit[0]), "en")).toBeNull();
    expect(alertRemedy(alert({ kind: "unassigned", sinceMs: AT }), "en")).toMatch(/Assign/);
  });
});
