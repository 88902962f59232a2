/** What a reader is asked to report. */
export interface JsonField<F extends string> {
  /** Keys joined by dots; `*` is any element of an array; `a|b` either key. */
  readonly path: string;
  readonly as: F;
  /** Bytes of a string that are kept, escapes as written; a longer one is reported as `undefined`. */
  readonly keep?: number;
}

/** A scalar as found; `undefined`: a string longer than what is kept, or a number longer than any. */
export type JsonScalar = string | number | boolean | null | undefined;

/** Who is told what was found, in the order of the text. */
export interface JsonSink<F extends string> {
  value(field: F, value: JsonScalar): void;
  /** A wanted object or array begins. */
  enter(field: F): void;
  /** A wanted object or array ends. */
  leave(field: F): void;
  /** A document ends: the one, or with `rows` each of them. */
  document(): void;
}

/** One step of the paths, compiled. */
export interface JsonNode<F extends string> {
  readonly keys: Map<string, JsonNode<F>>;
  /** The same by bytes. */
  readonly named: { readonly bytes: Buffer; readonly node: JsonNode<F> }[];
  element: JsonNode<F> | undefined;
  as: F | undefined;
  keep: number;
}

/** Names and ids are shorter than this. */
const KEEP = 256;

/** Compiles paths. Throws when one path is asked for under two names. */
export function jsonPaths<F extends string>(fields: readonly JsonField<F>[]): JsonNode<F> {
  const root = emptyNode<F>();
  for (const field of fields) {
    let nodes = [root];
    for (const step of field.path.split('.')) nodes = nodes.flatMap((node) => descend(node, step));
    for (const node of nodes) {
      if (node.as !== undefined && node.as !== field.as) throw new Error(`JSON path ${field.path} has two names`);
      node.as = field.as;
      node.keep = field.keep ?? KEEP;
    }
  }
  return root;
}

function descend<F extends string>(node: JsonNode<F>, step: string): JsonNode<F>[] {
  if (step === '*') {
    node.element ??= emptyNode<F>();
    return [node.element];
  }
  return step.split('|').map((key) => {
    const known = node.keys.get(key);
    if (known !== undefined) return known;
    const child = emptyNode<F>();
    node.keys.set(key, child);
    node.named.push({ bytes: Buffer.from(key), node: child });
    return child;
  });
}

const emptyNode = <F extends string>(): JsonNode<F> => ({
  keys: new Map(),
  named: [],
  element: undefined,
  as: undefined,
  keep: 0,
});

/** The step a key leads to. A string for every key of every event would cost more than all the rest. */
export function stepInto<F extends string>(node: JsonNode<F>, key: Buffer, length: number): JsonNode<F> | undefined {
  for (const { bytes, node: child } of node.named) {
    if (bytes.length !== length) continue;
    let at = 0;
    while (at < length && bytes[at] === key[at]) at++;
    if (at === length) return child;
  }
  return undefined;
}

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

/** What a word or number means; `undefined`: it is neither. */
export function bareValue(text: string): JsonScalar {
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (text === 'null') return null;
  return NUMBER.test(text) ? Number(text) : undefined;
}
