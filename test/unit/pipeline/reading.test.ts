import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../../src/model/finding.ts';
import type { ContentFilter } from '../../../src/model/ports.ts';
import type { LiveExchange } from '../../../src/pipeline/live.ts';
import { filterAndRead } from '../../../src/pipeline/reading.ts';
import type { ReadingStage } from '../../../src/pipeline/stages.ts';

const DENIED: Finding = { inspector: 'policy', rule: 'p', severity: 'high', disposition: 'block', message: 'no' };

interface Held {
  readonly exchange: LiveExchange;
  readonly filter: ContentFilter | undefined;
  /** What became of the body: its payload, then how it ended. */
  readonly told: string[];
  readonly failures: unknown[];
}

/** One request in enforce whose body is read before it goes on. */
function held(change: Partial<ReadingStage>): Held {
  const told: string[] = [];
  const failures: unknown[] = [];
  const reading: ReadingStage = {
    copy: () => ({ push: () => undefined, finish: () => undefined }),
    holds: () => true,
    told: () => undefined,
    failed: (error) => failures.push(error),
    ...change,
  };
  const exchange = {
    findings: [],
    ruling: { action: 'forward' },
    closed: false,
    stages: {
      reading,
      judge: (findings: readonly Finding[]) => findings.find(({ disposition }) => disposition === 'block'),
      apply: (verdict: Finding | undefined) => ({ action: verdict === undefined ? 'forward' : 'block' }),
      refuse: () => ({ status: 403 }),
    },
  } as unknown as LiveExchange;
  const filter = filterAndRead(
    exchange,
    'request',
    10,
    {
      data: (payload) => told.push(payload.toString()),
      drained: () => undefined,
      end: () => told.push('end'),
      stop: (answer) => told.push(`stop ${answer.status}`),
    },
    () => undefined,
  );
  return { exchange, filter, told, failures };
}

const play = ({ filter }: Held): void => {
  filter?.write(Buffer.from('body'));
  filter?.end();
};

test('nothing goes on before it was judged, then all of it or nothing', () => {
  const good = held({ judge: () => [] });
  good.filter?.write(Buffer.from('body'));
  assert.deepEqual(good.told, []);
  good.filter?.end();
  assert.deepEqual(good.told, ['body', 'end']);
  const bad = held({ judge: () => [DENIED] });
  play(bad);
  assert.deepEqual(bad.told, ['stop 403']);
});

test('a reader that fails is an inspector that fails: nothing goes on', async () => {
  const fail = (): never => {
    throw new Error('broken');
  };
  const late = Promise.reject(new Error('broken'));
  late.catch(() => undefined);
  const ways: Partial<ReadingStage>[] = [
    { judge: fail },
    { copy: fail },
    { copy: () => ({ push: fail, finish: () => undefined }) },
    { copy: () => ({ push: () => undefined, finish: fail }) },
    { copy: () => ({ push: () => undefined, finish: () => late }) },
  ];
  for (const [i, way] of ways.entries()) {
    const one = held(way);
    play(one);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(one.told, ['stop 403'], `way ${i}`);
    assert.equal(one.exchange.findings[0]?.rule, 'inspector-failed', `way ${i}`);
    assert.equal(one.failures.length, 1, `way ${i}`);
  }
});

test('a body nobody can read is judged by that', () => {
  let asked = 0;
  const one = held({
    copy: () => undefined,
    judge: () => {
      asked++;
      return [DENIED];
    },
  });
  play(one);
  assert.equal(asked, 1);
  assert.deepEqual(one.told, ['stop 403']);
});

test('an exchange that has ended while its body was being read is left alone', async () => {
  const one = held({
    copy: () => ({ push: () => undefined, finish: () => Promise.resolve() }),
    judge: () => [DENIED],
  });
  play(one);
  one.exchange.closed = true;
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(one.told, []);
  assert.equal(one.exchange.answeredFor, undefined);
});
