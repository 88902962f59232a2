import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createHook, type Hook, type HookOptions, signed } from '../../../src/calls/webhook.ts';
import { eventually } from '../../support/weir.ts';

interface Call {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe('webhooks', () => {
  const secret = `whsec_${randomBytes(24).toString('base64')}`;
  let calls: Call[] = [];
  let answers: number[] = [];
  let url = '';
  let hooks: Hook[] = [];
  let logs: string[] = [];
  let stop: () => Promise<void>;

  beforeEach(async () => {
    calls = [];
    answers = [];
    hooks = [];
    logs = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => {
        body += part.toString('utf8');
      });
      request.on('end', () => {
        calls.push({ headers: request.headers, body });
        const status = answers.shift() ?? 204;
        // 0: no answer at all.
        if (status !== 0) response.writeHead(status, status === 302 ? { location: '/' } : {}).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=t`;
    stop = () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      });
  });
  afterEach(async () => {
    for (const hook of hooks) await hook.close(0);
    await stop();
  });

  function hook(more: Partial<HookOptions> = {}): Hook {
    const one = createHook({
      url,
      secret,
      isSelf: () => false,
      log: (_, event) => logs.push(event),
      pausesMs: [5, 5],
      timeoutMs: 300,
      ...more,
    });
    hooks.push(one);
    return one;
  }
  const settled = (one: Hook) => eventually(() => one.status().waiting === 0, 'nothing waits');

  it('is signed as Standard Webhooks says', async () => {
    const one = hook();
    one.push({ id: 'msg_1', body: '{"a":1}' });
    await settled(one);
    const [call] = calls;
    assert.equal(call?.body, '{"a":1}');
    const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = call?.headers ?? {};
    assert.equal(id, 'msg_1');
    assert.ok(Math.abs(Number(at) - Date.now() / 1000) < 60);
    const key = Buffer.from(secret.slice(6), 'base64');
    assert.equal(signature, `v1,${createHmac('sha256', key).update(`msg_1.${at}.{"a":1}`).digest('base64')}`);
  });

  it('the example of the specification', () => {
    // Secret and values of the Standard Webhooks specification, put together here.
    const example = ['whsec', 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'].join('_');
    const headers = signed(
      example,
      { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', body: '{"test": 2432232314}' },
      1_614_265_330_000,
    );
    assert.equal(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
    assert.equal(signed(undefined, { id: 'x', body: '' }, 0)['webhook-signature'], undefined);
  });

  it('is tried again with the same id, and in order', async () => {
    answers = [500, 302, 200];
    const one = hook();
    one.push({ id: 'msg_1', body: '1' });
    one.push({ id: 'msg_2', body: '2' });
    await settled(one);
    assert.deepEqual(
      calls.map(({ headers }) => headers['webhook-id']),
      ['msg_1', 'msg_1', 'msg_1', 'msg_2'],
    );
    assert.deepEqual(one.status(), { origin: new URL(url).origin, delivered: 2, waiting: 0, dead: 0 });
  });

  it('is given up after the last try, which is counted and said; the next one goes', async () => {
    answers = [500, 500, 0];
    const one = hook();
    one.push({ id: 'msg_1', body: '1' });
    one.push({ id: 'msg_2', body: '2' });
    await settled(one);
    assert.deepEqual([one.status().delivered, one.status().dead], [1, 1]);
    assert.deepEqual(logs, ['notification-given-up']);
    assert.equal(calls.at(-1)?.headers['webhook-id'], 'msg_2');
  });

  it('the queue is bounded, and 410 ends it', async () => {
    answers = [410];
    const one = hook({ maxQueue: 2 });
    for (let i = 0; i < 5; i++) one.push({ id: `msg_${i}`, body: '' });
    await settled(one);
    assert.deepEqual([one.status().delivered, one.status().dead, calls.length], [0, 5, 1]);
  });

  it('never to ourselves, nor anything of its address in what is said', async () => {
    const one = hook({ isSelf: () => true, pausesMs: [] });
    one.push({ id: 'msg_1', body: '1' });
    await settled(one);
    assert.equal(calls.length, 0);
    assert.match(String(one.status().lastError), /leads to Weir itself/);
    assert.ok(!JSON.stringify(one.status()).includes('token'));
  });

  it('what waits at the end is tried once more', async () => {
    answers = [500];
    const one = hook({ pausesMs: [60_000] });
    one.push({ id: 'msg_1', body: '1' });
    await eventually(() => one.status().lastError !== undefined, 'the first try failed');
    await one.close(2_000);
    assert.equal(one.status().delivered, 1);
  });
});
