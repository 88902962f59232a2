import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import type { Cli } from '../../../src/cli/context.ts';
import { progress } from '../../../src/cli/replay-words.ts';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { refOf } from '../../../src/model/ulid.ts';
import { openStore } from '../../../src/store/database.ts';
import { exchange, finding, options } from '../store/help.ts';
import { tempDir, weir } from './world.ts';

const NOW = Date.now();
const HOUR = 3_600_000;
const BLOCK = finding({ inspector: 'scan', rule: 'aws-access-key', message: 'in the body' });

const READY = { baselineState: 'ready' } as const;
const FIRST = finding({
  inspector: 'baseline',
  rule: 'first-seen',
  severity: 'info',
  disposition: 'flag',
  message: 'new',
});
const FOREIGN = finding({
  inspector: 'account',
  rule: 'credential-first-seen',
  severity: 'medium',
  disposition: 'flag',
  message: 'foreign',
});
const INNER = finding({
  inspector: 'address',
  rule: 'internal-address',
  severity: 'medium',
  message: 'inner.example (10.1.2.3) is a private address',
});
const UNSCANNED = finding({
  inspector: 'scan',
  rule: 'unscanned',
  severity: 'info',
  disposition: 'allow',
  message: 'a bomb',
});
const OWN_PATTERN = `patterns:
  - id: acme-ticket
    name: Acme Ticket
    severity: critical
    category: token
    expression: '(?<![A-Za-z0-9])ACMETICKET-[0-9]{10}(?![0-9])'
    keywords: [ACMETICKET-]
    label: ACME TICKET
    examples: ['ACMETICKET-{{}}0012345678', 'a ACMETICKET-{{}}0012345679', 'ACMETICKET-{{}}9912345678']
    counter_examples: ['ACMETICKET-1', 'ACMETICKET-', 'acmeticket-0012345678']
    reference: https://docs.acme.example/tickets
`;

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
  // Met after the learning, told once and learned.
  { host: 'new.example', startedAt: NOW - 3 * HOUR, ...READY, firstSeen: true, verdict: 'flag', findings: [FIRST] },
  { host: 'new.example', startedAt: NOW - 2 * HOUR, ...READY },
  { host: 'new.example', startedAt: NOW - HOUR, ...READY },
  { host: 'known.example', ...READY },
  { host: 'llm.example', startedAt: NOW - 3 * HOUR, ...READY, credentialFp: 'own' },
  {
    host: 'llm.example',
    startedAt: NOW - 2 * HOUR,
    ...READY,
    credentialFp: 'foreign',
    verdict: 'flag',
    findings: [FOREIGN],
  },
  { host: 'llm.example', startedAt: NOW - HOUR, ...READY, credentialFp: 'foreign' },
  { host: 'inner.example', verdict: 'block', would: 'block', findings: [INNER] },
  { host: '10.9.9.9', peerAddress: '10.9.9.9' },
  { host: 'bomb.example', findings: [UNSCANNED] },
  { host: 'tickets.example', target: '/t/ACMETICKET-0012345678' },
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

describe('progress', () => {
  const shown = (isTTY: boolean, json: boolean): string => {
    const stderr = Object.assign(new PassThrough(), { isTTY });
    let text = '';
    stderr.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const bar = progress({ stderr, options: () => ({ json }) } as unknown as Cli);
    bar.begin(1_000_000);
    bar.add(250_000);
    bar.end();
    return text;
  };

  it('a bar on a terminal, which is gone afterwards; nothing elsewhere', () => {
    const bar = shown(true, false);
    assert.match(bar, /^\r░{30} {3}0 % of 1,000,000/);
    assert.match(bar, /\r█{8}░{22} {2}25 % of 1,000,000/);
    assert.ok(bar.endsWith('\r\u001b[K'));
    assert.equal(shown(false, false), '');
    assert.equal(shown(true, true), '');
  });
});

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
    assert.equal(seen.exchanges, 21, 'a week, and nothing of weir verify');
    assert.deepEqual(of(seen, 'newly-stopped'), [
      ['researcher', 'inner.example', 'internal-address', 1],
      ['researcher', 'leak.example', 'aws-access-key', 1],
    ]);
    // No list says so any more.
    assert.deepEqual(of(seen, 'no-longer-stopped'), [['researcher', 'denied.example', 'destination-not-allowed', 1]]);
    assert.deepEqual([seen.unchanged, seen.undecidable], [18, 0]);
    assert.equal((await replay('--since', '60d')).exchanges, 22);
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
      20,
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
    // None of these is a call of an LLM API (test/unit/replay/said.test.ts has some).
    assert.equal(body.undecidable, 0);
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
  });

  it('policies in shadow stop nothing, unless they are asked as if they were live', async () => {
    const shadowed = ['replay', '--policy', policy('true', 'block', { shadow: true }), '--agent', 'coder', '--json'];
    const quiet = await weir(shadowed, env);
    assert.equal(quiet.code, 0);
    assert.match(quiet.err, /^weir: 1 policy is in shadow and stops nothing: --live asks as if it were not\n$/);
    const live = await weir([...shadowed, '--live'], env);
    assert.deepEqual([live.code, live.err], [4, '']);
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

  it('recorded findings under other dispositions', async () => {
    const leaks = (seen: Summary) => seen.changed.filter(({ rule }) => rule === 'aws-access-key').length;
    const flagged = file('scan.yaml', 'scan: {requests: {credential: flag}}\n');
    const quiet = (await replay('--config', flagged)).changed.filter(({ host }) => host === 'leak.example');
    assert.deepEqual(quiet, [], 'flagged is not stopped');
    const suppressed = file('scan.yaml', 'scan: {suppress: [{rule: aws-access-key, host: leak.example}]}\n');
    assert.equal(leaks(await replay('--config', suppressed)), 0);
    const off = file('scan.yaml', 'patterns: {disable: [aws-access-key]}\n');
    assert.equal(leaks(await replay('--config', off)), 0);
    const elsewhere = file('scan.yaml', 'scan: {suppress: [{rule: aws-access-key, host: other.example}]}\n');
    assert.equal(leaks(await replay('--config', elsewhere)), 1);
  });

  it('where the unknown is blocked, what was met after the learning stays unknown', async () => {
    const strict = file('strict.yaml', 'baseline: {on_unknown: block}\n');
    const seen = (await replay('--config', strict)).changed.filter(({ host }) => /^(?:new|known)\./.test(host));
    assert.deepEqual(
      seen.map(({ host, rule, count }) => [host, rule, count]),
      [
        ['new.example', 'not-in-baseline', 2],
        ['new.example', 'first-seen', 1],
      ],
    );
    const foreign = (await replay('--config', strict)).changed.filter(({ host }) => host === 'llm.example');
    assert.deepEqual(
      foreign.map(({ rule, count }) => [rule, count]),
      [['credential-first-seen', 2]],
    );
  });

  it('private addresses, when others are allowed', async () => {
    const allowed = file('internal.yaml', 'destinations: {internal: [10.0.0.0/8]}\n');
    const inner = (seen: Summary) =>
      seen.changed.filter(({ host }) => /^(?:inner|literal)\./.test(host) || host === '10.9.9.9');
    assert.deepEqual(
      inner(await replay()).map(({ outcome, host }) => [outcome, host]),
      [['newly-stopped', 'inner.example']],
    );
    assert.deepEqual(inner(await replay('--config', allowed)), [], 'it is allowed now');
    const other = file('internal.yaml', 'destinations: {internal: [192.168.0.0/16]}\n');
    assert.deepEqual(
      inner(await replay('--config', other))
        .map(({ host, rule }) => [host, rule])
        .sort(),
      [
        ['10.9.9.9', 'internal-address'],
        ['inner.example', 'internal-address'],
      ],
      'what was forwarded to a private address is judged by the address it was dialled at',
    );
  });

  it('bodies that could not be scanned stop agents that have blocked categories', async () => {
    assert.deepEqual(
      of(await replay(), 'newly-stopped').filter(([, host]) => host === 'bomb.example'),
      [],
    );
    const strict = file('strict.yaml', 'agents: {researcher: {blocked_categories: [pii]}}\n');
    const seen = of(await replay('--config', strict), 'newly-stopped').filter(([, host]) => host === 'bomb.example');
    assert.deepEqual(seen, [['researcher', 'bomb.example', 'unscanned', 1]]);
    const late = of(await replay('--config', strict, '--mode', 'redact'), 'newly-stopped');
    assert.deepEqual(
      late.filter(([, host]) => host === 'bomb.example'),
      [],
    );
  });

  it('new patterns: in host and path, which is all that is stored', async () => {
    const patterns = join(dir, 'patterns');
    mkdirSync(patterns, { recursive: true, mode: 0o700 });
    writeFileSync(join(patterns, 'own.yaml'), OWN_PATTERN, { mode: 0o600 });
    const seen = await replay('--config', file('own.yaml', `patterns: {directories: [${patterns}]}\n`));
    assert.deepEqual(
      of(seen, 'newly-stopped').filter(([, , rule]) => rule === 'acme-ticket'),
      [['researcher', 'tickets.example', 'acme-ticket', 1]],
    );
  });

  it('--diff compares with the configuration as it is', async () => {
    const seen = await replay('--diff', '--policy', policy('attrs["weir.agent"] == "coder"'));
    assert.deepEqual(
      seen.changed.map(({ outcome, host }) => [outcome, host]),
      [['newly-stopped', 'other.example']],
    );
    const same = await replay('--diff', '--policy', policy('attrs["weir.agent"] == "nobody"'));
    assert.deepEqual([same.code, same.changed.length, same.still_stopped], [0, 0, 2]);
    const { code, err } = await weir(['replay', '--diff'], env);
    assert.equal(code, 2);
    assert.match(err, /give --policy or --config/);
  });

  it('reads like a result', async () => {
    const { out } = await weir(['replay', '--policy', policy('attrs["http.request.method"] == "POST"')], env);
    assert.match(
      out,
      /^21 exchanges since .* under .*policies\.json, as if in enforce:\n {2}17 unchanged\n {2}3 newly stopped\n/,
    );
    assert.match(out, /\nNEWLY STOPPED\nCOUNT {2}AGENT .*\n {4}1 {2}researcher {2}api\.example\.com:443 +policy:p +/);
  });

  it('the last good set of a receiver is what would be asked', async () => {
    const named = { ...env, STRATHON_EGRESS_RECEIVER_URL: 'http://127.0.0.1:4318' };
    const unloaded = await weir(['replay', '--agent', 'coder'], named);
    assert.match(
      unloaded.err,
      /^weir: http:\/\/127\.0\.0\.1:4318 has never answered: until it does, everything is refused/,
    );
    assert.equal(unloaded.code, 4);
    mkdirSync(join(dir, 'private'), { recursive: true, mode: 0o700 });
    const answer = {
      policies: [{ id: '1', name: 'theirs', match_expression: 'true', action: 'block', enabled: true }],
    };
    const kept = { url: named.STRATHON_EGRESS_RECEIVER_URL, at: NOW, answer };
    writeFileSync(join(dir, 'private', 'policies.json'), JSON.stringify(kept), { mode: 0o600 });
    const { out, err } = await weir(['replay', '--agent', 'coder', '--json'], named);
    assert.equal(err, '');
    assert.deepEqual(of(JSON.parse(out) as Summary, 'newly-stopped'), [['coder', 'other.example', 'policy:theirs', 1]]);
  });

  it('mistakes in the rules are usage errors', async () => {
    const { code, err } = await weir(['replay', '--policy', policy('not valid @@@')], env);
    assert.equal(code, 2);
    assert.match(err, /policies\.json/);
    assert.equal((await weir(['replay', '--policy', join(dir, 'none.yaml')], env)).code, 2);
    assert.equal((await weir(['replay', '--mode', 'strict'], env)).code, 2);
    const category = await weir(
      ['replay', '--policy', file('lists.yaml', 'destinations: {blocked: ["@nonsense"]}\n')],
      env,
    );
    assert.equal(category.code, 2);
    assert.match(category.err, /"@nonsense" is no category; known are /);
    const mixed = await weir(['replay', '--policy', file('mixed.yaml', 'agents: {}\npolicies: []\n')], env);
    assert.equal(mixed.code, 2);
    assert.match(mixed.err, /mixed\.yaml.*agents/);
    const open = file('open.yaml', 'destinations: {blocked: [a.example]}\n');
    chmodSync(open, 0o666);
    assert.equal((await weir(['replay', '--policy', open], env)).code, 2);
  });
});
