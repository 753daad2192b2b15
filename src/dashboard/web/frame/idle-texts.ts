/** Texts of the warning before a page that nobody uses is signed out. */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const IDLE_TEXTS = {
  idleTitle: { en: "You will be signed out soon; touch to stay", zh: "即将自动退出登录，触摸屏幕即可保持" },
  idleSeconds: { en: "in {n} s", zh: "{n} 秒后" },
  idleStay: { en: "Stay signed in", zh: "保持登录" },
} as const;
