import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { createReplay, type StoredExchange } from '../../../src/collector-replay.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { parsePolicies } from '../../../src/policy/parse.ts';
import type { PolicySet } from '../../../src/policy/policy.ts';
import { KNOWN_LATER, READABLE } from '../../../src/policy/vocabulary.ts';
import { exchangeRow, findingRows } from '../../../src/store/row.ts';
import { table } from '../../../src/store/schema.ts';
import { type Sent, simulatedHouse } from '../../support/simulated-house.ts';

const COLUMNS = table('exchanges').columns.map(({ name }) => name);

/** The row of a record as `weir replay` reads it. */
function stored(record: ExchangeRecord, connect?: ExchangeRecord): StoredExchange {
  const row = exchangeRow(record);
  const cells = Object.fromEntries(COLUMNS.map((name, i) => [name, row[i]]));
  const findings = [...(connect === undefined ? [] : findingRows(connect)), ...findingRows(record)];
  return {
    cells: {
      ...cells,
      ever_dialled: cells['peer_address'] !== null,
      in_run: cells['run_id'] !== null,
      begun: cells['ja4'] !== null || cells['tunnel_protocol'] !== null,
    },
    findings: findings.map((cell) => ({
      inspector: String(cell[8]),
      rule: String(cell[9]),
      severity: cell[10] as 'high',
      disposition: cell[11] as 'block',
    })),
  };
}

const AGENTS = ['researcher', 'coder', 'task-1'];
const HOSTS = [
  'api.example.com',
  'github.com',
  'upload.example.net:8443',
  '192.0.2.7',
  'pastebin.com',
  'A.Example.COM.',
];
const SECRET = ['AK', 'IA', 'Q7RT2MXW4KPLZ9NB'].join('');
const PATHS = [
  '/',
  '/v1/chat',
  '/v1/chat/',
  '/acme/repo',
  '/a%2Fb',
  '/x/../y',
  `/${SECRET}/x`,
  '/é\u0001',
  '/a#b',
  '//x',
  `/${'long/'.repeat(500)}`,
];
const QUERIES = [
  '',
  '?',
  '?page=2',
  '?q=hello&page=3',
  '?q=https://evil.com/x',
  '?evil.com',
  `?key=${SECRET}`,
  `?q=${'x'.repeat(4100)}&page=1`,
  `?${'a=1&'.repeat(300)}page=9`,
  '?page=1#frag=evil.com',
];
const AGENT_FIELDS = [
  'curl/8',
  'Mozilla/5.0 (+http://u:p@bot.example/x)',
  `tool ${'y'.repeat(300)}`,
  '',
  'caf\u00e9\u0007',
];
const TYPES = ['application/json', 'Text/Plain; charset=utf-8', 'multipart/form-data; boundary=https://a@b/'];

const sent: fc.Arbitrary<Sent> = fc.record(
  {
    agent: fc.constantFrom(...AGENTS),
    url: fc
      .tuple(
        fc.constantFrom('http', 'https'),
        fc.constantFrom(...HOSTS),
        fc.constantFrom(...PATHS),
        fc.constantFrom(...QUERIES),
      )
      .map(([scheme, host, path, query]) => `${scheme}://${host}${path}${query}`),
    method: fc.constantFrom('GET', 'POST', 'DELETE', 'PROPFIND', 'get'),
    fields: fc
      .tuple(
        fc.option(fc.constantFrom(...AGENT_FIELDS)),
        fc.option(fc.constantFrom(...TYPES)),
        fc.option(fc.constantFrom('Bearer one', 'Bearer two')),
      )
      .map(([agent, type, key]) => [
        ...(agent === null ? [] : ['User-Agent', agent]),
        ...(type === null ? [] : ['Content-Type', type]),
        ...(key === null ? [] : ['Authorization', key]),
      ]),
    requestBytes: fc.nat(2000),
    body: fc.constantFrom(Buffer.from('{"a": 1}'), Buffer.from(`{"key": "${SECRET}"}`)),
    protocol: fc.constantFrom('1.1' as const, '2' as const),
    closed: fc.boolean(),
    run: fc.boolean(),
    tunnelled: fc.option(fc.constantFrom('ssh', 'unknown', 'tls'), { nil: undefined }),
    from: fc.constantFrom('127.0.0.1', '10.1.2.3'),
    tls: fc.record(
      {
        sni: fc.constantFrom('api.example.com', 'u@github.com', 'API.example.com', ''),
        alpn: fc.constantFrom([], ['h2'], ['h2', 'http/1.1'], ['h2,http/1.1']),
        ech: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ['agent', 'url', 'method', 'fields'] },
) as fc.Arbitrary<Sent>;

const ATTRIBUTES = [...READABLE, ...[...KNOWN_LATER].slice(0, 5), 'no.such.attribute'];
const WORDS = [
  '',
  '/',
  'evil.com',
  'api.example.com',
  'https://api.example.com/',
  'POST',
  'http.post',
  'page=',
  'coder',
  'tunnel',
  '1.1',
  'h2',
  'json',
  '127',
  'e',
  'first-seen',
  'ready',
  'learning',
];
const literal = fc.constantFrom(...WORDS).map((word) => JSON.stringify(word));
const number = fc.constantFrom('0', '2', '80', '443', '1000', '2.5');
const attribute = fc.constantFrom(...ATTRIBUTES).map((name) => `attrs[${JSON.stringify(name)}]`);

/** Expressions over every attribute, right and wrong in their types. */
const { expression } = fc.letrec<{ expression: string; value: string }>((tie) => ({
  value: fc.oneof(
    { weight: 6, arbitrary: attribute },
    { weight: 1, arbitrary: literal },
    { weight: 1, arbitrary: number },
    { weight: 1, arbitrary: fc.constant('name') },
    { weight: 1, arbitrary: fc.tuple(attribute, tie('value')).map(([a, b]) => `(${a} + ${b})`) },
    {
      weight: 1,
      arbitrary: fc.tuple(tie('expression'), attribute, tie('value')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    },
    { weight: 1, arbitrary: attribute.map((a) => `size(${a})`) },
    { weight: 1, arbitrary: attribute.map((a) => `string(${a})`) },
  ),
  expression: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    {
      weight: 5,
      arbitrary: fc
        .tuple(tie('value'), fc.constantFrom('contains', 'startsWith', 'endsWith', 'matches'), literal)
        .map(([a, test, b]) => `${a}.${test}(${b})`),
    },
    {
      weight: 4,
      arbitrary: fc
        .tuple(tie('value'), fc.constantFrom('==', '!=', '<', '>='), tie('value'))
        .map(([a, op, b]) => `${a} ${op} ${b}`),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(tie('value'), fc.array(literal, { maxLength: 3 })).map(([a, list]) => `${a} in [${list}]`),
    },
    { weight: 2, arbitrary: attribute.map((a) => `has(${a})`) },
    { weight: 2, arbitrary: fc.constantFrom(...ATTRIBUTES).map((name) => `${JSON.stringify(name)} in attrs`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'now.getHours() < 12',
        'now > timestamp("2026-01-05T12:00:00Z")',
        'true',
        'false',
        'unknown_name',
        'size(attrs) > 20',
      ),
    },
    { weight: 1, arbitrary: fc.tuple(attribute, literal).map(([a, b]) => `${a}.exists(x, x == ${b})`) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(tie('expression'), fc.constantFrom('&&', '||'), tie('expression'))
        .map(([a, op, b]) => `(${a} ${op} ${b})`),
    },
    { weight: 1, arbitrary: tie('expression').map((a) => `!(${a})`) },
  ),
}));

const policy = fc.record({
  match_expression: expression,
  action: fc.constantFrom('block', 'redact', 'allow', 'log', 'alert', 'steer', 'throttle', 'require_approval'),
  priority: fc.nat(3),
  applies_to: fc.constantFrom([], ['http'], ['post'], ['connect']),
  agents: fc.constantFrom([], ['coder'], ['task-*']),
  action_config: fc.constantFrom(null, { max_calls: 1, window_seconds: 3600 }),
  shadow: fc.constantFrom(false, false, false, true),
});
const policies = fc.tuple(fc.array(policy, { maxLength: 4 }), fc.constantFrom('allow', 'block'));

const rule = fc.constantFrom(
  'api.example.com',
  '*.example.com',
  'github.com/acme',
  'POST api.example.com',
  '@paste',
  '192.0.2.0/24',
  'upload.example.net:8443',
  '*',
  'a.example.com',
  'GET github.com',
  'api.example.com/v1',
);
const rules = fc.array(rule, { maxLength: 3 });
const configuration = fc.record({
  mode: fc.constantFrom('monitor', 'redact', 'enforce'),
  intercept: fc.constantFrom('none', 'all', { only: ['api.example.com'] }),
  destinations: fc.record({ allowed: rules, blocked: rules }),
  agents: fc.constantFrom(
    {},
    { coder: { allowed_domains: ['github.com'] } },
    { 'task-*': { blocked_domains: ['*.example.com/acme'], mode: 'enforce' } },
  ),
  scan: fc.constantFrom({}, { requests: { credential: 'flag' } }, { requests: { credential: 'redact' } }),
  policies: fc.record({ on_absent: fc.constantFrom('not-applicable', 'block') }),
});

function setOf([rows, defaultAction]: readonly [readonly object[], string]): PolicySet | undefined {
  const named = rows.map((row, i) => ({ name: `p${i}`, ...row }));
  const { set } = parsePolicies(
    { policies: named, intervention_default_action: defaultAction },
    { name: 'test', kind: 'receiver' },
  );
  return set.policies.length === 0 && defaultAction === 'allow' ? undefined : set;
}

const HOUSES = [
  ['flag', 'keys'],
  ['block', 'keys'],
  ['flag', 'full'],
  ['flag', 'host'],
] as const;

for (const [on_unknown, url] of HOUSES) {
  describe(`for the same rules replay gives the live verdict or says that it cannot, unknown: ${on_unknown}, URLs: ${url}`, () => {
    const baseline = { on_unknown, ready_after_requests: 50, ready_after_hours: 0 };
    const house = simulatedHouse({ baseline, telemetry: { url } });
    after(() => house.close());

    it('whatever the rules read', async () => {
      const seen = { decided: 0, undecidable: 0, stopped: 0 };
      await fc.assert(
        fc.asyncProperty(
          configuration,
          policies,
          fc.array(sent, { minLength: 1, maxLength: 12 }),
          async (input, given, all) => {
            const config: Config = parseConfig({
              state_dir: '/nonexistent',
              baseline,
              telemetry: { url },
              ...input,
            } as object);
            const set = setOf(given);
            house.use(config, set);
            const replay = await createReplay({ config, policies: set, mode: 'configured' });
            for (const one of all) {
              house.now += 3_600_000 + 61_001;
              const { record, connect } = house.sendBoth(one);
              const shown = house.presentable(record);
              const replayed = replay.judge(
                stored(shown, connect === undefined ? undefined : house.presentable(connect)),
              );
              const context = () => JSON.stringify({ one, input, given, record: shown, replayed }, undefined, 1);
              assert.ok(!record.findings.some(({ rule }) => rule === 'inspector-failed'), context());
              if (replayed.verdict !== undefined) assert.equal(replayed.verdict, record.verdict, context());
              if (replayed.stopped !== undefined) assert.equal(replayed.stopped, record.action === 'block', context());
              if (replayed.stopped === undefined) {
                seen.undecidable++;
                assert.ok(replayed.reason, `a reason: ${context()}`);
              } else seen.decided++;
              if (replayed.stopped === true) seen.stopped++;
            }
          },
        ),
        { numRuns: Number(process.env['FC_RUNS'] ?? 150) },
      );
      // Saying "undecidable" to everything would be right and useless.
      assert.ok(seen.decided > seen.undecidable * 2, JSON.stringify(seen));
      assert.ok(seen.stopped > 100, JSON.stringify(seen));
    });
  });
}
