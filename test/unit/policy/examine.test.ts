import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { blindHosts } from '../../../src/policy/blind.ts';
import { decide } from '../../../src/policy/decide.ts';
import { type Examined, examine } from '../../../src/policy/examine.ts';
import { parsePolicies } from '../../../src/policy/parse.ts';
import { TUNNEL, TUNNEL_NAME } from '../../../src/policy/vocabulary.ts';

function all(rows: readonly object[]): Examined[] {
  const { set, problems } = parsePolicies(rows, { name: 'f', kind: 'file' });
  assert.deepEqual(problems, []);
  return examine(set);
}

function one(match_expression: string, extra: object = {}): Examined {
  const [examined] = all([{ name: 'p', match_expression, action: 'block', ...extra }]);
  assert.ok(examined);
  return examined;
}

const codes = ({ remarks }: Examined) => remarks.map(({ code }) => code);

const NEVER_IN_TUNNEL = [
  'attrs["http.request.method"] == "POST"',
  'attrs["strathon.tool.name"] == "http.post"',
  'name == "http.post" && attrs["server.address"] == "evil.com"',
  'name != "http.connect"',
  'attrs["url.path"].startsWith("/v1/")',
  'has(attrs["gen_ai.prompt"]) && attrs["gen_ai.prompt"].matches("(?i)ignore")',
  'attrs["strathon.http.url"].contains("/v1/messages")',
  'attrs["strathon.http.url"].contains("?key=")',
  'attrs["strathon.http.url"].startsWith("http://")',
  'attrs["strathon.http.url"].endsWith(".zip")',
  'attrs["strathon.http.url"] == "https://evil.com/upload"',
  'attrs["server.address"] == "evil.com" && attrs["gen_ai.prompt"].contains("x")',
  'attrs["weir.visibility"] != "tunnel"',
];
const MAY_MATCH_IN_TUNNEL = [
  'attrs["strathon.http.url"].contains("evil.com")',
  'attrs["strathon.http.url"].contains("evil.com/")',
  'attrs["strathon.http.url"].contains("//evil.com:8443")',
  'attrs["strathon.http.url"].contains("ps://")',
  'attrs["strathon.http.url"].startsWith("https://evil.com")',
  'attrs["strathon.http.url"].startsWith("https")',
  'attrs["strathon.http.url"].endsWith(".com/")',
  'attrs["strathon.http.url"] == "https://evil.com/"',
  'attrs["strathon.http.url"] != "https://evil.com/upload"',
  'attrs["strathon.http.url"].matches("/upload")',
  'attrs["server.address"].endsWith(".evil.com")',
  'attrs["gen_ai.prompt"].contains("x") || attrs["server.address"] == "evil.com"',
  'has(attrs["user_agent.original"])',
  '"weir.tls.sni" in attrs && attrs["weir.tls.ech"]',
  'now.getDayOfWeek() == 0',
  'name == "http.connect"',
  'attrs.exists(k, attrs[k] == "evil.com")',
  'true',
];

describe('tunnels', () => {
  test('what can never match while TLS is tunnelled', () => {
    for (const expression of NEVER_IN_TUNNEL) {
      const examined = one(expression);
      assert.deepEqual([examined.canMatch, examined.canMatchInTunnel], [true, false], expression);
      assert.ok(codes(examined).includes('never-in-tunnel'), expression);
    }
    for (const expression of MAY_MATCH_IN_TUNNEL) assert.equal(one(expression).canMatchInTunnel, true, expression);
    assert.match(one('attrs["url.path"] == "/x"').remarks[0]?.text ?? '', /tunnelled: it reads url\.path/);
  });

  test('applies_to counts', () => {
    assert.equal(one('true', { applies_to: ['post'] }).canMatchInTunnel, false);
    assert.equal(one('true', { applies_to: ['post', 'connect'] }).canMatchInTunnel, true);
    assert.equal(one('true', { applies_to: ['http'] }).canMatchInTunnel, true);
  });

  test('what is said never to match does not match a tunnel (property over hosts)', () => {
    const rows = NEVER_IN_TUNNEL.map((match_expression, i) => ({ name: `p${i}`, match_expression, action: 'log' }));
    const { set } = parsePolicies(rows, { name: 'f', kind: 'file' });
    for (const host of ['evil.com', 'a.zip', 'x.evil.com:8443', '[2001:db8::1]:444', 'v1.messages']) {
      const attrs = new Map<string, string>([
        ...TUNNEL,
        ['strathon.http.url', `https://${host}/`],
        ['server.address', host],
      ]);
      const facts = { name: TUNNEL_NAME, agent: 'a', attrs, now: 0 };
      assert.deepEqual(decide(set, facts, { throttled: () => 0, approved: () => true }).matched, [], host);
    }
  });
});

test('never, always, unknown names and attributes', () => {
  assert.deepEqual(codes(one('false')), ['never']);
  assert.deepEqual(codes(one('1 == 2 || name == "x" && false')), ['never']);
  assert.deepEqual(codes(one('1 == 1')), ['always']);
  assert.deepEqual(codes(one('true || name == "x"')), ['always']);
  assert.deepEqual(codes(one('true')), []);
  assert.deepEqual(codes(one('attr["x"] == 1')), ['unknown-name', 'never']);
  assert.deepEqual(codes(one('name.contians("x") || name.startsWith("http")')), ['unknown-name']);
  const typo = one('attrs["server.adress"] == "x"');
  assert.deepEqual([codes(typo), typo.unknownAttributes], [['never', 'unknown-attribute'], ['server.adress']]);
  assert.deepEqual(codes(one('attrs["server.address"] == "x" || attrs["mine"] == "y"')), ['unknown-attribute']);
  assert.match(
    one('attrs["http.response.status_code"] == 200').remarks.at(-1)?.text ?? '',
    /known only after the request/,
  );
  assert.deepEqual(one('attrs["b"] == attrs["a"]').reads, ['a', 'b']);
});

test('a policy below one that decides everything is told', () => {
  const rows = [
    { name: 'above', match_expression: 'true', action: 'log', priority: 9 },
    { name: 'everything', match_expression: 'true', action: 'allow', priority: 5 },
    { name: 'below', match_expression: 'name == "x"', action: 'block' },
    { name: 'below-log', match_expression: 'name == "x"', action: 'log' },
    { name: 'below-shadow', match_expression: 'name == "x"', action: 'block', shadow: true },
  ];
  assert.deepEqual(
    all(rows).map((examined) => [examined.policy.name, codes(examined).includes('overshadowed')]),
    [
      ['above', false],
      ['everything', false],
      ['below', true],
      ['below-log', false],
      ['below-shadow', false],
    ],
  );
  const scoped = rows.map((row) => (row.name === 'everything' ? { ...row, applies_to: ['post'] } : row));
  assert.ok(all(scoped).every((examined) => !codes(examined).includes('overshadowed')));
});

test('what is known of a URL is not known of what is made of it', () => {
  const made = one('(attrs["strathon.http.url"] == "https://a.example/" ? "evil" : "b").startsWith("e")');
  assert.equal(made.canMatchInTunnel, true);
});

describe('what is said in LLM calls', () => {
  const text = (expression: string, action: string) =>
    one(expression, { action }).remarks.find(({ code }) => code === 'too-late')?.text;
  const PROMPT = 'attrs["gen_ai.prompt"].contains("x")';

  test('is known too late to allow, or to take out; what stops or records comes in time', () => {
    assert.match(text(PROMPT, 'allow') ?? '', /^reads gen_ai\.prompt and is asked when the rest has decided/);
    assert.match(
      text(`${PROMPT} && attrs["gen_ai.request.model"] == "m"`, 'redact') ?? '',
      /gen_ai\.prompt, gen_ai\.request\.model/,
    );
    for (const action of ['block', 'steer', 'log', 'alert', 'require_approval'])
      assert.equal(text(PROMPT, action), undefined, action);
    assert.equal(text('attrs["server.address"] == "a.example"', 'allow'), undefined);
  });

  test('of the answer: nothing is stopped by it', () => {
    for (const action of ['block', 'allow', 'redact'])
      assert.match(
        text('attrs["gen_ai.completion"].contains("x")', action) ?? '',
        /recorded and stops nothing/,
        action,
      );
    for (const action of ['log', 'alert'])
      assert.equal(text('attrs["gen_ai.completion"].contains("x")', action), undefined);
  });
});

describe('hosts whose TLS is not read', () => {
  const blind = (expression: string, ...read: string[]) =>
    blindHosts(one(expression), (host) => read.some((name) => host === name || host.endsWith(`.${name}`)));
  const AT = 'attrs["server.address"] == "api.a.example" && attrs["url.path"] == "/x"';

  test('a policy that needs the content of theirs is named with them', () => {
    assert.deepEqual(blind(AT), ['api.a.example']);
    assert.deepEqual(blind(AT, 'other.example'), ['api.a.example']);
    assert.deepEqual(blind(AT, 'a.example'), []);
    assert.deepEqual(blind('attrs["strathon.http.url"].startsWith("https://api.a.example/v1")'), ['api.a.example']);
    assert.deepEqual(blind('attrs["strathon.http.url"] == "https://api.a.example/v1"', 'b.example'), ['api.a.example']);
    const both = 'attrs["server.address"] in ["a.example", "b.example"] && attrs["http.request.method"] == "POST"';
    assert.deepEqual(blind(both), ['a.example', 'b.example']);
    assert.deepEqual(blind(both, 'b.example'), []);
    const below = 'attrs["server.address"].endsWith(".a.example") && attrs["url.path"] == "/x"';
    assert.deepEqual(blind(below), ['a.example']);
    assert.deepEqual(blind(below, 'www.a.example'), []);
  });

  test('one for any host, for tunnels, or for none of those it mentions, is not', () => {
    for (const expression of [
      'attrs["url.path"] == "/x"',
      'attrs["server.address"] == "a.example"',
      'attrs["strathon.http.url"].contains("a.example/v1/x")',
      'attrs["server.address"] != "a.example" && attrs["url.path"] == "/x"',
      'attrs["gen_ai.prompt"].contains("mail.a.example")',
    ])
      assert.deepEqual(blind(expression), [], expression);
  });
});
