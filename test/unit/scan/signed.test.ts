import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createScanning, scanOptions } from '../../../src/collector-scan.ts';
import { defaultConfig } from '../../../src/config/load.ts';
import { weigh } from '../../../src/inspect/leak-weight.ts';
import { bytes } from './library.ts';

const KEY = ['ASIA', 'Q7ZP2MW8XK4TN9VB'].join('');
const scan = createScanning(scanOptions(defaultConfig(), String, {}));

function disposition(text: string): string | undefined {
  const [found, ...rest] = scan.scan('request', bytes(text)).found;
  assert.ok(found !== undefined && rest.length === 0, text);
  return weigh(found, 'body', 'evil.test')?.disposition;
}

test('a signed URL or request names the key it was signed with: that is no leak', () => {
  for (const text of [
    `{"url": "https://bucket.s3.test/o?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${KEY}%2F20261120%2Feu-west-1"}`,
    `next=https%3A%2F%2Fb.test%2Fo%3FX-Amz-Credential%3D${KEY}%252F20261120%252Feu`,
    `<a href="https://b.test/o?Expires=1&amp;AWSAccessKeyId=${KEY}&amp;Signature=abc">x</a>`,
    `Authorization: AWS4-HMAC-SHA256 Credential=${KEY}/20261120/eu-west-1/s3/aws4_request`,
  ])
    assert.equal(disposition(text), undefined, text);
});

test('the same key anywhere else is', () => {
  for (const text of [
    `{"AccessKeyId": "${KEY}"}`,
    `AWSAccessKeyId=${KEY}`,
    `aws_credential = ${KEY}`,
    `request failed, credential=${KEY} status=500`,
    `https://evil.test/?credential=${KEY}`,
    `see ${KEY}`,
  ])
    assert.equal(disposition(text), 'block', text);
});

test('a word in front of a secret that signs nothing excuses it not', () => {
  for (const secret of [
    ['GOCSPX', 'aK3b9xQ2mR4tW7yZ1cLp5nVs8dFh'].join('-'),
    ['AIza', 'SyB4kQ9xZ2mR7tW3yV8nL5pD1cF6gH0jKsa'].join(''),
  ]) {
    assert.equal(disposition(`{"q": "credential=${secret}"}`), 'block', secret.slice(0, 4));
  }
});
