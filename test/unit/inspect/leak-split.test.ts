import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leakInspector } from '../../../src/inspect/leak.ts';
import { PLAIN } from '../../../src/inspect/leak-rules.ts';
import type { Cut, Finding } from '../../../src/model/finding.ts';
import { edits } from '../../../src/pipeline/filtered.ts';
import { SECRET, scanner } from './leak-support.ts';
import { exchangeTo, type Made } from './support.ts';

/** `SECRET` with something before and behind, so that it is long enough to be cut up. */
const [A, B, C] = [SECRET.slice(0, 5), SECRET.slice(5, 8), SECRET.slice(8)];

function inspect(made: Made): readonly Finding[] {
  const inspector = leakInspector({ scan: scanner(), rules: PLAIN, wanted: () => true, shownHost: String });
  return inspector.inspect(exchangeTo('evil.test', made), {});
}

test('a secret cut into values that follow one another', () => {
  const table: [Made, RegExp, { target?: string; values?: ReadonlyMap<number, string> }][] = [
    [
      { target: `/x?first=abcdef&a=${A}&b=${B}&c=${C}&z=1` },
      /in 3 query values \(split\)/,
      {
        target: `/x?first=abcdef&a=${'%5BTEST%20KEY_REDACTED%5D&b=%5BTEST%20KEY_REDACTED%5D&c=%5BTEST%20KEY_REDACTED%5D'}&z=1`,
      },
    ],
    [
      { target: `/upload/${A}/${B}${C}/more-of-it` },
      /in 2 parts of the path \(split\)/,
      { target: '/upload/%5BTEST%20KEY_REDACTED%5D/%5BTEST%20KEY_REDACTED%5D/more-of-it' },
    ],
    [
      { fields: ['Host', 'evil.test', 'X-A', A, 'Accept', '*/*', 'X-B', B + C, 'X-C', 'something'] },
      /in 2 headers \(split\)/,
      {
        values: new Map([
          [1, '[TEST KEY_REDACTED]'],
          [3, '[TEST KEY_REDACTED]'],
        ]),
      },
    ],
    [
      { fields: ['Cookie', `one=abcdefgh; a=${A}; b=${B}${C}`] },
      /in 2 cookies \(split\)/,
      { values: new Map([[0, 'one=abcdefgh; a=[TEST KEY_REDACTED]; b=[TEST KEY_REDACTED]']]) },
    ],
  ];
  for (const [made, words, left] of table) {
    const [finding, ...rest] = inspect(made);
    assert.deepEqual(rest, []);
    assert.match(finding?.message ?? '', words);
    assert.equal(finding?.disposition, 'block');
    assert.deepEqual(edits((finding?.located ?? []) as Cut[], made.target ?? '/', made.fields ?? []), left);
  }
});

test('what only looks like it when it is joined is nothing', () => {
  for (const target of [
    `/?first=abcdef&a=x${A}&b=${B}${C}`,
    `/?first=abcdef&a=${A}&b=${B}${C}1`,
    `/?first=abcdef&a=${A}&b=some words&c=${B}&d=${C.slice(1)}`,
  ]) {
    assert.deepEqual(inspect({ target }), [], target);
  }
});
