import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { createAdminClient } from '../../../src/admin/client.ts';
import type { AdminError } from '../../../src/admin/protocol.ts';
import { type AdminServer, createAdminServer } from '../../../src/admin/server.ts';
import { fakeHandlers, line, REPORT } from './fake.ts';

const root = mkdtempSync(join(tmpdir(), 'weir-admin-'));
let stateDir = root;
let count = 0;
const running: AdminServer[] = [];
after(async () => {
  await Promise.all(running.map((server) => server.stop()));
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  stateDir = mkdtempSync(join(root, `${count++}-`));
});

async function start(options: Partial<Parameters<typeof createAdminServer>[0]> = {}): Promise<AdminServer> {
  const server = createAdminServer({ handlers: fakeHandlers().handlers, stateDir, ...options });
  running.push(server);
  await server.start();
  return server;
}

interface Asked {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask(
  to: { socketPath: string } | string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<Asked> {
  const where = typeof to === 'string' ? { host: '127.0.0.1', port: Number(to.split(':').at(-1)) } : to;
  return new Promise((resolve, reject) => {
    const asked = request(
      { ...where, path, method: body === undefined ? 'GET' : 'POST', headers, agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      },
    );
    asked.on('error', reject).end(body);
  });
}

const socket = () => join(stateDir, 'weir.sock');

test('the socket is the owner’s alone and goes with the server', async () => {
  const server = await start();
  assert.equal(statSync(socket()).mode & 0o777, 0o600);
  assert.equal((await ask({ socketPath: socket() }, '/healthz')).status, 200);
  await server.stop();
  await server.stop();
  assert.equal(existsSync(socket()), false);
});

test('a socket nobody answers on is replaced', async () => {
  const stale = createServer().listen(socket());
  await new Promise((resolve) => stale.once('listening', resolve));
  // What kill -9 leaves: the file without its listener.
  const aside = join(stateDir, 'kept');
  const { linkSync } = await import('node:fs');
  linkSync(socket(), aside);
  await new Promise((resolve) => stale.close(resolve));
  const { renameSync } = await import('node:fs');
  renameSync(aside, socket());
  await start();
  assert.equal((await ask({ socketPath: socket() }, '/status')).status, 200);
});

test('a plain file in its place is replaced too', async () => {
  writeFileSync(socket(), '');
  await start();
  assert.equal((await ask({ socketPath: socket() }, '/healthz')).status, 200);
});

test('a second collector is refused and the first stays', async () => {
  await start();
  await assert.rejects(start(), (error: AdminError) => {
    assert.equal(error.code, 'other-collector');
    assert.match(
      error.message,
      new RegExp(`^another collector \\(pid ${process.pid}\\) is running with this state directory`),
    );
    return true;
  });
  assert.equal((await ask({ socketPath: socket() }, '/status')).status, 200);
});

test('of two starts at once exactly one wins', async () => {
  const results = await Promise.allSettled([start(), start(), start()]);
  assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
  assert.equal((await ask({ socketPath: socket() }, '/healthz')).status, 200);
});

test('a path too long for a socket says so', async () => {
  const long = createAdminServer({ handlers: fakeHandlers().handlers, stateDir: join(stateDir, 'x'.repeat(120)) });
  await assert.rejects(long.start(), /is too long for a socket .* --state-dir/);
});

test('what cannot bind leaves nothing behind', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as { port: number };
  await assert.rejects(start({ health: { host: '127.0.0.1', port } }), /\(health\.listen\) is in use/);
  assert.equal(existsSync(socket()), false);
  taken.close();
});

test('every call reaches its handler with what was sent', async () => {
  const { handlers, calls } = fakeHandlers();
  await start({ handlers });
  const client = createAdminClient({ stateDir, actor: 'cli tester' });
  assert.deepEqual(await client.status(), REPORT);
  await client.preflight('a', 'enforce');
  await client.mode('a', 'stop');
  await client.mode(undefined, 'enforce');
  await client.baselines('a');
  await client.baseline({ verb: 'accept', agent: 'a', destinations: ['example.org:443'] });
  await client.logs({ agent: 'a', blocked: true, since: 5, limit: 7 });
  assert.deepEqual(await client.prepareQuery(), { snapshotDir: '/state/snapshot' });
  await client.purge({ host: 'example.org' });
  await client.purge({});
  await client.ca();
  await client.rotateCa();
  assert.deepEqual(await client.caTrusted(), { forgotten: 0 });
  await client.reload();
  await client.verified({ containment: 'network' });
  assert.equal((await client.environment()).proxy, '127.0.0.1:8080');
  await client.close();
  const by = 'cli tester';
  assert.deepEqual(calls, [
    ['status'],
    ['preflight', 'a', 'enforce'],
    ['mode', 'a', 'stop', by],
    ['mode', undefined, 'enforce', by],
    ['baselines', 'a'],
    ['baseline', { verb: 'accept', agent: 'a', destinations: ['example.org:443'], actor: by }],
    ['logs', { agent: 'a', since: 5, limit: 7, blocked: true }],
    ['prepareQuery'],
    ['purge', { host: 'example.org' }, by],
    ['purge', {}, by],
    ['ca'],
    ['rotateCa', by],
    ['caTrusted', by],
    ['reload', by],
    ['verified', { containment: 'network' }, by],
  ]);
});

test('wrong input is 400 with the reason, a failing handler 500 with its sentence', async () => {
  const handlers = fakeHandlers({ reload: () => Promise.reject(new Error('policy a.yaml:3 is wrong')) }).handlers;
  await start({ handlers });
  const json = { 'content-type': 'application/json' };
  const post = (path: string, body: string) => ask({ socketPath: socket() }, path, json, body);
  assert.deepEqual(
    [
      await post('/mode', '{"mode":"off"}'),
      await post('/mode', '[1]'),
      await post('/mode', '{'),
      await post('/purge', '{}'),
      await post('/baseline', '{"verb":"accept","agent":"a","destinations":[1]}'),
      await post('/baseline', '{"verb":"__proto__","agent":"a"}'),
      await post('/reload', ''),
      await post('/nothing', '{}'),
      await ask({ socketPath: socket() }, '/logs?limit=many'),
    ].map(({ status, body }) => `${status} ${(JSON.parse(body) as { error: string }).error}`),
    [
      '400 mode must be one of monitor, redact, enforce, stop, resume',
      '400 the body must be a JSON object',
      '400 the body must be a JSON object',
      '400 say what to purge: agent, host, before, or all: true',
      '400 destinations must be a list of host or host:port',
      '400 verb must be one of accept, ignore, forget, lock, unlock, import',
      '500 policy a.yaml:3 is wrong',
      '404 there is no such admin call',
      '400 limit must be a number',
    ],
  );
  assert.equal(
    (await ask({ socketPath: socket() }, '/mode', { 'content-type': 'text/plain' }, '{"mode":"stop"}')).status,
    415,
  );
});

test('TCP: token, Host and Origin decide (W2)', async () => {
  const server = await start({ admin: { host: '127.0.0.1', port: 0 } });
  const at = server.adminAddress() ?? '';
  const port = at.split(':').at(-1);
  const path = join(stateDir, 'private/admin.token');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const good = { authorization: `Bearer ${readFileSync(path, 'utf8').trim()}` };
  const status = async (headers: Record<string, string>, body?: string) =>
    (await ask(at, body === undefined ? '/status' : '/mode', headers, body)).status;
  assert.equal(await status(good), 200);
  assert.equal(await status({}), 401);
  assert.equal(await status({ authorization: 'Bearer x' }), 401);
  assert.equal(await status({ ...good, host: `localhost:${port}` }), 200);
  assert.equal(await status({ ...good, host: `[::1]:${port}` }), 200);
  assert.equal(await status({ ...good, host: `rebound.example:${port}` }), 421);
  assert.equal(await status({ ...good, host: '127.0.0.1:1' }), 421);
  assert.equal(await status({ ...good, host: `127.0.0.1.rebound.example:${port}` }), 421);
  for (const origin of ['https://evil.example', `http://127.0.0.1:${port}`, 'null'])
    assert.equal(await status({ ...good, origin }), 403);
  assert.equal(await status({ ...good, 'sec-fetch-site': 'cross-site' }), 403);
  assert.equal(await status({ ...good, 'content-type': 'text/plain' }, '{"mode":"stop"}'), 415);
  assert.equal(await status({ ...good, 'content-type': 'application/x-www-form-urlencoded' }, 'mode=stop'), 415);
  assert.equal(await status({ ...good, 'content-type': 'application/json' }, '{"mode":"stop"}'), 200);
});

test('the token stays over a restart, and one that others can read is refused', async () => {
  const first = await start({ admin: { host: '127.0.0.1', port: 0 } });
  const path = join(stateDir, 'private/admin.token');
  const token = readFileSync(path, 'utf8');
  await first.stop();
  const second = await start({ admin: { host: '127.0.0.1', port: 0 } });
  assert.equal(readFileSync(path, 'utf8'), token);
  await second.stop();
  writeFileSync(path, token, { mode: 0o600 });
  const { chmodSync } = await import('node:fs');
  chmodSync(path, 0o644);
  await assert.rejects(start({ admin: { host: '127.0.0.1', port: 0 } }), /can be read by other users/);
});

test('the health listener answers three paths and nothing else', async () => {
  const problems = [{ code: 'ca-bundle-missing', severity: 'error' as const, message: 'no bundle' }];
  const handlers = fakeHandlers({ ready: () => ({ ok: false, problems }) }).handlers;
  const server = await start({ handlers, health: { host: '127.0.0.1', port: 0 } });
  const at = server.healthAddress() ?? '';
  assert.equal((await ask(at, '/healthz')).status, 200);
  const ready = await ask(at, '/readyz');
  assert.equal(ready.status, 503);
  assert.match(ready.body, /no bundle/);
  const metrics = await ask(at, '/metrics');
  assert.equal(metrics.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.match(metrics.body, /weir_x 1/);
  for (const path of ['/status', '/logs', '/logs/stream', '/']) assert.equal((await ask(at, path)).status, 404, path);
  assert.equal((await ask(at, '/mode', { 'content-type': 'application/json' }, '{"mode":"stop"}')).status, 404);
  assert.equal((await ask(at, '/metrics', { host: 'rebound.example' })).status, 421);
});

test('live lines come as they happen, filtered, until either side ends', async () => {
  const { handlers, emit, listeners } = fakeHandlers();
  const server = await start({ handlers });
  const client = createAdminClient({ stateDir, actor: 'x' });
  const abort = new AbortController();
  const lines = client.follow({ agent: 'researcher', blocked: true }, abort.signal);
  const first = lines.next();
  while (listeners.size === 0) await new Promise((resolve) => setImmediate(resolve));
  emit(line({ id: 'other', agent: 'coder', would: 'block' }));
  emit(line({ id: 'fine', would: 'none', action: 'forward' }));
  emit(line({ id: 'seen', would: 'block' }));
  assert.equal(((await first).value as { id: string }).id, 'seen');
  const second = lines.next();
  abort.abort();
  assert.equal((await second).done, true);
  await client.close();
  while (listeners.size > 0) await new Promise((resolve) => setImmediate(resolve));
  const again = createAdminClient({ stateDir, actor: 'x' });
  const waiting = again.follow({}, new AbortController().signal).next();
  while (listeners.size === 0) await new Promise((resolve) => setImmediate(resolve));
  const ended = assert.rejects(waiting, (error: AdminError) => error.code === 'no-collector');
  await server.stop();
  await ended;
  await again.close();
});

test('a reader that is too slow loses lines and is told how many', async () => {
  const { handlers, emit, listeners } = fakeHandlers();
  await start({ handlers });
  const asked = request({ socketPath: socket(), path: '/logs/stream' });
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    asked.on('response', resolve).on('error', reject).end();
  });
  response.on('error', () => undefined);
  while (listeners.size === 0) await new Promise((resolve) => setImmediate(resolve));
  const big = 'm'.repeat(10_000);
  for (let i = 0; i < 1000; i++) emit(line({ message: big }));
  let text = '';
  const told = new Promise<void>((resolve) => {
    response.setEncoding('utf8').on('data', (part: string) => {
      text = (text + part).slice(-200_000);
      if (text.includes('"missed"')) resolve();
    });
  });
  const nudge = setInterval(() => emit(line()), 5);
  await told;
  clearInterval(nudge);
  assert.ok(Number(/"missed":(\d+)/.exec(text)?.[1]) > 100);
  asked.destroy();
});

test('without a collector the client says what to do', async () => {
  const client = createAdminClient({ stateDir, actor: 'x' });
  await assert.rejects(client.status(), (error: AdminError) => {
    assert.equal(error.code, 'no-collector');
    assert.match(error.message, /^no collector is running with .*\. Start one: weir start$/);
    return true;
  });
  await client.close();
});
