import type { ASTNode } from '@marcbachmann/cel-js';
import { UnsignedInt } from '@marcbachmann/cel-js/evaluator';
import { at } from './cel-access.ts';
import { Context, slotOf } from './cel-context.ts';
import { direct, equalsText, inTexts, onText, orderedNumber } from './cel-fast.ts';
import { callOf } from './cel-functions.ts';
import { type Loop, logic, MACROS, type Run } from './cel-macros.ts';
import { CompileError, type Notes } from './cel-notes.ts';
import { BINARY, type Binary, negate } from './cel-operators.ts';
import { pattern, search } from './cel-regex.ts';
import { regrouped } from './cel-relations.ts';
import { Failure, LiteralMap, MapValue, mismatch, type Result, TypeValue, Uint, type Value } from './cel-value.ts';

/** Names of macro variables; the index is the slot. */
type Scope = readonly string[];

const TYPES = new Map(
  'int uint double bool string bytes list map null_type type google.protobuf.Timestamp google.protobuf.Duration'
    .split(' ')
    .map((name) => [name, new TypeValue(name)] as const),
);

/** One node and all below it. Throws CompileError for a pattern that is not RE2. */
export function compileNode(node: ASTNode, scope: Scope, notes: Notes): Run {
  notes.nodes++;
  switch (node.op) {
    case 'value':
      return constant(literal(node.args));
    case 'id':
      return identifier(node.args, scope, notes);
    case '.':
      return dotted(node, scope, notes);
    case '[]':
      return indexed(node.args, scope, notes);
    case '&&':
    case '||':
      return logic(
        spine(node, node.op).map((operand) => compileNode(operand, scope, notes)),
        node.op === '||',
      );
    case '?:':
      return ternary(node.args, scope, notes);
    case '!_':
    case '-_': {
      const op = node.op;
      const operand = compileNode(node.args, scope, notes);
      return (context) => strict(operand(context), (value) => negate(op, value));
    }
    case 'call':
      return called(node, node.args[0], undefined, node.args[1], scope, notes);
    case 'rcall':
      return called(node, node.args[0], node.args[1], node.args[2], scope, notes);
    case 'list':
      return list(node.args, scope, notes);
    case 'map':
      return mapLiteral(node.args, scope, notes);
    default:
      return operator(regrouped(node, notes.skeleton), scope, notes);
  }
}

function strict(result: Result, use: (value: Value) => Result): Result {
  return result instanceof Failure ? result : use(result);
}

function constant(result: Result): Run {
  return () => result;
}

function literal(value: unknown): Value {
  // An unsigned literal; every other literal is a CEL value as it is.
  return value instanceof UnsignedInt ? new Uint(value.valueOf()) : (value as Value);
}

/** Operands of a chain of one operator; chains are long where nesting is not. */
function spine(node: ASTNode, op: '&&' | '||'): ASTNode[] {
  const operands: ASTNode[] = [];
  let rest = node;
  while (rest.op === op) {
    operands.push(rest.args[1]);
    rest = rest.args[0];
  }
  operands.push(rest);
  return operands.reverse();
}

function identifier(name: string, scope: Scope, notes: Notes): Run {
  const slot = scope.lastIndexOf(name);
  if (slot >= 0) return (context) => context.slots[slot] as Value;
  if (name === 'name') return (context) => context.subject;
  if (name === 'now') return (context) => context.now;
  if (name === 'attrs') {
    notes.computed = true;
    return (context) => context.attrs;
  }
  return unknownName(name, notes);
}

function unknownName(name: string, notes: Notes): Run {
  const type = TYPES.get(name);
  if (type !== undefined) return constant(type);
  notes.unknown.add(name);
  return constant(new Failure('unknown', `nothing is called \`${name}\`; there are name, attrs and now`));
}

function isAttrs(node: ASTNode, scope: Scope): boolean {
  return node.op === 'id' && node.args === 'attrs' && !scope.includes('attrs');
}

/** `attrs["k"]` and `attrs.k`, the commonest of all expressions. */
function attribute(key: string, notes: Notes): Run {
  notes.reads.add(key);
  const absent = new Failure('absent', `attrs[${JSON.stringify(key)}] is not set`, key);
  const slot = slotOf(key);
  return direct((context) => {
    const value = context.attribute(slot, key);
    return value === undefined ? absent : value;
  });
}

function dotted(node: ASTNode & { op: '.' }, scope: Scope, notes: Notes): Run {
  const [left, field] = node.args;
  if (isAttrs(left, scope)) return attribute(field, notes);
  const name = path(node);
  if (name !== undefined && TYPES.has(name) && !scope.includes(name.split('.')[0] as string))
    return unknownName(name, notes);
  const base = compileNode(left, scope, notes);
  return (context) =>
    strict(base(context), (value) => (value instanceof MapValue ? at(value, field) : mismatch('`.`', value)));
}

/** `a.b.c` as one name. */
function path(node: ASTNode): string | undefined {
  if (node.op === 'id') return node.args;
  if (node.op !== '.') return undefined;
  const left = path(node.args[0]);
  return left === undefined ? undefined : `${left}.${node.args[1]}`;
}

function indexed([left, right]: readonly [ASTNode, ASTNode], scope: Scope, notes: Notes): Run {
  if (right.op === 'value' && typeof right.args === 'string' && isAttrs(left, scope))
    return attribute(right.args, notes);
  const base = compileNode(left, scope, notes);
  const index = compileNode(right, scope, notes);
  return (context) => strict(base(context), (value) => strict(index(context), (key) => at(value, key)));
}

function ternary(parts: readonly [ASTNode, ASTNode, ASTNode], scope: Scope, notes: Notes): Run {
  const [condition, yes, no] = parts.map((part) => compileNode(part, scope, notes)) as [Run, Run, Run];
  return (context) => {
    const chosen = condition(context);
    if (chosen === true) return yes(context);
    if (chosen === false) return no(context);
    return chosen instanceof Failure ? chosen : mismatch('a condition', chosen);
  };
}

/** The literal text a node is. */
function textOf(node: ASTNode | undefined): string | undefined {
  return node?.op === 'value' && typeof node.args === 'string' ? node.args : undefined;
}

function operator(node: ASTNode, scope: Scope, notes: Notes): Run {
  const apply: Binary | undefined = BINARY.get(node.op);
  if (apply === undefined) throw new CompileError(`\`${node.op}\` is not part of CEL here`, node.start);
  const [left, right] = node.args as [ASTNode, ASTNode];
  const key = textOf(left);
  if (node.op === 'in' && key !== undefined && isAttrs(right, scope)) {
    notes.reads.add(key);
    const slot = slotOf(key);
    return (context) => context.holds(slot, key);
  }
  const a = compileNode(left, scope, notes);
  const text = textOf(right);
  if (text !== undefined && (node.op === '==' || node.op === '!=')) return equalsText(a, text, node.op === '==');
  if (node.op === 'in' && right.op === 'list') {
    const texts = right.args.map(textOf);
    if (texts.every((item) => item !== undefined)) return inTexts(a, texts);
  }
  const limit = right.op === 'value' ? right.args : undefined;
  const quick =
    typeof limit === 'bigint' || typeof limit === 'number' ? orderedNumber(node.op, a, limit, apply) : undefined;
  if (quick !== undefined) return quick;
  const b = compileNode(right, scope, notes);
  return (context) => {
    const x = a(context);
    const y = b(context);
    if (x instanceof Failure) return y instanceof Failure && x.code === 'absent' && y.code !== 'unread' ? y : x;
    return y instanceof Failure ? y : apply(x, y, context);
  };
}

function list(nodes: readonly ASTNode[], scope: Scope, notes: Notes): Run {
  const parts = nodes.map((node) => compileNode(node, scope, notes));
  if (nodes.every((node) => node.op === 'value')) return constant(nodes.map((node) => literal(node.args)));
  return (context) => values(parts, context);
}

function values(parts: readonly Run[], context: Context): Value[] | Failure {
  const made: Value[] = [];
  for (const part of parts) {
    const value = part(context);
    if (value instanceof Failure) return value;
    made.push(value);
  }
  return made;
}

function mapLiteral(entries: readonly (readonly [ASTNode, ASTNode])[], scope: Scope, notes: Notes): Run {
  const parts = entries.map((entry) => entry.map((node) => compileNode(node, scope, notes)) as [Run, Run]);
  return (context) => {
    const map = new LiteralMap();
    for (const [left, right] of parts) {
      const key = left(context);
      if (key instanceof Failure) return key;
      const value = right(context);
      if (value instanceof Failure) return value;
      if (!map.add(key, value)) return new Failure('value', 'a map has a key twice, or one of a type that is no key');
    }
    return map;
  };
}

function called(
  node: ASTNode,
  name: string,
  receiver: ASTNode | undefined,
  args: readonly ASTNode[],
  scope: Scope,
  notes: Notes,
): Run {
  if (name === 'has' && receiver === undefined && args.length === 1) return has(args[0] as ASTNode, scope, notes);
  const macro = receiver === undefined ? undefined : MACROS.get(`${name}/${args.length}`);
  if (macro !== undefined && args[0]?.op === 'id') return macro(loop(receiver as ASTNode, args, scope, notes));
  // A call costs about as much as three other nodes.
  notes.nodes += 2;
  const all = receiver === undefined ? args : [receiver, ...args];
  const text = all.length === 2 ? textOf(all[1]) : undefined;
  if (text !== undefined && name === 'matches') return matchesLiteral(all[0] as ASTNode, text, node, scope, notes);
  const quick = text === undefined ? undefined : onText(name, compileNode(all[0] as ASTNode, scope, notes), text);
  if (quick !== undefined) return quick;
  const parts = all.map((part) => compileNode(part, scope, notes));
  const call = callOf(name);
  if (call === undefined) {
    notes.unknown.add(`${name}()`);
    return constant(new Failure('unknown', `there is no function \`${name}()\``));
  }
  const [only] = parts;
  const run: Run =
    only !== undefined && parts.length === 1
      ? (context) => strict(only(context), (value) => call([value], context))
      : (context) => {
          const made = values(parts, context);
          return made instanceof Failure ? made : call(made, context);
        };
  if (!all.every((part) => part.op === 'value')) return run;
  // `timestamp("…")`, `duration("24h")`: the same every time.
  return constant(run(createFolding()));
}

/** No request is near when constants are folded, so every call sees an empty one. */
function createFolding(): Context {
  return new Context({ name: '', attrs: new Map(), now: 0 });
}

/** True when the argument is no error: celpy's meaning, so `has(attrs["k"])` works (strathon-compat §1.6 a). */
function has(argument: ASTNode, scope: Scope, notes: Notes): Run {
  const run = compileNode(argument, scope, notes);
  return (context) => {
    const result = run(context);
    return result instanceof Failure && result.code === 'unread' ? result : !(result instanceof Failure);
  };
}

function loop(receiver: ASTNode, args: readonly ASTNode[], scope: Scope, notes: Notes): Loop {
  const range = compileNode(receiver, scope, notes);
  const inner = [...scope, String((args[0] as ASTNode).args)];
  const before = notes.nodes;
  const bodies = args.slice(1).map((body) => compileNode(body, inner, notes));
  const filter = bodies.length === 2 ? bodies[0] : undefined;
  return {
    range,
    slot: scope.length,
    body: bodies.at(-1) as Run,
    cost: 1 + notes.nodes - before,
    ...(filter === undefined ? {} : { filter }),
  };
}

/** The pattern is compiled once, at load. */
function matchesLiteral(text: ASTNode, source: string, node: ASTNode, scope: Scope, notes: Notes): Run {
  const run = compileNode(text, scope, notes);
  const compiled = pattern(source, true);
  if (compiled instanceof Failure) throw new CompileError(compiled.message, node.start);
  return (context) =>
    strict(run(context), (value) =>
      typeof value === 'string' ? search(value, compiled, context) : mismatch('matches()', value),
    );
}
