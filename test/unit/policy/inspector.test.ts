import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PolicyStage, policyInspectors } from '../../../src/collector-policy-inspector.ts';
import type { Exchange } from '../../../src/model/exchange.ts';
import type { Inspector } from '../../../src/model/ports.ts';
import { parsePolicies } from '../../../src/policy/parse.ts';
import { exchangeTo, type Made } from '../inspect/support.ts';

const TLS = { sni: 'a.example', alpn: ['h2'], ja4: 'x', version: '1.3', ech: false };

interface Rig {
  /** Asks the inspectors of a phase; rules of what they report. */
  ask(phase: 'policy' | 'tls', exchange: Exchange, facts?: Parameters<Inspector['inspect']>[1]): string[];
  readonly log: string[];
}

function rig(rows: readonly Record<string, unknown>[] | undefined, more: Partial<PolicyStage> = {}): Rig {
  const log: string[] = [];
  const set = rows === undefined ? undefined : parsePolicies({ policies: rows }, { name: 'f', kind: 'file' }).set;
  const inspectors = policyInspectors({
    set,
    onAbsent: 'not-applicable',
    throttleStatus: 429,
    tally: {
      matched: ({ name }) => log.push(`matched ${name}`),
      shadowMatched: ({ name }) => log.push(`shadow ${name}`),
      failed: ({ policy }) => log.push(`failed ${policy.name}`),
      notApplicable: ({ policy }) => log.push(`absent ${policy.name}`),
    },
    throttled: ({ name }) => {
      log.push(`token ${name}`);
      return 9;
    },
    approved: () => false,
    asked: ({ name }) => log.push(`asked ${name}`),
    more: (_, { protocol }) => new Map(protocol === undefined ? [] : [['weir.tunnel.protocol', protocol]]),
    readsTls: () => false,
    ...more,
  });
  const ask: Rig['ask'] = (phase, exchange, facts = {}) =>
    inspectors
      .filter((one) => one.phase === phase)
      .flatMap((one) => one.inspect(exchange, facts))
      .map(({ rule, disposition }) => `${rule} ${disposition}`);
  return { ask, log };
}

const THROTTLE = {
  name: 'slow',
  match_expression: 'true',
  action: 'throttle',
  action_config: { max_calls: 1, window_seconds: 9 },
};
const connect = (made: Made = {}) => exchangeTo('a.example:443', { kind: 'connect', ...made });

test('a CONNECT takes one token, however often it is looked at; a request under way takes none', () => {
  const { ask, log } = rig([THROTTLE]);
  const one = connect();
  assert.deepEqual(ask('policy', one), ['policy:slow block']);
  assert.deepEqual(ask('tls', one, { tls: TLS, protocol: 'tls' }), []);
  assert.deepEqual(log, ['token slow', 'matched slow']);
  const under = Object.assign(exchangeTo('a.example'), { sentMono: 1 });
  assert.deepEqual(ask('policy', under), []);
  assert.equal(log.length, 2);
});

test('a CONNECT that is going to be read is not asked; when it stays closed after all it is, once', () => {
  const { ask, log } = rig([THROTTLE], { readsTls: ({ connection }) => connection.interceptionSkipped === undefined });
  const one = connect();
  assert.deepEqual(ask('policy', one), []);
  assert.deepEqual(ask('tls', one, { tls: TLS, protocol: 'tls' }), []);
  one.connection.interceptionSkipped = 'client-tls-version';
  assert.deepEqual(ask('tls', one, { tls: TLS, protocol: 'tls' }), ['policy:slow block']);
  assert.deepEqual(log, ['token slow', 'matched slow']);
});

test('what a CONNECT turns out to carry is asked about: names in the ClientHello, the protocol', () => {
  const rows = [
    { name: 'sni', match_expression: 'attrs["weir.tls.sni"] == "a.example"', action: 'block' },
    { name: 'ssh', match_expression: 'attrs["weir.tunnel.protocol"] == "ssh"', action: 'block' },
  ];
  const { ask } = rig(rows);
  const hello = connect();
  assert.deepEqual(ask('policy', hello), []);
  hello.connection.tls = TLS;
  assert.deepEqual(ask('tls', hello, { tls: TLS, protocol: 'tls' }), ['policy:sni block']);
  const other = connect();
  assert.deepEqual(ask('tls', other, { protocol: 'ssh' }), ['policy:ssh block']);
  assert.deepEqual(ask('tls', other, { protocol: 'http/1.1' }), [], 'requests are asked one by one');
  assert.deepEqual(ask('tls', exchangeTo('a.example'), { protocol: 'websocket' }), []);
});

test('never loaded: everything is stopped, CONNECTs that would be read too', () => {
  const { ask } = rig(undefined, { readsTls: () => true });
  assert.deepEqual(ask('policy', exchangeTo('a.example')), ['policy:_fail_closed_unloaded block']);
  assert.deepEqual(ask('policy', connect()), ['policy:_fail_closed_unloaded block']);
});

test('an approval is asked for once; log, alert, shadow and errors are told apart', () => {
  const rows = [
    { name: 'noted', match_expression: 'true', action: 'log', priority: 9 },
    { name: 'rung', match_expression: 'true', action: 'alert', priority: 8 },
    { name: 'tried', match_expression: 'true', action: 'block', shadow: true, priority: 7 },
    { name: 'broken shadow', match_expression: 'no_such', action: 'block', shadow: true, priority: 6 },
    { name: 'absent', match_expression: 'attrs["nobody.sets.this"] == 1', action: 'block', priority: 5 },
    { name: 'ask', match_expression: 'true', action: 'require_approval' },
  ];
  const { ask, log } = rig(rows);
  const found = ask('policy', exchangeTo('a.example'));
  assert.deepEqual(found, ['policy:ask block', 'policy:noted allow', 'policy:rung flag', 'policy:tried allow']);
  assert.deepEqual(log.sort(), [
    'absent absent',
    'asked ask',
    'failed broken shadow',
    'matched ask',
    'matched noted',
    'matched rung',
    'shadow tried',
  ]);
});
