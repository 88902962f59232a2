import assert from 'node:assert/strict';
import { type WebSocketFrame, WebSocketReader } from '../../../src/codec/websocket.ts';
import { deflateOf } from '../../../src/codec/websocket-extensions.ts';
import { writeFrame } from '../../../src/codec/websocket-write.ts';
import { WebSocketFilter } from '../../../src/content/websocket-filter.ts';
import type { BodyScanned, UnscannedCause } from '../../../src/model/scan.ts';
import { Deflater, deflated, wsFrame, wsFrames, wsMessages } from '../../support/websocket.ts';
import { fakeScan, windowOptions } from '../../unit/content/support.ts';
import { pieces, type Random, type Target } from '../fuzz.ts';

const KEY = Buffer.from([7, 0xa1, 0x33, 0xfe]);
const TEXTS = ['{"a": 1}', '{"k": "SECRET-abc"}', 'x'.repeat(130), 'y'.repeat(70_000), '', 'a SECRET-abc b'];

/** Streams of honest peers: masked or not, in fragments, with control frames in between, compressed. */
async function streams(): Promise<Buffer[]> {
  const deflater = new Deflater();
  const compressed: Buffer[] = [];
  for (const text of TEXTS)
    compressed.push(wsFrame(1, await deflater.message(Buffer.from(text)), { rsv: 4, key: KEY }));
  const fragments = TEXTS.flatMap((text) => {
    const half = text.length >> 1;
    return [
      wsFrame(1, Buffer.from(text.slice(0, half)), { fin: false, key: KEY }),
      wsFrame(9, Buffer.from('ping'), { key: KEY }),
      wsFrame(0, Buffer.from(text.slice(half)), { key: KEY }),
    ];
  });
  return [
    Buffer.concat(TEXTS.map((text) => wsFrame(2, Buffer.from(text), { key: KEY }))),
    Buffer.concat([...fragments, wsFrame(8, Buffer.from('\x03\xe8bye SECRET-abc', 'latin1'))]),
    Buffer.concat(compressed),
    Buffer.concat(TEXTS.slice(0, 3).map((text) => wsFrame(1, deflated(text), { rsv: 4 }))),
    Buffer.from([0x83, 0]),
  ];
}

interface Passed {
  readonly out: Buffer;
  readonly scanned: BodyScanned;
  readonly stopped: boolean;
  readonly asked: readonly UnscannedCause[];
}

interface Setup {
  readonly takeover: boolean | undefined;
  readonly act: 'pass' | 'replace' | 'stop';
  readonly unscanned: 'pass' | 'stop';
}

function setupOf(random: Random): Setup {
  const kind = random();
  return {
    takeover: kind < 0.3 ? undefined : kind < 0.7,
    act: random() < 0.6 ? 'replace' : random() < 0.5 ? 'stop' : 'pass',
    unscanned: random() < 0.5 ? 'pass' : 'stop',
  };
}

function pass(parts: readonly Buffer[], { takeover, act, unscanned }: Setup): Promise<Passed> {
  const out: Buffer[] = [];
  const asked: UnscannedCause[] = [];
  return new Promise((resolve, reject) => {
    const filter = new WebSocketFilter({
      ...windowOptions(),
      scan: fakeScan(),
      decodeRatio: 100,
      holdMs: 0,
      deflate: () => (takeover === undefined ? undefined : { takeover }),
      act: () => act,
      onUnscanned: (cause) => {
        asked.push(cause);
        return unscanned;
      },
      onFailed: () => 'stop',
      reason: () => 'no',
      out: {
        data: (payload) => out.push(payload),
        drained: () => undefined,
        end: (scanned) => resolve({ out: Buffer.concat(out), scanned, stopped: false, asked }),
        stop: (scanned) => resolve({ out: Buffer.concat(out), scanned, stopped: true, asked }),
      },
    });
    try {
      for (const part of parts) filter.write(part);
      filter.end();
    } catch (error) {
      reject(error);
    }
  });
}

function verdictOf({ asked, stopped, scanned }: Passed): unknown {
  const found = scanned.found.map(({ found: { rule }, offset, count }) => [rule, offset, count]);
  return [asked, stopped, found, scanned.unscanned];
}

/** Masks apart, which are made by chance. */
function unmasked(bytes: Buffer): unknown {
  try {
    return wsFrames(bytes).map(({ opcode, fin, rsv, payload }) => [opcode, fin, rsv, payload.toString('latin1')]);
  } catch {
    return bytes.length;
  }
}

const SECRET = /(?<![a-z])SECRET-[a-z]+/;

/** What a receiver reads of it holds no secret, as far as it can be read. */
async function assertClean(out: Buffer, takeover: boolean): Promise<void> {
  const messages = await wsMessages(wsFrames(out), takeover);
  for (const [, text] of messages) assert.doesNotMatch(text.toString('latin1'), SECRET);
}

export const targets: readonly Target[] = [
  {
    name: 'websocket-frames',
    seeds: streams,
    check(input, random) {
      const read = (parts: readonly Buffer[]): readonly [WebSocketFrame[], boolean] => {
        const frames: WebSocketFrame[] = [];
        const reader = new WebSocketReader(50_000, (frame) => frames.push(frame));
        for (const part of parts) reader.push(part);
        return [frames, reader.broken];
      };
      const whole = read([input]);
      assert.deepEqual(read(pieces(input, random)), whole);
      for (const { opcode, fin, payload } of whole[0]) {
        const [back] = wsFrames(writeFrame({ opcode, fin, payload, key: random() < 0.5 ? KEY : undefined }));
        assert.deepEqual([back?.opcode, back?.fin, back?.payload.equals(payload)], [opcode, fin, true]);
      }
    },
  },
  {
    name: 'websocket-filter',
    seeds: streams,
    async check(input, random) {
      const setup = setupOf(random);
      const whole = await pass([input], setup);
      const cut = await pass(pieces(input, random), setup);
      assert.deepEqual(verdictOf(cut), verdictOf(whole));
      assert.deepEqual(unmasked(cut.out), unmasked(whole.out));
      const { out, asked, scanned, stopped } = whole;
      if (stopped && setup.act !== 'stop') assert.ok(asked.length > 0);
      if (setup.act === 'pass' || asked.length > 0) return;
      if (setup.act === 'replace' && scanned.found.length === 0) assert.equal(out.length, input.length);
      await assertClean(whole.out, setup.takeover ?? true).catch((error: Error) => {
        // What was cut off in the middle cannot be read to its end.
        if (!/cut frame|a frame where none may stand/.test(error.message)) throw error;
      });
    },
  },
  {
    name: 'websocket-extensions',
    seeds: () => [
      Buffer.from('permessage-deflate; client_no_context_takeover; server_max_window_bits="10", x; a=b'),
      Buffer.from('x-webkit-deflate-frame, permessage-deflate'),
    ],
    check(input) {
      const agreed = deflateOf(['Sec-WebSocket-Extensions', input.toString('latin1')]);
      if (agreed !== undefined) assert.match(input.toString('latin1'), /permessage-deflate/i);
    },
  },
];
