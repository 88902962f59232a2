import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideEarly } from '../../../src/policy/early.ts';
import { factsOf } from '../../../src/policy/facts.ts';
import { parsePolicies } from '../../../src/policy/parse.ts';
import { exchangeTo } from '../inspect/support.ts';

const policy = (match_expression: string, more: Record<string, unknown> = {}) => ({
  name: `p${JSON.stringify(more)}`,
  match_expression,
  action: 'block',
  ...more,
});

/** Whether a CONNECT to evil.example that is going to be read is stopped before it is dialled. */
function stopped(rows: readonly Record<string, unknown>[], authority = 'evil.example:443'): boolean {
  const { set, problems } = parsePolicies({ policies: rows }, { name: 'f', kind: 'file' });
  assert.deepEqual(problems, []);
  return decideEarly(set, factsOf(exchangeTo(authority, { kind: 'connect' }), 0)) !== undefined;
}

const HOST = policy('attrs["server.address"] == "evil.example"');

test('what every request inside would be stopped for is stopped', () => {
  for (const expression of [
    'attrs["server.address"] == "evil.example"',
    'attrs["strathon.http.url"].contains("evil.example")',
    'attrs["strathon.http.url"].contains("evil.example/")',
    'attrs["strathon.http.url"].startsWith("https://evil.")',
    'attrs["url.full"].startsWith("https://evil.example/")',
    'attrs["weir.agent"] == "researcher" && attrs["server.port"] == 443',
    '!(attrs["strathon.http.url"].startsWith("https://good.example"))',
    'attrs["server.address"] == "evil.example" || attrs["url.path"] == "/x"',
    'true',
  ]) {
    assert.equal(stopped([policy(expression)]), true, expression);
  }
});

test('what depends on the request is left to the request', () => {
  for (const expression of [
    'attrs["strathon.http.url"].contains("/secret")',
    'attrs["strathon.http.url"].startsWith("https://evil.example/api")',
    '!(attrs["strathon.http.url"].startsWith("https://evil.example/ok"))',
    'attrs["strathon.http.url"] == "https://evil.example/"',
    'attrs["strathon.http.url"].endsWith("/")',
    'attrs["strathon.http.url"].matches("evil")',
    'name == "http.connect"',
    'attrs["http.request.method"] == "CONNECT"',
    'attrs["weir.visibility"] == "tunnel"',
    'has(attrs["url.path"])',
    '"first-seen" in attrs["weir.finding.rules"]',
    'attrs["gen_ai.prompt"].contains("x") && attrs["server.address"] == "evil.example"',
    'attrs["does.not.exist"] == "x"',
    'false',
  ]) {
    assert.equal(stopped([policy(expression)]), false, expression);
  }
});

test('applies_to, agents, shadow, off, throttles and approvals', () => {
  const expression = 'true';
  assert.equal(stopped([policy(expression, { applies_to: ['http'] })]), true);
  assert.equal(stopped([policy(expression, { applies_to: ['post'] })]), false);
  assert.equal(stopped([policy(expression, { applies_to: ['connect'] })]), true, 'written for CONNECT');
  assert.equal(stopped([policy('name == "http.connect"', { applies_to: ['http.connect'] })]), true);
  assert.equal(stopped([policy(expression, { agents: ['coder'] })]), false);
  assert.equal(stopped([policy(expression, { shadow: true })]), false);
  assert.equal(stopped([policy(expression, { enabled: false })]), false);
  assert.equal(stopped([policy(expression, { action: 'require_approval' })]), false);
  const throttle = { action: 'throttle', action_config: { max_calls: 1, window_seconds: 1 } };
  assert.equal(stopped([policy(expression, throttle)]), false);
  assert.equal(stopped([policy(expression, { action: 'steer' })]), true);
});

test('an allow or a redaction that may come first leaves it open; what only records does not', () => {
  const first = { priority: 9 };
  assert.equal(stopped([policy('attrs["url.path"] == "/ok"', { ...first, action: 'allow' }), HOST]), false);
  assert.equal(stopped([policy('attrs["url.path"] == "/ok"', { ...first, action: 'redact' }), HOST]), false);
  assert.equal(stopped([policy('true', { ...first, action: 'allow', applies_to: ['get'] }), HOST]), false);
  assert.equal(stopped([policy('attrs["server.address"] == "other"', { ...first, action: 'allow' }), HOST]), true);
  assert.equal(stopped([policy('true', { ...first, action: 'alert' }), HOST]), true);
  assert.equal(
    stopped([policy('attrs["url.path"] == "/ok"', first), HOST]),
    true,
    'a block that may come first blocks too',
  );
  assert.equal(stopped([HOST, policy('true', { action: 'allow', priority: -1 })]), true);
});

test('the address on port 80 is plain HTTP inside', () => {
  assert.equal(
    stopped([policy('attrs["strathon.http.url"].startsWith("http://evil.example/")')], 'evil.example:80'),
    true,
  );
  assert.equal(
    stopped([policy('attrs["strathon.http.url"].contains("evil.example:8443")')], 'evil.example:8443'),
    true,
  );
});
