import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { LogLine } from '../../src/model/admin.ts';
import type { AgentStat } from '../../src/model/record.ts';
import { https, over, plain, throughTls } from '../support/agent.ts';
import { type EchoOrigin, echoOrigin } from '../support/echo-origin.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

const SENTENCE = 'this agent reached a destination it has never connected to';
const UPLOAD = 'x'.repeat(5000);
/** Names of the product's own data files that must resolve to the stand-ins. */
const PLAIN_HOSTS = ['*.test', '*.named.test', 'pastebin.com', 'github.com', 'api.openai.com'];

interface World {
  readonly plainOrigin: EchoOrigin;
  readonly tlsOrigin: EchoOrigin;
  readonly upstreamCa: string;
  config(more?: Record<string, unknown>): Record<string, unknown>;
  close(): Promise<void>;
}

async function openWorld(): Promise<World> {
  const upstream = await openUpstream();
  const names = Array.from({ length: 9 }, (_, i) => [`t${i}.example`, `r${i}.invalid-read.example`]).flat();
  const [plainOrigin, tlsOrigin] = await Promise.all([
    echoOrigin(),
    echoOrigin({ tls: upstream.authority.issue([...names, 'read1.example', 'read2.example', 'read3.example']) }),
  ]);
  const resolve = Object.fromEntries(PLAIN_HOSTS.map((host) => [host, `127.0.0.1:${plainOrigin.port}`]));
  return {
    plainOrigin,
    tlsOrigin,
    upstreamCa: upstream.authority.cert,
    config: (more = {}) => ({
      baseline: { ready_after_requests: 5, ready_after_hours: 0 },
      intercept: { only: ['read1.example', 'read2.example', 'read3.example'] },
      upstream: {
        resolve: { ...resolve, '*.example': `127.0.0.1:${tlsOrigin.port}`, 'refused.test': '127.0.0.1:1' },
        ca_file: upstream.caFile,
      },
      ...more,
    }),
    close: async () => {
      await Promise.all([plainOrigin.close(), tlsOrigin.close()]);
      await upstream.close();
    },
  };
}

/** Five requests to a known host: the sixth finds the baseline ready. */
async function learn(weir: Weir, agent: string, host = 'known.test'): Promise<void> {
  for (let i = 0; i < 5; i++) await plain(weir, `http://${host}/`, { agent });
  await plain(weir, `http://${host}/`, { agent });
}

async function baselineOf(weir: Weir, agent: string): Promise<AgentStat | undefined> {
  const { body } = await weir.admin(`/baselines?agent=${encodeURIComponent(agent)}`);
  return (JSON.parse(body) as AgentStat[])[0];
}

async function hostsOf(weir: Weir, agent: string): Promise<string[]> {
  return ((await baselineOf(weir, agent))?.destinations ?? []).map(({ host, port }) => `${host}:${port}`).sort();
}

async function stateOf(weir: Weir, agent: string): Promise<{ state: string; sentence: string; requests: number }> {
  const { agents } = await weir.status();
  const found = agents.find((one) => one.agent === agent);
  assert.ok(found, `${agent} in status`);
  return found.baseline;
}

const to = (agent: string, host: string) => (line: LogLine) =>
  line.agent === agent && line.destination?.startsWith(`${host}:`) === true;

const isContact = (line: LogLine): boolean => line.message?.startsWith(SENTENCE) === true;

describe('baseline: learning, then first contacts', () => {
  let world: World;
  let otlp: OtlpReceiver;
  let weir: Weir;
  let ca: string;
  before(async () => {
    [world, otlp] = await Promise.all([openWorld(), startOtlpReceiver()]);
    weir = await startWeir({ config: world.config({ telemetry: { endpoint: otlp.url } }) });
    ca = await weir.ca();
  });
  after(async () => {
    await weir?.stop();
    await otlp?.close();
    await world?.close();
  });

  it('while learning a first contact is recorded and silent', async () => {
    await plain(weir, 'http://first.test/', { agent: 'pupil' });
    const [line] = await weir.records('the first contact', to('pupil', 'first.test'));
    assert.deepEqual(line?.rules, ['agent-first-seen'], 'only the new name is news');
    assert.equal((await stateOf(weir, 'pupil')).state, 'learning');
    await otlp.until(({ spans }) => spans.some((span) => span.attributes['server.address'] === 'first.test'));
    const span = otlp.spans.find((one) => one.attributes['server.address'] === 'first.test');
    assert.equal(span?.attributes['weir.destination.first_seen'], true);
    assert.equal(span?.attributes['weir.baseline.state'], 'learning');
    const [row] = await weir.query("SELECT first_seen, baseline_state FROM exchanges WHERE host = 'first.test'");
    assert.deepEqual(row, { first_seen: true, baseline_state: 'learning' });
    assert.match(
      (await stateOf(weir, 'pupil')).sentence,
      /^pupil: learning, 1 request, 1 destination, .*ready after 5 requests and 0 h/,
    );
  });

  it('once ready the sentence stands in span, log event, row and weir logs, once', async () => {
    await learn(weir, 'graduate');
    assert.equal((await stateOf(weir, 'graduate')).state, 'ready');
    await plain(weir, 'http://novel.test/', { agent: 'graduate' });
    await plain(weir, 'http://novel.test/again', { agent: 'graduate' });
    await weir.records('both requests', (line) => to('graduate', 'novel.test')(line) && line.path === '/again');
    await otlp.until(({ spans }) => spans.filter((s) => s.attributes['server.address'] === 'novel.test').length === 2);
    const spans = otlp.spans.filter((one) => one.attributes['server.address'] === 'novel.test');
    assert.deepEqual(
      spans.map((span) => [span.attributes['weir.destination.first_seen'], span.attributes['weir.finding.rules']]),
      [
        [true, ['first-seen']],
        [false, undefined],
      ],
    );
    await otlp.until(({ logs }) => logs.some((log) => log.body === `${SENTENCE} (novel.test)`));
    const events = otlp.logs.filter((log) => log.body === `${SENTENCE} (novel.test)`);
    assert.equal(events.length, 1);
    assert.equal(events[0]?.spanId, spans[0]?.spanId);
    const rows = await weir.query(
      "SELECT e.first_seen, f.rule, f.severity, f.message FROM exchanges e LEFT JOIN findings f ON f.exchange_id = e.id WHERE e.host = 'novel.test' ORDER BY e.started_at",
    );
    assert.deepEqual(rows, [
      { first_seen: true, rule: 'first-seen', severity: 'info', message: `${SENTENCE} (novel.test)` },
      { first_seen: false, rule: null, severity: null, message: null },
    ]);
    const { stdout } = await weir.cli(['logs', '--agent', 'graduate']);
    assert.equal(stdout.split('\n').filter((text) => text.includes(`${SENTENCE} (novel.test)`)).length, 1, stdout);
  });

  it('a first contact is graded by what left: plain HTTP', async () => {
    await learn(weir, 'plainer');
    await plain(weir, 'http://look.test/', { agent: 'plainer' });
    await plain(weir, 'http://upload.test/', { agent: 'plainer', method: 'POST', body: UPLOAD });
    const severity = async (host: string) => (await weir.records(host, to('plainer', host)))[0];
    assert.equal((await severity('look.test'))?.severity, 'info');
    const upload = await severity('upload.test');
    assert.equal(upload?.severity, 'medium');
    assert.equal(upload?.message, `${SENTENCE} (upload.test)`);
  });

  it('a first contact is graded by what left: tunnels', async () => {
    await learn(weir, 'tunneller');
    const ask = { agent: 'tunneller', ca: world.upstreamCa };
    await https(weir, 'https://t1.example/', ask);
    await https(weir, 'https://t2.example/', { ...ask, method: 'POST', body: UPLOAD });
    const [small] = await weir.records('the small tunnel', to('tunneller', 't1.example'));
    assert.deepEqual([small?.kind, small?.severity, small?.message], ['tunnel', 'info', `${SENTENCE} (t1.example)`]);
    const [large] = await weir.records('the upload', to('tunneller', 't2.example'));
    assert.deepEqual([large?.kind, large?.severity], ['tunnel', 'medium']);
    const [row] = await weir.query("SELECT first_seen FROM exchanges WHERE host = 't1.example'");
    assert.deepEqual(row, { first_seen: true });
  });

  it('a first contact is graded by what left: intercepted, on the row of the inner exchange', async () => {
    await learn(weir, 'reader');
    const ask = { agent: 'reader', ca };
    await https(weir, 'https://read1.example/', ask);
    await https(weir, 'https://read2.example/', { ...ask, method: 'POST', body: UPLOAD });
    await weir.records('the small read', (line) => to('reader', 'read1.example')(line) && isContact(line));
    const [upload] = await weir.records(
      'the upload',
      (line) => to('reader', 'read2.example')(line) && line.method === 'POST',
    );
    assert.equal(upload?.severity, 'medium');
    assert.equal(upload?.message, `${SENTENCE} (read2.example)`);
    const rows = await weir.query(
      "SELECT host, first_seen, visibility FROM exchanges WHERE agent = 'reader' AND host LIKE 'read%' ORDER BY host",
    );
    assert.deepEqual(rows, [
      { host: 'read1.example', first_seen: true, visibility: 'intercepted' },
      { host: 'read2.example', first_seen: true, visibility: 'intercepted' },
    ]);
    // The CONNECT said it at once (info); the inner exchange says it again only because it weighs more.
    const told = await weir.query(
      "SELECT count(*)::INT AS n FROM findings WHERE agent = 'reader' AND host = 'read1.example' AND rule = 'first-seen'",
    );
    assert.deepEqual(told, [{ n: 1 }]);
  });

  it('a new port, a new method and a sibling name are lesser news', async () => {
    await learn(weir, 'nosy', 'api.named.test');
    await plain(weir, 'http://api.named.test:8080/', { agent: 'nosy' });
    await plain(weir, 'http://api.named.test/', { agent: 'nosy', method: 'DELETE' });
    await plain(weir, 'http://cdn.named.test/', { agent: 'nosy' });
    const rules = async (what: string, wanted: (line: LogLine) => boolean) =>
      (await weir.records(what, wanted))[0]?.rules;
    assert.deepEqual(await rules('the port', (l) => l.agent === 'nosy' && l.destination === 'api.named.test:8080'), [
      'new-port',
    ]);
    assert.deepEqual(await rules('the method', (l) => l.agent === 'nosy' && l.method === 'DELETE'), ['new-method']);
    const [sibling] = await weir.records('the sibling', to('nosy', 'cdn.named.test'));
    assert.equal(sibling?.message, `${SENTENCE} (cdn.named.test, beside others of named.test)`);
    assert.equal(sibling?.severity, 'info');
  });

  it('what was not answered, failed or refused teaches nothing', async () => {
    await learn(weir, 'unlucky');
    const failed = await plain(weir, 'http://refused.test/', { agent: 'unlucky' });
    assert.equal(failed.status, 502);
    assert.equal((await plain(weir, 'http://broken.test/status/503', { agent: 'unlucky' })).status, 503);
    await weir.records('both', to('unlucky', 'broken.test'));
    assert.deepEqual(await hostsOf(weir, 'unlucky'), ['known.test:80']);
    assert.equal((await plain(weir, 'http://broken.test/', { agent: 'unlucky' })).status, 200);
    await eventually(async () => (await hostsOf(weir, 'unlucky')).includes('broken.test:80'), 'a good answer teaches');
  });

  it('risky categories are flagged while learning and become normal only by accept', async () => {
    await plain(weir, 'http://pastebin.com/', { agent: 'paster' });
    const [line] = await weir.records('the paste', to('paster', 'pastebin.com'));
    assert.ok(line?.rules.includes('risky-destination'), String(line?.rules));
    await learn(weir, 'paster');
    assert.deepEqual(await hostsOf(weir, 'paster'), ['known.test:80']);
    await plain(weir, 'http://pastebin.com/', { agent: 'paster', method: 'POST', body: UPLOAD });
    await weir.records(
      'the upload',
      (l) => to('paster', 'pastebin.com')(l) && l.method === 'POST' && l.severity === 'medium',
    );
    assert.deepEqual(await hostsOf(weir, 'paster'), ['known.test:80']);
    const accepted = await weir.cli(['baseline', 'accept', 'paster', 'pastebin.com:80']);
    assert.equal(accepted.code, 0, accepted.stderr);
    assert.deepEqual(await hostsOf(weir, 'paster'), ['known.test:80', 'pastebin.com:80']);
    await plain(weir, 'http://pastebin.com/accepted', { agent: 'paster' });
    const [calm] = await weir.records('the accepted one', (l) => l.agent === 'paster' && l.path === '/accepted');
    assert.deepEqual(calm?.rules, []);
  });

  it('whose account: tenant and credential fingerprint are in the row, the credential is not', async () => {
    const key = 'sk-test-5f3a9c1e7b2d4860a1b2c3d4e5f60718';
    await plain(weir, 'http://github.com/acme/widgets', { agent: 'owner' });
    for (const path of ['/v1/a', '/v1/b']) {
      await plain(weir, `http://api.openai.com${path}`, { agent: 'owner', fields: { authorization: `Bearer ${key}` } });
    }
    await plain(weir, 'http://api.openai.com/v1/c', {
      agent: 'owner',
      fields: { authorization: 'Bearer another-key-0123456789' },
    });
    await weir.records('the last', (line) => line.path === '/v1/c');
    const rows = await weir.query(
      "SELECT path, tenant, credential_fp FROM exchanges WHERE agent = 'owner' ORDER BY started_at",
    );
    assert.equal(rows[0]?.['tenant'], 'github.com/acme');
    const [a, b, c] = rows.slice(1).map((row) => row['credential_fp']);
    assert.match(String(a), /^[0-9a-f]{8,64}$/);
    assert.equal(a, b);
    assert.notEqual(a, c);
    assert.doesNotMatch(JSON.stringify(rows), /sk-test/);
  });
});

describe('baseline: what people say, and what survives', () => {
  let world: World;
  let stateDir: string;
  before(async () => {
    world = await openWorld();
    stateDir = await mkdtemp(join(tmpdir(), 'weir-base-'));
  });
  after(async () => {
    await rm(stateDir, { recursive: true, force: true });
    await world?.close();
  });

  it('survives a restart: destinations, state, sentence; risky hosts, locked-out hosts and members of a glob as they were', async () => {
    const config = world.config({ agents: { 'task-*': { baseline: 'as-one' }, keeper: {} } });
    const first = await startWeir({ config, stateDir });
    try {
      await learn(first, 'keeper');
      await plain(first, 'http://pastebin.com/', { agent: 'keeper' });
      for (const n of [1, 2, 3]) await plain(first, `http://shared${n}.test/`, { agent: `task-${n}` });
      await learn(first, 'closed');
      assert.equal((await first.cli(['baseline', 'lock', 'closed'])).code, 0);
      await plain(first, 'http://late.test/', { agent: 'closed' });
      await first.records('the last', to('closed', 'late.test'));
      assert.deepEqual(await hostsOf(first, 'task-1'), ['shared1.test:80', 'shared2.test:80', 'shared3.test:80']);
      assert.match((await stateOf(first, 'closed')).sentence, /^closed: locked, 6 requests, 1 destination/);
    } finally {
      await first.stop();
    }
    const second = await startWeir({ config, stateDir });
    try {
      // Asked at once: the answer waits for the stored baseline.
      assert.deepEqual(await hostsOf(second, 'keeper'), ['known.test:80'], 'a paste site is never learned');
      assert.deepEqual(await hostsOf(second, 'closed'), ['known.test:80'], 'locked means locked');
      assert.equal((await stateOf(second, 'closed')).state, 'locked');
      assert.deepEqual(await hostsOf(second, 'task-9'), ['shared1.test:80', 'shared2.test:80', 'shared3.test:80']);
      const keeper = await stateOf(second, 'keeper');
      assert.equal(keeper.state, 'ready');
      assert.match(keeper.sentence, /^keeper: ready, 6 requests, 1 destination, last new one just now$/);
      await plain(second, 'http://known.test/', { agent: 'keeper' });
      await plain(second, 'http://after.test/', { agent: 'keeper' });
      const [line] = await second.records('the new host', to('keeper', 'after.test'));
      assert.equal(line?.message, `${SENTENCE} (after.test)`);
      const old = await second.records('the old host', to('keeper', 'known.test'));
      assert.deepEqual(old.at(-1)?.rules, []);
    } finally {
      await second.stop();
    }
  });

  it('accept, ignore, forget, lock, lock --off, export and import', async () => {
    const weir = await startWeir({ config: world.config() });
    const done = async (...args: string[]): Promise<string> => {
      const { stdout, stderr, code } = await weir.cli(['baseline', ...args]);
      assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
      return stdout;
    };
    try {
      await learn(weir, 'ruled');
      assert.match(
        await done('show', 'ruled'),
        /^ruled: ready, 6 requests, 1 destination[\s\S]*DESTINATION +STATUS[\s\S]*known\.test:80 +learned +6/,
      );
      await done('ignore', 'ruled', 'Noise.TEST:80');
      await plain(weir, 'http://noise.test/', { agent: 'ruled' });
      const [noise] = await weir.records('the ignored host', to('ruled', 'noise.test'));
      assert.deepEqual(noise?.rules, []);
      await done('forget', 'ruled', 'known.test');
      await plain(weir, 'http://known.test/forgotten', { agent: 'ruled' });
      await weir.records(
        'the forgotten host',
        (line) => line.path === '/forgotten' && line.rules.includes('first-seen'),
      );
      await done('lock', 'ruled');
      assert.equal((await stateOf(weir, 'ruled')).state, 'locked');
      await plain(weir, 'http://outside.test/', { agent: 'ruled' });
      await plain(weir, 'http://outside.test/twice', { agent: 'ruled' });
      const [twice] = await weir.records('told again while locked', (line) => line.path === '/twice');
      assert.deepEqual(twice?.rules, ['not-in-baseline']);
      await done('lock', '--off', 'ruled');
      assert.equal((await stateOf(weir, 'ruled')).state, 'ready');

      const file = join(stateDir, 'ruled.json');
      await done('export', 'ruled', file);
      const exported = JSON.parse(await readFile(file, 'utf8')) as AgentStat & { weirBaseline: number };
      assert.deepEqual([exported.weirBaseline, exported.agent], [1, 'ruled']);
      assert.equal(JSON.parse(await done('export', 'ruled')).agent, 'ruled');
      const hour = new Date().getUTCHours();
      const near = (1 << hour) | (1 << ((hour + 23) % 24));
      const read = exported.destinations.filter(({ pathShapes }) => (pathShapes?.length ?? 0) > 0);
      assert.ok(read.length > 0, 'the store knows shapes');
      for (const { hours = 0 } of read) assert.ok(hours !== 0 && (hours & ~near) === 0, String(hours));
      await done('import', 'twin', file);
      await done('import', 'twin', file);
      const own = await baselineOf(weir, 'ruled');
      // What is kept in the store alone is there a moment later.
      const shapes = (stat: AgentStat | undefined) =>
        stat?.destinations.map(({ pathShapes, hours }) => [pathShapes, hours]);
      const twin = await eventually(async () => {
        const found = await baselineOf(weir, 'twin');
        return isDeepStrictEqual(shapes(found), shapes(own)) && found;
      }, 'the shapes are stored');
      assert.deepEqual(twin?.destinations, own?.destinations, 'imported twice is imported once');
      const stored = await weir.query(
        "SELECT host, status, count::INT AS count FROM destinations WHERE agent = 'twin' ORDER BY host",
      );
      assert.deepEqual(
        stored,
        (twin?.destinations ?? [])
          .map(({ host, status, count }) => ({ host, status, count }))
          .sort((a, b) => (a.host < b.host ? -1 : 1)),
      );
      await done('forget', 'twin');
      assert.equal(await baselineOf(weir, 'twin'), undefined);
      const audit = await weir.query("SELECT rule, agent FROM audit WHERE agent = 'ruled' ORDER BY occurred_at");
      assert.deepEqual(
        audit.map((row) => row['rule']),
        ['baseline-ignore', 'baseline-forget', 'baseline-lock', 'baseline-unlock'],
      );
      const nobody = await weir.cli(['baseline', 'export', 'nobody']);
      assert.deepEqual(
        [nobody.code, nobody.stderr],
        [1, 'weir: nothing is learned of nobody. Who is known: weir status\n'],
      );
    } finally {
      await weir.stop();
    }
  });

  it('seed: a new pod starts with what the file says, in memory and in the store', async () => {
    const seed = join(stateDir, 'seed.json');
    const day = 86_400_000;
    const at = Date.now() - 10 * day;
    const destinations = ['one.test', 'two.test'].map((host) => ({
      host,
      port: 80,
      firstSeen: at,
      lastSeen: at + day,
      count: 300,
      requestBytes: 0,
      responseBytes: 0,
      methods: ['GET'],
      status: 'learned',
    }));
    await writeFile(
      seed,
      JSON.stringify({ weirBaseline: 1, agent: 'pod', exportedAt: '2026-01-01T00:00:00Z', destinations }),
    );
    const podState = await mkdtemp(join(tmpdir(), 'weir-pod-'));
    const config = world.config({ baseline: { ready_after_requests: 200, ready_after_hours: 24, seed } });
    const first = await startWeir({ config, stateDir: podState });
    let before: AgentStat | undefined;
    try {
      await eventually(async () => (await hostsOf(first, 'pod')).length === 2, 'the seed is taken');
      await plain(first, 'http://one.test/', { agent: 'pod' });
      await plain(first, 'http://strange.test/', { agent: 'pod' });
      const [known] = await first.records('the seeded host', to('pod', 'one.test'));
      assert.equal(known?.rules.includes('first-seen'), false);
      const [strange] = await first.records('the strange host', to('pod', 'strange.test'));
      assert.ok(strange?.rules.includes('first-seen'), 'a seeded agent is no newborn');
      assert.equal((await stateOf(first, 'pod')).state, 'ready');
      await first.cli(['baseline', 'forget', 'pod', 'two.test']);
      before = await baselineOf(first, 'pod');
      const rows = await first.query("SELECT host, status FROM destinations WHERE agent = 'pod' ORDER BY host");
      assert.deepEqual(rows, [
        { host: 'one.test', status: 'accepted' },
        { host: 'strange.test', status: 'learned' },
      ]);
    } finally {
      await first.stop();
    }
    const second = await startWeir({ config, stateDir: podState });
    try {
      await eventually(async () => (await hostsOf(second, 'pod')).length > 0, 'the stored baseline is loaded');
      assert.deepEqual(
        await baselineOf(second, 'pod'),
        before,
        'memory and store agree; a forgotten seed stays forgotten',
      );
    } finally {
      await second.stop();
      await rm(podState, { recursive: true, force: true });
    }
  });

  it('more than twenty first contacts an hour become one finding with the list', async () => {
    const digestState = await mkdtemp(join(tmpdir(), 'weir-digest-'));
    const weir = await startWeir({ config: world.config(), stateDir: digestState });
    try {
      await learn(weir, 'busy');
      for (let i = 0; i < 25; i++) await plain(weir, `http://n${i}.test/`, { agent: 'busy' });
      const lines = await weir.records('the last one', to('busy', 'n24.test'));
      assert.deepEqual(lines[0]?.rules, []);
      await weir.stop();
      const { stdout } = await weir.cli([
        'query',
        '--json',
        "SELECT rule, severity, message FROM findings WHERE agent = 'busy' AND rule LIKE 'first-seen%' ORDER BY occurred_at",
      ]);
      const told = JSON.parse(stdout) as { rule: string; severity: string; message: string }[];
      assert.equal(told.filter(({ rule }) => rule === 'first-seen').length, 20);
      const digest = told.filter(({ rule }) => rule === 'first-seen-digest');
      assert.equal(digest.length, 1);
      assert.match(
        String(digest[0]?.message),
        /reached 5 more destinations .* \(n20\.test, n21\.test, n22\.test, n23\.test, n24\.test\)$/,
      );
    } finally {
      await weir.stop();
      await rm(digestState, { recursive: true, force: true });
    }
  });

  it('destinations_per_agent bounds memory and store; beyond it is a flood, counted by domain', async () => {
    const weir = await startWeir({ config: world.config({ limits: { destinations_per_agent: 4 } }) });
    try {
      for (let i = 0; i < 8; i++) await plain(weir, `http://x${i}.named.test/`, { agent: 'flooder' });
      const lines = await weir.records(
        'the flood',
        (line) => line.agent === 'flooder' && line.rules.includes('destination-flood'),
      );
      assert.equal(lines.length, 1, 'told once an hour');
      await weir.records('the last one', to('flooder', 'x7.named.test'));
      assert.equal((await hostsOf(weir, 'flooder')).length, 4);
      const rows = await weir.query("SELECT count(*)::INT AS n FROM destinations WHERE agent = 'flooder'");
      assert.deepEqual(rows, [{ n: 4 }]);
    } finally {
      await weir.stop();
    }
  });

  it('on_unknown: block refuses in enforce what is not in the baseline, and it teaches nothing', async () => {
    const weir = await startWeir({
      config: world.config({
        mode: 'enforce',
        agents: { strict: {} },
        baseline: { ready_after_requests: 5, ready_after_hours: 0, on_unknown: 'block' },
      }),
    });
    try {
      await learn(weir, 'strict');
      for (let i = 0; i < 2; i++) {
        const refused = await plain(weir, 'http://unknown.test/', { agent: 'strict' });
        assert.equal(refused.status, 403);
        assert.equal(refused.headers['x-strathon-block-reason'], 'baseline');
      }
      assert.deepEqual(await hostsOf(weir, 'strict'), ['known.test:80']);
      assert.equal((await weir.cli(['baseline', 'accept', 'strict', 'unknown.test:80'])).code, 0);
      assert.equal((await plain(weir, 'http://unknown.test/', { agent: 'strict' })).status, 200);
    } finally {
      await weir.stop();
    }
  });
});

describe('baseline: first contacts in one tunnel', () => {
  it('keep-alive inside an intercepted CONNECT: one row is first_seen', async () => {
    const world = await openWorld();
    const weir = await startWeir({ config: world.config() });
    try {
      await learn(weir, 'alive');
      const socket = await throughTls(weir, 'read3.example', { agent: 'alive', ca: await weir.ca() });
      socket.setKeepAlive(true);
      for (const path of ['/a', '/b'])
        await over(socket, 'read3.example', path, { fields: { connection: 'keep-alive' } });
      socket.destroy();
      await weir.records('the second', (line) => line.path === '/b');
      const rows = await weir.query(
        "SELECT path, first_seen FROM exchanges WHERE host = 'read3.example' ORDER BY started_at",
      );
      assert.deepEqual(rows, [
        { path: '/a', first_seen: true },
        { path: '/b', first_seen: false },
      ]);
    } finally {
      await weir.stop();
      await world.close();
    }
  });
});
