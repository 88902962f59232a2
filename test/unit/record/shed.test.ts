import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ExchangeRecord, WeirRecord } from '../../../src/model/record.ts';
import { openJournal } from '../../../src/record/journal.ts';
import { notable } from '../../../src/record/notable.ts';
import { createPumps } from '../../../src/record/pumps.ts';
import { StoreSlot } from '../../../src/record/slot.ts';
import { openStore } from '../../../src/store/database.ts';
import { options } from '../store/help.ts';
import { collecting, logger, scratch, until } from './harness.ts';
import { exchangeSample, fullSamples } from './samples.ts';

const CAP = 128 * 1024;
const openAt = (directory: string, boot: string) =>
  openJournal({ directory, maxBytes: CAP, segmentBytes: 16 * 1024, tailRecords: 64, boot, log: logger().log });

test('what is notable', () => {
  assert.equal(notable(exchangeSample()), false);
  assert.equal(notable(exchangeSample({ firstSeen: true })), true);
  assert.equal(notable(exchangeSample({ action: 'block' })), true);
  assert.equal(notable(exchangeSample({ action: 'redact' })), true);
  assert.equal(notable(exchangeSample({ would: 'block' })), true);
  assert.equal(notable(exchangeSample({ wasOpen: true })), true);
  assert.deepEqual(
    fullSamples().map((record) => [record.kind, notable(record)]),
    [
      ['exchange', true],
      ['connection', false],
      ['audit', true],
      ['baseline-edit', true],
      ['run', true],
    ],
  );
});

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), notable: fc.integer({ min: 0, max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('up' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('down' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

/** 12 exchanges, of which that many are first contacts. */
const dozen = (first: number): ExchangeRecord[] =>
  Array.from({ length: 12 }, (_, i) => exchangeSample({ firstSeen: i < first }));

test('at the cap the identity holds, and first contacts reach a collector that was away', {
  timeout: 120_000,
}, async (context) => {
  let shed = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 60 }), async (steps) => {
      const directory = scratch(context);
      const traces = collecting();
      const store = collecting('duckdb');
      const consumers = [traces, store].map(({ consumer }) => ({ consumer, maxBatch: 64, lingerMs: 1 }));
      const start = async (life: number) => {
        const journal = openAt(directory, `life-${life}`);
        const pumps = createPumps({ journal, directory, consumers, log: logger().log, saveMs: 2, backoffMs: 5 });
        await pumps.start();
        return { journal, pumps };
      };
      let life = 0;
      let house = await start(life);
      const wanted: string[] = [];
      let started = 0;
      let lived = 0;
      let number = 0;
      traces.state.fail = true;
      for (const action of steps) {
        if (action.do === 'append') {
          // Few enough that half of the room holds them all.
          const records = dozen(wanted.length < 20 ? action.notable : 0);
          wanted.push(...records.filter(notable).map(({ id }) => id));
          lived += 12;
          started += 12;
          house.journal.append(records, { started: lived, open: 0, dropped: {} }, ++number);
          house.pumps.wake(true);
        } else if (action.do === 'restart') {
          await house.pumps.close(200);
          house.journal.close();
          house = await start(++life);
          lived = 0;
          number = 0;
        } else traces.state.fail = action.do === 'down';
        assert.ok(house.journal.status().bytes <= CAP);
        const identity = house.pumps.identity();
        assert.ok(identity.holds, JSON.stringify(identity));
      }
      traces.state.fail = false;
      house.pumps.wake(true);
      await until(() => house.pumps.status().every(({ lag }) => lag === 0), 'delivered');
      const identity = house.pumps.identity();
      assert.ok(identity.holds);
      const dropped = identity.dropped['journal-cap'] ?? 0;
      shed += dropped;
      assert.deepEqual([identity.started, identity.journalled], [started, 0]);
      assert.equal(identity.exported + dropped, started);
      const ids = traces.ids();
      assert.equal(new Set(ids).size, ids.length, 'nothing twice');
      assert.equal(ids.length, identity.exported);
      const got = new Set(ids);
      assert.deepEqual(
        wanted.filter((id) => !got.has(id)),
        [],
      );
      await house.pumps.close(200);
      house.journal.close();
    }),
    { numRuns: 25 },
  );
  assert.ok(shed > 0, 'the cap was reached');
});

test('kill -9 while segments are thinned: the books balance and what closed an open row is still there', {
  timeout: 60_000,
}, async (context) => {
  const directory = scratch(context);
  const writer = new URL('crash-writer.ts', import.meta.url).pathname;
  for (const [life, wait] of [300, 450, 620].entries()) {
    const child = spawn(process.execPath, [writer, directory, `child-${life}`, String(CAP)]);
    const ended = new Promise((resolve) => child.on('close', resolve));
    let lines = 0;
    child.stdout.on('data', (bytes) => {
      lines += String(bytes).split('\n').length - 1;
      if (lines > wait) child.kill('SIGKILL');
    });
    await ended;
    const journal = openAt(directory, `parent-${life}`);
    const traces = collecting();
    const pumps = createPumps({
      journal,
      directory,
      consumers: [{ consumer: traces.consumer, maxBatch: 128, lingerMs: 1 }],
      log: logger().log,
    });
    await pumps.start();
    await until(() => pumps.identity().journalled === 0, 'drained');
    const identity = pumps.identity();
    assert.ok(identity.holds, JSON.stringify(identity));
    assert.equal(identity.dropped['crash'] ?? 0, 0);
    const ids = traces.ids();
    assert.equal(new Set(ids).size, ids.length);
    assert.ok((identity.dropped['journal-cap'] ?? 0) > 0);
    await pumps.close(500);
    journal.close();
  }
});

test('a store that comes late takes every record of a thinned journal once, with the position it belongs to', async () => {
  const taken: [string[], number][] = [];
  let interrupted = 0;
  const store = {
    name: 'duckdb',
    cursor: async () => 7,
    interruptOpen: async () => ++interrupted,
    consume: async (batch: readonly WeirRecord[], last: number) => {
      taken.push([batch.map(({ id }) => id), last]);
      return { accepted: batch.length, sampledOut: 0, dropped: {} };
    },
  };
  const slot = new StoreSlot({
    open: async () => store as never,
    last: () => 40,
    lastOfFormerLives: 20,
    log: () => {},
  });
  await slot.cursor();
  assert.equal(await slot.tryOpen(), true);
  const numbers = [3, 7, 11, 20, 21, 30];
  const batch = numbers.map((number) => exchangeSample({ id: `n${number}` }));
  const result = await slot.consume(batch, 32, numbers);
  assert.deepEqual(taken, [
    [['n11', 'n20'], 20],
    [['n21', 'n30'], 32],
  ]);
  assert.deepEqual([result.accepted, interrupted], [6, 1]);
});

test('DuckDB that could not be opened until the journal was at its cap has every kept row once, also after a restart', {
  timeout: 60_000,
}, async (context) => {
  const directory = scratch(context);
  const dir = `${directory}-store`;
  mkdirSync(dir);
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  const kept: string[] = [];
  let started = 0;
  let locked = true;
  for (let life = 0; life < 3; life++) {
    const journal = openAt(directory, `life-${life}`);
    const former = journal.status().last;
    const open = () => (locked ? Promise.reject(new Error('locked')) : openStore(options(dir)));
    const slot = new StoreSlot({
      open: open as never,
      last: () => journal.status().last,
      lastOfFormerLives: former,
      log: () => {},
    });
    await slot.tryOpen();
    const consumers = [{ consumer: slot, maxBatch: 256, lingerMs: 0 }];
    const pumps = createPumps({ journal, directory, consumers, log: logger().log, saveMs: 2, backoffMs: 5 });
    await pumps.start();
    for (let i = 0; i < 40; i++) {
      const records = dozen(i % 10 === 0 ? 1 : 0);
      kept.push(...records.filter(notable).map(({ id }) => id));
      started += 12;
      journal.append(records, { started: (i + 1) * 12, open: 0, dropped: {} }, i + 1);
      pumps.wake();
      if (life > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    locked = false;
    assert.equal(await slot.tryOpen(), true);
    pumps.wake(true);
    await until(() => pumps.status()[0]?.lag === 0, 'delivered', 20_000);
    // The store is where the journal is, whether or not anything is left of what stood there.
    assert.equal(await slot.cursor(), journal.status().last);
    const identity = pumps.identity();
    assert.ok(identity.holds, JSON.stringify(identity));
    const rows = await slot.store?.recent({ limit: 10_000 } as never);
    const ids = (rows ?? []).map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(
      kept.every((id) => ids.includes(id)),
      'what is notable',
    );
    assert.equal(ids.length + (identity.dropped['journal-cap'] ?? 0), started);
    assert.ok((identity.dropped['journal-cap'] ?? 0) > 0);
    await pumps.close(2000);
    journal.close();
  }
});
