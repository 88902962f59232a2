import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { refOf } from '../../../src/model/ulid.ts';
import { openStore } from '../../../src/store/database.ts';
import { exchange, finding, options } from '../store/help.ts';
import { tempDir, weir } from './world.ts';

const NOW = Date.now();
const HOUR = 3_600_000;
const BLOCK = finding({ inspector: 'scan', rule: 'aws-access-key', message: 'in the body' });

/** A month's rows in small: what was allowed, what would have been blocked, what was. */
const ROWS: Partial<ExchangeRecord>[] = [
  ...Array.from({ length: 5 }, (_, i) => ({ startedAt: NOW - i * HOUR, target: '/v1/things' })),
  { host: 'api.example.com', method: 'POST', target: '/v1/things?q=…' },
  { host: 'other.example', agent: 'coder', target: '/' },
  { host: 'tunnel.example', kind: 'tunnel', method: 'CONNECT', scheme: 'tcp', visibility: 'tunnel', target: '' },
  { host: 'leak.example', verdict: 'block', would: 'block', findings: [BLOCK] },
  {
    host: 'denied.example',
    mode: 'enforce',
    verdict: 'block',
    action: 'block',
    outcome: 'blocked',
    status: 403,
    findings: [finding()],
  },
  { host: 'old.example', startedAt: NOW - 40 * 24 * HOUR },
  { host: 'verify.weir.invalid', outcome: 'answered' },
];

interface Summary {
  exchanges: number;
  unchanged: number;
  still_stopped: number;
  newly_stopped: number;
  no_longer_stopped: number;
  undecidable: number;
  changed: {
    outcome: string;
    agent: string;
    host: string;
    rule: string;
    reason?: string;
    count: number;
    examples: string[];
  }[];
}

describe('weir replay', () => {
  const dir = tempDir();
  const env = { HOME: dir, WEIR_STATE_DIR: dir };
  const records = ROWS.map((row) => exchange({ startedAt: NOW - HOUR, ...row }));
  const file = (name: string, text: string): string => {
    const path = join(dir, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const policy = (expression: string, action = 'block', more: object = {}): string =>
    file('policies.json', JSON.stringify({ policies: [{ name: 'p', match_expression: expression, action, ...more }] }));
  const replay = async (...args: string[]): Promise<Summary & { code: number }> => {
    const { code, out, err } = await weir(['replay', '--json', ...args], env);
    assert.equal(err, '', err);
    return { code, ...(JSON.parse(out) as Summary) };
  };
  const of = ({ changed }: Summary, outcome: string) =>
    changed.filter((one) => one.outcome === outcome).map(({ agent, host, rule, count }) => [agent, host, rule, count]);

  before(async () => {
    const store = await openStore(options(dir));
    await store.consume(records, records.length);
    await store.close(1000);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('enforce is what is asked for unless something else is said', async () => {
    const seen = await replay();
    assert.equal(seen.code, 4);
    assert.equal(seen.exchanges, 10, 'a week, and nothing of weir verify');
    assert.deepEqual(of(seen, 'newly-stopped'), [['researcher', 'leak.example', 'aws-access-key', 1]]);
    // No list says so any more.
    assert.deepEqual(of(seen, 'no-longer-stopped'), [['researcher', 'denied.example', 'destination-not-allowed', 1]]);
    assert.deepEqual([seen.unchanged, seen.undecidable], [8, 0]);
    assert.equal((await replay('--since', '60d')).exchanges, 11);
    assert.equal((await replay('--agent', 'coder')).exchanges, 1);
  });

  it('in monitor nothing is stopped, and what was no longer is', async () => {
    const seen = await replay('--mode', 'monitor');
    assert.equal(seen.code, 0);
    assert.deepEqual([seen.newly_stopped, seen.no_longer_stopped], [0, 1]);
    assert.equal((await replay('--mode', 'configured')).newly_stopped, 0);
  });

  it('policies: by agent, host and rule, with refs', async () => {
    const seen = await replay('--policy', policy('attrs["http.request.method"] == "POST"'), '--agent', 'researcher');
    const [first, ...rest] = seen.changed.filter(({ host }) => host === 'api.example.com');
    assert.deepEqual(rest, []);
    assert.deepEqual([first?.outcome, first?.rule, first?.count], ['newly-stopped', 'policy:p', 1]);
    assert.deepEqual(first?.examples, [refOf(records[5]?.id as string)]);
    const all = await replay('--policy', policy('true'));
    assert.equal(
      of(all, 'newly-stopped').reduce((sum, [, , , n]) => sum + Number(n), 0),
      9,
    );
    assert.equal(all.still_stopped, 1);
    assert.equal(all.changed.find(({ host }) => host === 'api.example.com')?.examples.length, 3);
  });

  it('what is not stored is undecidable, and says why', async () => {
    const query = await replay('--policy', policy('attrs["strathon.http.url"].contains("secret")'));
    assert.deepEqual(
      query.changed.filter(({ outcome }) => outcome === 'undecidable').map(({ host, reason }) => [host, reason]),
      [['api.example.com', 'p reads a query value, which is not stored']],
    );
    const body = await replay('--policy', policy('attrs["gen_ai.prompt"].contains("secret")'));
    assert.deepEqual(
      new Set(body.changed.filter(({ outcome }) => outcome === 'undecidable').map(({ reason }) => reason)),
      new Set(['p reads the body (gen_ai.prompt)']),
    );
    const certain = await replay('--policy', policy('attrs["strathon.http.url"].startsWith("https://other.")'));
    assert.equal(certain.undecidable, 0);
    assert.ok(of(certain, 'newly-stopped').some(([, host]) => host === 'other.example'));
  });

  it('throttles and approvals depend on more than the request', async () => {
    const seen = await replay('--policy', policy('true', 'require_approval'), '--agent', 'coder');
    assert.deepEqual([seen.undecidable, seen.changed[0]?.reason], [1, 'p depends on an approval']);
    const limit = { action_config: { max_calls: 5, window_seconds: 60 } };
    const throttled = await replay('--policy', policy('true', 'throttle', limit), '--agent', 'coder');
    assert.match(String(throttled.changed[0]?.reason), /how many requests came just before/);
    assert.equal((await replay('--policy', policy('true', 'block', { shadow: true }), '--agent', 'coder')).code, 0);
  });

  it('lists as they are suggested, laid over the configuration', async () => {
    const lists = file('lists.yaml', 'agents:\n  coder:\n    allowed_domains: [else.example]\n');
    const seen = await replay('--policy', lists);
    assert.deepEqual(
      of(seen, 'newly-stopped').find(([agent]) => agent === 'coder'),
      ['coder', 'other.example', 'destination-not-allowed', 1],
    );
    const scoped = file('lists.yaml', 'destinations:\n  allowed: [GET tunnel.example, "api.example.com/v1"]\n');
    const tunnel = (await replay('--policy', scoped)).changed.filter(({ host }) => host === 'tunnel.example');
    assert.deepEqual(
      tunnel.map(({ outcome, rule }) => [outcome, rule]),
      [['newly-stopped', 'destination-not-allowed']],
      'nothing says that it would be read',
    );
    const read = file('weir.yaml', 'intercept: all\ndestinations: {allowed: [GET tunnel.example]}\n');
    const [open] = (await replay('--config', read)).changed.filter(({ host }) => host === 'tunnel.example');
    assert.deepEqual([open?.outcome, open?.reason], ['undecidable', 'was a tunnel']);
  });

  it('--diff compares with the configuration as it is', async () => {
    const seen = await replay('--diff', '--policy', policy('attrs["weir.agent"] == "coder"'));
    assert.deepEqual(
      seen.changed.map(({ outcome, host }) => [outcome, host]),
      [['newly-stopped', 'other.example']],
    );
    const same = await replay('--diff', '--policy', policy('attrs["weir.agent"] == "nobody"'));
    assert.deepEqual([same.code, same.changed.length, same.still_stopped], [0, 0, 1]);
    const { code, err } = await weir(['replay', '--diff'], env);
    assert.equal(code, 2);
    assert.match(err, /give --policy or --config/);
  });

  it('reads like a result', async () => {
    const { out } = await weir(['replay', '--policy', policy('attrs["http.request.method"] == "POST"')], env);
    assert.match(
      out,
      /^10 exchanges since .* under .*policies\.json, as if in enforce:\n {2}7 unchanged\n {2}2 newly stopped\n/,
    );
    assert.match(
      out,
      /\nNEWLY STOPPED\nCOUNT {2}AGENT .*\n {4}1 {2}researcher {2}\S+:443 +(?:policy:p|aws-access-key) +/,
    );
  });

  it('mistakes in the rules are usage errors', async () => {
    const { code, err } = await weir(['replay', '--policy', policy('not valid @@@')], env);
    assert.equal(code, 2);
    assert.match(err, /policies\.json/);
    assert.equal((await weir(['replay', '--policy', join(dir, 'none.yaml')], env)).code, 2);
    assert.equal((await weir(['replay', '--mode', 'strict'], env)).code, 2);
  });
});
