import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { filterBody } from '../../../src/content/filter.ts';
import type { PartScanPort } from '../../../src/model/scan.ts';
import { AWS, filterOptions, GITHUB, pem, pieces, play, realScan } from './filter-support.ts';

const EVENTS = [
  'data: {"choices":[{"delta":{"content":" the key"}}]}\n\n',
  'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"pass"}}\n\n',
  'data: [DONE]\r\n\r\n',
  'data: some text that goes on\n',
  '\n',
];
const TEXTS = ['{"a":1}\n', '{"done":true}', '<p>token</p>', 'a line.\n'];
test('nothing waits of clean events, JSON texts and lines', () => {
  const given: string[] = [];
  const plain = filterBody({
    ...filterOptions({ what: 'response' }),
    out: {
      data: (payload) => given.push(payload.toString()),
      drained: () => undefined,
      end: () => undefined,
      stop: () => undefined,
    },
  });
  for (const text of TEXTS) {
    plain.write(Buffer.from(text));
    assert.equal(given.at(-1), text);
  }
  const filter = filterBody({
    ...filterOptions({ contentType: 'text/event-stream', what: 'response' }),
    out: {
      data: (payload) => given.push(payload.toString()),
      drained: () => undefined,
      end: () => undefined,
      stop: () => undefined,
    },
  });
  for (const event of EVENTS) {
    filter.write(Buffer.from(event));
    assert.equal(given.at(-1), event);
  }
  filter.abandon();
});

/** A filter whose time is the test's. */
function timed(
  t: TestContext,
  change: Parameters<typeof filterOptions>[0],
): { given: () => string; filter: ReturnType<typeof filterBody> } {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const given: Buffer[] = [];
  const filter = filterBody({
    ...filterOptions({ contentType: 'text/plain', holdMs: 250, ...change }),
    out: {
      data: (payload) => given.push(payload),
      drained: () => undefined,
      end: () => undefined,
      stop: () => undefined,
    },
  });
  return { given: () => Buffer.concat(given).toString(), filter };
}

test('in responses nothing waits longer than its time, but for a key that has begun', (t) => {
  const { given, filter } = timed(t, { what: 'response' });
  filter.write(Buffer.from(`before ${GITHUB.slice(0, 20)}`));
  assert.equal(given(), 'before ');
  t.mock.timers.tick(249);
  assert.equal(given(), 'before ');
  t.mock.timers.tick(1);
  assert.equal(given(), `before ${GITHUB.slice(0, 20)}`);
  const key = pem();
  filter.write(Buffer.from(`\n${key.slice(0, 200)}`));
  t.mock.timers.tick(10_000);
  assert.ok(!given().includes('BEGIN'));
  filter.write(Buffer.from(`${key.slice(200)}behind.\n`));
  assert.ok(given().endsWith('\n[RSA PRIVATE KEY_REDACTED]\nbehind.\n'), given());
});

test('a whole secret at the end of a stalled response carries its label when the time is up', (t) => {
  const { given, filter } = timed(t, { what: 'response' });
  filter.write(Buffer.from(`see ${GITHUB}`));
  assert.equal(given(), 'see ');
  t.mock.timers.tick(250);
  assert.equal(given(), 'see [GITHUB PERSONAL ACCESS TOKEN_REDACTED]');
});

test('a whole secret at the end of a stalled request carries its label too, and what comes behind it as well', (t) => {
  const { given, filter } = timed(t, { what: 'request' });
  filter.write(Buffer.from(`see ${GITHUB}`));
  assert.equal(given(), 'see ');
  t.mock.timers.tick(250);
  assert.equal(given(), 'see [GITHUB PERSONAL ACCESS TOKEN_REDACTED]');
  filter.write(Buffer.from(' and more.\n'));
  assert.equal(given(), 'see [GITHUB PERSONAL ACCESS TOKEN_REDACTED] and more.\n');
  filter.end();
});

test('in requests what is more than a keyword waits for its end', (t) => {
  const { given, filter } = timed(t, { what: 'request' });
  filter.write(Buffer.from('a word'));
  t.mock.timers.tick(250);
  assert.equal(given(), 'a word');
  filter.write(Buffer.from(` ${GITHUB.slice(0, 30)}`));
  t.mock.timers.tick(10_000);
  assert.equal(given(), 'a word ');
  filter.write(Buffer.from(`${GITHUB.slice(30)} `));
  filter.end();
  assert.equal(given(), 'a word [GITHUB PERSONAL ACCESS TOKEN_REDACTED] ');
});

test('a key of many lines is one label however long it is, and however it comes', async () => {
  for (const lines of [3, 24, 200]) {
    for (const size of [100, 1000, 1 << 20]) {
      const body = Buffer.from(`before\n${pem(lines)}behind`);
      const { bytes, replaced } = await play({ contentType: 'text/plain' }, pieces(body, size));
      assert.equal(bytes.toString(), 'before\n[RSA PRIVATE KEY_REDACTED]\nbehind');
      assert.equal(replaced, 1);
    }
  }
});

test('a scan that throws when the clock calls is asked about', (t) => {
  const late: PartScanPort = {
    ...realScan(),
    scan() {
      throw new Error('broken');
    },
  };
  const { given, filter } = timed(t, { what: 'response', scan: late, onFailed: () => 'pass' });
  filter.write(Buffer.from('some pass'));
  t.mock.timers.tick(250);
  filter.write(Buffer.from(`word ${AWS}`));
  assert.equal(given(), `some password ${AWS}`);
});
