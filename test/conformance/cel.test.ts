import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tests } from '@bufbuild/cel-spec/testdata/conformance.js';
import { compile, createContext, resultOf } from '../../src/policy/cel.ts';
import {
  Duration,
  Failure,
  LiteralMap,
  MapValue,
  type Result,
  Timestamp,
  TypeValue,
  Uint,
  type Value,
} from '../../src/policy/cel-value.ts';

/**
 * The official conformance cases of cel-spec, as data of a devDependency, through our engine. A case that is listed as an expected
 * failure and passes fails this test: the list can only shrink.
 */

/** Suites that test what policies do not have. Everything else runs. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  dynamic: 'protobuf wrapper and Struct fields',
  enums: 'protobuf enumerations',
  proto2: 'protobuf messages',
  proto2_ext: 'protobuf extensions',
  proto3: 'protobuf messages',
  wrappers: 'protobuf wrapper messages',
  type_deductions: 'the static checker; policies are unchecked',
  bindings_ext: 'extension library, celpy as Strathon runs it has none',
  block_ext: 'extension library',
  encoders_ext: 'extension library',
  macros2: 'extension library: comprehensions with two variables',
  math_ext: 'extension library',
  optionals: 'extension library',
  string_ext: 'extension library',
};

const RAW_BYTES = 'the parser has no raw bytes literals';
const QUOTED = 'the parser has no `quoted` field names';
const LEADING_DOT = 'the parser has no numbers that begin with a dot';
const LATIN = 'the parser reads a character above U+007F in a bytes literal as one byte';
const EXACT = 'we compare int with double exactly; cel-spec rounds the int to a double first';
const PREFIX = 'variables with dots in their names; ours are name, attrs, now';
const CONTAINER = 'containers (name spaces); policies have none';

const EXPECTED_FAILURES: Readonly<Record<string, string>> = {
  'basic/self_eval_nonzeroish/self_eval_bytes_escape': LATIN,
  'comparisons/eq_literal/eq_bytes': LATIN,
  'comparisons/ne_literal/not_ne_bytes': LATIN,
  'comparisons/lt_literal/not_lt_dyn_int_big_lossy_double': EXACT,
  'comparisons/gt_literal/not_gt_dyn_big_double_int': EXACT,
  'comparisons/lte_literal/lte_dyn_big_double_int': EXACT,
  'comparisons/gte_literal/gte_dyn_int_big_lossy_double': EXACT,
  'comparisons/gt_literal/not_gt_double': LEADING_DOT,
  'fields/quoted_map_fields/field_access_slash': QUOTED,
  'fields/quoted_map_fields/field_access_dash': QUOTED,
  'fields/quoted_map_fields/field_access_dot': QUOTED,
  'fields/quoted_map_fields/has_field_slash': QUOTED,
  'fields/quoted_map_fields/has_field_dash': QUOTED,
  'fields/quoted_map_fields/has_field_dot': QUOTED,
  'fields/qualified_identifier_resolution/qualified_ident': PREFIX,
  'fields/qualified_identifier_resolution/map_field_select': PREFIX,
  'fields/qualified_identifier_resolution/qualified_identifier_resolution_unchecked': PREFIX,
  'fields/qualified_identifier_resolution/ident_with_longest_prefix_check': PREFIX,
  'namespace/qualified/self_eval_qualified_lookup': PREFIX,
  'namespace/namespace/self_eval_container_lookup': CONTAINER,
  'namespace/namespace/self_eval_container_lookup_unchecked': CONTAINER,
  'parse/bytes_literals/raw_single_quoted_escapes': RAW_BYTES,
  'parse/bytes_literals/raw_double_quoted_escapes': RAW_BYTES,
  'parse/bytes_literals/raw_triple_single_quoted_escapes': RAW_BYTES,
  'parse/bytes_literals/raw_triple_double_quoted_escapes': RAW_BYTES,
  'parse/bytes_literals/upper_raw_single_quoted_escapes': RAW_BYTES,
  'parse/bytes_literals/upper_raw_double_quoted_escapes': RAW_BYTES,
  'parse/bytes_literals/upper_raw_triple_single_quoted_escapes': RAW_BYTES,
  'parse/bytes_literals/upper_raw_triple_double_quoted_escapes': RAW_BYTES,
};

interface Case {
  readonly path: string;
  readonly expr: string;
  readonly value: Json | undefined;
  readonly fails: boolean;
  readonly bindings: Readonly<Record<string, { readonly value?: Json }>>;
}
type Json = { readonly [key: string]: unknown };
interface Suite {
  readonly name: string;
  readonly suites?: readonly Suite[];
  readonly tests?: readonly { readonly original: Json }[];
}

function casesOf(suite: Suite, parent = ''): Case[] {
  const path = parent === '' ? suite.name : `${parent}/${suite.name}`;
  const own = (suite.tests ?? []).map(({ original }) => ({
    path: `${path}/${original['name'] ?? original['expr']}`,
    expr: original['expr'] as string,
    value: original['value'] as Json | undefined,
    fails: original['evalError'] !== undefined,
    bindings: (original['bindings'] ?? {}) as Case['bindings'],
  }));
  return [...own, ...(suite.suites ?? []).flatMap((inner) => casesOf(inner, path))];
}

/** The case builds or is given a protobuf message. */
function hasMessage({ expr, bindings }: Case): boolean {
  const built = /\b(?:TestAllTypes|NestedTestAllTypes|google\s*\.\s*protobuf\s*\.\s*\w*(?:Value|Any|Struct))\s*\{/.test(
    expr,
  );
  return built || /TestAllTypes/.test(expr) || JSON.stringify(bindings).includes('objectValue');
}

function valueFrom(json: Json): Value {
  const [[kind, value]] = Object.entries(json) as [[string, unknown]];
  switch (kind) {
    case 'int64Value':
      return BigInt(value as string);
    case 'uint64Value':
      return new Uint(BigInt(value as string));
    case 'doubleValue':
      return Number(value);
    case 'bytesValue':
      return new Uint8Array(Buffer.from(value as string, 'base64'));
    case 'typeValue':
      return new TypeValue(value as string);
    case 'listValue':
      return ((value as { values?: Json[] }).values ?? []).map(valueFrom);
    case 'mapValue': {
      const map = new LiteralMap();
      for (const { key, value: inner } of (value as { entries?: { key: Json; value: Json }[] }).entries ?? [])
        assert.ok(map.add(valueFrom(key), valueFrom(inner)));
      return map;
    }
    case 'boolValue':
    case 'stringValue':
    case 'nullValue':
      return value as Value;
    default:
      // What is left is a message the expression only mentions by type: a Timestamp or Duration.
      return messageFrom(value as { '@type': string; value: string });
  }
}

function messageFrom({ '@type': type, value }: { '@type': string; value: string }): Value {
  const made = type.endsWith('Duration')
    ? evaluate(`duration(${JSON.stringify(value)})`)
    : evaluate(`timestamp("${value}")`);
  assert.ok(made instanceof Duration || made instanceof Timestamp, `${type} ${value}`);
  return made;
}

function shown(value: Result): string {
  if (value instanceof Failure) return `error: ${value.message}`;
  if (typeof value === 'bigint') return `int ${value}`;
  if (typeof value === 'number') return Object.is(value, -0) ? 'double -0' : `double ${value}`;
  if (value instanceof Uint) return `uint ${value.value}`;
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (value instanceof TypeValue) return `type ${value.name}`;
  if (value instanceof Timestamp) return `timestamp ${value.ns}`;
  if (value instanceof Duration) return `duration ${value.ns}`;
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  if (!(value instanceof MapValue)) return JSON.stringify(value);
  const entries = value.keys().map((key) => `${shown(key)}: ${shown(value.get(key) as Value)}`);
  return `{${entries.sort().join(', ')}}`;
}

/** Bindings become attributes, and those the variable of a macro: the engine knows no other variables than ours. */
function evaluate(expr: string, bindings: Case['bindings'] = {}): Result {
  const names = Object.keys(bindings).filter((name) => !/^(?:true|false|null)$/.test(name));
  const values = new Map(names.map((name) => [name, valueFrom(bindings[name]?.value as Json)]));
  // Values stand in for attributes: a JavaScript number could not say whether it is an int, a uint or a double.
  const context = createContext({ name: 'n', attrs: new Map(), now: 0 });
  context.attrs.read = (key) => values.get(key);
  try {
    return resultOf(
      compile(names.reduce((inner, name) => `[attrs["${name}"]].map(${name}, (${inner}))[0]`, expr)),
      context,
    );
  } catch (error) {
    return new Failure('value', (error as Error).message);
  }
}

function outcome({ expr, value, fails, bindings }: Case): { ok: boolean; got: string; want: string } {
  const got = shown(evaluate(expr, bindings));
  if (fails) return { ok: got.startsWith('error'), got, want: 'an error' };
  const want = value === undefined ? 'true' : shown(valueFrom(value));
  return { ok: got === want, got, want };
}

const suites = (tests as Suite).suites ?? [];
const ran = suites.filter((suite) => LEFT_OUT[suite.name] === undefined);
const cases = ran.flatMap((suite) => casesOf(suite)).filter((item) => !hasMessage(item));

describe('CEL conformance', () => {
  test('the suites are those we know', () => {
    assert.deepEqual(
      Object.keys(LEFT_OUT).filter((name) => !suites.some((suite) => suite.name === name)),
      [],
    );
    assert.ok(cases.length > 1000, `${cases.length} cases`);
  });

  for (const suite of ran) {
    test(suite.name, () => {
      const wrong = cases
        .filter(({ path }) => path.startsWith(`${suite.name}/`) && EXPECTED_FAILURES[path] === undefined)
        .map((item) => ({ ...item, ...outcome(item) }))
        .filter(({ ok }) => !ok)
        .map(({ path, expr, got, want }) => `${path}: ${expr} gives ${got}, not ${want}`);
      assert.deepEqual(wrong, []);
    });
  }

  test('an expected failure that passes, or is no case any more, leaves the list', () => {
    const failing = new Set(cases.filter((item) => !outcome(item).ok).map(({ path }) => path));
    assert.deepEqual(
      Object.keys(EXPECTED_FAILURES).filter((path) => !failing.has(path)),
      [],
    );
  });
});
