import type { Text } from "../src/core/quantities.ts";
import type { SettingMeaning, SettingView } from "../src/core/settings-view.ts";
import { jsonSchema } from "./schema.ts";

/** The part of JSON Schema that is read here. */
interface SchemaNode {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
}

/** What a walk stands at: a setting of the schema, and a place in a configuration. */
interface Standing {
  readonly path: string;
  readonly place: string;
  readonly required: boolean;
}

const NOTHING: Text = { en: "", zh: "" };
const TOP: Standing = { path: "", place: "", required: true };

/** Every setting with what it means, in the order of the schema; lists stand with one entry, and each kind of link and upstream by itself. */
export function settingMeanings(): readonly SettingMeaning[] {
  const rows: SettingMeaning[] = [];
  describe(jsonSchema() as SchemaNode, TOP, (row) => void rows.push(row));
  return rows;
}

/** Every setting of a configuration as it is in effect; what is left out is among them. @param config  After its checks, with defaults. */
export function settingViews(config: unknown): readonly SettingView[] {
  const rows: SettingView[] = [];
  view(jsonSchema() as SchemaNode, config, TOP, (row) => void rows.push(row));
  return rows;
}

function describe(node: SchemaNode, at: Standing, add: (row: SettingMeaning) => void): void {
  if (at.path === "limits") {
    for (const row of limitMeanings(node)) add(row);
  } else if (node.properties !== undefined) {
    if (node.description !== undefined && at.path !== "") add(section(node, at));
    for (const [key, child] of Object.entries(node.properties)) describe(child, below(at, node, key), add);
  } else if (isListOfSections(node)) {
    describe(node.items, { ...at, path: `${at.path}[]`, required: false }, add);
  } else {
    const sections = sectionsOf(node);
    if (sections.length === 0 || sections.length < choicesOf(node).length) add(leaf(node, at));
    for (const choice of sections) describe(choice, { ...at, path: `${at.path}${choiceName(choice)}`, required: false }, add);
  }
}

function view(node: SchemaNode, value: unknown, at: Standing, add: (row: SettingView) => void): void {
  if (at.path === "limits") {
    add(viewed(leaf(node, at), value, at));
  } else if (node.properties !== undefined) {
    if (node.description !== undefined && at.path !== "") add(viewed(section(node, at), undefined, at));
    for (const [key, child] of Object.entries(node.properties)) view(child, fieldOf(value, key), below(at, node, key), add);
  } else if (isListOfSections(node)) {
    viewList(node, value, at, add);
  } else {
    const chosen = sectionsOf(node).find((choice) => isOf(choice, value));
    if (chosen === undefined) add(viewed(leaf(node, at), value, at));
    else view(chosen, value, { ...at, path: `${at.path}${choiceName(chosen)}`, required: false }, add);
  }
}

function viewList(
  node: SchemaNode & { readonly items: SchemaNode },
  value: unknown,
  { path, place, required }: Standing,
  add: (row: SettingView) => void,
): void {
  const entries: readonly unknown[] = Array.isArray(value) ? value : [];
  const at = { path: `${path}[]`, place, required };
  // The schema does not say the default of a list whose entries are changed when they are read.
  if (entries.length === 0) add(viewed({ ...leaf(node, at), fallback: "[]" }, value, at));
  for (const [index, entry] of entries.entries()) {
    view(node.items, entry, { path: at.path, place: `${place}.${index}`, required: false }, add);
  }
}

function below(at: Standing, node: SchemaNode, key: string): Standing {
  const inside = (text: string) => (text === "" ? key : `${text}.${key}`);
  return { path: inside(at.path), place: inside(at.place), required: node.required?.includes(key) ?? false };
}

function isListOfSections(node: SchemaNode): node is SchemaNode & { readonly items: SchemaNode } {
  const { items } = node;
  return items !== undefined && (items.properties ?? items.oneOf ?? items.anyOf) !== undefined;
}

function choicesOf(node: SchemaNode): readonly SchemaNode[] {
  return node.oneOf ?? node.anyOf ?? [];
}

/** The choices that hold settings of their own. */
function sectionsOf(node: SchemaNode): readonly SchemaNode[] {
  return choicesOf(node).filter((choice) => choice.properties !== undefined);
}

/** What tells one choice from the others: its kind of link, or the interface of a database. */
function discriminator(choice: SchemaNode): readonly [string, unknown] | null {
  const key = ["kind", "api"].find((name) => choice.properties?.[name]?.const !== undefined);
  return key === undefined ? null : [key, choice.properties?.[key]?.const];
}

function choiceName(choice: SchemaNode): string {
  const kind = discriminator(choice);
  return kind === null ? "" : `(${String(kind[1])})`;
}

function isOf(choice: SchemaNode, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const kind = discriminator(choice);
  return kind === null || fieldOf(value, kind[0]) === kind[1];
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
}

function section(node: SchemaNode, at: Standing): SettingMeaning {
  return { path: at.path, kind: null, fallback: null, required: false, meaning: bothOf(node.description) };
}

function leaf(node: SchemaNode, at: Standing): SettingMeaning {
  const fallback = node.default === undefined ? null : JSON.stringify(node.default);
  const meaning = bothOf(node.description ?? node.items?.description);
  return { path: at.path, kind: kindOf(node), fallback, required: at.required, meaning };
}

function viewed({ path, fallback }: SettingMeaning, value: unknown, { place }: Standing): SettingView {
  const text = value === undefined ? null : JSON.stringify(value);
  return { path, place, value: text, differs: text !== null && text !== fallback };
}

/** A meaning is written `English | 中文`. */
function bothOf(description: string | undefined): Text {
  if (description === undefined) return NOTHING;
  const [en = "", zh = en] = description.split(" | ");
  return { en, zh };
}

const LIMITS_KIND: Text = { en: "map by quantity", zh: "按参数的映射" };

/** All quantities take the same settings, so one pattern says it; the ranges are those of the table of quantities. */
function limitMeanings(node: SchemaNode): readonly SettingMeaning[] {
  const row = (path: string, kind: Text, meaning: Text, required: boolean): SettingMeaning => {
    return { path: `limits.QUANTITY.${path}`, kind, fallback: null, required, meaning };
  };
  const side = { en: "null / a limit", zh: "null / 一个限值" };
  return [
    { ...leaf(node, { ...TOP, path: "limits", required: false }), kind: LIMITS_KIND },
    row("low", side, { en: "Under it is an alert.", zh: "低于它即报警。" }, false),
    row("high", side, { en: "Over it is an alert.", zh: "高于它即报警。" }, false),
    row(
      "(low or high).value",
      { en: "number within what is possible", zh: "可能范围内的数" },
      { en: "In the quantity's unit, see below.", zh: "单位见下文参数表。" },
      true,
    ),
    row(
      "(low or high).priority",
      { en: '"high" / "medium" / "low"', zh: '"high" / "medium" / "low"' },
      { en: "More urgent default levels further out stay in force.", zh: "更外侧、更紧急的默认级别仍然有效。" },
      true,
    ),
  ];
}

/** What may be written, with its bounds. */
function kindOf(node: SchemaNode): Text {
  if (node.const !== undefined) return same(JSON.stringify(node.const));
  if (node.enum !== undefined)
    return node.enum.length > 8 ? ONE_OF_THE_NAMES : joined(node.enum.map((one) => same(JSON.stringify(one))));
  const choices = choicesOf(node);
  if (choices.length > 0) return joined(choices.map(kindOf));
  if (node.properties !== undefined) return { en: "section", zh: "一节" };
  if (node.items !== undefined) {
    const { en, zh } = kindOf(node.items);
    return { en: `list of ${en}`, zh: `列表：${zh}` };
  }
  const { en, zh } = TYPES[node.type ?? "map"] ?? same(node.type ?? "map");
  if (node.minimum === undefined) return { en, zh };
  const max = node.maximum ?? "…";
  return { en: `${en} ${node.minimum} to ${max}`, zh: `${zh} ${node.minimum} 至 ${max}` };
}

const ONE_OF_THE_NAMES: Text = { en: "one of the names", zh: "名称之一" };

const TYPES: Readonly<Record<string, Text>> = {
  string: { en: "text", zh: "文字" },
  boolean: { en: "true or false", zh: "true 或 false" },
  integer: { en: "integer", zh: "整数" },
  number: { en: "number", zh: "数" },
  object: { en: "map", zh: "映射" },
  map: { en: "map", zh: "映射" },
  null: { en: "null", zh: "null" },
};

function joined(texts: readonly Text[]): Text {
  return { en: texts.map(({ en }) => en).join(" / "), zh: texts.map(({ zh }) => zh).join(" / ") };
}

function same(text: string): Text {
  return { en: text, zh: text };
}
