import assert from 'node:assert/strict';
import { EventStreamReader } from '../../../src/llm/event-stream-reader.ts';
import { createLlmRequest } from '../../../src/llm/request-reader.ts';
import { createLlmResponse } from '../../../src/llm/response-reader.ts';
import { SseReader } from '../../../src/llm/sse-reader.ts';
import type { LlmApi, LlmResponseFacts } from '../../../src/model/llm.ts';
import { awsChunk, awsEvent, CLAUDE_STREAM, REQUESTS, RESPONSES, sse } from '../../unit/llm/fixtures.ts';
import { pick, pieces, type Target } from '../fuzz.ts';

type Told = readonly [what: string, text: string];

/** Pieces of data that were told one after the other are one. */
function joined(told: readonly Told[]): Told[] {
  const out: Told[] = [];
  for (const [what, text] of told) {
    const last = out.at(-1);
    if (what === 'data' && last?.[0] === 'data') out[out.length - 1] = ['data', last[1] + text];
    else out.push([what, text]);
  }
  return out;
}

function serverSentEvents(parts: readonly Buffer[]): Told[] {
  const told: Told[] = [];
  const reader = new SseReader({
    data: (bytes) => told.push(['data', Buffer.from(bytes).toString('latin1')]),
    event: (type, head) => told.push(['event', `${type} ${head}`]),
  });
  for (const part of parts) reader.push(part);
  reader.end();
  return joined(told);
}

function eventStream(parts: readonly Buffer[]): unknown {
  const told: Told[] = [];
  const reader = new EventStreamReader({
    headers: (headers) => told.push(['headers', JSON.stringify([...headers])]),
    payload: (bytes) => told.push(['data', Buffer.from(bytes).toString('latin1')]),
    message: () => told.push(['message', '']),
  });
  for (const part of parts) reader.push(part);
  return [joined(told), reader.broken, !reader.broken && reader.open];
}

function answer(of: LlmApi, parts: readonly Buffer[]): Omit<LlmResponseFacts, 'firstEventAt' | 'firstTokenAt'> {
  const reader = createLlmResponse(of);
  for (const part of parts) reader.push(part, 0);
  const { firstEventAt: _, firstTokenAt: __, ...facts } = reader.end();
  return facts;
}

/** Streams read the same however they come. */
export const targets: readonly Target[] = [
  {
    name: 'sse',
    seeds: () => [
      ...['\n', '\r\n', '\r'].map((eol) => sse(CLAUDE_STREAM, { named: true, done: true, eol })),
      Buffer.from('\ufeffid: 7\nretry: 10\n: words\ndata: a\ndata:b\ndata\n\nevent: x\n\ndata: [DONE]'),
    ],
    check(input, random) {
      assert.deepEqual(serverSentEvents(pieces(input, random)), serverSentEvents([input]));
    },
  },
  {
    name: 'aws-event-stream',
    seeds: () => [
      Buffer.concat([awsEvent('messageStart', { role: 'assistant' }), awsEvent('messageStop', {})]),
      awsChunk({ type: 'message_start' }),
      ...RESPONSES.filter(({ body }) => body[0] === 0).map(({ body }) => body),
    ],
    check(input, random) {
      assert.deepEqual(eventStream(pieces(input, random)), eventStream([input]));
    },
  },
  {
    name: 'llm-responses',
    seeds: () => RESPONSES.map(({ body }) => body),
    check(input, random) {
      const { api } = pick(random, RESPONSES);
      assert.deepEqual(answer(api, pieces(input, random)), answer(api, [input]));
    },
  },
  {
    name: 'llm-requests',
    seeds: () => REQUESTS.map(({ body }) => body),
    check(input, random) {
      const { api } = pick(random, REQUESTS);
      const read = (parts: readonly Buffer[]) => {
        const reader = createLlmRequest(api);
        for (const part of parts) reader.push(part);
        return reader.end();
      };
      assert.deepEqual(read(pieces(input, random)), read([input]));
    },
  },
];
