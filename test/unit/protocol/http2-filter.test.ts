import assert from 'node:assert/strict';
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream } from 'node:http2';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createAuthority } from '../../support/certs.ts';
import {
  blocked,
  type FakeFilterOptions,
  type FilterLog,
  fakeFilter,
  LABEL,
  POISON,
  SECRET,
  SHAPES,
} from '../../support/fake-filter.ts';
import type { Closed } from '../../support/fake-h2-corridor.ts';
import { type H2Proxy, h2Proxy } from '../../support/h2-proxy.ts';
import { type Http2Origin, http2Client, http2Origin, openStream } from '../../support/http2.ts';
import { connectThrough, secure } from '../../support/origins.ts';

const HOST = 'read.test';
const BODY = `before ${SECRET} after`;
const authority = createAuthority();

/** Everything one end of a stream received. */
interface Got {
  status: number | undefined;
  fields: string[];
  body: string;
  trailers: string[];
  ended: boolean;
  code: number;
  readonly closed: Promise<void>;
}

function watch(stream: ClientHttp2Stream | ServerHttp2Stream): Got {
  const got: Got = {
    status: undefined,
    fields: [],
    body: '',
    trailers: [],
    ended: false,
    code: -1,
    closed: new Promise((resolve) => {
      stream.once('close', () => {
        got.code = stream.rstCode;
        resolve();
      });
    }),
  };
  stream.on('response', (headers: Record<string, unknown>, _flags: number, raw: string[]) => {
    got.status = Number(headers[':status']);
    got.fields = [...raw];
  });
  stream.on('data', (bytes: Buffer) => {
    got.body += bytes.toString();
  });
  stream.on('trailers', (_fields: unknown, _flags: number, raw: string[]) => {
    got.trailers = [...raw];
  });
  stream.on('end', () => {
    got.ended = true;
  });
  stream.on('error', () => undefined);
  return got;
}

const field = (raw: readonly string[], name: string): string | undefined => {
  const at = raw.indexOf(name);
  return at < 0 ? undefined : raw[at + 1];
};
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
async function until(met: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1000 && !met(); i++) await pause();
  assert.ok(met(), what);
}

describe('HTTP/2 relay: bodies under a filter', () => {
  let origin: Http2Origin;
  let proxy: H2Proxy;
  let session: ClientHttp2Session;
  let log: FilterLog;
  before(async () => {
    origin = await http2Origin(authority.issue([HOST]));
    proxy = await h2Proxy({ authority, host: HOST, originPort: origin.port });
    const { socket } = await connectThrough(proxy.port, `${HOST}:443`, '');
    const tls = await secure(socket, { servername: HOST, ca: authority.cert, alpn: ['h2'] });
    tls.allowHalfOpen = false;
    session = await http2Client(tls, HOST);
  });
  after(async () => {
    session.destroy();
    proxy.close();
    await origin.close();
  });
  beforeEach(() => {
    proxy.corridor.closed.length = 0;
    proxy.corridor.check = () => ({ forward: true });
    proxy.corridor.checkResponse = () => ({ forward: true });
    proxy.corridor.checkTrailers = () => undefined;
  });

  const use = (direction: 'request' | 'response', options: FakeFilterOptions): void => {
    const made = fakeFilter({ [direction]: options });
    proxy.corridor.filter = made.filter;
    log = made.log;
  };
  const closed = async (): Promise<Closed> => {
    await until(() => proxy.corridor.closed.length > 0, 'the exchange is closed');
    return proxy.corridor.closed.at(-1) as Closed;
  };

  /** Answers 200 `ok` when the request is complete, and says what came. */
  const serve = (): { stream?: ServerHttp2Stream; got?: Got; raw: string[] } => {
    const seen: { stream?: ServerHttp2Stream; got?: Got; raw: string[] } = { raw: [] };
    origin.handle = (stream, raw) => {
      seen.stream = stream;
      seen.raw = [...raw];
      seen.got = watch(stream);
      stream.on('end', () => {
        if (stream.closed || stream.destroyed) return;
        stream.respond([':status', '200'] as never);
        stream.end('ok');
      });
    };
    return seen;
  };
  const post = (fields: string[] = [], waitForTrailers = false): [ClientHttp2Stream, Got] => {
    const stream = openStream(session, HOST, 'POST', '/up', fields, false, waitForTrailers);
    return [stream, watch(stream)];
  };

  for (const shape of SHAPES) {
    for (const later of [false, true]) {
      const name = later ? `${shape}, later` : shape;

      it(`request, ${name}: rewritten, with its length and trailers`, async () => {
        use('request', { shape, later });
        proxy.corridor.checkTrailers = (_exchange, direction, raw) =>
          direction === 'request' && raw.length > 0 ? new Map([[1, 'gone']]) : undefined;
        const seen = serve();
        const [stream, got] = post(['content-length', String(BODY.length), 'content-digest', 'x', 'x-a', 'b'], true);
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'abc', 'x-key': 'sesame' }));
        stream.write(BODY.slice(0, 12));
        stream.end(BODY.slice(12));
        await got.closed;
        assert.equal(got.body, 'ok');
        const expected = `before ${LABEL[shape]} after`;
        assert.equal(seen.got?.body, expected);
        assert.deepEqual(seen.got?.trailers, ['x-sum', 'abc', 'x-key', 'gone']);
        assert.equal(field(seen.raw, 'content-length'), shape === 'free' ? undefined : String(expected.length));
        assert.equal(field(seen.raw, 'content-digest'), shape === 'whole' ? undefined : 'x');
        assert.equal(field(seen.raw, 'x-a'), 'b');
        const { outcome, exchange } = await closed();
        assert.equal(outcome, 'forwarded');
        assert.equal(exchange.requestBytes, BODY.length);
        assert.deepEqual(log.asked[0], { direction: 'request', length: BODY.length });
      });

      it(`response, ${name}: rewritten, with its length, count and trailers`, async () => {
        use('response', { shape, later });
        proxy.corridor.checkTrailers = (_exchange, direction, raw) =>
          direction === 'response' && raw.length > 0 ? new Map([[0, 'gone']]) : undefined;
        origin.handle = (stream) => {
          const fields = [
            ':status',
            '200',
            'content-length',
            String(BODY.length),
            'digest',
            'x',
            'x-a',
            'b',
            'etag',
            '"1"',
          ];
          stream.respond(fields as never, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'abc' }));
          stream.write(BODY.slice(0, 12));
          setImmediate(() => stream.end(BODY.slice(12)));
        };
        const stream = openStream(session, HOST, 'GET', '/', [], true);
        const got = watch(stream);
        await got.closed;
        const expected = `before ${LABEL[shape]} after`;
        assert.equal(got.body, expected);
        assert.equal(got.code, 0);
        assert.equal(field(got.fields, 'content-length'), shape === 'free' ? undefined : String(expected.length));
        assert.equal(field(got.fields, 'x-a'), 'b');
        if (shape === 'whole') {
          assert.equal(field(got.fields, 'x-strathon-redacted'), '1');
          assert.equal(field(got.fields, 'digest'), undefined);
          assert.equal(field(got.fields, 'etag'), 'W/"1"');
          assert.deepEqual(got.trailers, ['x-sum', 'gone']);
        } else assert.deepEqual(got.trailers, ['x-sum', 'gone', 'x-strathon-redacted', '1']);
        const { outcome, exchange } = await closed();
        assert.equal(outcome, 'forwarded');
        assert.equal(exchange.responseBytes, expected.length);
      });

      it(`both, ${name}: clean bodies pass as they are`, async () => {
        const made = fakeFilter({ request: { shape, later }, response: { shape, later } });
        proxy.corridor.filter = made.filter;
        origin.handle = (stream) => {
          stream.respond([':status', '200', 'etag', '"1"'] as never);
          stream.pipe(stream);
        };
        const [stream, got] = post(['x-a', 'b']);
        const body = 'nothing to see here '.repeat(5000);
        stream.end(body);
        await got.closed;
        assert.equal(got.body, body);
        assert.deepEqual(got.fields.slice(0, 4), [':status', '200', 'etag', '"1"']);
        assert.equal(field(got.fields, 'x-strathon-redacted'), undefined);
        assert.deepEqual(got.trailers, []);
        assert.equal((await closed()).outcome, 'forwarded');
      });
    }

    it(`request, ${shape}: stopped: our answer, a reset upstream, and no poison`, async () => {
      use('request', { shape });
      const seen = serve();
      const sessions = origin.sessions();
      const [stream, got] = post();
      stream.write('x'.repeat(100));
      if (shape !== 'whole') await until(() => (seen.got?.body.length ?? 0) > 0, 'the upload began');
      stream.write(`${POISON}${'y'.repeat(100)}`);
      if (shape === 'whole') stream.end();
      await got.closed;
      assert.equal(got.status, 403);
      assert.equal(got.body, blocked().body);
      if (shape === 'whole') assert.equal(seen.stream, undefined, 'nothing was opened upstream');
      else {
        await seen.got?.closed;
        assert.equal(seen.got?.code, 8);
        assert.ok(!seen.got?.body.includes(POISON));
        assert.equal(seen.got?.body.replaceAll('x', ''), '');
      }
      assert.equal(origin.sessions(), sessions);
      await closed();
    });

    it(`response, ${shape}: stopped in the first packet: our answer`, async () => {
      use('response', { shape });
      let upstream: Got | undefined;
      origin.handle = (stream) => {
        upstream = watch(stream);
        stream.respond([':status', '200'] as never);
        stream.write(`a ${POISON}`);
        if (shape === 'whole') stream.end();
      };
      const got = watch(openStream(session, HOST, 'GET', '/', [], true));
      await got.closed;
      assert.equal(got.status, 403);
      assert.equal(got.body, blocked().body);
      if (shape === 'whole') return;
      await upstream?.closed;
      assert.equal(upstream?.code, 8);
      await closed();
    });

    it(`response, ${shape}: stopped after it has begun: a clean end, recorded as cut`, async () => {
      use('response', { shape, last: 'event: stopped\n\n' });
      let upstream: ServerHttp2Stream | undefined;
      origin.handle = (stream) => {
        upstream = stream;
        watch(stream);
        stream.respond([':status', '200'] as never);
        stream.write('x'.repeat(100));
      };
      const stream = openStream(session, HOST, 'GET', '/', [], true);
      const got = watch(stream);
      if (shape === 'whole') await until(() => log.written === 100, 'the response began');
      else await until(() => got.body.length > 0, 'the response began');
      upstream?.end(`${POISON} and the rest`);
      await got.closed;
      assert.ok(!got.body.includes(POISON) && !got.body.includes('rest'));
      if (shape === 'whole') assert.equal(got.status, 403);
      else {
        assert.equal(got.code, 0);
        assert.ok(got.ended);
        assert.match(got.body, /^x+event: stopped\n\n$/);
        const { outcome, closeReason } = await closed();
        assert.deepEqual([outcome, closeReason], ['blocked', 'cut']);
      }
    });

    for (const direction of ['request', 'response'] as const) {
      it(`${direction}, ${shape}: the agent goes away, the upstream goes away, the exchange is revoked`, async () => {
        for (const end of ['agent', 'upstream', 'revoke'] as const) {
          if (end === 'upstream' && direction === 'request' && shape === 'whole') continue;
          use(direction, { shape });
          proxy.corridor.closed.length = 0;
          let upstream: ServerHttp2Stream | undefined;
          origin.handle = (stream) => {
            upstream = stream;
            watch(stream);
            if (direction === 'request') return;
            stream.respond([':status', '200'] as never);
            stream.write('x'.repeat(100));
          };
          const [stream, got] = post();
          stream.write('y'.repeat(100));
          await until(() => log.written === 100, 'the body began');
          // `close` would end the body first.
          if (end === 'agent') stream.destroy(new Error('gone'));
          else if (end === 'revoke') proxy.corridor.revoke(proxy.corridor.opened.at(-1) as never);
          else {
            await until(() => upstream !== undefined, 'the upstream has it');
            upstream?.destroy(new Error('gone'));
          }
          await got.closed;
          const facts = await closed();
          assert.equal(facts.outcome, { agent: 'client-gone', upstream: 'failed', revoke: 'interrupted' }[end]);
          const letGo = end === 'upstream' && direction === 'response' && shape !== 'whole';
          assert.deepEqual([log.abandoned, log.brokenOff], letGo ? [0, 1] : [1, 0], end);
          if (letGo) assert.equal(got.body.length, 100);
          assert.equal(got.code, { agent: 2, upstream: 2, revoke: 8 }[end]);
        }
      });

      it(`${direction}, ${shape}: a slow filter, a large body`, async () => {
        use(direction, { shape, slow: true });
        origin.handle = (stream) => {
          stream.respond([':status', '200'] as never);
          stream.pipe(stream);
        };
        const [stream, got] = post();
        stream.end('z'.repeat(3_000_000));
        await got.closed;
        assert.equal(got.body.length, 3_000_000);
        assert.equal((await closed()).outcome, 'forwarded');
      });
    }

    it(`${shape}: 1000 exchanges, 20 at a time`, async () => {
      const made = fakeFilter({ request: { shape, later: true }, response: { shape, later: true } });
      proxy.corridor.filter = made.filter;
      origin.handle = (stream) => {
        stream.respond([':status', '200'] as never);
        stream.pipe(stream);
      };
      for (let n = 0; n < 50; n++) {
        const all = Array.from({ length: 20 }, (_, i) => {
          const [stream, got] = post();
          stream.end(`${n} ${i} ${SECRET}.`);
          return got.closed.then(() => got.body);
        });
        for (const [i, body] of (await Promise.all(all)).entries()) assert.equal(body, `${n} ${i} ${LABEL[shape]}.`);
      }
    });
  }

  it('a stream that flows both ways keeps flowing', async () => {
    const made = fakeFilter({ request: { shape: 'free' }, response: { shape: 'same' } });
    proxy.corridor.filter = made.filter;
    origin.handle = (stream) => {
      stream.respond([':status', '200', 'content-type', 'application/grpc'] as never, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.on('data', (bytes: Buffer) => stream.write(bytes));
      stream.on('end', () => stream.end());
    };
    const [stream, got] = post(['te', 'trailers']);
    for (let i = 0; i < 10; i++) {
      const before = got.body.length;
      stream.write(`message ${i} ${'.'.repeat(40)}`);
      await until(() => got.body.length > before, 'an answer to each message');
    }
    stream.end();
    await got.closed;
    assert.deepEqual(got.trailers, ['grpc-status', '0']);
    assert.ok(got.body.includes('message 9'));
  });

  it('a request is stopped when its response has begun: that ends too', async () => {
    use('request', { shape: 'free' });
    let upstream: Got | undefined;
    origin.handle = (stream) => {
      upstream = watch(stream);
      stream.respond([':status', '200'] as never);
      stream.write('first');
    };
    const [stream, got] = post();
    stream.write('x'.repeat(100));
    await until(() => got.body === 'first', 'the response began');
    stream.write(POISON);
    await got.closed;
    await upstream?.closed;
    assert.equal(upstream?.code, 8);
    assert.ok(!upstream?.body.includes(POISON));
    assert.ok(got.ended);
    const { outcome, closeReason } = await closed();
    assert.deepEqual([outcome, closeReason], ['blocked', 'cut']);
  });

  it('a promised length that is cut does not look whole', async () => {
    use('response', { shape: 'same' });
    let upstream: ServerHttp2Stream | undefined;
    origin.handle = (stream) => {
      upstream = stream;
      watch(stream);
      stream.respond([':status', '200', 'content-length', '1000'] as never);
      stream.write('x'.repeat(100));
    };
    const stream = openStream(session, HOST, 'GET', '/', [], true);
    const got = watch(stream);
    await until(() => got.body.length > 0, 'the response began');
    upstream?.write(POISON);
    await got.closed;
    assert.equal(got.code, 2);
    assert.equal((await closed()).closeReason, 'cut');
  });

  it('heads are edited, responses refused', async () => {
    proxy.corridor.filter = () => undefined;
    proxy.corridor.check = (exchange) => {
      assert.equal(exchange.request.fields[2], 'x-key');
      return { forward: true, edits: { target: '/p?k=[X]', values: new Map([[1, 'gone']]) } };
    };
    proxy.corridor.checkResponse = (exchange) => {
      assert.deepEqual(exchange.responseFields?.slice(0, 2), ['set-cookie', 'secret']);
      return { forward: true, edits: { values: new Map([[0, '[X]']]) } };
    };
    let raw: readonly string[] = [];
    origin.handle = (stream, fields) => {
      raw = fields;
      stream.respond([':status', '200', 'set-cookie', 'secret', 'x-b', 'c'] as never);
      stream.end('body');
    };
    const ask = async (): Promise<Got> => {
      const got = watch(openStream(session, HOST, 'GET', '/p?k=secret', ['x-a', 'b', 'x-key', 'secret'], true));
      await got.closed;
      return got;
    };
    let got = await ask();
    assert.equal(field(raw, ':path'), '/p?k=[X]');
    assert.deepEqual(raw.slice(-4), ['x-a', 'b', 'x-key', 'gone']);
    assert.deepEqual(got.fields.slice(0, 6), [':status', '200', 'set-cookie', '[X]', 'x-b', 'c']);
    proxy.corridor.checkResponse = () => ({ forward: false, answer: blocked() });
    got = await ask();
    assert.equal(got.status, 403);
    assert.equal(got.body, blocked().body);
  });

  it('no body, no filter', async () => {
    const made = fakeFilter({ request: { shape: 'whole' }, response: { shape: 'whole' } });
    proxy.corridor.filter = made.filter;
    origin.handle = (stream) => stream.respond([':status', '204'] as never, { endStream: true });
    const got = watch(openStream(session, HOST, 'GET', '/', [], true));
    await got.closed;
    assert.equal(got.status, 204);
    assert.deepEqual(made.log.asked, []);
  });

  it('an agent that waits for 100 Continue gets it from us when the whole body is held', async () => {
    use('request', { shape: 'whole' });
    const seen = serve();
    const [stream, got] = post(['expect', '100-continue']);
    await new Promise<void>((resolve) => stream.once('headers', () => resolve()));
    stream.end('body');
    await got.closed;
    assert.equal(seen.got?.body, 'body');
    assert.equal(field(seen.raw, 'expect'), undefined);
  });

  it('an agent that does not read makes the upstream wait', async () => {
    use('response', { shape: 'free' });
    const all = 48 << 20;
    origin.handle = (stream) => {
      watch(stream);
      stream.respond([':status', '200'] as never);
      stream.end(Buffer.alloc(all, 'q'));
    };
    const stream = openStream(session, HOST, 'GET', '/', [], true);
    stream.pause();
    const passed = (): number => proxy.corridor.opened.at(-1)?.responseBytes ?? 0;
    for (let before = -1; passed() === 0 || passed() !== before; ) {
      before = passed();
      for (let n = 0; n < 10; n++) await pause();
    }
    assert.ok(passed() < all / 2, `${passed()} bytes were passed`);
    let got = 0;
    stream.on('data', (bytes: Buffer) => {
      got += bytes.length;
    });
    stream.resume();
    await new Promise<void>((resolve) => stream.once('close', () => resolve()));
    assert.equal(got, all);
  });
});
