import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loweredBy } from '../../../src/collector-lowered.ts';
import { type ConfigInput, configSchema } from '../../../src/config/schema.ts';

const lowered = (before: ConfigInput, after: ConfigInput): string[] =>
  loweredBy(configSchema.parse(before), configSchema.parse(after));

const STRICT: ConfigInput = {
  mode: 'enforce',
  identify: 'required',
  intercept: 'all',
  destinations: { allowed: ['a.example'], blocked: ['evil.example', '@paste'], internal: [] },
  baseline: { on_unknown: 'block' },
  agents: {
    coder: {
      mode: 'enforce',
      allowed_domains: ['b.example'],
      blocked_domains: ['c.example'],
      blocked_categories: ['pii'],
      rate_limit: 10,
      rate_limit_per_destination: 5,
      budget: { bytes_out: 1000 },
      token: ['not', 'a', 'secret'].join('-'),
    },
  },
  policies: { files: ['/p.yaml'], receiver: 'https://r.example', on_absent: 'block' },
};

test('the same, and more, lowers nothing', () => {
  assert.deepEqual(lowered(STRICT, STRICT), []);
  assert.deepEqual(lowered({}, STRICT), []);
  const more = {
    ...STRICT,
    destinations: { ...STRICT.destinations, blocked: ['evil.example', '@paste', 'd.example'] },
  };
  assert.deepEqual(lowered(STRICT, more), []);
});

test('everything that protects less is named', () => {
  const found = lowered(STRICT, {});
  for (const part of [
    'mode: monitor, was enforce',
    'destinations.blocked: without evil.example, @paste',
    'destinations.allowed: empty now',
    'agents.coder: is gone',
    'identify: optional, was required',
    'baseline.on_unknown: flag, was block',
    'intercept: none',
    'policies.files: /p.yaml no longer read',
    'policies.receiver: no longer asked',
    'policies.on_absent: not-applicable, was block',
  ]) {
    assert.ok(
      found.some((line) => line.startsWith(part)),
      `${part} in ${found.join(' | ')}`,
    );
  }
});

test('of an agent as well', () => {
  const agent = {
    mode: 'monitor' as const,
    allowed_domains: ['b.example', 'x.example'],
    rate_limit: 100,
    rate_limit_per_destination: 0,
    budget: { bytes_out: 5000 },
  };
  const found = lowered(STRICT, { ...STRICT, agents: { coder: agent } });
  assert.deepEqual(found, [
    'agents.coder.mode: monitor, was enforce',
    'agents.coder.blocked_domains: without c.example',
    'agents.coder.allowed_domains: x.example added',
    'agents.coder.rate_limit: more than before',
    'agents.coder.rate_limit_per_destination: more than before',
    'agents.coder.budget: more than before',
    'agents.coder.token: is gone',
    'agents.coder.blocked_categories: without pii',
  ]);
});

test('modes are those that count: of an agent that is new, or has no mode of its own any more', () => {
  const enforce: ConfigInput = { mode: 'enforce' };
  assert.deepEqual(lowered(enforce, { ...enforce, agents: { a: { mode: 'monitor' } } }), [
    'agents.a.mode: monitor, was enforce',
  ]);
  assert.deepEqual(lowered({ ...enforce, agents: { a: {} } }, { ...enforce, agents: { a: { mode: 'redact' } } }), [
    'agents.a.mode: redact, was enforce',
  ]);
  assert.deepEqual(lowered({ agents: { a: { mode: 'enforce' } } }, { agents: { a: {} } }), [
    'agents.a.mode: monitor, was enforce',
  ]);
  assert.deepEqual(lowered({ ...enforce, agents: { a: { mode: 'monitor' } } }, { ...enforce, agents: { a: {} } }), []);
  assert.deepEqual(lowered({ ...enforce, agents: { a: {} } }, { agents: { a: {} } }), ['mode: monitor, was enforce']);
});

test('contents that are looked at less, or ask for less', () => {
  const before: ConfigInput = {
    intercept: 'all',
    tunnel: { on_ech: 'block' },
    body: { on_unscanned: 'block', seconds_per_minute: 20 },
    patterns: { secrets_env: ['A_KEY', 'B_KEY'], secrets_file: '/s', directories: ['/d'] },
    scan: {
      requests: { credential: 'block', categories: { token: { high: 'block' } } },
      destinations: [{ hosts: ['a.example'], responses: { injection: 'block' } }],
    },
    agents: { coder: { scan: { dispositions: { requests: { pii: { high: 'redact' } } } } } },
  };
  assert.deepEqual(lowered(before, before), []);
  assert.deepEqual(
    lowered(before, {
      intercept: { only: ['x.example'] },
      tunnel: { on_ech: 'flag' },
      body: { on_unscanned: 'auto', seconds_per_minute: 5, scan_bytes: 1000 },
      patterns: { secrets_env: ['B_KEY'], env_secrets: 'off', disable: ['jwt'] },
      scan: {
        requests: { credential: { high: 'flag' }, injection: 'allow' },
        suppress: [{ rule: 'jwt' }],
      },
      agents: { coder: { scan: { requests: false } }, fresh: { scan: { responses: false } } },
    }),
    [
      'intercept: not all, was all',
      'scan.requests.credential: asks for less',
      'scan.requests.categories.token: asks for less',
      'scan.requests.injection: asks for less',
      'body.on_unscanned: auto, was block',
      'body.scan_bytes: 1000, was all',
      'body.seconds_per_minute: 5, was 20',
      'tunnel.on_ech: flag, was block',
      'patterns.disable: jwt',
      'patterns.directories: without /d',
      'patterns.secrets_file: /s no longer read',
      'patterns.secrets_env: without A_KEY',
      'patterns.env_secrets: off, was run',
      'scan.suppress: 1 added',
      'scan.destinations: without a.example',
      'agents.coder.scan.requests: not looked at any more',
      'agents.coder.scan.dispositions.requests.pii: asks for less',
      'agents.fresh.scan: not all is looked at',
    ],
  );
});
