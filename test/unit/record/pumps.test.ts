import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Consumer } from '../../../src/model/ports.ts';
import { type Journal, openJournal } from '../../../src/record/journal.ts';
import { createPumps, type PumpsOptions } from '../../../src/record/pumps.ts';
import { collecting, logger, scratch, until } from './harness.ts';
import { exchangeSample } from './samples.ts';

const openAt = (directory: string, boot: string, more = {}) =>
  openJournal({ directory, maxBytes: 1 << 30, boot, log: logger().log, ...more });
const pumpsFor = (journal: Journal, directory: string, consumers: Consumer[], more: Partial<PumpsOptions> = {}) =>
  createPumps({
    journal,
    directory,
    consumers: consumers.map((consumer) => ({ consumer, maxBatch: 16, lingerMs: 5 })),
    log: logger().log,
    saveMs: 5,
    backoffMs: 20,
    ...more,
  });
const batch = (count: number) => Array.from({ length: count }, () => exchangeSample());

test('every consumer gets every record once, in order, in batches', async (context) => {
  const directory = scratch(context);
  const journal = openAt(directory, 'a');
  const traces = collecting();
  const store = collecting('duckdb');
  const pumps = pumpsFor(journal, directory, [traces.consumer, store.consumer]);
  await pumps.start();
  const records = batch(100);
  for (let i = 0; i < 100; i += 10) {
    journal.append(records.slice(i, i + 10), { started: i + 10, open: 0, dropped: {} }, i / 10 + 1);
    pumps.wake();
  }
  await until(() => traces.records.length === 100 && store.records.length === 100, 'all delivered');
  assert.deepEqual(
    traces.ids(),
    records.map((record) => record.id),
  );
  assert.ok(traces.state.calls <= 20);
  await pumps.close(1000);
  assert.ok(traces.state.closed);
  assert.deepEqual(
    { ...pumps.identity() },
    {
      consumer: 'otlp-traces',
      started: 100,
      exported: 100,
      journalled: 0,
      open: 0,
      sampledOut: 0,
      dropped: {},
      holds: true,
    },
  );
  assert.equal(statSync(join(directory, 'cursors.json')).mode & 0o777, 0o600);
});

test('a consumer that refuses holds nobody up and gets everything later', async (context) => {
  const directory = scratch(context);
  const journal = openAt(directory, 'a', { tailRecords: 64, segmentBytes: 16 * 1024 });
  const traces = collecting();
  const store = collecting('duckdb');
  traces.state.fail = true;
  const pumps = pumpsFor(journal, directory, [traces.consumer, store.consumer]);
  await pumps.start();
  const records = batch(300);
  for (let i = 0; i < 300; i += 10)
    journal.append(records.slice(i, i + 10), { started: i + 10, open: 0, dropped: {} }, i + 1);
  pumps.wake();
  await until(() => store.records.length === 300, 'store delivered');
  await until(() => traces.state.calls > 2, 'retried');
  const [status] = pumps.status();
  assert.equal(status?.lag, 300);
  assert.equal(status?.lastError, 'refused');
  assert.ok(pumps.identity().holds);
  assert.equal(pumps.identity().journalled, 300);
  traces.state.fail = false;
  await until(() => traces.records.length === 300, 'traces delivered');
  assert.deepEqual(
    traces.ids(),
    records.map((record) => record.id),
  );
  await pumps.close(1000);
  assert.ok(journal.status().segments <= 2, 'passed segments are deleted');
});

test('a cursor survives: nothing is lost and little comes twice', async (context) => {
  const directory = scratch(context);
  const journal = openAt(directory, 'a');
  const first = collecting();
  const pumps = pumpsFor(journal, directory, [first.consumer]);
  await pumps.start();
  const records = batch(64);
  journal.append(records.slice(0, 32), { started: 32, open: 0, dropped: {} }, 1);
  pumps.wake();
  await until(() => first.records.length === 32, 'first half');
  await pumps.close(500);
  journal.append(records.slice(32), { started: 64, open: 0, dropped: {} }, 2);
  journal.close();

  const again = openAt(directory, 'b');
  const second = collecting();
  const rest = pumpsFor(again, directory, [second.consumer]);
  await rest.start();
  await until(() => second.records.length === 32, 'second half');
  assert.deepEqual(
    second.ids(),
    records.slice(32).map((record) => record.id),
  );
  assert.ok(rest.identity().holds);
  assert.equal(rest.identity().exported, 64);
  await rest.close(500);
  again.close();
});

test('a consumer with a cursor of its own decides where it resumes', async (context) => {
  const directory = scratch(context);
  const journal = openAt(directory, 'a');
  const records = batch(20);
  journal.append(records, { started: 20, open: 0, dropped: {} }, 1);
  const store = collecting('duckdb');
  const pumps = pumpsFor(journal, directory, [{ ...store.consumer, cursor: async () => 15 }]);
  await pumps.start();
  await until(() => store.records.length === 5, 'rest delivered');
  assert.ok(pumps.identity().holds);
  assert.equal(pumps.identity().exported, 20);
  await pumps.close(500);
  // A store that knows more than a journal that was deleted: new numbers go above it.
  const other = scratch(context);
  const fresh = openAt(other, 'a');
  const ahead = collecting('duckdb');
  const more = pumpsFor(fresh, other, [{ ...ahead.consumer, cursor: async () => 900 }]);
  await more.start();
  fresh.append(batch(3), { started: 3, open: 0, dropped: {} }, 1);
  more.wake();
  await until(() => ahead.records.length === 3, 'delivered');
  assert.equal(fresh.status().last, 903);
  assert.ok(more.identity().holds, JSON.stringify(more.identity()));
  await more.close(500);
});

test('what the cap takes is counted for the consumer that had not seen it', async (context) => {
  const directory = scratch(context);
  const journal = openAt(directory, 'a', { maxBytes: 100 * 1024, segmentBytes: 16 * 1024, tailRecords: 64 });
  const traces = collecting();
  traces.state.fail = true;
  const pumps = pumpsFor(journal, directory, [traces.consumer]);
  await pumps.start();
  for (let i = 0; i < 40; i++) journal.append(batch(10), { started: (i + 1) * 10, open: 0, dropped: {} }, i + 1);
  pumps.wake();
  traces.state.fail = false;
  await until(() => pumps.identity().journalled === 0, 'drained');
  const identity = pumps.identity();
  assert.ok((identity.dropped['journal-cap'] ?? 0) > 50, JSON.stringify(identity));
  assert.ok(identity.holds, JSON.stringify(identity));
  assert.ok(traces.records.length < 400);
  await pumps.close(500);
});

test('closing with a consumer that hangs keeps the deadline and its records', async (context) => {
  const directory = scratch(context);
  const journal = openAt(directory, 'a');
  const traces = collecting();
  traces.state.gate = new Promise(() => {});
  const pumps = pumpsFor(journal, directory, [traces.consumer]);
  await pumps.start();
  journal.append(batch(5), { started: 5, open: 0, dropped: {} }, 1);
  pumps.wake();
  await until(() => traces.state.calls === 1, 'in flight');
  const began = performance.now();
  await pumps.close(100);
  assert.ok(performance.now() - began < 2000);
  assert.equal(pumps.identity().journalled, 5);
});

test('a damaged cursors.json is a warning, not the end', async (context) => {
  const directory = scratch(context);
  const journal = openAt(directory, 'a');
  journal.append(batch(3), { started: 3, open: 0, dropped: {} }, 1);
  writeFileSync(join(directory, 'cursors.json'), '{"version":1,"consumers":{"otlp-tra');
  const traces = collecting();
  const { lines, log } = logger();
  const pumps = pumpsFor(journal, directory, [traces.consumer], { log });
  await pumps.start();
  await until(() => traces.records.length === 3, 'delivered');
  assert.ok(lines.some((line) => line.message.startsWith('cursors.json')));
  await pumps.close(500);
  JSON.parse(readFileSync(join(directory, 'cursors.json'), 'utf8'));
});

test('a cursors.json of a newer Weir is not read: its numbers may mean something else', async (context) => {
  const directory = scratch(context);
  const journal = openAt(directory, 'a');
  journal.append(batch(3), { started: 3, open: 0, dropped: {} }, 1);
  const saved = { position: 3, passed: 3, accepted: 3, sampledOut: 0, dropped: {} };
  writeFileSync(join(directory, 'cursors.json'), JSON.stringify({ version: 2, consumers: { 'otlp-traces': saved } }));
  const traces = collecting();
  const { lines, log } = logger();
  const pumps = pumpsFor(journal, directory, [traces.consumer], { log });
  await pumps.start();
  await until(() => traces.records.length === 3, 'delivered');
  assert.ok(lines.some((line) => line.level === 'warn' && line.message.startsWith('cursors.json')));
  await pumps.close(500);
  assert.equal(JSON.parse(readFileSync(join(directory, 'cursors.json'), 'utf8')).version, 1);
});

/** A model of the traffic thread: begins, opens rows, closes, drops, posts batches; then the process dies at any point. */
const step = fc.oneof(
  fc.record({ do: fc.constant('begin' as const), count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ do: fc.constant('row' as const) }),
  fc.record({ do: fc.constant('close' as const), count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ do: fc.constant('drop' as const) }),
  fc.record({ do: fc.constant('post' as const) }),
  fc.record({ do: fc.constant('deliver' as const) }),
  fc.record({ do: fc.constant('crash' as const), torn: fc.integer({ min: 0, max: 900 }) }),
);

test('the loss identity holds for any history and any crash point', { timeout: 60_000 }, async (context) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const directory = scratch(context);
      let life = 0;
      let started = 0;
      let dropped = 0;
      let before = 0;
      let open: ReturnType<typeof exchangeSample>[] = [];
      let pending: ReturnType<typeof exchangeSample>[] = [];
      let journal = openAt(directory, 'life-0', { segmentBytes: 16 * 1024, tailRecords: 64 });
      const traces = collecting();
      let pumps = pumpsFor(journal, directory, [traces.consumer]);
      await pumps.start();
      let number = 0;
      for (const action of steps) {
        if (action.do === 'begin') {
          for (let i = 0; i < action.count; i++) open.push(exchangeSample());
          started += action.count;
        } else if (action.do === 'row') {
          const row = open[0];
          if (row !== undefined) pending.push({ ...row, state: 'open' });
        } else if (action.do === 'close')
          pending.push(...open.splice(0, action.count).map((one) => ({ ...one, wasOpen: true })));
        else if (action.do === 'drop') dropped += open.splice(0, 1).length;
        else if (action.do === 'post') {
          journal.append(pending, { started, open: open.length, dropped: { backlog: dropped } }, ++number);
          pending = [];
          pumps.wake();
        } else if (action.do === 'deliver') await until(() => pumps.status()[0]?.lag === 0, 'delivered');
        else {
          await pumps.close(200);
          const { first } = journal.status();
          journal.close();
          const path = join(directory, `${String(first).padStart(16, '0')}.jsonl`);
          if (journal.status().segments === 1 && traces.records.length === 0) {
            const bytes = readFileSync(path);
            const whole = bytes.indexOf(0x0a) + 1;
            writeFileSync(path, bytes.subarray(0, Math.max(whole, bytes.length - action.torn)));
          }
          journal = openAt(directory, `life-${++life}`, { segmentBytes: 16 * 1024, tailRecords: 64 });
          pumps = pumpsFor(journal, directory, [traces.consumer]);
          await pumps.start();
          started = 0;
          dropped = 0;
          number = 0;
          open = [];
          pending = [];
        }
        const identity = pumps.identity();
        assert.ok(identity.holds, JSON.stringify({ identity, steps }));
        if (action.do !== 'crash') assert.ok(identity.started >= before);
        before = identity.started;
      }
      await pumps.close(200);
      journal.close();
    }),
    { numRuns: 40 },
  );
});
