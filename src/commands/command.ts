/** What a command may read and write; tests bring their own. */
export interface CommandIo {
  /** One line for programs, without its line end. */
  readonly stdout: (line: string) => void;
  /** One line for people. */
  readonly stderr: (line: string) => void;
  /** Standard input, line by line. */
  readonly stdin: AsyncIterable<string>;
}

/** One command of the command line. */
export interface Command {
  readonly name: string;
  readonly usage: string;
  /**
   * Runs the command.
   *
   * @returns The exit code: 0 done, 1 the answer is no, 2 wrong usage.
   */
  readonly run: (args: readonly string[], io: CommandIo) => Promise<number>;
}
