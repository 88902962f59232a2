import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Journal, type JournalOptions, openJournal } from '../../../src/record/journal.ts';
import type { JournalCursor } from '../../../src/record/reader.ts';
import { logger, scratch } from './harness.ts';
import { exchangeSample } from './samples.ts';

const open = (directory: string | undefined, more: Partial<JournalOptions> = {}) =>
  openJournal({ directory, maxBytes: 1 << 30, boot: 'boot-1', log: logger().log, ...more });
const at = (position = 0): JournalCursor => ({ position, reader: undefined });
const batch = (count: number) => Array.from({ length: count }, () => exchangeSample());
const tally = (started: number, openNow = 0, dropped = {}) => ({ started, open: openNow, dropped });

function readAll(journal: Journal, position = 0, max = 100): { ids: string[]; last: number } {
  const cursor = at(position);
  const ids: string[] = [];
  for (let chunk = journal.read(cursor, max); chunk !== undefined; chunk = journal.read(cursor, max)) {
    ids.push(...chunk.records.map((record) => record.id));
    cursor.position = chunk.last;
  }
  return { ids, last: cursor.position };
}
const files = (directory: string) =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.jsonl'))
    .sort();

test('what is appended is read back, from memory and after a restart from the file', (context) => {
  const directory = scratch(context);
  const journal = open(directory);
  const records = batch(10);
  journal.append(records.slice(0, 4), tally(4), 1);
  journal.append(records.slice(4), tally(10), 2);
  const ids = records.map((record) => record.id);
  assert.deepEqual(readAll(journal).ids, ids);
  journal.close();
  const again = open(directory, { boot: 'boot-2' });
  assert.deepEqual(readAll(again), { ids, last: 10 });
  assert.deepEqual(readAll(again, 7), { ids: ids.slice(7), last: 10 });
  assert.deepEqual(again.read(at(), 1)?.records[0], records[0]);
  again.close();
});

test('files are private, named by first sequence number, JSON in every line', (context) => {
  const directory = scratch(context);
  const journal = open(directory, { segmentBytes: 16 * 1024 });
  for (let i = 0; i < 20; i++) journal.append(batch(5), tally(i * 5 + 5), i + 1);
  const names = files(directory);
  assert.ok(names.length > 2);
  assert.equal(names[0], '0000000000000001.jsonl');
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  let sequence = 1;
  for (const name of names) {
    assert.equal(Number(name.slice(0, 16)), sequence);
    assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600);
    const lines = readFileSync(join(directory, name), 'utf8').trimEnd().split('\n');
    assert.match(lines[0] as string, /^\{"_":"k","spans":\d+,/);
    for (const line of lines) if ('id' in JSON.parse(line)) sequence++;
  }
  assert.equal(sequence, 101);
  journal.close();
});

test('a torn last line is cut, the rest stays', (context) => {
  const directory = scratch(context);
  const journal = open(directory);
  journal.append(batch(3), tally(3), 1);
  journal.append(batch(3), tally(6), 2);
  journal.close();
  const path = join(directory, files(directory)[0] as string);
  const lines = readFileSync(path, 'utf8').split('\n');
  // Cut inside the fifth record line: checkpoint, 3 records, tally, 4th record, half of the 5th.
  truncateSync(path, lines.slice(0, 6).join('\n').length + 1 + 40);
  const again = open(directory, { boot: 'boot-2' });
  assert.equal(readAll(again).ids.length, 4);
  again.append(batch(2), tally(2), 1);
  assert.equal(readAll(again).ids.length, 6);
  for (const line of readFileSync(path, 'utf8').trimEnd().split('\n')) JSON.parse(line);
  again.close();
  const third = open(directory, { boot: 'boot-3' });
  assert.equal(readAll(third).ids.length, 6);
  assert.equal(third.books().started, 6);
  third.close();
});

test('a crash closes open rows as interrupted and counts what was lost', (context) => {
  const directory = scratch(context);
  const journal = open(directory);
  const first = exchangeSample({ state: 'open' });
  const second = exchangeSample({ state: 'open' });
  journal.append([first, second, exchangeSample()], tally(5, 4), 1);
  journal.append([{ ...second, state: 'closed', wasOpen: true }], tally(5, 3, { backlog: 1 }), 2);
  journal.close();
  // started 5 = 2 in the journal + 1 dropped + 2 open, of which one has a row. (open: 3 - 1 dropped)
  const again = open(directory, { boot: 'boot-2' });
  assert.deepEqual(
    again.interrupted.map((record) => record.id),
    [first.id],
  );
  assert.equal(again.interrupted[0]?.outcome, 'interrupted');
  const books = again.books();
  assert.equal(books.started, 5);
  assert.deepEqual(books.dropped, { backlog: 1, crash: 1 });
  assert.equal(again.status().spans, 3);
  again.append(batch(2), tally(3, 1), 1);
  assert.equal(again.books().started, 8);
  again.close();
  const third = open(directory, { boot: 'boot-3' });
  assert.equal(third.interrupted.length, 0);
  assert.deepEqual(third.books().dropped, { backlog: 1, crash: 2 });
  third.close();
});

test('the same boot goes on: nothing is interrupted, the last batch is known', (context) => {
  const directory = scratch(context);
  const journal = open(directory);
  journal.append([exchangeSample({ state: 'open' }), exchangeSample()], tally(3, 2), 7);
  journal.close();
  const again = open(directory);
  assert.equal(again.batch, 7);
  assert.equal(again.interrupted.length, 0);
  assert.deepEqual(
    { ...again.books() },
    { boot: 'boot-1', started: 3, open: 2, dropped: {}, baseStarted: 0, baseDropped: {} },
  );
  again.close();
});

test('open rows survive a rotation in the checkpoint', (context) => {
  const directory = scratch(context);
  const journal = open(directory, { segmentBytes: 16 * 1024 });
  const row = exchangeSample({ state: 'open' });
  journal.append([row], tally(1, 1), 1);
  for (let i = 0; i < 10; i++) journal.append(batch(10), tally(1 + (i + 1) * 10, 1), i + 2);
  journal.release(60);
  assert.ok(files(directory).length < 6);
  journal.close();
  const again = open(directory, { boot: 'boot-2' });
  assert.deepEqual(
    again.interrupted.map((record) => record.id),
    [row.id],
  );
  assert.deepEqual(again.books().dropped, {});
  again.close();
});

test('the cap drops the oldest and the reader sees the gap', (context) => {
  const directory = scratch(context);
  const journal = open(directory, { maxBytes: 100 * 1024, segmentBytes: 20 * 1024, tailRecords: 64 });
  const first = exchangeSample({ firstSeen: true });
  journal.append([first], tally(1), 1);
  for (let i = 0; i < 40; i++) journal.append(batch(10), tally((i + 1) * 10 + 1), i + 2);
  assert.ok(journal.status().bytes <= 100 * 1024);
  const chunk = journal.read(at(), 10);
  assert.ok(chunk !== undefined && chunk.spansBefore === 0 && chunk.shed > 0);
  assert.deepEqual([chunk.records, chunk.numbers], [[first], [1]]);
  assert.equal(chunk.spansAfter, chunk.last);
  assert.equal(readAll(journal).last, 401);
  journal.close();
});

test('at the cap what is notable goes last: from memory and from files, with its number', (context) => {
  const directory = scratch(context);
  const journal = open(directory, { maxBytes: 200 * 1024, segmentBytes: 16 * 1024, tailRecords: 64 });
  const kept = new Map<number, string>();
  for (let i = 0; i < 100; i++) {
    const records = batch(10);
    const notable = exchangeSample({ verdict: 'block', action: 'block', blockedBy: 'a-rule' } as never);
    records[i % 10] = notable;
    kept.set(i * 10 + (i % 10) + 1, notable.id);
    journal.append(records, tally((i + 1) * 10), i + 1);
  }
  const files_ = files(directory);
  assert.ok(statSync(join(directory, files_[0] as string)).size < 16 * 1024);
  const cursor = at();
  const got = new Map<number, string>();
  let spans = 0;
  for (let chunk = journal.read(cursor, 64); chunk !== undefined; chunk = journal.read(cursor, 64)) {
    const from = chunk.last - chunk.records.length + 1;
    for (const [i, record] of chunk.records.entries()) got.set(chunk.numbers?.[i] ?? from + i, record.id);
    assert.equal(chunk.spansBefore, spans);
    assert.equal(chunk.spansAfter - chunk.spansBefore, chunk.records.length + chunk.shed);
    spans = chunk.spansAfter;
    cursor.position = chunk.last;
  }
  for (const [number, id] of kept) assert.equal(got.get(number), id);
  assert.equal(spans, 1000);
  assert.ok(got.size < 400, 'most of the ordinary ones are gone');
  journal.close();
  // The same after a restart, and a file that was being rewritten is no segment.
  writeFileSync(join(directory, `${files_[0]}.new`), 'half');
  const again = open(directory, { maxBytes: 200 * 1024, segmentBytes: 16 * 1024, boot: 'boot-2' });
  const there = new Set(readAll(again).ids);
  assert.ok([...kept.values()].every((id) => there.has(id)));
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.new')),
    [],
  );
  again.close();
});

test('a flood of what is notable takes half of the room at most: the newest are there in any case', (context) => {
  const directory = scratch(context);
  const journal = open(directory, { maxBytes: 100 * 1024, segmentBytes: 16 * 1024, tailRecords: 64 });
  const flood = () => Array.from({ length: 10 }, () => exchangeSample({ firstSeen: true }));
  for (let i = 0; i < 60; i++) journal.append(flood(), tally((i + 1) * 10), i + 1);
  assert.ok(journal.status().bytes <= 100 * 1024);
  assert.equal(journal.lossReason(1), 'journal-cap');
  assert.ok((journal.status().first ?? 0) > 1);
  const last = batch(10);
  journal.append(last, tally(610), 61);
  assert.deepEqual(
    readAll(journal).ids.slice(-10),
    last.map(({ id }) => id),
  );
  journal.close();
});

test('a failing disk loses nothing that fits into memory, and writing resumes', (context) => {
  const directory = scratch(context);
  const journal = open(directory, { segmentBytes: 16 * 1024 });
  journal.append(batch(12), tally(12), 1);
  // The directory becomes a file: new segments cannot be made.
  const kept = readFileSync(join(directory, files(directory)[0] as string));
  rmSync(directory, { recursive: true });
  writeFileSync(directory, '');
  for (let i = 0; i < 4; i++) journal.append(batch(12), tally(24 + i * 12), i + 2);
  assert.match(journal.status().problem ?? '', /EEXIST|ENOTDIR/);
  assert.equal(readAll(journal).ids.length, 60);
  rmSync(directory);
  mkdirSync(directory);
  writeFileSync(join(directory, '0000000000000001.jsonl'), kept);
  const now = Date.now;
  context.after(() => {
    Date.now = now;
  });
  Date.now = () => now() + 5000;
  journal.append(batch(1), tally(61), 9);
  Date.now = now;
  assert.equal(journal.status().problem, undefined);
  assert.equal(journal.batch, 9);
  journal.close();
  const again = open(directory, { boot: 'boot-2' });
  assert.equal(readAll(again).last, 61);
  assert.deepEqual(again.books().dropped, {});
  again.close();
});

test('without a directory records are kept in memory, oldest dropped and counted', () => {
  const journal = open(undefined, { tailRecords: 100 });
  for (let i = 0; i < 30; i++) journal.append(batch(10), tally((i + 1) * 10), i + 1);
  const chunk = journal.read(at(), 1000);
  assert.equal(chunk?.records.length, 100);
  assert.equal(chunk?.spansBefore, 200);
  assert.equal(journal.lossReason(1), 'memory');
});

test('a damaged line in the middle is one unreadable record, not the end', (context) => {
  const directory = scratch(context);
  const journal = open(directory);
  journal.append(batch(3), tally(3), 1);
  journal.close();
  const path = join(directory, files(directory)[0] as string);
  const lines = readFileSync(path, 'utf8').split('\n');
  lines[2] = `${(lines[2] as string).slice(0, 60)}\u0000garbage`;
  writeFileSync(path, lines.join('\n'));
  const again = open(directory, { boot: 'boot-2' });
  const chunk = again.read(at(), 10);
  assert.equal(chunk?.records.length, 2);
  assert.equal(chunk?.unreadable, 1);
  assert.equal(chunk?.last, 3);
  again.close();
});

test('a segment without a whole checkpoint is passed over', (context) => {
  const directory = scratch(context);
  const journal = open(directory);
  journal.append(batch(3), tally(3), 1);
  journal.close();
  appendFileSync(join(directory, '0000000000000004.jsonl'), '{"_":"k","spa');
  const again = open(directory, { boot: 'boot-2' });
  again.append(batch(1), tally(1), 1);
  assert.equal(readAll(again).last, 4);
  again.close();
});

test('numbers go on above what a store already has', (context) => {
  const directory = scratch(context);
  const journal = open(directory);
  journal.skipTo(500);
  journal.append(batch(2), tally(2), 1);
  assert.equal(journal.status().last, 502);
  journal.close();
  const again = open(directory, { boot: 'boot-2' });
  assert.equal(again.status().last, 502);
  assert.equal(readAll(again).ids.length, 2);
  again.close();
});
