import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leakInspector, responseHeadInspector } from '../../../src/inspect/leak.ts';
import { PLAIN } from '../../../src/inspect/leak-rules.ts';
import { isReported, weigh } from '../../../src/inspect/leak-weight.ts';
import { bodyFindings } from '../../../src/inspect/leak-words.ts';
import type { Connection } from '../../../src/model/connection.ts';
import type { Finding } from '../../../src/model/finding.ts';
import type { Found, ScanFor } from '../../../src/model/scan.ts';
import { editsOf } from '../../../src/pipeline/filtered.ts';
import type { LiveExchange } from '../../../src/pipeline/live.ts';
import { found, NOWHERE, SECRET, scanner } from './leak-support.ts';
import { exchangeTo, type Made } from './support.ts';

function findings(authority: string, made: Made, change: Partial<Found> = {}) {
  const inspector = leakInspector({
    scan: scanner(change),
    rules: PLAIN,
    wanted: () => true,
    shownHost: (host) => `<${host}>`,
  });
  return inspector.inspect(exchangeTo(authority, { scheme: 'http', ...made }), {});
}

test('every place of a head, by name, and never the secret', () => {
  const places: [Made, RegExp][] = [
    [{ target: `/v1/${SECRET}/x?a=1` }, /in the path \(GET to <evil\.test>\)/],
    [{ target: `/?a=1&token=${SECRET}&b=2` }, /in query key token /],
    [{ target: `/?${SECRET}=1` }, /in a query key /],
    [{ target: `/?${'n'.repeat(50)}=${SECRET}` }, /in the query /],
    [{ fields: ['Host', 'evil.test', 'X-Foo', `a ${SECRET}`] }, /in header x-foo /],
    [{ fields: [`X-${SECRET}`, 'some value'] }, /in a header name /],
    [{ fields: ['Cookie', `a=1; session=${SECRET}; b=2`] }, /in cookie session /],
    [{ fields: ['cookie', `${SECRET}=1`] }, /in a cookie /],
    [{ method: SECRET }, /in the method /],
  ];
  for (const [made, words] of places) {
    const [finding, ...rest] = findings('evil.test', made);
    assert.ok(finding, JSON.stringify(made));
    assert.deepEqual(rest, []);
    assert.match(finding.message, words);
    assert.match(finding.message, /12 bytes, fingerprint 0123456789abcdef/);
    assert.equal(finding.disposition, 'block');
    assert.equal(finding.severity, 'critical');
    assert.equal(finding.blockReason, 'credential-leak');
    assert.equal(finding.rule, 'test-key');
    assert.ok(!finding.message.includes('abcdefgh') || made.method === SECRET);
  }
});

test('going home is no leak, wherever it stands', () => {
  for (const made of [{ target: `/?key=${SECRET}` }, { fields: ['X-Api-Key', SECRET] }, { fields: ['X-A', SECRET] }]) {
    assert.deepEqual(findings('api.home.test', made), []);
  }
});

test('a field made for credentials: flagged at most, and only where its home is known', () => {
  const names = 'Authorization,X-Api-Key,api-key,X-Goog-Api-Key,Private-Token,X-Auth-Token,X-Amz-Security-Token'.split(
    ',',
  );
  for (const name of names) {
    const [finding] = findings('gateway.test', { fields: [name, `Bearer ${SECRET}`] });
    assert.equal(finding?.disposition, 'flag', name);
    assert.equal(finding?.severity, 'medium');
    assert.deepEqual(findings('gateway.test', { fields: [name, SECRET] }, { home: NOWHERE }), [], name);
  }
});

test('what is meant for Weir is not looked at', () => {
  for (const name of ['Proxy-Authorization', 'X-Weir-Agent', 'x-oktsec-agent']) {
    assert.deepEqual(findings('evil.test', { fields: [name, SECRET] }), []);
  }
});

test('host names: whole, joined over labels, and a Host field that names another', () => {
  for (const name of ['key-abcdefgh.evil.test', 'key-abcd.efgh.evil.test']) {
    const [finding] = findings(name, {});
    assert.match(finding?.message ?? '', /in the host name/, name);
    assert.equal(finding?.disposition, 'block');
  }
  const inner = { connection: { via: 'connect' as const }, hostField: 'key-abcdefgh.evil.test' };
  const [fronted] = findings('cdn.test', { ...inner, fields: ['host', inner.hostField] });
  assert.match(fronted?.message ?? '', /in the Host field/);
});

test('a CONNECT is looked at for its name only: its fields go no further than Weir', () => {
  const scan = scanner();
  const inspector = leakInspector({ scan, rules: PLAIN, wanted: () => true, shownHost: String });
  const connect = exchangeTo('a-quiet-name.test:443', { kind: 'connect', fields: ['X-A', SECRET] });
  assert.deepEqual(inspector.inspect(connect, {}), []);
  assert.deepEqual(
    scan.asked.map(([what]) => what),
    ['host'],
  );
});

test('what repeats on a connection is scanned once; what changed, and what was found, again', () => {
  const scan = scanner();
  const inspector = leakInspector({ scan, rules: PLAIN, wanted: () => true, shownHost: String });
  const first = exchangeTo('a-quiet-name.test', { fields: ['User-Agent', 'program/1.0', 'X-Id', 'aaaaaaaa'] });
  const on = (made: Made) => {
    const next = { ...exchangeTo('a-quiet-name.test', made), connection: first.connection };
    return inspector.inspect(next as typeof first, {}).length;
  };
  assert.equal(inspector.inspect(first, {}).length, 0);
  const before = scan.asked.length;
  assert.equal(on({ fields: ['User-Agent', 'program/1.0', 'X-Id', 'aaaaaaaa'] }), 0);
  assert.equal(scan.asked.length, before, 'nothing is new');
  assert.equal(on({ fields: ['User-Agent', 'program/1.0', 'X-Id', 'bbbbbbbb'] }), 0);
  assert.deepEqual(scan.asked.at(-1), ['request', 'X-Id: bbbbbbbb\n']);
  for (let i = 0; i < 2; i++) assert.equal(on({ fields: ['User-Agent', 'program/1.0', 'X-Id', SECRET] }), 1);
  assert.equal(on({ fields: ['User-Agent', 'program/1.0', 'X-Id', 'bbbbbbbb'], target: `/${SECRET}` }), 1);
});

test('a field that went home is looked at again when the host is another one', () => {
  const scan = scanner();
  const inspector = leakInspector({ scan, rules: PLAIN, wanted: () => true, shownHost: String });
  const home = exchangeTo('api.home.test', { fields: ['X-A', SECRET] });
  assert.equal(inspector.inspect(home, {}).length, 0);
  const away = { ...exchangeTo('evil.test', { fields: ['X-A', SECRET] }), connection: home.connection as Connection };
  assert.equal(inspector.inspect(away, {}).length, 1);
});

test('at most ten findings an exchange, one per rule and place with a count', () => {
  const [one, ...rest] = findings('evil.test', { target: `/${SECRET}/${SECRET}/${SECRET}` });
  assert.deepEqual(rest, []);
  assert.match(one?.message ?? '', /3 times/);
  const fields = Array.from({ length: 30 }, (_, i) => [`X-${i}a`, SECRET]).flat();
  assert.equal(findings('evil.test', { fields }).length, 10);
});

test('where ten were told already, what has to go is told all the same', () => {
  const flagged = { found: found({ severity: 'medium' }), offset: 0, count: 1 };
  const severe = { found: found({ rule: 'severe' }), offset: 9, count: 1 };
  const exchange = exchangeTo('evil.test', { method: 'POST' });
  const known = bodyFindings(exchange, 'request', { found: [flagged] }, { rules: PLAIN, shownHost: String });
  exchange.findings.push(...Array.from({ length: 10 }, () => known[0] as Finding));
  const told = bodyFindings(exchange, 'request', { found: [flagged, severe] }, { rules: PLAIN, shownHost: String });
  assert.deepEqual(
    told.map(({ rule, disposition }) => [rule, disposition]),
    [['severe', 'block']],
  );
  assert.deepEqual(bodyFindings(exchange, 'request', { found: [flagged] }, { rules: PLAIN, shownHost: String }), []);
});

test('an agent whose requests are not to be read', () => {
  const scan = scanner();
  const inspector = leakInspector({ scan, rules: PLAIN, wanted: () => false, shownHost: String });
  assert.deepEqual(inspector.inspect(exchangeTo('evil.test', { target: `/${SECRET}` }), {}), []);
  assert.deepEqual(scan.asked, []);
});

test('weights', () => {
  const table: [Partial<Found>, Parameters<typeof weigh>[1], string | undefined][] = [
    [{}, 'body', 'block'],
    [{ severity: 'medium' }, 'body', 'flag'],
    [{ severity: 'low' }, 'body', undefined],
    [{}, 'response', 'redact'],
    [{}, 'response-head', 'redact'],
    [{ severity: 'medium' }, 'response', 'flag'],
    [{ kind: 'pii', severity: 'high' }, 'response', 'redact'],
    [{ kind: 'pii', severity: 'medium' }, 'response', undefined],
    [{ rule: 'jwt-token', home: NOWHERE }, 'response', 'flag'],
    [{ rule: 'jwt-token', home: NOWHERE }, 'response-head', undefined],
    [{}, 'signature', undefined],
    [{ signs: true }, 'body', undefined],
    [{ signs: true }, 'response', undefined],
    [{ kind: 'pii', severity: 'high' }, 'body', 'flag'],
    [{ kind: 'pii', severity: 'medium' }, 'body', undefined],
    [{ kind: 'financial', severity: 'critical' }, 'request', 'flag'],
    [{ kind: 'injection', severity: 'medium' }, 'response', 'flag'],
    [{ kind: 'injection', severity: 'critical' }, 'body', undefined],
    [{ rule: 'jwt-token', home: NOWHERE }, 'cookie', undefined],
    [{ rule: 'jwt-token', home: NOWHERE }, 'request', 'block'],
    [{ home: NOWHERE }, 'cookie', 'block'],
    [{ category: 'generic', severity: 'medium' }, 'request', undefined],
    [{ category: 'generic', severity: 'medium' }, 'body', 'flag'],
  ];
  for (const [change, place, disposition] of table) {
    assert.equal(weigh(found(change), place, 'evil.test')?.disposition, disposition, JSON.stringify([change, place]));
  }
  assert.equal(weigh(found(), 'body', 'api.home.test'), undefined);
  assert.equal(isReported('pii', 'medium'), false);
  assert.equal(isReported('credential', 'medium'), true);
});

test('bodies: words, offset, count, and why the rest was not looked at', () => {
  const exchange = exchangeTo('evil.test', { method: 'POST' });
  const scanned = {
    found: [{ found: found({ encodings: ['base64'] }), offset: 77, count: 4 }],
    unscanned: { cause: 'decode-ratio' as const, offset: 1000 },
  };
  const [leak, unscanned] = bodyFindings(exchange, 'request', scanned, { rules: PLAIN, shownHost: String });
  assert.match(
    leak?.message ?? '',
    /Test Key in the request body \(POST to evil\.test\).*at byte 77, encoded as base64, 4 times/,
  );
  assert.equal(leak?.disposition, 'block');
  assert.match(unscanned?.message ?? '', /not scanned from byte 1000 on \(decode-ratio\)/);
  assert.deepEqual([unscanned?.severity, unscanned?.disposition], ['info', 'flag']);
});

/** What is left of a head when its cuts are made. */
function cutOut(made: Made, found: readonly Finding[]): { target: string; values: string[] } {
  const live = { ...exchangeTo('evil.test', { scheme: 'http', ...made }), findings: [...found] };
  const ruled = { ...live, ruling: { mode: 'redact', verdict: 'block', action: 'redact', would: 'block' } };
  const edits = editsOf(ruled as unknown as LiveExchange, made.fields ?? [], 0);
  const values = (made.fields ?? []).filter((_, i) => i % 2 === 1);
  for (const [i, value] of edits?.values ?? []) values[i] = value;
  return { target: edits?.target ?? made.target ?? '/', values };
}

test('what is found is located, so that it can be taken out; what cannot be changed is not', () => {
  const label = '[TEST KEY_REDACTED]';
  const table: [Made, string, string[]][] = [
    [{ target: `/v1/${SECRET}/x?a=1` }, `/v1/${encodeURIComponent(label)}/x?a=1`, []],
    [
      { target: `/?a=${SECRET}${SECRET}&${SECRET}=2` },
      `/?a=${encodeURIComponent(label).repeat(2)}&${encodeURIComponent(label)}=2`,
      [],
    ],
    [
      { fields: ['Host', 'evil.test', 'X-Foo', `a ${SECRET} b ${SECRET}`] },
      '/',
      ['evil.test', `a ${label} b ${label}`],
    ],
    [{ fields: ['Cookie', `a=1; session=${SECRET}; b=2`] }, '/', [`a=1; session=${label}; b=2`]],
  ];
  for (const [made, target, values] of table) {
    assert.deepEqual(cutOut(made, findings('evil.test', made)), { target, values }, JSON.stringify(made));
  }
  for (const made of [{ fields: [`X-${SECRET}`, 'some value'] }, { method: SECRET }]) {
    assert.equal(findings('evil.test', made)[0]?.located, undefined);
  }
  assert.equal(findings('key-abcdefgh.evil.test', {})[0]?.located, undefined);
});

test('what is not told is cut out all the same', () => {
  const fields = Array.from({ length: 30 }, (_, i) => [`X-${i}a`, `${SECRET} ${i}`]).flat();
  const { values } = cutOut({ fields }, findings('evil.test', { fields }));
  assert.deepEqual(
    values,
    Array.from({ length: 30 }, (_, i) => `[TEST KEY_REDACTED] ${i}`),
  );
});

test('a head that holds too much to be looked at says so, each time, and asks for what the agent is to have', () => {
  const clean = scanner();
  const scan = {
    ...clean,
    scan: (what: ScanFor, bytes: Uint8Array) => ({ ...clean.scan(what, bytes), unscanned: 'candidates' as const }),
  };
  for (const asks of ['flag', 'block'] as const) {
    const options = { scan, rules: PLAIN, wanted: () => true, shownHost: String, unscanned: () => asks };
    const request = exchangeTo('evil.test', { target: '/many-things-here' });
    const inspector = leakInspector(options);
    for (let i = 0; i < 2; i++) {
      const [finding, ...rest] = inspector.inspect(request, {});
      assert.deepEqual(rest, []);
      assert.match(finding?.message ?? '', /^not all of the request head was scanned \(candidates\)/);
      assert.deepEqual([finding?.rule, finding?.disposition], ['unscanned', asks]);
    }
    const response = { ...request, responseFields: ['X-Many', 'things in it'] };
    const [incoming] = responseHeadInspector(options).inspect(response, {});
    assert.match(incoming?.message ?? '', /response head/);
  }
});
