import type { CommandIo } from "./command.ts";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const ENTER = new Set(["\r", "\n", CTRL_D]);
const ERASE = new Set(["\u007f", "\b"]);
const CHARACTERS_MAX = 1024;

/**
 * Reads a new password: at a terminal twice and unseen, else the first line of standard input. Never from arguments, which every user of
 * the machine can read.
 *
 * @returns  The password, or null after it was told why there is none.
 */
export async function readNewPassword(io: CommandIo): Promise<string | null> {
  if (!process.stdin.isTTY) {
    for await (const line of io.stdin) return line;
    io.stderr("No password came on standard input. 标准输入没有密码。");
    return null;
  }
  const first = await readUnseen("New password 新密码: ");
  const second = first === null ? null : await readUnseen("Once more 再输入一次: ");
  if (first === null || second === null) return null;
  if (first === second) return first;
  io.stderr("The two are not the same; nothing was changed. 两次输入不一致，未做更改。");
  return null;
}

/** Asks at the terminal without showing what is typed; null where it was given up with Ctrl-C. */
function readUnseen(question: string): Promise<string | null> {
  const { stdin, stderr } = process;
  // Before the question is seen: who types at once must not be shown either.
  stdin.setRawMode(true);
  stderr.write(question);
  stdin.setEncoding("utf8");
  stdin.resume();
  return new Promise((resolve) => {
    let typed = "";
    const end = (value: string | null) => {
      stdin.off("data", take);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write("\n");
      resolve(value);
    };
    const take = (chunk: string) => {
      for (const character of chunk) {
        if (character === CTRL_C) return end(null);
        if (ENTER.has(character)) return end(typed);
        if (ERASE.has(character)) typed = [...typed].slice(0, -1).join("");
        else if (typed.length < CHARACTERS_MAX) typed += character;
      }
    };
    stdin.on("data", take);
  });
}
