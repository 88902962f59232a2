import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { eventually, startWeir } from '../support/weir.ts';

const MOST = 4 << 20;

/** Strathon's receiver as documented (strathon-compat §6.20): protobuf, not compressed, at most 4 MiB, with a key; it says no to all else. */
async function receiver(key: string) {
  const taken: Buffer[] = [];
  const refused: string[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts);
      const wrong =
        (request.url !== '/v1/traces' && 'path') ||
        (request.headers['content-type'] !== 'application/x-protobuf' && `type ${request.headers['content-type']}`) ||
        (request.headers['content-encoding'] !== undefined && 'compressed') ||
        (request.headers['authorization'] !== `Bearer ${key}` && 'key') ||
        (body.length > MOST && 'size');
      if (wrong) refused.push(wrong);
      else taken.push(body);
      response.writeHead(wrong ? 415 : 200, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { taken, refused, port: (server.address() as AddressInfo).port, close: async () => void server.close() };
}

describe('export to a Strathon receiver', () => {
  it('spans go as protobuf, with the names its tool column reads, and are taken', async () => {
    const key = ['stra', 'test'].join('_');
    const {
      receiver: strathon,
      weir,
      close,
    } = await assemble(async (later) => {
      const made = await receiver(key);
      later(made.close);
      const origin = createServer((_, response) => response.end('ok'));
      await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
      later(async () => void origin.close());
      const started = await startWeir({
        config: {
          telemetry: { endpoint: 'auto', dialects: ['otel', 'strathon'] },
          upstream: { resolve: { 'plain.test': `127.0.0.1:${(origin.address() as AddressInfo).port}` } },
        },
        env: {
          OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `http://127.0.0.1:${made.port}/v1/traces`,
          OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
          OTEL_EXPORTER_OTLP_HEADERS: `Authorization=Bearer ${key}`,
        },
      });
      later(started.stop);
      return { receiver: made, weir: started };
    });
    try {
      for (let i = 0; i < 1500; i++) await plain(weir, `http://plain.test/${i}`, { agent: 'researcher' });
      const spans = (): number => {
        const text = Buffer.concat(strathon.taken).toString('latin1');
        return text.split('strathon.tool.name').length - 1;
      };
      await eventually(() => spans() >= 1500, 'all spans were taken', 30_000);
      assert.equal(spans(), 1500);
      assert.deepEqual(strathon.refused, []);
      const text = Buffer.concat(strathon.taken).toString('latin1');
      for (const name of ['gen_ai.tool.name', 'http.get', 'egress_proxy', 'researcher', 'strathon.agent.id'])
        assert.ok(text.includes(name), name);
    } finally {
      await close();
    }
  });
});
