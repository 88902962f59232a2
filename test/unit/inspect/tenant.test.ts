import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { compileTenants } from '../../../src/inspect/tenant.ts';

const tenantOf = compileTenants(parse(readFileSync('patterns/tenants.yaml', 'utf8')));

test('the shipped tenants', () => {
  const table: [string, string, string, string | undefined][] = [
    ['github.com', 'GET', '/acme/widgets.git/info/refs?service=git-upload-pack', 'github.com/acme'],
    ['github.com', 'GET', '/Acme', 'github.com/acme'],
    ['github.com', 'GET', '/login/oauth', undefined],
    ['github.com', 'CONNECT', '', undefined],
    ['api.github.com', 'POST', '/repos/acme/widgets/issues', 'github.com/acme'],
    ['api.github.com', 'GET', '/orgs/evil-org/repos', 'github.com/evil-org'],
    ['api.github.com', 'POST', '/gists', 'github.com/gists'],
    ['api.github.com', 'GET', '/rate_limit', undefined],
    ['raw.githubusercontent.com', 'GET', '/acme/x/main/a', 'github.com/acme'],
    ['gist.github.com', 'GET', '/someone/abc', 'gist.github.com/someone'],
    ['acme.github.io', 'GET', '/', 'github.com/acme'],
    ['gitlab.com', 'GET', '/api/v4/projects/acme%2Fwidgets/issues', 'gitlab.com/acme'],
    ['gitlab.com', 'GET', '/api/v4/projects/%zz', undefined],
    ['gitlab.com', 'GET', '/acme/sub/project', 'gitlab.com/acme'],
    ['bucket.s3.amazonaws.com', 'PUT', '/key', 's3/bucket'],
    ['my.bucket.s3.eu-west-1.amazonaws.com', 'PUT', '/key', 's3/my.bucket'],
    ['s3.eu-west-1.amazonaws.com', 'PUT', '/bucket/key', 's3/bucket'],
    ['storage.googleapis.com', 'POST', '/upload/storage/v1/b/bucket/o?name=x', 'gcs/bucket'],
    ['storage.googleapis.com', 'GET', '/bucket/key', 'gcs/bucket'],
    ['bucket.storage.googleapis.com', 'GET', '/key', 'gcs/bucket'],
    ['acct.blob.core.windows.net', 'PUT', '/c/b', 'azure/acct'],
    ['hooks.slack.com', 'POST', '/services/T000/B111/secretsecret', 'slack/T000/B111'],
    ['discord.com', 'POST', '/api/webhooks/123456/secret-token', 'discord/123456'],
    ['api.telegram.org', 'POST', '/bot123456:AAsecret/sendMessage', 'telegram/123456'],
    ['api.telegram.org', 'POST', '/botAAsecret/sendMessage', undefined],
    ['huggingface.co', 'GET', '/acme/model/resolve/main/x', 'huggingface.co/acme'],
    ['huggingface.co', 'GET', '/datasets/acme/d', 'huggingface.co/acme'],
    ['registry.npmjs.org', 'PUT', '/@acme%2fwidgets', 'npm/@acme/widgets'],
    ['registry.npmjs.org', 'PUT', '/@acme/widgets', 'npm/@acme/widgets'],
    ['registry.npmjs.org', 'PUT', '/left-pad', 'npm/left-pad'],
    ['registry.npmjs.org', 'GET', '/left-pad', undefined],
    ['example.org', 'GET', '/acme', undefined],
    ['github.com', 'GET', '/<script>', undefined],
    ['github.com', 'GET', `/${'a'.repeat(200)}`, undefined],
    ['github.com', 'GET', '//', undefined],
    ['__proto__', 'GET', '/', undefined],
  ];
  for (const [host, method, target, tenant] of table) {
    assert.equal(tenantOf(host, method, target), tenant, `${method} ${host}${target}`);
    assert.equal(tenantOf(host, method, target), tenant, 'again, from the cache');
  }
});

test('a token never becomes part of a tenant', () => {
  for (const [host, target] of [
    ['hooks.slack.com', '/services/T0/B1/canary'],
    ['discord.com', '/api/webhooks/1/canary'],
    ['api.telegram.org', '/bot1:canary/x'],
    ['api.telegram.org', '/file/bot1:canary/x'],
  ] as const) {
    assert.doesNotMatch(tenantOf(host, 'POST', target) ?? '', /canary/);
  }
});

test('wrong data is refused with its place', () => {
  for (const bad of [
    null,
    {},
    { tenants: [1] },
    { tenants: [{}] },
    { tenants: [{ hosts: ['a.example'] }] },
    { tenants: [{ hosts: ['*.com'], as: 'x' }] },
    { tenants: [{ hosts: ['a.example'], as: 'x', segmnt: 1 }] },
  ]) {
    assert.throws(() => compileTenants(bad), Error);
  }
  assert.throws(
    () => compileTenants({ tenants: [{ hosts: ['a.example'], as: 'x', segmnt: 1 }] }),
    /entry 1: unknown key "segmnt"/,
  );
});
