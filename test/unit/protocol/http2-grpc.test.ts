import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import type { Answer } from '../../../src/model/answer.ts';
import { grpcFields } from '../../../src/protocol/http2-grpc.ts';
import { createAuthority } from '../../support/certs.ts';
import { fakeFilter, POISON } from '../../support/fake-filter.ts';
import { type H2Proxy, h2Proxy } from '../../support/h2-proxy.ts';
import { connectThrough } from '../../support/origins.ts';

const HOST = 'read.test';
const authority = createAuthority();
const identity = (value: Buffer): Buffer => value;
const method = (
  name: string,
  requestStream: boolean,
  responseStream: boolean,
): grpc.MethodDefinition<Buffer, Buffer> => ({
  path: `/weir.Test/${name}`,
  requestStream,
  responseStream,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});
const service = {
  unary: method('Unary', false, false),
  fails: method('Fails', false, false),
  down: method('Down', false, true),
  up: method('Up', true, false),
  both: method('Both', true, true),
} satisfies grpc.ServiceDefinition;

let server: grpc.Server;
let proxy: H2Proxy;
let entry: Server;
let client: grpc.Client;
let cancelledAtServer: Promise<void>;

before(async () => {
  let cancelled = (): void => undefined;
  cancelledAtServer = new Promise((resolve) => {
    cancelled = resolve;
  });
  server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(service, {
    unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      const trailer = new grpc.Metadata();
      trailer.set('x-seen', String(call.metadata.get('x-sent')[0]));
      trailer.set('x-raw-bin', Buffer.from([0, 255, 1]));
      done(null, Buffer.concat([Buffer.from('re:'), call.request]), trailer);
    },
    fails: (_call: unknown, done: grpc.sendUnaryData<Buffer>) =>
      done({ code: grpc.status.FAILED_PRECONDITION, details: 'café ☕ nicht möglich' }),
    down: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      for (let i = 0; i < 100; i++) call.write(Buffer.from(`part ${i}`));
      call.end();
    },
    up: (call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      let bytes = 0;
      call.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      call.on('end', () => done(null, Buffer.from(String(bytes))));
    },
    both: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (chunk: Buffer) => call.write(chunk));
      call.on('end', () => call.end());
      call.on('cancelled', cancelled);
    },
  });
  const leaf = authority.issue([HOST]);
  const credentials = grpc.ServerCredentials.createSsl(null, [
    { private_key: Buffer.from(leaf.key), cert_chain: Buffer.from(leaf.cert) },
  ]);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  proxy = await h2Proxy({ authority, host: HOST, originPort: port });
  // Makes the CONNECT for a client that dials directly.
  entry = createServer(async (socket) => {
    socket.on('error', () => undefined).pause();
    const { socket: onward } = await connectThrough(proxy.port, `${HOST}:443`, '');
    socket.pipe(onward).pipe(socket);
    socket.on('close', () => onward.destroy());
  });
  entry.listen(0, '127.0.0.1');
  await once(entry, 'listening');
  client = new grpc.Client(
    `127.0.0.1:${(entry.address() as { port: number }).port}`,
    grpc.credentials.createSsl(Buffer.from(authority.cert)),
    {
      'grpc.ssl_target_name_override': HOST,
      'grpc.default_authority': HOST,
      'grpc.enable_http_proxy': 0,
      'grpc.enable_retries': 0,
    },
  );
});

after(() => {
  client.close();
  server.forceShutdown();
  proxy.close();
  entry.close();
});

test('unary with metadata, trailers and binary trailers', async () => {
  const metadata = new grpc.Metadata();
  metadata.set('x-sent', 'value');
  const result = await new Promise<{ value: Buffer | undefined; status: grpc.StatusObject }>((resolve, reject) => {
    let value: Buffer | undefined;
    const { path } = service.unary;
    const call = client.makeUnaryRequest(path, identity, identity, Buffer.from('hi'), metadata, (error, got) => {
      if (error !== null) reject(error);
      value = got;
    });
    call.on('status', (status) => resolve({ value, status }));
  });
  assert.equal(result.value?.toString(), 're:hi');
  assert.deepEqual(result.status.metadata.get('x-seen'), ['value']);
  assert.deepEqual(result.status.metadata.get('x-raw-bin'), [Buffer.from([0, 255, 1])]);
});

test('an error with non-ASCII details (Trailers-Only)', async () => {
  const error = await new Promise<grpc.ServiceError | null>((resolve) => {
    client.makeUnaryRequest(service.fails.path, identity, identity, Buffer.from('x'), (failed) => resolve(failed));
  });
  assert.equal(error?.code, grpc.status.FAILED_PRECONDITION);
  assert.equal(error?.details, 'café ☕ nicht möglich');
});

test('server stream', async () => {
  const call = client.makeServerStreamRequest(service.down.path, identity, identity, Buffer.from('x'));
  const parts: string[] = [];
  for await (const part of call) parts.push(String(part));
  assert.equal(parts.length, 100);
  assert.equal(parts[99], 'part 99');
});

test('client stream of 5 MB', async () => {
  const result = await new Promise<string>((resolve, reject) => {
    const call = client.makeClientStreamRequest(service.up.path, identity, identity, (error, value) => {
      if (error !== null) reject(error);
      else resolve(String(value));
    });
    const part = Buffer.alloc(50_000);
    let left = 100;
    const write = (): void => {
      while (left-- > 0) {
        if (!call.write(part)) {
          call.once('drain', write);
          return;
        }
      }
      call.end();
    };
    write();
  });
  assert.equal(result, '5000000');
});

test('50 ping-pongs on a bidirectional stream', async () => {
  const call = client.makeBidiStreamRequest(service.both.path, identity, identity);
  for (let i = 0; i < 50; i++) {
    call.write(Buffer.from(`ping ${i}`));
    const [back] = (await once(call, 'data')) as [Buffer];
    assert.equal(back.toString(), `ping ${i}`);
  }
  call.end();
  const [status] = (await once(call, 'status')) as [grpc.StatusObject];
  assert.equal(status.code, grpc.status.OK);
});

test('cancel reaches the server', async () => {
  const call = client.makeBidiStreamRequest(service.both.path, identity, identity);
  call.on('error', () => undefined);
  call.write(Buffer.from('x'));
  await once(call, 'data');
  call.cancel();
  await cancelledAtServer;
});

test('every call is one closed exchange on one connection', async () => {
  for (let i = 0; i < 100 && proxy.corridor.unclosed.size > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { closed, opened } = proxy.corridor;
  assert.equal(opened.length, 6);
  assert.deepEqual(
    closed.map(({ outcome }) => outcome),
    ['forwarded', 'forwarded', 'forwarded', 'forwarded', 'forwarded', 'client-gone'],
  );
  assert.equal(opened[0]?.connection, opened[5]?.connection);
  assert.equal(opened[3]?.requestBytes, 5_000_000 + 100 * 5);
});

const REFUSED: Answer = {
  status: 403,
  reason: 'Blocked by Weir: 100 % of it (ref 01J8)',
  headers: [
    ['content-type', 'application/json'],
    ['content-length', '2'],
    ['x-strathon-block-reason', 'policy'],
  ],
  body: '{}',
};

/** What a client shows of a call that is refused. */
function shown(name: 'unary' | 'down', message: string): Promise<grpc.StatusObject> {
  return new Promise((resolve) => {
    const { path } = service[name];
    if (name === 'unary') {
      const call = client.makeUnaryRequest(path, identity, identity, Buffer.from(message), () => undefined);
      call.on('status', resolve);
      return;
    }
    const call = client.makeServerStreamRequest(path, identity, identity, Buffer.from(message));
    call.on('error', () => undefined).on('status', resolve);
    call.resume();
  });
}

test('a refusal is told as the status of the call, with its words', async () => {
  const { check, filter } = proxy.corridor;
  try {
    proxy.corridor.check = () => ({ forward: false, answer: REFUSED });
    for (const [status, code] of [
      [403, grpc.status.PERMISSION_DENIED],
      [429, grpc.status.RESOURCE_EXHAUSTED],
      [502, grpc.status.UNAVAILABLE],
    ] as const) {
      proxy.corridor.check = () => ({ forward: false, answer: { ...REFUSED, status } });
      const got = await shown('unary', 'hi');
      assert.deepEqual([got.code, got.details], [code, REFUSED.reason]);
      assert.deepEqual(got.metadata.get('x-strathon-block-reason'), ['policy']);
    }
    proxy.corridor.check = () => ({ forward: true });
    for (const shape of ['whole', 'same', 'free'] as const) {
      proxy.corridor.filter = fakeFilter({ request: { shape } }).filter;
      const { code, details } = await shown('unary', `see ${POISON}`);
      assert.equal(code, grpc.status.PERMISSION_DENIED, details);
    }
  } finally {
    Object.assign(proxy.corridor, { check, filter });
  }
});

test('a response that is cut ends with the status of a refusal', async () => {
  const { filter } = proxy.corridor;
  try {
    for (const shape of ['same', 'free'] as const) {
      // What `down` says ends with `part 99`.
      proxy.corridor.filter = (_exchange, direction, _length, sink) => {
        if (direction === 'request') return undefined;
        let stopped = false;
        return {
          shape,
          write(payload) {
            if (stopped) return true;
            const at = payload.indexOf('part 99');
            stopped = at >= 0;
            if (stopped) setTimeout(() => sink.stop(REFUSED), 20);
            sink.data(stopped ? payload.subarray(0, at - 5) : payload);
            return true;
          },
          end: () => undefined,
          abandon: () => undefined,
        };
      };
      const { code, details } = await shown('down', 'go');
      assert.deepEqual([code, details], [grpc.status.PERMISSION_DENIED, REFUSED.reason]);
    }
  } finally {
    proxy.corridor.filter = filter;
  }
});

test('trailers only, in one block, percent-encoded', () => {
  const fields = grpcFields(REFUSED);
  assert.deepEqual(fields, [
    ':status',
    '200',
    'content-type',
    'application/grpc',
    'grpc-status',
    '7',
    'grpc-message',
    'Blocked by Weir: 100 %25 of it (ref 01J8)',
    'x-strathon-block-reason',
    'policy',
  ]);
});
