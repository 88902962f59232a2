import { type Context, TOO_EXPENSIVE } from './cel-context.ts';
import { int, isIn, searchWeight, uint } from './cel-operators.ts';
import { searchComputed } from './cel-regex.ts';
import {
  durationField,
  formatDuration,
  formatTimestamp,
  parseDuration,
  parseTimestamp,
  timestamp,
  timestampField,
} from './cel-time.ts';
import {
  Duration,
  Failure,
  MapValue,
  mismatch,
  type Result,
  Timestamp,
  TypeValue,
  typeName,
  Uint,
  type Value,
} from './cel-value.ts';

/** `f(a, b)` and `a.f(b)` are the same call here, as they are in celpy. */
export type Call = (args: readonly Value[], context: Context) => Result;

const TRUE = new Set(['1', 't', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'false', 'FALSE', 'False']);
const unconvertible = (name: string): Failure => new Failure('value', `${name}() cannot convert this value`);

function one(name: string, convert: (value: Value, context: Context) => Result | undefined): [string, Call] {
  return [
    name,
    (args, context) => {
      if (args.length !== 1) return new Failure('type', `${name}() takes one value`);
      return convert(args[0] as Value, context) ?? mismatch(`${name}()`, args[0] as Value);
    },
  ];
}

/** A call on a text with a text: costs what it looks at. */
function onText(name: string, test: (text: string, part: string) => boolean): [string, Call] {
  return [
    name,
    ([text, part], context) => {
      if (typeof text !== 'string' || typeof part !== 'string') return wrongArguments(name, text, part);
      return context.spend(text.length * searchWeight(part)) ? TOO_EXPENSIVE : test(text, part);
    },
  ];
}

function wrongArguments(name: string, ...args: (Value | undefined)[]): Failure {
  return mismatch(`${name}()`, ...args.filter((arg) => arg !== undefined));
}

function size(value: Value, context: Context): Result | undefined {
  if (typeof value === 'string') {
    if (context.spend(value.length / 64)) return TOO_EXPENSIVE;
    let points = 0;
    for (const _ of value) points++;
    return BigInt(points);
  }
  if (value instanceof MapValue) return BigInt(value.size);
  return Array.isArray(value) || value instanceof Uint8Array ? BigInt(value.length) : undefined;
}

function toInt(value: Value): Result | undefined {
  if (typeof value === 'bigint') return value;
  if (value instanceof Uint) return int(value.value);
  // Beyond 2^63 a double is not the number that was written.
  if (typeof value === 'number') {
    return Math.abs(value) < 2 ** 63
      ? BigInt(Math.trunc(value))
      : new Failure('value', 'the number does not fit into an int');
  }
  if (value instanceof Timestamp)
    return int((value.ns - (((value.ns % 10n ** 9n) + 10n ** 9n) % 10n ** 9n)) / 10n ** 9n);
  if (typeof value !== 'string') return undefined;
  return /^[+-]?\d{1,20}$/.test(value) ? int(BigInt(value.replace('+', ''))) : unconvertible('int');
}

function toUint(value: Value): Result | undefined {
  if (value instanceof Uint) return value;
  if (typeof value === 'bigint') return uint(value);
  if (typeof value === 'number') {
    return value >= 0 && value < 2 ** 64
      ? uint(BigInt(Math.trunc(value)))
      : new Failure('value', 'the number does not fit into a uint');
  }
  if (typeof value !== 'string') return undefined;
  return /^\d{1,20}$/.test(value) ? uint(BigInt(value)) : unconvertible('uint');
}

function toDouble(value: Value): Result | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint) return Number(value.value);
  if (typeof value !== 'string') return undefined;
  const special = /^([+-]?)(inf(?:inity)?|nan)$/i.exec(value);
  if (special !== null) {
    if (/nan/i.test(special[2] as string)) return Number.NaN;
    return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  const plain = value.length <= 400 && /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value);
  return plain ? Number(value) : unconvertible('double');
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

function toText(value: Value, context: Context): Result | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    return Number.isFinite(value) ? String(value) : Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  }
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (value instanceof Duration) return formatDuration(value);
  if (!(value instanceof Uint8Array)) return undefined;
  if (context.spend(value.length / 256)) return TOO_EXPENSIVE;
  try {
    return decoder.decode(value);
  } catch {
    return new Failure('value', 'string() wants bytes that are UTF-8');
  }
}

function toBytes(value: Value, context: Context): Result | undefined {
  if (value instanceof Uint8Array) return value;
  if (typeof value !== 'string') return undefined;
  return context.spend(value.length / 256) ? TOO_EXPENSIVE : encoder.encode(value);
}

function toBool(value: Value): Result | undefined {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'string') return undefined;
  return TRUE.has(value) ? true : FALSE.has(value) ? false : unconvertible('bool');
}

function toTimestamp(value: Value): Result | undefined {
  if (value instanceof Timestamp) return value;
  if (typeof value === 'bigint') return timestamp(value * 1_000_000_000n);
  return typeof value === 'string' ? parseTimestamp(value) : undefined;
}

function toDuration(value: Value): Result | undefined {
  if (value instanceof Duration) return value;
  return typeof value === 'string' ? parseDuration(value) : undefined;
}

/** `contains` works on lists and maps as well (strathon-compat §1.6 d). */
const contains = onText('contains', (text, part) => text.includes(part))[1];

/** Every function of the standard library; macros and time getters stand elsewhere. */
export const FUNCTIONS: ReadonlyMap<string, Call> = new Map<string, Call>([
  one('size', size),
  one('type', (value) => new TypeValue(typeName(value))),
  one('dyn', (value) => value),
  one('int', toInt),
  one('uint', toUint),
  one('double', toDouble),
  one('string', toText),
  one('bytes', toBytes),
  one('bool', toBool),
  one('timestamp', toTimestamp),
  one('duration', toDuration),
  one('list', (value) => (Array.isArray(value) ? value : value instanceof MapValue ? value.keys() : undefined)),
  one('map', (value) => (value instanceof MapValue ? value : undefined)),
  onText('startsWith', (text, part) => text.startsWith(part)),
  onText('endsWith', (text, part) => text.endsWith(part)),
  [
    'contains',
    (args, context) => {
      const [whole, part] = args;
      if (part === undefined || !(Array.isArray(whole) || whole instanceof MapValue)) return contains(args, context);
      return isIn(part, whole, context);
    },
  ],
  [
    'matches',
    ([text, source], context) => {
      if (typeof text !== 'string' || typeof source !== 'string') return wrongArguments('matches', text, source);
      return searchComputed(text, source, context);
    },
  ],
]);

/** The call for `name`, or undefined when nobody knows it. */
export function callOf(name: string): Call | undefined {
  const field = timestampField(name);
  if (field === undefined) return FUNCTIONS.get(name);
  return ([time, zone], context) => {
    // A wall clock elsewhere is Intl's to know, which takes its 20 µs.
    if (zone !== undefined && context.spend(200)) return TOO_EXPENSIVE;
    if (time instanceof Timestamp && (zone === undefined || typeof zone === 'string')) return field(time, zone);
    const whole = time instanceof Duration && zone === undefined ? durationField(name, time) : undefined;
    return whole ?? wrongArguments(name, time, zone);
  };
}
