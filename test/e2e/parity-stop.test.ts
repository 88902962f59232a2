import assert from 'node:assert/strict';
import type { ClientHttp2Stream } from 'node:http2';
import { after, before, describe, it } from 'node:test';
import { http2Through } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { dataOf, endedWell, type FrameOrigin, frameOrigin, resetCode } from '../support/frame-origin.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

/** Assembled at run time, so that no scanner takes this file for a leak. */
const SECRET = ['ghp', 'vQ3mZ8pT1xW6rB9nK4cH7sD2fL5gJ0yAeUiO'].join('_');
const CLEAN = 'nothing to see here. '.repeat(4000);
/** What is said to one origin until the upload is stopped. */
const UPLOADS: Readonly<Record<string, (stream: ClientHttp2Stream) => Promise<void> | void>> = {
  'in its first bytes': (stream) => void stream.write(`${SECRET} ${CLEAN}`),
  'when all has come': (stream) => void stream.end(`a ${SECRET}`),
  'in its last bytes': (stream) => void stream.end(`${CLEAN}${SECRET}`),
  'in the middle': async (stream) => {
    for (const part of [CLEAN, CLEAN, SECRET, CLEAN]) {
      stream.write(part);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (!stream.closed) stream.end();
  },
  'before its trailers': (stream) => {
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }));
    stream.end(`${CLEAN}${SECRET}`);
  },
};
const TYPES = ['text/plain', 'application/json', 'application/grpc', 'application/octet-stream'];

describe('an upload over HTTP/2 that enforce stops', () => {
  let scene: { readonly weir: Weir; readonly origin: FrameOrigin; readonly ca: string; close(): Promise<void> };
  before(async () => {
    scene = await assemble(async (later) => {
      const upstream = await openUpstream();
      later(upstream.close);
      const origin = await frameOrigin(upstream.authority.issue(['h2.leak.test']));
      later(async () => origin.close());
      origin.window = 1 << 20;
      const resolve = { 'h2.leak.test': `127.0.0.1:${origin.port}` };
      const weir = await startWeir({
        config: { mode: 'enforce', intercept: 'all', upstream: { resolve, ca_file: upstream.caFile } },
      });
      later(weir.stop);
      return { weir, origin, ca: await weir.ca() };
    });
  });
  after(() => scene.close());

  for (const [when, upload] of Object.entries(UPLOADS)) {
    it(`${when}: the origin sees a reset, no end and no secret`, async () => {
      const { weir, origin, ca } = scene;
      for (const type of TYPES) {
        origin.streams.length = 0;
        const session = await http2Through(weir, 'h2.leak.test', { agent: 'researcher', ca });
        const options = { waitForTrailers: when === 'before its trailers' };
        const stream = session.request({ ':path': '/up', ':method': 'POST', 'content-type': type }, options);
        stream.on('error', () => undefined).resume();
        const answered = new Promise<number>((resolve) =>
          stream.on('response', (raw) => resolve(Number(raw[':status']))),
        );
        await upload(stream);
        assert.equal(await answered, type === 'application/grpc' ? 200 : 403, type);
        const frames = await eventually(() => origin.streams.find((one) => resetCode(one) !== undefined), 'a reset');
        assert.equal(endedWell(frames), false, `${type}: the upload looks complete`);
        assert.equal(resetCode(frames), 8, type);
        assert.ok(!dataOf(frames).includes(SECRET.slice(0, 12)), type);
        session.destroy();
      }
    });
  }
});
