import { Failure, LiteralMap, MapValue, type Result, Timestamp, type Value } from './cel-value.ts';

/** What an attribute may hold. Whole numbers within ±2^53 are ints, all other numbers doubles. */
export type AttributeValue =
  | null
  | string
  | boolean
  | number
  | bigint
  | readonly AttributeValue[]
  | { readonly [key: string]: AttributeValue };

/** Where attributes come from; a Map is one. Asked only for what an expression reads, so values may be made on demand. */
export interface Attributes {
  /** undefined = not set. */
  get(key: string): AttributeValue | undefined;
  keys(): Iterable<string>;
}

/** What a policy sees of a request. */
export interface CelFacts {
  /** `http.post`, `http.connect`. */
  readonly name: string;
  readonly attrs: Attributes;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * Steps of one evaluation, and of all evaluations for one request. One step is about 0.1 µs: a node of the body of `all`, `exists`,
 * `map` … per element, 256 characters searched, 1,024 joined. A hostile policy, or a request made to be slow, holds the thread for some
 * 50 ms and then is an ERROR.
 */
const STEPS = 500_000;
const STEPS_PER_REQUEST = 1_000_000;

/**
 * Attributes that expressions name get a number, so that a request keeps what it has read in an array and a hundred policies look
 * an attribute up once. Names come from policies; beyond the bound they are simply read again.
 */
const slots = new Map<string, number>();
const MAX_SLOTS = 4096;

/** -1 when there are too many. */
export function slotOf(attribute: string): number {
  const known = slots.get(attribute);
  if (known !== undefined) return known;
  if (slots.size >= MAX_SLOTS) return -1;
  slots.set(attribute, slots.size);
  return slots.size - 1;
}

/** Read, and not set. */
const ABSENT = Symbol('absent');

/** One request, converted once for all policies, and only as far as they look. */
export class Context {
  readonly name: string;
  readonly attrs: AttributeMap;
  readonly #now: number;
  #instant: Timestamp | undefined;
  /** What is left of the budget; negative = it is spent. */
  steps = STEPS;
  #given = STEPS;
  #left = STEPS_PER_REQUEST;
  /** Variables of the macros under way, by slot. */
  readonly slots: Value[] = [];
  readonly #read: (Value | typeof ABSENT | undefined)[] = [];

  constructor(facts: CelFacts) {
    this.name = facts.name;
    this.attrs = new AttributeMap(facts.attrs);
    this.#now = facts.now;
  }

  /** `name`. */
  get subject(): Result {
    return this.name;
  }

  get now(): Result {
    this.#instant ??= new Timestamp(BigInt(Math.trunc(this.#now)) * 1_000_000n);
    return this.#instant;
  }

  /** undefined = not set. */
  attribute(slot: number, key: string): Result | undefined {
    const seen = this.#read[slot];
    if (seen !== undefined) return seen === ABSENT ? undefined : seen;
    const value = this.attrs.read(key);
    if (slot >= 0) this.#read[slot] = value === undefined ? ABSENT : value;
    return value;
  }

  /** `"k" in attrs`. */
  holds(slot: number, key: string): Result {
    return this.attribute(slot, key) !== undefined;
  }

  /** True when the budget does not cover it. */
  spend(steps: number): boolean {
    this.steps -= steps;
    return this.steps < 0;
  }

  /** Before each evaluation. */
  refill(): void {
    this.#left -= this.#given - this.steps;
    this.#given = Math.min(STEPS, this.#left);
    this.steps = this.#given;
  }
}

/** The budget is spent. */
export const TOO_EXPENSIVE = new Failure('limit', 'the expression takes too many steps for this request');

/** `attrs`. Never a JavaScript object, so no key reaches a prototype. */
export class AttributeMap extends MapValue {
  readonly #source: Attributes;

  constructor(source: Attributes) {
    super();
    this.#source = source;
  }

  get(key: Value): Value | undefined {
    return typeof key === 'string' ? this.read(key) : undefined;
  }

  read(key: string): Value | undefined {
    const value = this.#source.get(key);
    if (typeof value === 'string' || value === undefined) return value;
    return toCel(value);
  }

  keys(): Value[] {
    return [...this.#source.keys()].filter((key) => this.#source.get(key) !== undefined);
  }

  get size(): number {
    return this.keys().length;
  }
}

function toCel(value: AttributeValue): Value {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(toCel);
  const map = new LiteralMap();
  for (const [key, inner] of Object.entries(value)) map.add(key, toCel(inner as AttributeValue));
  return map;
}
