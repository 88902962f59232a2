import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { openRecorded, type Recorded, settled } from '../support/recorded.ts';
import { cleanEnv } from '../support/weir.ts';

const run = promisify(execFile);
const EXAMPLE = join(import.meta.dirname, '../../examples/node-agent');

describe('examples/node-agent', () => {
  let house: Recorded;
  before(async () => {
    house = await openRecorded();
  });
  after(() => house?.close());

  /** As the README says: the variables, then the agent. */
  const agent = (url: string, more: Readonly<Record<string, string>> = {}) => {
    const proxy = house.weir.proxyUrl('researcher');
    const env = cleanEnv({ HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NODE_USE_ENV_PROXY: '1', ...more });
    return run(process.execPath, [join(EXAMPLE, 'agent.mjs'), url], { env, timeout: 20_000 });
  };

  it('its requests are recorded under its name, through the CONNECT fetch makes for http', async () => {
    const { stdout } = await agent('http://plain.test/ok');
    assert.match(stdout, /^GET http:\/\/plain\.test\/ok → 200, 5 characters$/m);
    assert.match(stdout, /^POST \/notes → 200$/m);
    await settled(house.weir);
    const rows = await house.weir.query(
      "SELECT agent, identified_by, method, path, status, visibility, request_bytes, first_seen FROM exchanges WHERE host = 'plain.test' ORDER BY id",
    );
    const common = { agent: 'researcher', identified_by: 'claim', status: 200, visibility: 'plaintext' };
    assert.deepEqual(rows, [
      { ...common, method: 'GET', path: '/ok', request_bytes: 0, first_seen: true },
      { ...common, method: 'POST', path: '/notes', request_bytes: 16, first_seen: false },
    ]);
    await house.otlp.until(
      () => house.spansOf('researcher').filter(({ name }) => name !== 'http.connect').length === 2,
    );
    const spans = house.spansOf('researcher');
    assert.deepEqual(
      spans
        .filter(({ name }) => name !== 'http.connect')
        .map(({ name, attributes }) => [name, attributes['url.full'], attributes['user_agent.original']]),
      [
        ['http.get', 'http://plain.test/ok', 'node'],
        ['http.post', 'http://plain.test/notes', 'node'],
      ],
    );
  });

  it('over https it is tunnelled and trusts the origin, or intercepted and trusts Weir', async () => {
    const { weir, authority } = house;
    const own = join(weir.stateDir, 'origin-ca.pem');
    writeFileSync(own, authority.cert);
    const tunnelled = await agent('https://tunnel.test/ok', { NODE_EXTRA_CA_CERTS: own });
    assert.match(tunnelled.stdout, /POST \/notes → 200/);
    const intercepted = await agent('https://read.test/ok', { NODE_EXTRA_CA_CERTS: weir.caFile });
    assert.match(intercepted.stdout, /POST \/notes → 200/);
    await settled(weir);
    const rows = await weir.query(
      'SELECT host, kind, method, visibility FROM exchanges WHERE port = 443 ORDER BY host, id',
    );
    assert.deepEqual(
      rows.filter((row) => row['host'] === 'read.test'),
      ['GET', 'POST'].map((method) => ({ host: 'read.test', kind: 'exchange', method, visibility: 'intercepted' })),
    );
    const tunnels = rows.filter((row) => row['host'] === 'tunnel.test');
    assert.ok(tunnels.length >= 1);
    for (const row of tunnels) assert.deepEqual([row['kind'], row['visibility']], ['tunnel', 'tunnel']);
  });

  it('the commands of its README work', async () => {
    const readme = readFileSync(join(EXAMPLE, 'README.md'), 'utf8');
    const commands = [...readme.matchAll(/^npm run -s weir -- (.+?)(?:\s+#.*)?$/gm)].map((match) => match[1] ?? '');
    assert.deepEqual(commands, ['logs', 'baseline show']);
    const logs = await house.weir.cli(['logs']);
    assert.match(logs.stdout, /researcher\s+GET\s+plain\.test:80\/ok\s+200/);
    const baseline = await house.weir.cli(['baseline', 'show']);
    assert.match(baseline.stdout, /researcher: learning/);
    assert.match(baseline.stdout, /plain\.test:80/);
    for (const line of [
      'export HTTP_PROXY=http://researcher:x@',
      'NODE_USE_ENV_PROXY=1',
      'examples/node-agent/agent.mjs',
    ]) {
      assert.ok(readme.includes(line), line);
    }
  });
});
