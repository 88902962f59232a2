import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type Ask, connectTo, http2Through, https, over, over2, plain, throughTls } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { createAuthority } from '../support/certs.ts';
import { type EchoOrigin, echoOrigin } from '../support/echo-origin.ts';
import { startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

const TOKEN = 'correct-horse-battery';
const VERIFY = 'http://verify.weir.invalid/';

interface World {
  readonly weir: Weir;
  /** Port bound to `bound`. */
  readonly boundPort: number;
  readonly origin: EchoOrigin;
  readonly tls: EchoOrigin;
  readonly ca: string;
  close(): Promise<void>;
}

const AGENTS = {
  researcher: { token: TOKEN },
  bound: {},
  sourced: { sources: ['127.0.0.2/32'] },
  writer: {},
  scribe: {},
  'vault-*': { token: 'glob-token-secret' },
};

function openWorld(more: Record<string, unknown> = {}): Promise<World> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const [origin, tls] = await Promise.all([
      echoOrigin(),
      echoOrigin({ tls: upstream.authority.issue(['*.read.example']) }),
    ]);
    later(origin.close);
    later(tls.close);
    const weir = await startWeir({
      config: {
        listen: ['127.0.0.1:0', { address: '127.0.0.1:0', agent: 'bound' }],
        intercept: { only: ['*.read.example'] },
        upstream: {
          resolve: { '*.test': `127.0.0.1:${origin.port}`, '*.example': `127.0.0.1:${tls.port}` },
          ca_file: upstream.caFile,
        },
        agents: AGENTS,
        ...more,
      },
    });
    later(weir.stop);
    const { listeners } = await weir.status();
    const bound = listeners.find(({ agent }) => agent === 'bound')?.address ?? '';
    return { weir, boundPort: Number(bound.split(':').at(-1)), origin, tls, ca: await weir.ca() };
  });
}

interface Who {
  readonly agent: string;
  readonly identified_by: string;
}

async function who(port: number, ask: Ask): Promise<Who> {
  const answer = await plain({ port }, VERIFY, ask);
  assert.equal(answer.status, 200, answer.body);
  const { agent, identified_by } = JSON.parse(answer.body) as Who;
  return { agent, identified_by };
}

describe('identity: five kinds of evidence', () => {
  let world: World;
  before(async () => {
    world = await openWorld();
  });
  after(() => world?.close());

  it('each alone', async () => {
    const { weir, boundPort } = world;
    const { port } = weir;
    const basic = (text: string) => ({ 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` });
    const cases: [string, number, Ask, Who][] = [
      ['token', port, { agent: 'researcher', password: TOKEN }, { agent: 'researcher', identified_by: 'token' }],
      ['token alone', port, { fields: basic(`:${TOKEN}`) }, { agent: 'researcher', identified_by: 'token' }],
      [
        'bearer',
        port,
        { fields: { 'proxy-authorization': `Bearer ${TOKEN}` } },
        { agent: 'researcher', identified_by: 'token' },
      ],
      [
        'token of a glob',
        port,
        { agent: 'vault-7', password: 'glob-token-secret' },
        { agent: 'vault-7', identified_by: 'token' },
      ],
      ['listener', boundPort, {}, { agent: 'bound', identified_by: 'listener' }],
      ['source', port, { from: '127.0.0.2' }, { agent: 'sourced', identified_by: 'source' }],
      ['claim', port, { agent: 'writer' }, { agent: 'writer', identified_by: 'claim' }],
      ['bare user name', port, { fields: basic('writer') }, { agent: 'writer', identified_by: 'claim' }],
      ['X-Weir-Agent', port, { fields: { 'x-weir-agent': 'writer' } }, { agent: 'writer', identified_by: 'claim' }],
      ['X-Oktsec-Agent', port, { fields: { 'x-oktsec-agent': 'writer' } }, { agent: 'writer', identified_by: 'claim' }],
      ['a name nobody configured', port, { agent: 'newcomer' }, { agent: 'newcomer', identified_by: 'claim' }],
      ['nothing', port, {}, { agent: 'default', identified_by: 'default' }],
      [
        'another scheme',
        port,
        { fields: { 'proxy-authorization': 'Negotiate abc' } },
        { agent: 'default', identified_by: 'default' },
      ],
    ];
    for (const [name, at, ask, expected] of cases) assert.deepEqual(await who(at, ask), expected, name);
  });

  it('together: the strongest decides, on plain requests and on CONNECT, and disagreement is a finding', async () => {
    const auths: [string | undefined, Ask][] = [
      [undefined, {}],
      ['token', { agent: 'researcher', password: TOKEN }],
      ['claim', { agent: 'writer' }],
    ];
    const expected: Record<string, unknown>[] = [];
    let n = 0;
    for (const [auth, ask] of auths) {
      for (const listener of [false, true]) {
        for (const source of [false, true]) {
          for (const header of [undefined, 'x-weir-agent', 'x-oktsec-agent']) {
            const names: [string, string][] = [];
            if (auth === 'token') names.push(['token', 'researcher']);
            if (listener) names.push(['listener', 'bound']);
            if (source) names.push(['source', 'sourced']);
            if (auth === 'claim') names.push(['claim', 'writer']);
            if (header !== undefined) names.push(['claim', 'scribe']);
            const [by, agent] = names[0] ?? ['default', 'default'];
            const conflict = new Set(names.map(([, name]) => name)).size > 1;
            const port = listener ? world.boundPort : world.weir.port;
            const fields = header === undefined ? {} : { [header]: 'scribe' };
            const all = { ...ask, fields, ...(source ? { from: '127.0.0.2' } : {}) };
            const host = `m${n++}.test`;
            assert.equal((await plain({ port }, `http://${host}/plain`, all)).status, 200);
            const { socket, answer } = await connectTo({ port }, `${host}:80`, all);
            assert.equal(answer.status, 200);
            assert.equal((await over(socket, host, '/tunnelled')).status, 200);
            socket.destroy();
            for (const path of ['/plain', '/tunnelled'])
              expected.push({ host, path, agent, identified_by: by, conflict });
          }
        }
      }
    }
    await world.weir.records(
      'the last',
      (line) => line.path === '/tunnelled' && line.destination === `m${n - 1}.test:80`,
    );
    const rows = await world.weir.query(
      "SELECT e.host, e.path, e.agent, e.identified_by FROM exchanges e WHERE e.host LIKE 'm%.test' ORDER BY e.started_at",
    );
    assert.deepEqual(
      rows,
      expected.map(({ conflict: _, ...row }) => row),
    );
    const conflicts = await world.weir.query(
      "SELECT host, count(*)::INT AS n FROM findings WHERE rule = 'identity-conflict' GROUP BY host",
    );
    const told = new Map(conflicts.map((row) => [row['host'], row['n']]));
    for (const { host, conflict } of expected)
      assert.equal(told.get(host), conflict === true ? 2 : undefined, String(host));
  });

  it('a name that has a token is claimed only with it', async () => {
    const { weir } = world;
    for (const ask of [
      { agent: 'researcher' },
      { agent: 'researcher', password: 'wrong-token' },
      { fields: { 'x-weir-agent': 'researcher' } },
      { agent: 'vault-9' },
    ] satisfies Ask[]) {
      const flat = await plain(weir, 'http://ok.test/', ask);
      assert.equal(flat.status, 407, JSON.stringify(ask));
      assert.equal(flat.headers['proxy-authenticate'], 'Basic realm="weir"');
      assert.equal((JSON.parse(flat.body) as { error: string }).error, 'auth-required');
      const { socket, answer } = await connectTo(weir, 'ok.test:443', ask);
      assert.equal(answer.status, 407);
      assert.match(answer.reason, /^Weir: ok\.test: The agent must say who it is/);
      socket.destroy();
      assert.doesNotMatch(flat.body + answer.body, /correct-horse|wrong-token|glob-token/);
    }
    assert.doesNotMatch(weir.logs(), /correct-horse|wrong-token|glob-token/);
    const env = await weir.cli(['env', '--agent', 'researcher']);
    assert.match(env.stderr, /^weir: researcher has a token: put it in the place of the x, before the @\n$/);
    assert.doesNotMatch(env.stdout, /correct-horse/);
  });

  it('evidence is removed on its way, wherever it can be seen', async () => {
    const { weir, origin, tls, ca } = world;
    const fields = { 'x-weir-agent': 'writer', 'X-Oktsec-Agent': 'writer', 'proxy-connection': 'keep-alive' };
    await plain(weir, 'http://clean.test/', { agent: 'writer', fields });
    const { socket } = await connectTo(weir, 'clean.test:80', { agent: 'writer', fields });
    await over(socket, 'clean.test', '/', { fields });
    socket.destroy();
    const inner = { 'x-weir-agent': 'writer', 'x-oktsec-agent': 'writer', 'proxy-authorization': 'Basic d3JpdGVyOng=' };
    await https(weir, 'https://a.read.example/', { agent: 'writer', ca, fields: inner });
    const session = await http2Through(weir, 'b.read.example', { agent: 'writer', ca });
    await over2(session, '/', { fields: inner });
    session.destroy();
    const seen = [...origin.seen, ...tls.seen].filter(({ host }) => /^(clean\.test|[ab]\.read)/.test(host));
    assert.equal(seen.length, 4);
    for (const { headers, host } of seen) {
      const left = Object.keys(headers).filter((name) => /^(proxy-|x-weir-|x-oktsec-)/.test(name));
      assert.deepEqual(left, [], host);
    }
  });

  it('inside a tunnel a request may bring stronger evidence, never weaker', async () => {
    const { weir, ca } = world;
    const claim = { 'x-weir-agent': 'scribe' };
    await https(weir, 'https://c.read.example/anonymous', { ca, fields: claim });
    await https(weir, 'https://c.read.example/claimed', { ca, agent: 'writer', fields: claim });
    await https(weir, 'https://c.read.example/proven', { ca, agent: 'researcher', password: TOKEN, fields: claim });
    await weir.records('the last', (line) => line.path === '/proven');
    const rows = await weir.query(
      "SELECT path, agent, identified_by, rules FROM exchanges WHERE host = 'c.read.example' ORDER BY started_at",
    );
    const conflict = (row: Record<string, unknown>) => (row['rules'] as string[]).includes('identity-conflict');
    assert.deepEqual(
      rows.map((row) => [row['path'], row['agent'], row['identified_by'], conflict(row)]),
      [
        ['/anonymous', 'scribe', 'claim', false],
        ['/claimed', 'writer', 'claim', true],
        ['/proven', 'researcher', 'token', true],
      ],
    );
  });

  it('keep-alive: each request says for itself who it is', async () => {
    const first = await throughTls(world.weir, 'd.read.example', { ca: world.ca });
    for (const name of ['scribe', 'writer']) {
      await over(first, 'd.read.example', `/${name}`, { fields: { 'x-weir-agent': name, connection: 'keep-alive' } });
    }
    first.destroy();
    const lines = await world.weir.records('both', (line) => line.path === '/writer');
    assert.equal(lines[0]?.agent, 'writer');
  });

  it('names that are none become the default agent and a finding', async () => {
    const bad = ['../../x', '__proto__', '-dash', 'a'.repeat(64), 'na me', 'n\u00e4me', '{"a":1}', '..', ':'];
    for (const [i, name] of bad.entries()) {
      const fields = { 'proxy-authorization': `Basic ${Buffer.from(`${name}:x`).toString('base64')}` };
      assert.equal((await plain(world.weir, `http://bad${i}.test/`, { fields })).status, 200, name);
    }
    await world.weir.records('the last', (line) => line.destination === `bad${bad.length - 1}.test:80`);
    const rows = await world.weir.query(
      "SELECT host, agent, rules FROM exchanges WHERE host LIKE 'bad%' ORDER BY started_at",
    );
    for (const [i, row] of rows.entries()) {
      assert.equal(row['agent'], 'default');
      // `::x` has an empty name and a password: no name at all.
      if (bad[i] !== ':')
        assert.ok((row['rules'] as string[]).includes('agent-name-invalid'), `${bad[i]}: ${row['rules']}`);
    }
    for (const name of ['constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
      assert.deepEqual(await who(world.weir.port, { agent: name }), { agent: name, identified_by: 'claim' });
    }
  });

  it('a name nobody configured is told once', async () => {
    for (const path of ['/1', '/2']) await plain(world.weir, `http://ok.test${path}`, { agent: 'stranger' });
    const lines = await world.weir.records('both', (line) => line.agent === 'stranger' && line.path === '/2');
    assert.deepEqual(lines[0]?.rules, []);
    const [first] = await world.weir.records('the first', (line) => line.agent === 'stranger' && line.path === '/1');
    assert.deepEqual(first?.rules, ['agent-first-seen']);
    await plain(world.weir, 'http://ok.test/', { agent: 'vault-1', password: 'glob-token-secret' });
    const [member] = await world.weir.records('a member of a glob', (line) => line.agent === 'vault-1');
    assert.deepEqual(member?.rules, [], 'the glob configured it');
  });
});

describe('identity: limits and demands', () => {
  it('limits.agents: later names are recorded as other', async () => {
    const world = await openWorld({ limits: { agents: 3 } });
    try {
      const names = [];
      for (let i = 0; i < 5; i++) names.push((await who(world.weir.port, { agent: `fresh-${i}` })).agent);
      assert.deepEqual(names, ['fresh-0', 'fresh-1', 'fresh-2', 'other', 'other']);
      assert.equal((await who(world.weir.port, { agent: 'fresh-1' })).agent, 'fresh-1');
      assert.equal((await who(world.weir.port, { agent: 'writer' })).agent, 'writer', 'configured names do not count');
    } finally {
      await world.close();
    }
  });

  it('identify: required wants evidence; in enforce an unknown name has the rules of the default agent', async () => {
    const world = await openWorld({
      identify: 'required',
      mode: 'enforce',
      agents: { default: { blocked_domains: ['no.test'] }, writer: {}, sourced: AGENTS.sourced },
    });
    const { weir } = world;
    try {
      const nobody = await plain(weir, 'http://ok.test/');
      assert.equal(nobody.status, 407);
      const { socket, answer } = await connectTo(weir, 'ok.test:80');
      assert.equal(answer.status, 407);
      socket.destroy();
      assert.equal((await plain(weir, 'http://ok.test/', { from: '127.0.0.2' })).status, 200, 'an address is evidence');
      assert.equal((await plain(weir, 'http://no.test/', { agent: 'writer' })).status, 200);
      assert.equal((await plain(weir, 'http://no.test/', { agent: 'unheard-of' })).status, 403);
      assert.equal((await plain(weir, VERIFY)).status, 200, 'verification is answered to everybody');
    } finally {
      await world.close();
    }
  });

  it('a listener with TLS and client certificates', async () => {
    const authority = createAuthority();
    const server = authority.issue(['localhost', '127.0.0.1']);
    const upstream = await openUpstream();
    const file = async (name: string, text: string): Promise<string> => {
      const path = join(upstream.caFile, '..', name);
      await writeFile(path, text, { mode: 0o600 });
      return path;
    };
    const tls = {
      cert: await file('c.pem', server.cert),
      key: await file('k.pem', server.key),
      client_ca: await file('ca.pem', authority.cert),
    };
    const weir = await startWeir({
      config: { listen: ['127.0.0.1:0', { address: '127.0.0.1:0', agent: 'secured', tls }] },
    });
    try {
      const { listeners } = await weir.status();
      assert.deepEqual(
        listeners.map((one) => one.tls),
        [false, true],
      );
      const port = Number(listeners[1]?.address.split(':').at(-1));
      const ask = async (client: { key?: string; cert?: string }): Promise<string> => {
        const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.cert, ...client });
        socket.on('error', () => undefined);
        await new Promise((resolve) => socket.once('secureConnect', resolve));
        socket.write(`GET ${VERIFY} HTTP/1.1\r\nHost: verify.weir.invalid\r\nConnection: close\r\n\r\n`);
        let text = '';
        socket.on('data', (part: Buffer) => {
          text += part.toString('utf8');
        });
        await new Promise((resolve) => socket.once('close', resolve));
        return text;
      };
      assert.match(await ask(authority.issue(['client'])), /"agent":"secured","identified_by":"listener"/);
      assert.equal(await ask({}), '', 'without a certificate nothing is answered');
    } finally {
      await weir.stop();
      await upstream.close();
    }
  });
});
