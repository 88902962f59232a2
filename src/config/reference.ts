import { alternatives, jsonSchema, type SchemaNode } from './known.ts';

/** One line of the reference. */
interface ReferenceEntry {
  /** Dotted path; `<agent>` and `<host>` stand for names the operator chooses, `[]` for list entries. */
  readonly key: string;
  readonly type: string;
  /** JSON of the default, '' for sections and names the operator chooses. */
  readonly default: string;
  readonly description: string;
}

const CHOSEN: Readonly<Record<string, string>> = { agents: '<agent>', resolve: '<host>' };

/** Every key of the contract, in its order. */
export function referenceEntries(): ReferenceEntry[] {
  return walk(jsonSchema(), '');
}

function walk(node: SchemaNode, path: string): ReferenceEntry[] {
  const found = new Map<string, ReferenceEntry>();
  const add = (entries: readonly ReferenceEntry[]): void => {
    for (const entry of entries) if (!found.has(entry.key)) found.set(entry.key, entry);
  };
  for (const shape of alternatives(node)) {
    for (const [key, child] of Object.entries(shape.properties ?? {})) {
      const full = path === '' ? key : `${path}.${key}`;
      add([entry(full, child), ...walk(child, full)]);
    }
    if (shape.items) add(walk(shape.items, `${path}[]`));
    if (typeof shape.additionalProperties === 'object')
      add(walk(shape.additionalProperties, `${path}.${CHOSEN[path.split('.').at(-1) ?? ''] ?? '<name>'}`));
  }
  return [...found.values()];
}

function entry(key: string, node: SchemaNode): ReferenceEntry {
  const section = alternatives(node).every((shape) => shape.properties !== undefined || shape.anyOf !== undefined);
  return {
    key,
    type: [
      ...new Set(
        alternatives(node)
          .map(typeOf)
          .filter((type) => type !== ''),
      ),
    ].join(' or '),
    default: section || node.default === undefined ? '' : JSON.stringify(node.default),
    description: node.description ?? '',
  };
}

function typeOf(node: SchemaNode): string {
  if (node.anyOf) return '';
  if (node.enum) return node.enum.map(String).join(' | ');
  if (node.const !== undefined) return String(node.const);
  const type = Array.isArray(node.type) ? node.type.join(' or ') : String(node.type ?? '');
  if (type === 'array') return 'list';
  if (type === 'object') return 'map';
  if (type === 'string') return 'text';
  return type + range(node);
}

function range({ minimum, maximum }: SchemaNode): string {
  const top = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? '' : ` ≤ ${maximum}`;
  return `${minimum === undefined ? '' : ` ≥ ${minimum}`}${top}`;
}

/** The reference as one Markdown table. */
export function configReference(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = referenceEntries().map(
    (e) =>
      `| \`${e.key}\` | ${cell(e.type)} | ${e.default === '' ? '' : `\`${cell(e.default)}\``} | ${cell(e.description)} |`,
  );
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** The JSON Schema, for editors that complete and check YAML. */
export function jsonSchemaText(): string {
  return `${JSON.stringify(jsonSchema(), undefined, 2)}\n`;
}
