import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Consumer } from '../../../src/model/ports.ts';
import type { Tally, WeirRecord } from '../../../src/model/record.ts';
import { BATCH, Backlog } from '../../../src/record/backlog.ts';
import { sum } from '../../../src/record/books.ts';
import { purgeMatch } from '../../../src/record/erase.ts';
import { openJournal } from '../../../src/record/journal.ts';
import { createPumps } from '../../../src/record/pumps.ts';
import { isSpan } from '../../../src/record/segment.ts';
import { type StoreLike, StoreSlot } from '../../../src/record/slot.ts';
import { collecting, logger, scratch, until } from './harness.ts';
import { exchangeSample, runSample } from './samples.ts';

const finding = { inspector: 'i', rule: 'r', severity: 'high', disposition: 'flag', message: 'm' } as const;

test('a full backlog sheds plain exchanges first and counts them', () => {
  let started = 0;
  const backlog = new Backlog({ maxRecords: 10, maxBytes: 1 << 30, started: () => started });
  for (let i = 0; i < 15; i++) {
    started++;
    backlog.add(exchangeSample());
  }
  assert.deepEqual(backlog.dropped(), { backlog: 5 });
  started++;
  assert.equal(backlog.add(exchangeSample({ findings: [finding] })), true);
  for (let i = 0; i < 20; i++) {
    started++;
    backlog.add(exchangeSample({ firstSeen: true }));
  }
  assert.equal(backlog.dropped()['backlog'], 16);
  assert.deepEqual(backlog.tally(), { started: 36, open: 20, dropped: { backlog: 16 } });
});

test('bytes bound the backlog too', () => {
  const backlog = new Backlog({ maxRecords: 1000, maxBytes: 100_000, started: () => 0 });
  assert.equal(backlog.add(exchangeSample({ target: `/${'x'.repeat(90_000)}` })), true);
  assert.equal(backlog.add(exchangeSample({ target: `/${'x'.repeat(90_000)}` })), false);
});

test('batches are bounded, acknowledged in order, and sent again after a death', () => {
  const backlog = new Backlog({ maxRecords: 10_000, maxBytes: 1 << 30, started: () => 600 });
  for (let i = 0; i < 600; i++) backlog.add(exchangeSample());
  const first = backlog.next(true);
  assert.equal(first?.records.length, BATCH);
  assert.deepEqual(first?.tally, { started: 600, open: 600 - BATCH, dropped: {} });
  assert.equal(backlog.next(true)?.number, 2);
  assert.equal(backlog.next(true), undefined, 'no part batch');
  assert.equal(backlog.next(false)?.records.length, 600 - 2 * BATCH);
  backlog.acknowledge(1);
  backlog.rewind();
  assert.deepEqual([backlog.next(false)?.number, backlog.next(false)?.number, backlog.next(false)], [2, 3, undefined]);
  backlog.acknowledge(3);
  assert.ok(backlog.idle);
});

test('a refused batch does not take the one behind it along', () => {
  const backlog = new Backlog({ maxRecords: 100, maxBytes: 1 << 30, started: () => 2 });
  backlog.add(exchangeSample());
  backlog.next(false);
  backlog.add(exchangeSample());
  backlog.next(false);
  backlog.rewind();
  const first = backlog.next(false);
  assert.ok(first !== undefined);
  backlog.giveUp(first, 'clone');
  assert.equal(backlog.next(false)?.number, 2);
});

test('every batch balances in the journal, whatever is dropped, refused or dies', () => {
  const step = fc.constantFrom('begin', 'add', 'add', 'add', 'run', 'post', 'ack', 'die', 'refuse');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      let started = 0;
      let spans = 0;
      let last = 0;
      let books: Tally = { started: 0, open: 0, dropped: {} };
      const posted: { number: number; records: readonly WeirRecord[]; tally: Tally }[] = [];
      const backlog = new Backlog({ maxRecords: 40, maxBytes: 1 << 30, started: () => started });
      const journal = (): void => {
        for (const batch of posted.splice(0)) {
          if (batch.number <= last) continue;
          last = batch.number;
          spans += batch.records.filter(isSpan).length;
          books = batch.tally;
          assert.equal(books.started, spans + books.open + sum(books.dropped), JSON.stringify({ steps, books, spans }));
        }
      };
      for (const action of steps) {
        if (action === 'begin') started += 3;
        else if (action === 'add') {
          for (let i = 0; i < 7; i++) {
            started++;
            backlog.add(exchangeSample());
          }
        } else if (action === 'run') {
          started++;
          backlog.add(runSample());
        } else if (action === 'post' || action === 'refuse') {
          const batch = backlog.next(false);
          if (batch !== undefined && action === 'refuse' && batch.number > last) backlog.giveUp(batch, 'clone');
          else if (batch !== undefined) posted.push(batch);
        } else if (action === 'ack') {
          journal();
          backlog.acknowledge(last);
        } else {
          posted.length = 0;
          backlog.acknowledge(last);
          backlog.rewind();
        }
      }
      for (let batch = backlog.next(false, true); batch !== undefined; batch = backlog.next(false, true))
        posted.push(batch);
      journal();
    }),
    { numRuns: 300 },
  );
});

test('erased records leave their numbers, count as purged and are gone from every file', async (context) => {
  const directory = scratch(context);
  const journal = openJournal({ directory, maxBytes: 1 << 30, segmentBytes: 16 * 1024, boot: 'a', log: logger().log });
  let started = 0;
  for (let i = 0; i < 8; i++) {
    const records = Array.from({ length: 8 }, (_, j) => exchangeSample({ agent: j % 2 === 0 ? 'goes' : 'stays' }));
    started += 8;
    journal.append(records, { started, open: 0, dropped: {} }, i + 1);
  }
  assert.equal(journal.purge(purgeMatch({ agent: 'goes' })), 32);
  journal.append([exchangeSample({ agent: 'stays' })], { started: started + 1, open: 0, dropped: {} }, 9);
  const traces = collecting();
  const pumps = createPumps({
    journal,
    directory,
    consumers: [{ consumer: traces.consumer, maxBatch: 10, lingerMs: 1 }],
    log: logger().log,
  });
  await pumps.start();
  await until(() => pumps.identity().journalled === 0, 'drained');
  assert.equal(traces.records.length, 33);
  assert.ok(traces.records.every((record) => record.agent === 'stays'));
  assert.deepEqual(pumps.identity().dropped, { purged: 32 });
  assert.ok(pumps.identity().holds);
  await pumps.close(500);
  journal.close();
  const again = openJournal({ directory, maxBytes: 1 << 30, boot: 'b', log: logger().log });
  assert.equal(again.status().last, 65);
  assert.equal(again.books().started, 65);
  again.close();
});

test('what purge means', () => {
  const record = exchangeSample({ agent: 'a', host: 'h.example', startedAt: 1000, sni: 's.example' });
  assert.equal(purgeMatch({ agent: 'a', host: 'h.example' })(record), true);
  assert.equal(purgeMatch({ host: 's.example' })(record), true);
  assert.equal(purgeMatch({ agent: 'a', host: 'other' })(record), false);
  assert.equal(purgeMatch({ before: 1000 })(record), false);
  assert.equal(purgeMatch({ before: 1001 })(record), true);
  const run = runSample({ agent: 'a', startedAt: 1000 });
  assert.equal(purgeMatch({ agent: 'a' })(run), true);
  assert.equal(purgeMatch({ agent: 'b' })(run), false);
  assert.equal(purgeMatch({ before: 1000 })(run), false);
  assert.equal(purgeMatch({ before: 1001 })(run), true);
  assert.equal(purgeMatch({ host: '2001:db8::9' })(run), true, 'one of the addresses it went to past Weir');
  assert.equal(purgeMatch({ host: '192.0.2.10' })(run), false);
});

test('a run is one span like an exchange: started, open, lost, erased, exported', async (context) => {
  const directory = scratch(context);
  const options = { directory, maxBytes: 1 << 30, log: logger().log };
  const journal = openJournal({ ...options, boot: 'a' });
  const keeps = runSample({ agent: 'stays' });
  const records = [runSample({ agent: 'goes' }), keeps, runSample({ agent: 'goes', direct: [] }), exchangeSample()];
  journal.append(records, { started: 6, open: 2, dropped: {} }, 1);
  assert.equal(journal.status().spans, 4);
  assert.equal(journal.purge(purgeMatch({ agent: 'goes' })), 2);
  journal.close();
  // The two that were open ended with their process.
  const again = openJournal({ ...options, boot: 'b' });
  assert.equal(again.status().spans, 4);
  assert.deepEqual(again.books().dropped, { crash: 2 });
  again.append([runSample({ agent: 'stays' })], { started: 1, open: 0, dropped: {} }, 1);
  const traces = collecting();
  const pumps = createPumps({
    journal: again,
    directory,
    consumers: [{ consumer: traces.consumer, maxBatch: 10, lingerMs: 1 }],
    log: logger().log,
  });
  await pumps.start();
  await until(() => pumps.identity().journalled === 0, 'drained');
  const { started, exported, dropped, holds } = pumps.identity();
  assert.deepEqual(
    { started, exported, dropped, holds },
    { started: 7, exported: 3, dropped: { crash: 2, purged: 2 }, holds: true },
  );
  assert.deepEqual(traces.records[0], keeps);
  await pumps.close(500);
  again.close();
});

function fakeStore(cursor: number) {
  const events: string[] = [];
  const base = collecting('duckdb');
  const store = {
    ...base.consumer,
    cursor: async () => cursor,
    interruptOpen: async () => {
      events.push('interrupt');
      return 0;
    },
    consume: async (batch: readonly WeirRecord[], last: number) => {
      events.push(`${last - batch.length + 1}-${last}`);
      return { accepted: batch.length, sampledOut: 0, dropped: {} };
    },
  } as unknown as StoreLike;
  return { store, events };
}
const many = (count: number): WeirRecord[] => Array.from({ length: count }, () => exchangeSample());

test('rows left open by former lives are closed between the old and the new records', async () => {
  const { store, events } = fakeStore(3);
  const slot = new StoreSlot({ open: async () => store, lastOfFormerLives: 8, last: () => 20, log: logger().log });
  await slot.tryOpen();
  await slot.consume(many(3), 6);
  await slot.consume(many(6), 12);
  await slot.consume(many(2), 14);
  assert.deepEqual(events, ['4-6', '7-8', 'interrupt', '9-12', '13-14']);
  const done = fakeStore(8);
  const other = new StoreSlot({ open: async () => done.store, lastOfFormerLives: 8, last: () => 8, log: logger().log });
  await other.tryOpen();
  assert.deepEqual(done.events, ['interrupt']);
  const same = fakeStore(8);
  const living = new StoreSlot({
    open: async () => same.store,
    lastOfFormerLives: undefined,
    last: () => 8,
    log: logger().log,
  });
  await living.tryOpen();
  await living.consume(many(1), 9);
  assert.deepEqual(same.events, ['9-9'], 'a restarted thread closes nothing');
});

test('a store that opens late takes what it does not have', async () => {
  const { store, events } = fakeStore(7);
  let broken = true;
  const slot: Consumer & StoreSlot = new StoreSlot({
    open: async () => {
      if (broken) throw new Error('locked by 4711');
      return store;
    },
    lastOfFormerLives: 0,
    last: () => 10,
    log: logger().log,
  });
  assert.equal(await slot.tryOpen(), false);
  assert.equal(await slot.cursor(), undefined);
  await assert.rejects(slot.consume(many(5), 10), /locked by 4711/);
  broken = false;
  assert.equal(await slot.tryOpen(), true);
  assert.equal((await slot.consume(many(5), 10)).accepted, 5);
  assert.deepEqual(events, ['interrupt', '8-10']);
});

test('a question waits for a store that is being opened, not for ever, and not for one that cannot be opened', async () => {
  const { store } = fakeStore(0);
  let open: (store: StoreLike) => void = () => {};
  let opens = 0;
  const opening = (): Promise<StoreLike> => {
    opens++;
    return new Promise((resolve) => {
      open = resolve;
    });
  };
  const slot = new StoreSlot({ open: opening, lastOfFormerLives: undefined, last: () => 0, log: logger().log });
  void slot.tryOpen();
  void slot.tryOpen();
  assert.equal(opens, 1);
  assert.equal(await slot.soon(20), undefined);
  const asked = slot.soon(60_000);
  open(store);
  assert.equal(await asked, store);
  const broken = new StoreSlot({
    open: () => Promise.reject(new Error('no such disk')),
    lastOfFormerLives: undefined,
    last: () => 0,
    log: logger().log,
  });
  void broken.tryOpen();
  assert.equal(await broken.soon(60_000), undefined);
  assert.equal(broken.problem, 'no such disk');
});
