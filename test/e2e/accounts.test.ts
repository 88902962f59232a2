import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { LogLine } from '../../src/model/admin.ts';
import type { AgentStat } from '../../src/model/record.ts';
import { type Answer, plain } from '../support/agent.ts';
import { type EchoOrigin, echoOrigin } from '../support/echo-origin.ts';
import { startOtlpReceiver } from '../support/otlp-receiver.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';

/** Static keys of an issuer's form, put together here so that no scanner takes this file for a leak. */
const keyOf = (letter: string): string => ['sk', 'test', letter.repeat(40)].join('-');
const OWN = keyOf('a');
const FOREIGN = keyOf('b');
const API = 'api.openai.com';
const FOREIGN_KEY = (agent: string): string => `${agent} used a credential it has never used with ${API}`;

let origin: EchoOrigin;
before(async () => {
  origin = await echoOrigin();
});
after(() => origin?.close());

function config(more: Record<string, unknown> = {}): Record<string, unknown> {
  const hosts = [API, 'github.com', 'api.github.com', 'storage.googleapis.com', '*.test'];
  return {
    baseline: { ready_after_requests: 5, ready_after_hours: 0 },
    upstream: { resolve: Object.fromEntries(hosts.map((host) => [host, `127.0.0.1:${origin.port}`])) },
    ...more,
  };
}

async function stateDirOf(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'weir-accounts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function start(t: TestContext, stateDir: string, more: Record<string, unknown> = {}): Promise<Weir> {
  const weir = await startWeir({ stateDir, config: config(more) });
  t.after(weir.stop);
  return weir;
}

/** One request with a key; resolves with its line of `weir logs`. */
async function ask(weir: Weir, agent: string, path: string, key: string, host = API): Promise<LogLine> {
  const fields = { authorization: `Bearer ${key}` };
  const answer = await plain(weir, `http://${host}${path}`, { agent, method: 'POST', body: '{}', fields });
  assert.equal(answer.status, 200);
  const [line] = await weir.records(path, (one) => one.agent === agent && one.path === path);
  assert.ok(line);
  return line;
}

/** The request of a push that carries the objects, as git sends it (gitprotocol-http). */
function push(weir: Weir, agent: string, repository: string, service = 'receive'): Promise<Answer> {
  return plain(weir, `http://github.com/${repository}.git/git-${service}-pack`, {
    agent,
    method: 'POST',
    body: '0000',
    fields: { 'content-type': `application/x-git-${service}-pack-request` },
  });
}

const pushed = (weir: Weir, agent: string, repository: string): Promise<LogLine[]> =>
  weir.records(repository, (line) => line.agent === agent && line.path?.startsWith(`/${repository}.git/`) === true);

async function learn(weir: Weir, agent: string): Promise<void> {
  for (let i = 0; i < 6; i++) await ask(weir, agent, `/v1/learn/${i}`, OWN);
}

async function baselineOf(weir: Weir, agent: string): Promise<AgentStat | undefined> {
  const { body } = await weir.admin(`/baselines?agent=${agent}`);
  return (JSON.parse(body) as AgentStat[])[0];
}

const loaded = (weir: Weir, agent: string): Promise<boolean> =>
  eventually(async () => (await baselineOf(weir, agent)) !== undefined, 'the stored baseline is loaded');

async function done(weir: Weir, ...args: string[]): Promise<string> {
  const { stdout, stderr, code } = await weir.cli(args);
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  return stdout;
}

describe('whose account, across restarts', () => {
  for (const end of ['SIGTERM', 'SIGKILL'] as const) {
    it(`a foreign key on a known host is a finding after ${end}, the own key is none`, async (t) => {
      const stateDir = await stateDirOf(t);
      const otlp = await startOtlpReceiver();
      t.after(otlp.close);
      const first = await start(t, stateDir);
      await learn(first, 'researcher');
      first.kill(end);
      await first.exited;

      const weir = await start(t, stateDir, { telemetry: { endpoint: otlp.url } });
      await loaded(weir, 'researcher');
      assert.deepEqual((await ask(weir, 'researcher', '/v1/own', OWN)).rules, []);
      const line = await ask(weir, 'researcher', '/v1/foreign', FOREIGN);
      assert.deepEqual(
        [line.rules, line.severity, line.message],
        [['credential-first-seen'], 'medium', FOREIGN_KEY('researcher')],
      );
      assert.ok((await done(weir, 'logs', '--agent', 'researcher')).includes(FOREIGN_KEY('researcher')));
      const rows = await weir.query(
        "SELECT e.path, f.rule, f.message FROM exchanges e JOIN findings f ON f.exchange_id = e.id WHERE f.inspector = 'account'",
      );
      assert.deepEqual(rows, [
        { path: '/v1/foreign', rule: 'credential-first-seen', message: FOREIGN_KEY('researcher') },
      ]);
      const span = (path: string) => otlp.spans.find((one) => String(one.attributes['url.full']).endsWith(path));
      await otlp.until(() => span('/v1/foreign') !== undefined && span('/v1/own') !== undefined);
      assert.deepEqual(span('/v1/foreign')?.attributes['weir.finding.rules'], ['credential-first-seen']);
      assert.equal(span('/v1/own')?.attributes['weir.finding.rules'], undefined);

      // What is stored of both is their fingerprint; seven exchanges taught the own one, whatever ended the first process.
      const stored = await weir.query(
        "SELECT place, kind, count::INT AS count, value FROM accounts WHERE agent = 'researcher' ORDER BY first_seen",
      );
      assert.deepEqual(
        stored.map((row) => [row['place'], row['kind'], row['count']]),
        [
          [API, 'credential', 7],
          [API, 'credential', 1],
        ],
      );
      for (const row of stored) assert.match(String(row['value']), /^[0-9a-f]{16}$/);
    });
  }

  it('a push to a foreign owner on a known host is a finding, a fetch from there is none', async (t) => {
    const stateDir = await stateDirOf(t);
    // No path is kept: what is learned must not depend on it.
    const first = await start(t, stateDir, { telemetry: { endpoint: 'none', url: 'host' } });
    for (let i = 0; i < 6; i++) await push(first, 'coder', `acme/widgets-${i}`);
    await push(first, 'coder', 'evil-org/tools', 'upload');
    const count = "SELECT count(*)::INT AS n FROM exchanges WHERE agent = 'coder'";
    await eventually(async () => (await first.query(count))[0]?.['n'] === 7, 'all are stored');
    const written = await first.query("SELECT place, value, count::INT AS n FROM accounts WHERE kind = 'tenant'");
    assert.deepEqual(written, [{ place: 'github.com', value: 'github.com/acme', n: 6 }]);
    await first.stop();

    const weir = await start(t, stateDir);
    await loaded(weir, 'coder');
    await push(weir, 'coder', 'acme/more');
    assert.deepEqual((await pushed(weir, 'coder', 'acme/more'))[0]?.rules, []);
    await push(weir, 'coder', 'evil-org/tools', 'upload');
    assert.deepEqual((await pushed(weir, 'coder', 'evil-org/tools'))[0]?.rules, []);
    await push(weir, 'coder', 'evil-org/loot');
    const [line] = await pushed(weir, 'coder', 'evil-org/loot');
    assert.deepEqual(
      [line?.rules, line?.message],
      [['tenant-first-seen'], 'coder wrote to github.com/evil-org, it has only written to github.com/acme'],
    );
    const shown = await done(weir, 'baseline', 'show', 'coder');
    assert.match(shown, /^writes at github\.com to: github\.com\/acme, github\.com\/evil-org$/m);
  });

  it('accept of the host makes an announced rotation quiet, once, and after a restart', async (t) => {
    const stateDir = await stateDirOf(t);
    const first = await start(t, stateDir);
    await learn(first, 'rotating');
    await done(first, 'baseline', 'accept', 'rotating', API);
    assert.deepEqual((await ask(first, 'rotating', '/v1/rotated', FOREIGN)).rules, []);
    assert.deepEqual((await ask(first, 'rotating', '/v1/third', keyOf('c'))).rules, ['credential-first-seen']);
    await first.stop();
    const weir = await start(t, stateDir);
    await loaded(weir, 'rotating');
    assert.deepEqual((await ask(weir, 'rotating', '/v1/again', FOREIGN)).rules, []);
  });

  it('accept of what was reported holds after a restart, also when it had taught nothing', async (t) => {
    const stateDir = await stateDirOf(t);
    const first = await start(t, stateDir);
    await learn(first, 'failing');
    // An answer of 503 teaches nothing.
    const failing = { agent: 'failing', fields: { authorization: `Bearer ${FOREIGN}` } };
    assert.equal((await plain(first, `http://${API}/status/503`, failing)).status, 503);
    const [line] = await first.records('the failure', (one) => one.path === '/status/503');
    assert.ok(line?.rules.includes('credential-first-seen'), String(line?.rules));
    await done(first, 'baseline', 'accept', 'failing', API);
    first.kill('SIGTERM');
    await first.exited;
    const weir = await start(t, stateDir);
    await loaded(weir, 'failing');
    assert.deepEqual((await ask(weir, 'failing', '/v1/accepted', FOREIGN)).rules, []);
  });

  it('OAuth tokens that change every hour raise nothing, before and after a restart', async (t) => {
    const stateDir = await stateDirOf(t);
    const host = 'storage.googleapis.com';
    const token = (hour: number): string => `${'ya'}29.${`hour${hour}`.repeat(12)}`;
    const first = await start(t, stateDir);
    for (let hour = 0; hour < 8; hour++) {
      const line = await ask(first, 'hourly', `/v1/hour/${hour}`, token(hour), host);
      assert.deepEqual(
        line.rules.filter((rule) => rule.startsWith('credential')),
        [],
      );
    }
    await first.stop();
    const weir = await start(t, stateDir);
    await loaded(weir, 'hourly');
    for (let hour = 8; hour < 12; hour++) {
      assert.deepEqual((await ask(weir, 'hourly', `/v1/hour/${hour}`, token(hour), host)).rules, []);
    }
    const held = "SELECT count(*)::INT AS n FROM accounts WHERE kind = 'credential'";
    assert.deepEqual(await weir.query(held), [{ n: 0 }]);
  });
});

describe('whose account, in the hands of people', () => {
  it('show, export, import here and elsewhere, forget and purge', async (t) => {
    const [here, elsewhere] = await Promise.all([stateDirOf(t), stateDirOf(t)]);
    const weir = await start(t, here);
    await learn(weir, 'ruled');
    await push(weir, 'ruled', 'acme/widgets');
    await pushed(weir, 'ruled', 'acme/widgets');
    const shown = await done(weir, 'baseline', 'show', 'ruled');
    assert.match(shown, /KEYS$/m);
    assert.match(shown, /^api\.openai\.com:80 .* 1$/m);
    assert.match(shown, /^writes at github\.com to: github\.com\/acme$/m);
    const file = join(here, 'ruled.json');
    await done(weir, 'baseline', 'export', 'ruled', file);
    assert.doesNotMatch(await readFile(file, 'utf8'), /sk-test/);

    const seeded = await start(t, elsewhere, {
      baseline: { ready_after_requests: 5, ready_after_hours: 0, seed: file },
    });
    await loaded(seeded, 'ruled');
    assert.match(await done(seeded, 'baseline', 'show', 'ruled'), /^writes at github\.com to: github\.com\/acme$/m);
    const held = "SELECT kind, value FROM accounts WHERE agent = 'ruled'";
    await eventually(async () => (await seeded.query(held)).length > 0, 'the seed is stored');
    assert.deepEqual(await seeded.query(held), [{ kind: 'tenant', value: 'github.com/acme' }]);
    await done(seeded, 'baseline', 'forget', 'ruled');
    await seeded.stop();

    await done(weir, 'baseline', 'import', 'twin', file);
    const places = "SELECT kind, place FROM accounts WHERE agent = 'twin' ORDER BY kind, place";
    const both = [
      { kind: 'credential', place: API },
      { kind: 'tenant', place: 'github.com' },
    ];
    assert.deepEqual(await weir.query(places), both);
    await ask(weir, 'twin', '/v1/twin/first', OWN);
    assert.deepEqual((await ask(weir, 'twin', '/v1/twin/foreign', FOREIGN)).rules, ['credential-first-seen']);

    await done(weir, 'baseline', 'forget', 'twin', API);
    assert.deepEqual(await weir.query(places), [both[1]]);
    await done(weir, 'purge', '--host', 'github.com', '--yes');
    assert.deepEqual(await weir.query(places), []);
    assert.deepEqual(await weir.query("SELECT kind FROM accounts WHERE agent = 'ruled'"), [{ kind: 'credential' }]);
    await done(weir, 'baseline', 'forget', 'ruled');
    assert.deepEqual(await weir.query('SELECT * FROM accounts'), []);

    // Fingerprints are keyed per state directory: there the own key has another one, and would look foreign.
    const other = await start(t, elsewhere);
    const said = await done(other, 'baseline', 'import', 'ruled', file);
    assert.match(said, /the credentials in it were learned elsewhere/);
    assert.deepEqual(await other.query('SELECT kind, value FROM accounts'), [
      { kind: 'tenant', value: 'github.com/acme' },
    ]);
    assert.deepEqual((await ask(other, 'ruled', '/v1/elsewhere', OWN)).rules.includes('credential-first-seen'), false);

    const bad = join(here, 'bad.json');
    const document = JSON.parse(await readFile(file, 'utf8')) as AgentStat;
    await writeFile(bad, JSON.stringify({ ...document, accounts: [{ kind: 'credential', place: '' }] }));
    const refused = await other.cli(['baseline', 'import', 'ruled', bad]);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /account 1 of the exported baseline has no kind, place and value/);
  });
});
