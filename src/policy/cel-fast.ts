import { type Context, TOO_EXPENSIVE } from './cel-context.ts';
import type { Run } from './cel-macros.ts';
import { type Binary, searchWeight } from './cel-operators.ts';
import { equal, Failure, MapValue, mismatch, type Result, Unread, type Value } from './cel-value.ts';

/**
 * The shapes nearly every policy consists of, without the general machinery: a text compared with a literal, looked up in a
 * literal list, searched for a literal. Same meaning, a third of the time.
 */

/**
 * What is known of an unread value holds for the value itself: an operation that has no result for want of it passes it on, and
 * nothing is known of that result.
 */
const DIRECT: WeakSet<Run> = new WeakSet();

/** Marks the reading of an attribute. */
export function direct(run: Run): Run {
  DIRECT.add(run);
  return run;
}

/** `x == "literal"`, `x != "literal"`, either way round. */
export function equalsText(run: Run, text: string, expected: boolean): Run {
  const isRead = DIRECT.has(run);
  return (context) => {
    const value = run(context);
    if (typeof value === 'string') return (value === text) === expected;
    if (!(value instanceof Failure)) return !expected;
    return isRead && value instanceof Unread && value.ask('==', text) === false ? !expected : value;
  };
}

const ORDERS: ReadonlyMap<string, (left: bigint | number, right: bigint | number) => boolean> = new Map([
  ['<', (left: bigint | number, right: bigint | number) => left < right],
  ['<=', (left: bigint | number, right: bigint | number) => left <= right],
  ['>', (left: bigint | number, right: bigint | number) => left > right],
  ['>=', (left: bigint | number, right: bigint | number) => left >= right],
]);

/** `x > 1000` and its siblings; undefined for other operators. JavaScript compares bigint with number exactly. */
export function orderedNumber(op: string, run: Run, limit: bigint | number, general: Binary): Run | undefined {
  const holds = ORDERS.get(op);
  if (holds === undefined) return undefined;
  return (context) => {
    const value = run(context);
    if (typeof value === 'bigint' || typeof value === 'number') return holds(value, limit);
    return value instanceof Failure ? value : general(value, limit, context);
  };
}

/** `x in ["a", "b"]`. */
export function inTexts(run: Run, texts: readonly string[]): Run {
  const known = new Set(texts);
  return (context) => {
    const value = run(context);
    if (typeof value === 'string') return known.has(value);
    return value instanceof Failure ? value : false;
  };
}

const TESTS: ReadonlyMap<string, (text: string, part: string) => boolean> = new Map([
  ['contains', (text: string, part: string) => text.includes(part)],
  ['startsWith', (text: string, part: string) => text.startsWith(part)],
  ['endsWith', (text: string, part: string) => text.endsWith(part)],
]);

/** `x.contains("literal")` and its siblings; undefined when the function has no such form. */
export function onText(name: string, run: Run, part: string): Run | undefined {
  const holds = TESTS.get(name);
  if (holds === undefined) return undefined;
  const weight = searchWeight(part);
  const isRead = DIRECT.has(run);
  return (context) => {
    const value = run(context);
    if (typeof value === 'string') return context.spend(value.length * weight) ? TOO_EXPENSIVE : holds(value, part);
    if (!(value instanceof Failure)) return listContains(name, value, part, context);
    return isRead && value instanceof Unread ? value.ask(name, part) : value;
  };
}

/** `contains` works on lists (strathon-compat §1.6 d). */
function listContains(name: string, value: Value, part: string, context: Context): Result {
  if (name !== 'contains') return mismatch(`${name}()`, value, part);
  if (Array.isArray(value)) {
    return context.spend(value.length / 4) ? TOO_EXPENSIVE : value.some((element) => equal(element, part));
  }
  return value instanceof MapValue ? value.get(part) !== undefined : mismatch(`${name}()`, value, part);
}
