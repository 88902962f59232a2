import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { WeirRecord } from '../../../src/model/record.ts';
import { createRecorderClient, type RecorderClient, type RecorderClientOptions } from '../../../src/record/client.ts';
import { startOtlpReceiver } from '../../support/otlp-receiver.ts';
import { exchangeSample } from './samples.ts';

function stateDir(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'weir-recorder-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

interface Rig {
  readonly client: RecorderClient;
  readonly lines: string[];
  begin(count: number): void;
  /** Begins and ends this many exchanges. */
  run(count: number): string[];
}

function start(context: TestContext, directory: string, more: Partial<RecorderClientOptions> = {}): Rig {
  const lines: string[] = [];
  let started = 0;
  let ended = 0;
  const client = createRecorderClient({
    stateDir: directory,
    key: Buffer.alloc(32, 1),
    version: '0.1.0',
    patterns: new URL('../../../patterns/redaction.json', import.meta.url).pathname,
    telemetry: {
      endpoint: 'none',
      url: 'keys',
      sampleUnremarkable: 1,
      journalMaxBytes: 1 << 30,
      proxy: 'none',
      genai: 'auto',
      dialects: ['otel'],
    },
    store: undefined,
    env: {},
    log: (level, event, fields) => lines.push(`${level} ${event} ${JSON.stringify(fields)}`),
    ...more,
  });
  client.tally(() => ({ started, open: started - ended }));
  context.after(() => client.shutdown(500));
  return {
    client,
    lines,
    begin: (count) => {
      started += count;
    },
    run: (count) =>
      Array.from({ length: count }, () => {
        started++;
        ended++;
        const record = exchangeSample();
        client.post(record);
        return record.id;
      }),
  };
}
const telemetry = (endpoint: string) =>
  ({
    endpoint,
    url: 'keys',
    sampleUnremarkable: 1,
    journalMaxBytes: 1 << 30,
    proxy: 'none',
    genai: 'auto',
    dialects: ['otel'],
  }) as const;
async function until(check: () => boolean | Promise<boolean>, what: string, ms = 8000): Promise<void> {
  const end = performance.now() + ms;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('records go through the journal to the collector; status balances; secrets do not pass', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const directory = stateDir(context);
  const { client, run, lines } = start(context, directory, { telemetry: telemetry(receiver.url) });
  const ready = await client.ready;
  assert.equal(ready.endpoint, `spans, logs and metrics go to ${receiver.url}`);
  assert.deepEqual(ready.baseline, { agents: [] });
  const ids = run(300);
  const secret = `ghp_${'Q1w'.repeat(12)}`;
  client.post(exchangeSample({ target: `/x/${secret}?token=hunter2&page=2`, userAgent: `tool ${secret}` }));
  await receiver.until((at) => at.spans.length >= 301, 10_000);
  assert.deepEqual(
    receiver.spans.slice(0, 300).map((span) => span.attributes['weir.exchange.id']),
    ids,
  );
  await until(async () => (await client.status()).identity?.journalled === 0, 'drained');
  const status = await client.status();
  assert.ok(status.identity?.holds, JSON.stringify(status.identity));
  const text = await client.metrics();
  assert.match(text, /weir_up 1/);
  assert.match(text, /weir_spans_accepted_total\{weir_consumer="otlp-traces"\} 301/);
  await client.shutdown(2000);
  const stored = readdirSync(join(directory, 'journal')).map((name) =>
    readFileSync(join(directory, 'journal', name), 'utf8'),
  );
  for (const place of [...receiver.bodies, ...stored, ...lines, text]) {
    assert.ok(!place.includes(secret) && !place.includes('hunter2'));
  }
});

test('a dead collector does not hold the end, and the next life exports everything with the same ids', async (context) => {
  const receiver = await startOtlpReceiver();
  const { port } = receiver;
  await receiver.close();
  const directory = stateDir(context);
  const url = `http://127.0.0.1:${port}`;
  const first = start(context, directory, { telemetry: telemetry(url) });
  await first.client.ready;
  const ids = first.run(500);
  await until(async () => (await first.client.status()).identity?.journalled === 500, 'journalled');
  const began = performance.now();
  await first.client.shutdown(2500);
  assert.ok(performance.now() - began < 3000, `${performance.now() - began} ms`);

  const again = await startOtlpReceiver(port);
  context.after(again.close);
  const second = start(context, directory, { telemetry: telemetry(url) });
  const more = second.run(10);
  await again.until((at) => new Set(at.spans.map((span) => span.spanId)).size === 510, 10_000);
  const exported = new Set(again.spans.map((span) => span.attributes['weir.exchange.id']));
  for (const id of [...ids, ...more]) assert.ok(exported.has(id));
  await until(async () => (await second.client.status()).identity?.exported === 510, 'accounted');
  assert.ok((await second.client.status()).identity?.holds);
  await second.client.shutdown(2000);
});

test('open exchanges of a life that ended are exported as interrupted or counted as lost', async (context) => {
  const directory = stateDir(context);
  const first = start(context, directory);
  first.begin(3);
  const row = exchangeSample({ state: 'open' });
  first.client.post(row);
  await until(async () => ((await first.client.status()).identity?.open ?? 0) === 3, 'open');
  await first.client.shutdown(1000);
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const second = start(context, directory, { telemetry: telemetry(receiver.url) });
  await receiver.until((at) => at.spans.length === 1, 10_000);
  assert.equal(receiver.spans[0]?.spanId, row.spanId);
  assert.equal(receiver.spans[0]?.attributes['weir.outcome'], 'interrupted');
  await until(async () => (await second.client.status()).identity?.exported === 1, 'accounted');
  const identity = (await second.client.status()).identity;
  assert.deepEqual(identity?.dropped, { crash: 2 });
  assert.ok(identity?.holds);
  await second.client.shutdown(1000);
});

test('live records are presentable and stop when nobody listens', async (context) => {
  const { client, run } = start(context, stateDir(context));
  await client.ready;
  const seen: WeirRecord[] = [];
  const stop = client.onRecord((record) => void seen.push(record));
  client.post(exchangeSample({ target: '/a?password=x' }));
  await until(() => seen.length === 1, 'live record');
  assert.equal((seen[0] as { target: string }).target, '/a?password=…');
  stop();
  run(5);
  await client.status();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(seen.length, 1);
});

/** A recorder whose first thread dies of the first message it gets, before anything is in the journal. */
function dying(directory: string): URL {
  const marker = join(directory, 'died');
  const entry = join(directory, 'dying.ts');
  writeFileSync(
    entry,
    `import { existsSync, writeFileSync } from 'node:fs';
     import { parentPort } from 'node:worker_threads';
     if (existsSync(${JSON.stringify(marker)})) await import(${JSON.stringify(new URL('../../../src/recorder.ts', import.meta.url).href)});
     else {
       writeFileSync(${JSON.stringify(marker)}, '');
       parentPort?.on('message', () => { throw new Error('dies'); });
       parentPort?.postMessage({ type: 'accepting', batch: 0 });
     }`,
  );
  return new URL(`file://${entry}`);
}

test('a worker that dies is restarted and what it had not journalled is sent again', {
  timeout: 30_000,
}, async (context) => {
  const directory = stateDir(context);
  const { client, run, lines } = start(context, directory, { worker: dying(directory) });
  run(700);
  await until(() => lines.some((line) => line.includes('recorder-died')), 'died');
  assert.match((await client.status()).problems[0] ?? '', /recorder/);
  await client.ready;
  await until(async () => (await client.status()).identity?.journalled === 700, 'all journalled');
  const identity = (await client.status()).identity;
  assert.ok(identity?.holds);
  assert.deepEqual(identity?.dropped, {});
});

test('a thread that takes the place of another knows what containment has become', {
  timeout: 30_000,
}, async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const directory = stateDir(context);
  const more = { worker: dying(directory), telemetry: telemetry(receiver.url) };
  const { client, run, lines } = start(context, directory, more);
  client.containment('network');
  await until(() => lines.some((line) => line.includes('recorder-died')), 'died');
  await client.ready;
  run(1);
  await receiver.until(({ spans }) => spans.length === 1);
  assert.equal(receiver.spans[0]?.resource['weir.containment'], 'network');
});

test('a stalled recorder costs bounded memory and counted records, findings last', async (context) => {
  const directory = stateDir(context);
  const entry = join(directory, 'mute.ts');
  writeFileSync(entry, `import { parentPort } from 'node:worker_threads'; parentPort?.on('message', () => {});`);
  const { client, run } = start(context, directory, { worker: new URL(`file://${entry}`), backlogRecords: 100 });
  run(500);
  const finding = { inspector: 'i', rule: 'r', severity: 'high', disposition: 'flag', message: 'm' } as const;
  for (let i = 0; i < 50; i++) client.post(exchangeSample({ findings: [finding] }));
  const began = performance.now();
  await client.shutdown(100);
  assert.ok(performance.now() - began < 2000);
});

test('with a store: rows, baseline, snapshot, purge', { timeout: 30_000 }, async (context) => {
  const directory = stateDir(context);
  const store = { path: 'weir.duckdb', retentionDays: 30, flushMs: 20, maxBytes: 0, minFreeBytes: 0 };
  const first = start(context, directory, { store });
  const ready = await first.client.ready;
  assert.deepEqual(ready.problems, []);
  first.run(20);
  first.client.post(exchangeSample({ agent: 'other', host: 'secret.example.com' }));
  await until(async () => (await first.client.recent({ limit: 100 })).length === 21, 'rows');
  const { snapshotDir } = await first.client.snapshot();
  assert.ok(readdirSync(snapshotDir).includes('exchanges.parquet'));
  const purged = await first.client.purge({ agent: 'other' });
  assert.ok(purged.rows >= 1);
  assert.equal((await first.client.recent({ limit: 100 })).length, 20);
  assert.deepEqual(readdirSync(join(directory, 'snapshots')), []);
  const journal = readdirSync(join(directory, 'journal')).map((name) =>
    readFileSync(join(directory, 'journal', name), 'utf8'),
  );
  assert.ok(!journal.join('').includes('secret.example.com'));
  assert.ok(journal.join('').includes('api.example.com'));
  await first.client.shutdown(3000);

  const second = start(context, directory, { store });
  const { baseline } = await second.client.ready;
  assert.deepEqual(
    baseline.agents.map((agent) => [agent.agent, agent.requests]),
    [['researcher', 20]],
  );
  second.run(1);
  await until(async () => (await second.client.recent({ limit: 100 })).length === 21, 'rows');
  await until(async () => (await second.client.status()).identity?.exported === 22, 'accounted');
  const { identity } = await second.client.status();
  assert.equal(identity?.consumer, 'duckdb');
  assert.ok(identity?.holds, JSON.stringify(identity));
  await second.client.shutdown(3000);
});

test('without a store or with a broken one, records still go out', { timeout: 30_000 }, async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const directory = stateDir(context);
  // A file where a directory is needed.
  writeFileSync(join(directory, 'nowhere'), '');
  const store = { path: 'nowhere/weir.duckdb', retentionDays: 30, flushMs: 20, maxBytes: 0, minFreeBytes: 0 };
  const { client, run } = start(context, directory, { store, telemetry: telemetry(receiver.url) });
  const ready = await client.ready;
  assert.equal(ready.problems.length, 1);
  assert.match(ready.problems[0] ?? '', /rows are not stored/);
  run(5);
  await receiver.until((at) => at.spans.length === 5, 10_000);
  await assert.rejects(client.recent({ limit: 1 }), /nowhere/);
  await client.shutdown(1000);
});

test('in memory only: nothing is written, spans still leave', async (context) => {
  const receiver = await startOtlpReceiver();
  context.after(receiver.close);
  const directory = stateDir(context);
  const { client, run } = start(context, directory, { journal: false, telemetry: telemetry(receiver.url) });
  const { problems } = await client.ready;
  assert.match(problems[0] ?? '', /memory/);
  run(5);
  await receiver.until((at) => at.spans.length === 5, 10_000);
  await client.shutdown(1000);
  assert.deepEqual(readdirSync(directory), []);
});

test('what is asked of the store while it is being opened is answered when it is open', async (context) => {
  const store = { path: 'weir.duckdb', retentionDays: 30, flushMs: 20, maxBytes: 0, minFreeBytes: 0 };
  const { client } = start(context, stateDir(context), { store });
  // The first messages of the thread: DuckDB is not even loaded when they come.
  const [recent, baseline] = await Promise.all([client.recent({ limit: 1 }), client.baseline()]);
  assert.deepEqual([recent, baseline.agents], [[], []]);
  await client.shutdown(3000);
});

test('what waited for a slow recorder goes on when that has caught up, without a record behind it', async (context) => {
  const directory = stateDir(context);
  const entry = join(directory, 'slow.mjs');
  // Takes everything, and tells so only when the traffic has been quiet for a while.
  writeFileSync(
    entry,
    `import { parentPort } from 'node:worker_threads';
     let last = 0;
     let timer;
     parentPort.on('message', (message) => {
       if (message.type === 'shutdown') { parentPort.postMessage({ type: 'bye' }); parentPort.close(); }
       if (message.type !== 'records') return;
       parentPort.postMessage({ type: 'log', level: 'info', event: 'took', fields: { batch: message.batch } });
       last = message.batch;
       clearTimeout(timer);
       timer = setTimeout(() => { for (let i = 1; i <= last; i++) parentPort.postMessage({ type: 'ack', batch: i }); }, 300);
     });
     parentPort.postMessage({ type: 'accepting', batch: 0 });`,
  );
  const { run, lines } = start(context, directory, { worker: new URL(`file://${entry}`) });
  const taken = (): number => lines.filter((line) => line.includes(' took ')).length;
  await new Promise((resolve) => setTimeout(resolve, 300));
  // One batch each, until the window is full: the rest waits.
  for (let i = 0; i < 24; i++) {
    run(1);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  assert.ok(taken() <= 16, String(taken()));
  await until(() => taken() >= 17, 'what waited has been sent');
});
