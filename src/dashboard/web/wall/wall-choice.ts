import type { WallOrder } from "./wall-order.ts";

const wardKey = "vigil-wall-ward";
const orderKey = "vigil-wall-order";

/** What a person chose for the wall of this browser; null where nothing was chosen. */
export interface WallChoice {
  readonly ward: string | null;
  readonly order: WallOrder | null;
}

/** Reads what was chosen before; a browser may forbid storage, then the choice lasts as long as the page. */
export function readWallChoice(): WallChoice {
  try {
    const order = localStorage.getItem(orderKey);
    return { ward: localStorage.getItem(wardKey), order: order === "beds" || order === "urgency" ? order : null };
  } catch {
    return { ward: null, order: null };
  }
}

/** Keeps a choice for the next time. */
export function keepWallChoice({ ward, order }: WallChoice): void {
  try {
    for (const [key, value] of [
      [wardKey, ward],
      [orderKey, order],
    ] as const) {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    }
  } catch {
    // Not kept: the wall begins with all wards next time, which hides nothing.
  }
}
