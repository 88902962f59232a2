import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-scan-config-'));
after(() => rmSync(dir, { recursive: true, force: true }));

function load(yaml: string): Config {
  const file = join(dir, 'weir.yaml');
  writeFileSync(file, yaml, { mode: 0o600 });
  return loadConfig({ env: { HOME: dir }, cwd: dir, flags: { config: file } }).config;
}

test('what finds ask for: everywhere, by destination, by agent', () => {
  const { scan, agents } = load(`
scan:
  requests: { credential: { high: redact }, pii: block }
  responses: { injection: redact, categories: { tool-poisoning: block } }
  destinations:
    - { hosts: ["*.acme.example"], requests: { credential: flag } }
  suppress:
    - { fingerprint: 0123456789abcdef, reason: the key of the sandbox }
    - { rule: github-pat, host: docs.example.org, path: /samples }
agents:
  researcher: { scan: { dispositions: { responses: { injection: block } } } }
`);
  assert.deepEqual(scan.requests?.credential, { high: 'redact' });
  assert.deepEqual(scan.responses?.categories, { 'tool-poisoning': 'block' });
  assert.deepEqual(scan.destinations[0]?.hosts, ['*.acme.example']);
  assert.equal(scan.suppress.length, 2);
  assert.equal(agents.get('researcher')?.scan.dispositions.responses?.injection, 'block');
  assert.equal(agents.get('researcher')?.scan.requests, true);
});

test('mistakes are errors with the place and the nearest word', () => {
  const table: [string, RegExp][] = [
    ['scan: { requests: { credentials: block } }', /credentials[\s\S]*credential/],
    ['scan: { request: { credential: block } }', /request[\s\S]*requests/],
    ['scan: { requests: { credential: stop } }', /allow[\s\S]*block/],
    ['scan: { requests: { credential: { severe: block } } }', /severe/],
    ['scan: { suppress: [{ path: /a }] }', /needs a fingerprint, a rule or a host/],
    ['scan: { suppress: [{ fingerprint: abc }] }', /16 digits of hex/],
    ['scan: { suppress: [{ rule: a, why: b }] }', /why/],
    ['scan: { destinations: [{ hosts: [] }] }', /hosts/],
  ];
  for (const [yaml, pattern] of table) assert.throws(() => load(yaml), pattern, yaml);
});
