import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Ask } from '../support/agent.ts';
import { LABEL, type LeakWorld, lineOf, openLeakWorld, RULE, SECRET, send, WAYS } from '../support/leak-world.ts';
import { ENCODERS } from '../support/scan-origin.ts';

const openScene = (mode: 'monitor' | 'redact' | 'enforce'): Promise<LeakWorld> =>
  openLeakWorld({
    mode,
    baseline: { ready_after_requests: 0 },
    agents: { researcher: {}, careful: { blocked_categories: ['financial'] } },
  });

const json = { 'content-type': 'application/json' };
const text = JSON.stringify({ note: `see "${SECRET}"`, pad: 'x'.repeat(3000) });

const sse = { 'content-type': 'text/event-stream' };
const event = (content: string): Buffer =>
  Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
const textOf = (body: string): string =>
  [...body.matchAll(/^data: (\{.*\})$/gm)]
    .map(([, data]) => JSON.parse(data as string).choices[0].delta.content)
    .join('');

/** A response as its bytes came. */
function rawBody(port: number, url: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const headers = {
      host: 'plain.test',
      'proxy-authorization': `Basic ${Buffer.from('researcher:x').toString('base64')}`,
    };
    const sent = request({ host: '127.0.0.1', port, path: url, headers, agent: false, timeout: 20_000 }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => resolve(Buffer.concat(parts)));
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer for ${url}`)));
    sent.on('error', reject);
    sent.end();
  });
}

describe('redact', () => {
  let scene: LeakWorld;
  before(async () => {
    scene = await openScene('redact');
  });
  after(() => scene.close());

  for (const way of WAYS) {
    it(`takes a secret out of a request body (${way})`, async () => {
      const path = `/req-${way}`;
      const answer = await send(scene, way, path, { method: 'POST', body: Buffer.from(text), fields: json });
      assert.equal(answer.status, 200);
      const arrived = scene.origin.bodies.get(path)?.toString() ?? '';
      assert.equal(arrived, text.replace(SECRET, LABEL));
      const line = await lineOf(scene, path);
      assert.ok(line.rules.includes(RULE));
      assert.equal(line.action, 'redact');
      assert.equal(line.would, 'block');
    });

    it(`takes it out of an encoded body, encoded again (${way})`, async () => {
      for (const [name, encode] of ENCODERS) {
        const path = `/coded-${way}-${name}`;
        await send(scene, way, path, {
          method: 'POST',
          body: encode(Buffer.from(text)),
          fields: { ...json, 'content-encoding': name },
        });
        const expected = encode(Buffer.from(text.replace(SECRET, LABEL)));
        const arrived = scene.origin.bodies.get(path) as Buffer;
        assert.ok(arrived.length > 0 && !arrived.equals(encode(Buffer.from(text))), name);
        assert.ok(Math.abs(arrived.length - expected.length) < 64, name);
      }
    });

    it(`takes it out of a response (${way})`, async () => {
      const path = `/res-${way}`;
      scene.origin.answer(path, [Buffer.from(text.slice(0, 20)), Buffer.from(text.slice(20))], json);
      const answer = await send(scene, way, path);
      assert.equal(answer.body.toString(), text.replace(SECRET, LABEL));
      assert.equal((await lineOf(scene, path)).action, 'redact');
    });

    it(`takes it out of the text that events make together (${way})`, async () => {
      const path = `/sse-${way}`;
      const said = `The token is ${SECRET}, keep it.`;
      scene.origin.answer(path, (said.match(/.{1,5}/g) ?? []).map(event), sse);
      const answer = await send(scene, way, path);
      assert.match(
        textOf(answer.body.toString()),
        /^The token is (?:gh?p?_?)?\[GITHUB PERSONAL ACCESS TOKEN_REDACTED\], keep it\.$/,
      );
      const line = await lineOf(scene, path);
      assert.ok(line.rules.includes(RULE));
      assert.match(line.message ?? '', /events put together/);
    });

    it(`leaves a clean body as it is (${way})`, async () => {
      const path = `/clean-${way}`;
      const clean = Buffer.from(text.replace(SECRET, 'nothing'));
      scene.origin.answer(path, [clean], json);
      const answer = await send(scene, way, path, { method: 'POST', body: clean, fields: json });
      assert.deepEqual(scene.origin.bodies.get(path), clean);
      assert.deepEqual(Buffer.from(answer.body), clean);
      assert.equal((await lineOf(scene, path)).action, 'forward');
    });
  }

  it('takes it out of an encoded response, short and long', async () => {
    const long = JSON.stringify({ secret: SECRET, rows: Array.from({ length: 60_000 }, (_, i) => `row ${i * 7919}`) });
    for (const [path, said] of [
      ['/gzip-short', text],
      ['/gzip-long', long],
    ] as const) {
      const coded = gzipSync(said);
      const half = coded.length >> 1;
      const fields = { ...json, 'content-encoding': 'gzip' };
      scene.origin.answer(path, [coded.subarray(0, half), coded.subarray(half)], fields);
      const body = await rawBody(scene.weir.port, `http://plain.test${path}`);
      assert.equal(gunzipSync(body).toString(), said.replace(SECRET, LABEL));
    }
  });
});

describe('enforce', () => {
  let scene: LeakWorld;
  before(async () => {
    scene = await openScene('enforce');
  });
  after(() => scene.close());

  for (const way of WAYS) {
    it(`stops a request with a secret in its body (${way})`, async () => {
      const path = `/stop-${way}`;
      const answer = await send(scene, way, path, { method: 'POST', body: Buffer.from(text), fields: json });
      assert.equal(answer.status, 403);
      // A stream that is reset ends at the origin too.
      assert.ok(!scene.origin.bodies.get(path)?.includes(SECRET.slice(0, 8)));
      const line = await lineOf(scene, path);
      assert.equal(line.action, 'block');
      assert.ok(!JSON.stringify(line).includes(SECRET.slice(4)));
    });

    it(`stops what cannot be read of agents that have blocked_categories, and flags it of others (${way})`, async () => {
      const ask: Ask = {
        method: 'POST',
        body: Buffer.from('no gzip at all'),
        fields: { ...json, 'content-encoding': 'gzip' },
      };
      const flagged = `/flagged-${way}`;
      assert.equal((await send(scene, way, flagged, ask)).status, 200);
      assert.equal(scene.origin.bodies.get(flagged)?.toString(), 'no gzip at all');
      const line = await lineOf(scene, flagged);
      assert.ok(line.rules.includes('unscanned'));
      assert.equal(line.action, 'forward');
      const stopped = `/unread-${way}`;
      assert.equal((await send(scene, way, stopped, { ...ask, agent: 'careful' })).status, 403);
      assert.equal((await lineOf(scene, stopped)).action, 'block');
    });

    it(`takes a secret out of a response (${way})`, async () => {
      const path = `/res-${way}`;
      scene.origin.answer(path, [Buffer.from(text)], json);
      const answer = await send(scene, way, path);
      assert.equal(answer.body.toString(), text.replace(SECRET, LABEL));
    });
  }
});

describe('monitor', () => {
  let scene: LeakWorld;
  before(async () => {
    scene = await openScene('monitor');
  });
  after(() => scene.close());

  for (const way of WAYS) {
    it(`tells of a secret in the text that events make together, and changes nothing (${way})`, async () => {
      const path = `/sse-${way}`;
      const events = (`The token is ${SECRET}, keep it.`.match(/.{1,5}/g) ?? []).map(event);
      scene.origin.answer(path, events, sse);
      const answer = await send(scene, way, path);
      assert.deepEqual(Buffer.from(answer.body), Buffer.concat(events));
      const line = await lineOf(scene, path);
      assert.ok(line.rules.includes(RULE));
      assert.match(line.message ?? '', /events put together/);
      assert.equal(line.action, 'forward');
    });
  }
});
