import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from '../../../src/config/known.ts';
import { defaultConfig, parseConfig } from '../../../src/config/load.ts';
import { configReference, jsonSchemaText, referenceEntries } from '../../../src/config/reference.ts';
import { parseDestination, parseHostPort } from '../../../src/config/values.ts';

/** product.md §10: every name other programs rely on. */
const CONTRACT =
  `mode listen allow_from identify admin.listen health.listen state_dir agent intercept tls.on_unverifiable
tunnel.on_ech telemetry.endpoint telemetry.dialects telemetry.url telemetry.sample.unremarkable telemetry.journal.max_bytes
telemetry.genai store.path store.retention_days store.flush_ms store.max_bytes store.min_free_bytes store.required
upstream.resolve upstream.ca_file upstream.proxy destinations.allowed destinations.blocked destinations.internal agents_dir
agents agents.<agent>.token agents.<agent>.token_file agents.<agent>.sources agents.<agent>.mode agents.<agent>.allowed_domains
agents.<agent>.blocked_domains agents.<agent>.blocked_categories agents.<agent>.rate_limit agents.<agent>.rate_window
agents.<agent>.scan.requests agents.<agent>.scan.responses agents.<agent>.baseline baseline.ready_after_requests
baseline.ready_after_hours baseline.learning_max_days baseline.on_unknown baseline.seed patterns.directories patterns.disable
patterns.secrets_file patterns.secrets_env patterns.env_secrets policies.files policies.receiver policies.accept_shrink
body.scan_bytes body.decoded_bytes body.decode_ratio body.decode_depth body.candidates body.seconds_per_minute
body.on_unscanned notify notify[].url notify[].on limits.connections limits.connections_per_agent
limits.streams_per_connection limits.head_bytes limits.headers limits.client_hello_ms limits.head_ms limits.connect_ms
limits.keepalive_s limits.tunnel_idle_s limits.drain_s limits.agents limits.destinations_per_agent
limits.spans_per_trace_hour limits.held_bytes listen.address listen.agent listen.tls.cert listen.tls.key
listen.tls.client_ca intercept.only intercept.except`.split(/\s+/);

test('the reference lists every key of the contract, once', () => {
  const keys = referenceEntries().map((entry) => entry.key);
  assert.deepEqual(
    CONTRACT.filter((key) => !keys.includes(key)),
    [],
  );
  assert.equal(new Set(keys).size, keys.length);
  assert.ok(referenceEntries().every((entry) => entry.type !== ''));
});

test('the Markdown has one line per key and the schema is JSON', () => {
  assert.equal(configReference().trim().split('\n').length, referenceEntries().length + 2);
  assert.equal((JSON.parse(jsonSchemaText()) as { additionalProperties: unknown }).additionalProperties, false);
});

test('every default that the reference shows is the one that is used', () => {
  const config = defaultConfig() as unknown as Record<string, unknown>;
  for (const { key, default: shown } of referenceEntries()) {
    if (shown === '' || /[[<]/.test(key) || ['listen', 'state_dir', 'agents', 'upstream.resolve'].includes(key))
      continue;
    const used = key.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown>)[part], config);
    assert.equal(JSON.stringify(used), shown, key);
  }
});

test('what the limit of held bytes bounds is said where it is set', () => {
  const line = configReference()
    .split('\n')
    .find((text) => text.includes('limits.held_bytes'));
  assert.match(line ?? '', /HTTP\/2 streams hold .*new streams are refused.*HTTP\/1 and tunnels are not counted/);
});

test('destination rules read their short form', () => {
  const rule = (text: string) => {
    const { host, ports, methods, paths } = parseDestination(text);
    return [host, ports.join(), methods.join(), paths.join()].join('|');
  };
  assert.equal(rule('API.Example.org.'), 'api.example.org|||');
  assert.equal(rule('*.example.org:8443'), '*.example.org|8443||');
  assert.equal(rule('POST api.github.com/gists'), 'api.github.com||POST|/gists');
  assert.equal(rule('@paste'), '@paste|||');
  assert.equal(rule('[::1]:80'), '::1|80||');
  assert.equal(rule('10.0.0.0/8'), '10.0.0.0/8|||');
  assert.equal(rule('2001:db8::/32'), '2001:db8::/32|||');
  assert.equal(rule('bücher.example'), 'xn--bcher-kva.example|||');
  for (const bad of ['*.com', '*x', 'a b c', 'https://x', 'user@host', 'x:0', 'x:70000', '', '@', '*.*'])
    assert.throws(() => parseDestination(bad), Error, bad);
});

test('addresses with ports', () => {
  assert.deepEqual(parseHostPort('[::1]:0'), { host: '::1', port: 0 });
  assert.deepEqual(parseHostPort('LocalHost:80'), { host: 'localhost', port: 80 });
  for (const bad of ['', '8080', '::1:80', '[127.0.0.1]:80', '*:80', 'a:b', '1.2.3:80', '[::1]', 'x:65536', '-a:1'])
    assert.throws(() => parseHostPort(bad), Error, bad);
});

test('names that are properties of every object are ordinary agent names or refused', () => {
  const config = parseConfig({ agents: { constructor: { rate_limit: 5 }, toString: {} } });
  assert.equal(config.agents.get('constructor')?.rate_limit, 5);
  assert.equal(config.agents.get('hasOwnProperty'), undefined);
});

test('the nearest key is a typing mistake away, or nothing', () => {
  assert.equal(nearest('baselines', ['baseline', 'body']), 'baseline');
  assert.equal(nearest('lsiten', ['listen', 'limits']), 'listen');
  assert.equal(nearest('state-dir', ['state_dir']), 'state_dir');
  assert.equal(nearest('zebra', ['listen', 'limits']), undefined);
});
