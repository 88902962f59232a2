import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { assemble } from '../support/assemble.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { cleanEnv, startWeir, type Weir } from '../support/weir.ts';

const run = promisify(execFile);
const EXAMPLES = join(import.meta.dirname, '../../examples');
const PYTHON = process.env['WEIR_TEST_PYTHON'] ?? 'python3';

/** Why a Python example cannot run here; false = it can. */
function without(...modules: string[]): string | false {
  try {
    execFileSync(PYTHON, ['-c', modules.map((name) => `import ${name}`).join('\n')], {
      stdio: 'ignore',
      timeout: 60_000,
    });
    return false;
  } catch {
    return `${PYTHON} has no ${modules.join(' and ')} (.ci/python.txt)`;
  }
}

/** Wants the tool first, answers when it has the page. */
async function model(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let text = '';
  for await (const part of request) text += String(part);
  const { messages, model: name } = JSON.parse(text) as {
    messages: { role: string; content?: unknown }[];
    model: string;
  };
  const page = messages.find(({ role }) => role === 'tool');
  const call = {
    id: 'call_1',
    type: 'function',
    function: { name: 'fetch', arguments: '{"url":"http://pages.test/page"}' },
  };
  const message =
    page === undefined
      ? { role: 'assistant', content: null, tool_calls: [call] }
      : { role: 'assistant', content: `It says: ${String(page.content)}` };
  const finish = page === undefined ? 'tool_calls' : 'stop';
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(
    JSON.stringify({
      id: 'chatcmpl-example',
      object: 'chat.completion',
      created: 1_770_000_000,
      model: name,
      choices: [{ index: 0, message, finish_reason: finish, logprobs: null }],
      usage: { prompt_tokens: 40, completion_tokens: 9, total_tokens: 49 },
    }),
  );
}

describe('examples: agents through a collector', () => {
  let weir: Weir;
  let otlp: OtlpReceiver;
  let close: () => Promise<void>;

  before(async () => {
    const opened = await assemble(async (later) => {
      const origin = createServer((request, response) => {
        if (request.method === 'POST')
          model(request, response).catch((error: unknown) => response.destroy(error as Error));
        else response.end('a low barrier');
      });
      await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
      later(async () => void origin.close());
      const receiver = await startOtlpReceiver();
      later(receiver.close);
      const target = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
      const started = await startWeir({
        config: {
          upstream: { resolve: { 'api.openai.com': target, 'pages.test': target } },
          telemetry: { endpoint: receiver.url },
        },
      });
      later(started.stop);
      return { weir: started, otlp: receiver };
    });
    ({ weir, otlp, close } = opened);
  });
  after(() => close?.());

  const environment = (agent: string, more: Record<string, string> = {}): Record<string, string> => {
    const proxy = weir.proxyUrl(agent);
    return cleanEnv({
      HTTP_PROXY: proxy,
      HTTPS_PROXY: proxy,
      NODE_USE_ENV_PROXY: '1',
      NO_PROXY: '127.0.0.1,localhost,::1',
      ...more,
    });
  };
  const attributes = (agent: string) =>
    otlp.spans.map((span) => span.attributes).filter((all) => all['weir.agent'] === agent);

  async function asksAndFetches(directory: string, agent: string): Promise<void> {
    const { stdout, stderr } = await run(PYTHON, [join(EXAMPLES, directory, 'agent.py'), 'What does it say?'], {
      env: environment(agent, {
        OPENAI_BASE_URL: 'http://api.openai.com/v1',
        OPENAI_API_KEY: 'none',
        MODEL: 'gpt-example',
      }),
      timeout: 60_000,
    });
    assert.match(stdout, /^It says: a low barrier$/m);
    assert.match(stderr, /^fetch http:\/\/pages\.test\/page → 200$/m);
    await otlp.until(() => attributes(agent).length >= 3);
    const calls = attributes(agent).filter((all) => all['gen_ai.operation.name'] === 'chat');
    assert.equal(calls.length, 2);
    assert.deepEqual(calls[0]?.['weir.llm.tool_calls'], ['fetch']);
    assert.equal(calls[1]?.['gen_ai.usage.input_tokens'], 40);
    assert.equal(attributes(agent).filter((all) => all['server.address'] === 'pages.test').length, 1);
  }

  it('python-agent', { skip: without('openai', 'requests') }, () => asksAndFetches('python-agent', 'researcher'));

  it('langchain-agent', { skip: without('langchain', 'langchain_openai', 'requests') }, () =>
    asksAndFetches('langchain-agent', 'planner'),
  );

  it('mcp: client and server', async () => {
    const server = spawn(process.execPath, [join(EXAMPLES, 'mcp/server.mjs'), '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const url = await new Promise<string>((resolve, reject) => {
        server.stdout?.once('data', (line: Buffer) => resolve(line.toString().trim()));
        server.once('exit', () => reject(new Error('the server ended')));
      });
      const { NO_PROXY: _, ...env } = environment('assistant');
      const { stdout } = await run(process.execPath, [join(EXAMPLES, 'mcp/client.mjs'), url, 'Lisbon'], {
        env,
        timeout: 30_000,
      });
      assert.equal(stdout, 'tools: forecast\nLisbon: 12 °C, light rain\n');
      await otlp.until(() => otlp.spans.some(({ name }) => name === 'tools/call forecast'));
      const rows = await weir.query("SELECT tool, calls::INT AS calls FROM mcp_tools WHERE agent = 'assistant'");
      assert.deepEqual(rows, [{ tool: 'forecast', calls: 1 }]);
    } finally {
      server.kill('SIGTERM');
    }
  });

  it('otel-agent: Weir’s span is a child of the agent’s, in one trace', async () => {
    const { stdout } = await run(process.execPath, [join(EXAMPLES, 'otel-agent/agent.mjs'), 'http://pages.test/page'], {
      env: environment('traced', {
        OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
        OTEL_METRICS_EXPORTER: 'none',
        OTEL_LOGS_EXPORTER: 'none',
      }),
      timeout: 30_000,
    });
    const traceId = /^200 in trace ([0-9a-f]{32})$/m.exec(stdout)?.[1];
    assert.ok(traceId !== undefined, stdout);
    await otlp.until(() => otlp.spans.filter((span) => span.traceId === traceId).length >= 3);
    const trace = otlp.spans.filter((span) => span.traceId === traceId);
    const own = trace.find(({ attributes: all }) => all['weir.agent'] === 'traced' && all['url.full'] !== undefined);
    const fetched = trace.find(({ name }) => name === 'fetch');
    assert.equal(own?.parentSpanId, fetched?.spanId);
    assert.equal(own?.name, 'http.get');
  });
});
