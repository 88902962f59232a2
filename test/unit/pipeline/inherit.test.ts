import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../../src/model/answer.ts';
import type { RequestFacts } from '../../../src/model/exchange.ts';
import type { Finding, Mode } from '../../../src/model/finding.ts';
import type { ExchangeRecord, WeirRecord } from '../../../src/model/record.ts';
import { createCorridor } from '../../../src/pipeline/corridor.ts';
import type { ContentStage, Stages } from '../../../src/pipeline/stages.ts';
import { enforce, enforceLate } from '../../../src/verdict/enforce.ts';
import { judge } from '../../../src/verdict/judge.ts';

const finding = (inspector: string, rule: string, more: Partial<Finding> = {}): Finding => ({
  inspector,
  rule,
  severity: 'high',
  disposition: 'block',
  message: rule,
  ...more,
});
const REFUSED: Answer = { status: 403, reason: 'Blocked', headers: [], body: '' };

/** A corridor whose CONNECTs have these findings, and whose inner requests have none of their own. */
function house(mode: Mode, ofConnect: readonly Finding[], content?: Partial<ContentStage>) {
  const records: WeirRecord[] = [];
  const stages: Stages = {
    identify: () => ({ agent: 'a', by: 'default' }),
    inspectors: [
      { id: 'scan', phase: 'request', inspect: ({ kind }) => (kind === 'connect' ? ofConnect : []) },
      { id: 'late', phase: 'response', inspect: () => [finding('late', 'noticed', { disposition: 'flag' })] },
    ],
    accounts: { observe: () => [], teach: () => undefined },
    baseline: {
      observe: () => ({ firstSeen: false, state: 'ready', findings: [] }),
      teach: () => undefined,
      grade: (_exchange, one) => one,
      agentFirstSeen: () => undefined,
      volume: () => undefined,
    },
    upstream: {} as Stages['upstream'],
    judge,
    apply: (verdict, findings) => enforce(verdict, findings, mode),
    mintPermit: () => undefined,
    refuse: () => REFUSED,
    fail: () => REFUSED,
    verification: () => undefined,
    account: () => ({}),
    stopped: () => false,
    normalise: (host) => ({ host, port: 443 }),
    ...(content === undefined ? {} : { content: { tap: () => undefined, judgeLate, ...content } }),
  };
  const corridor = createCorridor({
    stages: () => stages,
    post: (record) => void records.push(record),
    ready: Promise.resolve(),
    connectionsPerAgent: () => 100,
    spansPerTraceHour: 100,
    log: () => undefined,
  });
  return { corridor, records };
}
const judgeLate: ContentStage['judgeLate'] = (ruling, findings, takenOut) =>
  enforceLate(ruling, judge(findings), takenOut);

const request = (method: string): RequestFacts => ({
  method,
  scheme: 'https',
  authority: 'a.test',
  target: '/',
  protocol: '1.1',
  fields: [],
});

/** The record of a request inside a CONNECT with these findings, and whether it was let through. */
function inside(mode: Mode, ofConnect: readonly Finding[]): { forward: boolean; record: ExchangeRecord } {
  const { corridor, records } = house(mode, ofConnect);
  const connection = corridor.connection({ client: { address: '127.0.0.1', port: 1 }, via: 'connect' });
  const connect = corridor.open(connection, request('CONNECT'), 'connect');
  corridor.check(connect);
  corridor.close(connect, { outcome: 'forwarded' });
  const exchange = corridor.open(connection, request('GET'), 'exchange');
  const { forward } = corridor.check(exchange);
  corridor.close(exchange, { outcome: 'forwarded' });
  return { forward, record: records.find(({ kind }) => kind === 'exchange') as ExchangeRecord };
}

const rules = ({ findings }: ExchangeRecord): string[] => findings.map(({ rule }) => rule);

test('what a CONNECT is judged by is a finding of every request inside, in every mode', () => {
  const name = finding('scan', 'aws-access-key', { located: [{ part: 0, start: 0, end: 1, label: 'x' }] });
  for (const mode of ['monitor', 'redact', 'enforce'] as const) {
    const { forward, record } = inside(mode, [name, finding('names', 'noticed', { disposition: 'flag' })]);
    assert.deepEqual(rules(record), ['aws-access-key'], 'what is only flagged is told once');
    assert.equal(record.verdict, 'block');
    assert.equal(record.would, mode === 'enforce' ? 'none' : 'block');
    assert.equal(forward, mode !== 'enforce');
    assert.equal(record.findings[0]?.located, undefined, 'its places are of another head');
  }
});

test('what is asked of each request anew is not inherited, unless the CONNECT was refused for it', () => {
  const anew = [
    finding('destination', 'destination-blocked'),
    finding('rate', 'rate-limit', { retryAfter: 5 }),
    finding('policy', 'policy:p', { policy: { id: '1', name: 'p', action: 'block' } }),
  ];
  const { forward, record } = inside('monitor', anew);
  assert.deepEqual([forward, record.verdict, rules(record)], [true, 'allow', []]);
  const refused = inside('enforce', anew);
  assert.equal(refused.forward, false);
  assert.deepEqual(rules(refused.record), ['destination-blocked', 'rate-limit', 'policy:p']);
});

test('a block found in the last lines of a request is taken out, and the response is not refused for it', () => {
  for (const mode of ['redact', 'enforce'] as const) {
    const found = finding('scan', 'github-pat');
    const trailers = () => ({ findings: [found], values: new Map([[0, '[LABEL]']]) });
    const { corridor, records } = house(mode, [], { trailers });
    const connection = corridor.connection({ client: { address: '127.0.0.1', port: 1 }, via: 'absolute-form' });
    const exchange = corridor.open(connection, request('POST'), 'exchange');
    assert.equal(corridor.check(exchange).forward, true);
    assert.equal(corridor.checkTrailers(exchange, 'request', ['x-note', 'secret'])?.get(0), '[LABEL]');
    exchange.status = 200;
    exchange.responseFields = [];
    assert.equal(corridor.checkResponse(exchange).forward, true, mode);
    corridor.close(exchange, { outcome: 'forwarded' });
    const record = records[0] as ExchangeRecord;
    assert.deepEqual([record.verdict, record.action, record.would], ['block', 'redact', 'block'], mode);
    assert.deepEqual(rules(record), ['github-pat', 'noticed']);
  }
});

test('what was taken out too late to refuse: redacted, whatever was thought before', () => {
  const before = enforce({ disposition: 'block' }, [], 'redact');
  assert.deepEqual(enforceLate(before, { disposition: 'redact' }, true), { ...before, action: 'redact' });
  const redacted = enforceLate(enforce({ disposition: 'allow' }, [], 'redact'), { disposition: 'redact' }, true);
  assert.deepEqual(redacted, { mode: 'redact', verdict: 'redact', action: 'redact', would: 'none' });
});
