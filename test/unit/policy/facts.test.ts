import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exchange } from '../../../src/model/exchange.ts';
import { compile, createContext, evaluate } from '../../../src/policy/cel.ts';
import { factsOf, READ_FROM_EXCHANGE } from '../../../src/policy/facts.ts';
import { NEEDS_CONTENT, READABLE, TUNNEL } from '../../../src/policy/vocabulary.ts';

interface Shape {
  readonly kind?: Exchange['kind'];
  readonly method?: string;
  readonly scheme?: 'http' | 'https' | 'tcp';
  readonly host?: string;
  readonly port?: number;
  readonly target?: string;
  readonly fields?: readonly string[];
  readonly visibility?: 'tunnel' | 'intercepted' | 'plaintext';
}

function exchange(shape: Shape = {}): Exchange {
  const { kind = 'exchange', method = 'POST', scheme = 'https', host = 'api.example.org', port = 443 } = shape;
  const { target = '/v1/m?q=1', fields = ['User-Agent', 'curl/8', 'Content-Type', 'Application/JSON; charset=utf-8'] } =
    shape;
  const connection = {
    id: 'c1',
    openedAt: 0,
    client: { address: '127.0.0.1', port: 5 },
    via: 'connect',
    visibility: shape.visibility ?? 'intercepted',
    tls: { sni: host, alpn: ['h2'], ja4: 't13', version: '1.3', ech: false },
    exchanges: 0,
  } as const;
  return {
    kind,
    id: 'e1',
    connection,
    request: { method, scheme, authority: host, target, protocol: '2', fields },
    destination: { scheme, host, port },
    identity: { agent: 'researcher', by: 'token' },
    findings: [{ rule: 'first-seen' }, { rule: 'first-seen' }, { rule: 'name-mismatch' }],
    firstSeen: true,
    requestBytes: 0,
    responseBytes: 0,
  } as unknown as Exchange;
}

const CONNECT: Shape = {
  kind: 'connect',
  method: 'CONNECT',
  scheme: 'tcp',
  target: '',
  fields: [],
  visibility: 'tunnel',
};
const url = (shape: Shape) => factsOf(exchange(shape), 0).attrs.get('strathon.http.url');

test('Strathon’s context to the letter (strathon-compat §1.2)', () => {
  const { name, agent, attrs, now } = factsOf(exchange(), 77);
  assert.deepEqual([name, agent, now], ['http.post', 'researcher', 77]);
  assert.equal(attrs.get('strathon.tool.name'), 'http.post');
  assert.equal(attrs.get('gen_ai.tool.name'), 'http.post');
  assert.equal(attrs.get('strathon.source'), 'egress_proxy');
  assert.equal(url({}), 'https://api.example.org/v1/m?q=1');
  assert.equal(url({ port: 8443 }), 'https://api.example.org:8443/v1/m?q=1');
  assert.equal(url({ scheme: 'http', port: 80, target: '/' }), 'http://api.example.org/');
  assert.equal(url({ scheme: 'http', port: 443 }), 'http://api.example.org:443/v1/m?q=1');
  assert.equal(url({ host: '2001:db8::1' }), 'https://[2001:db8::1]/v1/m?q=1');
  assert.equal(url({ method: 'OPTIONS', target: '*' }), 'https://api.example.org/');
  assert.equal(url(CONNECT), 'https://api.example.org/');
  assert.equal(url({ ...CONNECT, port: 22 }), 'https://api.example.org:22/');
});

test('ours beside them', () => {
  const { attrs } = factsOf(exchange(), 0);
  const read = (...keys: string[]) => keys.map((key) => attrs.get(key));
  assert.deepEqual(read('url.full', 'url.path', 'url.query', 'url.scheme'), [url({}), '/v1/m', 'q=1', 'https']);
  assert.deepEqual(read('http.request.method', 'server.address', 'server.port'), ['POST', 'api.example.org', 443]);
  assert.deepEqual(read('user_agent.original', 'weir.request.content_type'), ['curl/8', 'application/json']);
  assert.deepEqual(read('weir.tls.sni', 'weir.tls.alpn', 'weir.tls.ech'), ['api.example.org', ['h2'], false]);
  assert.deepEqual(read('weir.finding.rules', 'weir.destination.first_seen'), [['first-seen', 'name-mismatch'], true]);
  assert.deepEqual(read('network.transport', 'weir.run.id', '__proto__', 'constructor'), [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('a tunnel has what the vocabulary says, and nothing that needs content', () => {
  const { name, attrs } = factsOf(exchange(CONNECT), 0, new Map());
  assert.equal(name, 'http.connect');
  for (const [key, value] of TUNNEL) assert.equal(attrs.get(key), value, key);
  for (const key of NEEDS_CONTENT) assert.equal(attrs.get(key), undefined, key);
});

test('everything read here is in the vocabulary; the rest of the vocabulary comes with `more`', () => {
  assert.deepEqual(
    [...READ_FROM_EXCHANGE].filter((key) => !READABLE.has(key)),
    [],
  );
  assert.deepEqual([...READABLE].filter((key) => !READ_FROM_EXCHANGE.has(key)).sort(), [
    'deployment.environment',
    'gen_ai.completion',
    'gen_ai.operation.name',
    'gen_ai.prompt',
    'gen_ai.provider.name',
    'gen_ai.request.model',
    'strathon.project.environment',
    'weir.baseline.state',
    'weir.credential.fingerprint',
    'weir.destination.tenant',
  ]);
  const { attrs } = factsOf(
    exchange(),
    0,
    new Map([
      ['gen_ai.prompt', 'hi'],
      ['weir.agent', 'somebody else'],
    ]),
  );
  assert.equal(attrs.get('gen_ai.prompt'), 'hi');
  assert.equal(attrs.get('weir.agent'), 'researcher');
});

test('expressions see only what is set', () => {
  const context = createContext(factsOf(exchange(), 0));
  const holds = (expression: string) => evaluate(compile(expression), context).outcome;
  assert.equal(holds('attrs.exists(k, k == "url.path") && !attrs.exists(k, k == "weir.run.id")'), 'MATCH');
  assert.equal(holds('attrs["server.port"] == 443 && "first-seen" in attrs["weir.finding.rules"]'), 'MATCH');
  assert.equal(holds('attrs["gen_ai.prompt"] == "x"'), 'ERROR');
});
