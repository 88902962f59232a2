import * as z from 'zod';
import { configSchema } from './schema.ts';

/** The part of JSON Schema that zod writes for this contract. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
}

let cached: SchemaNode | undefined;

/** JSON Schema of what a person writes (before defaults and rewriting). */
export function jsonSchema(): SchemaNode {
  cached ??= z.toJSONSchema(configSchema, { io: 'input' }) as SchemaNode;
  return cached;
}

/** A node and, for unions, every alternative of it. */
export function alternatives(node: SchemaNode): SchemaNode[] {
  return [node, ...(node.anyOf ?? []).flatMap(alternatives)];
}

function step(nodes: readonly SchemaNode[], part: PropertyKey): SchemaNode[] {
  const next: SchemaNode[] = [];
  for (const node of nodes) {
    if (typeof part === 'number' && node.items) next.push(...alternatives(node.items));
    const named = node.properties && Object.hasOwn(node.properties, part) ? node.properties[String(part)] : undefined;
    const open = typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
    const found = named ?? open;
    if (found) next.push(...alternatives(found));
  }
  return next;
}

function nodesAt(path: readonly PropertyKey[]): SchemaNode[] {
  return path.reduce<SchemaNode[]>(step, alternatives(jsonSchema()));
}

/** Keys that may stand at this path, in the contract's order. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  return [...new Set(nodesAt(path).flatMap((node) => Object.keys(node.properties ?? {})))];
}

/** The one-line description of the key at this path, or ''. */
export function describe(path: readonly PropertyKey[]): string {
  return nodesAt(path).find((node) => node.description !== undefined)?.description ?? '';
}

/** The section whose direct key this is, when it is exactly one (`ready_after_hours` → `baseline`). */
export function whereKeyBelongs(key: string): string | undefined {
  const homes = Object.entries(jsonSchema().properties ?? {}).filter(([, node]) =>
    alternatives(node).some((n) => n.properties !== undefined && Object.hasOwn(n.properties, key)),
  );
  return homes.length === 1 ? homes[0]?.[0] : undefined;
}

/** The candidate a typing mistake away (Damerau–Levenshtein ≤ 1 + length / 4), or undefined. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const wanted = word.toLowerCase().replaceAll('-', '_').slice(0, 64);
  let best: string | undefined;
  let bestDistance = 2 + Math.floor(wanted.length / 4);
  for (const candidate of candidates) {
    const d = distance(wanted, candidate.toLowerCase().replaceAll('-', '_'));
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}

function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let d = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        d = Math.min(d, (beforeLast[j - 2] ?? 0) + 1);
      row.push(d);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
