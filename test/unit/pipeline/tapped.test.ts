import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../../src/model/finding.ts';
import type { LiveExchange } from '../../../src/pipeline/live.ts';
import type { BodyTap, ContentStage } from '../../../src/pipeline/stages.ts';
import { afterTaps, tapContent } from '../../../src/pipeline/tapped.ts';

const LEAK: Finding = { inspector: 'scan', rule: 'key', severity: 'high', disposition: 'block', message: 'a key' };

function exchangeWith(tap: () => BodyTap | undefined): LiveExchange {
  const content: ContentStage = {
    tap,
    judgeLate: (ruling, findings) => ({ ...ruling, verdict: findings[0]?.disposition ?? ruling.verdict }),
  };
  const ruling = { mode: 'monitor', verdict: 'allow', action: 'forward', would: 'none' };
  return { stages: { content }, findings: [], ruling, closed: false } as unknown as LiveExchange;
}

function tapOf(finish: BodyTap['finish'], push: BodyTap['push'] = () => undefined): BodyTap {
  return { push, finish };
}

function ended(exchange: LiveExchange): { late: Set<Promise<unknown>>; done: () => boolean } {
  const late = new Set<Promise<unknown>>();
  let done = false;
  afterTaps(exchange.taps, late, () => {
    done = true;
  });
  return { late, done: () => done };
}

test('without bodies the end is at once', () => {
  const { done, late } = ended(exchangeWith(() => undefined));
  assert.equal(done(), true);
  assert.equal(late.size, 0);
});

test('what is known at once is told at once, and judged', () => {
  const exchange = exchangeWith(() => tapOf(() => [LEAK]));
  tapContent(exchange, 'request')?.end();
  assert.deepEqual(exchange.findings, [LEAK]);
  assert.equal(exchange.ruling.verdict, 'block');
  assert.equal(ended(exchange).done(), true);
  assert.equal(exchange.findings.length, 1, 'once');
});

test('what is still being decoded holds the record, and both bodies are waited for', async () => {
  const settle: ((findings: Finding[]) => void)[] = [];
  const exchange = exchangeWith(() =>
    tapOf(
      () =>
        new Promise((resolve) => {
          settle.push(resolve);
        }),
    ),
  );
  tapContent(exchange, 'request');
  tapContent(exchange, 'response');
  const { done, late } = ended(exchange);
  assert.equal(done(), false);
  const waiting = [...late];
  settle[0]?.([LEAK]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(done(), false);
  settle[1]?.([]);
  await Promise.all(waiting);
  assert.equal(done(), true);
  assert.equal(late.size, 0);
  assert.deepEqual(exchange.findings, [LEAK]);
});

test('whatever fails is a finding, and nothing is thrown', async () => {
  const broken = (): never => {
    throw new Error('broken');
  };
  const cases: (() => BodyTap | undefined)[] = [
    broken,
    () => tapOf(() => [], broken),
    () => tapOf(broken),
    () => tapOf(() => Promise.reject(new Error('broken'))),
  ];
  for (const make of cases) {
    const exchange = exchangeWith(make);
    const tap = tapContent(exchange, 'response');
    tap?.push(Buffer.from('x'));
    tap?.push(Buffer.from('y'));
    tap?.end();
    const { late, done } = ended(exchange);
    await Promise.all(late);
    assert.equal(done(), true);
    assert.deepEqual(
      exchange.findings.map(({ inspector, rule, disposition }) => [inspector, rule, disposition]),
      [['scan', 'inspector-failed', 'block']],
    );
  }
});

test('a closed exchange is not looked at any more', () => {
  const exchange = exchangeWith(() => tapOf(() => []));
  exchange.closed = true;
  assert.equal(tapContent(exchange, 'request'), undefined);
});
