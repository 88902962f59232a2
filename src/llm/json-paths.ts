/** What a reader is asked to report. */
export interface JsonField<F extends string> {
  /** Keys joined by dots; `*` is any element of an array; `a|b` either key. */
  readonly path: string;
  readonly as: F;
  /** Bytes of a string that are kept, escapes as written; a longer one is reported as `undefined`. */
  readonly keep?: number;
}

/** One step of the paths, compiled. */
export interface JsonNode<F extends string> {
  readonly keys: Map<string, JsonNode<F>>;
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
    const child = node.keys.get(key) ?? emptyNode<F>();
    node.keys.set(key, child);
    return child;
  });
}

const emptyNode = <F extends string>(): JsonNode<F> => ({
  keys: new Map(),
  element: undefined,
  as: undefined,
  keep: 0,
});
