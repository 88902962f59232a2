import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { filterBody } from '../../../src/content/filter.ts';
import type { BodyScanned, PartScanPort } from '../../../src/model/scan.ts';
import { AWS, filterOptions, GITHUB, pem, pieces, play, realScan } from './filter-support.ts';
import { foundAt } from './support.ts';

const NOWHERE = { data: () => undefined, drained: () => undefined, end: () => undefined, stop: () => undefined };
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
  ended: (scanned: BodyScanned) => void = () => undefined,
): { given: () => string; filter: ReturnType<typeof filterBody> } {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const given: Buffer[] = [];
  const filter = filterBody({
    ...filterOptions({ contentType: 'text/plain', holdMs: 250, ...change }),
    out: {
      data: (payload) => given.push(payload),
      drained: () => undefined,
      end: ended,
      stop: ended,
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

/** Two turns of silence. */
const QUIET = 3;

test('what only might begin something goes on when its sender is silent', (t) => {
  for (const what of ['request', 'response'] as const) {
    for (const text of [
      'step 42',
      'a word',
      'the key',
      '1732118',
      '{"n":12.5',
      'bob@example.com',
      '550e8400-e29b-41d4',
    ]) {
      const { given, filter } = timed(t, { what });
      filter.write(Buffer.from(text));
      t.mock.timers.tick(QUIET);
      assert.equal(given(), text, `${what}: ${text}`);
      filter.abandon();
      t.mock.timers.reset();
    }
  }
});

test('what has begun waits longer, but only where something would be done about it', (t) => {
  const key = AWS.slice(0, 12);
  const card = ['4111 1', '111 11'].join('');
  const encoded = Buffer.from(AWS).toString('base64').slice(0, 20);
  for (const text of [key, card, encoded]) {
    const acted = timed(t, { what: 'response' });
    acted.filter.write(Buffer.from(`see ${text}`));
    t.mock.timers.tick(QUIET);
    assert.equal(acted.given(), 'see ', text);
    acted.filter.abandon();
    t.mock.timers.reset();
    const told = timed(t, { what: 'response', act: () => 'pass' });
    told.filter.write(Buffer.from(`see ${text}`));
    t.mock.timers.tick(QUIET);
    assert.equal(told.given(), `see ${text}`);
    told.filter.abandon();
    t.mock.timers.reset();
  }
});

test('a secret that comes with pauses is found, and what had not gone carries the label', (t) => {
  for (const size of [1, 2, 7]) {
    for (const act of ['replace', 'pass', 'stop'] as const) {
      const ended: BodyScanned[] = [];
      const { given, filter } = timed(t, { what: 'response', act: () => act }, (scanned) => ended.push(scanned));
      for (const piece of pieces(Buffer.from(`the key ${AWS} and words\n`), size)) {
        filter.write(piece);
        t.mock.timers.tick(QUIET);
      }
      filter.end();
      assert.deepEqual(
        ended.flatMap(({ found }) => found.map((one) => one.found.rule)),
        ['aws-access-key'],
      );
      assert.equal(given().includes(AWS.slice(4)), act === 'pass');
      if (act === 'replace') assert.match(given(), /^the key A?K?I?A?\[AWS ACCESS KEY ID_REDACTED\] and words\n$/);
      t.mock.timers.reset();
    }
  }
});

test('a long secret that nothing is done about is found though its beginning has gone on', (t) => {
  const start = (bytes: Uint8Array): number => Buffer.from(bytes).indexOf('SECRET');
  const never = Number.POSITIVE_INFINITY;
  const long: PartScanPort = {
    nameOf: () => undefined,
    scan: (_what, bytes) => {
      const match = /SECRET[- a-z]*;/.exec(Buffer.from(bytes).toString());
      return { found: match === null ? [] : [foundAt(match.index, match[0])] };
    },
    part(what, bytes) {
      const { found } = this.scan(what, bytes);
      const begun = found.length === 0 && start(bytes) >= 0 ? start(bytes) : never;
      return { found, settled: Math.min(begun, bytes.length), begun, worth: never, sure: never, block: never };
    },
  };
  const secret = `SECRET${' and-words'.repeat(300)};`;
  for (const size of [40, 300]) {
    const ended: BodyScanned[] = [];
    const { given, filter } = timed(t, { what: 'response', scan: long, act: () => 'pass' }, (scanned) =>
      ended.push(scanned),
    );
    for (const piece of pieces(Buffer.from(`see ${secret} and words\n`), size)) {
      filter.write(piece);
      t.mock.timers.tick(QUIET);
    }
    assert.equal(given().length, secret.length + 15);
    filter.end();
    assert.deepEqual(
      ended.flatMap(({ found }) => found.map((one) => one.found.bytes)),
      [secret.length],
    );
    t.mock.timers.reset();
  }
});

test('what one byte costs does not grow with what waits', () => {
  for (const body of [pem(70), `see ${'QUtJ'.repeat(1200)}`, '4 '.repeat(2500), 'words and words '.repeat(300)]) {
    let read = 0;
    const real = realScan();
    const counting: PartScanPort = {
      ...real,
      part: (what, bytes, counts) => {
        read += bytes.length;
        return real.part(what, bytes, counts);
      },
    };
    const filter = filterBody({ ...filterOptions({ contentType: 'text/plain', scan: counting }), out: NOWHERE });
    for (const piece of pieces(Buffer.from(body), 1)) filter.write(piece);
    filter.end();
    assert.ok(read < body.length * 4096, `${read / body.length} bytes read for each`);
  }
});
