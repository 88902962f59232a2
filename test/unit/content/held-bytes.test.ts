import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type BodyFilterOptions, filterBody } from '../../../src/content/filter.ts';
import { createHeldBytes, type HeldBytes } from '../../../src/content/held-bytes.ts';
import type { BodyScanned } from '../../../src/model/scan.ts';
import { AWS, filterOptions } from './filter-support.ts';

function filtered(held: HeldBytes, change: Partial<BodyFilterOptions>) {
  const ended = Promise.withResolvers<[how: string, scanned: BodyScanned]>();
  const given: Buffer[] = [];
  const filter = filterBody({
    ...filterOptions({ contentType: 'text/plain', ...change }),
    held,
    out: {
      data: (payload) => given.push(payload),
      drained: () => undefined,
      end: (scanned) => ended.resolve(['end', scanned]),
      stop: (scanned) => ended.resolve(['stop', scanned]),
    },
  });
  return { filter, ended: ended.promise, given: () => Buffer.concat(given) };
}

/** As many bytes find room, and not one more. */
function assertFree(held: HeldBytes, bytes: number): void {
  const probe = held.open();
  assert.ok(probe.take(bytes));
  assert.ok(!probe.take(1));
  probe.close();
}

test('a body that finds no room to be held whole goes on while it comes, however the others end', async () => {
  for (const how of ['end', 'abandon', 'breakOff'] as const) {
    for (const contentEncoding of [undefined, 'gzip', 'unheard-of']) {
      const held = createHeldBytes(1000);
      const first = filtered(held, { length: 600, contentEncoding });
      const second = filtered(held, { length: 600, contentEncoding });
      assert.deepEqual([first.filter.shape, second.filter.shape === 'whole'], ['whole', false]);
      first.filter[how]?.();
      if (how === 'breakOff' && first.filter.breakOff === undefined) first.filter.abandon();
      await first.ended;
      second.filter.abandon();
      assertFree(held, 1000);
    }
  }
});

test('what is decoded counts: beyond the limit a body goes on as it came, unscanned, or not at all', async () => {
  const text = 'some words and other words. '.repeat(40_000);
  for (const [body, decision, how] of [
    [text, 'pass', 'end'],
    [text, 'stop', 'stop'],
    // Of what carries a label nothing goes back to what came.
    [`see ${AWS} and ${text}`, 'pass', 'stop'],
  ] as const) {
    const held = createHeldBytes(300_000);
    const coded = gzipSync(body);
    const { filter, ended, given } = filtered(held, {
      length: coded.length,
      contentEncoding: 'gzip',
      decodeRatio: 100_000,
      onUnscanned: () => decision,
    });
    filter.write(Buffer.from(coded));
    filter.end();
    const [is, scanned] = await ended;
    assert.equal(is, how);
    assert.equal(scanned.unscanned?.cause, 'held-bytes');
    assert.ok(how === 'stop' ? given().length === 0 : given().equals(coded));
    assertFree(held, 300_000);
  }
});

test('what fits is held, and its room is free again', async () => {
  const held = createHeldBytes(10_000);
  for (let i = 0; i < 50; i++) {
    const coded = gzipSync(`see ${AWS} and ${'words '.repeat(1000)}`);
    const { filter, ended } = filtered(held, { length: coded.length, contentEncoding: 'gzip' });
    assert.equal(filter.shape, 'whole');
    filter.write(coded);
    filter.end();
    const [is, scanned] = await ended;
    assert.deepEqual([is, scanned.unscanned], ['end', undefined]);
    assertFree(held, 10_000);
  }
});
