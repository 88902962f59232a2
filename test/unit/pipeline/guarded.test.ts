import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../../src/model/answer.ts';
import type { ContentFilter, FilterSink } from '../../../src/model/ports.ts';
import { guarded } from '../../../src/pipeline/guarded.ts';

const ANSWER: Answer = { status: 403, reason: 'no', headers: [], body: '' };

interface Tried {
  readonly filter: ContentFilter;
  /** Every call that reached the relay. */
  readonly told: string[];
  readonly thrown: unknown[];
}

/** A filter that gives its input one write late, and throws where `throws` says. */
function tried(shape: ContentFilter['shape'], throws: string, then: 'pass' | 'stop', abandoned: string[] = []): Tried {
  const told: string[] = [];
  const thrown: unknown[] = [];
  const sink: FilterSink = {
    data: (payload) => told.push(payload.toString()),
    end: (redactions) => told.push(`end ${redactions}`),
    stop: (answer) => told.push(`stop ${answer.status}`),
    drained: () => told.push('drained'),
  };
  const make = (out: FilterSink): ContentFilter => {
    let held = Buffer.alloc(0);
    return {
      shape,
      write(payload) {
        if (payload.includes(throws)) throw new Error('broken');
        if (shape !== 'whole') {
          // The last byte waits.
          const all = Buffer.concat([held, payload]);
          if (all.length > 1) out.data(all.subarray(0, -1));
          held = all.subarray(-1);
        } else held = Buffer.concat([held, payload]);
        out.drained();
        return false;
      },
      end() {
        if (throws === 'end') throw new Error('broken');
        out.data(held);
        out.end(7);
      },
      abandon: () => abandoned.push('abandoned'),
    };
  };
  const onThrow = (error: unknown): 'pass' | 'stop' => {
    thrown.push(error);
    return then;
  };
  const filter = guarded(make, sink, onThrow, () => sink.stop(ANSWER));
  assert.ok(filter !== undefined);
  return { filter, told, thrown };
}

const feed = (filter: ContentFilter, ...parts: string[]): void => {
  for (const part of parts) filter.write(Buffer.from(part));
  filter.end();
};

test('a filter that does not throw is heard as it is', () => {
  const { filter, told, thrown } = tried('same', '-', 'pass');
  assert.equal(filter.shape, 'same');
  assert.equal(filter.write(Buffer.from('abc')), false);
  filter.end();
  assert.deepEqual(told, ['ab', 'drained', 'c', 'end 7']);
  assert.deepEqual(thrown, []);
});

test('none is none', () => {
  assert.equal(
    guarded(
      () => undefined,
      {} as FilterSink,
      () => 'pass',
      () => undefined,
    ),
    undefined,
  );
});

test('the rest passes when that is wanted, with what was held, in order and once', () => {
  for (const shape of ['same', 'whole'] as const) {
    const { filter, told, thrown } = tried(shape, '!', 'pass');
    feed(filter, 'abc', 'de', 'f!g', 'hij');
    assert.equal(told.filter((what) => what !== 'drained').join(''), 'abcdef!ghijend 0', shape);
    assert.equal(thrown.length, 1);
  }
});

test('a throw at the end', () => {
  for (const shape of ['same', 'whole'] as const) {
    const { filter, told } = tried(shape, 'end', 'pass');
    feed(filter, 'abc', 'de');
    assert.equal(told.filter((what) => what !== 'drained').join(''), 'abcdeend 0', shape);
  }
});

test('stopped when that is wanted, and nothing more is heard', () => {
  for (const shape of ['same', 'whole', 'free'] as const) {
    const { filter, told, thrown } = tried(shape, '!', 'stop');
    feed(filter, 'a', '!', 'b');
    assert.deepEqual(
      told.filter((what) => what !== 'drained'),
      ['stop 403'],
    );
    assert.equal(thrown.length, 1);
  }
});

test('free: whole as long as nothing has come out, stopped after', () => {
  const before = tried('free', '!', 'pass');
  feed(before.filter, 'a', '!', 'b');
  assert.equal(before.told.filter((what) => what !== 'drained').join(''), 'a!bend 0');
  const after = tried('free', '!', 'pass');
  feed(after.filter, 'abc', '!', 'b');
  assert.equal(after.told.filter((what) => what !== 'drained').join(''), 'abstop 403');
});

test('abandoned: the filter hears of it, the relay nothing more', () => {
  const abandoned: string[] = [];
  const { filter, told } = tried('same', '-', 'pass', abandoned);
  filter.write(Buffer.from('abc'));
  filter.abandon();
  filter.end();
  assert.deepEqual(abandoned, ['abandoned']);
  assert.deepEqual(told, ['ab', 'drained']);
});
