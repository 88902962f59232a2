import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import type { Answer } from '../../../src/model/answer.ts';
import { ERRORS, WeirError } from '../../../src/model/error.ts';
import type { RequestFacts } from '../../../src/model/exchange.ts';
import type { Finding, Mode } from '../../../src/model/finding.ts';
import type { Inspector, Permit, Upstream } from '../../../src/model/ports.ts';
import type { EventRecord, ExchangeRecord, WeirRecord } from '../../../src/model/record.ts';
import type { LiveCorridor } from '../../../src/pipeline/contract.ts';
import { createCorridor } from '../../../src/pipeline/corridor.ts';
import type { Stages } from '../../../src/pipeline/stages.ts';

const BLOCK: Finding = { inspector: 'list', rule: 'denied', severity: 'medium', disposition: 'block', message: 'no' };
const CONTACT: Finding = {
  inspector: 'baseline',
  rule: 'first-seen',
  severity: 'info',
  disposition: 'flag',
  message: 'new',
};

interface House {
  corridor: LiveCorridor;
  records: WeirRecord[];
  taught: string[];
  dialled: Permit[];
  stopped: Set<string>;
  swap(change: Partial<Stages>): void;
}

function answer(status: number, reason: string): Answer {
  return { status, reason, headers: [], body: reason };
}

function house(
  options: { inspectors?: Inspector[]; mode?: Mode; upstream?: Partial<Upstream>; perAgent?: number } = {},
): House {
  const records: WeirRecord[] = [];
  const taught: string[] = [];
  const dialled: Permit[] = [];
  const stopped = new Set<string>();
  const seen = new Set<string>();
  const mode = options.mode ?? 'monitor';
  let stages: Stages = {
    identify: (evidence) => ({
      agent: evidence.claimedBy ?? 'default',
      by: evidence.claimedBy === undefined ? 'default' : 'claim',
    }),
    inspectors: options.inspectors ?? [],
    accounts: { observe: () => [], teach: () => undefined },
    baseline: {
      observe(exchange) {
        const firstSeen = !seen.has(exchange.destination.host);
        seen.add(exchange.destination.host);
        return { firstSeen, state: 'ready', findings: firstSeen ? [CONTACT] : [] };
      },
      teach: (exchange) => {
        taught.push(exchange.destination.host);
        return exchange.identity.agent;
      },
      grade: (exchange, finding) => (exchange.requestBytes >= 1024 ? { ...finding, severity: 'medium' } : finding),
      agentFirstSeen: () => undefined,
      volume: () => undefined,
    },
    upstream: {
      resolve: async () => ({ addresses: ['127.0.0.1'], delegated: false, byOperator: false, dnsMs: 1 }),
      dial: async (permit) => {
        dialled.push(permit);
        return { socket: new Duplex(), peer: { address: '127.0.0.1', port: 1 }, timings: {}, delegated: false };
      },
      secure: async (link) => ({ link }),
      ...options.upstream,
    },
    judge: (findings) => ({
      disposition: findings.find((finding) => finding.disposition === 'block')?.disposition ?? 'allow',
    }),
    apply: (verdict) => ({
      mode,
      verdict: verdict.disposition,
      action: verdict.disposition === 'block' && mode === 'enforce' ? 'block' : 'forward',
      would: verdict.disposition === 'block' ? 'block' : 'none',
    }),
    mintPermit: (ruling, destination, resolved) =>
      ruling.action === 'block'
        ? undefined
        : { brand: 'permit', destination, addresses: resolved.addresses, delegated: false },
    refuse: () => answer(403, 'Blocked'),
    fail: (code) => answer(ERRORS[code].status, code),
    verification: (exchange) => (exchange.destination.host === 'verify.weir.invalid' ? answer(200, 'OK') : undefined),
    account: () => ({}),
    stopped: (agent) => stopped.has(agent),
    normalise: (authority) => (authority === '' ? { error: 'no authority' } : { host: authority, port: 80 }),
  };
  const corridor = createCorridor({
    stages: () => stages,
    post: (record) => void records.push(record),
    ready: Promise.resolve(),
    connectionsPerAgent: () => options.perAgent ?? 100,
    spansPerTraceHour: 100,
    log: () => undefined,
  });
  return {
    corridor,
    records,
    taught,
    dialled,
    stopped,
    swap(change) {
      stages = { ...stages, ...change };
    },
  };
}

function request(authority: string, fields: string[] = []): RequestFacts {
  return { method: 'GET', scheme: 'http', authority, target: '/', protocol: '1.1', fields };
}

const CLIENT = { client: { address: '127.0.0.1', port: 5000 }, via: 'absolute-form' } as const;
const block: Inspector = { id: 'list', phase: 'request', inspect: () => [BLOCK] };

function only(records: readonly WeirRecord[]): ExchangeRecord {
  const spans = records.filter((record) => record.kind === 'exchange');
  assert.equal(spans.length, 1);
  return spans[0] as ExchangeRecord;
}

test('a forwarded exchange leaves exactly one record and teaches the baseline', async () => {
  const { corridor, records, taught, dialled } = house();
  const exchange = corridor.open(corridor.connection(CLIENT), request('a.test'), 'exchange');
  assert.deepEqual(corridor.check(exchange), { forward: true });
  const reach = await corridor.reach(exchange);
  assert.ok('link' in reach);
  assert.deepEqual(dialled[0]?.addresses, ['127.0.0.1']);
  exchange.status = 200;
  corridor.close(exchange, { outcome: 'forwarded' });
  corridor.close(exchange, { outcome: 'failed' });
  const record = only(records);
  assert.deepEqual(
    [record.outcome, record.firstSeen, record.teaches, record.host],
    ['forwarded', true, true, 'a.test'],
  );
  assert.deepEqual(taught, ['a.test']);
  assert.deepEqual(corridor.tally(), { started: 1, open: 0 });
});

test('the same verdict: would-block in monitor, refused before any dial in enforce', () => {
  const monitor = house({ inspectors: [block] });
  const passed = monitor.corridor.open(monitor.corridor.connection(CLIENT), request('a.test'), 'exchange');
  assert.equal(monitor.corridor.check(passed).forward, true);
  passed.status = 200;
  monitor.corridor.close(passed, { outcome: 'forwarded' });
  const would = only(monitor.records);
  assert.deepEqual([would.verdict, would.action, would.would], ['block', 'forward', 'block']);

  const enforce = house({ inspectors: [block], mode: 'enforce' });
  const stopped = enforce.corridor.open(enforce.corridor.connection(CLIENT), request('a.test'), 'exchange');
  assert.equal(enforce.corridor.check(stopped).forward, false);
  enforce.corridor.close(stopped, { outcome: 'blocked' });
  const record = only(enforce.records);
  assert.deepEqual(
    [record.verdict, record.action, record.outcome, record.errorType],
    ['block', 'block', 'blocked', 'policy-denied'],
  );
  assert.deepEqual(enforce.dialled, []);
  assert.deepEqual(enforce.taught, []);
});

test('an inspector that throws is a finding; the others still count', () => {
  const broken: Inspector = {
    id: 'broken',
    phase: 'request',
    inspect: () => {
      throw new Error('boom');
    },
  };
  const { corridor, records } = house({ inspectors: [broken, block] });
  const exchange = corridor.open(corridor.connection(CLIENT), request('a.test'), 'exchange');
  corridor.check(exchange);
  corridor.close(exchange, { outcome: 'forwarded' });
  assert.deepEqual(
    only(records).findings.map((finding) => finding.rule),
    ['inspector-failed', 'denied', 'first-seen'],
  );
});

test('a reader that throws at the end costs no record', () => {
  const { corridor, records, swap } = house();
  const failures: unknown[] = [];
  const told = (): never => {
    throw new Error('broken');
  };
  swap({ reading: { copy: () => undefined, told, failed: (error) => failures.push(error) } });
  const exchange = corridor.open(corridor.connection(CLIENT), request('a.test'), 'exchange');
  corridor.close(exchange, { outcome: 'forwarded' });
  assert.equal(only(records).llm, undefined);
  assert.equal(failures.length, 1);
});

test('an address finding is judged before the dial', async () => {
  const address: Inspector = { id: 'address', phase: 'address', inspect: () => [BLOCK] };
  const { corridor, dialled } = house({ inspectors: [address], mode: 'enforce' });
  const exchange = corridor.open(corridor.connection(CLIENT), request('a.test'), 'exchange');
  corridor.check(exchange);
  const reach = await corridor.reach(exchange);
  assert.ok('answer' in reach && reach.answer.status === 403);
  assert.deepEqual(dialled, []);
});

test('failures to resolve or dial are answered and recorded with a bounded error type', async () => {
  const { corridor, records } = house({
    upstream: { resolve: () => Promise.reject(new WeirError('dns-failed', 'ENOTFOUND')) },
  });
  const exchange = corridor.open(corridor.connection(CLIENT), request('a.test'), 'exchange');
  corridor.check(exchange);
  const reach = await corridor.reach(exchange);
  assert.ok('answer' in reach && reach.answer.status === 502);
  corridor.close(exchange, { outcome: 'blocked' });
  assert.deepEqual(
    [only(records).outcome, only(records).errorType, only(records).answeredStatus],
    ['failed', 'dns-failed', 502],
  );
});

test('a CONNECT hands its first contact to what flows inside; an upload weighs more', () => {
  const { corridor, records } = house();
  const connection = corridor.connection({ ...CLIENT, via: 'connect' });
  const connect = corridor.open(connection, { ...request('a.test'), method: 'CONNECT', scheme: 'tcp' }, 'connect');
  corridor.check(connect);
  corridor.close(connect, { outcome: 'forwarded' });
  const inner = corridor.open(connection, request('a.test'), 'exchange');
  corridor.check(inner);
  inner.requestBytes = 5000;
  inner.status = 200;
  corridor.close(inner, { outcome: 'forwarded' });
  const record = only(records);
  assert.equal(record.firstSeen, true);
  assert.deepEqual(
    record.findings.map((finding) => [finding.rule, finding.severity]),
    [['first-seen', 'medium']],
  );
  assert.equal(record.linkSpanId, connect.spanId);
});

test('a tunnel shares the id of its CONNECT, has its own span, and does not report its findings twice', () => {
  const { corridor, records } = house({ inspectors: [block] });
  const connection = corridor.connection({ ...CLIENT, via: 'connect' });
  const connect = corridor.open(connection, { ...request('a.test'), method: 'CONNECT', scheme: 'tcp' }, 'connect');
  corridor.check(connect);
  corridor.close(connect, { outcome: 'forwarded' });
  const tunnel = corridor.openTunnel(connect);
  tunnel.responseBytes = 10;
  corridor.close(tunnel, { outcome: 'forwarded', closeReason: 'agent-closed' });
  const record = records.find((entry) => entry.kind === 'tunnel') as ExchangeRecord;
  assert.equal(record.id, connect.id);
  assert.notEqual(record.spanId, connect.spanId);
  assert.deepEqual(record.findings, []);
  assert.deepEqual(record.priorRules, ['denied', 'first-seen']);
  assert.equal(record.would, 'block');
  assert.equal(record.teaches, true);
});

test('stopping an agent revokes its open exchanges and refuses new ones', () => {
  const { corridor, stopped } = house();
  const fields = ['X-Weir-Agent', 'bot'];
  const connection = corridor.connection(CLIENT);
  const exchange = corridor.open(connection, request('a.test', fields), 'exchange');
  corridor.check(exchange);
  let revoked = 0;
  corridor.onRevoked(exchange, () => void revoked++);
  stopped.add('bot');
  corridor.rejudge();
  corridor.rejudge();
  assert.equal(revoked, 1);
  assert.equal(corridor.check(corridor.open(connection, request('a.test', fields), 'exchange')).forward, false);
});

test('a CONNECT that was silent when its agent was stopped is refused when it wakes', () => {
  const { corridor, stopped } = house();
  const connect = corridor.open(
    corridor.connection({ ...CLIENT, via: 'connect' }),
    { ...request('a.test', ['X-Weir-Agent', 'bot']), method: 'CONNECT', scheme: 'tcp' },
    'connect',
  );
  corridor.check(connect);
  corridor.close(connect, { outcome: 'forwarded' });
  stopped.add('bot');
  assert.equal(corridor.checkTls(connect, undefined, 'ssh').forward, false);
});

test('a reload that forbids a destination revokes what is open there', () => {
  const { corridor, swap } = house({ mode: 'enforce' });
  const exchange = corridor.open(corridor.connection(CLIENT), request('a.test'), 'exchange');
  corridor.check(exchange);
  let revoked = 0;
  corridor.onRevoked(exchange, () => void revoked++);
  corridor.rejudge();
  assert.equal(revoked, 0);
  swap({ inspectors: [block] });
  corridor.rejudge();
  assert.equal(revoked, 1);
});

test('the newest connection of an agent at its limit is refused, others are not slowed', () => {
  const { corridor } = house({ perAgent: 1 });
  const first = corridor.open(corridor.connection(CLIENT), request('a.test'), 'exchange');
  assert.equal(corridor.check(first).forward, true);
  const second = corridor.connection(CLIENT);
  const refused = corridor.check(corridor.open(second, request('a.test'), 'exchange'));
  assert.ok(!refused.forward && refused.answer.status === 503);
  assert.equal(
    corridor.check(corridor.open(corridor.connection(CLIENT), request('a.test', ['X-Weir-Agent', 'b']), 'exchange'))
      .forward,
    true,
  );
  corridor.connectionClosed(second, 'agent-closed');
  assert.equal(corridor.check(corridor.open(first.connection, request('a.test'), 'exchange')).forward, true);
});

test('an inner request brings stronger evidence or none; disagreement is a finding', () => {
  const { corridor, records } = house();
  const connection = corridor.connection({ ...CLIENT, via: 'connect' });
  corridor.open(
    connection,
    { ...request('a.test', ['X-Weir-Agent', 'outer']), method: 'CONNECT', scheme: 'tcp' },
    'connect',
  );
  const same = corridor.open(connection, request('a.test'), 'exchange');
  assert.deepEqual([same.identity.agent, same.findings.length], ['outer', 0]);
  const other = corridor.open(connection, request('a.test', ['X-Weir-Agent', 'else']), 'exchange');
  assert.equal(other.identity.agent, 'outer');
  assert.deepEqual(
    other.findings.map((finding) => finding.rule),
    ['identity-conflict'],
  );
  assert.deepEqual(records, []);
});

test('verification is answered in every mode and is neither dialled nor learned', () => {
  const { corridor, records, taught } = house({ inspectors: [block], mode: 'enforce' });
  const exchange = corridor.open(corridor.connection(CLIENT), request('verify.weir.invalid'), 'exchange');
  const checked = corridor.check(exchange);
  assert.ok(!checked.forward && checked.answer.status === 200);
  corridor.close(exchange, { outcome: 'blocked' });
  assert.equal(only(records).outcome, 'answered');
  assert.deepEqual(taught, []);
});

test('an authority nobody can read is answered 400 and counted', () => {
  const { corridor } = house();
  const exchange = corridor.open(corridor.connection(CLIENT), request(''), 'exchange');
  const checked = corridor.check(exchange);
  assert.ok(!checked.forward && checked.answer.status === 400);
  assert.equal(corridor.counters()['bad-authority'], 1);
});

test('input refused before it is an exchange is a finding with its connection', () => {
  const { corridor, records } = house();
  const connection = corridor.connection(CLIENT);
  assert.equal(corridor.reject(connection, 'ambiguous-framing', 'CL with TE').status, 400);
  const event = records[0] as EventRecord;
  assert.deepEqual(
    [event.kind, event.finding.rule, event.connectionId],
    ['finding', 'ambiguous-framing', connection.id],
  );
});

test('a body that is still being decoded holds its record, and nothing is lost meanwhile', async () => {
  const { corridor, records, taught, swap } = house({ mode: 'enforce' });
  const leak: Finding = { ...BLOCK, inspector: 'scan', severity: 'high' };
  let settle: (findings: readonly Finding[]) => void = () => assert.fail('nobody waits');
  swap({
    content: {
      tap: () => ({
        push: () => undefined,
        finish: () =>
          new Promise((resolve) => {
            settle = resolve;
          }),
      }),
      judgeLate: (ruling) => ({ ...ruling, verdict: 'block', would: 'block' }),
    },
  });
  const exchange = corridor.open(corridor.connection(CLIENT), request('a.test'), 'exchange');
  corridor.check(exchange);
  corridor.content(exchange, 'request')?.push(Buffer.from('x'));
  exchange.status = 200;
  const before = performance.now();
  corridor.close(exchange, { outcome: 'forwarded' });
  corridor.close(exchange, { outcome: 'failed' });
  const closed = performance.now();
  assert.equal(records.length, 0);
  assert.deepEqual(corridor.tally(), { started: 1, open: 1 }, 'begun and not recorded: open');
  corridor.sweep();
  corridor.rejudge();
  assert.equal(records.length, 0, 'over is not open to a sweep');
  let settled = false;
  const all = corridor.settled().then(() => {
    settled = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(settled, false);
  settle([leak]);
  await all;
  const record = only(records);
  assert.deepEqual(
    [record.outcome, record.verdict, record.action, record.would, record.teaches],
    ['forwarded', 'block', 'forward', 'block', false],
  );
  assert.ok(record.findings.includes(leak));
  assert.ok(
    record.durationMs <= closed - before + (before - exchange.startedMono),
    'as long as the exchange, not the decoding',
  );
  assert.deepEqual(taught, []);
  assert.deepEqual(corridor.tally(), { started: 1, open: 0 });
  await corridor.settled();
});
