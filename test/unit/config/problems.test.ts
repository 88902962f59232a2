import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { ConfigError } from '../../../src/config/problem.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-config-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const file = join(dir, 'weir.yaml');

/** The error text of a file, its path shortened to `weir.yaml`. */
function complaint(text: string): string {
  writeFileSync(file, text, { mode: 0o600 });
  try {
    loadConfig({ flags: { config: file }, env: { HOME: dir } });
    return '';
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.replaceAll(file, 'weir.yaml');
  }
}

const GOLDEN: readonly (readonly [string, string])[] = [
  ['mode: monitr', 'mode in weir.yaml:1: must be monitor, redact or enforce, not "monitr" — did you mean monitor?'],
  ['\n\nbaselines: {}', 'unknown key "baselines" in weir.yaml:3 — did you mean "baseline"?'],
  ['ready_after_hours: 3', 'unknown key "ready_after_hours" in weir.yaml:1 — it belongs under "baseline"'],
  [
    'agents:\n  researcher:\n    tokn: longenough',
    'unknown key "tokn" under agents.researcher in weir.yaml:3 — did you mean "token"?',
  ],
  [
    'agents:\n  researcher:\n    rate_limit: fast',
    'agents.researcher.rate_limit in weir.yaml:3: must be a number, not "fast"',
  ],
  [
    'agents:\n  "../../x": {}',
    'agents.../../x in weir.yaml:2: is not an agent name or glob: letters, digits, . _ - and *, at most 63',
  ],
  ['listen: "::1"', 'listen in weir.yaml:1: an IPv6 address goes in brackets and needs a port: "[::1]:8080"'],
  [
    'listen: 8080',
    'listen in weir.yaml:1: cannot be 8080 — host:port, a list of them, or {address, agent, tls: {cert, key, client_ca}}',
  ],
  ['listen: [127.0.0.1:8080, 127.0.0.1:99999]', 'listen[1] in weir.yaml:1: port 99999 is not in 0–65535'],
  ['listen: [127.0.0.1:1, 127.0.0.1:1]', 'listen in weir.yaml:1: 127.0.0.1:1 stands there twice'],
  ['listen: ":8080"', 'listen in weir.yaml:1: has no address: write 0.0.0.0:8080 or "[::]:8080" to listen everywhere'],
  ['listen: []', 'listen in weir.yaml:1: needs at least 1 entry'],
  [
    'intercept: {only: ["*.com"], foo: 1}',
    'intercept.only[0] in weir.yaml:1: "*.com" would match everybody\'s names; name the domains, like *.example.org\n' +
      'unknown key "foo" under intercept in weir.yaml:1 — known here: only, except',
  ],
  ['intercept: al', 'intercept in weir.yaml:1: must be none or all, not "al" — did you mean all?'],
  ['allow_from: [10.0.0.0/99]', 'allow_from[0] in weir.yaml:1: /99 is not a prefix length of IPv4 (0–32)'],
  [
    'allow_from: local-network',
    'allow_from in weir.yaml:1: must be local-networks, not "local-network" — did you mean local-networks?',
  ],
  ['telemetry: {endpoint: "ftp://x"}', 'telemetry.endpoint in weir.yaml:1: must be an http:// or https:// URL'],
  ['telemetry: {sample: {unremarkable: 3}}', 'telemetry.sample.unremarkable in weir.yaml:1: must be at most 1, not 3'],
  [
    'policies: {receiver: "http://strathon.example"}',
    'policies.receiver in weir.yaml:1: must be https, or http on loopback: it would cross the network unprotected',
  ],
  [
    'upstream: {proxy: "ftp://u:hunter2@p"}',
    'upstream.proxy in weir.yaml:1: must be inherit, none, or a URL like http://proxy.example:3128 or socks5://127.0.0.1:1080',
  ],
  ['limits: {connections: 0}', 'limits.connections in weir.yaml:1: must be at least 1, not 0'],
  ['limits: {connections: 1.5}', 'limits.connections in weir.yaml:1: must be a whole number, not 1.5'],
  ['limits: [1]', 'limits in weir.yaml:1: must be a map of keys, not [1]'],
  [
    'destinations: {allowed: ["https://x.example/y"]}',
    'destinations.allowed[0] in weir.yaml:1: "https://x.example/y" is a URL; write host, host:port or host/path',
  ],
  ['agents:\n  a: {token: hunter2}', 'agents.a.token in weir.yaml:2: is too short'],
  ['agents:\n  a: {token: 123456789}', 'agents.a.token in weir.yaml:2: must be a text, not what is written there'],
  ['mode: monitor\nmode: enforce', 'weir.yaml:2: the same key stands twice in one map; keep one of them'],
  ['- a\n- b', 'weir.yaml: must be a map of keys (mode: …, listen: …)'],
  ['agents:\n  __proto__: {}', 'weir.yaml:2: the key "__proto__" is not allowed'],
  ['tls: {on_unverifiable: ignore}', 'tls.on_unverifiable in weir.yaml:1: must be block or tunnel, not "ignore"'],
  [
    'baseline: {on_unknown: blok}',
    'baseline.on_unknown in weir.yaml:1: must be flag or block, not "blok" — did you mean block?',
  ],
];

for (const [text, expected] of GOLDEN) {
  test(`says of ${JSON.stringify(text.slice(0, 60))}`, () => assert.equal(complaint(text), expected));
}

test('several mistakes come at once', () => {
  assert.equal(complaint('mode: x\nlimits: {connections: 0}\nfoo: 1').split('\n').length, 3);
});

test('a YAML syntax error names its line', () => {
  assert.match(complaint('mode: monitor\nlisten: [a'), /^weir\.yaml:\d+: is not YAML: /);
});

test('an alias bomb is refused quickly', () => {
  const levels = Array.from({ length: 12 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`);
  assert.match(complaint(['l0: &l0 [x]', ...levels].join('\n')), /is not usable YAML: Excessive alias count/);
});

test('nesting without end is refused, not overflown', () => {
  assert.match(complaint(`a: ${'['.repeat(100_000)}`), /nested deeper than 64/);
  assert.match(complaint(`a:\n${'- '.repeat(200_000)}x`), /weir\.yaml/);
});

test('a file that is too large is refused before it is parsed', () => {
  assert.match(complaint(`# ${'x'.repeat(1_048_576)}`), /is larger than 1048576 bytes/);
});

test('errors never repeat a secret', () => {
  const text = complaint(
    'agents:\n  a: {token: [hunter2hunter2]}\nupstream: {proxy: "ftp://u:hunter2hunter2@p"}\nnotify: [{url: "ftp://hunter2hunter2"}]',
  );
  assert.match(text, /agents\.a\.token/);
  assert.doesNotMatch(text, /hunter2/);
});
