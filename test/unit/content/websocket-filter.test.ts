import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { WebSocketFilter, type WebSocketFilterOptions } from '../../../src/content/websocket-filter.ts';
import type { Act, BodyScanned, UnscannedCause } from '../../../src/model/scan.ts';
import { Deflater, deflated, type ReadFrame, wsFrame, wsFrames, wsMessages } from '../../support/websocket.ts';
import { realScan } from './filter-support.ts';
import { fakeScan, windowOptions } from './support.ts';

const KEY = Buffer.from([0x11, 0x82, 0x43, 0xf4]);
const LABEL = '[SECRET_REDACTED]';
const client = { key: KEY };
const packed = { rsv: 4 };

interface Ran {
  readonly out: Buffer;
  readonly frames: readonly ReadFrame[];
  readonly scanned: BodyScanned;
  readonly replaced: number;
  readonly stopped?: { readonly forward: readonly ReadFrame[]; readonly back: readonly ReadFrame[] };
  readonly asked: readonly UnscannedCause[];
}

interface Setup extends Partial<Pick<WebSocketFilterOptions, 'what' | 'scan' | 'scanBytes' | 'decodeRatio'>> {
  readonly act?: Act;
  readonly deflate?: ReturnType<WebSocketFilterOptions['deflate']>;
  readonly unscanned?: 'pass' | 'stop';
  readonly failed?: 'pass' | 'stop';
}

/** All of it through one filter, cut at these places; waits for `drained` as a relay does. */
async function run(bytes: Buffer, setup: Setup = {}, cuts: readonly number[] = []): Promise<Ran> {
  const { act = 'replace', unscanned = 'pass', failed = 'stop', deflate, ...change } = setup;
  const parts: Buffer[] = [];
  const asked: UnscannedCause[] = [];
  let drained: (() => void) | undefined;
  const ended = Promise.withResolvers<Pick<Ran, 'scanned' | 'replaced' | 'stopped'>>();
  const filter = new WebSocketFilter({
    ...windowOptions(),
    scan: fakeScan(),
    decodeRatio: 100,
    holdMs: 0,
    ...change,
    deflate: () => deflate,
    act: () => act,
    onUnscanned: (cause) => {
      asked.push(cause);
      return unscanned;
    },
    onFailed: () => failed,
    reason: ({ found }) => `No: ${found[0]?.found.name ?? 'unscanned'}`,
    out: {
      data: (payload) => parts.push(payload),
      drained: () => drained?.(),
      end: (scanned, replaced) => ended.resolve({ scanned, replaced }),
      stop: (scanned, last) =>
        ended.resolve({
          scanned,
          replaced: 0,
          stopped: { forward: wsFrames(last?.forward as Buffer), back: wsFrames(last?.back as Buffer) },
        }),
    },
  });
  let at = 0;
  for (const end of [...cuts, bytes.length]) {
    if (end <= at) continue;
    const more = filter.write(bytes.subarray(at, end));
    at = end;
    // One that stops wants nothing more.
    const wanted = new Promise<void>((resolve) => {
      drained = resolve;
    });
    if (!more) await Promise.race([wanted, ended.promise]);
  }
  filter.end();
  const end = await ended.promise;
  const out = Buffer.concat(parts);
  let frames: ReadFrame[] = [];
  try {
    frames = wsFrames(out);
  } catch {
    // Tests of broken streams look at the bytes.
  }
  return { out, frames, asked, ...end };
}

const texts = (frames: readonly ReadFrame[]): string[] => frames.map(({ payload }) => payload.toString());

describe('WebSocketFilter', () => {
  it('a secret in a message: one frame with the label, the right length, masked anew; the rest as it came', async () => {
    const before = wsFrame(1, Buffer.from('hello'), client);
    const bytes = Buffer.concat([
      before,
      wsFrame(1, Buffer.from('{"k":"SECR'), { ...client, fin: false }),
      wsFrame(9, Buffer.from('p'), client),
      wsFrame(0, Buffer.from('ET-abc"}'), client),
      wsFrame(2, Buffer.alloc(70_000, 'x'), client),
    ]);
    const { out, frames, replaced, scanned } = await run(bytes);
    assert.deepEqual(texts(frames.slice(0, 3)), ['hello', 'p', `{"k":"${LABEL}"}`]);
    assert.deepEqual(
      frames.map(({ opcode, masked }) => [opcode, masked]),
      [
        [1, true],
        [9, true],
        [1, true],
        [2, true],
      ],
    );
    assert.ok(out.subarray(0, before.length).equals(before));
    const ping = wsFrame(9, Buffer.from('p'), client).length;
    assert.notDeepEqual(out.subarray(before.length + ping + 2, before.length + ping + 6), KEY);
    assert.equal(replaced, 1);
    assert.equal(scanned.found[0]?.offset, 'hello'.length + 'p'.length + '{"k":"'.length);
  });

  it('towards the client nothing is masked', async () => {
    const { frames } = await run(wsFrame(1, Buffer.from('a SECRET-abc')), { what: 'response' });
    assert.deepEqual([frames[0]?.masked, texts(frames)], [false, [`a ${LABEL}`]]);
  });

  it('a block: the message never leaves, both ends are told with 1008', async () => {
    for (const what of ['request', 'response'] as const) {
      const form = what === 'request' ? client : {};
      const bytes = Buffer.concat([
        wsFrame(1, Buffer.from('fine'), form),
        wsFrame(1, Buffer.from('a SECRET-'), { ...form, fin: false }),
        wsFrame(0, Buffer.from('abc'), form),
        wsFrame(1, Buffer.from('more'), form),
      ]);
      const { frames, stopped, scanned } = await run(bytes, { what, act: 'stop' });
      assert.deepEqual(texts(frames), ['fine']);
      assert.equal(scanned.found.length, 1);
      const [forward, back] = [stopped?.forward[0], stopped?.back[0]];
      for (const close of [forward, back]) {
        assert.equal(close?.opcode, 8);
        assert.equal(close?.payload.readUInt16BE(0), 1008);
        assert.equal(close?.payload.subarray(2).toString(), 'No: A secret');
      }
      assert.deepEqual([forward?.masked, back?.masked], [what === 'request', what !== 'request']);
    }
  });

  it('compressed: after a label what could refer to it goes on uncompressed, as it was sent', async () => {
    const deflater = new Deflater();
    const said = [
      'one and the same',
      'one and the same SECRET-abc',
      'one and the same',
      'SECRET-abcd',
      'one and the same',
    ];
    const bytes: Buffer[] = [];
    for (const text of said)
      bytes.push(wsFrame(1, await deflater.message(Buffer.from(text)), { ...client, ...packed }));
    const all = Buffer.concat(bytes);
    const expected = said.map((text) => text.replace(/SECRET-\w+/, LABEL));
    const { out, frames, replaced } = await run(all, { deflate: { takeover: true } });
    assert.ok(out.subarray(0, bytes[0]?.length).equals(bytes[0] as Buffer));
    assert.deepEqual(
      frames.map(({ rsv }) => rsv),
      [4, 0, 0, 0, 0],
    );
    assert.deepEqual(
      (await wsMessages(frames)).map(([, text]) => text.toString()),
      expected,
    );
    assert.equal(replaced, 2);
  });

  it('empty fragments, first, in between and last', async () => {
    const empty = Buffer.alloc(0);
    const text = deflated('a SECRET-abc');
    for (const [first, form] of [
      [text, packed],
      [Buffer.from('a SECRET-abc'), {}],
    ] as const) {
      const bytes = Buffer.concat([
        wsFrame(1, empty, { fin: false, ...form }),
        wsFrame(0, first, { fin: false }),
        wsFrame(0, empty, { fin: false }),
        wsFrame(0, empty),
        wsFrame(2, empty),
      ]);
      const { frames } = await run(bytes, { what: 'response', deflate: { takeover: true } });
      assert.deepEqual(texts(frames), [`a ${LABEL}`, '']);
      const clean = await run(bytes, { what: 'response', deflate: { takeover: true }, act: 'pass' });
      assert.ok(clean.out.equals(bytes));
    }
  });

  it('compressed without takeover: only the message with the label changes', async () => {
    const bytes = ['one', 'SECRET-abc', 'one'].map((text) => wsFrame(1, deflated(text), packed));
    const { frames } = await run(Buffer.concat(bytes), { what: 'response', deflate: { takeover: false } });
    assert.deepEqual(
      frames.map(({ rsv }) => rsv),
      [4, 0, 4],
    );
    assert.deepEqual(
      (await wsMessages(frames, false)).map(([, text]) => text.toString()),
      ['one', LABEL, 'one'],
    );
  });

  it('a message that ends with a last block, and one after it', async () => {
    const last = deflateRawSync('a SECRET-abc');
    const bytes = Buffer.concat([
      wsFrame(1, Buffer.concat([last, Buffer.from([0])]), packed),
      wsFrame(1, deflated('a SECRET-abcd'), packed),
    ]);
    const { frames, asked } = await run(bytes, { what: 'response', deflate: { takeover: false } });
    assert.deepEqual([texts(frames), asked], [[`a ${LABEL}`, `a ${LABEL}`], []]);
    const hidden = Buffer.concat([last, deflated('SECRET-abc')]);
    assert.deepEqual((await run(wsFrame(1, hidden, packed), { deflate: { takeover: true } })).asked, [
      'broken-encoding',
    ]);
  });

  it('a close reason and a ping are looked at, and stay within a control frame', async () => {
    const long = `${'x'.repeat(100)} SECRET-abc`;
    const close = Buffer.concat([Buffer.from([0x03, 0xe9]), Buffer.from(long)]);
    const { frames } = await run(Buffer.concat([wsFrame(9, Buffer.from('SECRET-abc')), wsFrame(8, close)]), {
      what: 'response',
    });
    assert.equal(frames[0]?.payload.toString(), LABEL);
    assert.equal(frames[1]?.payload.readUInt16BE(0), 1001);
    assert.equal(frames[1]?.payload.subarray(2).toString(), `${'x'.repeat(100)} ${LABEL}`);
    const { stopped } = await run(wsFrame(8, close), { act: 'stop' });
    assert.equal(stopped?.forward[0]?.payload.readUInt16BE(0), 1008);
  });

  it('JSON stays JSON: numbers become strings, escapes are not left in pieces', async () => {
    const scan = {
      ...fakeScan(),
      scan: (_what: unknown, bytes: Uint8Array) => {
        const text = Buffer.from(bytes).toString('latin1');
        return {
          found: [...text.matchAll(/4111111|nSECRET-abc|SECRET-abc.n/g)].map((m) => place(m.index, m[0].length)),
        };
      },
    };
    for (const text of [
      '{"card": 41111110, "a": [ 4111111 ]}',
      '{"card": -4111111.0e3}',
      '{"a": "line\\nSECRET-abc"}',
      '{"a": "SECRET-abc\\n"}',
      '{"a": "\\\\nSECRET-abc\\\\n"}',
      '["4111111"]',
    ]) {
      const { frames } = await run(wsFrame(1, Buffer.from(text)), { scan });
      const got = frames[0]?.payload.toString() ?? '';
      assert.match(JSON.stringify(JSON.parse(got)), /X_REDACTED/, got);
      assert.ok(!got.includes('4111111') && !got.includes('SECRET'));
    }
  });

  it('what is too long to be held: what there is of it is looked at, the rest passes unread or not at all', async () => {
    const body = Buffer.alloc(3 << 20, '.');
    body.write('SECRET-late', (2 << 20) + 7);
    const long = Buffer.concat([wsFrame(2, body, client), wsFrame(1, Buffer.from('SECRET-abc'), client)]);
    const cuts = Array.from({ length: 60 }, (_, i) => (i + 1) * 65_536);
    const passed = await run(long, {}, cuts);
    assert.deepEqual(passed.asked, ['long-frame']);
    assert.ok(passed.out.subarray(0, body.length).equals(long.subarray(0, body.length)));
    assert.equal(passed.frames[1]?.payload.toString(), LABEL);
    const stopped = await run(long, { unscanned: 'stop' }, cuts);
    assert.equal(stopped.out.length, 0);
    assert.equal(stopped.stopped?.forward[0]?.opcode, 8);
    body.write('SECRET-soon', 5);
    const rewritten = await run(wsFrame(2, body, client), {}, cuts);
    const [message] = await wsMessages(rewritten.frames);
    assert.equal(message?.[1].subarray(0, 18).toString(), `.....${LABEL.slice(0, 11)}..`);
    assert.equal(message?.[1].length, body.length, 'a binary message keeps its length');
  });

  it('a long compressed message passes unread, and the next one is read', async () => {
    const deflater = new Deflater();
    const noise = Buffer.from(Array.from({ length: 3 << 20 }, (_, i) => ((i * i * 31) % 256) ^ (i >> 9)));
    const bytes = Buffer.concat([
      wsFrame(2, await deflater.message(noise), packed),
      wsFrame(1, await deflater.message(Buffer.concat([noise.subarray(-500), Buffer.from(' SECRET-abc')])), packed),
    ]);
    const cuts = Array.from({ length: 60 }, (_, i) => (i + 1) * 65_536);
    const { frames, asked } = await run(
      bytes,
      { what: 'response', deflate: { takeover: true }, decodeRatio: 10_000 },
      cuts,
    );
    assert.deepEqual(asked, ['long-frame']);
    const [first, second] = await wsMessages(frames);
    assert.ok(first?.[1].equals(noise));
    assert.ok(second?.[1].equals(Buffer.concat([noise.subarray(-500), Buffer.from(` ${LABEL}`)])));
  });

  it('what cannot be read is asked about, and goes on as it came or not at all', async () => {
    const cases: [UnscannedCause, Buffer, Setup][] = [
      ['broken-frames', Buffer.from([0x83, 0x00, 0x83, 0x00]), {}],
      ['broken-frames', wsFrame(0, Buffer.from('x')), {}],
      [
        'broken-frames',
        Buffer.concat([wsFrame(1, Buffer.from('a'), { fin: false }), wsFrame(1, Buffer.from('b'))]),
        {},
      ],
      ['broken-frames', wsFrame(9, Buffer.from('x'), { rsv: 4 }), { deflate: { takeover: true } }],
      ['unknown-encoding', wsFrame(1, deflated('x'), packed), {}],
      ['unknown-encoding', wsFrame(1, Buffer.from('x'), { rsv: 2 }), { deflate: { takeover: true } }],
      ['broken-encoding', wsFrame(1, Buffer.alloc(50, 0xff), packed), { deflate: { takeover: true } }],
      ['decode-ratio', wsFrame(2, deflated(Buffer.alloc(5 << 20)), packed), { deflate: { takeover: true } }],
      ['scan-bytes', wsFrame(1, Buffer.alloc(100, 'x')), { scanBytes: 10 }],
    ];
    for (const [cause, bytes, setup] of cases) {
      const passed = await run(bytes, setup);
      assert.deepEqual([passed.asked[0], passed.scanned.unscanned?.cause], [cause, cause]);
      assert.ok(passed.out.equals(bytes), cause);
      const stopped = await run(bytes, { ...setup, unscanned: 'stop' });
      assert.deepEqual([stopped.out.length, stopped.stopped?.forward[0]?.opcode], [0, 8], cause);
    }
  });

  it('a scan that fails: what it was about passes, or ends the connection; nothing is thrown', async () => {
    const scan = {
      ...fakeScan(),
      scan: () => {
        throw new Error('broken table');
      },
    };
    const packedToo = wsFrame(1, deflated('x'), packed);
    const setup: Setup = { scan, deflate: { takeover: false } };
    for (const bytes of [wsFrame(1, Buffer.from('x')), packedToo, wsFrame(9, Buffer.from('x'))]) {
      assert.ok((await run(bytes, { ...setup, failed: 'pass' })).out.equals(bytes));
      const { out, stopped } = await run(bytes, setup);
      assert.deepEqual([out.length, stopped?.back[0]?.opcode], [0, 8]);
    }
  });

  it('a message of many turns is looked at like a short one', async () => {
    const around = 'words '.repeat(30_000);
    const text = `${around.slice(0, 65_531)} SECRET-abc ${around}`;
    const bytes = Buffer.concat([wsFrame(1, Buffer.from(text), client), wsFrame(1, Buffer.from('after'), client)]);
    const cuts = Array.from({ length: 30 }, (_, i) => (i + 1) * 10_000);
    const { frames, replaced, scanned } = await run(bytes, {}, cuts);
    assert.deepEqual(texts(frames), [text.replace('SECRET-abc', LABEL), 'after']);
    assert.deepEqual([replaced, scanned.found[0]?.offset], [1, 65_532]);
    const { frames: before, stopped } = await run(bytes, { act: 'stop' }, cuts);
    assert.deepEqual([before.length, stopped?.forward[0]?.opcode], [0, 8]);
  });

  it('a secret cut into messages: the one that completes it does not leave', async () => {
    const secret = ['ghp', 'vQ3mZ8pT1xW6rB9nK4cH7sD2fL5gJ0yAeUiO'].join('_');
    const parts = [secret.slice(0, 14), secret.slice(14, 27), secret.slice(27)];
    const whole = wsFrame(1, Buffer.from(JSON.stringify({ parts })), client);
    assert.equal((await run(whole, { scan: realScan(), act: 'stop' })).out.length, 0);
    for (const say of [(part: string) => part, (part: string) => JSON.stringify({ i: 1, delta: part })]) {
      const bytes = Buffer.concat(parts.map((part) => wsFrame(1, Buffer.from(say(part)), client)));
      const { frames, stopped, scanned } = await run(bytes, { scan: realScan(), act: 'stop' });
      assert.deepEqual(texts(frames), parts.slice(0, 2).map(say));
      assert.ok(stopped !== undefined && scanned.found.some(({ apart }) => apart === true));
      assert.equal((await run(bytes, { scan: realScan(), act: 'replace' })).frames.length, 3);
    }
  });

  it('a stream that is cut off: what there is goes on when it says nothing', async () => {
    const whole = wsFrame(1, Buffer.from('hello hello'), client);
    for (let end = 0; end <= whole.length; end++) {
      const bytes = whole.subarray(0, end);
      assert.ok((await run(bytes)).out.equals(bytes));
    }
    const secret = wsFrame(1, Buffer.from('SECRET-abc and more'), client).subarray(0, -4);
    assert.equal((await run(secret)).out.length, 0);
    assert.ok((await run(secret, { act: 'stop' })).stopped !== undefined);
  });
});

function place(start: number, length: number) {
  return {
    rule: 'x',
    name: 'x',
    severity: 'high',
    kind: 'credential',
    category: 'x',
    label: 'X',
    home: { empty: true, has: () => false },
    start,
    end: start + length,
    verified: false,
    encodings: [],
    fingerprint: '',
    bytes: length,
  } as const;
}

interface Sent {
  readonly opcode: 1 | 2;
  readonly text: string;
  readonly parts: number;
  readonly packed: boolean;
  readonly ping: boolean;
}

/** Frames of messages as some client writes them: any fragmentation, pings in between, with and without compression. */
async function written(sent: readonly Sent[], key: Buffer | undefined, takeover: boolean): Promise<Buffer> {
  const deflater = new Deflater();
  const form = key === undefined ? {} : { key };
  const out: Buffer[] = [];
  for (const { opcode, text, parts, packed, ping } of sent) {
    let bytes: Buffer = Buffer.from(text);
    if (packed) bytes = takeover ? await deflater.message(bytes) : deflated(bytes);
    const size = Math.max(1, Math.ceil(bytes.length / parts));
    for (let at = 0; at === 0 || at < bytes.length; at += size) {
      const fin = at + size >= bytes.length;
      const rsv = packed && at === 0 ? 4 : 0;
      out.push(wsFrame(at === 0 ? opcode : 0, bytes.subarray(at, at + size), { ...form, fin, rsv }));
      if (ping && !fin) out.push(wsFrame(9, Buffer.from('still here'), form));
    }
  }
  return Buffer.concat(out);
}

const message = fc.record({
  opcode: fc.constantFrom(1 as const, 2 as const),
  text: fc
    .array(fc.constantFrom('word ', '{"a": 1}', 'SECRET-abc', 'SECRET-', ' ', 'é', 'x'.repeat(300), '\n'), {
      maxLength: 12,
    })
    .map((words) => words.join('')),
  parts: fc.integer({ min: 1, max: 5 }),
  packed: fc.boolean(),
  ping: fc.boolean(),
});
const streams = fc.record({
  sent: fc.array(message, { maxLength: 8 }),
  key: fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 }), { nil: undefined }),
  takeover: fc.boolean(),
  cuts: fc.array(fc.nat(4000), { maxLength: 30 }),
});

describe('WebSocketFilter, any stream', () => {
  it('says the same with labels in it, however it is cut; a clean one is the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(streams, async ({ sent, key, takeover, cuts }) => {
        const keyBytes = key === undefined ? undefined : Buffer.from(key);
        const bytes = await written(sent, keyBytes, takeover);
        const what = key === undefined ? 'response' : 'request';
        const setup: Setup = { what, deflate: { takeover } };
        const { out, frames, asked } = await run(
          bytes,
          setup,
          cuts.toSorted((a, b) => a - b),
        );
        assert.deepEqual(asked, []);
        const said = (await wsMessages(frames, takeover)).filter(([opcode]) => opcode < 8);
        const label = (text: string) => text.replace(/(?<![a-z])SECRET-[a-z]+/g, LABEL);
        const fixed = (text: string) =>
          text.replace(/(?<![a-z])SECRET-[a-z]+/g, (all) => LABEL.slice(0, all.length).padEnd(all.length, '*'));
        assert.deepEqual(
          said.map(([opcode, text]) => [opcode, text.toString()]),
          sent.map(({ opcode, text }) => [opcode, opcode === 1 ? label(text) : fixed(text)]),
        );
        if (sent.every(({ text }) => label(text) === text)) {
          // Pings overtake the frames of a message that is held.
          const data = (all: readonly ReadFrame[]) => all.filter(({ opcode }) => opcode < 8);
          assert.deepEqual(data(frames), data(wsFrames(bytes)));
          if (!sent.some(({ ping }) => ping)) assert.ok(out.equals(bytes));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('any bytes at all: nothing is thrown, and what passes unread is what came', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.boolean(),
        fc.array(fc.nat(400)),
        async (any, deflate, cuts) => {
          const bytes = Buffer.from(any);
          const setup: Setup = { deflate: deflate ? { takeover: true } : undefined };
          const whole = await run(bytes, setup);
          const cut = await run(
            bytes,
            setup,
            cuts.toSorted((a, b) => a - b),
          );
          assert.deepEqual(cut.asked, whole.asked);
          assert.ok(cut.out.length <= bytes.length && cut.out.equals(whole.out));
        },
      ),
      { numRuns: 300 },
    );
  });
});
