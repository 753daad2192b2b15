import { ERRORS, type Fault } from "../core/errors.ts";
import type { CommandIo } from "./command.ts";

/** Tells a person a fault with its facts and what to do, in both languages. */
export function tellFault(reason: Fault, io: CommandIo): void {
  const { title, remedy } = ERRORS[reason.code];
  io.stderr(`${title.en}: ${JSON.stringify(reason.facts)} ${remedy.en} ${title.zh}。${remedy.zh}`);
}
