import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLlmRequest } from '../../../src/llm/request-reader.ts';
import { createLlmResponse } from '../../../src/llm/response-reader.ts';
import type { LlmApi, LlmRequestFacts, LlmResponseFacts } from '../../../src/model/llm.ts';
import { api, awsEvent, CLAUDE_STREAM, CONTENT, json, REQUESTS, RESPONSES, sse } from './fixtures.ts';

function request(of: LlmApi, parts: readonly Uint8Array[]): LlmRequestFacts {
  const reader = createLlmRequest(of);
  for (const part of parts) reader.push(part);
  return reader.end();
}

/** The clock is the number of bytes that came. */
function response(of: LlmApi, parts: readonly Uint8Array[], cut = false): LlmResponseFacts {
  const reader = createLlmResponse(of);
  let now = 0;
  for (const part of parts) {
    now += part.length;
    reader.push(part, now);
  }
  return reader.end(cut);
}

const untimed = ({ firstEventAt: _, firstTokenAt: __, ...facts }: LlmResponseFacts): LlmResponseFacts => facts;
const bytes = (body: Buffer): Buffer[] => Array.from(body, (_, at) => body.subarray(at, at + 1));
const cutAt = (body: Buffer, places: readonly number[]): Buffer[] => {
  const sorted = [0, ...places.map((place) => place % (body.length + 1)).sort((a, b) => a - b), body.length];
  return sorted.slice(1).map((end, i) => body.subarray(sorted[i], end));
};

for (const { name, api: of, body, facts } of REQUESTS) {
  test(`request: ${name}`, () => {
    assert.deepEqual(request(of, [body]), facts);
  });
}

for (const { name, api: of, body, facts } of RESPONSES) {
  test(`response: ${name}`, () => {
    assert.deepEqual(untimed(response(of, [body])), facts);
  });
}

test('how the bytes are cut makes no difference', () => {
  for (const { name, api: of, body, facts } of REQUESTS) {
    for (let at = 0; at <= body.length; at++)
      assert.deepEqual(request(of, [body.subarray(0, at), body.subarray(at)]), facts, `${name} cut at ${at}`);
    assert.deepEqual(request(of, bytes(body)), facts, name);
  }
  for (const { name, api: of, body, facts } of RESPONSES) {
    for (let at = 0; at <= body.length; at++)
      assert.deepEqual(untimed(response(of, [body.subarray(0, at), body.subarray(at)])), facts, `${name} cut at ${at}`);
    assert.deepEqual(untimed(response(of, bytes(body))), facts, name);
  }
});

test('cut anywhere often, the same', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...RESPONSES),
      fc.array(fc.nat(), { maxLength: 12 }),
      ({ api: of, body, facts }, at) => {
        assert.deepEqual(untimed(response(of, cutAt(body, at))), facts);
      },
    ),
  );
});

test('any bytes at all: nothing is thrown, and the same in pieces', () => {
  const kinds = fc.constantFrom(...RESPONSES.map((fixture) => fixture.api));
  const noise = fc
    .tuple(fc.constantFrom(...RESPONSES), fc.nat(), fc.uint8Array({ maxLength: 40 }))
    .map(([{ body }, at, junk]) => {
      const place = at % body.length;
      return Buffer.concat([body.subarray(0, place), junk, body.subarray(place + junk.length)]);
    });
  fc.assert(
    fc.property(kinds, fc.oneof(fc.uint8Array({ maxLength: 200 }), noise), (of, body) => {
      const whole = response(of, [Buffer.from(body)]);
      assert.deepEqual(untimed(response(of, bytes(Buffer.from(body)))), untimed(whole));
      assert.deepEqual(request(of, bytes(Buffer.from(body))), request(of, [Buffer.from(body)]));
    }),
    { numRuns: 400 },
  );
});

test('an answer that ends early says so, whatever is missing, and invents nothing', () => {
  for (const { name, api: of, body, facts } of RESPONSES.filter((fixture) => !fixture.facts.incomplete)) {
    for (let at = 0; at < body.length - 1; at++) {
      const read = response(of, [body.subarray(0, at)], true);
      // What is missing may be blank lines, or everything behind the event that says it is the last.
      const same = JSON.stringify(untimed(read)) === JSON.stringify(facts);
      if (!same) assert.ok(read.incomplete || read.finishReasons.length > 0, `${name} cut at ${at}`);
      if (at < body.length / 2) assert.ok(read.incomplete, `${name} cut at ${at}`);
      for (const [what, count] of Object.entries(read.usage ?? {}))
        if (!of.kind.startsWith('gemini') && read.usage?.input !== undefined && what === 'output')
          assert.equal(count, facts.usage?.output, `${name} cut at ${at}`);
    }
  }
});

test('a request that ends early keeps what it said', () => {
  const body = Buffer.from('{"model":"m","max_tokens":5,"messages":[{"content":"');
  const facts = request(api('openai.chat'), [body]);
  assert.deepEqual(facts, {
    model: 'm',
    maxTokens: 5,
    stream: false,
    messages: 1,
    tools: 0,
    toolNames: [],
    incomplete: true,
  });
  assert.equal(request(api('openai.chat'), []).incomplete, true);
  assert.equal(request(api('openai.chat'), [Buffer.from('model=m&stream=true')]).incomplete, true);
});

test('content is in no facts', () => {
  const all = [
    ...REQUESTS.map((fixture) => request(fixture.api, [fixture.body])),
    ...RESPONSES.map((fixture) => response(fixture.api, [fixture.body])),
  ];
  assert.ok(RESPONSES.some((fixture) => fixture.body.includes('Zwiebel')));
  assert.ok(!JSON.stringify(all).includes(CONTENT.slice(0, 7)));
});

test('the first token is told by the clock of the push that ended its event', () => {
  const events = CLAUDE_STREAM.map((event) => sse([event], { named: true }));
  const reader = createLlmResponse(api('anthropic.messages'));
  for (const [at, event] of events.entries()) {
    reader.push(event.subarray(0, -1), 100 + at);
    reader.push(event.subarray(-1), 200 + at);
  }
  const facts = reader.end();
  assert.equal(facts.firstEventAt, 200);
  assert.equal(facts.firstTokenAt, 203);
});

test('a plain answer has no first token', () => {
  const { body, api: of } = RESPONSES[0] as (typeof RESPONSES)[0];
  const facts = response(of, [body]);
  assert.equal('firstTokenAt' in facts || 'firstEventAt' in facts, false);
});

test('names and counts stay bounded', () => {
  const many = Array.from({ length: 5000 }, (_, i) => ({ type: 'tool_use', id: `t${i}`, name: `tool${i}` }));
  const facts = response(api('anthropic.messages'), [json({ content: many, stop_reason: 'tool_use' })]);
  assert.equal(facts.toolCalls, 5000);
  assert.equal(facts.toolCallNames.length, 64);
  const asked = request(api('anthropic.messages'), [
    json({ model: 'x'.repeat(5000), tools: many, stop_sequences: 'abcdefghijkl'.split('') }),
  ]);
  assert.equal(asked.tools, 5000);
  assert.equal(asked.toolNames.length, 64);
  assert.equal(asked.stopSequences?.length, 8);
  assert.equal(asked.model, undefined);
});

test('one tool call told three times is one', () => {
  const call = { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } };
  const events = [1, 2, 3].map(() => ({ choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: null }] }));
  assert.equal(response(api('openai.chat'), [sse(events, { done: true })]).toolCalls, 1);
  const anonymous = events.map(() => ({ choices: [{ index: 0, delta: { tool_calls: [{ ...call, id: '' }] } }] }));
  assert.equal(response(api('openai.chat'), [sse(anonymous, { done: true })]).toolCalls, 1);
});

test('counters that are no counts are not told', () => {
  for (const count of [-1, 1.5, 1e300, '7', null, true, {}]) {
    const facts = response(api('openai.chat'), [json({ usage: { prompt_tokens: count } })]);
    assert.equal(facts.usage, undefined, JSON.stringify(count));
  }
});

test('a checksum that does not hold ends the reading', () => {
  const good = awsEvent('contentBlockDelta', { delta: { text: 'x' } });
  const bad = awsEvent('messageStop', { stopReason: 'end_turn' });
  bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 1;
  const facts = response(api('bedrock.converse', { stream: true }), [
    good,
    bad,
    awsEvent('metadata', { usage: { inputTokens: 1 } }),
  ]);
  assert.equal(facts.incomplete, true);
  assert.equal(facts.usage, undefined);
  assert.equal(facts.events, 1);
});

test('an empty event and white space that keeps a connection open are nothing', () => {
  const fixture = RESPONSES.find(({ name }) => name === 'OpenAI chat stream with usage');
  assert.ok(fixture);
  const kept = Buffer.concat([Buffer.from('\n\n'), Buffer.from('data:\n\n'), fixture.body]);
  assert.deepEqual(untimed(response(fixture.api, [kept])), fixture.facts);
  const plain = RESPONSES[0] as (typeof RESPONSES)[0];
  assert.deepEqual(untimed(response(plain.api, [Buffer.from(' \n \n'), plain.body])), plain.facts);
});

test('an answer of no bytes, and one that is a page, are not read', () => {
  assert.equal(response(api('openai.chat'), []).incomplete, true);
  assert.equal(response(api('openai.chat'), [Buffer.from('<html>502</html>')]).incomplete, true);
});

test('facts do not change after the end', () => {
  const reader = createLlmResponse(api('openai.chat'));
  reader.push(Buffer.from('{"id":"a"'), 1);
  const facts = reader.end(true);
  reader.push(Buffer.from(',"model":"m"}'), 2);
  assert.equal(reader.end(), facts);
  assert.equal(facts.incomplete, true);
  const asked = createLlmRequest(api('openai.chat'));
  asked.push(Buffer.from('{"model":"a"}'));
  const first = asked.end();
  asked.push(Buffer.from('{'));
  assert.equal(asked.end(), first);
});

test('of an event that broke off nothing is counted', () => {
  const broken = Buffer.from('data: {"id":"a","usage":{"prompt_tokens":7,\n\n');
  const good = sse([{ id: 'a', usage: { completion_tokens: 5 } }], { done: true });
  const facts = response(api('openai.chat'), [broken, good]);
  assert.deepEqual(facts.usage, { output: 5 });
  assert.equal(facts.incomplete, true);
});

test('an answer under way has not ended', () => {
  const events = [{ type: 'response.created', response: { id: 'r', status: 'in_progress' } }];
  const facts = response(api('openai.responses'), [sse(events, { named: true })]);
  assert.deepEqual(facts.finishReasons, []);
  assert.equal(facts.incomplete, true);
});

test('a stream that was cut is whole only when it said that it was over', () => {
  const ends = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
  assert.equal(response(api('openai.chat'), [sse([ends])], true).incomplete, true);
  assert.equal(response(api('openai.chat'), [sse([ends])]).incomplete, undefined);
  assert.equal(response(api('openai.chat'), [sse([ends], { done: true })], true).incomplete, undefined);
  for (const name of ['Bedrock Converse stream', 'Bedrock Invoke stream, Anthropic', 'Anthropic messages stream']) {
    const fixture = RESPONSES.find((one) => one.name === name);
    assert.ok(fixture);
    assert.equal(response(fixture.api, [fixture.body], true).incomplete, undefined, name);
  }
});

test('of half an Ollama request nobody knows whether it streams', () => {
  assert.equal(request(api('ollama.chat'), [Buffer.from('{"model":"m","mess')]).stream, false);
  assert.equal(request(api('ollama.chat'), [Buffer.from('{"model":"m","stream":false}')]).stream, false);
});
