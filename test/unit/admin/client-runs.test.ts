import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { createRunClient, type RunClient } from '../../../src/admin/client-runs.ts';

const REQUEST = { agent: 'me', program: 'me', environment: {} };
const OPENED = { id: 'r', port: 1, proxy: '127.0.0.1:1' };

let dir = '';
let server: Server;
let answer: (path: string, body: unknown, response: ServerResponse) => void;
let client: RunClient;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'weir-client-'));
  client = createRunClient({ stateDir: dir, actor: 'cli test' });
  server = createServer((request: IncomingMessage, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => answer(request.url ?? '', JSON.parse(text), response));
  });
  await new Promise<void>((resolve) => server.listen(join(dir, 'weir.sock'), resolve));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});

test('a run is open from its first line, in pieces or not, until the stream ends', async () => {
  let held: ServerResponse | undefined;
  answer = (path, body, response) => {
    assert.equal(path, '/runs');
    assert.deepEqual(body, REQUEST);
    held = response;
    const line = `${JSON.stringify(OPENED)}\n`;
    response.writeHead(200).write(line.slice(0, 7));
    setTimeout(() => response.write(`${line.slice(7)}{"alive":1}\n`), 30);
  };
  const stream = await client.open(REQUEST);
  assert.deepEqual(stream.opened, OPENED);
  let over = false;
  stream.ended.then(() => {
    over = true;
  });
  for (let i = 0; i < 3; i++) held?.write('{"alive":1}\n');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(over, false);
  held?.destroy();
  await stream.ended;
});

test('closing the stream reaches the collector', async () => {
  const closed = Promise.withResolvers<void>();
  answer = (_, __, response) => {
    response.on('close', closed.resolve);
    response.writeHead(200).write(`${JSON.stringify(OPENED)}\n`);
  };
  const stream = await client.open(REQUEST);
  stream.close();
  await Promise.all([closed.promise, stream.ended]);
});

test('every way a collector is not there has one code', async () => {
  const cases: ((path: string, body: unknown, response: ServerResponse) => void)[] = [
    (_, __, response) => response.destroy(),
    (_, __, response) => void response.writeHead(503).end('{"error":"stopping"}'),
    (_, __, response) => {
      response.writeHead(200).write('{"id":');
      setTimeout(() => response.destroy(), 20);
    },
  ];
  for (const one of cases) {
    answer = one;
    await assert.rejects(client.open(REQUEST), { name: 'AdminError', code: 'no-collector' });
    await assert.rejects(client.end('r', { restarts: 0, directWatched: false }), { code: 'no-collector' });
  }
  const nobody = createRunClient({ stateDir: join(dir, 'none'), actor: 'x' });
  await assert.rejects(nobody.open(REQUEST), { code: 'no-collector' });
});

test('refusals keep their words', async () => {
  answer = (_, __, response) => void response.writeHead(400).end('{"error":"mode must be one of"}');
  await assert.rejects(client.open(REQUEST), { code: 'bad-request', message: 'mode must be one of' });
  answer = (_, __, response) => void response.writeHead(500).end('<html>');
  await assert.rejects(client.direct('r', []), { code: 'failed', message: 'the collector answered 500' });
  answer = (_, __, response) => void response.writeHead(404).end('{"error":"there is no such admin call"}');
  await assert.rejects(client.open(REQUEST), { code: 'failed', message: /older than this weir/ });
  answer = (_, __, response) => void response.writeHead(200).end('no json\n');
  await assert.rejects(client.open(REQUEST), { code: 'failed', message: /cannot be read/ });
});

test('direct connections and the end go where they belong', async () => {
  const calls: unknown[] = [];
  answer = (path, body, response) => {
    calls.push([path, body]);
    response.writeHead(200).end('{"requests":3}');
  };
  const seen = [{ program: 'ssh', address: '192.0.2.1', port: 22, protocol: 'tcp' as const, count: 2 }];
  await client.direct('r', seen);
  const facts = await client.end('r', { code: 3, restarts: 1, directWatched: true });
  assert.equal(facts.requests, 3);
  assert.deepEqual(calls, [
    ['/runs/direct', { id: 'r', seen }],
    ['/runs/end', { id: 'r', end: { code: 3, restarts: 1, directWatched: true } }],
  ]);
});
