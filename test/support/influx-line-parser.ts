/** One line of InfluxDB's line protocol, taken apart. */
export interface ParsedLine {
  readonly measurement: string;
  readonly tags: ReadonlyMap<string, string>;
  readonly fields: ReadonlyMap<string, ParsedField>;
  readonly ns: bigint;
}

/** One field with its type, because a server refuses a field that changes its type. */
export type ParsedField =
  | { readonly type: "float" | "integer"; readonly value: number }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "boolean"; readonly value: boolean };

/** Words that InfluxDB takes for a boolean. Source: InfluxDB 1.8 documentation, "Line protocol reference". */
const BOOLEANS: Readonly<Record<string, boolean>> = {
  ...{ t: true, T: true, true: true, True: true, TRUE: true },
  ...{ f: false, F: false, false: false, False: false, FALSE: false },
};
const INTEGER_MAX = 2n ** 63n - 1n;

/**
 * Takes one line apart, as strictly as the strictest server: written from the reference, not from what the gateway writes. Throws where
 * a server may refuse the line or read it in another way.
 */
export function parseLine(line: string): ParsedLine {
  const reader = new LineReader(line);
  const measurement = reader.word(", ", ", ");
  const tags = new Map<string, string>();
  while (reader.take(",")) {
    const name = reader.word("=", ",= ");
    reader.expect("=");
    const value = reader.word(", ", ",= ");
    if (tags.has(name)) throw new Error(`tag ${name} twice`);
    tags.set(name, value);
  }
  reader.expect(" ");
  const fields = new Map<string, ParsedField>();
  do {
    const name = reader.word("=", ",= ");
    reader.expect("=");
    if (fields.has(name)) throw new Error(`field ${name} twice`);
    fields.set(name, reader.field());
  } while (reader.take(","));
  reader.expect(" ");
  return { measurement, tags, fields, ns: reader.stamp() };
}

/** What makes two lines the same point. */
export function pointIdentity({ measurement, tags, ns }: ParsedLine): string {
  const sorted = [...tags].sort(([one], [other]) => (one < other ? -1 : 1));
  return [measurement, ...sorted.map(([name, value]) => `${name}=${value}`), ns].join(" ");
}

class LineReader {
  readonly #line: string;
  #at = 0;

  constructor(line: string) {
    if (/[\n\r]/.test(line)) throw new Error("a line has a newline");
    this.#line = line;
  }

  take(character: string): boolean {
    if (this.#line[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  expect(character: string): void {
    if (!this.take(character)) throw new Error(`no ${JSON.stringify(character)} at ${this.#at} of ${this.#line}`);
  }

  /** Up to one of the ends that is not escaped. Only what `escapable` lists can be escaped; any other backslash is one. */
  word(ends: string, escapable: string): string {
    let word = "";
    for (; this.#at < this.#line.length; this.#at++) {
      const character = this.#line[this.#at] ?? "";
      const next = this.#line[this.#at + 1] ?? "";
      if (character === "\\" && next !== "" && escapable.includes(next)) {
        word += next;
        this.#at += 1;
      } else if (ends.includes(character)) break;
      else if (escapable.includes(character)) throw new Error(`${JSON.stringify(character)} is not escaped at ${this.#at}`);
      else word += character;
    }
    if (word === "") throw new Error(`an empty word at ${this.#at} of ${this.#line}`);
    if (word.endsWith("\\")) throw new Error("a word ends in a backslash, which escapes what follows");
    return word;
  }

  field(): ParsedField {
    if (this.take('"')) return { type: "string", value: this.#quoted() };
    const text = this.#bare();
    const boolean = BOOLEANS[text];
    if (boolean !== undefined) return { type: "boolean", value: boolean };
    if (/^-?\d+i$/.test(text)) {
      const value = BigInt(text.slice(0, -1));
      if (value > INTEGER_MAX || value < -INTEGER_MAX) throw new Error(`${text} does not fit into 64 bits`);
      return { type: "integer", value: Number(value) };
    }
    if (/^-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text)) return { type: "float", value: Number(text) };
    throw new Error(`${JSON.stringify(text)} is no field's value`);
  }

  stamp(): bigint {
    const text = this.#line.slice(this.#at);
    if (!/^-?(0|[1-9]\d*)$/.test(text)) throw new Error(`${JSON.stringify(text)} is no time`);
    const ns = BigInt(text);
    if (ns > INTEGER_MAX || ns < -INTEGER_MAX) throw new Error(`${text} does not fit into 64 bits`);
    return ns;
  }

  #bare(): string {
    const from = this.#at;
    while (this.#at < this.#line.length && !", ".includes(this.#line[this.#at] ?? "")) this.#at += 1;
    return this.#line.slice(from, this.#at);
  }

  #quoted(): string {
    let text = "";
    for (; this.#at < this.#line.length; this.#at++) {
      const character = this.#line[this.#at] ?? "";
      const next = this.#line[this.#at + 1] ?? "";
      if (character === "\\" && (next === '"' || next === "\\")) {
        text += next;
        this.#at += 1;
      } else if (character === '"') {
        this.#at += 1;
        return text;
      } else text += character;
    }
    throw new Error("a text without its end");
  }
}
