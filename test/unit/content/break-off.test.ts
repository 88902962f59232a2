import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BodyFilterOptions, filterBody } from '../../../src/content/filter.ts';
import type { Act, BodyScanned } from '../../../src/model/scan.ts';
import { AWS, filterOptions } from './filter-support.ts';

/** What comes of a body that breaks off behind these bytes. */
function broken(
  text: string,
  act: Act,
  change: Partial<BodyFilterOptions> = {},
): { readonly given: string; readonly end: string; readonly rules: readonly string[] } {
  const given: Buffer[] = [];
  let ended: [string, BodyScanned] | undefined;
  const finish = (how: string) => (scanned: BodyScanned) => {
    assert.equal(ended, undefined, 'it ended twice');
    ended = [how, scanned];
  };
  const filter = filterBody({
    ...filterOptions({ what: 'response', contentType: 'text/plain', act: () => act, ...change }),
    out: { data: (payload) => given.push(payload), drained: () => undefined, end: finish('end'), stop: finish('stop') },
  });
  filter.write(Buffer.from(text));
  filter.breakOff?.();
  filter.breakOff?.();
  const [end = 'open', scanned] = ended ?? [];
  const rules = scanned?.found.map((one) => one.found.rule) ?? [];
  return { given: Buffer.concat(given).toString(), end, rules };
}

const RULES = ['aws-access-key'];
const event = (text: string): string =>
  `data: {"choices":[{"index":0,"delta":{"content":${JSON.stringify(text)}}}]}\n\n`;

test('a body that breaks off gives what it holds', () => {
  for (const act of ['replace', 'stop', 'pass'] as const)
    for (const text of ['the last word', 'step 42', 'the key', 'a@b.exam', 'QUJDREVGR0hJSktMTU5P'])
      assert.deepEqual(broken(text, act), { given: text, end: 'end', rules: [] });
});

test('what it holds is looked at as a whole: a label, a stop, or only told', () => {
  const text = `see ${AWS}`;
  assert.deepEqual(broken(text, 'replace'), { given: 'see [AWS ACCESS KEY ID_REDACTED]', end: 'end', rules: RULES });
  assert.deepEqual(broken(text, 'pass'), { given: text, end: 'end', rules: RULES });
  const stopped = broken(text, 'stop');
  assert.ok('see '.startsWith(stopped.given), stopped.given);
  assert.deepEqual([stopped.end, stopped.rules], ['stop', RULES]);
});

test('half a secret goes where it would be replaced, and not where it would stop the body', () => {
  const half = `see ${AWS.slice(0, 12)}`;
  assert.equal(broken(half, 'replace').given, half);
  assert.deepEqual(broken(half, 'stop'), { given: 'see ', end: 'end', rules: [] });
});

test('events that wait for one another go as well', () => {
  const change = { contentType: 'text/event-stream' };
  const text = `${event(' one')}${event(` ${AWS.slice(0, 10)}`)}`;
  assert.equal(broken(text, 'replace', change).given, text);
  assert.equal(broken(text, 'stop', change).given, event(' one'));
  assert.equal(broken(`${event(' one')}data: {"a`, 'replace', change).given, `${event(' one')}data: {"a`);
});

test('what is held whole gives nothing, for its head has not gone', () => {
  const { given, end, rules } = broken(`see ${AWS} and`, 'replace', { length: 100 });
  assert.deepEqual([given, end, rules], ['', 'end', RULES]);
});
