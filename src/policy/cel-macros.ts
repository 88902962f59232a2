import { type Context, TOO_EXPENSIVE } from './cel-context.ts';
import { Failure, MapValue, mismatch, type Result, type Value } from './cel-value.ts';

/** A compiled expression. Never throws by itself; a stack that overflows is the caller's to catch. */
export type Run = (context: Context) => Result;

/** `range.all(x, body)` and its siblings, compiled. */
export interface Loop {
  readonly range: Run;
  /** Where the variable lives while the body runs. */
  readonly slot: number;
  readonly body: Run;
  /** What comes before the body in `map(x, filter, body)`. */
  readonly filter?: Run;
  /** Nodes of the body: what one element costs. */
  readonly cost: number;
}

/** Elements of a list, keys of a map. */
function elements(value: Value): readonly Value[] | Failure {
  if (Array.isArray(value)) return value;
  return value instanceof MapValue ? value.keys() : mismatch('a macro over elements', value);
}

/**
 * Calls `visit` with what the body gives for each element until it returns a result; undefined when it never did. Macros inside
 * the body have higher slots, those inside the range are done by then.
 */
function each(
  loop: Loop,
  context: Context,
  visit: (result: Result, element: Value) => Result | undefined,
): Result | undefined {
  const range = loop.range(context);
  if (range instanceof Failure) return range;
  const items = elements(range);
  if (items instanceof Failure) return items;
  if (context.spend(items.length)) return TOO_EXPENSIVE;
  for (const item of items) {
    if (context.spend(loop.cost)) return TOO_EXPENSIVE;
    context.slots[loop.slot] = item;
    if (loop.filter !== undefined) {
      const kept = loop.filter(context);
      if (kept === false) continue;
      if (kept !== true) return notBool(kept);
    }
    const done = visit(loop.body(context), item);
    if (done !== undefined) return done;
  }
  return undefined;
}

function notBool(result: Result): Failure {
  return result instanceof Failure ? result : mismatch('a condition', result);
}

/** `all` and `exists`: `decides` ends the search, and only when nothing decided an error counts. */
function quantifier(loop: Loop, decides: boolean): Run {
  return (context) => {
    let failure: Failure | undefined;
    const found = each(loop, context, (result) => {
      if (result === decides) return decides;
      if (result !== !decides) failure = worse(failure, notBool(result), !decides);
      return undefined;
    });
    return found ?? failure ?? !decides;
  };
}

function existsOne(loop: Loop): Run {
  return (context) => {
    let count = 0;
    const failure = each(loop, context, (result) => {
      if (result === true) count++;
      return result === true || result === false ? undefined : notBool(result);
    });
    return failure ?? count === 1;
  };
}

function map(loop: Loop): Run {
  return (context) => {
    const made: Value[] = [];
    const failure = each(loop, context, (result) => {
      if (result instanceof Failure) return result;
      made.push(result);
      return undefined;
    });
    return failure ?? made;
  };
}

function filter(loop: Loop): Run {
  return (context) => {
    const kept: Value[] = [];
    const failure = each(loop, context, (result, element) => {
      if (result === true) kept.push(element);
      return result === true || result === false ? undefined : notBool(result);
    });
    return failure ?? kept;
  };
}

/** The macros over a range, by name and number of arguments. */
export const MACROS: ReadonlyMap<string, (loop: Loop) => Run> = new Map<string, (loop: Loop) => Run>([
  ['all/2', (loop) => quantifier(loop, false)],
  ['exists/2', (loop) => quantifier(loop, true)],
  ['exists_one/2', existsOne],
  ['map/2', map],
  ['map/3', map],
  ['filter/2', filter],
]);

/**
 * Of two failures the one that is not merely an attribute that is not set: it must not be hidden behind it. What is not known now
 * (`unread`) can turn out to be anything: it makes no conjunction true that has another error, but may make a disjunction true.
 */
function worse(a: Failure | undefined, b: Failure, conjunction: boolean): Failure {
  if (a === undefined) return b;
  if (b.code === 'unread') return conjunction ? a : b;
  if (a.code === 'unread') return conjunction ? b : a;
  return a.code === 'absent' ? b : a;
}

/** `a && b && …` (`decides` = false) and `a || b || …` (true): an operand that decides absorbs errors on either side. */
export function logic(operands: readonly Run[], decides: boolean): Run {
  return (context) => {
    let failure: Failure | undefined;
    for (const operand of operands) {
      const result = operand(context);
      if (result === decides) return decides;
      if (result !== !decides) failure = worse(failure, notBool(result), !decides);
    }
    return failure ?? !decides;
  };
}
