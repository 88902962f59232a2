import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { stringify } from 'yaml';
import { plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { openAi } from '../support/llm.ts';
import { startWeir, type Weir } from '../support/weir.ts';

const POLICIES = [
  {
    name: 'no-payroll',
    action: 'block',
    priority: 5,
    match_expression: 'attrs["gen_ai.prompt"].contains("payroll")',
    action_config: { message: 'payroll stays here' },
  },
  { name: 'old-model', action: 'block', match_expression: 'attrs["gen_ai.request.model"] == "gpt-old"' },
  { name: 'watch-answers', action: 'alert', match_expression: 'attrs["gen_ai.completion"].contains("barrier")' },
  { name: 'no-embeddings', action: 'block', match_expression: 'attrs["gen_ai.operation.name"] == "embeddings"' },
];

describe('policies on what is said in LLM calls', () => {
  let weir: Weir;
  let close: () => Promise<void>;
  const arrived: string[] = [];

  before(async () => {
    const opened = await assemble(async (later) => {
      const server = createServer((request, response) => {
        arrived.push(String(request.headers['x-case']));
        if (request.headers['content-encoding'] === undefined) void openAi(request, response);
        else request.resume().on('end', () => response.end('{}'));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      later(async () => void server.close());
      const directory = await mkdtemp(join(tmpdir(), 'weir-said-'));
      later(() => rm(directory, { recursive: true, force: true }));
      const file = join(directory, 'policies.yaml');
      writeFileSync(file, stringify({ policies: POLICIES }), { mode: 0o600 });
      const started = await startWeir({
        config: {
          upstream: { resolve: { 'api.openai.com': `127.0.0.1:${(server.address() as AddressInfo).port}` } },
          policies: { files: [file] },
          agents: {
            strict: { mode: 'enforce' },
            blind: { mode: 'enforce', scan: { requests: false, responses: false } },
            watched: {},
          },
        },
      });
      later(started.stop);
      return { weir: started };
    });
    ({ weir, close } = opened);
  });
  after(() => close?.());

  const ask = (
    agent: string,
    name: string,
    text: string,
    more: { model?: string; gzip?: boolean; path?: string } = {},
  ) => {
    const body = Buffer.from(
      JSON.stringify({ model: more.model ?? 'gpt-new', input: text, messages: [{ role: 'user', content: text }] }),
    );
    return plain(weir, `http://api.openai.com/v1/${more.path ?? 'chat/completions'}`, {
      agent,
      method: 'POST',
      body: more.gzip === true ? gzipSync(body) : body,
      fields: {
        'content-type': 'application/json',
        'x-case': name,
        ...(more.gzip === true ? { 'content-encoding': 'gzip' } : {}),
      },
    });
  };

  for (const agent of ['strict', 'blind']) {
    it(`enforce: what is said stops the request before any of it has gone on (${agent})`, async () => {
      const refused = await ask(agent, `${agent}-prompt`, 'sum up the payroll');
      assert.equal(refused.status, 403);
      assert.match(refused.body, /payroll stays here/);
      assert.equal((await ask(agent, `${agent}-gzip`, 'sum up the payroll', { gzip: true })).status, 403);
      assert.equal((await ask(agent, `${agent}-model`, 'hello', { model: 'gpt-old' })).status, 403);
      assert.equal((await ask(agent, `${agent}-operation`, 'hello', { path: 'embeddings' })).status, 403);
      assert.equal((await ask(agent, `${agent}-fine`, 'hello')).status, 200);
      assert.deepEqual(
        arrived.filter((name) => name.startsWith(agent)),
        [`${agent}-fine`],
      );
    });
  }

  it('monitor: the same verdict, forwarded', async () => {
    assert.equal((await ask('watched', 'watched', 'sum up the payroll')).status, 200);
    await weir.records('the closing row', (line) => line.agent === 'watched' && line.status === 200);
    const rows = await weir.query("SELECT verdict, action, would FROM exchanges WHERE agent = 'watched'");
    assert.deepEqual(rows, [{ verdict: 'block', action: 'forward', would: 'block' }]);
  });

  it('what the model answers is known late: an alert is raised, the answer is the agent’s', async () => {
    assert.equal((await ask('strict', 'answer', 'hello')).status, 200);
    const rows = await weir.query("SELECT rules FROM exchanges WHERE agent = 'strict' AND status = 200");
    assert.ok(
      rows.some(({ rules }) => String(rules).includes('watch-answers')),
      JSON.stringify(rows),
    );
  });
});
