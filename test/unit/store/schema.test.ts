import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toDuckDB } from '../../../src/store/convert.ts';
import {
  auditRow,
  connectionRow,
  eventFindingRow,
  exchangeRow,
  findingRows,
  type Row,
  runRow,
} from '../../../src/store/row.ts';
import { schemaMarkdown, TABLES, type TableName, table } from '../../../src/store/schema.ts';
import { connection, event, exchange, finding, open, run, tempDir } from './help.ts';

function named(name: TableName, row: Row): Record<string, unknown> {
  const { columns } = table(name);
  assert.equal(row.length, columns.length, `${name} has as many cells as columns`);
  return Object.fromEntries(columns.map((c, i) => [c.name, row[i]]));
}

test('every column is documented once, and the Markdown shows them all', () => {
  const text = schemaMarkdown();
  for (const t of TABLES) {
    assert.ok(text.includes(`### \`${t.name}\``));
    const names = t.columns.map((c) => c.name);
    assert.equal(new Set(names).size, names.length);
    for (const c of t.columns) {
      assert.ok(c.doc.length > 2, c.name);
      assert.ok(text.includes(`| \`${c.name}\``));
      assert.ok(!c.doc.includes('|'));
    }
  }
});

test('exchanges have at least the columns others rely on', () => {
  const names = new Set(table('exchanges').columns.map((c) => c.name));
  const promised =
    'id connection_id started_at agent method scheme host port tenant path credential_fp status request_bytes response_bytes duration_ms visibility mode verdict action would_block first_seen ref trace_id span_id';
  for (const name of promised.split(' ')) assert.ok(names.has(name), name);
});

test('column names need no quotes', async (t) => {
  const dir = tempDir(t);
  const store = await open(t, dir);
  await store.snapshot(`${dir}/s`);
  const { openQuery } = await import('../../../src/store/query.ts');
  for (const tbl of TABLES) {
    const query = await openQuery(
      { stateDir: dir, snapshotDir: `${dir}/s` },
      `SELECT ${tbl.columns.map((c) => c.name).join(', ')} FROM ${tbl.name} ORDER BY ${tbl.columns[0]?.name}`,
    );
    assert.deepEqual(
      query.columns.map((c) => c.type),
      tbl.columns.map((c) => (c.type === 'TIMESTAMPTZ' ? 'TIMESTAMP WITH TIME ZONE' : c.type)),
    );
    await query.close();
  }
});

test('an exchange becomes its row', () => {
  const record = exchange({
    tenant: 'acme',
    credentialFp: 'k1',
    parentSpanId: 'p',
    peerAddress: '192.0.2.1',
    peerPort: 443,
    sni: 's',
    alpn: 'h2',
    ja4: 'j',
    ttfbMs: 3,
    would: 'block',
    verdict: 'block',
    firstSeen: true,
    findings: [finding(), finding({ rule: 'first-seen' })],
    userAgent: 'ua',
    errorType: 'dns-failed',
    tunnelProtocol: 'ssh',
    tlsVersion: '1.3',
    ech: true,
  });
  const row = named('exchanges', exchangeRow(record));
  assert.equal(row['ref'], record.id.slice(-10));
  assert.equal(row['path'], '/v1/things');
  assert.equal(row['would_block'], true);
  assert.deepEqual(row['rules'], ['destination-not-allowed', 'first-seen']);
  for (const [column, value] of Object.entries({
    tenant: 'acme',
    credential_fp: 'k1',
    parent_span_id: 'p',
    peer_address: '192.0.2.1',
    sni: 's',
    alpn: 'h2',
    ja4: 'j',
    ttfb_ms: 3,
    first_seen: true,
    user_agent: 'ua',
    error_type: 'dns-failed',
    tunnel_protocol: 'ssh',
    tls_version: '1.3',
    ech: true,
    status: 200,
    mode: 'monitor',
    verdict: 'block',
    action: 'forward',
    would: 'block',
    state: 'closed',
    outcome: 'forwarded',
    request_bytes: 10,
    response_bytes: 200,
    duration_ms: 12.5,
    overhead_ms: 0.1,
    via: 'connect',
    identified_by: 'claim',
    started_at: record.startedAt,
    client_address: '127.0.0.1',
    protocol: '1.1',
    baseline_state: 'learning',
    scheme: 'https',
    host: 'api.example.com',
    port: 443,
    method: 'GET',
    kind: 'exchange',
    visibility: 'intercepted',
    connection_id: record.connectionId,
  }))
    assert.equal(row[column], value, column);
});

test('a tunnel is a CONNECT in a tunnel; our own answer is the status', () => {
  const row = named('exchanges', exchangeRow(exchange({ kind: 'tunnel', method: 'X', visibility: 'plaintext' })));
  assert.deepEqual([row['method'], row['visibility']], ['CONNECT', 'tunnel']);
  const { status: _, ...unanswered } = exchange({ answeredStatus: 403, outcome: 'blocked' });
  assert.equal(named('exchanges', exchangeRow(unanswered))['status'], 403);
});

test('connections, findings and audit become their rows', () => {
  assert.equal(named('connections', connectionRow(connection()))['close_reason'], 'agent closed');
  const record = exchange({ findings: [finding({ message: 'm' })], action: 'block' });
  const row = named('findings', findingRows(record)[0] as Row);
  assert.deepEqual(
    [row['exchange_id'], row['host'], row['rule'], row['message'], row['action']],
    [record.id, 'api.example.com', 'destination-not-allowed', 'm', 'block'],
  );
  assert.equal(named('findings', eventFindingRow(event()))['exchange_id'], null);
  assert.equal(named('audit', auditRow(event({ kind: 'audit', actor: 'cli' })))['actor'], 'cli');
});

test('a run becomes its row, and what belongs to it names it', () => {
  const record = run({ restarts: 1 });
  const row = named('runs', runRow(record));
  const { traceId, spanId } = record;
  for (const [column, value] of Object.entries({
    id: record.id,
    ref: record.id.slice(-10),
    trace_id: traceId,
    span_id: spanId,
    started_at: record.startedAt,
    ended_at: record.endedAt,
    agent: 'researcher',
    program: 'python3',
    mode: 'monitor',
    containment: 'cooperative',
    exit_code: 0,
    exit_signal: null,
    abandoned: false,
    restarts: 1,
    direct_watched: true,
    direct_connections: 3,
  }))
    assert.equal(row[column], value, column);
  const { exitCode: _, ...killed } = run({ exitSignal: 'SIGKILL', abandoned: true, direct: [], directWatched: false });
  const other = named('runs', runRow(killed));
  assert.deepEqual([other['exit_code'], other['exit_signal'], other['abandoned']], [null, 'SIGKILL', true]);
  assert.deepEqual([other['direct_connections'], other['direct_watched']], [0, false]);
  const runId = record.id;
  const found = exchange({ runId, findings: [finding()] });
  assert.equal(named('exchanges', exchangeRow(found))['run_id'], runId);
  assert.equal(named('connections', connectionRow(connection({ runId })))['run_id'], runId);
  const own = named('findings', findingRows(found)[0] as Row);
  assert.deepEqual([own['run_id'], own['program'], own['count']], [runId, null, null]);
  const past = named('findings', eventFindingRow(event({ runId, program: 'node', count: 4 })));
  assert.deepEqual([past['run_id'], past['program'], past['count']], [runId, 'node', 4]);
  assert.equal(named('exchanges', exchangeRow(exchange()))['run_id'], null);
});

test('no number makes a cell throw', () => {
  for (const type of ['INTEGER', 'BIGINT', 'DOUBLE', 'TIMESTAMPTZ'] as const) {
    for (const cell of [Number.NaN, Number.POSITIVE_INFINITY, -Number.MAX_VALUE, 0.5, -0, 'text', true, null]) {
      assert.doesNotThrow(() => toDuckDB(type, cell), `${type} ${String(cell)}`);
    }
  }
});
