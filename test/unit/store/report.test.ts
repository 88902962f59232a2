import assert from 'node:assert/strict';
import * as path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Finding } from '../../../src/model/finding.ts';
import type { WeirRecord } from '../../../src/model/record.ts';
import type { ReportFacts, ReportFilter } from '../../../src/model/report.ts';
import { refOf, ulid } from '../../../src/model/ulid.ts';
import { type Engine, openEngine } from '../../../src/store/engine.ts';
import { finishRolling, refreshView } from '../../../src/store/history.ts';
import { CURRENT } from '../../../src/store/migrate.ts';
import { openQuery } from '../../../src/store/query.ts';
import { type ReportContext, readReport } from '../../../src/store/report.ts';
import { DAY, event, exchange, finding, NOON, open, run, tempDir } from './help.ts';

const CONTEXT: ReportContext = { mode: 'enforce', containment: 'network', now: NOON };

/** What `openQuery` gives, one statement at a time. */
function asked(source: Parameters<typeof openQuery>[0]) {
  return async (sql: string): Promise<unknown[][]> => {
    const query = await openQuery(source, sql);
    const rows: unknown[][] = [];
    try {
      for (let chunk = await query.next(); chunk !== undefined; chunk = await query.next()) rows.push(...chunk);
      return rows;
    } finally {
      await query.close();
    }
  };
}

/** The report as the recorder reads it (its own session, tables of the open days), and as the command line does with and without a collector: all the same. */
async function report(t: TestContext, dir: string, filter: ReportFilter, now?: number): Promise<ReportFacts> {
  const store = await open(t, dir);
  if (now !== undefined) await store.maintain(now);
  const snapshotDir = path.join(dir, 'snapshots', 'q');
  await store.snapshot(snapshotDir);
  const beside = await readReport(asked({ stateDir: dir, snapshotDir }), filter, CONTEXT);
  await store.close(1000);
  const alone = await readReport(asked({ stateDir: dir, directFile: 'weir.duckdb' }), filter, CONTEXT);
  const engine = await openFile(dir);
  const history = path.join(dir, 'history');
  const inside = await engine.use((session) => readReport(session.all, filter, { ...CONTEXT, history }));
  await engine.close(1000);
  assert.deepEqual(alone, beside);
  assert.deepEqual(inside, beside);
  assert.deepEqual(JSON.parse(JSON.stringify(beside)), beside);
  return beside;
}

function openFile(dir: string): Promise<Engine> {
  const history = path.join(dir, 'history');
  return openEngine({
    place: { dir, file: path.join(dir, 'weir.duckdb'), history },
    memoryLimitMb: 128,
    threads: 1,
    target: CURRENT,
    createdBy: 'test',
    clock: () => NOON,
    onProblem: () => undefined,
    onOpen: async (session) => {
      await finishRolling(session, history);
      await refreshView(session, history);
    },
  });
}

async function store(t: TestContext, dir: string, records: readonly WeirRecord[]): Promise<void> {
  const made = await open(t, dir);
  await made.consume(records, records.length);
  await made.close(1000);
}

function news(rule: string, more: Partial<Finding> = {}): Finding {
  return finding({ inspector: 'baseline', rule, severity: 'low', disposition: 'flag', message: rule, ...more });
}

test('one run: sums, destinations, news, content, what went around, what was not read', async (t) => {
  const dir = tempDir(t);
  const id = ulid(NOON);
  const common = { runId: id, agent: 'claude' } as const;
  const tunnel = { ...common, kind: 'tunnel', via: 'connect', interceptionSkipped: 'client-rejected-ca' } as const;
  await store(t, dir, [
    exchange({ ...common, host: 'llm.test', requestBytes: 100, responseBytes: 1000, durationMs: 2000 }),
    exchange({ ...common, host: 'llm.test', requestBytes: 200, responseBytes: 3000, startedAt: NOON + 1000 }),
    exchange({ ...common, host: 'git.test', tenant: 'git.test/acme', firstSeen: true, baselineState: 'learning' }),
    exchange({
      ...common,
      host: 'files.test',
      method: 'POST',
      target: '/up?x=1',
      requestBytes: 41_000,
      would: 'block',
      verdict: 'block',
      firstSeen: true,
      baselineState: 'ready',
      findings: [
        news('first-seen', { severity: 'medium' }),
        news('agent-first-seen'),
        finding({ inspector: 'scan', rule: 'aws-access-key', disposition: 'block' }),
        finding({ inspector: 'scan', rule: 'unscanned', severity: 'info', disposition: 'allow' }),
        finding({ inspector: 'scan-response', rule: 'exfiltrate-secrets', severity: 'high', disposition: 'flag' }),
      ],
    }),
    exchange({
      ...common,
      host: 'never.test',
      mode: 'enforce',
      action: 'block',
      outcome: 'blocked',
      findings: [news('not-in-baseline', { severity: 'high', disposition: 'block' })],
    }),
    exchange({ ...common, host: 'verify.weir.invalid', outcome: 'answered' }),
    exchange({ ...tunnel, host: 'github.test', userAgent: 'gh/2.1 (x)', requestBytes: 5 }),
    exchange({ ...tunnel, host: 'github.test', userAgent: 'gh/2.1 (x)' }),
    exchange({ ...tunnel, host: 'api.github.test', userAgent: 'gh/2.1 (x)' }),
    exchange({ ...tunnel, host: 'mtls.test', interceptionSkipped: 'client-certificate-required' }),
    exchange({ agent: 'claude', host: 'another-run.test', runId: ulid(NOON) }),
    exchange({ agent: 'other', host: 'no-run.test' }),
    event({
      ...common,
      host: '192.0.2.9',
      port: 22,
      program: 'ssh',
      count: 1,
      finding: finding({ inspector: 'direct', rule: 'direct-connection' }),
    }),
    event({
      ...common,
      host: '192.0.2.9',
      port: 22,
      program: 'ssh',
      count: 2,
      finding: finding({ inspector: 'direct', rule: 'direct-connection' }),
    }),
    run({
      id,
      agent: 'claude',
      program: 'claude',
      startedAt: NOON - 1,
      endedAt: NOON + 5000,
      exitCode: 3,
      restarts: 1,
    }),
  ]);
  const facts = await report(t, dir, { run: id });
  assert.deepEqual(
    { ...facts, top: facts.top.map(({ host, requests, requestBytes }) => [host, requests, requestBytes]) },
    {
      filter: { run: id },
      agents: ['claude'],
      from: NOON - 1,
      to: NOON + 5000,
      mode: 'monitor',
      containment: 'cooperative',
      run: { id, program: 'claude', code: 3, restarts: 1 },
      runs: 1,
      destinations: 6,
      requests: 9,
      requestBytes: 100 + 200 + 10 + 41_000 + 10 + 5 + 10 + 10 + 10,
      responseBytes: 1000 + 3000 + 7 * 200,
      top: [
        ['llm.test', 2, 300],
        ['github.test', 2, 15],
        ['files.test', 1, 41_000],
        ['api.github.test', 1, 10],
        ['git.test', 1, 10],
        ['mtls.test', 1, 10],
      ],
      new: [
        {
          rule: 'not-in-baseline',
          agent: 'claude',
          host: 'never.test',
          port: 443,
          message: 'not-in-baseline',
          requestBytes: 10,
          severity: 'high',
          action: 'block',
          would: 'none',
        },
        {
          rule: 'first-seen',
          agent: 'claude',
          host: 'files.test',
          port: 443,
          message: 'first-seen',
          requestBytes: 41_000,
          severity: 'medium',
          action: 'forward',
          would: 'none',
        },
        {
          rule: 'first-contact',
          agent: 'claude',
          host: 'git.test',
          port: 443,
          message: 'first contact while learning',
          requestBytes: 10,
        },
      ],
      leaving: [
        {
          rule: 'aws-access-key',
          method: 'POST',
          host: 'files.test',
          path: '/up',
          count: 1,
          action: 'forward',
          would: 'block',
        },
        {
          rule: 'exfiltrate-secrets',
          method: 'POST',
          host: 'files.test',
          path: '/up',
          count: 1,
          action: 'forward',
          would: 'none',
          incoming: true,
        },
      ],
      totals: { new: 2, firstContacts: 1, leaving: 2 },
      direct: [{ program: 'ssh', address: '192.0.2.9', port: 22, count: 2 }],
      directTotal: 3,
      directWatched: true,
      unread: [
        { reason: 'client-rejected-ca', client: 'gh', hosts: ['github.test', 'api.github.test'] },
        { reason: 'client-certificate-required', hosts: ['mtls.test'] },
      ],
      wouldBlock: 1,
      blocked: 1,
      redacted: 0,
      remarks: ['the collector died once and was started again; what passed in between was not seen'],
    },
  );
  assert.equal(facts.top[4]?.tenant, 'git.test/acme');
  const short = await report(t, dir, { run: refOf(id) });
  assert.deepEqual({ ...short, filter: {} }, { ...facts, filter: {} });
});

test('a time and an agent, through the days that are closed', async (t) => {
  const dir = tempDir(t);
  const name = "o'brien";
  const old = { startedAt: NOON - 3 * DAY, agent: name } as const;
  await store(t, dir, [
    exchange({ ...old, startedAt: NOON - 9 * DAY, host: 'too-old.test' }),
    exchange({ ...old, host: 'old.test', findings: [news('new-port')] }),
    exchange({ agent: name, host: 'new.test', findings: [news('agent-first-seen', { message: 'first appearance' })] }),
    exchange({ agent: 'other', host: 'other.test', outcome: 'failed' }),
    exchange({ agent: name, host: 'new.test', outcome: 'failed', errorType: 'dns-failed' }),
    exchange({ agent: name, host: 'later.test', startedAt: NOON + 3_600_000 }),
    exchange({ agent: name, host: 'cut.test', outcome: 'interrupted' }),
    run({ agent: name, startedAt: NOON - 4 * DAY, endedAt: NOON - 2 * DAY, restarts: 0, containment: 'separate-user' }),
    run({ agent: name, startedAt: NOON - 9 * DAY, endedAt: NOON - 8 * DAY, restarts: 4 }),
  ]);
  const filter = { agent: name, since: NOON - 4 * DAY, until: NOON + 1000 };
  const before = await report(t, dir, filter);
  const facts = await report(t, dir, filter, NOON);
  assert.deepEqual(facts, before, 'rolling changes nothing');
  assert.deepEqual(facts.top.map(({ host }) => host).sort(), ['cut.test', 'new.test', 'old.test']);
  assert.deepEqual(facts.top.map(({ host, requests, failed }) => [host, requests, failed])[0], ['new.test', 2, 1]);
  assert.deepEqual(facts.agents, [name]);
  assert.deepEqual([facts.runs, facts.run, facts.containment, facts.mode], [1, undefined, 'separate-user', 'monitor']);
  assert.deepEqual([facts.from, facts.to], [NOON - 3 * DAY, NOON + 12.5]);
  assert.deepEqual(
    facts.new.map(({ rule, host, message }) => [rule, host, message]),
    [
      ['new-port', 'old.test', 'new-port'],
      ['agent-first-seen', '', 'first appearance'],
    ],
  );
  assert.deepEqual(facts.remarks, ['1 exchange was open when a collector ended; how they ended was not seen']);
  assert.equal(facts.destinations, 3);
});

test('nothing there: an empty report over the time that was asked for', async (t) => {
  const dir = tempDir(t);
  const facts = await readReport(
    asked({ stateDir: dir, directFile: 'weir.duckdb' }),
    { since: NOON - DAY, agent: 'nobody' },
    CONTEXT,
  );
  assert.deepEqual([facts.from, facts.to, facts.requests, facts.agents], [NOON - DAY, NOON, 0, []]);
  assert.deepEqual([facts.mode, facts.containment], ['enforce', 'network']);
  assert.deepEqual([...facts.top, ...facts.new, ...facts.leaving, ...facts.direct, ...facts.unread], []);
  const odd = await readReport(asked({ stateDir: dir }), { since: Number.NaN, until: 1e300 }, CONTEXT);
  assert.equal(odd.requests, 0);
});

test('long lists are cut and say how long they are; redacted and blocked content is the strongest of its group', async (t) => {
  const dir = tempDir(t);
  const many = Array.from({ length: 60 }, (_, i) =>
    exchange({ host: `h${i}.test`, startedAt: NOON + i, firstSeen: true, findings: [news('new-port')] }),
  );
  const scanned = (action: 'forward' | 'redact' | 'block', target: string) =>
    exchange({
      host: 'h.test',
      target,
      action,
      findings: [finding({ inspector: 'scan', rule: 'key', disposition: 'redact' })],
    });
  await store(t, dir, [...many, scanned('forward', '/a?1'), scanned('redact', '/a?2'), scanned('block', '/b')]);
  const facts = await report(t, dir, { agent: 'researcher' });
  assert.deepEqual(facts.totals, { new: 60, firstContacts: 60, leaving: 2 });
  assert.deepEqual([facts.new.length, facts.top.length, facts.destinations], [100, 20, 61]);
  assert.deepEqual(
    facts.leaving.map(({ path, count, action, would }) => [path, count, action, would]),
    [
      ['/a', 2, 'redact', 'redact'],
      ['/b', 1, 'block', 'none'],
    ],
  );
  assert.deepEqual([facts.blocked, facts.redacted], [1, 1]);
});

test('tokens are summed once there are columns for them', async () => {
  const asked: string[] = [];
  const all = async (sql: string): Promise<unknown[][]> => {
    asked.push(sql);
    if (sql.includes('DESCRIBE')) return [['host'], ['llm_input_tokens'], ['llm_output_tokens']];
    return sql.includes('input_tokens') ? [['llm.test', 443, null, 1, 2, 3, 0, 1_200_000, 38_000]] : [];
  };
  const facts = await readReport(all, {}, CONTEXT);
  assert.ok(asked.some((sql) => sql.includes('sum(llm_input_tokens)')));
  assert.deepEqual([facts.top[0]?.inputTokens, facts.top[0]?.outputTokens], [1_200_000, 38_000]);
});
