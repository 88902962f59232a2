import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Answer, http2Through, over2, throughTls } from '../support/agent.ts';
import { agentOf, MODES, openPolicyWorld, type PolicyWorld } from '../support/policy-world.ts';
import { eventually } from '../support/weir.ts';

const POLICIES = {
  policies: [
    {
      name: 'gone',
      priority: 200,
      match_expression: 'attrs["strathon.http.url"].startsWith("https://gone.read.example")',
      action: 'block',
    },
    {
      name: 'let-health-pass',
      priority: 100,
      action: 'allow',
      match_expression: 'attrs["strathon.http.url"].endsWith("/health")',
    },
    { name: 'no-evil', priority: 50, match_expression: 'attrs["strathon.http.url"].contains("evil")', action: 'block' },
    {
      name: 'no-delete',
      match_expression: 'true',
      applies_to: ['delete'],
      action: 'block',
      action_config: { message: 'Deleting is for people.' },
    },
    { name: 'ask first', match_expression: 'attrs["url.path"].startsWith("/pay")', action: 'require_approval' },
    {
      name: 'ask for tunnels',
      match_expression: 'attrs["server.address"] == "pay-tunnel.tunnel.example"',
      action: 'require_approval',
    },
    {
      name: 'use-search',
      match_expression: 'attrs["url.path"] == "/crawl"',
      action: 'steer',
      action_config: { replacement: 'Use the search tool.' },
    },
    {
      name: 'slowly',
      match_expression: 'attrs["server.address"] == "slow.test"',
      action: 'throttle',
      action_config: { max_calls: 1, window_seconds: 600 },
    },
    { name: 'watch', match_expression: 'attrs["server.address"] == "watched.test"', action: 'alert' },
    { name: 'note', match_expression: 'attrs["server.address"] == "watched.test"', action: 'log' },
    { name: 'maybe', match_expression: 'attrs["server.address"] == "watched.test"', action: 'block', shadow: true },
    { name: 'later', match_expression: 'attrs["gen_ai.completion"].contains("x")', action: 'block' },
    {
      name: 'broken',
      match_expression: 'attrs["server.port"] == 80 && attrs["server.address"] == "broken.test" && no_such',
      action: 'block',
    },
    { name: 'found-risky', match_expression: '"cleartext-upload" in attrs["weir.finding.rules"]', action: 'block' },
    {
      name: 'fresh',
      match_expression: 'attrs["weir.baseline.state"] == "learning" && attrs["url.path"] == "/fresh"',
      action: 'block',
    },
    { name: 'old-tls', match_expression: 'attrs["weir.tls.sni"] == "sni.tunnel.example"', action: 'block' },
  ],
};

interface Case {
  readonly url: string;
  readonly method?: string;
  readonly body?: string;
  /** Name Strathon's `error` has; absent = forwarded. */
  readonly by?: string;
  readonly header?: string;
  readonly action?: string;
}

/** What the policies say, whatever the mode. */
const CASES: readonly Case[] = [
  { url: 'http://ok.test/' },
  { url: 'http://evil.test/', by: 'no-evil' },
  { url: 'http://evil.test/health' },
  { url: 'http://ok.test/?q=evil', by: 'no-evil' },
  { url: 'https://evil.tunnel.example/', by: 'no-evil' },
  { url: 'https://ok.tunnel.example/' },
  { url: 'https://evil.read.example/x', by: 'no-evil' },
  { url: 'https://ok.read.example/evil', by: 'no-evil' },
  { url: 'https://ok.read.example/' },
  { url: 'http://ok.test/', method: 'DELETE', by: 'no-delete' },
  { url: 'http://ok.test/pay?x=1', by: 'ask first', header: 'policy-approval-required', action: 'require_approval' },
  {
    url: 'https://ok.read.example/pay',
    by: 'ask first',
    header: 'policy-approval-required',
    action: 'require_approval',
  },
  { url: 'http://ok.test/crawl', by: 'use-search', header: 'policy-steer-unenforceable', action: 'steer' },
  { url: 'http://watched.test/' },
  { url: 'http://broken.test/', by: '_fail_closed' },
  { url: 'http://ok.test/up', method: 'POST', body: 'x'.repeat(2000), by: 'found-risky' },
  { url: 'http://ok.test/fresh', by: 'fresh' },
];

function assertRefused(answer: Answer, { url, by, header = 'policy', action = 'block' }: Case): void {
  assert.equal(answer.status, 403, `${url}: ${answer.status} ${answer.body}`);
  assert.equal(answer.headers['x-strathon-block-reason'], header);
  const body = JSON.parse(answer.body) as Record<string, string>;
  assert.equal(body['error'], `Blocked by policy: ${by}`);
  assert.equal(body['action'], action);
  assert.equal(body['rule'], `policy:${by}`);
}

describe('policies in the traffic', () => {
  let world: PolicyWorld;
  before(async () => {
    world = await openPolicyWorld({ policies: POLICIES });
  });
  after(() => world?.close());

  for (const one of CASES) {
    const title = `${one.method ?? 'GET'} ${one.url.slice(0, 60)}: ${one.by ?? 'forwarded'}`;
    it(title, async () => {
      for (const mode of MODES) {
        const how = {
          agent: agentOf(mode),
          method: one.method ?? 'GET',
          ...(one.body === undefined ? {} : { body: one.body }),
        };
        const answer = await world.ask(one.url, how);
        if (mode === 'enforce' && one.by !== undefined) assertRefused(answer, one);
        else assert.equal(answer.status, 200, `${mode}: ${answer.body}`);
      }
    });
  }

  it('the verdict of monitor is the verdict of enforce, for every case', async () => {
    const rows = await eventually(async () => {
      const found = await world.weir.query(
        `SELECT agent, host, path, method, verdict, any_value(action) AS action, any_value(would) AS would
         FROM exchanges WHERE visibility <> 'tunnel' GROUP BY ALL ORDER BY ALL`,
      );
      const expected = CASES.filter(({ url }) => !url.includes('tunnel.example')).length;
      return found.length >= 2 * expected && found;
    }, 'rows of all cases');
    const of = (agent: string) =>
      rows
        .filter((row) => row['agent'] === agent)
        .map(({ host, path, method, verdict }) => [host, path, method, verdict].join(' '));
    assert.deepEqual(of(agentOf('monitor')), of(agentOf('enforce')));
    for (const { agent, verdict, action, would } of rows) {
      if (agent === agentOf('monitor')) assert.deepEqual([action, would === 'block'], ['forward', verdict === 'block']);
      else assert.deepEqual([action === 'block', would], [verdict === 'block', 'none']);
    }
  });

  it('a throttle answers 429 with Retry-After, per agent', async () => {
    const agent = agentOf('enforce');
    assert.equal((await world.ask('http://slow.test/', { agent })).status, 200);
    const answer = await world.ask('http://slow.test/', { agent });
    assert.equal(answer.status, 429);
    assert.equal(answer.headers['x-strathon-block-reason'], 'policy-throttle');
    assert.match(answer.headers['retry-after'] ?? '', /^(?:[1-9]|[1-5]\d\d|600)\d?$/);
    const body = JSON.parse(answer.body) as Record<string, string>;
    assert.deepEqual([body['error'], body['action']], ['Blocked by policy: slowly', 'throttle']);
    assert.equal((await world.ask('http://slow.test/', { agent: 'other' })).status, 200);
  });

  it('alert flags, log and shadow record, none of them decides', async () => {
    const rows = await eventually(async () => {
      const found = await world.weir.query(
        `SELECT rule, disposition, message FROM findings WHERE host = 'watched.test' AND agent = 'enforce-agent' ORDER BY rule`,
      );
      return found.length >= 3 && found;
    }, 'findings');
    assert.deepEqual(
      rows.map(({ rule, disposition }) => [rule, disposition]),
      [
        ['policy:maybe', 'allow'],
        ['policy:note', 'allow'],
        ['policy:watch', 'flag'],
      ],
    );
    assert.match(String(rows[0]?.['message']), /\(shadow\) would block/);
  });

  it('what the policy says is told, what to do instead as well', async () => {
    const agent = agentOf('enforce');
    const refused = JSON.parse((await world.ask('http://ok.test/', { agent, method: 'DELETE' })).body) as Record<
      string,
      string
    >;
    assert.equal(refused['reason'], 'Deleting is for people.');
    const steered = JSON.parse((await world.ask('http://ok.test/crawl', { agent })).body) as Record<string, string>;
    assert.equal(steered['replacement'], 'Use the search tool.');
  });

  it('a host that every request would be refused for is not dialled', async () => {
    const dialled = world.tls.connections();
    const answer = await world.ask('https://gone.read.example/', { agent: agentOf('enforce') });
    assertRefused(answer, { url: '', by: 'gone' });
    assert.equal(world.tls.connections(), dialled);
  });
});

describe('approvals and counts', () => {
  let world: PolicyWorld;
  const agent = agentOf('enforce');
  before(async () => {
    world = await openPolicyWorld({ policies: POLICIES });
  });
  after(() => world?.close());
  const refOf = (answer: Answer): string => String((JSON.parse(answer.body) as Record<string, string>)['ref']);

  it('weir approve opens exactly what was asked for, and a reload keeps it open', async () => {
    const refused = await world.ask('http://ok.test/pay?amount=1', { agent });
    assert.equal(refused.status, 403);
    assert.match(refused.body, new RegExp(`weir approve ${refOf(refused)}`));
    const { code, stdout } = await world.weir.cli(['approve', refOf(refused), '--for', '5m']);
    assert.equal(code, 0);
    assert.match(stdout, /^enforce-agent may GET http:\/\/ok\.test:80\/pay until .* \(policy ask first\)/);
    const status = async (url: string, ask: object) => (await world.ask(url, { agent, ...ask })).status;
    assert.equal(await status('http://ok.test/pay?amount=2', {}), 200);
    assert.equal(await status('http://ok.test/pay/other', {}), 403);
    assert.equal(await status('http://ok.test/pay', { method: 'POST' }), 403);
    assert.equal(await status('https://ok.read.example/pay', {}), 403);
    await world.weir.admin('/reload', 'POST', {});
    assert.equal(await status('http://ok.test/pay', {}), 200);
    const audit = await eventually(async () => {
      const rows = await world.weir.query("SELECT agent, message FROM audit WHERE rule = 'approve'");
      return rows.length > 0 && rows;
    }, 'the audit row');
    assert.equal(audit[0]?.['agent'], agent);
    assert.match(world.weir.logs(), /may GET http:\/\/ok\.test:80\/pay until/);
  });

  it('a tunnel is approved as host and port; HTTP/2 requests are refused and approved one by one', async () => {
    const host = 'pay-tunnel.tunnel.example';
    // A kind of client that has not trusted our CA yet, so that its CONNECT is refused.
    const strange = { agent, userAgent: 'strange/1' };
    const refused = await world.ask(`https://${host}/`, strange);
    assert.equal(refused.status, 403);
    assert.equal((await world.weir.cli(['approve', refOf(refused)])).code, 0);
    assert.equal((await world.ask(`https://${host}/`, strange)).status, 200);
    const session = await http2Through(world.weir, 'h2.read.example', { agent, ca: world.ca });
    try {
      const first = await over2(session, '/pay/h2');
      assert.equal(first.status, 403);
      assert.equal((await over2(session, '/free')).status, 200);
      assert.equal((await world.weir.cli(['approve', refOf(first)])).code, 0);
      assert.equal((await over2(session, '/pay/h2?again')).status, 200);
      assert.equal((await over2(session, '/pay/h3')).status, 403);
    } finally {
      session.destroy();
    }
  });

  it('an approval ends', async () => {
    const refused = await world.ask('http://ok.test/pay/short', { agent });
    assert.equal((await world.weir.cli(['approve', refOf(refused), '--for', '1s'])).code, 0);
    await eventually(
      async () => (await world.ask('http://ok.test/pay/short', { agent })).status === 403,
      'it has ended',
    );
  });

  it('a ref nobody knows is said so', async () => {
    const { code, stderr } = await world.weir.cli(['approve', '0123456789']);
    assert.equal(code, 1);
    assert.match(stderr, /no refusal with ref 0123456789 waits/);
  });

  it('weir policy list shows matches, status shows where policies come from', async () => {
    const { stdout } = await world.weir.cli(['policy', 'list', '--json']);
    const report = JSON.parse(stdout) as { policies: { name: string; matches: number }[]; approvals: number };
    const matches = report.policies.find(({ name }) => name === 'ask first')?.matches ?? 0;
    assert.ok(matches >= 4, `${matches} matches`);
    assert.ok(report.approvals >= 1);
    const human = await world.weir.cli(['policy', 'list']);
    assert.match(human.stdout, /PRIORITY +NAME +ACTION +STATE +MATCHES/);
    assert.match(
      (await world.weir.cli(['status'])).stdout,
      /policies 16 from .*policies\.yaml; \d+ of them can never match/,
    );
  });
});

describe('approvals and a restart', () => {
  it('open ones go on, ended ones and other policies do not; the file holds no path', {
    timeout: 60_000,
  }, async (t) => {
    const agent = agentOf('enforce');
    const stateDir = await mkdtemp(join(tmpdir(), 'weir-approvals-'));
    t.after(() => rm(stateDir, { recursive: true, force: true }));
    const file = join(stateDir, 'private', 'approvals.json');
    const secret = ['AK', 'IA', 'Q7RT2MXW4KPLZ9NB'].join('');
    const paths = [`/pay/${secret}`, '/pay/long', '/pay/short'];
    const open = async (policies: unknown) => {
      const world = await openPolicyWorld({ policies, stateDir });
      t.after(world.close);
      const status = async (path: string) => (await world.ask(`http://ok.test${path}?again`, { agent })).status;
      return {
        world,
        all: async () => [await status('/pay/long'), await status('/pay/short'), await status('/pay/new')],
      };
    };
    const first = await open(POLICIES);
    for (const path of paths) {
      const refused = await first.world.ask(`http://ok.test${path}`, { agent });
      const { ref = '' } = JSON.parse(refused.body) as Record<string, string>;
      const { code } = await first.world.weir.cli(['approve', ref, '--for', path === '/pay/short' ? '1s' : '5m']);
      assert.equal(code, 0);
    }
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const kept = await readFile(file, 'utf8');
    assert.ok(!kept.includes(secret), kept);
    await eventually(async () => (await first.all())[1] === 403, 'the short one has ended');
    await first.world.weir.stop();

    const second = await open(POLICIES);
    assert.deepEqual(await second.all(), [200, 403, 403]);
    await second.world.weir.stop();

    const rewritten = POLICIES.policies.map((policy) =>
      policy.name === 'ask first' ? { ...policy, match_expression: `${policy.match_expression} && true` } : policy,
    );
    const third = await open({ policies: rewritten });
    assert.deepEqual(await third.all(), [403, 403, 403]);
    await third.world.weir.stop();

    await writeFile(file, '{"entries": [{"key": 1}, null, "x"', { mode: 0o600 });
    const fourth = await open(POLICIES);
    assert.deepEqual(await fourth.all(), [403, 403, 403]);
    assert.match(fourth.world.weir.logs(), /state-not-read/);
  });
});

describe('a CONNECT that was to be read and stays closed', () => {
  let world: PolicyWorld;
  before(async () => {
    const only = 'attrs["strathon.http.url"].startsWith("https://paths.read.example/ok")';
    world = await openPolicyWorld({
      policies: { policies: [{ name: 'only-ok', match_expression: `!(${only})`, action: 'block' }] },
      config: { tls: { on_unverifiable: 'tunnel' } },
      trustUpstream: false,
    });
  });
  after(() => world?.close());

  it('is judged as the tunnel it is: enforce closes it, monitor says it would', async () => {
    const through = (agent: string) =>
      throughTls(world.weir, 'paths.read.example', { agent, ca: world.upstreamCa }).then(
        (socket) => socket.destroy() !== undefined,
        () => false,
      );
    assert.equal(await through(agentOf('monitor')), true);
    assert.equal(await through(agentOf('enforce')), false);
    const rows = await eventually(async () => {
      const found = await world.weir.query(
        "SELECT DISTINCT agent, action, would FROM exchanges WHERE verdict = 'block' ORDER BY agent",
      );
      return found.length === 2 && found;
    }, 'both rows');
    assert.deepEqual(
      rows.map(({ action, would }) => [action, would]),
      [
        ['block', 'none'],
        ['forward', 'block'],
      ],
    );
  });
});

describe('webhook_url of a policy', () => {
  it('an alert tells it in every mode, an approval where it is needed', { timeout: 60_000 }, async (t) => {
    const told: { type: string; data: Record<string, unknown> }[] = [];
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (part: Buffer) => {
        text += part.toString('utf8');
      });
      request.on('end', () => {
        told.push(JSON.parse(text) as (typeof told)[number]);
        response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const action_config = { webhook_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/w` };
    const world = await openPolicyWorld({
      policies: {
        policies: [
          { name: 'ring', match_expression: 'attrs["server.address"] == "ring.test"', action: 'alert', action_config },
          {
            name: 'ask',
            match_expression: 'attrs["server.address"] == "ask.test"',
            action: 'require_approval',
            action_config,
          },
        ],
      },
    });
    t.after(world.close);
    for (const mode of MODES) {
      await world.ask('http://ring.test/x?secret=1', { agent: agentOf(mode) });
      await world.ask('http://ask.test/', { agent: agentOf(mode) });
    }
    await eventually(() => told.length >= 3, 'all of them');
    assert.deepEqual(
      told.map(({ type, data }) => [type, data['agent'], data['destination']]),
      [
        ['policy_alert', 'monitor-agent', 'ring.test:80'],
        ['policy_alert', 'enforce-agent', 'ring.test:80'],
        ['policy_approval_requested', 'enforce-agent', 'ask.test:80'],
      ],
    );
    assert.ok(!JSON.stringify(told).includes('secret'));
  });
});
