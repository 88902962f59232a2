import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BudgetLimit, budgetInspector, createSpending } from '../../../src/inspect/budget.ts';
import { Windows } from '../../../src/inspect/windows.ts';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { exchangeTo, type Made } from './support.ts';

const LIMIT: BudgetLimit = { bytesOut: 1000, bytesOutPerDestination: 600, windowSeconds: 60 };

function fixture() {
  const clock = { now: 0 };
  const now = (): number => clock.now;
  const spending = createSpending(() => true, new Windows(now));
  const inspector = budgetInspector({ limitOf: (agent) => (agent === 'free' ? undefined : LIMIT), spending });
  const sent = (host: string, requestBytes: number, more: Partial<ExchangeRecord> = {}): void => {
    const record = { kind: 'exchange', state: 'closed', agent: 'researcher', host, port: 443, requestBytes, ...more };
    spending.note(record as ExchangeRecord);
  };
  const asked = (host: string, made: Made = {}) => inspector.inspect(exchangeTo(host, made), {});
  return { clock, sent, asked };
}

test('what is over counts, per agent and per destination, until the window ends', () => {
  const { clock, sent, asked } = fixture();
  sent('a.example', 600);
  const [found] = asked('a.example');
  assert.deepEqual([found?.rule, found?.disposition, found?.retryAfter], ['data-budget', 'block', 60]);
  assert.match(String(found?.message), /may send 600 bytes to a\.example:443 in 60 s/);
  assert.equal(asked('b.example').length, 0);
  sent('b.example', 400, { kind: 'tunnel' });
  clock.now = 20_000;
  assert.match(String(asked('c.example')[0]?.message), /may send 1000 bytes in 60 s/);
  assert.equal(asked('c.example')[0]?.retryAfter, 40);
  assert.equal(asked('c.example', { agent: 'free' }).length, 0);
  assert.equal(asked('c.example', { agent: 'coder' }).length, 0);
  clock.now = 60_000;
  assert.equal(asked('a.example').length, 0);
});

test('a request that says it will send too much, and a stream that has', () => {
  const { sent, asked } = fixture();
  const declared = (length: number): Made => ({ method: 'POST', fields: ['Content-Length', String(length)] });
  assert.equal(asked('a.example', declared(600)).length, 0);
  assert.equal(asked('a.example', declared(601)).length, 1);
  assert.equal(asked('a.example', { requestBytes: 601, kind: 'tunnel' } as Made).length, 1);
  sent('a.example', 599);
  assert.equal(asked('a.example').length, 0, 'something is left');
  assert.equal(asked('a.example', declared(2)).length, 1);
});

test('open rows and CONNECTs count nothing; nobody with a budget, nothing kept', () => {
  const { sent, asked } = fixture();
  sent('a.example', 5000, { state: 'open' });
  sent('a.example', 5000, { kind: 'connect' });
  assert.equal(asked('a.example').length, 0);
  const kept = createSpending(() => false, new Windows(() => 0));
  kept.note({ kind: 'exchange', state: 'closed', agent: 'a', host: 'h', port: 1, requestBytes: 9 } as ExchangeRecord);
  assert.equal(kept.spent('a', undefined, 1000).bytes, 0);
});
