import { type Context, TOO_EXPENSIVE } from './cel-context.ts';
import { duration, timestamp } from './cel-time.ts';
import {
  compare,
  Duration,
  equal,
  Failure,
  MapValue,
  mismatch,
  type Result,
  Timestamp,
  Uint,
  type Value,
} from './cel-value.ts';

/** A strict operator: its operands are values. */
export type Binary = (left: Value, right: Value, context: Context) => Result;

const INT_MIN = -(2n ** 63n);
const INT_MAX = 2n ** 63n - 1n;
const UINT_MAX = 2n ** 64n - 1n;
/** Characters (or bytes) a text may grow to; `a + a` inside macros doubles at each level. */
const MAX_TEXT = 16_777_216;
const MAX_LIST = 100_000;

/** A Failure outside 64 bits signed. */
export function int(value: bigint): Result {
  return value < INT_MIN || value > INT_MAX ? new Failure('value', 'the number does not fit into an int') : value;
}

/** A Failure outside 64 bits unsigned. */
export function uint(value: bigint): Result {
  return value < 0n || value > UINT_MAX ? new Failure('value', 'the number does not fit into a uint') : new Uint(value);
}

const ZERO = new Failure('value', 'division by zero');

/** The operators numbers have, once for bigint (int and uint) and once for double. */
function arithmetic(
  op: string,
  whole: (a: bigint, b: bigint) => bigint,
  real?: (a: number, b: number) => number,
): Binary {
  const divides = op === '/' || op === '%';
  return (left, right) => {
    if (typeof left === 'bigint' && typeof right === 'bigint') {
      return divides && right === 0n ? ZERO : int(whole(left, right));
    }
    if (left instanceof Uint && right instanceof Uint) {
      return divides && right.value === 0n ? ZERO : uint(whole(left.value, right.value));
    }
    if (real !== undefined && typeof left === 'number' && typeof right === 'number') return real(left, right);
    return mismatch(`\`${op}\``, left, right);
  };
}

const addNumbers = arithmetic(
  '+',
  (a, b) => a + b,
  (a, b) => a + b,
);
const subtractNumbers = arithmetic(
  '-',
  (a, b) => a - b,
  (a, b) => a - b,
);

function add(left: Value, right: Value, context: Context): Result {
  if (typeof left === 'string' && typeof right === 'string') {
    const length = left.length + right.length;
    return length > MAX_TEXT || context.spend(length / 1024) ? TOO_EXPENSIVE : left + right;
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    const length = left.length + right.length;
    return length > MAX_LIST || context.spend(length / 8) ? TOO_EXPENSIVE : [...left, ...right];
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    const length = left.length + right.length;
    if (length > MAX_TEXT || context.spend(length / 1024)) return TOO_EXPENSIVE;
    const joined = new Uint8Array(length);
    joined.set(left);
    joined.set(right, left.length);
    return joined;
  }
  if (left instanceof Duration && right instanceof Duration) return duration(left.ns + right.ns);
  if (left instanceof Timestamp && right instanceof Duration) return timestamp(left.ns + right.ns);
  if (left instanceof Duration && right instanceof Timestamp) return timestamp(left.ns + right.ns);
  return addNumbers(left, right, context);
}

function subtract(left: Value, right: Value, context: Context): Result {
  if (left instanceof Timestamp && right instanceof Timestamp) return duration(left.ns - right.ns);
  if (left instanceof Timestamp && right instanceof Duration) return timestamp(left.ns - right.ns);
  if (left instanceof Duration && right instanceof Duration) return duration(left.ns - right.ns);
  return subtractNumbers(left, right, context);
}

function ordering(op: string, holds: (order: number) => boolean): Binary {
  return (left, right) => {
    const order = compare(left, right);
    return order === undefined ? mismatch(`\`${op}\``, left, right) : holds(order);
  };
}

/** Steps per character of looking for `part` in a text; a long one may be compared at every place. */
export function searchWeight(part: string): number {
  return (1 + part.length / 64) / 256;
}

/** How much comparing two values may cost, in steps: both may be long lists. */
function weight(value: Value): number {
  if (typeof value === 'string') return value.length / 1024;
  if (Array.isArray(value)) return value.length;
  return value instanceof MapValue ? value.size : 0;
}

/** Membership in a list or among the keys of a map; a text does not contain that way. */
export function isIn(left: Value, right: Value, context: Context): Result {
  if (Array.isArray(right)) {
    if (context.spend(right.length / 4)) return TOO_EXPENSIVE;
    return right.some((value) => equal(left, value));
  }
  return right instanceof MapValue && isKey(left) ? right.get(left) !== undefined : mismatch('`in`', left, right);
}

function isKey(value: Value): boolean {
  return typeof value !== 'object' || value instanceof Uint;
}

function equality(expected: boolean): Binary {
  return (left, right, context) => {
    if (typeof left === 'object' && left !== null && context.spend(weight(left))) return TOO_EXPENSIVE;
    return equal(left, right) === expected;
  };
}

/** Every strict binary operator by its spelling. */
export const BINARY: ReadonlyMap<string, Binary> = new Map<string, Binary>([
  ['==', equality(true)],
  ['!=', equality(false)],
  ['<', ordering('<', (order) => order < 0)],
  ['<=', ordering('<=', (order) => order <= 0)],
  ['>', ordering('>', (order) => order > 0)],
  ['>=', ordering('>=', (order) => order >= 0)],
  ['in', isIn],
  ['+', add],
  ['-', subtract],
  [
    '*',
    arithmetic(
      '*',
      (a, b) => a * b,
      (a, b) => a * b,
    ),
  ],
  [
    '/',
    arithmetic(
      '/',
      (a, b) => a / b,
      (a, b) => a / b,
    ),
  ],
  ['%', arithmetic('%', (a, b) => a % b)],
]);

/** `!x`, and `-x`. */
export function negate(op: string, value: Value): Result {
  if (op === '!_') return typeof value === 'boolean' ? !value : mismatch('`!`', value);
  if (typeof value === 'bigint') return int(-value);
  return typeof value === 'number' ? -value : mismatch('`-`', value);
}
