import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';
import { tapWebSocket, type WebSocketTapOptions } from '../../../src/content/websocket-tap.ts';
import { fakeScan, windowOptions } from './support.ts';

function frame(opcode: number, payload: Buffer, { fin = true, compressed = false, masked = true } = {}): Buffer {
  const first = (fin ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode;
  const mask = masked ? 0x80 : 0;
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([first, mask | length])
      : length < 65_536
        ? Buffer.from([first, mask | 126, length >> 8, length & 255])
        : Buffer.from([first, mask | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (length >>> shift) & 255)]);
  if (!masked) return Buffer.concat([head, payload]);
  const key = Buffer.from([1, 2, 3, 4]);
  return Buffer.concat([head, key, payload.map((byte, i) => byte ^ (key[i & 3] as number))]);
}

function deflated(text: string | Buffer): Buffer {
  return deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

function options(change: Partial<WebSocketTapOptions> = {}): WebSocketTapOptions {
  return { ...windowOptions(), decodeRatio: 100, ...change };
}

async function scanned(bytes: Buffer, tapOptions: WebSocketTapOptions = options(), step = 3) {
  const tap = tapWebSocket(tapOptions);
  for (let at = 0; at < bytes.length; at += step) tap.push(bytes.subarray(at, at + step));
  const { found, unscanned } = await tap.finish();
  return { rules: found.map((one) => one.found.rule), cause: unscanned?.cause };
}

test('messages, joined over fragments, with a ping in between and a close reason', async () => {
  const bytes = Buffer.concat([
    frame(1, Buffer.from('word')),
    frame(1, Buffer.from('SECRET-a'), { fin: false }),
    frame(9, Buffer.from('')),
    frame(0, Buffer.from('bc')),
    frame(2, Buffer.from('SECRET-binary'), { masked: false }),
    frame(8, Buffer.from('\x03\xe8SECRET-reason', 'latin1')),
  ]);
  assert.deepEqual(await scanned(bytes), { rules: ['secret-abc', 'secret-binary', 'secret-reason'], cause: undefined });
});

test('compressed messages: fragments, one after the other, and what refers to the one before', async () => {
  const whole = deflated('SECRET-second and more');
  const bytes = Buffer.concat([
    frame(1, deflated('nothing here'), { compressed: true }),
    frame(1, whole.subarray(0, 5), { compressed: true, fin: false }),
    frame(9, Buffer.from('ping')),
    frame(0, whole.subarray(5)),
    frame(1, Buffer.from('SECRET-plain')),
    frame(1, deflated('SECRET-third'), { compressed: true }),
  ]);
  for (const step of [1, 10, 1000]) {
    const { rules, cause } = await scanned(bytes, options(), step);
    assert.deepEqual(rules.sort(), ['secret-plain', 'secret-second', 'secret-third']);
    assert.equal(cause, undefined);
  }
});

test('without anything compressed the answer is there at once', () => {
  const tap = tapWebSocket(options());
  tap.push(frame(1, Buffer.from('SECRET-abc')));
  assert.ok(!(tap.finish() instanceof Promise));
});

test('what cannot be read says why', async () => {
  const cases: [string, Buffer, Partial<WebSocketTapOptions>][] = [
    ['broken-frames', Buffer.from([0x83, 0x00, 0x83, 0x00]), {}],
    ['broken-encoding', frame(1, Buffer.alloc(50, 0xff), { compressed: true }), {}],
    ['long-frame', frame(2, Buffer.alloc((1 << 20) + 1)), {}],
    ['decode-ratio', frame(2, deflated(Buffer.alloc(5 << 20)), { compressed: true }), {}],
    ['scan-bytes', frame(1, Buffer.alloc(100, 'x')), { scanBytes: 10 }],
  ];
  for (const [cause, bytes, change] of cases) {
    assert.equal((await scanned(bytes, options(change), 65_536)).cause, cause);
  }
});

test('a scanner that throws is thrown to whoever asks, never into the air', async () => {
  const scan = {
    ...fakeScan(),
    scan: () => {
      throw new Error('broken table');
    },
  };
  const message = deflated(Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) % 251)));
  // Put together in the callback of the decoder.
  const parts = ['SECRET-abcd', 'efghijklmn'].map((part) => frame(1, deflated(part), { compressed: true }));
  for (const bytes of [frame(2, message, { compressed: true }), frame(1, Buffer.from('x')), Buffer.concat(parts)]) {
    const tap = tapWebSocket(options({ scan, what: 'request' }));
    tap.push(bytes);
    await assert.rejects(async () => tap.finish(), /broken table/);
  }
});
