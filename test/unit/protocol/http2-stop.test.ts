import assert from 'node:assert/strict';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { ContentFilter } from '../../../src/model/ports.ts';
import { createAuthority } from '../../support/certs.ts';
import { type FakeFilterOptions, fakeFilter, POISON } from '../../support/fake-filter.ts';
import { dataOf, endedWell, type Frame, type FrameOrigin, frameOrigin, resetCode } from '../../support/frame-origin.ts';
import { type H2Proxy, h2Proxy } from '../../support/h2-proxy.ts';
import { http2Client, openStream } from '../../support/http2.ts';
import { connectThrough, secure } from '../../support/origins.ts';

const HOST = 'read.test';
const authority = createAuthority();
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

async function until<T>(probe: () => T | undefined | false, what: string): Promise<T> {
  for (let i = 0; i < 2500; i++) {
    const value = probe();
    if (value !== undefined && value !== false) return value;
    await turn();
  }
  throw new Error(`did not happen: ${what}`);
}

/** What is done with an upload until it is stopped. `passed` resolves when the origin has something of its body. */
type Moment = (stream: ClientHttp2Stream, passed: () => Promise<unknown>) => Promise<void> | void;

const LONG = 'x'.repeat(40_000);
const MOMENTS: Readonly<Record<string, Moment>> = {
  'with the first bytes': (stream) => void stream.write(`${POISON}${LONG}`),
  'with the first bytes, which are all': (stream) => void stream.end(POISON),
  'in the middle': async (stream, passed) => {
    stream.write(LONG);
    await passed();
    stream.write(`${POISON}${LONG}`);
  },
  'in the middle, all at once': (stream) => {
    stream.write(LONG);
    stream.write(POISON);
    stream.write(LONG);
  },
  'with the last bytes': async (stream, passed) => {
    stream.write(LONG);
    await passed();
    stream.end(POISON);
  },
  'with the last bytes, all at once': (stream) => void stream.end(LONG + POISON),
  'before trailers': (stream) => {
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }));
    stream.end(LONG + POISON);
  },
};

// Node shows an `end` for END_STREAM and for a reset alike: only frames tell what the origin was made to believe.
describe('HTTP/2 relay: a stopped upload is reset, never ended', () => {
  let origin: FrameOrigin;
  let proxy: H2Proxy;
  before(async () => {
    origin = await frameOrigin(authority.issue([HOST]));
    proxy = await h2Proxy({ authority, host: HOST, originPort: origin.port });
  });
  after(() => {
    proxy.close();
    origin.close();
  });
  beforeEach(() => {
    origin.streams.length = 0;
    proxy.corridor.closed.length = 0;
    proxy.corridor.filter = () => undefined;
  });

  const agent = async (): Promise<ClientHttp2Session> => {
    const { socket } = await connectThrough(proxy.port, `${HOST}:443`, '');
    const tls = await secure(socket, { servername: HOST, ca: authority.cert, alpn: ['h2'] });
    return http2Client(tls, HOST);
  };
  /** The only stream that the origin saw, once it is reset. */
  const reset = (): Promise<Frame[]> =>
    until(
      () => origin.streams[0] !== undefined && resetCode(origin.streams[0]) !== undefined && origin.streams[0],
      'reset',
    );
  const assertBroken = (frames: readonly Frame[]): void => {
    assert.equal(endedWell(frames), false, 'the upload looks complete');
    assert.equal(resetCode(frames), 8);
    assert.match(dataOf(frames), /^x*$/);
    assert.equal(origin.streams.length, 1);
  };

  for (const shape of ['same', 'free'] as const satisfies readonly ContentFilter['shape'][]) {
    for (const later of [false, true]) {
      for (const answers of [false, true]) {
        for (const window of [65_535, 10]) {
          const how = [shape, later && 'later', answers && 'answered', window === 10 && 'slow']
            .filter(Boolean)
            .join(', ');
          it(`${how}: at every moment`, async () => {
            Object.assign(origin, { answers, window });
            const options: FakeFilterOptions = { shape, later };
            proxy.corridor.filter = fakeFilter({ request: options }).filter;
            for (const [name, moment] of Object.entries(MOMENTS)) {
              origin.streams.length = 0;
              const session = await agent();
              const stream = openStream(session, HOST, 'POST', '/up', [], false, name === 'before trailers');
              stream.on('error', () => undefined).resume();
              if (answers) await new Promise((resolve) => stream.once('response', resolve));
              await moment(stream, () =>
                until(() => origin.streams[0] !== undefined && dataOf(origin.streams[0]).length > 0, 'the body began'),
              );
              assertBroken(await reset());
              session.destroy();
            }
          });
        }
      }
    }
  }

  for (const [name, end] of [
    ['revoked', (_stream: ClientHttp2Stream) => proxy.corridor.revoke(proxy.corridor.opened.at(-1) as never)],
    ['reset by the agent', (stream: ClientHttp2Stream) => stream.destroy(new Error('gone'))],
    ['of an agent whose connection is gone', (stream: ClientHttp2Stream) => stream.session?.destroy()],
  ] as const) {
    it(`an upload that is ${name}`, async () => {
      Object.assign(origin, { answers: false, window: 65_535 });
      for (const filtered of [false, true]) {
        origin.streams.length = 0;
        if (filtered) proxy.corridor.filter = fakeFilter({ request: { shape: 'same' } }).filter;
        const session = await agent();
        const stream = openStream(session, HOST, 'POST', '/up');
        stream.on('error', () => undefined).resume();
        stream.write(LONG);
        const frames = await until(
          () => origin.streams[0]?.some(({ type }) => type === 0) && origin.streams[0],
          'begun',
        );
        end(stream);
        await until(() => proxy.corridor.unclosed.size === 0, 'closed');
        await turn();
        assert.equal(endedWell(frames), false);
        session.destroy();
      }
    });
  }
});
