import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { openJournal } from '../../../src/record/journal.ts';
import { createPumps } from '../../../src/record/pumps.ts';
import type { Endpoint } from '../../../src/telemetry/endpoint.ts';
import { createLogs, createTraces, OTLP_BATCH } from '../../../src/telemetry/otlp.ts';
import { collecting, logger, scratch, until } from './harness.ts';
import { exchangeSample } from './samples.ts';

const openAt = (directory: string | undefined) =>
  openJournal({ directory, maxBytes: 1 << 30, segmentBytes: 4 << 20, tailRecords: 4096, boot: 'b', log: logger().log });

/** A Collector that counts span ids, and does what it is told first. */
async function standIn() {
  const seen = new Map<string, number>();
  const state = { slowMs: 0, status: 200, retryAfter: '', refused: [] as number[], under: 0, most: 0, served: 0 };
  const take = (text: string): void => {
    for (const [, id] of text.matchAll(/"traceId":"[0-9a-f]{32}","spanId":"([0-9a-f]{16})"/g)) {
      seen.set(id as string, (seen.get(id as string) ?? 0) + 1);
    }
  };
  const answer = (response: ServerResponse, body: Buffer): void => {
    state.under--;
    if (state.status !== 200) {
      state.refused.push(performance.now());
      const headers = state.retryAfter === '' ? {} : { 'retry-after': state.retryAfter };
      response.writeHead(state.status, headers).end();
      return;
    }
    state.served++;
    take(gunzipSync(body).toString('latin1'));
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    state.most = Math.max(state.most, ++state.under);
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => setTimeout(answer, state.slowMs, response, Buffer.concat(parts)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    seen,
    state,
    port,
    stop: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
    start: async () => {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
  };
}

const endpointTo = (url: string): Endpoint => ({
  url,
  traces: true,
  logs: true,
  metrics: false,
  protobuf: { traces: false, logs: false, metrics: false },
  sentence: '',
  problems: [],
});

const optionsTo = (url: string) => ({
  endpoint: endpointTo(url),
  version: '0.1.0',
  instanceId: 'i',
  containment: () => 'cooperative',
  unremarkable: 1,
  log: () => {},
});

test('60,000 spans through an outage, a slow spell and refusals: each of them exactly once, one request at a time', {
  timeout: 120_000,
}, async (context) => {
  for (const [name, value] of Object.entries({ COMPRESSION: 'gzip', TIMEOUT: '400' })) {
    process.env[`OTEL_EXPORTER_OTLP_${name}`] = value;
    context.after(() => delete process.env[`OTEL_EXPORTER_OTLP_${name}`]);
  }
  const directory = scratch(context);
  const collector = await standIn();
  await collector.stop();
  const journal = openAt(directory);
  const traces = createTraces(optionsTo(`http://127.0.0.1:${collector.port}`));
  const consumers = [{ consumer: traces, maxBatch: OTLP_BATCH, lingerMs: 10, paced: true }];
  const pumps = createPumps({ journal, directory, consumers, log: logger().log, backoffMs: 20 });
  await pumps.start();
  const all = 60_000;
  let started = 0;
  const append = (count: number): void => {
    started += count;
    const records = Array.from({ length: count }, () => exchangeSample());
    journal.append(records, { started, open: 0, dropped: {} }, started);
    pumps.wake();
    assert.ok(pumps.identity().holds);
  };
  while (started < all - 5000) append(250);
  const lag = () => pumps.status()[0]?.lag ?? 0;
  await until(() => pumps.status()[0]?.lastError !== undefined, 'it is away');
  assert.equal(collector.seen.size, 0);
  assert.equal(lag(), started);
  collector.state.slowMs = 40;
  await collector.start();
  await until(() => collector.state.served >= 5, 'slow', 20_000);
  for (const status of [429, 503]) {
    Object.assign(collector.state, { status, retryAfter: '1', refused: [] });
    append(500);
    await until(() => collector.state.refused.length >= 2, `${status} twice`, 20_000);
    const [first = 0, second = 0] = collector.state.refused;
    // A second is what it asked for, and more than the time-out of a request: the pump keeps to it.
    assert.ok(second - first >= 990, `${second - first} ms`);
  }
  Object.assign(collector.state, { status: 200, slowMs: 0 });
  while (started < all) append(250);
  await until(() => lag() === 0, 'all replayed', 60_000);
  assert.equal(collector.seen.size, all);
  assert.ok([...collector.seen.values()].every((times) => times === 1));
  assert.equal(collector.state.most, 1);
  const identity = pumps.identity();
  assert.deepEqual([identity.holds, identity.exported, identity.journalled, identity.dropped], [true, all, 0, {}]);
  await pumps.close(500);
  await collector.stop();
});

test('a replay leaves the thread and the consumer alone in between; what is live is not paced', async (context) => {
  const journal = openAt(scratch(context));
  const gaps: number[] = [];
  let ended = 0;
  const { consumer, records } = collecting();
  const slow = {
    ...consumer,
    consume: async (...given: Parameters<typeof consumer.consume>) => {
      if (ended > 0) gaps.push(performance.now() - ended);
      await new Promise((resolve) => setTimeout(resolve, 30));
      const result = await consumer.consume(...given);
      ended = performance.now();
      return result;
    },
  };
  for (let i = 0; i < 16; i++) {
    const batch = Array.from({ length: 64 }, () => exchangeSample());
    journal.append(batch, { started: (i + 1) * 64, open: 0, dropped: {} }, i + 1);
  }
  const consumers = [{ consumer: slow, maxBatch: 64, lingerMs: 1, paced: true }];
  const pumps = createPumps({ journal, directory: undefined, consumers, log: logger().log });
  await pumps.start();
  await until(() => records.length === 1024, 'all');
  // Sixteen batches, of which the last four follow at once.
  assert.ok(
    gaps.slice(0, 11).every((gap) => gap >= 28),
    String(gaps),
  );
  await pumps.close(200);
});

test('log events of what waits are found without stopping the thread', { timeout: 60_000 }, async (context) => {
  const journal = openAt(scratch(context));
  const logs = createLogs(optionsTo('http://127.0.0.1:9'));
  let most = 0;
  let turns = 0;
  const consumers = [{ consumer: logs, maxBatch: OTLP_BATCH, lingerMs: 1, paced: true }];
  const batches = 80;
  for (let i = 0; i < batches; i++) {
    const batch = Array.from({ length: OTLP_BATCH }, () => exchangeSample());
    journal.append(batch, { started: (i + 1) * OTLP_BATCH, open: 0, dropped: {} }, i + 1);
  }
  const pumps = createPumps({ journal, directory: undefined, consumers, log: logger().log });
  let before = 0;
  const watch = (): void => {
    const { position = 0 } = pumps.status()[0] ?? {};
    most = Math.max(most, position - before);
    before = position;
    turns++;
    if (position < batches * OTLP_BATCH) setImmediate(watch);
  };
  setImmediate(watch);
  await pumps.start();
  await until(() => before === batches * OTLP_BATCH, 'passed over', 30_000);
  assert.ok(turns >= batches / 2, `${turns} turns of the loop`);
  assert.ok(most <= 4 * OTLP_BATCH, `${most} records in one turn`);
  await pumps.close(200);
});
