import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { compileCategories } from '../../../src/inspect/categories.ts';
import { createDestinations, type DestinationLists } from '../../../src/inspect/destination.ts';
import type { DestinationRule } from '../../../src/inspect/destination-rules.ts';
import { pathMatches, rulePath } from '../../../src/inspect/rule-path.ts';
import { exchangeTo, type Made } from './support.ts';

const categories = compileCategories(parse(readFileSync('patterns/destinations.yaml', 'utf8')));
const rule = (host: string, more: Partial<DestinationRule> = {}): DestinationRule => ({
  host,
  ports: [],
  methods: [],
  paths: [],
  ...more,
});
const lists = (allowed: DestinationRule[], blocked: DestinationRule[] = []): DestinationLists => ({ allowed, blocked });
const make = (
  global: DestinationLists,
  agents: [string, DestinationLists][] = [],
  more: Partial<Parameters<typeof createDestinations>[0]> = {},
) => createDestinations({ global, agents: new Map(agents), agentKey: (a) => a, categories, ...more });
const rules = (made: ReturnType<typeof make>, authority: string, facts: Made = {}) =>
  made.inspector.inspect(exchangeTo(authority, facts), {}).map((f) => f.rule);

const NOT = ['destination-not-allowed'];
const BLOCKED = ['destination-blocked'];

test('no allow entry anywhere means everything; one entry means only the union', () => {
  assert.deepEqual(rules(make(lists([])), 'example.org'), []);
  const some = make(lists([rule('example.org')]), [['researcher', lists([rule('*.example.net')])]]);
  assert.deepEqual(rules(some, 'example.org'), []);
  assert.deepEqual(rules(some, 'a.example.net'), []);
  assert.deepEqual(rules(some, 'example.net'), NOT);
  assert.deepEqual(rules(some, 'example.com'), NOT);
  assert.deepEqual(rules(some, 'a.example.net', { agent: 'coder' }), NOT);
  const own = make(lists([]), [['researcher', lists([rule('example.org')])]]);
  assert.deepEqual(rules(own, 'example.com'), NOT);
  assert.deepEqual(rules(own, 'example.com', { agent: 'coder' }), []);
  assert.deepEqual(rules(make(lists([rule('*')])), 'anything.example'), []);
});

test('a block wins over every allow, global or own', () => {
  const both = make(lists([rule('example.org')], [rule('bad.example')]), [
    ['researcher', lists([rule('bad.example')], [rule('example.org')])],
  ]);
  assert.deepEqual(rules(both, 'bad.example'), BLOCKED);
  assert.deepEqual(rules(both, 'example.org'), BLOCKED);
  assert.deepEqual(rules(both, 'example.org', { agent: 'coder' }), []);
});

test('ports, methods, paths, addresses, categories', () => {
  const ported = make(lists([rule('example.org', { ports: [8443] })]));
  assert.deepEqual(rules(ported, 'example.org:8443'), []);
  assert.deepEqual(rules(ported, 'example.org'), NOT);
  assert.equal(ported.namesPort(exchangeTo('example.org:8443')), true);
  assert.equal(ported.namesPort(exchangeTo('example.org')), false);
  const scoped = make(lists([rule('api.example', { methods: ['POST'], paths: ['/v1/*'] })]));
  assert.deepEqual(rules(scoped, 'api.example', { method: 'POST', target: '/v1/chat?x=/..' }), []);
  assert.deepEqual(rules(scoped, 'api.example', { method: 'GET', target: '/v1/chat' }), NOT);
  assert.deepEqual(rules(scoped, 'api.example', { method: 'POST', target: '/v2/chat' }), NOT);
  for (const target of ['/v1/../admin', '/v1/%2e%2e/admin', '/v1/..%2fadmin', '/v1/..;/admin', '/v1\\..\\..\\admin']) {
    assert.deepEqual(rules(scoped, 'api.example', { method: 'POST', target }), NOT, target);
  }
  const range = make(lists([rule('10.0.0.0/8'), rule('2001:db8::1')]));
  assert.deepEqual(rules(range, '10.2.3.4'), []);
  assert.deepEqual(rules(range, '[2001:db8::1]'), []);
  assert.deepEqual(rules(range, '11.2.3.4'), NOT);
  assert.deepEqual(rules(make(lists([], [rule('@paste')])), 'www.pastebin.com'), BLOCKED);
  assert.deepEqual(rules(make(lists([rule('@llm')])), 'api.openai.com'), []);
  assert.throws(() => make(lists([rule('@no-such')])), /@paste/);
  assert.throws(() => make(lists([rule('*.com')])), /everybody/);
});

test('a block rule about a path judges what a server may read, not only what is written', () => {
  const made = make(lists([], [rule('api.example', { paths: ['/admin'] })]));
  for (const target of ['/admin', '/admin/x', '/a/../admin', '/%61dmin', '//admin', '/./admin?x', '/admin;v=1']) {
    assert.deepEqual(rules(made, 'api.example', { target }), BLOCKED, target);
  }
  assert.deepEqual(rules(made, 'api.example', { target: '/administrator' }), []);
});

test('a CONNECT shows no path: allowed when it will be read, refused when it will not', () => {
  const scoped = lists([rule('api.example', { paths: ['/v1'] })], [rule('api.example', { paths: ['/v2'] })]);
  const connect: Made = { kind: 'connect' };
  assert.deepEqual(rules(make(scoped), 'api.example', connect), []);
  assert.deepEqual(rules(make(scoped, [], { willRead: () => true }), 'api.example', connect), []);
  assert.deepEqual(rules(make(scoped, [], { willRead: () => false }), 'api.example', connect), NOT);
});

test('risky categories and cleartext uploads are flagged, unless somebody said yes', () => {
  const made = make(lists([]));
  assert.deepEqual(rules(made, 'pastebin.com'), ['risky-destination']);
  assert.deepEqual(rules(made, '203.0.113.9'), ['risky-destination']);
  assert.deepEqual(rules(made, '127.0.0.1:8080'), []);
  assert.deepEqual(rules(made, 'api.openai.com'), []);
  const upload: Made = { scheme: 'http', method: 'POST', fields: ['Content-Length', '2000'] };
  assert.deepEqual(rules(made, 'example.org', upload), ['cleartext-upload']);
  assert.deepEqual(rules(made, 'localhost', upload), []);
  assert.deepEqual(rules(made, 'example.org', { ...upload, fields: ['content-length', '20'] }), []);
  assert.deepEqual(rules(made, 'example.org', { ...upload, scheme: 'https' }), []);
  assert.deepEqual(rules(make(lists([rule('pastebin.com')])), 'pastebin.com'), []);
  assert.deepEqual(rules(make(lists([rule('*')])), 'pastebin.com'), ['risky-destination']);
  const accepted = make(lists([]), [], {
    accepted: (agent, host, port) => `${agent} ${host} ${port}` === 'researcher pastebin.com 443',
  });
  assert.deepEqual(rules(accepted, 'pastebin.com'), []);
  assert.deepEqual(rules(accepted, 'pastebin.com:80'), ['risky-destination']);
});

test('names from prototypes are names', () => {
  const made = make(lists([rule('example.org')]), [['__proto__', lists([rule('constructor')])]]);
  assert.deepEqual(rules(made, 'constructor'), NOT);
  assert.deepEqual(rules(made, 'constructor', { agent: '__proto__' }), []);
  assert.deepEqual(rules(made, '__proto__', { agent: 'constructor' }), NOT);
});

test('the shipped categories have source and date, and no host twice in one', () => {
  const data = parse(readFileSync('patterns/destinations.yaml', 'utf8')) as {
    categories: Record<string, { hosts: string[]; date: string }>;
  };
  for (const [name, { hosts, date }] of Object.entries(data.categories)) {
    assert.equal(new Set(hosts).size, hosts.length, name);
    assert.match(date, /^\d{4}-\d\d-\d\d$/);
  }
  for (const name of ['paste', 'file-drop', 'tunnel', 'webhook-catcher', 'doh', 'dynamic-dns', 'ip-literal']) {
    assert.ok(categories.names.has(name), name);
  }
  for (const bad of [
    null,
    [],
    {},
    { categories: { x: {} } },
    { categories: { x: { source: 'a', date: 'b', hosts: ['a b'] } } },
  ]) {
    assert.throws(() => compileCategories(bad));
  }
});

test('rule paths', () => {
  assert.deepEqual(rulePath('/a/b?c'), { written: '/a/b', meant: '/a/b' });
  assert.equal(rulePath('/a/%2e%2E/b#x').meant, '/b');
  assert.equal(rulePath('/../../etc/').meant, '/etc/');
  assert.equal(rulePath('/%zz').meant, '/%zz');
  assert.ok(
    pathMatches('/a', '/a/b') &&
      pathMatches('/a/', '/a/b') &&
      !pathMatches('/a', '/ab') &&
      pathMatches('/*/x', '/a/b/x'),
  );
});
