import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTokens } from '../../../src/inspect/tokens.ts';
import type { LlmFacts } from '../../../src/model/llm.ts';

const HOUR = 3_600_000;
const call = (input: number | undefined): LlmFacts => ({
  api: { kind: 'openai.chat', operation: 'chat', provider: 'openai' },
  request: { model: 'gpt-a', stream: false, messages: 1, tools: 0, toolNames: [] },
  response: {
    finishReasons: [],
    toolCalls: 0,
    toolCallNames: [],
    streamed: false,
    events: 0,
    ...(input === undefined ? {} : { usage: { input } }),
  },
});

test('one call far beyond the agent’s own history is told with the numbers, and only after there is one', () => {
  const tokens = createTokens();
  for (let i = 0; i < 29; i++) assert.deepEqual(tokens.spent('a', call(20_000 + i), i), []);
  assert.deepEqual(
    tokens.spent('a', call(900_000), 30).map(({ rule }) => rule),
    [],
    '29 calls are no history',
  );
  const other = createTokens();
  for (let i = 0; i < 40; i++) other.spent('a', call(20_000 + i), i);
  assert.deepEqual(other.spent('a', call(80_000), 41), [], 'four times the most is not beyond it');
  const [found, ...rest] = other.spent('a', call(400_000), 42);
  assert.equal(found?.rule, 'tokens-call');
  assert.equal(found?.message, 'a spent 400,000 tokens in one call of gpt-a; the most of its last 41 calls was 80,000');
  assert.deepEqual(rest, []);
  assert.deepEqual(other.spent('a', call(400_000), 43), [], 'it is history now');
  assert.deepEqual(other.spent('b', call(400_000), 43), [], 'another agent has a history of its own');
});

test('small calls are never beyond anything, unknown usage is none', () => {
  const tokens = createTokens();
  for (let i = 0; i < 100; i++) tokens.spent('a', call(10), i);
  assert.deepEqual(tokens.spent('a', call(49_999), 101), []);
  for (let i = 0; i < 100; i++) assert.deepEqual(tokens.spent('c', call(undefined), i), []);
});

test('an hour far beyond the hours before it is told once', () => {
  const tokens = createTokens();
  for (let hour = 0; hour < 24; hour++) for (let i = 0; i < 10; i++) tokens.spent('a', call(20_000), hour * HOUR + i);
  const told = [];
  for (let i = 0; i < 100; i++) told.push(...tokens.spent('a', call(20_000), 24 * HOUR + i));
  assert.deepEqual(
    told.map(({ rule, message }) => [rule, message]),
    [
      [
        'tokens-hour',
        'a has spent 820,000 tokens within an hour; the most of its last 24 hours with calls was 200,000',
      ],
    ],
  );
  for (let i = 0; i < 100; i++)
    assert.deepEqual(tokens.spent('a', call(20_000), 25 * HOUR + i), [], 'the loop is history');
});

test('what is stored is known after a restart, except of agents that have spent since', () => {
  const tokens = createTokens();
  tokens.spent('busy', call(1), 0);
  const calls = Array.from({ length: 50 }, () => 1000);
  tokens.load([
    { agent: 'a', calls, hours: [[1, 50_000]] },
    { agent: 'busy', calls, hours: [] },
  ]);
  assert.deepEqual(
    tokens.spent('a', call(60_000), HOUR).map(({ rule }) => rule),
    ['tokens-call'],
  );
  assert.deepEqual(tokens.spent('busy', call(60_000), HOUR), []);
});

test('a thousand agents are remembered, the quiet ones go first', () => {
  const tokens = createTokens();
  const history = (agent: string): void => {
    for (let i = 0; i < 31; i++) tokens.spent(agent, call(1000), 0);
  };
  history('old');
  history('kept');
  for (let i = 0; i < 999; i++) {
    tokens.spent('kept', call(1000), 0);
    tokens.spent(`x${i}`, call(1), 0);
  }
  assert.deepEqual(tokens.spent('old', call(60_000), 1), []);
  assert.equal(tokens.spent('kept', call(60_000), 1).length, 1);
});

test('of a history that was loaded the oldest calls are forgotten first', () => {
  const tokens = createTokens();
  tokens.load([{ agent: 'a', calls: [900_000, ...Array.from({ length: 99 }, () => 1000)], hours: [] }]);
  for (let i = 0; i < 199; i++) tokens.spent('a', call(1000), 0);
  assert.deepEqual(tokens.spent('a', call(60_000), 0).length, 1, 'the last 200 calls were small');
});
