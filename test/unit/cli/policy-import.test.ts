import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { importOktsec } from '../../../src/cli/oktsec.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { weir } from './world.ts';

const EXAMPLE = join(import.meta.dirname, '../../../examples/policies/oktsec.yaml');

test('what it writes is a configuration of Weir, comments included', async () => {
  const { out, code } = await weir(['policy', 'import', EXAMPLE], { HOME: '/nonexistent' });
  assert.equal(code, 0);
  assert.match(out, /^# forward_proxy\.max_body_size: bodies are read whole/m);
  assert.match(out, /^# agents\.researcher\.egress\.scope: private addresses are refused/m);
  const config = configSchema.parse(parse(out));
  assert.deepEqual(
    config.listen.map(({ host, port }) => [host, port]),
    [['127.0.0.1', 8083]],
  );
  assert.deepEqual(
    config.destinations.blocked.map(({ host }) => host),
    ['pastebin.com', '*.ngrok.io'],
  );
  const researcher = config.agents.get('researcher');
  assert.deepEqual(
    researcher?.allowed_domains.map(({ host }) => host),
    ['api.github.com', '*.wikipedia.org'],
  );
  assert.deepEqual(researcher?.blocked_categories, ['pii', 'injection']);
  assert.deepEqual([researcher?.rate_limit, researcher?.rate_window], [60, 60]);
  assert.deepEqual([researcher?.scan.requests, researcher?.scan.responses], [true, false]);
});

test('what cannot be is said, nothing else is lost', () => {
  const { config, remarks } = importOktsec({
    forward_proxy: { port: 99_999, allowed_domains: ['*.com', 'ok.example'], require_auth: true, enabled: false },
    agents: {
      'bad name': { egress: {} },
      plain: { can_message: ['x'] },
      coder: { egress: { blocked_categories: ['pii', 'astrology'], rate_limit: 5, rate_window: 10, new_key: 1 } },
    },
  });
  assert.deepEqual(config, {
    identify: 'required',
    destinations: { allowed: ['ok.example'] },
    agents: {
      coder: {
        blocked_categories: ['pii'],
        rate_limit: 5,
        rate_window: 10,
        scan: { requests: true, responses: false },
      },
    },
  });
  const keys = remarks.map((remark) => remark.split(':', 1)[0]);
  assert.deepEqual(keys.sort(), [
    'agents.bad name',
    'agents.coder.egress.blocked_categories',
    'agents.coder.egress.new_key',
    'forward_proxy.allowed_domains',
    'forward_proxy.enabled',
    'forward_proxy.port',
  ]);
});

test('another file is refused with what is missing', async () => {
  assert.throws(() => importOktsec({ mode: 'monitor' }), /no forward_proxy and no agents/);
  const { code, err } = await weir(['policy', 'import', '/nonexistent.yaml'], { HOME: '/nonexistent' });
  assert.equal(code, 2);
  assert.match(err, /no such file/);
});
