/** Texts of the answers to "is it still on this patient?". */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const STILL_ON_PATIENT_TEXTS = {
  stillOnYes: { en: "Yes, still on {patient}", zh: "是，仍在 {patient} 身上" },
  stillOnAnother: { en: "On another patient …", zh: "在其他患者身上…" },
  stillOnNobody: { en: "On nobody: take off …", zh: "不在任何人身上：解除…" },
  "flag.patient-unconfirmed": { en: "patient not confirmed", zh: "患者待确认" },
} as const;
