import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMcpRequest, mayBeMcp } from '../../../src/llm/mcp-request.ts';
import { createMcpResponse } from '../../../src/llm/mcp-response.ts';

const HEAD = {
  method: 'POST',
  path: '/',
  contentType: 'application/json',
  accept: undefined,
  session: undefined,
  protocolVersion: undefined,
};

function asked(body: unknown, cut = 7): unknown {
  const reader = createMcpRequest();
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  for (let i = 0; i < bytes.length; i += cut) reader.push(bytes.subarray(i, i + cut));
  return reader.end();
}

function answered(body: string, id: string | undefined, cut = 5): unknown {
  const reader = createMcpResponse();
  const bytes = Buffer.from(body);
  for (let i = 0; i < bytes.length; i += cut) reader.push(bytes.subarray(i, i + cut));
  return reader.end(id);
}

const call = {
  jsonrpc: '2.0',
  id: 7,
  method: 'tools/call',
  params: { name: 'search', arguments: { name: 'not this', uri: 'nor this' }, _meta: { traceparent: '00-a-b-01' } },
};

test('only what may be a message is read', () => {
  assert.equal(mayBeMcp(HEAD), false);
  assert.equal(mayBeMcp({ ...HEAD, session: 's' }), true);
  assert.equal(mayBeMcp({ ...HEAD, protocolVersion: '2025-06-18' }), true);
  assert.equal(mayBeMcp({ ...HEAD, accept: 'application/json, text/event-stream' }), true);
  assert.equal(mayBeMcp({ ...HEAD, accept: 'text/event-stream' }), false);
  for (const path of ['/mcp', '/x/mcp?a=b', '/messages/?sessionId=1', '/sse'])
    assert.equal(mayBeMcp({ ...HEAD, path }), true, path);
  assert.equal(mayBeMcp({ ...HEAD, path: '/mcpx' }), false);
  assert.equal(mayBeMcp({ ...HEAD, session: 's', method: 'GET' }), false);
  assert.equal(mayBeMcp({ ...HEAD, session: 's', contentType: 'text/plain' }), false);
});

test('a call: its tool, id and context, and none of its arguments', () => {
  assert.deepEqual(asked(call), {
    method: 'tools/call',
    messages: 1,
    requestId: '7',
    tool: 'search',
    traceparent: '00-a-b-01',
  });
});

test('however it is cut, and in a batch the first with a method', () => {
  const batch = [{ jsonrpc: '2.0', id: 1, result: {} }, call, { ...call, id: 8, params: { name: 'other' } }];
  for (const cut of [1, 2, 3, 64, 4096]) {
    assert.deepEqual(asked(batch, cut), {
      method: 'tools/call',
      messages: 3,
      requestId: '7',
      tool: 'search',
      traceparent: '00-a-b-01',
    });
  }
});

test('prompts, resources, notifications, initialize', () => {
  const of = (method: string, params: object, id?: string) =>
    asked({ jsonrpc: '2.0', ...(id && { id }), method, params });
  assert.deepEqual(of('prompts/get', { name: 'greet' }, 'a'), {
    method: 'prompts/get',
    messages: 1,
    requestId: 'a',
    prompt: 'greet',
  });
  assert.deepEqual(of('resources/read', { uri: 'file:///a' }, 'a'), {
    method: 'resources/read',
    messages: 1,
    requestId: 'a',
    resource: 'file:///a',
  });
  assert.deepEqual(of('notifications/initialized', {}), { method: 'notifications/initialized', messages: 1 });
  assert.deepEqual(of('initialize', { clientInfo: { name: 'me' } }, 'a'), {
    method: 'initialize',
    messages: 1,
    requestId: 'a',
    clientName: 'me',
  });
});

test('what is no JSON-RPC 2.0 is no message', () => {
  for (const body of [{ method: 'tools/call' }, { jsonrpc: '1.0', method: 'x' }, [], {}, '"x"', 'no json', '']) {
    assert.equal(asked(body), undefined);
  }
});

test('answers: a result, an error, a tool that failed, as JSON and as events', () => {
  const ok = { jsonrpc: '2.0', id: 7, result: { content: [{ type: 'text', text: '"isError":true' }] } };
  const failed = { jsonrpc: '2.0', id: 7, result: { content: [], isError: true } };
  const error = { jsonrpc: '2.0', id: 7, error: { code: -32602, message: 'no such tool' } };
  const event = (message: object): string => `event: message\ndata: ${JSON.stringify(message)}\n\n`;
  assert.deepEqual(answered(JSON.stringify(ok), '7'), { answered: true });
  assert.deepEqual(answered(JSON.stringify(failed), '7'), { answered: true, toolError: true });
  assert.deepEqual(answered(JSON.stringify(error), '7'), { answered: true, errorCode: -32602 });
  const progress = event({ jsonrpc: '2.0', method: 'notifications/progress', params: {} });
  assert.deepEqual(answered(progress + event({ ...ok, id: 6 }) + event(error), '7'), {
    answered: true,
    errorCode: -32602,
    serverMessages: 1,
  });
  assert.deepEqual(answered(progress, '7'), { answered: false, serverMessages: 1 });
});

test('initialize and tools/list tell who answers and what it offers', () => {
  const info = { protocolVersion: '2025-06-18', serverInfo: { name: 'srv', version: '1.2' }, capabilities: {} };
  assert.deepEqual(answered(JSON.stringify({ jsonrpc: '2.0', id: 'a', result: info }), 'a'), {
    answered: true,
    protocolVersion: '2025-06-18',
    serverName: 'srv',
    serverVersion: '1.2',
  });
  const tools = Array.from({ length: 300 }, (_, i) => ({
    name: `tool${i}`,
    description: 'name',
    inputSchema: { name: 'x' },
  }));
  const told = answered(JSON.stringify({ jsonrpc: '2.0', id: 'a', result: { tools } }), 'a') as { tools: string[] };
  assert.equal(told.tools.length, 256);
  assert.deepEqual(told.tools.slice(0, 2), ['tool0', 'tool1']);
});

test('any bytes: nothing is thrown', () => {
  let seed = 1;
  const next = (): number => (seed = (seed * 48271) % 2147483647);
  const text = JSON.stringify([call, { jsonrpc: '2.0', id: 7, result: { isError: true, tools: [{ name: 'x' }] } }]);
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(text);
    for (let i = 0; i < 3; i++) bytes[next() % bytes.length] = next() & 0xff;
    asked(bytes.toString('latin1'));
    answered(bytes.toString('latin1'), '7');
    answered(`data: ${bytes.toString('latin1')}\n\n`, undefined);
  }
});
