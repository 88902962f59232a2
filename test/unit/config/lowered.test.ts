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
