import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type ClientHello, createClientHelloParser } from '../../../src/codec/client-hello.ts';
import { clientHello } from '../../support/hello.ts';
import { pieces, type Target } from '../fuzz.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function read(parts: readonly Buffer[]): 'more' | 'not-tls' | ClientHello {
  const parser = createClientHelloParser(sha256);
  for (const part of parts) {
    const said = parser.push(part);
    if (said !== 'more') return said;
  }
  return 'more';
}

/** One message over many records (RFC 8446 §5.1). */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const out: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    out.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(out);
}

/** However the first flight comes it reads the same, and what it says is within bounds. */
export const targets: readonly Target[] = [
  {
    name: 'client-hello',
    seeds: () => [
      clientHello({ sni: 'api.example.com' }),
      clientHello({ alpn: [] }),
      clientHello({ sni: 'a.test', ech: true }),
      inRecords(clientHello({ sni: 'api.example.com' }), 20),
    ],
    check(input, random) {
      const whole = read([input]);
      assert.deepEqual(read(pieces(input, random)), whole);
      if (typeof whole === 'string') return;
      // To the end of a record, of which the rest may be on its way.
      assert.ok(whole.length <= input.length + 16_384);
      assert.match(whole.facts.ja4, /^t[0-9sd]{2}[di][0-9]{4}[^_]{2}_[0-9a-f]{12}_[0-9a-f]{12}$/);
    },
  },
];
