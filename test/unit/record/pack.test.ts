import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { FIELDS } from '../../../src/record/fields.ts';
import { createUnpacker, type Presentation, pack } from '../../../src/record/pack.ts';
import { loadPatterns } from '../../../src/record/patterns.ts';
import { createPresentation } from '../../../src/record/presentable.ts';
import { anyRecords, exchangeSample } from './samples.ts';

const asItIs: Presentation = { field: () => (value) => value, record: (record) => record };
const unpack = createUnpacker(asItIs);
const patterns = loadPatterns(new URL('../../../patterns/redaction.json', import.meta.url).pathname);
const presentation = createPresentation({ patterns, key: Buffer.alloc(32, 7), url: 'keys' });
const finding = { inspector: 'i', rule: 'r', severity: 'high', disposition: 'flag', message: 'm' } as const;

/** A record with every field, each value unlike any other. */
function everyField(): ExchangeRecord {
  const values = FIELDS.map((name, i) => {
    if (name.endsWith('Ms') || name === 'startedAt') return [name, i + 0.5];
    return [name, i % 3 === 0 ? `${name}-${i}` : i % 3 === 1 ? i + 0.5 : i % 2 === 0];
  });
  return { ...Object.fromEntries(values), kind: 'tunnel', findings: [finding] } as ExchangeRecord;
}

test('every field travels in its own place', () => {
  const whole = everyField();
  assert.deepEqual(unpack(pack([whole])), [whole]);
  const base = exchangeSample();
  for (const name of FIELDS) {
    if (name === 'kind') continue;
    const one = { ...base, [name]: whole[name] } as ExchangeRecord;
    const { [name]: _gone, ...rest } = one;
    const without = (name in base ? base : rest) as ExchangeRecord;
    assert.deepEqual(unpack(pack([one, without, one])), [one, without, one], name);
  }
});

test('any sequence of records comes out as it went in', () => {
  fc.assert(
    fc.property(anyRecords(), (records) => {
      assert.deepEqual(unpack(pack(records)), records);
      assert.deepEqual(createUnpacker(presentation)(pack(records)), records.map(presentation.record));
    }),
    { numRuns: 60 },
  );
});

test('a secret that stays from record to record is hidden in each of them', () => {
  const secret = `ghp_${'Zq7'.repeat(12)}`;
  const records = [1, 2, 3].map(() =>
    exchangeSample({ target: `/x/${secret}`, userAgent: secret, host: `${secret}.io` }),
  );
  const out = createUnpacker(presentation)(pack([...records, exchangeSample(), ...records]));
  assert.equal(out.length, 7);
  assert.ok(!JSON.stringify(out).toLowerCase().includes(secret.toLowerCase()));
  assert.equal((out[3] as ExchangeRecord).userAgent, 'python-httpx/0.28');
});

test('times travel to the microsecond', () => {
  const [record] = unpack(pack([exchangeSample({ durationMs: 1.23456789, overheadMs: 0.0004, tlsMs: 7.0019999 })]));
  const { durationMs, overheadMs, tlsMs, startedAt } = record as ExchangeRecord;
  assert.deepEqual([durationMs, overheadMs, tlsMs, startedAt], [1.235, 0, 7.002, 1_770_000_000_000.25]);
});

test('an exchange like the one before costs little', () => {
  const record = exchangeSample();
  const one = pack([record]).length;
  assert.ok(pack(Array.from({ length: 101 }, () => record)).length - one < 100 * 12);
});
