import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { eventually, startWeir } from '../support/weir.ts';

const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Keeps one connection busy until it is closed; returns how many answers came. */
function busy(port: number): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const ask = 'GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n';
    let answers = 0;
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answers));
    socket.on('data', () => {
      answers++;
      socket.write(ask);
    });
    socket.write(ask);
  });
}

test('SIGTERM in the middle of a storm ends with status 0', async (t) => {
  const origin = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', () => socket.write(ANSWER));
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  t.after(() => origin.close());
  const { port } = origin.address() as AddressInfo;
  const weir = await startWeir({
    config: { upstream: { resolve: { 'origin.test': `127.0.0.1:${port}` } }, limits: { drain_s: 1 } },
  });
  t.after(() => weir.stop());
  const storms = Array.from({ length: 16 }, () => busy(weir.port));
  await new Promise((resolve) => setTimeout(resolve, 1500));
  weir.kill('SIGTERM');
  const answers = (await Promise.all(storms)).reduce((sum, count) => sum + count, 0);
  assert.equal(await weir.exited, 0);
  assert.ok(answers > 100, `${answers} answers`);
});

test('SIGTERM: what rests is closed at once, what is under way is finished, and nobody waits for drain_s', async (t) => {
  let finish = (): void => undefined;
  const origin = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      if (!data.includes('/slow')) return void socket.write(ANSWER);
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf');
      finish = () => void socket.write('done');
      return undefined;
    });
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  t.after(() => origin.close());
  const { port } = origin.address() as AddressInfo;
  const weir = await startWeir({
    config: { upstream: { resolve: { 'origin.test': `127.0.0.1:${port}` } }, limits: { drain_s: 600 } },
  });
  t.after(() => weir.stop());
  const resting = speaker(weir.port);
  await resting.ask('/');
  await resting.seen('ok');
  const working = speaker(weir.port);
  await working.ask('/slow');
  await working.seen('half');
  weir.kill('SIGTERM');
  await resting.closed;
  assert.ok(!working.isClosed(), 'the exchange under way goes on');
  finish();
  await working.seen('halfdone');
  await working.closed;
  assert.equal(await weir.exited, 0);
});

function speaker(port: number) {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (data) => {
    text += data;
  });
  return {
    closed: new Promise<void>((resolve) => socket.on('close', () => resolve())),
    isClosed: () => socket.destroyed,
    ask: async (path: string) => {
      socket.write(`GET http://origin.test${path} HTTP/1.1\r\nHost: origin.test\r\n\r\n`);
    },
    seen: (wanted: string) => eventually(() => text.includes(wanted), wanted),
  };
}
