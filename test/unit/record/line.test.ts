import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WeirRecord } from '../../../src/model/record.ts';
import { openJournal } from '../../../src/record/journal.ts';
import { LineWriter } from '../../../src/record/line.ts';
import { recordLine, tallyLine } from '../../../src/record/segment.ts';
import { createTail } from '../../../src/record/tail.ts';
import { logger, scratch } from './harness.ts';
import { anyRecords, exchangeSample } from './samples.ts';

const writer = new LineWriter();
const linesOf = (records: readonly WeirRecord[], end = ''): string => writer.write(records, end).toString('utf8');
const parsed = (lines: string): unknown[] =>
  lines
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

test('lines say what JSON.stringify says, whatever stood before them', () => {
  fc.assert(
    fc.property(anyRecords(), (records) => {
      const lines = linesOf(records);
      const plain = records.map(recordLine).join('');
      assert.deepEqual(parsed(lines), parsed(plain));
      for (const line of lines.split('\n').slice(0, -1)) assert.match(line, /^\{"_":"[cwor]",/);
    }),
    { numRuns: 100 },
  );
});

test('a batch ends with its tally and does not lean on the one before', () => {
  const tally = { boot: 'a', batch: 1, at: 1, started: 2, open: 0, dropped: {}, baseStarted: 0, baseDropped: {} };
  const records = [exchangeSample(), exchangeSample({ userAgent: '日'.repeat(200_000) })];
  const first = linesOf(records, tallyLine(tally));
  assert.equal(linesOf(records, tallyLine(tally)), first);
  assert.deepEqual(parsed(first), parsed(records.map(recordLine).join('') + tallyLine(tally)));
  assert.deepEqual(parsed(linesOf([records[0] as WeirRecord])), parsed(recordLine(records[0] as WeirRecord)));
});

test('the tail is bounded in records and bytes and lets go of what everybody has', () => {
  const tail = createTail(4, 10_000, 1, 0);
  for (let i = 0; i < 6; i++) tail.push(exchangeSample());
  assert.deepEqual([tail.first, tail.next, tail.spansBefore], [3, 7, 2]);
  tail.push(exchangeSample({ target: `/${'x'.repeat(8_000)}` }));
  assert.deepEqual([tail.first, tail.next, tail.spansBefore], [7, 8, 6], 'nine thousand bytes leave no room');
  tail.push(exchangeSample({ target: `/${'x'.repeat(20_000)}` }));
  assert.deepEqual([tail.first, tail.next], [8, 9], 'the newest is always there');
  tail.push(exchangeSample({ kind: 'exchange', state: 'open', target: '/' }));
  tail.drop(9);
  assert.deepEqual([tail.first, tail.next, tail.spansBefore, tail.spansUntil(10)], [10, 10, 8, 8]);
  tail.push(exchangeSample());
  assert.equal(tail.spansUntil(11), 9);
  assert.equal(tail.at(10).kind, 'exchange');
});

test('what is no longer in memory is read from the files, what is not in the files stays in memory', (context) => {
  const directory = scratch(context);
  const journal = openJournal({ directory, maxBytes: 1 << 30, boot: 'a', log: logger().log });
  const records = Array.from({ length: 20 }, () => exchangeSample());
  journal.append(records, { started: 20, open: 0, dropped: {} }, 1);
  journal.passed(15);
  const chunk = journal.read({ position: 0, reader: undefined }, 100);
  assert.deepEqual(chunk?.records, records);
  assert.deepEqual([chunk?.spansBefore, chunk?.spansAfter, journal.status().spans], [0, 20, 20]);
  journal.passed(Number.POSITIVE_INFINITY);
  journal.append([exchangeSample()], { started: 21, open: 0, dropped: {} }, 2);
  assert.deepEqual([journal.status().last, journal.status().spans], [21, 21]);
  journal.close();
});
