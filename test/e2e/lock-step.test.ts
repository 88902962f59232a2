import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Duplex, Readable, Writable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { http2Through } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { listening } from '../support/origins.ts';
import { startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

const STEPS = 1000;
/** Steps that wait for what they never were would make a test of minutes; the bound ends it, nothing else is asserted of time. */
const BOUND = { timeout: 60_000 };

function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** `string note = 1; uint64 id = 2`, the string last. */
function protobuf(i: number): Buffer {
  const note = Buffer.from(`step ${i} of the user`);
  return framed(Buffer.concat([Buffer.from([0x10, i & 0x7f, 0x0a, note.length]), note]));
}

/** What step i says, each as long as nothing else does. */
const SAID: Readonly<Record<string, readonly [type: string, of: (i: number) => Buffer]>> = {
  'JSON deltas': ['application/json', (i) => Buffer.from(JSON.stringify({ index: i, delta: { text: `word ${i}` } }))],
  'lines of JSON': ['application/x-ndjson', (i) => Buffer.from(`${JSON.stringify({ id: i, token: 'word' })}\n`)],
  numbers: ['text/plain', (i) => Buffer.from(`${1_732_118_400 + i}`)],
  words: ['text/plain', (i) => Buffer.from(['the key', 'hello wor', 'an id', 'message'][i % 4] as string)],
  protobuf: ['application/grpc', protobuf],
  events: ['text/event-stream', (i) => Buffer.from(`data: {"choices":[{"delta":{"content":"a ${i}"}}]}\n\n`)],
};

/** Says each step when all of the one before has come back; resolves with what did not. */
async function steps(up: Writable, down: Readable, of: (i: number) => Buffer): Promise<void> {
  let came = Buffer.alloc(0);
  let wake: () => void = () => undefined;
  let failure: Error | undefined;
  const ended = (error?: Error): void => {
    failure ??= error ?? new Error('it ended too early');
    wake();
  };
  down.on('data', (bytes: Buffer) => {
    came = Buffer.concat([came, bytes]);
    wake();
  });
  down.on('error', ended).on('close', () => ended());
  up.on('error', ended);
  for (let i = 0; i < STEPS; i++) {
    const said = of(i);
    up.write(said);
    while (came.length < said.length) {
      if (failure !== undefined) throw failure;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    assert.deepEqual(came, said);
    came = Buffer.alloc(0);
  }
  up.end();
}

for (const mode of ['redact', 'enforce'] as const) {
  describe(`${STEPS} steps each way, the next one said when the last has come back, in ${mode}`, {
    concurrency: 6,
  }, () => {
    let scene: { readonly weir: Weir; readonly ca: string; readonly close: () => Promise<void> };
    before(async () => {
      scene = await assemble(async (later) => {
        const upstream = await openUpstream();
        later(upstream.close);
        const plain = createServer((asked, answer) => {
          answer.writeHead(200, { 'content-type': asked.headers['content-type'] ?? '' });
          answer.flushHeaders();
          asked.pipe(answer);
        });
        const plainPort = await listening(plain);
        later(async () => void plain.close());
        const leaf = upstream.authority.issue(['h2.step.test']);
        const http2 = createSecureServer(leaf);
        http2.on('stream', (stream, fields) => {
          stream.respond({ ':status': 200, 'content-type': fields['content-type'] });
          stream.on('error', () => undefined).pipe(stream as Duplex);
        });
        const http2Port = await listening(http2);
        later(async () => void http2.close());
        const weir = await startWeir({
          config: {
            mode,
            intercept: 'all',
            upstream: {
              resolve: {
                'plain.step.test': `127.0.0.1:${plainPort}`,
                'h2.step.test': `127.0.0.1:${http2Port}`,
              },
              ca_file: upstream.caFile,
            },
          },
        });
        later(weir.stop);
        return { weir, ca: await weir.ca() };
      });
    });
    after(() => scene.close());

    for (const [name, [type, of]] of Object.entries(SAID)) {
      it(`${name} in chunks of HTTP/1.1`, BOUND, async () => {
        const headers = {
          host: 'plain.step.test',
          'content-type': type,
          'transfer-encoding': 'chunked',
          'proxy-authorization': `Basic ${Buffer.from('researcher:x').toString('base64')}`,
        };
        const where = { host: '127.0.0.1', port: scene.weir.port, path: 'http://plain.step.test/steps' };
        const sent = request({ ...where, method: 'POST', headers, agent: false });
        sent.flushHeaders();
        const answer = await new Promise<Readable>((resolve, reject) => {
          sent.on('response', resolve).on('error', reject);
        });
        await steps(sent, answer, of);
      });

      it(`${name} on a stream of HTTP/2`, BOUND, async () => {
        const session = await http2Through(scene.weir, 'h2.step.test', { agent: 'researcher', ca: scene.ca });
        try {
          const stream = session.request({ ':path': '/steps', ':method': 'POST', 'content-type': type });
          await steps(stream, stream, of);
        } finally {
          session.destroy();
        }
      });
    }
  });
}
