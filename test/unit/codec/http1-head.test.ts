import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseRequestHead, parseResponseHead, type RequestHead } from '../../../src/codec/http1-head.ts';
import { HeadReader, MORE, REFUSED, WHOLE } from '../../../src/codec/http1-reader.ts';
import { headForParent, rewriteInPlace } from '../../../src/codec/http1-rewrite.ts';
import { originForm, splitTarget } from '../../../src/codec/http1-target.ts';

const LIMITS = { headBytes: 4096, headers: 20 };

function request(text: string): RequestHead & { readonly bytes: Buffer } {
  const reader = new HeadReader(LIMITS, true);
  const bytes = Buffer.from(text, 'latin1');
  assert.equal(reader.push(bytes), WHOLE);
  const head = parseRequestHead(reader, LIMITS);
  assert.ok(head.ok, head.ok ? '' : head.detail);
  return { ...head, bytes };
}

function response(text: string, method = 'GET') {
  const reader = new HeadReader(LIMITS, false);
  assert.equal(reader.push(Buffer.from(text, 'latin1')), WHOLE);
  return parseResponseHead(reader, LIMITS, method);
}

describe('HeadReader', () => {
  const text = '\r\nPOST /x HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nbody';
  const whole = request(text);

  it('finds the same head however the bytes are cut', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: text.length - 1 }), { maxLength: 12 });
    fc.assert(
      fc.property(cuts, (points) => {
        const edges = [0, ...new Set(points.sort((a, b) => a - b)), text.length];
        const reader = new HeadReader(LIMITS, true);
        let found = MORE as number;
        let given = 0;
        for (let i = 1; i < edges.length && found === MORE; i++) {
          given = edges[i] as number;
          found = reader.push(Buffer.from(text.slice(edges[i - 1], given), 'latin1'));
        }
        assert.equal(found, WHOLE);
        assert.equal(reader.bytes.toString('latin1'), text.slice(0, given));
        assert.deepEqual(parseRequestHead(reader, LIMITS), (({ bytes: _, ...head }) => head)(whole));
      }),
    );
  });

  it('a head in one chunk is not copied', () => {
    const reader = new HeadReader(LIMITS, true);
    const bytes = Buffer.from(text, 'latin1');
    reader.push(bytes);
    assert.equal(reader.bytes, bytes);
  });

  it('says when a head has begun: empty lines are none', () => {
    const reader = new HeadReader(LIMITS, true);
    assert.equal(reader.push(Buffer.from('\r\n\r\n')), MORE);
    assert.equal(reader.begun, false);
    assert.equal(reader.push(Buffer.from('G')), MORE);
    assert.equal(reader.begun, true);
  });

  it('refuses what grows over the limit: a line, empty lines, dribbled or at once', () => {
    for (const piece of ['x', '\r\n']) {
      const reader = new HeadReader(LIMITS, true);
      let found = MORE as number;
      for (let sent = 0; sent < 6000 && found === MORE; sent += piece.length) found = reader.push(Buffer.from(piece));
      assert.equal(found, REFUSED);
      assert.equal(reader.fault?.code, 'head-too-large');
    }
    const reader = new HeadReader(LIMITS, true);
    assert.equal(reader.push(Buffer.from(`GET / HTTP/1.1\r\nX: ${'y'.repeat(4096)}\r\n\r\n`)), REFUSED);
  });

  it('does not wait for the end of a head whose lines end in LF', () => {
    const reader = new HeadReader(LIMITS, true);
    assert.equal(reader.push(Buffer.from('GET / HTTP/1.1\r')), MORE);
    assert.equal(reader.push(Buffer.from('\nHost: a\n\n')), REFUSED);
    assert.equal(reader.fault?.code, 'ambiguous-framing');
  });
});

describe('parseRequestHead', () => {
  it('gives fields flat, in order, as sent, without outer white space', () => {
    const head = request('GET /\xe9 HTTP/1.1\r\nhOST: a\r\nA:\t x y \t\r\nb:\r\nA: \xff\r\n\r\n');
    assert.deepEqual(head.fields, ['hOST', 'a', 'A', 'x y', 'b', '', 'A', '\xff']);
    assert.equal(head.target, '/\xe9');
    assert.equal(head.host, 'a');
    assert.equal(head.persistent, true);
  });

  const persistence: readonly (readonly [version: string, connection: string, persistent: boolean])[] = [
    ['1.1', 'close', false],
    ['1.1', 'foo, Close', false],
    ['1.1', 'keep-alive, close', false],
    ['1.1', 'upgrade', true],
    ['1.0', 'keep-alive', true],
    ['1.0', 'x', false],
  ];
  for (const [version, connection, persistent] of persistence) {
    it(`HTTP/${version} with Connection: ${connection} is ${persistent ? '' : 'not '}persistent`, () => {
      const head = request(`GET / HTTP/${version}\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`);
      assert.equal(head.persistent, persistent);
    });
  }

  it('names upgrades and expectations', () => {
    const head = request('GET / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nExpect: 100-Continue\r\n\r\n');
    assert.equal(head.upgrade, 'websocket');
    assert.equal(head.expectContinue, true);
  });
});

describe('parseResponseHead', () => {
  const bodies: readonly (readonly [text: string, method: string, body: string])[] = [
    ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', 'GET', 'length'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', 'HEAD', 'none'],
    ['HTTP/1.1 200\r\n\r\n', 'GET', 'until-close'],
    ['HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\n', 'GET', 'none'],
    ['HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n', 'GET', 'none'],
    ['HTTP/1.1 103 x\r\nContent-Length: 3\r\n\r\n', 'GET', 'none'],
    ['HTTP/1.1 200 x\r\nTransfer-Encoding: CHUNKED\r\n\r\n', 'GET', 'chunked'],
    ['HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n', 'CONNECT', 'none'],
    ['HTTP/1.1 407 x\r\nContent-Length: 3\r\n\r\n', 'CONNECT', 'length'],
    ['HTTP/1.1 200 \xe9\x01\r\nX: \x02\r\nContent-Length: 0\r\n\r\n', 'GET', 'none'],
  ];
  for (const [text, method, body] of bodies) {
    it(`${JSON.stringify(text)} to ${method}: ${body}`, () => {
      const head = response(text, method);
      assert.ok(head.ok);
      assert.equal(head.body, body);
    });
  }

  it('is not used again after a body without an end, or chunked in HTTP/1.0', () => {
    for (const text of [
      'HTTP/1.1 200 OK\r\n\r\n',
      'HTTP/1.0 200 x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n',
    ]) {
      const head = response(text);
      assert.ok(head.ok);
      assert.equal(head.persistent, false);
    }
  });
});

describe('the head for the upstream', () => {
  const DROPPED = [
    'Proxy-Authorization: Basic c2VjcmV0',
    'proxy-connection: keep-alive',
    'X-WEIR-agent: a',
    'x-oktsec-agent:b',
  ];
  const KEPT = ['Host: h', 'X-A:  1 ', 'x-a: 2', 'Proxy-Authenticate: no', 'Accept: */*'];
  const lines = fc.shuffledSubarray([...DROPPED, ...KEPT], { minLength: 1 });
  const target = fc.constantFrom('http://h', 'http://h/', 'http://h:1?q', 'HTTP://user@h/a/b?c#d', '/x', 'http://h#f');
  const method = fc.constantFrom('GET', 'OPTIONS', 'X');

  it('in place: equals what a line-by-line rewriting would give, and the body stays where it is', () => {
    fc.assert(
      fc.property(method, target, lines, (verb, to, chosen) => {
        const fields = chosen.includes('Host: h') ? chosen : ['Host: h', ...chosen];
        const head = request(`${verb} ${to} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\nBODY`);
        const split = splitTarget(verb, to);
        assert.ok(split !== undefined);
        const pathAt = split.form === 'absolute' ? { pathAt: split.pathAt } : {};
        const start = rewriteInPlace(head.bytes, head, { ...pathAt, keepProxyLines: false });
        const wanted = split.form === 'absolute' ? originForm(verb, to, split.pathAt) : to;
        const kept = fields.filter((line) => !DROPPED.includes(line));
        const expected = `${verb} ${wanted} HTTP/1.1\r\n${kept.join('\r\n')}\r\n\r\nBODY`;
        assert.equal(head.bytes.subarray(start).toString('latin1'), expected);
      }),
    );
  });

  it('for a proxy behind the tunnel keeps the lines that speak to it', () => {
    const head = request(`GET / HTTP/1.1\r\nHost: h\r\n${DROPPED.join('\r\n')}\r\n\r\n`);
    const start = rewriteInPlace(head.bytes, head, { keepProxyLines: true });
    const expected = `GET / HTTP/1.1\r\nHost: h\r\n${DROPPED.slice(0, 2).join('\r\n')}\r\n\r\n`;
    assert.equal(head.bytes.subarray(start).toString(), expected);
  });

  it('for a parent proxy is absolute and carries its credentials', () => {
    const head = request('OPTIONS * HTTP/1.1\r\nHost: h\r\nProxy-Authorization: mine\r\n\r\n');
    const got = headForParent(head.bytes, head, 'http://h', 'Basic eA==').toString();
    assert.equal(got, 'OPTIONS http://h HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Basic eA==\r\n\r\n');
  });
});
