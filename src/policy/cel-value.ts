/** Why an expression has no value. A value like any other, so that `||` can absorb it without an exception. */
export class Failure {
  readonly code: FailureCode;
  /** For people; never holds a value of the context. */
  readonly message: string;
  /** The attribute that is not set, when the policy names it. */
  readonly attribute: string | undefined;

  constructor(code: FailureCode, message: string, attribute?: string) {
    this.code = code;
    this.message = message;
    this.attribute = attribute;
  }
}

/**
 * `absent` an attribute that is not set · `unknown` a name or function nobody knows · `type` no such overload · `value` out of range,
 * not convertible, no such key · `regex` not RE2 · `limit` the expression is too expensive ·
 * `unread` the value is not known now (only when a policy is examined without a request).
 */
export type FailureCode = 'absent' | 'unknown' | 'type' | 'value' | 'regex' | 'limit' | 'unread';

/** A value that is not known now; something may be known about it all the same. */
export class Unread extends Failure {
  readonly #ask: ((test: string, part: string) => boolean | undefined) | undefined;

  /** @param ask what `contains`, `startsWith`, `endsWith`, `==` with a literal say whatever the value is; undefined = it depends */
  constructor(ask?: (test: string, part: string) => boolean | undefined) {
    super('unread', 'the value is not known yet');
    this.#ask = ask;
  }

  ask(test: string, part: string): boolean | Failure {
    return this.#ask?.(test, part) ?? this;
  }
}

/** CEL `uint`; ints are bigint, doubles number. */
export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

/** `google.protobuf.Duration` in nanoseconds. */
export class Duration {
  readonly ns: bigint;
  constructor(ns: bigint) {
    this.ns = ns;
  }
}

/** `google.protobuf.Timestamp` in nanoseconds since 1970 UTC. */
export class Timestamp {
  readonly ns: bigint;
  #date: Date | undefined;
  constructor(ns: bigint) {
    this.ns = ns;
  }

  /** The millisecond it lies in; for reading only. */
  get date(): Date {
    this.#date ??= new Date(Number((this.ns - (((this.ns % 1_000_000n) + 1_000_000n) % 1_000_000n)) / 1_000_000n));
    return this.#date;
  }
}

/** What `type(x)` gives, and what `int`, `string` … mean when they are not called. */
export class TypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Uint
  | Duration
  | Timestamp
  | TypeValue
  | readonly Value[]
  | MapValue;
export type Result = Value | Failure;

/** Any CEL map: a literal, or the attributes of a request. */
export abstract class MapValue {
  /** undefined = no such key. */
  abstract get(key: Value): Value | undefined;
  abstract keys(): Value[];
  abstract get size(): number;
}

/** A map with keys of any type CEL allows; 1, 1u and 1.0 are one key. */
export class LiteralMap extends MapValue {
  readonly #entries = new Map<string, readonly [Value, Value]>();

  get(key: Value): Value | undefined {
    const canonical = keyOf(key);
    return canonical === undefined ? undefined : this.#entries.get(canonical)?.[1];
  }

  /** False when the key is of a type no map may have, or is there already. */
  add(key: Value, value: Value): boolean {
    const canonical = typeof key === 'number' ? undefined : keyOf(key);
    if (canonical === undefined || this.#entries.has(canonical)) return false;
    this.#entries.set(canonical, [key, value]);
    return true;
  }

  keys(): Value[] {
    return [...this.#entries.values()].map(([key]) => key);
  }

  get size(): number {
    return this.#entries.size;
  }
}

function keyOf(key: Value): string | undefined {
  switch (typeof key) {
    case 'string':
      return `s${key}`;
    case 'boolean':
      return `b${key}`;
    case 'bigint':
      return `n${key}`;
    case 'number':
      return Number.isInteger(key) ? `n${BigInt(key)}` : undefined;
    default:
      return key instanceof Uint ? `n${key.value}` : undefined;
  }
}

const CLASSES = [
  [Uint, 'uint'],
  [Duration, 'google.protobuf.Duration'],
  [Timestamp, 'google.protobuf.Timestamp'],
  [TypeValue, 'type'],
  [MapValue, 'map'],
  [Uint8Array, 'bytes'],
] as const;

/** The CEL name of a value's type. */
export function typeName(value: Value): string {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'bigint':
      return 'int';
    case 'number':
      return 'double';
    case 'boolean':
      return 'bool';
  }
  if (value === null) return 'null_type';
  for (const [kind, name] of CLASSES) if (value instanceof kind) return name;
  return 'list';
}

/** `no such overload`, naming types only. */
export function mismatch(what: string, ...values: Value[]): Failure {
  return new Failure('type', `${what} does not take ${values.map(typeName).join(' and ')}`);
}

/** CEL equality: numbers across their types, everything else only with its own type; NaN equals nothing. */
export function equal(a: Value, b: Value): boolean {
  if (a === b) return true;
  const left = numeric(a);
  if (left !== undefined) {
    const right = numeric(b);
    // biome-ignore lint/suspicious/noDoubleEquals: exact comparison of bigint with number is what CEL asks for.
    return right !== undefined && left == right;
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => equal(v, b[i] as Value));
  if (a instanceof MapValue) return b instanceof MapValue && equalMaps(a, b);
  if (a instanceof Uint8Array) return b instanceof Uint8Array && compareBytes(a, b) === 0;
  if (a instanceof Duration) return b instanceof Duration && a.ns === b.ns;
  if (a instanceof Timestamp) return b instanceof Timestamp && a.ns === b.ns;
  return a instanceof TypeValue && b instanceof TypeValue && a.name === b.name;
}

function equalMaps(a: MapValue, b: MapValue): boolean {
  if (a.size !== b.size) return false;
  return a.keys().every((key) => {
    const other = b.get(key);
    return other !== undefined && equal(a.get(key) as Value, other);
  });
}

function numeric(value: Value): bigint | number | undefined {
  if (typeof value === 'bigint' || typeof value === 'number') return value;
  return value instanceof Uint ? value.value : undefined;
}

/** < 0, 0, > 0; NaN when either is not a number; undefined when CEL does not order these types. */
export function compare(a: Value, b: Value): number | undefined {
  if (typeof a === 'string') return typeof b === 'string' ? compareText(a, b) : undefined;
  const left = numeric(a);
  if (left !== undefined) {
    const right = numeric(b);
    if (right === undefined) return undefined;
    if (left < right) return -1;
    // biome-ignore lint/suspicious/noDoubleEquals: exact comparison of bigint with number is what CEL asks for.
    return left > right ? 1 : left == right ? 0 : Number.NaN;
  }
  if (typeof a === 'boolean') return typeof b === 'boolean' ? Number(a) - Number(b) : undefined;
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration)) {
    return a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0;
  }
  return a instanceof Uint8Array && b instanceof Uint8Array ? compareBytes(a, b) : undefined;
}

/** By code point; JavaScript's own order puts U+10000… before U+E000. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    let left = a.charCodeAt(i);
    let right = b.charCodeAt(i);
    if (left === right) continue;
    if (left >= 0xd800 && left < 0xe000) left += 0x10000;
    if (right >= 0xd800 && right < 0xe000) right += 0x10000;
    return left - right;
  }
  return a.length - b.length;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
