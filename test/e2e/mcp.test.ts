import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { ProxyAgent, fetch as undiciFetch } from 'undici';
import { z } from 'zod';
import { assemble } from '../support/assemble.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const ARGUMENT = 'an argument nobody outside may read';
const RESULT = 'a result nobody outside may read';

function mcpServer(): McpServer {
  const server = new McpServer({ name: 'stand-in', version: '3.1' });
  server.registerTool('search', { description: 'looks', inputSchema: { query: z.string() } }, () => ({
    content: [{ type: 'text', text: RESULT }],
  }));
  server.registerTool('fails', { description: 'never works' }, () => ({
    isError: true,
    content: [{ type: 'text', text: RESULT }],
  }));
  server.registerPrompt('greet', { description: 'greets' }, () => ({
    messages: [{ role: 'user', content: { type: 'text', text: RESULT } }],
  }));
  server.registerResource('doc', 'memo://doc', {}, (uri) => ({ contents: [{ uri: uri.href, text: RESULT }] }));
  return server;
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const part of request) text += String(part);
  return text === '' ? undefined : JSON.parse(text);
}

/** Streamable HTTP on /mcp (answers as events, as the SDK does) and /json (as JSON), the transport of 2024-11-05 on /sse. */
async function openServer() {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  let old: SSEServerTransport | undefined;
  const streamable = async (request: IncomingMessage, response: ServerResponse, json: boolean): Promise<void> => {
    const known = sessions.get(String(request.headers['mcp-session-id']));
    const transport =
      known ??
      new StreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        enableJsonResponse: json,
        onsessioninitialized: (id) => void sessions.set(id, transport),
      });
    if (known === undefined) await mcpServer().connect(transport as never);
    await transport.handleRequest(request, response, await bodyOf(request));
  };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? '/', 'http://mcp.test');
    if (pathname === '/mcp' || pathname === '/json') await streamable(request, response, pathname === '/json');
    else if (pathname === '/sse') {
      old = new SSEServerTransport('/messages', response);
      await mcpServer().connect(old);
    } else await old?.handlePostMessage(request, response, await bodyOf(request));
  };
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe('MCP with the real SDK on both sides', () => {
  let weir: Weir;
  let otlp: OtlpReceiver;
  let close: () => Promise<void>;
  const sessionIds: string[] = [];

  before(async () => {
    const opened = await assemble(async (later) => {
      const origin = await openServer();
      later(origin.close);
      const receiver = await startOtlpReceiver();
      later(receiver.close);
      const started = await startWeir({
        config: {
          upstream: { resolve: { 'mcp.test': `127.0.0.1:${origin.port}` } },
          telemetry: { endpoint: receiver.url },
        },
      });
      later(started.stop);
      return { weir: started, otlp: receiver };
    });
    ({ weir, otlp, close } = opened);
    for (const path of ['/mcp', '/json']) await useAll(path.slice(1), new URL(`http://mcp.test${path}`));
    await useOld();
    await otlp.until(() => otlp.spans.filter(({ name }) => name.startsWith('tools/call')).length >= 6);
  });
  after(() => close?.());

  /** A fetch that goes through Weir under this name. */
  function fetchAs(agent: string) {
    const dispatcher = new ProxyAgent({ uri: weir.proxyUrl(agent), proxyTunnel: false });
    const through = (url: string | URL, init?: RequestInit): Promise<Response> =>
      undiciFetch(url as URL, { ...(init as object), dispatcher }) as unknown as Promise<Response>;
    return { through, end: () => dispatcher.destroy() };
  }

  async function useAll(agent: string, url: URL): Promise<void> {
    const { through, end } = fetchAs(agent);
    const transport = new StreamableHTTPClientTransport(url, { fetch: through });
    const client = new Client({ name: 'weir-test', version: '1.0' });
    await client.connect(transport as never);
    sessionIds.push(transport.sessionId ?? '');
    const { tools } = await client.listTools();
    assert.equal(tools.length, 2);
    const meta = { traceparent: `00-${TRACE}-${PARENT}-01` };
    await client.callTool({ name: 'search', arguments: { query: ARGUMENT }, _meta: meta });
    await client.callTool({ name: 'fails', arguments: {} });
    await client.getPrompt({ name: 'greet' });
    await client.readResource({ uri: 'memo://doc' });
    await client.callTool({ name: 'unknown', arguments: {} }).catch(() => undefined);
    await client.close();
    await end();
  }

  async function useOld(): Promise<void> {
    const { through, end } = fetchAs('old');
    const transport = new SSEClientTransport(new URL('http://mcp.test/sse'), {
      fetch: through,
      eventSourceInit: { fetch: through as never },
    });
    const client = new Client({ name: 'weir-test', version: '1.0' });
    await client.connect(transport);
    await client.callTool({ name: 'search', arguments: { query: ARGUMENT } });
    await client.close();
    await end();
  }

  const spans = (agent: string) => otlp.spans.filter(({ attributes }) => attributes['weir.agent'] === agent);
  const span = (agent: string, name: string) => {
    const found = spans(agent).find((one) => one.name === name);
    assert.ok(
      found !== undefined,
      `${name}: ${spans(agent)
        .map((one) => one.name)
        .join(', ')}`,
    );
    return found;
  };

  for (const agent of ['mcp', 'json']) {
    it(`spans as the conventions name them, answers as ${agent === 'mcp' ? 'events' : 'JSON'}`, () => {
      const initialize = span(agent, 'initialize').attributes;
      assert.equal(initialize['weir.mcp.client'], 'weir-test');
      assert.equal(initialize['weir.mcp.server'], 'stand-in');
      assert.equal(initialize['weir.mcp.server_version'], '3.1');
      assert.deepEqual(span(agent, 'tools/list').attributes['weir.mcp.tools'], ['search', 'fails']);
      const call = span(agent, 'tools/call search');
      assert.equal(call.attributes['mcp.method.name'], 'tools/call');
      assert.equal(call.attributes['gen_ai.tool.name'], 'search');
      assert.equal(call.attributes['gen_ai.operation.name'], 'execute_tool');
      assert.match(String(call.attributes['mcp.protocol.version']), /^20\d\d-\d\d-\d\d$/);
      assert.equal(call.attributes['error.type'], undefined);
      assert.equal(span(agent, 'tools/call fails').attributes['error.type'], 'tool_error');
      assert.equal(span(agent, 'prompts/get greet').attributes['gen_ai.prompt.name'], 'greet');
      assert.equal(span(agent, 'resources/read').attributes['mcp.resource.uri'], 'memo://doc');
    });

    it(`the context inside a message is joined (${agent})`, () => {
      const call = span(agent, 'tools/call search');
      assert.equal(call.traceId, TRACE);
      assert.equal(call.parentSpanId, PARENT);
    });
  }

  it('one session is one hash, and never itself', () => {
    const hashes = new Set(
      spans('mcp')
        .map(({ attributes }) => attributes['mcp.session.id'])
        .filter(Boolean),
    );
    assert.equal(hashes.size, 1);
    assert.ok(sessionIds.every((id) => id.length > 10));
    for (const body of otlp.bodies) for (const id of sessionIds) assert.ok(!body.includes(id));
  });

  it('the transport of 2024-11-05: the request is known, its answer came on another exchange', () => {
    const call = span('old', 'tools/call search').attributes;
    assert.equal(call['weir.mcp.transport'], 'sse');
    assert.equal(call['weir.mcp.unanswered'], true);
  });

  it('arguments and results are nowhere; the inventory has every tool', async () => {
    for (const body of otlp.bodies) assert.ok(!body.includes(ARGUMENT) && !body.includes(RESULT));
    const inventory = (): Promise<Record<string, unknown>[]> =>
      weir.query(
        "SELECT tool, calls::INT AS calls, errors::INT AS errors, listed_at IS NOT NULL AS listed FROM mcp_tools WHERE agent = 'mcp' ORDER BY tool",
      );
    await eventually(async () => (await inventory()).length >= 3, 'the inventory is stored');
    assert.deepEqual(await inventory(), [
      { tool: 'fails', calls: 1, errors: 1, listed: true },
      { tool: 'search', calls: 1, errors: 0, listed: true },
      { tool: 'unknown', calls: 1, errors: 1, listed: false },
    ]);
    const rows = await weir.query(
      "SELECT mcp_tool, mcp_error FROM exchanges WHERE agent = 'json' AND mcp_method = 'tools/call' ORDER BY id",
    );
    assert.deepEqual(rows[0], { mcp_tool: 'search', mcp_error: null });
    assert.equal(rows[1]?.['mcp_error'], 'tool_error');
  });
});
