import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createScanBudget } from '../../../src/content/budget.ts';
import { Window } from '../../../src/content/window.ts';
import type { Reserve, ScanFor } from '../../../src/model/scan.ts';
import { fakeScan, windowOptions } from './support.ts';

/** Deterministic, so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}

function cut(bytes: Buffer, next: () => number): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + Math.floor(next() * next() * 200_000);
    parts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return parts;
}

test('whatever the cut, every secret is found once and at its place', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const next = random(seed);
    const bytes = Buffer.alloc(700_000, '.');
    const places = Array.from({ length: 9 }, (_, i) => 70_000 * i + Math.floor(next() * 60_000));
    // On the seams themselves, too.
    places.push(131_072 - 5, 131_072 * 2 - 20_480);
    const expected = new Map<string, number>();
    for (const [i, place] of places.entries()) {
      const word = `SECRET-${String.fromCharCode(97 + i).repeat(6)}`;
      bytes.write(word, place, 'latin1');
      expected.set(word.toLowerCase(), place);
    }
    const whole = bytes.toString('latin1');
    const window = new Window(windowOptions());
    for (const part of cut(bytes, next)) window.push(part);
    const { found, unscanned } = window.finish();
    assert.equal(unscanned, undefined);
    for (const { found: one, offset, count } of found) {
      assert.equal(whole.slice(offset, offset + one.bytes).toLowerCase(), one.rule);
      assert.equal(count, 1, one.rule);
    }
    const left = [...expected].filter(([word, place]) => whole.slice(place).toLowerCase().startsWith(word));
    assert.deepEqual(found.map((one) => one.found.rule).sort(), left.map(([word]) => word).sort(), `seed ${seed}`);
  }
});

test('a rule found often is told once with its count', () => {
  const window = new Window(windowOptions());
  window.push(Buffer.from('SECRET-abc SECRET-abc SECRET-abc'));
  const { found } = window.finish();
  assert.deepEqual(
    found.map(({ found: one, count, offset }) => [one.rule, count, offset]),
    [['secret-abc', 3, 0]],
  );
});

test('what is pushed may change afterwards', () => {
  const window = new Window(windowOptions());
  const chunk = Buffer.from('SECRET-abc');
  window.push(chunk);
  chunk.fill(0);
  assert.equal(window.finish().found.length, 1);
});

test('a window begins on a group of four of a long base64 run', () => {
  const scan = fakeScan();
  const window = new Window(windowOptions({ scan }));
  window.push(Buffer.from(`x "${'QUJD'.repeat(80_000)}"`));
  window.finish();
  assert.ok(scan.texts.length > 2);
  for (const text of scan.texts.slice(1)) assert.equal(text.subarray(0, 4).toString(), 'QUJD');
});

test('scan_bytes: up to there and not further', () => {
  const scan = fakeScan();
  const window = new Window(windowOptions({ scan, scanBytes: 20 }));
  window.push(Buffer.from('SECRET-abc ........'));
  window.push(Buffer.from('....... SECRET-def'));
  const { found, unscanned } = window.finish();
  assert.deepEqual(
    found.map((one) => one.found.rule),
    ['secret-abc'],
  );
  assert.deepEqual(unscanned, { cause: 'scan-bytes', offset: 20 });
  assert.deepEqual(
    scan.texts.map((text) => text.length),
    [20],
  );
});

test('a body of exactly scan_bytes is scanned', () => {
  const window = new Window(windowOptions({ scanBytes: 10 }));
  window.push(Buffer.from('SECRET-abc'));
  assert.deepEqual(window.finish().unscanned, undefined);
});

test('a window that costs too much is said, and the next one is still looked at', () => {
  const fake = fakeScan();
  let calls = 0;
  const scan: typeof fake = {
    ...fake,
    scan: (what, bytes) => ({
      ...fake.scan(what, bytes),
      ...(calls++ === 0 ? { unscanned: 'cpu-budget' as const } : {}),
    }),
  };
  const window = new Window(windowOptions({ scan }));
  window.push(Buffer.alloc(200_000, '.'));
  window.push(Buffer.from('SECRET-late'));
  const { found, unscanned } = window.finish();
  assert.deepEqual(unscanned, { cause: 'candidates', offset: 0 });
  assert.equal(found[0]?.found.rule, 'secret-late');
});

test('an agent that has used up its time is not scanned, and another one is', () => {
  let now = 0;
  const budget = createScanBudget(1, () => now);
  budget.spend('greedy', 100);
  for (const [agent, scanned] of [
    ['greedy', false],
    ['modest', true],
  ] as const) {
    const window = new Window(windowOptions({ agent, budget }));
    window.push(Buffer.from('SECRET-abc'));
    const { found, unscanned } = window.finish();
    assert.equal(found.length === 1, scanned, agent);
    assert.equal(unscanned?.cause, scanned ? undefined : 'cpu-budget');
  }
  now = 1;
  assert.ok(budget.left('greedy'), 'refilled all the time');
});

test('never more than a tenth of a minute at once, and the rate over any time', () => {
  let now = 0;
  const budget = createScanBudget(20, () => now);
  let spent = 0;
  const spendAll = (): void => {
    for (; budget.left('a'); spent += 10) budget.spend('a', 10);
  };
  spendAll();
  assert.equal(spent, 2000);
  for (now = 100; now <= 60_000; now += 100) spendAll();
  assert.ok(spent >= 21_900 && spent <= 22_100, `${spent}`);
  now += 3_600_000;
  spent = 0;
  spendAll();
  assert.equal(spent, 2000, 'a quiet hour is not saved up');
});

test('time spent is counted', () => {
  let now = 0;
  const budget = createScanBudget(1, () => now);
  const fake = fakeScan();
  const scan: typeof fake = {
    ...fake,
    scan(what, bytes) {
      now += 60;
      return fake.scan(what, bytes);
    },
  };
  for (const left of [true, false]) {
    const window = new Window(windowOptions({ agent: 'a', budget, scan, now: () => now }));
    window.push(Buffer.from('x'));
    window.finish();
    assert.equal(budget.left('a'), left);
  }
});

test('seconds_per_minute: 0 is nothing, 60 is no limit', () => {
  assert.equal(createScanBudget(0, () => 0).left('a'), false);
  const all = createScanBudget(60, () => 0);
  all.spend('a', 1e9);
  assert.equal(all.left('a'), true);
});

test('the windows of one body share what it may cost, two bodies do not', () => {
  const reserves: (Reserve | undefined)[] = [];
  const scan = fakeScan();
  const counting = {
    ...scan,
    scan: (what: ScanFor, bytes: Uint8Array, reserve?: Reserve) => {
      reserves.push(reserve);
      return scan.scan(what, bytes);
    },
  };
  for (let body = 0; body < 2; body++) {
    const window = new Window(windowOptions({ scan: counting, what: 'response' }));
    window.push(Buffer.alloc(300_000, '.'));
    window.finish();
  }
  assert.equal(new Set(reserves).size, 2);
  assert.ok(reserves.length >= 4 && !reserves.includes(undefined));
});
