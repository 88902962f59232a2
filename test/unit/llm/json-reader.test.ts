import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type JsonField, type JsonScalar, jsonPaths } from '../../../src/llm/json-paths.ts';
import { JsonReader } from '../../../src/llm/json-reader.ts';

type Name = 'a' | 'ab' | 'each' | 'deep' | 'either';
const FIELDS: readonly JsonField<Name>[] = [
  { path: 'a', as: 'a' },
  { path: 'o.b', as: 'ab' },
  { path: 'list.*', as: 'each' },
  { path: 'list.*.o.b', as: 'deep' },
  { path: 'x|y.*.b', as: 'either' },
];
type Told = readonly [string, Name | undefined, JsonScalar?];

interface Read {
  readonly told: Told[];
  readonly broken: boolean;
  readonly complete: boolean;
}

function read(parts: readonly Uint8Array[], rows = false, fields = FIELDS): Read {
  const told: Told[] = [];
  const sink = {
    value: (field: Name, value: JsonScalar) => void told.push(['value', field, value]),
    enter: (field: Name) => void told.push(['enter', field]),
    leave: (field: Name) => void told.push(['leave', field]),
    document: () => void told.push(['document', undefined]),
  };
  const reader = new JsonReader(jsonPaths(fields), sink, rows);
  for (const part of parts) reader.push(part);
  reader.end();
  return { told, broken: reader.broken, complete: reader.complete };
}
const one = (text: string, rows = false): Read => read([Buffer.from(text)], rows);

/** What JSON.parse makes of the text, walked in its order. */
function expected(value: unknown): Told[] {
  const told: Told[] = [];
  const walk = (at: unknown, path: string[]): void => {
    const name = FIELDS.find(({ path: wanted }) => {
      const steps = wanted.split('.');
      return (
        steps.length === path.length &&
        steps.every((step, i) => step.split('|').some((way) => `${way === '*' ? '' : '.'}${way}` === path[i]))
      );
    })?.as;
    if (at === null || typeof at !== 'object') {
      if (name !== undefined) told.push(['value', name, at as JsonScalar]);
      return;
    }
    if (name !== undefined) told.push(['enter', name]);
    if (Array.isArray(at)) for (const item of at) walk(item, [...path, '*']);
    else for (const [key, item] of Object.entries(at)) walk(item, [...path, `.${key}`]);
    if (name !== undefined) told.push(['leave', name]);
  };
  walk(value, []);
  told.push(['document', undefined]);
  return told;
}

const key = fc.oneof(
  fc.constantFrom('a', 'o', 'b', 'list', 'x', 'y', '*', '__proto__', 'constructor'),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: 'medium' },
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('tree'), { maxLength: 5 }),
    // Duplicate keys and integer-like keys are put in order by JSON.parse, not by us.
    fc.dictionary(
      key.filter((name) => !/^\d+$/.test(name)),
      tie('tree'),
      { maxKeys: 6, noNullPrototype: true },
    ),
  ),
}));
const cuts = fc.array(fc.nat({ max: 2000 }), { maxLength: 10 });

function pieces(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [0, ...at.map((place) => Math.min(place, bytes.length)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
}

test('reads what JSON.parse reads, in any pieces', () => {
  fc.assert(
    fc.property(tree, fc.constantFrom(0, 2), cuts, (value, indent, at) => {
      const text = JSON.stringify(value, null, indent);
      const got = read(pieces(Buffer.from(text), at));
      assert.deepEqual(got.told, expected(JSON.parse(text)));
      assert.equal(got.complete, true);
    }),
    { numRuns: 1000 },
  );
});

test('broken text: the same in any pieces, and never called complete when JSON.parse refuses its grammar', () => {
  const broken = fc
    .tuple(tree, fc.nat(), fc.constantFrom('', '}', ']', ',', ':', '"', '{', 'x', '1', '\\'))
    .map(([value, at, junk]) => {
      const text = JSON.stringify(value);
      const place = at % (text.length + 1);
      return text.slice(0, place) + junk + text.slice(place + 1);
    });
  fc.assert(
    fc.property(broken, cuts, (text, at) => {
      const bytes = Buffer.from(text);
      const whole = read([bytes]);
      assert.deepEqual(read(pieces(bytes, at)), whole);
      assert.deepEqual(read(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))), whole);
    }),
    { numRuns: 1000 },
  );
});

test('refuses what is no JSON', () => {
  const texts = [
    '{',
    '[1,]',
    '{"a":1,}',
    '{"a" 1}',
    '{a:1}',
    '[1 2]',
    '{"a":01}',
    '{"a":.5}',
    '{"a":truer}',
    '{"a":1}x',
    '{"a":"\\q"}',
    ']',
    '[}',
    '{]',
    "{'a':1}",
    '',
    ' ',
    '"a',
    '{"a":+1}',
    '{"a":1.}',
    '{"a":-}',
  ];
  for (const text of texts) assert.equal(one(text).complete, false, text);
  for (const text of [' {} ', '[]', '"a"', '1', '-0.5e+7', 'null', '{"a":{}}', '[[],[{}]]'])
    assert.equal(one(text).complete, true, text);
});

test('a key written with escapes is the same key', () => {
  assert.deepEqual(one('{"\\u0061":"\\u00e9\\n\\ud83e\\uddc0"}').told[0], ['value', 'a', 'é\n🧀']);
});

test('a long string is reported as there, and kept nowhere', () => {
  const fields: readonly JsonField<Name>[] = [
    { path: 'a', as: 'a', keep: 3 },
    { path: 'o.b', as: 'ab', keep: 0 },
  ];
  assert.deepEqual(read([Buffer.from('{"a":"abc","o":{"b":""}}')], false, fields).told.slice(0, 2), [
    ['value', 'a', 'abc'],
    ['value', 'ab', ''],
  ]);
  assert.deepEqual(read([Buffer.from('{"a":"abcd","o":{"b":"x"}}')], false, fields).told.slice(0, 2), [
    ['value', 'a', undefined],
    ['value', 'ab', undefined],
  ]);
});

test('a number that breaks off is not told', () => {
  assert.deepEqual(one('{"a":12').told, []);
  assert.deepEqual(one('{"a":12 ').told, [['value', 'a', 12]]);
  assert.deepEqual(one(`{"a":${'1'.repeat(60)}}`).told[0], ['value', 'a', undefined]);
});

test('nesting is bounded', () => {
  assert.equal(one('['.repeat(256) + ']'.repeat(256)).complete, true);
  assert.equal(one('['.repeat(257) + ']'.repeat(257)).broken, true);
  assert.equal(one('{"a":'.repeat(100_000)).broken, true);
});

test('rows: an array, lines, or one document', () => {
  const row = [
    ['value', 'a', 1],
    ['document', undefined],
  ];
  for (const text of ['[{"a":1},{"a":1}]', '{"a":1}\n{"a":1}\n', '{"a":1}{"a":1}']) {
    assert.deepEqual(one(text, true).told, [...row, ...row], text);
    assert.equal(one(text, true).complete, true, text);
  }
  assert.deepEqual(one('{"a":1}', true).told, row);
  assert.equal(one('[{"a":1},{"a":1}', true).complete, false);
  assert.equal(one('{"a":1}\n{"a"', true).complete, false);
  assert.equal(one('[', true).complete, false);
});

test('a path has one name', () => {
  assert.throws(
    () =>
      jsonPaths([
        { path: 'a|b', as: 'x' },
        { path: 'b', as: 'y' },
      ]),
    /JSON path b has two names/,
  );
});
