import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import {
  type Client,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { openUpstream } from '../e2e/harness.ts';
import { HOSTS } from '../support/lanes.ts';
import { startWeir, type Weir } from '../support/weir.ts';

const same = (bytes: Buffer): Buffer => bytes;

function method(path: string, requestStream: boolean, responseStream: boolean): ServiceDefinition[string] {
  const plain = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  return { path: `/weir.Test/${path}`, requestStream, responseStream, ...plain };
}

const SERVICE: ServiceDefinition = {
  echo: method('Echo', false, false),
  fail: method('Fail', false, false),
  count: method('Count', false, true),
  sum: method('Sum', true, false),
  talk: method('Talk', true, true),
};

const IMPLEMENTATION = {
  echo: (
    call: { request: Buffer; metadata: Metadata; sendMetadata(m: Metadata): void },
    done: (...a: unknown[]) => void,
  ) => {
    const lead = new Metadata();
    lead.set('x-lead', String(call.metadata.get('x-ask')[0]));
    call.sendMetadata(lead);
    const trail = new Metadata();
    trail.set('x-trail-bin', Buffer.from([0, 255, 1]));
    done(null, call.request, trail);
  },
  fail: (_call: unknown, done: (...a: unknown[]) => void) =>
    done({ code: status.FAILED_PRECONDITION, details: 'café, 50 % off' }),
  count: (call: { write(b: Buffer): void; end(): void }) => {
    for (let i = 0; i < 100; i++) call.write(Buffer.from(String(i)));
    call.end();
  },
  sum: (call: AsyncIterable<Buffer>, done: (...a: unknown[]) => void) => {
    void (async () => {
      let total = 0;
      for await (const part of call) total += part.length;
      done(null, Buffer.from(String(total)));
    })();
  },
  talk: (call: { on(e: string, f: (b: Buffer) => void): void; write(b: Buffer): void; end(): void }) => {
    call.on('data', (bytes) => call.write(Buffer.from(`re: ${bytes.toString()}`)));
    call.on('end', () => call.end());
  },
};

type Unary = (
  request: Buffer,
  metadata: Metadata,
  done: (error: ServiceError | null, answer: Buffer) => void,
) => {
  on(event: string, act: (metadata: Metadata & { metadata: Metadata }) => void): void;
};
type Streaming = (
  request?: Buffer,
) => NodeJS.ReadWriteStream & AsyncIterable<Buffer> & { write(b: Buffer): boolean; cancel(): void };
type TestClient = Client & {
  echo: Unary;
  fail: Unary;
  count: Streaming;
  talk: Streaming;
  sum: (done: (error: ServiceError | null, answer: Buffer) => void) => ReturnType<Streaming>;
};

describe('clients: @grpc/grpc-js', { timeout: 60_000 }, () => {
  let weir: Weir;
  const server = new Server();
  const secureServer = new Server();
  const closing: (() => unknown)[] = [];
  let trust = Buffer.alloc(0);
  before(async () => {
    const upstream = await openUpstream();
    const leaf = upstream.authority.issue([HOSTS.tunnel, HOSTS.intercepted]);
    const pair = { private_key: Buffer.from(leaf.key), cert_chain: Buffer.from(leaf.cert) };
    const bind = (on: Server, secret: ServerCredentials): Promise<number> => {
      on.addService(SERVICE, IMPLEMENTATION as unknown as UntypedServiceImplementation);
      return new Promise((resolve, reject) =>
        on.bindAsync('127.0.0.1:0', secret, (error, port) => (error === null ? resolve(port) : reject(error))),
      );
    };
    const plain = await bind(server, ServerCredentials.createInsecure());
    const tls = await bind(secureServer, ServerCredentials.createSsl(null, [pair]));
    weir = await startWeir({
      config: {
        intercept: { only: [HOSTS.intercepted] },
        upstream: {
          resolve: {
            [HOSTS.plain]: `127.0.0.1:${plain}`,
            [HOSTS.tunnel]: `127.0.0.1:${tls}`,
            [HOSTS.intercepted]: `127.0.0.1:${tls}`,
          },
          ca_file: upstream.caFile,
        },
      },
    });
    trust = Buffer.from(upstream.authority.cert + (await weir.ca()));
    process.env['grpc_proxy'] = weir.proxyUrl();
    closing.push(upstream.close);
  });
  after(async () => {
    delete process.env['grpc_proxy'];
    server.forceShutdown();
    secureServer.forceShutdown();
    await weir?.stop();
    for (const close of closing) await close();
  });

  for (const view of ['plain', 'tunnel', 'intercepted'] as const) {
    it(`unary, errors, server, client and bidirectional streams, cancel: ${view}`, async () => {
      const Constructor = makeGenericClientConstructor(SERVICE, 'Test');
      const secret = view === 'plain' ? credentials.createInsecure() : credentials.createSsl(trust);
      const client = new Constructor(`${HOSTS[view]}:${view === 'plain' ? 80 : 443}`, secret) as unknown as TestClient;
      try {
        await converse(client);
      } finally {
        client.close();
      }
      await weir.records(`gRPC to ${HOSTS[view]}`, (line) => {
        if (line.agent !== 'researcher' || line.destination?.includes(HOSTS[view]) !== true) return false;
        return view === 'tunnel' ? line.kind !== 'exchange' : line.path?.startsWith('/weir.Test/') === true;
      });
    });
  }
});

async function converse(client: TestClient): Promise<void> {
  const ask = new Metadata();
  ask.set('x-ask', 'why');
  let lead: Metadata | undefined;
  let trail: Metadata | undefined;
  const big = Buffer.alloc(3 << 20, 7);
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const call = client.echo(big, ask, (error, bytes) =>
      error === null ? setImmediate(resolve, bytes) : reject(error),
    );
    call.on('metadata', (metadata) => {
      lead = metadata;
    });
    call.on('status', (outcome) => {
      trail = outcome.metadata;
    });
  });
  assert.ok(answer.equals(big));
  assert.deepEqual(lead?.get('x-lead'), ['why']);
  assert.deepEqual(trail?.get('x-trail-bin'), [Buffer.from([0, 255, 1])]);

  const failure = await new Promise<ServiceError | null>(
    (resolve) => void client.fail(big.subarray(0, 3), ask, (error) => resolve(error)),
  );
  assert.deepEqual([failure?.code, failure?.details], [status.FAILED_PRECONDITION, 'café, 50 % off']);

  const counted: string[] = [];
  for await (const part of client.count(Buffer.alloc(0))) counted.push(part.toString());
  assert.deepEqual(
    counted,
    Array.from({ length: 100 }, (_, i) => String(i)),
  );

  const total = await new Promise<Buffer>((resolve, reject) => {
    const call = client.sum((error, bytes) => (error === null ? resolve(bytes) : reject(error)));
    for (let i = 0; i < 50; i++) call.write(Buffer.alloc(100_000));
    call.end();
  });
  assert.equal(total.toString(), '5000000');

  const talk = client.talk();
  for (let i = 0; i < 50; i++) {
    talk.write(Buffer.from(`ping ${i}`));
    const [reply] = (await once(talk, 'data')) as [Buffer];
    assert.equal(reply.toString(), `re: ping ${i}`);
  }
  const cancelled = once(talk, 'error') as Promise<[ServiceError]>;
  talk.cancel();
  assert.equal((await cancelled)[0].code, status.CANCELLED);
}
