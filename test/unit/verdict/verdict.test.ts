import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Disposition, Finding, Mode, Severity } from '../../../src/model/finding.ts';
import { compileModes, enforce, mintPermit } from '../../../src/verdict/enforce.ts';
import { deciding, judge } from '../../../src/verdict/judge.ts';

const finding = (disposition: Disposition, severity: Severity = 'low', rule = 'r'): Finding => ({
  inspector: 'i',
  rule,
  severity,
  disposition,
  message: 'm',
});
const SELF: Finding = { ...finding('block', 'high', 'self-target'), absolute: { status: 508 } };

test('the most severe finding decides', () => {
  assert.deepEqual(judge([]), { disposition: 'allow' });
  assert.deepEqual(judge([finding('flag', 'critical', 'a'), finding('block', 'info', 'b')]), {
    disposition: 'block',
    rule: 'b',
  });
  assert.deepEqual(judge([finding('block', 'low', 'a'), finding('block', 'high', 'b')]), {
    disposition: 'block',
    rule: 'b',
  });
  assert.deepEqual(judge([finding('block', 'low', 'a'), finding('block', 'low', 'b')]), {
    disposition: 'block',
    rule: 'a',
  });
  assert.deepEqual(judge([finding('block', 'critical', 'a'), SELF]), { disposition: 'block', rule: 'self-target' });
  assert.equal(deciding([]), undefined);
});

const dispositions: readonly Disposition[] = ['allow', 'flag', 'redact', 'block'];
const arbitrary = fc.array(
  fc.record({
    disposition: fc.constantFrom(...dispositions),
    severity: fc.constantFrom<Severity>('info', 'low', 'medium', 'high', 'critical'),
  }),
);

test('property: the verdict is the strongest disposition, in any order, and more findings never weaken it', () => {
  fc.assert(
    fc.property(arbitrary, fc.nat(), (facts, cut) => {
      const findings = facts.map((f) => finding(f.disposition, f.severity));
      const strength = (d: Disposition) => dispositions.indexOf(d);
      const strongest = Math.max(0, ...findings.map((f) => strength(f.disposition)));
      assert.equal(strength(judge(findings).disposition), strongest);
      assert.equal(strength(judge(findings.toReversed()).disposition), strongest);
      assert.ok(strength(judge(findings.slice(0, cut % (findings.length + 1))).disposition) <= strongest);
    }),
  );
});

/** product.md §3, cell by cell: [mode, verdict, located, action, would]. */
const TABLE: readonly [Mode, Disposition, boolean, string, string][] = [
  ['monitor', 'allow', false, 'forward', 'none'],
  ['monitor', 'flag', false, 'forward', 'none'],
  ['monitor', 'redact', false, 'forward', 'redact'],
  ['monitor', 'redact', true, 'forward', 'redact'],
  ['monitor', 'block', false, 'forward', 'block'],
  ['monitor', 'block', true, 'forward', 'block'],
  ['redact', 'allow', false, 'forward', 'none'],
  ['redact', 'flag', false, 'forward', 'none'],
  ['redact', 'redact', false, 'redact', 'none'],
  ['redact', 'redact', true, 'redact', 'none'],
  ['redact', 'block', false, 'forward', 'block'],
  ['redact', 'block', true, 'redact', 'block'],
  ['enforce', 'allow', false, 'forward', 'none'],
  ['enforce', 'flag', false, 'forward', 'none'],
  ['enforce', 'redact', false, 'redact', 'none'],
  ['enforce', 'redact', true, 'redact', 'none'],
  ['enforce', 'block', false, 'block', 'none'],
  ['enforce', 'block', true, 'block', 'none'],
];

test('verdict × mode', () => {
  for (const [mode, disposition, located, action, would] of TABLE) {
    const findings = disposition === 'allow' ? [] : [finding(disposition)];
    assert.deepEqual(enforce(judge(findings), findings, mode, located), { mode, verdict: disposition, action, would });
  }
});

test('a failed inspector: forwarded and recorded in monitor and redact, blocked in enforce; the others still count', () => {
  // As pipeline/checkpoint.ts reports an inspector that throws.
  const failed: Finding = {
    inspector: 'patterns',
    rule: 'inspector-failed',
    severity: 'high',
    disposition: 'block',
    message: 'patterns failed: boom',
    blockReason: 'inspector-failed',
  };
  const actions = (['monitor', 'redact', 'enforce'] as const).map((mode) => {
    const ruling = enforce(judge([failed]), [failed], mode);
    return [ruling.action, ruling.would, ruling.verdict];
  });
  assert.deepEqual(actions, [
    ['forward', 'block', 'block'],
    ['forward', 'block', 'block'],
    ['block', 'none', 'block'],
  ]);
  const both = [failed, finding('redact', 'high')];
  assert.equal(enforce(judge(both), both, 'redact', true).action, 'redact');
});

test('absolute findings are refused in every mode', () => {
  for (const mode of ['monitor', 'redact', 'enforce'] as const) {
    const findings = [finding('flag'), SELF];
    assert.deepEqual(enforce(judge(findings), findings, mode, true), {
      mode,
      verdict: 'block',
      action: 'block',
      would: 'none',
    });
  }
});

test('which mode: destination within the agent › agent › destination › global', () => {
  const modeFor = compileModes({
    global: 'monitor',
    destinations: [
      { host: '*.example.org', ports: [], mode: 'redact' },
      { host: '@paste', ports: [], mode: 'enforce' },
      { host: '10.0.0.0/8', ports: [22], mode: 'enforce' },
    ],
    agents: new Map([
      ['coder', { mode: 'enforce', destinations: [{ host: 'a.example.org', ports: [443], mode: 'monitor' }] }],
      ['writer', { destinations: [] }],
      ['task-*', { mode: 'redact', destinations: [] }],
    ]),
    agentKey: (agent) => (agent.startsWith('task-') ? 'task-*' : agent),
    inCategory: (category, host) => category === 'paste' && host === 'pastebin.com',
  });
  const table: [string, string, number, Mode][] = [
    ['coder', 'a.example.org', 443, 'monitor'],
    ['coder', 'a.example.org', 80, 'enforce'],
    ['coder', 'b.example.org', 443, 'enforce'],
    ['writer', 'b.example.org', 443, 'redact'],
    ['writer', 'example.org', 443, 'monitor'],
    ['writer', 'pastebin.com', 443, 'enforce'],
    ['writer', '10.1.1.1', 22, 'enforce'],
    ['writer', '10.1.1.1', 443, 'monitor'],
    ['task-9', 'b.example.org', 443, 'redact'],
    ['__proto__', 'example.com', 443, 'monitor'],
  ];
  for (const [agent, host, port, mode] of table)
    assert.equal(modeFor(agent, { host, port }), mode, `${agent} ${host}:${port}`);
  const plain = compileModes({ global: 'enforce', destinations: [], agents: new Map(), agentKey: (a) => a });
  assert.equal(plain('anyone', { host: 'x', port: 1 }), 'enforce');
  assert.throws(() =>
    compileModes({
      global: 'monitor',
      destinations: [{ host: '*.com', ports: [], mode: 'redact' }],
      agents: new Map(),
      agentKey: (a) => a,
    }),
  );
});

test('a permit carries exactly the judged addresses, and a block mints none', () => {
  const destination = { scheme: 'https', host: 'example.org', port: 443 } as const;
  const resolved = { addresses: ['203.0.113.1'], delegated: false, byOperator: false, dnsMs: 1 };
  const pass = enforce(judge([]), [], 'enforce');
  const block = enforce(judge([finding('block')]), [finding('block')], 'enforce');
  assert.deepEqual(mintPermit(pass, destination, resolved), {
    brand: 'permit',
    destination,
    addresses: ['203.0.113.1'],
    delegated: false,
  });
  assert.deepEqual(mintPermit(pass, destination, { ...resolved, port: 9000 })?.port, 9000);
  assert.equal(mintPermit(block, destination, resolved), undefined);
  assert.equal(mintPermit(pass, destination, { ...resolved, addresses: [] }), undefined);
  assert.deepEqual(mintPermit(pass, destination, { ...resolved, delegated: true })?.addresses, []);
});
