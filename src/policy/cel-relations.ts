import type { ASTNode } from '@marcbachmann/cel-js';

/**
 * CEL has one level for all relations: `a == b in c` is `(a == b) in c` (cel-spec, langdef "Syntax"). The parser binds `==` and `!=`
 * weaker than the others. Parentheses are not in its tree, so they are looked up in the source.
 */
const RELATIONS = new Set(['<', '<=', '>', '>=', 'in']);

/** Texts and comments. The parser takes a backslash before a quote as part of the text, in raw texts too. */
const OPAQUE = /"""(?:\\[\s\S]|[^\\])*?"""|'''(?:\\[\s\S]|[^\\])*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\/\/[^\n]*/g;

/** The source with every text and comment blanked; positions stay. For sources that parse: what is never closed would cost n². */
export function skeleton(source: string): string {
  return source.replace(OPAQUE, (opaque) => ' '.repeat(opaque.length));
}

/** The node as CEL reads it: `a == (b < c)` of the parser becomes `(a == b) < c` when nobody wrote the parentheses. */
export function regrouped(node: ASTNode, bare: string): ASTNode {
  if (node.op !== '==' && node.op !== '!=') return node;
  const [left, right] = node.args;
  const chain: { readonly op: string; readonly operand: ASTNode }[] = [];
  let rest = right;
  while (RELATIONS.has(rest.op) && isOpen(bare, left.end, rest)) {
    const [inner, operand] = rest.args as [ASTNode, ASTNode];
    chain.unshift({ op: rest.op, operand });
    rest = inner;
  }
  if (chain.length === 0) return node;
  const first = { op: node.op, args: [left, rest] as const, start: node.start, end: rest.end };
  const whole = chain.reduce<object>(
    (before, { op, operand }) => ({ op, args: [before, operand], start: node.start, end: operand.end }),
    first,
  );
  return whole as ASTNode;
}

/** No parenthesis is open between the equality that ends at `from` and the operator of `relation`. */
function isOpen(bare: string, from: number, relation: ASTNode): boolean {
  const [inner] = relation.args as [ASTNode, ASTNode];
  // What closes before the `==` belongs to its left side; what opens after the relation's operator, to the right side of that.
  const before = bare.slice(from, inner.end).replace(/^[\s)]*/, '');
  const after = /^[\s)]*/.exec(bare.slice(inner.end))?.[0] ?? '';
  let depth = 0;
  for (const character of before + after) {
    if (character === '(') depth++;
    else if (character === ')') depth--;
  }
  return depth === 0;
}
