import assert from 'node:assert/strict';
import {
  brotliCompressSync,
  brotliDecompressSync,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';
import { type Played, play } from '../../unit/content/filter-support.ts';
import { ENCODERS } from '../../unit/scan/encoders.ts';
import { pick, pieces, type Random, type Target } from '../fuzz.ts';
import { SECRETS } from './scanner.ts';

/** Where a secret goes; without one it is put anywhere. */
const HERE = '@here@';

const turn = (i: number): object => ({
  role: i % 2 === 0 ? 'user' : 'tool',
  content: `line ${i}\n\t"quoted" \\ caf\u00e9 ${'words '.repeat(20)}`,
  n: [i, -1.5e-7, null, true],
});

const BODIES: readonly (readonly [type: string, body: string])[] = [
  [
    'application/json',
    `{"model": "m", "messages": [{"role": "user", "content": "see ${HERE}, caf\\u00e9"}], "n": -1.5e3}`,
  ],
  ['application/json', `{"a": "line\\n${HERE}\\n", "${HERE}": [1, 2.5, true, null, "\\"x\\""]}`],
  ['application/json', `{"arguments": "{\\"content\\": \\"${HERE}\\"}", "card": 4111111111111111}`],
  [
    'application/json',
    JSON.stringify({ turns: Array.from({ length: 40 }, (_, i) => turn(i)), last: [HERE, 4111111111111111] }),
  ],
  [
    'application/json',
    JSON.stringify({ turns: [turn(0), HERE, ...Array.from({ length: 30 }, (_, i) => turn(i))] }, null, 2),
  ],
  ['application/x-ndjson', `{"a": 1}\n{"b": "${HERE}"}\n{"c": []}\n`],
  ['text/event-stream', `event: delta\ndata: {"text": "${HERE}"}\n\ndata: {"text": "more"}\n\ndata: [DONE]\n\n`],
  ['application/x-www-form-urlencoded', `a=1&note=x+${HERE}&b=%C3%A9`],
  ['multipart/form-data; boundary=b', `--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n${HERE}\r\n--b--\r\n`],
  ['text/html', `<p title="${HERE}">text<!-- ${HERE} --></p>`],
  ['application/yaml', `key: ${HERE}\nlist:\n  - 'a'\n  - ${HERE}\n`],
  ['text/plain', `some words and\n${HERE}\nand ${'more words '.repeat(700)}`],
  ['text/plain', `-----BEGIN RSA PRIVATE KEY-----\n${'MIIEowIBAAKCAQEA'.repeat(60)}\n-----END RSA PRIVATE KEY-----\n`],
  ['application/octet-stream', `\x00\x01\x20${HERE}\x00\x00\x00\x05hello`],
];

interface Case {
  readonly type: string;
  readonly body: Buffer;
  /** What must not be found in what goes on. */
  readonly planted: readonly string[];
}

/** First line: the media type. */
function caseOf(input: Buffer, random: Random): Case {
  const line = input.indexOf('\n');
  const type = input.subarray(0, Math.max(0, line)).toString('latin1');
  const text = input.subarray(line + 1).toString('latin1');
  if (random() < 0.2) return { type, body: Buffer.from(text, 'latin1'), planted: [] };
  const [, secret] = pick(random, SECRETS);
  const trick = random() < 0.5 ? undefined : pick(random, Object.keys(ENCODERS));
  const hidden = trick === undefined ? secret : (ENCODERS[trick] as (text: string) => string)(secret);
  const inJson = /json|event-stream/.test(type) ? JSON.stringify(hidden).slice(1, -1) : hidden;
  const written = Buffer.from(inJson).toString('latin1');
  const at = Math.floor(random() * text.length);
  const body = text.includes(HERE)
    ? text.replaceAll(HERE, ` ${written} `)
    : `${text.slice(0, at)} ${written} ${text.slice(at)}`;
  return { type, body: Buffer.from(body, 'latin1'), planted: [secret, written] };
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString());
    return true;
  } catch {
    return false;
  }
}

function assertGone({ planted, type }: Case, { bytes, scanned }: Pick<Played, 'bytes' | 'scanned'>): void {
  if (scanned.unscanned !== undefined) return;
  for (const text of planted)
    assert.ok(!bytes.includes(Buffer.from(text, 'latin1')), `${type}: the secret is still there`);
}

/** In what is no JSON, escapes and strings have no end that everybody agrees on. */
function isBrokenJson({ type, body }: Case): boolean {
  return /json|event-stream/.test(type) && !isJson(body);
}

/** A block of a key that is longer than what waits may carry its label more than once. */
function once(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replace(/(\[[A-Z -]+_REDACTED\])\1+/g, '$1'), 'latin1');
}

/** Where two differ, for a person. */
function assertSame(is: Buffer, was: Buffer, why: string): void {
  if (is.equals(was)) return;
  let at = 0;
  while (is[at] === was[at]) at++;
  const around = (bytes: Buffer) => JSON.stringify(bytes.subarray(Math.max(0, at - 40), at + 60).toString('latin1'));
  assert.fail(`${why}: ${around(is)} instead of ${around(was)}`);
}

async function check(input: Buffer, random: Random): Promise<void> {
  const one = caseOf(input, random);
  const { type, body } = one;
  const length = random() < 0.4 ? body.length : undefined;
  const whole = await play({ contentType: type, length }, [body]);
  assertGone(one, whole);
  const cut = await play({ contentType: type, length }, pieces(body, random));
  const broken = isBrokenJson(one);
  if (!broken) assertSame(once(cut.bytes), once(whole.bytes), `${type}: it depends on how the bytes come`);
  if (whole.replaced === 0) assertSame(whole.bytes, body, 'a clean body was changed');
  if (/json/.test(type) && isJson(body))
    assert.ok(isJson(whole.bytes), `no JSON any more: ${whole.bytes.toString('latin1').slice(0, 300)}`);
  if (whole.shape === 'same') assert.equal(whole.bytes.length, body.length);
}

async function checkEncoded(input: Buffer, random: Random): Promise<void> {
  const one = caseOf(input, random);
  const [contentEncoding, encode, decode] = pick(random, CODINGS);
  const bytes = encode(one.body);
  const length = random() < 0.5 ? bytes.length : undefined;
  const played = await play({ contentType: one.type, contentEncoding, length }, pieces(bytes, random));
  if (played.replaced === 0 && played.shape === 'whole') assertSame(played.bytes, bytes, 'a clean body was changed');
  const decoded = decode(played.bytes);
  assertGone(one, { bytes: decoded, scanned: played.scanned });
  const plain = await play({ contentType: one.type, length: one.body.length }, [one.body]);
  if (plain.shape === played.shape && !isBrokenJson(one))
    assertSame(decoded, plain.bytes, 'encoded it comes to something else');
}

const CODINGS = [
  ['gzip', gzipSync, gunzipSync],
  ['br', brotliCompressSync, brotliDecompressSync],
  ['zstd', zstdCompressSync, zstdDecompressSync],
  ['deflate', deflateSync, inflateSync],
] as const;

const seeds = (): Buffer[] => BODIES.map(([type, body]) => Buffer.from(`${type}\n${body}`, 'latin1'));

/** Bodies with secrets in them, on their way through the filter: what goes on holds none, and stays what it was otherwise. */
export const targets: readonly Target[] = [
  { name: 'redaction', slow: true, seeds, check },
  { name: 'redaction-encoded', slow: true, seeds, check: checkEncoded },
];
