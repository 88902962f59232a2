import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completionOf, promptOf } from '../../../src/llm/content.ts';
import type { LlmApiKind } from '../../../src/model/llm.ts';
import { CONTENT, REQUESTS, RESPONSES } from './fixtures.ts';

const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const texts = (kind: LlmApiKind, body: unknown): string[] | undefined =>
  promptOf(kind, bytes(body))?.map(({ role, text }) => `${role}: ${text}`);

test('prompts of every kind, system first, tool results and parts as text', () => {
  const chat = [
    { role: 'system', content: 'be kind' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'a' },
        { type: 'image_url', image_url: { url: 'data:' } },
      ],
    },
    { role: 'tool', tool_call_id: 'c', content: 'result' },
  ];
  assert.deepEqual(texts('openai.chat', { messages: chat }), ['system: be kind', 'user: a', 'tool: result']);
  assert.deepEqual(texts('openai.responses', { instructions: 'i', input: 'hello' }), ['system: i', 'user: hello']);
  const input = [{ role: 'user', content: [{ type: 'input_text', text: 'hello' }] }];
  assert.deepEqual(texts('openai.responses', { input }), ['user: hello']);
  assert.deepEqual(texts('openai.embeddings', { input: ['a', 'b'] }), ['user: a', 'user: b']);
  assert.deepEqual(texts('openai.completions', { prompt: 'p' }), ['user: p']);
  const blocks = [{ role: 'user', content: [{ type: 'tool_result', content: [{ type: 'text', text: 'inner' }] }] }];
  assert.deepEqual(texts('anthropic.messages', { system: [{ type: 'text', text: 's' }], messages: blocks }), [
    'system: s',
    'user: inner',
  ]);
  const contents = [{ role: 'user', parts: [{ text: 'x' }, { text: 'y' }] }];
  assert.deepEqual(texts('gemini.generate', { systemInstruction: { parts: [{ text: 's' }] }, contents }), [
    'system: s',
    'user: x\ny',
  ]);
  assert.deepEqual(
    texts('bedrock.converse', { system: [{ text: 's' }], messages: [{ role: 'user', content: [{ text: 'h' }] }] }),
    ['system: s', 'user: h'],
  );
  assert.deepEqual(texts('bedrock.invoke', { inputText: 'h' }), ['user: h']);
  assert.deepEqual(texts('ollama.generate', { prompt: 'h' }), ['user: h']);
  assert.deepEqual(texts('ollama.chat', { messages: [{ role: 'user', content: 'h' }] }), ['user: h']);
});

test('what is no JSON has no prompt, odd shapes have an empty one', () => {
  assert.equal(promptOf('openai.chat', Buffer.from('{"messages":[')), undefined);
  for (const odd of [[], 'x', 5, null, { messages: 5 }, { messages: [null, 5, { content: {} }] }]) {
    assert.deepEqual(promptOf('openai.chat', bytes(odd)), []);
  }
});

test('the fixtures of every reader: their text is found where the model said something', () => {
  const silent = /error|fails|blocked|embeddings|embed/i;
  let seen = 0;
  for (const { name, body } of RESPONSES) {
    // AWS event streams are binary: their text is not kept.
    if (body[0] === 0 || silent.test(name)) continue;
    const text = completionOf(body);
    if (text?.includes(CONTENT.slice(0, 5))) seen++;
  }
  assert.ok(seen >= 8, `${seen} of ${RESPONSES.length}`);
  for (const { body } of REQUESTS) assert.notEqual(promptOf('openai.chat', body), undefined);
});

test('a stream is its pieces, once', () => {
  const event = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
  const chat = ['A ', 'weir'].map((content) => event({ choices: [{ delta: { content } }] })).join('');
  assert.equal(completionOf(Buffer.from(`${chat}data: [DONE]\n\n`)), 'A weir');
  const claude = ['A ', 'weir']
    .map((text) => event({ type: 'content_block_delta', delta: { type: 'text_delta', text } }))
    .join('');
  assert.equal(
    completionOf(Buffer.from(event({ type: 'message_start', message: { content: [] } }) + claude)),
    'A weir',
  );
  const deltas = ['A ', 'weir'].map((delta) => event({ type: 'response.output_text.delta', delta })).join('');
  const end =
    event({ type: 'response.output_text.done', text: 'A weir' }) +
    event({ type: 'response.completed', response: { output: [] } });
  assert.equal(completionOf(Buffer.from(deltas + end)), 'A weir');
  const lines = ['A ', 'weir'].map((content) => JSON.stringify({ message: { role: 'assistant', content } })).join('\n');
  assert.equal(completionOf(Buffer.from(lines)), 'A weir');
  assert.equal(completionOf(Buffer.from('<html>')), undefined);
});

test('what is nested deeper than any API nests has no text, rather than half of one', () => {
  const nested = (depth: number): Buffer =>
    Buffer.from(`{"messages":[{"role":"user","content":${'[{"content":'.repeat(depth)}"x"${'}]'.repeat(depth)}}]}`);
  assert.deepEqual(promptOf('openai.chat', nested(20)), [{ role: 'user', text: 'x' }]);
  assert.equal(promptOf('openai.chat', nested(60_000)), undefined);
  const answer = (depth: number): Buffer =>
    Buffer.from(`{"content":${'[{"content":'.repeat(depth)}"x"${'}]'.repeat(depth)}}`);
  assert.equal(completionOf(answer(20)), 'x');
  assert.equal(completionOf(answer(60_000)), undefined);
});
