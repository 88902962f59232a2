import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { copyBody } from '../../../src/content/copy.ts';

const options = { decodedBytes: 1 << 20, decodeRatio: 100 };

test('a body is handed on with its encodings undone, or it is told that not all of it was', async () => {
  for (const contentEncoding of [undefined, 'gzip']) {
    for (const decodedBytes of [1 << 20, 10]) {
      let got = '';
      const onData = (bytes: Uint8Array): void => {
        got += Buffer.from(bytes).toString();
      };
      const copy = copyBody({ ...options, decodedBytes, contentEncoding, onData });
      const body = Buffer.from('what is said in it');
      copy?.push(contentEncoding === undefined ? body : gzipSync(body));
      const whole = await copy?.finish();
      assert.deepEqual([whole, got], decodedBytes === 10 ? [false, ''] : [true, body.toString()], contentEncoding);
    }
  }
  assert.equal(copyBody({ ...options, contentEncoding: 'unheard-of', onData: () => undefined }), undefined);
});

test('what a reader throws is told whoever ends the body, and nobody else', async () => {
  const broken = new Error('broken');
  const onData = (): never => {
    throw broken;
  };
  const early = copyBody({ ...options, contentEncoding: 'gzip', onData });
  early?.push(gzipSync('text'));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const late = copyBody({ ...options, contentEncoding: 'gzip', onData });
  late?.push(gzipSync('text'));
  for (const copy of [early, late]) await assert.rejects(async () => copy?.finish(), broken);
});
