import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { type Answer, https, plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { echoOrigin } from '../support/echo-origin.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

interface World {
  /** The authority of the upstreams, which agents see in a tunnel. */
  readonly upstreamCa: string;
  config(more?: Record<string, unknown>): Record<string, unknown>;
  close(): Promise<void>;
}

function openWorld(): Promise<World> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const names = ['read.example', 'tunnel.example', 'later.example'];
    const [origin, tls] = await Promise.all([echoOrigin(), echoOrigin({ tls: upstream.authority.issue(names) })]);
    later(origin.close);
    later(tls.close);
    return {
      upstreamCa: upstream.authority.cert,
      config: (more = {}) => ({
        baseline: { ready_after_requests: 5, ready_after_hours: 0 },
        intercept: { only: ['read.example', 'later.example'] },
        upstream: {
          resolve: {
            '*.test': `127.0.0.1:${origin.port}`,
            'pastebin.com': `127.0.0.1:${origin.port}`,
            '*.example': `127.0.0.1:${tls.port}`,
            'dead.test': '127.0.0.1:1',
          },
          ca_file: upstream.caFile,
        },
        ...more,
      }),
    };
  });
}

const AGENT = 'researcher';
const SIBLINGS = ['a.cdn.test', 'b.cdn.test', 'c.cdn.test'];

describe('weir policy suggest: learn, suggest, enforce', () => {
  let world: World;
  let ca: string;
  before(async () => {
    world = await openWorld();
  });
  after(() => world?.close());

  async function start(t: TestContext, stateDir: string, more: Record<string, unknown> = {}): Promise<Weir> {
    const weir = await startWeir({ stateDir, config: world.config(more) });
    t.after(weir.stop);
    ca = await weir.ca();
    return weir;
  }

  const http = (weir: Weir, url: string, method = 'GET'): Promise<Answer> =>
    plain(weir, url, { agent: AGENT, method, ...(method === 'GET' ? {} : { body: '{}' }) });
  const read = (weir: Weir, host: string, method = 'GET'): Promise<Answer> =>
    https(weir, `https://${host}/`, {
      agent: AGENT,
      method,
      ...(method === 'GET' ? {} : { body: '{}' }),
      ca: host === 'tunnel.example' ? world.upstreamCa : ca,
    });

  /** What a working day looks like. */
  async function work(weir: Weir): Promise<Answer[]> {
    const answers: Answer[] = [];
    for (let i = 0; i < 2; i++) {
      answers.push(await http(weir, 'http://api.test/v1', 'POST'));
      for (const host of SIBLINGS) answers.push(await http(weir, `http://${host}/`));
      answers.push(await read(weir, 'read.example'));
      answers.push(await read(weir, 'tunnel.example'));
    }
    return answers;
  }

  async function suggested(weir: Weir, ...more: string[]): Promise<string> {
    const { stdout, stderr, code } = await weir.cli(['policy', 'suggest', '--agent', AGENT, ...more]);
    assert.deepEqual([code, stderr], [0, '']);
    return stdout;
  }

  it('what was learned passes in enforce, something else does not', async (t) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'weir-suggest-'));
    t.after(() => rm(stateDir, { recursive: true, force: true }));
    const first = await start(t, stateDir);
    for (const { status } of await work(first)) assert.equal(status, 200);
    await http(first, 'http://once.test/');
    await http(first, 'http://dead.test/');
    await http(first, 'http://pastebin.com/');
    await http(first, 'http://noise.test/');
    await http(first, 'http://noise.test/');
    await first.cli(['baseline', 'ignore', AGENT, 'noise.test:80']);
    await eventually(
      async () =>
        Number((await first.query("SELECT count(*)::INT AS n FROM exchanges WHERE state = 'closed'"))[0]?.['n']) >= 17,
      'every row is written',
    );
    const text = await suggested(first);
    assert.deepEqual(parse(text), {
      agents: {
        [AGENT]: {
          allowed_domains: ['POST api.test:80', 'GET *.cdn.test:80', 'GET read.example:443', 'tunnel.example:443'],
        },
      },
    });
    assert.match(text, /^ {2}# researcher: ready, \d+ requests, /m, 'the collector states the baseline');
    assert.match(text, /# - once\.test:80 {2,}# seen once — review; 1 request, first today, last today, GET, /);
    assert.match(text, /# - pastebin\.com:80 {2,}# paste site — review; /);
    assert.match(text, /# - dead\.test:80 {2,}# only failures \(1 time, /);
    assert.doesNotMatch(text.replace(/^ +# Of .*$/m, ''), /noise/);
    assert.match(
      text,
      /# Of 17 exchanges in the last 30 d this list would have stopped 5 \(by host, port and method\)/,
    );
    assert.match(text, /# 2 of them went to destinations that are ignored/);
    await first.stop();

    // Without a collector: the same list from the file, and the next start has it in its configuration.
    assert.deepEqual(parse(await suggested(first)), parse(text));
    const agents = (parse(text) as { agents: Record<string, unknown> }).agents;
    const weir = await start(t, stateDir, { mode: 'enforce', agents });
    for (const { status, body } of await work(weir)) assert.equal(status, 200, body);
    assert.equal((await http(weir, 'http://d.cdn.test/')).status, 200, 'a sibling');
    for (const url of [
      'once.test',
      'evil.test',
      'dead.test',
      'pastebin.com',
      'noise.test',
      'cdn.test',
      'api.test:8080',
    ])
      assert.equal((await http(weir, `http://${url}/`, 'POST')).status, 403, url);
    assert.equal((await http(weir, 'http://api.test/v1')).status, 403, 'a method nobody used');
    assert.equal((await read(weir, 'read.example', 'POST')).status, 403, 'a method nobody used, inside TLS');
    assert.equal((await read(weir, 'later.example')).status, 403, 'a host nobody used, inside TLS');
    assert.equal(
      (await plain(weir, 'http://evil.test/', { agent: 'somebody' })).status,
      200,
      'another agent has no list',
    );
  });

  it('accepting makes a commented line a line', async (t) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'weir-suggest-'));
    t.after(() => rm(stateDir, { recursive: true, force: true }));
    const weir = await start(t, stateDir);
    await http(weir, 'http://pastebin.com/');
    await http(weir, 'http://once.test/');
    assert.equal(parse(await suggested(weir)).agents[AGENT], null, 'nothing is certain');
    for (const host of ['pastebin.com:80', 'once.test:80'])
      assert.equal((await weir.cli(['baseline', 'accept', AGENT, host])).code, 0);
    const text = await suggested(weir);
    const { allowed_domains: allowed } = parse(text).agents[AGENT] as { allowed_domains: string[] };
    assert.deepEqual(
      allowed.map((line) => line.replace('GET ', '')),
      ['once.test:80', 'pastebin.com:80'],
    );
    assert.match(text, /once\.test:80 {2,}# accepted, 1 request, /);
  });
});
