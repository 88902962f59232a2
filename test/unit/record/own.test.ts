import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { createOwnMask } from '../../../src/collector-own.ts';

const plain = { text: (value: string) => value, host: (value: string) => value };
const digits = (seed: string, bytes: number): string =>
  Array.from({ length: bytes / 64 }, (_, i) => createHash('sha256').update(`${seed} ${i}`).digest('hex')).join('');

/** A mask of these secrets. */
function maskOf(values: readonly string[]): ReturnType<typeof createOwnMask> {
  const mask = createOwnMask(plain, (text) => createHash('sha256').update(text).digest('hex'));
  mask.set(values.map((value) => ({ where: 'a test', value })));
  return mask;
}

test('a secret is masked in every form it may stand in, and in names label by label', () => {
  const value = `p+${digits('a', 64).slice(0, 20)}/x`;
  const mask = maskOf([value]);
  const hex = Buffer.from(value).toString('hex');
  for (const form of [value, encodeURIComponent(value), hex, hex.toUpperCase(), Buffer.from(value).toString('base64')])
    assert.ok(!mask.record({ message: `before ${form} after` }).message.includes(form), form);
  const name = maskOf(['supersecretvalue']).record({ host: 'SuperSecretValue.evil.test' }).host;
  assert.match(name, /^redacted-[0-9a-f]{6}\.evil\.test$/);
  const record = { message: 'nothing', list: ['a', { b: 'c' }] };
  assert.equal(mask.record(record), record, 'the same when nothing of it holds one');
});

test('thousands of secrets, and large ones, are masked like one: no expression is too large', () => {
  const many = Array.from({ length: 3000 }, (_, i) => digits(`many ${i}`, 64));
  const large = digits('large', 1 << 20);
  const mask = maskOf([...many, large]);
  for (const value of [many[0] as string, many[2999] as string, large])
    assert.equal(mask.record({ message: `a ${value} b` }).message, 'a [OWN SECRET_REDACTED] b');
  assert.equal(mask.text(`${large.slice(0, 40)} is not it`), `${large.slice(0, 40)} is not it`);
});
