import assert from 'node:assert/strict';
import { test } from 'node:test';
import { responseHeadInspector, trailerFindings } from '../../../src/inspect/leak.ts';
import { PLAIN } from '../../../src/inspect/leak-rules.ts';
import type { Exchange } from '../../../src/model/exchange.ts';
import type { Cut, Finding } from '../../../src/model/finding.ts';
import type { Found } from '../../../src/model/scan.ts';
import { edits } from '../../../src/pipeline/filtered.ts';
import { HOME, NOWHERE, SECRET, scanner } from './leak-support.ts';
import { exchangeTo } from './support.ts';

function inspect(fields: readonly string[], change: Partial<Found> = {}, host = 'evil.test'): readonly Finding[] {
  const inspector = responseHeadInspector({
    scan: scanner(change),
    rules: PLAIN,
    wanted: () => true,
    shownHost: String,
  });
  return inspector.inspect({ ...exchangeTo(host), responseFields: fields }, {});
}

const cuts = (findings: readonly Finding[]): Cut[] => findings.flatMap(({ located }) => (located ?? []) as Cut[]);

test('what a response head leaks, with what is left when it is taken out', () => {
  const table: [string, string, RegExp, string][] = [
    ['X-Debug', `key=${SECRET};`, /in response header x-debug /, 'key=[TEST KEY_REDACTED];'],
    [
      'Location',
      `https://a.test/?x=${SECRET}&y=1`,
      /in response header location /,
      'https://a.test/?x=%5BTEST%20KEY_REDACTED%5D&y=1',
    ],
    ['Server', `web (${SECRET})`, /in response header server /, 'web ([TEST KEY_REDACTED])'],
  ];
  for (const [name, value, words, left] of table) {
    const fields = ['Content-Type', 'text/plain', name, value];
    const findings = inspect(fields);
    assert.equal(findings.length, 1, name);
    assert.match(findings[0]?.message ?? '', words);
    assert.deepEqual([findings[0]?.inspector, findings[0]?.disposition], ['scan-response', 'redact']);
    assert.deepEqual(edits(cuts(findings), '/', fields), { values: new Map([[1, left]]) });
  }
  const [name] = inspect([`X-${SECRET}`, 'some value']);
  assert.match(name?.message ?? '', /in a response header name/);
  assert.equal(name?.located, undefined);
});

test('what a server hands to its own client by design is no leak', () => {
  const handed = ['Set-Cookie', 'X-CSRF-Token', 'X-Auth-Token', 'X-Subject-Token', 'WWW-Authenticate'];
  for (const name of handed) {
    const fields = [name, `session=${SECRET}; Path=/; HttpOnly`];
    assert.deepEqual(inspect(fields, { home: NOWHERE }), [], name);
    assert.deepEqual(inspect(fields, {}, 'api.home.test'), [], `${name} from home`);
    // A credential of another issuer in it is strange, and taking it out would end the session.
    assert.equal(inspect(fields, { home: HOME })[0]?.disposition, 'flag', name);
  }
  assert.deepEqual(inspect(['X-Token', SECRET], { rule: 'jwt-token', home: NOWHERE }), [], 'a token anybody issues');
  assert.deepEqual(inspect(['Location', `https://s3.test/o?X-Amz-Credential=${SECRET}%2F2026`]), [], 'a signed URL');
});

test('instructions in a response head are flagged', () => {
  const [finding] = inspect(['X-Note', SECRET], { kind: 'injection', severity: 'high' });
  assert.equal(finding?.disposition, 'flag');
});

test('what came with the response before is looked at once, and again from another host', () => {
  const scan = scanner({ home: HOME });
  const inspector = responseHeadInspector({ scan, rules: PLAIN, wanted: () => true, shownHost: String });
  const first: Exchange = { ...exchangeTo('api.home.test'), responseFields: ['Server', 'web/1.0', 'X-A', SECRET] };
  assert.deepEqual(inspector.inspect(first, {}), []);
  const again: Exchange = { ...first, responseFields: ['Server', 'web/1.0', 'X-A', SECRET, 'X-B', 'something new'] };
  assert.deepEqual(inspector.inspect(again, {}), []);
  assert.deepEqual(scan.asked.at(-1), ['response', 'X-B: something new\n']);
  const other = { ...again, destination: { ...again.destination, host: 'evil.test' } };
  assert.equal(inspector.inspect(other, {}).length, 1);
});

test('trailers of both directions', () => {
  const options = { scan: scanner(), rules: PLAIN, shownHost: String };
  const fields = ['grpc-status', '0', 'x-note', `a ${SECRET}`];
  const [sent] = trailerFindings(options, exchangeTo('evil.test'), 'request', fields);
  assert.match(sent?.message ?? '', /in trailer x-note /);
  assert.deepEqual([sent?.inspector, sent?.disposition], ['scan', 'block']);
  const [came] = trailerFindings(options, exchangeTo('evil.test'), 'response', fields);
  assert.match(came?.message ?? '', /in response trailer x-note /);
  assert.deepEqual([came?.inspector, came?.disposition], ['scan-response', 'redact']);
  assert.deepEqual(edits(cuts(came ? [came] : []), '', fields).values, new Map([[1, 'a [TEST KEY_REDACTED]']]));
  assert.deepEqual(trailerFindings(options, exchangeTo('evil.test'), 'request', ['grpc-status', '0']), []);
});
