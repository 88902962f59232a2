import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Zlib } from 'node:zlib';
import * as zlib from 'node:zlib';
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

/** What a stream that was flushed and not ended is, and what it says; `loose` = as far as it goes. */
const flushed = (stream: Zlib & NodeJS.ReadWriteStream, flush: number) => (bytes: Buffer) =>
  new Promise<Buffer>((resolve, reject) => {
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part)).on('error', reject);
    stream.write(bytes);
    stream.flush(flush, () => setImmediate(() => resolve(Buffer.concat(parts))));
  });
const { Z_SYNC_FLUSH, BROTLI_OPERATION_FLUSH } = zlib.constants;
const CODINGS = [
  [
    'gzip',
    (bytes: Buffer) => flushed(zlib.createGzip(), Z_SYNC_FLUSH)(bytes),
    (bytes: Buffer, loose: boolean) => zlib.gunzipSync(bytes, loose ? { finishFlush: Z_SYNC_FLUSH } : {}),
  ],
  [
    'br',
    (bytes: Buffer) => flushed(zlib.createBrotliCompress(), BROTLI_OPERATION_FLUSH)(bytes),
    (bytes: Buffer, loose: boolean) =>
      zlib.brotliDecompressSync(bytes, loose ? { finishFlush: BROTLI_OPERATION_FLUSH } : {}),
  ],
] as const;

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

test('encoded, it goes encoded as far as it came, and is not whole', async () => {
  const words = 'some words that say something, and nothing else. '.repeat(40);
  for (const [name, encode, decode] of CODINGS) {
    for (const [act, rest, expected] of [
      ['replace', 'the last word', 'the last word'],
      ['replace', `see ${AWS}`, 'see [AWS ACCESS KEY ID_REDACTED]'],
      ['stop', `see ${AWS.slice(0, 12)}`, 'see '],
    ] as const) {
      const given: Buffer[] = [];
      const ended = Promise.withResolvers<BodyScanned>();
      const filter = filterBody({
        ...filterOptions({ what: 'response', contentType: 'text/plain', contentEncoding: name, act: () => act }),
        out: {
          data: (payload) => given.push(payload),
          drained: () => undefined,
          end: ended.resolve,
          stop: () => ended.reject(new Error('it was stopped')),
        },
      });
      filter.write(await encode(Buffer.from(words + rest)));
      filter.breakOff?.();
      await ended.promise;
      const out = Buffer.concat(given);
      assert.equal((await decode(out, true)).toString(), words + expected, `${name}, ${rest}`);
      await assert.rejects(async () => decode(out, false), `${name} looks whole`);
    }
  }
});
