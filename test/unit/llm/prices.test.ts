import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPrices } from '../../../src/collector-prices.ts';
import { costOf } from '../../../src/llm/prices.ts';
import type { LlmFacts, LlmUsage } from '../../../src/model/llm.ts';

const call = (asked: string | undefined, answered: string | undefined, usage: LlmUsage | undefined): LlmFacts => ({
  api: { kind: 'openai.chat', operation: 'chat', provider: 'openai' },
  request: { ...(asked && { model: asked }), stream: false, messages: 1, tools: 0, toolNames: [] },
  response: {
    ...(answered && { model: answered }),
    ...(usage && { usage }),
    finishReasons: [],
    toolCalls: 0,
    toolCallNames: [],
    streamed: false,
    events: 0,
  },
});

function fileWith(t: { after(end: () => void): void }, text: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'weir-prices-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, 'prices.yaml'), text);
  return join(dir, 'prices.yaml');
}

test('tokens by their price; the cache has one of its own, the model that answered counts first', (t) => {
  const prices = readPrices(
    fileWith(
      t,
      'models:\n  gpt-a: { input: 2, output: 8, cache_read: 0.5, cache_write: 4 }\n  gpt-*: { input: 100, output: 100 }\n  gpt-b*: { input: 1, output: 1 }\n',
    ),
  );
  const usage = { input: 1_000_000, output: 500_000, cacheRead: 600_000, cacheCreation: 100_000 };
  assert.equal(costOf(call('x', 'gpt-a', usage), prices), 0.3 * 2 + 0.6 * 0.5 + 0.1 * 4 + 0.5 * 8);
  assert.equal(costOf(call('gpt-a', 'unknown', { input: 1_000_000 }), prices), 2);
  assert.equal(costOf(call('gpt-b-mini', undefined, { input: 1_000_000 }), prices), 1, 'the longest name');
  assert.equal(costOf(call('gpt-c', undefined, { input: 1_000_000 }), prices), 100);
});

test('nothing is guessed', (t) => {
  const prices = readPrices(fileWith(t, 'models:\n  gpt-a: { input: 2, output: 8 }\n'));
  assert.equal(costOf(call('other', 'other', { input: 5 }), prices), undefined);
  assert.equal(costOf(call('gpt-a', undefined, undefined), prices), undefined);
  assert.equal(costOf(call(undefined, undefined, { input: 5 }), prices), undefined);
  assert.equal(costOf(call('gpt-a', undefined, { input: 5 }), readPrices(undefined)), undefined);
});

test('a file that is wrong is refused with its place and what to write', (t) => {
  const wrong = (text: string, said: RegExp): void => assert.throws(() => readPrices(fileWith(t, text)), said);
  wrong('models: [', /prices_file .*prices\.yaml is no YAML/);
  wrong('models:\n  a: { input: -1, output: 2 }\n', /at models\.a\.input: .*USD per million tokens/);
  wrong('models:\n  a: { input: 1 }\n', /at models\.a\.output/);
  wrong('modles: {}\n', /USD per million/);
  assert.throws(() => readPrices('/nowhere/prices.yaml'), /cannot be read \(ENOENT\)/);
});
