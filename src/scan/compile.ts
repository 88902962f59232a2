import { type Node, parseExpression } from './expression.ts';
import { landmarkOf } from './landmark.ts';
import { keywordsOf, lintPattern } from './lint.ts';
import { createMatcher } from './matcher.ts';
import { boundaryOf, leadSet, type Measures, measure } from './measure.ts';
import type { ByteSet, Check, CompiledPattern, Layout, PatternSource, Program } from './pattern.ts';
import { VALIDATORS } from './validators.ts';

function validator(source: PatternSource, key: 'validator' | 'confirm'): Check | undefined {
  const name = source[key];
  if (name === undefined) return undefined;
  const known = VALIDATORS.get(name);
  if (known) return known;
  throw new Error(
    `${source.file}: ${source.id}: ${key}: ${name} is not known; known are ${[...VALIDATORS.keys()].join(', ')}`,
  );
}

/** Bytes of the longest escape a boundary looks through: `\u003d`. */
const ESCAPE = 6;

/**
 * The gate tests the boundary, and knows escapes; the expression itself would not. Branches keep theirs unless all have the same: the
 * gate knows only what they have in common.
 */
function withoutBoundary(node: Node, boundary: ByteSet | undefined): Node {
  if (boundary === undefined) return node;
  if (node.type === 'choice') {
    const same = node.items.every((item) => boundaryOf(item)?.every((word, i) => word === boundary[i]));
    return same ? { type: 'choice', items: node.items.map((item) => withoutBoundary(item, boundary)) } : node;
  }
  if (node.type !== 'sequence') return node;
  const [first, ...rest] = node.items as readonly [Node, ...Node[]];
  if (first.type === 'look') return { type: 'sequence', items: rest };
  return { type: 'sequence', items: [withoutBoundary(first, boundary), ...rest] };
}

function programFrom(node: Node, measures: Measures, { places }: Layout): Program {
  const to = Math.max(0, ...places.map((place) => place[1]));
  return {
    matcher: createMatcher(withoutBoundary(node, measures.boundary)),
    boundary: measures.boundary,
    prefix: measures.prefix,
    landmark: landmarkOf(node),
    lead: leadSet(measures.prefix, measures.alphabet, to),
  };
}

/** Holds one pattern to the rules. Throws an Error that names file, id and what is wrong. */
export function layoutOf(source: PatternSource): Layout {
  return linted(source).layout;
}

function linted(source: PatternSource): { readonly layout: Layout; readonly make: () => Program } {
  const { node, measures, places, runs } = lintPattern(source);
  const before = measures.boundary === undefined ? measures.before : Math.max(measures.before, ESCAPE);
  const layout = { places, runs, max: measures.max, before };
  return { layout, make: () => programFrom(node, measures, layout) };
}

function known(source: PatternSource, layout: Layout): ReturnType<typeof linted> {
  const make = (): Program => {
    const node = parseExpression(source.expression, source.ignoreCase);
    return programFrom(node, measure(node), layout);
  };
  return { layout, make };
}

/** Compiles one pattern. Throws an Error that names file, id and what is wrong. */
export function compilePattern(source: PatternSource): CompiledPattern {
  const { layout, make } = source.layout === undefined ? linted(source) : known(source, source.layout);
  const keywords = keywordsOf(source);
  return {
    id: source.id,
    name: source.name,
    severity: source.severity,
    category: source.category,
    kind: source.kind,
    label: source.label,
    home: source.home,
    reference: source.reference,
    skipPlaceholders: source.skipPlaceholders,
    literals: source.keywords.toSorted((a, b) => b.length - a.length),
    entropy: source.entropy,
    validate: validator(source, 'validator'),
    confirm: validator(source, 'confirm'),
    trigger: source.trigger,
    anchors: layout.places.map(([from, to], i) => ({
      bytes: keywords[i]?.bytes ?? new Uint8Array(0),
      ignoreCase: source.ignoreCase,
      from,
      to,
    })),
    runs: layout.runs,
    max: layout.max,
    before: layout.before,
    program: { made: undefined, make },
  };
}

/** Compiles a library; ids are unique over all files. Throws as `compilePattern` does. */
export function compilePatterns(sources: readonly PatternSource[]): readonly CompiledPattern[] {
  const files = new Map<string, string>();
  return sources.map((source) => {
    const other = files.get(source.id);
    if (other !== undefined) throw new Error(`${source.file}: ${source.id}: already defined in ${other}`);
    files.set(source.id, source.file);
    return compilePattern(source);
  });
}
